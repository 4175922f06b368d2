/* SPDX-License-Identifier: Apache-2.0
 * Whose turn it is to be judged. Judging is most of what clients can make a worker do, and a single
 * text may take a tenth of a second. So in a round of the loop all are judged for 20 ms together;
 * who has more stands in line, and who comes while others stand there, too. Persons have their
 * turns one after the other, however many connections they have, and of each the connection that
 * has waited longest. In a round at least one of the line has its turn, whatever it takes; between
 * rounds the loop looks at its timers, at core's word, and at everybody else.
 *
 * OWNS the line. PROCESS db gate workers. TRUST the client decides how much there is to judge.
 * SPEC gates/db/README.md "Limits".
 */
#include "gates/db/db.h"
#include "infra/proc/clock.h"

enum { ROUND_US = 20000 };

static void run(sp_deferred *deferred);

static struct {
    uint64_t round_us; /* of the loop's clock, which stands still in a round */
    uint64_t used_us;  /* in it */
    const db_session *turn;
    db_share *first; /* persons who wait */
    db_share **last;
    sp_deferred deferred;
} line = {.deferred = {.call = run}};

static uint64_t used_us(void)
{
    if (line.round_us != sp_loop_now_us(db_here.loop)) {
        line.round_us = sp_loop_now_us(db_here.loop);
        line.used_us = 0;
    }
    return line.used_us;
}

void db_turn_took(uint64_t time_us)
{
    line.used_us = used_us() + time_us;
}

bool db_turn_is(const db_session *session)
{
    return line.turn == session || (line.first == NULL && used_us() < ROUND_US);
}

static void join(db_share *share)
{
    if (line.first == NULL) {
        line.last = &line.first;
    }
    share->next_turn = NULL;
    *line.last = share;
    line.last = &share->next_turn;
}

static void leave(db_share *share)
{
    db_share **link = &line.first;
    while (*link != share) {
        link = &(*link)->next_turn;
    }
    *link = share->next_turn;
    if (share->next_turn == NULL) {
        line.last = link;
    }
}

void db_turn_wait(db_session *session)
{
    db_share *share = session->share;
    if (session->waits_turn) {
        return;
    }
    if (share->first_waiting == NULL) {
        share->last_waiting = &share->first_waiting;
        join(share);
    }
    session->waits_turn = true;
    session->next_waiting = NULL;
    *share->last_waiting = session;
    share->last_waiting = &session->next_waiting;
    sp_loop_defer(db_here.loop, &line.deferred);
}

void db_turn_leave(db_session *session)
{
    db_share *share = session->share;
    if (!session->waits_turn) {
        return;
    }
    db_session **link = &share->first_waiting;
    while (*link != session) {
        link = &(*link)->next_waiting;
    }
    *link = session->next_waiting;
    if (session->next_waiting == NULL) {
        share->last_waiting = link;
    }
    session->waits_turn = false;
    if (share->first_waiting == NULL) {
        leave(share);
    }
}

/* His next connection comes when all others have had their turn. */
static db_session *next(void)
{
    db_share *share = line.first;
    db_session *session = share->first_waiting;
    db_turn_leave(session);
    if (line.first == share) {
        leave(share);
        join(share);
    }
    return session;
}

static void run(sp_deferred *deferred)
{
    uint64_t now_us = sp_now_steady_us();
    uint64_t until_us = now_us + (used_us() < ROUND_US ? ROUND_US - used_us() : 0);
    while (line.first != NULL) {
        db_session *session = next();
        line.turn = session;
        db_pump(session);
        line.turn = NULL;
        if (sp_now_steady_us() >= until_us) {
            break;
        }
    }
    if (line.first != NULL) {
        sp_loop_defer(db_here.loop, deferred);
    }
}

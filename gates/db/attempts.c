/* SPDX-License-Identifier: Apache-2.0
 * Attempts that were refused: each counts as a statement in the budgets of its person. The gate
 * refuses by itself, so anybody can have thousands of them in a second, and core has one thread, a
 * worker one line to it. So those of one kind are summed, and told ten times a second at most,
 * while nothing else waits for the line.
 *
 * OWNS what is summed, one list a worker. PROCESS db gate workers. TRUST the list has a maximum.
 * SPEC lib/proto/db_msg.h "SPEND".
 */
#include "gates/db/judging.h"
#include "lib/base/mem.h"

enum {
    KINDS_MAX = 64, /* in such a while; of more nothing is counted until it is over */
    PAUSE_US = 100000,
    BODY_MAX_BYTES = 512
};

typedef struct {
    sp_db_spend spend;
    char resource[DB_NAME_BYTES];
} kind;

static struct {
    kind kinds[KINDS_MAX];
    size_t count;
    uint64_t told_us;
    sp_timer timer;
    bool waits;
} own;

static bool tell(const kind *one)
{
    auto_buf sp_buf body = sp_buf_make(BODY_MAX_BYTES);
    sp_db_spend spend = one->spend;
    spend.resource = sp_span_cstr(one->resource);
    sp_db_spend_write(&spend, &body);
    return !sp_failed(sp_buf_error(&body)) &&
           sp_link_tell(&db_here.office.link, SP_CORE_DB_SPEND, sp_buf_borrow(&body));
}

static void on_time(sp_timer *timer)
{
    (void)timer;
    own.waits = false;
    db_attempts_tell();
}

void db_attempts_tell(void)
{
    size_t told = 0;
    own.told_us = sp_loop_now_us(db_here.loop);
    while (told < own.count && db_here.office.link.unsent.len == 0 && tell(&own.kinds[told])) {
        told++;
    }
    for (size_t i = told; i < own.count; i++) {
        own.kinds[i - told] = own.kinds[i];
    }
    own.count -= told;
    if (own.count > 0 && !own.waits) {
        own.timer.on_time = on_time;
        own.waits = !sp_failed(sp_timer_set(db_here.loop, &own.timer, PAUSE_US));
    }
}

static kind *find(const db_session *session, uint32_t actions)
{
    for (size_t i = 0; i < own.count; i++) {
        kind *one = &own.kinds[i];
        if (one->spend.session.id == session->live_id && one->spend.actions == actions &&
            sp_span_eq(sp_span_cstr(one->resource), sp_span_cstr(session->resource_name))) {
            return one;
        }
    }
    return NULL;
}

static kind *add(const db_session *session, const db_ruling *ruling)
{
    if (own.count == KINDS_MAX) {
        return NULL;
    }
    kind *one = &own.kinds[own.count++];
    *one = (kind){.spend = {.session = {session->live_slot, session->live_id},
                            .action = (uint8_t)ruling->action,
                            .actions = ruling->actions}};
    sp_copy(one->resource, session->resource_name, sizeof(one->resource));
    return one;
}

void db_attempts_add(const db_session *session, const db_ruling *ruling)
{
    kind *one = find(session, ruling->actions);
    one = one != NULL ? one : add(session, ruling);
    if (one != NULL && one->spend.statements < UINT32_MAX) {
        one->spend.statements++;
    }
    if (!own.waits) {
        uint64_t since_us = sp_loop_now_us(db_here.loop) - own.told_us;
        own.timer.on_time = on_time;
        own.waits = since_us < PAUSE_US &&
                    !sp_failed(sp_timer_set(db_here.loop, &own.timer, PAUSE_US - since_us));
        if (!own.waits) {
            db_attempts_tell();
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * Who holds how much of the worker's memory.
 * OWNS the list of persons. PROCESS db gate workers. TRUST sizes are those of our own buffers.
 * SPEC gates/db/share.h.
 */
#include "gates/db/share.h"

#include "gates/db/judging.h"
#include "lib/base/mem.h"

#include <stdio.h>

/* A message that waits for its answer, with its note or its error: as much as the largest. */
enum { FLIGHT_BYTES = 4096 };

static db_share *all;
static size_t held_by_all;

sp_err db_share_join(db_session *session)
{
    db_share *share = all;
    while (share != NULL && share->person != session->who.person) {
        share = share->next;
    }
    if (share == NULL) {
        TRY(sp_alloc(1, sizeof(*share), &share));
        share->person = session->who.person;
        share->next = all;
        all = share;
    }
    share->sessions++;
    session->share = share;
    return sp_ok();
}

static void set_held(db_session *session, size_t held)
{
    session->share->held = session->share->held - session->held + held;
    held_by_all = held_by_all - session->held + held;
    session->held = held;
}

void db_share_leave(db_session *session)
{
    db_share *share = session->share;
    if (share == NULL) {
        return;
    }
    set_held(session, 0);
    session->share = NULL;
    if (--share->sessions > 0) {
        return;
    }
    db_share **link = &all;
    while (*link != share) {
        link = &(*link)->next;
    }
    *link = share->next;
    sp_free(share);
}

void db_share_count(db_session *session)
{
    if (session->share == NULL) {
        return;
    }
    size_t held = session->front_carry.cap + session->back_carry.cap + session->front.out.cap +
                  session->flights.count * (size_t)FLIGHT_BYTES;
    held += session->back == NULL ? 0 : session->back->stream.out.cap;
    held += session->judge == NULL ? 0 : session->judge->names.bytes + db_estimate_bytes(session);
    set_held(session, held);
}

bool db_share_fits(db_session *session, size_t more)
{
    db_share_count(session);
    size_t left = held_by_all < DB_SHARED_BYTES ? DB_SHARED_BYTES - held_by_all : 0;
    return session->share == NULL || (more <= left && session->share->held + more <= left - more);
}

void db_share_refuse(db_refusal *refusal)
{
    db_refuse(refusal, "53200", SP_REASON_LIMIT,
              "your connections hold as much of the gate's memory as one person's may");
    snprintf(refusal->hint, sizeof(refusal->hint),
             "Read answers to their end; close prepared statements, cursors or connections.");
}

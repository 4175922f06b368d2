/* SPDX-License-Identifier: Apache-2.0
 * A refused answer leaves nothing behind: what the client takes for failed has not happened.
 *
 * An answer with a limit is refused when a row is one too many, and the server may have come to its
 * end by then. Nothing was sent behind it (DB_FLIGHT_LIMITED), so nothing else has run; and what it
 * changed is undone:
 *     in a transaction, in a pipeline   the server is sent what it raises an error about: the
 *                                       transaction fails, and all up to Sync is skipped
 *     a Query by itself                 runs in a transaction of ours when it changes anything, or
 *                                       what stands before it in its pipeline has (hold.c), which
 *                                       is rolled back
 * OWNS nothing. PROCESS db gate workers. TRUST none. SPEC gates/db/judge.h; PostgreSQL 15 manual,
 * 55.2.3.
 */
#include "gates/db/judging.h"

#include <stdio.h>

static bool has_limit(const sp_decision *decision)
{
    return (decision->must & SP_MUST_LIMIT) != 0 && (decision->limit_rows | decision->limit_bytes |
                                                     decision->day_rows | decision->day_bytes) != 0;
}

db_verdict db_whole_needs(db_session *session, const db_run_ask *run, db_refusal *refusal)
{
    const uint32_t answers = SP_SQL_RETURNS_ROWS | SP_SQL_IS_COPY_OUT;
    if ((run->judgement->flags & SP_SQL_IS_LISTEN) != 0 && has_limit(&run->ruling->decision)) {
        db_refuse(refusal, "0A000", SP_REASON_LIMIT,
                  "LISTEN is not let through where policy limits how much may be had: what comes "
                  "by it is no answer that could be counted");
        return DB_REFUSE;
    }
    if (run->is_portal || !has_limit(&run->ruling->decision) ||
        (run->judgement->flags & answers) == 0) {
        return DB_PASS;
    }
    /* an error of a Query takes back what stands before it in its pipeline */
    bool is_behind = session->is_unsynced && session->has_changed;
    bool changes = (run->ruling->actions & ~(uint32_t)DB_LOOKS) != 0 || is_behind ||
                   (run->judgement->flags & SP_SQL_FILLS_TEMP) != 0;
    bool ends = !db_hold_can_wrap(run->judgement);
    if (!changes && !ends) {
        return DB_PASS;
    }
    if (db_session_drain(session)) {
        return DB_WAIT;
    }
    if (db_hold_is_blind(session)) {
        db_refuse(
            refusal, "0A000", SP_REASON_LIMIT,
            "an answer that has a limit, behind the beginning or end of a transaction that was "
            "not synced, is not let through");
        snprintf(refusal->hint, sizeof(refusal->hint), "Send a Sync between.");
        return DB_REFUSE;
    }
    bool within = session->transaction != 'I';
    if (ends && (changes || within)) {
        db_refuse(refusal, "0A000", SP_REASON_LIMIT,
                  "an answer that has a limit, in one message with the end of its transaction, is "
                  "not let through");
        snprintf(refusal->hint, sizeof(refusal->hint), "Send them apart.");
        return DB_REFUSE;
    }
    return within || !changes ? DB_PASS : DB_CUT;
}

/* Skipped by the server, and its error is not the client's: he has one. */
static bool poison(db_session *session)
{
    auto_buf sp_buf out = sp_buf_make(256);
    db_poison *silent = NULL;
    db_refusal_poison(false, &out);
    sp_pg_empty_write(&out, 'H');
    if (sp_failed(sp_buf_error(&out)) || sp_failed(sp_alloc(1, sizeof(*silent), &silent))) {
        return false;
    }
    const db_flight flight = {.type = 'P', .flags = DB_FLIGHT_LIMITED, .poison = silent};
    if (sp_failed(db_flights_add(session, &flight))) {
        sp_free(silent);
        return false;
    }
    return !sp_failed(db_stream_send(&session->back->stream, sp_buf_borrow(&out)));
}

bool db_whole_end(db_session *session, const sp_pg_msg *msg, bool *ret_ours)
{
    uint8_t status = 0;
    *ret_ours = false;
    if (msg->type == 'Z') {
        *ret_ours = !sp_failed(sp_pg_ready_read(msg->body, &status)) && status == 'T' &&
                    session->flights.count == 1;
        auto_buf sp_buf out = sp_buf_make(256);
        db_refusal_poison(true, &out);
        return !*ret_ours ||
               !sp_failed(db_stream_send(&session->back->stream, sp_buf_borrow(&out)));
    }
    bool ended = msg->type == 'C' || msg->type == 'I' || msg->type == 's';
    return !ended || session->flights.count > 0 || poison(session);
}

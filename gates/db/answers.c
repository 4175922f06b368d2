/* SPDX-License-Identifier: Apache-2.0
 * How far an answer is: what each message of the server's ends, and whether it fits to what was
 * asked. OWNS nothing. PROCESS db gate workers. TRUST the server may be anybody's. SPEC PostgreSQL
 * 15 manual, 55.2.
 */
#include "gates/db/db.h"

bool db_answers_ends_simple(const db_flight *head)
{
    return head != NULL && (head->type == 'Q' || head->type == 'F' || head->type == 'S');
}

static bool on_ready(db_session *session, const sp_pg_msg *msg)
{
    db_flight *head = db_flights_head(session);
    if (!db_answers_ends_simple(head) ||
        sp_failed(sp_pg_ready_read(msg->body, &session->transaction))) {
        return false;
    }
    db_flights_pop(session, session->sqlstate[0] != '\0' ? DB_END_FAILED : DB_END_DONE);
    session->back_mutes = false;
    session->has_changed = session->has_changed && session->flights.count > 0;
    session->has_ended = session->has_ended && session->flights.count > 0;
    session->has_begun = session->has_begun && session->flights.count > 0;
    session->copy_in = session->copy_fails = false;
    session->hold = session->hold == DB_HOLD_ENDING ? DB_HOLD_NONE : session->hold;
    return true;
}

/* "DELETE 3", "INSERT 0 3"; "DROP TABLE" counts nothing. */
static uint64_t count_of(sp_span tag)
{
    uint64_t count = 0;
    size_t at = tag.len;
    while (at > 0 && tag.ptr[at - 1] != ' ') {
        at--;
    }
    return sp_failed(sp_span_to_u64(sp_span_slice(tag, at, tag.len), INT64_MAX, &count)) ? 0
                                                                                         : count;
}

static bool on_complete(db_session *session, const sp_pg_msg *msg)
{
    const db_flight *head = db_flights_head(session);
    if (head == NULL || (head->type != 'Q' && head->type != 'E')) {
        return false;
    }
    sp_span tag = SP_SPAN_EMPTY;
    if (msg->type == 'C' && sp_failed(sp_pg_complete_read(msg->body, &tag))) {
        return false;
    }
    SP_IGNORE(sp_fit(session->tag, sizeof(session->tag), sp_span_slice(tag, 0, 63))); /* cut */
    session->touched += session->back_mutes ? 0 : count_of(tag);
    session->copied = 0;
    session->copy_in = false;
    if (head->type == 'E') {
        db_flights_pop(session, msg->type == 's' ? DB_END_SUSPENDED : DB_END_DONE);
    }
    return true;
}

static bool on_error(db_session *session, const sp_pg_msg *msg)
{
    sp_pg_error error;
    if (sp_failed(sp_pg_error_read(msg->body, &error))) {
        return false;
    }
    session->fatal_passed = sp_span_eq(error.severity, SP_SPAN_LIT("FATAL")) ||
                            sp_span_eq(error.severity, SP_SPAN_LIT("PANIC"));
    SP_IGNORE(sp_fit(session->sqlstate, sizeof(session->sqlstate),
                     sp_span_slice(error.sqlstate, 0, 5))); /* cut */
    const db_flight *head = db_flights_head(session);
    if (head == NULL && !session->fatal_passed) {
        return db_judge_stray(session);
    }
    session->full |= session->copy_in; /* a Sync, or what does not belong there, waits for this */
    session->copy_in = session->copy_fails = false;
    if (head != NULL && !db_answers_ends_simple(head) && !session->fatal_passed) {
        db_flights_fail(session);
    }
    return true;
}

/* Nothing was sent behind it (db_flights_may_copy()), so nothing can be eaten. A client whose
 * answer was refused does not hear that he may send, and one who is gone sends nothing. */
static bool on_copy_in(db_session *session)
{
    if (session->flights.count != 1 || !db_flights_may_copy(session)) {
        return false;
    }
    session->copy_in = !session->back_mutes && !session->left;
    if (!session->copy_in) {
        auto_buf sp_buf fail = sp_buf_make(64);
        sp_pg_copy_fail_write(&fail, session->left ? "the client is gone" : "");
        return !sp_failed(db_stream_send(&session->back->stream, sp_buf_borrow(&fail)));
    }
    return true;
}

static bool ends(db_session *session, uint8_t front_type)
{
    const db_flight *head = db_flights_head(session);
    if (head == NULL || head->type != front_type) {
        return false;
    }
    db_flights_pop(session, DB_END_DONE);
    return true;
}

bool db_answers_head_is(db_session *session, uint8_t type, uint8_t other)
{
    const db_flight *head = db_flights_head(session);
    return head != NULL && (head->type == type || head->type == other);
}

/* A description ends a Describe, or belongs to a Query. */
static bool on_description(db_session *session)
{
    return db_answers_head_is(session, 'Q', 'Q') || ends(session, 'D');
}

static bool on_status(db_session *session, const sp_pg_msg *msg)
{
    sp_span name;
    sp_span value;
    if (sp_failed(sp_pg_status_read(msg->body, &name, &value))) {
        return false;
    }
    return db_judge_status(session, name, value) &&
           (!sp_span_eq(name, SP_SPAN_LIT("client_encoding")) ||
            sp_span_eq(value, SP_SPAN_LIT("UTF8")));
}

bool db_answers_move_on(db_session *session, const sp_pg_msg *msg)
{
    switch (msg->type) {
    case 'Z':
        return on_ready(session, msg);
    case 'C':
    case 'I':
    case 's':
        return on_complete(session, msg);
    case 'E':
        return on_error(session, msg);
    case 'G':
        return on_copy_in(session);
    case '1':
        return ends(session, 'P');
    case '2':
        return ends(session, 'B');
    case '3':
        return ends(session, 'C');
    case 'T':
    case 'n':
        return on_description(session);
    case 't':
        return db_answers_head_is(session, 'D', 'D');
    case 'V':
        return db_answers_head_is(session, 'F', 'F');
    case 'D':
    case 'd':
    case 'c':
    case 'H':
        return db_answers_head_is(session, 'Q', 'E');
    case 'S':
        return on_status(session, msg);
    default:
        return true; /* N, A */
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * Messages from the server to the client. Rows and copied data pass as runs of bytes, unless the
 * judge watches them; what tells how far an answer is, is looked at.
 * OWNS nothing. PROCESS db gate workers. TRUST the server may be anybody's: what does not fit to
 * what was asked cuts the connection, because then nobody knows whose answer it is.
 * SPEC gates/db/judge.h; PostgreSQL 15 manual, 55.2.
 */
#include "gates/db/db.h"

enum {
    CHUNKS_A_TURN = 8,
    CARRY_MAX_BYTES = DB_BACK_MAX_BYTES + 2 * DB_CHUNK_BYTES,
    LONG_WORDS_BYTES = 1024 * 1024, /* of errors and notices that are longer */
    BEGIN_BYTES = 64 * 1024,        /* so much is looked at, */
    WORDS_MAX_BYTES = 4 * 1024      /* and so much of each field goes on */
};

typedef enum { TOOK, MORE, STOP } step;

enum {
    KNOWN = 1 << 15,
    WHOLE = 1 << 14, /* needed whole, watched or not */
    ASYNC = 1 << 13  /* belongs to no answer */
};

static const uint16_t kinds[256] = {
    ['1'] = KNOWN,
    ['2'] = KNOWN,
    ['3'] = KNOWN,
    ['A'] = KNOWN | ASYNC | DB_WATCH_NOTIFICATION,
    ['C'] = KNOWN | WHOLE | DB_WATCH_COMPLETE,
    ['D'] = KNOWN | DB_WATCH_DATA_ROW,
    ['E'] = KNOWN | WHOLE | DB_WATCH_ERROR,
    ['G'] = KNOWN | DB_WATCH_COPY,
    ['H'] = KNOWN | DB_WATCH_COPY,
    ['I'] = KNOWN | WHOLE | DB_WATCH_COMPLETE,
    ['N'] = KNOWN | ASYNC | WHOLE | DB_WATCH_NOTICE,
    ['S'] = KNOWN | ASYNC | WHOLE | DB_WATCH_STATUS,
    ['T'] = KNOWN | DB_WATCH_ROW_DESCRIPTION,
    ['V'] = KNOWN,
    ['Z'] = KNOWN | WHOLE | DB_WATCH_READY,
    ['c'] = KNOWN | DB_WATCH_COPY_DATA,
    ['d'] = KNOWN | DB_WATCH_COPY_DATA,
    ['n'] = KNOWN,
    ['s'] = KNOWN | WHOLE | DB_WATCH_COMPLETE,
    ['t'] = KNOWN,
};

/* Nothing that the server says from here on can be followed. */
static void out_of_step(db_session *session, const char *what)
{
    db_refusal refusal;
    db_refuse(&refusal, "08P01", SP_REASON_UNPARSED, "%s", what);
    db_session_break(session, &refusal);
}

static void bad_answer(db_session *session)
{
    out_of_step(session, "the database server's answer does not fit to what was asked");
}

/* It can be, without a client. */
static void cut_short(db_session *session, const char *what)
{
    db_refusal refusal;
    db_refuse(&refusal, "08P01", SP_REASON_LIMIT, "%s", what);
    db_session_fail(session, &refusal);
}

/* Rows that nobody gets are not looked into. */
static bool is_watched(const db_session *session, uint8_t type)
{
    bool is_row = type == 'D' || type == 'd';
    return (session->watch & kinds[type]) != 0 && !(is_row && session->left);
}

/* ---- one message ---- */

static bool is_muted(const db_session *session, uint8_t type)
{
    return session->back_mutes && type != 'Z' && (kinds[type] & ASYNC) == 0;
}

/* Whatever a cancel may meet is muted: the answer under way and what stands behind it up to the
 * next Sync, which the client takes for skipped. */
static bool is_last_to_run(const db_session *session)
{
    bool is_over = db_flights_at(session, 0)->type == 'Q';
    for (uint32_t i = 1; i < session->flights.count; i++) {
        uint8_t type = db_flights_at(session, i)->type;
        if (is_over && type != 'S') {
            return false;
        }
        is_over = is_over || type == 'S' || type == 'Q';
    }
    return true;
}

/* Behind what has a limit nothing was sent (whole.c). Else what stands there may run, and what was
 * done in the same transaction may stay, which the client would take for skipped and undone. */
static bool is_undone(const db_session *session)
{
    /* then it is made to, at the one ReadyForQuery that is to come */
    uint32_t count = db_answers_ends_simple(db_flights_at(session, 0)) ? 1 : 2;
    bool fails =
        session->transaction != 'I' && !session->has_ended && session->flights.count <= count;
    for (uint32_t i = 1; i < session->flights.count; i++) {
        fails = fails && db_flights_at(session, i)->type == 'S';
    }
    return (db_flights_at(session, 0)->flags & DB_FLIGHT_LIMITED) != 0 || fails ||
           !session->has_changed;
}

/* The answer under way, or a Sync behind it, ends with ReadyForQuery. */
static bool comes_to_ready(const db_session *session)
{
    bool comes = false;
    for (uint32_t i = 0; i < session->flights.count && !comes; i++) {
        uint8_t type = db_flights_at(session, i)->type;
        comes = type == 'S' || (i == 0 && (type == 'Q' || type == 'F'));
    }
    return comes;
}

/* A result that may not go on: the client gets an error in it, and nothing more of it. What he
 * sends behind it is skipped up to Sync, as after an error of the server's, who knows of none yet.
 */
static step mute(db_session *session, db_run *run, const db_refusal *refusal)
{
    if (!is_undone(session) && session->left) {
        return TOOK; /* nobody takes it for undone */
    }
    if (!is_undone(session)) {
        db_session_fail(session, refusal);
        return STOP;
    }
    auto_buf sp_buf error = sp_buf_make(4096);
    db_refusal_write(refusal, "ERROR", &error);
    db_run_put(run, sp_buf_borrow(&error));
    session->back_mutes = true;
    session->skipping = !comes_to_ready(session);
    if (is_last_to_run(session)) {
        db_back_cancel(session->back);
    }
    return TOOK;
}

/* Errors and notices are of the answer under way, and may be as long as any. */
static void count_words(db_session *session, uint8_t type, size_t size)
{
    if ((type == 'E' || type == 'N') && session->flights.count > 0) {
        session->bytes_out += size;
    }
}

static step watched(db_session *session, db_run *run, const sp_pg_msg *msg, sp_span whole)
{
    static db_refusal refusal; /* large, and seldom looked at */
    auto_buf sp_buf instead = sp_buf_make((size_t)DB_BACK_MAX_BYTES * 2);
    db_flight *flight = (kinds[msg->type] & ASYNC) != 0 ? NULL : db_flights_head(session);
    refusal.reference = 0;
    switch (db_judge_back(session, msg, flight, &instead, &refusal)) {
    case DB_PASS:
        db_run_add(run, whole.ptr, whole.len);
        count_words(session, msg->type, whole.len);
        return TOOK;
    case DB_REPLACE:
        if (sp_failed(sp_buf_error(&instead))) {
            cut_short(session, "the gate has no memory left for this result");
            return STOP;
        }
        count_words(session, msg->type, instead.len);
        db_run_put(run, sp_buf_borrow(&instead));
        return TOOK;
    case DB_REFUSE:
        session->back_drops = true;
        return mute(session, run, &refusal);
    case DB_WAIT:
        session->back_waits = true;
        session->back_left = 0; /* it is taken up again from its beginning */
        return STOP;
    case DB_CUT:
        break;
    }
    db_session_fail(session, &refusal);
    return STOP;
}

static bool is_large(db_session *session, const sp_pg_msg *msg)
{
    bool is_row = msg->type == 'D' || msg->type == 'd';
    bool counts = is_row || msg->type == 'E' || msg->type == 'N';
    const db_flight *head = counts && !session->left ? db_flights_head(session) : NULL;
    return head != NULL && (head->flags & DB_FLIGHT_LARGE) == 0 &&
           ((is_row && session->rows >= session->large_rows) ||
            session->bytes_out + msg->body_len + SP_PG_HEAD_BYTES > session->large_bytes);
}

static bool is_fatal(const sp_pg_msg *msg)
{
    sp_pg_error error;
    return msg->type == 'E' && !sp_failed(sp_pg_error_read(msg->body, &error)) &&
           !sp_span_eq(error.severity, SP_SPAN_LIT("ERROR"));
}

/* The server ends for a reason of its own, whatever was sent last. */
static const db_poison *poison_of(db_session *session, const sp_pg_msg *msg)
{
    const db_flight *head = msg->type == 'E' && !is_fatal(msg) ? db_flights_head(session) : NULL;
    return head == NULL ? NULL : head->poison;
}

/* What the server answers to messages of ours; *ret_fits false: it does not fit. */
static bool is_ours(db_session *session, const sp_pg_msg *msg, bool *ret_fits)
{
    const db_flight *head = db_flights_head(session);
    *ret_fits = true;
    if (head == NULL || (kinds[msg->type] & ASYNC) != 0 || is_fatal(msg)) {
        return false;
    }
    if ((head->flags & DB_FLIGHT_GUARD) != 0) {
        return db_hold_guard_answer(session, msg, ret_fits);
    }
    if ((head->flags & DB_FLIGHT_OURS) != 0) {
        *ret_fits = db_hold_answer(session, msg);
        return true;
    }
    bool ends = session->hold == DB_HOLD_ENDING;
    if (msg->type == 'Z') {
        return (ends || session->hold == DB_HOLD_RUNNING) && db_hold_end(session, msg);
    }
    return ends && (msg->type == 'C' || (msg->type == 'E' && session->sqlstate[0] != '\0'));
}

static bool is_asked_by_us(db_session *session)
{
    const db_flight *head = db_flights_head(session);
    return head != NULL && (head->flags & DB_FLIGHT_OURS) != 0;
}

/* Instead of an answer to what waits, or to what we asked for it. */
static bool ends_waiting(db_session *session, const sp_pg_msg *msg)
{
    const db_flight *head = db_flights_head(session);
    return session->waits && is_fatal(msg) &&
           (head == NULL || (head->flags & (DB_FLIGHT_OURS | DB_FLIGHT_GUARD)) != 0);
}

static void tell_waiting(db_session *session, const sp_pg_msg *msg)
{
    sp_pg_error error = {.message = SP_SPAN_EMPTY};
    char sqlstate[6] = "08006";
    db_refusal refusal;
    SP_IGNORE(sp_pg_error_read(msg->body, &error)); /* then it is empty */
    if (error.sqlstate.len == 5) {
        SP_IGNORE(sp_fit(sqlstate, sizeof(sqlstate), error.sqlstate)); /* fits */
    }
    db_refuse(&refusal, sqlstate, SP_REASON_UNAVAILABLE,
              "the database server ended this connection while the statement waited: %.*s",
              (int)(error.message.len < 150 ? error.message.len : 150),
              error.message.len > 0 ? (const char *)error.message.ptr : "");
    db_session_break(session, &refusal);
}

/* whole: the message, or as much of it as is there when nobody needs more. */
static step message(db_session *session, db_run *run, const sp_pg_msg *msg, sp_span whole)
{
    bool fits = true;
    if (ends_waiting(session, msg)) {
        if (sp_failed(
                db_run_send(run, &session->front))) { /* what came before it is the client's */
            session->front_ended = true;
        }
        tell_waiting(session, msg);
        return STOP;
    }
    if (is_ours(session, msg, &fits)) {
        session->back_drops = true;
        if (!fits) {
            bad_answer(session);
        }
        return fits ? TOOK : STOP;
    }
    bool is_ending = session->back_mutes && msg->type == 'Z';
    bool is_swallowed = false;
    if (is_ending && !db_whole_end(session, msg, &is_swallowed)) {
        bad_answer(session);
        return STOP;
    }
    if (is_swallowed) {
        session->back_drops = true;
        return TOOK; /* the server raises an error first */
    }
    const db_poison *poison = poison_of(session, msg);
    if (poison != NULL) {
        db_run_put(run, sp_span_of(poison->error, poison->len));
    } else if (is_muted(session, msg->type)) {
        session->back_drops = true;
    } else if (is_watched(session, msg->type) || is_large(session, msg)) {
        step did = watched(session, run, msg, whole);
        if (did != TOOK) {
            return did;
        }
    } else {
        db_run_add(run, whole.ptr, whole.len);
        count_words(session, msg->type, whole.len);
    }
    if (!db_answers_move_on(session, msg) ||
        (session->back_mutes && !is_ending && !db_whole_end(session, msg, &is_swallowed))) {
        bad_answer(session);
        return STOP;
    }
    return TOOK;
}

/* ---- runs ---- */

/* The rest of a message is waited for, where there is room. */
static step gather(db_session *session, size_t size)
{
    size_t cap = session->back_carry.cap;
    if (size <= DB_SMALL_BYTES || size <= cap || db_share_fits(session, size - cap)) {
        return MORE;
    }
    db_refusal refusal;
    db_share_refuse(&refusal);
    db_session_fail(session, &refusal);
    return STOP;
}

/* Errors and notices may quote all that the client sent: of a long one the beginning goes on, and
 * the rest is dropped as it comes. */
static step long_words(db_session *session, db_run *run, const sp_pg_head *head, sp_span rest,
                       size_t *ret_used)
{
    if (rest.len < BEGIN_BYTES) {
        return MORE;
    }
    auto_buf sp_buf out = sp_buf_make(BEGIN_BYTES);
    sp_pg_error error =
        sp_pg_error_begin(sp_span_slice(rest, SP_PG_HEAD_BYTES, BEGIN_BYTES), WORDS_MAX_BYTES);
    sp_pg_error_write(&out, head->type, &error);
    if (sp_failed(sp_buf_error(&out))) {
        out_of_step(session, "the gate has no memory left for this result");
        return STOP;
    }
    sp_span whole = sp_buf_borrow(&out);
    const sp_pg_msg msg = {.type = head->type,
                           .whole = true,
                           .body_len = (uint32_t)(whole.len - SP_PG_HEAD_BYTES),
                           .body = sp_span_slice(whole, SP_PG_HEAD_BYTES, whole.len)};
    session->back_left = (uint32_t)(SP_PG_HEAD_BYTES + head->body_len - BEGIN_BYTES);
    *ret_used = BEGIN_BYTES;
    step did = message(session, run, &msg, whole);
    db_run_put(run, SP_SPAN_EMPTY); /* it goes with this call */
    session->back_drops = true;
    return did;
}

static step one(db_session *session, db_run *run, sp_span rest, size_t *ret_used)
{
    sp_pg_head head;
    sp_err err = sp_pg_head_read(rest, &head);
    if (err.code == SP_EAGAIN) {
        return MORE;
    }
    uint16_t kind = sp_failed(err) ? 0 : kinds[head.type];
    if ((kind & KNOWN) == 0) {
        out_of_step(session, "the database server sent a message that the gate does not know");
        return STOP;
    }
    size_t size = SP_PG_HEAD_BYTES + (size_t)head.body_len;
    if ((head.type == 'E' || head.type == 'N') && size > LONG_WORDS_BYTES) {
        return long_words(session, run, &head, rest, ret_used);
    }
    bool needed = (kind & WHOLE) != 0 || is_watched(session, head.type) || is_asked_by_us(session);
    if (needed && head.body_len > DB_BACK_MAX_BYTES) {
        cut_short(session, "a row is longer than the gate can look into");
        return STOP;
    }
    if (needed && rest.len < size) {
        return gather(session, size);
    }
    size_t here = rest.len < size ? rest.len : size;
    const sp_pg_msg msg = {.type = head.type,
                           .whole = here == size,
                           .body_len = head.body_len,
                           .body = sp_span_slice(rest, SP_PG_HEAD_BYTES, here)};
    session->back_left = (uint32_t)(size - here);
    session->back_drops = false;
    *ret_used = here;
    step did = message(session, run, &msg, sp_span_slice(rest, 0, here));
    if (did == TOOK && !session->back_mutes && (head.type == 'D' || head.type == 'd')) {
        session->rows += head.type == 'D' ? 1 : 0;
        session->copied += head.type == 'd' ? 1 : 0;
        session->bytes_out += size;
    }
    return did;
}

/* Rows that nobody watches, as far as they lie one behind the other. */
static size_t rows(db_session *session, db_run *run, sp_span rest)
{
    size_t used = 0;
    if (session->back_mutes || is_watched(session, 'D') || rest.ptr[0] != 'D' ||
        !db_answers_head_is(session, 'Q', 'E') ||
        (db_flights_head(session)->flags & DB_FLIGHT_OURS) != 0) {
        return 0;
    }
    bool may_be_large = session->left || (db_flights_head(session)->flags & DB_FLIGHT_LARGE) != 0;
    uint64_t rows_max = may_be_large ? UINT64_MAX : session->large_rows;
    uint64_t bytes_max = may_be_large ? UINT64_MAX : session->large_bytes;
    uint64_t left = bytes_max > session->bytes_out ? bytes_max - session->bytes_out : 0;
    while (rest.len - used >= SP_PG_HEAD_BYTES && rest.ptr[used] == 'D' &&
           session->rows < rows_max) {
        const uint8_t *at = rest.ptr + used + 1;
        size_t size = 1 + ((size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3]);
        if (size < SP_PG_HEAD_BYTES || size > rest.len - used || used + size > left) {
            break; /* the last one, a bad one, or one too many: one() looks at it */
        }
        used += size;
        session->rows++;
    }
    session->bytes_out += used;
    db_run_add(run, rest.ptr, used);
    return used;
}

static size_t more_of_it(db_session *session, db_run *run, sp_span rest)
{
    size_t len = rest.len < session->back_left ? rest.len : session->back_left;
    if (!session->back_drops) {
        db_run_add(run, rest.ptr, len);
    }
    session->back_left -= (uint32_t)len;
    return len;
}

static size_t take(db_session *session, sp_span in)
{
    db_run run = {.len = 0};
    size_t used = 0;
    while (used < in.len && session->at == DB_AT_OPEN) {
        sp_span rest = sp_span_slice(in, used, in.len);
        size_t more =
            session->back_left > 0 ? more_of_it(session, &run, rest) : rows(session, &run, rest);
        if (more == 0) {
            step did = one(session, &run, rest, &more);
            if (did == STOP && session->left) { /* it is taken again, for nobody */
                session->back_left = 0;
                session->back_resumed = true;
            }
            if (did != TOOK) {
                break;
            }
        }
        used += more;
    }
    if (session->at != DB_AT_OPEN) {
        return used;
    }
    session->mid_message = session->back_left > 0 && !session->back_drops;
    if (!session->left && sp_failed(db_run_send(&run, &session->front))) {
        session->front_ended = true;
    }
    return used;
}

static void take_bytes(db_session *session, sp_span bytes)
{
    sp_buf *carry = &session->back_carry;
    if (carry->len == 0) {
        size_t used = take(session, bytes);
        if (used < bytes.len && session->at == DB_AT_OPEN) {
            if (carry->max_bytes == 0) {
                *carry = sp_buf_make(CARRY_MAX_BYTES);
            }
            sp_buf_span(carry, sp_span_slice(bytes, used, bytes.len));
        }
    } else {
        sp_buf_span(carry, bytes);
        size_t used = take(session, sp_buf_borrow(carry));
        sp_buf_shed(carry, used);
    }
    if (sp_failed(sp_buf_error(carry)) && session->at == DB_AT_OPEN) {
        out_of_step(session, "the gate has no memory left for this result");
    }
}

/* The server is gone: what it said last has passed; if it did not say why, we do. */
static void server_gone(db_session *session)
{
    session->back_gone = true;
    if (session->fatal_passed || session->front_ended || session->left) {
        db_session_end(session);
        return;
    }
    db_refusal refusal;
    db_refuse(&refusal, "08006", SP_REASON_UNAVAILABLE,
              "the database server closed the connection");
    db_session_break(session, &refusal);
}

void db_pump_back(db_session *session)
{
    if (session->back_resumed && session->at == DB_AT_OPEN) {
        session->back_resumed = false;
        take_bytes(session, SP_SPAN_EMPTY);
    }
    for (unsigned chunks = 0; session->at == DB_AT_OPEN && !session->back_waits &&
                              db_stream_may_bring(&session->back->stream);
         chunks++) {
        if (!session->left && db_stream_is_stuck(&session->front)) {
            return; /* goes on when the client has taken it */
        }
        if (chunks == CHUNKS_A_TURN) {
            sp_loop_defer(db_here.loop, &session->again);
            return;
        }
        sp_span bytes;
        sp_err err = db_stream_receive(&session->back->stream, &bytes);
        if (err.code == SP_EAGAIN) {
            return;
        }
        if (sp_failed(err)) {
            server_gone(session);
            return;
        }
        take_bytes(session, bytes);
    }
}

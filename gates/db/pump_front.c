/* SPDX-License-Identifier: Apache-2.0
 * Messages from the client to the server, each past the judge.
 * OWNS nothing. PROCESS db gate workers. TRUST every byte is hostile: nothing is sent on before it
 * was judged, and of what is refused not a byte.
 * SPEC gates/db/judge.h; PostgreSQL 15 manual, 55.2.
 */
#include "gates/db/db.h"
#include "infra/proc/clock.h"

enum {
    CHUNKS_A_TURN = 8,
    TURN_US = 2000,    /* so long one client is judged: then it is the turn of others */
    FLIGHTS_EACH = 64, /* that a connection may always have */
    SYNCS_KEPT_BYTES = 64 * SP_PG_HEAD_BYTES,
    SMALL_MAX_BYTES =
        10000 - 4,              /* Describe, Execute, Close, Sync, CopyFail: as the server has it */
    CALL_MAX_BYTES = 64 * 1024, /* FunctionCall */
    CARRY_MAX_BYTES = DB_STATEMENT_MAX_BYTES + DB_RECEIVE_MAX_BYTES + 64
};

typedef enum { TOOK, MORE, STOP } step;

static const char no_memory[] = "the gate has no memory left for this statement";

static void send_run(db_session *session, db_run *run)
{
    if (sp_failed(db_run_send(run, &session->back->stream))) {
        session->back->stream.readable = true; /* its last words say why */
    }
}

/* What was judged before has gone first, as it would at a server. */
static step end_by(db_session *session, db_run *run, const db_refusal *refusal)
{
    send_run(session, run);
    db_session_fail(session, refusal);
    return STOP;
}

static step out_of_step(db_session *session, db_run *run, const char *what)
{
    db_refusal refusal;
    db_refuse(&refusal, "08P01", SP_REASON_UNPARSED, "%s", what);
    return end_by(session, run, &refusal);
}

/* ---- a Query in a pipeline ---- */

static sp_err guard(db_session *session, db_run *run)
{
    auto_buf sp_buf out = sp_buf_make(64);
    TRY(db_hold_guard(session, &out));
    db_run_put(run, sp_buf_borrow(&out));
    return sp_ok();
}

/* ---- refusing ---- */

static sp_err poison(db_session *session, db_run *run, uint8_t type, const db_refusal *refusal)
{
    auto_buf sp_buf error = sp_buf_make(4096);
    db_refusal_write(refusal, "ERROR", &error);
    TRY(sp_buf_error(&error));
    db_poison *kept = NULL;
    TRY(sp_alloc(1, sizeof(*kept) + error.len, &kept));
    kept->len = error.len;
    sp_copy(kept->error, error.ptr, error.len);
    bool simple = type == 'Q' || type == 'F';
    sp_err err = simple ? guard(session, run) : sp_ok();
    const db_flight flight = {.type = type, .word = db_judge_ours(session, type), .poison = kept};
    if (!sp_failed(err)) {
        err = db_flights_add(session, &flight);
    }
    if (sp_failed(err)) {
        sp_free(kept);
        return err;
    }
    auto_buf sp_buf instead = sp_buf_make(256);
    db_refusal_poison(simple, &instead);
    db_run_put(run, sp_buf_borrow(&instead));
    return sp_ok();
}

/* The server skips to a Sync, and behind a Query comes none: ours, whose answer is the client's. */
static sp_err sync_behind(db_session *session, db_run *run)
{
    auto_buf sp_buf sync = sp_buf_make(16);
    const db_flight flight = {.type = 'S', .word = db_judge_ours(session, 'S')};
    sp_pg_empty_write(&sync, 'S');
    TRY(db_flights_add(session, &flight));
    db_run_put(run, sp_buf_borrow(&sync));
    session->skipping = false;
    return sp_ok();
}

static sp_err refuse(db_session *session, db_run *run, uint8_t type, const db_refusal *refusal)
{
    /* what a client does not take waits at the server, and only so much is sent there */
    bool may_tell = !session->is_unsynced && !db_stream_is_stuck(&session->front);
    bool idle = session->flights.count == 0 && session->transaction == 'I' &&
                !session->mid_message && (may_tell || session->hold == DB_HOLD_HELD);
    bool is_simple = type == 'Q' || type == 'F';
    bool skips = session->hold == DB_HOLD_FAILED; /* the server has raised its error already */
    if (!skips && (type != 'Q' || !idle)) {
        return poison(session, run, type, refusal);
    }
    auto_buf sp_buf answer = sp_buf_make(4096);
    db_refusal_write(refusal, "ERROR", &answer);
    if (skips) {
        session->hold = DB_HOLD_NONE;
    } else {
        sp_pg_ready_write(&answer, 'I');
    }
    TRY(sp_buf_error(&answer));
    if (session->hold == DB_HOLD_HELD) {
        db_hold_undo(session, run);
    }
    TRY(skips && is_simple ? sync_behind(session, run) : sp_ok());
    return db_stream_send(&session->front, sp_buf_borrow(&answer));
}

/* ---- judging ---- */

/* Behind a Query or Sync they come by themselves; and what the server has to say of a time that was
 * over just then it says at the next message: not at one that has no answer. */
static void ask_for_answers(db_session *session, db_run *run)
{
    if (session->is_unsynced) {
        session->is_asked = true;
        auto_buf sp_buf flush = sp_buf_make(16);
        sp_pg_empty_write(&flush, 'H');
        db_run_put(run, sp_buf_borrow(&flush));
    }
}

/* took: what of rest belongs to the message; rest of it (body longer than rest) passes or is
 * dropped as it comes. */
static step judged(db_session *session, db_run *run, const sp_pg_msg *msg, sp_span took,
                   uint32_t left)
{
    bool counts = msg->type != 'd' && msg->type != 'c' && msg->type != 'f';
    db_flight flight = {.type = msg->type, .started_us = sp_loop_now_us(db_here.loop)};
    db_subject_active(session, flight.started_us);
    static db_refusal refusal; /* large, and seldom looked at */
    auto_buf sp_buf instead = sp_buf_make(DB_STATEMENT_MAX_BYTES * 2);
    /* the judge may send by itself when nothing is under way: a Flush is not to come behind that */
    if (session->flights.count == 0 && sp_failed(db_run_send(run, &session->back->stream))) {
        session->back->stream.readable = true; /* its last words say why */
        return STOP;
    }
    db_verdict verdict = db_judge_front(session, msg, counts ? &flight : NULL, &instead, &refusal);
    sp_err err = sp_ok();
    switch (verdict) {
    case DB_PASS:
    case DB_REPLACE:
        err = msg->type == 'Q' ? guard(session, run) : sp_buf_error(&instead);
        if (verdict == DB_PASS) {
            db_run_add(run, took.ptr, took.len);
        } else {
            db_run_put(run, sp_buf_borrow(&instead));
        }
        if (counts && !sp_failed(err)) {
            err = db_flights_add(session, &flight);
        }
        break;
    case DB_REFUSE:
        if (counts && msg->type != 'S') {
            err = refuse(session, run, msg->type, &refusal);
            break;
        }
        return end_by(session, run, &refusal); /* of a COPY under way there is no milder no */
    case DB_WAIT:
        session->waits = true;
        if (session->drains) {
            ask_for_answers(session, run);
        }
        return STOP;
    case DB_CUT:
        return end_by(session, run, &refusal);
    }
    if (sp_failed(err)) {
        return out_of_step(session, run, no_memory);
    }
    if (verdict != DB_REFUSE && session->hold == DB_HOLD_HELD) {
        session->hold = DB_HOLD_RUNNING;
    }
    if (counts) {
        session->is_unsynced = msg->type != 'S' && msg->type != 'Q' && msg->type != 'F';
    }
    session->front_left = left;
    session->front_drops = verdict != DB_PASS;
    return TOOK;
}

/* Not a byte of it is sent on. */
static step drop(db_session *session, const sp_pg_head *head, sp_span rest, size_t *ret_used)
{
    size_t have = rest.len - SP_PG_HEAD_BYTES;
    *ret_used = SP_PG_HEAD_BYTES + (have < head->body_len ? have : head->body_len);
    session->front_left = (uint32_t)(SP_PG_HEAD_BYTES + head->body_len - *ret_used);
    session->front_drops = true;
    return TOOK;
}

/* Before all of it is here. */
static step refuse_unread(db_session *session, db_run *run, const sp_pg_head *head, sp_span rest,
                          const db_refusal *refusal, size_t *ret_used)
{
    db_judge_unjudged(session, refusal);
    if (sp_failed(refuse(session, run, head->type, refusal))) {
        return out_of_step(session, run, no_memory);
    }
    session->is_unsynced = head->type == 'P';
    return drop(session, head, rest, ret_used);
}

static step too_long(db_session *session, db_run *run, const sp_pg_head *head, sp_span rest,
                     size_t *ret_used)
{
    db_refusal refusal;
    bool calls = head->type == 'F';
    db_refuse(&refusal, "54000", SP_REASON_LIMIT,
              "the %s is longer than the gate judges (%u of at most %u bytes)",
              calls ? "function call" : "statement", (unsigned)head->body_len,
              calls ? (unsigned)CALL_MAX_BYTES : (unsigned)DB_STATEMENT_MAX_BYTES);
    return refuse_unread(session, run, head, rest, &refusal, ret_used);
}

/* How much of a body must be there before it is judged; UINT32_MAX: it is never taken. */
static uint32_t wanted(const sp_pg_head *head)
{
    switch (head->type) {
    case 'Q':
    case 'P':
        return head->body_len <= DB_STATEMENT_MAX_BYTES ? head->body_len : UINT32_MAX;
    case 'B':
        return head->body_len <= DB_BIND_WHOLE_BYTES ? head->body_len : DB_BIND_WHOLE_BYTES;
    case 'F':
        return head->body_len <= CALL_MAX_BYTES ? head->body_len : UINT32_MAX;
    default:
        return head->body_len <= SMALL_MAX_BYTES ? head->body_len : UINT32_MAX;
    }
}

/* The rest of it is waited for, where there is room. */
static step gather(db_session *session, db_run *run, const sp_pg_head *head, sp_span rest,
                   size_t *ret_used)
{
    size_t cap = session->front_carry.cap;
    size_t more = head->body_len > cap ? head->body_len - cap : 0;
    if (wanted(head) <= DB_SMALL_BYTES || more == 0 || db_share_fits(session, more)) {
        return MORE;
    }
    db_refusal refusal;
    db_share_refuse(&refusal);
    return refuse_unread(session, run, head, rest, &refusal, ret_used);
}

static step one_message(db_session *session, db_run *run, const sp_pg_head *head, sp_span rest,
                        size_t *ret_used)
{
    uint32_t want = wanted(head);
    if (want == UINT32_MAX && (head->type == 'Q' || head->type == 'P' || head->type == 'F')) {
        return too_long(session, run, head, rest, ret_used);
    }
    if (want == UINT32_MAX) {
        return out_of_step(session, run, "a message is longer than its kind may be");
    }
    if (rest.len < SP_PG_HEAD_BYTES + (size_t)want) {
        return gather(session, run, head, rest, ret_used);
    }
    const sp_pg_msg msg = {.type = head->type,
                           .whole = want == head->body_len,
                           .body_len = head->body_len,
                           .body = sp_span_slice(rest, SP_PG_HEAD_BYTES, SP_PG_HEAD_BYTES + want)};
    *ret_used = SP_PG_HEAD_BYTES + want;
    return judged(session, run, &msg, sp_span_slice(rest, 0, *ret_used), head->body_len - want);
}

/* CopyData, as many messages as there are, as one run. */
static step copy_data(db_session *session, db_run *run, sp_span rest, size_t *ret_used)
{
    size_t used = 0;
    sp_pg_head head;
    uint32_t left = 0;
    while (used < rest.len &&
           !sp_failed(sp_pg_head_read(sp_span_slice(rest, used, rest.len), &head)) &&
           head.type == 'd') {
        size_t have = rest.len - used - SP_PG_HEAD_BYTES;
        size_t take = have < head.body_len ? have : head.body_len;
        session->bytes_in += head.body_len;
        left = (uint32_t)(head.body_len - take);
        used += SP_PG_HEAD_BYTES + take;
    }
    const sp_pg_msg msg = {
        .type = 'd', .body_len = (uint32_t)used, .body = sp_span_slice(rest, 0, used)};
    *ret_used = used;
    return judged(session, run, &msg, msg.body, left);
}

/* ---- the order of messages ---- */

/* While COPY reads data. A Sync is nothing then, unless an error that is on its way ends COPY
 * before it: until data comes behind it, nobody knows. A message that does not belong there ends
 * COPY with an error, and is taken behind it. False: it is as it stands. */
static bool waits_for_copy(db_session *session, db_run *run, sp_span rest)
{
    size_t at = 0;
    while (at < rest.len && (rest.ptr[at] == 'S' || rest.ptr[at] == 'H')) {
        at += SP_PG_HEAD_BYTES;
    }
    if (at >= rest.len) {
        return at > 0 && at <= SYNCS_KEPT_BYTES;
    }
    bool fits = sp_span_index(SP_SPAN_LIT("dcfX"), rest.ptr[at]) < 4;
    if (!fits && !session->copy_fails) {
        auto_buf sp_buf fail = sp_buf_make(64);
        sp_pg_copy_fail_write(&fail, "another message came before the end of the data");
        db_run_put(run, sp_buf_borrow(&fail));
        session->copy_fails = true;
    }
    return !fits;
}

/* Why it does not belong there; NULL: it does. */
static const char *not_here(const sp_pg_head *head)
{
    uint8_t type = head->type;
    if (!sp_pg_is_front(type) || type == 'p') {
        return "a message came that does not belong there";
    }
    /* where its body is left out, the server takes what follows for it */
    return (type == 'H' || type == 'S' || type == 'c') && head->body_len > 0
               ? "a message came with a body that has none"
               : NULL;
}

/* What a server in its COPY state makes of it, and what it skips after an error. */
static step message(db_session *session, db_run *run, const sp_pg_head *head, sp_span rest,
                    size_t *ret_used)
{
    uint8_t type = head->type;
    bool small = head->body_len <= SMALL_MAX_BYTES;
    const char *error = not_here(head);
    if (error != NULL) {
        return out_of_step(session, run, error);
    }
    bool data = type == 'd' || type == 'c' || type == 'f';
    if (data && !session->copy_in) { /* the server would take no notice of it, or raise an error */
        return drop(session, head, rest, ret_used);
    }
    if (type == 'd') {
        return copy_data(session, run, rest, ret_used);
    }
    if ((small && rest.len < SP_PG_HEAD_BYTES + (size_t)head->body_len) ||
        (session->copy_in && waits_for_copy(session, run, rest))) {
        return MORE;
    }
    if (type == 'X') {
        session->front_ended = session->said_bye = true;
        return STOP;
    }
    bool ordinary = !data && type != 'H' && type != 'S';
    session->copy_in = session->copy_in && !data;
    bool skipped = (session->copy_in && !data) ||
                   (session->skipping && ordinary && session->hold != DB_HOLD_FAILED);
    if (type == 'S') {
        session->skipping = false;
    }
    if (skipped || type == 'H') {
        if (!skipped) {
            ask_for_answers(session, run); /* a Flush */
        }
        return drop(session, head, rest, ret_used);
    }
    return one_message(session, run, head, rest, ret_used);
}

static step more_of_it(db_session *session, db_run *run, sp_span rest, size_t *ret_used)
{
    size_t len = rest.len < session->front_left ? rest.len : session->front_left;
    if (!session->front_drops) {
        db_run_add(run, rest.ptr, len);
    }
    session->front_left -= (uint32_t)len;
    *ret_used = len;
    return TOOK;
}

/* A statement runs in a transaction of ours (and reads no data), which may still end, may be a COPY
 * that does, or has an answer that may be refused: that waits for its end, or for the server's
 * word. An answer was refused: what comes behind its Sync waits until the transaction has failed.
 */
static bool is_alone(const db_session *session)
{
    return (session->hold == DB_HOLD_RUNNING && !session->copy_in) ||
           session->hold == DB_HOLD_ENDING || session->hold == DB_HOLD_UNDOING ||
           session->copy_fails || (session->back_mutes && !session->skipping) ||
           db_flights_is_alone(session);
}

/* Too many messages wait for answers: others wait for these. */
static bool is_full(db_session *session)
{
    uint32_t count = session->flights.count;
    return count >= DB_FLIGHTS_MAX || (count >= FLIGHTS_EACH && !db_share_fits(session, 0));
}

static step next(db_session *session, db_run *run, sp_span rest, size_t *ret_used)
{
    if (session->front_left > 0) {
        return more_of_it(session, run, rest, ret_used);
    }
    if (is_alone(session)) {
        session->full = true;
        return STOP;
    }
    if (is_full(session)) {
        return STOP;
    }
    sp_pg_head head;
    sp_err err = sp_pg_head_read(rest, &head);
    if (err.code == SP_EAGAIN) {
        return MORE;
    }
    if (sp_failed(err) || head.body_len > SP_PG_FRONT_BODY_MAX_BYTES) {
        return out_of_step(session, run, "a message has an impossible length");
    }
    return message(session, run, &head, rest, ret_used);
}

/* Takes what it can of in, as long as its turn lasts; how much. */
static size_t take(db_session *session, sp_span in)
{
    db_run run = {.len = 0};
    size_t used = 0;
    uint64_t began_us = sp_now_steady_us();
    while (used < in.len && session->at == DB_AT_OPEN) {
        if (used > 0 && sp_now_steady_us() > began_us + TURN_US) {
            session->full = session->turn_over = true;
            break;
        }
        size_t more = 0;
        step did = next(session, &run, sp_span_slice(in, used, in.len), &more);
        if (did != TOOK) {
            break;
        }
        used += more;
    }
    db_turn_took(sp_now_steady_us() - began_us);
    if (used > 0 && session->at == DB_AT_OPEN && db_flights_is_alone(session)) {
        ask_for_answers(session, &run); /* nothing more is read before they come */
    }
    if (session->at == DB_AT_OPEN) {
        send_run(session, &run);
    }
    return used;
}

static void take_carry(db_session *session)
{
    size_t used = take(session, sp_buf_borrow(&session->front_carry));
    sp_buf_shed(&session->front_carry, used);
}

static void take_bytes(db_session *session, sp_span bytes)
{
    sp_buf *carry = &session->front_carry;
    if (carry->len > 0) {
        sp_buf_span(carry, bytes);
        take_carry(session);
    } else {
        size_t used = take(session, bytes);
        if (used < bytes.len) {
            if (carry->max_bytes == 0) {
                *carry = sp_buf_make(CARRY_MAX_BYTES);
            }
            sp_buf_span(carry, sp_span_slice(bytes, used, bytes.len));
        }
    }
    if (sp_failed(sp_buf_error(carry)) && session->at == DB_AT_OPEN && !session->left) {
        db_run none = {.len = 0};
        (void)out_of_step(session, &none, no_memory);
    }
}

/* Events come faster than the disk takes them: statements wait a moment instead of being refused.
 */
static bool is_crowded(db_session *session)
{
    if (!sp_recorder_is_crowded(&db_here.recorder)) {
        return false;
    }
    sp_recorder_press(&db_here.recorder);
    return !sp_failed(sp_timer_set(db_here.loop, &session->timer, DB_CROWDED_US));
}

static bool may_read(db_session *session)
{
    return session->at == DB_AT_OPEN && !session->left && !session->front_ended &&
           session->back->cancel == NULL && !db_stream_is_stuck(&session->back->stream) &&
           !is_full(session) && (!session->waits || session->resumed) && !is_alone(session);
}

/* What is answered makes it, whether anything more of the client is here or not. */
static void make_room(db_session *session)
{
    db_run run = {.len = 0};
    session->full = true;
    if (!session->is_asked) {
        ask_for_answers(session, &run);
        send_run(session, &run);
    }
}

void db_pump_front(db_session *session)
{
    for (unsigned chunks = 0; may_read(session); chunks++) {
        if (!session->resumed && !session->full && !db_stream_may_bring(&session->front)) {
            return;
        }
        if (is_crowded(session)) {
            return;
        }
        if (chunks == CHUNKS_A_TURN || session->turn_over || !db_turn_is(session)) {
            session->turn_over = false;
            db_turn_wait(session);
            return;
        }
        if (session->resumed || session->full) {
            session->waits = session->resumed = session->full = false;
            take_carry(session);
            continue;
        }
        sp_span bytes;
        sp_err err = db_stream_receive(&session->front, &bytes);
        if (err.code == SP_EAGAIN) {
            return;
        }
        if (sp_failed(err)) {
            session->front_ended = true;
            return;
        }
        take_bytes(session, bytes);
    }
    if (session->at == DB_AT_OPEN && !session->left && is_full(session)) {
        make_room(session);
    }
}

/* ---- what is not read ---- */

static bool has_goodbye(const db_session *session)
{
    sp_span rest = sp_buf_borrow(&session->front_carry);
    sp_pg_head head;
    rest = sp_span_slice(rest, session->front_left, rest.len);
    while (!sp_failed(sp_pg_head_read(rest, &head)) && head.type != 'X') {
        rest = sp_span_slice(rest, SP_PG_HEAD_BYTES + (size_t)head.body_len, rest.len);
    }
    return rest.len >= SP_PG_HEAD_BYTES && rest.ptr[0] == 'X';
}

db_rest db_pump_front_rest(db_session *session)
{
    sp_buf *carry = &session->front_carry;
    if (may_read(session)) {
        return DB_REST_OPEN;
    }
    carry->max_bytes = CARRY_MAX_BYTES;
    sp_err err = session->front_read ? sp_fail(SP_ECLOSED) : sp_ok();
    while (!sp_failed(err) && carry->len + DB_RECEIVE_MAX_BYTES <= CARRY_MAX_BYTES &&
           db_share_fits(session, DB_RECEIVE_MAX_BYTES)) {
        sp_span bytes = SP_SPAN_EMPTY;
        err = db_stream_receive(&session->front, &bytes);
        sp_buf_span(carry, bytes);
        session->full = true; /* it is taken in its turn */
    }
    session->front_read = sp_failed(err) && err.code != SP_EAGAIN;
    if (!session->front_read) {
        return DB_REST_OPEN;
    }
    return has_goodbye(session) ? DB_REST_BYE : DB_REST_GONE;
}

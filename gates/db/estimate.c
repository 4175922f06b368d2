/* SPDX-License-Identifier: Apache-2.0
 * What a statement would do, before it does: its plan, the rows it expects to change, and what
 * stands on the relations that it takes away.
 *
 * The server is asked over a connection of its own, with the session's account and its search path.
 * Everything there is read-only and has a short time: EXPLAIN plans and never runs, and one message
 * of the extended protocol holds one statement. Planning may compute what is declared IMMUTABLE;
 * what calls code that nobody vouches for is not planned at all. Nothing depends on an answer:
 * without one, people are told so.
 *
 * OWNS an estimate and its connection, one a session. PROCESS db gate workers. TRUST what the
 * server says is bounded and shown, never run. SPEC gates/db/judging.h; PostgreSQL 15 manual,
 * EXPLAIN.
 */
#include "gates/db/estimating.h"
#include "lib/policy/database.h"
#include "lib/sql/plan.h"
#include "lib/sql/redact.h"

#include <stddef.h>
#include <stdio.h>

enum {
    ANSWER_US = 4000000, /* all of it together */
    IDLE_TICKS = 10,     /* the connection is kept so long */
    OUT_MAX_BYTES = 16 << 20,
    CARRY_MAX_BYTES = 2 << 20,
    LINES_MAX_BYTES = 6000,
    LINE_MAX_BYTES = 300,
    PATH_MAX_BYTES = 1024
};

static const char no_room[] = "the gate has no room left for a plan";

/* ---- the end of it ---- */

void db_estimate_why(db_estimated *found, const char *why)
{
    if (found->why_not[0] == '\0') {
        snprintf(found->why_not, sizeof(found->why_not), "%s", why);
    }
}

/* What was explained, and not more than the tables hold; where there is no plan, all rows of the
 * relations that it acts on. What meets more than these has no bound. */
static void settle(db_estimate *e)
{
    db_estimated *found = &e->found;
    bool lacks = found->counted < found->planned || e->takes_all;
    if (found->counted < found->planned) {
        db_estimate_why(found, "the database did not tell all of its plan");
    }
    if (e->is_open || e->makes_all || (e->makes && found->counted < found->planned)) {
        db_estimate_why(found, "not all that it meets can be named and counted");
        found->has_bound = false;
    }
    if (lacks && found->rows < found->touched_rows) {
        found->rows = found->touched_rows;
    }
    if (e->hides && found->touched_rows > found->rows) {
        found->hidden_rows = found->touched_rows - found->rows;
    }
    found->is_told = found->planned > 0 && !lacks && !e->is_untold && found->falling_rows == 0;
    if (!e->adds && found->planned == 1 && found->has_bound && found->rows > found->bound) {
        found->rows = found->bound;
    }
}

static void done(db_estimate *e, const char *why)
{
    sp_timer_clear(db_here.loop, &e->timer);
    if (why != NULL) {
        db_estimate_why(&e->found, why);
        db_back_close(e->back);
        e->back = NULL;
        e->ready = false;
    }
    settle(e);
    sp_buf_done(&e->out);
    sp_buf_done(&e->carry);
    e->state = DONE;
    e->idle_ticks = 0;
    db_session_resume(e->session);
}

static void on_late(sp_timer *timer)
{
    db_estimate *e = (db_estimate *)(void *)((uint8_t *)timer - offsetof(db_estimate, timer));
    done(e, "the database did not tell its plan in time");
}

/* ---- answers ---- */

static void take_line(db_estimate *e, sp_span line)
{
    auto_buf sp_buf shown = sp_buf_make(LINE_MAX_BYTES + 16);
    auto_buf sp_buf piece = sp_buf_make(LINE_MAX_BYTES * 8);
    sp_sql_redact(line, e->is_secret, LINE_MAX_BYTES, &shown);
    sp_buf_text(&piece, e->lines.len > 0 ? "," : "");
    sp_buf_json(&piece, sp_buf_borrow(&shown));
    if (e->lines.len + piece.len <= LINES_MAX_BYTES) {
        sp_buf_span(&e->lines, sp_buf_borrow(&piece));
    }
}

static void take_row(db_estimate *e, sp_span body)
{
    if (e->stages[e->stage] == STAGE_SHOW) {
        db_settings_take(&e->own, NULL, body);
        return;
    }
    sp_pg_data_row row;
    sp_span values[DB_TOUCH_VALUES] = {SP_SPAN_EMPTY};
    if (sp_failed(sp_pg_data_row_read(body, &row))) {
        return;
    }
    sp_span rest = row.values;
    bool is_null = false;
    for (size_t i = 0; i < DB_TOUCH_VALUES && sp_pg_value_next(&rest, &values[i], &is_null); i++) {
        values[i] = is_null ? SP_SPAN_EMPTY : values[i];
    }
    sp_sql_plan plan;
    switch (e->stages[e->stage]) {
    case STAGE_QUIET:
    case STAGE_SHOW:
    case STAGE_SET:
        break;
    case STAGE_JSON:
        if (!sp_failed(sp_sql_plan_read(values[0], &plan))) {
            e->found.rows += plan.rows < UINT32_MAX ? plan.rows : UINT32_MAX;
            e->adds = e->adds || plan.adds;
            e->is_untold = e->is_untold || !plan.is_told;
            e->hides = e->hides || plan.hides;
            e->found.counted++;
        }
        break;
    case STAGE_TEXT:
        take_line(e, values[0]);
        break;
    case STAGE_TOUCHES:
        db_touches_take(values, &e->found, &e->touches);
        break;
    }
}

static void take_error(db_estimate *e, sp_span body)
{
    sp_pg_error error = {.message = SP_SPAN_EMPTY};
    char why[160];
    auto_buf sp_buf shown = sp_buf_make(sizeof(why));
    SP_IGNORE(sp_pg_error_read(body, &error)); /* then it is empty */
    sp_sql_redact(error.message, e->is_secret, 120, &shown);
    sp_span text = sp_buf_borrow(&shown);
    snprintf(why, sizeof(why), "the database says: %.*s", SP_SPAN_ARG(text));
    if (e->stages[e->stage] != STAGE_QUIET && e->stages[e->stage] != STAGE_TEXT) {
        db_estimate_why(&e->found, why);
    }
    e->is_open = e->is_open || e->stages[e->stage] == STAGE_TOUCHES;
}

/* False when all is answered, or it went wrong. */
static bool take_message(db_estimate *e, const sp_pg_head *head, sp_span body)
{
    if (e->stage >= e->stage_count) {
        return false;
    }
    if (head->type == 'D') {
        take_row(e, body);
    } else if (head->type == 'E') {
        take_error(e, body);
    } else if (head->type == 'Z' && ++e->stage == e->stage_count) {
        done(e, NULL);
        return false;
    }
    return true;
}

static void take_bytes(db_estimate *e)
{
    size_t used = 0;
    sp_span in = sp_buf_borrow(&e->carry);
    sp_pg_head head;
    while (!sp_failed(sp_pg_head_read(sp_span_slice(in, used, in.len), &head)) &&
           in.len - used >= SP_PG_HEAD_BYTES + (size_t)head.body_len) {
        sp_span body =
            sp_span_slice(in, used + SP_PG_HEAD_BYTES, used + SP_PG_HEAD_BYTES + head.body_len);
        used += SP_PG_HEAD_BYTES + head.body_len;
        if (!take_message(e, &head, body)) {
            return;
        }
    }
    sp_buf_drop(&e->carry, used);
}

/* ---- the connection ---- */

static void on_stream(db_back *back)
{
    db_estimate *e = back->calls.self;
    sp_span bytes;
    sp_err err = sp_ok();
    SP_IGNORE(db_stream_flush(&back->stream)); /* a broken one shows when it is read */
    while (e->back == back && !sp_failed(err = db_back_hear(back, e->state == WAITING, &bytes))) {
        if (e->state == WAITING) {
            sp_buf_span(&e->carry, bytes);
            take_bytes(e);
        }
        if (e->state == WAITING && e->carry.len > DB_SMALL_BYTES && !db_share_fits(e->session, 0)) {
            done(e, no_room);
        }
    }
    if (e->back != back || err.code == SP_EAGAIN) {
        if (e->back == back && e->state == WAITING && sp_failed(sp_buf_error(&e->carry))) {
            done(e, "the plan is longer than the gate reads");
        }
        return;
    }
    if (e->state == WAITING) {
        done(e, "the connection to the database ended");
        return;
    }
    db_back_close(e->back);
    e->back = NULL;
    e->ready = false;
}

static void ask_now(db_estimate *e)
{
    sp_err err = sp_buf_error(&e->out);
    if (!sp_failed(err)) {
        err = db_stream_send(&e->back->stream, sp_buf_borrow(&e->out));
        sp_buf_done(&e->out);
    }
    if (sp_failed(err)) {
        done(e, "the database could not be asked for a plan");
    }
}

static void on_ready(db_back *back)
{
    db_estimate *e = back->calls.self;
    e->ready = true;
    if (e->state == WAITING) {
        ask_now(e);
    }
}

static void on_failed(db_back *back, const char *sqlstate, const char *why)
{
    db_estimate *e = back->calls.self;
    (void)sqlstate;
    if (e->state == WAITING) {
        done(e, why);
    }
}

static sp_err open_connection(db_estimate *e)
{
    const db_session *session = e->session;
    sp_database_resource to;
    auto_buf sp_buf path = sp_buf_make(PATH_MAX_BYTES);
    if (!sp_policy_database_resource(&session->snapshot->policy, session->resource, &to)) {
        return sp_fail(SP_ENOTFOUND);
    }
    db_open_path(session, &to, &path);
    TRY(sp_buf_error(&path));
    const sp_span pairs[] = {SP_SPAN_LIT("client_encoding"),
                             SP_SPAN_LIT("UTF8"),
                             SP_SPAN_LIT("application_name"),
                             SP_SPAN_LIT("sallyport plan"),
                             SP_SPAN_LIT("search_path"),
                             sp_buf_borrow(&path),
                             SP_SPAN_LIT("default_transaction_read_only"),
                             SP_SPAN_LIT("on"),
                             SP_SPAN_LIT("jit"), /* compiling takes longer than the questions */
                             SP_SPAN_LIT("off"),
                             SP_SPAN_LIT("statement_timeout"),
                             SP_SPAN_LIT("2000"),
                             SP_SPAN_LIT("lock_timeout"),
                             SP_SPAN_LIT("1000")};
    const db_back_ask ask = {.policy = &session->snapshot->policy,
                             .resource = session->resource,
                             .account = sp_span_cstr(session->account),
                             .database = sp_span_cstr(session->database),
                             .parameters = pairs,
                             .parameter_count = SP_COUNT(pairs) / 2};
    const db_back_calls calls = {
        .on_ready = on_ready, .on_failed = on_failed, .on_stream = on_stream, .self = e};
    TRY(db_back_open(&ask, &calls, &e->back));
    db_judge_attend(e->session);
    return sp_ok();
}

/* ---- asking ---- */

static db_estimate *estimate_of(db_session *session)
{
    db_judge *judge = db_session_judge(session);
    if (judge->estimate == NULL && !sp_failed(sp_alloc(1, sizeof(db_estimate), &judge->estimate))) {
        judge->estimate->session = session;
        judge->estimate->timer = (sp_timer){.on_time = on_late};
    }
    return judge->estimate;
}

static void begin(db_estimate *e, const db_run_ask *run, const sp_hash *hash)
{
    sp_span stars = SP_SPAN_LIT("***");
    e->hash = *hash;
    e->state = WAITING;
    e->found = (db_estimated){.rows = 0};
    e->stage = e->stage_count = 0;
    e->is_secret = sp_span_find(run->shown, stars) < run->shown.len;
    sp_buf_done(&e->lines);
    sp_buf_done(&e->touches);
    e->lines = sp_buf_make(LINES_MAX_BYTES + 16);
    e->touches = sp_buf_make(DB_TOUCHES_MAX_BYTES);
    e->out = sp_buf_make(OUT_MAX_BYTES);
    e->carry = sp_buf_make(CARRY_MAX_BYTES);
    e->takes_all = e->makes = e->makes_all = false;
    e->adds = e->is_untold = e->hides = false;
    e->is_open = false;
    bool asks = run->ruling->decision.verdict == SP_VERDICT_ASK;
    e->unheld = asks ? db_hold_cannot(e->session, run) : NULL;
    db_estimate_write_asked(e, run);
    bool fits = e->out.cap <= DB_SMALL_BYTES || db_share_fits(e->session, 0);
    if (e->stage_count == 0 || !fits) {
        done(e, fits ? NULL : no_room);
        return;
    }
    sp_err err = sp_timer_set(db_here.loop, &e->timer, ANSWER_US);
    if (!sp_failed(err) && e->back == NULL) {
        err = open_connection(e);
    } else if (!sp_failed(err) && e->ready) {
        ask_now(e);
    }
    if (sp_failed(err)) {
        done(e, "the database could not be asked for a plan");
    }
}

const db_estimated *db_estimate_ask(db_session *session, const db_run_ask *run, const sp_hash *hash)
{
    static const db_estimated unknown = {.why_not = "the gate has no memory left for a plan"};
    db_estimate *e = estimate_of(session);
    if (e == NULL) {
        return &unknown;
    }
    if (e->state == NONE || !sp_hash_eq(&e->hash, hash)) {
        begin(e, run, hash);
    }
    return e->state == DONE ? &e->found : NULL;
}

void db_estimate_settings_begin(db_session *session)
{
    db_estimate *e = estimate_of(session);
    if (e != NULL) {
        e->theirs = (db_settings){.are_known = false};
    }
}

void db_estimate_setting(db_session *session, sp_span body)
{
    db_estimate *e = db_session_judge(session)->estimate;
    if (e != NULL) {
        db_settings_take(&e->theirs, &db_session_judge(session)->reported, body);
    }
}

bool db_estimate_settings_write(const db_session *session, sp_buf *out)
{
    const db_estimate *e = db_session_judge(session)->estimate;
    return e != NULL && db_settings_differ(&e->theirs, &e->own, out);
}

void db_estimate_write(const db_session *session, sp_buf *out)
{
    const db_estimate *e = db_session_judge(session)->estimate;
    if (e == NULL || e->state != DONE) {
        return;
    }
    sp_buf_text(out, "{\"lines\":[");
    sp_buf_span(out, sp_buf_borrow(&e->lines));
    sp_buf_text(out, "],\"touches\":[");
    sp_buf_span(out, sp_buf_borrow(&e->touches));
    sp_buf_fmt(out, "],\"left_out\":%u,\"why_not\":", e->found.left_out);
    if (e->found.why_not[0] == '\0') {
        sp_buf_text(out, "null");
    } else {
        sp_buf_json(out, sp_span_cstr(e->found.why_not));
    }
    sp_buf_text(out, ",\"unheld\":");
    if (e->unheld == NULL) {
        sp_buf_text(out, "null");
    } else {
        sp_buf_json(out, sp_span_cstr(e->unheld));
    }
    sp_buf_text(out, "}");
}

size_t db_estimate_bytes(const db_session *session)
{
    const db_estimate *e = db_session_judge(session)->estimate;
    size_t bytes = e == NULL ? 0 : sizeof(*e) + e->out.cap + e->carry.cap;
    return bytes + (e == NULL || e->back == NULL ? 0 : e->back->stream.out.cap);
}

bool db_estimate_waits(const db_session *session)
{
    const db_estimate *e = db_session_judge(session)->estimate;
    return e != NULL && e->state == WAITING;
}

void db_estimate_forget(db_session *session)
{
    db_estimate *e = db_session_judge(session)->estimate;
    if (e == NULL || e->state == NONE) {
        return;
    }
    if (e->state == WAITING) { /* answers would belong to nobody */
        sp_timer_clear(db_here.loop, &e->timer);
        db_back_close(e->back);
        e->back = NULL;
        e->ready = false;
        sp_buf_done(&e->out);
        sp_buf_done(&e->carry);
    }
    sp_buf_done(&e->lines);
    sp_buf_done(&e->touches);
    e->state = NONE;
}

bool db_estimate_tick(db_session *session)
{
    db_estimate *e = db_session_judge(session)->estimate;
    if (e != NULL && e->state != WAITING && e->back != NULL && ++e->idle_ticks > IDLE_TICKS) {
        db_back_close(e->back);
        e->back = NULL;
        e->ready = false;
    }
    return e != NULL && e->back != NULL;
}

void db_estimate_gone(db_session *session)
{
    db_judge *judge = db_session_judge(session);
    if (judge->estimate != NULL) {
        db_estimate_forget(session);
        db_back_close(judge->estimate->back);
        sp_free(judge->estimate);
        judge->estimate = NULL;
    }
}

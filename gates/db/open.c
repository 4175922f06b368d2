/* SPDX-License-Identifier: Apache-2.0
 * From a person who is known to messages that pass: the resource, the judge's word, the server.
 * OWNS nothing. PROCESS db gate workers. TRUST names come from the client and are looked up only.
 * SPEC gates/db/db.h, lib/policy/database.h.
 */
#include "gates/db/db.h"
#include "infra/proc/log.h"
#include "lib/policy/database.h"

#include <stdio.h>

enum { OPEN_US = 20000000, PAIRS_MAX = 24, PATH_MAX_BYTES = 1024 };

static void refuse(db_session *session, const char *sqlstate, sp_reason reason, const char *what)
{
    db_refusal refusal;
    db_refuse(&refusal, sqlstate, reason, "%s", what);
    db_session_fail(session, &refusal);
}

/* ---- the server is ready ---- */

static void forget_login(db_session *session)
{
    db_login *login = session->login;
    sp_buf_done(&login->in);
    sp_buf_done(&login->parameters);
    sp_free(login);
    session->login = NULL;
    sp_buf_done(&session->back->statuses);
}

static void on_server_ready(db_back *back)
{
    db_session *session = back->calls.self;
    static db_refusal refusal;
    if (sp_span_eq(db_back_status(back, SP_SPAN_LIT("is_superuser")), SP_SPAN_LIT("on"))) {
        refuse(session, "42501", SP_REASON_DENY_RULE,
               "the database account of this resource can do more than the gate would see "
               "(SUPERUSER): the gate works with none such");
        return;
    }
    if (session->login->in.len > 0) {
        refuse(session, "08P01", SP_REASON_UNPARSED, "messages came before the log-in was over");
        return;
    }
    sp_span encoding = db_back_status(back, SP_SPAN_LIT("client_encoding"));
    if (!sp_span_eq(encoding, SP_SPAN_LIT("UTF8")) ||
        db_judge_ready(session, &refusal) != DB_PASS) {
        if (sp_span_eq(encoding, SP_SPAN_LIT("UTF8"))) {
            db_session_fail(session, &refusal);
        } else {
            refuse(session, "0A000", SP_REASON_UNPARSED, "the database server does not take UTF8");
        }
        return;
    }
    sp_timer_clear(db_here.loop, &session->timer);
    session->transaction = 'I';
    session->at = DB_AT_OPEN;
    if (!db_session_may_go_on(session, &refusal)) { /* something has moved while it logged in */
        db_session_fail(session, &refusal);
        return;
    }
    auto_buf sp_buf out = sp_buf_make(DB_BACK_SETTLING_MAX_BYTES + 256);
    sp_pg_auth_write(&out, SP_PG_AUTH_OK, SP_SPAN_EMPTY);
    sp_buf_span(&out, sp_buf_borrow(&back->statuses));
    db_judge_greet(session, &out);
    sp_pg_key_write(&out, db_cancel_pid(session), (sp_span){session->key, session->key_len});
    sp_pg_ready_write(&out, 'I');
    forget_login(session);
    if (sp_failed(sp_buf_error(&out)) ||
        sp_failed(db_stream_send(&session->front, sp_buf_borrow(&out)))) {
        db_session_drop(session);
        return;
    }
    sp_loop_defer(db_here.loop, &session->again);
}

static void on_server_failed(db_back *back, const char *sqlstate, const char *why)
{
    refuse(back->calls.self, sqlstate, SP_REASON_UNAVAILABLE, why);
}

static void on_server_stream(db_back *back)
{
    db_pump(back->calls.self);
}

static void on_server_cancelled(db_back *back)
{
    db_session *session = back->calls.self;
    sp_loop_defer(db_here.loop, &session->again);
}

/* ---- asking the server ---- */

void db_open_path(const db_session *session, const sp_database_resource *to, sp_buf *path)
{
    for (uint32_t i = 0; i < to->search_path; i++) {
        sp_span schema =
            sp_policy_database_schema(&session->snapshot->policy, session->resource, i);
        sp_buf_text(path, i > 0 ? ", \"" : "\"");
        for (size_t at = 0; at < schema.len; at++) {
            if (schema.ptr[at] == '"') {
                sp_buf_u8(path, '"');
            }
            sp_buf_u8(path, schema.ptr[at]);
        }
        sp_buf_text(path, "\"");
    }
}

static void open_back(db_session *session)
{
    sp_database_resource to;
    auto_buf sp_buf path = sp_buf_make(PATH_MAX_BYTES);
    (void)sp_policy_database_resource(&session->snapshot->policy, session->resource, &to);
    db_open_path(session, &to, &path);
    sp_span pairs[PAIRS_MAX * 2 + 6] = {
        SP_SPAN_LIT("client_encoding"),  SP_SPAN_LIT("UTF8"),
        SP_SPAN_LIT("application_name"), sp_span_cstr(session->person_name),
        SP_SPAN_LIT("search_path"),      sp_buf_borrow(&path)};
    size_t count = 3;
    sp_span list = sp_buf_borrow(&session->login->parameters);
    sp_buf_u8(&session->login->parameters, 0); /* ends the list as in a packet */
    list = sp_buf_borrow(&session->login->parameters);
    while (count < PAIRS_MAX &&
           sp_pg_parameter_next(&list, &pairs[count * 2], &pairs[count * 2 + 1])) {
        count++;
    }
    const db_back_ask ask = {.policy = &session->snapshot->policy,
                             .resource = session->resource,
                             .account = sp_span_cstr(session->account),
                             .database = sp_span_cstr(session->database),
                             .parameters = pairs,
                             .parameter_count = count};
    const db_back_calls calls = {.on_ready = on_server_ready,
                                 .on_failed = on_server_failed,
                                 .on_stream = on_server_stream,
                                 .on_cancelled = on_server_cancelled,
                                 .self = session};
    session->at = DB_AT_BACK;
    if (sp_failed(sp_buf_error(&path)) || sp_failed(sp_buf_error(&session->login->parameters)) ||
        sp_failed(db_back_open(&ask, &calls, &session->back))) {
        refuse(session, "08001", SP_REASON_UNAVAILABLE,
               "the database server of this resource cannot be reached: its address does not work");
    }
}

static void on_place(void *self, sp_err err, const sp_msg *msg, sp_fds *fds)
{
    db_session *session = self;
    (void)fds;
    session->login->call = 0;
    if (msg == NULL) {
        refuse(session, "57P03", SP_REASON_UNAVAILABLE,
               "log-ins cannot be answered now: the gate does not reach core");
    } else if (err.code == SP_EDENIED) {
        refuse(session, "28000", SP_REASON_NO_SESSION, "your session has ended");
    } else if (err.code == SP_ELIMIT) {
        session->has_place = false;
        refuse(session, "53300", SP_REASON_LIMIT,
               "you have as many connections to databases open as one person may have");
    } else if (sp_failed(err)) {
        session->has_place = false;
        refuse(session, "57P03", SP_REASON_UNAVAILABLE,
               "log-ins cannot be answered now: core could not take this connection into its list");
    } else {
        open_back(session);
    }
}

/* Core counts the connections of a person over all workers. */
static void ask_place(db_session *session)
{
    session->at = DB_AT_CORE;
    session->login->call = db_session_ask_place(session, on_place);
    if (session->login->call == 0) {
        on_place(session, sp_fail(SP_EIO), NULL, NULL);
    }
}

/* ---- may it ---- */

static bool find_place(db_session *session)
{
    const db_login *login = session->login;
    if (db_here.office.snapshot == NULL) {
        refuse(session, "57P03", SP_REASON_UNAVAILABLE, "the gate has no policy yet");
        return false;
    }
    sp_gate_snapshot_unref(session->snapshot);
    session->snapshot = sp_gate_snapshot_ref(db_here.office.snapshot);
    const sp_policy *policy = &session->snapshot->policy;
    session->resource = sp_policy_resource_find(policy, sp_span_cstr(login->resource));
    sp_database_resource to;
    if (session->resource == SP_NONE ||
        !sp_policy_database_resource(policy, session->resource, &to)) {
        refuse(session, "3D000", SP_REASON_DEFAULT,
               "there is no such database resource in this office");
        return false;
    }
    sp_span database =
        sp_policy_database_reached(policy, session->resource, sp_span_cstr(login->database));
    sp_span account = SP_SPAN_EMPTY;
    if (database.len == 0) {
        refuse(session, "3D000", SP_REASON_DEFAULT,
               "this database is not to be reached through this resource");
        return false;
    }
    static db_refusal refusal;
    if (!db_judge_account(session, &account, &refusal)) {
        db_session_fail(session, &refusal);
        return false;
    }
    sp_copy(session->resource_name, login->resource, DB_NAME_BYTES);
    sp_copy(session->application, login->application, DB_NAME_BYTES);
    return !sp_failed(sp_fit(session->database, DB_NAME_BYTES, database)) &&
           !sp_failed(sp_fit(session->account, DB_NAME_BYTES, account));
}

void db_open_go_on(db_session *session)
{
    static db_refusal refusal;
    sp_reason reason = SP_REASON_NONE;
    if (!db_subject_find(session, &reason)) {
        db_refuse(&refusal, "28000", reason, "this connection is not allowed: %s",
                  sp_reason_word(reason));
        db_session_fail(session, &refusal);
        return;
    }
    if (!find_place(session)) {
        if (session->at != DB_AT_ENDING) {
            db_session_drop(session);
        }
        return;
    }
    switch (db_judge_connect(session, &refusal)) {
    case DB_PASS:
        if (sp_failed(sp_timer_set(db_here.loop, &session->timer, OPEN_US))) {
            db_session_drop(session);
            return;
        }
        ask_place(session);
        break;
    case DB_WAIT:
        break;
    case DB_REFUSE:
    case DB_CUT:
    case DB_REPLACE:
        db_session_fail(session, &refusal);
        break;
    }
}

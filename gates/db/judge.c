/* SPDX-License-Identifier: Apache-2.0
 * The judge: what may connect, what may run, what is written down about it.
 *
 * A text is judged when it comes (Query, Parse) and again whenever it is about to run (Execute),
 * since policy, the session and the database move. Names stand for texts (names.c). What ran
 * becomes one event at its end; what was refused becomes one at once.
 *
 * OWNS its part of a session. PROCESS db gate workers. TRUST messages are hostile.
 * SPEC gates/db/judge.h.
 */
#include "gates/db/judge.h"

#include "gates/db/judging.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"
#include "lib/policy/database.h"
#include "lib/sql/redact.h"

#include <stdio.h>

sp_sql_judge *db_sql;

sp_err db_judge_start(void)
{
    sp_err err = sp_sql_judge_new(&db_sql);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "the SQL parser is not the one this was built with");
    }
    return err;
}

void db_judge_tick(void)
{
    db_catalogue_tick();
}

void db_judge_policy_changed(void)
{
    /* sessions take the new snapshot, and their catalogue is bound to it, in db_judge_again() */
}

/* ---- events ---- */

static void name_decision(const db_session *session, const sp_decision *decision, sp_action action,
                          sp_event *event)
{
    const sp_policy *policy = &session->snapshot->policy;
    event->action = (uint8_t)action;
    event->class_level = decision->class_level;
    event->class_name = sp_policy_class_name(policy, decision->class_level);
    event->rule = sp_policy_rule_name(policy, decision->rule);
    event->verdict = decision->verdict;
    event->reason = decision->reason;
}

static uint8_t severity_of(sp_action action, uint8_t verdict)
{
    bool grave = sp_sql_gravity(action) >= sp_sql_gravity(SP_ACTION_ADMINISTER);
    if (verdict == SP_VERDICT_ALLOW) {
        return grave ? SP_SEVERITY_MEDIUM : SP_SEVERITY_INFO;
    }
    return grave ? SP_SEVERITY_HIGH : SP_SEVERITY_LOW;
}

/* What was refused, at once. */
static void record_refused(db_session *session, const db_ruling *ruling, const char *tag,
                           sp_span shown, const db_refusal *refusal)
{
    sp_event event = db_event_of(session, SP_EVENT_DECISION);
    event.reference = refusal->reference;
    name_decision(session, &ruling->decision, ruling->action, &event);
    event.verdict = ruling->decision.verdict == SP_VERDICT_ASK ? SP_VERDICT_ASK : SP_VERDICT_DENY;
    event.reason = (uint8_t)refusal->reason;
    event.severity = severity_of(ruling->action, SP_VERDICT_DENY);
    event.method = sp_span_cstr(tag);
    event.object = shown;
    (void)sp_recorder_put(&db_here.recorder, &event); /* no room is counted as a loss */
}

static void record_run(db_session *session, const db_note *note, const db_end *end)
{
    sp_event event = db_event_of(session, SP_EVENT_DECISION);
    event.reference = note->reference;
    name_decision(session, &note->ruling.decision, note->ruling.action, &event);
    event.severity = severity_of(note->ruling.action, SP_VERDICT_ALLOW);
    event.method = sp_span_cstr(note->tag);
    event.object = (sp_span){note->shown, note->shown_len};
    event.count = end->rows;
    event.bytes_in = end->bytes_in;
    event.bytes_out = end->bytes_out;
    event.duration_us = end->duration_us > UINT32_MAX ? UINT32_MAX : (uint32_t)end->duration_us;
    char detail[160];
    if (end->how == DB_END_FAILED || end->tag.len > 0) {
        auto_buf sp_buf json = sp_buf_make(sizeof(detail));
        sp_buf_text(&json, end->how == DB_END_FAILED ? "{\"sqlstate\":" : "{\"result\":");
        sp_buf_json(&json, end->how == DB_END_FAILED ? sp_span_cstr(end->sqlstate) : end->tag);
        sp_buf_text(&json, "}");
        sp_span made = sp_buf_borrow(&json);
        sp_copy(detail, made.ptr, made.len);
        event.detail = (sp_span){(const uint8_t *)detail, made.len};
    }
    (void)sp_recorder_put(&db_here.recorder, &event); /* no room is counted as a loss */
}

/* ---- connecting ---- */

static sp_decision ask_connect(db_session *session)
{
    const sp_question question = {.who = &session->who,
                                  .resource = session->resource,
                                  .part = SP_NONE,
                                  .action = SP_ACTION_CONNECT,
                                  .now_unix_s = sp_now_unix_us() / 1000000};
    return sp_policy_decide(&session->snapshot->policy, &question);
}

static void refuse_connect(const sp_decision *decision, const db_session *session,
                           db_refusal *refusal)
{
    const db_ruling ruling = {.decision = *decision, .action = SP_ACTION_CONNECT};
    db_ruling_refuse(&ruling, session, refusal);
}

static db_verdict connect_catalogue(db_session *session, db_judge *judge, db_refusal *refusal)
{
    if (judge->catalogue == NULL && sp_failed(db_catalogue_get(session, &judge->catalogue))) {
        db_refuse(refusal, "53200", SP_REASON_LIMIT, "the gate has no memory left");
        return DB_REFUSE;
    }
    if (judge->catalogue->now != NULL) {
        return DB_PASS;
    }
    if (judge->catalogue->failure[0] == '\0') {
        return DB_WAIT;
    }
    db_refuse(refusal, "08001", SP_REASON_UNAVAILABLE,
              "the gate cannot read what this database holds: %s", judge->catalogue->failure);
    return DB_REFUSE;
}

db_verdict db_judge_connect(db_session *session, db_refusal *refusal)
{
    sp_decision decision = ask_connect(session);
    bool allowed = decision.verdict == SP_VERDICT_ALLOW;
    if (!allowed) {
        refuse_connect(&decision, session, refusal);
        return DB_REFUSE;
    }
    db_judge *judge = db_session_judge(session);
    if (judge == NULL) {
        if (sp_failed(sp_alloc(1, sizeof(*judge), &judge))) {
            db_refuse(refusal, "53200", SP_REASON_LIMIT, "the gate has no memory left");
            return DB_REFUSE;
        }
        db_session_set_judge(session, judge);
    }
    db_verdict verdict = connect_catalogue(session, judge, refusal);
    if (verdict == DB_PASS) {
        sp_event event = db_event_of(session, SP_EVENT_DECISION);
        name_decision(session, &decision, SP_ACTION_CONNECT, &event);
        (void)sp_recorder_put(&db_here.recorder, &event); /* no room is counted as a loss */
    }
    return verdict;
}

db_verdict db_judge_ready(db_session *session, db_refusal *refusal)
{
    (void)refusal;
    db_catalogue_bind(db_session_judge(session)->catalogue, session);
    sp_span version = db_session_server_status(session, SP_SPAN_LIT("server_version"));
    uint64_t major = 0;
    sp_span digits = sp_span_slice(version, 0, sp_span_index(version, '.'));
    if (!sp_failed(sp_span_to_u64(digits, 1000, &major)) && major > 15) {
        sp_log(SP_LOG_INFO, "%s runs PostgreSQL %u: syntax newer than 15 is refused",
               session->resource_name, (unsigned)major);
    }
    return DB_PASS;
}

/* The resource by its name in the policy of now. */
static bool bind_again(db_session *session)
{
    if (session->snapshot != db_here.office.snapshot) {
        sp_gate_snapshot_unref(session->snapshot);
        session->snapshot = sp_gate_snapshot_ref(db_here.office.snapshot);
        session->resource = sp_policy_resource_find(&session->snapshot->policy,
                                                    sp_span_cstr(session->resource_name));
    }
    sp_database_resource to;
    return session->resource != SP_NONE &&
           sp_policy_database_resource(&session->snapshot->policy, session->resource, &to) &&
           sp_span_eq(sp_policy_database_account(&session->snapshot->policy, session->resource,
                                                 &session->who),
                      sp_span_cstr(session->account));
}

db_verdict db_judge_again(db_session *session, db_refusal *refusal)
{
    sp_decision decision = {.reason = SP_REASON_DEFAULT, .rule = SP_NONE};
    if (bind_again(session)) {
        decision = ask_connect(session);
    }
    if (decision.verdict == SP_VERDICT_ALLOW) {
        db_judge *judge = db_session_judge(session);
        if (judge != NULL && judge->catalogue != NULL) {
            db_catalogue_bind(judge->catalogue, session);
        }
        return DB_PASS;
    }
    refuse_connect(&decision, session, refusal);
    SP_IGNORE(sp_fit(refusal->sqlstate, sizeof(refusal->sqlstate), SP_SPAN_LIT("57P01")));
    return DB_CUT;
}

/* ---- judging a text ---- */

static bool is_temporary(const void *of, sp_span name)
{
    const db_judge *judge = of;
    for (uint32_t i = 0; i < judge->temp_count; i++) {
        if (sp_span_eq(name, sp_span_cstr(judge->temps[i]))) {
            return true;
        }
    }
    return false;
}

static bool function_action(const void *of, sp_span schema, sp_span name, sp_action *ret_action)
{
    const db_session *session = of;
    return sp_policy_database_function(&session->snapshot->policy, session->resource, schema, name,
                                       ret_action);
}

static const sp_sql_judgement *judge_text(db_session *session, sp_span text)
{
    db_judge *judge = db_session_judge(session);
    const sp_sql_context context = {.catalogue = judge->catalogue->now,
                                    .is_temporary = judge->temp_count > 0 ? is_temporary : NULL,
                                    .session = judge,
                                    .function_action = function_action,
                                    .policy = session};
    db_catalogue_bind(judge->catalogue, session);
    return sp_sql_judge_text(db_sql, &context, text);
}

static void refuse_fault(const sp_sql_judgement *judgement, db_refusal *refusal)
{
    bool syntax = judgement->fault == SP_SQL_SYNTAX;
    sp_reason reason =
        judgement->fault == SP_SQL_FORBIDDEN
            ? SP_REASON_DENY_RULE
            : (judgement->fault == SP_SQL_TOO_LONG ? SP_REASON_LIMIT : SP_REASON_UNPARSED);
    db_refuse(refusal, sp_sql_fault_state(judgement->fault), reason, "%s%s", judgement->reason,
              syntax || judgement->fault == SP_SQL_TOO_LONG ? "" : " is not let through");
    switch (judgement->fault) {
    case SP_SQL_SYNTAX:
        snprintf(refusal->detail, sizeof(refusal->detail),
                 "The gate reads PostgreSQL 15 and runs nothing that it cannot read.");
        break;
    case SP_SQL_AMBIGUOUS:
        snprintf(refusal->hint, sizeof(refusal->hint),
                 "Write literals with a backslash as E'...', or pass them as parameters.");
        break;
    case SP_SQL_FINE:
    case SP_SQL_TOO_LONG:
    case SP_SQL_NOT_UTF8:
    case SP_SQL_UNKNOWN:
    case SP_SQL_FORBIDDEN:
    case SP_SQL_TOO_COMPLEX:
    case SP_SQL_FAULT_COUNT:
        break;
    }
}

static const char *tag_of(const sp_sql_judgement *judgement)
{
    return judgement->statement_count > 0
               ? judgement->statements[judgement->statement_count - 1].tag
               : "SQL";
}

/* ---- what runs by a name ---- */

/* Adds all texts that the name may stand for; false: there is none that we know. */
static bool add_named(db_ruling *ruling, db_session *session, db_named_kind kind, sp_span name,
                      unsigned depth);

static bool add_text(db_ruling *ruling, db_session *session, db_text *text, unsigned depth)
{
    const db_judge *judge = db_session_judge(session);
    if (text->version != judge->catalogue->version) {
        const sp_sql_judgement *fresh = judge_text(session, (sp_span){text->text, text->text_len});
        sp_sql_judgement *copy = NULL;
        if (fresh->fault != SP_SQL_FINE || sp_failed(sp_sql_judgement_copy(fresh, &copy))) {
            return false;
        }
        sp_free(text->judgement);
        text->judgement = copy;
        text->version = judge->catalogue->version;
    }
    db_ruling_add(ruling, session, judge->catalogue, text->judgement);
    for (uint32_t i = 0; i < text->judgement->statement_count; i++) {
        const sp_sql_statement *statement = &text->judgement->statements[i];
        db_named_kind kind =
            (statement->flags & SP_SQL_IS_EXECUTE) != 0 ? DB_NAMED_PREPARED : DB_NAMED_PORTAL;
        if ((statement->flags & (SP_SQL_IS_EXECUTE | SP_SQL_IS_FETCH)) != 0 && depth < 4) {
            (void)add_named(ruling, session, kind, statement->name, depth + 1);
        }
    }
    return true;
}

static bool add_named(db_ruling *ruling, db_session *session, db_named_kind kind, sp_span name,
                      unsigned depth)
{
    const db_names *names = &db_session_judge(session)->names;
    bool found = false;
    for (db_named *at = db_names_find(names, kind, name, NULL); at != NULL;
         at = db_names_find(names, kind, name, at)) {
        if (!add_text(ruling, session, at->text, depth)) {
            return false;
        }
        found = true;
    }
    return found;
}

/* ---- notes ---- */

static db_note *new_note(const db_ruling *ruling, sp_span shown)
{
    db_note *note = NULL;
    if (sp_failed(sp_alloc(1, sizeof(*note) + shown.len, &note))) {
        return NULL;
    }
    if (ruling != NULL) {
        note->ruling = *ruling;
        note->ruling.has_use = false; /* it points into a judgement that does not last */
    }
    note->tag = "SQL";
    note->shown_len = (uint16_t)shown.len;
    sp_copy(note->shown, shown.ptr, shown.len);
    return note;
}

static db_verdict no_memory(db_refusal *refusal)
{
    db_refuse(refusal, "53200", SP_REASON_LIMIT, "the gate has no memory left for this statement");
    return DB_REFUSE;
}

/* ---- the order to run ---- */

/* May it run now? DB_PASS: written down if it must be. */
static db_verdict may_run(db_session *session, const db_ruling *ruling, const char *tag,
                          sp_span shown, db_refusal *refusal)
{
    if (ruling->decision.verdict != SP_VERDICT_ALLOW) {
        db_ruling_refuse(ruling, session, refusal);
        record_refused(session, ruling, tag, shown, refusal);
        return DB_REFUSE;
    }
    if (!sp_recorder_works(&db_here.recorder)) {
        db_refuse(refusal, "53400", SP_REASON_UNRECORDED,
                  "this statement cannot be written down, so it does not run");
        return DB_REFUSE;
    }
    return DB_PASS;
}

static db_verdict refuse_text(db_session *session, const sp_sql_judgement *judgement, sp_span text,
                              db_refusal *refusal)
{
    auto_buf sp_buf shown = sp_buf_make(DB_TEXT_KEPT_BYTES + 16);
    const db_ruling ruling = {.decision = {.verdict = SP_VERDICT_DENY, .rule = SP_NONE},
                              .action = SP_ACTION_EXECUTE};
    refuse_fault(judgement, refusal);
    sp_sql_redact(text, false, DB_TEXT_KEPT_BYTES - 16, &shown);
    record_refused(session, &ruling, "SQL", sp_buf_borrow(&shown), refusal);
    return DB_REFUSE;
}

/* ---- messages ---- */

/* Names that a text itself makes: PREPARE, DECLARE. */
static sp_err keep_names(db_session *session, const sp_sql_judgement *judgement, sp_span text)
{
    db_judge *judge = db_session_judge(session);
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        const sp_sql_statement *statement = &judgement->statements[i];
        bool is_prepare = (statement->flags & SP_SQL_IS_PREPARE) != 0;
        if (!is_prepare && (statement->flags & SP_SQL_IS_DECLARE) == 0) {
            continue;
        }
        db_text *kept = NULL;
        TRY(db_text_new(text, judgement, judge->catalogue->version, &kept));
        db_named *named = NULL;
        sp_err err = db_names_add(&judge->names, is_prepare ? DB_NAMED_PREPARED : DB_NAMED_PORTAL,
                                  statement->name, kept, &named);
        db_text_unref(kept);
        TRY(err);
        named->sure = true; /* even when the message fails later: what it prepared may stay */
        named->declared = !is_prepare;
    }
    return sp_ok();
}

static void keep_temps(db_judge *judge, const sp_sql_judgement *judgement)
{
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        const sp_sql_statement *statement = &judgement->statements[i];
        if ((statement->flags & SP_SQL_IS_CREATE_TEMP) == 0 ||
            statement->name.len >= DB_NAME_BYTES || is_temporary(judge, statement->name) ||
            judge->temp_count == DB_TEMPS_MAX) {
            continue;
        }
        if (judge->temps == NULL &&
            sp_failed(sp_alloc(DB_TEMPS_MAX, DB_NAME_BYTES, &judge->temps))) {
            return;
        }
        sp_copy(judge->temps[judge->temp_count], statement->name.ptr, statement->name.len);
        judge->temps[judge->temp_count][statement->name.len] = '\0';
        judge->temp_count++;
    }
}

static void note_deallocated(const sp_sql_judgement *judgement, db_note *note)
{
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        const sp_sql_statement *statement = &judgement->statements[i];
        if ((statement->flags & (SP_SQL_IS_DEALLOCATE | SP_SQL_IS_CLOSE)) != 0 &&
            judgement->statement_count == 1 && statement->name.len <= SP_NAME_MAX_BYTES) {
            note->close_kind = (statement->flags & SP_SQL_IS_DEALLOCATE) != 0 ? 's' : 'p';
            note->name_len = (uint8_t)statement->name.len;
            sp_copy(note->name, statement->name.ptr, statement->name.len);
        }
    }
}

static bool prepares(const sp_sql_judgement *judgement, uint32_t before, sp_span name)
{
    for (uint32_t i = 0; i < before; i++) {
        if ((judgement->statements[i].flags & (SP_SQL_IS_PREPARE | SP_SQL_IS_DECLARE)) != 0 &&
            sp_span_eq(judgement->statements[i].name, name)) {
            return true; /* its uses are among the text's own */
        }
    }
    return false;
}

/* EXECUTE and FETCH: what their names stand for. False with a refusal: for nothing. */
static bool add_referenced(db_ruling *ruling, db_session *session,
                           const sp_sql_judgement *judgement, db_refusal *refusal)
{
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        const sp_sql_statement *statement = &judgement->statements[i];
        bool executes = (statement->flags & SP_SQL_IS_EXECUTE) != 0;
        if (!executes && (statement->flags & SP_SQL_IS_FETCH) == 0) {
            continue;
        }
        bool found = add_named(ruling, session, executes ? DB_NAMED_PREPARED : DB_NAMED_PORTAL,
                               statement->name, 0);
        if (!found && !prepares(judgement, i, statement->name)) {
            db_refuse(refusal, executes ? "26000" : "34000", SP_REASON_UNPARSED,
                      executes ? "prepared statement \"%.*s\" does not exist"
                               : "cursor \"%.*s\" does not exist",
                      SP_SPAN_ARG(statement->name));
            return false;
        }
    }
    return true;
}

static db_verdict on_query(db_session *session, const sp_pg_msg *msg, db_flight *flight,
                           db_refusal *refusal)
{
    sp_span text;
    if (sp_failed(sp_pg_query_read(msg->body, &text))) {
        db_refuse(refusal, "08P01", SP_REASON_UNPARSED, "a Query message that is malformed");
        return DB_CUT;
    }
    const sp_sql_judgement *judgement = judge_text(session, text);
    if (judgement->fault != SP_SQL_FINE) {
        return refuse_text(session, judgement, text, refusal);
    }
    db_judge *judge = db_session_judge(session);
    db_ruling ruling = db_ruling_none();
    const char *tag = tag_of(judgement);
    uint32_t flags = judgement->flags;
    db_ruling_add(&ruling, session, judge->catalogue, judgement);
    static uint8_t shown_bytes[DB_TEXT_KEPT_BYTES + 16];
    auto_buf sp_buf shown = sp_buf_make(sizeof(shown_bytes));
    sp_sql_redact(text, (flags & SP_SQL_IS_SECRET) != 0, DB_TEXT_KEPT_BYTES - 16, &shown);
    db_verdict verdict = DB_PASS;
    db_note *note = NULL;
    auto_free sp_sql_judgement *own = NULL;
    if ((flags & (SP_SQL_IS_EXECUTE | SP_SQL_IS_FETCH | SP_SQL_IS_PREPARE | SP_SQL_IS_DECLARE)) !=
        0) {
        /* looking at other texts uses the judge's room again */
        if (sp_failed(sp_sql_judgement_copy(judgement, &own))) {
            return no_memory(refusal);
        }
        judgement = own;
        ruling = db_ruling_none();
        db_ruling_add(&ruling, session, judge->catalogue, judgement);
        if (!add_referenced(&ruling, session, judgement, refusal)) {
            return DB_REFUSE;
        }
    }
    verdict = may_run(session, &ruling, tag, sp_buf_borrow(&shown), refusal);
    if (verdict != DB_PASS) {
        return verdict;
    }
    note = new_note(&ruling, sp_buf_borrow(&shown));
    if (note == NULL) {
        return no_memory(refusal);
    }
    note->runs = judgement->statement_count > 0;
    note->tag = tag;
    note->flags = flags;
    note->reference = sp_recorder_reference();
    note->number = judge->names.numbers + 1;
    note_deallocated(judgement, note);
    keep_temps(judge, judgement);
    if (sp_failed(keep_names(session, judgement, text))) {
        sp_free(note);
        return no_memory(refusal);
    }
    flight->own = note;
    return DB_PASS;
}

static db_verdict on_parse(db_session *session, const sp_pg_msg *msg, db_flight *flight,
                           db_refusal *refusal)
{
    sp_pg_parse parse;
    if (sp_failed(sp_pg_parse_read(msg->body, &parse))) {
        db_refuse(refusal, "08P01", SP_REASON_UNPARSED, "a Parse message that is malformed");
        return DB_CUT;
    }
    const sp_sql_judgement *judgement = judge_text(session, parse.text);
    if (judgement->fault != SP_SQL_FINE) {
        return refuse_text(session, judgement, parse.text, refusal);
    }
    db_judge *judge = db_session_judge(session);
    db_ruling ruling = db_ruling_none();
    db_ruling_add(&ruling, session, judge->catalogue, judgement);
    db_text *text = NULL;
    if (sp_failed(db_text_new(parse.text, judgement, judge->catalogue->version, &text))) {
        return no_memory(refusal);
    }
    db_verdict verdict = DB_PASS;
    if (ruling.decision.verdict == SP_VERDICT_DENY) {
        verdict = may_run(session, &ruling, tag_of(judgement), text->shown, refusal);
    }
    db_note *note = verdict == DB_PASS ? new_note(NULL, SP_SPAN_EMPTY) : NULL;
    if (verdict == DB_PASS && note == NULL) {
        verdict = no_memory(refusal);
    }
    if (verdict == DB_PASS &&
        sp_failed(db_names_add(&judge->names, DB_NAMED_PREPARED, parse.name, text, &note->named))) {
        sp_free(note);
        db_refuse(refusal, "53400", SP_REASON_LIMIT,
                  "too many prepared statements are open, or one has too long a name");
        verdict = DB_REFUSE;
    } else if (verdict == DB_PASS) {
        flight->own = note;
    }
    db_text_unref(text);
    return verdict;
}

static sp_err keep_formats(const sp_pg_bind *bind, db_named *portal)
{
    if (bind->result_format_count == 0) {
        return sp_ok();
    }
    TRY(sp_alloc(bind->result_format_count, sizeof(uint16_t), &portal->formats));
    portal->format_count = bind->result_format_count;
    for (uint16_t i = 0; i < bind->result_format_count; i++) {
        portal->formats[i] = sp_pg_format_of(bind->result_format_count, bind->result_formats, i);
    }
    return sp_ok();
}

static db_verdict on_bind(db_session *session, const sp_pg_msg *msg, db_flight *flight,
                          db_refusal *refusal)
{
    sp_span portal;
    sp_span statement;
    sp_pg_bind bind = {.result_format_count = 0};
    sp_err err = msg->whole ? sp_pg_bind_read(msg->body, &bind)
                            : sp_pg_bind_names_read(msg->body, &portal, &statement);
    if (sp_failed(err)) {
        db_refuse(refusal, "08P01", SP_REASON_UNPARSED, "a Bind message that is malformed");
        return DB_CUT;
    }
    if (msg->whole) {
        portal = bind.portal;
        statement = bind.statement;
    }
    db_judge *judge = db_session_judge(session);
    db_note *note = new_note(NULL, SP_SPAN_EMPTY);
    if (note == NULL) {
        return no_memory(refusal);
    }
    const db_named *from = db_names_find(&judge->names, DB_NAMED_PREPARED, statement, NULL);
    if (from == NULL) {
        sp_free(note);
        db_refuse(refusal, "26000", SP_REASON_UNPARSED,
                  "prepared statement \"%.*s\" does not exist",
                  (int)(statement.len < 63 ? statement.len : 63), (const char *)statement.ptr);
        return DB_REFUSE;
    }
    note->number = judge->names.numbers + 1;
    for (; from != NULL; from = db_names_find(&judge->names, DB_NAMED_PREPARED, statement, from)) {
        db_named *named = NULL;
        err = db_names_add(&judge->names, DB_NAMED_PORTAL, portal, from->text, &named);
        if (!sp_failed(err)) {
            err = keep_formats(&bind, named);
            named->sure = note->named != NULL; /* several: none is taken back when it fails */
            note->named = note->named == NULL ? named : note->named;
        }
        if (sp_failed(err)) {
            sp_free(note);
            db_refuse(refusal, "53400", SP_REASON_LIMIT, "too many portals are open");
            return DB_REFUSE;
        }
    }
    flight->own = note;
    return DB_PASS;
}

static db_verdict on_execute(db_session *session, const sp_pg_msg *msg, db_flight *flight,
                             db_refusal *refusal)
{
    sp_pg_execute execute;
    if (sp_failed(sp_pg_execute_read(msg->body, &execute))) {
        db_refuse(refusal, "08P01", SP_REASON_UNPARSED, "an Execute message that is malformed");
        return DB_CUT;
    }
    db_judge *judge = db_session_judge(session);
    const db_named *portal = db_names_find(&judge->names, DB_NAMED_PORTAL, execute.portal, NULL);
    db_ruling ruling = db_ruling_none();
    if (portal == NULL || !add_named(&ruling, session, DB_NAMED_PORTAL, execute.portal, 0)) {
        db_refuse(refusal, "34000", SP_REASON_UNPARSED, "portal \"%.*s\" does not exist",
                  (int)(execute.portal.len < 63 ? execute.portal.len : 63),
                  (const char *)execute.portal.ptr);
        return DB_REFUSE;
    }
    const char *tag = tag_of(portal->text->judgement);
    db_verdict verdict = may_run(session, &ruling, tag, portal->text->shown, refusal);
    if (verdict != DB_PASS) {
        return verdict;
    }
    db_note *note = new_note(&ruling, portal->text->shown);
    if (note == NULL) {
        return no_memory(refusal);
    }
    note->runs = true;
    note->tag = tag;
    note->flags = portal->text->judgement->flags;
    note->reference = sp_recorder_reference();
    note->number = judge->names.numbers + 1;
    note_deallocated(portal->text->judgement, note);
    keep_temps(judge, portal->text->judgement);
    if (sp_failed(keep_names(session, portal->text->judgement,
                             (sp_span){portal->text->text, portal->text->text_len}))) {
        sp_free(note);
        return no_memory(refusal);
    }
    flight->own = note;
    return DB_PASS;
}

static db_verdict on_close(db_session *session, const sp_pg_msg *msg, db_flight *flight,
                           db_refusal *refusal)
{
    sp_pg_named named;
    if (sp_failed(sp_pg_named_read(msg->body, &named))) {
        db_refuse(refusal, "08P01", SP_REASON_UNPARSED, "a Close message that is malformed");
        return DB_CUT;
    }
    db_note *note = new_note(NULL, SP_SPAN_EMPTY);
    if (note == NULL) {
        return no_memory(refusal);
    }
    if (named.name.len <= SP_NAME_MAX_BYTES) {
        note->close_kind = named.kind;
        note->name_len = (uint8_t)named.name.len;
        sp_copy(note->name, named.name.ptr, named.name.len);
        note->number = db_session_judge(session)->names.numbers + 1;
    }
    flight->own = note;
    return DB_PASS;
}

db_verdict db_judge_front(db_session *session, const sp_pg_msg *msg, db_flight *flight, sp_buf *out,
                          db_refusal *refusal)
{
    (void)out;
    switch (msg->type) {
    case 'Q':
        return on_query(session, msg, flight, refusal);
    case 'P':
        return on_parse(session, msg, flight, refusal);
    case 'B':
        return on_bind(session, msg, flight, refusal);
    case 'E':
        return on_execute(session, msg, flight, refusal);
    case 'C':
        return on_close(session, msg, flight, refusal);
    case 'F':
        db_refuse(refusal, "0A000", SP_REASON_UNPARSED,
                  "function calls without SQL are not served");
        return DB_REFUSE;
    case 'S':
        flight->word = (uint32_t)(db_session_judge(session)->names.numbers + 1);
        return DB_PASS;
    default:
        return DB_PASS;
    }
}

db_verdict db_judge_back(db_session *session, const sp_pg_msg *msg, db_flight *flight, sp_buf *out,
                         db_refusal *refusal)
{
    (void)session;
    (void)msg;
    (void)flight;
    (void)out;
    (void)refusal;
    return DB_PASS;
}

/* ---- ends ---- */

static void end_names(db_judge *judge, db_note *note, const db_end *end)
{
    bool done = end->how == DB_END_DONE || end->how == DB_END_SUSPENDED;
    db_named *named = note->named;
    if (named != NULL && done) {
        sp_span name = {named->name, named->name_len};
        named->sure = true;
        db_names_forget(&judge->names, named->kind, name, false,
                        note->number != 0 ? note->number : named->number);
    } else if (named != NULL) {
        db_names_remove(&judge->names, named);
    }
    if (note->close_kind != 0 && done) {
        bool is_statement = note->close_kind == 'S' || note->close_kind == 's';
        bool all = (note->close_kind == 's' || note->close_kind == 'p') && note->name_len == 0;
        db_names_forget(&judge->names, is_statement ? DB_NAMED_PREPARED : DB_NAMED_PORTAL,
                        (sp_span){note->name, note->name_len}, all, note->number);
    }
}

void db_judge_end(db_session *session, db_flight *flight, const db_end *end)
{
    db_judge *judge = db_session_judge(session);
    db_note *note = flight->own;
    if (flight->type == 'S' && session->transaction == 'I' && judge != NULL) {
        /* the transaction is over, and with it the portals that were made before */
        db_names_end_transaction(&judge->names, flight->word);
    }
    if (note == NULL || judge == NULL) {
        return;
    }
    end_names(judge, note, end);
    if (note->runs && end->how != DB_END_SKIPPED) {
        record_run(session, note, end);
        if ((note->flags & SP_SQL_IS_DDL) != 0) {
            db_catalogue_stale(judge->catalogue);
        }
        if ((note->flags & SP_SQL_IS_DISCARD_TEMP) != 0 && end->how == DB_END_DONE) {
            judge->temp_count = 0;
        }
    }
    flight->own = NULL;
    sp_free(note);
}

void db_judge_cancelled(db_session *session)
{
    db_session_resume(session);
}

void db_judge_gone(db_session *session)
{
    db_judge *judge = db_session_judge(session);
    if (judge == NULL) {
        return;
    }
    sp_event event = db_event_of(session, SP_EVENT_CLOSE);
    event.action = SP_ACTION_CONNECT;
    event.verdict = SP_VERDICT_ALLOW;
    event.reason = SP_REASON_RULE;
    (void)sp_recorder_put(&db_here.recorder, &event); /* no room is counted as a loss */
    db_names_done(&judge->names);
    db_catalogue_unref(judge->catalogue);
    sp_free(judge->temps);
    sp_free(judge);
    db_session_set_judge(session, NULL);
}

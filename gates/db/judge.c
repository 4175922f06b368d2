/* SPDX-License-Identifier: Apache-2.0
 * The judge: what may connect, what may run, what is written down about it.
 *
 * This one knows no SQL: every statement is the action `execute` on the resource as a whole.
 *
 * OWNS its part of a session. PROCESS db gate workers. TRUST messages are hostile.
 * SPEC gates/db/judge.h.
 */
#include "gates/db/judge.h"

#include "gates/db/db.h"
#include "infra/proc/clock.h"

#include <stdio.h>

enum { PERCENT_STATEMENT_BYTES = 512 };

struct db_judge {
    sp_decision decision; /* about execute */
    uint64_t decided_unix_s;
    uint64_t serial; /* of the snapshot */
    uint64_t epoch;
    uint64_t connect_rule;
};

sp_err db_judge_start(void)
{
    return sp_ok();
}

void db_judge_tick(void)
{
}

void db_judge_policy_changed(void)
{
}

static sp_decision ask(db_session *session, sp_action action)
{
    const sp_question question = {.who = &session->who,
                                  .resource = session->resource,
                                  .part = SP_NONE,
                                  .action = action,
                                  .now_unix_s = sp_now_unix_us() / 1000000};
    return sp_policy_decide(&session->snapshot->policy, &question);
}

static void name_decision(const db_session *session, const sp_decision *decision, sp_event *event)
{
    const sp_policy *policy = &session->snapshot->policy;
    event->class_level = decision->class_level;
    event->class_name = sp_policy_class_name(policy, decision->class_level);
    event->rule = sp_policy_rule_name(policy, decision->rule);
    event->verdict = decision->verdict;
    event->reason = decision->reason;
}

static void refuse(const sp_decision *decision, const char *what, db_refusal *refusal)
{
    db_refuse(refusal, "42501", (sp_reason)decision->reason, "%s is not allowed here: %s", what,
              sp_reason_word((sp_reason)decision->reason));
    snprintf(refusal->hint, sizeof(refusal->hint),
             "Ask the security people of the office with the reference.");
}

/* ---- connecting ---- */

db_verdict db_judge_connect(db_session *session, db_refusal *refusal)
{
    sp_decision decision = ask(session, SP_ACTION_CONNECT);
    sp_event event = db_event_of(session, SP_EVENT_DECISION);
    event.action = SP_ACTION_CONNECT;
    name_decision(session, &decision, &event);
    if (decision.verdict != SP_VERDICT_ALLOW) {
        refuse(&decision, "connecting", refusal);
        return DB_REFUSE;
    }
    (void)sp_recorder_put(&db_here.recorder, &event);
    db_judge *judge = NULL;
    if (sp_failed(sp_alloc(1, sizeof(*judge), &judge))) {
        db_refuse(refusal, "53200", SP_REASON_LIMIT, "the gate has no memory left");
        return DB_REFUSE;
    }
    sp_free(db_session_judge(session));
    db_session_set_judge(session, judge);
    return DB_PASS;
}

db_verdict db_judge_ready(db_session *session, db_refusal *refusal)
{
    (void)session;
    (void)refusal;
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
    return session->resource != SP_NONE;
}

db_verdict db_judge_again(db_session *session, db_refusal *refusal)
{
    db_judge *judge = db_session_judge(session);
    judge->decided_unix_s = 0;
    sp_decision decision = {.reason = SP_REASON_DEFAULT};
    if (bind_again(session)) {
        decision = ask(session, SP_ACTION_CONNECT);
    }
    if (decision.verdict == SP_VERDICT_ALLOW) {
        return DB_PASS;
    }
    refuse(&decision, "this connection", refusal);
    SP_IGNORE(sp_fit(refusal->sqlstate, sizeof(refusal->sqlstate), SP_SPAN_LIT("57P01")));
    return DB_CUT;
}

/* ---- statements ---- */

static const sp_decision *decide(db_session *session)
{
    db_judge *judge = db_session_judge(session);
    uint64_t now_unix_s = sp_now_unix_us() / 1000000;
    if (judge->decided_unix_s != now_unix_s) {
        judge->decision = ask(session, SP_ACTION_EXECUTE);
        judge->decided_unix_s = now_unix_s;
    }
    return &judge->decision;
}

static bool runs(uint8_t type)
{
    return type == 'Q' || type == 'E' || type == 'F';
}

db_verdict db_judge_front(db_session *session, const sp_pg_msg *msg, db_flight *flight, sp_buf *out,
                          db_refusal *refusal)
{
    (void)flight;
    (void)out;
    if (msg->type == 'S' || msg->type == 'd' || msg->type == 'c' || msg->type == 'f') {
        return DB_PASS;
    }
    if (msg->type == 'F') {
        db_refuse(refusal, "0A000", SP_REASON_UNPARSED,
                  "function calls without SQL are not served");
        return DB_REFUSE;
    }
    const sp_decision *decision = decide(session);
    if (decision->verdict != SP_VERDICT_ALLOW) {
        refuse(decision, "this statement", refusal);
        if (runs(msg->type)) {
            sp_event event = db_event_of(session, SP_EVENT_DECISION);
            event.reference = refusal->reference;
            event.action = SP_ACTION_EXECUTE;
            event.severity = SP_SEVERITY_LOW;
            event.method = SP_SPAN_LIT("SQL");
            name_decision(session, decision, &event);
            (void)sp_recorder_put(&db_here.recorder, &event);
        }
        return DB_REFUSE;
    }
    if (runs(msg->type) && !sp_recorder_works(&db_here.recorder)) {
        db_refuse(refusal, "53400", SP_REASON_UNRECORDED,
                  "this statement cannot be written down, so it does not run");
        return DB_REFUSE;
    }
    return DB_PASS;
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

void db_judge_end(db_session *session, db_flight *flight, const db_end *end)
{
    if (!runs(flight->type) || end->how == DB_END_SKIPPED) {
        return;
    }
    sp_event event = db_event_of(session, SP_EVENT_DECISION);
    event.reference = sp_recorder_reference();
    event.action = SP_ACTION_EXECUTE;
    name_decision(session, &db_session_judge(session)->decision, &event);
    event.method = SP_SPAN_LIT("SQL");
    event.object = end->tag;
    event.count = end->rows;
    event.bytes_in = end->bytes_in;
    event.bytes_out = end->bytes_out;
    event.duration_us = end->duration_us > UINT32_MAX ? UINT32_MAX : (uint32_t)end->duration_us;
    (void)sp_recorder_put(&db_here.recorder, &event); /* no room is counted as a loss */
}

void db_judge_cancelled(db_session *session)
{
    db_session_resume(session);
}

void db_judge_gone(db_session *session)
{
    db_judge *judge = db_session_judge(session);
    if (judge != NULL) {
        sp_event event = db_event_of(session, SP_EVENT_CLOSE);
        event.action = SP_ACTION_CONNECT;
        event.verdict = SP_VERDICT_ALLOW;
        event.reason = SP_REASON_RULE;
        (void)sp_recorder_put(&db_here.recorder, &event); /* no room is counted as a loss */
        sp_free(judge);
        db_session_set_judge(session, NULL);
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * What is written down about statements and answers: refused, before it runs, as it ended, as an
 * export.
 * OWNS nothing. PROCESS db gate workers. TRUST texts are hostile and come redacted.
 * SPEC gates/db/judging.h, lib/proto/event.h.
 */
#include "gates/db/judging.h"

void db_entry_decision(const sp_policy *policy, const sp_decision *decision, sp_action action,
                       sp_event *event)
{
    event->policy_version = sp_policy_version(policy);
    event->action = (uint8_t)action;
    event->class_level = decision->class_level;
    event->class_name = sp_policy_class_name(policy, decision->class_level);
    event->rule = sp_policy_rule_name(policy, decision->rule);
    event->verdict = decision->verdict;
    event->reason = decision->reason;
}

/* By the policy that said it, which may be another one than the session's of now. */
static void name_ruling(const db_session *session, const db_ruling *ruling, sp_event *event)
{
    const sp_gate_snapshot *by = ruling->snapshot != NULL ? ruling->snapshot : session->snapshot;
    db_entry_decision(&by->policy, &ruling->decision, ruling->action, event);
    if (ruling->snapshot != NULL) {
        sp_copy(event->roles, ruling->roles, sizeof(event->roles));
    }
}

/* What destroys everything is grave, also where something else in the text was refused. */
static uint8_t severity_of(const db_ruling *ruling, uint8_t verdict)
{
    bool grave = sp_sql_gravity(ruling->action) >= sp_sql_gravity(SP_ACTION_ADMINISTER) ||
                 (ruling->marks & DB_MARK_WHOLE) != 0;
    if (verdict == SP_VERDICT_ALLOW) {
        return grave ? SP_SEVERITY_MEDIUM : SP_SEVERITY_INFO;
    }
    return grave ? SP_SEVERITY_HIGH : SP_SEVERITY_LOW;
}

/* What a budget had no room for, what could not be written down or found out, and what was
 * cancelled is nothing that the person tried to do against the policy. */
static bool is_attempt(sp_reason reason)
{
    return reason != SP_REASON_LIMIT && reason != SP_REASON_UNRECORDED &&
           reason != SP_REASON_UNAVAILABLE;
}

/* What was refused, at once. */
void db_judge_refused(db_session *session, const db_ruling *ruling, const char *tag, sp_span shown,
                      const db_refusal *refusal)
{
    sp_event event = db_event_of(session, SP_EVENT_DECISION);
    event.reference = refusal->reference;
    name_ruling(session, ruling, &event);
    /* masks, a budget or a keep may refuse what others would have to agree to: that asks nobody */
    bool asks = ruling->decision.verdict == SP_VERDICT_ASK && refusal->reason == SP_REASON_APPROVAL;
    event.verdict = asks ? SP_VERDICT_ASK : SP_VERDICT_DENY;
    event.reason = (uint8_t)refusal->reason;
    event.severity = severity_of(ruling, SP_VERDICT_DENY);
    event.method = sp_span_cstr(tag);
    event.object = shown;
    SP_UNSET char detail[DB_DETAIL_BYTES];
    event.detail = db_event_detail(session, ruling->marks, NULL, SP_SPAN_EMPTY, detail);
    (void)sp_recorder_put(&db_here.recorder, &event); /* no room is counted as a loss */
    db_session_judge(session)->refused = refusal->reference;
    if (event.verdict == SP_VERDICT_DENY && is_attempt(refusal->reason)) {
        db_spend_refused(session, ruling);
    }
}

void db_judge_unjudged(db_session *session, const db_refusal *refusal)
{
    const db_ruling ruling = {.decision = {.verdict = SP_VERDICT_DENY, .rule = SP_NONE},
                              .action = SP_ACTION_EXECUTE};
    db_judge_refused(session, &ruling, "SQL", sp_span_cstr(refusal->message), refusal);
}

uint64_t db_judge_before(db_session *session, const db_run_ask *run, uint64_t reference)
{
    sp_event event = db_event_of(session, SP_EVENT_DECISION);
    event.reference = reference;
    name_ruling(session, run->ruling, &event);
    event.verdict = SP_VERDICT_ALLOW;
    event.severity = severity_of(run->ruling, SP_VERDICT_ALLOW);
    event.method = sp_span_cstr(run->tag);
    event.object = run->shown;
    SP_UNSET char detail[DB_DETAIL_BYTES];
    event.detail = db_event_detail(session, run->ruling->marks, NULL, SP_SPAN_EMPTY, detail);
    return sp_recorder_put(&db_here.recorder, &event);
}

void db_entry_not_run(const db_session *session, const db_pending *pending)
{
    sp_event event = db_event_of(session, SP_EVENT_CLOSE);
    SP_UNSET char detail[DB_DETAIL_BYTES];
    event.reference = pending->recorded;
    event.action = (uint8_t)pending->action;
    event.verdict = SP_VERDICT_ALLOW;
    event.reason = SP_REASON_RULE;
    event.severity = SP_SEVERITY_INFO;
    event.method = sp_span_cstr(pending->tag);
    event.detail = db_event_detail(session, 0, "result", SP_SPAN_LIT("did not run"), detail);
    (void)sp_recorder_put(&db_here.recorder, &event); /* no room is counted as a loss */
}

uint64_t db_judge_exported(db_session *session, const db_note *note, const sp_decision *decision)
{
    sp_event event = db_event_of(session, SP_EVENT_DECISION);
    event.reference = note->reference;
    db_entry_decision(&session->snapshot->policy, decision, SP_ACTION_EXPORT, &event);
    event.severity = SP_SEVERITY_INFO;
    event.method = sp_span_cstr(note->tag);
    event.object = (sp_span){note->shown, note->shown_len};
    event.count = session->rows;
    event.bytes_out = session->bytes_out;
    return sp_recorder_put(&db_here.recorder, &event);
}

/* Of an answer; of what failed behind a COMMIT of its own also what it changed: its tag tells an
 * error, and no number. */
static uint64_t rows_of(const db_note *note, const db_end *end)
{
    bool stays = end->how == DB_END_FAILED && !db_is_undone(note, end);
    uint64_t rows = note->is_refused ? note->rows : end->rows;
    return stays && end->touched > rows ? end->touched : rows;
}

void db_entry_ran(db_session *session, const db_note *note, const db_end *end)
{
    sp_event event = db_event_of(session, note->is_recorded ? SP_EVENT_CLOSE : SP_EVENT_DECISION);
    event.reference = note->reference;
    name_ruling(session, &note->ruling, &event);
    event.severity = severity_of(&note->ruling, SP_VERDICT_ALLOW);
    event.method = sp_span_cstr(note->tag);
    event.object = (sp_span){note->shown, note->shown_len};
    event.count = rows_of(note, end);
    event.bytes_in = end->bytes_in;
    event.bytes_out = note->is_refused ? note->bytes : end->bytes_out;
    event.duration_us = end->duration_us > UINT32_MAX ? UINT32_MAX : (uint32_t)end->duration_us;
    SP_UNSET char detail[DB_DETAIL_BYTES];
    bool failed = end->how == DB_END_FAILED;
    const char *key = failed ? "sqlstate" : "result";
    sp_span tag = end->how == DB_END_SUSPENDED ? SP_SPAN_LIT("portal suspended") : end->tag;
    event.detail = db_event_detail(session, note->ruling.marks, tag.len > 0 || failed ? key : NULL,
                                   failed ? sp_span_cstr(end->sqlstate) : tag, detail);
    (void)sp_recorder_put(&db_here.recorder, &event); /* no room is counted as a loss */
}

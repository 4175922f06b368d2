/* SPDX-License-Identifier: Apache-2.0
 * Decisions of the SSH gate, from memory.
 * OWNS nothing. PROCESS ssh gate workers. TRUST names come from the client and are looked up only.
 * SPEC lib/policy/ssh.h.
 */
#include "gates/ssh/gate.h"
#include "infra/proc/clock.h"

static sp_question question_of(const sg_conn *conn, sp_action action)
{
    return (sp_question){.who = &conn->rider.who,
                         .resource = conn->resource,
                         .part = SP_NONE,
                         .action = action,
                         .now_unix_s = sp_now_unix_us() / 1000000,
                         .cuts = sp_live_cuts(&sg_here.office.live),
                         .face = SP_FACE_SSH};
}

/* Others agreed to all that is asked for it. */
static sp_decision as_agreed(const sg_conn *conn, sp_decision decision)
{
    if (conn->agreed != NULL &&
        sp_agreed_covers(conn->agreed, &conn->snapshot->policy, &decision)) {
        decision.verdict = SP_VERDICT_ALLOW;
        decision.reason = SP_REASON_RULE;
        decision.approvals = 0;
        decision.asks_count = 0;
    }
    return decision;
}

sp_decision sg_decide(const sg_conn *conn, sp_action action)
{
    const sp_question question = question_of(conn, action);
    return as_agreed(conn, sp_policy_decide(&conn->snapshot->policy, &question));
}

sp_decision sg_decide_whole(const sg_conn *conn, sp_action action, sp_span path)
{
    const sp_question question = question_of(conn, action);
    return as_agreed(conn, sp_policy_ssh_whole(&conn->snapshot->policy, &question, path));
}

sp_decision sg_decide_best(const sg_conn *conn, sp_action action)
{
    const sp_question question = question_of(conn, action);
    return as_agreed(conn, sp_policy_ssh_best(&conn->snapshot->policy, &question));
}

sp_decision sg_decide_part(const sg_conn *conn, sp_action action, sp_span path)
{
    sp_question question = question_of(conn, action);
    question.part = sp_policy_ssh_part(&conn->snapshot->policy, conn->resource, path).part;
    return as_agreed(conn, sp_policy_decide(&conn->snapshot->policy, &question));
}

bool sg_decide_machine(sg_conn *conn)
{
    if (sg_here.office.snapshot == NULL || conn->resource_name[0] == '\0') {
        return false;
    }
    if (conn->snapshot != sg_here.office.snapshot) {
        sp_gate_snapshot_unref(conn->snapshot);
        conn->snapshot = sp_gate_snapshot_ref(sg_here.office.snapshot);
        conn->resource =
            sp_policy_resource_find(&conn->snapshot->policy, sp_span_cstr(conn->resource_name));
    }
    return conn->resource != SP_NONE &&
           sp_policy_ssh_resource(&conn->snapshot->policy, conn->resource, &conn->ssh);
}

static void refuse_account(const sg_conn *conn, sg_refusal *refusal)
{
    bool is_named = conn->account[0] != '\0';
    sp_reason reason = sp_policy_ssh_account_missing(&conn->snapshot->policy, conn->resource,
                                                     &conn->rider.who, sp_span_cstr(conn->account));
    if (reason == SP_REASON_DEFAULT) {
        sg_refusal_make(refusal, reason, "%s",
                        is_named ? "none of your roles works there under this name"
                                 : "none of your roles has an account there");
    } else {
        sg_refusal_make(refusal, reason, "%s on this device: %s",
                        is_named ? "your roles do not work there under this name"
                                 : "your roles have no account there",
                        sp_reason_word(reason));
    }
}

bool sg_decide_place(sg_conn *conn, sg_refusal *refusal)
{
    if (sg_here.office.snapshot == NULL) {
        sg_refusal_make(refusal, SP_REASON_UNAVAILABLE, "the gate has no policy yet");
        return false;
    }
    if (!sg_decide_machine(conn)) {
        sg_refusal_make(refusal, SP_REASON_DEFAULT,
                        "there is no machine of this name that you may reach");
        return false;
    }
    const sp_policy *policy = &conn->snapshot->policy;
    sp_span account = sp_policy_ssh_account(policy, conn->resource, &conn->rider.who,
                                            sp_span_cstr(conn->account));
    if (account.len == 0) {
        refuse_account(conn, refusal);
        return false;
    }
    return conn->account[0] != '\0' ||
           !sp_failed(sp_fit(conn->account, sizeof(conn->account), account));
}

void sg_decide_refuse(const sg_conn *conn, const sp_decision *decision, const char *what,
                      sg_refusal *refusal)
{
    sp_span rule = sp_policy_rule_name(&conn->snapshot->policy, decision->rule);
    if (rule.len > 0) {
        sg_refusal_make(refusal, (sp_reason)decision->reason, "%s: %s (%.*s)", what,
                        sp_reason_word((sp_reason)decision->reason), SP_SPAN_ARG(rule));
    } else {
        sg_refusal_make(refusal, (sp_reason)decision->reason, "%s: %s", what,
                        sp_reason_word((sp_reason)decision->reason));
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * What policy says of shells, commands, transfers and forwards.
 * OWNS nothing. PROCESS ssh gate workers. TRUST commands are hostile. SPEC gates/ssh/rule.h.
 */
#include "gates/ssh/rule.h"

#include <stdio.h>

static void no(sg_ruling *out, sp_reason reason, const char *text)
{
    out->refused = true;
    out->decision =
        (sp_decision){.verdict = SP_VERDICT_DENY, .reason = (uint8_t)reason, .rule = SP_NONE};
    sg_refusal_make(&out->refusal, reason, "%s", text);
}

/* Denied, asked for, allowed: the graver one stands for all, with what each of them demands. */
static void need(const sg_channel *channel, sg_ruling *out, sp_action action, sp_decision decision)
{
    sp_decision milder = decision;
    uint32_t must = out->decision.must | decision.must;
    bool graver =
        out->needs_count == 0 || decision.verdict < out->decision.verdict ||
        (decision.verdict == out->decision.verdict && decision.approvals > out->decision.approvals);
    out->needs[out->needs_count++] = (sg_need){action, decision};
    if (graver) {
        milder = out->decision;
        out->decision = decision;
        out->action = action;
    }
    out->decision.must = must;
    sp_decision_ask_also(&channel->conn->snapshot->policy, &out->decision, &milder);
}

static void need_whole(const sg_channel *channel, sp_action action, sg_ruling *out)
{
    need(channel, out, action, sg_decide_whole(channel->conn, action, SP_SPAN_LIT("/")));
}

static sp_decision decide_whole(const sg_channel *channel, sp_action action)
{
    return sg_decide_whole(channel->conn, action, SP_SPAN_LIT("/"));
}

/* 0 = no limit. */
static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* A shell, or a command that may be one or anything else. Without a terminal it is a pipe that
 * carries files both ways. */
static void rule_free(const sg_channel *channel, sg_ruling *out)
{
    sp_decision comes = decide_whole(channel, SP_ACTION_IMPORT);
    sp_decision leaves = decide_whole(channel, SP_ACTION_EXPORT);
    bool is_limited =
        (comes.must & SP_MUST_LIMIT) != 0; /* what comes through a pipe is not counted */
    out->free = true;
    out->fed = channel->has_pty || comes.verdict != SP_VERDICT_DENY;
    out->no_input = !channel->has_pty && (comes.verdict != SP_VERDICT_ALLOW || is_limited);
    out->no_output = !channel->has_pty && leaves.verdict != SP_VERDICT_ALLOW;
    need_whole(channel, SP_ACTION_EXECUTE, out);
    if (leaves.verdict == SP_VERDICT_ALLOW) { /* a terminal is a way out as well, day by day */
        out->decision.must |= leaves.must & (SP_MUST_LIMIT | SP_MUST_RECORD);
        out->decision.day_bytes = lesser(out->decision.day_bytes, leaves.day_bytes);
    }
    if (leaves.verdict == SP_VERDICT_ALLOW && !channel->has_pty) {
        out->decision.limit_bytes = lesser(out->decision.limit_bytes, leaves.limit_bytes);
    }
}

static sp_err take_command(sg_channel *channel, sp_buf *spelled)
{
    char *command = NULL;
    TRY(sp_buf_take_cstr(spelled, &command));
    sp_free(channel->command);
    channel->command = command;
    return sp_ok();
}

/* In the one spelling that the machine's shell reads as these words. */
static void respell(sg_channel *channel, sp_command_kind kind, const sp_argv *argv, sg_ruling *out)
{
    auto_buf sp_buf spelled = sp_buf_make(SG_COMMAND_MAX_BYTES);
    if (kind == SP_COMMAND_OTHER) {
        sp_argv_quote(argv, &spelled);
    } else {
        sp_command_quote(kind, argv, channel->conn->ssh.as_named, &spelled);
    }
    if (sp_failed(take_command(channel, &spelled))) {
        no(out, SP_REASON_LIMIT, "the gate has no memory left");
    }
}

static void rule_transfer(sg_channel *channel, const sp_command *transfer, const sp_argv *argv,
                          sg_ruling *out)
{
    static const uint8_t kinds[SP_COMMAND_KIND_COUNT] = {
        [SP_COMMAND_OTHER] = SP_SSH_CHANNEL_EXEC,  [SP_COMMAND_SCP] = SP_SSH_CHANNEL_SCP,
        [SP_COMMAND_RSYNC] = SP_SSH_CHANNEL_RSYNC, [SP_COMMAND_GIT] = SP_SSH_CHANNEL_GIT,
        [SP_COMMAND_SFTP] = SP_SSH_CHANNEL_SFTP,   [SP_COMMAND_UNPARSED] = SP_SSH_CHANNEL_EXEC};
    channel->kind = kinds[transfer->kind];
    channel->to_target = transfer->to_target;
    channel->transfer = transfer->kind;
    if (channel->has_pty) {
        no(out, SP_REASON_UNPARSED, "a file transfer has no terminal: ssh -T");
        return;
    }
    if (channel->transfer_path == NULL && transfer->paths_count == 1) {
        auto_buf sp_buf path = sp_buf_make(SG_COMMAND_MAX_BYTES);
        sp_buf_span(&path, transfer->paths[0]);
        SP_IGNORE(sp_buf_take_cstr(&path, &channel->transfer_path)); /* it shows less then */
    }
    unsigned needs = sp_policy_ssh_needs(transfer);
    for (sp_action action = SP_ACTION_CONNECT; action < SP_ACTION_COUNT; action++) {
        if ((needs & 1U << action) != 0) {
            need_whole(channel, action, out);
        }
    }
    respell(channel, (sp_command_kind)transfer->kind, argv, out);
}

/* What is in a list does what its words say: neither a terminal nor input comes with it by itself.
 */
static void rule_listed(sg_channel *channel, const sp_ssh_listed *listed, const sp_argv *argv,
                        sg_ruling *out)
{
    if (channel->has_pty && !listed->terminal) {
        no(out, SP_REASON_UNPARSED, "this command of the list has no terminal: ssh -T");
        return;
    }
    need(channel, out, listed->action,
         listed->paths ? decide_whole(channel, listed->action)
                       : sg_decide(channel->conn, listed->action));
    out->fed = listed->input;
    if (!listed->input && !channel->has_pty) {
        out->alone = "nothing may be sent to this command of the list: ssh -n sends nothing";
    }
    respell(channel, SP_COMMAND_OTHER, argv, out);
}

static void rule_command(sg_channel *channel, sg_ruling *out)
{
    static sp_argv argv;
    const sg_conn *conn = channel->conn;
    sp_ssh_command command = sp_policy_ssh_command(&conn->snapshot->policy, conn->resource,
                                                   sp_span_cstr(channel->command), &argv);
    out->action = SP_ACTION_EXECUTE;
    switch ((sp_ssh_command_kind)command.kind) {
    case SP_SSH_COMMAND_FREE:
        rule_free(channel, out);
        break;
    case SP_SSH_COMMAND_LISTED:
        rule_listed(channel, &command.listed, &argv, out);
        break;
    case SP_SSH_COMMAND_TRANSFER:
        if (command.transfer.kind == SP_COMMAND_SFTP) {
            no(out, SP_REASON_UNPARSED,
               "ask for the sftp subsystem instead of starting its server");
        } else {
            rule_transfer(channel, &command.transfer, &argv, out);
        }
        break;
    case SP_SSH_COMMAND_REFUSED:
    case SP_SSH_COMMAND_COUNT:
        no(out, SP_REASON_UNPARSED,
           conn->ssh.shell ? "this begins as a file transfer and is none that the gate knows"
                           : "this machine takes only the commands that are listed for it");
        break;
    }
}

static void rule_shell(sg_channel *channel, sg_ruling *out)
{
    out->action = SP_ACTION_EXECUTE;
    if (!channel->conn->ssh.shell) {
        no(out, SP_REASON_DEFAULT,
           "there is no shell on this machine, only the commands that are listed for it");
        return;
    }
    rule_free(channel, out);
}

static void rule_forward(const sg_channel *channel, sg_ruling *out)
{
    const sg_conn *conn = channel->conn;
    out->action = SP_ACTION_FORWARD;
    if (!sp_policy_ssh_forward(&conn->snapshot->policy, conn->resource, sp_span_cstr(channel->host),
                               channel->port)) {
        no(out, SP_REASON_DEFAULT, "forwarding to this address is not foreseen on this machine");
    } else {
        need(channel, out, SP_ACTION_FORWARD, sg_decide(conn, SP_ACTION_FORWARD));
    }
}

/* Each request is judged and counted by itself (sftp_judge.c), and waits for others if need be;
 * here, whether any could be let through. */
static void rule_sftp(const sg_channel *channel, sg_ruling *out)
{
    static const sp_action actions[] = {SP_ACTION_READ, SP_ACTION_EXPORT, SP_ACTION_IMPORT};
    for (size_t i = 0; i < SP_COUNT(actions); i++) {
        sp_decision one = sg_decide_best(channel->conn, actions[i]);
        if (i == 0 || one.verdict > out->decision.verdict) {
            out->decision = one;
            out->action = actions[i];
        }
    }
    if (out->decision.verdict == SP_VERDICT_ASK) {
        out->decision.verdict = SP_VERDICT_ALLOW;
    }
}

static void say_denied(sg_channel *channel, sg_ruling *out)
{
    char what[200];
    bool comes_blind = channel->to_target && out->action != SP_ACTION_IMPORT;
    snprintf(what, sizeof(what), "%s (%s) is not allowed on this machine%s", sg_method_of(channel),
             sp_action_word(out->action),
             comes_blind ? "; it may write over any file, so use sftp (scp without -O)" : "");
    out->refused = true;
    sg_decide_refuse(channel->conn, &out->decision, what, &out->refusal);
}

void sg_rule(sg_channel *channel, const sp_agreed *agreed, sg_ruling *out)
{
    sg_conn *conn = channel->conn;
    *out = (sg_ruling){.decision = {.rule = SP_NONE}};
    conn->agreed = agreed;
    if (conn->force_command != NULL && channel->kind == SP_SSH_CHANNEL_FORWARD) {
        no(out, SP_REASON_DENY_RULE, "the certificate that signed in is for one command only");
    } else if (channel->kind == SP_SSH_CHANNEL_FORWARD) {
        rule_forward(channel, out);
    } else if (channel->subsystem != NULL) {
        rule_sftp(channel, out);
    } else if (channel->command != NULL) {
        rule_command(channel, out);
    } else {
        rule_shell(channel, out);
    }
    if (!out->refused && out->decision.verdict == SP_VERDICT_DENY) {
        say_denied(channel, out);
    }
    conn->agreed = NULL;
}

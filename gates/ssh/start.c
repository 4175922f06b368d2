/* SPDX-License-Identifier: Apache-2.0
 * Before anything runs at the target: policy decides, other people agree, the disk has the record,
 * somebody watches.
 *
 * A channel that waits is judged again after each step, since policy and person may have moved
 * meanwhile; a step that was done for these very bytes is not done twice.
 *
 * OWNS what is pending. PROCESS ssh gate workers. TRUST core's answers are checked.
 * SPEC lib/policy/ssh.h, lib/proto/db_msg.h "ASK", lib/proto/ssh_msg.h "WATCH_WANT".
 */
#include "gates/ssh/gate.h"

#include <stddef.h>
#include <stdio.h>

typedef enum { STEP_NONE, STEP_WORD, STEP_DISK, STEP_WATCH } step;

enum { DONE_AGREED = 1, DONE_APPROVED = 2, DONE_SPENT = 4, DONE_ON_DISK = 8, DONE_WATCHED = 16 };

struct sg_pending {
    sg_channel *channel;
    step step;
    unsigned done;
    sg_consent consent;
    sp_recorder_wait wait;
};

/* ---- what it is ---- */

typedef struct {
    sp_action action;
    sp_decision decision;
    bool free; /* a command that may be anything, a shell too */
    bool refused;
    sg_refusal refusal;
} ruling;

static void no(ruling *out, sp_reason reason, const char *text)
{
    out->refused = true;
    out->decision =
        (sp_decision){.verdict = SP_VERDICT_DENY, .reason = (uint8_t)reason, .rule = SP_NONE};
    sg_refusal_make(&out->refusal, reason, "%s", text);
}

static void rule_whole(const sg_channel *channel, sp_action action, ruling *out)
{
    out->action = action;
    out->decision = sg_decide_whole(channel->conn, action, SP_SPAN_LIT("/"));
}

/* The graver of two: denied, asked for, allowed. */
static void add_whole(const sg_channel *channel, sp_action action, ruling *out)
{
    sp_decision other = sg_decide_whole(channel->conn, action, SP_SPAN_LIT("/"));
    if (other.verdict < out->decision.verdict ||
        (other.verdict == out->decision.verdict && other.approvals > out->decision.approvals)) {
        out->decision = other;
        out->action = action;
    }
}

static void rule_transfer(sg_channel *channel, const sp_command *transfer, ruling *out)
{
    static const uint8_t kinds[SP_COMMAND_KIND_COUNT] = {
        [SP_COMMAND_OTHER] = SP_SSH_CHANNEL_EXEC,  [SP_COMMAND_SCP] = SP_SSH_CHANNEL_SCP,
        [SP_COMMAND_RSYNC] = SP_SSH_CHANNEL_RSYNC, [SP_COMMAND_GIT] = SP_SSH_CHANNEL_GIT,
        [SP_COMMAND_SFTP] = SP_SSH_CHANNEL_SFTP,   [SP_COMMAND_UNPARSED] = SP_SSH_CHANNEL_EXEC};
    channel->kind = kinds[transfer->kind];
    channel->to_target = transfer->to_target;
    if (channel->transfer_path == NULL && transfer->paths_count == 1) {
        auto_buf sp_buf path = sp_buf_make(SG_COMMAND_MAX_BYTES);
        sp_buf_span(&path, transfer->paths[0]);
        SP_IGNORE(sp_buf_take_cstr(&path, &channel->transfer_path)); /* it shows less then */
    }
    rule_whole(channel, transfer->to_target ? SP_ACTION_IMPORT : SP_ACTION_EXPORT, out);
    if (transfer->deletes) {
        add_whole(channel, SP_ACTION_DESTROY, out);
    }
}

static sp_err quote(sg_channel *channel, const sp_argv *argv)
{
    auto_buf sp_buf quoted = sp_buf_make(SG_COMMAND_MAX_BYTES);
    char *command = NULL;
    sp_argv_quote(argv, &quoted);
    TRY(sp_buf_take_cstr(&quoted, &command));
    sp_free(channel->command);
    channel->command = command;
    return sp_ok();
}

static void rule_command(sg_channel *channel, ruling *out)
{
    static sp_argv argv;
    const sg_conn *conn = channel->conn;
    sp_ssh_command command = sp_policy_ssh_command(&conn->snapshot->policy, conn->resource,
                                                   sp_span_cstr(channel->command), &argv);
    out->action = SP_ACTION_EXECUTE;
    switch ((sp_ssh_command_kind)command.kind) {
    case SP_SSH_COMMAND_FREE:
        out->free = true;
        rule_whole(channel, SP_ACTION_EXECUTE, out);
        break;
    case SP_SSH_COMMAND_LISTED:
        out->action = command.listed.action;
        out->decision = sg_decide(conn, command.listed.action);
        if (sp_failed(quote(channel, &argv))) {
            no(out, SP_REASON_LIMIT, "the gate has no memory left");
        }
        break;
    case SP_SSH_COMMAND_TRANSFER:
        if (command.transfer.kind == SP_COMMAND_SFTP) {
            no(out, SP_REASON_UNPARSED,
               "ask for the sftp subsystem instead of starting its server");
        } else {
            rule_transfer(channel, &command.transfer, out);
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

static void rule_shell(sg_channel *channel, ruling *out)
{
    out->action = SP_ACTION_EXECUTE;
    if (!channel->conn->ssh.shell) {
        no(out, SP_REASON_DEFAULT,
           "there is no shell on this machine, only the commands that are listed for it");
    } else {
        rule_whole(channel, SP_ACTION_EXECUTE, out);
    }
}

static void rule_forward(const sg_channel *channel, ruling *out)
{
    const sg_conn *conn = channel->conn;
    out->action = SP_ACTION_FORWARD;
    if (!sp_policy_ssh_forward(&conn->snapshot->policy, conn->resource, sp_span_cstr(channel->host),
                               channel->port)) {
        no(out, SP_REASON_DEFAULT, "forwarding to this address is not foreseen on this machine");
    } else {
        out->decision = sg_decide(conn, SP_ACTION_FORWARD);
    }
}

/* Each request is judged by itself (sftp_judge.c), and waits for others if need be; here, whether
 * any could be let through. */
static void rule_sftp(const sg_channel *channel, ruling *out)
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

/* A certificate's command is what runs, whatever was asked for. */
static sp_err force(sg_channel *channel)
{
    const char *forced = channel->conn->force_command;
    if (forced == NULL || channel->kind == SP_SSH_CHANNEL_FORWARD || channel->forced) {
        return sp_ok();
    }
    auto_buf sp_buf copy = sp_buf_make(SP_SSH_COMMAND_MAX_BYTES + 1);
    char *command = NULL;
    sp_buf_text(&copy, forced);
    TRY(sp_buf_take_cstr(&copy, &command));
    sp_free(channel->command);
    sp_free(channel->subsystem);
    channel->command = command;
    channel->subsystem = NULL;
    channel->kind = SP_SSH_CHANNEL_EXEC;
    channel->forced = true;
    return sg_channel_name(channel, sp_span_cstr(command));
}

static void rule(sg_channel *channel, ruling *out)
{
    *out = (ruling){.decision = {.rule = SP_NONE}};
    if (channel->conn->force_command != NULL && channel->kind == SP_SSH_CHANNEL_FORWARD) {
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
        char what[120];
        snprintf(what, sizeof(what), "%s (%s) is not allowed on this machine",
                 sg_method_of(channel), sp_action_word(out->action));
        out->refused = true;
        sg_decide_refuse(channel->conn, &out->decision, what, &out->refusal);
    }
}

/* With so many people who agreed. */
static void rule_with(sg_channel *channel, uint8_t approvals, ruling *out)
{
    channel->conn->rider.who.approvals = approvals;
    rule(channel, out);
    channel->conn->rider.who.approvals = 0;
}

/* ---- states ---- */

void sg_start_gone(sg_channel *channel)
{
    struct sg_pending *pending = channel->pending;
    if (pending == NULL) {
        return;
    }
    sg_consent_gone(&pending->consent);
    if (pending->step == STEP_DISK) {
        sp_recorder_forget(&pending->wait);
    }
    sp_free(pending);
    channel->pending = NULL;
}

static void refuse(sg_channel *channel, const ruling *ruled, const sg_refusal *refusal)
{
    (void)sg_record_channel(channel, &ruled->decision, ruled->action, refusal);
    sg_channel_refuse(channel, refusal);
}

static void refuse_for(sg_channel *channel, sp_reason reason, const char *text)
{
    sg_refusal refusal;
    sg_refusal_make(&refusal, reason, "%s", text);
    (void)sg_record_channel(channel, &channel->decision, channel->action, &refusal);
    sg_channel_refuse(channel, &refusal);
}

static void go_on(sg_channel *channel)
{
    channel->pending->step = STEP_NONE;
    sg_channel_step(channel);
}

void sg_start_tell(sg_channel *channel, const char *text)
{
    auto_buf sp_buf line = sp_buf_make(SG_TEXT_BYTES * 2);
    sp_buf_text(&line, "sallyport: ");
    sg_text_clean(sp_span_cstr(text), SG_TEXT_BYTES, &line);
    sp_buf_text(&line, channel->has_pty ? "\r\n" : "\n");
    sg_relay_say(channel, sp_buf_borrow(&line), true);
}

/* ---- other people agree, budgets have room ---- */

static void on_word(sg_consent *consent, sg_word word, sp_reason reason, const char *text)
{
    sg_channel *channel = consent->channel;
    static const unsigned done[SG_WORD_COUNT] = {
        [SG_AGREED] = DONE_AGREED, [SG_USED] = DONE_APPROVED, [SG_SPENT] = DONE_SPENT};
    if (word == SG_REFUSED) {
        refuse_for(channel, reason, text);
        return;
    }
    if (text[0] != '\0') {
        sg_start_tell(channel, text);
    }
    channel->pending->done |= done[word];
    if (word != SG_ASKED) {
        go_on(channel);
    }
}

/* The bytes that others agree to: the command as it would run, or the word for a shell. */
static sp_span asked_bytes(const sg_channel *channel)
{
    return sp_span_cstr(channel->command != NULL ? channel->command : channel->object);
}

/* Who agrees reads the word for a shell, or the command: this one could not be told from it. */
static bool is_named_shell(const sg_channel *channel)
{
    return channel->command != NULL &&
           sp_span_eq(sp_span_trim(sp_span_cstr(channel->command)), SP_SPAN_LIT("shell"));
}

static void ask_others(sg_channel *channel, const ruling *ruled)
{
    struct sg_pending *pending = channel->pending;
    pending->done &= ~(unsigned)(DONE_AGREED | DONE_APPROVED);
    pending->step = STEP_WORD;
    pending->consent.reference = sp_recorder_reference();
    const sg_refusal asked = {.reason = SP_REASON_APPROVAL,
                              .reference = pending->consent.reference};
    (void)sg_record_channel(channel, &ruled->decision, ruled->action, &asked);
    channel->conn->refused--; /* it is not, yet */
    sg_consent_ask(&pending->consent, &ruled->decision, ruled->action, asked_bytes(channel));
}

/* True when it costs nothing, or was paid for. */
static bool spend(sg_channel *channel, const ruling *ruled)
{
    struct sg_pending *pending = channel->pending;
    /* over sftp each request is counted by itself */
    if ((pending->done & DONE_SPENT) != 0 || channel->subsystem != NULL ||
        !sg_consent_costs(channel->conn, &ruled->decision, ruled->action)) {
        return true;
    }
    channel->reference = channel->reference != 0 ? channel->reference : sp_recorder_reference();
    pending->step = STEP_WORD;
    pending->consent.reference = channel->reference;
    sg_consent_spend(&pending->consent, &ruled->decision, ruled->action);
    return false;
}

/* ---- the disk has it ---- */

static void on_disk(sp_recorder_wait *wait, bool durable)
{
    struct sg_pending *pending =
        (struct sg_pending *)(void *)((char *)wait - offsetof(struct sg_pending, wait));
    pending->step = STEP_NONE;
    if (!durable) {
        refuse_for(pending->channel, SP_REASON_UNRECORDED,
                   "this cannot be written down now, so it does not run");
        return;
    }
    pending->done |= DONE_ON_DISK;
    go_on(pending->channel);
}

/* True when there is nothing to wait for. */
static bool write_down(sg_channel *channel, const ruling *ruled)
{
    struct sg_pending *pending = channel->pending;
    if ((pending->done & DONE_ON_DISK) != 0) {
        return true;
    }
    channel->reference = channel->reference != 0 ? channel->reference : sp_recorder_reference();
    uint64_t seq = sp_recorder_works(&sg_here.recorder)
                       ? sg_record_channel(channel, &ruled->decision, ruled->action, NULL)
                       : 0;
    if (seq == 0) {
        refuse_for(channel, SP_REASON_UNRECORDED,
                   "this cannot be written down now, so it does not run");
        return false;
    }
    if ((ruled->decision.must & SP_MUST_RECORD) == 0) {
        pending->done |= DONE_ON_DISK;
        return true;
    }
    pending->step = STEP_DISK;
    pending->wait.on_end = on_disk;
    sp_recorder_await(&sg_here.recorder, &pending->wait, seq);
    return false;
}

/* ---- somebody watches ---- */

/* A shell by its name, or a command on a terminal, which may be one. */
static bool is_like_shell(const sg_channel *channel, const ruling *ruled)
{
    return channel->kind == SP_SSH_CHANNEL_SHELL || (ruled->free && channel->has_pty);
}

/* A shell, whatever it is called: whoever agreed to it knows its name, not what is typed. A command
 * that might start one, unless others have agreed to its very bytes. */
static bool needs_watcher(const sg_channel *channel, const ruling *ruled)
{
    bool approved = (channel->pending->done & DONE_APPROVED) != 0;
    bool watched = (ruled->decision.must & SP_MUST_WATCH) != 0;
    return is_like_shell(channel, ruled) ? approved || watched
                                         : ruled->free && watched && !approved;
}

/* Whoever watches is shown the shell of a connection, or what runs first. */
static bool is_shown_first(const sg_channel *channel)
{
    bool alone = true;
    for (const sg_channel *other = channel->conn->channels; other != NULL; other = other->next) {
        alone = alone && (other == channel || !other->told);
    }
    return alone || channel->kind == SP_SSH_CHANNEL_SHELL;
}

/* Who watches looks at one terminal: a second one of the connection, one behind it, or one beside
 * others, would run unseen. */
static bool is_watched_elsewhere(const sg_channel *channel, const ruling *ruled)
{
    uint32_t watched = channel->conn->watched;
    bool will_be = needs_watcher(channel, ruled) ||
                   (is_like_shell(channel, ruled) && ruled->decision.verdict == SP_VERDICT_ASK);
    bool other = watched != 0 && watched != channel->number;
    return will_be && (other || !is_shown_first(channel));
}

static bool tell_want(const sg_channel *channel)
{
    auto_buf sp_buf body = sp_buf_make(64);
    const sp_ssh_watch_want want = {.connection = channel->conn->connection,
                                    .ask = channel->pending->consent.used};
    sp_ssh_watch_want_write(&want, &body);
    return sp_link_tell(&sg_here.office.link, SP_CORE_SSH_WATCH_WANT, sp_buf_borrow(&body));
}

static void want_watcher(sg_channel *channel)
{
    channel->pending->step = STEP_WATCH;
    channel->conn->watched = channel->number;
    if (!tell_want(channel)) {
        refuse_for(channel, SP_REASON_UNAVAILABLE, "the office cannot be asked now");
        return;
    }
    sg_start_tell(channel, "this begins when somebody watches");
}

static void pause_channel(sg_channel *channel, bool pause)
{
    if (pause != channel->paused) {
        channel->paused = pause;
        sg_start_tell(channel, pause ? "nobody watches any more: paused until somebody does"
                                     : "watched again: it goes on");
        sg_channel_step(channel);
    }
}

void sg_start_office(sg_channel *channel, bool is_up)
{
    const struct sg_pending *pending = channel->pending;
    if (pending == NULL) {
        return;
    }
    bool watched = (pending->done & DONE_WATCHED) != 0;
    if (watched && !is_up) {
        pause_channel(channel, true); /* who looks cannot be known */
    } else if (is_up && (watched || pending->step == STEP_WATCH)) {
        (void)tell_want(channel); /* core, perhaps another one, tells how many look */
    }
}

static void watch_channel(sg_channel *channel, const sp_ssh_watched *watched, const char *by)
{
    struct sg_pending *pending = channel->pending;
    char text[SG_TEXT_BYTES];
    if (pending == NULL) {
        return;
    }
    if (pending->step == STEP_WATCH && watched->watchers > 0) {
        snprintf(text, sizeof(text), "watched by %s", by);
        sg_start_tell(channel, text);
        pending->done |= DONE_WATCHED;
        go_on(channel);
    } else if ((pending->done & DONE_WATCHED) != 0) {
        pause_channel(channel, watched->watchers == 0);
    }
}

static void on_watched(const sp_ssh_watched *watched)
{
    sg_conn *conn = sg_conn_of(watched->connection);
    char by[200] = "";
    if (conn == NULL) {
        return;
    }
    SP_IGNORE(sp_fit(by, sizeof(by), sp_span_slice(watched->by, 0, sizeof(by) - 1))); /* it fits */
    sg_channel *next = NULL;
    for (sg_channel *channel = conn->channels; channel != NULL; channel = next) {
        next = channel->next;
        watch_channel(channel, watched, by);
    }
}

static void on_freeze(const sp_ssh_freeze *freeze)
{
    sg_conn *conn = sg_conn_of(freeze->connection);
    char text[SG_TEXT_BYTES];
    if (conn == NULL || conn->frozen == (freeze->on != 0)) {
        return;
    }
    conn->frozen = freeze->on != 0;
    conn->frozen_by[0] = '\0';
    conn->alarms.let_go_us = sp_loop_now_us(sg_here.loop);
    if (conn->frozen) {
        SP_IGNORE(sp_fit(conn->frozen_by, sizeof(conn->frozen_by), freeze->by)); /* a name fits */
    }
    snprintf(text, sizeof(text), "%s by %.*s", conn->frozen ? "frozen" : "released",
             (int)(freeze->by.len < 180 ? freeze->by.len : 180),
             freeze->by.len > 0 ? (const char *)freeze->by.ptr : "");
    for (sg_channel *channel = conn->channels; channel != NULL; channel = channel->next) {
        if (channel->state == SG_CH_RUNS && channel->has_pty) {
            sg_start_tell(channel, text);
        }
    }
    sg_channels_step(conn);
}

void sg_start_push(const sp_msg *msg)
{
    sp_db_ask_done done;
    sp_ssh_watched watched;
    sp_ssh_freeze freeze;
    if (msg->kind == SP_CORE_DB_ASK_DONE && !sp_failed(sp_db_ask_done_read(msg->body, &done))) {
        sg_consent_push(&done);
    } else if (msg->kind == SP_CORE_SSH_WATCHED &&
               !sp_failed(sp_ssh_watched_read(msg->body, &watched))) {
        on_watched(&watched);
    } else if (msg->kind == SP_CORE_SSH_FREEZE &&
               !sp_failed(sp_ssh_freeze_read(msg->body, &freeze))) {
        on_freeze(&freeze);
    }
}

/* ---- together ---- */

static void begin(sg_channel *channel)
{
    if (channel->kind == SP_SSH_CHANNEL_FORWARD || channel->kind == SP_SSH_CHANNEL_RSYNC ||
        channel->kind == SP_SSH_CHANNEL_GIT) {
        channel->conn->opaque++;
    }
    channel->counted = channel->decision;
    channel->counted_action = channel->action;
    channel->state = SG_CH_OPENING;
    channel->opening_us = sp_loop_now_us(sg_here.loop);
    sg_channel_tell_core(channel, true);
}

bool sg_start_is_written(const sg_channel *channel)
{
    return channel->pending != NULL && channel->pending->step == STEP_DISK;
}

void sg_start(sg_channel *channel)
{
    ruling ruled;
    if (channel->pending == NULL &&
        (sp_failed(force(channel)) ||
         sp_failed(sp_alloc(1, sizeof(*channel->pending), &channel->pending)))) {
        refuse_for(channel, SP_REASON_LIMIT, "the gate has no memory left");
        return;
    }
    struct sg_pending *pending = channel->pending;
    pending->channel = channel;
    pending->consent.channel = channel;
    pending->consent.on_word = on_word;
    if (pending->step != STEP_NONE) {
        return;
    }
    rule_with(channel, (pending->done & DONE_AGREED) != 0 ? pending->consent.approvals : 0, &ruled);
    channel->decision = ruled.decision;
    channel->action = ruled.action;
    if (ruled.refused) {
        refuse(channel, &ruled, &ruled.refusal);
    } else if (is_watched_elsewhere(channel, &ruled)) {
        refuse_for(channel, SP_REASON_LIMIT,
                   "one that is watched has a connection of its own: open another one for this");
    } else if (ruled.decision.verdict == SP_VERDICT_ASK) {
        if (channel->kind == SP_SSH_CHANNEL_FORWARD) {
            refuse_for(channel, SP_REASON_APPROVAL, "others cannot agree to a forward");
        } else if (is_named_shell(channel)) {
            refuse_for(channel, SP_REASON_APPROVAL,
                       "others would take this command for a shell: call it by its path");
        } else {
            ask_others(channel, &ruled);
        }
    } else if ((pending->done & DONE_AGREED) != 0 && (pending->done & DONE_APPROVED) == 0) {
        pending->step = STEP_WORD;
        sg_consent_use(&pending->consent);
    } else if (!spend(channel, &ruled) || !write_down(channel, &ruled)) {
        return;
    } else if (needs_watcher(channel, &ruled) && (pending->done & DONE_WATCHED) == 0) {
        want_watcher(channel);
    } else {
        begin(channel);
    }
}

bool sg_start_again(sg_channel *channel, sg_refusal *refusal)
{
    ruling ruled;
    const struct sg_pending *pending = channel->pending;
    uint8_t approvals =
        pending != NULL && (pending->done & DONE_APPROVED) != 0 ? pending->consent.approvals : 0;
    rule_with(channel, approvals, &ruled);
    if (ruled.refused || ruled.decision.verdict != SP_VERDICT_ALLOW) {
        if (!ruled.refused) {
            sg_decide_refuse(channel->conn, &ruled.decision, "this may not go on", &ruled.refusal);
        }
        *refusal = ruled.refusal;
        return false;
    }
    channel->decision = ruled.decision;
    sg_sftp_look_again(channel);
    return true;
}

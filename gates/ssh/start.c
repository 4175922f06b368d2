/* SPDX-License-Identifier: Apache-2.0
 * Before anything runs at the target: policy decides, other people agree, the disk has the record,
 * somebody watches.
 *
 * A channel that waits is judged again after each step, since policy and person may have moved
 * meanwhile; a step that was done for these very bytes is not done twice, and one that was done for
 * others is done again.
 *
 * What is said to a client makes libssh read, which may end the channel: whoever says something
 * looks whether it still lives. What is pending stays until the channel is forgotten.
 *
 * OWNS what is pending. PROCESS ssh gate workers. TRUST core's answers are checked.
 * SPEC lib/policy/ssh.h, lib/proto/db_msg.h "ASK", lib/proto/ssh_msg.h "WATCH_WANT".
 */
#include "gates/ssh/rule.h"
#include "lib/alarm/alarm.h"

#include <stddef.h>
#include <stdio.h>

typedef enum { STEP_NONE, STEP_WORD, STEP_DISK, STEP_WATCH } step;

enum { ASKED_MAX_BYTES = SG_COMMAND_MAX_BYTES + 4 * SG_NAME_BYTES };

enum { DONE_AGREED = 1, DONE_APPROVED = 2, DONE_ON_DISK = 4, DONE_WATCHED = 8 };

struct sg_pending {
    sg_channel *channel;
    step step;
    unsigned done;
    unsigned spent; /* bits of actions: those that were paid for */
    sg_consent consent;
    sp_recorder_wait wait;
    uint64_t written_version; /* DONE_ON_DISK: of the policy */
    uint32_t written_rule;
};

/* ---- states ---- */

void sg_start_cancel(sg_channel *channel)
{
    struct sg_pending *pending = channel->pending;
    if (pending == NULL) {
        return;
    }
    sg_consent_gone(&pending->consent);
    if (pending->step == STEP_DISK) {
        sp_recorder_forget(&pending->wait);
    }
    pending->step = STEP_NONE;
}

void sg_start_forget(sg_channel *channel)
{
    sg_start_cancel(channel);
    sp_free(channel->pending);
    channel->pending = NULL;
}

static void refuse(sg_channel *channel, const sg_ruling *ruled, const sg_refusal *refusal)
{
    (void)sg_record_channel(channel, &ruled->decision, ruled->action, refusal);
    sg_channel_refuse(channel, refusal);
}

static void go_on(sg_channel *channel)
{
    channel->pending->step = STEP_NONE;
    sg_channel_step(channel);
}

bool sg_start_tell(sg_channel *channel, const char *text)
{
    auto_buf sp_buf line = sp_buf_make(SG_TEXT_BYTES * 2);
    sp_buf_text(&line, "sallyport: ");
    sg_text_clean(sp_span_cstr(text), SG_TEXT_BYTES, &line);
    sp_buf_text(&line, channel->has_pty ? "\r\n" : "\n");
    sg_relay_say(channel, sp_buf_borrow(&line), true);
    return channel->state != SG_CH_ENDED;
}

/* ---- other people agree, budgets have room ---- */

/* What does more than its bytes say: a shell, what runs on a terminal, what may take commands from
 * what is sent to it. Others who agree to that agree to what they cannot see yet. */
static bool is_open_ended(const sg_channel *channel, const sg_ruling *ruled)
{
    return ruled->free &&
           (channel->kind == SP_SSH_CHANNEL_SHELL || channel->has_pty || channel->takes_commands);
}

static const char agreed_alone[] =
    "others agree to the command alone, and nothing may be sent to it: ssh -n sends nothing";

/* Nothing is sent to what others agreed to, unless one of them watches what is: what it does with
 * that may be anything, whatever it is called (`. /dev/stdin`). Why, or NULL. */
static const char *is_alone(const sg_channel *channel, const sg_ruling *ruled)
{
    unsigned done = channel->pending->done;
    bool agreed = ruled->free && (done & DONE_APPROVED) != 0 && (done & DONE_WATCHED) == 0;
    return agreed ? agreed_alone : ruled->alone;
}

/* It will be alone once others have agreed, and is not: not worth their word. Why, or NULL. */
static const char *is_spoilt(const sg_channel *channel, const sg_ruling *ruled)
{
    bool agreed = ruled->free && !is_open_ended(channel, ruled);
    return !channel->was_sent ? NULL : agreed ? agreed_alone : ruled->alone;
}

static void on_word(sg_consent *consent, sg_word word, sp_reason reason, const char *text)
{
    sg_channel *channel = consent->channel;
    static const unsigned done[SG_WORD_COUNT] = {
        [SG_AGREED] = DONE_AGREED, [SG_USED] = DONE_APPROVED};
    if (word == SG_REFUSED) {
        sg_channel_deny(channel, reason, text);
        return;
    }
    if (text[0] != '\0' && !sg_start_tell(channel, text)) {
        return;
    }
    channel->pending->done |= done[word];
    if (word != SG_ASKED) {
        go_on(channel);
    }
}

/* The bytes that others agree to: as whom and where, whether more is sent to it once it runs, and
 * the command as it would run. "ops@db$ df -h", "ops@db, on a terminal$ top", "ops@db: shell" */
static void put_asked(const sg_channel *channel, const sg_ruling *ruled, sp_buf *out)
{
    sg_consent_place(channel, out);
    if (channel->command == NULL) {
        sp_buf_text(out, channel->has_pty ? ": shell" : ": shell without a terminal");
        return;
    }
    bool fed = ruled->fed && (is_open_ended(channel, ruled) || !ruled->free);
    sp_buf_text(out, channel->has_pty ? ", on a terminal$ " : fed ? ", with input$ " : "$ ");
    sp_buf_text(out, channel->command);
}

/* What runs now is what they agreed to: policy may have moved, and with it how a command is spelled
 * or what is sent to it. */
static bool is_as_agreed(const sg_channel *channel, const sg_ruling *ruled)
{
    auto_buf sp_buf asked = sp_buf_make(ASKED_MAX_BYTES);
    put_asked(channel, ruled, &asked);
    sp_hash hash = sp_sha256(sp_buf_borrow(&asked));
    return !sp_failed(sp_buf_error(&asked)) && sp_hash_eq(&hash, &channel->pending->consent.hash);
}

/* Their word is used up, unless it would be for nothing. */
static void use_word(sg_channel *channel, const sg_ruling *ruled)
{
    const char *spoilt = is_spoilt(channel, ruled);
    if (spoilt != NULL) {
        sg_channel_deny(channel, SP_REASON_APPROVAL, spoilt);
        return;
    }
    channel->pending->step = STEP_WORD;
    sg_consent_use(&channel->pending->consent);
}

static void ask_others(sg_channel *channel, const sg_ruling *ruled)
{
    struct sg_pending *pending = channel->pending;
    const char *spoilt = is_spoilt(channel, ruled);
    if (channel->kind == SP_SSH_CHANNEL_FORWARD) {
        sg_channel_deny(channel, SP_REASON_APPROVAL, "others cannot agree to a forward");
        return;
    }
    if (spoilt != NULL) {
        sg_channel_deny(channel, SP_REASON_APPROVAL, spoilt);
        return;
    }
    pending->done &= ~(unsigned)(DONE_AGREED | DONE_APPROVED | DONE_ON_DISK);
    pending->step = STEP_WORD;
    pending->consent.reference = sp_recorder_reference();
    const sg_refusal waits = {.reason = SP_REASON_APPROVAL,
                              .reference = pending->consent.reference};
    (void)sg_record_channel(channel, &ruled->decision, ruled->action, &waits);
    channel->conn->refused--; /* it is not, yet */
    auto_buf sp_buf asked = sp_buf_make(ASKED_MAX_BYTES);
    put_asked(channel, ruled, &asked);
    sg_consent_ask(&pending->consent, &ruled->decision, ruled->action, sp_buf_borrow(&asked));
}

/* The next of what it needs that costs something. True when nothing of it does, or all is paid for.
 */
static bool spend(sg_channel *channel, const sg_ruling *ruled)
{
    struct sg_pending *pending = channel->pending;
    for (size_t i = 0; i < ruled->needs_count; i++) {
        const sg_need *need = &ruled->needs[i];
        if ((pending->spent & 1U << need->action) == 0 &&
            sg_consent_costs(channel->conn, &need->decision, need->action)) {
            pending->spent |= 1U << need->action;
            channel->reference =
                channel->reference != 0 ? channel->reference : sp_recorder_reference();
            pending->step = STEP_WORD;
            pending->consent.reference = channel->reference;
            sg_consent_spend(&pending->consent, &need->decision, need->action);
            return false;
        }
    }
    return true;
}

/* ---- the disk has it ---- */

static void on_disk(sp_recorder_wait *wait, bool durable)
{
    struct sg_pending *pending =
        (struct sg_pending *)(void *)((char *)wait - offsetof(struct sg_pending, wait));
    pending->step = STEP_NONE;
    if (!durable) {
        sg_channel_deny(pending->channel, SP_REASON_UNRECORDED,
                        "this cannot be written down now, so it does not run");
        return;
    }
    pending->done |= DONE_ON_DISK;
    go_on(pending->channel);
}

/* True when there is nothing to wait for. Where another decision has come meanwhile (it waited for
 * somebody who watches), it runs by that one, which is written down as well. */
static bool write_down(sg_channel *channel, const sg_ruling *ruled)
{
    struct sg_pending *pending = channel->pending;
    uint64_t version = sp_policy_version(&channel->conn->snapshot->policy);
    bool is_same =
        pending->written_version == version && pending->written_rule == ruled->decision.rule;
    if ((pending->done & DONE_ON_DISK) != 0 && is_same) {
        return true;
    }
    pending->done &= ~(unsigned)DONE_ON_DISK;
    pending->written_version = version;
    pending->written_rule = ruled->decision.rule;
    channel->reference = channel->reference != 0 ? channel->reference : sp_recorder_reference();
    uint64_t seq = sp_recorder_works(&sg_here.recorder)
                       ? sg_record_channel(channel, &ruled->decision, ruled->action, NULL)
                       : 0;
    if (seq == 0) {
        sg_channel_deny(channel, SP_REASON_UNRECORDED,
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

/* A free command of which others have seen all that it is needs nobody to look besides. */
static bool needs_watcher(const sg_channel *channel, const sg_ruling *ruled)
{
    bool approved = (channel->pending->done & DONE_APPROVED) != 0;
    bool watched = (ruled->decision.must & SP_MUST_WATCH) != 0;
    return is_open_ended(channel, ruled) ? approved || watched
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
static bool is_watched_elsewhere(const sg_channel *channel, const sg_ruling *ruled)
{
    uint32_t watched = channel->conn->watched;
    bool will_be = needs_watcher(channel, ruled) ||
                   (is_open_ended(channel, ruled) && ruled->decision.verdict == SP_VERDICT_ASK);
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
        sg_channel_deny(channel, SP_REASON_UNAVAILABLE, "the office cannot be asked now");
        return;
    }
    (void)sg_start_tell(channel, "this begins when somebody watches");
}

static void pause_channel(sg_channel *channel, bool pause)
{
    if (pause != channel->paused) {
        channel->paused = pause;
        if (sg_start_tell(channel, pause ? "nobody watches any more: paused until somebody does"
                                         : "watched again: it goes on")) {
            sg_channel_step(channel);
        }
    }
}

void sg_start_office(sg_channel *channel, bool is_up)
{
    const struct sg_pending *pending = channel->pending;
    if (pending == NULL || channel->state == SG_CH_ENDED) {
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
    if (pending == NULL || channel->state == SG_CH_ENDED) {
        return;
    }
    if (pending->step == STEP_WATCH && watched->watchers > 0) {
        snprintf(text, sizeof(text), "watched by %s", by);
        pending->done |= DONE_WATCHED;
        if (sg_start_tell(channel, text)) {
            go_on(channel);
        }
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

bool sg_start_tell_frozen(sg_channel *channel)
{
    char text[SG_TEXT_BYTES];
    const char *by = channel->conn->frozen_by;
    snprintf(text, sizeof(text), "frozen by %s", by[0] != '\0' ? by : "an alarm");
    return sg_start_tell(channel, text);
}

static void tell_freeze(sg_channel *channel, sp_span by)
{
    char text[SG_TEXT_BYTES];
    if (channel->conn->frozen) {
        (void)sg_start_tell_frozen(channel);
    } else {
        snprintf(text, sizeof(text), "released by %.*s", SP_SPAN_ARG(sp_span_slice(by, 0, 180)));
        (void)sg_start_tell(channel, text);
    }
}

static void on_freeze(const sp_ssh_freeze *freeze)
{
    sg_conn *conn = sg_conn_of(freeze->connection);
    if (conn == NULL || conn->frozen == (freeze->on != 0)) {
        return;
    }
    conn->frozen = freeze->on != 0;
    conn->frozen_by[0] = '\0';
    conn->alarms.let_go_us = sp_loop_now_us(sg_here.loop);
    if (conn->frozen) { /* by nobody: an alarm on another connection of his */
        SP_IGNORE(sp_fit(conn->frozen_by, sizeof(conn->frozen_by), freeze->by)); /* a name fits */
    }
    for (sg_channel *channel = conn->channels; channel != NULL; channel = channel->next) {
        bool held = channel->state == SG_CH_START && channel->prepared;
        if (channel->has_pty && (channel->state == SG_CH_RUNS || held)) {
            tell_freeze(channel, freeze->by);
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

/* A certificate's command is what runs, whatever was asked for. */
static sp_err force(sg_channel *channel)
{
    const char *forced = channel->conn->force_command;
    if (forced == NULL || channel->kind == SP_SSH_CHANNEL_FORWARD || channel->asked != NULL) {
        return sp_ok();
    }
    auto_buf sp_buf copy = sp_buf_make(SP_SSH_COMMAND_MAX_BYTES + 1);
    char *command = NULL;
    char *asked = NULL;
    sp_buf_text(&copy, channel->object);
    TRY(sp_buf_take_cstr(&copy, &asked));
    channel->asked = asked;
    sp_buf_text(&copy, forced);
    TRY(sp_buf_take_cstr(&copy, &command));
    sp_free(channel->command);
    sp_free(channel->subsystem);
    channel->command = command;
    channel->subsystem = NULL;
    channel->kind = SP_SSH_CHANNEL_EXEC;
    return sg_channel_name(channel, sp_span_cstr(command));
}

/* The one place where what policy says of a channel comes to it. A limit that was not there before
 * counts what is printed from now on. */
static void take_terms(sg_channel *channel, const sg_ruling *ruled)
{
    const sg_terms old = channel->terms;
    sg_terms terms = {.decision = ruled->decision,
                      .action = ruled->action,
                      .counted = ruled->decision,
                      .counted_action = ruled->action,
                      .alone = is_alone(channel, ruled),
                      .no_input = ruled->no_input,
                      .no_output = ruled->no_output};
    if (channel->sftp != NULL) { /* by what was let through of it (sftp_judge.c) */
        terms.counted = old.counted;
        terms.counted_action = old.counted_action;
    }
    if (channel->back_eof_sent && terms.alone == NULL) { /* its input has ended */
        terms.alone = old.alone;
    }
    if (old.counted.day_bytes == 0) {
        channel->told_bytes = sg_relay_printed(channel);
    }
    if (!old.no_output) {
        channel->carried = sg_relay_printed(channel);
    }
    channel->terms = terms;
}

static void begin(sg_channel *channel)
{
    if (channel->terms.alone != NULL &&
        channel->was_sent) { /* without it, it would do another thing */
        sg_channel_deny(channel, SP_REASON_APPROVAL, channel->terms.alone);
        return;
    }
    if (channel->kind == SP_SSH_CHANNEL_FORWARD || channel->kind == SP_SSH_CHANNEL_RSYNC ||
        channel->kind == SP_SSH_CHANNEL_GIT) {
        channel->conn->opaque++;
    }
    channel->state = SG_CH_OPENING;
    channel->opening_us = sp_loop_now_us(sg_here.loop);
    channel->carried_us = channel->opening_us;
    sg_channel_tell_core(channel, true);
}

/* By the policy of now. What others agreed to counts only if it is that which would run, and they
 * are those who are asked now. */
static void judge(sg_channel *channel, sg_ruling *ret_ruled)
{
    struct sg_pending *pending = channel->pending;
    sg_rule(channel, (pending->done & DONE_AGREED) != 0 ? &pending->consent.asked : NULL,
            ret_ruled);
    if ((pending->done & DONE_AGREED) != 0 && !ret_ruled->refused &&
        !is_as_agreed(channel, ret_ruled)) {
        pending->done &= ~(unsigned)(DONE_AGREED | DONE_APPROVED);
        sg_rule(channel, NULL, ret_ruled);
    }
}

bool sg_start_is_written(const sg_channel *channel)
{
    return channel->pending != NULL && channel->pending->step == STEP_DISK;
}

void sg_start(sg_channel *channel)
{
    sg_ruling ruled;
    if (channel->pending == NULL &&
        (sp_failed(force(channel)) ||
         sp_failed(sp_alloc(1, sizeof(*channel->pending), &channel->pending)))) {
        sg_channel_deny(channel, SP_REASON_LIMIT, "the gate has no memory left");
        return;
    }
    struct sg_pending *pending = channel->pending;
    pending->channel = channel;
    pending->consent.channel = channel;
    pending->consent.on_word = on_word;
    channel->takes_commands =
        channel->command != NULL && sp_alarm_reads_commands(sp_span_cstr(channel->command));
    if (pending->step != STEP_NONE) {
        return;
    }
    judge(channel, &ruled);
    take_terms(channel, &ruled);
    if (ruled.refused) {
        refuse(channel, &ruled, &ruled.refusal);
    } else if (is_watched_elsewhere(channel, &ruled)) {
        sg_channel_deny(
            channel, SP_REASON_LIMIT,
            "one that is watched has a connection of its own: open another one for this");
    } else if (ruled.decision.verdict == SP_VERDICT_ASK) {
        ask_others(channel, &ruled);
    } else if ((pending->done & DONE_AGREED) != 0 && (pending->done & DONE_APPROVED) == 0) {
        use_word(channel, &ruled);
    } else if (!spend(channel, &ruled) || !write_down(channel, &ruled)) {
        return;
    } else if (needs_watcher(channel, &ruled) && (pending->done & DONE_WATCHED) == 0) {
        want_watcher(channel);
    } else {
        begin(channel);
    }
}

/* The policy of now has it watched, and it began without. False: somebody could not see it. */
static bool is_watched_from_now(sg_channel *channel, const sg_ruling *ruled)
{
    struct sg_pending *pending = channel->pending;
    if (!needs_watcher(channel, ruled) || (pending->done & DONE_WATCHED) != 0) {
        return true;
    }
    if (is_watched_elsewhere(channel, ruled)) {
        return false;
    }
    channel->conn->watched = channel->number;
    pending->done |= DONE_WATCHED;
    pause_channel(channel, true);
    if (channel->state != SG_CH_ENDED) {
        (void)tell_want(channel); /* if core is away it is told when it is back */
    }
    return true;
}

bool sg_start_again(sg_channel *channel, sg_refusal *refusal)
{
    sg_ruling ruled;
    const struct sg_pending *pending = channel->pending;
    bool approved = pending != NULL && (pending->done & DONE_APPROVED) != 0;
    sg_rule(channel, approved ? &pending->consent.asked : NULL, &ruled);
    if (ruled.refused || ruled.decision.verdict != SP_VERDICT_ALLOW) {
        if (!ruled.refused) {
            sg_decide_refuse(channel->conn, &ruled.decision, "this may not go on", &ruled.refusal);
        }
        *refusal = ruled.refusal;
        return false;
    }
    if (pending != NULL && !is_watched_from_now(channel, &ruled)) {
        sg_refusal_make(refusal, SP_REASON_LIMIT,
                        "this is to be watched now, on a connection of "
                        "its own: open another one for it");
        return false;
    }
    take_terms(channel, &ruled);
    sg_sftp_look_again(channel);
    return true;
}

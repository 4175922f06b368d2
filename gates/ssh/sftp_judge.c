/* SPDX-License-Identifier: Apache-2.0
 * Requests of sftp on a path: what it leads to, what policy says, who has to agree, what it costs.
 *
 * A path is what it leads to: before an OPEN, and before whatever policy does not allow everywhere,
 * the gate asks the machine itself (REALPATH of the path, or of the folder for what is about the
 * name), and whether a file is there that would be written over (LSTAT). The client's next requests
 * wait meanwhile. What comes to that place in between is not written over (spare), and nobody
 * makes a link that leads from one part into another, or moves what other parts lie below. Somebody
 * who also has a shell there, or finds such links there, can change what a path leads to in
 * between: who must not must not have both.
 *
 * Others agree to the request and the resolved paths, not to what is in a file: that is only known
 * when it has passed, and then it is in the ledger.
 *
 * OWNS what is held. PROCESS ssh gate workers. TRUST both sides are hostile. SPEC gates/ssh/sftp.h.
 */
#include "gates/ssh/sftp.h"

#include <stddef.h>
#include <stdio.h>

enum {
    DONE_AGREED = 1,
    DONE_USED = 2,
    DONE_SPENT = 4,
    DONE_ON_DISK = 8,
    ASKED_MAX_BYTES = 40000,
    REFUSALS_TOLD_MAX = 100
};

static void judge(struct sg_sftp *sftp);
static void spare(struct sg_sftp *sftp);
static unsigned actions_of(const sftp_held *held, size_t at);

/* ---- the ledger ---- */

sp_span sg_sftp_detail(const sg_channel *channel, const char *key, const char *value,
                       char room[SFTP_DETAIL_BYTES])
{
    char connection[SP_REFERENCE_TEXT_BYTES];
    sp_reference_text(channel->conn->connection, connection);
    int len =
        snprintf(room, SFTP_DETAIL_BYTES, "{\"connection\":\"%s\",\"channel\":%u,\"%s\":\"%s\"}",
                 connection, channel->number, key, value);
    return sp_span_of(room, (size_t)len);
}

static uint64_t record_as(const sg_channel *channel, sp_span object, const char *word,
                          const sp_decision *decision, sp_action action, const sg_refusal *refusal)
{
    char room[SFTP_DETAIL_BYTES];
    sp_event event = sg_event_of(channel->conn, SP_EVENT_DECISION);
    const sp_policy *policy = &channel->conn->snapshot->policy;
    event.reference = refusal != NULL ? refusal->reference : channel->reference;
    event.action = (uint8_t)action;
    event.class_level = decision->class_level;
    event.class_name = sp_policy_class_name(policy, decision->class_level);
    event.rule = sp_policy_rule_name(policy, decision->rule);
    event.verdict = refusal == NULL                       ? SP_VERDICT_ALLOW
                    : decision->verdict == SP_VERDICT_ASK ? SP_VERDICT_ASK
                                                          : SP_VERDICT_DENY;
    event.reason = refusal != NULL ? (uint8_t)refusal->reason : decision->reason;
    event.severity = refusal != NULL ? SP_SEVERITY_LOW : SP_SEVERITY_INFO;
    event.method = sp_span_cstr("sftp");
    event.object = object;
    event.detail = sg_sftp_detail(channel, "request", word, room);
    return sp_recorder_put(&sg_here.recorder, &event);
}

/* What was asked for and what policy says; 0: it could not be written down, all of it. */
static uint64_t record(struct sg_sftp *sftp, const sp_decision *decision, sp_action action,
                       const sg_refusal *refusal)
{
    const sftp_held *held = &sftp->held;
    const size_t share =
        refusal == NULL ? SP_SSH_OBJECT_MAX_BYTES * 2 : SP_SSH_OBJECT_MAX_BYTES / 2;
    auto_buf sp_buf object = sp_buf_make(SP_SSH_OBJECT_MAX_BYTES);
    for (size_t i = 0; i < SFTP_PATHS && held->paths[i] != NULL; i++) {
        sp_buf_text(&object, i > 0 ? " -> " : "");
        sg_text_clean(sp_span_cstr(sg_sftp_path(held, i)), object.len + share - 8, &object);
    }
    if (sp_failed(sp_buf_error(&object))) {
        return 0;
    }
    return record_as(sftp->channel, sp_buf_borrow(&object), held->word, decision, action, refusal);
}

/* ---- ends ---- */

void sg_sftp_forget_held(struct sg_sftp *sftp)
{
    sftp_held *held = &sftp->held;
    sg_consent_gone(&held->consent);
    sp_recorder_forget(&held->disk);
    sp_buf_done(&held->raw);
    for (size_t i = 0; i < SFTP_PATHS; i++) {
        sp_free(held->paths[i]);
        sp_free(held->resolved[i]);
    }
    *held = (sftp_held){.type = 0};
    sftp->waits = false;
}

static void pass(struct sg_sftp *sftp, const sp_decision *decision)
{
    sftp_held *held = &sftp->held;
    spare(sftp);
    if (held->type == SP_SFTP_OPEN || held->type == SP_SFTP_OPENDIR) {
        if (sftp->request_count < SFTP_REQUESTS_MAX) {
            bool limited = (decision->must & SP_MUST_LIMIT) != 0;
            sftp->requests[sftp->request_count++] =
                (sftp_request){.id = held->id,
                               .type = held->type,
                               .offset = held->pflags,
                               .actions = actions_of(held, 0),
                               .agreed = (held->done & DONE_AGREED) != 0 ? held->consent.asked
                                                                         : (sp_agreed){.count = 0},
                               .most_bytes = limited ? decision->limit_bytes : 0};
        }
        sp_free(sftp->opening);
        sftp->opening = held->resolved[0] != NULL ? held->resolved[0] : held->paths[0];
        if (held->resolved[0] != NULL) {
            held->resolved[0] = NULL;
        } else {
            held->paths[0] = NULL;
        }
    }
    sg_relay_queue(sftp->channel, SG_IN, sp_buf_borrow(&held->raw));
    sg_sftp_forget_held(sftp);
}

/* text NULL: what policy says. */
static void refuse(struct sg_sftp *sftp, const sp_decision *decision, sp_action action,
                   sp_reason reason, const char *text)
{
    sg_refusal refusal;
    auto_buf sp_buf line = sp_buf_make(SG_TEXT_BYTES * 5);
    if (text != NULL) {
        sg_refusal_make(&refusal, reason, "%s", text);
    } else {
        char what[80];
        snprintf(what, sizeof(what), "%s (%s) is not allowed", sftp->held.word,
                 sp_action_word(action));
        sg_decide_refuse(sftp->channel->conn, decision, what, &refusal);
    }
    sg_record_count_refused(sftp->channel->conn);
    (void)record(sftp, decision, action, &refusal); /* no room is counted as a loss */
    sg_refusal_line(&refusal, false, &line);
    if (sftp->told_refusals <
        REFUSALS_TOLD_MAX) { /* OpenSSH's sftp and scp show no text of a status */
        sftp->told_refusals++;
        sg_relay_say(sftp->channel, sp_buf_borrow(&line), true);
    }
    sp_sftp_put_status(&sftp->answers, sftp->held.id, SP_SFTP_PERMISSION_DENIED,
                       sp_span_trim(sp_buf_borrow(&line)));
    sg_sftp_forget_held(sftp);
}

/* ---- policy ---- */

static sp_decision decide_path(const sg_conn *conn, sp_action action, const char *path, bool tree)
{
    if (path == NULL || tree) {
        return sg_decide_whole(conn, action, path == NULL ? SP_SPAN_LIT("/") : sp_span_cstr(path));
    }
    return sg_decide_part(conn, action, sp_span_cstr(path));
}

bool sg_sftp_on_all(const sg_conn *conn, unsigned actions, sftp_no *ret_no)
{
    for (sp_action action = SP_ACTION_CONNECT; action < SP_ACTION_COUNT; action++) {
        sp_decision decision = {.verdict = SP_VERDICT_ALLOW};
        if ((actions & (1U << action)) != 0) {
            decision = sg_decide_whole(conn, action, SP_SPAN_LIT("/"));
        }
        if (decision.verdict != SP_VERDICT_ALLOW) {
            *ret_no = (sftp_no){decision, action};
            return false;
        }
    }
    return true;
}

bool sg_sftp_everywhere(const sg_conn *conn, unsigned actions)
{
    sftp_no no;
    return sg_sftp_on_all(conn, actions, &no);
}

bool sg_sftp_on_file(sg_conn *conn, unsigned actions, const sftp_file *file, sftp_no *ret_no)
{
    for (sp_action action = SP_ACTION_CONNECT; action < SP_ACTION_COUNT; action++) {
        if ((actions & (1U << action)) == 0) {
            continue;
        }
        bool agreed = (file->actions & (1U << action)) != 0; /* to this, and to nothing else */
        conn->agreed = agreed ? &file->agreed : NULL;
        sp_decision decision = decide_path(conn, action, file->path, false);
        conn->agreed = NULL;
        if (decision.verdict != SP_VERDICT_ALLOW) {
            *ret_no = (sftp_no){decision, action};
            return false;
        }
    }
    return true;
}

void sg_sftp_refuse_one(struct sg_sftp *sftp, const sp_sftp_packet *packet, const sftp_file *file,
                        const sftp_no *no)
{
    char what[80];
    sg_refusal refusal;
    auto_buf sp_buf object = sp_buf_make(SP_SSH_OBJECT_MAX_BYTES + 8);
    auto_buf sp_buf line = sp_buf_make(SG_TEXT_BYTES * 5);
    const char *word = sp_sftp_word(packet);
    snprintf(what, sizeof(what), "%s (%s) is not allowed", word, sp_action_word(no->action));
    sg_decide_refuse(sftp->channel->conn, &no->decision, what, &refusal);
    sg_text_clean(sp_span_cstr(file != NULL ? file->path : word), SP_SSH_OBJECT_MAX_BYTES - 8,
                  &object);
    sg_record_count_refused(sftp->channel->conn);
    (void)record_as(sftp->channel, sp_buf_borrow(&object), word, &no->decision, no->action,
                    &refusal); /* no room is counted as a loss */
    sg_refusal_line(&refusal, false, &line);
    sp_sftp_put_status(&sftp->answers, packet->id, SP_SFTP_PERMISSION_DENIED,
                       sp_span_trim(sp_buf_borrow(&line)));
}

void sg_sftp_close_file(struct sg_sftp *sftp, sftp_file *file, const sftp_no *no)
{
    sg_refusal refusal;
    auto_buf sp_buf object = sp_buf_make(SP_SSH_OBJECT_MAX_BYTES + 8);
    file->closed = true;
    sg_decide_refuse(sftp->channel->conn, &no->decision, "this file may not go on", &refusal);
    sg_text_clean(sp_span_cstr(file->path), SP_SSH_OBJECT_MAX_BYTES - 8, &object);
    sg_record_count_refused(sftp->channel->conn);
    (void)record_as(sftp->channel, sp_buf_borrow(&object), "open", &no->decision, no->action,
                    &refusal); /* no room is counted as a loss */
}

/* A name that goes from one part of the machine to another leaves the one and enters the other:
 * else a link or a rename would carry a file to where it may be taken from. So does one with other
 * parts below it, and a link of which it is not known where it leads once it is moved. */
static bool moves_between_parts(const sftp_held *held, const sg_conn *conn)
{
    bool moves = held->type == SP_SFTP_RENAME || held->type == SP_SFTP_SYMLINK ||
                 (held->type == SP_SFTP_EXTENDED && (held->extension == SP_SFTP_X_POSIX_RENAME ||
                                                     held->extension == SP_SFTP_X_HARDLINK));
    return moves && held->paths[1] != NULL &&
           !sp_policy_ssh_together(&conn->snapshot->policy, conn->resource,
                                   sp_span_cstr(held->resolved[0]),
                                   sp_span_cstr(held->resolved[1]));
}

/* Which of its paths might be written over, SFTP_PATHS = none. scp writes in place and cuts the
 * file off later. */
static unsigned overwritten(const sftp_held *held)
{
    bool appends = (held->pflags & SP_SFTP_F_APPEND) != 0 && (held->pflags & SP_SFTP_F_TRUNC) == 0;
    if (held->type == SP_SFTP_OPEN) {
        /* EXCL without CREAT says nothing to open(2) */
        bool fresh = (~held->pflags & (SP_SFTP_F_EXCL | SP_SFTP_F_CREAT)) == 0;
        bool over = (held->pflags & (SP_SFTP_F_WRITE | SP_SFTP_F_TRUNC)) != 0 && !appends && !fresh;
        return over ? 0 : SFTP_PATHS;
    }
    return held->type == SP_SFTP_EXTENDED && held->extension == SP_SFTP_X_POSIX_RENAME ? 1
                                                                                       : SFTP_PATHS;
}

/* Something is put there, or gets that name, and may be run from there by itself. */
static bool is_run(const sftp_held *held, size_t at)
{
    bool comes = (held->actions & (1U << SP_ACTION_IMPORT | 1U << SP_ACTION_WRITE)) != 0 &&
                 held->type != SP_SFTP_REMOVE && held->type != SP_SFTP_RMDIR;
    bool last = at + 1 == SFTP_PATHS || held->paths[at + 1] == NULL;
    return comes && last && sp_sftp_runs(sp_span_cstr(sg_sftp_path(held, at)));
}

/* What it does to that path, links and renames that leave their part apart. */
static unsigned actions_of(const sftp_held *held, size_t at)
{
    bool target = held->type == SP_SFTP_SYMLINK && at == 0; /* of a link: nothing is done to it */
    return (target ? 0 : held->actions) | (is_run(held, at) ? 1U << SP_ACTION_EXECUTE : 0) |
           (held->exists && overwritten(held) == at ? 1U << SP_ACTION_DESTROY : 0);
}

/* Nothing was there that would be written over, and who does this may not write over anything: so
 * whatever comes there meanwhile is not. */
static void spare(struct sg_sftp *sftp)
{
    sftp_held *held = &sftp->held;
    unsigned at = overwritten(held);
    if (at == SFTP_PATHS || held->exists ||
        decide_path(sftp->channel->conn, SP_ACTION_DESTROY, held->resolved[at], false).verdict ==
            SP_VERDICT_ALLOW) {
        return;
    }
    if (held->type == SP_SFTP_OPEN) {
        sp_sftp_open_new(&held->raw);
    } else {
        sp_buf_reset(&held->raw);
        sp_sftp_put_rename(&held->raw, held->id, sp_span_cstr(held->paths[0]),
                           sp_span_cstr(held->paths[1]));
    }
}

static void take_graver(const sp_policy *policy, const sp_decision *one, sp_action action,
                        sp_decision *worst, sp_action *ret_action)
{
    sp_decision milder = *one;
    if (one->verdict < worst->verdict ||
        (one->verdict == worst->verdict && one->approvals > worst->approvals)) {
        milder = *worst;
        *ret_action = action;
        *worst = *one;
    }
    sp_decision_ask_also(policy, worst, &milder);
}

/* The gravest of each action on each path; of what is allowed the last one, with every `must`. */
static sp_decision decide_all(const struct sg_sftp *sftp, sp_action *ret_action)
{
    const sftp_held *held = &sftp->held;
    const sg_conn *conn = sftp->channel->conn;
    bool tree = held->type == SP_SFTP_RENAME || held->type == SP_SFTP_RMDIR ||
                held->type == SP_SFTP_SYMLINK || held->type == SP_SFTP_EXTENDED;
    bool between = moves_between_parts(held, conn);
    static const unsigned crossing[SFTP_PATHS] = {1U << SP_ACTION_EXPORT, 1U << SP_ACTION_IMPORT};
    sp_decision worst = {.verdict = SP_VERDICT_ALLOW, .rule = SP_NONE};
    unsigned must = 0;
    *ret_action = SP_ACTION_READ;
    for (size_t i = 0; i < SFTP_PATHS && held->paths[i] != NULL; i++) {
        unsigned actions = actions_of(held, i) | (between ? crossing[i] : 0);
        for (sp_action action = SP_ACTION_CONNECT; action < SP_ACTION_COUNT; action++) {
            if ((actions & (1U << action)) == 0) {
                continue;
            }
            sp_decision one = decide_path(conn, action, held->resolved[i], tree);
            must |= one.must;
            if (one.verdict == SP_VERDICT_ALLOW && worst.verdict == SP_VERDICT_ALLOW) {
                worst = one;
                *ret_action = action;
            } else {
                take_graver(&conn->snapshot->policy, &one, action, &worst, ret_action);
            }
        }
    }
    worst.must |= must;
    return worst;
}

/* ---- others ---- */

static void take_word(struct sg_sftp *sftp, sg_word word, sp_reason reason, const char *text)
{
    static const unsigned done[SG_WORD_COUNT] = {
        [SG_AGREED] = DONE_AGREED, [SG_USED] = DONE_USED, [SG_SPENT] = DONE_SPENT};
    if (word == SG_REFUSED) {
        sp_action action = SP_ACTION_READ;
        sp_decision decision = decide_all(sftp, &action);
        decision.verdict = SP_VERDICT_DENY;
        refuse(sftp, &decision, action, reason, text);
        return;
    }
    if (text[0] != '\0' && !sg_start_tell(sftp->channel, text)) {
        return;
    }
    sftp->held.done |= done[word];
    if (word != SG_ASKED) {
        judge(sftp);
    }
}

/* Perhaps at once, while the request is being judged. */
static void on_word(sg_consent *consent, sg_word word, sp_reason reason, const char *text)
{
    struct sg_sftp *sftp = consent->channel->sftp;
    bool nested = sftp->inside;
    sftp->inside = true;
    take_word(sftp, word, reason, text);
    if (!nested) {
        sg_sftp_leave(sftp, sg_sftp_resume(sftp));
    }
}

static void ask_others(struct sg_sftp *sftp, const sp_decision *decision, sp_action action)
{
    sftp_held *held = &sftp->held;
    auto_buf sp_buf asked = sp_buf_make(ASKED_MAX_BYTES);
    held->done &= ~(unsigned)(DONE_AGREED | DONE_USED);
    held->consent.reference = sp_recorder_reference();
    const sg_refusal waits = {.reason = SP_REASON_APPROVAL, .reference = held->consent.reference};
    (void)record(sftp, decision, action, &waits); /* no room is counted as a loss */
    sg_sftp_put_asked(held, &asked);
    if (sp_failed(sp_buf_error(&asked))) {
        refuse(sftp, decision, action, SP_REASON_LIMIT, "the path is too long to be asked about");
    } else {
        sg_consent_ask(&held->consent, decision, action, sp_buf_borrow(&asked));
    }
}

/* ---- the disk ---- */

static void on_disk(sp_recorder_wait *wait, bool durable)
{
    sftp_held *held = (sftp_held *)(void *)((char *)wait - offsetof(sftp_held, disk));
    struct sg_sftp *sftp = held->consent.channel->sftp;
    sftp->inside = true;
    if (durable) {
        held->done |= DONE_ON_DISK;
        judge(sftp);
    } else {
        sp_decision decision = {.rule = SP_NONE};
        refuse(sftp, &decision, SP_ACTION_READ, SP_REASON_UNRECORDED,
               "this cannot be written down now");
    }
    sg_sftp_leave(sftp, sg_sftp_resume(sftp));
}

/* True when there is nothing to wait for. */
static bool write_down(struct sg_sftp *sftp, const sp_decision *decision, sp_action action)
{
    sftp_held *held = &sftp->held;
    bool is_look = (held->actions & ~(1U << SP_ACTION_READ)) == 0;
    if (is_look || (held->done & DONE_ON_DISK) != 0) {
        return true;
    }
    uint64_t seq = sp_recorder_works(&sg_here.recorder) ? record(sftp, decision, action, NULL) : 0;
    if (seq == 0) {
        refuse(sftp, decision, action, SP_REASON_UNRECORDED, "this cannot be written down now");
        return false;
    }
    held->done |= DONE_ON_DISK;
    if ((decision->must & SP_MUST_RECORD) == 0) {
        return true;
    }
    held->disk.on_end = on_disk;
    sp_recorder_await(&sg_here.recorder, &held->disk, seq);
    return false;
}

/* ---- together ---- */

/* With what others agreed to, if it is they who are asked now. */
static sp_decision decide_with(struct sg_sftp *sftp, sp_action *ret_action)
{
    const sftp_held *held = &sftp->held;
    sg_conn *conn = sftp->channel->conn;
    conn->agreed = (held->done & DONE_AGREED) != 0 ? &held->consent.asked : NULL;
    sp_decision decision = decide_all(sftp, ret_action);
    conn->agreed = NULL;
    return decision;
}

/* What leaves is counted a channel: by the smallest limit of what was let through of it. */
static void count_by(sg_channel *channel, const sp_decision *decision, sp_action action)
{
    uint64_t now = channel->terms.counted.day_bytes;
    if (decision->day_bytes != 0 && (now == 0 || decision->day_bytes < now)) {
        channel->terms.counted = *decision;
        channel->terms.counted_action = action;
    }
}

/* Again after each step, since policy and person may have moved meanwhile. */
static void judge(struct sg_sftp *sftp)
{
    sp_action action = SP_ACTION_READ;
    sftp_held *held = &sftp->held;
    sp_decision decision = decide_with(sftp, &action);
    bool agreed = (held->done & DONE_AGREED) != 0;
    sftp->waits = true;
    if (decision.verdict == SP_VERDICT_DENY) {
        refuse(sftp, &decision, action, SP_REASON_NONE, NULL);
    } else if (decision.verdict == SP_VERDICT_ASK) {
        ask_others(sftp, &decision, action);
    } else if (agreed && (held->done & DONE_USED) == 0) {
        sg_consent_use(&held->consent);
    } else if ((held->done & DONE_SPENT) == 0 &&
               sg_consent_costs(sftp->channel->conn, &decision, action)) {
        held->consent.reference = sp_recorder_reference();
        count_by(sftp->channel, &decision, action);
        sg_consent_spend(&held->consent, &decision, action);
    } else if (write_down(sftp, &decision, action)) {
        pass(sftp, &decision);
    }
}

/* ---- asking the machine ---- */

/* What is about the name itself and not about what it leads to. */
static bool is_about_name(const sftp_held *held, size_t at)
{
    sp_span path = sp_span_cstr(held->paths[at]);
    bool follows = path.len > 1 && path.ptr[path.len - 1] == '/';
    if ((follows && (held->type == SP_SFTP_LSTAT || held->type == SP_SFTP_EXTENDED)) ||
        (held->type == SP_SFTP_SYMLINK && at == 0)) {
        return false;
    }
    return held->type == SP_SFTP_REMOVE || held->type == SP_SFTP_RMDIR ||
           held->type == SP_SFTP_RENAME || held->type == SP_SFTP_MKDIR ||
           held->type == SP_SFTP_SYMLINK || held->type == SP_SFTP_LSTAT ||
           held->type == SP_SFTP_READLINK || held->type == SP_SFTP_EXTENDED;
}

static sp_span folder_of(sp_span path, sp_span *ret_name)
{
    while (path.len > 1 && path.ptr[path.len - 1] == '/') {
        path.len--;
    }
    size_t at = path.len;
    while (at > 0 && path.ptr[at - 1] != '/') {
        at--;
    }
    *ret_name = sp_span_slice(path, at, path.len);
    return at == 0 ? SP_SPAN_LIT(".") : at == 1 ? SP_SPAN_LIT("/") : sp_span_slice(path, 0, at - 1);
}

/* The next question; false when all is known. */
static bool ask_next(struct sg_sftp *sftp)
{
    sftp_held *held = &sftp->held;
    auto_buf sp_buf out = sp_buf_make(SP_SFTP_PATH_MAX_BYTES + 64);
    if (held->type == SP_SFTP_SYMLINK && held->asked == 0 && held->paths[0][0] != '/') {
        held->asked++; /* it leads elsewhere when it is moved: judged as everything */
    }
    if (held->asked < SFTP_PATHS && held->paths[held->asked] != NULL) {
        sp_span name;
        sp_span path = sp_span_cstr(held->paths[held->asked]);
        sp_sftp_put_path(&out, SP_SFTP_REALPATH, SFTP_OWN_ID,
                         is_about_name(held, held->asked) ? folder_of(path, &name) : path);
    } else if (held->asked < SFTP_PATHS + 1 && overwritten(held) < SFTP_PATHS) {
        held->asked = SFTP_PATHS;
        sp_sftp_put_path(&out, SP_SFTP_LSTAT, SFTP_OWN_ID,
                         sp_span_cstr(held->paths[overwritten(held)]));
    } else {
        return false;
    }
    sg_relay_queue(sftp->channel, SG_IN, sp_buf_borrow(&out));
    return true;
}

static sp_err take_resolved(sftp_held *held, const sp_sftp_packet *answer)
{
    sp_sftp_name first;
    sp_span names = answer->names;
    unsigned at = held->asked;
    if (answer->type != SP_SFTP_NAME || !sp_sftp_name_next(&names, &first)) {
        return sp_ok(); /* the machine does not know it: judged as everything */
    }
    auto_buf sp_buf whole = sp_buf_make(SP_SFTP_PATH_MAX_BYTES * 2 + 8);
    sp_buf_span(&whole, first.name);
    if (is_about_name(held, at)) {
        sp_span name;
        (void)folder_of(sp_span_cstr(held->paths[at]), &name);
        if (sp_span_eq(name, SP_SPAN_LIT("..")) || sp_span_eq(name, SP_SPAN_LIT("."))) {
            return sp_ok();
        }
        sp_buf_text(&whole, first.name.len > 1 ? "/" : "");
        sp_buf_span(&whole, name);
    }
    return sp_buf_take_cstr(&whole, &held->resolved[at]);
}

sp_err sg_sftp_answered(struct sg_sftp *sftp, const sp_sftp_packet *answer)
{
    sftp_held *held = &sftp->held;
    const unsigned questions = SFTP_PATHS + 1;
    if (!sftp->waits || held->asked >= questions || held->done != 0) {
        return sp_fail(SP_EINVALID); /* nothing was asked */
    }
    if (held->asked < SFTP_PATHS) {
        TRY(take_resolved(held, answer));
    } else {
        bool makes = held->type != SP_SFTP_OPEN || (held->pflags & SP_SFTP_F_CREAT) != 0;
        held->exists = answer->type == SP_SFTP_ATTRS || !makes;
    }
    held->asked++;
    if (!ask_next(sftp)) {
        held->asked = questions;
        judge(sftp);
        return sg_sftp_resume(sftp);
    }
    return sp_ok();
}

static sp_err copy_text(sp_span text, char **ret_text)
{
    auto_buf sp_buf copy = sp_buf_make(SP_SFTP_PATH_MAX_BYTES * 2 + 8);
    sp_buf_span(&copy, text);
    return sp_buf_take_cstr(&copy, ret_text);
}

sp_err sg_sftp_hold(struct sg_sftp *sftp, const sp_sftp_packet *packet, unsigned actions)
{
    sftp_held *held = &sftp->held;
    *held = (sftp_held){.type = packet->type,
                        .extension = packet->extension,
                        .id = packet->id,
                        .pflags = packet->pflags,
                        .attrs = packet->attrs,
                        .actions = actions,
                        .consent = {.channel = sftp->channel, .on_word = on_word},
                        .raw = sp_buf_make(SP_SFTP_PACKET_MAX_BYTES + 8),
                        .word = sp_sftp_word(packet)};
    sftp->waits = true;
    sp_buf_span(&held->raw, packet->raw);
    TRY(sp_buf_error(&held->raw));
    if (packet->type == SP_SFTP_OPEN || packet->type == SP_SFTP_MKDIR) {
        held->attrs.flags = 0; /* of what is made */
    }
    TRY(copy_text(packet->path, &held->paths[0]));
    if (packet->path2.len > 0) {
        TRY(copy_text(packet->path2, &held->paths[1]));
    }
    if (!ask_next(sftp)) {
        held->asked = SFTP_PATHS + 1;
        judge(sftp);
    }
    return sp_ok();
}

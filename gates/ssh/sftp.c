/* SPDX-License-Identifier: Apache-2.0
 * sftp through the gate: each request is judged by what it does to which path, each file that came
 * or went is written down with its size and SHA-256.
 *
 * A path is what it leads to: before an OPEN, and before whatever policy does not allow everywhere,
 * the gate asks the machine itself (REALPATH of the path, or of the folder for what is about the
 * name), and whether a file is there that would be truncated (STAT). The client's next requests
 * wait meanwhile. Somebody who also has a shell there can change links in between: who must not
 * must not have both.
 *
 * OWNS what is known of a channel's requests and files. PROCESS ssh gate workers. TRUST both sides
 * are hostile: what cannot be followed ends the channel. SPEC lib/proto/sftp.h.
 */
#include "lib/proto/sftp.h"
#include "gates/ssh/gate.h"
#include "infra/proc/clock.h"
#include "lib/proto/json.h"

#include <openssl/evp.h>
#include <stdio.h>

enum {
    FILES_MAX = 128,
    REQUESTS_MAX = 1024,
    REST_MAX_BYTES = 512 * 1024,
    OWN_ID = 0x5a1190f7, /* of the gate's own questions; a client that uses it is refused */
    PATHS = 2,
    DETAIL_BYTES = 512
};

typedef struct {
    bool used;
    bool is_folder;
    bool reads;
    bool writes;
    bool broken; /* not from the first to the last byte in order: no hash */
    size_t handle_len;
    uint8_t handle[SP_SFTP_HANDLE_MAX_BYTES];
    char *path;
    EVP_MD_CTX *hash;
    uint64_t next; /* offset of the next byte in order */
    uint64_t bytes;
    uint64_t since_us;
} one_file;

typedef struct {
    uint32_t id;
    uint8_t type; /* sp_sftp_type */
    one_file *file;
    uint64_t offset;
} request;

/* What waits for the machine's answers. */
typedef struct {
    uint8_t type;
    uint32_t id;
    uint32_t pflags;
    unsigned actions;
    bool exists; /* there is a file that would be truncated */
    bool has_attrs_size;
    unsigned asked; /* questions that were answered */
    sp_buf raw;
    char *paths[PATHS];    /* as written */
    char *resolved[PATHS]; /* NULL: the machine does not know it */
    const char *word;
} held_request;

struct sg_sftp {
    sg_channel *channel;
    sp_sftp client;
    sp_sftp server;
    sp_buf rest;    /* of the client, behind what waits */
    sp_buf answers; /* of ours, for when no file's bytes are passing */
    bool waits;
    bool dropping; /* the pieces of a WRITE that was refused */
    bool mid_data; /* the client has the begin of a DATA */
    one_file *writing;
    one_file *reading;
    char *opening; /* the path of the OPEN that was let through last, for its handle */
    held_request held;
    request requests[REQUESTS_MAX];
    uint32_t request_count;
    one_file files[FILES_MAX];
};

/* ---- parts ---- */

static sp_err copy_text(sp_span text, char **ret_text)
{
    auto_buf sp_buf copy = sp_buf_make(SP_SFTP_PATH_MAX_BYTES * 2 + 8);
    sp_buf_span(&copy, text);
    return sp_buf_take_cstr(&copy, ret_text);
}

static request *find_request(struct sg_sftp *sftp, uint32_t id)
{
    for (uint32_t i = 0; i < sftp->request_count; i++) {
        if (sftp->requests[i].id == id) {
            return &sftp->requests[i];
        }
    }
    return NULL;
}

static one_file *find_file(struct sg_sftp *sftp, sp_span handle)
{
    for (size_t i = 0; i < FILES_MAX; i++) {
        one_file *file = &sftp->files[i];
        if (file->used && sp_span_eq(sp_span_of(file->handle, file->handle_len), handle)) {
            return file;
        }
    }
    return NULL;
}

static void forget_file(one_file *file)
{
    EVP_MD_CTX_free(file->hash);
    sp_free(file->path);
    *file = (one_file){.used = false};
}

static void forget_held(held_request *held)
{
    sp_buf_done(&held->raw);
    for (size_t i = 0; i < PATHS; i++) {
        sp_free(held->paths[i]);
        sp_free(held->resolved[i]);
    }
    *held = (held_request){.type = 0};
}

sp_err sg_sftp_begin(sg_channel *channel)
{
    TRY(sp_alloc(1, sizeof(*channel->sftp), &channel->sftp));
    struct sg_sftp *sftp = channel->sftp;
    sftp->channel = channel;
    sftp->client = sp_sftp_make(SP_SFTP_FROM_CLIENT);
    sftp->server = sp_sftp_make(SP_SFTP_FROM_SERVER);
    sftp->rest = sp_buf_make(REST_MAX_BYTES);
    sftp->answers = sp_buf_make(REST_MAX_BYTES);
    return sp_ok();
}

/* ---- the ledger ---- */

static sp_span detail_of(const sg_channel *channel, const char *key, const char *value,
                         char room[DETAIL_BYTES])
{
    char connection[SP_REFERENCE_TEXT_BYTES];
    sp_reference_text(channel->conn->connection, connection);
    int len = snprintf(room, DETAIL_BYTES, "{\"connection\":\"%s\",\"channel\":%u,\"%s\":\"%s\"}",
                       connection, channel->number, key, value);
    return sp_span_of(room, (size_t)len);
}

static void record_file(struct sg_sftp *sftp, one_file *file)
{
    const sg_channel *channel = sftp->channel;
    char room[DETAIL_BYTES];
    char hex[2 * SP_SHA256_BYTES + 1] = "";
    uint8_t digest[EVP_MAX_MD_SIZE];
    auto_buf sp_buf object = sp_buf_make(SP_SSH_OBJECT_MAX_BYTES + 8);
    if (!file->broken && file->hash != NULL && EVP_DigestFinal_ex(file->hash, digest, NULL) == 1) {
        for (size_t i = 0; i < SP_SHA256_BYTES; i++) {
            snprintf(hex + 2 * i, 3, "%02x", digest[i]);
        }
    }
    sg_text_clean(sp_span_cstr(file->path), SP_SSH_OBJECT_MAX_BYTES - 8, &object);
    sp_event event = sg_event_of(channel->conn, SP_EVENT_CLOSE);
    event.reference = channel->reference;
    event.verdict = SP_VERDICT_ALLOW;
    event.reason = SP_REASON_RULE;
    event.action = file->writes ? SP_ACTION_IMPORT : SP_ACTION_EXPORT;
    event.method = SP_SPAN_LIT("sftp file");
    event.object = sp_buf_borrow(&object);
    event.bytes_in = file->writes ? file->bytes : 0;
    event.bytes_out = file->writes ? 0 : file->bytes;
    event.duration_us = (uint32_t)(sp_loop_now_us(sg_here.loop) - file->since_us);
    event.detail = detail_of(channel, hex[0] != '\0' ? "sha256" : "partial",
                             hex[0] != '\0' ? hex : "not read or written in order", room);
    channel->conn->files++;
    (void)sp_recorder_put(&sg_here.recorder, &event); /* no room is counted as a loss */
}

/* What was asked for and what policy says; 0: it could not be written down. */
static uint64_t record_request(struct sg_sftp *sftp, const sp_decision *decision, sp_action action,
                               const sg_refusal *refusal)
{
    const held_request *held = &sftp->held;
    sg_channel *channel = sftp->channel;
    char room[DETAIL_BYTES];
    auto_buf sp_buf object = sp_buf_make(SP_SSH_OBJECT_MAX_BYTES + 8);
    for (size_t i = 0; i < PATHS && held->paths[i] != NULL; i++) {
        const char *path = held->resolved[i] != NULL ? held->resolved[i] : held->paths[i];
        sp_buf_text(&object, i > 0 ? " -> " : "");
        sg_text_clean(sp_span_cstr(path), SP_SSH_OBJECT_MAX_BYTES - 8, &object);
    }
    sp_event event = sg_event_of(channel->conn, SP_EVENT_DECISION);
    const sp_policy *policy = &channel->conn->snapshot->policy;
    event.reference = refusal != NULL ? refusal->reference : channel->reference;
    event.action = (uint8_t)action;
    event.class_level = decision->class_level;
    event.class_name = sp_policy_class_name(policy, decision->class_level);
    event.rule = sp_policy_rule_name(policy, decision->rule);
    event.verdict = refusal != NULL ? SP_VERDICT_DENY : SP_VERDICT_ALLOW;
    event.reason = refusal != NULL ? (uint8_t)refusal->reason : decision->reason;
    event.severity = refusal != NULL ? SP_SEVERITY_LOW : SP_SEVERITY_INFO;
    event.method = sp_span_cstr("sftp");
    event.object = sp_buf_borrow(&object);
    event.detail = detail_of(channel, "request", held->word, room);
    channel->conn->refused += refusal != NULL;
    return sp_recorder_put(&sg_here.recorder, &event);
}

/* ---- judging ---- */

static void pass_held(struct sg_sftp *sftp)
{
    held_request *held = &sftp->held;
    if (held->type == SP_SFTP_OPEN || held->type == SP_SFTP_OPENDIR) {
        if (sftp->request_count < REQUESTS_MAX) {
            sftp->requests[sftp->request_count++] =
                (request){.id = held->id, .type = held->type, .offset = held->pflags};
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
    forget_held(held);
}

static void refuse_held(struct sg_sftp *sftp, const sp_decision *decision, sp_action action,
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
    (void)record_request(sftp, decision, action, &refusal); /* no room is counted as a loss */
    sg_refusal_line(&refusal, false, &line);
    sp_sftp_put_status(&sftp->answers, sftp->held.id, SP_SFTP_PERMISSION_DENIED,
                       sp_span_trim(sp_buf_borrow(&line)));
    forget_held(&sftp->held);
}

static sp_decision decide_path(const sg_conn *conn, sp_action action, const char *path, bool tree)
{
    if (path == NULL || tree) {
        return sg_decide_whole(conn, action, path == NULL ? SP_SPAN_LIT("/") : sp_span_cstr(path));
    }
    return sg_decide_part(conn, action, sp_span_cstr(path));
}

/* Each action on each path; the first that is not allowed. */
static bool may_all(struct sg_sftp *sftp, sp_decision *decision, sp_action *ret_action)
{
    const held_request *held = &sftp->held;
    bool tree = held->type == SP_SFTP_RENAME || held->type == SP_SFTP_RMDIR ||
                held->type == SP_SFTP_EXTENDED;
    unsigned actions = held->actions | (held->exists ? 1U << SP_ACTION_DESTROY : 0);
    for (size_t i = 0; i < PATHS && held->paths[i] != NULL; i++) {
        for (sp_action action = SP_ACTION_CONNECT; action < SP_ACTION_COUNT; action++) {
            if ((actions & (1U << action)) == 0) {
                continue;
            }
            *decision = decide_path(sftp->channel->conn, action, held->resolved[i], tree);
            *ret_action = action;
            if (decision->verdict != SP_VERDICT_ALLOW) {
                return false;
            }
        }
    }
    return true;
}

static void judge_held(struct sg_sftp *sftp)
{
    sp_decision decision = {.rule = SP_NONE};
    sp_action action = SP_ACTION_READ;
    if (!may_all(sftp, &decision, &action)) {
        refuse_held(sftp, &decision, action,
                    decision.verdict == SP_VERDICT_ASK ? SP_REASON_APPROVAL : SP_REASON_NONE,
                    decision.verdict == SP_VERDICT_ASK
                        ? "this needs other people's agreement, which sftp cannot wait for"
                        : NULL);
        return;
    }
    bool is_look = (sftp->held.actions & ~(1U << SP_ACTION_READ)) == 0;
    if (!is_look && (!sp_recorder_works(&sg_here.recorder) ||
                     record_request(sftp, &decision, action, NULL) == 0)) {
        refuse_held(sftp, &decision, action, SP_REASON_UNRECORDED,
                    "this cannot be written down now");
        return;
    }
    pass_held(sftp);
}

/* ---- asking the machine ---- */

/* What is about the name itself and not about what it leads to. */
static bool is_about_name(const held_request *held)
{
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
    held_request *held = &sftp->held;
    auto_buf sp_buf out = sp_buf_make(SP_SFTP_PATH_MAX_BYTES + 64);
    if (held->asked < PATHS && held->paths[held->asked] != NULL) {
        sp_span name;
        sp_span path = sp_span_cstr(held->paths[held->asked]);
        sp_sftp_put_path(&out, SP_SFTP_REALPATH, OWN_ID,
                         is_about_name(held) ? folder_of(path, &name) : path);
    } else if (held->asked < PATHS + 1 && held->type == SP_SFTP_OPEN &&
               (held->pflags & SP_SFTP_F_TRUNC) != 0) {
        held->asked = PATHS;
        sp_sftp_put_path(&out, SP_SFTP_STAT, OWN_ID, sp_span_cstr(held->paths[0]));
    } else {
        return false;
    }
    sg_relay_queue(sftp->channel, SG_IN, sp_buf_borrow(&out));
    return true;
}

static sp_err take_resolved(held_request *held, const sp_sftp_packet *answer)
{
    sp_sftp_name first;
    sp_span names = answer->names;
    unsigned at = held->asked;
    if (answer->type != SP_SFTP_NAME || !sp_sftp_name_next(&names, &first)) {
        return sp_ok(); /* the machine does not know it: judged as everything */
    }
    auto_buf sp_buf whole = sp_buf_make(SP_SFTP_PATH_MAX_BYTES * 2 + 8);
    sp_buf_span(&whole, first.name);
    if (is_about_name(held)) {
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

static sp_err feed_client(struct sg_sftp *sftp, sp_span input);

static sp_err on_answer(struct sg_sftp *sftp, const sp_sftp_packet *answer)
{
    held_request *held = &sftp->held;
    if (held->asked < PATHS) {
        TRY(take_resolved(held, answer));
    } else {
        held->exists = answer->type == SP_SFTP_ATTRS;
    }
    held->asked++;
    if (ask_next(sftp)) {
        return sp_ok();
    }
    sftp->waits = false;
    judge_held(sftp);
    sp_buf rest = sftp->rest;
    sftp->rest = sp_buf_make(REST_MAX_BYTES);
    sp_err err = feed_client(sftp, sp_buf_borrow(&rest));
    sp_buf_done(&rest);
    sg_side_again(&sftp->channel->conn->front);
    return err;
}

/* ---- the client's packets ---- */

static bool is_allowed_everywhere(const sg_conn *conn, unsigned actions)
{
    for (sp_action action = SP_ACTION_CONNECT; action < SP_ACTION_COUNT; action++) {
        if ((actions & (1U << action)) != 0 &&
            sg_decide_whole(conn, action, SP_SPAN_LIT("/")).verdict != SP_VERDICT_ALLOW) {
            return false;
        }
    }
    return true;
}

static sp_err hold(struct sg_sftp *sftp, const sp_sftp_packet *packet, unsigned actions)
{
    held_request *held = &sftp->held;
    *held = (held_request){.type = packet->type,
                           .id = packet->id,
                           .pflags = packet->pflags,
                           .actions = actions,
                           .raw = sp_buf_make(SP_SFTP_PACKET_MAX_BYTES + 8),
                           .word = sp_sftp_word(packet)};
    sp_buf_span(&held->raw, packet->raw);
    TRY(sp_buf_error(&held->raw));
    bool link = packet->type == SP_SFTP_SYMLINK; /* where it points to is nobody's yet */
    TRY(copy_text(link ? packet->path2 : packet->path, &held->paths[0]));
    if (!link && packet->path2.len > 0) {
        TRY(copy_text(packet->path2, &held->paths[1]));
    }
    return sp_ok();
}

static void answer(struct sg_sftp *sftp, uint32_t id, uint32_t code, const char *text)
{
    sp_sftp_put_status(&sftp->answers, id, code, sp_span_cstr(text));
}

/* By a handle: what was decided at OPEN. */
static bool on_handle(struct sg_sftp *sftp, const sp_sftp_packet *packet)
{
    one_file *file = find_file(sftp, packet->handle);
    bool reads = packet->type == SP_SFTP_READ;
    bool writes = packet->type == SP_SFTP_WRITE || packet->type == SP_SFTP_FSETSTAT;
    if ((reads && (file == NULL || !file->reads)) || (writes && (file == NULL || !file->writes))) {
        answer(sftp, packet->id, SP_SFTP_PERMISSION_DENIED, "sallyport: not opened for this");
        sftp->dropping = packet->type == SP_SFTP_WRITE;
        return false;
    }
    if (reads || packet->type == SP_SFTP_CLOSE) {
        if (sftp->request_count == REQUESTS_MAX) {
            answer(sftp, packet->id, SP_SFTP_FAILURE, "sallyport: too many requests at once");
            return false;
        }
        sftp->requests[sftp->request_count++] = (request){
            .id = packet->id, .type = packet->type, .file = file, .offset = packet->offset};
    }
    if (packet->type == SP_SFTP_WRITE) {
        sftp->writing = file;
        file->broken = file->broken || packet->offset != file->next;
    }
    return true;
}

static sp_err on_request(struct sg_sftp *sftp, const sp_sftp_packet *packet)
{
    const sg_conn *conn = sftp->channel->conn;
    unsigned actions = sp_sftp_actions(packet);
    sftp->dropping = false;
    if (packet->type == SP_SFTP_INIT) {
        auto_buf sp_buf init = sp_buf_make(64);
        sp_sftp_put_init(&init);
        sg_relay_queue(sftp->channel, SG_IN, sp_buf_borrow(&init));
        return sp_ok();
    }
    if (!packet->known || packet->extension == SP_SFTP_X_UNKNOWN || packet->id == OWN_ID) {
        answer(sftp, packet->id, SP_SFTP_UNSUPPORTED, "sallyport: not known here");
        sftp->dropping = packet->type == SP_SFTP_WRITE;
        return sp_ok();
    }
    if (actions == 0 || packet->path.len == 0) {
        bool by_handle = packet->handle.len > 0;
        if (actions != 0 && !is_allowed_everywhere(conn, actions)) {
            answer(sftp, packet->id, SP_SFTP_PERMISSION_DENIED, "sallyport: not allowed");
        } else if (!by_handle || on_handle(sftp, packet)) {
            sg_relay_queue(sftp->channel, SG_IN, packet->raw);
        }
        return sp_ok();
    }
    bool is_look = (actions & ~(1U << SP_ACTION_READ)) == 0;
    if (is_look && packet->type != SP_SFTP_OPENDIR && is_allowed_everywhere(conn, actions)) {
        sg_relay_queue(sftp->channel, SG_IN, packet->raw);
        return sp_ok();
    }
    TRY(hold(sftp, packet, actions));
    sftp->waits = ask_next(sftp);
    return sp_ok();
}

static void hash(one_file *file, sp_span bytes)
{
    if (file->hash == NULL && !file->broken) {
        file->hash = EVP_MD_CTX_new();
        file->broken = file->hash == NULL || EVP_DigestInit_ex(file->hash, EVP_sha256(), NULL) != 1;
    }
    if (!file->broken) {
        file->broken = EVP_DigestUpdate(file->hash, bytes.ptr, bytes.len) != 1;
    }
    file->next += bytes.len;
    file->bytes += bytes.len;
}

static sp_err feed_client(struct sg_sftp *sftp, sp_span input)
{
    sp_sftp_event event = {.kind = SP_SFTP_PACKET};
    while (!sftp->waits) {
        TRY(sp_sftp_next(&sftp->client, &input, &event));
        if (event.kind == SP_SFTP_WANTS_MORE) {
            break;
        }
        if (event.kind == SP_SFTP_PACKET) {
            TRY(on_request(sftp, &event.packet));
        } else if (!sftp->dropping) {
            sg_relay_queue(sftp->channel, SG_IN, event.piece);
            if (sftp->writing != NULL) {
                hash(sftp->writing, event.piece);
            }
        }
    }
    if (sftp->waits && input.len > 0) {
        sp_buf_span(&sftp->rest, input);
        TRY(sp_buf_error(&sftp->rest));
    }
    return sp_ok();
}

/* ---- the machine's packets ---- */

static sp_err open_file(struct sg_sftp *sftp, const request *opened, sp_span handle)
{
    for (size_t i = 0; i < FILES_MAX; i++) {
        one_file *file = &sftp->files[i];
        if (!file->used) {
            *file = (one_file){.used = true,
                               .is_folder = opened->type == SP_SFTP_OPENDIR,
                               .reads = (opened->offset & SP_SFTP_F_READ) != 0,
                               .writes = (opened->offset & SP_SFTP_F_WRITE) != 0,
                               .handle_len = handle.len,
                               .path = sftp->opening,
                               .since_us = sp_loop_now_us(sg_here.loop)};
            sp_copy(file->handle, handle.ptr, handle.len);
            sftp->opening = NULL;
            return sp_ok();
        }
    }
    return sp_fail(SP_ELIMIT);
}

static sp_err on_reply(struct sg_sftp *sftp, const sp_sftp_packet *packet)
{
    request *asked = find_request(sftp, packet->id);
    sftp->reading = NULL;
    if (asked == NULL) {
        return packet->type == SP_SFTP_DATA ? sp_fail(SP_EINVALID) : sp_ok();
    }
    request done = *asked;
    *asked = sftp->requests[--sftp->request_count];
    if (packet->type == SP_SFTP_HANDLE) {
        return open_file(sftp, &done, packet->handle);
    }
    if (packet->type == SP_SFTP_DATA && done.file != NULL) {
        sftp->reading = done.file;
        done.file->broken = done.file->broken || done.offset != done.file->next;
    } else if (done.type == SP_SFTP_CLOSE && done.file != NULL && done.file->used) {
        if (!done.file->is_folder) {
            record_file(sftp, done.file);
        }
        forget_file(done.file);
    }
    return sp_ok();
}

static void flush_answers(struct sg_sftp *sftp)
{
    if (sftp->answers.len > 0 && !sftp->mid_data) {
        sg_relay_queue(sftp->channel, SG_OUT, sp_buf_borrow(&sftp->answers));
        sp_buf_done(&sftp->answers);
        sftp->answers = sp_buf_make(REST_MAX_BYTES);
    }
}

static sp_err on_server_packet(struct sg_sftp *sftp, const sp_sftp_packet *packet)
{
    if (packet->type == SP_SFTP_VERSION_IS) {
        auto_buf sp_buf version = sp_buf_make(SP_SFTP_PACKET_MAX_BYTES);
        sp_sftp_put_version(&version, packet);
        sg_relay_queue(sftp->channel, SG_OUT, sp_buf_borrow(&version));
        return sp_ok();
    }
    if (packet->id == OWN_ID) {
        return sftp->waits ? on_answer(sftp, packet) : sp_fail(SP_EINVALID);
    }
    TRY(on_reply(sftp, packet));
    sg_relay_queue(sftp->channel, SG_OUT, packet->raw);
    sftp->mid_data = packet->type == SP_SFTP_DATA && packet->length > 0;
    return sp_ok();
}

static sp_err feed_server(struct sg_sftp *sftp, sp_span input)
{
    sp_sftp_event event = {.kind = SP_SFTP_PACKET};
    for (;;) {
        TRY(sp_sftp_next(&sftp->server, &input, &event));
        if (event.kind == SP_SFTP_WANTS_MORE) {
            return sp_ok();
        }
        if (event.kind == SP_SFTP_PACKET) {
            TRY(on_server_packet(sftp, &event.packet));
        } else {
            sg_relay_queue(sftp->channel, SG_OUT, event.piece);
            if (sftp->reading != NULL) {
                hash(sftp->reading, event.piece);
            }
            sftp->mid_data = !event.last;
        }
        flush_answers(sftp);
    }
}

/* ---- the relay's side ---- */

bool sg_sftp_waits(const sg_channel *channel)
{
    return channel->sftp->waits;
}

void sg_sftp_feed(sg_channel *channel, sg_stream stream, sp_span bytes)
{
    struct sg_sftp *sftp = channel->sftp;
    sp_err err = stream == SG_IN ? feed_client(sftp, bytes) : feed_server(sftp, bytes);
    if (sp_failed(err)) {
        sg_refusal refusal;
        sg_refusal_make(&refusal, SP_REASON_UNPARSED, "this is no sftp that can be followed (%s)",
                        sp_code_word(err.code));
        (void)sg_record_channel(channel, &channel->decision, channel->action, &refusal);
        sg_channel_refuse(channel, &refusal);
        return;
    }
    flush_answers(sftp);
}

void sg_sftp_end(sg_channel *channel)
{
    struct sg_sftp *sftp = channel->sftp;
    if (sftp == NULL) {
        return;
    }
    for (size_t i = 0; i < FILES_MAX; i++) {
        if (sftp->files[i].used) {
            if (!sftp->files[i].is_folder) {
                sftp->files[i].broken = true; /* it was not closed */
                record_file(sftp, &sftp->files[i]);
            }
            forget_file(&sftp->files[i]);
        }
    }
    forget_held(&sftp->held);
    sp_sftp_done(&sftp->client);
    sp_sftp_done(&sftp->server);
    sp_buf_done(&sftp->rest);
    sp_buf_done(&sftp->answers);
    sp_free(sftp->opening);
    sp_free(sftp);
    channel->sftp = NULL;
}

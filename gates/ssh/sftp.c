/* SPDX-License-Identifier: Apache-2.0
 * sftp through the gate: each request is judged by what it does to which path, each file that came
 * or went is written down with its size and SHA-256.
 *
 * OWNS what is known of a channel's requests and files. PROCESS ssh gate workers. TRUST both sides
 * are hostile: what cannot be followed ends the channel. SPEC gates/ssh/sftp.h.
 */
#include "gates/ssh/sftp.h"

#include <stdio.h>

/* ---- parts ---- */

static sftp_request *find_request(struct sg_sftp *sftp, uint32_t id)
{
    for (uint32_t i = 0; i < sftp->request_count; i++) {
        if (sftp->requests[i].id == id) {
            return &sftp->requests[i];
        }
    }
    return NULL;
}

static sftp_file *find_file(struct sg_sftp *sftp, sp_span handle)
{
    for (size_t i = 0; i < SFTP_FILES_MAX; i++) {
        sftp_file *file = &sftp->files[i];
        if (file->used && sp_span_eq(sp_span_of(file->handle, file->handle_len), handle)) {
            return file;
        }
    }
    return NULL;
}

static void forget_file(sftp_file *file)
{
    EVP_MD_CTX_free(file->hash);
    sp_free(file->path);
    *file = (sftp_file){.used = false};
}

sp_err sg_sftp_begin(sg_channel *channel)
{
    TRY(sp_alloc(1, sizeof(*channel->sftp), &channel->sftp));
    struct sg_sftp *sftp = channel->sftp;
    sftp->channel = channel;
    sftp->client = sp_sftp_make(SP_SFTP_FROM_CLIENT);
    sftp->server = sp_sftp_make(SP_SFTP_FROM_SERVER);
    sftp->rest = sp_buf_make(SFTP_REST_MAX_BYTES);
    sftp->answers = sp_buf_make(SFTP_REST_MAX_BYTES);
    return sp_ok();
}

/* ---- the ledger ---- */

static void record_file(struct sg_sftp *sftp, const sftp_file *file)
{
    const sg_file_note note = {.method = "sftp file",
                               .path = sp_span_cstr(file->path),
                               .comes = file->writes,
                               .bytes = file->bytes,
                               .since_us = file->since_us,
                               .reads = !file->writes,
                               .to_end = file->met_end && !file->broken,
                               .hash = file->broken ? NULL : file->hash};
    sg_record_file(sftp->channel, &note);
}

/* ---- the client's packets ---- */

static void answer(struct sg_sftp *sftp, uint32_t id, uint32_t code, const char *text)
{
    sp_sftp_put_status(&sftp->answers, id, code, sp_span_cstr(text));
}

/* By a handle: what was decided at OPEN. */
static bool on_handle(struct sg_sftp *sftp, const sp_sftp_packet *packet)
{
    sftp_file *file = find_file(sftp, packet->handle);
    bool reads = packet->type == SP_SFTP_READ;
    bool writes = packet->type == SP_SFTP_WRITE || packet->type == SP_SFTP_FSETSTAT;
    bool closed = file != NULL && file->closed && packet->type != SP_SFTP_CLOSE;
    if (closed || (reads && (file == NULL || !file->reads)) ||
        (writes && (file == NULL || !file->writes))) {
        answer(sftp, packet->id, SP_SFTP_PERMISSION_DENIED,
               closed ? "sallyport: not allowed any more" : "sallyport: not opened for this");
        sftp->dropping = packet->type == SP_SFTP_WRITE;
        return false;
    }
    if (reads || packet->type == SP_SFTP_CLOSE) {
        if (sftp->request_count == SFTP_REQUESTS_MAX) {
            answer(sftp, packet->id, SP_SFTP_FAILURE, "sallyport: too many requests at once");
            return false;
        }
        sftp->requests[sftp->request_count++] = (sftp_request){
            .id = packet->id, .type = packet->type, .file = file, .offset = packet->offset};
    }
    if (packet->type == SP_SFTP_WRITE) {
        sftp->writing = file;
        file->broken = file->broken || packet->offset != file->next;
    }
    return true;
}

/* Who puts a file there sets its times and permissions as well; cutting off what is only appended
 * to is another matter. */
static bool may_on_handle(struct sg_sftp *sftp, const sp_sftp_packet *packet, unsigned actions,
                          const sftp_file *file, sftp_no *ret_no)
{
    unsigned asked =
        file != NULL && file->writes && packet->type == SP_SFTP_FSETSTAT
            ? actions & ~(1U << SP_ACTION_WRITE | (file->appends ? 0 : 1U << SP_ACTION_DESTROY))
            : actions;
    return file != NULL ? sg_sftp_on_file(sftp->channel->conn, asked, file, ret_no)
                        : sg_sftp_on_all(sftp->channel->conn, asked, ret_no);
}

/* What names no path: by a handle, or of the whole machine. */
static void on_pathless(struct sg_sftp *sftp, const sp_sftp_packet *packet, unsigned actions)
{
    bool by_handle = packet->handle.len > 0;
    const sftp_file *file = by_handle ? find_file(sftp, packet->handle) : NULL;
    sftp_no no;
    if (actions != 0 && !may_on_handle(sftp, packet, actions, file, &no)) {
        sg_sftp_refuse_one(sftp, packet, file, &no);
    } else if (!by_handle || on_handle(sftp, packet)) {
        sg_relay_queue(sftp->channel, SG_IN, packet->raw);
    }
}

static sp_err on_request(struct sg_sftp *sftp, const sp_sftp_packet *packet)
{
    const sg_conn *conn = sftp->channel->conn;
    unsigned actions = sp_sftp_actions(packet);
    if (packet->type != SP_SFTP_INIT && find_request(sftp, packet->id) != NULL) {
        return sp_fail(SP_EINVALID); /* whose the answer is could not be told */
    }
    sftp->dropping = false;
    if (packet->type == SP_SFTP_INIT) {
        auto_buf sp_buf init = sp_buf_make(64);
        sp_sftp_put_init(&init);
        sg_relay_queue(sftp->channel, SG_IN, sp_buf_borrow(&init));
        return sp_ok();
    }
    if (!packet->known || packet->extension == SP_SFTP_X_UNKNOWN || packet->id == SFTP_OWN_ID) {
        answer(sftp, packet->id, SP_SFTP_UNSUPPORTED, "sallyport: not known here");
        sftp->dropping = packet->type == SP_SFTP_WRITE;
        return sp_ok();
    }
    if (actions == 0 || packet->path.len == 0) {
        on_pathless(sftp, packet, actions);
        return sp_ok();
    }
    bool is_look = (actions & ~(1U << SP_ACTION_READ)) == 0;
    if (is_look && packet->type != SP_SFTP_OPENDIR && sg_sftp_everywhere(conn, actions)) {
        sg_relay_queue(sftp->channel, SG_IN, packet->raw);
        return sp_ok();
    }
    return sg_sftp_hold(sftp, packet, actions);
}

/* SP_EDENIED: more than the rule lets pass of a file. */
static sp_err hash(sftp_file *file, sp_span bytes)
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
    bool over = file->most_bytes != 0 && file->bytes > file->most_bytes;
    return over ? sp_fail(SP_EDENIED) : sp_ok();
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
                TRY(hash(sftp->writing, event.piece));
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

static void look_at_file(struct sg_sftp *sftp, sftp_file *file)
{
    sftp_no no;
    if (!file->closed && !sg_sftp_on_file(sftp->channel->conn, file->actions, file, &no)) {
        sg_sftp_close_file(sftp, file, &no);
    }
}

void sg_sftp_look_again(sg_channel *channel)
{
    for (size_t i = 0; channel->sftp != NULL && i < SFTP_FILES_MAX; i++) {
        if (channel->sftp->files[i].used) {
            look_at_file(channel->sftp, &channel->sftp->files[i]);
        }
    }
}

/* What may come back for a request. */
static bool is_answer(const sftp_request *asked, uint8_t type)
{
    bool opens = asked->type == SP_SFTP_OPEN || asked->type == SP_SFTP_OPENDIR;
    return type == SP_SFTP_STATUS || (asked->type == SP_SFTP_READ && type == SP_SFTP_DATA) ||
           (opens && type == SP_SFTP_HANDLE);
}

static sp_err open_file(struct sg_sftp *sftp, const sftp_request *opened, sp_span handle)
{
    for (size_t i = 0; i < SFTP_FILES_MAX; i++) {
        sftp_file *file = &sftp->files[i];
        if (!file->used) {
            *file = (sftp_file){.used = true,
                                .is_folder = opened->type == SP_SFTP_OPENDIR,
                                .reads = (opened->offset & SP_SFTP_F_READ) != 0,
                                .writes = (opened->offset & SP_SFTP_F_WRITE) != 0,
                                .handle_len = handle.len,
                                .appends = (opened->offset & SP_SFTP_F_APPEND) != 0,
                                .actions = opened->actions,
                                .agreed = opened->agreed,
                                .path = sftp->opening,
                                .most_bytes = opened->most_bytes,
                                .since_us = sp_loop_now_us(sg_here.loop)};
            sp_copy(file->handle, handle.ptr, handle.len);
            sftp->opening = NULL;
            look_at_file(sftp, file); /* policy may have moved since it was let through */
            return sp_ok();
        }
    }
    return sp_fail(SP_ELIMIT);
}

static sp_err on_reply(struct sg_sftp *sftp, const sp_sftp_packet *packet)
{
    sftp_request *asked = find_request(sftp, packet->id);
    sftp->reading = NULL;
    if (asked == NULL) {
        return packet->type == SP_SFTP_DATA ? sp_fail(SP_EINVALID) : sp_ok();
    }
    if (!is_answer(asked, packet->type)) {
        return sp_fail(SP_EINVALID);
    }
    sftp_request done = *asked;
    *asked = sftp->requests[--sftp->request_count];
    if (packet->type == SP_SFTP_HANDLE) {
        return open_file(sftp, &done, packet->handle);
    }
    if (packet->type == SP_SFTP_DATA && done.file != NULL) {
        sftp->reading = done.file;
        done.file->broken = done.file->broken || done.offset != done.file->next;
    } else if (packet->type == SP_SFTP_STATUS && packet->code == SP_SFTP_EOF && done.file != NULL) {
        done.file->met_end = done.file->met_end || done.offset == done.file->next;
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
        sp_buf answers = sftp->answers;
        sftp->answers = sp_buf_make(SFTP_REST_MAX_BYTES);
        sg_relay_queue(sftp->channel, SG_OUT, sp_buf_borrow(&answers));
        sp_buf_done(&answers);
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
    if (packet->id == SFTP_OWN_ID) {
        return sg_sftp_answered(sftp, packet);
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
                TRY(hash(sftp->reading, event.piece));
            }
            sftp->mid_data = !event.last;
        }
        flush_answers(sftp);
    }
}

/* ---- the relay's side ---- */

bool sg_sftp_waits(const sg_channel *channel)
{
    /* who sends requests and takes no answers waits */
    return channel->sftp->waits || channel->flows[SG_OUT].pending.len > SFTP_REST_MAX_BYTES;
}

bool sg_sftp_asks(const sg_channel *channel)
{
    return channel->sftp != NULL && channel->sftp->held.consent.back != NULL;
}

static void end_for(sg_channel *channel, sp_err err)
{
    char text[SG_TEXT_BYTES];
    if (err.code == SP_EDENIED) {
        sg_channel_deny(channel, SP_REASON_LIMIT, "this is more than may be taken at once");
        return;
    }
    snprintf(text, sizeof(text), "this is no sftp that can be followed (%s)",
             sp_code_word(err.code));
    sg_channel_deny(channel, SP_REASON_UNPARSED, text);
}

sp_err sg_sftp_resume(struct sg_sftp *sftp)
{
    if (sftp->waits) {
        return sp_ok();
    }
    sp_buf rest = sftp->rest;
    sftp->rest = sp_buf_make(SFTP_REST_MAX_BYTES);
    sp_err err = feed_client(sftp, sp_buf_borrow(&rest));
    sp_buf_done(&rest);
    sg_side_again(&sftp->channel->conn->front);
    return err;
}

void sg_sftp_leave(struct sg_sftp *sftp, sp_err err)
{
    sftp->inside = false;
    if (sftp->channel->state == SG_CH_ENDED) {
        return; /* freed at the end of the turn */
    }
    if (sp_failed(err)) {
        end_for(sftp->channel, err);
    } else {
        flush_answers(sftp);
    }
}

void sg_sftp_feed(sg_channel *channel, sg_stream stream, sp_span bytes)
{
    struct sg_sftp *sftp = channel->sftp;
    sftp->inside = true;
    sg_sftp_leave(sftp, stream == SG_IN ? feed_client(sftp, bytes) : feed_server(sftp, bytes));
}

void sg_sftp_end(sg_channel *channel)
{
    struct sg_sftp *sftp = channel->sftp;
    if (sftp == NULL || sftp->inside) {
        return; /* it stands on the stack: at the end of the turn */
    }
    for (size_t i = 0; i < SFTP_FILES_MAX; i++) {
        if (sftp->files[i].used) {
            if (!sftp->files[i].is_folder) {
                sftp->files[i].broken = true; /* it was not closed */
                record_file(sftp, &sftp->files[i]);
            }
            forget_file(&sftp->files[i]);
        }
    }
    sg_sftp_forget_held(sftp);
    sp_sftp_done(&sftp->client);
    sp_sftp_done(&sftp->server);
    sp_buf_done(&sftp->rest);
    sp_buf_done(&sftp->answers);
    sp_free(sftp->opening);
    sp_free(sftp);
    channel->sftp = NULL;
}

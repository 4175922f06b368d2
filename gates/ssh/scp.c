/* SPDX-License-Identifier: Apache-2.0
 * The old scp protocol through the gate: each file that came or went is written down with its path,
 * size and SHA-256; names that leave the folder, files that nobody asked for and whatever cannot be
 * followed end the channel. What may pass was decided when the command started.
 *
 * Where a file that is sent lands is the machine's to say: at the path that was named, or below it
 * when that is a folder. The entry has the path that was named and the file's own name.
 *
 * OWNS what is known of a channel's files. PROCESS ssh gate workers. TRUST both sides are hostile.
 * SPEC lib/proto/scp.h.
 */
#include "lib/proto/scp.h"
#include "gates/ssh/gate.h"

#include <openssl/evp.h>

enum { PATH_MAX_BYTES = 8192 };

struct sg_scp {
    sg_channel *channel;
    sp_scp source; /* of the side that has the files */
    sp_scp sink;
    bool in_file;
    bool broken; /* the source could not read all of it */
    unsigned depth;
    sp_buf path; /* of the folder that is being sent, from the named one on */
    size_t lengths[SP_SCP_DEPTH_MAX + 1]; /* of path, before each folder was entered */
    char name[SP_SCP_NAME_MAX_BYTES + 1];
    EVP_MD_CTX *hash;
    uint64_t bytes;
    uint64_t since_us;
};

sp_err sg_scp_begin(sg_channel *channel)
{
    TRY(sp_alloc(1, sizeof(*channel->scp), &channel->scp));
    struct sg_scp *scp = channel->scp;
    scp->channel = channel;
    scp->path = sp_buf_make(PATH_MAX_BYTES);
    sp_scp_init(&scp->source, SP_SCP_SOURCE);
    sp_scp_init(&scp->sink, SP_SCP_SINK);
    scp->hash = EVP_MD_CTX_new();
    return scp->hash != NULL ? sp_ok() : sp_fail(SP_ENOMEM);
}

static sp_span last_of(sp_span path)
{
    size_t at = path.len;
    while (at > 0 && path.ptr[at - 1] != '/') {
        at--;
    }
    return sp_span_slice(path, at, path.len);
}

static sp_span trimmed(sp_span path)
{
    while (path.len > 1 && path.ptr[path.len - 1] == '/') {
        path.len--;
    }
    return path;
}

/* What the machine sends must be what was asked for (CVE-2019-6111). */
static bool was_asked_for(const struct sg_scp *scp, sp_span name)
{
    const sg_channel *channel = scp->channel;
    if (scp->depth > 0 || channel->to_target || channel->transfer_path == NULL) {
        return true;
    }
    return sp_span_eq(name, last_of(trimmed(sp_span_cstr(channel->transfer_path))));
}

/* ---- files ---- */

static sp_err begin_file(struct sg_scp *scp, const sp_scp_event *event)
{
    if (!was_asked_for(scp, event->name) || EVP_DigestInit_ex(scp->hash, EVP_sha256(), NULL) != 1) {
        return sp_fail(SP_EINVALID);
    }
    scp->in_file = true;
    scp->broken = false;
    scp->bytes = 0;
    scp->since_us = sp_loop_now_us(sg_here.loop);
    return sp_fit(scp->name, sizeof(scp->name), event->name);
}

static void end_file(struct sg_scp *scp, bool good)
{
    const sg_channel *channel = scp->channel;
    auto_buf sp_buf path = sp_buf_make(PATH_MAX_BYTES);
    if (!scp->in_file) {
        return;
    }
    scp->in_file = false;
    sp_buf_text(&path, channel->transfer_path == NULL ? "" : channel->transfer_path);
    sp_buf_span(&path, sp_buf_borrow(&scp->path));
    if (scp->depth > 0) {
        sp_buf_byte(&path, '/');
        sp_buf_text(&path, scp->name);
    }
    const sg_file_note note = {.method = "scp file",
                               .path = sp_buf_borrow(&path),
                               .name = channel->to_target ? scp->name : NULL,
                               .comes = channel->to_target,
                               .bytes = scp->bytes,
                               .since_us = scp->since_us,
                               .hash = good && !scp->broken ? scp->hash : NULL};
    sg_record_file(scp->channel, &note);
}

static sp_err enter(struct sg_scp *scp, sp_span name)
{
    if (!was_asked_for(scp, name) || scp->depth >= SP_SCP_DEPTH_MAX) {
        return sp_fail(SP_EINVALID);
    }
    scp->lengths[scp->depth] = scp->path.len;
    if (scp->depth > 0) { /* the first one is the folder that was named */
        sp_buf_byte(&scp->path, '/');
        sp_buf_span(&scp->path, name);
    }
    scp->depth++;
    return sp_buf_error(&scp->path);
}

static void leave(struct sg_scp *scp)
{
    if (scp->depth > 0) {
        scp->depth--;
        scp->path.len = scp->lengths[scp->depth];
    }
}

/* ---- streams ---- */

static sp_err on_source(struct sg_scp *scp, const sp_scp_event *event)
{
    switch ((sp_scp_kind)event->kind) {
    case SP_SCP_FILE:
        return begin_file(scp, event);
    case SP_SCP_PIECE:
        scp->bytes += event->raw.len;
        return EVP_DigestUpdate(scp->hash, event->raw.ptr, event->raw.len) == 1
                   ? sp_ok()
                   : sp_fail(SP_ENOMEM);
    case SP_SCP_FILE_END:
        end_file(scp, event->text.len == 0);
        return sp_ok();
    case SP_SCP_FOLDER:
        return enter(scp, event->name);
    case SP_SCP_FOLDER_END:
        leave(scp);
        return sp_ok();
    case SP_SCP_WANTS_MORE:
    case SP_SCP_TIMES:
    case SP_SCP_GOOD:
    case SP_SCP_WARNING:
    case SP_SCP_FATAL:
        break;
    }
    return sp_ok();
}

static sp_err follow(struct sg_scp *scp, sg_stream stream, sp_span input)
{
    bool is_source = (stream == SG_IN) == scp->channel->to_target;
    sp_scp_event event = {.kind = SP_SCP_GOOD};
    while (scp->channel->state != SG_CH_ENDED) {
        TRY(sp_scp_next(is_source ? &scp->source : &scp->sink, &input, &event));
        if (is_source) {
            TRY(on_source(scp, &event));
        }
        if (event.raw.len > 0) {
            sg_relay_queue(scp->channel, stream, event.raw);
        } else if (event.kind == SP_SCP_WANTS_MORE && input.len == 0) {
            break;
        }
    }
    return sp_ok();
}

/* Both sides of the protocol would show it; within a file it would be taken for its bytes. */
static void say_fatal(struct sg_scp *scp, const sg_refusal *refusal)
{
    auto_buf sp_buf fatal = sp_buf_make(SG_TEXT_BYTES * 5);
    if (scp->channel->to_target && scp->channel->flows[SG_OUT].pending.len == 0) {
        sp_scp_put_fatal(&fatal, sp_span_cstr(refusal->text));
        sg_relay_say(scp->channel, sp_buf_borrow(&fatal), false);
    }
}

void sg_scp_feed(sg_channel *channel, sg_stream stream, sp_span bytes)
{
    struct sg_scp *scp = channel->scp;
    sp_err err = follow(scp, stream, bytes);
    if (sp_failed(err) && channel->state != SG_CH_ENDED) {
        sg_refusal refusal;
        sg_refusal_make(&refusal, SP_REASON_UNPARSED,
                        "this is no scp that can be followed, or it names a file elsewhere");
        (void)sg_record_channel(channel, &channel->terms.decision, channel->terms.action, &refusal);
        say_fatal(scp, &refusal);
        sg_channel_refuse(channel, &refusal);
    }
}

void sg_scp_end(sg_channel *channel)
{
    if (channel->scp != NULL) {
        end_file(channel->scp, false); /* cut off */
    }
}

void sg_scp_forget(sg_channel *channel)
{
    struct sg_scp *scp = channel->scp;
    if (scp == NULL) {
        return;
    }
    sp_buf_done(&scp->path);
    EVP_MD_CTX_free(scp->hash);
    sp_free(scp);
    channel->scp = NULL;
}

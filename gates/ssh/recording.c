/* SPDX-License-Identifier: Apache-2.0
 * Recordings: what a terminal or shell showed, and the first of what commands print, as chunks on
 * the ledger while it happens.
 *
 * A chunk is cut each second or 48 KiB, many terminals' at the same moments (who is woken for one
 * is woken for all), and put into the ring at once. Where a rule says `record`, the one before must
 * be on disk by then, or the channel waits for it; when it does not get there, or a chunk cannot be
 * written, the connection ends. A kill loses at most the second that was not cut yet.
 *
 * OWNS the recording of a channel; one compressor a worker. PROCESS ssh gate workers. TRUST what is
 * recorded is hostile and never interpreted here. SPEC lib/record/cast.h, lib/record/chunk.h.
 */
#include "gates/ssh/gate.h"
#include "infra/proc/clock.h"
#include "lib/record/chunk.h"
#include "lib/record/echo.h"
#include "lib/record/hidden.h"

#include <stddef.h>
#include <stdio.h>

enum { TYPED_MAX_BYTES = 64 * 1024, NUMBER_BYTES = 16 };

struct sg_recording {
    sg_channel *channel;
    sp_cast cast;
    sp_echo echo;
    sp_hidden hidden;
    sp_timer timer;
    sp_recorder_wait wait;
    uint64_t last; /* the event of the last chunk, which must get to the disk; 0 = none */
    bool blocked;  /* nothing passes until it is there */
    bool cut[2];   /* a command was sent, or printed, more than is kept */
    bool failed;
    bool late;        /* failed, because the disk did not get it in time */
    uint64_t kept[2]; /* bytes sent to a command, and printed by it */
};

static sp_packer *packer;

static void fail(sg_channel *channel)
{
    sg_refusal refusal;
    if (channel->recording->failed) {
        return;
    }
    channel->recording->failed = true;
    sg_refusal_make(&refusal, SP_REASON_UNRECORDED,
                    "what passes cannot be recorded any more, so this connection ends");
    sg_conn_fail(channel->conn, &refusal);
}

static bool must_be_sure(const sg_channel *channel)
{
    return (channel->terms.decision.must & SP_MUST_RECORD) != 0;
}

/* ---- chunks ---- */

static sp_err put_chunk(void *self, const sp_chunk *chunk, sp_span detail)
{
    struct sg_recording *rec = self;
    sg_channel *channel = rec->channel;
    char number[NUMBER_BYTES];
    sp_event event = sg_event_of(channel->conn, SP_EVENT_RECORDING);
    int len = snprintf(number, sizeof(number), "%u", channel->number);
    event.verdict = SP_VERDICT_ALLOW;
    event.reason = SP_REASON_RULE;
    event.action = (uint8_t)channel->terms.action;
    event.method = sp_span_cstr(sg_method_of(channel));
    event.object = sp_span_of(number, (size_t)len);
    event.count = chunk->number;
    event.bytes_out = chunk->raw_bytes;
    event.detail = detail;
    uint64_t seq = sp_recorder_put(&sg_here.recorder, &event);
    if (seq == 0) {
        return sp_fail(SP_EIO);
    }
    rec->last = must_be_sure(channel) && !chunk->end ? seq : rec->last;
    channel->conn->recorded++;
    return sp_ok();
}

static sp_err cut(struct sg_recording *rec, bool end)
{
    sp_cast_lines lines;
    bool any = false;
    uint32_t count = 0;
    TRY(sp_cast_cut(&rec->cast, end, &lines, &any));
    if (!any) {
        return sp_ok();
    }
    TRY(sp_packer_pack(packer, &lines, put_chunk, rec, &count));
    if (lines.text.len >= SP_CAST_CHUNK_BYTES) {
        sp_recorder_press(&sg_here.recorder); /* the next one will be due soon */
    }
    sp_cast_numbered(&rec->cast, count);
    sp_buf *const idle[] = {&rec->cast.cut, &rec->cast.text};
    for (size_t i = 0; i < SP_COUNT(idle); i++) { /* an idle terminal holds nothing */
        size_t max_bytes = idle[i]->max_bytes;
        sp_buf_done(idle[i]);
        *idle[i] = sp_buf_make(max_bytes);
    }
    return sp_ok();
}

static bool look(struct sg_recording *rec);

static void on_disk(sp_recorder_wait *wait, bool durable)
{
    struct sg_recording *rec =
        (struct sg_recording *)(void *)((char *)wait - offsetof(struct sg_recording, wait));
    sg_channel *channel = rec->channel;
    rec->blocked = false;
    if (!durable) {
        rec->late = true;
        fail(channel);
        return;
    }
    if (look(rec)) { /* what was due while it waited, though nothing else comes */
        sg_channel_step(channel);
    }
}

static void await(struct sg_recording *rec)
{
    rec->blocked = true;
    rec->wait.on_end = on_disk;
    sp_recorder_await(&sg_here.recorder, &rec->wait, rec->last);
}

/* Cuts what is due; the channel waits while the chunk before is not on disk. False: it waits, or
 * has failed and rec is gone. */
static bool look(struct sg_recording *rec)
{
    if (rec->failed || rec->blocked) {
        return false;
    }
    if (!sp_cast_due(&rec->cast, sp_loop_now_us(sg_here.loop))) {
        return true;
    }
    if (rec->last != 0 && !sp_recorder_is_durable(&sg_here.recorder, rec->last)) {
        await(rec);
        return false;
    }
    if (sp_failed(cut(rec, false))) {
        fail(rec->channel);
        return false;
    }
    return true;
}

static void plan(struct sg_recording *rec)
{
    uint64_t due_us = sp_cast_due_us(&rec->cast);
    uint64_t now_us = sp_loop_now_us(sg_here.loop);
    if (due_us != 0 && rec->timer.at == 0 &&
        sp_failed(sp_timer_set(sg_here.loop, &rec->timer, due_us > now_us ? due_us - now_us : 0))) {
        fail(rec->channel);
    }
}

static void on_time(sp_timer *timer)
{
    struct sg_recording *rec =
        (struct sg_recording *)(void *)((char *)timer - offsetof(struct sg_recording, timer));
    if (look(rec)) {
        plan(rec);
    }
}

/* ---- a channel's ---- */

static bool is_recorded(const sg_channel *channel)
{
    return channel->kind == SP_SSH_CHANNEL_SHELL || channel->kind == SP_SSH_CHANNEL_EXEC;
}

static sp_err begin(sg_channel *channel)
{
    if (packer == NULL) {
        TRY(sp_packer_new(&packer));
    }
    TRY(sp_alloc(1, sizeof(*channel->recording), &channel->recording));
    struct sg_recording *rec = channel->recording;
    rec->channel = channel;
    rec->timer.on_time = on_time;
    rec->cast = sp_cast_make();
    const sp_cast_header header = {
        .width = (uint16_t)(channel->columns > 0 ? channel->columns : 80),
        .height = (uint16_t)(channel->rows > 0 ? channel->rows : 24),
        .when_unix_s = sp_now_unix_us() / 1000000,
        .title = sp_span_cstr(channel->conn->resource_name),
        .command = channel->command != NULL ? sp_span_cstr(channel->object) : SP_SPAN_EMPTY,
        .term = sp_span_cstr(channel->term)};
    TRY(sp_cast_begin(&rec->cast, &header, sp_loop_now_us(sg_here.loop)));
    if (sg_record_is_cut(channel)) { /* all of it, as if it had been typed */
        TRY(sp_cast_input(&rec->cast, sp_span_cstr(channel->command),
                          sp_loop_now_us(sg_here.loop)));
    }
    plan(rec);
    return sp_ok();
}

bool sg_recording_begin(sg_channel *channel)
{
    return !is_recorded(channel) || !sp_failed(begin(channel));
}

bool sg_recording_waits(const sg_channel *channel)
{
    return channel->recording != NULL && channel->recording->blocked;
}

/* A terminal, or a shell without one. */
static bool is_whole(const sg_channel *channel)
{
    return channel->has_pty || channel->kind == SP_SSH_CHANNEL_SHELL;
}

/* How much of a command's is kept each way: much of one that may take commands, as a shell does. */
static uint64_t most_of(const sg_channel *channel)
{
    return channel->takes_commands ? SG_COMMANDS_MAX_BYTES : SG_RECORDED_MAX_BYTES;
}

/* Of what is sent to commands, and what they print, the first is kept, and that there was more; a
 * shell is one with a terminal or without. */
static sp_err share_of(struct sg_recording *rec, bool printed, sp_span bytes, uint64_t now_us,
                       sp_span *ret_share)
{
    *ret_share = bytes;
    if (is_whole(rec->channel)) {
        rec->kept[printed] += bytes.len;
        return sp_ok();
    }
    uint64_t left = most_of(rec->channel) - rec->kept[printed];
    *ret_share = sp_span_slice(bytes, 0, left < bytes.len ? (size_t)left : bytes.len);
    rec->kept[printed] += ret_share->len;
    if (ret_share->len == bytes.len || rec->cut[printed]) {
        return sp_ok();
    }
    rec->cut[printed] = true;
    return sp_cast_mark(&rec->cast,
                        printed ? SP_SPAN_LIT("cut: more was printed than is kept")
                                : SP_SPAN_LIT("cut: more was sent than is kept"),
                        now_us);
}

/* Lines that nobody saw being typed: a mark at the place, and a number for the statement. */
static sp_err note_hidden(struct sg_recording *rec, uint32_t count, uint64_t now_us)
{
    rec->channel->conn->hidden += count;
    return count == 0 ? sp_ok()
                      : sp_cast_mark(&rec->cast,
                                     SP_SPAN_LIT("hidden: a line was typed and not shown"), now_us);
}

static sp_err record_output(struct sg_recording *rec, sp_span bytes, uint64_t now_us)
{
    sp_span share = SP_SPAN_EMPTY;
    if (rec->channel->has_pty) {
        TRY(note_hidden(rec, sp_hidden_printed(&rec->hidden, bytes, now_us), now_us));
    }
    TRY(share_of(rec, true, bytes, now_us, &share));
    if (share.len > 0) {
        TRY(sp_cast_output(&rec->cast, share, now_us));
    }
    if (rec->channel->conn->ssh.record_input && rec->channel->has_pty) {
        auto_buf sp_buf typed = sp_buf_make(TYPED_MAX_BYTES);
        sp_echo_printed(&rec->echo, bytes, &typed);
        if (typed.len > 0) {
            TRY(sp_cast_input(&rec->cast, sp_buf_borrow(&typed), now_us));
        }
    }
    return sp_ok();
}

static sp_err record_input(struct sg_recording *rec, sp_span bytes, uint64_t now_us)
{
    auto_buf sp_buf typed = sp_buf_make(TYPED_MAX_BYTES);
    /* what a shell, or one by another name, is told without a terminal has no echo to be kept */
    bool is_told =
        !rec->channel->has_pty && (is_whole(rec->channel) || rec->channel->takes_commands);
    if (rec->channel->has_pty) {
        TRY(note_hidden(rec, sp_hidden_typed(&rec->hidden, bytes, now_us), now_us));
    }
    if (!rec->channel->conn->ssh.record_input && !is_told) {
        return sp_ok();
    }
    if (!rec->channel->has_pty) {
        sp_span share = SP_SPAN_EMPTY;
        TRY(share_of(rec, false, bytes, now_us, &share));
        return share.len > 0 ? sp_cast_input(&rec->cast, share, now_us) : sp_ok();
    }
    sp_echo_typed(&rec->echo, bytes, &typed);
    return typed.len > 0 ? sp_cast_input(&rec->cast, sp_buf_borrow(&typed), now_us) : sp_ok();
}

void sg_recording_passed(sg_channel *channel, sg_stream stream, sp_span bytes)
{
    struct sg_recording *rec = channel->recording;
    if (rec == NULL || rec->failed) {
        return;
    }
    uint64_t now_us = sp_loop_now_us(sg_here.loop);
    sp_err err =
        stream == SG_IN ? record_input(rec, bytes, now_us) : record_output(rec, bytes, now_us);
    if (sp_failed(err)) {
        fail(channel);
        return;
    }
    if (look(rec)) {
        plan(rec);
    }
}

void sg_recording_resized(sg_channel *channel)
{
    struct sg_recording *rec = channel->recording;
    if (rec != NULL && !rec->failed && channel->columns > 0 && channel->rows > 0 &&
        channel->columns <= SP_CAST_SIZE_MAX && channel->rows <= SP_CAST_SIZE_MAX &&
        sp_failed(sp_cast_resize(&rec->cast, (uint16_t)channel->columns, (uint16_t)channel->rows,
                                 sp_loop_now_us(sg_here.loop)))) {
        fail(channel);
    }
}

void sg_recording_mark(sg_channel *channel, sp_span text)
{
    struct sg_recording *rec = channel->recording;
    if (rec != NULL && !rec->failed &&
        sp_failed(sp_cast_mark(&rec->cast, text, sp_loop_now_us(sg_here.loop)))) {
        fail(channel);
    }
}

/* For the statement at the end: commands to which something was sent, or which printed something,
 * that is not in the recording. */
static void note_unseen(const struct sg_recording *rec)
{
    const sg_channel *channel = rec->channel;
    if (!channel->has_pty && channel->flows[SG_IN].passed > rec->kept[false]) {
        channel->conn->unseen++;
    }
    channel->conn->shortened += rec->cut[true] ? 1 : 0;
}

void sg_recording_end(sg_channel *channel)
{
    struct sg_recording *rec = channel->recording;
    if (rec == NULL) {
        return;
    }
    sp_timer_clear(sg_here.loop, &rec->timer);
    note_unseen(rec);
    SP_IGNORE(note_hidden(rec, sp_hidden_end(&rec->hidden),
                          sp_loop_now_us(sg_here.loop))); /* the number counts */
    auto_buf sp_buf typed = sp_buf_make(TYPED_MAX_BYTES);
    sp_echo_end(&rec->echo, &typed);
    if (!rec->failed || rec->late) { /* what has passed is written down, however late it comes */
        SP_IGNORE(cut(rec, true));   /* no room is counted as a loss; nothing passes any more */
    }
    sp_recorder_forget(&rec->wait); /* the last cut may be several chunks, and wait for the first */
    sp_cast_done(&rec->cast);
    sp_free(rec);
    channel->recording = NULL;
}

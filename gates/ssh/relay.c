/* SPDX-License-Identifier: Apache-2.0
 * Bytes between the two ends of a channel.
 *
 * What comes in is written to the other side at once, out of libssh's own buffer, as far as the
 * other side's window and socket take it. What is left stays with libssh, which then does not open
 * the window any further, so a side that does not read stops the other one; it is taken whole once
 * there is room. libssh also keeps what comes beyond the window: whoever sends that is cut off.
 * During a key exchange libssh takes nothing (ssh_channel_write returns short or 0): what was taken
 * out of its buffer already waits in a buffer of ours and goes first.
 *
 * libssh may call back while it writes: a flow that is being moved does not move again (busy).
 *
 * OWNS what is pending. PROCESS ssh gate workers. TRUST both sides are hostile; windows bound what
 * is held. SPEC RFC 4254 5.2, gates/ssh/gate.h.
 */
#include "gates/ssh/gate.h"

#include <string.h>

enum {
    MOVE_MAX_BYTES = 128 * 1024,
    CHUNK_BYTES = 64 * 1024,
    QUEUE_MAX_BYTES = 4 << 20,
    ROUNDS_MAX = 16,
    INTERRUPT = 0x03
};

static uint8_t chunk[CHUNK_BYTES];

static ssh_channel to_of(const sg_channel *channel, sg_stream stream)
{
    return stream == SG_IN ? channel->back : channel->front;
}

static ssh_channel from_of(const sg_channel *channel, sg_stream stream)
{
    return stream == SG_IN ? channel->front : channel->back;
}

static sg_side *side_of(const sg_channel *channel, sg_stream stream)
{
    return stream == SG_IN ? &channel->conn->back : &channel->conn->front;
}

static bool may_move(const sg_channel *channel)
{
    const sg_conn *conn = channel->conn;
    return channel->state == SG_CH_RUNS && !channel->paused && !conn->frozen && !conn->cut &&
           !sg_recording_waits(channel);
}

uint64_t sg_relay_printed(const sg_channel *channel)
{
    return channel->flows[SG_OUT].passed + channel->flows[SG_ERR].passed;
}

/* How many bytes the other side takes now. */
static size_t room_of(const sg_channel *channel, sg_stream stream)
{
    ssh_channel to = to_of(channel, stream);
    if (to == NULL || sg_side_is_stuck(side_of(channel, stream))) {
        return 0;
    }
    size_t window = ssh_channel_window_size(to);
    return sg_pace_room(channel, stream, window < MOVE_MAX_BYTES ? window : MOVE_MAX_BYTES);
}

/* A key that was hit while waiting. */
static bool is_line_ends(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != '\r' && bytes[i] != '\n') {
            return false;
        }
    }
    return true;
}

/* Writes what it can; how much that was. A side that is gone swallows everything. */
static size_t push(sg_channel *channel, sg_stream stream, const uint8_t *bytes, size_t len)
{
    size_t room = room_of(channel, stream);
    size_t want = len < room ? len : room;
    if (want == 0) {
        return 0;
    }
    if (stream == SG_IN && channel->terms.alone != NULL && is_line_ends(bytes, len)) {
        return len; /* its input has ended */
    }
    want = sg_pipe_room(channel, stream, want);
    if (want == 0 || !sg_pipe_begins_well(channel, stream, sp_span_of(bytes, want))) {
        return len;
    }
    if (stream == SG_IN && !sg_alarm_typed(channel, sp_span_of(bytes, want))) {
        return 0;
    }
    ssh_channel to = to_of(channel, stream);
    int rc = stream == SG_ERR ? ssh_channel_write_stderr(to, bytes, (uint32_t)want)
                              : ssh_channel_write(to, bytes, (uint32_t)want);
    if (rc < 0) {
        return len;
    }
    sg_side_flush(side_of(channel, stream));
    channel->flows[stream].passed += (size_t)rc;
    sg_recording_passed(channel, stream, sp_span_of(bytes, (size_t)rc));
    if (stream != SG_IN) {
        sg_alarm_printed(channel, sp_span_of(bytes, (size_t)rc));
    }
    sg_pace_took(channel, stream, (size_t)rc);
    if (channel->terms.no_output && sg_relay_printed(channel) >= SG_RECORDED_MAX_BYTES) {
        sg_record_carried(channel); /* it may stay open for days */
    }
    if (stream == SG_IN || !channel->has_pty) {
        channel->conn->active_us = sp_loop_now_us(sg_here.loop);
    }
    if (sg_pipe_is_too_much(channel, stream)) {
        sg_channel_deny(channel, SP_REASON_LIMIT, "this is more than may be taken at once");
    }
    return (size_t)rc;
}

static size_t taken_left(const sg_flow *flow)
{
    return flow->taken.len - flow->at;
}

/* Nothing waits. */
static bool is_gone(const sg_flow *flow)
{
    return !flow->held && flow->pending.len == 0 && taken_left(flow) == 0;
}

static void recount(sg_channel *channel, sg_flow *flow, uint64_t now)
{
    channel->conn->kept += now - flow->counted;
    sg_here.kept += now - flow->counted;
    flow->counted = now;
}

/* Who holds most of what waits here. */
static sg_conn *fullest(sg_conn *most)
{
    for (uint32_t i = 0; i < sg_here.conn_cap; i++) {
        sg_conn *one = sg_here.conns[i];
        most = one != NULL && one->kept > most->kept ? one : most;
    }
    return most;
}

/* libssh keeps so much of a stream. False: more than the window that was given, or this one
 * holds most when all together hold too much: the connection ends. */
static bool keep(sg_channel *channel, sg_stream stream, size_t bytes)
{
    sg_conn *conn = channel->conn;
    sg_flow *flow = &channel->flows[stream];
    if (conn->at == SG_AT_ENDING || channel->state == SG_CH_ENDED) {
        return false; /* it is not counted any more */
    }
    bool fits = bytes <= SG_KEPT_MAX_BYTES;
    flow->kept = fits ? (uint32_t)bytes : 0;
    recount(channel, flow, flow->kept + taken_left(flow));
    sg_conn *goes = fits && sg_here.kept > SG_KEPT_ALL_MAX_BYTES ? fullest(conn) : conn;
    if (fits && (sg_here.kept <= SG_KEPT_ALL_MAX_BYTES || goes->kept <= SG_KEPT_FAIR_BYTES)) {
        return true;
    }
    sg_refusal refusal;
    sg_refusal_make(&refusal, SP_REASON_LIMIT, "%s",
                    !fits ? "more was sent than the window that was given takes"
                          : "more waits here than the gate holds for all");
    sg_conn_fail(goes, &refusal);
    return goes != conn;
}

void sg_relay_forget(sg_channel *channel)
{
    for (size_t i = 0; i < SG_STREAM_COUNT; i++) {
        recount(channel, &channel->flows[i], 0);
    }
}

static bool push_pending(sg_channel *channel, sg_stream stream);

/* Files: who follows them queues what passes on. */
static bool is_followed(const sg_channel *channel, sg_stream stream)
{
    return stream != SG_ERR && (channel->sftp != NULL || channel->scp != NULL);
}

static bool must_wait(const sg_channel *channel, sg_stream stream)
{
    return stream == SG_IN && channel->sftp != NULL && sg_sftp_waits(channel);
}

static void follow(sg_channel *channel, sg_stream stream, sp_span bytes)
{
    if (channel->sftp != NULL) {
        sg_sftp_feed(channel, stream, bytes);
    } else {
        sg_scp_feed(channel, stream, bytes);
    }
}

static size_t arrive_followed(sg_channel *channel, sg_stream stream, const uint8_t *bytes,
                              size_t len)
{
    sg_flow *flow = &channel->flows[stream];
    if (must_wait(channel, stream)) {
        flow->held = true;
        return 0;
    }
    flow->busy = true;
    size_t taken = len < CHUNK_BYTES ? len : CHUNK_BYTES;
    follow(channel, stream, sp_span_of(bytes, taken));
    if (channel->state == SG_CH_RUNS) {
        (void)push_pending(channel, stream); /* what is left goes later */
    }
    flow->busy = false;
    flow->held = taken < len;
    return taken;
}

/* What comes out of libssh's buffer; how much of it is taken. */
static size_t arrive(sg_channel *channel, sg_stream stream, const uint8_t *bytes, size_t len)
{
    sg_flow *flow = &channel->flows[stream];
    if (!may_move(channel) || flow->busy || flow->pending.len > 0 || flow->taken.len > 0) {
        flow->held = true;
        return 0;
    }
    if (is_followed(channel, stream)) {
        return arrive_followed(channel, stream, bytes, len);
    }
    flow->busy = true;
    size_t taken = push(channel, stream, bytes, len);
    flow->busy = false;
    flow->held = taken < len;
    return taken;
}

/* bytes are all that libssh has of this stream. */
static size_t take_in(sg_channel *channel, sg_stream stream, const uint8_t *bytes, size_t len)
{
    channel->was_sent = channel->was_sent || (stream == SG_IN && channel->state < SG_CH_RUNS &&
                                              !is_line_ends(bytes, len));
    size_t taken = arrive(channel, stream, bytes, len);
    return keep(channel, stream, len - taken) ? taken : len;
}

/* ---- libssh calls ---- */

static int front_data(ssh_session ssh, ssh_channel from, void *data, uint32_t len, int is_stderr,
                      void *self)
{
    sg_channel *channel = self;
    (void)ssh;
    (void)from;
    if (is_stderr != 0 || channel->conn->cut || channel->conn->at == SG_AT_ENDING) {
        return (int)len; /* clients have no such stream; and who is cut has none any more */
    }
    if (channel->state == SG_CH_MENU) {
        size_t taken = sg_menu_input(channel, sp_span_of(data, len));
        channel->flows[SG_IN].held = taken < len; /* for what he chose */
        channel->was_sent =
            channel->was_sent || !is_line_ends((const uint8_t *)data + taken, len - taken);
        return keep(channel, SG_IN, len - taken) ? (int)taken : (int)len;
    }
    if (channel->state == SG_CH_WAITS && channel->has_pty && memchr(data, INTERRUPT, len) != NULL) {
        channel->front_closed = true; /* he does not want to wait */
        sg_side_again(&channel->conn->front);
        return (int)len;
    }
    return (int)take_in(channel, SG_IN, data, len);
}

static int back_data(ssh_session ssh, ssh_channel from, void *data, uint32_t len, int is_stderr,
                     void *self)
{
    (void)ssh;
    (void)from;
    return (int)take_in(self, is_stderr != 0 ? SG_ERR : SG_OUT, data, len);
}

static void front_close(ssh_session ssh, ssh_channel from, void *self)
{
    sg_channel *channel = self;
    (void)ssh;
    (void)from;
    channel->front_closed = true;
}

static void back_close(ssh_session ssh, ssh_channel from, void *self)
{
    sg_channel *channel = self;
    (void)ssh;
    (void)from;
    channel->back_closed = true;
}

static void front_signal(ssh_session ssh, ssh_channel from, const char *name, void *self)
{
    sg_channel *channel = self;
    (void)ssh;
    (void)from;
    bool held = channel->paused || channel->conn->frozen || channel->conn->cut;
    if (channel->state == SG_CH_RUNS && !held && strlen(name) < sizeof(channel->signal)) {
        (void)ssh_channel_request_send_signal(channel->back, name);
    }
}

static void front_agent(ssh_session ssh, ssh_channel from, void *self)
{
    (void)ssh;
    (void)from;
    sg_channel_agent_asked(self);
}

static void back_status(ssh_session ssh, ssh_channel from, int status, void *self)
{
    sg_channel *channel = self;
    (void)ssh;
    (void)from;
    channel->has_status = true;
    channel->status = status;
}

static void back_signal(ssh_session ssh, ssh_channel from, const char *name, int core,
                        const char *message, const char *language, void *self)
{
    sg_channel *channel = self;
    (void)ssh;
    (void)from;
    (void)core;
    (void)message;
    (void)language;
    channel->has_signal =
        !sp_failed(sp_fit(channel->signal, sizeof(channel->signal), sp_span_cstr(name)));
}

void sg_relay_front(sg_channel *channel)
{
    channel->front_calls =
        (struct ssh_channel_callbacks_struct){.userdata = channel,
                                              .channel_data_function = front_data,
                                              .channel_close_function = front_close,
                                              .channel_signal_function = front_signal,
                                              .channel_auth_agent_req_function = front_agent};
    ssh_callbacks_init(&channel->front_calls);
    ssh_set_channel_callbacks(channel->front, &channel->front_calls);
}

void sg_relay_attach(sg_channel *channel)
{
    channel->back_calls =
        (struct ssh_channel_callbacks_struct){.userdata = channel,
                                              .channel_data_function = back_data,
                                              .channel_close_function = back_close,
                                              .channel_exit_status_function = back_status,
                                              .channel_exit_signal_function = back_signal};
    ssh_callbacks_init(&channel->back_calls);
    ssh_set_channel_callbacks(channel->back, &channel->back_calls);
}

/* ---- what was held back ---- */

void sg_relay_queue(sg_channel *channel, sg_stream stream, sp_span bytes)
{
    sp_buf *pending = &channel->flows[stream].pending;
    if (pending->max_bytes == 0) {
        *pending = sp_buf_make(QUEUE_MAX_BYTES);
    }
    sp_buf_span(pending, bytes);
    if (sp_failed(sp_buf_error(pending))) {
        sg_refusal refusal;
        sg_refusal_make(&refusal, SP_REASON_LIMIT, "more waits than the gate holds");
        sg_conn_fail(channel->conn, &refusal);
    }
}

/* True when all of what was pending has gone. */
static bool push_pending(sg_channel *channel, sg_stream stream)
{
    sp_buf *pending = &channel->flows[stream].pending;
    while (pending->len > 0) {
        size_t went = push(channel, stream, pending->ptr, pending->len);
        if (went == 0) {
            return false;
        }
        sp_buf_drop(pending, went);
    }
    if (pending->cap > 0) {
        sp_buf_done(pending); /* an idle channel holds nothing */
    }
    return true;
}

/* Takes all that libssh has of a stream: with each read it opens the window as if nothing were
 * left, so that a part at a time would have the other side send without end. */
static void take_all(sg_channel *channel, sg_stream stream)
{
    sg_flow *flow = &channel->flows[stream];
    uint32_t left = flow->kept;
    int len = 0;
    flow->taken = sp_buf_make(SG_KEPT_MAX_BYTES + CHUNK_BYTES);
    flow->held = false; /* unless more comes meanwhile */
    flow->kept = 0;
    do {
        len = ssh_channel_read_nonblocking(from_of(channel, stream), chunk, CHUNK_BYTES,
                                           stream == SG_ERR);
        if (len > 0) {
            sp_buf_span(&flow->taken, sp_span_of(chunk, (size_t)len));
            left -= left > (uint32_t)len ? (uint32_t)len : left;
        }
    } while (len > 0 && left > 0);
    if (sp_failed(sp_buf_error(&flow->taken))) {
        sg_refusal refusal;
        sg_refusal_make(&refusal, SP_REASON_LIMIT, "the gate has no memory left");
        sg_conn_fail(channel->conn, &refusal);
    }
}

/* Of what was taken, as much as goes on now; false: nothing more does. */
static bool move_taken(sg_channel *channel, sg_stream stream)
{
    sg_flow *flow = &channel->flows[stream];
    size_t room = room_of(channel, stream);
    if (room == 0 || must_wait(channel, stream)) {
        return false;
    }
    size_t len = room < CHUNK_BYTES ? room : CHUNK_BYTES;
    len = len < taken_left(flow) ? len : taken_left(flow);
    if (is_followed(channel, stream)) {
        flow->at += len;
        follow(channel, stream, sp_span_of(flow->taken.ptr + flow->at - len, len));
        return true;
    }
    size_t went = push(channel, stream, flow->taken.ptr + flow->at, len);
    flow->at += went;
    return went > 0;
}

static void move(sg_channel *channel, sg_stream stream)
{
    sg_flow *flow = &channel->flows[stream];
    if (flow->busy || is_gone(flow)) {
        return;
    }
    bool more = true;
    flow->busy = true;
    while (more && channel->conn->at != SG_AT_ENDING && channel->state == SG_CH_RUNS &&
           push_pending(channel, stream)) {
        if (taken_left(flow) == 0) {
            sp_buf_done(&flow->taken);
            flow->at = 0;
            if (!flow->held || room_of(channel, stream) == 0 || must_wait(channel, stream)) {
                break;
            }
            take_all(channel, stream);
        }
        more = taken_left(flow) > 0 && move_taken(channel, stream);
    }
    flow->busy = false;
    if (channel->state == SG_CH_RUNS && channel->conn->at != SG_AT_ENDING) {
        recount(channel, flow, flow->kept + taken_left(flow));
    }
}

/* ---- ends ---- */

static bool is_empty(const sg_channel *channel, sg_stream stream)
{
    return !must_wait(channel, stream) && is_gone(&channel->flows[stream]);
}

/* As soon as it is known: some clients close when the output ends. */
static void pass_on_status(sg_channel *channel)
{
    if (channel->status_sent || (!channel->has_signal && !channel->has_status)) {
        return;
    }
    channel->status_sent = true;
    if (channel->has_signal) {
        (void)ssh_channel_request_send_exit_signal(channel->front, channel->signal, 0, "", "");
    } else {
        (void)ssh_channel_request_send_exit_status(channel->front, channel->status);
    }
}

static void pass_on_ends(sg_channel *channel)
{
    bool in_done = is_empty(channel, SG_IN) && ssh_channel_is_eof(channel->front);
    if (!channel->back_eof_sent && (in_done || channel->terms.alone != NULL)) {
        channel->back_eof_sent = true;
        (void)ssh_channel_send_eof(channel->back);
    }
    bool out_done = is_empty(channel, SG_OUT) && is_empty(channel, SG_ERR);
    pass_on_status(channel);
    /* a client that sees the end before the status may close and never learn it (dropbear) */
    bool told =
        channel->status_sent || channel->kind == SP_SSH_CHANNEL_FORWARD || channel->sftp != NULL;
    if (out_done && told && !channel->front_eof_sent && ssh_channel_is_eof(channel->back)) {
        channel->front_eof_sent = true;
        (void)ssh_channel_send_eof(channel->front);
    }
    if (out_done && channel->back_closed) {
        sg_channel_end(channel);
    } else if (channel->front_closed ||
               (sg_sftp_asks(channel) && ssh_channel_is_eof(channel->front))) {
        sg_channel_end(channel); /* nobody reads the answer any more */
    }
}

static uint64_t passed(const sg_channel *channel)
{
    return channel->flows[SG_IN].passed + channel->flows[SG_OUT].passed +
           channel->flows[SG_ERR].passed;
}

/* libssh reads while it writes: moving one stream may have made room for another, of which no edge
 * will tell. So on until nothing moves. */
void sg_relay_pump(sg_channel *channel)
{
    uint64_t before = 0;
    unsigned rounds = 0;
    do {
        before = passed(channel);
        for (sg_stream stream = SG_IN; stream < SG_STREAM_COUNT; stream++) {
            if (may_move(channel)) {
                move(channel, stream);
            }
        }
    } while (passed(channel) != before && ++rounds < ROUNDS_MAX);
    if (passed(channel) != before) {
        sg_side_again(&channel->conn->front);
    }
    if (channel->state == SG_CH_RUNS && channel->conn->at != SG_AT_ENDING) {
        pass_on_ends(channel);
    }
}

void sg_relay_say(sg_channel *channel, sp_span text, bool is_error)
{
    if (channel->front == NULL || text.len == 0) {
        return;
    }
    if (is_error && !channel->has_pty) {
        (void)ssh_channel_write_stderr(channel->front, text.ptr, (uint32_t)text.len);
    } else {
        (void)ssh_channel_write(channel->front, text.ptr, (uint32_t)text.len);
    }
    sg_side_flush(&channel->conn->front);
}

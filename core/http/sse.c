/* SPDX-License-Identifier: Apache-2.0
 * Server-sent events.
 * OWNS its streams and what waits in them. PROCESS core. TRUST a reader that does not read is
 * dropped. SPEC core/http/sse.h.
 *
 * libmicrohttpd asks for bytes; when there are none the connection is suspended, and a publication
 * resumes it. A comment line every 15 s finds readers that are gone.
 */
#include "core/http/sse.h"

#include "core/http/inside.h"
#include "infra/proc/clock.h"

#include <stdlib.h>

enum { BEAT_MS = 15000, BLOCK_BYTES = 4096 };

typedef struct stream {
    struct stream *prev;
    struct stream *next;
    sp_sse *sse;
    struct MHD_Connection *connection;
    sp_buf queue;
    unsigned topics;
    uint32_t person;
    uint64_t session_id;
    bool suspended;
    bool ended; /* closed when the queue is empty */
} stream;

struct sp_sse {
    sp_core *core;
    uv_timer_t timer;
    stream *streams;
    size_t count;
};

static void wake(stream *to)
{
    if (to->suspended) {
        to->suspended = false;
        MHD_resume_connection(to->connection);
        sp_http_kick(to->sse->core->http);
    }
}

static void push(stream *to, sp_span text)
{
    sp_buf_span(&to->queue, text);
    if (sp_failed(sp_buf_error(&to->queue))) { /* too slow: it reconnects and reads anew */
        to->ended = true;
    }
    wake(to);
}

static ssize_t on_read(void *self, uint64_t at, char *to, size_t max)
{
    (void)at;
    stream *from = self;
    sp_span ready = sp_buf_borrow(&from->queue);
    if (ready.len == 0 && from->ended) {
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    if (ready.len == 0) {
        from->suspended = true;
        MHD_suspend_connection(from->connection);
        return 0;
    }
    size_t len = ready.len < max ? ready.len : max;
    sp_copy(to, ready.ptr, len);
    sp_buf_drop(&from->queue, len);
    return (ssize_t)len;
}

static void on_free(void *self)
{
    stream *gone = self;
    if (gone->prev != NULL) {
        gone->prev->next = gone->next;
    } else {
        gone->sse->streams = gone->next;
    }
    if (gone->next != NULL) {
        gone->next->prev = gone->prev;
    }
    gone->sse->count--;
    sp_buf_done(&gone->queue);
    sp_free(gone);
}

/* A session that has its share gives up its oldest stream: a page that was left holds one until the
 * next beat finds it gone. */
static void keep_to_the_share(const sp_request *req)
{
    size_t held = 0;
    stream *oldest = NULL; /* new ones come in front */
    for (stream *at = req->core->sse->streams; at != NULL && req->has_session; at = at->next) {
        bool is_own = at->session_id == req->session.id && !at->ended;
        held += is_own ? 1 : 0;
        oldest = is_own ? at : oldest;
    }
    if (held >= SP_SSE_SESSION_MAX) {
        oldest->ended = true;
        wake(oldest);
    }
}

static sp_err stream_new(sp_request *req, unsigned topics, stream **ret_stream)
{
    sp_sse *sse = req->core->sse;
    stream *fresh = NULL;
    keep_to_the_share(req);
    if (sse->count >= SP_SSE_STREAMS_MAX) {
        return sp_fail(SP_EAGAIN);
    }
    TRY(sp_alloc(1, sizeof(*fresh), &fresh));
    fresh->sse = sse;
    fresh->connection = req->connection;
    fresh->queue = sp_buf_make(SP_SSE_QUEUE_MAX_BYTES);
    fresh->topics = topics;
    fresh->person = sp_request_person(req);
    fresh->session_id = req->has_session ? req->session.id : 0;
    fresh->next = sse->streams;
    if (fresh->next != NULL) {
        fresh->next->prev = fresh;
    }
    sse->streams = fresh;
    sse->count++;
    *ret_stream = fresh;
    return sp_ok();
}

void sp_answer_events(sp_request *req, unsigned topics)
{
    stream *fresh = NULL;
    sp_err err = stream_new(req, topics, &fresh);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    sp_buf_text(&fresh->queue, "event: hello\ndata: {\"at\":\"");
    sp_buf_time(&fresh->queue, sp_now_unix_us());
    sp_buf_text(&fresh->queue, "\"}\n\n");
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, on_read, fresh, on_free);
    if (response == NULL) {
        on_free(fresh);
        sp_answer_failed(req, sp_fail(SP_ENOMEM));
        return;
    }
    MHD_add_response_header(response, "Content-Type", "text/event-stream");
    MHD_add_response_header(response, "X-Accel-Buffering", "no");
    sp_answer_response(req, 200, response);
}

static bool wants(const stream *one, unsigned topic, uint32_t person)
{
    return (one->topics & topic) != 0 && !one->ended && (person == 0 || one->person == person);
}

void sp_sse_publish(sp_core *core, unsigned topic, uint32_t person, const char *name, json_t *body)
{
    auto_free char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    json_decref(body);
    if (text == NULL || core->sse == NULL) {
        return;
    }
    auto_buf sp_buf message = sp_buf_make(SP_SSE_QUEUE_MAX_BYTES);
    sp_buf_fmt(&message, "event: %s\ndata: ", name);
    sp_buf_text(&message, text);
    sp_buf_text(&message, "\n\n");
    for (stream *one = core->sse->streams; one != NULL; one = one->next) {
        if (wants(one, topic, person)) {
            push(one, sp_buf_borrow(&message));
        }
    }
}

void sp_sse_end_session(sp_core *core, uint64_t session_id, const char *reason)
{
    auto_buf sp_buf message = sp_buf_make(256);
    sp_buf_fmt(&message, "event: signed_out\ndata: {\"reason\":\"%s\"}\n\n", reason);
    for (stream *one = core->sse == NULL ? NULL : core->sse->streams; one != NULL;
         one = one->next) {
        if (one->session_id == session_id && !one->ended) {
            one->ended = true;
            push(one, sp_buf_borrow(&message));
        }
    }
}

static void on_beat(uv_timer_t *timer)
{
    sp_sse *sse = timer->data;
    for (stream *one = sse->streams; one != NULL; one = one->next) {
        push(one, SP_SPAN_LIT(": alive\n\n"));
    }
}

sp_err sp_sse_new(sp_core *core, sp_sse **ret_sse)
{
    auto_free sp_sse *sse = NULL;
    TRY(sp_alloc(1, sizeof(*sse), &sse));
    sse->core = core;
    if (uv_timer_init(core->loop, &sse->timer) != 0) {
        return sp_fail(SP_EIO);
    }
    sse->timer.data = sse;
    uv_timer_start(&sse->timer, on_beat, BEAT_MS, BEAT_MS);
    *ret_sse = SP_STEAL(sse);
    return sp_ok();
}

void sp_sse_end_all(sp_sse *sse)
{
    for (stream *one = sse == NULL ? NULL : sse->streams; one != NULL; one = one->next) {
        one->ended = true;
        wake(one);
    }
}

static void on_closed(uv_handle_t *handle)
{
    sp_free(handle->data);
}

void sp_sse_free(sp_sse *sse)
{
    if (sse != NULL) {
        uv_timer_stop(&sse->timer);
        uv_close((uv_handle_t *)&sse->timer, on_closed);
    }
}

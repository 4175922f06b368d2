/* SPDX-License-Identifier: Apache-2.0
 * Answers piece by piece.
 * OWNS its streams. PROCESS core. TRUST see stream.h. SPEC core/http/stream.h; libmicrohttpd
 * MHD_create_response_from_callback.
 */
#include "core/http/stream.h"

#include "core/http/inside.h"

enum { BLOCK_BYTES = 64 * 1024 };

struct sp_stream {
    sp_stream *prev;
    sp_stream *next;
    sp_core *core;
    struct MHD_Connection *connection;
    sp_stream_calls calls;
    void *self;
    sp_buf piece;
    size_t taken;
    bool suspended;
    bool ended;
    bool whole;
};

static void wake(sp_stream *stream)
{
    if (stream->suspended) {
        stream->suspended = false;
        MHD_resume_connection(stream->connection);
        sp_http_kick(stream->core->http);
    }
}

static size_t left(const sp_stream *stream)
{
    return stream->piece.len - stream->taken;
}

static ssize_t on_read(void *self, uint64_t at, char *to, size_t max)
{
    sp_stream *stream = self;
    (void)at;
    if (left(stream) == 0 && !stream->ended) {
        stream->calls.next(stream->self, stream);
    }
    if (left(stream) == 0 && stream->ended) {
        return stream->whole ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (left(stream) == 0) {
        stream->suspended = true;
        MHD_suspend_connection(stream->connection);
        return 0;
    }
    size_t len = left(stream) < max ? left(stream) : max;
    sp_copy(to, stream->piece.ptr + stream->taken, len);
    stream->taken += len;
    return (ssize_t)len;
}

static void on_free(void *self)
{
    sp_stream *stream = self;
    if (stream->prev != NULL) {
        stream->prev->next = stream->next;
    } else {
        stream->core->streams = stream->next;
    }
    if (stream->next != NULL) {
        stream->next->prev = stream->prev;
    }
    stream->calls.gone(stream->self);
    sp_buf_wipe(&stream->piece);
    sp_buf_done(&stream->piece);
    sp_free(stream);
}

bool sp_answer_stream(sp_request *req, unsigned status, const char *media_type,
                      const sp_stream_calls *calls, void *self)
{
    sp_stream *stream = NULL;
    sp_err err = sp_alloc(1, sizeof(*stream), &stream);
    struct MHD_Response *response =
        sp_failed(err) ? NULL
                       : MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, on_read,
                                                           stream, on_free);
    if (response == NULL) {
        sp_free(stream);
        sp_answer_failed(req, sp_fail(SP_ENOMEM));
        return false;
    }
    stream->core = req->core;
    stream->connection = req->connection;
    stream->calls = *calls;
    stream->self = self;
    stream->piece = sp_buf_make(SP_STREAM_PIECE_MAX_BYTES);
    stream->next = req->core->streams;
    if (stream->next != NULL) {
        stream->next->prev = stream;
    }
    req->core->streams = stream;
    MHD_add_response_header(response, "Content-Type", media_type);
    sp_answer_response(req, status, response);
    return true;
}

void sp_stream_put(sp_stream *stream, sp_buf *piece)
{
    sp_err err = sp_buf_error(piece);
    sp_buf_done(&stream->piece);
    stream->piece = *piece;
    stream->taken = 0;
    *piece = sp_buf_make(SP_STREAM_PIECE_MAX_BYTES);
    if (sp_failed(err)) {
        stream->piece.len = 0;
        stream->ended = true;
    }
    wake(stream);
}

void sp_stream_end(sp_stream *stream, bool whole)
{
    stream->ended = true;
    stream->whole = whole;
    wake(stream);
}

size_t sp_streams_count(const sp_core *core, const sp_stream_calls *calls)
{
    size_t count = 0;
    for (const sp_stream *at = core->streams; at != NULL; at = at->next) {
        count += at->calls.next == calls->next ? 1 : 0;
    }
    return count;
}

void sp_streams_end_all(sp_core *core)
{
    for (sp_stream *at = core->streams; at != NULL; at = at->next) {
        sp_stream_end(at, false);
    }
}

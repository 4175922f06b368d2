/* SPDX-License-Identifier: Apache-2.0
 * An answer that is longer than memory: it is made piece by piece, as fast as the reader takes it.
 *
 * Story: sp_answer_stream() answers the request; whenever the reader has taken what there was,
 * next() is called and puts a piece in, now or later, or ends. When the reader has gone, gone() is
 * called instead, once; after it, or after its end, the stream must not be touched.
 *
 * OWNS what is put in until it is taken. PROCESS core. TRUST readers may be slow or leave.
 * SPEC core/http/router.h.
 */
#ifndef SP_CORE_HTTP_STREAM_H
#define SP_CORE_HTTP_STREAM_H

#include "core/http/router.h"

typedef struct sp_stream sp_stream;

typedef struct {
    void (*next)(void *self, sp_stream *stream);
    void (*gone)(void *self); /* the last call, whether it was read to its end or not */
} sp_stream_calls;

enum { SP_STREAM_PIECE_MAX_BYTES = 32 * 1024 * 1024 };

/* False: it could not begin, the request has been answered, and gone() is not called. */
bool sp_answer_stream(sp_request *req, unsigned status, const char *media_type,
                      const sp_stream_calls *calls, void *self);
/* Takes the bytes; the buffer is empty afterwards. */
void sp_stream_put(sp_stream *stream, sp_buf *piece);
/* No more comes. whole = false: the connection is broken off, so that the reader knows. */
void sp_stream_end(sp_stream *stream, bool whole);
/* How many of those with these calls are being read. */
size_t sp_streams_count(const sp_core *core, const sp_stream_calls *calls);
/* Breaks all off, so that HTTP can stop. */
void sp_streams_end_all(sp_core *core);

#endif

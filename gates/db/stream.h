/* SPDX-License-Identifier: Apache-2.0
 * A TCP connection of a worker, plain or TLS, on its edge-triggered loop.
 *
 * Story: receive takes what the kernel has into the worker's one scratch buffer (and deciphers it
 * into another), so that a connection holds no buffer while nothing is on its way; the bytes are
 * valid until the next receive of this worker. Send gives bytes to the kernel at once; only what it
 * does not take is kept, and the owner stops reading the other side until that is gone. A short
 * read tells that the kernel has no more: one call a message, not two. All TLS objects of a worker
 * share one BIO, which reads from the scratch and writes to another: OpenSSL never makes a system
 * call, and one send carries all records.
 *
 * OWNS descriptor, SSL, bytes that wait. PROCESS db gate workers. TRUST bytes are hostile.
 * SPEC ssl(7), epoll(7).
 */
#ifndef SP_GATES_DB_STREAM_H
#define SP_GATES_DB_STREAM_H

#include "gates/db/tls.h"
#include "infra/loop/loop.h"
#include "lib/base/buf.h"

#include <openssl/ssl.h>

enum {
    DB_CHUNK_BYTES = 128 * 1024,
    DB_RECEIVE_MAX_BYTES = DB_CHUNK_BYTES + 32 * 1024, /* a chunk, and a record begun before it */
    DB_STREAM_OUT_MAX_BYTES = 96 << 20
};

typedef struct db_stream db_stream;
struct db_stream {
    sp_watch watch;
    void (*on_ready)(db_stream *stream); /* more to read, room to write, or hung up */
    SSL *ssl;                            /* NULL = plain */
    sp_buf out;                          /* wire bytes that wait for the kernel */
    sp_buf *early;                       /* wire bytes behind the handshake; NULL = none */
    uint32_t taken;                      /* of out, by the kernel: less than half of it */
    bool readable;                       /* as far as we know */
    bool hung;                           /* the other side will send no more */
    bool broken;                         /* nothing more can be sent */
};

/* Once a worker. */
SP_MUST sp_err db_stream_prepare(sp_loop *loop);

/* Takes a connected (or connecting) descriptor, also on failure. */
SP_MUST sp_err db_stream_open(db_stream *stream, int fd, void (*on_ready)(db_stream *stream));
void db_stream_close(db_stream *stream);
/* Whether receiving may bring anything; false: it would say SP_EAGAIN. */
static inline bool db_stream_may_bring(const db_stream *stream)
{
    return stream->readable || stream->early != NULL;
}
bool db_stream_is_open(const db_stream *stream);

/* At least one byte and no more than DB_RECEIVE_MAX_BYTES, valid until the next receive. SP_EAGAIN:
 * not now. SP_ECLOSED: the end. SP_EINVALID: broken TLS. */
SP_MUST sp_err db_stream_receive(db_stream *stream, sp_span *ret_bytes);
/* All of it: what does not go now waits in `out`. SP_ECLOSED, SP_ELIMIT. */
SP_MUST sp_err db_stream_send(db_stream *stream, sp_span bytes);
/* Sends what waits, as far as it goes. */
SP_MUST sp_err db_stream_flush(db_stream *stream);
static inline bool db_stream_is_stuck(const db_stream *stream)
{
    return stream->out.len > 0;
}

/* Server: bytes that were received already and belong to the handshake are in first. */
SP_MUST sp_err db_stream_accept_tls(db_stream *stream, SSL_CTX *ctx, sp_span first);
/* host: to be asked for and (if the context verifies) proved; empty = not named. own: shown when
 * the server asks for it, and kept by the caller until the handshake is over; NULL = none. */
SP_MUST sp_err db_stream_connect_tls(db_stream *stream, SSL_CTX *ctx, const char *host,
                                     bool verify_host, db_tls_own *own);
/* Goes on with the handshake. SP_EAGAIN: not through yet. SP_EINVALID: failed. */
SP_MUST sp_err db_stream_handshake(db_stream *stream);
/* Says goodbye in TLS, if that goes at once. */
void db_stream_goodbye(db_stream *stream);
/* Says no more, and is read to its end. */
void db_stream_finish(db_stream *stream);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Connections of a worker.
 * OWNS the scratch buffers of the worker. PROCESS db gate workers. TRUST bytes are hostile.
 * SPEC gates/db/stream.h.
 */
#include "gates/db/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#define STREAM_OF(pointer) ((db_stream *)(void *)((char *)(pointer)-offsetof(db_stream, watch)))

static struct {
    sp_loop *loop;
    uint8_t *wire;  /* as received */
    uint8_t *plain; /* deciphered */
    sp_span feed;   /* what OpenSSL has not read of wire yet */
    sp_buf sealed;  /* what OpenSSL wrote */
    BIO *bio;
} here;

/* ---- the BIO that all share ---- */

static int bio_read(BIO *bio, char *to, size_t size, size_t *ret_len)
{
    BIO_clear_retry_flags(bio);
    size_t len = here.feed.len < size ? here.feed.len : size;
    if (len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    sp_copy(to, here.feed.ptr, len);
    here.feed = (sp_span){here.feed.ptr + len, here.feed.len - len};
    *ret_len = len;
    return 1;
}

static int bio_write(BIO *bio, const char *from, size_t len, size_t *ret_len)
{
    BIO_clear_retry_flags(bio);
    sp_buf_span(&here.sealed, sp_span_of(from, len));
    *ret_len = len;
    return sp_failed(sp_buf_error(&here.sealed)) ? 0 : 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

sp_err db_stream_prepare(sp_loop *loop)
{
    here.loop = loop;
    here.sealed = sp_buf_make(DB_STREAM_OUT_MAX_BYTES * 2);
    TRY(sp_alloc(1, DB_CHUNK_BYTES, &here.wire));
    TRY(sp_alloc(1, DB_RECEIVE_MAX_BYTES, &here.plain));
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "worker");
    if (method == NULL || BIO_meth_set_read_ex(method, bio_read) != 1 ||
        BIO_meth_set_write_ex(method, bio_write) != 1 || BIO_meth_set_ctrl(method, bio_ctrl) != 1) {
        return sp_fail(SP_ENOMEM);
    }
    here.bio = BIO_new(method);
    if (here.bio == NULL) {
        return sp_fail(SP_ENOMEM);
    }
    BIO_set_init(here.bio, 1);
    return sp_ok();
}

/* ---- open and close ---- */

static void on_watch(sp_watch *watch, unsigned ready)
{
    db_stream *stream = STREAM_OF(watch);
    stream->readable = stream->readable || (ready & SP_READY_READ) != 0;
    stream->hung = stream->hung || (ready & SP_READY_HUNG) != 0;
    stream->on_ready(stream);
}

sp_err db_stream_open(db_stream *stream, int fd, void (*on_ready)(db_stream *stream))
{
    *stream = (db_stream){.watch = {.on_ready = on_watch, .fd = -1},
                          .on_ready = on_ready,
                          .out = sp_buf_make(DB_STREAM_OUT_MAX_BYTES)};
    sp_err err = sp_watch_start(here.loop, &stream->watch, fd);
    if (sp_failed(err)) {
        close(fd);
    }
    return err;
}

bool db_stream_is_open(const db_stream *stream)
{
    return stream->on_ready != NULL && stream->watch.fd >= 0;
}

static void drop_early(db_stream *stream)
{
    if (stream->early != NULL) {
        sp_buf_done(stream->early);
        sp_free(stream->early);
        stream->early = NULL;
    }
}

void db_stream_close(db_stream *stream)
{
    if (!db_stream_is_open(stream)) {
        return;
    }
    int fd = stream->watch.fd;
    sp_watch_stop(here.loop, &stream->watch);
    close(fd);
    SSL_free(stream->ssl);
    stream->ssl = NULL;
    sp_buf_done(&stream->out);
    stream->taken = 0;
    drop_early(stream);
}

/* ---- the wire ---- */

static sp_err take_wire(db_stream *stream, uint8_t *room, size_t *ret_len)
{
    if (!stream->readable) {
        return sp_fail(SP_EAGAIN);
    }
    ssize_t len = recv(stream->watch.fd, room, DB_CHUNK_BYTES, 0);
    if (len < 0 && (errno == EAGAIN || errno == EINTR)) {
        stream->readable = errno == EINTR;
        return sp_fail(SP_EAGAIN);
    }
    if (len <= 0) {
        stream->hung = true;
        stream->readable = false;
        return sp_fail(SP_ECLOSED);
    }
    /* fewer than asked for: there is no more, unless the end is near */
    stream->readable = len == DB_CHUNK_BYTES || stream->hung;
    *ret_len = (size_t)len;
    return sp_ok();
}

/* An idle connection holds no buffer. */
static void shed_taken(db_stream *stream)
{
    sp_buf_shed(&stream->out, stream->taken);
    stream->taken = 0;
}

static sp_err give_wire(db_stream *stream, sp_span bytes)
{
    if (stream->broken) {
        return sp_fail(SP_ECLOSED);
    }
    if (stream->out.len == 0 && bytes.len > 0) {
        ssize_t len = send(stream->watch.fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (len < 0 && errno != EAGAIN && errno != EINTR && errno != ENOTCONN) {
            stream->broken = true;
            return sp_fail(SP_ECLOSED);
        }
        bytes = sp_span_slice(bytes, len > 0 ? (size_t)len : 0, bytes.len);
    }
    if (bytes.len == 0) {
        return sp_ok();
    }
    if (bytes.len > stream->out.max_bytes - stream->out.len) {
        shed_taken(stream);
    }
    sp_buf_span(&stream->out, bytes);
    return sp_buf_error(&stream->out);
}

sp_err db_stream_flush(db_stream *stream)
{
    if (stream->out.len == 0) {
        return sp_ok();
    }
    if (stream->broken) {
        return sp_fail(SP_ECLOSED);
    }
    ssize_t len = send(stream->watch.fd, stream->out.ptr + stream->taken,
                       stream->out.len - stream->taken, MSG_NOSIGNAL);
    if (len < 0) {
        stream->broken = errno != EAGAIN && errno != EINTR && errno != ENOTCONN;
        return stream->broken ? sp_fail(SP_ECLOSED) : sp_ok();
    }
    stream->taken += (uint32_t)len;
    if (stream->taken >= stream->out.len - stream->taken) { /* so no byte is moved twice */
        shed_taken(stream);
    }
    return sp_ok();
}

/* ---- TLS ---- */

/* What OpenSSL wrote goes out. */
static sp_err give_sealed(db_stream *stream)
{
    sp_err err = sp_buf_error(&here.sealed);
    if (!sp_failed(err) && here.sealed.len > 0) {
        err = give_wire(stream, sp_buf_borrow(&here.sealed));
    }
    if (here.sealed.cap > (size_t)4 * DB_CHUNK_BYTES) {
        size_t max_bytes = here.sealed.max_bytes;
        sp_buf_done(&here.sealed);
        here.sealed = sp_buf_make(max_bytes);
    } else {
        sp_buf_reset(&here.sealed);
    }
    return err;
}

static sp_err tls_trouble(const db_stream *stream, int result)
{
    int error = SSL_get_error(stream->ssl, result);
    ERR_clear_error();
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        return sp_fail(SP_EAGAIN);
    }
    return sp_fail(error == SSL_ERROR_ZERO_RETURN ? SP_ECLOSED : SP_EINVALID);
}

/* SSL_get_error() looks at the error queue, which is empty whenever OpenSSL is entered: whatever
 * may have put something there clears it. Deciphers all of here.feed: there is always room, the
 * plain text is shorter than the wire's. */
static sp_err decipher(db_stream *stream, sp_span *ret_bytes)
{
    size_t got = 0;
    sp_err err = sp_ok();
    do {
        size_t len = 0;
        int result = SSL_read_ex(stream->ssl, here.plain + got, DB_RECEIVE_MAX_BYTES - got, &len);
        if (result != 1) {
            err = tls_trouble(stream, result);
            break;
        }
        got += len;
    } while (here.feed.len > 0 || SSL_pending(stream->ssl) > 0);
    if (here.sealed.len > 0) {          /* a key update, an alert */
        SP_IGNORE(give_sealed(stream)); /* the next send tells */
    }
    if (got == 0) {
        return sp_failed(err) ? err : sp_fail(SP_EAGAIN);
    }
    /* what ended it is found again behind these bytes */
    stream->readable = stream->readable || (sp_failed(err) && err.code != SP_EAGAIN);
    *ret_bytes = sp_span_of(here.plain, got);
    return sp_ok();
}

sp_err db_stream_receive(db_stream *stream, sp_span *ret_bytes)
{
    size_t len = 0;
    if (stream->ssl == NULL) {
        TRY(take_wire(stream, here.plain, &len));
        *ret_bytes = sp_span_of(here.plain, len);
        return sp_ok();
    }
    if (stream->early != NULL) {
        here.feed = sp_buf_borrow(stream->early);
        sp_err err = decipher(stream, ret_bytes);
        drop_early(stream);
        if (err.code != SP_EAGAIN) {
            return err;
        }
    }
    TRY(take_wire(stream, here.wire, &len));
    here.feed = sp_span_of(here.wire, len);
    return decipher(stream, ret_bytes);
}

sp_err db_stream_send(db_stream *stream, sp_span bytes)
{
    if (stream->ssl == NULL) {
        return give_wire(stream, bytes);
    }
    if (bytes.len == 0) {
        return sp_ok();
    }
    size_t len = 0;
    here.feed = SP_SPAN_EMPTY;
    int result = SSL_write_ex(stream->ssl, bytes.ptr, bytes.len, &len);
    sp_err err = give_sealed(stream);
    if (result != 1 || len != bytes.len) {
        ERR_clear_error();
        stream->broken = true;
        return sp_fail(SP_ECLOSED);
    }
    return err;
}

static sp_err new_tls(db_stream *stream, SSL_CTX *ctx)
{
    stream->ssl = SSL_new(ctx);
    if (stream->ssl == NULL || BIO_up_ref(here.bio) != 1) {
        return sp_fail(SP_ENOMEM);
    }
    SSL_set_bio(stream->ssl, here.bio, here.bio);
    return sp_ok();
}

static sp_err keep_early(db_stream *stream)
{
    TRY(sp_alloc(1, sizeof(*stream->early), &stream->early));
    *stream->early = sp_buf_make(DB_CHUNK_BYTES);
    sp_buf_span(stream->early, here.feed);
    here.feed = SP_SPAN_EMPTY;
    return sp_buf_error(stream->early);
}

static sp_err shake(db_stream *stream)
{
    ERR_clear_error();
    int result = SSL_do_handshake(stream->ssl);
    sp_err err = result == 1 ? sp_ok() : tls_trouble(stream, result);
    ERR_clear_error(); /* a client's certificate that did not verify is no failure */
    if (!sp_failed(err) && here.feed.len > 0) {
        err = keep_early(stream);
    }
    sp_err sent = give_sealed(stream);
    return sp_failed(err) ? err : sent;
}

sp_err db_stream_accept_tls(db_stream *stream, SSL_CTX *ctx, sp_span first)
{
    TRY(new_tls(stream, ctx));
    SSL_set_accept_state(stream->ssl);
    here.feed = first;
    return shake(stream);
}

sp_err db_stream_connect_tls(db_stream *stream, SSL_CTX *ctx, const char *host, bool verify_host,
                             db_tls_own *own)
{
    TRY(new_tls(stream, ctx));
    SSL_set_connect_state(stream->ssl);
    X509_VERIFY_PARAM *param = SSL_get0_param(stream->ssl);
    uint8_t address[16];
    bool is_address =
        inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
    if (host[0] != '\0' && !is_address && SSL_set_tlsext_host_name(stream->ssl, host) != 1) {
        return sp_fail(SP_EINVALID);
    }
    if (verify_host && (is_address ? X509_VERIFY_PARAM_set1_ip_asc(param, host) != 1
                                   : X509_VERIFY_PARAM_set1_host(param, host, 0) != 1)) {
        return sp_fail(SP_EINVALID);
    }
    if (own != NULL) {
        db_tls_show(stream->ssl, own);
    }
    here.feed = SP_SPAN_EMPTY;
    return shake(stream);
}

sp_err db_stream_handshake(db_stream *stream)
{
    size_t len = 0;
    TRY(take_wire(stream, here.wire, &len));
    here.feed = sp_span_of(here.wire, len);
    return shake(stream);
}

void db_stream_finish(db_stream *stream)
{
    db_stream_goodbye(stream);
    (void)shutdown(stream->watch.fd, SHUT_WR); /* one that is closed already is as good */
}

void db_stream_goodbye(db_stream *stream)
{
    if (stream->ssl != NULL && !stream->broken && stream->out.len == 0 &&
        SSL_is_init_finished(stream->ssl)) {
        here.feed = SP_SPAN_EMPTY;
        ERR_clear_error();
        (void)SSL_shutdown(stream->ssl);
        ERR_clear_error();
        SP_IGNORE(give_sealed(stream)); /* it is only a courtesy */
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * The client's side of a log-in at a database server.
 * OWNS the connection and what the log-in needs. PROCESS db gate workers. TRUST the server's bytes
 * are bounded and checked; its proof of knowing the password is required.
 * SPEC gates/db/back.h.
 */
#include "gates/db/back_inside.h"
#include "gates/db/db.h"
#include "lib/policy/database.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BACK_OF(pointer, member) ((db_back *)(void *)((char *)(pointer)-offsetof(db_back, member)))

/* Clients wait 10 s, as a rule: they are told before. */
enum { LOOK_UP_US = 5000000, LOGIN_US = 8000000, CANCEL_US = 5000000 };
enum { PARAMETERS_MAX = 32, SETTLE_MAX_BYTES = 1 << 20 };
enum { CHUNKS_A_ROUND = 8, UNASKED_MAX_BYTES = 64 * 1024 };

static const char unreachable[] = "08001";
static const char bad_login[] = DB_BACK_BAD_LOGIN;

/* ---- the end ---- */

static void free_login(db_back *back)
{
    db_back_login *login = back->login;
    if (login == NULL) {
        return;
    }
    sp_link_forget(&db_here.vault, login->call);
    db_tls_own_done(&login->own);
    sp_buf *const bufs[] = {&login->startup,      &login->in,         &login->first_bare,
                            &login->server_first, &login->final_bare, &login->binding};
    for (size_t i = 0; i < SP_COUNT(bufs); i++) {
        sp_buf_done(bufs[i]);
    }
    sp_wipe(login->signature, sizeof(login->signature));
    sp_free(login);
    back->login = NULL;
}

static void free_now(sp_deferred *deferred)
{
    db_back *back = BACK_OF(deferred, free);
    sp_buf_done(&back->statuses);
    sp_free(back);
}

/* Whoever waits for the server to have heard of a cancel goes on. */
static void unlink_cancel(db_back *back)
{
    db_back *target = back->target;
    if (back->cancel != NULL) {
        back->cancel->target = NULL;
        back->cancel = NULL;
    }
    if (target != NULL) {
        back->target = NULL;
        target->cancel = NULL;
        if (target->calls.on_cancelled != NULL) {
            target->calls.on_cancelled(target);
        }
    }
}

static void shut(db_back *back)
{
    unlink_cancel(back);
    sp_timer_clear(db_here.loop, &back->timer);
    sp_resolve_forget(&back->resolving);
    sp_loop_undefer(db_here.loop, &back->more);
    free_login(back);
    db_stream_close(&back->stream);
    back->state = DB_BACK_DEAD;
}

void db_back_close(db_back *back)
{
    if (back == NULL || back->free.queued) {
        return;
    }
    if (back->state == DB_BACK_READY) {
        auto_buf sp_buf bye = sp_buf_make(16);
        sp_pg_empty_write(&bye, 'X');
        SP_IGNORE(db_stream_send(&back->stream, sp_buf_borrow(&bye))); /* the server sees the end */
        db_stream_goodbye(&back->stream);
    }
    shut(back);
    back->free.call = free_now;
    sp_loop_defer(db_here.loop, &back->free);
}

void db_back_failed(db_back *back, const char *sqlstate, const char *why)
{
    if (back->state == DB_BACK_DEAD) {
        return;
    }
    shut(back);
    if (back->is_cancel) {
        db_back_close(back);
    } else {
        back->calls.on_failed(back, sqlstate, why);
    }
}

static void on_late(sp_timer *timer)
{
    db_back *back = BACK_OF(timer, timer);
    bool resolving = back->state == DB_BACK_RESOLVING;
    db_back_failed(back, unreachable,
                   resolving ? "the database server's name cannot be looked up in time"
                             : "the database server did not complete its log-in in time");
}

void db_back_say(db_back *back, const sp_buf *bytes)
{
    sp_err err = sp_buf_error(bytes);
    if (!sp_failed(err)) {
        err = db_stream_send(&back->stream, sp_buf_borrow(bytes));
    }
    if (sp_failed(err)) {
        db_back_failed(back, unreachable,
                       "the connection to the database server broke during log-in");
    }
}

/* ---- messages until ready ---- */

static const char *unproven(const db_back *back)
{
    const db_back_login *login = back->login;
    if (login->by_certificate && !login->own.asked) {
        return "the database server asks for no certificate: name the vault's authority in "
               "ssl_ca_file, and cert in pg_hba.conf";
    }
    if (login->first_bare.len > 0) {
        /* in the middle of SCRAM it would mean that the server need not know the password */
        return "the database server ended its log-in too early";
    }
    return "the database server asks for no password, so it proves none either: set "
           "scram-sha-256 in pg_hba.conf";
}

/* The server knows the password, or TLS said who it is and it asked for the account's certificate:
 * the document allows that only where TLS says it. */
static void on_ok(db_back *back)
{
    const db_back_login *login = back->login;
    bool proven = login->by_certificate ? login->own.asked : login->proven;
    if (proven && back->state == DB_BACK_AUTH) {
        back->state = DB_BACK_SETTLING;
    } else {
        db_back_failed(back, bad_login, unproven(back));
    }
}

static void on_auth(db_back *back, sp_span body)
{
    sp_pg_auth auth;
    if (sp_failed(sp_pg_auth_read(body, &auth))) {
        db_back_failed(back, "08P01", "the database server sent a malformed message");
        return;
    }
    switch (auth.kind) {
    case SP_PG_AUTH_OK:
        on_ok(back);
        break;
    case SP_PG_AUTH_MD5:
        db_back_md5_begin(back, auth.data);
        break;
    case SP_PG_AUTH_SASL:
        db_back_scram_begin(back, auth.data);
        break;
    case SP_PG_AUTH_SASL_CONTINUE:
        db_back_scram_continue(back, auth.data);
        break;
    case SP_PG_AUTH_SASL_FINAL:
        db_back_scram_final(back, auth.data);
        break;
    case SP_PG_AUTH_CLEARTEXT:
        db_back_failed(
            back, bad_login,
            "the database server wants the password in clear: set scram-sha-256 in pg_hba.conf");
        break;
    default:
        db_back_failed(back, bad_login, "the database server offers no log-in that the gate knows");
        break;
    }
}

static void on_error(db_back *back, sp_span body)
{
    sp_pg_error error;
    char why[320];
    char sqlstate[6] = "08006";
    if (sp_failed(sp_pg_error_read(body, &error)) || error.sqlstate.len != 5) {
        db_back_failed(back, "08P01", "the database server sent a malformed message");
        return;
    }
    sp_span text = sp_span_slice(error.message, 0, 200);
    sp_copy(sqlstate, error.sqlstate.ptr, 5);
    snprintf(why, sizeof(why), "the database server refuses the gate's log-in: %.*s",
             SP_SPAN_ARG(text));
    db_back_failed(back, sqlstate, why);
}

static void become_ready(db_back *back)
{
    sp_timer_clear(db_here.loop, &back->timer);
    free_login(back);
    back->state = DB_BACK_READY;
    back->calls.on_ready(back);
}

static void on_settling(db_back *back, const sp_pg_msg *msg, sp_span whole)
{
    sp_span key;
    switch (msg->type) {
    case 'S':
        sp_buf_span(&back->statuses, whole);
        break;
    case 'K':
        if (sp_failed(sp_pg_key_read(msg->body, &back->pid, &key)) ||
            key.len != DB_BACK_KEY_BYTES) {
            db_back_failed(back, "08P01", "the database server sent a malformed message");
            return;
        }
        sp_copy(back->key, key.ptr, DB_BACK_KEY_BYTES);
        break;
    case 'N':
        break;
    case 'Z':
        become_ready(back);
        break;
    default:
        db_back_failed(back, "08P01",
                       "the database server sent a message that does not belong there");
        break;
    }
}

/* Reads what is whole; false when the log-in is over, one way or the other. */
static bool read_one(db_back *back)
{
    sp_buf *in = &back->login->in;
    sp_span all = sp_buf_borrow(in);
    sp_pg_head head;
    sp_err err = sp_pg_head_read(all, &head);
    if (err.code == SP_EAGAIN) {
        return false;
    }
    if (sp_failed(err) || head.body_len > DB_BACK_SETTLING_MAX_BYTES) {
        db_back_failed(back, "08P01", "the database server sent a malformed message");
        return false;
    }
    size_t size = SP_PG_HEAD_BYTES + head.body_len;
    if (all.len < size) {
        return false;
    }
    sp_pg_msg msg = {.type = head.type,
                     .whole = true,
                     .body_len = head.body_len,
                     .body = sp_span_slice(all, SP_PG_HEAD_BYTES, size)};
    if (msg.type == 'E') {
        on_error(back, msg.body);
    } else if (msg.type == 'R') {
        on_auth(back, msg.body);
    } else if (back->state == DB_BACK_SETTLING) {
        on_settling(back, &msg, sp_span_slice(all, 0, size));
    } else if (msg.type != 'N') {
        db_back_failed(back, "08P01",
                       "the database server sent a message that does not belong there");
    }
    if (back->login == NULL) {
        return false;
    }
    sp_buf_drop(in, size);
    return true;
}

static void read_login(db_back *back)
{
    sp_span bytes;
    sp_err err = db_stream_receive(&back->stream, &bytes);
    if (err.code == SP_EAGAIN) {
        return;
    }
    if (!sp_failed(err)) {
        sp_buf_span(&back->login->in, bytes);
        err = sp_buf_error(&back->login->in);
    }
    if (sp_failed(err)) {
        db_back_failed(back, "08006", "the database server closed the connection during log-in");
        return;
    }
    while (read_one(back)) {
    }
}

/* ---- connecting ---- */

static void say_hello(db_back *back)
{
    if (back->is_cancel) {
        auto_buf sp_buf out = sp_buf_make(64);
        sp_pg_cancel_write(&out, back->pid, sp_span_of(back->key, DB_BACK_KEY_BYTES));
        back->state = DB_BACK_AUTH; /* the server answers nothing, and closes when it has heard */
        db_back_say(back, &out);
        return;
    }
    back->state = DB_BACK_AUTH;
    db_back_say(back, &back->login->startup);
}

void db_back_begin_tls(db_back *back)
{
    SSL_CTX *ctx = NULL;
    sp_err err = db_tls_back((sp_database_tls)back->tls, back->login->ca, &ctx);
    if (sp_failed(err)) {
        db_back_failed(back, unreachable,
                       "the CA file of this resource cannot be read by the gate");
        return;
    }
    back->state = DB_BACK_TLS;
    err = db_stream_connect_tls(&back->stream, ctx, back->login->host,
                                back->tls == SP_DATABASE_TLS_VERIFY_FULL,
                                back->login->by_certificate ? &back->login->own : NULL);
    if (sp_failed(err) && err.code != SP_EAGAIN) {
        db_back_failed(back, unreachable, "TLS with the database server cannot be begun");
    }
}

static void shake(db_back *back)
{
    sp_err err = db_stream_handshake(&back->stream);
    if (err.code == SP_EAGAIN) {
        return;
    }
    if (sp_failed(err)) {
        long result = SSL_get_verify_result(back->stream.ssl);
        char why[200];
        snprintf(why, sizeof(why), "TLS with the database server failed%s%s",
                 result != X509_V_OK ? ": " : "",
                 result != X509_V_OK ? X509_verify_cert_error_string(result) : "");
        db_back_failed(back, unreachable, why);
        return;
    }
    db_tls_show(back->stream.ssl, NULL); /* the log-in goes before the connection does */
    say_hello(back);
}

static void read_ssl_answer(db_back *back)
{
    sp_span bytes;
    sp_err err = db_stream_receive(&back->stream, &bytes);
    if (err.code == SP_EAGAIN) {
        return;
    }
    /* more than the one byte would have been put there by somebody in between */
    if (sp_failed(err) || bytes.len != 1 || bytes.ptr[0] != 'S') {
        db_back_failed(back, unreachable,
                       sp_failed(err)
                           ? "the database server closed the connection"
                           : "the database server does not speak TLS, which the resource asks "
                             "for");
        return;
    }
    if (back->login->by_certificate) {
        db_back_ask_certificate(back);
    } else {
        db_back_begin_tls(back);
    }
}

static void connected(db_back *back)
{
    sp_err err = sp_dial_finish(back->stream.watch.fd);
    if (err.code == SP_EAGAIN) {
        return;
    }
    if (sp_failed(err)) {
        char why[160];
        snprintf(why, sizeof(why), "the database server cannot be reached: %s", strerror(errno));
        db_back_failed(back, unreachable, why);
        return;
    }
    if (back->tls == SP_DATABASE_TLS_LOOPBACK) {
        say_hello(back);
        return;
    }
    auto_buf sp_buf out = sp_buf_make(16);
    sp_pg_ssl_request_write(&out);
    back->state = DB_BACK_SSL_ASKED;
    db_back_say(back, &out);
}

static void step(db_back *back)
{
    switch (back->state) {
    case DB_BACK_CONNECTING:
        connected(back);
        break;
    case DB_BACK_SSL_ASKED:
        read_ssl_answer(back);
        break;
    case DB_BACK_TLS:
        shake(back);
        break;
    case DB_BACK_AUTH:
    case DB_BACK_PROOF:
    case DB_BACK_FINAL:
    case DB_BACK_SETTLING:
        read_login(back);
        break;
    case DB_BACK_READY:
        back->calls.on_stream(back);
        break;
    case DB_BACK_RESOLVING:
    case DB_BACK_CERTIFICATE:
    case DB_BACK_DEAD:
    case DB_BACK_STATE_COUNT:
        break;
    }
}

static void on_stream(db_stream *stream)
{
    db_back *back = BACK_OF(stream, stream);
    if (back->state != DB_BACK_READY && db_stream_is_stuck(stream) &&
        sp_failed(db_stream_flush(stream))) {
        db_back_failed(back, unreachable,
                       "the connection to the database server broke during log-in");
        return;
    }
    db_back_state before = DB_BACK_DEAD;
    while (before != back->state && back->state != DB_BACK_DEAD && !back->free.queued) {
        before = back->state; /* what came with the last message of a state belongs to the next */
        step(back);
        if (before == DB_BACK_READY || back->state == DB_BACK_READY) {
            return;
        }
    }
}

static sp_err connect_to(db_back *back)
{
    int fd = -1;
    TRY(sp_dial(&back->address, &fd));
    back->state = DB_BACK_CONNECTING;
    return db_stream_open(&back->stream, fd, on_stream);
}

/* ---- asking ---- */

static sp_err write_startup(db_back_login *login, const db_back_ask *ask)
{
    sp_span pairs[PARAMETERS_MAX * 2 + 4] = {SP_SPAN_LIT("user"), ask->account,
                                             SP_SPAN_LIT("database"), ask->database};
    if (ask->parameter_count > PARAMETERS_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    for (size_t i = 0; i < ask->parameter_count * 2; i++) {
        pairs[4 + i] = ask->parameters[i];
    }
    sp_pg_startup_write(&login->startup, pairs, 2 + ask->parameter_count);
    return sp_buf_error(&login->startup);
}

static sp_err make_login(db_back *back, const db_back_ask *ask, const sp_database_resource *to)
{
    TRY(sp_alloc(1, sizeof(*back->login), &back->login));
    db_back_login *login = back->login;
    login->startup = sp_buf_make(SP_PG_FIRST_MAX_BYTES);
    login->in = sp_buf_make(SETTLE_MAX_BYTES);
    login->first_bare = sp_buf_make(SP_PG_SASL_MAX_BYTES);
    login->server_first = sp_buf_make(SP_PG_SASL_MAX_BYTES);
    login->final_bare = sp_buf_make(SP_PG_SASL_MAX_BYTES);
    login->binding = sp_buf_make(SP_PG_SASL_MAX_BYTES);
    auto_buf sp_buf name = sp_buf_make(SP_VAULT_CREDENTIAL_MAX_BYTES);
    sp_buf_span(&name, sp_policy_resource_name(ask->policy, ask->resource));
    sp_buf_u8(&name, '/');
    sp_buf_span(&name, ask->account);
    TRY(sp_buf_error(&name));
    TRY(sp_fit(login->credential, sizeof(login->credential), sp_buf_borrow(&name)));
    TRY(sp_fit(login->host, sizeof(login->host), to->host));
    TRY(sp_fit(login->ca, sizeof(login->ca), to->ca));
    login->by_certificate = to->by_certificate;
    return write_startup(login, ask);
}

static void on_found(sp_resolve_wait *wait, sp_err err, const sp_dial_address *address)
{
    db_back *back = BACK_OF(wait, resolving);
    if (sp_failed(err)) {
        db_back_failed(back, unreachable, "the database server's name cannot be looked up");
        return;
    }
    back->address = *address;
    err = sp_timer_set(db_here.loop, &back->timer, LOGIN_US);
    if (sp_failed(err) || sp_failed(connect_to(back))) {
        db_back_failed(back, unreachable, "the database server cannot be reached");
    }
}

static sp_err find_and_connect(db_back *back, uint16_t port)
{
    back->resolving = (sp_resolve_wait){.on_found = on_found};
    sp_err err = sp_resolve(back->login->host, port, &back->resolving, &back->address);
    if (err.code == SP_EAGAIN) {
        return sp_timer_set(db_here.loop, &back->timer, LOOK_UP_US);
    }
    TRY(err);
    TRY(sp_timer_set(db_here.loop, &back->timer, LOGIN_US));
    return connect_to(back);
}

sp_err db_back_open(const db_back_ask *ask, const db_back_calls *calls, db_back **ret_back)
{
    sp_database_resource to;
    if (!sp_policy_database_resource(ask->policy, ask->resource, &to)) {
        return sp_fail(SP_EINVALID);
    }
    db_back *back = NULL;
    TRY(sp_alloc(1, sizeof(*back), &back));
    back->calls = *calls;
    back->tls = to.tls;
    back->stream.watch.fd = -1;
    back->timer = (sp_timer){.on_time = on_late};
    back->statuses = sp_buf_make(DB_BACK_SETTLING_MAX_BYTES);
    sp_err err = make_login(back, ask, &to);
    if (!sp_failed(err)) {
        err = find_and_connect(back, to.port);
    }
    if (sp_failed(err)) {
        db_back_close(back);
        return err;
    }
    *ret_back = back;
    return sp_ok();
}

void db_back_cancel(db_back *back)
{
    db_back *other = NULL;
    if (back->state != DB_BACK_READY || back->cancel != NULL ||
        sp_failed(sp_alloc(1, sizeof(*other), &other))) {
        return;
    }
    other->is_cancel = true;
    other->target = back;
    back->cancel = other;
    /* whoever it is: the key is worth nothing but a cancel, and the server was verified before */
    other->tls = back->tls == SP_DATABASE_TLS_LOOPBACK ? back->tls : SP_DATABASE_TLS_REQUIRE;
    other->pid = back->pid;
    sp_copy(other->key, back->key, DB_BACK_KEY_BYTES);
    other->address = back->address;
    other->stream.watch.fd = -1;
    other->timer = (sp_timer){.on_time = on_late};
    other->statuses = sp_buf_make(16);
    sp_err err = sp_alloc(1, sizeof(*other->login), &other->login);
    if (!sp_failed(err)) {
        err = sp_timer_set(db_here.loop, &other->timer, CANCEL_US);
    }
    if (sp_failed(err) || sp_failed(connect_to(other))) {
        db_back_close(other);
    }
}

static void on_more(sp_deferred *deferred)
{
    db_back *back = BACK_OF(deferred, more);
    back->calls.on_stream(back);
}

sp_err db_back_hear(db_back *back, bool is_asked, sp_span *ret_bytes)
{
    uint64_t now_us = sp_loop_now_us(db_here.loop);
    if (back->heard_us != now_us) {
        back->heard_us = now_us;
        back->heard = 0;
    }
    if (back->heard == CHUNKS_A_ROUND) {
        back->more.call = on_more;
        sp_loop_defer(db_here.loop, &back->more);
        return sp_fail(SP_EAGAIN);
    }
    TRY(db_stream_receive(&back->stream, ret_bytes));
    back->heard++;
    back->unasked = is_asked ? 0 : back->unasked + ret_bytes->len;
    return back->unasked > UNASKED_MAX_BYTES ? sp_fail(SP_ELIMIT) : sp_ok();
}

sp_span db_back_status(const db_back *back, sp_span name)
{
    sp_span all = sp_buf_borrow(&back->statuses);
    sp_pg_head head;
    while (!sp_failed(sp_pg_head_read(all, &head))) {
        sp_span found;
        sp_span value;
        size_t size = SP_PG_HEAD_BYTES + head.body_len;
        if (!sp_failed(
                sp_pg_status_read(sp_span_slice(all, SP_PG_HEAD_BYTES, size), &found, &value)) &&
            sp_span_eq(found, name)) {
            return value;
        }
        all = sp_span_slice(all, size, all.len);
    }
    return SP_SPAN_EMPTY;
}

/* SPDX-License-Identifier: Apache-2.0
 * The client's side of a log-in at a database server.
 * OWNS the connection and what the log-in needs. PROCESS db gate workers. TRUST the server's bytes
 * are bounded and checked; its proof of knowing the password is required.
 * SPEC gates/db/back.h.
 */
#include "gates/db/back.h"

#include "gates/db/db.h"
#include "gates/db/tls.h"
#include "infra/crypto/random.h"
#include "infra/proc/log.h"
#include "lib/policy/database.h"
#include "lib/proto/vault_msg.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BACK_OF(pointer, member) ((db_back *)(void *)((char *)(pointer)-offsetof(db_back, member)))

enum {
    LOGIN_US = 10000000,
    CANCEL_US = 5000000,
    HOST_BYTES = 256,
    NONCE_BYTES = 18,
    PARAMETERS_MAX = 32,
    SETTLE_MAX_BYTES = 1 << 20,
    SIGNATURE_BYTES = 32
};

struct db_back_login {
    char host[HOST_BYTES];
    char ca[HOST_BYTES];
    sp_buf startup;
    sp_buf in;
    sp_buf first_bare; /* client-first-message-bare */
    sp_buf server_first;
    sp_buf final_bare; /* client-final-message-without-proof */
    sp_buf binding;    /* gs2 header and channel's data: what "c=" says in base64 */
    bool proven;       /* the server knows the password, or TLS said who it is */
    uint8_t signature[SIGNATURE_BYTES];
    char credential[SP_VAULT_CREDENTIAL_MAX_BYTES + 1];
    uint32_t call; /* to the vault */
};

static const char unreachable[] = "08001";
static const char bad_login[] = "28000";

/* ---- the end ---- */

static void free_login(db_back *back)
{
    db_back_login *login = back->login;
    if (login == NULL) {
        return;
    }
    sp_link_forget(&db_here.vault, login->call);
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

static void shut(db_back *back)
{
    sp_timer_clear(db_here.loop, &back->timer);
    sp_resolve_forget(&back->resolving);
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

static void failed(db_back *back, const char *sqlstate, const char *why)
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
    failed(BACK_OF(timer, timer), unreachable,
           "the database server did not complete its log-in in time");
}

static void say(db_back *back, const sp_buf *bytes)
{
    sp_err err = sp_buf_error(bytes);
    if (!sp_failed(err)) {
        err = db_stream_send(&back->stream, sp_buf_borrow(bytes));
    }
    if (sp_failed(err)) {
        failed(back, unreachable, "the connection to the database server broke during log-in");
    }
}

/* ---- proofs ---- */

static void md5_answer(db_back *back, const sp_vault_db_proved *proved)
{
    auto_buf sp_buf out = sp_buf_make(256);
    auto_buf sp_buf text = sp_buf_make(128);
    sp_buf_span(&text, proved->proof);
    sp_buf_u8(&text, 0);
    sp_pg_password_write(&out, sp_buf_borrow(&text));
    back->state = DB_BACK_AUTH;
    say(back, &out);
}

static void scram_answer(db_back *back, const sp_vault_db_proved *proved)
{
    if (proved->server.len != SIGNATURE_BYTES) {
        failed(back, bad_login, "the vault's proof for the database account is malformed");
        return;
    }
    sp_copy(back->login->signature, proved->server.ptr, SIGNATURE_BYTES);
    auto_buf sp_buf out = sp_buf_make(SP_PG_SASL_MAX_BYTES);
    auto_buf sp_buf text = sp_buf_make(SP_PG_SASL_MAX_BYTES);
    sp_buf_span(&text, sp_buf_borrow(&back->login->final_bare));
    sp_buf_text(&text, ",p=");
    sp_buf_base64(&text, proved->proof);
    sp_pg_password_write(&out, sp_buf_borrow(&text));
    back->state = DB_BACK_FINAL;
    say(back, &out);
}

static void on_proved(void *self, sp_err err, const sp_msg *msg, sp_fds *fds)
{
    db_back *back = self;
    (void)fds;
    back->login->call = 0;
    sp_vault_db_proved proved;
    if (!sp_failed(err)) {
        err = sp_vault_db_proved_decode(msg->body, &proved);
    }
    if (sp_failed(err)) {
        sp_log(SP_LOG_WARN, "the vault gives no proof for %s (%s)", back->login->credential,
               sp_code_word(err.code));
        failed(back, bad_login,
               err.code == SP_ENOTFOUND
                   ? "the vault has no credential for this resource's database account"
                   : "the vault does not answer for the database account");
    } else if (proved.server.len == 0) {
        md5_answer(back, &proved);
    } else {
        scram_answer(back, &proved);
    }
}

static void ask_proof(db_back *back, const sp_vault_db_proof *proof)
{
    auto_buf sp_buf body = sp_buf_make(SP_VAULT_AUTH_MESSAGE_MAX_BYTES + 1024);
    sp_vault_db_proof_encode(proof, &body);
    back->state = DB_BACK_PROOF;
    back->login->call = sp_failed(sp_buf_error(&body))
                            ? 0
                            : sp_link_call(&db_here.vault, SP_VAULT_DB_PROOF, sp_buf_borrow(&body),
                                           NULL, 0, on_proved, back);
    if (back->login->call == 0) {
        failed(back, bad_login, "the vault does not answer for the database account");
    }
}

/* ---- SCRAM (RFC 5802) ---- */

static bool has_mechanism(sp_span list, sp_span wanted)
{
    sp_span one;
    while (sp_span_split(&list, '\0', &one)) {
        if (sp_span_eq(one, wanted)) {
            return true;
        }
    }
    return false;
}

/* Bound to the very TLS connection where both can: else somebody between would be answered. "y": we
 * could, had the server offered it; a server that did offer it sees that somebody took it away. */
static const char *choose_mechanism(db_back *back, sp_span mechanisms)
{
    static const char plain[] = "SCRAM-SHA-256";
    static const char bound[] = "SCRAM-SHA-256-PLUS";
    sp_buf *binding = &back->login->binding;
    auto_buf sp_buf end_point = sp_buf_make(DB_END_POINT_MAX_BYTES);
    bool can = back->stream.ssl != NULL && db_tls_end_point_of(back->stream.ssl, &end_point);
    if (can && has_mechanism(mechanisms, sp_span_cstr(bound))) {
        sp_buf_text(binding, "p=tls-server-end-point,,");
        sp_buf_span(binding, sp_buf_borrow(&end_point));
        return bound;
    }
    sp_buf_text(binding, can ? "y,," : "n,,");
    return has_mechanism(mechanisms, sp_span_cstr(plain)) ? plain : NULL;
}

static void scram_begin(db_back *back, sp_span mechanisms)
{
    db_back_login *login = back->login;
    const char *mechanism = login->first_bare.len > 0 ? NULL : choose_mechanism(back, mechanisms);
    if (mechanism == NULL) {
        failed(back, bad_login, "the database server offers no log-in that the gate knows");
        return;
    }
    uint8_t nonce[NONCE_BYTES];
    sp_random(nonce, sizeof(nonce));
    sp_buf *bare = &login->first_bare;
    sp_buf_text(bare, "n=,r="); /* the name is that of the start-up packet */
    sp_buf_base64(bare, sp_span_of(nonce, sizeof(nonce)));
    auto_buf sp_buf first = sp_buf_make(SP_PG_SASL_MAX_BYTES);
    sp_span binding = sp_buf_borrow(&login->binding);
    size_t header = sp_span_find(binding, SP_SPAN_LIT(",,")) + 2;
    sp_buf_span(&first, sp_span_slice(binding, 0, header));
    sp_buf_span(&first, sp_buf_borrow(bare));
    auto_buf sp_buf out = sp_buf_make(SP_PG_SASL_MAX_BYTES);
    sp_pg_sasl_initial_write(&out, sp_span_cstr(mechanism), sp_buf_borrow(&first));
    say(back, &out);
}

/* "r=...,s=...,i=...": the value behind a letter. */
static bool attribute(sp_span text, char letter, sp_span *ret_value)
{
    sp_span piece;
    while (sp_span_split(&text, ',', &piece)) {
        if (piece.len >= 2 && piece.ptr[0] == (uint8_t)letter && piece.ptr[1] == '=') {
            *ret_value = sp_span_slice(piece, 2, piece.len);
            return true;
        }
    }
    return false;
}

static void scram_continue(db_back *back, sp_span server_first)
{
    db_back_login *login = back->login;
    sp_span nonce;
    sp_span salt_text;
    sp_span iterations_text;
    uint64_t iterations = 0;
    sp_span own = sp_span_slice(sp_buf_borrow(&login->first_bare), 5, login->first_bare.len);
    auto_buf sp_buf salt = sp_buf_make(SP_VAULT_SALT_MAX_BYTES);
    bool good = login->first_bare.len > 0 && login->server_first.len == 0 &&
                attribute(server_first, 'r', &nonce) && attribute(server_first, 's', &salt_text) &&
                attribute(server_first, 'i', &iterations_text) && sp_span_starts(nonce, own) &&
                nonce.len > own.len && !sp_failed(sp_buf_unbase64(&salt, salt_text)) &&
                !sp_failed(sp_span_to_u64(iterations_text, SP_VAULT_ITERATIONS_MAX, &iterations)) &&
                iterations > 0;
    if (!good) {
        failed(back, bad_login, "the database server's SCRAM message is malformed");
        return;
    }
    sp_buf_span(&login->server_first, server_first);
    sp_buf_text(&login->final_bare, "c=");
    sp_buf_base64(&login->final_bare, sp_buf_borrow(&login->binding));
    sp_buf_text(&login->final_bare, ",r=");
    sp_buf_span(&login->final_bare, nonce);
    auto_buf sp_buf message = sp_buf_make(SP_VAULT_AUTH_MESSAGE_MAX_BYTES);
    sp_buf_span(&message, sp_buf_borrow(&login->first_bare));
    sp_buf_u8(&message, ',');
    sp_buf_span(&message, server_first);
    sp_buf_u8(&message, ',');
    sp_buf_span(&message, sp_buf_borrow(&login->final_bare));
    if (sp_failed(sp_buf_error(&message))) {
        failed(back, bad_login, "the database server's SCRAM message is too long");
        return;
    }
    ask_proof(back, &(sp_vault_db_proof){.method = SP_VAULT_DB_SCRAM,
                                         .name = sp_span_cstr(login->credential),
                                         .salt = sp_buf_borrow(&salt),
                                         .iterations = (uint32_t)iterations,
                                         .auth_message = sp_buf_borrow(&message)});
}

static void scram_final(db_back *back, sp_span text)
{
    sp_span value;
    auto_buf sp_buf signature = sp_buf_make(64);
    bool good =
        back->state == DB_BACK_FINAL && attribute(text, 'v', &value) &&
        !sp_failed(sp_buf_unbase64(&signature, value)) &&
        sp_span_eq_secret(sp_buf_borrow(&signature),
                          sp_span_of(back->login->signature, sizeof(back->login->signature)));
    if (!good) {
        failed(back, bad_login, "the database server does not know the account's password itself");
        return;
    }
    back->login->proven = true;
    back->state = DB_BACK_AUTH;
}

/* ---- MD5 ---- */

/* With MD5 the server proves nothing, and whoever stands between passes the answer on: only where
 * TLS says who it is, or nobody can stand. */
static void md5_begin(db_back *back, sp_span salt)
{
    if (salt.len != SP_VAULT_MD5_SALT_BYTES || back->state != DB_BACK_AUTH ||
        back->login->first_bare.len > 0) {
        failed(back, "08P01", "the database server sent a malformed message");
    } else if (back->tls == SP_DATABASE_TLS_REQUIRE) {
        failed(back, bad_login,
               "the database server wants MD5, which does not prove who it is: set scram-sha-256 "
               "in pg_hba.conf, or tls: verify-full");
    } else {
        back->login->proven = true;
        ask_proof(back, &(sp_vault_db_proof){.method = SP_VAULT_DB_MD5,
                                             .name = sp_span_cstr(back->login->credential),
                                             .salt = salt});
    }
}

/* ---- messages until ready ---- */

static void on_auth(db_back *back, sp_span body)
{
    sp_pg_auth auth;
    if (sp_failed(sp_pg_auth_read(body, &auth))) {
        failed(back, "08P01", "the database server sent a malformed message");
        return;
    }
    switch (auth.kind) {
    case SP_PG_AUTH_OK:
        if (back->login->proven && back->state == DB_BACK_AUTH) {
            back->state = DB_BACK_SETTLING;
        } else if (back->login->first_bare.len > 0) {
            /* in the middle of SCRAM it would mean that the server need not know the password */
            failed(back, bad_login, "the database server ended its log-in too early");
        } else {
            failed(back, bad_login,
                   "the database server asks for no password, so it proves none either: set "
                   "scram-sha-256 in pg_hba.conf");
        }
        break;
    case SP_PG_AUTH_MD5:
        md5_begin(back, auth.data);
        break;
    case SP_PG_AUTH_SASL:
        scram_begin(back, auth.data);
        break;
    case SP_PG_AUTH_SASL_CONTINUE:
        scram_continue(back, auth.data);
        break;
    case SP_PG_AUTH_SASL_FINAL:
        scram_final(back, auth.data);
        break;
    case SP_PG_AUTH_CLEARTEXT:
        failed(back, bad_login,
               "the database server wants the password in clear: set scram-sha-256 in pg_hba.conf");
        break;
    default:
        failed(back, bad_login, "the database server offers no log-in that the gate knows");
        break;
    }
}

static void on_error(db_back *back, sp_span body)
{
    sp_pg_error error;
    char why[320];
    char sqlstate[6] = "08006";
    if (sp_failed(sp_pg_error_read(body, &error)) || error.sqlstate.len != 5) {
        failed(back, "08P01", "the database server sent a malformed message");
        return;
    }
    sp_span text = sp_span_slice(error.message, 0, 200);
    sp_copy(sqlstate, error.sqlstate.ptr, 5);
    snprintf(why, sizeof(why), "the database server refuses the gate's log-in: %.*s",
             SP_SPAN_ARG(text));
    failed(back, sqlstate, why);
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
            failed(back, "08P01", "the database server sent a malformed message");
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
        failed(back, "08P01", "the database server sent a message that does not belong there");
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
        failed(back, "08P01", "the database server sent a malformed message");
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
        failed(back, "08P01", "the database server sent a message that does not belong there");
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
        failed(back, "08006", "the database server closed the connection during log-in");
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
        say(back, &out);
        db_back_close(back); /* the server answers nothing */
        return;
    }
    back->state = DB_BACK_AUTH;
    say(back, &back->login->startup);
}

static void begin_tls(db_back *back)
{
    SSL_CTX *ctx = NULL;
    sp_err err = db_tls_back((sp_database_tls)back->tls, back->login->ca, &ctx);
    if (sp_failed(err)) {
        failed(back, unreachable, "the CA file of this resource cannot be read by the gate");
        return;
    }
    back->state = DB_BACK_TLS;
    err = db_stream_connect_tls(&back->stream, ctx, back->login->host,
                                back->tls == SP_DATABASE_TLS_VERIFY_FULL);
    if (sp_failed(err) && err.code != SP_EAGAIN) {
        failed(back, unreachable, "TLS with the database server cannot be begun");
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
        failed(back, unreachable, why);
        return;
    }
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
        failed(back, unreachable,
               sp_failed(err) ? "the database server closed the connection"
                              : "the database server does not speak TLS, which the resource asks "
                                "for");
        return;
    }
    begin_tls(back);
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
        failed(back, unreachable, why);
        return;
    }
    if (back->tls == SP_DATABASE_TLS_LOOPBACK) {
        say_hello(back);
        return;
    }
    auto_buf sp_buf out = sp_buf_make(16);
    sp_pg_ssl_request_write(&out);
    back->state = DB_BACK_SSL_ASKED;
    say(back, &out);
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
        failed(back, unreachable, "the connection to the database server broke during log-in");
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
    return write_startup(login, ask);
}

static void on_found(sp_resolve_wait *wait, sp_err err, const sp_dial_address *address)
{
    db_back *back = BACK_OF(wait, resolving);
    if (sp_failed(err)) {
        failed(back, unreachable, "the database server's name cannot be looked up");
        return;
    }
    back->address = *address;
    if (sp_failed(connect_to(back))) {
        failed(back, unreachable, "the database server cannot be reached");
    }
}

static sp_err find_and_connect(db_back *back, uint16_t port)
{
    back->resolving = (sp_resolve_wait){.on_found = on_found};
    sp_err err = sp_resolve(back->login->host, port, &back->resolving, &back->address);
    return sp_failed(err) ? (err.code == SP_EAGAIN ? sp_ok() : err) : connect_to(back);
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
        err = sp_timer_set(db_here.loop, &back->timer, LOGIN_US);
    }
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

void db_back_cancel(const db_back *back)
{
    db_back *other = NULL;
    if (back->state != DB_BACK_READY || sp_failed(sp_alloc(1, sizeof(*other), &other))) {
        return;
    }
    other->is_cancel = true;
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

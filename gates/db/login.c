/* SPDX-License-Identifier: Apache-2.0
 * Logging in: core answers, the gate relays. A worker holds no verifier of any password.
 * OWNS nothing. PROCESS db gate workers. TRUST SASL messages are hostile and go on unread.
 * SPEC lib/proto/db_msg.h; PostgreSQL 15 manual, 55.3.
 */
#include "gates/db/db.h"
#include "gates/db/tls.h"
#include "lib/proto/db_msg.h"

#include <openssl/x509.h>

static void denied(db_session *session, const char *what, const char *hint)
{
    db_refusal refusal;
    db_refuse(&refusal, "28P01", SP_REASON_NO_SESSION, "%s", what);
    SP_IGNORE(sp_fit(refusal.hint, sizeof(refusal.hint), sp_span_cstr(hint))); /* literals */
    db_session_fail(session, &refusal);
}

static void not_now(db_session *session)
{
    db_refusal refusal;
    db_refuse(&refusal, "57P03", SP_REASON_UNAVAILABLE,
              "log-ins cannot be answered now: the gate does not reach core");
    db_session_fail(session, &refusal);
}

static void admitted(db_session *session, const sp_db_session *live)
{
    session->live_slot = live->slot;
    session->live_id = live->id;
    session->at = DB_AT_JUDGE;
    db_session_known(session);
    db_open_go_on(session);
}

/* ---- SASL ---- */

static void offer_sasl(db_session *session)
{
    auto_buf sp_buf out = sp_buf_make(256);
    bool bound = session->front.ssl != NULL;
    sp_pg_auth_write(&out, SP_PG_AUTH_SASL,
                     bound ? SP_SPAN_LIT("SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0")
                           : SP_SPAN_LIT("SCRAM-SHA-256\0\0")); /* an empty name ends them */
    session->at = DB_AT_SASL;
    if (sp_failed(db_stream_send(&session->front, sp_buf_borrow(&out)))) {
        db_session_drop(session);
    }
}

static void on_step(void *self, sp_err err, const sp_msg *msg, sp_fds *fds)
{
    db_session *session = self;
    (void)fds;
    session->login->call = 0;
    sp_db_sasl_step step;
    if (msg == NULL) {
        not_now(session);
        return;
    }
    if (!sp_failed(err)) {
        err = sp_db_sasl_step_read(msg->body, &step);
    }
    if (sp_failed(err)) {
        denied(session, "the log-in failed",
               "Get a fresh password: sallyport db token, or the portal.");
        return;
    }
    auto_buf sp_buf out = sp_buf_make(SP_PG_SASL_MAX_BYTES);
    sp_pg_auth_write(&out, step.done != 0 ? SP_PG_AUTH_SASL_FINAL : SP_PG_AUTH_SASL_CONTINUE,
                     step.data);
    if (sp_failed(sp_buf_error(&out)) ||
        sp_failed(db_stream_send(&session->front, sp_buf_borrow(&out)))) {
        db_session_drop(session);
        return;
    }
    if (step.done != 0) {
        admitted(session, &step.session);
        return;
    }
    session->at = DB_AT_SASL;
}

static void write_sasl(const db_session *session, sp_span data, sp_buf *body)
{
    const db_login *login = session->login;
    sp_db_sasl sasl = {.conversation = login->conversation,
                       .mechanism = login->mechanism,
                       .over_tls = session->front.ssl != NULL ? 1 : 0,
                       .end_point = session->front.ssl != NULL ? db_tls_end_point() : SP_SPAN_EMPTY,
                       .user = sp_span_cstr(login->user),
                       .resource = sp_span_cstr(login->resource),
                       .database = sp_span_cstr(login->database),
                       .data = data};
    sp_copy(sasl.peer, session->who.peer, sizeof(sasl.peer));
    if (session->has_certificate) {
        sp_copy(sasl.fingerprint.bytes, session->fingerprint.bytes, SP_SHA256_BYTES);
    }
    sp_db_sasl_write(&sasl, body);
}

void db_login_give_up(const db_session *session)
{
    auto_buf sp_buf body = sp_buf_make(SP_DB_SASL_MAX_BYTES * 2);
    if (session->login == NULL || !session->login->sasl_begun || session->live_id != 0) {
        return;
    }
    write_sasl(session, SP_SPAN_EMPTY, &body);
    if (!sp_failed(sp_buf_error(&body))) { /* if it does not arrive, core forgets it in a minute */
        (void)sp_link_tell(&db_here.office.link, SP_CORE_DB_SASL, sp_buf_borrow(&body));
    }
}

static void relay(db_session *session, sp_span data)
{
    auto_buf sp_buf body = sp_buf_make(SP_DB_SASL_MAX_BYTES * 2);
    write_sasl(session, data, &body);
    if (sp_failed(sp_buf_error(&body))) {
        denied(session, "the log-in failed", "");
        return;
    }
    session->at = DB_AT_CORE;
    session->login->call = sp_link_call(&db_here.office.link, SP_CORE_DB_SASL, sp_buf_borrow(&body),
                                        NULL, 0, on_step, session);
    if (session->login->call == 0) {
        not_now(session);
    }
}

static bool choose_mechanism(db_session *session, sp_span name)
{
    if (sp_span_eq(name, SP_SPAN_LIT("SCRAM-SHA-256"))) {
        session->login->mechanism = SP_DB_SCRAM_SHA_256;
        return true;
    }
    session->login->mechanism = SP_DB_SCRAM_SHA_256_PLUS;
    return session->front.ssl != NULL && sp_span_eq(name, SP_SPAN_LIT("SCRAM-SHA-256-PLUS"));
}

void db_login_message(db_session *session, const sp_pg_msg *msg)
{
    if (session->login->sasl_begun) {
        relay(session, msg->body);
        return;
    }
    sp_pg_sasl_initial initial;
    if (sp_failed(sp_pg_sasl_initial_read(msg->body, &initial)) || !initial.has_data ||
        !choose_mechanism(session, initial.mechanism)) {
        denied(session, "the client chose a way to log in that the gate does not offer", "");
        return;
    }
    session->login->sasl_begun = true;
    session->login->conversation = ++db_here.conversations;
    relay(session, initial.data);
}

/* ---- certificates ---- */

static void on_certified(void *self, sp_err err, const sp_msg *msg, sp_fds *fds)
{
    db_session *session = self;
    (void)fds;
    session->login->call = 0;
    sp_db_session live;
    if (msg == NULL) {
        not_now(session);
    } else if (!sp_failed(err) && !sp_failed(sp_db_session_read(msg->body, &live))) {
        admitted(session, &live);
    } else {
        offer_sasl(session); /* no session on that device: a password will do */
    }
}

static bool find_certificate(db_session *session)
{
    SSL *ssl = session->front.ssl;
    X509 *certificate = ssl == NULL ? NULL : SSL_get0_peer_certificate(ssl);
    if (certificate == NULL || SSL_get_verify_result(ssl) != X509_V_OK) {
        return false;
    }
    unsigned char *der = NULL;
    int len = i2d_X509(certificate, &der);
    session->has_certificate = len > 0;
    if (len > 0) {
        session->fingerprint = sp_sha256(sp_span_of(der, (size_t)len));
    }
    OPENSSL_free(der);
    return session->has_certificate;
}

void db_login_begin(db_session *session)
{
    const db_login *login = session->login;
    if (!find_certificate(session)) {
        offer_sasl(session);
        return;
    }
    auto_buf sp_buf body = sp_buf_make(1024);
    sp_db_cert cert = {.user = sp_span_cstr(login->user),
                       .resource = sp_span_cstr(login->resource),
                       .database = sp_span_cstr(login->database)};
    sp_copy(cert.peer, session->who.peer, sizeof(cert.peer));
    sp_copy(cert.fingerprint.bytes, session->fingerprint.bytes, SP_SHA256_BYTES);
    sp_db_cert_write(&cert, &body);
    session->at = DB_AT_CORE;
    session->login->call = sp_failed(sp_buf_error(&body))
                               ? 0
                               : sp_link_call(&db_here.office.link, SP_CORE_DB_CERT,
                                              sp_buf_borrow(&body), NULL, 0, on_certified, session);
    if (session->login->call == 0) {
        not_now(session);
    }
}

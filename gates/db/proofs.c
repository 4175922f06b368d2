/* SPDX-License-Identifier: Apache-2.0
 * What a log-in at a database server needs the vault for: proofs of passwords, and certificates.
 * OWNS nothing. PROCESS db gate workers. TRUST the server's bytes are bounded and checked; neither
 * password nor key is ever here. SPEC RFC 5802, RFC 7677, gates/db/back_inside.h.
 */
#include "gates/db/back_inside.h"
#include "gates/db/db.h"
#include "infra/crypto/random.h"
#include "infra/proc/log.h"

enum { NONCE_BYTES = 18 };

static const char bad_login[] = DB_BACK_BAD_LOGIN;

/* ---- proofs ---- */

static void md5_answer(db_back *back, const sp_vault_db_proved *proved)
{
    auto_buf sp_buf out = sp_buf_make(256);
    auto_buf sp_buf text = sp_buf_make(128);
    sp_buf_span(&text, proved->proof);
    sp_buf_u8(&text, 0);
    sp_pg_password_write(&out, sp_buf_borrow(&text));
    back->state = DB_BACK_AUTH;
    db_back_say(back, &out);
}

static void scram_answer(db_back *back, const sp_vault_db_proved *proved)
{
    if (proved->server.len != DB_BACK_SIGNATURE_BYTES) {
        db_back_failed(back, bad_login, "the vault's proof for the database account is malformed");
        return;
    }
    sp_copy(back->login->signature, proved->server.ptr, DB_BACK_SIGNATURE_BYTES);
    auto_buf sp_buf out = sp_buf_make(SP_PG_SASL_MAX_BYTES);
    auto_buf sp_buf text = sp_buf_make(SP_PG_SASL_MAX_BYTES);
    sp_buf_span(&text, sp_buf_borrow(&back->login->final_bare));
    sp_buf_text(&text, ",p=");
    sp_buf_base64(&text, proved->proof);
    sp_pg_password_write(&out, sp_buf_borrow(&text));
    back->state = DB_BACK_FINAL;
    db_back_say(back, &out);
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
        db_back_failed(back, bad_login,
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
        db_back_failed(back, bad_login, "the vault does not answer for the database account");
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
    if (back->tls == SP_DATABASE_TLS_REQUIRE) { /* nothing else says who is at the other end */
        db_back_failed(
            back, bad_login,
            "the database server does not bind its log-in to the TLS connection, so somebody may "
            "stand between: set ssl = on at the server itself, or tls: verify-full");
        return NULL;
    }
    sp_buf_text(binding, can ? "y,," : "n,,");
    return has_mechanism(mechanisms, sp_span_cstr(plain)) ? plain : NULL;
}

void db_back_scram_begin(db_back *back, sp_span mechanisms)
{
    db_back_login *login = back->login;
    const char *mechanism = login->first_bare.len > 0 ? NULL : choose_mechanism(back, mechanisms);
    if (mechanism == NULL) { /* the first reason stands */
        db_back_failed(back, bad_login, "the database server offers no log-in that the gate knows");
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
    db_back_say(back, &out);
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

void db_back_scram_continue(db_back *back, sp_span server_first)
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
        db_back_failed(back, bad_login, "the database server's SCRAM message is malformed");
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
        db_back_failed(back, bad_login, "the database server's SCRAM message is too long");
        return;
    }
    ask_proof(back, &(sp_vault_db_proof){.method = SP_VAULT_DB_SCRAM,
                                         .name = sp_span_cstr(login->credential),
                                         .salt = sp_buf_borrow(&salt),
                                         .iterations = (uint32_t)iterations,
                                         .auth_message = sp_buf_borrow(&message)});
}

void db_back_scram_final(db_back *back, sp_span text)
{
    sp_span value;
    auto_buf sp_buf signature = sp_buf_make(64);
    bool good =
        back->state == DB_BACK_FINAL && attribute(text, 'v', &value) &&
        !sp_failed(sp_buf_unbase64(&signature, value)) &&
        sp_span_eq_secret(sp_buf_borrow(&signature),
                          sp_span_of(back->login->signature, sizeof(back->login->signature)));
    if (!good) {
        db_back_failed(back, bad_login,
                       "the database server does not know the account's password itself");
        return;
    }
    back->login->proven = true;
    back->state = DB_BACK_AUTH;
}

/* ---- MD5 ---- */

/* With MD5 the server proves nothing, and whoever stands between passes the answer on: only where
 * TLS says who it is, or nobody can stand. */
void db_back_md5_begin(db_back *back, sp_span salt)
{
    if (salt.len != SP_VAULT_MD5_SALT_BYTES || back->state != DB_BACK_AUTH ||
        back->login->first_bare.len > 0) {
        db_back_failed(back, "08P01", "the database server sent a malformed message");
    } else if (back->tls == SP_DATABASE_TLS_REQUIRE) {
        db_back_failed(
            back, bad_login,
            "the database server wants MD5, which does not prove who it is: set scram-sha-256 "
            "in pg_hba.conf, or tls: verify-full");
    } else {
        back->login->proven = true;
        ask_proof(back, &(sp_vault_db_proof){.method = SP_VAULT_DB_MD5,
                                             .name = sp_span_cstr(back->login->credential),
                                             .salt = salt});
    }
}

/* ---- certificates ---- */

static void on_certificate(void *self, sp_err err, const sp_msg *msg, sp_fds *fds)
{
    db_back *back = self;
    db_back_login *login = back->login;
    (void)fds;
    login->call = 0;
    if (!sp_failed(err)) {
        err = db_tls_own_make(msg->body, sp_span_cstr(login->credential), &login->own);
    }
    if (sp_failed(err)) {
        sp_log(SP_LOG_WARN, "the vault gives no certificate for %s (%s)", login->credential,
               sp_code_word(err.code));
        db_back_failed(back, bad_login,
                       err.code == SP_ENOTFOUND
                           ? "the vault has no key for this resource's database account"
                           : "the vault does not answer for the database account");
        return;
    }
    db_back_begin_tls(back);
}

void db_back_ask_certificate(db_back *back)
{
    back->state = DB_BACK_CERTIFICATE;
    back->login->call =
        sp_link_call(&db_here.vault, SP_VAULT_DB_CERTIFICATE, sp_span_cstr(back->login->credential),
                     NULL, 0, on_certificate, back);
    if (back->login->call == 0) {
        db_back_failed(back, bad_login, "the vault does not answer for the database account");
    }
}

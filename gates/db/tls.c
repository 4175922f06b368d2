/* SPDX-License-Identifier: Apache-2.0
 * TLS contexts.
 * OWNS the contexts. PROCESS db gate workers. TRUST what the vault sends is checked.
 * SPEC gates/db/tls.h.
 */
#include "gates/db/tls.h"

#include "gates/db/db.h"
#include "infra/proc/log.h"
#include "infra/tls/engine.h"
#include "lib/proto/vault_msg.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

enum { BACKS_MAX = 32, PATH_BYTES = 256, AGAIN_US = 60000000 };

static SSL_CTX *front;
static X509 *device_ca;
static sp_hash front_hash; /* of the chain in use */
static uint8_t end_point[EVP_MAX_MD_SIZE];
static unsigned end_point_len;

/* "postgresql": the only protocol that direct TLS may ask for (PostgreSQL 17). */
static const unsigned char alpn[] = "\x0apostgresql";

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned in_len, void *self)
{
    (void)ssl;
    (void)self;
    unsigned char *chosen = NULL;
    if (SSL_select_next_proto(&chosen, out_len, alpn, sizeof(alpn) - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* A client without a certificate, or with one that does not verify, is one without a device. */
static int accept_any(int good, X509_STORE_CTX *store)
{
    (void)good;
    (void)store;
    return 1;
}

static SSL_CTX *new_ctx(const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (ctx == NULL) {
        return NULL;
    }
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE);
    SSL_CTX_clear_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ctx, 0);
    return ctx;
}

/* RFC 5929: the digest of the certificate's signature, but SHA-256 for MD5 and SHA-1. NULL: it
 * names none. */
static const EVP_MD *end_point_digest(const X509 *certificate)
{
    int digest_nid = NID_undef;
    OBJ_find_sigid_algs(X509_get_signature_nid(certificate), &digest_nid, NULL);
    const EVP_MD *digest = EVP_get_digestbynid(digest_nid);
    bool weak = digest != NULL && EVP_MD_get_size(digest) < SP_SHA256_BYTES;
    return weak ? EVP_sha256() : digest;
}

bool db_tls_end_point_of(SSL *ssl, sp_buf *out)
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    const EVP_MD *digest = certificate == NULL ? NULL : end_point_digest(certificate);
    bool good = digest != NULL && X509_digest(certificate, digest, hash, &len) == 1;
    sp_buf_span(out, sp_span_of(hash, good ? len : 0));
    ERR_clear_error();
    return good;
}

static bool use_chain(SSL_CTX *ctx, sp_span pem)
{
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    X509 *leaf = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);
    bool good = leaf != NULL && SSL_CTX_use_certificate(ctx, leaf) == 1;
    while (good) {
        X509 *more = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (more == NULL) {
            break;
        }
        good = SSL_CTX_add0_chain_cert(ctx, more) == 1;
        if (!good) {
            X509_free(more);
        }
    }
    if (good) {
        const EVP_MD *digest = end_point_digest(leaf);
        good = X509_digest(leaf, digest == NULL ? EVP_sha256() : digest, end_point,
                           &end_point_len) == 1;
    }
    X509_free(leaf);
    BIO_free(bio);
    ERR_clear_error();
    return good;
}

static sp_err load_key(sp_span key_name, EVP_PKEY **ret_key)
{
    char name[SP_VAULT_KEY_NAME_MAX_BYTES + 1];
    TRY(sp_fit(name, sizeof(name), key_name));
    return sp_tls_engine_key(name, ret_key);
}

static bool use_key(SSL_CTX *ctx, sp_span key_name)
{
    EVP_PKEY *key = NULL;
    if (sp_failed(load_key(key_name, &key))) {
        return false;
    }
    bool good = SSL_CTX_use_PrivateKey(ctx, key) == 1;
    EVP_PKEY_free(key);
    ERR_clear_error();
    return good;
}

static void use_devices(SSL_CTX *ctx)
{
    if (device_ca != NULL && X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), device_ca) == 1 &&
        SSL_CTX_add_client_CA(ctx, device_ca) == 1) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, accept_any);
    }
    ERR_clear_error();
}

static void on_identity(void *self, sp_err err, const sp_msg *msg, sp_fds *fds)
{
    (void)self;
    (void)fds;
    sp_vault_tls_identity identity;
    if (!sp_failed(err)) {
        err = sp_vault_tls_identity_decode(msg->body, &identity);
    }
    if (sp_failed(err)) {
        sp_log(SP_LOG_WARN, "the vault gave no certificate to show (%s)", sp_code_word(err.code));
        return;
    }
    sp_hash hash = sp_sha256(identity.chain);
    if (front != NULL && sp_hash_eq(&hash, &front_hash)) {
        return;
    }
    SSL_CTX *fresh = new_ctx(TLS_server_method());
    if (fresh == NULL || !use_chain(fresh, identity.chain) || !use_key(fresh, identity.key_name)) {
        sp_log(SP_LOG_ERROR, "the certificate of the vault cannot be shown to clients");
        SSL_CTX_free(fresh);
        return;
    }
    SSL_CTX_set_alpn_select_cb(fresh, choose_protocol, NULL);
    use_devices(fresh);
    SSL_CTX_free(front); /* connections hold their own */
    front = fresh;
    front_hash = hash;
}

static void on_ca(void *self, sp_err err, const sp_msg *msg, sp_fds *fds)
{
    (void)self;
    (void)fds;
    if (!sp_failed(err) && device_ca == NULL) {
        const unsigned char *at = msg->body.ptr;
        device_ca = d2i_X509(NULL, &at, (long)msg->body.len);
        if (device_ca != NULL && front != NULL) {
            use_devices(front);
        }
    }
    ERR_clear_error();
}

void db_tls_ask(void)
{
    auto_buf sp_buf body = sp_buf_make(16);
    sp_vault_ca_encode(SP_VAULT_CA_DEVICE, &body);
    (void)sp_link_call(&db_here.vault, SP_VAULT_CA, sp_buf_borrow(&body), NULL, 0, on_ca, NULL);
    (void)sp_link_call(&db_here.vault, SP_VAULT_TLS_IDENTITY, SP_SPAN_EMPTY, NULL, 0, on_identity,
                       NULL);
}

SSL_CTX *db_tls_front(void)
{
    return front;
}

sp_span db_tls_end_point(void)
{
    return sp_span_of(end_point, end_point_len);
}

/* ---- towards databases ---- */

static sp_err make_back(sp_database_tls how, const char *ca, SSL_CTX **ret_ctx)
{
    SSL_CTX *ctx = new_ctx(TLS_client_method());
    if (ctx == NULL) {
        return sp_fail(SP_ENOMEM);
    }
    bool good = true;
    if (how != SP_DATABASE_TLS_REQUIRE) {
        good = ca[0] == '\0' ? SSL_CTX_set_default_verify_paths(ctx) == 1
                             : SSL_CTX_load_verify_file(ctx, ca) == 1;
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    }
    ERR_clear_error();
    if (!good) {
        sp_log(SP_LOG_ERROR, "%s cannot be read, or holds no certificate", ca);
        SSL_CTX_free(ctx);
        return sp_fail(SP_EIO);
    }
    *ret_ctx = ctx;
    return sp_ok();
}

sp_err db_tls_back(sp_database_tls how, const char *ca, SSL_CTX **ret_ctx)
{
    static struct {
        SSL_CTX *ctx;
        sp_database_tls how;
        char ca[PATH_BYTES];
        uint64_t until_us; /* the file may be another one by then */
    } known[BACKS_MAX];
    static size_t oldest;
    uint64_t now_us = sp_loop_now_us(db_here.loop);
    size_t at = 0;
    while (at < BACKS_MAX &&
           (known[at].ctx == NULL || known[at].how != how || strcmp(known[at].ca, ca) != 0)) {
        at++;
    }
    if (at < BACKS_MAX && now_us < known[at].until_us) {
        *ret_ctx = known[at].ctx;
        return sp_ok();
    }
    SSL_CTX *fresh = NULL;
    TRY(make_back(how, ca, &fresh));
    if (at == BACKS_MAX) {
        at = oldest++ % BACKS_MAX;
    }
    SSL_CTX_free(known[at].ctx);
    known[at].ctx = fresh;
    known[at].how = how;
    known[at].until_us = now_us + AGAIN_US;
    SP_IGNORE(sp_fit(known[at].ca, PATH_BYTES, sp_span_cstr(ca))); /* as long as it was above */
    *ret_ctx = fresh;
    return sp_ok();
}

sp_err db_tls_own_make(sp_span der, sp_span credential, db_tls_own *ret_own)
{
    auto_buf sp_buf name = sp_buf_make(SP_VAULT_KEY_NAME_MAX_BYTES);
    const unsigned char *at = der.ptr;
    db_tls_own own = {0};
    sp_buf_text(&name, SP_VAULT_DB_KEY_PREFIX);
    sp_buf_span(&name, credential);
    TRY(sp_buf_error(&name));
    TRY(sp_fit(own.key_name, sizeof(own.key_name), sp_buf_borrow(&name)));
    own.certificate = d2i_X509(NULL, &at, (long)der.len);
    ERR_clear_error();
    if (own.certificate == NULL) {
        return sp_fail(SP_EINVALID);
    }
    *ret_own = own;
    return sp_ok();
}

void db_tls_own_done(db_tls_own *own)
{
    X509_free(own->certificate);
    own->certificate = NULL;
}

/* The server asks for a certificate. */
static int show(SSL *ssl, void *self)
{
    db_tls_own *own = self;
    EVP_PKEY *key = NULL;
    if (own->asked || sp_failed(load_key(sp_span_cstr(own->key_name), &key))) {
        return own->asked ? 1 : 0;
    }
    own->asked =
        SSL_use_certificate(ssl, own->certificate) == 1 && SSL_use_PrivateKey(ssl, key) == 1;
    EVP_PKEY_free(key);
    return own->asked ? 1 : 0;
}

void db_tls_show(SSL *ssl, db_tls_own *own)
{
    SSL_set_cert_cb(ssl, own == NULL ? NULL : show, own);
}

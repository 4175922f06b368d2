/* SPDX-License-Identifier: Apache-2.0
 * The engine: keys whose signatures come from the vault.
 * OWNS one connection a process. PROCESS web (nginx), gate workers. TRUST see engine.h.
 * SPEC infra/tls/engine.h.
 *
 * EC keys sign through an EC_KEY_METHOD, RSA keys through an EVP_PKEY_METHOD, because only there
 * digest and padding are still apart: the vault is never asked for a bare RSA operation.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* nginx 1.22 knows engines, not providers, and one is enough  \
                                     */
#include "infra/tls/engine.h"

#include "infra/ipc/conn.h"
#include "infra/proc/clock.h"
#include "lib/proto/vault_msg.h"

#include <openssl/ec.h>
#include <openssl/engine.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <unistd.h>

enum {
    LOAD_MS = 5000, /* reading the configuration may wait */
    SIGN_MS =
        1000, /* a handshake may hold the worker so long: a crowded machine is not a dead vault */
    RETRY_MS = 100,  /* ... and so long after one that failed */
    REST_MS = 250,   /* no try at all in between */
    PATH_BYTES = 108 /* sun_path */
};

static struct {
    char path[PATH_BYTES];
    int fd;
    pid_t pid; /* whose connection it is: not of a child */
    uint64_t rest_until_us;
    bool failing;
    ENGINE *engine;
    EC_KEY_METHOD *ec;
    EVP_PKEY_METHOD *rsa;
    int ec_name; /* ex_data slots of the key's name */
    int rsa_name;
    EC_KEY_METHOD *pem_ec; /* of keys that were read as PEM: no name hangs on them */
    char pem_name[SP_VAULT_NAME_MAX_BYTES + 1];
} state = {.fd = -1};

/* ---- asking ---- */

static void hang_up(void)
{
    if (state.fd >= 0) {
        close(state.fd);
        state.fd = -1;
    }
}

static sp_err ask_once(uint16_t kind, sp_span body, unsigned timeout_ms, sp_buf *reply)
{
    if (state.fd < 0) {
        TRY(sp_ipc_connect(state.path, &state.fd));
        state.pid = getpid();
    }
    return sp_ipc_call(state.fd, kind, body, timeout_ms, reply, NULL);
}

/* The connection's own trouble, as against an answer. */
static bool is_broken(sp_err err)
{
    return err.code == SP_ECLOSED || err.code == SP_EIO || err.code == SP_ENOMEM;
}

static sp_err ask(uint16_t kind, sp_span body, unsigned timeout_ms, sp_buf *reply)
{
    if (state.pid != getpid()) {
        hang_up();
    }
    sp_err err = ask_once(kind, body, timeout_ms, reply);
    if (is_broken(err)) { /* the vault was restarted: its socket is there, ask the new one */
        hang_up();
        err = ask_once(kind, body, timeout_ms, reply);
    }
    if (is_broken(err) || err.code == SP_ETIMEOUT) {
        hang_up(); /* a late answer must not be taken for the next one's */
    }
    return err;
}

static sp_err ask_to_sign(const char *key_name, uint16_t scheme, sp_span digest, sp_buf *signature)
{
    uint64_t now_us = sp_now_steady_us();
    if (now_us < state.rest_until_us) {
        return sp_fail(SP_EAGAIN);
    }
    auto_buf sp_buf body =
        sp_buf_make(SP_VAULT_KEY_NAME_MAX_BYTES + SP_VAULT_DIGEST_MAX_BYTES + 16);
    sp_vault_tls_sign question = {
        .key_name = sp_span_cstr(key_name), .scheme = scheme, .digest = digest};
    sp_vault_tls_sign_encode(&question, &body);
    TRY(sp_buf_error(&body));
    sp_err err =
        ask(SP_VAULT_TLS_SIGN, sp_buf_borrow(&body), state.failing ? RETRY_MS : SIGN_MS, signature);
    state.failing = is_broken(err) || err.code == SP_ETIMEOUT || err.code == SP_ENOTFOUND;
    state.rest_until_us = state.failing ? sp_now_steady_us() + REST_MS * 1000 : 0;
    return err;
}

/* ---- the name that a key carries ---- */

static void free_name(void *key, void *name, CRYPTO_EX_DATA *data, int at, long argl, void *argp)
{
    (void)key;
    (void)data;
    (void)at;
    (void)argl;
    (void)argp;
    OPENSSL_free(name);
}

static int copy_name(CRYPTO_EX_DATA *to, const CRYPTO_EX_DATA *from, void **name, int at, long argl,
                     void *argp)
{
    (void)to;
    (void)from;
    (void)at;
    (void)argl;
    (void)argp;
    *name = *name == NULL ? NULL : OPENSSL_strdup(*name);
    return 1;
}

/* EC and RSA keys have set_ex_data calls of the same form. */
#define keep_name(key, set_ex_data, slot, name)                                                    \
    __extension__({                                                                                \
        char *kept_ = OPENSSL_strdup(name);                                                        \
        bool good_ = kept_ != NULL && set_ex_data(key, slot, kept_) == 1;                          \
        if (!good_) {                                                                              \
            OPENSSL_free(kept_);                                                                   \
        }                                                                                          \
        good_;                                                                                     \
    })

/* ---- EC ---- */

static uint16_t ecdsa_scheme(int digest_len)
{
    if (digest_len == 32) {
        return SP_TLS_ECDSA_SHA256;
    }
    if (digest_len == 48) {
        return SP_TLS_ECDSA_SHA384;
    }
    return digest_len == 64 ? SP_TLS_ECDSA_SHA512 : 0;
}

static int ec_sign_as(const char *name, const unsigned char *digest, int digest_len,
                      unsigned char *to, unsigned int *ret_len, EC_KEY *key)
{
    int room = ECDSA_size(key);
    auto_buf sp_buf signature = sp_buf_make(SP_VAULT_NOTE_MAX_BYTES);
    if (name == NULL || digest_len < 0 || room <= 0 ||
        sp_failed(ask_to_sign(name, ecdsa_scheme(digest_len),
                              sp_span_of(digest, (size_t)digest_len), &signature)) ||
        signature.len > (size_t)room) {
        ERR_raise(ERR_LIB_EC, ERR_R_OPERATION_FAIL);
        return 0;
    }
    sp_copy(to, signature.ptr, signature.len);
    *ret_len = (unsigned)signature.len;
    return 1;
}

static int ec_sign(int type, const unsigned char *digest, int digest_len, unsigned char *to,
                   unsigned int *ret_len, const BIGNUM *kinv, const BIGNUM *rp, EC_KEY *key)
{
    (void)type;
    (void)kinv;
    (void)rp;
    return ec_sign_as(EC_KEY_get_ex_data(key, state.ec_name), digest, digest_len, to, ret_len, key);
}

static int pem_sign(int type, const unsigned char *digest, int digest_len, unsigned char *to,
                    unsigned int *ret_len, const BIGNUM *kinv, const BIGNUM *rp, EC_KEY *key)
{
    (void)type;
    (void)kinv;
    (void)rp;
    return ec_sign_as(state.pem_name, digest, digest_len, to, ret_len, key);
}

static EVP_PKEY *ec_key(const uint8_t *der, size_t len, const char *name)
{
    EC_KEY *ec = d2i_EC_PUBKEY(NULL, &der, (long)len);
    EVP_PKEY *key = EVP_PKEY_new();
    if (ec != NULL && key != NULL && EC_KEY_set_method(ec, state.ec) == 1 &&
        keep_name(ec, EC_KEY_set_ex_data, state.ec_name, name) &&
        EVP_PKEY_assign_EC_KEY(key, ec) == 1) {
        return key;
    }
    EC_KEY_free(ec);
    EVP_PKEY_free(key);
    return NULL;
}

/* ---- RSA ---- */

static uint16_t rsa_scheme(EVP_PKEY_CTX *ctx, size_t digest_len)
{
    const EVP_MD *hash = NULL;
    int padding = 0;
    if (EVP_PKEY_CTX_get_signature_md(ctx, &hash) != 1 || hash == NULL ||
        EVP_PKEY_CTX_get_rsa_padding(ctx, &padding) != 1 ||
        (size_t)EVP_MD_get_size(hash) != digest_len) {
        return 0;
    }
    bool pss = padding == RSA_PKCS1_PSS_PADDING;
    if (!pss && padding != RSA_PKCS1_PADDING) {
        return 0;
    }
    if (EVP_MD_is_a(hash, "SHA2-256")) {
        return pss ? SP_TLS_RSA_PSS_SHA256 : SP_TLS_RSA_PKCS1_SHA256;
    }
    if (EVP_MD_is_a(hash, "SHA2-384")) {
        return pss ? SP_TLS_RSA_PSS_SHA384 : SP_TLS_RSA_PKCS1_SHA384;
    }
    if (EVP_MD_is_a(hash, "SHA2-512")) {
        return pss ? SP_TLS_RSA_PSS_SHA512 : SP_TLS_RSA_PKCS1_SHA512;
    }
    return 0;
}

static int rsa_sign(EVP_PKEY_CTX *ctx, unsigned char *to, size_t *len, const unsigned char *digest,
                    size_t digest_len)
{
    const RSA *rsa = EVP_PKEY_get0_RSA(EVP_PKEY_CTX_get0_pkey(ctx));
    const char *name = rsa == NULL ? NULL : RSA_get_ex_data(rsa, state.rsa_name);
    if (name == NULL) {
        return 0;
    }
    size_t room = (size_t)RSA_size(rsa);
    if (to == NULL) {
        *len = room;
        return 1;
    }
    auto_buf sp_buf signature = sp_buf_make(SP_VAULT_NOTE_MAX_BYTES);
    uint16_t scheme = rsa_scheme(ctx, digest_len);
    if (scheme == 0 || *len < room ||
        sp_failed(ask_to_sign(name, scheme, sp_span_of(digest, digest_len), &signature)) ||
        signature.len != room) {
        ERR_raise(ERR_LIB_RSA, ERR_R_OPERATION_FAIL);
        return 0;
    }
    sp_copy(to, signature.ptr, signature.len);
    *len = signature.len;
    return 1;
}

static EVP_PKEY *rsa_key(const uint8_t *der, size_t len, const char *name)
{
    RSA *rsa = d2i_RSA_PUBKEY(NULL, &der, (long)len);
    EVP_PKEY *key = EVP_PKEY_new();
    if (rsa == NULL || key == NULL || !keep_name(rsa, RSA_set_ex_data, state.rsa_name, name) ||
        EVP_PKEY_assign_RSA(key, rsa) != 1) {
        RSA_free(rsa);
        EVP_PKEY_free(key);
        return NULL;
    }
    RSA_set_flags(rsa, RSA_METHOD_FLAG_NO_CHECK); /* there is no private half to check */
    if (EVP_PKEY_set1_engine(key, state.engine) != 1) {
        EVP_PKEY_free(key); /* and rsa, which it holds */
        return NULL;
    }
    return key;
}

static int rsa_methods(ENGINE *engine, EVP_PKEY_METHOD **method, const int **nids, int nid)
{
    static const int known[] = {EVP_PKEY_RSA};
    (void)engine;
    if (method == NULL) {
        *nids = known;
        return 1;
    }
    *method = nid == EVP_PKEY_RSA ? state.rsa : NULL;
    return *method != NULL;
}

/* ---- the engine ---- */

static EVP_PKEY *load_key(ENGINE *engine, const char *name, UI_METHOD *ui, void *data)
{
    (void)engine;
    (void)ui;
    (void)data;
    auto_buf sp_buf der = sp_buf_make(SP_VAULT_CERT_MAX_BYTES);
    if (sp_failed(ask(SP_VAULT_TLS_KEY, sp_span_cstr(name), LOAD_MS, &der))) {
        ERR_raise_data(ERR_LIB_ENGINE, ENGINE_R_FAILED_LOADING_PRIVATE_KEY,
                       "the vault has no key named %s, or does not answer", name);
        return NULL;
    }
    const uint8_t *at = der.ptr;
    EVP_PKEY *plain = d2i_PUBKEY(NULL, &at, (long)der.len);
    int kind = plain == NULL ? EVP_PKEY_NONE : EVP_PKEY_get_base_id(plain);
    EVP_PKEY_free(plain);
    if (kind == EVP_PKEY_EC) {
        return ec_key(der.ptr, der.len, name);
    }
    return kind == EVP_PKEY_RSA ? rsa_key(der.ptr, der.len, name) : NULL;
}

static sp_err make_methods(void)
{
    state.ec = EC_KEY_METHOD_new(EC_KEY_OpenSSL());
    state.rsa = EVP_PKEY_meth_new(EVP_PKEY_RSA, 0);
    const EVP_PKEY_METHOD *usual = EVP_PKEY_meth_find(EVP_PKEY_RSA);
    if (state.ec == NULL || state.rsa == NULL || usual == NULL) {
        return sp_fail(SP_ENOMEM);
    }
    int (*setup)(EC_KEY *, BN_CTX *, BIGNUM **, BIGNUM **) = NULL;
    EC_KEY_METHOD_get_sign(state.ec, NULL, &setup, NULL);
    EC_KEY_METHOD_set_sign(state.ec, ec_sign, setup, NULL);
    EVP_PKEY_meth_copy(state.rsa, usual);
    EVP_PKEY_meth_set_sign(state.rsa, NULL, rsa_sign);
    state.ec_name = EC_KEY_get_ex_new_index(0, NULL, NULL, copy_name, free_name);
    state.rsa_name = RSA_get_ex_new_index(0, NULL, NULL, copy_name, free_name);
    return state.ec_name < 0 || state.rsa_name < 0 ? sp_fail(SP_ENOMEM) : sp_ok();
}

sp_err sp_tls_engine_register(const char *vault_socket)
{
    TRY(sp_fit(state.path, sizeof(state.path), sp_span_cstr(vault_socket)));
    if (state.engine != NULL) {
        return sp_ok();
    }
    TRY(make_methods());
    ENGINE *engine = ENGINE_new();
    if (engine == NULL || ENGINE_set_id(engine, "sallyport") != 1 ||
        ENGINE_set_name(engine, "Sallyport: keys that stay in the vault") != 1 ||
        ENGINE_set_flags(engine, ENGINE_FLAGS_NO_REGISTER_ALL) != 1 || /* for our keys only */
        ENGINE_set_pkey_meths(engine, rsa_methods) != 1 ||
        ENGINE_set_load_privkey_function(engine, load_key) != 1 || ENGINE_add(engine) != 1) {
        ENGINE_free(engine);
        ERR_clear_error();
        return sp_fail(SP_EIO);
    }
    /* nginx looks it up by its name and loads keys without taking a functional reference. */
    state.engine = engine;
    return ENGINE_init(engine) == 1 ? sp_ok() : sp_fail(SP_EIO);
}

sp_err sp_tls_engine_key(const char *name, sp_tls_key **ret_key)
{
    EVP_PKEY *key = load_key(state.engine, name, NULL, NULL);
    if (key == NULL) {
        ERR_clear_error();
        return sp_fail(SP_ENOTFOUND);
    }
    *ret_key = key;
    return sp_ok();
}

/* ---- keys as PEM ---- */

static sp_err make_pem_method(void)
{
    int (*setup)(EC_KEY *, BN_CTX *, BIGNUM **, BIGNUM **) = NULL;
    if (state.pem_ec != NULL) {
        return sp_ok();
    }
    state.pem_ec = EC_KEY_METHOD_new(EC_KEY_OpenSSL());
    if (state.pem_ec == NULL) {
        return sp_fail(SP_ENOMEM);
    }
    EC_KEY_METHOD_get_sign(state.pem_ec, NULL, &setup, NULL);
    EC_KEY_METHOD_set_sign(state.pem_ec, pem_sign, setup, NULL);
    return sp_ok();
}

/* The number 1 stands where the private key would: whoever signs with it signs nothing. */
static sp_err write_pem(EC_KEY *key, sp_buf *pem)
{
    BIO *out = BIO_new(BIO_s_mem());
    char *text = NULL;
    bool well = key != NULL && out != NULL && EC_KEY_set_private_key(key, BN_value_one()) == 1 &&
                PEM_write_bio_ECPrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1;
    long len = well ? BIO_get_mem_data(out, &text) : 0;
    sp_buf_span(pem, sp_span_of(text, len > 0 ? (size_t)len : 0));
    BIO_free(out);
    return well ? sp_buf_error(pem) : sp_fail(SP_EIO);
}

sp_err sp_tls_engine_pem_begin(const char *name, sp_buf *pem)
{
    auto_buf sp_buf der = sp_buf_make(SP_VAULT_CERT_MAX_BYTES);
    TRY(make_pem_method());
    TRY(sp_fit(state.pem_name, sizeof(state.pem_name), sp_span_cstr(name)));
    TRY(ask(SP_VAULT_TLS_KEY, sp_span_cstr(name), LOAD_MS, &der));
    const uint8_t *at = der.ptr;
    EC_KEY *key = d2i_EC_PUBKEY(NULL, &at, (long)der.len);
    sp_err err = write_pem(key, pem);
    EC_KEY_free(key);
    ERR_clear_error();
    TRY(err);
    EC_KEY_set_default_method(state.pem_ec);
    return sp_ok();
}

void sp_tls_engine_pem_end(void)
{
    EC_KEY_set_default_method(NULL);
}

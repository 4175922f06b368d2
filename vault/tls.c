/* SPDX-License-Identifier: Apache-2.0
 * The server's TLS identity.
 * OWNS keys read from files. PROCESS vault. TRUST requests come from the web role, which may have
 * been taken over: it can have handshakes signed, one digest at a time, and nothing else.
 * SPEC vault/tls.h.
 */
#include "vault/tls.h"

#include "infra/crypto/x509.h"
#include "infra/proc/file.h"
#include "vault/device_ca.h"
#include "vault/ssh.h"

#include <sys/stat.h>

enum {
    CA_LIFE_S = 3650 * 86400,
    OWN_LIFE_S = 14 * 86400,
    FILE_KEYS_MAX = 4, /* the one in use and those before it */
    NAME_BYTES = SP_VAULT_NAME_MAX_BYTES + 1,
    FINGERPRINT_DIGITS = 16,
    DNS_MAX_BYTES = 256
};

static const sp_span CA_NAME = {(const uint8_t *)"office-ca", 9};
static const sp_span OWN_PREFIX = {(const uint8_t *)"tls.own.", 8};

typedef struct {
    char name[NAME_BYTES];
    sp_pkey *key;
} file_key;

struct sp_tls {
    const sp_config *config;
    sp_keyring *ring;
    sp_buf chain; /* PEM of what is served now */
    char name[NAME_BYTES];
    uint64_t not_after_unix_s;
    /* from files */
    file_key keys[FILE_KEYS_MAX]; /* the newest first */
    struct timespec read_certificate;
    struct timespec read_key;
};

static bool from_files(const sp_tls *tls)
{
    return tls->config->tls_certificate != NULL;
}

/* "tls.own.1a2b3c4d5e6f7081": the name follows the public key. */
static sp_err name_of(const char *prefix, const sp_pkey *key, char ret_name[NAME_BYTES])
{
    auto_buf sp_buf spki = sp_buf_make(SP_PKEY_DER_MAX_BYTES);
    auto_buf sp_buf hex = sp_buf_make(2 * SP_SHA256_BYTES);
    auto_buf sp_buf name = sp_buf_make(NAME_BYTES - 1);
    TRY(sp_pkey_public_der(key, &spki));
    sp_hash hash = sp_sha256(sp_buf_borrow(&spki));
    sp_buf_hex(&hex, sp_hash_borrow(&hash));
    sp_buf_text(&name, prefix);
    sp_buf_span(&name, sp_span_slice(sp_buf_borrow(&hex), 0, FINGERPRINT_DIGITS));
    TRY(sp_buf_error(&name));
    return sp_fit(ret_name, NAME_BYTES, sp_buf_borrow(&name));
}

/* ---- own ---- */

static sp_err make_ca(sp_tls *tls, uint64_t now_unix_s, bool *made)
{
    sp_vkey *key = NULL;
    if (sp_keyring_find(tls->ring, CA_NAME) != NULL) {
        return sp_ok();
    }
    TRY(sp_keyring_make(tls->ring, CA_NAME, SP_VKEY_P256, "signs the server's certificates",
                        now_unix_s, &key));
    auto_buf sp_buf name = sp_buf_make(DNS_MAX_BYTES);
    auto_buf sp_buf der = sp_buf_make(SP_CERT_MAX_BYTES);
    sp_ca_name(tls->config->office, "office CA", &name);
    sp_cert_spec spec = {.use = SP_CERT_OFFICE_CA,
                         .common_name = sp_buf_borrow(&name),
                         .dns_names = {sp_span_cstr(tls->config->domain)},
                         .dns_count = 1,
                         .not_before_unix_s = now_unix_s - SP_CERT_BACKDATE_S,
                         .not_after_unix_s = now_unix_s + CA_LIFE_S};
    TRY(sp_cert_issue(&spec, key->pair, SP_SPAN_EMPTY, key->pair, &der));
    TRY(sp_keyring_set_certificate(key, sp_buf_borrow(&der)));
    *made = true;
    return sp_ok();
}

/* The newest own server key, NULL = none yet. */
static sp_vkey *own_current(sp_tls *tls)
{
    sp_vkey *newest = NULL;
    for (size_t i = 0; i < sp_keyring_count(tls->ring); i++) {
        sp_vkey *key = sp_keyring_at(tls->ring, i);
        if (sp_span_starts(sp_span_cstr(key->name), OWN_PREFIX)) {
            newest = key;
        }
    }
    return newest;
}

static sp_err issue_own(sp_tls *tls, uint64_t now_unix_s, bool *made)
{
    auto_pkey sp_pkey *fresh = NULL;
    char name[NAME_BYTES];
    sp_vkey *ca = sp_keyring_find(tls->ring, CA_NAME);
    if (ca == NULL) {
        return sp_fail(SP_ENOTFOUND);
    }
    auto_buf sp_buf wildcard = sp_buf_make(DNS_MAX_BYTES);
    auto_buf sp_buf der = sp_buf_make(SP_CERT_MAX_BYTES);
    sp_buf_fmt(&wildcard, "*.%s", tls->config->domain);
    TRY(sp_buf_error(&wildcard));
    sp_cert_spec spec = {.use = SP_CERT_SERVER,
                         .common_name = SP_SPAN_LIT("Sallyport"),
                         .dns_names = {sp_buf_borrow(&wildcard), sp_span_cstr(tls->config->domain)},
                         .dns_count = 2,
                         .not_before_unix_s = now_unix_s - SP_CERT_BACKDATE_S,
                         .not_after_unix_s = now_unix_s + OWN_LIFE_S};
    TRY(sp_pkey_new_p256(&fresh));
    TRY(name_of("tls.own.", fresh, name));
    TRY(sp_cert_issue(&spec, fresh, sp_vkey_certificate(ca), ca->pair, &der));
    sp_vkey *key = NULL;
    TRY(sp_keyring_make(tls->ring, sp_span_cstr(name), SP_VKEY_P256,
                        "signs TLS handshakes of the server", now_unix_s, &key));
    sp_pkey_free(key->pair);
    key->pair = SP_STEAL(fresh);
    key->ends_unix_s = spec.not_after_unix_s;
    TRY(sp_keyring_set_certificate(key, sp_buf_borrow(&der)));
    *made = true;
    return sp_ok();
}

static sp_err serve_own(sp_tls *tls)
{
    const sp_vkey *key = own_current(tls);
    const sp_vkey *ca = sp_keyring_find(tls->ring, CA_NAME);
    if (key == NULL || ca == NULL) {
        return sp_fail(SP_ENOTFOUND);
    }
    sp_buf_reset(&tls->chain);
    sp_cert_pem(sp_vkey_certificate(key), &tls->chain);
    sp_cert_pem(sp_vkey_certificate(ca), &tls->chain); /* first contact pins it */
    TRY(sp_buf_error(&tls->chain));
    TRY(sp_fit(tls->name, NAME_BYTES, sp_span_cstr(key->name)));
    tls->not_after_unix_s = key->ends_unix_s;
    return sp_ok();
}

static sp_err refresh_own(sp_tls *tls, uint64_t now_unix_s, bool *made)
{
    TRY(make_ca(tls, now_unix_s, made));
    const sp_vkey *key = own_current(tls);
    if (key == NULL || now_unix_s + OWN_LIFE_S / 2 >= key->ends_unix_s) {
        TRY(issue_own(tls, now_unix_s, made));
    }
    return serve_own(tls);
}

/* ---- from files ---- */

static sp_err read_file(const char *path, const char *what, sp_buf *to, sp_buf *why)
{
    sp_err err = sp_file_read(path, to);
    if (sp_failed(err)) {
        sp_buf_fmt(why, "tls: the %s %s cannot be read by the vault's user (%s)", what, path,
                   sp_code_word(err.code));
    }
    return err;
}

/* Checks the chain's form and takes the leaf's facts. */
static sp_err read_leaf(sp_span pem, sp_pkey **ret_public, sp_cert_info *ret_info)
{
    auto_buf sp_buf der = sp_buf_make(SP_CERT_MAX_BYTES);
    TRY(sp_cert_of_pem(&pem, &der));
    TRY(sp_cert_read(sp_buf_borrow(&der), ret_info));
    return sp_cert_public(sp_buf_borrow(&der), ret_public);
}

static sp_err take_files(sp_tls *tls, sp_buf *pem, sp_buf *why)
{
    auto_buf sp_buf key_text = sp_buf_make(64 * 1024);
    auto_pkey sp_pkey *key = NULL;
    auto_pkey sp_pkey *leaf = NULL;
    sp_cert_info info;
    const sp_config *config = tls->config;
    TRY(read_file(config->tls_certificate, "certificate", pem, why));
    TRY(read_file(config->tls_key, "key", &key_text, why));
    sp_err err = read_leaf(sp_buf_borrow(pem), &leaf, &info);
    if (sp_failed(err)) {
        sp_buf_fmt(why, "tls: %s holds no PEM certificate that can be served (P-256 or RSA key)",
                   config->tls_certificate);
        return err;
    }
    err = sp_pkey_of_pem(sp_buf_borrow(&key_text), &key);
    sp_buf_wipe(&key_text);
    if (sp_failed(err) || !sp_pkey_same_public(key, leaf)) {
        sp_buf_fmt(why, "tls: %s is not the unencrypted PEM key of the first certificate in %s",
                   config->tls_key, config->tls_certificate);
        return sp_fail(SP_EINVALID);
    }
    char name[NAME_BYTES];
    TRY(name_of("tls.file.", key, name));
    if (!sp_span_eq(sp_span_cstr(name), sp_span_cstr(tls->keys[0].name))) {
        sp_pkey_free(tls->keys[FILE_KEYS_MAX - 1].key);
        sp_move(&tls->keys[1], &tls->keys[0], sizeof(tls->keys[0]) * (FILE_KEYS_MAX - 1));
        tls->keys[0] = (file_key){.key = SP_STEAL(key)};
        TRY(sp_fit(tls->keys[0].name, NAME_BYTES, sp_span_cstr(name)));
    }
    tls->not_after_unix_s = info.not_after_unix_s;
    return sp_fit(tls->name, NAME_BYTES, sp_span_cstr(name));
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static sp_err refresh_files(sp_tls *tls, sp_buf *why)
{
    struct stat certificate = {0};
    struct stat key = {0};
    bool seen = stat(tls->config->tls_certificate, &certificate) == 0 &&
                stat(tls->config->tls_key, &key) == 0;
    if (seen && tls->chain.len > 0 && same_time(&certificate.st_mtim, &tls->read_certificate) &&
        same_time(&key.st_mtim, &tls->read_key)) {
        return sp_ok();
    }
    sp_buf pem = sp_buf_make(SP_VAULT_CHAIN_MAX_BYTES);
    sp_err err = take_files(tls, &pem, why);
    if (sp_failed(err)) {
        sp_buf_done(&pem);
        return err;
    }
    sp_buf_done(&tls->chain);
    tls->chain = pem;
    tls->read_certificate = certificate.st_mtim;
    tls->read_key = key.st_mtim;
    return sp_ok();
}

/* ---- both ---- */

sp_err sp_tls_refresh(sp_tls *tls, uint64_t now_unix_s, bool *made, sp_buf *why)
{
    return from_files(tls) ? refresh_files(tls, why) : refresh_own(tls, now_unix_s, made);
}

sp_err sp_tls_new(const sp_config *config, sp_keyring *ring, uint64_t now_unix_s, bool *made,
                  sp_buf *why, sp_tls **ret_tls)
{
    sp_tls *tls = NULL;
    TRY(sp_alloc(1, sizeof(*tls), &tls));
    tls->config = config;
    tls->ring = ring;
    tls->chain = sp_buf_make(SP_VAULT_CHAIN_MAX_BYTES);
    sp_err err = sp_tls_refresh(tls, now_unix_s, made, why);
    if (sp_failed(err)) {
        sp_tls_free(tls);
        return err;
    }
    *ret_tls = tls;
    return sp_ok();
}

void sp_tls_free(sp_tls *tls)
{
    if (tls != NULL) {
        for (size_t i = 0; i < FILE_KEYS_MAX; i++) {
            sp_pkey_free(tls->keys[i].key);
        }
        sp_buf_done(&tls->chain);
        sp_free(tls);
    }
}

sp_err sp_tls_identity(sp_tls *tls, sp_vault_tls_identity *ret_identity)
{
    *ret_identity = (sp_vault_tls_identity){.key_name = sp_span_cstr(tls->name),
                                            .not_after_unix_s = tls->not_after_unix_s,
                                            .chain = sp_buf_borrow(&tls->chain)};
    return sp_ok();
}

sp_span sp_tls_office_ca(sp_tls *tls)
{
    const sp_vkey *ca = from_files(tls) ? NULL : sp_keyring_find(tls->ring, CA_NAME);
    return ca == NULL ? SP_SPAN_EMPTY : sp_vkey_certificate(ca);
}

/* Only keys made for handshakes (of TLS, of SSH) are found: never a CA's. Who may use which is
 * decided before (requests.c). */
static sp_pkey *find_key(sp_tls *tls, sp_span name)
{
    if (sp_span_starts(name, OWN_PREFIX) ||
        sp_span_starts(name, SP_SPAN_LIT(SP_VAULT_DB_KEY_PREFIX)) ||
        sp_span_eq(name, SP_SPAN_LIT(SP_SSH_HOST_KEY))) {
        const sp_vkey *key = sp_keyring_find(tls->ring, name);
        return key == NULL ? NULL : key->pair;
    }
    for (size_t i = 0; i < FILE_KEYS_MAX; i++) {
        if (tls->keys[i].key != NULL && sp_span_eq(sp_span_cstr(tls->keys[i].name), name)) {
            return tls->keys[i].key;
        }
    }
    return NULL;
}

sp_err sp_tls_public(sp_tls *tls, sp_span key_name, sp_buf *out)
{
    const sp_pkey *key = find_key(tls, key_name);
    return key == NULL ? sp_fail(SP_ENOTFOUND) : sp_pkey_public_der(key, out);
}

static const struct {
    uint16_t scheme;
    sp_sign_how how;
    size_t digest_len;
} SCHEMES[] = {
    {SP_TLS_ECDSA_SHA256, SP_SIGN_ECDSA, 32},
    {SP_TLS_ECDSA_SHA384, SP_SIGN_ECDSA, 48},
    {SP_TLS_ECDSA_SHA512, SP_SIGN_ECDSA, 64},
    {SP_TLS_RSA_PKCS1_SHA256, SP_SIGN_RSA_PKCS1, 32},
    {SP_TLS_RSA_PKCS1_SHA384, SP_SIGN_RSA_PKCS1, 48},
    {SP_TLS_RSA_PKCS1_SHA512, SP_SIGN_RSA_PKCS1, 64},
    {SP_TLS_RSA_PSS_SHA256, SP_SIGN_RSA_PSS, 32},
    {SP_TLS_RSA_PSS_SHA384, SP_SIGN_RSA_PSS, 48},
    {SP_TLS_RSA_PSS_SHA512, SP_SIGN_RSA_PSS, 64},
};

sp_err sp_tls_sign(sp_tls *tls, const sp_vault_tls_sign *ask, sp_buf *out)
{
    sp_pkey *key = find_key(tls, ask->key_name);
    if (key == NULL) {
        return sp_fail(SP_ENOTFOUND);
    }
    for (size_t i = 0; i < SP_COUNT(SCHEMES); i++) {
        if (SCHEMES[i].scheme == ask->scheme && SCHEMES[i].digest_len == ask->digest.len) {
            return sp_pkey_sign(key, SCHEMES[i].how, ask->digest, out);
        }
    }
    return sp_fail(SP_EUNSUPPORTED);
}

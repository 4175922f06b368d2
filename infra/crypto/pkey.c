/* SPDX-License-Identifier: Apache-2.0
 * Key pairs by OpenSSL.
 * OWNS keys until sp_pkey_free. PROCESS vault, agent, core. TRUST encoded keys may be hostile.
 * SPEC infra/crypto/pkey.h.
 */
#include "infra/crypto/pkey.h"

#include "lib/base/sha256.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

enum { RSA_MIN_BITS = 2048, RSA_MAX_BITS = 4096, SIGNATURE_MAX_BYTES = 512 };

/* OpenSSL keeps a queue of errors per thread; what we have handled must not be found there later.
 */
static sp_err refused(sp_code code)
{
    ERR_clear_error();
    return sp_fail(code);
}

void sp_pkey_free(sp_pkey *key)
{
    EVP_PKEY_free(key);
}

void sp_pkey_auto_free_(sp_pkey **key)
{
    EVP_PKEY_free(*key);
}

static bool is_p256(const EVP_PKEY *key)
{
    char group[32] = {0};
    size_t len = 0;
    return EVP_PKEY_is_a(key, "EC") &&
           EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group),
                                          &len) == 1 &&
           sp_span_eq(sp_span_of(group, len), SP_SPAN_LIT("prime256v1"));
}

static bool is_supported(const EVP_PKEY *key)
{
    if (EVP_PKEY_is_a(key, "RSA")) {
        int bits = EVP_PKEY_get_bits(key);
        return bits >= RSA_MIN_BITS && bits <= RSA_MAX_BITS;
    }
    return is_p256(key);
}

static sp_err taken(EVP_PKEY *key, sp_pkey **ret_key)
{
    if (key == NULL) {
        return refused(SP_EINVALID);
    }
    if (!is_supported(key)) {
        EVP_PKEY_free(key);
        return refused(SP_EUNSUPPORTED);
    }
    *ret_key = key;
    return sp_ok();
}

sp_err sp_pkey_new_p256(sp_pkey **ret_key)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    return key == NULL ? refused(SP_EINTERNAL) : taken(key, ret_key);
}

sp_err sp_pkey_of_der(sp_span der, sp_pkey **ret_key)
{
    const uint8_t *at = der.ptr;
    if (der.len == 0 || der.len > SP_PKEY_DER_MAX_BYTES) {
        return sp_fail(SP_EINVALID);
    }
    EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &at, (long)der.len);
    if (key != NULL && at != der.ptr + der.len) {
        EVP_PKEY_free(key);
        return refused(SP_EINVALID);
    }
    return taken(key, ret_key);
}

static int no_passphrase(char *buf, int size, int rwflag, void *self)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)self;
    return -1; /* never ask on a terminal */
}

sp_err sp_pkey_of_pem(sp_span pem, sp_pkey **ret_key)
{
    BIO *bio = pem.len > INT32_MAX ? NULL : BIO_new_mem_buf(pem.ptr, (int)pem.len);
    if (bio == NULL) {
        return refused(SP_ELIMIT);
    }
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    return taken(key, ret_key);
}

sp_err sp_pkey_of_public_der(sp_span der, sp_pkey **ret_key)
{
    const uint8_t *at = der.ptr;
    if (der.len == 0 || der.len > SP_PKEY_DER_MAX_BYTES) {
        return sp_fail(SP_EINVALID);
    }
    EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)der.len);
    if (key != NULL && at != der.ptr + der.len) {
        EVP_PKEY_free(key);
        return refused(SP_EINVALID);
    }
    return taken(key, ret_key);
}

sp_err sp_pkey_der(const sp_pkey *key, sp_buf *out)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
    uint8_t *der = NULL;
    int len = info == NULL ? -1 : i2d_PKCS8_PRIV_KEY_INFO(info, &der);
    PKCS8_PRIV_KEY_INFO_free(info);
    if (len < 0) {
        return refused(SP_EINTERNAL);
    }
    sp_buf_span(out, (sp_span){der, (size_t)len});
    OPENSSL_clear_free(der, (size_t)len);
    return sp_buf_error(out);
}

sp_err sp_pkey_public_der(const sp_pkey *key, sp_buf *out)
{
    uint8_t *der = NULL;
    int len = i2d_PUBKEY(key, &der);
    if (len < 0) {
        return refused(SP_EINTERNAL);
    }
    sp_buf_span(out, (sp_span){der, (size_t)len});
    OPENSSL_free(der);
    return sp_buf_error(out);
}

sp_pkey_kind sp_pkey_kind_of(const sp_pkey *key)
{
    return EVP_PKEY_is_a(key, "RSA") ? SP_PKEY_RSA : SP_PKEY_P256;
}

bool sp_pkey_same_public(const sp_pkey *a, const sp_pkey *b)
{
    return EVP_PKEY_eq(a, b) == 1;
}

static const EVP_MD *hash_of(size_t digest_len)
{
    if (digest_len == 32) {
        return EVP_sha256();
    }
    if (digest_len == 48) {
        return EVP_sha384();
    }
    return digest_len == 64 ? EVP_sha512() : NULL;
}

static bool set_way(EVP_PKEY_CTX *ctx, sp_sign_how how, const EVP_MD *hash)
{
    if (EVP_PKEY_CTX_set_signature_md(ctx, hash) != 1) {
        return false;
    }
    switch (how) {
    case SP_SIGN_ECDSA:
        return true;
    case SP_SIGN_RSA_PKCS1:
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1;
    case SP_SIGN_RSA_PSS:
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
    case SP_SIGN_HOW_COUNT:
        break;
    }
    return false;
}

static bool goes_together(const sp_pkey *key, sp_sign_how how, size_t digest_len)
{
    return hash_of(digest_len) != NULL &&
           (how == SP_SIGN_ECDSA) == (sp_pkey_kind_of(key) == SP_PKEY_P256);
}

sp_err sp_pkey_sign(sp_pkey *key, sp_sign_how how, sp_span digest, sp_buf *out)
{
    if (!goes_together(key, how, digest.len)) {
        return sp_fail(SP_EUNSUPPORTED);
    }
    uint8_t signature[SIGNATURE_MAX_BYTES];
    size_t len = sizeof(signature);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    bool good = ctx != NULL && EVP_PKEY_sign_init(ctx) == 1 &&
                set_way(ctx, how, hash_of(digest.len)) &&
                EVP_PKEY_sign(ctx, signature, &len, digest.ptr, digest.len) == 1;
    EVP_PKEY_CTX_free(ctx);
    if (!good) {
        return refused(SP_EINTERNAL);
    }
    sp_buf_span(out, (sp_span){signature, len});
    return sp_buf_error(out);
}

sp_err sp_pkey_verify(sp_pkey *key, sp_sign_how how, sp_span digest, sp_span signature)
{
    if (!goes_together(key, how, digest.len)) {
        return sp_fail(SP_EUNSUPPORTED);
    }
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    bool good = ctx != NULL && EVP_PKEY_verify_init(ctx) == 1 &&
                set_way(ctx, how, hash_of(digest.len)) &&
                EVP_PKEY_verify(ctx, signature.ptr, signature.len, digest.ptr, digest.len) == 1;
    EVP_PKEY_CTX_free(ctx);
    return good ? sp_ok() : refused(SP_ECORRUPT);
}

static bool number_bytes(const BIGNUM *number, uint8_t *to)
{
    return number != NULL && BN_bn2binpad(number, to, SP_P256_COORD_BYTES) == SP_P256_COORD_BYTES;
}

sp_err sp_pkey_p256_point(const sp_pkey *key, uint8_t ret_xy[SP_P256_RAW_BYTES])
{
    BIGNUM *x = NULL;
    BIGNUM *y = NULL;
    bool good = is_p256(key) && EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 &&
                EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1 &&
                number_bytes(x, ret_xy) && number_bytes(y, ret_xy + SP_P256_COORD_BYTES);
    BN_free(x);
    BN_free(y);
    return good ? sp_ok() : refused(SP_EUNSUPPORTED);
}

sp_err sp_pkey_p256_sign_raw(sp_pkey *key, sp_span message, uint8_t ret_rs[SP_P256_RAW_BYTES])
{
    sp_hash digest = sp_sha256(message);
    auto_buf sp_buf der = sp_buf_make(SIGNATURE_MAX_BYTES);
    TRY(sp_pkey_sign(key, SP_SIGN_ECDSA, sp_hash_borrow(&digest), &der));
    const uint8_t *at = der.ptr;
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &at, (long)der.len);
    bool good = signature != NULL && number_bytes(ECDSA_SIG_get0_r(signature), ret_rs) &&
                number_bytes(ECDSA_SIG_get0_s(signature), ret_rs + SP_P256_COORD_BYTES);
    ECDSA_SIG_free(signature);
    return good ? sp_ok() : refused(SP_EINTERNAL);
}

sp_err sp_pkey_p256_verify_raw(sp_pkey *key, sp_span message, sp_span rs)
{
    if (rs.len != SP_P256_RAW_BYTES) {
        return sp_fail(SP_ECORRUPT);
    }
    sp_hash digest = sp_sha256(message);
    ECDSA_SIG *signature = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(rs.ptr, SP_P256_COORD_BYTES, NULL);
    BIGNUM *s = BN_bin2bn(rs.ptr + SP_P256_COORD_BYTES, SP_P256_COORD_BYTES, NULL);
    if (signature == NULL || r == NULL || s == NULL || ECDSA_SIG_set0(signature, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        ECDSA_SIG_free(signature);
        return refused(SP_ENOMEM);
    }
    uint8_t *der = NULL;
    int len = i2d_ECDSA_SIG(signature, &der);
    ECDSA_SIG_free(signature);
    if (len < 0) {
        return refused(SP_ENOMEM);
    }
    sp_err err =
        sp_pkey_verify(key, SP_SIGN_ECDSA, sp_hash_borrow(&digest), (sp_span){der, (size_t)len});
    OPENSSL_free(der);
    return err;
}

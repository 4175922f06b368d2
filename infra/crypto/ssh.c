/* SPDX-License-Identifier: Apache-2.0
 * Verifying signatures of SSH with OpenSSL.
 * OWNS nothing. PROCESS ssh gate, core. TRUST all input is hostile; OpenSSL's error queue is
 * emptied after each refusal. SPEC infra/crypto/ssh.h.
 */
#include "infra/crypto/ssh.h"

#include "infra/crypto/sign.h"
#include "lib/base/sha256.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

enum {
    NAME_MAX_BYTES = 64,
    RAW_MAX_BYTES = 4096,
    ED25519_BYTES = 64,
    NUMBER_MAX_BYTES = 67, /* of P-521, with a sign byte */
    DER_MAX_BYTES = 160,
    U2F_PRESENT = 1
};

typedef struct {
    sp_span algorithm;
    sp_span raw;
    uint8_t flags; /* of security keys */
    uint32_t counter;
} signature_parts;

static sp_err open_signature(const sp_ssh_key *key, sp_span blob, signature_parts *ret)
{
    sp_reader in = sp_reader_of(blob);
    ret->algorithm = sp_read_bytes(&in, NAME_MAX_BYTES);
    ret->raw = sp_read_bytes(&in, RAW_MAX_BYTES);
    if (sp_ssh_key_is_security_key((sp_ssh_key_type)key->type)) {
        ret->flags = sp_read_u8(&in);
        ret->counter = sp_read_u32(&in);
    }
    return sp_reader_finish(&in);
}

/* A key of its numbers; NULL when they are none of the curve or kind. */
static EVP_PKEY *key_of(const char *kind, OSSL_PARAM_BLD *build)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
    if (params != NULL && ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1) {
        key = NULL;
    }
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return key;
}

static EVP_PKEY *ec_key(const sp_ssh_key *key, const char *group)
{
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY *out = NULL;
    if (build != NULL &&
        OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, group, 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, key->point.ptr,
                                         key->point.len) == 1) {
        out = key_of("EC", build);
    }
    OSSL_PARAM_BLD_free(build);
    return out;
}

static EVP_PKEY *rsa_key(const sp_ssh_key *key)
{
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    BIGNUM *n = BN_bin2bn(key->modulus.ptr, (int)key->modulus.len, NULL);
    BIGNUM *e = BN_bin2bn(key->exponent.ptr, (int)key->exponent.len, NULL);
    EVP_PKEY *out = NULL;
    if (build != NULL && n != NULL && e != NULL &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1) {
        out = key_of("RSA", build);
    }
    OSSL_PARAM_BLD_free(build);
    BN_free(n);
    BN_free(e);
    return out;
}

/* Takes the key. */
static sp_err verify_with(EVP_PKEY *key, const EVP_MD *digest, sp_span bytes, sp_span signature)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = key != NULL && ctx != NULL &&
                EVP_DigestVerifyInit(ctx, NULL, digest, NULL, key) == 1 &&
                EVP_DigestVerify(ctx, signature.ptr, signature.len, bytes.ptr, bytes.len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return good ? sp_ok() : sp_fail(SP_EDENIED);
}

static sp_err verify_ed25519(const sp_ssh_key *key, sp_span bytes, sp_span raw)
{
    sp_verify_key public;
    sp_signature signature;
    if (raw.len != ED25519_BYTES || key->point.len != sizeof(public.bytes)) {
        return sp_fail(SP_EINVALID);
    }
    sp_copy(public.bytes, key->point.ptr, sizeof(public.bytes));
    sp_copy(signature.bytes, raw.ptr, sizeof(signature.bytes));
    return sp_verify(&public, bytes, &signature) ? sp_ok() : sp_fail(SP_EDENIED);
}

/* r and s as mpints -> DER. */
static sp_err der_of(sp_span raw, uint8_t ret_der[DER_MAX_BYTES], size_t *ret_len)
{
    sp_reader in = sp_reader_of(raw);
    sp_span r = sp_read_bytes(&in, NUMBER_MAX_BYTES);
    sp_span s = sp_read_bytes(&in, NUMBER_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    if (r.len == 0 || s.len == 0 || (r.ptr[0] & 0x80) != 0 || (s.ptr[0] & 0x80) != 0) {
        return sp_fail(SP_EINVALID);
    }
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r_number = BN_bin2bn(r.ptr, (int)r.len, NULL);
    BIGNUM *s_number = BN_bin2bn(s.ptr, (int)s.len, NULL);
    uint8_t *at = ret_der;
    int len = -1;
    if (sig != NULL && ECDSA_SIG_set0(sig, r_number, s_number) == 1) {
        r_number = NULL;
        s_number = NULL;
        len = i2d_ECDSA_SIG(sig, NULL);
        len = len > 0 && len <= DER_MAX_BYTES ? i2d_ECDSA_SIG(sig, &at) : -1;
    }
    BN_free(r_number);
    BN_free(s_number);
    ECDSA_SIG_free(sig);
    ERR_clear_error();
    *ret_len = len > 0 ? (size_t)len : 0;
    return len > 0 ? sp_ok() : sp_fail(SP_EINVALID);
}

static sp_err verify_ecdsa(const sp_ssh_key *key, sp_span bytes, sp_span raw)
{
    uint8_t der[DER_MAX_BYTES];
    size_t len = 0;
    TRY(der_of(raw, der, &len));
    const char *group = "P-256";
    const EVP_MD *digest = EVP_sha256();
    if (key->type == SP_SSH_KEY_ECDSA_384) {
        group = "P-384";
        digest = EVP_sha384();
    } else if (key->type == SP_SSH_KEY_ECDSA_521) {
        group = "P-521";
        digest = EVP_sha512();
    }
    return verify_with(ec_key(key, group), digest, bytes, sp_span_of(der, len));
}

static sp_err verify_rsa(const sp_ssh_key *key, sp_span bytes, const signature_parts *s)
{
    const EVP_MD *digest = NULL;
    if (sp_span_eq(s->algorithm, SP_SPAN_LIT("rsa-sha2-256"))) {
        digest = EVP_sha256();
    } else if (sp_span_eq(s->algorithm, SP_SPAN_LIT("rsa-sha2-512"))) {
        digest = EVP_sha512();
    } else {
        return sp_fail(SP_EUNSUPPORTED);
    }
    if (s->raw.len != key->modulus.len) {
        return sp_fail(SP_EINVALID);
    }
    return verify_with(rsa_key(key), digest, bytes, s->raw);
}

/* The token signs a digest of who asked, its own flags and counter, and a digest of the bytes. */
static sp_err verify_security_key(const sp_ssh_key *key, sp_span bytes, const signature_parts *s)
{
    sp_hash application = sp_sha256(key->application);
    sp_hash message = sp_sha256(bytes);
    auto_buf sp_buf signed_bytes = sp_buf_make(2 * SP_SHA256_BYTES + 8);
    if ((s->flags & U2F_PRESENT) == 0) {
        return sp_fail(SP_EDENIED);
    }
    sp_buf_span(&signed_bytes, sp_hash_borrow(&application));
    sp_buf_u8(&signed_bytes, s->flags);
    sp_buf_u32(&signed_bytes, s->counter);
    sp_buf_span(&signed_bytes, sp_hash_borrow(&message));
    TRY(sp_buf_error(&signed_bytes));
    return key->type == SP_SSH_KEY_SK_ED25519
               ? verify_ed25519(key, sp_buf_borrow(&signed_bytes), s->raw)
               : verify_ecdsa(key, sp_buf_borrow(&signed_bytes), s->raw);
}

sp_err sp_ssh_verify(const sp_ssh_key *key, sp_span bytes, sp_span signature)
{
    signature_parts s = {0};
    TRY(open_signature(key, signature, &s));
    if (key->type == SP_SSH_KEY_RSA) {
        return verify_rsa(key, bytes, &s);
    }
    if (!sp_span_eq(s.algorithm, sp_span_cstr(sp_ssh_key_name((sp_ssh_key_type)key->type)))) {
        return sp_fail(SP_EUNSUPPORTED);
    }
    if (sp_ssh_key_is_security_key((sp_ssh_key_type)key->type)) {
        return verify_security_key(key, bytes, &s);
    }
    return key->type == SP_SSH_KEY_ED25519 ? verify_ed25519(key, bytes, s.raw)
                                           : verify_ecdsa(key, bytes, s.raw);
}

sp_err sp_ssh_cert_verify(const sp_ssh_cert *cert)
{
    return sp_ssh_verify(&cert->ca, cert->signed_part, cert->signature);
}

/* SPDX-License-Identifier: Apache-2.0
 * RSA keys of and as bare numbers, with OpenSSL.
 * OWNS nothing. PROCESS vault. TRUST see rsa.h; OpenSSL's error queue is emptied after a refusal.
 * SPEC infra/crypto/rsa.h.
 */
#include "infra/crypto/rsa.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

enum { NUMBERS = 8, BITS_MIN = 2048, BITS_MAX = 4096, NUMBER_MAX_BYTES = BITS_MAX / 8 };

static const char *const NAMES[NUMBERS] = {
    OSSL_PKEY_PARAM_RSA_N,         OSSL_PKEY_PARAM_RSA_E,         OSSL_PKEY_PARAM_RSA_D,
    OSSL_PKEY_PARAM_RSA_FACTOR1,   OSSL_PKEY_PARAM_RSA_FACTOR2,   OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
    OSSL_PKEY_PARAM_RSA_EXPONENT1, OSSL_PKEY_PARAM_RSA_EXPONENT2,
};

static bool read_numbers(const sp_rsa_numbers *from, BIGNUM *n[NUMBERS])
{
    const sp_span given[] = {from->modulus,   from->exponent,  from->secret,
                             from->primes[0], from->primes[1], from->inverse};
    for (size_t i = 0; i < SP_COUNT(given); i++) {
        n[i] = given[i].len == 0 || given[i].len > NUMBER_MAX_BYTES ? NULL : BN_secure_new();
        if (n[i] == NULL || BN_bin2bn(given[i].ptr, (int)given[i].len, n[i]) == NULL) {
            return false;
        }
    }
    return true;
}

/* d mod (p - 1), d mod (q - 1). */
static bool make_exponents(BIGNUM *n[NUMBERS])
{
    BN_CTX *ctx = BN_CTX_secure_new();
    BIGNUM *less = BN_secure_new();
    bool good = ctx != NULL && less != NULL;
    for (size_t i = 0; good && i < 2; i++) {
        n[6 + i] = BN_secure_new();
        good = n[6 + i] != NULL && !BN_is_zero(n[3 + i]) && BN_copy(less, n[3 + i]) != NULL &&
               BN_sub_word(less, 1) == 1 && !BN_is_zero(less) &&
               BN_mod(n[6 + i], n[2], less, ctx) == 1;
    }
    BN_clear_free(less);
    BN_CTX_free(ctx);
    return good;
}

static EVP_PKEY *build(BIGNUM *const n[NUMBERS])
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM_BLD *parts = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    bool good = parts != NULL && ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1;
    for (size_t i = 0; good && i < NUMBERS; i++) {
        good = OSSL_PARAM_BLD_push_BN(parts, NAMES[i], n[i]) == 1;
    }
    OSSL_PARAM *params = good ? OSSL_PARAM_BLD_to_param(parts) : NULL;
    if (params == NULL || EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) != 1) {
        key = NULL;
    }
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(parts);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

sp_err sp_pkey_check_rsa(sp_pkey *key)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    bool good = ctx != NULL && EVP_PKEY_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    return good ? sp_ok() : sp_fail(SP_EINVALID);
}

sp_err sp_pkey_of_rsa(const sp_rsa_numbers *numbers, sp_pkey **ret_key)
{
    BIGNUM *n[NUMBERS] = {NULL};
    EVP_PKEY *key = NULL;
    sp_err err = sp_fail(SP_EINVALID);
    if (read_numbers(numbers, n)) {
        int bits = BN_num_bits(n[0]);
        if (bits < BITS_MIN || bits > BITS_MAX) {
            err = sp_fail(SP_EUNSUPPORTED);
        } else if (make_exponents(n)) {
            key = build(n);
        }
    }
    for (size_t i = 0; i < NUMBERS; i++) {
        BN_clear_free(n[i]);
    }
    ERR_clear_error();
    if (key != NULL) {
        err = sp_pkey_check_rsa(key);
    }
    if (sp_failed(err)) {
        EVP_PKEY_free(key);
        return err;
    }
    *ret_key = key;
    return sp_ok();
}

/* A positive number of SSH: a zero in front where its first bit is set. */
static bool put_number(const EVP_PKEY *key, const char *name, sp_buf *out)
{
    uint8_t bytes[1 + NUMBER_MAX_BYTES] = {0};
    BIGNUM *number = NULL;
    if (EVP_PKEY_get_bn_param(key, name, &number) != 1) {
        return false;
    }
    int len = BN_num_bytes(number);
    bool good = len > 0 && len <= NUMBER_MAX_BYTES && BN_bn2bin(number, bytes + 1) == len;
    BN_free(number);
    if (good) {
        size_t zero = (bytes[1] & 0x80) != 0 ? 1 : 0;
        sp_buf_bytes(out, sp_span_of(bytes + 1 - zero, (size_t)len + zero));
    }
    return good;
}

sp_err sp_pkey_ssh_rsa(const sp_pkey *key, sp_buf *out)
{
    sp_buf_bytes(out, SP_SPAN_LIT("ssh-rsa"));
    bool good = EVP_PKEY_is_a(key, "RSA") && put_number(key, OSSL_PKEY_PARAM_RSA_E, out) &&
                put_number(key, OSSL_PKEY_PARAM_RSA_N, out);
    ERR_clear_error();
    return good ? sp_buf_error(out) : sp_fail(SP_EUNSUPPORTED);
}

sp_err sp_pkey_ssh_rsa_sign(sp_pkey *key, sp_span algorithm, sp_span message, sp_buf *out)
{
    uint8_t signature[NUMBER_MAX_BYTES];
    size_t len = sizeof(signature);
    bool is_short = sp_span_eq(algorithm, SP_SPAN_LIT("rsa-sha2-256"));
    if (!is_short && !sp_span_eq(algorithm, SP_SPAN_LIT("rsa-sha2-512"))) {
        return sp_fail(SP_EUNSUPPORTED); /* "ssh-rsa" is SHA-1 */
    }
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good =
        ctx != NULL &&
        EVP_DigestSignInit(ctx, NULL, is_short ? EVP_sha256() : EVP_sha512(), NULL, key) == 1 &&
        EVP_DigestSign(ctx, signature, &len, message.ptr, message.len) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    if (!good) {
        return sp_fail(SP_EINTERNAL);
    }
    sp_buf_span(out, sp_span_of(signature, len));
    return sp_buf_error(out);
}

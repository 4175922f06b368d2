/* SPDX-License-Identifier: Apache-2.0
 * SCRAM-SHA-256 by OpenSSL's HMAC and PBKDF2.
 * OWNS nothing. PROCESS vault, core. TRUST see scram.h. SPEC infra/crypto/scram.h.
 */
#include "infra/crypto/scram.h"

#include "lib/base/mem.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { MD5_BYTES = 16, MD5_HEX_BYTES = 2 * MD5_BYTES };

void sp_scram_key_wipe(sp_scram_key *key)
{
    sp_wipe(key, sizeof(*key));
}

sp_err sp_hmac_sha256(sp_span key, sp_span message, sp_scram_key *ret_mac)
{
    unsigned len = 0;
    if (key.len > INT_MAX ||
        HMAC(EVP_sha256(), key.ptr == NULL ? "" : (const char *)key.ptr, (int)key.len, message.ptr,
             message.len, ret_mac->bytes, &len) == NULL ||
        len != SP_SCRAM_BYTES) {
        return sp_fail(SP_EINTERNAL);
    }
    return sp_ok();
}

static sp_span borrow(const sp_scram_key *key)
{
    return sp_span_of(key->bytes, sizeof(key->bytes));
}

static sp_scram_key hash_of(const sp_scram_key *key)
{
    sp_hash hash = sp_sha256(borrow(key));
    sp_scram_key out = {{0}};
    sp_copy(out.bytes, hash.bytes, sizeof(out.bytes));
    sp_wipe(&hash, sizeof(hash));
    return out;
}

static void exclusive_or(sp_scram_key *to, const uint8_t *with)
{
    for (size_t i = 0; i < sizeof(to->bytes); i++) {
        to->bytes[i] = (uint8_t)(to->bytes[i] ^ with[i]);
    }
}

sp_err sp_scram_salted(sp_span password, sp_span salt, uint32_t iterations,
                       sp_scram_key *ret_salted)
{
    if (password.len > INT_MAX || salt.len > INT_MAX || iterations == 0 || iterations > INT_MAX) {
        return sp_fail(SP_EINVALID);
    }
    int ok =
        PKCS5_PBKDF2_HMAC((const char *)password.ptr, (int)password.len, salt.ptr, (int)salt.len,
                          (int)iterations, EVP_sha256(), SP_SCRAM_BYTES, ret_salted->bytes);
    return ok == 1 ? sp_ok() : sp_fail(SP_EINTERNAL);
}

sp_err sp_scram_verifier_of(const sp_scram_key *salted, sp_scram_verifier *ret_verifier)
{
    auto_scram_key sp_scram_key client = {0};
    TRY(sp_hmac_sha256(borrow(salted), SP_SPAN_LIT("Client Key"), &client));
    ret_verifier->stored = hash_of(&client);
    return sp_hmac_sha256(borrow(salted), SP_SPAN_LIT("Server Key"), &ret_verifier->server);
}

sp_err sp_scram_prove(const sp_scram_key *salted, sp_span auth_message, sp_scram_key *ret_proof,
                      sp_scram_key *ret_server_signature)
{
    auto_scram_key sp_scram_key client = {0};
    sp_scram_verifier verifier;
    sp_scram_key signature;
    TRY(sp_hmac_sha256(borrow(salted), SP_SPAN_LIT("Client Key"), &client));
    TRY(sp_scram_verifier_of(salted, &verifier));
    TRY(sp_hmac_sha256(borrow(&verifier.stored), auth_message, &signature));
    TRY(sp_hmac_sha256(borrow(&verifier.server), auth_message, ret_server_signature));
    exclusive_or(&client, signature.bytes);
    *ret_proof = client;
    return sp_ok();
}

sp_err sp_scram_check(const sp_scram_verifier *verifier, sp_span auth_message, sp_span proof,
                      bool *ret_right, sp_scram_key *ret_server_signature)
{
    auto_scram_key sp_scram_key client = {0};
    *ret_right = false;
    TRY(sp_hmac_sha256(borrow(&verifier->server), auth_message, ret_server_signature));
    TRY(sp_hmac_sha256(borrow(&verifier->stored), auth_message, &client));
    if (proof.len != SP_SCRAM_BYTES) {
        return sp_ok();
    }
    exclusive_or(&client, proof.ptr);
    sp_scram_key stored = hash_of(&client);
    *ret_right = CRYPTO_memcmp(stored.bytes, verifier->stored.bytes, sizeof(stored.bytes)) == 0;
    return sp_ok();
}

void sp_scram_secret(const sp_scram_verifier *verifier, sp_span salt, uint32_t iterations,
                     sp_buf *out)
{
    sp_buf_fmt(out, "SCRAM-SHA-256$%u:", (unsigned)iterations);
    sp_buf_base64(out, salt);
    sp_buf_byte(out, '$');
    sp_buf_base64(out, borrow(&verifier->stored));
    sp_buf_byte(out, ':');
    sp_buf_base64(out, borrow(&verifier->server));
}

/* md5 of two runs as hex; NUL-terminated. */
static sp_err md5_hex(sp_span one, sp_span other, char ret_hex[MD5_HEX_BYTES + 1])
{
    static const char DIGITS[] = "0123456789abcdef";
    uint8_t sum[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_md5(), NULL) == 1 &&
              EVP_DigestUpdate(ctx, one.ptr, one.len) == 1 &&
              EVP_DigestUpdate(ctx, other.ptr, other.len) == 1 &&
              EVP_DigestFinal_ex(ctx, sum, &len) == 1 && len == MD5_BYTES;
    EVP_MD_CTX_free(ctx);
    for (unsigned i = 0; ok && i < MD5_BYTES; i++) {
        ret_hex[2 * i] = DIGITS[sum[i] >> 4];
        ret_hex[2 * i + 1] = DIGITS[sum[i] & 0xf];
    }
    ret_hex[MD5_HEX_BYTES] = '\0';
    return ok ? sp_ok() : sp_fail(SP_EUNSUPPORTED); /* a policy of the machine may forbid md5 */
}

sp_err sp_md5_answer(sp_span password, sp_span user, sp_span salt, char ret_text[SP_MD5_TEXT_BYTES])
{
    char inner[MD5_HEX_BYTES + 1];
    TRY(md5_hex(password, user, inner));
    sp_copy(ret_text, "md5", 3);
    TRY(md5_hex(sp_span_of(inner, MD5_HEX_BYTES), salt, ret_text + 3));
    sp_wipe(inner, sizeof(inner));
    return sp_ok();
}

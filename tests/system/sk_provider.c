/* SPDX-License-Identifier: Apache-2.0
 * A security key in software, for OpenSSH's client in the tests: it makes and signs with
 * sk-ssh-ed25519 keys and says that it was touched. The private key is the key handle. Built by
 * test_ssh_signin.py. OWNS nothing. PROCESS ssh-sk-helper. TRUST none: a test's. SPEC OpenSSH
 * PROTOCOL.u2f, sk-api.h version 10.
 */
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    VERSION = 0x000a0000,
    ED25519 = 1,
    TOUCHED = 1,
    FAILED = -1,
    UNSUPPORTED = -2,
    KEY = 32,
    SIGNATURE = 64
};

struct sk_enroll_response {
    uint8_t flags;
    uint8_t *public_key;
    size_t public_key_len;
    uint8_t *key_handle;
    size_t key_handle_len;
    uint8_t *signature;
    size_t signature_len;
    uint8_t *attestation_cert;
    size_t attestation_cert_len;
    uint8_t *authdata;
    size_t authdata_len;
};

struct sk_sign_response {
    uint8_t flags;
    uint32_t counter;
    uint8_t *sig_r;
    size_t sig_r_len;
    uint8_t *sig_s;
    size_t sig_s_len;
};

uint32_t sk_api_version(void)
{
    return VERSION;
}

int sk_enroll(uint32_t alg, const uint8_t *challenge, size_t challenge_len, const char *application,
              uint8_t flags, const char *pin, void **options, struct sk_enroll_response **ret)
{
    (void)challenge, (void)challenge_len, (void)application, (void)pin, (void)options;
    if (alg != ED25519) {
        return UNSUPPORTED;
    }
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    struct sk_enroll_response *made = calloc(1, sizeof(*made));
    size_t len = KEY;
    made->flags = flags;
    made->public_key = calloc(1, KEY);
    made->key_handle = calloc(1, KEY);
    made->signature = calloc(1, 1);
    made->public_key_len = made->key_handle_len = KEY;
    if (EVP_PKEY_get_raw_public_key(key, made->public_key, &len) != 1 ||
        EVP_PKEY_get_raw_private_key(key, made->key_handle, &len) != 1) {
        return FAILED;
    }
    EVP_PKEY_free(key);
    *ret = made;
    return 0;
}

int sk_sign(uint32_t alg, const uint8_t *data, size_t data_len, const char *application,
            const uint8_t *handle, size_t handle_len, uint8_t flags, const char *pin,
            void **options, struct sk_sign_response **ret)
{
    (void)flags, (void)pin, (void)options;
    uint8_t text[SHA256_DIGEST_LENGTH + 5 + SHA256_DIGEST_LENGTH] = {0};
    size_t len = SIGNATURE;
    if (alg != ED25519 || handle_len != KEY) {
        return UNSUPPORTED;
    }
    SHA256((const uint8_t *)application, strlen(application), text);
    text[SHA256_DIGEST_LENGTH] = TOUCHED;
    text[SHA256_DIGEST_LENGTH + 4] = 1; /* the counter */
    SHA256(data, data_len, text + SHA256_DIGEST_LENGTH + 5);
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, handle, handle_len);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    struct sk_sign_response *made = calloc(1, sizeof(*made));
    made->flags = TOUCHED;
    made->counter = 1;
    made->sig_r = calloc(1, SIGNATURE);
    made->sig_r_len = SIGNATURE;
    if (EVP_DigestSignInit(context, NULL, NULL, NULL, key) != 1 ||
        EVP_DigestSign(context, made->sig_r, &len, text, sizeof(text)) != 1) {
        return FAILED;
    }
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    *ret = made;
    return 0;
}

int sk_load_resident_keys(const char *pin, void **options, void ***keys, size_t *count)
{
    (void)pin, (void)options, (void)keys, (void)count;
    return UNSUPPORTED;
}

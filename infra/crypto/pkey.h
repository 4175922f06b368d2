/* SPDX-License-Identifier: Apache-2.0
 * Key pairs of public-key cryptography: P-256 (ours) and RSA (certificates from files).
 * OWNS keys until sp_pkey_free. PROCESS vault, agent; core and gates only public halves.
 * TRUST encoded keys may be hostile: only P-256 and RSA of 2048 to 4096 bits are taken.
 * SPEC RFC 5480, RFC 5958, RFC 8017.
 */
#ifndef SP_CRYPTO_PKEY_H
#define SP_CRYPTO_PKEY_H

#include "lib/base/buf.h"

/* An OpenSSL EVP_PKEY, whole or public half only. */
typedef struct evp_pkey_st sp_pkey;

typedef enum { SP_PKEY_P256, SP_PKEY_RSA, SP_PKEY_KIND_COUNT } sp_pkey_kind;
typedef enum { SP_SIGN_ECDSA, SP_SIGN_RSA_PKCS1, SP_SIGN_RSA_PSS, SP_SIGN_HOW_COUNT } sp_sign_how;

enum { SP_P256_COORD_BYTES = 32, SP_P256_RAW_BYTES = 64, SP_PKEY_DER_MAX_BYTES = 4096 };

void sp_pkey_free(sp_pkey *key);
void sp_pkey_auto_free_(sp_pkey **key);
#define auto_pkey __attribute__((cleanup(sp_pkey_auto_free_)))

SP_MUST sp_err sp_pkey_new_p256(sp_pkey **ret_key);
/* PKCS#8 DER, one key and nothing behind it. SP_EINVALID, SP_EUNSUPPORTED. */
SP_MUST sp_err sp_pkey_of_der(sp_span der, sp_pkey **ret_key);
/* The first private key of a PEM text, unencrypted. */
SP_MUST sp_err sp_pkey_of_pem(sp_span pem, sp_pkey **ret_key);
/* SubjectPublicKeyInfo DER. */
SP_MUST sp_err sp_pkey_of_public_der(sp_span der, sp_pkey **ret_key);
/* Appends PKCS#8 DER: the caller wipes the buffer. */
SP_MUST sp_err sp_pkey_der(const sp_pkey *key, sp_buf *out);
SP_MUST sp_err sp_pkey_public_der(const sp_pkey *key, sp_buf *out);
sp_pkey_kind sp_pkey_kind_of(const sp_pkey *key);
bool sp_pkey_same_public(const sp_pkey *a, const sp_pkey *b);

/* Signs a digest of 32, 48 or 64 bytes (SHA-256, -384, -512) and appends the signature (ECDSA:
 * DER). SP_EUNSUPPORTED when key, way and length do not go together. */
SP_MUST sp_err sp_pkey_sign(sp_pkey *key, sp_sign_how how, sp_span digest, sp_buf *out);
SP_MUST sp_err sp_pkey_verify(sp_pkey *key, sp_sign_how how, sp_span digest, sp_span signature);

/* ---- P-256 only, as JOSE wants it ---- */
/* Affine coordinates x || y. */
SP_MUST sp_err sp_pkey_p256_point(const sp_pkey *key, uint8_t ret_xy[SP_P256_RAW_BYTES]);
/* ECDSA with SHA-256 over a message, r || s. */
SP_MUST sp_err sp_pkey_p256_sign_raw(sp_pkey *key, sp_span message,
                                     uint8_t ret_rs[SP_P256_RAW_BYTES]);
SP_MUST sp_err sp_pkey_p256_verify_raw(sp_pkey *key, sp_span message, sp_span rs);

#endif

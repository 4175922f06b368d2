/* SPDX-License-Identifier: Apache-2.0
 * RSA keys of and as bare numbers, as SSH has them.
 * OWNS keys until sp_pkey_free. PROCESS vault. TRUST numbers may be hostile: a key whose numbers do
 * not belong together is refused. SPEC RFC 8017 3.2, RFC 4253 6.6.
 */
#ifndef SP_CRYPTO_RSA_H
#define SP_CRYPTO_RSA_H

#include "infra/crypto/pkey.h"

/* Big-endian, without leading zeros. */
typedef struct {
    sp_span modulus;
    sp_span exponent;
    sp_span secret;
    sp_span primes[2];
    sp_span inverse; /* of the second prime, mod the first */
} sp_rsa_numbers;

/* SP_EUNSUPPORTED: not of 2048 to 4096 bits; SP_EINVALID. */
SP_MUST sp_err sp_pkey_of_rsa(const sp_rsa_numbers *numbers, sp_pkey **ret_key);
/* Whether all numbers of an RSA key belong together. SP_EINVALID. */
SP_MUST sp_err sp_pkey_check_rsa(sp_pkey *key);
/* Appends "ssh-rsa", exponent and modulus as on the wire. SP_EUNSUPPORTED: it is no RSA key. */
SP_MUST sp_err sp_pkey_ssh_rsa(const sp_pkey *key, sp_buf *out);
/* Appends the signature of RFC 8332 over a message, without its wrapping. SP_EUNSUPPORTED: an
 * algorithm other than rsa-sha2-256 and rsa-sha2-512. */
SP_MUST sp_err sp_pkey_ssh_rsa_sign(sp_pkey *key, sp_span algorithm, sp_span message, sp_buf *out);

#endif

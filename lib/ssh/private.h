/* SPDX-License-Identifier: Apache-2.0
 * Private keys of SSH as ssh-keygen writes them ("BEGIN OPENSSH PRIVATE KEY"), without passphrase,
 * and what a client of SSH signs to log in with one.
 * OWNS nothing: spans point into what was given, or into room, which the caller wipes. PROCESS
 * vault. TRUST files and bytes to be signed are hostile. SPEC OpenSSH PROTOCOL.key, RFC 4252 7,
 * RFC 8332 3.
 */
#ifndef SP_SSH_PRIVATE_H
#define SP_SSH_PRIVATE_H

#include "lib/ssh/key.h"

enum { SP_SSH_PRIVATE_MAX_BYTES = 8 * 1024, SP_SSH_ED25519_PAIR_BYTES = 64 };

typedef struct {
    uint8_t type;      /* SP_SSH_KEY_ED25519 or SP_SSH_KEY_RSA */
    sp_span ed25519;   /* seed and public half, 64 bytes */
    sp_span modulus;   /* RSA: numbers without a leading zero */
    sp_span exponent;  /* public */
    sp_span secret;    /* private exponent */
    sp_span primes[2]; /* p, q */
    sp_span inverse;   /* of q, mod p */
} sp_ssh_private;

/* room is emptied, and holds the secret afterwards, also when this fails: to be wiped.
 * SP_ENOTFOUND: it is no such text; SP_EUNSUPPORTED: it has a passphrase, or is of another
 * algorithm; SP_EINVALID. Whether the halves belong together is checked by whoever uses it. */
SP_MUST sp_err sp_ssh_private_parse(sp_span text, sp_buf *room, sp_ssh_private *ret_key);

/* The request of RFC 4252 7 behind the session's identifier: whoever signs it logs in as that
 * user, in that session, and can do nothing else. */
typedef struct {
    sp_span user;
    sp_span algorithm; /* "ssh-ed25519", "rsa-sha2-512" */
    sp_span blob;      /* the public key */
} sp_ssh_login;

/* SP_EINVALID, SP_ESHORT, SP_ELIMIT: it is anything else. */
SP_MUST sp_err sp_ssh_login_parse(sp_span bytes, sp_ssh_login *ret_login);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Signatures of SSH: whether a signature blob over some bytes is that of a public key.
 * OWNS nothing. PROCESS ssh gate, core. TRUST key, bytes and signature are hostile.
 * SPEC RFC 4253 6.6, RFC 5656 3.1.2, RFC 8332 3, RFC 8709 6, OpenSSH PROTOCOL.u2f.
 */
#ifndef SP_CRYPTO_SSH_H
#define SP_CRYPTO_SSH_H

#include "lib/proto/ssh_cert.h"

/* SP_EDENIED: it is not. SP_EUNSUPPORTED: an algorithm that is not taken (SHA-1) or not this key's.
 * SP_EINVALID: malformed. Of a security key the flags must say that a person was present. */
SP_MUST sp_err sp_ssh_verify(const sp_ssh_key *key, sp_span bytes, sp_span signature);
/* The authority's signature of a certificate. */
SP_MUST sp_err sp_ssh_cert_verify(const sp_ssh_cert *cert);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The keys of SSH: the gate's host key, the CA that targets trust, the CA of people's certificates.
 *
 * Story: all three are made when the office gets an SSH gate. The host key (P-256) signs key
 * exchanges by the same message as TLS handshakes, for the SSH gate alone. The CAs (Ed25519) sign
 * user certificates for core, who has decided; here their lives are bounded, whatever core says: an
 * hour for a target, twelve for the gate itself. Nothing here signs host certificates.
 *
 * OWNS nothing. PROCESS vault. TRUST requests come from core, which may have been taken over.
 * SPEC OpenSSH PROTOCOL.certkeys; RFC 4253, RFC 5656, RFC 8709.
 */
#ifndef SP_VAULT_SSH_H
#define SP_VAULT_SSH_H

#include "vault/keyring.h"

#define SP_SSH_HOST_KEY "ssh-host"

SP_MUST sp_err sp_ssh_vault_prepare(sp_keyring *ring, uint64_t now_unix_s, bool *made);
/* Forgets the host key, in memory; what prepares makes another one. SP_ENOTFOUND: no SSH gate. */
SP_MUST sp_err sp_ssh_vault_forget_host(sp_keyring *ring);
/* Appends the public key as SSH's wire has it. SP_ENOTFOUND: this office has no SSH gate. */
SP_MUST sp_err sp_ssh_vault_public(sp_keyring *ring, sp_vault_ssh_key which, sp_buf *out);
/* Appends the certificate. SP_EINVALID: not a key that is certified, no principal, a life out of
 * bounds, options out of order. SP_ENOTFOUND. */
SP_MUST sp_err sp_ssh_vault_certify(sp_keyring *ring, const sp_vault_ssh_certify *ask,
                                    uint64_t now_unix_s, uint64_t *ret_serial, sp_buf *out);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Private keys of accounts on machines that know no certificates: given by an administrator or made
 * here, used here, handed to nobody. All that they ever sign is the request by which the gate logs
 * in as the account that the key is kept for.
 * OWNS nothing. PROCESS vault. TRUST names, key files and bytes come from core, which may have been
 * taken over. SPEC RFC 4252 7, RFC 8332, RFC 8709; OpenSSH PROTOCOL.key.
 */
#ifndef SP_VAULT_ACCOUNT_KEY_H
#define SP_VAULT_ACCOUNT_KEY_H

#include "vault/keyring.h"

/* Keeps or replaces one, in memory; sp_keyring_save() keeps it for good. Appends the public key as
 * on SSH's wire. SP_EINVALID: a name that is not "<resource>/<account>", a key whose halves do not
 * belong together; SP_EUNSUPPORTED: it has a passphrase, or is not Ed25519 or RSA of 2048 to 4096
 * bits; SP_ELIMIT: too many. */
SP_MUST sp_err sp_account_key_put(sp_keyring *ring, const sp_vault_ssh_named *ask,
                                  uint64_t now_unix_s, sp_buf *out);
SP_MUST sp_err sp_account_key_remove(sp_keyring *ring, sp_span name);
/* Those behind what is in the list. */
void sp_account_key_list(sp_keyring *ring, sp_vault_keys *keys);
/* SP_ENOTFOUND. */
SP_MUST sp_err sp_account_key_public(sp_keyring *ring, sp_span name, sp_buf *out);
/* Appends the signature as on SSH's wire. SP_EINVALID: it is no log-in as this account with this
 * key, or by an algorithm of SHA-1; SP_ENOTFOUND. */
SP_MUST sp_err sp_account_key_sign(sp_keyring *ring, const sp_vault_ssh_named *ask, sp_buf *out);

#endif

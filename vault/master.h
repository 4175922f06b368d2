/* SPDX-License-Identifier: Apache-2.0
 * Where the master key comes from. Providers are asked in order; the first that has one wins, and a
 * new office gets its master key from the last one (the file).
 *
 *   credential   $CREDENTIALS_DIRECTORY/sallyport-master: systemd LoadCredentialEncrypted=, which
 * can bind it to the TPM; read once, never written file         <state>/vault/master.key: 32 bytes,
 * 0600, owned by the vault's user
 *
 * OWNS nothing. PROCESS vault, once at start. TRUST files are the vault's own; owner, mode and size
 * are checked. SPEC docs/ARCHITECTURE.md "Vault".
 */
#ifndef SP_VAULT_MASTER_H
#define SP_VAULT_MASTER_H

#include "infra/crypto/aead.h"

typedef struct {
    const char *word; /* "credential", "file" */
    /* SP_ENOTFOUND = this provider has none; anything else stops the search. */
    sp_err (*load)(const char *dir, sp_key *ret_master, sp_buf *why);
} sp_master_provider;

/* The credential alone, which root may have to read before it becomes the vault's user.
 * SP_ENOTFOUND: there is none. */
SP_MUST sp_err sp_master_credential(sp_key *ret_master, sp_buf *why);

/* dir: the vault's state. fresh: there is no keyring yet, so a missing master key is made. why: one
 * sentence on failure. *ret_word names the provider. */
SP_MUST sp_err sp_master_load(const char *dir, bool fresh, sp_key *ret_master,
                              const char **ret_word, sp_buf *why);

#endif

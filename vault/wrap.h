/* SPDX-License-Identifier: Apache-2.0
 * Sealing of other roles' small secrets, each role by a key of its own, so that core cannot open
 * what is the ledger's.
 * OWNS nothing: keys are in the keyring. PROCESS vault. TRUST wrapped bytes may be hostile.
 * SPEC lib/proto/vault_msg.h "WRAP".
 */
#ifndef SP_VAULT_WRAP_H
#define SP_VAULT_WRAP_H

#include "vault/keyring.h"

/* owner: "core", "ledger", "keeper". */
SP_MUST sp_err sp_wrap_prepare(sp_keyring *ring, uint64_t now_unix_s, bool *made);
SP_MUST sp_err sp_wrap(sp_keyring *ring, const char *owner, const sp_vault_wrap *ask, sp_buf *out);
/* The caller wipes *out. SP_ECORRUPT. */
SP_MUST sp_err sp_unwrap(sp_keyring *ring, const char *owner, const sp_vault_wrap *ask,
                         sp_buf *out);

#endif

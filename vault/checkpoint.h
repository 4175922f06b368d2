/* SPDX-License-Identifier: Apache-2.0
 * Signing of the ledger's tree heads, each only after proof that it grows out of the last one.
 *
 * Story: the ledger asks with the new size and root and a consistency proof from the last signed
 * checkpoint. The vault remembers that one in a file of its own (sealed, synced before the note is
 * given out), so a ledger that was rolled back, forked or rewritten finds nobody to sign for it,
 * even when its own disk was changed by hand.
 *
 * The file is written on a thread of the loop's pool, because the same process signs TLS handshakes
 * meanwhile; one at a time.
 *
 * OWNS the last checkpoint. PROCESS vault. TRUST sizes, root and proof come from the ledger, which
 * may have been taken over. SPEC RFC 6962 2.1.2, C2SP tlog-checkpoint and signed-note.
 */
#ifndef SP_VAULT_CHECKPOINT_H
#define SP_VAULT_CHECKPOINT_H

#include "vault/keyring.h"

#include <uv.h>

typedef struct sp_checkpoints sp_checkpoints;
/* note is valid during the call only. */
typedef void (*sp_checkpoint_signed)(void *self, sp_err err, sp_span note);

/* Makes the key when there is none (*made), and reads the last checkpoint. A missing or changed
 * file beside an existing key is SP_ECORRUPT at each signing, not at start: the rest goes on. */
SP_MUST sp_err sp_checkpoints_new(uv_loop_t *loop, sp_keyring *ring, sp_span origin,
                                  uint64_t now_unix_s, bool *made, sp_checkpoints **ret);
/* Call before the first request and after the ring was saved: writes the empty state of a fresh
 * key. */
SP_MUST sp_err sp_checkpoints_start(sp_checkpoints *checkpoints);
bool sp_checkpoints_usable(const sp_checkpoints *checkpoints);
/* Only when nothing is being written: after the loop has ended. */
void sp_checkpoints_free(sp_checkpoints *checkpoints);

/* done is called exactly once, possibly before this returns. SP_ECONFLICT, SP_EAGAIN (one is being
 * written), SP_EIO, SP_ECORRUPT. */
void sp_checkpoints_sign(sp_checkpoints *checkpoints, const sp_vault_checkpoint *ask,
                         sp_checkpoint_signed done, void *self);
/* Spans are borrowed until the next signing. */
SP_MUST sp_err sp_checkpoints_last(const sp_checkpoints *checkpoints,
                                   sp_vault_checkpoint_last *ret_last);

#endif

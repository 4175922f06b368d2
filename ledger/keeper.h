/* SPDX-License-Identifier: Apache-2.0
 * What the ledger gets from the vault: its key-encryption key at the start, and signed checkpoints.
 *
 * The key-encryption key is made here, wrapped by the vault, and kept wrapped in the file "kek". A
 * checkpoint is signed only when it grows out of the last one signed: the vault remembers that one,
 * so files that were rolled back or forked stop the ledger at its start.
 *
 * OWNS its line to the vault. PROCESS ledger. TRUST the vault; its replies are still bounded.
 * SPEC lib/proto/vault_msg.h; c2sp.org/tlog-checkpoint.
 */
#ifndef SP_LEDGER_KEEPER_H
#define SP_LEDGER_KEEPER_H

#include "infra/crypto/aead.h"
#include "infra/proc/config.h"
#include "ledger/journal.h"
#include "lib/merkle/note.h"

#include <uv.h>

/* ---- before the loop runs; may wait some seconds ---- */

/* why: one sentence, on failure. may_make: there are no records yet. */
SP_MUST sp_err sp_keeper_kek(const sp_config *config, const char *path, bool may_make,
                             sp_key *ret_kek, sp_buf *why);

typedef struct sp_keeper sp_keeper;
typedef void (*sp_keeper_signed)(void *self);

/* Compares the store with the last checkpoint that the vault signed; SP_ECORRUPT when the store
 * does not hold it: rolled back or forked. */
SP_MUST sp_err sp_keeper_new(uv_loop_t *loop, const sp_config *config, sp_journal *store,
                             sp_buf *why, sp_keeper **ret_keeper);
void sp_keeper_free(sp_keeper *keeper);

/* The store has settled: has its size signed and writes the checkpoint file. One at a time; done
 * is always called, also when nothing was signed. */
void sp_keeper_sign(sp_keeper *keeper, sp_keeper_signed done, void *self);
/* The last checkpoint: size, the note, when. Size 0 and an empty note when there is none yet. */
uint64_t sp_keeper_size(const sp_keeper *keeper);
sp_span sp_keeper_note(const sp_keeper *keeper);
uint64_t sp_keeper_signed_unix_us(const sp_keeper *keeper);
/* C2SP verifier key of the checkpoints. */
sp_span sp_keeper_verifier_key(const sp_keeper *keeper);
/* Why the last signing failed; empty when it did not. */
const char *sp_keeper_trouble(const sp_keeper *keeper);

#endif

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

#include "lib/base/reader.h"
#include "vault/keyring.h"

#include <uv.h>

/* The last tree head signed: what the file "checkpoint" remembers. */
typedef struct {
    uint64_t size;
    sp_hash root;
    uint8_t note[SP_VAULT_NOTE_MAX_BYTES];
    size_t note_len;
} sp_checkpoint_head;
void sp_checkpoint_head_encode(const sp_checkpoint_head *head, sp_buf *out);
sp_checkpoint_head sp_checkpoint_head_read(sp_reader *in);

/* The file, sealed by a key of the ring's master key. */
SP_MUST sp_err sp_checkpoint_load(const sp_keyring *ring, sp_checkpoint_head *ret_head);
SP_MUST sp_err sp_checkpoint_store(const sp_keyring *ring, const sp_checkpoint_head *head);

/* A ledger that begins anew (its files are lost) is another log: it gets a key and an origin of its
 * own, "<domain>/2", so that its heads can never pass for those of the first. In memory; the caller
 * saves the ring and stores an empty head. */
unsigned sp_checkpoint_log(sp_keyring *ring); /* 1 = the first; 0 = no key yet */
SP_MUST sp_err sp_checkpoint_next_log(sp_keyring *ring, uint64_t now_unix_s);
sp_checkpoint_head sp_checkpoint_empty(void);

typedef struct sp_checkpoints sp_checkpoints;
/* note is valid during the call only. */
typedef void (*sp_checkpoint_signed)(void *self, sp_err err, sp_span note);

/* domain: the origin of the first log. Makes the key when there is none (*made), and reads the last
 * checkpoint. A missing or changed file beside an existing key is SP_ECORRUPT at each signing, not
 * at start: the rest goes on. */
SP_MUST sp_err sp_checkpoints_new(uv_loop_t *loop, sp_keyring *ring, sp_span domain,
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

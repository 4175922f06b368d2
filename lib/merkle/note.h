/* SPDX-License-Identifier: Apache-2.0
 * Signed notes, checkpoints, verifier keys, cosignatures and tile paths: the texts of a
 * transparency log. Signatures are made and verified elsewhere (infra/crypto/sign.h).
 * OWNS nothing: spans point into the parsed text. PROCESS ledger, vault, command line.
 * TRUST notes are hostile. SPEC c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature,
 * tlog-tiles.
 */
#ifndef SP_MERKLE_NOTE_H
#define SP_MERKLE_NOTE_H

#include "lib/base/buf.h"
#include "lib/base/sha256.h"

enum {
    SP_NOTE_MAX_BYTES = 8 * 1024,
    SP_NOTE_NAME_MAX_BYTES = 255,
    SP_NOTE_SIGS_MAX = 16,
    SP_NOTE_SIG_MAX_BYTES = 128,
    SP_NOTE_KEY_ID_BYTES = 4,
    SP_NOTE_KEY_BYTES = 32
};

/* The byte before the public key in a verifier key. */
typedef enum { SP_NOTE_ED25519 = 0x01, SP_NOTE_COSIGNATURE = 0x04 } sp_note_alg;

typedef struct {
    sp_span name;
    uint8_t key_id[SP_NOTE_KEY_ID_BYTES];
    uint8_t bytes[SP_NOTE_SIG_MAX_BYTES];
    size_t len;
} sp_note_sig;

typedef struct {
    sp_span text; /* what is signed, with its last newline */
    size_t count;
    sp_note_sig sigs[SP_NOTE_SIGS_MAX];
} sp_note;

SP_MUST sp_err sp_note_parse(sp_span bytes, sp_note *ret_note);
/* "— name base64(key id, signature)\n" */
void sp_note_sig_line(sp_span name, const uint8_t key_id[SP_NOTE_KEY_ID_BYTES], sp_span signature,
                      sp_buf *out);

typedef struct {
    sp_span origin;
    uint64_t size;
    sp_hash root;
} sp_checkpoint;

/* The text to be signed: origin, size, root, each on a line. */
void sp_checkpoint_text(const sp_checkpoint *checkpoint, sp_buf *out);
SP_MUST sp_err sp_checkpoint_parse(sp_span text, sp_checkpoint *ret_checkpoint);

typedef struct {
    sp_span name;
    uint8_t key_id[SP_NOTE_KEY_ID_BYTES];
    uint8_t alg; /* sp_note_alg */
    uint8_t key[SP_NOTE_KEY_BYTES];
} sp_note_key;

/* Fills the key id. name holds no blank and no '+'. */
sp_note_key sp_note_key_of(sp_span name, sp_note_alg alg, const uint8_t key[SP_NOTE_KEY_BYTES]);
/* "name+hex key id+base64(alg, key)" */
void sp_note_key_text(const sp_note_key *key, sp_buf *out);
SP_MUST sp_err sp_note_key_parse(sp_span text, sp_note_key *ret_key);
/* The first signature line of that name and key id, or NULL. */
const sp_note_sig *sp_note_find(const sp_note *note, const sp_note_key *key);

/* What a witness signs: "cosignature/v1\ntime T\n" and the checkpoint's text. Its signature line
 * holds the time (u64), then the signature. */
void sp_cosignature_text(uint64_t time_unix_s, sp_span checkpoint_text, sp_buf *out);
void sp_cosignature_line(const sp_note_key *key, uint64_t time_unix_s, sp_span signature,
                         sp_buf *out);
/* Time and Ed25519 signature of a cosignature line; SP_EINVALID when it has not that form. */
SP_MUST sp_err sp_cosignature_split(const sp_note_sig *sig, uint64_t *ret_time_unix_s,
                                    sp_span *ret_signature);

/* "tile/1/x001/234" and for a partial tile ".p/<width>"; level < 0 is "tile/entries/...". */
void sp_tile_path(int level, uint64_t index, unsigned width, sp_buf *out);

#endif

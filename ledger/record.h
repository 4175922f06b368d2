/* SPDX-License-Identifier: Apache-2.0
 * A record: the bytes that a leaf of the tree covers. A head that says nothing about a person, then
 * a batch of events as OCSF JSON, sealed.
 *
 *     form u8 | key id u64 | source u64 | first seq u64 | last seq u64 | first time u64 |
 *     last time u64 | count u16 | salt 16 | commitment 32 | sealed JSON | tag 16
 *
 * The secret of a record is HChaCha20(subject's key, salt): random-looking, of this record only, so
 * that one record can be opened for somebody without the subject's key. The JSON is sealed with it
 * (ChaCha20-Poly1305, the head is bound), and the commitment SHA-256(0x02 || secret) binds the
 * record to one secret: no other can open the same bytes to another text. Without the subject's key
 * a record is noise, and so is its hash: destroying the key erases it while every proof still
 * holds. A record of the ledger itself (form OPEN) holds nothing personal and is not sealed.
 *
 * OWNS nothing. PROCESS ledger, command line. TRUST stored bytes may be changed by anyone who has
 * the disk. SPEC ledger/README.md; RFC 8439.
 */
#ifndef SP_LEDGER_RECORD_H
#define SP_LEDGER_RECORD_H

#include "infra/crypto/aead.h"
#include "lib/base/buf.h"
#include "lib/base/sha256.h"

typedef enum {
    SP_RECORD_SEALED = 1,
    SP_RECORD_OPEN = 2,
    SP_RECORD_ERASED = 0xFF /* zeroes behind the head: only the leaf hash is left */
} sp_record_form;

enum {
    SP_RECORD_SALT_BYTES = 16,
    SP_RECORD_TAG_BYTES = 16,
    SP_RECORD_HEAD_BYTES = 1 + 6 * 8 + 2 + SP_RECORD_SALT_BYTES + SP_SHA256_BYTES,
    SP_RECORD_MAX_BYTES = UINT16_MAX /* C2SP entry bundles have 16-bit lengths */
};

typedef struct {
    uint8_t form; /* sp_record_form */
    uint64_t key_id;
    uint64_t source;
    uint64_t first_seq; /* lowest and highest; others of that source may lie between */
    uint64_t last_seq;
    uint64_t first_unix_us;
    uint64_t last_unix_us; /* when it was written: no event of it is younger */
    uint16_t count;        /* events */
    uint8_t salt[SP_RECORD_SALT_BYTES];
} sp_record_head;

/* Record bytes for a plain text of that length. */
static inline size_t sp_record_size(size_t plain_len)
{
    return SP_RECORD_HEAD_BYTES + plain_len + SP_RECORD_TAG_BYTES;
}

/* Completes a record in place: the plain text already stands behind the room for the head. key is
 * NULL for form OPEN (the tag is zero then). */
void sp_record_finish(const sp_record_head *head, const sp_key *subject, uint8_t *record,
                      size_t plain_len);
SP_MUST sp_err sp_record_head_read(sp_span record, sp_record_head *ret_head);
/* The secret that opens this record alone. */
sp_key sp_record_secret(const sp_record_head *head, const sp_key *subject);
/* Appends the JSON. secret may be NULL for form OPEN. SP_ECORRUPT; SP_ENOTFOUND when erased. */
SP_MUST sp_err sp_record_open(sp_span record, const sp_key *secret, sp_buf *out);

#endif

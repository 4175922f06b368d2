/* SPDX-License-Identifier: Apache-2.0
 * An encrypted file that holds another file whole: the store's copy.
 *
 *     "SPBACK01" | u32 length of the head | head | secretstream header (24) | chunk ...
 *     head:  created u64 | salt (16) | operations u32 | memory u64 |
 *            data key sealed by the passphrase (bytes) | data key sealed by the vault (bytes)
 *     chunk: u32 length | secretstream ciphertext of at most 64 KiB; the last one is tagged FINAL
 *
 * A random data key encrypts; it is sealed under argon2id of the recovery passphrase, and, when the
 * vault was there, by the vault's backup key. The head is bound to the first chunk: a changed head
 * does not verify. A cut file has no FINAL and is refused.
 *
 * OWNS nothing. PROCESS the backup command. TRUST a file to be opened is hostile.
 * SPEC libsodium crypto_secretstream_xchacha20poly1305, crypto_pwhash.
 */
#ifndef SP_CORE_BACKUP_ARCHIVE_H
#define SP_CORE_BACKUP_ARCHIVE_H

#include "infra/crypto/aead.h"

enum {
    SP_ARCHIVE_HEAD_MAX_BYTES = 4096,
    SP_ARCHIVE_SEALED_MAX_BYTES = 1024,
    SP_ARCHIVE_SALT_BYTES = 16,
    SP_ARCHIVE_PASSPHRASE_MIN_BYTES = 12
};

typedef struct {
    uint64_t created_unix_us;
    uint8_t salt[SP_ARCHIVE_SALT_BYTES];
    uint32_t operations;
    uint64_t memory_bytes;
    sp_span by_passphrase;
    sp_span by_vault; /* empty = the vault was not there */
} sp_archive_head;

/* A new head (created, salt, costs) and the data key sealed by the passphrase, appended to *sealed
 * (which by_passphrase points into: fill nothing else in). Takes a second, on purpose. */
SP_MUST sp_err sp_archive_lock(sp_span passphrase, const sp_key *data_key, sp_buf *sealed,
                               sp_archive_head *ret_head);
/* SP_EDENIED: another passphrase. */
SP_MUST sp_err sp_archive_unlock(const sp_archive_head *head, sp_span passphrase, sp_key *ret_key);

/* Reads from, writes to; both are whole files at their start. */
SP_MUST sp_err sp_archive_write(int from, int to, const sp_archive_head *head, const sp_key *key);
/* The head of an open file; spans point into *room. SP_EINVALID: not a backup. */
SP_MUST sp_err sp_archive_read_head(int from, sp_buf *room, sp_archive_head *ret_head);
/* What follows the head, decrypted. SP_ECORRUPT: changed, or cut. room: as read_head left it. */
SP_MUST sp_err sp_archive_read(int from, int to, const sp_buf *room, const sp_key *key);
/* The head itself, for tests: strict. */
SP_MUST sp_err sp_archive_head_decode(sp_span bytes, sp_archive_head *ret_head);

#endif

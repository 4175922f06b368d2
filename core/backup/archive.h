/* SPDX-License-Identifier: Apache-2.0
 * An encrypted file that holds another file whole, the store's copy, and the vault's part.
 *
 *     "SPBACK02" | u32 length of the head | head | secretstream header (24) | chunk ...
 *     head:  created u64 | salt (16) | operations u32 | memory u64 |
 *            data key sealed by the passphrase (bytes) | the vault's part, sealed (bytes)
 *     chunk: u32 length | secretstream ciphertext of at most 64 KiB; the last one is tagged FINAL
 *
 * argon2id of the passphrase gives two keys. One seals the random data key that encrypts the store
 * and, once more, what the vault has exported. The other is the seed of the key pair that the vault
 * seals its export to: with the data key alone, which core's user holds, it stays closed. The head
 * is bound to the first chunk: a changed head does not verify. A cut file has no FINAL and is
 * refused.
 *
 * OWNS nothing. PROCESS the backup command. TRUST a file to be opened is hostile.
 * SPEC libsodium crypto_secretstream_xchacha20poly1305, crypto_pwhash.
 */
#ifndef SP_CORE_BACKUP_ARCHIVE_H
#define SP_CORE_BACKUP_ARCHIVE_H

#include "infra/crypto/aead.h"

enum {
    SP_ARCHIVE_HEAD_MAX_BYTES = 112 * 1024,
    SP_ARCHIVE_SEALED_MAX_BYTES = 1024,
    SP_ARCHIVE_VAULT_MAX_BYTES = 100 * 1024,
    SP_ARCHIVE_SALT_BYTES = 16,
    SP_ARCHIVE_PASSPHRASE_MIN_BYTES = 12
};

typedef struct {
    uint64_t created_unix_us;
    uint8_t salt[SP_ARCHIVE_SALT_BYTES];
    uint32_t operations;
    uint64_t memory_bytes;
    sp_span by_passphrase;
    sp_span vault;
} sp_archive_head;

typedef struct {
    sp_key lock;       /* of the data key */
    sp_key vault_seed; /* of the key pair for the vault's export: infra/crypto/box.h */
} sp_archive_keys;
void sp_archive_keys_wipe(sp_archive_keys *keys);

/* created, salt and costs; the sealed parts are still empty. */
sp_archive_head sp_archive_head_new(void);
/* Takes a second and 256 MiB, on purpose. SP_ENOMEM. */
SP_MUST sp_err sp_archive_keys_of(const sp_archive_head *head, sp_span passphrase,
                                  sp_archive_keys *ret_keys);
/* Append to *sealed what the head's two parts shall point to. */
SP_MUST sp_err sp_archive_lock(const sp_archive_keys *keys, const sp_key *data_key, sp_buf *sealed);
SP_MUST sp_err sp_archive_lock_vault(const sp_key *data_key, sp_span exported, sp_buf *sealed);
/* SP_EDENIED: another passphrase. */
SP_MUST sp_err sp_archive_unlock(const sp_archive_head *head, const sp_archive_keys *keys,
                                 sp_key *ret_data_key);
SP_MUST sp_err sp_archive_unlock_vault(const sp_archive_head *head, const sp_key *data_key,
                                       sp_buf *exported);

/* Reads from, writes to; both are whole files at their start. */
SP_MUST sp_err sp_archive_write(int from, int to, const sp_archive_head *head, const sp_key *key);
/* The head of an open file; spans point into *room. SP_EINVALID: not a backup;
 * SP_EUNSUPPORTED: of another version. */
SP_MUST sp_err sp_archive_read_head(int from, sp_buf *room, sp_archive_head *ret_head);
/* What follows the head, decrypted. SP_ECORRUPT: changed, or cut. room: as read_head left it. */
SP_MUST sp_err sp_archive_read(int from, int to, const sp_buf *room, const sp_key *key);
/* The head itself, for tests: strict. */
SP_MUST sp_err sp_archive_head_decode(sp_span bytes, sp_archive_head *ret_head);

#endif

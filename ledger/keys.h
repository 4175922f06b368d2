/* SPDX-License-Identifier: Apache-2.0
 * The subjects' keys: one random key a person and 30 days, wrapped by the ledger's key-encryption
 * key, so that a person's old entries can be erased without the young ones.
 *
 * The file is a row of slots of the same size: key id u64 (random: records name it, and it tells
 * nothing) and sealed {person, period, key}. A new key is on disk before the first record that
 * needs it; destroying one overwrites its slot with zeroes.
 *
 * OWNS the keys in memory. PROCESS ledger, command line. TRUST the file may have been changed: a
 * slot that does not verify is reported, never used. SPEC ledger/README.md.
 */
#ifndef SP_LEDGER_KEYS_H
#define SP_LEDGER_KEYS_H

#include "infra/crypto/aead.h"

enum { SP_KEYS_PERIOD_DAYS = 30 };

typedef struct {
    uint64_t id;
    uint32_t person;
    uint32_t period; /* days since 1970 / SP_KEYS_PERIOD_DAYS */
    sp_key key;
} sp_subject_key;

typedef struct sp_keys sp_keys;

uint32_t sp_keys_period(uint64_t when_unix_us);

/* SP_ECORRUPT: a slot does not verify with this key-encryption key. writable: makes the file. */
SP_MUST sp_err sp_keys_open(const char *path, const sp_key *kek, bool writable, sp_keys **ret_keys);
void sp_keys_close(sp_keys *keys);

/* The key of a person now; made when there is none. Valid until the next call that changes keys.
 * A made key is durable only after sp_keys_take_new() and sp_keys_write(). */
SP_MUST sp_err sp_keys_of(sp_keys *keys, uint32_t person, uint64_t when_unix_us,
                          const sp_subject_key **ret_key);
/* NULL when it was destroyed. */
const sp_subject_key *sp_keys_find(const sp_keys *keys, uint64_t id);
/* Keys made since the last time, as they are to stand in the file at *ret_at; empty when there is
 * none. They count as written from now on: the caller writes them before any record that uses them,
 * and tries again as long as that fails. */
SP_MUST sp_err sp_keys_take_new(sp_keys *keys, sp_buf *out, uint64_t *ret_at);
/* On any thread: bytes at a place of the file, durable. */
SP_MUST sp_err sp_keys_write(const sp_keys *keys, sp_span bytes, uint64_t at);

/* Destroys keys whose period ended before the time; of one person, or of all with UINT32_MAX.
 * Their ids are appended (at most max). */
SP_MUST sp_err sp_keys_destroy(sp_keys *keys, uint32_t person, uint64_t before_unix_us,
                               uint64_t *ret_ids, size_t max, size_t *ret_count);
/* How many would be destroyed. */
size_t sp_keys_count_before(const sp_keys *keys, uint32_t person, uint64_t before_unix_us);

#endif

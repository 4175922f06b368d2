/* SPDX-License-Identifier: Apache-2.0
 * The search index: for each entry its times, whose it is and what kinds of events it holds. Made
 * out of the entries and never believed: it only says where to look. Persons and sessions stand in
 * it as keyed hashes, so that it tells nobody anything after a key was destroyed.
 * OWNS its SQLite file. PROCESS ledger, on its loop, in short steps. TRUST the file may have been
 * changed: what a search finds is read from the entries. SPEC ledger/README.md.
 */
#ifndef SP_LEDGER_INDEX_H
#define SP_LEDGER_INDEX_H

#include "infra/crypto/aead.h"
#include "lib/proto/ledger_msg.h"

typedef struct sp_index sp_index;

typedef struct {
    uint64_t entry;
    uint64_t first_unix_us;
    uint64_t last_unix_us;
    uint64_t session;
    uint32_t person;
    uint32_t kinds;   /* bits */
    uint8_t verdicts; /* bits */
} sp_index_row;

/* size: entries in the store; an index that knows more is thrown away. */
SP_MUST sp_err sp_index_open(const char *path, const sp_key *kek, uint64_t size,
                             sp_index **ret_index);
void sp_index_close(sp_index *index);
/* Entries below it are in the index. */
uint64_t sp_index_upto(const sp_index *index);
/* In order of entries; what was put is seen by searches at once, and kept by sp_index_commit. When
 * one of these fails, what was put since the last commit is forgotten, and upto goes back. */
SP_MUST sp_err sp_index_put(sp_index *index, const sp_index_row *row);
/* An event that people ask for by its reference: a refusal, or a change. */
SP_MUST sp_err sp_index_put_reference(sp_index *index, uint64_t reference, uint64_t entry);
SP_MUST sp_err sp_index_commit(sp_index *index);

/* Entries in [from, to) that may match, newest first. visit returns false to stop. */
typedef bool (*sp_index_visit)(void *self, uint64_t entry);
SP_MUST sp_err sp_index_search(sp_index *index, const sp_ledger_search *search, uint64_t from,
                               uint64_t to, sp_index_visit visit, void *self);
/* Entries before that one which hold the reference, newest first. */
SP_MUST sp_err sp_index_reference(sp_index *index, uint64_t reference, uint64_t before,
                                  sp_index_visit visit, void *self);
bool sp_index_knows_reference(sp_index *index, uint64_t reference);
/* Entries of a person whose newest event is before the time. */
SP_MUST sp_err sp_index_count_person(sp_index *index, uint32_t person, uint64_t before_unix_us,
                                     uint64_t *ret_count);

#endif

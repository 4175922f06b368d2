/* SPDX-License-Identifier: Apache-2.0
 * The ledger's files: entries, hashes, and where each entry stands.
 *
 *     entries/00000001        segments: groups of records, append-only, at most 64 MiB or 30 days
 *     hash/0 hash/1 ...       the tree by tile level: 0 = leaf hashes, 1 = runs of 256, ...
 *     places                  u64 an entry: segment << 36 | offset
 *     state                   size, root and sources at the last settle; where the next group goes
 *     checkpoint              the last signed note
 *
 * A group is what one fdatasync makes durable: head {magic, first entry, count, sizes, check}, the
 * records each behind its u16 length (as in a C2SP entry bundle), and marks {source, seq, lost}.
 * The check covers the head, the marks and all leaf hashes, so a torn group shows. Hashes, places
 * and state follow from the groups: recovery takes them from the last settled state and reads the
 * groups behind it again.
 *
 * Story: the ledger's loop fills a group (ledger/batch.h) and lets a worker thread
 * sp_journal_write() it, then calls sp_journal_publish(); readers see an entry only then. Once a
 * second, when there is news, sp_journal_settle() makes hashes and state durable, and a checkpoint
 * can be signed.
 *
 * OWNS its files and descriptors. PROCESS ledger, command line (read-only). TRUST files may have
 * been changed by anyone who has the disk: what does not verify is an error, never repaired in
 * silence; only an unfinished last group is cut off. SPEC ledger/README.md; c2sp.org/tlog-tiles.
 */
#ifndef SP_LEDGER_JOURNAL_H
#define SP_LEDGER_JOURNAL_H

#include "ledger/record.h"
#include "lib/merkle/tree.h"

enum {
    SP_JOURNAL_SEGMENT_BYTES = 64 * 1024 * 1024,
    SP_JOURNAL_GROUP_MAX_BYTES = 48 * 1024 * 1024,
    SP_JOURNAL_MARKS_MAX = 4096,
    SP_GROUP_HEAD_BYTES = 64,
    SP_RECORD_LEN_BYTES = 2 /* before each record */
};

typedef struct {
    uint64_t source;
    uint64_t seq;  /* highest on disk */
    uint64_t lost; /* losses written down so far */
} sp_mark;

/* A group being filled: bytes holds room for the head, then records. */
typedef struct {
    sp_buf bytes;
    uint32_t *at; /* place of each record's length in bytes */
    size_t count;
    size_t cap;
    sp_mark *marks;
    size_t marks_count;
    size_t marks_cap;
    sp_hash *leaves; /* filled by sp_journal_write */
    size_t leaves_cap;
    uint64_t period; /* of its newest entry: a new one starts a segment */
} sp_group;

void sp_group_init(sp_group *group);
void sp_group_done(sp_group *group);
void sp_group_reset(sp_group *group);
/* Counts the record that was appended to bytes behind its u16 length, at that place. */
SP_MUST sp_err sp_group_add(sp_group *group, size_t at);
SP_MUST sp_err sp_group_mark(sp_group *group, const sp_mark *mark);

typedef struct sp_journal sp_journal;

/* writable: recovers and makes what is missing. why: one sentence for people, on failure. */
SP_MUST sp_err sp_journal_open(const char *dir, bool writable, sp_buf *why, sp_journal **ret_store);
void sp_journal_close(sp_journal *store);

uint64_t sp_journal_size(const sp_journal *store);
/* Entries before it have expired: their segments are gone, their leaf hashes stay. */
uint64_t sp_journal_first(const sp_journal *store);
/* Opened read-only: entries behind the settled state, whole, but not under its root yet. */
uint64_t sp_journal_tail(const sp_journal *store);
uint64_t sp_journal_bytes(const sp_journal *store);
const sp_merkle *sp_journal_tree(const sp_journal *store);
sp_merkle_source sp_journal_hashes(sp_journal *store);
/* The tree of the first `size` entries has that root; SP_ECORRUPT when not, or there are fewer. */
SP_MUST sp_err sp_journal_holds(sp_journal *store, uint64_t size, const sp_hash *root);
const sp_mark *sp_journal_marks(const sp_journal *store, size_t *ret_count);
/* The record of an entry into an emptied buf. SP_ENOTFOUND: expired or not there yet. */
SP_MUST sp_err sp_journal_read(sp_journal *store, uint64_t entry, sp_buf *record);
SP_MUST sp_err sp_journal_leaf(sp_journal *store, uint64_t entry, sp_hash *ret_leaf);

/* On a worker thread, one at a time: appends and makes durable. On failure nothing has changed and
 * the same group can be written again. */
SP_MUST sp_err sp_journal_write(sp_journal *store, sp_group *group);
/* On the loop, after a write that worked: readers see it. */
void sp_journal_publish(sp_journal *store);
/* Hashes, places and state of what is written to the disk; as sp_journal_write. */
SP_MUST sp_err sp_journal_settle(sp_journal *store);

/* Zeroes a record's body and marks it erased; only for an entry whose redaction is on disk. */
SP_MUST sp_err sp_journal_erase(sp_journal *store, uint64_t entry);
/* Entries that whole old segments hold: [first, *ret_until), all of them with their newest event
 * before the time. Equal to first when there is none. */
SP_MUST sp_err sp_journal_expirable(sp_journal *store, uint64_t before_unix_us,
                                    uint64_t *ret_until);
/* Removes the segments that hold only entries below until. */
SP_MUST sp_err sp_journal_expire(sp_journal *store, uint64_t until);

SP_MUST sp_err sp_journal_checkpoint_read(const sp_journal *store, sp_buf *note);
SP_MUST sp_err sp_journal_checkpoint_write(const sp_journal *store, sp_span note);
/* The verifier key of the checkpoints, for people: it proves nothing by standing here. */
SP_MUST sp_err sp_journal_key_read(const sp_journal *store, sp_buf *key);
SP_MUST sp_err sp_journal_key_write(const sp_journal *store, sp_span key);
/* The last checkpoint that a witness has cosigned. */
SP_MUST sp_err sp_journal_cosigned_write(const sp_journal *store, sp_span note);

#endif

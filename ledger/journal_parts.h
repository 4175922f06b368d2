/* SPDX-License-Identifier: Apache-2.0
 * What the parts of the store share: its state, and files under its directory.
 * OWNS nothing of its own. PROCESS ledger, command line. TRUST as ledger/journal.h.
 * SPEC ledger/journal.h.
 */
#ifndef SP_LEDGER_JOURNAL_PARTS_H
#define SP_LEDGER_JOURNAL_PARTS_H

#include "ledger/journal.h"

#define SP_GROUP_MAGIC UINT64_C(0x53504c4752503031)
enum {
    SP_JOURNAL_LEVELS = 5, /* 256^5 entries */
    SP_PLACE_BYTES = 8,
    SP_PLACE_SHIFT = 36,
    SP_MARK_BYTES = 24
};

struct sp_journal {
    char *path;
    int dir;
    bool writable;
    int hash_fds[SP_JOURNAL_LEVELS];
    int places_fd;
    /* the writer's, ahead of what readers see between a write and its publishing */
    sp_merkle tree;
    uint32_t segment; /* being written, from 1 */
    int segment_fd;   /* -1 until the first write */
    uint64_t offset;
    uint64_t period; /* of the segment's first group */
    sp_mark *fresh;  /* of the group written last */
    size_t fresh_count;
    uint64_t tail; /* read-only: whole entries behind the settled state */
    /* the readers' */
    sp_merkle seen;
    uint64_t first;
    uint32_t first_segment;
    uint64_t bytes;
    int read_fd;
    uint32_t read_segment;
    sp_mark *marks;
    size_t marks_count;
};

typedef struct {
    uint64_t first_entry;
    uint32_t count;
    uint32_t payload_bytes;
    uint32_t marks;
    uint32_t period;
    uint8_t check[SP_SHA256_BYTES];
} sp_group_head;

void sp_group_head_write(const sp_group_head *head, uint8_t room[SP_GROUP_HEAD_BYTES]);
SP_MUST sp_err sp_group_head_read(sp_span bytes, sp_group_head *ret_head);
/* Over the head without its check, the marks' bytes and the leaf hashes. */
sp_hash sp_group_check(const uint8_t *head, sp_span marks, const sp_hash *leaves, size_t count);

SP_MUST sp_err sp_journal_segment_open(const sp_journal *store, uint32_t segment, int flags,
                                       int *ret_fd);
SP_MUST sp_err sp_journal_pwrite(int fd, sp_span bytes, uint64_t at);
SP_MUST sp_err sp_journal_pread(int fd, void *to, size_t len, uint64_t at);
/* The file of that name in the store's directory; SP_ENOTFOUND. */
SP_MUST sp_err sp_journal_file_read(const sp_journal *store, const char *name, sp_buf *out);
SP_MUST sp_err sp_journal_file_replace(const sp_journal *store, const char *name, sp_span bytes);
void sp_journal_mark(sp_journal *store, const sp_mark *mark);
/* Hashes and places of leaves that follow store->tree, into the files and the tree. */
SP_MUST sp_err sp_journal_extend(sp_journal *store, const sp_hash *leaves, const uint64_t *places,
                                 size_t count);

/* Reads state, checks hashes against it and takes in the groups behind it. */
SP_MUST sp_err sp_journal_recover(sp_journal *store, sp_buf *why);
/* Lowest and highest segment number; 0 and 0 when there is none. */
SP_MUST sp_err sp_journal_segments(const sp_journal *store, uint32_t *ret_low, uint32_t *ret_high);

#endif

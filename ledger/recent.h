/* SPDX-License-Identifier: Apache-2.0
 * What was committed last, as it came: who follows at the end of the ledger need not have entries
 * read back, opened and parsed that were here a moment ago.
 *
 * Only what is on disk is in it; an entry that is not, or no longer, or that would read back as
 * something else, is read from there. Entries lie one behind the other in the form of a FOLLOW's
 * reply (lib/proto/ledger_msg.h), the newest SP_RECENT_BYTES of them.
 *
 * OWNS its blocks, one a commit. PROCESS ledger. TRUST none: the bytes were decoded when they came.
 * SPEC ledger/README.md.
 */
#ifndef SP_LEDGER_RECENT_H
#define SP_LEDGER_RECENT_H

#include "ledger/batch.h"

enum { SP_RECENT_BYTES = 4 * 1024 * 1024 };

typedef struct sp_recent_block sp_recent_block;
typedef struct {
    sp_recent_block *first; /* the oldest */
    sp_recent_block *last;
    size_t bytes;
} sp_recent;

/* Entries first .. first + count - 1 hold the batch, which was built and is on disk. Too much, or
 * no memory: then it is not here. */
void sp_recent_add(sp_recent *recent, const sp_batch *batch, uint64_t first, uint64_t count);
/* Whole entries from that one on, as many as fit; *ret_count 0: it is not here, or does not fit.
 * Valid until the next sp_recent_add(). */
sp_span sp_recent_from(const sp_recent *recent, uint64_t entry, size_t max_bytes,
                       uint64_t *ret_count);
bool sp_recent_has(const sp_recent *recent, uint64_t entry);
void sp_recent_done(sp_recent *recent);

#endif

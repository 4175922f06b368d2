/* SPDX-License-Identifier: Apache-2.0
 * How many decisions each hour of the last week brought, by gate and verdict: for the overview, so
 * that it need not search. Counted as events become durable; kept in a small file once a minute, so
 * that after a start only what came since is read back (or the week, when the file is not there).
 * OWNS nothing but its numbers. PROCESS ledger, on its loop, in short steps. TRUST the file may
 * have been changed by whoever has the disk: it proves nothing, the entries do. SPEC
 * ledger/README.md.
 */
#ifndef SP_LEDGER_COUNTS_H
#define SP_LEDGER_COUNTS_H

#include "ledger/batch.h"
#include "ledger/lookup.h"

typedef struct {
    uint64_t upto;          /* entries below it are counted */
    uint64_t kept_upto;     /* in the file */
    sp_ledger_counts hours; /* the last one is hours.last_hour */
} sp_counts;

/* One decision (or as many as its count says). What is older than the week is left out. */
void sp_counts_add(sp_counts *counts, uint64_t when_unix_us, uint8_t gate, uint8_t verdict,
                   uint64_t count);
/* The decisions of a batch whose first record is that entry, if all before it are counted; size:
 * entries in the journal now. */
void sp_counts_batch(sp_counts *counts, const sp_batch *batch, uint64_t first_entry, uint64_t size);
/* Moves the window on to an hour. */
void sp_counts_turn(sp_counts *counts, uint64_t now_unix_us);
/* From the file, or from the first entry of the week. */
void sp_counts_load(sp_counts *counts, const char *path, sp_journal *store, uint64_t now_unix_us);
/* Writes the file when there is news. */
SP_MUST sp_err sp_counts_keep(sp_counts *counts, const char *path);
/* Reads entries back until the deadline; true = there are more. */
bool sp_counts_slice(sp_counts *counts, const sp_lookup *lookup, uint64_t deadline_us);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Reading the ledger: opening entries, matching events, pages of a search.
 *
 * The index narrows, the entries decide: each candidate is opened and each of its events compared
 * with the whole filter. A page ends when it is full or its time is up; then it says where to go
 * on.
 *
 * OWNS nothing. PROCESS ledger, command line. TRUST entries may have been changed by anyone who has
 * the disk: one that does not open is passed over here and found by verify. SPEC ledger/README.md.
 */
#ifndef SP_LEDGER_LOOKUP_H
#define SP_LEDGER_LOOKUP_H

#include "ledger/index.h"
#include "ledger/journal.h"
#include "ledger/keys.h"
#include "lib/proto/ledger_msg.h"

#include <jansson.h>

typedef struct {
    sp_journal *store;
    const sp_keys *keys;
    sp_index *index; /* NULL: every entry is looked into */
} sp_lookup;

/* The JSON of an entry into an emptied buf. SP_ENOTFOUND: erased, expired or its key destroyed. */
SP_MUST sp_err sp_lookup_open(const sp_lookup *lookup, uint64_t entry, sp_buf *json);
/* The secret that opens this record alone. SP_ENOTFOUND: open, erased, or its key destroyed. */
SP_MUST sp_err sp_lookup_secret(const sp_lookup *lookup, sp_span record, sp_key *ret_secret);
/* One page; found->items point into *items. */
SP_MUST sp_err sp_lookup_page(const sp_lookup *lookup, const sp_ledger_search *search,
                              unsigned budget_ms, sp_buf *items, sp_ledger_found *ret_found);

/* Events of a batch, newest (last) first, each as one complete OCSF event; visit false = stop. */
typedef bool (*sp_lookup_visit)(void *self, uint16_t at, sp_span json);
/* Those below before_at that match. SP_ECORRUPT: not a batch of ours. */
SP_MUST sp_err sp_lookup_match(const sp_ledger_search *search, sp_span batch_json,
                               unsigned before_at, sp_lookup_visit visit, void *self);
/* What the index needs to know of an entry that is read back. */
SP_MUST sp_err sp_lookup_row(const sp_lookup *lookup, uint64_t entry, sp_index_row *ret_row,
                             uint64_t *ret_references, size_t max, size_t *ret_count);

#endif

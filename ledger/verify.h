/* SPDX-License-Identifier: Apache-2.0
 * Whether what is on the disk is what was written: records against leaf hashes, leaf hashes against
 * the tree, the tree against the signed checkpoint, redactions against what is missing.
 * OWNS nothing. PROCESS ledger (in slices), command line (whole). TRUST nothing on the disk.
 * SPEC ledger/README.md "Verify".
 */
#ifndef SP_LEDGER_VERIFY_H
#define SP_LEDGER_VERIFY_H

#include "ledger/journal.h"

/* One record is the one its leaf hash names, or is marked erased. why: a sentence on failure. */
SP_MUST sp_err sp_verify_entry(sp_journal *store, uint64_t entry, sp_buf *why);
/* The leaf hashes of the first `size` entries give the stored run hashes and the tree. */
SP_MUST sp_err sp_verify_tree(sp_journal *store, uint64_t size, sp_buf *why);

#endif

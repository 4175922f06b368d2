/* SPDX-License-Identifier: Apache-2.0
 * Reports when two incidents become one.
 * OWNS nothing. PROCESS core. TRUST rows are core's own. SPEC docs/REPORTS.md "Merged incidents".
 */
#ifndef SP_CORE_REPORTS_MERGE_H
#define SP_CORE_REPORTS_MERGE_H

#include "core/incidents/inside.h"

/* The reports of `from` become reports of `into`, as both are before; where both have one of a pack
 * they become one: what only one of them knows stays, what both know is as into has it, papers and
 * receipts are kept. Clocks run from the earlier. In a transaction of the caller. */
SP_MUST sp_err sp_reports_merge(sp_store *store, const sp_incident *from, const sp_incident *into);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * A restored store tells of it: the note stands in the store itself, and core does not start before
 * it is in the ledger.
 * OWNS nothing. PROCESS core, at its start. TRUST the store is core's own. SPEC
 * core/backup/README.md.
 */
#ifndef SP_CORE_BACKUP_RESTORED_H
#define SP_CORE_BACKUP_RESTORED_H

#include "core/core.h"

/* Waits some seconds for the ledger when there is something to tell. */
SP_MUST sp_err sp_restored_tell(const sp_core *core);

#endif

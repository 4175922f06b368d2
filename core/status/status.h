/* SPDX-License-Identifier: Apache-2.0
 * What staff may read without signing in: the state of groups of services, in words that a person
 * wrote, each group under a name that is meant for the public. Nothing gets there by itself.
 *
 * Story: an administrator publishes a state for a group, or clears it; it is on the ledger before
 * it takes effect, kept in the store, and told to the launchers of the web gate (SP_CORE_STATUS),
 * which serve it as a page even when core is gone. What has a time to end is cleared then only by a
 * person: an outage does not end because the clock says so.
 *
 * OWNS rows of the store. PROCESS core. TRUST requests are hostile. SPEC docs/OPERATIONS.md "Status
 * page", docs/api/openapi.yaml "/status".
 */
#ifndef SP_CORE_STATUS_STATUS_H
#define SP_CORE_STATUS_STATUS_H

#include "core/core.h"
#include "lib/base/buf.h"

SP_MUST sp_err sp_status_start(sp_core *core);
/* The page as a message; for a launcher that said HELLO. */
void sp_status_write(sp_core *core, sp_buf *out);

#endif

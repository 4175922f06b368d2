/* SPDX-License-Identifier: Apache-2.0
 * Numbers that only grow, of events that became durable: for monitoring.
 * OWNS nothing. PROCESS ledger. TRUST events are hostile. SPEC lib/proto/ledger_msg.h "METERS".
 */
#ifndef SP_LEDGER_METERS_H
#define SP_LEDGER_METERS_H

#include "ledger/batch.h"
#include "lib/proto/ledger_msg.h"

void sp_meters_batch(sp_ledger_meters *meters, const sp_batch *batch, uint64_t now_unix_us);

#endif

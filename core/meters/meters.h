/* SPDX-License-Identifier: Apache-2.0
 * Figures of the running office: for Prometheus (GET /metrics) and, as rates with a bounded
 * history, for the console (GET /api/v1/rates).
 *
 * Story: once a second core asks the ledger for its meters, which only grow, and for its state;
 * differences become rates, a ring of ten minutes by the second and one of a day by the minute,
 * both in memory. /metrics is written anew for each scrape, from the last answer and from what the
 * rooms of core know themselves. It is for root on local.sock, or for who has the token.
 *
 * OWNS its rings, a row of the store (the token's hash). PROCESS core. TRUST the ledger's replies
 * are bounded; names in labels are escaped. SPEC core/meters/README.md,
 * https://prometheus.io/docs/instrumenting/exposition_formats/ (text format 0.0.4).
 */
#ifndef SP_CORE_METERS_METERS_H
#define SP_CORE_METERS_METERS_H

#include "core/core.h"

SP_MUST sp_err sp_meters_start(sp_core *core, sp_meters **ret_meters);
void sp_meters_stop(sp_meters *meters);

#endif

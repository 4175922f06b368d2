/* SPDX-License-Identifier: Apache-2.0
 * Sinks for core: which there are, where each is in the ledger, how it does.
 *
 * Story: the courier carries (courier/sinks.h). When its line comes up and when documents change it
 * is told all sinks with their positions; what it says of each comes back once a second and after
 * each batch. A position is in the store before the courier hears that it is kept.
 *
 * OWNS rows of the store. PROCESS core. TRUST the courier reads hostile bytes: what it says is
 * bounded, and concerns its own sinks only. SPEC docs/SINKS.md.
 */
#ifndef SP_CORE_SINKS_SINKS_H
#define SP_CORE_SINKS_SINKS_H

#include "core/core.h"
#include "lib/base/buf.h"

SP_MUST sp_err sp_sinks_start(sp_core *core, sp_sinks **ret_sinks);
void sp_sinks_stop(sp_sinks *sinks);
/* The courier's line came up, or documents have changed. */
void sp_sinks_send(sp_core *core);
/* A push of the courier that is not about a job. */
void sp_sinks_on_push(sp_core *core, uint16_t kind, sp_span body);
/* Rows for /metrics. */
void sp_sinks_meters(sp_core *core, sp_buf *out);

#endif

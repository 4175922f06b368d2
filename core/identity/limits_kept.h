/* SPDX-License-Identifier: Apache-2.0
 * The counters of failures in the store: a restart of core (or of the machine) opens no door.
 * Written every two seconds in one transaction, and at a stop; a kill loses the last two seconds.
 * OWNS its timer. PROCESS core. TRUST rows are core's own; clocks may have been set meanwhile.
 * SPEC core/identity/limits.h.
 */
#ifndef SP_CORE_IDENTITY_LIMITS_KEPT_H
#define SP_CORE_IDENTITY_LIMITS_KEPT_H

#include "core/core.h"
#include "core/identity/limits.h"

typedef struct sp_limits_kept sp_limits_kept;

/* Loads what is there; limits outlives it. */
SP_MUST sp_err sp_limits_kept_start(sp_core *core, sp_limits *limits, sp_limits_kept **ret_kept);
void sp_limits_kept_stop(sp_limits_kept *kept);

#endif

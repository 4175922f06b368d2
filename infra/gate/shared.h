/* SPDX-License-Identifier: Apache-2.0
 * What workers of every gate share, whichever loop they run on (nginx's too).
 * OWNS nothing. PROCESS gate workers. TRUST none. SPEC lib/proto/live.h, lib/proto/event.h.
 */
#ifndef SP_GATE_SHARED_H
#define SP_GATE_SHARED_H

#include "lib/policy/types.h"

/* A reference number that nobody can guess. sp_crypto_start() comes before. */
uint64_t sp_recorder_reference(void);
/* Why a device in that state (sp_device_state) is none; SP_REASON_NONE when it is active. */
sp_reason sp_gate_device_trouble(uint8_t state);

#endif

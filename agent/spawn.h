/* SPDX-License-Identifier: Apache-2.0
 * Runs a tool of this computer: no shell, nothing on its standard input, output bounded, time
 * bounded.
 * OWNS the child until it ended. PROCESS agent. TRUST output is only counted and quoted.
 * SPEC execvp(3).
 */
#ifndef SP_AGENT_SPAWN_H
#define SP_AGENT_SPAWN_H

#include "lib/base/buf.h"

/* argv ends with NULL. *output gets standard output (and error, when both), cut at its maximum.
 * SP_ENOTFOUND: no such program; SP_ETIMEOUT: it was ended. *ret_status: its exit status. */
SP_MUST sp_err sp_spawn(const char *const argv[], unsigned timeout_ms, bool both, sp_buf *output,
                        int *ret_status);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * core.sock: what gates ask and what is pushed to them.
 * OWNS the server and what waits on it. PROCESS core. TRUST gates face the network and may be taken
 * over: bodies are bounded, a uid that is no gate's is dropped. SPEC lib/proto/core_msg.h.
 */
#ifndef SP_CORE_STATE_GATES_H
#define SP_CORE_STATE_GATES_H

#include "core/state/state.h"
#include "lib/proto/event.h"

/* Serves the inherited socket "core"; without one (a socket unit is missing) SP_ENOTFOUND. */
SP_MUST sp_err sp_gates_start(sp_core *core, sp_gates **ret_gates);
void sp_gates_stop(sp_gates *gates);
/* To every worker that said HELLO: the snapshot in force, then AGAIN with the new epoch. */
void sp_gates_push_snapshot(sp_gates *gates);
void sp_gates_push_again(sp_gates *gates, uint64_t epoch);
/* To every worker of one gate. */
void sp_gates_push(sp_gates *gates, sp_gate to, uint16_t kind, sp_span body);
/* To the launchers of one gate. */
void sp_gates_push_launchers(sp_gates *gates, sp_gate to, uint16_t kind, sp_span body);
size_t sp_gates_workers(const sp_gates *gates);

#endif

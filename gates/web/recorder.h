/* SPDX-License-Identifier: Apache-2.0
 * The worker's side of the ledger: its event ring, and waiting until an event is on disk.
 * OWNS the ring. PROCESS nginx workers. TRUST the ledger may be dead or slow: nothing blocks.
 * SPEC lib/proto/ring.h, lib/proto/ledger_msg.h.
 */
#ifndef SP_GATES_WEB_RECORDER_H
#define SP_GATES_WEB_RECORDER_H

#include "gates/web/gate.h"
#include "lib/proto/event.h"

SP_MUST sp_err gate_recorder_start(const gate_main_conf *conf);
void gate_recorder_stop(void);
/* Whether what must be recorded can be: room in the ring, and a ledger that lives. */
bool gate_recorder_works(void);
/* Writes the event of a decision before its end, or at its end, or the close of one written
 * before. */
void gate_recorder_begin(gate_ctx *ctx);
void gate_recorder_end(gate_ctx *ctx);
/* A request that never got as far as a decision: malformed, too large, unknown host. */
void gate_recorder_unread(ngx_http_request_t *r);
/* A refusal, before its page is made: if a stranger's is only counted, the reference becomes that
 * of an event that stands in the ledger. */
void gate_recorder_refused(gate_ctx *ctx);
/* The decision's event is on disk. */
bool gate_recorder_is_durable(const gate_ctx *ctx);
/* Puts the request into the list of those that wait for the disk; it is run again when its event
 * is there, or when that has taken too long. */
void gate_recorder_wait(gate_ctx *ctx);
/* Once a second. */
void gate_recorder_tick(void);

#endif

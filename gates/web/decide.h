/* SPDX-License-Identifier: Apache-2.0
 * The answer of the policy to all that one request does.
 * OWNS nothing. PROCESS nginx workers. TRUST ctx was filled by access.c.
 * SPEC docs/ARCHITECTURE.md "Web gate".
 */
#ifndef SP_GATES_WEB_DECIDE_H
#define SP_GATES_WEB_DECIDE_H

#include "gates/web/gate.h"

/* Finds the subject and asks for each action of the request; the first that is not allowed decides.
 * Fills ctx->subject, decision, action, verdict, reason, may_export. */
void gate_decide(gate_ctx *ctx);
/* Finds resource, part and action in the worker's present snapshot, and keeps that. False: the
 * host has no resource, or the path is ambiguous for it (reason and verdict are set). */
bool gate_decide_place(gate_ctx *ctx);
/* The response turned out to be an export: asks for that too. False: it must not leave. */
bool gate_decide_export(gate_ctx *ctx);
void gate_decide_refuse(gate_ctx *ctx, sp_reason reason);

#endif

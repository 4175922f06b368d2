/* SPDX-License-Identifier: Apache-2.0
 * Who asks: from cookie and certificate to a subject, by the live table.
 * OWNS nothing. PROCESS nginx workers. TRUST cookie and certificate are hostile; the table is
 * core's word. SPEC docs/ARCHITECTURE.md "Signing in and cookies", "Devices".
 */
#ifndef SP_GATES_WEB_SUBJECT_H
#define SP_GATES_WEB_SUBJECT_H

#include "gates/web/gate.h"

/* Keeps the hashes of what the request carries: ctx->token, ctx->fingerprint. */
void gate_subject_collect(gate_ctx *ctx);
/* Looks them up, now; called again whenever the request is decided again. */
void gate_subject_find(gate_ctx *ctx, uint64_t now_unix_s);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Signed identity tokens for upstreams: asked of core once a session and resource, kept until
 * shortly before they expire.
 * OWNS the kept tokens. PROCESS nginx workers. TRUST core.
 * SPEC lib/proto/core_msg.h SP_CORE_TOKEN.
 */
#ifndef SP_GATES_WEB_IDENTITY_H
#define SP_GATES_WEB_IDENTITY_H

#include "gates/web/gate.h"
#include "lib/proto/msg.h"

void gate_identity_start(void);
void gate_identity_stop(void);
/* NGX_OK: ctx->identity is set. NGX_AGAIN: asked; the request is run again when the answer is
 * there. NGX_ERROR: cannot be had now. */
ngx_int_t gate_identity_get(gate_ctx *ctx);
/* An answer of core. */
void gate_identity_come(const sp_msg *msg);
/* The connection broke: whoever waits is told no. */
void gate_identity_lost(void);

#endif

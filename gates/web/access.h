/* SPDX-License-Identifier: Apache-2.0
 * The access phase: what is asked, the decision, and what must come before the request goes on.
 * OWNS nothing. PROCESS nginx workers. TRUST requests are hostile. SPEC docs/ARCHITECTURE.md.
 */
#ifndef SP_GATES_WEB_ACCESS_H
#define SP_GATES_WEB_ACCESS_H

#include "gates/web/gate.h"

ngx_int_t gate_access_handler(ngx_http_request_t *r);
/* Takes a suspended request out of its list and lets its phases go on; that may end it. */
void gate_access_resume(gate_ctx *ctx);

#endif

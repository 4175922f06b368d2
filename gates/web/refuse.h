/* SPDX-License-Identifier: Apache-2.0
 * Refusing: the status or redirect, and the page or JSON in place of a body.
 * OWNS nothing. PROCESS nginx workers. TRUST names are escaped by lib/web/refusal.
 * SPEC lib/web/refusal.h.
 */
#ifndef SP_GATES_WEB_REFUSE_H
#define SP_GATES_WEB_REFUSE_H

#include "gates/web/gate.h"

/* What the access phase returns for a request that was refused: a status, or a redirect to the
 * portal for a person who only has to sign in. */
ngx_int_t gate_refuse(gate_ctx *ctx);
/* Gives an answer that nginx itself makes (r->err_status) our headers, and ctx->page as its body.
 */
ngx_int_t gate_refuse_dress(ngx_http_request_t *r);
/* Adds a response header; the value must live as long as the request. */
ngx_int_t gate_refuse_header(ngx_http_request_t *r, const char *name, ngx_str_t value);

#endif

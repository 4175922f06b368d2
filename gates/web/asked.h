/* SPDX-License-Identifier: Apache-2.0
 * Being asked by another proxy (nginx's auth_request, Traefik, Caddy) about a request that it
 * holds: what the request is and who sends it stands in headers, the answer is the whole answer.
 *
 * Story: access.c finds that the location is one of asking, has gate_asked_read() put the asked
 * request's host, method, target, address and certificate where those of a request of our own would
 * stand, and judges as ever. Let through, the content phase answers 200 with the identity token;
 * refused, "check" answers 401 (with where to sign in) or 403 and nothing else, as auth_request
 * wants it, and "ask" answers what a browser is to see.
 *
 * OWNS nothing. PROCESS nginx workers. TRUST the asking proxy is believed about address and
 * certificate: only loopback reaches these locations. All values are read as hostile.
 * SPEC docs/OPERATIONS.md "Behind another proxy"; nginx ngx_http_auth_request_module.
 */
#ifndef SP_GATES_WEB_ASKED_H
#define SP_GATES_WEB_ASKED_H

#include "gates/web/gate.h"

bool gate_is_asked(const gate_ctx *ctx);
/* Host, address and certificate; for "check" and "ask" also method and target. What is missing,
 * given twice or cannot be read is SP_REASON_UNPARSED. */
sp_reason gate_asked_read(gate_ctx *ctx);
/* Size of the asked request's body; 0 = none, UINT64_MAX = not said. */
uint64_t gate_asked_body_size(const gate_ctx *ctx);
/* The content handler of "check" and "ask". */
ngx_int_t gate_asked_answer(ngx_http_request_t *r);
/* Adds what every answer carries: the reference, and whether exports are allowed. */
ngx_int_t gate_asked_dress(gate_ctx *ctx);

#endif

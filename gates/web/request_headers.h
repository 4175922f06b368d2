/* SPDX-License-Identifier: Apache-2.0
 * What of a request's headers the upstream does not get to see.
 * OWNS nothing. PROCESS nginx workers. TRUST headers are hostile. SPEC lib/web/headers.h.
 */
#ifndef SP_GATES_WEB_REQUEST_HEADERS_H
#define SP_GATES_WEB_REQUEST_HEADERS_H

#include "gates/web/gate.h"

/* Drops forged headers; towards an application also our cookie and, when the person may not
 * export, what would let a response hide its size (encodings, several ranges). */
ngx_int_t gate_headers_clean(ngx_http_request_t *r, bool for_application, bool may_export);
/* The value of a request header, empty when it is not there. name in lower case. */
sp_span gate_headers_find(ngx_http_request_t *r, sp_span name);
/* How many there are of that name. */
unsigned gate_headers_count(ngx_http_request_t *r, sp_span name);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The other end of a connection: its address, and its device certificate.
 * OWNS what it keeps on the connection's pool. PROCESS nginx workers. TRUST certificates are
 * hostile until nginx has verified the chain and the live table knows them.
 * SPEC docs/ARCHITECTURE.md "Devices".
 */
#ifndef SP_GATES_WEB_PEER_H
#define SP_GATES_WEB_PEER_H

#include "gates/web/gate.h"
#include "lib/web/cookie.h"

/* Once, before the workers start. */
SP_MUST sp_err gate_peer_init(void);
/* IPv4 as ::ffff:a.b.c.d; zero for a Unix socket. */
void gate_peer_of(const ngx_http_request_t *r, uint8_t ret_address[16]);
/* What is known of a connection's other end. */
typedef struct {
    bool has_certificate;
    sp_hash fingerprint; /* SHA-256 of the client certificate (DER), when it verifies */
    bool has_cookie;
    uint8_t cookie[SP_WEB_COOKIE_BYTES]; /* the last one that came */
    sp_hash token;                       /* its SHA-256 */
} gate_peer;
/* The connection's, worked out once; NULL without TLS or memory. */
gate_peer *gate_peer_of_connection(ngx_http_request_t *r);
/* SHA-256 of our cookie; the last one of the connection is remembered, for the next request
 * nearly always brings it again. peer may be NULL. */
sp_hash gate_peer_token(gate_peer *peer, sp_span cookie);

#endif

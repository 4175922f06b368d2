/* SPDX-License-Identifier: Apache-2.0
 * The other end of a connection: its address, and its device certificate.
 * OWNS what it keeps on the connection's pool. PROCESS nginx workers. TRUST certificates are
 * hostile until nginx has verified the chain and the live table knows them.
 * SPEC docs/ARCHITECTURE.md "Devices".
 */
#ifndef SP_GATES_WEB_PEER_H
#define SP_GATES_WEB_PEER_H

#include "gates/web/gate.h"

/* Once, before the workers start. */
SP_MUST sp_err gate_peer_init(void);
/* IPv4 as ::ffff:a.b.c.d; zero for a Unix socket. */
void gate_peer_of(const ngx_http_request_t *r, uint8_t ret_address[16]);
/* SHA-256 of the client certificate (DER), worked out once a connection; false when there is none
 * with a good chain. */
bool gate_peer_certificate(ngx_http_request_t *r, sp_hash *ret_fingerprint);

#endif

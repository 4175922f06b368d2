/* SPDX-License-Identifier: Apache-2.0
 * What of a response leaves: the export rule, cookies an upstream may not set, our own pages.
 * OWNS nothing. PROCESS nginx workers. TRUST upstreams are hostile too.
 * SPEC docs/ARCHITECTURE.md "Export".
 */
#ifndef SP_GATES_WEB_RESPONSE_H
#define SP_GATES_WEB_RESPONSE_H

#include "gates/web/gate.h"

/* Puts the filters into nginx's chain. */
void gate_response_init(void);

#endif

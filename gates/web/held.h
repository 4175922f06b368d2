/* SPDX-License-Identifier: Apache-2.0
 * Looking again: every request that is open is decided again, and ended when it may not go on.
 * OWNS nothing: requests are nginx's. PROCESS nginx workers. TRUST none.
 * SPEC docs/ARCHITECTURE.md "Looking again".
 */
#ifndef SP_GATES_WEB_HELD_H
#define SP_GATES_WEB_HELD_H

#include "gates/web/gate.h"

void gate_held_add(gate_ctx *ctx);
/* When core says so, and once a second for what ends by the clock alone. */
void gate_held_look_again(void);

#endif

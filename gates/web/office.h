/* SPDX-License-Identifier: Apache-2.0
 * The worker's side of core: snapshot, live table, "look again", identity tokens, "seen".
 * OWNS the mappings in gate_this_worker. PROCESS nginx workers. TRUST core is trusted; what it
 * sends is checked all the same. SPEC lib/proto/core_msg.h.
 */
#ifndef SP_GATES_WEB_OFFICE_H
#define SP_GATES_WEB_OFFICE_H

#include "gates/web/gate.h"

/* Connects and waits a moment for the first snapshot; without one every request is refused until
 * it comes. */
void gate_office_start(const gate_main_conf *conf);
void gate_office_stop(void);
/* Asks for the identity token of a session for a resource; the call's id, 0 = not now. The answer
 * goes to gate_identity_come(). */
uint32_t gate_office_ask_token(const gate_subject *subject, sp_span resource);
/* Tells core, from time to time, that a session is in use. */
void gate_office_seen(const gate_subject *subject);
/* Once a second. */
void gate_office_tick(void);

#endif

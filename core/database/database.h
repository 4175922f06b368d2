/* SPDX-License-Identifier: Apache-2.0
 * Databases as core knows them: passwords for an hour's work, log-in, live connections, budgets.
 *
 * Story: a person who is signed in asks for a token of a database: a random password that is shown
 * once and ends in minutes; only its verifier is kept, in memory, with the session it belongs to.
 * The gate relays a client's SASL to here and learns which live session the connection rides on; a
 * client with the certificate of an active device needs no token. Whoever the name is, known or
 * not, the conversation looks the same. The gate tells of connections as they open and close, so
 * that people see them and can end them. Before a statement whose action has a budget, the gate
 * asks here: spending is counted over all sessions of a person and survives a restart; who goes
 * over a budget that locks is locked, as a person.
 *
 * OWNS tokens, conversations, connections, counters. PROCESS core. TRUST gates may be taken over;
 * what they relay is the client's and hostile. SPEC docs/ARCHITECTURE.md "Database gate",
 * lib/proto/db_msg.h.
 */
#ifndef SP_CORE_DATABASE_DATABASE_H
#define SP_CORE_DATABASE_DATABASE_H

#include "core/core.h"
#include "infra/ipc/server.h"

SP_MUST sp_err sp_databases_start(sp_core *core, sp_databases **ret_databases);
void sp_databases_stop(sp_databases *databases);

/* Messages of a database gate's worker that are not about approvals. An error is for what is
 * malformed or unknown: the peer is dropped. */
SP_MUST sp_err sp_databases_on_message(sp_core *core, sp_peer *peer, const sp_msg *msg);
/* SPEND alone, which other gates send as well: budgets are of a person, whatever the gate. */
SP_MUST sp_err sp_databases_on_spend(sp_core *core, sp_gate gate, sp_peer *peer, const sp_msg *msg);
/* The wall clock was set (core/clock.h): tokens never last longer, and a day goes on as long as it
 * would have, at once; what was spent of budgets is as old as it was, in a transaction of the
 * caller. */
void sp_databases_clock_set(sp_core *core, int64_t by_s);
SP_MUST sp_err sp_databases_clock_rows(sp_core *core, int64_t by_s);
/* At the start, when all jumps that core saw are in the store: what is still ahead was spent by a
 * clock that was put right while core did not run, and counts as of now; so does the day. */
SP_MUST sp_err sp_databases_clock_right(sp_core *core);
/* A worker is gone, and its conversations and connections with it. */
void sp_databases_gone(sp_core *core, const sp_peer *peer);
/* Every live connection: its session, its device (0 = none), where it goes. */
void sp_databases_each(sp_core *core,
                       void (*visit)(void *self, uint64_t session, uint64_t device,
                                     sp_span resource),
                       void *self);

#endif

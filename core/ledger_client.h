/* SPDX-License-Identifier: Apache-2.0
 * Core's line to the ledger: events go out, acknowledgements come back when they are on disk.
 *
 * Story: the client keeps one connection and opens it again when it breaks. An event that waits
 * when the line breaks, or finds no line, fails at once: its change does not take effect, and it
 * is not queued for later, because a refused change must stay refused. What has happened already
 * (an end, an expiry) waits for the ledger within a bound; what has no room is counted, and the
 * count is written.
 *
 * OWNS its connection and waiting calls. PROCESS core. TRUST replies come from the ledger, bounded.
 * SPEC lib/proto/ledger_msg.h.
 */
#ifndef SP_CORE_LEDGER_CLIENT_H
#define SP_CORE_LEDGER_CLIENT_H

#include "core/core.h"

/* err: ok = on disk; SP_EAGAIN = the ledger is away; SP_EIO = it cannot write; SP_ETIMEOUT. */
typedef void (*sp_on_recorded)(void *self, sp_err err);

SP_MUST sp_err sp_ledger_client_new(sp_core *core, sp_ledger_client **ret_client);
/* Before HTTP stops: requests that wait for the ledger are answered while they can be. */
void sp_ledger_client_hang_up(sp_ledger_client *client);
void sp_ledger_client_free(sp_ledger_client *client);
/* on_recorded is called exactly once, possibly before this returns. */
void sp_ledger_client_append(sp_ledger_client *client, const sp_event *event,
                             sp_on_recorded on_recorded, void *self);
/* The same without a listener, for what has happened already (a role's start, an expiry): it is
 * written as soon as the ledger is there, or counted. */
void sp_ledger_client_tell(sp_ledger_client *client, const sp_event *event);
/* Any request of lib/proto/ledger_msg.h; body of the reply is valid during the call only. */
typedef void (*sp_on_reply)(void *self, sp_err err, sp_span body);
void sp_ledger_client_call(sp_ledger_client *client, uint16_t kind, sp_span body,
                           sp_on_reply on_reply, void *self);

#endif

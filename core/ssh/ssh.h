/* SPDX-License-Identifier: Apache-2.0
 * SSH as core knows it: signing in, keys of people, what a connection gets for its target, live
 * connections, who watches them, recordings.
 *
 * Story: the gate asks whether a key would do, says that a client has shown it, or leads a client
 * through password and code (or a browser). Core names the live session that the connection rides
 * on: that of the device whose key it is, that of a certificate, or one of its own that ends with
 * the connection. For its target the gate gets a certificate of minutes, or a password, after core
 * has decided `connect` by itself: a gate that was taken over gets them for people who are signed
 * in and for what policy lets them, nothing else. It tells of connections and channels, so that
 * people see them, end them, freeze them, watch them.
 *
 * OWNS conversations, connections, watchers. PROCESS core. TRUST gates may be taken over; what they
 * relay is the client's and hostile. SPEC docs/ARCHITECTURE.md "SSH", lib/proto/ssh_msg.h.
 */
#ifndef SP_CORE_SSH_SSH_H
#define SP_CORE_SSH_SSH_H

#include "core/core.h"
#include "infra/ipc/server.h"

SP_MUST sp_err sp_ssh_start(sp_core *core, sp_ssh **ret_ssh);
void sp_ssh_stop(sp_ssh *ssh);

/* Messages of an SSH gate's worker that are not about asking and spending. An error is for what is
 * malformed or unknown: the peer is dropped. */
SP_MUST sp_err sp_ssh_on_message(sp_core *core, sp_peer *peer, const sp_msg *msg);
/* A worker is gone, and its conversations and connections with it. */
void sp_ssh_gone(sp_core *core, const sp_peer *peer);
/* Every live connection: its session, its device (0 = none), where it goes. */
void sp_ssh_each(sp_core *core,
                 void (*visit)(void *self, uint64_t session, uint64_t device, sp_span resource),
                 void *self);

#endif

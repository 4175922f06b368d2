/* SPDX-License-Identifier: Apache-2.0
 * A message server on a libuv loop: core, vault and ledger each serve one (or more) sockets.
 *
 * Story: the server accepts connections, looks up who the peer is by his uid, and hands every
 * packet to one handler. The handler replies now with sp_peer_reply(), or later: it keeps the peer
 * by sp_peer_ref() and the request's id. A peer that sends a malformed packet or lets replies pile
 * up is dropped; one that sends fast waits its turn. Pushes go to one peer by sp_peer_push().
 * Sending never calls on_gone(): that comes from the loop.
 *
 * OWNS its connections. PROCESS core, vault, ledger. TRUST packets are hostile; the uid is the
 * kernel's word. SPEC lib/proto/msg.h.
 */
#ifndef SP_IPC_SERVER_H
#define SP_IPC_SERVER_H

#include "infra/ipc/conn.h"

#include <uv.h>

typedef struct sp_server sp_server;
typedef struct sp_peer sp_peer;

typedef struct {
    /* A packet has come. fds are the handler's to take (sp_fds_take); the rest is closed after. */
    void (*on_message)(void *self, sp_peer *peer, const sp_msg *msg, sp_fds *fds);
    /* The peer is gone; may be NULL. Last chance to forget it. */
    void (*on_gone)(void *self, sp_peer *peer);
    void *self;
} sp_server_calls;

/* Serves a listening fd (owned from now on). peers_max bounds connections; one user (uid) gets at
 * most three quarters of them, so that a role that was taken over does not lock the others out. */
SP_MUST sp_err sp_server_new(uv_loop_t *loop, int listen_fd, size_t peers_max,
                             const sp_server_calls *calls, sp_server **ret_server);
void sp_server_free(sp_server *server);
void sp_server_each(sp_server *server, void (*visit)(void *self, sp_peer *peer), void *self);

uid_t sp_peer_uid(const sp_peer *peer);
pid_t sp_peer_pid(const sp_peer *peer);
/* A word of the handler's own on the peer, NULL at first. */
void *sp_peer_data(const sp_peer *peer);
void sp_peer_set_data(sp_peer *peer, void *data);
sp_peer *sp_peer_ref(sp_peer *peer);
void sp_peer_unref(sp_peer *peer);

/* Queued when the socket is full; the peer is dropped when the queue is. */
void sp_peer_reply(sp_peer *peer, const sp_msg *to, sp_code status, sp_span body, const int *fds,
                   size_t fd_count);
void sp_peer_push(sp_peer *peer, uint16_t kind, sp_span body, const int *fds, size_t fd_count);
void sp_peer_drop(sp_peer *peer);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * A SOCK_SEQPACKET connection between two processes of ours: packets and file descriptors.
 * OWNS its fd. PROCESS all. TRUST packets are hostile; the peer's uid comes from the kernel.
 * SPEC unix(7), lib/proto/msg.h.
 */
#ifndef SP_IPC_CONN_H
#define SP_IPC_CONN_H

#include "lib/proto/msg.h"

#include <sys/types.h>

typedef struct {
    int fds[SP_MSG_FDS_MAX]; /* -1 where none */
    size_t count;
} sp_fds;
/* The kernel passes at most so many in a packet (SCM_MAX_FD). With room for them all none is left
 * for it to close, which would happen in our name. */
enum { SP_IPC_PASSED_MAX = 253 };
/* Closes what somebody passed. A TCP socket with SO_LINGER would else hold its last owner up for as
 * long as its sender chose. */
void sp_ipc_close_passed(int fd);
void sp_fds_close(sp_fds *fds);
#define auto_fds __attribute__((cleanup(sp_fds_close)))
/* Hands one out; -1 when there is none at that place. */
int sp_fds_take(sp_fds *fds, size_t at);

/* Non-blocking, close-on-exec. SP_ENOTFOUND (nobody there), SP_EIO. */
SP_MUST sp_err sp_ipc_connect(const char *path, int *ret_fd);
/* Binds and listens, mode 0666: who may speak is decided by peer credentials. */
SP_MUST sp_err sp_ipc_listen(const char *path, int *ret_fd);
SP_MUST sp_err sp_ipc_accept(int listen_fd, int *ret_fd);
SP_MUST sp_err sp_ipc_peer(int fd, uid_t *ret_uid, pid_t *ret_pid);

/* Closes, but first what the peer had passed and nobody read, without being held up by it. */
void sp_ipc_close(int fd);

/* One whole packet; fds are duplicated into it, the caller keeps his. SP_EAGAIN, SP_ECLOSED. */
SP_MUST sp_err sp_ipc_send(int fd, sp_span packet, const int *fds, size_t fd_count);
/* One whole packet into an emptied buf (max SP_MSG_MAX_BYTES). SP_EAGAIN, SP_ECLOSED, SP_ELIMIT. */
SP_MUST sp_err sp_ipc_receive(int fd, sp_buf *packet, sp_fds *ret_fds);

/* Sends a request and waits for its reply: for the command line, start-up and the agent, never in
 * a loop. request: kind and body. The reply's status becomes the error; its body is in *reply.
 * Pushes that arrive meanwhile are dropped. SP_ETIMEOUT. */
SP_MUST sp_err sp_ipc_call(int fd, uint16_t kind, sp_span body, unsigned timeout_ms, sp_buf *reply,
                           sp_fds *ret_fds);

#endif

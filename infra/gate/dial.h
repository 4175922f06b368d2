/* SPDX-License-Identifier: Apache-2.0
 * A TCP connection to an upstream that policy names, begun without waiting for it.
 *
 * Story: sp_dial() gives a descriptor that connects; when the loop says it is ready,
 * sp_dial_finish() says whether it does: SP_EAGAIN, not yet.
 *
 * OWNS nothing. PROCESS gate workers. TRUST addresses come from policy, by way of resolve.h.
 * SPEC connect(2).
 */
#ifndef SP_GATE_DIAL_H
#define SP_GATE_DIAL_H

#include "lib/base/mem.h"

#include <sys/socket.h>

typedef struct {
    struct sockaddr_storage at;
    socklen_t len;
} sp_dial_address;

/* Non-blocking, without delay, kept alive. SP_EIO. */
SP_MUST sp_err sp_dial(const sp_dial_address *address, int *ret_fd);
/* SP_EAGAIN: not connected yet; SP_EIO: it failed, with errno. */
SP_MUST sp_err sp_dial_finish(int fd);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Connecting to upstreams.
 * OWNS nothing. PROCESS gate workers. TRUST see dial.h.
 * SPEC infra/gate/dial.h.
 */
#include "infra/gate/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

sp_err sp_dial(const sp_dial_address *address, int *ret_fd)
{
    int fd = socket(address->at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return sp_fail(SP_EIO);
    }
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    if (connect(fd, (const struct sockaddr *)&address->at, address->len) != 0 &&
        errno != EINPROGRESS) {
        close(fd);
        return sp_fail(SP_EIO);
    }
    *ret_fd = fd;
    return sp_ok();
}

sp_err sp_dial_finish(int fd)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0) {
        errno = error != 0 ? error : errno;
        return sp_fail(SP_EIO);
    }
    struct sockaddr_storage peer;
    len = sizeof(peer);
    return getpeername(fd, (struct sockaddr *)&peer, &len) != 0 ? sp_fail(SP_EAGAIN) : sp_ok();
}

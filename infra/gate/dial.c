/* SPDX-License-Identifier: Apache-2.0
 * Connecting to upstreams.
 * OWNS the resolver's last answer. PROCESS gate workers. TRUST see dial.h.
 * SPEC infra/gate/dial.h.
 */
#include "infra/gate/dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { HOST_BYTES = 256, NAMES_EVERY_US = 60000000 };

sp_err sp_dial_resolve(const sp_loop *loop, const char *host, uint16_t port,
                       sp_dial_address *ret_address)
{
    static struct {
        char host[HOST_BYTES];
        uint64_t until_us;
        sp_dial_address address;
    } last;
    char service[8];
    uint64_t now_us = sp_loop_now_us(loop);
    snprintf(service, sizeof(service), "%u", port);
    bool known = strcmp(last.host, host) == 0 && now_us < last.until_us;
    if (!known) {
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
        struct addrinfo *found = NULL;
        int error = getaddrinfo(host, service, &hints, &found);
        if (error != 0) {
            hints.ai_flags = AI_ADDRCONFIG;
            error = getaddrinfo(host, service, &hints, &found);
        }
        if (error != 0) {
            return sp_fail(SP_ENOTFOUND);
        }
        sp_copy(&last.address.at, found->ai_addr, found->ai_addrlen);
        last.address.len = found->ai_addrlen;
        last.until_us = now_us + NAMES_EVERY_US;
        snprintf(last.host, sizeof(last.host), "%s", host);
        freeaddrinfo(found);
    }
    *ret_address = last.address;
    if (ret_address->at.ss_family == AF_INET) {
        ((struct sockaddr_in *)(void *)&ret_address->at)->sin_port = htons(port);
    } else {
        ((struct sockaddr_in6 *)(void *)&ret_address->at)->sin6_port = htons(port);
    }
    return sp_ok();
}

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

/* SPDX-License-Identifier: Apache-2.0
 * SOCK_SEQPACKET connections.
 * OWNS the fds it makes until handed out. PROCESS all. TRUST packets are hostile.
 * SPEC infra/ipc/conn.h.
 */
#include "infra/ipc/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BACKLOG = 128, SOCKET_BUFFER_BYTES = 4 * SP_MSG_MAX_BYTES, DRAIN_MAX = 4096 };

void sp_ipc_close_passed(int fd)
{
    const struct linger none = {0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)); /* most are no sockets at all */
    close(fd);
}

void sp_fds_close(sp_fds *fds)
{
    for (size_t i = 0; i < fds->count; i++) {
        if (fds->fds[i] >= 0) {
            sp_ipc_close_passed(fds->fds[i]);
        }
    }
    fds->count = 0;
}

int sp_fds_take(sp_fds *fds, size_t at)
{
    return at < fds->count ? SP_STEAL_FD(fds->fds[at]) : -1;
}

static sp_err address_of(const char *path, struct sockaddr_un *ret_address)
{
    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    return sp_fit(ret_address->sun_path, sizeof(ret_address->sun_path), sp_span_cstr(path));
}

static sp_err new_socket(int *ret_fd)
{
    auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return sp_fail(SP_EIO);
    }
    int size = SOCKET_BUFFER_BYTES;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size,
               sizeof(size)); /* best effort: the kernel caps it */
    *ret_fd = SP_STEAL_FD(fd);
    return sp_ok();
}

sp_err sp_ipc_connect(const char *path, int *ret_fd)
{
    struct sockaddr_un address;
    TRY(address_of(path, &address));
    auto_close int fd = -1;
    TRY(new_socket(&fd));
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        bool absent = errno == ENOENT || errno == ECONNREFUSED;
        return sp_fail(absent ? SP_ENOTFOUND : (errno == EAGAIN ? SP_EAGAIN : SP_EIO));
    }
    *ret_fd = SP_STEAL_FD(fd);
    return sp_ok();
}

sp_err sp_ipc_listen(const char *path, int *ret_fd)
{
    struct sockaddr_un address;
    TRY(address_of(path, &address));
    auto_close int fd = -1;
    TRY(new_socket(&fd));
    unlink(path);
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        chmod(path, 0666) != 0 || listen(fd, BACKLOG) != 0) {
        return sp_fail(SP_EIO);
    }
    *ret_fd = SP_STEAL_FD(fd);
    return sp_ok();
}

sp_err sp_ipc_accept(int listen_fd, int *ret_fd)
{
    auto_close int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        return sp_fail(errno == EAGAIN || errno == ECONNABORTED || errno == EINTR ? SP_EAGAIN
                                                                                  : SP_EIO);
    }
    int size = SOCKET_BUFFER_BYTES;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    *ret_fd = SP_STEAL_FD(fd);
    return sp_ok();
}

sp_err sp_ipc_peer(int fd, uid_t *ret_uid, pid_t *ret_pid)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0) {
        return sp_fail(SP_EIO);
    }
    *ret_uid = peer.uid;
    *ret_pid = peer.pid;
    return sp_ok();
}

typedef union {
    struct cmsghdr align;
    uint8_t bytes[CMSG_SPACE(sizeof(int) * SP_IPC_PASSED_MAX)];
} control_room;

sp_err sp_ipc_send(int fd, sp_span packet, const int *fds, size_t fd_count)
{
    if (packet.len == 0 || packet.len > SP_MSG_MAX_BYTES || fd_count > SP_MSG_FDS_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    struct iovec piece = {(void *)(uintptr_t)packet.ptr, packet.len};
    struct msghdr header = {.msg_iov = &piece, .msg_iovlen = 1};
    control_room control = {.bytes = {0}};
    if (fd_count > 0) {
        header.msg_control = control.bytes;
        header.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        sp_copy(CMSG_DATA(rights), fds, sizeof(int) * fd_count);
    }
    ssize_t put = -1;
    do {
        put = sendmsg(fd, &header, MSG_NOSIGNAL);
    } while (put < 0 && errno == EINTR);
    if (put >= 0) {
        return sp_ok();
    }
    if (errno == EAGAIN || errno == ENOBUFS) {
        return sp_fail(SP_EAGAIN);
    }
    return sp_fail(errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN ? SP_ECLOSED
                                                                              : SP_EIO);
}

/* False when there were more than a packet of ours has. */
static bool take_rights(struct msghdr *header, sp_fds *fds)
{
    bool fit = true;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd = -1;
            sp_copy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (fds->count < SP_MSG_FDS_MAX) {
                fds->fds[fds->count++] = fd;
            } else {
                sp_ipc_close_passed(fd);
                fit = false;
            }
        }
    }
    return fit;
}

sp_err sp_ipc_receive(int fd, sp_buf *packet, sp_fds *ret_fds)
{
    sp_buf_reset(packet);
    uint8_t *room = sp_buf_room(packet, SP_MSG_MAX_BYTES);
    TRY(sp_buf_error(packet));
    struct iovec piece = {room, SP_MSG_MAX_BYTES};
    control_room control = {.bytes = {0}};
    struct msghdr header = {.msg_iov = &piece,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof(control.bytes)};
    ssize_t got = -1;
    do {
        got = recvmsg(fd, &header, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    *ret_fds = (sp_fds){0};
    if (got < 0) {
        return sp_fail(errno == EAGAIN ? SP_EAGAIN : (errno == ECONNRESET ? SP_ECLOSED : SP_EIO));
    }
    bool fit = take_rights(&header, ret_fds);
    if (got == 0 || !fit || (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
        sp_fds_close(ret_fds);
        return sp_fail(got == 0 ? SP_ECLOSED : SP_ELIMIT);
    }
    sp_buf_grown(packet, (size_t)got);
    return sp_ok();
}

void sp_ipc_close(int fd)
{
    auto_buf sp_buf packet = sp_buf_make(SP_MSG_MAX_BYTES);
    shutdown(fd, SHUT_RDWR); /* nothing more comes; what is there can still be read */
    sp_err err = sp_ok();
    for (int i = 0; i < DRAIN_MAX && (!sp_failed(err) || err.code == SP_ELIMIT); i++) {
        auto_fds sp_fds fds = {0};
        err = sp_ipc_receive(fd, &packet, &fds);
    }
    close(fd);
}

static uint64_t steady_ms(void)
{
    struct timespec at = {0};
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000 + (uint64_t)at.tv_nsec / 1000000;
}

static sp_err wait_for(int fd, short events, uint64_t deadline_ms)
{
    for (;;) {
        uint64_t now = steady_ms();
        if (now >= deadline_ms) {
            return sp_fail(SP_ETIMEOUT);
        }
        struct pollfd p = {.fd = fd, .events = events};
        int ready = poll(&p, 1, (int)(deadline_ms - now));
        if (ready > 0) {
            return sp_ok();
        }
        if (ready < 0 && errno != EINTR) {
            return sp_fail(SP_EIO);
        }
    }
}

sp_err sp_ipc_call(int fd, uint16_t kind, sp_span body, unsigned timeout_ms, sp_buf *reply,
                   sp_fds *ret_fds)
{
    static uint32_t last_id;
    uint32_t id = ++last_id == 0 ? ++last_id : last_id;
    uint64_t deadline_ms = steady_ms() + timeout_ms;
    auto_buf sp_buf packet = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_msg_begin(&packet, kind, id, SP_OK);
    sp_buf_span(&packet, body);
    TRY(sp_buf_error(&packet));
    sp_err sent = sp_ipc_send(fd, sp_buf_borrow(&packet), NULL, 0);
    while (sent.code == SP_EAGAIN) {
        TRY(wait_for(fd, POLLOUT, deadline_ms));
        sent = sp_ipc_send(fd, sp_buf_borrow(&packet), NULL, 0);
    }
    TRY(sent);
    for (;;) {
        TRY(wait_for(fd, POLLIN, deadline_ms));
        auto_fds sp_fds fds = {0};
        sp_err got = sp_ipc_receive(fd, &packet, &fds);
        if (got.code == SP_EAGAIN) {
            continue;
        }
        TRY(got);
        sp_msg msg;
        TRY(sp_msg_open(sp_buf_borrow(&packet), &msg));
        if (msg.id != id) {
            continue;
        }
        sp_buf_reset(reply);
        sp_buf_span(reply, msg.body);
        TRY(sp_buf_error(reply));
        if (msg.status == SP_OK && ret_fds != NULL) {
            *ret_fds = fds;
            fds.count = 0;
        }
        return sp_fail(msg.status < SP_CODE_COUNT ? (sp_code)msg.status : SP_EINTERNAL);
    }
}

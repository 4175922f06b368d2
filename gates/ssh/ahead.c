/* SPDX-License-Identifier: Apache-2.0
 * Reading ahead for libssh. Its socket asks poll(2) before each recv(2) and takes 4 KiB at a time,
 * which nothing can change: a packet of 32 KiB costs it some twenty system calls. So this program
 * has a recv() and a poll() of its own, which the dynamic linker takes before libc's. Of a
 * descriptor that was lent to libssh, recv() reads what the kernel has; what is more than was asked
 * for is handed out by the next ones, and poll() says meanwhile that there is something. For all
 * other descriptors, and in all other roles, both are the plain system calls.
 *
 * What was read lies in one buffer a worker. When another descriptor wants that before all of it
 * was taken (its client waits for core, say), it moves to memory of its own; so what is idle holds
 * nothing.
 *
 * OWNS what was read and not taken yet. PROCESS ssh gate workers; the calls, all roles. TRUST bytes
 * are not looked at. SPEC poll(2), recv(2), ld.so(8), gates/ssh/gate.h.
 */
#include "gates/ssh/gate.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FILES_MAX = 65536, ROOM_BYTES = 128 * 1024 };

#define EXPORTED __attribute__((visibility("default")))

/* Of a descriptor. */
typedef struct {
    const sg_side *side; /* NULL = not lent */
    uint8_t *own;        /* NULL: in the shared buffer, if anywhere */
    size_t at;
    size_t len;
} ahead;

static ahead *files; /* FILES_MAX; NULL = none was lent yet */
static uint8_t shared[ROOM_BYTES];
static ahead *holder; /* whose bytes are in the shared buffer */

static ahead *find(int fd)
{
    return files != NULL && fd >= 0 && fd < FILES_MAX && files[fd].side != NULL ? &files[fd] : NULL;
}

static void empty(ahead *a)
{
    sp_free(a->own);
    a->own = NULL;
    a->at = 0;
    a->len = 0;
    holder = holder == a ? NULL : holder;
}

bool sg_ahead_begin(const sg_side *side, int fd)
{
    if (fd < 0 || fd >= FILES_MAX ||
        (files == NULL && sp_failed(sp_alloc(FILES_MAX, sizeof(*files), &files)))) {
        return false;
    }
    empty(&files[fd]); /* libssh closed the one that had the number before */
    files[fd].side = side;
    return true;
}

void sg_ahead_end(const sg_side *side, int fd)
{
    ahead *a = find(fd);
    if (a != NULL && a->side == side) {
        empty(a);
        a->side = NULL;
    }
}

/* The shared buffer is free for another; false: no memory. */
static bool make_room(void)
{
    ahead *a = holder;
    if (a == NULL) {
        return true;
    }
    uint8_t *own = NULL;
    if (sp_failed(sp_alloc(a->len, 1, &own))) {
        return false;
    }
    sp_copy(own, shared + a->at, a->len);
    a->own = own;
    a->at = 0;
    holder = NULL;
    return true;
}

static ssize_t take(ahead *a, void *room, size_t len)
{
    size_t taken = len < a->len ? len : a->len;
    sp_copy(room, (a->own != NULL ? a->own : shared) + a->at, taken);
    a->at += taken;
    a->len -= taken;
    if (a->len == 0) {
        empty(a);
    }
    return (ssize_t)taken;
}

static ssize_t read_ahead(int fd, ahead *a, void *room, size_t len)
{
    struct iovec parts[2] = {{.iov_base = room, .iov_len = len},
                             {.iov_base = shared, .iov_len = sizeof(shared)}};
    ssize_t got = readv(fd, parts, make_room() ? 2 : 1);
    if (got <= (ssize_t)len) {
        return got;
    }
    a->len = (size_t)got - len;
    holder = a;
    return (ssize_t)len;
}

EXPORTED ssize_t sg_recv(int fd, void *room, size_t len, int flags) __asm__("recv");
EXPORTED ssize_t sg_recv(int fd, void *room, size_t len, int flags)
{
    ahead *a = find(fd);
    if (a == NULL || flags != 0) {
        return recvfrom(fd, room, len, flags, NULL, NULL);
    }
    return a->len > 0 ? take(a, room, len) : read_ahead(fd, a, room, len);
}

static bool has_more(const struct pollfd *one)
{
    const ahead *a = find(one->fd);
    return a != NULL && a->len > 0 && (one->events & POLLIN) != 0;
}

EXPORTED int sg_poll(struct pollfd *all, nfds_t count, int timeout_ms) __asm__("poll");
EXPORTED int sg_poll(struct pollfd *all, nfds_t count, int timeout_ms)
{
    bool any = false;
    for (nfds_t i = 0; i < count && files != NULL; i++) {
        any = any || has_more(&all[i]);
    }
    if (any && count == 1 && all->events == POLLIN) {
        all->revents = POLLIN;
        return 1;
    }
    int ready = (int)syscall(SYS_poll, all, count, any ? 0 : timeout_ms);
    for (nfds_t i = 0; any && ready >= 0 && i < count; i++) {
        if (has_more(&all[i])) {
            ready += all[i].revents == 0;
            all[i].revents |= POLLIN;
        }
    }
    return ready;
}

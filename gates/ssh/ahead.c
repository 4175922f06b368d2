/* SPDX-License-Identifier: Apache-2.0
 * The system calls that libssh makes on a socket, fewer of them. It asks poll(2) before each
 * recv(2) and each send(2), and takes 4 KiB at a time, which nothing can change: a packet of 32 KiB
 * costs it some twenty calls, a key that is typed a dozen. So this program has a recv(), send() and
 * poll() of its own, which the dynamic linker takes before libc's. For a descriptor that was lent
 * to libssh
 *   recv() reads what the kernel has; what is more than was asked for is handed out by the next;
 *   send() never waits, and a socket that is full takes nothing (libssh takes EAGAIN for an end);
 *   poll() asks the kernel only for what is not known: there is something while bytes are here and
 *   after an edge that says so; nothing after a read that came short, until the next edge; and room
 *   until a write comes short.
 *
 * For all other descriptors, and in all other roles, they are the plain system calls.
 *
 * OpenSSH lets the kernel gather what it sends (Nagle) unless there is a terminal: its second
 * packet waits until the first was acknowledged, which our kernel puts off for 40 ms. The first
 * reads of a connection, while it is set up and its first command runs, are therefore acknowledged
 * at once, until a terminal runs: an acknowledgement apart from the echo costs as much as a key.
 *
 * What was read lies in one buffer a worker. When another descriptor wants that before all of it
 * was taken (its client waits for core, say), it moves to memory of its own; so what is idle holds
 * nothing.
 *
 * OWNS what was read and not taken yet. PROCESS ssh gate workers; the calls, all roles. TRUST bytes
 * are not looked at. SPEC poll(2), recv(2), send(2), tcp(7), epoll(7), ld.so(8), gates/ssh/gate.h.
 */
#include "gates/ssh/gate.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FILES_MAX = 65536, ROOM_BYTES = 128 * 1024, PROMPT_READS = 64 };

#define EXPORTED __attribute__((visibility("default")))

/* Of a descriptor. */
typedef struct {
    sg_side *side; /* NULL = not lent */
    uint8_t *own;  /* NULL: in the shared buffer, if anywhere */
    size_t at;
    size_t len;
    uint64_t unread;  /* bytes that came since the other end has taken none */
    unsigned reads;   /* the first ones are acknowledged at once */
    uint64_t read_us; /* the last one, by the loop's clock */
    bool wet;         /* an edge told that there is something */
    bool dry;         /* a read came short: nothing more until an edge */
    bool full;        /* a write came short */
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

bool sg_ahead_begin(sg_side *side, int fd)
{
    if (fd < 0 || fd >= FILES_MAX ||
        (files == NULL && sp_failed(sp_alloc(FILES_MAX, sizeof(*files), &files)))) {
        return false;
    }
    empty(&files[fd]); /* libssh closed the one that had the number before */
    files[fd].side = side;
    files[fd].reads = 0;
    files[fd].unread = 0;
    files[fd].read_us = 0;
    files[fd].wet = false;
    files[fd].dry = false;
    files[fd].full = true; /* nothing is known yet */
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

void sg_ahead_edge(const sg_side *side, unsigned ready)
{
    ahead *a = find(side->lent);
    if (a != NULL && a->side == side) {
        a->dry = false;
        /* unless it was read since the loop looked, in the turn of the connection's other side */
        a->wet = (ready & SP_READY_READ) != 0 && a->read_us != sp_loop_now_us(sg_here.loop);
    }
}

void sg_ahead_terminal(const sg_side *side)
{
    ahead *a = find(side->lent);
    if (a != NULL && a->side == side) {
        a->reads = PROMPT_READS;
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

/* Whoever sends and does not read is answered into memory. No honest client sends more than a
 * window while it reads nothing. */
static bool is_choked(const ahead *a)
{
    const sg_side *side = a->side;
    size_t most = side->is_front && side->conn != NULL && side->conn->rider.id == 0
                      ? SG_UNREAD_UNKNOWN_BYTES
                      : SG_UNREAD_MAX_BYTES;
    return a->unread > most;
}

static ssize_t read_ahead(int fd, ahead *a, void *room, size_t len)
{
    if (is_choked(a)) {
        a->side->choked = true;
        errno = ECONNABORTED;
        return -1;
    }
    struct iovec parts[2] = {{.iov_base = room, .iov_len = len},
                             {.iov_base = shared, .iov_len = sizeof(shared)}};
    unsigned count = make_room() ? 2 : 1;
    ssize_t got = readv(fd, parts, (int)count);
    a->unread += a->full && got > 0 ? (uint64_t)got : 0;
    a->wet = false;
    a->read_us = sp_loop_now_us(sg_here.loop);
    if (got > 0 && a->reads < PROMPT_READS) {
        const int on = 1;
        a->reads++;
        setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
    }
    /* of an end that comes behind no edge tells any more */
    a->dry = got > 0 && (size_t)got < len + (count - 1) * sizeof(shared) && !a->side->hung;
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

EXPORTED ssize_t sg_send(int fd, const void *bytes, size_t len, int flags) __asm__("send");
EXPORTED ssize_t sg_send(int fd, const void *bytes, size_t len, int flags)
{
    ahead *a = find(fd);
    if (a == NULL) {
        return sendto(fd, bytes, len, flags, NULL, 0);
    }
    ssize_t sent = sendto(fd, bytes, len, flags | MSG_DONTWAIT, NULL, 0);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
        sent = 0;
    }
    a->full = sent >= 0 && (size_t)sent < len;
    return sent;
}

/* What is known without asking; true: that is all there is to know. */
static bool is_known(const struct pollfd *one, short *ret_ready)
{
    const ahead *a = find(one->fd);
    *ret_ready = 0;
    if (a == NULL) {
        return false;
    }
    bool readable = a->len > 0 || a->wet;
    *ret_ready = (short)((readable ? POLLIN : 0) | (a->full ? 0 : POLLOUT)) & one->events;
    bool reads = (one->events & POLLIN) == 0 || readable || a->dry;
    bool writes = (one->events & POLLOUT) == 0 || !a->full;
    return reads && writes;
}

bool sg_ahead_is_quiet(const sg_side *side, bool writes)
{
    short ready = 0;
    const struct pollfd one = {.fd = side->lent, .events = POLLIN | (writes ? POLLOUT : 0)};
    return is_known(&one, &ready) && ready == 0;
}

EXPORTED int sg_poll(struct pollfd *all, nfds_t count, int timeout_ms) __asm__("poll");
EXPORTED int sg_poll(struct pollfd *all, nfds_t count, int timeout_ms)
{
    short ready = 0;
    if (count != 1 || files == NULL) { /* libssh asks for one at a time */
        return (int)syscall(SYS_poll, all, count, timeout_ms);
    }
    if (is_known(all, &ready) && (ready != 0 || timeout_ms == 0)) {
        all->revents = ready;
        return ready != 0;
    }
    int rc = (int)syscall(SYS_poll, all, count, ready != 0 ? 0 : timeout_ms);
    if (rc >= 0) {
        ahead *a = find(all->fd);
        if (a != NULL && (all->revents & POLLOUT) != 0) {
            a->full = false;
            a->unread = 0;
        }
        all->revents |= ready;
        rc = all->revents != 0;
    }
    return rc;
}

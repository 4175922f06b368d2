/* SPDX-License-Identifier: Apache-2.0
 * The message server.
 * OWNS its connections and their queues. PROCESS core, vault, ledger. TRUST packets are hostile.
 * SPEC infra/ipc/server.h.
 */
#include "infra/ipc/server.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

/* A turn of the loop takes a few packets of each peer, so that one with many connections that asks
 * without end holds the others up by little. */
enum { QUEUE_MAX = 1024, QUEUE_UID_MAX_BYTES = 32 << 20, BURST = 8, BURST_ACCEPTS = 64 };

typedef struct queued {
    struct queued *next;
    sp_fds fds;
    size_t len;
    uint8_t bytes[];
} queued;

struct sp_peer {
    sp_server *server; /* NULL once dropped */
    bool broken;       /* it takes no more; dropped in the loop's next turn */
    sp_peer *prev;
    sp_peer *next;
    uv_poll_t poll;
    int fd;
    uid_t uid;
    pid_t pid;
    unsigned refs;
    void *data;
    queued *queue_first;
    queued *queue_last;
    size_t queue_count;
    size_t queue_bytes;
};

struct sp_server {
    uv_poll_t poll;
    int fd;
    size_t peers_max;
    size_t peers_count;
    sp_peer *peers;
    sp_server_calls calls;
    sp_buf packet;
    bool freed;
};

sp_peer *sp_peer_ref(sp_peer *peer)
{
    peer->refs++;
    return peer;
}

void sp_peer_unref(sp_peer *peer)
{
    if (peer != NULL && --peer->refs == 0) {
        sp_free(peer);
    }
}

uid_t sp_peer_uid(const sp_peer *peer)
{
    return peer->uid;
}

pid_t sp_peer_pid(const sp_peer *peer)
{
    return peer->pid;
}

void *sp_peer_data(const sp_peer *peer)
{
    return peer->data;
}

void sp_peer_set_data(sp_peer *peer, void *data)
{
    peer->data = data;
}

static void peer_closed(uv_handle_t *handle)
{
    sp_peer *peer = handle->data;
    sp_ipc_close(peer->fd);
    sp_peer_unref(peer);
}

static queued *queue_pop(sp_peer *peer)
{
    queued *first = peer->queue_first;
    if (first != NULL) {
        peer->queue_first = first->next;
        peer->queue_count--;
        peer->queue_bytes -= first->len;
        if (peer->queue_first == NULL) {
            peer->queue_last = NULL;
        }
    }
    return first;
}

static void queued_free(queued *item)
{
    if (item != NULL) {
        sp_fds_close(&item->fds);
        sp_wipe(item->bytes, item->len);
        sp_free(item);
    }
}

void sp_peer_drop(sp_peer *peer)
{
    sp_server *server = peer->server;
    if (server == NULL) {
        return;
    }
    peer->server = NULL;
    if (peer->prev != NULL) {
        peer->prev->next = peer->next;
    } else {
        server->peers = peer->next;
    }
    if (peer->next != NULL) {
        peer->next->prev = peer->prev;
    }
    server->peers_count--;
    if (server->calls.on_gone != NULL) {
        server->calls.on_gone(server->calls.self, peer);
    }
    for (queued *item = queue_pop(peer); item != NULL; item = queue_pop(peer)) {
        queued_free(item);
    }
    uv_poll_stop(&peer->poll);
    uv_close((uv_handle_t *)&peer->poll, peer_closed);
}

static void on_peer_ready(uv_poll_t *poll, int status, int events);

static void watch(sp_peer *peer)
{
    int events = UV_READABLE | (peer->queue_first != NULL ? UV_WRITABLE : 0);
    if (uv_poll_start(&peer->poll, events, on_peer_ready) != 0) {
        sp_peer_drop(peer);
    }
}

static void flush(sp_peer *peer)
{
    while (peer->server != NULL && peer->queue_first != NULL) {
        queued *item = peer->queue_first;
        sp_err err = sp_ipc_send(peer->fd, (sp_span){item->bytes, item->len}, item->fds.fds,
                                 item->fds.count);
        if (err.code == SP_EAGAIN) {
            return;
        }
        if (sp_failed(err)) {
            sp_peer_drop(peer);
            return;
        }
        queued_free(queue_pop(peer));
    }
    if (peer->server != NULL) {
        watch(peer);
    }
}

static void read_burst(sp_peer *peer)
{
    for (int i = 0; i < BURST && peer->server != NULL && !peer->broken; i++) {
        sp_server *server = peer->server;
        auto_fds sp_fds fds = {0};
        sp_msg msg;
        sp_err err = sp_ipc_receive(peer->fd, &server->packet, &fds);
        if (err.code == SP_EAGAIN) {
            return;
        }
        if (!sp_failed(err)) {
            err = sp_msg_open(sp_buf_borrow(&server->packet), &msg);
        }
        if (sp_failed(err)) {
            sp_peer_drop(peer);
            return;
        }
        server->calls.on_message(server->calls.self, peer, &msg, &fds);
        sp_wipe(server->packet.ptr, server->packet.len); /* it may have held a secret */
    }
}

static void on_peer_ready(uv_poll_t *poll, int status, int events)
{
    sp_peer *peer = sp_peer_ref(poll->data);
    if (status < 0 || peer->broken) {
        sp_peer_drop(peer);
    }
    if (peer->server != NULL && (events & UV_WRITABLE) != 0) {
        flush(peer);
    }
    if (peer->server != NULL && (events & UV_READABLE) != 0) {
        read_burst(peer);
    }
    if (peer->broken) { /* by an answer of just now */
        sp_peer_drop(peer);
    }
    sp_peer_unref(peer);
}

/* Connections that a user has. */
static size_t peers_of(const sp_server *server, uid_t uid)
{
    size_t count = 0;
    for (const sp_peer *peer = server->peers; peer != NULL; peer = peer->next) {
        count += peer->uid == uid ? 1 : 0;
    }
    return count;
}

static sp_err enqueue(sp_peer *peer, sp_span packet, const int *fds, size_t fd_count)
{
    if (peer->queue_count >= QUEUE_MAX ||
        peer->queue_bytes + packet.len >
            QUEUE_UID_MAX_BYTES / (peers_of(peer->server, peer->uid) + 1)) {
        return sp_fail(SP_ELIMIT);
    }
    queued *item = NULL;
    TRY(sp_alloc(1, sizeof(*item) + packet.len, &item));
    sp_copy(item->bytes, packet.ptr, packet.len);
    item->len = packet.len;
    for (size_t i = 0; i < fd_count; i++) {
        int copy = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
        if (copy < 0) {
            queued_free(item);
            return sp_fail(SP_EIO);
        }
        item->fds.fds[item->fds.count++] = copy;
    }
    if (peer->queue_last != NULL) {
        peer->queue_last->next = item;
    } else {
        peer->queue_first = item;
    }
    peer->queue_last = item;
    peer->queue_count++;
    peer->queue_bytes += packet.len;
    return sp_ok();
}

/* Who sends may be in the middle of what on_gone() frees: the loop drops it, told by the socket. */
static void break_off(sp_peer *peer)
{
    peer->broken = true;
    (void)shutdown(peer->fd, SHUT_RDWR);
}

static void post(sp_peer *peer, sp_span packet, const int *fds, size_t fd_count)
{
    if (peer->server == NULL || peer->broken) {
        return;
    }
    sp_err err = sp_fail(SP_EAGAIN);
    if (peer->queue_first == NULL) {
        err = sp_ipc_send(peer->fd, packet, fds, fd_count);
    }
    if (err.code == SP_EAGAIN) {
        err = enqueue(peer, packet, fds, fd_count);
        if (!sp_failed(err)) {
            watch(peer);
        }
    }
    if (sp_failed(err)) {
        break_off(peer);
    }
}

static void post_msg(sp_peer *peer, uint16_t kind, uint32_t id, sp_code status, sp_span body,
                     const int *fds, size_t fd_count)
{
    auto_buf sp_buf packet = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_msg_begin(&packet, kind, id, status);
    sp_buf_span(&packet, body);
    if (sp_failed(sp_buf_error(&packet))) {
        sp_buf_reset(&packet);
        sp_msg_begin(&packet, kind, id, SP_ELIMIT);
    }
    post(peer, sp_buf_borrow(&packet), fds, fd_count);
    sp_buf_wipe(&packet);
}

void sp_peer_reply(sp_peer *peer, const sp_msg *to, sp_code status, sp_span body, const int *fds,
                   size_t fd_count)
{
    post_msg(peer, to->kind, to->id, status, body, fds, fd_count);
}

void sp_peer_push(sp_peer *peer, uint16_t kind, sp_span body, const int *fds, size_t fd_count)
{
    post_msg(peer, kind, 0, SP_OK, body, fds, fd_count);
}

static sp_err add_peer(sp_server *server, int *fd)
{
    auto_free sp_peer *peer = NULL;
    TRY(sp_alloc(1, sizeof(*peer), &peer));
    TRY(sp_ipc_peer(*fd, &peer->uid, &peer->pid));
    if (peers_of(server, peer->uid) >= server->peers_max - server->peers_max / 4) {
        return sp_fail(SP_ELIMIT); /* whoever it is, the others find a place */
    }
    if (uv_poll_init(server->poll.loop, &peer->poll, *fd) != 0) {
        return sp_fail(SP_EIO);
    }
    peer->poll.data = peer;
    peer->fd = SP_STEAL_FD(*fd);
    peer->server = server;
    peer->refs = 1;
    peer->next = server->peers;
    if (server->peers != NULL) {
        server->peers->prev = peer;
    }
    server->peers = peer;
    server->peers_count++;
    watch(SP_STEAL(peer));
    return sp_ok();
}

static void on_listen_ready(uv_poll_t *poll, int status, int events)
{
    sp_server *server = poll->data;
    (void)events;
    for (int i = 0; status >= 0 && i < BURST_ACCEPTS; i++) {
        auto_close int fd = -1;
        if (sp_failed(sp_ipc_accept(server->fd, &fd))) {
            return;
        }
        if (server->peers_count < server->peers_max) {
            SP_IGNORE(add_peer(server, &fd)); /* the peer sees its connection close */
        }
    }
}

sp_err sp_server_new(uv_loop_t *loop, int listen_fd, size_t peers_max, const sp_server_calls *calls,
                     sp_server **ret_server)
{
    auto_free sp_server *server = NULL;
    TRY(sp_alloc(1, sizeof(*server), &server));
    server->fd = listen_fd;
    server->peers_max = peers_max;
    server->calls = *calls;
    server->packet = sp_buf_make(SP_MSG_MAX_BYTES);
    if (uv_poll_init(loop, &server->poll, listen_fd) != 0) {
        return sp_fail(SP_EIO);
    }
    server->poll.data = server;
    if (uv_poll_start(&server->poll, UV_READABLE, on_listen_ready) != 0) {
        return sp_fail(SP_EIO);
    }
    *ret_server = SP_STEAL(server);
    return sp_ok();
}

static void server_closed(uv_handle_t *handle)
{
    sp_server *server = handle->data;
    close(server->fd);
    sp_buf_done(&server->packet);
    sp_free(server);
}

void sp_server_free(sp_server *server)
{
    if (server == NULL || server->freed) {
        return;
    }
    server->freed = true;
    while (server->peers != NULL) {
        sp_peer_drop(server->peers);
    }
    uv_poll_stop(&server->poll);
    uv_close((uv_handle_t *)&server->poll, server_closed);
}

void sp_server_each(sp_server *server, void (*visit)(void *self, sp_peer *peer), void *self)
{
    sp_peer *peer = server->peers;
    while (peer != NULL) {
        sp_peer *next = peer->next;
        visit(self, peer);
        peer = next;
    }
}

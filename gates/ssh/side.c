/* SPDX-License-Identifier: Apache-2.0
 * A libssh session on our loop.
 *
 * The loop tells edges; libssh's own event looks at the descriptor with poll(2) and reads 4 KiB at
 * a time, so a turn goes on until libssh finds nothing more, or has had its share and comes again.
 * After each write libssh waits for poll(2) to say that the next one will not block, although the
 * kernel has room: no edge tells of that, so who wrote outside of a turn asks for one
 * (sg_side_flush).
 *
 * libssh closes its descriptor whenever it finds an end. The loop watches one of our own, so that
 * the number is not somebody else's by the time the watch is taken away.
 *
 * OWNS the session, its event, its descriptor. PROCESS ssh gate workers. TRUST the peer is hostile.
 * SPEC gates/ssh/gate.h.
 */
#include "gates/ssh/gate.h"
#include "infra/proc/clock.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <unistd.h>

enum { ROUNDS_A_TURN = 64, MESSAGES_A_TURN = 32, TURN_US = 2000, LAST_ROUNDS = 4 };

#define SIDE_OF(pointer, member) ((sg_side *)(void *)((char *)(pointer)-offsetof(sg_side, member)))

static void on_ready(sp_watch *watch, unsigned ready)
{
    sg_side *side = SIDE_OF(watch, watch);
    side->hung = side->hung || (ready & SP_READY_HUNG) != 0;
    sg_ahead_edge(side, ready);
    sg_side_turn(side);
}

static void on_again(sp_deferred *deferred)
{
    sg_side_turn(SIDE_OF(deferred, again));
}

int sg_side_lend(sg_side *side, int fd)
{
    int lent = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (lent >= 0 && !sg_ahead_begin(side, lent)) {
        close(lent);
        lent = -1;
    }
    side->lent = lent;
    return lent;
}

sp_err sg_side_start(sg_side *side, sg_conn *conn, ssh_session ssh, int fd)
{
    side->ssh = ssh;
    side->conn = conn;
    side->again.call = on_again;
    side->watch = (sp_watch){.on_ready = on_ready, .fd = -1};
    side->event = ssh_event_new();
    sp_err err =
        side->event == NULL ? sp_fail(SP_ENOMEM) : sp_watch_start(sg_here.loop, &side->watch, fd);
    if (sp_failed(err)) {
        close(fd);
    }
    return err;
}

/* Each look for a message reads more of them, so whoever sends fast enough would never be done
 * with: what is over a turn's share waits for the next. */
static void drain(sg_side *side)
{
    side->behind = false;
    if (side->conn->at == SG_AT_KEX || (!side->is_front && side->conn->at != SG_AT_OPEN)) {
        return;
    }
    while (!side->broken && side->conn->at != SG_AT_ENDING &&
           !(side->is_front && sg_login_waits(side->conn))) {
        if (side->messages == MESSAGES_A_TURN) {
            side->behind = true;
            return;
        }
        ssh_message msg = ssh_message_get(side->ssh);
        if (msg == NULL) {
            return;
        }
        side->messages++;
        if (!side->is_front) {
            sg_channel_back_message(side->conn, msg);
        } else if (side->conn->at == SG_AT_AUTH) {
            sg_login_message(side->conn, msg);
        } else {
            sg_channel_message(side->conn, msg);
        }
    }
}

/* True when there may be more. */
static bool round_of(sg_side *side)
{
    if (!side->has_event || (side->is_front && sg_login_waits(side->conn))) {
        return false;
    }
    int rc = side->behind ? SSH_OK : ssh_event_dopoll(side->event, 0);
    if (rc == SSH_ERROR) {
        side->broken = true;
        return false;
    }
    drain(side);
    if (side->behind) {
        return true;
    }
    /* libssh would look at the clock and ask poll(2) once more to hear that there is nothing */
    return rc == SSH_OK && !sg_ahead_is_quiet(side, sg_side_is_stuck(side));
}

void sg_side_turn(sg_side *side)
{
    if (side->ssh == NULL || side->inside || side->conn->at == SG_AT_ENDING) {
        return;
    }
    side->inside = true;
    side->full = false;
    side->messages = 0;
    bool more = true;
    uint64_t until_us = sp_now_steady_us() + TURN_US; /* others wait */
    for (unsigned i = 0; i < ROUNDS_A_TURN && more && side->messages < MESSAGES_A_TURN; i++) {
        more = round_of(side);
        if (sp_now_steady_us() > until_us) {
            break;
        }
    }
    if ((ssh_get_status(side->ssh) & (SSH_CLOSED | SSH_CLOSED_ERROR)) != 0) {
        side->broken = true;
    }
    side->full = !more && sg_side_is_stuck(side);
    side->inside = false;
    if (side->conn->at == SG_AT_ENDING) {
        return;
    }
    sg_conn_step(side);
    if (more) {
        sg_side_again(side);
    }
}

void sg_side_again(sg_side *side)
{
    if (side->ssh != NULL) {
        sp_loop_defer(sg_here.loop, &side->again);
    }
}

bool sg_side_is_stuck(const sg_side *side)
{
    return side->ssh == NULL || (ssh_get_status(side->ssh) & SSH_WRITE_PENDING) != 0;
}

void sg_side_flush(sg_side *side)
{
    if (side->ssh != NULL && !side->inside && !side->full && sg_side_is_stuck(side)) {
        sg_side_again(side);
    }
}

/* Why it ends goes out, as far as the socket takes it: whoever has not read what is in front of it
 * does not learn it. libssh keeps what it cannot write at once, a goodbye too, and closes over it;
 * after each write it wants to hear that it may, hence one round more than there is something to
 * write. These rounds also read: what a client that is cut still says reaches the channels' calls,
 * which take it and do nothing with it (relay.c), and no request, which are not taken out here. */
static void drain_out(const sg_side *side)
{
    bool more = side->has_event && !side->broken;
    for (unsigned i = 0; i < LAST_ROUNDS && more; i++) {
        more = sg_side_is_stuck(side);
        more = ssh_event_dopoll(side->event, 0) != SSH_ERROR && more;
    }
}

void sg_side_gather(const sg_side *side)
{
    const int on = 1;
    setsockopt(side->watch.fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
}

void sg_side_hang_up(const sg_side *side)
{
    if (side->ssh != NULL) {
        drain_out(side);
        shutdown(side->watch.fd, SHUT_RDWR);
    }
}

void sg_side_stop(sg_side *side)
{
    if (side->ssh == NULL) {
        return;
    }
    sp_loop_undefer(sg_here.loop, &side->again);
    int fd = side->watch.fd;
    sp_watch_stop(sg_here.loop, &side->watch);
    if (side->says) {
        drain_out(side);
    }
    if (side->has_event) {
        ssh_event_remove_session(side->event, side->ssh);
    }
    ssh_event_free(side->event);
    int lent = side->is_front ? -1 : ssh_get_fd(side->ssh);
    ssh_disconnect(side->ssh);
    ssh_free(side->ssh);
    sg_ahead_end(side, side->lent);
    if (lent >= 0) {
        close(lent); /* libssh leaves open what came by SSH_OPTIONS_FD */
    }
    if (fd >= 0) {
        close(fd);
    }
    side->ssh = NULL;
    side->event = NULL;
    side->has_event = side->broken = side->hung = side->full = false; /* another may follow */
    side->behind = side->choked = false;
}

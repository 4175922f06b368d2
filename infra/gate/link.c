/* SPDX-License-Identifier: Apache-2.0
 * Links to core, vault and ledger on a gate worker's loop.
 * OWNS see link.h. PROCESS gate workers. TRUST packets are bounded. SPEC infra/gate/link.h.
 */
#include "infra/gate/link.h"

#include "infra/proc/clock.h"
#include "infra/proc/log.h"

#include <poll.h>
#include <stddef.h>
#include <unistd.h>

#define LINK_OF(pointer, member) ((sp_link *)(void *)((char *)(pointer)-offsetof(sp_link, member)))

enum {
    PAUSE_FIRST_US = 20000,
    PAUSE_MAX_US = 2000000,
    LATE_EVERY_US = 1000000,
    CALLS_FIRST = 64,
    SLOT_BITS = 12 /* SP_LINK_CALLS_MAX */
};

/* ---- calls that wait ---- */

static sp_err grow_calls(sp_link *link)
{
    uint32_t count = link->call_count == 0 ? CALLS_FIRST : link->call_count * 2;
    if (count > SP_LINK_CALLS_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    TRY(sp_resize(&link->calls, count, sizeof(sp_link_call_one)));
    for (uint32_t i = count; i-- > link->call_count;) {
        link->calls[i] = (sp_link_call_one){.next_free = link->free_call};
        link->free_call = i + 1;
    }
    link->call_count = count;
    return sp_ok();
}

static sp_link_call_one *find_call(const sp_link *link, uint32_t id)
{
    uint32_t slot = id & (SP_LINK_CALLS_MAX - 1);
    return slot < link->call_count && link->calls[slot].id == id ? &link->calls[slot] : NULL;
}

static void free_call(sp_link *link, sp_link_call_one *call)
{
    *call = (sp_link_call_one){.next_free = link->free_call};
    link->free_call = (uint32_t)(call - link->calls) + 1;
    link->waiting--;
}

static void answer(sp_link *link, sp_link_call_one *call, sp_err err, const sp_msg *msg,
                   sp_fds *fds)
{
    sp_link_call_one one = *call;
    free_call(link, call);
    if (one.on_reply != NULL) {
        one.on_reply(one.self, err, msg, fds);
    }
}

static void fail_calls(sp_link *link, sp_code code, uint64_t due_before_us)
{
    for (uint32_t i = 0; i < link->call_count; i++) {
        if (link->calls[i].id != 0 && link->calls[i].due_us <= due_before_us) {
            answer(link, &link->calls[i], sp_fail(code), NULL, NULL);
        }
    }
}

static void on_late(sp_timer *timer)
{
    sp_link *link = LINK_OF(timer, late);
    fail_calls(link, SP_ETIMEOUT, sp_loop_now_us(link->loop));
    if (link->waiting > 0) {
        SP_IGNORE(sp_timer_set(link->loop, timer, LATE_EVERY_US)); /* the next call sets it */
    }
}

/* ---- the connection ---- */

static void hang_up(sp_link *link)
{
    int fd = link->watch.fd;
    if (fd >= 0) {
        sp_watch_stop(link->loop, &link->watch);
        close(fd);
    }
    sp_buf_wipe(&link->unsent);
}

static void come_back(sp_link *link)
{
    SP_IGNORE(sp_timer_set(link->loop, &link->retry, link->pause_us)); /* has room since start */
    link->pause_us = link->pause_us * 2 > PAUSE_MAX_US ? PAUSE_MAX_US : link->pause_us * 2;
}

static void break_off(sp_link *link)
{
    hang_up(link);
    sp_log(SP_LOG_WARN, "lost the connection to %s", link->name);
    link->told = true;
    fail_calls(link, SP_ECLOSED, UINT64_MAX);
    if (link->on_closed != NULL) {
        link->on_closed(link);
    }
    come_back(link);
}

static sp_err take_packet(sp_link *link)
{
    auto_fds sp_fds fds = {.count = 0};
    sp_msg msg;
    TRY(sp_ipc_receive(link->watch.fd, &link->packet, &fds));
    TRY(sp_msg_open(sp_buf_borrow(&link->packet), &msg));
    sp_link_call_one *call = msg.id != 0 ? find_call(link, msg.id) : NULL;
    if (call != NULL && call->on_reply != NULL) {
        answer(link, call, sp_fail(msg.status), &msg, &fds);
        return sp_ok();
    }
    if (call != NULL) {
        free_call(link, call);
    }
    if (msg.id != 0 && link->on_stray != NULL) {
        link->on_stray(link, &msg);
    } else if (msg.id == 0 && link->on_push != NULL) {
        link->on_push(link, &msg, &fds);
    }
    return sp_ok();
}

static sp_err take_one(sp_link *link)
{
    sp_err err = take_packet(link);
    if (link->packet.len > 0) {
        sp_wipe(link->packet.ptr, link->packet.len); /* it may have brought a password */
        sp_buf_reset(&link->packet);
    }
    return err;
}

static void drain(sp_link *link)
{
    while (link->watch.fd >= 0) {
        sp_err err = take_one(link);
        if (err.code == SP_EAGAIN) {
            return;
        }
        if (sp_failed(err) && link->watch.fd >= 0) {
            break_off(link);
        }
    }
}

/* What waits goes first, in order. SP_EAGAIN: some of it waits on. */
static sp_err send_waiting(sp_link *link)
{
    size_t used = 0;
    sp_err err = sp_ok();
    while (used < link->unsent.len && !sp_failed(err)) {
        sp_span left = sp_span_slice(sp_buf_borrow(&link->unsent), used, link->unsent.len);
        sp_reader in = sp_reader_of(left);
        sp_span packet = sp_read_bytes(&in, SP_MSG_MAX_BYTES);
        err = sp_ipc_send(link->watch.fd, packet, NULL, 0);
        used += sp_failed(err) ? 0 : left.len - in.rest.len;
    }
    if (used == link->unsent.len) {
        sp_buf_wipe(&link->unsent);
    } else {
        sp_buf_drop(&link->unsent, used);
    }
    return err;
}

static void on_ready(sp_watch *watch, unsigned ready)
{
    if ((ready & SP_READY_WRITE) != 0) {
        SP_IGNORE(send_waiting(LINK_OF(watch, watch))); /* a broken one shows when it is read */
    }
    if ((ready & SP_READY_READ) != 0) {
        drain(LINK_OF(watch, watch));
    }
}

static void connect_now(sp_link *link)
{
    auto_close int fd = -1;
    sp_err err = sp_ipc_connect(link->path, &fd);
    if (!sp_failed(err)) {
        err = sp_watch_start(link->loop, &link->watch, fd);
    }
    if (sp_failed(err)) {
        if (!link->told) {
            sp_log(SP_LOG_WARN, "cannot reach %s at %s (%s); trying again", link->name, link->path,
                   sp_code_word(err.code));
            link->told = true;
        }
        come_back(link);
        return;
    }
    (void)SP_STEAL_FD(fd);
    link->pause_us = PAUSE_FIRST_US;
    if (link->told) {
        sp_log(SP_LOG_INFO, "connected to %s again", link->name);
        link->told = false;
    }
    link->on_open(link);
}

static void on_retry(sp_timer *timer)
{
    connect_now(LINK_OF(timer, retry));
}

void sp_link_start(sp_link *link, sp_loop *loop)
{
    link->loop = loop;
    link->watch = (sp_watch){.on_ready = on_ready, .fd = -1};
    link->retry = (sp_timer){.on_time = on_retry};
    link->late = (sp_timer){.on_time = on_late};
    link->packet = sp_buf_make(SP_MSG_MAX_BYTES);
    link->out = sp_buf_make(SP_MSG_MAX_BYTES);
    link->unsent = sp_buf_make(SP_LINK_UNSENT_MAX_BYTES);
    link->pause_us = PAUSE_FIRST_US;
    connect_now(link);
}

void sp_link_stop(sp_link *link)
{
    if (link->loop == NULL) {
        return;
    }
    sp_timer_clear(link->loop, &link->retry);
    sp_timer_clear(link->loop, &link->late);
    hang_up(link);
    sp_buf_done(&link->packet);
    sp_buf_done(&link->out);
    sp_buf_done(&link->unsent);
    sp_free(link->calls);
    link->calls = NULL;
    link->call_count = link->free_call = link->waiting = 0;
}

bool sp_link_is_up(const sp_link *link)
{
    return link->watch.fd >= 0;
}

/* A packet waits whole or not at all; descriptors do not wait. */
static bool keep_unsent(sp_link *link, sp_span packet)
{
    if (SP_LINK_UNSENT_MAX_BYTES - link->unsent.len < sizeof(uint32_t) + packet.len) {
        return false;
    }
    size_t before = link->unsent.len;
    sp_buf_bytes(&link->unsent, packet);
    bool kept = !sp_failed(sp_buf_error(&link->unsent));
    if (!kept) { /* no memory, now */
        link->unsent.len = before;
        link->unsent.err = sp_ok();
    }
    return kept;
}

static bool send_packet(sp_link *link, sp_span packet, const int *fds, size_t fd_count)
{
    sp_err err = link->unsent.len > 0 ? send_waiting(link) : sp_ok();
    if (!sp_failed(err)) {
        err = sp_ipc_send(link->watch.fd, packet, fds, fd_count);
    }
    return !sp_failed(err) || (err.code == SP_EAGAIN && fd_count == 0 && keep_unsent(link, packet));
}

static bool put(sp_link *link, uint16_t kind, uint32_t id, sp_span body, const int *fds,
                size_t fd_count)
{
    if (link->watch.fd < 0) {
        return false;
    }
    sp_buf_reset(&link->out);
    sp_msg_begin(&link->out, kind, id, SP_OK);
    sp_buf_span(&link->out, body);
    bool sent = !sp_failed(sp_buf_error(&link->out)) &&
                send_packet(link, sp_buf_borrow(&link->out), fds, fd_count);
    sp_buf_wipe(&link->out);
    return sent;
}

uint32_t sp_link_call(sp_link *link, uint16_t kind, sp_span body, const int *fds, size_t fd_count,
                      sp_link_reply on_reply, void *self)
{
    if (link->watch.fd < 0 || (link->free_call == 0 && sp_failed(grow_calls(link)))) {
        return 0;
    }
    uint32_t slot = link->free_call - 1;
    link->turn = link->turn >= UINT32_MAX >> SLOT_BITS ? 1 : link->turn + 1;
    uint32_t id = link->turn << SLOT_BITS | slot;
    if (!put(link, kind, id, body, fds, fd_count)) {
        return 0;
    }
    link->free_call = link->calls[slot].next_free;
    link->calls[slot] =
        (sp_link_call_one){.on_reply = on_reply,
                           .self = self,
                           .due_us = sp_loop_now_us(link->loop) + SP_LINK_CALL_MS * UINT64_C(1000),
                           .id = id};
    link->waiting++;
    if (link->late.at == 0) {
        SP_IGNORE(sp_timer_set(link->loop, &link->late, LATE_EVERY_US)); /* the next call tries */
    }
    return id;
}

void sp_link_allow(sp_link *link, uint32_t id, uint64_t time_ms)
{
    sp_link_call_one *call = id != 0 ? find_call(link, id) : NULL;
    if (call != NULL) {
        call->due_us = sp_loop_now_us(link->loop) + time_ms * 1000;
    }
}

void sp_link_forget(sp_link *link, uint32_t id)
{
    sp_link_call_one *call = id != 0 ? find_call(link, id) : NULL;
    if (call != NULL) {
        call->on_reply = NULL;
    }
}

bool sp_link_tell(sp_link *link, uint16_t kind, sp_span body)
{
    return put(link, kind, 0, body, NULL, 0);
}

void sp_link_wait(sp_link *link, bool (*done)(const void *self), const void *self,
                  unsigned timeout_ms)
{
    uint64_t end_us = sp_now_steady_us() + (uint64_t)timeout_ms * 1000;
    while (link->watch.fd >= 0 && !done(self)) {
        uint64_t now_us = sp_now_steady_us();
        if (now_us >= end_us) {
            return;
        }
        struct pollfd wait = {.fd = link->watch.fd, .events = POLLIN};
        if (poll(&wait, 1, (int)((end_us - now_us) / 1000) + 1) > 0) {
            drain(link);
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * The line.
 * OWNS its connection and waiting calls. PROCESS core, vault, ledger. TRUST see line.h. SPEC
 * infra/ipc/line.h.
 */
#include "infra/ipc/line.h"

#include "infra/ipc/conn.h"
#include "infra/proc/clock.h"

#include <unistd.h>

enum { TICK_MS = 200, PATIENCE_US = 10 * 1000000 };

typedef struct call {
    struct call *next;
    uint32_t id;
    uint64_t until_us;
    sp_line_reply on_reply;
    void *self;
} call;

struct sp_line {
    uv_loop_t *loop;
    uv_timer_t timer;
    uv_poll_t *poll; /* NULL = down; its own allocation, because closing takes a turn */
    int fd;
    char *path;
    sp_line_calls calls;
    call *waiting;
    size_t waiting_count;
    uint32_t last_id;
    sp_buf packet;
};

static void poll_closed(uv_handle_t *handle)
{
    sp_free(handle);
}

static void fail_all(sp_line *line, sp_code code)
{
    call *all = SP_STEAL(line->waiting);
    line->waiting_count = 0;
    while (all != NULL) {
        call *next = all->next;
        all->on_reply(all->self, sp_fail(code), SP_SPAN_EMPTY);
        sp_free(all);
        all = next;
    }
}

static void break_line(sp_line *line, sp_code code)
{
    if (line->poll != NULL) {
        uv_poll_stop(line->poll);
        uv_close((uv_handle_t *)line->poll, poll_closed);
        line->poll = NULL;
        sp_ipc_close(line->fd);
        line->fd = -1;
    }
    fail_all(line, code);
}

static call *take_call(sp_line *line, uint32_t id)
{
    for (call **at = &line->waiting; *at != NULL; at = &(*at)->next) {
        if ((*at)->id == id) {
            call *found = *at;
            *at = found->next;
            line->waiting_count--;
            return found;
        }
    }
    return NULL;
}

static void on_packet(sp_line *line, const sp_msg *msg)
{
    if (msg->id == 0) {
        if (line->calls.on_push != NULL) {
            line->calls.on_push(line->calls.self, msg->kind, msg->body);
        }
        return;
    }
    call *found = take_call(line, msg->id);
    if (found != NULL) {
        sp_err err = sp_fail(msg->status < SP_CODE_COUNT ? (sp_code)msg->status : SP_EINTERNAL);
        found->on_reply(found->self, err, msg->body);
        sp_free(found);
    }
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    sp_line *line = poll->data;
    (void)events;
    while (line->poll == poll) {
        auto_fds sp_fds fds = {0};
        sp_msg msg;
        sp_err err =
            status < 0 ? sp_fail(SP_ECLOSED) : sp_ipc_receive(line->fd, &line->packet, &fds);
        if (err.code == SP_EAGAIN) {
            return;
        }
        if (!sp_failed(err)) {
            err = sp_msg_open(sp_buf_borrow(&line->packet), &msg);
        }
        if (sp_failed(err)) {
            break_line(line, SP_ECLOSED);
            return;
        }
        on_packet(line, &msg);
        sp_buf_wipe(&line->packet);
    }
}

static sp_err try_connect(sp_line *line)
{
    auto_close int fd = -1;
    auto_free uv_poll_t *poll = NULL;
    TRY(sp_ipc_connect(line->path, &fd));
    TRY(sp_alloc(1, sizeof(*poll), &poll));
    if (uv_poll_init(line->loop, poll, fd) != 0) {
        return sp_fail(SP_EIO);
    }
    poll->data = line;
    line->poll = SP_STEAL(poll);
    line->fd = SP_STEAL_FD(fd);
    if (uv_poll_start(line->poll, UV_READABLE, on_ready) != 0) {
        break_line(line, SP_EIO);
        return sp_fail(SP_EIO);
    }
    if (line->calls.on_up != NULL) {
        line->calls.on_up(line->calls.self);
    }
    return sp_ok();
}

static bool is_overdue(const sp_line *line)
{
    uint64_t now_us = sp_now_steady_us();
    for (const call *at = line->waiting; at != NULL; at = at->next) {
        if (at->until_us < now_us) {
            return true;
        }
    }
    return false;
}

static void on_tick(uv_timer_t *timer)
{
    sp_line *line = timer->data;
    if (line->poll == NULL) {
        SP_IGNORE(try_connect(line)); /* tried again at the next tick */
    } else if (is_overdue(line)) {
        break_line(line, SP_ETIMEOUT);
    }
}

sp_err sp_line_new(uv_loop_t *loop, const char *path, const sp_line_calls *calls,
                   sp_line **ret_line)
{
    auto_free sp_line *line = NULL;
    TRY(sp_alloc(1, sizeof(*line), &line));
    TRY(sp_strdup(sp_span_cstr(path), &line->path));
    line->loop = loop;
    line->fd = -1;
    line->calls = *calls;
    line->packet = sp_buf_make(SP_MSG_MAX_BYTES);
    if (uv_timer_init(loop, &line->timer) != 0) {
        sp_free(line->path);
        return sp_fail(SP_EIO);
    }
    line->timer.data = line;
    uv_timer_start(&line->timer, on_tick, 0, TICK_MS);
    *ret_line = SP_STEAL(line);
    return sp_ok();
}

static void timer_closed(uv_handle_t *handle)
{
    sp_line *line = handle->data;
    sp_buf_done(&line->packet);
    sp_free(line->path);
    sp_free(line);
}

void sp_line_hang_up(sp_line *line)
{
    if (line != NULL) {
        uv_timer_stop(&line->timer);
        break_line(line, SP_ECLOSED);
    }
}

void sp_line_free(sp_line *line)
{
    if (line != NULL) {
        sp_line_hang_up(line);
        uv_close((uv_handle_t *)&line->timer, timer_closed);
    }
}

bool sp_line_is_up(const sp_line *line)
{
    return line != NULL && line->poll != NULL;
}

static sp_err send_call(sp_line *line, uint16_t kind, sp_span body, sp_line_reply on_reply,
                        void *self)
{
    if (line->poll == NULL || line->waiting_count >= SP_LINE_WAITING_MAX) {
        return sp_fail(SP_EAGAIN);
    }
    auto_free call *fresh = NULL;
    TRY(sp_alloc(1, sizeof(*fresh), &fresh));
    line->last_id = line->last_id == UINT32_MAX ? 1 : line->last_id + 1;
    *fresh = (call){line->waiting, line->last_id, sp_now_steady_us() + PATIENCE_US, on_reply, self};
    auto_buf sp_buf packet = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_msg_begin(&packet, kind, fresh->id, SP_OK);
    sp_buf_span(&packet, body);
    sp_err err = sp_buf_error(&packet);
    if (!sp_failed(err)) {
        err = sp_ipc_send(line->fd, sp_buf_borrow(&packet), NULL, 0);
    }
    sp_buf_wipe(&packet);
    TRY(err);
    line->waiting = SP_STEAL(fresh);
    line->waiting_count++;
    return sp_ok();
}

void sp_line_call(sp_line *line, uint16_t kind, sp_span body, sp_line_reply on_reply, void *self)
{
    sp_err err = send_call(line, kind, body, on_reply, self);
    if (sp_failed(err)) {
        on_reply(self, err, SP_SPAN_EMPTY);
    }
}

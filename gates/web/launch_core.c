/* SPDX-License-Identifier: Apache-2.0
 * The launcher's side of core: the snapshot that tells hosts and upstreams.
 * OWNS the connection and the mapping. PROCESS web role. TRUST core.
 * SPEC lib/proto/core_msg.h.
 */
#include "gates/web/launch.h"
#include "infra/ipc/conn.h"
#include "infra/proc/log.h"
#include "lib/proto/core_msg.h"

#include <unistd.h>

static void on_core(uv_poll_t *poll, int status, int events);

static void on_closed(uv_handle_t *handle)
{
    launcher *self = handle->data;
    self->polling = false;
    close(self->core_fd);
    self->core_fd = -1;
    if (!self->stopping) {
        launch_status_core(self, false);
    }
}

static void break_off(launcher *self)
{
    if (self->polling && !uv_is_closing((uv_handle_t *)&self->core_poll)) {
        uv_close((uv_handle_t *)&self->core_poll, on_closed);
    }
}

static sp_err say_hello(launcher *self)
{
    auto_buf sp_buf packet = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_msg_begin(&packet, SP_CORE_HELLO, 1, SP_OK);
    sp_core_hello_write(&(sp_core_hello){.gate = SP_GATE_WEB, .part = SP_CORE_LAUNCHER}, &packet);
    TRY(sp_buf_error(&packet));
    return sp_ipc_send(self->core_fd, sp_buf_borrow(&packet), NULL, 0);
}

static sp_err take_snapshot(launcher *self, sp_fds *fds)
{
    auto_close int fd = sp_fds_take(fds, SP_CORE_FD_SNAPSHOT);
    auto_shm sp_shm fresh = {.ptr = NULL};
    sp_policy policy;
    if (fd < 0) {
        return sp_fail(SP_EINVALID);
    }
    TRY(sp_shm_map_read(fd, true, SP_CORE_SNAPSHOT_MAX_BYTES, &fresh));
    TRY(sp_policy_open((sp_span){fresh.ptr, fresh.size_bytes}, &policy));
    sp_shm_done(&self->snapshot);
    self->snapshot = fresh;
    fresh = (sp_shm){.ptr = NULL};
    self->policy = policy;
    self->has_policy = true;
    launch_nginx_changed(self);
    return sp_ok();
}

static sp_err take_one(launcher *self)
{
    auto_fds sp_fds fds = {.count = 0};
    sp_msg msg;
    sp_buf_reset(&self->core_packet);
    TRY(sp_ipc_receive(self->core_fd, &self->core_packet, &fds));
    TRY(sp_msg_open(sp_buf_borrow(&self->core_packet), &msg));
    if (msg.status != SP_OK) {
        return sp_fail(msg.status);
    }
    if (msg.kind == SP_CORE_STATUS) {
        launch_status_told(self, msg.body);
        return sp_ok();
    }
    launch_status_core(self, true);
    bool brings = msg.kind == SP_CORE_HELLO || msg.kind == SP_CORE_SNAPSHOT;
    return brings ? take_snapshot(self, &fds) : sp_ok();
}

static void on_core(uv_poll_t *poll, int status, int events)
{
    launcher *self = poll->data;
    (void)events;
    sp_err err = status < 0 ? sp_fail(SP_EIO) : sp_ok();
    while (!sp_failed(err)) {
        err = take_one(self);
    }
    if (err.code != SP_EAGAIN) {
        sp_log(SP_LOG_WARN, "lost the connection to core (%s); nginx goes on with what it has",
               sp_code_word(err.code));
        break_off(self);
    }
}

void launch_core_tick(launcher *self)
{
    if (self->polling || self->stopping) {
        return;
    }
    if (sp_failed(sp_ipc_connect(self->core_path, &self->core_fd))) {
        return; /* the next tick tries again */
    }
    if (sp_failed(say_hello(self)) ||
        uv_poll_init(&self->loop, &self->core_poll, self->core_fd) != 0) {
        close(self->core_fd);
        self->core_fd = -1;
        return;
    }
    self->core_poll.data = self;
    self->polling = true;
    if (uv_poll_start(&self->core_poll, UV_READABLE | UV_DISCONNECT, on_core) != 0) {
        break_off(self);
    }
}

void launch_core_stop(launcher *self)
{
    break_off(self);
}

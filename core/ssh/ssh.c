/* SPDX-License-Identifier: Apache-2.0
 * The room of SSH: start, stop, the second's work, and which message goes where.
 * OWNS sp_ssh. PROCESS core. TRUST see ssh.h. SPEC core/ssh/ssh.h.
 */
#include "core/ssh/inside.h"
#include "infra/proc/clock.h"

enum { TICK_MS = 1000 };

static void on_tick(uv_timer_t *timer)
{
    sp_ssh *ssh = timer->data;
    sp_ssh_conversations_expire(ssh, sp_now_unix_us() / 1000000);
    sp_ssh_watch_expire(ssh, sp_now_steady_us());
    sp_ssh_rides_expire(ssh, sp_now_steady_us());
}

static sp_err add_routes(sp_core *core)
{
    TRY(sp_ssh_certificate_routes(core));
    TRY(sp_ssh_prompt_routes(core));
    TRY(sp_ssh_mine_routes(core));
    TRY(sp_ssh_connections_routes(core));
    return sp_ssh_watch_routes(core);
}

sp_err sp_ssh_start(sp_core *core, sp_ssh **ret_ssh)
{
    sp_ssh *ssh = NULL;
    TRY(sp_alloc(1, sizeof(*ssh), &ssh));
    *ret_ssh = ssh;
    ssh->core = core;
    TRY(sp_ssh_keys_start(core));
    TRY(sp_ssh_conversations_new(&ssh->conversations));
    TRY(sp_ssh_connections_new(&ssh->connections));
    TRY(sp_ssh_rides_new(&ssh->rides));
    ssh->timer.data = ssh;
    if (uv_timer_init(core->loop, &ssh->timer) != 0 ||
        uv_timer_start(&ssh->timer, on_tick, TICK_MS, TICK_MS) != 0) {
        return sp_fail(SP_EIO);
    }
    return add_routes(core);
}

static void on_closed(uv_handle_t *handle)
{
    sp_free(handle->data);
}

void sp_ssh_stop(sp_ssh *ssh)
{
    if (ssh == NULL) {
        return;
    }
    sp_ssh_conversations_free(ssh->conversations);
    sp_ssh_connections_free(ssh->connections);
    sp_ssh_rides_free(ssh->rides);
    if (ssh->timer.data == NULL) {
        sp_free(ssh); /* its timer never began */
        return;
    }
    uv_timer_stop(&ssh->timer);
    uv_close((uv_handle_t *)&ssh->timer, on_closed);
}

sp_err sp_ssh_on_message(sp_core *core, sp_peer *peer, const sp_msg *msg)
{
    static const struct {
        uint16_t kind;
        sp_err (*handle)(sp_ssh *ssh, sp_peer *peer, const sp_msg *msg);
    } kinds[] = {
        {SP_CORE_SSH_OFFER, sp_ssh_on_offer},     {SP_CORE_SSH_KEY, sp_ssh_on_key},
        {SP_CORE_SSH_PROMPT, sp_ssh_on_prompt},   {SP_CORE_SSH_TARGETS, sp_ssh_on_targets},
        {SP_CORE_SSH_OPEN, sp_ssh_on_open},       {SP_CORE_SSH_CONN, sp_ssh_on_conn},
        {SP_CORE_SSH_CHANNEL, sp_ssh_on_channel}, {SP_CORE_SSH_WATCH_WANT, sp_ssh_on_watch_want},
    };
    for (size_t i = 0; i < SP_COUNT(kinds); i++) {
        if (kinds[i].kind == msg->kind) {
            return kinds[i].handle(core->ssh, peer, msg);
        }
    }
    return sp_fail(SP_EUNSUPPORTED);
}

void sp_ssh_gone(sp_core *core, const sp_peer *peer)
{
    if (core->ssh != NULL) {
        sp_ssh_conversations_gone(core->ssh, peer);
        sp_ssh_connections_gone(core->ssh, peer);
        sp_ssh_rides_gone(core->ssh, peer);
    }
}

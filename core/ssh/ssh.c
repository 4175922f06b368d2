/* SPDX-License-Identifier: Apache-2.0
 * The room of SSH: start, stop, the second's work, and which message goes where.
 * OWNS sp_ssh. PROCESS core. TRUST see ssh.h. SPEC core/ssh/ssh.h.
 */
#include "core/ssh/inside.h"
#include "core/vault_client.h"
#include "infra/proc/clock.h"
#include "lib/proto/vault_msg.h"

enum { TICK_MS = 1000 };

static void on_user_ca(void *self, sp_err err, sp_span blob)
{
    sp_core *core = self;
    if (core->ssh == NULL) {
        return; /* stopping */
    }
    core->ssh->asking = false;
    if (!sp_failed(err)) {
        sp_buf_reset(&core->ssh->user_ca);
        sp_buf_span(&core->ssh->user_ca, blob);
    }
}

/* Until the vault has told it. */
static void ask_user_ca(sp_ssh *ssh)
{
    bool needed = sp_config_has_role(ssh->core->config, SP_ROLE_SSH) && ssh->user_ca.len == 0;
    if (needed && !ssh->asking && sp_vault_client_is_up(ssh->core->vault)) {
        auto_buf sp_buf body = sp_buf_make(8);
        sp_vault_ssh_public_encode(SP_VAULT_SSH_USER_CA, &body);
        ssh->asking = true;
        sp_vault_client_call(ssh->core->vault, SP_VAULT_SSH_PUBLIC, sp_buf_borrow(&body),
                             on_user_ca, ssh->core);
    }
}

static void on_tick(uv_timer_t *timer)
{
    sp_ssh *ssh = timer->data;
    ask_user_ca(ssh);
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
    TRY(sp_ssh_freeze_routes(core));
    TRY(sp_ssh_watch_routes(core));
    TRY(sp_ssh_alarms_start(core));
    return sp_ssh_recordings_routes(core);
}

sp_err sp_ssh_start(sp_core *core, sp_ssh **ret_ssh)
{
    sp_ssh *ssh = NULL;
    TRY(sp_alloc(1, sizeof(*ssh), &ssh));
    *ret_ssh = ssh;
    ssh->core = core;
    ssh->user_ca = sp_buf_make(SP_VAULT_SSH_BLOB_MAX_BYTES);
    TRY(sp_ssh_keys_start(core));
    TRY(sp_ssh_conversations_new(&ssh->conversations));
    TRY(sp_ssh_connections_new(&ssh->connections));
    TRY(sp_ssh_rides_new(&ssh->rides));
    TRY(sp_ssh_frozen_new(&ssh->frozen));
    TRY(sp_ssh_places_new(&ssh->places));
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
    sp_ssh_frozen_free(ssh->frozen);
    sp_ssh_places_free(ssh->places);
    sp_buf_done(&ssh->user_ca);
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
        {SP_CORE_SSH_OFFER, sp_ssh_on_offer},
        {SP_CORE_SSH_KEY, sp_ssh_on_key},
        {SP_CORE_SSH_PROMPT, sp_ssh_on_prompt},
        {SP_CORE_SSH_TARGETS, sp_ssh_on_targets},
        {SP_CORE_SSH_OPEN, sp_ssh_on_open},
        {SP_CORE_SSH_SIGN, sp_ssh_on_open},
        {SP_CORE_SSH_CONN, sp_ssh_on_conn},
        {SP_CORE_SSH_CHANNEL, sp_ssh_on_channel},
        {SP_CORE_SSH_WATCH_WANT, sp_ssh_on_watch_want},
        {SP_CORE_SSH_ALARM, sp_ssh_on_alarm},
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
        sp_ssh_places_gone(core->ssh, peer);
    }
}

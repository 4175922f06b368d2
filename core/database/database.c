/* SPDX-License-Identifier: Apache-2.0
 * The room of databases: start, stop, the second's work, and which message goes where.
 * OWNS sp_databases. PROCESS core. TRUST see database.h. SPEC core/database/database.h.
 */
#include "core/database/inside.h"
#include "infra/proc/clock.h"

enum { TICK_MS = 1000 };

static void on_tick(uv_timer_t *timer)
{
    sp_databases *databases = timer->data;
    uint64_t now_unix_s = sp_now_unix_us() / 1000000;
    sp_db_tokens_expire(databases, now_unix_s);
    sp_db_conversations_expire(databases, sp_now_steady_us());
    sp_db_days_retry(databases, sp_now_steady_us());
    sp_db_budgets_flush(databases, now_unix_s);
}

static sp_err add_routes(sp_core *core)
{
    TRY(sp_db_tokens_routes(core));
    TRY(sp_db_connections_routes(core));
    TRY(sp_db_used_routes(core));
    return sp_db_credentials_routes(core);
}

sp_err sp_databases_start(sp_core *core, sp_databases **ret_databases)
{
    sp_databases *databases = NULL;
    TRY(sp_alloc(1, sizeof(*databases), &databases));
    *ret_databases = databases;
    databases->core = core;
    TRY(sp_db_tokens_new(&databases->tokens));
    TRY(sp_db_conversations_new(&databases->conversations));
    TRY(sp_db_connections_new(&databases->connections));
    TRY(sp_db_days_new(&databases->days));
    TRY(sp_db_budgets_start(databases));
    databases->timer.data = databases;
    if (uv_timer_init(core->loop, &databases->timer) != 0 ||
        uv_timer_start(&databases->timer, on_tick, TICK_MS, TICK_MS) != 0) {
        return sp_fail(SP_EIO);
    }
    return add_routes(core);
}

static void on_closed(uv_handle_t *handle)
{
    sp_free(handle->data);
}

void sp_databases_stop(sp_databases *databases)
{
    if (databases == NULL) {
        return;
    }
    sp_db_tokens_free(databases->tokens);
    sp_db_conversations_free(databases->conversations);
    sp_db_connections_free(databases->connections);
    sp_db_budgets_stop(databases);
    sp_db_days_free(databases->days);
    sp_db_guesses_free(databases);
    if (databases->timer.data == NULL) {
        sp_free(databases); /* its timer never began */
        return;
    }
    uv_timer_stop(&databases->timer);
    uv_close((uv_handle_t *)&databases->timer, on_closed);
}

sp_err sp_databases_on_message(sp_core *core, sp_peer *peer, const sp_msg *msg)
{
    sp_databases *databases = core->databases;
    switch (msg->kind) {
    case SP_CORE_DB_SASL:
        return sp_db_on_sasl(databases, peer, msg);
    case SP_CORE_DB_CERT:
        return sp_db_on_cert(databases, peer, msg);
    case SP_CORE_DB_CONN:
        return sp_db_on_conn(databases, peer, msg);
    case SP_CORE_DB_SPEND:
        return sp_databases_on_spend(core, SP_GATE_DB, peer, msg);
    default:
        return sp_fail(SP_EUNSUPPORTED);
    }
}

void sp_databases_gone(sp_core *core, const sp_peer *peer)
{
    if (core->databases != NULL) {
        sp_db_conversations_gone(core->databases, peer);
        sp_db_connections_gone(core->databases, peer);
        sp_db_days_gone(core->databases->days, peer);
        (void)sp_db_guess_end(core->databases, peer, 0);
    }
}

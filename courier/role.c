/* SPDX-License-Identifier: Apache-2.0
 * The role courier: its socket, its loop, its cage.
 * OWNS the courier. PROCESS courier. TRUST the configuration is the operator's.
 * SPEC courier/README.md, infra/proc/entry.h.
 */
#include "courier/sinks.h"

#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "infra/proc/entry.h"
#include "infra/proc/log.h"
#include "infra/proc/sandbox.h"

#include <signal.h>
#include <stdlib.h>

enum { TICK_MS = 1000, WATCHDOG_TICKS = 5, PEERS_MAX = 8, COURIER_FILES_MAX = 1024 };

typedef struct {
    courier it;
    uv_signal_t term;
    uv_timer_t tick;
    unsigned ticks;
} role;

static void on_term(uv_signal_t *signal, int number)
{
    (void)number;
    uv_stop(signal->loop);
}

static void on_tick(uv_timer_t *timer)
{
    role *self = timer->data;
    courier_secrets_tick(self->it.secrets, sp_now_steady_us());
    if (++self->ticks % WATCHDOG_TICKS == 0) {
        sp_entry_notify("WATCHDOG=1");
    }
}

static sp_err lock_in(const courier *c, sp_buf *why)
{
    const sp_sandbox cage = {.role = "courier",
                             .may = SP_MAY_THREADS | SP_MAY_CONNECT, /* a thread resolves names */
                             .read = {c->config->run_dir, "?/etc/sallyport"},
                             .files_max = COURIER_FILES_MAX};
    return sp_sandbox_enter(&cage, why);
}

static sp_err start(role *self, sp_buf *why)
{
    courier *c = &self->it;
    int fd = sp_entry_listen_fd("courier");
    const sp_server_calls calls = {courier_on_message, courier_on_gone, c};
    if (fd < 0) {
        sp_buf_text(why, "no socket named 'courier' was handed over: start it by sallyport run");
        return sp_fail(SP_EINVALID);
    }
    for (size_t i = 0; i < SP_COUNT(c->jobs); i++) {
        c->jobs[i].of = c;
    }
    TRY(sp_crypto_start());
    TRY(lock_in(c, why));
    if (uv_loop_init(&c->loop) != 0) {
        return sp_fail(SP_EIO);
    }
    TRY(courier_wires_new(c, &c->wires));
    TRY(courier_secrets_new(c, &c->secrets));
    TRY(courier_sinks_new(c, &c->sinks));
    uv_signal_init(&c->loop, &self->term);
    uv_timer_init(&c->loop, &self->tick);
    self->tick.data = self;
    uv_signal_start(&self->term, on_term, SIGTERM);
    uv_timer_start(&self->tick, on_tick, TICK_MS, TICK_MS);
    return sp_server_new(&c->loop, fd, PEERS_MAX, &calls, &c->server);
}

int sp_courier_role(const sp_config *config)
{
    static role self;
    auto_buf sp_buf why = sp_buf_make(SP_SANDBOX_TEXT_BYTES);
    sp_log_start("courier", SP_LOG_INFO);
    signal(SIGPIPE, SIG_IGN);
    self.it.config = config;
    sp_err err = start(&self, &why);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "courier cannot start: %s: %.*s", sp_code_word(err.code),
               SP_SPAN_ARG(sp_buf_borrow(&why)));
        return EXIT_FAILURE;
    }
    sp_log(SP_LOG_INFO, "courier serves");
    sp_entry_notify("READY=1");
    uv_run(&self.it.loop, UV_RUN_DEFAULT);
    /* what is under way is cut: core sends it again */
    sp_server_free(self.it.server);
    courier_sinks_free(self.it.sinks);
    courier_secrets_free(self.it.secrets);
    return EXIT_SUCCESS;
}

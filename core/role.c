/* SPDX-License-Identifier: Apache-2.0
 * The role core: makes what the rooms share, starts them in order, runs the loop, stops them.
 * OWNS sp_core. PROCESS core. TRUST the configuration is the operator's.
 * SPEC core/core.h, infra/proc/entry.h.
 */
#include "core/approvals/approvals.h"
#include "core/backup/restored.h"
#include "core/clock.h"
#include "core/core.h"
#include "core/cut/cut.h"
#include "core/database/database.h"
#include "core/documents/start.h"
#include "core/http/http.h"
#include "core/http/sse.h"
#include "core/http/stream.h"
#include "core/identity/identity.h"
#include "core/incidents/incidents.h"
#include "core/ledger_client.h"
#include "core/meters/meters.h"
#include "core/notices/notices.h"
#include "core/plans/plans.h"
#include "core/reports/reports.h"
#include "core/sessions/sessions.h"
#include "core/sinks/sinks.h"
#include "core/ssh/ssh.h"
#include "core/status/status.h"
#include "core/vault_client.h"
#include "core/watch/watch.h"
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "infra/proc/entry.h"
#include "infra/proc/log.h"
#include "infra/proc/sandbox.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    WATCHDOG_MS = 5000,
    BEAT_MS = 500,
    WHY_BYTES = 1024,
    CORE_FILES_MAX = 8192,
    TOKENS_PER_SESSION = 8,
    CERTS_PER_DEVICE = 4,
    HTTPS_PORT = 443
};

typedef struct {
    sp_core core;
    uv_loop_t loop;
    uv_signal_t on_term;
    uv_signal_t on_hup;
    uv_signal_t on_int;
    uv_timer_t watchdog;
    uv_timer_t beat;
    char files_dir[PATH_MAX];
    bool has_files;
} role;

/* ---- addresses and files ---- */

static sp_err make_addresses(sp_core *core)
{
    auto_buf sp_buf host = sp_buf_make(512);
    auto_buf sp_buf origin = sp_buf_make(512);
    sp_buf_fmt(&host, "%s.%s", core->config->portal, core->config->domain);
    sp_buf_text(&origin, "https://");
    sp_buf_span(&origin, sp_buf_borrow(&host));
    if (core->config->public_port != HTTPS_PORT) {
        sp_buf_fmt(&origin, ":%u", core->config->public_port);
    }
    TRY(sp_buf_take_cstr(&host, &core->portal_host));
    return sp_buf_take_cstr(&origin, &core->portal_origin);
}

/* Beside the program: installed, or in the build tree. */
static void find_files(role *self)
{
    static const char *const places[] = {"../share/sallyport/console", "../../console/dist"};
    char exe[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    if (len <= 0) {
        return;
    }
    exe[len] = '\0';
    while (len > 0 && exe[len - 1] != '/') {
        exe[--len] = '\0';
    }
    for (size_t i = 0; i < SP_COUNT(places) && !self->has_files; i++) {
        char index[PATH_MAX];
        struct stat st;
        int a = snprintf(self->files_dir, sizeof(self->files_dir), "%s%s", exe, places[i]);
        int b = snprintf(index, sizeof(index), "%s%s/index.html", exe, places[i]);
        self->has_files = a > 0 && b > 0 && a < PATH_MAX && b < PATH_MAX && stat(index, &st) == 0;
    }
    if (!self->has_files) {
        sp_log(SP_LOG_WARN, "the console's files are not beside the program: the portal serves "
                            "the API only");
    }
}

/* ---- what the rooms share ---- */

static sp_err open_store(sp_core *core)
{
    auto_free char *path = NULL;
    auto_buf sp_buf why = sp_buf_make(WHY_BYTES);
    TRY(sp_config_state(core->config, SP_ROLE_CORE, "core.db", &path));
    sp_err err = sp_store_open(path, &why, &core->store);
    if (err.code == SP_ECORRUPT) {
        sp_log(SP_LOG_ERROR,
               "the store %s is damaged (%.*s): core does not start on it. Restore a backup: "
               "sallyport backup restore",
               path, SP_SPAN_ARG(sp_buf_borrow(&why)));
    } else if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "the store %s cannot be opened: %.*s", path,
               SP_SPAN_ARG(sp_buf_borrow(&why)));
    }
    return err;
}

static uint32_t power_of_two_from(uint32_t least)
{
    uint32_t power = 1;
    while (power < least) {
        power *= 2;
    }
    return power;
}

static sp_err make_live(sp_core *core)
{
    sp_live_caps caps = {.sessions = core->config->sessions_max,
                         .tokens =
                             power_of_two_from(core->config->sessions_max * TOKENS_PER_SESSION),
                         .devices = core->config->devices_max,
                         .certs = power_of_two_from(core->config->devices_max * CERTS_PER_DEVICE)};
    size_t size_bytes = 0;
    TRY(sp_live_size(&caps, &size_bytes));
    TRY(sp_shm_new_published("sallyport-live", size_bytes, &core->live_shm, &core->live_fd));
    return sp_live_format(core->live_shm.ptr, size_bytes, &caps, &core->live);
}

static sp_err enter_sandbox(role *self)
{
    auto_free char *state_dir = NULL;
    auto_buf sp_buf why = sp_buf_make(SP_SANDBOX_TEXT_BYTES);
    const sp_config *config = self->core.config;
    TRY(sp_config_state(config, SP_ROLE_CORE, "", &state_dir));
    sp_sandbox cage = {.role = "core",
                       .may = SP_MAY_FILES | SP_MAY_THREADS,
                       .read = {config->run_dir, config->file},
                       .write = {state_dir},
                       .files_max = CORE_FILES_MAX};
    size_t at = 2;
    if (self->has_files) {
        cage.read[at++] = self->files_dir;
    }
    if (config->documents_dir != NULL) {
        cage.read[at] = config->documents_dir;
    }
    sp_err err = sp_sandbox_enter(&cage, &why);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "the sandbox cannot be entered: %.*s",
               SP_SPAN_ARG(sp_buf_borrow(&why)));
    }
    return err;
}

/* ---- the loop's own ---- */

static void on_signal(uv_signal_t *signal, int number)
{
    (void)number;
    uv_stop(signal->loop);
}

static void on_hup(uv_signal_t *signal, int number)
{
    (void)number;
    role *self = signal->data;
    if (self->core.state != NULL) {
        sp_documents_reload(&self->core);
    }
}

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    sp_entry_notify("WATCHDOG=1");
}

static void on_beat(uv_timer_t *timer)
{
    role *self = timer->data;
    sp_live_beat(&self->core.live, sp_now_steady_us());
}

static sp_err start_loop_parts(role *self)
{
    bool ok = uv_signal_init(&self->loop, &self->on_term) == 0 &&
              uv_signal_init(&self->loop, &self->on_int) == 0 &&
              uv_signal_init(&self->loop, &self->on_hup) == 0 &&
              uv_timer_init(&self->loop, &self->watchdog) == 0 &&
              uv_timer_init(&self->loop, &self->beat) == 0;
    self->beat.data = self;
    self->on_hup.data = self;
    return ok && uv_signal_start(&self->on_hup, on_hup, SIGHUP) == 0 &&
                   uv_signal_start(&self->on_term, on_signal, SIGTERM) == 0 &&
                   uv_signal_start(&self->on_int, on_signal, SIGINT) == 0 &&
                   uv_timer_start(&self->watchdog, on_watchdog, WATCHDOG_MS, WATCHDOG_MS) == 0 &&
                   uv_timer_start(&self->beat, on_beat, 0, BEAT_MS) == 0
               ? sp_ok()
               : sp_fail(SP_EIO);
}

static sp_err step(const char *what, sp_err err)
{
    if (err.code == SP_EUNSUPPORTED) {
        sp_log(
            SP_LOG_ERROR,
            "core cannot start: %s: a newer version of Sallyport has written this store. Install "
            "that version, or restore a backup made by this one",
            what);
    } else if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "core cannot start: %s: %s", what, sp_code_word(err.code));
    }
    return err;
}

static sp_err start_rooms(role *self)
{
    sp_core *core = &self->core;
    TRY(step("the router", sp_router_new(&core->router)));
    TRY(step("the event streams", sp_sse_new(core, &core->sse)));
    TRY(step("the line to the ledger", sp_ledger_client_new(core, &core->ledger)));
    TRY(step("the line to the vault", sp_vault_client_new(core, &core->vault)));
    TRY(step("people and credentials", sp_identity_start(core, &core->identity)));
    TRY(step("sessions", sp_sessions_start(core, &core->sessions)));
    TRY(step("documents and devices", sp_state_start(core, &core->state)));
    TRY(step("the sessions of before", sp_sessions_load(core)));
    TRY(step("approvals", sp_approvals_start(core, &core->approvals)));
    TRY(step("databases", sp_databases_start(core, &core->databases)));
    TRY(step("SSH", sp_ssh_start(core, &core->ssh)));
    TRY(step("notices", sp_notices_start(core, &core->notices)));
    TRY(step("what is cut", sp_cut_start(core, &core->cutter)));
    TRY(step("incidents", sp_incidents_start(core)));
    TRY(step("plans", sp_plans_start(core, &core->plans)));
    TRY(step("the watch", sp_watcher_start(core, &core->watcher)));
    TRY(step("reports", sp_reports_start(core, &core->reports)));
    TRY(step("sinks", sp_sinks_start(core, &core->sinks)));
    TRY(step("the status page", sp_status_start(core)));
    TRY(step("figures", sp_meters_start(core, &core->meters)));
    TRY(step("the clock", sp_clock_start(core)));
    return step("HTTP", sp_http_start(core, sp_entry_listen_fd("api"), sp_entry_listen_fd("local"),
                                      self->has_files ? self->files_dir : NULL, &core->http));
}

static sp_err start(role *self, const sp_config *config)
{
    sp_core *core = &self->core;
    core->config = config;
    core->loop = &self->loop;
    core->live_fd = -1;
    TRY(step("randomness", sp_crypto_start()));
    TRY(step("the loop", uv_loop_init(&self->loop) == 0 ? sp_ok() : sp_fail(SP_EIO)));
    TRY(step("addresses", make_addresses(core)));
    find_files(self);
    TRY(enter_sandbox(self));
    TRY(open_store(core));
    TRY(step("the note of a restore", sp_restored_tell(core)));
    TRY(step("the live table", make_live(core)));
    TRY(step("signals", start_loop_parts(self)));
    return start_rooms(self);
}

/* ---- stopping ---- */

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

static void stop(role *self)
{
    sp_core *core = &self->core;
    sp_entry_notify("STOPPING=1");
    sp_sse_end_all(core->sse);
    sp_streams_end_all(core);
    sp_approvals_stop(core->approvals); /* who waits for the keeper is answered while he can be */
    core->approvals = NULL;
    sp_ledger_client_hang_up(core->ledger);
    sp_vault_client_hang_up(core->vault);
    sp_http_stop(core->http);
    sp_databases_stop(core->databases);
    core->databases = NULL; /* gates that go away now are not told to it any more */
    sp_notices_stop(core->notices);
    core->notices = NULL;
    sp_ssh_stop(core->ssh);
    core->ssh = NULL;
    sp_sinks_stop(core->sinks);
    core->sinks = NULL;
    sp_reports_stop(core->reports);
    sp_meters_stop(core->meters);
    sp_plans_stop(core->plans);
    sp_cut_stop(core->cutter);
    sp_watcher_stop(core->watcher);
    core->watcher = NULL;
    sp_state_stop(core->state);
    sp_sessions_stop(core->sessions);
    sp_identity_stop(core->identity);
    sp_ledger_client_free(core->ledger);
    sp_vault_client_free(core->vault);
    sp_sse_free(core->sse);
    uv_run(&self->loop, UV_RUN_NOWAIT); /* lets each room close what is its own */
    uv_walk(&self->loop, close_handle, NULL);
    uv_run(&self->loop, UV_RUN_DEFAULT);
    uv_loop_close(&self->loop);
    sp_router_free(core->router);
    sp_store_close(core->store);
    sp_shm_done(&core->live_shm);
    if (core->live_fd >= 0) {
        close(core->live_fd);
    }
    sp_free(core->portal_host);
    sp_free(core->portal_origin);
}

int sp_core_role(const sp_config *config)
{
    static role self;
    sp_log_start("core", SP_LOG_INFO);
    if (sp_failed(start(&self, config))) {
        return EXIT_FAILURE; /* the process ends: the kernel takes everything back */
    }
    sp_log(SP_LOG_INFO, "core serves %s", self.core.portal_origin);
    sp_entry_notify("READY=1");
    uv_run(&self.loop, UV_RUN_DEFAULT);
    stop(&self);
    return EXIT_SUCCESS;
}

/* SPDX-License-Identifier: Apache-2.0
 * The role runner: its socket, its loop, its cage.
 * OWNS the runner. PROCESS runner. TRUST the configuration is the operator's.
 * SPEC runner/README.md, infra/proc/entry.h.
 */
#include "infra/proc/entry.h"
#include "infra/proc/file.h"
#include "infra/proc/log.h"
#include "infra/proc/sandbox.h"
#include "runner/runner.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

enum { WATCHDOG_MS = 5000, PEERS_MAX = 8, RUNNER_FILES_MAX = 256 };

typedef struct {
    runner it;
    uv_signal_t term;
    uv_signal_t child;
    uv_timer_t watchdog;
    /* folders of the programs, for the cage */
    char folders[SP_COMMANDS_MAX][PATH_MAX];
} role;

static void on_term(uv_signal_t *signal, int number)
{
    (void)number;
    uv_stop(signal->loop);
}

static void on_child(uv_signal_t *signal, int number)
{
    (void)number;
    runner_reap(signal->data);
}

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    sp_entry_notify("WATCHDOG=1");
}

static sp_err make_folders(runner *r)
{
    auto_free char *dir = NULL;
    TRY(sp_config_state(r->config, SP_ROLE_RUNNER, "", &dir));
    TRY(sp_fit(r->work_dir, sizeof(r->work_dir), sp_span_cstr(dir)));
    for (size_t i = 0; i < r->config->commands_count; i++) {
        char path[PATH_MAX];
        TRY(runner_folder(r, r->config->commands[i].name, path));
        TRY(sp_dir_make(path, 0700));
    }
    return sp_ok();
}

/* The programs' folders, each once; a program that is not there yet is no error: its step fails. */
static void add_folders(role *self, sp_sandbox *cage)
{
    const sp_config *config = self->it.config;
    size_t count = 3;
    for (size_t i = 0; i < config->commands_count && count < SP_SANDBOX_PATHS_MAX; i++) {
        char *folder = self->folders[i];
        char real[PATH_MAX];
        const char *path =
            realpath(config->commands[i].path, real) != NULL ? real : config->commands[i].path;
        int len = snprintf(folder, PATH_MAX, "?%s", path);
        char *slash = strrchr(folder, '/');
        if (len <= 0 || len >= PATH_MAX || slash == NULL) {
            continue;
        }
        slash[slash == folder + 1 ? 1 : 0] = '\0';
        bool known = false;
        for (size_t k = 0; k < count; k++) {
            known = known || strcmp(cage->execute[k], folder) == 0;
        }
        if (!known) {
            cage->execute[count++] = folder;
        }
    }
}

static sp_err lock_in(role *self, sp_buf *why)
{
    sp_sandbox cage = {.role = "runner",
                       .may = SP_MAY_FILES | SP_MAY_SPAWN,
                       .read = {self->it.config->run_dir},
                       .write = {self->it.work_dir},
                       .execute = {"/usr", "?/bin", "?/sbin"},
                       .files_max = RUNNER_FILES_MAX};
    add_folders(self, &cage);
    return sp_sandbox_enter(&cage, why);
}

static sp_err start(role *self, sp_buf *why)
{
    runner *r = &self->it;
    int fd = sp_entry_listen_fd("runner");
    const sp_server_calls calls = {runner_on_message, NULL, r};
    if (fd < 0) {
        sp_buf_text(why, "no socket named 'runner' was handed over: start it by sallyport run");
        return sp_fail(SP_EINVALID);
    }
    TRY(make_folders(r));
    TRY(lock_in(self, why));
    /* what a program leaves behind is ours to reap */
    if (uv_loop_init(&r->loop) != 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
        return sp_fail(SP_EIO);
    }
    uv_signal_init(&r->loop, &self->term);
    uv_signal_init(&r->loop, &self->child);
    uv_timer_init(&r->loop, &self->watchdog);
    self->child.data = r;
    uv_signal_start(&self->term, on_term, SIGTERM);
    uv_signal_start(&self->child, on_child, SIGCHLD);
    uv_timer_start(&self->watchdog, on_watchdog, WATCHDOG_MS, WATCHDOG_MS);
    return sp_server_new(&r->loop, fd, PEERS_MAX, &calls, &r->server);
}

int sp_runner_role(const sp_config *config)
{
    static role self;
    auto_buf sp_buf why = sp_buf_make(SP_SANDBOX_TEXT_BYTES);
    sp_log_start("runner", SP_LOG_INFO);
    signal(SIGPIPE, SIG_IGN);
    self.it.config = config;
    sp_err err = start(&self, &why);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "runner cannot start: %s: %.*s", sp_code_word(err.code),
               SP_SPAN_ARG(sp_buf_borrow(&why)));
        return EXIT_FAILURE;
    }
    sp_log(SP_LOG_INFO, "runner serves %zu commands", config->commands_count);
    sp_entry_notify("READY=1");
    uv_run(&self.it.loop, UV_RUN_DEFAULT);
    runner_kill_all(&self.it);
    sp_server_free(self.it.server);
    return EXIT_SUCCESS;
}

/* SPDX-License-Identifier: Apache-2.0
 * The porter with roles that do nothing but behave as told: tests/system/test_porter_life.py
 * watches how it starts, restarts and stops them. How a role behaves is one word in
 * <documents>/<role>: exit     ends with status 3 at once           hang     never says READY
 *     silent   says WATCHDOG once, then nothing     deaf     does not end on SIGTERM
 *     orphan   leaves a process behind              intrude  makes a call that its sandbox forbids
 * OWNS nothing. PROCESS tests. TRUST none. SPEC infra/proc/entry.h.
 */
#include "infra/ipc/conn.h"
#include "infra/proc/entry.h"
#include "infra/proc/file.h"
#include "infra/proc/log.h"
#include "infra/proc/sandbox.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TICK_MS = 200 };

static volatile sig_atomic_t stopping;
static volatile sig_atomic_t reloading;

static void on_term(int number)
{
    (void)number;
    stopping = 1;
}

static void on_hup(int number)
{
    (void)number;
    reloading = 1;
}

static bool behaves(const sp_config *config, sp_role_kind role, const char *how)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", config->documents_dir, sp_role_word(role));
    auto_buf sp_buf text = sp_buf_make(64);
    return !sp_failed(sp_file_read(path, &text)) &&
           sp_span_eq(sp_span_trim(sp_buf_borrow(&text)), sp_span_cstr(how));
}

static void leave_orphan(void)
{
    if (fork() == 0) {
        signal(SIGTERM, SIG_IGN);
        for (;;) {
            pause();
        }
    }
}

static void lock_in(const sp_config *config, sp_role_kind role)
{
    char state[512];
    snprintf(state, sizeof(state), "%s/%s", config->state_dir, sp_role_word(role));
    const sp_sandbox cage = {.role = sp_role_word(role),
                             .may = SP_MAY_FILES | SP_MAY_SPAWN,
                             .write = {state},
                             .read = {config->documents_dir}};
    auto_buf sp_buf why = sp_buf_make(SP_SANDBOX_TEXT_BYTES);
    if (sp_failed(sp_sandbox_enter(&cage, &why))) {
        sp_log(SP_LOG_ERROR, "%.*s", SP_SPAN_ARG(sp_buf_borrow(&why)));
        exit(EXIT_FAILURE);
    }
}

/* Whoever connects is told who answers, so that a test sees connections outlive a role. */
static void answer(int fd, sp_role_kind role)
{
    auto_close int peer = fd < 0 ? -1 : accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    if (peer >= 0) {
        char text[64];
        int len = snprintf(text, sizeof(text), "%s %d\n", sp_role_word(role), (int)getpid());
        ssize_t put = send(peer, text, (size_t)len, MSG_NOSIGNAL);
        (void)put; /* the peer may be gone */
    }
}

static void serve(int fd, sp_role_kind role, bool silent, bool deaf)
{
    sp_entry_notify("WATCHDOG=1");
    while (!stopping || deaf) {
        struct pollfd in = {.fd = fd, .events = POLLIN};
        poll(&in, 1, TICK_MS);
        answer(fd, role);
        if (!silent) {
            sp_entry_notify("WATCHDOG=1");
        }
        if (reloading) {
            reloading = 0;
            sp_log(SP_LOG_INFO, "reloads");
        }
    }
}

static int tiny_role(const sp_config *config, sp_role_kind role, const char *socket_name)
{
    signal(SIGTERM, on_term);
    signal(SIGHUP, on_hup);
    if (behaves(config, role, "exit")) {
        sp_log(SP_LOG_ERROR, "the flag is not found: put it back");
        return 3;
    }
    lock_in(config, role);
    if (behaves(config, role, "hang")) {
        while (!stopping) {
            pause();
        }
        return EXIT_SUCCESS;
    }
    if (behaves(config, role, "orphan")) {
        leave_orphan();
    }
    sp_entry_notify("STATUS=at work");
    sp_entry_notify("READY=1");
    if (behaves(config, role, "intrude")) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    }
    serve(sp_entry_listen_fd(socket_name), role, behaves(config, role, "silent"),
          behaves(config, role, "deaf"));
    return EXIT_SUCCESS;
}

static int start_role(const char *word, const char *file)
{
    static const char *const sockets[SP_ROLE_COUNT] = {"local", "vault", "ledger", "https0"};
    auto_diags sp_diags diags = {0};
    sp_config *config = NULL;
    if (sp_failed(sp_config_load(file, &diags, &config))) {
        return EXIT_FAILURE;
    }
    int status = EXIT_FAILURE;
    for (sp_role_kind role = SP_ROLE_CORE; role < SP_ROLE_COUNT; role++) {
        if (sp_span_eq(sp_span_cstr(sp_role_word(role)), sp_span_cstr(word))) {
            sp_log_start(sp_role_word(role), SP_LOG_INFO);
            status = tiny_role(config, role, sockets[role]);
        }
    }
    sp_config_free(config);
    return status;
}

int main(int argc, char **argv)
{
    sp_span word = sp_span_cstr(argc > 1 ? argv[1] : "");
    if (sp_span_eq(word, SP_SPAN_LIT("run"))) {
        return sp_run_command(argc - 1, argv + 1);
    }
    if (sp_span_eq(word, SP_SPAN_LIT("doctor"))) {
        return sp_doctor_command(argc - 1, argv + 1);
    }
    if (sp_span_eq(word, SP_SPAN_LIT("role")) && argc == 5) {
        return start_role(argv[2], argv[4]);
    }
    return EXIT_FAILURE;
}

/* SPDX-License-Identifier: Apache-2.0
 * `sallyport run -c FILE`: the porter from its first line to its last.
 * OWNS the whole office's processes and sockets. PROCESS porter. TRUST the bootstrap file is the
 * operator's; nothing of a client comes here. SPEC docs/man/sallyport.1, docs/OPERATIONS.md.
 */
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "infra/proc/entry.h"
#include "infra/proc/log.h"
#include "infra/proc/sandbox.h"
#include "porter/porter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FILES_MAX = 131072, EXIT_USAGE = 2, EXIT_INVALID = 4 };

typedef struct {
    porter p;
    porter_places places;
    porter_ear ears[SP_ROLE_COUNT];
    int signal_fd;
} office;

/* ---- signals ---- */

static sp_err open_signals(int *ret_fd)
{
    static const int wanted[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < SP_COUNT(wanted); i++) {
        sigaddset(&set, wanted[i]);
    }
    signal(SIGPIPE, SIG_IGN);
    int fd = sigprocmask(SIG_BLOCK, &set, NULL) != 0
                 ? -1
                 : signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) {
        return sp_fail(SP_EIO);
    }
    *ret_fd = fd;
    return sp_ok();
}

static void asked_to_stop(porter *p, uint32_t number, uint64_t now_us)
{
    if (p->stopping) {
        sp_log(SP_LOG_WARN, "asked to stop a second time: what is left is ended by force");
        porter_roles_kill(p);
        return;
    }
    sp_log(SP_LOG_INFO, "asked to stop (%s)", strsignal((int)number));
    porter_roles_stop(p, now_us);
}

static void reload(porter *p)
{
    sp_log(SP_LOG_INFO, "asked to reload: core reads the documents again, web and vault the "
                        "certificates");
    porter_roles_signal(p, SIGHUP);
}

static void reap(porter *p, uint64_t now_us)
{
    int status = 0;
    for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
        porter_roles_ended(p, pid, status, now_us);
    }
}

static void read_signals(office *o, uint64_t now_us)
{
    struct signalfd_siginfo info;
    while (read(o->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        switch (info.ssi_signo) {
        case SIGHUP:
            reload(&o->p);
            break;
        case SIGTERM:
        case SIGINT:
        case SIGQUIT:
            asked_to_stop(&o->p, info.ssi_signo, now_us);
            break;
        default:
            break; /* SIGCHLD: reaped below, whatever came */
        }
    }
    reap(&o->p, now_us);
}

/* ---- the loop ---- */

static bool ledger_is_ready(const porter *p)
{
    for (size_t i = 0; i < p->roles_count; i++) {
        if (p->roles[i].kind == SP_ROLE_LEDGER) {
            return p->roles[i].state == PORTER_READY;
        }
    }
    return false;
}

static void wait_until(office *o, uint64_t next_us)
{
    uint64_t now_us = sp_now_steady_us();
    uint64_t left_ms = next_us > now_us ? (next_us - now_us) / 1000 + 1 : 0;
    struct pollfd fds[SP_ROLE_COUNT + 2] = {
        {.fd = o->signal_fd, .events = POLLIN},
        {.fd = porter_events_fd(o->p.events), .events = POLLIN},
    };
    for (unsigned i = 0; i < SP_ROLE_COUNT; i++) {
        fds[i + 2] = (struct pollfd){.fd = o->ears[i].fd, .events = POLLIN}; /* -1: none */
    }
    if (poll(fds, SP_COUNT(fds), (int)left_ms) < 0 && errno != EINTR) {
        sp_log(SP_LOG_ERROR, "poll: %s", strerror(errno));
    }
}

static void loop(office *o)
{
    porter *p = &o->p;
    porter_roles_init(p);
    for (;;) {
        uint64_t now_us = sp_now_steady_us();
        porter_ears_read(p, o->ears, now_us);
        read_signals(o, now_us);
        uint64_t next_us = porter_roles_turn(p, now_us);
        if (p->stopping && porter_roles_gone(p)) {
            return;
        }
        porter_events_turn(p->events, ledger_is_ready(p));
        porter_status_write(p, now_us, false);
        sp_entry_notify("WATCHDOG=1");
        if ((p->dirty || porter_events_waiting(p->events)) && next_us > now_us + 250000) {
            next_us = now_us + 250000;
        }
        wait_until(o, next_us);
    }
}

/* ---- start and end ---- */

static uint64_t cap_bit(unsigned cap)
{
    return (uint64_t)1 << cap;
}

/* As far as a process can be locked in whose children must become others: it may change its user,
 * signal them, and write nowhere but in the office's own directories. Its children inherit this
 * cage and lock themselves in further. */
static sp_err lock_in(const sp_config *config, sp_buf *why)
{
    const sp_sandbox cage = {
        .role = "porter",
        .may = SP_MAY_FILES | SP_MAY_THREADS | SP_MAY_SPAWN | SP_MAY_CONNECT | SP_MAY_SIGNAL |
               SP_MAY_OWNERS | SP_MAY_BIND,
        .read = {"/"},
        .write = {config->state_dir, config->run_dir, "?/dev/null", "?/dev/tty"},
        .execute = {"/"},
        .keep_caps = cap_bit(CAP_SETUID) | cap_bit(CAP_SETGID) | cap_bit(CAP_KILL),
        .files_max = FILES_MAX,
    };
    return sp_sandbox_enter(&cage, why);
}

static sp_err open_office(const sp_config *config, office *o, sp_buf *why)
{
    o->p.config = config;
    o->p.began_us = sp_now_steady_us();
    TRY(sp_crypto_start());
    TRY(open_signals(&o->signal_fd));
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
        sp_buf_fmt(why, "what roles leave behind cannot be adopted: %s", strerror(errno));
        return sp_fail(SP_EIO);
    }
    TRY(porter_places_make(config, &o->places, why));
    porter_status_remove(config); /* of a porter that had no time to */
    TRY(porter_ears_open(config, o->ears, why));
    TRY(porter_events_new(config, &o->p.events));
    o->p.start = (porter_start){.config = config,
                                .places = &o->places,
                                .ears = o->ears,
                                .program_fd = open("/proc/self/exe", O_PATH | O_CLOEXEC)};
    if (o->p.start.program_fd < 0) {
        sp_buf_fmt(why, "/proc/self/exe cannot be opened: %s", strerror(errno));
        return sp_fail(SP_EIO);
    }
    return lock_in(config, why);
}

static void close_office(office *o)
{
    if (o->p.events != NULL) {
        porter_status_remove(o->p.config);
    }
    porter_events_free(o->p.events);
    porter_ears_close(o->ears);
    int fds[] = {o->signal_fd, o->p.start.program_fd};
    for (size_t i = 0; i < SP_COUNT(fds); i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    porter_places_done(&o->places);
}

static int run_office(const sp_config *config)
{
    static office o;
    o.signal_fd = o.p.start.program_fd = -1;
    for (unsigned i = 0; i < SP_ROLE_COUNT; i++) {
        o.ears[i].fd = -1;
    }
    o.places = (porter_places){.state_lock = -1, .run_lock = -1};
    auto_buf sp_buf why = sp_buf_make(SP_SANDBOX_TEXT_BYTES * 4);
    sp_err err = open_office(config, &o, &why);
    if (sp_failed(err)) {
        sp_span text = sp_buf_borrow(&why);
        if (text.len == 0) {
            text = sp_span_cstr(sp_code_word(err.code));
        }
        sp_log(SP_LOG_ERROR, "the office cannot be opened: %.*s", SP_SPAN_ARG(text));
        close_office(&o);
        return EXIT_FAILURE;
    }
    loop(&o);
    bool failed = o.p.failed;
    close_office(&o);
    sp_log(SP_LOG_INFO, "closed");
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int usage(FILE *to, int status)
{
    fprintf(to, "usage: sallyport run -c FILE [--check]\n\n"
                "Starts the whole office that the bootstrap file describes and keeps it running.\n"
                "  -c FILE   the bootstrap file, such as /etc/sallyport/sallyport.yaml\n"
                "  --check   only says whether the file is right\n\n"
                "Signals: TERM and INT stop everything; HUP reads documents and certificates "
                "again.\n");
    return status;
}

int sp_run_command(int argc, char **argv)
{
    const char *file = NULL;
    bool check = false;
    for (int i = 1; i < argc; i++) {
        sp_span word = sp_span_cstr(argv[i]);
        if (sp_span_eq(word, SP_SPAN_LIT("--help"))) {
            return usage(stdout, EXIT_SUCCESS);
        }
        if (sp_span_eq(word, SP_SPAN_LIT("--check"))) {
            check = true;
        } else if (sp_span_eq(word, SP_SPAN_LIT("-c")) && i + 1 < argc && file == NULL) {
            file = argv[++i];
        } else {
            return usage(stderr, EXIT_USAGE);
        }
    }
    if (file == NULL) {
        return usage(stderr, EXIT_USAGE);
    }
    auto_diags sp_diags diags = {0};
    sp_config *config = NULL;
    sp_err err = sp_config_load(file, &diags, &config);
    auto_buf sp_buf text = sp_buf_make((size_t)SP_DIAGS_MAX * 1024);
    sp_diags_print(&diags, &text);
    fprintf(stderr, "%.*s", SP_SPAN_ARG(sp_buf_borrow(&text)));
    if (sp_failed(err)) {
        return EXIT_INVALID;
    }
    sp_log_start("porter", SP_LOG_INFO);
    int status = check ? EXIT_SUCCESS : run_office(config);
    sp_config_free(config);
    return status;
}

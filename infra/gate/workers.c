/* SPDX-License-Identifier: Apache-2.0
 * Workers of a gate and who watches over them.
 * OWNS the workers, the mesh, the pulses. PROCESS gate roles. TRUST see workers.h.
 * SPEC infra/gate/workers.h.
 */
#include "infra/gate/workers.h"

#include "infra/proc/clock.h"
#include "infra/proc/entry.h"
#include "infra/proc/log.h"
#include "infra/proc/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND_US UINT64_C(1000000)
enum {
    FILES_MAX = 131072,
    REST_LEAST_US = 100000,
    REST_MOST_US = 30000000,
    STABLE_S = 60,
    SILENT_S = 15,
    END_S = 8,
    WATCHDOG_MS = 2000
};

typedef struct {
    pid_t pid;           /* 0 = none */
    uint64_t due_us;     /* when it is started (again) */
    uint64_t started_us; /* */
    uint64_t beat_us;    /* last sign of life, 0 = none yet */
    uint64_t rest_us;
    int pulse[2];
    int mesh[2]; /* [0] is read by it, [1] written by the others */
} one_worker;

static struct {
    const sp_workers *spec;
    one_worker workers[SP_WORKERS_MAX];
    int mesh_out[SP_WORKERS_MAX];
    uint32_t *loads; /* shared with the workers */
    unsigned count;
    int listen_fds[SP_LISTEN_MAX];
    int signal_fd;
    bool ready;
    uint64_t stop_us; /* when it was asked to stop, 0 = not */
} role;

/* ---- workers ---- */

static void run_worker(unsigned number)
{
    const sp_worker_start start = {.config = role.spec->config,
                                   .number = number,
                                   .count = role.count,
                                   .mesh_in = role.workers[number].mesh[0],
                                   .mesh_out = role.mesh_out,
                                   .loads = role.loads,
                                   .pulse_fd = role.workers[number].pulse[1],
                                   .listen_fds = role.listen_fds,
                                   .listen_count = role.spec->listen_count};
    close(role.signal_fd);
    exit(role.spec->run(&start));
}

static void start_worker(unsigned number, uint64_t now_us)
{
    one_worker *w = &role.workers[number];
    pid_t pid = fork();
    if (pid == 0) {
        run_worker(number);
    }
    w->pid = pid > 0 ? pid : 0;
    w->started_us = now_us;
    w->beat_us = 0;
    w->due_us = pid > 0 ? 0 : now_us + SECOND_US;
}

static void ended(one_worker *w, int status, uint64_t now_us)
{
    unsigned number = (unsigned)(w - role.workers) + 1;
    w->pid = 0;
    __atomic_store_n(&role.loads[number - 1], UINT32_MAX, __ATOMIC_RELAXED);
    if (role.stop_us != 0) {
        return;
    }
    bool stable = now_us - w->started_us > STABLE_S * SECOND_US;
    w->rest_us = stable || w->rest_us == 0 ? REST_LEAST_US : w->rest_us * 2;
    w->rest_us = w->rest_us > REST_MOST_US ? REST_MOST_US : w->rest_us;
    w->due_us = now_us + w->rest_us;
    bool killed = WIFSIGNALED(status);
    sp_log(SP_LOG_ERROR,
           "worker %u of %s was ended by %s %d: its connections are gone; it is "
           "started again in %.1f s",
           number, role.spec->gate, killed ? "signal" : "itself with status",
           killed ? WTERMSIG(status) : WEXITSTATUS(status), (double)w->rest_us / 1e6);
}

static void reap(uint64_t now_us)
{
    int status = 0;
    for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
        for (unsigned i = 0; i < role.count; i++) {
            if (role.workers[i].pid == pid) {
                ended(&role.workers[i], status, now_us);
            }
        }
    }
}

static void signal_all(int number)
{
    for (unsigned i = 0; i < role.count; i++) {
        if (role.workers[i].pid > 0) {
            kill(role.workers[i].pid, number);
        }
    }
}

static bool all_gone(void)
{
    for (unsigned i = 0; i < role.count; i++) {
        if (role.workers[i].pid > 0) {
            return false;
        }
    }
    return true;
}

/* ---- watching ---- */

static void read_pulses(uint64_t now_us)
{
    bool all = true;
    for (unsigned i = 0; i < role.count; i++) {
        char beats[64];
        while (read(role.workers[i].pulse[0], beats, sizeof(beats)) > 0) {
            role.workers[i].beat_us = now_us;
        }
        all = all && role.workers[i].beat_us != 0;
    }
    if (all && !role.ready) {
        role.ready = true;
        sp_entry_notify("READY=1");
    }
}

static void look_after(uint64_t now_us)
{
    for (unsigned i = 0; i < role.count; i++) {
        one_worker *w = &role.workers[i];
        uint64_t alive_us = w->beat_us != 0 ? w->beat_us : w->started_us + SILENT_S * SECOND_US;
        if (w->pid > 0 && now_us > alive_us + SILENT_S * SECOND_US) {
            sp_log(SP_LOG_ERROR, "worker %u of %s has been silent for %d s", i + 1, role.spec->gate,
                   SILENT_S);
            kill(w->pid, SIGKILL);
        } else if (w->pid == 0 && role.stop_us == 0 && now_us >= w->due_us) {
            start_worker(i, now_us);
        }
    }
}

static void read_signals(uint64_t now_us)
{
    struct signalfd_siginfo info;
    while (read(role.signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGHUP) {
            signal_all(SIGHUP);
        } else if (info.ssi_signo != SIGCHLD && role.stop_us == 0) {
            role.stop_us = now_us;
            sp_entry_notify("STOPPING=1");
            signal_all(SIGTERM);
        }
    }
    reap(now_us);
}

static void loop(void)
{
    uint64_t told_us = 0;
    while (role.stop_us == 0 || !all_gone()) {
        struct pollfd fds[SP_WORKERS_MAX + 1] = {{.fd = role.signal_fd, .events = POLLIN}};
        for (unsigned i = 0; i < role.count; i++) {
            fds[i + 1] = (struct pollfd){.fd = role.workers[i].pulse[0], .events = POLLIN};
        }
        (void)poll(fds, role.count + 1, role.ready ? WATCHDOG_MS / 4 : 50);
        uint64_t now_us = sp_now_steady_us();
        read_signals(now_us);
        read_pulses(now_us);
        look_after(now_us);
        if (now_us - told_us > (uint64_t)WATCHDOG_MS * 1000) {
            sp_entry_notify("WATCHDOG=1");
            told_us = now_us;
        }
        if (role.stop_us != 0 && now_us > role.stop_us + END_S * SECOND_US) {
            signal_all(SIGKILL);
        }
    }
}

/* ---- start ---- */

static sp_err take_sockets(void)
{
    for (size_t i = 0; i < role.spec->listen_count; i++) {
        char name[32];
        snprintf(name, sizeof(name), "%s%u", role.spec->socket, (unsigned)i % 1000U);
        role.listen_fds[i] = sp_entry_listen_fd(name);
        if (role.listen_fds[i] < 0) {
            sp_log(SP_LOG_ERROR,
                   "no socket \"%s\" was handed over: start this role by sallyport run or systemd",
                   name);
            return sp_fail(SP_ENOTFOUND);
        }
    }
    return sp_ok();
}

static sp_err make_workers(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    /* the other half is for core, vault, ledger and who else lives here; and one worker with much
     * to do costs less a statement than two with little */
    role.count = role.spec->wanted != 0 ? role.spec->wanted : cores > 3 ? (unsigned)cores / 2 : 1;
    role.count = role.count > SP_WORKERS_MAX ? SP_WORKERS_MAX : role.count;
    role.loads = mmap(NULL, SP_WORKERS_MAX * sizeof(*role.loads), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (role.loads == MAP_FAILED) {
        return sp_fail(SP_ENOMEM);
    }
    for (unsigned i = 0; i < role.count; i++) {
        one_worker *w = &role.workers[i];
        role.loads[i] = UINT32_MAX;
        if (pipe2(w->pulse, O_NONBLOCK | O_CLOEXEC) != 0 ||
            socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, w->mesh) != 0) {
            return sp_fail(SP_EIO);
        }
        role.mesh_out[i] = w->mesh[1];
    }
    return sp_ok();
}

static sp_err open_signals(void)
{
    static const int wanted[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < SP_COUNT(wanted); i++) {
        sigaddset(&set, wanted[i]);
    }
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) {
        return sp_fail(SP_EIO);
    }
    role.signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return role.signal_fd < 0 ? sp_fail(SP_EIO) : sp_ok();
}

static sp_err enter(const sp_sandbox *cage)
{
    auto_buf sp_buf why = sp_buf_make(SP_SANDBOX_TEXT_BYTES);
    sp_err err = sp_sandbox_enter(cage, &why);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "%.*s", SP_SPAN_ARG(sp_buf_borrow(&why)));
    }
    return err;
}

/* Workers inherit this cage and lock themselves in further. */
static sp_err lock_in(void)
{
    const sp_sandbox cage = {
        .role = role.spec->role,
        .may = SP_MAY_CONNECT | SP_MAY_SPAWN,
        .read = {"/"},
        .files_max = FILES_MAX,
    };
    return enter(&cage);
}

sp_err sp_worker_lock_in(const char *name, uint64_t files_max,
                         const char *const reads[SP_WORKER_READS_MAX])
{
    sp_sandbox cage = {
        .role = name,
        .may = SP_MAY_CONNECT | SP_MAY_THREADS, /* the threads look up names: resolve.c */
        .read = {"?/etc"},                      /* whose files are put in place of others */
        .files_max = files_max,
    };
    for (size_t i = 0; i < SP_WORKER_READS_MAX && reads[i] != NULL; i++) {
        cage.read[i + 1] = reads[i];
    }
    return enter(&cage);
}

/* A worker that is woken does not push a running client or server off its core: it finds more work
 * when its turn comes, and a turn costs less. Where it may not be set (systemd sets it in the unit)
 * nothing but speed is lost. */
static void be_patient(void)
{
    const struct sched_param param = {.sched_priority = 0};
    if (sched_getscheduler(0) != SCHED_BATCH && sched_setscheduler(0, SCHED_BATCH, &param) != 0) {
        sp_log(SP_LOG_INFO, "scheduling stays as it is: %s", strerror(errno));
    }
}

static sp_err prepare(void)
{
    if (role.spec->is_patient) {
        be_patient();
    }
    TRY(take_sockets());
    TRY(open_signals());
    TRY(make_workers());
    return lock_in();
}

int sp_workers_run(const sp_workers *workers)
{
    role.spec = workers;
    sp_log_start(workers->role, SP_LOG_INFO);
    sp_err err = prepare();
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "%s cannot start (%s)", workers->gate, sp_code_word(err.code));
        return EXIT_FAILURE;
    }
    loop();
    return EXIT_SUCCESS;
}

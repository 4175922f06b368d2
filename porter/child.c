/* SPDX-License-Identifier: Apache-2.0
 * A role as a process: forked, given its user, sockets and environment, and made to run our own
 * program again.
 * OWNS nothing. PROCESS porter. TRUST none. SPEC sd_listen_fds(3), execveat(2), prctl(2).
 */
#include "porter/porter.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    FIRST_FD = 3,
    HIGH_FD = 100, /* above all that a role may inherit */
    ENV_MAX = 16,
    TEXT_BYTES = 1200,
    EXIT_NOT_STARTED = 127
};

typedef struct {
    char texts[ENV_MAX][TEXT_BYTES];
    char *pointers[ENV_MAX + 1];
    size_t count;
} environment;

static void put(environment *env, const char *name, const char *value)
{
    if (env->count < ENV_MAX) {
        snprintf(env->texts[env->count], TEXT_BYTES, "%s=%s", name, value);
        env->pointers[env->count] = env->texts[env->count];
        env->count++;
    }
}

static void put_number(environment *env, const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    put(env, name, text);
}

static void put_names(environment *env, const porter_places *places, sp_role_kind role)
{
    char names[TEXT_BYTES / 2] = "";
    size_t len = 0;
    size_t count = 0;
    for (size_t i = 0; i < places->socket_count; i++) {
        if (places->sockets[i].role == role) {
            int more = snprintf(names + len, sizeof(names) - len, "%s%s", len > 0 ? ":" : "",
                                places->sockets[i].name);
            len += more > 0 ? (size_t)more : 0;
            count++;
        }
    }
    put_number(env, "LISTEN_FDS", count);
    put(env, "LISTEN_FDNAMES", names);
}

static void fill_environment(environment *env, const porter_start *start, sp_role_kind role)
{
    put(env, "PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    put(env, "LANG", "C.UTF-8");
    put(env, "NOTIFY_SOCKET", start->ears[role].path);
    put_number(env, "WATCHDOG_USEC", (uint64_t)PORTER_WATCHDOG_S * 1000000);
    put_names(env, start->places, role);
    put_number(env, "LISTEN_PID", (uint64_t)getpid());
#if defined(__SANITIZE_ADDRESS__)
    static const char *const passed[] = {"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"};
    for (size_t i = 0; i < SP_COUNT(passed); i++) {
        if (getenv(passed[i]) != NULL) {
            put(env, passed[i], getenv(passed[i]));
        }
    }
#endif
}

/* ---- in the child, until exec ---- */

static void stop_here(sp_role_kind role, const char *what)
{
    fprintf(stderr, "%s cannot be started: %s: %s\n", sp_role_word(role), what, strerror(errno));
    _exit(EXIT_NOT_STARTED);
}

/* Standard input from nowhere, the role's sockets from fd 3 on, nothing else. */
static int place_fds(const porter_start *start, sp_role_kind role)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0) {
        stop_here(role, "/dev/null");
    }
    int program = fcntl(start->program_fd, F_DUPFD_CLOEXEC, HIGH_FD);
    int high[PORTER_SOCKETS_MAX];
    int count = 0;
    for (size_t i = 0; i < start->places->socket_count; i++) {
        if (start->places->sockets[i].role == role) {
            high[count++] = fcntl(start->places->sockets[i].fd, F_DUPFD_CLOEXEC, HIGH_FD);
        }
    }
    for (int i = 0; i < count; i++) {
        if (high[i] < 0 || dup2(high[i], FIRST_FD + i) < 0) {
            stop_here(role, "its sockets");
        }
    }
    if (program < 0 || close_range((unsigned)(FIRST_FD + count), ~0U, CLOSE_RANGE_CLOEXEC) != 0) {
        stop_here(role, "descriptors");
    }
    return program;
}

static void reset_signals(void)
{
    for (int number = 1; number < NSIG; number++) {
        signal(number, SIG_DFL);
    }
    signal(SIGHUP, SIG_IGN); /* a role that reloads takes it; the others go on */
    signal(SIGPIPE, SIG_IGN);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void become(const sp_config *config, sp_role_kind role, pid_t parent)
{
    uid_t uid = config->uids[role];
    gid_t gid = config->gids[role];
    if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 ||
                           setresuid(uid, uid, uid) != 0)) {
        stop_here(role, "its user");
    }
    if (geteuid() != uid) {
        fprintf(stderr, "%s cannot be started: only root can make it user %u\n", sp_role_word(role),
                (unsigned)uid);
        _exit(EXIT_NOT_STARTED);
    }
    /* the role goes when the porter goes, however that happens */
    if (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) != 0 || getppid() != parent) {
        _exit(EXIT_NOT_STARTED);
    }
}

static void run_role(const porter_start *start, sp_role_kind role, pid_t parent)
{
    setsid(); /* no terminal of anybody, and a share of the processor of its own */
    reset_signals();
    umask(077);
    int program = place_fds(start, role);
    become(start->config, role, parent);
    if (chdir("/") != 0) {
        stop_here(role, "/");
    }
    static environment env;
    fill_environment(&env, start, role);
    char words[4][TEXT_BYTES] = {"sallyport", "role", "", "-c"};
    snprintf(words[2], TEXT_BYTES, "%s", sp_role_word(role));
    char *argv[] = {words[0], words[1], words[2], words[3], start->config->file, NULL};
    execveat(program, "", argv, env.pointers, AT_EMPTY_PATH);
    stop_here(role, "the program");
}

/* ---- in the porter ---- */

sp_err porter_child_start(const porter_start *start, sp_role_kind role, pid_t *ret_pid)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0) {
        return sp_fail(errno == EAGAIN ? SP_EAGAIN : SP_EIO);
    }
    if (pid == 0) {
        run_role(start, role, parent);
    }
    *ret_pid = pid;
    return sp_ok();
}

void porter_child_words(int wait_status, sp_buf *out)
{
    if (WIFSIGNALED(wait_status)) {
        int number = WTERMSIG(wait_status);
        sp_buf_fmt(out, "was ended by signal %d (%s)%s", number, strsignal(number),
                   number == SIGSYS ? ", a system call its sandbox forbids" : "");
    } else if (WEXITSTATUS(wait_status) == EXIT_NOT_STARTED) {
        sp_buf_text(out, "could not be run");
    } else {
        sp_buf_fmt(out, "ended by itself with status %d", WEXITSTATUS(wait_status));
    }
}

/* The parent of a process: fourth field of its stat, after the name in parentheses. */
static pid_t parent_of(const char *pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%s/stat", pid);
    char text[256] = "";
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    const char *close_paren = got <= 0 ? NULL : strrchr(text, ')');
    if (close_paren == NULL || strlen(close_paren) < 5) {
        return 0;
    }
    sp_span rest = sp_span_cstr(close_paren + 4); /* ") S " */
    sp_span word;
    uint64_t parent = 0;
    if (!sp_span_split(&rest, ' ', &word) || sp_failed(sp_span_to_u64(word, INT32_MAX, &parent))) {
        return 0;
    }
    return (pid_t)parent;
}

unsigned porter_child_sweep(int signal_number)
{
    unsigned count = 0;
    DIR *proc = opendir("/proc");
    if (proc == NULL) {
        return 0;
    }
    for (const struct dirent *entry = readdir(proc); entry != NULL; entry = readdir(proc)) {
        uint64_t pid = 0;
        if (!sp_failed(sp_span_to_u64(sp_span_cstr(entry->d_name), INT32_MAX, &pid)) &&
            parent_of(entry->d_name) == getpid() && kill((pid_t)pid, signal_number) == 0) {
            count++;
        }
    }
    closedir(proc);
    return count;
}

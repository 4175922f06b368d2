/* SPDX-License-Identifier: Apache-2.0
 * One of the operator's programs as a child: looked at, caged, started.
 * OWNS the child until it is reaped. PROCESS runner. TRUST the program is root's; its words are
 * core's and bounded; what it does is what the cage lets it do.
 * SPEC fork(2), setrlimit(2), seccomp(2), runner/README.md "Cage".
 */
#include "infra/proc/file.h"
#include "infra/proc/sandbox.h"
#include "infra/proc/trusted.h"
#include "runner/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    MEMORY_MAX_BYTES = 1 << 30,
    FILE_MAX_BYTES = 16 << 20,
    FILES_MAX = 64,
    PROCESSES_MAX = 64,
    FIRST_UNWANTED_FD = 3,
    COULD_NOT_START = 126
};

typedef struct {
    const runner *of;
    const sp_runner_job *job;
    char program[PATH_MAX];
    char folder[PATH_MAX];
    char folder_of_program[PATH_MAX];
    char *words[SP_RUNNER_WORDS_MAX + 2];
    int in;
    int out;
} starting;

sp_err runner_folder(const runner *r, const char *command, char ret_path[PATH_MAX])
{
    int len = snprintf(ret_path, PATH_MAX, "%s/%s", r->work_dir, command);
    return len > 0 && len < PATH_MAX ? sp_ok() : sp_fail(SP_ELIMIT);
}

/* ---- in the child: nothing here returns to the loop ---- */

static bool limit(int what, uint64_t most)
{
    const struct rlimit limits = {.rlim_cur = most, .rlim_max = most};
    return setrlimit((__rlimit_resource_t)what, &limits) == 0;
}

static bool set_limits(const starting *s)
{
    const sp_config *config = s->of->config;
    /* counted over all processes of the user: only where the user is the runner's alone */
    bool own_user = config->uids[SP_ROLE_RUNNER] != config->uids[SP_ROLE_CORE];
    return limit(RLIMIT_CPU, s->job->timeout_s) && limit(RLIMIT_FSIZE, FILE_MAX_BYTES) &&
           (SP_SANDBOX_SANITIZED != 0 || limit(RLIMIT_AS, MEMORY_MAX_BYTES)) &&
           (!own_user || limit(RLIMIT_NPROC, PROCESSES_MAX));
}

/* No socket at all, no way out of the process group by which it is ended. */
static bool close_ways_out(void)
{
    static const int ways[] = {SCMP_SYS(socket), SCMP_SYS(setsid), SCMP_SYS(setpgid)};
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    bool good = filter != NULL && seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0) == 0;
    for (size_t i = 0; good && i < SP_COUNT(ways); i++) {
        good = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EPERM), ways[i], 0, NULL) == 0;
    }
    good = good && seccomp_load(filter) == 0;
    seccomp_release(filter);
    return good;
}

static bool lock_in(const starting *s, sp_buf *why)
{
    const sp_sandbox cage = {.role = "command",
                             .may = SP_MAY_FILES | SP_MAY_SPAWN,
                             .write = {s->folder},
                             .execute = {"/usr", "?/bin", "?/sbin", s->folder_of_program},
                             .files_max = FILES_MAX};
    return !sp_failed(sp_sandbox_enter(&cage, why)) && close_ways_out();
}

static _Noreturn void be_the_program(starting *s)
{
    static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    static char locale[] = "LC_ALL=C.UTF-8";
    char *const environment[] = {path, locale, NULL};
    auto_buf sp_buf why = sp_buf_make(SP_SANDBOX_TEXT_BYTES);
    sigset_t none;
    sigemptyset(&none);
    signal(SIGPIPE, SIG_DFL);
    bool good = setpgid(0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 &&
                dup2(s->in, STDIN_FILENO) >= 0 && dup2(s->out, STDOUT_FILENO) >= 0 &&
                dup2(s->out, STDERR_FILENO) >= 0 && chdir(s->folder) == 0 && set_limits(s);
    good = good && lock_in(s, &why) && sigprocmask(SIG_SETMASK, &none, NULL) == 0;
    if (good) {
        SP_IGNORE(close_range(FIRST_UNWANTED_FD, ~0U, CLOSE_RANGE_CLOEXEC) == 0
                      ? sp_ok()
                      : sp_fail(SP_EIO)); /* they are all close-on-exec already */
        execve(s->program, s->words, environment);
    }
    int error = errno;
    dprintf(STDERR_FILENO, "it cannot be started: %s%.*s\n", why.len > 0 ? "" : strerror(error),
            SP_SPAN_ARG(sp_buf_borrow(&why)));
    _exit(COULD_NOT_START);
}

/* ---- before it ---- */

static sp_err make_input(sp_span input, int *ret_fd)
{
    auto_close int fd = memfd_create("sallyport-input", MFD_CLOEXEC);
    if (fd < 0) {
        return sp_fail(SP_EIO);
    }
    TRY(sp_write_all(fd, input));
    if (lseek(fd, 0, SEEK_SET) != 0) {
        return sp_fail(SP_EIO);
    }
    *ret_fd = SP_STEAL_FD(fd);
    return sp_ok();
}

static sp_err find_program(starting *s, sp_buf *why)
{
    const char *path = sp_config_command_path(s->of->config, s->job->command);
    if (path == NULL) {
        sp_buf_text(why, "the bootstrap file names no command ");
        sp_buf_span(why, s->job->command);
        return sp_fail(SP_ENOTFOUND);
    }
    TRY(sp_trusted_program(path, s->program, why));
    TRY(sp_fit(s->folder_of_program, sizeof(s->folder_of_program), sp_span_cstr(s->program)));
    char *slash = strrchr(s->folder_of_program, '/');
    slash[slash == s->folder_of_program ? 1 : 0] = '\0';
    char name[SP_RUNNER_NAME_MAX_BYTES + 1];
    TRY(sp_fit(name, sizeof(name), s->job->command));
    return runner_folder(s->of, name, s->folder);
}

static void free_words(starting *s)
{
    for (size_t i = 1; i < SP_COUNT(s->words) && s->words[i] != NULL; i++) {
        sp_free(s->words[i]);
    }
}

static sp_err copy_words(starting *s)
{
    s->words[0] = s->program;
    for (size_t i = 0; i < s->job->words_count; i++) {
        TRY(sp_strdup(s->job->words[i], &s->words[i + 1]));
    }
    return sp_ok();
}

static sp_err start(starting *s, pid_t *ret_pid, int *ret_out)
{
    int ends[2];
    TRY(copy_words(s));
    auto_close int in = -1;
    TRY(make_input(s->job->input, &in));
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return sp_fail(SP_EIO);
    }
    auto_close int from = ends[0];
    auto_close int to = ends[1];
    s->in = in;
    s->out = to;
    pid_t pid = fork();
    if (pid == 0) {
        be_the_program(s);
    }
    if (pid < 0) {
        return sp_fail(SP_EIO);
    }
    /* both sides say so, whoever comes first: its group can be killed from here on */
    SP_IGNORE(setpgid(pid, pid) == 0 ? sp_ok() : sp_fail(SP_EIO)); /* it has begun by itself */
    *ret_pid = pid;
    *ret_out = SP_STEAL_FD(from);
    return sp_ok();
}

sp_err runner_child_start(const runner *r, const sp_runner_job *job, pid_t *ret_pid, int *ret_out,
                          sp_buf *why)
{
    starting s = {.of = r, .job = job, .in = -1, .out = -1};
    TRY(find_program(&s, why));
    sp_err err = start(&s, ret_pid, ret_out);
    free_words(&s);
    return err;
}

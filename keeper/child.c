/* SPDX-License-Identifier: Apache-2.0
 * Runs Debian's pg_dump, pg_restore and psql: no shell, a small environment, pipes.
 * OWNS the child until keep_child_end. PROCESS keeper, threads of the pool. TRUST arguments are
 * ours or quoted; what the programs say goes to people only. SPEC posix_spawn(3).
 */
#include "infra/proc/file.h"
#include "keeper/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    FILE_MAX_BYTES = 64 << 20,
    TOLD_MAX_BYTES = 1 << 20,
    LAST_WORDS_BYTES = 600,
    PATH_ROOM = 640
};

static void close_one(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

void keep_child_done(keep_child *child)
{
    close_one(&child->in);
    close_one(&child->out);
    close_one(&child->errors);
    close_one(&child->told);
}

/* A file without a name, in the job's own directory. */
static int nameless(const keep_job *job)
{
    return open(job->dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
}

typedef struct {
    int in[2];
    int out[2];
} pipes;

/* A server that never stops to tell notices does not fill the disk with them. */
static void bound_files(pid_t pid)
{
    const struct rlimit most = {.rlim_cur = FILE_MAX_BYTES, .rlim_max = FILE_MAX_BYTES};
    SP_IGNORE(prlimit(pid, RLIMIT_FSIZE, &most, NULL) == 0
                  ? sp_ok()
                  : sp_fail(SP_EIO)); /* it has ended already */
}

static sp_err spawn(keep_job *job, const char *const argv[], const pipes *p, keep_child *child)
{
    char program[PATH_ROOM];
    char passfile[PATH_ROOM];
    posix_spawn_file_actions_t actions;
    auto_free const char **words = NULL;
    size_t count = 0;
    while (argv[count] != NULL) {
        count++;
    }
    TRY(sp_alloc(count + 1, sizeof(*words), &words));
    sp_copy(words, argv, count * sizeof(*words));
    snprintf(program, sizeof(program), "%s/%s", job->programs, argv[0]);
    words[0] = program; /* they look for their like beside themselves */
    snprintf(passfile, sizeof(passfile), "PGPASSFILE=%s", job->passfile);
    char locale[] = "LC_ALL=C.UTF-8";
    char *const environment[] = {passfile, locale, NULL};
    if (posix_spawn_file_actions_init(&actions) != 0) {
        return sp_fail(SP_ENOMEM);
    }
    int bad = p->in[0] >= 0 ? posix_spawn_file_actions_adddup2(&actions, p->in[0], STDIN_FILENO)
                            : posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null",
                                                               O_RDONLY, 0);
    int to = p->out[1] >= 0 ? p->out[1] : child->told;
    bad = bad != 0 ? bad : posix_spawn_file_actions_adddup2(&actions, to, STDOUT_FILENO);
    bad = bad != 0 ? bad : posix_spawn_file_actions_adddup2(&actions, child->errors, STDERR_FILENO);
    if (bad == 0) {
        /* it does not change its arguments; its prototype is older than const */
        bad = posix_spawn(&child->pid, program, &actions, NULL, (char *const *)(uintptr_t)words,
                          environment);
    }
    posix_spawn_file_actions_destroy(&actions);
    if (bad != 0) {
        return sp_fail(SP_EIO);
    }
    bound_files(child->pid);
    sp_err err = keep_work_starts(&job->work, child->pid);
    if (sp_failed(err)) {
        kill(child->pid, SIGKILL);
        SP_IGNORE(keep_work_ends(&job->work, child->pid) == 0 ? sp_ok() : sp_fail(SP_EIO));
    }
    return err;
}

sp_err keep_child_start(keep_job *job, const char *const argv[], bool in, bool out,
                        keep_child *ret_child)
{
    keep_child child = {.pid = -1, .in = -1, .out = -1, .told = -1};
    pipes p = {{-1, -1}, {-1, -1}};
    child.errors = nameless(job);
    if (!out) {
        child.told = nameless(job);
    }
    bool ok = child.errors >= 0 && (out || child.told >= 0) &&
              (!in || pipe2(p.in, O_CLOEXEC) == 0) && (!out || pipe2(p.out, O_CLOEXEC) == 0);
    sp_err err = ok ? spawn(job, argv, &p, &child) : sp_fail(SP_EIO);
    close_one(&p.in[0]);
    close_one(&p.out[1]);
    child.in = p.in[1];
    child.out = p.out[0];
    if (sp_failed(err)) {
        keep_child_done(&child);
        return err;
    }
    *ret_child = child;
    return sp_ok();
}

static sp_err read_file(int fd, sp_buf *out)
{
    if (lseek(fd, 0, SEEK_SET) < 0) {
        return sp_fail(SP_EIO);
    }
    for (;;) {
        uint8_t chunk[4096];
        ssize_t got = read(fd, chunk, sizeof(chunk));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got == 0 ? sp_buf_error(out) : sp_fail(SP_EIO);
        }
        size_t room = out->max_bytes - out->len;
        sp_buf_span(out, sp_span_of(chunk, (size_t)got < room ? (size_t)got : room));
    }
}

sp_err keep_child_told(const keep_child *child, sp_buf *out)
{
    return read_file(child->told, out);
}

sp_err keep_child_hear(const keep_child *child, uint64_t *at_bytes, sp_buf *out)
{
    uint8_t chunk[4096];
    ssize_t got = 0;
    /* not read(): it writes where this file is read, as they share their place in it */
    while ((got = pread(child->told, chunk, sizeof(chunk), (off_t)*at_bytes)) > 0) {
        sp_buf_span(out, sp_span_of(chunk, (size_t)got));
        *at_bytes += (uint64_t)got;
    }
    return got < 0 && errno != EINTR ? sp_fail(SP_EIO) : sp_buf_error(out);
}

bool keep_child_has_ended(const keep_child *child)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOWAIT | WNOHANG) < 0 ||
           info.si_pid != 0;
}

sp_err keep_child_said(const keep_child *child, sp_buf *out)
{
    return read_file(child->errors, out);
}

/* The last lines are the ones that matter. */
static void note_last_words(keep_job *job, const keep_child *child)
{
    auto_buf sp_buf words = sp_buf_make(TOLD_MAX_BYTES);
    if (job->why.len > 0 || sp_failed(keep_child_said(child, &words))) {
        return;
    }
    sp_span text = sp_span_trim(sp_buf_borrow(&words));
    size_t from = text.len > LAST_WORDS_BYTES ? text.len - LAST_WORDS_BYTES : 0;
    sp_span last = sp_span_slice(text, from, text.len);
    while (last.len > 0 && !sp_span_is_utf8(last)) { /* cut within a letter */
        last = sp_span_slice(last, 1, last.len);
    }
    sp_buf_span(&job->why, last);
}

sp_err keep_child_end(keep_job *job, keep_child *child)
{
    close_one(&child->in);
    close_one(&child->out);
    int status = keep_work_ends(&job->work, child->pid);
    child->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    bool good = child->status == 0;
    if (!good) {
        note_last_words(job, child);
    }
    return good ? sp_ok() : sp_fail(SP_EIO);
}

/* SPDX-License-Identifier: Apache-2.0
 * Runs a tool of this computer.
 * OWNS the child until it ended. PROCESS agent. TRUST see spawn.h. SPEC agent/spawn.h.
 */
#include "agent/spawn.h"

#include "infra/proc/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOT_FOUND = 127, CHUNK_BYTES = 4096 };

static void become(const char *const argv[], int output, bool both)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0 &&
        dup2(both ? output : null, STDERR_FILENO) >= 0 && setenv("LC_ALL", "C", 1) == 0) {
        /* execvp does not change its arguments; its prototype is older than const. */
        execvp(argv[0], (char *const *)(uintptr_t)argv);
    }
    _exit(NOT_FOUND);
}

/* Reads until the end, the limit of time, or an error; what is over the maximum is read and
 * dropped. */
static sp_err collect(int fd, uint64_t until_us, sp_buf *output)
{
    for (;;) {
        uint64_t now_us = sp_now_steady_us();
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (now_us >= until_us) {
            return sp_fail(SP_ETIMEOUT);
        }
        if (poll(&ready, 1, (int)((until_us - now_us) / 1000) + 1) < 0 && errno != EINTR) {
            return sp_fail(SP_EIO);
        }
        uint8_t chunk[CHUNK_BYTES];
        ssize_t got = ready.revents == 0 ? -1 : read(fd, chunk, sizeof(chunk));
        if (got == 0) {
            return sp_ok();
        }
        if (got > 0) {
            size_t room = output->max_bytes - output->len;
            sp_buf_span(output, sp_span_of(chunk, (size_t)got < room ? (size_t)got : room));
        } else if (ready.revents != 0 && errno != EINTR && errno != EAGAIN) {
            return sp_fail(SP_EIO);
        }
    }
}

sp_err sp_spawn(const char *const argv[], unsigned timeout_ms, bool both, sp_buf *output,
                int *ret_status)
{
    int pipe_fds[2];
    int status = 0;
    if (pipe2(pipe_fds, O_CLOEXEC) != 0) {
        return sp_fail(SP_EIO);
    }
    pid_t pid = fork();
    if (pid == 0) {
        become(argv, pipe_fds[1], both);
    }
    close(pipe_fds[1]);
    sp_err err =
        pid < 0 ? sp_fail(SP_EIO)
                : collect(pipe_fds[0], sp_now_steady_us() + (uint64_t)timeout_ms * 1000, output);
    close(pipe_fds[0]);
    if (pid < 0) {
        return err;
    }
    if (sp_failed(err)) {
        kill(pid, SIGKILL);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    TRY(err);
    *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : NOT_FOUND - 1;
    return *ret_status == NOT_FOUND ? sp_fail(SP_ENOTFOUND) : sp_ok();
}

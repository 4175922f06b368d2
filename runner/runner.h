/* SPDX-License-Identifier: Apache-2.0
 * What the parts of the runner share.
 *
 * Story: core sends a job (lib/proto/runner_msg.h). Its name is looked up in the bootstrap file,
 * the program is looked at again, and a child is made: a process group and a cage of its own, the
 * JSON on its standard input, one pipe for all that it says. When it has ended, or its time is
 * over, whatever is left of its group is killed, and core is told.
 *
 * OWNS see each. PROCESS runner. TRUST core's words are bounded; what a program says is bytes.
 * SPEC runner/README.md.
 */
#ifndef SP_RUNNER_RUNNER_H
#define SP_RUNNER_RUNNER_H

#include "infra/ipc/server.h"
#include "infra/proc/config.h"
#include "lib/proto/runner_msg.h"

#include <limits.h>
#include <uv.h>

enum { RUNNER_JOBS_MAX = 8 };

typedef struct runner runner;

/* Not to be copied: handles of the loop. */
typedef struct {
    runner *of;
    bool used;
    bool ended;  /* the program */
    bool silent; /* its pipe is at its end */
    bool late;   /* it was killed */
    int open_handles;
    uint64_t number;
    uint64_t began_us;
    uint64_t output_bytes;
    pid_t pid;
    int wait_status;
    sp_peer *peer;
    sp_buf output;
    uv_timer_t timer;
    uv_pipe_t pipe;
} runner_job;

struct runner {
    uv_loop_t loop;
    const sp_config *config;
    sp_server *server;
    char work_dir[PATH_MAX]; /* <state>/runner: a folder for each command */
    runner_job jobs[RUNNER_JOBS_MAX];
};

/* ---- jobs.c ---- */
void runner_on_message(void *self, sp_peer *peer, const sp_msg *msg, sp_fds *fds);
/* Looks which programs have ended. */
void runner_reap(runner *r);
void runner_kill_all(runner *r);

/* ---- child.c ---- */
/* The program of a job as a child: *ret_out is the reading end of all that it says. SP_EDENIED,
 * SP_ENOTFOUND: the program is not what may be run, *why says so. */
SP_MUST sp_err runner_child_start(const runner *r, const sp_runner_job *job, pid_t *ret_pid,
                                  int *ret_out, sp_buf *why);
/* The folder in which a command runs. */
SP_MUST sp_err runner_folder(const runner *r, const char *command, char ret_path[PATH_MAX]);

#endif

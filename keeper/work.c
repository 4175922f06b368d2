/* SPDX-License-Identifier: Apache-2.0
 * Whether a job still moves, and its programs.
 * OWNS see the header. PROCESS keeper. TRUST none. SPEC keeper/work.h.
 */
#include "keeper/work.h"

#include "infra/proc/clock.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

void keep_work_begin(keep_work *work)
{
    *work = (keep_work){.lock = PTHREAD_MUTEX_INITIALIZER, .moved_us = sp_now_steady_us()};
}

void keep_work_moved(keep_work *work)
{
    pthread_mutex_lock(&work->lock);
    work->moved_us = sp_now_steady_us();
    pthread_mutex_unlock(&work->lock);
}

sp_err keep_work_starts(keep_work *work, pid_t program)
{
    pthread_mutex_lock(&work->lock);
    sp_err err = work->given_up ? sp_fail(SP_ECLOSED) : sp_fail(SP_ELIMIT);
    for (size_t i = 0; i < KEEP_PROGRAMS_MAX && !work->given_up && sp_failed(err); i++) {
        if (work->programs[i] == 0) {
            work->programs[i] = program;
            err = sp_ok();
        }
    }
    pthread_mutex_unlock(&work->lock);
    return err;
}

int keep_work_ends(keep_work *work, pid_t program)
{
    int status = 0;
    siginfo_t info;
    while (waitid(P_PID, (id_t)program, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
    }
    pthread_mutex_lock(&work->lock); /* from here on its number may be another's */
    for (size_t i = 0; i < KEEP_PROGRAMS_MAX; i++) {
        work->programs[i] = work->programs[i] == program ? 0 : work->programs[i];
    }
    while (waitpid(program, &status, 0) < 0 && errno == EINTR) {
    }
    pthread_mutex_unlock(&work->lock);
    return status;
}

bool keep_work_is_given_up(keep_work *work)
{
    pthread_mutex_lock(&work->lock);
    bool given_up = work->given_up;
    pthread_mutex_unlock(&work->lock);
    return given_up;
}

keep_work_state keep_work_look(keep_work *work, uint64_t still_us, uint64_t now_steady_us)
{
    pthread_mutex_lock(&work->lock);
    uint64_t last_us = work->moved_us + still_us;
    bool stuck = !work->given_up && now_steady_us > last_us;
    bool hangs = work->given_up && now_steady_us > last_us + KEEP_HANGS_US;
    work->given_up = work->given_up || stuck;
    for (size_t i = 0; i < KEEP_PROGRAMS_MAX && stuck; i++) {
        if (work->programs[i] != 0) {
            kill(work->programs[i], SIGKILL);
        }
    }
    pthread_mutex_unlock(&work->lock);
    return stuck ? KEEP_WORK_GIVEN_UP : hangs ? KEEP_WORK_HANGS : KEEP_WORK_MOVES;
}

/* SPDX-License-Identifier: Apache-2.0
 * Whether a job still moves, and its programs, so that one that does not is given up alone.
 *
 * Story: bytes that pass to or from a program, and answers of the server, are moves. A server that
 * never answers holds a thread for ever, and a few of them would end all keeping: when nothing has
 * moved for too long the job's programs are killed, and its thread comes back with an error. A big
 * undo does not move while one statement of it runs, so it is given a day.
 *
 * OWNS nothing: pids are of children that nobody has waited for. PROCESS keeper: threads of the
 * pool and the loop. TRUST none. SPEC docs/DATABASE.md "Undo".
 */
#ifndef SP_KEEPER_WORK_H
#define SP_KEEPER_WORK_H

#include "lib/base/err.h"

#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

enum { KEEP_PROGRAMS_MAX = 2 }; /* psql and pg_restore */
#define KEEP_STILL_US ((uint64_t)2 * 3600 * 1000 * 1000)
#define KEEP_STILL_UNDO_US ((uint64_t)24 * 3600 * 1000 * 1000)
#define KEEP_HANGS_US ((uint64_t)3600 * 1000 * 1000)

typedef struct {
    pthread_mutex_t lock;
    uint64_t moved_us;                 /* steady */
    pid_t programs[KEEP_PROGRAMS_MAX]; /* 0 = none */
    bool given_up;
} keep_work;

void keep_work_begin(keep_work *work);
void keep_work_moved(keep_work *work);
/* SP_ECLOSED: it is given up. Then the program is not noted. */
SP_MUST sp_err keep_work_starts(keep_work *work, pid_t program);
/* Waits for the program; its status as waitpid() has it. */
int keep_work_ends(keep_work *work, pid_t program);
bool keep_work_is_given_up(keep_work *work);

typedef enum {
    KEEP_WORK_MOVES,    /* or has been given up a while ago */
    KEEP_WORK_GIVEN_UP, /* just now: nothing has moved for still_us, its programs are killed */
    KEEP_WORK_HANGS     /* an hour after that it has not ended */
} keep_work_state;
keep_work_state keep_work_look(keep_work *work, uint64_t still_us, uint64_t now_steady_us);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * A job that does not move is given up alone, an undo only after a day.
 * OWNS a child that sleeps. PROCESS tests. TRUST none. SPEC keeper/work.h.
 */
#include "infra/proc/clock.h"
#include "keeper/work.h"
#include "tests/unit/cm.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t sleeper(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    return pid;
}

static void what_does_not_move_is_killed(void **state)
{
    (void)state;
    keep_work work;
    keep_work_begin(&work);
    uint64_t begun = sp_now_steady_us();
    pid_t child = sleeper();
    assert_ok(keep_work_starts(&work, child));
    /* an undo of ten hours is none of that */
    assert_int_equal(keep_work_look(&work, KEEP_STILL_UNDO_US, begun + 5 * KEEP_STILL_US),
                     KEEP_WORK_MOVES);
    assert_int_equal(keep_work_look(&work, KEEP_STILL_US, begun + KEEP_STILL_US - 1),
                     KEEP_WORK_MOVES);
    assert_false(keep_work_is_given_up(&work));
    uint64_t late = sp_now_steady_us() + KEEP_STILL_US + 1;
    assert_int_equal(keep_work_look(&work, KEEP_STILL_US, late), KEEP_WORK_GIVEN_UP);
    int status = keep_work_ends(&work, child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_true(keep_work_is_given_up(&work));
    assert_fails(keep_work_starts(&work, 1), SP_ECLOSED); /* nothing more begins */
    assert_int_equal(keep_work_look(&work, KEEP_STILL_US, late), KEEP_WORK_MOVES);
    assert_int_equal(keep_work_look(&work, KEEP_STILL_US, late + 2 * KEEP_HANGS_US),
                     KEEP_WORK_HANGS);
}

static void what_moves_is_not(void **state)
{
    (void)state;
    keep_work work;
    keep_work_begin(&work);
    work.moved_us = 5;
    keep_work_moved(&work);
    assert_int_equal(keep_work_look(&work, KEEP_STILL_US, sp_now_steady_us()), KEEP_WORK_MOVES);
}

static void an_ended_program_is_nobodys(void **state)
{
    (void)state;
    keep_work work;
    keep_work_begin(&work);
    pid_t first = sleeper();
    pid_t second = sleeper();
    assert_ok(keep_work_starts(&work, first));
    assert_ok(keep_work_starts(&work, second));
    assert_fails(keep_work_starts(&work, 1), SP_ELIMIT);
    kill(first, SIGTERM);
    assert_true(WIFSIGNALED(keep_work_ends(&work, first)));
    assert_ok(keep_work_starts(&work, sleeper()));
    assert_int_equal(keep_work_look(&work, 0, UINT64_MAX / 2), KEEP_WORK_GIVEN_UP);
    assert_true(WIFSIGNALED(keep_work_ends(&work, second)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_move_is_killed),
        cmocka_unit_test(what_moves_is_not),
        cmocka_unit_test(an_ended_program_is_nobodys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Tests of the search index on a disk that is full: what could not be kept is not counted as there.
 * The disk is full by a limit on the size of this process's files.
 * OWNS a folder. PROCESS tests. TRUST none. SPEC ledger/index.h.
 */
#include "ledger/index.h"

#include "tests/unit/cm.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FEW = 100, MANY = 40000, ROOM_BYTES = 512 * 1024 };

static char dir[] = "/tmp/sallyport-index-XXXXXX";
static char path[128];
static const sp_key KEK = {{7}};

static int set_up(void **state)
{
    (void)state;
    (void)signal(SIGXFSZ, SIG_IGN);
    bool well = mkdtemp(dir) != NULL && snprintf(path, sizeof(path), "%s/index.sqlite", dir) > 0;
    return well ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        execlp("rm", "rm", "-rf", "--", dir, (char *)NULL);
        _exit(127);
    }
    return waitpid(child, NULL, 0) == child ? 0 : -1;
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static sp_err put(sp_index *index, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++) {
        const sp_index_row row = {.entry = i,
                                  .first_unix_us = 1,
                                  .last_unix_us = 1,
                                  .person = 3,
                                  .kinds = 1,
                                  .verdicts = 1};
        TRY(sp_index_put_reference(index, i, i));
        TRY(sp_index_put(index, &row));
    }
    return sp_index_commit(index);
}

static bool count_one(void *self, uint64_t entry)
{
    (void)entry;
    (*(uint64_t *)self)++;
    return true;
}

static uint64_t found(sp_index *index)
{
    uint64_t count = 0;
    const sp_ledger_search all = {.person = 3};
    assert_ok(sp_index_search(index, &all, 0, MANY * 2, count_one, &count));
    return count;
}

static void what_the_disk_did_not_take_is_put_again(void **state)
{
    (void)state;
    sp_index *index = NULL;
    assert_ok(sp_index_open(path, &KEK, MANY, &index));
    assert_ok(put(index, 0, FEW));
    limit_files(ROOM_BYTES);
    assert_true(sp_failed(put(index, FEW, MANY)));
    assert_int_equal(sp_index_upto(index), FEW);
    assert_int_equal(found(index), FEW);
    assert_true(sp_failed(put(index, sp_index_upto(index), MANY))); /* and again */
    assert_int_equal(sp_index_upto(index), FEW);
    limit_files(RLIM_INFINITY);
    assert_ok(put(index, sp_index_upto(index), MANY));
    assert_int_equal(sp_index_upto(index), MANY);
    assert_int_equal(found(index), MANY);
    assert_true(sp_index_knows_reference(index, FEW + 1));
    sp_index_close(index);
    assert_ok(sp_index_open(path, &KEK, MANY, &index)); /* no gap: it is not made anew */
    assert_int_equal(sp_index_upto(index), MANY);
    sp_index_close(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_disk_did_not_take_is_put_again),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

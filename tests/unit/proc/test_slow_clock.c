/* SPDX-License-Identifier: Apache-2.0
 * The slow clock: follows, doubts a jump for a day of running, over restarts, and believes in the
 * end. OWNS a file below /tmp. PROCESS tests. TRUST none. SPEC infra/proc/slow_clock.h.
 */
#include "infra/proc/file.h"
#include "infra/proc/slow_clock.h"
#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DAY SP_SLOW_CLOCK_DAY_US
#define HOUR (DAY / 24)
#define NOW (UINT64_C(20000) * DAY)

static char dir[64];
static char path[96];

static int set_up(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/sallyport-clock-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/clock", dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir);
}

static sp_slow_clock open_at(uint64_t unix_us, uint64_t steady_us)
{
    sp_slow_clock clock;
    assert_ok(sp_slow_clock_open(&clock, path, unix_us, steady_us));
    return clock;
}

static void test_follows(void **state)
{
    (void)state;
    sp_slow_clock clock = open_at(NOW, 5);
    assert_true(clock.unix_us == NOW);
    assert_false(sp_slow_clock_tick(&clock, NOW + HOUR, 5 + HOUR));
    assert_true(clock.unix_us == NOW + HOUR);
    assert_false(sp_slow_clock_tick(&clock, NOW - 9 * DAY, 5 + 2 * HOUR)); /* set back: at once */
    assert_true(clock.unix_us == NOW - 9 * DAY);
    clock = open_at(NOW - 9 * DAY + HOUR, 5); /* off for a while: nothing special */
    assert_false(sp_slow_clock_tick(&clock, NOW - 8 * DAY, 6));
    assert_true(clock.unix_us == NOW - 8 * DAY);
}

static void test_a_jump_is_believed_after_a_day_of_running(void **state)
{
    (void)state;
    sp_slow_clock clock = open_at(NOW, 0);
    uint64_t ahead = 400 * DAY;
    assert_true(sp_slow_clock_tick(&clock, NOW + ahead, HOUR));
    assert_true(clock.unix_us == NOW + HOUR);
    assert_false(sp_slow_clock_tick(&clock, NOW + ahead + HOUR, 2 * HOUR)); /* told once */
    assert_true(clock.unix_us == NOW + 2 * HOUR);
    for (unsigned i = 0; i < 10; i++) { /* restarts do not make it true */
        clock = open_at(NOW + ahead + 2 * HOUR, 0);
        assert_true(clock.unix_us <= NOW + 2 * HOUR);
        assert_false(sp_slow_clock_tick(&clock, NOW + ahead + 2 * HOUR, 1));
        assert_true(clock.unix_us < NOW + DAY);
    }
    for (uint64_t ran = HOUR; ran < 22 * HOUR; ran += HOUR) {
        assert_false(sp_slow_clock_tick(&clock, NOW + ahead + ran, ran));
        assert_true(clock.unix_us < NOW + 2 * DAY);
    }
    assert_false(sp_slow_clock_tick(&clock, NOW + ahead + DAY, DAY + HOUR));
    assert_true(clock.unix_us == NOW + ahead + DAY);
}

static void test_a_jump_that_is_mended_leaves_nothing(void **state)
{
    (void)state;
    sp_slow_clock clock = open_at(NOW, 0);
    assert_true(sp_slow_clock_tick(&clock, NOW + 30 * DAY, HOUR));
    assert_false(sp_slow_clock_tick(&clock, NOW + 2 * HOUR, 2 * HOUR));
    assert_true(clock.unix_us == NOW + 2 * HOUR && clock.doubted_us == 0);
    assert_true(sp_slow_clock_tick(&clock, NOW + 30 * DAY, 3 * HOUR)); /* told again */
}

static void test_many_small_jumps_are_one(void **state)
{
    (void)state;
    sp_slow_clock clock = open_at(NOW, 0);
    bool told = false;
    for (uint64_t i = 1; i <= 200; i++) {
        told = sp_slow_clock_tick(&clock, NOW + i * 23 * HOUR, i * 1000000) || told;
    }
    assert_true(told);
    assert_true(clock.unix_us < NOW + 2 * DAY);
}

static void test_a_start_years_later_is_doubted(void **state)
{
    (void)state;
    sp_slow_clock clock = open_at(NOW, 0);
    clock = open_at(NOW + 900 * DAY, 7);
    assert_true(sp_slow_clock_tick(&clock, NOW + 900 * DAY, 7));
    assert_true(clock.unix_us == NOW);
}

static void test_a_file_that_is_none(void **state)
{
    static const char *const bad[] = {"", "12", "x 0\n", "12 x\n", "1 99999999999999\n", "-1 0\n"};
    (void)state;
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        sp_slow_clock clock;
        assert_ok(sp_file_replace(path, 0600, sp_span_cstr(bad[i])));
        assert_true(sp_failed(sp_slow_clock_open(&clock, path, NOW, 0)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_follows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_jump_is_believed_after_a_day_of_running, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_jump_that_is_mended_leaves_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_many_small_jumps_are_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_start_years_later_is_doubted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_file_that_is_none, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

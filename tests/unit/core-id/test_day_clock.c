/* SPDX-License-Identifier: Apache-2.0
 * Tests of days when the wall clock is set.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC core/database/day_clock.h.
 */
#include "core/database/day_clock.h"
#include "tests/unit/cm.h"

enum { H = 3600, D = 24 * H, YEAR = 365 * D };
#define NOON (UINT64_C(20000) * D + 12 * H)

/* Hours until another day begins, of a clock that runs on. */
static uint64_t lasts_h(const sp_day_clock *clock, uint64_t local_s)
{
    uint64_t day = sp_day_clock_day(clock, local_s);
    uint64_t hours = 0;
    while (sp_day_clock_day(clock, local_s + hours * H) == day) {
        hours++;
    }
    assert_int_equal(sp_day_clock_day(clock, local_s + hours * H), day + 1);
    return hours;
}

static void days_are_those_of_the_calendar(void **state)
{
    (void)state;
    const sp_day_clock clock = {0};
    assert_int_equal(sp_day_clock_day(&clock, NOON), 20000);
    assert_int_equal(sp_day_clock_day(&clock, NOON + 12 * H - 1), 20000);
    assert_int_equal(sp_day_clock_day(&clock, NOON + 12 * H), 20001);
}

static void a_clock_that_is_set_begins_no_day(void **state)
{
    static const int64_t by[] = {
        120,    -120,    5 * H,    -5 * H,    13 * H,    -13 * H,
        23 * H, -23 * H, D,        -D,        3 * D + H, -3 * D - H,
        YEAR,   -YEAR,   YEAR + H, -YEAR - H, 30 * YEAR, -54 * (int64_t)YEAR};
    (void)state;
    for (size_t i = 0; i < SP_COUNT(by); i++) {
        for (uint64_t hour = 0; hour < 24; hour++) {
            sp_day_clock clock = {0};
            uint64_t was_s = NOON - 12 * H + hour * H;
            uint64_t now_s = was_s + (uint64_t)by[i];
            sp_day_clock_set(&clock, now_s, by[i]);
            assert_int_equal(sp_day_clock_day(&clock, now_s), 20000);
            uint64_t hours = lasts_h(&clock, now_s);
            assert_in_range(hours, 24 - hour, 24 - hour + 13);
            uint64_t next_s = now_s + hours * H;
            assert_in_range(lasts_h(&clock, next_s), 11, 36);
            next_s += lasts_h(&clock, next_s) * H; /* from then on they are the calendar's again */
            assert_int_equal(lasts_h(&clock, (next_s + D) / D * D), 24);
        }
    }
}

static void there_and_back_again_is_the_same_day(void **state)
{
    (void)state;
    for (uint64_t hour = 0; hour < 24; hour++) {
        sp_day_clock clock = {0};
        uint64_t now_s = NOON - 12 * H + hour * H;
        for (int i = 0; i < 10; i++) {
            sp_day_clock_set(&clock, now_s + YEAR + 7 * H, YEAR + 7 * H);
            sp_day_clock_set(&clock, now_s, -YEAR - 7 * H);
        }
        assert_int_equal(sp_day_clock_day(&clock, now_s), 20000);
        assert_int_equal(lasts_h(&clock, now_s), 24 - hour);
    }
}

static void many_jumps_neither_begin_a_day_early_nor_hold_one(void **state)
{
    (void)state;
    for (int64_t hours = -23; hours <= 23; hours++) {
        sp_day_clock clock = {0};
        uint64_t now_s = NOON - 12 * H;
        uint64_t ran_h = 0;
        while (sp_day_clock_day(&clock, now_s) == 20000) { /* an hour, and so many more */
            now_s += H + (uint64_t)(hours * H);
            ran_h++;
            sp_day_clock_set(&clock, now_s, hours * H);
            assert_true(ran_h < 48);
        }
        assert_in_range(ran_h, 24, 37);
    }
}

static void a_clock_set_while_nobody_looked(void **state)
{
    (void)state;
    sp_day_clock clock = {0};
    sp_day_clock_right(&clock, NOON, 20000);
    assert_int_equal(sp_day_clock_day(&clock, NOON), 20000);
    sp_day_clock_right(&clock, NOON - YEAR, 20000); /* nothing is new because it was set back */
    assert_int_equal(sp_day_clock_day(&clock, NOON - YEAR), 20000);
    assert_int_equal(lasts_h(&clock, NOON - YEAR), 12);
    clock = (sp_day_clock){.hold_s = NOON + YEAR, .held = 20000};
    sp_day_clock_right(&clock, NOON, 20000); /* nor does one day last for a year */
    assert_int_equal(sp_day_clock_day(&clock, NOON), 20000);
    assert_int_equal(lasts_h(&clock, NOON), 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(days_are_those_of_the_calendar),
        cmocka_unit_test(a_clock_that_is_set_begins_no_day),
        cmocka_unit_test(there_and_back_again_is_the_same_day),
        cmocka_unit_test(many_jumps_neither_begin_a_day_early_nor_hold_one),
        cmocka_unit_test(a_clock_set_while_nobody_looked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

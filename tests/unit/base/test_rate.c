/* SPDX-License-Identifier: Apache-2.0
 * So much at once as in a minute, and then evenly.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/base/rate.h.
 */
#include "lib/base/rate.h"
#include "tests/unit/cm.h"

enum { SECOND_US = 1000000 };

static unsigned takes(sp_rate *rate, unsigned a_minute, uint64_t now_us)
{
    unsigned count = 0;
    while (sp_rate_take(rate, a_minute, now_us)) {
        count++;
    }
    return count;
}

static void test_a_minutes_worth_at_once_and_then_evenly(void **state)
{
    (void)state;
    sp_rate rate = {0};
    uint64_t now_us = 5 * SECOND_US;
    assert_true(sp_rate_is_calm(&rate, now_us));
    assert_int_equal(takes(&rate, 30, now_us), 30);
    assert_false(sp_rate_is_calm(&rate, now_us));
    assert_int_equal(takes(&rate, 30, now_us + SECOND_US), 0);
    assert_int_equal(takes(&rate, 30, now_us + 2 * SECOND_US), 1);
    assert_int_equal(takes(&rate, 30, now_us + 22 * SECOND_US), 10);
    assert_int_equal(takes(&rate, 30, now_us + UINT64_C(300) * SECOND_US), 30);
    assert_true(sp_rate_is_calm(&rate, now_us + UINT64_C(900) * SECOND_US));
}

static void test_one_a_minute(void **state)
{
    (void)state;
    sp_rate rate = {0};
    assert_int_equal(takes(&rate, 1, 0), 1);
    assert_int_equal(takes(&rate, 1, 59 * SECOND_US), 0);
    assert_int_equal(takes(&rate, 1, 60 * SECOND_US), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_minutes_worth_at_once_and_then_evenly),
        cmocka_unit_test(test_one_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

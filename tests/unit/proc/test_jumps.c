/* SPDX-License-Identifier: Apache-2.0
 * A clock that is set is seen once, and by how far; one that drifts or runs is not.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC infra/proc/jumps.h.
 */
#include "infra/proc/jumps.h"
#include "tests/unit/cm.h"

#define SECOND UINT64_C(1000000)
#define HOUR (3600 * SECOND)
#define NOW (UINT64_C(1800000000) * SECOND)

static void test_what_runs_is_no_jump(void **state)
{
    (void)state;
    sp_jumps jumps = {0};
    assert_true(sp_jumps_look(&jumps, NOW, 7) == 0); /* the first look */
    assert_true(sp_jumps_look(&jumps, NOW + HOUR, 7 + HOUR) == 0);
    assert_true(sp_jumps_look(&jumps, NOW + HOUR + 60 * SECOND, 7 + HOUR) == 0);
    assert_true(sp_jumps_look(&jumps, NOW + HOUR, 7 + HOUR) == 0);
}

static void test_what_is_set_is_seen_once(void **state)
{
    (void)state;
    sp_jumps jumps = {0};
    assert_true(sp_jumps_look(&jumps, NOW, HOUR) == 0);
    assert_true(sp_jumps_look(&jumps, NOW + HOUR + SECOND, HOUR + SECOND) == (int64_t)HOUR);
    assert_true(sp_jumps_look(&jumps, NOW + HOUR + 2 * SECOND, HOUR + 2 * SECOND) == 0);
    assert_true(sp_jumps_look(&jumps, NOW + 3 * SECOND, HOUR + 3 * SECOND) == -(int64_t)HOUR);
    assert_true(sp_jumps_look(&jumps, NOW + 4 * SECOND, HOUR + 4 * SECOND) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_runs_is_no_jump),
        cmocka_unit_test(test_what_is_set_is_seen_once),
    };
    return cmocka_run_group_tests_name("jumps", tests, NULL, NULL);
}

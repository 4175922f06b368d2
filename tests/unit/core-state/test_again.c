/* SPDX-License-Identifier: Apache-2.0
 * Tests of what is tried again, and when.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC core/approvals/again.h.
 */
#include "core/approvals/again.h"
#include "tests/unit/cm.h"

#define S UINT64_C(1000000)

static void only_a_no_is_for_good(void **state)
{
    (void)state;
    static const sp_code no[] = {SP_EDENIED, SP_ENOTFOUND, SP_ECONFLICT, SP_EINVALID,
                                 SP_EUNSUPPORTED};
    unsigned found = 0;
    for (int code = SP_OK + 1; code < SP_CODE_COUNT; code++) {
        bool expected = false;
        for (size_t i = 0; i < SP_COUNT(no); i++) {
            expected = expected || (sp_code)code == no[i];
        }
        assert_int_equal(sp_again_is_for_good((sp_code)code), expected);
        found += expected ? 1 : 0;
    }
    assert_int_equal(found, SP_COUNT(no));
}

static void once_a_minute(void **state)
{
    (void)state;
    sp_again again = {0};
    uint64_t now = 5 * S;
    assert_int_equal(sp_again_look(&again, 1, now), SP_AGAIN_NEVER);
    assert_true(sp_again_later(&again, 1, now));
    for (unsigned i = 0; i < 60; i++) {
        assert_int_equal(sp_again_look(&again, 1, now + i * S), SP_AGAIN_WAITS);
    }
    now += 60 * S;
    assert_int_equal(sp_again_look(&again, 1, now), SP_AGAIN_DUE);
    assert_false(sp_again_later(&again, 1, now)); /* no news */
    assert_int_equal(sp_again_look(&again, 1, now + 59 * S), SP_AGAIN_WAITS);
    assert_int_equal(sp_again_look(&again, 2, now), SP_AGAIN_NEVER);
    assert_int_equal(sp_again_look(&again, 1, now + 120 * S), SP_AGAIN_NEVER); /* it is over */
    assert_true(sp_again_later(&again, 1, now + 120 * S));
}

static void the_oldest_gives_way(void **state)
{
    (void)state;
    sp_again again = {0};
    for (uint64_t i = 0; i <= SP_AGAIN_PLACES; i++) {
        assert_true(sp_again_later(&again, 100 + i, i));
    }
    assert_int_equal(sp_again_look(&again, 100, S), SP_AGAIN_NEVER);
    for (uint64_t i = 1; i <= SP_AGAIN_PLACES; i++) {
        assert_int_equal(sp_again_look(&again, 100 + i, S), SP_AGAIN_WAITS);
    }
    assert_false(sp_again_later(&again, 100 + SP_AGAIN_PLACES, S)); /* in its own place */
    assert_int_equal(sp_again_look(&again, 101, S), SP_AGAIN_WAITS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_no_is_for_good),
        cmocka_unit_test(once_a_minute),
        cmocka_unit_test(the_oldest_gives_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

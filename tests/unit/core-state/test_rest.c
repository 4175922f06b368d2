/* SPDX-License-Identifier: Apache-2.0
 * Tests of the rest between tries that hold others up.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC core/approvals/rest.h.
 */
#include "core/approvals/rest.h"
#include "tests/unit/cm.h"

#define S UINT64_C(1000000)

enum { ANN = 7, BOB = 8 };

static void short_tries_are_free_and_long_ones_a_tenth(void **state)
{
    (void)state;
    sp_rest rest = {0};
    uint64_t wait_s = 0;
    uint64_t now = 1000 * S;
    uint64_t tried = 0;
    for (uint64_t end = now + 36000 * S; now < end;) { /* ten hours of tries of 30 s, without end */
        if (sp_rest_begin(&rest, ANN, false, now, &wait_s)) {
            now += 30 * S;
            tried += 30 * S;
            sp_rest_end(&rest, ANN, now);
        } else {
            assert_in_range(wait_s, 1, 300);
            now += wait_s * S;
        }
    }
    assert_in_range(tried / S, 3600, 3600 + 120);
    assert_true(sp_rest_begin(&rest, BOB, false, now, &wait_s)); /* that is another's affair */
    for (int i = 0; i < 1000; i++) { /* two seconds of work, in a minute, are nobody's trouble */
        now += 60 * S;
        assert_true(sp_rest_begin(&rest, 9, false, now, &wait_s));
        sp_rest_end(&rest, 9, now + 2 * S);
    }
}

static void the_longer_it_took_the_longer_he_rests(void **state)
{
    (void)state;
    sp_rest rest = {0};
    uint64_t wait_s = 0;
    assert_true(sp_rest_begin(&rest, ANN, false, S, &wait_s));
    sp_rest_end(&rest, ANN, 61 * S); /* a minute: ten may be owed */
    assert_true(sp_rest_begin(&rest, ANN, false, 61 * S, &wait_s));
    sp_rest_end(&rest, ANN, 361 * S);
    assert_false(sp_rest_begin(&rest, ANN, false, 361 * S, &wait_s));
    assert_int_equal(wait_s, 2700); /* ten times both, from the first end on, but for ten minutes */
    assert_false(sp_rest_begin(&rest, ANN, false, (361 + 2700) * S - 1, &wait_s));
    assert_true(sp_rest_begin(&rest, ANN, false, (361 + 2700) * S, &wait_s));
}

static void who_has_looked_may_ask_once(void **state)
{
    (void)state;
    sp_rest rest = {0};
    uint64_t wait_s = 0;
    assert_true(sp_rest_begin(&rest, ANN, false, S, &wait_s));
    assert_false(sp_rest_begin(&rest, ANN, true, 2 * S, &wait_s)); /* one at a time */
    sp_rest_end(&rest, ANN, 301 * S);
    assert_false(sp_rest_begin(&rest, ANN, false, 301 * S, &wait_s));
    assert_true(sp_rest_begin(&rest, ANN, true, 301 * S, &wait_s));
    sp_rest_drop(&rest, ANN); /* somebody else looks at it just now */
    assert_true(sp_rest_begin(&rest, ANN, true, 301 * S, &wait_s));
    sp_rest_end(&rest, ANN, 601 * S);
    assert_false(sp_rest_begin(&rest, ANN, true, 601 * S, &wait_s));
    assert_int_equal(wait_s, 5100); /* ten times both, but for ten minutes: that was owed as well */
    assert_true(sp_rest_begin(&rest, BOB, true, 601 * S, &wait_s));
    sp_rest_end(&rest, BOB, 901 * S);
    assert_false(sp_rest_begin(&rest, BOB, true, 901 * S, &wait_s)); /* he has asked, not looked */
}

static void one_at_a_time(void **state)
{
    (void)state;
    sp_rest rest = {0};
    uint64_t wait_s = 0;
    sp_rest_end(&rest, ANN, S); /* none began */
    assert_true(sp_rest_begin(&rest, ANN, false, S, &wait_s));
    assert_false(sp_rest_begin(&rest, ANN, false, 2 * S, &wait_s));
    assert_int_equal(wait_s, 1);
    for (uint32_t person = 100; person < 300; person++) { /* nobody is forgotten while he tries */
        if (sp_rest_begin(&rest, person, false, 3 * S, &wait_s)) {
            sp_rest_end(&rest, person, 4 * S);
        }
    }
    assert_false(sp_rest_begin(&rest, ANN, false, 5 * S, &wait_s));
    sp_rest_end(&rest, ANN, 101 * S);
    for (uint32_t person = 100; person < 300; person++) { /* nor while he owes more than they */
        assert_true(sp_rest_begin(&rest, person, false, 101 * S, &wait_s));
        sp_rest_end(&rest, person, 102 * S);
    }
    assert_false(sp_rest_begin(&rest, ANN, false, 102 * S, &wait_s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_tries_are_free_and_long_ones_a_tenth),
        cmocka_unit_test(the_longer_it_took_the_longer_he_rests),
        cmocka_unit_test(who_has_looked_may_ask_once),
        cmocka_unit_test(one_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

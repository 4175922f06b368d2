/* SPDX-License-Identifier: Apache-2.0
 * Tests of the limits on failing.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC core/identity/limits.h.
 */
#include "core/identity/limits.h"
#include "tests/unit/cm.h"

#define S UINT64_C(1000000)

static void closes_and_opens(void **state)
{
    (void)state;
    sp_limits *limits = NULL;
    assert_ok(sp_limits_new(42, &limits));
    uint64_t key = sp_limits_account_key(limits, SP_SPAN_LIT("ann"));
    uint64_t other = sp_limits_account_key(limits, SP_SPAN_LIT("bob"));
    uint64_t now = 1000 * S;
    for (int i = 0; i < SP_LIMIT_ACCOUNT_TRIES - 1; i++) {
        sp_limits_failed(limits, key, SP_LIMIT_ACCOUNT_TRIES, now);
        assert_int_equal(sp_limits_wait_s(limits, key, now), 0);
    }
    sp_limits_failed(limits, key, SP_LIMIT_ACCOUNT_TRIES, now);
    assert_int_equal(sp_limits_wait_s(limits, key, now), 15);
    assert_int_equal(sp_limits_wait_s(limits, other, now), 0);
    assert_int_equal(sp_limits_wait_s(limits, key, now + 15 * S), 0);
    sp_limits_failed(limits, key, SP_LIMIT_ACCOUNT_TRIES, now + 15 * S);
    assert_int_equal(sp_limits_wait_s(limits, key, now + 15 * S), 30);
    for (int i = 0; i < 100; i++) {
        sp_limits_failed(limits, key, SP_LIMIT_ACCOUNT_TRIES, now + 50 * S);
    }
    assert_int_equal(sp_limits_wait_s(limits, key, now + 50 * S), 900); /* the longest */
    sp_limits_failed(limits, key, SP_LIMIT_ACCOUNT_TRIES, now + 9000 * S);
    assert_int_equal(sp_limits_wait_s(limits, key, now + 9000 * S), 0); /* an hour of quiet */
    sp_limits_worked(limits, key);
    assert_int_equal(sp_limits_wait_s(limits, key, now + 50 * S), 0);
    sp_limits_free(limits);
}

static void a_try_that_came_to_nothing_is_taken_back(void **state)
{
    (void)state;
    sp_limits *limits = NULL;
    assert_ok(sp_limits_new(42, &limits));
    uint64_t key = sp_limits_account_key(limits, SP_SPAN_LIT("ann"));
    sp_limits_take_back(limits, key, SP_LIMIT_ACCOUNT_TRIES); /* nothing was counted */
    for (int i = 0; i < SP_LIMIT_ACCOUNT_TRIES; i++) {
        sp_limits_failed(limits, key, SP_LIMIT_ACCOUNT_TRIES, 1000 * S);
    }
    assert_int_equal(sp_limits_wait_s(limits, key, 1000 * S), 15);
    sp_limits_take_back(limits, key, SP_LIMIT_ACCOUNT_TRIES);
    assert_int_equal(sp_limits_wait_s(limits, key, 1000 * S), 0);
    sp_limits_failed(limits, key, SP_LIMIT_ACCOUNT_TRIES, 1000 * S);
    sp_limits_failed(limits, key, SP_LIMIT_ACCOUNT_TRIES, 1000 * S);
    sp_limits_take_back(limits, key, SP_LIMIT_ACCOUNT_TRIES); /* one too many is still there */
    assert_true(sp_limits_wait_s(limits, key, 1000 * S) > 0);
    sp_limits_free(limits);
}

static void counts_networks_of_six_as_one(void **state)
{
    (void)state;
    sp_limits *limits = NULL;
    assert_ok(sp_limits_new(7, &limits));
    const uint8_t a[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 1};
    const uint8_t b[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 2};
    const uint8_t c[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 2, 1};
    const uint8_t four_a[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1};
    const uint8_t four_b[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 2};
    assert_true(sp_limits_address_key(limits, a) == sp_limits_address_key(limits, b));
    assert_true(sp_limits_address_key(limits, a) != sp_limits_address_key(limits, c));
    assert_true(sp_limits_address_key(limits, four_a) != sp_limits_address_key(limits, four_b));
    sp_limits_free(limits);
}

static void what_is_kept_closes_the_same_doors(void **state)
{
    (void)state;
    sp_limits *before = NULL;
    sp_limits *after = NULL;
    sp_limit_row rows[4];
    assert_ok(sp_limits_new(42, &before));
    assert_ok(sp_limits_new(42, &after));
    uint64_t ann = sp_limits_account_key(before, SP_SPAN_LIT("ann"));
    uint64_t bob = sp_limits_account_key(before, SP_SPAN_LIT("bob"));
    for (int i = 0; i < SP_LIMIT_ACCOUNT_TRIES; i++) {
        sp_limits_failed(before, ann, SP_LIMIT_ACCOUNT_TRIES, 1000 * S);
    }
    sp_limits_failed(before, bob, SP_LIMIT_ACCOUNT_TRIES, 1000 * S);
    assert_int_equal(sp_limits_changed(before, rows, 1), 1);
    assert_int_equal(sp_limits_changed(before, rows + 1, 3), 1);
    assert_int_equal(sp_limits_changed(before, rows + 2, 2), 0);
    sp_limits_restore(after, &rows[0]);
    sp_limits_restore(after, &rows[1]);
    assert_int_equal(sp_limits_wait_s(after, ann, 1000 * S), 15);
    assert_int_equal(sp_limits_wait_s(after, bob, 1000 * S), 0);
    assert_int_equal(sp_limits_changed(after, rows + 2, 2), 0);
    sp_limits_worked(after, ann);
    assert_int_equal(sp_limits_changed(after, rows + 2, 2), 1);
    assert_true(rows[2].key == 0); /* the row goes */
    sp_limit_row bad = rows[0];
    bad.place = (bad.place + 8) % SP_LIMITS_PLACES;
    sp_limits_restore(after, &bad);
    bad.place = SP_LIMITS_PLACES;
    sp_limits_restore(after, &bad);
    assert_int_equal(sp_limits_wait_s(after, bad.key, 1000 * S), 0);
    sp_limits_free(before);
    sp_limits_free(after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(closes_and_opens),
                                       cmocka_unit_test(what_is_kept_closes_the_same_doors),
                                       cmocka_unit_test(a_try_that_came_to_nothing_is_taken_back),
                                       cmocka_unit_test(counts_networks_of_six_as_one)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

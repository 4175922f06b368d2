/* SPDX-License-Identifier: Apache-2.0
 * Strangers: the first are written, the rest counted, nothing is lost, floods of addresses bounded.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/web/strangers.h.
 */
#include "lib/web/strangers.h"
#include "tests/unit/cm.h"

static sp_strangers strangers;
static uint64_t written; /* events with a count */
static uint64_t counted; /* what they stand for */
static uint64_t last_reference;

static void on_write(void *self, const sp_stranger *stranger)
{
    (void)self;
    written++;
    counted += stranger->counted;
    last_reference = stranger->reference;
}

static const sp_strangers_calls calls = {on_write, NULL};

static int start(void **state)
{
    (void)state;
    strangers = (sp_strangers){.seed = 99};
    written = counted = last_reference = 0;
    return 0;
}

static bool take(uint32_t address, uint64_t now_us, uint64_t *reference)
{
    uint8_t peer[16] = {[10] = 0xFF, [11] = 0xFF};
    sp_copy(peer + 12, &address, sizeof(address));
    return sp_strangers_take(&strangers, peer, 5, now_us, reference, &calls);
}

static void the_first_alone_the_rest_counted(void **state)
{
    (void)state;
    uint64_t reference = 0;
    for (unsigned i = 0; i < SP_STRANGERS_ALONE; i++) {
        reference = 1000 + i;
        assert_true(take(1, 1, &reference));
        assert_int_equal(reference, 1000 + i);
    }
    for (unsigned i = 0; i < 500; i++) {
        reference = 5000 + i;
        assert_false(take(1, 2, &reference));
        assert_int_equal(reference, 1000 + SP_STRANGERS_ALONE - 1);
    }
    reference = 7;
    assert_true(take(2, 2, &reference)); /* another address */
    sp_strangers_sweep(&strangers, 1 + SP_STRANGERS_MINUTE_US - 1, &calls);
    assert_int_equal(written, 0);
    sp_strangers_sweep(&strangers, 2 + SP_STRANGERS_MINUTE_US, &calls);
    assert_int_equal(written, 1);
    assert_int_equal(counted, 500);
    reference = 8;
    assert_true(take(1, 3 + SP_STRANGERS_MINUTE_US, &reference)); /* a new minute */
}

static void a_network_of_six_is_one(void **state)
{
    (void)state;
    uint64_t alone = 0;
    for (unsigned i = 0; i < 100; i++) {
        uint64_t reference = i + 1;
        uint8_t peer[16] = {0x20, 1, 0xd, 0xb8, [14] = 1, [15] = (uint8_t)i};
        alone += sp_strangers_take(&strangers, peer, 5, 1, &reference, &calls) ? 1 : 0;
    }
    assert_int_equal(alone, SP_STRANGERS_ALONE);
}

static void many_addresses_are_bounded_and_counted(void **state)
{
    (void)state;
    enum { FLOOD = 200000 };
    uint64_t alone = 0;
    for (uint32_t i = 0; i < FLOOD; i++) {
        uint64_t reference = i + 1;
        alone += take(i, 1 + i, &reference) ? 1 : 0;
    }
    assert_int_equal(alone, SP_STRANGERS_ALONE_ALL);
    sp_strangers_sweep(&strangers, UINT64_MAX, &calls);
    assert_int_equal(alone + counted, FLOOD);
    assert_true(written <= 1 + SP_STRANGERS_SETS * SP_STRANGERS_WAYS);
    assert_true(last_reference != 0);
}

static void a_clock_set_back_starts_a_new_minute(void **state)
{
    (void)state;
    uint64_t reference = 1;
    for (unsigned i = 0; i < SP_STRANGERS_ALONE + 3; i++) {
        take(1, SP_STRANGERS_MINUTE_US, &reference);
    }
    reference = 9;
    assert_true(take(1, 5, &reference));
    assert_int_equal(counted, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_first_alone_the_rest_counted, start),
        cmocka_unit_test_setup(a_network_of_six_is_one, start),
        cmocka_unit_test_setup(many_addresses_are_bounded_and_counted, start),
        cmocka_unit_test_setup(a_clock_set_back_starts_a_new_minute, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

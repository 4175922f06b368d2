/* SPDX-License-Identifier: Apache-2.0
 * Counters by the hour: the window, their message, what is hostile about it; tar files.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC ledger/counts.h, lib/base/tar.h.
 */
#include "ledger/counts.h"
#include "lib/base/tar.h"
#include "tests/unit/cm.h"

#define HOUR_US (UINT64_C(3600) * 1000000)
enum { LAST = SP_LEDGER_HOURS - 1 };

static sp_counts counts;

static uint64_t at(unsigned hour)
{
    return counts.hours.counts[hour][SP_GATE_WEB][SP_VERDICT_ALLOW];
}

static int start(void **state)
{
    (void)state;
    counts = (sp_counts){.hours = {.last_hour = 1000}};
    return 0;
}

static void counts_in_its_hour(void **state)
{
    (void)state;
    sp_counts_add(&counts, 1000 * HOUR_US, SP_GATE_WEB, SP_VERDICT_ALLOW, 0);
    sp_counts_add(&counts, 1000 * HOUR_US + HOUR_US - 1, SP_GATE_WEB, SP_VERDICT_ALLOW, 4);
    sp_counts_add(&counts, 999 * HOUR_US, SP_GATE_WEB, SP_VERDICT_ALLOW, 1);
    sp_counts_add(&counts, (1000 - LAST) * HOUR_US, SP_GATE_WEB, SP_VERDICT_ALLOW, 1);
    sp_counts_add(&counts, (1000 - LAST) * HOUR_US - 1, SP_GATE_WEB, SP_VERDICT_ALLOW, 9);
    sp_counts_add(&counts, 1007 * HOUR_US, SP_GATE_WEB, SP_VERDICT_ALLOW, 1);
    sp_counts_add(&counts, 1000 * HOUR_US, SP_GATE_COUNT, SP_VERDICT_ALLOW, 1);
    sp_counts_add(&counts, 1000 * HOUR_US, SP_GATE_WEB, SP_VERDICT_COUNT, 1);
    assert_int_equal(at(LAST), 6);
    assert_int_equal(at(LAST - 1), 1);
    assert_int_equal(at(0), 1);
}

static void the_window_moves(void **state)
{
    (void)state;
    sp_counts_add(&counts, 1000 * HOUR_US, SP_GATE_WEB, SP_VERDICT_ALLOW, 7);
    sp_counts_turn(&counts, 1003 * HOUR_US);
    assert_int_equal(at(LAST - 3), 7);
    assert_int_equal(at(LAST), 0);
    sp_counts_turn(&counts, 900 * HOUR_US); /* a clock set back changes nothing */
    assert_int_equal(at(LAST - 3), 7);
    sp_counts_turn(&counts, (1000 + LAST) * HOUR_US);
    assert_int_equal(at(0), 7);
    sp_counts_turn(&counts, UINT64_MAX);
    for (unsigned i = 0; i < SP_LEDGER_HOURS; i++) {
        assert_int_equal(at(i), 0);
    }
}

static void the_message_comes_back(void **state)
{
    (void)state;
    static sp_ledger_counts back;
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_counts_add(&counts, 1000 * HOUR_US, SP_GATE_DB, SP_VERDICT_DENY, 5);
    counts.hours.complete = true;
    sp_ledger_counts_write(&counts.hours, &body);
    assert_ok(sp_ledger_counts_read(sp_buf_borrow(&body), &back));
    assert_memory_equal(&back, &counts.hours, sizeof(back));
    sp_buf_byte(&body, 1);
    assert_true(sp_failed(sp_ledger_counts_read(sp_buf_borrow(&body), &back)));
    sp_buf_reset(&body);
    sp_buf_u64(&body, 1);
    sp_buf_u8(&body, 1);
    sp_buf_u32(&body, SP_LEDGER_HOURS * SP_GATE_COUNT * SP_VERDICT_COUNT);
    sp_buf_u64(&body, 1);
    assert_true(sp_failed(sp_ledger_counts_read(sp_buf_borrow(&body), &back)));
}

static void every_count_fits_a_message(void **state)
{
    (void)state;
    static sp_ledger_counts all;
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_set(&all.counts, 0xff, sizeof(all.counts));
    sp_ledger_counts_write(&all, &body);
    assert_ok(sp_buf_error(&body));
}

static void tiles_are_bounded(void **state)
{
    (void)state;
    const sp_ledger_tile_ask good = {.level = 1, .index = 512, .count = 256};
    sp_ledger_tile_ask back;
    auto_buf sp_buf body = sp_buf_make(64);
    sp_ledger_tile_ask_write(&good, &body);
    assert_ok(sp_ledger_tile_ask_read(sp_buf_borrow(&body), &back));
    assert_int_equal(back.index, 512);
    const sp_ledger_tile_ask bad[] = {{.level = SP_LEDGER_TILE_LEVELS, .count = 1},
                                      {.count = SP_LEDGER_TILE_MAX + 1},
                                      {.count = 0}};
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        sp_buf_reset(&body);
        sp_ledger_tile_ask_write(&bad[i], &body);
        assert_true(sp_failed(sp_ledger_tile_ask_read(sp_buf_borrow(&body), &back)));
    }
}

static void tar_in_whole_blocks(void **state)
{
    (void)state;
    auto_buf sp_buf tar = sp_buf_make(8192);
    sp_tar_file(SP_SPAN_LIT("a/b"), SP_SPAN_LIT("hello"), 1, &tar);
    assert_int_equal(sp_buf_borrow(&tar).len, 2 * SP_TAR_BLOCK_BYTES);
    assert_memory_equal(tar.ptr + 124, "00000000005", 12);
    sp_tar_file(SP_SPAN_LIT("empty"), SP_SPAN_EMPTY, 1, &tar);
    sp_tar_end(&tar);
    assert_int_equal(sp_buf_borrow(&tar).len, 5 * SP_TAR_BLOCK_BYTES);
    char name[SP_TAR_NAME_MAX_BYTES + 1];
    sp_set(name, 'x', sizeof(name));
    sp_tar_file(sp_span_of(name, sizeof(name)), SP_SPAN_EMPTY, 1, &tar);
    assert_true(sp_failed(sp_buf_error(&tar)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(counts_in_its_hour, start),
        cmocka_unit_test_setup(the_window_moves, start),
        cmocka_unit_test_setup(the_message_comes_back, start),
        cmocka_unit_test(every_count_fits_a_message),
        cmocka_unit_test(tiles_are_bounded),
        cmocka_unit_test(tar_in_whole_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

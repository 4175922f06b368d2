/* SPDX-License-Identifier: Apache-2.0
 * Which page of a search goes on, and which is a reading of its own.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC ledger/readings.h.
 */
#include "ledger/readings.h"
#include "tests/unit/cm.h"

static const uint64_t NOW_US = 5000000;

static sp_ledger_search search_of(uint32_t reader, uint32_t person, uint64_t entry, uint16_t at)
{
    return (sp_ledger_search){.reader = {reader, SP_SPAN_LIT("audrey"), SP_SPAN_LIT("search")},
                              .person = person,
                              .before_entry = entry,
                              .before_at = at,
                              .limit = 50};
}

static void hand_out(sp_readings *readings, const sp_ledger_search *search, uint64_t entry,
                     uint16_t at)
{
    const sp_ledger_found found = {.more = true, .before_entry = entry, .before_at = at};
    sp_readings_handed_out(readings, search, &found, NOW_US);
}

static bool goes_on(sp_readings *readings, sp_ledger_search search)
{
    return sp_readings_goes_on(readings, &search, NOW_US + 1);
}

static void test_only_the_page_that_was_handed_out(void **state)
{
    (void)state;
    sp_readings readings = {0};
    sp_ledger_search first = search_of(3, 7, UINT64_MAX, 0);
    assert_false(goes_on(&readings, first));
    assert_false(goes_on(&readings, search_of(3, 7, UINT64_MAX - 1, 0)));
    hand_out(&readings, &first, 400, 2);
    assert_false(goes_on(&readings, first)); /* from the newest on is always new */
    assert_false(goes_on(&readings, search_of(3, 7, 401, 2)));
    assert_false(goes_on(&readings, search_of(3, 7, 400, 3)));
    assert_false(goes_on(&readings, search_of(4, 7, 400, 2))); /* somebody else */
    assert_false(goes_on(&readings, search_of(3, 8, 400, 2))); /* about somebody else */
    sp_ledger_search next = search_of(3, 7, 400, 2);
    next.text = SP_SPAN_LIT("salary");
    assert_false(goes_on(&readings, next));
    next.text = SP_SPAN_EMPTY;
    next.limit = 20; /* how many at once is not what is read */
    assert_true(goes_on(&readings, next));
    assert_false(goes_on(&readings, next)); /* once */
}

static void test_readings_end(void **state)
{
    (void)state;
    sp_readings readings = {0};
    sp_ledger_search first = search_of(3, 7, UINT64_MAX, 0);
    sp_ledger_search next = search_of(3, 7, 400, 2);
    hand_out(&readings, &first, 400, 2);
    assert_false(sp_readings_goes_on(&readings, &next, NOW_US + SP_READING_LASTS_US));
    for (unsigned i = 0; i < 2 * SP_READINGS_MAX; i++) { /* the latest stay */
        sp_ledger_search other = search_of(10 + i, 7, UINT64_MAX, 0);
        const sp_ledger_found found = {.more = true, .before_entry = 10, .before_at = 1};
        sp_readings_handed_out(&readings, &other, &found, NOW_US + 1 + i);
    }
    assert_false(goes_on(&readings, next));
    assert_false(goes_on(&readings, search_of(10, 7, 10, 1)));
    assert_true(goes_on(&readings, search_of(10 + 2 * SP_READINGS_MAX - 1, 7, 10, 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_the_page_that_was_handed_out),
        cmocka_unit_test(test_readings_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

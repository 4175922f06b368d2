/* SPDX-License-Identifier: Apache-2.0
 * Times of the API.
 * OWNS nothing. PROCESS test. TRUST none. SPEC core/admin/when.h.
 */
#include "core/admin/when.h"
#include "tests/unit/cm.h"

static void test_times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t unix_s;
    } good[] = {{"1970-01-01T00:00:00Z", 0},          {"2000-02-29T12:00:00Z", 951825600},
                {"2020-02-23T10:56:00Z", 1582455360}, {"2026-11-23T01:02:03.456789Z", 1795395723},
                {"2100-03-01T00:00:00Z", 4107542400}, {"9999-12-31T23:59:59Z", 253402300799}};
    for (size_t i = 0; i < SP_COUNT(good); i++) {
        uint64_t got = 7;
        assert_true(sp_admin_time(sp_span_cstr(good[i].text), &got));
        assert_true(got == good[i].unix_s);
    }
    static const char *const bad[] = {"",
                                      "2026-11-23",
                                      "2026-11-23T01:02:03",
                                      "2026-11-23 01:02:03Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-00-01T00:00:00Z",
                                      "2026-01-32T00:00:00Z",
                                      "2026-01-01T24:00:00Z",
                                      "2026-01-01T00:60:00Z",
                                      "1969-12-31T23:59:59Z",
                                      "2026-01-01T00:00:00+08:00",
                                      "2026-01-01T00:00:00xZ",
                                      "2026-01-01T00:00:00.00000000000000Z",
                                      "+026-01-01T00:00:00Z"};
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        uint64_t got = 7;
        assert_false(sp_admin_time(sp_span_cstr(bad[i]), &got));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_times)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

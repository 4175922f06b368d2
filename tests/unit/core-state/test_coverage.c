/* SPDX-License-Identifier: Apache-2.0
 * The coverage statement: what it counts, what it calls opaque, what it does not claim.
 * OWNS nothing. PROCESS test. TRUST none. SPEC core/admin/coverage.h.
 */
#include "core/admin/coverage.h"
#include "tests/unit/cm.h"

#include <string.h>

/* Newest first, as the ledger gives them. */
static json_t *made_of(const char *const *events, size_t count)
{
    sp_coverage coverage = sp_coverage_make();
    for (size_t i = 0; i < count; i++) {
        json_t *event = json_loads(events[i], 0, NULL);
        assert_non_null(event);
        if (json_object_get(event, "missing") != NULL) {
            sp_coverage_missing(&coverage, event);
        } else {
            sp_coverage_event(&coverage, event);
        }
        json_decref(event);
    }
    json_t *said = json_pack("{s:o, s:o}", "coverage", sp_coverage_json(&coverage, true),
                             "connections", sp_coverage_connections(&coverage));
    sp_coverage_done(&coverage);
    assert_non_null(said);
    return said;
}

static json_int_t number(const json_t *said, const char *part, const char *key)
{
    const json_t *of = json_object_get(json_object_get(said, "coverage"), part);
    assert_true(json_is_integer(json_object_get(of, key)));
    return json_integer_value(json_object_get(of, key));
}

/* How often something stayed opaque; its bytes in *ret_bytes. 0 = not said at all. */
static json_int_t opaque(const json_t *said, const char *what, json_int_t *ret_bytes)
{
    size_t at = 0;
    const json_t *one = NULL;
    json_array_foreach(json_object_get(json_object_get(said, "coverage"), "opaque"), at, one)
    {
        if (strcmp(json_string_value(json_object_get(one, "what")), what) == 0) {
            *ret_bytes = json_integer_value(json_object_get(one, "bytes"));
            return json_integer_value(json_object_get(one, "count"));
        }
    }
    return 0;
}

#define DB(rest) "{\"kind\":\"decision\",\"gate\":\"db\",\"verdict\":\"allow\"," rest "}"

static void test_databases(void **state)
{
    (void)state;
    static const char *const events[] = {
        "{\"kind\":\"close\",\"gate\":\"db\",\"method\":\"CONNECT\",\"reference\":\"AAAA-AAAA-"
        "AAAA\","
        "\"at\":\"t9\"}",
        "{\"kind\":\"decision\",\"gate\":\"db\",\"verdict\":\"deny\",\"reason\":\"never\","
        "\"action\":\"destroy\",\"method\":\"DROP TABLE\",\"object\":\"drop table orders\"}",
        "{\"kind\":\"decision\",\"gate\":\"db\",\"verdict\":\"ask\",\"reason\":\"approval\","
        "\"action\":\"destroy\",\"method\":\"DELETE\"}",
        DB("\"action\":\"execute\",\"method\":\"DO\",\"object\":\"do $$ begin end $$\""),
        DB("\"action\":\"destroy\",\"method\":\"SELECT\",\"object\":\"select mine()\",\"count\":1,"
           "\"bytes_out\":40,\"detail\":{\"opaque\":[\"function\"]}"),
        DB("\"action\":\"export\",\"method\":\"COPY\",\"bytes_out\":5000,\"bytes_in\":7,"
           "\"count\":3"),
        DB("\"action\":\"read\",\"method\":\"SELECT\",\"object\":\"select $1\",\"count\":10,"
           "\"bytes_out\":100,\"detail\":{\"connection\":\"AAAA-AAAA-AAAA\"}"),
        DB("\"action\":\"write\",\"method\":\"UPDATE\",\"object\":\"update x\","
           "\"detail\":{\"connection\":\"AAAA-AAAA-AAAA\",\"sqlstate\":\"23505\"}"),
        DB("\"action\":\"connect\",\"method\":\"CONNECT\",\"reference\":\"AAAA-AAAA-AAAA\","
           "\"resource\":\"orders-db\",\"at\":\"t1\""),
    };
    json_int_t bytes = 0;
    json_t *said = made_of(events, SP_COUNT(events));
    assert_int_equal(number(said, "recorded", "statements"), 5);
    assert_int_equal(number(said, "recorded", "failed"), 1);
    assert_int_equal(number(said, "recorded", "connections"), 1);
    assert_int_equal(number(said, "recorded", "rows"), 14);
    assert_int_equal(number(said, "recorded", "bytes_out"), 5140);
    assert_int_equal(number(said, "refused", "denied"), 1);
    assert_int_equal(number(said, "refused", "asked"), 1);
    assert_int_equal(opaque(said, "code", &bytes), 1);
    assert_int_equal(opaque(said, "function", &bytes), 1);
    assert_int_equal(opaque(said, "copy", &bytes), 1);
    assert_int_equal(bytes, 5007);
    assert_int_equal(opaque(said, "results", &bytes), 2);
    assert_int_equal(bytes, 140);
    assert_int_equal(opaque(said, "parameters", &bytes), 1);
    assert_int_equal(opaque(said, "websocket", &bytes), 0);
    const json_t *connection = json_array_get(json_object_get(said, "connections"), 0);
    assert_string_equal(json_string_value(json_object_get(connection, "opened_at")), "t1");
    assert_string_equal(json_string_value(json_object_get(connection, "closed_at")), "t9");
    assert_int_equal(json_integer_value(json_object_get(connection, "statements")), 2);
    json_decref(said);
}

static void test_web(void **state)
{
    (void)state;
    static const char *const events[] = {
        "{\"kind\":\"close\",\"gate\":\"web\",\"verdict\":\"allow\",\"status\":101,"
        "\"bytes_in\":3,\"bytes_out\":4}",
        "{\"kind\":\"decision\",\"gate\":\"web\",\"verdict\":\"allow\"}",
        "{\"kind\":\"decision\",\"gate\":\"web\",\"verdict\":\"allow\",\"status\":200,"
        "\"bytes_in\":10,\"bytes_out\":20}",
        "{\"kind\":\"decision\",\"gate\":\"web\",\"verdict\":\"deny\",\"reason\":\"no-rule\","
        "\"status\":403,\"bytes_out\":900}",
        "{\"kind\":\"identity\",\"gate\":\"none\"}"};
    json_int_t bytes = 0;
    json_t *said = made_of(events, SP_COUNT(events));
    assert_int_equal(number(said, "recorded", "requests"), 2);
    assert_int_equal(number(said, "recorded", "other"), 1);
    assert_int_equal(opaque(said, "websocket", &bytes), 1);
    assert_int_equal(bytes, 7);
    assert_int_equal(opaque(said, "content", &bytes), 1);
    assert_int_equal(bytes, 30);
    assert_int_equal(number(said, "refused", "denied"), 1);
    json_decref(said);
}

/* What had to be recorded before it ran has two events, and is one statement. */
static void test_recorded_first(void **state)
{
    (void)state;
    static const char *const events[] = {
        "{\"kind\":\"close\",\"gate\":\"db\",\"verdict\":\"allow\",\"method\":\"DELETE\","
        "\"object\":\"delete from x where a = $1\",\"count\":4,\"bytes_out\":50,"
        "\"detail\":{\"connection\":\"AAAA-AAAA-AAAA\"}}",
        DB("\"action\":\"destroy\",\"method\":\"DELETE\","
           "\"object\":\"delete from x where a = $1\","
           "\"detail\":{\"connection\":\"AAAA-AAAA-AAAA\"}"),
        "{\"kind\":\"close\",\"gate\":\"db\",\"verdict\":\"allow\",\"method\":\"COPY\","
        "\"bytes_in\":70}",
        DB("\"action\":\"import\",\"method\":\"COPY\",\"object\":\"copy x from stdin\"")};
    json_int_t bytes = 0;
    json_t *said = made_of(events, SP_COUNT(events));
    assert_int_equal(number(said, "recorded", "statements"), 2);
    assert_int_equal(number(said, "recorded", "rows"), 4);
    assert_int_equal(opaque(said, "parameters", &bytes), 1);
    assert_int_equal(opaque(said, "results", &bytes), 1);
    assert_int_equal(opaque(said, "copy", &bytes), 1);
    assert_int_equal(bytes, 70);
    const json_t *connection = json_array_get(json_object_get(said, "connections"), 0);
    assert_int_equal(json_integer_value(json_object_get(connection, "statements")), 1);
    json_decref(said);
}

/* Losses of gates that the session went through, and of no others. */
static void test_missing(void **state)
{
    (void)state;
    static const char *const events[] = {
        DB("\"action\":\"read\",\"method\":\"SELECT\""),
        "{\"missing\":1,\"kind\":\"loss\",\"gate\":\"db\",\"count\":12}",
        "{\"missing\":1,\"kind\":\"gap\",\"gate\":\"db\",\"count\":1}",
        "{\"missing\":1,\"kind\":\"loss\",\"gate\":\"web\",\"count\":99}"};
    json_t *said = made_of(events, SP_COUNT(events));
    assert_int_equal(number(said, "missing", "lost"), 12);
    assert_int_equal(number(said, "missing", "gaps"), 1);
    json_decref(said);
}

/* Sums of hostile numbers stop; texts that are no texts count as empty. */
static void test_hostile(void **state)
{
    (void)state;
    static const char *const events[] = {
        DB("\"action\":\"export\",\"method\":\"COPY\",\"bytes_out\":9223372036854775807"),
        DB("\"action\":\"export\",\"method\":\"COPY\",\"bytes_out\":9223372036854775807"),
        DB("\"action\":\"read\",\"method\":7,\"object\":[],\"count\":-5,\"detail\":\"text\""), "{}",
        "{\"kind\":{}}"};
    json_int_t bytes = 0;
    json_t *said = made_of(events, SP_COUNT(events));
    assert_true(number(said, "recorded", "bytes_out") == INT64_MAX);
    assert_int_equal(opaque(said, "copy", &bytes), 2);
    assert_true(bytes == INT64_MAX);
    assert_int_equal(number(said, "recorded", "rows"), 0);
    json_decref(said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_databases), cmocka_unit_test(test_web),
                                       cmocka_unit_test(test_recorded_first),
                                       cmocka_unit_test(test_missing),
                                       cmocka_unit_test(test_hostile)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

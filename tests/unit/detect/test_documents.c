/* SPDX-License-Identifier: Apache-2.0
 * Tests of Detection and Canary documents: what is wrong is told with its place, the built-in ones
 * are there and can be replaced, the program comes back as it went.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC docs/POLICY.md.
 */
#include "tests/unit/detect/help.h"

#include "lib/proto/event.h"

#define GOOD "over: { kinds: sign-in }\n"

static void what_is_wrong_is_told(void **state)
{
    (void)state;
    help_refused("kind: Detection\nname: a\n" GOOD, 1, "exactly one of count, sum");
    help_refused("kind: Detection\nname: a\n" GOOD
                 "count: { at_least: 3, within: 5m }\nsum: { bytes: 1 KiB, within: 5m }\n",
                 5, "this one has 2");
    help_refused("kind: Detection\nname: a\ncount: { at_least: 3, within: 5m }\n", 1,
                 "needs 'over'");
    help_refused("kind: Detection\nname: a\nover: { kinds: sign-on }\n"
                 "count: { at_least: 3, within: 5m }\n",
                 3, "did you mean 'sign-in'");
    help_refused("kind: Detection\nname: a\nover: { roles: nobody }\n"
                 "count: { at_least: 3, within: 5m }\n",
                 3, "unknown role 'nobody'");
    help_refused("kind: Detection\nname: a\nover: { classes: secret }\n"
                 "count: { at_least: 3, within: 5m }\n",
                 3, "unknown class 'secret'");
    help_refused("kind: Detection\nname: a\nover: { hours: \"8-9\" }\n"
                 "count: { at_least: 3, within: 5m }\n",
                 3, "they are written");
    help_refused("kind: Detection\nname: a\nover: { outside: true }\n"
                 "count: { at_least: 3, within: 5m }\n",
                 3, "'outside' needs");
    help_refused("kind: Detection\nname: a\nover: { networks: 10.0.0.1/8 }\n"
                 "count: { at_least: 3, within: 5m }\n",
                 3, "not an address or a network");
    help_refused("kind: Detection\nname: a\n" GOOD "novel: { of: device }\n", 1,
                 "'novel' needs 'by'");
    help_refused("kind: Detection\nname: a\n" GOOD
                 "changes: { of: network, at_least: 3, within: 5m }\n",
                 1, "'changes' needs 'by'");
    help_refused("kind: Detection\nname: a\nover: { status: [\"5xx\"] }\n"
                 "count: { at_least: 3, within: 5m }\n",
                 3, "not a status");
    help_refused("kind: Detection\nname: a\nsequence: { within: 5m, steps: [{ kinds: gap }] }\n", 3,
                 "2 to 8 steps");
    help_refused("kind: Detection\nname: a\nsequence:\n  within: 5m\n  steps:\n"
                 "    - { kinds: gap, elsewhere: true }\n    - { kinds: gap }\n",
                 6, "the first step is not");
    help_refused("kind: Detection\nname: a\n" GOOD "distinct: { of: person, at_least: 65, "
                 "within: 5m }\n",
                 4, "a whole number from 2 to 64");
    help_refused("kind: Canary\nname: a\n", 1, "names rows, files or urls");
    help_refused("kind: Canary\nname: a\nurls: [{ resource: none, path: /a }]\n", 3,
                 "unknown resource 'none'");
    help_refused("{kind: Detection, name: a, over: {kinds: gap}, absent: {for: 1h}}\n---\n"
                 "{kind: Detection, name: a, over: {kinds: gap}, absent: {for: 1h}}\n",
                 3, "'a'");
}

static size_t rules_of(const char *text)
{
    told t = {0};
    help_engine(text, SP_DETECT_MEMORY_DEFAULT_BYTES, &t);
    size_t count = sp_detect_engine_program(t.engine)->rules_count;
    sp_detect_engine_free(t.engine);
    return count;
}

static void built_in_ones_can_be_replaced(void **state)
{
    (void)state;
    size_t all = rules_of(NULL);
    assert_true(all >= 15);
    assert_int_equal(rules_of("kind: Detection\nname: code-guessing\n" GOOD
                              "count: { at_least: 3, within: 5m }\n"),
                     all);
    assert_int_equal(rules_of("kind: Detection\nname: code-guessing\noff: true\n" GOOD
                              "count: { at_least: 3, within: 5m }\n"),
                     all - 1);
    assert_int_equal(
        rules_of("kind: Detection\nname: mine\n" GOOD "count: { at_least: 3, within: 5m }\n"),
        all + 1);
}

static void a_program_comes_back(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set =
        help_set("kind: Detection\nname: mine\nover: { kinds: [gap, loss], networks: 10.0.0.0/8, "
                 "hours: \"22:00-06:00 Test/Summer\", objects: [\"/a*\", b], contains: x }\n"
                 "unless: { known: true }\nby: [person, peer]\n"
                 "rate: { times: 5, at_least: 9, within: 1h }\nplan: p\n");
    sp_span bytes = sp_policy_set_detections(set);
    auto_detect_program sp_detect_program program = {0};
    auto_buf sp_buf again = sp_buf_make(SP_DETECT_PROGRAM_MAX_BYTES);
    assert_ok(sp_detect_program_read(bytes, &program));
    sp_detect_program_write(&program, &again);
    assert_true(sp_span_eq(bytes, sp_buf_borrow(&again)));
    for (size_t cut = 0; cut < bytes.len; cut++) {
        sp_detect_program broken = {0};
        assert_true(sp_failed(sp_detect_program_read(sp_span_slice(bytes, 0, cut), &broken)));
    }
}

static void globs(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *text;
        bool fits;
    } cases[] = {{"", "", true},           {"*", "", true},         {"a*", "abc", true},
                 {"*c", "abc", true},      {"a*c", "abbc", true},   {"a*c", "abcd", false},
                 {"a", "ab", false},       {"*b*", "abc", true},    {"**", "x", true},
                 {"a*b*c", "aXbYc", true}, {"a*b*c", "acb", false}, {"/hr/*", "/hr", false}};
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        assert_int_equal(
            sp_detect_glob(sp_span_cstr(cases[i].pattern), sp_span_cstr(cases[i].text)),
            cases[i].fits);
    }
}

/* The words of documents are those of events: each of them compiles. */
static void words_are_the_events(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SP_GATE_COUNT; i++) {
        auto_buf sp_buf text = sp_buf_make(400);
        auto_free char *whole = NULL;
        sp_buf_fmt(&text,
                   "{kind: Detection, name: a, over: {gates: %s, severity: %s}, "
                   "absent: {for: 1h}}",
                   sp_gate_word((sp_gate)i),
                   sp_severity_word((sp_severity)(i % SP_SEVERITY_COUNT)));
        assert_ok(sp_buf_take_cstr(&text, &whole));
        auto_policy_set sp_policy_set *set = help_set(whole);
        auto_detect_program sp_detect_program program = {0};
        assert_ok(sp_detect_program_read(sp_policy_set_detections(set), &program));
        assert_true(sp_span_eq(program.rules[0].name, SP_SPAN_LIT("a")));
        assert_int_equal(program.matches[program.rules[0].matches.at].gates, 1U << i);
        assert_int_equal(program.matches[program.rules[0].matches.at].severities,
                         1U << i % SP_SEVERITY_COUNT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_is_told), cmocka_unit_test(built_in_ones_can_be_replaced),
        cmocka_unit_test(a_program_comes_back),  cmocka_unit_test(globs),
        cmocka_unit_test(words_are_the_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

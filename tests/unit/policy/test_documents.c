/* SPDX-License-Identifier: Apache-2.0
 * Documents: what is wrong is told with its place and what was expected; hostile YAML is refused.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC docs/POLICY.md.
 */
#include "tests/unit/policy/help.h"

#include "lib/policy/schema.h"
#include "lib/proto/event.h"

static void wrong_words_are_told(void **state)
{
    (void)state;
    help_refused("kind: Rule\nname: x\nwhom: { any: true }\nto: { any: true }\nmay: read\n", 3,
                 "unknown key 'whom' in Rule; did you mean 'who'?");
    help_refused("kind: Rul\nname: x\n", 1, "did you mean 'Rule'?");
    help_refused("kind: Rule\nname: x\nwho: { any: true }\nto: { any: true }\nmay: [raed]\n", 5,
                 "did you mean 'read'?");
    help_refused("kind: Rule\nwho: { any: true }\nto: { any: true }\nmay: read\n", 1,
                 "Rule needs 'name'");
    help_refused("- a\n- b\n", 1, "a document is a mapping");
    help_refused("name: x\n", 1, "a document without 'kind:'");
    help_refused("kind: Role\nname: Big Name\n", 2, "found, but it takes a name of a-z");
    help_refused("kind: Never\nname: n\nactions: read\nunless: { approved_by: 12 }\n", 4,
                 "approved_by");
    help_refused("kind: Retention\nname: n\nkeep: 90d\n", 3, "out of range");
    help_refused("kind: Retention\nname: n\nkeep: 190d\nevents: [sign-im]\n", 4,
                 "did you mean 'sign-in'?");
}

static void unknown_names_are_told(void **state)
{
    (void)state;
    static const char HEAD[] = "kind: Role\nname: engineer\n---\nkind: Resource\nname: wiki\n"
                               "operator: company\nclass: internal\n---\n";
    static const struct {
        const char *rule;
        const char *words;
    } CASES[] = {
        {"{kind: Rule, name: r, who: {roles: enginer}, to: {any: true}, may: read}",
         "unknown role 'enginer'; did you mean 'engineer'?"},
        {"{kind: Rule, name: r, who: {any: true}, to: {resources: wikki}, may: read}",
         "unknown resource 'wikki'; did you mean 'wiki'?"},
        {"{kind: Rule, name: r, who: {any: true}, to: {classes: secret}, may: read}",
         "unknown class 'secret'; no document defines it"},
        {"{kind: Rule, name: r, who: {any: true}, to: {any: true}, may: read, when: {hours: "
         "'08:00-20:00 Mars/Base'}}",
         "unknown time zone 'Mars/Base'"},
        {"{kind: Rule, name: r, who: {any: true}, to: {any: true}, may: read, when: {hours: "
         "'8-20'}}",
         "they are written"},
        {"{kind: Rule, name: r, who: {any: true}, to: {any: true}, may: read, when: {networks: "
         "10.0.0.1/8}}",
         "bits beyond the length"},
        {"{kind: Rule, name: r, who: {any: true}, to: {any: true}, may: read, when: {networks: "
         "010.0.0.1}}",
         "not an address"},
        {"{kind: Rule, name: r, who: {any: true, roles: engineer}, to: {any: true}, may: read}",
         "who: name roles or people"},
        {"{kind: Rule, name: r, who: {any: true}, to: {any: true}, may: read, deny: write}",
         "either 'may' or 'deny'"},
        {"{kind: Rule, name: r, who: {any: true}, to: {any: true}, deny: write, ask: "
         "{approved_by: 2}}",
         "cannot ask"},
        {"{kind: Rule, name: r, who: {any: true}, to: {any: true}, deny: write, when: {mfa: totp}}",
         "does not look at the sign-in"},
        {"{kind: Role, name: engineer}", "Role 'engineer' stands twice"},
        {"{kind: Example, name: e, given: {resource: wiki}, try: DROP TABLE x, expect: deny}",
         "nor a statement for a resource with"},
        {"{kind: Resource, name: w2, operator: company, class: public, web: {host: W, upstream: "
         "'http://h'}}",
         "host: 'W' found"},
        {"{kind: Resource, name: w2, operator: company, class: public, web: {host: w, upstream: "
         "'http://h; }'}}",
         "an upstream is http:// or https://"},
        {"{kind: Resource, name: w2, operator: company, class: public, web: {host: w, upstream: "
         "'http://h', parts: [{path: /a/../b}]}}",
         "'.' or '..' segments"},
        {"{kind: Resource, name: w2, class: public}", "Resource needs 'operator'"},
    };
    for (size_t i = 0; i < SP_COUNT(CASES); i++) {
        auto_buf sp_buf text = sp_buf_make(4000);
        auto_free char *whole = NULL;
        sp_buf_text(&text, HEAD);
        sp_buf_text(&text, CASES[i].rule);
        assert_ok(sp_buf_take_cstr(&text, &whole));
        help_refused(whole, 9, CASES[i].words);
    }
}

static void cycles_are_told(void **state)
{
    (void)state;
    help_refused("{kind: Role, name: a, includes: b}\n---\n{kind: Role, name: b, includes: c}\n"
                 "---\n{kind: Role, name: c, includes: a}\n",
                 1, "includes itself");
    help_refused("{kind: Class, name: lo}\n---\n{kind: Class, name: hi, above: mid}\n---\n"
                 "{kind: Class, name: mid, above: hi}\n",
                 3, "not in the one order");
    help_refused("{kind: Class, name: lo}\n---\n{kind: Class, name: hi, above: lo}\n---\n"
                 "{kind: Class, name: mid, above: lo}\n",
                 5, "not in the one order");
    help_refused("{kind: Role, name: a, excludes: b}\n---\n{kind: Role, name: b}\n---\n"
                 "{kind: Role, name: both, includes: [a, b]}\n",
                 5, "nobody could hold role 'both'");
}

static void nevers_at_odds_are_told(void **state)
{
    (void)state;
    help_refused("{kind: Never, name: a, actions: export, unless: {owner: company}}\n---\n"
                 "{kind: Never, name: b, actions: [export, destroy]}\n",
                 1, "at odds with never 'b'");
    help_refused("{kind: Never, name: a, actions: export, unless: {owner: company}}\n---\n"
                 "{kind: Never, name: b, actions: export, unless: {owner: personal}}\n",
                 1, "at odds with never 'b'");
    help_refused("{kind: Never, name: a, actions: export, on: {owner: personal}, unless: {owner: "
                 "company}}\n",
                 1, "can never hold");
    help_refused("{kind: Never, name: a, actions: export, unless: {mfa: none}}\n", 1,
                 "always holds");
}

static void idle_rules_are_warned_of(void **state)
{
    (void)state;
    static const char WIDE[] =
        "{kind: Role, name: a}\n---\n"
        "{kind: Rule, name: wide, who: {any: true}, to: {any: true}, may: [read, write]}\n---\n";
    auto_buf sp_buf text = sp_buf_make(4000);
    auto_free char *whole = NULL;
    sp_buf_text(&text, WIDE);
    sp_buf_text(&text, "{kind: Rule, name: narrow, who: {roles: a}, to: {classes: public}, may: "
                       "read, when: {mfa: totp}}\n");
    assert_ok(sp_buf_take_cstr(&text, &whole));
    assert_true(help_warns(whole, "'narrow' adds nothing to 'wide'"));
    assert_true(help_warns("{kind: Rule, name: g, who: {any: true}, to: {any: true}, may: read}\n"
                           "---\n{kind: Rule, name: d, who: {any: true}, to: {any: true}, deny: "
                           "[read, write]}\n",
                           "'g' can never grant anything: all of it is denied by 'd'"));
    assert_true(help_warns("{kind: Resource, name: r, operator: mixed, class: public}\n---\n"
                           "{kind: Rule, name: g, who: {any: true}, to: {resources: r, classes: "
                           "core}, may: read}\n",
                           "can never match"));
    assert_true(help_warns("{kind: Rule, name: g, who: {any: true}, to: {tags: pi}, may: read}\n",
                           "no resource has the tag 'pi'"));
    assert_false(help_warns("{kind: Rule, name: g, who: {any: true}, to: {any: true}, may: read}\n"
                            "---\n{kind: Rule, name: h, who: {any: true}, to: {any: true}, may: "
                            "[read], with: {record: true}}\n",
                            "adds nothing"));
}

static void hostile_yaml_is_refused(void **state)
{
    (void)state;
    help_refused("a: &x [1]\nb: *x\n", 1, "anchors (&name) are not taken");
    help_refused("kind: Role\nname: *x\n", 2, "aliases (*name) are not taken");
    help_refused("kind: !!str Role\n", 1, "tags (!name) are not taken");
    help_refused("kind: Role\nname: a\nname: b\n", 3, "key 'name' stands twice");
    help_refused("kind: Role\n? [a]\n: b\n", 2, "a key must be a plain word");
    help_refused("kind: Role\nname: \"\xff\xfe\"\n", 2, "not UTF-8");
    help_refused("{a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: 1}}}}}}}}}}}}}}", 1,
                 "nested deeper");
    help_refused("kind: Never\nname: \"ok \xe2\x80\xae ko\"\nactions: read\n", 2, "name:");
    help_refused("kind: Never\nname: \"a\xc2\x9b\"\nactions: read\n", 2, "name:");
    help_refused("a: b: c", 1, "YAML:");
    help_refused("a: 'no end", 1, "YAML:");
    auto_buf sp_buf line = sp_buf_make((size_t)11 << 20);
    sp_buf_text(&line, "name: ");
    for (size_t i = 0; i < 10 << 20; i++) {
        sp_buf_byte(&line, 'x');
    }
    auto_free char *text = NULL;
    assert_ok(sp_buf_take_cstr(&line, &text));
    help_refused(text, 1, "a line of 10485766 bytes; at most 65536 are read");
    sp_policy_file file = {"t.yaml", SP_SPAN_LIT("kind: Role\nname: a\0b\n")};
    sp_policy_input input = {.files = &file, .files_count = 1};
    auto_diags sp_diags diags = {0};
    sp_policy_set *set = NULL;
    assert_fails(sp_policy_compile(&input, &diags, &set), SP_EINVALID);
    assert_string_equal(diags.items[0].text, "a NUL byte; documents are text in UTF-8");
    assert_int_equal(diags.items[0].line, 2);
    assert_int_equal(diags.items[0].column, 8);
}

static void put_many(sp_buf *out, const char *format_head, unsigned count, const char *tail)
{
    for (unsigned i = 0; i < count; i++) {
        sp_buf_fmt(out, "%s%u%s\n---\n", format_head, i, tail);
    }
}

static void limits_are_stated(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        unsigned count;
        const char *tail;
        const char *words;
    } CASES[] = {
        {"{kind: Role, name: r", 254, "}", "more than 256 roles, the three built-in"},
        {"{kind: Class, name: c", 17, "}", "more than 16 documents of kind Class"},
        {"{kind: Never, name: n", 1025, ", actions: export}", "more than 1024 documents"},
        {"{kind: Rule, name: n", 100001, ", who: {any: true}, to: {any: true}, may: read}",
         "more than 100000 documents of kind Rule, which is the limit"},
    };
    for (size_t i = 0; i < SP_COUNT(CASES); i++) {
        auto_buf sp_buf text = sp_buf_make((size_t)32 << 20);
        auto_free char *whole = NULL;
        put_many(&text, CASES[i].head, CASES[i].count, CASES[i].tail);
        assert_ok(sp_buf_take_cstr(&text, &whole));
        help_refused(whole, 0, CASES[i].words);
    }
}

static void a_hundred_thousand_rules_compile(void **state)
{
    (void)state;
    auto_buf sp_buf text = sp_buf_make((size_t)32 << 20);
    auto_free char *whole = NULL;
    put_many(&text, "{kind: Rule, name: n", 100000,
             ", who: {any: true}, to: {classes: internal}, may: read}");
    assert_ok(sp_buf_take_cstr(&text, &whole));
    auto_policy_set sp_policy_set *set = help_set(whole);
    assert_int_equal(sp_policy_set_figures(set).rules, 100000);
}

static void nothing_compiles_to_deny_all(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set = help_set("");
    assert_int_equal(sp_policy_set_role_count(set), 3);
    sp_policy_ask ask = {.class_name = SP_SPAN_LIT("public"), .tried = SP_SPAN_LIT("read")};
    sp_policy_told told;
    auto_diags sp_diags diags = {0};
    assert_ok(sp_policy_ask_words(set, &ask, &diags, &told));
    assert_int_equal(told.decision.verdict, SP_VERDICT_DENY);
}

static void digest_knows_no_order_and_no_layout(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *one =
        help_set("kind: Role\nname: a\n---\n# words\nkind: Role\nname: b\nincludes: a\n");
    auto_policy_set sp_policy_set *same =
        help_set("{name: b, includes: [a], kind: Role}\n---\n{kind: Role, name: a}\n");
    auto_policy_set sp_policy_set *other = help_set("{name: b, kind: Role}\n---\n{kind: Role, "
                                                    "name: a}\n");
    const uint8_t *digest = sp_policy_digest(sp_policy_set_view(one));
    assert_memory_equal(digest, sp_policy_digest(sp_policy_set_view(same)), 32);
    assert_memory_not_equal(digest, sp_policy_digest(sp_policy_set_view(other)), 32);
}

static void roles_get_numbers_and_clash(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set =
        help_set("{kind: Role, name: a, excludes: audit-admin}\n---\n{kind: Role, name: b, "
                 "includes: a}\n");
    sp_policy_role a;
    sp_policy_role b;
    assert_ok(sp_policy_set_role_find(set, SP_SPAN_LIT("a"), &a));
    assert_ok(sp_policy_set_role_find(set, SP_SPAN_LIT("b"), &b));
    assert_true(a.is_new && a.number == 4 && b.is_new && b.number == 5);
    assert_true(b.implies[0] == ((1U << 4) | (1U << 5)));
    sp_span one = SP_SPAN_EMPTY;
    sp_span other = SP_SPAN_EMPTY;
    uint64_t roles[SP_ROLE_WORDS] = {(1U << 5) | (1U << 3)};
    assert_false(sp_policy_set_roles_allowed(set, roles, &one, &other));
    roles[0] = (1U << 1) | (1U << 2);
    assert_false(sp_policy_set_roles_allowed(set, roles, &one, &other));
    roles[0] = (1U << 5) | (1U << 4) | (1U << 1);
    assert_true(sp_policy_set_roles_allowed(set, roles, &one, &other));
}

static void two_roles_never_share_a_number(void **state)
{
    (void)state;
    static const sp_policy_number WRONG[] = {{{(const uint8_t *)"a", 1}, 1}};
    static const sp_policy_number TWICE[] = {{{(const uint8_t *)"a", 1}, 7},
                                             {{(const uint8_t *)"b", 1}, 7}};
    static const sp_policy_number RIGHT[] = {{{(const uint8_t *)"b", 1}, 4},
                                             {{(const uint8_t *)"gone", 4}, 5}};
    static const struct {
        const sp_policy_number *roles;
        size_t count;
        bool good;
    } CASES[] = {{WRONG, 1, false}, {TWICE, 2, false}, {RIGHT, 2, true}};
    for (size_t i = 0; i < SP_COUNT(CASES); i++) {
        sp_policy_file file = {"t.yaml", SP_SPAN_LIT("{kind: Role, name: a}")};
        sp_policy_input input = {.files = &file,
                                 .files_count = 1,
                                 .roles = CASES[i].roles,
                                 .roles_count = CASES[i].count};
        auto_diags sp_diags diags = {0};
        auto_policy_set sp_policy_set *set = NULL;
        sp_err err = sp_policy_compile(&input, &diags, &set);
        assert_int_equal(err.code, CASES[i].good ? SP_OK : SP_EINVALID);
        sp_policy_role role;
        if (set != NULL) {
            assert_ok(sp_policy_set_role_find(set, SP_SPAN_LIT("a"), &role));
            assert_int_equal(role.number, 6);
        }
    }
}

static void retention_words_are_the_events(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < SP_EVENT_KIND_COUNT; kind++) {
        auto_buf sp_buf text = sp_buf_make(400);
        auto_free char *whole = NULL;
        sp_span word = sp_span_cstr(sp_event_kind_word((sp_event_kind)kind));
        sp_buf_fmt(&text, "{kind: Retention, name: k, keep: 400d, events: %.*s}",
                   SP_SPAN_ARG(word));
        assert_ok(sp_buf_take_cstr(&text, &whole));
        auto_policy_set sp_policy_set *set = help_set(whole);
        assert_int_equal(sp_policy_set_retention_days(set, word, 0), 400);
        assert_int_equal(sp_policy_set_retention_days(set, SP_SPAN_LIT("other"), 0),
                         SP_RETENTION_FLOOR_DAYS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_words_are_told),
        cmocka_unit_test(unknown_names_are_told),
        cmocka_unit_test(cycles_are_told),
        cmocka_unit_test(nevers_at_odds_are_told),
        cmocka_unit_test(idle_rules_are_warned_of),
        cmocka_unit_test(hostile_yaml_is_refused),
        cmocka_unit_test(limits_are_stated),
        cmocka_unit_test(a_hundred_thousand_rules_compile),
        cmocka_unit_test(nothing_compiles_to_deny_all),
        cmocka_unit_test(digest_knows_no_order_and_no_layout),
        cmocka_unit_test(roles_get_numbers_and_clash),
        cmocka_unit_test(two_roles_never_share_a_number),
        cmocka_unit_test(retention_words_are_the_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

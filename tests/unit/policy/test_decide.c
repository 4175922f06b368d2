/* SPDX-License-Identifier: Apache-2.0
 * Decisions: what would help, hours through summer time, networks, duties, web places, exports and
 * imports; and snapshots that are not whole.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC docs/POLICY.md.
 */
#include "tests/unit/policy/help.h"

#include "lib/policy/snapshot.h"
#include "lib/policy/web.h"

#include <stdio.h>

static sp_policy_told ask(const sp_policy_set *set, sp_policy_ask question)
{
    sp_policy_told told;
    auto_diags sp_diags diags = {0};
    sp_span role = SP_SPAN_LIT("a");
    if (question.roles_count == 1) {
        question.roles = &role;
    }
    if (question.resource.len == 0 && question.class_name.len == 0) {
        question.class_name = SP_SPAN_LIT("internal");
    }
    if (question.tried.len == 0) {
        question.tried = SP_SPAN_LIT("read");
    }
    assert_ok(sp_policy_ask_words(set, &question, &diags, &told));
    return told;
}

#define ASK(set, ...) ask(set, (sp_policy_ask){__VA_ARGS__})
#define WORD(text) SP_SPAN_LIT(text)

static void the_answer_says_what_helps(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set = help_set(
        "{kind: Role, name: a}\n---\n{kind: Rule, name: g, who: {roles: a}, on: {owner: company, "
        "posture: healthy}, to: {classes: internal}, may: read, when: {mfa: passkey, auth_age: "
        "10m, hours: '08:00-18:00', networks: 10.0.0.0/8}}\n");
    const sp_policy_ask whole = {.roles_count = 1,
                                 .owner = WORD("company"),
                                 .network = WORD("10.1.2.3"),
                                 .auth_age_s = 600,
                                 .now_unix_s = 1770026400 /* 10:00 UTC */};
    assert_int_equal(ask(set, whole).decision.verdict, SP_VERDICT_ALLOW);
    sp_policy_ask q = whole;
    q.strength = WORD("totp");
    assert_int_equal(ask(set, q).decision.reason, SP_REASON_STRENGTH);
    q = whole;
    q.auth_age_s = 601;
    assert_int_equal(ask(set, q).decision.reason, SP_REASON_STRENGTH);
    q.posture = WORD("unhealthy");
    assert_int_equal(ask(set, q).decision.reason, SP_REASON_DEVICE_POSTURE);
    q.owner = WORD("personal");
    assert_int_equal(ask(set, q).decision.reason, SP_REASON_DEVICE_OWNER);
    q.owner = WORD("unknown");
    assert_int_equal(ask(set, q).decision.reason, SP_REASON_DEVICE_UNKNOWN);
    q = whole;
    q.now_unix_s = 1770062400; /* 20:00 UTC */
    assert_int_equal(ask(set, q).decision.reason, SP_REASON_HOURS);
    q.network = WORD("11.0.0.1");
    assert_int_equal(ask(set, q).decision.reason, SP_REASON_NETWORK);
    q = whole;
    q.roles_count = 0;
    assert_int_equal(ask(set, q).decision.reason, SP_REASON_DEFAULT);
    q = whole;
    q.tried = WORD("write");
    assert_int_equal(ask(set, q).decision.reason, SP_REASON_DEFAULT);
}

static void nobody_is_denied(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set =
        help_set("{kind: Resource, name: r, operator: company, class: public}\n---\n"
                 "{kind: Rule, name: g, who: {any: true}, to: {any: true}, may: read}\n");
    sp_subject who = {0};
    sp_question q = {&who, 0, SP_NONE, SP_ACTION_READ, 1770000000, NULL, SP_FACE_ANY};
    const sp_policy *policy = sp_policy_set_view(set);
    assert_int_equal(sp_policy_decide(policy, &q).reason, SP_REASON_NO_SESSION);
    who.person = 5;
    assert_int_equal(sp_policy_decide(policy, &q).verdict, SP_VERDICT_ALLOW);
    q.resource = 1;
    assert_int_equal(sp_policy_decide(policy, &q).reason, SP_REASON_UNPARSED);
    q.resource = 0;
    q.part = 0;
    assert_int_equal(sp_policy_decide(policy, &q).reason, SP_REASON_UNPARSED);
    q.part = SP_NONE;
    q.action = SP_ACTION_COUNT;
    assert_int_equal(sp_policy_decide(policy, &q).reason, SP_REASON_UNPARSED);
    q.action = SP_ACTION_READ;
    who.owner = 250;
    who.posture = 250;
    who.strength = 250;
    assert_int_equal(sp_policy_decide(policy, &q).verdict, SP_VERDICT_ALLOW);
}

static sp_verdict at(const sp_policy_set *set, const char *when)
{
    sp_policy_ask q = {.roles_count = 1};
    assert_ok(sp_policy_parse_time(sp_span_cstr(when), &q.now_unix_s));
    return (sp_verdict)ask(set, q).decision.verdict;
}

static void hours_follow_summer_time(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set = help_set(
        "{kind: Role, name: a}\n---\n{kind: Rule, name: g, who: {roles: a}, to: {any: true}, may: "
        "read, when: {hours: '08:00-18:00 Test/Summer', days: [mon, tue, wed, thu, fri]}}\n");
    assert_int_equal(at(set, "2026-02-23T08:00:00Z"), SP_VERDICT_ALLOW); /* a Monday, winter */
    assert_int_equal(at(set, "2026-02-23T07:59:59Z"), SP_VERDICT_DENY);
    assert_int_equal(at(set, "2026-02-23T17:59:59Z"), SP_VERDICT_ALLOW);
    assert_int_equal(at(set, "2026-02-23T18:00:00Z"), SP_VERDICT_DENY);
    assert_int_equal(at(set, "2026-07-20T07:00:00Z"), SP_VERDICT_ALLOW); /* a Monday, summer */
    assert_int_equal(at(set, "2026-07-20T17:00:00Z"), SP_VERDICT_DENY);
    assert_int_equal(at(set, "2026-07-19T10:00:00Z"), SP_VERDICT_DENY);  /* a Sunday */
    assert_int_equal(at(set, "2026-10-26T17:30:00Z"), SP_VERDICT_ALLOW); /* winter again */
}

static void a_night_belongs_to_the_day_it_begins(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set = help_set(
        "{kind: Role, name: a}\n---\n{kind: Rule, name: g, who: {roles: a}, to: {any: true}, may: "
        "read, when: {hours: '22:00-06:00', days: fri}}\n");
    assert_int_equal(at(set, "2026-02-27T22:00:00Z"), SP_VERDICT_ALLOW); /* Friday */
    assert_int_equal(at(set, "2026-02-28T05:59:00Z"), SP_VERDICT_ALLOW);
    assert_int_equal(at(set, "2026-02-28T06:00:00Z"), SP_VERDICT_DENY);
    assert_int_equal(at(set, "2026-02-28T22:30:00Z"), SP_VERDICT_DENY); /* Saturday */
    assert_int_equal(at(set, "2026-02-27T05:00:00Z"), SP_VERDICT_DENY);
}

static void networks_match_by_prefix(void **state)
{
    (void)state;
    static const struct {
        const char *network;
        const char *peer;
        bool in;
    } CASES[] = {{"203.0.113.0/25", "203.0.113.127", true},
                 {"203.0.113.0/25", "203.0.113.128", false},
                 {"203.0.113.7", "203.0.113.7", true},
                 {"0.0.0.0/0", "9.9.9.9", true},
                 {"0.0.0.0/0", "2001:db8::1", false},
                 {"2001:db8::/33", "2001:db8:7fff::1", true},
                 {"2001:db8::/33", "2001:db8:8000::1", false},
                 {"::ffff:10.0.0.0/104", "10.1.1.1", true},
                 {"::1", "::1", true}};
    for (size_t i = 0; i < SP_COUNT(CASES); i++) {
        auto_buf sp_buf text = sp_buf_make(500);
        auto_free char *whole = NULL;
        sp_buf_fmt(&text,
                   "{kind: Rule, name: g, who: {any: true}, to: {any: true}, may: read, when: "
                   "{networks: ['%s']}}",
                   CASES[i].network);
        assert_ok(sp_buf_take_cstr(&text, &whole));
        auto_policy_set sp_policy_set *set = help_set(whole);
        sp_policy_told told = ASK(set, .network = sp_span_cstr(CASES[i].peer));
        assert_int_equal(told.decision.verdict, CASES[i].in ? SP_VERDICT_ALLOW : SP_VERDICT_DENY);
    }
}

static void duties_add_up(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set = help_set(
        "{kind: Class, name: internal, record: true}\n---\n"
        "{kind: Rule, name: g, who: {any: true}, to: {any: true}, may: read, with: {mask: pi, "
        "limit: {rows: 100, bytes: 1 MiB}}}\n---\n"
        "{kind: Rule, name: h, who: {any: true}, to: {any: true}, may: read, with: {mask: money, "
        "watch: true, limit: {rows: 10}}}\n");
    sp_decision d = ASK(set, .tried = WORD("read")).decision;
    assert_int_equal(d.must, SP_MUST_RECORD | SP_MUST_MASK | SP_MUST_WATCH | SP_MUST_LIMIT);
    assert_int_equal(d.mask_tags, 3);
    assert_int_equal(d.limit_rows, 10);
    assert_int_equal(d.limit_bytes, 1 << 20);
    assert_span_text(sp_policy_rule_name(sp_policy_set_view(set), d.rule), "g");
}

#define PHONES                                                                                     \
    "{kind: Role, name: a}\n---\n"                                                                 \
    "{kind: Resource, name: crm, operator: company, class: core, tags: [pi], web: {host: crm, "    \
    "upstream: 'http://127.0.0.1:1', parts: [{path: /open, class: internal}]}}\n---\n"             \
    "{kind: Resource, name: wiki, operator: company, class: core, web: {host: wiki, upstream: "    \
    "'http://127.0.0.1:1'}}\n---\n"

/* What only a database's gate can mask or count is refused at an application. */
static void a_duty_that_the_gate_cannot_do_refuses(void **state)
{
    (void)state;
    static const char BY_CLASS[] =
        PHONES "{kind: Rule, name: g, who: {roles: a}, to: {classes: core}, may: [read, export], "
               "with: {mask: pi, limit: {bytes: 1000}}}\n";
    auto_policy_set sp_policy_set *set = help_set(BY_CLASS);
    auto_buf sp_buf text = sp_buf_make(1024);
    sp_span role = WORD("a");
    const sp_policy_ask q = {.roles = &role,
                             .roles_count = 1,
                             .resource = WORD("crm"),
                             .tried = WORD("GET /"),
                             .owner = WORD("company")};
    sp_policy_told told = ask(set, q);
    assert_int_equal(told.decision.verdict, SP_VERDICT_DENY);
    assert_int_equal(told.decision.reason, SP_REASON_DUTY);
    sp_policy_explain_text(set, &q, &told, &text);
    sp_span said = sp_buf_borrow(&text);
    assert_true(sp_span_find(said, SP_SPAN_LIT("gives it only masked or counted")) < said.len);
    assert_int_equal(ASK(set, .roles_count = 1, .resource = WORD("wiki")).decision.verdict,
                     SP_VERDICT_ALLOW); /* nothing there has the tag */
    assert_int_equal(ASK(set, .roles_count = 1, .class_name = WORD("core")).decision.verdict,
                     SP_VERDICT_ALLOW); /* of no resource in particular */
    assert_true(help_warns(BY_CLASS, "with.mask: the gate of the application 'crm' cannot do"));
    assert_false(help_warns(BY_CLASS, "the application 'wiki'"));
    help_refused(PHONES "{kind: Rule, name: g, who: {roles: a}, to: {resources: crm}, may: read, "
                        "with: {mask: pi}}\n",
                 0, "with.mask: the gate of the application 'crm' cannot do this");
    help_refused(PHONES "{kind: Rule, name: g, who: {roles: a}, to: {resources: wiki}, may: read, "
                        "with: {limit: {bytes: 1000, per: day}}}\n",
                 0, "with.limit.per: the gate of the application 'wiki' cannot do this");
    help_refused(PHONES "{kind: Rule, name: g, who: {roles: a}, to: {resources: wiki}, may: read, "
                        "with: {limit: {rows: 10}}}\n",
                 0, "with.limit.rows: the gate of the application 'wiki' cannot do this");
    assert_true(help_warns(PHONES
                           "{kind: Rule, name: g, who: {roles: a}, to: {resources: wiki}, may: "
                           "read, ask: {approved_by: 1}}\n",
                           "ask: nobody can be asked at the application 'wiki'"));
}

/* Paths that the gate takes for one: whichever came first would decide for both. */
static void paths_that_differ_in_case_alone_are_one(void **state)
{
    (void)state;
#define APP(more)                                                                                  \
    "{kind: Resource, name: w, operator: company, class: internal, web: {host: w, upstream: "      \
    "'http://127.0.0.1:1'" more "}}\n"
    help_refused(APP(", ignore_case: true, parts: [{path: /Admin, class: public}, {path: /B}, "
                     "{path: /admin, class: core}]"),
                 0, "two parts with the path '/admin'");
    help_refused(APP(", ignore_case: true, actions: [{path: /Go, action: read}, {path: /go, "
                     "action: destroy}]"),
                 0, "with 'ignore_case' is one path");
    auto_policy_set sp_policy_set *set =
        help_set(APP(", parts: [{path: /Admin, class: public}, {path: /admin, class: core}]"));
    assert_non_null(set);
#undef APP
}

/* The smaller limit a day is what holds: the rule that has it adds something. */
static void a_smaller_limit_a_day_adds_something(void **state)
{
    (void)state;
    static const char TWO[] =
        "{kind: Rule, name: b, who: {any: true}, to: {any: true}, may: read, with: {limit: {rows: "
        "100000, per: day}}}\n---\n"
        "{kind: Rule, name: a, who: {any: true}, to: {any: true}, may: read, with: {limit: {rows: "
        "%s, per: day}}}\n";
    char text[512];
    snprintf(text, sizeof(text), TWO, "100");
    assert_false(help_warns(text, "adds nothing"));
    snprintf(text, sizeof(text), TWO, "100000");
    assert_true(help_warns(text, "adds nothing"));
}

static void an_approval_meets_the_never(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set =
        help_set("{kind: Rule, name: g, who: {any: true}, to: {any: true}, may: read, ask: "
                 "{approved_by: 2}}\n---\n{kind: Never, name: n, actions: read, unless: "
                 "{approved_by: 2}}\n");
    assert_int_equal(ASK(set, .approvals = 1).decision.verdict, SP_VERDICT_ASK);
    assert_int_equal(ASK(set, .approvals = 1).decision.approvals, 2);
    assert_int_equal(ASK(set, .approvals = 2).decision.verdict, SP_VERDICT_ALLOW);
}

static const char WEB[] =
    "kind: Resource\nname: app\noperator: company\nclass: internal\nweb:\n  host: app\n"
    "  upstream: https://[2001:db8::1]:8443\n  identity: jwt\n  actions:\n"
    "    - { method: POST, path: /a/*/run, action: execute }\n"
    "    - { path: /a/x/run, action: administer }\n"
    "  parts:\n    - { path: /a, class: public }\n    - { path: /a/*/c, class: core }\n"
    "    - { path: /a/b/c, class: sensitive, actions: [{ method: GET, action: export }] }\n"
    "    - { path: /big, export: { over: 1 GiB, types: [] , attachment: false } }\n"
    "    - { path: /open, export: { by_size: false, types: [image/*] } }\n---\n"
    "{kind: Resource, name: low, operator: company, class: public, web: {host: low, upstream: "
    "'http://h', ignore_case: true, parts: [{path: /Admin, class: core}]}}\n";

static sp_web_place place(const sp_policy *policy, const char *method, const char *path)
{
    return sp_policy_web_place(policy, 0, sp_span_cstr(method), sp_span_cstr(path));
}

static const char *class_at(const sp_policy *policy, const char *path)
{
    policy_object object;
    static char name[64];
    assert_true(policy_object_of(policy, 0, place(policy, "GET", path).part, &object));
    assert_ok(sp_fit(name, sizeof(name), sp_policy_class_name(policy, object.class_level)));
    return name;
}

static void requests_find_their_place(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set = help_set(WEB);
    const sp_policy *policy = sp_policy_set_view(set);
    assert_string_equal(class_at(policy, "/"), "internal");
    assert_string_equal(class_at(policy, "/a"), "public");
    assert_string_equal(class_at(policy, "/a/"), "public");
    assert_string_equal(class_at(policy, "/ab"), "internal");
    assert_string_equal(class_at(policy, "/a/z/c/d"), "core");
    assert_string_equal(class_at(policy, "/a/z/cc"), "public");
    assert_string_equal(class_at(policy, "/a/b/c"), "sensitive");
    assert_string_equal(class_at(policy, "//a//b//c"), "sensitive");
    assert_string_equal(class_at(policy, "/A/b/c"), "internal");
    assert_int_equal(place(policy, "GET", "/a/b/c").action, SP_ACTION_EXPORT);
    assert_int_equal(place(policy, "POST", "/a/b/c").action, SP_ACTION_WRITE);
    assert_int_equal(place(policy, "POST", "/a/q/run/1").action, SP_ACTION_EXECUTE);
    assert_int_equal(place(policy, "POST", "/a/x/run").action, SP_ACTION_ADMINISTER);
    assert_int_equal(place(policy, "GET", "/a/q/run").action, SP_ACTION_READ);
    assert_int_equal(place(policy, "DELETE", "/").action, SP_ACTION_DESTROY);
    assert_int_equal(place(policy, "get", "/").action, SP_ACTION_ADMINISTER);
    assert_int_equal(place(policy, "TRACE", "/").action, SP_ACTION_ADMINISTER);
    uint32_t low = sp_policy_web_find_host(policy, WORD("low"));
    assert_int_equal(low, 1);
    assert_true(sp_policy_web_place(policy, low, WORD("GET"), WORD("/aDMIN/x")).part != SP_NONE);
    assert_int_equal(sp_policy_web_find_host(policy, WORD("other")), SP_NONE);
    assert_int_equal(sp_policy_resource_find(policy, WORD("app")), 0);
    sp_web_resource web;
    assert_true(sp_policy_web_resource(policy, 0, &web) && web.identity_jwt && !web.websocket);
    assert_span_text(web.upstream, "https://[2001:db8::1]:8443");
    assert_false(sp_policy_web_resource(policy, 2, &web));
}

static bool exports(const sp_policy *policy, const char *path, const char *type,
                    const char *disposition, uint64_t size)
{
    return sp_policy_web_is_export(policy, 0, place(policy, "GET", path).part, sp_span_cstr(type),
                                   sp_span_cstr(disposition), size);
}

static void answers_are_exports_by_kind_and_size(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set = help_set(WEB);
    const sp_policy *policy = sp_policy_set_view(set);
    assert_false(exports(policy, "/", "text/html; charset=utf-8", "", 1000));
    assert_true(exports(policy, "/", "text/html", "attachment; filename=a", 10));
    assert_true(exports(policy, "/", "text/html", "ATTACHMENT", 10));
    assert_true(exports(policy, "/", "text/html", "form-data", 10));
    assert_false(exports(policy, "/", "text/html", " inline ; filename=x", 10));
    assert_true(exports(policy, "/", "Application/ZIP", "", 10));
    assert_true(exports(policy, "/", "application/vnd.ms-excel.sheet", "", 10));
    assert_true(exports(policy, "/", "text/html", "", (8 << 20) + 1));
    assert_false(exports(policy, "/", "text/html", "", UINT64_MAX));
    assert_false(exports(policy, "/big", "application/zip", "attachment", 1 << 30));
    assert_true(exports(policy, "/big", "text/html", "", (1ULL << 30) + 1));
    assert_true(exports(policy, "/open", "image/png", "", 1));
    assert_false(exports(policy, "/open", "text/csv", "", 1ULL << 40));
    uint32_t open = place(policy, "GET", "/open").part;
    assert_int_equal(sp_policy_web_export_over_bytes(policy, 0, open), 0);
    assert_int_equal(sp_policy_web_export_over_bytes(policy, 0, SP_NONE), 8 << 20);
}

static bool imports(const sp_policy *policy, const char *method, const char *type, uint64_t size)
{
    return sp_policy_web_is_import(policy, 0, SP_NONE, sp_span_cstr(method), sp_span_cstr(type),
                                   size);
}

static void requests_are_imports_by_kind_and_size(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set = help_set(WEB);
    const sp_policy *policy = sp_policy_set_view(set);
    assert_true(imports(policy, "POST", "multipart/form-data; boundary=x", 100));
    assert_false(imports(policy, "POST", "application/x-www-form-urlencoded", 100));
    assert_false(imports(policy, "POST", "application/json", 100));
    assert_false(imports(policy, "PUT", "application/merge-patch+json", 100));
    assert_true(imports(policy, "PUT", "", 100));
    assert_true(imports(policy, "POST", "application/json", 9 << 20));
    assert_true(imports(policy, "POST", "application/json", UINT64_MAX));
    assert_true(imports(policy, "POST", "application/zip", 1));
    assert_false(imports(policy, "POST", "multipart/form-data", 0));
}

static void a_changed_snapshot_does_not_open(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set = help_set(WEB);
    sp_span whole = sp_policy_set_snapshot(set);
    sp_policy policy;
    auto_free uint8_t *copy = NULL;
    assert_ok(sp_alloc(whole.len, 1, &copy));
    sp_copy(copy, whole.ptr, whole.len);
    assert_ok(sp_policy_open(sp_span_of(copy, whole.len), &policy));
    assert_int_equal(sp_policy_version(&policy), 9);
    for (size_t i = 0; i < whole.len; i++) {
        copy[i] ^= 0x10;
        assert_fails(sp_policy_open(sp_span_of(copy, whole.len), &policy), SP_ECORRUPT);
        copy[i] ^= 0x10;
    }
    for (size_t len = 0; len < whole.len; len += 7) {
        assert_fails(sp_policy_open(sp_span_of(copy, len), &policy), SP_ECORRUPT);
    }
    assert_fails(sp_policy_open(sp_span_of(copy + 1, whole.len - 1), &policy), SP_ECORRUPT);
}

static void the_sentence_names_who_what_why_and_help(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set =
        help_set("{kind: Role, name: a}\n---\n{kind: Rule, name: at work, who: {roles: a}, on: "
                 "{owner: company}, to: {classes: internal}, may: read}\n");
    sp_span role = SP_SPAN_LIT("a");
    sp_policy_ask q = {.person = WORD("he"),
                       .roles = &role,
                       .roles_count = 1,
                       .owner = WORD("personal"),
                       .class_name = WORD("internal"),
                       .tried = WORD("read")};
    sp_policy_told told;
    auto_diags sp_diags diags = {0};
    auto_buf sp_buf text = sp_buf_make(4000);
    assert_ok(sp_policy_ask_words(set, &q, &diags, &told));
    sp_policy_explain_text(set, &q, &told, &text);
    assert_span_text(sp_buf_borrow(&text),
                     "he (a) may not read internal data from a personal device in good state, "
                     "signed in with a passkey: rule 'at work' (t.yaml:3) comes nearest but does "
                     "not apply (device-owner). What helps: use a company device.");
}

static void diff_lists_what_changes(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *before =
        help_set("{kind: Role, name: a}\n---\n{kind: Rule, name: g, who: {roles: a}, on: {owner: "
                 "company}, to: {classes: core}, may: read}\n");
    auto_policy_set sp_policy_set *after =
        help_set("{kind: Role, name: a}\n---\n{kind: Rule, name: g, who: {roles: a}, on: {owner: "
                 "[company, personal], posture: healthy}, to: {classes: core}, may: read}\n");
    auto_buf sp_buf text = sp_buf_make(1 << 16);
    assert_ok(sp_policy_diff_text(before, after, 10, &text));
    assert_span_text(sp_buf_borrow(&text),
                     "changed  Rule      g\n"
                     "deny  -> allow  a: read core from personal/healthy with passkey  ('g')\n"
                     "allow -> deny   a: read core from company/unknown with passkey\n"
                     "allow -> deny   a: read core from company/unhealthy with passkey\n"
                     "3 cells change\n");
    sp_buf_reset(&text);
    assert_ok(sp_policy_diff_text(after, after, 10, &text));
    assert_span_text(sp_buf_borrow(&text), "0 cells change\n");
}

/* That data is no longer masked, and that one person may what nobody may, are changes. */
static void diff_lists_duties_and_named_people(void **state)
{
    (void)state;
#define READS(with)                                                                                \
    "{kind: Rule, name: g, who: {any: true}, on: {owner: company, posture: healthy}, to: "         \
    "{classes: core}, may: read, when: {mfa: passkey}" with "}\n"
    auto_policy_set sp_policy_set *masked =
        help_set(READS(", with: {mask: [pi], record: true, limit: {rows: 10, per: day}}"));
    auto_policy_set sp_policy_set *clear = help_set(READS(""));
    auto_policy_set sp_policy_set *named = help_set(
        READS("") "---\n{kind: Rule, name: one, who: {people: eve}, on: {owner: personal, posture: "
                  "healthy}, to: {classes: core}, may: read, when: {mfa: passkey}}\n");
    auto_buf sp_buf text = sp_buf_make(1 << 16);
    assert_ok(sp_policy_diff_text(masked, clear, 10, &text));
    sp_span said = sp_buf_borrow(&text);
    assert_true(sp_span_find(said, SP_SPAN_LIT("allow -> allow  (no role): read core from "
                                               "company/healthy with passkey  ('g')  duties: "
                                               "record, mask pi, at most 10 rows a day -> none")) <
                said.len);
    assert_true(sp_span_find(said, SP_SPAN_LIT("0 cells change")) == said.len);
    sp_buf_reset(&text);
    assert_ok(sp_policy_diff_text(clear, named, 10, &text));
    assert_span_text(sp_buf_borrow(&text),
                     "added    Rule      one\n"
                     "deny  -> allow  person eve: read core from personal/healthy with passkey  "
                     "('one')\n"
                     "1 cells change\n");
    sp_buf_reset(&text);
    assert_ok(sp_policy_diff_json(clear, named, 10, &text));
    said = sp_buf_borrow(&text);
    assert_true(sp_span_find(said, SP_SPAN_LIT("{\"role\":\"\",\"person\":\"eve\"")) < said.len);
#undef READS
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answer_says_what_helps),
        cmocka_unit_test(nobody_is_denied),
        cmocka_unit_test(hours_follow_summer_time),
        cmocka_unit_test(a_night_belongs_to_the_day_it_begins),
        cmocka_unit_test(networks_match_by_prefix),
        cmocka_unit_test(duties_add_up),
        cmocka_unit_test(a_duty_that_the_gate_cannot_do_refuses),
        cmocka_unit_test(paths_that_differ_in_case_alone_are_one),
        cmocka_unit_test(a_smaller_limit_a_day_adds_something),
        cmocka_unit_test(an_approval_meets_the_never),
        cmocka_unit_test(requests_find_their_place),
        cmocka_unit_test(answers_are_exports_by_kind_and_size),
        cmocka_unit_test(requests_are_imports_by_kind_and_size),
        cmocka_unit_test(a_changed_snapshot_does_not_open),
        cmocka_unit_test(the_sentence_names_who_what_why_and_help),
        cmocka_unit_test(diff_lists_what_changes),
        cmocka_unit_test(diff_lists_duties_and_named_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

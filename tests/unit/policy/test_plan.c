/* SPDX-License-Identifier: Apache-2.0
 * Tests of plans and rotas: what is refused, with its place, and how a plan is read.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/policy/plan.h.
 */
#include "lib/policy/plan.h"
#include "tests/unit/policy/help.h"

#define HEAD "kind: Plan\nname: p\nmode: confirm\nsteps:\n"

static void what_cannot_be_is_refused_where_it_stands(void **state)
{
    (void)state;
    /* a circle */
    help_refused(HEAD "  - { name: a, do: collect_evidence, after: [b] }\n"
                      "  - { name: b, do: collect_evidence, after: [a] }\n",
                 5, "can never begin");
    help_refused(HEAD "  - { name: a, do: collect_evidence, after: [a] }\n", 5, "follow itself");
    /* behind a circle */
    help_refused(HEAD "  - { name: a, do: collect_evidence }\n"
                      "  - { name: b, do: collect_evidence, after: [c] }\n"
                      "  - { name: c, do: collect_evidence }\n",
                 7, "in a circle");
    /* dead */
    help_refused(HEAD
                 "  - { name: a, do: wait, with: { for: 2h }, timeout: 1h, on_failure: stop }\n"
                 "  - { name: b, do: collect_evidence }\n",
                 6, "waits longer than its timeout");
    /* names */
    help_refused(HEAD "  - { name: a, do: collect_evidence, after: [zz] }\n", 5,
                 "no step of this plan");
    help_refused(HEAD "  - { name: a, do: collect_evidence }\n"
                      "  - { name: a, do: collect_evidence }\n",
                 6, "of this name already");
    help_refused(HEAD "  - { name: a, do: deny, with: { kind: class, name: cor } }\n", 5,
                 "did you mean 'core'");
    help_refused(HEAD "  - { name: a, do: deny, with: { kind: role } }\n", 5, "no alarm names");
    help_refused(HEAD "  - { name: a, do: cut, with: { kind: everything, name: x } }\n", 5,
                 "leave it out");
    help_refused(HEAD "  - { name: a, do: cut }\n", 5, "needs with: { kind");
    help_refused(HEAD "  - { name: a, do: dance }\n", 5, "'dance' found");
    /* what leaves the gate */
    help_refused(HEAD "  - { name: a, do: run }\n", 5, "needs with: { command");
    help_refused(HEAD "  - { name: a, do: run, with: { command: c, arguments: ['{who:word}'] } }\n",
                 5, "known are person");
    help_refused(HEAD
                 "  - { name: a, do: run, with: { command: c, arguments: ['{person:text}'] } }\n",
                 5, "{person:text}");
    help_refused(HEAD "  - { name: a, do: run, with: { command: c }, timeout: 2h }\n", 5,
                 "at most 60 minutes");
    help_refused(HEAD "  - { name: a, do: webhook, with: { channel: zz } }\n", 5, "no Channel");
    help_refused("{kind: Channel, name: c, via: slack}\n---\n" HEAD
                 "  - { name: a, do: webhook, with: { channel: c } }\n",
                 7, "via: webhook");
    help_refused(HEAD "  - { name: a, do: collect_evidence, confirm_by: [nobody] }\n", 5,
                 "unknown role");
    help_refused(HEAD "  - { name: a, do: notify, with: { notice: zz } }\n", 5, "no Notice");
    help_refused("kind: Plan\nname: p\nmode: automatic\ntrigger: { detections: [zz] }\nsteps:\n"
                 "  - { name: a, do: open_incident }\n",
                 4, "no detection or canary");
    help_refused("kind: Plan\nname: p\nmode: manual\ntrigger: { severity: high }\nsteps:\n"
                 "  - { name: a, do: open_incident }\n",
                 4, "manual plan");
}

static void a_plan_is_read_as_it_was_written(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set = help_set(
        "kind: Plan\nname: p\ntitle: { en: A plan, zh: 预案 }\nmode: automatic\n"
        "trigger: { severity: high }\nguard: { at_most: 3, within: 2h, except: [security-admin] }\n"
        "steps:\n"
        "  - { name: first, do: lock_person }\n"
        "  - { name: second, do: require_step_up, with: { kind: class, name: core, for: 30m } }\n"
        "  - { name: third, do: wait, with: { for: 10m }, after: [] }\n"
        "  - { name: last, do: task, with: { text: look, role: scribe }, after: [second, third],\n"
        "      timeout: 2h, on_failure: undo, confirm_by: [audit-admin] }\n");
    sp_policy_plan plan;
    sp_policy_step step;
    assert_true(sp_policy_set_plan_count(set) > 10); /* those that come with the program, too */
    assert_ok(sp_policy_set_plan(set, 0, &plan));
    assert_true(sp_span_eq(plan.title_zh, SP_SPAN_LIT("预案")));
    assert_int_equal(plan.mode, SP_PLAN_AUTOMATIC);
    assert_true(plan.at_most == 3 && plan.within_s == 7200 && plan.steps == 4);
    assert_true((plan.not_by_itself[0] >> 2 & 1) != 0);
    assert_int_equal(sp_policy_set_plan(set, 999, &plan).code, SP_ENOTFOUND);

    assert_ok(sp_policy_set_plan_step(set, 0, 0, &step));
    assert_true(step.kind == SP_CUT_PERSON && step.after == 0 && step.timeout_s == 3600);
    assert_int_equal(step.on_failure, SP_STEP_GO_ON);
    assert_ok(sp_policy_set_plan_step(set, 0, 1, &step));
    assert_true(step.kind == SP_CUT_CLASS && step.effect == SP_CUT_STEP_UP && step.for_s == 1800);
    assert_int_equal(step.after, 1);
    assert_ok(sp_policy_set_plan_step(set, 0, 2, &step));
    assert_true(step.after == 0 && step.timeout_s == 600 + 3600);
    assert_ok(sp_policy_set_plan_step(set, 0, 3, &step));
    assert_int_equal(step.after, 6);
    assert_true(step.needs_confirm && (step.confirm_by[0] >> 3 & 1) != 0);
    assert_true(step.role == SP_ROTA_SCRIBE && step.timeout_s == 7200);
    assert_int_equal(step.on_failure, SP_STEP_UNDO);

    assert_true(sp_policy_set_plan_fits(set, 0, SP_SPAN_LIT("anything"), 3));
    assert_true(sp_policy_set_plan_fits(set, 0, SP_SPAN_LIT("anything"), 4));
    assert_false(sp_policy_set_plan_fits(set, 0, SP_SPAN_LIT("anything"), 2));
}

static void words_of_a_command_hold_what_they_say(void **state)
{
    (void)state;
    const sp_span values[SP_STEP_VALUE_COUNT] = {[SP_STEP_PERSON] = SP_SPAN_LIT("ann"),
                                                 [SP_STEP_RESOURCE] = SP_SPAN_LIT("--all"),
                                                 [SP_STEP_CLASS] = SP_SPAN_LIT("a b"),
                                                 [SP_STEP_INCIDENT] = SP_SPAN_LIT("12")};
    const struct {
        sp_span template;
        const char *word; /* NULL: refused */
    } rows[] = {
        {SP_SPAN_LIT("block"), "block"},        {SP_SPAN_LIT("--user={person:word}"), "--user=ann"},
        {SP_SPAN_LIT("{incident:int}"), "12"},  {SP_SPAN_LIT("{person:int}"), NULL},
        {SP_SPAN_LIT("{resource:word}"), NULL}, {SP_SPAN_LIT("{class:word}"), NULL},
        {SP_SPAN_LIT("{device:int}"), NULL},    {SP_SPAN_LIT("{nobody:int}"), NULL}};
    for (size_t i = 0; i < SP_COUNT(rows); i++) {
        auto_buf sp_buf out = sp_buf_make(64);
        auto_buf sp_buf why = sp_buf_make(200);
        sp_err err = sp_step_word(rows[i].template, values, &out, &why);
        assert_int_equal(sp_failed(err), rows[i].word == NULL);
        assert_true(rows[i].word == NULL
                        ? why.len > 0
                        : sp_span_eq(sp_buf_borrow(&out), sp_span_cstr(rows[i].word)));
    }
}

static void what_goes_out_is_taken_back_by_what_goes_out(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set =
        help_set("kind: Plan\nname: p\nmode: manual\nsteps:\n"
                 "  - { name: a, do: run, with: { command: c, arguments: [x], undo: [y, "
                 "'{person:word}'] } }\n"
                 "  - { name: b, do: run, with: { command: c } }\n");
    sp_policy_step step;
    assert_ok(sp_policy_set_plan_step(set, 0, 0, &step));
    assert_true(step.words_count == 1 && step.undo_count == 2);
    assert_true(sp_span_eq(step.undo[1], SP_SPAN_LIT("{person:word}")));
    assert_ok(sp_policy_set_plan_step(set, 0, 1, &step));
    assert_int_equal(step.undo_count, 0);
    help_refused("kind: Plan\nname: p\nmode: manual\nsteps:\n"
                 "  - { name: a, do: notify, with: { notice: outage, undo: over } }\n",
                 5, "what people were told cannot be");
    help_refused("kind: Plan\nname: p\nmode: manual\nsteps:\n"
                 "  - { name: a, do: run, with: { command: c, undo: ['{nobody:word}'] } }\n",
                 5, "known are person");
    help_refused("kind: Channel\nname: hook\nvia: webhook\naddress: 'http://127.0.0.1:1'\n---\n"
                 "kind: Plan\nname: p\nmode: manual\nsteps:\n"
                 "  - { name: a, do: webhook, with: { channel: hook, undo: [x, y] } }\n",
                 10, "posted to once");
    help_refused("kind: Channel\nname: hook\nvia: webhook\naddress: 'http://127.0.0.1:1'\n---\n"
                 "kind: Plan\nname: p\nmode: manual\nsteps:\n"
                 "  - { name: a, do: webhook, with: { channel: hook, undo: \"x\\ny\" } }\n",
                 10, "one line");
}

static void detections_set_off_what_names_them(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set =
        help_set("{kind: Canary, name: bait, urls: [{resource: r, path: /x}]}\n---\n"
                 "{kind: Resource, name: r, operator: company, class: public, web: {host: r, "
                 "upstream: 'http://127.0.0.1:1'}}\n---\n"
                 "kind: Plan\nname: p\nmode: automatic\ntrigger: { detections: [bait] }\nsteps:\n"
                 "  - { name: a, do: open_incident }\n");
    assert_true(sp_policy_set_plan_fits(set, 0, SP_SPAN_LIT("bait"), 0));
    assert_false(sp_policy_set_plan_fits(set, 0, SP_SPAN_LIT("other"), 4));
    size_t at = 9;
    assert_ok(sp_policy_set_plan_find(set, SP_SPAN_LIT("p"), &at));
    assert_int_equal(at, 0);
    assert_int_equal(sp_policy_set_plan_find(set, SP_SPAN_LIT("q"), &at).code, SP_ENOTFOUND);
}

static void each_emergency_has_a_plan(void **state)
{
    (void)state;
    static const char *const names[] = {"data-leak",
                                        "database-destruction",
                                        "stolen-credentials",
                                        "phished-employee",
                                        "lost-device",
                                        "malware-on-a-device",
                                        "surge",
                                        "ledger-failure",
                                        "insider-leaving",
                                        "resource-outage"};
    auto_policy_set sp_policy_set *set = help_set("{kind: Class, name: only}\n");
    for (size_t i = 0; i < SP_COUNT(names); i++) {
        size_t at = 0;
        assert_ok(sp_policy_set_plan_find(set, sp_span_cstr(names[i]), &at));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_is_refused_where_it_stands),
        cmocka_unit_test(a_plan_is_read_as_it_was_written),
        cmocka_unit_test(words_of_a_command_hold_what_they_say),
        cmocka_unit_test(what_goes_out_is_taken_back_by_what_goes_out),
        cmocka_unit_test(detections_set_off_what_names_them),
        cmocka_unit_test(each_emergency_has_a_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

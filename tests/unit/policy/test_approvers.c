/* SPDX-License-Identifier: Apache-2.0
 * Who may agree: named, by default, and what documents may not say.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/policy/approvers.h.
 */
#include "tests/unit/policy/help.h"

#include "lib/policy/approvers.h"

static const char OFFICE[] =
    "kind: Role\nname: staff\n---\n"
    "kind: Role\nname: dba\nincludes: [staff]\n"
    "request: { who: { roles: [staff] }, ask: { approved_by: 1 }, ticket: true }\n---\n"
    "kind: Role\nname: lead\nincludes: [dba]\n---\n"
    "kind: Role\nname: emergency\n"
    "request: { who: { roles: [dba] }, sealed: true, longest: 30m,\n"
    "  ask: { approved_by: 2, by: { roles: [security-admin] }, expires: 10m } }\n---\n"
    "kind: Rule\nname: destroy with others\nwho: { roles: [dba] }\non: { owner: company }\n"
    "to: { classes: [core] }\nmay: [destroy]\nask: { approved_by: 2 }\nwhen: { mfa: passkey "
    "}\n---\n"
    "kind: Rule\nname: alter with security\nwho: { any: true }\nto: { classes: [core] }\n"
    "may: [alter]\nask: { approved_by: 1, by: { people: [sam], roles: [security-admin] },\n"
    "  on: { posture: healthy }, expires: 1h }\n---\n"
    "kind: Rule\nname: anybody asks\nwho: { any: true }\nto: { classes: [sensitive] }\n"
    "may: [alter]\nask: { approved_by: 1 }\n---\n"
    "kind: Rule\nname: in an emergency\nwho: { roles: [emergency] }\nto: { any: true }\n"
    "may: [read]\n---\n"
    "kind: Recertification\nname: each quarter\nroles: [dba]\nby: { roles: [security-admin] }\n"
    "every: 90d\n---\n"
    "kind: Recertification\nname: each month\nroles: [dba, lead]\nby: { people: [sam] }\n"
    "every: 30d\nwarn: 5d\n";

static uint32_t number(const sp_policy_set *set, const char *name)
{
    sp_policy_role role;
    assert_ok(sp_policy_set_role_find(set, sp_span_cstr(name), &role));
    return role.number;
}

static bool admits(const sp_policy_set *set, const sp_policy_people *people, const char *role)
{
    uint64_t roles[SP_ROLE_WORDS] = {0};
    uint32_t bit = number(set, role);
    roles[bit / 64] |= UINT64_C(1) << (bit % 64);
    return sp_policy_people_has(people, 99, roles);
}

static void rules_name_their_approvers(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set = help_set(OFFICE);
    sp_policy_approvers a;
    assert_ok(sp_policy_set_rule_approvers(set, SP_SPAN_LIT("destroy with others"), &a));
    assert_true(a.needed == 2 && a.expires_s == SP_ASK_EXPIRES_DEFAULT_S);
    assert_true(admits(set, &a.by, "dba") && admits(set, &a.by, "lead"));
    assert_false(admits(set, &a.by, "staff"));
    assert_false(admits(set, &a.by, "security-admin"));
    assert_true(
        sp_policy_approvers_device(&a, SP_OWNER_COMPANY, SP_POSTURE_HEALTHY, SP_STRENGTH_PASSKEY));
    assert_false(
        sp_policy_approvers_device(&a, SP_OWNER_PERSONAL, SP_POSTURE_HEALTHY, SP_STRENGTH_PASSKEY));
    assert_false(
        sp_policy_approvers_device(&a, SP_OWNER_COMPANY, SP_POSTURE_HEALTHY, SP_STRENGTH_TOTP));
    assert_ok(sp_policy_set_rule_approvers(set, SP_SPAN_LIT("alter with security"), &a));
    assert_true(a.needed == 1 && a.expires_s == 3600 && a.by.people_count == 1);
    assert_true(admits(set, &a.by, "security-admin") && !admits(set, &a.by, "dba"));
    assert_true(
        sp_policy_approvers_device(&a, SP_OWNER_PERSONAL, SP_POSTURE_HEALTHY, SP_STRENGTH_TOTP));
    assert_false(
        sp_policy_approvers_device(&a, SP_OWNER_PERSONAL, SP_POSTURE_UNKNOWN, SP_STRENGTH_TOTP));
    assert_ok(sp_policy_set_rule_approvers(set, SP_SPAN_LIT("anybody asks"), &a));
    assert_true(admits(set, &a.by, "security-admin") && !admits(set, &a.by, "staff"));
    assert_fails(sp_policy_set_rule_approvers(set, SP_SPAN_LIT("in an emergency"), &a),
                 SP_ENOTFOUND);
}

static const char ALIKE[] =
    "kind: Role\nname: lead\n---\nkind: Role\nname: dba\n---\n"
    "kind: Rule\nname: one\nwho: { any: true }\nto: { any: true }\nmay: [alter]\n"
    "ask: { approved_by: 1, by: { people: [sam, mia], roles: [lead] }, expires: 10m }\n---\n"
    "kind: Rule\nname: two\nwho: { any: true }\nto: { any: true }\nmay: [destroy]\n"
    "ask: { approved_by: 2, expires: 10m, by: { roles: [lead], people: [mia, sam] } }\n---\n"
    "kind: Rule\nname: other roles\nwho: { any: true }\nto: { any: true }\nmay: [write]\n"
    "ask: { approved_by: 1, by: { people: [sam, mia], roles: [dba] }, expires: 10m }\n---\n"
    "kind: Rule\nname: one more\nwho: { any: true }\nto: { any: true }\nmay: [write]\n"
    "ask: { approved_by: 1, by: { people: [sam, mia, dan], roles: [lead] }, expires: 10m }\n---\n"
    "kind: Rule\nname: from\nwho: { any: true }\nto: { any: true }\nmay: [write]\n"
    "ask: { approved_by: 1, by: { people: [sam, mia], roles: [lead] }, expires: 10m,"
    " on: { owner: company } }\n---\n"
    "kind: Rule\nname: short\nwho: { any: true }\nto: { any: true }\nmay: [write]\n"
    "ask: { approved_by: 1, by: { people: [sam, mia], roles: [lead] }, expires: 9m }\n---\n"
    "kind: Rule\nname: strict\nwho: { any: true }\nto: { any: true }\nmay: [write]\n"
    "ask: { approved_by: 1, by: { people: [sam, mia], roles: [lead] }, expires: 10m }\nwhen: { "
    "mfa: passkey }\n---\n"
    "kind: Rule\nname: open\nwho: { any: true }\nto: { any: true }\nmay: [read]\n"
    "---\n"
    "kind: Never\nname: never\nactions: [administer]\nclasses: [core]\n";

static const char ALIKE_LATER[] =
    "kind: Role\nname: lead\n---\nkind: Role\nname: dba\n---\n"
    "kind: Rule\nname: three\nwho: { any: true }\nto: { any: true }\nmay: [destroy]\n"
    "ask: { approved_by: 3, expires: 10m, by: { people: [sam, mia], roles: [lead] } }\n---\n"
    "kind: Rule\nname: two\nwho: { any: true }\nto: { any: true }\nmay: [destroy]\n"
    "ask: { approved_by: 2, expires: 10m, by: { roles: [dba], people: [sam] } }\n---\n"
    "kind: Rule\nname: others later\nwho: { any: true }\nto: { any: true }\nmay: [write]\n"
    "ask: { approved_by: 1, by: { people: [sam, mia], roles: [dba] }, expires: 10m }\n";

static uint32_t rule_of(const sp_policy *policy, const char *name)
{
    for (uint32_t i = 0; sp_policy_rule_name(policy, i).len > 0; i++) {
        if (sp_span_eq(sp_policy_rule_name(policy, i), sp_span_cstr(name))) {
            return i;
        }
    }
    fail_msg("no rule %s", name);
    return SP_NONE;
}

/* The number of them does not matter, nor the order in which they are named; all else does. */
static void rules_ask_alike(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool alike;
    } rules[] = {{"one", true},       {"two", true},   {"other roles", false},
                 {"one more", false}, {"from", false}, {"strict", false},
                 {"short", false},    {"open", false}, {"never", false}};
    auto_policy_set sp_policy_set *set = help_set(ALIKE);
    const sp_policy *policy = sp_policy_set_view(set);
    uint32_t one = rule_of(policy, "one");
    for (size_t i = 0; i < SP_COUNT(rules); i++) {
        uint32_t other = rule_of(policy, rules[i].name);
        assert_int_equal(sp_policy_rules_ask_alike(policy, one, other), rules[i].alike);
        assert_int_equal(sp_policy_rules_ask_alike(policy, other, one), rules[i].alike);
    }
    assert_false(sp_policy_rules_ask_alike(policy, one, SP_NONE));
    assert_false(sp_policy_rules_ask_alike(policy, SP_NONE, SP_NONE));
    uint32_t open = rule_of(policy, "open");
    assert_true(sp_policy_rules_ask_alike(policy, open, open));
}

static sp_decision asks(const sp_policy *policy, const char *rule, uint8_t approvals)
{
    uint32_t index = rule_of(policy, rule);
    return (sp_decision){.verdict = SP_VERDICT_ASK,
                         .reason = SP_REASON_APPROVAL,
                         .approvals = approvals,
                         .rule = index,
                         .asks = {index},
                         .asks_count = 1};
}

/* Whether who agreed to all that `agreed` asks has agreed to what is asked. */
static bool covers(const sp_policy *policy, const sp_decision *asked, const sp_decision *agreed)
{
    const sp_agreed given = sp_decision_agreed(policy, agreed);
    return sp_agreed_covers(&given, policy, asked);
}

/* Of two rules whose people are the same, the one that wants more of them; else both. */
static void each_rule_that_asks_is_kept(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set = help_set(ALIKE);
    const sp_policy *policy = sp_policy_set_view(set);
    sp_decision one = asks(policy, "one", 1);
    sp_decision two = asks(policy, "two", 2);
    sp_decision others = asks(policy, "other roles", 1);
    sp_decision both = one;
    sp_decision_join(policy, &both, &two);
    assert_true(both.asks_count == 1 && both.asks[0] == two.rule && both.approvals == 2);
    sp_decision_join(policy, &both, &one);
    assert_true(both.asks_count == 1 && both.asks[0] == two.rule && both.rule == two.rule);
    assert_true(covers(policy, &one, &both));
    assert_true(covers(policy, &both, &two));
    assert_false(covers(policy, &two, &one)); /* too few */
    assert_false(covers(policy, &others, &both));
    sp_decision_join(policy, &both, &others);
    assert_true(both.asks_count == 2 && both.asks[0] == two.rule && both.asks[1] == others.rule);
    assert_true(covers(policy, &others, &both));
    assert_false(covers(policy, &both, &two));
    const sp_agreed agreed = sp_decision_agreed(policy, &both);
    const sp_agreed only_two = sp_decision_agreed(policy, &two);
    const sp_agreed nothing = {.count = 0};
    auto_policy_set sp_policy_set *later_set = help_set(ALIKE_LATER);
    const sp_policy *later = sp_policy_set_view(later_set);
    sp_decision now = asks(later, "others later", 1);
    assert_true(sp_agreed_covers(&agreed, policy, &both));
    assert_true(sp_agreed_covers(&agreed, policy, &one));
    assert_true(sp_agreed_covers(&agreed, later, &now));
    assert_false(sp_agreed_covers(&only_two, later, &now));
    now = asks(later, "two", 2); /* of the same name, and others */
    assert_false(sp_agreed_covers(&agreed, later, &now));
    assert_false(sp_agreed_covers(&only_two, policy, &both));
    assert_false(sp_agreed_covers(&nothing, policy, &one));
    now = asks(later, "three", 3); /* the same people, one more */
    assert_false(sp_agreed_covers(&agreed, later, &now));
    sp_decision back = others; /* the graver one comes last */
    sp_decision_join(policy, &back, &both);
    assert_true(back.asks_count == 2 && back.asks[0] == two.rule && back.asks[1] == others.rule);
    const sp_decision allowed = {.verdict = SP_VERDICT_ALLOW, .rule = rule_of(policy, "open")};
    sp_decision_join(policy, &back, &allowed);
    assert_true(back.verdict == SP_VERDICT_ASK && back.asks_count == 2 && !back.asks_apart);
    static const char *const more[] = {"one more", "from", "short"};
    for (size_t i = 0; i < SP_COUNT(more); i++) {
        sp_decision next = asks(policy, more[i], 1);
        sp_decision_join(policy, &back, &next);
        assert_true(back.asks_apart == (i == 2) && back.asks_count == (i == 0 ? 3 : 4));
    }
    assert_false(covers(policy, &back, &back));
}

static void roles_can_be_asked_for(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set = help_set(OFFICE);
    sp_policy_request r;
    assert_ok(sp_policy_set_request(set, SP_SPAN_LIT("dba"), &r));
    assert_true(r.ticket && !r.sealed && r.longest_s == 8 * 3600 && r.approvers.needed == 1);
    assert_true(admits(set, &r.who, "staff") && !admits(set, &r.who, "security-admin"));
    assert_true(admits(set, &r.approvers.by, "dba") && admits(set, &r.approvers.by, "lead"));
    assert_true(admits(set, &r.approvers.by, "security-admin"));
    assert_ok(sp_policy_set_request(set, SP_SPAN_LIT("emergency"), &r));
    assert_true(r.sealed && r.longest_s == 1800 && r.approvers.needed == 2);
    assert_true(r.approvers.expires_s == 600 && !admits(set, &r.approvers.by, "emergency"));
    assert_fails(sp_policy_set_request(set, SP_SPAN_LIT("staff"), &r), SP_ENOTFOUND);
    assert_fails(sp_policy_set_request(set, SP_SPAN_LIT("security-admin"), &r), SP_ENOTFOUND);
}

static void what_a_sealed_role_grants_is_recorded(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set = help_set(OFFICE);
    const sp_span roles[] = {SP_SPAN_LIT("emergency")};
    sp_policy_ask ask = {.roles = roles,
                         .roles_count = 1,
                         .class_name = SP_SPAN_LIT("core"),
                         .tried = SP_SPAN_LIT("read")};
    auto_diags sp_diags diags = {0};
    sp_policy_told told;
    assert_ok(sp_policy_ask_words(set, &ask, &diags, &told));
    assert_int_equal(told.decision.verdict, SP_VERDICT_ALLOW);
    assert_int_equal(told.decision.must & (SP_MUST_RECORD | SP_MUST_WATCH),
                     SP_MUST_RECORD | SP_MUST_WATCH);
}

static void grants_come_round(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set = help_set(OFFICE);
    sp_policy_recertification r;
    assert_ok(sp_policy_set_recertification(set, SP_SPAN_LIT("dba"), &r));
    assert_true(r.every_s == 30 * 86400 && r.warn_s == 5 * 86400 && r.by.people_count == 1);
    assert_fails(sp_policy_set_recertification(set, SP_SPAN_LIT("staff"), &r), SP_ENOTFOUND);
}

static void what_cannot_be_said(void **state)
{
    (void)state;
    help_refused("kind: Role\nname: e\nrequest: { who: { any: true }, sealed: true,\n"
                 "  ask: { approved_by: 1 } }\n",
                 4, "opened by two people");
    help_refused("kind: Role\nname: x\n---\nkind: Role\nname: e\nincludes: [x]\n"
                 "request: { who: { any: true }, sealed: true, ask: { approved_by: 2 } }\n",
                 7, "includes no other");
    help_refused("kind: Role\nname: boss\nincludes: [e]\n---\nkind: Role\nname: e\n"
                 "request: { who: { any: true }, sealed: true, ask: { approved_by: 2 } }\n",
                 3, "'e' is sealed: only emergency access");
    help_refused("kind: Rule\nname: r\nwho: { any: true }\nto: { any: true }\nmay: read\n"
                 "ask: { approved_by: 1, by: { roles: [nobody] } }\n",
                 6, "unknown role 'nobody'");
    help_refused("kind: Recertification\nname: r\nroles: [dba]\nby: { any: true }\nevery: 30d\n", 3,
                 "unknown role 'dba'");
    help_refused("kind: Recertification\nname: r\nroles: [audit-admin]\nby: { any: true }\n"
                 "every: 30d\nwarn: 30d\n",
                 6, "shorter than 'every'");
    help_refused("kind: Rule\nname: r\nwho: { any: true }\nto: { any: true }\nmay: read\n"
                 "ask: { approved_by: 1, expires: 10d }\n",
                 6, "out of range");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_name_their_approvers),
        cmocka_unit_test(rules_ask_alike),
        cmocka_unit_test(each_rule_that_asks_is_kept),
        cmocka_unit_test(roles_can_be_asked_for),
        cmocka_unit_test(what_a_sealed_role_grants_is_recorded),
        cmocka_unit_test(grants_come_round),
        cmocka_unit_test(what_cannot_be_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

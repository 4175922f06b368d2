/* SPDX-License-Identifier: Apache-2.0
 * Tests of accounts that are given on some devices only: which one is chosen, why there is none,
 * what is warned of; and that a snapshot cannot give one on devices that there are not.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC docs/POLICY.md "Resource", lib/policy/database.h.
 */
#include "lib/policy/snapshot.h"
#include "lib/policy/ssh.h"
#include "tests/unit/policy/help.h"

/* clang-format off */
#define ROLES "{kind: Role, name: dba}\n---\n{kind: Role, name: analyst}\n---\n"
#define DB(accounts) \
    ROLES "kind: Resource\nname: d\noperator: company\nclass: internal\n" \
    "postgres:\n  address: db\n  databases: x\n  accounts:\n" accounts
#define HOST(accounts) \
    ROLES "kind: Resource\nname: h\noperator: company\nclass: internal\n" \
    "ssh:\n  address: h\n  host_keys: [\"ssh-ed25519 " \
    "AAAAC3NzaC1lZDI1NTE5AAAAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg\"]\n  accounts:\n" accounts
#define ACCOUNTS \
    "    - { roles: [dba], on: { owner: company, posture: healthy }, as: all }\n" \
    "    - { roles: [dba], on: { owner: [company, personal] }, as: some }\n" \
    "    - { people: [ann], on: { posture: [healthy, unhealthy] }, as: hers }\n"
/* clang-format on */

static sp_subject on(sp_subject who, sp_owner owner, sp_posture posture)
{
    who.owner = (uint8_t)owner;
    who.posture = (uint8_t)posture;
    return who;
}

static sp_subject dba_of(const sp_policy_set *set)
{
    sp_policy_role dba;
    sp_subject who = {.person = 1000};
    assert_ok(sp_policy_set_role_find(set, SP_SPAN_LIT("dba"), &dba));
    who.roles[dba.number / 64] |= UINT64_C(1) << (dba.number % 64);
    return who;
}

static const struct {
    sp_owner owner;
    sp_posture posture;
    const char *dba; /* account, "" = none */
    sp_reason dba_missing;
    const char *ann;
    sp_reason ann_missing;
} CASES[] = {
    {SP_OWNER_COMPANY, SP_POSTURE_HEALTHY, "all", SP_REASON_NONE, "hers", SP_REASON_NONE},
    {SP_OWNER_COMPANY, SP_POSTURE_UNHEALTHY, "some", SP_REASON_NONE, "hers", SP_REASON_NONE},
    {SP_OWNER_COMPANY, SP_POSTURE_UNKNOWN, "some", SP_REASON_NONE, "", SP_REASON_DEVICE_POSTURE},
    {SP_OWNER_PERSONAL, SP_POSTURE_HEALTHY, "some", SP_REASON_NONE, "hers", SP_REASON_NONE},
    {SP_OWNER_PERSONAL, SP_POSTURE_UNKNOWN, "some", SP_REASON_NONE, "", SP_REASON_DEVICE_POSTURE},
    {SP_OWNER_UNKNOWN, SP_POSTURE_UNKNOWN, "", SP_REASON_DEVICE_UNKNOWN, "",
     SP_REASON_DEVICE_POSTURE},
};

static void a_device_chooses_the_account(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set = help_set(DB(ACCOUNTS));
    const sp_policy *view = sp_policy_set_view(set);
    sp_subject dba = dba_of(set);
    sp_subject ann = {.person = 1}; /* the only person that is named */
    sp_subject other = {.person = 2};
    for (size_t i = 0; i < SP_COUNT(CASES); i++) {
        sp_subject who = on(dba, CASES[i].owner, CASES[i].posture);
        assert_span_text(sp_policy_database_account(view, 0, &who), CASES[i].dba);
        assert_int_equal(sp_policy_database_account_missing(view, 0, &who), CASES[i].dba_missing);
        who = on(ann, CASES[i].owner, CASES[i].posture);
        assert_span_text(sp_policy_database_account(view, 0, &who), CASES[i].ann);
        assert_int_equal(sp_policy_database_account_missing(view, 0, &who), CASES[i].ann_missing);
        who = on(other, CASES[i].owner, CASES[i].posture);
        assert_span_text(sp_policy_database_account(view, 0, &who), "");
        assert_int_equal(sp_policy_database_account_missing(view, 0, &who), SP_REASON_DEFAULT);
    }
    assert_int_equal(sp_policy_database_account_missing(view, 7, &dba), SP_REASON_DEFAULT);
    sp_subject odd = dba; /* what is out of range is no device of ours */
    odd.owner = 200;
    odd.posture = 200;
    assert_span_text(sp_policy_database_account(view, 0, &odd), "");
}

static void what_is_missing_is_what_is_easiest_to_mend(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set =
        help_set(DB("    - { roles: [dba], on: { owner: personal, posture: healthy }, as: some }\n"
                    "    - { roles: [dba], on: { owner: company, posture: healthy }, as: all }\n"
                    "    - { roles: [analyst], on: { owner: company }, as: read }\n"));
    const sp_policy *view = sp_policy_set_view(set);
    sp_subject dba = dba_of(set);
    sp_subject who = on(dba, SP_OWNER_COMPANY, SP_POSTURE_UNHEALTHY);
    assert_int_equal(sp_policy_database_account_missing(view, 0, &who), SP_REASON_DEVICE_POSTURE);
    who = on(dba, SP_OWNER_PERSONAL, SP_POSTURE_UNHEALTHY);
    assert_int_equal(sp_policy_database_account_missing(view, 0, &who), SP_REASON_DEVICE_POSTURE);
    who = on(dba, SP_OWNER_UNKNOWN, SP_POSTURE_UNKNOWN);
    assert_int_equal(sp_policy_database_account_missing(view, 0, &who), SP_REASON_DEVICE_UNKNOWN);
    sp_policy_role analyst;
    who = (sp_subject){.person = 1000};
    assert_ok(sp_policy_set_role_find(set, SP_SPAN_LIT("analyst"), &analyst));
    who.roles[analyst.number / 64] |= UINT64_C(1) << (analyst.number % 64);
    who = on(who, SP_OWNER_PERSONAL, SP_POSTURE_HEALTHY);
    assert_int_equal(sp_policy_database_account_missing(view, 0, &who), SP_REASON_DEVICE_OWNER);
}

static void without_on_any_device_does(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set = help_set(DB("    - { roles: [dba], as: all }\n"));
    sp_subject dba = dba_of(set);
    for (unsigned i = 0; i < SNAP_DEVICES; i++) {
        sp_subject who =
            on(dba, (sp_owner)(i / SP_POSTURE_COUNT), (sp_posture)(i % SP_POSTURE_COUNT));
        assert_span_text(sp_policy_database_account(sp_policy_set_view(set), 0, &who), "all");
    }
}

static void hosts_choose_alike(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *set = help_set(HOST(ACCOUNTS));
    const sp_policy *view = sp_policy_set_view(set);
    sp_subject best = on(dba_of(set), SP_OWNER_COMPANY, SP_POSTURE_HEALTHY);
    sp_subject own = on(best, SP_OWNER_PERSONAL, SP_POSTURE_HEALTHY);
    sp_subject none = on(best, SP_OWNER_UNKNOWN, SP_POSTURE_UNKNOWN);
    sp_span all = SP_SPAN_LIT("all");
    sp_span any = SP_SPAN_EMPTY;
    assert_span_text(sp_policy_ssh_account(view, 0, &best, any), "all");
    assert_span_text(sp_policy_ssh_account(view, 0, &best, SP_SPAN_LIT("some")), "some");
    assert_span_text(sp_policy_ssh_account_at(view, 0, &best, 1), "some");
    assert_span_text(sp_policy_ssh_account(view, 0, &own, any), "some");
    assert_span_text(sp_policy_ssh_account(view, 0, &own, all), "");
    assert_span_text(sp_policy_ssh_account_at(view, 0, &own, 1), "");
    assert_span_text(sp_policy_ssh_account(view, 0, &none, any), "");
    assert_int_equal(sp_policy_ssh_account_missing(view, 0, &best, all), SP_REASON_NONE);
    assert_int_equal(sp_policy_ssh_account_missing(view, 0, &own, all), SP_REASON_DEVICE_OWNER);
    assert_int_equal(sp_policy_ssh_account_missing(view, 0, &own, any), SP_REASON_NONE);
    assert_int_equal(sp_policy_ssh_account_missing(view, 0, &none, any), SP_REASON_DEVICE_UNKNOWN);
    assert_int_equal(sp_policy_ssh_account_missing(view, 0, &best, SP_SPAN_LIT("hers")),
                     SP_REASON_DEFAULT);
    sp_subject ill = on(best, SP_OWNER_COMPANY, SP_POSTURE_UNHEALTHY);
    assert_int_equal(sp_policy_ssh_account_missing(view, 0, &ill, all), SP_REASON_DEVICE_POSTURE);
}

static void mistakes_are_told(void **state)
{
    (void)state;
    static const char *const WRONG[][2] = {
        {DB("    - { any: true, on: { owner: ours }, as: a }\n"), "unknown, personal, company"},
        {DB("    - { any: true, on: { os: linux }, as: a }\n"), "'os'"},
        {DB("    - { any: true, on: company, as: a }\n"), "on"},
        {HOST("    - { any: true, on: { owner: ours }, as: a }\n"), "unknown, personal, company"},
        {HOST("    - { any: true, on: { posture: good }, as: a }\n"), "unhealthy, healthy"},
    };
    for (size_t i = 0; i < SP_COUNT(WRONG); i++) {
        help_refused(WRONG[i][0], 13, WRONG[i][1]);
    }
}

static void an_account_that_nobody_gets_is_warned_of(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool warned;
    } LISTS[] = {
        {DB("    - { any: true, as: a }\n    - { roles: [dba], on: { owner: company }, as: b }\n"),
         true},
        {DB("    - { roles: [dba, analyst], on: { owner: company }, as: a }\n"
            "    - { roles: [dba], on: { owner: company, posture: healthy }, as: b }\n"),
         true},
        {DB("    - { roles: [dba], on: { owner: company, posture: healthy }, as: a }\n"
            "    - { roles: [dba], as: b }\n"),
         false},
        {DB("    - { roles: [dba], as: a }\n    - { people: [ann], as: b }\n"), false},
        {DB("    - { people: [ann, bob], as: a }\n    - { people: [ann], as: b }\n"), true},
        {DB("    - { people: [ann], as: a }\n    - { people: [ann], roles: [dba], as: b }\n"),
         false},
        {HOST("    - { any: true, as: a }\n    - { roles: [dba], as: b }\n"), false}, /* named */
    };
    for (size_t i = 0; i < SP_COUNT(LISTS); i++) {
        assert_int_equal(help_warns(LISTS[i].text, "nobody ever works as 'b'"), LISTS[i].warned);
    }
}

/* Nevers about people and about roles say different things. */
static void nevers_of_people_and_roles_are_not_the_same(void **state)
{
    (void)state;
    assert_false(
        help_warns(ROLES "{kind: Never, name: of ann, actions: export, who: {people: [ann]}}\n---\n"
                         "{kind: Never, name: of the dba, actions: export, who: {roles: [dba]}}\n",
                   "adds nothing"));
}

static sp_err open_with(sp_span whole, uint8_t *copy, uint16_t devices)
{
    snap_head head;
    sp_policy policy;
    sp_copy(copy, whole.ptr, whole.len);
    sp_copy(&head, copy, sizeof(head));
    size_t at = (size_t)head.sections[SNAP_ACCOUNTS].at + offsetof(snap_account, devices);
    sp_copy(copy + at, &devices, sizeof(devices));
    enum { SUMMED = sizeof(snap_head) - SP_SHA256_BYTES };
    sp_span parts[2] = {{copy, SUMMED}, {copy + sizeof(head), whole.len - sizeof(head)}};
    sp_hash sum = sp_sha256_parts(parts, 2);
    sp_copy(copy + SUMMED, sum.bytes, sizeof(sum.bytes));
    return sp_policy_open(sp_span_of(copy, whole.len), &policy);
}

static void a_snapshot_gives_accounts_on_devices_that_there_are(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {DB(ACCOUNTS), HOST(ACCOUNTS)};
    for (size_t i = 0; i < SP_COUNT(TEXTS); i++) {
        auto_policy_set sp_policy_set *set = help_set(TEXTS[i]);
        sp_span whole = sp_policy_set_snapshot(set);
        auto_free uint8_t *copy = NULL;
        assert_ok(sp_alloc(whole.len, 1, &copy));
        assert_ok(open_with(whole, copy, 1));
        assert_ok(open_with(whole, copy, SNAP_DEVICES_ALL));
        assert_fails(open_with(whole, copy, 0), SP_ECORRUPT);
        assert_fails(open_with(whole, copy, SNAP_DEVICES_ALL + 1), SP_ECORRUPT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_chooses_the_account),
        cmocka_unit_test(what_is_missing_is_what_is_easiest_to_mend),
        cmocka_unit_test(without_on_any_device_does),
        cmocka_unit_test(hosts_choose_alike),
        cmocka_unit_test(mistakes_are_told),
        cmocka_unit_test(an_account_that_nobody_gets_is_warned_of),
        cmocka_unit_test(nevers_of_people_and_roles_are_not_the_same),
        cmocka_unit_test(a_snapshot_gives_accounts_on_devices_that_there_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

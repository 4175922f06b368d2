/* SPDX-License-Identifier: Apache-2.0
 * Notices, audiences and channels: what is wrong is told with its place; what core sees of them.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC docs/POLICY.md "Notice", lib/policy/notices.h.
 */
#include "lib/policy/notices.h"
#include "lib/proto/event.h"
#include "tests/unit/policy/help.h"

#define NOTICE(body, rest)                                                                         \
    "kind: Notice\nname: n\ntitle: { en: T, zh: T }\nbody:\n  en: |\n    first\n    " body         \
    "\n  zh: x\n" rest

static void wrong_templates_are_refused(void **state)
{
    (void)state;
    help_refused(NOTICE("{{wht}}", "variables: [{ name: what, sample: x }]\n"), 7,
                 "did you mean '{{what}}'?");
    help_refused(NOTICE("{{reder}}", ""), 7, "did you mean '{{reader}}'?");
    help_refused(NOTICE("{{ reader }}", ""), 7, "begins like a variable");
    help_refused(NOTICE("a", "variables: [{ name: what, sample: x }]\n"), 9,
                 "stands in none of the texts");
    help_refused(NOTICE("{{n}}", "variables: [{ name: n, kind: number, sample: x }]\n"), 9,
                 "sample: it must be a whole number");
    help_refused(NOTICE("a", "variables: [{ name: link, sample: x }]\n"), 9, "is always there");
    help_refused(NOTICE("a", "variables: [{ name: Big, sample: x }]\n"), 9, "a letter first");
    help_refused("kind: Notice\nname: n\ntitle: { en: \"a\\nb\", zh: b }\nbody: { en: x, zh: x }\n",
                 3, "a title is one line");
    help_refused("kind: Notice\nname: n\ntitle: { en: a }\nbody: { en: x, zh: x }\n", 3,
                 "needs 'zh'");
    help_refused(NOTICE("a", "audience: nobody\n"), 9, "there is no Audience 'nobody'");
    help_refused(NOTICE("a", "channels: [mail]\n"), 9, "there is no Channel 'mail'");
}

static void wrong_channels_are_refused(void **state)
{
    (void)state;
    help_refused("kind: Channel\nname: c\nvia: email\n", 1, "has an 'address' and a 'from'");
    help_refused("kind: Channel\nname: c\nvia: email\naddress: a b\nfrom: a@b.example\n", 4,
                 "expected a host and a port");
    help_refused("kind: Channel\nname: c\nvia: email\naddress: smtp:25\nfrom: me\n", 5,
                 "expected a mailbox");
    help_refused(
        "kind: Channel\nname: c\nvia: email\naddress: smtp:25\ntls: loopback\nfrom: a@b.example\n",
        4, "for loopback addresses only");
    help_refused("kind: Channel\nname: c\nvia: teams\n", 1, "via teams has an 'address'");
    help_refused("kind: Channel\nname: c\nvia: slack\naddress: http://hooks.example/\n", 4,
                 "take https://");
    help_refused("kind: Channel\nname: c\nvia: slac\n", 3, "did you mean 'slack'?");
    help_refused("kind: Channel\nname: c\nvia: slack\nuser: x\n", 4, "via email only");
    help_refused("kind: Audience\nname: a\nminus: { people: [x] }\n", 1, "names 'who' or 'post'");
    help_refused("kind: Audience\nname: a\nwho: { roles: [nobody] }\n", 3, "unknown role");
}

static void what_core_sees(void **state)
{
    (void)state;
    sp_policy_set *set = help_set("kind: Channel\nname: bot\nvia: dingtalk\n---\nkind: Channel\n"
                                  "name: mail\nvia: email\naddress: smtp.internal:587\n"
                                  "user: gate\nfrom: a@b.example\nretry: 5s\ndigest: 1h\n---\n"
                                  "kind: Role\nname: lead\nincludes: [dba]\n---\n"
                                  "kind: Role\nname: dba\n---\n"
                                  "kind: Audience\nname: a\nwho: { roles: [dba], people: [eve] }\n"
                                  "minus: { people: [ben] }\npost: [bot]\n");
    sp_policy_channel channel;
    sp_policy_notice notice;
    sp_policy_role lead;
    sp_span posts[SP_NOTICE_CHANNELS_MAX];
    assert_ok(sp_policy_set_channel(set, SP_SPAN_LIT("bot"), &channel));
    assert_true(channel.has_token && channel.has_secret && channel.per_minute == 20);
    assert_ok(sp_policy_set_channel(set, SP_SPAN_LIT("mail"), &channel));
    assert_true(!channel.has_token && channel.has_secret && channel.retry_s == 5);
    assert_true(channel.digest_s == 3600);
    assert_fails(sp_policy_set_channel(set, SP_SPAN_LIT("x"), &channel), SP_ENOTFOUND);
    const sp_policy_audience *audience = sp_policy_set_audience(set, SP_SPAN_LIT("a"));
    assert_non_null(audience);
    assert_ok(sp_policy_set_role_find(set, SP_SPAN_LIT("lead"), &lead));
    uint64_t roles[SP_ROLE_WORDS] = {0};
    assert_true(sp_policy_audience_has(set, audience, SP_SPAN_LIT("eve"), roles));
    assert_false(sp_policy_audience_has(set, audience, SP_SPAN_LIT("ann"), roles));
    roles[lead.number / 64] |= UINT64_C(1) << (lead.number % 64); /* it includes dba */
    assert_true(sp_policy_audience_has(set, audience, SP_SPAN_LIT("ann"), roles));
    assert_false(sp_policy_audience_has(set, audience, SP_SPAN_LIT("ben"), roles));
    assert_int_equal(sp_policy_audience_posts(audience, posts), 1);
    assert_ok(sp_policy_set_notice(set, SP_SPAN_LIT("incident-opened"), &notice)); /* built in */
    assert_true(notice.severity == SP_SEVERITY_HIGH && notice.within_s == 900);
    sp_policy_set_free(set);
}

static void the_office_replaces_what_is_built_in(void **state)
{
    (void)state;
    sp_policy_set *set = help_set(
        "kind: Notice\nname: drill\ntitle: { en: Ours, zh: Ours }\nbody: { en: x, zh: x }\n");
    sp_policy_notice notice;
    size_t drills = 0;
    for (size_t i = 0; i < sp_policy_set_notice_count(set); i++) {
        sp_policy_set_notice_at(set, i, &notice);
        drills += sp_span_eq(notice.name, SP_SPAN_LIT("drill")) ? 1 : 0;
    }
    assert_int_equal(drills, 1);
    assert_ok(sp_policy_set_notice(set, SP_SPAN_LIT("drill"), &notice));
    assert_span_text(notice.title[SP_LANGUAGE_EN], "Ours");
    sp_policy_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_templates_are_refused),
        cmocka_unit_test(wrong_channels_are_refused),
        cmocka_unit_test(what_core_sees),
        cmocka_unit_test(the_office_replaces_what_is_built_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Tests of the law pack that comes with the program, each threshold from both sides; of what is
 * open, of the catch-all; of duties and their times; of documents that are refused.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/law/law.h, packaging/law/law.yaml.
 */
#include "lib/policy/duties.h"
#include "tests/unit/policy/help.h"

enum { ORDINARY, RELATIVELY, MAJOR, PARTICULARLY, NONE };

static sp_policy_set *set;
static sp_policy_law cn;

static int start(void **state)
{
    (void)state;
    set = help_set("kind: Role\nname: clerk\n");
    assert_ok(sp_policy_set_law(set, SP_SPAN_LIT("cn"), &cn));
    assert_int_equal(sp_policy_set_law_count(set), 1);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    sp_policy_set_free(set);
    return 0;
}

static sp_facts told(sp_fact fact, uint64_t value)
{
    sp_facts facts = {0};
    facts.known[fact] = true;
    facts.value[fact] = value;
    return facts;
}

static sp_facts all_no(void)
{
    sp_facts facts = {0};
    for (unsigned i = 0; i < SP_FACT_COUNT; i++) {
        facts.known[i] = true;
    }
    return facts;
}

static size_t level_of(const sp_facts *facts)
{
    sp_law_answer answer;
    sp_law_classify(&cn.pack, facts, &answer);
    return answer.level;
}

/* Everything else is "no". */
static size_t level_with(sp_fact fact, uint64_t value, bool cii)
{
    sp_facts facts = all_no();
    facts.value[fact] = value;
    facts.value[SP_FACT_CII] = cii || fact == SP_FACT_CII ? 1 : 0;
    return level_of(&facts);
}

static void each_threshold_from_both_sides(void **state)
{
    (void)state;
    static const struct {
        sp_fact fact;
        uint64_t from;
        size_t level;
        size_t below;
        bool cii;
    } rows[] = {
        {SP_FACT_PERSONS, 1, ORDINARY, NONE, false},
        {SP_FACT_PERSONS, 1000000, RELATIVELY, ORDINARY, false},
        {SP_FACT_PERSONS, 10000000, MAJOR, RELATIVELY, false},
        {SP_FACT_PERSONS, 100000000, PARTICULARLY, MAJOR, false},
        {SP_FACT_LOSS_YUAN, 1, ORDINARY, NONE, false},
        {SP_FACT_LOSS_YUAN, 5000000, RELATIVELY, ORDINARY, false},
        {SP_FACT_LOSS_YUAN, 20000000, MAJOR, RELATIVELY, false},
        {SP_FACT_LOSS_YUAN, 100000000, PARTICULARLY, MAJOR, false},
        {SP_FACT_OUTAGE_MINUTES, 1, ORDINARY, NONE, true},
        {SP_FACT_OUTAGE_MINUTES, 11, RELATIVELY, ORDINARY, true},
        {SP_FACT_OUTAGE_MINUTES, 60, MAJOR, RELATIVELY, true},
        {SP_FACT_OUTAGE_MINUTES, 360, PARTICULARLY, MAJOR, true},
        {SP_FACT_AFFECTED_PERSONS, 1000000, RELATIVELY, NONE, false},
        {SP_FACT_IMPORTANT_DATA, 1, RELATIVELY, NONE, false},
        {SP_FACT_CORE_DATA, 1, MAJOR, NONE, false},
        {SP_FACT_PUBLIC_INTEREST, 1, MAJOR, NONE, false},
    };
    for (size_t i = 0; i < SP_COUNT(rows); i++) {
        assert_int_equal(level_with(rows[i].fact, rows[i].from, rows[i].cii), rows[i].level);
        assert_int_equal(level_with(rows[i].fact, rows[i].from - 1, rows[i].cii), rows[i].below);
    }
    assert_int_equal(level_with(SP_FACT_OUTAGE_MINUTES, 100000, false), ORDINARY); /* no CII */
}

static void what_nobody_told_is_open(void **state)
{
    (void)state;
    sp_facts none = {0};
    sp_facts some = told(SP_FACT_PERSONS, 1000000);
    sp_law_answer answer;
    sp_law_classify(&cn.pack, &none, &answer);
    assert_int_equal(answer.level, NONE);
    assert_int_equal(answer.might, PARTICULARLY);
    assert_true(answer.person_decides && !answer.person_decided);
    assert_true((answer.open >> SP_FACT_LOSS_YUAN & 1U) != 0);
    sp_law_classify(&cn.pack, &some, &answer);
    assert_int_equal(answer.level, RELATIVELY);
    assert_int_equal(answer.might, PARTICULARLY);
    assert_true(answer.line > 0);
    assert_true((answer.open >> SP_FACT_PERSONS & 1U) == 0);
    sp_facts no = all_no();
    sp_law_classify(&cn.pack, &no, &answer);
    assert_int_equal(answer.level, NONE);
    assert_int_equal(answer.might, NONE);
    assert_int_equal(answer.open, 0);
    assert_false(answer.person_decides);
}

static void a_person_decides_the_catch_all_and_only_upwards(void **state)
{
    (void)state;
    sp_law_answer answer;
    sp_facts facts = all_no();
    facts.value[SP_FACT_JUDGEMENT] = MAJOR + 1;
    sp_law_classify(&cn.pack, &facts, &answer);
    assert_int_equal(answer.level, MAJOR);
    assert_true(answer.person_decided && !answer.person_decides);
    facts.value[SP_FACT_PERSONS] = 100000000;
    sp_law_classify(&cn.pack, &facts, &answer);
    assert_int_equal(answer.level, PARTICULARLY); /* nobody talks a number down */
    assert_false(answer.person_decided);
    facts.value[SP_FACT_JUDGEMENT] = 99; /* no such level */
    facts.value[SP_FACT_PERSONS] = 0;
    assert_int_equal(level_of(&facts), NONE);
    facts.known[SP_FACT_JUDGEMENT] = false; /* all numbers say no: still a person's to say */
    sp_law_classify(&cn.pack, &facts, &answer);
    assert_true(answer.person_decides);
    assert_int_equal(answer.might, PARTICULARLY);
}

static size_t duty_named(const char *name)
{
    size_t at = 0;
    while (at < cn.pack.duties_count && !sp_span_eq(cn.pack.duties[at].name, sp_span_cstr(name))) {
        at++;
    }
    assert_true(at < cn.pack.duties_count);
    return at;
}

static sp_duty_says says(const char *duty, const sp_facts *facts)
{
    sp_law_answer answer;
    sp_law_classify(&cn.pack, facts, &answer);
    return sp_law_duty_says(&cn.pack, duty_named(duty), facts, &answer);
}

static void hours_are_by_the_kind_of_operator(void **state)
{
    (void)state;
    sp_facts facts = all_no();
    facts.value[SP_FACT_PERSONS] = 1000000;
    assert_int_equal(says("authority", &facts), SP_DUTY_YES);
    assert_int_equal(says("authority-cii", &facts), SP_DUTY_NO);
    facts.value[SP_FACT_CII] = 1;
    assert_int_equal(says("authority", &facts), SP_DUTY_NO);
    assert_int_equal(says("authority-cii", &facts), SP_DUTY_YES);
    facts.value[SP_FACT_CII] = 0;
    facts.value[SP_FACT_CENTRAL] = 1;
    assert_int_equal(says("authority-central", &facts), SP_DUTY_YES);
    facts.known[SP_FACT_CII] = false; /* not told: the shortest runs too */
    assert_int_equal(says("authority-cii", &facts), SP_DUTY_OPEN);
    facts = all_no();
    assert_int_equal(says("authority", &facts), SP_DUTY_NO);
    assert_int_equal(says("police", &facts), SP_DUTY_NO);
    facts.value[SP_FACT_CRIME] = 1;
    assert_int_equal(says("police", &facts), SP_DUTY_YES);
    facts.value[SP_FACT_DEFECT] = 1;
    assert_int_equal(says("data-defect", &facts), SP_DUTY_NO);
    facts.value[SP_FACT_PUBLIC_INTEREST] = 1;
    assert_int_equal(says("data-defect", &facts), SP_DUTY_YES);
    facts.value[SP_FACT_PERSONS] = 1;
    assert_int_equal(says("personal-data", &facts), SP_DUTY_YES);
}

static void times_are_as_the_law_has_them(void **state)
{
    (void)state;
    enum { HOUR = 3600, DAY = 86400, FOUND = 1000000, CLOSED = 2000000 };
    static const struct {
        const char *duty;
        uint64_t due;
    } rows[] = {{"authority-cii", FOUND + HOUR},         {"authority-central", FOUND + 2 * HOUR},
                {"authority", FOUND + 4 * HOUR},         {"data-defect", FOUND + 24 * HOUR},
                {"personal-data", FOUND + HOUR},         {"police", FOUND + 4 * HOUR},
                {"closing", CLOSED + (uint64_t)30 * DAY}};
    for (size_t i = 0; i < SP_COUNT(rows); i++) {
        const sp_law_duty *duty = &cn.pack.duties[duty_named(rows[i].duty)];
        assert_int_equal(sp_law_due(duty, FOUND, CLOSED), rows[i].due);
    }
    assert_int_equal(sp_law_due(&cn.pack.duties[duty_named("closing")], FOUND, 0), 0);
}

static void stages_come_in_order(void **state)
{
    (void)state;
    assert_int_equal(sp_law_stage(0, 400, 0), SP_DUE_FAR);
    assert_int_equal(sp_law_stage(0, 400, 199), SP_DUE_FAR);
    assert_int_equal(sp_law_stage(0, 400, 200), SP_DUE_HALF);
    assert_int_equal(sp_law_stage(0, 400, 299), SP_DUE_HALF);
    assert_int_equal(sp_law_stage(0, 400, 300), SP_DUE_QUARTER);
    assert_int_equal(sp_law_stage(0, 400, 399), SP_DUE_QUARTER);
    assert_int_equal(sp_law_stage(0, 400, 400), SP_DUE_OVER);
    assert_int_equal(sp_law_stage(500, 400, 400), SP_DUE_OVER); /* nonsense ends */
}

#define LEVELS "levels:\n  - { name: a, title: { en: A, zh: 甲 }, any: [{ fact: persons }] }\n"
#define ITEMS "items:\n  - { name: i, title: { en: I, zh: 项 } }\n"

static void what_is_wrong_is_refused_where_it_stands(void **state)
{
    (void)state;
    help_refused("kind: LawPack\nname: p\ndated: soon\n" LEVELS ITEMS, 3, "expected a day");
    help_refused("kind: LawPack\nname: p\ndated: 2026-11-01\nlevels:\n"
                 "  - { name: a, title: { en: A, zh: 甲 }, any: [{ fact: person }] }\n" ITEMS,
                 5, "persons");
    help_refused("kind: LawPack\nname: p\ndated: 2026-11-01\n" LEVELS "duties:\n"
                 "  - { name: d, title: { en: D, zh: 丁 }, from: b, within: 1h }\n" ITEMS,
                 7, "one of its levels");
    help_refused("kind: Sink\nname: s\nvia: syslog\naddress: logs.internal\n", 4, "a port");
    help_refused("kind: Sink\nname: s\nvia: http\naddress: http://logs.example/x\n", 4, "https");
    help_refused("kind: Sink\nname: s\nvia: kafka\naddress: https://k.internal\n", 1, "topic");
    help_refused("kind: Sink\nname: s\nvia: syslog\naddress: a.b:6514\ntoken: true\n", 1,
                 "not for a sink via syslog");
    help_refused("kind: Channel\nname: s\nvia: slack\n---\nkind: Sink\nname: s\nvia: syslog\n"
                 "address: a.b:6514\n",
                 6, "Channel has this name");
    help_refused("kind: Officer\nname: o\nduty: king\n", 3, "king");
}

static void an_office_puts_the_pack_out_of_use(void **state)
{
    (void)state;
    auto_policy_set sp_policy_set *own =
        help_set("kind: LawPack\nname: cn\ndated: 2026-11-01\noff: true\n" LEVELS ITEMS);
    assert_int_equal(sp_policy_set_law_count(own), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_threshold_from_both_sides),
        cmocka_unit_test(what_nobody_told_is_open),
        cmocka_unit_test(a_person_decides_the_catch_all_and_only_upwards),
        cmocka_unit_test(hours_are_by_the_kind_of_operator),
        cmocka_unit_test(times_are_as_the_law_has_them),
        cmocka_unit_test(stages_come_in_order),
        cmocka_unit_test(what_is_wrong_is_refused_where_it_stands),
        cmocka_unit_test(an_office_puts_the_pack_out_of_use),
    };
    return cmocka_run_group_tests(tests, start, stop);
}

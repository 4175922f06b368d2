/* SPDX-License-Identifier: Apache-2.0
 * Tests of cuts: what is closed over and above the policy, and that with nothing cut nothing is.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/policy/cuts.h.
 */
#include "lib/policy/cuts.h"
#include "lib/policy/recall.h"
#include "tests/unit/policy/help.h"

enum { NOW = 1770000000 };

static sp_policy_set *office(void)
{
    return help_set("{kind: Resource, name: books, operator: company, class: core}\n---\n"
                    "{kind: Resource, name: wiki, operator: company, class: internal}\n---\n"
                    "{kind: Rule, name: g, who: {any: true}, to: {any: true}, may: read}\n");
}

typedef struct {
    sp_policy_set *set;
    sp_cuts cuts;
    sp_subject who;
} fixture;

static sp_decision ask(fixture *f, const char *resource)
{
    const sp_policy *policy = sp_policy_set_view(f->set);
    const sp_question q = {.who = &f->who,
                           .resource = sp_policy_resource_find(policy, sp_span_cstr(resource)),
                           .part = SP_NONE,
                           .action = SP_ACTION_READ,
                           .now_unix_s = NOW,
                           .cuts = &f->cuts};
    return sp_policy_decide(policy, &q);
}

static void put(fixture *f, sp_cut cut, const char *name)
{
    assert_ok(sp_fit(cut.name, sizeof(cut.name), sp_span_cstr(name)));
    assert_ok(sp_cuts_put(&f->cuts, &cut));
}

static fixture make(void)
{
    fixture f = {.set = office(), .who = {.person = 7, .auth_age_s = 60}};
    f.who.roles[1] = 1; /* role 64 */
    return f;
}

static void denied(fixture *f, const char *resource, sp_reason reason)
{
    sp_decision d = ask(f, resource);
    assert_int_equal(d.verdict, SP_VERDICT_DENY);
    assert_int_equal(d.reason, reason);
    assert_int_equal(d.rule, SP_NONE);
}

static void allowed(fixture *f, const char *resource)
{
    assert_int_equal(ask(f, resource).verdict, SP_VERDICT_ALLOW);
}

static void each_kind_meets_what_it_names(void **state)
{
    (void)state;
    fixture f = make();
    allowed(&f, "books");
    put(&f, (sp_cut){.id = 1, .kind = SP_CUT_RESOURCE}, "books");
    denied(&f, "books", SP_REASON_CUT);
    allowed(&f, "wiki");
    assert_true(sp_cuts_remove(&f.cuts, 1));
    assert_false(sp_cuts_remove(&f.cuts, 1));
    allowed(&f, "books");

    put(&f, (sp_cut){.id = 2, .kind = SP_CUT_ROLE, .number = 65}, "others");
    allowed(&f, "books");
    put(&f, (sp_cut){.id = 3, .kind = SP_CUT_ROLE, .number = 64}, "staff");
    denied(&f, "wiki", SP_REASON_CUT);
    assert_true(sp_cuts_remove(&f.cuts, 3));

    /* one that includes it, and another one later */
    sp_cut included = {.id = 9, .kind = SP_CUT_ROLE, .number = 65};
    included.roles[1] = 3;
    put(&f, included, "basis");
    denied(&f, "wiki", SP_REASON_CUT);
    included.roles[1] = 2;
    assert_true(sp_cuts_update(&f.cuts, &included));
    allowed(&f, "wiki");
    assert_true(sp_cuts_remove(&f.cuts, 9));
    assert_false(sp_cuts_update(&f.cuts, &included));

    put(&f, (sp_cut){.id = 4, .kind = SP_CUT_EVERYTHING}, "");
    denied(&f, "books", SP_REASON_CUT);
    denied(&f, "wiki", SP_REASON_CUT);
    f.who.person = 0; /* nobody */
    denied(&f, "wiki", SP_REASON_CUT);
    f.who.person = 7;
    assert_true(sp_cuts_remove(&f.cuts, 4));
    allowed(&f, "wiki");
    sp_policy_set_free(f.set);
}

static void a_class_takes_graver_ones_with_it_and_goes_by_its_name(void **state)
{
    (void)state;
    fixture f = make();
    /* a level that is wrong, as after a class was added: the name counts */
    put(&f, (sp_cut){.id = 1, .kind = SP_CUT_CLASS, .class_level = 0}, "sensitive");
    denied(&f, "books", SP_REASON_CUT);
    allowed(&f, "wiki");
    assert_true(sp_cuts_remove(&f.cuts, 1));
    /* a name that is gone: the level of then counts */
    put(&f, (sp_cut){.id = 2, .kind = SP_CUT_CLASS, .class_level = 1}, "no such class");
    denied(&f, "books", SP_REASON_CUT);
    denied(&f, "wiki", SP_REASON_CUT);
    sp_policy_set_free(f.set);
}

static void step_up_lets_who_proved_himself_since(void **state)
{
    (void)state;
    fixture f = make();
    sp_cut cut = {.id = 1,
                  .kind = SP_CUT_PERSON,
                  .number = 7,
                  .effect = SP_CUT_STEP_UP,
                  .since_unix_s = NOW - 60};
    put(&f, cut, "ann");
    f.who.auth_age_s = 59;
    allowed(&f, "books");
    f.who.auth_age_s = 60; /* in the same second: who knows which was first */
    denied(&f, "books", SP_REASON_STRENGTH);
    f.who.auth_age_s = 61;
    denied(&f, "books", SP_REASON_STRENGTH);
    f.who.person = 8;
    allowed(&f, "books");
    f.who.person = 7;
    /* what is closed stays closed, whoever proves himself */
    put(&f, (sp_cut){.id = 2, .kind = SP_CUT_EVERYTHING}, "");
    denied(&f, "books", SP_REASON_CUT);
    sp_policy_set_free(f.set);
}

static void an_end_is_an_end(void **state)
{
    (void)state;
    fixture f = make();
    put(&f, (sp_cut){.id = 5, .kind = SP_CUT_EVERYTHING, .until_unix_s = NOW + 1}, "");
    denied(&f, "books", SP_REASON_CUT);
    assert_int_equal(sp_cuts_ended(&f.cuts, NOW), 0);
    assert_int_equal(sp_cuts_ended(&f.cuts, NOW + 1), 5);
    put(&f, (sp_cut){.id = 6, .kind = SP_CUT_RESOURCE, .until_unix_s = NOW}, "wiki");
    denied(&f, "books", SP_REASON_CUT);
    assert_true(sp_cuts_remove(&f.cuts, 5));
    denied(&f, "wiki", SP_REASON_CUT); /* whoever gives back says so: a clock is set easily */
    assert_true(sp_cuts_remove(&f.cuts, 6));
    allowed(&f, "wiki");
    sp_policy_set_free(f.set);
}

static void the_last_row_is_for_everything(void **state)
{
    (void)state;
    fixture f = make();
    for (uint64_t i = 1; i < SP_CUTS_MAX; i++) {
        put(&f, (sp_cut){.id = i, .kind = SP_CUT_RESOURCE}, "elsewhere");
    }
    sp_cut more = {.id = 90, .kind = SP_CUT_RESOURCE};
    assert_int_equal(sp_cuts_put(&f.cuts, &more).code, SP_ELIMIT);
    allowed(&f, "books");
    put(&f, (sp_cut){.id = 91, .kind = SP_CUT_EVERYTHING}, "");
    denied(&f, "books", SP_REASON_CUT);
    sp_policy_set_free(f.set);
}

static void a_reader_without_a_quiet_moment_denies(void **state)
{
    (void)state;
    fixture f = make();
    put(&f, (sp_cut){.id = 1, .kind = SP_CUT_RESOURCE}, "elsewhere");
    allowed(&f, "books");
    f.cuts.seq = 1; /* as if core had died while it wrote */
    denied(&f, "books", SP_REASON_CUT);
    sp_policy_set_free(f.set);
}

static void words_are_read_back(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < SP_CUT_KIND_COUNT; kind++) {
        sp_cut_kind got = SP_CUT_KIND_COUNT;
        assert_true(sp_cut_kind_of(sp_span_cstr(sp_cut_kind_word((sp_cut_kind)kind)), &got));
        assert_int_equal(got, kind);
    }
    sp_cut_kind kind = SP_CUT_ROLE;
    assert_false(sp_cut_kind_of(SP_SPAN_LIT("galaxy"), &kind));
    assert_int_equal(kind, SP_CUT_ROLE);
    assert_string_equal(sp_cut_kind_word(SP_CUT_KIND_COUNT), "?");
}

/* Plans ask many people for a step-up; whoever provokes that must not fill the table. */
static void test_step_ups_leave_room(void **state)
{
    (void)state;
    sp_cuts cuts = {.count = 0};
    for (uint64_t i = 1; i <= SP_CUTS_STEP_UPS_MAX; i++) {
        const sp_cut one = {
            .id = i, .kind = SP_CUT_PERSON, .effect = SP_CUT_STEP_UP, .number = (uint32_t)i};
        assert_ok(sp_cuts_put(&cuts, &one));
    }
    const sp_cut more = {.id = 90, .kind = SP_CUT_PERSON, .effect = SP_CUT_STEP_UP, .number = 90};
    assert_int_equal(sp_cuts_put(&cuts, &more).code, SP_ELIMIT);
    const sp_cut closes = {.id = 91, .kind = SP_CUT_RESOURCE, .name = "books"};
    assert_ok(sp_cuts_put(&cuts, &closes));
    assert_true(sp_cuts_remove(&cuts, 1));
    assert_ok(sp_cuts_put(&cuts, &more));
}

/* A decision is recalled for the very same question only, and a cut comes before it and leaves
 * nothing behind when it is gone. */
static void what_is_recalled_was_asked_so(void **state)
{
    (void)state;
    static sp_recall recall;
    fixture f = make();
    sp_policy_set *strict =
        help_set("{kind: Resource, name: books, operator: company, class: core}\n---\n"
                 "{kind: Rule, name: g, who: {any: true}, to: {any: true}, may: write}\n");
    const sp_policy *policy = sp_policy_set_view(f.set);
    sp_question q = {.who = &f.who,
                     .resource = sp_policy_resource_find(policy, SP_SPAN_LIT("books")),
                     .part = SP_NONE,
                     .action = SP_ACTION_READ,
                     .now_unix_s = NOW,
                     .cuts = &f.cuts};
    for (unsigned i = 0; i < 3; i++) {
        sp_decision d = sp_policy_recall(&recall, policy, 1, &q);
        sp_decision fresh = sp_policy_decide(policy, &q);
        assert_true(d.verdict == SP_VERDICT_ALLOW && fresh.verdict == d.verdict);
        assert_true(d.rule == fresh.rule && d.must == fresh.must && d.reason == fresh.reason);
    }
    put(&f, (sp_cut){.id = 1, .kind = SP_CUT_EVERYTHING}, "");
    assert_int_equal(sp_policy_recall(&recall, policy, 1, &q).reason, SP_REASON_CUT);
    assert_true(sp_cuts_remove(&f.cuts, 1));
    assert_int_equal(sp_policy_recall(&recall, policy, 1, &q).verdict, SP_VERDICT_ALLOW);

    /* another policy, action, subject */
    const sp_policy *other = sp_policy_set_view(strict);
    assert_int_equal(sp_policy_recall(&recall, other, 2, &q).verdict, SP_VERDICT_DENY);
    assert_int_equal(sp_policy_recall(&recall, policy, 1, &q).verdict, SP_VERDICT_ALLOW);
    sp_question write = q;
    write.action = SP_ACTION_WRITE;
    assert_int_equal(sp_policy_recall(&recall, policy, 1, &write).verdict, SP_VERDICT_DENY);
    sp_subject nobody = f.who;
    nobody.person = 0;
    sp_question of_nobody = q;
    of_nobody.who = &nobody;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(sp_policy_recall(&recall, policy, 1, &of_nobody).verdict, SP_VERDICT_DENY);
        assert_int_equal(sp_policy_recall(&recall, policy, 1, &q).verdict, SP_VERDICT_ALLOW);
    }
    sp_policy_set_free(strict);
    sp_policy_set_free(f.set);
}

/* Each thing that a decision depends on is one by which a recalled one is another's: with one place
 * for all of them, every change is a miss. */
static void each_part_of_a_question_counts(void **state)
{
    (void)state;
    static sp_recall recall;
    fixture f = make();
    const sp_policy *policy = sp_policy_set_view(f.set);
    const sp_question q = {.who = &f.who,
                           .resource = sp_policy_resource_find(policy, SP_SPAN_LIT("books")),
                           .part = SP_NONE,
                           .action = SP_ACTION_READ,
                           .now_unix_s = NOW};
    (void)sp_policy_recall(&recall, policy, 1, &q);
    sp_recalled kept = {0};
    for (size_t i = 0; i < SP_RECALL_PLACES; i++) {
        kept = recall.places[i].serial != 0 ? recall.places[i] : kept;
    }
    kept.decision.limit_rows = 77; /* so that it is seen when it is this one */
    for (unsigned which = 0; which < 9; which++) {
        sp_subject who = f.who;
        sp_question now = q;
        now.who = &who;
        now.now_unix_s += which == 1;
        now.face = which == 2 ? SP_FACE_DATABASE : now.face;
        who.strength ^= (uint8_t)(which == 3);
        who.posture ^= (uint8_t)(which == 4);
        who.owner ^= (uint8_t)(which == 5);
        who.approvals ^= (uint8_t)(which == 6);
        who.peer[15] ^= (uint8_t)(which == 7);
        who.roles[3] += which == 8;
        for (size_t i = 0; i < SP_RECALL_PLACES; i++) {
            recall.places[i] = kept;
        }
        bool is_recalled = sp_policy_recall(&recall, policy, 1, &now).limit_rows == 77;
        assert_int_equal(is_recalled, which == 0);
    }
    sp_policy_set_free(f.set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_meets_what_it_names),
        cmocka_unit_test(a_class_takes_graver_ones_with_it_and_goes_by_its_name),
        cmocka_unit_test(step_up_lets_who_proved_himself_since),
        cmocka_unit_test(an_end_is_an_end),
        cmocka_unit_test(the_last_row_is_for_everything),
        cmocka_unit_test(a_reader_without_a_quiet_moment_denies),
        cmocka_unit_test(words_are_read_back),
        cmocka_unit_test(test_step_ups_leave_room),
        cmocka_unit_test(what_is_recalled_was_asked_so),
        cmocka_unit_test(each_part_of_a_question_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

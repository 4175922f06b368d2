/* SPDX-License-Identifier: Apache-2.0
 * Random policies against a slow, obvious evaluator that knows nothing of the compiler: the same
 * verdict over the whole space; no never is broken at run time; a proof that passes is true, and
 * one that fails is about a hole that is there, in these resources or in some that may come to be.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC docs/POLICY.md "How a question is decided".
 */
#include "tests/unit/policy/help.h"

enum { ROLES = 3, CLASSES = 3, TAGS = 2, RULES_MAX = 8, NEVERS_MAX = 3, RESOURCES = 4, PEOPLE = 2 };
/* Parts of databases: table public.a of s0, its column x, and schema audit of s1. */
enum { TABLE_A, COLUMN_X, SCHEMA_AUDIT, PARTS, OBJECTS = RESOURCES + PARTS };
enum { IMAGINED = CLASSES << TAGS }; /* a resource of each class and tags, named by no rule */

/* A policy as the evaluator sees it: sets as bits, 0 = any. */
typedef struct {
    unsigned roles;
    unsigned people;
    bool any;
    unsigned owners;
    unsigned postures;
    unsigned resources;
    unsigned classes;
    unsigned tags;
    unsigned actions;
    bool deny;
    unsigned approvals;
    unsigned mfa;
    bool record;
} model_rule;

typedef struct {
    unsigned actions;
    unsigned classes;
    unsigned tags;
    unsigned resources;
    unsigned roles; /* 0 = anybody */
    unsigned owners;
    bool has_unless;
    unsigned unless_approvals;
    unsigned unless_owners;
    unsigned unless_mfa;
} model_never;

typedef struct {
    model_rule rules[RULES_MAX];
    size_t rules_count;
    model_never nevers[NEVERS_MAX];
    size_t nevers_count;
    unsigned class_of[OBJECTS + IMAGINED]; /* as they count: a table as its gravest column */
    unsigned tags_of[OBJECTS + IMAGINED];
    unsigned part_class[PARTS]; /* as they are written */
    unsigned part_tags[PARTS];
    bool r1_includes_r0;
    bool r1_excludes_r2;
} model;

typedef struct {
    unsigned roles;  /* bits */
    unsigned person; /* 0 = none of the named, else 1 + index */
    unsigned owner;
    unsigned posture;
    unsigned strength;
    unsigned approvals;
    unsigned object; /* a resource, a part, or an imagined resource */
    unsigned action;
} cell;

static uint64_t seed_state;

static unsigned dice(unsigned sides)
{
    seed_state ^= seed_state << 13;
    seed_state ^= seed_state >> 7;
    seed_state ^= seed_state << 17;
    return (unsigned)(seed_state >> 11) % sides;
}

/* Some bits of width, or none with the given chance in ten. */
static unsigned some_bits(unsigned width, unsigned none_in_ten)
{
    return dice(10) < none_in_ten ? 0 : 1 + dice((1U << width) - 1);
}

/* ---- making a policy ---- */

static model_rule random_rule(void)
{
    model_rule r = {.roles = some_bits(ROLES, 2),
                    .people = some_bits(PEOPLE, 8),
                    .owners = some_bits(SP_OWNER_COUNT, 4),
                    .postures = some_bits(SP_POSTURE_COUNT, 7),
                    .resources = some_bits(RESOURCES, 7),
                    .classes = some_bits(CLASSES, 3),
                    .tags = some_bits(TAGS, 7),
                    .actions = some_bits(SP_ACTION_COUNT, 0),
                    .deny = dice(4) == 0,
                    .approvals = dice(4) == 0 ? 1 + dice(2) : 0,
                    .mfa = dice(SP_STRENGTH_COUNT),
                    .record = dice(2) == 0};
    r.any = r.roles == 0 && r.people == 0;
    if (r.deny) {
        r.approvals = 0;
        r.mfa = 0;
        r.record = false;
    }
    return r;
}

static model_never random_never(void)
{
    model_never n = {.actions = some_bits(SP_ACTION_COUNT, 0) & some_bits(SP_ACTION_COUNT, 0),
                     .classes = some_bits(CLASSES, 3),
                     .tags = some_bits(TAGS, 6),
                     .resources = some_bits(RESOURCES, 8),
                     .roles = some_bits(ROLES, 6),
                     .owners = some_bits(SP_OWNER_COUNT, 5),
                     .has_unless = dice(2) == 0};
    if (n.actions == 0) {
        n.actions = 1;
    }
    if (n.has_unless) {
        n.unless_approvals = dice(3);
        n.unless_mfa = dice(SP_STRENGTH_COUNT);
        n.unless_owners = n.unless_approvals + n.unless_mfa == 0 ? 1U << SP_OWNER_COMPANY
                                                                 : some_bits(SP_OWNER_COUNT, 5);
    }
    return n;
}

static void random_parts(model *m)
{
    for (unsigned i = 0; i < PARTS; i++) {
        m->part_class[i] = dice(CLASSES);
        m->part_tags[i] = dice(1 << TAGS);
    }
    unsigned column_tags =
        m->part_tags[COLUMN_X] != 0 ? m->part_tags[COLUMN_X] : m->part_tags[TABLE_A];
    unsigned table_class = m->part_class[TABLE_A];
    unsigned column_class = m->part_class[COLUMN_X];
    m->class_of[RESOURCES + COLUMN_X] = column_class;
    m->tags_of[RESOURCES + COLUMN_X] = column_tags | m->tags_of[0];
    m->class_of[RESOURCES + TABLE_A] = table_class > column_class ? table_class : column_class;
    m->tags_of[RESOURCES + TABLE_A] = m->part_tags[TABLE_A] | column_tags | m->tags_of[0];
    m->class_of[RESOURCES + SCHEMA_AUDIT] = m->part_class[SCHEMA_AUDIT];
    m->tags_of[RESOURCES + SCHEMA_AUDIT] = m->part_tags[SCHEMA_AUDIT] | m->tags_of[1];
}

static model random_model(void)
{
    model m = {.rules_count = 1 + dice(RULES_MAX), .nevers_count = dice(NEVERS_MAX + 1)};
    for (size_t i = 0; i < m.rules_count; i++) {
        m.rules[i] = random_rule();
    }
    for (size_t i = 0; i < m.nevers_count; i++) {
        m.nevers[i] = random_never();
    }
    for (size_t i = 0; i < RESOURCES; i++) {
        m.class_of[i] = dice(CLASSES);
        m.tags_of[i] = dice(1 << TAGS);
    }
    for (unsigned i = 0; i < IMAGINED; i++) {
        m.class_of[OBJECTS + i] = i >> TAGS;
        m.tags_of[OBJECTS + i] = i & ((1U << TAGS) - 1);
    }
    random_parts(&m);
    m.r1_includes_r0 = dice(2) == 0;
    m.r1_excludes_r2 = dice(2) == 0;
    return m;
}

/* ---- writing it as documents ---- */

static void put_list(sp_buf *out, const char *key, const char *prefix, unsigned bits)
{
    if (bits == 0) {
        return;
    }
    const char *comma = "";
    sp_buf_fmt(out, "%s: [", key);
    for (unsigned i = 0; bits >> i != 0; i++) {
        if ((bits >> i & 1) != 0) {
            sp_buf_fmt(out, "%s%s%u", comma, prefix, i);
            comma = ", ";
        }
    }
    sp_buf_text(out, "], ");
}

static void put_words(sp_buf *out, const char *key, unsigned bits, const char *(*word)(unsigned))
{
    if (bits == 0) {
        return;
    }
    const char *comma = "";
    sp_buf_fmt(out, "%s: [", key);
    for (unsigned i = 0; bits >> i != 0; i++) {
        if ((bits >> i & 1) != 0) {
            sp_buf_fmt(out, "%s%s", comma, word(i));
            comma = ", ";
        }
    }
    sp_buf_text(out, "], ");
}

static const char *action(unsigned at)
{
    return sp_action_word((sp_action)at);
}

static const char *owner(unsigned at)
{
    return sp_owner_word((sp_owner)at);
}

static const char *posture(unsigned at)
{
    return sp_posture_word((sp_posture)at);
}

static void put_rule(sp_buf *out, const model_rule *r, size_t at)
{
    sp_buf_fmt(out, "---\nkind: Rule\nname: rule %zu\nwho: {", at);
    put_list(out, "roles", "r", r->roles);
    put_list(out, "people", "p", r->people);
    sp_buf_text(out, r->any ? "any: true}\n" : "}\n");
    if (r->owners + r->postures != 0) {
        sp_buf_text(out, "on: {");
        put_words(out, "owner", r->owners, owner);
        put_words(out, "posture", r->postures, posture);
        sp_buf_text(out, "}\n");
    }
    sp_buf_text(out, "to: {");
    put_list(out, "resources", "s", r->resources);
    put_list(out, "classes", "c", r->classes);
    put_list(out, "tags", "t", r->tags);
    sp_buf_text(out, r->resources + r->classes + r->tags == 0 ? "any: true}\n{" : "}\n{");
    out->len--; /* the flow mapping below gives back its own brace */
    auto_buf sp_buf actions = sp_buf_make(500);
    put_words(&actions, r->deny ? "deny" : "may", r->actions, action);
    sp_buf_drop(&actions, 0);
    sp_buf_span(out, sp_span_slice(sp_buf_borrow(&actions), 0, actions.len - 2));
    sp_buf_text(out, "\n");
    if (r->approvals > 0) {
        sp_buf_fmt(out, "ask: {approved_by: %u}\n", r->approvals);
    }
    if (r->mfa > 0) {
        sp_buf_fmt(out, "when: {mfa: %s}\n", sp_strength_word((sp_strength)r->mfa));
    }
    sp_buf_text(out, r->record ? "with: {record: true}\n" : "");
}

static void put_never(sp_buf *out, const model_never *n, size_t at)
{
    sp_buf_fmt(out, "---\n{kind: Never, name: never %zu, ", at);
    put_words(out, "actions", n->actions, action);
    put_list(out, "classes", "c", n->classes);
    put_list(out, "tags", "t", n->tags);
    put_list(out, "resources", "s", n->resources);
    if (n->roles != 0) {
        sp_buf_text(out, "who: {");
        put_list(out, "roles", "r", n->roles);
        sp_buf_text(out, "}, ");
    }
    if (n->owners != 0) {
        sp_buf_text(out, "on: {");
        put_words(out, "owner", n->owners, owner);
        sp_buf_text(out, "}, ");
    }
    if (n->has_unless) {
        sp_buf_text(out, "unless: {");
        if (n->unless_approvals > 0) {
            sp_buf_fmt(out, "approved_by: %u, ", n->unless_approvals);
        }
        if (n->unless_mfa > 0) {
            sp_buf_fmt(out, "mfa: %s, ", sp_strength_word((sp_strength)n->unless_mfa));
        }
        put_words(out, "owner", n->unless_owners, owner);
        sp_buf_text(out, "}, ");
    }
    sp_buf_text(out, "}\n");
}

static void put_parts(sp_buf *out, const model *m, unsigned resource)
{
    if (resource == 1) {
        sp_buf_fmt(out, "schema: audit, class: c%u, ", m->part_class[SCHEMA_AUDIT]);
        put_list(out, "tags", "t", m->part_tags[SCHEMA_AUDIT]);
        return;
    }
    sp_buf_fmt(out, "table: public.a, class: c%u, ", m->part_class[TABLE_A]);
    put_list(out, "tags", "t", m->part_tags[TABLE_A]);
    sp_buf_fmt(out, "columns: [{name: x, class: c%u, ", m->part_class[COLUMN_X]);
    put_list(out, "tags", "t", m->part_tags[COLUMN_X]);
    sp_buf_text(out, "}]");
}

static void put_model(sp_buf *out, const model *m)
{
    sp_buf_text(out, "{kind: Class, name: c0}\n---\n{kind: Class, name: c1, above: c0}\n---\n"
                     "{kind: Class, name: c2, above: c1}\n---\n{kind: Role, name: r0}\n---\n");
    sp_buf_fmt(out, "{kind: Role, name: r1%s%s}\n---\n{kind: Role, name: r2}\n",
               m->r1_includes_r0 ? ", includes: r0" : "",
               m->r1_excludes_r2 ? ", excludes: r2" : "");
    for (unsigned i = 0; i < RESOURCES; i++) {
        sp_buf_fmt(out, "---\n{kind: Resource, name: s%u, operator: company, class: c%u, ", i,
                   m->class_of[i]);
        put_list(out, "tags", "t", m->tags_of[i]);
        if (i < 2) {
            sp_buf_text(out,
                        "postgres: {address: db, databases: d, accounts: [{any: true, as: x}], "
                        "parts: [{");
            put_parts(out, m, i);
            sp_buf_text(out, "}]}");
        }
        sp_buf_text(out, "}\n");
    }
    for (size_t i = 0; i < m->rules_count; i++) {
        put_rule(out, &m->rules[i], i);
    }
    for (size_t i = 0; i < m->nevers_count; i++) {
        put_never(out, &m->nevers[i], i);
    }
}

/* ---- the evaluator: every word of docs/POLICY.md, nothing else ---- */

static bool in(unsigned set, unsigned member)
{
    return set == 0 || (set >> member & 1) != 0;
}

/* The resource that an object is or lies in; no rule can name an imagined one. */
static unsigned resource_of(const cell *c)
{
    static const unsigned OF_PART[PARTS] = {[TABLE_A] = 0, [COLUMN_X] = 0, [SCHEMA_AUDIT] = 1};
    bool part = c->object >= RESOURCES && c->object < OBJECTS;
    return part ? OF_PART[c->object - RESOURCES] : c->object;
}

static unsigned held(const model *m, const cell *c)
{
    return m->r1_includes_r0 && (c->roles & 2) != 0 ? c->roles | 1 : c->roles;
}

static bool rule_matches(const model *m, const model_rule *r, const cell *c)
{
    bool who = r->any || (held(m, c) & r->roles) != 0 ||
               (c->person > 0 && (r->people >> (c->person - 1) & 1) != 0);
    return who && in(r->owners, c->owner) && in(r->postures, c->posture) &&
           in(r->resources, resource_of(c)) && in(r->classes, m->class_of[c->object]) &&
           (r->tags == 0 || (r->tags & m->tags_of[c->object]) != 0) &&
           (r->actions >> c->action & 1) != 0 && c->strength >= r->mfa;
}

static bool never_forbids(const model *m, const model_never *n, const cell *c, unsigned approvals)
{
    bool about = (n->actions >> c->action & 1) != 0 && in(n->classes, m->class_of[c->object]) &&
                 (n->tags == 0 || (n->tags & m->tags_of[c->object]) != 0) &&
                 in(n->resources, resource_of(c)) && in(n->owners, c->owner) &&
                 (n->roles == 0 || (n->roles & held(m, c)) != 0);
    bool excepted = n->has_unless && approvals >= n->unless_approvals &&
                    in(n->unless_owners, c->owner) && c->strength >= n->unless_mfa;
    return about && !excepted;
}

static bool any_never_forbids(const model *m, const cell *c, unsigned approvals)
{
    for (size_t i = 0; i < m->nevers_count; i++) {
        if (never_forbids(m, &m->nevers[i], c, approvals)) {
            return true;
        }
    }
    return false;
}

typedef struct {
    sp_verdict verdict;
    unsigned approvals;
    bool record;
} answer;

static answer rules_say(const model *m, const cell *c)
{
    answer a = {SP_VERDICT_DENY, 0, false};
    for (size_t i = 0; i < m->rules_count; i++) {
        if (m->rules[i].deny && rule_matches(m, &m->rules[i], c)) {
            return a;
        }
    }
    for (size_t i = 0; i < m->rules_count; i++) {
        const model_rule *r = &m->rules[i];
        if (r->deny || !rule_matches(m, r, c)) {
            continue;
        }
        if (c->approvals >= r->approvals) {
            a.record = (a.verdict == SP_VERDICT_ALLOW && a.record) || r->record;
            a.verdict = SP_VERDICT_ALLOW;
            a.approvals = 0;
        } else if (a.verdict == SP_VERDICT_DENY ||
                   (a.verdict == SP_VERDICT_ASK && r->approvals < a.approvals)) {
            a = (answer){SP_VERDICT_ASK, r->approvals, false};
        }
    }
    return a;
}

static answer evaluate(const model *m, const cell *c)
{
    answer a = rules_say(m, c);
    unsigned approvals = a.verdict == SP_VERDICT_ASK ? a.approvals : c->approvals;
    if (a.verdict != SP_VERDICT_DENY && any_never_forbids(m, c, approvals)) {
        return (answer){SP_VERDICT_DENY, 0, false};
    }
    return a;
}

/* ---- the whole space ---- */

static bool roles_possible(const model *m, unsigned roles)
{
    return !(m->r1_excludes_r2 && (roles & 6) == 6);
}

static bool next_cell(cell *c, unsigned objects)
{
    unsigned *digits[] = {&c->roles,    &c->person,    &c->owner,  &c->posture,
                          &c->strength, &c->approvals, &c->object, &c->action};
    const unsigned ends[] = {1U << ROLES,       PEOPLE + 1, SP_OWNER_COUNT, SP_POSTURE_COUNT,
                             SP_STRENGTH_COUNT, 3,          objects,        SP_ACTION_COUNT};
    for (size_t i = 0; i < SP_COUNT(digits); i++) {
        if (++*digits[i] < ends[i]) {
            return true;
        }
        *digits[i] = 0;
    }
    return false;
}

typedef struct {
    uint32_t role_number[ROLES];
    uint32_t person_number[PEOPLE];
    uint32_t resource[OBJECTS]; /* of each object */
    uint32_t part[OBJECTS];
} numbers;

static sp_subject subject_of(const numbers *n, const cell *c)
{
    sp_subject who = {.person = c->person == 0 ? 1000000 : n->person_number[c->person - 1],
                      .owner = (uint8_t)c->owner,
                      .posture = (uint8_t)c->posture,
                      .strength = (uint8_t)c->strength,
                      .approvals = (uint8_t)c->approvals};
    for (unsigned i = 0; i < ROLES; i++) {
        if ((c->roles >> i & 1) != 0) {
            who.roles[n->role_number[i] / 64] |= UINT64_C(1) << (n->role_number[i] % 64);
        }
    }
    return who;
}

static void put_part_numbers(const sp_policy *view, numbers *n)
{
    static const char *const NAMES[PARTS][3] = {[TABLE_A] = {"public", "a", ""},
                                                [COLUMN_X] = {"public", "a", "x"},
                                                [SCHEMA_AUDIT] = {"audit", "anything", "y"}};
    for (unsigned i = 0; i < PARTS; i++) {
        uint32_t resource = n->resource[i == SCHEMA_AUDIT ? 1 : 0];
        n->resource[RESOURCES + i] = resource;
        n->part[RESOURCES + i] =
            sp_policy_database_part(view, resource, SP_SPAN_LIT("d"), sp_span_cstr(NAMES[i][0]),
                                    sp_span_cstr(NAMES[i][1]), sp_span_cstr(NAMES[i][2]))
                .part;
        assert_true(n->part[RESOURCES + i] != SP_NONE);
    }
}

static numbers numbers_of(const sp_policy_set *set)
{
    numbers n;
    static const char *const ROLE_NAMES[] = {"r0", "r1", "r2"};
    static const char *const RESOURCE_NAMES[] = {"s0", "s1", "s2", "s3"};
    static const char *const PERSON_NAMES[] = {"p0", "p1"};
    for (unsigned i = 0; i < ROLES; i++) {
        sp_policy_role role;
        assert_ok(sp_policy_set_role_find(set, sp_span_cstr(ROLE_NAMES[i]), &role));
        n.role_number[i] = role.number;
    }
    for (unsigned i = 0; i < RESOURCES; i++) {
        n.resource[i] =
            sp_policy_resource_find(sp_policy_set_view(set), sp_span_cstr(RESOURCE_NAMES[i]));
        assert_true(n.resource[i] != SP_NONE);
        n.part[i] = SP_NONE;
    }
    put_part_numbers(sp_policy_set_view(set), &n);
    for (unsigned i = 0; i < PEOPLE; i++) {
        sp_policy_ask ask = {.person = sp_span_cstr(PERSON_NAMES[i]),
                             .resource = SP_SPAN_LIT("s0"),
                             .tried = SP_SPAN_LIT("read")};
        sp_policy_told told;
        auto_diags sp_diags diags = {0};
        assert_ok(sp_policy_ask_words(set, &ask, &diags, &told));
        n.person_number[i] = told.who.person;
    }
    return n;
}

static size_t compare_all(const model *m, const sp_policy_set *set)
{
    numbers n = numbers_of(set);
    cell c = {0};
    size_t cells = 0;
    do {
        sp_subject who = subject_of(&n, &c);
        sp_question q = {
            &who, n.resource[c.object], n.part[c.object], (sp_action)c.action, 1770000000,
            NULL, SP_FACE_ANY};
        sp_decision got = sp_policy_decide(sp_policy_set_view(set), &q);
        answer want = evaluate(m, &c);
        bool same =
            got.verdict == want.verdict &&
            (want.verdict != SP_VERDICT_ASK || got.approvals == want.approvals) &&
            (want.verdict != SP_VERDICT_ALLOW || ((got.must & SP_MUST_RECORD) != 0) == want.record);
        if (!same) {
            print_message("roles %u person %u owner %u posture %u strength %u approvals %u "
                          "object %u action %s: got %s/%u, want %s/%u\n",
                          c.roles, c.person, c.owner, c.posture, c.strength, c.approvals, c.object,
                          action(c.action), sp_verdict_word((sp_verdict)got.verdict), got.approvals,
                          sp_verdict_word(want.verdict), want.approvals);
            return 0;
        }
        cells++;
    } while (next_cell(&c, OBJECTS));
    return cells;
}

/* Whether rules alone would let something happen that a never forbids, anywhere. */
static bool has_hole(const model *m, unsigned objects)
{
    cell c = {0};
    do {
        if (roles_possible(m, c.roles) && rules_say(m, &c).verdict == SP_VERDICT_ALLOW &&
            any_never_forbids(m, &c, c.approvals)) {
            return true;
        }
    } while (next_cell(&c, objects));
    return false;
}

/* Nevers at odds are errors of their own: such a policy says nothing about the proof. */
static bool only_proofs(const sp_diags *diags)
{
    for (size_t i = 0; i < diags->count; i++) {
        sp_span said = sp_span_cstr(diags->items[i].text);
        if (diags->items[i].level == SP_DIAG_ERROR &&
            sp_span_find(said, SP_SPAN_LIT("breaks never")) == said.len) {
            return false;
        }
    }
    return true;
}

/* The same policy without its nevers always compiles: what is left to compare is the rules. */
static void compare_rules(const model *m, const char *text)
{
    model bare = *m;
    auto_buf sp_buf out = sp_buf_make((size_t)1 << 16);
    auto_free char *without = NULL;
    bare.nevers_count = 0;
    put_model(&out, &bare);
    assert_ok(sp_buf_take_cstr(&out, &without));
    auto_policy_set sp_policy_set *set = help_set(without);
    if (compare_all(&bare, set) == 0) {
        print_message("%s\n", text);
        fail();
    }
}

static void same_as_brute_force(void **state)
{
    (void)state;
    size_t proven = 0;
    size_t broken = 0;
    for (unsigned round = 0; round < 120; round++) {
        seed_state = UINT64_C(0x9E3779B97F4A7C15) * (round + 1);
        model m = random_model();
        auto_buf sp_buf out = sp_buf_make((size_t)1 << 16);
        auto_free char *text = NULL;
        put_model(&out, &m);
        assert_ok(sp_buf_take_cstr(&out, &text));
        auto_diags sp_diags diags = {0};
        auto_policy_set sp_policy_set *set = NULL;
        sp_err err = help_compile(text, &diags, &set);
        bool hole = has_hole(&m, OBJECTS + IMAGINED);
        if (!sp_failed(err)) {
            proven += m.nevers_count > 0 ? 1 : 0;
            if (hole || compare_all(&m, set) == 0) {
                print_message("round %u, hole %d\n%s\n", round, hole, text);
                fail();
            }
        } else if (only_proofs(&diags)) {
            broken++;
            assert_true(hole);
        }
        compare_rules(&m, text);
    }
    /* the dice must have shown both sides, or the test proves nothing */
    print_message("%zu policies proven, %zu refused by the proof\n", proven, broken);
    assert_true(proven >= 5 && broken >= 5);
}

/* A proven policy, each of its safeguards taken away in turn: every time the proof must fail. */
static void mutants_are_refused(void **state)
{
    (void)state;
    static const char POLICY[] =
        "{kind: Role, name: a}\n---\n{kind: Role, name: b%s}\n---\n"
        "kind: Rule\nname: grant\nwho: {roles: [a]}\n%sto: {classes: [core, internal]}\n"
        "may: [export, destroy]\n%s%s---\n"
        "{kind: Rule, name: closed, who: {%s}, to: {tags: [pi]}, deny: [export]%s%s}\n---\n"
        "{kind: Never, name: two, actions: [destroy], unless: {approved_by: 2}}\n---\n"
        "{kind: Never, name: home, actions: [export], unless: {owner: company, mfa: totp}}\n---\n"
        "{kind: Never, name: apart, who: {roles: [b]}, actions: [export]}\n---\n"
        "{kind: Never, name: info, tags: [pi], actions: [export]}\n";
    static const char *const WHOLE[] = {", excludes: [a]",
                                        "on: {owner: company}\n",
                                        "ask: {approved_by: 2}\n",
                                        "when: {mfa: totp}\n",
                                        "any: true",
                                        "",
                                        ""};
    static const char *const BROKEN[] = {"",
                                         "",
                                         "ask: {approved_by: 1}\n",
                                         "when: {mfa: password}\n",
                                         "roles: [b]",
                                         ", on: {posture: healthy}",
                                         ", when: {hours: \"08:00-20:00\"}"};
    for (size_t mutant = 0; mutant <= SP_COUNT(WHOLE); mutant++) {
        const char *part[SP_COUNT(WHOLE)];
        for (size_t i = 0; i < SP_COUNT(WHOLE); i++) {
            part[i] = i + 1 == mutant ? BROKEN[i] : WHOLE[i];
        }
        auto_buf sp_buf text = sp_buf_make(4000);
        auto_free char *whole = NULL;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        sp_buf_fmt(&text, POLICY, part[0], part[1], part[2], part[3], part[4], part[5], part[6]);
#pragma GCC diagnostic pop
        assert_ok(sp_buf_take_cstr(&text, &whole));
        if (mutant == 0) {
            auto_policy_set sp_policy_set *set = help_set(whole);
            assert_non_null(set);
        } else {
            help_refused(whole, 0, "breaks never");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_brute_force),
        cmocka_unit_test(mutants_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

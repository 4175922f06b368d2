/* SPDX-License-Identifier: Apache-2.0
 * What changes from one set to another: documents, and the verdicts and duties of cells, for each
 * role and for each person whom a rule names. Hours and networks count as met.
 * OWNS nothing. PROCESS core, cli. TRUST both sets compiled; the work is bounded by CASES_MAX.
 * SPEC lib/policy/compile.h.
 */
#include "lib/policy/ask.h"
#include "lib/policy/schema.h"

#define CASES_MAX UINT64_C(20000000)
enum { DUTIES_MAX_BYTES = SP_TAGS_MAX * (SP_NAME_MAX_BYTES + 8) + 256 };

typedef struct {
    sp_span role;
    sp_span person; /* whom a rule names; empty: whoever has the role */
    sp_span resource;
    sp_span part;
    sp_span class_name;
    sp_action action;
    sp_owner owner;
    sp_posture posture;
    sp_strength strength;
    sp_verdict before;
    sp_verdict after;
    sp_span rule; /* that decides afterwards; may be empty */
    sp_span duties_before;
    sp_span duties_after;
} change;

typedef struct {
    const sp_policy_set *before; /* may be NULL */
    const sp_policy_set *after;
    size_t max_cells;
    size_t total;
    uint64_t cases;
    bool json;
    sp_buf *out;
} diffing;

/* ---- documents ---- */

static void put_document(diffing *d, sp_doc_kind kind, sp_span name, const char *what)
{
    if (!d->json) {
        sp_buf_fmt(d->out, "%-8s %-9s ", what, sp_doc_kind_word(kind));
        sp_buf_span(d->out, name);
        sp_buf_byte(d->out, '\n');
        return;
    }
    sp_span so_far = sp_buf_borrow(d->out);
    bool first = so_far.len > 0 && so_far.ptr[so_far.len - 1] == '[';
    sp_buf_fmt(d->out, "%s{\"kind\":\"%s\",\"change\":\"%s\",\"name\":", first ? "" : ",",
               sp_doc_kind_word(kind), what);
    sp_buf_json(d->out, name);
    sp_buf_byte(d->out, '}');
}

static sp_err index_of(const sp_policy_set *set, sp_doc_kind kind, name_table *names)
{
    const doc_maps none = {0};
    const doc_maps *maps = set == NULL ? &none : &set->docs.kinds[kind];
    for (size_t i = 0; i < maps->count; i++) {
        uint32_t at = 0;
        const doc_head *head = doc_at(maps, DOC_SCHEMAS[kind].struct_bytes, i);
        sp_err err = name_put(names, head->name.text, (uint32_t)i, &at);
        if (sp_failed(err) && err.code != SP_EEXISTS) {
            return err;
        }
    }
    return sp_ok();
}

static const doc_head *head_at(const sp_policy_set *set, sp_doc_kind kind, size_t at)
{
    return doc_at(&set->docs.kinds[kind], DOC_SCHEMAS[kind].struct_bytes, at);
}

static void compare_documents(diffing *d, sp_doc_kind kind, const name_table *old,
                              const name_table *new)
{
    for (size_t i = 0; i < d->after->docs.kinds[kind].count; i++) {
        const doc_head *head = head_at(d->after, kind, i);
        uint32_t at = 0;
        if (!name_get(old, head->name.text, &at)) {
            put_document(d, kind, head->name.text, "added");
        } else if (!sp_span_eq(
                       sp_span_of(head->hash, sizeof(head->hash)),
                       sp_span_of(head_at(d->before, kind, at)->hash, sizeof(head->hash)))) {
            put_document(d, kind, head->name.text, "changed");
        }
    }
    for (size_t i = 0; d->before != NULL && i < d->before->docs.kinds[kind].count; i++) {
        const doc_head *head = head_at(d->before, kind, i);
        uint32_t at = 0;
        if (!name_get(new, head->name.text, &at)) {
            put_document(d, kind, head->name.text, "removed");
        }
    }
}

static sp_err diff_documents(diffing *d)
{
    for (unsigned kind = 0; kind < SP_DOC_COUNT; kind++) {
        name_table old = {0};
        name_table new = {0};
        sp_err err = index_of(d->before, (sp_doc_kind)kind, &old);
        if (!sp_failed(err)) {
            err = index_of(d->after, (sp_doc_kind)kind, &new);
        }
        if (!sp_failed(err)) {
            compare_documents(d, (sp_doc_kind)kind, &old, &new);
        }
        name_table_done(&old);
        name_table_done(&new);
        TRY(err);
    }
    return sp_ok();
}

/* ---- cells ---- */

static void put_change_text(const diffing *d, const change *c)
{
    sp_span role = c->role.len > 0 ? c->role : SP_SPAN_LIT("(no role)");
    sp_span none = SP_SPAN_LIT("none");
    bool person = c->person.len > 0;
    sp_buf_fmt(d->out, "%-5s -> %-5s  %s%.*s: %s %.*s%s%.*s%.*s from %s/%s with %s%s%.*s%s",
               sp_verdict_word(c->before), sp_verdict_word(c->after), person ? "person " : "",
               SP_SPAN_ARG(person ? c->person : role), sp_action_word(c->action),
               SP_SPAN_ARG(c->class_name), c->resource.len > 0 ? " of " : "",
               SP_SPAN_ARG(c->resource), SP_SPAN_ARG(c->part), sp_owner_word(c->owner),
               sp_posture_word(c->posture), sp_strength_word(c->strength),
               c->rule.len > 0 ? "  ('" : "", SP_SPAN_ARG(c->rule), c->rule.len > 0 ? "')" : "");
    if (!sp_span_eq(c->duties_before, c->duties_after)) {
        sp_buf_fmt(d->out, "  duties: %.*s -> %.*s",
                   SP_SPAN_ARG(c->duties_before.len > 0 ? c->duties_before : none),
                   SP_SPAN_ARG(c->duties_after.len > 0 ? c->duties_after : none));
    }
    sp_buf_byte(d->out, '\n');
}

/* Nothing for an empty value. */
static void put_member(const diffing *d, const char *key, sp_span value)
{
    if (value.len > 0) {
        sp_buf_fmt(d->out, ",\"%s\":", key);
        sp_buf_json(d->out, value);
    }
}

static void put_change(diffing *d, const change *c)
{
    d->total++;
    if (d->total > d->max_cells) {
        return;
    }
    if (!d->json) {
        put_change_text(d, c);
        return;
    }
    sp_buf_text(d->out, d->total == 1 ? "{\"role\":" : ",{\"role\":");
    sp_buf_json(d->out, c->role);
    put_member(d, "person", c->person);
    put_member(d, "resource", c->resource);
    put_member(d, "part", c->part);
    sp_buf_text(d->out, ",\"class\":");
    sp_buf_json(d->out, c->class_name);
    sp_buf_fmt(d->out,
               ",\"action\":\"%s\",\"owner\":\"%s\",\"posture\":\"%s\",\"strength\":\"%s\","
               "\"before\":\"%s\",\"after\":\"%s\"",
               sp_action_word(c->action), sp_owner_word(c->owner), sp_posture_word(c->posture),
               sp_strength_word(c->strength), sp_verdict_word(c->before),
               sp_verdict_word(c->after));
    put_member(d, "rule", c->rule);
    if (!sp_span_eq(c->duties_before, c->duties_after)) {
        put_member(d, "duties_before", c->duties_before);
        put_member(d, "duties_after", c->duties_after);
    }
    sp_buf_byte(d->out, '}');
}

/* ---- duties ---- */

static void put_limit(sp_buf *out, uint64_t most, const char *of)
{
    if (most != 0) {
        sp_buf_fmt(out, "%sat most %llu %s", sp_buf_borrow(out).len > 0 ? ", " : "",
                   (unsigned long long)most, of);
    }
}

/* "record, mask personal-info, at most 100 rows": by names, since each set numbers its own tags. */
static void put_duties(const sp_policy_set *set, const sp_decision *d, sp_buf *out)
{
    static const char *const WORDS[] = {"record", NULL, "watch"};
    for (size_t i = 0; i < SP_COUNT(WORDS); i++) {
        if (WORDS[i] != NULL && (d->must >> i & 1) != 0) {
            sp_buf_fmt(out, "%s%s", sp_buf_borrow(out).len > 0 ? ", " : "", WORDS[i]);
        }
    }
    for (uint64_t bits = d->mask_tags; bits != 0; bits &= bits - 1) {
        sp_span tag = set->tags[__builtin_ctzll(bits)];
        sp_buf_fmt(out, "%smask %.*s", sp_buf_borrow(out).len > 0 ? ", " : "", SP_SPAN_ARG(tag));
    }
    put_limit(out, d->limit_bytes, "bytes");
    put_limit(out, d->limit_rows, "rows");
    put_limit(out, d->day_bytes, "bytes a day");
    put_limit(out, d->day_rows, "rows a day");
}

/* The same data in a set: false when the set has no such data. */
typedef struct {
    const sp_policy_set *set;
    policy_object object;
    bool there;
} side;

static sp_decision decide_side(const side *s, const change *c)
{
    sp_decision none = {.reason = SP_REASON_DEFAULT, .rule = SP_NONE};
    uint32_t at = 0;
    if (!s->there) {
        return none;
    }
    sp_subject who = {.person = SP_NONE - 1,
                      .owner = (uint8_t)c->owner,
                      .posture = (uint8_t)c->posture,
                      .strength = (uint8_t)c->strength};
    if (c->role.len > 0 && name_get(&s->set->role_names, c->role, &at)) {
        role_add(who.roles, s->set->roles[at].number);
    }
    if (c->person.len > 0 && name_get(&s->set->people, c->person, &at)) {
        who.person = at;
    }
    policy_case asked = {
        &who, s->object, c->action, 0, POLICY_FREE_TIME | POLICY_FREE_NETWORK, SP_FACE_ANY};
    uint32_t near = SP_NONE;
    return policy_decide_case(&s->set->view, &asked, &near);
}

typedef struct {
    sp_decision before;
    sp_decision after;
    bool differ;
} pair;

/* duties_before and duties_after are set when they were looked at, in the two rooms. */
static pair decide_both(diffing *d, const side sides[2], change *c, sp_buf rooms[2])
{
    pair p = {decide_side(&sides[0], c), decide_side(&sides[1], c), false};
    d->cases++;
    c->duties_before = SP_SPAN_EMPTY;
    c->duties_after = SP_SPAN_EMPTY;
    p.differ = p.before.verdict != p.after.verdict || p.before.approvals != p.after.approvals;
    if ((p.before.must | p.after.must) != 0 && p.before.verdict != SP_VERDICT_DENY &&
        p.after.verdict != SP_VERDICT_DENY) {
        sp_buf_reset(&rooms[0]);
        sp_buf_reset(&rooms[1]);
        put_duties(sides[0].set, &p.before, &rooms[0]);
        put_duties(sides[1].set, &p.after, &rooms[1]);
        c->duties_before = sp_buf_borrow(&rooms[0]);
        c->duties_after = sp_buf_borrow(&rooms[1]);
        p.differ |= !sp_span_eq(c->duties_before, c->duties_after);
    }
    return p;
}

static bool same_answer(const sp_decision *a, const sp_decision *b)
{
    return a->verdict == b->verdict && a->approvals == b->approvals && a->must == b->must &&
           a->mask_tags == b->mask_tags && a->limit_bytes == b->limit_bytes &&
           a->limit_rows == b->limit_rows && a->day_bytes == b->day_bytes &&
           a->day_rows == b->day_rows;
}

/* A person changes as everybody without a role does: that has been told. */
static bool is_everybodys(diffing *d, const side sides[2], const change *c, const pair *p)
{
    change nobody = *c;
    if (c->person.len == 0) {
        return false;
    }
    nobody.person = SP_SPAN_EMPTY;
    sp_decision before = decide_side(&sides[0], &nobody);
    sp_decision after = decide_side(&sides[1], &nobody);
    d->cases++;
    return same_answer(&before, &p->before) && same_answer(&after, &p->after);
}

/* One cell: the strongest sign-in at which the verdict or its duties change. */
static void compare_cell(diffing *d, const side sides[2], change *c)
{
    sp_buf rooms[2] = {sp_buf_make(DUTIES_MAX_BYTES), sp_buf_make(DUTIES_MAX_BYTES)};
    for (unsigned strength = SP_STRENGTH_COUNT; strength > 0; strength--) {
        c->strength = (sp_strength)(strength - 1);
        pair p = decide_both(d, sides, c, rooms);
        if (p.differ && !is_everybodys(d, sides, c, &p)) {
            c->before = (sp_verdict)p.before.verdict;
            c->after = (sp_verdict)p.after.verdict;
            c->rule =
                sides[1].there ? sp_policy_rule_name(&d->after->view, p.after.rule) : SP_SPAN_EMPTY;
            put_change(d, c);
            break;
        }
    }
    sp_buf_done(&rooms[0]);
    sp_buf_done(&rooms[1]);
}

static void compare_data(diffing *d, const side sides[2], change *c)
{
    for (unsigned action = 0; action < SP_ACTION_COUNT && d->cases < CASES_MAX; action++) {
        for (unsigned device = 0; device < SNAP_DEVICES; device++) {
            c->action = (sp_action)action;
            c->owner = (sp_owner)(device / SP_POSTURE_COUNT);
            c->posture = (sp_posture)(device % SP_POSTURE_COUNT);
            compare_cell(d, sides, c);
        }
    }
}

static bool has_role(const sp_policy_set *set, sp_span name)
{
    uint32_t at = 0;
    return set != NULL && name_get(&set->role_names, name, &at);
}

static bool names_before(const sp_policy_set *set, size_t rule, size_t at, sp_span name)
{
    for (size_t i = 0; i <= rule; i++) {
        const doc_texts *people = &set->rules[i]->who.people;
        for (size_t k = 0; k < (i == rule ? at : people->count); k++) {
            if (sp_span_eq(people->items[k].text, name)) {
                return true;
            }
        }
    }
    return false;
}

static bool names(const sp_policy_set *set, sp_span name)
{
    size_t count = set == NULL ? 0 : set->docs.kinds[SP_DOC_RULE].count;
    return count > 0 &&
           (names_before(set, count - 1, set->rules[count - 1]->who.people.count, name));
}

/* Each person whom a rule of the set names, and none of the other. */
static void compare_people(diffing *d, const sp_policy_set *of, const sp_policy_set *but,
                           const side sides[2], change *c)
{
    size_t count = of == NULL ? 0 : of->docs.kinds[SP_DOC_RULE].count;
    for (size_t i = 0; i < count && d->cases < CASES_MAX; i++) {
        const doc_texts *people = &of->rules[i]->who.people;
        for (size_t k = 0; k < people->count; k++) {
            c->person = people->items[k].text;
            if (!names_before(of, i, k, c->person) && !names(but, c->person)) {
                compare_data(d, sides, c);
            }
        }
    }
}

/* For nobody's role, then each role of the later set, then those that only the earlier one has. */
static void compare_roles(diffing *d, const side sides[2], change *c)
{
    c->role = SP_SPAN_EMPTY;
    compare_data(d, sides, c);
    for (size_t i = 0; i < d->after->role_count; i++) {
        c->role = d->after->roles[i].name;
        compare_data(d, sides, c);
    }
    for (size_t i = 0; d->before != NULL && i < d->before->role_count; i++) {
        c->role = d->before->roles[i].name;
        if (!has_role(d->after, c->role)) {
            compare_data(d, sides, c);
        }
    }
    c->role = SP_SPAN_EMPTY;
    compare_people(d, d->after, NULL, sides, c);
    compare_people(d, d->before, d->after, sides, c);
    c->person = SP_SPAN_EMPTY;
}

static side class_side(const sp_policy_set *set, sp_span class_name)
{
    uint32_t at = 0;
    side s = {.set = set, .object = {.resource = SP_NONE}};
    s.there = set != NULL && name_get(&set->class_names, class_name, &at);
    s.object.class_level = (uint8_t)at;
    return s;
}

static side resource_side(const sp_policy_set *set, sp_span resource, sp_span part)
{
    side s = {.set = set};
    uint32_t at = set == NULL ? SP_NONE : sp_policy_resource_find(&set->view, resource);
    uint32_t part_at = SP_NONE;
    if (at == SP_NONE) {
        return s;
    }
    const snap_resource *r = (const snap_resource *)snap_at(&set->view, SNAP_RESOURCES) + at;
    const snap_part *parts = snap_at(&set->view, SNAP_PARTS);
    for (uint32_t i = r->parts.at; part.len > 0 && i < r->parts.at + r->parts.count; i++) {
        if (sp_span_eq(snap_span(&set->view, parts[i].path), part)) {
            part_at = i;
        }
    }
    s.there = (part.len == 0 || part_at != SP_NONE) &&
              policy_object_of(&set->view, at, part_at, &s.object);
    return s;
}

static void compare_resource(diffing *d, const sp_policy_set *of, uint32_t at, bool skip_common)
{
    const snap_resource *r = (const snap_resource *)snap_at(&of->view, SNAP_RESOURCES) + at;
    const snap_part *parts = snap_at(&of->view, SNAP_PARTS);
    for (uint32_t i = 0; i <= r->parts.count; i++) {
        change c = {.resource = snap_span(&of->view, r->name)};
        const snap_part *part = i == 0 ? NULL : &parts[r->parts.at + i - 1];
        c.part = part == NULL ? SP_SPAN_EMPTY : snap_span(&of->view, part->path);
        side sides[2] = {resource_side(d->before, c.resource, c.part),
                         resource_side(d->after, c.resource, c.part)};
        bool common = sides[0].there && sides[1].there;
        uint8_t level = part == NULL ? r->class_level : part->class_level;
        uint64_t tags = part == NULL ? r->tags : part->tags;
        bool like_class = common && tags == 0 && r->rules.count == 0 &&
                          sides[0].object.class_level == sides[1].object.class_level &&
                          sides[0].object.tags == 0 && sides[1].object.tags == 0;
        c.class_name = sp_policy_class_name(&of->view, level);
        if (!like_class && !(skip_common && common)) {
            compare_roles(d, sides, &c);
        }
    }
}

static void diff_cells(diffing *d)
{
    for (size_t i = 0; i < d->after->class_count; i++) {
        change c = {.class_name = d->after->classes[i].name};
        side sides[2] = {class_side(d->before, c.class_name), class_side(d->after, c.class_name)};
        compare_roles(d, sides, &c);
    }
    for (uint32_t i = 0; i < sp_policy_resource_count(&d->after->view); i++) {
        compare_resource(d, d->after, i, false);
    }
    uint32_t old = d->before == NULL ? 0 : sp_policy_resource_count(&d->before->view);
    for (uint32_t i = 0; i < old; i++) {
        compare_resource(d, d->before, i, true);
    }
}

sp_err sp_policy_diff_json(const sp_policy_set *before, const sp_policy_set *after,
                           size_t max_cells, sp_buf *out)
{
    diffing d = {before, after, max_cells, 0, 0, true, out};
    sp_buf_text(out, "{\"documents\":[");
    TRY(diff_documents(&d));
    sp_buf_text(out, "],\"cells\":[");
    diff_cells(&d);
    sp_buf_fmt(out, "],\"cells_total\":%zu,\"complete\":%s}", d.total,
               d.cases < CASES_MAX ? "true" : "false");
    return sp_buf_error(out);
}

sp_err sp_policy_diff_text(const sp_policy_set *before, const sp_policy_set *after,
                           size_t max_cells, sp_buf *out)
{
    diffing d = {before, after, max_cells, 0, 0, false, out};
    TRY(diff_documents(&d));
    diff_cells(&d);
    if (d.total > max_cells) {
        sp_buf_fmt(out, "... and %zu more cells\n", d.total - max_cells);
    }
    sp_buf_fmt(out, "%zu cells change%s\n", d.total,
               d.cases < CASES_MAX ? "" : " (too much to compare: stopped early)");
    return sp_buf_error(out);
}

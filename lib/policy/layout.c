/* SPDX-License-Identifier: Apache-2.0
 * Lays the resolved records out as the snapshot's bytes: bit rows, lists, sections, header, sum.
 * OWNS the bytes through the set. PROCESS core, cli. TRUST all names are resolved; sizes are
 * bounded by SP_POLICY_SNAPSHOT_MAX_BYTES. SPEC lib/policy/snapshot.h.
 */
#include "lib/policy/set.h"

#include <stdlib.h>

static void set_bit(uint64_t *rows, size_t words, size_t row, size_t bit)
{
    rows[row * words + bit / 64] |= UINT64_C(1) << (bit % 64);
}

/* A bit for each action and class that the record is about. */
static void put_action_rows(uint64_t *rows, size_t words, uint32_t classes, size_t bit,
                            unsigned actions, unsigned class_bits)
{
    for (unsigned action = 0; action < SP_ACTION_COUNT; action++) {
        for (unsigned class = 0; class < classes; class ++) {
            if ((actions >> action & 1) != 0 && (class_bits >> class & 1) != 0) {
                set_bit(rows, words, snap_row_action(classes, action, class), bit);
            }
        }
    }
}

static void put_device_rows(uint64_t *rows, size_t words, uint32_t classes, size_t bit,
                            const snap_rule *rule)
{
    for (unsigned device = 0; device < SNAP_DEVICES; device++) {
        for (unsigned strength = rule->strength; strength < SP_STRENGTH_COUNT; strength++) {
            if ((rule->devices >> device & 1) != 0) {
                set_bit(rows, words, snap_row_device(classes, device, strength), bit);
            }
        }
    }
}

static void put_role_rows(uint64_t *rows, size_t words, uint32_t classes, size_t bit,
                          const snap_rule *rule)
{
    for (size_t word = 0; word < SP_ROLE_WORDS; word++) {
        for (uint64_t bits = rule->roles[word]; bits != 0; bits &= bits - 1) {
            unsigned role = (unsigned)(word * 64) + (unsigned)__builtin_ctzll(bits);
            set_bit(rows, words, snap_row_role(classes, role), bit);
        }
    }
    if (rule->everyone != 0) {
        set_bit(rows, words, snap_row_role(classes, SNAP_EVERYONE), bit);
    }
}

static sp_err put_rows(sp_policy_set *set)
{
    uint32_t classes = (uint32_t)set->class_count;
    size_t count = set->sections[SNAP_RULES].count;
    size_t words = snap_words(count);
    uint64_t *rows = NULL;
    TRY(vec_add(&set->sections[SNAP_ROWS], snap_row_count(classes) * words, &rows));
    const snap_rule *rules = set->sections[SNAP_RULES].items;
    for (size_t i = 0; i < count; i++) {
        const snap_rule *rule = &rules[i];
        if (rule->resources.count == 0) {
            put_action_rows(rows, words, classes, i, rule->actions, rule->classes);
        }
        put_device_rows(rows, words, classes, i, rule);
        put_role_rows(rows, words, classes, i, rule);
    }
    const snap_never *nevers = set->sections[SNAP_NEVERS].items;
    size_t never_words = snap_words(set->sections[SNAP_NEVERS].count);
    TRY(vec_add(&set->sections[SNAP_NEVER_ROWS], (size_t)SP_ACTION_COUNT * classes * never_words,
                &rows));
    for (size_t i = 0; i < set->sections[SNAP_NEVERS].count; i++) {
        put_action_rows(rows, never_words, classes, i, nevers[i].actions, nevers[i].classes);
    }
    return sp_ok();
}

/* For each resource, the rules that name it, ascending. */
static sp_err put_resource_rules(sp_policy_set *set)
{
    vec *lists = &set->sections[SNAP_LISTS];
    const snap_rule *rules = set->sections[SNAP_RULES].items;
    snap_resource *resources = set->sections[SNAP_RESOURCES].items;
    size_t total = 0;
    for (size_t i = 0; i < set->sections[SNAP_RULES].count; i++) {
        const uint32_t *named = (const uint32_t *)lists->items + rules[i].resources.at;
        for (uint32_t k = 0; k < rules[i].resources.count; k++) {
            resources[named[k]].rules.count++;
            total++;
        }
    }
    size_t at = lists->count;
    uint32_t *room = NULL;
    TRY(vec_add(lists, total, &room));
    for (size_t i = 0; i < set->sections[SNAP_RESOURCES].count; i++) {
        resources[i].rules.at = (uint32_t)at;
        at += resources[i].rules.count;
        resources[i].rules.count = 0;
    }
    uint32_t *all = lists->items;
    for (size_t i = 0; i < set->sections[SNAP_RULES].count; i++) {
        for (uint32_t k = 0; k < rules[i].resources.count; k++) {
            snap_run *run = &resources[all[rules[i].resources.at + k]].rules;
            all[run->at + run->count++] = (uint32_t)i;
        }
    }
    return sp_ok();
}

static int compare_namings(const void *a, const void *b)
{
    const set_naming *one = a;
    const set_naming *other = b;
    if (one->person != other->person) {
        return one->person < other->person ? -1 : 1;
    }
    return (one->rule > other->rule) - (one->rule < other->rule);
}

static sp_err put_people(sp_policy_set *set)
{
    set_naming *namings = set->namings.items;
    size_t count = set->namings.count;
    if (count > 1) {
        qsort(namings, count, sizeof(*namings), compare_namings);
    }
    snap_person *person = NULL;
    for (size_t i = 0; i < count; i++) {
        uint32_t *room = NULL;
        uint32_t at = (uint32_t)set->sections[SNAP_LISTS].count;
        if (person == NULL || person->number != namings[i].person) {
            TRY(vec_add(&set->sections[SNAP_PEOPLE], 1, &person));
            *person = (snap_person){namings[i].person, {at, 0}};
        }
        TRY(vec_add(&set->sections[SNAP_LISTS], 1, &room));
        *room = namings[i].rule;
        person->rules.count++;
    }
    return sp_ok();
}

static sp_err put_classes(sp_policy_set *set)
{
    for (size_t i = 0; i < set->class_count; i++) {
        snap_class *room = NULL;
        snap_text name = {0};
        TRY(set_text(set, set->classes[i].name, &name));
        TRY(vec_add(&set->sections[SNAP_CLASSES], 1, &room));
        bool record = set->classes[i].doc != NULL && set->classes[i].doc->record == DOC_TRUE;
        *room = (snap_class){.name = name, .must = record ? SP_MUST_RECORD : 0};
    }
    return sp_ok();
}

static size_t aligned(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

static sp_err write_bytes(compiling *c)
{
    sp_policy_set *set = c->set;
    size_t size = sizeof(snap_head);
    for (size_t i = 0; i < SNAP_SECTION_COUNT; i++) {
        size += aligned(set->sections[i].count * SNAP_RECORD_BYTES[i]);
    }
    if (size > SP_POLICY_SNAPSHOT_MAX_BYTES) {
        sp_diags_add(c->diags, SP_DIAG_ERROR, NULL, 0, 0,
                     "the compiled policy would take %zu bytes; at most %d are served. Name fewer "
                     "rules, or fewer resources a rule",
                     size, SP_POLICY_SNAPSHOT_MAX_BYTES);
        return sp_fail(SP_EINVALID);
    }
    TRY(sp_alloc(size, 1, &set->snapshot));
    set->snapshot_bytes = size;
    snap_head head = {.magic = SNAP_MAGIC,
                      .format = SNAP_FORMAT,
                      .class_count = (uint32_t)set->class_count,
                      .size_bytes = size,
                      .version = c->input->version};
    sp_copy(head.digest, set->digest.bytes, sizeof(head.digest));
    size_t at = sizeof(head);
    for (size_t i = 0; i < SNAP_SECTION_COUNT; i++) {
        size_t bytes = set->sections[i].count * SNAP_RECORD_BYTES[i];
        head.sections[i] = (snap_section){at, set->sections[i].count};
        sp_copy(set->snapshot + at, set->sections[i].items, bytes);
        at += aligned(bytes);
    }
    sp_copy(set->snapshot, &head, sizeof(head));
    size_t summed = sizeof(head) - sizeof(head.checksum);
    sp_span parts[2] = {sp_span_of(set->snapshot, summed),
                        sp_span_of(set->snapshot + sizeof(head), size - sizeof(head))};
    sp_hash hash = sp_sha256_parts(parts, SP_COUNT(parts));
    sp_copy(set->snapshot + summed, hash.bytes, sizeof(hash.bytes));
    return sp_policy_open(sp_span_of(set->snapshot, size), &set->view);
}

sp_err set_layout(compiling *c)
{
    sp_policy_set *set = c->set;
    TRY(put_classes(set));
    TRY(put_rows(set));
    TRY(put_resource_rules(set));
    TRY(put_people(set));
    TRY(write_bytes(c));
    for (size_t i = 0; i < SNAP_SECTION_COUNT; i++) {
        vec_done(&set->sections[i]); /* the snapshot holds it all now */
    }
    name_table_done(&set->texts);
    return sp_ok();
}

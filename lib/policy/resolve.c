/* SPDX-License-Identifier: Apache-2.0
 * Names to numbers: the order of classes, tags, roles with what they include and exclude, people.
 * OWNS nothing. PROCESS core, cli. TRUST documents passed the schema; cycles and unknown names are
 * found here. SPEC docs/POLICY.md.
 */
#include "lib/policy/set.h"

#include "lib/policy/schema.h"

#include <stdarg.h>
#include <stdio.h>

enum { MESSAGE_BYTES = 500 };

void set_error(const compiling *c, const doc_place *place, const char *format, ...)
{
    char text[MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    sp_diags_add(c->diags, SP_DIAG_ERROR, place->file, place->line, place->column, "%s", text);
}

void set_unknown(const compiling *c, const char *file, const doc_text *name, const char *what,
                 const name_table *known)
{
    sp_span nearest = name_nearest(known, name->text);
    if (nearest.len > 0) {
        sp_diags_add(c->diags, SP_DIAG_ERROR, file, name->line, name->column,
                     "unknown %s '%.*s'; did you mean '%.*s'?", what, SP_SPAN_ARG(name->text),
                     SP_SPAN_ARG(nearest));
    } else {
        sp_diags_add(c->diags, SP_DIAG_ERROR, file, name->line, name->column,
                     "unknown %s '%.*s'; no document defines it", what, SP_SPAN_ARG(name->text));
    }
}

sp_err set_text(sp_policy_set *set, sp_span text, snap_text *ret_text)
{
    vec *section = &set->sections[SNAP_TEXT];
    uint32_t at = 0;
    *ret_text = (snap_text){0, 0};
    if (text.len == 0) {
        return sp_ok();
    }
    sp_err err = name_put(&set->texts, text, (uint32_t)section->count, &at);
    if (!sp_failed(err)) {
        uint8_t *room = NULL;
        TRY(vec_add(section, text.len, &room));
        sp_copy(room, text.ptr, text.len);
    } else if (err.code != SP_EEXISTS) {
        return err;
    }
    *ret_text = (snap_text){at, (uint32_t)text.len};
    return sp_ok();
}

sp_err set_duplicates(compiling *c, sp_doc_kind kind)
{
    name_table seen = {0};
    const doc_maps *maps = &c->set->docs.kinds[kind];
    sp_err err = sp_ok();
    for (size_t i = 0; i < maps->count && !sp_failed(err); i++) {
        const doc_head *head = doc_at(maps, DOC_SCHEMAS[kind].struct_bytes, i);
        uint32_t first = 0;
        err = name_put(&seen, head->name.text, (uint32_t)i, &first);
        if (err.code == SP_EEXISTS) {
            const doc_head *other = doc_at(maps, DOC_SCHEMAS[kind].struct_bytes, first);
            sp_diags_add(c->diags, SP_DIAG_ERROR, head->place.file, head->name.line,
                         head->name.column, "%s '%.*s' stands twice; the first is in %s:%u",
                         sp_doc_kind_word(kind), SP_SPAN_ARG(head->name.text), other->place.file,
                         other->name.line);
            err = sp_ok();
        }
    }
    name_table_done(&seen);
    return err;
}

/* ---- classes ---- */

static sp_err put_class(compiling *c, sp_span name, const doc_class *doc)
{
    sp_policy_set *set = c->set;
    uint32_t at = 0;
    sp_err err = name_put(&set->class_names, name, (uint32_t)set->class_count, &at);
    if (err.code == SP_EEXISTS) {
        return sp_ok(); /* told by set_duplicates */
    }
    TRY(err);
    set->classes[set->class_count++] = (set_class){name, doc};
    return sp_ok();
}

static const doc_class *class_above(const doc_set *docs, sp_span below)
{
    DOC_EACH(docs, SP_DOC_CLASS, doc_class, class)
    {
        if (class->above.line == 0 ? below.len == 0 : sp_span_eq(class->above.text, below)) {
            return class;
        }
    }
    return NULL;
}

static sp_err resolve_classes(compiling *c)
{
    const doc_set *docs = &c->set->docs;
    if (docs->kinds[SP_DOC_CLASS].count == 0) {
        static const char *const DEFAULTS[] = {"public", "internal", "sensitive", "core"};
        for (size_t i = 0; i < SP_COUNT(DEFAULTS); i++) {
            TRY(put_class(c, sp_span_cstr(DEFAULTS[i]), NULL));
        }
        return sp_ok();
    }
    size_t total = docs->kinds[SP_DOC_CLASS].count;
    const doc_class *class = class_above(docs, SP_SPAN_EMPTY);
    for (size_t i = 0; i < total && class != NULL; i++) {
        TRY(put_class(c, class->head.name.text, class));
        class = class_above(docs, class->head.name.text);
    }
    /* Whoever is not on the one chain stands on a cycle, a fork, or on nothing. */
    DOC_EACH(docs, SP_DOC_CLASS, doc_class, other)
    {
        uint32_t at = 0;
        if (name_get(&c->set->class_names, other->head.name.text, &at) &&
            c->set->classes[at].doc == other) {
            continue;
        }
        set_error(c, &other->head.place,
                  "class '%.*s' is not in the one order of classes: each class but the lowest "
                  "names the one directly below it in 'above', without cycles, and no two the "
                  "same",
                  SP_SPAN_ARG(other->head.name.text));
    }
    return sp_ok();
}

sp_err set_class_bits(const compiling *c, const char *file, const doc_texts *names,
                      uint16_t *ret_bits)
{
    *ret_bits = 0;
    for (size_t i = 0; i < names->count; i++) {
        uint32_t at = 0;
        if (name_get(&c->set->class_names, names->items[i].text, &at)) {
            *ret_bits |= (uint16_t)(1U << at);
        } else {
            set_unknown(c, file, &names->items[i], "class", &c->set->class_names);
        }
    }
    return sp_ok();
}

sp_err set_tag_bits(const compiling *c, const char *file, const doc_texts *names,
                    uint64_t *ret_bits)
{
    sp_policy_set *set = c->set;
    *ret_bits = 0;
    for (size_t i = 0; i < names->count; i++) {
        const doc_text *name = &names->items[i];
        uint32_t at = 0;
        if (!name_get(&set->tag_names, name->text, &at)) {
            if (set->tag_count == SP_TAGS_MAX) {
                sp_diags_add(c->diags, SP_DIAG_ERROR, file, name->line, name->column,
                             "more than %d different tags, which is the limit", SP_TAGS_MAX);
                return sp_ok();
            }
            TRY(name_put(&set->tag_names, name->text, (uint32_t)set->tag_count, &at));
            set->tags[set->tag_count++] = name->text;
        }
        *ret_bits |= UINT64_C(1) << at;
    }
    return sp_ok();
}

/* ---- roles ---- */

static const struct {
    const char *name;
    uint32_t number;
} BUILT_IN[] = {{"system-admin", 1}, {"security-admin", 2}, {"audit-admin", 3}};

enum { FIRST_FREE_ROLE = 4 };

static sp_err put_role(compiling *c, sp_span name, const doc_role *doc)
{
    sp_policy_set *set = c->set;
    static const doc_place NOWHERE = {0};
    uint32_t at = 0;
    if (name_get(&set->role_names, name, &at)) {
        return sp_ok(); /* a built-in one with a document, or told by set_duplicates */
    }
    if (set->role_count == SP_ROLES_MAX) {
        set_error(c, doc == NULL ? &NOWHERE : &doc->head.place,
                  "more than %d roles, the three built-in ones included, which is the limit",
                  SP_ROLES_MAX);
        return sp_ok();
    }
    TRY(name_put(&set->role_names, name, (uint32_t)set->role_count, &at));
    set->roles[set->role_count++] = (set_role){.name = name, .doc = doc, .number = SP_NONE};
    return sp_ok();
}

static void built_in_numbers(sp_policy_set *set, bool taken[SP_ROLES_MAX])
{
    taken[0] = true;
    for (size_t i = 0; i < SP_COUNT(BUILT_IN); i++) {
        uint32_t at = 0;
        taken[BUILT_IN[i].number] = true;
        if (name_get(&set->role_names, sp_span_cstr(BUILT_IN[i].name), &at)) {
            set->roles[at].number = BUILT_IN[i].number;
        }
    }
}

/* What core has given stays, whatever becomes of the documents. A number that is taken already
 * would make two roles one, so it is not believed. */
static void given_numbers(compiling *c, bool taken[SP_ROLES_MAX])
{
    sp_policy_set *set = c->set;
    for (size_t i = 0; i < c->input->roles_count; i++) {
        const sp_policy_number *given = &c->input->roles[i];
        uint32_t at = 0;
        bool documented = name_get(&set->role_names, given->name, &at);
        if (documented && set->roles[at].number == given->number) {
            continue; /* a built-in one */
        }
        if (given->number >= SP_ROLES_MAX || taken[given->number]) {
            set_error(c, &(const doc_place){0}, "role '%.*s' has the number %u of another role",
                      SP_SPAN_ARG(given->name), given->number);
            continue;
        }
        taken[given->number] = true;
        if (documented) {
            set->roles[at].number = given->number;
        }
    }
}

static void number_roles(compiling *c)
{
    sp_policy_set *set = c->set;
    bool taken[SP_ROLES_MAX] = {false};
    built_in_numbers(set, taken);
    given_numbers(c, taken);
    uint32_t next = FIRST_FREE_ROLE;
    for (size_t i = 0; i < set->role_count; i++) {
        set_role *role = &set->roles[i];
        if (role->number == SP_NONE) {
            while (next < SP_ROLES_MAX && taken[next]) {
                next++;
            }
            if (next == SP_ROLES_MAX) {
                set_error(c, &role->doc->head.place,
                          "no number is left for role '%.*s': %d were given since the office "
                          "began, which is the limit",
                          SP_SPAN_ARG(role->name), SP_ROLES_MAX);
                role->number = 0;
                continue;
            }
            role->number = next;
            role->is_new = true;
            taken[next] = true;
        }
        set->role_of[role->number] = (uint16_t)(i + 1);
    }
}

const set_role *set_role_numbered(const sp_policy_set *set, unsigned number)
{
    unsigned at = number < SP_ROLES_MAX ? set->role_of[number] : 0;
    return at == 0 ? NULL : &set->roles[at - 1];
}

/* implies := the closure of includes. A cycle makes its roles one and the same, so it is refused.
 */
static void close_includes(compiling *c)
{
    sp_policy_set *set = c->set;
    for (size_t i = 0; i < set->role_count; i++) {
        set_role *role = &set->roles[i];
        const doc_texts none = {0};
        const doc_texts *names = role->doc == NULL ? &none : &role->doc->includes;
        for (size_t j = 0; j < names->count; j++) {
            uint32_t at = 0;
            if (name_get(&set->role_names, names->items[j].text, &at)) {
                role_add(role->implies, set->roles[at].number);
            } else {
                set_unknown(c, role->doc->head.place.file, &names->items[j], "role",
                            &set->role_names);
            }
        }
    }
    for (size_t k = 0; k < set->role_count; k++) { /* Warshall, a row at once */
        for (size_t i = 0; i < set->role_count; i++) {
            if (role_bit(set->roles[i].implies, set->roles[k].number)) {
                for (size_t w = 0; w < SP_ROLE_WORDS; w++) {
                    set->roles[i].implies[w] |= set->roles[k].implies[w];
                }
            }
        }
    }
    for (size_t i = 0; i < set->role_count; i++) {
        set_role *role = &set->roles[i];
        if (role->doc != NULL && role_bit(role->implies, role->number)) {
            set_error(c, &role->doc->head.place,
                      "role '%.*s' includes itself, through others or "
                      "directly",
                      SP_SPAN_ARG(role->name));
        }
        role_add(role->implies, role->number);
    }
    for (size_t i = 0; i < set->role_count; i++) {
        for (size_t k = 0; k < set->role_count; k++) {
            if (role_bit(set->roles[i].implies, set->roles[k].number)) {
                role_add(set->roles[k].implied_by, set->roles[i].number);
            }
        }
    }
}

static void exclude(sp_policy_set *set, const set_role *one, const set_role *other)
{
    for (size_t i = 0; i < set->role_count; i++) {
        if (role_bit(one->implied_by, set->roles[i].number)) {
            for (size_t w = 0; w < SP_ROLE_WORDS; w++) {
                set->roles[i].clashes[w] |= other->implied_by[w];
            }
        }
        if (role_bit(other->implied_by, set->roles[i].number)) {
            for (size_t w = 0; w < SP_ROLE_WORDS; w++) {
                set->roles[i].clashes[w] |= one->implied_by[w];
            }
        }
    }
}

static void close_excludes(compiling *c)
{
    sp_policy_set *set = c->set;
    for (size_t i = 0; i < set->role_count; i++) {
        const set_role *role = &set->roles[i];
        const doc_texts none = {0};
        const doc_texts *names = role->doc == NULL ? &none : &role->doc->excludes;
        for (size_t j = 0; j < names->count; j++) {
            uint32_t at = 0;
            if (name_get(&set->role_names, names->items[j].text, &at)) {
                exclude(set, role, &set->roles[at]);
            } else {
                set_unknown(c, role->doc->head.place.file, &names->items[j], "role",
                            &set->role_names);
            }
        }
    }
    for (size_t i = 0; i < SP_COUNT(BUILT_IN); i++) {
        for (size_t j = i + 1; j < SP_COUNT(BUILT_IN); j++) {
            exclude(set, set_role_numbered(set, BUILT_IN[i].number),
                    set_role_numbered(set, BUILT_IN[j].number));
        }
    }
    for (size_t i = 0; i < set->role_count; i++) {
        const set_role *role = &set->roles[i];
        if (role->doc != NULL && role_bit(role->clashes, role->number)) {
            set_error(c, &role->doc->head.place,
                      "nobody could hold role '%.*s': it includes roles that exclude each other, "
                      "or excludes itself",
                      SP_SPAN_ARG(role->name));
        }
    }
}

static sp_err resolve_roles(compiling *c)
{
    DOC_EACH(&c->set->docs, SP_DOC_ROLE, doc_role, role)
    {
        TRY(put_role(c, role->head.name.text, role));
    }
    for (size_t i = 0; i < SP_COUNT(BUILT_IN); i++) {
        TRY(put_role(c, sp_span_cstr(BUILT_IN[i].name), NULL));
    }
    if (c->set->role_count == SP_ROLES_MAX && c->diags->errors > 0) {
        return sp_ok(); /* too many: numbers and closures would be of some only */
    }
    number_roles(c);
    close_includes(c);
    close_excludes(c);
    return sp_ok();
}

/* ---- people ---- */

static sp_err resolve_people(compiling *c)
{
    sp_policy_set *set = c->set;
    set->people_open = c->input->people_open;
    set->people_next = 1;
    for (size_t i = 0; i < c->input->people_count; i++) {
        const sp_policy_number *given = &c->input->people[i];
        sp_span name = SP_SPAN_EMPTY;
        uint32_t number = 0;
        TRY(sp_arena_copy(&set->arena, given->name, &name));
        sp_err err = name_put(&set->people, name, given->number, &number);
        if (sp_failed(err) && err.code != SP_EEXISTS) {
            return err;
        }
        if (given->number >= set->people_next && given->number < SP_NONE - 1) {
            set->people_next = given->number + 1;
        }
    }
    return sp_ok();
}

static sp_err known_zone(compiling *c)
{
    DOC_EACH(&c->set->docs, SP_DOC_OFFICE, doc_office, office)
    {
        sp_zone zone = {0};
        if (office->time_zone.line != 0 &&
            (c->input->zone == NULL ||
             sp_failed(c->input->zone(c->input->zone_ctx, office->time_zone.text, &zone)))) {
            sp_diags_add(c->diags, SP_DIAG_ERROR, office->head.place.file, office->time_zone.line,
                         office->time_zone.column,
                         "unknown time zone '%.*s'; zones are named as in the tz database, "
                         "Asia/Shanghai",
                         SP_SPAN_ARG(office->time_zone.text));
        }
    }
    return sp_ok();
}

sp_err set_resolve_names(compiling *c)
{
    for (unsigned kind = 0; kind < SP_DOC_COUNT; kind++) {
        TRY(set_duplicates(c, (sp_doc_kind)kind));
    }
    TRY(known_zone(c));
    TRY(resolve_classes(c));
    TRY(resolve_roles(c));
    return resolve_people(c);
}

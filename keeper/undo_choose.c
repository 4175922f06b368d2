/* SPDX-License-Identifier: Apache-2.0
 * Which tables rows and columns are put back into, in which order, and what may be done to their
 * rows.
 * OWNS undo_tables. PROCESS keeper, threads of the pool. TRUST see undo.c. SPEC
 * keeper/undo_parts.h.
 */
#include "keeper/undo_tables.h"

#include <stdio.h>
#include <string.h>

enum { PG_TYPE = 1247 };

/* ---- columns ---- */

/* A column that is matched and written; generated ones follow by themselves. */
bool undo_is_plain(const json_t *column)
{
    return !json_is_true(json_object_get(column, "generated"));
}

/* The name that it has now; NULL = it is gone. In a table that was made again: the same. */
static const char *name_now(const undo_table *t, const json_t *column)
{
    char key[24];
    const char *name = undo_text(column, "name");
    const json_t *number = json_object_get(column, "number");
    if (number == NULL || undo_is_made_again(t->relation)) {
        return json_object_get(json_object_get(t->now, "columns"), name) == NULL ? NULL : name;
    }
    snprintf(key, sizeof(key), "%lld", (long long)json_integer_value(number));
    return json_string_value(json_object_get(json_object_get(t->now, "names"), key));
}

bool undo_is_lost(const undo_table *t, const json_t *column)
{
    return name_now(t, column) == NULL;
}

static bool is_ground_gone(const undo *u, json_int_t class, json_int_t oid)
{
    char key[32];
    snprintf(key, sizeof(key), "%u %u", (uint32_t) class, (uint32_t)oid);
    return json_object_get(u->grounds_gone, key) != NULL;
}

/* A statement that drops other things takes columns with their types and collations alone; else
 * others dropped it. */
static bool fell_with_it(const undo *u, const json_t *column)
{
    const json_t *on = json_object_get(column, "on");
    bool gone = is_ground_gone(u, PG_TYPE, json_integer_value(json_object_get(column, "type_oid")));
    for (size_t i = 0; i < json_array_size(on) && !gone; i++) {
        const json_t *one = json_array_get(on, i);
        gone = is_ground_gone(u, json_integer_value(json_array_get(one, 0)),
                              json_integer_value(json_array_get(one, 1)));
    }
    return undo_verb_is(u, "ALTER") || gone;
}

bool undo_is_of(const json_t *one, const undo_table *t)
{
    return one == t->relation ||
           strcmp(undo_text(one, "root"), undo_text(t->relation, "quoted")) == 0;
}

static bool is_mixed(const undo *u, const undo_table *t)
{
    const json_t *relations = json_object_get(u->manifest, "relations");
    bool is = false;
    for (size_t i = 0; i < json_array_size(relations); i++) {
        const json_t *one = json_array_get(relations, i);
        is = is || (undo_is_of(one, t) && json_is_true(json_object_get(one, "written")));
    }
    return is;
}

bool undo_is_rewritten(const undo *u, const undo_table *t)
{
    const json_t *relations = json_object_get(u->manifest, "relations");
    bool is = false;
    for (size_t i = 0; i < json_array_size(relations); i++) {
        const json_t *one = json_array_get(relations, i);
        const json_t *now = undo_present(u, one);
        const json_t *file = json_object_get(one, "file");
        is = is || (undo_is_of(one, t) && now != NULL && file != NULL &&
                    !json_equal(file, json_object_get(now, "file")));
    }
    return is;
}

/* It has another type now. */
bool undo_is_retyped(const undo_table *t, const json_t *column)
{
    const json_t *is =
        json_object_get(json_object_get(t->now, "columns"), undo_text(column, "name"));
    return is != NULL && strcmp(undo_text(is, "type"), undo_text(column, "type")) != 0;
}

bool undo_is_unlogged(const undo_table *t)
{
    return json_is_true(json_object_get(t->relation, "logged")) &&
           json_is_false(json_object_get(t->now, "logged"));
}

/* It, or a part of it. */
static bool is_unlogged(const undo *u, const undo_table *t)
{
    const json_t *relations = json_object_get(u->manifest, "relations");
    bool is = false;
    for (size_t i = 0; i < json_array_size(relations) && !is; i++) {
        const json_t *one = json_array_get(relations, i);
        const undo_table part = {.relation = one, .now = undo_present(u, one)};
        is = undo_is_of(one, t) && part.now != NULL && undo_is_unlogged(&part);
    }
    return is;
}

bool undo_is_in_root(const undo *u, const json_t *relation)
{
    const json_t *relations = json_object_get(u->manifest, "relations");
    for (size_t i = 0; i < json_array_size(relations); i++) {
        if (strcmp(undo_text(json_array_get(relations, i), "quoted"),
                   undo_text(relation, "root")) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- which tables, in which order ---- */

/* Parents first; what stands in a circle keeps its place (undo_keys.c lets it wait). */
static void order_tables(undo_tables *all)
{
    for (size_t i = 0; i < all->count; i++) {
        for (size_t k = i; k < all->count; k++) {
            bool waits = false;
            for (size_t m = i; m < all->count; m++) {
                waits = waits || (m != k && undo_keys_tie(all, all->items[k].relation,
                                                          all->items[m].relation));
            }
            if (!waits) {
                undo_table first = all->items[k];
                sp_move(&all->items[i + 1], &all->items[i], (k - i) * sizeof(undo_table));
                all->items[i] = first;
                break;
            }
        }
    }
}

static bool has_columns(const undo_table *t,
                        bool (*which)(const undo_table *t, const json_t *column))
{
    const json_t *columns = json_object_get(t->relation, "columns");
    for (size_t i = 0; i < json_array_size(columns); i++) {
        if (which(t, json_array_get(columns, i))) {
            return true;
        }
    }
    return false;
}

/* By what is held, or by its own words, the statement's rows are told from those of others. */
static bool is_known(const undo *u)
{
    return json_array_size(json_object_get(u->manifest, "xids")) > 0;
}

static bool says(const undo *u, const char *words)
{
    return keep_has_word(undo_text(u->manifest, "verb"), words);
}

bool undo_was_asked_for(const undo *u, const json_t *relation)
{
    return !json_is_true(json_object_get(u->manifest, "whole")) &&
           strcmp(undo_text(relation, "why"), "asked") == 0;
}

/* The statement may have given a column of it another type; else others did. */
static bool retypes(const undo *u, const undo_table *t)
{
    return says(u, "ALTER") && undo_was_asked_for(u, t->relation);
}

/* A column of its key fell, or holds nothing of its own (what keeps hold of older keepers). */
static bool is_key_lost(const undo_table *t)
{
    const json_t *columns = json_object_get(t->relation, "columns");
    const json_t *key = json_object_get(t->relation, "key");
    bool lost = false;
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const json_t *column = json_array_get(columns, i);
        for (size_t k = 0;
             k < json_array_size(key) && (undo_is_lost(t, column) || !undo_is_plain(column)); k++) {
            const char *name = json_string_value(json_array_get(key, k));
            lost = lost || (name != NULL && strcmp(name, undo_text(column, "quoted")) == 0);
        }
    }
    return lost;
}

/* A column that the statement may have taken. */
static bool has_lost(const undo *u, const undo_table *t)
{
    const json_t *columns = json_object_get(t->relation, "columns");
    bool has = false;
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const json_t *column = json_array_get(columns, i);
        has = has || (undo_is_plain(column) && undo_is_lost(t, column) && fell_with_it(u, column));
    }
    return has;
}

/* False: nothing of it is put back here. */
static bool decide(const undo *u, bool rows, undo_table *t)
{
    bool alters = undo_verb_is(u, "ALTER DROP");
    bool retyped = retypes(u, t) && has_columns(t, undo_is_retyped);
    bool cascades = strcmp(undo_text(t->relation, "why"), "cascade") == 0 && !says(u, "TRUNCATE");
    bool any = says(u, "ANY") && is_known(u);
    t->keyed = json_array_size(json_object_get(t->relation, "key")) > 0 && !is_key_lost(t);
    bool unlogged = alters && is_unlogged(u, t);
    bool rekeys = says(u, "UPDATE MERGE WITH INSERT"); /* what cascades is changed, not deleted */
    t->changes = any || retyped || rekeys || (cascades && says(u, "ALTER DROP")) ||
                 (says(u, "DELETE") && json_is_true(json_object_get(t->relation, "changed")));
    t->moves = t->keyed && (any || says(u, "UPDATE MERGE WITH") || (cascades && rekeys));
    t->mixed = is_known(u) && is_mixed(u, t);
    t->adds = rows || unlogged; /* a crash may have emptied it */
    return t->adds || retyped || (alters && (has_lost(u, t) || undo_lost_attribute(u, t) != NULL));
}

/* ---- what cannot be put back ---- */

/* why name (detail) */
typedef struct {
    const char *why; /* NULL = it can */
    const char *name;
    const char *detail;
} obstacle;

static obstacle look_at_column(const undo *u, const undo_table *t, const json_t *column)
{
    const char *name = undo_text(column, "quoted");
    const json_t *is =
        json_object_get(json_object_get(t->now, "columns"), undo_text(column, "name"));
    bool alters = undo_verb_is(u, "ALTER DROP");
    if (!undo_is_plain(column)) { /* it holds nothing of its own */
        return (obstacle){NULL, NULL, NULL};
    }
    if (undo_is_lost(t, column) && (!alters || !fell_with_it(u, column))) {
        return (obstacle){"a column that was kept is not there any more:", name, NULL};
    }
    if (undo_is_lost(t, column) && is != NULL) {
        return (obstacle){"another column has the name now of one that fell:", name, NULL};
    }
    if (!undo_is_lost(t, column) && is == NULL) {
        return (obstacle){"a column has another name now:", name, name_now(t, column)};
    }
    if (undo_is_lost(t, column) && !t->keyed) { /* all rows would look as if they were missing */
        bool had = json_array_size(json_object_get(t->relation, "key")) > 0;
        return (obstacle){
            had ? "its key fell, so values of that cannot be put back:"
                : "it has no key, so values of a column that fell cannot be put back:",
            name, NULL};
    }
    if (undo_is_retyped(t, column) && (!retypes(u, t) || !t->keyed)) {
        return (obstacle){"a column has another type now:", name, undo_text(is, "type")};
    }
    return (obstacle){NULL, NULL, NULL};
}

static bool was_kept(const undo_table *t, const char *name)
{
    const json_t *columns = json_object_get(t->relation, "columns");
    bool known = false;
    for (size_t i = 0; i < json_array_size(columns); i++) {
        known = known || strcmp(name, undo_text(json_array_get(columns, i), "name")) == 0;
    }
    return known;
}

static bool has_name(const json_t *names, const json_t *name)
{
    bool has = false;
    for (size_t i = 0; i < json_array_size(names); i++) {
        has = has || json_equal(json_array_get(names, i), name);
    }
    return has;
}

/* An index stands by which no two rows have one key; else one row's values would go into others. */
static bool is_unique(const undo_table *t)
{
    const json_t *key = json_object_get(t->relation, "key");
    const json_t *unique = json_object_get(t->now, "unique");
    bool is = false;
    for (size_t i = 0; i < json_array_size(unique) && !is; i++) {
        const json_t *names = json_array_get(unique, i);
        is = json_array_size(names) > 0;
        for (size_t k = 0; k < json_array_size(names); k++) {
            is = is && has_name(key, json_array_get(names, k));
        }
    }
    return is;
}

/* The server writes all rows of the table anew for a column of a domain. */
static bool is_computed_anew(const undo_table *t, const json_t *column)
{
    return undo_is_lost(t, column) && undo_is_plain(column) &&
           json_is_true(json_object_get(column, "domain"));
}

/* Of its rows: which of them are whose. */
static const char *why_not_rows(const undo *u, const undo_table *t)
{
    if (t->keyed && !undo_verb_is(u, "DROP ALTER") &&
        !is_unique(t)) { /* else it comes back first */
        return "its key is not unique any more, so its rows cannot be told apart";
    }
    if (t->keyed || !t->changes) {
        return NULL;
    }
    if (t->mixed) {
        return "it has no key, and the same transaction had written into it before: rows that the "
               "statement changed cannot be told from those";
    }
    return !is_known(u) || undo_is_made_again(t->relation)
               ? "it has no key, so changed rows cannot be told from others"
               : NULL;
}

/* Its owner may have taken rights from himself. */
static bool lacks_rights(const undo_table *t, const char *lacks)
{
    bool changes = t->changes || has_columns(t, undo_is_lost);
    return keep_has_word(lacks, "SELECT") || (t->adds && keep_has_word(lacks, "INSERT")) ||
           (changes && keep_has_word(lacks, "UPDATE")) ||
           (t->moves && keep_has_word(lacks, "DELETE"));
}

/* Of the whole of it. */
static obstacle look_at_table(const undo *u, const undo_table *t)
{
    const char *lacks = undo_text(t->now, "lacks");
    bool retyped = has_columns(t, undo_is_retyped);
    obstacle found = {why_not_rows(u, t), NULL, NULL};
    if (json_is_true(json_object_get(t->now, "elsewhere"))) {
        found.why = "a part of it is a foreign table, which another server has to answer for";
    }
    if (undo_lost_attribute(u, t) != NULL) {
        found = (obstacle){"values of an attribute that fell cannot be put back into its column",
                           undo_lost_attribute(u, t), NULL};
    }
    if (lacks_rights(t, lacks)) {
        found = (obstacle){"the keeper's role lacks rights on it:", lacks, NULL};
    }
    if (json_is_true(json_object_get(t->now, "row_is_used")) &&
        (has_columns(t, is_computed_anew) || retyped)) {
        found = (obstacle){"a column elsewhere has its rows as values, so a column of its cannot "
                           "be put back",
                           NULL, NULL};
    }
    if (json_is_false(json_object_get(t->now, "ours")) &&
        (undo_is_unlogged(t) || has_columns(t, undo_is_lost) || retyped)) {
        found = (obstacle){"the keeper's role lacks the rights of its owner", NULL, NULL};
    }
    return found;
}

static obstacle look_at(const undo *u, const undo_table *t)
{
    const json_t *columns = json_object_get(t->relation, "columns");
    obstacle found = look_at_table(u, t);
    for (size_t i = 0; i < json_array_size(columns) && found.why == NULL; i++) {
        found = look_at_column(u, t, json_array_get(columns, i));
    }
    json_t *now = json_object_get(t->now, "columns");
    for (void *at = json_object_iter(now); at != NULL; at = json_object_iter_next(now, at)) {
        const char *name = json_object_iter_key(at);
        bool needed = json_is_true(json_object_get(json_object_iter_value(at), "needed"));
        if (needed && found.why == NULL && !was_kept(t, name)) {
            found = (obstacle){"a column was added since that needs a value:", name, NULL};
        }
    }
    return found;
}

static void leave(undo *u, const json_t *relation, obstacle o, undo_tables *all)
{
    undo_tell(u, json_sprintf("%s: %s%s%s%s%s%s; it is left as it is",
                              undo_text(relation, "quoted"), o.why, o.name == NULL ? "" : " ",
                              o.name == NULL ? "" : o.name, o.detail == NULL ? "" : " (",
                              o.detail == NULL ? "" : o.detail, o.detail == NULL ? "" : ")"));
    u->notes++;
    u->leaves_out = true;
    all->left[all->left_count++] = relation;
}

/* What was asked for is refused; else whoever made the table could keep that from coming back. */
static sp_err meet(undo *u, const json_t *relation, obstacle o, undo_tables *all)
{
    if (undo_was_asked_for(u, relation)) {
        return undo_refuse(u, undo_text(relation, "quoted"), o.why, o.name, o.detail);
    }
    leave(u, relation, o, all);
    return sp_ok();
}

static bool is_written(const undo_table *t, const json_t *column)
{
    (void)t;
    return undo_is_plain(column);
}

static void tell_lost(undo *u, const undo_table *t, const json_t *column, const char *why)
{
    undo_tell(u, json_sprintf("column %s of %s%s", undo_text(column, "quoted"),
                              undo_text(t->relation, "quoted"), why));
    u->notes++;
    u->leaves_out = true;
}

/* What a generated one computes would run while it is made. */
static void tell_lost_columns(undo *u, const undo_table *t, bool is_wanted)
{
    const json_t *columns = json_object_get(t->relation, "columns");
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const json_t *column = json_array_get(columns, i);
        bool is_lost = undo_is_lost(t, column) && undo_verb_is(u, "DROP ALTER");
        if (is_lost && !undo_is_plain(column)) {
            tell_lost(u, t, column, ", which is generated, is not put back: let its owner add it");
        } else if (is_lost && !is_wanted && !fell_with_it(u, column)) {
            tell_lost(u, t, column, " is not put back: its type is there, so others dropped it");
        }
    }
}

static sp_err choose_one(undo *u, undo_table t, bool rows, undo_tables *all)
{
    if (t.now == NULL && rows && !undo_verb_is(u, "DROP")) {
        return meet(
            u, t.relation,
            (obstacle){"the table has been dropped since; its rows cannot be put back", NULL, NULL},
            all);
    }
    if (t.now == NULL) {
        return sp_ok();
    }
    bool is_wanted = decide(u, rows, &t);
    tell_lost_columns(u, &t, is_wanted);
    if (!is_wanted) {
        return sp_ok();
    }
    obstacle found = look_at(u, &t);
    if (found.why != NULL) {
        return meet(u, t.relation, found, all);
    }
    if (!has_columns(&t, is_written)) { /* nothing tells its rows from each other */
        if (json_integer_value(json_object_get(t.relation, "bytes")) > 0) {
            leave(u, t.relation,
                  (obstacle){"it has no column that can be written, so its rows are not put back",
                             NULL, NULL},
                  all);
        }
        return sp_ok();
    }
    all->items[all->count++] = t;
    return sp_ok();
}

/* What refers to rows that do not come back; parents stand first. */
static sp_err leave_what_hangs(undo *u, undo_tables *all)
{
    size_t count = 0;
    for (size_t i = 0; i < all->count; i++) {
        const undo_table t = all->items[i];
        const json_t *parent = NULL;
        for (size_t k = 0; k < all->left_count && parent == NULL; k++) {
            bool hangs = undo_present(u, all->left[k]) != NULL &&
                         !undo_was_asked_for(u, t.relation) &&
                         undo_keys_tie(all, t.relation, all->left[k]);
            parent = hangs ? all->left[k] : NULL;
        }
        if (parent == NULL) {
            all->items[count++] = t;
            continue;
        }
        TRY(meet(u, t.relation,
                 (obstacle){"it refers to a table that is left as it is:",
                            undo_text(parent, "quoted"), NULL},
                 all));
    }
    all->count = count;
    return sp_ok();
}

/* Of a whole database; by name it is not kept at all. */
static void tell_elsewhere(undo *u, const json_t *relation)
{
    if (keep_is_elsewhere(u->manifest, relation) && !undo_is_outside(relation)) {
        undo_tell(u, json_sprintf("%s has its rows on another server: they were not kept",
                                  undo_text(relation, "quoted")));
        u->notes++;
        u->leaves_out = true;
    }
}

static sp_err choose(undo *u, undo_tables *all)
{
    const json_t *relations = json_object_get(u->manifest, "relations");
    size_t room = json_array_size(relations) + 1;
    bool rows = undo_verb_is(u, "DELETE TRUNCATE UPDATE MERGE WITH INSERT COPY");
    TRY(sp_alloc(room, sizeof(undo_table), &all->items));
    TRY(sp_alloc(room, sizeof(const json_t *), &all->left));
    for (size_t i = 0; i < json_array_size(relations); i++) {
        const json_t *one = json_array_get(relations, i);
        const char *kind = undo_text(one, "kind");
        undo_table t = {.relation = one, .now = undo_present(u, one), .number = i};
        bool stored = kind[0] == 'r' || kind[0] == 'p';
        tell_elsewhere(u, one);
        if (stored && !undo_is_outside(one) && !undo_is_in_root(u, one)) {
            TRY(choose_one(u, t, rows, all));
        }
    }
    TRY(undo_keys_find(u, all));
    order_tables(all);
    return leave_what_hangs(u, all);
}

sp_err undo_tables_choose(undo *u, undo_tables **ret_tables)
{
    TRY(sp_alloc(1, sizeof(**ret_tables), ret_tables));
    return choose(u, *ret_tables);
}

void undo_tables_leave(undo *u, undo_tables *all, const json_t *relation, const char *why)
{
    for (size_t i = 0; i < all->count; i++) {
        if (all->items[i].relation == relation) {
            sp_move(&all->items[i], &all->items[i + 1], (all->count - i - 1) * sizeof(undo_table));
            all->count--;
            leave(u, relation, (obstacle){why, NULL, NULL}, all);
            return;
        }
    }
}

sp_err undo_tables_leave_hanging(undo *u, undo_tables *all)
{
    return leave_what_hangs(u, all);
}

void undo_tables_free(undo_tables *all)
{
    if (all != NULL) {
        sp_free(all->items);
        sp_free(all->left);
        sp_free(all->ties);
        sp_free(all);
    }
}

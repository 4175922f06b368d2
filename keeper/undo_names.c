/* SPDX-License-Identifier: Apache-2.0
 * What is there is known by number, what the archive writes about it goes by name. So each thing
 * that something missing is written about, or stands on, still has to have the name that it had;
 * else another would be meant. What was asked for by name is refused then, the rest is left out
 * with all that stands on it, and told. The questions of undo_code.c ask it again, when all is
 * locked. OWNS nothing. PROCESS keeper, threads of the pool. TRUST whoever owned it may have given
 * its name to another. SPEC keeper/undo_parts.h.
 */
#include "keeper/undo_tables.h"

#include <stdio.h>
#include <stdlib.h>

enum { PG_PROC = 1255, PG_CLASS = 1259, PG_CONSTRAINT = 2606, PG_NAMESPACE = 2615 };
#define CALL "call it as it was"

/* ---- entries of the archive by their ids ---- */

typedef struct {
    uint32_t id;
    uint32_t catalog;
    uint32_t oid;
} object;

typedef struct {
    object *items; /* by id */
    size_t count;
} directory;

static int compare(const void *a, const void *b)
{
    const object *x = a;
    const object *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static int compare_numbers(const void *a, const void *b)
{
    const uint32_t *x = a;
    const uint32_t *y = b;
    return (*x > *y) - (*x < *y);
}

static sp_err list_objects(const undo *u, directory *all)
{
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    TRY(sp_alloc(u->entry_count + 1, sizeof(*all->items), &all->items));
    while (all->count < u->entry_count && keep_toc_next(&rest, &entry)) {
        all->items[all->count++] = (object){entry.id, entry.catalog, entry.oid};
    }
    qsort(all->items, all->count, sizeof(*all->items), compare);
    return sp_ok();
}

static const object *object_of(const directory *all, uint32_t id)
{
    const object wanted = {.id = id};
    return bsearch(&wanted, all->items, all->count, sizeof(wanted), compare);
}

/* ---- what is written about ---- */

bool undo_is_touched(const json_t *relation)
{
    return json_is_true(json_object_get(relation, "touched"));
}

/* Keys have a question of their own: they may be left out alone. */
static bool writes(const undo *u, const keep_toc_entry *entry)
{
    return undo_is_wanted(u, entry) && !undo_is_key(entry);
}

/* Relations that are there. */
static sp_err note_touched(undo *u, const directory *all)
{
    auto_free uint32_t *oids = NULL;
    size_t count = 0;
    sp_span rest = sp_buf_borrow(&u->toc);
    json_t *relations = json_object_get(u->manifest, "relations");
    keep_toc_entry entry;
    TRY(sp_alloc(all->count + 1, sizeof(*oids), &oids));
    bool *seen = NULL;
    TRY(sp_alloc(all->count + 1, sizeof(*seen), &seen));
    while (keep_toc_next(&rest, &entry)) {
        uint32_t id = 0;
        while (writes(u, &entry) && keep_toc_next_id(&entry.depends, &id)) {
            const object *one = object_of(all, id);
            size_t at = one == NULL ? all->count : (size_t)(one - all->items);
            if (one != NULL && one->catalog == PG_CLASS && !seen[at]) {
                seen[at] = true;
                oids[count++] = one->oid;
            }
        }
    }
    sp_free(seen);
    qsort(oids, count, sizeof(*oids), compare_numbers);
    for (size_t i = 0; i < json_array_size(relations); i++) {
        json_t *one = json_array_get(relations, i);
        uint32_t oid = undo_oid(one);
        if (undo_present(u, one) != NULL &&
            bsearch(&oid, oids, count, sizeof(oid), compare_numbers) != NULL) {
            json_object_set_new(one, "touched", json_true());
        }
    }
    return sp_ok();
}

/* ---- what is called otherwise now ---- */

/* $1 [[class, oid, name]]. */
static const char RENAMED[] =
    "SELECT COALESCE(json_object_agg(r.class::text || ' ' || r.oid::text, format("
    "'%s is called %s now: " CALL "', r.name, r.now)), '{}'::json)::text FROM ("
    "SELECT s.*, " KEEP_NAME_OF_S " AS now FROM (SELECT DISTINCT (j->>0)::oid AS class,"
    " (j->>1)::oid AS oid, j->>2 AS name FROM json_array_elements($1::json) j) s) r"
    " WHERE r.now <> r.name";

static const char *renamed(const undo *u, uint32_t class, uint32_t oid)
{
    char key[32];
    snprintf(key, sizeof(key), "%u %u", class, oid);
    return json_string_value(json_object_get(u->renamed, key));
}

/* A keep of an older keeper does not name all of them. */
static void add_name(json_t *list, uint32_t class, uint32_t oid, const char *name)
{
    if (name[0] != '\0') {
        json_array_append_new(list,
                              json_pack("[I, I, s]", (json_int_t) class, (json_int_t)oid, name));
    }
}

static uint32_t number_of(const json_t *key, const char *what)
{
    return (uint32_t)json_integer_value(json_object_get(key, what));
}

static bool is_wanted_key(const undo *u, const json_t *key)
{
    return json_is_true(json_object_get(key, "gone")) ||
           undo_is_missing(u, PG_CONSTRAINT, undo_oid(key));
}

static void list_names(const undo *u, json_t *list)
{
    const json_t *relations = json_object_get(u->manifest, "relations");
    const json_t *keys = json_object_get(u->manifest, "foreign");
    json_t *schemas = json_object_get(u->manifest, "schemas");
    for (size_t i = 0; i < json_array_size(relations); i++) {
        const json_t *one = json_array_get(relations, i);
        if (undo_is_touched(one)) {
            add_name(list, PG_CLASS, undo_oid(one), undo_text(one, "quoted"));
        }
        if (undo_is_touched(one) || undo_is_missing(u, PG_CLASS, undo_oid(one))) {
            json_array_extend(list, json_object_get(one, "stands"));
        }
    }
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const json_t *key = json_array_get(keys, i);
        if (is_wanted_key(u, key)) {
            add_name(list, PG_CLASS, number_of(key, "table"), undo_text(key, "quoted"));
            add_name(list, PG_CLASS, number_of(key, "references"), undo_text(key, "refers"));
        }
    }
    if (json_is_array(schemas)) {
        json_array_extend(list, schemas);
    }
}

static sp_err ask_names(undo *u)
{
    auto_json json_t *list = json_array();
    list_names(u, list);
    char *text = json_dumps(list, JSON_COMPACT);
    const char *const values[] = {text == NULL ? "[]" : text};
    sp_err err = keep_exec_json(u->job, u->conn, RENAMED, 1, values, &u->renamed);
    sp_free(text);
    return err;
}

/* ---- what is left out ---- */

static const char *culprit_of(const undo *u, const json_t *relation)
{
    const json_t *stands = json_object_get(relation, "stands");
    const char *why = undo_is_touched(relation) ? renamed(u, PG_CLASS, undo_oid(relation)) : NULL;
    for (size_t i = 0; i < json_array_size(stands) && why == NULL; i++) {
        const json_t *one = json_array_get(stands, i);
        why = renamed(u, (uint32_t)json_integer_value(json_array_get(one, 0)),
                      (uint32_t)json_integer_value(json_array_get(one, 1)));
    }
    return why;
}

/* Relations of which something is written, and why it cannot be, by number. */
static sp_err find_culprits(undo *u, json_t *culprits)
{
    const json_t *relations = json_object_get(u->manifest, "relations");
    for (size_t i = 0; i < json_array_size(relations); i++) {
        const json_t *one = json_array_get(relations, i);
        bool missing = undo_is_missing(u, PG_CLASS, undo_oid(one));
        const char *why = missing || undo_is_touched(one) ? culprit_of(u, one) : NULL;
        char key[16];
        if (why == NULL) {
            continue;
        }
        if (undo_was_asked_for(u, one)) {
            return undo_refuse(u, undo_text(one, "quoted"), why, NULL, NULL);
        }
        snprintf(key, sizeof(key), "%u", undo_oid(one));
        json_object_set_new(culprits, key, json_string(why));
    }
    return sp_ok();
}

static const char *culprit_at(const json_t *culprits, uint32_t oid)
{
    char key[16];
    snprintf(key, sizeof(key), "%u", oid);
    return json_string_value(json_object_get(culprits, key));
}

/* A missing relation, what belongs to one that is there, what is in a schema. */
static sp_err leave_renamed(undo *u, const directory *all, const json_t *culprits)
{
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    while (keep_toc_next(&rest, &entry)) {
        if (!writes(u, &entry)) {
            continue;
        }
        const char *why = entry.catalog == PG_CLASS ? culprit_at(culprits, entry.oid) : NULL;
        sp_span depends = entry.depends;
        uint32_t id = 0;
        while (why == NULL && keep_toc_next_id(&depends, &id)) {
            const object *one = object_of(all, id);
            if (one != NULL && one->catalog == PG_CLASS) {
                why = culprit_at(culprits, one->oid);
            } else if (one != NULL && one->catalog == PG_NAMESPACE) {
                why = renamed(u, PG_NAMESPACE, one->oid);
            }
        }
        if (why != NULL) {
            TRY(undo_leave_entry(u, &entry, why));
        }
    }
    return sp_ok();
}

static sp_err leave_keys(undo *u)
{
    const json_t *keys = json_object_get(u->manifest, "foreign");
    auto_json json_t *why_not = json_object();
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    for (size_t i = 0; i < json_array_size(keys); i++) {
        json_t *key = json_array_get(keys, i);
        const char *why = renamed(u, PG_CLASS, number_of(key, "table"));
        why = why == NULL ? renamed(u, PG_CLASS, number_of(key, "references")) : why;
        if (why != NULL && json_is_true(json_object_get(key, "gone"))) {
            undo_leave_gone(u, key, why);
        } else if (why != NULL && is_wanted_key(u, key)) {
            char number[16];
            snprintf(number, sizeof(number), "%u", undo_oid(key));
            json_object_set_new(why_not, number, json_string(why));
        }
    }
    while (keep_toc_next(&rest, &entry)) {
        const char *why = entry.catalog == PG_CONSTRAINT ? culprit_at(why_not, entry.oid) : NULL;
        if (why != NULL) {
            TRY(undo_leave_entry(u, &entry, why));
        }
    }
    return sp_ok();
}

/* No other role's name ends like theirs, so that an entry's end tells its owner. */
static const char SUPERUSERS[] =
    "SELECT ' ' || r.rolname FROM pg_catalog.pg_roles r WHERE r.rolsuper AND NOT EXISTS (SELECT"
    " FROM pg_catalog.pg_roles o WHERE NOT o.rolsuper"
    " AND right(o.rolname, length(r.rolname) + 1) = ' ' || r.rolname)";

static bool is_trusted(const undo *u, uint32_t id, const PGresult *owners)
{
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    bool is = false;
    while (keep_toc_next(&rest, &entry)) {
        for (int i = 0; entry.id == id && i < PQntuples(owners); i++) {
            is = is || sp_span_ends(entry.rest, sp_span_cstr(keep_value(owners, i, 0)));
        }
    }
    return is;
}

/* What is made next may hold values of a domain: the function that its check calls would be made by
 * then, before anybody could look at it. */
static sp_err leave_domains(undo *u, const directory *all)
{
    auto_result PGresult *owners = NULL;
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    TRY(keep_exec(u->job, u->conn, SUPERUSERS, 0, NULL, &owners));
    while (keep_toc_next(&rest, &entry)) {
        sp_span depends = entry.depends;
        uint32_t id = 0;
        bool calls = false;
        if (entry.catalog == 0 || !sp_span_starts(entry.rest, SP_SPAN_LIT("DOMAIN ")) ||
            !undo_is_wanted(u, &entry)) {
            continue;
        }
        while (!calls && keep_toc_next_id(&depends, &id)) {
            const object *one = object_of(all, id);
            calls = one != NULL && one->catalog == PG_PROC &&
                    undo_is_missing(u, PG_PROC, one->oid) && !is_trusted(u, id, owners);
        }
        if (calls) {
            TRY(undo_leave_entry(u, &entry,
                                 "a function that its check calls is gone as well; made again it "
                                 "would run with the keeper's rights unless its owner is a "
                                 "superuser by then"));
        }
    }
    return sp_ok();
}

static sp_err leave_all(undo *u, const directory *all)
{
    auto_json json_t *culprits = json_object();
    TRY(leave_domains(u, all));
    if (json_object_size(u->renamed) > 0) {
        TRY(find_culprits(u, culprits));
        TRY(leave_renamed(u, all, culprits));
        TRY(leave_keys(u));
    }
    return undo_leave_done(u);
}

sp_err undo_names_find(undo *u)
{
    directory all = {NULL, 0};
    if (!undo_verb_is(u, "DROP ALTER") || u->another) {
        return sp_ok();
    }
    sp_err err = list_objects(u, &all);
    if (!sp_failed(err)) {
        err = note_touched(u, &all);
    }
    if (!sp_failed(err)) {
        err = ask_names(u);
    }
    if (!sp_failed(err)) {
        err = leave_all(u, &all);
    }
    sp_free(all.items);
    return err;
}

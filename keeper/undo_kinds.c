/* SPDX-License-Identifier: Apache-2.0
 * What undo makes again at all: kinds of things that are known to run nobody's code while they are
 * made, or of which the manifest says whose. What is of another kind, or belongs to a relation that
 * the manifest does not know, is left out and told. Definitions besides relations (functions,
 * domains, statistics, indexes of what is partitioned) are looked at as relations are.
 * OWNS nothing. PROCESS keeper, threads of the pool. TRUST an archive has whatever its owners made.
 * SPEC keeper/README.md; PostgreSQL "System Catalogs".
 */
#include "keeper/undo_parts.h"

#include <stdio.h>
#include <stdlib.h>

enum { PG_CLASS = 1259, PG_CONSTRAINT = 2606, PG_STATISTIC = 3381 };

typedef struct {
    uint32_t *known; /* ids of relations that the manifest knows; sorted */
    size_t known_count;
    uint32_t *others; /* and of those that it does not */
    size_t others_count;
} relation_ids;

static int compare(const void *a, const void *b)
{
    const uint32_t *x = a;
    const uint32_t *y = b;
    return (*x > *y) - (*x < *y);
}

static bool has(const uint32_t *sorted, size_t count, uint32_t one)
{
    return bsearch(&one, sorted, count, sizeof(one), compare) != NULL;
}

static bool is_index(const keep_toc_entry *entry)
{
    return sp_span_starts(entry->rest, SP_SPAN_LIT("INDEX "));
}

static sp_err list_relations(const undo *u, relation_ids *ids)
{
    const json_t *relations = json_object_get(u->manifest, "relations");
    size_t count = json_array_size(relations);
    auto_free uint32_t *oids = NULL;
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    TRY(sp_alloc(count + 1, sizeof(*oids), &oids));
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_array_get(relations, i);
        const json_t *was = json_object_get(one, "was");
        oids[i] = was == NULL ? undo_oid(one) : (uint32_t)json_integer_value(was);
    }
    qsort(oids, count, sizeof(*oids), compare);
    TRY(sp_alloc(u->entry_count + 1, sizeof(*ids->known), &ids->known));
    TRY(sp_alloc(u->entry_count + 1, sizeof(*ids->others), &ids->others));
    while (keep_toc_next(&rest, &entry)) {
        if (entry.catalog != PG_CLASS || is_index(&entry)) {
            continue;
        }
        if (has(oids, count, entry.oid)) {
            ids->known[ids->known_count++] = entry.id;
        } else {
            ids->others[ids->others_count++] = entry.id;
        }
    }
    qsort(ids->known, ids->known_count, sizeof(*ids->known), compare);
    qsort(ids->others, ids->others_count, sizeof(*ids->others), compare);
    return sp_ok();
}

/* Of relations that the manifest knows, and of no other: it says what its expressions stand on. */
static bool is_of_known(const relation_ids *ids, const keep_toc_entry *entry)
{
    sp_span depends = entry->depends;
    uint32_t id = 0;
    bool is = false;
    while (keep_toc_next_id(&depends, &id)) {
        if (has(ids->others, ids->others_count, id)) {
            return false;
        }
        is = is || has(ids->known, ids->known_count, id);
    }
    return is;
}

const json_t *undo_definition(const undo *u, uint32_t catalog, uint32_t oid)
{
    const json_t *all = json_object_get(u->manifest, "definitions");
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *one = json_array_get(all, i);
        if ((uint32_t)json_integer_value(json_object_get(one, "class")) == catalog &&
            undo_oid(one) == oid) {
            return one;
        }
    }
    return NULL;
}

/* Types, functions, large objects, schemas, operators with their families and classes, conversions,
 * casts, transforms, extensions, languages, collations, text search, event triggers, publications,
 * servers and wrappers, access methods, rights by default, the database: their expressions, if they
 * have any, are in "definitions". */
static bool is_free(uint32_t catalog)
{
    static const uint32_t kinds[] = {826,  1247, 1255, 1262, 1417, 2328, 2601, 2605, 2607,
                                     2612, 2613, 2615, 2616, 2617, 2753, 3079, 3456, 3466,
                                     3576, 3600, 3601, 3602, 3764, 6104, 6237};
    bool is = false;
    for (size_t i = 0; i < SP_COUNT(kinds); i++) {
        is = is || kinds[i] == catalog;
    }
    return is;
}

/* Defaults, constraints, rules, triggers, policies, statistics, what is in publications. */
static bool is_part(const keep_toc_entry *entry)
{
    static const uint32_t kinds[] = {2604, PG_CONSTRAINT, 2618, 2620, 3256, PG_STATISTIC, 6106};
    bool is = entry->catalog == PG_CLASS && is_index(entry);
    for (size_t i = 0; i < SP_COUNT(kinds); i++) {
        is = is || kinds[i] == entry->catalog;
    }
    return is;
}

static const char *why_not(const undo *u, const relation_ids *ids, const keep_toc_entry *entry)
{
    if (is_part(entry)) {
        bool is_of = is_of_known(ids, entry);
        bool is_seen = is_of && entry->catalog != PG_STATISTIC;
        if (!is_seen && (is_of || entry->catalog == PG_CONSTRAINT)) { /* a check of a domain */
            is_seen = undo_definition(u, entry->catalog, entry->oid) != NULL;
        }
        return is_seen ? NULL
                       : "what it calls was not looked at when it was kept; let its owner add it";
    }
    if (entry->catalog == PG_CLASS) {
        return has(ids->known, ids->known_count, entry->id)
                   ? NULL
                   : "what it calls was not looked at when it was kept; let its owner make it";
    }
    return is_free(entry->catalog) ? NULL
                                   : "undo does not know things of its kind; let its owner make it";
}

static sp_err leave(undo *u, const relation_ids *ids)
{
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    while (keep_toc_next(&rest, &entry)) {
        bool wanted = entry.catalog != 0 && undo_is_missing(u, entry.catalog, entry.oid) &&
                      undo_is_wanted(u, &entry);
        const char *why = wanted ? why_not(u, ids, &entry) : NULL;
        if (why != NULL) {
            TRY(undo_leave_entry(u, &entry, why));
        }
    }
    return undo_leave_done(u);
}

sp_err undo_leave_unknown(undo *u)
{
    relation_ids ids = {NULL, 0, NULL, 0};
    if (!undo_verb_is(u, "DROP ALTER")) {
        return sp_ok();
    }
    sp_err err = list_relations(u, &ids);
    if (!sp_failed(err)) {
        err = leave(u, &ids);
    }
    sp_free(ids.known);
    sp_free(ids.others);
    return err;
}

/* ---- names that another has ---- */

/* $1 [[class, number, name, of which relation]]. */
static const char TAKEN[] =
    "SELECT COALESCE(json_object_agg((j->>0) || ' ' || (j->>1), true), '{}'::json)::text"
    " FROM json_array_elements($1::json) j WHERE CASE (j->>0)::oid"
    " WHEN 'pg_catalog.pg_class'::regclass THEN to_regclass(j->>2) IS NOT NULL"
    " WHEN 'pg_catalog.pg_type'::regclass THEN to_regtype(j->>2) IS NOT NULL"
    " WHEN 'pg_catalog.pg_proc'::regclass THEN (j->>2) IN (SELECT"
    "  md5(p.oid::regprocedure::text) FROM pg_catalog.pg_proc p WHERE p.oid >= 16384)"
    " ELSE EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = (j->>3)::oid"
    "  AND k.conname = j->>2) END";

static sp_err ask_taken(undo *u, json_t **ret_taken)
{
    const json_t *names = json_object_get(u->manifest, "names");
    auto_json json_t *missing = json_array();
    for (size_t i = 0; i < json_array_size(names); i++) {
        json_t *one = json_array_get(names, i);
        uint32_t catalog = (uint32_t)json_integer_value(json_array_get(one, 0));
        uint32_t oid = (uint32_t)json_integer_value(json_array_get(one, 1));
        if (undo_is_missing(u, catalog, oid)) {
            json_array_append(missing, one);
        }
    }
    char *text = json_dumps(missing, JSON_COMPACT);
    const char *const values[] = {text == NULL ? "[]" : text};
    sp_err err = keep_exec_json(u->job, u->conn, TAKEN, 1, values, ret_taken);
    sp_free(text);
    return err;
}

sp_err undo_leave_taken(undo *u)
{
    auto_json json_t *taken = NULL;
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    if (u->another || !undo_verb_is(u, "DROP ALTER")) {
        return sp_ok();
    }
    TRY(ask_taken(u, &taken));
    while (keep_toc_next(&rest, &entry)) {
        char key[32];
        snprintf(key, sizeof(key), "%u %u", entry.catalog, entry.oid);
        if (entry.catalog != 0 && json_object_get(taken, key) != NULL &&
            undo_is_wanted(u, &entry)) {
            TRY(undo_leave_entry(u, &entry, "another has its name now"));
        }
    }
    return undo_leave_done(u);
}

/* ---- definitions whose code nobody looked at ---- */

static sp_err leave_definition(undo *u, const json_t *definition, const char *why)
{
    uint32_t catalog = (uint32_t)json_integer_value(json_object_get(definition, "class"));
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    while (keep_toc_next(&rest, &entry)) {
        if (entry.catalog == catalog && entry.oid == undo_oid(definition)) {
            return undo_leave_entry(u, &entry, why);
        }
    }
    return sp_ok();
}

sp_err undo_leave_definitions(undo *u)
{
    const json_t *all = json_object_get(u->manifest, "definitions");
    for (size_t i = 0; i < json_array_size(all); i++) {
        json_t *one = json_array_get(all, i);
        auto_free char *why = NULL;
        if (undo_text(one, "row")[0] == '\0') {
            continue;
        }
        TRY(undo_code_why_not(u, one, &why));
        if (why != NULL) {
            TRY(leave_definition(u, one, why));
            json_object_del(one, "row");
        }
    }
    return undo_leave_done(u);
}

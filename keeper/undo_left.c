/* SPDX-License-Identifier: Apache-2.0
 * What undo leaves to others: what pg_dump does not write of a table that is kept by name, and,
 * of a whole database, what stands on things that are all there, which somebody else may have
 * dropped since, and rightly: a policy, rights by default.
 * OWNS nothing. PROCESS keeper, threads of the pool. TRUST see undo.c. SPEC keeper/undo_parts.h.
 */
#include "keeper/undo_tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PG_CLASS = 1259, PG_DATABASE = 1262 };

/* $1 what was beside the tables: what of it is gone. */
static const char GONE[] =
    "SELECT COALESCE(json_agg(j->>'said'), '[]'::json)::text FROM json_array_elements($1::json) j"
    " WHERE NOT CASE j->>'of' WHEN 'statistics' THEN"
    " EXISTS (SELECT FROM pg_catalog.pg_statistic_ext s WHERE s.oid = (j->>'oid')::oid)"
    " ELSE EXISTS (SELECT FROM pg_catalog.pg_publication_rel r WHERE r.oid = (j->>'oid')::oid) END";

sp_err undo_tell_beside(undo *u)
{
    auto_json json_t *gone = NULL;
    const json_t *beside = json_object_get(u->manifest, "beside");
    if (json_array_size(beside) == 0 || !undo_verb_is(u, "DROP ALTER") ||
        json_is_true(json_object_get(u->manifest, "whole"))) {
        return sp_ok();
    }
    char *text = json_dumps(beside, JSON_COMPACT);
    const char *const list[] = {text == NULL ? "[]" : text};
    sp_err err = keep_exec_json(u->job, u->conn, GONE, 1, list, &gone);
    sp_free(text);
    TRY(err);
    for (size_t i = 0; i < json_array_size(gone); i++) {
        undo_tell(u, json_sprintf("%s: this is not put back",
                                  json_string_value(json_array_get(gone, i))));
        u->notes++;
        u->leaves_out = true;
    }
    return sp_ok();
}

/* $1 publications, what was in them, functions: those that the keeper's role cannot make. */
static const char ABOVE[] =
    "SELECT COALESCE(json_object_agg(j.class::text || ' ' || j.oid::text, true), '{}'::json)::text"
    " FROM json_to_recordset($1::json) AS j(class bigint, oid bigint, publication bigint,"
    "  owner text, \"all\" bool), pg_catalog.pg_roles me"
    " WHERE me.rolname = current_user AND NOT me.rolsuper AND (j.\"all\" OR NOT EXISTS ("
    "  SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = j.owner AND pg_has_role(r.oid, 'USAGE')"
    "  AND (EXISTS (SELECT FROM pg_catalog.pg_publication p WHERE p.oid = j.publication::oid)"
    "   OR has_database_privilege(r.oid, current_database(), 'CREATE')"
    "   AND has_database_privilege(current_database(), 'CREATE'))))";

sp_err undo_find_above(undo *u)
{
    const json_t *guarded = json_object_get(u->manifest, "guarded");
    char *text = json_is_array(guarded) ? json_dumps(guarded, JSON_COMPACT) : NULL;
    const char *const list[] = {text == NULL ? "[]" : text};
    sp_err err = keep_exec_json(u->job, u->conn, ABOVE, 1, list, &u->above);
    sp_free(text);
    return err;
}

/* Those that superusers alone make: access methods, foreign data wrappers, operator classes and
 * families, event triggers, parsers and templates of text search, schemas of publications. */
static bool is_of_superusers(uint32_t catalog)
{
    static const uint32_t those[] = {2328, 2601, 2616, 2753, 3466, 3601, 3764, 6237};
    bool is = false;
    for (size_t i = 0; i < SP_COUNT(those); i++) {
        is = is || those[i] == catalog;
    }
    return is;
}

static bool is_above(const undo *u, const keep_toc_entry *entry)
{
    const char *is_super = PQparameterStatus(u->conn, "is_superuser");
    char key[32];
    snprintf(key, sizeof(key), "%u %u", entry->catalog, entry->oid);
    return json_object_get(u->above, key) != NULL ||
           (is_of_superusers(entry->catalog) && (is_super == NULL || strcmp(is_super, "on") != 0));
}

/* Roles that the keeper's is no member of; no other role's name ends like theirs, so that an
 * entry's end tells its owner. */
static const char STRANGERS[] =
    "SELECT ' ' || r.rolname FROM pg_catalog.pg_roles r WHERE NOT pg_has_role(r.oid, 'USAGE')"
    " AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles o WHERE pg_has_role(o.oid, 'USAGE')"
    " AND right(o.rolname, length(r.rolname) + 1) = ' ' || r.rolname)";

static bool is_strangers(const keep_toc_entry *entry, const PGresult *strangers)
{
    bool is = false;
    for (int i = 0; i < PQntuples(strangers) && entry->catalog != PG_DATABASE; i++) {
        is = is || sp_span_ends(entry->rest, sp_span_cstr(keep_value(strangers, i, 0)));
    }
    return is;
}

sp_err undo_leave_above(undo *u)
{
    auto_result PGresult *strangers = NULL;
    bool whole = json_is_true(json_object_get(u->manifest, "whole"));
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    if (!undo_verb_is(u, "DROP ALTER")) {
        return sp_ok();
    }
    TRY(keep_exec(u->job, u->conn, STRANGERS, 0, NULL, &strangers));
    while (keep_toc_next(&rest, &entry)) {
        if (entry.catalog == 0 || !undo_is_missing(u, entry.catalog, entry.oid)) {
            continue;
        }
        if (is_above(u, &entry)) {
            TRY(undo_leave_entry(u, &entry,
                                 "the keeper's role may not make it; let its owner, or a "
                                 "superuser, add it"));
        } else if (whole && undo_is_wanted(u, &entry) && is_strangers(&entry, strangers)) {
            TRY(undo_leave_entry(u, &entry, "the keeper's role lacks the rights of its owner"));
        }
    }
    return undo_leave_done(u);
}

/* ---- what the statement took, and what others dropped since ---- */

typedef struct {
    undo *u;
    json_t *named;     /* of those whose names are known: whether the statement says them */
    uint32_t *grounds; /* ids of entries that fell with it; sorted */
    size_t count;
} taken;

static bool is_ground(const taken *t, uint32_t id)
{
    return t->count > 0 &&
           bsearch(&id, t->grounds, t->count, sizeof(*t->grounds), undo_compare_ids) != NULL;
}

static bool stands_on_ground(const taken *t, const keep_toc_entry *entry)
{
    sp_span depends = entry->depends;
    uint32_t id = 0;
    while (keep_toc_next_id(&depends, &id)) {
        if (is_ground(t, id)) {
            return true;
        }
    }
    return false;
}

static json_t *list_named(const undo *u)
{
    const json_t *names = json_object_get(u->manifest, "names");
    json_t *named = json_object();
    for (size_t i = 0; i < json_array_size(names); i++) {
        const json_t *one = json_array_get(names, i);
        char key[32];
        snprintf(key, sizeof(key), "%u %u", (uint32_t)json_integer_value(json_array_get(one, 0)),
                 (uint32_t)json_integer_value(json_array_get(one, 1)));
        json_object_set(named, key, json_array_get(one, 4));
    }
    const json_t *reached = json_object_get(u->manifest, "outside") == NULL
                                ? NULL
                                : json_object_get(u->manifest, "relations");
    for (size_t i = 0; i < json_array_size(reached); i++) { /* by way of what it names */
        const json_t *one = json_array_get(reached, i);
        char key[32];
        snprintf(key, sizeof(key), "%u %u", (uint32_t)PG_CLASS, undo_oid(one));
        if (!undo_is_outside(one)) {
            json_object_set_new(named, key, json_true());
        }
    }
    return named;
}

/* What has no name that is known (schemas, extensions, operators) is taken for what it named. */
static bool is_named(const taken *t, const keep_toc_entry *entry)
{
    char key[32];
    snprintf(key, sizeof(key), "%u %u", entry->catalog, entry->oid);
    const json_t *known = json_object_get(t->named, key);
    bool is_gone = undo_is_missing(t->u, entry->catalog, entry->oid);
    return entry->catalog != 0 && is_gone && !json_is_false(known);
}

/* A partition falls with what it is a part of. */
static void add_parts(taken *t, const keep_toc_entry *entry, uint32_t *found, size_t *count)
{
    sp_span depends = entry->depends;
    uint32_t part = 0;
    uint32_t whole = 0;
    if (undo_is_join(entry) && keep_toc_next_id(&depends, &part)) {
        while (keep_toc_next_id(&depends, &whole)) {
            if (is_ground(t, whole) && !is_ground(t, part)) {
                found[(*count)++] = part;
                return;
            }
        }
    }
}

/* All that stand on what is known by now; false: none are new. */
static bool add_grounds(taken *t, uint32_t *found)
{
    sp_span rest = sp_buf_borrow(&t->u->toc);
    keep_toc_entry entry;
    size_t count = 0;
    while (keep_toc_next(&rest, &entry)) {
        bool is_gone = entry.catalog != 0 && undo_is_missing(t->u, entry.catalog, entry.oid);
        bool falls = is_named(t, &entry) || undo_is_lessened(t->u, &entry) ||
                     (is_gone && stands_on_ground(t, &entry));
        if (!is_ground(t, entry.id) && falls) {
            found[count++] = entry.id;
        } else {
            add_parts(t, &entry, found, &count);
        }
    }
    sp_copy(t->grounds + t->count, found, count * sizeof(*found));
    t->count += count;
    qsort(t->grounds, t->count, sizeof(*t->grounds), undo_compare_ids);
    return count > 0;
}

static sp_err leave_untaken(taken *t)
{
    sp_span rest = sp_buf_borrow(&t->u->toc);
    keep_toc_entry entry;
    while (keep_toc_next(&rest, &entry)) {
        if (entry.catalog != 0 && undo_is_missing_id(t->u, entry.id) && !is_ground(t, entry.id)) {
            TRY(undo_leave_entry(t->u, &entry,
                                 "the statement neither names it nor took what it stands on: "
                                 "others may have dropped it"));
        }
    }
    return undo_leave_done(t->u);
}

sp_err undo_leave_others(undo *u)
{
    auto_free uint32_t *found = NULL;
    taken t = {.u = u};
    if (u->another || u->public_gone || undo_verb_is(u, "OWNED") ||
        !undo_verb_is(u, "DROP ALTER") ||
        !json_is_true(json_object_get(u->manifest, "says_names"))) {
        return sp_ok();
    }
    TRY(sp_alloc(2 * u->entry_count + 1, sizeof(*found), &found));
    TRY(sp_alloc(4 * u->entry_count + 1, sizeof(*t.grounds), &t.grounds));
    t.named = list_named(u);
    while (add_grounds(&t, found)) {
    }
    sp_err err = leave_untaken(&t);
    json_decref(t.named);
    sp_free(t.grounds);
    return err;
}

/* Default privileges, rules, triggers, policies, event triggers, publications and what is in them.
 */
static bool is_light(uint32_t catalog)
{
    static const uint32_t light[] = {826, 2618, 2620, 3256, 3466, 6104, 6106, 6237};
    for (size_t i = 0; i < SP_COUNT(light); i++) {
        if (light[i] == catalog) {
            return true;
        }
    }
    return false;
}

static bool has_lost_columns(const undo *u, const json_t *relation)
{
    const undo_table t = {.relation = relation, .now = undo_present(u, relation)};
    const json_t *columns = json_object_get(relation, "columns");
    bool lost = false;
    for (size_t i = 0; t.now != NULL && i < json_array_size(columns); i++) {
        lost = lost || undo_is_lost(&t, json_array_get(columns, i));
    }
    return lost;
}

void undo_find_lessened(undo *u)
{
    const json_t *relations = json_object_get(u->manifest, "relations");
    char key[16];
    u->lessened = json_object();
    for (size_t i = 0; i < json_array_size(relations); i++) {
        const json_t *one = json_array_get(relations, i);
        if (has_lost_columns(u, one)) {
            snprintf(key, sizeof(key), "%u", undo_oid(one));
            json_object_set_new(u->lessened, key, json_true());
        }
    }
}

/* By name and without CASCADE: what looks at a column would have kept it. */
static bool takes_no_light(const undo *u)
{
    const char *verb = undo_text(u->manifest, "verb");
    return keep_has_word(verb, "ALTER") && !keep_has_word(verb, "ANY DROP CASCADE") &&
           !json_is_true(json_object_get(u->manifest, "whole"));
}

bool undo_is_lessened(const undo *u, const keep_toc_entry *entry)
{
    char key[16];
    snprintf(key, sizeof(key), "%u", entry->oid);
    return entry->catalog == PG_CLASS && !takes_no_light(u) &&
           json_object_get(u->lessened, key) != NULL;
}

bool undo_stands_on_others(const undo *u, const keep_toc_entry *entry)
{
    return is_light(entry->catalog) && !u->another && !undo_verb_is(u, "OWNED") &&
           (json_is_true(json_object_get(u->manifest, "whole")) || takes_no_light(u));
}

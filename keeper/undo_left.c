/* SPDX-License-Identifier: Apache-2.0
 * What undo leaves to others: what pg_dump does not write of a table that is kept by name, and,
 * of a whole database, what stands on things that are all there, which somebody else may have
 * dropped since, and rightly: a policy, rights by default.
 * OWNS nothing. PROCESS keeper, threads of the pool. TRUST see undo.c. SPEC keeper/undo_parts.h.
 */
#include "keeper/undo_tables.h"

#include <stdio.h>
#include <string.h>

enum { PG_CLASS = 1259, PG_EVENT_TRIGGER = 3466, PG_PUBLICATION_NAMESPACE = 6237 };

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

/* $1 publications and what was in them: those that the keeper's role cannot make. */
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

bool undo_is_above(const undo *u, const keep_toc_entry *entry)
{
    const char *is_super = PQparameterStatus(u->conn, "is_superuser");
    bool is_needed =
        entry->catalog == PG_EVENT_TRIGGER || entry->catalog == PG_PUBLICATION_NAMESPACE;
    char key[32];
    snprintf(key, sizeof(key), "%u %u", entry->catalog, entry->oid);
    return json_object_get(u->above, key) != NULL ||
           (is_needed && (is_super == NULL || strcmp(is_super, "on") != 0));
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

bool undo_is_lessened(const undo *u, const keep_toc_entry *entry)
{
    char key[16];
    snprintf(key, sizeof(key), "%u", entry->oid);
    return entry->catalog == PG_CLASS && json_object_get(u->lessened, key) != NULL;
}

bool undo_stands_on_others(const undo *u, const keep_toc_entry *entry)
{
    return is_light(entry->catalog) && !u->another && !undo_verb_is(u, "OWNED") &&
           json_is_true(json_object_get(u->manifest, "whole"));
}

/* SPDX-License-Identifier: Apache-2.0
 * Foreign keys while rows are put back: parents come first, and where two tables refer to each
 * other neither is. What may wait waits until all rows are there; it is looked at before triggers
 * are switched on again, which the server refuses while a check is open. OWNS nothing. PROCESS
 * keeper, threads of the pool. TRUST numbers of the manifest; names come from the server's own
 * quoting. SPEC keeper/undo_tables.h; PostgreSQL 15 manual, SET CONSTRAINTS.
 */
#include "keeper/said.h"
#include "keeper/undo_tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- which of them are tied ---- */

/* Of the rows (oid, place) of kept: a key of a partition ties the whole, and one of the whole each
 * partition. */
#define LINE                                                                                       \
    "line(oid, place) AS (SELECT oid, place FROM kept UNION SELECT t.relid::oid, place"            \
    " FROM kept, pg_catalog.pg_partition_tree(kept.oid) t UNION SELECT a.relid::oid, place"        \
    " FROM kept, pg_catalog.pg_partition_ancestors(kept.oid) a(relid))"

/* $1 the tables, $2 foreign keys that were kept. */
static const char TIES[] =
    "WITH kept(oid, place) AS (SELECT o, o FROM unnest($1::oid[]) o)," LINE
    ", keys(child, parent, was_there) AS (SELECT (j->>'table')::oid, (j->>'references')::oid, true"
    " FROM json_array_elements($2::json) j UNION ALL SELECT conrelid, confrelid, false"
    " FROM pg_catalog.pg_constraint WHERE contype = 'f' AND conparentid = 0)"
    "SELECT COALESCE(c.place, 0::oid), p.place, bool_or(was_there) FROM keys k"
    " JOIN line p ON p.oid = k.parent LEFT JOIN line c ON c.oid = k.child GROUP BY 1, 2";

static int compare(const void *a, const void *b)
{
    const undo_tie *x = a;
    const undo_tie *y = b;
    int by_child = (x->child > y->child) - (x->child < y->child);
    return by_child != 0 ? by_child : (x->parent > y->parent) - (x->parent < y->parent);
}

static void list_oids(const undo_tables *all, sp_buf *out)
{
    sp_buf_text(out, "{");
    for (size_t i = 0; i < all->count + all->left_count; i++) {
        const json_t *one = i < all->count ? all->items[i].relation : all->left[i - all->count];
        sp_buf_fmt(out, "%s%u", i == 0 ? "" : ",", undo_oid(one));
    }
    sp_buf_text(out, "}");
}

static sp_err take_ties(const PGresult *result, undo_tables *all)
{
    size_t count = (size_t)PQntuples(result);
    TRY(sp_alloc(count + 1, sizeof(*all->ties), &all->ties));
    for (size_t i = 0; i < count; i++) {
        uint64_t child = 0;
        uint64_t parent = 0;
        TRY(sp_span_to_u64(sp_span_cstr(keep_value(result, (int)i, 0)), UINT32_MAX, &child));
        TRY(sp_span_to_u64(sp_span_cstr(keep_value(result, (int)i, 1)), UINT32_MAX, &parent));
        all->ties[all->tie_count++] =
            (undo_tie){(uint32_t)child, (uint32_t)parent, keep_value(result, (int)i, 2)[0] == 't'};
    }
    qsort(all->ties, all->tie_count, sizeof(*all->ties), compare);
    return sp_ok();
}

sp_err undo_keys_find(undo *u, undo_tables *all)
{
    auto_result PGresult *result = NULL;
    auto_buf sp_buf oids = sp_buf_make(UNDO_SQL_MAX_BYTES);
    auto_free char *list = NULL;
    list_oids(all, &oids);
    TRY(sp_buf_take_cstr(&oids, &list));
    char *keys = json_dumps(json_object_get(u->manifest, "foreign"), JSON_COMPACT);
    const char *const values[] = {list, keys == NULL ? "[]" : keys};
    sp_err err = keep_exec(u->job, u->conn, TIES, SP_COUNT(values), values, &result);
    sp_free(keys);
    TRY(err);
    return take_ties(result, all);
}

bool undo_keys_tie(const undo_tables *all, const json_t *child, const json_t *parent)
{
    const undo_tie wanted = {undo_oid(child), undo_oid(parent), false};
    return wanted.child != wanted.parent && all->tie_count > 0 &&
           bsearch(&wanted, all->ties, all->tie_count, sizeof(wanted), compare) != NULL;
}

bool undo_keys_hung(const undo_tables *all, const json_t *parent)
{
    for (size_t i = 0; i < all->tie_count; i++) {
        if (all->ties[i].parent == undo_oid(parent) && all->ties[i].was_there) {
            return true;
        }
    }
    return false;
}

/* ---- which of them wait ---- */

void undo_keys_wait(const undo_tables *all, sp_buf *sql)
{
    sp_buf_text(sql,
                "CREATE TEMP TABLE sp_key ON COMMIT DROP AS WITH kept(oid, place) AS (VALUES ");
    for (size_t i = 0; i < all->count; i++) {
        sp_buf_fmt(sql, "%s(%u::oid, %zu)", i == 0 ? "" : ",", undo_oid(all->items[i].relation), i);
    }
    sp_buf_text(sql, ")," LINE " SELECT DISTINCT k.oid FROM pg_constraint k JOIN line c ON c.oid = "
                     "k.conrelid JOIN line p ON p.oid = k.confrelid WHERE k.contype = 'f' AND "
                     "k.conparentid = 0 AND NOT k.condeferrable AND c.place <= p.place;\nSELECT "
                     "format('ALTER TABLE %s ALTER "
                     "CONSTRAINT %I DEFERRABLE', conrelid::regclass, conname) FROM pg_constraint "
                     "JOIN pg_temp.sp_key USING (oid) ORDER BY oid " UNDO_GEXEC
                     "SET CONSTRAINTS ALL DEFERRED;\n");
}

void undo_keys_check(sp_buf *sql)
{
    sp_buf_text(sql, "SET CONSTRAINTS ALL IMMEDIATE;\nSELECT format('ALTER TABLE %s ALTER "
                     "CONSTRAINT %I NOT DEFERRABLE', conrelid::regclass, conname) FROM "
                     "pg_constraint JOIN pg_temp.sp_key USING (oid) ORDER BY oid " UNDO_GEXEC);
}

/* ---- those that are off while rows come ---- */

/* $1 the tables; what cannot be added without asking rows is left on. */
static const char OFF[] =
    "WITH kept(oid, place) AS (SELECT o, 0 FROM unnest($1::oid[]) o)," LINE
    " SELECT COALESCE(json_agg(json_build_object('table', format('%I.%I', n.nspname, c.relname),"
    " 'name', quote_ident(k.conname), 'definition', regexp_replace(pg_get_constraintdef(k.oid),"
    " ' NOT VALID$', ''), 'valid', k.convalidated, 'comment', obj_description(k.oid,"
    " 'pg_constraint')) ORDER BY k.oid), '[]')::text FROM pg_catalog.pg_constraint k"
    " JOIN pg_catalog.pg_class c ON c.oid = k.conrelid"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE k.contype = 'f'"
    " AND k.conparentid = 0 AND c.relkind = 'r' AND k.conrelid IN (SELECT oid FROM line)"
    " AND pg_has_role(c.relowner, 'USAGE') AND has_table_privilege(k.confrelid, 'REFERENCES')";

sp_err undo_keys_take_off(undo *u, const undo_tables *all, json_t **ret_keys, sp_buf *sql)
{
    auto_buf sp_buf oids = sp_buf_make(UNDO_SQL_MAX_BYTES);
    auto_free char *list = NULL;
    list_oids(all, &oids);
    TRY(sp_buf_take_cstr(&oids, &list));
    const char *const values[] = {list};
    TRY(keep_exec_json(u->job, u->conn, OFF, SP_COUNT(values), values, ret_keys));
    for (size_t i = 0; i < json_array_size(*ret_keys); i++) {
        const json_t *key = json_array_get(*ret_keys, i);
        sp_buf_fmt(sql, "ALTER TABLE %s DROP CONSTRAINT %s;\n", undo_text(key, "table"),
                   undo_text(key, "name"));
    }
    return undo_script(u, sql);
}

sp_err undo_keys_put_on(undo *u, const json_t *keys)
{
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const json_t *key = json_array_get(keys, i);
        const char *table = undo_text(key, "table");
        const char *name = undo_text(key, "name");
        auto_buf sp_buf sql = sp_buf_make(UNDO_SQL_MAX_BYTES);
        sp_buf_fmt(&sql, "ALTER TABLE %s ADD CONSTRAINT %s %s NOT VALID;\n", table, name,
                   undo_text(key, "definition"));
        if (json_is_string(json_object_get(key, "comment"))) {
            sp_buf_fmt(&sql, "COMMENT ON CONSTRAINT %s ON %s IS ", name, table);
            undo_literal(u, undo_text(key, "comment"), &sql);
            sp_buf_text(&sql, ";\n");
        }
        TRY(undo_script(u, &sql));
        if (json_is_true(json_object_get(key, "valid"))) {
            undo_tell(u, json_sprintf("foreign key %s of %s: rows that came back may have no "
                                      "parent, so it holds for what is written from now on; its "
                                      "owner may validate it",
                                      name, table));
            u->notes++;
            u->leaves_out = true;
        }
    }
    return sp_ok();
}

/* ---- those that fell ---- */

sp_err undo_keys_try(undo *u, sp_span text, sp_span said, json_t **ret_refusal)
{
    static const char *const whys[] = {"rows that are there have no parent",
                                       "code of others would run if rows were asked"};
    auto_buf sp_buf later = sp_buf_make(UNDO_SQL_MAX_BYTES);
    auto_json json_t *refusal = NULL;
    bool blind = (u->weak & UNDO_WEAK_KEYS) != 0;
    if (!blind) {
        TRY(undo_try(u, text, false, &refusal));
    }
    if (blind || strcmp(undo_text(refusal, "code"), KEEP_SAID_NO_PARENT) == 0) {
        bool is_so = sp_span_ends(text, SP_SPAN_LIT(" NOT VALID"));
        sp_buf_fmt(&later, "%.*s%s", SP_SPAN_ARG(text), is_so ? "" : " NOT VALID");
        TRY(sp_buf_error(&later));
        json_decref(refusal);
        refusal = NULL;
        TRY(undo_try(u, sp_buf_borrow(&later), false, &refusal));
        if (refusal == NULL && !is_so) {
            undo_tell(u, json_sprintf("%.*s: %s, so it holds for what is written from now on; its "
                                      "owner may validate it",
                                      SP_SPAN_ARG(said), whys[blind]));
            u->notes++;
            u->leaves_out = true;
        }
    }
    *ret_refusal = SP_STEAL(refusal);
    return sp_ok();
}

static sp_err add_key(undo *u, json_t *key)
{
    auto_buf sp_buf sql = sp_buf_make(UNDO_SQL_MAX_BYTES);
    auto_buf sp_buf said = sp_buf_make(UNDO_SQL_MAX_BYTES);
    auto_buf sp_buf why = sp_buf_make(UNDO_SQL_MAX_BYTES);
    auto_free char *text = NULL;
    auto_json json_t *refusal = NULL;
    sp_buf_fmt(&sql, "ALTER TABLE %s ADD CONSTRAINT %s %s", undo_text(key, "quoted"),
               undo_text(key, "name"), undo_text(key, "definition"));
    sp_buf_fmt(&said, "foreign key %s of %s", undo_text(key, "name"), undo_text(key, "quoted"));
    TRY(sp_buf_error(&sql));
    TRY(sp_buf_error(&said));
    TRY(undo_keys_try(u, sp_buf_borrow(&sql), sp_buf_borrow(&said), &refusal));
    if (refusal == NULL) {
        undo_tell(u, json_sprintf("%.*s was added again", SP_SPAN_ARG(sp_buf_borrow(&said))));
        return sp_ok();
    }
    sp_buf_text(&why, "the server refuses it: ");
    undo_try_words(refusal, &why);
    TRY(sp_buf_take_cstr(&why, &text));
    undo_leave_gone(u, key, text);
    return sp_ok();
}

sp_err undo_keys_add(undo *u)
{
    const json_t *keys = json_object_get(u->manifest, "foreign");
    for (size_t i = 0; i < json_array_size(keys); i++) {
        json_t *key = json_array_get(keys, i);
        if (json_is_true(json_object_get(key, "gone"))) {
            TRY(add_key(u, key));
        }
    }
    return sp_ok();
}

sp_err undo_keys_find_gone(undo *u)
{
    const json_t *keys = json_object_get(u->manifest, "foreign");
    for (size_t i = 0; i < json_array_size(keys); i++) {
        json_t *key = json_array_get(keys, i);
        auto_result PGresult *result = NULL;
        char oid[24];
        char table[24];
        snprintf(oid, sizeof(oid), "%lld",
                 (long long)json_integer_value(json_object_get(key, "oid")));
        snprintf(table, sizeof(table), "%lld",
                 (long long)json_integer_value(json_object_get(key, "table")));
        const char *const values[] = {oid, table, undo_text(key, "name")};
        TRY(keep_exec(u->job, u->conn,
                      "SELECT FROM pg_catalog.pg_class c WHERE c.oid = $2::oid AND NOT EXISTS "
                      "(SELECT FROM pg_catalog.pg_constraint f WHERE f.oid = $1::oid OR "
                      "(f.conrelid = $2::oid AND quote_ident(f.conname) = $3))",
                      3, values, &result));
        /* in the archive with its own table, unless that table was not kept */
        bool kept = false;
        const json_t *relations = json_object_get(u->manifest, "relations");
        for (size_t k = 0; k < json_array_size(relations); k++) {
            kept = kept || undo_oid(json_array_get(relations, k)) ==
                               (uint32_t)json_integer_value(json_object_get(key, "table"));
        }
        if (PQntuples(result) == 1 && !kept) {
            json_object_set_new(key, "gone", json_true());
        }
    }
    return sp_ok();
}

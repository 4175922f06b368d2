/* SPDX-License-Identifier: Apache-2.0
 * Undo of DROP and ALTER: objects of the archive whose row has left its system catalog are made
 * again, with data, constraints and grants; foreign keys of other tables that fell are added.
 * OWNS nothing. PROCESS keeper, threads of the pool. TRUST see undo.c. SPEC keeper/undo_parts.h.
 */
#include "infra/proc/file.h"
#include "keeper/undo_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TAG_MAX_BYTES = 512, PG_CLASS = 1259, CATALOGS_MAX = 64 };

/* ---- what is missing ---- */

static int compare(const void *a, const void *b)
{
    const undo_object *x = a;
    const undo_object *y = b;
    int by_catalog = (x->catalog > y->catalog) - (x->catalog < y->catalog);
    return by_catalog != 0 ? by_catalog : (x->oid > y->oid) - (x->oid < y->oid);
}

bool undo_is_missing(const undo *u, uint32_t catalog, uint32_t oid)
{
    size_t from = 0;
    for (size_t to = u->missing_count; from < to;) {
        size_t half = from + (to - from) / 2;
        const undo_object wanted = {catalog, oid};
        bool before = compare(&u->missing[half], &wanted) < 0;
        from = before ? half + 1 : from;
        to = before ? to : half;
    }
    return from < u->missing_count && u->missing[from].catalog == catalog &&
           (oid == 0 || u->missing[from].oid == oid);
}

/* The catalog's name, quoted. Large objects have no rows of their own in theirs. */
static sp_err name_catalog(undo *u, uint32_t catalog, sp_buf *out)
{
    auto_result PGresult *name = NULL;
    char number[16];
    if (catalog == UNDO_LARGE_OBJECTS) {
        sp_buf_text(out, "pg_largeobject_metadata");
        return sp_ok();
    }
    snprintf(number, sizeof(number), "%u", catalog);
    const char *const one[] = {number};
    TRY(keep_exec(u->job, u->conn,
                  "SELECT quote_ident(c.relname) FROM pg_catalog.pg_class c WHERE c.oid = "
                  "$1::oid AND c.relnamespace = 'pg_catalog'::regnamespace",
                  1, one, &name));
    if (PQntuples(name) != 1) {
        return sp_fail(SP_ECORRUPT);
    }
    sp_buf_text(out, PQgetvalue(name, 0, 0));
    return sp_ok();
}

/* Those of the objects of one catalog that are not there any more. */
static sp_err look_up(undo *u, uint32_t catalog, const char *oids)
{
    auto_result PGresult *gone = NULL;
    auto_buf sp_buf sql = sp_buf_make(1024);
    auto_free char *text = NULL;
    sp_buf_text(&sql, "SELECT o.oid FROM unnest($1::oid[]) o(oid) WHERE NOT EXISTS (SELECT FROM "
                      "pg_catalog.");
    TRY(name_catalog(u, catalog, &sql));
    sp_buf_text(&sql, " c WHERE c.oid = o.oid)");
    TRY(sp_buf_take_cstr(&sql, &text));
    const char *const list[] = {oids};
    TRY(keep_exec(u->job, u->conn, text, 1, list, &gone));
    for (int i = 0; i < PQntuples(gone); i++) {
        uint64_t oid = 0;
        if (u->missing_count == u->entry_count) {
            return sp_fail(SP_ECORRUPT); /* the server says more than it was asked about */
        }
        TRY(sp_span_to_u64(sp_span_cstr(PQgetvalue(gone, i, 0)), UINT32_MAX, &oid));
        u->missing[u->missing_count++] = (undo_object){catalog, (uint32_t)oid};
    }
    return sp_ok();
}

static sp_err look_up_all(undo *u, uint32_t catalog)
{
    auto_buf sp_buf oids = sp_buf_make(KEEP_LISTING_MAX_BYTES);
    auto_free char *text = NULL;
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    while (keep_toc_next(&rest, &entry)) {
        if (entry.catalog == catalog) {
            sp_buf_fmt(&oids, "%s%u", oids.len == 0 ? "{" : ",", entry.oid);
        }
    }
    sp_buf_text(&oids, "}");
    TRY(sp_buf_take_cstr(&oids, &text));
    return look_up(u, catalog, text);
}

/* One question a catalog. Each entry of the archive may be missing. */
static sp_err find_objects(undo *u)
{
    uint32_t done[CATALOGS_MAX];
    size_t done_count = 0;
    keep_toc_entry entry;
    sp_span rest = sp_buf_borrow(&u->toc);
    while (keep_toc_next(&rest, &entry)) {
        u->entry_count++;
    }
    TRY(sp_alloc(u->entry_count + 1, sizeof(*u->missing), &u->missing));
    rest = sp_buf_borrow(&u->toc);
    while (keep_toc_next(&rest, &entry)) {
        bool seen = entry.catalog == 0;
        for (size_t i = 0; i < done_count; i++) {
            seen = seen || done[i] == entry.catalog;
        }
        if (seen) {
            continue;
        }
        if (done_count == SP_COUNT(done)) {
            return sp_fail(SP_ELIMIT);
        }
        done[done_count++] = entry.catalog;
        TRY(look_up_all(u, entry.catalog));
    }
    qsort(u->missing, u->missing_count, sizeof(*u->missing), compare);
    return sp_ok();
}

/* ---- structure ---- */

static sp_err take_script(void *self, sp_span bytes)
{
    const undo *u = self;
    return sp_write_all(u->psql.in, bytes);
}

/* "KIND schema tag owner", as a line of the archive's list: line ends are blanks there. */
static bool is_entry(const keep_toc_entry *entry, const char *kind, const json_t *relation,
                     const char *what, const char *name, const char *column)
{
    auto_buf sp_buf text = sp_buf_make(TAG_MAX_BYTES);
    sp_buf_fmt(&text, "%s %s %s%s%s%s %s", kind, undo_text(relation, "schema"), what, name,
               column == NULL ? "" : ".", column == NULL ? "" : column,
               undo_text(relation, "owner"));
    for (size_t i = 0; i < text.len; i++) {
        text.ptr[i] = text.ptr[i] == '\n' || text.ptr[i] == '\r' ? ' ' : text.ptr[i];
    }
    return !sp_failed(sp_buf_error(&text)) && sp_span_eq(entry->rest, sp_buf_borrow(&text));
}

/* Words about a relation that have no oid of their own: grants, comments, where a sequence is. Its
 * name is quoted in those of the first kind. */
static bool is_about(const keep_toc_entry *entry, const json_t *relation)
{
    static const char *const kinds[] = {"ACL", "COMMENT", "SECURITY LABEL"};
    static const char *const words[] = {"TABLE ", "VIEW ", "MATERIALIZED VIEW ", "SEQUENCE "};
    const char *ident = undo_text(relation, "ident");
    const char *name = undo_text(relation, "name");
    const json_t *columns = json_object_get(relation, "columns");
    if (is_entry(entry, "SEQUENCE SET", relation, "", name, NULL) ||
        is_entry(entry, "SEQUENCE OWNED BY", relation, "", name, NULL)) {
        return true;
    }
    for (size_t k = 0; k < SP_COUNT(kinds); k++) {
        for (size_t i = 0; i < SP_COUNT(words); i++) {
            if (is_entry(entry, kinds[k], relation, words[i], ident, NULL)) {
                return true;
            }
        }
        for (size_t i = 0; i < json_array_size(columns); i++) {
            const char *column = undo_text(json_array_get(columns, i), "quoted");
            if (is_entry(entry, kinds[k], relation, "COLUMN ", ident, column)) {
                return true;
            }
        }
    }
    return false;
}

/* "ACL - LARGE OBJECT 16500 owner" */
static bool is_about_large(const keep_toc_entry *entry, uint32_t *ret_oid)
{
    static const char *const kinds[] = {"ACL - LARGE OBJECT ", "COMMENT - LARGE OBJECT ",
                                        "SECURITY LABEL - LARGE OBJECT "};
    for (size_t i = 0; i < SP_COUNT(kinds); i++) {
        sp_span kind = sp_span_cstr(kinds[i]);
        if (sp_span_starts(entry->rest, kind)) {
            uint64_t oid = 0;
            sp_span number = sp_span_slice(entry->rest, kind.len, entry->rest.len);
            number = sp_span_slice(number, 0, sp_span_index(number, ' '));
            bool reads = !sp_failed(sp_span_to_u64(number, UINT32_MAX, &oid));
            *ret_oid = reads ? (uint32_t)oid : 0;
            return true;
        }
    }
    return false;
}

static bool is_about_missing(const undo *u, const keep_toc_entry *entry)
{
    uint32_t large = 0;
    if (is_about_large(entry, &large)) {
        return large != 0 && undo_is_missing(u, UNDO_LARGE_OBJECTS, large);
    }
    const json_t *relations = json_object_get(u->manifest, "relations");
    for (size_t i = 0; i < json_array_size(relations); i++) {
        const json_t *one = json_array_get(relations, i);
        if (undo_is_missing(u, PG_CLASS, undo_oid(one)) && is_about(entry, one)) {
            return true;
        }
    }
    /* of the whole database: words about what is no relation; where a sequence stood is no word */
    return json_is_true(json_object_get(u->manifest, "whole")) && u->missing_count > 0 &&
           !sp_span_starts(entry->rest, SP_SPAN_LIT("SEQUENCE "));
}

/* "INDEX ATTACH public logs_1_pkey owner": what is attached is made again with it, or is there. */
static bool attaches_missing(const undo *u, sp_span entry, sp_span kind)
{
    sp_span name = sp_span_slice(entry, kind.len, entry.len);
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry other;
    while (keep_toc_next(&rest, &other)) {
        bool made = other.catalog != 0 && undo_is_missing(u, other.catalog, other.oid);
        if (made &&
            sp_span_ends(other.rest, sp_span_slice(name, sp_span_index(name, ' '), name.len))) {
            return true;
        }
    }
    return false;
}

static bool wanted(const undo *u, const keep_toc_entry *entry)
{
    if (undo_is_large_contents(entry)) { /* ends the transaction: undo_large.c */
        return false;
    }
    if (entry->catalog != 0) {
        return undo_is_missing(u, entry->catalog, entry->oid);
    }
    if (entry->oid != 0) { /* TABLE DATA */
        return undo_is_missing(u, PG_CLASS, entry->oid);
    }
    static const char *const attaching[] = {"TABLE ATTACH ", "INDEX ATTACH "};
    for (size_t i = 0; i < SP_COUNT(attaching); i++) {
        if (sp_span_starts(entry->rest, sp_span_cstr(attaching[i]))) {
            return attaches_missing(u, entry->rest, sp_span_cstr(attaching[i]));
        }
    }
    return is_about_missing(u, entry);
}

/* What a column may need before it is made again. */
static bool is_first(const keep_toc_entry *entry)
{
    static const char *const kinds[] = {"SCHEMA ",     "EXTENSION ", "TYPE ",
                                        "SHELL TYPE ", "DOMAIN ",    "COLLATION "};
    for (size_t i = 0; i < SP_COUNT(kinds); i++) {
        if (sp_span_starts(entry->rest, sp_span_cstr(kinds[i]))) {
            return true;
        }
    }
    return false;
}

static bool wanted_first(const undo *u, const keep_toc_entry *entry)
{
    return is_first(entry) && wanted(u, entry);
}

/* Besides rows that undo_data.c loads. */
static bool wanted_last(const undo *u, const keep_toc_entry *entry)
{
    return !is_first(entry) && wanted(u, entry) && !undo_is_staged(u, entry);
}

static bool wanted_then(const undo *u, const keep_toc_entry *entry)
{
    return !is_first(entry) && wanted(u, entry);
}

/* Foreign keys that fell with what they referred to; those of missing tables are in the archive. */
static void add_foreign_keys(undo *u, sp_buf *sql)
{
    const json_t *keys = json_object_get(u->manifest, "foreign");
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const json_t *key = json_array_get(keys, i);
        if (!json_is_true(json_object_get(key, "gone"))) {
            continue;
        }
        sp_buf_fmt(sql, "ALTER TABLE %s ADD CONSTRAINT %s %s;\n", undo_text(key, "quoted"),
                   undo_text(key, "name"), undo_text(key, "definition"));
        undo_tell(u, json_sprintf("foreign key %s of %s was added again", undo_text(key, "name"),
                                  undo_text(key, "quoted")));
    }
}

static sp_err find_gone_keys(undo *u)
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

static void note_restored(undo *u, bool first)
{
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    while (keep_toc_next(&rest, &entry)) {
        if (entry.catalog != 0 && is_first(&entry) == first && wanted(u, &entry) &&
            json_array_size(u->restored) < 200) {
            json_array_append_new(u->restored,
                                  json_stringn((const char *)entry.rest.ptr, entry.rest.len));
        }
    }
}

static sp_err make(undo *u, const char *const argv[], sp_buf *sql)
{
    TRY(undo_restore(u, argv, take_script, u));
    /* pg_restore sets its own */
    sp_buf_text(sql, "SELECT pg_catalog.set_config('search_path', 'pg_catalog', true);\n"
                     "SET LOCAL lock_timeout = '30s';\n");
    return undo_script(u, sql);
}

sp_err undo_structure(undo *u, bool first, sp_buf *sql)
{
    char path[KEEP_PATH_BYTES + 16];
    char use[KEEP_PATH_BYTES + 32];
    size_t count = 0;
    TRY(undo_list(u, first ? wanted_first : wanted_then, "structure", path, &count));
    if (count > 0) {
        snprintf(use, sizeof(use), "--use-list=%s", path);
        const char *const all[] = {"pg_restore", "--file=-", use, NULL};
        const char *const empty[] = {"pg_restore", "--file=-", use, "--section=pre-data", NULL};
        const char *const filled[] = {"pg_restore",          "--file=-", use, "--section=data",
                                      "--section=post-data", NULL};
        TRY(make(u, first ? all : empty, sql));
        if (!first) { /* tables are empty: nothing of theirs has run yet */
            TRY(undo_code_check(u, true, sql));
            TRY(undo_data(u, sql));
            TRY(undo_list(u, wanted_last, "structure", path, &count));
            TRY(make(u, filled, sql));
        }
        note_restored(u, first);
    }
    if (!first) {
        add_foreign_keys(u, sql);
    }
    return undo_script(u, sql);
}

sp_err undo_find_missing(undo *u)
{
    TRY(find_objects(u));
    return find_gone_keys(u);
}

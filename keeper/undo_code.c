/* SPDX-License-Identifier: Apache-2.0
 * Whose code would run while rows are put back. Checks, generated columns, defaults of columns that
 * were added since, expressions of indexes and partitions, policies, domains, ranges and casts call
 * functions with the rights of whoever writes: here `keep_as`, which reads all and owns much. SET
 * ROLE is no way out, because such a function resets it, and a deferred trigger runs at COMMIT. So
 * undo is refused where a function is neither a superuser's (extensions, what somebody looked at)
 * nor the keeper's, or is one of the server's own that does more than compute: some run a text.
 * Triggers are switched off (undo_rows.c); the server
 * itself builds indexes and materialized views as their owners, who cannot get out of that. What is
 * looked at is locked before, so that a change that waits to be committed is seen. All is written
 * by name, and a table's lock does not hold the name of its schema: a REVOKE of nothing does,
 * because it writes the schema's row, which ALTER SCHEMA would have to write. Types and casts know
 * no lock and are looked at again before each statement that writes. OWNS nothing. PROCESS keeper,
 * threads of the pool. TRUST the owner of what was destroyed may be whoever destroyed it. SPEC
 * PostgreSQL 15 manual, 53.18 "pg_depend"; keeper/undo_parts.h.
 */
#include "keeper/said.h"
#include "keeper/undo_parts.h"
#include "lib/sql/reading.h"

#include <string.h>

enum { PG_PROC = 1255, PG_CLASS = 1259, PG_CONSTRAINT = 2606 };

/* Whose values a missing function or aggregate may hold is not in the manifest. */
static const char DOMAINS[] =
    "INSERT INTO pg_temp.sp_early SELECT t.oid::regtype, '{}', ARRAY[t.oid::regtype::text]"
    " FROM pg_type t WHERE t.typtype = 'd';\n";

static const char KEPT[] =
    "CREATE TEMP TABLE sp_kept (name text, was oid, types text[], columns text[]) ON COMMIT "
    "DROP;\nCREATE TEMP TABLE sp_joins (name text) ON COMMIT DROP;\n"
    "CREATE TEMP TABLE sp_early (name text, calls oid[], types text[]) ON COMMIT DROP;\n"
    "CREATE TEMP TABLE sp_tied (oid oid) ON COMMIT DROP;\n";

/* Of the server's own: what only computes. A default may take a number, too. */
static const char READING[] = "CREATE TEMP TABLE sp_reading (name name) ON COMMIT DROP;\n"
                              "INSERT INTO pg_temp.sp_reading VALUES ('nextval')";

/* Those that are there again since, made by this transaction. */
static const char MADE[] =
    "UPDATE pg_temp.sp_kept k SET was = c.oid FROM pg_class c WHERE k.was IS NULL"
    " AND c.oid = to_regclass(k.name) AND c.xmin::text = pg_current_xact_id()::xid::text;\n";

/* Of what is found step by step the server expects hundreds of thousands of rows, where there are
 * a few, and makes tables of megabytes for them, as large as it may. */
#define SMALL "SET LOCAL work_mem = '256kB';\n"
#define ASKED UNDO_GEXEC "SET LOCAL work_mem TO DEFAULT;\n"

/* The tables that get rows (or one of them), with their partitions (`own`); those that they are
 * partitions of, what a changed key reaches; those that a missing one will be a partition of, with
 * what is there of their rows by default (`beside`): the server looks through that; those that a
 * foreign key is about to tie (`tied`): it reads both. */
static const char KEPT_NOW[] =
    SMALL "WITH RECURSIVE kept AS (SELECT to_regclass(name)::oid AS oid, was, name, types, columns"
          " FROM pg_temp.sp_kept), first AS (SELECT ";
static const char JOINED[] =
    "), joined AS (SELECT DISTINCT to_regclass(name)::oid AS oid FROM pg_temp.sp_joins"
    " WHERE to_regclass(name) IS NOT NULL AND ";
static const char NEAR[] =
    "), beside AS (SELECT oid FROM joined UNION SELECT i.inhrelid FROM beside"
    " JOIN pg_inherits i ON i.inhparent = beside.oid"
    " WHERE NOT EXISTS (SELECT FROM joined j WHERE j.oid = beside.oid)"
    "  OR i.inhrelid = (SELECT p.partdefid FROM pg_partitioned_table p WHERE p.partrelid ="
    "  beside.oid)),"
    "tied AS (SELECT c.oid FROM pg_class c JOIN pg_temp.sp_tied t ON t.oid = c.oid"
    " UNION SELECT i.inhrelid FROM tied JOIN pg_inherits i ON i.inhparent = tied.oid),"
    "part AS (SELECT oid FROM first UNION SELECT i.inhrelid FROM part"
    " JOIN pg_inherits i ON i.inhparent = part.oid),"
    "up AS (SELECT oid FROM (TABLE first UNION TABLE joined) x UNION SELECT i.inhparent FROM up"
    " JOIN pg_inherits i ON i.inhrelid = up.oid),"
    "down AS (SELECT oid FROM first UNION SELECT x.oid FROM down"
    " CROSS JOIN LATERAL (SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = down.oid"
    "  UNION ALL SELECT f.conrelid FROM pg_constraint f WHERE f.confrelid = down.oid"
    "  AND f.contype = 'f' AND (f.confupdtype IN ('c','n','d') OR f.confdeltype IN ('c','n','d'))"
    " ) x(oid)),"
    "near AS (SELECT oid, oid::regclass::text AS about, oid IN (SELECT oid FROM part) AS own,"
    " oid IN (SELECT oid FROM beside) AS beside,"
    " oid NOT IN (TABLE up UNION TABLE down UNION TABLE beside) AS read"
    " FROM (TABLE up UNION TABLE down UNION TABLE beside UNION TABLE tied) x)";

#define NEAR_TABLES                                                                                \
    " FROM near n JOIN pg_class c ON c.oid = n.oid JOIN pg_namespace s ON s.oid = c.relnamespace"  \
    " WHERE c.relkind IN ('r', 'p')"
/* Keys of tables that the keeper may not write run as their owners. */
#define LOCKABLE "has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE')"
#define HOLDABLE                                                                                   \
    "has_schema_privilege(s.oid, 'USAGE')"                                                         \
    " AND s.xmin::text <> pg_current_xact_id()::xid::text"

static const char HOLD[] =
    " SELECT DISTINCT format('REVOKE GRANT OPTION FOR USAGE ON SCHEMA %I FROM PUBLIC',"
    " s.nspname)" NEAR_TABLES " AND " HOLDABLE " ORDER BY 1 " ASKED;

/* Whose rows are put back is written by nobody else meanwhile; the others only stay what they are:
 * who writes into another partition goes on. Where a part will join, no other one joins. */
static const char LOCK[] =
    " SELECT format('LOCK TABLE ONLY %s IN %s MODE', n.about,"
    " CASE WHEN n.own THEN 'SHARE ROW EXCLUSIVE' WHEN n.beside THEN 'SHARE UPDATE EXCLUSIVE'"
    " ELSE 'ROW EXCLUSIVE' END)" NEAR_TABLES " AND " LOCKABLE " ORDER BY n.oid " ASKED;

static const char LOCKED[] =
    " SELECT format('DO %L', format('BEGIN RAISE EXCEPTION USING ERRCODE = ''" KEEP_SAID_OURS
    "'', MESSAGE = %L; END', format("
    "'%s came to what is put back while that was being locked: try again', n.about)))" NEAR_TABLES
    " AND (" HOLDABLE " OR " LOCKABLE
    " AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = pg_backend_pid() AND l.granted"
    "  AND l.locktype = 'relation' AND l.relation = n.oid AND (l.mode IN ('ShareRowExclusiveLock',"
    "  'ExclusiveLock', 'AccessExclusiveLock') OR l.mode = 'ShareUpdateExclusiveLock'"
    "  AND NOT n.own OR l.mode = 'RowExclusiveLock' AND NOT (n.own OR n.beside))))"
    " LIMIT 1 " ASKED;

/* What belongs to them; and from there to functions. */
static const char CHECK[] =
    ", node(class, oid, about) AS ("
    " SELECT 'pg_class'::regclass::oid, oid, about FROM near"
    " UNION SELECT 'pg_class'::regclass, i.indexrelid, n.about FROM near n"
    "  JOIN pg_index i ON i.indrelid = n.oid"
    " UNION SELECT 'pg_constraint'::regclass, c.oid, n.about FROM near n"
    "  JOIN pg_constraint c ON c.conrelid = n.oid"
    " UNION SELECT 'pg_policy'::regclass, p.oid, n.about FROM near n"
    "  JOIN pg_policy p ON p.polrelid = n.oid"
    " UNION SELECT 'pg_rewrite'::regclass, r.oid, n.about FROM near n"
    "  JOIN pg_rewrite r ON r.ev_class = n.oid"
    " UNION SELECT 'pg_attrdef'::regclass, d.oid, n.about FROM near n"
    "  JOIN pg_attrdef d ON d.adrelid = n.oid"
    "  JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum"
    "  LEFT JOIN kept k ON k.oid = n.oid"
    "  WHERE a.attgenerated <> '' OR NOT n.read AND"
    "   (k.oid IS NULL OR NOT a.attname = ANY (k.columns))"
    " UNION SELECT 'pg_type'::regclass, to_regtype(t.t), k.name FROM kept k, unnest(k.types) t(t)"
    "  WHERE to_regtype(t.t) IS NOT NULL"
    " UNION SELECT 'pg_type'::regclass, to_regtype(t.t), e.name FROM pg_temp.sp_early e,"
    "  unnest(e.types) t(t) WHERE to_regtype(t.t) IS NOT NULL"
    " UNION SELECT 'pg_proc'::regclass, f.f, e.name FROM pg_temp.sp_early e, unnest(e.calls) f(f)"
    " UNION SELECT x.class, x.oid, n.about FROM node n CROSS JOIN LATERAL ("
    "  SELECT d.refclassid, d.refobjid FROM pg_depend d WHERE d.classid = n.class"
    "   AND d.objid = n.oid AND d.refclassid IN ('pg_type'::regclass, 'pg_proc'::regclass,"
    "   'pg_operator'::regclass) AND n.class <> 'pg_proc'::regclass"
    "  UNION ALL SELECT 'pg_constraint'::regclass, c.oid FROM pg_constraint c"
    "   WHERE n.class = 'pg_type'::regclass AND c.contypid = n.oid"
    "  UNION ALL SELECT 'pg_class'::regclass, t.typrelid FROM pg_type t"
    "   WHERE n.class = 'pg_type'::regclass AND t.oid = n.oid AND t.typrelid <> 0"
    "  UNION ALL SELECT 'pg_proc'::regclass, c.castfunc FROM pg_cast c WHERE c.castfunc <> 0"
    "   AND n.class = 'pg_type'::regclass AND n.oid >= 16384 AND n.oid IN (c.castsource,"
    "   c.casttarget)) x(class, oid)),"
    /* the server's own leave no row in pg_depend: they stand in the text of what calls them */
    "tree(about, text) AS ("
    " SELECT n.about, c.conbin::text FROM node n JOIN pg_constraint c"
    "  ON n.class = 'pg_constraint'::regclass AND c.oid = n.oid"
    " UNION ALL SELECT n.about, d.adbin::text FROM node n JOIN pg_attrdef d"
    "  ON n.class = 'pg_attrdef'::regclass AND d.oid = n.oid"
    " UNION ALL SELECT n.about, concat(p.polqual, p.polwithcheck) FROM node n JOIN pg_policy p"
    "  ON n.class = 'pg_policy'::regclass AND p.oid = n.oid"
    " UNION ALL SELECT n.about, concat(i.indexprs, i.indpred) FROM node n JOIN pg_index i"
    "  ON n.class = 'pg_class'::regclass AND i.indexrelid = n.oid"
    " UNION ALL SELECT n.about, p.partexprs::text FROM node n JOIN pg_partitioned_table p"
    "  ON n.class = 'pg_class'::regclass AND p.partrelid = n.oid"
    " UNION ALL SELECT n.about, t.typdefaultbin::text FROM node n JOIN pg_type t"
    "  ON n.class = 'pg_type'::regclass AND t.oid = n.oid),"
    "calls(about, oid) AS (SELECT about, oid FROM node WHERE class = 'pg_proc'::regclass"
    " UNION SELECT n.about, o.oprcode FROM node n JOIN pg_operator o"
    "  ON n.class = 'pg_operator'::regclass AND o.oid = n.oid"
    " UNION SELECT about, m[1]::oid FROM tree, regexp_matches(text,"
    "  ':(?:funcid|opfuncid|aggfnoid|winfnoid) ([0-9]+)', 'g') m),"
    "code AS (SELECT n.about, p.oid::regprocedure::text AS called, p.proowner"
    " FROM calls n JOIN pg_proc p ON p.oid = n.oid JOIN pg_roles r ON r.oid = p.proowner WHERE NOT "
    "r.rolsuper AND r.rolname <> session_user"
    " UNION ALL SELECT n.about, 'rules', c.relowner FROM near n JOIN pg_class c ON c.oid = n.oid"
    "  JOIN pg_rewrite w ON w.ev_class = n.oid AND w.ev_type <> '1'"
    "  JOIN pg_roles r ON r.oid = c.relowner WHERE NOT r.rolsuper AND NOT n.read),"
    "wrong(first, what) AS (SELECT 1, format('%s is not what was kept any more: try again', name)"
    "  FROM kept WHERE was IS NOT NULL AND was IS DISTINCT FROM oid";
static const char WRONG[] =
    " UNION ALL SELECT 2, format('%s: %s of %s would run with the rights of %s while rows are put "
    "back; when it was looked at, let a superuser own it', about, called, "
    "pg_get_userbyid(proowner), session_user) FROM code"
    " UNION ALL SELECT 2, format('%s: a function that it calls is gone; made again it would run "
    "with the rights of %s', e.name, session_user) FROM pg_temp.sp_early e, unnest(e.calls) f(f)"
    " WHERE NOT EXISTS (SELECT FROM pg_proc p WHERE p.oid = f.f)"
    " UNION ALL SELECT 3, format('%s: %s, which does more than compute a value, would run with the "
    "rights of %s while rows are put back', n.about, p.oid::regprocedure, session_user)"
    " FROM calls n JOIN pg_proc p ON p.oid = n.oid"
    " WHERE p.pronamespace = 'pg_catalog'::regnamespace"
    " AND NOT EXISTS (SELECT FROM pg_temp.sp_reading r WHERE r.name = p.proname))"
    "SELECT format('DO %L', format('BEGIN RAISE EXCEPTION USING ERRCODE = ''" KEEP_SAID_OURS
    "'', MESSAGE = %L; END', what))"
    " FROM wrong ORDER BY first, what LIMIT 1 " ASKED;

static void put_columns(const undo *u, const json_t *relation, const char *what, sp_buf *sql)
{
    const json_t *columns = json_object_get(relation, "columns");
    sp_buf_text(sql, ", ARRAY[");
    for (size_t i = 0; i < json_array_size(columns); i++) {
        sp_buf_text(sql, i == 0 ? "" : ", ");
        undo_literal(u, undo_text(json_array_get(columns, i), what), sql);
    }
    sp_buf_text(sql, "]::text[]");
}

/* What a missing partition will be one of. */
static sp_err put_joins(undo *u, const json_t *relation, sp_buf *sql)
{
    const char *parent = undo_text(relation, "parent");
    bool joins = json_is_true(json_object_get(relation, "partition")) &&
                 undo_verb_is(u, "DROP ALTER") && undo_is_missing(u, PG_CLASS, undo_oid(relation));
    if (joins && parent[0] == '\0') {
        return undo_refuse(u, undo_text(relation, "quoted"),
                           "it was kept without the name of the table that it is a partition of",
                           NULL, NULL);
    }
    if (joins) {
        sp_buf_text(sql, "INSERT INTO pg_temp.sp_joins VALUES (");
        undo_literal(u, parent, sql);
        sp_buf_text(sql, ");\n");
    }
    return sp_ok();
}

static void put_list(const undo *u, const json_t *list, const char *type, sp_buf *sql)
{
    sp_buf_text(sql, ", ARRAY[");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        sp_buf_text(sql, i == 0 ? "" : ", ");
        if (json_is_string(one)) {
            undo_literal(u, json_string_value(one), sql);
        } else {
            sp_buf_fmt(sql, "%u", (uint32_t)json_integer_value(one));
        }
    }
    sp_buf_fmt(sql, "]::%s[]", type);
}

/* What would run while definitions are read, before there is a table to look at. */
static void put_early(const undo *u, const json_t *relation, sp_buf *sql)
{
    bool missing = undo_is_missing(u, PG_CLASS, undo_oid(relation));
    if (!undo_verb_is(u, "DROP ALTER") || (!missing && undo_is_outside(relation))) {
        return;
    }
    sp_buf_text(sql, "INSERT INTO pg_temp.sp_early VALUES (");
    undo_literal(u, undo_text(relation, "quoted"), sql);
    put_list(u, missing ? json_object_get(relation, "calls") : NULL, "oid", sql);
    put_list(u, json_object_get(relation, "types"), "text", sql);
    sp_buf_text(sql, ");\n");
}

sp_err undo_code_events(undo *u)
{
    static const char asked[] =
        "SELECT quote_ident(e.evtname), p.oid::regprocedure::text || ' of ' ||"
        " pg_get_userbyid(p.proowner) FROM pg_catalog.pg_event_trigger e"
        " JOIN pg_catalog.pg_proc p ON p.oid = e.evtfoid"
        " JOIN pg_catalog.pg_roles r ON r.oid = p.proowner"
        " WHERE e.evtenabled IN ('O', 'A') AND NOT r.rolsuper AND r.rolname <> session_user"
        " ORDER BY 1 LIMIT 1";
    auto_result PGresult *found = NULL;
    TRY(keep_exec(u->job, u->conn, asked, 0, NULL, &found));
    if (PQntuples(found) == 0) {
        return sp_ok();
    }
    return undo_refuse(u, "event trigger",
                       "its function would run with the keeper's rights whenever undo makes "
                       "something; when it was looked at, let a superuser own it:",
                       PQgetvalue(found, 0, 0), PQgetvalue(found, 0, 1));
}

sp_err undo_code_begin(undo *u, sp_buf *sql)
{
    const json_t *relations = json_object_get(u->manifest, "relations");
    size_t at = 0;
    sp_buf_text(sql, READING);
    for (const char *name = sp_sql_next_reading(&at); name != NULL;
         name = sp_sql_next_reading(&at)) {
        sp_buf_fmt(sql, ",('%s')", name);
    }
    sp_buf_text(sql, ";\n");
    sp_buf_text(sql, KEPT);
    bool makes = undo_verb_is(u, "DROP ALTER");
    sp_buf_text(sql, makes && undo_is_missing(u, PG_PROC, 0) ? DOMAINS : "");
    for (size_t i = 0; i < json_array_size(relations); i++) {
        const json_t *one = json_array_get(relations, i);
        const json_t *now = undo_present(u, one);
        const char *kind = undo_text(one, "kind");
        bool stored = kind[0] == 'r' || kind[0] == 'p';
        put_early(u, one, sql);
        TRY(undo_script(u, sql));
        if (!stored || (now != NULL && undo_is_outside(one))) {
            continue;
        }
        sp_buf_text(sql, "INSERT INTO pg_temp.sp_kept VALUES (");
        undo_literal(u, undo_text(now == NULL ? one : now, "quoted"), sql);
        sp_buf_fmt(sql, ", NULLIF(%u, 0)::oid", now == NULL ? 0 : undo_oid(one));
        put_columns(u, one, "type", sql);
        put_columns(u, one, "name", sql);
        sp_buf_text(sql, ");\n");
        TRY(put_joins(u, one, sql));
        TRY(undo_script(u, sql));
    }
    return undo_script(u, sql);
}

/* only: one of the tables; NULL = all. */
static void put_question(const json_t *only, const char *question, sp_buf *sql)
{
    sp_buf_text(sql, KEPT_NOW);
    if (only == NULL) {
        sp_buf_text(sql, "oid FROM kept WHERE oid IS NOT NULL");
    } else {
        sp_buf_fmt(sql, "%u::oid AS oid", undo_oid(only));
    }
    sp_buf_text(sql, JOINED);
    sp_buf_text(sql, only == NULL ? "true" : "false");
    sp_buf_text(sql, NEAR);
    sp_buf_text(sql, question);
}

static void put_check(const json_t *only, bool made, sp_buf *sql)
{
    put_question(only, CHECK, sql);
    if (made) {
        sp_buf_text(sql, " OR was IS NULL");
    }
    if (only != NULL) { /* the question is about a table that is one of them */
        sp_buf_fmt(sql,
                   " UNION ALL SELECT 1, 'it is not there any more: try again' WHERE (SELECT "
                   "count(*) FROM kept WHERE was = %u AND oid = %u) <> 1",
                   undo_oid(only), undo_oid(only));
    }
    sp_buf_text(sql, WRONG);
}

sp_err undo_code_check(undo *u, bool made, sp_buf *sql)
{
    if (made) {
        sp_buf_text(sql, MADE);
    }
    sp_buf_text(sql, "SET LOCAL client_min_messages = error;\n"); /* nothing was revoked */
    for (size_t i = 0; i < 2; i++) { /* what others added while the first ones were waited for */
        put_question(NULL, HOLD, sql);
        put_question(NULL, LOCK, sql);
    }
    put_question(NULL, LOCKED, sql);
    put_check(NULL, made, sql);
    return undo_script(u, sql);
}

sp_err undo_code_check_keys(undo *u, sp_buf *sql)
{
    const json_t *keys = json_object_get(u->manifest, "foreign");
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const json_t *key = json_array_get(keys, i);
        uint32_t oid = (uint32_t)json_integer_value(json_object_get(key, "oid"));
        if (json_is_true(json_object_get(key, "gone")) || undo_is_missing(u, PG_CONSTRAINT, oid)) {
            sp_buf_fmt(sql, "INSERT INTO pg_temp.sp_tied VALUES (%u), (%u);\n",
                       (uint32_t)json_integer_value(json_object_get(key, "table")),
                       (uint32_t)json_integer_value(json_object_get(key, "references")));
            TRY(undo_script(u, sql));
            count++;
        }
    }
    return count == 0 ? sp_ok() : undo_code_check(u, true, sql);
}

void undo_code_check_again(const json_t *relation, sp_buf *sql)
{
    put_check(relation, false, sql);
}

void undo_code_check_made(const undo *u, const json_t *relation, sp_buf *sql)
{
    sp_buf_text(sql, KEPT_NOW);
    sp_buf_text(sql, "oid FROM kept WHERE name = ");
    undo_literal(u, undo_text(relation, "quoted"), sql);
    sp_buf_text(sql, JOINED);
    sp_buf_text(sql, "false");
    sp_buf_text(sql, NEAR);
    sp_buf_text(sql, CHECK);
    sp_buf_text(sql, " OR was IS NULL");
    sp_buf_text(sql, WRONG);
}

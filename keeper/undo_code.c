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
#include "keeper/undo_tables.h"
#include "lib/sql/reading.h"

#include <stdio.h>
#include <string.h>

enum { PG_PROC = 1255, PG_CLASS = 1259, PG_CONSTRAINT = 2606, QUESTION_MAX_BYTES = 256 << 20 };

/* Of what is found step by step the server expects hundreds of thousands of rows, where there are
 * a few, and makes tables of megabytes for them, as large as it may. */
#define SMALL "SET LOCAL search_path = pg_catalog, pg_temp;\nSET LOCAL work_mem = '256kB';\n"
#define ASKED UNDO_GEXEC "SET LOCAL work_mem TO DEFAULT;\n"

/* What was kept stands in each question by itself: a table of the session could be written by what
 * runs in it. A table that is there again was made by this transaction, or is another. */
static const char KEPT[] =
    ") v(j)), kept AS MATERIALIZED (SELECT r.oid, COALESCE(x.was,"
    " (SELECT c.oid FROM pg_class c WHERE c.oid = r.oid"
    "  AND " UNDO_IS_MADE_C ")) AS was, x.name, x.stored, x.reaches,"
    " x.joins,"
    " ARRAY(SELECT json_array_elements_text(x.types)) AS types,"
    " ARRAY(SELECT json_array_elements_text(x.early)) AS early,"
    " ARRAY(SELECT json_array_elements_text(x.columns)) AS columns, x.calls, x.stands, "
    "x.equals, "
    "x.own"
    " FROM said CROSS JOIN LATERAL json_to_record(said.j) AS x(name text, was oid, stored "
    "bool,"
    "  reaches bool,"
    "  joins text, types json, early json, columns json, calls json, stands json,"
    "  equals json, own json, defined bool)"
    /* to_regclass() would read the name of what is no relation */
    " CROSS JOIN LATERAL (SELECT CASE WHEN x.defined THEN NULL ELSE to_regclass(x.name) "
    "END::oid"
    " AS oid) r WHERE x.name IS NOT NULL),"
    "stood AS (SELECT k.name AS about, (s->>0)::oid AS class, (s->>1)::oid AS oid, s->>2 "
    "AS name"
    " FROM kept k CROSS JOIN LATERAL json_array_elements(k.stands) s),"
    "equal AS (SELECT k.name AS about, e.oid, e.name FROM kept k"
    " CROSS JOIN LATERAL json_to_recordset(k.equals) AS e(oid oid, name text)),"
    "tie AS (SELECT t.oid, t.name FROM json_to_recordset(";

/* The tables that get rows (or one of them), with their partitions (`own`); those that they are
 * partitions of, what a changed key reaches; those that a missing one will be a partition of, with
 * what is there of their rows by default (`beside`): the server looks through that; those that a
 * foreign key is about to tie (`tied`): it reads both. */
static const char FIRST[] = ") AS t(oid oid, name text)), first AS (SELECT ";
static const char JOINED[] =
    "), joined AS (SELECT DISTINCT to_regclass(joins)::oid AS oid FROM kept"
    " WHERE to_regclass(joins) IS NOT NULL AND ";
static const char NEAR[] =
    "), beside AS (SELECT oid FROM joined UNION SELECT i.inhrelid FROM beside"
    " JOIN pg_inherits i ON i.inhparent = beside.oid"
    " WHERE NOT EXISTS (SELECT FROM joined j WHERE j.oid = beside.oid)"
    "  OR i.inhrelid = (SELECT p.partdefid FROM pg_partitioned_table p WHERE p.partrelid ="
    "  beside.oid)),"
    /* a part gets the keys of what it joins, and its rows are looked for then */
    "tied AS ((SELECT c.oid FROM pg_class c JOIN tie t ON t.oid = c.oid"
    "  UNION SELECT f.confrelid FROM joined j JOIN pg_constraint f ON f.conrelid = j.oid"
    "  WHERE f.contype = 'f')"
    " UNION SELECT i.inhrelid FROM tied JOIN pg_inherits i ON i.inhparent = tied.oid),"
    "part AS (SELECT oid FROM first UNION SELECT i.inhrelid FROM part"
    " JOIN pg_inherits i ON i.inhparent = part.oid),"
    "up AS (SELECT oid FROM (TABLE first UNION TABLE joined) x UNION SELECT i.inhparent FROM up"
    " JOIN pg_inherits i ON i.inhrelid = up.oid),"
    "down AS (SELECT f.oid FROM first f JOIN kept k ON k.oid = f.oid AND k.reaches"
    " UNION SELECT x.oid FROM down"
    " CROSS JOIN LATERAL (SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = down.oid"
    "  UNION ALL SELECT f.conrelid FROM pg_constraint f WHERE f.confrelid = down.oid"
    "  AND f.contype = 'f' AND (f.confupdtype IN ('c','n','d') OR f.confdeltype IN ('c','n','d'))"
    " ) x(oid)),"
    "near AS (SELECT oid, oid::regclass::text AS about, oid IN (SELECT oid FROM part) AS own,"
    " oid IN (SELECT oid FROM beside) AS beside,"
    " oid NOT IN (TABLE up UNION TABLE part UNION TABLE down UNION TABLE beside) AS read"
    " FROM (TABLE up UNION TABLE part UNION TABLE down UNION TABLE beside UNION TABLE tied) x),"
    /* by whose names something is written */
    "spaces AS (SELECT c.relnamespace AS oid FROM near n JOIN pg_class c ON c.oid = n.oid"
    "  WHERE c.relkind IN ('r', 'p')"
    " UNION SELECT oid FROM stood WHERE class = 'pg_namespace'::regclass"
    " UNION SELECT t.typnamespace FROM stood s JOIN pg_type t ON t.oid = s.oid"
    "  WHERE s.class = 'pg_type'::regclass"
    " UNION SELECT p.pronamespace FROM stood s JOIN pg_proc p ON p.oid = s.oid"
    "  WHERE s.class = 'pg_proc'::regclass"
    " UNION SELECT o.oprnamespace FROM stood s JOIN pg_operator o ON o.oid = s.oid"
    "  WHERE s.class = 'pg_operator'::regclass"
    " UNION SELECT o.oprnamespace FROM equal e JOIN pg_operator o ON o.oid = e.oid"
    " UNION SELECT t.typnamespace FROM equal e JOIN pg_operator o ON o.oid = e.oid"
    "  JOIN pg_type t ON t.oid IN (o.oprleft, o.oprright))";

#define NEAR_TABLES " FROM near n JOIN pg_class c ON c.oid = n.oid WHERE c.relkind IN ('r', 'p')"
/* Keys of tables that the keeper may not write run as their owners. */
#define LOCKABLE "has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE')"
#define HOLDABLE_SPACES                                                                            \
    " FROM spaces JOIN pg_namespace s ON s.oid = spaces.oid"                                       \
    " WHERE has_schema_privilege(s.oid, 'USAGE')"                                                  \
    " AND NOT " UNDO_IS_MADE_S

static const char HOLD[] =
    " SELECT DISTINCT format('REVOKE GRANT OPTION FOR USAGE ON SCHEMA %I FROM PUBLIC',"
    " s.nspname)" HOLDABLE_SPACES " ORDER BY 1 " ASKED;

/* Whose rows are put back is written by nobody else meanwhile; the others only stay what they are:
 * who writes into another partition goes on. Where a part will join, no other one joins. */
static const char LOCK[] =
    " SELECT format('LOCK TABLE ONLY %s IN %s MODE', n.about,"
    " CASE WHEN n.own THEN 'SHARE ROW EXCLUSIVE' WHEN n.beside THEN 'SHARE UPDATE EXCLUSIVE'"
    " ELSE 'ROW EXCLUSIVE' END)" NEAR_TABLES " AND " LOCKABLE " ORDER BY n.oid " ASKED;

static const char LOCKED[] =
    " SELECT format('DO %L', format('BEGIN RAISE EXCEPTION USING ERRCODE = ''" KEEP_SAID_OURS
    "'', MESSAGE = %L; END', format("
    "'%s came to what is put back while that was being locked: try again', about)))"
    " FROM (SELECT quote_ident(s.nspname)" HOLDABLE_SPACES " UNION ALL SELECT n.about" NEAR_TABLES
    " AND " LOCKABLE
    " AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = pg_backend_pid() AND l.granted"
    "  AND l.locktype = 'relation' AND l.relation = n.oid AND (l.mode IN ('ShareRowExclusiveLock',"
    "  'ExclusiveLock', 'AccessExclusiveLock') OR l.mode = 'ShareUpdateExclusiveLock'"
    "  AND NOT n.own OR l.mode = 'RowExclusiveLock' AND NOT (n.own OR n.beside)))) x(about)"
    " LIMIT 1 " ASKED;

/* What belongs to them; and from there to functions. */
static const char NODES[] =
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
    " UNION SELECT 'pg_type'::regclass, to_regtype(t.t), k.name FROM kept k, unnest(k.early) t(t)"
    "  WHERE to_regtype(t.t) IS NOT NULL"
    " UNION SELECT 'pg_type'::regclass, t.oid, t.oid::regtype::text FROM pg_type t, said"
    "  WHERE t.typtype = 'd' AND said.j->>'domains' = 't'"
    " UNION SELECT 'pg_operator'::regclass, e.oid, e.about FROM equal e";
/* Of what is partitioned the indexes alone, which the server compares when one becomes a part of
 * another. */
static const char INDEXES[] =
    ", node(class, oid, about) AS (SELECT 'pg_class'::regclass::oid, i.indexrelid, n.about"
    "  FROM near n JOIN pg_class c ON c.oid = n.oid AND (c.relkind = 'p' OR c.relispartition)"
    "  JOIN pg_index i ON i.indrelid = n.oid";
static const char LINKS[] =
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
    "   c.casttarget)) x(class, oid)),";
/* The server's own leave no row in pg_depend: they stand in the text of what calls them. */
static const char CHECK[] =
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
    /* by the names that the archive calls: whatever has one of them, whatever its arguments */
    "early AS (SELECT k.name AS about, c.* FROM kept k CROSS JOIN LATERAL "
    "json_to_recordset(k.calls)"
    " AS c(class oid, oid oid, schema name, name name, said text, owner name)),"
    "named(about, call, oid) AS (SELECT e.about, e.oid, p.oid FROM early e JOIN pg_proc p"
    "  ON e.class = 'pg_proc'::regclass AND p.proname = e.name"
    "  JOIN pg_namespace s ON s.oid = p.pronamespace AND s.nspname = e.schema"
    " UNION ALL SELECT e.about, e.oid, o.oprcode FROM early e JOIN pg_operator o"
    "  ON e.class = 'pg_operator'::regclass AND o.oprname = e.name"
    "  JOIN pg_namespace s ON s.oid = o.oprnamespace AND s.nspname = e.schema),"
    "calls(about, oid) AS (SELECT about, oid FROM node WHERE class = 'pg_proc'::regclass"
    " UNION SELECT about, oid FROM named"
    " UNION SELECT n.about, o.oprcode FROM node n JOIN pg_operator o"
    "  ON n.class = 'pg_operator'::regclass AND o.oid = n.oid"
    " UNION SELECT about, m[1]::oid FROM tree, regexp_matches(text,"
    "  ':(?:funcid|opfuncid|aggfnoid|winfnoid) ([0-9]+)', 'g') m),"
    "code AS (SELECT n.about, p.oid::regprocedure::text AS called, p.proowner"
    " FROM calls n JOIN pg_proc p ON p.oid = n.oid JOIN pg_roles r ON r.oid = p.proowner WHERE NOT "
    "r.rolsuper AND r.rolname <> session_user"
    " UNION ALL SELECT n.about, 'rules', c.relowner FROM near n JOIN pg_class c ON c.oid = n.oid"
    "  JOIN pg_rewrite w ON w.ev_class = n.oid AND w.ev_type <> '1'"
    "   AND EXISTS (SELECT FROM node o WHERE o.oid = w.oid AND o.class = 'pg_rewrite'::regclass)"
    "  JOIN pg_roles r ON r.oid = c.relowner WHERE NOT r.rolsuper AND NOT n.read),"
    "wrong(first, what) AS (SELECT 1, format('%s is not what was kept any more: try again', name)"
    "  FROM kept WHERE was IS NOT NULL AND was IS DISTINCT FROM oid";
static const char WRONG[] =
    " UNION ALL SELECT 1, format('%s: %s is another operator than the one that its key is compared "
    "by: try again', about, name) FROM equal WHERE to_regoperator(name) IS DISTINCT FROM "
    "oid::regoperator"
    " UNION ALL SELECT 1, format('%s: %s is called %s now: call it as it was', about, name, now)"
    "  FROM (SELECT s.about, s.name, " KEEP_NAME_OF_S " AS now FROM stood s"
    "   UNION ALL SELECT 'foreign key', t.name, format('%I.%I', s.nspname, c.relname) "
    "FROM tie t"
    "    JOIN pg_class c ON c.oid = t.oid JOIN pg_namespace s ON s.oid = c.relnamespace) x"
    "  WHERE now <> name AND name <> ''"
    " UNION ALL SELECT 2, format('%s: %s of %s would run with the rights of %s while rows "
    "are put "
    "back; when it was looked at, let a superuser own it', about, called, "
    "pg_get_userbyid(proowner), session_user) FROM code"
    " UNION ALL SELECT 2, format('%s: %s, a function that it calls, is gone; made again "
    "it would run with the rights of %s unless %s is a superuser by then', e.about, e.said, "
    "session_user, e.owner) FROM early e"
    " WHERE NOT EXISTS (SELECT FROM named n WHERE n.call = e.oid)"
    "  AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = e.owner"
    "   AND (r.rolsuper OR r.rolname = session_user))";
static const char OWN[] =
    " UNION ALL SELECT 3, format('%s: %s, which does more than compute a value, would run with the "
    "rights of %s while rows are put back', about, said, session_user)"
    " FROM (SELECT n.about, p.oid::regprocedure::text, p.proname FROM calls n"
    "  JOIN pg_proc p ON p.oid = n.oid WHERE p.pronamespace = 'pg_catalog'::regnamespace"
    "  UNION ALL SELECT k.name, o.o, o.o::name FROM kept k"
    "  CROSS JOIN LATERAL json_array_elements_text(k.own) o(o)) x(about, said, name)"
    " WHERE name <> ALL ('{nextval";
static const char ENDS[] = "}'::name[]))";
static const char SAY[] =
    "SELECT format('DO %L', format('BEGIN RAISE EXCEPTION USING ERRCODE = ''" KEEP_SAID_OURS
    "'', MESSAGE = %L; END', what))"
    " FROM wrong ORDER BY first, what LIMIT 1 " ASKED;

/* ---- questions ---- */

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
                       keep_value(found, 0, 0), keep_value(found, 0, 1));
}

/* A list of any length goes out piece by piece. */
static sp_err put_rows(undo *u, const char *list, sp_buf *sql)
{
    const json_t *all = json_object_get(u->manifest, list);
    for (size_t i = 0; i < json_array_size(all); i++) {
        const char *row = undo_text(json_array_get(all, i), "row");
        if (row[0] != '\0') {
            sp_buf_fmt(sql, ",\n%s", row);
            TRY(undo_script(u, sql));
        }
    }
    return sp_ok();
}

static sp_err put_all(undo *u, sp_buf *sql)
{
    TRY(put_rows(u, "relations", sql));
    return put_rows(u, "definitions", sql);
}

/* Of an older keeper: whose values a missing function or aggregate may hold it does not say. */
static bool asks_domains(const undo *u)
{
    return json_object_get(u->manifest, "definitions") == NULL && undo_verb_is(u, "DROP ALTER") &&
           undo_is_missing(u, PG_PROC, 0);
}

static void put_head(bool domains, sp_buf *sql)
{
    sp_buf_fmt(sql, "WITH RECURSIVE said AS (SELECT v.j FROM (VALUES ('%s'::json)",
               domains ? "{\"domains\":\"t\"}" : "{}");
}

/* first: an expression of the tables that are asked about. */
static void put_near(const char *ties, const char *first, bool joins, sp_buf *sql)
{
    sp_buf_text(sql, KEPT);
    sp_buf_text(sql, ties == NULL ? "'[]'" : ties);
    sp_buf_text(sql, FIRST);
    sp_buf_text(sql, first);
    sp_buf_text(sql, JOINED);
    sp_buf_text(sql, joins ? "true" : "false");
    sp_buf_text(sql, NEAR);
}

static sp_err put_question(undo *u, const char *question, sp_buf *sql)
{
    sp_buf_text(sql, SMALL);
    put_head(asks_domains(u), sql);
    TRY(put_all(u, sql));
    put_near(u->ties, "oid FROM kept WHERE stored AND oid IS NOT NULL", true, sql);
    sp_buf_text(sql, question);
    return undo_script(u, sql);
}

static void put_wrong(sp_buf *sql)
{
    size_t at = 0;
    sp_buf_text(sql, WRONG);
    sp_buf_text(sql, OWN);
    for (const char *name = sp_sql_next_reading(&at); name != NULL;
         name = sp_sql_next_reading(&at)) {
        sp_buf_fmt(sql, ",%s", name);
    }
    sp_buf_text(sql, ENDS);
}

sp_err undo_code_check(undo *u, bool made, sp_buf *sql)
{
    sp_buf_text(sql, "SET LOCAL client_min_messages = error;\n"); /* nothing was revoked */
    for (size_t i = 0; i < 2; i++) { /* what others added while the first ones were waited for */
        TRY(put_question(u, HOLD, sql));
        TRY(put_question(u, LOCK, sql));
    }
    TRY(put_question(u, LOCKED, sql));
    TRY(put_question(u, NODES, sql));
    sp_buf_text(sql, LINKS);
    sp_buf_text(sql, CHECK);
    sp_buf_text(sql, made ? " OR stored AND was IS NULL" : "");
    put_wrong(sql);
    sp_buf_text(sql, SAY);
    return undo_script(u, sql);
}

sp_err undo_code_check_indexes(undo *u, sp_buf *sql)
{
    TRY(put_question(u, INDEXES, sql));
    sp_buf_text(sql, LINKS);
    sp_buf_text(sql, CHECK);
    put_wrong(sql);
    sp_buf_text(sql, SAY);
    return undo_script(u, sql);
}

static void add_tie(json_t *ties, const json_t *key, const char *oid, const char *name)
{
    json_array_append_new(ties, json_pack("{s:O, s:s}", "oid", json_object_get(key, oid), "name",
                                          undo_text(key, name)));
}

sp_err undo_code_check_keys(undo *u, sp_buf *sql)
{
    const json_t *keys = json_object_get(u->manifest, "foreign");
    auto_json json_t *ties = json_array();
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const json_t *key = json_array_get(keys, i);
        if (json_is_true(json_object_get(key, "gone")) ||
            undo_is_missing(u, PG_CONSTRAINT, undo_oid(key))) {
            add_tie(ties, key, "table", "quoted");
            add_tie(ties, key, "references", "refers");
        }
    }
    if (json_array_size(ties) == 0) {
        return sp_ok();
    }
    auto_buf sp_buf text = sp_buf_make(KEEP_MANIFEST_MAX_BYTES);
    char *words = json_dumps(ties, JSON_COMPACT);
    undo_literal(u, words == NULL ? "" : words, &text);
    sp_free(words);
    TRY(sp_buf_take_cstr(&text, &u->ties));
    return undo_code_check(u, true, sql);
}

void undo_code_check_again(const json_t *relation, sp_buf *sql)
{
    char first[32];
    snprintf(first, sizeof(first), "%u::oid AS oid", undo_oid(relation));
    sp_buf_text(sql, SMALL);
    put_head(false, sql);
    sp_buf_fmt(sql, ",%s", undo_text(relation, "row"));
    put_near(NULL, first, false, sql);
    sp_buf_text(sql, NODES);
    sp_buf_text(sql, LINKS);
    sp_buf_text(sql, CHECK);
    /* the question is about a table that is one of them */
    sp_buf_fmt(sql,
               " UNION ALL SELECT 1, 'it is not there any more: try again' WHERE (SELECT "
               "count(*) FROM kept WHERE was = %u AND oid = %u) <> 1",
               undo_oid(relation), undo_oid(relation));
    put_wrong(sql);
    sp_buf_text(sql, SAY);
}

void undo_code_check_made(const json_t *relation, sp_buf *sql)
{
    sp_buf_text(sql, SMALL);
    put_head(false, sql);
    sp_buf_fmt(sql, ",%s", undo_text(relation, "row"));
    put_near(NULL, "oid FROM kept WHERE oid IS NOT NULL", false, sql);
    sp_buf_text(sql, NODES);
    sp_buf_text(sql, LINKS);
    sp_buf_text(sql, CHECK);
    sp_buf_text(sql, " OR was IS NULL");
    put_wrong(sql);
    sp_buf_text(sql, SAY);
}

/* ---- the same, before anything is made ---- */

static const char TOLD[] = "SELECT what FROM wrong ORDER BY first, what LIMIT 1";

static void put_meant(const undo *u, const char *list, const json_t *only, sp_buf *sql)
{
    const json_t *all = json_object_get(u->manifest, list);
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *one = json_array_get(all, i);
        bool is_meant = only == NULL ? !undo_was_asked_for(u, one) : one == only;
        if (is_meant && undo_text(one, "row")[0] != '\0') {
            sp_buf_fmt(sql, ",\n%s", undo_text(one, "row"));
        }
    }
}

/* only: a relation or definition; NULL: all that only went along. */
static sp_err ask(undo *u, const json_t *only, PGresult **ret_found)
{
    auto_buf sp_buf sql = sp_buf_make(QUESTION_MAX_BYTES);
    auto_free char *text = NULL;
    put_head(false, &sql);
    put_meant(u, "relations", only, &sql);
    put_meant(u, "definitions", only, &sql);
    put_near(NULL, "oid FROM kept WHERE stored AND oid IS NOT NULL", true, &sql);
    sp_buf_text(&sql, NODES);
    sp_buf_text(&sql, LINKS);
    sp_buf_text(&sql, CHECK);
    put_wrong(&sql);
    sp_buf_text(&sql, TOLD);
    TRY(sp_buf_take_cstr(&sql, &text));
    return keep_exec(u->job, u->conn, text, 0, NULL, ret_found);
}

sp_err undo_code_are_seen(undo *u, bool *ret_all)
{
    auto_result PGresult *found = NULL;
    TRY(ask(u, NULL, &found));
    *ret_all = PQntuples(found) == 0;
    return sp_ok();
}

sp_err undo_code_why_not(undo *u, const json_t *one, char **ret_why)
{
    auto_result PGresult *found = NULL;
    TRY(ask(u, one, &found));
    return PQntuples(found) == 0 ? sp_ok()
                                 : sp_strdup(sp_span_cstr(keep_value(found, 0, 0)), ret_why);
}

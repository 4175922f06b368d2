/* SPDX-License-Identifier: Apache-2.0
 * What is locked in front of a statement that others agreed to, and how: so that it meets what they
 * saw, whatever somebody's open transaction does to a name.
 *
 * By number, on the connection of the asker, in the order of the numbers, each in the weakest mode
 * that keeps away what would make the statement another one and that the account may have:
 *     what is only read, views       ACCESS SHARE: nobody renames, moves, drops or replaces it
 *     whose rows are changed         ROW EXCLUSIVE, which it needs anyway: nor do foreign keys,
 *                                    triggers, rules come
 *     parents, what is defined anew  SHARE UPDATE EXCLUSIVE: nor do partitions and children come;
 *                                    and of two asked statements that would both wait for more, the
 *                                    second waits here: no deadlock
 *     what is kept                   SHARE ROW EXCLUSIVE: nobody writes; also rows in columns whose
 *                                    type goes by CASCADE
 * Partitions themselves are not locked: nobody takes one away whose parent is.
 *
 * A name is looked up by the server when it has the lock, and is held against the number; whether
 * the number is still what others were asked about the catalogue says afterwards (pending.c).
 *
 * OWNS nothing. PROCESS db gate workers. TRUST of what is met numbers reach the server; names of
 * what is kept do as hexadecimal text. SPEC gates/db/judging.h; PostgreSQL 15 manual, 13.3 "Locks",
 * LOCK.
 */
#include "gates/db/judging.h"

/* How a relation is locked; the strongest of several. */
typedef enum {
    HOW_READ = -1, /* materialized views, sequences, foreign tables take no LOCK: they are read */
    HOW_STAYS,     /* ACCESS SHARE */
    HOW_ROWS,      /* ROW EXCLUSIVE */
    HOW_FAMILY     /* SHARE UPDATE EXCLUSIVE */
} locking;         /* 3, in the SQL below, is what is kept: SHARE ROW EXCLUSIVE */

enum { MET_MAX_BYTES = SP_SQL_USES_MAX * 16 };

/* ---- the statement that locks ---- */

static const char locks_begin[] =
    "DO $hold$ DECLARE one pg_catalog.record; name pg_catalog.text; how pg_catalog.text;"
    " before pg_catalog.text := pg_catalog.current_setting('lock_timeout');"
    " until pg_catalog.timestamptz := pg_catalog.clock_timestamp() + CASE WHEN before = '0' OR"
    " before::pg_catalog.interval > '10s' THEN '10s'::pg_catalog.interval ELSE"
    " before::pg_catalog.interval END;"
    " BEGIN FOR one IN WITH RECURSIVE met AS (SELECT m.o, m.w FROM ROWS FROM ("
    "pg_catalog.unnest('{";
static const char locks_modes[] = "}'::pg_catalog.oid[]), pg_catalog.unnest('{";
static const char locks_met[] = "}'::pg_catalog.int4[])) AS m(o, w))";
/* Names as JSON, in hexadecimal, stand between the two. */
static const char kept_begin[] =
    ", named AS (SELECT c.oid, c.reltype, n.oid AS space, j.name FROM"
    " pg_catalog.json_to_recordset(pg_catalog.convert_from(pg_catalog.decode('";
static const char kept_names[] =
    "', 'hex'), 'UTF8')::pg_catalog.json) AS j(schema pg_catalog.text, name pg_catalog.text)"
    " JOIN pg_catalog.pg_namespace n ON n.nspname = j.schema"
    " LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND (c.relname = j.name OR j.name ="
    " '')), ";
/* What loses values with the types that go, by CASCADE: of relations, of schemas. */
static const char kept_held[] =
    "held(type) AS (SELECT reltype FROM named WHERE reltype <> 0 UNION SELECT t.oid FROM named n"
    " JOIN pg_catalog.pg_type t ON t.typnamespace = n.space WHERE n.name = ''";
static const char kept_held_not[] = "held(type) AS (SELECT reltype FROM named WHERE reltype <> 0)";
static const char kept_all[] =
    ", kept AS (SELECT c.oid FROM (SELECT oid FROM named UNION SELECT c.oid FROM held h JOIN"
    " pg_catalog.pg_class c ON c.reltype = h.type) l JOIN pg_catalog.pg_class c ON c.oid = l.oid"
    " WHERE c.relkind IN ('r', 'p') AND"
    " pg_catalog.has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE'))";
static const char locks_of_met[] = " SELECT a.o, pg_catalog.max(a.w) AS w FROM met a";
static const char locks_of_all[] =
    " SELECT a.o, pg_catalog.max(a.w) AS w FROM (SELECT o, w FROM met UNION ALL SELECT oid, 3 FROM"
    " kept) a";
static const char locks_each[] =
    " GROUP BY a.o ORDER BY a.o LOOP"
    " name := one.o::pg_catalog.regclass::pg_catalog.text;"
    " how := CASE WHEN one.w = -1 THEN CASE WHEN"
    " pg_catalog.has_any_column_privilege(one.o, 'SELECT') THEN 'SELECT FROM %s WHERE false' END"
    " WHEN one.w = 3 THEN 'LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE'"
    " WHEN one.w = 2 AND pg_catalog.has_table_privilege(one.o, 'UPDATE, DELETE, TRUNCATE') THEN"
    " 'LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE'"
    " WHEN one.w > 0 AND pg_catalog.has_table_privilege(one.o, 'INSERT, UPDATE, DELETE, TRUNCATE')"
    " THEN 'LOCK TABLE ONLY %s IN ROW EXCLUSIVE MODE'"
    " WHEN pg_catalog.has_table_privilege(one.o, 'SELECT') THEN"
    " 'LOCK TABLE ONLY %s IN ACCESS SHARE MODE'"
    " WHEN pg_catalog.has_table_privilege(one.o, 'INSERT, UPDATE, DELETE, TRUNCATE') THEN"
    " 'LOCK TABLE ONLY %s IN ROW EXCLUSIVE MODE'"
    " WHEN pg_catalog.has_any_column_privilege(one.o, 'SELECT') THEN"
    " 'SELECT FROM ONLY %s WHERE false' END;"
    " IF name = one.o::pg_catalog.text THEN RAISE undefined_table; END IF;"
    " CONTINUE WHEN how IS NULL;"
    " PERFORM pg_catalog.set_config('lock_timeout', pg_catalog.ceil(GREATEST(1, 1000 *"
    " EXTRACT(epoch FROM until - pg_catalog.clock_timestamp())))::pg_catalog.text, true);"
    " BEGIN EXECUTE pg_catalog.format(how, name);"
    " IF pg_catalog.to_regclass(name) IS DISTINCT FROM one.o::pg_catalog.regclass THEN"
    " RAISE undefined_table; END IF;"
    /* of a view: whoever it belongs to may not read what it reads */
    " EXCEPTION WHEN insufficient_privilege THEN IF one.w = 3 THEN RAISE; END IF; END;"
    " END LOOP;";
/* With a number of its own, behind a savepoint too: by it the keeper tells what the statement wrote
 * from what others did. */
static const char locks_number[] =
    " PERFORM pg_catalog.pg_logical_emit_message(true, 'sallyport', '');";
static const char locks_end[] =
    " PERFORM pg_catalog.set_config('lock_timeout', before, true); END $hold$";

/* ---- whether it can be ---- */

static bool runs_in_transaction(const sp_sql_statement *statement)
{
    static const char *const tags[] = {"ALTER FOREIGN TABLE",
                                       "ALTER INDEX",
                                       "ALTER MATERIALIZED VIEW",
                                       "ALTER POLICY",
                                       "ALTER SEQUENCE",
                                       "ALTER TABLE",
                                       "ALTER VIEW",
                                       "ANALYZE",
                                       "COMMENT",
                                       "COPY",
                                       "CREATE INDEX",
                                       "CREATE MATERIALIZED VIEW",
                                       "CREATE POLICY",
                                       "CREATE RULE",
                                       "CREATE STATISTICS",
                                       "CREATE TABLE",
                                       "CREATE TABLE AS",
                                       "CREATE TRIGGER",
                                       "CREATE VIEW",
                                       "DELETE",
                                       "DROP INDEX",
                                       "DROP MATERIALIZED VIEW",
                                       "DROP POLICY",
                                       "DROP RULE",
                                       "DROP SCHEMA",
                                       "DROP SEQUENCE",
                                       "DROP TABLE",
                                       "DROP TRIGGER",
                                       "DROP VIEW",
                                       "EXPLAIN",
                                       "GRANT",
                                       "INSERT",
                                       "MERGE",
                                       "REFRESH MATERIALIZED VIEW",
                                       "SELECT",
                                       "TRUNCATE TABLE",
                                       "UPDATE"};
    bool is_held_cursor = (statement->flags & (SP_SQL_IS_DECLARE | SP_SQL_IS_HOLD)) ==
                          (SP_SQL_IS_DECLARE | SP_SQL_IS_HOLD);
    return is_held_cursor ||
           sp_span_which(sp_span_cstr(statement->tag), tags, SP_COUNT(tags)) < SP_COUNT(tags);
}

/* What the server takes behind no other statement of a pipeline. */
static bool stands_alone(const char *tag)
{
    static const char *const tags[] = {"ALTER DATABASE",  "ALTER SUBSCRIPTION",
                                       "ALTER SYSTEM",    "CALL",
                                       "CLUSTER",         "COMMIT PREPARED",
                                       "CREATE DATABASE", "CREATE SUBSCRIPTION",
                                       "DISCARD",         "DO",
                                       "DROP DATABASE",   "OTHER",
                                       "REINDEX",         "ROLLBACK PREPARED",
                                       "VACUUM"};
    return sp_span_which(sp_span_cstr(tag), tags, SP_COUNT(tags)) < SP_COUNT(tags);
}

static bool may_be_concurrent(const char *tag)
{
    static const char *const tags[] = {"ALTER TABLE", "CREATE INDEX", "DROP INDEX"};
    return sp_span_which(sp_span_cstr(tag), tags, SP_COUNT(tags)) < SP_COUNT(tags);
}

static bool says_concurrently(sp_span text)
{
    sp_span word = SP_SPAN_LIT("concurrently");
    for (size_t i = 0; i + word.len <= text.len; i++) {
        if (sp_span_eq_nocase(sp_span_slice(text, i, i + word.len), word)) {
            return true;
        }
    }
    return false;
}

bool db_hold_may_follow(const db_run_ask *run)
{
    for (uint32_t i = 0; i < run->judgement->statement_count; i++) {
        const char *tag = run->judgement->statements[i].tag;
        if (stands_alone(tag) || (may_be_concurrent(tag) && says_concurrently(run->text))) {
            return false;
        }
    }
    return true;
}

/* Why it runs in no transaction that is there before it; NULL: it may. */
static const char *kind_cannot(const db_run_ask *run)
{
    for (uint32_t i = 0; i < run->judgement->statement_count; i++) {
        if (!runs_in_transaction(&run->judgement->statements[i])) {
            return "a statement of this kind cannot hold tables";
        }
    }
    return says_concurrently(run->text) ? "what runs CONCURRENTLY cannot hold tables" : NULL;
}

/* ---- what is kept ---- */

/* Its names, JSON; false: there is something that has no name. */
static bool write_kept(const db_session *session, const db_run_ask *run, sp_buf *out)
{
    bool any = false;
    bool all = true;
    sp_buf_text(out, "[");
    for (uint32_t i = 0; i < run->judgement->use_count; i++) {
        const sp_sql_use *use = &run->judgement->uses[i];
        sp_span schema;
        sp_span name;
        if (!db_use_place(session, run->ruling, 1U << SP_ACTION_DESTROY, use, &schema, &name)) {
            continue;
        }
        if (use->kind == SP_SQL_DATABASE && (use->flags & SP_SQL_USE_FALLS) != 0) {
            continue; /* rows of what its types are in are held with them */
        }
        bool is_schema = use->kind == SP_SQL_SCHEMA && schema.len > 0;
        if ((use->kind != SP_SQL_RELATION && !is_schema) || schema.len == 0) {
            all = false;
            continue;
        }
        sp_buf_text(out, any ? ",{\"schema\":" : "{\"schema\":");
        sp_buf_json(out, schema);
        sp_buf_text(out, ",\"name\":");
        sp_buf_json(out, is_schema ? SP_SPAN_EMPTY : name);
        sp_buf_text(out, "}");
        any = true;
    }
    sp_buf_text(out, "]");
    return all && any && !sp_failed(sp_buf_error(out));
}

/* ---- what is met ---- */

static const sp_sql_relation *relation_of(const db_session *session, const sp_sql_use *use)
{
    return use->kind != SP_SQL_RELATION || use->relation == SP_NONE
               ? NULL
               : sp_sql_catalogue_at(db_session_judge(session)->catalogue->now, use->relation);
}

static bool has_child(const sp_sql_catalogue *now, uint32_t parent, uint32_t child)
{
    const sp_sql_edge *edges = sp_sql_catalogue_edges(now, parent);
    for (uint32_t i = 0; i < sp_sql_catalogue_at(now, parent)->edge_count; i++) {
        if (edges[i].kind == SP_SQL_EDGE_CHILD && (child == SP_NONE || edges[i].to == child)) {
            return true;
        }
    }
    return false;
}

/* A partition without partitions, of a table that is met as well. */
static bool is_leaf(const db_session *session, const db_run_ask *run, const sp_sql_use *use)
{
    const sp_sql_catalogue *now = db_session_judge(session)->catalogue->now;
    if ((use->flags & SP_SQL_USE_IMPLIED) == 0 || relation_of(session, use)->kind == 'p') {
        return false;
    }
    for (uint32_t i = 0; i < run->judgement->use_count; i++) {
        const sp_sql_use *parent = &run->judgement->uses[i];
        const sp_sql_relation *relation = relation_of(session, parent);
        if (relation != NULL && relation->kind == 'p' &&
            has_child(now, parent->relation, use->relation)) {
            return true;
        }
    }
    return false;
}

/* Its statements are all of the first `count` of these. */
static bool are_rows(const sp_sql_judgement *judgement, size_t count)
{
    static const char *const tags[] = {"COPY", "INSERT", "SELECT", "DELETE", "MERGE", "UPDATE"};
    for (uint32_t i = 0; i < judgement->statement_count; i++) {
        if (sp_span_which(sp_span_cstr(judgement->statements[i].tag), tags, count) == count) {
            return false;
        }
    }
    return true;
}

/* Its rows are changed, and nothing else; they are only added, to whichever partition. */
static bool only_rows(const sp_sql_judgement *judgement)
{
    return are_rows(judgement, 6);
}

static bool only_adds(const sp_sql_judgement *judgement)
{
    return are_rows(judgement, 3) && (sp_sql_verbs(judgement) & ~(unsigned)SP_SQL_VERB_INSERT) == 0;
}

static locking how_of(const db_session *session, const db_run_ask *run, const sp_sql_use *use)
{
    const sp_sql_catalogue *now = db_session_judge(session)->catalogue->now;
    const sp_sql_relation *relation = relation_of(session, use);
    bool looks = (DB_LOOKS & 1U << use->action) != 0 && (use->flags & SP_SQL_USE_BECOMES) == 0;
    if (relation->kind != 'r' && relation->kind != 'p') {
        return relation->kind == 'v' ? HOW_STAYS : HOW_READ;
    }
    if (looks) {
        return HOW_STAYS;
    }
    bool is_parent = relation->kind == 'p' || has_child(now, use->relation, SP_NONE);
    return !only_rows(run->judgement) || (is_parent && !only_adds(run->judgement)) ? HOW_FAMILY
                                                                                   : HOW_ROWS;
}

typedef enum { MET_NOTHING, MET_NAMED, MET_UNNAMED } met_kind;

/* Whether a use meets what can be locked, or what nobody can name. */
static met_kind kind_of(const db_session *session, const db_run_ask *run, const sp_sql_use *use)
{
    bool is_system =
        (use->flags & SP_SQL_USE_SYSTEM) != 0 || sp_span_eq(use->schema, SP_SPAN_LIT("pg_catalog"));
    const sp_sql_relation *relation = relation_of(session, use);
    switch ((sp_sql_kind)use->kind) {
    case SP_SQL_DATABASE:
        return (use->flags & SP_SQL_USE_FALLS) != 0 ? MET_NOTHING : MET_UNNAMED;
    case SP_SQL_SCHEMA:
        return (use->flags & SP_SQL_USE_ALL) != 0 ? MET_UNNAMED : MET_NOTHING;
    case SP_SQL_FUNCTION:
        return is_system ? MET_NOTHING : MET_UNNAMED;
    case SP_SQL_CODE:
        return MET_UNNAMED;
    case SP_SQL_SETTING:
    case SP_SQL_ROLE:
    case SP_SQL_KIND_COUNT:
        return MET_NOTHING;
    case SP_SQL_RELATION:
        break;
    }
    if (relation == NULL) {
        bool is_own =
            db_made_own(db_session_judge(session), run->judgement, use->schema, use->name).len >
            0; /* nobody else sees it */
        return is_system || is_own || (use->flags & SP_SQL_USE_BECOMES) != 0 ? MET_NOTHING
                                                                             : MET_UNNAMED;
    }
    if (is_system || (relation->flags & SP_SQL_REL_SYSTEM) != 0 || is_leaf(session, run, use)) {
        return MET_NOTHING;
    }
    return sp_span_index(SP_SPAN_LIT("rpvmfS"), (uint8_t)relation->kind) < 6 ? MET_NAMED
                                                                             : MET_UNNAMED;
}

/* Numbers, and how they are locked; false: there are none. *ret_all: nothing was without a name. */
static bool write_met(const db_session *session, const db_run_ask *run, sp_buf *numbers,
                      sp_buf *how, bool *ret_all)
{
    *ret_all = true;
    for (uint32_t i = 0; i < run->judgement->use_count; i++) {
        const sp_sql_use *use = &run->judgement->uses[i];
        met_kind kind = kind_of(session, run, use);
        *ret_all = *ret_all && kind != MET_UNNAMED;
        if (kind == MET_NAMED) {
            const char *comma = numbers->len > 0 ? "," : "";
            sp_buf_fmt(numbers, "%s%u", comma, relation_of(session, use)->oid);
            sp_buf_fmt(how, "%s%d", comma, how_of(session, run, use));
        }
    }
    return numbers->len > 0 && !sp_failed(sp_buf_error(numbers)) && !sp_failed(sp_buf_error(how));
}

const char *db_hold_cannot(const db_session *session, const db_run_ask *run)
{
    static const char not_all[] = "not all that it meets can be named and held";
    const char *why = kind_cannot(run);
    bool keeps = db_must_keep(session, run);
    auto_buf sp_buf kept = sp_buf_make(SP_DB_RELATIONS_MAX_BYTES);
    auto_buf sp_buf numbers = sp_buf_make(MET_MAX_BYTES);
    auto_buf sp_buf how = sp_buf_make(MET_MAX_BYTES);
    bool all = true;
    bool any = write_met(session, run, &numbers, &how, &all);
    if (keeps) {
        return why != NULL ? why : write_kept(session, run, &kept) ? NULL : not_all;
    }
    return !any && all ? NULL : why != NULL ? why : all ? NULL : not_all;
}

bool db_locks_has(const db_session *session, const db_run_ask *run)
{
    auto_buf sp_buf kept = sp_buf_make(SP_DB_RELATIONS_MAX_BYTES);
    bool any = db_must_keep(session, run) && write_kept(session, run, &kept);
    for (uint32_t i = 0; !any && i < run->judgement->use_count; i++) {
        any = kind_of(session, run, &run->judgement->uses[i]) == MET_NAMED;
    }
    return any && kind_cannot(run) == NULL;
}

bool db_locks_write(const db_session *session, const db_run_ask *run, sp_buf *out, bool *ret_keeps)
{
    auto_buf sp_buf kept = sp_buf_make(SP_DB_RELATIONS_MAX_BYTES);
    auto_buf sp_buf numbers = sp_buf_make(MET_MAX_BYTES);
    auto_buf sp_buf how = sp_buf_make(MET_MAX_BYTES);
    bool all = true;
    bool any = write_met(session, run, &numbers, &how, &all);
    *ret_keeps = db_must_keep(session, run) && write_kept(session, run, &kept);
    if (kind_cannot(run) != NULL || (!any && !*ret_keeps)) {
        return false;
    }
    sp_buf_text(out, locks_begin);
    sp_buf_span(out, sp_buf_borrow(&numbers));
    sp_buf_text(out, locks_modes);
    sp_buf_span(out, sp_buf_borrow(&how));
    sp_buf_text(out, locks_met);
    if (*ret_keeps) {
        bool takes = db_touches_takes(run->judgement);
        sp_buf_text(out, kept_begin);
        sp_buf_hex(out, sp_buf_borrow(&kept));
        sp_buf_text(out, kept_names);
        sp_buf_text(out, takes ? kept_held : kept_held_not);
        sp_buf_text(out, takes ? db_touches_held_sql : "");
        sp_buf_text(out, kept_all);
    }
    sp_buf_text(out, *ret_keeps ? locks_of_all : locks_of_met);
    sp_buf_text(out, locks_each);
    sp_buf_text(out, *ret_keeps ? locks_number : "");
    sp_buf_text(out, locks_end);
    return true;
}

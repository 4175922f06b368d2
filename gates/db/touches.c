/* SPDX-License-Identifier: Apache-2.0
 * What a statement acts on: the relations that it names, partitions and what falls with them, their
 * rows by the server's statistics, and what stands on them. What cannot be named or counted leaves
 * the count open, and that is told.
 *
 * OWNS nothing. PROCESS db gate workers. TRUST names come from the catalogue and from clients, and
 * reach the server as one JSON value; what it answers is bounded and shown, never run.
 * SPEC gates/db/judging.h; PostgreSQL 15 manual, chapter 53 "System Catalogs".
 */
#include "gates/db/judging.h"

enum { WORD_MAX_BYTES = 300, SQL_MAX_BYTES = 16384 };

const char db_touches_held_sql[] =
    " UNION SELECT x.oid FROM held h CROSS JOIN LATERAL (SELECT t.oid FROM pg_catalog.pg_type t"
    " WHERE t.typelem = h.type OR t.typbasetype = h.type UNION ALL SELECT"
    " v.value::pg_catalog.oid FROM pg_catalog.pg_range r CROSS JOIN LATERAL"
    " pg_catalog.jsonb_each_text(pg_catalog.to_jsonb(r)) v WHERE r.rngsubtype = h.type AND v.key IN"
    " ('rngtypid', 'rngmultitypid') UNION ALL SELECT c.reltype FROM pg_catalog.pg_attribute a JOIN"
    " pg_catalog.pg_class c ON c.oid = a.attrelid WHERE a.atttypid = h.type AND a.attnum > 0 AND"
    " NOT a.attisdropped AND c.reltype <> 0) x(oid))";

/* $1: [{"schema","name","implied","falls","follows","takes"}]; without a name: all of the schema.
 * The first row is of all relations together: rows, bound (NULL: there are none), rows of what
 * falls: with takes those too that lose values of the types that go. Then what is asked for, and
 * what stands on it. The last column is the number of rows without LIMIT. */
static const char reached_sql[] =
    "WITH RECURSIVE"
    " whole AS (SELECT n.oid FROM pg_catalog.json_to_recordset($1::pg_catalog.json) AS"
    " j(schema text, name text) JOIN pg_catalog.pg_namespace n ON n.nspname = j.schema"
    " WHERE j.name = ''),"
    " reached(oid, implied, falls, follows) AS ("
    "SELECT f.* FROM (SELECT c.oid, j.implied, j.falls, j.follows FROM"
    " pg_catalog.json_to_recordset($1::pg_catalog.json) AS"
    " j(schema text, name text, implied bool, falls bool, follows bool)"
    " JOIN pg_catalog.pg_namespace n ON n.nspname = j.schema JOIN pg_catalog.pg_class c ON"
    " c.relnamespace = n.oid AND (c.relname = j.name OR j.name = '' AND c.relkind IN"
    " ('r', 'p', 'm', 'f', 'v')) UNION ALL SELECT c.oid, true, false, false FROM whole w JOIN"
    " pg_catalog.pg_type t ON t.typnamespace = w.oid JOIN pg_catalog.pg_class c ON c.reloftype ="
    " t.oid) f UNION SELECT x.oid, true, r.falls, r.follows FROM reached r CROSS JOIN LATERAL ("
    "SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = r.oid UNION ALL"
    " SELECT f.conrelid FROM pg_catalog.pg_constraint f WHERE r.follows AND f.contype = 'f' AND"
    " f.confrelid = r.oid) x(oid)),"
    " asked AS (SELECT c.oid, c.reltype, c.relkind, c.relpages, c.reltuples, r.implied, r.falls,"
    " r.acts, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name,"
    " CASE WHEN c.relkind IN ('r', 'm') THEN pg_catalog.pg_relation_size(c.oid) /"
    " pg_catalog.current_setting('block_size')::int8 ELSE 0 END AS pages"
    " FROM (SELECT oid, pg_catalog.bool_and(implied) AS implied, pg_catalog.bool_or(falls) AS"
    " falls, pg_catalog.bool_or(NOT falls) AS acts FROM reached GROUP BY oid) r"
    " JOIN pg_catalog.pg_class c ON c.oid = r.oid JOIN pg_catalog.pg_namespace n ON n.oid ="
    " c.relnamespace),"
    " held(type) AS (SELECT a.reltype FROM asked a WHERE a.reltype <> 0 UNION SELECT t.oid FROM"
    " whole w JOIN pg_catalog.pg_type t ON t.typnamespace = w.oid";
static const char sized_sql[] =
    ", lost AS (SELECT c.oid, c.reltype, c.relkind, c.relpages, c.reltuples, true AS implied, true"
    " AS falls, false AS acts, '' AS name, CASE WHEN c.relkind IN ('r', 'm') THEN"
    " pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::int8 ELSE 0"
    " END AS pages FROM held h JOIN pg_catalog.pg_class c ON c.reltype = h.type AND c.relkind IN"
    " ('r', 'p', 'm', 'f') WHERE c.oid NOT IN (SELECT oid FROM asked) AND EXISTS (SELECT FROM"
    " pg_catalog.json_to_recordset($1::pg_catalog.json) AS j(takes bool) WHERE j.takes)),"
    " sized AS (SELECT a.*, CASE WHEN a.relkind = 'f' THEN GREATEST(a.reltuples, 0)"
    " WHEN a.pages = 0 THEN 0 WHEN a.relpages > 0 AND"
    " a.reltuples >= 0 THEN pg_catalog.ceil(a.reltuples / a.relpages * a.pages) ELSE a.pages * 100"
    " END::int8 AS tuples, CASE a.relkind WHEN 'f' THEN 1000000000000000 ELSE a.pages * 291 END"
    " AS most FROM (SELECT * FROM asked UNION ALL SELECT * FROM lost) a),"
    " views(oid, depth) AS (SELECT oid, 0 FROM asked UNION SELECT r.ev_class, v.depth + 1"
    " FROM views v JOIN pg_catalog.pg_depend d ON d.refobjid = v.oid AND d.refclassid ="
    " 'pg_catalog.pg_class'::pg_catalog.regclass AND d.classid ="
    " 'pg_catalog.pg_rewrite'::pg_catalog.regclass JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid"
    " WHERE r.ev_class <> v.oid AND v.depth < 8),"
    " ground(class, oid) AS (SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, oid FROM asked"
    " UNION ALL SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, x.oid FROM asked a JOIN"
    " pg_catalog.pg_type t ON t.oid = a.reltype CROSS JOIN LATERAL (VALUES (t.oid), (t.typarray))"
    " x(oid) UNION ALL SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid FROM whole w JOIN"
    " pg_catalog.pg_type t ON t.typnamespace = w.oid"
    " UNION ALL SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid FROM whole w JOIN"
    " pg_catalog.pg_proc p ON p.pronamespace = w.oid),"
    " stands AS (SELECT DISTINCT d.classid, d.objid, d.objsubid FROM ground g JOIN"
    " pg_catalog.pg_depend d ON d.refclassid = g.class AND d.refobjid = g.oid AND d.deptype IN"
    " ('n', 'a'))";
static const char told_sql[] =
    " SELECT t.*, pg_catalog.count(*) OVER () FROM (SELECT 0, '', '', '',"
    " pg_catalog.sum(tuples) FILTER (WHERE acts), pg_catalog.sum(most) FILTER (WHERE acts),"
    " pg_catalog.sum(tuples) FILTER (WHERE falls) FROM sized"
    " UNION ALL SELECT 1, CASE a.relkind WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence' ELSE"
    " 'table' END,"
    " a.name, CASE WHEN NOT a.implied THEN 'named' WHEN a.relkind IN ('r', 'p') AND NOT"
    " pg_catalog.has_table_privilege(a.oid, 'UPDATE, DELETE, TRUNCATE') THEN"
    " 'goes with it, cannot be held' ELSE 'goes with it' END, a.tuples, 0, 0 FROM sized a"
    " WHERE a.name <> '' UNION ALL SELECT DISTINCT 2, CASE c.relkind WHEN 'm' THEN 'materialized "
    "view' ELSE 'view'"
    " END, pg_catalog.format('%I.%I', n.nspname, c.relname), 'reads it', 0, 0, 0"
    " FROM views v JOIN pg_catalog.pg_class c ON c.oid = v.oid AND c.relkind IN ('v', 'm')"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE v.depth > 0"
    " UNION ALL SELECT 3, 'foreign key', pg_catalog.format('%I.%I.%I', n.nspname, c.relname,"
    " f.conname), CASE f.confdeltype WHEN 'c' THEN 'refers to it, deletes its rows too' WHEN 'n'"
    " THEN 'refers to it, becomes NULL' WHEN 'd' THEN 'refers to it, becomes its default'"
    " ELSE 'refers to it' END, 0, 0, 0 FROM asked a JOIN pg_catalog.pg_constraint f ON"
    " f.confrelid = a.oid AND f.contype = 'f' AND f.conparentid = 0"
    " JOIN pg_catalog.pg_class c ON c.oid = f.conrelid"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " UNION ALL SELECT DISTINCT 4, 'sequence', pg_catalog.format('%I.%I', n.nspname, c.relname),"
    " 'belongs to it', 0, 0, 0 FROM asked a JOIN pg_catalog.pg_depend d ON d.refobjid ="
    " a.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN"
    " ('a', 'i') AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass"
    " JOIN pg_catalog.pg_class c ON c.oid = d.objid AND c.relkind = 'S'"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " UNION ALL SELECT 5, 'function', pg_catalog.format('%I.%I', n.nspname, p.proname),"
    " 'uses it', 0, 0, 0 FROM stands s JOIN pg_catalog.pg_proc p ON p.oid = s.objid AND"
    " s.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass"
    " JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace"
    " UNION ALL SELECT 5, CASE WHEN p.oid IS NOT NULL THEN 'policy' WHEN v.oid IS NOT NULL THEN"
    " 'default' WHEN k.oid IS NOT NULL THEN 'constraint' WHEN r.oid IS NOT NULL THEN 'trigger' ELSE"
    " 'column' END, i.identity, 'depends on it', 0, 0, 0 FROM stands s"
    " LEFT JOIN pg_catalog.pg_policy p ON p.oid = s.objid AND s.classid ="
    " 'pg_catalog.pg_policy'::pg_catalog.regclass LEFT JOIN pg_catalog.pg_attrdef v ON v.oid ="
    " s.objid AND s.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass"
    " LEFT JOIN pg_catalog.pg_constraint k ON k.oid = s.objid AND k.contype = 'c' AND s.classid ="
    " 'pg_catalog.pg_constraint'::pg_catalog.regclass LEFT JOIN pg_catalog.pg_trigger r ON r.oid ="
    " s.objid AND NOT r.tgisinternal AND s.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass"
    " LEFT JOIN pg_catalog.pg_class c ON c.oid = s.objid AND s.objsubid > 0 AND s.classid ="
    " 'pg_catalog.pg_class'::pg_catalog.regclass CROSS JOIN LATERAL"
    " pg_catalog.pg_identify_object(s.classid, s.objid, s.objsubid) i"
    " WHERE COALESCE(p.polrelid, v.adrelid, k.conrelid, r.tgrelid, c.oid) NOT IN"
    " (SELECT oid FROM asked)"
    " UNION ALL SELECT 6, 'trigger', pg_catalog.format('%s.%I', a.name, t.tgname), 'runs with it',"
    " 0, 0, 0 FROM asked a JOIN pg_catalog.pg_trigger t ON t.tgrelid = a.oid AND NOT"
    " t.tgisinternal) t ORDER BY 1, 4 DESC, 3 LIMIT 500";

/* ---- asking ---- */

void db_touches_ask(sp_span objects, sp_buf *out)
{
    auto_buf sp_buf text = sp_buf_make(SQL_MAX_BYTES);
    auto_buf sp_buf value = sp_buf_make(objects.len + sizeof(uint32_t));
    sp_buf_text(&text, reached_sql);
    sp_buf_text(&text, db_touches_held_sql);
    sp_buf_text(&text, sized_sql);
    sp_buf_text(&text, told_sql);
    sp_buf_bytes(&value, objects);
    sp_pg_parse_write(out, SP_SPAN_EMPTY, sp_buf_borrow(&text));
    sp_pg_bind_write(out, &(sp_pg_bind){.value_count = 1, .values = sp_buf_borrow(&value)});
    sp_pg_execute_write(out, SP_SPAN_EMPTY);
}

/* How a statement goes on from what it names. */
typedef struct {
    bool follows; /* foreign keys */
    bool takes;   /* what stands on it, by CASCADE */
} going;

static void write_one(const sp_sql_use *use, sp_span schema, sp_span name, going goes, sp_buf *out)
{
    static const char *const words[] = {"false", "true"};
    bool is_whole = use->kind == SP_SQL_SCHEMA;
    sp_buf_text(out, out->len > 1 ? ",{\"schema\":" : "{\"schema\":");
    sp_buf_json(out, schema);
    sp_buf_text(out, ",\"name\":");
    sp_buf_json(out, is_whole ? SP_SPAN_EMPTY : name);
    sp_buf_fmt(out, ",\"implied\":%s,\"falls\":%s,\"follows\":%s,\"takes\":%s}",
               words[is_whole || (use->flags & SP_SQL_USE_IMPLIED) != 0],
               words[(use->flags & SP_SQL_USE_FALLS) != 0], words[goes.follows], words[goes.takes]);
}

/* A name that the catalogue does not have may be one that the session gave to what others have. */
static bool may_be_new(const db_session *session, const sp_sql_judgement *judgement)
{
    const db_judge *judge = db_session_judge(session);
    return (judge->has_alias && db_made_is_early(judge)) ||
           (judgement->flags & SP_SQL_IS_ALIAS) != 0;
}

/* Rows that count for a parent since its own transaction said so, which no other connection sees.
 */
static bool may_have_grown(const db_session *session, const db_run_ask *run)
{
    const db_judge *judge = db_session_judge(session);
    return (judge->has_family && db_made_is_early(judge)) ||
           (run->judgement->flags & SP_SQL_IS_FAMILY) != 0;
}

static bool takes_rows(const sp_sql_use *use)
{
    return use->action == SP_ACTION_DESTROY || use->action == SP_ACTION_WRITE;
}

bool db_touches_takes(const sp_sql_judgement *judgement)
{
    for (uint32_t i = 0; i < judgement->use_count; i++) {
        const sp_sql_use *use = &judgement->uses[i];
        if (use->kind == SP_SQL_DATABASE && (use->flags & SP_SQL_USE_FALLS) != 0) {
            return true;
        }
    }
    return false;
}

bool db_touches_add(const db_session *session, const db_run_ask *run,
                    const sp_sql_judgement *judgement, sp_buf *objects)
{
    const uint32_t met = run->ruling->asked | (run->ruling->actions & ~(uint32_t)DB_LOOKS);
    const uint32_t destroys = 1U << SP_ACTION_DESTROY;
    /* foreign keys say what else it empties */
    bool follows = sp_sql_verbs(judgement) == (SP_SQL_VERB_TRUNCATE | SP_SQL_VERB_CASCADE);
    const going goes = {.follows = follows, .takes = db_touches_takes(judgement)};
    bool all = true;
    for (uint32_t i = 0; i < judgement->use_count; i++) {
        const sp_sql_use *use = &judgement->uses[i];
        bool is_implied = (use->flags & SP_SQL_USE_IMPLIED) != 0;
        sp_span schema;
        sp_span name;
        if (!db_use_place(session, run->ruling, met, use, &schema, &name)) {
            continue;
        }
        if (use->kind == SP_SQL_RELATION) {
            all = all && (use->relation != SP_NONE || !may_be_new(session, judgement)) &&
                  !(takes_rows(use) && may_have_grown(session, run));
            if (schema.len > 0) {
                write_one(use, schema, name, goes, objects);
            }
        } else if (use->kind == SP_SQL_SCHEMA && (use->flags & SP_SQL_USE_ALL) != 0 &&
                   !is_implied) { /* what falls with a table beside its own has no rows */
            all = all && schema.len > 0;
            write_one(use, schema, name, (going){.takes = goes.takes}, objects);
        } else if (use->kind == SP_SQL_DATABASE &&
                   db_use_place(session, run->ruling, destroys, use, &schema, &name)) {
            all = all && ((follows && is_implied) || (use->flags & SP_SQL_USE_FALLS) != 0);
        }
    }
    return all;
}

/* ---- answers ---- */

static uint64_t number_of(sp_span text)
{
    uint64_t number = 0;
    return text.len == 0 ? 0
           : sp_failed(sp_span_to_u64(text, INT64_MAX, &number)) || number > UINT32_MAX
               ? UINT32_MAX /* more than any budget has */
               : number;
}

void db_touches_take(const sp_span values[DB_TOUCH_VALUES], db_estimated *found, sp_buf *list)
{
    static const char *const keys[] = {"\"kind\":", ",\"name\":", ",\"why\":"};
    if (sp_span_eq(values[0], SP_SPAN_LIT("0"))) {
        found->has_bound = values[5].len > 0;
        found->touched_rows = number_of(values[4]);
        found->bound = number_of(values[5]);
        found->falling_rows = number_of(values[6]);
        uint64_t all = number_of(values[7]);
        found->left_out = (uint32_t)(all > 0 ? all - 1 : 0); /* without this row */
        return;
    }
    auto_buf sp_buf piece = sp_buf_make(4096);
    sp_buf_text(&piece, list->len > 0 ? ",{" : "{");
    for (size_t i = 0; i < SP_COUNT(keys); i++) {
        sp_buf_text(&piece, keys[i]);
        sp_buf_json(&piece, sp_span_slice(values[i + 1], 0, WORD_MAX_BYTES));
    }
    sp_buf_fmt(&piece, ",\"rows\":%llu}", (unsigned long long)number_of(values[4]));
    if (list->len + piece.len <= DB_TOUCHES_MAX_BYTES) {
        sp_buf_span(list, sp_buf_borrow(&piece));
        found->left_out -= found->left_out > 0 ? 1 : 0;
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * What is asked of a server about what a database holds, and the rows that answer it.
 * OWNS nothing. PROCESS db gate workers. TRUST rows come from the server: the catalogue bounds
 * their sizes and counts. SPEC gates/db/judging.h; PostgreSQL 15 manual, chapter 53.
 */
#include "gates/db/judging.h"

static const char classes_sql[] =
    "SELECT 'f', pg_catalog.hashtextextended("
    "(SELECT pg_catalog.count(*) || '.' || coalesce(pg_catalog.sum(pg_catalog.hashtext("
    "c.oid || '.' || c.xmin || '.' || c.relname || '.' || n.nspname)), 0)"
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r','v','m','p','f','S','i','I') AND n.nspname !~ '^pg_')";

/* The rows of system tables that people define, by key and xmin, which moves with each change.
 * Temporary relations are not read, and make no other number. */
#define NOT_TEMP(oid)                                                                              \
    oid " NOT IN (SELECT t.oid FROM pg_catalog.pg_class t WHERE t.relpersistence = 't')"
/* Not those of keys; servers before 15 call internal what a partition has of its parent. */
#define OF_USERS "(NOT tgisinternal OR tgconstraint = 0)"
static const struct {
    const char *table;
    const char *key;
    const char *where;
} printed[] = {
    {"pg_namespace", "oid", "nspname !~ '^pg_'"},
    {"pg_attribute", "attrelid", "attrelid >= 16384 AND attnum > 0 AND " NOT_TEMP("attrelid")},
    {"pg_proc", "oid", "oid >= 16384"},
    {"pg_operator", "oid", "oid >= 16384"},
    {"pg_cast", "oid", "oid >= 16384"},
    {"pg_type", "oid", "oid >= 16384 AND typtype IN ('b', 'd', 'e', 'r') AND typcategory <> 'A'"},
    {"pg_rewrite", "oid", "oid >= 16384 AND " NOT_TEMP("ev_class")},
    {"pg_index", "indexrelid", "indexrelid >= 16384 AND " NOT_TEMP("indrelid")},
    {"pg_constraint", "oid", "oid >= 16384 AND " NOT_TEMP("conrelid")},
    {"pg_trigger", "oid", OF_USERS " AND " NOT_TEMP("tgrelid")},
    {"pg_depend", "objid || '.' || refobjid", "deptype = 'e'"},
    {"pg_inherits", "inhrelid || '.' || inhparent", NOT_TEMP("inhrelid")},
};
#undef NOT_TEMP

/* Views whose definition nobody can have before a lock is let go: of them or of what they read. */
#define LOCKED                                                                                     \
    "(ARRAY(SELECT w.ev_class FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_depend d ON "          \
    "d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = l.relation JOIN "  \
    "pg_catalog.pg_rewrite w ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND "     \
    "w.oid = d.objid WHERE l.mode = 'AccessExclusiveLock' AND l.database = (SELECT b.oid FROM "    \
    "pg_catalog.pg_database b WHERE b.datname = pg_catalog.current_database())))"

/* Views whose queries are too long to be taken apart: each by itself, or all in front of it. Their
 * lengths are known without them being read. */
#define VIEW_MAX_BYTES "4194304"
#define VIEWS_MAX_BYTES "67108864"
#define VIEW_BYTES "pg_catalog.octet_length(w.ev_action::pg_catalog.text)"
#define HEAVY                                                                                      \
    "(ARRAY(SELECT h.ev_class FROM (SELECT w.ev_class, " VIEW_BYTES " AS bytes, pg_catalog.sum("   \
    "CASE WHEN " VIEW_BYTES " <= " VIEW_MAX_BYTES " THEN " VIEW_BYTES " ELSE 0 END) OVER (ORDER "  \
    "BY w.ev_class) AS sum FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_class v ON v.oid = "    \
    "w.ev_class WHERE v.relkind IN ('v', 'm') AND w.ev_class >= 16384) h WHERE h.bytes "           \
    "> " VIEW_MAX_BYTES " OR h.sum > " VIEWS_MAX_BYTES "))"
#define VIEW_TREE                                                                                  \
    "CASE WHEN w.ev_class = ANY " HEAVY " THEN '' ELSE w.ev_action::pg_catalog.text END"

/* The first value of each row says what it is: f print, r relation and column, e edge, k key that
 * follows changes, u column whose values differ, m what else a relation is or has, g generated
 * column, p function, y type, c call of a view's query, x function of a cast that users made (and d
 * an account: dangers.c). */
static const char relations_sql[] =
    "SELECT 'r', c.oid, n.nspname, c.relname, c.relkind,"
    " EXISTS (SELECT FROM pg_catalog.pg_rewrite w WHERE w.ev_class = c.oid AND w.rulename <> "
    "'_RETURN'), n.nspname IN ('pg_catalog', 'information_schema'), a.attnum, a.attname, "
    "a.atttypid, a.attnotnull, CASE WHEN c.relkind IN ('v', 'm') AND a.attnum = 1 AND c.oid >= "
    "16384 THEN CASE WHEN c.oid = ANY " LOCKED " THEN '?' WHEN c.oid = ANY " HEAVY
    " THEN NULL ELSE pg_catalog.pg_get_viewdef(c.oid) END "
    "END, c.relkind IN ('v', 'm') AND c.oid = ANY " HEAVY
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace "
    "n ON n.oid = c.relnamespace LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND "
    "a.attnum > 0 AND NOT a.attisdropped AND c.relkind NOT IN ('i', 'I') WHERE (c.relkind IN "
    "('r','v','m','p','f','S') OR c.relkind "
    "IN "
    "('i','I') AND c.oid >= 16384) AND n.nspname !~ '^pg_(toast|temp)' "
    "ORDER BY c.oid, a.attnum;";
#undef LOCKED
static const char others_sql[] =
    /* the server's own tables stand in no pg_depend, so they are read off the query's tree */
    "SELECT 'e', '0', w.ev_class, d.refobjid FROM pg_catalog.pg_depend d JOIN "
    "pg_catalog.pg_rewrite w ON w.oid = d.objid JOIN pg_catalog.pg_class v ON v.oid = w.ev_class "
    "WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.refclassid = "
    "'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> w.ev_class AND v.relkind IN "
    "('v','m') AND w.ev_class >= 16384 UNION SELECT 'e', '0', w.ev_class, m[1]::pg_catalog.oid "
    "FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_class v ON v.oid = w.ev_class CROSS JOIN "
    "LATERAL pg_catalog.regexp_matches(" VIEW_TREE ", ':relid (\\d+)', 'g') m "
    "WHERE v.relkind IN ('v','m') AND w.ev_class >= 16384 AND m[1]::pg_catalog.int8 < 16384;"
    "SELECT 'e', '1', inhparent, inhrelid FROM pg_catalog.pg_inherits;"
    "SELECT 'e', '2', confrelid, conrelid FROM pg_catalog.pg_constraint WHERE contype = 'f' AND "
    "confdeltype IN ('c', 'n', 'd');"
    "SELECT 'e', '3', indrelid, indexrelid FROM pg_catalog.pg_index WHERE indexrelid >= 16384;"
    "SELECT 'k', pg_catalog.unnest(confkey), confrelid, conrelid FROM pg_catalog.pg_constraint "
    "WHERE contype = 'f' AND confupdtype IN ('c', 'n', 'd');"
    /* by an index of one column, of the server's own operators, at the end of each statement; that
     * of a table which others inherit from says nothing of their rows */
    "SELECT DISTINCT 'u', i.indrelid, i.indkey[0] FROM pg_catalog.pg_index i JOIN "
    "pg_catalog.pg_class c ON c.oid = i.indrelid WHERE i.indexrelid >= 16384 AND i.indisunique AND "
    "i.indisvalid AND i.indisready AND i.indislive AND i.indimmediate AND i.indpred IS NULL AND "
    "i.indexprs IS NULL AND i.indnkeyatts = 1 AND i.indclass[0] < 16384 AND (c.relkind = 'p' OR "
    "NOT "
    "EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhparent = c.oid));"
    /* servers before 15 write it down as the column's, not as its default's */
    "SELECT DISTINCT 'g', a.attrelid, a.attnum, d.refobjsubid FROM pg_catalog.pg_attribute a JOIN "
    "pg_catalog.pg_attrdef v ON v.adrelid = a.attrelid AND v.adnum = a.attnum JOIN "
    "pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND "
    "d.refobjid = a.attrelid AND d.refobjsubid NOT IN (0, a.attnum) AND (d.classid = "
    "'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = v.oid OR d.classid = "
    "'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = a.attrelid AND d.objsubid = "
    "a.attnum) WHERE a.attgenerated <> '' AND a.attrelid >= 16384;"
    "SELECT 'p', s, f, pg_catalog.bool_and(h) FROM (SELECT n.nspname s, p.proname f, n.nspname = "
    "'information_schema' OR EXISTS (SELECT FROM pg_catalog.pg_depend d JOIN "
    "pg_catalog.pg_extension e ON e.oid = d.refobjid WHERE d.objid = p.oid AND d.classid = "
    "'pg_catalog.pg_proc'::pg_catalog.regclass AND d.deptype = 'e' AND e.extname IN ('pg_trgm', "
    "'uuid-ossp', 'citext', 'hstore', 'ltree', 'intarray', 'unaccent', 'fuzzystrmatch', "
    "'btree_gin', 'btree_gist', 'cube', 'earthdistance', 'pgcrypto', 'isn', 'seg')) h FROM "
    "pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE "
    "n.nspname <> 'pg_catalog' UNION ALL SELECT n.nspname, o.oprname, EXISTS (SELECT FROM "
    "pg_catalog.pg_depend d WHERE d.objid = o.oid AND d.classid = "
    "'pg_catalog.pg_operator'::pg_catalog.regclass AND d.deptype = 'e') FROM "
    "pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace WHERE "
    "n.nspname <> 'pg_catalog') x GROUP BY s, f;"
    /* but for rows of tables and arrays, which have no other names */
    "SELECT 'y', n.nspname, t.typname FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON "
    "n.oid = t.typnamespace WHERE t.oid >= 16384 AND t.typcategory <> 'A' AND n.nspname !~ "
    "'^pg_(toast|temp)' AND (t.typtype <> 'c' OR EXISTS (SELECT FROM pg_catalog.pg_class c WHERE "
    "c.oid = t.typrelid AND c.relkind = 'c'));";
static const char calls_sql[] =
    /* the server's own functions stand in no pg_depend, so they are read off the query's tree; its
     * own operators are of no consequence */
    "SELECT DISTINCT 'c', w.ev_class, n.nspname, p.proname FROM pg_catalog.pg_rewrite w JOIN "
    "pg_catalog.pg_class v ON v.oid = w.ev_class CROSS JOIN LATERAL "
    "pg_catalog.regexp_matches(" VIEW_TREE ", "
    "':(funcid|opfuncid|aggfnoid|winfnoid) (\\d+)', 'g') m JOIN pg_catalog.pg_proc p ON p.oid = "
    "m[2]::pg_catalog.oid JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE "
    "v.relkind IN ('v', 'm') AND w.ev_class >= 16384 AND (m[1] <> 'opfuncid' OR n.nspname <> "
    "'pg_catalog');";
static const char marks_sql[] =
    "SELECT DISTINCT 'm', tgrelid, CASE WHEN tgtype & 1 = 1 THEN 't' ELSE 'g' END FROM "
    "pg_catalog.pg_trigger WHERE " OF_USERS " UNION SELECT 'm', c.oid, 'g' FROM "
    "pg_catalog.pg_class c WHERE c.relrowsecurity UNION SELECT 'm', t.typrelid, 'h' FROM "
    "pg_catalog.pg_depend d JOIN pg_catalog.pg_type t ON d.refobjid IN (t.oid, t.typarray) WHERE "
    "d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.classid IN "
    "('pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass) AND "
    "d.deptype <> 'i' AND t.typrelid >= 16384;";
static const char casts_sql[] =
    /* casts that no extension made and the server did not make with a range type, and where their
     * functions may run: where a value may be of the type of users that they are of (`keys`; 0:
     * both types are the server's), or of one that holds it (`held`: arrays, domains, ranges, rows)
     */
    "WITH RECURSIVE casts AS (SELECT c.castsource, c.casttarget, f.oid FROM pg_catalog.pg_cast c "
    "JOIN pg_catalog.pg_type s ON s.oid = c.castsource JOIN pg_catalog.pg_type t ON t.oid = "
    "c.casttarget CROSS JOIN LATERAL (SELECT c.castfunc WHERE c.castmethod = 'f' UNION ALL SELECT "
    "i.oid FROM (VALUES (s.typoutput::pg_catalog.oid), (t.typinput::pg_catalog.oid)) i(oid) WHERE "
    "c.castmethod = 'i' AND i.oid >= 16384) f(oid) WHERE c.oid >= 16384 AND NOT EXISTS (SELECT "
    "FROM "
    "pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_cast'::pg_catalog.regclass AND "
    "d.objid "
    "= c.oid AND d.deptype IN ('e', 'i'))), keys AS (SELECT DISTINCT CASE WHEN k.castsource >= "
    "16384 THEN "
    "k.castsource WHEN k.casttarget >= 16384 THEN k.casttarget ELSE 0 END AS type, n.nspname, "
    "p.proname FROM casts k JOIN pg_catalog.pg_proc p ON p.oid = k.oid JOIN "
    "pg_catalog.pg_namespace "
    "n ON n.oid = p.pronamespace), held(type, key) AS (SELECT DISTINCT k.type, k.type FROM keys k "
    "WHERE k.type <> 0 UNION SELECT x.oid, h.key FROM held h CROSS JOIN LATERAL (SELECT t.oid FROM "
    "pg_catalog.pg_type t WHERE t.typelem = h.type OR t.typbasetype = h.type UNION ALL SELECT "
    "(v.value)::pg_catalog.text::pg_catalog.oid FROM pg_catalog.pg_range r CROSS JOIN LATERAL "
    "pg_catalog.jsonb_each_text(pg_catalog.to_jsonb(r)) v WHERE r.rngsubtype = h.type AND v.key IN "
    "('rngtypid', 'rngmultitypid') UNION ALL SELECT c.reltype FROM pg_catalog.pg_attribute a JOIN "
    "pg_catalog.pg_class c ON c.oid = a.attrelid WHERE a.atttypid = h.type AND a.attnum > 0 AND "
    "NOT "
    "a.attisdropped AND c.reltype <> 0) x(oid)), named AS (SELECT DISTINCT h.type, k.nspname, "
    "k.proname FROM held h JOIN keys k ON k.type = h.key) "
    "SELECT 'x', 't', t.typname, n.nspname, n.proname, t.oid FROM named n JOIN pg_catalog.pg_type "
    "t "
    "ON t.oid = n.type UNION SELECT 'x', 'p', p.proname, n.nspname, n.proname, 0 FROM named n JOIN "
    "pg_catalog.pg_proc p ON p.oid >= 16384 AND (p.prorettype = n.type OR n.type = ANY "
    "(COALESCE(p.proallargtypes, p.proargtypes::pg_catalog.oid[]))) UNION SELECT 'x', 'p', "
    "o.oprname, n.nspname, n.proname, 0 FROM named n JOIN pg_catalog.pg_operator o ON n.type IN "
    "(o.oprleft, o.oprright, o.oprresult) UNION SELECT 'x', 'r', c.oid::pg_catalog.text, "
    "n.nspname, "
    "n.proname, 0 FROM named n JOIN pg_catalog.pg_class c ON c.reltype = n.type UNION SELECT 'x', "
    "'r', f.confrelid::pg_catalog.text, n.nspname, n.proname, 0 FROM named n JOIN "
    "pg_catalog.pg_class c ON c.reltype = n.type JOIN pg_catalog.pg_constraint f ON f.contype = "
    "'f' "
    "AND f.conrelid = c.oid UNION SELECT 'x', 'a', '', k.nspname, k.proname, 0 FROM keys k UNION "
    "SELECT 'x', '*', '', k.nspname, k.proname, 0 FROM keys k WHERE k.type = 0;"
    "COMMIT";

/* ---- asking ---- */

/* A number that is another one when anything was defined, renamed or dropped. */
static void write_print(sp_buf *out)
{
    sp_buf_text(out, classes_sql);
    for (size_t i = 0; i < SP_COUNT(printed); i++) {
        sp_buf_fmt(out,
                   " || '/' || (SELECT pg_catalog.count(*) || '.' || "
                   "coalesce(pg_catalog.sum(pg_catalog.hashtext(%s || '.' || xmin)), 0)"
                   " FROM pg_catalog.%s WHERE %s)",
                   printed[i].key, printed[i].table, printed[i].where);
    }
    sp_buf_text(out, db_dangers_print_sql);
    sp_buf_text(out, ", 0);");
}

/* Behind those a change of rows waits, and whoever has one may meanwhile take a stronger one. */
static const char locks_sql[] =
    "SELECT 'l', l.relation, l.pid FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON "
    "c.oid = l.relation AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't' WHERE "
    "l.relation >= 16384 AND "
    "l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') AND "
    "l.database = (SELECT b.oid FROM pg_catalog.pg_database b WHERE b.datname = "
    "pg_catalog.current_database()) LIMIT 65;";

void db_catalogue_ask(bool whole, sp_buf *out)
{
    write_print(out);
    sp_buf_text(out, locks_sql);
    if (whole) {
        sp_buf_text(out, db_dangers_sql);
        sp_buf_text(out, relations_sql);
        sp_buf_text(out, others_sql);
        sp_buf_text(out, calls_sql);
        sp_buf_text(out, marks_sql);
        sp_buf_text(out, casts_sql);
    }
}

/* ---- rows ---- */

static uint32_t number_of(sp_span text)
{
    uint64_t value = 0;
    return sp_failed(sp_span_to_u64(text, UINT32_MAX, &value)) ? 0 : (uint32_t)value;
}

static bool is_true(sp_span text)
{
    return sp_span_eq(text, SP_SPAN_LIT("t"));
}

/* System relations that tell values of tables, what others do, or secrets. */
static bool is_telling(sp_span name)
{
    static const char *const names[] = {
        "pg_stats",
        "pg_stats_ext",
        "pg_stats_ext_exprs",
        "pg_statistic",
        "pg_statistic_ext_data",
        "pg_stat_activity",
        "pg_authid",
        "pg_shadow",
        "pg_user_mapping",
        "pg_user_mappings",
        "pg_largeobject",
        "pg_subscription",
        "pg_hba_file_rules",
        "pg_file_settings",
        "pg_ident_file_mappings",
        "pg_stat_replication",
        "user_mapping_options",
        "pg_stat_progress_copy",
    };
    for (size_t i = 0; i < SP_COUNT(names); i++) {
        if (sp_span_eq(name, sp_span_cstr(names[i]))) {
            return true;
        }
    }
    return false;
}

/* Of extensions, in whatever schema they were put: what others asked. */
static bool is_extension_telling(sp_span name)
{
    static const char *const names[] = {"pg_stat_statements", "pg_stat_monitor", "pg_qualstats",
                                        "pg_stat_kcache_detail", "pg_store_plans"};
    for (size_t i = 0; i < SP_COUNT(names); i++) {
        if (sp_span_eq(name, sp_span_cstr(names[i]))) {
            return true;
        }
    }
    return false;
}

enum { ROW_VALUES = 13 };

static sp_err add_relation(db_catalogue *c, const sp_span *v)
{
    uint32_t oid = number_of(v[1]);
    if (oid != c->last_oid) {
        bool is_system = is_true(v[6]) || is_extension_telling(v[3]);
        bool tells = is_telling(v[3]) || is_extension_telling(v[3]);
        uint32_t flags =
            (is_true(v[5]) ? SP_SQL_REL_RULES : 0) | (is_true(v[12]) ? SP_SQL_REL_OPAQUE : 0) |
            (is_system ? SP_SQL_REL_SYSTEM : 0) | (is_system && tells ? SP_SQL_REL_TELLING : 0);
        TRY(sp_sql_catalogue_relation(c->next_one, v[2], v[3], oid,
                                      v[4].len > 0 ? (char)v[4].ptr[0] : '?', flags,
                                      &c->last_index));
        c->last_oid = oid;
    }
    if (v[7].len > 0) {
        TRY(sp_sql_catalogue_column(c->next_one, v[8], (int16_t)number_of(v[7]), number_of(v[9]),
                                    is_true(v[10])));
    }
    bool lacks = sp_span_eq(v[11], SP_SPAN_LIT("?"));
    c->next_lacks |= lacks;
    return v[11].len > 0 && !lacks ? sp_sql_catalogue_definition(c->next_one, v[11]) : sp_ok();
}

static sp_err add_edge(db_catalogue *c, const sp_span *v)
{
    static const sp_sql_edge_kind kinds[] = {SP_SQL_EDGE_READS, SP_SQL_EDGE_CHILD,
                                             SP_SQL_EDGE_CASCADES, SP_SQL_EDGE_INDEX};
    uint32_t kind = number_of(v[1]);
    uint32_t from = sp_sql_catalogue_find_oid(c->next_one, number_of(v[2]));
    uint32_t to = sp_sql_catalogue_find_oid(c->next_one, number_of(v[3]));
    if (from == SP_NONE || to == SP_NONE || kind >= SP_COUNT(kinds)) {
        return sp_ok(); /* of toast and the like: not relations that are judged */
    }
    return sp_sql_catalogue_edge(c->next_one, kinds[kind], from, to);
}

static sp_err add_key(db_catalogue *c, const sp_span *v)
{
    uint32_t from = sp_sql_catalogue_find_oid(c->next_one, number_of(v[2]));
    uint32_t to = sp_sql_catalogue_find_oid(c->next_one, number_of(v[3]));
    if (from == SP_NONE || to == SP_NONE) {
        return sp_ok();
    }
    return sp_sql_catalogue_key(c->next_one, from, to, (int16_t)number_of(v[1]));
}

static sp_err add_unique(db_catalogue *c, const sp_span *v)
{
    uint32_t relation = sp_sql_catalogue_find_oid(c->next_one, number_of(v[1]));
    return relation == SP_NONE
               ? sp_ok()
               : sp_sql_catalogue_unique(c->next_one, relation, (int16_t)number_of(v[2]));
}

static sp_err add_mark(db_catalogue *c, const sp_span *v)
{
    static const char *const words[] = {"t", "g", "h"};
    static const uint32_t flags[] = {SP_SQL_REL_TRIGGERS, SP_SQL_REL_GUARDED, SP_SQL_REL_HELD};
    size_t which = sp_span_which(v[2], words, SP_COUNT(words));
    uint32_t relation = sp_sql_catalogue_find_oid(c->next_one, number_of(v[1]));
    if (which == SP_COUNT(words)) {
        return sp_fail(SP_EINVALID);
    }
    return relation == SP_NONE ? sp_ok()
                               : sp_sql_catalogue_mark(c->next_one, relation, flags[which]);
}

static sp_err add_generated(db_catalogue *c, const sp_span *v)
{
    uint32_t relation = sp_sql_catalogue_find_oid(c->next_one, number_of(v[1]));
    return relation == SP_NONE
               ? sp_ok()
               : sp_sql_catalogue_generated(c->next_one, relation, (int16_t)number_of(v[2]),
                                            (int16_t)number_of(v[3]));
}

static sp_err add_call(db_catalogue *c, const sp_span *v)
{
    uint32_t view = sp_sql_catalogue_find_oid(c->next_one, number_of(v[1]));
    return view == SP_NONE ? sp_ok() : sp_sql_catalogue_call(c->next_one, view, v[2], v[3]);
}

static sp_err add_cast(db_catalogue *c, const sp_span *v)
{
    static const char *const kinds[] = {"t", "p", "*", "a"};
    size_t kind = sp_span_which(v[1], kinds, SP_COUNT(kinds));
    if (kind < SP_COUNT(kinds)) {
        return sp_sql_catalogue_cast(c->next_one, (sp_sql_cast_kind)kind, number_of(v[5]), v[2],
                                     v[3], v[4]);
    }
    uint32_t relation = sp_sql_catalogue_find_oid(c->next_one, number_of(v[2]));
    return relation == SP_NONE ? sp_ok()
                               : sp_sql_catalogue_cast_rows(c->next_one, relation, v[3], v[4]);
}

static sp_err add_lock(db_locks *locks, const sp_span *v)
{
    if (locks->count < DB_LOCKS_MAX) {
        locks->items[locks->count].oid = number_of(v[1]);
        locks->items[locks->count].pid = number_of(v[2]);
    }
    locks->count += locks->count <= DB_LOCKS_MAX ? 1 : 0;
    return sp_ok();
}

bool db_catalogue_is_locked(const db_catalogue *catalogue, uint32_t oid, uint32_t but_pid)
{
    const db_locks *locks = &catalogue->locks;
    bool is_locked = locks->count > DB_LOCKS_MAX;
    for (uint32_t i = 0; i < locks->count && !is_locked; i++) {
        is_locked = locks->items[i].oid == oid && locks->items[i].pid != but_pid;
    }
    return is_locked;
}

sp_err db_catalogue_take_row(db_catalogue *c, sp_span body)
{
    sp_pg_data_row row;
    TRY(sp_pg_data_row_read(body, &row));
    sp_span values[ROW_VALUES] = {SP_SPAN_EMPTY};
    sp_span rest = row.values;
    bool is_null = false;
    for (size_t i = 0; i < ROW_VALUES && sp_pg_value_next(&rest, &values[i], &is_null); i++) {
        values[i] = is_null ? SP_SPAN_EMPTY : values[i];
    }
    uint8_t kind = values[0].len == 1 ? values[0].ptr[0] : 0;
    if (!c->is_read && kind != 'f' && kind != 'l') {
        return sp_fail(SP_EINVALID); /* only a print was asked for */
    }
    switch (kind) {
    case 'f':
        if (!c->is_read && !sp_span_eq(values[1], sp_span_cstr(c->print))) {
            c->is_wanted = true;
        }
        if (c->is_read) {
            SP_IGNORE(sp_fit(c->print, sizeof(c->print), values[1])); /* longer: read each time */
        }
        return sp_ok();
    case 'l':
        return add_lock(&c->next_locks, values);
    case 'r':
        return add_relation(c, values);
    case 'e':
        return add_edge(c, values);
    case 'k':
        return add_key(c, values);
    case 'd':
        db_dangers_add(&c->next_dangers, values[1], values[2]);
        return sp_ok();
    case 'u':
        return add_unique(c, values);
    case 'm':
        return add_mark(c, values);
    case 'c':
        return add_call(c, values);
    case 'x':
        return add_cast(c, values);
    case 'g':
        return add_generated(c, values);
    case 'p':
        return sp_sql_catalogue_function(c->next_one, values[1], values[2], is_true(values[3]));
    case 'y':
        return sp_sql_catalogue_type(c->next_one, values[1], values[2]);
    default:
        return sp_fail(SP_EINVALID);
    }
}

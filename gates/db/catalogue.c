/* SPDX-License-Identifier: Apache-2.0
 * Reading what a database holds, over a connection of its own, with the account of whoever came
 * first: once at the first connection, again after definitions that passed here, and whenever a
 * print of the server's catalogue has changed. OWNS the catalogues of this worker. PROCESS db gate
 * workers. TRUST rows come from the server: sizes and counts are bounded, a reading that goes wrong
 * leaves the last one in place. SPEC gates/db/judging.h; PostgreSQL 15 manual, chapter 53.
 */
#include "gates/db/judging.h"
#include "infra/proc/log.h"
#include "lib/policy/database.h"

#include <stddef.h>
#include <stdio.h>

enum {
    CARRY_MAX_BYTES = 16 << 20,
    NAMES_MAX_BYTES = 512 << 20,
    PRINT_TICKS = 5,  /* seconds between looks at the print */
    IDLE_TICKS = 120, /* without sessions, it is forgotten */
    RETRY_TICKS = 3,
    RETRY_US = 1000000,
    SILENT_US = 10000000,  /* in an answer, without a byte: as long as a log-in waits, nearly */
    ANSWER_US = 120000000, /* all of it */
    UNSEEN_US = 20000000,  /* what the server has not said again for so long is not relied on */
    TORN_MAX = 20,         /* readings that failed one after the other */
    TORN_US = 20000        /* longer by so much before each: 4 s in all */
};

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
static const struct {
    const char *table;
    const char *key;
    const char *where;
} printed[] = {
    {"pg_namespace", "oid", "nspname !~ '^pg_'"},
    {"pg_attribute", "attrelid", "attrelid >= 16384 AND attnum > 0 AND " NOT_TEMP("attrelid")},
    {"pg_proc", "oid", "oid >= 16384"},
    {"pg_operator", "oid", "oid >= 16384"},
    {"pg_rewrite", "oid", "oid >= 16384 AND " NOT_TEMP("ev_class")},
    {"pg_index", "indexrelid", "indexrelid >= 16384 AND " NOT_TEMP("indrelid")},
    {"pg_constraint", "oid", "oid >= 16384 AND " NOT_TEMP("conrelid")},
    {"pg_depend", "objid || '.' || refobjid", "deptype = 'e'"},
    {"pg_inherits", "inhrelid || '.' || inhparent", NOT_TEMP("inhrelid")},
};
#undef NOT_TEMP

static uint64_t versions; /* given out, over all catalogues of this worker */

/* Views whose definition nobody can have before a lock is let go: of them or of what they read. */
#define LOCKED                                                                                     \
    "(ARRAY(SELECT w.ev_class FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_depend d ON "          \
    "d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = l.relation JOIN "  \
    "pg_catalog.pg_rewrite w ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND "     \
    "w.oid = d.objid WHERE l.mode = 'AccessExclusiveLock' AND l.database = (SELECT b.oid FROM "    \
    "pg_catalog.pg_database b WHERE b.datname = pg_catalog.current_database())))"

/* The first value of each row says what it is: f print, r relation and column, e edge, k key that
 * follows changes, u column whose values differ, g generated column, p function, c call of a view's
 * query (and d an account: dangers.c). */
static const char relations_sql[] =
    "SELECT 'r', c.oid, n.nspname, c.relname, c.relkind,"
    " EXISTS (SELECT FROM pg_catalog.pg_rewrite w WHERE w.ev_class = c.oid AND w.rulename <> "
    "'_RETURN'), n.nspname IN ('pg_catalog', 'information_schema'), a.attnum, a.attname, "
    "a.atttypid, a.attnotnull, CASE WHEN c.relkind IN ('v', 'm') AND a.attnum = 1 AND c.oid >= "
    "16384 THEN CASE WHEN c.oid = ANY " LOCKED
    " THEN '?' ELSE pg_catalog.pg_get_viewdef(c.oid) END "
    "END FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace "
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
    "LATERAL pg_catalog.regexp_matches(w.ev_action::pg_catalog.text, ':relid (\\d+)', 'g') m "
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
    /* the server's own functions stand in no pg_depend, so they are read off the query's tree; its
     * own operators are of no consequence */
    "SELECT DISTINCT 'c', w.ev_class, n.nspname, p.proname FROM pg_catalog.pg_rewrite w JOIN "
    "pg_catalog.pg_class v ON v.oid = w.ev_class CROSS JOIN LATERAL "
    "pg_catalog.regexp_matches(w.ev_action::pg_catalog.text, "
    "':(funcid|opfuncid|aggfnoid|winfnoid) (\\d+)', 'g') m JOIN pg_catalog.pg_proc p ON p.oid = "
    "m[2]::pg_catalog.oid JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE "
    "v.relkind IN ('v', 'm') AND w.ev_class >= 16384 AND (m[1] <> 'opfuncid' OR n.nspname <> "
    "'pg_catalog');"
    "COMMIT";

static db_catalogue *all;

/* ---- one row ---- */

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

enum { ROW_VALUES = 12 };

static sp_err add_relation(db_catalogue *c, const sp_span *v)
{
    uint32_t oid = number_of(v[1]);
    if (oid != c->last_oid) {
        bool is_system = is_true(v[6]) || is_extension_telling(v[3]);
        bool tells = is_telling(v[3]) || is_extension_telling(v[3]);
        uint32_t flags = (is_true(v[5]) ? SP_SQL_REL_RULES : 0) |
                         (is_system ? SP_SQL_REL_SYSTEM : 0) |
                         (is_system && tells ? SP_SQL_REL_TELLING : 0);
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

static sp_err take_row(db_catalogue *c, sp_span body)
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
    if (!c->is_read && kind != 'f') {
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
    case 'c':
        return add_call(c, values);
    case 'g':
        return add_generated(c, values);
    case 'p':
        return sp_sql_catalogue_function(c->next_one, values[1], values[2], is_true(values[3]));
    default:
        return sp_fail(SP_EINVALID);
    }
}

/* ---- binding ---- */

static void bind_columns(sp_sql_catalogue *now, const sp_policy *policy, uint32_t resource,
                         sp_span database, uint32_t index)
{
    const sp_sql_relation *relation = sp_sql_catalogue_at(now, index);
    for (uint32_t i = relation->first_column; i < relation->first_column + relation->column_count;
         i++) {
        sp_database_part part =
            sp_policy_database_part(policy, resource, database, relation->schema, relation->name,
                                    sp_sql_catalogue_column_at(now, i)->name);
        if (part.tags != 0) {
            const sp_sql_bound bound = {part.part, part.class_level, part.mask, part.tags};
            sp_sql_catalogue_bind_column(now, i, &bound);
        }
    }
}

void db_catalogue_bind(db_catalogue *catalogue, const sp_gate_snapshot *snapshot)
{
    if (catalogue->now == NULL || catalogue->serial == snapshot->serial) {
        return;
    }
    sp_sql_catalogue *now = catalogue->now;
    const sp_policy *policy = &snapshot->policy;
    uint32_t resource = sp_policy_resource_find(policy, sp_span_cstr(catalogue->resource));
    sp_span database = sp_span_cstr(catalogue->database);
    sp_sql_catalogue_bind_clear(now);
    for (uint32_t i = 0; resource != SP_NONE && i < sp_sql_catalogue_count(now); i++) {
        const sp_sql_relation *relation = sp_sql_catalogue_at(now, i);
        if ((relation->flags & SP_SQL_REL_SYSTEM) != 0) {
            continue;
        }
        sp_database_part part = sp_policy_database_part(
            policy, resource, database, relation->schema, relation->name, SP_SPAN_EMPTY);
        const sp_sql_bound bound = {part.part, part.class_level, part.mask, part.tags};
        sp_sql_catalogue_bind_relation(now, i, &bound);
        if (part.tags != 0) {
            bind_columns(now, policy, resource, database, i);
        }
    }
    sp_sql_catalogue_bind_finish(now);
    sp_sql_masking_bind_views(db_sql, now);
    catalogue->serial = resource != SP_NONE ? snapshot->serial : 0;
    catalogue->version = ++versions;
}

/* ---- one reading ---- */

static void wake_sessions(const db_catalogue *c)
{
    for (uint32_t i = 0; i < db_here.session_cap; i++) {
        db_session *session = db_here.sessions[i];
        if (session != NULL && session->at == DB_AT_JUDGE && session->login != NULL &&
            sp_span_eq(sp_span_cstr(session->resource_name), sp_span_cstr(c->resource))) {
            db_session_resume(session);
        }
    }
}

static void wake_looking(const db_catalogue *c)
{
    db_place *next = NULL;
    for (db_place *place = db_here.attended; place != NULL; place = next) {
        db_session *session = place->session;
        next = place->next;
        if (session->judge->catalogue != c) {
            continue;
        }
        db_pending_looked(session);
        db_claims_settle(session);
        if (session->judge->look_us != 0) {
            db_session_resume(session);
        }
    }
}

/* An account was given too much while it was worked with. */
static void cut_dangerous(const db_catalogue *c)
{
    for (uint32_t i = 0; i < db_here.session_cap; i++) {
        const db_session *session = db_here.sessions[i];
        if (session != NULL && session->at == DB_AT_OPEN && session->judge != NULL &&
            session->judge->catalogue == c &&
            db_dangers_of(&c->dangers, session->account) != NULL) {
            db_session_look_again(); /* at all of them */
            return;
        }
    }
}

/* An account may lose what lets it in: another session's is tried next. */
static void take_other_account(db_catalogue *c)
{
    for (uint32_t i = 0; i < db_here.session_cap; i++) {
        const db_session *session = db_here.sessions[i];
        if (session != NULL && session->judge != NULL && session->judge->catalogue == c &&
            !sp_span_eq(sp_span_cstr(session->account), sp_span_cstr(c->account))) {
            sp_copy(c->account, session->account, sizeof(c->account));
            return;
        }
    }
}

static void fail_reading(db_catalogue *c, const char *why)
{
    if (c->failure[0] == '\0') {
        sp_log(SP_LOG_WARN, "the catalogue of %s/%s cannot be read: %s", c->resource, c->database,
               why);
    }
    snprintf(c->failure, sizeof(c->failure), "%s", why);
    sp_sql_catalogue_free(c->next_one);
    c->next_one = NULL;
    c->is_asking = c->is_torn = false;
    sp_timer_clear(db_here.loop, &c->again);
    c->torn = 0;
    c->idle_ticks = 0;
    c->failed_us = sp_loop_now_us(db_here.loop);
    sp_buf_reset(&c->carry);
    db_back_close(c->back);
    c->back = NULL;
    c->is_looked_for = c->is_listening = false;
    take_other_account(c);
    wake_sessions(c);
    wake_looking(c);
}

static sp_err begin_reading(db_catalogue *c)
{
    sp_sql_catalogue_free(c->next_one);
    c->next_one = NULL;
    TRY(sp_sql_catalogue_new(NAMES_MAX_BYTES, &c->next_one));
    const sp_policy *policy = &db_here.office.snapshot->policy;
    uint32_t resource = sp_policy_resource_find(policy, sp_span_cstr(c->resource));
    for (uint32_t i = 0; resource != SP_NONE; i++) {
        sp_span schema = sp_policy_database_schema(policy, resource, i);
        if (schema.len == 0) {
            break;
        }
        TRY(sp_sql_catalogue_path(c->next_one, schema));
    }
    c->last_oid = 0;
    c->next_lacks = false;
    db_dangers_clear(&c->next_dangers);
    return sp_ok();
}

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

static void ask_server(db_catalogue *c)
{
    enum { PRINT_MAX_BYTES = 8192 };
    auto_buf sp_buf text =
        sp_buf_make(PRINT_MAX_BYTES + sizeof(relations_sql) + sizeof(others_sql));
    auto_buf sp_buf query =
        sp_buf_make(PRINT_MAX_BYTES + sizeof(relations_sql) + sizeof(others_sql) + 64);
    c->is_read = c->is_wanted || c->now == NULL;
    if (c->is_read && sp_failed(begin_reading(c))) {
        fail_reading(c, "the gate has no memory left");
        return;
    }
    c->is_wanted = c->is_looked_for = false;
    c->asked_us = c->heard_us = sp_loop_now_us(db_here.loop);
    if (c->is_read) {
        sp_buf_text(&text, c->torn > 0 ? "ROLLBACK;" : "");
        sp_buf_text(&text, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;");
    }
    write_print(&text);
    if (c->is_read) {
        sp_buf_text(&text, db_dangers_sql);
        sp_buf_text(&text, relations_sql);
        sp_buf_text(&text, others_sql);
    }
    sp_pg_query_write(&query, sp_buf_borrow(&text));
    c->is_asking = true;
    if (sp_failed(db_stream_send(&c->back->stream, sp_buf_borrow(&query)))) {
        fail_reading(c, "the connection to the database broke");
    }
}

/* What the reading met was dropped or locked meanwhile: functions of the server (pg_get_viewdef)
 * look at what is there now, whatever the transaction sees. It is read again. False: too often. */
static bool tear_reading(db_catalogue *c, const sp_pg_error *error)
{
    static const char *const gone[] = {"42P01", "42704", "42883", "XX000", "40001", "55P03"};
    bool is_gone = false;
    for (size_t i = 0; i < SP_COUNT(gone); i++) {
        is_gone = is_gone || sp_span_eq(error->sqlstate, sp_span_cstr(gone[i]));
    }
    if (!c->is_read || !is_gone || !sp_span_eq(error->severity, SP_SPAN_LIT("ERROR")) ||
        c->torn >= TORN_MAX) {
        return false;
    }
    c->torn++;
    c->is_torn = true;
    return true;
}

static void read_anew(db_catalogue *c)
{
    c->is_torn = c->is_asking = false;
    c->is_wanted = true;
    ask_server(c);
}

static void on_again(sp_timer *timer)
{
    read_anew((db_catalogue *)(void *)((char *)timer - offsetof(db_catalogue, again)));
}

static void end_reading(db_catalogue *c)
{
    if (c->is_torn) {
        uint64_t rest_us = (uint64_t)TORN_US * (c->torn - 1);
        if (rest_us == 0 || sp_failed(sp_timer_set(db_here.loop, &c->again, rest_us))) {
            read_anew(c);
        }
        return;
    }
    c->is_asking = false;
    c->torn = 0;
    if (c->is_read) {
        if (sp_failed(sp_sql_catalogue_finish(c->next_one))) {
            fail_reading(c, "it is larger than the gate takes");
            return;
        }
        sp_sql_catalogue_free(c->now);
        c->now = SP_STEAL(c->next_one);
        db_claims_know(c, c->now);
        c->lacks = c->next_lacks;
        db_dangers_clear(&c->dangers);
        c->dangers = c->next_dangers;
        c->next_dangers = (db_dangers){.items = NULL};
        c->version = ++versions;
        c->serial = 0;
        db_catalogue_bind(c, db_here.office.snapshot); /* answers under way are masked by it */
        c->failure[0] = '\0';
        cut_dangerous(c);
        wake_sessions(c);
    }
    c->failure[0] = '\0'; /* of a look in between */
    if (!c->is_wanted) {
        c->seen_us = c->asked_us;
        db_claims_tick(c);
        wake_looking(c);
    }
    if (c->is_wanted || c->is_looked_for) {
        ask_server(c);
    }
}

/* False: it went wrong and is closed. */
static bool take_message(db_catalogue *c, const sp_pg_head *head, sp_span body)
{
    if (head->type == 'A') {
        db_catalogue_look(c); /* an event trigger of the database says that something was defined */
        return c->back != NULL;
    }
    if (c->is_listening) {
        c->is_listening = head->type != 'Z'; /* a standby takes no LISTEN: then it is looked at */
        return true;
    }
    bool is_answer = c->is_asking && (!c->is_read || c->next_one != NULL);
    if (!is_answer && (head->type == 'D' || head->type == 'Z')) {
        fail_reading(c, "the server answered without having been asked");
        return false;
    }
    if (head->type == 'D') {
        if (sp_failed(take_row(c, body))) {
            fail_reading(c, "the server answered what was not asked for, or too much");
            return false;
        }
    } else if (head->type == 'E') {
        sp_pg_error error = {.message = SP_SPAN_EMPTY};
        char why[120];
        SP_IGNORE(sp_pg_error_read(body, &error)); /* then the message stays empty */
        if (is_answer && tear_reading(c, &error)) {
            return true;
        }
        snprintf(why, sizeof(why), "%.*s", (int)(error.message.len < 100 ? error.message.len : 100),
                 error.message.len > 0 ? (const char *)error.message.ptr : "");
        fail_reading(c, why);
        return false;
    } else if (head->type == 'Z') {
        end_reading(c);
    }
    return c->back != NULL;
}

static void take_bytes(db_catalogue *c)
{
    size_t used = 0;
    sp_span in = sp_buf_borrow(&c->carry);
    sp_pg_head head;
    sp_err err = sp_ok();
    while (!sp_failed(err = sp_pg_head_read(sp_span_slice(in, used, in.len), &head)) &&
           in.len - used >= SP_PG_HEAD_BYTES + (size_t)head.body_len) {
        sp_span body =
            sp_span_slice(in, used + SP_PG_HEAD_BYTES, used + SP_PG_HEAD_BYTES + head.body_len);
        used += SP_PG_HEAD_BYTES + head.body_len;
        if (!take_message(c, &head, body)) {
            return;
        }
    }
    bool too_long = !sp_failed(err) && head.body_len > CARRY_MAX_BYTES - SP_PG_HEAD_BYTES;
    if ((sp_failed(err) && err.code != SP_EAGAIN) || too_long) {
        fail_reading(c, "the server sent a malformed message");
        return;
    }
    sp_buf_drop(&c->carry, used);
}

static void on_stream(db_back *back)
{
    db_catalogue *c = back->calls.self;
    sp_span bytes;
    sp_err err = sp_ok();
    SP_IGNORE(db_stream_flush(&back->stream)); /* a broken one shows when it is read */
    while (c->back == back && !sp_failed(err = db_stream_receive(&back->stream, &bytes))) {
        c->heard_us = sp_loop_now_us(db_here.loop);
        sp_buf_span(&c->carry, bytes);
        take_bytes(c);
    }
    if (c->back == back && (err.code != SP_EAGAIN || sp_failed(sp_buf_error(&c->carry)))) {
        fail_reading(c, "the connection to the database ended");
    }
}

static void on_ready(db_back *back)
{
    db_catalogue *c = back->calls.self;
    auto_buf sp_buf listen = sp_buf_make(128);
    sp_pg_query_write(&listen, SP_SPAN_LIT("LISTEN sallyport_catalogue"));
    c->is_listening = true;
    if (sp_failed(db_stream_send(&back->stream, sp_buf_borrow(&listen)))) {
        fail_reading(c, "the connection to the database broke");
        return;
    }
    ask_server(c);
}

static void on_failed(db_back *back, const char *sqlstate, const char *why)
{
    db_catalogue *c = back->calls.self;
    (void)sqlstate;
    fail_reading(c, why);
}

uint64_t db_catalogue_place(const sp_policy *policy, uint32_t resource)
{
    sp_database_resource to;
    if (resource == SP_NONE || !sp_policy_database_resource(policy, resource, &to)) {
        return 0;
    }
    uint64_t hash = sp_span_hash(to.host, (uint64_t)to.port << 8 | to.tls);
    hash = sp_span_hash(to.ca, hash);
    sp_span schema = SP_SPAN_EMPTY;
    for (uint32_t i = 0; (schema = sp_policy_database_schema(policy, resource, i)).len > 0; i++) {
        hash = sp_span_hash(schema, hash);
    }
    return hash;
}

static void open_connection(db_catalogue *c)
{
    const sp_span pairs[] = {SP_SPAN_LIT("client_encoding"),
                             SP_SPAN_LIT("UTF8"),
                             SP_SPAN_LIT("application_name"),
                             SP_SPAN_LIT("sallyport catalogue"),
                             SP_SPAN_LIT("search_path"),
                             SP_SPAN_LIT("pg_catalog"),
                             SP_SPAN_LIT("default_transaction_read_only"),
                             SP_SPAN_LIT("on"),
                             SP_SPAN_LIT("lock_timeout"),
                             SP_SPAN_LIT("1s")};
    const sp_policy *policy = &db_here.office.snapshot->policy;
    uint32_t resource = sp_policy_resource_find(policy, sp_span_cstr(c->resource));
    const db_back_ask ask = {.policy = policy,
                             .resource = resource,
                             .account = sp_span_cstr(c->account),
                             .database = sp_span_cstr(c->database),
                             .parameters = pairs,
                             .parameter_count = SP_COUNT(pairs) / 2};
    const db_back_calls calls = {
        .on_ready = on_ready, .on_failed = on_failed, .on_stream = on_stream, .self = c};
    if (db_catalogue_place(policy, resource) != c->place) {
        fail_reading(c, "its server is another one by now");
    } else if (resource == SP_NONE || sp_failed(db_back_open(&ask, &calls, &c->back))) {
        fail_reading(c, "the database server cannot be reached");
    }
}

/* ---- life ---- */

void db_catalogue_look(db_catalogue *c)
{
    if (c->back == NULL || c->back->state != DB_BACK_READY || c->is_asking) {
        c->is_looked_for = true; /* with the next answer, or its failure */
    } else {
        ask_server(c);
    }
}

/* Nobody looked while nobody was there; one that cannot be read is tried anew, once a second at
 * most. */
static void look_anew(db_catalogue *c)
{
    bool rested = sp_loop_now_us(db_here.loop) > c->failed_us + RETRY_US;
    if (c->back != NULL) {
        db_catalogue_look(c);
    } else if (rested) {
        c->failure[0] = '\0';
        open_connection(c);
    }
}

sp_err db_catalogue_get(db_session *session, db_catalogue **ret_catalogue)
{
    uint64_t place = db_catalogue_place(&session->snapshot->policy, session->resource);
    session->place = place;
    for (db_catalogue *c = all; c != NULL; c = c->next) {
        if (c->place == place &&
            sp_span_eq(sp_span_cstr(c->resource), sp_span_cstr(session->resource_name)) &&
            sp_span_eq(sp_span_cstr(c->database), sp_span_cstr(session->database))) {
            c->refs++;
            *ret_catalogue = c;
            look_anew(c);
            return sp_ok();
        }
    }
    db_catalogue *c = NULL;
    TRY(sp_alloc(1, sizeof(*c), &c));
    c->refs = 1;
    c->place = place;
    c->again.on_time = on_again;
    c->carry = sp_buf_make(CARRY_MAX_BYTES);
    sp_copy(c->resource, session->resource_name, sizeof(c->resource));
    sp_copy(c->database, session->database, sizeof(c->database));
    sp_copy(c->account, session->account, sizeof(c->account));
    c->next = all;
    all = c;
    open_connection(c);
    *ret_catalogue = c;
    return sp_ok();
}

void db_catalogue_unref(db_catalogue *catalogue)
{
    if (catalogue != NULL) {
        catalogue->refs--; /* kept for a while: db_catalogue_tick() */
    }
}

/* Reads again, whatever a look would say. */
static void read_again(db_catalogue *catalogue)
{
    catalogue->is_wanted = true;
    if (catalogue->back != NULL && catalogue->back->state == DB_BACK_READY &&
        !catalogue->is_asking) {
        ask_server(catalogue);
    }
}

void db_catalogue_moved_elsewhere(sp_span resource, sp_span database)
{
    for (db_catalogue *c = all; c != NULL; c = c->next) {
        if (sp_span_eq(sp_span_cstr(c->resource), resource) &&
            sp_span_eq(sp_span_cstr(c->database), database)) {
            c->stale_us = sp_loop_now_us(db_here.loop);
            read_again(c);
        }
    }
}

void db_catalogue_moved(db_catalogue *catalogue)
{
    db_catalogue_moved_elsewhere(sp_span_cstr(catalogue->resource),
                                 sp_span_cstr(catalogue->database));
    db_mesh_moved(catalogue->resource, catalogue->database);
}

static void forget(db_catalogue *c)
{
    for (db_catalogue **link = &all; *link != NULL; link = &(*link)->next) {
        if (*link == c) {
            *link = c->next;
            break;
        }
    }
    db_back_close(c->back);
    sp_timer_clear(db_here.loop, &c->again);
    sp_sql_catalogue_free(c->now);
    sp_sql_catalogue_free(c->next_one);
    db_dangers_clear(&c->dangers);
    db_dangers_clear(&c->next_dangers);
    sp_buf_done(&c->carry);
    sp_free(c);
}

/* It fell silent in the middle of an answer, or never comes to its end. */
static bool is_overdue(const db_catalogue *c)
{
    uint64_t now_us = sp_loop_now_us(db_here.loop);
    return c->is_asking && (now_us > c->heard_us + SILENT_US || now_us > c->asked_us + ANSWER_US);
}

/* No look has succeeded for a while, and no reading is under way: names may mean other rows now. */
static bool is_unseen(const db_catalogue *c)
{
    return c->refs > 0 && c->now != NULL && !(c->is_asking && c->is_read) &&
           sp_loop_now_us(db_here.loop) > c->seen_us + UNSEEN_US;
}

void db_catalogue_tick(void)
{
    db_catalogue *next = NULL;
    for (db_catalogue *c = all; c != NULL; c = next) {
        next = c->next;
        c->idle_ticks++;
        if (is_overdue(c)) {
            fail_reading(c, "the server does not answer");
        }
        if (is_unseen(c)) {
            c->stale_us = sp_loop_now_us(db_here.loop);
        }
        if (c->refs == 0 && c->idle_ticks > IDLE_TICKS && c->left_count == 0) {
            forget(c);
            continue;
        }
        if (c->back == NULL) {
            if ((c->refs > 0 || c->left_count > 0) && c->idle_ticks % RETRY_TICKS == 0 &&
                db_here.office.snapshot != NULL) {
                open_connection(c);
            }
        } else if (c->back->state == DB_BACK_READY && !c->is_asking &&
                   (c->refs > 0 || c->left_count > 0) && c->idle_ticks % PRINT_TICKS == 0) {
            c->is_wanted |= c->lacks;
            ask_server(c);
        }
        if (c->refs > 0 && c->idle_ticks > IDLE_TICKS) {
            c->idle_ticks = 0;
        }
    }
}

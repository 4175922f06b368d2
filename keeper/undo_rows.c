/* SPDX-License-Identifier: Apache-2.0
 * Undo of DELETE, TRUNCATE, UPDATE, MERGE and of a dropped column: rows are loaded beside the table
 * and matched by key.
 * OWNS nothing. PROCESS keeper, threads of the pool. TRUST see undo.c. SPEC keeper/undo_parts.h.
 */
#include "infra/proc/file.h"
#include "keeper/undo_parts.h"

#include <stdio.h>
#include <string.h>

enum { PG_CLASS = 1259 };

/* ---- rows ---- */

typedef struct {
    const json_t *relation;
    const json_t *now;
    size_t number;
    bool changes; /* rows of one transaction get their old values */
} table;

/* A column that is matched and written; generated ones follow by themselves. */
static bool is_plain(const json_t *column)
{
    return !json_is_true(json_object_get(column, "generated"));
}

typedef void (*put_column)(const char *quoted, sp_buf *sql);

static void list_columns(const json_t *relation, const char *between, put_column put, sp_buf *sql)
{
    const json_t *columns = json_object_get(relation, "columns");
    bool first = true;
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const json_t *column = json_array_get(columns, i);
        if (is_plain(column)) {
            sp_buf_text(sql, first ? "" : between);
            put(undo_text(column, "quoted"), sql);
            first = false;
        }
    }
}

static void put_name(const char *quoted, sp_buf *sql)
{
    sp_buf_text(sql, quoted);
}

static void put_from_staging(const char *quoted, sp_buf *sql)
{
    sp_buf_fmt(sql, "s.%s", quoted);
}

static void put_staging_text(const char *quoted, sp_buf *sql)
{
    sp_buf_fmt(sql, "s.%s::text", quoted);
}

static void put_table_text(const char *quoted, sp_buf *sql)
{
    sp_buf_fmt(sql, "t.%s::text", quoted);
}

/* The key is what they are matched by, and an identity column takes no other value. */
static bool is_set(const json_t *relation, const json_t *column)
{
    const json_t *key = json_object_get(relation, "key");
    bool set = is_plain(column) && !json_is_true(json_object_get(column, "fixed"));
    for (size_t i = 0; i < json_array_size(key); i++) {
        set = set &&
              strcmp(json_string_value(json_array_get(key, i)), undo_text(column, "quoted")) != 0;
    }
    return set;
}

/* False when there is no column to set. */
static bool put_assignments(const json_t *relation, sp_buf *sql)
{
    const json_t *columns = json_object_get(relation, "columns");
    bool first = true;
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const json_t *column = json_array_get(columns, i);
        if (is_set(relation, column)) {
            const char *name = undo_text(column, "quoted");
            sp_buf_fmt(sql, "%s%s = s.%s", first ? "" : ", ", name, name);
            first = false;
        }
    }
    return !first;
}

static void put_match(const table *t, sp_buf *sql)
{
    const json_t *key = json_object_get(t->relation, "key");
    for (size_t i = 0; i < json_array_size(key); i++) {
        const char *name = json_string_value(json_array_get(key, i));
        sp_buf_fmt(sql, "%st.%s = s.%s", i == 0 ? "" : " AND ", name, name);
    }
}

static void put_key(const table *t, const char *alias, sp_buf *sql)
{
    const json_t *key = json_object_get(t->relation, "key");
    for (size_t i = 0; i < json_array_size(key); i++) {
        sp_buf_fmt(sql, "%s%s.%s", i == 0 ? "" : ", ", alias,
                   json_string_value(json_array_get(key, i)));
    }
}

/* Columns that are gone are made again (ALTER); others must be what they were. */
static sp_err check_columns(undo *u, const table *t, sp_buf *sql)
{
    const json_t *columns = json_object_get(t->relation, "columns");
    const json_t *now = json_object_get(t->now, "columns");
    const char *name = undo_text(t->relation, "quoted");
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const json_t *column = json_array_get(columns, i);
        const json_t *is = json_object_get(now, undo_text(column, "name"));
        if (is == NULL && (!undo_verb_is(u, "ALTER") || !is_plain(column))) {
            return undo_refuse(u, name, "a column that was kept is not there any more:",
                               undo_text(column, "quoted"), NULL);
        }
        if (is == NULL) {
            sp_buf_fmt(sql, "ALTER TABLE %s ADD COLUMN %s %s;\n", undo_text(t->now, "quoted"),
                       undo_text(column, "quoted"), undo_text(column, "type"));
            undo_tell(u, json_sprintf("column %s of %s was made again, as the last one",
                                      undo_text(column, "quoted"), name));
        } else if (strcmp(undo_text(is, "type"), undo_text(column, "type")) != 0) {
            return undo_refuse(u, name,
                               "a column has another type now:", undo_text(column, "quoted"),
                               undo_text(is, "type"));
        }
    }
    const char *key = NULL;
    const json_t *value = NULL;
    json_t *all = json_deep_copy(now);
    sp_err err = sp_ok();
    json_object_foreach(all, key, value)
    {
        bool known = false;
        for (size_t i = 0; i < json_array_size(columns); i++) {
            known = known || strcmp(key, undo_text(json_array_get(columns, i), "name")) == 0;
        }
        if (!known && json_is_true(json_object_get(value, "needed")) && !sp_failed(err)) {
            err = undo_refuse(u, name, "a column was added since that needs a value:", key, NULL);
        }
    }
    json_decref(all);
    return err;
}

static void finish_columns(const table *t, sp_buf *sql)
{
    const json_t *columns = json_object_get(t->relation, "columns");
    const json_t *now = json_object_get(t->now, "columns");
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const json_t *column = json_array_get(columns, i);
        const char *quoted = undo_text(column, "quoted");
        const char *name = undo_text(t->now, "quoted");
        if (json_object_get(now, undo_text(column, "name")) != NULL) {
            continue;
        }
        if (json_is_string(json_object_get(column, "default"))) {
            sp_buf_fmt(sql, "ALTER TABLE %s ALTER COLUMN %s SET DEFAULT %s;\n", name, quoted,
                       undo_text(column, "default"));
        }
        if (json_is_true(json_object_get(column, "notnull"))) {
            sp_buf_fmt(sql, "ALTER TABLE %s ALTER COLUMN %s SET NOT NULL;\n", name, quoted);
        }
    }
}

static void switch_triggers(const table *t, bool off, sp_buf *sql)
{
    const json_t *triggers = json_object_get(t->now, "triggers");
    for (size_t i = 0; i < json_array_size(triggers); i++) {
        const json_t *one = json_array_get(triggers, i);
        const char *how = off ? "DISABLE" : "ENABLE";
        const char *enabled = undo_text(one, "enabled");
        if (!off && enabled[0] == 'A') {
            how = "ENABLE ALWAYS";
        } else if (!off && enabled[0] == 'R') {
            how = "ENABLE REPLICA";
        }
        sp_buf_fmt(sql, "ALTER TABLE %s %s TRIGGER %s;\n", undo_text(t->now, "quoted"), how,
                   undo_text(one, "name"));
    }
}

static void put_staging(const table *t, sp_buf *sql)
{
    sp_buf_fmt(sql, "CREATE TEMP TABLE sp_undo_%zu ON COMMIT DROP AS SELECT ", t->number);
    list_columns(t->relation, ", ", put_name, sql);
    sp_buf_fmt(sql, " FROM %s WITH NO DATA;\n", undo_text(t->now, "quoted"));
}

/* Rows that are there with other values, and which transaction wrote them. */
static void put_differing(const table *t, sp_buf *sql)
{
    sp_buf_fmt(sql, "CREATE TEMP TABLE sp_diff_%zu ON COMMIT DROP AS SELECT ", t->number);
    put_key(t, "s", sql);
    sp_buf_fmt(sql, ", t.xmin::text AS sp_xid FROM pg_temp.sp_undo_%zu s JOIN %s t ON ", t->number,
               undo_text(t->now, "quoted"));
    put_match(t, sql);
    sp_buf_text(sql, " WHERE ROW(");
    list_columns(t->relation, ", ", put_table_text, sql);
    sp_buf_text(sql, ") IS DISTINCT FROM ROW(");
    list_columns(t->relation, ", ", put_staging_text, sql);
    sp_buf_text(sql, ");\n");
}

/* sp_xid: the one transaction that changed most of the differing rows. */
static void put_reverting(const table *t, sp_buf *sql)
{
    sp_buf_fmt(sql,
               "INSERT INTO pg_temp.sp_one SELECT %zu, sp_xid FROM pg_temp.sp_diff_%zu GROUP "
               "BY sp_xid ORDER BY count(*) DESC, sp_xid LIMIT 1;\n",
               t->number, t->number);
    auto_buf sp_buf assignments = sp_buf_make(UNDO_SQL_MAX_BYTES);
    sp_buf_fmt(sql, "ANALYZE pg_temp.sp_diff_%zu;\n", t->number);
    if (!put_assignments(t->relation, &assignments)) {
        return;
    }
    sp_buf_fmt(sql, "UPDATE %s t SET ", undo_text(t->now, "quoted"));
    sp_buf_span(sql, sp_buf_borrow(&assignments));
    sp_buf_fmt(sql, " FROM pg_temp.sp_undo_%zu s, pg_temp.sp_one o WHERE ", t->number);
    put_match(t, sql);
    sp_buf_fmt(sql, " AND o.number = %zu AND t.xmin::text = o.xid AND ROW(", t->number);
    list_columns(t->relation, ", ", put_table_text, sql);
    sp_buf_text(sql, ") IS DISTINCT FROM ROW(");
    list_columns(t->relation, ", ", put_staging_text, sql);
    sp_buf_text(sql, ");\n");
}

static void put_inserting(const table *t, sp_buf *sql)
{
    sp_buf_fmt(sql, "WITH done AS (INSERT INTO %s (", undo_text(t->now, "quoted"));
    list_columns(t->relation, ", ", put_name, sql);
    sp_buf_text(sql, ") OVERRIDING SYSTEM VALUE SELECT ");
    list_columns(t->relation, ", ", put_from_staging, sql);
    sp_buf_fmt(sql, " FROM pg_temp.sp_undo_%zu s WHERE NOT EXISTS (SELECT FROM %s t WHERE ",
               t->number, undo_text(t->now, "quoted"));
    put_match(t, sql);
    sp_buf_fmt(sql,
               ") ON CONFLICT DO NOTHING RETURNING 1) INSERT INTO pg_temp.sp_count SELECT "
               "%zu, 'inserted', count(*) FROM done;\n",
               t->number);
}

static void put_missing_count(const table *t, sp_buf *sql)
{
    sp_buf_fmt(sql,
               "INSERT INTO pg_temp.sp_count SELECT %zu, 'missing', count(*) FROM "
               "pg_temp.sp_undo_%zu s WHERE NOT EXISTS (SELECT FROM %s t WHERE ",
               t->number, t->number, undo_text(t->now, "quoted"));
    put_match(t, sql);
    sp_buf_text(sql, ");\n");
}

/* {"relation":..,"missing":n,"inserted":n,"differing":n,"reverted":n,"conflicts":n,"keys":[..]} */
static void put_report(undo *u, const table *t, sp_buf *sql)
{
    char *name = PQescapeLiteral(u->conn, undo_text(t->relation, "quoted"),
                                 strlen(undo_text(t->relation, "quoted")));
    sp_buf_fmt(sql, "SELECT json_build_object('relation', %s,", name);
    PQfreemem(name);
    sp_buf_fmt(sql, "'kept', (SELECT count(*) FROM pg_temp.sp_undo_%zu),", t->number);
    sp_buf_fmt(sql,
               "'missing', (SELECT n FROM pg_temp.sp_count WHERE number = %zu AND what = "
               "'missing'), 'inserted', (SELECT n FROM pg_temp.sp_count WHERE number = %zu "
               "AND what = 'inserted'),",
               t->number, t->number);
    sp_buf_fmt(sql,
               "'differing', (SELECT count(*) FROM pg_temp.sp_diff_%zu), 'reverted', (SELECT "
               "count(*) FROM pg_temp.sp_diff_%zu d JOIN pg_temp.sp_one o ON o.number = %zu "
               "AND o.xid = d.sp_xid),",
               t->number, t->number, t->number);
    sp_buf_fmt(sql, "'conflict_keys', (SELECT json_agg(k) FROM (SELECT to_json(ARRAY[");
    const json_t *key = json_object_get(t->relation, "key");
    for (size_t i = 0; i < json_array_size(key); i++) {
        sp_buf_fmt(sql, "%sd.%s::text", i == 0 ? "" : ", ",
                   json_string_value(json_array_get(key, i)));
    }
    sp_buf_fmt(sql,
               "]) AS k FROM pg_temp.sp_diff_%zu d WHERE NOT EXISTS (SELECT FROM "
               "pg_temp.sp_one o WHERE o.number = %zu AND o.xid = d.sp_xid) LIMIT 10) x));\n",
               t->number, t->number);
}

/* Without a key: rows are told apart by their whole text; as many as are missing come back. */
static void put_without_key(undo *u, const table *t, sp_buf *sql)
{
    char *name = PQescapeLiteral(u->conn, undo_text(t->relation, "quoted"),
                                 strlen(undo_text(t->relation, "quoted")));
    sp_buf_fmt(sql, "WITH a AS (SELECT s.*, ROW(");
    list_columns(t->relation, ", ", put_staging_text, sql);
    sp_buf_text(sql, ")::text AS sp_row, row_number() OVER (PARTITION BY ROW(");
    list_columns(t->relation, ", ", put_staging_text, sql);
    sp_buf_fmt(sql, ")::text) AS sp_nr FROM pg_temp.sp_undo_%zu s), b AS (SELECT ROW(", t->number);
    list_columns(t->relation, ", ", put_table_text, sql);
    sp_buf_fmt(sql,
               ")::text AS sp_row, count(*) AS sp_n FROM %s t GROUP BY 1), done AS (INSERT "
               "INTO %s (",
               undo_text(t->now, "quoted"), undo_text(t->now, "quoted"));
    list_columns(t->relation, ", ", put_name, sql);
    sp_buf_text(sql, ") OVERRIDING SYSTEM VALUE SELECT ");
    list_columns(t->relation, ", ", put_from_staging, sql);
    sp_buf_text(sql, " FROM a s LEFT JOIN b USING (sp_row) WHERE s.sp_nr > COALESCE(b.sp_n, 0) "
                     "RETURNING 1) ");
    sp_buf_fmt(sql,
               "SELECT json_build_object('relation', %s, 'inserted', count(*), 'missing', "
               "count(*), 'differing', 0, 'reverted', 0, 'kept', (SELECT count(*) FROM "
               "pg_temp.sp_undo_%zu)) FROM done;\n",
               name, t->number);
    PQfreemem(name);
}

static sp_err put_rows(undo *u, const table *t, sp_buf *sql)
{
    bool keyed = json_array_size(json_object_get(t->relation, "key")) > 0;
    if (!keyed && t->changes) {
        return undo_refuse(u, undo_text(t->relation, "quoted"),
                           "it has no key, so changed rows cannot be told from others", NULL, NULL);
    }
    sp_buf_fmt(sql, "ANALYZE pg_temp.sp_undo_%zu;\n",
               t->number); /* else the planner thinks it small */
    switch_triggers(t, true, sql);
    if (!keyed) {
        put_without_key(u, t, sql);
    } else {
        put_missing_count(t, sql);
        put_differing(t, sql);
        if (t->changes) {
            put_reverting(t, sql);
        }
        if (!undo_verb_is(u, "ALTER")) {
            put_inserting(t, sql);
        }
        put_report(u, t, sql);
    }
    finish_columns(t, sql);
    switch_triggers(t, false, sql);
    return undo_script(u, sql);
}

/* ---- which tables, in which order ---- */

typedef struct {
    table items[KEEP_RELATIONS_MAX];
    size_t count;
} tables;

static bool refers(const undo *u, uint32_t child, uint32_t parent)
{
    const json_t *keys = json_object_get(u->manifest, "foreign");
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const json_t *key = json_array_get(keys, i);
        if ((uint32_t)json_integer_value(json_object_get(key, "table")) == child &&
            (uint32_t)json_integer_value(json_object_get(key, "references")) == parent) {
            return child != parent;
        }
    }
    return false;
}

/* Parents first; what stands in a circle keeps its place (and may be refused by the server). */
static void order_tables(const undo *u, tables *all)
{
    for (size_t i = 0; i < all->count; i++) {
        for (size_t k = i; k < all->count; k++) {
            bool waits = false;
            for (size_t m = i; m < all->count; m++) {
                waits = waits || (m != k && refers(u, undo_oid(all->items[k].relation),
                                                   undo_oid(all->items[m].relation)));
            }
            if (!waits) {
                table first = all->items[k];
                sp_move(&all->items[i + 1], &all->items[i], (k - i) * sizeof(table));
                all->items[i] = first;
                break;
            }
        }
    }
}

static bool has_lost_column(const table *t)
{
    const json_t *columns = json_object_get(t->relation, "columns");
    for (size_t i = 0; i < json_array_size(columns); i++) {
        if (json_object_get(json_object_get(t->now, "columns"),
                            undo_text(json_array_get(columns, i), "name")) == NULL) {
            return true;
        }
    }
    return false;
}

static sp_err choose_tables(undo *u, tables *all)
{
    const json_t *relations = json_object_get(u->manifest, "relations");
    bool rows = undo_verb_is(u, "DELETE TRUNCATE UPDATE MERGE WITH INSERT COPY");
    for (size_t i = 0; i < json_array_size(relations) && all->count < KEEP_RELATIONS_MAX; i++) {
        const json_t *one = json_array_get(relations, i);
        const char *kind = undo_text(one, "kind");
        table t = {.relation = one, .now = undo_present(u, one), .number = i};
        bool stored = kind[0] == 'r' || kind[0] == 'p';
        if (!stored || json_is_true(json_object_get(one, "partition"))) {
            continue; /* rows of partitions are put into their root */
        }
        if (t.now == NULL && rows && !undo_verb_is(u, "DROP")) {
            return undo_refuse(u, undo_text(one, "quoted"),
                               "the table has been dropped since; its rows cannot be put back",
                               NULL, NULL);
        }
        if (t.now == NULL || (!rows && !(undo_verb_is(u, "ALTER") && has_lost_column(&t)))) {
            continue;
        }
        t.changes = undo_verb_is(u, "UPDATE MERGE WITH ALTER INSERT") ||
                    (strcmp(undo_text(one, "why"), "cascade") == 0 && !undo_verb_is(u, "TRUNCATE"));
        all->items[all->count++] = t;
    }
    order_tables(u, all);
    return sp_ok();
}

/* ---- data of the archive into the staging tables ---- */

typedef struct {
    undo *u;
    const tables *all;
    sp_buf out;
    sp_buf target;
    keep_copy copy;
} staging;

/* The table whose rows these are; a partition's go into its root. */
static const table *staged_of(const staging *s, const json_t *relation)
{
    const char *root = json_is_string(json_object_get(relation, "root"))
                           ? undo_text(relation, "root")
                           : undo_text(relation, "quoted");
    for (size_t i = 0; i < s->all->count; i++) {
        if (strcmp(undo_text(s->all->items[i].relation, "quoted"), root) == 0) {
            return &s->all->items[i];
        }
    }
    return NULL;
}

/* pg_dump writes the columns that are not generated, in the order that they have. */
static sp_span target_of(void *self, sp_span name)
{
    staging *s = self;
    const json_t *relations = json_object_get(s->u->manifest, "relations");
    const json_t *found = NULL;
    for (size_t i = 0; i < json_array_size(relations); i++) {
        const json_t *one = json_array_get(relations, i);
        found = sp_span_eq(name, sp_span_cstr(undo_text(one, "quoted"))) ? one : found;
    }
    const table *t = found == NULL ? NULL : staged_of(s, found);
    if (t == NULL) {
        return SP_SPAN_EMPTY;
    }
    sp_buf_reset(&s->target);
    sp_buf_fmt(&s->target, "pg_temp.sp_undo_%zu (", t->number);
    list_columns(found, ", ", put_name, &s->target);
    sp_buf_text(&s->target, ")");
    return sp_buf_borrow(&s->target);
}

static sp_err take_data(void *self, sp_span bytes)
{
    staging *s = self;
    TRY(keep_copy_feed(&s->copy, bytes, &s->out));
    TRY(sp_write_all(s->u->psql.in, sp_buf_borrow(&s->out)));
    sp_buf_reset(&s->out);
    return sp_ok();
}

static bool is_kept_data(const undo *u, const keep_toc_entry *entry)
{
    return keep_toc_is_data(entry) && !undo_is_missing(u, PG_CLASS, entry->oid);
}

static sp_err load_rows(undo *u, const tables *all, sp_buf *sql)
{
    char path[KEEP_PATH_BYTES + 16];
    char use[KEEP_PATH_BYTES + 32];
    size_t count = 0;
    sp_buf_text(sql,
                "CREATE TEMP TABLE sp_one (number int, xid text) ON COMMIT DROP;\n"
                "CREATE TEMP TABLE sp_count (number int, what text, n bigint) ON COMMIT DROP;\n");
    for (size_t i = 0; i < all->count; i++) {
        sp_buf_fmt(sql, "LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE;\n",
                   undo_text(all->items[i].now, "quoted"));
        TRY(check_columns(u, &all->items[i], sql));
        put_staging(&all->items[i], sql);
    }
    TRY(undo_script(u, sql));
    TRY(undo_list(u, is_kept_data, "rows", path, &count));
    snprintf(use, sizeof(use), "--use-list=%s", path);
    const char *const argv[] = {"pg_restore", "--file=-", "--data-only", use, NULL};
    staging s = {
        .u = u, .all = all, .out = sp_buf_make(1 << 20), .target = sp_buf_make(UNDO_SQL_MAX_BYTES)};
    s.copy = keep_copy_make(target_of, &s);
    sp_err err = count == 0 ? sp_ok() : undo_restore(u, argv, take_data, &s);
    if (!sp_failed(err)) {
        err = sp_buf_error(&s.target);
    }
    keep_copy_done(&s.copy);
    sp_buf_done(&s.out);
    sp_buf_done(&s.target);
    return err;
}

sp_err undo_rows(undo *u, sp_buf *sql)
{
    auto_free tables *all = NULL;
    TRY(sp_alloc(1, sizeof(*all), &all));
    TRY(choose_tables(u, all));
    if (all->count == 0) {
        return sp_ok();
    }
    TRY(load_rows(u, all, sql));
    for (size_t i = 0; i < all->count; i++) {
        TRY(put_rows(u, &all->items[i], sql));
    }
    return sp_ok();
}

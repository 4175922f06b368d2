/* SPDX-License-Identifier: Apache-2.0
 * Undo of DELETE, TRUNCATE, UPDATE, MERGE, of columns that were dropped or cut, and of what nobody
 * knew: rows are loaded beside the table and matched by key.
 *
 * Whose rows they are by then: undo_whose.c.
 * OWNS nothing. PROCESS keeper, threads of the pool. TRUST see undo.c. SPEC keeper/undo_parts.h.
 */
#include "keeper/said.h"
#include "keeper/undo_tables.h"

#include <stdio.h>
#include <string.h>

/* None in a dry run: nobody agreed to it, and whoever makes it may see them masked. */
enum { CONFLICT_KEYS_MAX = 10, CONFLICT_KEYS_MAX_LETTERS = 1000 };

/* ---- columns ---- */

/* The key is what they are matched by, and an identity column takes no other value. */
static bool is_set(const json_t *relation, const json_t *column)
{
    return undo_is_plain(column) && !json_is_true(json_object_get(column, "fixed")) &&
           undo_is_beside_key(relation, column);
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

static void switch_off(const undo_table *t, sp_buf *sql)
{
    char table[24];
    snprintf(table, sizeof(table), "%u", undo_oid(t->relation));
    undo_triggers_off(t->number, table, t->changes || t->moves, sql);
}

/* A cast would cut what others wrote since without a word: there and back it is not the same. */
static void refuse_cut(const undo *u, const undo_table *t, const json_t *column, sp_buf *sql)
{
    const char *name = undo_text(column, "quoted");
    const json_t *now =
        json_object_get(json_object_get(t->now, "columns"), undo_text(column, "name"));
    auto_buf sp_buf words = sp_buf_make(UNDO_SQL_MAX_BYTES);
    sp_buf_fmt(&words,
               "%s: column %s has another type now, and what others wrote into it since does not "
               "fit into %s",
               undo_text(t->relation, "quoted"), name, undo_text(column, "type"));
    sp_buf_byte(&words, 0);
    sp_buf_text(sql, "SELECT format('DO %L', format('BEGIN RAISE EXCEPTION USING ERRCODE = "
                     "''" KEEP_SAID_OURS "'', MESSAGE = %L; END', ");
    undo_literal(u, sp_failed(sp_buf_error(&words)) ? "" : (const char *)words.ptr, sql);
    sp_buf_text(sql, ")) WHERE EXISTS (SELECT FROM ");
    undo_put_table(t, sql);
    sp_buf_fmt(sql,
               " t WHERE t.%s::text::%s::text::%s::text IS DISTINCT FROM t.%s::text AND "
               "t.xmin::text NOT IN (SELECT xid FROM pg_temp.sp_one)) " UNDO_GEXEC,
               name, undo_text(column, "type"), undo_text(now, "type"), name);
}

/* Between times with a zone and without one, whose value depends on a setting. */
static bool changes_zone(const undo_table *t, const json_t *column)
{
    static const char with[] = "with time zone";
    const json_t *now =
        json_object_get(json_object_get(t->now, "columns"), undo_text(column, "name"));
    return (strstr(undo_text(now, "type"), with) != NULL) !=
           (strstr(undo_text(column, "type"), with) != NULL);
}

/* Columns with another type get the one that they had; what was cut comes back with the rows. */
static void put_types(undo *u, const undo_table *t, sp_buf *sql)
{
    const json_t *columns = json_object_get(t->relation, "columns");
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const json_t *column = json_array_get(columns, i);
        const char *name = undo_text(column, "quoted");
        if (undo_is_retyped(t, column)) {
            undo_code_check_again(t->relation, sql);
            refuse_cut(u, t, column, sql);
            sp_buf_fmt(sql, "ALTER TABLE %s ALTER COLUMN %s TYPE %s USING %s::text::%s;\n",
                       undo_text(t->now, "quoted"), name, undo_text(column, "type"), name,
                       undo_text(column, "type"));
            undo_tell(u, json_sprintf("column %s of %s has its old type again%s", name,
                                      undo_text(t->relation, "quoted"),
                                      changes_zone(t, column)
                                          ? ": what others wrote since is taken for UTC"
                                          : ""));
        }
    }
}

/* A column that was gone: of all rows, whoever changed them since. */
static void put_lost(const undo *u, const undo_table *t, sp_buf *sql)
{
    const json_t *columns = json_object_get(t->relation, "columns");
    auto_buf sp_buf set = sp_buf_make(UNDO_SQL_MAX_BYTES);
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const json_t *column = json_array_get(columns, i);
        const char *name = undo_text(column, "quoted");
        if (undo_is_plain(column) && undo_is_lost(t, column)) {
            sp_buf_fmt(&set, "%s%s = s.%s", set.len == 0 ? "" : ", ", name, name);
        }
    }
    if (set.len == 0) {
        return;
    }
    undo_code_check_again(t->relation, sql);
    sp_buf_text(sql, "UPDATE ");
    undo_put_table(t, sql);
    sp_buf_text(sql, " t SET ");
    sp_buf_span(sql, sp_buf_borrow(&set));
    sp_buf_fmt(sql, " FROM pg_temp.sp_undo_%zu s WHERE ", t->number);
    undo_put_match(u, t, sql);
    sp_buf_text(sql, ";\n");
}

/* What the statement wrote and has other values than it had; sp_diff is d, what was kept s. */
static void put_reverted(const undo *u, const undo_table *t, sp_buf *sql)
{
    const json_t *key = json_object_get(t->relation, "key");
    sp_buf_text(sql, "o.xid = d.sp_xid AND t.xmin::text = d.sp_xid AND ");
    undo_put_match(u, t, sql);
    for (size_t i = 0; i < json_array_size(key); i++) {
        sp_buf_text(sql, " AND ");
        undo_put_equal(u, t->relation, i, "d", "s", sql);
    }
}

static void put_reverting(const undo *u, const undo_table *t, sp_buf *sql)
{
    auto_buf sp_buf assignments = sp_buf_make(UNDO_SQL_MAX_BYTES);
    auto_buf sp_buf which = sp_buf_make(UNDO_SQL_MAX_BYTES);
    auto_json json_t *set = json_array();
    if (!put_assignments(t->relation, &assignments)) {
        return;
    }
    const json_t *columns = json_object_get(t->relation, "columns");
    for (size_t i = 0; i < json_array_size(columns); i++) {
        if (is_set(t->relation, json_array_get(columns, i))) {
            json_array_append(set, json_object_get(json_array_get(columns, i), "name"));
        }
    }
    put_reverted(u, t, &which);
    undo_put_held(u, t, sp_buf_borrow(&which), set, sql);
    undo_code_check_again(t->relation, sql);
    sp_buf_text(sql, "UPDATE ");
    undo_put_table(t, sql);
    sp_buf_text(sql, " t SET ");
    sp_buf_span(sql, sp_buf_borrow(&assignments));
    sp_buf_fmt(sql, " FROM pg_temp.sp_undo_%zu s, pg_temp.sp_diff_%zu d, pg_temp.sp_one o WHERE ",
               t->number, t->number);
    sp_buf_span(sql, sp_buf_borrow(&which));
    sp_buf_fmt(sql,
               " AND NOT EXISTS (SELECT FROM pg_temp.sp_held_%zu h WHERE h.part = t.tableoid AND "
               "h.place = t.ctid);\n",
               t->number);
}

/* ---- rows that the statement wrote and that go ---- */

/* A row of theirs that was not kept. Rows whose key was changed stand under the new one: as many as
 * are missing, or they were added. */
static void put_goes(const undo *u, const undo_table *t, sp_buf *sql)
{
    sp_buf_fmt(sql,
               "t.xmin::text IN (SELECT xid FROM pg_temp.sp_one) AND NOT EXISTS (SELECT FROM "
               "pg_temp.sp_undo_%zu s WHERE ",
               t->number);
    if (!t->keyed) {
        undo_put_values(t, "t", false, sql);
        sp_buf_text(sql, "::text = ");
        undo_put_values(t, "s", false, sql);
        sp_buf_text(sql, "::text)");
        return;
    }
    undo_put_match(u, t, sql);
    if (t->mixed) {
        sp_buf_text(sql, ") AND ");
        undo_put_values(t, "t", true, sql);
        sp_buf_fmt(sql, "::text IN (SELECT v FROM pg_temp.sp_pair_%zu)", t->number);
        return;
    }
    sp_buf_fmt(sql,
               ") AND (SELECT count(*) FROM pg_temp.sp_new_%zu JOIN pg_temp.sp_one ON xid = "
               "sp_xid) <= (SELECT n FROM pg_temp.sp_count WHERE number = %zu AND what = "
               "'missing')",
               t->number, t->number);
}

static void put_going(const undo *u, const undo_table *t, sp_buf *sql)
{
    auto_buf sp_buf goes = sp_buf_make(UNDO_SQL_MAX_BYTES);
    put_goes(u, t, &goes);
    undo_put_hung(u, t, sp_buf_borrow(&goes), sql);
    undo_code_check_again(t->relation, sql);
    sp_buf_text(sql, "WITH done AS (DELETE FROM ");
    undo_put_table(t, sql);
    sp_buf_text(sql, " t WHERE ");
    put_goes(u, t, sql);
    sp_buf_fmt(sql,
               " AND NOT EXISTS (SELECT FROM pg_temp.sp_hung_%zu h WHERE h.part = t.tableoid AND "
               "h.place = t.ctid) RETURNING 1) INSERT INTO pg_temp.sp_count SELECT %zu, 'removed', "
               "count(*) FROM done;\nINSERT INTO pg_temp.sp_count SELECT %zu, 'hung', count(*) "
               "FROM (SELECT DISTINCT part, place FROM pg_temp.sp_hung_%zu) x;\n",
               t->number, t->number, t->number, t->number);
}

static void put_inserting(const undo *u, const undo_table *t, sp_buf *sql)
{
    undo_code_check_again(t->relation, sql);
    sp_buf_fmt(sql, "WITH done AS (INSERT INTO %s (", undo_text(t->now, "quoted"));
    undo_list_columns(t->relation, "", sql);
    sp_buf_text(sql, ") OVERRIDING SYSTEM VALUE SELECT ");
    undo_list_columns(t->relation, "s.", sql);
    sp_buf_fmt(sql, " FROM pg_temp.sp_undo_%zu s WHERE NOT EXISTS (SELECT FROM ", t->number);
    undo_put_table(t, sql);
    sp_buf_text(sql, " t WHERE ");
    undo_put_match(u, t, sql);
    if (t->keyed) {
        sp_buf_fmt(sql,
                   ") AND EXISTS (SELECT FROM pg_temp.sp_count WHERE number = %zu AND what = "
                   "'missing' AND n > 0",
                   t->number);
    }
    if (t->moves && t->mixed && !undo_takes_rows(u)) {
        sp_buf_text(sql, ") AND ");
        undo_put_values(t, "s", true, sql);
        sp_buf_fmt(sql, "::text IN (SELECT v FROM pg_temp.sp_pair_%zu", t->number);
    }
    /* what is checked later no conflict is found by: it is an error then */
    bool checks_later = json_is_true(json_object_get(t->now, "later"));
    sp_buf_fmt(sql,
               ")%s RETURNING 1) INSERT INTO pg_temp.sp_count SELECT "
               "%zu, 'inserted', count(*) FROM done;\n",
               checks_later ? "" : " ON CONFLICT DO NOTHING", t->number);
}

/* {"relation":..,"missing":n,"inserted":n,"differing":n,"reverted":n,"conflicts":n,"keys":[..]} */
static void put_report(undo *u, const undo_table *t, sp_buf *sql)
{
    /* a row that stands under the key of one that was taken may have been put in since */
    bool changes =
        t->changes || keep_has_word(undo_text(u->manifest, "verb"), "ANY TRUNCATE DELETE");
    sp_buf_text(sql, "SELECT json_build_object('relation', ");
    undo_literal(u, undo_text(t->relation, "quoted"), sql);
    sp_buf_fmt(sql, ", 'changes', %s,", changes ? "true" : "false");
    sp_buf_fmt(sql, "'kept', (SELECT count(*) FROM pg_temp.sp_undo_%zu),", t->number);
    static const char *const counts[] = {"missing", "inserted", "removed", "hung", "held"};
    for (size_t i = 0; i < SP_COUNT(counts); i++) {
        sp_buf_fmt(sql,
                   "'%s', COALESCE((SELECT n FROM pg_temp.sp_count WHERE number = %zu AND what = "
                   "'%s'), 0),",
                   counts[i], t->number, counts[i]);
    }
    if (t->moves && !t->mixed) { /* else put_apart() has told it */
        sp_buf_fmt(sql,
                   "'stay', (SELECT count(*) FROM pg_temp.sp_new_%zu JOIN pg_temp.sp_one ON xid = "
                   "sp_xid WHERE (SELECT n FROM pg_temp.sp_count WHERE number = %zu AND what = "
                   "'missing') > 0),",
                   t->number, t->number);
    }
    sp_buf_fmt(sql,
               "'differing', (SELECT count(*) FROM pg_temp.sp_diff_%zu), 'reverted', (SELECT "
               "count(*) FROM pg_temp.sp_diff_%zu d JOIN pg_temp.sp_one o ON o.xid = d.sp_xid "
               "WHERE %s) - COALESCE((SELECT n FROM pg_temp.sp_count WHERE number = %zu AND what = "
               "'held'), 0),",
               t->number, t->number, t->changes ? "true" : "false", t->number);
    sp_buf_fmt(sql, "'conflict_keys', (SELECT json_agg(k) FROM (SELECT k, sum(length(k::text)) "
                    "OVER (ROWS UNBOUNDED PRECEDING) AS sp_sum FROM (SELECT to_json(ARRAY[");
    const json_t *key = json_object_get(t->relation, "key");
    for (size_t i = 0; i < json_array_size(key); i++) {
        sp_buf_fmt(sql, "%sleft(d.%s::text, 100)", i == 0 ? "" : ", ", undo_key_at(key, i));
    }
    sp_buf_fmt(sql,
               "]) AS k FROM pg_temp.sp_diff_%zu d WHERE NOT (%s AND EXISTS (SELECT FROM "
               "pg_temp.sp_one o WHERE o.xid = d.sp_xid)) LIMIT %d) y) x WHERE sp_sum <= %d));\n",
               t->number, t->changes ? "true" : "false", u->try_only ? 0 : CONFLICT_KEYS_MAX,
               CONFLICT_KEYS_MAX_LETTERS);
}

/* Without a key: rows are told apart by their whole text; as many as are missing come back. */
static void put_without_key(undo *u, const undo_table *t, sp_buf *sql)
{
    if (t->changes) { /* what it wrote goes: what was there before comes back below */
        put_going(u, t, sql);
    }
    undo_code_check_again(t->relation, sql);
    sp_buf_text(sql, "WITH a AS (SELECT s.*, ");
    undo_put_values(t, "s", false, sql);
    sp_buf_text(sql, "::text AS sp_row, row_number() OVER (PARTITION BY ");
    undo_put_values(t, "s", false, sql);
    sp_buf_fmt(sql, "::text) AS sp_nr FROM pg_temp.sp_undo_%zu s), b AS (SELECT ", t->number);
    undo_put_values(t, "t", false, sql);
    sp_buf_text(sql, "::text AS sp_row, count(*) AS sp_n FROM ");
    undo_put_table(t, sql);
    sp_buf_fmt(sql, " t GROUP BY 1), done AS (INSERT INTO %s (", undo_text(t->now, "quoted"));
    undo_list_columns(t->relation, "", sql);
    sp_buf_text(sql, ") OVERRIDING SYSTEM VALUE SELECT ");
    undo_list_columns(t->relation, "s.", sql);
    sp_buf_text(sql, " FROM a s LEFT JOIN b USING (sp_row) WHERE s.sp_nr > COALESCE(b.sp_n, 0) "
                     "RETURNING 1) ");
    sp_buf_text(sql, "SELECT json_build_object('relation', ");
    undo_literal(u, undo_text(t->relation, "quoted"), sql);
    sp_buf_fmt(sql,
               ", 'inserted', count(*), 'missing', "
               "count(*), 'differing', 0, 'reverted', 0, 'kept', (SELECT count(*) FROM "
               "pg_temp.sp_undo_%zu), 'hung', COALESCE((SELECT n FROM pg_temp.sp_count WHERE "
               "number = %zu AND what = 'hung'), 0)) FROM done;\n",
               t->number, t->number);
}

static sp_err put_rows(undo *u, const undo_tables *all, const undo_table *t, sp_buf *sql)
{
    switch_off(t, sql);
    if (!t->keyed) {
        put_without_key(u, t, sql);
    } else {
        if (t->moves &&
            !undo_keys_hung(all, t->relation)) { /* what is new may be in the way of what was */
            put_going(u, t, sql);
        }
        put_types(u, t, sql);
        put_lost(u, t, sql);
        if (t->changes) {
            put_reverting(u, t, sql);
        }
        if (t->adds) {
            put_inserting(u, t, sql);
        }
    }
    return undo_script(u, sql);
}

/* Children first: what hung on a new row hangs on the old one again. */
static sp_err finish_rows(undo *u, const undo_tables *all, const undo_table *t, sp_buf *sql)
{
    if (t->moves && undo_keys_hung(all, t->relation)) {
        put_going(u, t, sql);
    }
    if (t->keyed) {
        put_report(u, t, sql);
    }
    undo_finish_columns(u, t, sql);
    undo_counters(u, t, sql);
    undo_triggers_on(t->number, sql);
    return undo_script(u, sql);
}

sp_err undo_rows(undo *u, const undo_tables *all, sp_buf *sql)
{
    auto_json json_t *keys = NULL;
    if (all->count == 0) {
        return sp_ok();
    }
    u->at = UNDO_WEAK_ROWS;
    sp_buf_text(sql,
                "CREATE TEMP TABLE sp_one (xid text) ON COMMIT DROP;\n"
                "CREATE TEMP TABLE sp_count (number int, what text, n bigint) ON COMMIT DROP;\n");
    TRY(undo_script(u, sql));
    TRY(undo_load_rows(u, all, sql));
    for (size_t i = 0; i < all->count; i++) {
        sp_buf_fmt(sql, "ANALYZE pg_temp.sp_undo_%zu;\n",
                   all->items[i].number); /* else the planner thinks it small */
        if (all->items[i].keyed) {
            undo_put_comparing(u, &all->items[i], sql);
        }
        TRY(undo_script(u, sql));
    }
    undo_put_choosing(u, all, sql);
    if ((u->weak & UNDO_WEAK_ROWS) != 0) {
        TRY(undo_keys_take_off(u, all, &keys, sql));
    }
    undo_keys_wait(all, sql);
    for (size_t i = 0; i < all->count; i++) {
        TRY(put_rows(u, all, &all->items[i], sql));
    }
    undo_keys_check(sql);
    for (size_t i = all->count; i > 0; i--) {
        TRY(finish_rows(u, all, &all->items[i - 1], sql));
    }
    return undo_keys_put_on(u, keys);
}

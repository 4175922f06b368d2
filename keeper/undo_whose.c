/* SPDX-License-Identifier: Apache-2.0
 * Whose rows they are: those that are there beside those that were kept, by key, and which
 * transaction wrote them. What the statement wrote is told from what others did since by the number
 * of its transaction (xmin): the manifest has it when the statement's connection held the tables
 * while they were kept (gates/db/hold.c), and nobody else's is taken for it then; else it is the
 * one transaction that wrote most of what differs.
 * OWNS nothing. PROCESS keeper, threads of the pool. TRUST see undo.c. SPEC keeper/undo_parts.h.
 */
#include "keeper/undo_tables.h"

#include <string.h>

/* A column of the key, quoted. */
const char *undo_key_at(const json_t *key, size_t i)
{
    const char *name = json_string_value(json_array_get(key, i));
    return name == NULL ? "\"\"" : name; /* the server refuses it */
}

void undo_put_match(const undo *u, const undo_table *t, sp_buf *sql)
{
    for (size_t i = 0; i < json_array_size(json_object_get(t->relation, "key")); i++) {
        sp_buf_text(sql, i == 0 ? "" : " AND ");
        undo_put_equal(u, t->relation, i, "t", "s", sql);
    }
}

static void put_key(const undo_table *t, const char *alias, sp_buf *sql)
{
    const json_t *key = json_object_get(t->relation, "key");
    for (size_t i = 0; i < json_array_size(key); i++) {
        sp_buf_fmt(sql, "%s%s.%s", i == 0 ? "" : ", ", alias, undo_key_at(key, i));
    }
}

/* Of the table itself: what inherits from it is a table of its own, with rows of its own, while a
 * partition's are its root's. */
void undo_put_table(const undo_table *t, sp_buf *sql)
{
    bool has_own_rows = strcmp(undo_text(t->now, "kind"), "r") == 0;
    sp_buf_fmt(sql, "%s%s", has_own_rows ? "ONLY " : "", undo_text(t->now, "quoted"));
}

bool undo_is_beside_key(const json_t *relation, const json_t *column)
{
    const json_t *key = json_object_get(relation, "key");
    bool beside = true;
    for (size_t i = 0; i < json_array_size(key); i++) {
        beside = beside && strcmp(undo_key_at(key, i), undo_text(column, "quoted")) != 0;
    }
    return beside;
}

void undo_put_values(const undo_table *t, const char *alias, bool beside_key, sp_buf *sql)
{
    const json_t *columns = json_object_get(t->relation, "columns");
    bool first = true;
    sp_buf_text(sql, "ROW(");
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const json_t *column = json_array_get(columns, i);
        if (undo_is_plain(column) && !undo_is_lost(t, column) &&
            (!beside_key || undo_is_beside_key(t->relation, column))) {
            sp_buf_fmt(sql, "%s%s.%s::text", first ? "" : ", ", alias, undo_text(column, "quoted"));
            first = false;
        }
    }
    sp_buf_text(sql, ")");
}

/* Rows that are there with other values, rows that were not there, rows that are gone; and which
 * transaction wrote those that are there. */
void undo_put_comparing(const undo *u, const undo_table *t, sp_buf *sql)
{
    sp_buf_fmt(sql, "CREATE TEMP TABLE sp_diff_%zu ON COMMIT DROP AS SELECT ", t->number);
    put_key(t, "s", sql);
    sp_buf_fmt(sql, ", t.xmin::text AS sp_xid FROM pg_temp.sp_undo_%zu s JOIN ", t->number);
    undo_put_table(t, sql);
    sp_buf_text(sql, " t ON ");
    undo_put_match(u, t, sql);
    sp_buf_text(sql, " WHERE ");
    undo_put_values(t, "t", false, sql);
    sp_buf_text(sql, " IS DISTINCT FROM ");
    undo_put_values(t, "s", false, sql);
    sp_buf_fmt(sql, ";\nANALYZE pg_temp.sp_diff_%zu;\n", t->number);
    sp_buf_fmt(sql,
               "INSERT INTO pg_temp.sp_count SELECT %zu, 'missing', count(*) FROM "
               "pg_temp.sp_undo_%zu s WHERE NOT EXISTS (SELECT FROM ",
               t->number, t->number);
    undo_put_table(t, sql);
    sp_buf_text(sql, " t WHERE ");
    undo_put_match(u, t, sql);
    sp_buf_text(sql, ");\n");
    if (t->moves) {
        sp_buf_fmt(sql,
                   "CREATE TEMP TABLE sp_new_%zu ON COMMIT DROP AS SELECT t.xmin::text AS sp_xid "
                   "FROM ",
                   t->number);
        undo_put_table(t, sql);
        sp_buf_fmt(sql, " t WHERE NOT EXISTS (SELECT FROM pg_temp.sp_undo_%zu s WHERE ", t->number);
        undo_put_match(u, t, sql);
        sp_buf_text(sql, ");\n");
    }
}

/* sp_pair: the transaction had added rows before, so those that stand under a new key are known by
 * their other values: as many are missing with the same. */
static void put_pairs(const undo *u, const undo_table *t, sp_buf *sql)
{
    sp_buf_fmt(sql, "CREATE TEMP TABLE sp_pair_%zu ON COMMIT DROP AS WITH a AS (SELECT ",
               t->number);
    undo_put_values(t, "s", true, sql);
    sp_buf_fmt(
        sql, "::text AS v, count(*) AS n FROM pg_temp.sp_undo_%zu s WHERE NOT EXISTS (SELECT FROM ",
        t->number);
    undo_put_table(t, sql);
    sp_buf_text(sql, " t WHERE ");
    undo_put_match(u, t, sql);
    sp_buf_text(sql, ") GROUP BY 1), b AS (SELECT ");
    undo_put_values(t, "t", true, sql);
    sp_buf_text(sql, "::text AS v, count(*) AS n FROM ");
    undo_put_table(t, sql);
    sp_buf_fmt(sql,
               " t WHERE t.xmin::text IN (SELECT xid FROM pg_temp.sp_one) AND NOT EXISTS (SELECT "
               "FROM pg_temp.sp_undo_%zu s WHERE ",
               t->number);
    undo_put_match(u, t, sql);
    sp_buf_text(sql, ") GROUP BY 1) SELECT v, n FROM a JOIN b USING (v, n);\n");
}

/* sp_one: the transactions whose rows are taken back. */
static void put_who(const undo *u, const undo_tables *all, sp_buf *sql)
{
    const json_t *xids = json_object_get(u->manifest, "xids");
    const char *verbs = undo_text(u->manifest, "verb");
    sp_buf_text(sql, "CREATE TEMP TABLE sp_all (n int, sp_xid text) ON COMMIT DROP;\nINSERT INTO "
                     "pg_temp.sp_all ");
    for (size_t i = 0; i < all->count; i++) {
        const undo_table *t = &all->items[i];
        if (t->changes && t->keyed) {
            sp_buf_fmt(sql, "SELECT 0 AS n, sp_xid FROM pg_temp.sp_diff_%zu UNION ALL ", t->number);
        }
        if (t->moves) {
            sp_buf_fmt(sql,
                       "SELECT 1, sp_xid FROM pg_temp.sp_new_%zu WHERE (SELECT n FROM "
                       "pg_temp.sp_count WHERE number = %zu) > 0 UNION ALL ",
                       t->number, t->number);
        }
    }
    sp_buf_text(sql, "SELECT 0, NULL::text WHERE false;\n");
    for (size_t i = 0; i < json_array_size(xids); i++) {
        uint64_t xid = 0;
        if (!sp_failed(sp_span_to_u64(sp_span_cstr(json_string_value(json_array_get(xids, i))),
                                      UINT32_MAX, &xid))) {
            sp_buf_fmt(sql, "INSERT INTO pg_temp.sp_one VALUES ('%llu');\n",
                       (unsigned long long)xid);
        }
    }
    /* DELETE may have changed nothing. What was undone in part leaves no trace of the one that is
     * meant: then another's would be taken for it */
    bool may_guess = json_array_size(xids) == 0 && u->job->job.partly == 0 && !u->astray;
    for (size_t i = 0; i < all->count; i++) { /* whoever wrote all its rows is the one of most */
        may_guess = may_guess && !undo_is_made_again(all->items[i].relation) &&
                    (undo_verb_is(u, "DROP ALTER") || !undo_is_rewritten(u, &all->items[i]));
    }
    bool guesses = may_guess && keep_has_word(verbs, "UPDATE MERGE WITH INSERT DELETE DROP ALTER");
    if (guesses) {
        sp_buf_text(sql,
                    "INSERT INTO pg_temp.sp_one SELECT sp_xid FROM pg_temp.sp_all GROUP BY sp_xid "
                    "ORDER BY min(n), count(*) DESC, sp_xid LIMIT 1;\n");
    }
}

bool undo_takes_rows(const undo *u)
{
    return keep_has_word(undo_text(u->manifest, "verb"),
                         "ANY DELETE TRUNCATE DROP ALTER MERGE WITH COPY");
}

/* What stays on both sides, and cannot be told: rows that are missing beside rows that it wrote. */
static void put_apart(const undo *u, const undo_table *t, bool takes, sp_buf *sql)
{
    sp_buf_fmt(
        sql,
        "INSERT INTO pg_temp.sp_count SELECT %zu, 'apart', CASE WHEN "
        "(SELECT count(*) FROM pg_temp.sp_new_%zu JOIN pg_temp.sp_one ON xid = sp_xid) > p.n "
        "THEN c.n - p.n ELSE 0 END FROM pg_temp.sp_count c, (SELECT COALESCE(sum(n), 0) AS n "
        "FROM pg_temp.sp_pair_%zu) p WHERE c.number = %zu AND c.what = 'missing';\n"
        "SELECT json_build_object('told', n || ' rows of ' || ",
        t->number, t->number, t->number, t->number);
    undo_literal(u, undo_text(t->relation, "quoted"), sql);
    sp_buf_fmt(sql,
               " || ' are missing, and others stand there that the same transaction wrote: whether "
               "it added these, or gave them another key, cannot be told, so they stay%s') FROM "
               "pg_temp.sp_count WHERE number = %zu AND what = 'apart' AND n > 0;\n",
               takes ? "" : ", and what is missing stays away", t->number);
    if (!takes) {
        sp_buf_fmt(sql,
                   "UPDATE pg_temp.sp_count SET n = (SELECT COALESCE(sum(n), 0) FROM "
                   "pg_temp.sp_pair_%zu) WHERE number = %zu AND what = 'missing';\n",
                   t->number, t->number);
    }
}

/* What only changes rows took none away but by a new key: the others that are missing are others'
 * work. */
void undo_put_choosing(const undo *u, const undo_tables *all, sp_buf *sql)
{
    bool takes = undo_takes_rows(u);
    put_who(u, all, sql);
    for (size_t i = 0; i < all->count; i++) {
        const undo_table *t = &all->items[i];
        if (t->moves && t->mixed) {
            put_pairs(u, t, sql);
            put_apart(u, t, takes, sql);
        } else if (t->moves && !takes) {
            sp_buf_fmt(sql,
                       "UPDATE pg_temp.sp_count SET n = 0 WHERE number = %zu AND what = 'missing' "
                       "AND NOT EXISTS (SELECT FROM pg_temp.sp_new_%zu JOIN pg_temp.sp_one ON xid "
                       "= sp_xid);\n",
                       t->number, t->number);
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * What hangs on what is there, has no entry of its own in the archive, and fell with what it
 * calls: checks of tables and domains, defaults, NOT NULL, attributes of types. They are made again
 * last of all: no row is asked by a check then (NOT VALID), and nothing of them runs. Each goes by
 * the number of what it hangs on; what it stands on then has to be, by number, what it was, or what
 * this undo made again, else it is taken back and told. So is all that cannot be made: none of it
 * keeps the rest from coming back.
 * OWNS nothing. PROCESS keeper, threads of the pool. TRUST names and definitions are the server's;
 * whoever owns what they name may have given the name to another. SPEC keeper/undo_parts.h.
 */
#include "keeper/undo_tables.h"

#include <stdio.h>
#include <string.h>

enum { PG_ATTRDEF = 2604, PG_CONSTRAINT = 2606 };

/* ---- what fell ---- */

/* $1 what hung. What it hung on is there, and it is not. */
static const char FALLEN[] =
    "SELECT COALESCE(json_agg(json_build_array(h.at, EXISTS (SELECT FROM (SELECT (e->>0)::oid AS"
    " class, (e->>1)::oid AS oid FROM json_array_elements(h.\"on\") e) s WHERE NOT " UNDO_IS_THERE_S
    "), EXISTS (SELECT FROM json_array_elements_text(h.columns) k JOIN pg_catalog.pg_attribute a"
    " ON a.attnum = k::int WHERE a.attrelid = h.host AND a.attisdropped)) ORDER BY h.at), '[]')"
    "::text FROM (SELECT e.at - 1 AS at, x.* FROM json_array_elements($1::json) WITH ORDINALITY"
    " e(j, at) CROSS JOIN LATERAL json_to_record(e.j) AS x(of text, oid oid, host oid, number int,"
    " columns json, name text, \"on\" json)) h WHERE CASE h.of"
    " WHEN 'check' THEN EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = h.host)"
    "  AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.oid = h.oid"
    "   OR k.conrelid = h.host AND quote_ident(k.conname) = h.name)"
    " WHEN 'domain' THEN EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.oid = h.host)"
    "  AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.oid = h.oid"
    "   OR k.contypid = h.host AND quote_ident(k.conname) = h.name)"
    " WHEN 'default' THEN EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = h.host"
    "  AND a.attnum = h.number AND NOT a.attisdropped AND NOT a.atthasdef AND a.attidentity = '')"
    " WHEN 'attribute' THEN EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid ="
    "  h.host AND a.attnum = h.number AND a.attisdropped) END";

/* By name, and the statement may have taken it by itself. */
static bool alters(const undo *u, const json_t *relation)
{
    return undo_was_asked_for(u, relation) &&
           keep_has_word(undo_text(u->manifest, "verb"), "ANY ALTER");
}

static bool has_null_now(const undo_table *t, const json_t *column)
{
    const json_t *is =
        json_object_get(json_object_get(t->now, "columns"), undo_text(column, "name"));
    return json_is_true(json_object_get(column, "notnull")) && !undo_is_lost(t, column) &&
           json_is_false(json_object_get(is, "notnull"));
}

/* The server would fold checks of the table for it: they have to be looked at. */
static void note_nulls(const undo *u)
{
    const json_t *relations = json_object_get(u->manifest, "relations");
    for (size_t i = 0; i < json_array_size(relations); i++) {
        json_t *one = json_array_get(relations, i);
        const undo_table t = {.relation = one, .now = undo_present(u, one)};
        const json_t *columns = json_object_get(one, "columns");
        for (size_t k = 0; t.now != NULL && alters(u, one) && k < json_array_size(columns); k++) {
            if (has_null_now(&t, json_array_get(columns, k))) {
                json_object_set_new(one, "touched", json_true());
            }
        }
    }
}

sp_err undo_hangs_find(undo *u)
{
    const json_t *hangs = json_object_get(u->manifest, "hangs");
    if (!undo_verb_is(u, "DROP ALTER") || u->another) {
        return sp_ok();
    }
    note_nulls(u);
    if (json_array_size(hangs) == 0) {
        return sp_ok();
    }
    char *text = json_dumps(hangs, JSON_COMPACT);
    const char *const list[] = {text == NULL ? "[]" : text};
    sp_err err = keep_exec_json(u->job, u->conn, FALLEN, 1, list, &u->fallen);
    sp_free(text);
    return err;
}

/* A composite type, or a table whose rows are values. */
static bool has_lost_part(const undo *u, const json_t *row_of)
{
    const json_t *hangs = json_object_get(u->manifest, "hangs");
    char key[24];
    snprintf(key, sizeof(key), "%lld", (long long)json_integer_value(row_of));
    bool has = json_object_get(u->lessened, key) != NULL;
    for (size_t i = 0; i < json_array_size(u->fallen) && !has; i++) {
        const json_t *at = json_array_get(json_array_get(u->fallen, i), 0);
        const json_t *one = json_array_get(hangs, (size_t)json_integer_value(at));
        has = strcmp(undo_text(one, "of"), "attribute") == 0 &&
              json_equal(row_of, json_object_get(one, "host"));
    }
    return has;
}

const char *undo_lost_attribute(const undo *u, const undo_table *t)
{
    const json_t *columns = json_object_get(t->relation, "columns");
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const json_t *column = json_array_get(columns, i);
        const json_t *row_of = json_object_get(column, "row_of");
        if (row_of != NULL && undo_verb_is(u, "DROP ALTER") && has_lost_part(u, row_of)) {
            return undo_text(column, "quoted");
        }
    }
    return NULL;
}

/* ---- making it again ---- */

static const char *of(const json_t *one)
{
    return undo_text(one, "of");
}

/* The row of its catalog that is its now. */
static void put_new(const undo *u, const json_t *one, const char *what, sp_buf *sql)
{
    uint32_t host = (uint32_t)json_integer_value(json_object_get(one, "host"));
    if (strcmp(of(one), "default") == 0) {
        sp_buf_fmt(sql, "SELECT %s FROM pg_attrdef n WHERE n.adrelid = %u AND n.adnum = %d", what,
                   host, (int)json_integer_value(json_object_get(one, "number")));
        return;
    }
    sp_buf_fmt(sql,
               "SELECT %s FROM pg_constraint n WHERE n.%s = %u AND quote_ident(n.conname) = ", what,
               strcmp(of(one), "domain") == 0 ? "contypid" : "conrelid", host);
    undo_literal(u, undo_text(one, "name"), sql);
}

/* False for what stands on another thing than it did, neither kept by its number nor made again by
 * this transaction: a name means another by now. */
static void put_is_same(const undo *u, const json_t *one, sp_buf *sql)
{
    char *on = json_dumps(json_object_get(one, "on"), JSON_COMPACT);
    uint32_t host = (uint32_t)json_integer_value(json_object_get(one, "host"));
    static const char *const classes[] = {"pg_type",  "pg_proc",      "pg_operator",
                                          "pg_class", "pg_collation", "pg_ts_config"};
    sp_buf_text(sql, "(SELECT count(*) FROM (");
    put_new(u, one, "1", sql);
    sp_buf_text(sql, ") x) = 1 AND NOT EXISTS (SELECT FROM pg_depend d WHERE (d.classid, d.objid) "
                     "= (");
    put_new(u, one, "n.tableoid, n.oid", sql);
    sp_buf_fmt(sql,
               ") AND d.refobjid >= 16384 AND NOT (d.refobjid = %u AND d.refclassid IN "
               "('pg_class'::regclass, 'pg_type'::regclass)) AND NOT EXISTS (SELECT FROM "
               "json_array_elements(",
               host);
    undo_literal(u, on == NULL ? "[]" : on, sql);
    sp_free(on);
    sp_buf_text(sql, "::json) e WHERE (e->>0)::oid = d.refclassid AND (e->>1)::oid = d.refobjid) "
                     "AND NOT CASE d.refclassid");
    for (size_t i = 0; i < SP_COUNT(classes); i++) {
        sp_buf_fmt(sql,
                   " WHEN '%s'::regclass THEN EXISTS (SELECT FROM %s m WHERE m.oid = d.refobjid "
                   "AND " UNDO_IS_MADE("m") ")",
                   classes[i], classes[i]);
    }
    sp_buf_text(sql, " ELSE false END)");
}

/* What it takes, within a block: the names of its host are those of now. */
static void put_statement(const undo *u, const json_t *one, sp_buf *sql)
{
    uint32_t host = (uint32_t)json_integer_value(json_object_get(one, "host"));
    const char *definition = undo_text(one, "definition");
    bool is_domain = strcmp(of(one), "domain") == 0;
    if (strcmp(of(one), "default") == 0) {
        sp_buf_fmt(sql,
                   "EXECUTE format('ALTER TABLE %%s ALTER COLUMN %%I SET DEFAULT ', %u::regclass, "
                   "(SELECT attname FROM pg_attribute WHERE attrelid = %u AND attnum = %d)) || ",
                   host, host, (int)json_integer_value(json_object_get(one, "number")));
        undo_literal(u, definition, sql);
        sp_buf_text(sql, ";");
        return;
    }
    sp_buf_fmt(sql, "EXECUTE format('ALTER %s %%s ADD CONSTRAINT ', %u::%s) || ",
               is_domain ? "DOMAIN" : "TABLE", host, is_domain ? "regtype" : "regclass");
    undo_literal(u, undo_text(one, "name"), sql);
    sp_buf_text(sql, " || ' ' || ");
    undo_literal(u, definition, sql);
    sp_buf_text(sql, sp_span_ends(sp_span_cstr(definition), SP_SPAN_LIT(" NOT VALID"))
                         ? ";"
                         : " || ' NOT VALID';");
    if (json_object_get(one, "comment") != NULL) {
        sp_buf_fmt(sql, " EXECUTE format('COMMENT ON CONSTRAINT %%s ON %s%%s IS %%L', ",
                   is_domain ? "DOMAIN " : "");
        undo_literal(u, undo_text(one, "name"), sql);
        sp_buf_fmt(sql, ", %u::%s, ", host, is_domain ? "regtype" : "regclass");
        undo_literal(u, undo_text(one, "comment"), sql);
        sp_buf_text(sql, ");");
    }
}

static void put_telling(const undo *u, const json_t *one, sp_buf *sql)
{
    bool is_default = strcmp(of(one), "default") == 0;
    sp_buf_text(sql, "SELECT json_build_object(CASE WHEN made THEN 'back' ELSE 'told' END, ");
    undo_literal(u, undo_text(one, "said"), sql);
    sp_buf_fmt(sql, " || CASE WHEN made THEN '%s' ELSE '%s' END) FROM (SELECT EXISTS (",
               is_default ? " is what it was"
                          : " holds again for what is written from now on; its owner may validate "
                            "it for what is there",
               ": it is not put back, because what it stands on is not there, or another, or "
               "because the keeper''s role may not make it; let its owner make it");
    put_new(u, one, "", sql);
    sp_buf_text(sql, ") AS made) x;\n");
}

static void put_back(const undo *u, const json_t *one, sp_buf *sql)
{
    auto_buf sp_buf body = sp_buf_make(UNDO_SQL_MAX_BYTES);
    sp_buf_text(&body, "BEGIN ");
    put_statement(u, one, &body);
    sp_buf_text(&body, " IF NOT (");
    put_is_same(u, one, &body);
    sp_buf_text(&body, ") THEN RAISE 'another'; END IF; EXCEPTION WHEN OTHERS THEN NULL; END");
    sp_buf_byte(&body, 0);
    if (!sp_failed(sp_buf_error(&body))) { /* else it is told below */
        sp_buf_text(sql, "DO ");
        undo_literal(u, (const char *)body.ptr, sql);
        sp_buf_text(sql, ";\n");
    }
    put_telling(u, one, sql);
}

static void tell(undo *u, const json_t *one, const char *why)
{
    undo_tell(u, json_sprintf("%s: it is not put back, because %s", undo_text(one, "said"), why));
    u->notes++;
    u->leaves_out = true;
}

static const json_t *relation_of(const undo *u, const json_t *one)
{
    const json_t *relations = json_object_get(u->manifest, "relations");
    const json_t *host = json_object_get(one, "host");
    for (size_t i = 0; i < json_array_size(relations); i++) {
        if (json_equal(json_object_get(json_array_get(relations, i), "oid"), host)) {
            return json_array_get(relations, i);
        }
    }
    return NULL;
}

/* The statement took it, or may have: what is left to others is what stands on things that are all
 * there (undo_left.c). */
static bool fell_with_it(const undo *u, const json_t *fallen, const json_t *one)
{
    return json_is_true(json_array_get(fallen, 1)) || json_is_true(json_array_get(fallen, 2)) ||
           undo_verb_is(u, "OWNED") || alters(u, relation_of(u, one));
}

static void put_one(undo *u, const json_t *fallen, sp_buf *sql)
{
    const json_t *hangs = json_object_get(u->manifest, "hangs");
    size_t at = (size_t)json_integer_value(json_array_get(fallen, 0));
    const json_t *one = json_array_get(hangs, at);
    uint32_t catalog = strcmp(of(one), "default") == 0 ? PG_ATTRDEF : PG_CONSTRAINT;
    if (strcmp(of(one), "attribute") != 0 && undo_is_missing(u, catalog, undo_oid(one))) {
        return; /* it is in the archive */
    }
    bool is_attribute = strcmp(of(one), "attribute") == 0;
    if (!fell_with_it(u, fallen, one) && !(is_attribute && undo_verb_is(u, "ALTER"))) {
        tell(u, one, "all that it stands on is there: others may have dropped it");
    } else if (is_attribute) {
        tell(u, one, "its values are gone from all that has the type; let its owner add it");
    } else if (json_is_true(json_object_get(one, "risky"))) {
        tell(u, one,
             "what is written in it asks a domain's checks, which would run with the keeper's "
             "rights; let its owner make it");
    } else {
        put_back(u, one, sql);
    }
}

static void put_null_telling(const undo *u, const json_t *relation, const json_t *column,
                             sp_buf *sql)
{
    auto_json json_t *said =
        json_sprintf("column %s of %s is NOT NULL again", undo_text(column, "quoted"),
                     undo_text(relation, "quoted"));
    const char *text = json_string_value(said);
    sp_buf_text(sql, "SELECT json_build_object('back', ");
    undo_literal(u, text == NULL ? "" : text, sql);
    sp_buf_fmt(sql, ") FROM pg_attribute WHERE attrelid = %u AND attnum = %d AND attnotnull;\n",
               undo_oid(relation), (int)json_integer_value(json_object_get(column, "number")));
}

static sp_err put_nulls(undo *u, const json_t *relation, sp_buf *sql)
{
    const undo_table t = {.relation = relation, .now = undo_present(u, relation)};
    const json_t *columns = json_object_get(relation, "columns");
    for (size_t i = 0; t.now != NULL && alters(u, relation) && i < json_array_size(columns); i++) {
        const json_t *column = json_array_get(columns, i);
        if (has_null_now(&t, column)) {
            undo_code_check_again(relation, sql);
            undo_put_not_null(u, &t, column, sql);
            put_null_telling(u, relation, column, sql);
            TRY(undo_script(u, sql));
        }
    }
    return sp_ok();
}

sp_err undo_hangs_put(undo *u, sp_buf *sql)
{
    const json_t *relations = json_object_get(u->manifest, "relations");
    for (size_t i = 0; i < json_array_size(relations) && !u->another; i++) {
        TRY(put_nulls(u, json_array_get(relations, i), sql));
    }
    for (size_t i = 0; i < json_array_size(u->fallen); i++) {
        put_one(u, json_array_get(u->fallen, i), sql);
        TRY(undo_script(u, sql));
    }
    return sp_ok();
}

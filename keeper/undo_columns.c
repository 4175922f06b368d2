/* SPDX-License-Identifier: Apache-2.0
 * Columns that fell: made again before rows are loaded, and set right when all values are there.
 * NOT NULL comes where no row stands against it.
 * What falls with one and has no entry of its own in the archive: its checks come back without
 * being asked about the rows that are there; grants, a comment and how it is stored do not.
 * OWNS nothing. PROCESS keeper, threads of the pool. TRUST see undo.c. SPEC keeper/undo_parts.h.
 */
#include "keeper/undo_tables.h"

enum { PG_TYPE = 1247 };

/* What a statement takes a column with: a type, a collation. */
static void list_grounds(const json_t *relation, json_t *out)
{
    const json_t *columns = json_object_get(relation, "columns");
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const json_t *column = json_array_get(columns, i);
        const json_t *type = json_object_get(column, "type_oid");
        json_t *on = json_object_get(column, "on");
        if (json_integer_value(type) >= 16384) {
            json_array_append_new(out, json_pack("[i, O]", PG_TYPE, type));
        }
        if (json_is_array(on)) {
            json_array_extend(out, on);
        }
    }
}

sp_err undo_find_grounds(undo *u)
{
    static const char sql[] =
        "SELECT COALESCE(json_object_agg(s.class::text || ' ' || s.oid::text, true), '{}'::json)"
        "::text FROM (SELECT DISTINCT (j->>0)::oid AS class, (j->>1)::oid AS oid"
        " FROM json_array_elements($1::json) j) s WHERE NOT " UNDO_IS_THERE_S;
    const json_t *relations = json_object_get(u->manifest, "relations");
    auto_json json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(relations); i++) {
        list_grounds(json_array_get(relations, i), list);
    }
    char *text = json_dumps(list, JSON_COMPACT);
    const char *const values[] = {text == NULL ? "[]" : text};
    sp_err err = keep_exec_json(u->job, u->conn, sql, 1, values, &u->grounds_gone);
    sp_free(text);
    return err;
}

static void tell_less(undo *u, const undo_table *t, const json_t *column)
{
    if (json_object_get(column, "less") != NULL) {
        undo_tell(u, json_sprintf("column %s of %s: its %s, which it had, are not put back",
                                  undo_text(column, "quoted"), undo_text(t->relation, "quoted"),
                                  undo_text(column, "less")));
        u->notes++;
        u->leaves_out = true;
    }
}

/* Columns that are gone are made again; who inherits one has it from its parent, if that comes
 * first. False: there are none. */
static bool put_columns(const undo_table *t, sp_buf *out)
{
    const json_t *columns = json_object_get(t->relation, "columns");
    size_t count = 0;
    sp_buf_fmt(out, "ALTER TABLE %s", undo_text(t->now, "quoted"));
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const json_t *column = json_array_get(columns, i);
        const char *collation = undo_text(column, "collation");
        if (undo_is_lost(t, column) && undo_is_plain(column)) {
            sp_buf_fmt(out, "%s ADD COLUMN IF NOT EXISTS %s %s%s%s", count++ == 0 ? "" : ",",
                       undo_text(column, "quoted"), undo_text(column, "type"),
                       collation[0] == '\0' ? "" : " COLLATE ", collation);
        }
    }
    return count > 0;
}

static void tell_columns(undo *u, const undo_table *t)
{
    const json_t *columns = json_object_get(t->relation, "columns");
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const json_t *column = json_array_get(columns, i);
        if (undo_is_lost(t, column) && undo_is_plain(column)) {
            undo_tell(u,
                      json_sprintf("column %s of %s was made again, as the last one",
                                   undo_text(column, "quoted"), undo_text(t->relation, "quoted")));
            tell_less(u, t, column);
        }
    }
}

/* *ret_refusal: NULL, or why the table stays as it is. */
static sp_err make_columns(undo *u, const undo_table *t, json_t **ret_refusal, sp_buf *sql)
{
    auto_buf sp_buf alter = sp_buf_make(UNDO_SQL_MAX_BYTES);
    if (!put_columns(t, &alter)) {
        return sp_ok();
    }
    undo_code_check_again(t->relation, sql);
    TRY(undo_script(u, sql));
    TRY(sp_buf_error(&alter));
    TRY(undo_try(u, sp_buf_borrow(&alter), false, ret_refusal));
    if (*ret_refusal == NULL) {
        tell_columns(u, t);
    }
    return sp_ok();
}

/* Rows that others put in since have no value in it: then it stays away, and that is told. */
void undo_put_not_null(const undo *u, const undo_table *t, const json_t *column, sp_buf *sql)
{
    const char *table = undo_text(t->now, "quoted");
    const char *name = undo_text(column, "quoted");
    auto_buf sp_buf words = sp_buf_make(UNDO_SQL_MAX_BYTES);
    auto_buf sp_buf told = sp_buf_make(UNDO_SQL_MAX_BYTES);
    auto_free char *alter = NULL;
    auto_free char *sentence = NULL;
    sp_buf_fmt(&words, "ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", table, name);
    sp_buf_fmt(&told,
               "column %s of %s: NOT NULL is not put back, because rows that others added since "
               "have no value in it",
               name, undo_text(t->relation, "quoted"));
    if (sp_failed(sp_buf_take_cstr(&words, &alter)) ||
        sp_failed(sp_buf_take_cstr(&told, &sentence))) {
        return;
    }
    sp_buf_text(sql, "SELECT ");
    undo_literal(u, alter, sql);
    sp_buf_fmt(sql,
               " WHERE NOT EXISTS (SELECT FROM %s WHERE %s IS NULL) " UNDO_GEXEC
               "SELECT json_build_object('told', ",
               table, name);
    undo_literal(u, sentence, sql);
    sp_buf_fmt(sql, ") WHERE EXISTS (SELECT FROM %s WHERE %s IS NULL);\n", table, name);
}

/* With a sequence of its own, behind what is there. */
static void put_identity(undo *u, const undo_table *t, const json_t *column, sp_buf *sql)
{
    const char *name = undo_text(column, "quoted");
    const char *most = keep_has_word(undo_text(column, "type"), "smallint") ? "32767"
                       : keep_has_word(undo_text(column, "type"), "integer")
                           ? "2147483647"
                           : "9223372036854775807";
    auto_buf sp_buf head = sp_buf_make(UNDO_SQL_MAX_BYTES);
    auto_free char *text = NULL;
    sp_buf_fmt(&head, "ALTER TABLE %s ALTER COLUMN %s ADD GENERATED %s AS IDENTITY (START WITH ",
               undo_text(t->now, "quoted"), name, undo_text(column, "identity"));
    if (sp_failed(sp_buf_take_cstr(&head, &text))) {
        return;
    }
    sp_buf_text(sql, "SELECT ");
    undo_literal(u, text, sql);
    sp_buf_fmt(
        sql,
        " || GREATEST(1, LEAST(%s, COALESCE(max(%s)::numeric + 1, 1))) || ')' FROM %s HAVING "
        "count(*) = count(%s) ",
        most, name, undo_text(t->now, "quoted"), name);
    sp_buf_text(sql, UNDO_GEXEC);
    undo_tell(u, json_sprintf("column %s of %s counts with a new sequence: options and grants of "
                              "the one that it had are not put back",
                              name, undo_text(t->relation, "quoted")));
}

void undo_finish_columns(undo *u, const undo_table *t, sp_buf *sql)
{
    const json_t *columns = json_object_get(t->relation, "columns");
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const json_t *column = json_array_get(columns, i);
        const char *quoted = undo_text(column, "quoted");
        const char *name = undo_text(t->now, "quoted");
        if (!undo_is_lost(t, column) || !undo_is_plain(column)) {
            continue;
        }
        if (json_is_string(json_object_get(column, "default"))) {
            sp_buf_fmt(sql, "ALTER TABLE %s ALTER COLUMN %s SET DEFAULT %s;\n", name, quoted,
                       undo_text(column, "default"));
        }
        if (json_is_true(json_object_get(column, "notnull"))) {
            undo_put_not_null(u, t, column, sql);
        }
        if (json_object_get(column, "identity") != NULL) {
            put_identity(u, t, column, sql);
        }
    }
}

/* Of a partition, too. */
static void put_logged(undo *u, const undo_table *t, sp_buf *sql)
{
    const json_t *relations = json_object_get(u->manifest, "relations");
    for (size_t i = 0; i < json_array_size(relations) && undo_verb_is(u, "ALTER"); i++) {
        const undo_table one = {.relation = json_array_get(relations, i),
                                .now = undo_present(u, json_array_get(relations, i))};
        if (undo_is_of(one.relation, t) && undo_is_unlogged(&one)) {
            sp_buf_fmt(sql, "ALTER TABLE %s SET LOGGED;\n", undo_text(one.now, "quoted"));
            undo_tell(u, json_sprintf("%s is logged again", undo_text(one.relation, "quoted")));
        }
    }
}

sp_err undo_columns(undo *u, undo_tables *all, sp_buf *sql)
{
    for (size_t i = 0; i < all->count;) {
        const json_t *relation = all->items[i].relation;
        auto_json json_t *refusal = NULL;
        auto_buf sp_buf why = sp_buf_make(UNDO_SQL_MAX_BYTES);
        sp_buf_fmt(sql, "LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE;\n",
                   undo_text(all->items[i].now, "quoted"));
        TRY(make_columns(u, &all->items[i], &refusal, sql));
        if (refusal == NULL) {
            put_logged(u, &all->items[i], sql);
            TRY(undo_script(u, sql));
            i++;
            continue;
        }
        sp_buf_text(&why, "the server refuses a column of its that fell: ");
        undo_try_words(refusal, &why);
        sp_buf_byte(&why, 0);
        TRY(sp_buf_error(&why));
        if (undo_was_asked_for(u, relation)) {
            return undo_refuse(u, undo_text(relation, "quoted"), (const char *)why.ptr, NULL, NULL);
        }
        undo_tables_leave(u, all, relation, (const char *)why.ptr);
    }
    return undo_tables_leave_hanging(u, all);
}

/* SPDX-License-Identifier: Apache-2.0
 * By what two values of a key are the same: the operator of its index, known by number. It is
 * written by its name, between values of its own types, so that no other of that name is a better
 * match; undo_code.c looks that the name still is the number's.
 * OWNS nothing. PROCESS keeper, threads of the pool. TRUST see undo.c. SPEC keeper/undo_parts.h.
 */
#include "keeper/undo_parts.h"

#include <stdio.h>

/* $1 numbers. What is not the server's own. */
static const char OPERATORS[] =
    "SELECT COALESCE(json_object_agg(o.oid::text, json_build_object("
    "'name', o.oid::regoperator::text, 'left', format_type(o.oprleft, NULL),"
    "'right', format_type(o.oprright, NULL), 'word', format('OPERATOR(%s.%s)',"
    " o.oprnamespace::regnamespace, o.oprname))), '{}'::json)::text FROM pg_catalog.pg_operator o"
    " WHERE o.oid = ANY ($1::oid[]) AND o.oprnamespace <> 'pg_catalog'::regnamespace";

sp_err undo_find_equals(undo *u)
{
    auto_buf sp_buf oids = sp_buf_make(UNDO_SQL_MAX_BYTES);
    auto_free char *text = NULL;
    const json_t *relations = json_object_get(u->manifest, "relations");
    sp_buf_text(&oids, "{0");
    for (size_t i = 0; i < json_array_size(relations); i++) {
        const json_t *equals = json_object_get(json_array_get(relations, i), "equals");
        for (size_t k = 0; k < json_array_size(equals); k++) {
            sp_buf_fmt(&oids, ",%u", (uint32_t)json_integer_value(json_array_get(equals, k)));
        }
    }
    sp_buf_text(&oids, "}");
    TRY(sp_buf_take_cstr(&oids, &text));
    const char *const list[] = {text};
    return keep_exec_json(u->job, u->conn, OPERATORS, 1, list, &u->operators);
}

void undo_put_equal(const undo *u, const json_t *relation, size_t i, const char *left,
                    const char *right, sp_buf *sql)
{
    char key[16];
    const json_t *number = json_array_get(json_object_get(relation, "equals"), i);
    const char *column = json_string_value(json_array_get(json_object_get(relation, "key"), i));
    snprintf(key, sizeof(key), "%u", (uint32_t)json_integer_value(number));
    const json_t *is = json_object_get(u->operators, key);
    column = column == NULL ? "\"\"" : column; /* the server refuses it */
    if (is == NULL) {
        sp_buf_fmt(sql, "%s.%s = %s.%s", left, column, right, column);
        return;
    }
    sp_buf_fmt(sql, "%s.%s::%s %s %s.%s::%s", left, column, undo_text(is, "left"),
               undo_text(is, "word"), right, column, undo_text(is, "right"));
}

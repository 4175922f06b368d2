/* SPDX-License-Identifier: Apache-2.0
 * What was kept, as each question of undo_code.c says it: a row for each relation that something is
 * put into or made of, and for each other definition that is made.
 * OWNS nothing. PROCESS keeper, threads of the pool. TRUST see undo_code.c. SPEC
 * keeper/undo_parts.h.
 */
#include "keeper/undo_tables.h"

#include <stdio.h>

enum { PG_CLASS = 1259 };

static json_t *list_of(const json_t *relation, const char *what)
{
    const json_t *columns = json_object_get(relation, "columns");
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(columns); i++) {
        json_array_append(list, json_object_get(json_array_get(columns, i), what));
    }
    return list;
}

static json_t *list_or_none(const json_t *relation, const char *what, bool wanted)
{
    json_t *list = wanted ? json_object_get(relation, what) : NULL;
    return json_is_array(list) ? json_incref(list) : json_array();
}

/* What would run as soon as it is made. */
static json_t *list_calls(const json_t *relation)
{
    const json_t *calls = json_object_get(relation, "calls");
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(calls); i++) {
        json_t *one = json_array_get(calls, i);
        if (!json_is_object(one)) { /* of an older keeper, by its number alone */
            json_array_append_new(list, json_pack("{s:O, s:s}", "oid", one, "said", "something"));
        } else if (!json_is_true(json_object_get(one, "late"))) {
            json_array_append(list, one);
        }
    }
    return list;
}

/* By what two values of its key are the same, where that is not the server's own. */
static json_t *list_equals(const undo *u, const json_t *relation)
{
    const json_t *equals = json_object_get(relation, "equals");
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(equals); i++) {
        char key[16];
        uint32_t oid = (uint32_t)json_integer_value(json_array_get(equals, i));
        snprintf(key, sizeof(key), "%u", oid);
        const json_t *is = json_object_get(u->operators, key);
        if (is != NULL) {
            json_array_append_new(list, json_pack("{s:I, s:s}", "oid", (json_int_t)oid, "name",
                                                  undo_text(is, "name")));
        }
    }
    return list;
}

/* ('{...}'::json) */
static sp_err note_row(const undo *u, json_t *relation, json_t *row)
{
    auto_buf sp_buf text = sp_buf_make(KEEP_MANIFEST_MAX_BYTES);
    char *words = row == NULL ? NULL : json_dumps(row, JSON_COMPACT);
    sp_err err = words == NULL ? sp_fail(SP_ENOMEM) : sp_ok();
    if (words != NULL) {
        sp_buf_text(&text, "(");
        undo_literal(u, words, &text);
        sp_buf_text(&text, "::json)");
    }
    sp_free(words);
    json_decref(row);
    TRY(err);
    TRY(sp_buf_error(&text));
    json_object_set_new(relation, "row", json_stringn((const char *)text.ptr, text.len));
    return sp_ok();
}

/* What a missing partition will be one of. */
static sp_err find_joins(undo *u, const json_t *relation, bool missing, json_t **ret_joins)
{
    const char *parent = undo_text(relation, "parent");
    bool joins = json_is_true(json_object_get(relation, "partition")) &&
                 undo_verb_is(u, "DROP ALTER") && missing;
    if (joins && parent[0] == '\0') {
        return undo_refuse(u, undo_text(relation, "quoted"),
                           "it was kept without the name of the table that it is a partition of",
                           NULL, NULL);
    }
    *ret_joins = joins ? json_string(parent) : json_null();
    return sp_ok();
}

static sp_err prepare(undo *u, json_t *relation)
{
    const json_t *now = undo_present(u, relation);
    const char *kind = undo_text(relation, "kind");
    bool stored = kind[0] == 'r' || kind[0] == 'p';
    bool missing = undo_is_missing(u, PG_CLASS, undo_oid(relation));
    bool makes = undo_verb_is(u, "DROP ALTER");
    bool touched = undo_is_touched(relation);
    bool is_used = touched || missing || json_is_true(json_object_get(relation, "chosen"));
    json_t *joins = NULL;
    if (!is_used) { /* it is there, and nothing of it is lost; or it is left out */
        return sp_ok();
    }
    TRY(find_joins(u, relation, missing, &joins));
    json_t *row = json_pack(
        "{s:s, s:o, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
        undo_text(now == NULL || touched ? relation : now, "quoted"), "was",
        now == NULL ? json_null() : json_integer(undo_oid(relation)), "stored", (int)stored,
        "reaches", (int)json_is_true(json_object_get(relation, "reaches")), "joins", joins, "types",
        list_of(relation, "type"), "columns", list_of(relation, "name"), "early",
        list_or_none(relation, "types", makes), "calls",
        makes && missing ? list_calls(relation) : json_array(), "stands",
        list_or_none(relation, "stands", makes && !u->another && (missing || touched)), "equals",
        list_equals(u, relation), "own", list_or_none(relation, "own", makes && missing));
    return note_row(u, relation, row);
}

/* Tables that rows are put into, with their parts. */
static void note_chosen(undo *u, const undo_tables *chosen)
{
    json_t *relations = json_object_get(u->manifest, "relations");
    auto_json json_t *names = json_object();
    for (size_t i = 0; i < chosen->count; i++) {
        json_t *one = json_array_get(relations, chosen->items[i].number);
        bool reaches = chosen->items[i].changes || chosen->items[i].moves;
        json_object_set_new(one, "chosen", json_true());
        json_object_set_new(one, "reaches", json_boolean(reaches));
        json_object_set_new(names, undo_text(one, "quoted"), json_true());
    }
    for (size_t i = 0; i < json_array_size(relations); i++) {
        json_t *one = json_array_get(relations, i);
        if (json_object_get(names, undo_text(one, "root")) != NULL) {
            json_object_set_new(one, "chosen", json_true());
        }
    }
}

static sp_err prepare_definition(undo *u, json_t *one)
{
    uint32_t catalog = (uint32_t)json_integer_value(json_object_get(one, "class"));
    if (!undo_verb_is(u, "DROP ALTER") || !undo_is_missing(u, catalog, undo_oid(one))) {
        return sp_ok();
    }
    return note_row(u, one,
                    json_pack("{s:s, s:b, s:b, s:[], s:[], s:o, s:o, s:[], s:[], s:o}", "name",
                              undo_text(one, "name"), "defined", 1, "stored", 0, "types", "columns",
                              "early", list_or_none(one, "types", true), "calls", list_calls(one),
                              "stands", "equals", "own", list_or_none(one, "own", true)));
}

sp_err undo_code_begin(undo *u, const undo_tables *chosen)
{
    json_t *relations = json_object_get(u->manifest, "relations");
    json_t *definitions = json_object_get(u->manifest, "definitions");
    note_chosen(u, chosen);
    for (size_t i = 0; i < json_array_size(relations); i++) {
        TRY(prepare(u, json_array_get(relations, i)));
    }
    for (size_t i = 0; i < json_array_size(definitions); i++) {
        TRY(prepare_definition(u, json_array_get(definitions, i)));
    }
    return sp_ok();
}

void undo_code_forget(undo *u)
{
    json_t *relations = json_object_get(u->manifest, "relations");
    json_t *definitions = json_object_get(u->manifest, "definitions");
    for (size_t i = 0; i < json_array_size(relations); i++) {
        json_t *one = json_array_get(relations, i);
        if (undo_present(u, one) == NULL && !undo_is_missing(u, PG_CLASS, undo_oid(one))) {
            json_object_del(one, "row");
        }
    }
    for (size_t i = 0; i < json_array_size(definitions); i++) {
        json_t *one = json_array_get(definitions, i);
        uint32_t catalog = (uint32_t)json_integer_value(json_object_get(one, "class"));
        if (!undo_is_missing(u, catalog, undo_oid(one))) {
            json_object_del(one, "row");
        }
    }
}

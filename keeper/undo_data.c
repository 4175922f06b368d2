/* SPDX-License-Identifier: Apache-2.0
 * Rows of tables that have been made again: beside them first, then in one statement a table. COPY
 * would ask a domain's checks anew for each row, so that one that its owner adds meanwhile would
 * run; a statement's checks are those of its start, which are looked at right before.
 * OWNS what it loads with. PROCESS keeper, threads of the pool. TRUST see undo.c. SPEC
 * keeper/undo_parts.h.
 */
#include "infra/proc/file.h"
#include "keeper/undo_tables.h"

#include <stdio.h>
#include <string.h>

enum { PG_CLASS = 1259, NAME_MAX_BYTES = 512 };
#define CHECK_VIOLATION "23514"

static bool has_columns(const json_t *relation)
{
    const json_t *columns = json_object_get(relation, "columns");
    bool has = false;
    for (size_t i = 0; i < json_array_size(columns); i++) {
        has = has || undo_is_plain(json_array_get(columns, i));
    }
    return has;
}

static bool is_made(const undo *u, const json_t *relation)
{
    return undo_text(relation, "kind")[0] == 'r' && has_columns(relation) &&
           undo_is_missing(u, PG_CLASS, undo_oid(relation));
}

bool undo_is_staged(const undo *u, const keep_toc_entry *entry)
{
    const json_t *relations = json_object_get(u->manifest, "relations");
    for (size_t i = 0; i < json_array_size(relations) && keep_toc_is_data(entry); i++) {
        const json_t *one = json_array_get(relations, i);
        if (undo_oid(one) == entry->oid && is_made(u, one)) {
            return true;
        }
    }
    return false;
}

bool undo_is_unknown_data(const undo *u, const keep_toc_entry *entry)
{
    const json_t *relations = json_object_get(u->manifest, "relations");
    bool known = false;
    for (size_t i = 0; i < json_array_size(relations); i++) {
        known = known || undo_oid(json_array_get(relations, i)) == entry->oid;
    }
    return keep_toc_is_data(entry) && !known;
}

typedef struct {
    undo *u;
    sp_buf out;
    sp_buf target;
    keep_copy copy;
    bool lost; /* rows of a table that is not known */
} filling;

static sp_span target_of(void *self, sp_span name)
{
    filling *f = self;
    const json_t *relations = json_object_get(f->u->manifest, "relations");
    sp_buf_reset(&f->target);
    for (size_t i = 0; i < json_array_size(relations) && f->target.len == 0; i++) {
        const json_t *one = json_array_get(relations, i);
        if (is_made(f->u, one) &&
            keep_toc_same_name(name, sp_span_cstr(undo_text(one, "quoted")))) {
            sp_buf_fmt(&f->target, "pg_temp.sp_undo_%zu (", i);
            undo_list_columns(one, "", &f->target);
            sp_buf_text(&f->target, ")");
        }
    }
    f->lost = f->lost || f->target.len == 0;
    return sp_buf_borrow(&f->target);
}

static sp_err take_data(void *self, sp_span bytes)
{
    filling *f = self;
    TRY(keep_copy_feed(&f->copy, bytes, &f->out));
    TRY(sp_buf_error(&f->target));
    TRY(sp_write_all(f->u->psql.in, sp_buf_borrow(&f->out)));
    sp_buf_reset(&f->out);
    return f->lost ? undo_refuse(f->u, "what was kept",
                                 "it has rows of a table that it does not name", NULL, NULL)
                   : sp_ok();
}

static sp_err load(undo *u, const char *path)
{
    char use[KEEP_PATH_BYTES + 32];
    snprintf(use, sizeof(use), "--use-list=%s", path);
    const char *const argv[] = {"pg_restore", "--file=-", "--data-only", use, NULL};
    filling f = {.u = u, .out = sp_buf_make(1 << 20), .target = sp_buf_make(UNDO_SQL_MAX_BYTES)};
    f.copy = keep_copy_make(target_of, &f);
    sp_err err = undo_restore(u, argv, take_data, &f);
    keep_copy_done(&f.copy);
    sp_buf_done(&f.out);
    sp_buf_done(&f.target);
    return err;
}

/* A part has copies of its parent's triggers as soon as it is one. */
static void put_silence(const undo *u, const json_t *relation, size_t number, sp_buf *sql)
{
    auto_buf sp_buf table = sp_buf_make(NAME_MAX_BYTES);
    sp_buf_text(&table, "to_regclass(");
    undo_literal(u, undo_text(relation, "quoted"), &table);
    sp_buf_text(&table, ")");
    sp_buf_byte(&table, 0);
    undo_triggers_off(number, sp_failed(sp_buf_error(&table)) ? "NULL" : (const char *)table.ptr,
                      false, sql);
}

static sp_err try_inserting(undo *u, const json_t *relation, size_t number, sp_buf *sql,
                            json_t **ret_refusal)
{
    auto_buf sp_buf insert = sp_buf_make(UNDO_SQL_MAX_BYTES);
    undo_code_check_made(relation, sql);
    TRY(undo_script(u, sql));
    sp_buf_fmt(&insert, "INSERT INTO %s (", undo_text(relation, "quoted"));
    undo_list_columns(relation, "", &insert);
    sp_buf_text(&insert, ") OVERRIDING SYSTEM VALUE SELECT ");
    undo_list_columns(relation, "s.", &insert);
    sp_buf_fmt(&insert, " FROM pg_temp.sp_undo_%zu s", number);
    TRY(sp_buf_error(&insert));
    return undo_try(u, sp_buf_borrow(&insert), false, ret_refusal);
}

/* Its own check that a row does not pass; NULL = that is not why. */
static const json_t *check_of(const undo *u, const json_t *relation, const json_t *refusal)
{
    const json_t *hangs = json_object_get(u->manifest, "hangs");
    const json_t *found = NULL;
    for (size_t i = 0; i < json_array_size(hangs) && found == NULL; i++) {
        const json_t *one = json_array_get(hangs, i);
        bool is =
            strcmp(undo_text(one, "of"), "check") == 0 &&
            strcmp(undo_text(refusal, "code"), CHECK_VIOLATION) == 0 &&
            (uint32_t)json_integer_value(json_object_get(one, "host")) == undo_oid(relation) &&
            strcmp(undo_text(one, "name"), undo_text(refusal, "constraint")) == 0;
        found = is ? one : NULL;
    }
    return found;
}

/* add: for what is written from then on; else it is dropped. */
static sp_err switch_check(undo *u, const json_t *relation, const json_t *check, bool add,
                           json_t **ret_refusal)
{
    auto_buf sp_buf alter = sp_buf_make(UNDO_SQL_MAX_BYTES);
    const char *definition = undo_text(check, "definition");
    bool is_later = sp_span_ends(sp_span_cstr(definition), SP_SPAN_LIT(" NOT VALID"));
    sp_buf_fmt(&alter, "ALTER TABLE %s %s CONSTRAINT %s", undo_text(relation, "quoted"),
               add ? "ADD" : "DROP", undo_text(check, "name"));
    if (add) {
        sp_buf_fmt(&alter, " %s%s", definition, is_later ? "" : " NOT VALID");
    }
    TRY(sp_buf_error(&alter));
    return undo_try(u, sp_buf_borrow(&alter), false, ret_refusal);
}

static sp_err add_checks(undo *u, const json_t *relation, const json_t *dropped)
{
    for (size_t i = 0; i < json_array_size(dropped); i++) {
        const json_t *check = json_array_get(dropped, i);
        auto_json json_t *refusal = NULL;
        TRY(switch_check(u, relation, check, true, &refusal));
        undo_tell(u,
                  json_sprintf("%s: rows that come back do not pass it%s", undo_text(check, "said"),
                               refusal == NULL ? ": it holds for what is written from now on"
                                               : ", and it is not put back"));
        u->notes++;
        u->leaves_out = true;
    }
    return sp_ok();
}

/* Rows that a check of theirs does not let in any more come back without it. */
static sp_err put_rows(undo *u, const json_t *relation, size_t number, sp_buf *sql)
{
    auto_json json_t *dropped = json_array();
    auto_json json_t *refusal = NULL;
    put_silence(u, relation, number, sql);
    TRY(try_inserting(u, relation, number, sql, &refusal));
    for (const json_t *check = NULL; (check = check_of(u, relation, refusal)) != NULL;) {
        auto_json json_t *stays = NULL;
        size_t before = json_array_size(dropped);
        TRY(switch_check(u, relation, check, false, &stays));
        if (stays != NULL || json_array_append_new(dropped, json_deep_copy(check)) != 0 ||
            before == json_array_size(json_object_get(u->manifest, "hangs"))) {
            break;
        }
        json_decref(refusal);
        refusal = NULL;
        TRY(try_inserting(u, relation, number, sql, &refusal));
    }
    TRY(add_checks(u, relation, dropped));
    return refusal == NULL ? sp_ok() : undo_tell_refused_rows(u, relation, refusal);
}

sp_err undo_data(undo *u, sp_buf *sql)
{
    char path[KEEP_PATH_BYTES + 16];
    size_t count = 0;
    const json_t *relations = json_object_get(u->manifest, "relations");
    TRY(undo_list(u, undo_is_staged, "data", path, &count));
    if (count == 0) {
        return sp_ok();
    }
    for (size_t i = 0; i < json_array_size(relations); i++) {
        const json_t *one = json_array_get(relations, i);
        if (is_made(u, one)) {
            undo_put_staging(u, one, i, sql);
            TRY(undo_script(u, sql));
        }
    }
    TRY(load(u, path));
    for (size_t i = 0; i < json_array_size(relations); i++) {
        const json_t *one = json_array_get(relations, i);
        if (!is_made(u, one)) {
            continue;
        }
        TRY(put_rows(u, one, i, sql));
    }
    sp_buf_text(sql, "SET CONSTRAINTS ALL IMMEDIATE;\n"); /* else the server switches nothing */
    for (size_t i = 0; i < json_array_size(relations); i++) {
        if (is_made(u, json_array_get(relations, i))) {
            undo_triggers_on(i, sql);
            TRY(undo_script(u, sql));
        }
    }
    return undo_script(u, sql);
}

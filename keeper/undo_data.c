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

enum { PG_CLASS = 1259, NAME_MAX_BYTES = 512 };

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
static void put_rows(const undo *u, const json_t *relation, size_t number, sp_buf *sql)
{
    const char *name = undo_text(relation, "quoted");
    auto_buf sp_buf table = sp_buf_make(NAME_MAX_BYTES);
    sp_buf_text(&table, "to_regclass(");
    undo_literal(u, name, &table);
    sp_buf_text(&table, ")");
    sp_buf_byte(&table, 0);
    undo_triggers_off(number, sp_failed(sp_buf_error(&table)) ? "NULL" : (const char *)table.ptr,
                      false, sql);
    undo_code_check_made(relation, sql);
    sp_buf_fmt(sql, "INSERT INTO %s (", name);
    undo_list_columns(relation, "", sql);
    sp_buf_text(sql, ") OVERRIDING SYSTEM VALUE SELECT ");
    undo_list_columns(relation, "s.", sql);
    sp_buf_fmt(sql, " FROM pg_temp.sp_undo_%zu s;\n", number);
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
        put_rows(u, one, i, sql);
        TRY(undo_script(u, sql));
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

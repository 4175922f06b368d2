/* SPDX-License-Identifier: Apache-2.0
 * Rows of the archive beside their table: a temporary one for each, with the columns that it had,
 * and what pg_restore writes into it.
 * OWNS what it loads with. PROCESS keeper, threads of the pool. TRUST see undo.c. SPEC
 * keeper/undo_parts.h.
 */
#include "infra/proc/file.h"
#include "keeper/undo_tables.h"

#include <stdio.h>
#include <string.h>

enum { PG_CLASS = 1259 };

/* ---- the tables ---- */

void undo_list_columns(const json_t *relation, const char *before, sp_buf *sql)
{
    const json_t *columns = json_object_get(relation, "columns");
    bool first = true;
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const json_t *column = json_array_get(columns, i);
        if (undo_is_plain(column)) {
            sp_buf_fmt(sql, "%s%s%s", first ? "" : ", ", before, undo_text(column, "quoted"));
            first = false;
        }
    }
}

/* With the types that the columns had; for a domain what it is made of, so that nobody's check runs
 * while rows are loaded. */
void undo_put_staging(const undo *u, const json_t *relation, size_t number, sp_buf *sql)
{
    const json_t *columns = json_object_get(relation, "columns");
    bool first = true;
    sp_buf_fmt(sql, "SELECT 'CREATE TEMP TABLE sp_undo_%zu (' || string_agg(name || ' ' || ",
               number);
    sp_buf_text(sql, "COALESCE((WITH RECURSIVE d AS (SELECT t.* FROM pg_type t WHERE t.oid = "
                     "to_regtype(type) UNION ALL SELECT t.* FROM d JOIN pg_type t ON t.oid = "
                     "d.typbasetype) SELECT format_type(d.typbasetype, d.typtypmod) FROM d JOIN "
                     "pg_type b ON b.oid = d.typbasetype AND b.typtype <> 'd'), type), ', ' ORDER "
                     "BY n) || ') ON COMMIT DROP' FROM (VALUES ");
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const json_t *column = json_array_get(columns, i);
        if (undo_is_plain(column)) {
            sp_buf_fmt(sql, "%s(%zu, ", first ? "" : ", ", i);
            undo_literal(u, undo_text(column, "quoted"), sql);
            sp_buf_text(sql, ", ");
            undo_literal(u, undo_text(column, "type"), sql);
            sp_buf_byte(sql, ')');
            first = false;
        }
    }
    sp_buf_text(sql, ") c(n, name, type) " UNDO_GEXEC);
}

/* ---- their rows ---- */

typedef struct {
    undo *u;
    const undo_tables *all;
    sp_buf out;
    sp_buf target;
    keep_copy copy;
    bool lost; /* rows of a table that is not known */
} staging;

/* The table whose rows these are. */
static const undo_table *staged_of(const staging *s, const json_t *relation)
{
    const char *root = undo_text(relation, undo_is_in_root(s->u, relation) ? "root" : "quoted");
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
        found = keep_toc_same_name(name, sp_span_cstr(undo_text(one, "quoted"))) ? one : found;
    }
    s->lost = s->lost || found == NULL;
    const undo_table *t = found == NULL ? NULL : staged_of(s, found);
    if (t == NULL) {
        return SP_SPAN_EMPTY;
    }
    sp_buf_reset(&s->target);
    sp_buf_fmt(&s->target, "pg_temp.sp_undo_%zu (", t->number);
    undo_list_columns(found, "", &s->target);
    sp_buf_text(&s->target, ")");
    return sp_buf_borrow(&s->target);
}

static sp_err take_data(void *self, sp_span bytes)
{
    staging *s = self;
    TRY(keep_copy_feed(&s->copy, bytes, &s->out));
    TRY(sp_write_all(s->u->psql.in, sp_buf_borrow(&s->out)));
    sp_buf_reset(&s->out);
    return s->lost ? undo_refuse(s->u, "what was kept",
                                 "it has rows of a table that it does not name", NULL, NULL)
                   : sp_ok();
}

static bool is_kept_data(const undo *u, const keep_toc_entry *entry)
{
    const json_t *relations = json_object_get(u->manifest, "relations");
    bool again = false;
    bool is_of_root = false; /* a partition that was dropped since: its rows go into the whole */
    for (size_t i = 0; i < json_array_size(relations); i++) {
        const json_t *one = json_array_get(relations, i);
        is_of_root = is_of_root || (undo_oid(one) == entry->oid && undo_is_in_root(u, one) &&
                                    !undo_verb_is(u, "DROP ALTER"));
        const json_t *was = json_object_get(json_array_get(relations, i), "was");
        again = again || (uint32_t)json_integer_value(was) == entry->oid;
    }
    return keep_toc_is_data(entry) &&
           (again || is_of_root ||
            (!undo_is_missing(u, PG_CLASS, entry->oid) && !undo_is_unknown_data(u, entry)));
}

sp_err undo_load_rows(undo *u, const undo_tables *all, sp_buf *sql)
{
    char path[KEEP_PATH_BYTES + 16];
    char use[KEEP_PATH_BYTES + 32];
    size_t count = 0;
    for (size_t i = 0; i < all->count; i++) {
        undo_put_staging(u, all->items[i].relation, all->items[i].number, sql);
        TRY(undo_script(u, sql));
    }
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

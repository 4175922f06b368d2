/* SPDX-License-Identifier: Apache-2.0
 * Another try at what was undone in part. What came back then has new numbers: once it is
 * committed, the database is listed as an archive is, and the number that each entry has by then is
 * written down beside the keep, by the entry's id. The next try reads the archive and the manifest
 * with these. What has come back then is there, whoever has its old number. OWNS nothing. PROCESS
 * keeper, threads of the pool. TRUST names in the lists are the database's: they are compared as
 * they stand, and what two entries are called alike is not taken for either. SPEC
 * keeper/undo_parts.h.
 */
#include "infra/proc/file.h"
#include "keeper/undo_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PG_TYPE = 1247,
    PG_CLASS = 1259,
    PG_DATABASE = 1262,
    PG_CONSTRAINT = 2606,
    PG_NAMESPACE = 2615,
    PG_OPERATOR = 2617,
    NOTED_MAX_BYTES = 32 << 20
};

/* ---- the note beside the keep ---- */

static void name_of(const undo *u, char path[KEEP_PATH_BYTES + 32])
{
    snprintf(path, KEEP_PATH_BYTES + 32, "%s/%016llx.again", u->job->store_dir,
             (unsigned long long)u->job->job.keep);
}

static sp_err read_note(undo *u)
{
    char path[KEEP_PATH_BYTES + 32];
    auto_buf sp_buf text = sp_buf_make(NOTED_MAX_BYTES);
    json_error_t error;
    name_of(u, path);
    sp_err err = sp_file_read(path, &text);
    if (err.code == SP_ENOTFOUND) {
        return sp_ok();
    }
    TRY(err);
    u->again = json_loadb((const char *)text.ptr, text.len, 0, &error);
    return u->again == NULL ? sp_fail(SP_ECORRUPT) : sp_ok();
}

/* ---- numbers of now ---- */

typedef struct {
    uint32_t catalog;
    uint32_t was;
    uint32_t is;
} number;

typedef struct {
    number *items; /* by catalog and was */
    size_t count;
    uint32_t nobodys; /* the lowest that stands for what is not there */
} numbers;

static int compare(const void *a, const void *b)
{
    const number *x = a;
    const number *y = b;
    int by_catalog = (x->catalog > y->catalog) - (x->catalog < y->catalog);
    return by_catalog != 0 ? by_catalog : (x->was > y->was) - (x->was < y->was);
}

static const number *find(const numbers *all, uint32_t catalog, uint32_t was)
{
    const number wanted = {catalog, was, 0};
    return bsearch(&wanted, all->items, all->count, sizeof(wanted), compare);
}

static uint32_t noted_of(const undo *u, uint32_t id)
{
    char key[16];
    snprintf(key, sizeof(key), "%u", id);
    return (uint32_t)json_integer_value(json_object_get(u->again, key));
}

/* In a database that undo made, old numbers mean nothing: what is not noted is missing. */
static sp_err list_numbers(const undo *u, numbers *all)
{
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    size_t count = 0;
    bool another = false;
    for (; keep_toc_next(&rest, &entry); count++) {
        uint32_t is = entry.catalog == PG_DATABASE ? noted_of(u, entry.id) : 0;
        another = another || (is != 0 && is != entry.oid);
    }
    TRY(sp_alloc(count + 1, sizeof(*all->items), &all->items));
    all->nobodys = UINT32_MAX;
    rest = sp_buf_borrow(&u->toc);
    while (all->count < count && keep_toc_next(&rest, &entry)) {
        uint32_t is = entry.catalog == 0 ? 0 : noted_of(u, entry.id);
        if (is == 0 && another && entry.catalog != 0 && entry.catalog != UNDO_LARGE_OBJECTS) {
            is = --all->nobodys;
        }
        if (is != 0) {
            all->items[all->count++] = (number){entry.catalog, entry.oid, is};
        }
    }
    qsort(all->items, all->count, sizeof(*all->items), compare);
    return sp_ok();
}

static bool renumber(const numbers *all, uint32_t catalog, json_t *object, const char *key)
{
    uint32_t was = (uint32_t)json_integer_value(json_object_get(object, key));
    const number *one = find(all, catalog, was);
    if (one != NULL) {
        json_object_set_new(object, key, json_integer(one->is));
    }
    return one != NULL && one->is < all->nobodys;
}

/* [[class, number, ..], ..] */
static void renumber_pairs(const numbers *all, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *pair = json_array_get(list, i);
        const number *one = find(all, (uint32_t)json_integer_value(json_array_get(pair, 0)),
                                 (uint32_t)json_integer_value(json_array_get(pair, 1)));
        if (one != NULL) {
            json_array_set_new(pair, 1, json_integer(one->is));
        }
    }
}

/* {number: ..}, of that catalog. */
static void renumber_keys(const numbers *all, uint32_t catalog, json_t *manifest, const char *what)
{
    json_t *old = json_object_get(manifest, what);
    json_t *renumbered = json_object();
    for (void *at = json_object_iter(old); at != NULL; at = json_object_iter_next(old, at)) {
        uint64_t was = 0;
        char key[16];
        const char *name = json_object_iter_key(at);
        const number *one = sp_failed(sp_span_to_u64(sp_span_cstr(name), UINT32_MAX, &was))
                                ? NULL
                                : find(all, catalog, (uint32_t)was);
        snprintf(key, sizeof(key), "%u", one == NULL ? 0 : one->is);
        json_object_set(renumbered, one == NULL ? name : key, json_object_iter_value(at));
    }
    json_object_set_new(manifest, what, renumbered);
}

/* What it stands on, and calls. */
static void renumber_code(const numbers *all, const json_t *one)
{
    const json_t *calls = json_object_get(one, "calls");
    renumber_pairs(all, json_object_get(one, "stands"));
    for (size_t i = 0; i < json_array_size(calls); i++) {
        json_t *call = json_array_get(calls, i);
        renumber(all, (uint32_t)json_integer_value(json_object_get(call, "class")), call, "oid");
    }
}

static void renumber_relation(const numbers *all, json_t *relation)
{
    const json_t *columns = json_object_get(relation, "columns");
    json_t *equals = json_object_get(relation, "equals");
    if (renumber(all, PG_CLASS, relation, "oid")) { /* as the list has it, by now */
        json_object_set_new(relation, "was", json_integer(undo_oid(relation)));
    }
    renumber_code(all, relation);
    for (size_t i = 0; i < json_array_size(columns); i++) {
        json_t *column = json_array_get(columns, i);
        renumber(all, PG_TYPE, column, "type_oid");
        renumber_pairs(all, json_object_get(column, "on"));
    }
    for (size_t i = 0; i < json_array_size(equals); i++) {
        const number *one =
            find(all, PG_OPERATOR, (uint32_t)json_integer_value(json_array_get(equals, i)));
        if (one != NULL) {
            json_array_set_new(equals, i, json_integer(one->is));
        }
    }
}

/* What hung on something that came back came with it, and has other numbers. */
static void renumber_hangs(const numbers *all, json_t *hangs)
{
    for (size_t i = json_array_size(hangs); i > 0; i--) {
        json_t *one = json_array_get(hangs, i - 1);
        bool is_domain = strcmp(undo_text(one, "of"), "domain") == 0;
        renumber_pairs(all, json_object_get(one, "on"));
        if (renumber(all, is_domain ? PG_TYPE : PG_CLASS, one, "host")) {
            json_array_remove(hangs, i - 1);
        }
    }
}

static void renumber_manifest(const undo *u, const numbers *all)
{
    const json_t *relations = json_object_get(u->manifest, "relations");
    const json_t *keys = json_object_get(u->manifest, "foreign");
    const json_t *guarded = json_object_get(u->manifest, "guarded");
    const json_t *definitions = json_object_get(u->manifest, "definitions");
    const json_t *is_public = json_object_get(u->again, "public");
    for (size_t i = 0; i < json_array_size(relations); i++) {
        renumber_relation(all, json_array_get(relations, i));
    }
    for (size_t i = 0; i < json_array_size(keys); i++) {
        json_t *key = json_array_get(keys, i);
        renumber(all, PG_CONSTRAINT, key, "oid");
        renumber(all, PG_CLASS, key, "table");
        renumber(all, PG_CLASS, key, "references");
    }
    for (size_t i = 0; i < json_array_size(guarded); i++) {
        json_t *one = json_array_get(guarded, i);
        renumber(all, (uint32_t)json_integer_value(json_object_get(one, "class")), one, "oid");
    }
    for (size_t i = 0; i < json_array_size(definitions); i++) {
        json_t *one = json_array_get(definitions, i);
        renumber(all, (uint32_t)json_integer_value(json_object_get(one, "class")), one, "oid");
        renumber_code(all, one);
    }
    renumber_hangs(all, json_object_get(u->manifest, "hangs"));
    renumber_pairs(all, json_object_get(u->manifest, "schemas"));
    renumber_keys(all, PG_CLASS, u->manifest, "counters");
    renumber_keys(all, PG_CONSTRAINT, u->manifest, "unchecked");
    renumber(all, PG_NAMESPACE, json_object_get(u->manifest, "public"), "oid");
    if (is_public != NULL && json_is_object(json_object_get(u->manifest, "public"))) {
        json_object_set_new(json_object_get(u->manifest, "public"), "oid",
                            json_integer(json_integer_value(is_public)));
    }
}

static sp_err renumber_toc(undo *u, const numbers *all)
{
    sp_buf out = sp_buf_make(KEEP_LISTING_MAX_BYTES);
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    while (keep_toc_next(&rest, &entry)) { /* rows have the number of their table */
        const number *one =
            find(all, keep_toc_is_data(&entry) ? PG_CLASS : entry.catalog, entry.oid);
        sp_buf_fmt(&out, "%u; %u %u ", entry.id, entry.catalog, one == NULL ? entry.oid : one->is);
        sp_buf_span(&out, entry.rest);
        sp_buf_text(&out, entry.depends.len > 0 ? "\n;\tdepends on:" : "");
        sp_buf_span(&out, entry.depends);
        sp_buf_byte(&out, '\n');
    }
    sp_err err = sp_buf_error(&out);
    if (sp_failed(err)) {
        sp_buf_done(&out);
        return err;
    }
    sp_buf_done(&u->toc);
    u->toc = out;
    return sp_ok();
}

sp_err undo_take_again(undo *u)
{
    numbers all = {NULL, 0, UINT32_MAX};
    TRY(read_note(u));
    if (u->again == NULL || !undo_verb_is(u, "DROP ALTER")) {
        return sp_ok();
    }
    sp_err err = list_numbers(u, &all);
    if (!sp_failed(err)) {
        renumber_manifest(u, &all);
        err = renumber_toc(u, &all);
    }
    sp_free(all.items);
    return err;
}

/* ---- noting them ---- */

/* What the database has now, as it stands in an archive. */
static sp_err list_now(undo *u, sp_buf *out)
{
    auto_free char *info = NULL;
    keep_child lister;
    keep_child dump;
    uint8_t chunk[4096];
    TRY(keep_conninfo(u->job, NULL, &info));
    const char *const argv[] = {"pg_dump",
                                "--format=custom",
                                "--compress=0",
                                "--schema-only",
                                "--lock-wait-timeout=30s",
                                "--no-password",
                                "--dbname",
                                info,
                                NULL};
    TRY(keep_listing_start(u->job, &lister));
    sp_err err = keep_child_start(u->job, argv, false, true, &dump);
    if (!sp_failed(err)) {
        ssize_t got = 0;
        while ((got = read(dump.out, chunk, sizeof(chunk))) > 0 || (got < 0 && errno == EINTR)) {
            keep_work_moved(&u->job->work);
            keep_listing_feed(&lister, sp_span_of(chunk, got > 0 ? (size_t)got : 0));
        }
        err = keep_child_end(u->job, &dump);
        keep_child_done(&dump);
    }
    sp_err listed = keep_child_end(u->job, &lister);
    if (!sp_failed(err) && !sp_failed(listed)) {
        err = keep_child_told(&lister, out);
    }
    keep_child_done(&lister);
    return sp_failed(err) ? err : listed;
}

typedef struct {
    keep_toc_entry *items; /* by catalog and words */
    size_t count;
} listing;

static int compare_entries(const void *a, const void *b)
{
    const keep_toc_entry *x = a;
    const keep_toc_entry *y = b;
    int by_catalog = (x->catalog > y->catalog) - (x->catalog < y->catalog);
    return by_catalog != 0 ? by_catalog : sp_span_compare(x->rest, y->rest);
}

static sp_err read_listing(sp_span text, listing *all)
{
    keep_toc_entry entry;
    size_t count = 0;
    for (sp_span rest = text; keep_toc_next(&rest, &entry);) {
        count++;
    }
    TRY(sp_alloc(count + 1, sizeof(*all->items), &all->items));
    for (sp_span rest = text; all->count < count && keep_toc_next(&rest, &entry);) {
        all->items[all->count++] = entry;
    }
    qsort(all->items, all->count, sizeof(*all->items), compare_entries);
    return sp_ok();
}

/* 0 = it is not there, or two are called so. */
static uint32_t number_now(const listing *all, const keep_toc_entry *entry)
{
    const keep_toc_entry *at =
        bsearch(entry, all->items, all->count, sizeof(*entry), compare_entries);
    if (at == NULL) {
        return 0;
    }
    bool twice = (at > all->items && compare_entries(at - 1, at) == 0) ||
                 (at + 1 < all->items + all->count && compare_entries(at, at + 1) == 0);
    return twice ? 0 : at->oid;
}

/* Schema public may have no entry. */
static sp_err note_public(undo *u, json_t *note)
{
    auto_result PGresult *result = NULL;
    uint64_t oid = 0;
    if (!u->public_missing) {
        return sp_ok();
    }
    TRY(keep_exec(u->job, u->conn,
                  "SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'public'", 0, NULL,
                  &result));
    if (!sp_failed(sp_span_to_u64(sp_span_cstr(keep_value(result, 0, 0)), UINT32_MAX, &oid))) {
        json_object_set_new(note, "public", json_integer((json_int_t)oid));
    }
    return sp_ok();
}

static sp_err write_note(const undo *u, json_t *note)
{
    char path[KEEP_PATH_BYTES + 32];
    char *text = json_dumps(note, JSON_COMPACT);
    name_of(u, path);
    sp_err err =
        text == NULL ? sp_fail(SP_ENOMEM) : sp_file_replace(path, 0600, sp_span_cstr(text));
    sp_free(text);
    return err;
}

sp_err undo_note_again(undo *u)
{
    auto_buf sp_buf text = sp_buf_make(KEEP_LISTING_MAX_BYTES);
    auto_json json_t *note = u->again == NULL ? json_object() : json_incref(u->again);
    listing all = {NULL, 0};
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    TRY(list_now(u, &text));
    TRY(read_listing(sp_buf_borrow(&text), &all));
    while (keep_toc_next(&rest, &entry)) {
        bool is_database = u->another && entry.catalog == PG_DATABASE;
        uint32_t is = 0;
        char key[16];
        if (entry.catalog != 0 && (is_database || undo_is_wanted(u, &entry))) {
            is = number_now(&all, &entry);
        }
        snprintf(key, sizeof(key), "%u", entry.id);
        if (is != 0) {
            json_object_set_new(note, key, json_integer(is));
        }
    }
    sp_free(all.items);
    TRY(note_public(u, note));
    return write_note(u, note);
}

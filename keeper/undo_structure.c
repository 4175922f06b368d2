/* SPDX-License-Identifier: Apache-2.0
 * Undo of DROP and ALTER: objects of the archive whose row has left its system catalog are made
 * again, with data, constraints and grants; foreign keys of other tables that fell are added.
 * OWNS nothing. PROCESS keeper, threads of the pool. TRUST see undo.c. SPEC keeper/undo_parts.h.
 */
#include "infra/proc/file.h"
#include "keeper/pieces.h"
#include "keeper/undo_tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PG_CLASS = 1259, RESTORED_MAX = 200 };

/* With its grants: the server gives nothing in it to a role that may not make anything there. */
static bool is_schema(const keep_toc_entry *entry)
{
    return sp_span_starts(entry->rest, SP_SPAN_LIT("SCHEMA ")) ||
           sp_span_starts(entry->rest, SP_SPAN_LIT("ACL - SCHEMA "));
}

/* ---- what a column may need before it is made again ---- */

/* Made before columns are: schemas, and what list_first() found. */
static bool is_first(const undo *u, const keep_toc_entry *entry)
{
    return is_schema(entry) ||
           (u->first_count > 0 && bsearch(&entry->id, u->first, u->first_count, sizeof(*u->first),
                                          undo_compare_ids) != NULL);
}

/* By number: tables whose rows stand in columns that fell. */
static json_t *list_row_types(const undo *u)
{
    const json_t *relations = json_object_get(u->manifest, "relations");
    json_t *found = json_object();
    for (size_t i = 0; i < json_array_size(relations); i++) {
        const json_t *one = json_array_get(relations, i);
        const json_t *columns = json_object_get(one, "columns");
        const undo_table t = {.relation = one, .now = undo_present(u, one)};
        for (size_t k = 0; t.now != NULL && k < json_array_size(columns); k++) {
            const json_t *column = json_array_get(columns, k);
            char key[24];
            snprintf(key, sizeof(key), "%lld",
                     (long long)json_integer_value(json_object_get(column, "row_of")));
            if (undo_is_lost(&t, column)) {
                json_object_set_new(found, key, json_true());
            }
        }
    }
    return found;
}

static bool is_needed(const keep_toc_entry *entry, const json_t *row_types)
{
    static const char *const kinds[] = {"EXTENSION ", "TYPE ", "SHELL TYPE ", "DOMAIN ",
                                        "COLLATION "};
    char key[24];
    bool is = false;
    for (size_t i = 0; i < SP_COUNT(kinds); i++) {
        is = is || sp_span_starts(entry->rest, sp_span_cstr(kinds[i]));
    }
    snprintf(key, sizeof(key), "%u", entry->oid);
    return is || (entry->catalog == PG_CLASS && json_object_get(row_types, key) != NULL);
}

/* What of u->first is marked after one more look; false: there is no more. */
static bool mark_first(const undo *u, const json_t *row_types, bool *marks)
{
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    bool more = false;
    while (keep_toc_next(&rest, &entry)) {
        sp_span depends = entry.depends;
        uint32_t id = 0;
        const uint32_t *at =
            bsearch(&entry.id, u->first, u->first_count, sizeof(*u->first), undo_compare_ids);
        if (at == NULL || (!marks[at - u->first] && !is_needed(&entry, row_types))) {
            continue;
        }
        more = more || !marks[at - u->first];
        marks[at - u->first] = true;
        while (keep_toc_next_id(&depends, &id)) {
            const uint32_t *on =
                bsearch(&id, u->first, u->first_count, sizeof(*u->first), undo_compare_ids);
            more = more || (on != NULL && !marks[on - u->first]);
            if (on != NULL) {
                marks[on - u->first] = true;
            }
        }
    }
    return more;
}

/* Types, tables whose rows are values of columns, and what these stand on. */
static sp_err list_first(undo *u)
{
    auto_free bool *marks = NULL;
    auto_json json_t *row_types = list_row_types(u);
    size_t count = 0;
    TRY(sp_alloc(u->missing_ids_count + 1, sizeof(*marks), &marks));
    TRY(sp_alloc(u->missing_ids_count + 1, sizeof(*u->first), &u->first));
    u->first_count = u->missing_ids_count;
    sp_copy(u->first, u->missing_ids, u->first_count * sizeof(*u->first));
    while (mark_first(u, row_types, marks)) {
    }
    for (size_t i = 0; i < u->first_count; i++) {
        if (marks[i]) {
            u->first[count++] = u->first[i];
        }
    }
    u->first_count = count;
    return sp_ok();
}

static bool wanted_schemas(const undo *u, const keep_toc_entry *entry)
{
    return is_schema(entry) && undo_is_wanted(u, entry);
}

static bool wanted_first(const undo *u, const keep_toc_entry *entry)
{
    return is_first(u, entry) && !is_schema(entry) && undo_is_wanted(u, entry);
}

/* A part has copies of those of its whole, with a state of their own, once it has joined that. */
static bool is_about_trigger(const keep_toc_entry *entry)
{
    return sp_span_starts(entry->rest, SP_SPAN_LIT("TRIGGER ")) ||
           (sp_span_starts(entry->rest, SP_SPAN_LIT("COMMENT ")) &&
            sp_span_find(entry->rest, SP_SPAN_LIT(" TRIGGER ")) < entry->rest.len);
}

/* What materialized views hold is computed, of all rows that there will be. */
static bool is_computed(const keep_toc_entry *entry)
{
    return sp_span_starts(entry->rest, SP_SPAN_LIT("MATERIALIZED VIEW DATA "));
}

/* Besides rows that undo_data.c loads. */
static bool wanted_last(const undo *u, const keep_toc_entry *entry)
{
    return !is_first(u, entry) && undo_is_wanted(u, entry) && !undo_is_staged(u, entry) &&
           !undo_is_unknown_data(u, entry) && !undo_is_key(entry) && !undo_is_index_join(entry) &&
           !is_about_trigger(entry) && !is_computed(entry);
}

static bool wanted_computed(const undo *u, const keep_toc_entry *entry)
{
    return undo_is_wanted(u, entry) && is_computed(entry);
}

static bool wanted_triggers(const undo *u, const keep_toc_entry *entry)
{
    return undo_is_wanted(u, entry) && is_about_trigger(entry) && !undo_is_key(entry);
}

static bool wanted_keys(const undo *u, const keep_toc_entry *entry)
{
    return undo_is_wanted(u, entry) && undo_is_key(entry);
}

static bool wanted_then(const undo *u, const keep_toc_entry *entry)
{
    return !is_first(u, entry) && undo_is_wanted(u, entry) && !undo_is_join(entry);
}

/* For this the server computes with the parent's keys and with checks. */
static bool wanted_joins(const undo *u, const keep_toc_entry *entry)
{
    return undo_is_wanted(u, entry) && undo_is_join(entry) && !undo_joins_what_stays(u, entry);
}

static bool wanted_index_joins(const undo *u, const keep_toc_entry *entry)
{
    return undo_is_wanted(u, entry) && undo_is_index_join(entry) &&
           !undo_joins_what_stays(u, entry);
}

static bool wanted_late_joins(const undo *u, const keep_toc_entry *entry)
{
    return undo_is_wanted(u, entry) && undo_is_join(entry) && undo_joins_what_stays(u, entry);
}

static bool wanted_late_index_joins(const undo *u, const keep_toc_entry *entry)
{
    return undo_is_wanted(u, entry) && undo_is_index_join(entry) && undo_joins_what_stays(u, entry);
}

static void note_restored(undo *u, bool first)
{
    static const char extension[] = "EXTENSION - ";
    size_t more = 0;
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    while (keep_toc_next(&rest, &entry)) {
        if (first && !u->another && entry.catalog != 0 && undo_is_wanted(u, &entry) &&
            sp_span_starts(entry.rest, sp_span_cstr(extension))) {
            sp_span name = sp_span_slice(entry.rest, sizeof(extension) - 1, entry.rest.len);
            undo_tell(u, json_sprintf("extension %.*swas made again: grants on what it makes "
                                      "itself are not put back",
                                      (int)name.len, (const char *)name.ptr));
        }
        bool is_object = entry.catalog != 0 || undo_is_mapping(&entry);
        if (!is_object || is_first(u, &entry) != first || !undo_is_wanted(u, &entry)) {
            continue;
        }
        if (json_array_size(u->restored) < RESTORED_MAX) {
            json_array_append_new(u->restored,
                                  json_stringn((const char *)entry.rest.ptr, entry.rest.len));
        } else {
            more++;
        }
    }
    if (more > 0) {
        undo_tell(u, json_sprintf("%zu more objects were made again than are listed", more));
    }
}

/* ---- entry by entry ---- */

typedef struct {
    undo *u;
    keep_pieces pieces;
    sp_span toc; /* behind the entry that was made last */
    sp_buf sql;
} writing;

/* They come as the list has them. */
static bool find_entry(writing *w, uint32_t id, keep_toc_entry *ret_entry)
{
    for (int round = 0; round < 2; round++) {
        while (keep_toc_next(&w->toc, ret_entry)) {
            if (ret_entry->id == id) {
                return true;
            }
        }
        w->toc = sp_buf_borrow(&w->u->toc);
    }
    return false;
}

/* The server computes what they hold as their owner. */
static bool runs_others(const keep_toc_entry *entry)
{
    return sp_span_starts(entry->rest, SP_SPAN_LIT("INDEX ")) || is_computed(entry);
}

static size_t last_of(sp_span text, uint8_t byte)
{
    size_t at = text.len;
    while (at > 0 && text.ptr[at - 1] != byte) {
        at--;
    }
    return at > 0 ? at - 1 : text.len;
}

/* An undo in part made it: a schema, and what hangs on tables that are known by name. */
static bool is_there_already(const undo *u, const keep_toc_entry *entry, const json_t *refusal)
{
    static const char *const kinds[] = {"SCHEMA ",  "CONSTRAINT ", "FK CONSTRAINT ", "INDEX ",
                                        "TRIGGER ", "POLICY ",     "RULE "};
    bool is = false;
    for (size_t i = 0; i < SP_COUNT(kinds); i++) {
        is = is || sp_span_starts(entry->rest, sp_span_cstr(kinds[i]));
    }
    return is && u->job->job.partly != 0 &&
           keep_has_word("42P06 42P07 42710 42P16", undo_text(refusal, "code"));
}

static sp_err take_piece(void *self, uint32_t id, sp_span text)
{
    writing *w = self;
    undo *u = w->u;
    keep_toc_entry entry;
    auto_json json_t *refusal = NULL;
    if (id == 0) { /* settings */
        sp_buf_span(&w->sql, text);
        return undo_script(u, &w->sql);
    }
    if (!find_entry(w, id, &entry)) {
        return sp_fail(SP_ECORRUPT);
    }
    if (undo_stands_on_left(u, &entry)) {
        return undo_leave_entry(u, &entry, "it stands on what is not put back");
    }
    if (sp_span_starts(entry.rest, SP_SPAN_LIT("FK CONSTRAINT "))) {
        sp_span key = sp_span_slice(text, 0, last_of(text, ';')); /* comments are behind it */
        TRY(undo_keys_try(u, key, entry.rest, &refusal));
    } else {
        TRY(undo_try(u, text, runs_others(&entry), &refusal));
    }
    if (refusal != NULL && is_there_already(u, &entry, refusal)) {
        undo_tell(u, json_sprintf("%.*s: it is there already", SP_SPAN_ARG(entry.rest)));
        u->notes++;
        undo_forget(u, &entry);
        return sp_ok();
    }
    return refusal == NULL ? sp_ok() : undo_leave_refused(u, &entry, refusal);
}

static sp_err take_script(void *self, sp_span bytes)
{
    writing *w = self;
    return keep_pieces_feed(&w->pieces, bytes);
}

static sp_err make(undo *u, const char *const argv[], sp_buf *sql)
{
    writing w = {.u = u,
                 .pieces = keep_pieces_make(take_piece, &w, UNDO_SQL_MAX_BYTES),
                 .sql = sp_buf_make(UNDO_SQL_MAX_BYTES)};
    sp_err err = undo_restore(u, argv, take_script, &w);
    if (!sp_failed(err)) {
        err = keep_pieces_end(&w.pieces);
    }
    keep_pieces_done(&w.pieces);
    sp_buf_done(&w.sql);
    if (err.code == SP_ELIMIT) {
        return undo_refuse(u, "what was kept", "a definition in it is longer than undo can write",
                           NULL, NULL);
    }
    TRY(err);
    /* pg_restore sets its own */
    sp_buf_text(sql, "SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);\n"
                     "SET LOCAL lock_timeout = '30s';\n");
    TRY(undo_script(u, sql));
    return undo_leave_done(u);
}

/* What is picked, of those sections. */
static sp_err make_those(undo *u, undo_pick pick, const char *const sections[2], sp_buf *sql)
{
    char path[KEEP_PATH_BYTES + 16];
    char use[KEEP_PATH_BYTES + 32];
    size_t count = 0;
    TRY(undo_list(u, pick, "structure", path, &count));
    snprintf(use, sizeof(use), "--use-list=%s", path);
    const char *const argv[] = {"pg_restore", "--verbose", "--file=-", use,
                                sections[0],  sections[1], NULL};
    return count == 0 ? sp_ok() : make(u, argv, sql);
}

/* What is not made again. */
static void tell_left(undo *u)
{
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    while (keep_toc_next(&rest, &entry)) {
        const char *why = NULL;
        if (undo_is_wanted(u, &entry) && undo_is_unknown_data(u, &entry)) {
            why = "these rows are not put back, because their table is part of an extension or was "
                  "not told apart when it was kept";
        } else if (undo_is_unseen(u, &entry) && undo_is_missing(u, entry.catalog, entry.oid)) {
            why = "it is not put back, because the functions that it calls would run with the "
                  "keeper's rights; let its owner add it";
        } else if (entry.catalog != 0 && undo_is_missing(u, entry.catalog, entry.oid) &&
                   undo_is_others(u, &entry)) {
            why = "it is not put back, because all that it stands on is there: others may have "
                  "dropped it";
        }
        if (why != NULL) {
            undo_tell(u, json_sprintf("%.*s: %s", SP_SPAN_ARG(entry.rest), why));
            u->notes++;
            u->leaves_out = true;
        }
    }
}

static sp_err make_first(undo *u, sp_buf *sql)
{
    static const char *const all[2] = {NULL};
    TRY(list_first(u));
    TRY(undo_public_make(u, sql));
    TRY(make_those(u, wanted_schemas, all, sql));
    return make_those(u, wanted_first, all, sql);
}

/* Options of another role's mapping are shown to superusers alone. */
static void tell_mappings(undo *u)
{
    static const char everybody[] = "USER MAPPING - USER MAPPING public SERVER ";
    const char *sees_all = PQparameterStatus(u->conn, "is_superuser");
    size_t count = 0;
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    while (keep_toc_next(&rest, &entry)) {
        bool hides =
            undo_is_mapping(&entry) && !sp_span_starts(entry.rest, sp_span_cstr(everybody));
        count += hides && undo_is_wanted(u, &entry) ? 1 : 0;
    }
    if (count == 0 || (sees_all != NULL && strcmp(sees_all, "on") == 0)) {
        return;
    }
    undo_tell(u, json_sprintf("%zu user mappings were made again: options of theirs that the "
                              "keeper may not read, such as passwords, are not put back",
                              count));
    u->leaves_out = true;
}

/* DROP OWNED revokes on what stays, and what is there is left as it is. */
static void tell_owned(undo *u)
{
    if (!u->another && keep_has_word(undo_text(u->manifest, "verb"), "OWNED")) {
        undo_tell(u, json_string("rights that DROP OWNED took from its roles on what is still "
                                 "there are not put back"));
        u->notes++;
        u->leaves_out = true;
    }
}

/* What joins a table that stays has its rows, keys and indexes first: else the server would make
 * those of the whole on it, beside its own. It computes with indexes when they join. */
static sp_err join(undo *u, sp_buf *sql)
{
    static const char *const tables[2] = {"--section=pre-data"};
    static const char *const indexes[2] = {"--section=post-data"};
    TRY(undo_code_check(u, true, sql));
    TRY(make_those(u, wanted_index_joins, indexes, sql));
    TRY(make_those(u, wanted_late_joins, tables, sql));
    TRY(undo_code_check(u, true, sql));
    return make_those(u, wanted_late_index_joins, indexes, sql);
}

static bool wants(const undo *u, undo_pick pick)
{
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    while (keep_toc_next(&rest, &entry)) {
        if (pick(u, &entry)) {
            return true;
        }
    }
    return false;
}

/* Tables are empty: nothing of theirs has run yet. */
static sp_err make_tables(undo *u, sp_buf *sql)
{
    static const char *const empty[2] = {"--section=pre-data"};
    static const char *const filled[2] = {"--section=data", "--section=post-data"};
    TRY(make_those(u, wanted_then, empty, sql));
    TRY(undo_code_check(u, true, sql));
    TRY(make_those(u, wanted_joins, empty, sql));
    TRY(undo_code_check(u, true, sql)); /* what they have from their parents */
    TRY(undo_data(u, sql));
    TRY(make_those(u, wanted_last, filled, sql));
    if (wants(u, wanted_index_joins) || wants(u, wanted_late_joins) ||
        wants(u, wanted_late_index_joins)) {
        TRY(join(u, sql));
    }
    return make_those(u, wanted_triggers, filled, sql);
}

static bool is_more(const undo *u, const keep_toc_entry *entry)
{
    return !is_first(u, entry) && undo_is_wanted(u, entry);
}

sp_err undo_structure(undo *u, bool first, sp_buf *sql)
{
    if (first) {
        TRY(make_first(u, sql));
    } else if (wants(u, is_more)) {
        TRY(make_tables(u, sql));
    }
    if (!first) {
        tell_left(u);
        tell_mappings(u);
        tell_owned(u);
    } else {
        note_restored(u, true);
    }
    return undo_script(u, sql);
}

sp_err undo_structure_keys(undo *u, sp_buf *sql)
{
    static const char *const last[2] = {"--section=post-data"};
    auto_json json_t *refusal = NULL;
    TRY(undo_script(u, sql));
    TRY(undo_try(u, SP_SPAN_LIT("SELECT"), false, &refusal)); /* all before it has run */
    u->at = UNDO_WEAK_KEYS;
    if ((u->weak & UNDO_WEAK_KEYS) == 0) {
        TRY(undo_code_check_keys(u, sql));
        TRY(undo_try(u, SP_SPAN_LIT("SELECT"), false, &refusal));
    }
    u->at = 0;
    TRY(make_those(u, wanted_keys, last, sql));
    TRY(undo_keys_add(u));
    TRY(make_those(u, wanted_computed, last, sql));
    note_restored(u, false);
    return undo_script(u, sql);
}

/* SPDX-License-Identifier: Apache-2.0
 * Undo of DROP and ALTER: objects of the archive whose row has left its system catalog are made
 * again, with data, constraints and grants; foreign keys of other tables that fell are added.
 * OWNS nothing. PROCESS keeper, threads of the pool. TRUST see undo.c. SPEC keeper/undo_parts.h.
 */
#include "infra/proc/file.h"
#include "keeper/plain.h"
#include "keeper/undo_parts.h"

#include <stdio.h>
#include <string.h>

enum { RESTORED_MAX = 200 };

typedef struct {
    undo *u;
    keep_plain plain;
    sp_buf out;
} writing;

static sp_err take_script(void *self, sp_span bytes)
{
    writing *w = self;
    sp_buf_reset(&w->out);
    keep_plain_feed(&w->plain, bytes, &w->out);
    TRY(sp_buf_error(&w->out));
    return sp_write_all(w->u->psql.in, sp_buf_borrow(&w->out));
}

/* With its grants: the server gives nothing in it to a role that may not make anything there. */
static bool is_schema(const keep_toc_entry *entry)
{
    return sp_span_starts(entry->rest, SP_SPAN_LIT("SCHEMA ")) ||
           sp_span_starts(entry->rest, SP_SPAN_LIT("ACL - SCHEMA "));
}

static bool is_function(const undo *u, uint32_t id)
{
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    while (keep_toc_next(&rest, &entry)) {
        if (entry.id == id) {
            return sp_span_starts(entry.rest, SP_SPAN_LIT("FUNCTION "));
        }
    }
    return false;
}

/* A domain whose check calls a function that is made again as well, which comes before it. */
static bool waits_for_function(const undo *u, const keep_toc_entry *entry)
{
    sp_span depends = entry->depends;
    uint32_t id = 0;
    bool waits = false;
    while (!waits && keep_toc_next_id(&depends, &id)) {
        waits = undo_is_missing_id(u, id) && is_function(u, id);
    }
    return waits;
}

/* Schemas, and what a column may need before it is made again. */
static bool is_first(const undo *u, const keep_toc_entry *entry)
{
    static const char *const kinds[] = {"EXTENSION ", "TYPE ", "SHELL TYPE ", "DOMAIN ",
                                        "COLLATION "};
    if (is_schema(entry)) {
        return true;
    }
    for (size_t i = 0; i < SP_COUNT(kinds); i++) {
        if (sp_span_starts(entry->rest, sp_span_cstr(kinds[i]))) {
            return !waits_for_function(u, entry);
        }
    }
    return false;
}

static bool wanted_schemas(const undo *u, const keep_toc_entry *entry)
{
    return is_schema(entry) && undo_is_wanted(u, entry);
}

static bool wanted_first(const undo *u, const keep_toc_entry *entry)
{
    return is_first(u, entry) && !is_schema(entry) && undo_is_wanted(u, entry);
}

/* Besides rows that undo_data.c loads. */
static bool wanted_last(const undo *u, const keep_toc_entry *entry)
{
    return !is_first(u, entry) && undo_is_wanted(u, entry) && !undo_is_staged(u, entry) &&
           !undo_is_unknown_data(u, entry) && !undo_is_key(entry) && !undo_is_index_join(entry);
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
    return undo_is_wanted(u, entry) && undo_is_join(entry);
}

/* For this it compares what indexes compute, which runs. */
static bool wanted_index_joins(const undo *u, const keep_toc_entry *entry)
{
    return undo_is_index_join(entry) && undo_is_wanted(u, entry);
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

static sp_err make(undo *u, const char *const argv[], sp_buf *sql)
{
    writing w = {.u = u, .out = sp_buf_make(UNDO_SQL_MAX_BYTES)};
    TRY(undo_lock(u, false));
    sp_err err = undo_restore(u, argv, take_script, &w);
    sp_buf_done(&w.out);
    TRY(err);
    TRY(undo_lock(u, true));
    /* pg_restore sets its own */
    sp_buf_text(sql, "SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);\n"
                     "SET LOCAL lock_timeout = '30s';\n");
    return undo_script(u, sql);
}

/* What is picked, of those sections. */
static sp_err make_those(undo *u, undo_pick pick, const char *const sections[2], sp_buf *sql)
{
    char path[KEEP_PATH_BYTES + 16];
    char use[KEEP_PATH_BYTES + 32];
    size_t count = 0;
    TRY(undo_list(u, pick, "structure", path, &count));
    snprintf(use, sizeof(use), "--use-list=%s", path);
    const char *const argv[] = {"pg_restore", "--file=-", use, sections[0], sections[1], NULL};
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

/* Tables are empty: nothing of theirs has run yet. */
static sp_err make_tables(undo *u, sp_buf *sql)
{
    static const char *const empty[2] = {"--section=pre-data"};
    static const char *const filled[2] = {"--section=data", "--section=post-data"};
    static const char *const joined[2] = {"--section=post-data"};
    TRY(make_those(u, wanted_then, empty, sql));
    TRY(undo_code_check(u, true, sql));
    TRY(make_those(u, wanted_joins, empty, sql));
    TRY(undo_code_check(u, true, sql)); /* what they have from their parents */
    TRY(undo_data(u, sql));
    TRY(undo_code_check(u, true, sql)); /* domains may have been altered meanwhile */
    TRY(make_those(u, wanted_last, filled, sql));
    TRY(undo_code_check_indexes(u, sql));
    return make_those(u, wanted_index_joins, joined, sql);
}

static bool wants_more(const undo *u)
{
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    while (keep_toc_next(&rest, &entry)) {
        if (!is_first(u, &entry) && undo_is_wanted(u, &entry)) {
            return true;
        }
    }
    return false;
}

sp_err undo_structure(undo *u, bool first, sp_buf *sql)
{
    static const char *const last[2] = {"--section=post-data"};
    if (first) {
        TRY(make_first(u, sql));
    } else if (wants_more(u)) {
        TRY(make_tables(u, sql));
    }
    note_restored(u, first);
    if (!first) {
        tell_left(u);
        tell_mappings(u);
        tell_owned(u);
        TRY(undo_code_check_keys(u, sql));
        TRY(make_those(u, wanted_keys, last, sql));
        undo_keys_add(u, sql);
    }
    return undo_script(u, sql);
}

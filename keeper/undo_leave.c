/* SPDX-License-Identifier: Apache-2.0
 * What undo leaves out though it is missing, with all that stands on it: what would be written by a
 * name that another has now (undo_names.c), and tables that only went along whose code nobody
 * looked at: whoever made one could keep the rest from coming back. All of it is told. OWNS
 * nothing. PROCESS keeper, threads of the pool. TRUST see undo.c. SPEC keeper/undo_parts.h.
 */
#include "keeper/undo_tables.h"

#include <stdlib.h>
#include <string.h>

enum { PG_CLASS = 1259, WORDS_MAX_BYTES = 1024 };

static int compare_numbers(const void *a, const void *b)
{
    const uint32_t *x = a;
    const uint32_t *y = b;
    return (*x > *y) - (*x < *y);
}

bool undo_is_left(const undo *u, uint32_t id)
{
    return u->left_count > 0 &&
           bsearch(&id, u->left, u->left_count, sizeof(id), compare_numbers) != NULL;
}

bool undo_stands_on_left(const undo *u, const keep_toc_entry *entry)
{
    sp_span depends = entry->depends;
    uint32_t id = 0;
    while (u->left_count > 0 && keep_toc_next_id(&depends, &id)) {
        if (undo_is_left(u, id)) {
            return true;
        }
    }
    return false;
}

static void tell(undo *u, json_t *sentence)
{
    undo_tell(u, sentence);
    u->notes++;
    u->leaves_out = true;
}

sp_err undo_leave_entry(undo *u, const keep_toc_entry *entry, const char *why)
{
    if (u->left == NULL) {
        TRY(sp_alloc(u->entry_count + 1, sizeof(*u->left), &u->left));
    }
    if (u->left_count == u->entry_count || undo_is_left(u, entry->id)) {
        return sp_ok();
    }
    size_t at = u->left_count++;
    for (; at > 0 && u->left[at - 1] > entry->id; at--) {
        u->left[at] = u->left[at - 1];
    }
    u->left[at] = entry->id;
    if (entry->catalog != 0) {
        tell(u,
             json_sprintf("%.*s: it is not put back, because %s", SP_SPAN_ARG(entry->rest), why));
    }
    return sp_ok();
}

/* The relation itself. */
static bool is_asked_for(const undo *u, const keep_toc_entry *entry)
{
    const json_t *relations = json_object_get(u->manifest, "relations");
    bool is = false;
    for (size_t i = 0; entry->catalog == PG_CLASS && i < json_array_size(relations); i++) {
        const json_t *one = json_array_get(relations, i);
        is = is || (undo_oid(one) == entry->oid && undo_was_asked_for(u, one));
    }
    return is;
}

static void tell_first(undo *u, bool first, json_t *sentence)
{
    if (first) {
        json_array_insert_new(u->told, 0, sentence);
    } else {
        undo_tell(u, sentence);
    }
    u->notes++;
    u->leaves_out = true;
}

sp_err undo_tell_refused_rows(undo *u, const json_t *relation, const json_t *refusal)
{
    auto_buf sp_buf words = sp_buf_make(WORDS_MAX_BYTES);
    undo_try_words(refusal, &words);
    tell_first(u, undo_was_asked_for(u, relation),
               json_sprintf("rows of %s: they are not put back, because the server refuses them: "
                            "%.*s",
                            undo_text(relation, "quoted"), SP_SPAN_ARG(sp_buf_borrow(&words))));
    return sp_ok();
}

sp_err undo_leave_refused(undo *u, const keep_toc_entry *entry, const json_t *refusal)
{
    auto_buf sp_buf words = sp_buf_make(WORDS_MAX_BYTES);
    keep_toc_entry quiet = *entry;
    quiet.catalog = 0; /* it is told here */
    undo_try_words(refusal, &words);
    tell_first(u, is_asked_for(u, entry),
               json_sprintf("%.*s: it is not put back, because the server refuses it: %.*s",
                            SP_SPAN_ARG(entry->rest), SP_SPAN_ARG(sp_buf_borrow(&words))));
    return undo_leave_entry(u, &quiet, "");
}

/* What stands on it, and on that in turn. */
static sp_err leave_what_stands(undo *u)
{
    size_t before = 0;
    while (before < u->left_count) {
        sp_span rest = sp_buf_borrow(&u->toc);
        keep_toc_entry entry;
        before = u->left_count;
        while (keep_toc_next(&rest, &entry)) {
            if (!undo_is_left(u, entry.id) && undo_stands_on_left(u, &entry) &&
                undo_is_wanted(u, &entry)) {
                TRY(undo_leave_entry(u, &entry, "it stands on what is not put back"));
            }
        }
    }
    return sp_ok();
}

/* They are not missing, as far as this undo goes. */
static void forget_left(undo *u)
{
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    while (u->left_count > 0 && keep_toc_next(&rest, &entry)) {
        if (undo_is_left(u, entry.id)) {
            undo_forget(u, &entry);
        }
    }
}

void undo_leave_gone(undo *u, json_t *key, const char *why)
{
    json_object_del(key, "gone");
    tell(u, json_sprintf("foreign key %s of %s: it is not put back, because %s",
                         undo_text(key, "name"), undo_text(key, "quoted"), why));
}

/* Foreign keys of tables that were not kept, to one that does not come back. */
static void leave_keys(undo *u)
{
    const json_t *keys = json_object_get(u->manifest, "foreign");
    const json_t *relations = json_object_get(u->manifest, "relations");
    for (size_t i = 0; i < json_array_size(keys); i++) {
        json_t *key = json_array_get(keys, i);
        for (size_t k = 0; k < json_array_size(relations); k++) {
            const json_t *one = json_array_get(relations, k);
            if (json_is_true(json_object_get(key, "gone")) &&
                undo_oid(one) == (uint32_t)json_integer_value(json_object_get(key, "references")) &&
                undo_present(u, one) == NULL && !undo_is_missing(u, PG_CLASS, undo_oid(one))) {
                undo_leave_gone(u, key, "it stands on what is not put back");
            }
        }
    }
}

/* Whatever has their names is asked nothing, and nothing is put into it. */
static void unask(const undo *u)
{
    const json_t *relations = json_object_get(u->manifest, "relations");
    for (size_t i = 0; i < json_array_size(relations); i++) {
        json_t *one = json_array_get(relations, i);
        if (undo_present(u, one) == NULL && !undo_is_missing(u, PG_CLASS, undo_oid(one))) {
            json_object_del(one, "row");
        }
    }
}

sp_err undo_leave_done(undo *u)
{
    if (u->left_count == 0) {
        return sp_ok();
    }
    TRY(leave_what_stands(u));
    forget_left(u);
    leave_keys(u);
    unask(u);
    return sp_ok();
}

/* ---- tables whose code nobody looked at ---- */

/* Its own entry; of one that is there, what something is written by about it. */
static sp_err leave_entries(undo *u, const json_t *relation, const char *why)
{
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    uint32_t own = 0;
    while (keep_toc_next(&rest, &entry)) {
        if (entry.catalog != PG_CLASS || entry.oid != undo_oid(relation)) {
            continue;
        }
        own = entry.id;
        if (undo_is_wanted(u, &entry)) {
            return undo_leave_entry(u, &entry, why);
        }
    }
    rest = sp_buf_borrow(&u->toc);
    while (own != 0 && keep_toc_next(&rest, &entry)) {
        sp_span depends = entry.depends;
        uint32_t id = 0;
        bool about = false;
        while (!about && keep_toc_next_id(&depends, &id)) {
            about = id == own;
        }
        if (about && undo_is_wanted(u, &entry)) {
            TRY(undo_leave_entry(u, &entry, why));
        }
    }
    return sp_ok();
}

/* Or a partition of one: its rows were asked for. */
static bool was_asked_for(const undo *u, const json_t *relation)
{
    const json_t *relations = json_object_get(u->manifest, "relations");
    const char *root = undo_text(relation, "root");
    bool was = undo_was_asked_for(u, relation);
    for (size_t i = 0; root[0] != '\0' && i < json_array_size(relations) && !was; i++) {
        const json_t *one = json_array_get(relations, i);
        was = strcmp(undo_text(one, "quoted"), root) == 0 && undo_was_asked_for(u, one);
    }
    return was;
}

sp_err undo_leave_unseen(undo *u, undo_tables *all)
{
    json_t *relations = json_object_get(u->manifest, "relations");
    bool all_seen = false;
    TRY(undo_code_are_seen(u, &all_seen));
    for (size_t i = 0; i < json_array_size(relations) && !all_seen; i++) {
        json_t *one = json_array_get(relations, i);
        auto_free char *why = NULL;
        if (was_asked_for(u, one) || undo_text(one, "row")[0] == '\0') {
            continue;
        }
        TRY(undo_code_why_not(u, one, &why));
        if (why == NULL) {
            continue;
        }
        if (undo_verb_is(u, "DROP ALTER")) {
            TRY(leave_entries(u, one, why));
        }
        undo_tables_leave(u, all, one, why);
        json_object_del(one, "row"); /* nothing is put into it */
    }
    TRY(undo_tables_leave_hanging(u, all));
    TRY(undo_leave_done(u));
    if (!all_seen) {
        TRY(undo_leave_definitions(u));
    }
    undo_code_forget(u);
    return sp_ok();
}

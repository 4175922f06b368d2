/* SPDX-License-Identifier: Apache-2.0
 * What of the archive is missing, and comes back from it: each object whose row has left its system
 * catalog, and what is said of it.
 * OWNS nothing. PROCESS keeper, threads of the pool. TRUST see undo.c. SPEC keeper/undo_parts.h.
 */
#include "keeper/undo_parts.h"

#include <stdio.h>
#include <stdlib.h>

enum { PG_CLASS = 1259, PG_DATABASE = 1262, CATALOGS_MAX = 64 };
#define JOINS SP_SPAN_LIT("TABLE ATTACH ")
#define INDEX_JOINS SP_SPAN_LIT("INDEX ATTACH ")
#define SERVER SP_SPAN_LIT("SERVER - ")
#define KEYS SP_SPAN_LIT("FK CONSTRAINT ")

/* ---- what is missing ---- */

static int compare(const void *a, const void *b)
{
    const undo_object *x = a;
    const undo_object *y = b;
    int by_catalog = (x->catalog > y->catalog) - (x->catalog < y->catalog);
    return by_catalog != 0 ? by_catalog : (x->oid > y->oid) - (x->oid < y->oid);
}

int undo_compare_ids(const void *a, const void *b)
{
    const uint32_t *x = a;
    const uint32_t *y = b;
    return (*x > *y) - (*x < *y);
}

bool undo_is_missing(const undo *u, uint32_t catalog, uint32_t oid)
{
    size_t from = 0;
    for (size_t to = u->missing_count; from < to;) {
        size_t half = from + (to - from) / 2;
        const undo_object wanted = {catalog, oid};
        bool before = compare(&u->missing[half], &wanted) < 0;
        from = before ? half + 1 : from;
        to = before ? to : half;
    }
    return from < u->missing_count && u->missing[from].catalog == catalog &&
           (oid == 0 || u->missing[from].oid == oid);
}

/* The catalog's name, quoted. Large objects have no rows of their own in theirs. */
static sp_err name_catalog(undo *u, uint32_t catalog, sp_buf *out)
{
    auto_result PGresult *name = NULL;
    char number[16];
    if (catalog == UNDO_LARGE_OBJECTS) {
        sp_buf_text(out, "pg_largeobject_metadata");
        return sp_ok();
    }
    snprintf(number, sizeof(number), "%u", catalog);
    const char *const one[] = {number};
    TRY(keep_exec(u->job, u->conn,
                  "SELECT quote_ident(c.relname) FROM pg_catalog.pg_class c WHERE c.oid = "
                  "$1::oid AND c.relnamespace = 'pg_catalog'::regnamespace",
                  1, one, &name));
    if (PQntuples(name) != 1) {
        return sp_fail(SP_ECORRUPT);
    }
    sp_buf_text(out, keep_value(name, 0, 0));
    return sp_ok();
}

/* The sequence of an identity column whose table is there: undo_columns.c makes another. */
static bool counts_for_present(const undo *u, const char *oid)
{
    char table[24];
    const json_t *of = json_object_get(json_object_get(u->manifest, "counters"), oid);
    snprintf(table, sizeof(table), "%lld", (long long)json_integer_value(of));
    return of != NULL && !u->another && json_object_get(u->present, table) != NULL;
}

/* Those of the objects of one catalog that are not there any more. */
static sp_err look_up(undo *u, uint32_t catalog, const char *oids)
{
    auto_result PGresult *gone = NULL;
    auto_buf sp_buf sql = sp_buf_make(1024);
    auto_free char *text = NULL;
    sp_buf_text(&sql, "SELECT o.oid FROM unnest($1::oid[]) o(oid) WHERE $2::bool OR NOT EXISTS "
                      "(SELECT FROM pg_catalog.");
    TRY(name_catalog(u, catalog, &sql));
    sp_buf_text(&sql, " c WHERE c.oid = o.oid)");
    TRY(sp_buf_take_cstr(&sql, &text));
    const char *const list[] = {oids, u->another ? "t" : "f"};
    TRY(keep_exec(u->job, u->conn, text, 2, list, &gone));
    for (int i = 0; i < PQntuples(gone); i++) {
        uint64_t oid = 0;
        if (u->missing_count == u->entry_count) {
            return sp_fail(SP_ECORRUPT); /* the server says more than it was asked about */
        }
        TRY(sp_span_to_u64(sp_span_cstr(keep_value(gone, i, 0)), UINT32_MAX, &oid));
        if (catalog == PG_CLASS && counts_for_present(u, keep_value(gone, i, 0))) {
            continue;
        }
        u->missing[u->missing_count++] = (undo_object){catalog, (uint32_t)oid};
    }
    return sp_ok();
}

static sp_err look_up_all(undo *u, uint32_t catalog)
{
    auto_buf sp_buf oids = sp_buf_make(KEEP_LISTING_MAX_BYTES);
    auto_free char *text = NULL;
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    while (keep_toc_next(&rest, &entry)) {
        if (entry.catalog == catalog) {
            sp_buf_fmt(&oids, "%s%u", oids.len == 0 ? "{" : ",", entry.oid);
        }
    }
    sp_buf_text(&oids, "}");
    TRY(sp_buf_take_cstr(&oids, &text));
    return look_up(u, catalog, text);
}

/* A check that takes a row or a value of what it stands on, which pg_dump adds last: the server
 * asks it about each row that is there, before anybody could look at what it calls. */
bool undo_is_unseen(const undo *u, const keep_toc_entry *entry)
{
    char oid[16];
    snprintf(oid, sizeof(oid), "%u", entry->oid);
    return sp_span_starts(entry->rest, SP_SPAN_LIT("CHECK CONSTRAINT ")) &&
           json_object_get(json_object_get(u->manifest, "unchecked"), oid) == NULL;
}

/* A table of a schema called ATTACH has the same words, and a row of its own. */
bool undo_is_index_join(const keep_toc_entry *entry)
{
    return entry->catalog == 0 && sp_span_starts(entry->rest, INDEX_JOINS);
}

bool undo_is_join(const keep_toc_entry *entry)
{
    return entry->catalog == 0 && sp_span_starts(entry->rest, JOINS);
}

bool undo_is_mapping(const keep_toc_entry *entry)
{
    return sp_span_starts(entry->rest, SP_SPAN_LIT("USER MAPPING - "));
}

/* "USER MAPPING - USER MAPPING clerk SERVER far owner" stands behind "SERVER - far owner". */
static bool maps_missing(const undo *u, const keep_toc_entry *entry, const keep_toc_entry *server)
{
    return undo_is_mapping(entry) && undo_is_missing(u, server->catalog, server->oid) &&
           sp_span_ends(entry->rest, sp_span_slice(server->rest, SERVER.len, server->rest.len));
}

static bool has_id(const uint32_t *ids, size_t count, uint32_t id)
{
    return bsearch(&id, ids, count, sizeof(id), undo_compare_ids) != NULL;
}

bool undo_is_missing_id(const undo *u, uint32_t id)
{
    return has_id(u->missing_ids, u->missing_ids_count, id);
}

/* Those that stand on what is missing, or on a table that lost a column. */
static void note_light(undo *u, const uint32_t *lessened, size_t count)
{
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    size_t more = 0;
    while (keep_toc_next(&rest, &entry)) {
        sp_span depends = entry.depends;
        uint32_t id = 0;
        bool falls = false;
        bool missing = entry.catalog != 0 && undo_stands_on_others(u, &entry) &&
                       undo_is_missing(u, entry.catalog, entry.oid);
        while (missing && !falls && keep_toc_next_id(&depends, &id)) {
            falls = undo_is_missing_id(u, id) || has_id(lessened, count, id);
        }
        if (falls) {
            u->missing_ids[u->missing_ids_count + more++] = entry.id;
        }
    }
    u->missing_ids_count += more;
    qsort(u->missing_ids, u->missing_ids_count, sizeof(*u->missing_ids), undo_compare_ids);
}

/* Which entries are of missing objects. */
static sp_err note_ids(undo *u)
{
    auto_free uint32_t *lessened = NULL;
    size_t lessened_count = 0;
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    keep_toc_entry server = {.catalog = 0};
    TRY(sp_alloc(u->entry_count + 1, sizeof(*lessened), &lessened));
    while (keep_toc_next(&rest, &entry)) {
        bool is_server = entry.catalog != 0 && sp_span_starts(entry.rest, SERVER);
        server = is_server ? entry : server;
        if (server.catalog != 0 && maps_missing(u, &entry, &server)) {
            u->missing_ids[u->missing_ids_count++] = entry.id;
        }
        if (entry.catalog != 0 && !undo_is_unseen(u, &entry) && !undo_stands_on_others(u, &entry) &&
            undo_is_missing(u, entry.catalog, entry.oid)) {
            u->missing_ids[u->missing_ids_count++] = entry.id;
        }
        if (undo_is_lessened(u, &entry)) {
            lessened[lessened_count++] = entry.id;
        }
    }
    qsort(u->missing_ids, u->missing_ids_count, sizeof(*u->missing_ids), undo_compare_ids);
    qsort(lessened, lessened_count, sizeof(*lessened), undo_compare_ids);
    note_light(u, lessened, lessened_count);
    return sp_ok();
}

static void drop_id(undo *u, uint32_t id)
{
    uint32_t *at = bsearch(&id, u->missing_ids, u->missing_ids_count, sizeof(id), undo_compare_ids);
    if (at != NULL) {
        size_t i = (size_t)(at - u->missing_ids);
        sp_move(at, at + 1, (--u->missing_ids_count - i) * sizeof(*at));
    }
}

void undo_forget(undo *u, const keep_toc_entry *entry)
{
    const undo_object one = {entry->catalog, entry->oid};
    undo_object *at = bsearch(&one, u->missing, u->missing_count, sizeof(one), compare);
    drop_id(u, entry->id);
    if (at != NULL && entry->catalog != 0) {
        size_t i = (size_t)(at - u->missing);
        sp_move(at, at + 1, (--u->missing_count - i) * sizeof(*at));
    }
}

/* Each entry of the archive may be missing. */
static sp_err make_room(undo *u)
{
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    while (keep_toc_next(&rest, &entry)) {
        u->entry_count++;
    }
    TRY(sp_alloc(u->entry_count + 1, sizeof(*u->missing), &u->missing));
    return sp_alloc(u->entry_count + 1, sizeof(*u->missing_ids), &u->missing_ids);
}

/* One question a catalog. */
static sp_err find_objects(undo *u)
{
    uint32_t done[CATALOGS_MAX];
    size_t done_count = 0;
    keep_toc_entry entry;
    TRY(make_room(u));
    sp_span rest = sp_buf_borrow(&u->toc);
    while (keep_toc_next(&rest, &entry)) {
        bool seen = entry.catalog == 0;
        for (size_t i = 0; i < done_count; i++) {
            seen = seen || done[i] == entry.catalog;
        }
        if (seen) {
            continue;
        }
        if (done_count == SP_COUNT(done)) {
            return sp_fail(SP_ELIMIT);
        }
        done[done_count++] = entry.catalog;
        TRY(look_up_all(u, entry.catalog));
    }
    qsort(u->missing, u->missing_count, sizeof(*u->missing), compare);
    return note_ids(u);
}

/* ---- what is wanted of it ---- */

bool undo_is_key(const keep_toc_entry *entry)
{
    return sp_span_starts(entry->rest, KEYS) ||
           (sp_span_starts(entry->rest, SP_SPAN_LIT("COMMENT ")) &&
            sp_span_find(entry->rest, SP_SPAN_LIT(" CONSTRAINT ")) < entry->rest.len);
}

/* Grants, comments, labels, where a sequence stood: they have no oid of their own, but need the
 * entry of what they are about. What the archive does not make (an extension's functions) is only
 * set right where all is made; schema public: undo_public.c. */
static bool is_about_missing(const undo *u, const keep_toc_entry *entry)
{
    sp_span rest = entry->depends;
    uint32_t id = 0;
    bool missing = u->another && !undo_is_key(entry); /* the constraint may be left out */
    while (!missing && keep_toc_next_id(&rest, &id)) {
        missing = undo_is_missing_id(u, id);
    }
    return missing;
}

/* "TABLE ATTACH public logs_1 owner" depends on the part, and on what it is a part of: what is
 * attached is made again with it, or is there. */
static bool joins_missing(const undo *u, const keep_toc_entry *entry)
{
    sp_span rest = entry->depends;
    uint32_t part = 0;
    return keep_toc_next_id(&rest, &part) && undo_is_missing_id(u, part);
}

static bool is_table(const undo *u, uint32_t id)
{
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    while (keep_toc_next(&rest, &entry)) {
        if (entry.id == id) {
            return sp_span_starts(entry.rest, SP_SPAN_LIT("TABLE "));
        }
    }
    return false;
}

bool undo_joins_what_stays(const undo *u, const keep_toc_entry *entry)
{
    bool of_index = undo_is_index_join(entry);
    sp_span rest = entry->depends;
    uint32_t id = 0;
    uint32_t part = 0;
    uint32_t whole = 0;
    while (keep_toc_next_id(&rest, &id)) {
        if (undo_is_missing_id(u, id) && !(of_index && is_table(u, id))) {
            whole = part != 0 && id != part ? id : whole;
            part = part == 0 ? id : part;
        }
    }
    return whole == 0;
}

/* "CONSTRAINT public logs_1 logs_1_pkey owner" is what "public logs_1_pkey owner" names; either
 * part may have blanks. */
static bool is_constraint_of(sp_span rest, sp_span name)
{
    sp_span all = sp_span_slice(rest, sizeof("CONSTRAINT ") - 1, rest.len);
    bool is = false;
    for (size_t at = 0; at < name.len && !is; at++) {
        is = name.ptr[at] == ' ' && sp_span_starts(all, sp_span_slice(name, 0, at + 1)) &&
             sp_span_ends(all, sp_span_slice(name, at, name.len));
    }
    return is && sp_span_starts(rest, SP_SPAN_LIT("CONSTRAINT "));
}

/* "INDEX ATTACH public logs_1_pkey owner", which may be a constraint's: by its name, and the server
 * does nothing about one that is attached. */
static bool is_index_of_missing(const undo *u, sp_span name)
{
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry other;
    while (keep_toc_next(&rest, &other)) {
        bool is_named =
            is_constraint_of(other.rest, name) ||
            (sp_span_starts(other.rest, SP_SPAN_LIT("INDEX ")) && sp_span_ends(other.rest, name));
        if (is_named && other.catalog != 0 && undo_is_missing(u, other.catalog, other.oid)) {
            return true;
        }
    }
    return false;
}

/* Missing while all that it stands on is there. */
bool undo_is_others(const undo *u, const keep_toc_entry *entry)
{
    return undo_stands_on_others(u, entry) && !undo_is_missing_id(u, entry->id);
}

bool undo_is_wanted(const undo *u, const keep_toc_entry *entry)
{
    /* ends the transaction: undo_large.c; what is said of it is written by undo_public.c */
    if (undo_is_large_contents(entry) || undo_is_public(u, entry) || undo_is_unseen(u, entry) ||
        undo_is_left(u, entry->id) || (entry->catalog == 0 && undo_stands_on_left(u, entry))) {
        return false;
    }
    if (entry->catalog != 0) {
        return undo_is_missing(u, entry->catalog, entry->oid) && !undo_is_others(u, entry);
    }
    if (entry->oid != 0) { /* TABLE DATA */
        return undo_is_missing(u, PG_CLASS, entry->oid);
    }
    if (undo_is_join(entry)) {
        return joins_missing(u, entry);
    }
    if (undo_is_index_join(entry)) {
        return is_index_of_missing(u, sp_span_slice(entry->rest, INDEX_JOINS.len, entry->rest.len));
    }
    if (undo_is_mapping(entry)) {
        return undo_is_missing_id(u, entry->id);
    }
    return undo_is_about_public(u, entry) ? u->public_missing : is_about_missing(u, entry);
}

/* ---- all of it ---- */

/* One that was made since has numbers of its own; each archive has an entry of its database. */
static sp_err look_at_database(undo *u)
{
    auto_result PGresult *result = NULL;
    char oid[16];
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry = {.catalog = 0};
    while (entry.catalog != PG_DATABASE && keep_toc_next(&rest, &entry)) {
    }
    if (entry.catalog != PG_DATABASE) {
        return sp_ok();
    }
    snprintf(oid, sizeof(oid), "%u", entry.oid);
    const char *const values[] = {oid};
    TRY(keep_exec(u->job, u->conn,
                  "SELECT FROM pg_catalog.pg_database WHERE datname = current_database() AND "
                  "oid = $1::oid",
                  1, values, &result));
    u->another = PQntuples(result) == 0;
    return sp_ok();
}

sp_err undo_find_missing(undo *u)
{
    TRY(look_at_database(u));
    undo_find_lessened(u);
    TRY(undo_find_above(u));
    TRY(find_objects(u));
    TRY(undo_public_find(u));
    TRY(undo_tell_beside(u));
    return undo_keys_find_gone(u);
}

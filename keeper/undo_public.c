/* SPDX-License-Identifier: Apache-2.0
 * Schema public comes with each database, so the archive never makes it: at most it says whose it
 * is, and what its grants and its comment are besides those of a new database.
 * OWNS nothing. PROCESS keeper, threads of the pool. TRUST see undo.c. SPEC keeper/undo_parts.h;
 * PostgreSQL 15, pg_dump.c (getNamespaces, dumpNamespace): grants are written as differences to
 * {owner=UC/owner,=U/owner}.
 */
#include "keeper/undo_parts.h"

#include <stdio.h>
#include <string.h>

enum { PG_NAMESPACE = 2615 };

static const json_t *kept_public(const undo *u)
{
    return json_object_get(u->manifest, "public");
}

static void leave(undo *u, json_t *sentence)
{
    undo_tell(u, sentence);
    u->notes++;
    u->leaves_out = true;
}

/* $1 its number, $2 its owner: it is there; one of its name is; the owner is ours to give. */
static const char LOOK[] =
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE oid = $1::oid),"
    " EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'public'),"
    " EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = $2 AND (pg_has_role(r.oid,"
    "  'USAGE') OR r.oid = (SELECT nspowner FROM pg_catalog.pg_namespace"
    "   WHERE nspname = 'public')))";

static bool is_true(const PGresult *result, int column)
{
    return keep_value(result, 0, column)[0] == 't';
}

sp_err undo_public_find(undo *u)
{
    auto_result PGresult *result = NULL;
    char oid[16];
    if (!undo_verb_is(u, "DROP ALTER") || undo_oid(kept_public(u)) == 0 ||
        !json_is_true(json_object_get(u->manifest, "whole"))) {
        return sp_ok();
    }
    const char *owner = undo_text(kept_public(u), "owner");
    snprintf(oid, sizeof(oid), "%u", undo_oid(kept_public(u)));
    const char *const values[] = {oid, owner};
    TRY(keep_exec(u->job, u->conn, LOOK, SP_COUNT(values), values, &result));
    bool same = is_true(result, 0) && !u->another;
    bool named = is_true(result, 1);
    if (!same && named && !u->another) {
        leave(u, json_string("schema public was dropped since and made again: its owner and its "
                             "grants are left as they are"));
    }
    u->public_missing = !same && (u->another || !named);
    u->public_gone = u->public_missing && !named;
    u->public_owned = is_true(result, 2);
    if (u->public_missing && !u->public_owned) {
        leave(u, json_sprintf("schema public does not come back to its owner %s: the keeper's "
                              "role lacks his rights",
                              owner));
    }
    return sp_ok();
}

bool undo_is_public(const undo *u, const keep_toc_entry *entry)
{
    return entry->catalog == PG_NAMESPACE && undo_oid(kept_public(u)) != 0 &&
           entry->oid == undo_oid(kept_public(u));
}

/* That entry is its own; it has none where its owner is the database's. */
static bool is_its(const undo *u, uint32_t id)
{
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    while (keep_toc_next(&rest, &entry)) {
        if (entry.id == id) {
            return undo_is_public(u, &entry);
        }
    }
    return true;
}

bool undo_is_about_public(const undo *u, const keep_toc_entry *entry)
{
    static const char *const words[] = {"ACL - SCHEMA public ", "COMMENT - SCHEMA public ",
                                        "SECURITY LABEL - SCHEMA public "};
    bool about = false;
    sp_span rest = entry->depends;
    uint32_t id = 0;
    for (size_t i = 0; i < SP_COUNT(words); i++) {
        about = about || sp_span_starts(entry->rest, sp_span_cstr(words[i]));
    }
    while (about && keep_toc_next_id(&rest, &id)) { /* not of one that is named "public x" */
        about = is_its(u, id);
    }
    return about;
}

sp_err undo_public_make(undo *u, sp_buf *sql)
{
    const char *owner = undo_text(kept_public(u), "owner");
    if (u->public_gone) { /* as a new database has it: the archive says what differs */
        sp_buf_text(sql, "CREATE SCHEMA public;\nGRANT USAGE ON SCHEMA public TO PUBLIC;\n"
                         "COMMENT ON SCHEMA public IS 'standard public schema';\n");
    }
    if (u->public_missing && u->public_owned) {
        char *quoted = PQescapeIdentifier(u->conn, owner, strlen(owner));
        sp_buf_fmt(sql, "ALTER SCHEMA public OWNER TO %s;\n", quoted == NULL ? "\"\"" : quoted);
        PQfreemem(quoted);
    }
    if (u->public_gone && !u->public_owned) { /* as a new one is, rather than the keeper's */
        sp_buf_text(sql, "SELECT 'ALTER SCHEMA public OWNER TO pg_database_owner' FROM "
                         "pg_catalog.pg_roles WHERE rolname = 'pg_database_owner' AND "
                         "pg_has_role(oid, 'USAGE') " UNDO_GEXEC);
    }
    if (u->public_gone || (u->public_missing && u->public_owned)) {
        json_array_append_new(u->restored, json_sprintf("SCHEMA - public %s", owner));
    }
    return undo_script(u, sql);
}

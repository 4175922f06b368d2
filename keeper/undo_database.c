/* SPDX-License-Identifier: Apache-2.0
 * The database that is put back into; one that is gone is made first.
 * OWNS nothing. PROCESS keeper, threads of the pool. TRUST see undo.c. SPEC PostgreSQL 15 manual,
 * CREATE DATABASE.
 */
#include "keeper/undo_parts.h"

static void put_said(const undo *u, PGconn *conn, const char *word, const char *key, sp_buf *sql)
{
    const char *value = undo_text(u->manifest, key);
    char *literal = PQescapeLiteral(conn, value, strlen(value));
    sp_buf_fmt(sql, " %s %s", word, literal == NULL ? "''" : literal);
    PQfreemem(literal);
}

static void put_new_database(const undo *u, PGconn *conn, const char *name, sp_buf *sql)
{
    const char *owner = undo_text(u->manifest, "owner");
    char *quoted = PQescapeIdentifier(conn, name, strlen(name));
    char *quoted_owner = PQescapeIdentifier(conn, owner, strlen(owner));
    sp_buf_fmt(sql, "CREATE DATABASE %s TEMPLATE template0 OWNER %s", quoted == NULL ? "" : quoted,
               quoted_owner == NULL ? "" : quoted_owner);
    PQfreemem(quoted);
    PQfreemem(quoted_owner);
    put_said(u, conn, "ENCODING", "encoding", sql);
    put_said(u, conn, "LC_COLLATE", "collate", sql);
    put_said(u, conn, "LC_CTYPE", "ctype", sql);
    char provider = undo_text(u->manifest, "provider")[0];
    if (provider == 'i' || provider == 'b') {
        sp_buf_text(sql, provider == 'i' ? " LOCALE_PROVIDER icu" : " LOCALE_PROVIDER builtin");
        put_said(u, conn, provider == 'i' ? "ICU_LOCALE" : "BUILTIN_LOCALE", "locale", sql);
    }
}

/* A database that is gone is made first; it cannot be part of the transaction. */
static sp_err make_database(undo *u)
{
    auto_conn PGconn *conn = NULL;
    auto_buf sp_buf sql = sp_buf_make(4096);
    auto_free char *text = NULL;
    auto_free char *name = NULL;
    TRY(sp_strdup(u->job->job.database, &name));
    sp_buf_reset(&u->job->why);
    TRY(keep_connect(u->job, "postgres", &conn));
    put_new_database(u, conn, name, &sql);
    TRY(sp_buf_take_cstr(&sql, &text));
    TRY(keep_exec(u->job, conn, text, 0, NULL, NULL));
    undo_tell(
        u, json_sprintf(
               "the database %s was made again; grants on the database itself, and settings made "
               "with ALTER DATABASE, are not kept",
               name));
    return keep_connect(u->job, NULL, &u->conn);
}

sp_err undo_connect(undo *u)
{
    sp_err err = keep_connect(u->job, NULL, &u->conn);
    if (!sp_failed(err)) {
        return undo_check_system(u);
    }
    if (err.code != SP_ENOTFOUND || !json_is_true(json_object_get(u->manifest, "whole"))) {
        return err;
    }
    if (u->try_only) {
        sp_buf_reset(&u->job->why);
        undo_tell(u, json_sprintf(
                         "the database %s is gone: it would be made again, with all that was in it",
                         undo_text(u->manifest, "database")));
        return sp_fail(SP_ENOTFOUND);
    }
    return make_database(u);
}

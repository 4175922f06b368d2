/* SPDX-License-Identifier: Apache-2.0
 * Which cluster a connection is of, and where in its history that is.
 * OWNS nothing. PROCESS keeper, threads of the pool. TRUST the server's words are texts. SPEC
 * PostgreSQL 15 manual, 26.3.5 "Timelines", 9.27.3 "Backup Control Functions".
 */
#include "keeper/keeper.h"

/* A role may be forbidden to ask: *ret_result is NULL then. */
static sp_err ask_allowed(keep_job *job, PGconn *conn, const char *functions, const char *sql,
                          PGresult **ret_result)
{
    auto_result PGresult *may = NULL;
    const char *const list[] = {functions};
    TRY(keep_exec(job, conn,
                  "SELECT FROM unnest($1::text[]) f HAVING bool_and(COALESCE("
                  "has_function_privilege(to_regprocedure(f), 'EXECUTE'), false))",
                  1, list, &may));
    return PQntuples(may) == 0 ? sp_ok() : keep_exec(job, conn, sql, 0, NULL, ret_result);
}

sp_err keep_system(keep_job *job, PGconn *conn, char ret_system[KEEP_SYSTEM_BYTES])
{
    auto_result PGresult *is = NULL;
    ret_system[0] = '\0';
    TRY(ask_allowed(job, conn, "{pg_catalog.pg_control_system()}",
                    "SELECT system_identifier FROM pg_catalog.pg_control_system()", &is));
    return PQntuples(is) == 1
               ? sp_fit(ret_system, KEEP_SYSTEM_BYTES, sp_span_cstr(keep_value(is, 0, 0)))
               : sp_ok();
}

/* A file of the log is called by its timeline; a server that only follows another one has none of
 * its own. */
sp_err keep_position(keep_job *job, PGconn *conn, keep_place *ret_place)
{
    static const char asked[] =
        "{pg_catalog.pg_is_in_recovery(),pg_catalog.pg_walfile_name(pg_lsn),"
        "pg_catalog.pg_current_wal_lsn()}";
    auto_result PGresult *is = NULL;
    *ret_place = (keep_place){.timeline = ""};
    TRY(ask_allowed(
        job, conn, asked,
        "SELECT left(pg_catalog.pg_walfile_name(at), 8), at FROM (SELECT CASE WHEN NOT"
        " pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_current_wal_lsn() END) x(at)"
        " WHERE at IS NOT NULL",
        &is));
    if (PQntuples(is) != 1) {
        return sp_ok();
    }
    TRY(sp_fit(ret_place->timeline, sizeof(ret_place->timeline),
               sp_span_cstr(keep_value(is, 0, 0))));
    return sp_fit(ret_place->lsn, sizeof(ret_place->lsn), sp_span_cstr(keep_value(is, 0, 1)));
}

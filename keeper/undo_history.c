/* SPDX-License-Identifier: Apache-2.0
 * Whether the numbers of a keep mean here what they meant: of the cluster, of its history, of the
 * statement's transaction.
 * OWNS nothing. PROCESS keeper, threads of the pool. TRUST see undo.c. SPEC keeper/undo_parts.h.
 */
#include "keeper/undo_parts.h"

#include <string.h>

/* Tables, other objects and transactions are known by numbers, which mean others in another
 * cluster. */
sp_err undo_check_system(undo *u)
{
    const char *was = undo_text(u->manifest, "system");
    char is[KEEP_SYSTEM_BYTES];
    TRY(keep_system(u->job, u->conn, is));
    if (was[0] == '\0' || sp_span_eq(sp_span_cstr(was), sp_span_cstr(is))) {
        return sp_ok();
    }
    sp_buf_reset(&u->job->why);
    sp_buf_fmt(&u->job->why,
               "this was kept of another database cluster (its system identifier was %s, here it "
               "is %s): what its tables and transactions are called by there means others here",
               was, is[0] == '\0' ? "not told" : is);
    return sp_fail(SP_ECONFLICT);
}

/* In a server that was restored to an earlier time, or that took over and had not heard all,
 * numbers were given anew since: a table is known by its name as well. */
static sp_err check_names(undo *u)
{
    const json_t *relations = json_object_get(u->manifest, "relations");
    for (size_t i = 0; i < json_array_size(relations); i++) {
        const json_t *one = json_array_get(relations, i);
        const json_t *now = undo_present(u, one);
        if (now != NULL && !undo_is_made_again(one) &&
            (strcmp(undo_text(now, "quoted"), undo_text(one, "quoted")) != 0 ||
             strcmp(undo_text(now, "kind"), undo_text(one, "kind")) != 0)) {
            return undo_refuse(u, undo_text(one, "quoted"),
                               "this server's history is not the one in which it was kept, and "
                               "what has its number here is another:",
                               undo_text(now, "quoted"), NULL);
        }
    }
    return sp_ok();
}

static sp_err compare_place(undo *u, const keep_place *now, bool *ret_fits)
{
    auto_result PGresult *result = NULL;
    const char *const values[] = {now->lsn, undo_text(u->manifest, "lsn")};
    *ret_fits = false;
    if (strcmp(now->timeline, undo_text(u->manifest, "timeline")) != 0) {
        return sp_ok();
    }
    TRY(keep_exec(u->job, u->conn, "SELECT WHERE $1::pg_lsn >= $2::pg_lsn", 2, values, &result));
    *ret_fits = PQntuples(result) == 1;
    return sp_ok();
}

sp_err undo_check_history(undo *u)
{
    const char *timeline = undo_text(u->manifest, "timeline");
    const char *lsn = undo_text(u->manifest, "lsn");
    keep_place now;
    if (timeline[0] == '\0' || u->another) {
        return sp_ok();
    }
    bool fits = false;
    TRY(keep_position(u->job, u->conn, &now));
    TRY(compare_place(u, &now, &fits));
    if (fits) {
        return sp_ok();
    }
    u->astray = true;
    json_object_del(u->manifest, "xids");
    json_object_del(u->manifest, "xact");
    undo_tell(u, json_sprintf(
                     "this server was restored to an earlier time since, or took over from "
                     "another (timeline %s at %s then, %s at %s now): which rows the "
                     "statement wrote cannot be told, so no values are taken back",
                     timeline, lsn, now.timeline[0] == '\0' ? "not told" : now.timeline, now.lsn));
    u->notes++;
    return check_names(u);
}

/* What the statement's transaction came to, where it is known. It is not known of one before the
 * server's last wrap-around, nor in another server. */
sp_err undo_check_transaction(undo *u)
{
    static const char sql[] =
        "SELECT CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype = 'transactionid'"
        " AND granted AND transactionid = ($1::text::bigint & 4294967295)::text::xid)"
        " THEN 'in progress' WHEN $1::text::xid8 < pg_snapshot_xmax(pg_current_snapshot())"
        " THEN pg_xact_status($1::text::xid8) END";
    auto_result PGresult *result = NULL;
    const char *number = undo_text(u->manifest, "xact");
    if (number[0] == '\0' || u->another) {
        return sp_ok();
    }
    const char *const one[] = {number};
    TRY(keep_exec(u->job, u->conn, sql, 1, one, &result));
    const char *is = PQntuples(result) == 1 ? keep_value(result, 0, 0) : "";
    bool was_lost = strcmp(is, "aborted") == 0;
    if (was_lost || strcmp(is, "in progress") == 0) {
        return undo_refuse(u, "the statement",
                           was_lost ? "it failed or was rolled back, so nothing of it is there to "
                                      "be put back"
                                    : "its transaction has not ended yet",
                           NULL, NULL);
    }
    return sp_ok();
}

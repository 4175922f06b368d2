/* SPDX-License-Identifier: Apache-2.0
 * Accounts that can do more at the server than any judgement of their statements shows: they are
 * superusers, run programs there, read and write its files, are replicas, pass by the rules of
 * rows, give themselves such rights, or may become a role that does. The gate works with none.
 *
 * OWNS the list in a catalogue. PROCESS db gate workers. TRUST rows come from the server: there is
 * room for so many, and beyond that no account is worked with. SPEC docs/DATABASE.md "Accounts in
 * PostgreSQL".
 */
#include "gates/db/judging.h"
#include "lib/base/mem.h"

enum { DANGERS_FIRST = 16 }; /* doubled up to DB_DANGERS_MAX */

#define DANGERS                                                                                    \
    "SELECT r.rolname AS who, pg_catalog.concat_ws(', ',"                                          \
    " CASE WHEN r.rolsuper THEN 'SUPERUSER' END,"                                                  \
    " CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END,"                                            \
    " CASE WHEN r.rolreplication THEN 'REPLICATION' END,"                                          \
    " CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END,"                                              \
    " (SELECT pg_catalog.string_agg(g.rolname, ', ' ORDER BY g.rolname) FROM pg_catalog.pg_roles " \
    "g WHERE NOT r.rolsuper AND g.oid <> r.oid AND (g.rolsuper OR g.rolcreaterole OR"              \
    " g.rolreplication OR g.rolbypassrls OR g.rolname IN ('pg_execute_server_program',"            \
    " 'pg_read_server_files', 'pg_write_server_files'))"                                           \
    " AND pg_catalog.pg_has_role(r.oid, g.oid, 'MEMBER'))) AS why"                                 \
    " FROM pg_catalog.pg_roles r WHERE r.rolcanlogin"

const char db_dangers_sql[] = "SELECT 'd', who, why FROM (" DANGERS ") d WHERE why <> '';";
const char db_dangers_print_sql[] =
    " || '/' || (SELECT coalesce(pg_catalog.sum(pg_catalog.hashtext(who || '.' || why)), 0)"
    " FROM (" DANGERS ") d WHERE why <> '')";

static sp_err make_room(db_dangers *dangers)
{
    uint32_t cap = dangers->cap == 0 ? DANGERS_FIRST : dangers->cap * 2;
    if (cap > DB_DANGERS_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    TRY(sp_resize(&dangers->items, cap, sizeof(*dangers->items)));
    dangers->cap = cap;
    return sp_ok();
}

void db_dangers_add(db_dangers *dangers, sp_span who, sp_span why)
{
    if (dangers->count == dangers->cap && sp_failed(make_room(dangers))) {
        dangers->is_full = true;
        return;
    }
    db_danger *one = &dangers->items[dangers->count++];
    SP_IGNORE(sp_fit(one->who, sizeof(one->who), who)); /* names of roles are shorter */
    SP_IGNORE(sp_fit(one->why, sizeof(one->why), sp_span_cut(why, sizeof(one->why) - 1)));
}

void db_dangers_clear(db_dangers *dangers)
{
    sp_free(dangers->items);
    *dangers = (db_dangers){.items = NULL};
}

const char *db_dangers_of(const db_dangers *dangers, const char *account)
{
    for (uint32_t i = 0; i < dangers->count; i++) {
        if (sp_span_eq(sp_span_cstr(dangers->items[i].who), sp_span_cstr(account))) {
            return dangers->items[i].why;
        }
    }
    return dangers->is_full ? "more such accounts than are looked through" : NULL;
}

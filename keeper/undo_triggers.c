/* SPDX-License-Identifier: Apache-2.0
 * Triggers of users while rows are put back: they would run with the rights of the keeper, and what
 * they did was done once. Each table's are switched by themselves (ONLY): copies that partitions
 * have of a parent's trigger may have a state of their own, and their parent may not be touched.
 * OWNS nothing. PROCESS keeper, threads of the pool. TRUST see undo.c. SPEC keeper/undo_tables.h.
 */
#include "keeper/said.h"
#include "keeper/undo_tables.h"

static void put_switch(size_t number, const char *how, sp_buf *sql)
{
    sp_buf_fmt(sql,
               "SELECT format('ALTER TABLE ONLY %%s %%s TRIGGER %%I', tgrelid::regclass, %s, "
               "tgname) FROM pg_temp.sp_trigger_%zu " UNDO_GEXEC,
               how, number);
}

/* The table and its partitions; reaching: what a changed key of theirs reaches as well. */
static void put_those(const char *table, bool reaching, sp_buf *sql)
{
    sp_buf_fmt(sql,
               "WITH RECURSIVE those AS (SELECT %s::oid AS oid UNION SELECT x.oid FROM those "
               "CROSS JOIN LATERAL (SELECT inhrelid FROM pg_inherits WHERE inhparent = those.oid "
               "UNION ALL SELECT conrelid FROM pg_constraint WHERE confrelid = those.oid AND "
               "contype = 'f' AND %s AND (confupdtype IN ('c','n','d') OR confdeltype IN "
               "('c','n','d'))) x(oid)) ",
               table, reaching ? "true" : "false");
}

void undo_triggers_off(size_t number, const char *table, bool reaching, sp_buf *sql)
{
    if (reaching) { /* it would get its trigger later: what follows a key runs it as the keeper */
        put_those(table, reaching, sql);
        sp_buf_text(
            sql,
            "SELECT format('DO %L', format('BEGIN RAISE EXCEPTION USING ERRCODE = ''" KEEP_SAID_OURS
            "'', MESSAGE = %L; "
            "END', format('%s: what is put back may change its rows by a foreign key, and "
            "%s may not hold it: let it UPDATE that table', t.oid::regclass, "
            "session_user))) FROM those t JOIN pg_class c ON c.oid = t.oid WHERE c.relkind "
            "IN ('r','p') AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = "
            "pg_backend_pid() AND l.granted AND l.locktype = 'relation' AND l.relation = "
            "t.oid AND l.mode IN ('RowExclusiveLock', 'ShareUpdateExclusiveLock', "
            "'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')) LIMIT "
            "1 " UNDO_GEXEC);
    }
    sp_buf_fmt(sql, "CREATE TEMP TABLE sp_trigger_%zu ON COMMIT DROP AS ", number);
    put_those(table, reaching, sql);
    sp_buf_text(sql, "SELECT tgrelid, tgname, tgenabled FROM those JOIN pg_trigger ON tgrelid = "
                     "those.oid WHERE NOT tgisinternal AND tgenabled <> 'D';\n");
    put_switch(number, "'DISABLE'", sql);
}

void undo_triggers_on(size_t number, sp_buf *sql)
{
    put_switch(number,
               "CASE tgenabled WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'R' THEN 'ENABLE REPLICA' ELSE "
               "'ENABLE' END",
               sql);
}

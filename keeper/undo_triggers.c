/* SPDX-License-Identifier: Apache-2.0
 * Triggers of users while rows are put back: they would run with the rights of the keeper, and what
 * they did was done once. Each table's are switched by themselves (ONLY): copies that partitions
 * have of a parent's trigger may have a state of their own, and their parent may not be touched.
 * OWNS nothing. PROCESS keeper, threads of the pool. TRUST see undo.c. SPEC keeper/undo_tables.h.
 */
#include "keeper/undo_tables.h"

static void put_switch(size_t number, const char *how, sp_buf *sql)
{
    sp_buf_fmt(sql,
               "SELECT format('ALTER TABLE ONLY %%s %%s TRIGGER %%I', tgrelid::regclass, %s, "
               "tgname) FROM pg_temp.sp_trigger_%zu \\gexec\n",
               how, number);
}

void undo_triggers_off(size_t number, const char *table, bool reaching, sp_buf *sql)
{
    sp_buf_fmt(sql,
               "CREATE TEMP TABLE sp_trigger_%zu ON COMMIT DROP AS WITH RECURSIVE those AS ("
               "SELECT %s::oid AS oid UNION SELECT x.oid FROM those CROSS JOIN LATERAL ("
               "SELECT inhrelid FROM pg_inherits WHERE inhparent = those.oid UNION ALL "
               "SELECT conrelid FROM pg_constraint WHERE confrelid = those.oid AND contype = "
               "'f' AND %s AND (confupdtype IN ('c','n','d') OR confdeltype IN ('c','n','d'))) "
               "x(oid)) SELECT tgrelid, tgname, tgenabled FROM those JOIN pg_trigger ON "
               "tgrelid = those.oid WHERE NOT tgisinternal AND tgenabled <> 'D';\n",
               number, table, reaching ? "true" : "false");
    put_switch(number, "'DISABLE'", sql);
}

void undo_triggers_on(size_t number, sp_buf *sql)
{
    put_switch(number,
               "CASE tgenabled WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'R' THEN 'ENABLE REPLICA' ELSE "
               "'ENABLE' END",
               sql);
}

/* SPDX-License-Identifier: Apache-2.0
 * Foreign keys while rows are put back: parents come first, and where two tables refer to each
 * other neither is. What may wait waits until all rows are there; it is looked at before triggers
 * are switched on again, which the server refuses while a check is open. OWNS nothing. PROCESS
 * keeper, threads of the pool. TRUST numbers of the manifest; names come from the server's own
 * quoting. SPEC keeper/undo_tables.h; PostgreSQL 15 manual, SET CONSTRAINTS.
 */
#include "keeper/undo_tables.h"

static void list_places(const undo_tables *all, const char *as, sp_buf *sql)
{
    sp_buf_text(sql, "(VALUES ");
    for (size_t i = 0; i < all->count; i++) {
        sp_buf_fmt(sql, "%s(%u, %zu)", i == 0 ? "" : ",", undo_oid(all->items[i].relation), i);
    }
    sp_buf_fmt(sql, ") %s(oid, place)", as);
}

void undo_keys_wait(const undo_tables *all, sp_buf *sql)
{
    sp_buf_text(sql, "CREATE TEMP TABLE sp_key ON COMMIT DROP AS SELECT k.oid FROM pg_constraint k "
                     "JOIN ");
    list_places(all, "c", sql);
    sp_buf_text(sql, " ON c.oid = k.conrelid JOIN ");
    list_places(all, "p", sql);
    sp_buf_text(sql, " ON p.oid = k.confrelid WHERE k.contype = 'f' AND k.conparentid = 0 AND NOT "
                     "k.condeferrable AND c.place < p.place;\nSELECT format('ALTER TABLE %s ALTER "
                     "CONSTRAINT %I DEFERRABLE', conrelid::regclass, conname) FROM pg_constraint "
                     "JOIN pg_temp.sp_key USING (oid) ORDER BY oid " UNDO_GEXEC
                     "SET CONSTRAINTS ALL DEFERRED;\n");
}

void undo_keys_check(sp_buf *sql)
{
    sp_buf_text(sql, "SET CONSTRAINTS ALL IMMEDIATE;\nSELECT format('ALTER TABLE %s ALTER "
                     "CONSTRAINT %I NOT DEFERRABLE', conrelid::regclass, conname) FROM "
                     "pg_constraint JOIN pg_temp.sp_key USING (oid) ORDER BY oid " UNDO_GEXEC);
}

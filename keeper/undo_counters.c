/* SPDX-License-Identifier: Apache-2.0
 * Sequences of columns whose rows came back: TRUNCATE ... RESTART IDENTITY set them to their start,
 * so that the next row would take the number of one that is there again: they go on where they
 * stood when they were kept, and behind what is there. OWNS nothing. PROCESS
 * keeper, threads of the pool. TRUST whoever owns the table may own a sequence that takes no such
 * value, or that the keeper may not set: it is left as it is. SPEC PostgreSQL 15 manual, 9.17
 * "Sequence Manipulation Functions"; keeper/undo_tables.h.
 */
#include "keeper/undo_tables.h"

/* By number: its owner could give the name to something that runs his code. One that has not
 * counted yet tells where it stands by counting. setval() is not taken back by ROLLBACK; forward
 * only, so it does no harm when undo fails later. */
static const char FORWARD[] =
    "SELECT format('SELECT setval(%s::oid::regclass, m) FROM (SELECT %s(%I) AS m FROM %s) x"
    " WHERE m BETWEEN %s AND %s AND"
    " m %s COALESCE(pg_sequence_last_value(%s::oid), nextval(%s::oid::regclass))',"
    " s.seqrelid::oid, CASE WHEN s.seqincrement > 0 THEN 'max' ELSE 'min' END, a.attname,"
    " a.attrelid::regclass, s.seqmin, s.seqmax, CASE WHEN s.seqincrement > 0 THEN '>' ELSE '<' END,"
    " s.seqrelid::oid, s.seqrelid::oid)"
    " FROM pg_depend d JOIN pg_sequence s ON s.seqrelid = d.objid JOIN pg_attribute a"
    "  ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid AND NOT a.attisdropped"
    " WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass"
    " AND d.deptype IN ('a', 'i') AND NOT s.seqcycle"
    " AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)"
    " AND has_sequence_privilege(s.seqrelid, 'SELECT')"
    " AND has_sequence_privilege(s.seqrelid, 'UPDATE') AND d.refobjid = ";

/* By number; where it stood when it was kept, unless it is behind that by now. */
static void put_back(const json_t *counted, sp_buf *sql)
{
    long long last = (long long)json_integer_value(json_object_get(counted, "last"));
    sp_buf_fmt(sql,
               "SELECT format('SELECT setval(%%s::oid::regclass, %lld) WHERE COALESCE("
               "pg_sequence_last_value(%%s::oid), nextval(%%s::oid::regclass)) %%s %lld', "
               "s.seqrelid::oid, s.seqrelid::oid, s.seqrelid::oid, CASE WHEN s.seqincrement > 0 "
               "THEN '<' ELSE '>' END) FROM pg_sequence s WHERE s.seqrelid = %u AND %lld BETWEEN "
               "s.seqmin AND s.seqmax AND NOT s.seqcycle AND has_sequence_privilege(s.seqrelid, "
               "'SELECT') AND has_sequence_privilege(s.seqrelid, 'UPDATE') " UNDO_GEXEC,
               last, last, undo_oid(counted), last);
}

static void put_all_back(const undo *u, const undo_table *t, sp_buf *sql)
{
    const json_t *counted = json_object_get(u->manifest, "counted");
    for (size_t i = 0; i < json_array_size(counted); i++) {
        const json_t *one = json_array_get(counted, i);
        if (json_is_integer(json_object_get(one, "last")) &&
            (uint32_t)json_integer_value(json_object_get(one, "of")) == undo_oid(t->relation)) {
            put_back(one, sql);
        }
    }
}

void undo_counters(const undo *u, const undo_table *t, sp_buf *sql)
{
    if (t->adds && !u->try_only) {
        put_all_back(u, t, sql);
        sp_buf_text(sql, FORWARD);
        sp_buf_fmt(sql, "%u " UNDO_GEXEC, undo_oid(t->relation));
    }
}

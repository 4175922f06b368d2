/* SPDX-License-Identifier: Apache-2.0
 * Rows of others that refer to what the statement wrote: to a row that would go, or to a value that
 * would be what it was. Foreign keys would take them along, change them, or refuse: so what they
 * hang on stays, and that is told. By the keys that there are now, as these compare, with their
 * tables locked.
 * OWNS nothing. PROCESS keeper, threads of the pool. TRUST see undo.c. SPEC keeper/undo_tables.h.
 */
#include "keeper/undo_tables.h"

/* Of the keys k whose parent is the table or a part of it. %u: its number, twice. */
#define OF_IT                                                                                      \
    "FROM pg_constraint k WHERE contype = 'f' AND (confrelid = %u OR (conparentid = 0 AND "        \
    "confrelid IN (SELECT relid FROM pg_partition_tree(%u)))) "

/* t is the parent's row, f that of the child. */
#define SAME                                                                                       \
    "(SELECT string_agg(CASE WHEN o.oprnamespace = 'pg_catalog'::regnamespace THEN "               \
    "format('t.%%I = f.%%I', p.attname, c.attname) ELSE format('t.%%I::%%s OPERATOR(%%s.%%s) "     \
    "f.%%I::%%s', p.attname, format_type(o.oprleft, NULL), o.oprnamespace::regnamespace, "         \
    "o.oprname, c.attname, format_type(o.oprright, NULL)) END, ' AND ') FROM "                     \
    "unnest(conkey, confkey, conpfeqop) x(child, parent, same) JOIN pg_attribute c ON "            \
    "c.attrelid = conrelid AND c.attnum = child JOIN pg_attribute p ON p.attrelid = confrelid "    \
    "AND p.attnum = parent JOIN pg_operator o ON o.oid = same)"

static const char NOT_ITS_OWN[] = "f.xmin::text NOT IN (SELECT xid FROM pg_temp.sp_one)";

static char *quoted(const undo *u, sp_span text)
{
    return PQescapeLiteral(u->conn, (const char *)text.ptr, text.len);
}

void undo_put_hung(const undo *u, const undo_table *t, sp_span which, sp_buf *sql)
{
    static const char takes[] = "AND confdeltype IN ('c','n','d') " UNDO_GEXEC;
    uint32_t oid = undo_oid(t->relation);
    char *literal = quoted(u, which);
    sp_buf_fmt(
        sql,
        "CREATE TEMP TABLE sp_hung_%zu (part oid, place tid) ON COMMIT DROP;\n"
        "SELECT format('LOCK TABLE %%s IN SHARE ROW EXCLUSIVE MODE', conrelid::regclass) " OF_IT
        "%s",
        t->number, oid, oid, takes);
    sp_buf_fmt(sql,
               "SELECT format('INSERT INTO pg_temp.sp_hung_%zu SELECT t.tableoid, t.ctid FROM %%s "
               "t WHERE %%s AND EXISTS (SELECT FROM %%s f WHERE %%s%%s)', confrelid::regclass, %s, "
               "conrelid::regclass, " SAME ", CASE WHEN conrelid = confrelid OR conrelid IN "
               "(SELECT relid FROM pg_partition_tree(%u)) THEN ' AND %s' END) " OF_IT "%s",
               t->number, literal == NULL ? "NULL" : literal, oid, NOT_ITS_OWN, oid, oid, takes);
    PQfreemem(literal);
}

/* Keys to a column that is set, and that was kept. %s: their names. */
#define SETS                                                                                       \
    "AND EXISTS (SELECT FROM unnest(confkey) x JOIN pg_attribute p ON p.attrelid = confrelid AND " \
    "p.attnum = x JOIN json_array_elements_text(%s::json) n ON n = p.attname) "
#define MAY_LOCK "AND has_table_privilege(conrelid, 'UPDATE, DELETE, TRUNCATE') "

void undo_put_held(const undo *u, const undo_table *t, sp_span which, const json_t *set,
                   sp_buf *sql)
{
    uint32_t oid = undo_oid(t->relation);
    char *names = json_dumps(set, JSON_COMPACT);
    char *list = quoted(u, sp_span_cstr(names == NULL ? "[]" : names));
    char *literal = quoted(u, which);
    sp_free(names);
    const char *those = list == NULL ? "'[]'" : list;
    sp_buf_fmt(
        sql,
        "CREATE TEMP TABLE sp_held_%zu (part oid, place tid) ON COMMIT DROP;\n"
        "SELECT format('LOCK TABLE %%s IN SHARE ROW EXCLUSIVE MODE', conrelid::regclass) " OF_IT
            SETS MAY_LOCK UNDO_GEXEC,
        t->number, oid, oid, those);
    sp_buf_fmt(sql,
               "SELECT format('INSERT INTO pg_temp.sp_held_%zu SELECT t.tableoid, t.ctid FROM %%s "
               "t, pg_temp.sp_undo_%zu s, pg_temp.sp_diff_%zu d, pg_temp.sp_one o WHERE %%s AND "
               "(%%s) AND EXISTS (SELECT FROM %%s f WHERE %%s AND %s)', confrelid::regclass, %s, "
               "(SELECT string_agg(format('t.%%I::text IS DISTINCT FROM s.%%I::text', n, n), "
               "' OR ') FROM unnest(confkey) x JOIN pg_attribute p ON p.attrelid = confrelid AND "
               "p.attnum = x JOIN json_array_elements_text(%s::json) n ON n = p.attname), "
               "conrelid::regclass, " SAME ") " OF_IT SETS UNDO_GEXEC,
               t->number, t->number, t->number, NOT_ITS_OWN, literal == NULL ? "NULL" : literal,
               those, oid, oid, those);
    sp_buf_fmt(sql,
               "INSERT INTO pg_temp.sp_count SELECT %zu, 'held', count(*) FROM (SELECT DISTINCT "
               "part, place FROM pg_temp.sp_held_%zu) x;\n",
               t->number, t->number);
    PQfreemem(list);
    PQfreemem(literal);
}

/* SPDX-License-Identifier: Apache-2.0
 * What is there before it is destroyed: the relations that are asked for and what goes with them
 * (partitions, rows that cascade, views and sequences that fall), their columns and keys, and the
 * foreign keys that tie them.
 * OWNS nothing. PROCESS keeper, threads of the pool. TRUST names come from core as JSON values and
 * reach the server as one parameter; what comes back is the server's JSON.
 * SPEC PostgreSQL "System Catalogs".
 */
#include "keeper/manifest.h"

#include <stdio.h>

enum { CODE_MAX_BYTES = 32 * 1024 };

/* Of an extension: whoever owns both can add a table to it, and pg_dump leaves it out. */
#define IS_MEMBER                                                                                  \
    "EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e'"         \
    " AND d.classid = 'pg_catalog.pg_class'::regclass)"

/* $1 objects, $2 verb, $3 cascades ('t'/'f'), $4 whole, $5 who holds them. The server makes the
 * whole manifest. */
static const char CLOSURE[] =
    "WITH RECURSIVE asked AS ("
    " SELECT c.oid FROM json_to_recordset($1::json) AS j(schema text, name text)"
    " JOIN pg_catalog.pg_namespace n ON n.nspname = j.schema"
    " JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = j.name"
    " WHERE c.relkind IN ('r','p','v','m','S','f')"
    " UNION SELECT c.oid FROM pg_catalog.pg_class c"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE $4::bool AND c.relkind IN ('r','p','v','m','S','f') AND c.relpersistence <> 't'"
    " AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
    /* what its script made is a superuser's, and comes back with it */
    " AND NOT (" IS_MEMBER " AND EXISTS (SELECT FROM pg_catalog.pg_roles r"
    "  WHERE r.oid = c.relowner AND r.rolsuper))),"
    /* changed: its columns may get other values by keys, which others may follow in turn */
    "verbs(d, u, t, o) AS (SELECT w && ARRAY['ANY','DELETE','WITH','MERGE'],"
    " w && ARRAY['ANY','UPDATE','WITH','MERGE','INSERT'], 'TRUNCATE' = ANY (w) AND $3::bool,"
    " w && ARRAY['ANY','DROP','ALTER'] FROM string_to_array($2, ' ') w),"
    "closure(oid, why, changed) AS ("
    " SELECT oid, 'asked'::text, false FROM asked"
    " UNION SELECT x.oid, x.why, x.changed FROM closure k CROSS JOIN verbs v CROSS JOIN LATERAL ("
    "  SELECT i.inhrelid, 'partition'::text, k.changed FROM pg_catalog.pg_inherits i"
    "   WHERE i.inhparent = k.oid"
    "  UNION ALL SELECT f.conrelid, 'cascade', v.d AND f.confdeltype IN ('n','d')"
    "   FROM pg_catalog.pg_constraint f WHERE f.contype = 'f' AND f.confrelid = k.oid"
    "   AND (v.t OR v.d AND f.confdeltype IN ('c','n','d'))"
    "  UNION ALL SELECT f.conrelid, 'cascade', true FROM pg_catalog.pg_constraint f"
    "   WHERE f.contype = 'f' AND f.confrelid = k.oid AND (v.u OR k.changed)"
    "   AND f.confupdtype IN ('c','n','d')"
    "  UNION ALL SELECT r.ev_class, 'view', false FROM pg_catalog.pg_depend d"
    "   JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid"
    "   WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass"
    "   AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = k.oid"
    "   AND r.ev_class <> k.oid AND v.o"
    "  UNION ALL SELECT d.objid, 'sequence', false FROM pg_catalog.pg_depend d"
    "   JOIN pg_catalog.pg_class c ON c.oid = d.objid AND c.relkind = 'S'"
    "   WHERE d.classid = 'pg_catalog.pg_class'::regclass"
    "   AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = k.oid"
    "   AND d.deptype IN ('a','i') AND v.o"
    " ) x(oid, why, changed)),"
    "picked AS (SELECT oid, (array_agg(why ORDER BY why = 'asked' DESC, why))[1] AS why,"
    " bool_or(changed) AS changed FROM closure GROUP BY oid),"
    "keys AS (SELECT DISTINCT ON (i.indrelid) i.indrelid, i.indexrelid FROM pg_catalog.pg_index i"
    " JOIN picked p ON p.oid = i.indrelid WHERE i.indisunique AND i.indisvalid"
    " AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL AND NOT EXISTS ("
    "  SELECT FROM unnest(i.indkey::int2[], i.indcollation::oid[]) WITH ORDINALITY"
    "   u(attnum, coll, ord)"
    "  JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.attnum"
    "  WHERE u.ord <= i.indnkeyatts AND (NOT a.attnotnull OR a.attcollation <> u.coll"
    "  OR a.attgenerated <> ''))"
    " ORDER BY i.indrelid, i.indisprimary DESC, i.indexrelid)";
/* Owners whose rights the keeper lacks, of what may have to be made again. */
static const char STRANGERS[] =
    ", strangers(list) AS (SELECT json_agg(json_build_object('owner', pg_get_userbyid(s.owner),"
    " 'of', s.one, 'more', s.n - 1)) FROM ("
    " SELECT x.owner, min(x.what) AS one, count(*) AS n FROM ("
    "  SELECT c.relowner, 'pg_catalog.pg_class'::regclass, c.oid, c.oid::regclass::text"
    "   FROM pg_catalog.pg_class c WHERE c.oid IN (SELECT oid FROM picked)"
    "   OR c.oid IN (SELECT f.conrelid FROM pg_catalog.pg_constraint f, verbs v"
    "    WHERE v.o AND f.contype = 'f' AND f.confrelid IN (SELECT oid FROM picked))"
    "  UNION ALL SELECT n.nspowner, 'pg_catalog.pg_namespace'::regclass, n.oid,"
    "   format('schema %I', n.nspname) FROM pg_catalog.pg_namespace n"
    "   WHERE $4::bool AND n.nspname !~ '^pg_' AND n.nspname <> 'public'"
    "  UNION ALL SELECT p.proowner, 'pg_catalog.pg_proc'::regclass, p.oid,"
    "   p.oid::regprocedure::text FROM pg_catalog.pg_proc p WHERE $4::bool"
    "  UNION ALL SELECT t.typowner, 'pg_catalog.pg_type'::regclass, t.oid, t.oid::regtype::text"
    "   FROM pg_catalog.pg_type t WHERE $4::bool AND t.typtype IN ('b', 'd', 'e', 'r')"
    "   AND t.typelem = 0"
    "  UNION ALL SELECT l.lomowner, NULL, l.oid, format('large object %s', l.oid)"
    "   FROM pg_catalog.pg_largeobject_metadata l WHERE $4::bool) x(owner, class, oid, what)"
    " WHERE (x.class IS NULL OR x.oid >= 16384) AND NOT pg_has_role(x.owner, 'USAGE')"
    "  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = x.class"
    "   AND d.objid = x.oid AND d.deptype = 'e')"
    " GROUP BY x.owner ORDER BY n DESC LIMIT 20) s)";

static const char MANIFEST[] =
    "SELECT json_build_object("
    "'format', 1, 'verb', $2::text, 'database', current_database(),"
    "'server', current_setting('server_version_num')::int,"
    "'owner', (SELECT pg_get_userbyid(datdba) FROM pg_catalog.pg_database"
    "  WHERE datname = current_database()),"
    "'encoding', (SELECT pg_encoding_to_char(encoding) FROM pg_catalog.pg_database"
    "  WHERE datname = current_database()),"
    "'collate', (SELECT datcollate FROM pg_catalog.pg_database WHERE datname = current_database()),"
    "'ctype', (SELECT datctype FROM pg_catalog.pg_database WHERE datname = current_database()),"
    /* as JSON, since servers before 15 have but the one provider, and 17 calls its locale otherwise
     */
    "'provider', (SELECT to_jsonb(d)->>'datlocprovider' FROM pg_catalog.pg_database d"
    "  WHERE datname = current_database()),"
    "'locale', (SELECT COALESCE(to_jsonb(d)->>'daticulocale', to_jsonb(d)->>'datlocale')"
    "  FROM pg_catalog.pg_database d WHERE datname = current_database()),"
    "'may_undo', has_database_privilege(current_database(), 'TEMPORARY'),"
    "'database_bytes', pg_database_size(current_database()),"
    /* who holds what is kept for the statement (gates/db/hold.c; others may hold it, too): by its
     * number its rows are told from others' */
    "'xids', (SELECT json_agg(DISTINCT x.transactionid::text) FROM pg_catalog.pg_locks l"
    " JOIN pg_catalog.pg_locks x ON x.virtualtransaction = l.virtualtransaction"
    "  AND x.locktype = 'transactionid' AND x.mode = 'ExclusiveLock' AND x.granted"
    " WHERE l.pid = $5::int AND l.locktype = 'relation' AND l.mode = 'ShareRowExclusiveLock' AND "
    "l.granted"
    "  AND l.relation IN (SELECT oid FROM picked WHERE why = 'asked') AND l.database ="
    "  (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())),"
    /* the newest of them in full: numbers come again after 2^32 */
    "'xact', (SELECT max(n.top - ((n.top - x.transactionid::text::bigint) & 4294967295))::text"
    " FROM pg_catalog.pg_locks x, (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
    "  + 2147483648 AS top) n WHERE x.locktype = 'transactionid' AND x.mode = 'ExclusiveLock'"
    " AND x.granted AND x.pid = $5::int),"
    "'relations', COALESCE((SELECT json_agg(json_build_object("
    " 'oid', c.oid::bigint, 'schema', n.nspname, 'name', c.relname,"
    " 'quoted', format('%I.%I', n.nspname, c.relname),"
    " 'kind', c.relkind, 'file', c.relfilenode::bigint,"
    " 'logged', c.relpersistence = 'p', 'why', p.why, 'changed', p.changed,"
    " 'bytes', CASE WHEN c.relkind IN ('r','m') THEN pg_table_size(c.oid) ELSE 0 END,"
    " 'rows', GREATEST(c.reltuples, 0)::bigint, 'owner', pg_get_userbyid(c.relowner),"
    " 'partition', c.relispartition, 'member', " IS_MEMBER
    /* the transaction that holds it wrote into it before */
    ", 'written', EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.pid = $5::int AND l.granted"
    "  AND l.locktype = 'relation' AND l.relation = c.oid AND l.mode = 'RowExclusiveLock'"
    "  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname ="
    "   current_database()))"
    ", 'rules', EXISTS (SELECT FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_roles wr"
    "  ON wr.oid = c.relowner WHERE w.ev_class = c.oid AND w.ev_type <> '1' AND NOT wr.rolsuper"
    "  AND c.relkind IN ('r', 'p'))"
    ", 'triggers', EXISTS (SELECT FROM pg_catalog.pg_trigger t"
    "  WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D'),"
    /* the highest that it is a part of and that is kept as well */
    " 'root', (SELECT format('%I.%I', rn.nspname, rc.relname)"
    "  FROM pg_partition_ancestors(c.oid) WITH ORDINALITY a(oid, ord)"
    "  JOIN picked rp ON rp.oid = a.oid JOIN pg_catalog.pg_class rc ON rc.oid = a.oid"
    "  JOIN pg_catalog.pg_namespace rn ON rn.oid = rc.relnamespace"
    "  WHERE c.relispartition AND a.oid <> c.oid ORDER BY a.ord DESC LIMIT 1),"
    " 'parent', e.parent, 'calls', e.calls, 'types', e.types, 'stands', e.stands, 'own', e.own,";
static const char COLUMNS[] =
    " 'columns', (SELECT json_agg(json_strip_nulls(json_build_object('name', a.attname,"
    "  'quoted', quote_ident(a.attname), 'number', a.attnum, 'type_oid', a.atttypid::bigint,"
    "  'type', format_type(a.atttypid, a.atttypmod),"
    "  'generated', a.attgenerated <> '', 'fixed', a.attidentity = 'a', 'notnull', a.attnotnull,"
    "  'domain', NULLIF(t.typtype = 'd', false), 'row_of', (SELECT NULLIF(max(y.typrelid::bigint),"
    "   0) FROM pg_catalog.pg_type y WHERE y.oid IN (t.oid, t.typelem, t.typbasetype)),"
    "  'default', CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END,"
    "  'collation', (SELECT format('%I.%I', cn.nspname, o.collname) FROM pg_catalog.pg_collation o"
    "   JOIN pg_catalog.pg_namespace cn ON cn.oid = o.collnamespace"
    "   WHERE o.oid = a.attcollation AND o.oid <> t.typcollation),"
    "  'identity', CASE a.attidentity WHEN 'a' THEN 'ALWAYS' WHEN 'd' THEN 'BY DEFAULT' END,"
    /* what it falls with besides its type: a collation, what it is generated by */
    "  'on', (SELECT json_agg(json_build_array(x.refclassid::bigint, x.refobjid::bigint))"
    "   FROM pg_catalog.pg_depend x WHERE x.refobjid >= 16384"
    "   AND (x.classid = 'pg_catalog.pg_class'::regclass AND x.objid = c.oid"
    "    AND x.objsubid = a.attnum AND x.refclassid = 'pg_catalog.pg_collation'::regclass"
    "    OR x.classid = 'pg_catalog.pg_attrdef'::regclass AND x.objid = d.oid"
    "    AND a.attgenerated <> '' AND NOT (x.refclassid = 'pg_catalog.pg_class'::regclass"
    "     AND x.refobjid = c.oid))),"
    "  'less', NULLIF(concat_ws(', ', CASE WHEN a.attacl IS NOT NULL THEN 'grants' END,"
    "   CASE WHEN col_description(a.attrelid, a.attnum) IS NOT NULL THEN 'comment' END,"
    /* the server has options of its own besides */
    "   CASE WHEN a.attstorage <> t.typstorage"
    "   OR EXISTS (SELECT FROM unnest(a.attoptions) x WHERE x LIKE 'n\\_distinct%')"
    "   OR a.attcompression <> '' OR a.attstattarget > 0 THEN 'settings of storage and statistics'"
    "   END), '')))"
    "  ORDER BY a.attnum) FROM pg_catalog.pg_attribute a"
    "  JOIN pg_catalog.pg_type t ON t.oid = a.atttypid LEFT JOIN pg_catalog.pg_attrdef d"
    "  ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
    "  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),";
static const char KEYS[] =
    " 'key', (SELECT json_agg(quote_ident(a.attname) ORDER BY u.ord) FROM keys k"
    "  JOIN pg_catalog.pg_index i ON i.indexrelid = k.indexrelid"
    "  CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY u(attnum, ord)"
    "  JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.attnum"
    "  WHERE k.indrelid = c.oid AND u.ord <= i.indnkeyatts),"
    /* what says that two of its values are the same, by number, where one is not the server's own
     */
    " 'equals', (SELECT CASE WHEN bool_or(eo.oprnamespace <> 'pg_catalog'::regnamespace) THEN"
    "  json_agg(eo.oid::bigint ORDER BY u.ord) END FROM keys k"
    "  JOIN pg_catalog.pg_index i ON i.indexrelid = k.indexrelid"
    "  CROSS JOIN LATERAL unnest(i.indclass::oid[]) WITH ORDINALITY u(class, ord)"
    "  JOIN pg_catalog.pg_opclass oc ON oc.oid = u.class"
    "  JOIN pg_catalog.pg_amop ao ON ao.amopfamily = oc.opcfamily AND ao.amopstrategy = 3"
    "   AND ao.amoplefttype = oc.opcintype AND ao.amoprighttype = oc.opcintype"
    "  JOIN pg_catalog.pg_operator eo ON eo.oid = ao.amopopr"
    "  WHERE k.indrelid = c.oid)) ORDER BY n.nspname, c.relname)"
    " FROM picked p JOIN pg_catalog.pg_class c ON c.oid = p.oid JOIN early e ON e.oid = c.oid"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace), '[]'::json),";
/* What has no entry of its own in the archive, hangs on what may stay, and falls with what it
 * calls: checks of tables and domains, defaults, attributes of types. risky: a value that is
 * written in it is made by what may ask a domain's checks. */
static const char HANGS[] =
    "'hangs', (SELECT json_agg(json_strip_nulls(json_build_object('of', h.of, 'oid',"
    " h.oid::bigint, 'host', h.host::bigint, 'number', h.number, 'columns', h.columns, 'name',"
    " quote_ident(h.name), 'said', h.said, 'definition', h.definition, 'comment',"
    " obj_description(h.oid, h.class::text::name), 'on', o.list, 'risky', NULLIF(o.risky, false)))"
    " ORDER BY h.said) FROM (SELECT 'check', 'pg_constraint'::regclass, k.oid, k.conrelid,"
    "  NULL::int, to_json(k.conkey), k.conname, format('check %I of %I.%I', k.conname, n.nspname,"
    "  c.relname), pg_get_constraintdef(k.oid), c.oid, c.relpersistence, n.nspname"
    "  FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    "  WHERE k.contype = 'c' AND k.coninhcount = 0"
    " UNION ALL SELECT 'domain', 'pg_constraint'::regclass, k.oid, k.contypid, NULL, NULL,"
    "  k.conname, format('check %I of domain %I.%I', k.conname, n.nspname, t.typname),"
    "  pg_get_constraintdef(k.oid), NULL, '', n.nspname FROM pg_catalog.pg_constraint k"
    "  JOIN pg_catalog.pg_type t ON t.oid = k.contypid"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE k.contype = 'c'"
    " UNION ALL SELECT 'default', 'pg_attrdef'::regclass, d.oid, d.adrelid, d.adnum, NULL,"
    "  a.attname, format('default of column %I of %I.%I', a.attname, n.nspname, c.relname),"
    "  pg_get_expr(d.adbin, d.adrelid), c.oid, c.relpersistence, n.nspname"
    "  FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_class c ON c.oid = d.adrelid"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    "  JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum"
    "  WHERE a.attgenerated = ''"
    " UNION ALL SELECT 'attribute', 'pg_class'::regclass, c.oid, c.oid, a.attnum, NULL, a.attname,"
    "  format('attribute %I of type %I.%I', a.attname, n.nspname, c.relname), NULL, NULL, '',"
    "  n.nspname FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    "  WHERE c.relkind = 'c' AND a.attnum > 0 AND NOT a.attisdropped)"
    " h(of, class, oid, host, number, columns, name, said, definition, relation, persistence, "
    "space)"
    " CROSS JOIN LATERAL (SELECT json_agg(json_build_array(d.refclassid::bigint,"
    "   d.refobjid::bigint)) AS list, bool_or(EXISTS (WITH RECURSIVE t(oid, inside) AS ("
    "   SELECT d.refobjid, false WHERE d.refclassid = 'pg_catalog.pg_type'::regclass"
    "   UNION SELECT x.oid, x.inside FROM t JOIN pg_catalog.pg_type y ON y.oid = t.oid"
    "   CROSS JOIN LATERAL (SELECT y.typelem, true WHERE y.typlen = -1"
    "    UNION ALL SELECT y.typbasetype, t.inside"
    "    UNION ALL SELECT r.rngsubtype, true FROM pg_catalog.pg_range r WHERE y.oid ="
    "     ANY (ARRAY[r.rngtypid, (to_jsonb(r)->>'rngmultitypid')::oid])) x(oid, inside)"
    "   WHERE x.oid <> 0) SELECT FROM t JOIN pg_catalog.pg_type y ON y.oid = t.oid"
    "   WHERE y.typtype = 'c' OR y.typtype = 'd' AND t.inside)) AS risky"
    "  FROM pg_catalog.pg_depend d WHERE d.classid = h.class AND d.objid = h.oid"
    "  AND d.refobjid >= 16384 AND (h.of <> 'attribute' OR d.objsubid = h.number)"
    "  AND NOT (d.refobjid = h.host AND d.refclassid IN ('pg_catalog.pg_class'::regclass,"
    "   'pg_catalog.pg_type'::regclass))) o"
    " WHERE (o.list IS NOT NULL OR h.of = 'check'"
    "  OR string_to_array($2, ' ') && ARRAY['ANY', 'ALTER'])"
    " AND (h.relation IN (SELECT oid FROM picked) OR $4::bool AND h.persistence <> 't'"
    "  AND h.space !~ '^pg_' AND h.space <> 'information_schema')"
    " AND (SELECT v.o FROM verbs v)),";
static const char BESIDES[] =
    "'strangers', (SELECT list FROM strangers),"
    "'public', (SELECT json_build_object('oid', oid::bigint, 'owner', pg_get_userbyid(nspowner))"
    " FROM pg_catalog.pg_namespace WHERE nspname = 'public'),"
    /* pg_dump writes them of a whole database only */
    "'beside', (SELECT json_agg(json_build_object('of', x.of, 'oid', x.oid::bigint, 'said', x.said)"
    " ORDER BY x.said) FROM (SELECT 'statistics', s.oid, format('extended statistics %I.%I of "
    "%I.%I',"
    "  sn.nspname, s.stxname, n.nspname, c.relname), s.stxrelid FROM pg_catalog.pg_statistic_ext s"
    "  JOIN pg_catalog.pg_namespace sn ON sn.oid = s.stxnamespace"
    "  JOIN pg_catalog.pg_class c ON c.oid = s.stxrelid"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " UNION ALL SELECT 'publication', r.oid, format('%I.%I in the publication %I', n.nspname,"
    "  c.relname, p.pubname), r.prrelid FROM pg_catalog.pg_publication_rel r"
    "  JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid"
    "  JOIN pg_catalog.pg_class c ON c.oid = r.prrelid"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    "  WHERE NOT $4::bool OR NOT pg_has_role(p.pubowner, 'USAGE')) x(of, oid, said, relation)"
    " WHERE (NOT $4::bool OR x.of = 'publication') AND x.relation IN (SELECT oid FROM picked)),"
    /* of a whole database: who may make them again (oids of pg_publication, its members, pg_proc)
     */
    "'guarded', (SELECT json_agg(json_build_object('class', x.class, 'oid', x.oid::bigint,"
    " 'publication', x.publication::bigint, 'owner', pg_get_userbyid(x.owner), 'all', x.every))"
    " FROM (SELECT 6104, oid, oid, pubowner, puballtables FROM pg_catalog.pg_publication"
    " UNION ALL SELECT 6106, r.oid, p.oid, p.pubowner, false FROM pg_catalog.pg_publication_rel r"
    "  JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid"
    /* in languages that are not trusted */
    " UNION ALL SELECT 1255, f.oid, 0, f.proowner, true FROM pg_catalog.pg_proc f"
    "  JOIN pg_catalog.pg_language l ON l.oid = f.prolang AND NOT l.lanpltrusted"
    "  WHERE f.oid >= 16384 AND f.prokind <> 'a' AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d"
    " WHERE d.objid = "
    "f.oid"
    "   AND d.classid = 'pg_catalog.pg_proc'::regclass AND d.deptype = 'e'))"
    "  x(class, oid, publication, owner, every) WHERE $4::bool),"
    "'schemas', (SELECT json_agg(json_build_array('pg_catalog.pg_namespace'::regclass::oid::bigint,"
    " oid::bigint, quote_ident(nspname))) FROM pg_catalog.pg_namespace WHERE oid >= 16384"
    " OR nspname = 'public'),"
    /* where the sequences of their columns stood, which TRUNCATE may set back */
    "'counted', (SELECT json_agg(json_build_object('of', d.refobjid::bigint, 'oid',"
    " s.seqrelid::bigint, 'last', CASE WHEN has_sequence_privilege(s.seqrelid, 'SELECT') THEN"
    " pg_sequence_last_value(s.seqrelid) END)) FROM pg_catalog.pg_sequence s"
    " JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::regclass"
    " AND d.objid = s.seqrelid AND d.refclassid = 'pg_catalog.pg_class'::regclass"
    " AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')"
    " WHERE d.refobjid IN (SELECT oid FROM picked)"
    " AND string_to_array($2, ' ') && ARRAY['ANY', 'TRUNCATE']),"
    "'counters', (SELECT json_object_agg(d.objid::text, d.refobjid::bigint)"
    " FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass"
    " AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.deptype = 'i' AND d.refobjsubid > 0"
    " AND d.objsubid = 0 AND d.refobjid IN (SELECT oid FROM picked)),"
    /* checks that no row is asked when they are added */
    "'unchecked', (SELECT json_object_agg(o.oid::text, true) FROM pg_catalog.pg_constraint o"
    " WHERE o.contype = 'c' AND NOT o.convalidated),"
    "'foreign', COALESCE((SELECT json_agg(json_build_object('oid', f.oid::bigint,"
    " 'on_delete', f.confdeltype, 'on_update', f.confupdtype, 'table', f.conrelid::bigint, "
    "'references', f.confrelid::bigint,"
    " 'quoted', format('%I.%I', n.nspname, c.relname), 'name', quote_ident(f.conname),"
    " 'refers', format('%I.%I', pn.nspname, p.relname),"
    " 'definition', pg_get_constraintdef(f.oid)) ORDER BY f.oid)"
    " FROM pg_catalog.pg_constraint f JOIN pg_catalog.pg_class c ON c.oid = f.conrelid"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_catalog.pg_class p ON p.oid = f.confrelid"
    " JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace"
    " WHERE f.contype = 'f' AND f.conparentid = 0 AND (f.confrelid IN (SELECT oid FROM picked)"
    " OR f.conrelid IN (SELECT oid FROM picked))), '[]'::json))::text";

bool keep_has_word(const char *text, const char *words)
{
    sp_span rest = sp_span_cstr(words);
    sp_span word;
    while (sp_span_split(&rest, ' ', &word)) {
        sp_span all = sp_span_cstr(text == NULL ? "" : text);
        sp_span one;
        while (sp_span_split(&all, ' ', &one)) {
            if (sp_span_eq(word, one)) {
                return true;
            }
        }
    }
    return false;
}

static const char *quoted_of(const json_t *relation)
{
    const char *name = json_string_value(json_object_get(relation, "quoted"));
    return name == NULL ? "" : name;
}

static sp_err ask(keep_job *job, PGconn *conn, bool whole, json_t **ret_manifest)
{
    auto_buf sp_buf sql =
        sp_buf_make(sizeof(CLOSURE) + sizeof(STRANGERS) + CODE_MAX_BYTES + sizeof(MANIFEST) +
                    sizeof(COLUMNS) + sizeof(KEYS) + sizeof(HANGS) + sizeof(BESIDES));
    auto_free char *text = NULL;
    char objects[SP_KEEPER_OBJECTS_MAX_BYTES + 1];
    char verb[SP_KEEPER_VERB_MAX_BYTES + 1];
    char holder[16];
    sp_span given = job->job.objects.len > 0 ? job->job.objects : SP_SPAN_LIT("[]");
    TRY(sp_fit(objects, sizeof(objects), given));
    TRY(sp_fit(verb, sizeof(verb), job->job.verb));
    const char *const values[] = {objects, verb, job->job.cascades != 0 ? "t" : "f",
                                  whole ? "t" : "f", holder};
    snprintf(holder, sizeof(holder), "%d", (int)job->job.holder);
    sp_buf_text(&sql, CLOSURE);
    sp_buf_text(&sql, STRANGERS);
    sp_buf_text(&sql, keep_stands);
    sp_buf_text(&sql, keep_reach);
    sp_buf_text(&sql, keep_reached);
    sp_buf_text(&sql, keep_calls);
    sp_buf_text(&sql, keep_early);
    sp_buf_text(&sql, MANIFEST);
    sp_buf_text(&sql, COLUMNS);
    sp_buf_text(&sql, KEYS);
    sp_buf_text(&sql, HANGS);
    sp_buf_text(&sql, BESIDES);
    TRY(sp_buf_take_cstr(&sql, &text));
    return keep_exec_json(job, conn, text, SP_COUNT(values), values, ret_manifest);
}

/* What else is in an archive of the whole database: undo may have to make it again, and looks at it
 * before; its rows are not those of the statement. */
static sp_err add_outside(keep_job *job, PGconn *conn, json_t *manifest)
{
    auto_json json_t *whole = NULL;
    auto_json json_t *named = json_object();
    json_t *outside = json_array();
    json_object_set_new(manifest, "outside", outside);
    const json_t *relations = json_object_get(manifest, "relations");
    TRY(ask(job, conn, true, &whole));
    for (size_t i = 0; i < json_array_size(relations); i++) {
        json_object_set_new(named, quoted_of(json_array_get(relations, i)), json_true());
    }
    relations = json_object_get(whole, "relations");
    for (size_t i = 0; i < json_array_size(relations); i++) {
        json_t *one = json_array_get(relations, i);
        if (json_object_get(named, quoted_of(one)) == NULL) {
            json_array_append(outside, one);
        }
    }
    return sp_ok();
}

sp_err keep_manifest(keep_job *job, PGconn *conn, json_t **ret_manifest)
{
    auto_json json_t *manifest = NULL;
    char system[KEEP_SYSTEM_BYTES];
    keep_place at;
    TRY(ask(job, conn, job->job.whole != 0, &manifest));
    TRY(keep_system(job, conn, system));
    TRY(keep_position(job, conn, &at));
    json_object_set_new(manifest, "system", json_string(system));
    json_object_set_new(manifest, "timeline", json_string(at.timeline));
    json_object_set_new(manifest, "lsn", json_string(at.lsn));
    json_object_set_new(manifest, "whole", json_boolean(job->job.whole));
    size_t count = json_array_size(json_object_get(manifest, "relations"));
    if (job->job.whole == 0 && count == 0) {
        sp_buf_text(&job->why, "none of the objects named is a table, view or sequence of this "
                               "database");
        return sp_fail(SP_ENOTFOUND);
    }
    if (job->job.whole == 0 && count > KEEP_RELATIONS_MAX) {
        json_object_set_new(manifest, "whole", json_true());
        TRY(add_outside(job, conn, manifest));
    }
    TRY(keep_definitions(job, conn, manifest));
    *ret_manifest = SP_STEAL(manifest);
    return sp_ok();
}

uint64_t keep_manifest_bytes(const json_t *manifest)
{
    const json_t *relations = json_object_get(manifest, "relations");
    uint64_t bytes = 0;
    if (json_is_true(json_object_get(manifest, "whole"))) {
        return (uint64_t)json_integer_value(json_object_get(manifest, "database_bytes"));
    }
    for (size_t i = 0; i < json_array_size(relations); i++) {
        const json_t *one = json_array_get(relations, i);
        bytes += (uint64_t)json_integer_value(json_object_get(one, "bytes"));
    }
    return bytes;
}

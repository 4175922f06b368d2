/* SPDX-License-Identifier: Apache-2.0
 * Whose code a definition may run: what relations, and what else a whole keep has that the server
 * reads values or folds expressions of, stand on and call.
 * OWNS nothing. PROCESS keeper, threads of the pool. TRUST see manifest.c. SPEC PostgreSQL "System
 * Catalogs", pg_depend.
 */
#include "keeper/manifest.h"

/* What definitions stand on (`stood`), and whose code runs when rows are put into a table, or while
 * it is made (`reach`): from its checks, generated columns, keys and types to functions; late: what
 * a table that is made again gets behind its rows. */
const char keep_stands[] =
    ", stood AS MATERIALIZED (SELECT DISTINCT c.oid AS about, d.refclassid AS class,"
    "  d.refobjid AS oid FROM picked c CROSS JOIN LATERAL ("
    "  SELECT 'pg_catalog.pg_class'::regclass, c.oid"
    "  UNION ALL SELECT 'pg_catalog.pg_class'::regclass, o.indexrelid FROM pg_catalog.pg_index o"
    "   WHERE o.indrelid = c.oid"
    "  UNION ALL SELECT 'pg_catalog.pg_attrdef'::regclass, o.oid FROM pg_catalog.pg_attrdef o"
    "   WHERE o.adrelid = c.oid"
    "  UNION ALL SELECT 'pg_catalog.pg_constraint'::regclass, o.oid"
    "   FROM pg_catalog.pg_constraint o WHERE o.conrelid = c.oid AND o.contype <> 'f'"
    "  UNION ALL SELECT 'pg_catalog.pg_rewrite'::regclass, o.oid FROM pg_catalog.pg_rewrite o"
    "   WHERE o.ev_class = c.oid"
    "  UNION ALL SELECT 'pg_catalog.pg_policy'::regclass, o.oid FROM pg_catalog.pg_policy o"
    "   WHERE o.polrelid = c.oid"
    "  UNION ALL SELECT 'pg_catalog.pg_trigger'::regclass, o.oid FROM pg_catalog.pg_trigger o"
    "   WHERE o.tgrelid = c.oid) o(class, oid)"
    /* OFFSET: by what depends, also where nothing is known yet of how much there is of each */
    "  CROSS JOIN LATERAL (SELECT refclassid, refobjid FROM pg_catalog.pg_depend"
    "   WHERE classid = o.class AND objid = o.oid OFFSET 0) d"
    "  WHERE d.refobjid >= 16384 AND d.refobjid <> c.oid AND d.refclassid IN ("
    "   'pg_catalog.pg_type'::regclass, 'pg_catalog.pg_proc'::regclass,"
    "   'pg_catalog.pg_operator'::regclass, 'pg_catalog.pg_class'::regclass)),"
    "stands AS (SELECT x.about, json_agg(json_build_array(x.class::bigint, x.oid::bigint, x.name))"
    " AS list FROM (SELECT s.about, s.class::oid, s.oid, " KEEP_NAME_OF_S " AS name FROM stood s"
    "  UNION ALL SELECT p.oid, 'pg_catalog.pg_namespace'::regclass, n.oid, "
    "quote_ident(n.nspname)"
    "  FROM picked p JOIN pg_catalog.pg_class c ON c.oid = p.oid"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace) x WHERE x.name IS NOT "
    "NULL"
    " GROUP BY x.about),"
    "types AS (SELECT about, json_agg(DISTINCT format_type(oid, NULL)) AS list FROM stood"
    " WHERE class = 'pg_catalog.pg_type'::regclass GROUP BY about),";
const char keep_reach[] =
    "reach(about, late, class, oid) AS (SELECT p.oid, x.late, x.class::oid, x.oid FROM picked p"
    " JOIN pg_catalog.pg_class c ON c.oid = p.oid AND c.relkind IN ('r', 'p', 'f')"
    " CROSS JOIN LATERAL (SELECT false, 'pg_catalog.pg_class'::regclass, c.oid"
    "  UNION ALL SELECT false, 'pg_catalog.pg_attrdef'::regclass, d.oid FROM pg_catalog.pg_attrdef "
    "d"
    "   JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum"
    "   WHERE d.adrelid = c.oid AND a.attgenerated <> ''"
    /* pg_dump adds it behind the rows, too, when what it calls takes a row of the table */
    "  UNION ALL SELECT NOT k.convalidated OR EXISTS (SELECT FROM pg_catalog.pg_depend d"
    "    JOIN pg_catalog.pg_depend f ON f.classid = d.refclassid AND f.objid = d.refobjid"
    "     AND f.refclassid = 'pg_catalog.pg_type'::regclass"
    "    JOIN pg_catalog.pg_type t ON t.oid = f.refobjid AND c.oid IN (t.typrelid,"
    "     (SELECT e.typrelid FROM pg_catalog.pg_type e WHERE e.oid = t.typelem))"
    "    WHERE d.classid = 'pg_catalog.pg_constraint'::regclass AND d.objid = k.oid"
    "    AND d.refclassid = 'pg_catalog.pg_proc'::regclass),"
    "   'pg_catalog.pg_constraint'::regclass, k.oid"
    "   FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c'"
    "  UNION ALL SELECT true, 'pg_catalog.pg_class'::regclass, i.indexrelid"
    "   FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid"
    "  UNION ALL SELECT true, 'pg_catalog.pg_policy'::regclass, o.oid FROM pg_catalog.pg_policy o"
    "   WHERE o.polrelid = c.oid"
    "  UNION ALL SELECT true, 'pg_catalog.pg_rewrite'::regclass, r.oid FROM pg_catalog.pg_rewrite r"
    "   WHERE r.ev_class = c.oid) x(late, class, oid)";
/* From there to functions. */
const char keep_reached[] =
    " UNION SELECT n.about, n.late, x.class, x.oid FROM reach n CROSS JOIN LATERAL ("
    "  SELECT d.refclassid, d.refobjid FROM pg_catalog.pg_depend d WHERE d.classid = n.class"
    "   AND d.objid = n.oid AND d.refobjid >= 16384"
    "   AND d.refclassid IN ('pg_catalog.pg_type'::regclass, 'pg_catalog.pg_proc'::regclass,"
    "   'pg_catalog.pg_operator'::regclass) AND n.class <> 'pg_catalog.pg_proc'::regclass"
    "  UNION ALL SELECT 'pg_catalog.pg_constraint'::regclass, c.oid FROM pg_catalog.pg_constraint c"
    "   WHERE n.class = 'pg_catalog.pg_type'::regclass AND c.contypid = n.oid"
    "  UNION ALL SELECT 'pg_catalog.pg_class'::regclass, t.typrelid FROM pg_catalog.pg_type t"
    "   WHERE n.class = 'pg_catalog.pg_type'::regclass AND t.oid = n.oid AND t.typrelid <> 0"
    "  UNION ALL SELECT 'pg_catalog.pg_proc'::regclass, c.castfunc FROM pg_catalog.pg_cast c"
    "   WHERE c.castfunc >= 16384 AND n.class = 'pg_catalog.pg_type'::regclass"
    "   AND n.oid IN (c.castsource, c.casttarget)) x(class, oid)),";
const char keep_calls[] =
    "trees(about, late, tree) AS ("
    " SELECT n.about, n.late, c.conbin::text FROM reach n JOIN pg_catalog.pg_constraint c"
    "  ON n.class = 'pg_catalog.pg_constraint'::regclass AND c.oid = n.oid"
    " UNION ALL SELECT n.about, n.late, d.adbin::text FROM reach n JOIN pg_catalog.pg_attrdef d"
    "  ON n.class = 'pg_catalog.pg_attrdef'::regclass AND d.oid = n.oid"
    " UNION ALL SELECT n.about, n.late, concat(p.polqual, p.polwithcheck) FROM reach n"
    "  JOIN pg_catalog.pg_policy p ON n.class = 'pg_catalog.pg_policy'::regclass AND p.oid = n.oid"
    " UNION ALL SELECT n.about, n.late, concat(i.indexprs, i.indpred) FROM reach n"
    "  JOIN pg_catalog.pg_index i ON n.class = 'pg_catalog.pg_class'::regclass"
    "  AND i.indexrelid = n.oid"
    " UNION ALL SELECT n.about, n.late, p.partexprs::text FROM reach n"
    "  JOIN pg_catalog.pg_partitioned_table p ON n.class = 'pg_catalog.pg_class'::regclass"
    "  AND p.partrelid = n.oid"
    " UNION ALL SELECT n.about, n.late, t.typdefaultbin::text FROM reach n"
    "  JOIN pg_catalog.pg_type t ON n.class = 'pg_catalog.pg_type'::regclass AND t.oid = n.oid),"
    "called(about, late, class, oid) AS (SELECT about, late, class, oid FROM reach"
    "  WHERE class IN ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass)"
    " UNION SELECT n.about, n.late, 'pg_catalog.pg_proc'::regclass, o.oprcode FROM reach n"
    "  JOIN pg_catalog.pg_operator o ON n.class = 'pg_catalog.pg_operator'::regclass"
    "  AND o.oid = n.oid"
    " UNION SELECT about, late, CASE m[1] WHEN 'opno' THEN 'pg_catalog.pg_operator'::regclass"
    "  ELSE 'pg_catalog.pg_proc'::regclass END, m[2]::oid FROM trees,"
    "  regexp_matches(tree, ':(funcid|opfuncid|aggfnoid|winfnoid|opno) ([0-9]+)', 'g') m),"
    "calls AS (SELECT x.about, json_agg(json_build_object('class', x.class::bigint,"
    "  'oid', x.oid::bigint, 'schema', x.nspname, 'name', x.name, 'said', x.said,"
    "  'owner', r.rolname,"
    "  'trusted', r.rolsuper OR r.rolname = session_user, 'late', x.late) ORDER BY x.said) AS list"
    " FROM (SELECT c.about, c.class, c.oid, bool_and(c.late) AS late, n.nspname,"
    "  COALESCE(o.oprname, p.proname) AS name, p.oid::regprocedure::text AS said,"
    "  p.proowner AS owner FROM called c"
    "  LEFT JOIN pg_catalog.pg_operator o ON c.class = 'pg_catalog.pg_operator'::regclass"
    "   AND o.oid = c.oid"
    "  JOIN pg_catalog.pg_proc p ON p.oid = COALESCE(o.oprcode, c.oid)"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = COALESCE(o.oprnamespace, p.pronamespace)"
    "  WHERE c.oid >= 16384 GROUP BY c.about, c.class, c.oid, n.nspname, o.oprname, p.oid) x"
    " JOIN pg_catalog.pg_roles r ON r.oid = x.owner GROUP BY x.about),"
    /* the server's own */
    "owns AS (SELECT c.about, json_agg(DISTINCT p.proname) AS list FROM called c"
    " JOIN pg_catalog.pg_proc p ON p.oid = c.oid WHERE c.oid < 16384 AND NOT c.late"
    "  AND c.class = 'pg_catalog.pg_proc'::regclass GROUP BY c.about)";
const char keep_early[] =
    ", early AS (SELECT c.oid, s.list AS stands, t.list AS types, f.list AS calls, w.list AS own,"
    " (SELECT format('%I.%I', pn.nspname, pc.relname) FROM pg_catalog.pg_inherits h"
    "  JOIN pg_catalog.pg_class pc ON pc.oid = h.inhparent"
    "  JOIN pg_catalog.pg_namespace pn ON pn.oid = pc.relnamespace"
    "  WHERE h.inhrelid = c.oid AND (SELECT k.relispartition FROM pg_catalog.pg_class k"
    "   WHERE k.oid = c.oid)) AS parent FROM picked c LEFT JOIN stands s ON s.about = c.oid"
    " LEFT JOIN types t ON t.about = c.oid LEFT JOIN calls f ON f.about = c.oid"
    " LEFT JOIN owns w ON w.about = c.oid)";

/* ---- what is no relation ---- */

/* $1 the relations, $2 whole. The place in the list (`oid`) is what CALLS says it about. A value
 * that is written in a definition is read when that is parsed, which asks the checks of domains
 * within its type; indexes of what is partitioned are compared, for which they are folded. Bodies
 * that are texts are not read, and a domain's own checks are asked of nothing. */
static const char DEFINED[] =
    "WITH RECURSIVE defs(oid, class, of, said, reads) AS MATERIALIZED (SELECT"
    " (row_number() OVER (ORDER BY x.class, x.of))::int::oid, x.* FROM ("
    " SELECT 'pg_catalog.pg_class'::regclass::oid, i.indexrelid,"
    "  format('index %s', i.indexrelid::regclass), ARRAY[]::oid[] FROM pg_catalog.pg_index i"
    "  JOIN pg_catalog.pg_class c ON c.oid = i.indrelid"
    "  WHERE c.oid = ANY ($1::oid[]) AND (c.relkind = 'p' OR c.relispartition)"
    "  AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)"
    " UNION ALL SELECT 'pg_catalog.pg_statistic_ext'::regclass, s.oid,"
    "  format('statistics %I.%I', n.nspname, s.stxname), ARRAY[]::oid[]"
    "  FROM pg_catalog.pg_statistic_ext s"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace WHERE $2::bool"
    " UNION ALL SELECT 'pg_catalog.pg_proc'::regclass, p.oid,"
    "  format('function %s', p.oid::regprocedure), ARRAY(SELECT d.refobjid"
    "   FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::regclass"
    "   AND d.objid = p.oid AND d.refclassid = 'pg_catalog.pg_type'::regclass)"
    "  || COALESCE((SELECT ARRAY[a.aggtranstype, a.aggmtranstype] FROM pg_catalog.pg_aggregate a"
    "   WHERE a.aggfnoid = p.oid), '{}') FROM pg_catalog.pg_proc p"
    "  WHERE $2::bool AND p.oid >= 16384 AND (p.prokind = 'a' OR p.pronargdefaults > 0"
    "   OR to_jsonb(p)->>'prosqlbody' IS NOT NULL) AND NOT EXISTS (SELECT FROM"
    "   pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::regclass"
    "   AND d.objid = p.oid AND d.deptype = 'e')"
    " UNION ALL SELECT 'pg_catalog.pg_type'::regclass, t.oid,"
    "  format('domain %s', t.oid::regtype), ARRAY(SELECT d.refobjid FROM pg_catalog.pg_depend d"
    "   WHERE d.refclassid = 'pg_catalog.pg_type'::regclass AND d.refobjid <> t.oid"
    "   AND (d.classid = 'pg_catalog.pg_type'::regclass AND d.objid = t.oid"
    "    AND t.typdefaultbin IS NOT NULL OR d.classid = 'pg_catalog.pg_constraint'::regclass"
    "    AND d.objid IN (SELECT k.oid FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid)))"
    "  FROM pg_catalog.pg_type t WHERE $2::bool AND t.typtype = 'd' AND t.oid >= 16384"
    " UNION ALL SELECT 'pg_catalog.pg_constraint'::regclass, k.oid,"
    "  format('check %I of domain %s', k.conname, k.contypid::regtype),"
    "  ARRAY(SELECT d.refobjid FROM pg_catalog.pg_depend d WHERE d.objid = k.oid"
    "   AND d.classid = 'pg_catalog.pg_constraint'::regclass AND d.refobjid <> k.contypid"
    "   AND d.refclassid = 'pg_catalog.pg_type'::regclass)"
    "  FROM pg_catalog.pg_constraint k WHERE $2::bool AND k.contypid >= 16384"
    " ) x(class, of, said, reads)),"
    "reach(about, late, class, oid) AS (SELECT d.oid, false, d.class, d.of FROM defs d"
    "  WHERE d.class IN ('pg_catalog.pg_class'::regclass,"
    "   'pg_catalog.pg_statistic_ext'::regclass)"
    " UNION SELECT d.oid, false, 'pg_catalog.pg_type'::regclass, t.t FROM defs d, unnest(d.reads)"
    "  t(t) WHERE t.t >= 16384";
static const char DEFINITIONS[] =
    ", types AS (SELECT about, json_agg(DISTINCT format_type(oid, NULL)) AS list FROM reach"
    " WHERE class = 'pg_catalog.pg_type'::regclass GROUP BY about)"
    " SELECT COALESCE(json_agg(json_build_object('class', d.class::bigint, 'oid', d.of::bigint,"
    " 'name', d.said, 'types', t.list, 'calls', f.list, 'own', w.list) ORDER BY d.oid),"
    " '[]'::json)::text FROM defs d LEFT JOIN types t ON t.about = d.oid"
    " LEFT JOIN calls f ON f.about = d.oid LEFT JOIN owns w ON w.about = d.oid"
    " WHERE d.class IN ('pg_catalog.pg_statistic_ext'::regclass,"
    "  'pg_catalog.pg_constraint'::regclass) OR COALESCE(t.list, f.list, w.list) IS NOT NULL";

/* Names that nothing else may have when these come back, of a whole database: [class, number, name,
 * of which relation, it or that is in $1]; those of functions are long, and their types may be
 * gone: as md5. */
static const char NAMES[] =
    "SELECT COALESCE(json_agg(json_build_array(x.class::bigint, x.oid::bigint, x.name,"
    " x.host::bigint, EXISTS (SELECT FROM json_array_elements($1::json) j WHERE j->>'name' IN"
    " (x.bare, x.part)))),"
    " '[]'::json)::text FROM ("
    " SELECT 'pg_catalog.pg_proc'::regclass, p.oid, md5(p.oid::regprocedure::text), 0::oid,"
    "  p.proname, NULL::name"
    "  FROM pg_catalog.pg_proc p"
    " UNION ALL SELECT 'pg_catalog.pg_class'::regclass, c.oid,"
    "  format('%I.%I', n.nspname, c.relname), 0, c.relname, NULL"
    "  FROM pg_catalog.pg_class c"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    "  WHERE c.relkind NOT IN ('t', 'c') AND c.relpersistence <> 't'"
    " UNION ALL SELECT 'pg_catalog.pg_type'::regclass, t.oid,"
    "  format('%I.%I', n.nspname, t.typname), 0, t.typname, NULL"
    "  FROM pg_catalog.pg_type t"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace"
    "  WHERE t.typtype IN ('d', 'e', 'r') OR t.typrelid IN (SELECT c.oid"
    "   FROM pg_catalog.pg_class c WHERE c.relkind = 'c')"
    " UNION ALL SELECT 'pg_catalog.pg_constraint'::regclass, k.oid, k.conname, k.conrelid,"
    "  k.conname, (SELECT c.relname FROM pg_catalog.pg_class c WHERE c.oid = k.conrelid)"
    "  FROM pg_catalog.pg_constraint k WHERE k.conrelid <> 0)"
    " x(class, oid, name, host, bare, part)"
    " WHERE x.oid >= 16384";

static sp_err list_oids(const json_t *manifest, const char *what, sp_buf *out)
{
    const json_t *relations = json_object_get(manifest, what);
    for (size_t i = 0; i < json_array_size(relations); i++) {
        const json_t *one = json_array_get(relations, i);
        sp_buf_fmt(out, "%s%lld", out->len == 0 ? "{" : ",",
                   (long long)json_integer_value(json_object_get(one, "oid")));
    }
    return sp_buf_error(out);
}

sp_err keep_definitions(keep_job *job, PGconn *conn, json_t *manifest)
{
    auto_buf sp_buf oids = sp_buf_make(KEEP_MANIFEST_MAX_BYTES);
    auto_buf sp_buf sql = sp_buf_make(sizeof(DEFINED) + sizeof(keep_reached) + sizeof(keep_calls) +
                                      sizeof(DEFINITIONS));
    auto_free char *list = NULL;
    auto_free char *text = NULL;
    json_t *found = NULL;
    bool whole = json_is_true(json_object_get(manifest, "whole"));
    TRY(list_oids(manifest, "relations", &oids));
    TRY(list_oids(manifest, "outside", &oids));
    sp_buf_text(&oids, oids.len == 0 ? "{}" : "}");
    TRY(sp_buf_take_cstr(&oids, &list));
    sp_buf_text(&sql, DEFINED);
    sp_buf_text(&sql, keep_reached);
    sp_buf_text(&sql, keep_calls);
    sp_buf_text(&sql, DEFINITIONS);
    TRY(sp_buf_take_cstr(&sql, &text));
    const char *const values[] = {list, whole ? "t" : "f"};
    TRY(keep_exec_json(job, conn, text, SP_COUNT(values), values, &found));
    json_object_set_new(manifest, "definitions", found);
    if (whole) {
        json_t *names = NULL;
        char words[SP_KEEPER_OBJECTS_MAX_BYTES + 1];
        bool known = job->job.objects.len > 2;
        TRY(sp_fit(words, sizeof(words), known ? job->job.objects : SP_SPAN_LIT("[]")));
        const char *const list_of_words[] = {words};
        TRY(keep_exec_json(job, conn, NAMES, 1, list_of_words, &names));
        json_object_set_new(manifest, "names", names);
        json_object_set_new(manifest, "says_names", json_boolean(known));
    }
    return sp_ok();
}

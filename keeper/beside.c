/* SPDX-License-Identifier: Apache-2.0
 * Beside: the rows of a keep as plain tables in a schema of their own, whatever stands in the way
 * of an undo. Nothing that is there is touched, locked or asked.
 *
 *     sales.orders of keep 7F3K-9Q2M-XA4T  ->  sallyport_kept_7f3k9q2mxa4t."sales.orders"
 *
 * Plain: columns with their values, and nothing that could call anybody's code. A column has the
 * server's own type where its values are of one (a domain's: what it is made of), else text. Only
 * the keeper's role has rights: what its default privileges gave is taken back before a row comes.
 *
 * OWNS see the struct. PROCESS keeper, threads of the pool. TRUST names and data are the
 * database's: names are quoted anew, data passes from pg_restore to psql. SPEC keeper/README.md
 * "Beside".
 */
#include "infra/crypto/random.h"
#include "infra/proc/file.h"
#include "keeper/undo_tables.h"
#include "lib/policy/database.h"
#include "lib/proto/event.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum {
    NAME_MAX_BYTES = 63, /* of the server */
    TABLE_MAX_BYTES = 512,
    SCHEMA_BYTES = 64,
    KEY_BYTES = 24,
    TYPES_SAID = 20
};

typedef struct {
    undo *u;
    char schema[SCHEMA_BYTES];
    json_t *data;   /* oids whose rows are in the archive */
    json_t *types;  /* what a column becomes: {"23 integer":"pg_catalog.int4"}; else text */
    json_t *texts;  /* types that became text */
    json_t *tables; /* quoted names by the oid of what they were: {"16391":"s.\"sales.orders\""} */
    json_t *taken;  /* names of tables in the schema */
    sp_buf out;
    sp_buf target;
    keep_copy copy;
    bool lost; /* rows of a table that is not known */
} beside;

static const json_t *relations_of(const beside *b)
{
    return json_object_get(b->u->manifest, "relations");
}

static void put_key(uint32_t oid, char ret_key[KEY_BYTES])
{
    snprintf(ret_key, KEY_BYTES, "%u", oid);
}

static const char *table_of(const beside *b, const json_t *relation)
{
    char key[KEY_BYTES];
    put_key(undo_oid(relation), key);
    return json_string_value(json_object_get(b->tables, key));
}

static void put_name(const beside *b, const char *name, sp_buf *sql)
{
    char *quoted = PQescapeIdentifier(b->u->conn, name, strlen(name));
    sp_buf_text(sql, quoted == NULL ? "\"\"" : quoted);
    PQfreemem(quoted);
}

/* ---- where ---- */

/* $1 the name: whether this role may make a schema; what is called so already, of its own or of
 * others; whom new tables are sent to. */
static const char PLACE[] =
    "SELECT json_build_object("
    "'may', pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),"
    "'ours', (SELECT min(n.nspname::text) FROM pg_catalog.pg_namespace n WHERE (n.nspname = $1"
    "  OR starts_with(n.nspname::text, $1 || '_')) AND pg_get_userbyid(n.nspowner) = current_user),"
    "'theirs', (SELECT pg_get_userbyid(n.nspowner) FROM pg_catalog.pg_namespace n"
    "  WHERE n.nspname = $1 AND pg_get_userbyid(n.nspowner) <> current_user),"
    "'who', current_user,"
    "'published', (SELECT string_agg(quote_ident(p.pubname), ', ' ORDER BY p.pubname)"
    "  FROM pg_catalog.pg_publication p WHERE p.puballtables))::text";

/* The keep's number as people say it, as a word that needs no quotes. */
static void base_name(uint64_t keep, char ret_name[SCHEMA_BYTES])
{
    char reference[SP_REFERENCE_TEXT_BYTES];
    size_t at = sizeof(SP_DATABASE_KEPT) - 1;
    sp_reference_text(keep, reference);
    snprintf(ret_name, SCHEMA_BYTES, "%s", SP_DATABASE_KEPT);
    for (size_t i = 0; reference[i] != '\0'; i++) {
        if (reference[i] != '-') {
            ret_name[at++] = (char)tolower((unsigned char)reference[i]);
        }
    }
    ret_name[at] = '\0';
}

/* Who may make schemas could have taken the name: then it gets an end that nobody knew. */
static sp_err avoid(beside *b, const char *owner)
{
    auto_buf sp_buf word = sp_buf_make(SCHEMA_BYTES);
    uint8_t random[4];
    char name[SCHEMA_BYTES];
    sp_random(random, sizeof(random));
    sp_buf_fmt(&word, "%s_", b->schema);
    sp_buf_hex(&word, sp_span_of(random, sizeof(random)));
    TRY(sp_buf_error(&word));
    TRY(sp_fit(name, sizeof(name), sp_buf_borrow(&word)));
    undo_tell(b->u, json_sprintf("a schema %s of %s is there, which the keeper did not make: "
                                 "another name is taken",
                                 b->schema, owner));
    return sp_fit(b->schema, sizeof(b->schema), sp_span_cstr(name));
}

static void tell_place(beside *b, const json_t *place)
{
    const char *published = undo_text(place, "published");
    undo_tell(b->u, json_sprintf(
                        "the rows go as plain tables into the schema %s of the database %s. Only "
                        "%s may read them, and through the gate nobody until the policy names "
                        "that schema",
                        b->schema, PQdb(b->u->conn), undo_text(place, "who")));
    if (published[0] != '\0') {
        undo_tell(b->u, json_sprintf("new tables are sent to other servers by the publication %s: "
                                     "these as well",
                                     published));
    }
}

static sp_err find_place(beside *b)
{
    auto_json json_t *place = NULL;
    base_name(b->u->job->job.keep, b->schema);
    const char *const one[] = {b->schema};
    TRY(keep_exec_json(b->u->job, b->u->conn, PLACE, 1, one, &place));
    const char *ours = undo_text(place, "ours");
    if (ours[0] != '\0') {
        return undo_refuse(b->u, "schema",
                           "the rows of this keep are there already; who wants them anew lets that "
                           "be dropped first:",
                           ours, NULL);
    }
    if (!json_is_true(json_object_get(place, "may"))) {
        return undo_refuse(b->u, "database",
                           "the keeper's role may not make schemas in it: GRANT "
                           "CREATE ON DATABASE",
                           PQdb(b->u->conn), undo_text(place, "who"));
    }
    if (undo_text(place, "theirs")[0] != '\0') {
        TRY(avoid(b, undo_text(place, "theirs")));
    }
    tell_place(b, place);
    return sp_ok();
}

static sp_err open_database(beside *b)
{
    undo *u = b->u;
    sp_err err = keep_connect(u->job, NULL, &u->conn);
    if (err.code == SP_ENOTFOUND) {
        sp_buf_reset(&u->job->why);
        sp_buf_fmt(
            &u->job->why,
            "there is no database %.*s: say into which one of this server the rows are to go",
            SP_SPAN_ARG(u->job->job.database));
    }
    return err;
}

/* ---- what becomes of a type ---- */

/* The server's own types whose values are themselves: no name of anything that may be gone, and no
 * code but the server's reads them. */
#define PLAIN_TYPES                                                                                \
    "'bool','bytea','char','name','int8','int2','int4','text','json','jsonb','jsonpath','point',"  \
    "'lseg','path','box','polygon','line','circle','float4','float8','money','macaddr',"           \
    "'macaddr8','inet','cidr','bpchar','varchar','date','time','timestamp','timestamptz',"         \
    "'interval','timetz','bit','varbit','numeric','uuid','oid','pg_lsn','tsvector','tsquery',"     \
    "'int4range','int8range','numrange','tsrange','tstzrange','daterange','int4multirange',"       \
    "'int8multirange','nummultirange','tsmultirange','tstzmultirange','datemultirange'"

/* $1 relations; $2 whether numbers of types mean what they did. Without modifiers: the values are
 * cut already. */
static const char TYPES[] =
    "WITH plain AS (SELECT t.oid, t.typname FROM pg_catalog.pg_type t WHERE t.oid < 16384"
    " AND t.typnamespace = 'pg_catalog'::regnamespace AND (t.typname IN (" PLAIN_TYPES ")"
    "  OR EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.oid = t.typelem AND e.typarray = t.oid"
    "   AND e.typnamespace = t.typnamespace AND e.typname IN (" PLAIN_TYPES ")))),"
    "kept AS (SELECT DISTINCT (k->>'type_oid')::oid AS oid, k->>'type' AS said"
    " FROM json_array_elements($1::json) r, json_array_elements(CASE json_typeof(r->'columns')"
    "  WHEN 'array' THEN r->'columns' ELSE '[]' END) k)"
    "SELECT COALESCE(json_object_agg(kept.oid::text || ' ' || kept.said,"
    " format('pg_catalog.%I', plain.typname)), '{}')::text FROM kept CROSS JOIN LATERAL ("
    "  WITH RECURSIVE d AS (SELECT t.oid, t.typtype, t.typbasetype FROM pg_catalog.pg_type t"
    "   WHERE t.oid = kept.oid AND (t.typtype <> 'd' OR ($2::bool"
    "    AND format_type(t.oid, NULL) = kept.said))"
    "   UNION ALL SELECT t.oid, t.typtype, t.typbasetype FROM d JOIN pg_catalog.pg_type t"
    "    ON d.typtype = 'd' AND t.oid = d.typbasetype)"
    "  SELECT oid FROM d WHERE typtype <> 'd') base JOIN plain ON plain.oid = base.oid";

/* It is the database that they were kept of. */
static sp_err is_same_database(const beside *b, bool *ret_same)
{
    char system[KEEP_SYSTEM_BYTES];
    const char *kept = undo_text(b->u->manifest, "system");
    TRY(keep_system(b->u->job, b->u->conn, system));
    *ret_same = strcmp(PQdb(b->u->conn), undo_text(b->u->manifest, "database")) == 0 &&
                (kept[0] == '\0' || strcmp(kept, system) == 0);
    return sp_ok();
}

static sp_err find_types(beside *b)
{
    bool same = false;
    TRY(is_same_database(b, &same));
    char *text = json_dumps(relations_of(b), JSON_COMPACT);
    const char *const values[] = {text == NULL ? "[]" : text, same ? "t" : "f"};
    sp_err err = keep_exec_json(b->u->job, b->u->conn, TYPES, SP_COUNT(values), values, &b->types);
    sp_free(text);
    return err;
}

static const char *type_of(beside *b, const json_t *column)
{
    auto_buf sp_buf key = sp_buf_make(TABLE_MAX_BYTES);
    const char *said = undo_text(column, "type");
    sp_buf_fmt(&key, "%lld %s", (long long)json_integer_value(json_object_get(column, "type_oid")),
               said);
    sp_buf_byte(&key, 0);
    const char *found = sp_failed(sp_buf_error(&key))
                            ? NULL
                            : json_string_value(json_object_get(b->types, (const char *)key.ptr));
    if (found == NULL) {
        json_object_set_new(b->texts, said, json_true());
    }
    return found == NULL ? "pg_catalog.text" : found;
}

static void tell_texts(beside *b)
{
    const char *name = NULL;
    json_t *value = NULL;
    size_t said = 0;
    json_object_foreach(b->texts, name, value)
    {
        if (said++ < TYPES_SAID) {
            undo_tell(b->u, json_sprintf("values of type %s are text there", name));
        }
    }
    if (said > TYPES_SAID) {
        undo_tell(b->u, json_sprintf("so are values of %zu more types", said - TYPES_SAID));
    }
}

/* ---- which tables ---- */

static bool is_large_object(const keep_toc_entry *entry)
{
    return entry->catalog == UNDO_LARGE_OBJECTS || undo_is_large_contents(entry);
}

/* What is in the archive and has no rows that the manifest knows. */
static void read_archive(beside *b)
{
    sp_span rest = sp_buf_borrow(&b->u->toc);
    keep_toc_entry entry;
    size_t unknown = 0;
    bool large = false;
    while (keep_toc_next(&rest, &entry)) {
        char key[KEY_BYTES];
        put_key(entry.oid, key);
        large = large || is_large_object(&entry);
        if (keep_toc_is_data(&entry)) {
            json_object_set_new(b->data, key, json_true());
            unknown += undo_is_unknown_data(b->u, &entry) ? 1 : 0;
        }
    }
    if (large) {
        undo_tell(b->u, json_string("large objects are left out"));
    }
    if (unknown > 0) {
        undo_tell(b->u, json_sprintf("rows of %zu tables of extensions are left out", unknown));
    }
    b->u->leaves_out = large || unknown > 0;
}

/* "sales.orders"; cut, or with an end of its own, where that is too long or taken. */
static sp_err name_table(beside *b, const json_t *relation, size_t number)
{
    auto_buf sp_buf full = sp_buf_make(TABLE_MAX_BYTES);
    auto_buf sp_buf quoted = sp_buf_make(2 * TABLE_MAX_BYTES);
    auto_free char *text = NULL;
    char key[KEY_BYTES];
    char name[NAME_MAX_BYTES + 1];
    char end[KEY_BYTES] = "";
    sp_buf_fmt(&full, "%s.%s", undo_text(relation, "schema"), undo_text(relation, "name"));
    TRY(sp_buf_error(&full));
    bool fits = full.len <= NAME_MAX_BYTES;
    for (;; number += json_array_size(relations_of(b))) {
        if (!fits) {
            snprintf(end, sizeof(end), "~%zu", number + 1);
        }
        sp_span head = sp_span_cut(sp_buf_borrow(&full), NAME_MAX_BYTES - strlen(end));
        snprintf(name, sizeof(name), "%.*s%s", SP_SPAN_ARG(head), end);
        if (json_object_get(b->taken, name) == NULL) {
            break;
        }
        fits = false;
    }
    json_object_set_new(b->taken, name, json_true());
    sp_buf_fmt(&quoted, "%s.", b->schema);
    put_name(b, name, &quoted);
    TRY(sp_buf_take_cstr(&quoted, &text));
    put_key(undo_oid(relation), key);
    json_object_set_new(b->tables, key, json_string(text));
    return sp_ok();
}

static bool is_rowless(const json_t *relation)
{
    const char *kind = undo_text(relation, "kind");
    return kind[0] == 'p'; /* its rows are those of its partitions */
}

static void tell_generated(beside *b, const json_t *relation)
{
    const json_t *columns = json_object_get(relation, "columns");
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const json_t *column = json_array_get(columns, i);
        if (!undo_is_plain(column)) {
            undo_tell(b->u,
                      json_sprintf("column %s of %s, which is generated, has no values that "
                                   "were kept",
                                   undo_text(column, "quoted"), undo_text(relation, "quoted")));
        }
    }
}

static sp_err name_tables(beside *b)
{
    size_t others = 0;
    json_int_t bytes = 0;
    size_t index = 0;
    const json_t *one = NULL;
    json_array_foreach(relations_of(b), index, one)
    {
        char key[KEY_BYTES];
        put_key(undo_oid(one), key);
        if (json_object_get(b->data, key) == NULL) {
            others += is_rowless(one) ? 0 : 1;
            continue;
        }
        TRY(name_table(b, one, index));
        tell_generated(b, one);
        bytes += json_integer_value(json_object_get(one, "bytes"));
    }
    if (json_object_size(b->tables) == 0) {
        return undo_refuse(b->u, "what was kept", "there are no rows of tables in it", NULL, NULL);
    }
    if (others > 0) {
        undo_tell(b->u, json_sprintf("%zu views, sequences or tables of other servers have no rows "
                                     "here: what they are is left out",
                                     others));
    }
    undo_tell(b->u, json_sprintf("the tables had about %lld KiB when they were kept: so much "
                                 "room it takes in the database",
                                 ((long long)bytes + 1023) / 1024));
    b->u->job->bytes = bytes > 0 ? (uint64_t)bytes : 0;
    return sp_ok();
}

/* ---- the script ---- */

/* Columns that have values; with their types, or without. False: there are none. */
static bool put_columns(beside *b, const json_t *relation, bool with_types, sp_buf *sql)
{
    const json_t *columns = json_object_get(relation, "columns");
    bool any = false;
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const json_t *column = json_array_get(columns, i);
        if (undo_is_plain(column)) {
            sp_buf_text(sql, any ? ", " : "");
            put_name(b, undo_text(column, "name"), sql);
            sp_buf_fmt(sql, "%s%s", with_types ? " " : "", with_types ? type_of(b, column) : "");
            any = true;
        }
    }
    return any;
}

/* Default privileges may have given something to somebody. */
static const char TAKE_BACK[] =
    "SELECT format('REVOKE ALL ON SCHEMA %%I FROM %%s', n.nspname, g.name)"
    " FROM pg_namespace n CROSS JOIN LATERAL (SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC'"
    "  ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS name FROM aclexplode(n.nspacl) a"
    "  WHERE a.grantee <> n.nspowner) g WHERE n.nspname = '%s'"
    " UNION ALL SELECT format('REVOKE ALL ON TABLE %%I.%%I FROM %%s', n.nspname, c.relname, g.name)"
    " FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid CROSS JOIN LATERAL ("
    "  SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC'"
    "  ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS name FROM aclexplode(c.relacl) a"
    "  WHERE a.grantee <> c.relowner) g WHERE n.nspname = '%s' " UNDO_GEXEC;
static const char LOOK_AGAIN[] =
    "SELECT 'DO ''BEGIN RAISE EXCEPTION ''''others have rights on what was made''''; END'''"
    " WHERE EXISTS (SELECT FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) a"
    "  WHERE n.nspname = '%s' AND a.grantee <> n.nspowner) OR EXISTS (SELECT FROM pg_namespace n"
    "  JOIN pg_class c ON c.relnamespace = n.oid CROSS JOIN LATERAL aclexplode(c.relacl) a"
    "  WHERE n.nspname = '%s' AND a.grantee <> c.relowner) " UNDO_GEXEC;

static sp_err make_tables(beside *b, sp_buf *sql)
{
    size_t index = 0;
    const json_t *one = NULL;
    sp_buf_text(sql, "BEGIN ISOLATION LEVEL READ COMMITTED;\nSET LOCAL lock_timeout = '30s';\n"
                     "SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);\n"
                     "SET LOCAL default_tablespace = '';\n"
                     "SET LOCAL default_table_access_method = heap;\n");
    sp_buf_fmt(sql,
               "CREATE SCHEMA %s;\nCOMMENT ON SCHEMA %s IS 'rows that Sallyport kept before they "
               "were destroyed';\n",
               b->schema, b->schema);
    json_array_foreach(relations_of(b), index, one)
    {
        if (table_of(b, one) != NULL) {
            sp_buf_fmt(sql, "CREATE TABLE %s (", table_of(b, one));
            put_columns(b, one, true, sql);
            sp_buf_text(sql, ");\n");
            TRY(undo_script(b->u, sql));
        }
    }
    sp_buf_fmt(sql, TAKE_BACK, b->schema, b->schema);
    sp_buf_fmt(sql, LOOK_AGAIN, b->schema, b->schema);
    return undo_script(b->u, sql);
}

/* pg_dump writes the columns that are not generated, in the order that they have. */
static sp_span target_of(void *self, sp_span name)
{
    beside *b = self;
    size_t index = 0;
    const json_t *one = NULL;
    const json_t *found = NULL;
    json_array_foreach(relations_of(b), index, one)
    {
        found = keep_toc_same_name(name, sp_span_cstr(undo_text(one, "quoted"))) ? one : found;
    }
    const char *table = found == NULL ? NULL : table_of(b, found);
    sp_buf_reset(&b->target);
    if (table == NULL) {
        b->lost = true;
        return SP_SPAN_EMPTY;
    }
    sp_buf_fmt(&b->target, "%s (", table);
    if (!put_columns(b, found, false, &b->target)) {
        sp_buf_reset(&b->target);
        sp_buf_text(&b->target, table);
        return sp_buf_borrow(&b->target);
    }
    sp_buf_text(&b->target, ")");
    return sp_buf_borrow(&b->target);
}

static sp_err take_data(void *self, sp_span bytes)
{
    beside *b = self;
    TRY(keep_copy_feed(&b->copy, bytes, &b->out));
    TRY(sp_buf_error(&b->target));
    TRY(sp_write_all(b->u->psql.in, sp_buf_borrow(&b->out)));
    sp_buf_reset(&b->out);
    return b->lost ? undo_refuse(b->u, "what was kept",
                                 "it has rows of a table that it does not name", NULL, NULL)
                   : sp_ok();
}

static bool is_known_data(const undo *u, const keep_toc_entry *entry)
{
    return keep_toc_is_data(entry) && !undo_is_unknown_data(u, entry);
}

static sp_err load(beside *b)
{
    char path[KEEP_PATH_BYTES + 16];
    char use[KEEP_PATH_BYTES + 32];
    size_t count = 0;
    TRY(undo_list(b->u, is_known_data, "rows", path, &count));
    snprintf(use, sizeof(use), "--use-list=%s", path);
    const char *const argv[] = {"pg_restore", "--file=-", "--data-only", use, NULL};
    b->out = sp_buf_make(1 << 20);
    b->target = sp_buf_make(UNDO_SQL_MAX_BYTES);
    b->copy = keep_copy_make(target_of, b);
    sp_err err = undo_restore(b->u, argv, take_data, b);
    keep_copy_done(&b->copy);
    sp_buf_done(&b->out);
    sp_buf_done(&b->target);
    return err;
}

/* One line a table, as undo_report.c reads it. */
static void put_count(const beside *b, const json_t *relation, sp_buf *sql)
{
    const char *table = table_of(b, relation);
    sp_buf_text(sql, "SELECT json_build_object('relation', ");
    undo_literal(b->u, table, sql);
    sp_buf_text(sql, ", 'of', ");
    undo_literal(b->u, undo_text(relation, "quoted"), sql);
    sp_buf_fmt(sql,
               ", 'kept', n, 'missing', n, 'inserted', n, 'changes', false) FROM (SELECT count(*)"
               " AS n FROM ONLY %s) c;\n",
               table);
}

static sp_err write_script(void *self)
{
    beside *b = self;
    auto_buf sp_buf sql = sp_buf_make(UNDO_SQL_MAX_BYTES);
    size_t index = 0;
    const json_t *one = NULL;
    TRY(undo_lock(b->u, true));
    TRY(make_tables(b, &sql));
    TRY(load(b));
    json_array_foreach(relations_of(b), index, one)
    {
        if (table_of(b, one) != NULL) {
            put_count(b, one, &sql);
            TRY(undo_script(b->u, &sql));
        }
    }
    sp_buf_text(&sql, b->u->try_only ? "ROLLBACK;\n" : "COMMIT;\n");
    return undo_script(b->u, &sql);
}

/* ---- the whole ---- */

/* All that the archive has: what the statement did not reach is kept as well. */
static void take_outside(const beside *b)
{
    json_t *relations = json_object_get(b->u->manifest, "relations");
    json_array_extend(relations, json_object_get(b->u->manifest, "outside"));
}

static sp_err run(beside *b)
{
    keep_reader *reader = NULL;
    TRY(keep_open(b->u->job, &reader, &b->u->manifest));
    keep_reader_free(reader);
    take_outside(b);
    TRY(open_database(b));
    TRY(undo_code_events(b->u)); /* else one could run when the schema is made */
    TRY(find_place(b));
    TRY(undo_read_toc(b->u));
    read_archive(b);
    TRY(name_tables(b));
    TRY(find_types(b));
    b->u->beside = b->schema;
    TRY(undo_run(b->u, write_script, b));
    tell_texts(b);
    return undo_write_report(b->u);
}

sp_err keep_run_beside(keep_job *job, bool try)
{
    undo u = undo_make(job, try);
    beside b = {.u = &u,
                .data = json_object(),
                .texts = json_object(),
                .tables = json_object(),
                .taken = json_object()};
    sp_err err = run(&b);
    if (job->why.len == 0 && (err.code == SP_ENOTFOUND || err.code == SP_ECORRUPT)) {
        sp_buf_text(&job->why, err.code == SP_ENOTFOUND ? "what was kept is not there any more"
                                                        : "what was kept does not verify: the file "
                                                          "is damaged or changed");
    }
    json_decref(b.data);
    json_decref(b.types);
    json_decref(b.texts);
    json_decref(b.tables);
    json_decref(b.taken);
    undo_done(&u);
    return err;
}

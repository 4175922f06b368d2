/* SPDX-License-Identifier: Apache-2.0
 * Undo: puts back what a statement destroyed, in one transaction, without overwriting what others
 * did since.
 *
 * DROP and ALTER: every object of the archive whose row has left its system catalog is made again,
 * with its data, its constraints and grants; foreign keys of other tables that fell are added
 * again. DELETE, TRUNCATE, UPDATE, MERGE: rows are loaded beside the table and matched by key. Rows
 * that are missing come back; rows that one transaction changed (UPDATE, and what cascades) get
 * their old values; rows that others changed since are conflicts: told, left alone.
 *
 * OWNS what it starts. PROCESS keeper, threads of the pool. TRUST names from the manifest were
 * quoted by the server; data passes from pg_restore to psql. SPEC keeper/README.md.
 */
#include "infra/crypto/random.h"
#include "infra/proc/file.h"
#include "keeper/plain.h"
#include "keeper/said.h"
#include "keeper/undo_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    CHUNK_BYTES = 64 * 1024,
    SAID_MAX_BYTES = 1 << 20,
    WHY_MAX_BYTES = 600,
    AGAIN_MAX = 5,
    PSQL_SCRIPT_FAILED = 3 /* psql(1): the server refused a statement, so all of it */
};

/* ---- the archive, poured into pg_restore by a thread of its own ---- */

typedef struct {
    keep_reader *reader;
    int to;
    sp_err err;
} feeder;

static void *feed(void *self)
{
    feeder *f = self;
    uint8_t *chunk = NULL;
    f->err = sp_alloc(1, CHUNK_BYTES, &chunk);
    while (!sp_failed(f->err)) {
        size_t len = 0;
        f->err = keep_reader_read(f->reader, chunk, CHUNK_BYTES, &len);
        if (sp_failed(f->err) || len == 0) {
            break;
        }
        sp_err put = sp_write_all(f->to, sp_span_of(chunk, len));
        if (sp_failed(put)) { /* it has read what it wanted */
            break;
        }
    }
    sp_free(chunk);
    close(f->to);
    return NULL;
}

sp_err undo_restore(undo *u, const char *const argv[], undo_take take, void *self)
{
    keep_reader *reader = NULL;
    json_t *manifest = NULL;
    keep_child child;
    pthread_t thread;
    TRY(keep_open(u->job, &reader, &manifest));
    json_decref(manifest);
    sp_err err = keep_child_start(u->job, argv, true, true, &child);
    if (sp_failed(err)) {
        keep_reader_free(reader);
        return err;
    }
    feeder f = {reader, child.in, {SP_OK}};
    child.in = -1; /* the feeder closes it */
    if (pthread_create(&thread, NULL, feed, &f) != 0) {
        close(f.to);
        f.err = sp_fail(SP_ENOMEM);
        thread = 0;
    }
    uint8_t chunk[4096];
    ssize_t got = 0;
    while (!sp_failed(err) &&
           ((got = read(child.out, chunk, sizeof(chunk))) > 0 || (got < 0 && errno == EINTR))) {
        keep_work_moved(&u->job->work);
        err = got > 0 ? take(self, sp_span_of(chunk, (size_t)got)) : sp_ok();
    }
    sp_err ended = keep_child_end(u->job, &child);
    if (thread != 0) {
        pthread_join(thread, NULL);
    }
    keep_child_done(&child);
    keep_reader_free(reader);
    TRY(f.err);
    TRY(err);
    return ended;
}

/* ---- relations ---- */

const char *undo_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

uint32_t undo_oid(const json_t *relation)
{
    return (uint32_t)json_integer_value(json_object_get(relation, "oid"));
}

const json_t *undo_present(const undo *u, const json_t *relation)
{
    char key[16];
    snprintf(key, sizeof(key), "%u", undo_oid(relation));
    return json_object_get(u->present, key);
}

/* $1 oids: what the kept relations are now. */
static const char PRESENT[] =
    "SELECT COALESCE(json_object_agg(c.oid::text, json_build_object("
    "'quoted', format('%I.%I', n.nspname, c.relname), 'kind', c.relkind,"
    "'ours', pg_has_role(c.relowner, 'USAGE'), 'file', c.relfilenode::bigint, 'logged', "
    "c.relpersistence = 'p', 'lacks', array_to_string(ARRAY(SELECT p FROM unnest(ARRAY['SELECT',"
    " 'INSERT', 'UPDATE', 'DELETE']) p WHERE NOT has_table_privilege(c.oid, p)), ' '),"
    "'row_is_used', EXISTS (SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_type y"
    " ON y.oid = d.refobjid WHERE c.reltype IN (y.oid, y.typelem) AND d.refclassid ="
    " 'pg_catalog.pg_type'::regclass AND (d.classid = 'pg_catalog.pg_class'::regclass AND"
    " d.objsubid > 0 OR d.classid = 'pg_catalog.pg_type'::regclass AND d.objid <> y.typarray)),"
    "'names', (SELECT json_object_agg(a.attnum::text, a.attname) FROM pg_catalog.pg_attribute a"
    " WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),"
    "'later', EXISTS (SELECT FROM pg_catalog.pg_index i WHERE NOT i.indimmediate AND (i.indrelid ="
    " c.oid OR i.indrelid IN (SELECT relid FROM pg_catalog.pg_partition_tree(c.oid)))),"
    "'elsewhere', EXISTS (SELECT FROM pg_catalog.pg_class f WHERE f.relkind = 'f' AND (f.oid IN"
    " (SELECT relid FROM pg_catalog.pg_partition_tree(c.oid)) OR f.oid IN (SELECT inhrelid FROM"
    " pg_catalog.pg_inherits WHERE inhparent = c.oid))),"
    "'unique', (SELECT json_agg((SELECT json_agg(quote_ident(a.attname)) FROM"
    "  unnest(i.indkey::int2[]) WITH ORDINALITY u(attnum, ord) JOIN pg_catalog.pg_attribute a"
    "  ON a.attrelid = i.indrelid AND a.attnum = u.attnum WHERE u.ord <= i.indnkeyatts))"
    " FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid"
    " AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL),"
    "'columns', (SELECT json_object_agg(a.attname, json_build_object("
    " 'type', format_type(a.atttypid, a.atttypmod), 'generated', a.attgenerated <> '',"
    " 'notnull', a.attnotnull,"
    " 'needed', a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''))"
    " FROM pg_catalog.pg_attribute a"
    " WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))),"
    " '{}'::json)::text FROM pg_catalog.pg_class c"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1::oid[])";

static sp_err read_present(undo *u)
{
    auto_buf sp_buf oids = sp_buf_make(UNDO_SQL_MAX_BYTES);
    auto_free char *text = NULL;
    const json_t *relations = json_object_get(u->manifest, "relations");
    for (size_t i = 0; i < json_array_size(relations); i++) {
        sp_buf_fmt(&oids, "%s%u", i == 0 ? "{" : ",", undo_oid(json_array_get(relations, i)));
    }
    sp_buf_text(&oids, oids.len == 0 ? "{}" : "}");
    TRY(sp_buf_take_cstr(&oids, &text));
    const char *const list[] = {text};
    return keep_exec_json(u->job, u->conn, PRESENT, 1, list, &u->present);
}

/* $1 kept relations: those that are gone and whose name stands for the same again: kind, owner,
 * columns and their types. */
static const char AGAIN[] =
    "SELECT COALESCE(json_object_agg(j.oid::text, c.oid::bigint), '{}'::json)::text"
    " FROM json_to_recordset($1::json) AS j(oid bigint, schema text, name text, kind text,"
    "  owner text, columns json)"
    " JOIN pg_catalog.pg_namespace n ON n.nspname = j.schema"
    " JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = j.name"
    " WHERE c.relkind::text = j.kind AND pg_catalog.pg_get_userbyid(c.relowner) = j.owner"
    " AND j.kind IN ('r', 'p')"
    " AND NOT EXISTS (SELECT FROM pg_catalog.pg_class o WHERE o.oid = j.oid::oid)"
    " AND (SELECT json_agg(json_build_array(k->>'name', k->>'type') ORDER BY k->>'name')::text"
    "  FROM json_array_elements(CASE json_typeof(j.columns) WHEN 'array' THEN j.columns"
    "   ELSE '[]' END) k) ="
    " (SELECT json_agg(json_build_array(a.attname, format_type(a.atttypid, a.atttypmod))"
    "  ORDER BY a.attname::text)::text FROM pg_catalog.pg_attribute a"
    "  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)";

static void take_oid(json_t *object, const char *key, uint32_t was, json_int_t is)
{
    if ((uint32_t)json_integer_value(json_object_get(object, key)) == was) {
        json_object_set_new(object, key, json_integer(is));
    }
}

/* A table that was dropped since and made again (another undo does that) is the table; what
 * makes objects again is told their old numbers by the archive, and is refused by their names. */
static sp_err take_made_again(undo *u)
{
    auto_json json_t *again = NULL;
    json_t *relations = json_object_get(u->manifest, "relations");
    const json_t *keys = json_object_get(u->manifest, "foreign");
    if (undo_verb_is(u, "DROP ALTER")) {
        return sp_ok();
    }
    char *text = json_dumps(relations, JSON_COMPACT);
    const char *const list[] = {text == NULL ? "[]" : text};
    sp_err err = keep_exec_json(u->job, u->conn, AGAIN, 1, list, &again);
    sp_free(text);
    TRY(err);
    for (size_t i = 0; i < json_array_size(relations); i++) {
        json_t *one = json_array_get(relations, i);
        char key[16];
        snprintf(key, sizeof(key), "%u", undo_oid(one));
        json_int_t is = json_integer_value(json_object_get(again, key));
        uint32_t was = undo_oid(one);
        if (is == 0) {
            continue;
        }
        json_object_set_new(one, "was", json_integer(was));
        json_object_set_new(one, "oid", json_integer(is));
        for (size_t k = 0; k < json_array_size(keys); k++) {
            take_oid(json_array_get(keys, k), "table", was, is);
            take_oid(json_array_get(keys, k), "references", was, is);
        }
        undo_tell(u, json_sprintf("%s was dropped since and made again: its rows go into the table "
                                  "that has its name, owner and columns now",
                                  undo_text(one, "quoted")));
        u->notes++;
    }
    return sp_ok();
}

bool undo_is_made_again(const json_t *relation)
{
    return json_object_get(relation, "was") != NULL;
}

bool undo_verb_is(const undo *u, const char *words)
{
    const char *verbs = undo_text(u->manifest, "verb");
    return keep_has_word(verbs, words) || keep_has_word(verbs, "ANY");
}

void undo_tell(undo *u, json_t *sentence)
{
    json_array_append_new(u->told, sentence);
}

sp_err undo_refuse(undo *u, const char *what, const char *why, const char *name, const char *detail)
{
    sp_buf_reset(&u->job->why);
    sp_buf_fmt(&u->job->why, "%s: %s", what, why);
    if (name != NULL) {
        sp_buf_fmt(&u->job->why, " %s", name);
    }
    if (detail != NULL) {
        sp_buf_fmt(&u->job->why, " (%s)", detail);
    }
    return sp_fail(SP_ECONFLICT);
}

/* ---- writing the script ---- */

void undo_literal(const undo *u, const char *text, sp_buf *sql)
{
    char *literal = PQescapeLiteral(u->conn, text, strlen(text));
    sp_buf_text(sql, literal == NULL ? "NULL" : literal);
    PQfreemem(literal);
}

/* Names, types and rows are the server's words, and a line of them may read like a command (\!
 * runs a program): so psql is restricted but for the one word. Which command is ours is told by a
 * byte that their words, which are UTF-8, do not have. */
static void unlock_commands(const undo *u, sp_span rest, sp_buf *out)
{
    sp_span piece;
    for (bool is_command = false; sp_span_split(&rest, UNDO_COMMAND, &piece); is_command = true) {
        if (is_command) {
            sp_span line = sp_span_slice(piece, 0, sp_span_index(piece, '\n'));
            sp_buf_fmt(out, "\n\\unrestrict %s\n\\%.*s\n\\restrict %s", u->lock, SP_SPAN_ARG(line),
                       u->lock);
            piece = sp_span_slice(piece, line.len, piece.len);
        }
        sp_buf_span(out, piece);
    }
}

sp_err undo_script(undo *u, sp_buf *sql)
{
    auto_buf sp_buf plain = sp_buf_make(2 * UNDO_SQL_MAX_BYTES);
    auto_buf sp_buf out = sp_buf_make(3 * UNDO_SQL_MAX_BYTES);
    keep_plain state = {.inside = 0};
    keep_plain_feed(&state, sp_buf_borrow(sql), &plain);
    unlock_commands(u, sp_buf_borrow(&plain), &out);
    sp_err err = sp_buf_error(sql);
    err = sp_failed(err) ? err : sp_buf_error(&plain);
    err = sp_failed(err) ? err : sp_buf_error(&out);
    if (err.code == SP_ELIMIT) {
        err = undo_refuse(u, "what was kept", "a definition in it is longer than undo can write",
                          NULL, NULL);
    }
    if (!sp_failed(err)) {
        err = sp_write_all(u->psql.in, sp_buf_borrow(&out));
        keep_work_moved(&u->job->work);
    }
    sp_buf_reset(sql);
    return err;
}

sp_err undo_lock(undo *u, bool on)
{
    char line[64];
    snprintf(line, sizeof(line), "\\%srestrict %s\n", on ? "" : "un", u->lock);
    return sp_write_all(u->psql.in, sp_span_cstr(line));
}

sp_err undo_list(undo *u, undo_pick pick, const char *name, char path[KEEP_PATH_BYTES + 16],
                 size_t *ret_count)
{
    auto_buf sp_buf list = sp_buf_make(KEEP_LISTING_MAX_BYTES);
    sp_span rest = sp_buf_borrow(&u->toc);
    keep_toc_entry entry;
    size_t count = 0;
    while (keep_toc_next(&rest, &entry)) {
        if (pick(u, &entry)) {
            sp_buf_span(&list, entry.line);
            sp_buf_byte(&list, '\n');
            count++;
        }
    }
    TRY(sp_buf_error(&list));
    snprintf(path, KEEP_PATH_BYTES + 16, "%s/%s", u->job->dir, name);
    *ret_count = count;
    return sp_file_replace(path, 0600, sp_buf_borrow(&list));
}

/* ---- the whole ---- */

static sp_err write_script(void *self)
{
    undo *u = self;
    auto_buf sp_buf sql = sp_buf_make(UNDO_SQL_MAX_BYTES);
    TRY(undo_lock(u, true));
    sp_buf_text(&sql,
                "BEGIN ISOLATION LEVEL READ COMMITTED;\nSET LOCAL "
                "lock_timeout = '30s';\n"
                "SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);\n");
    TRY(undo_script(u, &sql));
    undo_tables *tables = NULL;
    sp_err err = undo_tables_choose(u, &tables);
    if (!sp_failed(err)) {
        err = undo_code_begin(u, tables);
    }
    if (!sp_failed(err)) {
        err = undo_leave_unseen(u, tables);
    }
    bool makes = undo_verb_is(u, "DROP ALTER");
    if (!sp_failed(err) && makes) { /* types that columns are of, columns, what needs them */
        err = undo_code_check(u, false, &sql);
        err = sp_failed(err) ? err : undo_structure(u, true, &sql);
    }
    if (!sp_failed(err)) {
        err = undo_code_check(u, false, &sql);
    }
    if (!sp_failed(err)) {
        err = undo_columns(u, tables, &sql);
    }
    if (!sp_failed(err) && makes) {
        err = undo_structure(u, false, &sql);
    }
    if (!sp_failed(err) && makes) {
        err = undo_large_contents(u);
    }
    if (!sp_failed(err)) {
        err = undo_rows(u, tables, &sql);
    }
    if (!sp_failed(err) && makes) {
        err = undo_structure_keys(u, &sql);
    }
    undo_tables_free(tables);
    TRY(err);
    TRY(undo_hangs_put(u, &sql));
    sp_buf_text(&sql, u->try_only ? "ROLLBACK;\n" : "COMMIT;\n");
    return undo_script(u, &sql);
}

/* Rows have no parent, or nobody may look whether they have; or a key's tables would run code of
 * others: it goes on without asking. */
static bool is_weaker(undo *u, sp_span said)
{
    bool fits = u->at == UNDO_WEAK_ROWS ? keep_said_is(said, KEEP_SAID_NO_PARENT) ||
                                              keep_said_is(said, KEEP_SAID_NO_RIGHT)
                                        : keep_said_is(said, KEEP_SAID_OURS);
    bool is = (u->at & ~u->weak) != 0 && fits;
    u->weak |= is ? u->at : 0;
    return is;
}

/* Without values: whoever asks for an undo may see them masked. SP_EAGAIN: others were in the way
 * for the moment, and nothing came of it. */
static sp_err note_said(undo *u)
{
    auto_buf sp_buf words = sp_buf_make(SAID_MAX_BYTES);
    auto_buf sp_buf said = sp_buf_make(SAID_MAX_BYTES);
    if (sp_failed(keep_child_said(&u->psql, &words))) {
        sp_buf_reset(&u->job->why);
        return sp_fail(SP_ECONFLICT);
    }
    u->met = !u->job->end_unknown &&
             (keep_said_met(sp_buf_borrow(&words)) || is_weaker(u, sp_buf_borrow(&words)));
    keep_said(sp_buf_borrow(&words), &said);
    if (said.len > 0) {
        sp_buf_reset(&u->job->why);
        sp_buf_span(&u->job->why, sp_span_cut(sp_buf_borrow(&said), WHY_MAX_BYTES));
    }
    bool waits = !u->try_only && u->psql.status == PSQL_SCRIPT_FAILED &&
                 keep_said_is_busy(sp_buf_borrow(&words));
    return sp_fail(waits ? SP_EAGAIN : SP_ECONFLICT);
}

sp_err undo_run(undo *u, sp_err (*write)(void *self), void *self)
{
    auto_free char *info = NULL;
    TRY(keep_conninfo(u->job, NULL, &info));
    const char *const argv[] = {"psql",
                                "--no-psqlrc",
                                "--quiet",
                                "--tuples-only",
                                "--no-align",
                                "--no-password",
                                "--set=ON_ERROR_STOP=on",
                                "--set=VERBOSITY=verbose", /* with codes: said.h */
                                "--dbname",
                                info,
                                NULL};
    auto_buf sp_buf word = sp_buf_make(sizeof(u->lock));
    uint8_t random[sizeof(u->lock) / 2];
    sp_random(random, sizeof(random));
    sp_buf_hex(&word, sp_span_of(random, sizeof(random)));
    TRY(sp_buf_error(&word));
    TRY(sp_fit(u->lock, sizeof(u->lock), sp_buf_borrow(&word)));
    TRY(undo_try_begin(u));
    TRY(keep_child_start(u->job, argv, true, false, &u->psql));
    sp_err written = write(self);
    bool refused = written.code == SP_ECONFLICT;
    if (sp_failed(written) && !refused) { /* psql has ended early: its own words say why */
        sp_buf_reset(&u->job->why);
    }
    sp_err ended =
        keep_child_end(u->job, &u->psql); /* the end of input without COMMIT undoes all */
    if (written.code == SP_ECORRUPT) {
        sp_buf_reset(&u->job->why);
        sp_buf_text(&u->job->why, "what was kept does not verify: the file is damaged or changed");
    }
    if (refused || written.code == SP_ECORRUPT) {
        return written;
    }
    if (!sp_failed(written) && sp_failed(ended) && u->psql.status != PSQL_SCRIPT_FAILED) {
        u->job->end_unknown = !u->try_only; /* it had the COMMIT, and no answer to it perhaps */
    }
    if (sp_failed(ended)) { /* the server said no: its words are in why */
        return note_said(u);
    }
    return written;
}

static sp_err take_toc(void *self, sp_span bytes)
{
    undo *u = self;
    sp_buf_span(&u->toc, bytes);
    sp_err err = sp_buf_error(&u->toc);
    if (sp_failed(err)) {
        sp_buf_reset(&u->job->why);
        sp_buf_text(&u->job->why, keep_listing_too_long);
    }
    return err;
}

sp_err undo_read_toc(undo *u)
{
    const char *const argv[] = {KEEP_LISTING_WORDS};
    return undo_restore(u, argv, take_toc, u);
}

static sp_err look(undo *u)
{
    TRY(undo_read_toc(u));
    TRY(undo_take_again(u));
    TRY(undo_code_events(u));
    TRY(take_made_again(u));
    TRY(read_present(u));
    TRY(undo_find_equals(u));
    TRY(undo_find_grounds(u));
    TRY(undo_find_missing(u));
    TRY(undo_leave_others(u));
    TRY(undo_leave_unknown(u));
    TRY(undo_leave_taken(u));
    TRY(undo_leave_above(u));
    TRY(undo_hangs_find(u));
    TRY(undo_names_find(u));
    TRY(undo_check_history(u));
    return undo_check_transaction(u);
}

/* What the archive has besides what the statement reached: made again when it is missing, and
 * otherwise nobody's concern. */
static void take_outside(undo *u)
{
    json_t *relations = json_object_get(u->manifest, "relations");
    const json_t *outside = json_object_get(u->manifest, "outside");
    for (size_t i = 0; i < json_array_size(outside) && undo_verb_is(u, "DROP ALTER"); i++) {
        json_t *one = json_array_get(outside, i);
        json_object_set_new(one, "outside", json_true());
        json_array_append(relations, one);
    }
}

bool undo_is_outside(const json_t *relation)
{
    return json_is_true(json_object_get(relation, "outside"));
}

static sp_err run_once(undo *u)
{
    keep_reader *reader = NULL;
    TRY(keep_open(u->job, &reader, &u->manifest));
    keep_reader_free(reader);
    take_outside(u);
    sp_err err = undo_connect(u);
    if (err.code == SP_ENOTFOUND && u->try_only && json_array_size(u->told) > 0) {
        return undo_write_report(u);
    }
    TRY(err);
    TRY(look(u));
    TRY(undo_run(u, write_script, u));
    TRY(undo_write_report(u));
    if (!u->try_only && !u->is_whole && undo_verb_is(u, "DROP ALTER")) {
        /* else another try finds the names taken, and says so */
        SP_IGNORE(undo_note_again(u));
        sp_buf_reset(&u->job->why);
    }
    return sp_ok();
}

undo undo_make(keep_job *job, bool try)
{
    return (undo){.job = job,
                  .try_only = try,
                  .toc = sp_buf_make(KEEP_LISTING_MAX_BYTES),
                  .restored = json_array(),
                  .told = json_array(),
                  .psql = {.pid = -1, .in = -1, .out = -1, .errors = -1, .told = -1}};
}

void undo_done(undo *u)
{
    keep_child_done(&u->psql);
    keep_disconnect(&u->conn);
    sp_buf_done(&u->toc);
    sp_free(u->missing);
    sp_free(u->missing_ids);
    sp_free(u->left);
    sp_free(u->first);
    sp_free(u->ties);
    json_decref(u->manifest);
    json_decref(u->present);
    json_decref(u->above);
    json_decref(u->renamed);
    json_decref(u->operators);
    json_decref(u->grounds_gone);
    json_decref(u->lessened);
    json_decref(u->fallen);
    json_decref(u->again);
    json_decref(u->restored);
    json_decref(u->told);
}

/* *ret_met: it may be run anew, and nothing of it is there. */
static sp_err run(keep_job *job, bool try, unsigned *weak, bool *ret_met)
{
    undo u = undo_make(job, try);
    u.weak = *weak;
    sp_err err = run_once(&u);
    *weak = u.weak;
    *ret_met = u.met;
    undo_done(&u);
    return err;
}

sp_err keep_run_undo(keep_job *job, bool try)
{
    bool met = false;
    unsigned weak = 0;
    sp_err err = run(job, try, &weak, &met);
    for (int again = 0; again < AGAIN_MAX && met && !keep_work_is_given_up(&job->work); again++) {
        sp_buf_reset(&job->why);
        sp_buf_reset(&job->report);
        err = run(job, try, &weak, &met);
    }
    return err;
}

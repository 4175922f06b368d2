/* SPDX-License-Identifier: Apache-2.0
 * The store on SQLite.
 * OWNS the database handle and statements. PROCESS core. TRUST values are bound, never spliced.
 * SPEC infra/store/store.h; https://www.sqlite.org/pragma.html
 */
#include "infra/store/store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

enum { STATEMENTS_MAX = 512, BUSY_MS = 5000, COPY_PAGES = 256, TEXT_MAX = 1 << 30 };

struct sp_statement {
    const char *sql; /* the caller's literal */
    sqlite3_stmt *stmt;
    bool busy;
};

struct sp_store {
    sqlite3 *db;
    sp_statement statements[STATEMENTS_MAX];
    size_t statement_count;
    bool in_txn;
};

static sp_err err_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW:
        return sp_ok();
    case SQLITE_NOMEM:
        return sp_fail(SP_ENOMEM);
    case SQLITE_CONSTRAINT:
        return sp_fail(rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY
                           ? SP_EEXISTS
                           : SP_ECONFLICT);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return sp_fail(SP_ECORRUPT);
    case SQLITE_TOOBIG:
        return sp_fail(SP_ELIMIT);
    case SQLITE_ERROR:
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
        return sp_fail(SP_EINTERNAL);
    default:
        return sp_fail(SP_EIO);
    }
}

static sp_err run(sp_store *store, const char *sql)
{
    return err_of(sqlite3_exec(store->db, sql, NULL, NULL, NULL));
}

const char *sp_store_error_text(const sp_store *store)
{
    return sqlite3_errmsg(store->db);
}

/* ---- opening ---- */

static sp_err set_up(sp_store *store)
{
    static const char *const pragmas[] = {"PRAGMA journal_mode=WAL",   "PRAGMA synchronous=FULL",
                                          "PRAGMA foreign_keys=ON",    "PRAGMA secure_delete=ON",
                                          "PRAGMA trusted_schema=OFF", "PRAGMA temp_store=MEMORY",
                                          "PRAGMA cell_size_check=ON"};
    for (size_t i = 0; i < SP_COUNT(pragmas); i++) {
        TRY(run(store, pragmas[i]));
    }
    return run(store, "CREATE TABLE IF NOT EXISTS store_room (name TEXT PRIMARY KEY, "
                      "version BIGINT NOT NULL)");
}

/* "ok", or what is wrong: SQLite's own words. */
static sp_err check_whole(sp_store *store, sp_buf *why)
{
    auto_query sp_query q = sp_query_of(store, "PRAGMA integrity_check(3)");
    bool bad = false;
    while (sp_query_row(&q)) {
        sp_span line = sp_col_text(&q);
        if (!sp_span_eq(line, SP_SPAN_LIT("ok"))) {
            bad = true;
            sp_buf_span(why, line);
            sp_buf_text(why, "; ");
        }
    }
    TRY(sp_query_finish(&q));
    return bad ? sp_fail(SP_ECORRUPT) : sp_ok();
}

static sp_err open_db(const char *path, sp_store *store)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE;
    TRY(err_of(sqlite3_open_v2(path, &store->db, flags, NULL)));
    sqlite3_busy_timeout(store->db, BUSY_MS);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    return set_up(store);
}

sp_err sp_store_open(const char *path, sp_buf *why, sp_store **ret_store)
{
    auto_free sp_store *store = NULL;
    TRY(sp_alloc(1, sizeof(*store), &store));
    sp_err err = open_db(path, store);
    if (sp_failed(err)) {
        sp_buf_text(why, store->db == NULL ? "out of memory" : sqlite3_errmsg(store->db));
    } else {
        err = check_whole(store, why);
    }
    if (sp_failed(err)) {
        sp_store_close(SP_STEAL(store));
        return err;
    }
    *ret_store = SP_STEAL(store);
    return sp_ok();
}

void sp_store_close(sp_store *store)
{
    if (store == NULL) {
        return;
    }
    for (size_t i = 0; i < store->statement_count; i++) {
        sqlite3_finalize(store->statements[i].stmt);
    }
    sqlite3_close(store->db);
    sp_free(store);
}

/* ---- transactions ---- */

sp_err sp_store_begin(sp_store *store)
{
    if (store->in_txn) {
        return sp_fail(SP_EINTERNAL);
    }
    TRY(run(store, "BEGIN IMMEDIATE"));
    store->in_txn = true;
    return sp_ok();
}

sp_err sp_store_commit(sp_store *store)
{
    if (!store->in_txn) {
        return sp_fail(SP_EINTERNAL);
    }
    sp_err err = run(store, "COMMIT");
    if (sp_failed(err)) {
        sp_store_rollback(store);
        return err;
    }
    store->in_txn = false;
    return sp_ok();
}

void sp_store_rollback(sp_store *store)
{
    if (store->in_txn) {
        store->in_txn = false;
        SP_IGNORE(run(store, "ROLLBACK")); /* fails only when SQLite has rolled back by itself */
    }
}

sp_txn sp_txn_begin(sp_store *store)
{
    sp_err err = sp_store_begin(store);
    return (sp_txn){sp_failed(err) ? NULL : store, err};
}

sp_err sp_txn_commit(sp_txn *txn)
{
    TRY(txn->err);
    sp_store *store = SP_STEAL(txn->store);
    txn->err = sp_fail(SP_EINTERNAL);
    return sp_store_commit(store);
}

void sp_txn_done_(sp_txn *txn)
{
    if (txn->store != NULL) {
        sp_store_rollback(txn->store);
    }
}

/* ---- migrations ---- */

static sp_err room_version(sp_store *store, sp_span room, size_t *ret_version)
{
    auto_query sp_query q = sp_query_of(store, "SELECT version FROM store_room WHERE name = $1");
    sp_bind_text(&q, room);
    *ret_version = sp_query_row(&q) ? (size_t)sp_col_u64(&q) : 0;
    return sp_query_finish(&q);
}

sp_err sp_store_migrate(sp_store *store, const char *room, const char *const *steps, size_t count)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    size_t version = 0;
    TRY(room_version(store, sp_span_cstr(room), &version));
    if (version > count) {
        return sp_fail(SP_EUNSUPPORTED);
    }
    for (size_t i = version; i < count; i++) {
        TRY(run(store, steps[i]));
    }
    auto_query sp_query q =
        sp_query_of(store, "INSERT INTO store_room (name, version) VALUES ($1, $2) "
                           "ON CONFLICT (name) DO UPDATE SET version = excluded.version");
    sp_bind_text(&q, sp_span_cstr(room));
    sp_bind_u64(&q, count);
    TRY(sp_query_finish(&q));
    return sp_txn_commit(&txn);
}

/* ---- copy ---- */

static sp_err copy_pages(sp_store *store, sqlite3 *to)
{
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", store->db, "main");
    if (backup == NULL) {
        return err_of(sqlite3_errcode(to));
    }
    int rc = SQLITE_OK;
    while (rc == SQLITE_OK) {
        rc = sqlite3_backup_step(backup, COPY_PAGES);
    }
    int end = sqlite3_backup_finish(backup);
    return rc != SQLITE_DONE ? err_of(rc) : err_of(end);
}

sp_err sp_store_copy(sp_store *store, const char *path)
{
    if (access(path, F_OK) == 0) {
        return sp_fail(SP_EEXISTS);
    }
    sqlite3 *to = NULL;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW;
    sp_err err = err_of(sqlite3_open_v2(path, &to, flags, NULL));
    if (!sp_failed(err)) {
        err = copy_pages(store, to);
    }
    if (!sp_failed(err)) { /* one file, without a journal beside it */
        err = err_of(sqlite3_exec(to, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL));
    }
    sqlite3_close(to);
    if (sp_failed(err)) {
        unlink(path);
    }
    return err;
}

/* ---- queries ---- */

/* $1, $2 .. must first appear in that order: SQLite numbers by appearance, PostgreSQL by name. */
static bool params_in_order(sqlite3_stmt *stmt)
{
    int count = sqlite3_bind_parameter_count(stmt);
    for (int i = 1; i <= count; i++) {
        char want[16];
        snprintf(want, sizeof(want), "$%d", i);
        const char *name = sqlite3_bind_parameter_name(stmt, i);
        if (name == NULL || !sp_span_eq(sp_span_cstr(name), sp_span_cstr(want))) {
            return false;
        }
    }
    return true;
}

static sp_err statement_add(sp_store *store, const char *sql, sp_statement **ret_statement)
{
    if (store->statement_count >= STATEMENTS_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    sqlite3_stmt *stmt = NULL;
    TRY(err_of(sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL)));
    if (!params_in_order(stmt)) {
        sqlite3_finalize(stmt);
        return sp_fail(SP_EINTERNAL);
    }
    sp_statement *statement = &store->statements[store->statement_count++];
    *statement = (sp_statement){sql, stmt, false};
    *ret_statement = statement;
    return sp_ok();
}

static sp_err statement_get(sp_store *store, const char *sql, sp_statement **ret_statement)
{
    for (size_t i = 0; i < store->statement_count; i++) {
        sp_statement *statement = &store->statements[i];
        if (statement->sql == sql && !statement->busy) {
            *ret_statement = statement;
            return sp_ok();
        }
    }
    return statement_add(store, sql, ret_statement);
}

sp_query sp_query_of(sp_store *store, const char *sql)
{
    sp_query query = {.store = store};
    query.err = statement_get(store, sql, &query.statement);
    if (!sp_failed(query.err)) {
        query.statement->busy = true;
    }
    return query;
}

sp_query sp_query_alone(sp_store *store, const char *sql)
{
    sp_err err = sp_store_begin(store);
    if (sp_failed(err)) {
        return (sp_query){.store = store, .err = err};
    }
    sp_query query = sp_query_of(store, sql);
    query.alone = true;
    return query;
}

static void bound(sp_query *query, int rc)
{
    if (rc != SQLITE_OK && !sp_failed(query->err)) {
        query->err = err_of(rc);
    }
}

void sp_bind_bits(sp_query *query, uint64_t value)
{
    if (!sp_failed(query->err)) {
        int64_t same_bits = 0;
        sp_copy(&same_bits, &value, sizeof(value));
        bound(query, sqlite3_bind_int64(query->statement->stmt, ++query->bound, same_bits));
    }
}

void sp_bind_u64(sp_query *query, uint64_t value)
{
    if (value > INT64_MAX && !sp_failed(query->err)) {
        query->err = sp_fail(SP_ELIMIT);
    }
    sp_bind_bits(query, value);
}

void sp_bind_text(sp_query *query, sp_span text)
{
    if (sp_failed(query->err)) {
        return;
    }
    if (text.len > TEXT_MAX || !sp_span_is_utf8(text) || sp_span_index(text, 0) != text.len) {
        query->err = sp_fail(SP_EINVALID);
        return;
    }
    const char *from = text.len == 0 ? "" : (const char *)text.ptr;
    bound(query, sqlite3_bind_text(query->statement->stmt, ++query->bound, from, (int)text.len,
                                   SQLITE_TRANSIENT));
}

void sp_bind_blob(sp_query *query, sp_span bytes)
{
    if (sp_failed(query->err)) {
        return;
    }
    if (bytes.len > TEXT_MAX) {
        query->err = sp_fail(SP_ELIMIT);
        return;
    }
    const void *from = bytes.len == 0 ? "" : (const void *)bytes.ptr;
    bound(query, sqlite3_bind_blob(query->statement->stmt, ++query->bound, from, (int)bytes.len,
                                   SQLITE_TRANSIENT));
}

void sp_bind_null(sp_query *query)
{
    if (!sp_failed(query->err)) {
        bound(query, sqlite3_bind_null(query->statement->stmt, ++query->bound));
    }
}

static bool all_bound(const sp_query *query)
{
    return query->bound == sqlite3_bind_parameter_count(query->statement->stmt);
}

/* A write outside begin..commit is a bug: it would be a transaction of its own, unseen. */
static bool write_is_framed(const sp_query *query)
{
    return query->store->in_txn || sqlite3_stmt_readonly(query->statement->stmt) != 0;
}

bool sp_query_row(sp_query *query)
{
    if (sp_failed(query->err)) {
        return false;
    }
    if (!all_bound(query) || !write_is_framed(query)) {
        query->err = sp_fail(SP_EINTERNAL);
        return false;
    }
    int rc = sqlite3_step(query->statement->stmt);
    query->column = 0;
    query->columns = rc == SQLITE_ROW ? sqlite3_column_count(query->statement->stmt) : -1;
    query->err = err_of(rc);
    return rc == SQLITE_ROW;
}

static bool next_column(sp_query *query, int *ret_column)
{
    if (sp_failed(query->err)) {
        return false;
    }
    if (query->column >= query->columns) {
        query->err = sp_fail(SP_EINTERNAL);
        return false;
    }
    *ret_column = query->column++;
    return true;
}

uint64_t sp_col_bits(sp_query *query)
{
    int at = 0;
    if (!next_column(query, &at)) {
        return 0;
    }
    int64_t value = sqlite3_column_int64(query->statement->stmt, at);
    uint64_t same_bits = 0;
    sp_copy(&same_bits, &value, sizeof(value));
    return same_bits;
}

uint64_t sp_col_u64(sp_query *query)
{
    uint64_t value = sp_col_bits(query);
    if (value > INT64_MAX && !sp_failed(query->err)) {
        query->err = sp_fail(SP_ECORRUPT);
        return 0;
    }
    return value;
}

sp_span sp_col_blob(sp_query *query)
{
    int at = 0;
    if (!next_column(query, &at)) {
        return SP_SPAN_EMPTY;
    }
    const void *bytes = sqlite3_column_blob(query->statement->stmt, at);
    return sp_span_of(bytes, (size_t)sqlite3_column_bytes(query->statement->stmt, at));
}

sp_span sp_col_text(sp_query *query)
{
    return sp_col_blob(query); /* UTF-8 either way */
}

bool sp_col_is_null(const sp_query *query)
{
    return query->column >= query->columns ||
           sqlite3_column_type(query->statement->stmt, query->column) == SQLITE_NULL;
}

void sp_query_done_(sp_query *query)
{
    if (query->statement != NULL) {
        sqlite3_reset(query->statement->stmt);
        sqlite3_clear_bindings(query->statement->stmt);
        query->statement->busy = false;
        query->statement = NULL;
    }
    if (query->alone) {
        query->alone = false;
        sp_store_rollback(query->store);
    }
}

sp_err sp_query_finish(sp_query *query)
{
    if (query->statement != NULL && query->columns == 0 && !sp_failed(query->err)) {
        (void)sp_query_row(query); /* a write runs now; an error stays in the query */
    }
    bool commits = query->alone && !sp_failed(query->err);
    query->alone = query->alone && !commits;
    sp_query_done_(query);
    if (commits) {
        query->err = sp_store_commit(query->store);
    }
    return query->err;
}

sp_err sp_query_finish_changed(sp_query *query)
{
    TRY(sp_query_finish(query));
    return sqlite3_changes(query->store->db) > 0 ? sp_ok() : sp_fail(SP_ENOTFOUND);
}

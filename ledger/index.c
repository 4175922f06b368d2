/* SPDX-License-Identifier: Apache-2.0
 * The search index in SQLite.
 * OWNS its database. PROCESS ledger. TRUST as ledger/index.h. SPEC ledger/index.h.
 */
#include "ledger/index.h"

#include "infra/proc/log.h"

#include <sodium.h>
#include <sqlite3.h>
#include <unistd.h>

enum { PATH_MAX_BYTES = 4096 };

typedef enum {
    PUT_ENTRY,
    PUT_REFERENCE,
    SEARCH,
    BY_REFERENCE,
    KNOWS_REFERENCE,
    COUNT_PERSON,
    STATEMENTS
} statement;

struct sp_index {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
    sp_key key;
    uint64_t upto;
    uint64_t kept; /* upto, as of the last transaction that was kept */
    bool open;     /* a transaction */
};

static const char SCHEMA[] =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-4096;"
    "PRAGMA user_version=1;"
    "CREATE TABLE IF NOT EXISTS entries(entry INTEGER PRIMARY KEY, first_us INTEGER NOT NULL,"
    " last_us INTEGER NOT NULL, person INTEGER NOT NULL, session INTEGER NOT NULL,"
    " kinds INTEGER NOT NULL, verdicts INTEGER NOT NULL);"
    "CREATE INDEX IF NOT EXISTS by_person ON entries(person, entry);"
    "CREATE INDEX IF NOT EXISTS by_session ON entries(session, entry) WHERE session <> 0;"
    "CREATE TABLE IF NOT EXISTS refs(reference INTEGER, entry INTEGER,"
    " PRIMARY KEY(reference, entry)) WITHOUT ROWID;";

static const char *const SQL[STATEMENTS] = {
    [PUT_ENTRY] = "INSERT OR REPLACE INTO entries VALUES(?1,?2,?3,?4,?5,?6,?7)",
    [PUT_REFERENCE] = "INSERT OR IGNORE INTO refs VALUES(?1,?2)",
    [SEARCH] = ("SELECT entry FROM entries WHERE entry >= ?1 AND entry < ?2"
                " AND last_us >= ?3 AND first_us <= ?4"
                " AND (?5 = 0 OR person = ?5) AND (?6 = 0 OR session = ?6)"
                " AND (kinds & ?7) <> 0 AND (verdicts & ?8) <> 0 ORDER BY entry DESC"),
    [BY_REFERENCE] =
        "SELECT entry FROM refs WHERE reference = ?1 AND entry < ?2 ORDER BY entry DESC",
    [KNOWS_REFERENCE] = "SELECT 1 FROM refs WHERE reference = ?1 LIMIT 1",
    [COUNT_PERSON] = "SELECT count(*) FROM entries WHERE person = ?1 AND last_us < ?2",
};

/* What stands in the file for a person or a session: the same value gives the same number, and
 * without the key it gives nothing. Never 0, which is "none". */
static int64_t pseudonym(const sp_index *index, uint8_t what, uint64_t value)
{
    uint8_t in[9] = {what};
    uint64_t hash = 0;
    if (value == 0) {
        return 0;
    }
    sp_copy(in + 1, &value, sizeof(value));
    _Static_assert(crypto_shorthash_BYTES == sizeof(hash), "64 bits");
    crypto_shorthash((uint8_t *)&hash, in, sizeof(in), index->key.bytes);
    return (int64_t)(hash >> 1 | 1);
}

static sp_err run(sp_index *index, const char *sql)
{
    return sqlite3_exec(index->db, sql, NULL, NULL, NULL) == SQLITE_OK ? sp_ok() : sp_fail(SP_EIO);
}

static sp_err scalar(sp_index *index, const char *sql, int64_t *ret_value)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(index->db, sql, -1, &s, NULL) != SQLITE_OK ||
        sqlite3_step(s) != SQLITE_ROW) {
        sqlite3_finalize(s);
        return sp_fail(SP_EIO);
    }
    *ret_value = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return sp_ok();
}

static sp_err start(sp_index *index, const char *path, uint64_t size)
{
    int64_t upto = 0;
    int64_t count = 0;
    if (sqlite3_open_v2(path, &index->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) !=
        SQLITE_OK) {
        return sp_fail(SP_EIO);
    }
    TRY(run(index, SCHEMA));
    TRY(scalar(index, "SELECT ifnull(max(entry) + 1, 0) FROM entries", &upto));
    TRY(scalar(index, "SELECT ifnull(max(entry) - min(entry) + 1 - count(*), 0) FROM entries",
               &count));
    if (upto < 0 || (uint64_t)upto > size || count != 0) {
        return sp_fail(SP_ECORRUPT);
    }
    index->upto = index->kept = (uint64_t)upto;
    for (size_t i = 0; i < STATEMENTS; i++) {
        if (sqlite3_prepare_v3(index->db, SQL[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &index->statements[i], NULL) != SQLITE_OK) {
            return sp_fail(SP_ECORRUPT);
        }
    }
    return sp_ok();
}

static void drop(sp_index *index)
{
    for (size_t i = 0; i < STATEMENTS; i++) {
        sqlite3_finalize(index->statements[i]);
        index->statements[i] = NULL;
    }
    sqlite3_close(index->db);
    index->db = NULL;
}

static sp_err remove_files(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < SP_COUNT(suffixes); i++) {
        auto_buf sp_buf name = sp_buf_make(PATH_MAX_BYTES);
        sp_buf_text(&name, path);
        sp_buf_text(&name, suffixes[i]);
        sp_buf_byte(&name, 0);
        TRY(sp_buf_error(&name));
        unlink((const char *)name.ptr); /* may not be there */
    }
    return sp_ok();
}

sp_err sp_index_open(const char *path, const sp_key *kek, uint64_t size, sp_index **ret_index)
{
    sp_index *index = NULL;
    TRY(sp_alloc(1, sizeof(*index), &index));
    index->key = sp_key_derive(kek, SP_SPAN_EMPTY, "ledger search index");
    sp_err err = start(index, path, size);
    if (sp_failed(err)) {
        sp_log(SP_LOG_WARN, "the search index is made anew (%s)", sp_code_word(err.code));
        drop(index);
        err = remove_files(path);
        if (!sp_failed(err)) {
            err = start(index, path, size);
        }
    }
    if (sp_failed(err)) {
        sp_index_close(index);
        return err;
    }
    *ret_index = index;
    return sp_ok();
}

void sp_index_close(sp_index *index)
{
    if (index != NULL) {
        drop(index);
        sp_key_wipe(&index->key);
        sp_free(index);
    }
}

uint64_t sp_index_upto(const sp_index *index)
{
    return index->upto;
}

static sp_err step(sqlite3_stmt *s)
{
    int got = sqlite3_step(s);
    sqlite3_reset(s);
    return got == SQLITE_DONE ? sp_ok() : sp_fail(SP_EIO);
}

static sp_err begin(sp_index *index)
{
    if (!index->open) {
        TRY(run(index, "BEGIN"));
        index->open = true;
    }
    return sp_ok();
}

/* What was put since the last commit is gone (a full disk; SQLite may have taken it back by
 * itself): it is not counted as there, so it is read back from the entries. */
static sp_err give_up(sp_index *index)
{
    if (sqlite3_get_autocommit(index->db) == 0) {
        SP_IGNORE(run(index, "ROLLBACK")); /* it cannot be kept open either */
    }
    index->open = false;
    index->upto = index->kept;
    return sp_fail(SP_EIO);
}

sp_err sp_index_put(sp_index *index, const sp_index_row *row)
{
    sqlite3_stmt *s = index->statements[PUT_ENTRY];
    TRY(begin(index));
    sqlite3_bind_int64(s, 1, (int64_t)row->entry);
    sqlite3_bind_int64(s, 2, (int64_t)row->first_unix_us);
    sqlite3_bind_int64(s, 3, (int64_t)row->last_unix_us);
    sqlite3_bind_int64(s, 4, pseudonym(index, 'p', row->person));
    sqlite3_bind_int64(s, 5, pseudonym(index, 's', row->session));
    sqlite3_bind_int64(s, 6, row->kinds);
    sqlite3_bind_int64(s, 7, row->verdicts);
    if (sp_failed(step(s))) {
        return give_up(index);
    }
    index->upto = row->entry + 1;
    return sp_ok();
}

sp_err sp_index_put_reference(sp_index *index, uint64_t reference, uint64_t entry)
{
    sqlite3_stmt *s = index->statements[PUT_REFERENCE];
    TRY(begin(index));
    sqlite3_bind_int64(s, 1, pseudonym(index, 'r', reference));
    sqlite3_bind_int64(s, 2, (int64_t)entry);
    return sp_failed(step(s)) ? give_up(index) : sp_ok();
}

sp_err sp_index_commit(sp_index *index)
{
    if (!index->open) {
        return sp_ok();
    }
    if (sp_failed(run(index, "COMMIT"))) {
        return give_up(index);
    }
    index->open = false;
    index->kept = index->upto;
    return sp_ok();
}

static sp_err visit_all(sqlite3_stmt *s, sp_index_visit visit, void *self)
{
    int got = sqlite3_step(s);
    for (; got == SQLITE_ROW; got = sqlite3_step(s)) {
        if (!visit(self, (uint64_t)sqlite3_column_int64(s, 0))) {
            got = SQLITE_DONE;
            break;
        }
    }
    sqlite3_reset(s);
    return got == SQLITE_DONE ? sp_ok() : sp_fail(SP_EIO);
}

sp_err sp_index_search(sp_index *index, const sp_ledger_search *search, uint64_t from, uint64_t to,
                       sp_index_visit visit, void *self)
{
    sqlite3_stmt *s = index->statements[SEARCH];
    uint64_t until = search->to_unix_us == 0 ? INT64_MAX : search->to_unix_us;
    sqlite3_bind_int64(s, 1, (int64_t)from);
    sqlite3_bind_int64(s, 2, (int64_t)to);
    sqlite3_bind_int64(s, 3, (int64_t)(search->from_unix_us & INT64_MAX));
    sqlite3_bind_int64(s, 4, (int64_t)(until & INT64_MAX));
    sqlite3_bind_int64(s, 5, pseudonym(index, 'p', search->person));
    sqlite3_bind_int64(s, 6, pseudonym(index, 's', search->session));
    sqlite3_bind_int64(s, 7, search->kinds == 0 ? UINT32_MAX : search->kinds);
    sqlite3_bind_int64(s, 8, search->verdicts == 0 ? UINT8_MAX : search->verdicts);
    return visit_all(s, visit, self);
}

sp_err sp_index_reference(sp_index *index, uint64_t reference, uint64_t before,
                          sp_index_visit visit, void *self)
{
    sqlite3_stmt *s = index->statements[BY_REFERENCE];
    sqlite3_bind_int64(s, 1, pseudonym(index, 'r', reference));
    sqlite3_bind_int64(s, 2, (int64_t)(before & INT64_MAX));
    return visit_all(s, visit, self);
}

bool sp_index_knows_reference(sp_index *index, uint64_t reference)
{
    sqlite3_stmt *s = index->statements[KNOWS_REFERENCE];
    sqlite3_bind_int64(s, 1, pseudonym(index, 'r', reference));
    bool known = sqlite3_step(s) == SQLITE_ROW;
    sqlite3_reset(s);
    return known;
}

sp_err sp_index_count_person(sp_index *index, uint32_t person, uint64_t before_unix_us,
                             uint64_t *ret_count)
{
    sqlite3_stmt *s = index->statements[COUNT_PERSON];
    sqlite3_bind_int64(s, 1, pseudonym(index, 'p', person));
    sqlite3_bind_int64(s, 2, (int64_t)(before_unix_us & INT64_MAX));
    int got = sqlite3_step(s);
    *ret_count = got == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(s, 0) : 0;
    sqlite3_reset(s);
    return got == SQLITE_ROW ? sp_ok() : sp_fail(SP_EIO);
}

/* SPDX-License-Identifier: Apache-2.0
 * The database of a job: its directory with the passfile, the connection, statements.
 * OWNS the job's directory. PROCESS keeper, threads of the pool. TRUST the server's words are for
 * people only; the password is in one file of mode 0600 and nowhere else.
 * SPEC libpq "Connection Strings", "The Password File".
 */
#include "infra/proc/clock.h"
#include "infra/proc/file.h"
#include "keeper/keeper.h"
#include "lib/policy/database.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    CONNINFO_MAX_BYTES = 4096,
    PASSWORD_MAX_BYTES = 2048,
    KEEP_ANSWER_MAX_BYTES = 128 << 20,
    ROW_BYTES = 64 /* what a value takes besides its own */
};
#define ANSWER_US ((uint64_t)3600 * 1000 * 1000)

/* What the owner of a database could set for it: who asks, which rows and how much of the catalogs
 * are seen, which functions and operators are found, what a backslash means, how names and values
 * are read and written. Named last is what ends or bends a session that waits. */
static const char PINNED[] =
    "connect_timeout=10 keepalives_idle=30 keepalives_interval=10 keepalives_count=3 "
    "tcp_user_timeout=60000 application_name=sallyport-keeper client_encoding=UTF8 "
    "gssencmode=disable "
    "options='-c statement_timeout=0 -c lock_timeout=30s -c search_path=pg_catalog "
    "-c standard_conforming_strings=on -c quote_all_identifiers=off -c DateStyle=ISO "
    "-c IntervalStyle=postgres -c TimeZone=UTC -c jit=off -c default_transaction_read_only=off -c "
    "role=none "
    "-c default_transaction_isolation=read\\\\ committed -c row_security=off -c xmloption=content "
    "-c array_nulls=on -c lc_monetary=C -c bytea_output=hex -c extra_float_digits=3 "
    "-c transform_null_equals=off -c gin_fuzzy_search_limit=0 "
    "-c idle_in_transaction_session_timeout=0 -c client_min_messages=notice'";

/* ---- the job's directory ---- */

/* "*:*:*:*:password", with ':' and '\' escaped. */
static sp_err write_passfile(keep_job *job, sp_span password)
{
    auto_buf sp_buf line = sp_buf_make(PASSWORD_MAX_BYTES * 2 + 16);
    sp_buf_text(&line, "*:*:*:*:");
    for (size_t i = 0; i < password.len; i++) {
        if (password.ptr[i] == ':' || password.ptr[i] == '\\') {
            sp_buf_byte(&line, '\\');
        }
        sp_buf_byte(&line, password.ptr[i]);
    }
    sp_buf_byte(&line, '\n');
    sp_err err = sp_buf_error(&line);
    auto_close int fd = open(job->passfile, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (!sp_failed(err)) {
        err = fd < 0 ? sp_fail(SP_EIO) : sp_write_all(fd, sp_buf_borrow(&line));
    }
    sp_buf_wipe(&line);
    return err;
}

sp_err keep_prepare(keep_job *job)
{
    auto_free char *base = NULL;
    auto_buf sp_buf password = sp_buf_make(PASSWORD_MAX_BYTES);
    TRY(sp_config_state(job->config, SP_ROLE_KEEPER, "job-XXXXXX", &base));
    TRY(sp_fit(job->dir, sizeof(job->dir), sp_span_cstr(base)));
    if (mkdtemp(job->dir) == NULL) {
        job->dir[0] = '\0';
        return sp_fail(SP_EIO);
    }
    snprintf(job->passfile, sizeof(job->passfile), "%s/passfile", job->dir);
    sp_err err = keep_vault_password(job, &password);
    if (!sp_failed(err)) {
        err = write_passfile(job, sp_buf_borrow(&password));
    }
    sp_buf_wipe(&password);
    if (err.code == SP_ENOTFOUND || err.code == SP_EDENIED) {
        sp_buf_fmt(&job->why, "the vault has no credential %.*s for the keeper",
                   SP_SPAN_ARG(job->job.credential));
    }
    return err;
}

void keep_clean(keep_job *job)
{
    if (job->dir[0] == '\0') {
        return;
    }
    DIR *dir = opendir(job->dir);
    for (const struct dirent *entry = dir == NULL ? NULL : readdir(dir); entry != NULL;
         entry = readdir(dir)) {
        unlinkat(dirfd(dir), entry->d_name, 0);
    }
    if (dir != NULL) {
        closedir(dir);
    }
    rmdir(job->dir);
    job->dir[0] = '\0';
}

/* ---- connecting ---- */

static const char *mode_of(uint8_t tls)
{
    static const char *const modes[SP_DATABASE_TLS_COUNT] = {"verify-full", "verify-ca", "require",
                                                             "disable"};
    return modes[tls];
}

/* A value of a connection string: quoted, with ' and \ escaped. */
static void put_value(sp_buf *out, const char *key, sp_span value)
{
    sp_buf_fmt(out, "%s='", key);
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] == '\'' || value.ptr[i] == '\\') {
            sp_buf_byte(out, '\\');
        }
        sp_buf_byte(out, value.ptr[i]);
    }
    sp_buf_text(out, "' ");
}

sp_err keep_conninfo(const keep_job *job, const char *database, char **ret_text)
{
    static const char system_ca[] = "/etc/ssl/certs/ca-certificates.crt";
    auto_buf sp_buf text = sp_buf_make(CONNINFO_MAX_BYTES);
    sp_span name = database == NULL ? job->job.database : sp_span_cstr(database);
    sp_span ca = job->job.ca.len > 0 ? job->job.ca : sp_span_cstr(system_ca);
    put_value(&text, "host", job->job.host);
    sp_buf_fmt(&text, "port=%u ", job->job.port);
    put_value(&text, "user", job->job.account);
    put_value(&text, "dbname", name);
    put_value(&text, "passfile", sp_span_cstr(job->passfile));
    put_value(&text, "sslmode", sp_span_cstr(mode_of(job->job.tls)));
    if (job->job.tls <= SP_DATABASE_TLS_VERIFY_CA) {
        put_value(&text, "sslrootcert", ca);
    }
    if (job->job.tls != SP_DATABASE_TLS_LOOPBACK) { /* else whoever asks gets it in clear */
        sp_buf_text(&text, "channel_binding=require ");
    }
    sp_buf_text(&text, PINNED);
    return sp_buf_take_cstr(&text, ret_text);
}

static void note_words(keep_job *job, const char *words)
{
    sp_span text = sp_span_trim(sp_span_cstr(words));
    if (job->why.len > 0 || text.len == 0) {
        return;
    }
    sp_buf_span(&job->why, sp_span_cut(text, SP_KEEPER_WHY_MAX_BYTES / 2));
}

/* Whether there is such a database: servers say that there is none in their own language. */
static sp_err look_for(keep_job *job)
{
    auto_conn PGconn *conn = NULL;
    auto_free char *info = NULL;
    auto_free char *name = NULL;
    auto_result PGresult *found = NULL;
    TRY(keep_conninfo(job, "postgres", &info));
    TRY(sp_strdup(job->job.database, &name));
    conn = PQconnectdb(info);
    if (conn == NULL || PQstatus(conn) != CONNECTION_OK) {
        return sp_fail(SP_EIO);
    }
    const char *const one[] = {name};
    TRY(keep_exec(job, conn, "SELECT FROM pg_catalog.pg_database WHERE datname = $1", 1, one,
                  &found));
    return PQntuples(found) == 0 ? sp_fail(SP_ENOTFOUND) : sp_fail(SP_EIO);
}

sp_err keep_connect(keep_job *job, const char *database, PGconn **ret_conn)
{
    auto_free char *info = NULL;
    TRY(keep_conninfo(job, database, &info));
    PGconn *conn = PQconnectdb(info);
    if (conn == NULL) {
        return sp_fail(SP_ENOMEM);
    }
    if (PQstatus(conn) != CONNECTION_OK) {
        note_words(job, PQerrorMessage(conn));
        PQfinish(conn);
        return database == NULL ? look_for(job) : sp_fail(SP_EIO);
    }
    *ret_conn = conn;
    return sp_ok();
}

void keep_disconnect(PGconn **conn)
{
    if (*conn != NULL) {
        PQfinish(*conn);
        *conn = NULL;
    }
}

/* ---- statements ---- */

/* Waits for its answer; a connection that hangs is as good as broken. */
static sp_err await_answer(PGconn *conn)
{
    uint64_t until_us = sp_now_steady_us() + ANSWER_US;
    while (PQisBusy(conn) != 0) {
        struct pollfd one = {.fd = PQsocket(conn), .events = POLLIN};
        if (sp_now_steady_us() > until_us) {
            return sp_fail(SP_ETIMEOUT);
        }
        SP_IGNORE(poll(&one, 1, 1000) >= 0 ? sp_ok() : sp_fail(SP_EIO));
        if (PQconsumeInput(conn) == 0) {
            return sp_ok(); /* its error is the answer */
        }
    }
    return sp_ok();
}

static size_t bytes_of(const PGresult *result)
{
    size_t bytes = 0;
    for (int row = 0; row < PQntuples(result); row++) {
        for (int column = 0; column < PQnfields(result); column++) {
            bytes += (size_t)PQgetlength(result, row, column) + ROW_BYTES;
        }
    }
    return bytes;
}

static bool add_row(PGresult *all, const PGresult *one)
{
    int row = PQntuples(all);
    bool added = true;
    for (int column = 0; column < PQnfields(one) && added; column++) {
        bool is_null = PQgetisnull(one, 0, column) != 0;
        added = PQsetvalue(all, row, column, is_null ? NULL : PQgetvalue(one, 0, column),
                           is_null ? -1 : PQgetlength(one, 0, column)) != 0;
    }
    return added;
}

/* Row by row, so that no server fills our memory; all of them as one. */
static sp_err take_answer(PGconn *conn, PGresult **all)
{
    size_t bytes = 0;
    for (;;) {
        auto_result PGresult *one = NULL;
        TRY(await_answer(conn));
        one = PQgetResult(conn);
        if (one == NULL) {
            return sp_ok();
        }
        bool is_row = PQresultStatus(one) == PGRES_SINGLE_TUPLE;
        bytes += bytes_of(one) + ROW_BYTES;
        if (bytes > KEEP_ANSWER_MAX_BYTES) {
            return sp_fail(SP_ELIMIT);
        }
        if (is_row && PQnfields(one) == 0) { /* it says that there is one */
            PQclear(*all);
            *all = SP_STEAL(one);
            continue;
        }
        if (is_row && *all == NULL) {
            *all = PQcopyResult(one, PG_COPYRES_ATTRS);
        }
        if (is_row && (*all == NULL || !add_row(*all, one))) {
            return sp_fail(SP_ENOMEM);
        }
        bool is_end = PQresultStatus(one) == PGRES_TUPLES_OK && *all != NULL;
        if (!is_row && !is_end) { /* what it came to: an error behind rows, or no rows */
            PQclear(*all);
            *all = SP_STEAL(one);
        }
    }
}

static sp_err ask_server(keep_job *job, PGconn *conn, const char *sql, int count,
                         const char *const *values, PGresult **ret_result)
{
    if (PQsendQueryParams(conn, sql, count, NULL, values, NULL, NULL, 0) == 0 ||
        PQsetSingleRowMode(conn) == 0) {
        note_words(job, PQerrorMessage(conn));
        return sp_fail(SP_EIO);
    }
    sp_err err = take_answer(conn, ret_result);
    keep_work_moved(&job->work);
    if (sp_failed(err)) {
        note_words(job,
                   err.code == SP_ELIMIT ? "the server answers more than the keeper reads" : "");
        keep_clear(ret_result);
    }
    return err;
}

sp_err keep_exec(keep_job *job, PGconn *conn, const char *sql, int count, const char *const *values,
                 PGresult **ret_result)
{
    PGresult *result = NULL;
    TRY(ask_server(job, conn, sql, count, values, &result));
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK && status != PGRES_SINGLE_TUPLE) {
        note_words(job, PQerrorMessage(conn));
        PQclear(result);
        return sp_fail(SP_EIO);
    }
    if (ret_result == NULL) {
        PQclear(result);
    } else {
        *ret_result = result;
    }
    return sp_ok();
}

void keep_clear(PGresult **result)
{
    PQclear(*result);
    *result = NULL;
}

const char *keep_value(const PGresult *result, int row, int column)
{
    bool has = row < PQntuples(result) && column < PQnfields(result);
    const char *value = has ? PQgetvalue(result, row, column) : NULL;
    return value == NULL ? "" : value;
}

sp_err keep_exec_json(keep_job *job, PGconn *conn, const char *sql, int count,
                      const char *const *values, json_t **ret_json)
{
    auto_result PGresult *result = NULL;
    json_error_t error;
    TRY(keep_exec(job, conn, sql, count, values, &result));
    if (PQntuples(result) != 1 || PQgetisnull(result, 0, 0) != 0) {
        return sp_fail(SP_ENOTFOUND);
    }
    *ret_json = json_loads(keep_value(result, 0, 0), 0, &error);
    return *ret_json == NULL ? sp_fail(SP_EINVALID) : sp_ok();
}

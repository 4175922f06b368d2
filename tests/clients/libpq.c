/* SPDX-License-Identifier: Apache-2.0
 * What a program in C does through libpq; prints what it saw, so that two runs can be compared.
 *     cc libpq.c -lpq && PGHOST=... PGPASSWORD=... ./a.out
 * OWNS its results. PROCESS a test's client. TRUST none. SPEC PostgreSQL 15 manual, chapter 34.
 */
#include <inttypes.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_SHOWN = 5, VALUE_SHOWN = 60, MANY = 20000, TEXT = 25, INT4 = 23 };

/* ---- what is printed ---- */

static void show_error(const PGresult *r)
{
    static const char fields[] = "SVCMDHPpqWctdn"; /* not s, temporary schemas are numbered */
    for (const char *f = fields; *f != '\0'; f++) {
        const char *value = PQresultErrorField(r, *f);
        if (value != NULL) {
            printf("    %c %s\n", *f, value);
        }
    }
}

static void show_value(const PGresult *r, int row, int column)
{
    const unsigned char *value = (const unsigned char *)PQgetvalue(r, row, column);
    int len = PQgetlength(r, row, column);
    printf(PQgetisnull(r, row, column) != 0 ? " NULL" : " %d:", len);
    for (int i = 0; i < len && i < VALUE_SHOWN; i++) {
        printf(value[i] >= ' ' && value[i] < 127 ? "%c" : "\\x%02x", value[i]);
    }
}

static void show_fields(const PGresult *r)
{
    for (int i = 0; i < PQnfields(r); i++) {
        printf("    %s type %u/%d size %d format %d column %d\n", PQfname(r, i), PQftype(r, i),
               PQfmod(r, i), PQfsize(r, i), PQfformat(r, i), PQftablecol(r, i));
    }
}

/* Takes the result. */
static void show(const char *what, PGresult *r)
{
    printf("%s: %s [%s] %d x %d, %s touched\n", what, PQresStatus(PQresultStatus(r)),
           PQcmdStatus(r), PQntuples(r), PQnfields(r), PQcmdTuples(r));
    show_error(r);
    show_fields(r);
    for (int i = 0; i < PQntuples(r) && i < ROWS_SHOWN; i++) {
        printf("   ");
        for (int j = 0; j < PQnfields(r); j++) {
            show_value(r, i, j);
        }
        printf("\n");
    }
    PQclear(r);
}

/* All results of what was sent, or of one statement of a pipeline. */
static void show_all(const char *what, PGconn *db)
{
    for (PGresult *r = PQgetResult(db); r != NULL; r = PQgetResult(db)) {
        show(what, r);
    }
}

static void on_notice(void *self, const PGresult *r)
{
    (void)self;
    printf("  notice\n");
    show_error(r);
}

static void must(bool good, const char *what, PGconn *db)
{
    if (!good) {
        fprintf(stderr, "%s: %s\n", what, PQerrorMessage(db));
        exit(1);
    }
}

/* ---- the ways of asking ---- */

/* As programs with a loop of their own do. */
static PGconn *connect_in_steps(void)
{
    PGconn *db = PQconnectStart("sslmode=require channel_binding=require connect_timeout=10");
    PostgresPollingStatusType at = PGRES_POLLING_WRITING;
    while (at != PGRES_POLLING_OK && at != PGRES_POLLING_FAILED && PQsocket(db) >= 0) {
        struct pollfd one = {.fd = PQsocket(db),
                             .events = at == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        poll(&one, 1, 10000);
        at = PQconnectPoll(db);
    }
    must(PQstatus(db) == CONNECTION_OK, "connect", db);
    return db;
}

static void look_at_connection(PGconn *db)
{
    static const char *const told[] = {
        "server_version", "server_encoding", "client_encoding",   "is_superuser",
        "DateStyle",      "TimeZone",        "integer_datetimes", "standard_conforming_strings"};
    printf("TLS %d %s, protocol %d, server %d, password used %d\n", PQsslInUse(db),
           PQsslAttribute(db, "protocol"), PQprotocolVersion(db), PQserverVersion(db),
           PQconnectionUsedPassword(db));
    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
        const char *value = PQparameterStatus(db, told[i]);
        printf("%s = %s\n", told[i], value != NULL ? value : "(not told)");
    }
}

static void simple(PGconn *db)
{
    show("one", PQexec(db, "SELECT id, name FROM shops ORDER BY id LIMIT 3"));
    must(PQsendQuery(db, "SELECT 1; SELECT 'two' AS b; INSERT INTO nowhere VALUES (1); SELECT 4") ==
             1,
         "several", db);
    show_all("several", db);
    show("empty", PQexec(db, ""));
    show("notice", PQexec(db, "DO $$BEGIN RAISE NOTICE 'n %', 1 USING HINT = 'h'; END$$"));
    show("make",
         PQexec(db, "CREATE TEMP TABLE c (id int PRIMARY KEY, t text CHECK (t <> 'no'), b bytea)"));
    show("check", PQexec(db, "INSERT INTO c VALUES (1, 'no')"));
    show("twice", PQexec(db, "INSERT INTO c VALUES (1, 'a', '\\x00ff'), (1, 'b', '\\xff00')"));
    show("large", PQexec(db, "SELECT repeat('x', 4000000)"));
}

static void extended(PGconn *db)
{
    const char *words[] = {"7", NULL, "it's \\ 名"};
    show("text", PQexecParams(db, "SELECT $1::int + 1, $2::text, $3 || '!'", 3, NULL, words, NULL,
                              NULL, 0));
    show("binary",
         PQexecParams(db, "SELECT $1::int + 1, $2::text, $3::text, now() > 'epoch', 1.5::float8", 3,
                      NULL, words, NULL, NULL, 1));
    static const char number[] = {0, 0, 1, 2};
    static const char bytes[] = {0, 'b', '\n', (char)0xff};
    const char *values[] = {number, "as text", bytes};
    const int lengths[] = {sizeof(number), 0, sizeof(bytes)};
    const int formats[] = {1, 0, 1};
    const Oid types[] = {INT4, TEXT, 0};
    show("written", PQexecParams(db, "INSERT INTO c VALUES ($1, $2, $3) RETURNING *", 3, types,
                                 values, lengths, formats, 1));
    show("wrong", PQexecParams(db, "SELECT $1::int", 1, NULL, &words[2], NULL, NULL, 0));
    show("too few", PQexecParams(db, "SELECT $1::int, $2::int", 1, NULL, words, NULL, NULL, 0));
    show("two in one", PQexecParams(db, "SELECT 1; SELECT 2", 0, NULL, NULL, NULL, NULL, 0));
}

static void prepared(PGconn *db)
{
    show("prepare", PQprepare(db, "by id", "SELECT id, name FROM shops WHERE id = $1", 1, NULL));
    PGresult *r = PQdescribePrepared(db, "by id");
    printf("wants %d, the first of type %u\n", PQnparams(r), PQparamtype(r, 0));
    show("described", r);
    for (int i = 1; i < 6; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%d", i);
        const char *values[] = {id};
        show("run", PQexecPrepared(db, "by id", 1, values, NULL, NULL, i % 2));
    }
    show("again", PQprepare(db, "by id", "SELECT 1", 0, NULL));
    show("unknown", PQexecPrepared(db, "no such", 0, NULL, NULL, NULL, 0));
    show("begin", PQexec(db, "BEGIN; DECLARE k CURSOR FOR SELECT id FROM shops ORDER BY id"));
    show("portal", PQdescribePortal(db, "k"));
    show("fetch", PQexec(db, "FETCH 2 FROM k"));
    show("end", PQexec(db, "COMMIT; DEALLOCATE \"by id\""));
    show("gone", PQdescribePrepared(db, "by id"));
}

static void copy_in(PGconn *db, const char *text, const char *data, const char *give_up)
{
    show("copy in", PQexec(db, text));
    must(PQputCopyData(db, data, (int)strlen(data)) == 1 && PQputCopyEnd(db, give_up) == 1, text,
         db);
    show_all("copied in", db);
}

static void copy_out(PGconn *db, const char *text)
{
    PGresult *r = PQexec(db, text);
    printf("copy out: %s, binary %d\n", PQresStatus(PQresultStatus(r)), PQbinaryTuples(r));
    show_error(r);
    bool copies = PQresultStatus(r) == PGRES_COPY_OUT;
    PQclear(r);
    uint64_t sum = 0;
    char *row = NULL;
    int lines = 0;
    for (int len = 0; copies && (len = PQgetCopyData(db, &row, 0)) > 0; lines++) {
        for (int i = 0; i < len; i++) {
            sum = sum * 31 + (unsigned char)row[i];
        }
        PQfreemem(row);
    }
    printf("%d lines, sum %" PRIu64 "\n", lines, sum);
    show_all("copied out", db);
}

static void copies(PGconn *db)
{
    copy_in(db, "COPY c (id, t) FROM STDIN", "10\tten\n11\televen\n", NULL);
    copy_in(db, "COPY c (id, t) FROM STDIN", "12\ttwelve\nno number\tx\n", NULL);
    copy_in(db, "COPY c (id, t) FROM STDIN", "13\tthirteen\n", "changed my mind");
    copy_in(db, "COPY c (id, t) FROM STDIN WITH (FORMAT csv, HEADER)", "id,t\n14,\"four,teen\"\n",
            NULL);
    copy_out(db, "COPY (SELECT * FROM c ORDER BY id) TO STDOUT");
    copy_out(db,
             "COPY (SELECT n, repeat('z', n % 100) FROM generate_series(1, 30000) n) TO STDOUT");
    copy_out(db, "COPY (SELECT id, t FROM c ORDER BY id) TO STDOUT (FORMAT binary)");
    copy_out(db, "COPY (SELECT 1 / (id - 11) FROM c ORDER BY id) TO STDOUT");
    copy_out(db, "COPY nowhere TO STDOUT");
}

static void single_rows(PGconn *db, const char *text)
{
    must(PQsendQuery(db, text) == 1 && PQsetSingleRowMode(db) == 1, text, db);
    int rows = 0;
    unsigned sum = 0;
    for (PGresult *r = PQgetResult(db); r != NULL; r = PQgetResult(db)) {
        if (PQresultStatus(r) == PGRES_SINGLE_TUPLE) {
            sum = sum * 31 + (unsigned char)PQgetvalue(r, 0, 0)[PQgetlength(r, 0, 0) - 1];
            rows++;
            PQclear(r);
        } else {
            printf("%d single rows, sum %u\n", rows, sum);
            show("the end of them", r);
        }
    }
}

static void ask_in_pipeline(PGconn *db, const char *text)
{
    must(PQsendQueryParams(db, text, 0, NULL, NULL, NULL, NULL, 0) == 1, text, db);
}

/* The results of so many statements and ends. */
static void show_pipeline(PGconn *db, int count)
{
    for (int i = 0; i < count; i++) {
        PGresult *r = PQgetResult(db);
        bool ends = r != NULL && PQresultStatus(r) == PGRES_PIPELINE_SYNC;
        show("in the pipeline", r);
        if (!ends) {
            show_all("after it", db);
        }
    }
}

static void pipelines(PGconn *db)
{
    must(PQenterPipelineMode(db) == 1, "pipeline", db);
    ask_in_pipeline(db, "SELECT 1");
    ask_in_pipeline(db, "INSERT INTO c VALUES (50, 'stays')");
    must(PQsendPrepare(db, "p", "SELECT $1::int * 2", 1, NULL) == 1, "prepare", db);
    const char *values[] = {"21"};
    must(PQsendQueryPrepared(db, "p", 1, values, NULL, NULL, 1) == 1, "prepared", db);
    must(PQpipelineSync(db) == 1, "sync", db);
    ask_in_pipeline(db, "INSERT INTO c VALUES (51, 'goes')");
    ask_in_pipeline(db, "SELECT 1/0");
    ask_in_pipeline(db, "SELECT 'skipped'");
    must(PQpipelineSync(db) == 1, "sync", db);
    ask_in_pipeline(db, "SELECT id FROM c WHERE id >= 50 ORDER BY id");
    must(PQpipelineSync(db) == 1, "sync", db);
    show_pipeline(db, 5 + 4 + 2);
    for (int i = 0; i < MANY / 100; i++) {
        ask_in_pipeline(db, "SELECT 1");
    }
    must(PQsendFlushRequest(db) == 1 && PQflush(db) == 0 && PQpipelineSync(db) == 1, "flush", db);
    int good = 0;
    for (int i = 0; i < MANY / 100; i++) {
        for (PGresult *r = PQgetResult(db); r != NULL; r = PQgetResult(db)) {
            good += PQresultStatus(r) == PGRES_TUPLES_OK ? 1 : 0;
            PQclear(r);
        }
    }
    printf("%d more\n", good);
    show_pipeline(db, 1);
    must(PQexitPipelineMode(db) == 1, "end of the pipeline", db);
}

static void cancel(PGconn *db, const char *text)
{
    char why[256] = "";
    PGcancel *handle = PQgetCancel(db);
    must(handle != NULL && PQsendQuery(db, text) == 1 && PQflush(db) == 0, text, db);
    struct pollfd one = {.fd = PQsocket(db), .events = POLLIN};
    poll(&one, 1, 200); /* until it runs */
    printf("cancel: %d %s\n", PQcancel(handle, why, sizeof(why)), why);
    PQfreeCancel(handle);
    for (PGresult *r = PQgetResult(db); r != NULL; r = PQgetResult(db)) {
        const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
        printf("cancelled: %s\n", state != NULL ? state : PQresStatus(PQresultStatus(r)));
        PQclear(r);
    }
    printf("then: %d\n", (int)PQtransactionStatus(db));
}

static void notifications(PGconn *db)
{
    show("listen", PQexec(db, "LISTEN c_bell; NOTIFY c_bell, 'rings'; NOTIFY c_bell"));
    for (PGnotify *n = PQnotifies(db); n != NULL; n = PQnotifies(db)) {
        printf("heard %s: %s, of mine: %d\n", n->relname, n->extra, n->be_pid != 0);
        PQfreemem(n);
    }
    show("unlisten", PQexec(db, "UNLISTEN *"));
}

int main(void)
{
    PGconn *db = connect_in_steps();
    PQsetNoticeReceiver(db, on_notice, NULL);
    look_at_connection(db);
    simple(db);
    extended(db);
    prepared(db);
    copies(db);
    single_rows(db, "SELECT n FROM generate_series(1, 20000) n");
    single_rows(db, "SELECT 100 / (50 - n) FROM generate_series(1, 100) n");
    pipelines(db);
    cancel(db, "SELECT pg_sleep(20)");
    cancel(db, "BEGIN; SELECT pg_sleep(20)");
    show("rollback", PQexec(db, "ROLLBACK"));
    notifications(db);
    PQreset(db);
    must(PQstatus(db) == CONNECTION_OK, "connect anew", db);
    show("anew", PQexec(db, "SELECT count(*) FROM pg_class WHERE relname = 'c'"));
    PQfinish(db);
    return 0;
}

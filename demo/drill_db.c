/* SPDX-License-Identifier: Apache-2.0
 * The drill's connections: the operator's, through the gate, and its own eyes, past it.
 * OWNS nothing but what it returns. PROCESS sallyport-demo. TRUST none. SPEC demo/drill.h.
 */
#include "demo/drill.h"
#include "infra/proc/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OPTIONS_MAX = 16, WORDS_BYTES = DEMO_ANSWER_MAX_BYTES / 1024, VALUE_BYTES = 64 };

typedef struct {
    const char *keys[OPTIONS_MAX];
    const char *values[OPTIONS_MAX];
    size_t count;
    char port[16];
    char ca[DEMO_PATH_BYTES];
    char certificate[DEMO_PATH_BYTES + 64];
    char key[DEMO_PATH_BYTES + 64];
} options;

static void add(options *to, const char *key, const char *value)
{
    to->keys[to->count] = key;
    to->values[to->count++] = value;
}

static void gate_options(const demo *d, const drill_login *login, options *to)
{
    snprintf(to->port, sizeof(to->port), "%u", d->db_port);
    demo_path(d, "ca.pem", to->ca);
    add(to, "host", "db." DEMO_DOMAIN);
    add(to, "hostaddr", "127.0.0.1");
    add(to, "port", to->port);
    add(to, "user", login->user);
    add(to, "password", login->password);
    add(to, "dbname", "orders-db");
    add(to, "sslmode", "verify-full");
    add(to, "sslrootcert", to->ca);
    add(to, "connect_timeout", "10");
    if (login->device[0] != '\0') {
        snprintf(to->certificate, sizeof(to->certificate), "%s/device.pem", login->device);
        snprintf(to->key, sizeof(to->key), "%s/device.key", login->device);
        add(to, "sslcert", to->certificate);
        add(to, "sslkey", to->key);
    }
}

static void quiet(void *self, const char *words)
{
    (void)self;
    (void)words;
}

static PGconn *opened(PGconn *conn, const char *whose, bool loud)
{
    if (PQstatus(conn) == CONNECTION_OK) {
        PQsetNoticeProcessor(conn, quiet, NULL);
        return conn;
    }
    if (loud) {
        demo_say("%s: %s", whose, PQerrorMessage(conn));
    }
    PQfinish(conn);
    return NULL;
}

PGconn *drill_connect(const demo *d, const drill_login *login, bool loud)
{
    options with = {.count = 0};
    gate_options(d, login, &with);
    return opened(PQconnectdbParams(with.keys, with.values, 0), login->user, loud);
}

static sp_err password_of(const demo *d, const char *role, char to[DEMO_TEXT_BYTES])
{
    char path[DEMO_PATH_BYTES];
    demo_path(d, "apps/orders/passwords", path);
    auto_buf sp_buf text = sp_buf_make(1 << 12);
    TRY(sp_file_read(path, &text));
    sp_span rest = sp_buf_borrow(&text);
    sp_span line;
    while (sp_span_split(&rest, '\n', &line)) {
        sp_span name;
        if (sp_span_split(&line, ' ', &name) && sp_span_eq(name, sp_span_cstr(role))) {
            return sp_fit(to, DEMO_TEXT_BYTES, line);
        }
    }
    return sp_fail(SP_ENOTFOUND);
}

PGconn *drill_look(const demo *d)
{
    char password[DEMO_TEXT_BYTES] = "";
    char port[16];
    if (sp_failed(password_of(d, "superuser", password))) {
        demo_say("%s/apps/orders/passwords cannot be read", d->base);
        return NULL;
    }
    snprintf(port, sizeof(port), "%u", d->orders_port);
    const char *const keys[] = {"host", "port", "user", "password", "dbname", NULL};
    const char *const values[] = {"127.0.0.1", port, "postgres", password, "orders", NULL};
    PGconn *conn = opened(PQconnectdbParams(keys, values, 0), "the server itself", true);
    sp_wipe(password, sizeof(password));
    return conn;
}

bool drill_is_shut(const demo *d, const char *role, const char *password)
{
    char port[16];
    snprintf(port, sizeof(port), "%u", d->orders_port);
    const char *const keys[] = {"host", "port", "user", "password", "dbname", NULL};
    const char *const values[] = {"127.0.0.1", port, role, password, "orders", NULL};
    PGconn *conn = PQconnectdbParams(keys, values, 0);
    bool is_shut = PQstatus(conn) != CONNECTION_OK;
    PQfinish(conn);
    return is_shut;
}

long drill_number(PGconn *eyes, const char *sql)
{
    PGresult *result = PQexec(eyes, sql);
    long value = -1;
    uint64_t read = 0;
    if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 &&
        !sp_failed(sp_span_to_u64(sp_span_cstr(PQgetvalue(result, 0, 0)), INT64_MAX, &read))) {
        value = (long)read;
    }
    PQclear(result);
    return value;
}

bool drill_state(PGconn *eyes, char ret_text[DEMO_TEXT_BYTES])
{
    /* every row of every table, in any order */
    PGresult *result = PQexec(
        eyes,
        "SELECT sum((xpath('/row/n/text()', x))[1]::text::bigint) || ' rows, checksum ' || "
        "md5(string_agg((xpath('/row/h/text()', x))[1]::text, ',' ORDER BY name)) FROM (SELECT "
        "c.oid::regclass::text AS name, query_to_xml(format('SELECT count(*) AS n, "
        "coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) AS h FROM %s t', "
        "c.oid::regclass), "
        "true, true, '') AS x FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace IN "
        "(SELECT oid FROM pg_namespace WHERE nspname IN ('public', 'billing', 'audit'))) s");
    bool good = PQresultStatus(result) == PGRES_TUPLES_OK && !PQgetisnull(result, 0, 0);
    snprintf(ret_text, DEMO_TEXT_BYTES, "%s", good ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    return good;
}

/* ---- trying ---- */

static void keep_words(char ret_words[WORDS_BYTES], const char *words)
{
    snprintf(ret_words, WORDS_BYTES, "%s", words);
    for (char *c = ret_words; *c != '\0'; c++) {
        *c = *c == '\n' || *c == '\t' ? ' ' : *c;
    }
}

/* The worst of what a text's statements gave. Nothing may come back that is not an error. */
static bool refused(PGresult *first, PGconn *gate, char ret_words[WORDS_BYTES])
{
    bool failed = false;
    for (PGresult *r = first; r != NULL; r = PQgetResult(gate)) {
        ExecStatusType status = PQresultStatus(r);
        if (status == PGRES_FATAL_ERROR) {
            failed = true;
            keep_words(ret_words, PQresultErrorMessage(r));
        } else if (status == PGRES_COPY_OUT) {
            char *line = NULL;
            while (PQgetCopyData(gate, &line, 0) > 0) {
                PQfreemem(line);
            }
        }
        PQclear(r);
    }
    return failed;
}

bool drill_end(PGconn *gate, bool waits, char ret_words[WORDS_BYTES])
{
    char why[256];
    PGcancel *cancel = waits ? PQgetCancel(gate) : NULL;
    bool sent = cancel == NULL || PQcancel(cancel, why, sizeof(why)) == 1;
    PQfreeCancel(cancel);
    return refused(PQgetResult(gate), gate, ret_words) && sent;
}

static bool try_fastpath(PGconn *gate, const char *name, char ret_words[WORDS_BYTES])
{
    char sql[VALUE_BYTES * 2];
    snprintf(sql, sizeof(sql), "SELECT oid FROM pg_proc WHERE proname = '%s'", name);
    long number = drill_number(gate, sql);
    int answer[16] = {0};
    int len = 0;
    const PQArgBlock arguments[] = {{.len = 4, .isint = 1, .u.integer = 1}};
    PGresult *result = PQfn(gate, number > 0 ? (int)number : 2923, answer, &len, 0, arguments, 1);
    return refused(result, gate, ret_words);
}

static bool try_psql(const demo *d, const drill_login *login, const char *sql,
                     char ret_words[WORDS_BYTES])
{
    options with = {.count = 0};
    char service[DEMO_PATH_BYTES];
    gate_options(d, login, &with);
    demo_path(d, "drill.conf", service);
    auto_buf sp_buf text = sp_buf_make(1 << 14);
    sp_buf_text(&text, "[drill]\n");
    for (size_t i = 0; i < with.count; i++) {
        sp_buf_fmt(&text, "%s=%s\n", with.keys[i], with.values[i]);
    }
    int out[2];
    if (sp_failed(sp_file_replace(service, 0600, sp_buf_borrow(&text))) || pipe(out) != 0) {
        return false;
    }
    pid_t pid = fork();
    if (pid == 0) {
        dup2(out[1], STDOUT_FILENO);
        dup2(out[1], STDERR_FILENO);
        close(out[0]);
        close(out[1]);
        setenv("PGSERVICEFILE", service, 1);
        setenv("PGSERVICE", "drill", 1);
        const char *const argv[] = {"psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql, NULL};
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(EXIT_SUCCESS); /* counts as "was not refused" */
    }
    close(out[1]);
    auto_buf sp_buf said = sp_buf_make(WORDS_BYTES - 1);
    char chunk[256];
    for (ssize_t n = read(out[0], chunk, sizeof(chunk)); n > 0;
         n = read(out[0], chunk, sizeof(chunk))) {
        sp_buf_span(&said, sp_span_of(chunk, (size_t)n));
    }
    close(out[0]);
    int status = 0;
    waitpid(pid, &status, 0);
    unlink(service);
    char words[WORDS_BYTES] = "";
    SP_IGNORE(sp_fit(words, sizeof(words), sp_buf_borrow(&said))); /* cut words are still words */
    keep_words(ret_words, words);
    return WIFEXITED(status) && WEXITSTATUS(status) != 0;
}

bool drill_try(const demo *d, PGconn *gate, const drill_login *login, const drill_attempt *attempt,
               char ret_words[WORDS_BYTES])
{
    const char *const values[] = {"0"};
    bool with_value = attempt->way == DRILL_PARAMS &&
                      sp_span_find(sp_span_cstr(attempt->sql), SP_SPAN_LIT("$1")) <
                          sp_span_cstr(attempt->sql).len;
    bool failed = false;
    keep_words(ret_words, "it ran");
    switch (attempt->way) {
    case DRILL_SIMPLE:
        failed =
            PQsendQuery(gate, attempt->sql) == 1 && refused(PQgetResult(gate), gate, ret_words);
        break;
    case DRILL_PARAMS:
        failed = refused(
            PQexecParams(gate, attempt->sql, with_value ? 1 : 0, NULL, values, NULL, NULL, 0), gate,
            ret_words);
        break;
    case DRILL_PREPARED:
        failed = refused(PQprepare(gate, "gone", attempt->sql, 0, NULL), gate, ret_words);
        failed |= refused(PQexecPrepared(gate, "gone", 0, NULL, NULL, NULL, 0), gate, ret_words);
        break;
    case DRILL_FASTPATH:
        failed = try_fastpath(gate, attempt->sql, ret_words);
        break;
    case DRILL_PSQL:
        return try_psql(d, login, attempt->sql, ret_words);
    }
    if (PQtransactionStatus(gate) != PQTRANS_IDLE) {
        PQclear(PQexec(gate, "ROLLBACK"));
    }
    return failed;
}

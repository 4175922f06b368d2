/* SPDX-License-Identifier: Apache-2.0
 * One attempt of the drill: sent in its way, and ended when it waits for other people.
 * OWNS nothing. PROCESS sallyport-demo. TRUST none. SPEC demo/drill.h.
 */
#include "demo/drill.h"
#include "infra/proc/clock.h"
#include "infra/proc/file.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LOOK_MS = 15,         /* how often it is looked whether it waits */
    QUIET_US = 20 * 1000, /* what is refused is refused sooner, as a rule */
    QUERY_TO_XML = 2923,
    NAME_BYTES = 64
};

static void keep_words(drill_outcome *to, const char *words)
{
    if (to->refused) {
        return; /* what came first is why */
    }
    snprintf(to->words, sizeof(to->words), "%s", words);
    for (char *c = to->words; *c != '\0'; c++) {
        *c = *c == '\n' || *c == '\t' ? ' ' : *c;
    }
}

/* "... Reference 7F3K-9Q2M-XA4T." */
static void keep_reference(drill_outcome *to)
{
    static const char word[] = "Reference ";
    const char *at = strstr(to->words, word);
    if (at != NULL && !to->waited) {
        const char *first = at + sizeof(word) - 1;
        size_t len = strspn(first, "0123456789ABCDEFGHJKMNPQRSTVWXYZ-");
        SP_IGNORE(sp_fit(to->reference, sizeof(to->reference), sp_span_of(first, len))); /* empty */
    }
}

static bool asks_others(const drill_trial *trial, uint64_t since_us, drill_outcome *to)
{
    bool asks = trial->waits != NULL && !to->waited && sp_now_steady_us() > since_us + QUIET_US &&
                trial->waits(trial->self, to->reference);
    to->waited = to->waited || asks;
    return asks;
}

/* ---- over a connection ---- */

static void cancel(PGconn *gate)
{
    char why[256];
    PGcancel *request = PQgetCancel(gate);
    PQcancel(request, why, sizeof(why));
    PQfreeCancel(request);
}

/* The next result; what waits for others meanwhile is cancelled. */
static PGresult *next(const drill_trial *trial, uint64_t since_us, drill_outcome *to)
{
    struct pollfd ready = {.fd = PQsocket(trial->gate), .events = POLLIN};
    while (PQconsumeInput(trial->gate) == 1 && PQisBusy(trial->gate) == 1) {
        if (asks_others(trial, since_us, to)) {
            cancel(trial->gate);
        }
        poll(&ready, 1, LOOK_MS);
    }
    return PQgetResult(trial->gate);
}

static void take(const drill_trial *trial, PGresult *result, drill_outcome *to)
{
    ExecStatusType status = PQresultStatus(result);
    if (result == NULL) {
        return;
    }
    if (status == PGRES_FATAL_ERROR) {
        keep_words(to, PQresultErrorMessage(result));
        to->refused = true;
    } else if (status == PGRES_COPY_OUT) {
        char *line = NULL;
        while (PQgetCopyData(trial->gate, &line, 0) > 0) {
            PQfreemem(line);
        }
    }
    PQclear(result);
}

static void take_all(const drill_trial *trial, bool sent, drill_outcome *to)
{
    uint64_t since_us = sp_now_steady_us();
    for (PGresult *r = sent ? next(trial, since_us, to) : NULL; r != NULL;
         r = next(trial, since_us, to)) {
        take(trial, r, to);
    }
}

static void try_prepared(const drill_trial *trial, const char *sql, drill_outcome *to)
{
    PGconn *gate = trial->gate;
    take_all(trial, PQsendPrepare(gate, "gone", sql, 0, NULL) == 1, to);
    take_all(trial, PQsendQueryPrepared(gate, "gone", 0, NULL, NULL, NULL, 0) == 1, to);
    PQclear(PQexec(gate, "DEALLOCATE ALL"));
}

static void try_pipeline(const drill_trial *trial, const char *lines, drill_outcome *to)
{
    PGconn *gate = trial->gate;
    char first[DRILL_WORDS_BYTES];
    size_t end = sp_span_index(sp_span_cstr(lines), '\n');
    snprintf(first, sizeof(first), "%.*s", (int)end, lines);
    bool sent = PQenterPipelineMode(gate) == 1 &&
                PQsendQueryParams(gate, first, 0, NULL, NULL, NULL, NULL, 0) == 1 &&
                PQsendQueryParams(gate, lines + end + 1, 0, NULL, NULL, NULL, NULL, 0) == 1 &&
                PQpipelineSync(gate) == 1;
    uint64_t since_us = sp_now_steady_us();
    for (bool over = !sent; !over;) {
        PGresult *result =
            next(trial, since_us, to); /* NULL between one's results and the next's */
        over = PQresultStatus(result) == PGRES_PIPELINE_SYNC || PQstatus(gate) != CONNECTION_OK;
        take(trial, result, to);
    }
    PQexitPipelineMode(gate);
}

static void try_fastpath(const drill_trial *trial, const char *name, drill_outcome *to)
{
    char sql[NAME_BYTES * 2];
    snprintf(sql, sizeof(sql), "SELECT oid FROM pg_proc WHERE proname = '%s'", name);
    long number = drill_number(trial->gate, sql);
    int answer[16] = {0};
    int len = 0;
    const PQArgBlock arguments[] = {{.len = 4, .isint = 1, .u.integer = 1}};
    take(trial,
         PQfn(trial->gate, number > 0 ? (int)number : QUERY_TO_XML, answer, &len, 0, arguments, 1),
         to);
}

/* ---- by a connection of its own ---- */

static void try_startup(const drill_trial *trial, const char *parameter, drill_outcome *to)
{
    drill_options with;
    char key[NAME_BYTES] = "";
    size_t equals = sp_span_index(sp_span_cstr(parameter), '=');
    snprintf(key, sizeof(key), "%.*s", (int)equals, parameter);
    drill_options_of(trial->demo, trial->login, &with);
    drill_options_add(&with, key, parameter + equals + 1);
    PGconn *gate = PQconnectdbParams(with.keys, with.values, 0);
    if (PQstatus(gate) != CONNECTION_OK) {
        keep_words(to, PQerrorMessage(gate));
        to->refused = true;
    }
    PQfinish(gate);
}

static pid_t start_psql(const char *service, const char *sql, const int out[2])
{
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
    return pid;
}

/* What it says until it ends; Ctrl-C when its statement waits. */
static void hear_psql(const drill_trial *trial, pid_t pid, int from, drill_outcome *to)
{
    auto_buf sp_buf said = sp_buf_make(DRILL_WORDS_BYTES - 1);
    uint64_t since_us = sp_now_steady_us();
    struct pollfd ready = {.fd = from, .events = POLLIN};
    for (ssize_t n = 1; n > 0;) {
        char chunk[256];
        if (poll(&ready, 1, LOOK_MS) == 0) {
            if (asks_others(trial, since_us, to)) {
                kill(pid, SIGINT);
            }
            continue;
        }
        n = read(from, chunk, sizeof(chunk));
        sp_buf_span(&said, sp_span_of(chunk, n > 0 ? (size_t)n : 0));
    }
    char words[DRILL_WORDS_BYTES] = "";
    SP_IGNORE(sp_fit(words, sizeof(words), sp_buf_borrow(&said))); /* cut words are still words */
    keep_words(to, words);
}

static void try_psql(const drill_trial *trial, const char *sql, drill_outcome *to)
{
    drill_options with;
    char service[DEMO_PATH_BYTES];
    int out[2];
    drill_options_of(trial->demo, trial->login, &with);
    demo_path(trial->demo, "drill.conf", service);
    auto_buf sp_buf text = sp_buf_make(1 << 14);
    sp_buf_text(&text, "[drill]\n");
    for (size_t i = 0; i < with.count; i++) {
        sp_buf_fmt(&text, "%s=%s\n", with.keys[i], with.values[i]);
    }
    if (sp_failed(sp_file_replace(service, 0600, sp_buf_borrow(&text))) || pipe(out) != 0) {
        return;
    }
    pid_t pid = start_psql(service, sql, out);
    close(out[1]);
    hear_psql(trial, pid, out[0], to);
    close(out[0]);
    int status = 0;
    waitpid(pid, &status, 0);
    unlink(service);
    to->refused = WIFEXITED(status) && WEXITSTATUS(status) != 0;
}

/* ---- each ---- */

void drill_try(const drill_trial *trial, const drill_attempt *attempt, drill_outcome *ret)
{
    const char *const values[] = {"0"};
    sp_span sql = sp_span_cstr(attempt->sql);
    int count = sp_span_find(sql, SP_SPAN_LIT("$1")) < sql.len ? 1 : 0;
    *ret = (drill_outcome){.refused = false};
    keep_words(ret, "it ran");
    switch (attempt->way) {
    case DRILL_SIMPLE:
    case DRILL_REPAIR:
        take_all(trial, PQsendQuery(trial->gate, attempt->sql) == 1, ret);
        break;
    case DRILL_PARAMS:
        take_all(trial,
                 PQsendQueryParams(trial->gate, attempt->sql, count, NULL, values, NULL, NULL, 0) ==
                     1,
                 ret);
        break;
    case DRILL_PREPARED:
        try_prepared(trial, attempt->sql, ret);
        break;
    case DRILL_PIPELINE:
        try_pipeline(trial, attempt->sql, ret);
        break;
    case DRILL_FASTPATH:
        try_fastpath(trial, attempt->sql, ret);
        break;
    case DRILL_STARTUP:
        try_startup(trial, attempt->sql, ret);
        break;
    case DRILL_PSQL:
        try_psql(trial, attempt->sql, ret);
        break;
    case DRILL_WAY_COUNT:
        break;
    }
    keep_reference(ret);
    if (PQstatus(trial->gate) == CONNECTION_OK &&
        PQtransactionStatus(trial->gate) != PQTRANS_IDLE) {
        PQclear(PQexec(trial->gate, "ROLLBACK"));
    }
}

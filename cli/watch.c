/* SPDX-License-Identifier: Apache-2.0
 * Watching from the command line: statements at databases as they are recorded, and what a session
 * left, with its coverage statement.
 * OWNS nothing. PROCESS cli. TRUST names and statements are other people's: they are printed
 * without control bytes. SPEC docs/man/sallyport-db.1, docs/man/sallyport-session.1.
 */
#include "cli/args.h"
#include "cli/ask.h"
#include "cli/handlers.h"
#include "cli/table.h"

#include <stdio.h>
#include <string.h>

enum { PATH_MAX_BYTES = 2048, LAST_DEFAULT = 10, STATEMENT_COLUMNS = 100, TIME_DIGITS = 8 };
#define STATEMENTS "/api/v1/admin/databases/statements"

/* ---- lines ---- */

static bool is(const json_t *event, const char *key, const char *value)
{
    return strcmp(sp_json_text(event, key), value) == 0;
}

/* "12:34:56", UTC. */
static void print_time(const json_t *event)
{
    sp_span at = sp_span_cstr(sp_json_text(event, "at"));
    size_t t = sp_span_index(at, 'T');
    sp_span time = sp_span_slice(at, t < at.len ? t + 1 : at.len, at.len);
    printf("%.*s ", (int)(time.len < TIME_DIGITS ? time.len : TIME_DIGITS), (const char *)time.ptr);
}

static void print_cell(const char *text, int width)
{
    size_t len = strlen(text);
    sp_print_safe(stdout, text);
    for (int i = (int)(len < (size_t)width ? len : (size_t)width); i < width; i++) {
        putchar(' ');
    }
    putchar(' ');
}

/* The start of a text that may have several lines, as one line. */
static void print_statement(const char *text)
{
    char line[STATEMENT_COLUMNS * 4 + 1];
    size_t used = 0;
    bool blank = false;
    for (size_t i = 0; text[i] != '\0' && used + 4 < sizeof(line); i++) {
        bool space = text[i] == ' ' || text[i] == '\n' || text[i] == '\t' || text[i] == '\r';
        if (!space || !blank) {
            line[used++] = space ? ' ' : text[i];
        }
        blank = space;
    }
    line[used] = '\0';
    sp_print_safe(stdout, line);
}

static const char *outcome_of(const json_t *event)
{
    if (is(event, "kind", "close")) {
        return "closed";
    }
    return is(event, "kind", "decision") ? sp_json_text(event, "verdict")
                                         : sp_json_text(event, "kind");
}

static void print_event(const json_t *event)
{
    bool colour = sp_colour(stdout);
    const char *tone = is(event, "verdict", "deny")  ? "\033[31m"
                       : is(event, "verdict", "ask") ? "\033[33m"
                                                     : "";
    if (colour) {
        fputs(tone, stdout);
    }
    print_time(event);
    print_cell(outcome_of(event), 7);
    print_cell(sp_json_text(event, "person"), 12);
    print_cell(is(event, "device", "") ? "-" : sp_json_text(event, "device"), 12);
    print_cell(sp_json_text(event, "resource"), 14);
    print_cell(sp_json_text(event, "action"), 10);
    printf("%8lld %10lld %7lld ", (long long)json_integer_value(json_object_get(event, "count")),
           (long long)(json_integer_value(json_object_get(event, "bytes_in")) +
                       json_integer_value(json_object_get(event, "bytes_out"))),
           (long long)json_integer_value(json_object_get(event, "duration_us")) / 1000);
    print_cell(sp_json_text(event, "reference"), 14);
    print_statement(sp_json_text(event, is(event, "object", "") ? "method" : "object"));
    if (!is(event, "verdict", "allow") && is(event, "kind", "decision")) {
        fputs(" -- ", stdout);
        sp_print_safe(stdout, sp_json_text(event, "reason"));
    }
    fputs(colour && tone[0] != '\0' ? "\033[0m\n" : "\n", stdout);
}

/* ---- db watch ---- */

static void print_one(const sp_given *given, const json_t *event)
{
    if (given->json) {
        json_dumpf(event, stdout, JSON_COMPACT);
        putchar('\n');
    } else {
        print_event(event);
    }
}

static bool on_event(void *self, const char *name, const json_t *data)
{
    const sp_given *given = self;
    size_t at = 0;
    json_t *event = NULL;
    json_array_foreach(json_object_get(data, "items"), at, event)
    {
        print_one(given, event);
    }
    if (json_is_true(json_object_get(data, "left_out"))) {
        sp_complain("more was recorded than is shown here: sallyport ledger search finds it");
    }
    if (strcmp(name, "again") == 0) {
        sp_complain("the ledger was away: what was recorded meanwhile is not shown here");
    }
    if (strcmp(name, "signed_out") == 0) {
        sp_complain("the session or the role has ended");
    }
    fflush(stdout);
    return strcmp(name, "signed_out") != 0;
}

static void add_filters(const sp_given *given, sp_buf *path)
{
    static const char *const names[] = {"person", "resource", "action", "session"};
    char sign = '?';
    for (size_t i = 0; i < SP_COUNT(names); i++) {
        char option[16];
        snprintf(option, sizeof(option), "--%s", names[i]);
        const char *value = sp_given_value(given, option);
        if (value != NULL) {
            sp_buf_fmt(path, "%c%s=", sign, names[i]);
            sp_buf_percent(path, sp_span_cstr(value));
            sign = '&';
        }
    }
    if (sp_given_value(given, "--refused") != NULL) {
        sp_buf_fmt(path, "%cverdict=deny,ask", sign);
    }
}

static int print_last(const sp_given *given, sp_client *client, sp_span filters)
{
    auto_buf sp_buf path = sp_buf_make(PATH_MAX_BYTES);
    auto_free char *text = NULL;
    uint64_t last = LAST_DEFAULT;
    const char *value = sp_given_value(given, "--last");
    if (value != NULL && (sp_failed(sp_span_to_u64(sp_span_cstr(value), 200, &last)))) {
        sp_complain("--last: a number up to 200 is expected");
        return SP_EXIT_USAGE;
    }
    if (last == 0) {
        return SP_EXIT_OK;
    }
    sp_buf_text(&path, STATEMENTS);
    sp_buf_span(&path, filters);
    sp_buf_fmt(&path, "%climit=%u", filters.len > 0 ? '&' : '?', (unsigned)last);
    if (sp_failed(sp_buf_take_cstr(&path, &text))) {
        return SP_EXIT_USAGE;
    }
    json_t *answer = NULL;
    int status = sp_client_call(client, "GET", text, NULL, &answer);
    const json_t *items = json_object_get(answer, "items");
    for (size_t i = json_array_size(items); i-- > 0;) {
        print_one(given, json_array_get(items, i));
    }
    json_decref(answer);
    fflush(stdout);
    return status;
}

int sp_db_watch(const sp_given *given)
{
    auto_client sp_client *client = NULL;
    auto_buf sp_buf filters = sp_buf_make(PATH_MAX_BYTES);
    auto_buf sp_buf path = sp_buf_make(PATH_MAX_BYTES);
    auto_free char *text = NULL;
    int status = sp_client_open(&client);
    if (status != SP_EXIT_OK) {
        return status;
    }
    add_filters(given, &filters);
    status = print_last(given, client, sp_buf_borrow(&filters));
    if (status != SP_EXIT_OK || sp_given_value(given, "--no-follow") != NULL) {
        return status;
    }
    sp_buf_text(&path, STATEMENTS "/live");
    sp_buf_span(&path, sp_buf_borrow(&filters));
    if (sp_failed(sp_buf_error(&filters)) || sp_failed(sp_buf_take_cstr(&path, &text))) {
        return SP_EXIT_USAGE;
    }
    /* on_event only reads it */
    return sp_client_follow(client, text, on_event, (void *)(uintptr_t)given);
}

/* ---- session show ---- */

static long long number(const json_t *object, const char *part, const char *key)
{
    const json_t *of = json_object_get(object, part);
    return (long long)json_integer_value(json_object_get(of, key));
}

static void print_opaque(const json_t *opaque)
{
    static const struct {
        const char *what;
        const char *text;
    } WORDS[] = {{"code", "blocks of code (DO): the text is recorded, not what it did inside"},
                 {"function", "calls of functions that users made: not seen inside"},
                 {"copy", "COPY: bytes counted, not recorded"},
                 {"results", "statements with rows: counted, values not recorded"},
                 {"parameters", "statements with values sent apart: values not recorded"},
                 {"cut", "texts longer than an event holds: their end is not recorded"},
                 {"websocket", "WebSockets: bytes counted, not recorded"},
                 {"content", "requests and answers: content counted, not recorded"}};
    size_t at = 0;
    const json_t *one = NULL;
    json_array_foreach(opaque, at, one)
    {
        for (size_t i = 0; i < SP_COUNT(WORDS); i++) {
            if (is(one, "what", WORDS[i].what)) {
                printf("  %lld %s (%lld rows, %lld bytes)\n",
                       (long long)json_integer_value(json_object_get(one, "count")), WORDS[i].text,
                       (long long)json_integer_value(json_object_get(one, "rows")),
                       (long long)json_integer_value(json_object_get(one, "bytes")));
            }
        }
    }
    if (json_array_size(opaque) == 0) {
        printf("  nothing\n");
    }
}

static void print_refused(const json_t *coverage)
{
    const json_t *reasons = json_object_get(json_object_get(coverage, "refused"), "reasons");
    const char *reason = NULL;
    const json_t *count = NULL;
    void *at = json_object_iter((json_t *)(uintptr_t)reasons);
    for (; at != NULL; at = json_object_iter_next((json_t *)(uintptr_t)reasons, at)) {
        reason = json_object_iter_key(at);
        count = json_object_iter_value(at);
        printf("  %lld ", (long long)json_integer_value(count));
        sp_print_safe(stdout, reason);
        printf("\n");
    }
    if (number(coverage, "refused", "asked") > 0) {
        printf("  %lld had to wait for other people\n", number(coverage, "refused", "asked"));
    }
    if (reason == NULL && number(coverage, "refused", "asked") == 0) {
        printf("  nothing\n");
    }
}

static void print_coverage(const json_t *coverage, bool live)
{
    printf("\nHow much of it was recorded (counted from the ledger's events%s)\n",
           live ? "; the session lives: until now" : "");
    if (json_is_false(json_object_get(coverage, "complete"))) {
        printf("  only the newest %lld events are counted; the session has more\n",
               (long long)json_integer_value(json_object_get(coverage, "events")));
    }
    printf("Recorded:\n  %lld requests, %lld connections to databases, %lld statements (%lld ended "
           "in an error), %lld other events\n",
           number(coverage, "recorded", "requests"), number(coverage, "recorded", "connections"),
           number(coverage, "recorded", "statements"), number(coverage, "recorded", "failed"),
           number(coverage, "recorded", "other"));
    printf("Seen, but not what was in it:\n");
    print_opaque(json_object_get(coverage, "opaque"));
    printf("Refused:\n");
    print_refused(coverage);
    printf("Missing:\n  %lld lost events and %lld gaps were told of by its gates while it lived\n"
           "  not counted: what was erased or has expired, and what did not come through "
           "Sallyport\n",
           number(coverage, "missing", "lost"), number(coverage, "missing", "gaps"));
}

static void print_head(const json_t *record)
{
    static const char *const keys[] = {"person", "device", "peer", "strength"};
    const json_t *session = json_object_get(record, "session");
    printf("Session %s, %s\n", sp_json_text(session, "id"),
           json_is_true(json_object_get(session, "live")) ? "living" : "ended");
    for (size_t i = 0; i < SP_COUNT(keys); i++) {
        const char *value = sp_json_text(session, keys[i]);
        if (value[0] != '\0') {
            printf("%s: ", keys[i]);
            sp_print_safe(stdout, value);
            printf("\n");
        }
    }
    printf("since: %s", sp_short_time(sp_json_text(session, "started_at")));
    const char *ended = sp_json_text(session, "ended_at");
    if (ended[0] != '\0') {
        printf(", ended: %s", sp_short_time(ended));
    }
    printf(" (UTC)\n\n");
}

/* His own session, or, for who may, anybody's. */
static int find_record(sp_client *client, const char *id, const char **ret_base,
                       json_t **ret_record)
{
    static const char *const bases[] = {"/api/v1/me/sessions/", "/api/v1/admin/sessions/"};
    int status = SP_EXIT_FAILED;
    for (size_t i = 0; i < SP_COUNT(bases); i++) {
        auto_buf sp_buf path = sp_buf_make(PATH_MAX_BYTES);
        auto_free char *text = NULL;
        sp_buf_text(&path, bases[i]);
        sp_buf_percent(&path, sp_span_cstr(id));
        sp_buf_text(&path, "/record");
        if (sp_failed(sp_buf_take_cstr(&path, &text))) {
            return SP_EXIT_USAGE;
        }
        *ret_base = bases[i];
        bool last = i + 1 == SP_COUNT(bases);
        status = (last ? sp_client_call : sp_client_try)(client, "GET", text, NULL, ret_record);
        if (last || sp_client_status(client) != 404) {
            return status;
        }
        json_decref(*ret_record);
        *ret_record = NULL;
    }
    return status;
}

static int event_list(sp_client *client, const char *base, const char *id, json_t **ret_items)
{
    auto_buf sp_buf path = sp_buf_make(PATH_MAX_BYTES);
    auto_free char *text = NULL;
    sp_buf_text(&path, base);
    sp_buf_percent(&path, sp_span_cstr(id));
    sp_buf_text(&path, "/events");
    return sp_failed(sp_buf_take_cstr(&path, &text)) ? SP_EXIT_USAGE
                                                     : sp_client_list(client, text, ret_items);
}

int sp_session_show(const sp_given *given)
{
    auto_client sp_client *client = NULL;
    const char *base = NULL;
    json_t *record = NULL;
    json_t *items = NULL;
    int status = sp_client_open(&client);
    if (status == SP_EXIT_OK) {
        status = find_record(client, given->words[0], &base, &record);
    }
    if (status == SP_EXIT_OK) {
        status = event_list(client, base, given->words[0], &items);
    }
    if (status == SP_EXIT_OK && given->json) {
        json_object_set(record, "events", items);
        sp_client_print(record);
    } else if (status == SP_EXIT_OK) {
        print_head(record);
        for (size_t i = json_array_size(items); i-- > 0;) {
            print_event(json_array_get(items, i)); /* they come newest first */
        }
        const json_t *session = json_object_get(record, "session");
        print_coverage(json_object_get(record, "coverage"),
                       json_is_true(json_object_get(session, "live")));
    }
    json_decref(items);
    json_decref(record);
    return status;
}

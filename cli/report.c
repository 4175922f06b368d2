/* SPDX-License-Identifier: Apache-2.0
 * Reports: shown, drafted, exported; facts with their numbers.
 * OWNS nothing. PROCESS cli. TRUST texts are other people's words: on a terminal they are printed
 * without control bytes. SPEC docs/man/sallyport-report.1.
 */
#include "cli/args.h"
#include "cli/ask.h"
#include "cli/handlers.h"
#include "cli/table.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 256 };

static int get(const sp_given *given, const char *what, json_t **ret_answer)
{
    auto_client sp_client *client = NULL;
    auto_buf sp_buf path = sp_buf_make(PATH_BYTES);
    sp_buf_text(&path, "/api/v1/reports/");
    sp_buf_percent(&path, sp_span_cstr(given->words[0]));
    if (what != NULL) {
        sp_buf_text(&path, "/papers/");
        sp_buf_percent(&path, sp_span_cstr(what));
    }
    sp_buf_byte(&path, 0);
    int status = sp_ask_open(given, &client);
    if (status == SP_EXIT_OK) {
        status = sp_client_call(client, "GET", (const char *)path.ptr, NULL, ret_answer);
    }
    return status;
}

static void print_lines(const char *text)
{
    sp_span lines = sp_span_cstr(text);
    sp_span line;
    while (sp_span_split(&lines, '\n', &line)) { /* line ends of its own stay */
        auto_free char *copy = NULL;
        if (!sp_failed(sp_strdup(line, &copy))) {
            sp_print_safe(stdout, copy);
        }
        putchar('\n');
    }
}

static void print_clock(const json_t *clock)
{
    const char *filed = json_string_value(json_object_get(clock, "filed_at"));
    const char *due = json_string_value(json_object_get(clock, "due_at"));
    printf("  %-18s %-5s ", sp_json_text(clock, "duty"), sp_json_text(clock, "applies"));
    if (filed != NULL) {
        printf("filed %s: ", sp_short_time(filed));
        sp_print_safe(stdout, sp_json_text(clock, "receipt"));
    } else if (due == NULL) {
        printf("its time has not begun");
    } else {
        printf("due %s%s", sp_short_time(due),
               sp_same(sp_json_text(clock, "stage"), "over") ? "  OVER" : "");
    }
    putchar('\n');
}

static void print_list(const char *head, const json_t *list)
{
    size_t at = 0;
    const json_t *one = NULL;
    printf("%-14s", head);
    json_array_foreach(list, at, one)
    {
        printf(" %s", json_string_value(one));
    }
    putchar('\n');
}

static void print_level(const char *head, const json_t *level)
{
    printf("%-14s %s\n", head,
           json_is_object(level) ? sp_json_text(level, "name") : "none of its law pack");
}

int sp_report_show(const sp_given *given)
{
    json_t *answer = NULL;
    int status = get(given, NULL, &answer);
    if (status == SP_EXIT_OK && given->json) {
        sp_client_print(answer);
    } else if (status == SP_EXIT_OK) {
        size_t at = 0;
        json_t *clock = NULL;
        printf("incident       %s ", sp_json_text(answer, "incident"));
        sp_print_safe(stdout, sp_json_text(answer, "title"));
        printf("\nlaw pack       %s of %s\n", sp_json_text(answer, "pack"),
               sp_json_text(answer, "dated"));
        print_level("level", json_object_get(answer, "level"));
        print_level("might be", json_object_get(answer, "might"));
        print_list("not told", json_object_get(answer, "open_facts"));
        if (json_is_true(json_object_get(answer, "person_decides"))) {
            printf("a person decides: sallyport report fact %s judgement GRADE (0: none)\n",
                   given->words[0]);
        }
        print_list("missing", json_object_get(answer, "missing"));
        printf("clocks\n");
        json_array_foreach(json_object_get(answer, "clocks"), at, clock)
        {
            print_clock(clock);
        }
        json_array_foreach(json_object_get(answer, "papers"), at, clock)
        {
            printf("signed         %lld %s by %s at %s, SHA-256 %s\n",
                   (long long)json_integer_value(json_object_get(clock, "number")),
                   sp_json_text(clock, "phase"), sp_json_text(clock, "signed_by"),
                   sp_short_time(sp_json_text(clock, "signed_at")), sp_json_text(clock, "sha256"));
        }
    }
    json_decref(answer);
    return status;
}

static const char *language_of(const sp_given *given)
{
    const char *language = sp_given_value(given, "--language");
    return language == NULL ? "en" : language;
}

int sp_report_draft(const sp_given *given)
{
    json_t *answer = NULL;
    int status = get(given, NULL, &answer);
    if (status == SP_EXIT_OK) {
        const json_t *draft = json_object_get(answer, "draft");
        print_lines(sp_json_text(draft, language_of(given)));
        fprintf(stderr, "\nTo sign it as it reads now: sallyport report sign %s --draft %s\n",
                given->words[0], sp_json_text(draft, "sha256"));
    }
    json_decref(answer);
    return status;
}

/* Exactly the bytes that were signed, both languages: their hash is on the ledger. */
int sp_report_export(const sp_given *given)
{
    json_t *answer = NULL;
    int status = get(given, given->words[1], &answer);
    const char *name = sp_given_value(given, "-o");
    FILE *to = stdout;
    if (status == SP_EXIT_OK && given->json) {
        sp_client_print(answer);
    } else if (status == SP_EXIT_OK) {
        const char *en = sp_json_text(answer, "en");
        const char *zh = sp_json_text(answer, "zh");
        to = name == NULL ? stdout : fopen(name, "wxe");
        bool good = to != NULL && fprintf(to, "%s\n%s", en, zh) >= 0;
        good = to != NULL && (to == stdout || fclose(to) == 0) && good;
        if (!good) {
            sp_complain("'%s' cannot be written, or is there already", name);
            status = SP_EXIT_FAILED;
        }
    }
    json_decref(answer);
    return status;
}

void sp_report_fact_body(const sp_given *given, const json_t *found, json_t *body)
{
    uint64_t number = 0;
    (void)found;
    json_object_set_new(body, "fact", json_string(given->words[1]));
    if (sp_same(given->words[2], "unknown")) {
        json_object_set_new(body, "unknown", json_true());
    } else if (sp_same(given->words[2], "yes") || sp_same(given->words[2], "no")) {
        json_object_set_new(body, "value", json_integer(sp_same(given->words[2], "yes") ? 1 : 0));
    } else if (!sp_failed(sp_span_to_u64(sp_span_cstr(given->words[2]), INT64_MAX, &number))) {
        json_object_set_new(body, "value", json_integer((json_int_t)number));
    } else {
        json_object_set_new(body, "value", json_string(given->words[2])); /* core says what fits */
    }
}

void sp_report_open_body(const sp_given *given, const json_t *found, json_t *body)
{
    uint64_t number = 0;
    (void)found;
    bool good = !sp_failed(sp_span_to_u64(sp_span_cstr(given->words[0]), INT64_MAX, &number));
    json_object_set_new(body, "incident",
                        good ? json_integer((json_int_t)number) : json_string(given->words[0]));
}

void sp_report_item_body(const sp_given *given, const json_t *found, json_t *body)
{
    (void)found;
    json_object_set_new(body, "item", json_string(given->words[1]));
}

void sp_report_filed_body(const sp_given *given, const json_t *found, json_t *body)
{
    (void)found;
    json_object_set_new(body, "duty", json_string(given->words[1]));
}

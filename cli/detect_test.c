/* SPDX-License-Identifier: Apache-2.0
 * sallyport detect test: the detections of a folder of documents over events of the past, offline.
 * OWNS what it read. PROCESS cli. TRUST the lines are data: what cannot be read is counted and
 * told. SPEC docs/DETECTIONS.md "Trying one", lib/proto/ocsf.h for the form of a line.
 *
 * The ledger tells its newest first, and the engine wants them as they happened: all are read, then
 * put in order. Places are not known here, so travel says nothing.
 */
#include "cli/args.h"
#include "cli/command.h"
#include "cli/handlers.h"
#include "cli/policy.h"
#include "cli/table.h"
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "lib/base/mem.h"
#include "lib/detect/engine.h"
#include "lib/proto/ocsf_read.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 8 << 20, NUMBER_BYTES = 32 };
#define EVENTS_MAX_BYTES ((size_t)2 << 30)
#define DAY_US UINT64_C(86400000000)

typedef struct {
    uint64_t when_unix_us;
    size_t at; /* of its bytes, as sp_event_encode() writes them */
    size_t len;
    size_t line; /* keeps the order of those at the same time */
} past_event;

typedef struct {
    sp_buf bytes;
    sp_buf room;
    past_event *events;
    size_t count;
    size_t cap;
    size_t line;
    size_t unread;
    sp_err err;
    const char *only; /* NULL: all detections */
    json_t *alarms;
} past;

static void past_done(past *p)
{
    sp_buf_done(&p->bytes);
    sp_buf_done(&p->room);
    sp_free(p->events);
    json_decref(p->alarms);
}
#define auto_past __attribute__((cleanup(past_done)))

/* ---- reading ---- */

static sp_err keep(past *p, const sp_event *event)
{
    if (p->count == p->cap) {
        size_t cap = p->cap == 0 ? 4096 : p->cap * 2;
        TRY(sp_resize(&p->events, cap, sizeof(*p->events)));
        p->cap = cap;
    }
    size_t at = p->bytes.len;
    TRY(sp_event_encode(event, &p->bytes));
    p->events[p->count++] = (past_event){event->when_unix_us, at, p->bytes.len - at, p->line};
    return sp_ok();
}

static void on_event(void *self, const sp_event *event, uint16_t at)
{
    past *p = self;
    (void)at;
    if (!sp_failed(p->err) && event->kind != SP_EVENT_ALARM) {
        p->err = keep(p, event);
    }
}

static sp_err read_lines(past *p, FILE *in)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t len = 0;
    while (!sp_failed(p->err) && (len = getline(&line, &cap, in)) > 0) {
        sp_span text = sp_span_trim(sp_span_of(line, (size_t)len));
        p->line++;
        if (text.len == 0) {
            continue;
        }
        if (len > LINE_MAX_BYTES || sp_failed(sp_ocsf_read(text, &p->room, on_event, p))) {
            p->unread++;
        }
    }
    sp_free(line);
    return p->err;
}

static int as_it_happened(const void *a, const void *b)
{
    const past_event *x = a;
    const past_event *y = b;
    if (x->when_unix_us != y->when_unix_us) {
        return x->when_unix_us < y->when_unix_us ? -1 : 1;
    }
    return x->line < y->line ? -1 : x->line > y->line;
}

/* ---- running ---- */

static json_t *text_of(sp_span text)
{
    return json_stringn((const char *)text.ptr, text.len);
}

static json_t *time_of(uint64_t when_unix_us)
{
    auto_buf sp_buf text = sp_buf_make(NUMBER_BYTES);
    sp_buf_time(&text, when_unix_us);
    return text_of(sp_buf_borrow(&text));
}

static void on_alarm(void *self, const sp_alarm *alarm)
{
    past *p = self;
    if (p->only != NULL && !sp_span_eq(alarm->detection, sp_span_cstr(p->only))) {
        return;
    }
    json_array_append_new(
        p->alarms,
        json_pack("{s:o, s:o, s:o, s:o, s:I, s:s, s:o}", "detection", text_of(alarm->detection),
                  "keys", text_of(alarm->keys), "first", time_of(alarm->first_unix_us), "last",
                  time_of(alarm->last_unix_us), "count", (json_int_t)alarm->count, "severity",
                  sp_severity_word((sp_severity)alarm->severity), "plan",
                  alarm->plan.len == 0 ? json_null() : text_of(alarm->plan)));
}

static sp_err run(past *p, const sp_policy_set *set, sp_detect_engine **ret_engine)
{
    uint8_t seed[SP_DETECT_SEED_BYTES];
    const sp_detect_calls calls = {.alarm = on_alarm, .self = p};
    sp_random(seed, sizeof(seed));
    TRY(sp_detect_engine_new(sp_policy_set_detections(set), seed, SP_DETECT_MEMORY_DEFAULT_BYTES,
                             &calls, ret_engine));
    sp_detect_engine_mode(*ret_engine, SP_ALARM_TEST);
    if (p->count > 0) {
        qsort(p->events, p->count, sizeof(*p->events), as_it_happened);
    }
    for (size_t i = 0; i < p->count; i++) {
        sp_event event;
        const past_event *e = &p->events[i];
        TRY(sp_event_decode(sp_span_slice(sp_buf_borrow(&p->bytes), e->at, e->at + e->len),
                            &event));
        sp_detect_engine_event(*ret_engine, &event, i, 0, e->when_unix_us);
        uint64_t next_us = i + 1 < p->count ? p->events[i + 1].when_unix_us : e->when_unix_us;
        sp_detect_engine_tick(*ret_engine, next_us, next_us - e->when_unix_us, true);
    }
    return sp_ok();
}

/* ---- telling ---- */

static double days_of(const past *p)
{
    uint64_t span_us =
        p->count == 0 ? 0 : p->events[p->count - 1].when_unix_us - p->events[0].when_unix_us;
    return span_us < DAY_US ? 1 : (double)span_us / (double)DAY_US;
}

static json_t *detections_of(const past *p, const sp_detect_engine *engine)
{
    const sp_detect_program *program = sp_detect_engine_program(engine);
    json_t *all = json_array();
    for (size_t i = 0; i < program->rules_count; i++) {
        sp_span name = program->rules[i].name;
        sp_detect_rule_stats stats = sp_detect_engine_rule_stats(engine, i);
        if (p->only == NULL || sp_span_eq(name, sp_span_cstr(p->only))) {
            json_array_append_new(all, json_pack("{s:o, s:I, s:I, s:f}", "name", text_of(name),
                                                 "matched", (json_int_t)stats.matched, "alarms",
                                                 (json_int_t)stats.alarms, "alarms_a_day",
                                                 (double)stats.alarms / days_of(p)));
        }
    }
    return all;
}

static void print_tables(const past *p, const json_t *detections)
{
    auto_table sp_table rules = {.columns = 4, .heads = {"NAME", "MATCHED", "ALARMS", "A DAY"}};
    auto_table sp_table alarms = {.columns = 4, .heads = {"LAST (UTC)", "ALARM", "COUNT", "ABOUT"}};
    size_t at = 0;
    const json_t *one = NULL;
    json_array_foreach(detections, at, one)
    {
        char a_day[NUMBER_BYTES];
        snprintf(a_day, sizeof(a_day), "%.2f",
                 json_real_value(json_object_get(one, "alarms_a_day")));
        sp_table_cell(&rules, sp_json_text(one, "name"));
        sp_table_cell(&rules, sp_json_text(one, "matched"));
        sp_table_cell(&rules, sp_json_text(one, "alarms"));
        sp_table_cell(&rules, a_day);
    }
    json_array_foreach(p->alarms, at, one)
    {
        sp_table_cell(&alarms, sp_short_time(sp_json_text(one, "last")));
        sp_table_cell(&alarms, sp_json_text(one, "detection"));
        sp_table_cell(&alarms, sp_json_text(one, "count"));
        sp_table_cell(&alarms, sp_json_text(one, "keys"));
    }
    sp_table_print(&rules, stdout);
    if (json_array_size(p->alarms) > 0) {
        putchar('\n');
        sp_table_print(&alarms, stdout);
    }
}

static int tell(const past *p, const sp_detect_engine *engine, bool json)
{
    json_t *detections = detections_of(p, engine);
    int status = SP_EXIT_OK;
    if (p->only != NULL && json_array_size(detections) == 0) {
        sp_complain("the documents have no detection or canary %s", p->only);
        status = SP_EXIT_FAILED;
    } else if (json) {
        json_t *all = json_pack("{s:I, s:I, s:f, s:O, s:O}", "events", (json_int_t)p->count,
                                "unread", (json_int_t)p->unread, "days", days_of(p), "detections",
                                detections, "alarms", p->alarms);
        json_dumpf(all, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(all);
    } else {
        print_tables(p, detections);
    }
    json_decref(detections);
    fprintf(stderr, "%zu events of %.1f days, %zu lines not read; travel is not tried: no places\n",
            p->count, days_of(p), p->unread);
    return status;
}

static int test_over(past *p, const sp_policy_set *set, bool json)
{
    auto_detect_engine sp_detect_engine *engine = NULL;
    sp_err err = run(p, set, &engine);
    if (sp_failed(err)) {
        sp_complain("the detections cannot be run: %s", sp_code_word(err.code));
        return SP_EXIT_FAILED;
    }
    return tell(p, engine, json);
}

int sp_detect_test(const sp_given *given)
{
    auto_office policy_office office = {0};
    auto_past past p = {.bytes = sp_buf_make(EVENTS_MAX_BYTES),
                        .room = sp_buf_make(LINE_MAX_BYTES),
                        .only = sp_given_value(given, "--detection"),
                        .alarms = json_array()};
    const char *file = given->words_count > 1 ? given->words[1] : "-";
    sp_err err = policy_office_load(given->words[0], sp_given_value(given, "--directory"), &office);
    if (sp_failed(err)) {
        policy_print_diags(&office.diags);
        sp_complain("%s: not valid (%s)", given->words[0], sp_code_word(err.code));
        return SP_EXIT_INVALID;
    }
    bool from_stdin = strcmp(file, "-") == 0;
    FILE *in = from_stdin ? stdin : fopen(file, "re");
    if (in == NULL) {
        sp_complain("%s cannot be read", file);
        return SP_EXIT_FAILED;
    }
    err = read_lines(&p, in);
    if (!from_stdin) {
        fclose(in);
    }
    if (sp_failed(err)) {
        sp_complain("too many events at once (line %zu): test them a month at a time", p.line);
        return SP_EXIT_FAILED;
    }
    return test_over(&p, office.set, given->json);
}

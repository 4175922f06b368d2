/* SPDX-License-Identifier: Apache-2.0
 * Incidents and runs of plans, shown; starting a plan.
 * OWNS nothing. PROCESS cli. TRUST titles, names and notes are other people's words: printed
 * without control bytes. SPEC docs/man/sallyport-incident.1, docs/man/sallyport-plan.1.
 */
#include "cli/args.h"
#include "cli/ask.h"
#include "cli/handlers.h"
#include "cli/table.h"

#include <stdio.h>

enum { PATH_BYTES = 256 };

static void line(const char *name, const char *text)
{
    if (text[0] != '\0') {
        printf("%-12s ", name);
        sp_print_safe(stdout, text);
        putchar('\n');
    }
}

const char *sp_step_names(const json_t *plan)
{
    static char text[512];
    const json_t *steps = json_object_get(plan, "steps");
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < json_array_size(steps) && len < sizeof(text); i++) {
        int wrote = snprintf(text + len, sizeof(text) - len, "%s%s", i == 0 ? "" : " ",
                             sp_json_text(json_array_get(steps, i), "name"));
        len += wrote > 0 ? (size_t)wrote : 0;
    }
    return text;
}

/* Milliseconds after the start of its run at which a step began. */
const char *sp_step_after(const json_t *step)
{
    static char text[32];
    if (json_is_null(json_object_get(step, "began_at"))) {
        return "";
    }
    double after_us = (double)json_integer_value(json_object_get(step, "after_us"));
    snprintf(text, sizeof(text), "%.1f", after_us / 1000);
    return text;
}

const char *sp_step_took(const json_t *step)
{
    static char text[32];
    if (json_is_null(json_object_get(step, "ended_at"))) {
        return "";
    }
    double took_us = (double)json_integer_value(json_object_get(step, "took_us"));
    snprintf(text, sizeof(text), "%.1f", took_us / 1000);
    return text;
}

static void show_run(const json_t *run)
{
    static const sp_column columns[] = {{"#", "number", NULL},
                                        {"STEP", "name", NULL},
                                        {"DO", "do", NULL},
                                        {"STATE", "state", NULL},
                                        {"AFTER (MS)", NULL, sp_step_after},
                                        {"TOOK (MS)", NULL, sp_step_took},
                                        {"BY", "by", NULL},
                                        {"NOTE", "note", NULL},
                                        {NULL, NULL, NULL}};
    bool drill = json_is_true(json_object_get(run, "drill"));
    line("run", sp_json_text(run, "id"));
    line("plan", sp_json_text(run, "plan"));
    line("drill", drill ? "yes: nothing is cut" : "");
    line("state", sp_json_text(run, "state"));
    line("why", sp_json_text(run, "why"));
    line("incident", sp_json_text(run, "incident"));
    line("started", sp_short_time(sp_json_text(run, "started_at")));
    line("ended", sp_short_time(sp_json_text(run, "ended_at")));
    line("by", sp_json_text(run, "by"));
    putchar('\n');
    sp_ask_rows(columns, json_object_get(run, "steps"));
}

static void show_incident(const json_t *incident)
{
    static const sp_column timeline[] = {
        {"AT (UTC)", "at", NULL}, {"WHAT", "kind", NULL},       {"BY", "by", NULL},
        {"ENTRY", "entry", NULL}, {"SESSION", "session", NULL}, {"", "text", NULL},
        {NULL, NULL, NULL}};
    static const sp_column tasks[] = {{"#", "number", NULL},    {"TASK", "text", NULL},
                                      {"WHOSE", "whose", NULL}, {"DONE (UTC)", "done_at", NULL},
                                      {"BY", "done_by", NULL},  {NULL, NULL, NULL}};
    line("incident", sp_json_text(incident, "id"));
    line("title", sp_json_text(incident, "title"));
    line("drill", json_is_true(json_object_get(incident, "drill")) ? "yes" : "");
    line("state", sp_json_text(incident, "state"));
    line("severity", sp_json_text(incident, "severity"));
    line("commander", sp_json_text(incident, "roles.commander"));
    line("scribe", sp_json_text(incident, "roles.scribe"));
    line("liaison", sp_json_text(incident, "roles.liaison"));
    line("opened", sp_short_time(sp_json_text(incident, "opened_at")));
    line("closed", sp_short_time(sp_json_text(incident, "closed_at")));
    line("merged into", sp_json_text(incident, "merged_into"));
    line("review", sp_json_text(incident, "review"));
    putchar('\n');
    if (json_is_string(json_object_get(incident, "timeline_before"))) {
        puts("(the newest entries; what was before: sallyport incident timeline ID)");
    }
    sp_ask_rows(timeline, json_object_get(incident, "timeline"));
    if (json_array_size(json_object_get(incident, "tasks")) > 0) {
        putchar('\n');
        sp_ask_rows(tasks, json_object_get(incident, "tasks"));
    }
}

static int show(const sp_given *given, const char *path, void (*print)(const json_t *answer))
{
    auto_client sp_client *client = NULL;
    json_t *answer = NULL;
    int status = sp_ask_open(given, &client);
    if (status == SP_EXIT_OK) {
        status = sp_client_call(client, "GET", path, NULL, &answer);
    }
    if (status == SP_EXIT_OK && given->json) {
        sp_client_print(answer);
    } else if (status == SP_EXIT_OK) {
        print(answer);
    }
    json_decref(answer);
    return status;
}

int sp_incident_show(const sp_given *given)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "/api/v1/incidents/%.60s", given->words[0]);
    return show(given, path, show_incident);
}

int sp_plan_report(const sp_given *given)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "/api/v1/plan-runs/%.60s", given->words[0]);
    return show(given, path, show_run);
}

static void show_would(const json_t *answer)
{
    static const sp_column columns[] = {{"STEP", "name", NULL},
                                        {"DO", "do", NULL},
                                        {"CONFIRM", "confirm", NULL},
                                        {"IT WOULD MEET", "would", NULL},
                                        {NULL, NULL, NULL}};
    sp_ask_rows(columns, json_object_get(answer, "steps"));
}

int sp_plan_run(const sp_given *given)
{
    static const char *const facts[] = {"--person",   "--session", "--device",
                                        "--resource", "--class",   "--reason"};
    auto_client sp_client *client = NULL;
    json_t *answer = NULL;
    char path[PATH_BYTES];
    bool drill = sp_same(given->command->word, "drill");
    bool dry = sp_given_value(given, "--dry-run") != NULL;
    json_t *body = json_pack("{s:b,s:b}", "drill", (int)drill, "dry_run", (int)dry);
    for (size_t i = 0; i < SP_COUNT(facts); i++) {
        const char *value = sp_given_value(given, facts[i]);
        if (value != NULL) {
            json_object_set_new(body, facts[i] + 2, json_string(value));
        }
    }
    snprintf(path, sizeof(path), "/api/v1/plans/%.80s/run", given->words[0]);
    int status = sp_ask_open(given, &client);
    if (status != SP_EXIT_OK) {
        json_decref(body);
        return status;
    }
    status = sp_client_call(client, "POST", path, body, &answer);
    if (status == SP_EXIT_OK && given->json) {
        sp_client_print(answer);
    } else if (status == SP_EXIT_OK && dry) {
        show_would(answer);
    } else if (status == SP_EXIT_OK) {
        show_run(answer);
    }
    json_decref(answer);
    return status;
}

void sp_confirm_body(const sp_given *given, const json_t *found, json_t *body)
{
    (void)found;
    if (given->words_count > 1) {
        uint64_t step = 0;
        if (!sp_failed(sp_span_to_u64(sp_span_cstr(given->words[1]), UINT32_MAX, &step))) {
            json_object_set_new(body, "step", json_integer((json_int_t)step));
        }
    }
}

void sp_merge_body(const sp_given *given, const json_t *found, json_t *body)
{
    uint64_t into = 0;
    (void)found;
    if (!sp_failed(sp_span_to_u64(sp_span_cstr(given->words[1]), INT64_MAX, &into))) {
        json_object_set_new(body, "into", json_integer((json_int_t)into));
    }
}

void sp_role_body(const sp_given *given, const json_t *found, json_t *body)
{
    (void)found;
    json_object_set_new(body, "role", json_string(given->words[1]));
    json_object_set_new(body, "person", json_string(given->words[2]));
}

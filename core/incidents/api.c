/* SPDX-License-Identifier: Apache-2.0
 * The API of incidents. Security administrators and root change them, so does whoever holds a role
 * of one; audit administrators look.
 * OWNS nothing. PROCESS core. TRUST requests are hostile. SPEC docs/api/openapi.yaml "/incidents".
 */
#include "core/admin/events.h"
#include "core/cut/cut.h"
#include "core/http/json.h"
#include "core/identity/people.h"
#include "core/incidents/inside.h"
#include "core/ledger_client.h"
#include "core/plans/plans.h"
#include "core/reports/merge.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"
#include "lib/proto/ledger_msg.h"

#include <stdio.h>

enum {
    DETAIL_BYTES = 12 * 1024,
    EXPECTED_BYTES = 128,
    NOTES_SHOWN = 500,
    CURSOR_BYTES = 48,
    TASK_WITHIN_MAX_S = 366 * 86400
};

/* ---- who ---- */

static bool is_security(const sp_request *req)
{
    return sp_request_is_local(req) || (sp_request_admin(req) & SP_WHO_SECURITY) != 0;
}

/* Nobody answers for what is about himself. */
static bool is_about_asker(const sp_request *req, const sp_incident *incident)
{
    return !sp_request_is_local(req) && incident->about.len > 0 &&
           sp_span_eq(incident->about, sp_request_by(req));
}

static bool may_change(const sp_request *req, const sp_incident *incident)
{
    bool holds = false;
    for (unsigned role = 0; role < SP_ROTA_COUNT; role++) {
        holds = holds || (incident->holders[role].len > 0 &&
                          sp_span_eq(incident->holders[role], sp_request_by(req)));
    }
    return (is_security(req) || holds) && !is_about_asker(req, incident);
}

static bool may_see(const sp_request *req, const sp_incident *incident)
{
    return (sp_request_admin(req) & SP_WHO_AUDIT) != 0 || is_security(req) ||
           may_change(req, incident);
}

/* ---- shapes ---- */

static json_t *incident_json(const sp_incident *i)
{
    json_t *roles = json_object();
    for (unsigned role = 0; role < SP_ROTA_COUNT; role++) {
        json_object_set_new(roles, sp_rota_role_word((sp_rota_role)role),
                            sp_json_span_or_null(i->holders[role]));
    }
    return json_pack("{s:o,s:o,s:s,s:s,s:b,s:o,s:o,s:o,s:o,s:o,s:I,s:o,s:o}", "id",
                     sp_json_id(i->id), "title", sp_json_span_or_null(i->title), "state",
                     sp_incident_state_word((sp_incident_state)i->state), "severity",
                     sp_severity_word((sp_severity)i->severity), "drill", (int)i->drill,
                     "opened_at", sp_json_time(i->opened_unix_s), "closed_at",
                     sp_json_time(i->closed_unix_s), "opened_by",
                     sp_json_span_or_null(i->opened_by), "about", sp_json_span_or_null(i->about),
                     "roles", roles, "alarms", (json_int_t)i->alarms, "merged_into",
                     i->merged_into == 0 ? json_null() : sp_json_id(i->merged_into), "review",
                     sp_json_span_or_null(i->review));
}

static void cursor_of(const sp_note_place *place, char ret_text[CURSOR_BYTES])
{
    ret_text[0] = '\0';
    if (place->number != 0) {
        snprintf(ret_text, CURSOR_BYTES, "%llu-%llu", (unsigned long long)place->at_us,
                 (unsigned long long)place->number);
    }
}

static bool read_cursor(sp_span text, sp_note_place *ret_place)
{
    size_t dash = sp_span_index(text, '-');
    return dash < text.len &&
           !sp_failed(sp_span_to_u64(sp_span_slice(text, 0, dash), INT64_MAX, &ret_place->at_us)) &&
           !sp_failed(sp_span_to_u64(sp_span_slice(text, dash + 1, text.len), INT64_MAX,
                                     &ret_place->number));
}

/* With all that belongs to it; of the timeline the newest notes (0 = all). */
static json_t *whole_json(sp_core *core, const sp_incident *i, uint64_t notes)
{
    sp_note_place oldest;
    char before[CURSOR_BYTES];
    json_t *whole = incident_json(i);
    json_object_set_new(
        whole, "timeline",
        sp_json_reversed(sp_incident_notes_json(core->store, i->id, NULL, notes, &oldest)));
    cursor_of(&oldest, before);
    json_object_set_new(whole, "timeline_before", sp_json_span_or_null(sp_span_cstr(before)));
    json_object_set_new(whole, "tasks", sp_incident_tasks_json(core->store, i->id));
    json_object_set_new(whole, "runs", sp_plans_runs_json(core, i->id));
    return whole;
}

static void answer_one(sp_request *req, uint64_t id, unsigned status)
{
    sp_core *core = sp_request_core(req);
    sp_incident incident;
    sp_err err = sp_incident_row_get(core->store, sp_request_arena(req), id, &incident);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        sp_answer_json(req, status, whole_json(core, &incident, NOTES_SHOWN));
    }
}

/* ---- looking ---- */

typedef struct {
    sp_request *req;
    json_t *items;
    uint64_t last;
    uint64_t count;
} listing;

static void list_one(void *self, const sp_incident *incident)
{
    listing *l = self;
    l->last = incident->id;
    l->count++;
    if (may_see(l->req, incident)) {
        json_array_append_new(l->items, incident_json(incident));
    }
}

static void get_incidents(sp_request *req)
{
    uint64_t limit = 0;
    uint64_t before = 0;
    char next[24] = "";
    sp_span cursor = sp_request_query(req, "cursor");
    bool all = sp_span_eq(sp_request_query(req, "all"), SP_SPAN_LIT("1"));
    if (cursor.len > 0 && sp_failed(sp_span_to_u64(cursor, INT64_MAX, &before))) {
        sp_answer_invalid(req, "cursor", "the value of next");
        return;
    }
    if (!sp_request_limit(req, &limit)) {
        return;
    }
    listing l = {.req = req, .items = json_array()};
    sp_err err =
        sp_incident_rows_each(sp_request_core(req)->store, all, before, limit, list_one, &l);
    if (sp_failed(err)) {
        json_decref(l.items);
        sp_answer_failed(req, err);
        return;
    }
    if (l.count == limit) {
        snprintf(next, sizeof(next), "%llu", (unsigned long long)l.last);
    }
    sp_answer_page(req, l.items, next);
}

/* The incident of the path, if the asker may; else it has been answered. */
static bool named(sp_request *req, bool changes, sp_incident *ret_incident)
{
    uint64_t id = 0;
    bool there = sp_request_param_u64(req, 0, &id) &&
                 !sp_failed(sp_incident_row_get(sp_request_core(req)->store, sp_request_arena(req),
                                                id, ret_incident));
    if (!there || !may_see(req, ret_incident)) {
        sp_answer_problem(req, 404, "not_found", "There is no such incident.");
        return false;
    }
    if (changes && is_about_asker(req, ret_incident)) {
        sp_answer_problem(req, 409, "conflict",
                          "This incident is about yourself. Ask somebody else of your role.");
        return false;
    }
    if (changes && !may_change(req, ret_incident)) {
        sp_answer_problem(req, 403, "forbidden",
                          "Security administrators, and who has a role in it, change an incident.");
        return false;
    }
    if (changes && ret_incident->state != SP_INCIDENT_OPEN) {
        sp_answer_problem(req, 409, "conflict", "It is closed.");
        return false;
    }
    return true;
}

static void get_incident(sp_request *req)
{
    sp_incident incident;
    if (named(req, false, &incident)) {
        sp_answer_json(req, 200, whole_json(sp_request_core(req), &incident, NOTES_SHOWN));
    }
}

json_t *sp_incident_whole_of(sp_request *req, sp_incident *ret_incident)
{
    return named(req, false, ret_incident) ? whole_json(sp_request_core(req), ret_incident, 0)
                                           : NULL;
}

/* What is older than the timeline that was answered. */
static void get_timeline(sp_request *req)
{
    sp_incident incident;
    sp_note_place before = {.at_us = INT64_MAX, .number = INT64_MAX};
    uint64_t limit = 0;
    char next[CURSOR_BYTES];
    sp_span cursor = sp_request_query(req, "cursor");
    if (!named(req, false, &incident)) {
        return;
    }
    if (cursor.len > 0 && !read_cursor(cursor, &before)) {
        sp_answer_invalid(req, "cursor", "the value of timeline_before, or of next");
        return;
    }
    if (!sp_request_limit(req, &limit)) {
        return;
    }
    json_t *items =
        sp_incident_notes_json(sp_request_core(req)->store, incident.id, &before, limit, &before);
    cursor_of(&before, next);
    sp_answer_page(req, items, next);
}

/* ---- opening ---- */

bool sp_incident_severity_of(sp_request *req, sp_span word, uint8_t *ret_severity)
{
    for (unsigned i = 0; i < SP_SEVERITY_COUNT; i++) {
        if (sp_span_eq(word, sp_span_cstr(sp_severity_word((sp_severity)i)))) {
            *ret_severity = (uint8_t)i;
            return true;
        }
    }
    sp_answer_invalid(req, "severity", "info, low, medium, high or critical");
    return false;
}

static void go_open(sp_request *req, void *data)
{
    sp_core *core = sp_request_core(req);
    uint64_t id = 0;
    sp_incident incident;
    sp_err err = sp_incident_open_one(core, data, &id, NULL);
    if (!sp_failed(err)) {
        err = sp_incident_row_get(core->store, sp_request_arena(req), id, &incident);
    }
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    sp_incident_page_opened(core, &incident);
    sp_answer_json(req, 201, whole_json(core, &incident, NOTES_SHOWN));
}

static void post_incident(sp_request *req)
{
    sp_incident_open *open = NULL;
    sp_span severity = SP_SPAN_LIT("medium");
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*open), &open);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    const sp_field fields[] = {
        SP_FIELD_TEXT("title", &open->title, 3, SP_INCIDENT_TITLE_MAX_BYTES),
        SP_FIELD_TEXT_OPT("severity", &severity, 1, 16),
        SP_FIELD_BOOL_OPT("drill", &open->drill),
    };
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) ||
        !sp_incident_severity_of(req, severity, &open->severity)) {
        return;
    }
    open->by_name = sp_request_by(req);
    sp_event event = sp_request_event(req, SP_EVENT_INCIDENT);
    event.method = SP_SPAN_LIT("open");
    event.severity = open->severity;
    event.object = open->title;
    event.detail = SP_SPAN_LIT("{\"did\":\"open\"}");
    sp_request_record(req, &event, go_open, open);
}

/* ---- changes: on the ledger, then one transaction with its note ---- */

typedef struct change change;
struct change {
    uint64_t id;          /* whose note it is, and what is answered */
    sp_incident incident; /* read again when it is applied: others change it as well */
    const char *method;
    sp_incident_note note;
    uint64_t number; /* of a task; another incident */
    sp_span whose;
    sp_rota_role role;
    sp_request *req;
    bool is_vacant; /* a role of the one that another was merged into */
    uint8_t severity;
    uint64_t due_unix_s; /* of a task; 0 = at no time */
    sp_err (*apply)(sp_core *core, change *c);
};

static uint64_t now_s(void)
{
    return sp_now_unix_us() / 1000000;
}

static sp_err apply_all(sp_request *req, change *c)
{
    sp_core *core = sp_request_core(req);
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(txn.err);
    TRY(sp_incident_row_get(core->store, sp_request_arena(req), c->incident.id, &c->incident));
    if (c->incident.state != SP_INCIDENT_OPEN || !may_change(req, &c->incident)) {
        return sp_fail(SP_ECONFLICT);
    }
    if (c->apply != NULL) {
        TRY(c->apply(core, c));
    }
    TRY(sp_incident_note_add(core->store, c->id, sp_now_unix_us(), &c->note));
    return sp_txn_commit(&txn);
}

/* Nobody holds a role of what is about himself, or does its tasks. */
static bool is_about(const sp_incident *incident, sp_span name)
{
    return incident->about.len > 0 && sp_span_eq(incident->about, name);
}

static sp_err apply_role(sp_core *core, change *c)
{
    if (is_about(&c->incident, c->whose)) {
        return sp_fail(SP_ECONFLICT);
    }
    c->incident.holders[c->role] = c->whose;
    return sp_incident_row_put(core->store, &c->incident);
}

static sp_err apply_task(sp_core *core, change *c)
{
    if (is_about(&c->incident, c->whose)) {
        return sp_fail(SP_ECONFLICT);
    }
    return sp_incident_task_add(core->store, c->id, c->note.text, c->whose, c->due_unix_s, now_s());
}

/* What whom it is about may not hold any more goes to somebody else. */
static void fill_roles(sp_core *core, uint64_t id, sp_span by)
{
    char about[SP_NAME_MAX_BYTES + 1];
    char room[SP_NAME_MAX_BYTES + 1];
    sp_span whose = sp_incident_about(core, id, about);
    for (unsigned role = 0; role < SP_ROTA_COUNT; role++) {
        sp_span name = SP_SPAN_EMPTY;
        sp_err err = sp_incident_assign(core, id, (sp_rota_role)role, whose, by, room, &name);
        if (sp_failed(err)) {
            sp_log(SP_LOG_ERROR, "a role of incident %llu was not filled: %s",
                   (unsigned long long)id, sp_code_word(err.code));
        }
    }
}

static void go_change(sp_request *req, void *data)
{
    change *c = data;
    sp_core *core = sp_request_core(req);
    sp_err err = apply_all(req, c);
    sp_incident_changed(core);
    if (!sp_failed(err) && c->apply == apply_role && !sp_span_eq(c->whose, c->note.by_name)) {
        sp_incident_page_duty(core, &c->incident, c->role, c->whose, c->note.by_name);
    }
    if (!sp_failed(err) && c->apply == apply_task && c->whose.len > 0 &&
        !sp_span_eq(c->whose, c->note.by_name)) {
        sp_incident_page_task(core, &c->incident, c->note.text, c->whose, c->due_unix_s,
                              c->note.by_name);
    }
    if (!sp_failed(err) && c->is_vacant) {
        fill_roles(core, c->id, c->note.by_name);
    }
    if (err.code == SP_ENOTFOUND) {
        sp_answer_problem(req, 404, "not_found", "There is no such task that is still to be done.");
    } else if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        answer_one(req, c->id, 200);
    }
}

/* NULL: answered. */
static change *change_of(sp_request *req, const char *method)
{
    change *c = NULL;
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*c), &c);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return NULL;
    }
    if (!named(req, true, &c->incident)) {
        return NULL;
    }
    c->id = c->incident.id;
    c->req = req;
    c->method = method;
    c->note = (sp_incident_note){.kind = method, .by_name = sp_request_by(req)};
    return c;
}

static void record(sp_request *req, change *c)
{
    auto_buf sp_buf room = sp_buf_make(DETAIL_BYTES);
    sp_event told = sp_incident_event(&c->incident, c->method, c->note.text, &room);
    sp_event event = sp_request_event(req, SP_EVENT_INCIDENT);
    event.method = told.method;
    event.object = told.object;
    event.detail = told.detail;
    event.severity = told.severity;
    sp_request_record(req, &event, go_change, c);
}

static bool text_field(sp_request *req, const char *name, sp_span *ret_text)
{
    const sp_field fields[] = {SP_FIELD_TEXT(name, ret_text, 1, SP_INCIDENT_TEXT_MAX_BYTES)};
    return sp_request_fields(req, fields, SP_COUNT(fields));
}

static void post_comment(sp_request *req)
{
    change *c = change_of(req, "comment");
    if (c != NULL && text_field(req, "text", &c->note.text)) {
        record(req, c);
    }
}

static bool is_active(sp_core *core, sp_span name)
{
    sp_person person;
    return !sp_failed(sp_people_find(core->store, name, &person)) &&
           person.state == SP_PERSON_ACTIVE;
}

/* Else it has been answered. */
static bool may_hold(sp_request *req, const change *c, const char *field)
{
    if (!is_active(sp_request_core(req), c->whose)) {
        sp_answer_invalid(req, field, "the login name of somebody with an active account");
        return false;
    }
    if (is_about(&c->incident, c->whose)) {
        sp_answer_invalid(req, field, "somebody whom this incident is not about");
        return false;
    }
    return true;
}

static void post_task(sp_request *req)
{
    change *c = change_of(req, "task");
    uint64_t within_s = 0;
    if (c == NULL) {
        return;
    }
    const sp_field fields[] = {SP_FIELD_TEXT("text", &c->note.text, 1, SP_INCIDENT_TITLE_MAX_BYTES),
                               SP_FIELD_TEXT_OPT("whose", &c->whose, 0, SP_NAME_MAX_BYTES),
                               SP_FIELD_U64_OPT("within_s", &within_s, TASK_WITHIN_MAX_S)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    if (c->whose.len > 0 && !may_hold(req, c, "whose")) {
        return;
    }
    c->due_unix_s = within_s == 0 ? 0 : now_s() + within_s;
    c->apply = apply_task;
    record(req, c);
}

static sp_err apply_done(sp_core *core, change *c)
{
    return sp_incident_task_done(core->store, c->id, c->number, c->note.by_name, now_s());
}

static void post_done(sp_request *req)
{
    change *c = change_of(req, "done");
    if (c == NULL || !sp_request_fields(req, NULL, 0)) {
        return;
    }
    c->note.text = sp_request_param(req, 1);
    if (!sp_request_param_u64(req, 1, &c->number) || c->number > INT64_MAX) {
        sp_answer_problem(req, 404, "not_found", "There is no such task.");
        return;
    }
    c->apply = apply_done;
    record(req, c);
}

static void post_role(sp_request *req)
{
    change *c = change_of(req, "role");
    sp_span role = SP_SPAN_EMPTY;
    if (c == NULL) {
        return;
    }
    const sp_field fields[] = {SP_FIELD_TEXT("role", &role, 1, 16),
                               SP_FIELD_TEXT("person", &c->whose, 1, SP_NAME_MAX_BYTES)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    if (!sp_rota_role_of(role, &c->role)) {
        sp_answer_invalid(req, "role", "commander, scribe or liaison");
        return;
    }
    if (!may_hold(req, c, "person")) {
        return;
    }
    auto_buf sp_buf said = sp_buf_make(SP_INCIDENT_NOTE_BYTES);
    sp_buf_fmt(&said, "%s: %.*s", sp_rota_role_word(c->role), SP_SPAN_ARG(c->whose));
    c->apply = apply_role;
    if (sp_failed(sp_arena_copy(sp_request_arena(req), sp_buf_borrow(&said), &c->note.text))) {
        sp_answer_failed(req, sp_fail(SP_ENOMEM));
        return;
    }
    record(req, c);
}

static sp_err apply_severity(sp_core *core, change *c)
{
    c->incident.severity = c->severity;
    return sp_incident_row_put(core->store, &c->incident);
}

static void post_severity(sp_request *req)
{
    change *c = change_of(req, "severity");
    if (c != NULL && text_field(req, "severity", &c->note.text) &&
        sp_incident_severity_of(req, c->note.text, &c->severity)) {
        c->incident.severity = c->severity;
        c->apply = apply_severity;
        record(req, c);
    }
}

/* What is not there is no evidence, and would be in no pack. */
static void on_ledger(void *self, sp_err err, sp_span body)
{
    change *c = self;
    sp_ledger_stats stats = {0};
    if (!sp_failed(err)) {
        err = sp_ledger_stats_read(body, &stats);
    }
    if (sp_failed(err)) {
        sp_events_answer_failed(c->req, err);
    } else if (c->note.entry < stats.first_entry || c->note.entry >= stats.entries) {
        char expected[EXPECTED_BYTES];
        snprintf(expected, sizeof(expected),
                 "the number of an entry that the ledger has, %llu to %llu",
                 (unsigned long long)stats.first_entry,
                 (unsigned long long)(stats.entries > 0 ? stats.entries - 1 : 0));
        sp_answer_invalid(c->req, "entry", expected);
    } else {
        record(c->req, c);
    }
}

static void post_evidence(sp_request *req)
{
    change *c = change_of(req, "evidence");
    uint64_t entry = 0;
    if (c == NULL) {
        return;
    }
    const sp_field fields[] = {
        SP_FIELD_U64("entry", &entry, INT64_MAX),
        SP_FIELD_TEXT_OPT("text", &c->note.text, 0, SP_INCIDENT_TEXT_MAX_BYTES)};
    if (sp_request_fields(req, fields, SP_COUNT(fields))) {
        c->note.entry = entry;
        c->note.has_entry = true;
        sp_ledger_client_call(sp_request_core(req)->ledger, SP_LEDGER_STATS, SP_SPAN_EMPTY,
                              on_ledger, c);
    }
}

/* Both are about the same person, or one is about nobody: else somebody could answer for himself.
 */
static bool can_be_one(const sp_incident *from, const sp_incident *into)
{
    return from->about.len == 0 || into->about.len == 0 || sp_span_eq(from->about, into->about);
}

/* The graver, the earlier, about whom either is. */
static void take_over(const sp_incident *from, sp_incident *into, bool *ret_vacant)
{
    into->severity = from->severity > into->severity ? from->severity : into->severity;
    into->opened_unix_s =
        from->opened_unix_s < into->opened_unix_s ? from->opened_unix_s : into->opened_unix_s;
    into->alarms += from->alarms;
    into->about = into->about.len > 0 ? into->about : from->about;
    for (unsigned role = 0; into->about.len > 0 && role < SP_ROTA_COUNT; role++) {
        if (sp_span_eq(into->holders[role], into->about)) {
            into->holders[role] = SP_SPAN_EMPTY;
            *ret_vacant = true;
        }
    }
}

static sp_err apply_merge(sp_core *core, change *c)
{
    auto_arena sp_arena arena = sp_arena_make(64 * 1024);
    sp_incident into;
    TRY(sp_incident_row_get(core->store, &arena, c->number, &into));
    if (into.state != SP_INCIDENT_OPEN || !may_change(c->req, &into) ||
        !can_be_one(&c->incident, &into)) {
        return sp_fail(SP_ECONFLICT);
    }
    TRY(sp_reports_merge(core->store, &c->incident, &into));
    take_over(&c->incident, &into, &c->is_vacant);
    TRY(sp_incident_row_put(core->store, &into));
    c->incident.state = SP_INCIDENT_MERGED;
    c->incident.closed_unix_s = now_s();
    c->incident.merged_into = c->number;
    TRY(sp_incident_row_put(core->store, &c->incident));
    return sp_incident_move(core->store, c->incident.id, c->number);
}

static void post_merge(sp_request *req)
{
    change *c = change_of(req, "merge");
    sp_incident into;
    if (c == NULL) {
        return;
    }
    const sp_field fields[] = {SP_FIELD_U64("into", &c->number, INT64_MAX)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    if (c->number == c->id ||
        sp_failed(sp_incident_row_get(sp_request_core(req)->store, sp_request_arena(req), c->number,
                                      &into)) ||
        !may_change(req, &into) || into.state != SP_INCIDENT_OPEN ||
        into.drill != c->incident.drill) {
        sp_answer_invalid(req, "into",
                          "another incident that you may change and that is open, both drills or "
                          "neither");
        return;
    }
    if (!can_be_one(&c->incident, &into)) {
        sp_answer_problem(req, 409, "conflict",
                          "They are about different people, who may not answer for each other: "
                          "keep both.");
        return;
    }
    c->note.kind = "merged";
    c->note.text = c->incident.title;
    c->apply = apply_merge;
    c->id = c->number;
    record(req, c);
}

static sp_err apply_close(sp_core *core, change *c)
{
    c->incident.review = c->note.text;
    c->incident.state = SP_INCIDENT_CLOSED;
    c->incident.closed_unix_s = now_s();
    return sp_incident_row_put(core->store, &c->incident);
}

static void post_close(sp_request *req)
{
    change *c = change_of(req, "close");
    if (c != NULL && text_field(req, "review", &c->note.text)) {
        c->note.kind = "closed";
        c->apply = apply_close;
        record(req, c);
    }
}

#define ID "/api/v1/incidents/{id}"

sp_err sp_incident_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/incidents", SP_WHO_PERSON | SP_WHO_LOCAL, get_incidents, 0},
        {"POST", "/api/v1/incidents", SP_WHO_SECURITY | SP_WHO_LOCAL, post_incident, 0},
        {"GET", ID, SP_WHO_PERSON | SP_WHO_LOCAL, get_incident, 0},
        {"GET", ID "/timeline", SP_WHO_PERSON | SP_WHO_LOCAL, get_timeline, 0},
        {"POST", ID "/comment", SP_WHO_PERSON | SP_WHO_LOCAL, post_comment, 0},
        {"POST", ID "/task", SP_WHO_PERSON | SP_WHO_LOCAL, post_task, 0},
        {"POST", ID "/tasks/{number}/done", SP_WHO_PERSON | SP_WHO_LOCAL, post_done, 0},
        {"POST", ID "/role", SP_WHO_PERSON | SP_WHO_LOCAL, post_role, 0},
        {"POST", ID "/severity", SP_WHO_PERSON | SP_WHO_LOCAL, post_severity, 0},
        {"POST", ID "/evidence", SP_WHO_PERSON | SP_WHO_LOCAL, post_evidence, 0},
        {"POST", ID "/merge", SP_WHO_PERSON | SP_WHO_LOCAL, post_merge, 0},
        {"POST", ID "/close", SP_WHO_PERSON | SP_WHO_LOCAL, post_close, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

/* SPDX-License-Identifier: Apache-2.0
 * Opening, noting, filling roles; alarms.
 * OWNS an alarm that waits for the ledger. PROCESS core. TRUST see incidents.h.
 * SPEC core/incidents/incidents.h.
 */
#include "core/documents/documents.h"
#include "core/http/json.h"
#include "core/http/sse.h"
#include "core/identity/people.h"
#include "core/incidents/inside.h"
#include "core/ledger_client.h"
#include "core/plans/plans.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"

#include <stdio.h>

enum { ARENA_BYTES = 256 * 1024, DETAIL_BYTES = 8 * 1024, TOPIC_BYTES = 640 };
#define JOINS_WITHIN_US (UINT64_C(86400) * 1000000)

static uint64_t now_s(void)
{
    return sp_now_unix_us() / 1000000;
}

const char *sp_incident_state_word(sp_incident_state state)
{
    static const char *const words[] = {"open", "closed", "merged"};
    _Static_assert(SP_COUNT(words) == SP_INCIDENT_STATE_COUNT, "a word for each");
    return (unsigned)state < SP_INCIDENT_STATE_COUNT ? words[state] : "?";
}

void sp_incident_changed(sp_core *core)
{
    sp_sse_publish(core, SP_TOPIC_SESSIONS | SP_TOPIC_HEALTH, 0, "incidents", json_object());
}

/* ---- told ---- */

sp_event sp_incident_event(const sp_incident *incident, const char *method, sp_span what,
                           sp_buf *room)
{
    static char number[32]; /* one event at a time: it is encoded before the next is made */
    snprintf(number, sizeof(number), "%llu", (unsigned long long)incident->id);
    sp_buf_fmt(room,
               "{\"incident\":\"%s\",\"did\":\"%s\",\"severity\":\"%s\",\"drill\":%s,\"title\":",
               number, method, sp_severity_word((sp_severity)incident->severity),
               incident->drill ? "true" : "false");
    sp_buf_json(room, incident->title);
    sp_buf_text(room, ",\"what\":");
    sp_buf_json(room, what);
    sp_buf_byte(room, '}');
    return (sp_event){.kind = SP_EVENT_INCIDENT,
                      .when_unix_us = sp_now_unix_us(),
                      .verdict = SP_VERDICT_ALLOW,
                      .severity = incident->severity,
                      .method = sp_span_cstr(method),
                      .object = sp_span_cstr(number),
                      .detail = sp_buf_borrow(room)};
}

static void tell(sp_core *core, const sp_incident *incident, const char *method, sp_span by_name,
                 sp_span what)
{
    auto_buf sp_buf room = sp_buf_make(DETAIL_BYTES);
    sp_event event = sp_incident_event(incident, method, what, &room);
    event.person_name = by_name;
    sp_ledger_client_tell(core->ledger, &event);
    sp_incident_changed(core);
}

static sp_err note_in_txn(sp_core *core, uint64_t id, const sp_incident_note *note)
{
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(txn.err);
    TRY(sp_incident_note_add(core->store, id, sp_now_unix_us(), note));
    return sp_txn_commit(&txn);
}

void sp_incident_add(sp_core *core, uint64_t id, const sp_incident_note *note)
{
    sp_err err = note_in_txn(core, id, note);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "a note of incident %llu could not be kept: %s",
               (unsigned long long)id, sp_code_word(err.code));
    }
}

json_t *sp_incident_brief_json(sp_core *core, uint64_t id)
{
    auto_arena sp_arena arena = sp_arena_make(ARENA_BYTES);
    sp_incident incident;
    if (sp_failed(sp_incident_row_get(core->store, &arena, id, &incident))) {
        return NULL;
    }
    return json_pack("{s:o,s:s%,s:s,s:o,s:b}", "id", sp_json_id(incident.id), "title",
                     (const char *)incident.title.ptr, incident.title.len, "severity",
                     sp_severity_word((sp_severity)incident.severity), "opened_at",
                     sp_json_time(incident.opened_unix_s), "drill", (int)incident.drill);
}

bool sp_incident_is_there(sp_core *core, uint64_t id)
{
    auto_arena sp_arena arena = sp_arena_make(ARENA_BYTES);
    sp_incident incident;
    return !sp_failed(sp_incident_row_get(core->store, &arena, id, &incident));
}

bool sp_incident_takes(sp_core *core, uint64_t id, bool drill)
{
    auto_arena sp_arena arena = sp_arena_make(ARENA_BYTES);
    sp_incident incident;
    return !sp_failed(sp_incident_row_get(core->store, &arena, id, &incident)) &&
           incident.state == SP_INCIDENT_OPEN && incident.drill == drill;
}

sp_span sp_incident_about(sp_core *core, uint64_t id, char room[SP_NAME_MAX_BYTES + 1])
{
    auto_arena sp_arena arena = sp_arena_make(ARENA_BYTES);
    sp_incident incident;
    bool fits = id != 0 && !sp_failed(sp_incident_row_get(core->store, &arena, id, &incident)) &&
                !sp_failed(sp_fit(room, SP_NAME_MAX_BYTES + 1, incident.about));
    return fits ? sp_span_cstr(room) : SP_SPAN_EMPTY;
}

/* ---- opening ---- */

/* One that is open hears of it again. */
static sp_err join(sp_core *core, uint64_t id, const sp_incident_open *open, bool *ret_graver)
{
    auto_arena sp_arena arena = sp_arena_make(ARENA_BYTES);
    sp_incident incident;
    TRY(sp_incident_row_get(core->store, &arena, id, &incident));
    bool graver = open->severity > incident.severity;
    *ret_graver = graver;
    incident.alarms++;
    incident.severity = graver ? open->severity : incident.severity;
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(txn.err);
    TRY(sp_incident_row_put(core->store, &incident));
    TRY(sp_txn_commit(&txn));
    if (graver) {
        tell(core, &incident, "severity", open->by_name,
             sp_span_cstr(sp_severity_word((sp_severity)incident.severity)));
    }
    return sp_ok();
}

static sp_err open_new(sp_core *core, const sp_incident_open *open, uint64_t *ret_id)
{
    sp_incident incident = {.state = SP_INCIDENT_OPEN,
                            .severity = open->severity,
                            .drill = open->drill,
                            .opened_unix_s = now_s(),
                            .alarms = 1,
                            .title = open->title,
                            .topic = open->topic,
                            .opened_by = open->by_name,
                            .about = open->about};
    const sp_incident_note note = {.kind = "opened", .by_name = open->by_name, .text = open->title};
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(txn.err);
    TRY(sp_incident_row_add(core->store, &incident));
    TRY(sp_incident_note_add(core->store, incident.id, sp_now_unix_us(), &note));
    TRY(sp_txn_commit(&txn));
    *ret_id = incident.id;
    tell(core, &incident, "opened", open->by_name, open->topic);
    return sp_ok();
}

bool sp_incident_joins(sp_core *core, const sp_incident_open *open, uint64_t *ret_id)
{
    uint64_t now_us = sp_now_unix_us();
    uint64_t since_us = now_us > JOINS_WITHIN_US ? now_us - JOINS_WITHIN_US : 0;
    return open->topic.len > 0 &&
           !sp_failed(
               sp_incident_row_of(core->store, open->topic, open->drill, since_us, now_us, ret_id));
}

sp_err sp_incident_open_one(sp_core *core, const sp_incident_open *open, uint64_t *ret_id,
                            bool *ret_news)
{
    bool is_new = !sp_incident_joins(core, open, ret_id);
    bool graver = false;
    if (!is_new) {
        TRY(join(core, *ret_id, open, &graver));
    }
    if (ret_news != NULL) {
        *ret_news = is_new || graver;
    }
    if (!is_new) {
        return sp_ok();
    }
    TRY(open_new(core, open, ret_id));
    for (unsigned role = 0; role < SP_ROTA_COUNT; role++) {
        char room[SP_NAME_MAX_BYTES + 1];
        sp_span name = SP_SPAN_EMPTY;
        sp_err err = sp_incident_assign(core, *ret_id, (sp_rota_role)role, open->about,
                                        SP_SPAN_LIT("rota"), room, &name);
        if (sp_failed(err)) {
            return err;
        }
    }
    return sp_ok();
}

/* ---- roles and tasks ---- */

sp_span sp_rota_first_who_can(sp_core *core, sp_rota_role role, sp_span about,
                              char room[SP_NAME_MAX_BYTES + 1])
{
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    for (size_t place = 0;; place++) {
        sp_person person;
        sp_span name = sp_policy_set_rota(set, role, place);
        if (name.len == 0) {
            return SP_SPAN_EMPTY;
        }
        if (!sp_span_eq(name, about) && !sp_failed(sp_people_find(core->store, name, &person)) &&
            person.state == SP_PERSON_ACTIVE &&
            !sp_failed(sp_fit(room, SP_NAME_MAX_BYTES + 1, name))) {
            return sp_span_cstr(room);
        }
    }
}

sp_err sp_incident_assign(sp_core *core, uint64_t id, sp_rota_role role, sp_span about,
                          sp_span by_name, char room[SP_NAME_MAX_BYTES + 1], sp_span *ret_name)
{
    auto_arena sp_arena arena = sp_arena_make(ARENA_BYTES);
    auto_buf sp_buf text = sp_buf_make(SP_INCIDENT_NOTE_BYTES);
    sp_incident incident;
    TRY(sp_incident_row_get(core->store, &arena, id, &incident));
    *ret_name = incident.holders[role].len > 0 ? incident.holders[role]
                                               : sp_rota_first_who_can(core, role, about, room);
    if (incident.holders[role].len > 0) {
        TRY(sp_fit(room, SP_NAME_MAX_BYTES + 1, *ret_name));
        *ret_name = sp_span_cstr(room);
        return sp_ok(); /* somebody has it */
    }
    bool filled = ret_name->len > 0;
    sp_buf_fmt(&text, "%s: ", sp_rota_role_word(role));
    sp_buf_span(&text, filled ? *ret_name : SP_SPAN_LIT("nobody in the Rota can"));
    const sp_incident_note note = {
        .kind = "role", .by_name = by_name, .text = sp_buf_borrow(&text)};
    incident.holders[role] = *ret_name;
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(txn.err);
    TRY(sp_incident_row_put(core->store, &incident));
    TRY(sp_incident_note_add(core->store, id, sp_now_unix_us(), &note));
    TRY(sp_txn_commit(&txn));
    incident.severity = filled ? incident.severity : SP_SEVERITY_HIGH;
    tell(core, &incident, filled ? "role" : "role unfilled", by_name, sp_buf_borrow(&text));
    if (filled) {
        sp_incident_page_duty(core, &incident, role, *ret_name, by_name);
    }
    return sp_ok();
}

sp_err sp_incident_task(sp_core *core, uint64_t id, sp_span text, sp_rota_role role,
                        uint64_t due_unix_s, sp_span by_name)
{
    auto_arena sp_arena arena = sp_arena_make(ARENA_BYTES);
    sp_incident incident;
    TRY(sp_incident_row_get(core->store, &arena, id, &incident));
    sp_span whose = role < SP_ROTA_COUNT ? incident.holders[role] : SP_SPAN_EMPTY;
    const sp_incident_note note = {.kind = "task", .by_name = by_name, .text = text};
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(txn.err);
    TRY(sp_incident_task_add(core->store, id, text, whose, due_unix_s, now_s()));
    TRY(sp_incident_note_add(core->store, id, sp_now_unix_us(), &note));
    TRY(sp_txn_commit(&txn));
    tell(core, &incident, "task", by_name, text);
    if (whose.len > 0) {
        sp_incident_page_task(core, &incident, text, whose, due_unix_s, by_name);
    }
    return sp_ok();
}

/* ---- alarms ---- */

typedef struct {
    sp_core *core;
    void (*then)(void *self, sp_err err);
    void *self;
    sp_buf body; /* of the alarm, kept while it is written down */
} taking;

static void topic_of(const sp_alarm *alarm, sp_buf *topic)
{
    sp_buf_span(topic, alarm->detection);
    sp_buf_byte(topic, ' ');
    sp_buf_span(topic, alarm->keys);
}

static sp_err note_alarm(sp_core *core, uint64_t id, const sp_alarm *alarm)
{
    auto_buf sp_buf text = sp_buf_make(SP_INCIDENT_NOTE_BYTES);
    sp_buf_span(&text, alarm->title);
    sp_buf_text(&text, ": ");
    sp_buf_span(&text, alarm->keys);
    sp_buf_fmt(&text, " (%llu)", (unsigned long long)alarm->count);
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(txn.err);
    sp_incident_note note = {.kind = "alarm",
                             .by_name = alarm->detection,
                             .text = sp_buf_borrow(&text),
                             .session = alarm->session};
    TRY(sp_incident_note_add(core->store, id, sp_now_unix_us(), &note));
    for (size_t i = 0; i < alarm->evidence_count; i++) {
        note = (sp_incident_note){.kind = "evidence",
                                  .by_name = alarm->detection,
                                  .session = alarm->session,
                                  .reference = alarm->evidence[i].reference,
                                  .entry = alarm->evidence[i].entry,
                                  .has_entry = true};
        TRY(sp_incident_note_add(core->store, id, sp_now_unix_us(), &note));
    }
    TRY(sp_alarm_row_add(core->store, &alarm->id, id, now_s()));
    return sp_txn_commit(&txn);
}

static sp_err take_new(sp_core *core, const sp_alarm *alarm, uint64_t *ret_incident, bool *ret_news)
{
    auto_buf sp_buf topic = sp_buf_make(TOPIC_BYTES);
    topic_of(alarm, &topic);
    const sp_incident_open open = {.title = alarm->title,
                                   .topic = sp_buf_borrow(&topic),
                                   .by_name = SP_SPAN_LIT("alarm"),
                                   .about = alarm->person_name,
                                   .severity = alarm->severity,
                                   .drill = alarm->mode == SP_ALARM_DRILL};
    TRY(sp_incident_open_one(core, &open, ret_incident, ret_news));
    return note_alarm(core, *ret_incident, alarm);
}

/* Taken once, and planned once: an alarm that was taken when core ended, or when the store failed,
 * is told again, and goes on where it was. People are paged by the plan, or here. */
static sp_err answer(sp_core *core, const sp_alarm *alarm)
{
    sp_alarm_taken taken = {.incident = 0};
    sp_err err = sp_alarm_row_get(core->store, &alarm->id, &taken);
    bool is_new = err.code == SP_ENOTFOUND;
    bool news = !is_new; /* whether people were told is not known: rather twice than not at all */
    bool tells = false;
    if (is_new) {
        err = take_new(core, alarm, &taken.incident, &news);
    }
    TRY(err);
    if (taken.planned) {
        return sp_ok();
    }
    TRY(sp_plans_on_alarm(core, taken.incident, alarm, is_new ? 0 : taken.taken_unix_s * 1000000,
                          &tells));
    if (news && !tells) {
        sp_incident_page_alarm(core, taken.incident, alarm);
    }
    return sp_alarm_row_planned(core->store, &alarm->id);
}

static void on_recorded(void *self, sp_err err)
{
    taking *t = self;
    sp_alarm alarm;
    if (!sp_failed(err)) {
        err = sp_alarm_read(sp_buf_borrow(&t->body), &alarm);
    }
    if (!sp_failed(err) && alarm.mode != SP_ALARM_TEST) {
        err = answer(t->core, &alarm);
    }
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "an alarm was not answered: %s", sp_code_word(err.code));
    }
    t->then(t->self, err);
    sp_buf_done(&t->body);
    sp_free(t);
}

void sp_alarm_take(sp_core *core, const sp_alarm *alarm, bool is_written,
                   void (*then)(void *self, sp_err err), void *self)
{
    taking *t = NULL;
    auto_buf sp_buf detail = sp_buf_make(SP_EVENT_DETAIL_MAX_BYTES);
    sp_event event;
    sp_alarm_taken taken;
    if (!sp_failed(sp_alarm_row_get(core->store, &alarm->id, &taken))) {
        then(self, answer(core, alarm)); /* told twice: it is on the ledger */
        return;
    }
    sp_err err = sp_alloc(1, sizeof(*t), &t);
    if (sp_failed(err)) {
        then(self, err);
        return;
    }
    *t = (taking){.core = core, .then = then, .self = self};
    t->body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_alarm_write(alarm, &t->body);
    if (is_written) {
        on_recorded(t, sp_ok());
        return;
    }
    sp_alarm_event(alarm, &detail, &event);
    sp_ledger_client_append(core->ledger, &event, on_recorded, t);
}

sp_err sp_incidents_start(sp_core *core)
{
    TRY(sp_incident_rows_start(core->store));
    TRY(sp_evidence_routes(core));
    TRY(sp_tell_routes(core));
    TRY(sp_incident_tokens_start(core));
    return sp_incident_routes(core);
}

/* SPDX-License-Identifier: Apache-2.0
 * Whom an incident or an alarm pages: the people of the Notices `incident-opened`, `alarm`, `duty`.
 * OWNS nothing. PROCESS core. TRUST titles and keys hold hostile names: values of notices, so text.
 * SPEC core/incidents/inside.h, docs/NOTICES.md.
 */
#include "core/documents/documents.h"
#include "core/incidents/inside.h"
#include "core/notices/notices.h"
#include "lib/notice/template.h"

#include <stdio.h>

typedef struct {
    char text[24];
} number_text;

static sp_span number_of(uint64_t id, number_text *room)
{
    snprintf(room->text, sizeof(room->text), "%llu", (unsigned long long)id);
    return sp_span_cstr(room->text);
}

static sp_span severity_of(uint8_t severity)
{
    return sp_span_cstr(sp_severity_word((sp_severity)severity));
}

/* Values have a limit, and a text is cut between characters. */
static sp_span fitting(sp_span text)
{
    return text.len == 0 ? SP_SPAN_LIT("-") : sp_text_cut(text, SP_NOTICE_VALUE_MAX_BYTES);
}

void sp_incident_page_opened(sp_core *core, const sp_incident *incident)
{
    number_text number = {{0}};
    const sp_notice_pair values[] = {{SP_SPAN_LIT("incident"), number_of(incident->id, &number)},
                                     {SP_SPAN_LIT("what"), fitting(incident->title)},
                                     {SP_SPAN_LIT("severity"), severity_of(incident->severity)}};
    const sp_notice_ask ask = {.notice = SP_SPAN_LIT("incident-opened"),
                               .values = values,
                               .values_count = SP_COUNT(values),
                               .incident = incident->id,
                               .severity = incident->severity,
                               .drill = incident->drill,
                               .by = incident->opened_by};
    sp_notices_tell(core, &ask);
}

void sp_incident_page_alarm(sp_core *core, uint64_t id, const sp_alarm *alarm)
{
    const sp_notice_pair values[] = {{SP_SPAN_LIT("what"), fitting(alarm->title)},
                                     {SP_SPAN_LIT("severity"), severity_of(alarm->severity)},
                                     {SP_SPAN_LIT("keys"), fitting(alarm->keys)}};
    const sp_notice_ask ask = {.notice = SP_SPAN_LIT("alarm"),
                               .values = values,
                               .values_count = SP_COUNT(values),
                               .incident = id,
                               .severity = alarm->severity,
                               .drill = alarm->mode == SP_ALARM_DRILL,
                               .may_wait = alarm->severity < SP_SEVERITY_HIGH,
                               .by = alarm->detection};
    sp_notices_tell(core, &ask);
}

const char *sp_rota_role_zh(sp_rota_role role)
{
    static const char *const zh[] = {"指挥", "记录", "联络"};
    _Static_assert(SP_COUNT(zh) == SP_ROTA_COUNT, "a word for each");
    return (unsigned)role < SP_ROTA_COUNT ? zh[role] : "?";
}

void sp_incident_page_task(sp_core *core, const sp_incident *incident, sp_span text, sp_span whose,
                           uint64_t due_unix_s, sp_span by_name)
{
    auto_buf sp_buf audience = sp_buf_make(SP_NAME_MAX_BYTES + 16);
    auto_buf sp_buf due = sp_buf_make(64);
    number_text number = {{0}};
    sp_buf_text(&audience, "person ");
    sp_buf_span(&audience, whose);
    if (due_unix_s == 0) {
        sp_buf_byte(&due, '-');
    } else {
        sp_buf_time(&due, due_unix_s * 1000000);
    }
    const sp_notice_pair values[] = {{SP_SPAN_LIT("task"), fitting(text)},
                                     {SP_SPAN_LIT("due"), sp_buf_borrow(&due)},
                                     {SP_SPAN_LIT("incident"), number_of(incident->id, &number)},
                                     {SP_SPAN_LIT("what"), fitting(incident->title)}};
    const sp_notice_ask ask = {.notice = SP_SPAN_LIT("task"),
                               .audience = sp_buf_borrow(&audience),
                               .values = values,
                               .values_count = SP_COUNT(values),
                               .incident = incident->id,
                               .drill = incident->drill,
                               .by = by_name};
    sp_notices_tell(core, &ask);
}

void sp_incident_page_overdue(sp_core *core, const sp_incident *incident, const sp_task_late *task,
                              sp_span person)
{
    auto_buf sp_buf audience = sp_buf_make(SP_NAME_MAX_BYTES + 16);
    auto_buf sp_buf due = sp_buf_make(64);
    number_text number = {{0}};
    sp_buf_text(&audience, person.len > 0 ? "person " : "");
    sp_buf_span(&audience, person);
    sp_buf_time(&due, task->due_unix_s * 1000000);
    const sp_notice_pair values[] = {{SP_SPAN_LIT("task"), fitting(task->text)},
                                     {SP_SPAN_LIT("whose"), fitting(task->whose)},
                                     {SP_SPAN_LIT("due"), sp_buf_borrow(&due)},
                                     {SP_SPAN_LIT("incident"), number_of(incident->id, &number)},
                                     {SP_SPAN_LIT("what"), fitting(incident->title)}};
    const sp_notice_ask ask = {.notice = SP_SPAN_LIT("task-overdue"),
                               .audience = sp_buf_borrow(&audience),
                               .values = values,
                               .values_count = SP_COUNT(values),
                               .incident = incident->id,
                               .drill = incident->drill,
                               .by = SP_SPAN_LIT("clock")};
    sp_notices_tell(core, &ask);
}

void sp_incident_page_duty(sp_core *core, const sp_incident *incident, sp_rota_role role,
                           sp_span name, sp_span by_name)
{
    auto_buf sp_buf audience = sp_buf_make(SP_NAME_MAX_BYTES + 16);
    number_text number = {{0}};
    sp_buf_text(&audience, "person ");
    sp_buf_span(&audience, name);
    const sp_notice_pair values[] = {{SP_SPAN_LIT("role"), sp_span_cstr(sp_rota_role_word(role))},
                                     {SP_SPAN_LIT("role_zh"), sp_span_cstr(sp_rota_role_zh(role))},
                                     {SP_SPAN_LIT("incident"), number_of(incident->id, &number)},
                                     {SP_SPAN_LIT("what"), fitting(incident->title)}};
    const sp_notice_ask ask = {.notice = SP_SPAN_LIT("duty"),
                               .audience = sp_buf_borrow(&audience),
                               .values = values,
                               .values_count = SP_COUNT(values),
                               .incident = incident->id,
                               .drill = incident->drill,
                               .by = by_name};
    sp_notices_tell(core, &ask);
}

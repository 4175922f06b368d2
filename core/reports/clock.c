/* SPDX-License-Identifier: Apache-2.0
 * The clocks of duties: looked at once a second, told before they run out; and the reports that
 * grave incidents open by themselves.
 * OWNS sp_reports. PROCESS core. TRUST none. SPEC core/reports/reports.h.
 */
#include "core/clock.h"
#include "core/documents/documents.h"
#include "core/http/json.h"
#include "core/ledger_client.h"
#include "core/notices/notices.h"
#include "core/plans/plans.h"
#include "core/reports/inside.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"

#include <stdio.h>

enum {
    BEAT_MS = 1000,
    LOOKED_AT_A_BEAT = 50,
    BEATS_OF_GAPS = 5,
    BEATS_OF_REST = 29,
    TITLES_BYTES = 600
};

typedef struct {
    uint64_t due;
    uint64_t over;
} counting;

struct sp_reports {
    sp_core *core;
    uv_timer_t timer;
    unsigned beats;
    unsigned rests;     /* beats until the next round */
    uint64_t looked_at; /* the last report of this round, 0 = a round begins */
    counting round;
    counting last; /* of the last whole round */
};

uint64_t report_now(sp_core *core)
{
    return report_seen(core->store, sp_now_unix_us() / 1000000);
}

/* ---- opening ---- */

static sp_err add(sp_core *core, report_row *row)
{
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(txn.err);
    TRY(report_row_add(core->store, row));
    return sp_txn_commit(&txn);
}

static void tell_event(sp_core *core, uint64_t id, const char *method, sp_severity severity,
                       sp_span by, sp_span what)
{
    char number[32];
    auto_buf sp_buf detail = sp_buf_make(4096);
    snprintf(number, sizeof(number), "report %llu", (unsigned long long)id);
    sp_buf_fmt(&detail, "{\"did\":\"%s\",\"report\":\"%llu\",\"what\":", method,
               (unsigned long long)id);
    sp_buf_json(&detail, what);
    sp_buf_byte(&detail, '}');
    const sp_event event = {.kind = SP_EVENT_INCIDENT,
                            .when_unix_us = sp_now_unix_us(),
                            .verdict = SP_VERDICT_ALLOW,
                            .severity = (uint8_t)severity,
                            .method = sp_span_cstr(method),
                            .person_name = by,
                            .object = sp_span_cstr(number),
                            .detail = sp_buf_borrow(&detail)};
    sp_ledger_client_tell(core->ledger, &event);
}

sp_err report_open(sp_core *core, uint64_t incident, sp_span pack, sp_span by, uint64_t *ret_id)
{
    auto_arena sp_arena arena = sp_arena_make(REPORT_ARENA_BYTES);
    sp_incident of;
    auto_report report_row row = {.incident = incident, .created_unix_s = report_now(core)};
    TRY(sp_incident_row_get(core->store, &arena, incident, &of));
    TRY(sp_fit(row.pack, sizeof(row.pack), pack));
    row.discovered_unix_s = of.opened_unix_s;
    row.facts = json_object();
    row.items = json_object();
    TRY(add(core, &row));
    tell_event(core, row.id, "report opened", SP_SEVERITY_LOW, by, of.title);
    const sp_incident_note note = {.kind = "report",
                                   .by_name = by,
                                   .text = SP_SPAN_LIT("a report to the authorities is open")};
    sp_incident_add(core, incident, &note);
    *ret_id = row.id;
    return sp_ok();
}

static void open_wanted(sp_core *core)
{
    uint64_t ids[16];
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    size_t count = report_wanted(core->store, ids, SP_COUNT(ids));
    for (size_t i = 0; i < count; i++) {
        for (size_t at = 0; at < sp_policy_set_law_count(set); at++) {
            uint64_t id = 0;
            sp_policy_law law;
            sp_policy_set_law_at(set, at, &law);
            sp_err err = report_open(core, ids[i], law.name, SP_SPAN_LIT("law pack"), &id);
            if (sp_failed(err)) {
                sp_log(SP_LOG_ERROR, "no report of incident %llu: %s", (unsigned long long)ids[i],
                       sp_code_word(err.code));
            }
        }
    }
}

/* ---- clocks ---- */

typedef struct {
    sp_duty_says says;
    uint64_t begun_unix_s;
    uint64_t due_unix_s; /* 0 = its time has not begun */
    sp_due_stage stage;
} clock_face;

static clock_face face_of(const report *r, size_t duty, uint64_t now)
{
    const sp_law_duty *d = &r->law.pack.duties[duty];
    clock_face face = {.says = sp_law_duty_says(&r->law.pack, duty, &r->facts, &r->answer)};
    face.due_unix_s = sp_law_due(d, r->row.discovered_unix_s, r->incident.closed_unix_s);
    face.begun_unix_s = face.due_unix_s == 0 ? 0 : face.due_unix_s - d->within_s;
    face.stage =
        face.due_unix_s == 0 ? SP_DUE_FAR : sp_law_stage(face.begun_unix_s, face.due_unix_s, now);
    return face;
}

json_t *report_clocks_json(sp_core *core, const report *r)
{
    static const char *const says[] = {"no", "open", "yes"};
    static const char *const stages[] = {"far", "half", "quarter", "over"};
    json_t *list = json_array();
    uint64_t now = report_now(core);
    for (size_t i = 0; i < r->law.pack.duties_count; i++) {
        clock_face face = face_of(r, i, now);
        sp_span name = r->law.pack.duties[i].name;
        if (face.says == SP_DUTY_NO) {
            continue;
        }
        int64_t left = face.due_unix_s == 0 ? 0 : (int64_t)(face.due_unix_s - now);
        json_t *one = json_pack(
            "{s:s%,s:s,s:{s:s%,s:s%},s:s%,s:o,s:I,s:s,s:n}", "duty", name.ptr, name.len, "applies",
            says[face.says], "title", "en", r->law.duty_titles[i][0].ptr,
            r->law.duty_titles[i][0].len, "zh", r->law.duty_titles[i][1].ptr,
            r->law.duty_titles[i][1].len, "article",
            r->law.duty_articles[i].len == 0 ? (const uint8_t *)"" : r->law.duty_articles[i].ptr,
            r->law.duty_articles[i].len, "due_at", sp_json_time(face.due_unix_s), "left_s",
            (json_int_t)left, "stage", face.due_unix_s == 0 ? "waits" : stages[face.stage],
            "filed_at");
        uint64_t filed = report_filed(core->store, r->row.id, name, one);
        if (filed != 0) {
            json_object_set_new(one, "filed_at", sp_json_time(filed));
        }
        json_array_append_new(list, one);
    }
    return list;
}

/* "2 h 5 min", for people. */
static void put_left(uint64_t due, uint64_t now, sp_buf *out)
{
    enum { HOUR_S = 3600, MINUTE_S = 60, DAY_S = 86400 };
    uint64_t left = due > now ? due - now : 0;
    if (left == 0) {
        sp_buf_text(out, "its time is over");
    } else if (left >= 2 * DAY_S) {
        sp_buf_fmt(out, "%llu d", (unsigned long long)(left / DAY_S));
    } else {
        sp_buf_fmt(out, "%llu h %llu min", (unsigned long long)(left / HOUR_S),
                   (unsigned long long)(left % HOUR_S / MINUTE_S));
    }
}

/* What of one report has to be told now. */
typedef struct {
    sp_buf en; /* titles of the duties */
    sp_buf zh;
    size_t duties;
    uint64_t due_unix_s; /* the first of them */
    struct {
        sp_span duty;
        sp_due_stage stage;
    } told[SP_LAW_DUTIES_MAX];
} due_now;

static void add_title(sp_buf *titles, size_t before, sp_span title)
{
    if (titles->len + title.len + 2 < TITLES_BYTES) {
        sp_buf_text(titles, before > 0 ? "; " : "");
        sp_buf_span(titles, title);
    } else if (before > 0 && titles->len + 4 < TITLES_BYTES + 16) {
        sp_buf_text(titles, "; …");
    }
}

/* One notice of a report, however many of its duties are due. */
static void send_notice(sp_core *core, const report *r, const due_now *due, uint64_t now)
{
    char number[24];
    auto_buf sp_buf left = sp_buf_make(64);
    put_left(due->due_unix_s, now, &left);
    snprintf(number, sizeof(number), "%llu", (unsigned long long)r->row.incident);
    const sp_notice_pair values[] = {{SP_SPAN_LIT("duty"), sp_buf_borrow(&due->en)},
                                     {SP_SPAN_LIT("duty_zh"), sp_buf_borrow(&due->zh)},
                                     {SP_SPAN_LIT("incident"), sp_span_cstr(number)},
                                     {SP_SPAN_LIT("what"), r->incident.title},
                                     {SP_SPAN_LIT("left"), sp_buf_borrow(&left)}};
    const sp_notice_ask ask = {.notice = SP_SPAN_LIT("report-due"),
                               .values = values,
                               .values_count = SP_COUNT(values),
                               .incident = r->row.incident,
                               .by = SP_SPAN_LIT("law pack")};
    sp_notices_tell(core, &ask);
}

/* To the ledger, and what stands in the notice. That it was told is kept after the notice is: a
 * restart in between tells twice, which is better than never. */
static void tell_stage(sp_core *core, const report *r, size_t duty, const clock_face *face,
                       uint64_t now, due_now *due)
{
    auto_buf sp_buf left = sp_buf_make(64);
    auto_buf sp_buf what = sp_buf_make(1024);
    if (report_was_told(core->store, r->row.id, r->law.pack.duties[duty].name, face->stage)) {
        return;
    }
    bool over = face->stage == SP_DUE_OVER;
    put_left(face->due_unix_s, now, &left);
    sp_buf_fmt(&what, "%.*s: %.*s", SP_SPAN_ARG(r->law.pack.duties[duty].name),
               SP_SPAN_ARG(sp_buf_borrow(&left)));
    tell_event(core, r->row.id, over ? "report overdue" : "report due",
               over ? SP_SEVERITY_CRITICAL : SP_SEVERITY_HIGH, SP_SPAN_LIT("law pack"),
               sp_buf_borrow(&what));
    add_title(&due->en, due->duties, r->law.duty_titles[duty][SP_LANGUAGE_EN]);
    add_title(&due->zh, due->duties, r->law.duty_titles[duty][SP_LANGUAGE_ZH]);
    due->due_unix_s =
        due->duties == 0 || face->due_unix_s < due->due_unix_s ? face->due_unix_s : due->due_unix_s;
    due->told[due->duties].duty = r->law.pack.duties[duty].name;
    due->told[due->duties].stage = face->stage;
    due->duties++;
}

/* Every duty of it that applies or might, whose time runs, and that nobody has done. */
static void look_at_one(sp_reports *self, const report *r, uint64_t now)
{
    due_now due = {.en = sp_buf_make(2 * TITLES_BYTES), .zh = sp_buf_make(2 * TITLES_BYTES)};
    for (size_t d = 0; d < r->law.pack.duties_count; d++) {
        clock_face face = face_of(r, d, now);
        if (face.says == SP_DUTY_NO || face.due_unix_s == 0 ||
            report_filed(self->core->store, r->row.id, r->law.pack.duties[d].name, NULL) != 0) {
            continue;
        }
        self->round.due++;
        self->round.over += face.stage == SP_DUE_OVER ? 1 : 0;
        if (face.stage > SP_DUE_FAR) {
            tell_stage(self->core, r, d, &face, now, &due);
        }
    }
    if (due.duties > 0) {
        send_notice(self->core, r, &due, now);
    }
    for (size_t i = 0; i < due.duties; i++) {
        sp_err err = report_told(self->core->store, r->row.id, due.told[i].duty, due.told[i].stage);
        if (sp_failed(err)) {
            sp_log(SP_LOG_ERROR, "a clock of report %llu is told again: %s",
                   (unsigned long long)r->row.id, sp_code_word(err.code));
        }
    }
    sp_buf_done(&due.en);
    sp_buf_done(&due.zh);
}

/* All of them in turn, some a beat, then a rest: however many there are, none is left out and
 * nothing stalls. */
static void look(sp_reports *self)
{
    if (self->rests > 0) {
        self->rests--;
        return;
    }
    uint64_t ids[LOOKED_AT_A_BEAT];
    uint64_t now = report_now(self->core);
    size_t count = report_ids_after(self->core->store, self->looked_at, ids, LOOKED_AT_A_BEAT);
    for (size_t i = 0; i < count; i++) {
        auto_arena sp_arena arena = sp_arena_make(REPORT_ARENA_BYTES);
        static report r; /* large, and one at a time */
        if (!sp_failed(report_load(self->core, &arena, ids[i], &r))) {
            look_at_one(self, &r, now);
            report_done(&r.row);
        }
    }
    self->looked_at = count > 0 ? ids[count - 1] : 0;
    if (count < LOOKED_AT_A_BEAT) {
        self->last = self->round;
        self->round = (counting){0};
        self->looked_at = 0;
        self->rests = BEATS_OF_REST;
    }
}

void sp_reports_due(sp_core *core, uint64_t *ret_due, uint64_t *ret_over)
{
    *ret_due = core->reports->last.due;
    *ret_over = core->reports->last.over;
}

/* ---- the beat ---- */

static void on_beat(uv_timer_t *timer)
{
    sp_reports *self = timer->data;
    sp_clock_look(self->core);
    open_wanted(self->core);
    look(self);
    sp_tasks_look(self->core);
    if (self->beats++ % BEATS_OF_GAPS == 0) {
        officers_look(self->core);
        sp_rota_look(self->core);
        sp_drills_look(self->core);
    }
}

sp_err sp_reports_start(sp_core *core, sp_reports **ret_reports)
{
    sp_reports *reports = NULL;
    TRY(sp_alloc(1, sizeof(*reports), &reports));
    *ret_reports = reports;
    reports->core = core;
    reports->timer.data = reports;
    TRY(report_rows_start(core->store));
    if (uv_timer_init(core->loop, &reports->timer) != 0 ||
        uv_timer_start(&reports->timer, on_beat, BEAT_MS, BEAT_MS) != 0) {
        return sp_fail(SP_EIO);
    }
    TRY(officers_start(core));
    return report_routes(core);
}

static void on_closed(uv_handle_t *handle)
{
    sp_free(handle->data);
}

void sp_reports_stop(sp_reports *reports)
{
    if (reports != NULL) {
        uv_timer_stop(&reports->timer);
        uv_close((uv_handle_t *)&reports->timer, on_closed);
    }
}

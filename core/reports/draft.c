/* SPDX-License-Identifier: Apache-2.0
 * A report read, judged, and written as people file it. Plain text: what others wrote stays text.
 * OWNS nothing. PROCESS core. TRUST names and texts are other people's words.
 * SPEC docs/REPORTS.md "The draft".
 */
#include "core/documents/documents.h"
#include "core/http/json.h"
#include "core/reports/inside.h"
#include "infra/proc/clock.h"

#include <string.h>

/* ---- reading ---- */

static void take_facts(const json_t *json, sp_facts *facts)
{
    for (unsigned i = 0; i < SP_FACT_COUNT; i++) {
        const json_t *value = json_object_get(json, sp_fact_word((sp_fact)i));
        facts->known[i] = json_is_integer(value);
        facts->value[i] = facts->known[i] ? (uint64_t)json_integer_value(value) : 0;
    }
}

sp_err report_load(sp_core *core, sp_arena *arena, uint64_t id, report *ret_report)
{
    report *r = ret_report;
    sp_set(r, 0, sizeof(*r));
    TRY(report_row_get(core->store, id, &r->row));
    sp_err err = sp_policy_set_law(sp_documents_set(core->state->documents),
                                   sp_span_cstr(r->row.pack), &r->law);
    if (!sp_failed(err)) {
        err = sp_incident_row_get(core->store, arena, r->row.incident, &r->incident);
    }
    if (sp_failed(err)) {
        report_done(&r->row);
        return err;
    }
    take_facts(r->row.facts, &r->facts);
    sp_law_classify(&r->law.pack, &r->facts, &r->answer);
    return sp_ok();
}

/* ---- items ---- */

static void put_time(sp_buf *out, const char *label, uint64_t unix_s)
{
    auto_buf sp_buf text = sp_buf_make(64);
    if (unix_s == 0) {
        return;
    }
    sp_buf_time(&text, unix_s * 1000000);
    sp_buf_fmt(out, "%s%s", label, "");
    sp_buf_span(out, sp_span_slice(sp_buf_borrow(&text), 0, 19));
    sp_buf_text(out, "Z\n");
}

static void put_times(const report *r, bool zh, sp_buf *out)
{
    put_time(out, zh ? "发现：" : "Discovered: ", r->row.discovered_unix_s);
    put_time(out, zh ? "立案：" : "Opened: ", r->incident.opened_unix_s);
    put_time(out, zh ? "处置完毕：" : "Closed: ", r->incident.closed_unix_s);
}

static void put_incident(const sp_core *core, const report *r, bool zh, sp_buf *out)
{
    sp_buf_fmt(out, zh ? "编号 %llu：" : "No. %llu: ", (unsigned long long)r->incident.id);
    if (zh) {
        report_title_zh(core, r->incident.title, out);
    } else {
        sp_buf_span(out, r->incident.title);
    }
    sp_buf_byte(out, '\n');
}

static void put_level(const report *r, sp_language language, sp_buf *out)
{
    bool zh = language == SP_LANGUAGE_ZH;
    const sp_law_answer *a = &r->answer;
    size_t none = r->law.pack.levels_count;
    if (a->level < none) {
        sp_buf_span(out, r->law.level_titles[a->level][language]);
        if (a->person_decided) {
            sp_buf_text(out, zh ? "（由人员判定）" : " (a person's judgement)");
        }
        sp_buf_byte(out, '\n');
    }
    if (a->might < none && a->might != a->level) {
        sp_buf_text(out, zh ? "可能达到：" : "Might be: ");
        sp_buf_span(out, r->law.level_titles[a->might][language]);
        sp_buf_byte(out, '\n');
    }
}

static void put_facts(const report *r, bool zh, sp_buf *out)
{
    static const char *const names[SP_FACT_COUNT][2] = {
        {"Persons whose data is concerned", "涉及个人信息的人数"},
        {"Persons with sensitive data", "涉及敏感个人信息的人数"},
        {"Direct loss (yuan)", "直接经济损失（元）"},
        {"Outage (minutes)", "中断时间（分钟）"},
        {"Persons affected", "受影响人数"},
        {"Important data", "涉及重要数据"},
        {"Core data", "涉及核心数据"},
        {"National security or public interest", "涉及国家安全、公共利益"},
        {"Suspected crime", "涉嫌犯罪"},
        {"Critical infrastructure", "关键信息基础设施"},
        {"Central organ", "中央和国家机关"},
        {"Defect of a product or service", "产品或服务缺陷"},
        {NULL, NULL},
    };
    for (unsigned i = 0; i < SP_FACT_JUDGEMENT; i++) {
        bool yes_no = i >= SP_FACT_IMPORTANT_DATA;
        if (!r->facts.known[i]) {
            continue;
        }
        sp_buf_fmt(out, zh ? "%s：" : "%s: ", names[i][zh ? 1 : 0]);
        if (yes_no) {
            bool is = r->facts.value[i] > 0;
            sp_buf_text(out, zh ? (is ? "是\n" : "否\n") : (is ? "yes\n" : "no\n"));
        } else {
            sp_buf_fmt(out, "%llu\n", (unsigned long long)r->facts.value[i]);
        }
    }
}

static bool is_in(const char *kind, const char *const *kinds)
{
    while (*kinds != NULL && strcmp(kind, *kinds) != 0) {
        kinds++;
    }
    return *kinds != NULL;
}

static void put_note(const sp_core *core, const char *kind, sp_span text, bool zh, sp_buf *out)
{
    if (strcmp(kind, "done") == 0) {
        sp_buf_fmt(out, zh ? "任务 %.*s 已完成" : "task %.*s is done", SP_SPAN_ARG(text));
    } else if (!zh) {
        sp_buf_span(out, text);
    } else if (strcmp(kind, "opened") == 0) {
        report_title_zh(core, text, out);
    } else if (strcmp(kind, "alarm") == 0) {
        report_alarm_zh(core, text, out);
    } else if (strcmp(kind, "task") != 0) {
        report_said_zh(text, out);
    } else if (!report_task_zh(text, out)) {
        sp_buf_span(out, text); /* a person's */
    }
}

/* Notes of the timeline of these kinds, at most so many; with the ledger's entry where there is
 * one. */
static void put_notes(sp_core *core, const report *r, const char *const *kinds, bool zh,
                      sp_buf *out)
{
    enum { NOTES_MAX = 40, LOOKED_AT_MAX = 2000 };
    size_t at = 0;
    size_t count = 0;
    json_t *note = NULL;
    json_t *notes = sp_json_reversed(
        sp_incident_notes_json(core->store, r->incident.id, NULL, LOOKED_AT_MAX, NULL));
    json_array_foreach(notes, at, note)
    {
        const char *kind = json_string_value(json_object_get(note, "kind"));
        const char *when = json_string_value(json_object_get(note, "at"));
        const char *text = json_string_value(json_object_get(note, "text"));
        const char *entry = json_string_value(json_object_get(note, "entry"));
        if (kind == NULL || text == NULL || !is_in(kind, kinds) || count == NOTES_MAX) {
            continue;
        }
        count++;
        sp_buf_fmt(out, "%s ", when == NULL ? "" : when);
        put_note(core, kind, sp_span_cstr(text), zh, out);
        sp_buf_fmt(out, entry == NULL ? "%s\n" : " [%s]\n", entry == NULL ? "" : entry);
    }
    json_decref(notes);
}

void report_item(sp_core *core, const report *r, size_t item, sp_language language, sp_buf *out)
{
    static const char *const alarms[] = {"alarm", "opened", "evidence", NULL};
    static const char *const measures[] = {"plan", "cut", "task", "done", "step", "notice", NULL};
    bool zh = language == SP_LANGUAGE_ZH;
    const sp_policy_law_item *is = &r->law.items[item];
    auto_buf sp_buf name = sp_buf_make(SP_NAME_MAX_BYTES + 1);
    sp_buf_span(&name, is->name);
    sp_buf_byte(&name, 0);
    const char *own =
        json_string_value(json_object_get(r->row.items, (const char *)sp_buf_borrow(&name).ptr));
    switch ((sp_law_item_of)is->of) {
    case SP_ITEM_OFFICE:
        sp_buf_fmt(out, "%s\n", core->config->office);
        break;
    case SP_ITEM_INCIDENT:
        put_incident(core, r, zh, out);
        break;
    case SP_ITEM_TIMES:
        put_times(r, zh, out);
        break;
    case SP_ITEM_LEVEL:
        put_level(r, language, out);
        break;
    case SP_ITEM_FACTS:
        put_facts(r, zh, out);
        break;
    case SP_ITEM_MEASURES:
        put_notes(core, r, measures, zh, out);
        break;
    case SP_ITEM_ALARMS:
        put_notes(core, r, alarms, zh, out);
        break;
    case SP_ITEM_REVIEW:
        sp_buf_span(out, r->incident.review);
        break;
    case SP_ITEM_OFFICERS:
        officers_text(core, language, out);
        break;
    case SP_ITEM_ASKED:
    case SP_ITEM_OF_COUNT:
        break;
    }
    if (own != NULL && own[0] != '\0') { /* a person's words stand beside what is known */
        sp_buf_fmt(out, "%s\n", own);
    }
}

bool report_is_missing(sp_core *core, const report *r, size_t item)
{
    auto_buf sp_buf text = sp_buf_make(REPORT_DRAFT_MAX_BYTES);
    report_item(core, r, item, SP_LANGUAGE_EN, &text);
    return text.len == 0;
}

/* ---- the whole ---- */

void report_draft(sp_core *core, const report *r, sp_language language, const char *phase,
                  sp_buf *out)
{
    bool zh = language == SP_LANGUAGE_ZH;
    sp_buf_text(out, zh ? "网络安全事件报告" : "Report of a security incident");
    sp_buf_fmt(out, zh ? "（%s）\n\n" : " (%s)\n\n", phase);
    sp_buf_fmt(out, zh ? "依据：%.*s，截至 %.*s\n\n" : "Under: %.*s, as of %.*s\n\n",
               SP_SPAN_ARG(r->law.title[language].len > 0 ? r->law.title[language] : r->law.name),
               SP_SPAN_ARG(r->law.dated));
    for (size_t i = 0; i < r->law.items_count; i++) {
        size_t before = 0;
        sp_buf_fmt(out, "%zu. %.*s\n", i + 1, SP_SPAN_ARG(r->law.items[i].title[language]));
        before = out->len;
        report_item(core, r, i, language, out);
        if (out->len == before) {
            sp_buf_text(out, zh ? "【待补充】\n" : "[MISSING]\n");
        }
        sp_buf_byte(out, '\n');
    }
}

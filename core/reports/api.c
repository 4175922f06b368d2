/* SPDX-License-Identifier: Apache-2.0
 * /api/v1/reports.
 * OWNS nothing. PROCESS core. TRUST requests are hostile. SPEC docs/api/openapi.yaml "/reports".
 */
#include "core/documents/documents.h"
#include "core/http/json.h"
#include "core/reports/inside.h"
#include "infra/proc/clock.h"

#include <string.h>

enum { LIST_MAX = 200, PHASE_MAX_BYTES = 16 };

static bool may_change(const sp_request *req)
{
    return sp_request_is_local(req) || (sp_request_admin(req) & SP_WHO_SECURITY) != 0 ||
           officers_may_report(sp_request_core(req), sp_request_by(req));
}

/* Nobody answers for what is about himself. */
static bool is_about_asker(const sp_request *req, sp_span about)
{
    return !sp_request_is_local(req) && about.len > 0 && sp_span_eq(about, sp_request_by(req));
}

static void answer_about_asker(sp_request *req)
{
    sp_answer_problem(req, 409, "conflict",
                      "The incident of this report is about yourself. Somebody else reports it.");
}

static bool may_see(const sp_request *req)
{
    return may_change(req) || (sp_request_admin(req) & SP_WHO_AUDIT) != 0;
}

/* ---- shapes ---- */

static json_t *titles(const sp_span title[SP_LANGUAGE_COUNT])
{
    return json_pack("{s:o,s:o}", "en", sp_json_span_or_null(title[SP_LANGUAGE_EN]), "zh",
                     sp_json_span_or_null(title[SP_LANGUAGE_ZH]));
}

static json_t *level_json(const report *r, size_t level)
{
    if (level >= r->law.pack.levels_count) {
        return json_null();
    }
    return json_pack("{s:o,s:o,s:i}", "name", sp_json_span_or_null(r->law.pack.levels[level].name),
                     "title", titles(r->law.level_titles[level]), "grade", (int)level + 1);
}

static json_t *open_json(const report *r)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < SP_FACT_COUNT; i++) {
        if ((r->answer.open >> i & 1U) != 0) {
            json_array_append_new(list, json_string(sp_fact_word((sp_fact)i)));
        }
    }
    return list;
}

static json_t *head_json(sp_core *core, const report *r)
{
    json_t *clocks = report_clocks_json(core, r);
    return json_pack(
        "{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:b,s:b,s:o,s:o,s:I}", "id", sp_json_id(r->row.id),
        "incident", sp_json_id(r->row.incident), "title", sp_json_span_or_null(r->incident.title),
        "pack", sp_json_span_or_null(r->law.name), "dated", sp_json_span_or_null(r->law.dated),
        "created_at", sp_json_time(r->row.created_unix_s), "discovered_at",
        sp_json_time(r->row.discovered_unix_s), "level", level_json(r, r->answer.level), "might",
        level_json(r, r->answer.might), "person_decides", (int)r->answer.person_decides,
        "person_decided", (int)r->answer.person_decided, "open_facts", open_json(r), "clocks",
        clocks, "papers", (json_int_t)report_papers_count(core->store, r->row.id));
}

static json_t *items_json(sp_core *core, const report *r, json_t *missing)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->law.items_count; i++) {
        const sp_policy_law_item *is = &r->law.items[i];
        json_t *texts = json_object();
        for (unsigned language = 0; language < SP_LANGUAGE_COUNT; language++) {
            auto_buf sp_buf out = sp_buf_make(REPORT_DRAFT_MAX_BYTES);
            report_item(core, r, i, (sp_language)language, &out);
            json_object_set_new(texts, language == SP_LANGUAGE_EN ? "en" : "zh",
                                sp_json_span_or_null(sp_buf_borrow(&out)));
        }
        bool absent = json_is_null(json_object_get(texts, "en"));
        if (absent) {
            json_array_append_new(missing, sp_json_span_or_null(is->name));
        }
        json_array_append_new(
            list, json_pack("{s:o,s:o,s:s,s:b,s:b,s:o}", "name", sp_json_span_or_null(is->name),
                            "title", titles(is->title), "of", SP_ITEM_OF_WORDS[is->of], "later",
                            (int)is->later, "missing", (int)absent, "text", texts));
    }
    return list;
}

/* Both languages, and the SHA-256 of both, by which whoever signs says what he has read. */
static sp_hash write_draft(sp_core *core, const report *r, sp_buf *en, sp_buf *zh)
{
    report_draft(core, r, SP_LANGUAGE_EN, "draft", en);
    report_draft(core, r, SP_LANGUAGE_ZH, "draft", zh);
    const sp_span both[] = {sp_buf_borrow(en), SP_SPAN_LIT("\n"), sp_buf_borrow(zh)};
    return sp_sha256_parts(both, SP_COUNT(both));
}

static json_t *draft_json(sp_core *core, const report *r)
{
    auto_buf sp_buf en = sp_buf_make(REPORT_DRAFT_MAX_BYTES);
    auto_buf sp_buf zh = sp_buf_make(REPORT_DRAFT_MAX_BYTES);
    auto_buf sp_buf hex = sp_buf_make(128);
    sp_hash hash = write_draft(core, r, &en, &zh);
    sp_buf_hex(&hex, sp_hash_borrow(&hash));
    return json_pack("{s:o,s:o,s:o}", "en", sp_json_span_or_null(sp_buf_borrow(&en)), "zh",
                     sp_json_span_or_null(sp_buf_borrow(&zh)), "sha256",
                     sp_json_span_or_null(sp_buf_borrow(&hex)));
}

static json_t *whole_json(sp_core *core, const report *r)
{
    json_t *json = head_json(core, r);
    json_t *missing = json_array();
    json_object_set_new(json, "facts", json_incref(r->row.facts));
    json_object_set_new(json, "items", items_json(core, r, missing));
    json_object_set_new(json, "missing", missing);
    json_object_set_new(json, "draft", draft_json(core, r));
    json_object_set_new(json, "papers", report_papers_json(core->store, r->row.id));
    return json;
}

/* ---- looking ---- */

static bool admit(sp_request *req, bool changes)
{
    if (changes ? may_change(req) : may_see(req)) {
        return true;
    }
    sp_answer_problem(req, 403, "forbidden",
                      changes ? "Security administrators, the head of network security and who "
                                "reports incidents change a report."
                              : "Reports are for administrators of security and audit, and for "
                                "officers.");
    return false;
}

/* The report of the path; false: answered. */
static bool named(sp_request *req, bool changes, report *r)
{
    uint64_t id = 0;
    if (!admit(req, changes)) {
        return false;
    }
    sp_err err = sp_request_param_u64(req, 0, &id) && id <= INT64_MAX
                     ? report_load(sp_request_core(req), sp_request_arena(req), id, r)
                     : sp_fail(SP_ENOTFOUND);
    if (err.code == SP_ENOTFOUND) {
        sp_answer_problem(req, 404, "not_found",
                          "There is no such report, or its law pack is not in force any more.");
    } else if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else if (changes && is_about_asker(req, r->incident.about)) {
        answer_about_asker(req);
        report_done(&r->row);
        return false;
    }
    return !sp_failed(err);
}

static void get_reports(sp_request *req)
{
    uint64_t ids[LIST_MAX];
    json_t *items = json_array();
    sp_core *core = sp_request_core(req);
    if (!admit(req, false)) {
        json_decref(items);
        return;
    }
    size_t count = report_ids(core->store, INT64_MAX, ids, LIST_MAX);
    for (size_t i = 0; i < count; i++) {
        report r;
        if (!sp_failed(report_load(core, sp_request_arena(req), ids[i], &r))) {
            json_array_append_new(items, head_json(core, &r));
            report_done(&r.row);
        }
    }
    sp_answer_items(req, items);
}

static void answer_whole(sp_request *req, uint64_t id, unsigned status)
{
    report r;
    sp_core *core = sp_request_core(req);
    sp_err err = report_load(core, sp_request_arena(req), id, &r);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    sp_answer_json(req, status, whole_json(core, &r));
    report_done(&r.row);
}

static void get_report(sp_request *req)
{
    report r;
    if (named(req, false, &r)) {
        sp_answer_json(req, 200, whole_json(sp_request_core(req), &r));
        report_done(&r.row);
    }
}

static void get_paper(sp_request *req)
{
    uint64_t id = 0;
    uint64_t number = 0;
    json_t *paper = NULL;
    if (!admit(req, false)) {
        return;
    }
    if (sp_request_param_u64(req, 0, &id) && sp_request_param_u64(req, 1, &number) &&
        id <= INT64_MAX && number <= INT64_MAX) {
        paper = report_paper_json(sp_request_core(req)->store, id, number);
    }
    if (paper == NULL) {
        sp_answer_problem(req, 404, "not_found", "There is no such signed report.");
    } else {
        sp_answer_json(req, 200, paper);
    }
}

/* ---- changes: on the ledger first ---- */

typedef struct {
    uint64_t id;
    uint64_t incident;
    sp_span pack;
    sp_span name; /* a fact, an item, a duty, a phase */
    sp_span text;
    uint64_t value;
    bool unknown;
    bool may_be_later; /* than what it has */
    report_paper paper;
} change;

static change *new_change(sp_request *req)
{
    change *c = NULL;
    if (sp_failed(sp_arena_alloc(sp_request_arena(req), 1, sizeof(*c), &c))) {
        sp_answer_failed(req, sp_fail(SP_ENOMEM));
        return NULL;
    }
    return c;
}

/* Of a report that is there and may be changed; NULL: answered. */
static change *change_of(sp_request *req, report *r)
{
    if (!named(req, true, r)) {
        return NULL;
    }
    change *c = new_change(req);
    if (c != NULL) {
        c->id = r->row.id;
        c->incident = r->row.incident;
    } else {
        report_done(&r->row);
    }
    return c;
}

static void record(sp_request *req, const char *did, const change *c, sp_request_go go, void *data)
{
    auto_buf sp_buf object = sp_buf_make(64);
    auto_buf sp_buf detail = sp_buf_make(SP_EVENT_DETAIL_MAX_BYTES);
    sp_buf_fmt(&object, "report %llu", (unsigned long long)c->id);
    sp_buf_fmt(&detail, "{\"did\":\"%s\",\"report\":\"%llu\",\"incident\":\"%llu\",\"name\":", did,
               (unsigned long long)c->id, (unsigned long long)c->incident);
    sp_buf_json(&detail, c->name);
    sp_buf_text(&detail, ",\"what\":");
    sp_buf_json(&detail, sp_text_cut(c->text, 2000));
    if (c->paper.number != 0) {
        sp_buf_text(&detail, ",\"sha256\":\"");
        sp_buf_hex(&detail, sp_hash_borrow(&c->paper.hash));
        sp_buf_fmt(&detail, "\",\"paper\":%llu", (unsigned long long)c->paper.number);
    }
    sp_buf_byte(&detail, '}');
    sp_event event = sp_request_event(req, SP_EVENT_INCIDENT);
    event.method = sp_span_cstr(did);
    event.severity = SP_SEVERITY_LOW;
    event.object = sp_buf_borrow(&object);
    event.detail = sp_buf_borrow(&detail);
    sp_request_record(req, &event, go, data);
}

static void finish(sp_request *req, const change *c, sp_err err, unsigned status)
{
    if (err.code == SP_EEXISTS) {
        sp_answer_problem(req, 409, "conflict", "That was done before.");
    } else if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        sp_incident_changed(sp_request_core(req));
        answer_whole(req, c->id, status);
    }
}

static void go_open(sp_request *req, void *data)
{
    change *c = data;
    sp_err err =
        report_open(sp_request_core(req), c->incident, c->pack, sp_request_by(req), &c->id);
    finish(req, c, err, 201);
}

static void post_report(sp_request *req)
{
    sp_core *core = sp_request_core(req);
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    change *c = admit(req, true) ? new_change(req) : NULL;
    char about[SP_NAME_MAX_BYTES + 1];
    sp_policy_law law;
    if (c == NULL) {
        return;
    }
    const sp_field fields[] = {SP_FIELD_U64("incident", &c->incident, INT64_MAX),
                               SP_FIELD_TEXT_OPT("pack", &c->pack, 1, SP_NAME_MAX_BYTES)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    if (c->pack.len == 0 && sp_policy_set_law_count(set) > 0) {
        sp_policy_set_law_at(set, 0, &law);
        c->pack = law.name;
    }
    if (sp_failed(sp_policy_set_law(set, c->pack, &law))) {
        sp_answer_invalid(req, "pack", "the name of a LawPack");
    } else if (!sp_incident_is_there(core, c->incident)) {
        sp_answer_invalid(req, "incident", "the number of an incident");
    } else if (is_about_asker(req, sp_incident_about(core, c->incident, about))) {
        answer_about_asker(req);
    } else {
        c->text = law.name;
        record(req, "report open", c, go_open, c);
    }
}

static sp_err put_fact(sp_core *core, const change *c)
{
    auto_report report_row row = {.id = 0};
    auto_buf sp_buf name = sp_buf_make(64);
    TRY(report_row_get(core->store, c->id, &row));
    sp_buf_span(&name, c->name);
    sp_buf_byte(&name, 0);
    const char *word = (const char *)sp_buf_borrow(&name).ptr;
    if (c->unknown) {
        json_object_del(row.facts, word);
    } else {
        json_object_set_new(row.facts, word, json_integer((json_int_t)c->value));
    }
    return report_row_put(core->store, &row);
}

static void go_fact(sp_request *req, void *data)
{
    finish(req, data, put_fact(sp_request_core(req), data), 200);
}

static bool fact_fits(sp_request *req, const report *r, const change *c, sp_fact fact)
{
    if (fact == SP_FACT_JUDGEMENT && c->value > r->law.pack.levels_count) {
        sp_answer_invalid(req, "value", "the grade of a level of its law pack, or 0 for none");
        return false;
    }
    if (fact >= SP_FACT_IMPORTANT_DATA && fact != SP_FACT_JUDGEMENT && c->value > 1) {
        sp_answer_invalid(req, "value", "1 for yes or 0 for no");
        return false;
    }
    return true;
}

static void post_fact(sp_request *req)
{
    report r;
    sp_fact fact = SP_FACT_COUNT;
    change *c = change_of(req, &r);
    if (c == NULL) {
        return;
    }
    const sp_field fields[] = {SP_FIELD_TEXT("fact", &c->name, 1, 64),
                               SP_FIELD_U64_OPT("value", &c->value, SP_LAW_FACT_MAX),
                               SP_FIELD_BOOL_OPT("unknown", &c->unknown),
                               SP_FIELD_TEXT_OPT("why", &c->text, 0, REPORT_TEXT_MAX_BYTES)};
    bool good = sp_request_fields(req, fields, SP_COUNT(fields));
    if (good && !sp_fact_of(c->name, &fact)) {
        sp_answer_invalid(req, "fact", "one of the facts of docs/REPORTS.md, as persons");
        good = false;
    }
    if (good && fact_fits(req, &r, c, fact)) {
        record(req, "report fact", c, go_fact, c);
    }
    report_done(&r.row);
}

static sp_err put_item(sp_core *core, const change *c)
{
    auto_report report_row row = {.id = 0};
    auto_buf sp_buf name = sp_buf_make(SP_NAME_MAX_BYTES + 1);
    TRY(report_row_get(core->store, c->id, &row));
    sp_buf_span(&name, c->name);
    sp_buf_byte(&name, 0);
    json_object_set_new(row.items, (const char *)sp_buf_borrow(&name).ptr,
                        json_stringn((const char *)c->text.ptr, c->text.len));
    return report_row_put(core->store, &row);
}

static void go_item(sp_request *req, void *data)
{
    finish(req, data, put_item(sp_request_core(req), data), 200);
}

static void post_item(sp_request *req)
{
    report r;
    bool known = false;
    change *c = change_of(req, &r);
    if (c == NULL) {
        return;
    }
    const sp_field fields[] = {SP_FIELD_TEXT("item", &c->name, 1, SP_NAME_MAX_BYTES),
                               SP_FIELD_TEXT("text", &c->text, 0, REPORT_TEXT_MAX_BYTES)};
    if (sp_request_fields(req, fields, SP_COUNT(fields))) {
        for (size_t i = 0; i < r.law.items_count; i++) {
            known = known || sp_span_eq(r.law.items[i].name, c->name);
        }
        if (known) {
            record(req, "report item", c, go_item, c);
        } else {
            sp_answer_invalid(req, "item", "the name of an item of its law pack");
        }
    }
    report_done(&r.row);
}

static sp_err put_discovered(sp_core *core, const change *c)
{
    auto_report report_row row = {.id = 0};
    TRY(report_row_get(core->store, c->id, &row));
    row.discovered_unix_s = c->value;
    return report_row_discovered(core->store, &row, c->may_be_later);
}

static void go_discovered(sp_request *req, void *data)
{
    finish(req, data, put_discovered(sp_request_core(req), data), 200);
}

static void post_discovered(sp_request *req)
{
    report r;
    change *c = change_of(req, &r);
    if (c == NULL) {
        return;
    }
    const sp_field fields[] = {SP_FIELD_U64("at_unix_s", &c->value, INT64_MAX),
                               SP_FIELD_TEXT("why", &c->text, 1, REPORT_TEXT_MAX_BYTES)};
    c->may_be_later = sp_request_is_local(req);
    if (sp_request_fields(req, fields, SP_COUNT(fields))) {
        if (c->value == 0 || c->value > report_now(sp_request_core(req))) {
            sp_answer_invalid(req, "at_unix_s", "a time that has been, in seconds since 1970");
        } else if (!c->may_be_later && c->value > r.row.discovered_unix_s) {
            sp_answer_invalid(req, "at_unix_s",
                              "a time before the one it has: only root gives its clocks more time");
        } else {
            record(req, "report discovered", c, go_discovered, c);
        }
    }
    report_done(&r.row);
}

/* ---- signing ---- */

static void go_sign(sp_request *req, void *data)
{
    const change *c = data;
    sp_err err = report_paper_add(sp_request_core(req)->store, c->id, &c->paper);
    const sp_incident_note note = {.kind = "report",
                                   .by_name = sp_request_by(req),
                                   .text = SP_SPAN_LIT("a report to the authorities is signed")};
    if (!sp_failed(err)) {
        sp_incident_add(sp_request_core(req), c->incident, &note);
    }
    finish(req, c, err, 200);
}

/* Names of the items that a first report may not go without, and has not. */
static void put_missing(sp_core *core, const report *r, bool closing, sp_buf *out)
{
    for (size_t i = 0; i < r->law.items_count; i++) {
        if ((closing || !r->law.items[i].later) && report_is_missing(core, r, i)) {
            sp_buf_fmt(out, "%s%.*s", out->len == 0 ? "" : ", ", SP_SPAN_ARG(r->law.items[i].name));
        }
    }
}

static sp_err write_paper(sp_request *req, const report *r, const char *phase, change *c)
{
    sp_core *core = sp_request_core(req);
    auto_buf sp_buf en = sp_buf_make(REPORT_DRAFT_MAX_BYTES);
    auto_buf sp_buf zh = sp_buf_make(REPORT_DRAFT_MAX_BYTES);
    report_draft(core, r, SP_LANGUAGE_EN, phase, &en);
    report_draft(core, r, SP_LANGUAGE_ZH, phase, &zh);
    TRY(sp_arena_copy(sp_request_arena(req), sp_buf_borrow(&en), &c->paper.en));
    TRY(sp_arena_copy(sp_request_arena(req), sp_buf_borrow(&zh), &c->paper.zh));
    const sp_span both[] = {c->paper.en, SP_SPAN_LIT("\n"), c->paper.zh};
    c->paper.hash = sp_sha256_parts(both, SP_COUNT(both));
    c->paper.number = report_papers_count(core->store, c->id) + 1;
    c->paper.signed_unix_s = sp_now_unix_us() / 1000000;
    c->paper.by = sp_request_by(req);
    c->paper.phase = c->name;
    return sp_ok();
}

static const char *phase_of(sp_span word)
{
    static const char *const phases[] = {"first", "further", "closing"};
    for (size_t i = 0; i < SP_COUNT(phases); i++) {
        if (sp_span_eq(word, sp_span_cstr(phases[i]))) {
            return phases[i];
        }
    }
    return NULL;
}

/* What he has read is what it says now. */
static bool is_as_read(sp_core *core, const report *r, sp_span sha256)
{
    auto_buf sp_buf en = sp_buf_make(REPORT_DRAFT_MAX_BYTES);
    auto_buf sp_buf zh = sp_buf_make(REPORT_DRAFT_MAX_BYTES);
    auto_buf sp_buf hex = sp_buf_make(128);
    sp_hash hash = write_draft(core, r, &en, &zh);
    sp_buf_hex(&hex, sp_hash_borrow(&hash));
    return sp_span_eq(sp_buf_borrow(&hex), sha256);
}

static void sign(sp_request *req, const report *r, change *c, bool incomplete)
{
    auto_buf sp_buf missing = sp_buf_make(2048);
    const char *phase = phase_of(c->name);
    if (phase == NULL) {
        sp_answer_invalid(req, "phase", "first, further or closing");
        return;
    }
    put_missing(sp_request_core(req), r, strcmp(phase, "closing") == 0, &missing);
    if (missing.len > 0 && !incomplete) {
        sp_answer_problem(req, 409, "incomplete",
                          "These items are missing: %.*s. Fill them in, or sign with "
                          "\"incomplete\": true; they stand as missing in the report then.",
                          SP_SPAN_ARG(sp_buf_borrow(&missing)));
        return;
    }
    if (!is_as_read(sp_request_core(req), r, c->text)) {
        sp_answer_problem(
            req, 409, "changed",
            "The draft is not what you have read any more. Read it again, then sign.");
        return;
    }
    sp_err err = write_paper(req, r, phase, c);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        record(req, "report signed", c, go_sign, c);
    }
}

static void post_sign(sp_request *req)
{
    report r;
    bool incomplete = false;
    change *c = change_of(req, &r);
    if (c == NULL) {
        return;
    }
    const sp_field fields[] = {SP_FIELD_TEXT("phase", &c->name, 1, PHASE_MAX_BYTES),
                               SP_FIELD_TEXT("draft_sha256", &c->text, 64, 64),
                               SP_FIELD_BOOL_OPT("incomplete", &incomplete)};
    if (sp_request_fields(req, fields, SP_COUNT(fields))) {
        sign(req, &r, c, incomplete);
    }
    report_done(&r.row);
}

/* ---- a person has filed it ---- */

static void go_filed(sp_request *req, void *data)
{
    const change *c = data;
    sp_err err = report_file(sp_request_core(req)->store, c->id, c->name,
                             report_now(sp_request_core(req)), sp_request_by(req), c->text);
    finish(req, c, err, 200);
}

static void post_filed(sp_request *req)
{
    report r;
    bool known = false;
    change *c = change_of(req, &r);
    if (c == NULL) {
        return;
    }
    const sp_field fields[] = {SP_FIELD_TEXT("duty", &c->name, 1, SP_NAME_MAX_BYTES),
                               SP_FIELD_TEXT("receipt", &c->text, 1, REPORT_TEXT_MAX_BYTES)};
    if (sp_request_fields(req, fields, SP_COUNT(fields))) {
        for (size_t i = 0; i < r.law.pack.duties_count; i++) {
            known = known || sp_span_eq(r.law.pack.duties[i].name, c->name);
        }
        if (known) {
            record(req, "report filed", c, go_filed, c);
        } else {
            sp_answer_invalid(req, "duty", "the name of a duty of its law pack");
        }
    }
    report_done(&r.row);
}

/* ---- the clock had jumped ahead ---- */

static void go_clock(sp_request *req, void *data)
{
    sp_core *core = sp_request_core(req);
    sp_err err = report_clock_reset(core->store, sp_now_unix_us() / 1000000);
    (void)data;
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        sp_answer_json(req, 200, json_pack("{s:o}", "now", sp_json_time(report_now(core))));
    }
}

/* Root alone: it gives every clock more time. */
static void post_clock(sp_request *req)
{
    auto_buf sp_buf detail = sp_buf_make(SP_EVENT_DETAIL_MAX_BYTES);
    sp_span why = SP_SPAN_EMPTY;
    const sp_field fields[] = {SP_FIELD_TEXT("why", &why, 1, REPORT_TEXT_MAX_BYTES)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    sp_buf_fmt(&detail, "{\"did\":\"report clock reset\",\"latest_unix_s\":%llu,\"what\":",
               (unsigned long long)report_now(sp_request_core(req)));
    sp_buf_json(&detail, sp_text_cut(why, 2000));
    sp_buf_byte(&detail, '}');
    sp_event event = sp_request_event(req, SP_EVENT_INCIDENT);
    event.method = SP_SPAN_LIT("report clock reset");
    event.severity = SP_SEVERITY_HIGH;
    event.object = SP_SPAN_LIT("reports");
    event.detail = sp_buf_borrow(&detail);
    sp_request_record(req, &event, go_clock, NULL);
}

#define ID "/api/v1/reports/{id}"

sp_err report_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/reports", SP_WHO_PERSON | SP_WHO_LOCAL, get_reports, 0},
        {"POST", "/api/v1/reports", SP_WHO_PERSON | SP_WHO_LOCAL, post_report, 0},
        {"POST", "/api/v1/reports/clock", SP_WHO_LOCAL, post_clock, 0},
        {"GET", ID, SP_WHO_PERSON | SP_WHO_LOCAL, get_report, 0},
        {"POST", ID "/facts", SP_WHO_PERSON | SP_WHO_LOCAL, post_fact, 0},
        {"POST", ID "/items", SP_WHO_PERSON | SP_WHO_LOCAL, post_item, 0},
        {"POST", ID "/discovered", SP_WHO_PERSON | SP_WHO_LOCAL, post_discovered, 0},
        {"POST", ID "/sign", SP_WHO_PERSON | SP_WHO_FRESH, post_sign, 0}, /* a person, not root */
        {"POST", ID "/filed", SP_WHO_PERSON | SP_WHO_LOCAL, post_filed, 0},
        {"GET", ID "/papers/{number}", SP_WHO_PERSON | SP_WHO_LOCAL, get_paper, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

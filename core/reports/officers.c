/* SPDX-License-Identifier: Apache-2.0
 * The officers register: who is responsible, and which places nobody holds.
 * OWNS rows of the store. PROCESS core. TRUST contacts are the documents' words.
 * SPEC docs/REPORTS.md "Officers", docs/api/openapi.yaml "/officers".
 */
#include "core/documents/documents.h"
#include "core/http/json.h"
#include "core/identity/people.h"
#include "core/ledger_client.h"
#include "core/notices/notices.h"
#include "core/reports/inside.h"
#include "infra/proc/clock.h"

enum { DAY_S = 86400, AGAIN_S = 7 * DAY_S };

static bool is_active(const sp_core *core, sp_span name)
{
    sp_person person;
    return name.len > 0 && !sp_failed(sp_people_find(core->store, name, &person)) &&
           person.state == SP_PERSON_ACTIVE;
}

/* "officer:leader". */
static void gap_name(sp_span name, sp_buf *out)
{
    sp_buf_text(out, "officer:");
    sp_buf_span(out, name);
}

static uint64_t vacant_since(sp_core *core, sp_span name)
{
    auto_buf sp_buf gap = sp_buf_make(SP_NAME_MAX_BYTES + 16);
    gap_name(name, &gap);
    return sp_gap_since(core, sp_buf_borrow(&gap));
}

static void tell(sp_core *core, sp_span name, const sp_span place[SP_LANGUAGE_COUNT], bool vacant)
{
    const sp_event event = {.kind = SP_EVENT_ADMIN,
                            .when_unix_us = sp_now_unix_us(),
                            .verdict = SP_VERDICT_ALLOW,
                            .severity = vacant ? SP_SEVERITY_HIGH : SP_SEVERITY_INFO,
                            .method = vacant ? SP_SPAN_LIT("officer vacant")
                                             : SP_SPAN_LIT("officer filled"),
                            .object = name};
    sp_ledger_client_tell(core->ledger, &event);
    if (vacant) {
        const sp_notice_pair values[] = {{SP_SPAN_LIT("place"), place[SP_LANGUAGE_EN]},
                                         {SP_SPAN_LIT("place_zh"), place[SP_LANGUAGE_ZH]}};
        const sp_notice_ask ask = {.notice = SP_SPAN_LIT("officer-vacant"),
                                   .values = values,
                                   .values_count = SP_COUNT(values),
                                   .by = SP_SPAN_LIT("officers register")};
        sp_notices_tell(core, &ask);
    }
}

static void look_at(sp_core *core, sp_span name, const sp_span place[SP_LANGUAGE_COUNT],
                    bool vacant, uint64_t grace_s)
{
    auto_buf sp_buf room = sp_buf_make(SP_NAME_MAX_BYTES + 16);
    gap_name(name, &room);
    const sp_gap gap = {
        .name = sp_buf_borrow(&room), .is_open = vacant, .grace_s = grace_s, .again_s = AGAIN_S};
    sp_gap_news news = sp_gap_look(core, &gap);
    if (news != SP_GAP_SAME) {
        tell(core, name, place, news == SP_GAP_TELL);
    }
}

static bool is_in_documents(sp_core *core, sp_span name)
{
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    for (size_t i = 0; i < sp_policy_set_officer_count(set); i++) {
        sp_policy_officer o;
        sp_policy_set_officer_at(set, i, &o);
        if (sp_span_eq(o.name, name)) {
            return true;
        }
    }
    return sp_span_eq(name, SP_SPAN_LIT("*"));
}

void officers_look(sp_core *core)
{
    const sp_span all[SP_LANGUAGE_COUNT] = {
        [SP_LANGUAGE_EN] = SP_SPAN_LIT("Every responsible person (no Officer is named at all)"),
        [SP_LANGUAGE_ZH] = SP_SPAN_LIT("所有责任人（尚未指定任何 Officer）")};
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    size_t count = sp_policy_set_officer_count(set);
    look_at(core, SP_SPAN_LIT("*"), all, count == 0, DAY_S); /* an office that is being set up */
    for (size_t i = 0; i < count; i++) {
        sp_policy_officer o;
        sp_policy_set_officer_at(set, i, &o);
        look_at(core, o.name, o.title, !is_active(core, o.person), 0);
    }
    sp_gaps_close(core, "officer", is_in_documents);
}

size_t sp_officers_vacant(sp_core *core)
{
    size_t count = 0;
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    for (size_t i = 0; i < sp_policy_set_officer_count(set); i++) {
        sp_policy_officer o;
        sp_policy_set_officer_at(set, i, &o);
        count += is_active(core, o.person) ? 0 : 1;
    }
    return count;
}

bool officers_may_report(const sp_core *core, sp_span person)
{
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    for (size_t i = 0; i < sp_policy_set_officer_count(set); i++) {
        sp_policy_officer o;
        sp_policy_set_officer_at(set, i, &o);
        bool reports =
            o.duty == SP_OFFICER_SECURITY_LEADER || o.duty == SP_OFFICER_INCIDENT_REPORTING;
        bool is = sp_span_eq(o.person, person);
        for (size_t d = 0; d < o.deputies_count; d++) {
            is = is || sp_span_eq(o.deputies[d], person);
        }
        if (reports && is && person.len > 0) {
            return true;
        }
    }
    return false;
}

void officers_text(sp_core *core, sp_language language, sp_buf *out)
{
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    for (size_t i = 0; i < sp_policy_set_officer_count(set); i++) {
        sp_policy_officer o;
        sp_person person = {.display = ""};
        sp_policy_set_officer_at(set, i, &o);
        sp_buf_span(out, o.title[language]);
        if (is_active(core, o.person) &&
            !sp_failed(sp_people_find(core->store, o.person, &person))) {
            sp_buf_fmt(out, ": %s", person.display[0] != '\0' ? person.display : person.name);
        } else {
            sp_buf_text(out, language == SP_LANGUAGE_ZH ? "：空缺" : ": vacant");
        }
        if (o.contact.len > 0) {
            sp_buf_fmt(out, ", %.*s", SP_SPAN_ARG(o.contact));
        }
        sp_buf_byte(out, '\n');
    }
}

/* ---- the API ---- */

static json_t *officer_json(sp_core *core, const sp_policy_officer *o)
{
    bool vacant = !is_active(core, o->person);
    json_t *deputies = json_array();
    for (size_t i = 0; i < o->deputies_count; i++) {
        json_array_append_new(deputies,
                              json_pack("{s:o,s:b}", "person", sp_json_span_or_null(o->deputies[i]),
                                        "active", (int)is_active(core, o->deputies[i])));
    }
    return json_pack("{s:o,s:s,s:{s:o,s:o},s:o,s:o,s:o,s:o,s:b,s:o}", "name",
                     sp_json_span_or_null(o->name), "duty", SP_OFFICER_WORDS[o->duty], "title",
                     "en", sp_json_span_or_null(o->title[0]), "zh",
                     sp_json_span_or_null(o->title[1]), "person", sp_json_span_or_null(o->person),
                     "deputies", deputies, "contact", sp_json_span_or_null(o->contact), "basis",
                     sp_json_span_or_null(o->basis), "vacant", (int)vacant, "vacant_since",
                     sp_json_time(vacant ? vacant_since(core, o->name) : 0));
}

static void get_officers(sp_request *req)
{
    sp_core *core = sp_request_core(req);
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    json_t *items = json_array();
    for (size_t i = 0; i < sp_policy_set_officer_count(set); i++) {
        sp_policy_officer o;
        sp_policy_set_officer_at(set, i, &o);
        json_array_append_new(items, officer_json(core, &o));
    }
    sp_answer_items(req, items);
}

sp_err officers_start(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/officers", SP_WHO_PERSON | SP_WHO_LOCAL, get_officers, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

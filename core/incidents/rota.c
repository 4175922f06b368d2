/* SPDX-License-Identifier: Apache-2.0
 * Whether somebody of the Rota could come now, for each role: told before an incident finds out.
 * OWNS nothing. PROCESS core. TRUST none. SPEC docs/INCIDENTS.md "Incidents".
 */
#include "core/documents/documents.h"
#include "core/identity/people.h"
#include "core/incidents/inside.h"
#include "core/ledger_client.h"
#include "core/notices/notices.h"
#include "core/reports/reports.h"
#include "infra/proc/clock.h"

enum { DAY_S = 86400, NAMES_BYTES = 300 };

/* Those who stand there, as the notice says them. */
static void put_names(const sp_policy_set *set, sp_rota_role role, sp_buf *out)
{
    for (size_t place = 0;; place++) {
        sp_span name = sp_policy_set_rota(set, role, place);
        if (name.len == 0 || out->len + name.len + 8 > NAMES_BYTES) {
            sp_buf_text(out, name.len > 0 ? ", …" : "");
            return;
        }
        sp_buf_text(out, place > 0 ? ", " : "");
        sp_buf_span(out, name);
    }
}

static void tell_event(sp_core *core, sp_span role, bool is_gap)
{
    const sp_event event = {.kind = SP_EVENT_ADMIN,
                            .when_unix_us = sp_now_unix_us(),
                            .verdict = SP_VERDICT_ALLOW,
                            .severity = is_gap ? SP_SEVERITY_HIGH : SP_SEVERITY_INFO,
                            .method = is_gap ? SP_SPAN_LIT("rota gap") : SP_SPAN_LIT("rota filled"),
                            .object = role};
    sp_ledger_client_tell(core->ledger, &event);
}

static void tell(sp_core *core, sp_span role, sp_span role_zh, sp_span names)
{
    tell_event(core, role, true);
    const sp_notice_pair values[] = {
        {SP_SPAN_LIT("role"), role},
        {SP_SPAN_LIT("role_zh"), role_zh},
        {SP_SPAN_LIT("names"), names.len > 0 ? names : SP_SPAN_LIT("-")}};
    const sp_notice_ask ask = {.notice = SP_SPAN_LIT("rota-gap"),
                               .values = values,
                               .values_count = SP_COUNT(values),
                               .by = SP_SPAN_LIT("rota")};
    sp_notices_tell(core, &ask);
}

static void look_at(sp_core *core, const sp_gap *gap, sp_span role, sp_span role_zh, sp_span names)
{
    switch (sp_gap_look(core, gap)) {
    case SP_GAP_TELL:
        tell(core, role, role_zh, names);
        return;
    case SP_GAP_OVER:
        tell_event(core, role, false);
        return;
    case SP_GAP_SAME:
        return;
    }
}

void sp_rota_look(sp_core *core)
{
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    size_t people[SP_PERSON_STATE_COUNT] = {0};
    if (sp_failed(sp_people_count(core->store, people)) || people[SP_PERSON_ACTIVE] == 0) {
        return; /* nobody could come, nor be told */
    }
    bool is_written = sp_policy_set_rota(set, SP_ROTA_COMMANDER, 0).len > 0;
    const sp_gap none = {.name = SP_SPAN_LIT("rota:any"),
                         .is_open = !is_written,
                         .grace_s = DAY_S, /* an office that is being set up */
                         .again_s = (uint64_t)7 * DAY_S};
    look_at(core, &none, SP_SPAN_LIT("any role (there is no Rota)"),
            SP_SPAN_LIT("任何角色（没有 Rota 文档）"), SP_SPAN_EMPTY);
    for (sp_rota_role role = 0; role < SP_ROTA_COUNT; role++) {
        char room[SP_NAME_MAX_BYTES + 1];
        auto_buf sp_buf name = sp_buf_make(64);
        auto_buf sp_buf names = sp_buf_make(2 * NAMES_BYTES);
        sp_buf_fmt(&name, "rota:%s", sp_rota_role_word(role));
        put_names(set, role, &names);
        const sp_gap gap = {.name = sp_buf_borrow(&name),
                            .is_open =
                                is_written &&
                                sp_rota_first_who_can(core, role, SP_SPAN_EMPTY, room).len == 0,
                            .again_s = DAY_S};
        look_at(core, &gap, sp_span_cstr(sp_rota_role_word(role)),
                sp_span_cstr(sp_rota_role_zh(role)), sp_buf_borrow(&names));
    }
}

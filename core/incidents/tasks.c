/* SPDX-License-Identifier: Apache-2.0
 * Tasks whose time is over: told once, to whose they are and to who leads the incident.
 * OWNS nothing. PROCESS core. TRUST texts are other people's: values of notices, so text.
 * SPEC docs/INCIDENTS.md "Incidents".
 */
#include "core/clock.h"
#include "core/incidents/inside.h"
#include "core/ledger_client.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"

enum { ARENA_BYTES = 256 * 1024, DETAIL_BYTES = 8 * 1024, TOLD_A_LOOK = 16 };

/* On the timeline, and not told again. */
static sp_err keep_told(sp_store *store, const sp_task_late *task, sp_span said, uint64_t now_us)
{
    const sp_incident_note note = {
        .kind = "overdue", .by_name = SP_SPAN_LIT("clock"), .text = said};
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    TRY(sp_incident_task_told(store, task->incident, task->number, now_us / 1000000));
    TRY(sp_incident_note_add(store, task->incident, now_us, &note));
    return sp_txn_commit(&txn);
}

static void page(sp_core *core, const sp_incident *incident, const sp_task_late *task)
{
    sp_span leads = incident->holders[SP_ROTA_COMMANDER];
    if (task->whose.len > 0) {
        sp_incident_page_overdue(core, incident, task, task->whose);
    }
    if (task->whose.len == 0 || !sp_span_eq(leads, task->whose)) {
        sp_incident_page_overdue(core, incident, task, leads);
    }
}

/* That it was told is kept after it was: a restart in between tells twice, which is better than
 * never. */
static sp_err tell(sp_core *core, sp_arena *arena, const sp_task_late *task)
{
    sp_incident incident;
    auto_buf sp_buf room = sp_buf_make(DETAIL_BYTES);
    auto_buf sp_buf said = sp_buf_make(SP_INCIDENT_NOTE_BYTES);
    TRY(sp_incident_row_get(core->store, arena, task->incident, &incident));
    sp_buf_span(&said, task->text);
    sp_buf_text(&said, task->whose.len > 0 ? " (" : "");
    sp_buf_span(&said, task->whose);
    sp_buf_text(&said, task->whose.len > 0 ? ")" : "");
    TRY(sp_buf_error(&said));
    sp_event event = sp_incident_event(&incident, "task overdue", sp_buf_borrow(&said), &room);
    event.person_name = SP_SPAN_LIT("clock");
    event.severity = incident.drill ? (uint8_t)SP_SEVERITY_INFO : event.severity;
    sp_ledger_client_tell(core->ledger, &event);
    page(core, &incident, task);
    TRY(keep_told(core->store, task, sp_buf_borrow(&said), sp_now_unix_us()));
    sp_incident_changed(core);
    return sp_ok();
}

void sp_tasks_look(sp_core *core)
{
    sp_task_late late[TOLD_A_LOOK];
    size_t count = 0;
    auto_arena sp_arena arena = sp_arena_make(ARENA_BYTES);
    sp_err err = sp_incident_tasks_late(core->store, &arena, sp_now_unix_us() / 1000000, late,
                                        TOLD_A_LOOK, &count);
    for (size_t i = 0; !sp_failed(err) && i < count; i++) {
        err = tell(core, &arena, &late[i]);
    }
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "tasks whose time is over are told later: %s", sp_code_word(err.code));
    }
}

sp_err sp_incidents_clock_rows(sp_core *core, int64_t by_s)
{
    auto_query sp_query q = sp_query_of(
        core->store,
        "UPDATE incident_task SET due = " SP_CLOCK_MOVED("due", "$1") ", created = " SP_CLOCK_MOVED(
            "created", "$1") " WHERE done = 0 AND told = 0");
    sp_bind_bits(&q, (uint64_t)by_s);
    return sp_query_finish(&q);
}

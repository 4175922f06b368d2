/* SPDX-License-Identifier: Apache-2.0
 * What a plan's step `collect_evidence` does: the sessions of whom or what it is about become part
 * of the timeline, and so of the evidence pack (evidence.c), which takes all that is on the ledger
 * about them. OWNS nothing. PROCESS core. TRUST names are other people's. SPEC docs/INCIDENTS.md.
 */
#include "core/identity/people.h"
#include "core/incidents/inside.h"
#include "core/sessions/sessions.h"
#include "infra/proc/clock.h"

enum { SESSIONS_MAX = 32 }; /* the pack takes 64 */

typedef struct {
    uint64_t device; /* 0 = any */
    uint64_t ids[SESSIONS_MAX];
    size_t count;
} gathering;

static void gather(gathering *g, uint64_t session)
{
    for (size_t i = 0; i < g->count; i++) {
        if (g->ids[i] == session) {
            return;
        }
    }
    if (session != 0 && g->count < SESSIONS_MAX) {
        g->ids[g->count++] = session;
    }
}

static void gather_view(void *self, const sp_session_view *view)
{
    gathering *g = self;
    if (g->device == 0 || g->device == view->device) {
        gather(g, view->id);
    }
}

static sp_err keep(sp_core *core, uint64_t id, const gathering *g, sp_span by_name)
{
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(txn.err);
    for (size_t i = 0; i < g->count; i++) {
        const sp_incident_note note = {.kind = "evidence",
                                       .by_name = by_name,
                                       .text = SP_SPAN_LIT("a session of whom it is about"),
                                       .session = g->ids[i]};
        TRY(sp_incident_note_add(core->store, id, sp_now_unix_us(), &note));
    }
    return sp_txn_commit(&txn);
}

sp_err sp_incident_collect(sp_core *core, uint64_t id, const sp_incident_subject *about,
                           sp_span by_name, sp_incident_collected *ret_collected)
{
    gathering g = {.count = 0};
    sp_person person;
    uint64_t session = 0;
    if (!sp_failed(sp_session_id_of(about->session, &session))) {
        gather(&g, session);
    }
    if (about->person.len > 0 && !sp_failed(sp_people_find(core->store, about->person, &person))) {
        sp_sessions_each(core, person.id, gather_view, &g);
    }
    if (!sp_failed(sp_span_to_u64(about->device, INT64_MAX, &g.device)) && g.device != 0) {
        sp_sessions_each(core, 0, gather_view, &g);
    }
    TRY(keep(core, id, &g, by_name));
    ret_collected->sessions = g.count;
    return sp_incident_entries_count(core->store, id, &ret_collected->entries);
}

/* SPDX-License-Identifier: Apache-2.0
 * What has to be reported of an incident, to whom, and until when; and who is responsible.
 *
 * Story: a grave incident, or a person, opens a report: an incident under a law pack. From its
 * discovery on the clocks of all duties run that apply, or that might as long as nobody has said
 * otherwise; before they run out the security team is told, and the ledger. People tell facts and
 * write what only they know; the draft, in English and Chinese, shows each item that it must have,
 * filled in or marked as missing. A person signs it (with a step-up): the hash of exactly these
 * texts goes on the ledger. Nothing is ever filed by the program: a person files it, and says so.
 *
 * Times are of the wall clock, but never earlier than the latest this store has seen: a clock that
 * is set back gives nobody more time.
 *
 * OWNS rows of the store, a timer. PROCESS core. TRUST requests are hostile. SPEC docs/REPORTS.md,
 * docs/api/openapi.yaml "/reports".
 */
#ifndef SP_CORE_REPORTS_REPORTS_H
#define SP_CORE_REPORTS_REPORTS_H

#include "core/core.h"
#include "lib/base/arena.h"

SP_MUST sp_err sp_reports_start(sp_core *core, sp_reports **ret_reports);
void sp_reports_stop(sp_reports *reports);
/* What ought to be there and is not. It is kept, told when it has lasted `grace_s`, told again each
 * `again_s` while it lasts, and when it is over. */
typedef struct {
    sp_span name; /* "officer:leader", "rota:commander", "drill:data-leak" */
    bool is_open;
    uint64_t grace_s;
    uint64_t again_s;
} sp_gap;
typedef enum {
    SP_GAP_SAME,
    SP_GAP_TELL, /* now: it has begun, or is to be told again */
    SP_GAP_OVER  /* of one that was told */
} sp_gap_news;
sp_gap_news sp_gap_look(sp_core *core, const sp_gap *gap);
/* Gaps of that kind whose name (after "officer:") no document has any more are over: nobody looks
 * at them again. is_named says which stay. */
void sp_gaps_close(sp_core *core, const char *kind, bool (*is_named)(sp_core *core, sp_span name));
/* 0 = it is not open. */
uint64_t sp_gap_since(sp_core *core, sp_span name);
/* Those of a kind ("officer") that were told and last. */
size_t sp_gaps_count(sp_core *core, sp_span kind);

/* LawPacks of reports whose incident is open or was closed in the last 60 days, in the arena. */
SP_MUST sp_err sp_reports_packs(sp_core *core, sp_arena *arena, sp_span **ret_packs,
                                size_t *ret_count);

/* Places in the officers register that nobody holds. */
size_t sp_officers_vacant(sp_core *core);
/* Duties that apply or might, and are not done: all, and those whose time is over. */
void sp_reports_due(sp_core *core, uint64_t *ret_due, uint64_t *ret_over);

#endif

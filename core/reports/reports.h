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

SP_MUST sp_err sp_reports_start(sp_core *core, sp_reports **ret_reports);
void sp_reports_stop(sp_reports *reports);
/* Places in the officers register that nobody holds. */
size_t sp_officers_vacant(sp_core *core);
/* Duties that apply or might, and are not done: all, and those whose time is over. */
void sp_reports_due(sp_core *core, uint64_t *ret_due, uint64_t *ret_over);

#endif

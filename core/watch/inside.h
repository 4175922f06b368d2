/* SPDX-License-Identifier: Apache-2.0
 * What the files of core/watch share.
 * OWNS nothing. PROCESS core. TRUST see watch.h. SPEC core/watch/README.md.
 */
#ifndef SP_CORE_WATCH_INSIDE_H
#define SP_CORE_WATCH_INSIDE_H

#include "core/watch/watch.h"

struct taking;

struct sp_watcher {
    sp_core *core;
    sp_peer *peer; /* the watch; NULL: not here */
    struct taking *taking;
    bool was_degraded; /* as it was told last */
    bool was_forgetful;
    sp_watch_status status;
    uint64_t status_us; /* steady, when it was told; 0 = never */
    char trouble[SP_WATCH_TEXT_MAX_BYTES + 1];
};

/* rows.c */
SP_MUST sp_err sp_watcher_rows_start(sp_store *store);
/* Makes the row unless it is there (*ret_again); *ret_written: its event is known to be on the
 * ledger. */
SP_MUST sp_err sp_watcher_alarm_keep(sp_store *store, const sp_alarm *alarm, bool *ret_again,
                                     bool *ret_written);
SP_MUST sp_err sp_watcher_alarm_written(sp_store *store, const sp_hash *id);
/* Pages that show alarms fetch them again. */
void sp_watcher_alarms_changed(sp_core *core);
SP_MUST sp_err sp_watcher_routes(sp_core *core);

#endif

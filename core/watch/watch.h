/* SPDX-License-Identifier: Apache-2.0
 * Core's side of the watch: it gives out the program of detections, takes alarms, and knows how far
 * the watch is.
 * OWNS sp_watcher. PROCESS core. TRUST the watch reads what hostile people wrote: its bodies are
 * bounded. SPEC lib/proto/watch_msg.h.
 */
#ifndef SP_CORE_WATCH_WATCH_H
#define SP_CORE_WATCH_WATCH_H

#include "core/core.h"
#include "infra/ipc/server.h"
#include "lib/proto/watch_msg.h"

SP_MUST sp_err sp_watcher_start(sp_core *core, sp_watcher **ret_watch);
void sp_watcher_stop(sp_watcher *watch);
/* A message of the watch. An error drops it. */
SP_MUST sp_err sp_watcher_on_message(sp_core *core, sp_peer *peer, const sp_msg *msg);
void sp_watcher_gone(sp_core *core, const sp_peer *peer);
/* Documents have changed: tells the watch. */
void sp_watcher_changed(sp_core *core);
/* What the watch last said of itself; false: it does not speak (for more than ten seconds). */
bool sp_watcher_status_of(const sp_core *core, sp_watch_status *ret_status);

#endif

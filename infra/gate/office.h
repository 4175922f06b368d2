/* SPDX-License-Identifier: Apache-2.0
 * A gate worker's side of core: the snapshot, the live table, "look again", calls and pushes.
 *
 * Story: sp_office_start() connects, says HELLO and waits a moment for the first snapshot; without
 * one the worker refuses everything until it comes. When something is taken away or the policy
 * changes, on_again is called after the new snapshot is in place. A snapshot stays as long as
 * somebody holds a reference: indices belong to the snapshot they came from.
 *
 * OWNS the mappings. PROCESS gate workers. TRUST core is trusted; what it sends is checked all the
 * same. SPEC lib/proto/core_msg.h.
 */
#ifndef SP_GATE_OFFICE_H
#define SP_GATE_OFFICE_H

#include "infra/gate/link.h"
#include "infra/ipc/shm.h"
#include "lib/policy/decide.h"
#include "lib/proto/event.h"
#include "lib/proto/live.h"

typedef struct {
    unsigned refs;
    uint64_t serial; /* counts snapshots of this worker: another number, another snapshot */
    sp_shm shm;
    sp_policy policy;
} sp_gate_snapshot;
sp_gate_snapshot *sp_gate_snapshot_ref(sp_gate_snapshot *snapshot);
void sp_gate_snapshot_unref(sp_gate_snapshot *snapshot);

typedef struct sp_office sp_office;
struct sp_office {
    /* The epoch moved; fresh_policy: the snapshot is another one as well. */
    void (*on_again)(sp_office *office, bool fresh_policy);
    /* Core, perhaps another one, has answered HELLO; after on_again. May be NULL. */
    void (*on_hello)(sp_office *office);
    /* Other pushes of core; may be NULL. */
    void (*on_push)(sp_office *office, const sp_msg *msg);
    void *self;
    sp_gate_snapshot *snapshot; /* NULL = none yet */
    bool has_live;
    sp_live live;
    /* the office's own */
    sp_link link;
    sp_shm live_shm;
    uint64_t serial;
    sp_gate gate;
};

void sp_office_start(sp_office *office, sp_loop *loop, const char *core_path, sp_gate gate);
void sp_office_stop(sp_office *office);

#endif

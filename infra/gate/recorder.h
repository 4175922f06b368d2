/* SPDX-License-Identifier: Apache-2.0
 * A gate worker's side of the ledger: its event ring, and waiting until an event is on disk.
 *
 * Story: sp_recorder_put() writes an event into shared memory and costs no system call but now and
 * then a wake-up. Who must not go on before his event is on disk embeds a sp_recorder_wait and is
 * called when it is, or after three seconds, which he must take for a no.
 *
 * OWNS the ring. PROCESS gate workers. TRUST the ledger may be dead or slow: nothing blocks.
 * SPEC lib/proto/ring.h, lib/proto/ledger_msg.h.
 */
#ifndef SP_GATE_RECORDER_H
#define SP_GATE_RECORDER_H

#include "infra/gate/link.h"
#include "infra/gate/shared.h"
#include "infra/ipc/shm.h"
#include "lib/proto/event.h"
#include "lib/proto/ring.h"

typedef struct sp_recorder_wait sp_recorder_wait;
struct sp_recorder_wait {
    void (*on_end)(sp_recorder_wait *wait, bool durable);
    uint64_t seq;
    uint64_t until_us;
    sp_recorder_wait *next;
    sp_recorder_wait **back; /* NULL = does not wait */
};

typedef struct {
    /* the recorder's own */
    sp_link link;
    sp_loop *loop;
    sp_timer tick;
    sp_shm shm;
    int ring_fd;
    sp_ring ring;
    sp_gate gate;
    char name[SP_NAME_MAX_BYTES + 1];
    bool attached;
    bool detached;
    bool flushing;
    sp_recorder_wait *waiting;
} sp_recorder;

/* name: "db worker 1"; ring_bytes: a power of two. */
SP_MUST sp_err sp_recorder_start(sp_recorder *recorder, sp_loop *loop, const char *ledger_path,
                                 sp_gate gate, const char *name, size_t ring_bytes);
/* Says goodbye and waits a second for the disk. */
void sp_recorder_stop(sp_recorder *recorder);

/* Whether what must be recorded can be: room in the ring, and a ledger that lives. */
bool sp_recorder_works(const sp_recorder *recorder);
/* The ring fills faster than the ledger, which lives, empties it: who can wait should. */
bool sp_recorder_is_crowded(const sp_recorder *recorder);
/* Asks the ledger to write now. */
void sp_recorder_press(sp_recorder *recorder);
/* Writes an event; its number, 0 when there is no room (which is counted as a loss). */
uint64_t sp_recorder_put(sp_recorder *recorder, const sp_event *event);
bool sp_recorder_is_durable(const sp_recorder *recorder, uint64_t seq);
void sp_recorder_await(sp_recorder *recorder, sp_recorder_wait *wait, uint64_t seq);
/* Does not wait any more. */
void sp_recorder_forget(sp_recorder_wait *wait);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * A gate worker's side of the ledger.
 * OWNS the ring. PROCESS gate workers. TRUST the ledger may be dead. SPEC infra/gate/recorder.h.
 */
#include "infra/gate/recorder.h"

#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"
#include "lib/proto/ledger_msg.h"

#include <stddef.h>
#include <unistd.h>

enum {
    RING_HEAD_BYTES = 4096,
    FULL_PERCENT = 90,
    CROWDED_PERCENT = 40,
    LEDGER_DEAD_US = 3000000,
    WAIT_MAX_US = 3000000,
    TICK_US = 1000000,
    START_WAIT_MS = 1000,
    STOP_WAIT_MS = 1000,
};

/* ---- waiting for the disk ---- */

static void run_waiting(sp_recorder *recorder);

static void on_flushed(void *self, sp_err err, const sp_msg *msg, sp_fds *fds)
{
    sp_recorder *recorder = self;
    (void)msg;
    (void)fds;
    recorder->flushing = false;
    if (!sp_failed(err)) {
        run_waiting(recorder);
    }
}

void sp_recorder_press(sp_recorder *recorder)
{
    if (!recorder->flushing && recorder->attached) {
        recorder->flushing = sp_link_call(&recorder->link, SP_LEDGER_FLUSH, SP_SPAN_EMPTY, NULL, 0,
                                          on_flushed, recorder) != 0;
    }
}

static void ask_flush(sp_recorder *recorder)
{
    if (recorder->waiting != NULL) {
        sp_recorder_press(recorder);
    }
}

void sp_recorder_forget(sp_recorder_wait *wait)
{
    if (wait->back != NULL) {
        *wait->back = wait->next;
        if (wait->next != NULL) {
            wait->next->back = wait->back;
        }
        wait->back = NULL;
    }
}

/* Ends the first one that need not wait any more; false when there is none. What runs then may take
 * others with it, so the list is looked through from the start again. */
static bool run_one(sp_recorder *recorder, uint64_t now_us)
{
    for (sp_recorder_wait *wait = recorder->waiting; wait != NULL; wait = wait->next) {
        bool durable = sp_ring_is_durable(&recorder->ring, wait->seq);
        if (durable || now_us > wait->until_us) {
            sp_recorder_forget(wait);
            wait->on_end(wait, durable);
            return true;
        }
    }
    return false;
}

static void run_waiting(sp_recorder *recorder)
{
    uint64_t now_us = sp_now_steady_us();
    while (run_one(recorder, now_us)) {
    }
    ask_flush(recorder);
}

void sp_recorder_await(sp_recorder *recorder, sp_recorder_wait *wait, uint64_t seq)
{
    wait->seq = seq;
    wait->until_us = sp_loop_now_us(recorder->loop) + WAIT_MAX_US;
    wait->next = recorder->waiting;
    wait->back = &recorder->waiting;
    if (wait->next != NULL) {
        wait->next->back = &wait->next;
    }
    recorder->waiting = wait;
    ask_flush(recorder);
}

bool sp_recorder_is_durable(const sp_recorder *recorder, uint64_t seq)
{
    return sp_ring_is_durable(&recorder->ring, seq);
}

/* ---- the link ---- */

static void on_attached(void *self, sp_err err, const sp_msg *msg, sp_fds *fds)
{
    sp_recorder *recorder = self;
    (void)fds;
    recorder->attached = !sp_failed(err);
    if (msg != NULL && sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "the ledger refused this worker's ring (%s)", sp_code_word(err.code));
    }
    run_waiting(recorder);
}

static void on_open(sp_link *link)
{
    sp_recorder *recorder = link->self;
    auto_buf sp_buf body = sp_buf_make(256);
    sp_ledger_attach attach = {.source = sp_ring_source_id(&recorder->ring),
                               .gate = (uint8_t)recorder->gate,
                               .name = sp_span_cstr(recorder->name)};
    sp_ledger_attach_write(&attach, &body);
    (void)sp_link_call(link, SP_LEDGER_ATTACH, sp_buf_borrow(&body), &recorder->ring_fd, 1,
                       on_attached, recorder);
}

static void on_closed(sp_link *link)
{
    sp_recorder *recorder = link->self;
    recorder->attached = false;
    recorder->flushing = false;
}

static void wake_if_must(sp_recorder *recorder)
{
    if (sp_ring_must_wake(&recorder->ring)) {
        (void)sp_link_tell(&recorder->link, SP_LEDGER_WAKE, SP_SPAN_EMPTY); /* the tick repeats */
    }
}

static void on_tick(sp_timer *timer)
{
    sp_recorder *recorder = (sp_recorder *)(void *)((char *)timer - offsetof(sp_recorder, tick));
    sp_ring_beat(&recorder->ring, sp_now_steady_us());
    wake_if_must(recorder);
    run_waiting(recorder);
    SP_IGNORE(sp_timer_set(recorder->loop, timer, TICK_US)); /* its place in the heap is free */
}

static bool is_attached(const void *self)
{
    return ((const sp_recorder *)self)->attached;
}

static bool is_detached(const void *self)
{
    return ((const sp_recorder *)self)->detached;
}

sp_err sp_recorder_start(sp_recorder *recorder, sp_loop *loop, const char *ledger_path,
                         sp_gate gate, const char *name, size_t ring_bytes)
{
    recorder->loop = loop;
    recorder->gate = gate;
    recorder->ring_fd = -1;
    TRY(sp_fit(recorder->name, sizeof(recorder->name), sp_span_cstr(name)));
    TRY(sp_shm_new("sallyport-ring", RING_HEAD_BYTES + ring_bytes, &recorder->shm,
                   &recorder->ring_fd));
    TRY(sp_ring_format(recorder->shm.ptr, recorder->shm.size_bytes, sp_random_u64(),
                       &recorder->ring));
    recorder->link = (sp_link){.name = "the ledger",
                               .path = ledger_path,
                               .on_open = on_open,
                               .on_closed = on_closed,
                               .self = recorder};
    sp_link_start(&recorder->link, loop);
    sp_link_wait(&recorder->link, is_attached, recorder, START_WAIT_MS);
    sp_ring_beat(&recorder->ring, sp_now_steady_us());
    recorder->tick = (sp_timer){.on_time = on_tick};
    return sp_timer_set(loop, &recorder->tick, TICK_US);
}

static void on_detached(void *self, sp_err err, const sp_msg *msg, sp_fds *fds)
{
    (void)err;
    (void)msg;
    (void)fds;
    ((sp_recorder *)self)->detached = true;
}

void sp_recorder_stop(sp_recorder *recorder)
{
    if (recorder->attached && sp_link_call(&recorder->link, SP_LEDGER_DETACH, SP_SPAN_EMPTY, NULL,
                                           0, on_detached, recorder) != 0) {
        sp_link_wait(&recorder->link, is_detached, recorder, STOP_WAIT_MS);
    }
    sp_timer_clear(recorder->loop, &recorder->tick);
    sp_link_stop(&recorder->link);
    sp_shm_done(&recorder->shm);
    if (recorder->ring_fd >= 0) {
        close(recorder->ring_fd);
        recorder->ring_fd = -1;
    }
}

/* ---- events ---- */

static bool ledger_lives(const sp_recorder *recorder)
{
    return sp_loop_now_us(recorder->loop) <
           sp_ring_consumer_seen_us(&recorder->ring) + LEDGER_DEAD_US;
}

bool sp_recorder_is_crowded(const sp_recorder *recorder)
{
    return sp_ring_fill_percent(&recorder->ring) > CROWDED_PERCENT && recorder->attached &&
           ledger_lives(recorder);
}

bool sp_recorder_works(const sp_recorder *recorder)
{
    return recorder->attached && sp_ring_fill_percent(&recorder->ring) <= FULL_PERCENT &&
           ledger_lives(recorder);
}

uint64_t sp_recorder_put(sp_recorder *recorder, const sp_event *event)
{
    uint8_t *room = sp_ring_reserve(&recorder->ring, sp_event_most(event));
    if (room == NULL) {
        sp_ring_lose(&recorder->ring);
        return 0;
    }
    uint64_t seq = sp_ring_commit(&recorder->ring, sp_event_write(event, room));
    wake_if_must(recorder);
    return seq;
}

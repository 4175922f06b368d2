/* SPDX-License-Identifier: Apache-2.0
 * The engine's turn: drain, build, write, acknowledge.
 * OWNS its batches and groups. PROCESS ledger, on its loop; the worker touches only the group in
 * flight and the store's writing side. TRUST as ledger/engine.h. SPEC ledger/engine.h.
 */
#include "ledger/engine.h"

#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"
#include "ledger/engine_parts.h"

enum {
    BEAT_MS = 1000,
    RETRY_MS = 1000,
    HOT_ITEMS = 4096, /* a drain that found so many is followed by the next at once */
    KEYS_MAX_BYTES = 8 * 1024 * 1024,
    KEEP_BYTES = 256 * 1024 /* of a group's buffer while there is no work */
};

static void turn(sp_engine *engine);

/* ---- waiters ---- */

void sp_engine_wait(waiter **list, sp_engine_done done, void *self, uint32_t item)
{
    waiter *w = NULL;
    if (done == NULL) {
        return;
    }
    if (sp_failed(sp_alloc(1, sizeof(*w), &w))) {
        done(self, SP_ENOMEM, UINT64_MAX);
        return;
    }
    *w = (waiter){*list, done, self, item};
    *list = w;
}

/* In the order in which they came: what was asked first takes effect first. */
static void call_waiters(waiter **list, sp_code code, const sp_batch *batch, uint64_t first_entry)
{
    waiter *w = NULL;
    while (*list != NULL) {
        waiter *last = *list;
        *list = last->next;
        last->next = w;
        w = last;
    }
    while (w != NULL) {
        waiter *next = w->next;
        bool own = batch != NULL && w->item < batch->count;
        w->done(w->self, code, own ? first_entry + batch->items[w->item].record : UINT64_MAX);
        sp_free(w);
        w = next;
    }
}

static void join(waiter **to, waiter **from)
{
    waiter **end = to;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = *from;
    *from = NULL;
}

/* ---- jobs on the worker thread ---- */

static shipment *flying(sp_engine *engine)
{
    return &engine->ships[1 - engine->filling];
}

static void run_job(uv_work_t *work)
{
    sp_engine *engine = work->data;
    shipment *ship = flying(engine);
    if (engine->job == JOB_SETTLE) {
        engine->job_err = sp_journal_settle(engine->store);
        return;
    }
    engine->job_err = sp_ok();
    if (ship->new_keys.len > 0) {
        engine->job_err =
            sp_keys_write(engine->keys, sp_buf_borrow(&ship->new_keys), ship->new_keys_at);
    }
    if (!sp_failed(engine->job_err)) {
        engine->job_err = sp_journal_write(engine->store, &ship->group);
    }
}

static void job_done(uv_work_t *work, int status);

static void start_job(sp_engine *engine, job_kind kind)
{
    engine->job = kind;
    engine->holds++;
    engine->work.data = engine;
    if (uv_queue_work(engine->loop, &engine->work, run_job, job_done) != 0) {
        engine->job_err = sp_fail(SP_EINTERNAL);
        job_done(&engine->work, 0);
    }
}

static void set_blocked(sp_engine *engine, bool blocked)
{
    static const char why[] = "the ledger cannot write to its disk (full, or failing)";
    if (engine->blocked == blocked) {
        return;
    }
    engine->blocked = blocked;
    if (blocked) {
        engine->blocked_since_us = sp_now_unix_us();
        sp_log(SP_LOG_ERROR, "%s: nothing is acknowledged until it can", why);
    } else {
        uint64_t seconds = (sp_now_unix_us() - engine->blocked_since_us) / 1000000;
        sp_log(SP_LOG_INFO, "recording goes on after %llu s", (unsigned long long)seconds);
        sp_engine_own_event(engine, SP_EVENT_GAP, SP_SEVERITY_CRITICAL, NULL, seconds,
                            "nothing could be recorded for so many seconds");
    }
    engine->calls.on_state(engine->calls.self, !blocked, blocked ? why : "");
}

static void unpin(shipment *ship, bool durable)
{
    for (size_t i = 0; i < ship->marks_count; i++) {
        if (durable && ship->marks[i].has_ring) {
            sp_ring_durable(&ship->marks[i].ring);
        }
        ship->marks[i].source->pins--;
    }
    ship->marks_count = 0;
}

/* The group in flight is on disk. */
static void landed(sp_engine *engine)
{
    shipment *ship = flying(engine);
    uint64_t first_entry = sp_journal_size(engine->store);
    sp_journal_publish(engine->store);
    engine->events += ship->batch.count;
    engine->settle_wanted = true;
    engine->calls.on_committed(engine->calls.self, &ship->batch, first_entry);
    unpin(ship, true);
    call_waiters(&ship->waiters, SP_OK, &ship->batch, first_entry);
    sp_batch_reset(&ship->batch);
    sp_buf_wipe(&ship->new_keys);
    ship->built = false;
    sp_sources_sweep(engine, false);
}

static void release(sp_engine *engine);

static void job_done(uv_work_t *work, int status)
{
    sp_engine *engine = work->data;
    job_kind kind = engine->job;
    engine->job = JOB_NONE;
    (void)status;
    if (engine->closing) {
        release(engine);
        return;
    }
    engine->holds--;
    if (sp_failed(engine->job_err)) {
        set_blocked(engine, true); /* what failed stays, and is tried again by the beat */
        if (kind == JOB_SETTLE) {
            engine->settle_wanted = true;
            call_waiters(&engine->settlers, SP_EIO, NULL, 0);
        }
        return;
    }
    if (kind == JOB_WRITE) {
        landed(engine);
    } else {
        call_waiters(&engine->settlers, SP_OK, NULL, 0);
    }
    set_blocked(engine, false);
    const shipment *next = &engine->ships[engine->filling];
    bool urgent = next->built || next->waiters != NULL || engine->pending != NULL ||
                  engine->settlers != NULL || engine->deferred_first != NULL;
    if (urgent) {
        turn(engine);
    } else {
        sp_engine_arm(engine, SP_ENGINE_COMMIT_MS);
    }
}

/* ---- the turn ---- */

/* Renders and seals what was taken; on success the shipment can be written. */
static sp_err build(sp_engine *engine, shipment *ship)
{
    sp_group_reset(&ship->group);
    TRY(sp_batch_build(&ship->batch, engine->keys, sp_now_unix_us(), &ship->group));
    for (sp_source *s = engine->sources; s != NULL; s = s->next) {
        const sp_mark mark = {s->id, s->seq, s->lost};
        if (s->seq > 0) {
            TRY(sp_group_mark(&ship->group, &mark));
        }
    }
    TRY(sp_keys_take_new(engine->keys, &ship->new_keys, &ship->new_keys_at));
    ship->built = true;
    return sp_ok();
}

static bool is_flying(const sp_engine *engine)
{
    return engine->ships[1 - engine->filling].built;
}

/* Nothing new: but rings may have moved over records that were on disk before. */
static void fill_nothing(sp_engine *engine, shipment *ship)
{
    unpin(ship, !is_flying(engine));
    if (is_flying(engine)) {
        join(&flying(engine)->waiters, &ship->waiters);
    } else {
        call_waiters(&ship->waiters, SP_OK, NULL, 0);
    }
}

/* Drains into the shipment being filled and builds it. */
static void fill(sp_engine *engine)
{
    shipment *ship = &engine->ships[engine->filling];
    if (ship->built) {
        return;
    }
    sp_engine_undefer(engine);
    bool drained = sp_sources_drain(engine, ship);
    if (drained) {
        join(&ship->waiters, &engine->pending);
    }
    if (ship->batch.count == 0) {
        fill_nothing(engine, ship);
        return;
    }
    ship->hot = !drained || ship->batch.count >= HOT_ITEMS;
    if (sp_failed(build(engine, ship))) {
        set_blocked(engine, true); /* out of memory: the batch stays and is built again */
    }
}

static void on_commit(uv_timer_t *timer)
{
    turn(timer->data);
}

void sp_engine_arm(sp_engine *engine, unsigned delay_ms)
{
    if (!engine->closing) {
        uv_timer_start(&engine->commit, on_commit, delay_ms, 0);
    }
}

static void rest(sp_engine *engine)
{
    sp_sources_sweep(engine, true);
    if (!sp_sources_sleep(engine)) {
        sp_engine_arm(engine, SP_ENGINE_COMMIT_MS);
        return;
    }
    for (size_t i = 0; i < SP_COUNT(engine->ships); i++) {
        shipment *ship = &engine->ships[i];
        sp_batch_trim(&ship->batch);
        if (ship->group.bytes.cap > KEEP_BYTES) {
            sp_group_done(&ship->group);
            sp_group_init(&ship->group);
        }
    }
}

static void depart(sp_engine *engine)
{
    bool hot = engine->ships[engine->filling].hot;
    engine->filling = 1 - engine->filling;
    start_job(engine, JOB_WRITE);
    if (hot) {
        fill(engine); /* while that one is being written */
    }
}

static void turn(sp_engine *engine)
{
    if (engine->blocked || engine->closing) {
        return;
    }
    fill(engine);
    if (engine->blocked || engine->job != JOB_NONE) {
        return; /* the next turn comes with the end of the job */
    }
    if (engine->settlers != NULL && engine->settle_wanted) {
        engine->settle_wanted = false; /* before the next group: there may always be one */
        start_job(engine, JOB_SETTLE);
        return;
    }
    call_waiters(&engine->settlers, SP_OK, NULL, 0);
    if (engine->ships[engine->filling].built) {
        depart(engine);
    } else {
        rest(engine);
    }
}

/* While the disk fails: what stands in the way is tried again. */
static void retry(sp_engine *engine)
{
    shipment *ship = &engine->ships[engine->filling];
    if (engine->job != JOB_NONE) {
        return;
    }
    if (is_flying(engine)) {
        start_job(engine, JOB_WRITE);
    } else if (ship->built || (ship->batch.count > 0 && !sp_failed(build(engine, ship)))) {
        engine->filling = 1 - engine->filling;
        start_job(engine, JOB_WRITE);
    } else if (ship->batch.count == 0) {
        start_job(engine, JOB_SETTLE);
    }
}

static void on_beat(uv_timer_t *timer)
{
    sp_engine *engine = timer->data;
    if (engine->blocked) {
        retry(engine);
    } else {
        sp_sources_beat(engine);
    }
}

/* ---- what others see ---- */

bool sp_engine_is_recording(const sp_engine *engine)
{
    return !engine->blocked;
}

uint64_t sp_engine_events(const sp_engine *engine)
{
    return engine->events;
}

uint64_t sp_engine_lost(const sp_engine *engine)
{
    return engine->lost;
}

unsigned sp_engine_sources(const sp_engine *engine)
{
    return engine->sources_count;
}

void sp_engine_set_record_events_max(sp_engine *engine, size_t max)
{
    for (size_t i = 0; i < SP_COUNT(engine->ships); i++) {
        engine->ships[i].batch.record_events_max = max;
    }
}

/* ---- life ---- */

sp_err sp_engine_new(uv_loop_t *loop, sp_journal *store, sp_keys *keys,
                     const sp_engine_calls *calls, sp_engine **ret_engine)
{
    sp_engine *engine = NULL;
    TRY(sp_alloc(1, sizeof(*engine), &engine));
    engine->loop = loop;
    engine->store = store;
    engine->keys = keys;
    engine->calls = *calls;
    for (size_t i = 0; i < SP_COUNT(engine->ships); i++) {
        sp_batch_init(&engine->ships[i].batch);
        sp_group_init(&engine->ships[i].group);
        engine->ships[i].new_keys = sp_buf_make(KEYS_MAX_BYTES);
    }
    sp_err err = sp_source_new(engine, sp_random_u64() | 1, SP_SPAN_LIT("ledger"), SP_GATE_NONE,
                               &engine->own);
    if (sp_failed(err)) {
        sp_free(engine);
        return err;
    }
    uv_timer_init(loop, &engine->commit);
    uv_timer_init(loop, &engine->beat);
    engine->commit.data = engine->beat.data = engine;
    uv_timer_start(&engine->beat, on_beat, BEAT_MS, BEAT_MS);
    engine->holds = 2;
    *ret_engine = engine;
    return sp_ok();
}

/* The last hold gone: nothing of the engine is used any more. */
static void release(sp_engine *engine)
{
    if (--engine->holds > 0) {
        return;
    }
    for (size_t i = 0; i < SP_COUNT(engine->ships); i++) {
        sp_batch_done(&engine->ships[i].batch);
        sp_group_done(&engine->ships[i].group);
        sp_buf_wipe(&engine->ships[i].new_keys);
        sp_buf_done(&engine->ships[i].new_keys);
    }
    while (engine->sources != NULL) {
        sp_source_free(engine, engine->sources);
    }
    sp_free(engine);
}

static void on_closed(uv_handle_t *handle)
{
    release(handle->data);
}

void sp_engine_free(sp_engine *engine)
{
    if (engine == NULL) {
        return;
    }
    engine->closing = true;
    for (size_t i = 0; i < SP_COUNT(engine->ships); i++) {
        call_waiters(&engine->ships[i].waiters, SP_ECLOSED, NULL, 0);
    }
    call_waiters(&engine->pending, SP_ECLOSED, NULL, 0);
    call_waiters(&engine->settlers, SP_ECLOSED, NULL, 0);
    while (engine->deferred_first != NULL) {
        deferred *item = engine->deferred_first;
        engine->deferred_first = item->next;
        if (item->done != NULL) {
            item->done(item->self, SP_ECLOSED, UINT64_MAX);
        }
        sp_free(item);
    }
    uv_close((uv_handle_t *)&engine->commit, on_closed);
    uv_close((uv_handle_t *)&engine->beat, on_closed);
}

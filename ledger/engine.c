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
    KEEP_BYTES = 256 * 1024, /* of a group's buffer while there is no work */
    DEFERRED_MAX = 4096
};

static void turn(sp_engine *engine);
static void arm(sp_engine *engine, unsigned delay_ms);
static void undefer(sp_engine *engine);

/* ---- waiters ---- */

static void wait_on(waiter **list, sp_engine_done done, void *self, uint32_t item)
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

static void call_waiters(waiter **list, sp_code code, const sp_batch *batch, uint64_t first_entry)
{
    waiter *w = *list;
    *list = NULL;
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
        sp_engine_own_event(engine, SP_EVENT_GAP, SP_SEVERITY_HIGH, NULL, seconds,
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
        arm(engine, SP_ENGINE_COMMIT_MS);
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
    undefer(engine);
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

static void arm(sp_engine *engine, unsigned delay_ms)
{
    if (!engine->closing) {
        uv_timer_start(&engine->commit, on_commit, delay_ms, 0);
    }
}

static void rest(sp_engine *engine)
{
    sp_sources_sweep(engine, true);
    if (!sp_sources_sleep(engine)) {
        arm(engine, SP_ENGINE_COMMIT_MS);
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
    if (engine->ships[engine->filling].built) {
        depart(engine);
    } else if (engine->settlers != NULL && engine->settle_wanted) {
        engine->settle_wanted = false;
        start_job(engine, JOB_SETTLE);
    } else {
        call_waiters(&engine->settlers, SP_OK, NULL, 0);
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

/* ---- calls ---- */

static void wake_soon(sp_engine *engine)
{
    if (!engine->blocked && !uv_is_active((uv_handle_t *)&engine->commit)) {
        arm(engine, SP_ENGINE_COMMIT_MS);
    }
}

void sp_engine_wake(sp_engine *engine)
{
    wake_soon(engine);
}

static void wake_at_once(sp_engine *engine)
{
    if (!engine->blocked) {
        arm(engine, 0);
    }
}

void sp_engine_flush(sp_engine *engine, sp_engine_done done, void *self)
{
    wait_on(&engine->pending, done, self, SP_BATCH_NONE);
    wake_at_once(engine);
}

sp_err sp_engine_attach(sp_engine *engine, const sp_ledger_attach *attach, sp_shm *shm,
                        sp_source **ret_source, uint64_t *ret_durable_seq)
{
    sp_ring ring;
    TRY(sp_ring_open(shm->ptr, shm->size_bytes, &ring));
    if (sp_ring_source_id(&ring) != attach->source || attach->source == 0) {
        return sp_fail(SP_ECORRUPT);
    }
    if (sp_source_find(engine, attach->source) != NULL) {
        return sp_fail(SP_EEXISTS);
    }
    sp_source *source = NULL;
    TRY(sp_source_new(engine, attach->source, attach->name, attach->gate, &source));
    source->shm = *shm;
    *shm = (sp_shm){0};
    source->ring = ring;
    *ret_durable_seq = source->seq;
    *ret_source = source;
    if (!engine->blocked) {
        sp_ring_consumer_beat(&source->ring, sp_now_steady_us());
    }
    if (ring.seq > source->seq) { /* a ledger acknowledged what is not in these files */
        uint64_t missing = ring.seq - source->seq;
        source->seq = ring.seq;
        sp_engine_own_event(engine, SP_EVENT_GAP, SP_SEVERITY_CRITICAL, source, missing,
                            "acknowledged events of this source are not in the ledger's files");
    }
    wake_soon(engine);
    return sp_ok();
}

void sp_engine_detach(sp_engine *engine, sp_source *source, bool clean, sp_engine_done done,
                      void *self)
{
    source->leaving = true;
    source->clean = clean;
    source->done = done;
    source->done_self = self;
    wake_at_once(engine);
}

/* Whether all events of a message can be read, before any is taken. */
static bool all_decode(const sp_ledger_append *append)
{
    sp_span rest = append->events;
    sp_span bytes;
    sp_event event;
    while (sp_ledger_append_next(&rest, &bytes)) {
        if (sp_failed(sp_event_decode(bytes, &event))) {
            return false;
        }
    }
    return true;
}

/* The shipment being filled, when it takes that much more. */
static shipment *open_ship(sp_engine *engine, size_t events, size_t bytes)
{
    shipment *ship = &engine->ships[engine->filling];
    bool room = !ship->built && ship->batch.count + events <= SP_BATCH_ITEMS_MAX &&
                ship->batch.used + bytes + SP_EVENT_MAX_BYTES <= SP_BATCH_BYTES_MAX;
    return room ? ship : NULL;
}

static sp_err defer(sp_engine *engine, const deferred *what, sp_span bytes)
{
    deferred *item = NULL;
    if (engine->deferred_count >= DEFERRED_MAX) {
        return sp_fail(SP_EAGAIN);
    }
    TRY(sp_alloc(1, sizeof(*item) + bytes.len, &item));
    *item = *what;
    item->next = NULL;
    item->len = bytes.len;
    sp_copy(item->bytes, bytes.ptr, bytes.len);
    if (engine->deferred_last == NULL) {
        engine->deferred_first = item;
    } else {
        engine->deferred_last->next = item;
    }
    engine->deferred_last = item;
    engine->deferred_count++;
    return sp_ok();
}

static sp_err appender(sp_engine *engine, uint64_t id, const char *name, sp_source **ret_source)
{
    sp_source *source = sp_source_find(engine, id);
    if (source == NULL) {
        TRY(sp_source_new(engine, id, sp_span_cstr(name), SP_GATE_NONE, &source));
    }
    if (source->shm.ptr != NULL || id == 0) {
        return sp_fail(SP_EDENIED); /* a ring's numbers are the ring's */
    }
    source->used_steady_us = sp_now_steady_us();
    *ret_source = source;
    return sp_ok();
}

static sp_err take_append(sp_engine *engine, sp_source *source, shipment *ship,
                          const sp_ledger_append *append, uint32_t *ret_item)
{
    sp_span rest = append->events;
    sp_span bytes;
    *ret_item = SP_BATCH_NONE;
    for (uint64_t seq = append->first_seq; sp_ledger_append_next(&rest, &bytes); seq++) {
        if (seq <= source->seq) {
            continue;
        }
        uint64_t missing = seq - source->seq - 1;
        const sp_batch_from from = {source->id, seq, sp_span_cstr(source->name), false};
        TRY(sp_batch_add(&ship->batch, bytes, &from));
        *ret_item = (uint32_t)ship->batch.count - 1;
        source->seq = seq;
        if (missing > 0) {
            sp_engine_own_event(engine, SP_EVENT_GAP, SP_SEVERITY_HIGH, source, missing,
                                "numbers of this source are missing");
        }
    }
    return sp_ok();
}

static void append_now(sp_engine *engine, shipment *ship, const sp_ledger_append *append,
                       const char *name, sp_engine_done done, void *self)
{
    sp_source *source = NULL;
    uint32_t item = SP_BATCH_NONE;
    sp_err err = all_decode(append) ? sp_ok() : sp_fail(SP_EINVALID);
    if (!sp_failed(err)) {
        err = appender(engine, append->source, name, &source);
    }
    if (!sp_failed(err)) {
        err = take_append(engine, source, ship, append, &item);
    }
    if (sp_failed(err)) {
        done(self, err.code, UINT64_MAX);
    } else if (item == SP_BATCH_NONE) {
        sp_engine_flush(engine, done, self); /* all seen before: they may still be in flight */
    } else {
        wait_on(&ship->waiters, done, self, item);
        wake_at_once(engine); /* somebody waits for it */
    }
}

void sp_engine_append(sp_engine *engine, const sp_ledger_append *append, const char *name,
                      sp_engine_done done, void *self)
{
    shipment *ship = open_ship(engine, SP_LEDGER_APPEND_MAX * 2, append->events.len);
    if (engine->blocked) {
        done(self, SP_EIO, UINT64_MAX);
        return;
    }
    if (ship != NULL) {
        append_now(engine, ship, append, name, done, self);
        return;
    }
    const deferred later = {.done = done,
                            .self = self,
                            .name = name,
                            .source = append->source,
                            .first_seq = append->first_seq,
                            .count = append->count};
    sp_err err = defer(engine, &later, append->events);
    if (sp_failed(err)) {
        done(self, err.code, UINT64_MAX);
    }
}

static void note_now(sp_engine *engine, shipment *ship, sp_span bytes, bool open,
                     sp_engine_done done, void *self)
{
    sp_source *own = engine->own;
    const sp_batch_from from = {own->id, own->seq + 1, sp_span_cstr(own->name), open};
    sp_err err = sp_batch_add(&ship->batch, bytes, &from);
    if (sp_failed(err)) {
        sp_log(SP_LOG_WARN, "an event of the ledger's own could not be taken: %s",
               sp_code_word(err.code));
        if (done != NULL) {
            done(self, err.code, UINT64_MAX);
        }
        return;
    }
    own->seq++;
    wait_on(&ship->waiters, done, self, (uint32_t)ship->batch.count - 1);
    wake_soon(engine);
}

void sp_engine_note(sp_engine *engine, sp_event *event, bool open, sp_engine_done done, void *self)
{
    shipment *ship = open_ship(engine, 1, 0);
    auto_buf sp_buf bytes = sp_buf_make(SP_EVENT_MAX_BYTES);
    event->when_unix_us = sp_now_unix_us();
    sp_err err = sp_event_encode(event, &bytes);
    if (!sp_failed(err) && ship != NULL) {
        note_now(engine, ship, sp_buf_borrow(&bytes), open, done, self);
        return;
    }
    const deferred later = {.done = done, .self = self, .open = open};
    if (!sp_failed(err)) {
        err = defer(engine, &later, sp_buf_borrow(&bytes));
    }
    if (sp_failed(err)) {
        engine->lost++;
        sp_log(SP_LOG_ERROR, "an event of the ledger's own (%s) is lost: %s",
               sp_event_kind_word(event->kind), sp_code_word(err.code));
        if (done != NULL) {
            done(self, err.code, UINT64_MAX);
        }
    }
}

static void undefer(sp_engine *engine)
{
    while (engine->deferred_first != NULL) {
        deferred *item = engine->deferred_first;
        sp_span bytes = {item->bytes, item->len};
        shipment *ship = open_ship(engine, SP_LEDGER_APPEND_MAX * 2, item->len);
        if (ship == NULL) {
            return;
        }
        engine->deferred_first = item->next;
        engine->deferred_last = item->next == NULL ? NULL : engine->deferred_last;
        engine->deferred_count--;
        if (item->name == NULL) {
            note_now(engine, ship, bytes, item->open, item->done, item->self);
        } else {
            const sp_ledger_append append = {item->source, item->first_seq, item->count, bytes};
            append_now(engine, ship, &append, item->name, item->done, item->self);
        }
        sp_free(item);
    }
}

void sp_engine_settle(sp_engine *engine, sp_engine_done done, void *self)
{
    if (engine->blocked) {
        done(self, SP_EIO, UINT64_MAX);
        return;
    }
    wait_on(&engine->settlers, done, self, SP_BATCH_NONE);
    if (engine->job == JOB_NONE) {
        wake_at_once(engine);
    }
}

bool sp_engine_is_recording(const sp_engine *engine)
{
    return !engine->blocked;
}

bool sp_engine_is_still(const sp_engine *engine)
{
    return engine->job == JOB_NONE;
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

/* SPDX-License-Identifier: Apache-2.0
 * What is brought to the engine: rings, messages, its own events, wishes to be told.
 * OWNS what waits for room in a batch. PROCESS ledger, on its loop. TRUST messages are hostile: an
 * APPEND is decoded whole before anything of it is taken. SPEC ledger/engine.h.
 */
#include "infra/proc/clock.h"
#include "infra/proc/log.h"
#include "ledger/engine_parts.h"

enum { DEFERRED_MAX = 4096 };

static void wake_soon(sp_engine *engine)
{
    if (!engine->blocked && !uv_is_active((uv_handle_t *)&engine->commit)) {
        sp_engine_arm(engine, SP_ENGINE_COMMIT_MS);
    }
}

void sp_engine_wake(sp_engine *engine)
{
    wake_soon(engine);
}

static void wake_at_once(sp_engine *engine)
{
    if (!engine->blocked) {
        sp_engine_arm(engine, 0);
    }
}

void sp_engine_flush(sp_engine *engine, sp_engine_done done, void *self)
{
    sp_engine_wait(&engine->pending, done, self, SP_BATCH_NONE);
    wake_at_once(engine);
}

/* Rings of one gate, those that are being drained among them. */
static unsigned rings_of(const sp_engine *engine, uint8_t gate)
{
    unsigned count = 0;
    for (const sp_source *s = engine->sources; s != NULL; s = s->next) {
        count += s->shm.ptr != NULL && s->gate == gate ? 1U : 0U;
    }
    return count;
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
    if (rings_of(engine, attach->gate) >= SP_ENGINE_RINGS_MAX) {
        return sp_fail(SP_ELIMIT);
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
    /* a ring's numbers are the ring's, and nobody counts on in another sender's */
    if (source->shm.ptr != NULL || id == 0 ||
        !sp_span_eq(sp_span_cstr(source->name), sp_span_cstr(name))) {
        return sp_fail(SP_EDENIED);
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
        const sp_batch_from from = {source->id, seq, sp_span_cstr(source->name), false,
                                    SP_GATE_NONE};
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
        sp_engine_wait(&ship->waiters, done, self, item);
        wake_at_once(engine); /* somebody waits for it */
    }
}

void sp_engine_append(sp_engine *engine, const sp_ledger_append *append, const char *name,
                      sp_engine_done done, void *self)
{
    sp_engine_undefer(engine);
    /* behind those that wait: one that overtakes another makes it look old, and it would be lost */
    shipment *ship = engine->deferred_first != NULL
                         ? NULL
                         : open_ship(engine, SP_LEDGER_APPEND_MAX * 2, append->events.len);
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
    const sp_batch_from from = {own->id, own->seq + 1, sp_span_cstr(own->name), open, SP_GATE_NONE};
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
    sp_engine_wait(&ship->waiters, done, self, (uint32_t)ship->batch.count - 1);
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

void sp_engine_undefer(sp_engine *engine)
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
    sp_engine_wait(&engine->settlers, done, self, SP_BATCH_NONE);
    if (engine->job == JOB_NONE) {
        wake_at_once(engine);
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * Sources of events: draining their rings, and noticing what is missing.
 * OWNS its sources. PROCESS ledger. TRUST rings and events are hostile: a bad ring poisons only
 * itself. SPEC ledger/engine.h.
 */
#include "infra/proc/clock.h"
#include "infra/proc/log.h"
#include "ledger/engine_parts.h"

#define SILENT_US UINT64_C(10000000)
#define FORGET_US UINT64_C(600000000)
enum {
    BYTES_PER_TURN = 256 * 1024, /* of one ring, before the next one's turn */
    /* room that stays for the ledger's own events about the sources */
    OWN_ITEMS = 4 * SP_ENGINE_SOURCES_MAX,
    OWN_BYTES = OWN_ITEMS * 512
};

sp_err sp_source_new(sp_engine *engine, uint64_t id, sp_span name, uint8_t gate,
                     sp_source **ret_source)
{
    if (engine->sources_count >= SP_ENGINE_SOURCES_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    auto_free sp_source *source = NULL;
    TRY(sp_alloc(1, sizeof(*source), &source));
    TRY(sp_fit(source->name, sizeof(source->name), name));
    source->id = id;
    source->gate = gate;
    size_t count = 0;
    const sp_mark *marks = sp_journal_marks(engine->store, &count);
    for (size_t i = 0; i < count; i++) {
        if (marks[i].source == id) {
            source->seq = marks[i].seq;
            source->lost = marks[i].lost;
        }
    }
    source->beaten_seq = source->seq;
    source->used_steady_us = sp_now_steady_us();
    source->next = engine->sources;
    engine->sources = source;
    engine->sources_count++;
    *ret_source = SP_STEAL(source);
    return sp_ok();
}

sp_source *sp_source_find(sp_engine *engine, uint64_t id)
{
    for (sp_source *s = engine->sources; s != NULL; s = s->next) {
        if (s->id == id) {
            return s;
        }
    }
    return NULL;
}

void sp_source_free(sp_engine *engine, sp_source *source)
{
    for (sp_source **at = &engine->sources; *at != NULL; at = &(*at)->next) {
        if (*at == source) {
            *at = source->next;
            engine->sources_count--;
            sp_shm_done(&source->shm);
            sp_free(source);
            return;
        }
    }
}

void sp_engine_own_event(sp_engine *engine, sp_event_kind kind, sp_severity severity,
                         const sp_source *about, uint64_t count, const char *what)
{
    auto_buf sp_buf detail = sp_buf_make(SP_EVENT_DETAIL_MAX_BYTES);
    sp_event event = {.kind = (uint8_t)kind,
                      .severity = (uint8_t)severity,
                      .count = count,
                      .reason = SP_REASON_NONE};
    if (about != NULL) {
        event.gate = about->gate;
        event.resource = sp_span_cstr(about->name);
        sp_buf_fmt(&detail, "{\"source\":\"%016llx\",\"last_sequence\":%llu,\"lost\":%llu}",
                   (unsigned long long)about->id, (unsigned long long)about->seq,
                   (unsigned long long)about->lost);
        event.detail = sp_buf_borrow(&detail);
    }
    event.object = sp_span_cstr(what);
    sp_engine_note(engine, &event, true, NULL, NULL);
}

/* Whether a record is new; a jump in the numbers is written down. */
static bool take_number(sp_engine *engine, sp_source *source, uint64_t seq)
{
    if (seq <= source->seq) {
        return false;
    }
    uint64_t missing = seq - source->seq - 1;
    source->seq = seq;
    if (missing > 0) {
        sp_engine_own_event(engine, SP_EVENT_GAP, SP_SEVERITY_HIGH, source, missing,
                            "numbers of this source are missing");
    }
    return true;
}

static void poison(sp_engine *engine, sp_source *source, const char *why)
{
    source->poisoned = true;
    sp_log(SP_LOG_ERROR, "nothing more is read of %s: %s", source->name, why);
    sp_engine_own_event(engine, SP_EVENT_GAP, SP_SEVERITY_CRITICAL, source, 0, why);
}

static void look_at_losses(sp_engine *engine, sp_source *source)
{
    uint64_t lost = sp_ring_lost(&source->ring);
    if (lost <= source->lost) {
        return;
    }
    uint64_t more = lost - source->lost;
    source->lost = lost;
    engine->lost += more;
    sp_engine_own_event(engine, SP_EVENT_LOSS, SP_SEVERITY_HIGH, source, more,
                        "the source had no room for these events");
}

typedef enum { TURN_EMPTY, TURN_MORE, TURN_FULL } turn;

static turn drain_one(sp_engine *engine, sp_source *source, sp_batch *batch)
{
    size_t taken = 0;
    for (;;) {
        sp_ring_record record;
        if (batch->count + OWN_ITEMS > SP_BATCH_ITEMS_MAX ||
            batch->used + SP_EVENT_MAX_BYTES + OWN_BYTES > SP_BATCH_BYTES_MAX) {
            return TURN_FULL;
        }
        if (taken > BYTES_PER_TURN) {
            return TURN_MORE;
        }
        sp_err err = sp_ring_next(&source->ring, &record);
        if (err.code == SP_EAGAIN) {
            return TURN_EMPTY;
        }
        if (sp_failed(err)) {
            poison(engine, source, "the ring of this source is damaged");
            return TURN_EMPTY;
        }
        taken += record.bytes.len + 1;
        if (!take_number(engine, source, record.seq)) {
            continue;
        }
        const sp_batch_from from = {source->id, record.seq, sp_span_cstr(source->name), false,
                                    source->gate};
        err = sp_batch_add(batch, record.bytes, &from);
        if (err.code == SP_EDENIED) {
            poison(engine, source, "this source writes what only other roles may write");
            return TURN_EMPTY;
        }
        if (sp_failed(err)) {
            engine->lost++;
            sp_engine_own_event(engine, SP_EVENT_LOSS, SP_SEVERITY_HIGH, source, 1,
                                "an event of this source could not be read");
        }
    }
}

static bool is_readable(const sp_source *source)
{
    return source->shm.ptr != NULL && !source->poisoned;
}

/* One turn of every ring. */
static turn drain_all(sp_engine *engine, sp_batch *batch)
{
    turn all = TURN_EMPTY;
    for (sp_source *s = engine->sources; s != NULL; s = s->next) {
        turn got = is_readable(s) ? drain_one(engine, s, batch) : TURN_EMPTY;
        s->drained = s->leaving && got == TURN_EMPTY;
        if (got == TURN_FULL) {
            return TURN_FULL;
        }
        all = got == TURN_MORE ? TURN_MORE : all;
    }
    return all;
}

static void say_goodbye(sp_engine *engine, sp_source *source)
{
    if (source->leaving && source->drained && !source->clean) {
        source->clean = true; /* said once */
        sp_engine_own_event(
            engine, SP_EVENT_GAP, SP_SEVERITY_MEDIUM, source, 0,
            "the source ended without good-bye: what it had not written is unknown");
    }
}

bool sp_sources_drain(sp_engine *engine, shipment *ship)
{
    turn got = TURN_MORE;
    while (got == TURN_MORE) {
        got = drain_all(engine, &ship->batch);
    }
    ship->marks_count = 0;
    for (sp_source *s = engine->sources; s != NULL; s = s->next) {
        bool has_ring = is_readable(s);
        if (has_ring) {
            look_at_losses(engine, s);
        }
        say_goodbye(engine, s);
        ship->marks[ship->marks_count++] = (ring_mark){s, s->ring, has_ring};
        s->pins++;
    }
    return got == TURN_EMPTY;
}

void sp_sources_sweep(sp_engine *engine, bool idle)
{
    uint64_t now = sp_now_steady_us();
    sp_source *s = engine->sources;
    while (s != NULL) {
        sp_source *next = s->next;
        bool left = s->leaving && s->drained;
        bool stale =
            idle && s != engine->own && s->shm.ptr == NULL && now - s->used_steady_us > FORGET_US;
        if ((left || stale) && s->pins == 0) {
            if (s->done != NULL) {
                s->done(s->done_self, SP_OK, UINT64_MAX);
            }
            sp_source_free(engine, s);
        }
        s = next;
    }
}

bool sp_sources_sleep(sp_engine *engine)
{
    bool asleep = true;
    for (sp_source *s = engine->sources; s != NULL; s = s->next) {
        if (is_readable(s) && !sp_ring_sleep(&s->ring)) {
            asleep = false;
        }
    }
    return asleep;
}

static void look_for_silence(sp_engine *engine, sp_source *source, uint64_t now)
{
    uint64_t seen = sp_ring_producer_seen_us(&source->ring);
    seen = seen > source->used_steady_us ? seen : source->used_steady_us;
    bool silent = now > seen && now - seen > SILENT_US;
    if (silent != source->silent) {
        source->silent = silent;
        sp_engine_own_event(engine, SP_EVENT_GAP, silent ? SP_SEVERITY_MEDIUM : SP_SEVERITY_INFO,
                            source, 0,
                            silent ? "the source has fallen silent" : "the source is heard again");
    }
}

void sp_sources_beat(sp_engine *engine)
{
    uint64_t now = sp_now_steady_us();
    for (sp_source *s = engine->sources; s != NULL; s = s->next) {
        if (is_readable(s)) {
            sp_ring_consumer_beat(&s->ring, now);
            look_for_silence(engine, s, now);
        }
    }
}

void sp_engine_heartbeat(sp_engine *engine)
{
    for (sp_source *s = engine->sources; s != NULL; s = s->next) {
        if (s != engine->own && s->seq != s->beaten_seq) {
            s->beaten_seq = s->seq;
            sp_engine_own_event(engine, SP_EVENT_HEARTBEAT, SP_SEVERITY_INFO, s, s->seq,
                                "the source is complete up to this number");
        }
    }
}

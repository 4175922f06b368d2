/* SPDX-License-Identifier: Apache-2.0
 * The program of detections: what core says is in force, fetched in pieces, put in place of the one
 * that runs; detections that did not change go on where they were.
 * OWNS the program while it comes. PROCESS watch. TRUST core may be taken over: the program is
 * checked when it is read. SPEC lib/proto/watch_msg.h.
 */
#include "watch/watch.h"

#include "infra/crypto/random.h"
#include "infra/proc/log.h"

static bool place_of(void *self, const uint8_t peer[16], sp_detect_place *ret_place)
{
    const watch *w = self;
    return w->places != NULL && sp_places_find(w->places, peer, ret_place);
}

static sp_err make_engine(watch *w, sp_span program, sp_detect_engine **ret_engine)
{
    uint8_t seed[SP_DETECT_SEED_BYTES];
    const sp_detect_calls calls = {watch_alarm, place_of, w};
    auto_detect_engine sp_detect_engine *engine = NULL;
    sp_random(seed, sizeof(seed));
    TRY(sp_detect_engine_new(program, seed, SP_DETECT_MEMORY_DEFAULT_BYTES, &calls, &engine));
    auto_buf sp_buf state = sp_buf_make(SP_DETECT_STATE_MAX_BYTES);
    sp_span before = sp_buf_borrow(&w->kept);
    if (w->engine != NULL) {
        sp_detect_engine_save(w->engine, &state);
        TRY(sp_buf_error(&state));
        before = sp_buf_borrow(&state);
    }
    if (before.len > 0) {
        TRY(sp_detect_engine_load(engine, before));
    }
    *ret_engine = SP_STEAL(engine);
    return sp_ok();
}

static void put_in_force(watch *w)
{
    sp_detect_engine *engine = NULL;
    sp_err err = make_engine(w, sp_buf_borrow(&w->program), &engine);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "the detections of policy version %llu cannot be run: %s",
               (unsigned long long)w->wanted.policy_version, sp_code_word(err.code));
        return;
    }
    sp_detect_engine_free(w->engine);
    w->engine = engine;
    w->version = w->wanted.policy_version;
    sp_buf_wipe(&w->kept);
    sp_log(SP_LOG_INFO, "%zu detections of policy version %llu are in force",
           sp_detect_engine_program(engine)->rules_count, (unsigned long long)w->version);
    watch_follow(w);
}

static void fetch(watch *w);

static void on_piece(void *self, sp_err err, sp_span body)
{
    watch *w = self;
    w->fetching = false;
    if (sp_failed(err) || body.len == 0) {
        return; /* another version: core's push says so; a broken line says HELLO again */
    }
    sp_buf_span(&w->program, body);
    if (sp_failed(sp_buf_error(&w->program)) || w->program.len >= w->wanted.bytes) {
        put_in_force(w);
        return;
    }
    fetch(w);
}

static void fetch(watch *w)
{
    if (w->fetching || w->wanted.bytes == 0) {
        return;
    }
    auto_buf sp_buf body = sp_buf_make(64);
    const sp_detections_piece piece = {w->wanted.policy_version, w->program.len};
    sp_detections_piece_write(&piece, &body);
    w->fetching = true;
    sp_line_call(w->core, SP_CORE_WATCH_PIECE, sp_buf_borrow(&body), on_piece, w);
}

void watch_program_changed(watch *w, sp_span body)
{
    sp_detections wanted;
    if (sp_failed(sp_detections_read(body, &wanted))) {
        return;
    }
    w->wanted = wanted;
    sp_buf_reset(&w->program);
    fetch(w);
}

static void on_hello(void *self, sp_err err, sp_span body)
{
    if (!sp_failed(err)) {
        watch_program_changed(self, body);
    }
}

void watch_program_hello(watch *w)
{
    if (sp_line_is_up(w->core) && !w->fetching) {
        sp_line_call(w->core, SP_CORE_WATCH_HELLO, SP_SPAN_EMPTY, on_hello, w);
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * The role watch: its lines, the cage, what is done each second.
 * OWNS the loop and the lines. PROCESS watch. TRUST see each part. SPEC watch/README.md,
 * infra/proc/entry.h.
 */
#include "watch/watch.h"

#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "infra/proc/entry.h"
#include "infra/proc/file.h"
#include "infra/proc/log.h"
#include "infra/proc/sandbox.h"

#include <signal.h>
#include <stdlib.h>

enum { SECOND_MS = 1000, ROOM_BYTES = 256 * 1024, DEGRADED_MS = 10000, FORGETS_S = 60 };

/* ---- status ---- */

static uint64_t lag_ms(const watch *w)
{
    uint64_t now_us = sp_now_unix_us();
    return w->behind > 0 && now_us > w->last_us ? (now_us - w->last_us) / 1000 : 0;
}

static const char *trouble_of(const watch *w, uint64_t lag)
{
    if (w->engine == NULL) {
        return "there is no program of detections yet";
    }
    if (!sp_line_is_up(w->ledger)) {
        return "the ledger does not answer";
    }
    if (w->pending_count >= SP_WATCH_PENDING_MAX) {
        return "core does not take alarms: nothing more is looked at until it does";
    }
    if (lag > DEGRADED_MS) {
        return "events come faster than they can be looked at: alarms are late, none is left out";
    }
    return "";
}

/* Keys that still counted were dropped within the last minute. */
static bool forgets(watch *w, uint64_t evicted)
{
    uint64_t now_us = sp_now_steady_us();
    if (evicted > w->evicted) {
        w->forgot_us = now_us;
    }
    w->evicted = evicted; /* a new program begins at 0 */
    return w->forgot_us != 0 && now_us - w->forgot_us < (uint64_t)FORGETS_S * 1000000;
}

static void on_told(void *self, sp_err err, sp_span body)
{
    (void)self;
    (void)err; /* told again in a second */
    (void)body;
}

static void tell_status(watch *w)
{
    auto_buf sp_buf body = sp_buf_make(1024);
    sp_detect_stats stats = {0};
    size_t detections = 0;
    if (w->engine != NULL) {
        stats = sp_detect_engine_stats(w->engine);
        detections = sp_detect_engine_program(w->engine)->rules_count;
    }
    uint64_t lag = lag_ms(w);
    const char *trouble = trouble_of(w, lag);
    const sp_watch_status status = {.next_entry = w->next,
                                    .events = stats.events,
                                    .alarms = w->told,
                                    .lag_ms = lag,
                                    .late = stats.late,
                                    .evicted = stats.evicted,
                                    .memory_bytes = stats.memory_bytes,
                                    .detections = (uint32_t)detections,
                                    .degraded = trouble[0] != '\0',
                                    .forgets = forgets(w, stats.evicted),
                                    .trouble = sp_span_cstr(trouble)};
    sp_watch_status_write(&status, &body);
    sp_line_call(w->core, SP_CORE_WATCH_STATUS, sp_buf_borrow(&body), on_told, NULL);
}

/* ---- the loop's own ---- */

static void tick(watch *w)
{
    uint64_t now_us = sp_now_steady_us();
    uint64_t passed_us = w->tick_us == 0 ? 0 : now_us - w->tick_us;
    bool is_in_time = w->behind == 0 && sp_line_is_up(w->ledger);
    w->tick_us = now_us;
    sp_detect_engine_tick(w->engine, sp_now_unix_us(), passed_us, is_in_time);
}

static void on_second(uv_timer_t *timer)
{
    watch *w = timer->data;
    sp_entry_notify("WATCHDOG=1");
    watch_clock(w);
    if (w->engine == NULL) {
        watch_program_hello(w);
    } else {
        tick(w);
    }
    watch_alarms_send(w);
    watch_follow(w);
    watch_kept_save(w, false);
    if (sp_line_is_up(w->core)) {
        tell_status(w);
    }
}

static void on_core_up(void *self)
{
    watch_program_hello(self);
    watch_alarms_send(self);
    tell_status(self);
}

static void on_core_push(void *self, uint16_t kind, sp_span body)
{
    if (kind == SP_CORE_DETECTIONS) {
        watch_program_changed(self, body);
    }
}

static void on_ledger_up(void *self)
{
    watch_follow(self);
}

static void on_term(uv_signal_t *signal, int number)
{
    (void)number;
    uv_stop(signal->loop);
}

/* ---- start ---- */

static sp_err open_places(watch *w)
{
    auto_buf sp_buf why = sp_buf_make(1024);
    if (w->config->places == NULL) {
        return sp_ok();
    }
    sp_err err = sp_places_open(w->config->places, &why, &w->places);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "places: %.*s", SP_SPAN_ARG(sp_buf_borrow(&why)));
    }
    return err;
}

static sp_err lock_in(const watch *w)
{
    auto_free char *dir = NULL;
    auto_buf sp_buf why = sp_buf_make(SP_SANDBOX_TEXT_BYTES);
    TRY(sp_config_state(w->config, SP_ROLE_WATCH, "", &dir));
    const sp_sandbox cage = {
        .role = "watch", .may = SP_MAY_FILES, .read = {w->config->run_dir}, .write = {dir}};
    sp_err err = sp_sandbox_enter(&cage, &why);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "the sandbox cannot be entered: %.*s",
               SP_SPAN_ARG(sp_buf_borrow(&why)));
    }
    return err;
}

static sp_err make_lines(watch *w)
{
    auto_free char *core = NULL;
    auto_free char *ledger = NULL;
    const sp_line_calls core_calls = {on_core_up, on_core_push, w};
    const sp_line_calls ledger_calls = {on_ledger_up, NULL, w};
    TRY(sp_config_socket(w->config, "core", &core));
    TRY(sp_config_socket(w->config, "ledger", &ledger));
    TRY(sp_line_new(&w->loop, core, &core_calls, &w->core));
    return sp_line_new(&w->loop, ledger, &ledger_calls, &w->ledger);
}

static sp_err start(watch *w)
{
    TRY(sp_crypto_start());
    TRY(open_places(w));
    TRY(sp_config_state(w->config, SP_ROLE_WATCH, "state", &w->state_path));
    if (uv_loop_init(&w->loop) != 0) {
        return sp_fail(SP_EIO);
    }
    TRY(lock_in(w));
    w->program = sp_buf_make(SP_DETECTIONS_MAX_BYTES);
    w->room = sp_buf_make(ROOM_BYTES);
    TRY(watch_kept_start(w));
    uv_signal_init(&w->loop, &w->term);
    uv_timer_init(&w->loop, &w->second);
    w->second.data = w;
    uv_signal_start(&w->term, on_term, SIGTERM);
    uv_timer_start(&w->second, on_second, SECOND_MS, SECOND_MS);
    return make_lines(w);
}

int sp_watch_role(const sp_config *config)
{
    static watch self;
    sp_log_start("watch", SP_LOG_INFO);
    self.config = config;
    sp_err err = start(&self);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "watch cannot start: %s", sp_code_word(err.code));
        return EXIT_FAILURE;
    }
    sp_log(SP_LOG_INFO, "watch looks at the ledger from entry %llu on",
           (unsigned long long)self.next);
    sp_entry_notify("READY=1");
    uv_run(&self.loop, UV_RUN_DEFAULT);
    watch_kept_save(&self, true); /* what core has not taken is told again after the next start */
    sp_detect_engine_free(self.engine);
    sp_places_free(self.places);
    sp_key_wipe(&self.key);
    return EXIT_SUCCESS;
}

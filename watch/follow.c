/* SPDX-License-Identifier: Apache-2.0
 * Entries of the ledger through the engine, one question at a time; the next is asked before the
 * last answer is looked at.
 * OWNS nothing. PROCESS watch. TRUST entries hold what hostile people wrote.
 * SPEC lib/proto/ledger_msg.h "FOLLOW".
 */
#include "watch/watch.h"

#include "infra/proc/clock.h"
#include "infra/proc/log.h"
#include "lib/proto/ocsf_read.h"

typedef struct {
    watch *watch;
    uint64_t entry;
    uint64_t now_us;
    uint64_t steady_us;
} looking;

/* ---- a clock that was set ---- */

enum { OLD_CLOCK_S = 60 };

void watch_clock(watch *w)
{
    uint64_t steady_us = sp_now_steady_us();
    int64_t by_us = sp_jumps_look(&w->clock, sp_now_unix_us(), steady_us);
    if (by_us == 0) {
        return;
    }
    sp_log(SP_LOG_WARN, "the clock was set by %lld s: what detections remember moves with it",
           (long long)(by_us / 1000000));
    w->jump_us = by_us;
    w->jump_until_us = steady_us + OLD_CLOCK_S * UINT64_C(1000000);
    w->jump_next = w->next + w->behind;
    if (by_us < 0) { /* else what is new would be older than the watch */
        uint64_t back_us = 0 - (uint64_t)by_us;
        w->tell_from_us -= back_us < w->tell_from_us ? back_us : w->tell_from_us;
    }
    if (w->engine != NULL) {
        sp_detect_engine_jump(w->engine, by_us);
        w->dirty = true;
    }
}

/* What was there before the clock was set is of the clock before. What came within a minute after
 * may be as well (it was under way): then it is nearer to how that one went. */
static uint64_t by_clock_of_now(const looking *l, uint64_t when_us)
{
    const watch *w = l->watch;
    int64_t by_us = w->jump_us;
    int64_t ahead_us = (int64_t)(when_us - l->now_us);
    bool is_nearer = by_us > 0 ? ahead_us < -by_us / 2 : ahead_us > -by_us / 2;
    bool is_old = l->entry < w->jump_next || (l->steady_us < w->jump_until_us && is_nearer);
    return by_us != 0 && is_old ? when_us + (uint64_t)by_us : when_us;
}

static void look(void *self, const sp_event *event, uint16_t at)
{
    const looking *l = self;
    sp_event e = *event;
    e.when_unix_us = by_clock_of_now(l, event->when_unix_us);
    l->watch->last_us = e.when_unix_us;
    if (e.kind != SP_EVENT_ALARM) { /* its own words are no news */
        sp_detect_engine_event(l->watch->engine, &e, l->entry, at, l->now_us);
    }
}

/* Of a new entry: as it came, and as it will read from now on. */
static sp_err look_at_events(sp_span events, looking *l)
{
    sp_span bytes;
    for (uint16_t at = 0; sp_ledger_opened_next(&events, &bytes); at++) {
        sp_event event;
        TRY(sp_event_decode(bytes, &event));
        sp_ocsf_as_read(&event);
        look(l, &event, at);
    }
    return sp_ok();
}

static void look_at_all(watch *w, const sp_ledger_followed *followed)
{
    sp_ledger_opened opened;
    for (sp_span rest = followed->items; sp_ledger_followed_next(&rest, &opened);) {
        looking l = {w, opened.entry, w->clock.unix_us, w->clock.steady_us};
        sp_err err = opened.json.len > 0 ? sp_ocsf_read(opened.json, &w->room, look, &l)
                                         : look_at_events(opened.events, &l);
        if (sp_failed(err)) {
            sp_log(SP_LOG_ERROR, "entry %llu of the ledger cannot be read: %s",
                   (unsigned long long)opened.entry, sp_code_word(err.code));
        }
    }
}

/* The ledger is shorter than what was looked at: it was put back. */
static void begin_again(watch *w)
{
    sp_log(SP_LOG_ERROR, "the ledger has no entry %llu any more: the watch begins at its start",
           (unsigned long long)w->next);
    w->next = 0;
    w->tell_from_us = sp_now_unix_us();
    w->dirty = true;
}

static void on_followed(void *self, sp_err err, sp_span body)
{
    watch *w = self;
    sp_ledger_followed followed;
    w->asked = false;
    if (err.code == SP_ENOTFOUND) {
        begin_again(w);
    }
    if (sp_failed(err) || sp_failed(sp_ledger_followed_read(body, &followed))) {
        return; /* asked again with the next second */
    }
    watch_clock(w); /* by the entries of which the last answer knew */
    w->dirty = w->dirty || followed.next != w->next;
    w->next = followed.next;
    w->behind = followed.size - followed.next;
    watch_follow(w);
    if (w->engine != NULL) {
        look_at_all(w, &followed);
    }
    watch_alarms_send(w);
}

void watch_follow(watch *w)
{
    if (w->asked || w->engine == NULL || !sp_line_is_up(w->ledger) ||
        w->pending_count >= SP_WATCH_PENDING_MAX) {
        return;
    }
    auto_buf sp_buf body = sp_buf_make(64);
    const sp_ledger_follow ask = {.from = w->next, .as_they_came = 1};
    sp_ledger_follow_write(&ask, &body);
    w->asked = true;
    sp_line_call(w->ledger, SP_LEDGER_FOLLOW, sp_buf_borrow(&body), on_followed, w);
}

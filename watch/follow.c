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
} looking;

static void look(void *self, const sp_event *event, uint16_t at)
{
    const looking *l = self;
    l->watch->last_us = event->when_unix_us;
    if (event->kind != SP_EVENT_ALARM) { /* its own words are no news */
        sp_detect_engine_event(l->watch->engine, event, l->entry, at, l->now_us);
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
    uint64_t now_us = sp_now_unix_us();
    for (sp_span rest = followed->items; sp_ledger_followed_next(&rest, &opened);) {
        looking l = {w, opened.entry, now_us};
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

/* SPDX-License-Identifier: Apache-2.0
 * Alarms on their way to core: in order, each until core says that it is on the ledger.
 * OWNS the queue. PROCESS watch. TRUST none hostile here. SPEC lib/proto/watch_msg.h.
 */
#include "watch/watch.h"

#include "infra/proc/log.h"

static void on_taken(void *self, sp_err err, sp_span body)
{
    pending *p = self;
    watch *w = p->watch;
    (void)body;
    p->asked = false;
    if (sp_failed(err) && err.code != SP_EINVALID && err.code != SP_EUNSUPPORTED) {
        return; /* sent again with the next second */
    }
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "core does not take an alarm: %s", sp_code_word(err.code));
    }
    pending **at = &w->pending_first;
    pending *before = NULL;
    while (*at != p) {
        before = *at;
        at = &before->next;
    }
    *at = p->next;
    w->pending_last = w->pending_last == p ? before : w->pending_last;
    w->pending_count--;
    sp_free(p);
    watch_kept_save(w, false);
    watch_follow(w);
}

void watch_alarms_send(watch *w)
{
    enum { IN_FLIGHT = 64 };
    size_t flying = 0;
    for (pending *p = w->pending_first, *next = NULL; p != NULL && flying < IN_FLIGHT; p = next) {
        next = p->next; /* a reply may come before the call returns */
        flying++;
        if (!p->asked && sp_line_is_up(w->core)) {
            p->asked = true;
            sp_line_call(w->core, SP_CORE_ALARM, sp_span_of(p->body, p->len), on_taken, p);
        }
    }
}

void watch_alarm(void *self, const sp_alarm *alarm)
{
    watch *w = self;
    pending *p = NULL;
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    if (alarm->last_unix_us < w->tell_from_us) {
        return; /* from before there was a watch: it only learns */
    }
    sp_alarm_write(alarm, &body);
    if (sp_failed(sp_buf_error(&body)) || sp_failed(sp_alloc(1, sizeof(*p) + body.len, &p))) {
        sp_log(SP_LOG_ERROR, "no memory for an alarm of %.*s", SP_SPAN_ARG(alarm->detection));
        return;
    }
    *p = (pending){.watch = w, .len = body.len};
    sp_copy(p->body, body.ptr, body.len);
    if (w->pending_last == NULL) {
        w->pending_first = p;
    } else {
        w->pending_last->next = p;
    }
    w->pending_last = p;
    w->pending_count++;
    w->told++;
}

/* SPDX-License-Identifier: Apache-2.0
 * Following the ledger for each sink, one batch at a time.
 * OWNS the sinks, the line to the ledger. PROCESS courier. TRUST see courier/sinks.h.
 * SPEC courier/sinks.h.
 */
#include "courier/sinks.h"

#include "infra/proc/clock.h"
#include "infra/proc/log.h"
#include "lib/notice/template.h"
#include "lib/proto/ledger_msg.h"

enum { TICK_MS = 50, TICKS_A_SECOND = 20, BATCH_MAX_BYTES = 48 << 20 };
#define PAUSE_FIRST_US UINT64_C(500000)
#define PAUSE_MAX_US UINT64_C(60000000)

struct courier_sinks {
    courier *of;
    sp_line *ledger;
    uv_timer_t timer;
    unsigned ticks;
    sink *first;
};

static void step(sink *s);

/* ---- to core ---- */

static void tell(const sink *s)
{
    auto_buf sp_buf body = sp_buf_make(4096);
    const sp_sink_told told = {.keep = s->state == SINK_KEEPING,
                               .failing = s->why[0] != '\0',
                               .next = s->next,
                               .size = s->size,
                               .events = s->events,
                               .bytes = s->bytes,
                               .last_unix_us = s->last_us,
                               .name = s->task.name,
                               .why = sp_span_cstr(s->why)};
    if (s->of->core != NULL && s->state != SINK_NEW) {
        sp_sink_told_write(&told, &body);
        sp_peer_push(s->of->core, SP_COURIER_SINK_TOLD, sp_buf_borrow(&body), NULL, 0);
    }
}

static void keep(sink *s, uint64_t next)
{
    s->next = next;
    s->state = SINK_KEEPING;
    tell(s);
}

/* ---- from the ledger ---- */

/* Of one that is not in the list any more, when nothing is to come for it. */
void sink_gone(sink *s)
{
    if (s->under_way || s->secrets_asked) {
        return;
    }
    sp_buf_done(&s->doc);
    sp_buf_done(&s->batch);
    sp_buf_done(&s->reply);
    sp_secret_wipe(&s->token);
    sp_secret_wipe(&s->secret);
    sp_free(s);
}

static void make_batch(sink *s)
{
    sp_ledger_opened opened;
    sp_span rest = s->rest;
    sink_begin_batch(s);
    while (s->batch_events < s->task.batch && sp_ledger_followed_next(&rest, &opened)) {
        sp_err err = sink_add_entry(s, opened.entry, opened.json);
        if (err.code == SP_EAGAIN) {
            break; /* the next batch begins with it */
        }
        if (sp_failed(err)) {
            sp_log(SP_LOG_ERROR,
                   "sink %.*s: entry %llu cannot be converted, a placeholder is sent: %s",
                   SP_SPAN_ARG(s->task.name), (unsigned long long)opened.entry,
                   sp_code_word(err.code));
        }
        s->batch_next = opened.entry + 1;
        s->rest = rest;
    }
    sink_end_batch(s);
    if (s->batch_events == 0) {
        s->next = s->batch_next > s->next ? s->batch_next : s->next;
        s->state = SINK_IDLE;
        return;
    }
    s->state = SINK_SENDING;
    sink_send(s);
}

static void begin_at(sink *s, const sp_ledger_followed *followed)
{
    keep(s, s->task.from_start == 1 ? 0 : followed->size);
}

static void on_followed(void *self, sp_err err, sp_span body)
{
    sink *s = self;
    sp_ledger_followed followed;
    bool is_new = s->state == SINK_NEW;
    s->under_way = false;
    if (s->dead) {
        sink_gone(s);
        return;
    }
    s->state = is_new ? SINK_NEW : SINK_IDLE;
    if (err.code == SP_ENOTFOUND) {
        sp_log(SP_LOG_ERROR, "sink %.*s: the ledger has no entry %llu any more, it was put back",
               SP_SPAN_ARG(s->task.name), (unsigned long long)s->next);
        s->task.from_start = 0;
        s->state = SINK_NEW; /* at its end */
        return;
    }
    sp_buf_reset(&s->reply);
    sp_buf_span(&s->reply, body);
    if (sp_failed(err) || sp_failed(sp_buf_error(&s->reply)) ||
        sp_failed(sp_ledger_followed_read(sp_buf_borrow(&s->reply), &followed))) {
        return; /* asked again with the next tick */
    }
    s->size = followed.size;
    if (is_new) {
        begin_at(s, &followed);
        return;
    }
    s->rest = followed.items;
    s->batch_next = followed.next;
    s->next = followed.count == 0 ? followed.next : s->next;
    step(s);
}

static void ask(sink *s)
{
    courier_sinks *sinks = s->of->sinks;
    auto_buf sp_buf body = sp_buf_make(64);
    if (s->under_way || !sp_line_is_up(sinks->ledger)) {
        return;
    }
    const sp_ledger_follow ask = {.from = s->state == SINK_NEW ? 0 : s->next};
    sp_ledger_follow_write(&ask, &body);
    s->state = s->state == SINK_NEW ? SINK_NEW : SINK_ASKED;
    s->under_way = true;
    sp_line_call(sinks->ledger, SP_LEDGER_FOLLOW, sp_buf_borrow(&body), on_followed, s);
}

static void step(sink *s)
{
    if (s->of->core == NULL) {
        return; /* a position could not be kept */
    }
    if (s->state == SINK_RESTING && sp_now_steady_us() >= s->again_us) {
        s->state = SINK_SENDING;
        sink_send(s);
    } else if (s->state == SINK_IDLE && s->rest.len > 0) {
        make_batch(s);
    } else if (s->state == SINK_IDLE || s->state == SINK_NEW) {
        ask(s);
    }
}

void sink_over(sink *s, bool taken, const char *why)
{
    if (!taken) {
        if (s->why[0] == '\0') {
            sp_log(SP_LOG_WARN, "sink %.*s does not take events: %s", SP_SPAN_ARG(s->task.name),
                   why);
        }
        SP_IGNORE(sp_fit(s->why, sizeof(s->why), /* cut to fit */
                         sp_text_cut(sp_span_cstr(why), SP_SINK_WHY_MAX_BYTES)));
        s->pause_us = s->pause_us == 0 ? PAUSE_FIRST_US : s->pause_us * 2;
        s->pause_us = s->pause_us > PAUSE_MAX_US ? PAUSE_MAX_US : s->pause_us;
        s->again_us = sp_now_steady_us() + s->pause_us;
        s->secrets_until_us = 0; /* they may have changed */
        s->state = SINK_RESTING;
        return;
    }
    if (s->why[0] != '\0') {
        sp_log(SP_LOG_INFO, "sink %.*s takes events again", SP_SPAN_ARG(s->task.name));
    }
    s->why[0] = '\0';
    s->pause_us = 0;
    s->events += s->batch_events;
    s->bytes += s->batch.len;
    s->last_us = s->batch_us;
    keep(s, s->batch_next);
}

/* ---- from core ---- */

static sink *named(courier_sinks *sinks, sp_span name)
{
    sink *s = sinks->first;
    while (s != NULL && !sp_span_eq(s->task.name, name)) {
        s = s->next_sink;
    }
    return s;
}

static void take_out(courier_sinks *sinks, sink *gone)
{
    sink **at = &sinks->first;
    while (*at != gone) {
        at = &(*at)->next_sink;
    }
    *at = gone->next_sink;
    sink_abort(gone);
    gone->dead = true;
    sink_gone(gone);
}

/* The task without its position: whether it is the same one. */
static void put_doc(const sp_sink_task *task, sp_buf *out)
{
    sp_sink_tasks one = {.count = 1};
    one.tasks[0] = *task;
    one.tasks[0].next = 0;
    one.tasks[0].has_next = 0;
    sp_sink_tasks_write(&one, out);
}

static sp_err add(courier_sinks *sinks, const sp_sink_task *task)
{
    sink *s = NULL;
    sp_sink_tasks one;
    TRY(sp_alloc(1, sizeof(*s), &s));
    s->of = sinks->of;
    s->doc = sp_buf_make(8192);
    s->batch = sp_buf_make(BATCH_MAX_BYTES);
    s->reply = sp_buf_make(SP_MSG_MAX_BYTES);
    put_doc(task, &s->doc);
    sp_err err = sp_sink_tasks_read(sp_buf_borrow(&s->doc), &one);
    if (sp_failed(err)) {
        sink_gone(s);
        return err;
    }
    s->task = one.tasks[0];
    s->next = task->next;
    s->state = task->has_next == 1 ? SINK_IDLE : SINK_NEW;
    s->next_sink = sinks->first;
    sinks->first = s;
    return sp_ok();
}

static bool is_same(const sink *s, const sp_sink_task *task)
{
    auto_buf sp_buf doc = sp_buf_make(8192);
    put_doc(task, &doc);
    return sp_span_eq(sp_buf_borrow(&doc), sp_buf_borrow(&s->doc));
}

static sp_err on_sinks(courier_sinks *sinks, sp_span body)
{
    static sp_sink_tasks tasks; /* large; one at a time */
    TRY(sp_sink_tasks_read(body, &tasks));
    for (sink *s = sinks->first, *after = NULL; s != NULL; s = after) {
        bool stays = false;
        after = s->next_sink;
        for (size_t i = 0; i < tasks.count; i++) {
            stays = stays || is_same(s, &tasks.tasks[i]);
        }
        if (!stays) {
            take_out(sinks, s);
        }
    }
    for (size_t i = 0; i < tasks.count; i++) {
        if (named(sinks, tasks.tasks[i].name) == NULL) {
            TRY(add(sinks, &tasks.tasks[i]));
        }
    }
    return sp_ok();
}

static sp_err on_kept(courier_sinks *sinks, sp_span body)
{
    sp_sink_kept kept;
    TRY(sp_sink_kept_read(body, &kept));
    sink *s = named(sinks, kept.name);
    if (s != NULL && s->state == SINK_KEEPING && kept.next == s->next) {
        s->state = SINK_IDLE;
        step(s);
    }
    return sp_ok();
}

bool courier_sinks_on_message(courier_sinks *sinks, sp_peer *peer, const sp_msg *msg)
{
    bool about_all = msg->kind == SP_COURIER_SINKS;
    if (!about_all && msg->kind != SP_COURIER_SINK_KEPT) {
        return false;
    }
    sp_err err = about_all ? on_sinks(sinks, msg->body) : on_kept(sinks, msg->body);
    sp_peer_reply(peer, msg, err.code, SP_SPAN_EMPTY, NULL, 0);
    return true;
}

/* ---- the loop ---- */

static void on_tick(uv_timer_t *timer)
{
    courier_sinks *sinks = timer->data;
    bool second = ++sinks->ticks % TICKS_A_SECOND == 0;
    for (sink *s = sinks->first, *after = NULL; s != NULL; s = after) {
        after = s->next_sink;
        step(s);
        if (second) {
            tell(s);
        }
    }
}

sp_err courier_sinks_new(courier *of, courier_sinks **ret_sinks)
{
    courier_sinks *sinks = NULL;
    auto_free char *path = NULL;
    TRY(sp_alloc(1, sizeof(*sinks), &sinks));
    *ret_sinks = sinks; /* for as long as the process lives */
    sinks->of = of;
    sinks->timer.data = sinks;
    TRY(sp_config_socket(of->config, "ledger", &path));
    const sp_line_calls calls = {.self = sinks};
    TRY(sp_line_new(&of->loop, path, &calls, &sinks->ledger));
    return uv_timer_init(&of->loop, &sinks->timer) == 0 &&
                   uv_timer_start(&sinks->timer, on_tick, TICK_MS, TICK_MS) == 0
               ? sp_ok()
               : sp_fail(SP_EIO);
}

void courier_sinks_free(courier_sinks *sinks)
{
    if (sinks == NULL) {
        return;
    }
    while (sinks->first != NULL) {
        take_out(sinks, sinks->first);
    }
    sp_line_free(sinks->ledger); /* answers to the dead, who free themselves */
}

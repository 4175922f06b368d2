/* SPDX-License-Identifier: Apache-2.0
 * The engine of plans: starting, going on, waiting, ending.
 * OWNS the room's timer. PROCESS core. TRUST see plans.h. SPEC core/plans/plans.h.
 *
 * Nothing is held in memory between two calls: a run is read, taken as far as it goes, and written.
 */
#include "core/clock.h"
#include "core/devices/devices.h"
#include "core/documents/documents.h"
#include "core/http/sse.h"
#include "core/incidents/incidents.h"
#include "core/ledger_client.h"
#include "core/notices/notices.h"
#include "core/plans/inside.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"

#include <stdio.h>

enum {
    TICK_MS = 250,
    OUTSIDE_GRACE_S = 10,
    DETAIL_BYTES = 8 * 1024,
    RUNS_PIECE = 200,
    END_BYTES = 4096,
    PROPOSED_S = 86400
};
#define SECOND_US UINT64_C(1000000)

typedef struct {
    sp_core *core;
    sp_arena arena;
    sp_run run;
    sp_run_step *steps;
    size_t count;
} work;

const char *sp_run_state_word(sp_run_state state)
{
    static const char *const words[] = {"waiting", "running", "done", "failed", "stopped"};
    _Static_assert(SP_COUNT(words) == SP_RUN_STATE_COUNT, "a word for each");
    return (unsigned)state < SP_RUN_STATE_COUNT ? words[state] : "?";
}

const char *sp_step_state_word(sp_step_state state)
{
    static const char *const words[] = {"pending", "waiting", "running",
                                        "done",    "failed",  "skipped"};
    _Static_assert(SP_COUNT(words) == SP_STEP_STATE_COUNT, "a word for each");
    return (unsigned)state < SP_STEP_STATE_COUNT ? words[state] : "?";
}

/* ---- told: to the ledger, to the incident's timeline, to who looks ---- */

void sp_run_tell(sp_core *core, const sp_run *run, const char *method, sp_span step, sp_span what)
{
    auto_buf sp_buf room = sp_buf_make(DETAIL_BYTES);
    auto_buf sp_buf line = sp_buf_make(SP_INCIDENT_NOTE_BYTES);
    sp_buf_fmt(&room, "{\"run\":\"%llu\",\"incident\":\"%llu\",\"drill\":%s,\"step\":",
               (unsigned long long)run->id, (unsigned long long)run->incident,
               run->drill ? "true" : "false");
    sp_buf_json(&room, step);
    sp_buf_text(&room, ",\"what\":");
    sp_buf_json(&room, what);
    sp_buf_byte(&room, '}');
    sp_event event = {.kind = SP_EVENT_PLAN,
                      .when_unix_us = sp_now_unix_us(),
                      .verdict = SP_VERDICT_ALLOW,
                      .severity = run->drill ? (uint8_t)SP_SEVERITY_INFO : run->severity,
                      .person_name = run->by_name,
                      .method = sp_span_cstr(method),
                      .object = run->plan,
                      .detail = sp_buf_borrow(&room)};
    sp_ledger_client_tell(core->ledger, &event);
    sp_buf_text(&line, run->drill ? "[drill] " : "");
    sp_buf_text(&line, method);
    sp_buf_text(&line, step.len > 0 ? " " : "");
    sp_buf_span(&line, step);
    sp_buf_text(&line, what.len > 0 ? ": " : "");
    sp_buf_span(&line, what);
    if (run->incident != 0 && !sp_failed(sp_buf_error(&line))) {
        const sp_incident_note note = {
            .kind = "plan", .by_name = run->plan, .text = sp_buf_borrow(&line)};
        sp_incident_add(core, run->incident, &note);
    }
    sp_sse_publish(core, SP_TOPIC_SESSIONS | SP_TOPIC_HEALTH, 0, "plans",
                   json_pack("{s:I}", "run", (json_int_t)run->id));
}

/* Somebody has to confirm the run, or this step of it. */
static void page_waits(sp_core *core, const sp_run *run, sp_span what)
{
    auto_buf sp_buf incident = sp_buf_make(32);
    sp_buf_u64_text(&incident, run->incident);
    const sp_notice_pair values[] = {{SP_SPAN_LIT("plan"), run->plan},
                                     {SP_SPAN_LIT("incident"), sp_buf_borrow(&incident)},
                                     {SP_SPAN_LIT("step"), what}};
    const sp_notice_ask ask = {.notice = SP_SPAN_LIT("plan-waits"),
                               .values = values,
                               .values_count = SP_COUNT(values),
                               .incident = run->incident,
                               .drill = run->drill,
                               .by = run->plan};
    sp_notices_tell(core, &ask);
}

/* ---- work ---- */

static sp_err work_load(sp_core *core, uint64_t id, work *w)
{
    *w = (work){.core = core, .arena = sp_arena_make(SP_PLAN_ARENA_BYTES)};
    TRY(sp_run_get(core->store, &w->arena, id, &w->run));
    return sp_run_steps(core->store, &w->arena, id, &w->steps, &w->count);
}

static void work_done(work *w)
{
    sp_arena_done(&w->arena);
}
#define auto_work __attribute__((cleanup(work_done)))

static sp_err save_run(const work *w)
{
    auto_txn sp_txn txn = sp_txn_begin(w->core->store);
    TRY(txn.err);
    TRY(sp_run_put(w->core->store, &w->run));
    return sp_txn_commit(&txn);
}

static sp_err save_step(const work *w, const sp_run_step *step)
{
    auto_txn sp_txn txn = sp_txn_begin(w->core->store);
    TRY(txn.err);
    TRY(sp_run_put(w->core->store, &w->run));
    TRY(sp_run_step_put(w->core->store, step));
    return sp_txn_commit(&txn);
}

static bool is_over(const sp_run_step *step)
{
    return step->state >= SP_STEP_DONE;
}

static uint64_t steps_over(const work *w)
{
    uint64_t over = 0;
    for (size_t i = 0; i < w->count; i++) {
        over |= is_over(&w->steps[i]) ? UINT64_C(1) << i : 0;
    }
    return over;
}

/* ---- ends ---- */

/* The last step first; *left gets the steps that could not be, and why. */
static void give_back(work *w, sp_buf *left)
{
    for (size_t i = w->count; i-- > 0;) {
        sp_err err = sp_step_take_back(w->core, &w->run, &w->steps[i]);
        if (sp_failed(err)) {
            sp_buf_text(left, left->len > 0 ? ", " : "could not be given back: ");
            sp_buf_span(left, w->steps[i].is.name);
            sp_buf_fmt(left, " (%s)", sp_code_word(err.code));
        }
    }
}

static sp_err end_run(work *w, sp_run_state state, bool undo, sp_span why)
{
    auto_buf sp_buf said = sp_buf_make(END_BYTES);
    uint64_t now_us = sp_now_unix_us();
    for (size_t i = 0; i < w->count; i++) {
        if (!is_over(&w->steps[i])) {
            if (w->steps[i].state == SP_STEP_RUNNING && sp_step_is_outside(&w->steps[i].is)) {
                sp_step_outside_stop(w->core, &w->steps[i]);
            }
            w->steps[i].state = SP_STEP_SKIPPED;
            w->steps[i].ended_us = now_us;
            TRY(save_step(w, &w->steps[i]));
        }
    }
    w->run.state = (uint8_t)state;
    w->run.ended_us = now_us;
    w->run.why = why.len > 0 ? why : w->run.why;
    TRY(save_run(w));
    if (undo) {
        sp_run_tell(w->core, &w->run, "undo", SP_SPAN_EMPTY, why);
        auto_buf sp_buf left = sp_buf_make(END_BYTES);
        give_back(w, &left);
        sp_buf_span(&said, sp_buf_borrow(&left));
    }
    if (why.len > 0) {
        sp_buf_text(&said, said.len > 0 ? "; " : "");
        sp_buf_span(&said, why);
    }
    sp_run_tell(w->core, &w->run, sp_run_state_word(state), SP_SPAN_EMPTY, sp_buf_borrow(&said));
    return sp_ok();
}

/* ---- steps ---- */

static sp_err finish(work *w, sp_run_step *step, bool worked, sp_span note)
{
    step->state = worked ? SP_STEP_DONE : SP_STEP_FAILED;
    step->ended_us = sp_now_unix_us();
    step->note = note;
    TRY(save_step(w, step));
    sp_run_tell(w->core, &w->run, worked ? "step" : "step failed", step->is.name, note);
    if (worked || step->is.on_failure == SP_STEP_GO_ON) {
        return sp_ok();
    }
    auto_buf sp_buf why = sp_buf_make(SP_PLAN_NOTE_BYTES);
    sp_buf_text(&why, "step ");
    sp_buf_span(&why, step->is.name);
    sp_buf_text(&why, " failed");
    return end_run(w, SP_RUN_FAILED, step->is.on_failure == SP_STEP_UNDO, sp_buf_borrow(&why));
}

/* In the store as begun, then done. */
static sp_err perform(work *w, sp_run_step *step)
{
    auto_buf sp_buf note = sp_buf_make(SP_PLAN_NOTE_BYTES);
    step->state = SP_STEP_RUNNING;
    step->began_us = step->began_us == 0 ? sp_now_unix_us() : step->began_us;
    bool leaves = sp_step_is_outside(&step->is) && !w->run.drill;
    step->undo = leaves && step->is.undo_count > 0 ? SP_UNDO_OWED : SP_UNDO_NONE;
    TRY(save_step(w, step));
    sp_err err = sp_ok();
    if (leaves) {
        err = sp_step_outside(w->core, &w->run, step, false, &note);
        step->undo = sp_failed(err) ? SP_UNDO_NONE : step->undo;
        if (!sp_failed(err)) {
            sp_run_tell(w->core, &w->run, "step begun", step->is.name, sp_buf_borrow(&note));
            return sp_ok(); /* its end comes later */
        }
    } else {
        err = sp_step_do_it(w->core, &w->run, step, &note);
    }
    sp_span said = sp_failed(sp_buf_error(&note)) ? SP_SPAN_LIT("done") : sp_buf_borrow(&note);
    return finish(w, step, !sp_failed(err), said);
}

static sp_err begin(work *w, sp_run_step *step)
{
    if (!step->is.needs_confirm && step->is.what != SP_STEP_WAIT) {
        return perform(w, step);
    }
    step->state = SP_STEP_WAITING;
    step->began_us = sp_now_unix_us();
    TRY(save_step(w, step));
    sp_run_tell(w->core, &w->run, "step waits", step->is.name,
                step->is.needs_confirm ? SP_SPAN_LIT("for a person") : SP_SPAN_LIT("for a while"));
    if (step->is.needs_confirm) {
        page_waits(w->core, &w->run, step->is.text.len > 0 ? step->is.text : step->is.name);
    }
    return sp_ok();
}

/* A clock that was set back makes nothing older. */
static uint64_t age_of(const sp_run_step *step)
{
    uint64_t now_us = sp_now_unix_us();
    return now_us > step->began_us ? now_us - step->began_us : 0;
}

/* One that waits: its time has come, or is over. What a person has to confirm no time confirms. */
static sp_err look_at_waiting(work *w, sp_run_step *step)
{
    uint64_t age_us = age_of(step);
    if (step->is.what == SP_STEP_WAIT && !step->is.needs_confirm && step->is.for_s > 0 &&
        step->is.for_s <= step->is.timeout_s && age_us >= step->is.for_s * SECOND_US) {
        return finish(w, step, true, SP_SPAN_LIT("waited"));
    }
    if (age_us >= step->is.timeout_s * SECOND_US) {
        return finish(w, step, false, SP_SPAN_LIT("nobody confirmed it in time"));
    }
    return sp_ok();
}

/* One that is under way outside: whoever does it ends it in time, or has forgotten it. */
static sp_err look_at_outside(work *w, sp_run_step *step)
{
    uint64_t age_us = age_of(step);
    if (age_us < (step->is.timeout_s + OUTSIDE_GRACE_S) * SECOND_US) {
        return sp_ok();
    }
    sp_step_outside_stop(w->core, step);
    return finish(w, step, false, SP_SPAN_LIT("no answer came in time"));
}

/* As far as it goes now. */
static sp_err advance(work *w)
{
    bool moved = true;
    while (moved && w->run.state == SP_RUN_RUNNING) {
        moved = false;
        for (size_t i = 0; i < w->count && w->run.state == SP_RUN_RUNNING; i++) {
            sp_run_step *step = &w->steps[i];
            if (step->state == SP_STEP_PENDING && (step->is.after & ~steps_over(w)) == 0) {
                TRY(begin(w, step));
                moved = true;
            } else if (step->state == SP_STEP_WAITING) {
                TRY(look_at_waiting(w, step));
                moved = moved || is_over(step);
            } else if (step->state == SP_STEP_RUNNING && sp_step_is_outside(&step->is)) {
                TRY(look_at_outside(w, step));
                moved = moved || is_over(step);
            }
        }
    }
    bool all = w->count == 64 ? steps_over(w) == UINT64_MAX
                              : steps_over(w) == (UINT64_C(1) << w->count) - 1;
    return w->run.state == SP_RUN_RUNNING && all ? end_run(w, SP_RUN_DONE, false, SP_SPAN_EMPTY)
                                                 : sp_ok();
}

/* ---- starting ---- */

static sp_err keep(sp_core *core, const sp_policy_set *set, size_t at, size_t count, sp_run *run)
{
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(txn.err);
    TRY(sp_run_add(core->store, run));
    for (size_t i = 0; i < count; i++) {
        sp_run_step step = {.run = run->id, .number = (uint32_t)i};
        TRY(sp_policy_set_plan_step(set, at, i, &step.is));
        TRY(sp_run_step_add(core->store, &step));
    }
    return sp_txn_commit(&txn);
}

static sp_err ensure_incident(sp_core *core, const sp_policy_plan *plan, sp_run *run)
{
    auto_buf sp_buf title = sp_buf_make(SP_INCIDENT_TITLE_MAX_BYTES);
    if (run->incident != 0) {
        return sp_ok();
    }
    sp_buf_text(&title, run->drill ? "Drill: " : "");
    sp_buf_span(&title, plan->title_en.len > 0 ? plan->title_en : plan->name);
    const sp_incident_open open = {.title = sp_buf_borrow(&title),
                                   .by_name = run->by_name,
                                   .about = run->facts.person,
                                   .severity = run->severity,
                                   .drill = run->drill};
    TRY(sp_buf_error(&title));
    return sp_incident_open_one(core, &open, &run->incident, NULL);
}

sp_err sp_run_start(sp_core *core, const sp_run_order *order, uint64_t *ret_id)
{
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    sp_policy_plan plan;
    size_t at = 0;
    TRY(sp_policy_set_plan_find(set, order->plan, &at));
    TRY(sp_policy_set_plan(set, at, &plan));
    const char *why = sp_plan_held_back(core, &plan, order);
    sp_run run = {.incident = order->incident,
                  .started_us = sp_now_unix_us(),
                  .state = why == NULL ? SP_RUN_RUNNING : SP_RUN_WAITING,
                  .severity = order->severity,
                  .drill = order->drill,
                  .by_itself = order->by_itself && why == NULL,
                  .plan = plan.name,
                  .by_name = order->by_name,
                  .why = sp_span_cstr(why),
                  .facts = order->facts};
    sp_copy(run.confirm_by, plan.confirm_by, sizeof(run.confirm_by));
    TRY(ensure_incident(core, &plan, &run));
    TRY(keep(core, set, at, plan.steps, &run));
    *ret_id = run.id;
    sp_run_tell(core, &run, why == NULL ? "started" : "proposed", SP_SPAN_EMPTY, run.why);
    if (why != NULL) {
        page_waits(core, &run, run.why);
    }
    auto_work work w;
    TRY(work_load(core, run.id, &w));
    return advance(&w);
}

/* ---- people's word ---- */

sp_err sp_run_confirm(sp_core *core, uint64_t id, uint32_t at, sp_span by_name)
{
    auto_work work w;
    TRY(work_load(core, id, &w));
    if (at == SP_NONE) {
        if (w.run.state != SP_RUN_WAITING) {
            return sp_fail(SP_ECONFLICT);
        }
        w.run.state = SP_RUN_RUNNING;
        w.run.by_name = by_name;
        TRY(save_run(&w));
        sp_run_tell(core, &w.run, "confirmed", SP_SPAN_EMPTY, by_name);
        return advance(&w);
    }
    if (w.run.state != SP_RUN_RUNNING || at >= w.count || w.steps[at].state != SP_STEP_WAITING) {
        return sp_fail(SP_ECONFLICT);
    }
    sp_run_step *step = &w.steps[at];
    step->by_name = by_name;
    sp_run_tell(core, &w.run, "step confirmed", step->is.name, by_name);
    TRY(perform(&w, step));
    return advance(&w);
}

sp_err sp_run_stop(sp_core *core, uint64_t id, bool undo, sp_span by_name, sp_span why)
{
    auto_work work w;
    TRY(work_load(core, id, &w));
    if (w.run.state > SP_RUN_RUNNING && !undo) {
        return sp_fail(SP_ECONFLICT);
    }
    w.run.by_name = by_name;
    return end_run(&w, w.run.state > SP_RUN_RUNNING ? (sp_run_state)w.run.state : SP_RUN_STOPPED,
                   undo, why);
}

/* ---- steps that others carry out ---- */

static sp_err step_over(work *w, uint32_t number, bool worked, sp_span note)
{
    if (number >= w->count || w->run.state != SP_RUN_RUNNING ||
        w->steps[number].state != SP_STEP_RUNNING || !sp_step_is_outside(&w->steps[number].is)) {
        return sp_ok();
    }
    TRY(finish(w, &w->steps[number], worked, note));
    return advance(w);
}

void sp_step_over(sp_core *core, uint64_t run, uint32_t number, bool worked, sp_span note)
{
    auto_work work w;
    sp_err err = work_load(core, run, &w);
    if (!sp_failed(err)) {
        err = step_over(&w, number, worked, note);
    }
    if (sp_failed(err) && err.code != SP_ENOTFOUND) {
        sp_log(SP_LOG_ERROR, "run %llu of a plan does not go on: %s", (unsigned long long)run,
               sp_code_word(err.code));
    }
}

/* ---- time, start and stop ---- */

/* Each run that is under way, or only those that have something to do now; oldest first, a piece at
 * a time: what is done to one may end it, and start another. */
static sp_err each_running(sp_core *core, bool only_due,
                           void (*then)(sp_core *core, uint64_t id, void *self), void *self)
{
    uint64_t ids[RUNS_PIECE];
    uint64_t last = 0;
    size_t count = 0;
    do {
        TRY(only_due ? sp_runs_due(core->store, last, sp_now_unix_us(), OUTSIDE_GRACE_S, ids,
                                   RUNS_PIECE, &count)
                     : sp_runs_running(core->store, last, ids, RUNS_PIECE, &count));
        for (size_t i = 0; i < count; i++) {
            then(core, ids[i], self);
        }
        last = count > 0 ? ids[count - 1] : last;
    } while (count == RUNS_PIECE);
    return sp_ok();
}

typedef struct {
    sp_step_do what;
    bool (*is_known)(void *self, uint64_t run, uint32_t number);
    void *self;
    sp_span why;
} looking_for_lost;

static void end_lost(sp_core *core, uint64_t id, void *self)
{
    const looking_for_lost *l = self;
    auto_work work w;
    bool loaded = !sp_failed(work_load(core, id, &w));
    for (size_t i = 0; loaded && i < w.count; i++) {
        if (w.steps[i].state == SP_STEP_RUNNING && w.steps[i].is.what == l->what &&
            !l->is_known(l->self, id, (uint32_t)i)) {
            sp_step_over(core, id, (uint32_t)i, false, l->why);
        }
    }
}

void sp_steps_lost(sp_core *core, sp_step_do what,
                   bool (*is_known)(void *self, uint64_t run, uint32_t number), void *self,
                   sp_span why)
{
    looking_for_lost look = {what, is_known, self, why};
    SP_IGNORE(each_running(core, false, end_lost, &look)); /* else their time will be over */
}

static void go_on(sp_core *core, uint64_t id, void *self)
{
    const bool after_start = *(const bool *)self;
    auto_work work w;
    sp_err err = work_load(core, id, &w);
    for (size_t i = 0; after_start && !sp_failed(err) && i < w.count; i++) {
        sp_run_step *step = &w.steps[i];
        if (step->state != SP_STEP_RUNNING || w.run.state != SP_RUN_RUNNING ||
            step->is.what == SP_STEP_WEBHOOK) { /* the courier knows what became of that */
            continue;
        }
        /* the same cut twice is one; whether people were told is not known */
        err = step->is.what <= SP_STEP_REQUIRE_STEP_UP
                  ? perform(&w, step)
                  : finish(&w, step, false, SP_SPAN_LIT("core ended while it ran"));
    }
    if (!sp_failed(err)) {
        err = advance(&w);
    }
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "run %llu of a plan does not go on: %s", (unsigned long long)id,
               sp_code_word(err.code));
    }
}

/* What nobody confirmed for a day is not wanted. */
static void end_old_proposals(sp_core *core)
{
    uint64_t ids[RUNS_PIECE];
    size_t count = 0;
    uint64_t now_us = sp_now_unix_us();
    uint64_t before_us = now_us > PROPOSED_S * SECOND_US ? now_us - PROPOSED_S * SECOND_US : 0;
    sp_err err = sp_runs_proposed(core->store, before_us, ids, RUNS_PIECE, &count);
    for (size_t i = 0; i < count; i++) {
        auto_work work w;
        err = work_load(core, ids[i], &w);
        if (!sp_failed(err)) {
            err = end_run(&w, SP_RUN_STOPPED, false, SP_SPAN_LIT("nobody confirmed it in a day"));
        }
    }
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "plans that nobody confirmed do not end: %s", sp_code_word(err.code));
    }
}

sp_err sp_plans_clock_rows(sp_core *core, int64_t by_s)
{
    return core->plans == NULL ? sp_ok() : sp_runs_move(core->store, by_s * (int64_t)SECOND_US);
}

static void on_tick(uv_timer_t *timer)
{
    const sp_plans *plans = timer->data;
    sp_clock_look(plans->core);
    bool after_start = false;
    SP_IGNORE(each_running(plans->core, true, go_on, &after_start)); /* the next tick looks again */
    end_old_proposals(plans->core);
    sp_undos_look(plans->core, OUTSIDE_GRACE_S);
}

static void on_first(uv_timer_t *timer)
{
    const sp_plans *plans = timer->data;
    bool after_start = true;
    SP_IGNORE(
        each_running(plans->core, false, go_on, &after_start)); /* the next tick looks again */
    uv_timer_start(timer, on_tick, TICK_MS, TICK_MS);
}

sp_err sp_plans_start(sp_core *core, sp_plans **ret_plans)
{
    auto_free sp_plans *plans = NULL;
    TRY(sp_plan_rows_start(core->store));
    TRY(sp_plan_routes(core));
    TRY(sp_alloc(1, sizeof(*plans), &plans));
    plans->core = core;
    plans->timer.data = plans;
    TRY(sp_outside_start(core, plans));
    /* the first look is on the loop: the lines to ledger and vault come up there */
    if (uv_timer_init(core->loop, &plans->timer) != 0 ||
        uv_timer_start(&plans->timer, on_first, TICK_MS, 0) != 0) {
        return sp_fail(SP_EIO);
    }
    *ret_plans = SP_STEAL(plans);
    return sp_ok();
}

static void on_closed(uv_handle_t *handle)
{
    sp_free(handle->data);
}

void sp_plans_stop(sp_plans *plans)
{
    if (plans != NULL) {
        sp_line_free(plans->runner);
        plans->runner = NULL;
        uv_close((uv_handle_t *)&plans->timer, on_closed);
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * The API of plans and their runs.
 * OWNS nothing. PROCESS core. TRUST requests are hostile. SPEC docs/api/openapi.yaml "/plans".
 */
#include "core/cut/cut.h"
#include "core/documents/documents.h"
#include "core/http/json.h"
#include "core/http/router.h"
#include "core/identity/people.h"
#include "core/incidents/incidents.h"
#include "core/plans/inside.h"

enum { DETAIL_BYTES = 2048, REASON_MAX_BYTES = 500 };

/* ---- plans ---- */

static json_t *steps_would(sp_core *core, size_t at, size_t count, const sp_plan_facts *facts)
{
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        sp_policy_step step;
        if (!sp_failed(sp_policy_set_plan_step(set, at, i, &step))) {
            json_array_append_new(list, sp_step_would(core, facts, &step));
        }
    }
    return list;
}

static json_t *plan_json(sp_core *core, size_t at)
{
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    sp_policy_plan plan;
    uint64_t drilled_us = 0;
    uint64_t run_us = 0;
    uint64_t due = 0;
    json_t *steps = json_array();
    if (sp_failed(sp_policy_set_plan(set, at, &plan)) ||
        sp_failed(sp_runs_last(core->store, plan.name, true, &drilled_us)) ||
        sp_failed(sp_runs_last(core->store, plan.name, false, &run_us))) {
        json_decref(steps);
        return json_null();
    }
    for (size_t i = 0; i < plan.steps; i++) {
        sp_policy_step step;
        if (!sp_failed(sp_policy_set_plan_step(set, at, i, &step))) {
            json_array_append_new(
                steps, json_pack("{s:o,s:s,s:b}", "name", sp_json_span_or_null(step.name), "do",
                                 sp_step_do_word(step.what), "confirm", (int)step.needs_confirm));
        }
    }
    bool over = sp_drill_due(core, &plan, drilled_us, &due);
    return json_pack(
        "{s:o,s:o,s:s,s:o,s:o,s:o,s:o,s:b}", "name", sp_json_span_or_null(plan.name), "title",
        json_pack("{s:o,s:o}", "en", sp_json_span_or_null(plan.title_en), "zh",
                  sp_json_span_or_null(plan.title_zh)),
        "mode", sp_plan_mode_word(plan.mode), "steps", steps, "last_drilled_at",
        sp_json_time(drilled_us / 1000000), "last_run_at", sp_json_time(run_us / 1000000),
        "drill_due_at", sp_json_time(due), "drill_due", (int)over);
}

static void get_plans(sp_request *req)
{
    sp_core *core = sp_request_core(req);
    json_t *items = json_array();
    size_t count = sp_policy_set_plan_count(sp_documents_set(core->state->documents));
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(items, plan_json(core, i));
    }
    sp_answer_items(req, items);
}

/* A plan of the office's own begins as a copy of one of these. */
static void get_builtin(sp_request *req)
{
    sp_policy_file file = sp_policy_builtin_plans();
    sp_answer_json(
        req, 200,
        json_pack("{s:s,s:o}", "path", file.name, "text", sp_json_span_or_null(file.text)));
}

/* ---- runs ---- */

static json_t *time_us(uint64_t when_us)
{
    auto_buf sp_buf out = sp_buf_make(64);
    if (when_us == 0) {
        return json_null();
    }
    sp_buf_time(&out, when_us);
    return sp_json_span_or_null(sp_buf_borrow(&out));
}

static json_t *run_json(const sp_run *run)
{
    const sp_plan_facts *f = &run->facts;
    return json_pack(
        "{s:o,s:o,s:s,s:b,s:o,s:o,s:o,s:o,s:o,s:o}", "id", sp_json_id(run->id), "plan",
        sp_json_span_or_null(run->plan), "state", sp_run_state_word((sp_run_state)run->state),
        "drill", (int)run->drill, "incident",
        run->incident == 0 ? json_null() : sp_json_id(run->incident), "started_at",
        time_us(run->started_us), "ended_at", time_us(run->ended_us), "by",
        sp_json_span_or_null(run->by_name), "why", sp_json_span_or_null(run->why), "about",
        json_pack("{s:o,s:o,s:o,s:o,s:o}", "person", sp_json_span_or_null(f->person), "session",
                  sp_json_span_or_null(f->session), "device", sp_json_span_or_null(f->device),
                  "resource", sp_json_span_or_null(f->resource), "class",
                  sp_json_span_or_null(f->class_name)));
}

static json_t *step_json(const sp_run *run, const sp_run_step *step)
{
    uint64_t took_us =
        step->ended_us > step->began_us && step->began_us > 0 ? step->ended_us - step->began_us : 0;
    uint64_t since_us = step->began_us > run->started_us ? step->began_us - run->started_us : 0;
    return json_pack(
        "{s:I,s:o,s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:b,s:I,s:I,s:s}", "number", (json_int_t)step->number,
        "name", sp_json_span_or_null(step->is.name), "do", sp_step_do_word(step->is.what), "state",
        sp_step_state_word((sp_step_state)step->state), "began_at", time_us(step->began_us),
        "ended_at", time_us(step->ended_us), "note", sp_json_span_or_null(step->note), "by",
        sp_json_span_or_null(step->by_name), "cut",
        step->cut == 0 ? json_null() : sp_json_id(step->cut), "confirm",
        (int)step->is.needs_confirm, "after_us", (json_int_t)since_us, "took_us",
        (json_int_t)took_us, "undo", sp_step_undo_word((sp_step_undo_state)step->undo));
}

/* A run with its steps: while it runs, and as the report when it has ended. */
static json_t *report_json(sp_core *core, sp_arena *arena, const sp_run *run)
{
    sp_run_step *steps = NULL;
    size_t count = 0;
    json_t *whole = run_json(run);
    json_t *list = json_array();
    uint64_t first_us = 0;
    if (!sp_failed(sp_run_steps(core->store, arena, run->id, &steps, &count))) {
        for (size_t i = 0; i < count; i++) {
            json_array_append_new(list, step_json(run, &steps[i]));
            bool cuts = steps[i].is.what <= SP_STEP_REQUIRE_STEP_UP &&
                        steps[i].state == SP_STEP_DONE && steps[i].ended_us > run->started_us;
            if (cuts && first_us == 0) {
                first_us = steps[i].ended_us - run->started_us;
            }
        }
    }
    json_object_set_new(whole, "steps", list);
    json_object_set_new(whole, "first_cut_us",
                        first_us == 0 ? json_null() : json_integer((json_int_t)first_us));
    return whole;
}

static void list_one(void *self, const sp_run *run)
{
    json_array_append_new(self, run_json(run));
}

json_t *sp_plans_runs_json(sp_core *core, uint64_t incident)
{
    json_t *items = json_array();
    SP_IGNORE(sp_runs_each(core->store, incident, false, list_one, items)); /* what can be read */
    return items;
}

static void get_runs(sp_request *req)
{
    json_t *items = json_array();
    bool all = sp_span_eq(sp_request_query(req, "all"), SP_SPAN_LIT("1"));
    sp_err err = sp_runs_each(sp_request_core(req)->store, 0, !all, list_one, items);
    sp_answer_read(req, err, items);
}

static bool named_run(sp_request *req, sp_run *ret_run)
{
    uint64_t id = 0;
    if (sp_request_param_u64(req, 0, &id) &&
        !sp_failed(sp_run_get(sp_request_core(req)->store, sp_request_arena(req), id, ret_run))) {
        return true;
    }
    sp_answer_problem(req, 404, "not_found", "There is no such run.");
    return false;
}

static void answer_run(sp_request *req, uint64_t id, unsigned status)
{
    sp_run run;
    sp_core *core = sp_request_core(req);
    sp_err err = sp_run_get(core->store, sp_request_arena(req), id, &run);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        sp_answer_json(req, status, report_json(core, sp_request_arena(req), &run));
    }
}

static void get_run(sp_request *req)
{
    sp_run run;
    if (named_run(req, &run)) {
        sp_answer_json(req, 200, report_json(sp_request_core(req), sp_request_arena(req), &run));
    }
}

/* ---- starting one ---- */

typedef struct {
    sp_run_order order;
    uint64_t id;
    uint32_t step;
    bool undo;
    sp_span why;
} change;

static change *change_new(sp_request *req)
{
    change *c = NULL;
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*c), &c);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    }
    return c;
}

static void record(sp_request *req, const char *method, sp_span plan, change *c, sp_request_go go)
{
    auto_buf sp_buf detail = sp_buf_make(DETAIL_BYTES);
    sp_buf_fmt(&detail, "{\"run\":\"%llu\",\"drill\":%s,\"why\":", (unsigned long long)c->id,
               c->order.drill ? "true" : "false");
    sp_buf_json(&detail, c->why);
    sp_buf_byte(&detail, '}');
    sp_event event = sp_request_event(req, SP_EVENT_PLAN);
    event.severity = c->order.drill ? SP_SEVERITY_INFO : SP_SEVERITY_MEDIUM;
    event.method = sp_span_cstr(method);
    event.object = plan;
    event.detail = sp_buf_borrow(&detail);
    sp_request_record(req, &event, go, c);
}

static void go_start(sp_request *req, void *data)
{
    change *c = data;
    uint64_t id = 0;
    sp_err err = sp_run_start(sp_request_core(req), &c->order, &id);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        answer_run(req, id, 201);
    }
}

/* People name a device; facts have its number. False: answered. */
static bool find_device(sp_request *req, sp_span *device)
{
    sp_cut_target target;
    auto_buf sp_buf number = sp_buf_make(32);
    sp_err err = sp_cut_find(sp_request_core(req), SP_CUT_DEVICE, *device, &target);
    if (sp_failed(err)) {
        sp_answer_invalid(req, "device",
                          err.code == SP_EEXISTS ? "a name that is one device's, or id:NUMBER"
                                                 : "a device's name, or id:NUMBER");
        return false;
    }
    sp_buf_u64_text(&number, target.id);
    err = sp_arena_copy(sp_request_arena(req), sp_buf_borrow(&number), device);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    }
    return !sp_failed(err);
}

static void post_start(sp_request *req)
{
    sp_core *core = sp_request_core(req);
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    change *c = change_new(req);
    sp_policy_plan plan;
    sp_person person;
    size_t at = 0;
    bool dry = false;
    if (c == NULL) {
        return;
    }
    sp_plan_facts *f = &c->order.facts;
    const sp_field fields[] = {
        SP_FIELD_TEXT_OPT("person", &f->person, 0, SP_NAME_MAX_BYTES),
        SP_FIELD_TEXT_OPT("session", &f->session, 0, SP_NAME_MAX_BYTES),
        SP_FIELD_TEXT_OPT("device", &f->device, 0, SP_NAME_MAX_BYTES),
        SP_FIELD_TEXT_OPT("resource", &f->resource, 0, SP_NAME_MAX_BYTES),
        SP_FIELD_TEXT_OPT("class", &f->class_name, 0, SP_NAME_MAX_BYTES),
        SP_FIELD_U64_OPT("incident", &c->order.incident, INT64_MAX),
        SP_FIELD_TEXT_OPT("reason", &c->why, 0, REASON_MAX_BYTES),
        SP_FIELD_BOOL_OPT("drill", &c->order.drill),
        SP_FIELD_BOOL_OPT("dry_run", &dry),
    };
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    if (sp_failed(sp_policy_set_plan_find(set, sp_request_param(req, 0), &at)) ||
        sp_failed(sp_policy_set_plan(set, at, &plan))) {
        sp_answer_problem(req, 404, "not_found", "There is no plan of this name.");
        return;
    }
    if (f->person.len > 0 && sp_failed(sp_people_find(core->store, f->person, &person))) {
        sp_answer_invalid(req, "person", "a person's login name");
        return;
    }
    if (f->device.len > 0 && !find_device(req, &f->device)) {
        return;
    }
    if (dry) {
        sp_answer_json(req, 200,
                       json_pack("{s:o,s:o}", "plan", sp_json_span_or_null(plan.name), "steps",
                                 steps_would(core, at, plan.steps, f)));
        return;
    }
    if (!c->order.drill && c->why.len == 0) {
        sp_answer_invalid(req, "reason", "why, in a few words");
        return;
    }
    if (c->order.incident != 0 && !sp_incident_takes(core, c->order.incident, c->order.drill)) {
        sp_answer_invalid(req, "incident",
                          "an open incident; of a drill for a drill, a real one else");
        return;
    }
    c->order.plan = sp_request_param(req, 0);
    c->order.by_name = sp_request_by(req);
    c->order.severity = SP_SEVERITY_HIGH;
    record(req, c->order.drill ? "drill" : "run", c->order.plan, c, go_start);
}

/* ---- confirming, stopping ---- */

static bool holds_any(const sp_request *req, const uint64_t roles[SP_ROLE_WORDS])
{
    const sp_live_session *session = sp_request_session(req);
    uint64_t both = 0;
    for (size_t w = 0; session != NULL && w < SP_ROLE_WORDS; w++) {
        both |= session->roles[w] & roles[w];
    }
    return both != 0;
}

/* Nobody answers for what is about himself; true: it has been answered. */
static bool is_about_himself(sp_request *req, const sp_run *run)
{
    if (!sp_run_is_about(sp_request_core(req), run, sp_request_person(req))) {
        return false;
    }
    sp_answer_problem(req, 409, "conflict",
                      "This run is about yourself. Ask somebody else of your role.");
    return true;
}

static void go_confirm(sp_request *req, void *data)
{
    const change *c = data;
    sp_err err = sp_run_confirm(sp_request_core(req), c->id, c->step, sp_request_by(req));
    if (err.code == SP_ECONFLICT) {
        sp_answer_problem(req, 409, "conflict", "It does not wait for anybody (any more).");
    } else if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        answer_run(req, c->id, 200);
    }
}

static void post_confirm(sp_request *req)
{
    change *c = change_new(req);
    sp_run run;
    uint64_t step = SP_NONE;
    sp_run_step *steps = NULL;
    size_t count = 0;
    const sp_field fields[] = {SP_FIELD_U64_OPT("step", &step, SP_PLAN_STEPS_MAX - 1)};
    if (c == NULL || !sp_request_fields(req, fields, SP_COUNT(fields)) || !named_run(req, &run)) {
        return;
    }
    sp_err err =
        sp_run_steps(sp_request_core(req)->store, sp_request_arena(req), run.id, &steps, &count);
    if (sp_failed(err) || (step != SP_NONE && step >= count)) {
        sp_answer_problem(req, 404, "not_found", "There is no such step.");
        return;
    }
    /* a step that names roles is theirs alone; a run is security administrators' as well */
    bool security = sp_request_is_local(req) || (sp_request_admin(req) & SP_WHO_SECURITY) != 0;
    bool may = step == SP_NONE
                   ? security || holds_any(req, run.confirm_by)
                   : sp_request_is_local(req) || holds_any(req, steps[step].is.confirm_by) ||
                         (security && !steps[step].is.needs_confirm);
    if (!may) {
        sp_answer_problem(req, 403, "forbidden", "None of your roles may confirm this.");
        return;
    }
    if (is_about_himself(req, &run)) {
        return;
    }
    c->id = run.id;
    c->step = (uint32_t)step;
    c->order.drill = run.drill;
    record(req, "confirm", run.plan, c, go_confirm);
}

static void go_stop(sp_request *req, void *data)
{
    const change *c = data;
    sp_err err = sp_run_stop(sp_request_core(req), c->id, c->undo, sp_request_by(req), c->why);
    if (err.code == SP_ECONFLICT) {
        sp_answer_problem(req, 409, "conflict", "It has ended already.");
    } else if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        answer_run(req, c->id, 200);
    }
}

static void post_stop(sp_request *req)
{
    change *c = change_new(req);
    sp_run run;
    if (c == NULL) {
        return;
    }
    const sp_field fields[] = {SP_FIELD_TEXT("reason", &c->why, 1, REASON_MAX_BYTES),
                               SP_FIELD_BOOL_OPT("undo", &c->undo)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) || !named_run(req, &run) ||
        is_about_himself(req, &run)) {
        return;
    }
    c->id = run.id;
    c->order.drill = run.drill;
    record(req, c->undo ? "stop and undo" : "stop", run.plan, c, go_stop);
}

sp_err sp_plan_routes(sp_core *core)
{
    enum { LOOK = SP_WHO_SECURITY | SP_WHO_AUDIT | SP_WHO_LOCAL };
    static const sp_route routes[] = {
        {"GET", "/api/v1/plans", LOOK, get_plans, 0},
        {"GET", "/api/v1/plans/built-in", LOOK, get_builtin, 0},
        {"POST", "/api/v1/plans/{name}/run", SP_WHO_SECURITY | SP_WHO_FRESH | SP_WHO_LOCAL,
         post_start, 0},
        {"GET", "/api/v1/plan-runs", LOOK, get_runs, 0},
        {"GET", "/api/v1/plan-runs/{id}", LOOK, get_run, 0},
        {"POST", "/api/v1/plan-runs/{id}/confirm", SP_WHO_PERSON | SP_WHO_FRESH | SP_WHO_LOCAL,
         post_confirm, 0},
        {"POST", "/api/v1/plan-runs/{id}/stop", SP_WHO_SECURITY | SP_WHO_FRESH | SP_WHO_LOCAL,
         post_stop, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

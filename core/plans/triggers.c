/* SPDX-License-Identifier: Apache-2.0
 * What sets plans off: alarms, and what staff tell.
 * OWNS nothing. PROCESS core. TRUST names inside alarms, which other people chose; what people
 * tell. SPEC core/plans/plans.h.
 */
#include "core/documents/documents.h"
#include "core/incidents/incidents.h"
#include "core/plans/inside.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"

typedef struct {
    sp_core *core;
    const sp_alarm *alarm;
    sp_run_order order;
    uint64_t since_us; /* what was started since then is not again; 0 = nothing was */
} setting_off;

static void say_not_run(const setting_off *s, sp_span plan, sp_err err)
{
    auto_buf sp_buf text = sp_buf_make(SP_INCIDENT_NOTE_BYTES);
    const char *why = err.code == SP_ENOTFOUND ? "there is no such plan"
                      : err.code == SP_EINVALID
                          ? "not run: the alarm is about nobody whom it could cut"
                          : "the plan could not be run to its end";
    sp_buf_text(&text, why);
    const sp_incident_note note = {.kind = "plan", .by_name = plan, .text = sp_buf_borrow(&text)};
    sp_incident_add(s->core, s->order.incident, &note);
    sp_log(SP_LOG_WARN, "plan %.*s, set off by an alarm: %s", SP_SPAN_ARG(plan),
           sp_code_word(err.code));
}

/* A failure: no run of it is kept. One that is goes on by itself. */
static sp_err start_one(setting_off *s, sp_span plan)
{
    uint64_t id = 0;
    if (s->since_us != 0 && sp_runs_has(s->core->store, plan, s->order.incident, s->since_us)) {
        return sp_ok();
    }
    const sp_policy_set *set = sp_documents_set(s->core->state->documents);
    size_t at = 0;
    s->order.plan = plan;
    sp_err err = sp_policy_set_plan_find(set, plan, &at);
    if (!sp_failed(err) && sp_plan_cuts_nothing(set, at, &s->order.facts)) {
        err = sp_fail(SP_EINVALID);
    } else if (!sp_failed(err)) {
        err = sp_run_start(s->core, &s->order, &id);
    }
    if (sp_failed(err) && s->since_us == 0) { /* said once */
        say_not_run(s, plan, err);
    }
    bool no_use = err.code == SP_ENOTFOUND || err.code == SP_EINVALID;
    return id != 0 || no_use ? sp_ok() : err;
}

sp_err sp_plans_on_alarm(sp_core *core, uint64_t incident, const sp_alarm *alarm, uint64_t since_us,
                         bool *ret_tells)
{
    uint64_t began_us = since_us != 0 ? since_us : sp_now_unix_us();
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    auto_buf sp_buf session = sp_buf_make(32);
    auto_buf sp_buf device = sp_buf_make(32);
    if (alarm->session != 0) {
        sp_buf_fmt(&session, "%016llx", (unsigned long long)alarm->session);
    }
    if (alarm->device != 0) {
        sp_buf_u64_text(&device, alarm->device);
    }
    setting_off s = {.core = core,
                     .alarm = alarm,
                     .since_us = since_us,
                     .order = {.facts = {.person = alarm->person_name,
                                         .session = sp_buf_borrow(&session),
                                         .device = sp_buf_borrow(&device),
                                         .resource = alarm->resource,
                                         .class_name = alarm->class_name},
                               .incident = incident,
                               .severity = alarm->severity,
                               .drill = alarm->mode == SP_ALARM_DRILL,
                               .by_itself = true,
                               .by_name = SP_SPAN_LIT("alarm"),
                               .person = alarm->person}};
    bool suggested_fits = false;
    sp_err first = sp_ok();
    for (size_t i = 0; i < sp_policy_set_plan_count(set); i++) {
        sp_policy_plan plan;
        if (!sp_failed(sp_policy_set_plan(set, i, &plan)) &&
            sp_policy_set_plan_fits(set, i, alarm->detection, alarm->severity)) {
            suggested_fits = suggested_fits || sp_span_eq(plan.name, alarm->plan);
            sp_err err = start_one(&s, plan.name);
            first = sp_failed(first) ? first : err;
        }
    }
    if (alarm->plan.len > 0 && !suggested_fits) {
        sp_err err = start_one(&s, alarm->plan);
        first = sp_failed(first) ? first : err;
    }
    *ret_tells = sp_runs_tell(core->store, incident, began_us);
    return first;
}

void sp_plans_on_told(sp_core *core, const sp_plan_told *told)
{
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    sp_run_order order = {.facts = {.person = told->about, .device = told->device},
                          .incident = told->incident,
                          .severity = told->severity,
                          .by_itself = true,
                          .told = true,
                          .by_name = told->by_name,
                          .person = told->about.len > 0 ? told->person : 0};
    for (size_t i = 0; i < sp_policy_set_plan_count(set); i++) {
        uint64_t id = 0;
        sp_policy_plan plan;
        if (!sp_policy_set_plan_is_for(set, i, told->what) ||
            sp_failed(sp_policy_set_plan(set, i, &plan)) ||
            sp_runs_has(core->store, plan.name, told->incident, 0)) {
            continue;
        }
        order.plan = plan.name;
        sp_err err = sp_run_start(core, &order, &id);
        if (sp_failed(err)) {
            sp_log(SP_LOG_ERROR, "plan %.*s, for what %.*s told, is not proposed: %s",
                   SP_SPAN_ARG(plan.name), SP_SPAN_ARG(told->by_name), sp_code_word(err.code));
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * Whom a run would meet: what its guard excepts, what nobody decides about himself.
 * OWNS nothing. PROCESS core. TRUST names inside alarms, which other people chose, are looked up.
 * SPEC core/plans/plans.h.
 */
#include "core/cut/cut.h"
#include "core/devices/devices.h"
#include "core/documents/documents.h"
#include "core/identity/people.h"
#include "core/plans/inside.h"
#include "core/sessions/sessions.h"
#include "infra/proc/clock.h"

#define SECOND_US UINT64_C(1000000)

/* The people whom it would meet: named, or owners of what is named. 0 = nobody. */
enum { MEETS_MAX = 4 };
static void whom_it_meets(sp_core *core, const sp_run_order *order, uint32_t ret_people[MEETS_MAX])
{
    auto_arena sp_arena arena = sp_arena_make(64 * 1024);
    const sp_plan_facts *f = &order->facts;
    sp_person person = {.id = 0};
    sp_session_view session = {.person = 0};
    sp_device device = {.person = 0};
    uint64_t id = 0;
    ret_people[0] = order->person;
    if (f->person.len > 0 && !sp_failed(sp_people_find(core->store, f->person, &person))) {
        ret_people[1] = person.id;
    }
    if (!sp_failed(sp_session_id_of(f->session, &id)) && sp_sessions_find(core, id, &session)) {
        ret_people[2] = session.person;
    }
    if (!sp_failed(sp_span_to_u64(f->device, INT64_MAX, &id)) &&
        !sp_failed(sp_device_get(core->store, id, &arena, &device))) {
        ret_people[3] = device.person;
    }
}

static bool meets(sp_core *core, const sp_plan_facts *facts, uint32_t person)
{
    uint32_t people[MEETS_MAX] = {0};
    const sp_run_order order = {.facts = *facts};
    whom_it_meets(core, &order, people);
    for (size_t i = 0; person != 0 && i < MEETS_MAX; i++) {
        if (people[i] == person) {
            return true;
        }
    }
    return false;
}

/* A step of it cuts him, a session of his or a device of his, by what its document names. */
static bool step_meets(sp_core *core, const sp_policy_step *is, uint32_t person)
{
    sp_cut_target target;
    char number[24];
    if (is->what > SP_STEP_REQUIRE_STEP_UP || is->target.len == 0 ||
        sp_failed(sp_cut_find(core, is->kind, is->target, &target))) {
        return false;
    }
    snprintf(number, sizeof(number), "%llu", (unsigned long long)target.id);
    const sp_plan_facts named = {.person = is->kind == SP_CUT_PERSON ? is->target : SP_SPAN_EMPTY,
                                 .session = is->kind == SP_CUT_SESSION ? is->target : SP_SPAN_EMPTY,
                                 .device = is->kind == SP_CUT_DEVICE ? sp_span_cstr(number)
                                                                     : SP_SPAN_EMPTY};
    return meets(core, &named, person);
}

bool sp_run_is_about(sp_core *core, const sp_run *run, uint32_t person)
{
    if (meets(core, &run->facts, person)) {
        return true;
    }
    auto_arena sp_arena arena = sp_arena_make(SP_PLAN_ARENA_BYTES);
    sp_run_step *steps = NULL;
    size_t count = 0;
    sp_err err = sp_run_steps(core->store, &arena, run->id, &steps, &count);
    for (size_t i = 0; !sp_failed(err) && i < count; i++) {
        if (step_meets(core, &steps[i].is, person)) {
            return true;
        }
    }
    return sp_failed(err);
}

bool sp_plan_cuts_nothing(const sp_policy_set *set, size_t at, const sp_plan_facts *facts)
{
    sp_policy_plan plan;
    if (facts->person.len + facts->session.len + facts->device.len > 0) {
        return false; /* what it does not know fails, and the rest goes on */
    }
    if (sp_failed(sp_policy_set_plan(set, at, &plan))) {
        return true;
    }
    for (size_t i = 0; i < plan.steps; i++) {
        sp_policy_step step;
        if (!sp_failed(sp_policy_set_plan_step(set, at, i, &step)) && !step.needs_confirm &&
            !sp_step_has_target(facts, &step)) {
            return true;
        }
    }
    return false;
}

const char *sp_plan_held_back(sp_core *core, const sp_policy_plan *plan, const sp_run_order *order)
{
    uint64_t roles[SP_ROLE_WORDS] = {0};
    uint32_t people[MEETS_MAX] = {0};
    uint64_t runs = 0;
    uint64_t now_us = sp_now_unix_us();
    uint64_t within_us = plan->within_s * SECOND_US;
    if (!order->by_itself) {
        return NULL;
    }
    if (order->told) {
        return "somebody told it: a person decides";
    }
    if (plan->mode != SP_PLAN_AUTOMATIC) {
        return "its mode is to be confirmed";
    }
    if (plan->at_most > 0 &&
        (sp_failed(sp_runs_since(core->store, plan->name,
                                 now_us > within_us ? now_us - within_us : 0, now_us, &runs)) ||
         runs >= plan->at_most)) {
        return "it has run by itself as often as its guard lets it";
    }
    whom_it_meets(core, order, people);
    for (size_t i = 0; i < MEETS_MAX; i++) {
        if (people[i] != 0 && sp_failed(sp_roles_of(core->store, people[i], roles))) {
            return "whom it is about could not be found";
        }
        for (size_t w = 0; people[i] != 0 && w < SP_ROLE_WORDS; w++) {
            if ((roles[w] & plan->not_by_itself[w]) != 0) {
                return "it is about somebody whom its guard excepts";
            }
        }
    }
    return NULL;
}

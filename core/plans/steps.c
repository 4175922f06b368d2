/* SPDX-License-Identifier: Apache-2.0
 * What each step of a plan does.
 * OWNS nothing. PROCESS core. TRUST names are other people's: looked up, never trusted.
 * SPEC lib/policy/plan.h, docs/INCIDENTS.md "Plans".
 */
#include "core/cut/cut.h"
#include "core/documents/documents.h"
#include "core/incidents/incidents.h"
#include "core/notices/notices.h"
#include "core/plans/inside.h"
#include "infra/proc/clock.h"
#include "lib/policy/notices.h"

/* ---- cutting ---- */

static sp_span named_by(const sp_plan_facts *facts, sp_cut_kind kind)
{
    switch (kind) {
    case SP_CUT_SESSION:
        return facts->session;
    case SP_CUT_PERSON:
        return facts->person;
    case SP_CUT_DEVICE:
        return facts->device;
    case SP_CUT_RESOURCE:
        return facts->resource;
    case SP_CUT_CLASS:
        return facts->class_name;
    case SP_CUT_ROLE:
    case SP_CUT_EVERYTHING:
    case SP_CUT_KIND_COUNT:
        break;
    }
    return SP_SPAN_EMPTY;
}

bool sp_step_has_target(const sp_plan_facts *facts, const sp_policy_step *step)
{
    return step->what > SP_STEP_REQUIRE_STEP_UP || step->kind == SP_CUT_EVERYTHING ||
           step->target.len > 0 || named_by(facts, step->kind).len > 0;
}

static sp_err find_target(sp_core *core, const sp_plan_facts *facts, const sp_policy_step *is,
                          sp_cut_target *ret_target, sp_buf *note)
{
    sp_span name = is->target.len > 0 ? is->target : named_by(facts, is->kind);
    if (name.len == 0 && is->kind != SP_CUT_EVERYTHING) {
        sp_buf_fmt(note, "nothing says which %s is meant", sp_cut_kind_word(is->kind));
        return sp_fail(SP_EINVALID);
    }
    auto_buf sp_buf by_id = sp_buf_make(64);
    if (is->kind == SP_CUT_DEVICE && is->target.len == 0) {
        sp_buf_text(&by_id, "id:"); /* facts are numbers; anybody may call his device so */
        sp_buf_span(&by_id, name);
        name = sp_buf_borrow(&by_id);
    }
    sp_err err = sp_cut_find(core, is->kind, name, ret_target);
    if (sp_failed(err)) {
        sp_buf_fmt(note, "there is no %s ", sp_cut_kind_word(is->kind));
        sp_buf_span(note, name);
    }
    return err;
}

/* When it is given back by itself; by when a task is to be done. */
static void say_end(const sp_policy_step *is, sp_buf *note)
{
    if (is->for_s > 0) {
        sp_buf_text(note, is->what == SP_STEP_TASK ? ", due " : ", until ");
        sp_buf_time(note, sp_now_unix_us() + is->for_s * 1000000);
    }
}

static void say_scope(const sp_cut_target *target, const sp_cut_scope *scope, sp_buf *note)
{
    sp_buf_fmt(note,
               "%s %s: %zu sessions of %zu people, %zu connections at databases, %zu at "
               "machines",
               sp_cut_kind_word(target->kind), target->name, scope->sessions, scope->people,
               scope->database_connections, scope->ssh_connections);
}

static sp_err do_cut(sp_core *core, const sp_run *run, sp_run_step *step, sp_buf *note)
{
    auto_buf sp_buf reason = sp_buf_make(SP_CUT_REASON_MAX_BYTES);
    auto_buf sp_buf by = sp_buf_make(128);
    sp_cut_target target;
    sp_cut_scope scope;
    sp_err found = find_target(core, &run->facts, &step->is, &target, note);
    if (found.code == SP_ENOTFOUND && step->is.kind == SP_CUT_SESSION) {
        sp_buf_text(note, " any more: it has ended"); /* a client that was done at once, say */
        return sp_ok();
    }
    TRY(found);
    sp_cut_scope_of(core, &target, &scope);
    bool proves = step->is.effect == SP_CUT_STEP_UP;
    sp_buf_text(note, run->drill ? "would " : "");
    sp_buf_text(note, proves ? "ask for a fresh proof: " : "cut ");
    say_scope(&target, &scope, note);
    say_end(&step->is, note);
    if (run->drill) {
        return sp_ok();
    }
    sp_buf_text(&by, "plan ");
    sp_buf_span(&by, run->plan);
    sp_buf_fmt(&reason, "incident %llu, step ", (unsigned long long)run->incident);
    sp_buf_span(&reason, step->is.name);
    const sp_cut_order order = {.target = target,
                                .effect = step->is.effect,
                                .for_s = step->is.for_s,
                                .reason = sp_buf_borrow(&reason),
                                .by_name = sp_buf_borrow(&by),
                                .incident = run->incident,
                                .began_unix_s = step->began_us / 1000000};
    bool own = false;
    sp_err err = sp_cut_now(core, &order, &step->cut, &own);
    if (!own) {
        step->cut = 0; /* another order's: not this run's to give back */
        sp_buf_text(note, ", as it was already");
    }
    if (sp_failed(err)) {
        sp_buf_reset(note);
        sp_buf_fmt(note, "%s %s could not be cut: %s", sp_cut_kind_word(target.kind), target.name,
                   sp_code_word(err.code));
    }
    return err;
}

/* ---- people ---- */

/* What is said of a variable of a Notice; empty: nothing is known. */
static sp_span value_of(const sp_run *run, const sp_run_step *step, sp_span name, sp_span incident)
{
    const struct {
        sp_span name;
        sp_span value;
    } known[] = {
        {SP_SPAN_LIT("plan"), run->plan},
        {SP_SPAN_LIT("what"), step->is.text.len > 0 ? step->is.text : run->plan},
        {SP_SPAN_LIT("step"), step->is.text.len > 0 ? step->is.text : step->is.name},
        {SP_SPAN_LIT("incident"), incident},
        {SP_SPAN_LIT("severity"), sp_span_cstr(sp_severity_word((sp_severity)run->severity))},
        {SP_SPAN_LIT("person"), run->facts.person},
        {SP_SPAN_LIT("resource"), run->facts.resource},
        {SP_SPAN_LIT("service"), run->facts.resource},
        {SP_SPAN_LIT("text"), step->is.text},
    };
    for (size_t i = 0; i < SP_COUNT(known); i++) {
        if (sp_span_eq(name, known[i].name) && known[i].value.len > 0) {
            return known[i].value;
        }
    }
    return SP_SPAN_LIT("-");
}

static sp_err do_notify(sp_core *core, const sp_run *run, const sp_run_step *step, sp_buf *note)
{
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    sp_policy_notice doc;
    sp_notice_pair values[SP_NOTICE_VARIABLES_MAX];
    auto_buf sp_buf incident = sp_buf_make(32);
    auto_buf sp_buf by = sp_buf_make(128);
    auto_buf sp_buf why = sp_buf_make(SP_PLAN_NOTE_BYTES);
    uint64_t id = 0;
    sp_buf_u64_text(&incident, run->incident);
    sp_buf_text(&by, "plan ");
    sp_buf_span(&by, run->plan);
    sp_err err = sp_policy_set_notice(set, step->is.notice, &doc);
    if (!sp_failed(err)) {
        for (size_t i = 0; i < doc.variables_count; i++) {
            sp_span name = doc.variables[i].name;
            values[i] = (sp_notice_pair){name, value_of(run, step, name, sp_buf_borrow(&incident))};
        }
        const sp_notice_ask ask = {.notice = step->is.notice,
                                   .audience = step->is.audience,
                                   .values = values,
                                   .values_count = doc.variables_count,
                                   .incident = run->incident,
                                   .drill = run->drill,
                                   .by = sp_buf_borrow(&by)};
        err = sp_notices_send(core, &ask, &why, &id);
    }
    if (sp_failed(err)) {
        sp_buf_text(note, "nobody was told: ");
        sp_buf_span(note, why.len > 0 ? sp_buf_borrow(&why) : sp_span_cstr(sp_code_word(err.code)));
        return err;
    }
    sp_buf_fmt(note, "notice %llu: ", (unsigned long long)id);
    sp_buf_span(note, step->is.notice);
    return sp_ok();
}

static sp_err do_assign(sp_core *core, const sp_run *run, const sp_run_step *step, sp_buf *note)
{
    char room[SP_NAME_MAX_BYTES + 1];
    sp_span name = SP_SPAN_EMPTY;
    TRY(sp_incident_assign(core, run->incident, step->is.role, run->facts.person, run->plan, room,
                           &name));
    sp_buf_fmt(note, "%s: ", sp_rota_role_word(step->is.role));
    sp_buf_span(note, name.len > 0 ? name : SP_SPAN_LIT("nobody in the Rota can"));
    return name.len > 0 ? sp_ok() : sp_fail(SP_ENOTFOUND);
}

static sp_err do_task(sp_core *core, const sp_run *run, const sp_run_step *step, sp_buf *note)
{
    uint64_t now_unix_s = sp_now_unix_us() / 1000000;
    sp_buf_span(note, step->is.text);
    say_end(&step->is, note);
    return sp_incident_task(core, run->incident, step->is.text, step->is.role,
                            step->is.for_s == 0 ? 0 : now_unix_s + step->is.for_s, run->plan);
}

static sp_err do_open(sp_core *core, sp_run *run, const sp_run_step *step, sp_buf *note)
{
    auto_buf sp_buf title = sp_buf_make(SP_INCIDENT_TITLE_MAX_BYTES);
    bool is_new = run->incident == 0;
    if (is_new) {
        sp_buf_text(&title, run->drill ? "Drill: " : "");
        sp_buf_span(&title, run->plan);
        const sp_incident_open open = {
            .title = sp_buf_borrow(&title),
            .by_name = run->by_name,
            .about = run->facts.person,
            .severity = step->is.severity < SP_SEVERITY_COUNT ? step->is.severity : run->severity,
            .drill = run->drill};
        TRY(sp_incident_open_one(core, &open, &run->incident, NULL));
    }
    sp_buf_fmt(note, "incident %llu%s", (unsigned long long)run->incident,
               is_new ? "" : " is there");
    return sp_ok();
}

static sp_err do_collect(sp_core *core, const sp_run *run, sp_buf *note)
{
    const sp_incident_subject about = {run->facts.person, run->facts.session, run->facts.device};
    sp_incident_collected collected = {0};
    TRY(sp_incident_collect(core, run->incident, &about, run->plan, &collected));
    if (collected.sessions == 0 && collected.entries == 0) {
        sp_buf_text(note, "nothing is known to collect: name a person, a session or a device");
        return sp_fail(SP_ENOTFOUND);
    }
    sp_buf_fmt(note, "the timeline names %llu entries of the ledger and has %zu sessions more",
               (unsigned long long)collected.entries, collected.sessions);
    return sp_ok();
}

sp_err sp_step_do_it(sp_core *core, sp_run *run, sp_run_step *step, sp_buf *note)
{
    switch (step->is.what) {
    case SP_STEP_CUT:
    case SP_STEP_LOCK_PERSON:
    case SP_STEP_QUARANTINE_DEVICE:
    case SP_STEP_DENY:
    case SP_STEP_REQUIRE_STEP_UP:
        return do_cut(core, run, step, note);
    case SP_STEP_NOTIFY:
        return do_notify(core, run, step, note);
    case SP_STEP_ASSIGN:
        return do_assign(core, run, step, note);
    case SP_STEP_TASK:
        return do_task(core, run, step, note);
    case SP_STEP_OPEN_INCIDENT:
        return do_open(core, run, step, note);
    case SP_STEP_COLLECT_EVIDENCE:
        return do_collect(core, run, note);
    case SP_STEP_WAIT:
        sp_buf_text(note, "waited");
        return sp_ok();
    case SP_STEP_RUN:
    case SP_STEP_WEBHOOK:
        sp_step_outside_would(core, run, &step->is, note); /* a drill: nothing leaves the gate */
        return sp_ok();
    case SP_STEP_COUNT:
        break;
    }
    return sp_fail(SP_EUNSUPPORTED);
}

/* ---- dry run ---- */

json_t *sp_step_would(sp_core *core, const sp_plan_facts *facts, const sp_policy_step *step)
{
    auto_buf sp_buf note = sp_buf_make(SP_PLAN_NOTE_BYTES);
    sp_cut_target target;
    sp_cut_scope scope;
    bool cuts = step->what <= SP_STEP_REQUIRE_STEP_UP;
    if (cuts && !sp_failed(find_target(core, facts, step, &target, &note))) {
        sp_cut_scope_of(core, &target, &scope);
        say_scope(&target, &scope, &note);
        say_end(step, &note);
    } else if (sp_step_is_outside(step)) {
        const sp_run run = {.facts = *facts};
        sp_step_outside_would(core, &run, step, &note);
    } else if (!cuts) {
        sp_buf_span(&note, step->text.len > 0 ? step->text : step->notice);
        if (step->what == SP_STEP_TASK) {
            say_end(step, &note);
        }
    }
    sp_span said = sp_buf_borrow(&note);
    return json_pack("{s:s%,s:s,s:b,s:s%}", "name", (const char *)step->name.ptr, step->name.len,
                     "do", sp_step_do_word(step->what), "confirm", (int)step->needs_confirm,
                     "would", said.len > 0 ? (const char *)said.ptr : "", said.len);
}

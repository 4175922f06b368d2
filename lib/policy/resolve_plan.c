/* SPDX-License-Identifier: Apache-2.0
 * Plans and rotas: what the schema cannot say is checked here, and they are read from the set.
 * OWNS nothing. PROCESS core, cli. TRUST documents passed the schema. SPEC lib/policy/plan.h.
 */
#include "lib/argv/argv.h"
#include "lib/base/mem.h"
#include "lib/notice/channel.h"
#include "lib/policy/plan.h"
#include "lib/policy/plan_words.h"
#include "lib/policy/set.h"

const char *const PLAN_CUT_WORDS[] = {"session",  "person", "device",     "role",
                                      "resource", "class",  "everything", NULL};
const char *const PLAN_ROTA_WORDS[] = {"commander", "scribe", "liaison", NULL};
const char *const PLAN_STEP_WORDS[] = {"cut",
                                       "lock_person",
                                       "quarantine_device",
                                       "deny",
                                       "require_step_up",
                                       "notify",
                                       "assign",
                                       "task",
                                       "wait",
                                       "collect_evidence",
                                       "open_incident",
                                       "run",
                                       "webhook",
                                       NULL};
const char *const PLAN_FAILURE_WORDS[] = {"stop", "go_on", "undo", NULL};
const char *const PLAN_MODE_WORDS[] = {"automatic", "confirm", "manual", NULL};
const char *const PLAN_TOLD_WORDS[] = {"phishing", "lost-device", "malware", "leak", "other", NULL};
_Static_assert(SP_COUNT(PLAN_TOLD_WORDS) == SP_TOLD_COUNT + 1, "a word for each");
_Static_assert(SP_COUNT(PLAN_CUT_WORDS) == SP_CUT_KIND_COUNT + 1, "a word for each");
_Static_assert(SP_COUNT(PLAN_ROTA_WORDS) == SP_ROTA_COUNT + 1, "a word for each");
_Static_assert(SP_COUNT(PLAN_STEP_WORDS) == SP_STEP_COUNT + 1, "a word for each");
_Static_assert(SP_COUNT(PLAN_FAILURE_WORDS) == SP_STEP_FAIL_COUNT + 1, "a word for each");
_Static_assert(SP_COUNT(PLAN_MODE_WORDS) == SP_PLAN_MODE_COUNT + 1, "a word for each");

enum {
    NO_SEVERITY = 255,
    TIMEOUT_S = 3600,
    OUTSIDE_TIMEOUT_S = 60,
    RUN_TIMEOUT_MAX_S = 3600,
    WEBHOOK_TIMEOUT_MAX_S = 600,
    WITHIN_S = 3600,
    DRILL_S = 180 * 86400
};

static const char *const VALUE_WORDS[] = {"person",   "session", "device",   "resource", "class",
                                          "incident", "run",     "severity", "plan"};
_Static_assert(SP_COUNT(VALUE_WORDS) == SP_STEP_VALUE_COUNT, "a word for each");

/* ---- reading ---- */

static const doc_plan *plan_at(const sp_policy_set *set, size_t at)
{
    const doc_maps *plans = &set->docs.kinds[SP_DOC_PLAN];
    return at < plans->count ? (const doc_plan *)plans->items + at : NULL;
}

static const doc_step *steps_of(const doc_plan *plan)
{
    return plan->steps.items;
}

static void put_roles(const sp_policy_set *set, const doc_texts *names,
                      uint64_t ret_roles[SP_ROLE_WORDS])
{
    for (size_t i = 0; i < names->count; i++) {
        uint32_t at = 0;
        if (name_get(&set->role_names, names->items[i].text, &at)) {
            for (size_t w = 0; w < SP_ROLE_WORDS; w++) {
                ret_roles[w] |= set->roles[at].implied_by[w];
            }
        }
    }
}

size_t sp_policy_set_plan_count(const sp_policy_set *set)
{
    return set->docs.kinds[SP_DOC_PLAN].count;
}

sp_err sp_policy_set_plan(const sp_policy_set *set, size_t at, sp_policy_plan *ret_plan)
{
    const doc_plan *doc = plan_at(set, at);
    if (doc == NULL) {
        return sp_fail(SP_ENOTFOUND);
    }
    sp_policy_plan plan = {
        .name = doc->head.name.text,
        .title_en = doc->title.en.text,
        .title_zh = doc->title.zh.text,
        .mode = (sp_plan_mode)(doc->mode - 1),
        .severity = doc->trigger.severity == 0 ? (uint8_t)NO_SEVERITY
                                               : (uint8_t)(doc->trigger.severity - 1),
        .steps = doc->steps.count,
        .at_most = doc->guard.at_most.value,
        .within_s = doc->guard.within.value == 0 ? WITHIN_S : doc->guard.within.value,
        .drill_s = doc->drill_every.line == 0 ? DRILL_S : doc->drill_every.value};
    put_roles(set, &doc->confirm_by, plan.confirm_by);
    put_roles(set, &doc->guard.except, plan.not_by_itself);
    *ret_plan = plan;
    return sp_ok();
}

sp_err sp_policy_set_plan_find(const sp_policy_set *set, sp_span name, size_t *ret_at)
{
    for (size_t i = 0; plan_at(set, i) != NULL; i++) {
        if (sp_span_eq(plan_at(set, i)->head.name.text, name)) {
            *ret_at = i;
            return sp_ok();
        }
    }
    return sp_fail(SP_ENOTFOUND);
}

/* The step of that name; the plan's count when there is none. */
static size_t step_named(const doc_plan *plan, sp_span name)
{
    size_t at = 0;
    while (at < plan->steps.count && !sp_span_eq(steps_of(plan)[at].name.text, name)) {
        at++;
    }
    return at;
}

static uint64_t after_of(const doc_plan *plan, size_t step)
{
    const doc_step *doc = &steps_of(plan)[step];
    uint64_t after = 0;
    if (doc->has_after == 0) {
        return step == 0 ? 0 : UINT64_C(1) << (step - 1);
    }
    for (size_t i = 0; i < doc->after.count; i++) {
        size_t at = step_named(plan, doc->after.items[i].text);
        after |= at < plan->steps.count ? UINT64_C(1) << at : 0;
    }
    return after;
}

static sp_cut_kind kind_of(const doc_step *doc)
{
    if (doc->what == SP_STEP_LOCK_PERSON + 1) {
        return SP_CUT_PERSON;
    }
    if (doc->what == SP_STEP_QUARANTINE_DEVICE + 1) {
        return SP_CUT_DEVICE;
    }
    return doc->with.kind == 0 ? SP_CUT_KIND_COUNT : (sp_cut_kind)(doc->with.kind - 1);
}

sp_err sp_policy_set_plan_step(const sp_policy_set *set, size_t at, size_t step,
                               sp_policy_step *ret_step)
{
    const doc_plan *plan = plan_at(set, at);
    if (plan == NULL || step >= plan->steps.count) {
        return sp_fail(SP_ENOTFOUND);
    }
    const doc_step *doc = &steps_of(plan)[step];
    const doc_step_with *with = &doc->with;
    sp_policy_step s = {
        .name = doc->name.text,
        .what = (sp_step_do)(doc->what - 1),
        .kind = kind_of(doc),
        .effect = doc->what == SP_STEP_REQUIRE_STEP_UP + 1 ? SP_CUT_STEP_UP : SP_CUT_DENY,
        .target = with->name.text,
        .for_s = with->lasts.value,
        .notice = with->notice.text,
        .audience = with->audience.text,
        .text = with->text.text,
        .role = with->role == 0 ? SP_ROTA_COUNT : (sp_rota_role)(with->role - 1),
        .severity = with->severity == 0 ? (uint8_t)NO_SEVERITY : (uint8_t)(with->severity - 1),
        .command = with->command.text,
        .channel = with->channel.text,
        .timeout_s = doc->timeout.value,
        .on_failure = doc->on_failure == 0 ? SP_STEP_GO_ON : (sp_step_failure)(doc->on_failure - 1),
        .needs_confirm = doc->confirm_by.count > 0,
        .after = after_of(plan, step)};
    for (size_t i = 0; i < with->arguments.count && i < SP_STEP_WORDS_MAX; i++) {
        s.words[s.words_count++] = with->arguments.items[i].text;
    }
    for (size_t i = 0; i < with->undo.count && i < SP_STEP_WORDS_MAX; i++) {
        s.undo[s.undo_count++] = with->undo.items[i].text;
    }
    if (s.timeout_s == 0 && (s.what == SP_STEP_RUN || s.what == SP_STEP_WEBHOOK)) {
        s.timeout_s = OUTSIDE_TIMEOUT_S;
    }
    if (s.timeout_s == 0) {
        s.timeout_s = s.what == SP_STEP_WAIT && s.for_s > 0 ? s.for_s + TIMEOUT_S : TIMEOUT_S;
    }
    put_roles(set, &doc->confirm_by, s.confirm_by);
    *ret_step = s;
    return sp_ok();
}

bool sp_policy_set_plan_fits(const sp_policy_set *set, size_t at, sp_span detection,
                             uint8_t severity)
{
    const doc_plan *plan = plan_at(set, at);
    if (plan == NULL || (plan->trigger.severity != 0 && severity + 1 < plan->trigger.severity)) {
        return false;
    }
    for (size_t i = 0; i < plan->trigger.detections.count; i++) {
        if (sp_span_eq(plan->trigger.detections.items[i].text, detection)) {
            return true;
        }
    }
    return plan->trigger.detections.count == 0 && plan->trigger.severity != 0;
}

bool sp_policy_set_plan_is_for(const sp_policy_set *set, size_t at, sp_told told)
{
    const doc_plan *plan = plan_at(set, at);
    return plan != NULL && (unsigned)told < SP_TOLD_COUNT &&
           (plan->trigger.reports >> (unsigned)told & 1) != 0;
}

/* ---- words of a command ---- */

/* Where the placeholder begins and ends, and which value it names. False: there is none. */
static bool find_hole(sp_span text, size_t *ret_from, size_t *ret_to, size_t *ret_value)
{
    size_t from = sp_span_index(text, '{');
    size_t to = sp_span_index(text, '}');
    if (from >= text.len || to >= text.len || to < from) {
        return false;
    }
    sp_span inside = sp_span_slice(text, from + 1, to);
    sp_span name = sp_span_slice(inside, 0, sp_span_index(inside, ':'));
    *ret_from = from;
    *ret_to = to + 1;
    *ret_value = 0;
    while (*ret_value < SP_STEP_VALUE_COUNT &&
           !sp_span_eq(name, sp_span_cstr(VALUE_WORDS[*ret_value]))) {
        ++*ret_value;
    }
    return true;
}

sp_err sp_step_word(sp_span template, const sp_span values[SP_STEP_VALUE_COUNT], sp_buf *out,
                    sp_buf *why)
{
    size_t from = 0;
    size_t to = 0;
    size_t value = SP_STEP_VALUE_COUNT;
    if (!find_hole(template, &from, &to, &value)) {
        sp_buf_span(out, template);
        return sp_buf_error(out);
    }
    if (value == SP_STEP_VALUE_COUNT || values[value].len == 0) {
        sp_buf_text(why, "nothing says which ");
        sp_buf_text(why, value == SP_STEP_VALUE_COUNT ? "value" : VALUE_WORDS[value]);
        sp_buf_text(why, " is meant");
        return sp_fail(SP_EINVALID);
    }
    sp_buf_span(out, sp_span_slice(template, 0, from));
    sp_buf_span(out, values[value]);
    sp_buf_span(out, sp_span_slice(template, to, template.len));
    TRY(sp_buf_error(out));
    if (!sp_argv_template_fits(template, sp_buf_borrow(out))) {
        sp_buf_text(why, VALUE_WORDS[value]);
        sp_buf_text(why, " is not what ");
        sp_buf_span(why, template);
        sp_buf_text(why, " takes");
        return sp_fail(SP_EINVALID);
    }
    return sp_ok();
}

static const doc_texts *people_of(const doc_rota *rota, sp_rota_role role)
{
    const doc_texts *const lists[SP_ROTA_COUNT] = {&rota->commander, &rota->scribe, &rota->liaison};
    return lists[role];
}

sp_span sp_policy_set_rota(const sp_policy_set *set, sp_rota_role role, size_t place)
{
    if ((unsigned)role >= SP_ROTA_COUNT) {
        return SP_SPAN_EMPTY;
    }
    DOC_EACH(&set->docs, SP_DOC_ROTA, const doc_rota, rota)
    {
        const doc_texts *people = people_of(rota, role);
        if (place < people->count) {
            return people->items[place].text;
        }
        place -= people->count;
    }
    return SP_SPAN_EMPTY;
}

static const char *word_at(const char *const *words, size_t count, size_t at)
{
    return at < count ? words[at] : "?";
}

const char *sp_plan_mode_word(sp_plan_mode mode)
{
    return word_at(PLAN_MODE_WORDS, SP_PLAN_MODE_COUNT, mode);
}

const char *sp_step_do_word(sp_step_do what)
{
    return word_at(PLAN_STEP_WORDS, SP_STEP_COUNT, what);
}

const char *sp_rota_role_word(sp_rota_role role)
{
    return word_at(PLAN_ROTA_WORDS, SP_ROTA_COUNT, role);
}

const char *sp_told_word(sp_told told)
{
    return word_at(PLAN_TOLD_WORDS, SP_TOLD_COUNT, told);
}

bool sp_told_of(sp_span word, sp_told *ret_told)
{
    for (unsigned i = 0; i < SP_TOLD_COUNT; i++) {
        if (sp_span_eq(word, sp_span_cstr(PLAN_TOLD_WORDS[i]))) {
            *ret_told = (sp_told)i;
            return true;
        }
    }
    return false;
}

bool sp_rota_role_of(sp_span word, sp_rota_role *ret_role)
{
    for (unsigned i = 0; i < SP_ROTA_COUNT; i++) {
        if (sp_span_eq(word, sp_span_cstr(PLAN_ROTA_WORDS[i]))) {
            *ret_role = (sp_rota_role)i;
            return true;
        }
    }
    return false;
}

/* ---- checking ---- */

static void check_roles(const compiling *c, const char *file, const doc_texts *names)
{
    for (size_t i = 0; i < names->count; i++) {
        uint32_t at = 0;
        if (!name_get(&c->set->role_names, names->items[i].text, &at)) {
            set_unknown(c, file, &names->items[i], "role", &c->set->role_names);
        }
    }
}

static void check_target(const compiling *c, const char *file, const doc_step *step)
{
    const doc_text *name = &step->with.name;
    sp_cut_kind kind = kind_of(step);
    uint32_t at = 0;
    const struct {
        sp_cut_kind kind;
        const char *what;
        const name_table *known;
    } tables[] = {{SP_CUT_ROLE, "role", &c->set->role_names},
                  {SP_CUT_RESOURCE, "resource", &c->set->resource_names},
                  {SP_CUT_CLASS, "class", &c->set->class_names}};
    for (size_t i = 0; i < SP_COUNT(tables); i++) {
        if (name->line != 0 && kind == tables[i].kind &&
            !name_get(tables[i].known, name->text, &at)) {
            set_unknown(c, file, name, tables[i].what, tables[i].known);
        }
    }
    if (name->line != 0 && (kind == SP_CUT_EVERYTHING || kind == SP_CUT_SESSION)) {
        set_wrong(c, file, name,
                  kind == SP_CUT_SESSION ? "a session has no name beforehand: leave it out"
                                         : "everything has no name: leave it out");
    }
    if (name->line == 0 && kind == SP_CUT_ROLE) {
        set_error(c, &step->place, "step '%.*s' needs with: { name: ... }: no alarm names a role",
                  SP_SPAN_ARG(step->name.text));
    }
}

static bool has_document(const compiling *c, sp_doc_kind kind, size_t bytes, sp_span name)
{
    const doc_maps *maps = &c->set->docs.kinds[kind];
    for (size_t i = 0; i < maps->count; i++) {
        if (sp_span_eq(doc_at(maps, bytes, i)->name.text, name)) {
            return true;
        }
    }
    return false;
}

static void check_notice(const compiling *c, const char *file, const doc_step *step)
{
    const doc_text *notice = &step->with.notice;
    const doc_text *audience = &step->with.audience;
    if (notice->line != 0 && !has_document(c, SP_DOC_NOTICE, sizeof(doc_notice), notice->text)) {
        set_wrong(c, file, notice, "no Notice of this name");
    }
    if (audience->line != 0 &&
        !has_document(c, SP_DOC_AUDIENCE, sizeof(doc_audience), audience->text)) {
        set_wrong(c, file, audience, "no Audience of this name");
    }
}

/* Only where documents are applied: one that is in force stays so when the bootstrap file changes.
 */
static void check_command(const compiling *c, const char *file, const doc_step *step)
{
    const doc_text *name = &step->with.command;
    bool known = !c->input->commands_known || name->line == 0;
    for (size_t i = 0; i < c->input->commands_count; i++) {
        known = known || sp_span_eq(name->text, c->input->commands[i]);
    }
    if (!known) {
        set_wrong(c, file, name, "no command of this name in `commands:` of the bootstrap file");
    }
}

static void check_words(const compiling *c, const char *file, const doc_texts *words)
{
    if (words->count > SP_STEP_WORDS_MAX) {
        set_wrong(c, file, &words->items[SP_STEP_WORDS_MAX], "is one word too many: 16 at most");
    }
    for (size_t i = 0; i < words->count; i++) {
        size_t from = 0;
        size_t to = 0;
        size_t value = 0;
        const char *fault = sp_argv_template_fault(words->items[i].text);
        if (fault != NULL) {
            set_wrong(c, file, &words->items[i], fault);
        } else if (find_hole(words->items[i].text, &from, &to, &value) &&
                   value == SP_STEP_VALUE_COUNT) {
            set_wrong(c, file, &words->items[i],
                      "known are person, session, device, resource, class, incident, run, severity "
                      "and plan");
        }
    }
}

static void check_channel(const compiling *c, const char *file, const doc_step *step)
{
    const doc_text *name = &step->with.channel;
    const doc_maps *maps = &c->set->docs.kinds[SP_DOC_CHANNEL];
    for (size_t i = 0; i < maps->count; i++) {
        const doc_channel *channel = (const doc_channel *)maps->items + i;
        if (sp_span_eq(channel->head.name.text, name->text)) {
            if (channel->via != SP_CHANNEL_WEBHOOK + 1) {
                set_wrong(c, file, name, "is not a channel `via: webhook`");
            }
            return;
        }
    }
    if (name->line != 0) {
        set_wrong(c, file, name, "no Channel of this name");
    }
}

/* What goes out of the gate does not run for ever. */
static void check_timeout(const compiling *c, const doc_step *step)
{
    bool is_run = step->what == SP_STEP_RUN + 1;
    uint64_t most_s = is_run ? RUN_TIMEOUT_MAX_S : WEBHOOK_TIMEOUT_MAX_S;
    if ((is_run || step->what == SP_STEP_WEBHOOK + 1) && step->timeout.value > most_s) {
        set_error(c, &step->place, "step '%.*s' (%s) may take at most %u minutes",
                  SP_SPAN_ARG(step->name.text), sp_step_do_word((sp_step_do)(step->what - 1)),
                  (unsigned)(most_s / 60));
    }
}

/* What goes out can be taken back by what goes out, and by nothing else. */
static void check_undo(const compiling *c, const char *file, const doc_step *step)
{
    const doc_texts *undo = &step->with.undo;
    bool is_run = step->what == SP_STEP_RUN + 1;
    if (undo->count > 0 && !is_run && step->what != SP_STEP_WEBHOOK + 1) {
        set_wrong(c, file, &undo->items[0],
                  "is for steps `run` and `webhook`: what cuts is given back by itself, and what "
                  "people were told cannot be");
    } else if (undo->count > 1 && !is_run) {
        set_wrong(c, file, &undo->items[1], "is one text too many: a webhook is posted to once");
    } else if (undo->count == 1 && !is_run &&
               sp_span_index(undo->items[0].text, '\n') < undo->items[0].text.len) {
        set_wrong(c, file, &undo->items[0], "is to be one line");
    }
}

/* What a step needs to know, by what it does. */
static void check_with(const compiling *c, const char *file, const doc_step *step)
{
    const char *lacks = NULL;
    switch ((sp_step_do)(step->what - 1)) {
    case SP_STEP_CUT:
    case SP_STEP_DENY:
    case SP_STEP_REQUIRE_STEP_UP:
        lacks = step->with.kind == 0 ? "with: { kind: ... }" : NULL;
        check_target(c, file, step);
        break;
    case SP_STEP_NOTIFY:
        lacks = step->with.notice.line == 0 ? "with: { notice: ... }" : NULL;
        check_notice(c, file, step);
        break;
    case SP_STEP_ASSIGN:
        lacks = step->with.role == 0 ? "with: { role: ... }" : NULL;
        break;
    case SP_STEP_TASK:
        lacks = step->with.text.line == 0 ? "with: { text: ... }" : NULL;
        break;
    case SP_STEP_WAIT:
        lacks = step->with.lasts.line == 0 && step->confirm_by.count == 0
                    ? "with: { for: ... } or confirm_by"
                    : NULL;
        break;
    case SP_STEP_RUN:
        lacks = step->with.command.line == 0 ? "with: { command: ... }" : NULL;
        check_command(c, file, step);
        check_words(c, file, &step->with.arguments);
        check_words(c, file, &step->with.undo);
        break;
    case SP_STEP_WEBHOOK:
        lacks = step->with.channel.line == 0 ? "with: { channel: ... }" : NULL;
        check_channel(c, file, step);
        break;
    case SP_STEP_LOCK_PERSON:
    case SP_STEP_QUARANTINE_DEVICE:
    case SP_STEP_COLLECT_EVIDENCE:
    case SP_STEP_OPEN_INCIDENT:
    case SP_STEP_COUNT:
        break;
    }
    check_timeout(c, step);
    check_undo(c, file, step);
    if (lacks != NULL) {
        set_error(c, &step->place, "step '%.*s' (%s) needs %s", SP_SPAN_ARG(step->name.text),
                  sp_step_do_word((sp_step_do)(step->what - 1)), lacks);
    }
}

static void check_after(const compiling *c, const char *file, const doc_plan *plan, size_t at)
{
    const doc_step *step = &steps_of(plan)[at];
    for (size_t i = 0; i < step->after.count; i++) {
        size_t before = step_named(plan, step->after.items[i].text);
        if (before == plan->steps.count) {
            set_wrong(c, file, &step->after.items[i], "no step of this plan");
        } else if (before == at) {
            set_wrong(c, file, &step->after.items[i], "a step does not follow itself");
        }
    }
    for (size_t i = 0; i < at; i++) {
        if (sp_span_eq(steps_of(plan)[i].name.text, step->name.text)) {
            set_wrong(c, file, &step->name, "there is a step of this name already");
        }
    }
}

/* Waits longer than it may: it always fails, and where that stops the plan nothing follows. */
static bool always_stops(const doc_step *step)
{
    return step->what == SP_STEP_WAIT + 1 && step->with.lasts.line != 0 &&
           step->timeout.line != 0 && step->timeout.value <= step->with.lasts.value &&
           (step->on_failure == SP_STEP_STOP + 1 || step->on_failure == SP_STEP_UNDO + 1);
}

/* Steps that could begin, from those that wait for nothing; the others are a cycle or behind one.
 * Then those behind a step that always stops. */
static void check_order(const compiling *c, const doc_plan *plan)
{
    uint64_t reached = 0;
    uint64_t dead = 0;
    size_t count = plan->steps.count;
    for (size_t round = 0; round < count; round++) {
        for (size_t i = 0; i < count; i++) {
            uint64_t after = after_of(plan, i);
            reached |= (after & ~reached) == 0 ? UINT64_C(1) << i : 0;
        }
    }
    for (size_t i = 0; i < count; i++) {
        const doc_step *step = &steps_of(plan)[i];
        if ((reached >> i & 1) == 0) {
            set_error(c, &step->place,
                      "step '%.*s' can never begin: it waits for itself, in a circle",
                      SP_SPAN_ARG(step->name.text));
        }
        dead |= always_stops(step) ? UINT64_C(1) << i : 0;
    }
    for (size_t i = 0; dead != 0 && i < count; i++) {
        const doc_step *step = &steps_of(plan)[i];
        if ((after_of(plan, i) & dead) != 0 && (reached >> i & 1) != 0) {
            set_error(c, &step->place,
                      "step '%.*s' can never begin: a step before it waits longer than its "
                      "timeout, and then stops the plan",
                      SP_SPAN_ARG(step->name.text));
        }
    }
}

static void check_trigger(const compiling *c, const doc_plan *plan)
{
    const char *file = plan->head.place.file;
    bool is_triggered = plan->trigger.detections.count > 0 || plan->trigger.severity != 0 ||
                        plan->trigger.reports != 0;
    if (plan->mode == SP_PLAN_MANUAL + 1 && is_triggered) {
        set_error(c, &plan->trigger.place,
                  "a manual plan has no trigger; write mode: automatic or mode: confirm");
    }
    for (size_t i = 0; i < plan->trigger.detections.count; i++) {
        const doc_text *name = &plan->trigger.detections.items[i];
        bool known = false;
        DOC_EACH(&c->set->docs, SP_DOC_DETECTION, const doc_detection, detection)
        {
            known = known || sp_span_eq(detection->head.name.text, name->text);
        }
        DOC_EACH(&c->set->docs, SP_DOC_CANARY, const doc_canary, canary)
        {
            known = known || sp_span_eq(canary->head.name.text, name->text);
        }
        if (!known) {
            set_wrong(c, file, name, "no detection or canary of this name");
        }
    }
}

static void check_plan(const compiling *c, const doc_plan *plan)
{
    const char *file = plan->head.place.file;
    if (plan->steps.count == 0 || plan->steps.count > SP_PLAN_STEPS_MAX) {
        set_error(c, &plan->head.place, "a plan has between 1 and %d steps", SP_PLAN_STEPS_MAX);
        return;
    }
    check_trigger(c, plan);
    check_roles(c, file, &plan->confirm_by);
    check_roles(c, file, &plan->guard.except);
    for (size_t i = 0; i < plan->steps.count; i++) {
        const doc_step *step = &steps_of(plan)[i];
        if (step->what == 0) {
            return; /* told by the schema */
        }
        check_after(c, file, plan, i);
        check_with(c, file, step);
        check_roles(c, file, &step->confirm_by);
    }
    check_order(c, plan);
}

/* People of a Rota need no account yet: an office's first documents are there before its people. */
sp_err set_resolve_plans(compiling *c)
{
    DOC_EACH(&c->set->docs, SP_DOC_PLAN, const doc_plan, plan)
    {
        check_plan(c, plan);
    }
    return sp_ok();
}

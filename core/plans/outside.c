/* SPDX-License-Identifier: Apache-2.0
 * Steps that somebody else carries out: the operator's commands by the runner, webhooks by the
 * courier. What they get is the incident as JSON; what comes back ends the step.
 * OWNS the line to the runner. PROCESS core. TRUST results come from runner and courier, bounded;
 * what a command said is other people's bytes. SPEC lib/proto/runner_msg.h, docs/INCIDENTS.md.
 */
#include "core/http/json.h"
#include "core/incidents/incidents.h"
#include "core/ledger_client.h"
#include "core/notices/notices.h"
#include "core/plans/inside.h"
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "lib/base/sha256.h"
#include "lib/notice/template.h"
#include "lib/proto/runner_msg.h"

#include <stdlib.h>

enum {
    INPUT_BYTES = SP_RUNNER_INPUT_MAX_BYTES,
    KEPT_BYTES = 1500,
    LINE_BYTES = 160,
    ID_BYTES = 128
};

/* A post's and a job's number says whose it is. */
static uint64_t number_of(const sp_run_step *step)
{
    return SP_NOTICE_POST_BIT | step->run << 8 | step->number;
}

static uint64_t undo_number_of(const sp_run_step *step)
{
    return number_of(step) | SP_STEP_UNDO_BIT;
}

static uint64_t run_in(uint64_t number)
{
    return (number & ~SP_NOTICE_POST_BIT) >> 8;
}

/* Without the bit that says that it is taken back. */
static uint32_t step_in(uint64_t number)
{
    return (uint32_t)(number & 0xff & ~(uint64_t)SP_STEP_UNDO_BIT);
}

static bool is_undo(uint64_t number)
{
    return (number & SP_STEP_UNDO_BIT) != 0;
}

static void end_one(sp_core *core, uint64_t number, bool worked, sp_span note)
{
    if (is_undo(number)) {
        sp_step_undone(core, run_in(number), step_in(number), worked, note);
    } else {
        sp_step_over(core, run_in(number), step_in(number), worked, note);
    }
}

/* ---- what those outside get ---- */

static sp_err input_of(sp_core *core, const sp_run *run, const sp_policy_step *step, bool undo,
                       sp_buf *out)
{
    const sp_plan_facts *f = &run->facts;
    json_t *incident = run->incident == 0 ? NULL : sp_incident_brief_json(core, run->incident);
    json_t *all = json_pack(
        "{s:o,s:o,s:o,s:b,s:b,s:o,s:o,s:o}", "plan", sp_json_span_or_null(run->plan), "run",
        sp_json_id(run->id), "step", sp_json_span_or_null(step->name), "drill", (int)run->drill,
        "undo", (int)undo, "text", sp_json_span_or_null(step->text), "incident",
        incident == NULL ? json_null() : incident, "about",
        json_pack("{s:o,s:o,s:o,s:o,s:o}", "person", sp_json_span_or_null(f->person), "session",
                  sp_json_span_or_null(f->session), "device", sp_json_span_or_null(f->device),
                  "resource", sp_json_span_or_null(f->resource), "class",
                  sp_json_span_or_null(f->class_name)));
    auto_free char *dump = all == NULL ? NULL : json_dumps(all, JSON_COMPACT);
    json_decref(all);
    if (dump == NULL) {
        return sp_fail(SP_ENOMEM);
    }
    sp_buf_text(out, dump);
    return sp_buf_error(out);
}

/* ---- a command ---- */

typedef struct {
    sp_buf room; /* of the words */
    sp_runner_job job;
} command;

static void command_done(command *c)
{
    sp_buf_done(&c->room);
}
#define auto_command __attribute__((cleanup(command_done)))

/* The words with their values in place. */
static sp_err write_words(const sp_run *run, const sp_span *words, size_t count, command *c,
                          sp_buf *note)
{
    auto_buf sp_buf numbers = sp_buf_make(64);
    sp_buf_u64_text(&numbers, run->incident);
    size_t len = numbers.len;
    sp_buf_u64_text(&numbers, run->id);
    sp_span both = sp_buf_borrow(&numbers);
    const sp_span values[SP_STEP_VALUE_COUNT] = {
        [SP_STEP_PERSON] = run->facts.person,
        [SP_STEP_SESSION] = run->facts.session,
        [SP_STEP_DEVICE] = run->facts.device,
        [SP_STEP_RESOURCE] = run->facts.resource,
        [SP_STEP_CLASS] = run->facts.class_name,
        [SP_STEP_INCIDENT] = sp_span_slice(both, 0, len),
        [SP_STEP_RUN_NUMBER] = sp_span_slice(both, len, both.len),
        [SP_STEP_SEVERITY] = sp_span_cstr(sp_severity_word((sp_severity)run->severity)),
        [SP_STEP_PLAN_NAME] = run->plan};
    size_t ends[SP_STEP_WORDS_MAX] = {0};
    for (size_t i = 0; i < count; i++) {
        auto_buf sp_buf word = sp_buf_make(SP_RUNNER_WORD_MAX_BYTES);
        TRY(sp_step_word(words[i], values, &word, note));
        sp_buf_span(&c->room, sp_buf_borrow(&word));
        ends[i] = c->room.len;
    }
    TRY(sp_buf_error(&c->room));
    for (size_t i = 0; i < count; i++) {
        c->job.words[i] = sp_span_slice(sp_buf_borrow(&c->room), i == 0 ? 0 : ends[i - 1], ends[i]);
    }
    c->job.words_count = count;
    return sp_ok();
}

static sp_err make_command(sp_core *core, const sp_run *run, const sp_policy_step *step, bool undo,
                           command *ret_command, sp_buf *note)
{
    *ret_command = (command){.room = sp_buf_make(SP_STEP_WORDS_MAX * SP_RUNNER_WORD_MAX_BYTES)};
    ret_command->job.command = step->command;
    ret_command->job.timeout_s =
        (uint16_t)(step->timeout_s > SP_RUNNER_TIMEOUT_MAX_S ? SP_RUNNER_TIMEOUT_MAX_S
                                                             : step->timeout_s);
    if (sp_config_command_path(core->config, step->command) == NULL) {
        sp_buf_text(note, "the bootstrap file names no command ");
        sp_buf_span(note, step->command);
        return sp_fail(SP_ENOTFOUND);
    }
    return undo ? write_words(run, step->undo, step->undo_count, ret_command, note)
                : write_words(run, step->words, step->words_count, ret_command, note);
}

static void say_command(const command *c, sp_buf *note)
{
    sp_buf_span(note, c->job.command);
    for (size_t i = 0; i < c->job.words_count; i++) {
        sp_buf_byte(note, ' ');
        sp_buf_span(note, sp_text_cut(c->job.words[i], LINE_BYTES / 4));
    }
}

typedef struct {
    sp_core *core;
    uint64_t number;
} asking;

static void on_taken(void *self, sp_err err, sp_span body)
{
    asking *a = self;
    sp_plans *plans = a->core->plans;
    (void)body;
    if (plans->calling) {
        plans->call_err = err; /* the line was down: whoever began it hears of it */
    } else if (sp_failed(err)) {
        end_one(a->core, a->number, false,
                err.code == SP_ELIMIT ? SP_SPAN_LIT("too many commands run already")
                                      : SP_SPAN_LIT("the runner is away"));
    }
    sp_free(a);
}

static void on_ignored(void *self, sp_err err, sp_span body)
{
    (void)self;
    (void)err;
    (void)body;
}

static sp_err run_command(sp_core *core, const sp_run *run, const sp_run_step *step, bool undo,
                          sp_buf *note)
{
    sp_plans *plans = core->plans;
    auto_command command c;
    auto_buf sp_buf input = sp_buf_make(INPUT_BYTES);
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    asking *a = NULL;
    TRY(make_command(core, run, &step->is, undo, &c, note));
    TRY(input_of(core, run, &step->is, undo, &input));
    c.job.job = undo ? undo_number_of(step) : number_of(step);
    c.job.input = sp_buf_borrow(&input);
    sp_runner_job_write(&c.job, &body);
    TRY(sp_buf_error(&body));
    TRY(sp_alloc(1, sizeof(*a), &a));
    *a = (asking){core, c.job.job};
    plans->calling = true;
    plans->call_err = sp_ok();
    sp_line_call(plans->runner, SP_RUNNER_JOB, sp_buf_borrow(&body), on_taken, a);
    plans->calling = false;
    if (sp_failed(plans->call_err)) {
        sp_buf_text(note, "the runner is away");
        return plans->call_err;
    }
    say_command(&c, note);
    return sp_ok();
}

/* ---- what a command said: evidence ---- */

/* Bytes as text: what is no character of one becomes '?'. */
static void put_clean(sp_span said, bool one_line, sp_buf *out)
{
    bool is_text = sp_span_is_utf8(said);
    for (size_t i = 0; i < said.len; i++) {
        uint8_t c = said.ptr[i];
        if (one_line && c == '\n') {
            return;
        }
        bool plain = (c >= ' ' && c < 0x7f) || c == '\n' || c == '\t' || (c >= 0x80 && is_text);
        sp_buf_byte(out, plain ? c : '?');
    }
}

/* On the ledger: how it ended, the beginning of what it said, and the hash of all that was kept. */
static void tell_output(sp_core *core, const sp_runner_done *done)
{
    auto_buf sp_buf detail = sp_buf_make(SP_EVENT_DETAIL_MAX_BYTES);
    auto_buf sp_buf said = sp_buf_make(SP_RUNNER_OUTPUT_MAX_BYTES);
    auto_arena sp_arena arena = sp_arena_make(SP_PLAN_ARENA_BYTES);
    sp_hash hash = sp_sha256(done->output);
    sp_run run;
    if (sp_failed(sp_run_get(core->store, &arena, run_in(done->job), &run))) {
        return;
    }
    sp_span start = sp_text_cut(done->output, KEPT_BYTES);
    put_clean(start, false, &said);
    sp_buf_fmt(&detail,
               "{\"run\":\"%llu\",\"incident\":\"%llu\",\"step\":%u,\"undo\":%s,\"outcome\":%u,"
               "\"status\":%u,\"duration_ms\":%u,\"bytes\":%llu,\"sha256_of_first_bytes\":\"",
               (unsigned long long)run.id, (unsigned long long)run.incident,
               (unsigned)step_in(done->job), is_undo(done->job) ? "true" : "false", done->outcome,
               done->status, (unsigned)done->duration_ms, (unsigned long long)done->output_bytes);
    sp_buf_hex(&detail, sp_hash_borrow(&hash));
    sp_buf_text(&detail, "\",\"output\":");
    sp_buf_json(&detail, sp_buf_borrow(&said));
    sp_buf_byte(&detail, '}');
    sp_event event = {.kind = SP_EVENT_PLAN,
                      .when_unix_us = sp_now_unix_us(),
                      .reference = sp_random_u64(),
                      .verdict = SP_VERDICT_ALLOW,
                      .severity = run.severity,
                      .person_name = run.by_name,
                      .method = SP_SPAN_LIT("output"),
                      .object = run.plan,
                      .detail = sp_buf_borrow(&detail)};
    sp_ledger_client_tell(core->ledger, &event);
    const sp_incident_note note = {
        .kind = "evidence",
        .by_name = run.plan,
        .text = sp_text_cut(sp_buf_borrow(&said), SP_INCIDENT_NOTE_BYTES / 2),
        .reference = event.reference};
    if (run.incident != 0) {
        sp_incident_add(core, run.incident, &note);
    }
}

static void say_end(const sp_runner_done *done, sp_buf *note)
{
    switch ((sp_runner_outcome)done->outcome) {
    case SP_RUNNER_EXITED:
        sp_buf_fmt(note, "exit status %u", done->status);
        break;
    case SP_RUNNER_SIGNALED:
        sp_buf_fmt(note, "ended by signal %u", done->status);
        break;
    case SP_RUNNER_LATE:
        sp_buf_text(note, "ended by force: its time was over");
        break;
    case SP_RUNNER_REFUSED:
    case SP_RUNNER_OUTCOME_COUNT:
        sp_buf_text(note, "not run: ");
        sp_buf_span(note, done->why);
        return;
    }
    sp_buf_fmt(note, " after %u ms, %llu bytes of output%s", (unsigned)done->duration_ms,
               (unsigned long long)done->output_bytes, done->output.len > 0 ? ": " : "");
    put_clean(sp_text_cut(done->output, LINE_BYTES), true, note);
}

static void on_push(void *self, uint16_t kind, sp_span body)
{
    sp_core *core = self;
    sp_runner_done done;
    auto_buf sp_buf note = sp_buf_make(SP_PLAN_NOTE_BYTES);
    if (kind != SP_RUNNER_DONE || sp_failed(sp_runner_done_read(body, &done))) {
        return;
    }
    say_end(&done, &note);
    if (done.outcome != SP_RUNNER_REFUSED) {
        tell_output(core, &done);
    }
    end_one(core, done.job, done.outcome == SP_RUNNER_EXITED && done.status == 0,
            sp_failed(sp_buf_error(&note)) ? SP_SPAN_LIT("over") : sp_buf_borrow(&note));
}

static bool knows_none(void *self, uint64_t run, uint32_t number)
{
    (void)self;
    (void)run;
    (void)number;
    return false;
}

/* The line was broken: the runner that ran them is gone, and they with it. */
static void on_up(void *self)
{
    const sp_span why = SP_SPAN_LIT("the runner ended while it ran");
    sp_steps_lost(self, SP_STEP_RUN, knows_none, NULL, why);
    sp_undos_lost(self, SP_STEP_RUN, knows_none, NULL, why);
}

sp_err sp_outside_start(sp_core *core, sp_plans *plans)
{
    auto_free char *path = NULL;
    if (!sp_config_has_role(core->config, SP_ROLE_RUNNER)) {
        return sp_ok();
    }
    TRY(sp_config_socket(core->config, "runner", &path));
    const sp_line_calls calls = {.on_up = on_up, .on_push = on_push, .self = core};
    return sp_line_new(core->loop, path, &calls, &plans->runner);
}

/* ---- a webhook ---- */

static sp_err post(sp_core *core, const sp_run *run, const sp_run_step *step, bool undo,
                   sp_buf *note)
{
    auto_buf sp_buf data = sp_buf_make(INPUT_BYTES);
    auto_buf sp_buf title = sp_buf_make(2 * SP_NAME_MAX_BYTES + 8);
    auto_buf sp_buf id = sp_buf_make(ID_BYTES);
    TRY(input_of(core, run, &step->is, undo, &data));
    sp_buf_span(&title, run->plan);
    sp_buf_text(&title, ": ");
    sp_buf_span(&title, step->is.name);
    sp_buf_fmt(&id, "p%llu.s%u%s@%s", (unsigned long long)run->id, (unsigned)step->number,
               undo ? ".undo" : "", core->config->domain);
    const sp_notice_post what = {.number = undo ? undo_number_of(step) : number_of(step),
                                 .channel = step->is.channel,
                                 .id = sp_buf_borrow(&id),
                                 .title = sp_buf_borrow(&title),
                                 .text = undo ? step->is.undo[0] : step->is.text,
                                 .data = sp_buf_borrow(&data),
                                 .timeout_s = (uint16_t)step->is.timeout_s};
    sp_err err = sp_notices_post(core, &what);
    sp_buf_text(note, !sp_failed(err)            ? ""
                      : err.code == SP_ENOTFOUND ? "there is no channel "
                      : err.code == SP_EAGAIN    ? "the courier is away: channel "
                                                 : "it could not be posted: channel ");
    sp_buf_span(note, step->is.channel);
    return err;
}

void sp_plans_posted(sp_core *core, uint64_t number, bool worked, sp_span note)
{
    end_one(core, number, worked, note);
}

typedef struct {
    const uint64_t *numbers;
    size_t count;
} number_list;

static bool is_listed(void *self, uint64_t run, uint32_t number)
{
    const number_list *list = self;
    for (size_t i = 0; i < list->count; i++) {
        if (list->numbers[i] == (SP_NOTICE_POST_BIT | run << 8 | number)) {
            return true;
        }
    }
    return false;
}

void sp_plans_posts_known(sp_core *core, const uint64_t *numbers, size_t count)
{
    number_list list = {numbers, count};
    const sp_span why =
        SP_SPAN_LIT("the courier ended while it was under way: nobody knows whether it arrived");
    sp_steps_lost(core, SP_STEP_WEBHOOK, is_listed, &list, why);
    sp_undos_lost(core, SP_STEP_WEBHOOK, is_listed, &list, why);
}

/* ---- both ---- */

sp_err sp_step_outside(sp_core *core, const sp_run *run, const sp_run_step *step, bool undo,
                       sp_buf *note)
{
    return step->is.what == SP_STEP_RUN ? run_command(core, run, step, undo, note)
                                        : post(core, run, step, undo, note);
}

void sp_step_outside_stop(sp_core *core, const sp_run_step *step)
{
    auto_buf sp_buf body = sp_buf_make(16);
    if (step->is.what == SP_STEP_RUN && core->plans->runner != NULL) {
        sp_buf_u64(&body, number_of(step));
        sp_line_call(core->plans->runner, SP_RUNNER_STOP, sp_buf_borrow(&body), on_ignored, NULL);
    }
}

void sp_step_outside_would(sp_core *core, const sp_run *run, const sp_policy_step *step,
                           sp_buf *note)
{
    if (step->what == SP_STEP_WEBHOOK) {
        sp_buf_text(note, "would post to ");
        sp_buf_span(note, step->channel);
        return;
    }
    auto_command command c;
    auto_buf sp_buf why = sp_buf_make(SP_PLAN_NOTE_BYTES);
    bool good = !sp_failed(make_command(core, run, step, false, &c, &why));
    sp_buf_text(note, good ? "would run " : "could not run: ");
    if (good) {
        say_command(&c, note);
    } else {
        sp_buf_span(note, sp_buf_borrow(&why));
    }
}

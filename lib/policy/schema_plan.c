/* SPDX-License-Identifier: Apache-2.0
 * The tables of the schema for what is done when something happens: Plan and Rota.
 * OWNS nothing. PROCESS core, cli. TRUST none. SPEC docs/POLICY.md is printed from this file.
 */
#include "lib/base/mem.h"
#include "lib/policy/plan.h"
#include "lib/policy/plan_words.h"
#include "lib/policy/schema.h"

static const char *const SEVERITIES[] = {"info", "low", "medium", "high", "critical", NULL};

enum { TEXT_MAX = 500 };
#define DAY_S ((uint64_t)24 * 3600)
#define AT(type, member) offsetof(type, member)
#define TABLE(rows) .fields = (rows), .fields_count = SP_COUNT(rows)

static const doc_field TRIGGER_FIELDS[] = {
    {"detections", FIELD_SLUGS, false, AT(doc_trigger, detections),
     .doc = "Alarms of these detections or canaries."},
    {"severity", FIELD_WORD, false, AT(doc_trigger, severity), .words = SEVERITIES,
     .doc = "Only alarms as grave as this; without `detections`, any alarm as grave as this."},
    {"reports", FIELD_WORDS, false, AT(doc_trigger, reports), .words = PLAN_TOLD_WORDS,
     .doc = "What people tell (`sallyport tell`). It is proposed then, whatever its mode: a person "
            "confirms it."},
};
static const doc_schema TRIGGER = {.name = "trigger",
                                   .doc = "What sets it off besides a person. An alarm that names "
                                          "the plan sets it off as well.",
                                   .struct_bytes = sizeof(doc_trigger),
                                   TABLE(TRIGGER_FIELDS)};

static const doc_field GUARD_FIELDS[] = {
    {"at_most", FIELD_COUNT_NR, false, AT(doc_guard, at_most), .min = 1, .max = 1000,
     .doc = "It runs by itself at most so often."},
    {"within", FIELD_DURATION, false, AT(doc_guard, within), .min = 60, .max = 30 * DAY_S,
     .doc = "In such a while. Default `1h`."},
    {"except", FIELD_SLUGS, false, AT(doc_guard, except),
     .doc = "About people who hold one of these roles it is only proposed."},
};
static const doc_schema GUARD = {.name = "guard",
                                 .doc =
                                     "What it does not do by itself: it is proposed instead, and "
                                     "a person confirms it.",
                                 .struct_bytes = sizeof(doc_guard),
                                 TABLE(GUARD_FIELDS)};

static const doc_field WITH_FIELDS[] = {
    {"kind", FIELD_WORD, false, AT(doc_step_with, kind), .words = PLAN_CUT_WORDS,
     .doc = "`cut`, `deny`, `require_step_up`: of what kind."},
    {"name", FIELD_NAME, false, AT(doc_step_with, name), .max = SP_NAME_MAX_BYTES,
     .doc = "Its name. Without it: what the alarm is about, or what is named when it is run."},
    {"for", FIELD_DURATION, false, AT(doc_step_with, lasts), .min = 1, .max = 366 * DAY_S,
     .doc = "How long it is closed; for `wait` how long it waits, unless a person confirms it; for "
            "`task` by when it is to be done."},
    {"notice", FIELD_SLUG, false, AT(doc_step_with, notice), .max = SP_NAME_MAX_BYTES,
     .doc = "`notify`: the Notice."},
    {"audience", FIELD_SLUG, false, AT(doc_step_with, audience), .max = SP_NAME_MAX_BYTES,
     .doc = "`notify`: who gets it. Without it: the Notice's own."},
    {"role", FIELD_WORD, false, AT(doc_step_with, role), .words = PLAN_ROTA_WORDS,
     .doc = "`assign`: which role of the incident; `task`: whose it is."},
    {"text", FIELD_TEXT, false, AT(doc_step_with, text), .max = TEXT_MAX,
     .doc = "`task`: what is to be done. Else: a note."},
    {"severity", FIELD_WORD, false, AT(doc_step_with, severity), .words = SEVERITIES,
     .doc = "`open_incident`: how grave. Default: as the alarm."},
    {"command", FIELD_SLUG, false, AT(doc_step_with, command), .max = SP_NAME_MAX_BYTES,
     .doc = "`run`: a name under `commands:` of the bootstrap file."},
    {"arguments", FIELD_NAMES, false, AT(doc_step_with, arguments), .max = 200,
     .doc = "`run`: its words, with at most one placeholder each: `{person:word}`, "
            "`--incident={incident:int}`. Known are person, session, device, resource, class, "
            "incident, run, severity and plan; kinds are those of `commands` of a Resource."},
    {"undo", FIELD_NAMES, false, AT(doc_step_with, undo), .max = 200,
     .doc = "What takes the step back. `run`: the words of the same command then; `webhook`: the "
            "text of another post to the same Channel. What cuts needs none."},
    {"channel", FIELD_SLUG, false, AT(doc_step_with, channel), .max = SP_NAME_MAX_BYTES,
     .doc = "`webhook`: a Channel with `via: webhook`."},
};
static const doc_schema WITH = {.name = "with",
                                .doc = "What the step needs to know.",
                                .struct_bytes = sizeof(doc_step_with),
                                TABLE(WITH_FIELDS)};

static const doc_field STEP_FIELDS[] = {
    {"name", FIELD_SLUG, true, AT(doc_step, name), .max = SP_NAME_MAX_BYTES, .doc = "Its name."},
    {"do", FIELD_WORD, true, AT(doc_step, what), .words = PLAN_STEP_WORDS,
     .doc = "`cut`: the kill switch, `with: { kind, name, for }`. `lock_person`, "
            "`quarantine_device`: the one the alarm is about. `deny`: a class or resource for a "
            "while. `require_step_up`: people prove themselves again. `notify`: a Notice goes out. "
            "`assign`: a role of the incident is filled from the Rota. `task`: a person has "
            "something to do. `wait`: for a while, or for a person. `collect_evidence`: the "
            "alarm's entries of the ledger go into the incident. `open_incident`: there is one. "
            "`run`: "
            "a command of the operator's, in a cage; the incident as JSON on its standard input. "
            "`webhook`: the same JSON, signed, to a Channel."},
    {"with", FIELD_MAP, false, AT(doc_step, with), .sub = &WITH, .doc = "What it needs to know."},
    {"after", FIELD_SLUGS, false, AT(doc_step, after), .count_offset = AT(doc_step, has_after),
     .doc = "Begins when these steps are over; `[]`: at once. Without it: when the step before it "
            "is over."},
    {"timeout", FIELD_DURATION, false, AT(doc_step, timeout), .min = 1, .max = 30 * DAY_S,
     .doc = "How long it may take, waiting for people included; then it has failed. Default `1h`; "
            "for `wait` with `for`, that and `1h`; for `run` and `webhook` `1m`."},
    {"on_failure", FIELD_WORD, false, AT(doc_step, on_failure), .words = PLAN_FAILURE_WORDS,
     .doc = "`stop`: nothing more begins. `go_on`: as if it had worked. `undo`: what the run has "
            "cut is given back, and what says how is taken back (`with: { undo }`), the last step "
            "first. Default `go_on`: what cuts must not wait for what tells."},
    {"confirm_by", FIELD_SLUGS, false, AT(doc_step, confirm_by),
     .doc = "Waits until somebody with one of these roles confirms it."},
};
static const doc_schema STEP = {.name = "steps",
                                .doc = "What is done, in order.",
                                .struct_bytes = sizeof(doc_step),
                                TABLE(STEP_FIELDS)};

const doc_field DOC_PLAN_FIELDS[] = {
    {"name", FIELD_SLUG, true, AT(doc_plan, head.name), .max = SP_NAME_MAX_BYTES,
     .doc = "Its name."},
    {"title", FIELD_MAP, false, AT(doc_plan, title), .sub = &DOC_TITLE, .doc = "What people see."},
    {"why", FIELD_TEXT, false, AT(doc_plan, why), .max = 4 * TEXT_MAX, .doc = "What it is for."},
    {"trigger", FIELD_MAP, false, AT(doc_plan, trigger), .sub = &TRIGGER,
     .doc = "What sets it off."},
    {"guard", FIELD_MAP, false, AT(doc_plan, guard), .sub = &GUARD,
     .doc = "Where it stops by itself."},
    {"mode", FIELD_WORD, true, AT(doc_plan, mode), .words = PLAN_MODE_WORDS,
     .doc = "`automatic`: runs within a second. `confirm`: is proposed, and runs when a person "
            "confirms it. `manual`: runs when a person starts it."},
    {"drill_every", FIELD_DURATION, false, AT(doc_plan, drill_every), .min = 1, .max = 1100 * DAY_S,
     .doc = "It is drilled at least so often; else administrators are told, each week. Default "
            "`180d`."},
    {"confirm_by", FIELD_SLUGS, false, AT(doc_plan, confirm_by),
     .doc = "Roles that may confirm it, besides security administrators."},
    {"steps", FIELD_MAPS, true, AT(doc_plan, steps), .sub = &STEP, .doc = "What is done."},
};
_Static_assert(SP_COUNT(DOC_PLAN_FIELDS) == DOC_PLAN_FIELDS_COUNT, "all of them");

#define ROLE(member, text)                                                                         \
    {                                                                                              \
#member, FIELD_SLUGS, true, AT(doc_rota, member),                                          \
            .doc = text " The first who is there; the others are deputies, in order."              \
    }
const doc_field DOC_ROTA_FIELDS[] = {
    {"name", FIELD_SLUG, true, AT(doc_rota, head.name), .max = SP_NAME_MAX_BYTES,
     .doc = "Its name."},
    ROLE(commander, "Who leads an incident."),
    ROLE(scribe, "Who writes down what happens."),
    ROLE(liaison, "Who speaks to those outside."),
};
_Static_assert(SP_COUNT(DOC_ROTA_FIELDS) == DOC_ROTA_FIELDS_COUNT, "all of them");

/* SPDX-License-Identifier: Apache-2.0
 * Plans and rotas of a compiled set: what is done when something happens, and who leads it.
 *
 * Story: a Plan says what sets it off (detections, a severity, or a person), how far it goes by
 * itself (mode, guard) and its steps. Steps that say nothing follow the one before them; `after`
 * names others, so that branches run side by side. The compiler refuses a cycle, a step that could
 * never run, and names that nobody has. core/plans runs them.
 *
 * OWNS nothing: spans point into the set. PROCESS core, cli. TRUST documents passed the compiler.
 * SPEC docs/POLICY.md "Plan", docs/INCIDENTS.md "Plans".
 */
#ifndef SP_POLICY_PLAN_H
#define SP_POLICY_PLAN_H

#include "lib/policy/compile.h"
#include "lib/policy/cuts.h"

enum { SP_PLAN_STEPS_MAX = 64, SP_STEP_WORDS_MAX = 16 };

typedef enum {
    SP_PLAN_AUTOMATIC, /* runs at once */
    SP_PLAN_CONFIRM,   /* is proposed; a person starts it */
    SP_PLAN_MANUAL,    /* only a person starts it */
    SP_PLAN_MODE_COUNT
} sp_plan_mode;

typedef enum {
    SP_STEP_CUT,
    SP_STEP_LOCK_PERSON,
    SP_STEP_QUARANTINE_DEVICE,
    SP_STEP_DENY,
    SP_STEP_REQUIRE_STEP_UP,
    SP_STEP_NOTIFY,
    SP_STEP_ASSIGN,
    SP_STEP_TASK,
    SP_STEP_WAIT,
    SP_STEP_COLLECT_EVIDENCE,
    SP_STEP_OPEN_INCIDENT,
    SP_STEP_RUN,     /* a command of the operator's */
    SP_STEP_WEBHOOK, /* a post to a Channel */
    SP_STEP_COUNT
} sp_step_do;

typedef enum { SP_STEP_STOP, SP_STEP_GO_ON, SP_STEP_UNDO, SP_STEP_FAIL_COUNT } sp_step_failure;

typedef enum { SP_ROTA_COMMANDER, SP_ROTA_SCRIBE, SP_ROTA_LIAISON, SP_ROTA_COUNT } sp_rota_role;

/* What somebody of the office tells that has happened to him, or that he has seen. */
typedef enum {
    SP_TOLD_PHISHING, /* he gave something away, or opened it */
    SP_TOLD_LOST_DEVICE,
    SP_TOLD_MALWARE, /* a device does what he does not */
    SP_TOLD_LEAK,
    SP_TOLD_OTHER,
    SP_TOLD_COUNT
} sp_told;

typedef struct {
    sp_span name;
    sp_span title_en;
    sp_span title_zh;
    sp_plan_mode mode;
    uint8_t severity; /* sp_severity of alarms that set it off; 255 = none */
    size_t steps;
    uint64_t at_most; /* runs by itself within `within_s`; 0 = any number */
    uint64_t within_s;
    uint64_t drill_s;                      /* it is drilled at least so often */
    uint64_t confirm_by[SP_ROLE_WORDS];    /* roles; nobody's bits: security administrators */
    uint64_t not_by_itself[SP_ROLE_WORDS]; /* about people who hold one of these: only confirmed */
} sp_policy_plan;

typedef struct {
    sp_span name;
    sp_step_do what;
    sp_cut_kind kind; /* of a cut */
    sp_cut_effect effect;
    sp_span target; /* name of what is cut; empty: what the alarm (or whoever runs it) names */
    uint64_t
        for_s; /* of a cut, or how long it waits; 0 = until undone, or until a person says so */
    sp_span notice;
    sp_span audience;
    sp_span text;                     /* of a task, a note */
    sp_rota_role role;                /* that is assigned; SP_ROTA_COUNT = none */
    uint8_t severity;                 /* of the incident; 255 = the alarm's */
    sp_span command;                  /* `run`: a name of the bootstrap file's commands */
    sp_span words[SP_STEP_WORDS_MAX]; /* `run`: templates of lib/argv */
    size_t words_count;
    sp_span
        undo[SP_STEP_WORDS_MAX]; /* `run`: what takes it back; `webhook`: the text of that post */
    size_t undo_count;           /* 0: nothing does */
    sp_span channel;             /* `webhook` */
    uint64_t timeout_s;
    sp_step_failure on_failure;
    bool needs_confirm;
    uint64_t confirm_by[SP_ROLE_WORDS];
    uint64_t after; /* bits of the steps that must be over */
} sp_policy_step;

/* The plans that come with the program, as they are written. */
sp_policy_file sp_policy_builtin_plans(void);
size_t sp_policy_set_plan_count(const sp_policy_set *set);
/* In the order of the documents; SP_ENOTFOUND. */
SP_MUST sp_err sp_policy_set_plan(const sp_policy_set *set, size_t at, sp_policy_plan *ret_plan);
SP_MUST sp_err sp_policy_set_plan_find(const sp_policy_set *set, sp_span name, size_t *ret_at);
SP_MUST sp_err sp_policy_set_plan_step(const sp_policy_set *set, size_t at, size_t step,
                                       sp_policy_step *ret_step);
/* What a placeholder of `arguments` may stand for, in this order. */
typedef enum {
    SP_STEP_PERSON, /* login name */
    SP_STEP_SESSION,
    SP_STEP_DEVICE,
    SP_STEP_RESOURCE,
    SP_STEP_CLASS,
    SP_STEP_INCIDENT,
    SP_STEP_RUN_NUMBER,
    SP_STEP_SEVERITY,
    SP_STEP_PLAN_NAME,
    SP_STEP_VALUE_COUNT
} sp_step_value;
/* An argument with the value of its placeholder in place. SP_EINVALID: nothing is known of it, or
 * the value is not of the placeholder's kind; *why gets a clause. */
SP_MUST sp_err sp_step_word(sp_span template, const sp_span values[SP_STEP_VALUE_COUNT],
                            sp_buf *out, sp_buf *why);

/* Whether an alarm of this detection and severity sets it off. */
bool sp_policy_set_plan_fits(const sp_policy_set *set, size_t at, sp_span detection,
                             uint8_t severity);

/* Whether it is proposed when somebody tells this. */
bool sp_policy_set_plan_is_for(const sp_policy_set *set, size_t at, sp_told told);

/* The place-th person of a role, over all rotas in their order; empty past the end. */
sp_span sp_policy_set_rota(const sp_policy_set *set, sp_rota_role role, size_t place);

const char *sp_plan_mode_word(sp_plan_mode mode);
const char *sp_step_do_word(sp_step_do what);
const char *sp_rota_role_word(sp_rota_role role);
const char *sp_told_word(sp_told told);
bool sp_told_of(sp_span word, sp_told *ret_told);
bool sp_rota_role_of(sp_span word, sp_rota_role *ret_role);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * What the files of core/plans share.
 * OWNS nothing. PROCESS core. TRUST see plans.h. SPEC core/plans/README.md.
 */
#ifndef SP_CORE_PLANS_INSIDE_H
#define SP_CORE_PLANS_INSIDE_H

#include "core/plans/plans.h"
#include "infra/ipc/line.h"
#include "lib/base/arena.h"
#include "lib/policy/plan.h"

enum { SP_PLAN_ARENA_BYTES = 512 * 1024, SP_PLAN_NOTE_BYTES = 400 };

struct sp_plans {
    sp_core *core;
    uv_timer_t timer;
    sp_line *runner; /* NULL: the office has no commands */
    bool calling;    /* the runner, inside sp_step_outside */
    sp_err call_err; /* of that call, when it failed at once */
};

typedef enum {
    SP_RUN_WAITING, /* proposed: a person has to confirm it */
    SP_RUN_RUNNING,
    SP_RUN_DONE,
    SP_RUN_FAILED,
    SP_RUN_STOPPED, /* by a person */
    SP_RUN_STATE_COUNT
} sp_run_state;

typedef enum {
    SP_STEP_PENDING,
    SP_STEP_WAITING, /* for a person, or for a while */
    SP_STEP_RUNNING, /* begun; an end was never seen if core died now */
    SP_STEP_DONE,
    SP_STEP_FAILED,
    SP_STEP_SKIPPED,
    SP_STEP_STATE_COUNT
} sp_step_state;
/* Of what a step began outside, and can be taken back. */
typedef enum {
    SP_UNDO_NONE, /* nothing was begun, or nothing says how */
    SP_UNDO_OWED, /* it was begun */
    SP_UNDO_RUNNING,
    SP_UNDO_DONE,
    SP_UNDO_FAILED,
    SP_UNDO_STATE_COUNT
} sp_step_undo_state;
/* In the number of a step, where what is meant is taking it back. */
enum { SP_STEP_UNDO_BIT = 0x80 };
_Static_assert((int)SP_PLAN_STEPS_MAX <= (int)SP_STEP_UNDO_BIT, "no step has that number");
const char *sp_run_state_word(sp_run_state state);
const char *sp_step_undo_word(sp_step_undo_state state);
const char *sp_step_state_word(sp_step_state state);

/* What a run is about. */
typedef struct {
    sp_span person; /* login name */
    sp_span session;
    sp_span device; /* its id, in decimal */
    sp_span resource;
    sp_span class_name;
} sp_plan_facts;

/* Spans live in the arena, or until the next row. */
typedef struct {
    uint64_t id;
    uint64_t incident; /* 0 = none yet */
    uint64_t started_us;
    uint64_t ended_us;
    uint64_t confirm_by[SP_ROLE_WORDS];
    uint8_t state; /* sp_run_state */
    uint8_t severity;
    bool drill;
    bool by_itself; /* counts for the guard */
    sp_span plan;
    sp_span by_name;
    sp_span why; /* it is only proposed; it was stopped */
    sp_plan_facts facts;
} sp_run;

typedef struct {
    uint64_t run;
    uint64_t began_us;
    uint64_t ended_us;
    uint64_t cut; /* that it made, 0 = none */
    uint32_t number;
    uint8_t state; /* sp_step_state */
    uint8_t undo;  /* sp_step_undo_state */
    uint64_t undo_began_us;
    sp_policy_step is;
    sp_span note;
    sp_span by_name; /* who confirmed it */
} sp_run_step;

/* ---- rows.c; those that write want a transaction of the caller ---- */
SP_MUST sp_err sp_plan_rows_start(sp_store *store);
SP_MUST sp_err sp_run_add(sp_store *store, sp_run *run);
SP_MUST sp_err sp_run_put(sp_store *store, const sp_run *run);
SP_MUST sp_err sp_run_get(sp_store *store, sp_arena *arena, uint64_t id, sp_run *ret_run);
SP_MUST sp_err sp_run_step_add(sp_store *store, const sp_run_step *step);
SP_MUST sp_err sp_run_step_put(sp_store *store, const sp_run_step *step);
/* *ret_steps: in order, in the arena. */
SP_MUST sp_err sp_run_steps(sp_store *store, sp_arena *arena, uint64_t run, sp_run_step **ret_steps,
                            size_t *ret_count);
typedef struct {
    uint64_t run;
    uint32_t number;
} sp_step_place;
/* Steps of this kind that are being taken back, from the one after `after` on. */
SP_MUST sp_err sp_undos_running(sp_store *store, sp_step_do what, const sp_step_place *after,
                                sp_step_place *ret_places, size_t max, size_t *ret_count);
/* Steps that should have been taken back by now. */
SP_MUST sp_err sp_undos_late(sp_store *store, uint64_t now_us, uint64_t grace_s,
                             sp_step_place *ret_places, size_t max, size_t *ret_count);
/* incident 0 = of all; only_open: waiting and running. Newest first. */
SP_MUST sp_err sp_runs_each(sp_store *store, uint64_t incident, bool only_open,
                            void (*visit)(void *self, const sp_run *run), void *self);
/* Numbers of those that run, from the one after `after` on. */
SP_MUST sp_err sp_runs_running(sp_store *store, uint64_t after, uint64_t *ret_ids, size_t max,
                               size_t *ret_count);
/* The same, but only those that have something to do now: a step whose time has come or is over, by
 * `now_us`, or none that is waited for. grace_s: of what runs outside. */
SP_MUST sp_err sp_runs_due(sp_store *store, uint64_t after, uint64_t now_us, uint64_t grace_s,
                           uint64_t *ret_ids, size_t max, size_t *ret_count);
/* Numbers of those that have waited to be confirmed since before then. */
SP_MUST sp_err sp_runs_proposed(sp_store *store, uint64_t before_us, uint64_t *ret_ids, size_t max,
                                size_t *ret_count);
/* What waits, runs or is proposed began by so much later. In a transaction of the caller. */
SP_MUST sp_err sp_runs_move(sp_store *store, int64_t by_us);
/* Whether a run that was started for the incident since then tells people, or has. */
bool sp_runs_tell(sp_store *store, uint64_t incident, uint64_t since_us);
/* Runs by itself of this plan since then, until now. */
SP_MUST sp_err sp_runs_since(sp_store *store, sp_span plan, uint64_t since_us, uint64_t now_us,
                             uint64_t *ret_count);
/* Whether it was started for this incident since then. */
bool sp_runs_has(sp_store *store, sp_span plan, uint64_t incident, uint64_t since_us);
/* When a drill of it, or a run, ended last, in microseconds; 0 = never. */
SP_MUST sp_err sp_runs_last(sp_store *store, sp_span plan, bool drill, uint64_t *ret_us);

/* ---- engine.c ---- */
/* To the ledger, to the incident's timeline, to who looks. step, what: may be empty. */
void sp_run_tell(sp_core *core, const sp_run *run, const char *method, sp_span step, sp_span what);
typedef struct {
    sp_span plan;
    sp_plan_facts facts;
    uint64_t incident;
    uint8_t severity;
    bool drill;
    bool by_itself; /* an alarm starts it: mode and guard decide */
    bool told;      /* by staff: it is proposed, whatever its mode */
    sp_span by_name;
    uint32_t person; /* that it is about, 0 = nobody */
} sp_run_order;
/* SP_ENOTFOUND: no such plan. */
SP_MUST sp_err sp_run_start(sp_core *core, const sp_run_order *order, uint64_t *ret_id);
/* A person confirms the run, or the step that waits (step SP_NONE: the run). SP_ECONFLICT: it does
 * not wait. */
SP_MUST sp_err sp_run_confirm(sp_core *core, uint64_t id, uint32_t step, sp_span by_name);
/* Nothing more begins; undo: what it has cut is given back. SP_ECONFLICT: it has ended. */
SP_MUST sp_err sp_run_stop(sp_core *core, uint64_t id, bool undo, sp_span by_name, sp_span why);

/* ---- whom.c ---- */
/* Whether it, or a step of it, is about this person, or a session or device of his. */
bool sp_run_is_about(sp_core *core, const sp_run *run, uint32_t person);
/* An alarm about nobody, and it cuts something by itself that nothing names. */
bool sp_plan_cuts_nothing(const sp_policy_set *set, size_t at, const sp_plan_facts *facts);
/* Why it may not run by itself; NULL = it may. */
const char *sp_plan_held_back(sp_core *core, const sp_policy_plan *plan, const sp_run_order *order);

/* ---- steps.c ---- */
/* It cuts nothing, or it is known what. */
bool sp_step_has_target(const sp_plan_facts *facts, const sp_policy_step *step);
/* Does it, or says what it would do. *note gets a sentence. */
SP_MUST sp_err sp_step_do_it(sp_core *core, sp_run *run, sp_run_step *step, sp_buf *note);
/* What it would meet now, as JSON: {"name", "do", "would"}. */
json_t *sp_step_would(sp_core *core, const sp_plan_facts *facts, const sp_policy_step *step);

/* ---- outside.c: steps that somebody else carries out, and whose end comes later ---- */
static inline bool sp_step_is_outside(const sp_policy_step *step)
{
    return step->what == SP_STEP_RUN || step->what == SP_STEP_WEBHOOK;
}
SP_MUST sp_err sp_outside_start(sp_core *core, sp_plans *plans);
/* Begins it, or what takes it back; its end comes to sp_step_over(), sp_step_undone(). *note: why
 * it could not be. */
SP_MUST sp_err sp_step_outside(sp_core *core, const sp_run *run, const sp_run_step *step, bool undo,
                               sp_buf *note);
/* It need not end by itself any more. */
void sp_step_outside_stop(sp_core *core, const sp_run_step *step);
/* What would be begun. */
void sp_step_outside_would(sp_core *core, const sp_run *run, const sp_policy_step *step,
                           sp_buf *note);

/* engine.c: a step that was begun outside is over. One that is not under way is left alone. */
void sp_step_over(sp_core *core, uint64_t run, uint32_t number, bool worked, sp_span note);
/* Steps of this kind that are under way and that is_known() does not know have failed. */
void sp_steps_lost(sp_core *core, sp_step_do what,
                   bool (*is_known)(void *self, uint64_t run, uint32_t number), void *self,
                   sp_span why);

/* ---- undo.c ---- */
/* What the step did is given back, or that is begun; nothing to do is no failure. */
SP_MUST sp_err sp_step_take_back(sp_core *core, const sp_run *run, sp_run_step *step);
/* The end of what was begun outside. One that is not under way is left alone. */
void sp_step_undone(sp_core *core, uint64_t run, uint32_t number, bool worked, sp_span note);
/* As sp_steps_lost(); is_known() gets the number with SP_STEP_UNDO_BIT. */
void sp_undos_lost(sp_core *core, sp_step_do what,
                   bool (*is_known)(void *self, uint64_t run, uint32_t number), void *self,
                   sp_span why);
/* Those whose time is over have failed. */
void sp_undos_look(sp_core *core, uint64_t grace_s);

/* ---- drills.c ---- */
/* Whether its drill is over due; *ret_due_unix_s is when it was, or will be. */
bool sp_drill_due(sp_core *core, const sp_policy_plan *plan, uint64_t drilled_us,
                  uint64_t *ret_due_unix_s);

/* ---- api.c ---- */
SP_MUST sp_err sp_plan_routes(sp_core *core);

#endif

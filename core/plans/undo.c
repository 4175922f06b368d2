/* SPDX-License-Identifier: Apache-2.0
 * Taking back what steps did: a cut is given back, a command runs with other arguments, a webhook
 * is posted to again. The ends of the latter come later and are noted in the run, which is over
 * then. OWNS nothing. PROCESS core. TRUST see plans.h. SPEC docs/INCIDENTS.md "Plans".
 */
#include "core/cut/cut.h"
#include "core/plans/inside.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"
#include "lib/notice/template.h"

enum { NOTE_PART_BYTES = SP_PLAN_NOTE_BYTES / 2 - 32, LOST_A_LOOK = 16 };

const char *sp_step_undo_word(sp_step_undo_state state)
{
    static const char *const words[] = {"none", "owed", "running", "done", "failed"};
    _Static_assert(SP_COUNT(words) == SP_UNDO_STATE_COUNT, "a word for each");
    return (unsigned)state < SP_UNDO_STATE_COUNT ? words[state] : "?";
}

static sp_err save(sp_core *core, const sp_run_step *step)
{
    auto_txn sp_txn txn = sp_txn_begin(core->store);
    TRY(txn.err);
    TRY(sp_run_step_put(core->store, step));
    return sp_txn_commit(&txn);
}

/* What became of it stands behind what the step had said. */
static sp_err over(sp_core *core, const sp_run *run, sp_run_step *step, bool worked, sp_span note)
{
    auto_buf sp_buf all = sp_buf_make(SP_PLAN_NOTE_BYTES);
    sp_buf_span(&all, sp_text_cut(step->note, NOTE_PART_BYTES));
    sp_buf_text(&all, step->note.len > 0 ? "; " : "");
    sp_buf_text(&all, worked ? "undone: " : "could not be undone: ");
    sp_buf_span(&all, sp_text_cut(note, NOTE_PART_BYTES));
    TRY(sp_buf_error(&all));
    step->undo = worked ? SP_UNDO_DONE : SP_UNDO_FAILED;
    step->note = sp_buf_borrow(&all);
    sp_err err = save(core, step);
    step->note = SP_SPAN_EMPTY; /* its room ends here */
    sp_run_tell(core, run, worked ? "undone" : "could not be undone", step->is.name, note);
    return err;
}

/* In the store as begun, then begun. */
static sp_err begin(sp_core *core, const sp_run *run, sp_run_step *step)
{
    auto_buf sp_buf note = sp_buf_make(SP_PLAN_NOTE_BYTES);
    step->undo = SP_UNDO_RUNNING;
    step->undo_began_us = sp_now_unix_us();
    TRY(save(core, step));
    sp_err err = sp_step_outside(core, run, step, true, &note);
    sp_span said = sp_failed(sp_buf_error(&note)) ? SP_SPAN_LIT("begun") : sp_buf_borrow(&note);
    if (sp_failed(err)) {
        SP_IGNORE(over(core, run, step, false, said)); /* the caller says that it failed */
        return err;
    }
    sp_run_tell(core, run, "undo begun", step->is.name, said);
    return sp_ok();
}

sp_err sp_step_take_back(sp_core *core, const sp_run *run, sp_run_step *step)
{
    if (step->undo == SP_UNDO_OWED || step->undo == SP_UNDO_FAILED) {
        return begin(core, run, step);
    }
    if (step->cut == 0) {
        return sp_ok();
    }
    sp_err err =
        sp_cut_undo(core, step->cut, run->plan, SP_SPAN_LIT("the plan gives back what it cut"));
    return err.code == SP_ECONFLICT ? sp_ok() : err; /* it was given back already */
}

/* ---- its end ---- */

static sp_err undone(sp_core *core, uint64_t id, uint32_t number, bool worked, sp_span note)
{
    auto_arena sp_arena arena = sp_arena_make(SP_PLAN_ARENA_BYTES);
    sp_run run;
    sp_run_step *steps = NULL;
    size_t count = 0;
    TRY(sp_run_get(core->store, &arena, id, &run));
    TRY(sp_run_steps(core->store, &arena, id, &steps, &count));
    if (number >= count || steps[number].undo != SP_UNDO_RUNNING) {
        return sp_ok();
    }
    return over(core, &run, &steps[number], worked, note);
}

void sp_step_undone(sp_core *core, uint64_t run, uint32_t number, bool worked, sp_span note)
{
    sp_err err = undone(core, run, number, worked, note);
    if (sp_failed(err) && err.code != SP_ENOTFOUND) {
        sp_log(SP_LOG_ERROR, "what became of an undo of run %llu is not kept: %s",
               (unsigned long long)run, sp_code_word(err.code));
    }
}

void sp_undos_lost(sp_core *core, sp_step_do what,
                   bool (*is_known)(void *self, uint64_t run, uint32_t number), void *self,
                   sp_span why)
{
    sp_step_place places[LOST_A_LOOK];
    sp_step_place last = {0};
    size_t count = 0;
    do {
        if (sp_failed(sp_undos_running(core->store, what, &last, places, LOST_A_LOOK, &count))) {
            return; /* their time will be over */
        }
        for (size_t i = 0; i < count; i++) {
            if (!is_known(self, places[i].run, places[i].number | SP_STEP_UNDO_BIT)) {
                sp_step_undone(core, places[i].run, places[i].number, false, why);
            }
        }
        last = count > 0 ? places[count - 1] : last;
    } while (count == LOST_A_LOOK);
}

void sp_undos_look(sp_core *core, uint64_t grace_s)
{
    sp_step_place places[LOST_A_LOOK];
    size_t count = 0;
    if (sp_failed(
            sp_undos_late(core->store, sp_now_unix_us(), grace_s, places, LOST_A_LOOK, &count))) {
        return; /* the next look finds them */
    }
    for (size_t i = 0; i < count; i++) {
        sp_step_undone(core, places[i].run, places[i].number, false,
                       SP_SPAN_LIT("no answer came in time"));
    }
}

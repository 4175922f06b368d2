/* SPDX-License-Identifier: Apache-2.0
 * Undo of what was destroyed, and its rows beside, once they are approved: an ask of their own, for
 * which the people who approved the statement are needed again. Rows beside change nothing of the
 * keep, and may be put there whatever became of its undo.
 * OWNS what waits for keeper and ledger. PROCESS core. TRUST the keeper's reports are bounded.
 * SPEC docs/api/openapi.yaml "/keeps", docs/ARCHITECTURE.md "Undo".
 */
#include "core/approvals/keeps.h"
#include "core/ledger_client.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"

static uint64_t now_s(void)
{
    return sp_now_unix_us() / 1000000;
}

/* ---- undo, once it is approved ---- */

typedef struct {
    sp_core *core;
    sp_arena arena;
    sp_ask ask;
    sp_kept k;
    sp_kept before; /* it has begun */
    sp_span told;   /* JSON */
    bool is_busy;
    bool is_heard; /* it has begun, and another core asked for it */
} undoing;

static void undoing_free(undoing *w)
{
    if (w->is_busy) {
        sp_approvals_end(w->core->approvals, w->k.id);
    }
    sp_arena_done(&w->arena);
    sp_free(w);
}

/* The keeper says whether all of it came back. */
static bool is_complete(sp_span report)
{
    json_error_t error;
    json_t *value = json_loadb((const char *)report.ptr, report.len, 0, &error);
    bool complete = json_is_true(json_object_get(value, "complete"));
    json_decref(value);
    return complete;
}

/* How it ended, as the ledger has it and the row. */
typedef enum { END_DONE, END_PARTLY, END_FAILED, END_UNKNOWN, END_LATE, END_COUNT } ending;
static const struct {
    const char *undo_method;
    const char *beside_method;
    uint8_t undo;   /* sp_kept_state */
    uint8_t beside; /* sp_beside_state */
} ENDS[END_COUNT] = {
    [END_DONE] = {"undone", "rows put beside", SP_KEPT_UNDONE, SP_BESIDE_DONE},
    [END_PARTLY] = {"undone in part", "rows put beside in part", SP_KEPT_UNDONE_PARTLY,
                    SP_BESIDE_DONE},
    [END_FAILED] = {"undo failed", "rows beside failed", SP_KEPT_UNDO_FAILED, SP_BESIDE_FAILED},
    [END_UNKNOWN] = {"undo: its end is not known", "rows beside: their end is not known",
                     SP_KEPT_UNDO_UNKNOWN, SP_BESIDE_UNKNOWN},
    [END_LATE] = {"undo late", "rows beside late", SP_KEPT_UNDOING, SP_BESIDE_UNDER_WAY}};

static bool is_beside(const undoing *w)
{
    return w->ask.kind == SP_ASK_BESIDE;
}

/* The one word of an undo, the other of rows beside. */
static const char *method_of(const undoing *w, const char *undo, const char *beside)
{
    return is_beside(w) ? beside : undo;
}

static void tell(undoing *w, const sp_kept *k, const char *method)
{
    auto_buf sp_buf room = sp_buf_make(SP_KEPT_DETAIL_BYTES);
    sp_event event = {.session = w->ask.session};
    sp_kept_event(&w->ask, k, method, w->told, &room, &event);
    sp_ledger_client_tell(w->core->ledger, &event);
}

/* On the ledger and in the row. */
static void note_outcome(undoing *w, ending how)
{
    uint64_t ended_s = how == END_LATE ? 0 : now_s();
    sp_span *told = is_beside(w) ? &w->k.beside.told : &w->k.told;
    if (is_beside(w)) {
        w->k.beside = (sp_kept_beside){ENDS[how].beside, w->ask.id, ended_s, SP_SPAN_EMPTY};
    } else {
        w->k.state = ENDS[how].undo;
        w->k.undone_unix_s = ended_s;
        w->k.undo_ask = w->ask.id;
    }
    *told = w->told;
    tell(w, &w->k, method_of(w, ENDS[how].undo_method, ENDS[how].beside_method));
    sp_err err = sp_kept_change(w->core->store, &w->k);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "the outcome of what was approved cannot be stored: %s",
               sp_store_error_text(w->core->store));
    }
    sp_approvals_changed(w->core, &w->ask);
    *told = w->told = SP_SPAN_EMPTY; /* its room goes */
}

static void note_end(undoing *w, const sp_keeper_done *done)
{
    if (done->code == SP_OK) {
        w->k.partly = is_beside(w) ? w->k.partly : SP_KEPT_PARTLY_YES;
        note_outcome(w, is_complete(done->report) ? END_DONE : END_PARTLY);
    } else if (done->code == SP_ETIMEOUT) {
        note_outcome(w, END_LATE);
    } else if (done->code == SP_ECLOSED) {
        note_outcome(w, END_UNKNOWN);
    } else {
        bool nothing = !is_beside(w) && w->k.partly != SP_KEPT_PARTLY_YES;
        w->k.partly = nothing ? SP_KEPT_PARTLY_NO : w->k.partly;
        note_outcome(w, END_FAILED);
    }
}

/* The keeper did not take it: it waits, as if it had not begun. False: that could not be stored. */
static bool put_off(undoing *w, sp_span why)
{
    auto_buf sp_buf report = sp_buf_make(1024);
    sp_err err = sp_kept_put_off(w->core->store, &w->before, &w->ask);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "that an undo waits cannot be stored: %s",
               sp_store_error_text(w->core->store));
        return false;
    }
    if (sp_ask_put_off(w->core, w->ask.id)) {
        sp_kept_put_why(SP_SPAN_EMPTY, why, &report);
        w->told = sp_buf_borrow(&report);
        tell(w, &w->before, method_of(w, "undo put off", "rows beside put off"));
        w->told = SP_SPAN_EMPTY;
    }
    sp_approvals_changed(w->core, &w->ask);
    return true;
}

/* SP_ETIMEOUT: it may still be under way, so the keep stays busy; what comes later corrects this.
 * NULL: core stops. */
static void on_undone(void *self, const sp_keeper_done *done)
{
    undoing *w = self;
    bool is_begun =
        done == NULL || w->is_heard || (done->code != SP_EAGAIN && done->code != SP_ELIMIT);
    if (done == NULL || (!is_begun && put_off(w, done->why))) {
        undoing_free(w);
        return;
    }
    auto_buf sp_buf told = sp_buf_make(SP_KEEPER_REPORT_MAX_BYTES + 2048);
    if (done->code == SP_OK) {
        sp_buf_span(&told, done->report);
    } else {
        sp_kept_put_why(
            done->code != SP_ECLOSED
                ? SP_SPAN_EMPTY
                : SP_SPAN_LIT("nobody knows whether it was put back, look at the tables: "),
            done->why, &told);
    }
    w->k.undo_ms = is_beside(w) ? w->k.undo_ms : done->duration_ms;
    w->k.ms = done->duration_ms;
    w->told = sp_failed(sp_buf_error(&told)) ? SP_SPAN_EMPTY : sp_buf_borrow(&told);
    note_end(w, done);
    if (done->code != SP_ETIMEOUT) {
        undoing_free(w);
    }
}

bool sp_kept_is_over(const sp_kept *k)
{
    return k->state == SP_KEPT_UNDONE || k->state == SP_KEPT_FORGOTTEN;
}

static bool is_over(const undoing *w)
{
    return is_beside(w) ? w->k.state == SP_KEPT_FORGOTTEN : sp_kept_is_over(&w->k);
}

/* It was approved and is used up; of what is over, nothing else changes. */
static void not_carried_out(undoing *w, const char *why)
{
    auto_buf sp_buf told = sp_buf_make(1024);
    if (sp_failed(sp_ask_carried_out(w->core, w->ask.id))) {
        sp_ask_put_off(w->core, w->ask.id); /* if it is still approved */
        return;
    }
    sp_kept_put_why(SP_SPAN_EMPTY, sp_span_cstr(why), &told);
    w->told = sp_failed(sp_buf_error(&told)) ? SP_SPAN_EMPTY : sp_buf_borrow(&told);
    if (!is_over(w)) {
        note_outcome(w, END_FAILED);
        return;
    }
    tell(w, &w->k, method_of(w, ENDS[END_FAILED].undo_method, ENDS[END_FAILED].beside_method));
    w->told = SP_SPAN_EMPTY;
    sp_approvals_changed(w->core, &w->ask);
}

/* In the store before the keeper is asked: whatever dies, it is known that this has begun. */
static sp_err note_begin(undoing *w, sp_keeper_job *job)
{
    w->before = w->k;
    job->kind = is_beside(w) ? SP_KEEPER_BESIDE : SP_KEEPER_UNDO;
    job->partly = w->k.partly != SP_KEPT_PARTLY_NO ? 1 : 0;
    job->keep = w->k.id;
    job->ask = w->ask.id;
    job->whole = w->k.whole ? 1 : 0;
    if (is_beside(w)) {
        w->k.beside = (sp_kept_beside){.state = SP_BESIDE_UNDER_WAY, .ask = w->ask.id};
        return sp_kept_begin(w->core->store, &w->k, w->ask.id, now_s());
    }
    w->k.partly = job->partly != 0 ? SP_KEPT_PARTLY_YES : SP_KEPT_PARTLY_UNKNOWN;
    w->k.state = SP_KEPT_UNDOING;
    w->k.undone_unix_s = 0;
    w->k.undo_ask = w->ask.id;
    w->k.told = SP_SPAN_EMPTY;
    return sp_kept_begin(w->core->store, &w->k, w->ask.id, now_s());
}

static sp_err find_place(const undoing *w, sp_keep_place *p)
{
    return is_beside(w)
               ? sp_keep_place_beside(w->core, w->k.resource, w->ask.database, p)
               : sp_keep_place_find(w->core, w->k.resource, w->k.database, SP_SPAN_EMPTY, p);
}

static void on_undo_recorded(void *self, sp_err err)
{
    undoing *w = self;
    bool has_begun = !sp_failed(err);
    auto_keep_place sp_keep_place p = {.credential = {0}};
    if (has_begun) { /* another undo of it may have been first */
        err = sp_kept_load(w->core->store, &w->arena, w->k.id, &w->k);
    }
    if (!sp_failed(err)) { /* whoever agreed may have been locked while the ledger wrote */
        err = sp_ask_is_met(w->core->store, &w->ask);
    }
    bool over = !sp_failed(err) && is_over(w);
    bool placed = !sp_failed(err) && !sp_failed(find_place(w, &p));
    if (over || (!sp_failed(err) && !placed)) {
        not_carried_out(w, over ? "what was kept is undone or gone already"
                                : "the policy names no place or role of the database for this any "
                                  "more");
        undoing_free(w);
        return;
    }
    if (!sp_failed(err)) {
        err = note_begin(w, &p.job);
    }
    if (sp_failed(err)) {
        sp_ask_give_up(w->core, &w->ask, method_of(w, "undo not begun", "rows beside not begun"),
                       has_begun, err);
        undoing_free(w);
        return;
    }
    sp_keeper_client_job(sp_keep_keeper(w->core), &p.job, on_undone, w);
}

static sp_err begin_undo(sp_core *core, uint64_t ask, undoing **ret_undoing)
{
    undoing *w = NULL;
    TRY(sp_alloc(1, sizeof(*w), &w));
    w->core = core;
    w->arena = sp_arena_make(2 * SP_ASK_ARENA_BYTES);
    sp_err err = sp_ask_load(core->store, &w->arena, ask, &w->ask);
    if (!sp_failed(err)) {
        err = sp_kept_load(core->store, &w->arena, w->ask.keep, &w->k);
    }
    if (sp_failed(err)) {
        undoing_free(w);
        return err;
    }
    *ret_undoing = w;
    return sp_ok();
}

static bool is_asker_active(const undoing *w)
{
    sp_person person;
    return !sp_failed(sp_people_get(w->core->store, w->ask.asker, &person)) &&
           person.state == SP_PERSON_ACTIVE;
}

void sp_keeps_undo(sp_core *core, const sp_ask *ask)
{
    undoing *w = NULL;
    sp_err err = begin_undo(core, ask->id, &w);
    if (sp_failed(err)) {
        sp_log(SP_LOG_WARN, "what was approved of a keep cannot begin: %s", sp_code_word(err.code));
        return;
    }
    /* whoever asked or agreed and was locked since had lost his account to somebody, or his office
     */
    w->is_busy = sp_keeper_client_is_up(sp_keep_keeper(core)) && is_asker_active(w) &&
                 !sp_failed(sp_ask_is_met(core->store, &w->ask)) &&
                 sp_approvals_begin(core->approvals, w->k.id);
    if (w->is_busy) {
        sp_ask_record_use(core, ask, on_undo_recorded, w);
    } else {
        undoing_free(w);
    }
}

static void hear_one(sp_core *core, sp_approvals *approvals, uint64_t keep, uint64_t ask)
{
    undoing *w = NULL;
    sp_err err = begin_undo(core, ask, &w);
    if (sp_failed(err)) {
        sp_log(SP_LOG_WARN, "what became of an undo cannot be heard: %s", sp_code_word(err.code));
        return;
    }
    w->is_heard = true;
    w->is_busy = sp_approvals_resume(approvals, keep);
    sp_keeper_job job = {.kind = SP_KEEPER_HEAR, .keep = keep, .ask = ask};
    sp_keeper_client_job(approvals->keeper, &job, on_undone, w);
}

static void hear_of(sp_core *core, sp_approvals *approvals, uint64_t id)
{
    auto_arena sp_arena arena = sp_arena_make(2 * SP_ASK_ARENA_BYTES);
    sp_kept k;
    sp_err err = sp_kept_load(core->store, &arena, id, &k);
    if (sp_failed(err)) {
        sp_log(SP_LOG_WARN, "what became of a keep cannot be heard: %s", sp_code_word(err.code));
        return;
    }
    if (k.state == SP_KEPT_UNDOING) {
        hear_one(core, approvals, id, k.undo_ask);
    }
    if (k.beside.state == SP_BESIDE_UNDER_WAY) {
        hear_one(core, approvals, id, k.beside.ask);
    }
}

void sp_undo_hear(sp_core *core, sp_approvals *approvals)
{
    sp_kept_ids list = {.count = 0};
    sp_kept_list_under_way(core->store, &list);
    for (size_t i = 0; i < list.count; i++) {
        hear_of(core, approvals, list.ids[i]);
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * Runs of plans and their steps in the store.
 * OWNS nothing. PROCESS core. TRUST rows are core's own; bound texts may be hostile.
 * SPEC core/plans/inside.h.
 */
#include "core/clock.h"
#include "core/plans/inside.h"
#include "lib/base/reader.h"

enum { WORDS_MAX_BYTES = SP_STEP_WORDS_MAX * 256 };

static const char *const migrations[] = {
    "CREATE TABLE plan_run (id BIGINT PRIMARY KEY, incident BIGINT NOT NULL,"
    " started BIGINT NOT NULL, ended BIGINT NOT NULL, state BIGINT NOT NULL,"
    " severity BIGINT NOT NULL, drill BIGINT NOT NULL, by_itself BIGINT NOT NULL,"
    " confirm_by BYTEA NOT NULL, plan TEXT NOT NULL, by_name TEXT NOT NULL, why TEXT NOT NULL,"
    " person TEXT NOT NULL, session TEXT NOT NULL, device TEXT NOT NULL, resource TEXT NOT NULL,"
    " class_name TEXT NOT NULL);"
    "CREATE INDEX plan_run_state ON plan_run (state);"
    "CREATE INDEX plan_run_plan ON plan_run (plan, started);"
    "CREATE TABLE plan_step (run BIGINT NOT NULL, number BIGINT NOT NULL, state BIGINT NOT NULL,"
    " began BIGINT NOT NULL, ended BIGINT NOT NULL, cut BIGINT NOT NULL, what BIGINT NOT NULL,"
    " kind BIGINT NOT NULL, effect BIGINT NOT NULL, for_s BIGINT NOT NULL, role BIGINT NOT NULL,"
    " severity BIGINT NOT NULL, timeout BIGINT NOT NULL, on_failure BIGINT NOT NULL,"
    " needs_confirm BIGINT NOT NULL, after BIGINT NOT NULL, confirm_by BYTEA NOT NULL,"
    " name TEXT NOT NULL, target TEXT NOT NULL, notice TEXT NOT NULL, audience TEXT NOT NULL,"
    " text TEXT NOT NULL, note TEXT NOT NULL, by_name TEXT NOT NULL, PRIMARY KEY (run, number))",
    "ALTER TABLE plan_step ADD COLUMN command TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE plan_step ADD COLUMN words TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE plan_step ADD COLUMN channel TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE plan_step ADD COLUMN undo_words TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE plan_step ADD COLUMN undo BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE plan_step ADD COLUMN undo_began BIGINT NOT NULL DEFAULT 0;"
    "CREATE INDEX plan_step_undo ON plan_step (undo, run, number)",
};

#define RUN                                                                                        \
    "id, incident, started, ended, state, severity, drill, by_itself, confirm_by, plan, by_name, " \
    "why, person, session, device, resource, class_name"
#define STEP                                                                                       \
    "run, number, state, began, ended, cut, what, kind, effect, for_s, role, severity, timeout, "  \
    "on_failure, needs_confirm, after, confirm_by, name, target, notice, audience, text, note, "   \
    "by_name, command, words, channel, undo_words, undo, undo_began"

sp_err sp_plan_rows_start(sp_store *store)
{
    return sp_store_migrate(store, "plans", migrations, SP_COUNT(migrations));
}

/* ---- roles as bytes ---- */

static void bind_roles(sp_query *q, const uint64_t roles[SP_ROLE_WORDS])
{
    auto_buf sp_buf bytes = sp_buf_make(64);
    for (size_t w = 0; w < SP_ROLE_WORDS; w++) {
        sp_buf_u64(&bytes, roles[w]);
    }
    sp_bind_blob(q, sp_buf_borrow(&bytes));
}

static void read_roles(sp_query *q, uint64_t ret_roles[SP_ROLE_WORDS])
{
    sp_reader r = sp_reader_of(sp_col_blob(q));
    for (size_t w = 0; w < SP_ROLE_WORDS; w++) {
        ret_roles[w] = sp_read_u64(&r);
    }
}

/* ---- runs ---- */

sp_err sp_run_add(sp_store *store, sp_run *run)
{
    auto_query sp_query next = sp_query_of(store, "SELECT COALESCE(MAX(id), 0) + 1 FROM plan_run");
    if (sp_query_row(&next)) {
        run->id = sp_col_u64(&next);
    }
    TRY(sp_query_finish(&next));
    return sp_run_put(store, run);
}

sp_err sp_run_put(sp_store *store, const sp_run *run)
{
    auto_query sp_query q = sp_query_of(
        store, "INSERT INTO plan_run (" RUN ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,"
               " $11, $12, $13, $14, $15, $16, $17) ON CONFLICT (id) DO UPDATE SET incident = $2,"
               " ended = $4, state = $5, by_itself = $8, by_name = $11, why = $12");
    sp_bind_u64(&q, run->id);
    sp_bind_u64(&q, run->incident);
    sp_bind_u64(&q, run->started_us);
    sp_bind_u64(&q, run->ended_us);
    sp_bind_u64(&q, run->state);
    sp_bind_u64(&q, run->severity);
    sp_bind_u64(&q, run->drill ? 1 : 0);
    sp_bind_u64(&q, run->by_itself ? 1 : 0);
    bind_roles(&q, run->confirm_by);
    sp_bind_text(&q, run->plan);
    sp_bind_text(&q, run->by_name);
    sp_bind_text(&q, run->why);
    sp_bind_text(&q, run->facts.person);
    sp_bind_text(&q, run->facts.session);
    sp_bind_text(&q, run->facts.device);
    sp_bind_text(&q, run->facts.resource);
    sp_bind_text(&q, run->facts.class_name);
    return sp_query_finish(&q);
}

static sp_run read_run(sp_query *q)
{
    sp_run run = {.id = sp_col_u64(q)};
    run.incident = sp_col_u64(q);
    run.started_us = sp_col_u64(q);
    run.ended_us = sp_col_u64(q);
    run.state = (uint8_t)sp_col_u64(q);
    run.severity = (uint8_t)sp_col_u64(q);
    run.drill = sp_col_u64(q) == 1;
    run.by_itself = sp_col_u64(q) == 1;
    read_roles(q, run.confirm_by);
    sp_span *const texts[] = {&run.plan,           &run.by_name,         &run.why,
                              &run.facts.person,   &run.facts.session,   &run.facts.device,
                              &run.facts.resource, &run.facts.class_name};
    for (size_t i = 0; i < SP_COUNT(texts); i++) {
        *texts[i] = sp_col_text(q);
    }
    return run;
}

sp_err sp_run_get(sp_store *store, sp_arena *arena, uint64_t id, sp_run *ret_run)
{
    auto_query sp_query q = sp_query_of(store, "SELECT " RUN " FROM plan_run WHERE id = $1");
    sp_bind_u64(&q, id > INT64_MAX ? 0 : id);
    if (!sp_query_row(&q)) {
        TRY(sp_query_finish(&q));
        return sp_fail(SP_ENOTFOUND);
    }
    sp_run run = read_run(&q);
    sp_span *const texts[] = {&run.plan,           &run.by_name,         &run.why,
                              &run.facts.person,   &run.facts.session,   &run.facts.device,
                              &run.facts.resource, &run.facts.class_name};
    for (size_t i = 0; i < SP_COUNT(texts); i++) {
        TRY(sp_arena_copy(arena, *texts[i], texts[i]));
    }
    *ret_run = run;
    return sp_query_finish(&q);
}

sp_err sp_runs_each(sp_store *store, uint64_t incident, bool only_open,
                    void (*visit)(void *self, const sp_run *run), void *self)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT " RUN " FROM plan_run WHERE (incident = $1 OR $1 = 0) AND "
                           "state <= $2 ORDER BY id DESC LIMIT 200");
    sp_bind_u64(&q, incident);
    sp_bind_u64(&q, only_open ? SP_RUN_RUNNING : SP_RUN_STATE_COUNT);
    while (sp_query_row(&q)) {
        sp_run run = read_run(&q);
        visit(self, &run);
    }
    return sp_query_finish(&q);
}

static sp_err ids_of(sp_query *q, uint64_t *ret_ids, size_t max, size_t *ret_count)
{
    *ret_count = 0;
    while (*ret_count < max && sp_query_row(q)) {
        ret_ids[(*ret_count)++] = sp_col_u64(q);
    }
    return sp_query_finish(q);
}

sp_err sp_runs_running(sp_store *store, uint64_t after, uint64_t *ret_ids, size_t max,
                       size_t *ret_count)
{
    auto_query sp_query q = sp_query_of(
        store, "SELECT id FROM plan_run WHERE state = $1 AND id > $2 ORDER BY id LIMIT $3");
    sp_bind_u64(&q, SP_RUN_RUNNING);
    sp_bind_u64(&q, after);
    sp_bind_u64(&q, max);
    return ids_of(&q, ret_ids, max, ret_count);
}

sp_err sp_runs_due(sp_store *store, uint64_t after, uint64_t now_us, uint64_t grace_s,
                   uint64_t *ret_ids, size_t max, size_t *ret_count)
{
    auto_query sp_query q = sp_query_of(
        store,
        "SELECT r.id FROM plan_run r WHERE r.state = $1 AND r.id > $2 AND (EXISTS (SELECT 1 FROM"
        " plan_step s WHERE s.run = r.id AND ((s.state = $3 AND (s.began + s.timeout * 1000000 <="
        " $4 OR (s.what = $5 AND s.for_s > 0 AND s.began + s.for_s * 1000000 <= $4))) OR (s.state ="
        " $6 AND s.began + (s.timeout + $7) * 1000000 <= $4))) OR NOT EXISTS (SELECT 1 FROM"
        " plan_step s WHERE s.run = r.id AND s.state IN ($3, $6))) ORDER BY r.id LIMIT $8");
    sp_bind_u64(&q, SP_RUN_RUNNING);
    sp_bind_u64(&q, after);
    sp_bind_u64(&q, SP_STEP_WAITING);
    sp_bind_u64(&q, now_us);
    sp_bind_u64(&q, SP_STEP_WAIT);
    sp_bind_u64(&q, SP_STEP_RUNNING);
    sp_bind_u64(&q, grace_s);
    sp_bind_u64(&q, max);
    return ids_of(&q, ret_ids, max, ret_count);
}

sp_err sp_runs_proposed(sp_store *store, uint64_t before_us, uint64_t *ret_ids, size_t max,
                        size_t *ret_count)
{
    auto_query sp_query q = sp_query_of(
        store, "SELECT id FROM plan_run WHERE state = $1 AND started < $2 ORDER BY id LIMIT $3");
    sp_bind_u64(&q, SP_RUN_WAITING);
    sp_bind_u64(&q, before_us);
    sp_bind_u64(&q, max);
    return ids_of(&q, ret_ids, max, ret_count);
}

bool sp_runs_tell(sp_store *store, uint64_t incident, uint64_t since_us)
{
    auto_query sp_query q = sp_query_of(
        store, "SELECT r.id FROM plan_run r JOIN plan_step s ON s.run = r.id WHERE r.incident = $1"
               " AND r.started >= $2 AND r.state IN ($3, $4) AND s.what = $5 AND s.state <= $6");
    sp_bind_u64(&q, incident);
    sp_bind_u64(&q, since_us);
    sp_bind_u64(&q, SP_RUN_RUNNING);
    sp_bind_u64(&q, SP_RUN_DONE);
    sp_bind_u64(&q, SP_STEP_NOTIFY);
    sp_bind_u64(&q, SP_STEP_DONE);
    return sp_query_row(&q);
}

sp_err sp_runs_since(sp_store *store, sp_span plan, uint64_t since_us, uint64_t now_us,
                     uint64_t *ret_count)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT COUNT(*) FROM plan_run WHERE plan = $1 AND started > $2 AND "
                           "started <= $3 AND by_itself = 1 AND drill = 0");
    sp_bind_text(&q, plan);
    sp_bind_u64(&q, since_us);
    sp_bind_u64(&q, now_us); /* the clock was set back: what was later says nothing */
    *ret_count = sp_query_row(&q) ? sp_col_u64(&q) : 0;
    return sp_query_finish(&q);
}

bool sp_runs_has(sp_store *store, sp_span plan, uint64_t incident, uint64_t since_us)
{
    auto_query sp_query q = sp_query_of(
        store, "SELECT id FROM plan_run WHERE plan = $1 AND incident = $2 AND started >= $3");
    sp_bind_text(&q, plan);
    sp_bind_u64(&q, incident);
    sp_bind_u64(&q, since_us);
    return sp_query_row(&q);
}

sp_err sp_runs_last(sp_store *store, sp_span plan, bool drill, uint64_t *ret_us)
{
    auto_query sp_query q = sp_query_of(
        store, "SELECT COALESCE(MAX(ended), 0) FROM plan_run WHERE plan = $1 AND drill = $2 AND "
               "state = 2");
    sp_bind_text(&q, plan);
    sp_bind_u64(&q, drill ? 1 : 0);
    *ret_us = sp_query_row(&q) ? sp_col_u64(&q) : 0;
    return sp_query_finish(&q);
}

/* ---- steps ---- */

static sp_err put_words(const sp_span *words, size_t count, sp_buf *out)
{
    for (size_t i = 0; i < count; i++) {
        sp_buf_span(out, words[i]);
        sp_buf_byte(out, '\n');
    }
    return sp_buf_error(out);
}

static size_t read_words(sp_span all, sp_span ret_words[SP_STEP_WORDS_MAX])
{
    size_t count = 0;
    while (count < SP_STEP_WORDS_MAX && sp_span_split(&all, '\n', &ret_words[count])) {
        count += ret_words[count].len > 0 ? 1 : 0;
    }
    return count;
}

sp_err sp_run_step_add(sp_store *store, const sp_run_step *step)
{
    auto_query sp_query q = sp_query_of(store, "INSERT INTO plan_step (" STEP
                                               ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,"
                                               " $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, "
                                               "$21, $22, $23, $24, $25, $26, $27, $28, $29,"
                                               " $30)");
    const sp_policy_step *is = &step->is;
    const uint64_t numbers[] = {
        step->run, step->number, step->state,   step->began_us, step->ended_us,
        step->cut, is->what,     is->kind,      is->effect,     is->for_s,
        is->role,  is->severity, is->timeout_s, is->on_failure, is->needs_confirm ? 1 : 0};
    for (size_t i = 0; i < SP_COUNT(numbers); i++) {
        sp_bind_u64(&q, numbers[i]);
    }
    sp_bind_bits(&q, is->after);
    bind_roles(&q, is->confirm_by);
    auto_buf sp_buf words = sp_buf_make(WORDS_MAX_BYTES);
    auto_buf sp_buf undo = sp_buf_make(WORDS_MAX_BYTES);
    TRY(put_words(is->words, is->words_count, &words));
    TRY(put_words(is->undo, is->undo_count, &undo));
    const sp_span texts[] = {is->name,
                             is->target,
                             is->notice,
                             is->audience,
                             is->text,
                             step->note,
                             step->by_name,
                             is->command,
                             sp_buf_borrow(&words),
                             is->channel,
                             sp_buf_borrow(&undo)};
    for (size_t i = 0; i < SP_COUNT(texts); i++) {
        sp_bind_text(&q, texts[i]);
    }
    sp_bind_u64(&q, step->undo);
    sp_bind_u64(&q, step->undo_began_us);
    return sp_query_finish(&q);
}

sp_err sp_run_step_put(sp_store *store, const sp_run_step *step)
{
    auto_query sp_query q = sp_query_of(
        store, "UPDATE plan_step SET state = $1, began = $2, ended = $3, cut = $4, note = $5, "
               "by_name = $6, undo = $7, undo_began = $8 WHERE run = $9 AND number = $10");
    sp_bind_u64(&q, step->state);
    sp_bind_u64(&q, step->began_us);
    sp_bind_u64(&q, step->ended_us);
    sp_bind_u64(&q, step->cut);
    sp_bind_text(&q, step->note);
    sp_bind_text(&q, step->by_name);
    sp_bind_u64(&q, step->undo);
    sp_bind_u64(&q, step->undo_began_us);
    sp_bind_u64(&q, step->run);
    sp_bind_u64(&q, step->number);
    return sp_query_finish_changed(&q);
}

static sp_err read_step(sp_query *q, sp_arena *arena, sp_run_step *ret_step)
{
    sp_run_step s = {.run = sp_col_u64(q)};
    s.number = (uint32_t)sp_col_u64(q);
    s.state = (uint8_t)sp_col_u64(q);
    s.began_us = sp_col_u64(q);
    s.ended_us = sp_col_u64(q);
    s.cut = sp_col_u64(q);
    s.is.what = (sp_step_do)sp_col_u64(q);
    s.is.kind = (sp_cut_kind)sp_col_u64(q);
    s.is.effect = (sp_cut_effect)sp_col_u64(q);
    s.is.for_s = sp_col_u64(q);
    s.is.role = (sp_rota_role)sp_col_u64(q);
    s.is.severity = (uint8_t)sp_col_u64(q);
    s.is.timeout_s = sp_col_u64(q);
    s.is.on_failure = (sp_step_failure)sp_col_u64(q);
    s.is.needs_confirm = sp_col_u64(q) == 1;
    s.is.after = sp_col_bits(q);
    read_roles(q, s.is.confirm_by);
    sp_span words = SP_SPAN_EMPTY;
    sp_span undo = SP_SPAN_EMPTY;
    sp_span *const texts[] = {&s.is.name, &s.is.target,  &s.is.notice, &s.is.audience,
                              &s.is.text, &s.note,       &s.by_name,   &s.is.command,
                              &words,     &s.is.channel, &undo};
    for (size_t i = 0; i < SP_COUNT(texts); i++) {
        TRY(sp_arena_copy(arena, sp_col_text(q), texts[i]));
    }
    s.is.words_count = read_words(words, s.is.words);
    s.is.undo_count = read_words(undo, s.is.undo);
    s.undo = (uint8_t)sp_col_u64(q);
    s.undo_began_us = sp_col_u64(q);
    *ret_step = s;
    return sp_ok();
}

sp_err sp_run_steps(sp_store *store, sp_arena *arena, uint64_t run, sp_run_step **ret_steps,
                    size_t *ret_count)
{
    sp_run_step *steps = NULL;
    size_t count = 0;
    TRY(sp_arena_alloc(arena, SP_PLAN_STEPS_MAX, sizeof(*steps), &steps));
    auto_query sp_query q =
        sp_query_of(store, "SELECT " STEP " FROM plan_step WHERE run = $1 ORDER BY number");
    sp_bind_u64(&q, run);
    while (count < SP_PLAN_STEPS_MAX && sp_query_row(&q)) {
        TRY(read_step(&q, arena, &steps[count]));
        count++;
    }
    *ret_steps = steps;
    *ret_count = count;
    return sp_query_finish(&q);
}

/* ---- steps that are taken back ---- */

static sp_err places_of(sp_query *q, sp_step_place *ret_places, size_t max, size_t *ret_count)
{
    *ret_count = 0;
    while (*ret_count < max && sp_query_row(q)) {
        ret_places[*ret_count] = (sp_step_place){.run = sp_col_u64(q)};
        ret_places[(*ret_count)++].number = (uint32_t)sp_col_u64(q);
    }
    return sp_query_finish(q);
}

sp_err sp_undos_running(sp_store *store, sp_step_do what, const sp_step_place *after,
                        sp_step_place *ret_places, size_t max, size_t *ret_count)
{
    auto_query sp_query q = sp_query_of(
        store, "SELECT run, number FROM plan_step WHERE undo = $1 AND what = $2 AND (run > $3 OR "
               "(run = $3 AND number > $4)) ORDER BY run, number LIMIT $5");
    sp_bind_u64(&q, SP_UNDO_RUNNING);
    sp_bind_u64(&q, what);
    sp_bind_u64(&q, after->run);
    sp_bind_u64(&q, after->number);
    sp_bind_u64(&q, max);
    return places_of(&q, ret_places, max, ret_count);
}

sp_err sp_undos_late(sp_store *store, uint64_t now_us, uint64_t grace_s, sp_step_place *ret_places,
                     size_t max, size_t *ret_count)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT run, number FROM plan_step WHERE undo = $1 AND undo_began + "
                           "(timeout + $2) * 1000000 <= $3 ORDER BY run, number LIMIT $4");
    sp_bind_u64(&q, SP_UNDO_RUNNING);
    sp_bind_u64(&q, grace_s);
    sp_bind_u64(&q, now_us);
    sp_bind_u64(&q, max);
    return places_of(&q, ret_places, max, ret_count);
}

sp_err sp_runs_move(sp_store *store, int64_t by_us)
{
    auto_query sp_query steps = sp_query_of(store, "UPDATE plan_step SET began = " SP_CLOCK_MOVED(
                                                       "began", "$1") " WHERE state IN ($2, $3)");
    sp_bind_bits(&steps, (uint64_t)by_us);
    sp_bind_u64(&steps, SP_STEP_WAITING);
    sp_bind_u64(&steps, SP_STEP_RUNNING);
    TRY(sp_query_finish(&steps));
    auto_query sp_query undos = sp_query_of(
        store,
        "UPDATE plan_step SET undo_began = " SP_CLOCK_MOVED("undo_began", "$1") " WHERE undo = $2");
    sp_bind_bits(&undos, (uint64_t)by_us);
    sp_bind_u64(&undos, SP_UNDO_RUNNING);
    TRY(sp_query_finish(&undos));
    auto_query sp_query runs = sp_query_of(store, "UPDATE plan_run SET started = " SP_CLOCK_MOVED(
                                                      "started", "$1") " WHERE state = $2");
    sp_bind_bits(&runs, (uint64_t)by_us);
    sp_bind_u64(&runs, SP_RUN_WAITING);
    return sp_query_finish(&runs);
}

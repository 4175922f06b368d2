/* SPDX-License-Identifier: Apache-2.0
 * Cuts in the store.
 * OWNS nothing. PROCESS core. TRUST rows are core's own; bound texts may be hostile.
 * SPEC core/cut/inside.h.
 */
#include "core/clock.h"
#include "core/cut/inside.h"

static const char *const migrations[] = {
    "CREATE TABLE cut (id BIGINT PRIMARY KEY, kind BIGINT NOT NULL, effect BIGINT NOT NULL,"
    " target BIGINT NOT NULL, number BIGINT NOT NULL, class_level BIGINT NOT NULL,"
    " since BIGINT NOT NULL, until BIGINT NOT NULL, ended BIGINT NOT NULL,"
    " incident BIGINT NOT NULL, name TEXT NOT NULL, reason TEXT NOT NULL, by_name TEXT NOT NULL,"
    " ended_by TEXT NOT NULL, ended_why TEXT NOT NULL);"
    "CREATE INDEX cut_ended ON cut (ended)",
    "ALTER TABLE cut ADD COLUMN was_locked BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE cut ADD COLUMN back BIGINT NOT NULL DEFAULT 0;" /* by how much the end went back */
    "ALTER TABLE cut ADD COLUMN back_at BIGINT NOT NULL DEFAULT 0", /* when, by the clock after */
};

#define CUT_COLUMNS                                                                                \
    "id, kind, effect, target, number, class_level, since, until, ended, incident, name, reason, " \
    "by_name, ended_by, ended_why, was_locked"

sp_err sp_cut_rows_start(sp_store *store)
{
    return sp_store_migrate(store, "cut", migrations, SP_COUNT(migrations));
}

sp_err sp_cut_row_next(sp_store *store, uint64_t *ret_id)
{
    auto_query sp_query q = sp_query_of(store, "SELECT COALESCE(MAX(id), 0) + 1 FROM cut");
    if (sp_query_row(&q)) {
        *ret_id = sp_col_u64(&q);
    }
    return sp_query_finish(&q);
}

sp_err sp_cut_row_add(sp_store *store, const sp_cut_row *row)
{
    auto_query sp_query q = sp_query_alone(store, "INSERT INTO cut (" CUT_COLUMNS
                                                  ") VALUES ($1, $2, $3, $4, $5, $6, $7,"
                                                  " $8, $9, $10, $11, $12, $13, $14, $15, $16)");
    sp_bind_u64(&q, row->id);
    sp_bind_u64(&q, row->kind);
    sp_bind_u64(&q, row->effect);
    sp_bind_bits(&q, row->target);
    sp_bind_u64(&q, row->number);
    sp_bind_u64(&q, row->class_level);
    sp_bind_u64(&q, row->since_unix_s);
    sp_bind_u64(&q, row->until_unix_s);
    sp_bind_u64(&q, row->ended_unix_s);
    sp_bind_u64(&q, row->incident);
    sp_bind_text(&q, row->name);
    sp_bind_text(&q, row->reason);
    sp_bind_text(&q, row->by_name);
    sp_bind_text(&q, row->ended_by);
    sp_bind_text(&q, row->ended_why);
    sp_bind_u64(&q, row->was_locked ? 1 : 0);
    return sp_query_finish(&q);
}

/* Spans are valid until the next row. */
static sp_cut_row read_row(sp_query *q)
{
    sp_cut_row row = {.id = sp_col_u64(q)};
    row.kind = (uint8_t)sp_col_u64(q);
    row.effect = (uint8_t)sp_col_u64(q);
    row.target = sp_col_bits(q);
    row.number = (uint32_t)sp_col_u64(q);
    row.class_level = (uint8_t)sp_col_u64(q);
    row.since_unix_s = sp_col_u64(q);
    row.until_unix_s = sp_col_u64(q);
    row.ended_unix_s = sp_col_u64(q);
    row.incident = sp_col_u64(q);
    row.name = sp_col_text(q);
    row.reason = sp_col_text(q);
    row.by_name = sp_col_text(q);
    row.ended_by = sp_col_text(q);
    row.ended_why = sp_col_text(q);
    row.was_locked = sp_col_u64(q) == 1;
    return row;
}

sp_err sp_cut_row_get(sp_store *store, sp_arena *arena, uint64_t id, sp_cut_row *ret_row)
{
    auto_query sp_query q = sp_query_of(store, "SELECT " CUT_COLUMNS " FROM cut WHERE id = $1");
    sp_bind_u64(&q, id);
    if (!sp_query_row(&q)) {
        TRY(sp_query_finish(&q));
        return sp_fail(SP_ENOTFOUND);
    }
    *ret_row = read_row(&q);
    sp_span *const texts[] = {&ret_row->name, &ret_row->reason, &ret_row->by_name,
                              &ret_row->ended_by, &ret_row->ended_why};
    for (size_t i = 0; i < SP_COUNT(texts); i++) {
        TRY(sp_arena_copy(arena, *texts[i], texts[i]));
    }
    return sp_query_finish(&q);
}

sp_err sp_cut_row_same(sp_store *store, const sp_cut_order *order, uint64_t until_unix_s,
                       uint64_t *ret_id, bool *ret_own)
{
    auto_query sp_query q = sp_query_of(
        store, "SELECT id, own FROM (SELECT id, until, since >= $1 AND $1 > 0 AND by_name = $2 AND"
               " reason = $3 AND incident = $4 AS own FROM cut WHERE ended = 0 AND kind = $5 AND"
               " effect = $6 AND target = $7 AND number = $8 AND name = $9) AS cuts WHERE own OR"
               " until = 0 OR (until >= $10 AND $10 > 0) ORDER BY own DESC, id LIMIT 1");
    sp_bind_u64(&q, order->began_unix_s);
    sp_bind_text(&q, order->by_name);
    sp_bind_text(&q, order->reason);
    sp_bind_u64(&q, order->incident);
    sp_bind_u64(&q, order->target.kind);
    sp_bind_u64(&q, order->effect);
    sp_bind_bits(&q, order->target.id);
    sp_bind_u64(&q, order->target.number);
    sp_bind_text(&q, sp_span_cstr(order->target.name));
    sp_bind_u64(&q, until_unix_s);
    bool found = sp_query_row(&q);
    *ret_id = found ? sp_col_u64(&q) : 0;
    *ret_own = found && sp_col_u64(&q) == 1;
    TRY(sp_query_finish(&q));
    return found ? sp_ok() : sp_fail(SP_ENOTFOUND);
}

sp_err sp_cut_row_since(sp_store *store, uint64_t id, uint64_t since_unix_s)
{
    auto_query sp_query q =
        sp_query_alone(store, "UPDATE cut SET since = $1 WHERE id = $2 AND ended = 0");
    sp_bind_u64(&q, since_unix_s);
    sp_bind_u64(&q, id);
    return sp_query_finish_changed(&q);
}

sp_err sp_cut_row_end(sp_store *store, uint64_t id, uint64_t now_unix_s, sp_span by, sp_span why)
{
    auto_query sp_query q = sp_query_alone(
        store, "UPDATE cut SET ended = $1, ended_by = $2, ended_why = $3 WHERE id = $4 AND "
               "ended = 0");
    sp_bind_u64(&q, now_unix_s);
    sp_bind_text(&q, by);
    sp_bind_text(&q, why);
    sp_bind_u64(&q, id);
    return sp_query_finish_changed(&q);
}

sp_err sp_cut_rows_locked_too(sp_store *store, uint32_t person)
{
    auto_query sp_query q = sp_query_alone(
        store, "UPDATE cut SET was_locked = 1 WHERE ended = 0 AND kind = $1 AND number = $2");
    sp_bind_u64(&q, SP_CUT_PERSON);
    sp_bind_u64(&q, person);
    return sp_query_finish(&q);
}

sp_err sp_cut_rows_move(sp_store *store, int64_t by_s, uint64_t newest, uint64_t now_unix_s)
{
    auto_query sp_query q = sp_query_of(
        store, "UPDATE cut SET since = " SP_CLOCK_MOVED("since", "$1") ", until = " SP_CLOCK_MOVED(
                   "until", "$1") ", back = CASE WHEN back > $1 THEN back - $1 ELSE 0 END,"
                                  " back_at = $2 WHERE ended = 0 AND id <= $3");
    sp_bind_bits(&q, (uint64_t)by_s);
    sp_bind_u64(&q, now_unix_s);
    sp_bind_u64(&q, newest);
    return sp_query_finish(&q);
}

sp_err sp_cut_rows_right(sp_store *store, uint64_t now_unix_s)
{
    auto_query sp_query q =
        sp_query_alone(store, "UPDATE cut SET until = until + back, back = 0 WHERE ended = 0 AND"
                              " until > 0 AND back > 0 AND back_at + back <= $1");
    sp_bind_u64(&q, now_unix_s);
    return sp_query_finish(&q);
}

sp_err sp_cut_rows_each(sp_store *store, bool also_ended,
                        void (*visit)(void *self, const sp_cut_row *row), void *self)
{
    auto_query sp_query q =
        also_ended
            ? sp_query_of(store, "SELECT " CUT_COLUMNS " FROM cut ORDER BY id DESC LIMIT 200")
            : sp_query_of(store, "SELECT " CUT_COLUMNS " FROM cut WHERE ended = 0 ORDER BY id");
    while (sp_query_row(&q)) {
        sp_cut_row row = read_row(&q);
        visit(self, &row);
    }
    return sp_query_finish(&q);
}

/* SPDX-License-Identifier: Apache-2.0
 * What the keeper keeps, in the store.
 * OWNS nothing. PROCESS core. TRUST rows are core's own; bound texts may be hostile.
 * SPEC docs/api/openapi.yaml "/keeps", docs/ARCHITECTURE.md "Undo".
 */
#include "core/approvals/keeps.h"

#define KEPT_COLUMNS                                                                               \
    "id, ask, resource, database, objects, whole, bytes, ms, created, expires, state, undone, "    \
    "undo_ms, undo_ask, told, partly, beside, beside_ask, beside_at, beside_told"

static sp_err read_kept(sp_query *q, sp_arena *arena, sp_kept *ret_kept)
{
    sp_kept k = {.id = sp_col_bits(q), .ask = sp_col_bits(q)};
    TRY(sp_arena_copy(arena, sp_col_text(q), &k.resource));
    TRY(sp_arena_copy(arena, sp_col_text(q), &k.database));
    TRY(sp_arena_copy(arena, sp_col_text(q), &k.objects));
    k.whole = sp_col_u64(q) == 1;
    k.bytes = sp_col_bits(q);
    k.ms = sp_col_bits(q);
    k.created_unix_s = sp_col_u64(q);
    k.expires_unix_s = sp_col_u64(q);
    k.state = (uint8_t)sp_col_u64(q);
    k.undone_unix_s = sp_col_u64(q);
    k.undo_ms = sp_col_bits(q);
    k.undo_ask = sp_col_bits(q);
    TRY(sp_arena_copy(arena, sp_col_text(q), &k.told));
    k.partly = (uint8_t)sp_col_u64(q);
    k.beside.state = (uint8_t)sp_col_u64(q);
    k.beside.ask = sp_col_bits(q);
    k.beside.at_unix_s = sp_col_u64(q);
    TRY(sp_arena_copy(arena, sp_col_text(q), &k.beside.told));
    *ret_kept = k;
    return sp_ok();
}

sp_err sp_kept_load(sp_store *store, sp_arena *arena, uint64_t id, sp_kept *ret_kept)
{
    auto_query sp_query q = sp_query_of(store, "SELECT " KEPT_COLUMNS " FROM kept WHERE id = $1");
    sp_bind_bits(&q, id);
    if (!sp_query_row(&q)) {
        TRY(sp_query_finish(&q));
        return sp_fail(SP_ENOTFOUND);
    }
    TRY(read_kept(&q, arena, ret_kept));
    return sp_query_finish(&q);
}

sp_err sp_kept_add(sp_store *store, const sp_kept *k)
{
    auto_query sp_query q = sp_query_alone(store, "INSERT INTO kept (" KEPT_COLUMNS
                                                  ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,"
                                                  " $10, 0, 0, 0, 0, '', 0, 0, 0, 0, '')");
    sp_bind_bits(&q, k->id);
    sp_bind_bits(&q, k->ask);
    sp_bind_text(&q, k->resource);
    sp_bind_text(&q, k->database);
    sp_bind_text(&q, k->objects);
    sp_bind_u64(&q, k->whole ? 1 : 0);
    sp_bind_bits(&q, k->bytes);
    sp_bind_bits(&q, k->ms);
    sp_bind_u64(&q, k->created_unix_s);
    sp_bind_u64(&q, k->expires_unix_s);
    return sp_query_finish(&q);
}

static sp_err change(sp_store *store, const sp_kept *k)
{
    auto_query sp_query q = sp_query_of(
        store, "UPDATE kept SET state = $1, undone = $2, undo_ms = $3, undo_ask = $4, told = $5,"
               " partly = $6, beside = $7, beside_ask = $8, beside_at = $9, beside_told = $10"
               " WHERE id = $11");
    sp_bind_u64(&q, k->state);
    sp_bind_u64(&q, k->undone_unix_s);
    sp_bind_bits(&q, k->undo_ms);
    sp_bind_bits(&q, k->undo_ask);
    sp_bind_text(&q, k->told);
    sp_bind_u64(&q, k->partly);
    sp_bind_u64(&q, k->beside.state);
    sp_bind_bits(&q, k->beside.ask);
    sp_bind_u64(&q, k->beside.at_unix_s);
    sp_bind_text(&q, k->beside.told);
    sp_bind_bits(&q, k->id);
    return sp_query_finish_changed(&q);
}

sp_err sp_kept_change(sp_store *store, const sp_kept *k)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    TRY(change(store, k));
    return sp_txn_commit(&txn);
}

sp_err sp_kept_begin(sp_store *store, const sp_kept *k, uint64_t ask, uint64_t now_unix_s)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    TRY(sp_ask_row_use(store, ask, now_unix_s));
    TRY(change(store, k));
    return sp_txn_commit(&txn);
}

sp_err sp_kept_put_off(sp_store *store, const sp_kept *k, const sp_ask *ask)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    TRY(sp_ask_row_unuse(store, ask));
    TRY(change(store, k));
    return sp_txn_commit(&txn);
}

uint64_t sp_kept_count(sp_store *store, uint64_t ask)
{
    auto_query sp_query q = sp_query_of(store, "SELECT COUNT(*) FROM kept WHERE ask = $1");
    sp_bind_bits(&q, ask);
    return sp_query_row(&q) ? sp_col_u64(&q) : UINT64_MAX;
}

sp_err sp_undo_destroyer(sp_store *store, const sp_ask *ask, uint32_t *ret_person)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT a.asker FROM kept k JOIN ask a ON a.id = k.ask WHERE k.id = $1");
    *ret_person = 0;
    if (!sp_ask_is_of_keep(ask->kind)) {
        return sp_ok();
    }
    sp_bind_bits(&q, ask->keep);
    if (sp_query_row(&q)) {
        *ret_person = (uint32_t)sp_col_u64(&q);
    }
    return sp_query_finish(&q);
}

sp_err sp_kept_list(sp_store *store, sp_kept_ids *list)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT id FROM kept ORDER BY created DESC, rowid DESC LIMIT 500");
    while (list->count < SP_ASKS_LISTED_MAX && sp_query_row(&q)) {
        list->ids[list->count++] = sp_col_bits(&q);
    }
    return sp_query_finish(&q);
}

sp_err sp_kept_load_with(sp_core *core, sp_arena *arena, uint64_t id, sp_kept *k, sp_ask *ask)
{
    TRY(sp_kept_load(core->store, arena, id, k));
    return sp_ask_load(core->store, arena, k->ask, ask);
}

void sp_kept_list_over(sp_store *store, uint64_t now_unix_s, sp_kept_ids *list)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT id FROM kept WHERE expires <= $1 AND state <> 3 LIMIT 10");
    sp_bind_u64(&q, now_unix_s);
    while (list->count < SP_KEPT_OVER_AT_ONCE && sp_query_row(&q)) {
        list->ids[list->count++] = sp_col_bits(&q);
    }
}

void sp_kept_list_under_way(sp_store *store, sp_kept_ids *list)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT id FROM kept WHERE state = $1 OR beside = $2 LIMIT 500");
    sp_bind_u64(&q, SP_KEPT_UNDOING);
    sp_bind_u64(&q, SP_BESIDE_UNDER_WAY);
    while (list->count < SP_ASKS_LISTED_MAX && sp_query_row(&q)) {
        list->ids[list->count++] = sp_col_bits(&q);
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * Counters of failures in the store.
 * OWNS its timer. PROCESS core. TRUST see limits_kept.h. SPEC core/identity/limits_kept.h.
 */
#include "core/identity/limits_kept.h"

#include "infra/proc/clock.h"
#include "infra/proc/log.h"

enum { KEEP_MS = 2000, ROWS_AT_ONCE = 512 };
#define QUIET_US (UINT64_C(3600) * 1000000)
#define LONGEST_US (UINT64_C(900) * 1000000)

struct sp_limits_kept {
    sp_core *core;
    sp_limits *limits;
    uv_timer_t timer;
};

static const char *const steps[] = {
    "CREATE TABLE limit_counter (place BIGINT PRIMARY KEY, key BIGINT NOT NULL,"
    " failures BIGINT NOT NULL, last_unix_us BIGINT NOT NULL,"
    " closed_until_unix_us BIGINT NOT NULL);",
};

/* ---- between the steady clock and the wall's ---- */

static uint64_t to_wall(uint64_t steady_us, uint64_t now_steady_us, uint64_t now_unix_us)
{
    return steady_us == 0 ? 0 : now_unix_us + steady_us - now_steady_us;
}

/* A time that lies further off than `most` (a clock was set) counts as that far. 0 = never, or
 * before this machine started. */
static uint64_t to_steady(uint64_t unix_us, uint64_t now_steady_us, uint64_t now_unix_us,
                          uint64_t most)
{
    if (unix_us >= now_unix_us) {
        uint64_t ahead = unix_us - now_unix_us;
        return now_steady_us + (ahead < most ? ahead : most);
    }
    uint64_t ago = now_unix_us - unix_us;
    return ago < now_steady_us ? now_steady_us - ago : 0;
}

/* ---- rows ---- */

static sp_err write_row(sp_store *store, const sp_limit_row *row)
{
    uint64_t steady = sp_now_steady_us();
    uint64_t wall = sp_now_unix_us();
    if (row->key == 0) {
        auto_query sp_query q = sp_query_of(store, "DELETE FROM limit_counter WHERE place = $1");
        sp_bind_u64(&q, row->place);
        return sp_query_finish(&q);
    }
    auto_query sp_query q =
        sp_query_of(store, "INSERT INTO limit_counter (place, key, failures, last_unix_us,"
                           " closed_until_unix_us) VALUES ($1, $2, $3, $4, $5)"
                           " ON CONFLICT (place) DO UPDATE SET key = excluded.key,"
                           " failures = excluded.failures, last_unix_us = excluded.last_unix_us,"
                           " closed_until_unix_us = excluded.closed_until_unix_us");
    sp_bind_u64(&q, row->place);
    sp_bind_bits(&q, row->key);
    sp_bind_u64(&q, row->failures);
    sp_bind_u64(&q, to_wall(row->last_us, steady, wall));
    sp_bind_u64(&q, to_wall(row->closed_until_us, steady, wall));
    return sp_query_finish(&q);
}

/* What an hour has made quiet need not be kept. */
static sp_err forget(sp_store *store)
{
    auto_query sp_query q = sp_query_of(store, "DELETE FROM limit_counter WHERE last_unix_us < $1");
    uint64_t now = sp_now_unix_us();
    sp_bind_u64(&q, now > QUIET_US ? now - QUIET_US : 0);
    return sp_query_finish(&q);
}

static sp_err keep(sp_limits_kept *kept)
{
    sp_limit_row rows[ROWS_AT_ONCE];
    size_t count = sp_limits_changed(kept->limits, rows, ROWS_AT_ONCE);
    if (count == 0) {
        return sp_ok();
    }
    auto_txn sp_txn txn = sp_txn_begin(kept->core->store);
    TRY(txn.err);
    TRY(forget(kept->core->store));
    for (size_t i = 0; i < count; i++) {
        TRY(write_row(kept->core->store, &rows[i]));
    }
    return sp_txn_commit(&txn);
}

static void on_timer(uv_timer_t *timer)
{
    sp_limits_kept *kept = timer->data;
    sp_err err = keep(kept);
    if (sp_failed(err)) {
        sp_log(SP_LOG_WARN, "failed sign-ins are counted, but not kept over a restart: %s",
               sp_store_error_text(kept->core->store));
    }
}

static sp_err load(sp_limits_kept *kept)
{
    uint64_t steady = sp_now_steady_us();
    uint64_t wall = sp_now_unix_us();
    auto_query sp_query q = sp_query_of(
        kept->core->store,
        "SELECT place, key, failures, last_unix_us, closed_until_unix_us FROM limit_counter");
    while (sp_query_row(&q)) {
        sp_limit_row row = {.place = (uint32_t)sp_col_u64(&q)};
        row.key = sp_col_bits(&q);
        row.failures = (uint32_t)sp_col_u64(&q);
        row.last_us = to_steady(sp_col_u64(&q), steady, wall, 0);
        row.closed_until_us = to_steady(sp_col_u64(&q), steady, wall, LONGEST_US);
        sp_limits_restore(kept->limits, &row);
    }
    return sp_query_finish(&q);
}

sp_err sp_limits_kept_start(sp_core *core, sp_limits *limits, sp_limits_kept **ret_kept)
{
    auto_free sp_limits_kept *kept = NULL;
    TRY(sp_store_migrate(core->store, "limits", steps, SP_COUNT(steps)));
    TRY(sp_alloc(1, sizeof(*kept), &kept));
    kept->core = core;
    kept->limits = limits;
    TRY(load(kept));
    if (uv_timer_init(core->loop, &kept->timer) != 0) {
        return sp_fail(SP_EIO);
    }
    kept->timer.data = kept;
    uv_timer_start(&kept->timer, on_timer, KEEP_MS, KEEP_MS);
    *ret_kept = SP_STEAL(kept);
    return sp_ok();
}

static void on_closed(uv_handle_t *handle)
{
    sp_free(handle->data);
}

void sp_limits_kept_stop(sp_limits_kept *kept)
{
    if (kept != NULL) {
        on_timer(&kept->timer);
        uv_close((uv_handle_t *)&kept->timer, on_closed);
    }
}

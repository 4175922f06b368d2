/* SPDX-License-Identifier: Apache-2.0
 * Reports of an incident that is merged into another.
 * OWNS nothing. PROCESS core. TRUST rows are core's own. SPEC core/reports/merge.h.
 */
#include "core/reports/merge.h"

#include "core/reports/inside.h"

enum { PACKS_MAX = 64 };

static sp_err ids_of(sp_store *store, uint64_t incident, uint64_t ids[PACKS_MAX], size_t *ret_count)
{
    size_t count = 0;
    auto_query sp_query q =
        sp_query_of(store, "SELECT id FROM report WHERE incident = $1 ORDER BY id LIMIT $2");
    sp_bind_u64(&q, incident);
    sp_bind_u64(&q, PACKS_MAX);
    while (count < PACKS_MAX && sp_query_row(&q)) {
        ids[count++] = sp_col_u64(&q);
    }
    *ret_count = count;
    return sp_query_finish(&q);
}

/* 0 = there is none. */
static sp_err twin_of(sp_store *store, const report_row *row, uint64_t incident, uint64_t *ret_id)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT id FROM report WHERE incident = $1 AND pack = $2");
    sp_bind_u64(&q, incident);
    sp_bind_text(&q, sp_span_cstr(row->pack));
    *ret_id = sp_query_row(&q) ? sp_col_u64(&q) : 0;
    return sp_query_finish(&q);
}

/* Its clocks run from then, if that is earlier. */
static sp_err no_later_than(sp_store *store, report_row *row, uint64_t unix_s)
{
    if (unix_s < row->discovered_unix_s) {
        row->discovered_unix_s = unix_s;
        TRY(report_row_untell(store, row->id));
    }
    return report_row_write(store, row);
}

static sp_err move_rows(sp_store *store, const char *sql, uint64_t from, uint64_t into)
{
    auto_query sp_query q = sp_query_of(store, sql);
    sp_bind_u64(&q, into);
    sp_bind_u64(&q, from);
    return sp_query_finish(&q);
}

static sp_err drop(sp_store *store, const char *sql, uint64_t id)
{
    auto_query sp_query q = sp_query_of(store, sql);
    sp_bind_u64(&q, id);
    return sp_query_finish(&q);
}

/* Two reports of one pack. */
static sp_err join(sp_store *store, const report_row *from, uint64_t into_id)
{
    auto_report report_row into = {.id = 0};
    TRY(report_row_get(store, into_id, &into));
    json_object_update_missing(into.facts, from->facts);
    json_object_update_missing(into.items, from->items);
    TRY(no_later_than(store, &into, from->discovered_unix_s));
    TRY(move_rows(store,
                  "UPDATE report_paper SET number = number + (SELECT COALESCE(MAX(p.number), 0) "
                  "FROM report_paper p WHERE p.report = $1), report = $1 WHERE report = $2",
                  from->id, into.id));
    TRY(move_rows(store,
                  "UPDATE report_filed SET report = $1 WHERE report = $2 AND duty NOT IN (SELECT "
                  "f.duty FROM report_filed f WHERE f.report = $1)",
                  from->id, into.id));
    TRY(drop(store, "DELETE FROM report_filed WHERE report = $1", from->id));
    TRY(report_row_untell(store, from->id));
    return drop(store, "DELETE FROM report WHERE id = $1", from->id);
}

static sp_err merge_one(sp_store *store, uint64_t id, const sp_incident *into)
{
    uint64_t twin = 0;
    auto_report report_row row = {.id = 0};
    TRY(report_row_get(store, id, &row));
    TRY(twin_of(store, &row, into->id, &twin));
    if (twin != 0) {
        return join(store, &row, twin);
    }
    row.incident = into->id;
    return no_later_than(store, &row, into->opened_unix_s);
}

sp_err sp_reports_merge(sp_store *store, const sp_incident *from, const sp_incident *into)
{
    uint64_t ids[PACKS_MAX];
    size_t count = 0;
    TRY(ids_of(store, into->id, ids, &count));
    for (size_t i = 0; i < count; i++) {
        auto_report report_row row = {.id = 0};
        TRY(report_row_get(store, ids[i], &row));
        TRY(no_later_than(store, &row, from->opened_unix_s));
    }
    TRY(ids_of(store, from->id, ids, &count));
    for (size_t i = 0; i < count; i++) {
        TRY(merge_one(store, ids[i], into));
    }
    return sp_ok();
}

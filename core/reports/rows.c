/* SPDX-License-Identifier: Apache-2.0
 * Reports in the store.
 * OWNS nothing. PROCESS core. TRUST rows are core's own; bound texts may be hostile.
 * SPEC core/reports/inside.h.
 */
#include "core/http/json.h"
#include "core/reports/inside.h"
#include "infra/proc/clock.h"

#include <stdlib.h>

static const char *const migrations[] = {
    "CREATE TABLE report (id BIGINT PRIMARY KEY, incident BIGINT NOT NULL, created BIGINT NOT NULL,"
    " discovered BIGINT NOT NULL, pack TEXT NOT NULL, facts TEXT NOT NULL, items TEXT NOT NULL,"
    " UNIQUE (incident, pack));"
    "CREATE TABLE report_filed (report BIGINT NOT NULL, duty TEXT NOT NULL, at BIGINT NOT NULL,"
    " by_name TEXT NOT NULL, receipt TEXT NOT NULL, PRIMARY KEY (report, duty));"
    "CREATE TABLE report_told (report BIGINT NOT NULL, duty TEXT NOT NULL, stage BIGINT NOT NULL,"
    " PRIMARY KEY (report, duty, stage));"
    "CREATE TABLE report_paper (report BIGINT NOT NULL, number BIGINT NOT NULL,"
    " signed BIGINT NOT NULL, phase TEXT NOT NULL, by_name TEXT NOT NULL, hash BYTEA NOT NULL,"
    " en TEXT NOT NULL, zh TEXT NOT NULL, PRIMARY KEY (report, number));"
    "CREATE TABLE report_clock (id INTEGER PRIMARY KEY CHECK (id = 1), seen BIGINT NOT NULL);"
    "CREATE TABLE officer_vacant (name TEXT PRIMARY KEY, since BIGINT NOT NULL)",
    "CREATE TABLE gap (name TEXT PRIMARY KEY, since BIGINT NOT NULL, told BIGINT NOT NULL);"
    "INSERT INTO gap (name, since, told) SELECT 'officer:' || name, since, since FROM"
    " officer_vacant; DROP TABLE officer_vacant",
};

sp_err report_rows_start(sp_store *store)
{
    return sp_store_migrate(store, "reports", migrations, SP_COUNT(migrations));
}

void report_done(report_row *row)
{
    json_decref(row->facts);
    json_decref(row->items);
    row->facts = NULL;
    row->items = NULL;
}

static void bind_json(sp_query *q, const json_t *json)
{
    auto_free char *text = json_dumps(json, JSON_COMPACT);
    sp_bind_text(q, sp_span_cstr(text == NULL ? "{}" : text));
}

static json_t *object_of(sp_span text)
{
    json_t *json = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    if (!json_is_object(json)) {
        json_decref(json);
        return json_object();
    }
    return json;
}

sp_err report_row_add(sp_store *store, report_row *row)
{
    auto_query sp_query next = sp_query_of(store, "SELECT COALESCE(MAX(id), 0) + 1 FROM report");
    row->id = sp_query_row(&next) ? sp_col_u64(&next) : 0;
    TRY(sp_query_finish(&next));
    auto_query sp_query q =
        sp_query_of(store, "INSERT INTO report (id, incident, created, discovered, pack, facts,"
                           " items) VALUES ($1, $2, $3, $4, $5, $6, $7)");
    sp_bind_u64(&q, row->id);
    sp_bind_u64(&q, row->incident);
    sp_bind_u64(&q, row->created_unix_s);
    sp_bind_u64(&q, row->discovered_unix_s);
    sp_bind_text(&q, sp_span_cstr(row->pack));
    bind_json(&q, row->facts);
    bind_json(&q, row->items);
    return sp_query_finish(&q);
}

sp_err report_row_write(sp_store *store, const report_row *row)
{
    auto_query sp_query q = sp_query_of(
        store, "UPDATE report SET discovered = $1, facts = $2, items = $3, incident = $4 WHERE id ="
               " $5");
    sp_bind_u64(&q, row->discovered_unix_s);
    bind_json(&q, row->facts);
    bind_json(&q, row->items);
    sp_bind_u64(&q, row->incident);
    sp_bind_u64(&q, row->id);
    return sp_query_finish_changed(&q);
}

sp_err report_row_put(sp_store *store, const report_row *row)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    TRY(report_row_write(store, row));
    return sp_txn_commit(&txn);
}

sp_err report_row_untell(sp_store *store, uint64_t id)
{
    auto_query sp_query q = sp_query_of(store, "DELETE FROM report_told WHERE report = $1");
    sp_bind_u64(&q, id);
    return sp_query_finish(&q);
}

static bool was_before(sp_store *store, const report_row *row)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT id FROM report WHERE id = $1 AND discovered < $2");
    sp_bind_u64(&q, row->id);
    sp_bind_u64(&q, row->discovered_unix_s);
    return sp_query_row(&q);
}

sp_err report_row_discovered(sp_store *store, const report_row *row, bool may_be_later)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    if (!may_be_later && was_before(store, row)) {
        return sp_fail(SP_ECONFLICT);
    }
    TRY(report_row_write(store, row));
    TRY(report_row_untell(store, row->id));
    return sp_txn_commit(&txn);
}

sp_err report_row_get(sp_store *store, uint64_t id, report_row *ret_row)
{
    auto_query sp_query q = sp_query_of(
        store,
        "SELECT incident, created, discovered, pack, facts, items FROM report WHERE id = $1");
    sp_bind_u64(&q, id);
    if (!sp_query_row(&q)) {
        TRY(sp_query_finish(&q));
        return sp_fail(SP_ENOTFOUND);
    }
    *ret_row = (report_row){.id = id};
    ret_row->incident = sp_col_u64(&q);
    ret_row->created_unix_s = sp_col_u64(&q);
    ret_row->discovered_unix_s = sp_col_u64(&q);
    TRY(sp_fit(ret_row->pack, sizeof(ret_row->pack), sp_col_text(&q)));
    ret_row->facts = object_of(sp_col_text(&q));
    ret_row->items = object_of(sp_col_text(&q));
    return sp_query_finish(&q);
}

static size_t ids_of(sp_query *q, uint64_t *room, size_t limit)
{
    size_t count = 0;
    while (count < limit && sp_query_row(q)) {
        room[count++] = sp_col_u64(q);
    }
    return count;
}

size_t report_ids(sp_store *store, uint64_t before, uint64_t *room, size_t limit)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT id FROM report WHERE id < $1 ORDER BY id DESC LIMIT $2");
    sp_bind_u64(&q, before);
    sp_bind_u64(&q, limit);
    return ids_of(&q, room, limit);
}

size_t report_ids_after(sp_store *store, uint64_t after, uint64_t *room, size_t limit)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT id FROM report WHERE id > $1 ORDER BY id LIMIT $2");
    sp_bind_u64(&q, after);
    sp_bind_u64(&q, limit);
    return ids_of(&q, room, limit);
}

size_t report_wanted(sp_store *store, uint64_t *room, size_t limit)
{
    auto_query sp_query q = sp_query_of(
        store, "SELECT id FROM incident WHERE state = 0 AND drill = 0 AND severity >= $1 AND"
               " (about <> '' OR (opened_by <> 'alarm' AND opened_by NOT LIKE 'api:%') OR"
               " severity >= $2) AND NOT EXISTS"
               " (SELECT 1 FROM report WHERE report.incident = incident.id) LIMIT $3");
    sp_bind_u64(&q, SP_SEVERITY_HIGH);
    sp_bind_u64(&q, SP_SEVERITY_CRITICAL);
    sp_bind_u64(&q, limit);
    return ids_of(&q, room, limit);
}

/* ---- duties ---- */

uint64_t report_filed(sp_store *store, uint64_t id, sp_span duty, json_t *into)
{
    auto_query sp_query q = sp_query_of(
        store, "SELECT at, by_name, receipt FROM report_filed WHERE report = $1 AND duty = $2");
    sp_bind_u64(&q, id);
    sp_bind_text(&q, duty);
    if (!sp_query_row(&q)) {
        return 0;
    }
    uint64_t at = sp_col_u64(&q);
    sp_span by = sp_col_text(&q);
    if (into != NULL) {
        json_object_set_new(into, "filed_by", json_stringn((const char *)by.ptr, by.len));
        sp_span receipt = sp_col_text(&q);
        json_object_set_new(into, "receipt", json_stringn((const char *)receipt.ptr, receipt.len));
    }
    return at;
}

sp_err report_file(sp_store *store, uint64_t id, sp_span duty, uint64_t now_unix_s, sp_span by,
                   sp_span receipt)
{
    auto_query sp_query q = sp_query_alone(
        store, "INSERT INTO report_filed (report, duty, at, by_name, receipt) VALUES ($1, $2, $3,"
               " $4, $5)");
    sp_bind_u64(&q, id);
    sp_bind_text(&q, duty);
    sp_bind_u64(&q, now_unix_s);
    sp_bind_text(&q, by);
    sp_bind_text(&q, receipt);
    return sp_query_finish(&q);
}

sp_err report_told(sp_store *store, uint64_t id, sp_span duty, sp_due_stage stage)
{
    auto_query sp_query q =
        sp_query_alone(store, "INSERT INTO report_told (report, duty, stage) VALUES ($1, $2, $3)");
    sp_bind_u64(&q, id);
    sp_bind_text(&q, duty);
    sp_bind_u64(&q, (uint64_t)stage);
    return sp_query_finish(&q);
}

bool report_was_told(sp_store *store, uint64_t id, sp_span duty, sp_due_stage stage)
{
    auto_query sp_query q = sp_query_of(
        store, "SELECT stage FROM report_told WHERE report = $1 AND duty = $2 AND stage = $3");
    sp_bind_u64(&q, id);
    sp_bind_text(&q, duty);
    sp_bind_u64(&q, (uint64_t)stage);
    return sp_query_row(&q);
}

sp_err sp_reports_packs(sp_core *core, sp_arena *arena, sp_span **ret_packs, size_t *ret_count)
{
    enum { PACKS_MOST = 64, CLOSED_DAYS = 60 }; /* the last duty begins with the end: 30 days */
    sp_span *packs = NULL;
    size_t count = 0;
    uint64_t now = sp_now_unix_us() / 1000000;
    const uint64_t closed_s = (uint64_t)CLOSED_DAYS * 86400;
    TRY(sp_arena_alloc(arena, PACKS_MOST, sizeof(*packs), &packs));
    auto_query sp_query q = sp_query_of(
        core->store, "SELECT DISTINCT r.pack FROM report r JOIN incident i ON i.id = r.incident"
                     " WHERE i.closed = 0 OR i.closed > $1 ORDER BY r.pack LIMIT $2");
    sp_bind_u64(&q, now > closed_s ? now - closed_s : 0);
    sp_bind_u64(&q, PACKS_MOST);
    while (count < PACKS_MOST && sp_query_row(&q)) {
        TRY(sp_arena_copy(arena, sp_col_text(&q), &packs[count]));
        count++;
    }
    *ret_packs = packs;
    *ret_count = count;
    return sp_query_finish(&q);
}

/* ---- papers ---- */

uint64_t report_papers_count(sp_store *store, uint64_t id)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT COUNT(*) FROM report_paper WHERE report = $1");
    sp_bind_u64(&q, id);
    return sp_query_row(&q) ? sp_col_u64(&q) : 0;
}

sp_err report_paper_add(sp_store *store, uint64_t id, const report_paper *paper)
{
    auto_query sp_query q = sp_query_alone(
        store, "INSERT INTO report_paper (report, number, signed, phase, by_name, hash,"
               " en, zh) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    sp_bind_u64(&q, id);
    sp_bind_u64(&q, paper->number);
    sp_bind_u64(&q, paper->signed_unix_s);
    sp_bind_text(&q, paper->phase);
    sp_bind_text(&q, paper->by);
    sp_bind_blob(&q, sp_hash_borrow(&paper->hash));
    sp_bind_text(&q, paper->en);
    sp_bind_text(&q, paper->zh);
    return sp_query_finish(&q);
}

static json_t *paper_json(sp_query *q)
{
    json_t *json = json_object();
    json_object_set_new(json, "number", json_integer((json_int_t)sp_col_u64(q)));
    json_object_set_new(json, "signed_at", sp_json_time(sp_col_u64(q)));
    json_object_set_new(json, "phase", sp_json_span(sp_col_text(q)));
    json_object_set_new(json, "signed_by", sp_json_span(sp_col_text(q)));
    auto_buf sp_buf hex = sp_buf_make(128);
    sp_buf_hex(&hex, sp_col_blob(q));
    json_object_set_new(json, "sha256", sp_json_span(sp_buf_borrow(&hex)));
    return json;
}

json_t *report_papers_json(sp_store *store, uint64_t id)
{
    json_t *list = json_array();
    auto_query sp_query q =
        sp_query_of(store, "SELECT number, signed, phase, by_name, hash FROM report_paper WHERE"
                           " report = $1 ORDER BY number");
    sp_bind_u64(&q, id);
    while (sp_query_row(&q)) {
        json_array_append_new(list, paper_json(&q));
    }
    return list;
}

json_t *report_paper_json(sp_store *store, uint64_t id, uint64_t number)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT number, signed, phase, by_name, hash, en, zh FROM report_paper"
                           " WHERE report = $1 AND number = $2");
    sp_bind_u64(&q, id);
    sp_bind_u64(&q, number);
    if (!sp_query_row(&q)) {
        return NULL;
    }
    json_t *json = paper_json(&q);
    json_object_set_new(json, "en", sp_json_span(sp_col_text(&q)));
    json_object_set_new(json, "zh", sp_json_span(sp_col_text(&q)));
    return json;
}

/* ---- the clock ---- */

sp_err report_clock_reset(sp_store *store, uint64_t now_unix_s)
{
    static const char *const sql[] = {
        "UPDATE report_clock SET seen = $1",
        "UPDATE report SET created = $1 WHERE created > $1",
        "UPDATE report SET discovered = $1 WHERE discovered > $1",
        "UPDATE incident SET opened = $1 WHERE opened > $1",
        "UPDATE incident_note SET at_us = $1 * 1000000 WHERE at_us > $1 * 1000000",
        "UPDATE incident_task SET due = due - (created - $1) WHERE created > $1 AND due > created"
        " AND done = 0",
        "UPDATE incident_task SET created = $1 WHERE created > $1",
    };
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    for (size_t i = 0; i < SP_COUNT(sql); i++) {
        auto_query sp_query q = sp_query_of(store, sql[i]);
        sp_bind_u64(&q, now_unix_s);
        TRY(sp_query_finish(&q));
    }
    auto_query sp_query told = sp_query_of(store, "DELETE FROM report_told");
    TRY(sp_query_finish(&told));
    return sp_txn_commit(&txn);
}

static sp_err keep_seen(sp_store *store, uint64_t seen)
{
    auto_query sp_query q = sp_query_alone(
        store, "INSERT INTO report_clock (id, seen) VALUES (1, $1) ON CONFLICT (id) DO"
               " UPDATE SET seen = excluded.seen");
    sp_bind_u64(&q, seen);
    return sp_query_finish(&q);
}

uint64_t report_seen(sp_store *store, uint64_t now_unix_s)
{
    uint64_t seen = 0;
    {
        auto_query sp_query q = sp_query_of(store, "SELECT seen FROM report_clock WHERE id = 1");
        seen = sp_query_row(&q) ? sp_col_u64(&q) : 0;
    }
    if (now_unix_s > seen) {
        SP_IGNORE(keep_seen(store, now_unix_s)); /* kept with the next look */
    }
    return now_unix_s > seen ? now_unix_s : seen;
}

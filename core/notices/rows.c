/* SPDX-License-Identifier: Apache-2.0
 * Notices and deliveries in the store.
 * OWNS nothing. PROCESS core. TRUST rows are core's own; bound texts may be hostile.
 * SPEC core/notices/inside.h.
 */
#include "core/clock.h"
#include "core/notices/inside.h"

static const char *const migrations[] = {
    "CREATE TABLE notice (id BIGINT PRIMARY KEY, name TEXT NOT NULL, audience TEXT NOT NULL,"
    " then_to TEXT NOT NULL, sender TEXT NOT NULL, channels TEXT NOT NULL, after TEXT NOT NULL,"
    " stage BIGINT NOT NULL, severity BIGINT NOT NULL, drill BIGINT NOT NULL,"
    " banner BIGINT NOT NULL, by_all BIGINT NOT NULL, escalated BIGINT NOT NULL,"
    " within_s BIGINT NOT NULL, incident BIGINT NOT NULL, created BIGINT NOT NULL,"
    " expires BIGINT NOT NULL, texts BYTEA NOT NULL, vals BYTEA NOT NULL);"
    "CREATE INDEX notice_stage ON notice (stage, id);"
    "CREATE INDEX notice_open ON notice (escalated, within_s);"
    "CREATE TABLE delivery (id BIGINT PRIMARY KEY, notice BIGINT NOT NULL REFERENCES notice (id)"
    " ON DELETE CASCADE, person BIGINT NOT NULL, person_name TEXT NOT NULL,"
    " channel TEXT NOT NULL, address TEXT NOT NULL, tried TEXT NOT NULL, why TEXT NOT NULL,"
    " stage BIGINT NOT NULL, severity BIGINT NOT NULL, attempts BIGINT NOT NULL,"
    " next BIGINT NOT NULL, ended BIGINT NOT NULL, acked BIGINT NOT NULL, digest BIGINT NOT NULL);"
    "CREATE UNIQUE INDEX delivery_once ON delivery (notice, person, person_name);"
    "CREATE INDEX delivery_due ON delivery (channel, stage, next);"
    "CREATE INDEX delivery_person ON delivery (person, acked, id);"
    "CREATE INDEX delivery_digest ON delivery (digest);"
    "CREATE TABLE reach (person BIGINT NOT NULL, place BIGINT NOT NULL, channel TEXT NOT NULL,"
    " address TEXT NOT NULL, PRIMARY KEY (person, place))",
    "CREATE INDEX delivery_stage ON delivery (stage, channel)", /* of all that is kept, what waits
                                                                 */
};

sp_err notice_rows_start(sp_store *store)
{
    return sp_store_migrate(store, "notices", migrations, SP_COUNT(migrations));
}

static sp_err next_id(sp_store *store, const char *sql, uint64_t *ret_id)
{
    auto_query sp_query q = sp_query_of(store, sql);
    *ret_id = sp_query_row(&q) ? sp_col_u64(&q) + 1 : 1;
    return sp_query_finish(&q);
}

/* ---- notices ---- */

static sp_err bind_json(sp_query *q, json_t *json)
{
    auto_free char *text = json_dumps(json, JSON_COMPACT);
    if (text == NULL) {
        return sp_fail(SP_ENOMEM);
    }
    sp_bind_blob(q, sp_span_cstr(text));
    return sp_ok();
}

sp_err notice_row_add(sp_store *store, notice_row *notice)
{
    TRY(next_id(store, "SELECT COALESCE(MAX(id), 0) FROM notice", &notice->id));
    auto_query sp_query q = sp_query_of(
        store, "INSERT INTO notice (id, name, audience, then_to, sender, channels, after, stage,"
               " severity, drill, banner, by_all, escalated, within_s, incident, created, expires,"
               " texts, vals) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,"
               "$18,$19)");
    sp_bind_u64(&q, notice->id);
    sp_bind_text(&q, notice->name);
    sp_bind_text(&q, notice->audience);
    sp_bind_text(&q, notice->then);
    sp_bind_text(&q, notice->sender);
    sp_bind_text(&q, notice->channels);
    sp_bind_text(&q, SP_SPAN_EMPTY);
    sp_bind_u64(&q, notice->stage);
    sp_bind_u64(&q, notice->severity);
    sp_bind_u64(&q, notice->drill ? 1 : 0);
    sp_bind_u64(&q, notice->banner ? 1 : 0);
    sp_bind_u64(&q, notice->by_all ? 1 : 0);
    sp_bind_u64(&q, notice->escalated ? 1 : 0);
    sp_bind_u64(&q, notice->within_s);
    sp_bind_bits(&q, notice->incident);
    sp_bind_u64(&q, notice->created_unix_s);
    sp_bind_u64(&q, notice->expires_unix_s);
    TRY(bind_json(&q, notice->texts));
    TRY(bind_json(&q, notice->values));
    return sp_query_finish(&q);
}

static sp_err parse(sp_span text, json_t **ret_json)
{
    *ret_json = sp_json_parse(text);
    if (*ret_json != NULL) {
        return sp_ok();
    }
    json_error_t error; /* an array at the top */
    *ret_json = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, &error);
    return *ret_json == NULL ? sp_fail(SP_ECORRUPT) : sp_ok();
}

static sp_err read_notice(sp_query *q, notice_row *n)
{
    sp_span *const texts[] = {&n->name,   &n->audience, &n->then,
                              &n->sender, &n->channels, &n->cursor};
    n->id = sp_col_u64(q);
    for (size_t i = 0; i < SP_COUNT(texts); i++) {
        TRY(sp_arena_copy(&n->arena, sp_col_text(q), texts[i]));
    }
    n->stage = (uint8_t)sp_col_u64(q);
    n->severity = (uint8_t)sp_col_u64(q);
    n->drill = sp_col_u64(q) == 1;
    n->banner = sp_col_u64(q) == 1;
    n->by_all = sp_col_u64(q) == 1;
    n->escalated = sp_col_u64(q) == 1;
    n->within_s = (uint32_t)sp_col_u64(q);
    n->incident = sp_col_bits(q);
    n->created_unix_s = sp_col_u64(q);
    n->expires_unix_s = sp_col_u64(q);
    TRY(parse(sp_col_blob(q), &n->texts));
    return parse(sp_col_blob(q), &n->values);
}

sp_err notice_row_load(sp_store *store, uint64_t id, notice_row *ret_notice)
{
    auto_notice notice_row n = {.arena = sp_arena_make(64 * 1024)};
    auto_query sp_query q = sp_query_of(
        store, "SELECT id, name, audience, then_to, sender, channels, after, stage, severity,"
               " drill, banner, by_all, escalated, within_s, incident, created, expires, texts,"
               " vals FROM notice WHERE id = $1");
    sp_bind_u64(&q, id);
    if (!sp_query_row(&q)) {
        TRY(sp_query_finish(&q));
        return sp_fail(SP_ENOTFOUND);
    }
    TRY(read_notice(&q, &n));
    TRY(sp_query_finish(&q));
    *ret_notice = n;
    n = (notice_row){0};
    return sp_ok();
}

void notice_row_done(notice_row *notice)
{
    json_decref(notice->texts);
    json_decref(notice->values);
    sp_arena_done(&notice->arena);
    *notice = (notice_row){0};
}

sp_err notice_row_stage(sp_store *store, uint64_t id, notice_stage stage, sp_span cursor)
{
    auto_query sp_query q =
        sp_query_of(store, "UPDATE notice SET stage = $1, after = $2 WHERE id = $3");
    sp_bind_u64(&q, stage);
    sp_bind_text(&q, cursor);
    sp_bind_u64(&q, id);
    return sp_query_finish_changed(&q);
}

sp_err notice_ids(sp_store *store, notice_stage stage, uint64_t *ret_ids, size_t max,
                  size_t *ret_count)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT id FROM notice WHERE stage = $1 ORDER BY id LIMIT $2");
    sp_bind_u64(&q, stage);
    sp_bind_u64(&q, max);
    *ret_count = 0;
    while (*ret_count < max && sp_query_row(&q)) {
        ret_ids[(*ret_count)++] = sp_col_u64(&q);
    }
    return sp_query_finish(&q);
}

sp_err notice_counts(sp_store *store, uint64_t id, sp_notice_state *ret_state)
{
    sp_notice_state s = {0};
    auto_query sp_query q = sp_query_of(
        store, "SELECT CASE WHEN stage = 2 AND acked > 0 THEN 1 ELSE stage END AS s, COUNT(*),"
               " SUM(CASE WHEN acked > 0 THEN 1 ELSE 0 END) FROM delivery"
               " WHERE notice = $1 AND person > 0 GROUP BY s");
    sp_bind_u64(&q, id);
    while (sp_query_row(&q)) {
        uint64_t stage = sp_col_u64(&q);
        uint64_t count = sp_col_u64(&q);
        s.acknowledged += sp_col_u64(&q);
        s.people += count;
        s.waiting += stage == DELIVERY_WAITING ? count : 0;
        s.handed += stage == DELIVERY_HANDED ? count : 0;
        s.unreached += stage == DELIVERY_UNREACHED ? count : 0;
    }
    TRY(sp_query_finish(&q));
    auto_query sp_query n = sp_query_of(store, "SELECT stage FROM notice WHERE id = $1");
    sp_bind_u64(&n, id);
    if (!sp_query_row(&n)) {
        TRY(sp_query_finish(&n));
        return sp_fail(SP_ENOTFOUND);
    }
    s.expanded = sp_col_u64(&n) != NOTICE_EXPANDING;
    *ret_state = s;
    return sp_query_finish(&n);
}

/* ---- deliveries ---- */

sp_err delivery_add(sp_store *store, const delivery_row *d)
{
    uint64_t id = 0;
    TRY(next_id(store, "SELECT COALESCE(MAX(id), 0) FROM delivery", &id));
    auto_query sp_query q = sp_query_of(
        store, "INSERT INTO delivery (id, notice, person, person_name, channel, address, tried,"
               " why, stage, severity, attempts, next, ended, acked, digest) VALUES ($1,$2,$3,$4,"
               "$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15) ON CONFLICT DO NOTHING");
    sp_bind_u64(&q, id);
    sp_bind_u64(&q, d->notice);
    sp_bind_u64(&q, d->person);
    sp_bind_text(&q, d->person_name);
    sp_bind_text(&q, d->channel);
    sp_bind_text(&q, d->address);
    sp_bind_text(&q, d->tried);
    sp_bind_text(&q, d->why);
    sp_bind_u64(&q, d->stage);
    sp_bind_u64(&q, d->severity);
    sp_bind_u64(&q, d->attempts);
    sp_bind_u64(&q, d->next_unix_s);
    sp_bind_u64(&q, 0);
    sp_bind_u64(&q, 0);
    sp_bind_u64(&q, 0);
    return sp_query_finish(&q);
}

static sp_err read_delivery(sp_query *q, sp_arena *arena, delivery_row *ret)
{
    delivery_row d = {.id = sp_col_u64(q), .notice = sp_col_u64(q)};
    d.person = (uint32_t)sp_col_u64(q);
    d.stage = (uint8_t)sp_col_u64(q);
    d.severity = (uint8_t)sp_col_u64(q);
    d.attempts = (uint32_t)sp_col_u64(q);
    d.next_unix_s = sp_col_u64(q);
    d.acked_unix_s = sp_col_u64(q);
    sp_span *const texts[] = {&d.person_name, &d.channel, &d.address, &d.tried, &d.why};
    for (size_t i = 0; i < SP_COUNT(texts); i++) {
        TRY(sp_arena_copy(arena, sp_col_text(q), texts[i]));
    }
    *ret = d;
    return sp_ok();
}

sp_err delivery_load(sp_store *store, sp_arena *arena, uint64_t id, delivery_row *ret_delivery)
{
    auto_query sp_query q = sp_query_of(
        store, "SELECT id, notice, person, stage, severity, attempts, next, acked, person_name,"
               " channel, address, tried, why FROM delivery WHERE id = $1");
    sp_bind_u64(&q, id);
    if (!sp_query_row(&q)) {
        TRY(sp_query_finish(&q));
        return sp_fail(SP_ENOTFOUND);
    }
    TRY(read_delivery(&q, arena, ret_delivery));
    return sp_query_finish(&q);
}

sp_err delivery_keep(sp_store *store, const delivery_row *d, uint64_t now_unix_s)
{
    auto_query sp_query q = sp_query_of(
        store, "UPDATE delivery SET stage = $1, channel = $2, address = $3, attempts = $4,"
               " next = $5, tried = $6, why = $7, ended = $8, digest = 0 WHERE id = $9");
    sp_bind_u64(&q, d->stage);
    sp_bind_text(&q, d->channel);
    sp_bind_text(&q, d->address);
    sp_bind_u64(&q, d->attempts);
    sp_bind_u64(&q, d->next_unix_s);
    sp_bind_text(&q, d->tried);
    sp_bind_text(&q, sp_text_cut(d->why, NOTICE_WHY_BYTES));
    sp_bind_u64(&q, d->stage == DELIVERY_WAITING ? 0 : now_unix_s);
    sp_bind_u64(&q, d->id);
    return sp_query_finish_changed(&q);
}

sp_err delivery_companions(sp_store *store, sp_arena *arena, const delivery_row *of,
                           uint64_t now_unix_s, delivery_row *ret_rows, size_t max,
                           size_t *ret_count)
{
    auto_query sp_query q = sp_query_of(
        store, "SELECT id, notice, person, stage, severity, attempts, next, acked, person_name,"
               " channel, address, tried, why FROM delivery WHERE person = $1 AND person_name = $2"
               " AND channel = $3 AND address = $4 AND stage = 0 AND next <= $5 AND digest = 0 AND"
               " severity < $6 ORDER BY id LIMIT $7");
    sp_bind_u64(&q, of->person);
    sp_bind_text(&q, of->person_name);
    sp_bind_text(&q, of->channel);
    sp_bind_text(&q, of->address);
    sp_bind_u64(&q, now_unix_s);
    sp_bind_u64(&q, SP_SEVERITY_HIGH);
    sp_bind_u64(&q, max);
    *ret_count = 0;
    while (*ret_count < max && sp_query_row(&q)) {
        TRY(read_delivery(&q, arena, &ret_rows[*ret_count]));
        (*ret_count)++;
    }
    return sp_query_finish(&q);
}

sp_err delivery_due(sp_store *store, sp_arena *arena, sp_span channel, uint64_t now_unix_s,
                    size_t max, delivery_row *ret_rows, size_t *ret_count)
{
    auto_query sp_query q = sp_query_of(
        store, "SELECT id, notice, person, stage, severity, attempts, next, acked, person_name,"
               " channel, address, tried, why FROM delivery WHERE channel = $1 AND stage = 0 AND"
               " next <= $2 AND digest = 0 ORDER BY next, id LIMIT $3");
    sp_bind_text(&q, channel);
    sp_bind_u64(&q, now_unix_s);
    sp_bind_u64(&q, max);
    *ret_count = 0;
    while (*ret_count < max && sp_query_row(&q)) {
        TRY(read_delivery(&q, arena, &ret_rows[*ret_count]));
        (*ret_count)++;
    }
    return sp_query_finish(&q);
}

sp_err sp_notices_clock_rows(sp_core *core, int64_t by_s)
{
    auto_query sp_query notices = sp_query_of(
        core->store,
        "UPDATE notice SET created = " SP_CLOCK_MOVED(
            "created", "$1") ", expires = " SP_CLOCK_MOVED("expires",
                                                           "$1") " WHERE stage < 2 OR (escalated = "
                                                                 "0 AND within_s > 0)");
    sp_bind_bits(&notices, (uint64_t)by_s);
    TRY(sp_query_finish(&notices));
    auto_query sp_query deliveries = sp_query_of(
        core->store,
        "UPDATE delivery SET next = " SP_CLOCK_MOVED("next", "$1") " WHERE stage = 0 AND next > 0");
    sp_bind_bits(&deliveries, (uint64_t)by_s);
    return sp_query_finish(&deliveries);
}

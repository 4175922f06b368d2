/* SPDX-License-Identifier: Apache-2.0
 * Incidents in the store: the thing itself, its timeline, its tasks, the alarms that were taken.
 * OWNS nothing. PROCESS core. TRUST rows are core's own; bound texts may be hostile.
 * SPEC core/incidents/inside.h.
 */
#include "core/http/json.h"
#include "core/incidents/inside.h"

enum { ALARMS_KEPT_S = 400 * 24 * 3600 };

static const char *const migrations[] = {
    "CREATE TABLE incident (id BIGINT PRIMARY KEY, state BIGINT NOT NULL,"
    " severity BIGINT NOT NULL, drill BIGINT NOT NULL, opened BIGINT NOT NULL,"
    " closed BIGINT NOT NULL, merged_into BIGINT NOT NULL, alarms BIGINT NOT NULL,"
    " title TEXT NOT NULL, topic TEXT NOT NULL, opened_by TEXT NOT NULL,"
    " commander TEXT NOT NULL, scribe TEXT NOT NULL, liaison TEXT NOT NULL,"
    " review TEXT NOT NULL);"
    "CREATE INDEX incident_state ON incident (state, topic);"
    "CREATE TABLE incident_note (incident BIGINT NOT NULL, number BIGINT NOT NULL,"
    " at_us BIGINT NOT NULL, session BIGINT NOT NULL, reference BIGINT NOT NULL,"
    " has_entry BIGINT NOT NULL, entry BIGINT NOT NULL, kind TEXT NOT NULL,"
    " by_name TEXT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (incident, number));"
    "CREATE TABLE incident_task (incident BIGINT NOT NULL, number BIGINT NOT NULL,"
    " created BIGINT NOT NULL, done BIGINT NOT NULL, text TEXT NOT NULL, whose TEXT NOT NULL,"
    " done_by TEXT NOT NULL, PRIMARY KEY (incident, number));"
    "CREATE TABLE alarm_taken (id BYTEA PRIMARY KEY, incident BIGINT NOT NULL,"
    " taken BIGINT NOT NULL)",
    "ALTER TABLE alarm_taken ADD COLUMN planned BIGINT NOT NULL DEFAULT 1",
    "ALTER TABLE incident ADD COLUMN about TEXT NOT NULL DEFAULT ''",
    "CREATE TABLE incident_told (person BIGINT NOT NULL, told BIGINT NOT NULL,"
    " what BIGINT NOT NULL, incident BIGINT NOT NULL);"
    "CREATE INDEX incident_told_person ON incident_told (person, told)",
    "ALTER TABLE incident_task ADD COLUMN due BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE incident_task ADD COLUMN told BIGINT NOT NULL DEFAULT 0;"
    "CREATE INDEX incident_task_due ON incident_task (done, told, due)",
};

#define COLUMNS                                                                                    \
    "id, state, severity, drill, opened, closed, merged_into, alarms, title, topic, opened_by, "   \
    "commander, scribe, liaison, review, about"

sp_err sp_incident_rows_start(sp_store *store)
{
    return sp_store_migrate(store, "incidents", migrations, SP_COUNT(migrations));
}

static sp_err next_of(sp_query *q, uint64_t *ret_number)
{
    if (sp_query_row(q)) {
        *ret_number = sp_col_u64(q);
    }
    return sp_query_finish(q);
}

sp_err sp_incident_row_add(sp_store *store, sp_incident *incident)
{
    auto_query sp_query next = sp_query_of(store, "SELECT COALESCE(MAX(id), 0) + 1 FROM incident");
    TRY(next_of(&next, &incident->id));
    return sp_incident_row_put(store, incident);
}

sp_err sp_incident_row_put(sp_store *store, const sp_incident *incident)
{
    auto_query sp_query q = sp_query_of(
        store,
        "INSERT INTO incident (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,"
        " $12, $13, $14, $15, $16) ON CONFLICT (id) DO UPDATE SET state = $2, severity = $3,"
        " opened = $5, closed = $6, merged_into = $7, alarms = $8, title = $9, commander = $12,"
        " scribe = $13, liaison = $14, review = $15, about = $16");
    sp_bind_u64(&q, incident->id);
    sp_bind_u64(&q, incident->state);
    sp_bind_u64(&q, incident->severity);
    sp_bind_u64(&q, incident->drill ? 1 : 0);
    sp_bind_u64(&q, incident->opened_unix_s);
    sp_bind_u64(&q, incident->closed_unix_s);
    sp_bind_u64(&q, incident->merged_into);
    sp_bind_u64(&q, incident->alarms);
    sp_bind_text(&q, incident->title);
    sp_bind_text(&q, incident->topic);
    sp_bind_text(&q, incident->opened_by);
    for (unsigned role = 0; role < SP_ROTA_COUNT; role++) {
        sp_bind_text(&q, incident->holders[role]);
    }
    sp_bind_text(&q, incident->review);
    sp_bind_text(&q, incident->about);
    return sp_query_finish(&q);
}

static sp_incident read_row(sp_query *q)
{
    sp_incident i = {.id = sp_col_u64(q)};
    i.state = (uint8_t)sp_col_u64(q);
    i.severity = (uint8_t)sp_col_u64(q);
    i.drill = sp_col_u64(q) == 1;
    i.opened_unix_s = sp_col_u64(q);
    i.closed_unix_s = sp_col_u64(q);
    i.merged_into = sp_col_u64(q);
    i.alarms = sp_col_u64(q);
    i.title = sp_col_text(q);
    i.topic = sp_col_text(q);
    i.opened_by = sp_col_text(q);
    for (unsigned role = 0; role < SP_ROTA_COUNT; role++) {
        i.holders[role] = sp_col_text(q);
    }
    i.review = sp_col_text(q);
    i.about = sp_col_text(q);
    return i;
}

sp_err sp_incident_row_get(sp_store *store, sp_arena *arena, uint64_t id, sp_incident *ret_incident)
{
    auto_query sp_query q = sp_query_of(store, "SELECT " COLUMNS " FROM incident WHERE id = $1");
    sp_bind_u64(&q, id > INT64_MAX ? 0 : id);
    if (!sp_query_row(&q)) {
        TRY(sp_query_finish(&q));
        return sp_fail(SP_ENOTFOUND);
    }
    sp_incident i = read_row(&q);
    sp_span *const texts[] = {&i.title,
                              &i.topic,
                              &i.opened_by,
                              &i.review,
                              &i.about,
                              &i.holders[SP_ROTA_COMMANDER],
                              &i.holders[SP_ROTA_SCRIBE],
                              &i.holders[SP_ROTA_LIAISON]};
    for (size_t n = 0; n < SP_COUNT(texts); n++) {
        TRY(sp_arena_copy(arena, *texts[n], texts[n]));
    }
    *ret_incident = i;
    return sp_query_finish(&q);
}

sp_err sp_incident_row_of(sp_store *store, sp_span topic, bool drill, uint64_t since_us,
                          uint64_t now_us, uint64_t *ret_id)
{
    auto_query sp_query q = sp_query_of(
        store,
        "SELECT i.id FROM incident t JOIN incident i ON i.id = t.id OR i.id ="
        " t.merged_into WHERE t.state IN (0, 2) AND i.state = 0 AND t.topic = $1 AND t.drill = $2"
        " AND EXISTS (SELECT 1 FROM incident_note n WHERE n.incident = i.id AND n.kind = 'opened'"
        " AND n.at_us BETWEEN $3 AND $4) ORDER BY i.id DESC LIMIT 1");
    sp_bind_text(&q, topic);
    sp_bind_u64(&q, drill ? 1 : 0);
    sp_bind_u64(&q, since_us);
    sp_bind_u64(&q,
                now_us); /* the clock was ahead when it was opened: nobody knows when that was */
    bool found = sp_query_row(&q);
    *ret_id = found ? sp_col_u64(&q) : 0;
    TRY(sp_query_finish(&q));
    return found ? sp_ok() : sp_fail(SP_ENOTFOUND);
}

sp_err sp_incident_rows_each(sp_store *store, bool also_closed, uint64_t before, uint64_t limit,
                             void (*visit)(void *self, const sp_incident *incident), void *self)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT " COLUMNS " FROM incident WHERE state <= $1 AND id < $2 "
                           "ORDER BY id DESC LIMIT $3");
    sp_bind_u64(&q, also_closed ? SP_INCIDENT_STATE_COUNT : SP_INCIDENT_OPEN);
    sp_bind_u64(&q, before == 0 ? INT64_MAX : before);
    sp_bind_u64(&q, limit);
    while (sp_query_row(&q)) {
        sp_incident incident = read_row(&q);
        visit(self, &incident);
    }
    return sp_query_finish(&q);
}

/* ---- the timeline ---- */

sp_err sp_incident_note_add(sp_store *store, uint64_t id, uint64_t now_us,
                            const sp_incident_note *note)
{
    uint64_t number = 0;
    auto_query sp_query next = sp_query_of(
        store, "SELECT COALESCE(MAX(number), 0) + 1 FROM incident_note WHERE incident = $1");
    sp_bind_u64(&next, id);
    TRY(next_of(&next, &number));
    auto_query sp_query q =
        sp_query_of(store, "INSERT INTO incident_note (incident, number, at_us, session, reference,"
                           " has_entry, entry, kind, by_name, text) VALUES ($1, $2, $3, $4, $5, $6,"
                           " $7, $8, $9, $10)");
    sp_bind_u64(&q, id);
    sp_bind_u64(&q, number);
    sp_bind_u64(&q, now_us);
    sp_bind_bits(&q, note->session);
    sp_bind_bits(&q, note->reference);
    sp_bind_u64(&q, note->has_entry ? 1 : 0);
    sp_bind_bits(&q, note->entry);
    sp_bind_text(&q, sp_span_cstr(note->kind));
    sp_bind_text(&q, note->by_name);
    sp_bind_text(&q, note->text);
    return sp_query_finish(&q);
}

static json_t *note_json(sp_query *q, sp_note_place *ret_place)
{
    json_t *one = json_object();
    auto_buf sp_buf when = sp_buf_make(64);
    ret_place->number = sp_col_u64(q);
    ret_place->at_us = sp_col_u64(q);
    json_object_set_new(one, "number", json_integer((json_int_t)ret_place->number));
    sp_buf_time(&when, ret_place->at_us);
    json_object_set_new(one, "at", sp_json_span_or_null(sp_buf_borrow(&when)));
    uint64_t session = sp_col_bits(q);
    uint64_t reference = sp_col_bits(q);
    bool has_entry = sp_col_u64(q) == 1;
    uint64_t entry = sp_col_bits(q);
    char text[32];
    sp_reference_text(reference, text);
    json_object_set_new(one, "reference", reference == 0 ? json_null() : json_string(text));
    snprintf(text, sizeof(text), "%016llx", (unsigned long long)session);
    json_object_set_new(one, "session", session == 0 ? json_null() : json_string(text));
    json_object_set_new(one, "entry", has_entry ? sp_json_id(entry) : json_null());
    json_object_set_new(one, "kind", sp_json_span_or_null(sp_col_text(q)));
    json_object_set_new(one, "by", sp_json_span_or_null(sp_col_text(q)));
    json_object_set_new(one, "text", sp_json_span_or_null(sp_col_text(q)));
    return one;
}

sp_err sp_incident_entries_count(sp_store *store, uint64_t id, uint64_t *ret_count)
{
    auto_query sp_query q = sp_query_of(
        store, "SELECT COUNT(*) FROM incident_note WHERE incident = $1 AND has_entry = 1");
    sp_bind_u64(&q, id);
    *ret_count = sp_query_row(&q) ? sp_col_u64(&q) : 0;
    return sp_query_finish(&q);
}

json_t *sp_incident_notes_json(sp_store *store, uint64_t id, const sp_note_place *before,
                               uint64_t limit, sp_note_place *ret_oldest)
{
    json_t *list = json_array();
    sp_note_place oldest = {.number = 0};
    bool more = false;
    auto_query sp_query q = sp_query_of(
        store, "SELECT number, at_us, session, reference, has_entry, entry, kind, by_name, text "
               "FROM incident_note WHERE incident = $1 AND (at_us < $2 OR (at_us = $2 AND number < "
               "$3)) ORDER BY at_us DESC, number DESC LIMIT $4");
    sp_bind_u64(&q, id);
    sp_bind_u64(&q, before == NULL ? INT64_MAX : before->at_us);
    sp_bind_u64(&q, before == NULL ? INT64_MAX : before->number);
    sp_bind_u64(&q, limit == 0 ? INT64_MAX : limit + 1);
    while (!more && sp_query_row(&q)) {
        more = limit != 0 && json_array_size(list) == limit;
        if (!more) {
            json_array_append_new(list, note_json(&q, &oldest));
        }
    }
    SP_IGNORE(sp_query_finish(&q)); /* what could be read is shown */
    if (ret_oldest != NULL) {
        *ret_oldest = more ? oldest : (sp_note_place){.number = 0};
    }
    return list;
}

/* ---- tasks ---- */

sp_err sp_incident_task_add(sp_store *store, uint64_t id, sp_span text, sp_span whose,
                            uint64_t due_unix_s, uint64_t now_unix_s)
{
    uint64_t number = 0;
    auto_query sp_query next = sp_query_of(
        store, "SELECT COALESCE(MAX(number), 0) + 1 FROM incident_task WHERE incident = $1");
    sp_bind_u64(&next, id);
    TRY(next_of(&next, &number));
    auto_query sp_query q =
        sp_query_of(store, "INSERT INTO incident_task (incident, number, created, done, text, "
                           "whose, done_by, due) VALUES ($1, $2, $3, 0, $4, $5, '', $6)");
    sp_bind_u64(&q, id);
    sp_bind_u64(&q, number);
    sp_bind_u64(&q, now_unix_s);
    sp_bind_text(&q, text);
    sp_bind_text(&q, whose);
    sp_bind_u64(&q, due_unix_s);
    return sp_query_finish(&q);
}

sp_err sp_incident_task_done(sp_store *store, uint64_t id, uint64_t number, sp_span by,
                             uint64_t now_unix_s)
{
    auto_query sp_query q =
        sp_query_of(store, "UPDATE incident_task SET done = $1, done_by = $2 WHERE incident = $3 "
                           "AND number = $4 AND done = 0");
    sp_bind_u64(&q, now_unix_s);
    sp_bind_text(&q, by);
    sp_bind_u64(&q, id);
    sp_bind_u64(&q, number);
    return sp_query_finish_changed(&q);
}

sp_err sp_incident_tasks_late(sp_store *store, sp_arena *arena, uint64_t now_unix_s,
                              sp_task_late *ret_late, size_t max, size_t *ret_count)
{
    *ret_count = 0;
    auto_query sp_query q = sp_query_of(
        store, "SELECT t.incident, t.number, t.due, t.text, t.whose FROM incident_task t JOIN "
               "incident i ON i.id = t.incident WHERE t.done = 0 AND t.told = 0 AND t.due > 0 AND "
               "t.due <= $1 AND i.state = $2 ORDER BY t.due LIMIT $3");
    sp_bind_u64(&q, now_unix_s);
    sp_bind_u64(&q, SP_INCIDENT_OPEN);
    sp_bind_u64(&q, max);
    while (*ret_count < max && sp_query_row(&q)) {
        sp_task_late *late = &ret_late[*ret_count];
        *late = (sp_task_late){.incident = sp_col_u64(&q)};
        late->number = sp_col_u64(&q);
        late->due_unix_s = sp_col_u64(&q);
        TRY(sp_arena_copy(arena, sp_col_text(&q), &late->text));
        TRY(sp_arena_copy(arena, sp_col_text(&q), &late->whose));
        ++*ret_count;
    }
    return sp_query_finish(&q);
}

sp_err sp_incident_task_told(sp_store *store, uint64_t id, uint64_t number, uint64_t now_unix_s)
{
    auto_query sp_query q = sp_query_of(
        store, "UPDATE incident_task SET told = $1 WHERE incident = $2 AND number = $3");
    sp_bind_u64(&q, now_unix_s);
    sp_bind_u64(&q, id);
    sp_bind_u64(&q, number);
    return sp_query_finish_changed(&q);
}

json_t *sp_incident_tasks_json(sp_store *store, uint64_t id)
{
    json_t *list = json_array();
    auto_query sp_query q =
        sp_query_of(store, "SELECT number, created, done, text, whose, done_by, due FROM "
                           "incident_task WHERE incident = $1 ORDER BY number");
    sp_bind_u64(&q, id);
    while (sp_query_row(&q)) {
        json_t *one = json_object();
        json_object_set_new(one, "number", json_integer((json_int_t)sp_col_u64(&q)));
        json_object_set_new(one, "created_at", sp_json_time(sp_col_u64(&q)));
        json_object_set_new(one, "done_at", sp_json_time(sp_col_u64(&q)));
        json_object_set_new(one, "text", sp_json_span_or_null(sp_col_text(&q)));
        json_object_set_new(one, "whose", sp_json_span_or_null(sp_col_text(&q)));
        json_object_set_new(one, "done_by", sp_json_span_or_null(sp_col_text(&q)));
        json_object_set_new(one, "due_at", sp_json_time(sp_col_u64(&q)));
        json_array_append_new(list, one);
    }
    SP_IGNORE(sp_query_finish(&q)); /* what could be read is shown */
    return list;
}

/* ---- merging ---- */

static sp_err move_rows(sp_store *store, const char *sql, uint64_t from, uint64_t to)
{
    auto_query sp_query q = sp_query_of(store, sql);
    sp_bind_u64(&q, to);
    sp_bind_u64(&q, from);
    return sp_query_finish(&q);
}

sp_err sp_incident_merged_ids(sp_store *store, uint64_t into, uint64_t *room, size_t limit,
                              size_t *ret_count)
{
    size_t count = 0;
    auto_query sp_query q =
        sp_query_of(store, "SELECT id FROM incident WHERE merged_into = $1 ORDER BY id LIMIT $2");
    sp_bind_u64(&q, into);
    sp_bind_u64(&q, limit);
    while (count < limit && sp_query_row(&q)) {
        room[count++] = sp_col_u64(&q);
    }
    *ret_count = count;
    return sp_query_finish(&q);
}

sp_err sp_incident_move(sp_store *store, uint64_t from, uint64_t to)
{
    static const char *const followers[] = {
        "UPDATE cut SET incident = $1 WHERE incident = $2",
        "UPDATE plan_run SET incident = $1 WHERE incident = $2",
        "UPDATE notice SET incident = $1 WHERE incident = $2",
        "UPDATE alarm_taken SET incident = $1 WHERE incident = $2",
        "UPDATE incident_told SET incident = $1 WHERE incident = $2",
        "UPDATE incident SET merged_into = $1 WHERE merged_into = $2",
    };
    TRY(move_rows(store,
                  "UPDATE incident_note SET number = number + (SELECT COALESCE(MAX(n.number), 0) "
                  "FROM incident_note n WHERE n.incident = $1), incident = $1 WHERE incident = $2",
                  from, to));
    TRY(move_rows(store,
                  "UPDATE incident_task SET number = number + (SELECT COALESCE(MAX(n.number), 0) "
                  "FROM incident_task n WHERE n.incident = $1), incident = $1 WHERE incident = $2",
                  from, to));
    for (size_t i = 0; i < SP_COUNT(followers); i++) {
        TRY(move_rows(store, followers[i], from, to));
    }
    return sp_ok();
}

/* ---- alarms ---- */

sp_err sp_alarm_row_get(sp_store *store, const sp_hash *id, sp_alarm_taken *ret_taken)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT incident, taken, planned FROM alarm_taken WHERE id = $1");
    sp_bind_blob(&q, sp_hash_borrow(id));
    if (!sp_query_row(&q)) {
        TRY(sp_query_finish(&q));
        return sp_fail(SP_ENOTFOUND);
    }
    *ret_taken = (sp_alarm_taken){.incident = sp_col_u64(&q)};
    ret_taken->taken_unix_s = sp_col_u64(&q);
    ret_taken->planned = sp_col_u64(&q) == 1;
    return sp_query_finish(&q);
}

sp_err sp_alarm_row_planned(sp_store *store, const sp_hash *id)
{
    auto_query sp_query q =
        sp_query_alone(store, "UPDATE alarm_taken SET planned = 1 WHERE id = $1");
    sp_bind_blob(&q, sp_hash_borrow(id));
    return sp_query_finish_changed(&q);
}

uint64_t sp_incident_of_alarm(sp_core *core, const sp_hash *id)
{
    auto_query sp_query q = sp_query_of(
        core->store, "SELECT CASE WHEN i.merged_into > 0 THEN i.merged_into ELSE i.id END"
                     " FROM alarm_taken t JOIN incident i ON i.id = t.incident WHERE t.id = $1");
    sp_bind_blob(&q, sp_hash_borrow(id));
    return sp_query_row(&q) ? sp_col_u64(&q) : 0;
}

sp_err sp_alarm_row_add(sp_store *store, const sp_hash *id, uint64_t incident, uint64_t now_unix_s)
{
    auto_query sp_query old = sp_query_of(store, "DELETE FROM alarm_taken WHERE taken < $1");
    sp_bind_u64(&old, now_unix_s > ALARMS_KEPT_S ? now_unix_s - ALARMS_KEPT_S : 0);
    TRY(sp_query_finish(&old));
    auto_query sp_query q = sp_query_of(
        store, "INSERT INTO alarm_taken (id, incident, taken, planned) VALUES ($1, $2, $3, 0)");
    sp_bind_blob(&q, sp_hash_borrow(id));
    sp_bind_u64(&q, incident);
    sp_bind_u64(&q, now_unix_s);
    return sp_query_finish(&q);
}

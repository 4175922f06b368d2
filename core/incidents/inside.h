/* SPDX-License-Identifier: Apache-2.0
 * What the files of core/incidents share.
 * OWNS nothing. PROCESS core. TRUST see incidents.h. SPEC core/incidents/README.md.
 */
#ifndef SP_CORE_INCIDENTS_INSIDE_H
#define SP_CORE_INCIDENTS_INSIDE_H

#include "core/http/router.h"
#include "core/incidents/incidents.h"
#include "lib/base/arena.h"

typedef enum {
    SP_INCIDENT_OPEN,
    SP_INCIDENT_CLOSED,
    SP_INCIDENT_MERGED,
    SP_INCIDENT_STATE_COUNT
} sp_incident_state;
const char *sp_incident_state_word(sp_incident_state state);

/* As it is kept; spans live in the arena, or until the next row. */
typedef struct {
    uint64_t id;
    uint64_t opened_unix_s;
    uint64_t closed_unix_s;
    uint64_t merged_into;
    uint64_t alarms;
    uint8_t state; /* sp_incident_state */
    uint8_t severity;
    bool drill;
    sp_span title;
    sp_span topic;
    sp_span opened_by;
    sp_span about;                  /* the person it is about; empty = nobody */
    sp_span holders[SP_ROTA_COUNT]; /* names */
    sp_span review;
} sp_incident;

/* ---- rows.c; those that write want a transaction of the caller, but notes ---- */
SP_MUST sp_err sp_incident_rows_start(sp_store *store);
SP_MUST sp_err sp_incident_row_add(sp_store *store, sp_incident *incident);
SP_MUST sp_err sp_incident_row_put(sp_store *store, const sp_incident *incident);
SP_MUST sp_err sp_incident_row_get(sp_store *store, sp_arena *arena, uint64_t id,
                                   sp_incident *ret_incident);
/* The open one of this topic, or that one of this topic was merged into, that was opened since
 * then and until now, or that one opened so was merged into; SP_ENOTFOUND. */
SP_MUST sp_err sp_incident_row_of(sp_store *store, sp_span topic, bool drill, uint64_t since_us,
                                  uint64_t now_us, uint64_t *ret_id);
SP_MUST sp_err sp_incident_rows_each(sp_store *store, bool also_closed, uint64_t before,
                                     uint64_t limit,
                                     void (*visit)(void *self, const sp_incident *incident),
                                     void *self);
SP_MUST sp_err sp_incident_note_add(sp_store *store, uint64_t id, uint64_t now_us,
                                    const sp_incident_note *note);
/* whose: a login name, empty = nobody's; due_unix_s 0 = at no time. */
SP_MUST sp_err sp_incident_task_add(sp_store *store, uint64_t id, sp_span text, sp_span whose,
                                    uint64_t due_unix_s, uint64_t now_unix_s);
/* SP_ENOTFOUND: there is none, or it is done. */
SP_MUST sp_err sp_incident_task_done(sp_store *store, uint64_t id, uint64_t number, sp_span by,
                                     uint64_t now_unix_s);
/* A task of an open incident whose time is over, and that nobody was told of. */
typedef struct {
    uint64_t incident;
    uint64_t number;
    uint64_t due_unix_s;
    sp_span text;
    sp_span whose; /* empty: nobody's */
} sp_task_late;
/* The first `max` of them by their time; texts in the arena. */
SP_MUST sp_err sp_incident_tasks_late(sp_store *store, sp_arena *arena, uint64_t now_unix_s,
                                      sp_task_late *ret_late, size_t max, size_t *ret_count);
SP_MUST sp_err sp_incident_task_told(sp_store *store, uint64_t id, uint64_t number,
                                     uint64_t now_unix_s);
/* What one has, and what points to it, goes to another one. */
SP_MUST sp_err sp_incident_move(sp_store *store, uint64_t from, uint64_t to);
/* Those that were merged into it. */
SP_MUST sp_err sp_incident_merged_ids(sp_store *store, uint64_t into, uint64_t *room, size_t limit,
                                      size_t *ret_count);
/* How many entries of the ledger its timeline names. */
SP_MUST sp_err sp_incident_entries_count(sp_store *store, uint64_t id, uint64_t *ret_count);
/* A place in the timeline: notes stand by time, then number. */
typedef struct {
    uint64_t at_us;
    uint64_t number;
} sp_note_place;
/* The newest notes before a place (NULL = of all), at most limit of them (0 = all), newest first.
 * *ret_oldest (may be NULL) is the place of the last; number 0: none is before it. */
json_t *sp_incident_notes_json(sp_store *store, uint64_t id, const sp_note_place *before,
                               uint64_t limit, sp_note_place *ret_oldest);
json_t *sp_incident_tasks_json(sp_store *store, uint64_t id);
/* An alarm that was taken. */
typedef struct {
    uint64_t incident;
    uint64_t taken_unix_s;
    bool planned; /* and what it sets off was begun */
} sp_alarm_taken;
/* It is remembered, not planned yet. */
SP_MUST sp_err sp_alarm_row_add(sp_store *store, const sp_hash *id, uint64_t incident,
                                uint64_t now_unix_s);
/* SP_ENOTFOUND: it was not taken. */
SP_MUST sp_err sp_alarm_row_get(sp_store *store, const sp_hash *id, sp_alarm_taken *ret_taken);
SP_MUST sp_err sp_alarm_row_planned(sp_store *store, const sp_hash *id);

/* ---- incidents.c ---- */
/* An event of an incident, for the ledger; detail in room. */
sp_event sp_incident_event(const sp_incident *incident, const char *method, sp_span what,
                           sp_buf *room);
void sp_incident_changed(sp_core *core);
/* The open one that it would join. */
bool sp_incident_joins(sp_core *core, const sp_incident_open *open, uint64_t *ret_id);

/* ---- page.c ---- */
const char *sp_rota_role_zh(sp_rota_role role);
void sp_incident_page_opened(sp_core *core, const sp_incident *incident);
void sp_incident_page_alarm(sp_core *core, uint64_t id, const sp_alarm *alarm);
void sp_incident_page_duty(sp_core *core, const sp_incident *incident, sp_rota_role role,
                           sp_span name, sp_span by_name);

/* Tells whose it is. */
void sp_incident_page_task(sp_core *core, const sp_incident *incident, sp_span text, sp_span whose,
                           uint64_t due_unix_s, sp_span by_name);

/* Tells him that a task is late; empty: whoever the Notice is for. */
void sp_incident_page_overdue(sp_core *core, const sp_incident *incident, const sp_task_late *task,
                              sp_span person);

/* ---- tell.c ---- */
SP_MUST sp_err sp_tell_routes(sp_core *core);
/* tokens.c */
SP_MUST sp_err sp_incident_tokens_start(sp_core *core);
/* api.c: a severity's word; false: answered. */
bool sp_incident_severity_of(sp_request *req, sp_span word, uint8_t *ret_severity);

/* ---- evidence.c ---- */
SP_MUST sp_err sp_evidence_routes(sp_core *core);
/* The incident of the path with all that belongs to it and its whole timeline, if the asker may see
 * it; NULL: answered. */
json_t *sp_incident_whole_of(sp_request *req, sp_incident *ret_incident);

/* ---- api.c ---- */
SP_MUST sp_err sp_incident_routes(sp_core *core);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * What the files of core/reports share.
 * OWNS nothing. PROCESS core. TRUST see reports.h. SPEC core/reports/README.md.
 */
#ifndef SP_CORE_REPORTS_INSIDE_H
#define SP_CORE_REPORTS_INSIDE_H

#include "core/http/router.h"
#include "core/incidents/inside.h"
#include "core/reports/reports.h"
#include "lib/policy/duties.h"

enum {
    REPORT_TEXT_MAX_BYTES = 4000, /* of an item */
    REPORT_ARENA_BYTES = 512 * 1024,
    REPORT_DRAFT_MAX_BYTES = 256 * 1024
};

/* As it is kept; json is owned: report_done(). */
typedef struct {
    uint64_t id;
    uint64_t incident;
    uint64_t created_unix_s;
    uint64_t discovered_unix_s;
    char pack[SP_NAME_MAX_BYTES + 1];
    json_t *facts; /* word -> number */
    json_t *items; /* name -> text */
} report_row;
void report_done(report_row *row);
#define auto_report __attribute__((cleanup(report_done)))

/* A report with all that it is judged by. */
typedef struct {
    report_row row;
    sp_policy_law law;
    sp_incident incident; /* in the arena */
    sp_facts facts;
    sp_law_answer answer;
} report;

/* ---- said.c: what core wrote, in Chinese; what it does not know stays as it is ---- */
/* A line of the timeline about a plan, a cut, what was found. */
void report_said_zh(sp_span text, sp_buf *out);
/* An incident's title; an alarm's line. Documents have titles in both languages. */
void report_title_zh(const sp_core *core, sp_span title, sp_buf *out);
void report_alarm_zh(const sp_core *core, sp_span text, sp_buf *out);
/* False: it is none of the tasks of the plans that come with the program. */
bool report_task_zh(sp_span text, sp_buf *out);

/* ---- rows.c ---- */
SP_MUST sp_err report_rows_start(sp_store *store);
SP_MUST sp_err report_row_add(sp_store *store, report_row *row);
SP_MUST sp_err report_row_put(sp_store *store, const report_row *row);
/* The next two in a transaction of the caller. */
SP_MUST sp_err report_row_write(sp_store *store, const report_row *row);
SP_MUST sp_err report_row_untell(sp_store *store, uint64_t id);
/* The same, and its clocks run anew: what was told of them is told again when it is time.
 * SP_ECONFLICT: it was discovered before that, as somebody said meanwhile, and may not be later. */
SP_MUST sp_err report_row_discovered(sp_store *store, const report_row *row, bool may_be_later);
SP_MUST sp_err report_row_get(sp_store *store, uint64_t id, report_row *ret_row);
/* Ids, newest first, in room; how many. */
size_t report_ids(sp_store *store, uint64_t before, uint64_t *room, size_t limit);
/* Ids after that one, oldest first. */
size_t report_ids_after(sp_store *store, uint64_t after, uint64_t *room, size_t limit);
/* Incidents that are grave, no drill, and have no report. One that only an alarm opened, and that
 * is about nobody, has to be critical: anybody outside can cause such alarms. */
size_t report_wanted(sp_store *store, uint64_t *room, size_t limit);
/* When a duty was done, 0 = not yet; who and what in json when it was. */
uint64_t report_filed(sp_store *store, uint64_t id, sp_span duty, json_t *into);
SP_MUST sp_err report_file(sp_store *store, uint64_t id, sp_span duty, uint64_t now_unix_s,
                           sp_span by, sp_span receipt);
bool report_was_told(sp_store *store, uint64_t id, sp_span duty, sp_due_stage stage);
SP_MUST sp_err report_told(sp_store *store, uint64_t id, sp_span duty, sp_due_stage stage);
typedef struct {
    uint64_t number;
    uint64_t signed_unix_s;
    sp_span phase;
    sp_span by;
    sp_hash hash;
    sp_span en;
    sp_span zh;
} report_paper;
SP_MUST sp_err report_paper_add(sp_store *store, uint64_t id, const report_paper *paper);
uint64_t report_papers_count(sp_store *store, uint64_t id);
json_t *report_papers_json(sp_store *store, uint64_t id);
/* With its texts; NULL = there is none. */
json_t *report_paper_json(sp_store *store, uint64_t id, uint64_t number);
/* The latest time that was ever seen. */
uint64_t report_seen(sp_store *store, uint64_t now_unix_s);
/* Now is the latest: what was later was a clock that had jumped ahead. What was told is told again
 * when it is time. */
SP_MUST sp_err report_clock_reset(sp_store *store, uint64_t now_unix_s);

/* ---- draft.c ---- */
/* Reads all of it; incident and texts live in the arena. */
SP_MUST sp_err report_load(sp_core *core, sp_arena *arena, uint64_t id, report *ret_report);
/* Text of an item in a language; empty = missing. */
void report_item(sp_core *core, const report *r, size_t item, sp_language language, sp_buf *out);
bool report_is_missing(sp_core *core, const report *r, size_t item);
void report_draft(sp_core *core, const report *r, sp_language language, const char *phase,
                  sp_buf *out);

/* ---- clock.c ---- */
uint64_t report_now(sp_core *core);
json_t *report_clocks_json(sp_core *core, const report *r);
SP_MUST sp_err report_open(sp_core *core, uint64_t incident, sp_span pack, sp_span by,
                           uint64_t *ret_id);

/* ---- officers.c ---- */
void officers_look(sp_core *core);
void officers_text(sp_core *core, sp_language language, sp_buf *out);
/* Whether this person is, or stands in for, who reports or leads security. */
bool officers_may_report(const sp_core *core, sp_span person);
SP_MUST sp_err officers_start(sp_core *core);

/* ---- api.c ---- */
SP_MUST sp_err report_routes(sp_core *core);

#endif

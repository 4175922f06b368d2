/* SPDX-License-Identifier: Apache-2.0
 * What keep_rows.c, keeps.c, keeps_api.c and undo.c share.
 * OWNS see each struct. PROCESS core. TRUST see approvals.h. SPEC core/approvals/README.md.
 */
#ifndef SP_CORE_APPROVALS_KEEPS_H
#define SP_CORE_APPROVALS_KEEPS_H

#include "core/approvals/inside.h"
#include "core/approvals/keeper_client.h"

enum { SP_KEPT_DETAIL_BYTES = 8192, SP_KEPT_OVER_AT_ONCE = 10 };

typedef enum {
    SP_KEPT_HELD,
    SP_KEPT_UNDONE,
    SP_KEPT_UNDO_FAILED,
    SP_KEPT_FORGOTTEN,
    SP_KEPT_UNDONE_PARTLY, /* some of it did not come back: it may be tried again */
    SP_KEPT_UNDOING,
    SP_KEPT_UNDO_UNKNOWN /* it may have been put back, or not: it may be tried again */
} sp_kept_state;

/* Whether some of it has been put back before: then an undo guesses at nothing. */
typedef enum {
    SP_KEPT_PARTLY_NO,
    SP_KEPT_PARTLY_YES,
    SP_KEPT_PARTLY_UNKNOWN /* a first undo has begun, and its end is not known */
} sp_kept_partly;

/* What became of its rows beside, the last time that was asked for. */
typedef enum {
    SP_BESIDE_NONE,
    SP_BESIDE_DONE,
    SP_BESIDE_FAILED,
    SP_BESIDE_UNDER_WAY,
    SP_BESIDE_UNKNOWN
} sp_beside_state;

typedef struct {
    uint8_t state; /* sp_beside_state */
    uint64_t ask;
    uint64_t at_unix_s; /* its end; 0 = none yet */
    sp_span told;       /* JSON */
} sp_kept_beside;

typedef struct {
    uint64_t id;
    uint64_t ask;
    bool whole;
    uint8_t state;  /* sp_kept_state */
    uint8_t partly; /* sp_kept_partly */
    uint64_t bytes;
    uint64_t ms;
    uint64_t created_unix_s;
    uint64_t expires_unix_s;
    uint64_t undone_unix_s;
    uint64_t undo_ms;
    uint64_t undo_ask;
    sp_span resource;
    sp_span database;
    sp_span objects;
    sp_span told; /* JSON of the last undo */
    sp_kept_beside beside;
} sp_kept;

typedef struct {
    uint64_t ids[SP_ASKS_LISTED_MAX];
    size_t count;
} sp_kept_ids;

/* ---- keep_rows.c: the store; each change is a transaction of its own ---- */
SP_MUST sp_err sp_kept_load(sp_store *store, sp_arena *arena, uint64_t id, sp_kept *ret_kept);
/* And the ask of its statement. */
SP_MUST sp_err sp_kept_load_with(sp_core *core, sp_arena *arena, uint64_t id, sp_kept *ret_kept,
                                 sp_ask *ret_ask);
SP_MUST sp_err sp_kept_add(sp_store *store, const sp_kept *kept);
/* State, outcome and ask of the last undo, and of its rows beside. */
SP_MUST sp_err sp_kept_change(sp_store *store, const sp_kept *kept);
/* The same, and the approved ask is used, or neither. SP_ECONFLICT: it is not approved any more. */
SP_MUST sp_err sp_kept_begin(sp_store *store, const sp_kept *kept, uint64_t ask,
                             uint64_t now_unix_s);
/* That was not begun: both are again what they were when they were loaded, or neither. */
SP_MUST sp_err sp_kept_put_off(sp_store *store, const sp_kept *kept, const sp_ask *ask);
/* Whose undo, or rows beside, have begun and not ended. */
void sp_kept_list_under_way(sp_store *store, sp_kept_ids *list);
/* UINT64_MAX: cannot be said. */
uint64_t sp_kept_count(sp_store *store, uint64_t ask);
SP_MUST sp_err sp_kept_list(sp_store *store, sp_kept_ids *list); /* newest first */
void sp_kept_list_over(sp_store *store, uint64_t now_unix_s, sp_kept_ids *list);

/* ---- undo.c ---- */
/* Nothing is left to be put back, or nothing is kept any more. */
bool sp_kept_is_over(const sp_kept *kept);
/* After a start: what became of those that were under way is heard from the keeper. */
void sp_undo_hear(sp_core *core, sp_approvals *approvals);

/* ---- keeps.c ---- */
/* What the policy in force says about the place; the names live as long as the job is written. */
typedef struct {
    sp_keeper_job job;
    sp_buf credential;
} sp_keep_place;

void sp_keep_place_done(sp_keep_place *place);
#define auto_keep_place __attribute__((cleanup(sp_keep_place_done)))
/* SP_EUNSUPPORTED: nothing is kept for this resource. To be done in both cases. */
SP_MUST sp_err sp_keep_place_find(const sp_core *core, sp_span resource, sp_span database,
                                  sp_span verbs, sp_keep_place *place);
/* The same for rows beside: into this database of the resource, or the maintenance one
 * ("postgres"), which its policy need not name. */
SP_MUST sp_err sp_keep_place_beside(const sp_core *core, sp_span resource, sp_span database,
                                    sp_keep_place *place);
sp_keeper_client *sp_keep_keeper(const sp_core *core); /* NULL: this office keeps nothing */
/* {"why": before and why}, as a report. */
void sp_kept_put_why(sp_span before, sp_span why, sp_buf *report);
/* An event about what is kept; its detail is written to room. */
void sp_kept_event(const sp_ask *ask, const sp_kept *kept, const char *method, sp_span report,
                   sp_buf *room, sp_event *event);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * What the files of core/cut share.
 * OWNS nothing. PROCESS core. TRUST see cut.h. SPEC core/cut/README.md.
 */
#ifndef SP_CORE_CUT_INSIDE_H
#define SP_CORE_CUT_INSIDE_H

#include "core/cut/cut.h"

struct sp_cutter {
    sp_core *core;
    uv_timer_t timer;
};

/* A cut as it is kept; spans live in the arena. */
typedef struct {
    uint64_t id;
    uint64_t target; /* of a session or device */
    uint64_t since_unix_s;
    uint64_t until_unix_s;
    uint64_t ended_unix_s; /* 0 = in force */
    uint64_t incident;
    uint32_t number;
    uint8_t kind;
    uint8_t effect;
    uint8_t class_level;
    bool was_locked; /* the person, before: undoing does not let him in */
    sp_span name;
    sp_span reason;
    sp_span by_name;
    sp_span ended_by;
    sp_span ended_why;
} sp_cut_row;

/* scope.c: the role of that number and those that include it, by the documents in force. */
void sp_cut_roles_with(const sp_core *core, uint32_t number, uint64_t ret_roles[SP_ROLE_WORDS]);

/* ---- rows.c ---- */
SP_MUST sp_err sp_cut_rows_start(sp_store *store);
/* The next number. */
SP_MUST sp_err sp_cut_row_next(sp_store *store, uint64_t *ret_id);
SP_MUST sp_err sp_cut_row_add(sp_store *store, const sp_cut_row *row);
SP_MUST sp_err sp_cut_row_get(sp_store *store, sp_arena *arena, uint64_t id, sp_cut_row *ret_row);
/* One in force for the same thing and at least as long; *ret_own: made by this very order before a
 * restart. SP_ENOTFOUND. */
SP_MUST sp_err sp_cut_row_same(sp_store *store, const sp_cut_order *order, uint64_t until_unix_s,
                               uint64_t *ret_id, bool *ret_own);
/* It counts from then on. SP_ENOTFOUND: it has ended already. */
SP_MUST sp_err sp_cut_row_since(sp_store *store, uint64_t id, uint64_t since_unix_s);
/* SP_ENOTFOUND: it has ended already. */
SP_MUST sp_err sp_cut_row_end(sp_store *store, uint64_t id, uint64_t now_unix_s, sp_span by,
                              sp_span why);
/* Those in force, up to that number, begin and end by so much later. In a transaction of the
 * caller. What went back is remembered: */
SP_MUST sp_err sp_cut_rows_move(sp_store *store, int64_t by_s, uint64_t newest,
                                uint64_t now_unix_s);
/* While core did not run the clock may have been put right again: ends that went back with it go
 * ahead again, when so much time has passed by the clock that this can be. */
SP_MUST sp_err sp_cut_rows_right(sp_store *store, uint64_t now_unix_s);
SP_MUST sp_err sp_cut_rows_locked_too(sp_store *store, uint32_t person);
SP_MUST sp_err sp_cut_rows_each(sp_store *store, bool also_ended,
                                void (*visit)(void *self, const sp_cut_row *row), void *self);

/* ---- api.c ---- */
SP_MUST sp_err sp_cut_routes(sp_core *core);
json_t *sp_cut_row_json(const sp_cut_row *row);

#endif

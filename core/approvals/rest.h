/* SPDX-License-Identifier: Apache-2.0
 * How often one person may try what holds up others (a dry run of undo locks tables as long as it
 * takes): one at a time, and after it he owes ten times its time. Up to ten minutes may be owed;
 * who owes more waits. So short tries are free and long ones take a tenth of the time at most. Who
 * has looked may ask once, whatever he owes: that tries again, and what it took is owed too. OWNS
 * nothing. PROCESS core. TRUST the caller knows who asks. SPEC docs/DATABASE.md "Undo".
 */
#ifndef SP_CORE_APPROVALS_REST_H
#define SP_CORE_APPROVALS_REST_H

#include <stdbool.h>
#include <stdint.h>

enum { SP_REST_PLACES = 64, SP_REST_TIMES = 10 };

/* All zero: nobody owes anything. Who owes least is forgotten when there is no place. */
typedef struct {
    struct {
        uint32_t person; /* 0 = free */
        bool is_trying;
        bool asks;
        bool may_ask; /* he has looked, and not asked since */
        uint64_t began_us;
        uint64_t until_us; /* what he owes is over then */
    } of[SP_REST_PLACES];
} sp_rest;

/* False: not now; *ret_wait_s tells how long, and is set then only. asks: he does not only look.
 * now_us: of the steady clock. */
bool sp_rest_begin(sp_rest *rest, uint32_t person, bool asks, uint64_t now_us,
                   uint64_t *ret_wait_s);
/* The try that this person began is over. */
void sp_rest_end(sp_rest *rest, uint32_t person, uint64_t now_us);
/* It came to nothing: as if it had not begun. */
void sp_rest_drop(sp_rest *rest, uint32_t person);

#endif

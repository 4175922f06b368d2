/* SPDX-License-Identifier: Apache-2.0
 * What others agreed to and could not be carried out now: whether that is for good, and when it is
 * tried again. OWNS nothing. PROCESS core. TRUST numbers are core's own. SPEC
 * core/approvals/README.md.
 */
#ifndef SP_CORE_APPROVALS_AGAIN_H
#define SP_CORE_APPROVALS_AGAIN_H

#include "lib/base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { SP_AGAIN_PLACES = 64, SP_AGAIN_S = 60 };

/* All zero: nothing was put off. What was put off first is forgotten when there is no place. */
typedef struct {
    struct {
        uint64_t ask; /* 0 = free */
        uint64_t at_us;
    } of[SP_AGAIN_PLACES];
} sp_again;

typedef enum { SP_AGAIN_NEVER, SP_AGAIN_WAITS, SP_AGAIN_DUE } sp_again_state;

/* False: with this error it may go well another time (disk full, no memory, somebody is away). */
bool sp_again_is_for_good(sp_code code);
/* It is not tried for a minute. False: it had been put off before. now_us: of the steady clock. */
bool sp_again_later(sp_again *again, uint64_t ask, uint64_t now_us);
/* What was due and nobody has put off for another minute is forgotten: SP_AGAIN_NEVER. */
sp_again_state sp_again_look(const sp_again *again, uint64_t ask, uint64_t now_us);

#endif

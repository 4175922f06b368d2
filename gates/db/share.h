/* SPDX-License-Identifier: Apache-2.0
 * What connections hold of a worker's memory, by person.
 *
 * Story: an idle connection holds next to nothing. What a client can make large is counted: texts
 * and rows that are not whole yet, answers that he does not take, messages that wait for answers,
 * prepared statements and cursors, estimates; for all connections of his person in this worker
 * together. Nobody may hold more than is still free: who is alone half of all, two of them a third
 * each. So there is always room for the next one, and nobody has to give up what he has because
 * others want more. Who would hold more is refused (53200), and so is nobody else; small things,
 * of which a connection has a few, are counted and never refused.
 *
 * OWNS the list of persons. PROCESS db gate workers. TRUST the client decides how much it is.
 * SPEC gates/db/README.md "Limits".
 */
#ifndef SP_GATES_DB_SHARE_H
#define SP_GATES_DB_SHARE_H

#include "gates/db/judge.h"
#include "lib/base/err.h"

#include <stddef.h>

enum {
    DB_SHARED_BYTES = 512 << 20, /* of all connections of a worker */
    DB_SMALL_BYTES = 64 * 1024   /* what is no larger is never refused */
};

/* Of one person; lives as long as he has connections here. */
typedef struct db_share db_share;
struct db_share {
    db_share *next;
    uint32_t person;
    uint32_t sessions;
    size_t held;
    db_share *next_turn; /* of those who have connections that wait for their turn (turns.c) */
    db_session *first_waiting; /* NULL = he has none */
    db_session **last_waiting;
};

/* Who it is is known: what the session holds counts as his. SP_ENOMEM. */
SP_MUST sp_err db_share_join(db_session *session);
void db_share_leave(db_session *session);
/* What the session holds has changed. */
void db_share_count(db_session *session);
/* The same, and whether it may hold so many bytes more. */
bool db_share_fits(db_session *session, size_t more);
/* An error for who may not. */
void db_share_refuse(db_refusal *refusal);

#endif

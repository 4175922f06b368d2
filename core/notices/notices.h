/* SPDX-License-Identifier: Apache-2.0
 * Notices: what people are told, on which ways, and whom it did not reach.
 *
 * Story: somebody (a person by the API, a plan, another room) sends a notice: a Notice document, an
 * audience, values for its variables. The notice with its texts is in the store before this
 * returns; then, on the loop, the audience becomes one delivery for each person, and each delivery
 * goes out by the person's first channel, then the next, through the courier. Everybody finds it in
 * the portal too. A delivery ends as handed over or, when no channel is left, unreached. Who reads
 * it acknowledges it, in the portal or by the signed link in the mail; where nobody does in time,
 * the notice goes to the people named for that.
 *
 * OWNS rows of the store, the line to the courier. PROCESS core. TRUST values may hold hostile
 * names: they are text, never markup. SPEC docs/NOTICES.md.
 */
#ifndef SP_CORE_NOTICES_NOTICES_H
#define SP_CORE_NOTICES_NOTICES_H

#include "core/core.h"

enum { SP_NOTICE_VALUES_MAX = 32, SP_NOTICE_VALUE_MAX_BYTES = 1000 };

typedef struct {
    sp_span name;
    sp_span text;
} sp_notice_pair;

typedef struct {
    sp_span notice;   /* name of a Notice document */
    sp_span audience; /* name of an Audience document, "person NAME", "role NAME", "ask NUMBER" (who
                         may agree to it); empty: the Notice's own */
    const sp_notice_pair *values;
    size_t values_count;
    uint64_t incident; /* 0 = none */
    uint8_t severity;  /* 0 = the Notice's own */
    bool drill;        /* marked as one wherever it is shown */
    bool may_wait;     /* it asks for no acknowledgement, whatever its document says */
    bool by_program;   /* the office may have written that Notice anew: values that it does not know
                          are left out, variables without a value are "-" */
    sp_span by;        /* who sends it, for the record: "ann", "plan data-leak" */
} sp_notice_ask;

/* Copies all of it. SP_ENOTFOUND: no such Notice or Audience; SP_EINVALID: a variable has no value,
 * or a value no variable; SP_ELIMIT: values are too long or too many notices are under way. *why,
 * when not NULL, gets a sentence. */
SP_MUST sp_err sp_notices_send(sp_core *core, const sp_notice_ask *ask, sp_buf *why,
                               uint64_t *ret_notice);

/* A notice of the program's own: sent, or a line in the log that says why nobody was told. */
void sp_notices_tell(sp_core *core, const sp_notice_ask *ask);

/* ---- a post that is no notice: a plan calls a webhook ---- */

#define SP_NOTICE_POST_BIT                                                                         \
    (UINT64_C(1) << 63) /* in numbers of posts, so that no delivery has one */

typedef struct {
    uint64_t number; /* of the caller's, with SP_NOTICE_POST_BIT */
    sp_span channel; /* a Channel `via: webhook` */
    sp_span id;      /* the same for the same post */
    sp_span title;
    sp_span text;
    sp_span data; /* JSON */
    uint16_t timeout_s;
} sp_notice_post;
/* One attempt, at once. What became of it comes to sp_plans_posted(), also after a restart of core.
 * SP_EAGAIN: the courier is away; SP_ENOTFOUND: no such channel. */
SP_MUST sp_err sp_notices_post(sp_core *core, const sp_notice_post *post);

SP_MUST sp_err sp_notices_start(sp_core *core, sp_notices **ret_notices);
void sp_notices_stop(sp_notices *notices);
/* The wall clock was set (core/clock.h): what waits for its turn, for an answer or for its end
 * waits as long as it would have. In a transaction of the caller. */
SP_MUST sp_err sp_notices_clock_rows(sp_core *core, int64_t by_s);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * An estimate under way: what is asked (estimate_asks.c) and what is answered (estimate.c). Private
 * to these two.
 * OWNS nothing. PROCESS db gate workers. TRUST see gates/db/estimate.c. SPEC gates/db/judging.h.
 */
#ifndef SP_DB_ESTIMATING_H
#define SP_DB_ESTIMATING_H

#include "gates/db/judging.h"

enum {
    EXPLAINED_MAX = 4, /* statements of one message */
    STAGES_MAX = EXPLAINED_MAX * 3 + 4 /* explained twice, prepared; settings, touches, the end */,
};

/* One question and its answer, up to ReadyForQuery. */
typedef enum { STAGE_QUIET, STAGE_JSON, STAGE_TEXT, STAGE_TOUCHES, STAGE_SHOW, STAGE_SET } db_stage;

struct db_estimate {
    db_session *session;
    sp_hash hash;
    enum { NONE, WAITING, DONE } state;
    db_back *back;
    bool ready;
    bool is_secret;
    bool takes_all; /* a statement without a plan that takes rows away: TRUNCATE, DROP */
    bool makes;     /* one makes rows: without its plan nobody knows how many */
    bool makes_all; /* one has none, and makes rows */
    bool adds;      /* more rows than there are */
    bool is_untold; /* the tag of a plan's statement does not count all that it changes */
    bool hides;     /* WITH changes rows, and nobody tells how many */
    bool is_open;   /* it may meet more than is named and counted */
    sp_timer timer;
    unsigned idle_ticks;
    db_stage stages[STAGES_MAX];
    size_t stage_count;
    size_t stage; /* whose answer comes */
    sp_buf out;
    sp_buf carry;
    sp_buf lines; /* JSON strings, with commas */
    sp_buf touches;
    const char *unheld; /* why others may change what it meets before it runs; NULL = they wait */
    db_settings theirs; /* of the asker's session, when it was asked for them last */
    db_settings own;    /* of the connection as it began */
    db_estimated found;
};

/* Puts all questions about it into e->out, and a stage for each answer. */
void db_estimate_write_asked(db_estimate *e, const db_run_ask *run);

#endif

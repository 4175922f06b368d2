/* SPDX-License-Identifier: Apache-2.0
 * How many rows a plan expects: the numbers in what EXPLAIN (FORMAT JSON) answers.
 * OWNS nothing. PROCESS database gate. TRUST the text comes from the database server and may be
 * anything: it is read once, with a maximum of depth. SPEC PostgreSQL 15 manual, EXPLAIN.
 */
#ifndef SP_SQL_PLAN_H
#define SP_SQL_PLAN_H

#include "lib/base/err.h"
#include "lib/base/span.h"

enum { SP_SQL_PLAN_DEPTH_MAX = 256 };

typedef struct {
    uint64_t rows; /* that it changes, in data-modifying WITH too; without any: that it answers */
    bool adds;     /* it may make rows: more than there are */
    bool is_told;  /* the tag at its end counts all of them: one change, and nothing around it */
    bool hides;    /* it changes rows that are there beneath something else, whose tag tells less */
} sp_sql_plan;

/* SP_EINVALID: not a plan; SP_ELIMIT: too deep. */
SP_MUST sp_err sp_sql_plan_read(sp_span json, sp_sql_plan *ret_plan);

#endif

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

/* Of a statement that changes rows, those that it expects to change, in data-modifying WITH too; of
 * another one, those that it expects to answer. SP_EINVALID: not a plan; SP_ELIMIT: too deep. */
SP_MUST sp_err sp_sql_plan_rows(sp_span json, uint64_t *ret_rows);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The functions and settings of the server's own, and what using them does. Private to lib/sql.
 * OWNS nothing. PROCESS database gate. TRUST names are hostile. SPEC PostgreSQL 15, pg_proc.dat.
 */
#ifndef SP_SQL_FUNCTIONS_H
#define SP_SQL_FUNCTIONS_H

#include "lib/base/span.h"

typedef enum {
    FUNCTION_UNKNOWN, /* not the server's own */
    FUNCTION_READ,
    FUNCTION_TELLING, /* tells what others do, or values of tables */
    FUNCTION_EXPORT,
    FUNCTION_WRITE,
    FUNCTION_DESTROY,
    FUNCTION_ADMINISTER,
    FUNCTION_SETTING, /* set_config */
    FUNCTION_NEVER    /* runs text that it is given, or reads the server's files */
} function_class;

/* By its bare name: all functions of one name are in one class, the gravest. */
function_class function_find(sp_span name);
/* Of those that tell: what others ask, or what a table or a large object holds. */
bool function_tells_values(sp_span name);
/* Whether each call with the same arguments is the same value all through a statement: none of that
 * name is volatile, makes rows, or tells what the statement has done so far. */
bool function_is_steady(sp_span name);
/* Whether a call is one value: steady, or one of the moment ("nextval", "random"). Others of the
 * server's own may make rows. */
bool function_is_single(sp_span name);

typedef enum {
    SETTING_FREE,       /* of no consequence to others, and does not change what SQL means */
    SETTING_ADMINISTER, /* asked for as administer */
    SETTING_NEVER       /* changes what SQL means, or who asks */
} setting_class;

/* value is what it is set to, when that is one literal; empty otherwise. is_reset: RESET, or SET
 * TO DEFAULT. */
setting_class setting_find(sp_span name, sp_span value, bool is_reset);

/* One of the free ones that lead the planner: an index may give rows in the order of what it is on,
 * and a plan that is asked for shows it. */
bool setting_is_planners(sp_span name);

#endif

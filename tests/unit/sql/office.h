/* SPDX-License-Identifier: Apache-2.0
 * A small database's catalogue for tests, and judgements as one line of text.
 * OWNS what it says. PROCESS tests. TRUST none. SPEC lib/sql/judge.h.
 */
#ifndef SP_TESTS_SQL_OFFICE_H
#define SP_TESTS_SQL_OFFICE_H

#include "lib/sql/judge.h"

/* customers(id!, name, phone, note), orders -> customers cascading, order_lines -> orders, the
 * views v_customers and v_names, the index audit.i_orders, logs with partition logs_2024,
 * audit.entries, pg_class, pg_stats; functions order_total() and similarity() (harmless). Aborts
 * when it cannot be made. */
sp_sql_catalogue *office_new(void);

/* "destroy! orders; read customers": gravest first; ! all, ? opaque, ~ implied, * system, + broad,
 * % not sure, > a name that it gets; a kind before what is not a relation: "execute? function f".
 * "fault: reason" for faults. Static storage.
 */
const char *office_judge(sp_sql_judge *judge, const sp_sql_context *context, const char *text);

#endif

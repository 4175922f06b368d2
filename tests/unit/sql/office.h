/* SPDX-License-Identifier: Apache-2.0
 * A small database's catalogue for tests, and judgements as one line of text.
 * OWNS what it says. PROCESS tests. TRUST none. SPEC lib/sql/judge.h.
 */
#ifndef SP_TESTS_SQL_OFFICE_H
#define SP_TESTS_SQL_OFFICE_H

#include "lib/sql/judge.h"

/* customers(id!, name, phone, note), orders -> customers cascading, order_lines -> orders, the
 * views v_customers and v_names, the index audit.i_orders, logs with partition logs_2024,
 * audit.entries, shapes(id!, concat, row_to_json), parcels(id, code, year, weight) of which
 * id, a whole number, and code, a text, are keys, kinds(f, at, tz, d, j, mood) of float8,
 * timestamp, timestamptz, date, json and a type of users, pg_class, pg_stats, which the views
 * deep_0 to deep_39 see, each through the next; functions order_total() and similarity()
 * (harmless). Aborts when it cannot be made. */
sp_sql_catalogue *office_new(void);

/* "destroy! orders; read customers": gravest first; ! all, ? opaque, ~ implied, * system, + broad,
 * % not sure, > a name that it gets; a kind before what is not a relation: "execute?
 * function f". "fault: reason" for faults. Static storage.
 */
const char *office_judge(sp_sql_judge *judge, const sp_sql_context *context, const char *text);

typedef struct {
    sp_sql_judge *judge;
    sp_sql_catalogue *office;
} office_room;

/* A group's: *state is an office_room. */
int office_set_up(void **state);
/* The same, where customers.phone has the tag OFFICE_PERSONAL and is masked as a mobile number. */
enum { OFFICE_PERSONAL = 1 };
int office_set_up_masked(void **state);
int office_tear_down(void **state);

typedef struct {
    const char *text;
    const char *uses;
} office_judged;

/* Tells every case that is judged otherwise, and fails; the context's catalogue is the room's. */
void office_check(void **state, sp_sql_context context, const office_judged *cases, size_t count);
/* A context's function_action: public.listed() reads. */
bool office_is_listed(const void *policy, sp_span schema, sp_span name, sp_action *ret_action);

#endif

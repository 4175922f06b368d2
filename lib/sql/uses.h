/* SPDX-License-Identifier: Apache-2.0
 * Statements for the policy compiler: what examples, explain and replay try, judged as the gate
 * does, but without a catalogue. What only a catalogue tells (views, partitions, what a foreign key
 * cascades to, keys) is not seen here; names without a schema are those of the search_path's first.
 * OWNS nothing. PROCESS core, cli. TRUST the text comes from a document or a person.
 * SPEC lib/policy/compile.h "sp_policy_sql_fn".
 */
#ifndef SP_SQL_USES_H
#define SP_SQL_USES_H

#include "lib/policy/compile.h"

/* sp_policy_input.sql; ctx is not looked at. */
SP_MUST sp_err sp_sql_policy_uses(void *ctx, const sp_policy_statement *statement,
                                  sp_policy_use ret_uses[SP_POLICY_USES_MAX], size_t *ret_count,
                                  sp_buf *room);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * What a text changes, read from the parser's print of its tree by somebody else than the walker:
 * which relation, by which verb. Each must stand in the judgement, as gravely at least.
 * OWNS nothing. PROCESS fuzzing, tests. TRUST the text is hostile. SPEC lib/sql/judge.h.
 */
#ifndef SP_FUZZ_SQL_TARGETS_H
#define SP_FUZZ_SQL_TARGETS_H

#include "lib/sql/judge.h"

/* print: pg_query_parse().parse_tree. False: something is changed that the judgement does not know;
 * it stands on stderr. What makes, is planned only, or is temporary is somebody else's matter. */
bool sql_targets_known(const char *print, const sp_sql_catalogue *catalogue,
                       const sp_sql_judgement *judgement);

#endif

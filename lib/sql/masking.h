/* SPDX-License-Identifier: Apache-2.0
 * Whether a statement keeps masked values where masking can find them: as plain columns of a
 * result.
 *
 * A masked column may stand only as an item of a SELECT or RETURNING list, at any depth. Anywhere
 * else (conditions, order, groups, functions, casts, other tables) it would tell its values, and
 * the statement is refused. Names decide, not places: an alias of a masked column is a masked name
 * wherever it stands. That refuses a little too much and never too little.
 *
 * OWNS nothing. PROCESS database gate. TRUST the text is hostile. SPEC docs/ARCHITECTURE.md
 * "Database gate".
 */
#ifndef SP_SQL_MASKING_H
#define SP_SQL_MASKING_H

#include "lib/mask/copy.h"
#include "lib/sql/judge.h"

typedef enum {
    SP_SQL_MASKING_CLEAN,     /* no masked column is in reach */
    SP_SQL_MASKING_BY_ORIGIN, /* fields that are masked columns; fields without origin are clean */
    SP_SQL_MASKING_STRICT,    /* fields without origin may be masked values too */
    SP_SQL_MASKING_REFUSED,
    SP_SQL_MASKING_COUNT
} sp_sql_masking_mode;

typedef struct {
    sp_sql_masking_mode mode;
    bool copies;                          /* COPY TO of masked columns: only with a plan of it */
    bool by_number;                       /* the value of a number decided: ORDER BY 2 */
    char reason[SP_SQL_REASON_MAX_BYTES]; /* REFUSED: a sentence without a full stop */
} sp_sql_masking;

/* mask_tags: the tags whose columns are masked. The text has been judged and is fine. */
sp_sql_masking sp_sql_masking_text(sp_sql_judge *judge, const sp_sql_context *context, sp_span text,
                                   uint64_t mask_tags);

/* The plan of a text that `copies`, on the heap (sp_free). SP_EUNSUPPORTED: which column is which
 * is not certain, *ret_why is a sentence without a full stop. SP_ENOMEM. */
SP_MUST sp_err sp_sql_masking_copy(sp_sql_judge *judge, const sp_sql_context *context, sp_span text,
                                   uint64_t mask_tags, sp_copy_plan **ret_plan,
                                   const char **ret_why);

/* After sp_sql_catalogue_bind_finish(): gives each column of a view the tags and the mask of the
 * column it shows, or all tags in reach when it is computed from them. */
void sp_sql_masking_bind_views(sp_sql_judge *judge, sp_sql_catalogue *catalogue);

#endif

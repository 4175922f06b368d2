/* SPDX-License-Identifier: Apache-2.0
 * Texts that differ in nothing but the value of whole numbers: clients that write their values into
 * the text send a new one each time.
 *
 * Story: sp_sql_alike() writes such texts the same: each digit of a number that the grammar reads
 * as a token of its own is a zero. Lengths stay, so offsets hold. What a plain query does is told
 * by all of its text but these values (sp_sql_is_by_no_number()), so one judgement holds for all
 * that are written the same.
 *
 * OWNS nothing. PROCESS database gate. TRUST the text is hostile. SPEC PostgreSQL 15 scan.l.
 */
#ifndef SP_SQL_ALIKE_H
#define SP_SQL_ALIKE_H

#include "lib/sql/statement.h"

enum { SP_SQL_ALIKE_BYTES = 2048 };

/* Into room, as long as the text; false: there is no such number, or where literals begin and end
 * takes more than this to see (backslashes, dollar quotes, comments), or it is longer. */
bool sp_sql_alike(sp_span text, uint8_t room[SP_SQL_ALIKE_BYTES]);

/* One SELECT that reads and does nothing else. Numbers decide in conditions of changes, in options
 * and in definitions; none of these is here. */
bool sp_sql_is_by_no_number(const sp_sql_judgement *judgement);

#endif

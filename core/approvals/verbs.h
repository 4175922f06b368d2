/* SPDX-License-Identifier: Apache-2.0
 * Which verbs a statement holds, for undo: they say what has to be kept and how it is put back.
 * OWNS nothing. PROCESS core. TRUST the statement is hostile. SPEC PostgreSQL "Lexical Structure".
 */
#ifndef SP_CORE_APPROVALS_VERBS_H
#define SP_CORE_APPROVALS_VERBS_H

#include "lib/base/buf.h"

/* Appends the verbs among ALTER DELETE DROP INSERT MERGE TRUNCATE UPDATE that stand in the text
 * outside quotes and comments, in that order, with blanks between; WITH when there are none. More
 * than there are is kept for too many words, never too few. *ret_cascades: CASCADE stands there. */
void sp_statement_verbs(sp_span text, sp_buf *out, bool *ret_cascades);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Statements as they may be written down: literals that may be secrets are left out.
 * OWNS nothing. PROCESS database gate. TRUST the text is hostile and need not parse.
 * SPEC docs/ARCHITECTURE.md "Database gate".
 */
#ifndef SP_SQL_REDACT_H
#define SP_SQL_REDACT_H

#include "lib/base/buf.h"

/* Appends the text, at most max_bytes of it (cut at a character's border, "..." behind it). When it
 * names something secret (PASSWORD, a connection string, a key for encryption, ...) or the caller
 * says so, every literal is '***'. A text whose literals cannot be told apart for certain is cut
 * before the first doubtful one. Bytes that are not UTF-8 become '?', control bytes a blank. */
void sp_sql_redact(sp_span text, bool is_secret, size_t max_bytes, sp_buf *out);

#endif

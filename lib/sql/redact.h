/* SPDX-License-Identifier: Apache-2.0
 * Statements as they may be written down: literals that may be secrets are left out.
 * OWNS nothing. PROCESS database gate. TRUST the text is hostile and need not parse.
 * SPEC docs/ARCHITECTURE.md "Database gate".
 */
#ifndef SP_SQL_REDACT_H
#define SP_SQL_REDACT_H

#include "lib/base/buf.h"

/* Whether a text says that it is about something secret; too often is well, too seldom is not. */
bool sp_sql_names_secret(sp_span text);

/* Appends the text, at most max_bytes of it (cut at a character's border, "..." behind it). When it
 * names something secret (PASSWORD, a connection string, a key for encryption, ...) or the caller
 * says so, every literal is '***', every number ***, and comments are left out; when a comment
 * alone does, only those are. A text whose literals cannot be told apart for certain is cut
 * before the first doubtful one. Bytes that are not UTF-8 become '?', control bytes a blank. */
void sp_sql_redact(sp_span text, bool is_secret, size_t max_bytes, sp_buf *out);

/* The same of a text that nobody could read, or that is never let through: every literal is '***',
 * and behind the first word about something secret nothing is left, since what is meant as a
 * literal may not look like one (PASSWORD geheim, PASSWORD "geheim"). */
void sp_sql_redact_unread(sp_span text, size_t max_bytes, sp_buf *out);

/* For people who decide about a text: all of it, with its lines, or false. Secrets are left out as
 * above; what a screen would hide or turn around (control bytes, marks of direction), every blank
 * but the space and, in bare names, what is no letter is written out as <U+202E>. goes_on:
 * something stands behind the statement on lines of its own (values, settings), so what looks like
 * it within a literal, a comment or a name has the ends of its lines written out as well. False: it
 * is longer than max_bytes, not UTF-8, or its literals cannot be told apart. */
bool sp_sql_show(sp_span text, bool is_secret, bool goes_on, size_t max_bytes, sp_buf *out);

#endif

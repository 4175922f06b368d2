/* SPDX-License-Identifier: Apache-2.0
 * Small pieces of the server's lexer. Private to lib/sql (redact.c, prepared.c).
 * OWNS nothing. PROCESS database gate. TRUST the text is hostile and need not parse.
 * SPEC PostgreSQL 15 manual, 4.1 "Lexical Structure"; scan.l.
 */
#ifndef SP_SQL_LEXING_H
#define SP_SQL_LEXING_H

#include "lib/base/span.h"

/* Of a name without quotes, or a key word. */
bool lex_is_name_byte(uint8_t c);
bool lex_opens_comment(sp_span text, size_t at);
/* Where the comment ends that opens at `at`; text.len when nothing ends it. */
size_t lex_end_of_comment(sp_span text, size_t at);
/* Behind the quote that ends the name whose quote is at `at`. A doubled one ends one and begins the
 * next. */
size_t lex_end_of_name(sp_span text, size_t at);

#endif

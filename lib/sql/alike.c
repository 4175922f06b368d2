/* SPDX-License-Identifier: Apache-2.0
 * One pass over the bytes; what is not certain is left as it is, or makes the text unlike any.
 * OWNS nothing. PROCESS database gate. TRUST the text is hostile. SPEC lib/sql/alike.h.
 */
#include "lib/sql/alike.h"

#include "lib/base/mem.h"

#include <string.h>

enum { DIGITS_MAX = 9 /* longer ones may be no integers to the grammar */ };

/* Bytes that end a token before a number, and behind one. A minus is an operator to both. */
static bool is_before(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '(' || c == ',' || c == '=' ||
           c == '<' || c == '>' || c == '+' || c == '-' || c == '*' || c == '/' || c == '%' ||
           c == '[';
}

static bool is_behind(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ')' || c == ',' || c == '=' ||
           c == '<' || c == '>' || c == '+' || c == '-' || c == '*' || c == '/' || c == '%' ||
           c == ']' || c == ';';
}

/* What a pass over a text stops at: digits, quotes, backslashes, dollars, comments, zero bytes. */
static const bool stops[256] = {
    ['0'] = true,  ['1'] = true, ['2'] = true, ['3'] = true, ['4'] = true,  ['5'] = true,
    ['6'] = true,  ['7'] = true, ['8'] = true, ['9'] = true, ['\''] = true, ['"'] = true,
    ['\\'] = true, ['$'] = true, ['-'] = true, ['/'] = true, ['\0'] = true};

static size_t end_of_digits(sp_span text, size_t at)
{
    while (at < text.len && sp_is_digit(text.ptr[at])) {
        at++;
    }
    return at;
}

/* Behind the quote that ends what begins at `at`; 0: none does, or a backslash is in it. A doubled
 * quote ends one literal and begins the next, which comes to the same. */
static size_t end_of_quoted(sp_span text, size_t at)
{
    sp_span rest = sp_span_slice(text, at + 1, text.len);
    size_t len = sp_span_index(rest, text.ptr[at]);
    if (len == rest.len || sp_span_index(sp_span_slice(rest, 0, len), '\\') < len) {
        return 0;
    }
    return at + 1 + len + 1;
}

static bool opens_comment(sp_span text, size_t at)
{
    uint8_t c = text.ptr[at];
    return at + 1 < text.len &&
           ((c == '-' && text.ptr[at + 1] == '-') || (c == '/' && text.ptr[at + 1] == '*'));
}

bool sp_sql_alike(sp_span text, uint8_t room[SP_SQL_ALIKE_BYTES])
{
    bool has_number = false;
    if (text.len > SP_SQL_ALIKE_BYTES) {
        return false;
    }
    sp_copy(room, text.ptr, text.len);
    for (size_t at = 0; at < text.len;) {
        uint8_t c = text.ptr[at];
        if (!stops[c]) {
            at++; /* as most are */
        } else if (sp_is_digit(c)) {
            size_t end = end_of_digits(text, at);
            if (at > 0 && is_before(text.ptr[at - 1]) && end - at <= DIGITS_MAX &&
                (end == text.len || is_behind(text.ptr[end]))) {
                sp_set(room + at, '0', end - at);
                has_number = true;
            }
            at = end;
        } else if (c == '\'' || c == '"') {
            at = end_of_quoted(text, at);
            if (at == 0) {
                return false;
            }
        } else if (c == '\\' || c == '$' || c == '\0' || opens_comment(text, at)) {
            return false;
        } else {
            at++;
        }
    }
    return has_number;
}

bool sp_sql_is_by_no_number(const sp_sql_judgement *judgement)
{
    if (judgement->fault != SP_SQL_FINE || judgement->statement_count != 1 ||
        judgement->flags != SP_SQL_RETURNS_ROWS ||
        strcmp(judgement->statements[0].tag, "SELECT") != 0) {
        return false;
    }
    for (uint32_t i = 0; i < judgement->use_count; i++) {
        if (judgement->uses[i].action != SP_ACTION_READ) {
            return false;
        }
    }
    return true;
}

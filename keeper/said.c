/* SPDX-License-Identifier: Apache-2.0
 * Words of the server without values.
 * OWNS nothing. PROCESS keeper. TRUST see said.h. SPEC keeper/said.h.
 */
#include "keeper/said.h"

enum { CODE_BYTES = 5 };

/* Classes of errors whose message names objects and no values, and ours. */
static bool is_bare(sp_span code)
{
    static const char classes[] = "08 0A 23 25 28 2B 3D 3F 40 42 53 54 55 57 58 XX SP";
    sp_span rest = sp_span_cstr(classes);
    sp_span one;
    while (sp_span_split(&rest, ' ', &one)) {
        if (sp_span_starts(code, one)) {
            return true;
        }
    }
    return false;
}

/* "ERROR:  23514: message"; the first word is in the server's language. */
static bool read_head(sp_span line, sp_span *ret_code, sp_span *ret_message)
{
    sp_span rest = sp_span_slice(line, sp_span_index(line, ':'), line.len);
    if (!sp_span_starts(rest, SP_SPAN_LIT(":  "))) {
        return false;
    }
    rest = sp_span_slice(rest, 3, rest.len);
    for (size_t i = 0; i < CODE_BYTES; i++) {
        bool fits = i < rest.len &&
                    (sp_is_digit(rest.ptr[i]) || (rest.ptr[i] >= 'A' && rest.ptr[i] <= 'Z'));
        if (!fits) {
            return false;
        }
    }
    *ret_code = sp_span_slice(rest, 0, CODE_BYTES);
    *ret_message = sp_span_slice(rest, CODE_BYTES + 2, rest.len);
    return sp_span_starts(sp_span_slice(rest, CODE_BYTES, rest.len), SP_SPAN_LIT(": "));
}

/* psql says these words in English, whatever the server speaks. */
static bool is_beside(sp_span line)
{
    static const char *const words[] = {"DETAIL:  ",        "QUERY:  ",           "CONTEXT:  ",
                                        "SCHEMA NAME:  ",   "TABLE NAME:  ",      "COLUMN NAME:  ",
                                        "DATATYPE NAME:  ", "CONSTRAINT NAME:  ", "LOCATION:  "};
    for (size_t i = 0; i < SP_COUNT(words); i++) {
        if (sp_span_starts(line, sp_span_cstr(words[i]))) {
            return true;
        }
    }
    return false;
}

static bool is_notice(sp_span code)
{
    return sp_span_starts(code, SP_SPAN_LIT("00")) || sp_span_starts(code, SP_SPAN_LIT("01"));
}

/* Takes what stands up to the end of the first error's line off. */
static bool find_error(sp_span *text, sp_span *ret_code, sp_span *ret_message)
{
    sp_span line;
    bool found = false;
    while (!found && sp_span_split(text, '\n', &line)) {
        found = read_head(line, ret_code, ret_message) && !is_notice(*ret_code);
    }
    return found;
}

bool keep_said_is_busy(sp_span text)
{
    static const char *const codes[] = {"55P03", "40P01"};
    sp_span code;
    sp_span message;
    return find_error(&text, &code, &message) &&
           sp_span_which(code, codes, SP_COUNT(codes)) < SP_COUNT(codes);
}

bool keep_said_met(sp_span text)
{
    sp_span code;
    sp_span message;
    return find_error(&text, &code, &message) &&
           (sp_span_eq(code, SP_SPAN_LIT("XX000")) || sp_span_starts(code, SP_SPAN_LIT("40")));
}

bool keep_said_is(sp_span text, const char *state)
{
    sp_span code;
    sp_span message;
    return find_error(&text, &code, &message) && sp_span_eq(code, sp_span_cstr(state));
}

void keep_said_one(sp_span code, sp_span message, sp_buf *out)
{
    if (is_bare(code)) {
        sp_buf_span(out, message);
        return;
    }
    sp_buf_fmt(out,
               "a value stands in the way (SQLSTATE %.*s): what the server says of it may "
               "show values, and is left out",
               SP_SPAN_ARG(code));
}

void keep_said(sp_span text, sp_buf *out)
{
    sp_span line;
    sp_span code;
    sp_span message;
    if (!find_error(&text, &code, &message)) {
        return;
    }
    keep_said_one(code, message, out);
    while (is_bare(code) && sp_span_split(&text, '\n', &line) && !is_beside(line)) {
        sp_buf_byte(out, '\n');
        sp_buf_span(out, line);
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * The little JSON that recordings need, read off a span from left to right. Private to lib/record.
 * OWNS nothing. PROCESS core, cli. TRUST text is hostile. SPEC RFC 8259.
 */
#ifndef SP_RECORD_JSON_H
#define SP_RECORD_JSON_H

#include "lib/base/buf.h"

typedef struct {
    sp_span rest;
} record_json;

/* Takes that character, blanks around it. SP_EINVALID. */
SP_MUST sp_err record_json_open(record_json *in, uint8_t ch);
SP_MUST sp_err record_json_close(record_json *in, uint8_t ch);
/* The next key and its colon; false at what is no member (record_json_close tells the end from an
 * error). Keys with escapes are not known to anybody here: they end the object. */
bool record_json_member(record_json *in, bool first, sp_span *ret_key);
/* A whole number without sign. */
SP_MUST sp_err record_json_number(record_json *in, uint64_t max, uint64_t *ret_value);
SP_MUST sp_err record_json_flag(record_json *in, bool *ret_value);
/* Appends the text of a string. Lone surrogates and what is not UTF-8 are SP_EINVALID. */
SP_MUST sp_err record_json_string(record_json *in, sp_buf *out);
/* A string without escapes, as a view. */
SP_MUST sp_err record_json_plain(record_json *in, sp_span *ret_text);
/* Whatever value stands there. */
SP_MUST sp_err record_json_skip(record_json *in);

#endif

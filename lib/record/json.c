/* SPDX-License-Identifier: Apache-2.0
 * Reading the little JSON of recordings.
 * OWNS nothing. PROCESS core, cli. TRUST text is hostile. SPEC lib/record/json.h.
 */
#include "lib/record/json.h"

#include "lib/record/utf8.h"

enum { DEPTH_MAX = 8 };

static void skip_blanks(record_json *in)
{
    while (in->rest.len > 0 && (in->rest.ptr[0] == ' ' || in->rest.ptr[0] == '\t' ||
                                in->rest.ptr[0] == '\r' || in->rest.ptr[0] == '\n')) {
        in->rest = sp_span_slice(in->rest, 1, in->rest.len);
    }
}

sp_err record_json_open(record_json *in, uint8_t ch)
{
    skip_blanks(in);
    if (in->rest.len == 0 || in->rest.ptr[0] != ch) {
        return sp_fail(SP_EINVALID);
    }
    in->rest = sp_span_slice(in->rest, 1, in->rest.len);
    skip_blanks(in);
    return sp_ok();
}

sp_err record_json_close(record_json *in, uint8_t ch)
{
    return record_json_open(in, ch);
}

sp_err record_json_plain(record_json *in, sp_span *ret_text)
{
    skip_blanks(in);
    if (in->rest.len == 0 || in->rest.ptr[0] != '"') {
        return sp_fail(SP_EINVALID);
    }
    sp_span inside = sp_span_slice(in->rest, 1, in->rest.len);
    size_t end = sp_span_index(inside, '"');
    sp_span text = sp_span_slice(inside, 0, end);
    if (end == inside.len || sp_span_index(text, '\\') < text.len) {
        return sp_fail(SP_EINVALID);
    }
    in->rest = sp_span_slice(inside, end + 1, inside.len);
    *ret_text = text;
    return sp_ok();
}

bool record_json_member(record_json *in, bool first, sp_span *ret_key)
{
    skip_blanks(in);
    if (first && in->rest.len > 0 && in->rest.ptr[0] == '}') {
        return false;
    }
    if (!first) {
        if (in->rest.len == 0 || in->rest.ptr[0] != ',') {
            return false;
        }
        in->rest = sp_span_slice(in->rest, 1, in->rest.len);
    }
    if (sp_failed(record_json_plain(in, ret_key)) || sp_failed(record_json_open(in, ':'))) {
        in->rest = SP_SPAN_EMPTY; /* no end is found behind it */
        return false;
    }
    return true;
}

sp_err record_json_number(record_json *in, uint64_t max, uint64_t *ret_value)
{
    skip_blanks(in);
    size_t len = 0;
    while (len < in->rest.len && sp_is_digit(in->rest.ptr[len])) {
        len++;
    }
    TRY(sp_span_to_u64(sp_span_slice(in->rest, 0, len), max, ret_value));
    in->rest = sp_span_slice(in->rest, len, in->rest.len);
    return sp_ok();
}

static bool take_word(record_json *in, sp_span word)
{
    skip_blanks(in);
    if (!sp_span_starts(in->rest, word)) {
        return false;
    }
    in->rest = sp_span_slice(in->rest, word.len, in->rest.len);
    return true;
}

sp_err record_json_flag(record_json *in, bool *ret_value)
{
    *ret_value = take_word(in, SP_SPAN_LIT("true"));
    return *ret_value || take_word(in, SP_SPAN_LIT("false")) ? sp_ok() : sp_fail(SP_EINVALID);
}

/* ---- strings ---- */

static sp_err take_hex4(sp_span *rest, uint32_t *ret_code)
{
    uint32_t code = 0;
    if (rest->len < 4) {
        return sp_fail(SP_EINVALID);
    }
    for (size_t i = 0; i < 4; i++) {
        uint8_t c = rest->ptr[i];
        uint8_t low = c | 0x20;
        if (sp_is_digit(c)) {
            code = code << 4 | (uint32_t)(c - '0');
        } else if (low >= 'a' && low <= 'f') {
            code = code << 4 | (uint32_t)(low - 'a' + 10);
        } else {
            return sp_fail(SP_EINVALID);
        }
    }
    *rest = sp_span_slice(*rest, 4, rest->len);
    *ret_code = code;
    return sp_ok();
}

static void put_character(sp_buf *out, uint32_t code)
{
    if (code < 0x80) {
        sp_buf_byte(out, (uint8_t)code);
    } else if (code < 0x800) {
        sp_buf_byte(out, (uint8_t)(0xc0 | code >> 6));
        sp_buf_byte(out, (uint8_t)(0x80 | (code & 0x3f)));
    } else if (code < 0x10000) {
        sp_buf_byte(out, (uint8_t)(0xe0 | code >> 12));
        sp_buf_byte(out, (uint8_t)(0x80 | (code >> 6 & 0x3f)));
        sp_buf_byte(out, (uint8_t)(0x80 | (code & 0x3f)));
    } else {
        sp_buf_byte(out, (uint8_t)(0xf0 | code >> 18));
        sp_buf_byte(out, (uint8_t)(0x80 | (code >> 12 & 0x3f)));
        sp_buf_byte(out, (uint8_t)(0x80 | (code >> 6 & 0x3f)));
        sp_buf_byte(out, (uint8_t)(0x80 | (code & 0x3f)));
    }
}

/* Behind "\u". */
static sp_err take_escaped(sp_span *rest, sp_buf *out)
{
    uint32_t code = 0;
    TRY(take_hex4(rest, &code));
    if (code >= 0xd800 && code <= 0xdbff) {
        uint32_t low = 0;
        if (!sp_span_starts(*rest, SP_SPAN_LIT("\\u"))) {
            return sp_fail(SP_EINVALID);
        }
        *rest = sp_span_slice(*rest, 2, rest->len);
        TRY(take_hex4(rest, &low));
        if (low < 0xdc00 || low > 0xdfff) {
            return sp_fail(SP_EINVALID);
        }
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code <= 0xdfff) {
        return sp_fail(SP_EINVALID);
    }
    put_character(out, code);
    return sp_ok();
}

static sp_err take_escape(sp_span *rest, sp_buf *out)
{
    static const char FROM[] = "\"\\/bfnrt";
    static const char TO[] = "\"\\/\b\f\n\r\t";
    if (rest->len == 0) {
        return sp_fail(SP_EINVALID);
    }
    uint8_t ch = rest->ptr[0];
    *rest = sp_span_slice(*rest, 1, rest->len);
    if (ch == 'u') {
        return take_escaped(rest, out);
    }
    size_t at = sp_span_index(SP_SPAN_LIT("\"\\/bfnrt"), ch);
    if (at == sizeof(FROM) - 1) {
        return sp_fail(SP_EINVALID);
    }
    sp_buf_byte(out, (uint8_t)TO[at]);
    return sp_ok();
}

sp_err record_json_string(record_json *in, sp_buf *out)
{
    skip_blanks(in);
    if (in->rest.len == 0 || in->rest.ptr[0] != '"') {
        return sp_fail(SP_EINVALID);
    }
    sp_span rest = sp_span_slice(in->rest, 1, in->rest.len);
    while (rest.len > 0 && rest.ptr[0] != '"') {
        sp_utf8 c = sp_utf8_first(rest);
        if (!c.well_formed || c.code < 0x20) {
            return sp_fail(SP_EINVALID);
        }
        sp_span one = sp_span_slice(rest, 0, c.len);
        rest = sp_span_slice(rest, c.len, rest.len);
        if (c.code == '\\') {
            TRY(take_escape(&rest, out));
        } else {
            sp_buf_span(out, one);
        }
    }
    if (rest.len == 0) {
        return sp_fail(SP_EINVALID);
    }
    in->rest = sp_span_slice(rest, 1, rest.len);
    return sp_buf_error(out);
}

/* A string, whatever is in it. */
static sp_err skip_string(record_json *in)
{
    size_t at = 1;
    while (at < in->rest.len && in->rest.ptr[at] != '"') {
        at += in->rest.ptr[at] == '\\' ? 2 : 1;
    }
    if (at >= in->rest.len) {
        return sp_fail(SP_EINVALID);
    }
    in->rest = sp_span_slice(in->rest, at + 1, in->rest.len);
    return sp_ok();
}

sp_err record_json_skip(record_json *in)
{
    unsigned depth = 0;
    do {
        skip_blanks(in);
        if (in->rest.len == 0) {
            return sp_fail(SP_EINVALID);
        }
        uint8_t ch = in->rest.ptr[0];
        if (ch == '"') {
            TRY(skip_string(in));
            continue;
        }
        if (depth == 0 && (ch == ',' || ch == '}' || ch == ']')) {
            return sp_fail(SP_EINVALID);
        }
        if (ch == '{' || ch == '[') {
            depth++;
        } else if (ch == '}' || ch == ']') {
            depth--;
        }
        if (depth > DEPTH_MAX) {
            return sp_fail(SP_ELIMIT);
        }
        size_t len = 1;
        bool word = sp_is_alnum(ch) || ch == '-';
        while (word && len < in->rest.len &&
               (sp_is_alnum(in->rest.ptr[len]) || in->rest.ptr[len] == '.' ||
                in->rest.ptr[len] == '-' || in->rest.ptr[len] == '+')) {
            len++;
        }
        in->rest = sp_span_slice(in->rest, len, in->rest.len);
    } while (depth > 0);
    return sp_ok();
}

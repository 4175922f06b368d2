/* SPDX-License-Identifier: Apache-2.0
 * Paths in one spelling.
 * OWNS nothing. PROCESS web gate. TRUST the input is hostile. SPEC lib/web/path.h.
 */
#include "lib/web/path.h"

#include "lib/base/mem.h"

/* Needs no look at its surroundings: not '/', '.', ';', '%'. */
static bool is_quiet(uint8_t c)
{
    static const uint8_t marks[256] = {
        ['-'] = 1, ['_'] = 1, ['~'] = 1, ['!'] = 1, ['$'] = 1, ['&'] = 1, ['\''] = 1, ['('] = 1,
        [')'] = 1, ['*'] = 1, ['+'] = 1, [','] = 1, ['='] = 1, [':'] = 1, ['@'] = 1,
    };
    return sp_is_alnum(c) || marks[c] != 0;
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t sp_web_path_room(size_t raw_len)
{
    return raw_len <= SP_WEB_PATH_MAX_BYTES ? raw_len * 4 : 0;
}

/* True when the path is canonical as it stands, which nearly all are. */
static bool is_canonical(sp_span raw)
{
    for (size_t i = 0; i < raw.len; i++) {
        uint8_t c = raw.ptr[i];
        if (is_quiet(c)) {
            continue;
        }
        bool after_slash = i > 0 && raw.ptr[i - 1] == '/';
        if ((c != '/' && c != '.') || after_slash) {
            return false;
        }
    }
    return true;
}

typedef struct {
    uint8_t *plain;
    size_t plain_len;
    uint8_t *wire;
    size_t wire_len;
    bool has_params;
} writer;

static void put_wire(writer *out, uint8_t c, bool escaped)
{
    static const char digits[] = "0123456789ABCDEF";
    if (!escaped) {
        out->wire[out->wire_len++] = c;
        return;
    }
    out->wire[out->wire_len++] = '%';
    out->wire[out->wire_len++] = (uint8_t)digits[c >> 4];
    out->wire[out->wire_len++] = (uint8_t)digits[c & 15];
}

static sp_path_fault put(writer *out, uint8_t c, bool was_escaped)
{
    if (c < 0x20 || c == 0x7F) {
        return SP_PATH_CONTROL;
    }
    if (c == '\\') {
        return SP_PATH_BACK;
    }
    if (c == '/' && was_escaped) {
        return SP_PATH_SLASH;
    }
    if (c == '#' && !was_escaped) {
        return SP_PATH_HASH;
    }
    if (c == '/' && out->plain_len > 0 && out->plain[out->plain_len - 1] == '/') {
        return SP_PATH_OK; /* merged */
    }
    out->has_params |= c == ';';
    out->plain[out->plain_len++] = c;
    /* a reserved character keeps the form it came in: "%2B" and "+" may differ to the upstream */
    bool bare = sp_is_unreserved(c) || (!was_escaped && (is_quiet(c) || c == '/' || c == ';'));
    put_wire(out, c, !bare);
    return SP_PATH_OK;
}

static sp_path_fault rewrite(sp_span raw, writer *out)
{
    for (size_t i = 0; i < raw.len; i++) {
        uint8_t c = raw.ptr[i];
        bool escaped = c == '%';
        if (escaped) {
            int high = i + 2 < raw.len ? hex_value(raw.ptr[i + 1]) : -1;
            int low = i + 2 < raw.len ? hex_value(raw.ptr[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return SP_PATH_ESCAPE;
            }
            c = (uint8_t)(high << 4 | low);
            i += 2;
        }
        sp_path_fault fault = put(out, c, escaped);
        if (fault != SP_PATH_OK) {
            return fault;
        }
    }
    return SP_PATH_OK;
}

/* The segment up to its first ';'. */
static sp_span segment_name(sp_span segment)
{
    return sp_span_slice(segment, 0, sp_span_index(segment, ';'));
}

static bool has_dot_segment(sp_span plain)
{
    sp_span rest = plain;
    sp_span segment;
    while (sp_span_split(&rest, '/', &segment)) {
        sp_span name = segment_name(segment);
        if (sp_span_eq(name, SP_SPAN_LIT(".")) || sp_span_eq(name, SP_SPAN_LIT(".."))) {
            return true;
        }
    }
    return false;
}

static bool has_escape_left(sp_span plain)
{
    for (size_t i = 0; i + 2 < plain.len; i++) {
        if (plain.ptr[i] == '%' && hex_value(plain.ptr[i + 1]) >= 0 &&
            hex_value(plain.ptr[i + 2]) >= 0) {
            return true;
        }
    }
    return false;
}

sp_path_fault sp_web_path_read(sp_span raw, uint8_t *room, sp_web_path *ret_path)
{
    if (raw.len == 0 || raw.ptr[0] != '/') {
        return SP_PATH_START;
    }
    if (raw.len > SP_WEB_PATH_MAX_BYTES) {
        return SP_PATH_LONG;
    }
    if (is_canonical(raw)) {
        *ret_path = (sp_web_path){.plain = raw, .wire = raw};
        return SP_PATH_OK;
    }
    writer out = {.plain = room, .wire = room + raw.len};
    sp_path_fault fault = rewrite(raw, &out);
    if (fault != SP_PATH_OK) {
        return fault;
    }
    sp_span plain = {out.plain, out.plain_len};
    if (!sp_span_is_utf8(plain)) {
        return SP_PATH_UTF8;
    }
    if (has_dot_segment(plain)) {
        return SP_PATH_DOTS;
    }
    if (has_escape_left(plain)) {
        return SP_PATH_DOUBLE;
    }
    *ret_path = (sp_web_path){plain, {out.wire, out.wire_len}, out.has_params};
    return SP_PATH_OK;
}

sp_span sp_web_path_without_params(sp_span plain, uint8_t *room)
{
    size_t len = 0;
    sp_span rest = plain;
    sp_span segment;
    bool ends_with_slash = sp_span_ends(plain, SP_SPAN_LIT("/"));
    while (sp_span_split(&rest, '/', &segment)) {
        sp_span name = segment_name(segment);
        if (name.len > 0) {
            room[len++] = '/';
            sp_copy(room + len, name.ptr, name.len);
            len += name.len;
        }
    }
    if (len == 0 || (ends_with_slash && len < plain.len)) {
        room[len++] = '/';
    }
    return (sp_span){room, len};
}

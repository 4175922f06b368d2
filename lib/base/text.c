/* SPDX-License-Identifier: Apache-2.0
 * Text forms into a buffer: hex, base64, JSON, HTML, time.
 * OWNS nothing. PROCESS all. TRUST input may be hostile; output is always well-formed.
 * SPEC lib/base/buf.h, RFC 4648, RFC 8259, RFC 3339.
 */
#include "lib/base/buf.h"

static const char HEX[] = "0123456789abcdef";
static const char B64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char B64URL[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void sp_buf_hex(sp_buf *buf, sp_span bytes)
{
    uint8_t *room = bytes.len > SIZE_MAX / 2 ? NULL : sp_buf_room(buf, bytes.len * 2);
    if (room == NULL) {
        return;
    }
    for (size_t i = 0; i < bytes.len; i++) {
        room[2 * i] = (uint8_t)HEX[bytes.ptr[i] >> 4];
        room[2 * i + 1] = (uint8_t)HEX[bytes.ptr[i] & 15];
    }
    sp_buf_grown(buf, bytes.len * 2);
}

/* ---- text for people ---- */

static bool is_in(uint32_t letter, const uint32_t ranges[][2], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (letter >= ranges[i][0] && letter <= ranges[i][1]) {
            return true;
        }
    }
    return false;
}

bool sp_is_unseen(uint32_t letter)
{
    static const uint32_t ranges[][2] = {
        {0x00, 0x08},     {0x0B, 0x1F},     {0x7F, 0x9F},      {0xAD, 0xAD},     {0x61C, 0x61C},
        {0x180E, 0x180E}, {0x200B, 0x200F}, {0x2028, 0x202E},  {0x2060, 0x206F}, {0xFE00, 0xFE0F},
        {0xFEFF, 0xFEFF}, {0xFFF9, 0xFFFB}, {0xE0000, 0xE0FFF}};
    return is_in(letter, ranges, SP_COUNT(ranges));
}

/* What a screen shows as a blank, or as nothing, and is not the space. */
static bool is_blank(uint32_t letter)
{
    static const uint32_t ranges[][2] = {{0xA0, 0xA0},     {0x34F, 0x34F},     {0x115F, 0x1160},
                                         {0x1680, 0x1680}, {0x17B4, 0x17B5},   {0x180B, 0x180F},
                                         {0x2000, 0x200A}, {0x202F, 0x202F},   {0x205F, 0x205F},
                                         {0x2800, 0x2800}, {0x3000, 0x3000},   {0x3164, 0x3164},
                                         {0xFFA0, 0xFFA0}, {0x1D159, 0x1D159}, {0x1D173, 0x1D17A}};
    return is_in(letter, ranges, SP_COUNT(ranges));
}

/* Marks that look like ASCII's, or that no name is written with: punctuation, symbols, accents that
 * stand by themselves. */
static bool is_mark(uint32_t letter)
{
    static const uint32_t ranges[][2] = {
        {0xA1, 0xA9},     {0xAB, 0xB4},     {0xB6, 0xB9},       {0xBB, 0xBF},      {0xD7, 0xD7},
        {0xF7, 0xF7},     {0x1C0, 0x1C3},   {0x2B0, 0x36F},     {0x375, 0x375},    {0x37E, 0x37E},
        {0x384, 0x385},   {0x387, 0x387},   {0x3F6, 0x3F6},     {0x482, 0x489},    {0x55A, 0x55F},
        {0x589, 0x5CF},   {0x5F3, 0x5F4},   {0x600, 0x61F},     {0x66A, 0x66D},    {0x6D4, 0x6D4},
        {0x1FBD, 0x1FC1}, {0x1FFD, 0x1FFE}, {0x2010, 0x2BFF},   {0x2E00, 0x2E7F},  {0x3001, 0x3004},
        {0x3008, 0x3020}, {0x3030, 0x3030}, {0x303D, 0x303F},   {0x309B, 0x309C},  {0x30A0, 0x30A0},
        {0x30FB, 0x30FB}, {0xA4FE, 0xA4FF}, {0xA60D, 0xA60F},   {0xA700, 0xA721},  {0xA788, 0xA78C},
        {0xFD3E, 0xFD3F}, {0xFE10, 0xFE6F}, {0xFF00, 0xFF0F},   {0xFF1A, 0xFF20},  {0xFF3B, 0xFF40},
        {0xFF5B, 0xFF65}, {0xFFE0, 0xFFEF}, {0x1D000, 0x1D1FF}, {0x1F000, 0x1FAFF}};
    return is_in(letter, ranges, SP_COUNT(ranges));
}

/* The first letter and how long it is; false: it is none. */
static bool first_letter(sp_span text, uint32_t *ret_letter, size_t *ret_len)
{
    uint8_t first = text.ptr[0];
    size_t len = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    uint32_t c = first < 0x80 ? first : first & (0x7FU >> len);
    if (len > text.len || !sp_span_is_utf8(sp_span_slice(text, 0, len))) {
        return false;
    }
    for (size_t i = 1; i < len; i++) {
        c = c << 6 | (text.ptr[i] & 0x3FU);
    }
    *ret_letter = c;
    *ret_len = len;
    return true;
}

static void put_seen(sp_buf *buf, sp_span text, bool is_bare)
{
    while (text.len > 0 && !sp_failed(sp_buf_error(buf))) {
        uint32_t c = 0;
        size_t len = 1;
        if (!first_letter(text, &c, &len)) {
            sp_buf_fmt(buf, "<0x%02X>", text.ptr[0]);
        } else if (sp_is_unseen(c) || (c >= 0x80 && (is_blank(c) || (is_bare && is_mark(c))))) {
            sp_buf_fmt(buf, "<U+%04X>", (unsigned)c);
        } else {
            sp_buf_span(buf, sp_span_slice(text, 0, len));
        }
        text = sp_span_slice(text, len, text.len);
    }
}

void sp_buf_seen(sp_buf *buf, sp_span text)
{
    put_seen(buf, text, false);
}

void sp_buf_seen_bare(sp_buf *buf, sp_span text)
{
    put_seen(buf, text, true);
}

static void base64(sp_buf *buf, sp_span bytes, const char *alphabet, bool pad)
{
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t group = (uint32_t)bytes.ptr[i] << 16;
        group |= left > 1 ? (uint32_t)bytes.ptr[i + 1] << 8 : 0;
        group |= left > 2 ? (uint32_t)bytes.ptr[i + 2] : 0;
        uint8_t out[4];
        for (size_t k = 0; k < 4; k++) {
            out[k] = (uint8_t)alphabet[(group >> (18 - 6 * k)) & 63];
        }
        size_t used = left > 2 ? 4 : left + 1;
        for (size_t k = used; k < 4; k++) {
            out[k] = '=';
        }
        sp_buf_span(buf, (sp_span){out, pad ? 4 : used});
    }
}

void sp_buf_base64(sp_buf *buf, sp_span bytes)
{
    base64(buf, bytes, B64, true);
}

void sp_buf_base64url(sp_buf *buf, sp_span bytes)
{
    base64(buf, bytes, B64URL, false);
}

static int hex_value(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    if (byte >= 'a' && byte <= 'f') {
        return byte - 'a' + 10;
    }
    if (byte >= 'A' && byte <= 'F') {
        return byte - 'A' + 10;
    }
    return -1;
}

sp_err sp_buf_unhex(sp_buf *buf, sp_span text)
{
    if (text.len % 2 != 0) {
        return sp_fail(SP_EINVALID);
    }
    for (size_t i = 0; i < text.len; i += 2) {
        int high = hex_value(text.ptr[i]);
        int low = hex_value(text.ptr[i + 1]);
        if (high < 0 || low < 0) {
            return sp_fail(SP_EINVALID);
        }
        sp_buf_byte(buf, (uint8_t)(high * 16 + low));
    }
    return buf->err;
}

static int base64_value(uint8_t byte, const char *alphabet)
{
    for (int i = 0; i < 64; i++) {
        if ((uint8_t)alphabet[i] == byte) {
            return i;
        }
    }
    return -1;
}

static sp_err unbase64(sp_buf *buf, sp_span text, const char *alphabet)
{
    if (text.len % 4 == 1) {
        return sp_fail(SP_EINVALID);
    }
    uint32_t group = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < text.len; i++) {
        int value = base64_value(text.ptr[i], alphabet);
        if (value < 0) {
            return sp_fail(SP_EINVALID);
        }
        group = (group << 6) | (uint32_t)value;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            sp_buf_byte(buf, (uint8_t)(group >> bits));
            group &= (1U << bits) - 1;
        }
    }
    if (group != 0) {
        return sp_fail(SP_EINVALID); /* one value, one text */
    }
    return buf->err;
}

sp_err sp_buf_unbase64(sp_buf *buf, sp_span text)
{
    if (text.len % 4 != 0) {
        return sp_fail(SP_EINVALID);
    }
    for (int pads = 0; pads < 2 && text.len > 0 && text.ptr[text.len - 1] == '='; pads++) {
        text.len--;
    }
    return unbase64(buf, text, B64);
}

sp_err sp_buf_unbase64url(sp_buf *buf, sp_span text)
{
    return unbase64(buf, text, B64URL);
}

static void json_escape(sp_buf *buf, uint8_t byte)
{
    switch (byte) {
    case '"':
        sp_buf_text(buf, "\\\"");
        break;
    case '\\':
        sp_buf_text(buf, "\\\\");
        break;
    case '\n':
        sp_buf_text(buf, "\\n");
        break;
    case '\r':
        sp_buf_text(buf, "\\r");
        break;
    case '\t':
        sp_buf_text(buf, "\\t");
        break;
    default:
        sp_buf_text(buf, "\\u00");
        sp_buf_byte(buf, (uint8_t)HEX[byte >> 4]);
        sp_buf_byte(buf, (uint8_t)HEX[byte & 15]);
        break;
    }
}

/* Length of the UTF-8 sequence that starts text, or 0 when it is not well-formed. */
static size_t char_len(sp_span text)
{
    for (size_t len = 1; len <= 4 && len <= text.len; len++) {
        if (sp_span_is_utf8(sp_span_slice(text, 0, len))) {
            return len;
        }
    }
    return 0;
}

void sp_buf_json(sp_buf *buf, sp_span text)
{
    sp_buf_byte(buf, '"');
    size_t plain = 0; /* start of the run not yet copied */
    size_t at = 0;
    while (at < text.len) {
        uint8_t byte = text.ptr[at];
        bool escape = byte < 0x20 || byte == '"' || byte == '\\' || byte == 0x7f;
        if (!escape && byte < 0x80) {
            at++;
            continue;
        }
        size_t len = escape ? 1 : char_len(sp_span_slice(text, at, text.len));
        if (!escape && len > 0) {
            at += len;
            continue;
        }
        sp_buf_span(buf, sp_span_slice(text, plain, at));
        if (escape) {
            json_escape(buf, byte);
        } else {
            sp_buf_text(buf, "\xEF\xBF\xBD");
        }
        plain = ++at;
    }
    sp_buf_span(buf, sp_span_slice(text, plain, text.len));
    sp_buf_byte(buf, '"');
}

void sp_buf_html(sp_buf *buf, sp_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        switch (text.ptr[i]) {
        case '<':
            sp_buf_text(buf, "&lt;");
            break;
        case '>':
            sp_buf_text(buf, "&gt;");
            break;
        case '&':
            sp_buf_text(buf, "&amp;");
            break;
        case '"':
            sp_buf_text(buf, "&quot;");
            break;
        case '\'':
            sp_buf_text(buf, "&#39;");
            break;
        default:
            sp_buf_byte(buf, text.ptr[i]);
            break;
        }
    }
}

void sp_buf_percent(sp_buf *buf, sp_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (sp_is_unreserved(text.ptr[i])) {
            sp_buf_byte(buf, text.ptr[i]);
        } else {
            sp_buf_fmt(buf, "%%%02X", text.ptr[i]);
        }
    }
}

/* Civil date of a day count since 1970-01-01 (Howard Hinnant's algorithm). */
static void civil(uint64_t days, uint64_t *ret_year, unsigned *ret_month, unsigned *ret_day)
{
    uint64_t shifted = days + 719468;
    uint64_t era = shifted / 146097;
    uint64_t doe = shifted - era * 146097;
    uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    uint64_t mp = (5 * doy + 2) / 153;
    *ret_day = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
    *ret_month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
    *ret_year = yoe + era * 400 + (*ret_month <= 2 ? 1 : 0);
}

void sp_buf_time(sp_buf *buf, uint64_t when_unix_us)
{
    uint64_t seconds = when_unix_us / 1000000;
    uint64_t year = 0;
    unsigned month = 0;
    unsigned day = 0;
    civil(seconds / 86400, &year, &month, &day);
    unsigned rest = (unsigned)(seconds % 86400);
    sp_buf_fmt(buf, "%04llu-%02u-%02uT%02u:%02u:%02u.%06uZ", (unsigned long long)year, month, day,
               rest / 3600, rest / 60 % 60, rest % 60, (unsigned)(when_unix_us % 1000000));
}

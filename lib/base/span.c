/* SPDX-License-Identifier: Apache-2.0
 * Comparing, cutting and reading spans.
 * OWNS nothing. PROCESS all. TRUST the bytes may be hostile. SPEC lib/base/span.h.
 */
#include "lib/base/span.h"

#include <string.h>

static uint8_t fold(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + ('a' - 'A')) : byte;
}

bool sp_span_eq_nocase(sp_span a, sp_span b)
{
    if (a.len != b.len) {
        return false;
    }
    if (sp_span_eq(a, b)) {
        return true; /* nearly always, when they are equal at all */
    }
    for (size_t i = 0; i < a.len; i++) {
        if (fold(a.ptr[i]) != fold(b.ptr[i])) {
            return false;
        }
    }
    return true;
}

bool sp_span_eq_secret(sp_span a, sp_span b)
{
    if (a.len != b.len) {
        return false;
    }
    uint64_t diff = 0;
    size_t i = 0;
    for (; a.len - i >= sizeof(diff); i += sizeof(diff)) {
        uint64_t words[2];
        memcpy(&words[0], a.ptr + i, sizeof(diff));
        memcpy(&words[1], b.ptr + i, sizeof(diff));
        diff |= words[0] ^ words[1];
        __asm__ volatile("" : "+r"(diff)); /* the compiler must not know it: no early end */
    }
    for (; i < a.len; i++) {
        diff |= (uint64_t)(a.ptr[i] ^ b.ptr[i]);
        __asm__ volatile("" : "+r"(diff));
    }
    return diff == 0;
}

int sp_span_compare(sp_span a, sp_span b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common == 0 ? 0 : memcmp(a.ptr, b.ptr, common);
    if (order != 0) {
        return order;
    }
    return a.len == b.len ? 0 : (a.len < b.len ? -1 : 1);
}

size_t sp_span_find(sp_span text, sp_span needle)
{
    if (needle.len == 0) {
        return 0;
    }
    const uint8_t *at =
        text.len < needle.len ? NULL : memmem(text.ptr, text.len, needle.ptr, needle.len);
    return at == NULL ? text.len : (size_t)(at - text.ptr);
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

sp_span sp_span_trim(sp_span text)
{
    size_t from = 0;
    size_t to = text.len;
    while (from < to && is_blank(text.ptr[from])) {
        from++;
    }
    while (to > from && is_blank(text.ptr[to - 1])) {
        to--;
    }
    return sp_span_slice(text, from, to);
}

size_t sp_span_which(sp_span word, const char *const *list, size_t count)
{
    size_t at = 0;
    while (at < count && !sp_span_eq(word, sp_span_cstr(list[at]))) {
        at++;
    }
    return at;
}

sp_span sp_span_behind(sp_span text, uint8_t byte)
{
    size_t from = text.len;
    while (from > 0 && text.ptr[from - 1] != byte) {
        from--;
    }
    return sp_span_slice(text, from, text.len);
}

bool sp_span_split(sp_span *rest, uint8_t sep, sp_span *ret_piece)
{
    if (rest->len == 0) {
        return false;
    }
    size_t at = sp_span_index(*rest, sep);
    *ret_piece = sp_span_slice(*rest, 0, at);
    *rest = sp_span_slice(*rest, at + 1, rest->len);
    return true;
}

sp_err sp_span_to_u64(sp_span text, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (text.len == 0) {
        return sp_fail(SP_EINVALID);
    }
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        if (byte < '0' || byte > '9') {
            return sp_fail(SP_EINVALID);
        }
        if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(byte - '0'), &value) || value > max) {
            return sp_fail(SP_ELIMIT);
        }
    }
    *ret_value = value;
    return sp_ok();
}

/* What the second byte may be (Unicode 15, table 3-7): no over-long form, no surrogate, nothing
 * above U+10FFFF. */
static bool second_fits(uint8_t lead, uint8_t second)
{
    switch (lead) {
    case 0xE0:
        return second >= 0xA0;
    case 0xED:
        return second < 0xA0;
    case 0xF0:
        return second >= 0x90;
    case 0xF4:
        return second < 0x90;
    default:
        return true;
    }
}

/* Length of the well-formed sequence at p (at most left bytes), or 0. */
static size_t utf8_step(const uint8_t *p, size_t left)
{
    uint8_t lead = p[0];
    if (lead < 0x80) {
        return 1;
    }
    size_t len = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || left < len) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return second_fits(lead, p[1]) ? len : 0;
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte)) /* in all eight bytes of a word */

bool sp_span_is_utf8(sp_span text)
{
    size_t at = 0;
    while (at < text.len) {
        uint64_t eight = 0;
        if (text.len - at >= sizeof(eight)) {
            memcpy(&eight, text.ptr + at, sizeof(eight));
            if ((eight & EACH(0x80)) == 0) {
                at += sizeof(eight); /* ASCII, as nearly all text is */
                continue;
            }
        }
        size_t step = text.ptr[at] < 0x80 ? 1 : utf8_step(text.ptr + at, text.len - at);
        if (step == 0) {
            return false;
        }
        at += step;
    }
    return true;
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
}

/* Of each of the eight bytes: whether it is 0, as far as all are below 0x80. */
static uint64_t zeros(uint64_t eight)
{
    return eight - EACH(1);
}

size_t sp_span_plain(sp_span text)
{
    size_t at = 0;
    uint64_t eight = 0;
    for (; text.len - at >= sizeof(eight); at += sizeof(eight)) {
        memcpy(&eight, text.ptr + at, sizeof(eight));
        /* the highest bit of each byte: above 0x7F; below 0x20; 0x7F; a quote; a backslash. A
         * borrow or carry comes only from a byte that is none of the plain ones. */
        uint64_t others = eight | (eight - EACH(0x20)) | (eight + EACH(1)) |
                          zeros(eight ^ EACH('"')) | zeros(eight ^ EACH('\\'));
        if ((others & EACH(0x80)) != 0) {
            return at + (size_t)__builtin_ctzll(others & EACH(0x80)) / 8; /* the first of them */
        }
    }
    while (at < text.len && is_plain(text.ptr[at])) {
        at++;
    }
    return at;
}

sp_span sp_span_cut(sp_span text, size_t max)
{
    size_t len = text.len < max ? text.len : max;
    size_t at = 0;
    for (size_t step = 1; step != 0 && at < len; at += step) {
        step = utf8_step(text.ptr + at, len - at);
    }
    return sp_span_slice(text, 0, at);
}

bool sp_span_is_label(sp_span text)
{
    enum { LABEL_MAX_BYTES = 63 };
    if (text.len == 0 || text.len > LABEL_MAX_BYTES || text.ptr[0] == '-' ||
        text.ptr[text.len - 1] == '-') {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (!sp_is_lower_alnum(text.ptr[i]) && text.ptr[i] != '-') {
            return false;
        }
    }
    return true;
}

uint64_t sp_span_hash(sp_span text, uint64_t seed)
{
    uint64_t hash = seed ^ (text.len * UINT64_C(0x9E3779B97F4A7C15));
    for (size_t i = 0; i < text.len; i++) {
        hash = (hash ^ text.ptr[i]) * UINT64_C(0x100000001B3);
        hash ^= hash >> 29;
    }
    hash *= UINT64_C(0xBF58476D1CE4E5B9);
    return hash ^ (hash >> 32);
}

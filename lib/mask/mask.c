/* SPDX-License-Identifier: Apache-2.0
 * The kinds of masks.
 * OWNS nothing. PROCESS database gate. TRUST values may be anything. SPEC lib/mask/mask.h.
 */
#include "lib/mask/mask.h"

#include "lib/base/mem.h"
#include "lib/base/sha256.h"

enum {
    TYPE_NAME = 19,
    TYPE_TEXT = 25,
    TYPE_UNKNOWN = 705,
    TYPE_BPCHAR = 1042,
    TYPE_VARCHAR = 1043,
    MOBILE_DIGITS = 11,
    ID_DIGITS = 18,
    CARD_DIGITS_MIN = 12,
    CARD_DIGITS_MAX = 19,
    HASH_BYTES = 8
};

/* Text and binary form are the same bytes for these. */
static bool is_text(uint32_t type_oid)
{
    return type_oid == TYPE_TEXT || type_oid == TYPE_VARCHAR || type_oid == TYPE_BPCHAR ||
           type_oid == TYPE_NAME || type_oid == TYPE_UNKNOWN;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* The digits of a number as people write it; 0 when other things stand there too. */
static size_t digits_of(sp_span value, uint8_t *digits, size_t max)
{
    size_t count = 0;
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.ptr[i];
        if (is_digit(c)) {
            if (count == max) {
                return 0;
            }
            digits[count++] = c;
        } else if (c != ' ' && c != '-' && c != '+' && c != '(' && c != ')') {
            return 0;
        }
    }
    return count;
}

static void stars(sp_buf *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sp_buf_byte(out, '*');
    }
}

static void full(sp_buf *out)
{
    stars(out, 3);
}

static void mobile(sp_span value, sp_buf *out)
{
    uint8_t digits[MOBILE_DIGITS + 4];
    size_t count = digits_of(value, digits, sizeof(digits));
    const uint8_t *own = digits;
    if (count == MOBILE_DIGITS + 2 && digits[0] == '8' && digits[1] == '6') {
        own += 2;
        count -= 2;
    }
    if (count != MOBILE_DIGITS) {
        full(out);
        return;
    }
    sp_buf_span(out, (sp_span){own, 3});
    stars(out, 4);
    sp_buf_span(out, (sp_span){own + 7, 4});
}

static void mainland_id(sp_span value, sp_buf *out)
{
    bool fits = value.len == ID_DIGITS;
    for (size_t i = 0; fits && i < ID_DIGITS; i++) {
        uint8_t c = value.ptr[i];
        fits = is_digit(c) || (i == ID_DIGITS - 1 && (c == 'X' || c == 'x'));
    }
    if (!fits) {
        full(out);
        return;
    }
    sp_buf_span(out, sp_span_slice(value, 0, 3));
    stars(out, ID_DIGITS - 5);
    sp_buf_span(out, sp_span_slice(value, ID_DIGITS - 2, ID_DIGITS));
}

static void bank_card(sp_span value, sp_buf *out)
{
    uint8_t digits[CARD_DIGITS_MAX];
    size_t count = digits_of(value, digits, sizeof(digits));
    if (count < CARD_DIGITS_MIN) {
        full(out);
        return;
    }
    stars(out, CARD_DIGITS_MIN);
    sp_buf_span(out, (sp_span){digits + count - 4, 4});
}

/* The bytes of the first character; 0 when it is none. */
static size_t first_character(sp_span value)
{
    if (value.len == 0) {
        return 0;
    }
    uint8_t c = value.ptr[0];
    size_t len = c < 0x80 ? 1 : (c >= 0xF0 ? 4 : (c >= 0xE0 ? 3 : 2));
    return len <= value.len && sp_span_is_utf8(sp_span_slice(value, 0, len)) ? len : 0;
}

static void email(sp_span value, sp_buf *out)
{
    size_t at = sp_span_index(value, '@');
    size_t first = first_character(value);
    if (at == value.len || at == 0 || first == 0 || first > at || at + 1 == value.len ||
        !sp_span_is_utf8(value)) {
        full(out);
        return;
    }
    sp_buf_span(out, sp_span_slice(value, 0, first));
    stars(out, 3);
    sp_buf_span(out, sp_span_slice(value, at, value.len));
}

static void name(sp_span value, sp_buf *out)
{
    size_t first = first_character(value);
    sp_buf_span(out, sp_span_slice(value, 0, first));
    stars(out, first == 0 ? 3 : 2);
}

static void hash(const uint8_t key[SP_MASK_KEY_BYTES], sp_span value, sp_buf *out)
{
    /* the key stands in front and behind: neither a longer value nor a guessed one can be tried */
    const sp_span parts[] = {{key, SP_MASK_KEY_BYTES}, value, {key, SP_MASK_KEY_BYTES}};
    sp_hash made = sp_sha256_parts(parts, SP_COUNT(parts));
    sp_buf_hex(out, (sp_span){made.bytes, HASH_BYTES});
}

void sp_mask_value(sp_mask kind, uint32_t type_oid, const uint8_t key[SP_MASK_KEY_BYTES],
                   sp_span value, sp_buf *out, bool *ret_is_null)
{
    *ret_is_null = kind == SP_MASK_NULL || !is_text(type_oid);
    if (*ret_is_null) {
        return;
    }
    switch (kind) {
    case SP_MASK_MOBILE:
        mobile(value, out);
        break;
    case SP_MASK_MAINLAND_ID:
        mainland_id(value, out);
        break;
    case SP_MASK_BANK_CARD:
        bank_card(value, out);
        break;
    case SP_MASK_EMAIL:
        email(value, out);
        break;
    case SP_MASK_NAME:
        name(value, out);
        break;
    case SP_MASK_HASH:
        hash(key, value, out);
        break;
    case SP_MASK_FULL:
    case SP_MASK_NULL:
    case SP_MASK_COUNT:
        full(out);
        break;
    }
}

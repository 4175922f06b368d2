/* SPDX-License-Identifier: Apache-2.0
 * Reading addresses and networks.
 * OWNS nothing. PROCESS core, cli, ssh gate. TRUST texts are hostile; every index is bounded.
 * SPEC lib/base/address.h.
 */
#include "lib/base/address.h"

#include "lib/base/mem.h"

enum { GROUPS = 8, V4_BYTES = 4, V4_PREFIX_BITS = 96 };

static sp_err parse_v4(sp_span text, uint8_t ret_bytes[V4_BYTES])
{
    sp_span rest = text;
    sp_span piece = SP_SPAN_EMPTY;
    size_t count = 0;
    if (text.len == 0 || text.ptr[text.len - 1] == '.') {
        return sp_fail(SP_EINVALID);
    }
    while (sp_span_split(&rest, '.', &piece)) {
        uint64_t value = 0;
        if (count == V4_BYTES || piece.len == 0 || piece.len > 3 ||
            (piece.len > 1 && piece.ptr[0] == '0')) {
            return sp_fail(SP_EINVALID);
        }
        TRY(sp_span_to_u64(piece, UINT8_MAX, &value));
        ret_bytes[count++] = (uint8_t)value;
    }
    return count == V4_BYTES ? sp_ok() : sp_fail(SP_EINVALID);
}

static bool hex_group(sp_span text, uint16_t *ret_group)
{
    unsigned value = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        unsigned digit = 16;
        if (c >= '0' && c <= '9') {
            digit = c - '0';
        } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
            digit = (unsigned)(c | 0x20) - 'a' + 10;
        }
        if (digit == 16) {
            return false;
        }
        value = value * 16 + digit;
    }
    *ret_group = (uint16_t)value;
    return text.len >= 1 && text.len <= 4;
}

/* Groups between colons, without "::"; an IPv4 address may stand for the last two. */
static sp_err parse_groups(sp_span text, uint16_t groups[GROUPS], size_t *ret_count)
{
    size_t count = 0;
    sp_span rest = text;
    sp_span piece = SP_SPAN_EMPTY;
    *ret_count = 0;
    if (text.len == 0) {
        return sp_ok();
    }
    if (text.ptr[text.len - 1] == ':') {
        return sp_fail(SP_EINVALID);
    }
    while (sp_span_split(&rest, ':', &piece)) {
        uint8_t v4[V4_BYTES];
        if (rest.len == 0 && count + 2 <= GROUPS && !sp_failed(parse_v4(piece, v4))) {
            groups[count++] = (uint16_t)(v4[0] << 8 | v4[1]);
            groups[count++] = (uint16_t)(v4[2] << 8 | v4[3]);
        } else if (count == GROUPS || !hex_group(piece, &groups[count++])) {
            return sp_fail(SP_EINVALID);
        }
    }
    *ret_count = count;
    return sp_ok();
}

static sp_err parse_v6(sp_span text, uint8_t ret_address[16])
{
    uint16_t head[GROUPS] = {0};
    uint16_t tail[GROUPS] = {0};
    size_t heads = 0;
    size_t tails = 0;
    size_t gap = sp_span_find(text, SP_SPAN_LIT("::"));
    TRY(parse_groups(sp_span_slice(text, 0, gap), head, &heads));
    if (gap < text.len) {
        TRY(parse_groups(sp_span_slice(text, gap + 2, text.len), tail, &tails));
    }
    if (gap == text.len ? heads != GROUPS : heads + tails >= GROUPS) {
        return sp_fail(SP_EINVALID);
    }
    for (size_t i = 0; i < tails; i++) {
        head[GROUPS - tails + i] = tail[i];
    }
    for (size_t i = 0; i < GROUPS; i++) {
        ret_address[2 * i] = (uint8_t)(head[i] >> 8);
        ret_address[2 * i + 1] = (uint8_t)head[i];
    }
    return sp_ok();
}

sp_err sp_address_parse(sp_span text, uint8_t ret_address[16], bool *ret_is_v4)
{
    static const uint8_t MAPPED[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    uint8_t v4[V4_BYTES];
    *ret_is_v4 = !sp_failed(parse_v4(text, v4));
    if (!*ret_is_v4) {
        return parse_v6(text, ret_address);
    }
    sp_copy(ret_address, MAPPED, sizeof(MAPPED));
    sp_copy(ret_address + sizeof(MAPPED), v4, sizeof(v4));
    return sp_ok();
}

static bool has_bits_beyond(const uint8_t address[16], uint32_t bits)
{
    for (uint32_t i = bits; i < 128; i++) {
        if ((address[i / 8] >> (7 - i % 8) & 1) != 0) {
            return true;
        }
    }
    return false;
}

sp_err sp_address_range_parse(sp_span text, sp_address_range *ret_range)
{
    sp_address_range range = {0};
    size_t slash = sp_span_index(text, '/');
    bool v4 = false;
    TRY(sp_address_parse(sp_span_slice(text, 0, slash), range.address, &v4));
    uint64_t bits = v4 ? 32 : 128;
    if (slash < text.len) {
        TRY(sp_span_to_u64(sp_span_slice(text, slash + 1, text.len), bits, &bits));
    }
    range.bits = (uint32_t)bits + (v4 ? V4_PREFIX_BITS : 0);
    if (has_bits_beyond(range.address, range.bits)) {
        return sp_fail(SP_ECONFLICT);
    }
    *ret_range = range;
    return sp_ok();
}

bool sp_address_in(const sp_address_range *range, const uint8_t address[16])
{
    uint32_t whole = range->bits / 8;
    if (!sp_span_eq(sp_span_of(range->address, whole), sp_span_of(address, whole))) {
        return false;
    }
    unsigned rest = range->bits % 8;
    return rest == 0 || (range->address[whole] ^ address[whole]) >> (8 - rest) == 0;
}

bool sp_address_same_place(const uint8_t one[16], const uint8_t other[16])
{
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    bool is_v4 = sp_span_eq(sp_span_of(one, sizeof(mapped)), sp_span_of(mapped, sizeof(mapped)));
    size_t len = is_v4 ? 16 : 8;
    return sp_span_eq(sp_span_of(one, len), sp_span_of(other, len));
}

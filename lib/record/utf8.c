/* SPDX-License-Identifier: Apache-2.0
 * Reading UTF-8 character by character.
 * OWNS nothing. PROCESS ssh gate, core, cli. TRUST bytes are hostile. SPEC lib/record/utf8.h.
 */
#include "lib/record/utf8.h"

typedef struct {
    size_t len;
    uint8_t low; /* of the second byte */
    uint8_t high;
    uint8_t bits; /* of the first byte */
} lead;

static lead lead_of(uint8_t first)
{
    if (first < 0x80) {
        return (lead){1, 0, 0, first};
    }
    if (first >= 0xc2 && first <= 0xdf) {
        return (lead){2, 0x80, 0xbf, first & 0x1f};
    }
    if (first >= 0xe0 && first <= 0xef) {
        return (lead){3, first == 0xe0 ? 0xa0 : 0x80, first == 0xed ? 0x9f : 0xbf, first & 0x0f};
    }
    if (first >= 0xf0 && first <= 0xf4) {
        return (lead){4, first == 0xf0 ? 0x90 : 0x80, first == 0xf4 ? 0x8f : 0xbf, first & 0x07};
    }
    return (lead){0, 0, 0, 0};
}

sp_utf8 sp_utf8_first(sp_span text)
{
    lead l = lead_of(text.ptr[0]);
    uint32_t code = l.bits;
    sp_utf8 bad = {1, text.ptr[0], false, false};
    if (l.len == 0) {
        return bad;
    }
    for (size_t i = 1; i < l.len; i++) {
        if (i == text.len) {
            bad.cut = true;
            return bad;
        }
        uint8_t low = i == 1 ? l.low : 0x80;
        uint8_t high = i == 1 ? l.high : 0xbf;
        if (text.ptr[i] < low || text.ptr[i] > high) {
            return bad;
        }
        code = code << 6 | (text.ptr[i] & 0x3fU);
    }
    return (sp_utf8){l.len, code, true, false};
}

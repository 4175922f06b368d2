/* SPDX-License-Identifier: Apache-2.0
 * Reading a recording, line by line.
 * OWNS nothing. PROCESS core, cli. TRUST lines are hostile. SPEC lib/record/cast.h.
 */
#include "lib/record/cast.h"
#include "lib/record/json.h"
#include "lib/record/utf8.h"

enum { BYTE_AS_CHARACTER = 0x10ff00, US_DIGITS = 6, SECONDS_MAX = 1000000000 };

sp_err sp_cast_read_header(sp_span line, sp_cast_told *ret_told)
{
    record_json in = {line};
    sp_cast_told told = {0};
    uint64_t version = 0;
    uint64_t width = 0;
    uint64_t height = 0;
    sp_span key;
    TRY(record_json_open(&in, '{'));
    for (bool first = true; record_json_member(&in, first, &key); first = false) {
        if (sp_span_eq(key, SP_SPAN_LIT("version"))) {
            TRY(record_json_number(&in, UINT64_MAX, &version));
        } else if (sp_span_eq(key, SP_SPAN_LIT("width"))) {
            TRY(record_json_number(&in, SP_CAST_SIZE_MAX, &width));
        } else if (sp_span_eq(key, SP_SPAN_LIT("height"))) {
            TRY(record_json_number(&in, SP_CAST_SIZE_MAX, &height));
        } else if (sp_span_eq(key, SP_SPAN_LIT("timestamp"))) {
            TRY(record_json_number(&in, UINT64_MAX, &told.when_unix_s));
        } else {
            TRY(record_json_skip(&in));
        }
    }
    TRY(record_json_close(&in, '}'));
    if (in.rest.len > 0 || version != 2 || width == 0 || height == 0) {
        return sp_fail(SP_EINVALID);
    }
    told.width = (uint16_t)width;
    told.height = (uint16_t)height;
    *ret_told = told;
    return sp_ok();
}

/* 1.25 -> microseconds; digits behind the sixth are dropped. */
static sp_err read_time(record_json *in, uint64_t *ret_us)
{
    uint64_t seconds = 0;
    uint64_t us = 0;
    TRY(record_json_number(in, SECONDS_MAX, &seconds));
    if (in->rest.len > 0 && in->rest.ptr[0] == '.') {
        size_t digits = 0;
        for (in->rest = sp_span_slice(in->rest, 1, in->rest.len);
             in->rest.len > 0 && sp_is_digit(in->rest.ptr[0]); digits++) {
            us = digits < US_DIGITS ? us * 10 + (uint64_t)(in->rest.ptr[0] - '0') : us;
            in->rest = sp_span_slice(in->rest, 1, in->rest.len);
        }
        if (digits == 0) {
            return sp_fail(SP_EINVALID);
        }
        for (; digits < US_DIGITS; digits++) {
            us *= 10;
        }
    }
    *ret_us = seconds * 1000000 + us;
    return sp_ok();
}

/* Characters that stand for bytes become bytes again, in place: they only get shorter. */
static void restore(sp_buf *room)
{
    size_t to = 0;
    for (size_t at = 0; at < room->len;) {
        sp_utf8 c = sp_utf8_first(sp_span_of(room->ptr + at, room->len - at));
        if (c.well_formed && c.code >= BYTE_AS_CHARACTER) {
            room->ptr[to++] = (uint8_t)(c.code - BYTE_AS_CHARACTER);
        } else {
            sp_move(room->ptr + to, room->ptr + at, c.len);
            to += c.len;
        }
        at += c.len;
    }
    room->len = to;
}

sp_err sp_cast_read_event(sp_span line, sp_buf *room, sp_cast_event *ret_event)
{
    record_json in = {line};
    sp_cast_event event = {0};
    sp_buf_reset(room);
    TRY(record_json_open(&in, '['));
    TRY(read_time(&in, &event.at_us));
    TRY(record_json_open(&in, ','));
    TRY(record_json_string(&in, room));
    if (room->len != 1) {
        return sp_fail(SP_EINVALID);
    }
    event.code = (char)room->ptr[0];
    sp_buf_reset(room);
    TRY(record_json_open(&in, ','));
    TRY(record_json_string(&in, room));
    TRY(record_json_close(&in, ']'));
    if (in.rest.len > 0) {
        return sp_fail(SP_EINVALID);
    }
    restore(room);
    event.data = sp_buf_borrow(room);
    *ret_event = event;
    return sp_ok();
}

/* SPDX-License-Identifier: Apache-2.0
 * Writing a recording.
 * OWNS the lines that wait. PROCESS ssh gate. TRUST bytes are hostile: each is escaped.
 * SPEC lib/record/cast.h.
 */
#include "lib/record/cast.h"

#include "lib/record/utf8.h"

enum { BYTE_AS_CHARACTER = 0x10ff00, OUTPUT = 0, INPUT = 1, US_A_SECOND = 1000000 };

sp_cast sp_cast_make(void)
{
    return (sp_cast){.text = sp_buf_make(SP_CAST_TEXT_MAX_BYTES),
                     .cut = sp_buf_make(SP_CAST_TEXT_MAX_BYTES)};
}

void sp_cast_done(sp_cast *cast)
{
    sp_buf_done(&cast->text);
    sp_buf_done(&cast->cut);
}

/* ---- text as JSON ---- */

static void put_character(sp_buf *out, uint32_t code)
{
    uint8_t bytes[4] = {(uint8_t)(0xf0 | code >> 18), (uint8_t)(0x80 | (code >> 12 & 0x3f)),
                        (uint8_t)(0x80 | (code >> 6 & 0x3f)), (uint8_t)(0x80 | (code & 0x3f))};
    sp_buf_span(out, sp_span_of(bytes, sizeof(bytes)));
}

static void put_ascii(sp_buf *out, uint8_t ch)
{
    switch (ch) {
    case '"':
    case '\\':
        sp_buf_byte(out, '\\');
        sp_buf_byte(out, ch);
        return;
    case '\n':
        sp_buf_text(out, "\\n");
        return;
    case '\r':
        sp_buf_text(out, "\\r");
        return;
    case '\t':
        sp_buf_text(out, "\\t");
        return;
    default:
        if (ch < 0x20 || ch == 0x7f) {
            sp_buf_fmt(out, "\\u%04x", ch);
        } else {
            sp_buf_byte(out, ch);
        }
    }
}

static void put_one(sp_buf *out, sp_span bytes, const sp_utf8 *c)
{
    if (c->well_formed && c->code < 0x80) {
        put_ascii(out, (uint8_t)c->code);
    } else if (c->well_formed && c->code >= 0x80 && c->code < 0xa0) {
        sp_buf_fmt(out, "\\u%04x", (unsigned)c->code); /* controls of eight bits */
    } else if (c->well_formed && c->code < BYTE_AS_CHARACTER) {
        sp_buf_span(out, sp_span_slice(bytes, 0, c->len));
    } else {
        for (size_t i = 0; i < c->len; i++) {
            put_character(out, BYTE_AS_CHARACTER + bytes.ptr[i]);
        }
    }
}

/* ---- lines ---- */

/* The clock may stand, never go back. */
static uint64_t time_of(sp_cast *cast, uint64_t now_us)
{
    uint64_t at = now_us > cast->last_us ? now_us : cast->last_us;
    if (cast->text.len == 0) {
        cast->first_us = at;
    }
    cast->last_us = at;
    return at - cast->start_us;
}

static void open_line(sp_cast *cast, char code, uint64_t now_us)
{
    uint64_t at = time_of(cast, now_us);
    sp_buf_fmt(&cast->text, "[%llu.%06llu,\"%c\",\"", (unsigned long long)(at / US_A_SECOND),
               (unsigned long long)(at % US_A_SECOND), code);
}

static void close_line(sp_cast *cast)
{
    sp_buf_text(&cast->text, "\"]\n");
}

static sp_err settle(sp_cast *cast)
{
    if (sp_failed(sp_buf_error(&cast->text))) {
        cast->ended = true;
        return sp_fail(cast->text.err.code == SP_ENOMEM ? SP_ENOMEM : SP_ELIMIT);
    }
    return sp_ok();
}

sp_err sp_cast_begin(sp_cast *cast, const sp_cast_header *header, uint64_t now_us)
{
    if (cast->begun) {
        return sp_fail(SP_ECONFLICT);
    }
    cast->begun = true;
    cast->start_us = now_us;
    cast->last_us = now_us;
    (void)time_of(cast, now_us);
    sp_buf_fmt(&cast->text, "{\"version\":2,\"width\":%u,\"height\":%u,\"timestamp\":%llu",
               header->width == 0 ? 80U : header->width, header->height == 0 ? 24U : header->height,
               (unsigned long long)header->when_unix_s);
    const struct {
        const char *key;
        sp_span text;
    } MORE[] = {{"title", header->title}, {"command", header->command}};
    for (size_t i = 0; i < SP_COUNT(MORE); i++) {
        if (MORE[i].text.len > 0) {
            sp_buf_fmt(&cast->text, ",\"%s\":", MORE[i].key);
            sp_buf_json(&cast->text, sp_span_slice(MORE[i].text, 0, SP_CAST_MARK_MAX_BYTES));
        }
    }
    if (header->term.len > 0) {
        sp_buf_text(&cast->text, ",\"env\":{\"TERM\":");
        sp_buf_json(&cast->text, sp_span_slice(header->term, 0, SP_CAST_MARK_MAX_BYTES));
        sp_buf_byte(&cast->text, '}');
    }
    sp_buf_text(&cast->text, "}\n");
    return settle(cast);
}

static bool may_add(const sp_cast *cast)
{
    return cast->begun && !cast->ended;
}

/* One line of at most SP_CAST_LINE_BYTES; how many of the bytes it took. What is left at the end
 * and may become a character is held. */
static size_t put_line(sp_cast *cast, char code, sp_span bytes, sp_cast_held *held, uint64_t now_us)
{
    size_t at = 0;
    bool open = false;
    while (at < bytes.len && at < SP_CAST_LINE_BYTES) {
        sp_span rest = sp_span_slice(bytes, at, bytes.len);
        sp_utf8 c = sp_utf8_first(rest);
        if (c.cut && held != NULL) {
            sp_copy(held->bytes, rest.ptr, rest.len); /* three bytes at most */
            held->len = rest.len;
            at = bytes.len;
            break;
        }
        if (!open) {
            open_line(cast, code, now_us);
            open = true;
        }
        put_one(&cast->text, rest, &c);
        at += c.len;
    }
    if (open) {
        close_line(cast);
    }
    return at;
}

static sp_err put_bytes(sp_cast *cast, char code, sp_span bytes, unsigned which, uint64_t now_us)
{
    sp_cast_held *held = &cast->held[which];
    if (!may_add(cast)) {
        return sp_fail(SP_ECLOSED);
    }
    if (held->len > 0 && bytes.len > 0) {
        uint8_t joined[sizeof(held->bytes) + 4];
        size_t more = bytes.len < 4 ? bytes.len : 4;
        size_t had = held->len;
        sp_copy(joined, held->bytes, had);
        sp_copy(joined + had, bytes.ptr, more);
        held->len = 0;
        /* the held bytes and what completes them; the rest goes on behind */
        sp_utf8 c = sp_utf8_first(sp_span_of(joined, had + more));
        if (c.cut && more == bytes.len) {
            sp_copy(held->bytes, joined, had + more);
            held->len = had + more;
            return sp_ok();
        }
        size_t taken = c.well_formed ? c.len : had;
        (void)put_line(cast, code, sp_span_of(joined, taken), NULL, now_us);
        bytes = sp_span_slice(bytes, taken - had, bytes.len);
    }
    while (bytes.len > 0) {
        size_t took = put_line(cast, code, bytes, held, now_us);
        bytes = sp_span_slice(bytes, took, bytes.len);
    }
    return settle(cast);
}

sp_err sp_cast_output(sp_cast *cast, sp_span bytes, uint64_t now_us)
{
    return put_bytes(cast, 'o', bytes, OUTPUT, now_us);
}

sp_err sp_cast_input(sp_cast *cast, sp_span bytes, uint64_t now_us)
{
    return put_bytes(cast, 'i', bytes, INPUT, now_us);
}

sp_err sp_cast_resize(sp_cast *cast, uint16_t width, uint16_t height, uint64_t now_us)
{
    if (!may_add(cast)) {
        return sp_fail(SP_ECLOSED);
    }
    open_line(cast, 'r', now_us);
    sp_buf_fmt(&cast->text, "%ux%u", width, height);
    close_line(cast);
    return settle(cast);
}

sp_err sp_cast_mark(sp_cast *cast, sp_span text, uint64_t now_us)
{
    if (!may_add(cast)) {
        return sp_fail(SP_ECLOSED);
    }
    if (text.len > 0) {
        (void)put_line(cast, 'm', sp_span_slice(text, 0, SP_CAST_MARK_MAX_BYTES), NULL, now_us);
    }
    return settle(cast);
}

/* ---- cutting ---- */

bool sp_cast_due(const sp_cast *cast, uint64_t now_us)
{
    return cast->text.len >= SP_CAST_CHUNK_BYTES ||
           (cast->text.len > 0 && now_us >= sp_cast_due_us(cast));
}

uint64_t sp_cast_due_us(const sp_cast *cast)
{
    uint64_t latest_us = cast->first_us + SP_CAST_CHUNK_US;
    return cast->text.len > 0 ? latest_us - latest_us % SP_CAST_STEP_US : 0;
}

sp_err sp_cast_cut(sp_cast *cast, bool end, sp_cast_lines *ret_lines, bool *ret_any)
{
    *ret_any = false;
    TRY(sp_buf_error(&cast->text));
    for (unsigned i = 0; end && i < SP_COUNT(cast->held); i++) {
        sp_span rest = sp_span_of(cast->held[i].bytes, cast->held[i].len);
        while (rest.len > 0) {
            size_t took = put_line(cast, i == OUTPUT ? 'o' : 'i', rest, NULL, cast->last_us);
            rest = sp_span_slice(rest, took, rest.len);
        }
        cast->held[i].len = 0;
    }
    TRY(sp_buf_error(&cast->text));
    cast->ended = cast->ended || end;
    if (cast->text.len == 0 && !end) {
        return sp_ok();
    }
    *ret_lines = (sp_cast_lines){.number = cast->number++,
                                 .t0_us = cast->text.len > 0 ? cast->first_us - cast->start_us
                                                             : cast->last_us - cast->start_us,
                                 .t1_us = cast->last_us - cast->start_us,
                                 .end = end,
                                 .text = sp_buf_borrow(&cast->text)};
    sp_buf swapped = cast->cut; /* what was cut stays until the next cut */
    cast->cut = cast->text;
    cast->text = swapped;
    sp_buf_reset(&cast->text);
    *ret_any = true;
    return sp_ok();
}

void sp_cast_numbered(sp_cast *cast, uint32_t count)
{
    cast->number += count == 0 ? 0 : count - 1;
    sp_buf_done(&cast->cut); /* a terminal that is quiet holds no memory */
    cast->cut = sp_buf_make(SP_CAST_TEXT_MAX_BYTES);
}

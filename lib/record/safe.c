/* SPDX-License-Identifier: Apache-2.0
 * Filtering a terminal's output down to what only shows.
 * OWNS nothing. PROCESS cli, core. TRUST bytes are hostile. SPEC lib/record/safe.h.
 */
#include "lib/record/safe.h"

#include "lib/record/utf8.h"

typedef enum {
    TEXT,
    PARTIAL,   /* within a character */
    ESCAPE,    /* behind ESC */
    CHARSET,   /* behind ESC ( or ESC ) */
    DROP_ONE,  /* behind ESC and a byte that takes one more */
    SEQUENCE,  /* CSI */
    STRING,    /* OSC, DCS, APC, PM, SOS: to ST */
    STRING_ESC /* ESC within one */
} safe_state;

enum { ESC = 0x1b, BEL = 0x07, CAN = 0x18, SUB = 0x1a };

static bool has(sp_span set, uint8_t ch)
{
    return sp_span_index(set, ch) < set.len;
}

static void keep(sp_safe *safe, uint8_t ch)
{
    if (safe->len < SP_SAFE_SEQUENCE_MAX_BYTES) {
        safe->kept[safe->len] = ch;
    }
    safe->len += safe->len <= SP_SAFE_SEQUENCE_MAX_BYTES ? 1 : 0;
}

/* Modes that change only what is seen: cursor keys are the keyboard's, so not among them. */
static bool is_shown_mode(sp_span digits)
{
    static const char *const MODES[] = {"7", "25", "47", "1047", "1048", "1049", "5", "6"};
    for (size_t i = 0; i < SP_COUNT(MODES); i++) {
        if (sp_span_eq(digits, sp_span_cstr(MODES[i]))) {
            return true;
        }
    }
    return false;
}

/* kept = ESC [ parameters final */
static bool is_shown(const sp_safe *safe)
{
    if (safe->len > SP_SAFE_SEQUENCE_MAX_BYTES || safe->len < 3) {
        return false;
    }
    sp_span inside = sp_span_of(safe->kept + 2, safe->len - 3);
    uint8_t last = safe->kept[safe->len - 1];
    bool plain = true;
    for (size_t i = 0; i < inside.len; i++) {
        plain =
            plain && (sp_is_digit(inside.ptr[i]) || inside.ptr[i] == ';' || inside.ptr[i] == ':');
    }
    if (plain) {
        return has(SP_SPAN_LIT("ABCDEFGHIJKLMPSTXZ`abdefgmr@su"), last);
    }
    return inside.ptr[0] == '?' && (last == 'h' || last == 'l') &&
           is_shown_mode(sp_span_slice(inside, 1, inside.len));
}

static void on_escape(sp_safe *safe, uint8_t ch, sp_buf *out)
{
    keep(safe, ch);
    if (ch == '[') {
        safe->state = SEQUENCE;
    } else if (has(SP_SPAN_LIT("]PX^_k"), ch)) {
        safe->state = STRING;
    } else if (ch == '(' || ch == ')') {
        safe->state = CHARSET;
    } else if (has(SP_SPAN_LIT("#%*+-./ "), ch)) {
        safe->state = DROP_ONE;
    } else {
        safe->state = TEXT;
        if (has(SP_SPAN_LIT("78DEMH"), ch)) { /* cursor kept and given back, lines, tab stops */
            sp_buf_span(out, sp_span_of(safe->kept, safe->len));
        }
    }
}

static void on_sequence(sp_safe *safe, uint8_t ch, sp_buf *out)
{
    if (ch < 0x20 || ch == 0x7f || ch >= 0x80) {
        safe->state = TEXT; /* broken off */
        return;
    }
    keep(safe, ch);
    if (ch < 0x40) {
        return;
    }
    if (is_shown(safe)) {
        sp_buf_span(out, sp_span_of(safe->kept, safe->len));
    }
    safe->state = TEXT;
}

static void put_replacement(sp_buf *out)
{
    sp_buf_text(out, "\xef\xbf\xbd");
}

/* A character: controls of eight bits act in some terminals. */
static void put_character(sp_span bytes, const sp_utf8 *c, sp_buf *out)
{
    if (!c->well_formed || (c->code >= 0x80 && c->code < 0xa0)) {
        put_replacement(out);
    } else if (c->code >= 0x20 ? c->code != 0x7f
                               : has(SP_SPAN_LIT("\b\t\n\v\f\r"), (uint8_t)c->code)) {
        sp_buf_span(out, sp_span_slice(bytes, 0, c->len));
    } /* else: bell, shifts, answers to come */
}

static void on_text(sp_safe *safe, uint8_t ch, sp_buf *out)
{
    if (ch == ESC) {
        safe->len = 0;
        keep(safe, ch);
        safe->state = ESCAPE;
        return;
    }
    sp_utf8 c = sp_utf8_first(sp_span_of(&ch, 1));
    if (c.cut) {
        safe->len = 0;
        keep(safe, ch);
        safe->state = PARTIAL;
        return;
    }
    put_character(sp_span_of(&ch, 1), &c, out);
}

static bool on_partial(sp_safe *safe, uint8_t ch, sp_buf *out)
{
    uint8_t joined[5];
    size_t len = safe->len;
    sp_copy(joined, safe->kept, len);
    joined[len] = ch;
    sp_utf8 c = sp_utf8_first(sp_span_of(joined, len + 1));
    if (c.cut) {
        keep(safe, ch);
        return true;
    }
    safe->state = TEXT;
    put_character(sp_span_of(joined, len + 1), &c, out);
    return c.well_formed; /* else ch itself is still to be read */
}

static void on_string(sp_safe *safe, uint8_t ch)
{
    if (safe->state == STRING_ESC) {
        safe->state = ch == '\\' ? TEXT : ch == ESC ? STRING_ESC : STRING;
    } else if (ch == ESC) {
        safe->state = STRING_ESC;
    } else if (ch == BEL || ch == CAN || ch == SUB) {
        safe->state = TEXT;
    }
}

static void on_byte(sp_safe *safe, uint8_t ch, sp_buf *out)
{
    if (safe->state == PARTIAL && on_partial(safe, ch, out)) {
        return;
    }
    switch ((safe_state)safe->state) {
    case TEXT:
    case PARTIAL:
        on_text(safe, ch, out);
        return;
    case ESCAPE:
        if (ch == ESC) {
            safe->len = 1;
        } else if (ch < 0x20) {
            safe->state = TEXT;
        } else {
            on_escape(safe, ch, out);
        }
        return;
    case CHARSET:
        keep(safe, ch);
        safe->state = TEXT;
        if (ch == 'B' || ch == '0' || ch == 'A') {
            sp_buf_span(out, sp_span_of(safe->kept, safe->len));
        }
        return;
    case DROP_ONE:
        safe->state = TEXT;
        return;
    case SEQUENCE:
        if (ch == ESC) {
            safe->len = 1;
            safe->state = ESCAPE;
        } else {
            on_sequence(safe, ch, out);
        }
        return;
    case STRING:
    case STRING_ESC:
        on_string(safe, ch);
        return;
    }
}

void sp_safe_output(sp_safe *safe, sp_span bytes, sp_buf *out)
{
    for (size_t i = 0; i < bytes.len; i++) {
        on_byte(safe, bytes.ptr[i], out);
    }
}

sp_span sp_safe_reset(void)
{
    /* first character set, main screen, cursor and wrapping on, all rows scroll, plain colours */
    return SP_SPAN_LIT("\x1b(B\x1b[?1049l\x1b[?25h\x1b[?7h\x1b[?5l\x1b[?6l\x1b[r\x1b[0m\r\n");
}

static bool is_unseen(uint32_t code)
{
    return code < 0x20 || code >= 0x10ff00 || sp_is_unseen(code);
}

void sp_safe_name(sp_span text, sp_buf *out)
{
    while (text.len > 0) {
        sp_utf8 c = sp_utf8_first(text);
        if (!c.well_formed || is_unseen(c.code)) {
            put_replacement(out);
        } else {
            sp_buf_span(out, sp_span_slice(text, 0, c.len));
        }
        text = sp_span_slice(text, c.len, text.len);
    }
}

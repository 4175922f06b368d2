/* SPDX-License-Identifier: Apache-2.0
 * The filter: a list of what passes. Everything else does not.
 * OWNS nothing. PROCESS cli. TRUST lib/term/safe.h. SPEC lib/term/safe.h.
 */
#include "lib/term/safe.h"

enum {
    BS = 0x08,
    TAB = 0x09,
    LF = 0x0a,
    CR = 0x0d,
    CAN = 0x18,
    SUB = 0x1a,
    ESC = 0x1b,
    BEL = 0x07,
    DEL = 0x7f,
    C1_CSI = 0x9b,
    C1_ST = 0x9c,
    C1_END = 0x9f,
    PRIVATE_MODES = 6
};

/* Cursor moves, erasing, scrolling, colours: they change what is seen, and only that. */
static bool is_drawing(uint8_t final)
{
    sp_span finals = SP_SPAN_LIT("@ABCDEFGHIJKLMPSTXZ`adefmrsu");
    return sp_span_index(finals, final) < finals.len;
}

/* Private modes that are put back afterwards: wrap, cursor, the other screen. */
static bool is_harmless_mode(sp_span mode)
{
    static const char *const modes[PRIVATE_MODES] = {"?7", "?25", "?47", "?1047", "?1048", "?1049"};
    for (size_t i = 0; i < PRIVATE_MODES; i++) {
        if (sp_span_eq(mode, sp_span_cstr(modes[i]))) {
            return true;
        }
    }
    return false;
}

static bool are_numbers(sp_span parameters)
{
    for (size_t i = 0; i < parameters.len; i++) {
        uint8_t c = parameters.ptr[i];
        if (!((c >= '0' && c <= '9') || c == ';' || c == ':')) {
            return false;
        }
    }
    return true;
}

static bool passes(sp_span parameters, uint8_t final)
{
    if (final == 'h' || final == 'l') {
        return is_harmless_mode(parameters);
    }
    return is_drawing(final) && are_numbers(parameters);
}

static void start(sp_term_safe *safe, sp_term_state state)
{
    safe->state = state;
    safe->sequence_len = 0;
    safe->unfit = false;
}

static void csi(sp_term_safe *safe, uint8_t c, bool plain, sp_buf *out)
{
    if (c >= 0x40 && c <= 0x7e) {
        sp_span parameters = sp_span_of(safe->sequence, safe->sequence_len);
        if (!plain && !safe->unfit && passes(parameters, c)) {
            sp_buf_byte(out, ESC);
            sp_buf_byte(out, '[');
            sp_buf_span(out, parameters);
            sp_buf_byte(out, c);
        }
        safe->state = SP_TERM_TEXT;
    } else if (c >= 0x20 && safe->sequence_len < SP_TERM_SEQUENCE_MAX_BYTES) {
        safe->sequence[safe->sequence_len++] = c;
    } else {
        safe->unfit = true; /* too long, or control bytes inside */
    }
}

static void after_escape(sp_term_safe *safe, uint8_t c, bool plain, sp_buf *out)
{
    switch (c) {
    case '[':
        start(safe, SP_TERM_CSI);
        return;
    case ']':
    case 'P':
    case 'X':
    case '^':
    case '_':
        start(safe, SP_TERM_STRING);
        return;
    case '7': /* save and restore the cursor, line feeds of all kinds */
    case '8':
    case 'D':
    case 'E':
    case 'M':
        if (!plain) {
            sp_buf_byte(out, ESC);
            sp_buf_byte(out, c);
        }
        break;
    default:
        break;
    }
    safe->charset = c;
    safe->state = c >= 0x20 && c <= 0x2f ? SP_TERM_CHARSET
                  : c == ESC             ? SP_TERM_ESCAPE
                                         : SP_TERM_TEXT;
}

/* ESC ( 0 is how lines are drawn; ESC ( B the way back. */
static void charset(sp_term_safe *safe, uint8_t c, bool plain, sp_buf *out)
{
    if (c >= 0x20 && c <= 0x2f) {
        safe->charset = 0; /* several of them: none that we know */
        return;
    }
    if (!plain && (safe->charset == '(' || safe->charset == ')') && (c == '0' || c == 'B')) {
        sp_buf_byte(out, ESC);
        sp_buf_byte(out, safe->charset);
        sp_buf_byte(out, c);
    }
    safe->state = SP_TERM_TEXT;
}

/* ---- text ---- */

static void whole_rune(sp_term_safe *safe, sp_buf *out)
{
    sp_span rune = sp_span_of(safe->rune, safe->rune_len);
    safe->rune_left = 0;
    if (!sp_span_is_utf8(rune)) {
        sp_buf_byte(out, '?');
    } else if (rune.len == 2 && rune.ptr[0] == 0xc2 && rune.ptr[1] <= C1_END) {
        /* U+0080..U+009F are control characters: CSI, OSC and their kin */
        uint8_t c1 = rune.ptr[1];
        if (c1 == C1_CSI) {
            start(safe, SP_TERM_CSI);
        } else if (c1 == 0x90 || c1 == 0x98 || c1 == 0x9d || c1 == 0x9e || c1 == C1_END) {
            start(safe, SP_TERM_STRING);
        }
    } else {
        sp_buf_span(out, rune);
    }
}

static void first_byte(sp_term_safe *safe, uint8_t c, sp_buf *out)
{
    uint8_t left = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
    if (c < 0xc2 || c > 0xf4) {
        sp_buf_byte(out, '?');
        return;
    }
    safe->rune[0] = c;
    safe->rune_len = 1;
    safe->rune_left = left;
}

static void text(sp_term_safe *safe, uint8_t c, bool plain, sp_buf *out)
{
    if (safe->rune_left > 0 && (c & 0xc0) == 0x80) {
        safe->rune[safe->rune_len++] = c;
        if (--safe->rune_left == 0) {
            whole_rune(safe, out);
        }
        return;
    }
    if (safe->rune_left > 0) {
        safe->rune_left = 0;
        sp_buf_byte(out, '?');
    }
    if (c == ESC) {
        start(safe, SP_TERM_ESCAPE);
    } else if (c >= 0x80) {
        first_byte(safe, c, out);
    } else if ((c >= 0x20 && c != DEL) || c == LF || c == TAB || (!plain && (c == CR || c == BS))) {
        sp_buf_byte(out, c);
    }
}

static void inside_string(sp_term_safe *safe, uint8_t c)
{
    /* C2 9C is its end as well; a lone 9C is the middle of a character */
    bool c1_end = safe->sequence_len == 1 && c == C1_ST;
    safe->sequence_len = c == 0xc2 ? 1 : 0;
    if (c == BEL || c1_end) {
        safe->state = SP_TERM_TEXT;
    } else if (c == ESC) {
        safe->state = SP_TERM_STRING_ESCAPE;
    }
}

static void feed(sp_term_safe *safe, sp_span bytes, bool plain, sp_buf *out)
{
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t c = bytes.ptr[i];
        if (safe->state != SP_TERM_TEXT && (c == CAN || c == SUB)) {
            safe->state = SP_TERM_TEXT;
            continue;
        }
        switch (safe->state) {
        case SP_TERM_TEXT:
            text(safe, c, plain, out);
            break;
        case SP_TERM_ESCAPE:
        case SP_TERM_STRING_ESCAPE:
            after_escape(safe, c, plain, out);
            break;
        case SP_TERM_CSI:
            if (c == ESC) {
                start(safe, SP_TERM_ESCAPE);
            } else {
                csi(safe, c, plain, out);
            }
            break;
        case SP_TERM_STRING:
            inside_string(safe, c);
            break;
        case SP_TERM_CHARSET:
            charset(safe, c, plain, out);
            break;
        case SP_TERM_STATE_COUNT:
            break;
        }
    }
}

void sp_term_safe_feed(sp_term_safe *safe, sp_span bytes, sp_buf *out)
{
    feed(safe, bytes, false, out);
}

void sp_term_plain_feed(sp_term_safe *safe, sp_span bytes, sp_buf *out)
{
    feed(safe, bytes, true, out);
}

const char *sp_term_safe_restore(void)
{
    /* colours, margins, wrap, cursor, the first screen, letters */
    return "\033[0m\033[r\033[?7h\033[?25h\033[?1049l\033(B\033)B";
}

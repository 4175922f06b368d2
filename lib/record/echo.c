/* SPDX-License-Identifier: Apache-2.0
 * Matching what is printed with what was typed.
 * OWNS nothing. PROCESS ssh gate. TRUST bytes are hostile. SPEC lib/record/echo.h.
 */
#include "lib/record/echo.h"

enum { ESC = 0x1b, OUTSIDE = 0, BEHIND_ESC = 1, IN_SEQUENCE = 2 };

/* Prints itself when it is echoed at all. */
static bool prints(uint8_t ch)
{
    return ch >= 0x20 && ch != 0x7f;
}

static bool ends_line(uint8_t ch)
{
    return ch == '\r' || ch == '\n' || ch == 0x03 || ch == 0x04;
}

static void leave_out(sp_echo *echo, size_t count, sp_buf *out)
{
    bool hidden = false;
    for (size_t i = 0; i < count; i++) {
        bool hide = prints(echo->typed[i]) && !echo->shown[i];
        if (hide && !hidden) {
            sp_buf_byte(out, SP_ECHO_HIDDEN);
        } else if (!hide) {
            sp_buf_byte(out, echo->typed[i]);
        }
        hidden = hide;
        echo->typed[i] = 0;
    }
    size_t rest = echo->len - count;
    for (size_t i = 0; i < rest; i++) {
        echo->typed[i] = echo->typed[count + i];
        echo->shown[i] = echo->shown[count + i];
        echo->typed[count + i] = 0;
        echo->shown[count + i] = false;
    }
    echo->len = rest;
    echo->next = echo->next > count ? echo->next - count : 0;
}

/* What was shown, or prints nothing, from the front. */
static void take_shown(sp_echo *echo, sp_buf *out)
{
    size_t count = 0;
    while (count < echo->len && prints(echo->typed[count]) && echo->shown[count]) {
        count++;
    }
    if (count > 0) {
        leave_out(echo, count, out);
    }
}

void sp_echo_typed(sp_echo *echo, sp_span bytes, sp_buf *out)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (echo->len == SP_ECHO_WAITS_MAX) {
            leave_out(echo, echo->len, out);
        }
        echo->shown[echo->len] = false;
        echo->typed[echo->len++] = bytes.ptr[i];
    }
}

/* The first typed byte that is not shown and is this one; what lies between is not shown. Lines
 * behind it were typed ahead: they wait for their own echo. */
static void match(sp_echo *echo, uint8_t ch)
{
    for (size_t i = echo->next; i < echo->len && !ends_line(echo->typed[i]); i++) {
        if (echo->typed[i] == ch) {
            echo->shown[i] = true;
            echo->next = i + 1;
            return;
        }
        if (prints(echo->typed[i])) {
            return; /* in order only: anything else is not its echo */
        }
    }
}

/* A line's end is printed: what was typed up to its own end is decided. */
static void line_printed(sp_echo *echo, sp_buf *out)
{
    for (size_t i = 0; i < echo->len; i++) {
        if (ends_line(echo->typed[i])) {
            leave_out(echo, i + 1, out);
            return;
        }
    }
}

void sp_echo_printed(sp_echo *echo, sp_span bytes, sp_buf *out)
{
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t ch = bytes.ptr[i];
        if (echo->escape == BEHIND_ESC) {
            echo->escape = ch == '[' ? IN_SEQUENCE : OUTSIDE;
        } else if (echo->escape == IN_SEQUENCE) {
            echo->escape = ch >= 0x40 && ch < 0x7f ? OUTSIDE : IN_SEQUENCE;
        } else if (ch == ESC) {
            echo->escape = BEHIND_ESC;
        } else if (ch == '\n') {
            line_printed(echo, out);
        } else if (prints(ch)) {
            match(echo, ch);
        }
    }
    take_shown(echo, out);
}

void sp_echo_end(sp_echo *echo, sp_buf *out)
{
    leave_out(echo, echo->len, out);
}

/* SPDX-License-Identifier: Apache-2.0
 * The line on the screen and the keys that were typed, as far as a shell's editing goes.
 * OWNS nothing. PROCESS ssh gate. TRUST both streams are hostile; every index is bounded.
 * SPEC ECMA-48, readline(3), lib/alarm/alarm.h.
 */
#include "lib/alarm/alarm.h"

typedef enum { TEXT, ESCAPE, SEQUENCE, STRING, STRING_ESC, ONE_MORE } term_state;

enum { ESC = 0x1b, BEL = 7, WIDTH_DEFAULT = 80, PASTE_BEGINS = 200, PASTE_ENDS = 201 };

void sp_alarm_term_init(sp_alarm_term *term, uint16_t width)
{
    sp_set(term, 0, sizeof(*term));
    sp_alarm_size(term, width);
}

void sp_alarm_size(sp_alarm_term *term, uint16_t width)
{
    term->width = width == 0 || width > SP_ALARM_CELLS / 2 ? WIDTH_DEFAULT : width;
}

static sp_alarm worse(sp_alarm a, sp_alarm b)
{
    return b.confidence > a.confidence ? b : a;
}

/* ---- the screen's line ---- */

static void fresh_line(sp_alarm_term *t)
{
    t->cells_len = 0;
    t->at = 0;
}

static void move_to(sp_alarm_term *t, long at)
{
    t->at = (uint16_t)(at < 0 ? 0 : at >= SP_ALARM_CELLS ? SP_ALARM_CELLS - 1 : at);
}

/* Cells up to the cursor are there. */
static void reach(sp_alarm_term *t)
{
    while (t->cells_len < t->at) {
        t->cells[t->cells_len++] = ' ';
    }
}

static void print(sp_alarm_term *t, uint8_t ch)
{
    reach(t);
    if (t->at + 1 >= SP_ALARM_CELLS) {
        return; /* what goes on behind is not a line that somebody typed */
    }
    t->cells[t->at++] = ch;
    t->cells_len = t->at > t->cells_len ? t->at : t->cells_len;
}

static void erase(sp_alarm_term *t, unsigned how)
{
    if (how == 0) {
        t->cells_len = t->at < t->cells_len ? t->at : t->cells_len;
    } else if (how == 2) {
        sp_set(t->cells, ' ', t->cells_len);
    } else {
        sp_set(t->cells, ' ', t->at < t->cells_len ? t->at : t->cells_len);
    }
}

static void delete_cells(sp_alarm_term *t, size_t count)
{
    size_t from = (size_t)t->at + count;
    if (t->at >= t->cells_len) {
        return;
    }
    if (from < t->cells_len) {
        sp_move(t->cells + t->at, t->cells + from, t->cells_len - from);
        t->cells_len = (uint16_t)(t->cells_len - count);
    } else {
        t->cells_len = t->at;
    }
}

static void insert_cells(sp_alarm_term *t, size_t count)
{
    reach(t);
    size_t room = SP_ALARM_CELLS - 1U - t->cells_len;
    count = count < room ? count : room;
    sp_move(t->cells + t->at + count, t->cells + t->at, (size_t)t->cells_len - t->at);
    sp_set(t->cells + t->at, ' ', count);
    t->cells_len = (uint16_t)(t->cells_len + count);
}

static void on_sequence_end(sp_alarm_term *t, uint8_t last)
{
    long n = t->number == 0 ? 1 : t->number;
    long row = t->at / t->width * t->width;
    switch (last) {
    case 'A':
        move_to(t, t->at - n * t->width);
        return;
    case 'B':
        move_to(t, t->at + n * t->width);
        return;
    case 'C':
        move_to(t, t->at + n);
        return;
    case 'D':
        move_to(t, t->at - n);
        return;
    case 'G':
        move_to(t, row + n - 1);
        return;
    case 'K':
    case 'J':
        erase(t, t->number);
        return;
    case 'P':
        delete_cells(t, (size_t)n);
        return;
    case '@':
        insert_cells(t, (size_t)n);
        return;
    case 'H': /* a screen is drawn: no line of a shell */
        fresh_line(t);
        return;
    default:
        return;
    }
}

static sp_alarm judge_screen(sp_alarm_term *t, sp_alarm_judge *judge)
{
    sp_span line = sp_span_of(t->cells, t->cells_len);
    sp_span prompt = sp_span_of(t->prompt, t->prompt_len);
    if (prompt.len > 0 && sp_span_starts(line, prompt)) {
        line = sp_span_slice(line, prompt.len, line.len);
    }
    return sp_alarm_line(judge, &t->vars, line);
}

static sp_alarm on_text(sp_alarm_term *t, sp_alarm_judge *judge, uint8_t ch)
{
    sp_alarm found = {0};
    if (ch == ESC) {
        t->state = ESCAPE;
    } else if (ch == '\n') {
        if (t->sent) {
            found = judge_screen(t, judge);
            t->sent = false;
            t->typing = false;
        }
        fresh_line(t);
    } else if (ch == '\r') {
        t->at = (uint16_t)(t->at / t->width * t->width);
    } else if (ch == '\b') {
        move_to(t, (long)t->at - 1);
    } else if (ch >= 0x20 && ch != 0x7f) {
        print(t, ch);
    }
    return found;
}

static void on_escape(sp_alarm_term *t, uint8_t ch)
{
    if (ch == '[') {
        t->state = SEQUENCE;
        t->number = 0;
    } else if (ch == ']' || ch == 'P' || ch == '_' || ch == '^' || ch == 'X') {
        t->state = STRING;
    } else {
        t->state = ch == '(' || ch == ')' || ch == '#' ? ONE_MORE : TEXT;
    }
}

static sp_alarm on_printed(sp_alarm_term *t, sp_alarm_judge *judge, uint8_t ch)
{
    switch ((term_state)t->state) {
    case TEXT:
        return on_text(t, judge, ch);
    case ESCAPE:
        on_escape(t, ch);
        break;
    case SEQUENCE:
        if (sp_is_digit(ch)) {
            t->number = (uint16_t)(t->number > 999 ? 999 : t->number * 10 + (ch - '0'));
        } else if (ch >= 0x40 && ch < 0x7f) {
            t->state = TEXT;
            on_sequence_end(t, ch);
        } else if (ch == ESC) {
            t->state = ESCAPE;
        }
        break;
    case STRING:
        t->state = ch == ESC ? STRING_ESC : ch == BEL || ch == '\n' ? TEXT : STRING;
        break;
    case STRING_ESC:
        t->state = ch == '\\' ? TEXT : STRING;
        break;
    case ONE_MORE:
        t->state = TEXT;
        break;
    }
    return (sp_alarm){0};
}

sp_alarm sp_alarm_printed(sp_alarm_term *term, sp_alarm_judge *judge, sp_span bytes)
{
    sp_alarm worst = {0};
    for (size_t i = 0; i < bytes.len; i++) {
        worst = worse(worst, on_printed(term, judge, bytes.ptr[i]));
    }
    return worst;
}

/* ---- the keys ---- */

static void forget_keys(sp_alarm_term *t)
{
    t->typed_len = 0;
    t->typed_at = 0;
}

static void insert_key(sp_alarm_term *t, uint8_t ch)
{
    if (t->typed_len + 1 >= SP_ALARM_TYPED) {
        return;
    }
    sp_move(t->typed + t->typed_at + 1, t->typed + t->typed_at, (size_t)t->typed_len - t->typed_at);
    t->typed[t->typed_at++] = ch;
    t->typed_len++;
}

static void remove_keys(sp_alarm_term *t, size_t from, size_t to)
{
    sp_move(t->typed + from, t->typed + to, t->typed_len - to);
    t->typed_len = (uint16_t)(t->typed_len - (to - from));
    t->typed_at = (uint16_t)from;
}

static void remove_word(sp_alarm_term *t)
{
    size_t from = t->typed_at;
    while (from > 0 && t->typed[from - 1] == ' ') {
        from--;
    }
    while (from > 0 && t->typed[from - 1] != ' ') {
        from--;
    }
    remove_keys(t, from, t->typed_at);
}

static sp_alarm send_line(sp_alarm_term *t, sp_alarm_judge *judge)
{
    sp_alarm worst = sp_alarm_line(judge, &t->vars, sp_span_of(t->typed, t->typed_len));
    /* a line that goes on: judged again with what follows */
    bool goes_on = t->typed_len > 0 && t->typed[t->typed_len - 1] == '\\';
    if (t->typing && !t->sent) { /* once a line: a storm of returns costs nothing */
        worst = worse(worst, judge_screen(t, judge));
    }
    t->sent = true;
    if (goes_on) {
        t->typed_len--;
        t->typed_at = t->typed_len;
    } else {
        forget_keys(t);
    }
    return worst;
}

static void on_arrow(sp_alarm_term *t, uint8_t last)
{
    if (last == 'D' && t->typed_at > 0) {
        t->typed_at--;
    } else if (last == 'C' && t->typed_at < t->typed_len) {
        t->typed_at++;
    } else if (last == 'H') {
        t->typed_at = 0;
    } else if (last == 'F') {
        t->typed_at = t->typed_len;
    } else if (last == 'A' || last == 'B') { /* history: what stands on the screen counts */
        forget_keys(t);
    } else if (last == '~') {
        t->pasted = t->key_number == PASTE_BEGINS || (t->pasted && t->key_number != PASTE_ENDS);
        if (t->key_number == 3 && t->typed_at < t->typed_len) { /* delete */
            remove_keys(t, t->typed_at, (size_t)t->typed_at + 1);
        } else if (t->key_number == 1) {
            t->typed_at = 0;
        } else if (t->key_number == 4) {
            t->typed_at = t->typed_len;
        }
    }
}

/* Where the person begins to type, the line's text is the prompt. */
static void begin_typing(sp_alarm_term *t)
{
    if (t->typing) {
        return;
    }
    t->typing = true;
    sp_span shown = sp_span_of(t->cells, t->cells_len);
    t->prompt_len = 0;
    if (shown.len <= SP_ALARM_PROMPT) {
        sp_copy(t->prompt, shown.ptr, shown.len);
        t->prompt_len = (uint16_t)shown.len;
    }
}

static void on_control(sp_alarm_term *t, uint8_t ch)
{
    switch (ch) {
    case 0x01: /* ^A */
        t->typed_at = 0;
        return;
    case 0x05: /* ^E */
        t->typed_at = t->typed_len;
        return;
    case 0x02: /* ^B */
        on_arrow(t, 'D');
        return;
    case 0x06: /* ^F */
        on_arrow(t, 'C');
        return;
    case 0x08:
    case 0x7f:
        if (t->typed_at > 0) {
            remove_keys(t, (size_t)t->typed_at - 1, t->typed_at);
        }
        return;
    case 0x0b: /* ^K */
        t->typed_len = t->typed_at;
        return;
    case 0x15: /* ^U */
        remove_keys(t, 0, t->typed_at);
        return;
    case 0x17: /* ^W */
        remove_word(t);
        return;
    case 0x03: /* ^C: the line is given up; a new prompt comes */
        forget_keys(t);
        t->typing = false;
        t->sent = false;
        return;
    case 0x10: /* ^P ^N ^R: history */
    case 0x0e:
    case 0x12:
        forget_keys(t);
        return;
    case '\t':
        if (t->pasted) {
            insert_key(t, ' ');
        }
        return;
    default:
        return;
    }
}

static sp_alarm on_key(sp_alarm_term *t, sp_alarm_judge *judge, uint8_t ch)
{
    if (t->key_state == ESCAPE) {
        t->key_state = ch == '[' || ch == 'O' ? SEQUENCE : TEXT;
        t->key_number = 0;
        return (sp_alarm){0};
    }
    if (t->key_state == SEQUENCE) {
        if (sp_is_digit(ch)) {
            unsigned number = t->key_number * 10U + (unsigned)(ch - '0');
            t->key_number = number > UINT8_MAX ? UINT8_MAX : (uint8_t)number;
        } else if (ch >= 0x40) {
            t->key_state = TEXT;
            on_arrow(t, ch);
        }
        return (sp_alarm){0};
    }
    if (ch == ESC) {
        t->key_state = ESCAPE;
        begin_typing(t);
        return (sp_alarm){0};
    }
    if (ch == '\r' || ch == '\n') {
        return send_line(t, judge);
    }
    begin_typing(t);
    if (ch < 0x20 || ch == 0x7f) {
        on_control(t, ch);
    } else {
        insert_key(t, ch);
    }
    return (sp_alarm){0};
}

sp_alarm sp_alarm_typed(sp_alarm_term *term, sp_alarm_judge *judge, sp_span bytes)
{
    sp_alarm worst = {0};
    for (size_t i = 0; i < bytes.len; i++) {
        worst = worse(worst, on_key(term, judge, bytes.ptr[i]));
    }
    return worst;
}

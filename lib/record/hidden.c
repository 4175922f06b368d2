/* SPDX-License-Identifier: Apache-2.0
 * Counting lines that were typed and not shown.
 * OWNS nothing. PROCESS ssh gate. TRUST bytes are hostile. SPEC lib/record/hidden.h.
 */
#include "lib/record/hidden.h"

#include "lib/base/mem.h"

enum {
    ESC = 0x1b,
    BEL = 0x07,
    ERASE_LINE = 0x15,
    ACCEPT_LINE = 0x0f, /* readline's "operate and get next" */
    ANSWERED_AT_ONCE = 4,
    LINE_BYTES = 64, /* without an end: as good as a line */
    SECRETS_IN_A_ROW = 3,
    TAIL_BYTES = 256 /* of what is printed, when nothing waits */
};

enum { OUTSIDE, BEHIND_ESC, IN_SEQUENCE, IN_STRING, IN_STRING_ESC, BEHIND_ESC_O };

static bool prints(uint8_t ch)
{
    return ch >= 0x20 && ch != 0x7f;
}

static bool ends_line(uint8_t ch)
{
    return ch == '\r' || ch == '\n' || ch == ACCEPT_LINE;
}

/* True: this byte shows or is itself nothing, but belongs to a sequence. */
static bool in_escape(uint8_t *state, uint8_t ch)
{
    static const struct {
        uint8_t ch;
        uint8_t state;
    } next[] = {{'[', IN_SEQUENCE}, {']', IN_STRING}, {'P', IN_STRING}, {'O', BEHIND_ESC_O}};
    uint8_t before = *state;
    if (before == OUTSIDE) {
        *state = ch == ESC ? BEHIND_ESC : OUTSIDE;
        return ch == ESC;
    }
    if (before == BEHIND_ESC) {
        *state = OUTSIDE;
        for (size_t i = 0; i < SP_COUNT(next); i++) {
            *state = next[i].ch == ch ? next[i].state : *state;
        }
    } else if (before == IN_SEQUENCE) {
        *state = ch >= 0x40 && ch < 0x7f ? OUTSIDE : IN_SEQUENCE;
    } else if (before == IN_STRING) {
        *state = ch == BEL ? OUTSIDE : ch == ESC ? IN_STRING_ESC : IN_STRING;
    } else { /* ESC \, ESC O x */
        *state = OUTSIDE;
    }
    return true;
}

/* ---- what the line on the screen asks for ---- */

static bool has_word(sp_span text, sp_span word)
{
    for (size_t i = 0; i + word.len <= text.len; i++) {
        if (sp_span_eq_nocase(sp_span_slice(text, i, i + word.len), word)) {
            return true;
        }
    }
    return false;
}

static bool asks_secret(const sp_hidden *hidden)
{
    static const char *const WORDS[] = {"password",
                                        "passphrase",
                                        "passcode",
                                        "passwort",
                                        "kennwort",
                                        "secret",
                                        "token",
                                        "pin",
                                        "code",
                                        "otp",
                                        "\xE5\xAF\x86",
                                        "\xE5\x8F\xA3\xE4\xBB\xA4",
                                        "\xE9\xAA\x8C\xE8\xAF\x81"};
    sp_span text = sp_span_trim(sp_span_of(hidden->prompt, hidden->prompt_len));
    sp_span wide = SP_SPAN_LIT("\xEF\xBC\x9A"); /* a colon */
    uint8_t last = text.len > 0 ? text.ptr[text.len - 1] : 0;
    bool asks = last == ':' || last == '?' ||
                (text.len > wide.len &&
                 sp_span_eq(sp_span_slice(text, text.len - wide.len, text.len), wide));
    for (size_t i = 0; asks && i < SP_COUNT(WORDS); i++) {
        if (has_word(text, sp_span_cstr(WORDS[i]))) {
            return true;
        }
    }
    return false;
}

static void put_prompt(sp_hidden *hidden, uint8_t ch)
{
    if (ch == '\n' || ch == '\r') {
        hidden->prompt_len = 0;
    } else if (prints(ch)) {
        if (hidden->prompt_len == SP_HIDDEN_PROMPT_BYTES) {
            hidden->prompt_len = SP_HIDDEN_PROMPT_BYTES / 2;
            sp_copy(hidden->prompt, hidden->prompt + hidden->prompt_len, hidden->prompt_len);
        }
        hidden->prompt[hidden->prompt_len++] = ch;
    }
}

/* ---- lines that wait ---- */

static void take_out(sp_hidden *hidden, size_t at)
{
    for (size_t i = at + 1; i < hidden->line_count; i++) {
        hidden->lines[i - 1] = hidden->lines[i];
    }
    sp_wipe(&hidden->lines[--hidden->line_count], sizeof(sp_hidden_line));
}

/* Not shown: unless it answered a question for a secret, it counts. */
static uint32_t decide_first(sp_hidden *hidden)
{
    const sp_hidden_line *line = &hidden->lines[0];
    uint32_t count = 1 + line->more;
    if (line->asked && hidden->secrets < SECRETS_IN_A_ROW) {
        hidden->secrets++;
        count--;
    }
    take_out(hidden, 0);
    return count;
}

static uint32_t decide(sp_hidden *hidden, uint64_t now_us)
{
    uint32_t count = 0;
    while (hidden->line_count > 0 && now_us >= hidden->lines[0].sent_us + SP_HIDDEN_ECHO_US) {
        count += decide_first(hidden);
    }
    return count;
}

static void answered(sp_hidden *hidden)
{
    sp_wipe(&hidden->typing, sizeof(hidden->typing));
    hidden->keys = 0;
}

static void send(sp_hidden *hidden, uint64_t now_us)
{
    if (hidden->typing.len == 0) {
        return; /* nothing in it, or it is shown */
    }
    if (hidden->line_count == SP_HIDDEN_LINES_MAX) {
        hidden->lines[SP_HIDDEN_LINES_MAX - 1].more++;
    } else {
        hidden->typing.sent_us = now_us;
        hidden->typing.matched = 0;
        hidden->lines[hidden->line_count++] = hidden->typing;
    }
    answered(hidden);
}

static void key(sp_hidden *hidden, uint8_t ch, uint64_t now_us)
{
    sp_hidden_line *line = &hidden->typing;
    if (ch == ERASE_LINE) {
        answered(hidden);
    } else if ((ch == 0x7f || ch == 0x08) && hidden->keys > 0) {
        hidden->keys--;
        line->len = hidden->keys < line->len ? (uint8_t)hidden->keys : line->len;
        line->matched = 0;
    } else if (prints(ch)) {
        line->asked = hidden->keys == 0 ? asks_secret(hidden) : line->asked;
        if (line->len < SP_HIDDEN_KEPT_BYTES && line->len == hidden->keys) {
            line->keys[line->len++] = ch;
        }
        if (++hidden->keys == LINE_BYTES && !line->asked) {
            send(hidden, now_us);
        }
    }
}

uint32_t sp_hidden_typed(sp_hidden *hidden, sp_span bytes, uint64_t now_us)
{
    uint32_t count = decide(hidden, now_us);
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t ch = bytes.ptr[i];
        if (in_escape(&hidden->key_escape, ch)) {
            continue;
        }
        if (ends_line(ch)) {
            send(hidden, now_us);
        } else {
            key(hidden, ch, now_us);
        }
    }
    return count;
}

/* The next letters that are printed are those that were typed. */
static bool matches(sp_hidden_line *line, uint8_t ch)
{
    uint8_t at = line->keys[line->matched] == ch ? line->matched : 0;
    line->matched = line->keys[at] == ch ? (uint8_t)(at + 1) : 0;
    return line->matched == line->len;
}

static void printed(sp_hidden *hidden, uint8_t ch)
{
    for (size_t i = hidden->line_count; i-- > 0;) {
        if (matches(&hidden->lines[i], ch)) {
            hidden->secrets = 0;
            take_out(hidden, i);
        }
    }
    if (hidden->typing.len > 0 && matches(&hidden->typing, ch)) {
        hidden->secrets = 0;
        answered(hidden);
    }
}

uint32_t sp_hidden_printed(sp_hidden *hidden, sp_span bytes, uint64_t now_us)
{
    uint32_t count = decide(hidden, now_us);
    bool waits = hidden->line_count > 0 || hidden->typing.len > 0;
    if (!waits && bytes.len > TAIL_BYTES) {
        hidden->escape = OUTSIDE;
        bytes = sp_span_slice(bytes, bytes.len - TAIL_BYTES, bytes.len);
    }
    if (hidden->keys <= ANSWERED_AT_ONCE && bytes.len > 0 && hidden->typing.len > 0) {
        answered(hidden); /* whatever it is: a letter, a star, another picture */
    }
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t ch = bytes.ptr[i];
        if (in_escape(&hidden->escape, ch)) {
            continue;
        }
        if (prints(ch)) {
            printed(hidden, ch);
        }
        put_prompt(hidden, ch);
    }
    return count;
}

uint32_t sp_hidden_end(sp_hidden *hidden)
{
    uint32_t count = decide(hidden, UINT64_MAX - SP_HIDDEN_ECHO_US);
    answered(hidden);
    return count;
}

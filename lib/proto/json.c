/* SPDX-License-Identifier: Apache-2.0
 * Escaping and checking JSON.
 * OWNS nothing. PROCESS ledger. TRUST input is hostile. SPEC lib/proto/json.h.
 */
#include "lib/proto/json.h"

enum { NUMBER_MAX_BYTES = 18 };

/* Bytes of the UTF-8 sequence at text, 0 when it is none. */
static size_t sequence_len(sp_span text)
{
    uint8_t c = text.ptr[0];
    size_t len = c < 0x80 ? 1 : (c < 0xE0 ? 2 : (c < 0xF0 ? 3 : 4));
    return len <= text.len && sp_span_is_utf8((sp_span){text.ptr, len}) ? len : 0;
}

static size_t escape_control(uint8_t c, uint8_t *room)
{
    static const char hex[] = "0123456789abcdef";
    const uint8_t text[] = {'\\', 'u', '0', '0', (uint8_t)hex[c >> 4], (uint8_t)hex[c & 15]};
    sp_copy(room, text, sizeof(text));
    return sizeof(text);
}

size_t sp_json_escape(sp_span text, uint8_t *room)
{
    uint8_t *at = room;
    while (text.len > 0) {
        size_t plain = sp_span_plain(text);
        sp_copy(at, text.ptr, plain);
        at += plain;
        text = sp_span_slice(text, plain, text.len);
        if (text.len == 0) {
            break;
        }
        uint8_t c = text.ptr[0];
        size_t len = sequence_len(text);
        if (len == 0) {
            sp_copy(at, "\xEF\xBF\xBD", 3);
            at += 3;
            len = 1;
        } else if (c < 0x20 || c == 0x7F) {
            at += escape_control(c, at);
        } else if (c == '"' || c == '\\') {
            *at++ = '\\';
            *at++ = c;
        } else {
            sp_copy(at, text.ptr, len);
            at += len;
        }
        text = sp_span_slice(text, len, text.len);
    }
    return (size_t)(at - room);
}

/* A cursor that fails for good. */
typedef struct {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
} cursor;

static int peek(const cursor *c)
{
    return c->bad || c->at == c->end ? -1 : *c->at;
}

static void blanks(cursor *c)
{
    while (peek(c) == ' ' || peek(c) == '\t' || peek(c) == '\n' || peek(c) == '\r') {
        c->at++;
    }
}

static bool take(cursor *c, int byte)
{
    if (peek(c) != byte) {
        return false;
    }
    c->at++;
    return true;
}

static void need(cursor *c, int byte)
{
    c->bad = c->bad || !take(c, byte);
}

static bool is_digit(int byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_hex(int byte)
{
    return is_digit(byte) || (byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F');
}

/* \u0000 and surrogates are refused: not every reader takes them. */
static void escape(cursor *c)
{
    int kind = peek(c);
    c->bad = c->bad || kind <= 0 || sp_span_index(SP_SPAN_LIT("\"\\/bfnrtu"), (uint8_t)kind) == 9;
    if (c->bad) {
        return;
    }
    c->at++;
    sp_span four = sp_span_slice((sp_span){c->at, (size_t)(c->end - c->at)}, 0, 4);
    for (int i = 0; kind == 'u' && i < 4; i++) {
        c->bad = c->bad || !is_hex(peek(c));
        c->at += c->bad ? 0 : 1;
    }
    bool surrogate = four.len == 4 && (four.ptr[0] | 0x20) == 'd' && four.ptr[1] >= '8';
    c->bad = c->bad || (kind == 'u' && (surrogate || sp_span_eq(four, SP_SPAN_LIT("0000"))));
}

static void string(cursor *c)
{
    need(c, '"');
    while (!c->bad) {
        c->at += sp_span_plain((sp_span){c->at, (size_t)(c->end - c->at)});
        if (take(c, '"')) {
            return;
        }
        int byte = peek(c);
        if (byte < 0x20) {
            c->bad = true;
        } else if (take(c, '\\')) {
            escape(c);
        } else {
            c->at++;
        }
    }
}

static void digits(cursor *c)
{
    c->bad = c->bad || !is_digit(peek(c));
    while (is_digit(peek(c))) {
        c->at++;
    }
}

/* Numbers that every reader can hold: 18 characters, an exponent of two digits. */
static void number(cursor *c)
{
    const uint8_t *start = c->at;
    take(c, '-');
    if (!take(c, '0')) {
        digits(c);
    }
    if (take(c, '.')) {
        digits(c);
    }
    if (take(c, 'e') || take(c, 'E')) {
        if (!take(c, '+')) {
            take(c, '-');
        }
        const uint8_t *exponent = c->at;
        digits(c);
        c->bad = c->bad || c->at - exponent > 2;
    }
    c->bad = c->bad || c->at - start > NUMBER_MAX_BYTES;
}

static void word(cursor *c, sp_span want)
{
    for (size_t i = 0; i < want.len; i++) {
        need(c, want.ptr[i]);
    }
}

static void scalar(cursor *c)
{
    switch (peek(c)) {
    case '"':
        string(c);
        return;
    case 't':
        word(c, SP_SPAN_LIT("true"));
        return;
    case 'f':
        word(c, SP_SPAN_LIT("false"));
        return;
    case 'n':
        word(c, SP_SPAN_LIT("null"));
        return;
    default:
        number(c);
    }
}

static void name(cursor *c)
{
    blanks(c);
    string(c);
    blanks(c);
    need(c, ':');
}

/* Objects and lists that are open, by the byte that closes each. */
typedef struct {
    uint8_t closers[SP_JSON_DEPTH_MAX];
    size_t depth;
} nest;

static bool in_object(const nest *n)
{
    return n->closers[n->depth - 1] == '}';
}

/* Takes the opening byte and, in an object, the first name. True: a value comes next; false: it
 * was empty, its closing byte comes next. */
static bool open_one(cursor *c, nest *n)
{
    bool object = take(c, '{');
    if (n->depth == SP_JSON_DEPTH_MAX) {
        c->bad = true;
        return false;
    }
    c->at += object ? 0 : 1;
    n->closers[n->depth++] = object ? '}' : ']';
    blanks(c);
    if (peek(c) == n->closers[n->depth - 1]) {
        return false;
    }
    if (object) {
        name(c);
    }
    return true;
}

bool sp_json_is_object(sp_span text)
{
    nest n = {.depth = 0};
    cursor c = {text.ptr, text.ptr + text.len, text.len == 0 || !sp_span_is_utf8(text)};
    blanks(&c);
    c.bad = c.bad || peek(&c) != '{';
    while (!c.bad) {
        blanks(&c);
        if (peek(&c) == '{' || peek(&c) == '[') {
            if (open_one(&c, &n)) {
                continue;
            }
        } else {
            scalar(&c);
        }
        /* a value has ended */
        for (blanks(&c); n.depth > 0 && take(&c, n.closers[n.depth - 1]); blanks(&c)) {
            n.depth--;
        }
        if (n.depth == 0) {
            return !c.bad && c.at == c.end;
        }
        need(&c, ',');
        if (in_object(&n)) {
            name(&c);
        }
    }
    return false;
}

/* SPDX-License-Identifier: Apache-2.0
 * Variables and escaping.
 * OWNS nothing. PROCESS core, cli. TRUST values are hostile. SPEC lib/notice/template.h.
 */
#include "lib/notice/template.h"

const char *const sp_value_kind_words[SP_VALUE_KIND_COUNT + 1] = {"text", "name", "number",
                                                                  "time", "url",  NULL};

/* ---- variables ---- */

bool sp_variable_name_ok(sp_span name)
{
    if (name.len == 0 || name.len > SP_VARIABLE_NAME_MAX_BYTES || name.ptr[0] < 'a' ||
        name.ptr[0] > 'z') {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (!sp_is_lower_alnum(name.ptr[i]) && name.ptr[i] != '_') {
            return false;
        }
    }
    return true;
}

bool sp_template_next(sp_span text, size_t *at, sp_span *ret_piece, sp_span *ret_name)
{
    enum { BRACES = 2, PIECE_SHOWN = 40 };
    sp_span rest = sp_span_slice(text, *at, text.len);
    size_t open = sp_span_find(rest, SP_SPAN_LIT("{{"));
    if (open == rest.len) {
        return false;
    }
    sp_span inner = sp_span_slice(rest, open + BRACES, rest.len);
    size_t close = sp_span_find(inner, SP_SPAN_LIT("}}"));
    sp_span name = sp_span_slice(inner, 0, close);
    if (close < inner.len && sp_variable_name_ok(name)) {
        *ret_name = name;
        *ret_piece = sp_span_slice(rest, open, open + name.len + BRACES + BRACES);
        *at += open + ret_piece->len;
    } else {
        *ret_name = SP_SPAN_EMPTY;
        *ret_piece = sp_text_cut(sp_span_slice(rest, open, rest.len), PIECE_SHOWN);
        *at += open + BRACES;
    }
    return true;
}

/* ---- characters ---- */

/* Bytes of the character at the front; what is no UTF-8 is one byte, *ret_point 0xFFFD. */
static size_t next_point(sp_span text, uint32_t *ret_point)
{
    uint8_t first = text.ptr[0];
    size_t len = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (len > text.len || !sp_span_is_utf8(sp_span_slice(text, 0, len))) {
        *ret_point = 0xfffd;
        return 1;
    }
    uint32_t point = len == 1 ? first : first & (0xffU >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        point = point << 6 | (text.ptr[i] & 0x3fU);
    }
    *ret_point = point;
    return len;
}

sp_span sp_text_cut(sp_span text, size_t max_bytes)
{
    size_t len = text.len < max_bytes ? text.len : max_bytes;
    while (len > 0 && len < text.len && (text.ptr[len] & 0xc0) == 0x80) {
        len--;
    }
    return sp_span_slice(text, 0, len);
}

/* Shown by nobody, but it changes what the others look like. */
static bool is_hidden(uint32_t point)
{
    return (point >= 0x200b && point <= 0x200f) || (point >= 0x202a && point <= 0x202e) ||
           (point >= 0x2060 && point <= 0x206f) || point == 0xfeff || point == 0xad ||
           point == 0x61c || point == 0x180e || (point >= 0xfff9 && point <= 0xfffb) ||
           (point >= 0xe0000 && point <= 0xe0fff);
}

static bool is_control(uint32_t point)
{
    return point < ' ' || (point >= 0x7f && point < 0xa0) || point == 0x2028 || point == 0x2029;
}

/* What is special in Markdown or begins a mention or a tag, in its full width: it looks the same
 * and means nothing. */
static bool is_special_in_chat(uint32_t point)
{
    return point < 0x80 && point != 0 && strchr("*_`~[]<>#@|\\!&", (int)point) != NULL;
}

static void put_full_width(uint32_t point, sp_buf *out)
{
    uint32_t wide = point + 0xfee0;
    sp_buf_byte(out, (uint8_t)(0xe0 | wide >> 12));
    sp_buf_byte(out, (uint8_t)(0x80 | (wide >> 6 & 0x3f)));
    sp_buf_byte(out, (uint8_t)(0x80 | (wide & 0x3f)));
}

static void put_slack(uint32_t point, sp_span bytes, sp_buf *out)
{
    if (point == '&') {
        sp_buf_text(out, "&amp;");
    } else if (point == '<') {
        sp_buf_text(out, "&lt;");
    } else if (point == '>') {
        sp_buf_text(out, "&gt;");
    } else if (is_special_in_chat(point)) {
        put_full_width(point, out);
    } else {
        sp_buf_span(out, bytes);
    }
}

static void put_point(uint32_t point, sp_span bytes, sp_form form, sp_buf *out)
{
    if (point == 0xfffd) {
        bytes = SP_SPAN_LIT("\xef\xbf\xbd");
    }
    switch (form) {
    case SP_FORM_HTML:
        sp_buf_html(out, bytes);
        break;
    case SP_FORM_SLACK:
        put_slack(point, bytes, out);
        break;
    case SP_FORM_CHAT:
    case SP_FORM_BARE:
        if (is_special_in_chat(point)) {
            put_full_width(point, out);
        } else {
            sp_buf_span(out, bytes);
        }
        break;
    case SP_FORM_LINE:
    case SP_FORM_PLAIN:
    case SP_FORM_COUNT:
        sp_buf_span(out, bytes);
        break;
    }
}

/* breaks: line ends of the author are kept; of a value they become blanks. */
static void put_text(sp_span text, bool breaks, sp_form form, sp_buf *out)
{
    while (text.len > 0) {
        uint32_t point = 0;
        size_t len = next_point(text, &point);
        sp_span bytes = sp_span_slice(text, 0, len);
        text = sp_span_slice(text, len, text.len);
        if (point == '\n' && breaks && form != SP_FORM_LINE) {
            sp_buf_text(out, form == SP_FORM_HTML ? "<br>\n" : "\n");
        } else if (is_control(point)) {
            sp_buf_byte(out, ' ');
        } else if (!is_hidden(point)) {
            put_point(point, bytes, form, out);
        }
    }
}

/* The next character that is shown; *ret_len: bytes up to its end. False: there is none. */
static bool next_shown(sp_span text, uint32_t *ret_point, size_t *ret_len)
{
    size_t at = 0;
    while (at < text.len) {
        at += next_point(sp_span_slice(text, at, text.len), ret_point);
        if (!is_hidden(*ret_point)) {
            *ret_len = at;
            return true;
        }
    }
    return false;
}

static bool is_letter(uint32_t point)
{
    return point > 0x7f || (point >= 'a' && point <= 'z') || (point >= 'A' && point <= 'Z');
}

static bool is_word(uint32_t point)
{
    return is_letter(point) || (point >= '0' && point <= '9');
}

/* A text like "https://evil.example" or "www.evil.example" is made a link by the reader's program:
 * a colon before a slash, and a dot between letters, are written in full width. What is hidden
 * between them is not shown, so it does not hide them here either. A line (a subject) has no links.
 */
static void put_unlinked(sp_span text, sp_form form, sp_buf *out)
{
    uint32_t before = ' ';
    while (text.len > 0) {
        uint32_t point = 0;
        uint32_t after = ' ';
        size_t len = 0;
        size_t next = 0;
        if (!next_shown(text, &point, &len)) {
            return;
        }
        sp_span rest = sp_span_slice(text, len, text.len);
        bool more = next_shown(rest, &after, &next);
        if (point == ':' && more && after == '/') {
            sp_buf_text(out, "：");
        } else if (point == '.' && more && is_word(before) && is_letter(after) &&
                   form != SP_FORM_LINE) {
            sp_buf_text(out, "．");
        } else {
            put_text(sp_span_slice(text, 0, len), false, form, out);
        }
        before = point;
        text = rest;
    }
}

/* ---- values ---- */

static bool all_digits(sp_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!sp_is_digit(text.ptr[i])) {
            return false;
        }
    }
    return text.len > 0 && text.len <= 20;
}

/* 2026-03-01T08:00:00Z, with or without a fraction and an offset: only its letters are looked at.
 */
static bool is_time(sp_span text)
{
    enum { LEAST = 17, MOST = 35 };
    for (size_t i = 0; i < text.len; i++) {
        if (!sp_is_digit(text.ptr[i]) && strchr("-:.+TZ", text.ptr[i]) == NULL) {
            return false;
        }
    }
    return text.len >= LEAST && text.len <= MOST && text.ptr[4] == '-' && text.ptr[10] == 'T';
}

static bool is_url(sp_span text)
{
    sp_span https = SP_SPAN_LIT("https://");
    if (!sp_span_starts(text, https) || text.len == https.len) {
        return false;
    }
    for (size_t i = https.len; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (!sp_is_unreserved(c) && (c == 0 || strchr("/?=%#:;,+$", c) == NULL)) {
            return false;
        }
    }
    return true;
}

const char *sp_value_fault(sp_value_kind kind, sp_span text)
{
    switch (kind) {
    case SP_VALUE_NUMBER:
        return all_digits(text) ? NULL : "a whole number";
    case SP_VALUE_TIME:
        return is_time(text) ? NULL : "a time as in 2026-03-01T08:00:00Z";
    case SP_VALUE_URL:
        return is_url(text) ? NULL : "an address that begins with https://, percent-encoded";
    case SP_VALUE_TEXT:
    case SP_VALUE_NAME:
    case SP_VALUE_KIND_COUNT:
        break;
    }
    return sp_span_is_utf8(text) ? NULL : "a text in UTF-8";
}

static void put_url(sp_span url, sp_form form, sp_buf *out)
{
    switch (form) {
    case SP_FORM_HTML:
        sp_buf_text(out, "<a href=\"");
        sp_buf_html(out, url);
        sp_buf_text(out, "\">");
        sp_buf_html(out, url);
        sp_buf_text(out, "</a>");
        break;
    case SP_FORM_SLACK:
        sp_buf_byte(out, '<');
        sp_buf_span(out, url);
        sp_buf_byte(out, '>');
        break;
    case SP_FORM_CHAT:
        sp_buf_byte(out, '[');
        put_text(url, false, form, out);
        sp_buf_text(out, "](");
        sp_buf_span(out, url);
        sp_buf_byte(out, ')');
        break;
    case SP_FORM_LINE:
    case SP_FORM_PLAIN:
    case SP_FORM_BARE:
    case SP_FORM_COUNT:
        sp_buf_span(out, url);
        break;
    }
}

void sp_form_value(sp_span text, sp_value_kind kind, sp_form form, sp_buf *out)
{
    sp_span shown = sp_text_cut(text, SP_VALUE_SHOWN_MAX_BYTES);
    if (kind == SP_VALUE_URL && sp_value_fault(kind, text) == NULL) {
        put_url(text, form, out);
        return;
    }
    put_unlinked(shown, form, out);
    if (shown.len < text.len) {
        sp_buf_text(out, "…");
    }
}

static void put_variable(sp_span name, const sp_notice_value *values, size_t count, sp_form form,
                         sp_buf *out)
{
    for (size_t i = 0; i < count; i++) {
        if (sp_span_eq(values[i].name, name)) {
            sp_form_value(values[i].text, (sp_value_kind)values[i].kind, form, out);
            return;
        }
    }
    sp_buf_byte(out, '(');
    put_text(name, false, form, out);
    sp_buf_byte(out, ')');
}

void sp_template_render(sp_span text, const sp_notice_value *values, size_t count, sp_form form,
                        sp_buf *out)
{
    size_t at = 0;
    size_t done = 0;
    sp_span piece;
    sp_span name;
    while (sp_template_next(text, &at, &piece, &name)) {
        if (name.len == 0) {
            continue; /* plain braces */
        }
        put_text(sp_span_slice(text, done, at - piece.len), true, form, out);
        put_variable(name, values, count, form, out);
        done = at;
    }
    put_text(sp_span_slice(text, done, text.len), true, form, out);
}

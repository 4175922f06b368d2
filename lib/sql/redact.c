/* SPDX-License-Identifier: Apache-2.0
 * Redaction: a small lexer that finds where literals begin and end.
 * OWNS nothing. PROCESS database gate. TRUST the text is hostile and need not parse.
 * SPEC lib/sql/redact.h; PostgreSQL 15 manual, 4.1 "Lexical Structure".
 */
#include "lib/sql/redact.h"

#include "lib/base/mem.h"
#include "lib/sql/lexing.h"

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

static bool stands_at(sp_span text, size_t at, const char *word)
{
    size_t i = 0;
    while (word[i] != '\0') {
        if (at + i >= text.len || lower(text.ptr[at + i]) != (uint8_t)word[i]) {
            return false;
        }
        i++;
    }
    return true;
}

/* How the words about something secret begin. */
enum { AP, CO, CR, DB, HM, PA, PG, PO, PR, PW, SE, TO, US, BEGINNINGS };
enum { WORDS_EACH = 3 };
static const char *const secret_words[BEGINNINGS][WORDS_EACH] = {
    [AP] = {"api_key", "apikey"},
    [CO] = {"conninfo", "connection"},
    [CR] = {"credential", "crypt"},
    [DB] = {"dblink"},
    [HM] = {"hmac"},
    [PA] = {"passw", "passphrase", "passcode"},
    [PG] = {"pgp_"},
    [PO] = {"postgres"},
    [PR] = {"private key", "private_key", "privatekey"},
    [PW] = {"pwd"},
    [SE] = {"secret"},
    [TO] = {"token"},
    [US] = {"user mapping"},
};

/* A bit for each beginning that has the byte there, whatever its case: most places of a text are
 * passed by with these. */
#define BIT(beginning) (UINT16_C(1) << (beginning))
#define BOTH_CASES(small, bits) [small] = (bits), [(small)-0x20] = (bits)
static const uint16_t as_first[256] = {
    BOTH_CASES('a', BIT(AP)),
    BOTH_CASES('c', BIT(CO) | BIT(CR)),
    BOTH_CASES('d', BIT(DB)),
    BOTH_CASES('h', BIT(HM)),
    BOTH_CASES('p', BIT(PA) | BIT(PG) | BIT(PO) | BIT(PR) | BIT(PW)),
    BOTH_CASES('s', BIT(SE)),
    BOTH_CASES('t', BIT(TO)),
    BOTH_CASES('u', BIT(US)),
};
static const uint16_t as_second[256] = {
    BOTH_CASES('a', BIT(PA)), BOTH_CASES('b', BIT(DB)),
    BOTH_CASES('e', BIT(SE)), BOTH_CASES('g', BIT(PG)),
    BOTH_CASES('m', BIT(HM)), BOTH_CASES('o', BIT(CO) | BIT(PO) | BIT(TO)),
    BOTH_CASES('p', BIT(AP)), BOTH_CASES('r', BIT(CR) | BIT(PR)),
    BOTH_CASES('s', BIT(US)), BOTH_CASES('w', BIT(PW)),
};
#undef BOTH_CASES
#undef BIT

/* Where the first word about something secret ends; 0 = there is none. */
static size_t end_of_secret_word(sp_span text)
{
    for (size_t at = 0; at + 1 < text.len; at++) {
        unsigned beginning = as_first[text.ptr[at]] & as_second[text.ptr[at + 1]];
        if (beginning == 0) {
            continue;
        }
        const char *const *words = secret_words[__builtin_ctz(beginning)]; /* two letters: one */
        for (size_t i = 0; i < WORDS_EACH && words[i] != NULL; i++) {
            if (stands_at(text, at, words[i])) {
                return at + sp_span_cstr(words[i]).len;
            }
        }
    }
    return 0;
}

bool sp_sql_names_secret(sp_span text)
{
    return end_of_secret_word(text) > 0;
}

bool lex_is_name_byte(uint8_t c)
{
    return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '_' || c >= 0x80;
}

/* The end of '...' that opens at at; *ret_doubt when a backslash may have moved it. len: no end. */
static size_t end_of_quoted(sp_span text, size_t at, bool has_escapes, bool *ret_doubt)
{
    for (size_t i = at + 1; i < text.len; i++) {
        if (text.ptr[i] == '\\') {
            *ret_doubt |= !has_escapes;
            i += has_escapes ? 1 : 0;
        } else if (text.ptr[i] == '\'') {
            if (i + 1 == text.len || text.ptr[i + 1] != '\'') {
                return i + 1;
            }
            i++;
        }
    }
    return text.len;
}

/* The end of $tag$...$tag$ that opens at at, or at when that is none. */
static size_t end_of_dollar(sp_span text, size_t at)
{
    size_t i = at + 1;
    while (i < text.len && lex_is_name_byte(text.ptr[i])) {
        i++;
    }
    if (i >= text.len || text.ptr[i] != '$' ||
        (i > at + 1 && text.ptr[at + 1] >= '0' && text.ptr[at + 1] <= '9')) {
        return at;
    }
    sp_span tag = sp_span_slice(text, at, i + 1);
    size_t close = sp_span_find(sp_span_slice(text, i + 1, text.len), tag);
    size_t end = i + 1 + close + tag.len;
    return end < text.len ? end : text.len;
}

size_t lex_end_of_comment(sp_span text, size_t at)
{
    if (text.ptr[at] == '-') {
        while (at < text.len && text.ptr[at] != '\n' && text.ptr[at] != '\r') {
            at++;
        }
        return at;
    }
    unsigned depth = 0;
    for (; at + 1 < text.len; at++) {
        if (text.ptr[at] == '/' && text.ptr[at + 1] == '*') {
            depth++;
            at++;
        } else if (text.ptr[at] == '*' && text.ptr[at + 1] == '/') {
            at++;
            if (--depth == 0) {
                return at + 1;
            }
        }
    }
    return text.len;
}

size_t lex_end_of_name(sp_span text, size_t at)
{
    for (size_t i = at + 1; i < text.len; i++) {
        if (text.ptr[i] == '"') {
            return i + 1;
        }
    }
    return text.len;
}

bool lex_opens_comment(sp_span text, size_t at)
{
    return at + 1 < text.len && ((text.ptr[at] == '-' && text.ptr[at + 1] == '-') ||
                                 (text.ptr[at] == '/' && text.ptr[at + 1] == '*'));
}

/* Whether the quote at `at` follows an E of its own: escapes are read. */
static bool follows_e(sp_span text, size_t at)
{
    return at > 0 && lower(text.ptr[at - 1]) == 'e' &&
           (at == 1 || !lex_is_name_byte(text.ptr[at - 2]));
}

/* The end of a literal of quotes or dollars that opens at `at`; at: none does. */
static size_t end_of_literal(sp_span text, size_t at, bool *ret_doubt)
{
    if (text.ptr[at] == '\'') {
        return end_of_quoted(text, at, follows_e(text, at), ret_doubt);
    }
    bool in_name = at > 0 && lex_is_name_byte(text.ptr[at - 1]);
    return text.ptr[at] == '$' && !in_name ? end_of_dollar(text, at) : at;
}

/* Of a number that opens at `at`; at: none does. What follows e- is another one. */
static size_t end_of_number(sp_span text, size_t at)
{
    bool goes_on = at > 0 && (lex_is_name_byte(text.ptr[at - 1]) || text.ptr[at - 1] == '$');
    size_t end = at;
    while (!goes_on && text.ptr[at] >= '0' && text.ptr[at] <= '9' && end < text.len &&
           (lex_is_name_byte(text.ptr[end]) || text.ptr[end] == '.')) {
        end++;
    }
    return end;
}

/* Bytes with which a literal, a name in quotes, a comment or a number may begin. */
static bool may_open(uint8_t c)
{
    return c == '\'' || c == '"' || c == '$' || c == '-' || c == '/' || (c >= '0' && c <= '9');
}

static size_t end_of_plain(sp_span text, size_t at)
{
    do {
        at++;
    } while (at < text.len && !may_open(text.ptr[at]));
    return at;
}

/* Without comments (a comment may quote anything) and, with hides, without literals; no more of it
 * than is enough. False: only up to the first doubtful one. */
static bool leave_out(sp_span text, bool hides, size_t enough, sp_buf *out)
{
    size_t i = 0;
    while (i < text.len && out->len < enough) {
        bool doubt = false;
        size_t end = end_of_literal(text, i, &doubt);
        size_t number_end = hides ? end_of_number(text, i) : i;
        if (doubt) {
            sp_buf_text(out, "'***' ...");
            return false;
        }
        if (end > i && hides) {
            sp_buf_text(out, "'***'");
        } else if (number_end > i) {
            sp_buf_text(out, "***");
            end = number_end;
        } else if (end == i && lex_opens_comment(text, i)) {
            end = lex_end_of_comment(text, i);
            sp_buf_text(out, " ");
        } else {
            end = end > i              ? end
                  : text.ptr[i] == '"' ? lex_end_of_name(text, i)
                                       : end_of_plain(text, i);
            sp_buf_span(out, sp_span_slice(text, i, end));
        }
        i = end;
    }
    return true;
}

/* Left out is what the text calls for, when it says outside of comments that it is about something
 * secret, or is_secret: all literals; else the comments alone. False: as leave_out(). */
static bool leave_secrets_out(sp_span text, bool is_secret, size_t enough, sp_buf *out)
{
    auto_buf sp_buf plain = sp_buf_make(text.len + 64);
    bool is_sure =
        !is_secret && leave_out(text, false, SIZE_MAX, &plain) && !sp_failed(sp_buf_error(&plain));
    if (is_sure && !sp_sql_names_secret(sp_buf_borrow(&plain))) {
        sp_buf_span(out, sp_buf_borrow(&plain));
        return true;
    }
    return leave_out(text, true, enough, out);
}

/* Only what a ledger may hold: UTF-8 without control bytes, cut. */
static void put_clean(sp_span text, size_t max_bytes, sp_buf *out)
{
    size_t cut = text.len < max_bytes ? text.len : max_bytes;
    while (cut > 0 && cut < text.len && (text.ptr[cut] & 0xC0) == 0x80) {
        cut--;
    }
    sp_span kept = sp_span_slice(text, 0, cut);
    bool is_utf8 = sp_span_is_utf8(kept);
    bool has_control = false;
    for (size_t i = sp_span_plain(kept); i < cut; i++) {
        has_control |= text.ptr[i] < 0x20 || text.ptr[i] == 0x7F;
    }
    if (is_utf8 && !has_control) { /* nearly always */
        sp_buf_span(out, kept);
        sp_buf_text(out, cut < text.len ? "..." : "");
        return;
    }
    for (size_t i = 0; i < cut; i++) {
        uint8_t c = text.ptr[i];
        if (c < 0x20 || c == 0x7F) {
            c = ' ';
        } else if (c >= 0x80 && !is_utf8) {
            c = '?';
        }
        sp_buf_byte(out, c);
    }
    sp_buf_text(out, cut < text.len ? "..." : "");
}

void sp_sql_redact(sp_span text, bool is_secret, size_t max_bytes, sp_buf *out)
{
    if (!is_secret && !sp_sql_names_secret(text)) {
        put_clean(text, max_bytes, out);
        return;
    }
    auto_buf sp_buf hidden = sp_buf_make(text.len * 5 + 64);
    (void)leave_secrets_out(text, is_secret, max_bytes + 1, &hidden); /* where it ends is seen */
    put_clean(sp_buf_borrow(&hidden), max_bytes, out);
}

void sp_sql_redact_unread(sp_span text, size_t max_bytes, sp_buf *out)
{
    auto_buf sp_buf hidden = sp_buf_make(text.len * 5 + 64);
    (void)leave_out(text, true, SIZE_MAX, &hidden); /* where it ends is seen */
    sp_span left = sp_buf_borrow(&hidden);
    size_t end = end_of_secret_word(left);
    if (end > 0) {
        while (end < left.len && lex_is_name_byte(left.ptr[end])) {
            end++;
        }
        put_clean(sp_span_slice(left, 0, end), max_bytes, out);
        sp_buf_text(out, " ...");
        return;
    }
    put_clean(left, max_bytes, out);
}

/* ---- for people who decide ---- */

/* A comment to the end of its line, which no screen shows as one. */
static bool ends_at_return(sp_span text, size_t at, size_t end)
{
    return text.ptr[at] == '-' && end < text.len && text.ptr[end] == '\r' &&
           (end + 1 == text.len || text.ptr[end + 1] != '\n');
}

/* Lines that a literal, a comment or a name goes over look like what is put behind the statement.
 */
static void put_lines(sp_span one, sp_buf *out)
{
    size_t from = 0;
    for (size_t i = 0; i < one.len; i++) {
        if (one.ptr[i] == '\n') {
            sp_buf_seen(out, sp_span_slice(one, from, i));
            sp_buf_text(out, "<U+000A>\n");
            from = i + 1;
        }
    }
    sp_buf_seen(out, sp_span_slice(one, from, one.len));
}

/* The server takes all that is not ASCII into a bare name: an alias may look like a blank, WHERE, a
 * blank and a condition. Where literals begin is in doubt, all behind it counts as bare. */
static void put_seen(sp_span text, bool goes_on, sp_buf *out)
{
    size_t i = 0;
    while (i < text.len) {
        bool doubt = false;
        size_t end = end_of_literal(text, i, &doubt);
        end = end > i                      ? end
              : lex_opens_comment(text, i) ? lex_end_of_comment(text, i)
              : text.ptr[i] == '"'         ? lex_end_of_name(text, i)
                                           : i;
        if (end > i && !doubt) {
            if (goes_on) {
                put_lines(sp_span_slice(text, i, end), out);
            } else {
                sp_buf_seen(out, sp_span_slice(text, i, end));
            }
            if (ends_at_return(text, i, end)) {
                sp_buf_text(out, "<U+000D>\n");
                end++;
            }
        } else {
            end = doubt ? text.len : end_of_plain(text, i);
            sp_buf_seen_bare(out, sp_span_slice(text, i, end));
        }
        i = end;
    }
}

bool sp_sql_show(sp_span text, bool is_secret, bool goes_on, size_t max_bytes, sp_buf *out)
{
    auto_buf sp_buf seen = sp_buf_make(max_bytes);
    auto_buf sp_buf hidden = sp_buf_make(text.len * 5 + 64);
    bool whole = sp_span_is_utf8(text);
    if (whole && (is_secret || sp_sql_names_secret(text))) {
        whole = leave_secrets_out(text, is_secret, SIZE_MAX, &hidden) &&
                !sp_failed(sp_buf_error(&hidden));
        text = sp_buf_borrow(&hidden);
    }
    if (whole) {
        put_seen(text, goes_on, &seen);
    }
    if (!whole || sp_failed(sp_buf_error(&seen))) {
        return false;
    }
    sp_buf_span(out, sp_buf_borrow(&seen));
    return true;
}

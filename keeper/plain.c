/* SPDX-License-Identifier: Apache-2.0
 * Colons in SQL.
 * OWNS nothing. PROCESS keeper. TRUST see plain.h. SPEC keeper/plain.h.
 */
#include "keeper/plain.h"

enum { SQL, VALUE, NAME, TAG, BODY, LINE, COMMENT };

static bool in_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || c >= 0x80;
}

static void enter(keep_plain *p, int what)
{
    p->inside = what;
    p->before = 0;
    p->word = false;
}

static void take_sql(keep_plain *p, uint8_t c)
{
    bool begins_word = in_word(c) && !p->word;
    uint8_t before = p->before;
    p->before = c;
    if (c == '\'') {
        p->escapes = p->escapes && (before == 'e' || before == 'E');
        p->escaped = false;
        p->inside = VALUE;
    } else if (c == '"') {
        p->inside = NAME;
    } else if (c == '$' && begins_word) {
        p->tag[0] = c;
        p->tag_len = 1;
        p->inside = TAG;
    } else if (c == '-' && before == '-') {
        enter(p, LINE);
    } else if (c == '*' && before == '/') {
        enter(p, COMMENT);
        p->depth = 1;
    }
    p->escapes = c == '\'' ? p->escapes : begins_word; /* a word of one letter, so far */
    p->word = in_word(c);
}

/* $1 is no tag, and what is too long for one is none that anybody wrote. */
static void take_tag(keep_plain *p, uint8_t c)
{
    bool fits = p->tag_len < KEEP_TAG_BYTES && in_word(c);
    if (!fits || (p->tag_len == 1 && c >= '0' && c <= '9')) {
        enter(p, SQL);
        take_sql(p, c);
        return;
    }
    p->tag[p->tag_len++] = c;
    if (c == '$') {
        enter(p, BODY);
        p->match = 0;
    }
}

static void take_body(keep_plain *p, uint8_t c)
{
    bool fits = c == p->tag[p->match];
    p->match = fits ? p->match + 1 : (c == '$' ? 1 : 0);
    if (p->match == p->tag_len) {
        enter(p, SQL);
    }
}

static void take_comment(keep_plain *p, uint8_t c)
{
    bool opens = p->before == '/' && c == '*';
    bool closes = p->before == '*' && c == '/';
    p->depth += opens ? 1 : 0;
    p->depth -= closes ? 1 : 0;
    p->before = opens || closes ? 0 : c;
    if (p->depth == 0) {
        enter(p, SQL);
    }
}

static void take(keep_plain *p, uint8_t c)
{
    bool ends_value = c == '\'' && !p->escaped;
    switch (p->inside) {
    case VALUE:
        p->escaped = p->escapes && c == '\\' && !p->escaped;
        if (ends_value) { /* two of them end it and begin the next, which escapes alike */
            enter(p, SQL);
            p->before = p->escapes ? 'e' : 0;
        }
        return;
    case NAME:
        if (c == '"') {
            enter(p, SQL);
        }
        return;
    case TAG:
        take_tag(p, c);
        return;
    case BODY:
        take_body(p, c);
        return;
    case LINE:
        if (c == '\n') {
            enter(p, SQL);
        }
        return;
    case COMMENT:
        take_comment(p, c);
        return;
    default:
        take_sql(p, c);
    }
}

bool keep_plain_is_outside(const keep_plain *plain)
{
    return plain->inside == SQL;
}

void keep_plain_feed(keep_plain *plain, sp_span sql, sp_buf *out)
{
    for (size_t i = 0; i < sql.len; i++) {
        uint8_t c = sql.ptr[i];
        bool behind = plain->inside == SQL && plain->before == ':';
        if (behind && c == ':') {
            sp_buf_byte(out, c); /* a cast */
            plain->before = 0;
            continue;
        }
        if (behind && c != '=') {
            sp_buf_byte(out, ' ');
        }
        sp_buf_byte(out, c);
        take(plain, c);
    }
}

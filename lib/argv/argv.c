/* SPDX-License-Identifier: Apache-2.0
 * Splitting a command into words, quoting them again, and fitting words to templates.
 * OWNS nothing. PROCESS ssh gate, core, cli. TRUST commands are hostile; templates come from the
 * policy and were checked by sp_argv_template_fault. SPEC lib/argv/argv.h.
 */
#include "lib/argv/argv.h"

enum { WORD_MAX_BYTES = 255, INT_MAX_DIGITS = 18, NAME_MAX_BYTES = 31 };

static bool has(sp_span set, uint8_t ch)
{
    return sp_span_index(set, ch) < set.len;
}

/* Stands for itself in every shell; '=' and '%' do not begin a word (zsh, fish) and there is no
 * '=' in the first one (it would set a variable). */
static bool is_plain(uint8_t ch, bool begins, bool first)
{
    if ((ch == '=' && (begins || first)) || (ch == '%' && begins)) {
        return false;
    }
    return sp_is_alnum(ch) || ch >= 0x80 || has(SP_SPAN_LIT("_./:@%+,=-"), ch);
}

static bool is_blank(uint8_t ch)
{
    return ch == ' ' || ch == '\t';
}

typedef struct {
    sp_span rest;
    sp_argv *out;
    size_t used;
} splitter;

static uint8_t take(splitter *s)
{
    uint8_t ch = s->rest.ptr[0];
    s->rest = sp_span_slice(s->rest, 1, s->rest.len);
    return ch;
}

static void put(splitter *s, uint8_t ch)
{
    s->out->room[s->used++] = ch; /* the command is no longer than room */
}

/* Up to the closing quote. Within double quotes '$', '`' and '\' would do something, '!' does in an
 * interactive shell; within single ones '\' does in fish. */
static sp_err take_quoted(splitter *s, uint8_t quote)
{
    while (s->rest.len > 0) {
        uint8_t ch = take(s);
        if (ch == quote) {
            return sp_ok();
        }
        if (ch < 0x20 || ch == 0x7f || ch == '\\' ||
            (quote == '"' && has(SP_SPAN_LIT("$`!"), ch))) {
            return sp_fail(SP_EINVALID);
        }
        put(s, ch);
    }
    return sp_fail(SP_EINVALID);
}

static sp_err take_word(splitter *s)
{
    size_t from = s->used;
    bool first = s->out->count == 0;
    if (s->out->count == SP_ARGV_WORDS_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    bool begins = true;
    while (s->rest.len > 0 && !is_blank(s->rest.ptr[0])) {
        uint8_t ch = take(s);
        if (ch == '\'' || ch == '"') {
            TRY(take_quoted(s, ch));
        } else if (ch == '\\' && s->rest.len > 0 && s->rest.ptr[0] == '\'') {
            put(s, take(s)); /* as git writes an apostrophe: the same in every shell */
        } else if (is_plain(ch, begins, first)) {
            put(s, ch);
        } else {
            return sp_fail(SP_EINVALID);
        }
        begins = false;
    }
    s->out->words[s->out->count++] = sp_span_of(s->out->room + from, s->used - from);
    return sp_ok();
}

sp_err sp_argv_split(sp_span command, sp_argv *ret_argv)
{
    splitter s = {.rest = command, .out = ret_argv};
    ret_argv->count = 0;
    if (command.len > SP_ARGV_BYTES_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    if (!sp_span_is_utf8(command)) {
        return sp_fail(SP_EINVALID);
    }
    for (;;) {
        while (s.rest.len > 0 && is_blank(s.rest.ptr[0])) {
            (void)take(&s);
        }
        if (s.rest.len == 0) {
            break;
        }
        TRY(take_word(&s));
    }
    return ret_argv->count > 0 && ret_argv->words[0].len > 0 ? sp_ok() : sp_fail(SP_EINVALID);
}

static bool is_all_plain(sp_span word, bool first)
{
    for (size_t i = 0; i < word.len; i++) {
        if (!is_plain(word.ptr[i], i == 0, first)) {
            return false;
        }
    }
    return word.len > 0;
}

void sp_argv_quote_word(sp_span word, sp_buf *out)
{
    sp_buf_byte(out, '\'');
    for (size_t i = 0; i < word.len; i++) {
        if (word.ptr[i] == '\'') {
            sp_buf_text(out, "'\\''"); /* git-shell undoes this and no other */
        } else {
            sp_buf_byte(out, word.ptr[i]);
        }
    }
    sp_buf_byte(out, '\'');
}

void sp_argv_quote(const sp_argv *argv, sp_buf *out)
{
    for (size_t i = 0; i < argv->count; i++) {
        sp_span rest = argv->words[i];
        sp_buf_text(out, i == 0 ? "" : " ");
        if (is_all_plain(rest, i == 0)) {
            sp_buf_span(out, rest);
        } else {
            sp_argv_quote_word(rest, out);
        }
    }
}

/* ---- templates ---- */

typedef struct {
    sp_span before;
    sp_span type; /* empty: no placeholder */
    sp_span after;
    bool has_placeholder;
} template_parts;

static bool is_type_name(sp_span type)
{
    return sp_span_eq(type, SP_SPAN_LIT("word")) || sp_span_eq(type, SP_SPAN_LIT("int")) ||
           sp_span_eq(type, SP_SPAN_LIT("path"));
}

/* NULL, or what is wrong. */
static const char *parse_template(sp_span text, template_parts *ret)
{
    size_t open = sp_span_index(text, '{');
    *ret = (template_parts){.before = sp_span_slice(text, 0, open)};
    if (open == text.len) {
        return sp_span_index(text, '}') < text.len ? "'}' without '{'" : NULL;
    }
    sp_span inside = sp_span_slice(text, open + 1, text.len);
    size_t close = sp_span_index(inside, '}');
    if (close == inside.len) {
        return "'{' without '}'";
    }
    ret->after = sp_span_slice(inside, close + 1, inside.len);
    inside = sp_span_slice(inside, 0, close);
    size_t colon = sp_span_index(inside, ':');
    sp_span name = sp_span_slice(inside, 0, colon);
    ret->type = sp_span_slice(inside, colon + 1, inside.len);
    ret->has_placeholder = true;
    if (sp_span_index(ret->after, '{') < ret->after.len ||
        sp_span_index(ret->after, '}') < ret->after.len) {
        return "a word has one placeholder at most";
    }
    if (!sp_span_is_label(name) || name.len > NAME_MAX_BYTES || ret->type.len == 0) {
        return "a placeholder has a name and a type, as in {unit:word}";
    }
    return NULL;
}

static bool choices_ok(sp_span type)
{
    sp_span rest = type;
    sp_span one = SP_SPAN_EMPTY;
    size_t seen = 0;
    while (sp_span_split(&rest, '|', &one)) {
        if (!is_all_plain(one, false)) {
            return false;
        }
        seen++;
    }
    return seen >= 2 && type.ptr[type.len - 1] != '|';
}

const char *sp_argv_template_fault(sp_span text)
{
    template_parts t;
    const char *fault = parse_template(text, &t);
    if (fault != NULL) {
        return fault;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < 0x20 || text.ptr[i] == 0x7f) {
            return "a word has no control characters";
        }
    }
    if (!t.has_placeholder) {
        return text.len == 0 ? "a word has at least one character" : NULL;
    }
    if (!is_type_name(t.type) && !choices_ok(t.type)) {
        return "the type of a placeholder is word, int, path, or a choice as in {verb:start|stop}";
    }
    if (sp_span_eq(t.type, SP_SPAN_LIT("path")) && t.before.len > 0 &&
        t.before.ptr[t.before.len - 1] != '=' && t.before.ptr[t.before.len - 1] != ':') {
        return "a path stands alone or behind '=' or ':'";
    }
    return NULL;
}

static bool is_word(sp_span text)
{
    bool ok = text.len > 0 && text.len <= WORD_MAX_BYTES && text.ptr[0] != '-';
    for (size_t i = 0; ok && i < text.len; i++) {
        ok = sp_is_alnum(text.ptr[i]) || has(SP_SPAN_LIT("._@:+,=%-"), text.ptr[i]);
    }
    /* "." and ".." are folders, wherever the command takes a name */
    return ok && !sp_span_eq(text, SP_SPAN_LIT(".")) && !sp_span_eq(text, SP_SPAN_LIT(".."));
}

static bool is_int(sp_span text)
{
    bool ok = text.len > 0 && text.len <= INT_MAX_DIGITS;
    for (size_t i = 0; ok && i < text.len; i++) {
        ok = sp_is_digit(text.ptr[i]);
    }
    return ok;
}

static bool is_path(sp_span text)
{
    if (text.len < 2 || text.ptr[0] != '/') {
        return false;
    }
    sp_span rest = sp_span_slice(text, 1, text.len);
    sp_span segment = SP_SPAN_EMPTY;
    while (sp_span_split(&rest, '/', &segment)) {
        if (segment.len == 0 || segment.len > WORD_MAX_BYTES || segment.ptr[0] == '-' ||
            sp_span_eq(segment, SP_SPAN_LIT(".")) || sp_span_eq(segment, SP_SPAN_LIT(".."))) {
            return false;
        }
    }
    return text.ptr[text.len - 1] != '/';
}

static bool is_choice(sp_span type, sp_span text)
{
    sp_span one = SP_SPAN_EMPTY;
    while (sp_span_split(&type, '|', &one)) {
        if (sp_span_eq(one, text)) {
            return true;
        }
    }
    return false;
}

bool sp_argv_template_takes_path(sp_span text)
{
    template_parts t;
    return parse_template(text, &t) == NULL && t.has_placeholder &&
           sp_span_eq(t.type, SP_SPAN_LIT("path"));
}

bool sp_argv_template_fits(sp_span text, sp_span word)
{
    template_parts t;
    if (parse_template(text, &t) != NULL) {
        return false;
    }
    if (!t.has_placeholder) {
        return sp_span_eq(text, word);
    }
    if (word.len < t.before.len + t.after.len || !sp_span_starts(word, t.before) ||
        !sp_span_ends(word, t.after)) {
        return false;
    }
    sp_span value = sp_span_slice(word, t.before.len, word.len - t.after.len);
    if (sp_span_eq(t.type, SP_SPAN_LIT("word"))) {
        return is_word(value);
    }
    if (sp_span_eq(t.type, SP_SPAN_LIT("int"))) {
        return is_int(value);
    }
    if (sp_span_eq(t.type, SP_SPAN_LIT("path"))) {
        return is_path(value);
    }
    return is_choice(t.type, value);
}

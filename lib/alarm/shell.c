/* SPDX-License-Identifier: Apache-2.0
 * Splitting a line as a shell would.
 * OWNS nothing. PROCESS ssh gate. TRUST the line is hostile. SPEC lib/alarm/shell.h.
 */
#include "lib/alarm/shell.h"

typedef struct {
    sp_span rest;
    sp_alarm_vars *vars;
    shell_line *out;
    shell_word word; /* that is being read */
    bool in_word;
    bool full;
    bool piped;   /* the next command */
    uint8_t next; /* '>' '<' 'A' (>>) 'H' (<<<): what the next word is */
} splitting;

void vars_set(sp_alarm_vars *vars, sp_span name, sp_span value)
{
    size_t at = 0;
    if (name.len == 0 || name.len > SP_ALARM_NAME_MAX_BYTES) {
        return;
    }
    while (at < SP_ALARM_VARS_MAX &&
           !sp_span_eq(sp_span_of(vars->vars[at].name, vars->vars[at].name_len), name)) {
        at++;
    }
    if (at == SP_ALARM_VARS_MAX) {
        at = vars->next;
        vars->next = (uint8_t)((vars->next + 1) % SP_ALARM_VARS_MAX);
    }
    sp_span kept = sp_span_slice(value, 0, SP_ALARM_VALUE_MAX_BYTES);
    sp_copy(vars->vars[at].name, name.ptr, name.len);
    sp_copy(vars->vars[at].value, kept.ptr, kept.len);
    vars->vars[at].name_len = (uint8_t)name.len;
    vars->vars[at].value_len = (uint8_t)kept.len;
}

bool vars_get(const sp_alarm_vars *vars, sp_span name, sp_span *ret_value)
{
    for (size_t i = 0; vars != NULL && i < SP_ALARM_VARS_MAX; i++) {
        if (name.len > 0 &&
            sp_span_eq(sp_span_of(vars->vars[i].name, vars->vars[i].name_len), name)) {
            *ret_value = sp_span_of(vars->vars[i].value, vars->vars[i].value_len);
            return true;
        }
    }
    return false;
}

static uint8_t peek(const splitting *s, size_t at)
{
    return at < s->rest.len ? s->rest.ptr[at] : 0;
}

static void skip(splitting *s, size_t count)
{
    s->rest = sp_span_slice(s->rest, count, s->rest.len);
}

static void begin_word(splitting *s)
{
    if (!s->in_word) {
        s->in_word = true;
        s->word = (shell_word){.at = (uint16_t)s->out->used,
                               .target = s->next == '>' || s->next == 'A',
                               .appends = s->next == 'A',
                               .source = s->next == '<',
                               .here = s->next == 'H'};
    }
}

static void put(splitting *s, uint8_t ch)
{
    begin_word(s);
    if (s->out->used < SHELL_ROOM) {
        s->out->room[s->out->used++] = ch;
        s->word.len++;
    } else {
        s->full = true;
    }
}

static shell_command *command(splitting *s)
{
    if (s->out->commands_count == 0) {
        s->out->commands_count = 1;
    }
    return &s->out->commands[s->out->commands_count - 1];
}

static void end_word(splitting *s)
{
    if (!s->in_word) {
        return;
    }
    s->in_word = false;
    if (s->out->words_count == SHELL_WORDS_MAX) {
        s->full = true;
        return;
    }
    shell_command *c = command(s);
    sp_span text = shell_text(s->out, &s->word);
    size_t equals = sp_span_index(text, '=');
    s->out->words[s->out->words_count++] = s->word;
    c->count++;
    s->next = 0;
    /* name=value: remembered wherever it stands, as `export` and `local` take it */
    if (s->vars != NULL && equals > 0 && equals < text.len && !s->word.open) {
        vars_set(s->vars, sp_span_slice(text, 0, equals),
                 sp_span_slice(text, equals + 1, text.len));
    }
}

static void end_command(splitting *s, bool piped)
{
    end_word(s);
    s->next = 0;
    if (command(s)->count > 0) {
        if (s->out->commands_count == SHELL_COMMANDS_MAX) {
            s->full = true;
            return;
        }
        s->out->commands[s->out->commands_count++] =
            (shell_command){.first = (uint16_t)s->out->words_count};
    }
    command(s)->piped = piped;
}

static bool is_name(uint8_t ch)
{
    return sp_is_alnum(ch) || ch == '_';
}

/* The text of (...) behind an opening bracket, brackets and quotes in it counted. */
static sp_span take_inner(splitting *s, uint8_t close)
{
    size_t depth = 1;
    size_t at = 0;
    uint8_t quote = 0;
    for (; at < s->rest.len; at++) {
        uint8_t ch = s->rest.ptr[at];
        if (quote != 0) {
            quote = ch == quote ? 0 : quote;
        } else if (close == ')' && (ch == '\'' || ch == '"')) {
            quote = ch;
        } else if (ch == '\\') {
            at++;
        } else if (close == ')' && ch == '(') {
            depth++;
        } else if (ch == close && --depth == 0) {
            break;
        }
    }
    sp_span inner = sp_span_slice(s->rest, 0, at);
    skip(s, at + 1);
    if (s->out->inner_count < SP_COUNT(s->out->inner)) {
        s->out->inner[s->out->inner_count++] = inner;
    } else {
        s->full = true;
    }
    return inner;
}

/* $(echo x) and $(printf x) are x, when x is plain. */
static void put_inner(splitting *s, sp_span inner)
{
    sp_span text = sp_span_trim(inner);
    static const char *const ECHOS[] = {"echo ", "printf "};
    begin_word(s);
    for (size_t i = 0; i < SP_COUNT(ECHOS); i++) {
        sp_span word = sp_span_cstr(ECHOS[i]);
        bool plain = sp_span_starts(text, word);
        for (size_t k = word.len; plain && k < text.len; k++) {
            plain = is_name(text.ptr[k]) || sp_span_index(SP_SPAN_LIT("-/. '\""), text.ptr[k]) < 6;
        }
        for (size_t k = word.len; plain && k < text.len; k++) {
            if (text.ptr[k] != '\'' && text.ptr[k] != '"') {
                put(s, text.ptr[k]);
            }
        }
        if (plain) {
            return;
        }
    }
    s->word.open = true;
}

static void put_value(splitting *s, sp_span value, bool quoted)
{
    for (size_t i = 0; i < value.len; i++) {
        if (!quoted && (value.ptr[i] == ' ' || value.ptr[i] == '\t' || value.ptr[i] == '\n')) {
            end_word(s);
        } else {
            put(s, value.ptr[i]);
        }
    }
}

static uint8_t hex_digit(uint8_t ch)
{
    uint8_t low = ch | 0x20;
    return sp_is_digit(ch) ? (uint8_t)(ch - '0')
                           : (low >= 'a' && low <= 'f' ? (uint8_t)(low - 'a' + 10) : 16);
}

/* $'\x72\155' */
static void take_ansi(splitting *s)
{
    begin_word(s);
    while (s->rest.len > 0 && s->rest.ptr[0] != '\'') {
        uint8_t ch = s->rest.ptr[0];
        skip(s, 1);
        if (ch != '\\') {
            put(s, ch);
            continue;
        }
        ch = peek(s, 0);
        skip(s, 1);
        unsigned value = 0;
        size_t digits = 0;
        unsigned base = ch == 'x' || ch == 'u' ? 16 : 8;
        if (base == 8 && ch >= '0' && ch <= '7') {
            value = (unsigned)(ch - '0');
            digits = 1;
        }
        while ((base == 16 || digits > 0) && digits < 4 && hex_digit(peek(s, 0)) < base &&
               s->rest.len > 0) {
            value = value * base + hex_digit(peek(s, 0));
            skip(s, 1);
            digits++;
            if (base == 8 && digits == 3) {
                break;
            }
        }
        put(s, digits > 0 ? (uint8_t)value : (ch == 'n' || ch == 't' ? ' ' : ch));
    }
    skip(s, 1);
}

/* Behind '$'. */
static void take_dollar(splitting *s, bool quoted)
{
    uint8_t ch = peek(s, 0);
    sp_span value = SP_SPAN_EMPTY;
    if (ch == '(') {
        skip(s, 1);
        put_inner(s, take_inner(s, ')'));
        return;
    }
    if (ch == '\'' && !quoted) {
        skip(s, 1);
        take_ansi(s);
        return;
    }
    bool braces = ch == '{';
    size_t from = braces ? 1 : 0;
    size_t to = from;
    while (is_name(peek(s, to))) {
        to++;
    }
    sp_span name = sp_span_slice(s->rest, from, to);
    bool plain = !braces || peek(s, to) == '}';
    if (braces) {
        to = sp_span_index(s->rest, '}') + 1;
    } else if (name.len == 0) { /* $@ $* $1 $? */
        to = s->rest.len > 0 ? 1 : 0;
    }
    skip(s, to);
    if (sp_span_eq(name, SP_SPAN_LIT("IFS"))) {
        end_word(s);
    } else if (sp_span_eq(name, SP_SPAN_LIT("HOME"))) {
        put_value(s, SP_SPAN_LIT("/home/me"), true);
    } else if (plain && vars_get(s->vars, name, &value)) {
        put_value(s, value, quoted);
    } else if (name.len > 0) { /* $1, $@ and the like are empty on a command line */
        begin_word(s);
        s->word.open = true;
    }
}

static void take_quoted(splitting *s)
{
    begin_word(s);
    while (s->rest.len > 0 && s->rest.ptr[0] != '"') {
        uint8_t ch = s->rest.ptr[0];
        skip(s, 1);
        if (ch == '$') {
            take_dollar(s, true);
        } else if (ch == '`') {
            put_inner(s, take_inner(s, '`'));
        } else if (ch == '\\' && s->rest.len > 0) {
            put(s, s->rest.ptr[0]);
            skip(s, 1);
        } else {
            put(s, ch);
        }
    }
    skip(s, 1);
}

/* {a,b,c}: words of their own. Other braces group. */
static bool take_braces(splitting *s)
{
    size_t end = sp_span_index(s->rest, '}');
    sp_span inside = sp_span_slice(s->rest, 0, end);
    if (s->in_word || end == s->rest.len || sp_span_index(inside, ',') == inside.len ||
        sp_span_index(inside, ' ') < inside.len) {
        return false;
    }
    sp_span one = SP_SPAN_EMPTY;
    while (sp_span_split(&inside, ',', &one)) {
        begin_word(s);
        put_value(s, one, true);
        end_word(s);
    }
    skip(s, end + 1);
    return true;
}

static void take_redirect(splitting *s, uint8_t ch)
{
    bool only_number = s->in_word && s->word.len == 1 && sp_is_digit(s->out->room[s->word.at]);
    if (only_number) { /* 2> */
        s->out->used--;
        s->in_word = false;
    }
    end_word(s);
    uint8_t next = ch;
    while (peek(s, 0) == ch || peek(s, 0) == '|' || peek(s, 0) == '&') {
        bool double_sign = peek(s, 0) == ch;
        next = double_sign && ch == '>' ? 'A' : next;
        next = double_sign && ch == '<' ? 'H' : next;
        skip(s, 1);
    }
    if (peek(s, 0) == '(') { /* <(...) */
        skip(s, 1);
        put_inner(s, take_inner(s, ')'));
        return;
    }
    s->next = next;
}

static void take_operator(splitting *s, uint8_t ch)
{
    bool pipe = ch == '|' && peek(s, 0) != '|';
    if (ch == '&' && peek(s, 0) == '>') { /* &> */
        skip(s, 1);
        take_redirect(s, '>');
        return;
    }
    while (peek(s, 0) == '|' || peek(s, 0) == '&' || peek(s, 0) == ';') {
        skip(s, 1);
    }
    end_command(s, pipe);
}

static void take_one(splitting *s, uint8_t ch)
{
    switch (ch) {
    case ' ':
    case '\t':
        end_word(s);
        return;
    case '\\':
        if (s->rest.len > 0) {
            if (s->rest.ptr[0] != '\n') {
                put(s, s->rest.ptr[0]);
            }
            skip(s, 1);
        }
        return;
    case '\'': {
        begin_word(s);
        size_t end = sp_span_index(s->rest, '\'');
        put_value(s, sp_span_slice(s->rest, 0, end), true);
        skip(s, end + 1);
        return;
    }
    case '"':
        take_quoted(s);
        return;
    case '$':
        take_dollar(s, false);
        return;
    case '`':
        put_inner(s, take_inner(s, '`'));
        return;
    case '<':
    case '>':
        take_redirect(s, ch);
        return;
    case '{':
        if (!take_braces(s) && s->in_word) {
            put(s, ch);
        }
        return;
    case ';':
    case '&':
    case '|':
    case '\n':
    case '\r':
    case '(':
    case ')':
        take_operator(s, ch);
        return;
    case '}':
        if (s->in_word) {
            put(s, ch);
        }
        return;
    case '#':
        if (!s->in_word) {
            skip(s, sp_span_index(s->rest, '\n'));
            return;
        }
        put(s, ch);
        return;
    default:
        put(s, ch);
        s->word.open = s->word.open || ch == '?' || ch == '*' || ch == '[';
        return;
    }
}

bool shell_split(sp_span line, sp_alarm_vars *vars, shell_line *out)
{
    splitting s = {.rest = line, .vars = vars, .out = out};
    out->words_count = 0;
    out->commands_count = 0;
    out->inner_count = 0;
    out->used = 0;
    out->commands[0] = (shell_command){0};
    while (s.rest.len > 0 && !s.full) {
        uint8_t ch = s.rest.ptr[0];
        skip(&s, 1);
        take_one(&s, ch);
    }
    end_word(&s);
    (void)command(&s);
    return !s.full;
}

/* SPDX-License-Identifier: Apache-2.0
 * Reading what pg_restore prints.
 * OWNS a line that has not ended. PROCESS keeper. TRUST see toc.h. SPEC keeper/toc.h.
 */
#include "keeper/toc.h"

enum { LINE_MAX_BYTES = 64 * 1024 };

static bool take_number(sp_span *text, uint8_t end, uint32_t *ret_number)
{
    uint64_t number = 0;
    size_t at = sp_span_index(*text, end);
    if (at == text->len ||
        sp_failed(sp_span_to_u64(sp_span_slice(*text, 0, at), UINT32_MAX, &number))) {
        return false;
    }
    *text = sp_span_slice(*text, at + 1, text->len);
    *ret_number = (uint32_t)number;
    return true;
}

static bool read_entry(sp_span line, keep_toc_entry *ret_entry)
{
    keep_toc_entry entry = {.line = line};
    sp_span rest = line;
    if (!take_number(&rest, ';', &entry.id) || rest.len == 0 || rest.ptr[0] != ' ') {
        return false;
    }
    rest = sp_span_slice(rest, 1, rest.len);
    if (!take_number(&rest, ' ', &entry.catalog) || !take_number(&rest, ' ', &entry.oid)) {
        return false;
    }
    entry.rest = rest;
    *ret_entry = entry;
    return true;
}

/* The line after an entry that needs others. */
static void take_depends(sp_span *text, keep_toc_entry *entry)
{
    static const char word[] = ";\tdepends on:";
    sp_span rest = *text;
    sp_span line;
    if (sp_span_split(&rest, '\n', &line) && sp_span_starts(line, sp_span_cstr(word))) {
        entry->depends = sp_span_slice(line, sizeof(word) - 1, line.len);
        *text = rest;
    }
}

bool keep_toc_next(sp_span *text, keep_toc_entry *ret_entry)
{
    sp_span line;
    while (sp_span_split(text, '\n', &line)) {
        if (read_entry(line, ret_entry)) {
            take_depends(text, ret_entry);
            return true;
        }
    }
    return false;
}

bool keep_toc_next_id(sp_span *depends, uint32_t *ret_id)
{
    uint64_t id = 0;
    if (depends->len == 0 || depends->ptr[0] != ' ') {
        return false;
    }
    sp_span rest = sp_span_slice(*depends, 1, depends->len);
    size_t end = sp_span_index(rest, ' ');
    if (sp_failed(sp_span_to_u64(sp_span_slice(rest, 0, end), UINT32_MAX, &id))) {
        return false;
    }
    *depends = sp_span_slice(rest, end, rest.len);
    *ret_id = (uint32_t)id;
    return true;
}

bool keep_toc_is_data(const keep_toc_entry *entry)
{
    return entry->catalog == 0 && sp_span_starts(entry->rest, SP_SPAN_LIT("TABLE DATA "));
}

enum { NAME_END = -1, NAME_DOT = -2 };

/* The next letter of a quoted name, without the quotes. */
static int next_letter(sp_span *name, bool *quoted)
{
    while (name->len > 0) {
        uint8_t c = name->ptr[0];
        bool twice = c == '"' && *quoted && name->len > 1 && name->ptr[1] == '"';
        *name = sp_span_slice(*name, twice ? 2 : 1, name->len);
        if (c != '"' || twice) {
            return c == '.' && !*quoted ? NAME_DOT : c;
        }
        *quoted = !*quoted;
    }
    return NAME_END;
}

bool keep_toc_same_name(sp_span one, sp_span other)
{
    bool one_quoted = false;
    bool other_quoted = false;
    for (;;) {
        int letter = next_letter(&one, &one_quoted);
        if (letter != next_letter(&other, &other_quoted)) {
            return false;
        }
        if (letter == NAME_END) {
            return true;
        }
    }
}

/* ---- COPY blocks ---- */

keep_copy keep_copy_make(sp_span (*target)(void *self, sp_span table), void *self)
{
    return (keep_copy){.target = target,
                       .self = self,
                       .head = sp_buf_make(LINE_MAX_BYTES),
                       .line = sp_buf_make(LINE_MAX_BYTES)};
}

void keep_copy_done(keep_copy *copy)
{
    sp_buf_done(&copy->head);
    sp_buf_done(&copy->line);
}

static const char COPY_WORD[] = "COPY ";

/* "COPY public.orders (id, note) FROM stdin;" : the table ends at the first blank outside quotes.
 * False: a quote is open at the end, so the next line belongs to it as well. */
static bool find_table(sp_span head, sp_span *ret_table)
{
    size_t from = sizeof(COPY_WORD) - 1;
    size_t end = head.len;
    bool quoted = false;
    for (size_t i = from; i < head.len; i++) {
        if (head.ptr[i] == '"') {
            quoted = !quoted;
        } else if (head.ptr[i] == ' ' && !quoted && end == head.len) {
            end = i;
        }
    }
    *ret_table = sp_span_slice(head, from, end);
    return !quoted;
}

static sp_err take_head(keep_copy *copy, sp_span line, sp_buf *out)
{
    sp_span table;
    sp_buf_text(&copy->head, copy->head.len > 0 ? "\n" : "");
    sp_buf_span(&copy->head, line);
    TRY(sp_buf_error(&copy->head));
    sp_span head = sp_buf_borrow(&copy->head);
    if (!find_table(head, &table)) {
        return sp_ok();
    }
    if (!sp_span_ends(head, SP_SPAN_LIT(" FROM stdin;"))) {
        return sp_fail(SP_EINVALID);
    }
    sp_span target = copy->target(copy->self, table);
    copy->inside = true;
    copy->dropping = target.len == 0;
    if (!copy->dropping) {
        sp_buf_text(out, COPY_WORD);
        sp_buf_span(out, target);
        sp_buf_text(out, " FROM stdin;\n");
    }
    sp_buf_reset(&copy->head);
    return sp_ok();
}

static sp_err take_line(keep_copy *copy, sp_span line, sp_buf *out)
{
    if (!copy->inside) {
        bool is_head = copy->head.len > 0 || sp_span_starts(line, sp_span_cstr(COPY_WORD));
        return is_head ? take_head(copy, line, out) : sp_ok();
    }
    if (!copy->dropping) {
        sp_buf_span(out, line);
        sp_buf_byte(out, '\n');
    }
    if (sp_span_eq(line, SP_SPAN_LIT("\\."))) {
        copy->inside = false;
    }
    return sp_ok();
}

/* A line of data may be as long as a field: it flows through in pieces. */
static sp_err hold(keep_copy *copy, sp_span bytes, sp_buf *out)
{
    if (copy->line.len + bytes.len <= LINE_MAX_BYTES) {
        sp_buf_span(&copy->line, bytes);
        return sp_buf_error(&copy->line);
    }
    if (!copy->inside) {
        return sp_fail(SP_ELIMIT);
    }
    if (!copy->dropping) {
        sp_buf_span(out, sp_buf_borrow(&copy->line));
        sp_buf_span(out, bytes);
    }
    sp_buf_reset(&copy->line);
    copy->flowing = true;
    return sp_ok();
}

static sp_err end_line(keep_copy *copy, sp_span bytes, sp_buf *out)
{
    if (copy->flowing) {
        if (!copy->dropping) {
            sp_buf_span(out, bytes);
            sp_buf_byte(out, '\n');
        }
        copy->flowing = false;
        return sp_ok();
    }
    if (copy->line.len == 0) {
        return take_line(copy, bytes, out);
    }
    sp_buf_span(&copy->line, bytes);
    sp_err err = take_line(copy, sp_buf_borrow(&copy->line), out);
    sp_buf_reset(&copy->line);
    return err;
}

sp_err keep_copy_feed(keep_copy *copy, sp_span bytes, sp_buf *out)
{
    while (bytes.len > 0) {
        size_t at = sp_span_index(bytes, '\n');
        sp_span piece = sp_span_slice(bytes, 0, at);
        if (at == bytes.len) {
            if (!copy->flowing) {
                TRY(hold(copy, piece, out));
            } else if (!copy->dropping) {
                sp_buf_span(out, piece);
            }
            break;
        }
        if (copy->line.len > 0 && copy->line.len + piece.len > LINE_MAX_BYTES) {
            TRY(hold(copy, piece, out));
            piece = SP_SPAN_EMPTY;
        }
        TRY(end_line(copy, piece, out));
        bytes = sp_span_slice(bytes, at + 1, bytes.len);
    }
    return sp_buf_error(out);
}

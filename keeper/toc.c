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
    uint32_t id = 0;
    keep_toc_entry entry = {.line = line};
    sp_span rest = line;
    if (!take_number(&rest, ';', &id) || rest.len == 0 || rest.ptr[0] != ' ') {
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

bool keep_toc_next(sp_span *text, keep_toc_entry *ret_entry)
{
    sp_span line;
    while (sp_span_split(text, '\n', &line)) {
        if (read_entry(line, ret_entry)) {
            return true;
        }
    }
    return false;
}

bool keep_toc_is_data(const keep_toc_entry *entry)
{
    return sp_span_starts(entry->rest, SP_SPAN_LIT("TABLE DATA "));
}

/* ---- COPY blocks ---- */

keep_copy keep_copy_make(sp_span (*target)(void *self, sp_span table), void *self)
{
    return (keep_copy){.target = target, .self = self, .line = sp_buf_make(LINE_MAX_BYTES)};
}

void keep_copy_done(keep_copy *copy)
{
    sp_buf_done(&copy->line);
}

/* "COPY public.orders (id, note) FROM stdin;" : the table ends at the first " (" outside quotes. */
static size_t table_end(sp_span line, size_t from)
{
    bool quoted = false;
    for (size_t i = from; i < line.len; i++) {
        if (line.ptr[i] == '"') {
            quoted = !quoted;
        } else if (line.ptr[i] == ' ' && !quoted) {
            return i;
        }
    }
    return line.len;
}

static void begin_block(keep_copy *copy, sp_span line, sp_buf *out)
{
    static const char word[] = "COPY ";
    size_t from = sizeof(word) - 1;
    size_t end = table_end(line, from);
    sp_span target = copy->target(copy->self, sp_span_slice(line, from, end));
    copy->inside = true;
    copy->dropping = target.len == 0;
    if (!copy->dropping) {
        sp_buf_text(out, word);
        sp_buf_span(out, target);
        sp_buf_span(out, sp_span_slice(line, end, line.len));
        sp_buf_byte(out, '\n');
    }
}

static void take_line(keep_copy *copy, sp_span line, sp_buf *out)
{
    if (!copy->inside) {
        if (sp_span_starts(line, SP_SPAN_LIT("COPY ")) &&
            sp_span_ends(line, SP_SPAN_LIT(" FROM stdin;"))) {
            begin_block(copy, line, out);
        }
        return;
    }
    if (!copy->dropping) {
        sp_buf_span(out, line);
        sp_buf_byte(out, '\n');
    }
    if (sp_span_eq(line, SP_SPAN_LIT("\\."))) {
        copy->inside = false;
    }
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

static void end_line(keep_copy *copy, sp_span bytes, sp_buf *out)
{
    if (copy->flowing) {
        if (!copy->dropping) {
            sp_buf_span(out, bytes);
            sp_buf_byte(out, '\n');
        }
        copy->flowing = false;
    } else if (copy->line.len > 0) {
        sp_buf_span(&copy->line, bytes);
        take_line(copy, sp_buf_borrow(&copy->line), out);
        sp_buf_reset(&copy->line);
    } else {
        take_line(copy, bytes, out);
    }
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
        end_line(copy, piece, out);
        bytes = sp_span_slice(bytes, at + 1, bytes.len);
    }
    return sp_buf_error(out);
}

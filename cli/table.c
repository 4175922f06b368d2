/* SPDX-License-Identifier: Apache-2.0
 * Tables and lines for people at a terminal.
 * OWNS its cells. PROCESS cli. TRUST cells are hostile to the terminal. SPEC cli/table.h.
 */
#include "cli/table.h"

#include "cli/args.h"

#include <stdlib.h>
#include <unistd.h>

enum { TEXT_MAX_BYTES = 4096 };

bool sp_colour(FILE *to)
{
    const char *no_color = getenv("NO_COLOR");
    return isatty(fileno(to)) && (no_color == NULL || no_color[0] == '\0');
}

/* C0, DEL, and C1 (0xC2 0x80..0x9F in UTF-8). */
static void append_safe(sp_buf *out, sp_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool c1 = c == 0xC2 && i + 1 < text.len && text.ptr[i + 1] < 0xA0;
        if (c < 0x20 || c == 0x7F || c1) {
            sp_buf_byte(out, '?');
            i += c1 ? 1 : 0;
        } else {
            sp_buf_byte(out, c);
        }
    }
}

void sp_print_safe(FILE *to, const char *text)
{
    auto_buf sp_buf safe = sp_buf_make(1 << 20);
    append_safe(&safe, sp_span_cstr(text));
    if (safe.len > 0) {
        fwrite(safe.ptr, 1, safe.len, to);
    }
}

void sp_table_done(sp_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        sp_free(table->cells[i]);
    }
    sp_free(table->cells);
    *table = (sp_table){0};
}

static _Noreturn void no_memory(void)
{
    sp_complain("out of memory");
    exit(SP_EXIT_FAILED);
}

void sp_table_cell(sp_table *table, const char *text)
{
    auto_buf sp_buf safe = sp_buf_make(TEXT_MAX_BYTES);
    append_safe(&safe, sp_span_slice(sp_span_cstr(text), 0, TEXT_MAX_BYTES / 2));
    char *cell = NULL;
    if (sp_failed(sp_strdup(sp_buf_borrow(&safe), &cell)) ||
        sp_failed(sp_resize(&table->cells, table->count + 1, sizeof(*table->cells)))) {
        no_memory();
    }
    table->cells[table->count++] = cell;
}

/* Columns on a terminal: Han, kana, Hangul and full-width forms (three bytes from U+1100 on) take
 * two. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    sp_span span = sp_span_cstr(text);
    for (size_t i = 0; i < span.len; i++) {
        uint8_t c = span.ptr[i];
        if ((c & 0xC0) == 0x80) {
            continue;
        }
        bool wide = c == 0xF0 ||
                    (c >= 0xE2 && c <= 0xED && i + 1 < span.len &&
                     !(c == 0xE2 && span.ptr[i + 1] < 0xBA)) ||
                    c == 0xEF;
        width += wide ? 2 : 1;
    }
    return width;
}

static void print_cell(FILE *to, const char *text, size_t width, bool last)
{
    fputs(text, to);
    for (size_t i = width_of(text); !last && i < width + 2; i++) {
        fputc(' ', to);
    }
}

void sp_table_print(const sp_table *table, FILE *to)
{
    size_t widths[SP_TABLE_COLUMNS_MAX] = {0};
    for (size_t i = 0; i < table->columns; i++) {
        widths[i] = width_of(table->heads[i]);
    }
    for (size_t i = 0; i < table->count; i++) {
        size_t width = width_of(table->cells[i]);
        size_t column = i % table->columns;
        widths[column] = width > widths[column] ? width : widths[column];
    }
    bool colour = sp_colour(to);
    fputs(colour ? "\033[1m" : "", to);
    for (size_t i = 0; i < table->columns; i++) {
        print_cell(to, table->heads[i], widths[i], i + 1 == table->columns);
    }
    fputs(colour ? "\033[0m\n" : "\n", to);
    for (size_t i = 0; i < table->count; i++) {
        bool last = (i + 1) % table->columns == 0;
        print_cell(to, table->cells[i], widths[i % table->columns], last);
        if (last) {
            fputc('\n', to);
        }
    }
}

const char *sp_json_text(const json_t *object, const char *dotted)
{
    enum { NUMBERS = 8 }; /* in one line that is printed */
    static char numbers[NUMBERS][32];
    static unsigned next;
    const json_t *value = object;
    sp_span rest = sp_span_cstr(dotted);
    sp_span key = SP_SPAN_EMPTY;
    while (sp_span_split(&rest, '.', &key)) {
        char name[64];
        value = sp_failed(sp_fit(name, sizeof(name), key)) ? NULL : json_object_get(value, name);
    }
    if (json_is_string(value)) {
        return json_string_value(value);
    }
    if (json_is_integer(value)) {
        char *number = numbers[next++ % NUMBERS];
        snprintf(number, sizeof(numbers[0]), "%lld", (long long)json_integer_value(value));
        return number;
    }
    if (json_is_boolean(value)) {
        return json_is_true(value) ? "yes" : "no";
    }
    return "";
}

const char *sp_short_time(const char *rfc3339)
{
    static char text[20];
    sp_span span = sp_span_slice(sp_span_cstr(rfc3339), 0, 16);
    if (sp_failed(sp_fit(text, sizeof(text), span))) {
        return "";
    }
    if (span.len == 16) {
        text[10] = ' ';
    }
    return text;
}

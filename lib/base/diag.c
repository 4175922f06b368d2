/* SPDX-License-Identifier: Apache-2.0
 * Collecting and printing diagnostics.
 * OWNS the texts. PROCESS core, cli. TRUST texts may quote hostile input: control bytes are
 * replaced here. SPEC lib/base/diag.h.
 */
#include "lib/base/diag.h"

#include <stdarg.h>
#include <stdio.h>

enum { TEXT_MAX_BYTES = 600 };

void sp_diags_done(sp_diags *diags)
{
    if (diags == NULL) {
        return;
    }
    for (size_t i = 0; i < diags->count; i++) {
        sp_free(diags->items[i].text);
    }
    sp_free(diags->items);
    *diags = (sp_diags){0};
}

static sp_err push(sp_diags *diags, sp_diag item)
{
    if (diags->count == diags->cap) {
        size_t cap = diags->cap == 0 ? 8 : diags->cap * 2;
        TRY(sp_resize(&diags->items, cap, sizeof(*diags->items)));
        diags->cap = cap;
    }
    diags->items[diags->count++] = item;
    return sp_ok();
}

void sp_diags_add(sp_diags *diags, sp_diag_level level, const char *file, unsigned line,
                  unsigned column, const char *format, ...)
{
    char text[TEXT_MAX_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    for (char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            *p = '?';
        }
    }
    if (level == SP_DIAG_ERROR) {
        diags->errors++;
    }
    char *copy = NULL;
    if (diags->count >= SP_DIAGS_MAX || sp_failed(sp_strdup(sp_span_cstr(text), &copy)) ||
        sp_failed(push(diags, (sp_diag){level, file, line, column, copy}))) {
        sp_free(copy);
        diags->dropped++;
    }
}

void sp_diags_print(const sp_diags *diags, sp_buf *out)
{
    for (size_t i = 0; i < diags->count; i++) {
        const sp_diag *d = &diags->items[i];
        if (d->file != NULL) {
            sp_buf_text(out, d->file);
            sp_buf_byte(out, ':');
        }
        if (d->line > 0) {
            sp_buf_fmt(out, "%u:%u:", d->line, d->column);
        }
        sp_buf_fmt(out, "%s%s: %s\n", d->file != NULL || d->line > 0 ? " " : "",
                   d->level == SP_DIAG_ERROR ? "error" : "warning", d->text);
    }
    if (diags->dropped > 0) {
        sp_buf_fmt(out, "... and %zu more\n", diags->dropped);
    }
}

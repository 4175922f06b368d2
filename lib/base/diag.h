/* SPDX-License-Identifier: Apache-2.0
 * sp_diag: what a person is told about a file he wrote: where, what is wrong, what was expected.
 * OWNS its text. PROCESS core, cli. TRUST quoted input is escaped by the printer.
 * SPEC docs/STYLE.md "Errors".
 */
#ifndef SP_BASE_DIAG_H
#define SP_BASE_DIAG_H

#include "lib/base/buf.h"

typedef enum { SP_DIAG_ERROR, SP_DIAG_WARNING, SP_DIAG_COUNT } sp_diag_level;

typedef struct {
    sp_diag_level level;
    const char *file; /* borrowed from the caller of the parser */
    unsigned line;    /* from 1; 0 = the whole file */
    unsigned column;  /* from 1; 0 = the whole line */
    char *text;       /* one sentence, no newline */
} sp_diag;

/* A list with a maximum: after max_items it only counts. */
typedef struct {
    sp_diag *items;
    size_t count;
    size_t cap;
    size_t errors; /* all errors, listed or not */
    size_t dropped;
} sp_diags;

enum { SP_DIAGS_MAX = 200 };

void sp_diags_done(sp_diags *diags);
#define auto_diags __attribute__((cleanup(sp_diags_done)))
void sp_diags_add(sp_diags *diags, sp_diag_level level, const char *file, unsigned line,
                  unsigned column, const char *format, ...) __attribute__((format(printf, 6, 7)));
/* "file:line:column: error: text\n" for each. */
void sp_diags_print(const sp_diags *diags, sp_buf *out);

#endif

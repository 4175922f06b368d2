/* SPDX-License-Identifier: Apache-2.0
 * Tables and lines for people at a terminal.
 * OWNS its cells. PROCESS cli. TRUST cells hold names that other people chose: control bytes are
 * replaced, so that nothing can drive the terminal. SPEC NO_COLOR (no-color.org).
 */
#ifndef SP_CLI_TABLE_H
#define SP_CLI_TABLE_H

#include "lib/base/buf.h"

#include <jansson.h>
#include <stdio.h>

enum { SP_TABLE_COLUMNS_MAX = 12 };

typedef struct {
    size_t columns;
    const char *heads[SP_TABLE_COLUMNS_MAX];
    char **cells; /* row by row */
    size_t count;
} sp_table;

void sp_table_done(sp_table *table);
#define auto_table __attribute__((cleanup(sp_table_done)))

/* One cell; rows fill left to right. NULL is an empty cell. Out of memory ends the program. */
void sp_table_cell(sp_table *table, const char *text);
void sp_table_print(const sp_table *table, FILE *to);

/* A member as text: strings as they are, numbers in decimal, true/false, "" for the rest. dotted:
 * "person.name". Valid until the next call. */
const char *sp_json_text(const json_t *object, const char *dotted);
/* "2026-03-01T08:00:00Z" -> "2026-03-01 08:00"; "" and null stay empty. Until the next call. */
const char *sp_short_time(const char *rfc3339);
/* The text without control bytes, to the stream. */
void sp_print_safe(FILE *to, const char *text);
/* Whether the stream wants colour: a terminal, and no NO_COLOR. */
bool sp_colour(FILE *to);

#endif

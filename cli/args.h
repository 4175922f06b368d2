/* SPDX-License-Identifier: Apache-2.0
 * Command lines: read by a row of the table, help out of the same row.
 * OWNS nothing: values point into argv. PROCESS cli. TRUST argv comes from the person at the
 * keyboard. SPEC docs/man/sallyport.1.
 */
#ifndef SP_CLI_ARGS_H
#define SP_CLI_ARGS_H

#include "cli/command.h"

#include <stdbool.h>
#include <stdio.h>

enum { SP_GO_ON = -1 };

/* Reads argv[1..]. SP_GO_ON, or the exit status to end with: help was printed, or the line is
 * wrong (told on standard error). Options and words may be mixed; after "--" all are words. */
int sp_args_read(const sp_command *command, int argc, char **argv, sp_given *ret_given);

/* Value of an option ("" for a flag that was given), NULL = not given. */
const char *sp_given_value(const sp_given *given, const char *word);

/* "--help" or "-h". */
bool sp_is_help(const char *word);
bool sp_same(const char *a, const char *b);
/* "usage: ..." and, but on standard error, all that the row says about the command. */
void sp_args_help(const sp_command *command, FILE *to);

/* Standard error, "sallyport: text\n". */
void sp_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

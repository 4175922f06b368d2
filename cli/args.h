/* SPDX-License-Identifier: Apache-2.0
 * Command lines: options by a table, help out of the same table, groups of commands.
 * OWNS nothing: values point into argv. PROCESS cli. TRUST argv comes from the person at the
 * keyboard. SPEC docs/man/sallyport.1.
 */
#ifndef SP_CLI_ARGS_H
#define SP_CLI_ARGS_H

#include "cli/command.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    const char *word;  /* "--url"; "-f" for a short one */
    const char *value; /* "URL"; NULL = a flag */
    void *to;          /* const char ** or bool * */
    const char *help;
} sp_option;

typedef struct {
    const char *usage; /* "apply -f DIR [--dry-run]" */
    const char *about; /* one paragraph */
    const sp_option *options;
    size_t options_count;
    size_t words_min; /* arguments that are not options */
    size_t words_max;
} sp_usage;

enum { SP_WORDS_MAX = 64, SP_GO_ON = -1 };

/* Reads argv[1..]. SP_GO_ON, or the exit status to end with: help was printed, or the line is
 * wrong (told on standard error). Options and words may be mixed; after "--" all are words. */
int sp_args_read(const sp_usage *usage, int argc, char **argv, const char *words[SP_WORDS_MAX],
                 size_t *ret_words);

/* Runs the command of the group that argv[1] names, with argv + 1. */
int sp_group_run(const char *group, const char *about, const sp_command *commands, size_t count,
                 int argc, char **argv);

/* Standard error, "sallyport: text\n". */
void sp_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

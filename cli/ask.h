/* SPDX-License-Identifier: Apache-2.0
 * Asking an office what a row of the table says, and printing the answer.
 * OWNS nothing. PROCESS cli. TRUST answers hold names that other people chose: they are printed
 * without control bytes. SPEC cli/command.h, docs/api/openapi.yaml.
 */
#ifndef SP_CLI_ASK_H
#define SP_CLI_ASK_H

#include "cli/client.h"

/* Everything: confirm, open, find, ask, print. The exit status. */
int sp_ask_run(const sp_given *given);

/* ---- the pieces, for special commands ---- */
/* The line that the command needs, and has been given. */
int sp_ask_open(const sp_given *given, sp_client **ret_client);
/* "90m", "2h", "1d", "300s". */
bool sp_duration_of(const char *text, json_int_t *ret_seconds);
/* Standard output: a line (or more) with {1} and {member} filled in, see sp_ask.done. */
void sp_ask_say(const char *text, const sp_given *given, const json_t *answer);
/* Standard output: a table of the objects in a list. */
void sp_ask_rows(const sp_column *columns, const json_t *items);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The table of all commands.
 * OWNS nothing. PROCESS cli. TRUST none. SPEC docs/man/sallyport.1.
 */
#ifndef SP_CLI_COMMANDS_H
#define SP_CLI_COMMANDS_H

#include "cli/command.h"

/* commands_watch.c */
extern const sp_command sp_watch_commands[];
extern const size_t sp_watch_commands_count;
/* commands_duty.c */
extern const sp_command sp_duty_commands[];
extern const size_t sp_duty_commands_count;

/* The row number at, NULL behind the last. */
const sp_command *sp_command_at(size_t at);
/* The command of that word in a group (NULL = the program itself), NULL = there is none. */
const sp_command *sp_command_find(const char *of, const char *word);

#endif

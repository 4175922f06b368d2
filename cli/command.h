/* SPDX-License-Identifier: Apache-2.0
 * What a command of the program is: a word, a line of help, and a function.
 * OWNS nothing. PROCESS cli. TRUST argv comes from the person at the keyboard.
 * SPEC docs/man/sallyport.1.
 *
 * argv[0] is the command's own word. The result is the exit status, one of sp_exit.
 */
#ifndef SP_CLI_COMMAND_H
#define SP_CLI_COMMAND_H

#include "infra/proc/exit.h"

typedef struct {
    const char *group; /* heading in the help, NULL = not shown */
    const char *word;
    const char *arguments;
    const char *summary;
    int (*run)(int argc, char **argv);
} sp_command;

#endif

/* SPDX-License-Identifier: Apache-2.0
 * What a command of the program is: a word, a line of help, and a function.
 * OWNS nothing. PROCESS cli. TRUST argv comes from the person at the keyboard.
 * SPEC docs/man/sallyport.1.
 *
 * argv[0] is the command's own word. The result is the exit status, one of sp_exit.
 */
#ifndef SP_CLI_COMMAND_H
#define SP_CLI_COMMAND_H

/* Exit statuses, the same for every command; docs/man/sallyport.1 "EXIT STATUS". */
typedef enum {
    SP_EXIT_OK = 0,
    SP_EXIT_FAILED = 1,  /* it was tried and did not work */
    SP_EXIT_USAGE = 2,   /* the command line was wrong; nothing was tried */
    SP_EXIT_REFUSED = 3, /* the office refused it: not signed in, or not allowed */
    SP_EXIT_INVALID = 4, /* documents or input are wrong; nothing was changed */
    SP_EXIT_AWAY = 5,    /* the office could not be reached */
} sp_exit;

typedef struct {
    const char *group; /* heading in the help, NULL = not shown */
    const char *word;
    const char *arguments;
    const char *summary;
    int (*run)(int argc, char **argv);
} sp_command;

#endif

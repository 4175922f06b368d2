/* SPDX-License-Identifier: Apache-2.0
 * Exit statuses, the same for every command.
 * OWNS nothing. PROCESS cli, agent, ledger, porter. TRUST none.
 * SPEC docs/man/sallyport.1 "EXIT STATUS".
 */
#ifndef SP_PROC_EXIT_H
#define SP_PROC_EXIT_H

typedef enum {
    SP_EXIT_OK = 0,
    SP_EXIT_FAILED = 1,  /* it was tried and did not work */
    SP_EXIT_USAGE = 2,   /* the command line was wrong; nothing was tried */
    SP_EXIT_REFUSED = 3, /* the office refused it: not signed in, or not allowed */
    SP_EXIT_INVALID = 4, /* documents or input are wrong; nothing was changed */
    SP_EXIT_AWAY = 5,    /* the office could not be reached */
} sp_exit;

#endif

/* SPDX-License-Identifier: Apache-2.0
 * sallyport ledger ...: reading and checking the ledger from the command line.
 * OWNS nothing. PROCESS command line. TRUST files and replies may be hostile.
 * SPEC docs/man/sallyport.1.
 */
#include "infra/proc/entry.h"

#include <stdio.h>

int sp_ledger_command(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    fprintf(stderr, "usage: sallyport ledger verify|search|tail|export|proof|witness\n");
    return 2;
}

/* SPDX-License-Identifier: Apache-2.0
 * What the subcommands of `sallyport ledger` share.
 * OWNS nothing of its own. PROCESS command line. TRUST replies and files may be hostile.
 * SPEC docs/man/sallyport.1.
 */
#ifndef SP_LEDGER_COMMAND_H
#define SP_LEDGER_COMMAND_H

#include "infra/proc/config.h"
#include "lib/proto/ledger_msg.h"

enum { SP_LEDGER_EXIT_BAD = 1, SP_LEDGER_EXIT_USAGE = 2, SP_LEDGER_EXIT_AWAY = 5 };

/* What was asked for on the command line. */
typedef struct {
    const char *config_file;
    const char *directory; /* a state directory, or where a pack goes */
    const char *key;       /* C2SP verifier key */
    const char *secret;    /* file with a witness's own key */
    const char *last;      /* file with the checkpoint that a witness saw last */
    const char *name;      /* of a witness */
    bool follow;
    bool has_entry;
    uint64_t entry;
    uint64_t from_entry;
    uint64_t until_entry;
    uint64_t limit; /* of events that are printed; 0: as many as the command prints by itself */
    sp_ledger_search search;
} sp_ledger_args;

/* Loads the bootstrap file and connects; says on standard error why not. */
SP_MUST sp_err sp_ledger_connect(const sp_ledger_args *args, sp_config **ret_config, int *ret_fd);
/* One call; says on standard error why it failed. */
SP_MUST sp_err sp_ledger_ask(int fd, uint16_t kind, sp_span body, sp_buf *reply);
/* The directory of the ledger's files: the one given, or that of the bootstrap file. */
SP_MUST sp_err sp_ledger_directory(const sp_ledger_args *args, char **ret_path);

int sp_ledger_cmd_search(const sp_ledger_args *args);
int sp_ledger_cmd_tail(const sp_ledger_args *args);
int sp_ledger_cmd_entry(const sp_ledger_args *args);
int sp_ledger_cmd_proof(const sp_ledger_args *args);
int sp_ledger_cmd_verify(const sp_ledger_args *args);
int sp_ledger_cmd_export(const sp_ledger_args *args);
int sp_ledger_cmd_witness(const sp_ledger_args *args);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * How the one program starts its roles and commands: each room defines its entry here, so that
 * cli/main.c can call it without knowing the room.
 * OWNS nothing. PROCESS all. TRUST none. SPEC docs/ARCHITECTURE.md "Processes".
 *
 * A role gets its listening sockets as systemd hands them over (LISTEN_FDS, LISTEN_FDNAMES from
 * fd 3 on), says READY=1 and WATCHDOG=1 to NOTIFY_SOCKET, and ends on SIGTERM with status 0. The
 * porter speaks the same words, so a unit file and the porter start the same thing.
 */
#ifndef SP_PROC_ENTRY_H
#define SP_PROC_ENTRY_H

#include "infra/proc/config.h"
#include "lib/base/sha256.h"

/* Roles: run until SIGTERM; the result is the exit status. */
int sp_core_role(const sp_config *config);
int sp_vault_role(const sp_config *config);
int sp_ledger_role(const sp_config *config);
int sp_web_role(const sp_config *config);
int sp_db_role(const sp_config *config);
int sp_ssh_role(const sp_config *config);
int sp_keeper_role(const sp_config *config);
int sp_courier_role(const sp_config *config);
int sp_watch_role(const sp_config *config);
int sp_runner_role(const sp_config *config);

/* Commands: argv[0] is the command's own word. */
int sp_run_command(int argc, char **argv);       /* porter/ */
int sp_doctor_command(int argc, char **argv);    /* porter/ */
int sp_ledger_command(int argc, char **argv);    /* ledger/ */
int sp_backup_command(int argc, char **argv);    /* core/ */
int sp_agent_command(int argc, char **argv);     /* agent/ */
int sp_policy_command(int argc, char **argv);    /* cli/ */
int sp_ssh_check_command(int argc, char **argv); /* cli/ */

/* ---- `backup restore`: each room puts its own part in place ---- */

typedef enum {
    SP_RESTORE_LOOK,  /* only whether the part opens */
    SP_RESTORE_CHECK, /* whether it can be put in place here; changes nothing */
    SP_RESTORE_DO
} sp_restore_step;

typedef struct {
    const sp_config *config;
    sp_restore_step step;
    bool new_ledger;  /* the entries are lost: begin another log */
    sp_span exported; /* by the vault, sealed (vault/export.h) */
    uint8_t seed[32]; /* of the key pair that it is sealed to */
    bool has_master;
    uint8_t master[32]; /* of the vault here, when root alone can read it */
    /* The last checkpoint: of the backup, or of the vault here when that is newer. */
    uint64_t entries;
    sp_hash root;
    char said[256]; /* one clause for people: what was found or done, or why not */
} sp_restore;

/* As root, before the others: takes the vault's master key from the credentials, if it is there. */
SP_MUST sp_err sp_vault_restore_master(sp_restore *restore); /* vault/ */
/* Called in a process of its own that is the role's user, the office standing still. */
SP_MUST sp_err sp_vault_restore(sp_restore *restore);  /* vault/ */
SP_MUST sp_err sp_ledger_restore(sp_restore *restore); /* ledger/ */

/* ---- what a role calls ---- */
/* The inherited socket of that name, non-blocking and close-on-exec; -1 when there is none. */
int sp_entry_listen_fd(const char *name);
/* "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=..."; silently nothing without NOTIFY_SOCKET. */
void sp_entry_notify(const char *words);

#endif

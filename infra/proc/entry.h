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

/* Roles: run until SIGTERM; the result is the exit status. */
int sp_core_role(const sp_config *config);
int sp_vault_role(const sp_config *config);
int sp_ledger_role(const sp_config *config);
int sp_web_role(const sp_config *config);
int sp_db_role(const sp_config *config);

/* Commands: argv[0] is the command's own word. */
int sp_run_command(int argc, char **argv);    /* porter/ */
int sp_doctor_command(int argc, char **argv); /* porter/ */
int sp_ledger_command(int argc, char **argv); /* ledger/ */
int sp_backup_command(int argc, char **argv); /* core/ */
int sp_agent_command(int argc, char **argv);  /* agent/ */
int sp_policy_command(int argc, char **argv); /* cli/ */

/* ---- what a role calls ---- */
/* The inherited socket of that name, non-blocking and close-on-exec; -1 when there is none. */
int sp_entry_listen_fd(const char *name);
/* "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=..."; silently nothing without NOTIFY_SOCKET. */
void sp_entry_notify(const char *words);

#endif

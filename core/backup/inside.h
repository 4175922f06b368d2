/* SPDX-License-Identifier: Apache-2.0
 * What the files of core/backup share.
 * OWNS see each struct. PROCESS the backup command, as root or a role's user. TRUST see README.md.
 * SPEC docs/OPERATIONS.md "Backup and restore".
 */
#ifndef SP_CORE_BACKUP_INSIDE_H
#define SP_CORE_BACKUP_INSIDE_H

#include "core/backup/archive.h"
#include "infra/proc/config.h"
#include "infra/store/store.h"

typedef struct {
    const char *verb;
    const char *file;
    const char *config_path;
    const char *passphrase_file;
    bool new_ledger;
    sp_config *config;
    sp_buf passphrase;
    char *store_path;
    char *work_path; /* beside the store, so that a rename puts it in place */
} sp_backup_job;

/* Each returns the exit status and has said what happened. */
int sp_backup_create(sp_backup_job *job);
int sp_backup_verify(sp_backup_job *job);
int sp_backup_restore(sp_backup_job *job);

/* ---- command.c ---- */
__attribute__((format(printf, 1, 2))) void sp_backup_complain(const char *format, ...);
/* What is a role's is touched as that role: no file of root's is left behind in its directory.
 * Nothing without root: then all roles are ourselves. */
SP_MUST sp_err sp_backup_become(const sp_config *config, sp_role_kind role);
void sp_backup_remove_work(const sp_backup_job *job);
/* Opens a store and checks every page; complains. */
SP_MUST sp_err sp_backup_open_store(const char *path, sp_store **ret_store);

/* ---- restored.c ---- */
/* Notes in the store that it was restored, for core's next start; ends all sessions. */
SP_MUST sp_err sp_restored_note(sp_store *store, sp_span words);

#endif

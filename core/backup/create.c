/* SPDX-License-Identifier: Apache-2.0
 * `sallyport backup create`: the store and the vault's keys, taken while the office runs.
 * OWNS nothing. PROCESS the command: as root it speaks to ledger and vault and derives the keys,
 * then it wipes what opens the vault's part and becomes core's user for the store.
 * TRUST replies are bounded. SPEC docs/OPERATIONS.md "Backup and restore".
 */
#include "core/backup/inside.h"
#include "infra/crypto/box.h"
#include "infra/crypto/random.h"
#include "infra/ipc/conn.h"
#include "infra/proc/clock.h"
#include "infra/proc/exit.h"
#include "lib/proto/ledger_msg.h"
#include "lib/proto/vault_msg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CALL_MS = 5000 };

typedef struct {
    sp_archive_head head;
    sp_key data_key;
    sp_buf by_passphrase;
    sp_buf vault;
    int to;
} writing;

/* ---- the ledger and the vault ---- */

static sp_err call(const sp_backup_job *job, const char *name, uint16_t kind, sp_span body,
                   sp_buf *reply)
{
    auto_free char *path = NULL;
    auto_close int fd = -1;
    auto_fds sp_fds fds = {0};
    TRY(sp_config_socket(job->config, name, &path));
    TRY(sp_ipc_connect(path, &fd));
    return sp_ipc_call(fd, kind, body, CALL_MS, reply, &fds);
}

static sp_err record(const sp_backup_job *job)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    auto_buf sp_buf reply = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_event event = {.when_unix_us = sp_now_unix_us(),
                      .kind = SP_EVENT_ADMIN,
                      .severity = SP_SEVERITY_MEDIUM,
                      .action = SP_ACTION_EXPORT,
                      .verdict = SP_VERDICT_ALLOW,
                      .person_name = SP_SPAN_LIT("root"),
                      .method = SP_SPAN_LIT("backup"),
                      .object = sp_span_cstr(job->file)};
    sp_ledger_append_write(sp_random_u64(), 1, 1, &body);
    sp_ledger_append_add(&event, &body);
    TRY(sp_buf_error(&body));
    sp_err err = call(job, "ledger", SP_LEDGER_APPEND, sp_buf_borrow(&body), &reply);
    if (sp_failed(err)) {
        sp_backup_complain(
            "the ledger cannot write this down (%s), so it was not done. Start the office.",
            sp_code_word(err.code));
    }
    return err;
}

static sp_err export_vault(const sp_backup_job *job, const sp_key *seed, writing *w)
{
    auto_buf sp_buf exported = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_box_public to = sp_box_public_of(seed);
    sp_err err =
        call(job, "vault", SP_VAULT_EXPORT, sp_span_of(to.bytes, sizeof(to.bytes)), &exported);
    if (sp_failed(err)) {
        sp_backup_complain("the vault does not give its part (%s)", sp_code_word(err.code));
        return err;
    }
    return sp_archive_lock_vault(&w->data_key, sp_buf_borrow(&exported), &w->vault);
}

/* ---- the store ---- */

static sp_err copy_store(const sp_backup_job *job)
{
    sp_store *store = NULL;
    if (access(job->store_path, F_OK) != 0) {
        sp_backup_complain("there is no store at %s", job->store_path);
        return sp_fail(SP_ENOTFOUND);
    }
    sp_backup_remove_work(job);
    TRY(sp_backup_open_store(job->store_path, &store));
    sp_err err = sp_store_copy(store, job->work_path);
    sp_store_close(store);
    return err;
}

static sp_err write_store(const sp_backup_job *job, writing *w)
{
    TRY(sp_backup_become(job->config, SP_ROLE_CORE));
    TRY(copy_store(job));
    auto_close int from = open(job->work_path, O_RDONLY | O_CLOEXEC);
    return from < 0 ? sp_fail(SP_EIO) : sp_archive_write(from, w->to, &w->head, &w->data_key);
}

/* The keys that open the vault's part are gone before this process is core's user. */
static sp_err prepare(sp_backup_job *job, writing *w)
{
    sp_archive_keys keys;
    TRY(record(job));
    w->head = sp_archive_head_new();
    sp_err err = sp_archive_keys_of(&w->head, sp_buf_borrow(&job->passphrase), &keys);
    sp_buf_wipe(&job->passphrase);
    if (!sp_failed(err)) {
        err = sp_archive_lock(&keys, &w->data_key, &w->by_passphrase);
    }
    if (!sp_failed(err)) {
        err = export_vault(job, &keys.vault_seed, w);
    }
    sp_archive_keys_wipe(&keys);
    w->head.by_passphrase = sp_buf_borrow(&w->by_passphrase);
    w->head.vault = sp_buf_borrow(&w->vault);
    return err;
}

int sp_backup_create(sp_backup_job *job)
{
    auto_close int to = open(job->file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (to < 0) {
        sp_backup_complain("%s cannot be made: %s", job->file, strerror(errno));
        return SP_EXIT_FAILED;
    }
    writing w = {.to = to,
                 .data_key = sp_key_new(),
                 .by_passphrase = sp_buf_make(SP_ARCHIVE_SEALED_MAX_BYTES),
                 .vault = sp_buf_make(SP_ARCHIVE_VAULT_MAX_BYTES)};
    sp_err err = prepare(job, &w);
    if (!sp_failed(err)) {
        err = write_store(job, &w);
        sp_backup_remove_work(job);
    }
    sp_key_wipe(&w.data_key);
    sp_buf_done(&w.by_passphrase);
    sp_buf_done(&w.vault);
    if (sp_failed(err)) {
        sp_backup_complain("not done: %s. Remove %s.", sp_code_word(err.code), job->file);
        return SP_EXIT_FAILED;
    }
    printf("%s holds the store and the vault's keys. Check it: sallyport backup verify\n",
           job->file);
    return SP_EXIT_OK;
}

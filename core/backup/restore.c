/* SPDX-License-Identifier: Apache-2.0
 * `sallyport backup verify` and `restore`: the store and the vault's keys out of a backup.
 * OWNS nothing. PROCESS the command as root, which touches what belongs to a role only in a child
 * that has become that role's user. TRUST the backup file is hostile until it verifies.
 * SPEC docs/OPERATIONS.md "Backup and restore".
 *
 * Everything is checked before anything is put in place: store, keys, and whether the ledger here
 * goes on from the backup's last checkpoint. The store comes last: it carries the note of the
 * restore, without which core does not start (restored.h). Done twice it is the same as once.
 */
#include "core/backup/inside.h"
#include "infra/proc/clock.h"
#include "infra/proc/entry.h"
#include "infra/proc/exit.h"
#include "infra/proc/file.h"
#include "lib/proto/vault_msg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PATH_BYTES = 4096,
    SOCKETS_MAX_BYTES = 16 * 1024 * 1024,
    STOP_WAIT_MS = 3000,
    STOP_LOOK_US = 100000
};

/* What a child found out, in memory shared with it. */
typedef struct {
    uint64_t people;
    uint64_t entries;
    sp_hash root;
    char said[sizeof(((sp_restore *)NULL)->said)];
} found;

typedef struct {
    const sp_backup_job *job;
    sp_archive_head head;
    sp_buf room;
    sp_buf exported;
    sp_key data_key;
    int from;
    sp_restore part;
    uint64_t people;
    sp_span done; /* what the parts said when they were put in place */
    found *found;
} restoring;

typedef sp_err (*work_of_role)(restoring *r);

/* ---- children ---- */

static sp_err child_work(restoring *r, sp_role_kind role, work_of_role work)
{
    if (role != SP_ROLE_VAULT) {
        sp_wipe(r->part.seed, sizeof(r->part.seed)); /* our copy: nobody else opens the keys */
    }
    sp_err err = role == SP_ROLE_VAULT ? sp_vault_restore_master(&r->part) : sp_ok();
    if (!sp_failed(err)) {
        err = sp_backup_become(r->job->config, role);
    }
    if (!sp_failed(err)) {
        err = work(r);
    }
    *r->found = (found){.people = r->people, .entries = r->part.entries, .root = r->part.root};
    sp_copy(r->found->said, r->part.said, sizeof(r->part.said));
    return err;
}

static sp_err wait_for(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            return sp_fail(SP_EIO);
        }
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) >= SP_CODE_COUNT) {
        return sp_fail(SP_EINTERNAL);
    }
    return (sp_err){(sp_code)WEXITSTATUS(status)};
}

static sp_err in_role(restoring *r, sp_role_kind role, work_of_role work)
{
    fflush(NULL);
    r->part.said[0] = '\0';
    *r->found = (found){.people = r->people, .entries = r->part.entries, .root = r->part.root};
    pid_t child = fork();
    if (child < 0) {
        return sp_fail(SP_EIO);
    }
    if (child == 0) {
        sp_err err = child_work(r, role, work);
        fflush(NULL);
        _exit((int)err.code);
    }
    sp_err err = wait_for(child);
    r->people = r->found->people;
    r->part.entries = r->found->entries;
    r->part.root = r->found->root;
    sp_copy(r->part.said, r->found->said, sizeof(r->part.said));
    return err;
}

static sp_err in_vault(restoring *r)
{
    return sp_vault_restore(&r->part);
}

static sp_err in_ledger(restoring *r)
{
    return sp_ledger_restore(&r->part);
}

/* The store inside, every page of it, beside the one in use. */
static sp_err extract(restoring *r)
{
    const sp_backup_job *job = r->job;
    sp_store *store = NULL;
    sp_backup_remove_work(job);
    auto_close int to =
        open(job->work_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (to < 0) {
        sp_backup_complain("%s cannot be made: %s", job->work_path, strerror(errno));
        return sp_fail(SP_EIO);
    }
    sp_err err = sp_archive_read(r->from, to, &r->room, &r->data_key);
    if (sp_failed(err)) {
        sp_backup_complain("%s is damaged or was changed: %s", job->file, sp_code_word(err.code));
        return err;
    }
    TRY(sp_backup_open_store(job->work_path, &store));
    {
        auto_query sp_query q = sp_query_of(store, "SELECT COUNT(*) FROM person");
        r->people = sp_query_row(&q) ? sp_col_u64(&q) : 0;
        err = sp_query_finish(&q);
    }
    sp_store_close(store);
    return err;
}

static sp_err drop_work(restoring *r)
{
    sp_backup_remove_work(r->job);
    return sp_ok();
}

/* ---- the store in place ---- */

static sp_err note_restore(restoring *r)
{
    sp_store *store = NULL;
    auto_buf sp_buf words = sp_buf_make(1024);
    sp_buf_text(&words, "the backup of ");
    sp_buf_time(&words, r->head.created_unix_us);
    sp_buf_fmt(&words, " was restored%.*s", SP_SPAN_ARG(r->done));
    TRY(sp_buf_error(&words));
    TRY(sp_backup_open_store(r->job->work_path, &store));
    sp_err err = sp_restored_note(store, sp_buf_borrow(&words));
    sp_store_close(store);
    return err;
}

static sp_err path_beside(const char *path, const char *end, char ret_path[PATH_BYTES])
{
    int len = snprintf(ret_path, PATH_BYTES, "%s%s", path, end);
    return len < 0 || len >= PATH_BYTES ? sp_fail(SP_ELIMIT) : sp_ok();
}

/* With its journal drawn in; a damaged one is kept as it is. */
static sp_err keep_before(const char *path)
{
    char before[PATH_BYTES];
    sp_store *store = NULL;
    TRY(path_beside(path, ".before-restore", before));
    if (access(path, F_OK) != 0) {
        return sp_ok();
    }
    unlink(before);
    if (sp_failed(sp_backup_open_store(path, &store))) {
        return rename(path, before) == 0 ? sp_ok() : sp_fail(SP_EIO);
    }
    sp_err err = sp_store_copy(store, before);
    sp_store_close(store);
    return err;
}

static sp_err put_store(restoring *r)
{
    static const char *const ends[] = {"-wal", "-shm"};
    const char *path = r->job->store_path;
    TRY(note_restore(r));
    TRY(keep_before(path));
    for (size_t i = 0; i < SP_COUNT(ends); i++) {
        char beside[PATH_BYTES];
        TRY(path_beside(path, ends[i], beside));
        unlink(beside);
    }
    return rename(r->job->work_path, path) == 0 ? sp_ok() : sp_fail(SP_EIO);
}

/* ---- the file ---- */

static sp_err unlock(restoring *r, sp_backup_job *job)
{
    sp_archive_keys keys;
    sp_vault_exported exported;
    sp_err err = sp_archive_read_head(r->from, &r->room, &r->head);
    if (sp_failed(err)) {
        sp_backup_complain(
            err.code == SP_EUNSUPPORTED
                ? "%s was made by another version of Sallyport: open it with that one"
                : "%s is not a backup of Sallyport",
            job->file);
        return err;
    }
    TRY(sp_archive_keys_of(&r->head, sp_buf_borrow(&job->passphrase), &keys));
    sp_buf_wipe(&job->passphrase);
    err = sp_archive_unlock(&r->head, &keys, &r->data_key);
    if (sp_failed(err)) {
        sp_backup_complain("the passphrase does not open %s", job->file);
    } else {
        err = sp_archive_unlock_vault(&r->head, &r->data_key, &r->exported);
    }
    if (!sp_failed(err)) {
        err = sp_vault_exported_decode(sp_buf_borrow(&r->exported), &exported);
    }
    if (!sp_failed(err)) {
        r->part.exported = exported.sealed;
        r->part.entries = exported.entries;
        r->part.root = exported.root;
        sp_copy(r->part.seed, keys.vault_seed.bytes, sizeof(r->part.seed));
    }
    sp_archive_keys_wipe(&keys);
    return err;
}

/* One part's step; what it says goes to standard error when it fails, else to *ret_said. */
static sp_err part(restoring *r, sp_role_kind role, sp_restore_step step, sp_buf *said)
{
    r->part.step = step;
    sp_err err = in_role(r, role, role == SP_ROLE_VAULT ? in_vault : in_ledger);
    if (sp_failed(err)) {
        sp_backup_complain("%s", r->part.said[0] != '\0' ? r->part.said : sp_code_word(err.code));
        return err;
    }
    sp_buf_fmt(said, "; %s", r->part.said);
    return sp_ok();
}

/* ---- places ---- */

/* On a machine where the office never ran there are no directories yet. */
static sp_err make_places(const sp_config *config)
{
    if (mkdir(config->state_dir, 0711) == 0 && chmod(config->state_dir, 0711) != 0) {
        return sp_fail(SP_EIO);
    }
    for (sp_role_kind role = SP_ROLE_CORE; role < SP_ROLE_COUNT; role++) {
        auto_free char *path = NULL;
        if (!sp_config_has_role(config, role)) {
            continue;
        }
        TRY(sp_config_state(config, role, "", &path));
        bool made = mkdir(path, 0700) == 0;
        bool good = made || errno == EEXIST;
        if (made && geteuid() == 0) {
            good = chown(path, config->uids[role], config->gids[role]) == 0;
        }
        if (!good) {
            sp_backup_complain("%s cannot be made: %s", path, strerror(errno));
            return sp_fail(SP_EIO);
        }
    }
    return sp_ok();
}

/* Asked of the kernel's list: connecting would wake a unit that systemd is about to stop. */
static bool is_listened_at(sp_span list, const char *path)
{
    sp_span line;
    while (sp_span_split(&list, '\n', &line)) {
        if (sp_span_ends(line, sp_span_cstr(path))) {
            return true;
        }
    }
    return false;
}

static bool office_runs(const sp_config *config)
{
    static const char *const names[] = {"core", "vault", "ledger"};
    auto_buf sp_buf list = sp_buf_make(SOCKETS_MAX_BYTES);
    if (sp_failed(sp_file_read("/proc/net/unix", &list))) {
        return true; /* not known: as if it did */
    }
    for (size_t i = 0; i < SP_COUNT(names); i++) {
        auto_free char *path = NULL;
        if (sp_failed(sp_config_socket(config, names[i], &path)) ||
            is_listened_at(sp_buf_borrow(&list), path)) {
            return true;
        }
    }
    return false;
}

/* systemctl stop sallyport.target returns before the last unit has ended. */
static bool has_stopped(const sp_config *config)
{
    uint64_t deadline_us = sp_now_steady_us() + (uint64_t)STOP_WAIT_MS * 1000;
    while (office_runs(config)) {
        if (sp_now_steady_us() > deadline_us) {
            return false;
        }
        usleep(STOP_LOOK_US);
    }
    return true;
}

/* ---- verbs ---- */

static sp_err verify(restoring *r, sp_backup_job *job, sp_buf *said)
{
    TRY(unlock(r, job));
    TRY(in_role(r, SP_ROLE_CORE, extract));
    return part(r, SP_ROLE_VAULT, SP_RESTORE_LOOK, said);
}

static sp_err restore(restoring *r, sp_backup_job *job, sp_buf *said)
{
    auto_buf sp_buf checked = sp_buf_make(1024);
    TRY(make_places(job->config));
    TRY(unlock(r, job));
    TRY(in_role(r, SP_ROLE_CORE, extract));
    TRY(part(r, SP_ROLE_VAULT, SP_RESTORE_CHECK, &checked));
    TRY(part(r, SP_ROLE_LEDGER, SP_RESTORE_CHECK, &checked));
    TRY(part(r, SP_ROLE_VAULT, SP_RESTORE_DO, said));
    TRY(part(r, SP_ROLE_LEDGER, SP_RESTORE_DO, said));
    r->done = sp_buf_borrow(said);
    return in_role(r, SP_ROLE_CORE, put_store);
}

static int run(sp_backup_job *job, sp_err (*verb)(restoring *, sp_backup_job *, sp_buf *),
               const char *good)
{
    auto_buf sp_buf said = sp_buf_make(1024);
    auto_close int from = open(job->file, O_RDONLY | O_CLOEXEC);
    found *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (from < 0 || shared == MAP_FAILED) {
        sp_backup_complain("%s cannot be read: %s", job->file, strerror(errno));
        return SP_EXIT_FAILED;
    }
    restoring r = {.job = job,
                   .from = from,
                   .found = shared,
                   .room = sp_buf_make(SP_ARCHIVE_HEAD_MAX_BYTES),
                   .exported = sp_buf_make(SP_ARCHIVE_VAULT_MAX_BYTES),
                   .part = {.config = job->config, .new_ledger = job->new_ledger}};
    sp_err err = verb(&r, job, &said);
    SP_IGNORE(in_role(&r, SP_ROLE_CORE, drop_work)); /* a left copy is removed by the next run */
    if (!sp_failed(err)) {
        printf("%s: %llu accounts, every page checked%.*s\n", good, (unsigned long long)r.people,
               SP_SPAN_ARG(sp_buf_borrow(&said)));
    }
    sp_buf_done(&r.room);
    sp_buf_done(&r.exported);
    sp_wipe(&r, sizeof(r));
    munmap(shared, sizeof(*shared));
    return sp_failed(err) ? SP_EXIT_FAILED : SP_EXIT_OK;
}

int sp_backup_verify(sp_backup_job *job)
{
    return run(job, verify, "good");
}

int sp_backup_restore(sp_backup_job *job)
{
    if (!has_stopped(job->config)) {
        sp_backup_complain("the office runs: stop it first");
        return SP_EXIT_REFUSED;
    }
    int status = run(job, restore, "restored");
    if (status == SP_EXIT_OK) {
        printf("What was here before is beside it (*.before-restore). Everybody signs in again.\n");
    } else {
        sp_backup_complain("not done");
    }
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 * `sallyport backup create|verify|restore`: the command line, and what its verbs share.
 * OWNS the job. PROCESS the command, as root. TRUST see the verbs: create.c, restore.c.
 * SPEC docs/OPERATIONS.md "Backup and restore".
 */
#include "core/backup/inside.h"
#include "infra/crypto/random.h"
#include "infra/proc/entry.h"
#include "infra/proc/exit.h"
#include "infra/proc/file.h"

#include <errno.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PASSPHRASE_MAX_BYTES = 1024, WHY_BYTES = 1000 };

void sp_backup_complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "sallyport: backup: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
}

static int usage(FILE *to)
{
    fprintf(
        to,
        "usage: sallyport backup create|verify|restore FILE --passphrase-file FILE [-c FILE]\n"
        "                                              [--new-ledger]\n"
        "\n"
        "create   writes the store and the vault's keys, encrypted, into a new FILE while the\n"
        "         office runs\n"
        "verify   opens FILE and checks every page of the store and every key inside\n"
        "restore  puts them in place, on this machine or another; the office must be stopped\n"
        "\n"
        "The ledger's entries are not in it: copy the ledger's directory as well, and put the\n"
        "copy in place before you restore. --new-ledger: they are lost, begin a new ledger.\n"
        "The passphrase file holds one line of at least 12 characters; - is standard input.\n"
        "Keep the passphrase apart from the backups: whoever has both has the office's keys.\n");
    return to == stdout ? SP_EXIT_OK : SP_EXIT_USAGE;
}

/* ---- the command line ---- */

static bool read_option(sp_backup_job *work, int argc, char **argv, int *at)
{
    const char *word = argv[*at];
    if (strcmp(word, "--new-ledger") == 0) {
        work->new_ledger = true;
        return true;
    }
    bool passphrase = strcmp(word, "--passphrase-file") == 0;
    if (passphrase || strcmp(word, "-c") == 0) {
        if (*at + 1 >= argc) {
            return false;
        }
        *(passphrase ? &work->passphrase_file : &work->config_path) = argv[++*at];
        return true;
    }
    if (word[0] == '-') {
        return false;
    }
    const char **to = work->verb == NULL ? &work->verb : &work->file;
    if (*to != NULL) {
        return false;
    }
    *to = word;
    return true;
}

static bool read_args(sp_backup_job *work, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (!read_option(work, argc, argv, &i)) {
            return false;
        }
    }
    return work->verb != NULL && work->file != NULL && work->passphrase_file != NULL;
}

static sp_err read_passphrase(sp_backup_job *work)
{
    const char *path =
        strcmp(work->passphrase_file, "-") == 0 ? "/dev/stdin" : work->passphrase_file;
    work->passphrase = sp_buf_make(PASSPHRASE_MAX_BYTES);
    TRY(sp_file_read(path, &work->passphrase));
    while (work->passphrase.len > 0 && (work->passphrase.ptr[work->passphrase.len - 1] == '\n' ||
                                        work->passphrase.ptr[work->passphrase.len - 1] == '\r')) {
        work->passphrase.len--;
    }
    return work->passphrase.len >= SP_ARCHIVE_PASSPHRASE_MIN_BYTES ? sp_ok() : sp_fail(SP_EINVALID);
}

static sp_err load(sp_backup_job *work)
{
    auto_diags sp_diags diags = {0};
    auto_buf sp_buf text = sp_buf_make(64 * 1024);
    const char *path =
        work->config_path != NULL ? work->config_path : "/etc/sallyport/sallyport.yaml";
    sp_err err = sp_config_load(path, &diags, &work->config);
    if (sp_failed(err)) {
        sp_diags_print(&diags, &text);
        sp_backup_complain("the bootstrap file cannot be read:\n%.*s",
                           SP_SPAN_ARG(sp_buf_borrow(&text)));
        return err;
    }
    TRY(sp_config_state(work->config, SP_ROLE_CORE, "core.db", &work->store_path));
    TRY(sp_config_state(work->config, SP_ROLE_CORE, "backup.work", &work->work_path));
    err = read_passphrase(work);
    if (sp_failed(err)) {
        sp_backup_complain("the passphrase file %s must hold one line of at least %d characters",
                           work->passphrase_file, SP_ARCHIVE_PASSPHRASE_MIN_BYTES);
    }
    return err;
}

/* ---- shared ---- */

sp_err sp_backup_become(const sp_config *config, sp_role_kind role)
{
    if (geteuid() != 0) {
        return sp_ok();
    }
    gid_t gid = config->gids[role];
    if (setgroups(1, &gid) != 0 || setgid(gid) != 0 || setuid(config->uids[role]) != 0) {
        sp_backup_complain("cannot become %s's user: %s", sp_role_word(role), strerror(errno));
        return sp_fail(SP_EIO);
    }
    return sp_ok();
}

void sp_backup_remove_work(const sp_backup_job *work)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < SP_COUNT(ends); i++) {
        char path[4096];
        int len = snprintf(path, sizeof(path), "%s%s", work->work_path, ends[i]);
        if (len > 0 && (size_t)len < sizeof(path)) {
            unlink(path);
        }
    }
}

sp_err sp_backup_open_store(const char *path, sp_store **ret_store)
{
    auto_buf sp_buf why = sp_buf_make(WHY_BYTES);
    sp_err err = sp_store_open(path, &why, ret_store);
    if (sp_failed(err)) {
        sp_backup_complain("%s: %.*s", path, SP_SPAN_ARG(sp_buf_borrow(&why)));
    }
    return err;
}

/* ---- the command ---- */

static void job_done(sp_backup_job *work)
{
    sp_buf_wipe(&work->passphrase);
    sp_buf_done(&work->passphrase);
    sp_config_free(work->config);
    sp_free(work->store_path);
    sp_free(work->work_path);
}

static int run(sp_backup_job *work)
{
    if (strcmp(work->verb, "create") == 0) {
        return sp_backup_create(work);
    }
    return strcmp(work->verb, "restore") == 0 ? sp_backup_restore(work) : sp_backup_verify(work);
}

int sp_backup_command(int argc, char **argv)
{
    sp_backup_job work = {0};
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        return usage(stdout);
    }
    if (!read_args(&work, argc, argv) ||
        (strcmp(work.verb, "create") != 0 && strcmp(work.verb, "verify") != 0 &&
         strcmp(work.verb, "restore") != 0) ||
        (work.new_ledger && strcmp(work.verb, "restore") != 0)) {
        return usage(stderr);
    }
    if (sp_failed(sp_crypto_start()) || sp_failed(load(&work))) {
        job_done(&work);
        return SP_EXIT_INVALID;
    }
    umask(077);
    int status = run(&work);
    job_done(&work);
    return status;
}

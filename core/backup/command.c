/* SPDX-License-Identifier: Apache-2.0
 * `sallyport backup create|verify|restore`: the store as one encrypted file, taken while the office
 * runs; put back while it stands still.
 * OWNS nothing. PROCESS the command, as root, which becomes core's user before it opens anything of
 * core. TRUST the backup file is hostile until it verifies. SPEC docs/OPERATIONS.md "Backup".
 */
#include "core/backup/archive.h"
#include "infra/crypto/random.h"
#include "infra/ipc/conn.h"
#include "infra/proc/clock.h"
#include "infra/proc/entry.h"
#include "infra/proc/exit.h"
#include "infra/proc/file.h"
#include "infra/store/store.h"
#include "lib/proto/ledger_msg.h"
#include "lib/proto/vault_msg.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PASSPHRASE_MAX_BYTES = 1024, CALL_MS = 5000, WHY_BYTES = 1000 };

typedef struct {
    const char *verb;
    const char *file;
    const char *config_path;
    const char *passphrase_file;
    sp_config *config;
    sp_buf passphrase;
    char *store_path;
    char *work_path; /* beside the store, so that a rename puts it in place */
} job;

__attribute__((format(printf, 1, 2))) static void complain(const char *format, ...)
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
    fprintf(to,
            "usage: sallyport backup create|verify|restore FILE --passphrase-file FILE [-c FILE]\n"
            "\n"
            "create   writes the store, encrypted, into a new FILE while the office runs\n"
            "verify   opens FILE and checks every page of the store inside\n"
            "restore  puts the store of FILE in place; the office must be stopped\n"
            "\n"
            "The passphrase file holds one line of at least 12 characters; - is standard input.\n"
            "Keep the passphrase apart from the backups: without it nobody opens them.\n"
            "Keys of the vault are not in it: back the vault's directory up as well.\n");
    return to == stdout ? SP_EXIT_OK : SP_EXIT_USAGE;
}

/* ---- the command line ---- */

static bool read_option(job *work, int argc, char **argv, int *at)
{
    const char *word = argv[*at];
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

static bool read_args(job *work, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (!read_option(work, argc, argv, &i)) {
            return false;
        }
    }
    return work->verb != NULL && work->file != NULL && work->passphrase_file != NULL;
}

static sp_err read_passphrase(job *work)
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

static sp_err load(job *work)
{
    auto_diags sp_diags diags = {0};
    auto_buf sp_buf text = sp_buf_make(64 * 1024);
    const char *path =
        work->config_path != NULL ? work->config_path : "/etc/sallyport/sallyport.yaml";
    sp_err err = sp_config_load(path, &diags, &work->config);
    if (sp_failed(err)) {
        sp_diags_print(&diags, &text);
        complain("the bootstrap file cannot be read:\n%.*s", SP_SPAN_ARG(sp_buf_borrow(&text)));
        return err;
    }
    TRY(sp_config_state(work->config, SP_ROLE_CORE, "core.db", &work->store_path));
    TRY(sp_config_state(work->config, SP_ROLE_CORE, "backup.work", &work->work_path));
    err = read_passphrase(work);
    if (sp_failed(err)) {
        complain("the passphrase file %s must hold one line of at least %d characters",
                 work->passphrase_file, SP_ARCHIVE_PASSPHRASE_MIN_BYTES);
    }
    return err;
}

/* What is core's is touched as core: no file of root's is left behind in its directory. */
static sp_err become_core(const sp_config *config)
{
    if (geteuid() != 0) {
        return sp_ok();
    }
    gid_t gid = config->gids[SP_ROLE_CORE];
    if (setgroups(1, &gid) != 0 || setgid(gid) != 0 || setuid(config->uids[SP_ROLE_CORE]) != 0) {
        complain("cannot become core's user: %s", strerror(errno));
        return sp_fail(SP_EIO);
    }
    return sp_ok();
}

/* ---- the vault and the ledger ---- */

static sp_err call(const job *work, const char *name, uint16_t kind, sp_span body, sp_buf *reply)
{
    auto_free char *path = NULL;
    auto_close int fd = -1;
    auto_fds sp_fds fds = {0};
    TRY(sp_config_socket(work->config, name, &path));
    TRY(sp_ipc_connect(path, &fd));
    return sp_ipc_call(fd, kind, body, CALL_MS, reply, &fds);
}

static sp_err seal_by_vault(const job *work, const sp_key *key, sp_buf *sealed)
{
    auto_buf sp_buf body = sp_buf_make(4096);
    sp_vault_wrap_encode(
        &(sp_vault_wrap){SP_SPAN_LIT("store backup"), sp_span_of(key->bytes, sizeof(key->bytes))},
        &body);
    TRY(sp_buf_error(&body));
    sp_err err = call(work, "vault", SP_VAULT_BACKUP_WRAP, sp_buf_borrow(&body), sealed);
    sp_buf_wipe(&body);
    return err;
}

static sp_err record(const job *work, const char *what)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    auto_buf sp_buf reply = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_event event = {.when_unix_us = sp_now_unix_us(),
                      .kind = SP_EVENT_ADMIN,
                      .severity = SP_SEVERITY_MEDIUM,
                      .action = SP_ACTION_EXPORT,
                      .verdict = SP_VERDICT_ALLOW,
                      .person_name = SP_SPAN_LIT("root"),
                      .method = sp_span_cstr(what),
                      .object = sp_span_cstr(work->file)};
    sp_ledger_append_write(sp_random_u64(), 1, 1, &body);
    sp_ledger_append_add(&event, &body);
    TRY(sp_buf_error(&body));
    return call(work, "ledger", SP_LEDGER_APPEND, sp_buf_borrow(&body), &reply);
}

/* ---- create ---- */

static void remove_work(const job *work)
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

static sp_err open_checked(const char *path, sp_store **ret_store)
{
    auto_buf sp_buf why = sp_buf_make(WHY_BYTES);
    sp_err err = sp_store_open(path, &why, ret_store);
    if (sp_failed(err)) {
        complain("%s: %.*s", path, SP_SPAN_ARG(sp_buf_borrow(&why)));
    }
    return err;
}

static sp_err copy_store(const job *work)
{
    sp_store *store = NULL;
    if (access(work->store_path, F_OK) != 0) {
        complain("there is no store at %s", work->store_path);
        return sp_fail(SP_ENOTFOUND);
    }
    remove_work(work);
    TRY(open_checked(work->store_path, &store));
    sp_err err = sp_store_copy(store, work->work_path);
    sp_store_close(store);
    return err;
}

static sp_err write_archive(const job *work, int to)
{
    auto_key sp_key key = sp_key_new();
    auto_buf sp_buf by_passphrase = sp_buf_make(SP_ARCHIVE_SEALED_MAX_BYTES);
    auto_buf sp_buf by_vault = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_archive_head head;
    TRY(sp_archive_lock(sp_buf_borrow(&work->passphrase), &key, &by_passphrase, &head));
    if (sp_failed(seal_by_vault(work, &key, &by_vault))) {
        complain("the vault is not there: only the passphrase will open this backup");
        sp_buf_reset(&by_vault);
    }
    head.by_vault = sp_buf_borrow(&by_vault);
    auto_close int from = open(work->work_path, O_RDONLY | O_CLOEXEC);
    return from < 0 ? sp_fail(SP_EIO) : sp_archive_write(from, to, &head, &key);
}

static int create(const job *work)
{
    auto_close int to =
        open(work->file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (to < 0) {
        complain("%s cannot be made: %s", work->file, strerror(errno));
        return SP_EXIT_FAILED;
    }
    sp_err err = become_core(work->config);
    if (!sp_failed(err)) {
        err = record(work, "backup");
        if (sp_failed(err)) {
            complain(
                "the ledger cannot write this down (%s), so it was not done. Start the office.",
                sp_code_word(err.code));
        }
    }
    if (!sp_failed(err)) {
        err = copy_store(work);
    }
    if (!sp_failed(err)) {
        err = write_archive(work, to);
    }
    remove_work(work);
    if (sp_failed(err)) {
        complain("not done: %s. Remove %s.", sp_code_word(err.code), work->file);
        return SP_EXIT_FAILED;
    }
    printf("%s holds the store. Check it: sallyport backup verify\n", work->file);
    return SP_EXIT_OK;
}

/* ---- verify and restore ---- */

static sp_err extract(const job *work, int from)
{
    auto_buf sp_buf room = sp_buf_make(SP_ARCHIVE_HEAD_MAX_BYTES);
    auto_key sp_key key;
    sp_archive_head head;
    sp_err err = sp_archive_read_head(from, &room, &head);
    if (sp_failed(err)) {
        complain("%s is not a backup of Sallyport", work->file);
        return err;
    }
    err = sp_archive_unlock(&head, sp_buf_borrow(&work->passphrase), &key);
    if (sp_failed(err)) {
        complain("the passphrase does not open %s", work->file);
        return err;
    }
    remove_work(work);
    auto_close int to =
        open(work->work_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (to < 0) {
        complain("%s cannot be made: %s", work->work_path, strerror(errno));
        return sp_fail(SP_EIO);
    }
    err = sp_archive_read(from, to, &room, &key);
    if (sp_failed(err)) {
        complain("%s is damaged or was changed: %s", work->file, sp_code_word(err.code));
    }
    return err;
}

/* The store inside, every page of it. */
static sp_err check_extracted(const job *work, uint64_t *ret_people)
{
    sp_store *store = NULL;
    TRY(open_checked(work->work_path, &store));
    auto_query sp_query q = sp_query_of(store, "SELECT COUNT(*) FROM person");
    *ret_people = sp_query_row(&q) ? sp_col_u64(&q) : 0;
    sp_err err = sp_query_finish(&q);
    sp_store_close(store);
    return err;
}

static sp_err put_in_place(const job *work)
{
    char before[4096];
    int len = snprintf(before, sizeof(before), "%s.before-restore", work->store_path);
    if (len < 0 || (size_t)len >= sizeof(before)) {
        return sp_fail(SP_ELIMIT);
    }
    if (access(work->store_path, F_OK) == 0) { /* with its journal drawn in */
        sp_store *store = NULL;
        unlink(before);
        sp_err err = open_checked(work->store_path, &store);
        if (!sp_failed(err)) {
            err = sp_store_copy(store, before);
            sp_store_close(store);
        } else if (rename(work->store_path, before) == 0) { /* damaged: kept as it is */
            err = sp_ok();
        }
        TRY(err);
    }
    static const char *const ends[] = {"-wal", "-shm"};
    for (size_t i = 0; i < SP_COUNT(ends); i++) {
        char beside[4096];
        int n = snprintf(beside, sizeof(beside), "%s%s", work->store_path, ends[i]);
        if (n > 0 && (size_t)n < sizeof(beside)) {
            unlink(beside);
        }
    }
    return rename(work->work_path, work->store_path) == 0 ? sp_ok() : sp_fail(SP_EIO);
}

static bool office_runs(const job *work)
{
    auto_free char *path = NULL;
    auto_close int fd = -1;
    return !sp_failed(sp_config_socket(work->config, "core", &path)) &&
           !sp_failed(sp_ipc_connect(path, &fd));
}

static int open_backup(const job *work, bool restore)
{
    uint64_t people = 0;
    auto_close int from = open(work->file, O_RDONLY | O_CLOEXEC);
    if (from < 0) {
        complain("%s cannot be read: %s", work->file, strerror(errno));
        return SP_EXIT_FAILED;
    }
    if (restore && office_runs(work)) {
        complain("the office runs: stop it first");
        return SP_EXIT_REFUSED;
    }
    sp_err err = become_core(work->config);
    if (!sp_failed(err)) {
        err = extract(work, from);
    }
    if (!sp_failed(err)) {
        err = check_extracted(work, &people);
    }
    if (!sp_failed(err) && restore) {
        err = put_in_place(work);
    }
    remove_work(work);
    if (sp_failed(err)) {
        complain("not done: %s; the store is as it was", sp_code_word(err.code));
        return SP_EXIT_FAILED;
    }
    printf(restore ? "restored: %llu accounts. The store of before is core.db.before-restore.\n"
                   : "good: %llu accounts, every page checked\n",
           (unsigned long long)people);
    return SP_EXIT_OK;
}

static void job_done(job *work)
{
    sp_buf_wipe(&work->passphrase);
    sp_buf_done(&work->passphrase);
    sp_config_free(work->config);
    sp_free(work->store_path);
    sp_free(work->work_path);
}

static int run(const job *work)
{
    if (strcmp(work->verb, "create") == 0) {
        return create(work);
    }
    return open_backup(work, strcmp(work->verb, "restore") == 0);
}

int sp_backup_command(int argc, char **argv)
{
    job work = {0};
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        return usage(stdout);
    }
    if (!read_args(&work, argc, argv) ||
        (strcmp(work.verb, "create") != 0 && strcmp(work.verb, "verify") != 0 &&
         strcmp(work.verb, "restore") != 0)) {
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

/* SPDX-License-Identifier: Apache-2.0
 * The ledger at a restore: whether the files here go on from the backup's last checkpoint, or
 * another log has to begin.
 * OWNS nothing. PROCESS `sallyport backup restore`, in the ledger's user, the ledger standing
 * still. TRUST the files may have been changed by anyone who had them. SPEC infra/proc/entry.h.
 */
#include "infra/proc/clock.h"
#include "infra/proc/entry.h"
#include "ledger/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { WHY_MAX_BYTES = 1024, NAME_MAX_BYTES = 64 };

static const char ASIDE[] = "before-restore.";

static bool holds(const char *dir, const sp_restore *ask, sp_buf *why)
{
    sp_journal *store = NULL;
    sp_err err = sp_journal_open(dir, false, why, &store);
    if (sp_failed(err)) {
        return false;
    }
    err = sp_journal_holds(store, ask->entries, &ask->root);
    if (sp_failed(err)) {
        sp_buf_fmt(why, "%s holds %llu entries, and they are not its continuation", dir,
                   (unsigned long long)sp_journal_size(store));
    }
    sp_journal_close(store);
    return !sp_failed(err);
}

/* What is there goes into a folder of its own, nothing is deleted. */
static sp_err set_aside(const char *dir)
{
    char to[NAME_MAX_BYTES];
    auto_close int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    snprintf(to, sizeof(to), "%s%llu", ASIDE, (unsigned long long)(sp_now_unix_us() / 1000000));
    if (at < 0 || (mkdirat(at, to, 0700) != 0 && errno != EEXIST)) {
        return sp_fail(SP_EIO);
    }
    auto_close int into = openat(at, to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = into < 0 ? NULL : opendir(dir);
    if (list == NULL) {
        return sp_fail(SP_EIO);
    }
    bool good = true;
    for (const struct dirent *one = readdir(list); one != NULL; one = readdir(list)) {
        bool stays = strcmp(one->d_name, ".") == 0 || strcmp(one->d_name, "..") == 0 ||
                     strncmp(one->d_name, ASIDE, sizeof(ASIDE) - 1) == 0;
        good = good && (stays || renameat(at, one->d_name, into, one->d_name) == 0);
    }
    closedir(list);
    return good ? sp_ok() : sp_fail(SP_EIO);
}

sp_err sp_ledger_restore(sp_restore *ask)
{
    auto_free char *dir = NULL;
    auto_buf sp_buf why = sp_buf_make(WHY_MAX_BYTES);
    unsigned long long entries = ask->entries;
    TRY(sp_config_state(ask->config, SP_ROLE_LEDGER, "", &dir));
    bool whole = holds(dir, ask, &why);
    if (whole && !ask->new_ledger) {
        snprintf(ask->said, sizeof(ask->said), "the ledger goes on behind entry %llu", entries);
        return sp_ok();
    }
    if (whole) {
        snprintf(ask->said, sizeof(ask->said),
                 "the ledger here goes on behind entry %llu: leave --new-ledger out", entries);
        return sp_fail(SP_EEXISTS);
    }
    if (!ask->new_ledger) {
        snprintf(ask->said, sizeof(ask->said), "no ledger with the backup's %llu entries: %.*s",
                 entries, SP_SPAN_ARG(sp_buf_borrow(&why)));
        return sp_fail(SP_ENOTFOUND);
    }
    snprintf(ask->said, sizeof(ask->said),
             "a new ledger begins; the %llu entries of before are not in it", entries);
    return ask->step == SP_RESTORE_DO ? set_aside(dir) : sp_ok();
}

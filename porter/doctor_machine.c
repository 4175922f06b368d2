/* SPDX-License-Identifier: Apache-2.0
 * Doctor looks at the machine: users, directories, disk, clock.
 * OWNS nothing. PROCESS cli. TRUST none of it is hostile. SPEC docs/OPERATIONS.md "Doctor".
 */
#include "infra/proc/clock.h"
#include "infra/proc/trusted.h"
#include "porter/doctor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

enum { DISK_WARN_PERCENT = 15, DISK_BAD_PERCENT = 5, TREE_DEPTH_MAX = 6, CLOCK_WARN_US = 500000 };
#define MIB ((uint64_t)1024 * 1024)
#define DISK_BAD_BYTES (256 * MIB)
/* The program was not written before this: a clock that says so is wrong. 2026-01-01. */
#define CLOCK_LEAST_US ((uint64_t)1767225600 * 1000000)

/* ---- users ---- */

static void name_user(uid_t uid, char *to, size_t size)
{
    const struct passwd *entry = getpwuid(uid);
    if (entry != NULL) {
        snprintf(to, size, "%s (%u)", entry->pw_name, (unsigned)uid);
    } else {
        snprintf(to, size, "%u (no name)", (unsigned)uid);
    }
}

void doctor_users(doctor *d)
{
    const sp_config *config = d->config;
    for (sp_role_kind role = SP_ROLE_CORE; role < SP_ROLE_COUNT; role++) {
        if (!sp_config_has_role(config, role)) {
            continue;
        }
        char user[300];
        name_user(config->uids[role], user, sizeof(user));
        sp_role_kind other = SP_ROLE_CORE;
        while (other < role && config->uids[other] != config->uids[role]) {
            other++;
        }
        if (other < role) {
            doctor_say(d, DOCTOR_WARN, "users",
                       "give each role a user of its own under users: for anything but a trial",
                       "%s shares user %s with %s", sp_role_word(role), user, sp_role_word(other));
        } else {
            doctor_say(d, DOCTOR_GOOD, "users", NULL, "%s runs as %s", sp_role_word(role), user);
        }
    }
}

/* ---- directories ---- */

static void look_at_dir(doctor *d, const char *path, uid_t owner, unsigned closed_bits)
{
    struct stat st;
    char hint[DOCTOR_TEXT_BYTES];
    if (lstat(path, &st) != 0) {
        doctor_say(d, d->running || errno != ENOENT ? DOCTOR_BAD : DOCTOR_WARN, "directories",
                   "the porter makes it when the office starts", "%s: %s", path, strerror(errno));
        return;
    }
    if (!S_ISDIR(st.st_mode)) {
        doctor_say(d, DOCTOR_BAD, "directories", "move it elsewhere", "%s is no directory", path);
    } else if (st.st_uid != owner) {
        snprintf(hint, sizeof(hint), "chown -R %u %s", (unsigned)owner, path);
        doctor_say(d, DOCTOR_BAD, "directories", hint, "%s belongs to user %u, not to %u", path,
                   (unsigned)st.st_uid, (unsigned)owner);
    } else if ((st.st_mode & closed_bits) != 0) {
        snprintf(hint, sizeof(hint), "look who may have read it, then chmod %04o %s",
                 (unsigned)st.st_mode & 07777U & ~closed_bits, path);
        doctor_say(d, DOCTOR_BAD, "directories", hint, "%s is open to others (mode %04o)", path,
                   (unsigned)st.st_mode & 07777U);
    } else {
        doctor_say(d, DOCTOR_GOOD, "directories", NULL, "%s is %04o, user %u", path,
                   (unsigned)st.st_mode & 07777U, (unsigned)st.st_uid);
    }
}

static void look_at_key(doctor *d)
{
    const char *path = d->config->tls_key;
    struct stat st;
    if (path == NULL) {
        return;
    }
    if (lstat(path, &st) != 0) {
        doctor_say(d, DOCTOR_BAD, "directories", "tls: key: names a file that the vault can read",
                   "%s: %s", path, strerror(errno));
    } else if ((st.st_mode & 007) != 0) {
        doctor_say(d, DOCTOR_BAD, "directories", "replace the key: others could read it",
                   "the TLS key %s is open to everybody (mode %04o)", path,
                   (unsigned)st.st_mode & 07777U);
    } else {
        doctor_say(d, DOCTOR_GOOD, "directories", NULL, "the TLS key %s is %04o", path,
                   (unsigned)st.st_mode & 07777U);
    }
}

static uid_t owner_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && st.st_uid != 0 ? geteuid() : 0;
}

void doctor_directories(doctor *d)
{
    const sp_config *config = d->config;
    look_at_dir(d, config->state_dir, owner_of(config->state_dir), 022);
    look_at_dir(d, config->run_dir, owner_of(config->run_dir), 022);
    for (sp_role_kind role = SP_ROLE_CORE; role < SP_ROLE_COUNT; role++) {
        auto_buf sp_buf path = sp_buf_make(2048);
        sp_buf_fmt(&path, "%s/%s", config->state_dir, sp_role_word(role));
        auto_free char *text = NULL;
        if (sp_config_has_role(config, role) && !sp_failed(sp_buf_take_cstr(&path, &text))) {
            look_at_dir(d, text, config->uids[role], 077);
        }
    }
    look_at_key(d);
}

/* ---- disk ---- */

static uint64_t bytes_below(int dir_fd, unsigned depth)
{
    uint64_t bytes = 0;
    DIR *dir = fdopendir(dir_fd); /* owns dir_fd */
    if (dir == NULL) {
        close(dir_fd);
        return 0;
    }
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        struct stat st;
        if (entry->d_name[0] == '.' ||
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            continue;
        }
        bytes += (uint64_t)st.st_blocks * 512;
        if (S_ISDIR(st.st_mode) && depth < TREE_DEPTH_MAX) {
            int below =
                openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
            bytes += below < 0 ? 0 : bytes_below(below, depth + 1);
        }
    }
    closedir(dir);
    return bytes;
}

void doctor_commands(doctor *d)
{
    for (size_t i = 0; i < d->config->commands_count; i++) {
        const sp_config_command *command = &d->config->commands[i];
        char real[PATH_MAX];
        auto_buf sp_buf why = sp_buf_make(2 * PATH_MAX);
        if (sp_failed(sp_trusted_program(command->path, real, &why))) {
            doctor_say(d, DOCTOR_BAD, "commands",
                       "plans do not run it: chown root, chmod go-w, every folder above it as well",
                       "%s: %.*s", command->name, SP_SPAN_ARG(sp_buf_borrow(&why)));
        } else {
            doctor_say(d, DOCTOR_GOOD, "commands", NULL, "%s: %s is root's alone", command->name,
                       real);
        }
    }
}

void doctor_disk(doctor *d)
{
    struct statvfs fs;
    const char *state = d->config->state_dir;
    if (statvfs(state, &fs) != 0 || fs.f_blocks == 0) {
        doctor_say(d, DOCTOR_WARN, "disk", NULL, "%s: %s", state, strerror(errno));
        return;
    }
    auto_free char *ledger = NULL;
    int fd = sp_failed(sp_config_state(d->config, SP_ROLE_LEDGER, ".", &ledger))
                 ? -1
                 : open(ledger, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint64_t used = fd < 0 ? 0 : bytes_below(fd, 0);
    uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    uint64_t percent = (uint64_t)fs.f_bavail * 100 / fs.f_blocks;
    doctor_level level = percent < DISK_BAD_PERCENT || free_bytes < DISK_BAD_BYTES ? DOCTOR_BAD
                         : percent < DISK_WARN_PERCENT || free_bytes < used        ? DOCTOR_WARN
                                                                                   : DOCTOR_GOOD;
    doctor_say(d, level, "disk",
               "make room, or let the ledger keep less (Retention, never below 183 days): when the "
               "disk is full, what must be recorded is refused",
               "%llu MiB (%llu %%) are left for %s; the ledger holds %llu MiB",
               (unsigned long long)(free_bytes / MIB), (unsigned long long)percent, state,
               (unsigned long long)(used / MIB));
}

/* ---- clock ---- */

void doctor_clock(doctor *d)
{
    struct timex state = {0};
    int synced = adjtimex(&state);
    if (sp_now_unix_us() < CLOCK_LEAST_US) {
        doctor_say(d, DOCTOR_BAD, "clock", "set it: sessions, certificates and the ledger need it",
                   "the clock stands before this program was made");
    } else if (synced < 0 || synced == TIME_ERROR || (state.status & STA_UNSYNC) != 0) {
        doctor_say(d, DOCTOR_WARN, "clock", "apt-get install chrony, or systemd-timesyncd",
                   "nothing keeps the clock right");
    } else if (state.esterror > CLOCK_WARN_US) {
        doctor_say(d, DOCTOR_WARN, "clock", "look at the time service",
                   "the clock may be off by %ld ms", state.esterror / 1000);
    } else {
        doctor_say(d, DOCTOR_GOOD, "clock", NULL, "kept right, off by at most %ld ms",
                   state.maxerror / 1000);
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * The checks. Each says pass, fail or unknown with its reason; unknown is what cannot be seen
 * without root or is not there, never a guess.
 * OWNS nothing. PROCESS agent. TRUST see platform.h. SPEC docs/man/sallyport-agent.1 "POSTURE".
 */
#include "agent/platform.h"
#include "agent/spawn.h"
#include "infra/proc/clock.h"
#include "infra/proc/file.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum {
    APT_MS = 60 * 1000,
    TOOL_MS = 10 * 1000,
    OUTPUT_MAX_BYTES = 4 * 1024 * 1024,
    LISTS_MAX_AGE_S = 7 * 86400,
    DEPTH_MAX = 8,
    PATH_BYTES = 512,
    EFI_HEAD_BYTES = 4
};

const char *sp_check_word(sp_check_result result)
{
    static const char *const words[SP_CHECK_RESULT_COUNT] = {"unknown", "pass", "fail"};
    return result < SP_CHECK_RESULT_COUNT ? words[result] : "unknown";
}

static void set(sp_check *check, sp_check_result result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void set(sp_check *check, sp_check_result result, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(check->detail, sizeof(check->detail), format, args);
    va_end(args);
    check->result = result;
}

/* ---- pending security updates ---- */

/* Lines "Inst NAME [OLD] (NEW Debian-Security:12/stable-security [amd64])". */
static unsigned count_security(sp_span output)
{
    unsigned count = 0;
    sp_span line;
    while (sp_span_split(&output, '\n', &line)) {
        bool security = sp_span_find(line, SP_SPAN_LIT("-security")) < line.len ||
                        sp_span_find(line, SP_SPAN_LIT("-Security")) < line.len;
        count += sp_span_starts(line, SP_SPAN_LIT("Inst ")) && security ? 1 : 0;
    }
    return count;
}

static void check_updates(sp_check *check)
{
    static const char *const argv[] = {"apt-get",      "-s", "-o", "Debug::NoLocking=1",
                                       "dist-upgrade", NULL};
    auto_buf sp_buf output = sp_buf_make(OUTPUT_MAX_BYTES);
    struct stat lists;
    int status = 0;
    uint64_t now_unix_s = sp_now_unix_us() / 1000000;
    sp_err err = sp_spawn(argv, APT_MS, false, &output, &status);
    if (sp_failed(err) || status != 0) {
        set(check, SP_CHECK_UNKNOWN, "apt-get does not tell (%s)",
            sp_failed(err) ? sp_code_word(err.code) : "it failed");
        return;
    }
    unsigned count = count_security(sp_buf_borrow(&output));
    if (count > 0) {
        set(check, SP_CHECK_FAIL, "%u security updates wait: sudo apt upgrade", count);
    } else if (stat("/var/lib/apt/lists", &lists) != 0 ||
               (uint64_t)lists.st_mtime + LISTS_MAX_AGE_S < now_unix_s) {
        set(check, SP_CHECK_UNKNOWN, "the package lists are older than 7 days: sudo apt update");
    } else {
        set(check, SP_CHECK_PASS, "no security update waits");
    }
}

/* ---- automatic updates ---- */

static void check_automatic(sp_check *check)
{
    static const char *const argv[] = {"apt-config", "dump", "APT::Periodic::Unattended-Upgrade",
                                       NULL};
    auto_buf sp_buf output = sp_buf_make(TOOL_MS);
    int status = 0;
    sp_err err = sp_spawn(argv, TOOL_MS, false, &output, &status);
    if (sp_failed(err) || status != 0) {
        set(check, SP_CHECK_UNKNOWN, "apt-config does not tell");
        return;
    }
    sp_span text = sp_buf_borrow(&output);
    bool on = sp_span_find(text, SP_SPAN_LIT("Unattended-Upgrade \"")) < text.len &&
              sp_span_find(text, SP_SPAN_LIT("Unattended-Upgrade \"0\"")) == text.len;
    struct stat st;
    bool installed = stat("/usr/bin/unattended-upgrade", &st) == 0;
    if (on && installed) {
        set(check, SP_CHECK_PASS, "unattended-upgrades is on");
    } else {
        set(check, SP_CHECK_FAIL,
            "sudo apt install unattended-upgrades; sudo dpkg-reconfigure unattended-upgrades");
    }
}

/* ---- disk encryption ---- */

/* Whether a block device is a dm-crypt mapping, or lies on one (LVM, MD). */
static bool lies_on_crypt(const char *sys_dir, unsigned depth)
{
    char path[PATH_BYTES];
    auto_buf sp_buf uuid = sp_buf_make(PATH_BYTES);
    if (depth > DEPTH_MAX) {
        return false;
    }
    snprintf(path, sizeof(path), "%s/dm/uuid", sys_dir);
    if (!sp_failed(sp_file_read(path, &uuid)) &&
        sp_span_starts(sp_buf_borrow(&uuid), SP_SPAN_LIT("CRYPT-"))) {
        return true;
    }
    snprintf(path, sizeof(path), "%s/slaves", sys_dir);
    DIR *slaves = opendir(path);
    bool all = false;
    for (struct dirent *at = slaves == NULL ? NULL : readdir(slaves); at != NULL;
         at = readdir(slaves)) {
        char below[PATH_BYTES];
        if (at->d_name[0] == '.') {
            continue;
        }
        int len = snprintf(below, sizeof(below), "/sys/class/block/%s", at->d_name);
        all = len > 0 && len < PATH_BYTES && lies_on_crypt(below, depth + 1);
        if (!all) {
            break;
        }
    }
    if (slaves != NULL) {
        closedir(slaves);
    }
    return all;
}

static void check_disk(sp_check *check)
{
    struct stat root;
    struct stat there;
    char sys_dir[PATH_BYTES];
    if (stat("/", &root) != 0) {
        set(check, SP_CHECK_UNKNOWN, "the root file system cannot be seen");
        return;
    }
    snprintf(sys_dir, sizeof(sys_dir), "/sys/dev/block/%u:%u", major(root.st_dev),
             minor(root.st_dev));
    if (stat(sys_dir, &there) != 0) {
        set(check, SP_CHECK_UNKNOWN, "the root file system is not on one block device");
    } else if (lies_on_crypt(sys_dir, 0)) {
        set(check, SP_CHECK_PASS, "the root file system is on dm-crypt");
    } else {
        set(check, SP_CHECK_FAIL,
            "the root file system is not encrypted: install again with disk encryption");
    }
}

/* ---- screen lock ---- */

static void check_screen(sp_check *check)
{
    static const char *const argv[] = {"gsettings", "get", "org.gnome.desktop.screensaver",
                                       "lock-enabled", NULL};
    auto_buf sp_buf output = sp_buf_make(PATH_BYTES);
    int status = 0;
    sp_err err = sp_spawn(argv, TOOL_MS, false, &output, &status);
    sp_span word = sp_span_trim(sp_buf_borrow(&output));
    if (sp_failed(err) || status != 0) {
        set(check, SP_CHECK_UNKNOWN, "no GNOME settings to ask; other desktops are not known yet");
    } else if (sp_span_eq(word, SP_SPAN_LIT("true"))) {
        set(check, SP_CHECK_PASS, "the screen locks by itself");
    } else {
        set(check, SP_CHECK_FAIL, "gsettings set org.gnome.desktop.screensaver lock-enabled true");
    }
}

/* ---- Secure Boot ---- */

static void check_secure_boot(sp_check *check)
{
    static const char path[] =
        "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    auto_buf sp_buf value = sp_buf_make(64);
    if (sp_failed(sp_file_read(path, &value)) || value.len != EFI_HEAD_BYTES + 1) {
        set(check, SP_CHECK_UNKNOWN, "no EFI variables to be seen");
    } else if (value.ptr[EFI_HEAD_BYTES] == 1) {
        set(check, SP_CHECK_PASS, "Secure Boot is on");
    } else {
        set(check, SP_CHECK_FAIL, "Secure Boot is off: switch it on in the firmware's set-up");
    }
}

/* ---- all ---- */

static const struct {
    const char *name;
    void (*run)(sp_check *check);
} CHECKS[SP_CHECKS_COUNT] = {
    {"updates", check_updates},         {"automatic_updates", check_automatic},
    {"disk_encryption", check_disk},    {"screen_lock", check_screen},
    {"secure_boot", check_secure_boot},
};

void sp_posture_check(sp_check ret_checks[SP_CHECKS_COUNT])
{
    for (size_t i = 0; i < SP_CHECKS_COUNT; i++) {
        ret_checks[i] = (sp_check){.name = CHECKS[i].name};
        CHECKS[i].run(&ret_checks[i]);
    }
}

json_t *sp_posture_json(const sp_check checks[SP_CHECKS_COUNT])
{
    json_t *list = json_array();
    for (size_t i = 0; i < SP_CHECKS_COUNT; i++) {
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", checks[i].name, "result",
                                              sp_check_word(checks[i].result), "detail",
                                              checks[i].detail));
    }
    return list;
}

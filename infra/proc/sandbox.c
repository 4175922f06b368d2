/* SPDX-License-Identifier: Apache-2.0
 * Locking oneself in, in the order that works: limits, capabilities, no new privileges, files,
 * system calls; and telling what came of it.
 * OWNS nothing. PROCESS all roles, agent. TRUST see sandbox.h.
 * SPEC capabilities(7), prctl(2), infra/proc/sandbox.h.
 */
#include "infra/proc/sandbox.h"

#include "infra/proc/entry.h"
#include "infra/proc/sandbox_parts.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FILES_DEFAULT = 1024, CAP_MOST = 63, NAME_BYTES = 16 };

static sp_sandbox_files_state entered; /* what sp_sandbox_report tells about Landlock */

static sp_err failed(sp_buf *why, const char *what)
{
    sp_buf_fmt(why, "%s: %s", what, strerror(errno));
    return sp_fail(SP_EIO);
}

static sp_err set_limits(const sp_sandbox *spec, sp_buf *why)
{
    rlim_t wanted = spec->files_max != 0 ? spec->files_max : FILES_DEFAULT;
    const struct rlimit asked = {.rlim_cur = wanted, .rlim_max = wanted};
    struct rlimit files = {0};
    int error = setrlimit(RLIMIT_NOFILE, &asked);
    if (error != 0 && errno == EPERM && getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max; /* not ours to raise: all there is; the report shows it */
        error = setrlimit(RLIMIT_NOFILE, &files);
    }
    const struct rlimit none = {0};
    if (error != 0 || setrlimit(RLIMIT_CORE, &none) != 0) {
        return failed(why, "limits cannot be set");
    }
    /* no core files, no ptrace by the same user: secrets stay in memory */
    if (SP_SANDBOX_SANITIZED == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        return failed(why, "dumps cannot be switched off");
    }
    return sp_ok();
}

static sp_err drop_capabilities(uint64_t keep, sp_buf *why)
{
    if (geteuid() == 0) {
        for (unsigned long cap = 0; cap <= CAP_MOST; cap++) {
            if ((keep >> cap & 1U) == 0 && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1 &&
                prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0) {
                return failed(why, "the bounding set of capabilities cannot be cut");
            }
        }
    }
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) {
        return failed(why, "ambient capabilities cannot be dropped");
    }
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct now[2] = {{0}};
    if (syscall(SYS_capget, &head, now) != 0) {
        return failed(why, "capabilities cannot be read");
    }
    if ((now[0].permitted | now[1].permitted) == 0) {
        return sp_ok();
    }
    for (unsigned half = 0; half < 2; half++) {
        now[half].permitted &= (uint32_t)(keep >> (32 * half));
        now[half].effective = now[half].permitted;
        now[half].inheritable = 0;
    }
    return syscall(SYS_capset, &head, now) != 0 ? failed(why, "capabilities cannot be dropped")
                                                : sp_ok();
}

/* Landlock and no_new_privs bind one thread and those it starts later. */
static sp_err be_alone(sp_buf *why)
{
    struct stat tasks;
    if (stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink > 3) {
        sp_buf_fmt(why, "the sandbox was entered with %lu threads running, one is allowed",
                   (unsigned long)tasks.st_nlink - 2);
        return sp_fail(SP_EINTERNAL);
    }
    return sp_ok();
}

static void tell(void)
{
    auto_buf sp_buf words = sp_buf_make(SP_SANDBOX_TEXT_BYTES);
    sp_buf_text(&words, "X_SANDBOX=");
    sp_sandbox_report(&words);
    char *text = NULL;
    if (!sp_failed(sp_buf_take_cstr(&words, &text))) {
        sp_entry_notify(text);
    }
    sp_free(text);
}

sp_err sp_sandbox_enter(const sp_sandbox *spec, sp_buf *why)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof(name), "sp-%s", spec->role);
    prctl(PR_SET_NAME, name, 0, 0, 0);
    TRY(be_alone(why));
    TRY(set_limits(spec, why));
    TRY(drop_capabilities(spec->keep_caps, why));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return failed(why, "new privileges cannot be ruled out");
    }
    TRY(sp_sandbox_files(spec, &entered, why));
    TRY(sp_sandbox_calls(spec, why));
    tell();
    return sp_ok();
}

static void report_capabilities(sp_buf *out)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct now[2] = {{0}};
    if (syscall(SYS_capget, &head, now) != 0) {
        sp_buf_text(out, " caps=unknown");
        return;
    }
    uint64_t all = (uint64_t)now[1].permitted << 32 | now[0].permitted;
    if (all == 0) {
        sp_buf_text(out, " caps=none");
    } else {
        sp_buf_fmt(out, " caps=%llx", (unsigned long long)all);
    }
}

void sp_sandbox_report(sp_buf *out)
{
    int mode = prctl(PR_GET_SECCOMP, 0, 0, 0, 0);
    sp_buf_fmt(out, "seccomp=%s no_new_privs=%s", mode == 2 ? "filter" : "none",
               prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? "yes" : "no");
    report_capabilities(out);
    if (entered.abi == 0) {
        sp_buf_text(out, " landlock=none");
    } else {
        const char *tcp = entered.connect && entered.listen ? "any"
                          : entered.connect                 ? "connect"
                          : entered.listen                  ? "listen"
                                                            : "none";
        sp_buf_fmt(out, " landlock=abi%d fs=%ur,%uw,%ux tcp=%s signals=%s", entered.abi,
                   entered.read_count, entered.write_count, entered.execute_count, tcp,
                   entered.signals_scoped ? "scoped" : "by-uid");
    }
    struct rlimit files = {0};
    getrlimit(RLIMIT_NOFILE, &files);
    sp_buf_fmt(out, " files=%llu", (unsigned long long)files.rlim_cur);
}

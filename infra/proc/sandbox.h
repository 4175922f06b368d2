/* SPDX-License-Identifier: Apache-2.0
 * The cage a role locks itself into before it reads its first outside byte: no new privileges, no
 * capabilities, a list of allowed system calls (seccomp), a list of files and directories and the
 * right to TCP (Landlock), and limits.
 *
 * Story: a role opens what it can only open with its first rights, fills a sp_sandbox with what it
 * needs for the rest of its life, and calls sp_sandbox_enter() once, while it is still
 * single-threaded, before it serves anyone. There is no way out, and children (nginx) inherit it.
 *
 *     const sp_sandbox cage = {
 *         .role = "ledger",
 *         .may = SP_MAY_FILES | SP_MAY_THREADS,
 *         .write = {state_dir},
 *         .files_max = 4096,
 *     };
 *     auto_buf sp_buf why = sp_buf_make(SP_SANDBOX_TEXT_BYTES);
 *     if (sp_failed(sp_sandbox_enter(&cage, &why))) { log why; return EXIT_FAILURE; }
 *
 * Always allowed, without asking: memory, descriptors, epoll, clocks, signals to oneself,
 * randomness, memfd, Unix sockets (connect, accept, send, descriptors passed), TCP on sockets that
 * were inherited; reading /usr, /lib*, the resolver's and the locale's files in /etc, /etc/ssl,
 * /proc/self, /sys/devices/system/cpu, and /dev/{null,zero,urandom,random,full}. A call that is not
 * allowed fails with EPERM and is logged by the kernel (audit); one that only an intruder would
 * make (ptrace, mount, bpf, keyctl, execve where .execute is empty ...) ends the process.
 *
 * OWNS nothing. PROCESS all roles, agent. TRUST it is there for the day when the role is not ours
 * any more. SPEC seccomp(2), landlock(7), capabilities(7), docs/THREAT-MODEL.md.
 */
#ifndef SP_PROC_SANDBOX_H
#define SP_PROC_SANDBOX_H

#include "lib/base/buf.h"

/* Built with AddressSanitizer, which needs more of the machine. */
#if defined(__SANITIZE_ADDRESS__)
enum { SP_SANDBOX_SANITIZED = 1 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { SP_SANDBOX_SANITIZED = 1 };
#else
enum { SP_SANDBOX_SANITIZED = 0 };
#endif
#else
enum { SP_SANDBOX_SANITIZED = 0 };
#endif

enum {
    SP_MAY_FILES = 1U << 0, /* make, rename, remove, sync, lock files (where .write allows it) */
    SP_MAY_THREADS =
        1U << 1,            /* new threads (libuv's pool, libmicrohttpd, SQLite do not need more) */
    SP_MAY_SPAWN = 1U << 2, /* fork, wait, and run what .execute names */
    SP_MAY_CONNECT = 1U << 3, /* TCP and UDP out: upstreams, resolver, webhooks */
    SP_MAY_LISTEN = 1U << 4,  /* bind and listen on TCP: not for roles, which inherit theirs */
    SP_MAY_SIGNAL = 1U << 5,  /* signal processes it did not start itself (of the same uid) */
    SP_MAY_OWNERS = 1U << 6,  /* change owners and its own uid: the porter */
    SP_MAY_BIND = 1U << 7     /* Unix sockets of its own where .write allows them; no TCP */
};

enum { SP_SANDBOX_PATHS_MAX = 24, SP_SANDBOX_TEXT_BYTES = 512 };

typedef struct {
    const char *role; /* also the process's name: "sp-<role>" */
    uint32_t may;
    /* Absolute paths of files or directories (with all below), up to the first NULL. A path that
     * does not exist is an error; "?/path" may be missing. write includes read. */
    const char *read[SP_SANDBOX_PATHS_MAX];
    const char *write[SP_SANDBOX_PATHS_MAX];
    const char *execute[SP_SANDBOX_PATHS_MAX];
    uint64_t keep_caps; /* bits 1 << CAP_...; 0 for every role but the porter */
    uint64_t files_max; /* RLIMIT_NOFILE; 0 = 1024 */
} sp_sandbox;

/* One call, for life. On failure the process must end; why says what could not be done and what
 * would help. A kernel without Landlock (or with an older one) is not a failure: the report says
 * so. */
SP_MUST sp_err sp_sandbox_enter(const sp_sandbox *spec, sp_buf *why);

/* One line about what the calling process is confined to, as the kernel tells it:
 * "seccomp=filter no_new_privs=yes caps=none landlock=abi7 fs=9r,1w,0x tcp=none signals=scoped
 * files=4096". sp_sandbox_enter also sends it to the porter (X_SANDBOX=) for doctor. */
void sp_sandbox_report(sp_buf *out);

/* Highest Landlock ABI of this kernel, 0 = none. */
int sp_sandbox_landlock_abi(void);

#endif

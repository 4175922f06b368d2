/* SPDX-License-Identifier: Apache-2.0
 * The system calls a role may make: one list a need, an allow-list as a whole.
 * OWNS the filter until it is loaded. PROCESS all roles, agent. TRUST see sandbox.h.
 * SPEC seccomp(2), seccomp_rule_add(3).
 *
 * Calls made on a hot path carry no argument rule: the kernel then answers them from a bitmap.
 */
#include "infra/proc/sandbox_parts.h"

#include <asm/termbits.h>
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define CALL(name) SCMP_SYS(name)

/* What every process of ours does all day. Which files open() reaches is Landlock's business. */
static const int base_calls[] = {
    /* bytes and descriptors */
    CALL(read), CALL(readv), CALL(pread64), CALL(preadv), CALL(preadv2), CALL(write), CALL(writev),
    CALL(pwrite64), CALL(pwritev), CALL(pwritev2), CALL(close), CALL(close_range), CALL(dup),
    CALL(dup2), CALL(dup3), CALL(fcntl), CALL(lseek), CALL(fstat), CALL(newfstatat), CALL(stat),
    CALL(lstat), CALL(statx), CALL(access), CALL(faccessat), CALL(faccessat2), CALL(open),
    CALL(openat), CALL(readlink), CALL(readlinkat), CALL(getdents64), CALL(getcwd), CALL(chdir),
    CALL(fadvise64), CALL(statfs), CALL(fstatfs), CALL(sendfile), CALL(splice), CALL(pipe),
    CALL(pipe2), CALL(ftruncate), CALL(fallocate), CALL(umask),
    /* memory */
    CALL(munmap), CALL(mremap), CALL(madvise), CALL(brk), CALL(mlock), CALL(mlock2), CALL(munlock),
    CALL(msync), CALL(memfd_create), CALL(membarrier),
    /* waiting */
    CALL(epoll_create1), CALL(epoll_create), CALL(epoll_ctl), CALL(epoll_wait), CALL(epoll_pwait),
    CALL(epoll_pwait2), CALL(poll), CALL(ppoll), CALL(select), CALL(pselect6), CALL(eventfd2),
    CALL(timerfd_create), CALL(timerfd_settime), CALL(timerfd_gettime), CALL(signalfd4),
    CALL(futex), CALL(nanosleep), CALL(clock_nanosleep), CALL(clock_gettime), CALL(clock_getres),
    CALL(gettimeofday), CALL(time), CALL(times), CALL(getitimer), CALL(setitimer), CALL(alarm),
    CALL(restart_syscall), CALL(sched_yield),
    /* signals to oneself */
    CALL(rt_sigaction), CALL(rt_sigprocmask), CALL(rt_sigreturn), CALL(rt_sigsuspend),
    CALL(rt_sigpending), CALL(rt_sigtimedwait), CALL(sigaltstack), CALL(tgkill), CALL(pause),
    /* who and where we are */
    CALL(getpid), CALL(gettid), CALL(getppid), CALL(getuid), CALL(geteuid), CALL(getgid),
    CALL(getegid), CALL(getgroups), CALL(getpgid), CALL(getpgrp), CALL(getsid), CALL(getresuid),
    CALL(getresgid), CALL(getrandom), CALL(uname), CALL(sysinfo), CALL(getrusage), CALL(getrlimit),
    CALL(setrlimit), CALL(prlimit64), CALL(sched_getaffinity), CALL(sched_getparam),
    CALL(sched_getscheduler), CALL(getcpu), CALL(getpriority), CALL(capget),
    /* sockets that exist; new ones by rules below */
    CALL(connect), CALL(accept), CALL(accept4), CALL(sendto), CALL(recvfrom), CALL(sendmsg),
    CALL(recvmsg), CALL(sendmmsg), CALL(recvmmsg), CALL(shutdown), CALL(getsockname),
    CALL(getpeername), CALL(setsockopt), CALL(getsockopt),
    /* the process itself; locking the cage tighter */
    CALL(exit), CALL(exit_group), CALL(arch_prctl), CALL(set_tid_address), CALL(set_robust_list),
    CALL(get_robust_list), CALL(rseq), CALL(seccomp), CALL(landlock_create_ruleset),
    CALL(landlock_add_rule), CALL(landlock_restrict_self), CALL(capset)};

static const int file_calls[] = {
    CALL(mkdir),     CALL(mkdirat),  CALL(rename), CALL(renameat),        CALL(renameat2),
    CALL(unlink),    CALL(unlinkat), CALL(rmdir),  CALL(truncate),        CALL(fsync),
    CALL(fdatasync), CALL(flock),    CALL(chmod),  CALL(fchmod),          CALL(fchmodat),
    CALL(utimensat), CALL(utimes),   CALL(link),   CALL(linkat),          CALL(symlink),
    CALL(symlinkat), CALL(syncfs),   CALL(creat),  CALL(copy_file_range), CALL(sync_file_range)};

static const int spawn_calls[] = {CALL(fork),
                                  CALL(vfork),
                                  CALL(clone),
                                  CALL(execve),
                                  CALL(execveat),
                                  CALL(wait4),
                                  CALL(waitid),
                                  CALL(kill),
                                  CALL(setsid),
                                  CALL(setpgid),
                                  CALL(pidfd_open),
                                  CALL(pidfd_send_signal),
                                  CALL(sched_setaffinity),
                                  CALL(setpriority)};

static const int signal_calls[] = {CALL(kill), CALL(pidfd_open), CALL(pidfd_send_signal)};

static const int listen_calls[] = {CALL(bind), CALL(listen)};

static const int owner_calls[] = {CALL(setuid),    CALL(setgid),   CALL(setgroups), CALL(setresuid),
                                  CALL(setresgid), CALL(setreuid), CALL(setregid),  CALL(chown),
                                  CALL(fchown),    CALL(lchown),   CALL(fchownat)};

/* Tracing and stopping threads, for the leak checker of sanitized builds. */
static const int sanitizer_calls[] = {CALL(ptrace),  CALL(clone),       CALL(wait4),
                                      CALL(kill),    CALL(personality), CALL(process_vm_readv),
                                      CALL(getdents)};

/* Nothing of ours ever makes these: whoever does is an intruder. */
static const int intruder_calls[] = {CALL(ptrace),
                                     CALL(process_vm_readv),
                                     CALL(process_vm_writev),
                                     CALL(bpf),
                                     CALL(perf_event_open),
                                     CALL(mount),
                                     CALL(umount2),
                                     CALL(pivot_root),
                                     CALL(chroot),
                                     CALL(unshare),
                                     CALL(setns),
                                     CALL(init_module),
                                     CALL(finit_module),
                                     CALL(delete_module),
                                     CALL(kexec_load),
                                     CALL(kexec_file_load),
                                     CALL(keyctl),
                                     CALL(add_key),
                                     CALL(request_key),
                                     CALL(userfaultfd),
                                     CALL(open_by_handle_at),
                                     CALL(iopl),
                                     CALL(ioperm),
                                     CALL(modify_ldt),
                                     CALL(swapon),
                                     CALL(swapoff),
                                     CALL(reboot),
                                     CALL(settimeofday),
                                     CALL(clock_settime),
                                     CALL(acct),
                                     CALL(fsopen),
                                     CALL(open_tree),
                                     CALL(move_mount),
                                     CALL(kcmp)};

typedef struct {
    uint32_t need; /* SP_MAY_ bits, any of them */
    const int *calls;
    size_t count;
} call_list;

static const call_list lists[] = {
    {SP_MAY_FILES, file_calls, SP_COUNT(file_calls)},
    {SP_MAY_SPAWN, spawn_calls, SP_COUNT(spawn_calls)},
    {SP_MAY_SIGNAL, signal_calls, SP_COUNT(signal_calls)},
    {SP_MAY_LISTEN | SP_MAY_BIND, listen_calls, SP_COUNT(listen_calls)},
    {SP_MAY_OWNERS, owner_calls, SP_COUNT(owner_calls)},
};

/* Collects the first error of many rules; a call unknown on this machine is none. */
typedef struct {
    scmp_filter_ctx filter;
    uint32_t may;
    int error;
} rules;

static void add(rules *r, uint32_t action, int call, const struct scmp_arg_cmp *args,
                unsigned arg_count)
{
    int error = seccomp_rule_add_array(r->filter, action, call, arg_count, args);
    /* the same call in two lists, or one that this machine does not have */
    if (error != 0 && error != -EEXIST && error != -EDOM && error != -EOPNOTSUPP && r->error == 0) {
        r->error = -error;
    }
}

static void allow_all(rules *r, const int *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        add(r, SCMP_ACT_ALLOW, calls[i], NULL, 0);
    }
}

static void allow_arg(rules *r, int call, unsigned arg, uint64_t value)
{
    const struct scmp_arg_cmp is = {.arg = arg, .op = SCMP_CMP_EQ, .datum_a = value};
    add(r, SCMP_ACT_ALLOW, call, &is, 1);
}

static void allow_masked(rules *r, int call, unsigned arg, uint64_t mask, uint64_t value)
{
    const struct scmp_arg_cmp is = {
        .arg = arg, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
    add(r, SCMP_ACT_ALLOW, call, &is, 1);
}

static void allow_sockets(rules *r)
{
    allow_arg(r, CALL(socket), 0, AF_UNIX);
    allow_arg(r, CALL(socketpair), 0, AF_UNIX);
    if ((r->may & (SP_MAY_CONNECT | SP_MAY_LISTEN)) != 0) {
        allow_arg(r, CALL(socket), 0, AF_INET);
        allow_arg(r, CALL(socket), 0, AF_INET6);
    }
}

/* Writable memory never becomes code, and code never writable. */
static void allow_memory(rules *r)
{
    if (SP_SANDBOX_SANITIZED != 0) {
        add(r, SCMP_ACT_ALLOW, CALL(mprotect), NULL, 0);
        add(r, SCMP_ACT_ALLOW, CALL(mmap), NULL, 0);
        return;
    }
    allow_masked(r, CALL(mprotect), 2, PROT_EXEC, 0);
    allow_masked(r, CALL(mmap), 2, PROT_EXEC, 0);
    allow_masked(r, CALL(mmap), 2, PROT_EXEC | PROT_WRITE, PROT_EXEC);
}

static void allow_odds(rules *r)
{
    static const uint64_t ioctls[] = {FIONBIO, FIONREAD,   FIOCLEX, FIOASYNC,
                                      TCGETS,  TIOCGWINSZ, TIOCOUTQ};
    for (size_t i = 0; i < SP_COUNT(ioctls); i++) {
        allow_arg(r, CALL(ioctl), 1, ioctls[i]);
    }
    static const uint64_t prctls[] = {PR_SET_NAME,         PR_GET_NAME,
                                      PR_SET_PDEATHSIG,    PR_GET_PDEATHSIG,
                                      PR_SET_DUMPABLE,     PR_GET_DUMPABLE,
                                      PR_SET_SECCOMP,      PR_GET_SECCOMP,
                                      PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS,
                                      PR_CAPBSET_READ,     PR_CAPBSET_DROP,
                                      PR_CAP_AMBIENT,      PR_SET_CHILD_SUBREAPER,
                                      PR_SET_VMA};
    for (size_t i = 0; i < SP_COUNT(prctls); i++) {
        allow_arg(r, CALL(prctl), 0, prctls[i]);
    }
    if (SP_SANDBOX_SANITIZED != 0) {
        allow_arg(r, CALL(prctl), 0, PR_SET_PTRACER);
    }
    if ((r->may & SP_MAY_SPAWN) != 0) {
        allow_arg(r, CALL(sched_setscheduler), 1, SCHED_BATCH); /* less eager, never more */
    }
    if ((r->may & SP_MAY_THREADS) != 0) {
        allow_masked(r, CALL(clone), 0, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM);
    }
    /* their flags cannot be looked at: libraries then use the older calls, which can be */
    add(r, SCMP_ACT_ERRNO(ENOSYS), CALL(clone3), NULL, 0);
    add(r, SCMP_ACT_ERRNO(ENOSYS), CALL(io_uring_setup), NULL, 0);
    add(r, SCMP_ACT_ERRNO(ENOSYS), CALL(openat2), NULL, 0);
}

static void kill_intruders(rules *r)
{
    if (SP_SANDBOX_SANITIZED != 0) {
        return;
    }
    for (size_t i = 0; i < SP_COUNT(intruder_calls); i++) {
        add(r, SCMP_ACT_KILL_PROCESS, intruder_calls[i], NULL, 0);
    }
    if ((r->may & SP_MAY_SPAWN) == 0) {
        add(r, SCMP_ACT_KILL_PROCESS, CALL(execve), NULL, 0);
        add(r, SCMP_ACT_KILL_PROCESS, CALL(execveat), NULL, 0);
    }
}

static int fill_and_load(rules *r)
{
    allow_all(r, base_calls, SP_COUNT(base_calls));
    for (size_t i = 0; i < SP_COUNT(lists); i++) {
        if ((r->may & lists[i].need) != 0) {
            allow_all(r, lists[i].calls, lists[i].count);
        }
    }
    if (SP_SANDBOX_SANITIZED != 0) {
        allow_all(r, sanitizer_calls, SP_COUNT(sanitizer_calls));
    }
    allow_sockets(r);
    allow_memory(r);
    allow_odds(r);
    kill_intruders(r);
    if (r->error != 0) {
        return r->error;
    }
    /* log what is refused (audit); a binary tree of rules; nobody but the kernel sets privileges */
    int error = seccomp_attr_set(r->filter, SCMP_FLTATR_CTL_LOG, 1);
    error = error != 0 ? error : seccomp_attr_set(r->filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    error = error != 0 ? error : seccomp_attr_set(r->filter, SCMP_FLTATR_CTL_NNP, 0);
    return -(error != 0 ? error : seccomp_load(r->filter));
}

sp_err sp_sandbox_calls(const sp_sandbox *spec, sp_buf *why)
{
    rules r = {.filter = seccomp_init(SCMP_ACT_ERRNO(EPERM)), .may = spec->may};
    if (r.filter == NULL) {
        return sp_fail(SP_ENOMEM);
    }
    int error = fill_and_load(&r);
    seccomp_release(r.filter);
    if (error != 0) {
        sp_buf_fmt(why, "the system call filter cannot be set: %s", strerror(error));
        return sp_fail(SP_EIO);
    }
    return sp_ok();
}

/* SPDX-License-Identifier: Apache-2.0
 * The files, directories and TCP a role may reach: Landlock, as far as this kernel has it.
 * OWNS the rule set until it is in force. PROCESS all roles, agent. TRUST see sandbox.h.
 * SPEC landlock(7); the numbers are the kernel's, given here because older headers lack them.
 */
#include "infra/proc/sandbox_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FS_EXECUTE (1ULL << 0)
#define FS_WRITE_FILE (1ULL << 1)
#define FS_READ_FILE (1ULL << 2)
#define FS_READ_DIR (1ULL << 3)
#define FS_REMOVE_DIR (1ULL << 4)
#define FS_REMOVE_FILE (1ULL << 5)
#define FS_MAKE_DIR (1ULL << 7)
#define FS_MAKE_REG (1ULL << 8)
#define FS_MAKE_SOCK (1ULL << 9)
#define FS_MAKE_SYM (1ULL << 12)
#define FS_REFER (1ULL << 13)     /* from ABI 2 */
#define FS_TRUNCATE (1ULL << 14)  /* from ABI 3 */
#define FS_IOCTL_DEV (1ULL << 15) /* from ABI 5 */
#define FS_ABI1 ((1ULL << 13) - 1)
#define NET_BIND_TCP (1ULL << 0) /* both from ABI 4 */
#define NET_CONNECT_TCP (1ULL << 1)
#define SCOPE_ABSTRACT_UNIX (1ULL << 0) /* both from ABI 6 */
#define SCOPE_SIGNAL (1ULL << 1)

#define FOR_FILES (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)
#define READ (FS_READ_FILE | FS_READ_DIR)
#define WRITE                                                                                      \
    (READ | FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG |           \
     FS_MAKE_SYM | FS_REFER | FS_TRUNCATE)
#define EXECUTE (READ | FS_EXECUTE)

enum { RULE_PATH_BENEATH = 1, VERSION_FLAG = 1 };

typedef struct {
    uint64_t handled_access_fs;
    uint64_t handled_access_net;
    uint64_t scoped;
} ruleset_attr;
_Static_assert(sizeof(ruleset_attr) == 24, "as the kernel has it");

typedef struct {
    uint64_t allowed_access;
    int32_t parent_fd;
} __attribute__((packed)) path_attr;
_Static_assert(sizeof(path_attr) == 12, "as the kernel has it");

/* What a program on Debian reads although nobody told it to. */
static const char *const system_read[] = {
    "?/usr",
    "?/lib",
    "?/lib64",
    "?/etc/ld.so.cache",
    "?/etc/ssl",
    "?/etc/localtime",
    "?/etc/nsswitch.conf",
    "?/etc/passwd",
    "?/etc/group",
    "?/etc/hosts",
    "?/etc/host.conf",
    "?/etc/resolv.conf",
    "?/etc/gai.conf",
    "?/etc/services",
    "?/proc/self",
    "?/sys/devices/system/cpu",
    "?/dev/urandom",
    "?/dev/random",
    "?/dev/zero",
};
static const char *const system_write[] = {"?/dev/null", "?/dev/full"};
static const char *const system_execute[] = {"?/lib64/ld-linux-x86-64.so.2",
                                             "?/lib/ld-linux-aarch64.so.1"};
static const char *const sanitizer_read[] = {"?/proc"};

int sp_sandbox_landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, VERSION_FLAG);
    return abi > 0 ? (int)abi : 0;
}

static uint64_t handled_files(int abi)
{
    uint64_t rights = FS_ABI1;
    rights |= abi >= 2 ? FS_REFER : 0;
    rights |= abi >= 3 ? FS_TRUNCATE : 0;
    rights |= abi >= 5 ? FS_IOCTL_DEV : 0;
    return rights;
}

typedef struct {
    int fd;
    uint64_t handled;
    sp_buf *why;
} ruleset;

static sp_err allow_path(const ruleset *set, const char *path, uint64_t rights)
{
    bool may_miss = path[0] == '?';
    path += may_miss ? 1 : 0;
    auto_close int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0 && may_miss) {
        return sp_ok();
    }
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        sp_buf_fmt(set->why, "%s cannot be opened for the sandbox: %s", path, strerror(errno));
        return sp_fail(SP_ENOTFOUND);
    }
    rights &= S_ISDIR(st.st_mode) ? set->handled : set->handled & FOR_FILES;
    const path_attr attr = {.allowed_access = rights, .parent_fd = fd};
    if (syscall(SYS_landlock_add_rule, set->fd, RULE_PATH_BENEATH, &attr, 0) != 0) {
        sp_buf_fmt(set->why, "%s cannot be allowed in the sandbox: %s", path, strerror(errno));
        return sp_fail(SP_EIO);
    }
    return sp_ok();
}

static sp_err allow_list(const ruleset *set, const char *const *paths, size_t most, uint64_t rights,
                         unsigned *ret_count)
{
    unsigned count = 0;
    for (size_t i = 0; i < most && paths[i] != NULL; i++) {
        TRY(allow_path(set, paths[i], rights));
        count++;
    }
    if (ret_count != NULL) {
        *ret_count = count;
    }
    return sp_ok();
}

static sp_err allow_paths(const sp_sandbox *spec, const ruleset *set, sp_sandbox_files_state *state)
{
    TRY(allow_list(set, system_read, SP_COUNT(system_read), READ, NULL));
    TRY(allow_list(set, system_write, SP_COUNT(system_write), READ | FS_WRITE_FILE, NULL));
    if (SP_SANDBOX_SANITIZED != 0) {
        TRY(allow_list(set, sanitizer_read, SP_COUNT(sanitizer_read), READ, NULL));
    }
    if (spec->execute[0] != NULL) {
        TRY(allow_list(set, system_execute, SP_COUNT(system_execute), EXECUTE, NULL));
    }
    TRY(allow_list(set, spec->read, SP_SANDBOX_PATHS_MAX, READ, &state->read_count));
    uint64_t write = WRITE | ((spec->may & SP_MAY_BIND) != 0 ? FS_MAKE_SOCK : 0);
    TRY(allow_list(set, spec->write, SP_SANDBOX_PATHS_MAX, write, &state->write_count));
    return allow_list(set, spec->execute, SP_SANDBOX_PATHS_MAX, EXECUTE, &state->execute_count);
}

sp_err sp_sandbox_files(const sp_sandbox *spec, sp_sandbox_files_state *ret_state, sp_buf *why)
{
    sp_sandbox_files_state state = {.abi = sp_sandbox_landlock_abi()};
    state.connect = state.abi < 4 || (spec->may & SP_MAY_CONNECT) != 0;
    state.listen = state.abi < 4 || (spec->may & SP_MAY_LISTEN) != 0;
    state.signals_scoped = state.abi >= 6 && (spec->may & SP_MAY_SIGNAL) == 0;
    if (state.abi == 0) {
        *ret_state = state;
        return sp_ok();
    }
    const ruleset_attr attr = {.handled_access_fs = handled_files(state.abi),
                               .handled_access_net = (state.connect ? 0 : NET_CONNECT_TCP) |
                                                     (state.listen ? 0 : NET_BIND_TCP),
                               .scoped = (state.abi >= 6 ? SCOPE_ABSTRACT_UNIX : 0) |
                                         (state.signals_scoped ? SCOPE_SIGNAL : 0)};
    /* an older kernel wants a smaller structure */
    size_t size = state.abi >= 6 ? sizeof(attr) : state.abi >= 4 ? 16 : 8;
    auto_close int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
    if (fd < 0) {
        sp_buf_fmt(why, "Landlock refuses the rule set: %s", strerror(errno));
        return sp_fail(SP_EIO);
    }
    const ruleset set = {.fd = fd, .handled = attr.handled_access_fs, .why = why};
    TRY(allow_paths(spec, &set, &state));
    if (syscall(SYS_landlock_restrict_self, fd, 0) != 0) {
        sp_buf_fmt(why, "Landlock cannot be entered: %s", strerror(errno));
        return sp_fail(SP_EIO);
    }
    *ret_state = state;
    return sp_ok();
}

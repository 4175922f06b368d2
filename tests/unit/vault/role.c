/* SPDX-License-Identifier: Apache-2.0
 * A real vault in a child process.
 * OWNS the child and its directory. PROCESS tests. TRUST none. SPEC tests/unit/vault/role.h.
 */
#include "tests/unit/vault/role.h"

#include "infra/ipc/conn.h"
#include "infra/proc/entry.h"
#include "infra/proc/file.h"
#include "tests/unit/cm.h"

#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIRST_UID = 61001 };

static uid_t uid_of(sp_role_kind kind)
{
    return getuid() == 0 ? (uid_t)(FIRST_UID + (int)kind) : getuid();
}

static void make_dir(const vault_role *role, const char *name, mode_t mode, sp_role_kind owner)
{
    char path[160];
    snprintf(path, sizeof(path), "%s/%s", role->dir, name);
    assert_int_equal(mkdir(path, mode), 0);
    assert_int_equal(chmod(path, mode), 0);
    assert_int_equal(chown(path, uid_of(owner), (gid_t)-1), 0);
}

static void write_config(vault_role *role, const char *tls)
{
    auto_buf sp_buf text = sp_buf_make(4096);
    sp_buf_fmt(&text,
               "office: Lantern Trading\ndomain: office.localhost\nportal: portal\n"
               "listen: [\"127.0.0.1:8443\"]\nstate: %s/state\nrun: %s\nusers: {",
               role->dir, role->dir);
    for (int kind = 0; kind < SP_ROLE_COUNT; kind++) {
        sp_buf_fmt(&text, "%s %s: %u", kind == 0 ? "" : ",", sp_role_word((sp_role_kind)kind),
                   (unsigned)uid_of((sp_role_kind)kind));
    }
    sp_buf_text(&text, " }\ntls: ");
    for (; *tls != '\0'; tls++) {
        if (*tls == '$') {
            sp_buf_text(&text, role->dir);
        } else {
            sp_buf_byte(&text, (uint8_t)*tls);
        }
    }
    sp_buf_text(&text, "\n");
    assert_ok(sp_buf_error(&text));
    assert_ok(sp_file_replace(role->config_file, 0644, sp_buf_borrow(&text)));
    auto_diags sp_diags diags = {0};
    sp_err err = sp_config_load(role->config_file, &diags, &role->config);
    if (sp_failed(err)) {
        auto_buf sp_buf said = sp_buf_make(8192);
        sp_diags_print(&diags, &said);
        fail_msg("%.*s", SP_SPAN_ARG(sp_buf_borrow(&said)));
    }
}

void vault_role_make(vault_role *role, const char *tls)
{
    *role = (vault_role){.dir = "/tmp/sp-vault-XXXXXX", .listener = -1, .pid = -1};
    assert_non_null(mkdtemp(role->dir));
    assert_int_equal(chmod(role->dir, 0755), 0);
    snprintf(role->socket, sizeof(role->socket), "%s/vault.sock", role->dir);
    snprintf(role->config_file, sizeof(role->config_file), "%s/bootstrap.yaml", role->dir);
    make_dir(role, "state", 0755, SP_ROLE_VAULT);
    make_dir(role, "state/vault", 0700, SP_ROLE_VAULT);
    write_config(role, tls);
    assert_ok(sp_ipc_listen(role->socket, &role->listener));
}

static void become_vault(const vault_role *role)
{
    char pid[16];
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    bool good = dup2(role->listener, 3) == 3 && setenv("LISTEN_PID", pid, 1) == 0 &&
                setenv("LISTEN_FDS", "1", 1) == 0 && setenv("LISTEN_FDNAMES", "vault", 1) == 0;
    if (good && getuid() == 0) {
        good = setgroups(0, NULL) == 0 && setgid(uid_of(SP_ROLE_VAULT)) == 0 &&
               setuid(uid_of(SP_ROLE_VAULT)) == 0;
    }
    _exit(good ? sp_vault_role(role->config) : 99);
}

void vault_role_start(vault_role *role)
{
    speak_as_self();
    role->pid = fork();
    assert_true(role->pid >= 0);
    if (role->pid == 0) {
        become_vault(role);
    }
}

void vault_role_kill(vault_role *role)
{
    int status = 0;
    speak_as_self();
    assert_int_equal(kill(role->pid, SIGKILL), 0);
    assert_int_equal(waitpid(role->pid, &status, 0), role->pid);
    role->pid = -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

void vault_role_done(vault_role *role)
{
    if (role->pid > 0) {
        vault_role_kill(role);
    }
    speak_as_self();
    close(role->listener);
    sp_config_free(role->config);
    nftw(role->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

void speak_as(const vault_role *role, sp_role_kind kind)
{
    (void)role;
    speak_as_self();
    if (getuid() == 0) {
        assert_int_equal(seteuid(uid_of(kind)), 0);
    }
}

void speak_as_self(void)
{
    assert_int_equal(seteuid(getuid()), 0);
}

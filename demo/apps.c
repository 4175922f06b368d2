/* SPDX-License-Identifier: Apache-2.0
 * The demo's applications: programs of Debian's archive on loopback, each as a user of its own.
 * OWNS the processes. PROCESS sallyport-demo. TRUST none of it is hostile. SPEC demo/README.md.
 */
#include "demo/demo.h"
#include "infra/proc/file.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LAB_UID = 60110,
    CODE_UID = 60111,
    WEB_UID = 60112,
    WORKSTATION = 4,
    ORDERS_HOST = 5,
    POSTGRES_OLDEST = 13,
    POSTGRES_NEWEST = 30,
    EXIT_NOT_STARTED = 127
};

static const char *const names[DEMO_APPS] = {"lab",    "code",        "hr",
                                             "orders", "workstation", "orders-host"};

const char *demo_app_name(size_t app)
{
    return names[app];
}

static void become(uid_t uid, pid_t parent)
{
    setsid();
    if (uid != 0 && geteuid() == 0 &&
        (setgroups(0, NULL) != 0 || setresgid(uid, uid, uid) != 0 ||
         setresuid(uid, uid, uid) != 0)) {
        _exit(EXIT_NOT_STARTED);
    }
    if (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) != 0 || getppid() != parent) {
        _exit(EXIT_NOT_STARTED);
    }
}

static void reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

sp_err demo_spawn(const demo *d, const char *const argv[], const char *log, const char *home,
                  uid_t uid, pid_t *ret_pid)
{
    char log_path[DEMO_PATH_BYTES];
    char home_text[DEMO_PATH_BYTES + 8];
    demo_path(d, log, log_path);
    snprintf(home_text, sizeof(home_text), "HOME=%s", home);
    auto_close int out = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    auto_close int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pid_t parent = getpid();
    pid_t pid = out < 0 || in < 0 ? -1 : fork();
    if (pid < 0) {
        return sp_fail(SP_EIO);
    }
    if (pid == 0) {
        char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
        char lang[] = "LANG=C.UTF-8";
        char *env[] = {path, lang, home_text, NULL};
        reset_signals();
        if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
            dup2(out, STDERR_FILENO) < 0 || chdir(home) != 0) {
            _exit(EXIT_NOT_STARTED);
        }
        become(uid, parent);
        execve(argv[0], (char *const *)(uintptr_t)argv, env);
        _exit(EXIT_NOT_STARTED);
    }
    *ret_pid = pid;
    return sp_ok();
}

void demo_end(pid_t pid, unsigned seconds)
{
    if (pid <= 0) {
        return;
    }
    kill(pid, SIGTERM);
    for (unsigned i = 0; i < seconds * 20 && waitpid(pid, NULL, WNOHANG) == 0; i++) {
        usleep(50 * 1000);
    }
    kill(-pid, SIGKILL); /* kernels and terminals too */
    waitpid(pid, NULL, 0);
}

static sp_err start_lab(demo *d, const char *home)
{
    char port[32];
    char origin[128];
    char work[DEMO_PATH_BYTES + 32];
    snprintf(port, sizeof(port), "--port=%u", d->lab_port);
    snprintf(origin, sizeof(origin), "--NotebookApp.allow_origin=https://lab." DEMO_DOMAIN ":%u",
             d->port);
    snprintf(work, sizeof(work), "--notebook-dir=%s/work", home);
    const char *const argv[] = {"/usr/bin/jupyter-notebook",
                                "--no-browser",
                                "--ip=127.0.0.1",
                                port,
                                "--port-retries=0",
                                "--log-level=WARN",
                                "--NotebookApp.token=",
                                "--NotebookApp.password=",
                                origin,
                                "--NotebookApp.allow_remote_access=True",
                                work,
                                NULL};
    return demo_spawn(d, argv, "log/lab.log", home, LAB_UID, &d->apps[0]);
}

static sp_err start_code(demo *d, const char *home)
{
    char port[16];
    char conf[DEMO_PATH_BYTES + 32];
    snprintf(port, sizeof(port), "%u", d->code_port);
    snprintf(conf, sizeof(conf), "%s/hgweb.conf", home);
    const char *const argv[] = {"/usr/bin/hg", "serve",      "-a", "127.0.0.1", "-p",
                                port,          "--web-conf", conf, NULL};
    return demo_spawn(d, argv, "log/code.log", home, CODE_UID, &d->apps[1]);
}

static sp_err start_web(demo *d, const char *home)
{
    char conf[DEMO_PATH_BYTES + 32];
    char log[DEMO_PATH_BYTES + 32];
    snprintf(conf, sizeof(conf), "%s/nginx.conf", home);
    snprintf(log, sizeof(log), "%s/error.log", home);
    const char *const argv[] = {"/usr/sbin/nginx", "-e", log, "-c", conf, NULL};
    return demo_spawn(d, argv, "log/hr.log", home, WEB_UID, &d->apps[2]);
}

/* The newest PostgreSQL that is installed. */
static sp_err find_postgres(char to[DEMO_PATH_BYTES])
{
    for (unsigned version = POSTGRES_NEWEST; version >= POSTGRES_OLDEST; version--) {
        snprintf(to, DEMO_PATH_BYTES, "/usr/lib/postgresql/%u/bin/postgres", version);
        if (access(to, X_OK) == 0) {
            return sp_ok();
        }
    }
    return sp_fail(SP_ENOTFOUND);
}

static sp_err start_orders(demo *d, const char *home)
{
    char program[DEMO_PATH_BYTES];
    char port[16];
    char data[DEMO_PATH_BYTES + 32];
    TRY(find_postgres(program));
    snprintf(port, sizeof(port), "%u", d->orders_port);
    snprintf(data, sizeof(data), "%s/data", home);
    const char *const argv[] = {program, "-D", data, "-p", port, NULL};
    const struct passwd *postgres = getpwnam("postgres");
    return demo_spawn(d, argv, "log/orders.log", home, postgres != NULL ? postgres->pw_uid : 0,
                      &d->apps[3]);
}

/* Machines: sshd with a list of accounts of its own (demo/make-hosts). */
static sp_err start_host(demo *d, size_t app)
{
    char home[DEMO_PATH_BYTES - 64];
    char conf[DEMO_PATH_BYTES];
    char passwd[DEMO_PATH_BYTES];
    char group[DEMO_PATH_BYTES];
    char log[64];
    snprintf(home, sizeof(home), "%s/apps/%s", d->base, names[app]);
    snprintf(conf, sizeof(conf), "%s/sshd_config", home);
    snprintf(passwd, sizeof(passwd), "NSS_WRAPPER_PASSWD=%s/passwd", home);
    snprintf(group, sizeof(group), "NSS_WRAPPER_GROUP=%s/group", home);
    snprintf(log, sizeof(log), "log/%s.log", names[app]);
    const char *const argv[] = {"/usr/bin/env",
                                "LD_PRELOAD=libnss_wrapper.so",
                                passwd,
                                group,
                                "/usr/sbin/sshd",
                                "-D",
                                "-e",
                                "-f",
                                conf,
                                NULL};
    return demo_spawn(d, argv, log, home, 0, &d->apps[app]);
}

sp_err demo_apps_trust(const demo *d)
{
    auto_buf sp_buf line = sp_buf_make(1 << 12);
    TRY(demo_text(d, "/ssh/target-ca", &line));
    for (size_t app = WORKSTATION; app <= ORDERS_HOST; app++) {
        char path[DEMO_PATH_BYTES];
        snprintf(path, sizeof(path), "%s/apps/%s/office_ca.pub", d->base, names[app]);
        TRY(sp_file_replace(path, 0644, sp_buf_borrow(&line)));
    }
    return sp_ok();
}

sp_err demo_apps_start(demo *d)
{
    char home[DEMO_PATH_BYTES];
    TRY(start_host(d, WORKSTATION));
    TRY(start_host(d, ORDERS_HOST));
    demo_path(d, "apps/lab", home);
    TRY(start_lab(d, home));
    demo_path(d, "apps/code", home);
    TRY(start_code(d, home));
    demo_path(d, "apps/nginx", home);
    TRY(start_web(d, home));
    demo_path(d, "apps/orders", home);
    return start_orders(d, home);
}

void demo_apps_stop(demo *d)
{
    for (size_t i = 0; i < DEMO_APPS; i++) {
        if (d->apps[i] > 0) {
            kill(d->apps[i], SIGTERM);
        }
    }
    for (size_t i = 0; i < DEMO_APPS; i++) {
        demo_end(d->apps[i], 8);
        d->apps[i] = 0;
    }
}

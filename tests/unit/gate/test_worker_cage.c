/* SPDX-License-Identifier: Apache-2.0
 * The cage of the database and the SSH gate's workers: a child locks itself in as they do and tries
 * what somebody would who took one over. It is asked for by the function that the workers call.
 * OWNS its temporary directory. PROCESS tests. TRUST none. SPEC infra/gate/workers.h.
 */
#include "infra/gate/workers.h"
#include "infra/proc/sandbox.h"
#include "tests/unit/cm.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FILES_MAX = 512 };
static char named[] = "/tmp/sp-named-XXXXXX"; /* what the database gate reads beside */
static char others[] = "/tmp/sp-others-XXXXXX";
static char secret[64];
static int listening = -1; /* TCP, made before the cage, as the porter does */
static in_port_t port;

static int make_house(void **state)
{
    (void)state;
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof(at);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (mkdtemp(named) == NULL || mkdtemp(others) == NULL) {
        return -1;
    }
    snprintf(secret, sizeof(secret), "%s/secret", others);
    int fd = open(secret, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(listening, (struct sockaddr *)&at, sizeof(at)) != 0 ||
        listen(listening, 4) != 0 || getsockname(listening, (struct sockaddr *)&at, &len) != 0) {
        return -1;
    }
    port = at.sin_port;
    return close(fd);
}

static int remove_house(void **state)
{
    (void)state;
    return close(listening) | unlink(secret) | rmdir(named) | rmdir(others);
}

/* The child's exit status says which step was wrong; 0 = all as it should be. */
#define EXPECT(n, condition)                                                                       \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            _exit(n);                                                                              \
        }                                                                                          \
    } while (0)

static const char *role; /* of the child */

static void lock_in(void)
{
    const char *const reads[SP_WORKER_READS_MAX] = {role[0] == 'd' ? named : NULL};
    EXPECT(99, !sp_failed(sp_worker_lock_in(role, FILES_MAX, reads)));
}

static int in_child(const char *as, void (*act)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        role = as;
        act();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

/* As a worker of either gate. */
static void both(void (*act)(void))
{
    static const char *const roles[] = {"ssh", "db"};
    for (size_t i = 0; i < SP_COUNT(roles); i++) {
        int status = in_child(roles[i], act);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            fail_msg("as %s: exited %d status %d signal %d", roles[i], WIFEXITED(status),
                     WEXITSTATUS(status), WIFSIGNALED(status) ? WTERMSIG(status) : 0);
        }
    }
}

static void both_end(void (*act)(void))
{
    if (SP_SANDBOX_SANITIZED != 0) {
        return; /* sanitizers need what intruders use */
    }
    assert_int_equal(WTERMSIG(in_child("ssh", act)), SIGSYS);
    assert_int_equal(WTERMSIG(in_child("db", act)), SIGSYS);
}

static bool may_write(const char *dir, const char *name)
{
    char path[96];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return fd >= 0;
}

static void try_files(void)
{
    lock_in();
    EXPECT(1, open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0);
    EXPECT(2, rename(secret, "/tmp/sp-renamed") < 0 && errno == EPERM);
    EXPECT(3, unlink(secret) < 0 && errno == EPERM);
    EXPECT(4, mkdir("/tmp/sp-made", 0700) < 0 && errno == EPERM);
    EXPECT(5, chmod(secret, 0777) < 0 && errno == EPERM);
    EXPECT(6, symlink(secret, "/tmp/sp-link") < 0 && errno == EPERM);
    if (sp_sandbox_landlock_abi() == 0) {
        return;
    }
    EXPECT(10, open(secret, O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
    EXPECT(11, open(secret, O_WRONLY | O_CLOEXEC) < 0 && errno == EACCES);
    EXPECT(12, open("/etc/passwd", O_WRONLY | O_CLOEXEC) < 0 && errno == EACCES);
    EXPECT(13, !may_write(others, "f") && errno == EACCES);
    EXPECT(14, !may_write(named, "f") && errno == EACCES);
    EXPECT(15, !may_write("/etc", "sp-f") && errno == EACCES);
    EXPECT(16, !may_write("/dev/shm", "sp-f") && errno == EACCES);
    EXPECT(17, open("/root", O_RDONLY | O_DIRECTORY | O_CLOEXEC) < 0 && errno == EACCES);
    EXPECT(18, open("/proc/1/environ", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
    EXPECT(19, (open(named, O_RDONLY | O_DIRECTORY | O_CLOEXEC) >= 0) == (role[0] == 'd'));
}

static void reads_little_and_writes_nothing(void **state)
{
    (void)state;
    both(try_files);
}

static void try_network(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = port};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    lock_in();
    int out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT(1, out >= 0 && connect(out, (const struct sockaddr *)&to, sizeof(to)) == 0);
    EXPECT(2, accept4(listening, NULL, NULL, SOCK_CLOEXEC) >= 0); /* what it was given */
    int in = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    to.sin_port = 0;
    EXPECT(3, bind(in, (const struct sockaddr *)&to, sizeof(to)) < 0);
    EXPECT(4, listen(in, 1) < 0 && errno == EPERM);
    EXPECT(5, socket(AF_PACKET, SOCK_RAW, 0) < 0 && errno == EPERM);
    EXPECT(6, socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) < 0);
    EXPECT(7, socket(AF_NETLINK, SOCK_RAW, 0) < 0 && errno == EPERM);
    EXPECT(8, socket(AF_VSOCK, SOCK_STREAM, 0) < 0 && errno == EPERM);
    struct sockaddr_un own = {.sun_family = AF_UNIX};
    snprintf(own.sun_path, sizeof(own.sun_path), "%s/s", named);
    int beside = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT(9, bind(beside, (const struct sockaddr *)&own, sizeof(own)) < 0);
}

static void connects_and_does_not_listen(void **state)
{
    (void)state;
    both(try_network);
}

static void *thread(void *arg)
{
    return arg;
}

static void try_processes(void)
{
    pthread_t id;
    struct rlimit files;
    lock_in();
    EXPECT(1, pthread_create(&id, NULL, thread, NULL) == 0 && pthread_join(id, NULL) == 0);
    EXPECT(2, getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_max <= FILES_MAX);
    EXPECT(3, setuid(65534) < 0);
    if (SP_SANDBOX_SANITIZED == 0) {
        EXPECT(4, fork() < 0 && errno == EPERM);
        EXPECT(5, kill(getppid(), 0) < 0 && errno == EPERM);
        EXPECT(6, mmap(NULL, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
                      MAP_FAILED);
    }
    const char *const reads[SP_WORKER_READS_MAX] = {"/"};
    (void)sp_failed(sp_worker_lock_in(role, FILES_MAX, reads)); /* nor does a second one widen it */
    if (sp_sandbox_landlock_abi() > 0) {
        EXPECT(7, open(secret, O_RDONLY | O_CLOEXEC) < 0);
    }
}

static void starts_and_signals_nobody(void **state)
{
    (void)state;
    both(try_processes);
}

static void run_a_program(void)
{
    lock_in();
    execl("/bin/sh", "sh", "-c", "exit 0", NULL);
}

static void trace_somebody(void)
{
    lock_in();
    ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static void read_other_memory(void)
{
    lock_in();
    syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0);
}

static void load_into_the_kernel(void)
{
    lock_in();
    syscall(SYS_bpf, 0, NULL, 0);
}

static void what_only_intruders_do_ends_it(void **state)
{
    (void)state;
    both_end(run_a_program);
    both_end(trace_somebody);
    both_end(read_other_memory);
    both_end(load_into_the_kernel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_little_and_writes_nothing),
        cmocka_unit_test(connects_and_does_not_listen),
        cmocka_unit_test(starts_and_signals_nobody),
        cmocka_unit_test(what_only_intruders_do_ends_it),
    };
    return cmocka_run_group_tests_name("gate worker cage", tests, make_house, remove_house);
}

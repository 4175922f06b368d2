/* SPDX-License-Identifier: Apache-2.0
 * Tests of the cage: a child enters it and tries what it must not be able to do.
 * OWNS its temporary directory. PROCESS tests. TRUST none. SPEC infra/proc/sandbox.h.
 */
#include "infra/proc/sandbox_parts.h"
#include "tests/unit/cm.h"

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

static char mine[] = "/tmp/sp-cage-XXXXXX"; /* may be written */
static char theirs[] = "/tmp/sp-cage-XXXXXX";

static int make_dirs(void **state)
{
    (void)state;
    return mkdtemp(mine) == NULL || mkdtemp(theirs) == NULL ? -1 : 0;
}

static int remove_dirs(void **state)
{
    (void)state;
    return rmdir(mine) | rmdir(theirs);
}

/* The child's exit status says which step was wrong; 0 = all as it should be. */
#define EXPECT(n, condition)                                                                       \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            _exit(n);                                                                              \
        }                                                                                          \
    } while (0)

static void enter(const sp_sandbox *cage)
{
    auto_buf sp_buf why = sp_buf_make(SP_SANDBOX_TEXT_BYTES);
    if (sp_failed(sp_sandbox_enter(cage, &why))) {
        fprintf(stderr, "%.*s\n", SP_SPAN_ARG(sp_buf_borrow(&why)));
        _exit(99);
    }
}

static int in_child(void (*act)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        act();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void assert_as_it_should_be(void (*act)(void))
{
    int status = in_child(act);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fail_msg("the child failed: exited %d status %d signal %d", WIFEXITED(status),
                 WEXITSTATUS(status), WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    }
}

static void assert_killed(void (*act)(void))
{
    if (SP_SANDBOX_SANITIZED != 0) {
        return; /* sanitizers need what intruders use */
    }
    int status = in_child(act);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

static int touch(const char *dir)
{
    char path[64];
    snprintf(path, sizeof(path), "%s/f", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) {
        close(fd);
        unlink(path);
    }
    return fd;
}

static void try_files(void)
{
    enter(&(sp_sandbox){.role = "test", .may = SP_MAY_FILES, .write = {mine}});
    EXPECT(1, touch(mine) >= 0);
    EXPECT(2, open("/etc/passwd", O_RDONLY) >= 0);
    EXPECT(3, open("/dev/null", O_RDWR) >= 0);
    if (sp_sandbox_landlock_abi() > 0) {
        EXPECT(4, touch(theirs) < 0 && errno == EACCES);
        EXPECT(5, open("/etc/shadow", O_RDONLY) < 0 && errno == EACCES);
        EXPECT(6, open("/etc/hostname", O_RDONLY) < 0 && errno == EACCES);
        EXPECT(7, open("/etc/passwd", O_RDWR) < 0 && errno == EACCES);
    }
}

static void files_are_as_stated(void **state)
{
    (void)state;
    assert_as_it_should_be(try_files);
}

static void try_calls(void)
{
    enter(&(sp_sandbox){.role = "test", .read = {mine}, .files_max = 64});
    EXPECT(1, rename("/tmp/a", "/tmp/b") < 0 && errno == EPERM);
    EXPECT(2, socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM);
    EXPECT(3, socket(AF_NETLINK, SOCK_RAW, 0) < 0 && errno == EPERM);
    EXPECT(4, socket(AF_UNIX, SOCK_SEQPACKET, 0) >= 0);
    EXPECT(5, syscall(SYS_io_uring_setup, 1, NULL) < 0 && errno == ENOSYS);
    EXPECT(6, setuid(65534) < 0);
    if (SP_SANDBOX_SANITIZED == 0) {
        EXPECT(7, fork() < 0 && errno == EPERM);
        EXPECT(8, kill(getppid(), 0) < 0 && errno == EPERM);
        void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        EXPECT(9, page != MAP_FAILED);
        EXPECT(10, mprotect(page, 4096, PROT_READ | PROT_EXEC) < 0 && errno == EPERM);
        EXPECT(11, mmap(NULL, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
                       MAP_FAILED);
    }
    struct rlimit files;
    EXPECT(12, getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_max <= 64);
    EXPECT(13, memfd_create("x", MFD_CLOEXEC) >= 0);
}

static void calls_are_as_stated(void **state)
{
    (void)state;
    assert_as_it_should_be(try_calls);
}

static void *thread(void *arg)
{
    return arg;
}

static void try_threads(void)
{
    pthread_t id;
    enter(&(sp_sandbox){.role = "test", .may = SP_MAY_THREADS});
    EXPECT(1, pthread_create(&id, NULL, thread, NULL) == 0 && pthread_join(id, NULL) == 0);
    if (SP_SANDBOX_SANITIZED == 0) {
        EXPECT(2, fork() < 0);
    }
}

static void try_no_threads(void)
{
    pthread_t id;
    enter(&(sp_sandbox){.role = "test"});
    EXPECT(1, pthread_create(&id, NULL, thread, NULL) == EPERM);
}

static void threads_are_asked_for(void **state)
{
    (void)state;
    assert_as_it_should_be(try_threads);
    if (SP_SANDBOX_SANITIZED == 0) {
        assert_as_it_should_be(try_no_threads);
    }
}

static void try_spawn(void)
{
    enter(&(sp_sandbox){.role = "test", .may = SP_MAY_SPAWN, .execute = {"/usr/bin/true"}});
    pid_t child = fork();
    EXPECT(1, child >= 0);
    if (child == 0) {
        execl("/usr/bin/true", "true", NULL);
        _exit(50);
    }
    int status = -1;
    EXPECT(2, waitpid(child, &status, 0) == child && status == 0);
    if (sp_sandbox_landlock_abi() > 0) {
        EXPECT(3, execl("/usr/bin/id", "id", NULL) < 0 && errno == EACCES);
    }
}

static void runs_only_what_was_named(void **state)
{
    (void)state;
    assert_as_it_should_be(try_spawn);
}

static void try_connect(void)
{
    enter(&(sp_sandbox){.role = "test", .may = SP_MAY_CONNECT});
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(1, fd >= 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(1)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT(2, connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0 && errno == ECONNREFUSED);
    EXPECT(3, bind(fd, (const struct sockaddr *)&to, sizeof(to)) < 0);
    EXPECT(4, listen(fd, 1) < 0 && errno == EPERM);
}

static void connecting_is_not_listening(void **state)
{
    (void)state;
    assert_as_it_should_be(try_connect);
}

static void try_bind(void)
{
    enter(&(sp_sandbox){
        .role = "test", .may = SP_MAY_FILES | SP_MAY_BIND | SP_MAY_CONNECT, .write = {mine}});
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof(at.sun_path), "%s/s", mine);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT(1, bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 1) == 0);
    EXPECT(2, unlink(at.sun_path) == 0);
    if (sp_sandbox_landlock_abi() >= 4) {
        struct sockaddr_in tcp = {.sin_family = AF_INET};
        tcp.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        fd = socket(AF_INET, SOCK_STREAM, 0);
        EXPECT(3, bind(fd, (const struct sockaddr *)&tcp, sizeof(tcp)) < 0 && errno == EACCES);
    }
}

static void own_sockets_are_unix_sockets(void **state)
{
    (void)state;
    assert_as_it_should_be(try_bind);
}

static void intrude_ptrace(void)
{
    enter(&(sp_sandbox){.role = "test"});
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void intrude_exec(void)
{
    enter(&(sp_sandbox){.role = "test"});
    execl("/usr/bin/true", "true", NULL);
}

static void intrude_mount(void)
{
    enter(&(sp_sandbox){.role = "test", .may = SP_MAY_SPAWN | SP_MAY_FILES});
    syscall(SYS_mount, "a", "b", "c", 0, NULL);
}

static void intrude_unshare(void)
{
    enter(&(sp_sandbox){.role = "test", .may = SP_MAY_SPAWN | SP_MAY_OWNERS});
    syscall(SYS_unshare, 0x10000000);
}

static void intruders_end(void **state)
{
    (void)state;
    assert_killed(intrude_ptrace);
    assert_killed(intrude_exec);
    assert_killed(intrude_mount);
    assert_killed(intrude_unshare);
}

static void try_report(void)
{
    auto_buf sp_buf before = sp_buf_make(SP_SANDBOX_TEXT_BYTES);
    sp_sandbox_report(&before);
    sp_span text = sp_buf_borrow(&before);
    EXPECT(1, sp_span_starts(text, SP_SPAN_LIT("seccomp=none no_new_privs=no")));
    enter(&(sp_sandbox){.role = "test", .read = {"/var"}, .write = {mine, "?/none"}});
    sp_buf_reset(&before);
    sp_sandbox_report(&before);
    text = sp_buf_borrow(&before);
    EXPECT(2, sp_span_starts(text, SP_SPAN_LIT("seccomp=filter no_new_privs=yes caps=none ")));
    if (sp_sandbox_landlock_abi() > 0) {
        EXPECT(3, sp_span_find(text, SP_SPAN_LIT(" fs=1r,2w,0x")) < text.len);
    }
}

static void reports_what_is(void **state)
{
    (void)state;
    assert_as_it_should_be(try_report);
}

static void try_missing(void)
{
    auto_buf sp_buf why = sp_buf_make(SP_SANDBOX_TEXT_BYTES);
    sp_err err = sp_sandbox_enter(&(sp_sandbox){.role = "test", .read = {"/not/there"}}, &why);
    EXPECT(1, sp_failed(err) && err.code == SP_ENOTFOUND);
    sp_span text = sp_buf_borrow(&why);
    EXPECT(2,
           sp_span_starts(text, SP_SPAN_LIT("/not/there cannot be opened for the sandbox: No ")));
}

static void a_missing_path_is_told(void **state)
{
    (void)state;
    if (sp_sandbox_landlock_abi() > 0) {
        assert_as_it_should_be(try_missing);
    }
}

static void *wait_forever(void *arg)
{
    pause();
    return arg;
}

static void try_with_threads(void)
{
    pthread_t id;
    EXPECT(1, pthread_create(&id, NULL, wait_forever, NULL) == 0);
    auto_buf sp_buf why = sp_buf_make(SP_SANDBOX_TEXT_BYTES);
    EXPECT(2, sp_failed(sp_sandbox_enter(&(sp_sandbox){.role = "test"}, &why)));
}

static void a_threaded_process_is_refused(void **state)
{
    (void)state;
    assert_as_it_should_be(try_with_threads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_as_stated),
        cmocka_unit_test(calls_are_as_stated),
        cmocka_unit_test(threads_are_asked_for),
        cmocka_unit_test(runs_only_what_was_named),
        cmocka_unit_test(connecting_is_not_listening),
        cmocka_unit_test(own_sockets_are_unix_sockets),
        cmocka_unit_test(intruders_end),
        cmocka_unit_test(reports_what_is),
        cmocka_unit_test(a_missing_path_is_told),
        cmocka_unit_test(a_threaded_process_is_refused),
    };
    return cmocka_run_group_tests_name("proc sandbox", tests, make_dirs, remove_dirs);
}

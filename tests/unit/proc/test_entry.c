/* SPDX-License-Identifier: Apache-2.0
 * Tests of what a role inherits: sockets by name, and telling who started it.
 * OWNS its sockets. PROCESS tests. TRUST none. SPEC infra/proc/entry.h.
 */
#include "infra/proc/entry.h"
#include "tests/unit/cm.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void finds_sockets_by_name(void **state)
{
    (void)state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_true(dup2(pair[0], 3) == 3 && dup2(pair[1], 4) == 4);
    char pid[24];
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "2", 1);
    setenv("LISTEN_FDNAMES", "core:api", 1);
    assert_int_equal(sp_entry_listen_fd("core"), 3);
    assert_int_equal(sp_entry_listen_fd("api"), 4);
    assert_int_equal(sp_entry_listen_fd("local"), -1);
    assert_int_equal(sp_entry_listen_fd("cor"), -1);
    assert_true((fcntl(4, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(4, F_GETFD) & FD_CLOEXEC) != 0);
    setenv("LISTEN_PID", "1", 1); /* meant for another process */
    assert_int_equal(sp_entry_listen_fd("core"), -1);
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "9999999999", 1);
    assert_int_equal(sp_entry_listen_fd("core"), -1);
    unsetenv("LISTEN_FDS");
    assert_int_equal(sp_entry_listen_fd("core"), -1);
}

static void tells_who_started_it(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof(path), "/tmp/sp-notify-%d", (int)getpid());
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    assert_ok(sp_fit(at.sun_path, sizeof(at.sun_path), sp_span_cstr(path)));
    auto_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
    setenv("NOTIFY_SOCKET", path, 1);
    sp_entry_notify("READY=1");
    char got[32];
    assert_int_equal(recv(fd, got, sizeof(got), 0), 7);
    assert_memory_equal(got, "READY=1", 7);
    unsetenv("NOTIFY_SOCKET");
    sp_entry_notify("READY=1");
    assert_int_equal(recv(fd, got, sizeof(got), 0), -1);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_sockets_by_name),
        cmocka_unit_test(tells_who_started_it),
    };
    return cmocka_run_group_tests_name("proc entry", tests, NULL, NULL);
}

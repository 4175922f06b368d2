/* SPDX-License-Identifier: Apache-2.0
 * Tests of connections and shared memory: packets, descriptors, seals.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC infra/ipc/{conn,shm}.h.
 */
#include "infra/ipc/conn.h"
#include "infra/ipc/shm.h"
#include "infra/proc/clock.h"
#include "tests/unit/cm.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    char path[64];
    int listen_fd;
    int client;
    int server;
} pair;

static int set_up(void **state)
{
    static pair p;
    int len = snprintf(p.path, sizeof(p.path), "/tmp/sp-conn-%d.sock", (int)getpid());
    assert_true(len > 0 && (size_t)len < sizeof(p.path));
    assert_ok(sp_ipc_listen(p.path, &p.listen_fd));
    assert_ok(sp_ipc_connect(p.path, &p.client));
    assert_ok(sp_ipc_accept(p.listen_fd, &p.server));
    *state = &p;
    return 0;
}

static int tear_down(void **state)
{
    pair *p = *state;
    close(p->listen_fd);
    close(p->client);
    close(p->server);
    unlink(p->path);
    return 0;
}

static void packets_stay_whole(void **state)
{
    pair *p = *state;
    auto_buf sp_buf packet = sp_buf_make(SP_MSG_MAX_BYTES);
    auto_fds sp_fds fds = {0};
    assert_fails(sp_ipc_receive(p->server, &packet, &fds), SP_EAGAIN);
    assert_ok(sp_ipc_send(p->client, SP_SPAN_LIT("one"), NULL, 0));
    assert_ok(sp_ipc_send(p->client, SP_SPAN_LIT("two and"), NULL, 0));
    assert_ok(sp_ipc_receive(p->server, &packet, &fds));
    assert_span_text(sp_buf_borrow(&packet), "one");
    assert_ok(sp_ipc_receive(p->server, &packet, &fds));
    assert_span_text(sp_buf_borrow(&packet), "two and");
    uid_t uid = 1;
    pid_t pid = 0;
    assert_ok(sp_ipc_peer(p->server, &uid, &pid));
    assert_int_equal(uid, getuid());
    assert_int_equal(pid, getpid());
    close(p->client);
    p->client = -1;
    assert_fails(sp_ipc_receive(p->server, &packet, &fds), SP_ECLOSED);
    assert_fails(sp_ipc_send(p->server, SP_SPAN_LIT("x"), NULL, 0), SP_ECLOSED);
}

static void descriptors_travel(void **state)
{
    pair *p = *state;
    auto_shm sp_shm mine = {0};
    auto_close int fd = -1;
    assert_ok(sp_shm_new_published("test", 8192, &mine, &fd));
    assert_ok(sp_ipc_send(p->client, SP_SPAN_LIT("map"), &fd, 1));
    auto_buf sp_buf packet = sp_buf_make(SP_MSG_MAX_BYTES);
    auto_fds sp_fds fds = {0};
    assert_ok(sp_ipc_receive(p->server, &packet, &fds));
    assert_int_equal(fds.count, 1);
    auto_close int theirs = sp_fds_take(&fds, 0);
    assert_int_equal(sp_fds_take(&fds, 0), -1);
    auto_shm sp_shm view = {0};
    assert_ok(sp_shm_map_read(theirs, false, 1 << 20, &view));
    ((uint8_t *)mine.ptr)[5] = 42; /* the writer writes, the reader sees */
    assert_int_equal(((uint8_t *)view.ptr)[5], 42);
    auto_shm sp_shm write = {0};
    assert_true(sp_failed(sp_shm_map_write(theirs, 1 << 20, &write))); /* but cannot write */
    assert_fails(sp_shm_map_read(theirs, false, 4096, &write), SP_ELIMIT);
}

static void seals_are_demanded(void **state)
{
    (void)state;
    auto_close int sealed = -1;
    assert_ok(sp_shm_sealed("test", SP_SPAN_LIT("policy"), &sealed));
    auto_shm sp_shm view = {0};
    assert_ok(sp_shm_map_read(sealed, true, 100, &view));
    assert_memory_equal(view.ptr, "policy", 6);
    auto_close int loose = memfd_create("loose", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(loose, 4096), 0);
    auto_shm sp_shm none = {0};
    assert_fails(sp_shm_map_read(loose, false, 4096, &none),
                 SP_EDENIED); /* could shrink under us */
    assert_int_equal(fcntl(loose, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    assert_fails(sp_shm_map_read(loose, true, 4096, &none), SP_EDENIED); /* could change */
    assert_ok(sp_shm_map_write(loose, 4096, &none));
}

/* A TCP socket that holds up whoever closes it last: unsent bytes, and the wish to wait for them.
 */
static int lingering(int *ret_other)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    auto_close int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (const struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
    *ret_other = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    static const uint8_t bytes[4096];
    while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
    }
    const struct linger wish = {1, 5};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &wish, sizeof(wish)), 0);
    return fd;
}

/* Passes one in a packet and has no other. */
static void pass_lingering(const pair *p, size_t count, int *ret_other)
{
    auto_buf sp_buf control = sp_buf_make(CMSG_SPACE(sizeof(int) * 16));
    int fd = lingering(ret_other);
    uint8_t *room = sp_buf_room(&control, CMSG_SPACE(sizeof(int) * count));
    sp_set(room, 0, CMSG_SPACE(sizeof(int) * count));
    struct iovec piece = {"take this", 9};
    struct msghdr header = {.msg_iov = &piece,
                            .msg_iovlen = 1,
                            .msg_control = room,
                            .msg_controllen = CMSG_SPACE(sizeof(int) * count)};
    struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * count);
    for (size_t i = 0; i < count; i++) {
        sp_copy(CMSG_DATA(rights) + i * sizeof(int), &fd, sizeof(fd));
    }
    assert_int_equal(sendmsg(p->client, &header, MSG_NOSIGNAL), 9);
    close(fd); /* not the last: it lives on in the packet */
}

static void more_descriptors_than_fit_do_not_hold_us_up(void **state)
{
    pair *p = *state;
    auto_close int other = -1;
    auto_buf sp_buf packet = sp_buf_make(SP_MSG_MAX_BYTES);
    auto_fds sp_fds fds = {0};
    pass_lingering(p, 12, &other);
    uint64_t before = sp_now_steady_us();
    assert_fails(sp_ipc_receive(p->server, &packet, &fds), SP_ELIMIT);
    assert_int_equal(fds.count, 0);
    assert_true(sp_now_steady_us() - before < 2000000);
}

static void what_nobody_read_does_not_hold_us_up(void **state)
{
    pair *p = *state;
    auto_close int other = -1;
    assert_ok(sp_ipc_send(p->client, SP_SPAN_LIT("before it"), NULL, 0));
    pass_lingering(p, 1, &other);
    uint64_t before = sp_now_steady_us();
    sp_ipc_close(p->server);
    p->server = -1;
    assert_true(sp_now_steady_us() - before < 2000000);
}

static void a_passed_socket_does_not_hold_us_up(void **state)
{
    pair *p = *state;
    auto_close int other = -1;
    auto_buf sp_buf packet = sp_buf_make(SP_MSG_MAX_BYTES);
    pass_lingering(p, 1, &other);
    sp_fds fds = {0};
    assert_ok(sp_ipc_receive(p->server, &packet, &fds));
    assert_int_equal(fds.count, 1);
    uint64_t before = sp_now_steady_us();
    sp_fds_close(&fds);
    assert_true(sp_now_steady_us() - before < 2000000);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {EACH(packets_stay_whole),
                                       EACH(descriptors_travel),
                                       EACH(a_passed_socket_does_not_hold_us_up),
                                       EACH(more_descriptors_than_fit_do_not_hold_us_up),
                                       EACH(what_nobody_read_does_not_hold_us_up),
                                       cmocka_unit_test(seals_are_demanded)};
    return cmocka_run_group_tests_name("ipc conn", tests, NULL, NULL);
}

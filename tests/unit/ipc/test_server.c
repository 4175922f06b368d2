/* SPDX-License-Identifier: Apache-2.0
 * Tests of the message server: replies, late replies, pushes, malformed packets, piled-up replies.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC infra/ipc/server.h.
 */
#include "infra/ipc/server.h"
#include "tests/unit/cm.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KIND_ECHO = 1, KIND_LATE = 2, KIND_FLOOD = 3, KIND_STOP = 4, KIND_LARGE = 5, PEERS_MAX = 8 };

typedef struct {
    uv_loop_t loop;
    uv_timer_t timer;
    sp_server *server;
    sp_peer *waiting;
    sp_msg waiting_msg;
    int gone;
    char path[64];
    pthread_t thread;
} office;

static void answer_late(uv_timer_t *timer)
{
    office *o = timer->data;
    sp_peer_reply(o->waiting, &o->waiting_msg, SP_EDENIED, SP_SPAN_LIT("late"), NULL, 0);
    sp_peer_unref(o->waiting);
}

static void closed(uv_handle_t *handle)
{
    (void)handle;
}

static void on_message(void *self, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    office *o = self;
    (void)fds;
    switch (msg->kind) {
    case KIND_ECHO:
        sp_peer_push(peer, 99, SP_SPAN_LIT("push"), NULL, 0);
        sp_peer_reply(peer, msg, SP_OK, msg->body, NULL, 0);
        break;
    case KIND_LATE:
        o->waiting = sp_peer_ref(peer);
        o->waiting_msg = *msg;
        uv_timer_start(&o->timer, answer_late, 30, 0);
        break;
    case KIND_FLOOD:
        for (int i = 0; i < 100000; i++) {
            sp_peer_push(peer, 99, msg->body, NULL, 0);
        }
        break;
    case KIND_LARGE:
        for (int i = 0; i < 300; i++) {
            sp_peer_push(peer, 99, msg->body, NULL, 0);
        }
        break;
    case KIND_STOP:
        sp_server_free(o->server);
        uv_close((uv_handle_t *)&o->timer, closed);
        break;
    default:
        break;
    }
}

static void on_gone(void *self, sp_peer *peer)
{
    (void)peer;
    ((office *)self)->gone++;
}

static void *serve(void *arg)
{
    office *o = arg;
    uv_run(&o->loop, UV_RUN_DEFAULT);
    return NULL;
}

static int set_up(void **state)
{
    static office o;
    o = (office){0};
    assert_int_equal(uv_loop_init(&o.loop), 0);
    assert_int_equal(uv_timer_init(&o.loop, &o.timer), 0);
    o.timer.data = &o;
    int len = snprintf(o.path, sizeof(o.path), "/tmp/sp-server-%d.sock", (int)getpid());
    assert_true(len > 0);
    int fd = -1;
    assert_ok(sp_ipc_listen(o.path, &fd));
    sp_server_calls calls = {on_message, on_gone, &o};
    assert_ok(sp_server_new(&o.loop, fd, PEERS_MAX, &calls, &o.server));
    assert_int_equal(pthread_create(&o.thread, NULL, serve, &o), 0);
    *state = &o;
    return 0;
}

static int tear_down(void **state)
{
    office *o = *state;
    auto_close int fd = -1;
    assert_ok(sp_ipc_connect(o->path, &fd));
    auto_buf sp_buf packet = sp_buf_make(100);
    sp_msg_begin(&packet, KIND_STOP, 1, SP_OK);
    assert_ok(sp_ipc_send(fd, sp_buf_borrow(&packet), NULL, 0));
    pthread_join(o->thread, NULL);
    assert_int_equal(uv_loop_close(&o->loop), 0); /* nothing is left open */
    unlink(o->path);
    return 0;
}

static void answers_now_and_later(void **state)
{
    office *o = *state;
    auto_close int fd = -1;
    auto_buf sp_buf reply = sp_buf_make(SP_MSG_MAX_BYTES);
    assert_ok(sp_ipc_connect(o->path, &fd));
    assert_ok(sp_ipc_call(fd, KIND_ECHO, SP_SPAN_LIT("hello"), 2000, &reply, NULL));
    assert_span_text(sp_buf_borrow(&reply), "hello");
    assert_fails(sp_ipc_call(fd, KIND_LATE, SP_SPAN_EMPTY, 2000, &reply, NULL), SP_EDENIED);
    assert_span_text(sp_buf_borrow(&reply), "late");
    assert_fails(sp_ipc_call(fd, 55, SP_SPAN_EMPTY, 50, &reply, NULL), SP_ETIMEOUT);
}

static void a_malformed_packet_ends_the_peer(void **state)
{
    office *o = *state;
    auto_close int fd = -1;
    auto_buf sp_buf reply = sp_buf_make(SP_MSG_MAX_BYTES);
    assert_ok(sp_ipc_connect(o->path, &fd));
    assert_ok(sp_ipc_send(fd, SP_SPAN_LIT("\xff not ours"), NULL, 0));
    sp_err err = sp_ipc_call(fd, KIND_ECHO, SP_SPAN_EMPTY, 2000, &reply, NULL);
    assert_true(sp_failed(err) && err.code != SP_ETIMEOUT);
    auto_close int again = -1; /* the server lives on */
    assert_ok(sp_ipc_connect(o->path, &again));
    assert_ok(sp_ipc_call(again, KIND_ECHO, SP_SPAN_LIT("x"), 2000, &reply, NULL));
}

static void a_peer_that_does_not_read_is_dropped(void **state)
{
    office *o = *state;
    auto_close int fd = -1;
    auto_buf sp_buf reply = sp_buf_make(SP_MSG_MAX_BYTES);
    assert_ok(sp_ipc_connect(o->path, &fd));
    auto_buf sp_buf packet = sp_buf_make(2000);
    sp_msg_begin(&packet, KIND_FLOOD, 1, SP_OK);
    for (int i = 0; i < 1000; i++) {
        sp_buf_byte(&packet, 'x');
    }
    assert_ok(sp_ipc_send(fd, sp_buf_borrow(&packet), NULL, 0));
    auto_close int other = -1;
    assert_ok(sp_ipc_connect(o->path, &other));
    assert_ok(sp_ipc_call(other, KIND_ECHO, SP_SPAN_LIT("x"), 5000, &reply, NULL));
    assert_int_equal(o->gone, 1);
}

/* By another user, when root can be one; the exit status of the child is what it found. */
static int ask_as(const char *path, uid_t uid)
{
    pid_t child = fork();
    if (child == 0) {
        auto_buf sp_buf reply = sp_buf_make(SP_MSG_MAX_BYTES);
        int fd = -1;
        bool good = setresuid(uid, uid, uid) == 0 && !sp_failed(sp_ipc_connect(path, &fd)) &&
                    !sp_failed(sp_ipc_call(fd, KIND_ECHO, SP_SPAN_EMPTY, 2000, &reply, NULL));
        _exit(good ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    return status;
}

static void one_user_does_not_take_every_place(void **state)
{
    office *o = *state;
    auto_buf sp_buf reply = sp_buf_make(SP_MSG_MAX_BYTES);
    int fds[PEERS_MAX];
    size_t served = 0;
    for (size_t i = 0; i < PEERS_MAX; i++) {
        assert_ok(sp_ipc_connect(o->path, &fds[i]));
        served +=
            sp_failed(sp_ipc_call(fds[i], KIND_ECHO, SP_SPAN_EMPTY, 2000, &reply, NULL)) ? 0 : 1;
    }
    assert_int_equal(served, PEERS_MAX - PEERS_MAX / 4);
    if (geteuid() == 0) {
        assert_int_equal(ask_as(o->path, 65534), 0);
    }
    for (size_t i = 0; i < PEERS_MAX; i++) {
        close(fds[i]);
    }
}

/* Few and large replies that nobody reads: the peer goes long before there are a thousand. */
static void large_replies_do_not_pile_up(void **state)
{
    office *o = *state;
    auto_close int fd = -1;
    auto_close int other = -1;
    auto_buf sp_buf reply = sp_buf_make(SP_MSG_MAX_BYTES);
    assert_ok(sp_ipc_connect(o->path, &fd));
    assert_ok(sp_ipc_connect(o->path, &other));
    auto_buf sp_buf packet = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_msg_begin(&packet, KIND_LARGE, 1, SP_OK);
    while (packet.len < SP_MSG_MAX_BYTES - 1024) {
        sp_buf_byte(&packet, 'x');
    }
    assert_ok(sp_ipc_send(fd, sp_buf_borrow(&packet), NULL, 0));
    assert_ok(sp_ipc_call(other, KIND_ECHO, SP_SPAN_LIT("x"), 5000, &reply, NULL));
    assert_int_equal(o->gone, 1);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(answers_now_and_later), EACH(a_malformed_packet_ends_the_peer),
        EACH(a_peer_that_does_not_read_is_dropped), EACH(one_user_does_not_take_every_place),
        EACH(large_replies_do_not_pile_up)};
    return cmocka_run_group_tests_name("ipc server", tests, NULL, NULL);
}

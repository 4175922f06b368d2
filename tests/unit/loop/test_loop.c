/* SPDX-License-Identifier: Apache-2.0
 * The event loop: edges, timers in order, deferred calls, and taking things away while they run.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC infra/loop/loop.h.
 */
#include "infra/loop/loop.h"

#include "infra/proc/clock.h"
#include "tests/unit/cm.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TIMERS = 500 };

static sp_loop *loop;

static int open_loop(void **state)
{
    (void)state;
    return sp_failed(sp_loop_new(&loop)) ? -1 : 0;
}

static int close_loop(void **state)
{
    (void)state;
    sp_loop_free(loop);
    return 0;
}

/* ---- timers ---- */

typedef struct {
    sp_timer timer;
    uint64_t wanted_us;
} alarm_one;

static uint64_t last_us;
static unsigned rung;
static unsigned to_ring;

static void on_time(sp_timer *timer)
{
    assert_true(timer->due_us >= last_us);
    last_us = timer->due_us;
    if (++rung == to_ring) {
        sp_loop_stop(loop);
    }
}

static void test_timers_ring_in_order(void **state)
{
    (void)state;
    static alarm_one alarms[TIMERS];
    uint32_t seed = 7;
    last_us = 0;
    rung = 0;
    to_ring = TIMERS - TIMERS / 5;
    for (unsigned i = 0; i < TIMERS; i++) {
        seed = seed * 1103515245U + 12345U;
        alarms[i].timer.on_time = on_time;
        assert_ok(sp_timer_set(loop, &alarms[i].timer, seed >> 16 & 0x3fff));
    }
    for (unsigned i = 0; i < TIMERS; i += 2) { /* moved */
        assert_ok(sp_timer_set(loop, &alarms[i].timer, 1000 + i));
    }
    for (unsigned i = 0; i < TIMERS; i += 5) { /* taken away */
        sp_timer_clear(loop, &alarms[i].timer);
        sp_timer_clear(loop, &alarms[i].timer);
    }
    assert_ok(sp_loop_run(loop));
    assert_int_equal(rung, to_ring);
}

/* ---- the clock of the wall ---- */

static uint64_t walls[2];
static unsigned wall_turns;

static void on_wall(sp_deferred *deferred)
{
    walls[wall_turns] = sp_loop_unix_us(loop);
    usleep(2000);
    assert_int_equal(sp_loop_unix_us(loop), walls[wall_turns]);
    if (++wall_turns == SP_COUNT(walls)) {
        sp_loop_stop(loop);
    } else {
        sp_loop_defer(loop, deferred);
    }
}

static void test_the_wall_clock_is_read_once_a_turn(void **state)
{
    (void)state;
    sp_deferred deferred = {.call = on_wall};
    sp_loop_defer(loop, &deferred);
    assert_ok(sp_loop_run(loop));
    assert_true(walls[1] >= walls[0] + 2000 && walls[0] > UINT64_C(1700000000000000));
}

/* ---- deferred ---- */

static sp_deferred first;
static sp_deferred second;
static sp_deferred third;
static unsigned calls;

static void on_third(sp_deferred *deferred)
{
    (void)deferred;
    fail(); /* was taken back */
}

static void on_second(sp_deferred *deferred)
{
    (void)deferred;
    calls += 10;
    sp_loop_stop(loop);
}

static void on_first(sp_deferred *deferred)
{
    calls++;
    sp_loop_undefer(loop, &third);
    if (calls == 1) {
        sp_loop_defer(loop, deferred); /* again, in the next turn */
    } else {
        sp_loop_defer(loop, &second);
    }
}

static void test_deferred_calls(void **state)
{
    (void)state;
    calls = 0;
    first.call = on_first;
    second.call = on_second;
    third.call = on_third;
    sp_loop_defer(loop, &first);
    sp_loop_defer(loop, &first);
    sp_loop_defer(loop, &third);
    assert_ok(sp_loop_run(loop));
    assert_int_equal(calls, 12);
    sp_loop_undefer(loop, &first);
}

/* ---- descriptors ---- */

typedef struct {
    sp_watch watch;
    sp_watch *other; /* stopped by whoever comes first */
    unsigned times;
    unsigned ready;
} end_one;

static void on_end(sp_watch *watch, unsigned ready)
{
    end_one *end = (end_one *)(void *)watch;
    end->times++;
    end->ready |= ready;
    if (end->other != NULL) {
        sp_watch_stop(loop, end->other);
    }
    if ((ready & SP_READY_HUNG) != 0) {
        sp_loop_stop(loop);
    }
}

static sp_timer until;

static void on_until(sp_timer *timer)
{
    (void)timer;
    sp_loop_stop(loop);
}

static void make_pair(int ends[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
}

static void test_an_edge_comes_once(void **state)
{
    (void)state;
    int ends[2];
    make_pair(ends);
    end_one end = {.watch = {.on_ready = on_end, .fd = -1}};
    assert_ok(sp_watch_start(loop, &end.watch, ends[0]));
    assert_int_equal(write(ends[1], "x", 1), 1);
    until.on_time = on_until;
    assert_ok(sp_timer_set(loop, &until, 20000));
    assert_ok(sp_loop_run(loop));
    assert_int_equal(end.times, 1); /* unread, and yet not told again */
    assert_int_equal(end.ready, SP_READY_READ | SP_READY_WRITE);
    sp_watch_stop(loop, &end.watch);
    close(ends[0]);
    close(ends[1]);
}

static void test_the_other_end_goes(void **state)
{
    (void)state;
    int ends[2];
    make_pair(ends);
    end_one end = {.watch = {.on_ready = on_end, .fd = -1}};
    assert_ok(sp_watch_start(loop, &end.watch, ends[0]));
    close(ends[1]);
    assert_ok(sp_loop_run(loop));
    assert_true((end.ready & SP_READY_HUNG) != 0);
    sp_watch_stop(loop, &end.watch);
    close(ends[0]);
}

static void test_stopped_in_the_same_turn(void **state)
{
    (void)state;
    int a[2];
    int b[2];
    make_pair(a);
    make_pair(b);
    end_one one = {.watch = {.on_ready = on_end, .fd = -1}};
    end_one two = {.watch = {.on_ready = on_end, .fd = -1}, .other = &one.watch};
    one.other = &two.watch;
    assert_ok(sp_watch_start(loop, &one.watch, a[0]));
    assert_ok(sp_watch_start(loop, &two.watch, b[0]));
    close(a[1]);
    close(b[1]);
    assert_ok(sp_loop_run(loop));
    assert_int_equal(one.times + two.times, 1);
    sp_watch_stop(loop, &one.watch);
    sp_watch_stop(loop, &two.watch);
    close(a[0]);
    close(b[0]);
}

/* It looks again for a while after something came, and then it sleeps all the same. */
static void test_it_lingers_and_then_sleeps(void **state)
{
    (void)state;
    enum { LINGER_US = 20000, TIME_US = 200000 };
    int ends[2];
    make_pair(ends);
    end_one end = {.watch = {.on_ready = on_end, .fd = -1}};
    sp_loop_linger(loop, LINGER_US);
    assert_ok(sp_watch_start(loop, &end.watch, ends[0]));
    assert_int_equal(write(ends[1], "x", 1), 1);
    until.on_time = on_until;
    assert_ok(sp_timer_set(loop, &until, TIME_US));
    clock_t before = clock(); /* processor time */
    uint64_t began_us = sp_now_steady_us();
    assert_ok(sp_loop_run(loop));
    uint64_t used_us = (uint64_t)(clock() - before) * 1000000 / CLOCKS_PER_SEC;
    assert_int_equal(end.times, 1);
    assert_true(sp_now_steady_us() - began_us >= TIME_US);
    assert_true(used_us < TIME_US / 2);
    sp_watch_stop(loop, &end.watch);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_timers_ring_in_order, open_loop, close_loop),
        cmocka_unit_test_setup_teardown(test_deferred_calls, open_loop, close_loop),
        cmocka_unit_test_setup_teardown(test_an_edge_comes_once, open_loop, close_loop),
        cmocka_unit_test_setup_teardown(test_the_other_end_goes, open_loop, close_loop),
        cmocka_unit_test_setup_teardown(test_stopped_in_the_same_turn, open_loop, close_loop),
        cmocka_unit_test_setup_teardown(test_the_wall_clock_is_read_once_a_turn, open_loop,
                                        close_loop),
        cmocka_unit_test_setup_teardown(test_it_lingers_and_then_sleeps, open_loop, close_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

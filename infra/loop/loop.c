/* SPDX-License-Identifier: Apache-2.0
 * The loop.
 * OWNS the epoll descriptor, the heap of timers, the queue of deferred calls. PROCESS gate workers.
 * TRUST none. SPEC infra/loop/loop.h.
 */
#include "infra/loop/loop.h"

#include "infra/proc/clock.h"

#include <errno.h>
#include <sched.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 256,
    WAIT_MOST_MS = 60 * 1000,
    VAIN_MAX = 4, /* then it lingers now and then only */
    VAIN_EVERY = 256
};

struct sp_loop {
    int epoll_fd;
    bool stopping;
    uint64_t now_us;
    uint64_t unix_us; /* 0 = not read in this turn */
    sp_timer **heap;  /* [1 .. count] */
    size_t count;
    size_t cap;
    sp_deferred *first;
    sp_deferred **last;
    struct epoll_event events[EVENTS_MAX];
    int event_count; /* of this turn */
    bool found;      /* the turn before had events */
    unsigned linger_us;
    unsigned vain; /* times in a row that it lingered and nothing came */
};

sp_err sp_loop_new(sp_loop **ret_loop)
{
    sp_loop *loop = NULL;
    TRY(sp_alloc(1, sizeof(*loop), &loop));
    loop->last = &loop->first;
    loop->now_us = sp_now_steady_us();
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        sp_free(loop);
        return sp_fail(SP_EIO);
    }
    *ret_loop = loop;
    return sp_ok();
}

void sp_loop_free(sp_loop *loop)
{
    if (loop != NULL) {
        close(loop->epoll_fd);
        sp_free(loop->heap);
        sp_free(loop);
    }
}

void sp_loop_stop(sp_loop *loop)
{
    loop->stopping = true;
}

uint64_t sp_loop_now_us(const sp_loop *loop)
{
    return loop->now_us;
}

uint64_t sp_loop_unix_us(sp_loop *loop)
{
    if (loop->unix_us == 0) {
        loop->unix_us = sp_now_unix_us();
    }
    return loop->unix_us;
}

/* ---- descriptors ---- */

static sp_err watch(const sp_loop *loop, sp_watch *watch, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        return sp_fail(errno == ENOMEM || errno == ENOSPC ? SP_ENOMEM : SP_EIO);
    }
    watch->fd = fd;
    return sp_ok();
}

sp_err sp_watch_start(sp_loop *loop, sp_watch *one, int fd)
{
    return watch(loop, one, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | (uint32_t)EPOLLET);
}

sp_err sp_watch_start_shared(sp_loop *loop, sp_watch *one, int fd)
{
    return watch(loop, one, fd, EPOLLIN | EPOLLEXCLUSIVE);
}

void sp_watch_stop(sp_loop *loop, sp_watch *one)
{
    if (one->fd < 0) {
        return;
    }
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, one->fd, NULL);
    one->fd = -1;
    for (int i = 0; i < loop->event_count; i++) {
        if (loop->events[i].data.ptr == one) {
            loop->events[i].data.ptr = NULL;
        }
    }
}

static unsigned ready_of(uint32_t events)
{
    unsigned ready = (events & EPOLLIN) != 0 ? SP_READY_READ : 0;
    ready |= (events & EPOLLOUT) != 0 ? SP_READY_WRITE : 0;
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        ready |= SP_READY_READ | SP_READY_HUNG;
    }
    return ready;
}

static void run_events(sp_loop *loop)
{
    for (int i = 0; i < loop->event_count; i++) {
        sp_watch *one = loop->events[i].data.ptr;
        if (one != NULL) {
            one->on_ready(one, ready_of(loop->events[i].events));
        }
    }
    loop->event_count = 0;
}

/* ---- timers ---- */

static void put(sp_loop *loop, size_t at, sp_timer *timer)
{
    loop->heap[at] = timer;
    timer->at = at;
}

static void rise(sp_loop *loop, size_t at, sp_timer *timer)
{
    while (at > 1 && loop->heap[at / 2]->due_us > timer->due_us) {
        put(loop, at, loop->heap[at / 2]);
        at /= 2;
    }
    put(loop, at, timer);
}

static void sink(sp_loop *loop, size_t at, sp_timer *timer)
{
    for (size_t child = at * 2; child <= loop->count; child = at * 2) {
        if (child < loop->count && loop->heap[child + 1]->due_us < loop->heap[child]->due_us) {
            child++;
        }
        if (loop->heap[child]->due_us >= timer->due_us) {
            break;
        }
        put(loop, at, loop->heap[child]);
        at = child;
    }
    put(loop, at, timer);
}

void sp_timer_clear(sp_loop *loop, sp_timer *timer)
{
    size_t at = timer->at;
    if (at == 0) {
        return;
    }
    timer->at = 0;
    sp_timer *last = loop->heap[loop->count--];
    if (last == timer) {
        return;
    }
    if (at > 1 && loop->heap[at / 2]->due_us > last->due_us) {
        rise(loop, at, last);
    } else {
        sink(loop, at, last);
    }
}

sp_err sp_timer_set(sp_loop *loop, sp_timer *timer, uint64_t after_us)
{
    sp_timer_clear(loop, timer);
    if (loop->count + 2 > loop->cap) {
        size_t cap = loop->cap == 0 ? 64 : loop->cap * 2;
        TRY(sp_resize(&loop->heap, cap, sizeof(sp_timer *)));
        loop->cap = cap;
    }
    timer->due_us = loop->now_us + after_us;
    loop->count++;
    rise(loop, loop->count, timer);
    return sp_ok();
}

static void run_timers(sp_loop *loop)
{
    while (loop->count > 0 && loop->heap[1]->due_us <= loop->now_us) {
        sp_timer *timer = loop->heap[1];
        sp_timer_clear(loop, timer);
        timer->on_time(timer);
    }
}

static int wait_ms(const sp_loop *loop)
{
    if (loop->first != NULL) {
        return 0;
    }
    if (loop->count == 0) {
        return WAIT_MOST_MS;
    }
    uint64_t due_us = loop->heap[1]->due_us;
    uint64_t left_ms = due_us > loop->now_us ? (due_us - loop->now_us + 999) / 1000 : 0;
    return left_ms > WAIT_MOST_MS ? WAIT_MOST_MS : (int)left_ms;
}

/* ---- deferred calls ---- */

void sp_loop_defer(sp_loop *loop, sp_deferred *deferred)
{
    if (!deferred->queued) {
        deferred->queued = true;
        deferred->next = NULL;
        *loop->last = deferred;
        loop->last = &deferred->next;
    }
}

void sp_loop_undefer(sp_loop *loop, sp_deferred *deferred)
{
    if (!deferred->queued) {
        return;
    }
    sp_deferred **at = &loop->first;
    while (*at != deferred) {
        at = &(*at)->next;
    }
    *at = deferred->next;
    if (loop->last == &deferred->next) {
        loop->last = at;
    }
    deferred->queued = false;
}

/* Those that are there now: what they defer runs in the next turn, after a look at the events. */
static void run_deferred(sp_loop *loop)
{
    sp_deferred mark = {.queued = true};
    if (loop->first == NULL) {
        return;
    }
    *loop->last = &mark;
    /* the mark is out of the list again before this returns */
    loop->last = &mark.next; // cppcheck-suppress autoVariables
    while (loop->first != &mark) {
        sp_deferred *one = loop->first;
        loop->first = one->next;
        one->queued = false;
        one->call(one);
    }
    loop->first = mark.next;
    if (loop->last == &mark.next) {
        loop->last = &loop->first;
    }
}

/* ---- the turn ---- */

void sp_loop_linger(sp_loop *loop, unsigned time_us)
{
    loop->linger_us = time_us;
}

/* As epoll_wait(). */
static int linger(sp_loop *loop)
{
    uint64_t until_us = sp_now_steady_us() + loop->linger_us;
    int count = 0;
    do {
        count = epoll_wait(loop->epoll_fd, loop->events, EVENTS_MAX, 0);
        if (count == 0) {
            sched_yield();
        }
    } while (count == 0 && sp_now_steady_us() < until_us);
    return count;
}

static int look(sp_loop *loop)
{
    int most_ms = wait_ms(loop);
    bool may = loop->found && loop->linger_us > 0 && most_ms > 0;
    if (may && (loop->vain < VAIN_MAX || loop->vain % VAIN_EVERY == 0)) {
        int count = linger(loop);
        if (count != 0) {
            loop->vain = 0;
            return count;
        }
    }
    loop->vain += may ? 1 : 0;
    return epoll_wait(loop->epoll_fd, loop->events, EVENTS_MAX, most_ms);
}

sp_err sp_loop_run(sp_loop *loop)
{
    while (!loop->stopping) {
        int count = look(loop);
        if (count < 0 && errno != EINTR) {
            return sp_fail(SP_EIO);
        }
        loop->event_count = count > 0 ? count : 0;
        loop->found = count > 0;
        loop->now_us = sp_now_steady_us();
        loop->unix_us = 0;
        run_events(loop);
        run_timers(loop);
        run_deferred(loop);
    }
    return sp_ok();
}

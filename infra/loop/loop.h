/* SPDX-License-Identifier: Apache-2.0
 * The event loop of the hot gates: epoll, edge-triggered, with timers and deferred calls.
 *
 * Story: a watch is registered once, for reading and writing, and never changed: that is all the
 * system calls it costs. Its on_ready is called when the descriptor became readable, writable or
 * was hung up; it must go on until the kernel has no more (a short read says so as well as EAGAIN
 * does), or remember that there is more. Timers live in a heap and cost no system call: the
 * nearest one is the time epoll waits. The clock is read once a turn. A deferred call runs at the
 * end of the turn, when nobody stands on the stack any more: that is where things are freed.
 *
 * OWNS its epoll descriptor; watches, timers and deferred calls are embedded in what belongs to
 * others, who remove them before they go. PROCESS gate workers, one loop and one thread each.
 * TRUST none. SPEC epoll(7).
 */
#ifndef SP_LOOP_LOOP_H
#define SP_LOOP_LOOP_H

#include "lib/base/mem.h"

typedef struct sp_loop sp_loop;

/* What has come; hung up comes with readable, so that a last read finds the end. */
enum { SP_READY_READ = 1, SP_READY_WRITE = 2, SP_READY_HUNG = 4 };

typedef struct sp_watch sp_watch;
struct sp_watch {
    void (*on_ready)(sp_watch *watch, unsigned ready);
    int fd; /* -1 = not watched */
};

typedef struct sp_timer sp_timer;
struct sp_timer {
    void (*on_time)(sp_timer *timer);
    uint64_t due_us;
    size_t at; /* place in the heap, from 1; 0 = not set */
};

typedef struct sp_deferred sp_deferred;
struct sp_deferred {
    void (*call)(sp_deferred *deferred);
    sp_deferred *next;
    bool queued;
};

SP_MUST sp_err sp_loop_new(sp_loop **ret_loop);
void sp_loop_free(sp_loop *loop);
/* Until sp_loop_stop(). SP_EIO. */
SP_MUST sp_err sp_loop_run(sp_loop *loop);
void sp_loop_stop(sp_loop *loop);
/* The steady clock, as this turn began. */
uint64_t sp_loop_now_us(const sp_loop *loop);
/* The clock of the wall in this turn, read when it is asked for first. */
uint64_t sp_loop_unix_us(sp_loop *loop);
/* For so long after a turn that found something it looks again instead of sleeping: for when an
 * answer to what was sent is about to come, because to sleep and to be woken takes longer than many
 * an answer. It leaves off where that was in vain. 0, as it begins: it sleeps at once. */
void sp_loop_linger(sp_loop *loop, unsigned time_us);

/* Watches an open descriptor (non-blocking) from now on. SP_EIO, SP_ENOMEM. */
SP_MUST sp_err sp_watch_start(sp_loop *loop, sp_watch *watch, int fd);
/* A listening descriptor that several processes share: level-triggered, one of them is woken. */
SP_MUST sp_err sp_watch_start_shared(sp_loop *loop, sp_watch *watch, int fd);
/* Before the descriptor is closed; on_ready is not called any more, also not in this turn. */
void sp_watch_stop(sp_loop *loop, sp_watch *watch);

/* Sets it, or moves it. SP_ENOMEM (it is not set then). */
SP_MUST sp_err sp_timer_set(sp_loop *loop, sp_timer *timer, uint64_t after_us);
void sp_timer_clear(sp_loop *loop, sp_timer *timer);

/* Once, at the end of this turn; a second time changes nothing. */
void sp_loop_defer(sp_loop *loop, sp_deferred *deferred);
/* Takes it back. */
void sp_loop_undefer(sp_loop *loop, sp_deferred *deferred);

#endif

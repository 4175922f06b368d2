/* SPDX-License-Identifier: Apache-2.0
 * A connection from a gate worker to another process of ours on the worker's loop, that comes back
 * by itself.
 *
 * Story: sp_link_start() connects; when that works on_open says hello. A call gets an id; its reply
 * goes to the function it was made with, exactly once: with the answer, with SP_ECLOSED when the
 * connection breaks, or with SP_ETIMEOUT. A reply that comes later than that, or to a call that was
 * forgotten, goes to on_stray; everything else to on_push. What the other side is too slow to read
 * waits here, in order and up to a maximum. When the connection breaks, on_closed is told and the
 * link tries again, first at once, then ever more slowly up to two seconds.
 *
 * OWNS its connection and the calls that wait. PROCESS gate workers. TRUST packets are bounded by
 * sp_msg. SPEC lib/proto/msg.h.
 */
#ifndef SP_GATE_LINK_H
#define SP_GATE_LINK_H

#include "infra/ipc/conn.h"
#include "infra/loop/loop.h"

enum {
    SP_LINK_CALLS_MAX = 4096,
    SP_LINK_CALL_MS = 10000,
    SP_LINK_UNSENT_MAX_BYTES = 4 << 20 /* beyond that it cannot be sent */
};

/* err: what the reply's status says, or why there is none. msg and fds are valid in the call only;
 * NULL when there is no reply. */
typedef void (*sp_link_reply)(void *self, sp_err err, const sp_msg *msg, sp_fds *fds);

typedef struct {
    sp_link_reply on_reply; /* NULL = free, or not wanted any more */
    void *self;
    uint64_t due_us;
    uint32_t id; /* 0 = free */
    uint32_t next_free;
} sp_link_call_one;

typedef struct sp_link sp_link;
struct sp_link {
    const char *name; /* for the log */
    const char *path;
    void (*on_open)(sp_link *link);
    void (*on_push)(sp_link *link, const sp_msg *msg, sp_fds *fds); /* may be NULL */
    void (*on_closed)(sp_link *link);                               /* may be NULL */
    /* A reply that nobody waits for any more; may be NULL. */
    void (*on_stray)(sp_link *link, const sp_msg *msg);
    void *self;
    /* the link's own */
    sp_loop *loop;
    sp_watch watch;
    sp_timer retry;
    sp_timer late;
    uint64_t pause_us;
    bool told; /* the log knows that it is away */
    sp_buf packet;
    sp_buf out;
    sp_buf unsent; /* packets for which the kernel had no room, each after its length */
    sp_link_call_one *calls;
    uint32_t call_count;
    uint32_t free_call; /* index + 1 of the first free one, 0 = none */
    uint32_t waiting;
    uint32_t turn; /* makes ids differ */
};

void sp_link_start(sp_link *link, sp_loop *loop);
/* No reply comes any more. */
void sp_link_stop(sp_link *link);
bool sp_link_is_up(const sp_link *link);
/* The id of the call; 0 when it could not be sent, then there is no reply. */
uint32_t sp_link_call(sp_link *link, uint16_t kind, sp_span body, const int *fds, size_t fd_count,
                      sp_link_reply on_reply, void *self);
/* What is asked takes long by its nature: it has so much time from now. */
void sp_link_allow(sp_link *link, uint32_t id, uint64_t time_ms);
/* Who asked is gone: the reply is a stray one. */
void sp_link_forget(sp_link *link, uint32_t id);
/* The same without a reply: id 0 on the wire. False: it could not be sent. */
bool sp_link_tell(sp_link *link, uint16_t kind, sp_span body);
/* At start and end only: handles packets until done() or the time is over. */
void sp_link_wait(sp_link *link, bool (*done)(const void *self), const void *self,
                  unsigned timeout_ms);

#endif

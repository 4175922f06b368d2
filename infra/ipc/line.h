/* SPDX-License-Identifier: Apache-2.0
 * A line from one process to another of ours: requests with ids, replies later, on the loop.
 *
 * Story: the line connects, and again every 200 ms while it is broken. A call on a broken line
 * fails at once with SP_EAGAIN; calls that wait when it breaks fail with SP_ECLOSED, and those that
 * wait longer than 10 s with SP_ETIMEOUT (a process that hangs is as good as dead).
 *
 * OWNS its connection and waiting calls. PROCESS core, vault, ledger. TRUST replies are bounded by
 * lib/proto/msg.h. SPEC lib/proto/msg.h.
 */
#ifndef SP_IPC_LINE_H
#define SP_IPC_LINE_H

#include "lib/proto/msg.h"

#include <uv.h>

typedef struct sp_line sp_line;
/* body is valid during the call only and wiped after it. */
typedef void (*sp_line_reply)(void *self, sp_err err, sp_span body);

typedef struct {
    void (*on_up)(void *self);                                /* may be NULL */
    void (*on_push)(void *self, uint16_t kind, sp_span body); /* may be NULL */
    void *self;
} sp_line_calls;

enum { SP_LINE_WAITING_MAX = 4096 };

/* Tries to connect at once; a line that is down is not an error. */
SP_MUST sp_err sp_line_new(uv_loop_t *loop, const char *path, const sp_line_calls *calls,
                           sp_line **ret_line);
/* For good: what waits fails with SP_ECLOSED now, and what is called from here on with SP_EAGAIN. A
 * room that is about to stop calls it while those who wait are still there to be told. */
void sp_line_hang_up(sp_line *line);
void sp_line_free(sp_line *line);
bool sp_line_is_up(const sp_line *line);
/* on_reply is called exactly once, possibly before this returns. */
void sp_line_call(sp_line *line, uint16_t kind, sp_span body, sp_line_reply on_reply, void *self);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The queues as queue.c keeps them and status.c shows them, and how a job is written.
 * OWNS see each struct. PROCESS core. TRUST see queue.c. SPEC core/notices/README.md "Queue".
 */
#ifndef SP_CORE_NOTICES_QUEUE_H
#define SP_CORE_NOTICES_QUEUE_H

#include "core/notices/inside.h"

enum { QUEUE_CHANNELS_MAX = 64, QUEUE_MOVING_MAX = 200 };

typedef struct {
    char name[SP_NAME_MAX_BYTES + 1]; /* empty = free */
    size_t under_way;
    uint64_t tokens_us; /* each job costs cost_us of them */
    uint64_t cost_us;
    uint64_t filled_us; /* steady clock */
    uint64_t paused_us; /* steady clock: silent until then */
    uint64_t paused_unix_s;
    uint64_t handed; /* since core's start */
    uint64_t failed_unix_s;
    bool failing;
    char why[NOTICE_WHY_BYTES + 1];
} queue_channel;

/* A job under way: one delivery, or several as a digest under the number of the first. */
typedef struct {
    uint64_t ids[NOTICE_DIGEST_MAX];
    size_t count; /* 0 = free */
    queue_channel *channel;
    bool is_over;
    uint8_t outcome;
    uint32_t retry_after_s;
    char why[NOTICE_WHY_BYTES + 1];
} moving;

struct notice_queue {
    sp_core *core;
    sp_line *line;
    bool ready;  /* the courier has said what it knows */
    size_t over; /* results not yet kept */
    bool changed;
    unsigned quiet_ticks;
    unsigned ticks;  /* until channels that are gone are looked for */
    bool posting;    /* inside sp_notices_post */
    sp_err post_err; /* of the call in it, when that failed at once */
    queue_channel channels[QUEUE_CHANNELS_MAX];
    moving moving[QUEUE_MOVING_MAX];
};

/* The job for these deliveries; its spans live in the arena, the documents and *text. */
SP_MUST sp_err notice_compose(sp_core *core, const sp_policy_channel *doc, const delivery_row *rows,
                              size_t count, sp_arena *arena, notice_text *text,
                              sp_courier_job *ret_job);

/* ---- hook.c: posts of plans ---- */
/* What the courier says of one; acknowledge it afterwards. */
void notice_post_over(notice_queue *queue, const sp_courier_done *done);
/* After a break of the line: those that the courier does not know are lost. */
void notice_posts_known(notice_queue *queue, const sp_courier_jobs *known);

#endif

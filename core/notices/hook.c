/* SPDX-License-Identifier: Apache-2.0
 * Posts that are no notices: a plan calls a webhook. They go the courier's way, once, at once.
 * OWNS nothing. PROCESS core. TRUST results come from the courier, bounded.
 * SPEC core/notices/notices.h, lib/proto/courier_msg.h.
 */
#include "core/notices/queue.h"
#include "core/plans/plans.h"
#include "infra/proc/clock.h"

typedef struct {
    notice_queue *queue;
    uint64_t number;
} posting;

static void on_taken(void *self, sp_err err, sp_span body)
{
    posting *p = self;
    (void)body;
    if (p->queue->posting) {
        p->queue->post_err = err; /* the line was down: whoever posts hears of it */
    } else if (sp_failed(err) && err.code != SP_EEXISTS) {
        sp_plans_posted(p->queue->core, p->number, false,
                        err.code == SP_EINVALID ? SP_SPAN_LIT("the courier cannot read it")
                                                : SP_SPAN_LIT("the courier is away"));
    }
    sp_free(p);
}

sp_err sp_notices_post(sp_core *core, const sp_notice_post *post)
{
    notice_queue *q = core->notices->queue;
    sp_policy_channel doc;
    posting *p = NULL;
    TRY(sp_policy_set_channel(sp_documents_set(core->state->documents), post->channel, &doc));
    if (!notice_courier_is_up(q)) {
        return sp_fail(SP_EAGAIN);
    }
    const sp_courier_job job = {.job = post->number,
                                .when_unix_s = sp_now_unix_us() / 1000000,
                                .kind = doc.via,
                                .tls = doc.tls,
                                .has_token = doc.has_token,
                                .has_secret = doc.has_secret,
                                .timeout_s = post->timeout_s,
                                .channel = doc.name,
                                .address = doc.address,
                                .ca = doc.ca,
                                .message_id = post->id,
                                .title = post->title,
                                .text = post->text,
                                .data = post->data};
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_courier_job_write(&job, &body);
    TRY(sp_buf_error(&body));
    TRY(sp_alloc(1, sizeof(*p), &p));
    *p = (posting){q, post->number};
    q->posting = true;
    q->post_err = sp_ok();
    sp_line_call(q->line, SP_COURIER_JOB, sp_buf_borrow(&body), on_taken, p);
    q->posting = false;
    return q->post_err;
}

void notice_post_over(notice_queue *queue, const sp_courier_done *done)
{
    bool worked = done->outcome == SP_COURIER_HANDED;
    auto_buf sp_buf note = sp_buf_make(SP_COURIER_WHY_MAX_BYTES + 64);
    if (worked) {
        sp_buf_fmt(&note, "taken, HTTP %u", done->status);
    } else {
        sp_buf_span(&note, done->why);
    }
    sp_plans_posted(queue->core, done->job, worked, sp_buf_borrow(&note));
}

void notice_posts_known(notice_queue *queue, const sp_courier_jobs *known)
{
    sp_plans_posts_known(queue->core, known->jobs, known->count);
}

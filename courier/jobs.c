/* SPDX-License-Identifier: Apache-2.0
 * Jobs: taken from core, known by their numbers until core has their result.
 * OWNS them. PROCESS courier. TRUST core alone may ask; its bodies are bounded.
 * SPEC lib/proto/courier_msg.h.
 */
#include "courier/courier.h"

#include "infra/proc/log.h"

static courier_job *find(courier *c, uint64_t number)
{
    for (size_t i = 0; i < SP_COUNT(c->jobs); i++) {
        if (c->jobs[i].state != COURIER_FREE && c->jobs[i].job.job == number) {
            return &c->jobs[i];
        }
    }
    return NULL;
}

static courier_job *find_free(courier *c)
{
    for (size_t i = 0; i < SP_COUNT(c->jobs); i++) {
        if (c->jobs[i].state == COURIER_FREE) {
            return &c->jobs[i];
        }
    }
    return NULL;
}

static void forget(courier_job *job)
{
    sp_buf_done(&job->body);
    sp_buf_done(&job->why);
    sp_secret_wipe(&job->token);
    sp_secret_wipe(&job->secret);
    *job = (courier_job){.of = job->of};
}

/* ---- results ---- */

static void push(const courier *c, const courier_job *job)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    const sp_courier_done done = {.job = job->job.job,
                                  .outcome = job->outcome,
                                  .status = job->status,
                                  .retry_after_s = job->retry_after_s,
                                  .why = sp_buf_borrow(&job->why)};
    if (c->core != NULL) {
        sp_courier_done_write(&done, &body);
        sp_peer_push(c->core, SP_COURIER_DONE, sp_buf_borrow(&body), NULL, 0);
    }
}

void courier_job_over(courier_job *job)
{
    sp_secret_wipe(&job->token);
    sp_secret_wipe(&job->secret);
    job->state = COURIER_OVER;
    push(job->of, job);
}

static void fail(courier_job *job, sp_courier_outcome outcome, const char *why)
{
    job->outcome = (uint8_t)outcome;
    sp_buf_text(&job->why, why);
    courier_job_over(job);
}

void courier_job_ready(courier_job *job, sp_err err)
{
    if (err.code == SP_ENOTFOUND) {
        fail(job, SP_COURIER_FAILED,
             "the vault has no secret of this channel: sallyport notice credential");
        return;
    }
    if (sp_failed(err)) {
        fail(job, SP_COURIER_FAILED, "the vault is away");
        return;
    }
    job->state = COURIER_MOVING;
    if (sp_failed(courier_wires_send(job->of->wires, job))) {
        fail(job, SP_COURIER_REJECTED,
             "its address, token or text is not as this channel wants it");
    }
}

/* ---- messages ---- */

static sp_err take_job(courier *c, const sp_msg *msg, courier_job **ret_job)
{
    courier_job *job = find_free(c);
    if (job == NULL) {
        return sp_fail(SP_ELIMIT);
    }
    job->body = sp_buf_make(SP_MSG_MAX_BYTES);
    job->why = sp_buf_make(SP_COURIER_WHY_MAX_BYTES);
    sp_buf_span(&job->body, msg->body);
    sp_err err = sp_buf_error(&job->body);
    if (!sp_failed(err)) {
        err = sp_courier_job_read(sp_buf_borrow(&job->body), &job->job);
    }
    if (!sp_failed(err) && find(c, job->job.job) != NULL) {
        err = sp_fail(SP_EEXISTS);
    }
    if (sp_failed(err)) {
        forget(job);
        return err;
    }
    job->state = COURIER_ASKING;
    *ret_job = job;
    return sp_ok();
}

/* The reply is under way before the job begins, whose result may come at once. */
static void on_job(courier *c, sp_peer *peer, const sp_msg *msg)
{
    courier_job *job = NULL;
    sp_err err = take_job(c, msg, &job);
    sp_peer_reply(peer, msg, err.code, SP_SPAN_EMPTY, NULL, 0);
    if (!sp_failed(err)) {
        courier_secrets_ask(c->secrets, job);
    }
}

static sp_err on_ack(courier *c, sp_span body)
{
    sp_courier_jobs acked;
    TRY(sp_courier_jobs_read(body, &acked));
    for (size_t i = 0; i < acked.count; i++) {
        courier_job *job = find(c, acked.jobs[i]);
        if (job != NULL && job->state == COURIER_OVER) {
            forget(job);
        }
    }
    return sp_ok();
}

static void on_hello(courier *c, sp_peer *peer, const sp_msg *msg)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_courier_jobs known = {.count = 0};
    for (size_t i = 0; i < SP_COUNT(c->jobs); i++) {
        if (c->jobs[i].state != COURIER_FREE) {
            known.jobs[known.count++] = c->jobs[i].job.job;
        }
    }
    sp_courier_jobs_write(&known, &body);
    sp_peer_reply(peer, msg, SP_OK, sp_buf_borrow(&body), NULL, 0);
    for (size_t i = 0; i < SP_COUNT(c->jobs); i++) {
        if (c->jobs[i].state == COURIER_OVER) {
            push(c, &c->jobs[i]);
        }
    }
}

static void remember(courier *c, sp_peer *peer)
{
    if (c->core != peer) {
        if (c->core != NULL) {
            sp_peer_unref(c->core);
        }
        c->core = sp_peer_ref(peer);
    }
}

void courier_on_message(void *self, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    courier *c = self;
    (void)fds;
    if (!sp_config_uid_is(c->config, sp_peer_uid(peer), SP_ROLE_CORE)) {
        sp_log(SP_LOG_WARN, "courier.sock: dropped uid %u pid %d: kind %u",
               (unsigned)sp_peer_uid(peer), (int)sp_peer_pid(peer), msg->kind);
        sp_peer_drop(peer);
        return;
    }
    remember(c, peer);
    if (courier_sinks_on_message(c->sinks, peer, msg)) {
        return;
    }
    switch (msg->kind) {
    case SP_COURIER_JOB:
        on_job(c, peer, msg);
        break;
    case SP_COURIER_ACK:
        sp_peer_reply(peer, msg, on_ack(c, msg->body).code, SP_SPAN_EMPTY, NULL, 0);
        break;
    case SP_COURIER_HELLO:
        on_hello(c, peer, msg);
        break;
    default:
        sp_peer_drop(peer);
        break;
    }
}

void courier_on_gone(void *self, sp_peer *peer)
{
    courier *c = self;
    if (c->core == peer) {
        sp_peer_unref(c->core);
        c->core = NULL;
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * Jobs: taken from core, ended by themselves, by time or by core's word, told.
 * OWNS them. PROCESS runner. TRUST core alone may ask; its bodies are bounded.
 * SPEC lib/proto/runner_msg.h.
 */
#include "infra/proc/clock.h"
#include "infra/proc/log.h"
#include "lib/base/reader.h"
#include "runner/runner.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static runner_job *find(runner *r, uint64_t number)
{
    for (size_t i = 0; i < SP_COUNT(r->jobs); i++) {
        if (r->jobs[i].used && r->jobs[i].number == number) {
            return &r->jobs[i];
        }
    }
    return NULL;
}

static runner_job *find_free(runner *r)
{
    for (size_t i = 0; i < SP_COUNT(r->jobs); i++) {
        if (!r->jobs[i].used) {
            return &r->jobs[i];
        }
    }
    return NULL;
}

/* ---- results ---- */

static void push(sp_peer *peer, const sp_runner_done *done)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_runner_done_write(done, &body);
    sp_peer_push(peer, SP_RUNNER_DONE, sp_buf_borrow(&body), NULL, 0);
}

static void tell(const runner_job *job)
{
    bool exited = WIFEXITED(job->wait_status);
    uint64_t took_ms = (sp_now_steady_us() - job->began_us) / 1000;
    const sp_runner_done done = {
        .job = job->number,
        .outcome = job->late ? SP_RUNNER_LATE
                   : exited  ? SP_RUNNER_EXITED
                             : SP_RUNNER_SIGNALED,
        .status = (uint8_t)(exited ? WEXITSTATUS(job->wait_status) : WTERMSIG(job->wait_status)),
        .duration_ms = took_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)took_ms,
        .output_bytes = job->output_bytes,
        .output = sp_buf_borrow(&job->output)};
    push(job->peer, &done);
}

static void on_closed(uv_handle_t *handle)
{
    runner_job *job = handle->data;
    if (--job->open_handles == 0) {
        sp_peer_unref(job->peer);
        sp_buf_done(&job->output);
        *job = (runner_job){.of = job->of};
    }
}

/* The program is gone, and so is everything that could still speak. */
static void finish_when_over(runner_job *job)
{
    if (job->ended && job->silent && !uv_is_closing((uv_handle_t *)&job->timer)) {
        tell(job);
        uv_close((uv_handle_t *)&job->timer, on_closed);
        uv_close((uv_handle_t *)&job->pipe, on_closed);
    }
}

/* ---- what a program says ---- */

static void give_room(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_room)
{
    static char room[16 * 1024]; /* one thread */
    (void)handle;
    (void)suggested;
    *ret_room = uv_buf_init(room, sizeof(room));
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *room)
{
    runner_job *job = stream->data;
    if (len > 0) {
        size_t fits = SP_RUNNER_OUTPUT_MAX_BYTES - job->output.len;
        sp_span said = sp_span_of(room->base, (size_t)len);
        job->output_bytes += said.len;
        sp_buf_span(&job->output, sp_span_slice(said, 0, said.len < fits ? said.len : fits));
    } else if (len < 0) {
        uv_read_stop(stream);
        job->silent = true;
        finish_when_over(job);
    }
}

/* ---- ends ---- */

static void kill_job(runner_job *job)
{
    if (!job->ended) {
        job->late = true;
        kill(-job->pid, SIGKILL);
    }
}

static void on_timer(uv_timer_t *timer)
{
    kill_job(timer->data);
}

static void ended(runner_job *job, int wait_status)
{
    job->ended = true;
    job->wait_status = wait_status;
    kill(-job->pid, SIGKILL); /* what it left behind */
    uv_timer_stop(&job->timer);
    finish_when_over(job);
}

void runner_reap(runner *r)
{
    int wait_status = 0;
    for (pid_t pid; (pid = waitpid(-1, &wait_status, WNOHANG)) > 0;) {
        for (size_t i = 0; i < SP_COUNT(r->jobs); i++) {
            if (r->jobs[i].used && !r->jobs[i].ended && r->jobs[i].pid == pid) {
                ended(&r->jobs[i], wait_status);
            }
        }
    }
}

void runner_kill_all(runner *r)
{
    for (size_t i = 0; i < SP_COUNT(r->jobs); i++) {
        if (r->jobs[i].used) {
            kill_job(&r->jobs[i]);
        }
    }
}

/* ---- messages ---- */

static sp_err begin(runner_job *job, const sp_runner_job *what, sp_peer *peer, sp_buf *why)
{
    runner *r = job->of;
    int out = -1;
    TRY(runner_child_start(r, what, &job->pid, &out, why));
    job->used = true;
    job->number = what->job;
    job->began_us = sp_now_steady_us();
    job->peer = sp_peer_ref(peer);
    job->output = sp_buf_make(SP_RUNNER_OUTPUT_MAX_BYTES);
    job->timer.data = job;
    job->pipe.data = job;
    job->open_handles = 2;
    bool good =
        uv_timer_init(&r->loop, &job->timer) == 0 && uv_pipe_init(&r->loop, &job->pipe, 0) == 0;
    good = good && uv_pipe_open(&job->pipe, out) == 0 &&
           uv_read_start((uv_stream_t *)&job->pipe, give_room, on_read) == 0 &&
           uv_timer_start(&job->timer, on_timer, (uint64_t)what->timeout_s * 1000, 0) == 0;
    if (!good) {
        kill_job(job);
        job->silent = true;
    }
    return sp_ok();
}

/* The reply is under way before the result, which may come at once. */
static void on_job(runner *r, sp_peer *peer, const sp_msg *msg)
{
    sp_runner_job what;
    auto_buf sp_buf why = sp_buf_make(SP_RUNNER_WHY_MAX_BYTES);
    runner_job *job = find_free(r);
    sp_err err = sp_runner_job_read(msg->body, &what);
    if (!sp_failed(err) && job == NULL) {
        err = sp_fail(SP_ELIMIT);
    }
    if (!sp_failed(err) && find(r, what.job) != NULL) {
        err = sp_fail(SP_EEXISTS);
    }
    sp_peer_reply(peer, msg, err.code, SP_SPAN_EMPTY, NULL, 0);
    if (sp_failed(err)) {
        return;
    }
    job->of = r;
    err = begin(job, &what, peer, &why);
    if (sp_failed(err)) {
        bool told = why.len > 0 && !sp_failed(sp_buf_error(&why));
        sp_span said = told ? sp_buf_borrow(&why) : sp_span_cstr(sp_code_word(err.code));
        sp_log(SP_LOG_WARN, "a command was not started: %.*s", SP_SPAN_ARG(said));
        push(peer, &(sp_runner_done){.job = what.job, .outcome = SP_RUNNER_REFUSED, .why = said});
    }
}

static sp_err on_stop(runner *r, sp_span body)
{
    sp_reader in = sp_reader_of(body);
    uint64_t number = sp_read_u64(&in);
    TRY(sp_reader_finish(&in));
    runner_job *job = find(r, number);
    if (job == NULL) {
        return sp_fail(SP_ENOTFOUND);
    }
    kill_job(job);
    return sp_ok();
}

void runner_on_message(void *self, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    runner *r = self;
    (void)fds;
    bool is_core = sp_config_uid_is(r->config, sp_peer_uid(peer), SP_ROLE_CORE);
    if (is_core && msg->kind == SP_RUNNER_JOB) {
        on_job(r, peer, msg);
    } else if (is_core && msg->kind == SP_RUNNER_STOP) {
        sp_peer_reply(peer, msg, on_stop(r, msg->body).code, SP_SPAN_EMPTY, NULL, 0);
    } else {
        sp_log(SP_LOG_WARN, "runner.sock: dropped uid %u pid %d: kind %u",
               (unsigned)sp_peer_uid(peer), (int)sp_peer_pid(peer), msg->kind);
        sp_peer_drop(peer);
    }
}

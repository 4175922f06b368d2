/* SPDX-License-Identifier: Apache-2.0
 * The role keeper: its socket, the queue of jobs, the cage.
 * OWNS the loop, jobs. PROCESS keeper. TRUST core alone may ask; its bodies are bounded.
 * SPEC keeper/README.md, infra/proc/entry.h.
 */
#include "infra/crypto/random.h"
#include "infra/ipc/server.h"
#include "infra/proc/clock.h"
#include "infra/proc/entry.h"
#include "infra/proc/file.h"
#include "infra/proc/log.h"
#include "infra/proc/sandbox.h"
#include "infra/proc/slow_clock.h"
#include "keeper/keeper.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    WATCHDOG_MS = 5000,
    PEERS_MAX = 8,
    JOBS_MAX = 16,
    OUTCOMES_MAX = 32, /* of undo; core waits for no more than it has jobs */
    FILES_MAX = 1024,
    DAY_S = 24 * 3600,
    REPORT_MAX_BYTES = SP_KEEPER_REPORT_MAX_BYTES,
    RATE_DEFAULT = 20 << 20,
    RATE_LEAST = 8 << 20 /* bytes: less says nothing about the rate */
};
static const char POOL_THREADS[] = "16"; /* JOBS_MAX */
static const char PROGRAMS[] = "/usr/lib/postgresql";

typedef struct queued queued;

/* What became of an undo: whoever asked for it may not be there any more. */
typedef struct {
    uint64_t keep; /* 0 = none */
    uint64_t ask;
    sp_keeper_done done;
    sp_buf report;
    sp_buf why;
} outcome;

typedef struct {
    uv_loop_t loop;
    uv_signal_t term;
    uv_timer_t watchdog;
    const sp_config *config;
    sp_server *server;
    char store_dir[KEEP_PATH_BYTES];
    char programs[KEEP_PATH_BYTES];
    size_t jobs;
    queued *running[JOBS_MAX]; /* NULL = free */
    outcome outcomes[OUTCOMES_MAX];
    size_t next_outcome; /* the oldest gives way */
    uint64_t rate;
    char *clock_path;
    sp_slow_clock clock; /* of what cannot be taken back */
} keeper;

struct queued {
    uv_work_t work;
    keeper *keeper;
    size_t place;     /* in running */
    sp_peer *peer;    /* who hears of it */
    uint64_t told_as; /* the job's number there */
    keep_job job;
};

/* ---- a job ---- */

static sp_err carry_out(keep_job *job)
{
    switch ((sp_keeper_job_kind)job->job.kind) {
    case SP_KEEPER_KEEP:
        return keep_run_keep(job);
    case SP_KEEPER_ESTIMATE:
        return keep_run_estimate(job);
    case SP_KEEPER_UNDO:
        return keep_run_undo(job, false);
    case SP_KEEPER_TRY_UNDO:
        return keep_run_undo(job, true);
    case SP_KEEPER_BESIDE:
        return keep_run_beside(job, false);
    case SP_KEEPER_TRY_BESIDE:
        return keep_run_beside(job, true);
    case SP_KEEPER_FORGET:
    case SP_KEEPER_HEAR: /* is no job of its own */
    case SP_KEEPER_JOB_COUNT:
        break;
    }
    return keep_file_remove(job->store_dir, job->job.keep);
}

static void on_work(uv_work_t *work)
{
    keep_job *job = &((queued *)work->data)->job;
    uint64_t began_us = sp_now_steady_us();
    bool alone = job->job.kind == SP_KEEPER_FORGET;
    job->err = alone ? sp_ok() : keep_prepare(job);
    if (!sp_failed(job->err)) {
        job->err = carry_out(job);
    }
    keep_clean(job);
    if (sp_failed(job->err) && keep_work_is_given_up(&job->work)) {
        sp_buf_reset(&job->why);
        sp_buf_text(&job->why, "nothing has moved for hours: given up");
        job->err = sp_fail(SP_EIO);
    }
    if (job->duration_ms == 0 || job->job.kind != SP_KEEPER_ESTIMATE) {
        job->duration_ms = (sp_now_steady_us() - began_us) / 1000;
    }
}

/* Who waits hears SP_ECLOSED only of an undo that may have committed. */
static uint8_t code_of(const keep_job *job)
{
    if (job->end_unknown && sp_failed(job->err)) {
        return SP_ECLOSED;
    }
    return job->err.code == SP_ECLOSED ? SP_EIO : (uint8_t)job->err.code;
}

static void free_queued(queued *q)
{
    q->keeper->jobs--;
    q->keeper->running[q->place] = NULL;
    sp_peer_unref(q->peer);
    sp_buf_done(&q->job.body);
    sp_buf_done(&q->job.report);
    sp_buf_done(&q->job.why);
    sp_free(q);
}

static sp_span told(const sp_buf *words)
{
    return sp_failed(sp_buf_error(words)) ? SP_SPAN_EMPTY : sp_buf_borrow(words);
}

static void push_done(sp_peer *peer, const sp_keeper_done *done)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_keeper_done_write(done, &body);
    sp_peer_push(peer, SP_KEEPER_DONE, sp_buf_borrow(&body), NULL, 0);
}

static outcome *outcome_of(keeper *self, uint64_t keep)
{
    for (size_t i = 0; keep != 0 && i < OUTCOMES_MAX; i++) {
        if (self->outcomes[i].keep == keep) {
            return &self->outcomes[i];
        }
    }
    return NULL;
}

static void drop_outcome(outcome *old)
{
    if (old != NULL) {
        sp_buf_done(&old->report);
        sp_buf_done(&old->why);
        *old = (outcome){.keep = 0};
    }
}

/* Takes the job's words. */
static void put_outcome(keeper *self, keep_job *job, const sp_keeper_done *done)
{
    outcome *one = &self->outcomes[self->next_outcome++ % OUTCOMES_MAX];
    drop_outcome(one);
    *one = (outcome){job->job.keep, job->job.ask, *done, job->report, job->why};
    job->report = sp_buf_make(0);
    job->why = sp_buf_make(0);
}

static void on_finished(uv_work_t *work, int status)
{
    queued *q = work->data;
    keep_job *job = &q->job;
    (void)status;
    if (job->job.kind == SP_KEEPER_KEEP && !sp_failed(job->err) && job->plain_bytes > RATE_LEAST) {
        q->keeper->rate = job->plain_bytes * 1000 / (job->duration_ms + 1) + 1;
    }
    if (sp_failed(job->err)) {
        sp_log(SP_LOG_WARN, "job %llu (kind %u) failed: %s: %.*s", (unsigned long long)job->job.job,
               job->job.kind, sp_code_word(job->err.code), SP_SPAN_ARG(told(&job->why)));
    }
    const sp_keeper_done done = {.job = q->told_as,
                                 .code = code_of(job),
                                 .bytes = job->bytes,
                                 .duration_ms = job->duration_ms,
                                 .report = told(&job->report),
                                 .why = told(&job->why)};
    push_done(q->peer, &done);
    if (sp_keeper_job_lasts(job->job.kind)) {
        put_outcome(q->keeper, job, &done);
    }
    free_queued(q);
}

static queued *running_undo(const keeper *self, uint64_t keep)
{
    for (size_t i = 0; i < JOBS_MAX; i++) {
        queued *q = self->running[i];
        if (q != NULL && sp_keeper_job_lasts(q->job.job.kind) && q->job.job.keep == keep) {
            return q;
        }
    }
    return NULL;
}

static void reply(sp_peer *peer, const sp_msg *msg, sp_err err)
{
    sp_peer_reply(peer, msg, err.code, SP_SPAN_EMPTY, NULL, 0);
}

/* Core's line was broken, or core is another: this one hears what becomes of an undo. */
static void hear(keeper *self, sp_peer *peer, const sp_msg *msg, const sp_keeper_job *job)
{
    queued *q = running_undo(self, job->keep);
    const outcome *ended = outcome_of(self, job->keep);
    q = q != NULL && q->job.job.ask == job->ask ? q : NULL; /* what became of another is not his */
    ended = ended != NULL && ended->ask == job->ask ? ended : NULL;
    reply(peer, msg, q != NULL || ended != NULL ? sp_ok() : sp_fail(SP_ENOTFOUND));
    if (q != NULL) {
        sp_peer_unref(q->peer);
        q->peer = sp_peer_ref(peer);
        q->told_as = job->job;
    } else if (ended != NULL) {
        sp_keeper_done done = ended->done;
        done.job = job->job;
        done.report = told(&ended->report);
        done.why = told(&ended->why);
        push_done(peer, &done);
    }
}

static sp_err take_job(keeper *self, sp_peer *peer, const sp_msg *msg)
{
    queued *q = NULL;
    if (self->jobs >= JOBS_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    TRY(sp_alloc(1, sizeof(*q), &q));
    q->keeper = self;
    while (self->running[q->place] != NULL) { /* fewer than JOBS_MAX are taken */
        q->place++;
    }
    q->peer = sp_peer_ref(peer);
    q->work.data = q;
    q->job = (keep_job){.config = self->config,
                        .programs = self->programs,
                        .store_dir = self->store_dir,
                        .rate = self->rate,
                        .body = sp_buf_make(SP_MSG_MAX_BYTES),
                        .report = sp_buf_make(REPORT_MAX_BYTES),
                        .why = sp_buf_make(SP_KEEPER_WHY_MAX_BYTES)};
    keep_work_begin(&q->job.work);
    self->running[q->place] = q;
    self->jobs++;
    sp_buf_span(&q->job.body, msg->body);
    sp_err err = sp_buf_error(&q->job.body);
    if (!sp_failed(err)) {
        err = sp_keeper_job_read(sp_buf_borrow(&q->job.body), &q->job.job);
    }
    q->told_as = q->job.job.job;
    if (!sp_failed(err) && sp_keeper_job_lasts(q->job.job.kind)) {
        drop_outcome(outcome_of(self, q->job.job.keep));
    }
    if (!sp_failed(err) && uv_queue_work(&self->loop, &q->work, on_work, on_finished) != 0) {
        err = sp_fail(SP_ENOMEM);
    }
    if (sp_failed(err)) {
        free_queued(q);
    }
    return err;
}

static void take(keeper *self, sp_peer *peer, const sp_msg *msg)
{
    sp_keeper_job job;
    sp_err err = sp_keeper_job_read(msg->body, &job);
    const queued *under_way =
        !sp_failed(err) && sp_keeper_job_lasts(job.kind) ? running_undo(self, job.keep) : NULL;
    if (sp_failed(err)) {
        reply(peer, msg, err);
    } else if (job.kind == SP_KEEPER_HEAR) {
        hear(self, peer, msg, &job);
    } else if (under_way != NULL) {
        bool same = under_way->job.job.ask == job.ask;
        reply(peer, msg, sp_fail(same ? SP_EEXISTS : SP_EAGAIN));
    } else {
        reply(peer, msg, take_job(self, peer, msg));
    }
}

static void on_message(void *self, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    keeper *k = self;
    (void)fds;
    if (!sp_config_uid_is(k->config, sp_peer_uid(peer), SP_ROLE_CORE) ||
        msg->kind != SP_KEEPER_JOB) {
        sp_log(SP_LOG_WARN, "keeper.sock: dropped uid %u pid %d: kind %u",
               (unsigned)sp_peer_uid(peer), (int)sp_peer_pid(peer), msg->kind);
        sp_peer_drop(peer);
        return;
    }
    take(k, peer, msg);
}

/* ---- start ---- */

/* The newest PostgreSQL whose programs are here: pg_dump dumps servers up to its own version. */
static sp_err find_programs(keeper *self, sp_buf *why)
{
    unsigned newest = 0;
    DIR *dir = opendir(PROGRAMS);
    for (const struct dirent *entry = dir == NULL ? NULL : readdir(dir); entry != NULL;
         entry = readdir(dir)) {
        uint64_t version = 0;
        char path[KEEP_PATH_BYTES];
        if (sp_failed(sp_span_to_u64(sp_span_cstr(entry->d_name), 1000, &version)) ||
            version < newest) {
            continue;
        }
        snprintf(path, sizeof(path), "%s/%u/bin/pg_dump", PROGRAMS, (unsigned)version);
        if (access(path, X_OK) == 0) {
            newest = (unsigned)version;
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    if (newest == 0) {
        sp_buf_fmt(why, "there is no pg_dump below %s: install postgresql-client", PROGRAMS);
        return sp_fail(SP_ENOTFOUND);
    }
    snprintf(self->programs, sizeof(self->programs), "%s/%u/bin", PROGRAMS, newest);
    return sp_ok();
}

static bool is_left_over(const char *name)
{
    sp_span text = sp_span_cstr(name);
    return sp_span_starts(text, SP_SPAN_LIT("job-")) || sp_span_ends(text, SP_SPAN_LIT(".part"));
}

/* What a keeper that died left behind: unfinished files and directories of jobs. */
static void sweep(const char *dir_path, bool inner)
{
    DIR *dir = opendir(dir_path);
    for (const struct dirent *entry = dir == NULL ? NULL : readdir(dir); entry != NULL;
         entry = readdir(dir)) {
        char path[2 * KEEP_PATH_BYTES];
        if (entry->d_name[0] == '.' || (!inner && !is_left_over(entry->d_name))) {
            continue;
        }
        snprintf(path, sizeof(path), "%s/%s", dir_path, entry->d_name);
        if (unlink(path) != 0 && !inner) {
            sweep(path, true);
            rmdir(path);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
}

/* A day later than core forgets them, by a clock that believes no jump. */
static void expire(keeper *self)
{
    uint64_t kept_s = ((uint64_t)self->config->keep_days + 1) * DAY_S;
    if (sp_slow_clock_tick(&self->clock, sp_now_unix_us(), sp_now_steady_us())) {
        sp_log(SP_LOG_ERROR, "the clock is more than a day ahead: keeps do not end by it until it "
                             "has been so for a day");
    }
    uint64_t now_s = self->clock.unix_us / 1000000;
    keep_files_expire(self->store_dir, now_s > kept_s ? now_s - kept_s : 0);
}

static sp_err start_clock(keeper *self, sp_buf *why)
{
    TRY(sp_config_state(self->config, SP_ROLE_KEEPER, "clock", &self->clock_path));
    sp_err err =
        sp_slow_clock_open(&self->clock, self->clock_path, sp_now_unix_us(), sp_now_steady_us());
    if (sp_failed(err)) {
        sp_buf_fmt(why, "%s does not hold two times: remove it if the clock is right",
                   self->clock_path);
    }
    return err;
}

static sp_err make_places(keeper *self, sp_buf *why)
{
    auto_free char *state = NULL;
    auto_free char *store = NULL;
    TRY(sp_config_state(self->config, SP_ROLE_KEEPER, "", &state));
    TRY(sp_config_state(self->config, SP_ROLE_KEEPER, "keeps", &store));
    TRY(sp_fit(self->store_dir, sizeof(self->store_dir), sp_span_cstr(store)));
    TRY(sp_dir_make(store, 0700));
    sweep(state, false);
    sweep(store, false);
    TRY(start_clock(self, why));
    expire(self);
    return sp_ok();
}

static sp_err lock_in(const keeper *self, sp_buf *why)
{
    auto_free char *dir = NULL;
    TRY(sp_config_state(self->config, SP_ROLE_KEEPER, "", &dir));
    const sp_sandbox cage = {.role = "keeper",
                             .may = SP_MAY_FILES | SP_MAY_THREADS | SP_MAY_SPAWN | SP_MAY_CONNECT,
                             .read = {self->config->run_dir, "?/etc/sallyport"},
                             .write = {dir},
                             .execute = {PROGRAMS},
                             .files_max = FILES_MAX};
    return sp_sandbox_enter(&cage, why);
}

static void on_term(uv_signal_t *signal, int number)
{
    (void)number;
    uv_stop(signal->loop);
}

static void give_up_stuck(const keeper *self)
{
    uint64_t now_us = sp_now_steady_us();
    for (size_t i = 0; i < JOBS_MAX; i++) {
        if (self->running[i] == NULL) {
            continue;
        }
        keep_job *job = &self->running[i]->job;
        bool undoes = sp_keeper_job_lasts(job->job.kind) || sp_keeper_job_tries(job->job.kind);
        uint64_t still_us = undoes ? KEEP_STILL_UNDO_US : KEEP_STILL_US;
        keep_work_state state = keep_work_look(&job->work, still_us, now_us);
        if (state == KEEP_WORK_GIVEN_UP) {
            sp_log(SP_LOG_ERROR, "job %llu (kind %u) has not moved for hours: given up",
                   (unsigned long long)job->job.job, job->job.kind);
        } else if (state == KEEP_WORK_HANGS) {
            sp_log(SP_LOG_ERROR, "a job that was given up does not end: the keeper starts anew");
            exit(EXIT_FAILURE);
        }
    }
}

static void on_watchdog(uv_timer_t *timer)
{
    give_up_stuck(timer->data);
    sp_entry_notify("WATCHDOG=1");
    expire(timer->data);
}

static sp_err serve(keeper *self, sp_buf *why)
{
    int fd = sp_entry_listen_fd("keeper");
    const sp_server_calls calls = {on_message, NULL, self};
    if (fd < 0) {
        sp_buf_text(why, "no socket named 'keeper' was handed over: start it by sallyport run");
        return sp_fail(SP_EINVALID);
    }
    uv_signal_init(&self->loop, &self->term);
    uv_timer_init(&self->loop, &self->watchdog);
    self->watchdog.data = self;
    uv_signal_start(&self->term, on_term, SIGTERM);
    uv_timer_start(&self->watchdog, on_watchdog, WATCHDOG_MS, WATCHDOG_MS);
    return sp_server_new(&self->loop, fd, PEERS_MAX, &calls, &self->server);
}

static sp_err start(keeper *self, sp_buf *why)
{
    setenv("UV_THREADPOOL_SIZE", POOL_THREADS, 1); /* a thread a job: one slow server is no queue */
    signal(SIGPIPE, SIG_IGN); /* a program of ours that ended early is an error of write() */
    TRY(sp_crypto_start());
    TRY(find_programs(self, why));
    TRY(make_places(self, why));
    TRY(lock_in(self, why));
    if (uv_loop_init(&self->loop) != 0) {
        return sp_fail(SP_EIO);
    }
    return serve(self, why);
}

int sp_keeper_role(const sp_config *config)
{
    static keeper self;
    auto_buf sp_buf why = sp_buf_make(SP_SANDBOX_TEXT_BYTES);
    sp_log_start("keeper", SP_LOG_INFO);
    self.config = config;
    self.rate = RATE_DEFAULT;
    sp_err err = start(&self, &why);
    if (sp_failed(err)) {
        sp_log(SP_LOG_ERROR, "keeper cannot start: %s: %.*s", sp_code_word(err.code),
               SP_SPAN_ARG(sp_buf_borrow(&why)));
        return EXIT_FAILURE;
    }
    sp_log(SP_LOG_INFO, "keeper serves, with the programs of %s", self.programs);
    sp_entry_notify("READY=1");
    uv_run(&self.loop, UV_RUN_DEFAULT);
    /* jobs that run are cut: the kernel ends their programs' pipes, the next start sweeps */
    sp_server_free(self.server);
    return EXIT_SUCCESS;
}

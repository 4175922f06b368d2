/* SPDX-License-Identifier: Apache-2.0
 * Jobs of the keeper that wait.
 * OWNS them. PROCESS core. TRUST a job's number that is not waiting is ignored.
 * SPEC core/approvals/keeper_client.h.
 */
#include "core/approvals/keeper_client.h"

#include "infra/ipc/line.h"
#include "infra/proc/clock.h"

/* The keeper gives up by itself what does not move (keeper/work.h). Undo takes many times as long
 * as the keep did. */
#define WAIT_US ((uint64_t)3600 * 1000 * 1000)
#define WAIT_FOR_UNDO_US (24 * WAIT_US)

typedef struct waiting {
    struct waiting *next;
    uint64_t job;
    uint64_t keep;
    uint64_t ask;
    uint64_t until_us; /* 0: it was told that this is late */
    bool is_undo;    /* or rows beside, which may have been done: what became of it is asked for */
    bool is_unasked; /* as soon as there is a keeper */
    sp_on_job_done on_done;
    void *self;
} waiting;

/* What the line holds: who waits may be gone before the keeper has answered. */
typedef struct {
    sp_keeper_client *client;
    uint64_t job;
} sent;

struct sp_keeper_client {
    sp_line *line;
    waiting *first;
    uint64_t next_job;
};

static waiting *find(const sp_keeper_client *client, uint64_t job)
{
    waiting *at = client->first;
    while (at != NULL && at->job != job) {
        at = at->next;
    }
    return at;
}

static waiting *take(sp_keeper_client *client, uint64_t job)
{
    waiting *found = find(client, job);
    for (waiting **at = &client->first; found != NULL && *at != NULL; at = &(*at)->next) {
        if (*at == found) {
            *at = found->next;
            break;
        }
    }
    return found;
}

static void finish(waiting *wait, const sp_keeper_done *done)
{
    wait->on_done(wait->self, done);
    sp_free(wait);
}

static void fail(sp_keeper_client *client, uint64_t job, sp_code code, const char *why)
{
    waiting *wait = take(client, job);
    const sp_keeper_done done = {.job = job, .code = (uint8_t)code, .why = sp_span_cstr(why)};
    if (wait != NULL) {
        finish(wait, &done);
    }
}

static void on_push(void *self, uint16_t kind, sp_span body)
{
    sp_keeper_client *client = self;
    sp_keeper_done done;
    if (kind != SP_KEEPER_DONE || sp_failed(sp_keeper_done_read(body, &done))) {
        return;
    }
    waiting *wait = take(client, done.job);
    bool is_cores_word =
        done.code == SP_ETIMEOUT || done.code == SP_EAGAIN || done.code == SP_ELIMIT;
    done.code = is_cores_word ? SP_EIO : done.code;
    if (wait != NULL) {
        finish(wait, &done);
    }
}

static void on_taken(void *self, sp_err err, sp_span body)
{
    sent *s = self;
    waiting *wait = find(s->client, s->job);
    bool may_run = err.code == SP_ECLOSED || err.code == SP_ETIMEOUT || err.code == SP_EEXISTS;
    (void)body;
    if (wait != NULL && wait->is_undo && may_run) {
        wait->is_unasked = true;
    } else if (sp_failed(err)) {
        fail(s->client, s->job, err.code,
             err.code == SP_ELIMIT ? "the keeper has too many jobs" : "the keeper is away");
    }
    sp_free(s);
}

static void on_heard(void *self, sp_err err, sp_span body)
{
    sent *s = self;
    waiting *wait = find(s->client, s->job);
    (void)body;
    if (err.code == SP_ENOTFOUND) {
        fail(s->client, s->job, SP_ECLOSED, "the keeper was started again meanwhile");
    } else if (sp_failed(err) && wait != NULL) {
        wait->is_unasked = true;
    }
    sp_free(s);
}

static sp_err put_job(sp_keeper_client *client, const sp_keeper_job *job, sp_line_reply on_reply)
{
    sent *s = NULL;
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_keeper_job_write(job, &body);
    TRY(sp_buf_error(&body));
    TRY(sp_alloc(1, sizeof(*s), &s));
    *s = (sent){client, job->job};
    sp_line_call(client->line, SP_KEEPER_JOB, sp_buf_borrow(&body), on_reply, s);
    return sp_ok();
}

/* Each once; who cannot be asked now is asked with the next tick. */
static void ask_again(sp_keeper_client *client)
{
    waiting *next = NULL;
    for (waiting *at = client->first; at != NULL; at = next) {
        next = at->next;
        if (at->is_unasked) {
            const sp_keeper_job job = {
                .kind = SP_KEEPER_HEAR, .job = at->job, .keep = at->keep, .ask = at->ask};
            at->is_unasked = false;
            if (sp_failed(put_job(client, &job, on_heard))) { /* no memory: it is still there */
                at->is_unasked = true;
            }
        }
    }
}

/* Those that are lost when the keeper is: what it has of an undo, it tells again. */
static void fail_lost(sp_keeper_client *client)
{
    uint64_t newest = client->next_job; /* who is told may ask for more */
    for (waiting *at = client->first; at != NULL;) {
        uint64_t job = at->job;
        bool is_lost = !at->is_undo && job <= newest;
        at->is_unasked = at->is_undo;
        at = at->next;
        if (is_lost) {
            fail(client, job, SP_ECLOSED, "the keeper was started again meanwhile");
            at = client->first;
        }
    }
}

static void on_up(void *self)
{
    fail_lost(self);
    ask_again(self);
}

bool sp_keeper_client_is_up(const sp_keeper_client *client)
{
    return client != NULL && sp_line_is_up(client->line);
}

static bool is_undo(const sp_keeper_job *job)
{
    return sp_keeper_job_lasts(job->kind) || job->kind == SP_KEEPER_HEAR;
}

void sp_keeper_client_job(sp_keeper_client *client, sp_keeper_job *job, sp_on_job_done on_done,
                          void *self)
{
    waiting *wait = NULL;
    sp_err err = client == NULL ? sp_fail(SP_EAGAIN) : sp_alloc(1, sizeof(*wait), &wait);
    if (!sp_failed(err)) {
        bool about_undo = is_undo(job) || sp_keeper_job_tries(job->kind);
        job->job = ++client->next_job;
        *wait =
            (waiting){.next = client->first,
                      .job = job->job,
                      .keep = job->keep,
                      .ask = job->ask,
                      .until_us = sp_now_steady_us() + (about_undo ? WAIT_FOR_UNDO_US : WAIT_US),
                      .is_undo = is_undo(job),
                      .on_done = on_done,
                      .self = self};
        client->first = wait;
        err = put_job(client, job, job->kind == SP_KEEPER_HEAR ? on_heard : on_taken);
        wait = sp_failed(err) ? take(client, job->job) : NULL;
    }
    if (sp_failed(err)) {
        const sp_keeper_done done = {.code = (uint8_t)err.code,
                                     .why =
                                         SP_SPAN_LIT("this office has no keeper, or it is away")};
        sp_free(wait);
        on_done(self, &done);
    }
}

/* What it does to the database cannot be called back: who waits hears that it is late, and what
 * became of it in the end. */
static void tell_late(waiting *wait)
{
    const sp_keeper_done done = {
        .job = wait->job,
        .code = SP_ETIMEOUT,
        .why = SP_SPAN_LIT("the keeper has not finished in a day: it may still be put back, and "
                           "that is written here then")};
    wait->until_us = 0;
    wait->on_done(wait->self, &done);
}

void sp_keeper_client_tick(sp_keeper_client *client, uint64_t now_steady_us)
{
    waiting *late = NULL;
    ask_again(client);
    do {
        late = NULL;
        for (waiting *at = client->first; at != NULL && late == NULL; at = at->next) {
            late = at->until_us != 0 && at->until_us <= now_steady_us ? at : NULL;
        }
        if (late != NULL && late->is_undo) {
            tell_late(late);
        } else if (late != NULL) {
            fail(client, late->job, SP_ETIMEOUT, "the keeper did not finish in time");
        }
    } while (late != NULL);
}

sp_err sp_keeper_client_new(sp_core *core, sp_keeper_client **ret_client)
{
    auto_free sp_keeper_client *client = NULL;
    auto_free char *path = NULL;
    TRY(sp_alloc(1, sizeof(*client), &client));
    TRY(sp_config_socket(core->config, "keeper", &path));
    sp_line_calls calls = {.on_up = on_up, .on_push = on_push, .self = client};
    TRY(sp_line_new(core->loop, path, &calls, &client->line));
    *ret_client = SP_STEAL(client);
    return sp_ok();
}

void sp_keeper_client_free(sp_keeper_client *client)
{
    if (client == NULL) {
        return;
    }
    sp_line_hang_up(client->line); /* what is not taken yet is told to who waits */
    fail_lost(client);
    while (client->first != NULL) {
        waiting *wait = take(client, client->first->job);
        wait->on_done(wait->self, NULL);
        sp_free(wait);
    }
    sp_line_free(client->line);
    sp_free(client);
}

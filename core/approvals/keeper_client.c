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
    uint64_t until_us; /* 0: it was told that this is late */
    bool is_undo;
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

static waiting *take(sp_keeper_client *client, uint64_t job)
{
    for (waiting **at = &client->first; *at != NULL; at = &(*at)->next) {
        if ((*at)->job == job) {
            waiting *found = *at;
            *at = found->next;
            return found;
        }
    }
    return NULL;
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
    done.code = done.code == SP_ETIMEOUT ? SP_EIO : done.code; /* that is core's own word */
    if (wait != NULL) {
        finish(wait, &done);
    }
}

/* A keeper that came (back) knows nothing of earlier jobs. */
static void on_up(void *self)
{
    sp_keeper_client *client = self;
    while (client->first != NULL) {
        fail(client, client->first->job, SP_ECLOSED, "the keeper was started again meanwhile");
    }
}

static void on_taken(void *self, sp_err err, sp_span body)
{
    sent *s = self;
    (void)body;
    if (sp_failed(err)) {
        fail(s->client, s->job, err.code,
             err.code == SP_ELIMIT ? "the keeper has too many jobs" : "the keeper is away");
    }
    sp_free(s);
}

void sp_keeper_client_job(sp_keeper_client *client, sp_keeper_job *job, sp_on_job_done on_done,
                          void *self)
{
    waiting *wait = NULL;
    auto_free sent *s = NULL;
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_err err = client == NULL ? sp_fail(SP_EAGAIN) : sp_alloc(1, sizeof(*wait), &wait);
    if (!sp_failed(err)) {
        err = sp_alloc(1, sizeof(*s), &s);
    }
    if (!sp_failed(err)) {
        job->job = ++client->next_job;
        sp_keeper_job_write(job, &body);
        err = sp_buf_error(&body);
    }
    if (sp_failed(err)) {
        const sp_keeper_done done = {.code = (uint8_t)err.code,
                                     .why =
                                         SP_SPAN_LIT("this office has no keeper, or it is away")};
        sp_free(wait);
        on_done(self, &done);
        return;
    }
    bool about_undo = job->kind == SP_KEEPER_UNDO || job->kind == SP_KEEPER_TRY_UNDO;
    *s = (sent){client, job->job};
    *wait = (waiting){.next = client->first,
                      .job = job->job,
                      .until_us = sp_now_steady_us() + (about_undo ? WAIT_FOR_UNDO_US : WAIT_US),
                      .is_undo = job->kind == SP_KEEPER_UNDO,
                      .on_done = on_done,
                      .self = self};
    client->first = wait;
    sp_line_call(client->line, SP_KEEPER_JOB, sp_buf_borrow(&body), on_taken, SP_STEAL(s));
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
    on_up(client);                 /* nobody waits any more */
    sp_line_free(client->line);
    sp_free(client);
}

/* SPDX-License-Identifier: Apache-2.0
 * Jobs of the keeper that wait.
 * OWNS them. PROCESS core. TRUST a job's number that is not waiting is ignored.
 * SPEC core/approvals/keeper_client.h.
 */
#include "core/approvals/keeper_client.h"

#include "infra/ipc/line.h"
#include "infra/proc/clock.h"

#define WAIT_US ((uint64_t)3600 * 1000 * 1000)

typedef struct waiting {
    struct waiting *next;
    sp_keeper_client *client;
    uint64_t job;
    uint64_t until_us;
    sp_on_job_done on_done;
    void *self;
} waiting;

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
    waiting *wait = self;
    (void)body;
    if (sp_failed(err)) {
        fail(wait->client, wait->job, err.code,
             err.code == SP_ELIMIT ? "the keeper has too many jobs" : "the keeper is away");
    }
}

void sp_keeper_client_job(sp_keeper_client *client, sp_keeper_job *job, sp_on_job_done on_done,
                          void *self)
{
    waiting *wait = NULL;
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_err err = client == NULL ? sp_fail(SP_EAGAIN) : sp_alloc(1, sizeof(*wait), &wait);
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
    *wait = (waiting){client->first, client, job->job, sp_now_steady_us() + WAIT_US, on_done, self};
    client->first = wait;
    sp_line_call(client->line, SP_KEEPER_JOB, sp_buf_borrow(&body), on_taken, wait);
}

void sp_keeper_client_tick(sp_keeper_client *client, uint64_t now_steady_us)
{
    uint64_t late = 0;
    do {
        late = 0;
        for (const waiting *at = client->first; at != NULL && late == 0; at = at->next) {
            late = at->until_us <= now_steady_us ? at->job : 0;
        }
        fail(client, late, SP_ETIMEOUT, "the keeper did not finish in an hour");
    } while (late != 0);
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
    on_up(client); /* nobody waits any more */
    sp_line_free(client->line);
    sp_free(client);
}

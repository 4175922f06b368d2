/* SPDX-License-Identifier: Apache-2.0
 * Secrets of channels: asked of the vault, held for a minute, wiped.
 * OWNS them, the line to the vault. PROCESS courier. TRUST replies are bounded.
 * SPEC lib/proto/vault_msg.h "CHANNEL_SECRET".
 */
#include "courier/courier.h"

#include "infra/ipc/line.h"
#include "infra/proc/clock.h"
#include "lib/proto/vault_msg.h"

#define HELD_US ((uint64_t)60 * 1000 * 1000)

typedef enum { TOKEN, SECRET, PARTS } part;
static const char *const part_words[PARTS] = {"token", "secret"};

typedef struct {
    courier_secrets *of;
    part part;
    bool waits;                                  /* for the vault */
    char channel[SP_COURIER_NAME_MAX_BYTES + 1]; /* empty = free */
    uint64_t until_us;
    sp_secret value;
} held;

struct courier_secrets {
    courier *courier;
    sp_line *line;
    held held[COURIER_SECRETS_MAX * PARTS];
};

static held *find(courier_secrets *s, sp_span channel, part which)
{
    for (size_t i = 0; i < SP_COUNT(s->held); i++) {
        held *h = &s->held[i];
        if (h->channel[0] != '\0' && h->part == which &&
            sp_span_eq(sp_span_cstr(h->channel), channel)) {
            return h;
        }
    }
    return NULL;
}

static void drop(held *h)
{
    sp_secret_wipe(&h->value);
    h->channel[0] = '\0';
    h->waits = false;
}

static held *make(courier_secrets *s, sp_span channel, part which)
{
    for (size_t i = 0; i < SP_COUNT(s->held); i++) {
        held *h = &s->held[i];
        if (h->channel[0] == '\0' && !sp_failed(sp_fit(h->channel, sizeof(h->channel), channel))) {
            h->of = s;
            h->part = which;
            h->until_us = 0;
            return h;
        }
    }
    return NULL;
}

static bool wants(const courier_job *job, part which)
{
    return which == TOKEN ? job->job.has_token == 1 : job->job.has_secret == 1;
}

static void retry(courier_secrets *s, sp_span channel, sp_err err);

static void on_reply(void *self, sp_err err, sp_span body)
{
    held *h = self;
    char channel[SP_COURIER_NAME_MAX_BYTES + 1];
    h->waits = false;
    sp_copy(channel, h->channel, sizeof(channel));
    if (!sp_failed(err)) {
        err = sp_secret_set(&h->value, body);
    }
    h->until_us = sp_now_steady_us() + HELD_US;
    if (sp_failed(err)) {
        drop(h);
    }
    retry(h->of, sp_span_cstr(channel), err);
}

static void ask(courier_secrets *s, held *h)
{
    auto_buf sp_buf name = sp_buf_make(SP_VAULT_CREDENTIAL_MAX_BYTES);
    sp_buf_fmt(&name, "%s/%s", h->channel, part_words[h->part]);
    h->waits = true;
    sp_line_call(s->line, SP_VAULT_CHANNEL_SECRET, sp_buf_borrow(&name), on_reply, h);
}

/* Gives the job what is held; what is missing is asked for once. */
static sp_err fill(courier_secrets *s, courier_job *job)
{
    held *missing[PARTS] = {NULL};
    for (part which = TOKEN; which < PARTS; which++) {
        held *h = wants(job, which) ? find(s, job->job.channel, which) : NULL;
        if (wants(job, which) && h == NULL) {
            h = make(s, job->job.channel, which);
            if (h == NULL) {
                return sp_fail(SP_ENOMEM);
            }
        }
        if (h != NULL && h->until_us == 0) {
            missing[which] = h;
        } else if (h != NULL) {
            TRY(sp_secret_set(which == TOKEN ? &job->token : &job->secret,
                              sp_secret_borrow(&h->value)));
        }
    }
    bool all = missing[TOKEN] == NULL && missing[SECRET] == NULL;
    for (part which = TOKEN; which < PARTS; which++) {
        if (missing[which] != NULL && !missing[which]->waits) {
            ask(s, missing[which]);
            return sp_fail(SP_EAGAIN); /* its reply comes back to this job */
        }
    }
    return all ? sp_ok() : sp_fail(SP_EAGAIN);
}

void courier_secrets_ask(courier_secrets *secrets, courier_job *job)
{
    sp_err err = fill(secrets, job);
    if (err.code != SP_EAGAIN && job->state == COURIER_ASKING) {
        courier_job_ready(job, err);
    }
}

static void retry(courier_secrets *s, sp_span channel, sp_err err)
{
    courier *c = s->courier;
    for (size_t i = 0; i < SP_COUNT(c->jobs); i++) {
        courier_job *job = &c->jobs[i];
        if (job->state != COURIER_ASKING || !sp_span_eq(job->job.channel, channel)) {
            continue;
        }
        if (sp_failed(err)) {
            courier_job_ready(job, err);
        } else {
            courier_secrets_ask(s, job);
        }
    }
}

void courier_secrets_tick(courier_secrets *secrets, uint64_t now_steady_us)
{
    for (size_t i = 0; i < SP_COUNT(secrets->held); i++) {
        held *h = &secrets->held[i];
        if (h->channel[0] != '\0' && !h->waits && h->until_us < now_steady_us) {
            drop(h);
        }
    }
}

sp_err courier_secrets_new(courier *of, courier_secrets **ret_secrets)
{
    auto_free courier_secrets *secrets = NULL;
    auto_free char *path = NULL;
    TRY(sp_alloc(1, sizeof(*secrets), &secrets));
    secrets->courier = of;
    TRY(sp_config_socket(of->config, "vault", &path));
    const sp_line_calls calls = {.self = secrets};
    TRY(sp_line_new(&of->loop, path, &calls, &secrets->line));
    *ret_secrets = SP_STEAL(secrets);
    return sp_ok();
}

struct sp_line *courier_secrets_line(courier_secrets *secrets)
{
    return secrets->line;
}

void courier_secrets_free(courier_secrets *secrets)
{
    if (secrets == NULL) {
        return;
    }
    sp_line_free(secrets->line);
    for (size_t i = 0; i < SP_COUNT(secrets->held); i++) {
        drop(&secrets->held[i]);
    }
    sp_free(secrets);
}

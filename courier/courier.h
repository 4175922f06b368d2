/* SPDX-License-Identifier: Apache-2.0
 * What the parts of the courier share.
 *
 * Story: core sends a job (lib/proto/courier_msg.h). The job waits for the channel's secrets, which
 * the vault gives for a minute at a time; then libcurl carries it out: a mail by SMTP, or a post.
 * What the other side answers is read by the vendor's rules and told to core, again and again until
 * core has it. Nothing is stored: what is under way when the courier ends, core sends again.
 *
 * OWNS see each. PROCESS courier. TRUST core's words are bounded; mail servers and webhooks are
 * hostile: answers are cut, certificates verified, redirects not followed.
 * SPEC courier/README.md.
 */
#ifndef SP_COURIER_COURIER_H
#define SP_COURIER_COURIER_H

#include "infra/ipc/server.h"
#include "infra/proc/config.h"
#include "lib/proto/courier_msg.h"

#include <curl/curl.h>
#include <uv.h>

enum {
    COURIER_ANSWER_MAX_BYTES = 16 * 1024,
    COURIER_SECRETS_MAX = 64 /* as many channels as documents can name */
};

typedef struct courier courier;
typedef struct courier_secrets courier_secrets;
typedef struct courier_wires courier_wires;
typedef struct courier_sinks courier_sinks;

typedef enum {
    COURIER_FREE,
    COURIER_ASKING, /* waits for the vault */
    COURIER_MOVING,
    COURIER_OVER /* has a result that core has not acknowledged */
} courier_state;

typedef struct {
    courier *of;
    courier_state state;
    sp_buf body; /* as it came; the job's spans point into it */
    sp_courier_job job;
    sp_secret token;
    sp_secret secret;
    /* result */
    uint8_t outcome; /* sp_courier_outcome */
    uint16_t status;
    uint32_t retry_after_s;
    sp_buf why;
} courier_job;

struct courier {
    uv_loop_t loop;
    const sp_config *config;
    sp_server *server;
    sp_peer *core; /* whoever said HELLO or sent a job last; NULL = nobody */
    courier_secrets *secrets;
    courier_wires *wires;
    courier_sinks *sinks;
    courier_job jobs[SP_COURIER_JOBS_MAX];
};

/* ---- jobs.c ---- */
/* Also after HELLO and ACK. */
void courier_on_message(void *self, sp_peer *peer, const sp_msg *msg, sp_fds *fds);
void courier_on_gone(void *self, sp_peer *peer);
/* The job has its secrets (SP_ENOTFOUND: the vault has none; SP_EAGAIN: it is away). */
void courier_job_ready(courier_job *job, sp_err err);
/* The job is over. */
void courier_job_over(courier_job *job);

/* ---- secrets.c ---- */
SP_MUST sp_err courier_secrets_new(courier *of, courier_secrets **ret_secrets);
void courier_secrets_free(courier_secrets *secrets);
/* Fills token and secret as the job wants them; calls courier_job_ready once, perhaps at once. */
void courier_secrets_ask(courier_secrets *secrets, courier_job *job);
void courier_secrets_tick(courier_secrets *secrets, uint64_t now_steady_us);

/* The line to the vault. */
struct sp_line *courier_secrets_line(courier_secrets *secrets);

/* ---- sinks.c ---- */
/* Whether the message was about sinks; it has been answered then. */
bool courier_sinks_on_message(courier_sinks *sinks, sp_peer *peer, const sp_msg *msg);

/* ---- wires.c ---- */
/* For as long as the process lives. */
SP_MUST sp_err courier_wires_new(courier *of, courier_wires **ret_wires);
/* Calls courier_job_over once, later. SP_EINVALID: the job cannot be carried out as it is. */
SP_MUST sp_err courier_wires_send(courier_wires *wires, courier_job *job);
/* Anybody's transfer: over is called once, later, and the handle stays until it is dropped. */
typedef struct {
    void (*over)(void *self, CURL *curl, CURLcode code);
    void *self;
} courier_carry;
SP_MUST sp_err courier_wires_carry(courier_wires *wires, CURL *curl, courier_carry *carry);
void courier_wires_drop(courier_wires *wires, CURL *curl);

#endif

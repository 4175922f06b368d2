/* SPDX-License-Identifier: Apache-2.0
 * What core asks of the courier over courier.sock.
 *
 * Story: core sends a JOB: one mail to one address, or one post to one webhook. The reply says only
 * that it was taken; when it is over the courier pushes DONE with the same number, and keeps the
 * result until core says ACK. After a break of the line core says HELLO: the reply names the jobs
 * that are under way, and results without an ACK are pushed again. So a core that comes back knows
 * of every job what became of it; a courier that comes back knows of none, and core sends them
 * again, with the same Message-ID.
 *
 * OWNS nothing: spans point into the body. PROCESS core asks, courier serves. TRUST core may be
 * taken over: every field is bounded; a job carries no secret, only its name in the vault.
 * SPEC docs/ARCHITECTURE.md "Notices".
 */
#ifndef SP_PROTO_COURIER_MSG_H
#define SP_PROTO_COURIER_MSG_H

#include "lib/notice/channel.h"
#include "lib/proto/msg.h"

typedef enum {
    SP_COURIER_JOB = 0x0700, /* core -> courier; SP_ELIMIT: too many wait; SP_EEXISTS: known */
    SP_COURIER_DONE,         /* courier -> core, push */
    SP_COURIER_ACK,          /* core -> courier: numbers of jobs whose results are kept now */
    SP_COURIER_HELLO,        /* core -> courier: - -> numbers of jobs under way */
    SP_COURIER_KIND_END
} sp_courier_kind;

enum {
    SP_COURIER_JOBS_MAX = 256, /* under way, or with a result that core has not acknowledged */
    SP_COURIER_NAME_MAX_BYTES = 127,
    SP_COURIER_PATH_MAX_BYTES = 1024,
    SP_COURIER_ADDRESS_MAX_BYTES = 320, /* of a mailbox, with its name */
    SP_COURIER_MENTIONS_MAX_BYTES = 4096,
    SP_COURIER_TITLE_MAX_BYTES = 1024,
    SP_COURIER_TEXT_MAX_BYTES = 40 * 1024,
    SP_COURIER_WHY_MAX_BYTES = 400,
    SP_COURIER_TIMEOUT_MAX_S = 600
};

typedef enum {
    SP_COURIER_TLS_VERIFY,   /* webhooks: https; mail: STARTTLS, refused where there is none */
    SP_COURIER_TLS_IMPLICIT, /* mail: TLS from the first byte */
    SP_COURIER_TLS_LOOPBACK, /* plain, to loopback addresses only */
    SP_COURIER_TLS_COUNT
} sp_courier_tls;

typedef struct {
    uint64_t job;
    uint64_t when_unix_s; /* the Date of a mail */
    uint8_t kind;         /* sp_channel_kind */
    uint8_t tls;          /* sp_courier_tls */
    uint8_t has_token;    /* 1: the vault has "<channel>/token", which goes into the address */
    uint8_t has_secret;   /* 1: the vault has "<channel>/secret": signs, or is the password */
    uint16_t timeout_s;
    sp_span channel;    /* its name */
    sp_span address;    /* URL, or host:port of the mail server */
    sp_span ca;         /* file; empty = the system's */
    sp_span user;       /* mail: log-in; empty = none */
    sp_span from;       /* mail: "Sallyport <gate@office.example>" */
    sp_span to;         /* mail: the mailbox */
    sp_span message_id; /* mail: without brackets; webhook: the delivery's name */
    sp_span mentions;   /* chat: ids, one a line */
    sp_span title;
    sp_span text;
    sp_span html; /* mail */
    sp_span data; /* webhook: JSON that stands in the body as it is; empty = none */
} sp_courier_job;

typedef enum {
    SP_COURIER_HANDED,    /* the other side took it */
    SP_COURIER_REJECTED,  /* it never will: this mailbox, this text */
    SP_COURIER_FAILED,    /* not now: again later */
    SP_COURIER_THROTTLED, /* the whole channel has to be silent for a while */
    SP_COURIER_OUTCOME_COUNT
} sp_courier_outcome;

typedef struct {
    uint64_t job;
    uint8_t outcome;        /* sp_courier_outcome */
    uint16_t status;        /* of SMTP or HTTP; 0 = none came */
    uint32_t retry_after_s; /* 0 = not said */
    sp_span why;            /* a sentence for people, when it was not handed over */
} sp_courier_done;

typedef struct {
    uint64_t jobs[SP_COURIER_JOBS_MAX];
    size_t count;
} sp_courier_jobs;

void sp_courier_job_write(const sp_courier_job *job, sp_buf *out);
/* SP_ESHORT, SP_ELIMIT, SP_EINVALID. */
SP_MUST sp_err sp_courier_job_read(sp_span body, sp_courier_job *ret_job);
void sp_courier_done_write(const sp_courier_done *done, sp_buf *out);
SP_MUST sp_err sp_courier_done_read(sp_span body, sp_courier_done *ret_done);
void sp_courier_jobs_write(const sp_courier_jobs *jobs, sp_buf *out);
SP_MUST sp_err sp_courier_jobs_read(sp_span body, sp_courier_jobs *ret_jobs);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * What core asks of the runner over runner.sock.
 *
 * Story: core sends a JOB: the name of one of the operator's commands, its words, what it finds on
 * its standard input. The reply says only that it was started; when it is over the runner pushes
 * DONE with the same number. STOP ends one early. A runner that dies ends its commands with it.
 *
 * OWNS nothing: spans point into the body. PROCESS core asks, runner serves. TRUST core may be
 * taken over: every field is bounded, and which program a name stands for is the bootstrap file's
 * word, not core's. SPEC runner/README.md.
 */
#ifndef SP_PROTO_RUNNER_MSG_H
#define SP_PROTO_RUNNER_MSG_H

#include "lib/proto/msg.h"

typedef enum {
    SP_RUNNER_JOB = 0x0800, /* core -> runner; SP_ELIMIT: too many run; SP_EEXISTS: known */
    SP_RUNNER_STOP,         /* core -> runner: its number */
    SP_RUNNER_DONE,         /* runner -> core, push */
    SP_RUNNER_KIND_END
} sp_runner_kind;

enum {
    SP_RUNNER_NAME_MAX_BYTES = 63,
    SP_RUNNER_WORDS_MAX = 16,
    SP_RUNNER_WORD_MAX_BYTES = 512,
    SP_RUNNER_INPUT_MAX_BYTES = 32 * 1024,
    SP_RUNNER_OUTPUT_MAX_BYTES = 16 * 1024, /* of what it says that is kept */
    SP_RUNNER_WHY_MAX_BYTES = 400,
    SP_RUNNER_TIMEOUT_MAX_S = 3600
};

typedef struct {
    uint64_t job;
    uint16_t timeout_s;
    sp_span command; /* a name of `commands:` */
    sp_span words[SP_RUNNER_WORDS_MAX];
    size_t words_count;
    sp_span input; /* JSON */
} sp_runner_job;

typedef enum {
    SP_RUNNER_EXITED,   /* status is its exit status */
    SP_RUNNER_SIGNALED, /* status is the signal */
    SP_RUNNER_LATE,     /* it was ended by force: time-out, or STOP */
    SP_RUNNER_REFUSED,  /* it was never started; why says why */
    SP_RUNNER_OUTCOME_COUNT
} sp_runner_outcome;

typedef struct {
    uint64_t job;
    uint8_t outcome; /* sp_runner_outcome */
    uint8_t status;
    uint32_t duration_ms;
    uint64_t output_bytes; /* all that it said */
    sp_span output;        /* the beginning of it, any bytes */
    sp_span why;
} sp_runner_done;

void sp_runner_job_write(const sp_runner_job *job, sp_buf *out);
/* SP_ESHORT, SP_ELIMIT, SP_EINVALID. */
SP_MUST sp_err sp_runner_job_read(sp_span body, sp_runner_job *ret_job);
void sp_runner_done_write(const sp_runner_done *done, sp_buf *out);
SP_MUST sp_err sp_runner_done_read(sp_span body, sp_runner_done *ret_done);

#endif

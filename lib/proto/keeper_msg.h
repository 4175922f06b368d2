/* SPDX-License-Identifier: Apache-2.0
 * What core asks of the keeper over keeper.sock.
 *
 * Story: core sends a JOB: keep what a statement is about to destroy, say what that would cost, put
 * a keep back or its rows beside, or forget one. The reply says only that it was taken; when it is
 * finished the keeper pushes DONE with the same number. The place and the database role are core's
 * words (from the policy in force); the password comes from the vault, to the keeper alone. When
 * the line breaks, the jobs that were taken are lost to core: what was not reported as kept was not
 * kept. Only of an UNDO or BESIDE, which may have committed, core hears over its next line: it asks
 * by HEAR.
 *
 * OWNS nothing: spans point into the body. PROCESS core asks, keeper serves. TRUST core may be
 * taken over: every field is bounded, names are passed to the server as values or quoted. SPEC
 * docs/ARCHITECTURE.md "Undo".
 */
#ifndef SP_PROTO_KEEPER_MSG_H
#define SP_PROTO_KEEPER_MSG_H

#include "lib/proto/msg.h"

typedef enum {
    SP_KEEPER_JOB =
        0x0400,     /* core -> keeper, replied without a body; SP_ELIMIT: too many wait;
                     * SP_EEXISTS: this UNDO is under way; SP_EAGAIN: another of that keep */
    SP_KEEPER_DONE, /* keeper -> core, push */
    SP_KEEPER_KIND_END
} sp_keeper_kind;

typedef enum {
    SP_KEEPER_KEEP,     /* now, at the snapshot */
    SP_KEEPER_ESTIMATE, /* bytes and time that keeping would take, and what depends on it */
    SP_KEEPER_UNDO,     /* puts a keep back */
    SP_KEEPER_TRY_UNDO, /* the same, rolled back at the end: what it would do */
    SP_KEEPER_FORGET,   /* removes a keep; only job and keep are looked at */
    SP_KEEPER_HEAR,     /* DONE of the UNDO or BESIDE of keep for that ask, under the number of this
                         * job, when     it has ended; SP_ENOTFOUND: this keeper has not begun it, or a
                         * later one     since. Only job, keep and ask */
    SP_KEEPER_BESIDE, /* its rows as plain tables into a schema of their own; database: of which */
    SP_KEEPER_TRY_BESIDE, /* the same, rolled back at the end */
    SP_KEEPER_JOB_COUNT
} sp_keeper_job_kind;

enum {
    SP_KEEPER_HOST_MAX_BYTES = 255,
    SP_KEEPER_PATH_MAX_BYTES = 1024,
    SP_KEEPER_NAME_MAX_BYTES = 127,
    SP_KEEPER_OBJECTS_MAX_BYTES = 32 * 1024,
    SP_KEEPER_VERB_MAX_BYTES = 79,
    SP_KEEPER_REPORT_MAX_BYTES = 64 * 1024,
    SP_KEEPER_WHY_MAX_BYTES = 1000,
    /* undo took 4 to 36 times as long as the keep in what was measured (docs/DATABASE.md) */
    SP_KEEPER_UNDO_TIMES_MAX = 36
};

typedef struct {
    uint64_t job; /* core's number */
    uint64_t keep;
    uint64_t ask; /* of UNDO, BESIDE and HEAR: whose approval this is done with */
    uint16_t port;
    uint8_t kind;     /* sp_keeper_job_kind */
    uint8_t tls;      /* sp_database_tls */
    uint8_t whole;    /* 1: the whole database; objects may be empty */
    uint8_t cascades; /* 1: the statement says CASCADE */
    uint8_t partly;   /* 1: of an undo: some of it has been undone already */
    uint32_t holder;  /* of KEEP: the server's process that holds what is kept; 0 = nobody */
    sp_span host;
    sp_span ca;         /* file; empty = the system's */
    sp_span account;    /* database role */
    sp_span credential; /* "<resource>/<account>" in the vault */
    sp_span database;
    sp_span objects;  /* JSON array of {"schema","name"}; whole: {"name"}, words among which is what
                       * the statement names; empty: not known */
    sp_span verb;     /* of the statement, upper case: "ALTER DELETE DROP"; "ANY": nobody knows */
    sp_span snapshot; /* pg_export_snapshot() of the asking connection; may be empty */
} sp_keeper_job;

typedef struct {
    uint64_t job;
    uint8_t code;   /* sp_code; SP_ECONFLICT: it cannot be put back, why says why. SP_EAGAIN: others
                     * held a lock meanwhile, nothing came of it. SP_ECLOSED, of
                     * UNDO: the server was to commit and never said whether it did */
    uint64_t bytes; /* kept, or would be */
    uint64_t duration_ms;
    sp_span report; /* JSON, see keeper/README.md; may be empty */
    sp_span why;    /* a sentence for people, when code is not SP_OK */
} sp_keeper_done;

/* It commits, so what became of it is heard whatever becomes of the line. */
static inline bool sp_keeper_job_lasts(uint8_t kind)
{
    return kind == SP_KEEPER_UNDO || kind == SP_KEEPER_BESIDE;
}
static inline bool sp_keeper_job_tries(uint8_t kind)
{
    return kind == SP_KEEPER_TRY_UNDO || kind == SP_KEEPER_TRY_BESIDE;
}

void sp_keeper_job_write(const sp_keeper_job *job, sp_buf *out);
/* SP_ESHORT, SP_ELIMIT, SP_EINVALID. */
SP_MUST sp_err sp_keeper_job_read(sp_span body, sp_keeper_job *ret_job);
void sp_keeper_done_write(const sp_keeper_done *done, sp_buf *out);
SP_MUST sp_err sp_keeper_done_read(sp_span body, sp_keeper_done *ret_done);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * What the two files of sftp share: sftp.c follows the packets, sftp_judge.c decides what a request
 * on a path may do.
 *
 * Story: sftp.c hands a request to sg_sftp_hold(); the client's next ones wait. The machine is
 * asked what the path leads to, policy decides, other people agree and budgets have room where need
 * be, the disk has it; then it goes on, or is answered with why not, and sg_sftp_resume() takes up
 * what waited.
 *
 * OWNS see sftp.c. PROCESS ssh gate workers. TRUST both sides are hostile. SPEC lib/proto/sftp.h.
 */
#ifndef SP_GATES_SSH_SFTP_H
#define SP_GATES_SSH_SFTP_H

#include "gates/ssh/gate.h"
#include "lib/proto/sftp.h"

#include <openssl/evp.h>

enum {
    SFTP_FILES_MAX = 128,
    SFTP_REQUESTS_MAX = 1024,
    SFTP_REST_MAX_BYTES = 512 * 1024,
    SFTP_OWN_ID = 0x5a1190f7, /* of the gate's own questions; a client that uses it is refused */
    SFTP_PATHS = 2,
    SFTP_DETAIL_BYTES = 512
};

typedef struct {
    bool used;
    bool is_folder;
    bool reads;
    bool writes;
    bool appends;
    bool broken;      /* not from the first to the last byte in order: no hash */
    bool met_end;     /* reading in order met its end */
    bool closed;      /* policy does not let it go on: nothing more by it */
    sp_agreed agreed; /* by others, to these actions */
    unsigned actions; /* that were judged */
    size_t handle_len;
    uint8_t handle[SP_SFTP_HANDLE_MAX_BYTES];
    char *path;
    EVP_MD_CTX *hash;
    uint64_t next; /* offset of the next byte in order */
    uint64_t bytes;
    uint64_t most_bytes; /* 0 = no limit */
    uint64_t since_us;
} sftp_file;

typedef struct {
    uint32_t id;
    uint8_t type; /* sp_sftp_type */
    sftp_file *file;
    uint64_t offset; /* OPEN: what for, SP_SFTP_F_ */
    uint64_t most_bytes;
    unsigned actions; /* OPEN, OPENDIR */
    sp_agreed agreed;
} sftp_request;

/* What waits for the machine's answers, and for others. */
typedef struct {
    uint8_t type;
    uint8_t extension;
    uint32_t id;
    uint32_t pflags;
    sp_sftp_attrs attrs; /* flags 0: none that are its point */
    unsigned actions;
    bool exists;    /* there is a file that would be written over */
    unsigned asked; /* questions that were answered */
    unsigned done;
    sg_consent consent;
    sp_recorder_wait disk;
    sp_buf raw;
    char *paths[SFTP_PATHS];    /* as written */
    char *resolved[SFTP_PATHS]; /* NULL: the machine does not know it */
    const char *word;
} sftp_held;

struct sg_sftp {
    sg_channel *channel;
    sp_sftp client;
    sp_sftp server;
    sp_buf rest;    /* of the client, behind what waits */
    sp_buf answers; /* of ours, for when no file's bytes are passing */
    bool waits;
    bool inside;   /* it stands on the stack: not freed */
    bool dropping; /* the pieces of a WRITE that was refused */
    bool mid_data; /* the client has the begin of a DATA */
    sftp_file *writing;
    sftp_file *reading;
    char *opening; /* the path of the OPEN that was let through last, for its handle */
    sftp_held held;
    sftp_request requests[SFTP_REQUESTS_MAX];
    uint32_t request_count;
    uint32_t told_refusals;
    sftp_file files[SFTP_FILES_MAX];
};

/* ---- sftp_judge.c ---- */
/* Takes the request and begins with it; sftp->waits tells whether it is not over. */
SP_MUST sp_err sg_sftp_hold(struct sg_sftp *sftp, const sp_sftp_packet *packet, unsigned actions);
/* The machine's answer to a question of ours. */
SP_MUST sp_err sg_sftp_answered(struct sg_sftp *sftp, const sp_sftp_packet *answer);
void sg_sftp_forget_held(struct sg_sftp *sftp);
bool sg_sftp_everywhere(const sg_conn *conn, unsigned actions);

typedef struct {
    sp_decision decision;
    sp_action action;
} sftp_no;

/* The same, with what is not. */
bool sg_sftp_on_all(const sg_conn *conn, unsigned actions, sftp_no *ret_no);
/* Whether this is allowed on the resolved path of a file that is open; else what is not. */
bool sg_sftp_on_file(sg_conn *conn, unsigned actions, const sftp_file *file, sftp_no *ret_no);
/* Written down; the line that the client reads is the answer's text. file: NULL = of no file. */
void sg_sftp_refuse_one(struct sg_sftp *sftp, const sp_sftp_packet *packet, const sftp_file *file,
                        const sftp_no *no);
/* Written down; nothing more is done by its handle. */
void sg_sftp_close_file(struct sg_sftp *sftp, sftp_file *file, const sftp_no *no);
sp_span sg_sftp_detail(const sg_channel *channel, const char *key, const char *value,
                       char room[SFTP_DETAIL_BYTES]);

/* ---- sftp_asked.c ---- */
/* What it leads to, or as it was written. */
const char *sg_sftp_path(const sftp_held *held, size_t at);
void sg_sftp_put_asked(const sftp_held *held, sp_buf *out);

/* ---- sftp.c ---- */
/* What was held is over: what waited behind it goes on. Within sg_sftp_feed, or between `inside`
 * and sg_sftp_leave. */
SP_MUST sp_err sg_sftp_resume(struct sg_sftp *sftp);
/* The end of what began with `inside`: the channel ends when it went wrong. */
void sg_sftp_leave(struct sg_sftp *sftp, sp_err err);

#endif

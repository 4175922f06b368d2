/* SPDX-License-Identifier: Apache-2.0
 * A connection to a database server, up to the point where it is ready for queries.
 *
 * Story: db_back_open() connects, speaks TLS as the resource says, and logs in: SCRAM-SHA-256 or
 * MD5 with a proof that the vault computes, so that no password comes here; what would need the
 * password itself is refused. When the server is ready, on_ready is called; from then on the owner
 * reads `stream`. When anything goes wrong before that, on_failed is called once with a sentence
 * for people. The same connection, asked for a cancel, says only that and ends by itself.
 *
 * OWNS the connection. PROCESS db gate workers. TRUST the server is hostile as far as bytes go.
 * SPEC PostgreSQL 15 manual, 55.2; RFC 5802, RFC 7677.
 */
#ifndef SP_GATES_DB_BACK_H
#define SP_GATES_DB_BACK_H

#include "gates/db/stream.h"
#include "infra/gate/resolve.h"
#include "lib/policy/decide.h"
#include "lib/proto/pgwire.h"

#include <netinet/in.h>
#include <sys/socket.h>

typedef struct db_back db_back;

typedef struct {
    void (*on_ready)(db_back *back);
    void (*on_failed)(db_back *back, const char *sqlstate, const char *why);
    void (*on_stream)(db_back *back); /* once ready: the stream is readable or writable */
    void (*on_cancelled)(
        db_back *back); /* the server has heard of a cancel, or never will; or NULL */
    void *self;
} db_back_calls;

typedef enum {
    DB_BACK_RESOLVING, /* the name of its host */
    DB_BACK_CONNECTING,
    DB_BACK_SSL_ASKED,
    DB_BACK_CERTIFICATE, /* the vault issues one */
    DB_BACK_TLS,
    DB_BACK_AUTH,
    DB_BACK_PROOF, /* the vault computes */
    DB_BACK_FINAL, /* the server must show that it knows the password as well */
    DB_BACK_SETTLING,
    DB_BACK_READY,
    DB_BACK_DEAD,
    DB_BACK_STATE_COUNT
} db_back_state;

enum { DB_BACK_KEY_BYTES = 4, DB_BACK_SETTLING_MAX_BYTES = 64 * 1024 };

typedef struct db_back_login db_back_login;

struct db_back {
    db_stream stream;
    db_back_state state;
    db_back_calls calls;
    sp_timer timer;
    sp_deferred free;
    sp_deferred more;     /* it is read on in the next round of the loop */
    uint64_t heard_us;    /* of the loop's clock: the round in which it was read last */
    unsigned heard;       /* in that round: chunks */
    size_t unasked;       /* bytes that came since anything was asked */
    db_back_login *login; /* NULL once ready */
    uint32_t pid;
    uint8_t key[DB_BACK_KEY_BYTES];
    bool is_cancel;
    db_back *cancel; /* under way: the server has not closed it, so it may still stop what runs */
    db_back *target; /* of a cancel; NULL = it is gone */
    uint8_t tls;     /* sp_database_tls */
    sp_dial_address address;
    sp_resolve_wait resolving;
    /* What the server said of itself: whole ParameterStatus messages; until taken. */
    sp_buf statuses;
};

typedef struct {
    const sp_policy *policy;
    uint32_t resource;
    sp_span account;
    sp_span database;
    const sp_span *parameters; /* names and values besides user and database */
    size_t parameter_count;    /* pairs */
} db_back_ask;

/* The result is freed by db_back_close(). SP_EINVALID: not a database. SP_EIO: no socket. */
SP_MUST sp_err db_back_open(const db_back_ask *ask, const db_back_calls *calls, db_back **ret_back);
/* Says Terminate if the server is ready; frees it at the end of the turn. NULL is nothing. */
void db_back_close(db_back *back);
/* Another connection to the same server that cancels what this one runs. Until on_cancelled() it
 * may come late, so that nothing else should be asked of this one. */
void db_back_cancel(db_back *back);
/* As db_stream_receive(), for connections of the gate's own, whose server may send without an end:
 * a few chunks in a round of the loop, then SP_EAGAIN, and on_stream() is called again in the next.
 * SP_ELIMIT: it says much, and was not asked for anything. */
SP_MUST sp_err db_back_hear(db_back *back, bool is_asked, sp_span *ret_bytes);
/* A value of db_back.statuses, empty when it is not there. */
sp_span db_back_status(const db_back *back, sp_span name);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * What a worker of the database gate and core say to each other over core.sock, besides HELLO,
 * SEEN and the pushes of core_msg.h.
 *
 * Story: a client's log-in is answered by core: the gate relays SASL, or says CERT when the client
 * showed a device's certificate. Either way the connection then rides on a live session. CONN asks
 * core for a place in the list of connections, which is bounded for a person; KILL and CANCEL come
 * back as pushes. Before a statement whose action has a budget or a limit a day runs, the gate
 * SPENDs. A statement that policy marks `ask` becomes an ASK; core pushes ASK_DONE once it is
 * decided; ASK_USE takes an approval exactly once, for exactly those bytes; KEEP keeps what the
 * statement would destroy.
 *
 * Kind      request -> reply
 * SASL      sasl -> sasl_step    SP_EDENIED: wrong (whatever was wrong); SP_ELIMIT: too many tries;
 *                                both end the conversation
 * CERT      cert -> session      the same
 * CONN      conn -> -            opened: SP_ELIMIT: this person has too many; SP_EDENIED: the
 *                                session has ended. With id 0, no reply: closed, or told again
 * ASK       ask -> ask_id        SP_EDENIED: nobody could approve it; SP_ELIMIT: too many
 * ASK_USE   ask_use -> -         SP_EDENIED: not approved, used, expired, or other bytes
 * ASK_DROP  ask_id, no reply     id 0: the client went away or cancelled
 * SPEND     spend -> granted     SP_EDENIED: over a budget (the person may be locked now) or the
 *                                day's limit; SP_EAGAIN: what is left of the day is kept for other
 *                                statements of the person, for as long as was waited. With id 0, no
 *                                reply: what ran, or did not
 * KEEP      keep -> kept         SP_EDENIED: no such approval; SP_EIO: it could not be kept
 * Pushes from core: ASK_DONE ask_done; KILL kill; CANCEL cancel
 *
 * OWNS nothing: spans point into the body. PROCESS core serves; the database gate asks. TRUST
 * bodies are hostile (a gate may be taken over; names and statements come from clients): every
 * field is bounded. SPEC docs/ARCHITECTURE.md "Messages"; RFC 5802, RFC 7677 for SASL.
 */
#ifndef SP_PROTO_DB_MSG_H
#define SP_PROTO_DB_MSG_H

#include "lib/base/sha256.h"
#include "lib/policy/types.h"
#include "lib/proto/msg.h"

typedef enum {
    SP_CORE_DB_SASL = 0x0100,
    SP_CORE_DB_CERT,
    SP_CORE_DB_CONN,
    SP_CORE_DB_ASK,
    SP_CORE_DB_ASK_USE,
    SP_CORE_DB_ASK_DROP,
    SP_CORE_DB_SPEND,
    SP_CORE_DB_KEEP,
    SP_CORE_DB_ASK_DONE, /* pushes from here on */
    SP_CORE_DB_KILL,
    SP_CORE_DB_CANCEL,
    SP_CORE_DB_KIND_END
} sp_core_db_kind;

enum {
    SP_DB_NAME_MAX_BYTES = 63, /* of a database, an account, an application: NAMEDATALEN - 1 */
    SP_DB_SASL_MAX_BYTES = 2048,
    SP_DB_END_POINT_MAX_BYTES = 64,
    SP_DB_STATEMENT_MAX_BYTES = 96 * 1024,
    SP_DB_OBJECTS_MAX_BYTES = 8 * 1024,
    SP_DB_PLAN_MAX_BYTES = 12 * 1024,
    SP_DB_RELATIONS_MAX_BYTES = 32 * 1024,
    SP_DB_SNAPSHOT_MAX_BYTES = 63,
    SP_DB_VERBS_MAX_BYTES = 79,
    SP_DB_REASON_MAX_BYTES = 200,
    SP_DB_WHY_MAX_BYTES = 400, /* fits into the detail of a refusal */
    SP_DB_BY_MAX_BYTES = 1024,
    SP_DB_SASL_OPEN_MAX = 1024 /* conversations open on one line at once */
};

/* The session a connection rides on: its slot and id in the live table. */
typedef struct {
    uint32_t slot;
    uint64_t id;
} sp_db_session;

/* The certificate that the client proved in this TLS connection; zero = none. Only then do facts
 * of a device (owner, posture) count. */
typedef struct {
    uint8_t bytes[SP_SHA256_BYTES];
} sp_db_fingerprint;

typedef enum {
    SP_DB_SCRAM_SHA_256,
    SP_DB_SCRAM_SHA_256_PLUS,
    SP_DB_MECHANISM_COUNT
} sp_db_mechanism;

/* One message of the client's SASL conversation. All fields but `data` are the same in each
 * message of a conversation. */
typedef struct {
    uint32_t conversation; /* the gate's number, not in use on this line */
    uint8_t mechanism;     /* sp_db_mechanism */
    uint8_t over_tls;      /* 1: channel binding is possible; 0: loopback without TLS */
    uint8_t peer[16];
    sp_db_fingerprint fingerprint;
    sp_span end_point; /* tls-server-end-point hash (RFC 5929); empty without TLS */
    sp_span user;      /* start-up `user`: the person's name */
    sp_span resource;
    sp_span database; /* as asked for; empty = the default */
    sp_span data;     /* client-first-message, then client-final-message; empty = gave up */
} sp_db_sasl;

typedef struct {
    uint8_t done;          /* 1: data is the server-final-message, and session is set */
    sp_db_session session; /* zero unless done */
    sp_span data;
} sp_db_sasl_step;

/* Log-in by the device's certificate alone: the device is active, its person is `user` and has a
 * live session bound to it. Replied with sp_db_session. */
typedef struct {
    uint8_t peer[16];
    sp_db_fingerprint fingerprint;
    sp_span user;
    sp_span resource;
    sp_span database;
} sp_db_cert;

typedef enum { SP_DB_CONN_OPEN, SP_DB_CONN_CLOSED, SP_DB_CONN_STATE_COUNT } sp_db_conn_state;

/* `connection` is random, never reused; people see it as a reference (sp_reference_text). */
typedef struct {
    uint64_t connection;
    uint8_t state; /* sp_db_conn_state */
    uint8_t peer[16];
    sp_db_fingerprint fingerprint;
    sp_db_session session;
    sp_span resource;
    sp_span database;
    sp_span account;     /* the database role it runs as */
    sp_span application; /* as the client says */
} sp_db_conn;

typedef struct {
    uint64_t connection;
    sp_db_session session;
    uint64_t reference; /* of the event that says "asked" */
    uint64_t estimated_rows;
    uint64_t keep_bytes; /* about what KEEP would keep; 0 = nothing is kept */
    uint8_t action;      /* sp_action, the gravest */
    uint8_t class_level;
    uint8_t needed;                  /* people, 1.. */
    uint8_t sha256[SP_SHA256_BYTES]; /* of the exact bytes that would run */
    sp_span resource;
    sp_span database;
    sp_span statement;          /* secrets redacted */
    sp_span rules[SP_ASKS_MAX]; /* that ask: sp_decision.asks by name; one at least */
    uint8_t rules_count;
    sp_span objects; /* JSON array of {"kind","schema","name"} */
    sp_span plan;    /* JSON, or empty */
    sp_span verbs;   /* as in sp_db_keep; empty where nothing is kept */
} sp_db_ask;

typedef struct {
    uint64_t ask;
} sp_db_ask_id;

typedef struct {
    uint64_t ask;
    sp_db_session session; /* who asked */
    uint8_t sha256[SP_SHA256_BYTES];
} sp_db_ask_use;

typedef struct {
    uint64_t ask;
    uint8_t verdict; /* sp_verdict: allow = approved, deny = refused or expired */
    sp_span by;      /* for people: "li.wei, wang.fang" */
    sp_span reason;  /* for people, with deny */
} sp_db_ask_done;

/* What a SPEND is to what was asked for under its reference before. */
typedef enum {
    SP_DB_SPEND_OVER,    /* what was kept of the day is free */
    SP_DB_SPEND_PORTION, /* a portion of the day is wanted, and kept for it */
    SP_DB_SPEND_UNDO,    /* it did not run: the same, and what budgets hold of it is given back */
    SP_DB_SPEND_WANTS_COUNT
} sp_db_spend_wants;

/* Before it runs, with the statements and the rows that it is expected to change, which count in
 * budgets; all zero counts ask whether anything is left. After it ran, without statements, with
 * what it counted: that counts even when it is over, and once, however often it is told.
 * `estimated` is then what was estimated under this reference, which is taken back. Limits a day
 * are those of the decision (sp_decision); 0 = none. */
typedef struct {
    sp_db_session session;
    uint64_t reference; /* of the event about the statement */
    uint8_t action;     /* sp_action: the gravest, of which the event is */
    uint32_t actions;   /* bits of all that it does: budgets of any of them count it */
    uint32_t statements;
    uint64_t rows;
    uint64_t bytes;
    uint64_t estimated;
    uint64_t day_rows;
    uint64_t day_bytes;
    uint64_t carried_rows; /* of answers: they left since it was told last; `bytes` are theirs */
    uint64_t next_bytes;   /* what the answer goes on with needs so many */
    uint64_t telling;      /* afterwards: the same when it is told again; 0 = it never is */
    uint64_t when_unix_s;  /* of refused attempts: the first of them; 0 = now */
    uint8_t wants;         /* sp_db_spend_wants */
    uint8_t guesses;       /* 1: how many rows it changes is known when it has run */
    sp_span resource;
} sp_db_spend;

/* What may leave now, besides what has been told as carried. */
typedef struct {
    uint64_t rows; /* 0 where the limit is none */
    uint64_t bytes;
} sp_db_granted;

typedef struct {
    uint64_t ask;
    uint8_t whole_database; /* 1: everything; relations: words of the statement, {"name"}, among
                             * which is what it names; empty: not known */
    uint32_t holder;        /* the server's process that holds them for the statement; 0 = nobody */
    sp_span resource;
    sp_span database;
    sp_span relations; /* JSON array of {"schema","name"} */
    sp_span snapshot;  /* pg_export_snapshot() of the asking connection; may be empty */
    sp_span verbs;     /* of the statement, "DELETE TRUNCATE CASCADE"; ANY = nobody knows */
} sp_db_keep;

typedef struct {
    uint64_t keep;
    uint64_t bytes;
    uint64_t duration_ms;
    sp_span why; /* for the client, when it could not be kept; else empty */
} sp_db_kept;

typedef struct {
    uint64_t connection;
    sp_span reason; /* for the client */
} sp_db_kill;

typedef struct {
    uint64_t connection;
} sp_db_cancel;

/* Writers append a body; a failure stays in the buffer. Readers need the whole body:
 * SP_ESHORT, SP_ELIMIT, SP_EINVALID. Texts for people and names are valid UTF-8 without NUL. */
void sp_db_sasl_write(const sp_db_sasl *sasl, sp_buf *out);
SP_MUST sp_err sp_db_sasl_read(sp_span body, sp_db_sasl *ret_sasl);
void sp_db_sasl_step_write(const sp_db_sasl_step *step, sp_buf *out);
SP_MUST sp_err sp_db_sasl_step_read(sp_span body, sp_db_sasl_step *ret_step);
void sp_db_cert_write(const sp_db_cert *cert, sp_buf *out);
SP_MUST sp_err sp_db_cert_read(sp_span body, sp_db_cert *ret_cert);
void sp_db_session_write(const sp_db_session *session, sp_buf *out);
SP_MUST sp_err sp_db_session_read(sp_span body, sp_db_session *ret_session);
void sp_db_conn_write(const sp_db_conn *conn, sp_buf *out);
SP_MUST sp_err sp_db_conn_read(sp_span body, sp_db_conn *ret_conn);
void sp_db_ask_write(const sp_db_ask *ask, sp_buf *out);
SP_MUST sp_err sp_db_ask_read(sp_span body, sp_db_ask *ret_ask);
void sp_db_ask_id_write(const sp_db_ask_id *id, sp_buf *out);
SP_MUST sp_err sp_db_ask_id_read(sp_span body, sp_db_ask_id *ret_id);
void sp_db_ask_use_write(const sp_db_ask_use *use, sp_buf *out);
SP_MUST sp_err sp_db_ask_use_read(sp_span body, sp_db_ask_use *ret_use);
void sp_db_ask_done_write(const sp_db_ask_done *done, sp_buf *out);
SP_MUST sp_err sp_db_ask_done_read(sp_span body, sp_db_ask_done *ret_done);
void sp_db_spend_write(const sp_db_spend *spend, sp_buf *out);
SP_MUST sp_err sp_db_spend_read(sp_span body, sp_db_spend *ret_spend);
void sp_db_granted_write(const sp_db_granted *granted, sp_buf *out);
SP_MUST sp_err sp_db_granted_read(sp_span body, sp_db_granted *ret_granted);
void sp_db_keep_write(const sp_db_keep *keep, sp_buf *out);
SP_MUST sp_err sp_db_keep_read(sp_span body, sp_db_keep *ret_keep);
void sp_db_kept_write(const sp_db_kept *kept, sp_buf *out);
SP_MUST sp_err sp_db_kept_read(sp_span body, sp_db_kept *ret_kept);
void sp_db_kill_write(const sp_db_kill *kill, sp_buf *out);
SP_MUST sp_err sp_db_kill_read(sp_span body, sp_db_kill *ret_kill);
void sp_db_cancel_write(const sp_db_cancel *cancel, sp_buf *out);
SP_MUST sp_err sp_db_cancel_read(sp_span body, sp_db_cancel *ret_cancel);

bool sp_db_has_fingerprint(const sp_db_fingerprint *fingerprint);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The seam between the pump of messages and what decides about them.
 *
 * Story: when a client has logged in, the pump asks db_judge_connect(); when it says DB_PASS the
 * gate logs in at the database. From then on every front message that carries or runs SQL comes to
 * db_judge_front() before a byte of it is sent on, and the answer is what becomes of it:
 *
 *     DB_PASS     it is forwarded as it came
 *     DB_REPLACE  what was appended to *out is sent instead (one message of the same kind)
 *     DB_REFUSE   the client gets *refusal as an ErrorResponse at exactly this place: idle in the
 *                 simple protocol the gate answers itself; else the message is replaced by one that
 *                 makes the server raise an error there, so that order, the end of the transaction
 *                 and skip-until-Sync are the server's own, and that error is replaced by ours
 *     DB_WAIT     nothing is read from this client until db_session_resume(); then the very same
 *                 message is judged again
 *     DB_CUT      *refusal is sent as FATAL and the connection ends
 *
 * Each message that was passed and gets an answer is a db_flight until that answer is complete;
 * the judge may hang its own on it (word, note), and db_judge_end() is called exactly once for it.
 * Messages of the server come to db_judge_back() only while their bit is set in db_session_watch();
 * all others pass as runs of bytes that are not looked into.
 *
 * OWNS what it hangs on sessions and flights. PROCESS db gate workers. TRUST front and back bytes
 * are hostile. SPEC docs/ARCHITECTURE.md "Database gate", lib/proto/pgwire.h.
 */
#ifndef SP_GATES_DB_JUDGE_H
#define SP_GATES_DB_JUDGE_H

#include "lib/policy/types.h"
#include "lib/proto/msg.h"
#include "lib/proto/pgwire.h"

typedef struct db_session db_session;
typedef struct db_judge db_judge;

enum {
    DB_STATEMENT_MAX_BYTES = 1 << 20, /* Query and Parse come whole, longer ones are refused */
    DB_BIND_WHOLE_BYTES = 64 * 1024,  /* a longer Bind comes with its beginning only */
    DB_BACK_MAX_BYTES = 64 << 20      /* a watched message of the server; longer ones cut */
};

typedef enum { DB_PASS, DB_REPLACE, DB_REFUSE, DB_WAIT, DB_CUT } db_verdict;

/* What the client is told. Texts are one sentence each; detail and hint may be empty. */
typedef struct {
    char sqlstate[6]; /* 42501 policy, 0A000 and 42601 unparsed, 53xxx limits, 57P01 cut */
    sp_reason reason;
    uint64_t reference; /* stands in the detail; 0 = none */
    uint32_t position;  /* character of the statement, from 1; 0 = nowhere */
    char message[320];
    char detail[512];
    char hint[320];
} db_refusal;

typedef struct db_note db_note; /* the judge's own */
typedef struct db_poison db_poison;

/* A front message whose answer is not complete yet. */
typedef struct {
    uint8_t type; /* Q P B D E C F S */
    uint8_t flags;
    uint32_t word;     /* the judge's own */
    db_note *note;     /* likewise; NULL = it has none, as what was refused and what is ours */
    db_poison *poison; /* of one that was refused: what the client gets; NULL = it was not */
    uint64_t started_us;
} db_flight;

typedef enum {
    DB_END_DONE,
    DB_END_SUSPENDED, /* Execute: rows_max reached, the portal stays */
    DB_END_FAILED,    /* the server raised an error; sqlstate says which */
    DB_END_SKIPPED,   /* never ran: an earlier message of the pipeline failed */
    DB_END_LOST       /* the connection ended before the answer was complete */
} db_how;

typedef struct {
    db_how how;
    uint64_t rows;      /* DataRow messages, and CopyData of a COPY that did not end well */
    uint64_t touched;   /* the counts of its CommandComplete messages together */
    uint64_t bytes_out; /* of DataRow, CopyData, errors and notices to the client */
    uint64_t bytes_in;  /* of CopyData from the client */
    uint64_t duration_us;
    sp_span tag;      /* of the (last) CommandComplete: "DELETE 3"; may be empty */
    char sqlstate[6]; /* DB_END_FAILED */
} db_end;

/* Bits of db_session_watch(). */
enum {
    DB_WATCH_ROW_DESCRIPTION = 1 << 0, /* T */
    DB_WATCH_DATA_ROW = 1 << 1,        /* D */
    DB_WATCH_COMPLETE = 1 << 2,        /* C I s */
    DB_WATCH_ERROR = 1 << 3,           /* E */
    DB_WATCH_NOTICE = 1 << 4,          /* N */
    DB_WATCH_COPY = 1 << 5,            /* G H W: CopyIn, CopyOut, CopyBoth */
    DB_WATCH_COPY_DATA = 1 << 6,       /* d c of the server */
    DB_WATCH_READY = 1 << 7,           /* Z */
    DB_WATCH_STATUS = 1 << 8,          /* S */
    DB_WATCH_NOTIFICATION = 1 << 9     /* A */
};

/* ---- what the judge does ---- */

/* Once a worker, before it serves: self-tests, caches. */
SP_MUST sp_err db_judge_start(void);
/* Once, when all sessions have ended: tells core what it was not told yet. */
void db_judge_stop(void);
/* Once a second. */
void db_judge_tick(void);
/* The snapshot was replaced: what is bound to it is bound again. */
void db_judge_policy_changed(void);

/* A push of core that the pump does not know (ASK_DONE). */
void db_judge_push(const sp_msg *msg);

/* The account as which its person works on his device, in the snapshot of the session; false: none,
 * and the refusal says why. */
bool db_judge_account(const db_session *session, sp_span *ret_account, db_refusal *refusal);
/* After log-in. DB_PASS, DB_REFUSE (the log-in fails with *refusal) or DB_WAIT (a catalogue is
 * being read: asked again after db_session_resume()). */
db_verdict db_judge_connect(db_session *session, db_refusal *refusal);
/* Once the server is ready: what it said of itself is in db_session_server_status(). DB_PASS or
 * DB_CUT. */
db_verdict db_judge_ready(db_session *session, db_refusal *refusal);
/* A parameter that the server reports, at any time. False: there is no memory to know it. */
SP_MUST bool db_judge_status(db_session *session, sp_span name, sp_span value);
/* What the client is told beforehand: NoticeResponses, between the log-in and its end. */
void db_judge_greet(const db_session *session, sp_buf *out);
/* The epoch moved or the policy changed: DB_PASS or DB_CUT. Also forgets cached decisions. */
db_verdict db_judge_again(db_session *session, db_refusal *refusal);
/* Q P B D E C F d c f S. d comes as it arrives, any number of messages as one run, with type 'd',
 * body the run (heads included) and whole false. flight is NULL for d c f. */
db_verdict db_judge_front(db_session *session, const sp_pg_msg *msg, db_flight *flight, sp_buf *out,
                          db_refusal *refusal);
/* Writes down a refusal that no judgement stands behind: of a message that is too long, of a
 * function that is called by its number. What the client was told is what it was. */
void db_judge_unjudged(db_session *session, const db_refusal *refusal);
/* A watched message of the server, or a row, error or notice of an answer that is large
 * (db_session_set_large(); not whole, then). DB_PASS, DB_REPLACE (appends nothing = it is dropped),
 * DB_CUT, DB_WAIT (nothing of the server is read until db_session_resume_answer(); then it is
 * judged again), or DB_REFUSE: the rest of this result is dropped, the statement is cancelled at
 * the server, and its end is replaced by *refusal. flight: whose answer it is; NULL for what
 * belongs to none. */
db_verdict db_judge_back(db_session *session, const sp_pg_msg *msg, db_flight *flight, sp_buf *out,
                         db_refusal *refusal);
/* Exactly once for each flight that db_judge_front() passed or replaced. */
void db_judge_end(db_session *session, db_flight *flight, const db_end *end);
/* A message of that type goes to the server which is ours, or stands for a refused one: the word of
 * its flight; and the end of that flight. */
uint32_t db_judge_ours(db_session *session, uint8_t type);
/* An error that belongs to no message: false where there can be none. Within a pipeline the server
 * skips to Sync, and so does the session. */
bool db_judge_stray(db_session *session);
void db_judge_ours_end(db_session *session, const db_flight *flight, const db_end *end);
/* The client asked to cancel while his message waits: the judge gives up and calls resume; the
 * next db_judge_front() answers DB_REFUSE. */
void db_judge_cancelled(db_session *session);
/* His message waits for other people, or will. */
bool db_judge_asks(const db_session *session);
/* A push of core about a statement that waits for other people: ASK_DONE. */
void db_judge_push(const sp_msg *msg);
/* The client is gone: his message that waits will not run. */
void db_judge_left(db_session *session);
/* Core, perhaps another one, has answered HELLO: it hears what it could not be told. */
void db_judge_hello(void);
/* The session ends: frees what hangs on it. */
void db_judge_gone(db_session *session);

/* ---- what the judge may ask and do ---- */

db_judge *db_session_judge(const db_session *session);
void db_session_set_judge(db_session *session, db_judge *judge);
uint32_t db_session_watch(const db_session *session);
void db_session_set_watch(db_session *session, uint32_t bits);
/* Beyond so many rows or bytes an answer is large. */
void db_session_set_large(db_session *session, uint64_t rows, uint64_t bytes);
/* A parameter the server reported at start ("server_version", "is_superuser"), empty if it did
 * not. Valid in db_judge_ready() only. */
sp_span db_session_server_status(const db_session *session, sp_span name);
/* Whether messages of this client are under way; with DB_WAIT the message is judged again when all
 * are answered. */
bool db_session_drain(db_session *session);
/* Judges the waiting message again, soon. */
void db_session_resume(db_session *session);
/* Judges the message of the server that waits again, soon. */
void db_session_resume_answer(db_session *session);
/* Sends a NOTICE, also while a message waits. */
void db_session_notice(db_session *session, sp_span sqlstate, sp_span message, sp_span hint);

#endif

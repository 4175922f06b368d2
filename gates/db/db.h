/* SPDX-License-Identifier: Apache-2.0
 * What the files of the database gate share: a worker and its sessions.
 *
 * Story: the supervisor (supervisor.c) forks workers. A worker (worker.c) accepts connections and
 * makes a session of each. front.c reads the first packets and the start-up parameters over TLS;
 * login.c lets core answer the log-in; the judge says whether the connection may be; back.c logs
 * in at the database with a proof from the vault. Then messages pass: pump_front.c from the client
 * through the judge to the server, pump_back.c the other way; flights.c knows which answer belongs
 * to what. A cancel request finds its session by number, in another worker too (cancel.c).
 *
 * OWNS the worker and all sessions of this process. PROCESS db gate workers. TRUST both sides'
 * bytes are hostile. SPEC docs/ARCHITECTURE.md "Database gate".
 */
#ifndef SP_GATES_DB_DB_H
#define SP_GATES_DB_DB_H

#include "gates/db/back.h"
#include "gates/db/judge.h"
#include "gates/db/share.h"
#include "gates/db/stream.h"
#include "infra/gate/give.h"
#include "infra/gate/office.h"
#include "infra/gate/recorder.h"
#include "infra/proc/config.h"
#include "lib/base/sha256.h"
#include "lib/policy/database.h"
#include "lib/policy/types.h"

enum {
    DB_UNKNOWN_MAX = 512, /* connections before log-in, a worker: the oldest gives way */
    DB_LOGIN_US = 15000000,
    DB_REVOKED_US = 50000,      /* for the last words of one that may not go on */
    DB_LAST_WORDS_US = 2000000, /* of any other */
    DB_CROWDED_US = 5000,       /* how long statements wait for room in the event ring */
    DB_FLIGHTS_MAX = 2048,      /* messages of one client that wait for answers */
    DB_END_POINT_MAX_BYTES = 64,
    DB_NAME_BYTES = 64 /* with NUL */
};

typedef enum {
    DB_AT_FIRST,  /* SSLRequest, GSSENCRequest, CancelRequest, StartupMessage or TLS */
    DB_AT_TLS,    /* in the handshake */
    DB_AT_START,  /* TLS is there, the StartupMessage is not */
    DB_AT_SASL,   /* waits for the client's next SASL message */
    DB_AT_CORE,   /* waits for core's answer about the log-in */
    DB_AT_JUDGE,  /* waits until the judge knows the database */
    DB_AT_BACK,   /* waits for the database's log-in */
    DB_AT_OPEN,   /* messages pass */
    DB_AT_ENDING, /* the last words are on their way */
    DB_AT_COUNT
} db_at;

/* What is only needed until messages pass. */
typedef struct {
    sp_buf in;         /* of the client, not read yet */
    sp_buf parameters; /* for the server: name NUL value NUL ... */
    size_t parameter_count;
    char user[DB_NAME_BYTES];
    char resource[DB_NAME_BYTES];
    char database[DB_NAME_BYTES]; /* as asked for, may be empty */
    char application[DB_NAME_BYTES];
    uint8_t mechanism; /* sp_db_mechanism */
    bool sasl_begun;
    uint32_t conversation; /* with core; a number is not used again soon */
    bool direct_tls;
    bool asked_ssl;
    bool asked_gss;
    uint32_t call; /* to core, 0 = none */
} db_login;

/* What is kept before it is destroyed is held against others (hold.c). */
typedef enum {
    DB_HOLD_NONE,
    DB_HOLD_ASKED,   /* the server locks */
    DB_HOLD_HELD,    /* in a transaction that is ours; the statement has not been sent */
    DB_HOLD_RUNNING, /* it has; no other message may follow */
    DB_HOLD_ENDING,  /* our transaction ends, as part of the statement's answer */
    DB_HOLD_UNDOING, /* our transaction is rolled back */
    DB_HOLD_FAILED   /* within a pipeline: the server skips to Sync already */
} db_hold;

typedef struct {
    db_flight *items; /* ring of cap, a power of two */
    uint32_t head;
    uint32_t count;
    uint32_t cap;
    uint32_t ready_count; /* of these, that end with ReadyForQuery: what is behind runs whatever
                             becomes of them */
} db_flights;

enum { DB_KEY_BYTES = 4, DB_KEY_MAX_BYTES = 32 /* from protocol 3.2 on */ };

/* In a list of some of the sessions. */
typedef struct db_place db_place;
struct db_place {
    db_place *next;
    db_place **link; /* NULL = not in it */
    db_session *session;
};

struct db_session {
    db_stream front;
    db_back *back; /* NULL = none yet, or gone */
    db_at at;
    uint32_t slot;                 /* in the worker's table */
    uint8_t key_len;               /* of key: by the protocol that the client asked for */
    uint8_t key[DB_KEY_MAX_BYTES]; /* with the slot: what a cancel request must name */
    sp_timer timer;                /* for the log-in, for last words */
    sp_deferred again;             /* go on pumping */
    sp_deferred free;
    db_session *next; /* of those not logged in yet, oldest first */
    db_session **back_link;
    db_place busy;     /* with answers under way */
    db_place attended; /* its judge waits for something, or has something to put away */
    db_login *login;   /* NULL once open */

    /* who */
    uint64_t connection; /* reference, for people and core */
    uint64_t opened_unix_us;
    db_share *share; /* of the person's connections here; NULL = nobody's yet, or no more */
    size_t held;     /* of it, by this one */
    db_session *next_waiting; /* of the person's that wait for their turn */
    bool waits_turn;
    uint32_t live_slot;
    uint64_t live_id;   /* 0 = not logged in */
    const void *table;  /* the live table in which it was found last */
    uint64_t active_us; /* of the loop's clock: the last message that was judged; 0 = none */
    uint64_t found_us;  /* when who was found: its auth_age_s was auth_age_found_s then */
    uint32_t auth_age_found_s;
    uint64_t next_seen_us; /* sp_rider */
    bool has_certificate;
    sp_hash fingerprint;
    sp_subject who;
    uint64_t device_id;
    char person_name[SP_LIVE_NAME_BYTES];
    char device_name[SP_LIVE_NAME_BYTES];
    char resource_name[DB_NAME_BYTES];
    char database[DB_NAME_BYTES];
    char account[DB_NAME_BYTES];
    char application[DB_NAME_BYTES];
    sp_gate_snapshot *snapshot; /* that resource belongs to */
    uint32_t resource;
    uint64_t place; /* of the server that it was opened to: db_catalogue_place(); 0 = not yet */

    /* messages */
    db_judge *judge;
    uint32_t watch;      /* DB_WATCH_ bits */
    uint64_t large_rows; /* beyond these an answer is large: the judge is asked whether it may be */
    uint64_t large_bytes;
    db_flights flights;
    sp_buf front_carry; /* a message of the client that is not whole yet, or waits */
    sp_buf back_carry;
    uint32_t front_left; /* bytes of a message that still pass, or are dropped */
    uint32_t back_left;
    bool front_drops;
    bool back_drops;
    bool back_mutes; /* dropped up to ReadyForQuery: DB_REFUSE of db_judge_back() */
    bool back_waits; /* for db_session_resume_answer(): nothing of the server is read */
    bool back_resumed;
    bool has_changed; /* something that does more than read, since nothing was under way */
    bool has_ended;   /* likewise a transaction, as far as was asked for */
    bool has_begun;   /* likewise */
    bool is_unsynced; /* messages of the extended protocol came, and no Sync or Query behind them:
                         the server may be in a transaction that no ReadyForQuery told of */
    bool is_asked;    /* for their answers, of all of them */
    bool waits;       /* for db_session_resume() */
    bool drains;      /* until all that is under way was answered */
    bool resumed;
    bool turn_over;   /* what is there is looked at again, behind others */
    bool full;        /* too many flights: the carry is looked at again when some have ended */
    bool front_ended; /* the client said Terminate, or sent its last byte */
    bool front_read;  /* all that he sent is here */
    bool said_bye;    /* by Terminate, behind what runs */
    bool skipping;    /* the server skips until Sync */
    bool copy_in;     /* the server reads CopyData */
    bool copy_fails;  /* and was told to stop: its error comes */
    uint8_t transaction;
    db_hold hold;
    bool hold_wraps;    /* in a transaction of ours */
    char hold_state[6]; /* why it could not be held; empty = it could */
    char *hold_why;     /* in the server's words; NULL = it said nothing */
    bool mid_message;   /* the client has the beginning of a message: nothing may come between */
    bool left;        /* the client is gone, or cut, and the server still runs what he asked for */
    bool given_up;    /* for nobody, or too long: it was told to stop */
    bool is_finished; /* and that what it reads has no end */
    uint32_t cancelled_count; /* of flights, when it was told so */
    uint64_t leave_by_us; /* of the loop's clock: so long the server has; 0 = the client is there */
    bool back_gone;       /* the server has closed the connection */
    bool fatal_passed;    /* the server said why it ends */
    bool has_place;       /* in core's list of connections */
    bool is_told;         /* why it ends; the server is left when all others are told too */
    bool is_revoked;      /* it may not go on: what the client does not take soon it does not get */
    char sqlstate[6];     /* of the error in the answer under way */
    char tag[DB_NAME_BYTES]; /* of its last CommandComplete */
    uint64_t rows;           /* of the answer under way */
    uint64_t copied;         /* likewise CopyData: of a COPY whose end has not counted them yet */
    uint64_t touched;        /* as its CommandCompletes say */
    uint64_t bytes_out;
    uint64_t bytes_in;
};

typedef struct {
    sp_loop *loop;
    const sp_config *config;
    unsigned number; /* 0 .. count - 1 */
    unsigned count;
    bool stopping;
    bool may_be_plain; /* postgres_tls: optional */
    sp_office office;
    sp_recorder recorder;
    sp_link vault;
    sp_give give;
    sp_watch mesh_watch; /* what others send us */
    sp_watch listening[SP_LISTEN_MAX];
    size_t listening_count;
    sp_timer tick;
    int pulse_fd;
    uint64_t epoch; /* of the live table, when all were looked at last */
    uint32_t conversations;
    db_session **sessions; /* by slot; NULL = free */
    uint32_t *free_slots;
    uint32_t free_count;
    uint32_t session_cap;
    uint32_t session_count;
    db_session *unknown; /* not logged in, oldest first */
    db_session **unknown_end;
    uint32_t unknown_count;
    /* those few of them that a tick looks at */
    db_place *busy;
    db_place *attended;
} db_worker;

extern db_worker db_here;

/* ---- worker.c ---- */
/* The life of a worker; the exit status. */
int db_worker_run(const sp_worker_start *start);

/* ---- session.c ---- */
/* Takes an accepted descriptor. */
void db_session_new(int fd, const struct sockaddr *address);
/* Logged in: not among the unknown any more. */
void db_session_known(db_session *session);
/* What is to be said last is in the front stream; it closes when that is out. */
void db_session_end(db_session *session);
/* At once. */
void db_session_drop(db_session *session);
void db_session_look_again(void);
/* Whether it may go on, by the live table and the policy of now. */
bool db_session_may_go_on(db_session *session, db_refusal *refusal);
/* A second time changes nothing. */
void db_place_enter(db_place **list, db_place *place, db_session *session);
void db_place_leave(db_place *place);
/* Tells a core that has come back of all that have a place. */
void db_session_tell_all(void);
/* By the number that core knows it by; NULL = not here, or gone. */
db_session *db_session_of(uint64_t connection);
/* FATAL with the reason that somebody gave. */
void db_session_kill(uint64_t connection, sp_span reason);
/* A place in core's list, which is given back when the session is dropped; replied with SP_ELIMIT
 * when its person has too many. The call; 0 = there is no reply. */
uint32_t db_session_ask_place(db_session *session, sp_link_reply on_reply);

/* ---- leave.c ---- */
/* An ErrorResponse FATAL, a record of it, and the end; what runs is cancelled, and the server is
 * read until all was answered. */
void db_session_fail(db_session *session, const db_refusal *refusal);
/* The same where the server has failed, or its answers cannot be followed: it is left at once. */
void db_session_break(db_session *session, const db_refusal *refusal);
/* The same in parts: the client hears why, and it is recorded; */
void db_session_tell_failure(db_session *session, const db_refusal *refusal);
/* what runs is cancelled, and counts as far as it was done; */
void db_session_cut(db_session *session);
/* or the server is left at once. */
void db_session_leave_server(db_session *session);
void db_session_close_front(db_session *session);
/* The client is gone; what still runs is cancelled, or has a while when he said goodbye behind it.
 */
void db_session_leave(db_session *session);
/* The server has answered something since. */
void db_session_go_on_leaving(db_session *session);
/* Nothing of the client is read now: what he has said already tells whether he is there. */
void db_session_hear_the_end(db_session *session);
/* Once a second, for those who are waiting for an answer: their sessions are in use. It looks at no
 * others, of which there may be thousands. */
void db_session_tick(void);

/* ---- subject.c ---- */
/* Looks up who it is now; false with the reason when it is nobody any more. */
bool db_subject_find(db_session *session, sp_reason *ret_reason);
/* It does something now: time has passed since the person proved himself, and core is told now and
 * then that the session is in use, so that it does not end as idle. */
void db_subject_active(db_session *session, uint64_t now_us);

/* ---- front.c ---- */
void db_front_on_ready(db_stream *stream);
/* ---- login.c ---- */
void db_login_begin(db_session *session);
/* The client is gone in the middle of it: core need not wait for the rest. */
void db_login_give_up(const db_session *session);
void db_login_message(db_session *session, const sp_pg_msg *msg);
/* ---- open.c ---- */
/* Logged in: may it connect, and then to the server. Also when the judge resumes. */
void db_open_go_on(db_session *session);
/* The search path of the resource, as a value for the server. */
void db_open_path(const db_session *session, const sp_database_resource *to, sp_buf *path);
/* ---- pump_front.c, pump_back.c ---- */
void db_pump_front(db_session *session);
/* The client sends no more, and what he sent is not read now. */
typedef enum {
    DB_REST_OPEN, /* more than is looked at, or it is read in its turn */
    DB_REST_BYE,  /* he said goodbye behind it */
    DB_REST_GONE
} db_rest;
db_rest db_pump_front_rest(db_session *session);
void db_pump_back(db_session *session);
/* Both directions, as far as they go now. */
void db_pump(db_session *session);

/* ---- turns.c ---- */
/* Whether messages of this session may be judged now; else it waits in line. */
bool db_turn_is(const db_session *session);
/* Its messages are looked at again (db_pump()) when it is its turn; a second time changes nothing.
 * The session has a share. */
void db_turn_wait(db_session *session);
void db_turn_leave(db_session *session);
/* So long was judged just now. */
void db_turn_took(uint64_t time_us);

/* ---- answers.c ---- */
/* A message of the server's that is the client's: what it ends is ended. False: it does not fit. */
bool db_answers_move_on(db_session *session, const sp_pg_msg *msg);
/* The first message that waits is of that type, or of that other. */
bool db_answers_head_is(db_session *session, uint8_t type, uint8_t other);
/* It ends with ReadyForQuery. flight NULL: there is none. */
bool db_answers_ends_simple(const db_flight *flight);
/* ---- flights.c ---- */
enum {
    DB_FLIGHT_COPY = 1, /* the server may read CopyData for it: nothing is sent behind it before */
    DB_FLIGHT_OURS = 2, /* asked by us: the client sees nothing of it */
    DB_FLIGHT_LIMITED = 4, /* its answer may be refused: nothing is sent behind it before its end */
    DB_FLIGHT_LARGE = 8,   /* whether so large an answer may be had has been asked */
    DB_FLIGHT_GUARD =
        32, /* a Close of ours in front of a Query: an error that is of no message is its */
    DB_FLIGHT_ALONE = 64 /* a Close of ours with nothing behind it, after ReadyForQuery */
};
struct db_poison {
    size_t len;
    uint8_t error[]; /* the ErrorResponse that the client gets */
};
SP_MUST sp_err db_flights_add(db_session *session, const db_flight *flight);
db_flight *db_flights_head(db_session *session);
/* The place-th that waits for its answer, oldest first; place < count. */
const db_flight *db_flights_at(const db_session *session, uint32_t place);
/* Ends the first one, with what was counted for it. */
void db_flights_pop(db_session *session, db_how how);
/* The server raised an error in the extended protocol: the first failed, those up to the next Sync
 * never run. */
void db_flights_fail(db_session *session);
/* The newest may turn the server to CopyData, which eats Syncs and takes other messages amiss: what
 * the client sent behind it waits until the server has said that it does, or that it is over. */
bool db_flights_may_copy(const db_session *session);
/* The newest may, or its answer has a limit. */
bool db_flights_is_alone(const db_session *session);
void db_flights_done(db_session *session);

/* ---- catalogue.c ---- */
/* A hash of where the server of a resource is and of the search path there, by that policy: what
 * was opened by another one is another database. */
uint64_t db_catalogue_place(const sp_policy *policy, uint32_t resource);

/* ---- run.c ---- */
/* Bytes that go on: stretches of the input, as they lie, and what is put between them. */
typedef struct {
    const uint8_t *from;
    size_t len;
    sp_buf *box; /* NULL until something was put */
} db_run;
void db_run_add(db_run *run, const uint8_t *from, size_t len);
void db_run_put(db_run *run, sp_span bytes);
SP_MUST sp_err db_run_send(db_run *run, db_stream *to);

/* ---- hold.c ---- */
/* A message of the server to what we asked; false when it does not fit. */
bool db_hold_answer(db_session *session, const sp_pg_msg *msg);
/* What the server raises while it waits for a message (an expired statement_timeout) it tells at
 * the next one. At a Flush, which has no answer, it skips then all up to Sync, Queries too, and
 * whose error it is would show by no answer. So a Query behind messages that were not synced has a
 * Close in front, of a portal that nobody has: appended to *out, with its flight. SP_ENOMEM. */
SP_MUST sp_err db_hold_guard(db_session *session, sp_buf *out);
/* An answer to that Close; false: it is the client's. */
bool db_hold_guard_answer(db_session *session, const sp_pg_msg *msg, bool *ret_fits);
/* The statement is over, or what should have ended our transaction: true when its ReadyForQuery
 * waits for the end of that. */
bool db_hold_end(db_session *session, const sp_pg_msg *msg);
/* A transaction of ours around a Query would be another one than the client's: he began or ended
 * one since the last ReadyForQuery, which tells of none of that. */
bool db_hold_is_blind(const db_session *session);
/* Why it could not be held, of that sqlstate; what was said last, perhaps nothing. */
void db_hold_say(db_session *session, sp_span sqlstate, sp_span why);
const char *db_hold_why(const db_session *session);
/* It does not run after all. */
void db_hold_undo(db_session *session, db_run *run);

/* ---- refuse.c ---- */
__attribute__((format(printf, 4, 5))) void db_refuse(db_refusal *refusal, const char *sqlstate,
                                                     sp_reason reason, const char *message, ...);
/* An ErrorResponse or NoticeResponse of it. */
void db_refusal_write(const db_refusal *refusal, const char *severity, sp_buf *out);
/* What makes the server raise an error, whatever the state of its transaction, and nothing else: a
 * Query, or a Parse. */
void db_refusal_poison(bool simple, sp_buf *out);

/* ---- whole.c ---- */
/* The server came to an end with an answer that was refused, as if nothing had been: what it did is
 * undone, what stands behind is skipped. *ret_ours: the message is not the client's. False: it
 * cannot be. */
SP_MUST bool db_whole_end(db_session *session, const sp_pg_msg *msg, bool *ret_ours);

/* ---- cancel.c ---- */
void db_cancel_request(uint32_t pid, sp_span key, const uint8_t peer[16]);
/* What it runs, or waits for. */
void db_cancel_session(db_session *session);
void db_cancel_here(uint32_t pid, sp_span key, const uint8_t peer[16]);
uint32_t db_cancel_pid(const db_session *session);
/* In record.c: one that had the wrong key, or was not looked at. */
void db_cancel_refused(const uint8_t peer[16]);

/* ---- mesh.c ---- */
void db_mesh_on_ready(sp_watch *watch, unsigned ready);
void db_mesh_cancel(uint32_t number, uint32_t pid, sp_span key, const uint8_t peer[16]);
/* Names of that database mean other rows from now on: for db_catalogue_moved_elsewhere(). */
void db_mesh_moved(const char resource[DB_NAME_BYTES], const char database[DB_NAME_BYTES]);

/* ---- record.c ---- */
/* An event about this session, with everything known about who and where. */
sp_event db_event_of(const db_session *session, sp_event_kind kind);
/* What the detail of an event says of a statement besides. */
enum {
    DB_MARK_CODE = 1U << 0, /* nobody could look into it */
    DB_MARK_FUNCTION = 1U << 1,
    DB_MARK_WHOLE = 1U << 2, /* it destroys a whole database or schema */
    DB_DETAIL_BYTES = 512
};
/* The detail of an event about a statement: its connection, its marks (bits of DB_MARK_) and, with
 * key, what it came to. Written into room. */
/* The refusal of somebody whom nobody knows: an event of its own, or counted; *reference is then
 * that of the event it is counted with. */
bool db_stranger_refused(const db_session *session, sp_reason reason, uint64_t *reference);
void db_strangers_sweep(bool all);
sp_span db_event_detail(const db_session *session, unsigned marks, const char *key, sp_span value,
                        char room[DB_DETAIL_BYTES]);

#endif

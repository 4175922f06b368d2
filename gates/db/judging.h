/* SPDX-License-Identifier: Apache-2.0
 * What the files of the judge share: the catalogue of a database, names of prepared statements and
 * portals, rulings, notes that hang on flights.
 *
 * Story: judge.c answers the pump. catalogue.c reads what a database holds, once a worker and
 * database, over a connection of its own. names.c remembers what prepared statements and portals
 * stand for, so that running one is judged as its text. ruling.c asks policy about each use; the
 * gravest verdict holds.
 *
 * OWNS what hangs on db_session.judge. PROCESS db gate workers. TRUST names and texts are hostile.
 * SPEC gates/db/judge.h, lib/sql/judge.h.
 */
#ifndef SP_GATES_DB_JUDGING_H
#define SP_GATES_DB_JUDGING_H

#include "gates/db/db.h"
#include "gates/db/names.h"
#include "gates/db/temps.h"
#include "lib/mask/mask.h"
#include "lib/proto/db_msg.h"
#include "lib/sql/known.h"

/* ---- dangers.c: accounts that the gate does not work with ---- */

enum { DB_DANGERS_MAX = 4096 };
typedef struct {
    char who[DB_NAME_BYTES];
    char why[128];
} db_danger;
typedef struct {
    db_danger *items;
    uint32_t count;
    uint32_t cap;
    bool is_full; /* there are more, or there is no memory for them */
} db_dangers;
/* A statement whose rows are 'd', who, why; and what makes them part of a print. */
extern const char db_dangers_sql[];
extern const char db_dangers_print_sql[];
void db_dangers_add(db_dangers *dangers, sp_span who, sp_span why);
void db_dangers_clear(db_dangers *dangers);
/* Why it is one of them; NULL: it is not. */
const char *db_dangers_of(const db_dangers *dangers, const char *account);

/* ---- catalogue.c ---- */

/* Relations on which somebody has, or waits for, a lock that holds up changes of rows. */
enum { DB_LOCKS_MAX = 64 };
typedef struct {
    struct {
        uint32_t oid;
        uint32_t pid;
    } items[DB_LOCKS_MAX];
    uint32_t count; /* more than DB_LOCKS_MAX: any relation may be locked */
} db_locks;

typedef struct db_catalogue db_catalogue;
struct db_catalogue {
    db_catalogue *next;
    unsigned refs;
    char resource[DB_NAME_BYTES];
    char database[DB_NAME_BYTES];
    char account[DB_NAME_BYTES];
    uint64_t place;        /* where its server is: db_catalogue_place() */
    sp_sql_catalogue *now; /* NULL = never read yet */
    uint64_t version;      /* moves with each new `now` and each binding; no other one's */
    uint64_t serial;       /* of the snapshot that it is bound to; 0 = to none */
    char failure[160];     /* why it could not be read; empty = it could */
    /* the reading */
    db_back *back;
    sp_buf carry;
    sp_sql_catalogue *next_one;
    uint32_t last_oid;
    uint32_t last_index;
    db_dangers dangers; /* of `now` */
    db_dangers next_dangers;
    char print[64]; /* of the server's catalogue when it was read */
    db_locks locks; /* when it was looked at last */
    db_locks next_locks;
    bool is_asking; /* a query is under way */
    bool lacks;     /* definitions of views that were locked: all their columns are masked */
    bool next_lacks;
    bool is_wanted;     /* read again as soon as possible */
    bool is_listening;  /* LISTEN is under way, whatever comes of it */
    bool is_read;       /* the answer under way is a whole reading, not a print */
    bool is_torn;       /* the reading under way failed; another follows it, after a while */
    sp_timer again;     /* that while */
    unsigned torn;      /* readings that failed since the last good one */
    bool is_looked_for; /* somebody waits for an answer that was asked for later than this one */
    uint64_t asked_us;  /* when the answer under way was asked for */
    uint64_t heard_us;  /* its last byte */
    uint64_t
        stale_us;     /* a name was given to other rows then, or may have been: waited for by all */
    uint64_t seen_us; /* `now` is what the server had then, or later */
    uint64_t failed_us; /* when it was tried in vain last */
    uint32_t idle_ticks;
};

/* The catalogue of the session's database, with a reference; reading begins. SP_ENOMEM. */
SP_MUST sp_err db_catalogue_get(db_session *session, db_catalogue **ret_catalogue);
void db_catalogue_unref(db_catalogue *catalogue);
/* A transaction is over in which names were given to other rows: no statement is judged by what is
 * known from before, in this worker; others hear of it. */
void db_catalogue_moved(db_catalogue *catalogue);
/* The same for the catalogues of all its accounts, here only: another worker says so. */
void db_catalogue_moved_elsewhere(sp_span resource, sp_span database);
/* Sees to it that seen_us comes to be later than now; db_pending_looked() is called then, and
 * sessions whose judge waits since look_us are resumed. */
void db_catalogue_look(db_catalogue *catalogue);
/* Binds what is known to the snapshot if it is not yet: which columns are masked. */
void db_catalogue_bind(db_catalogue *catalogue, const sp_gate_snapshot *snapshot);

/* ---- catalogue_rows.c ---- */
enum { DB_CATALOGUE_SQL_MAX = 32 * 1024 };
/* The statements that ask for a print, and for the whole when that is wanted. */
void db_catalogue_ask(bool whole, sp_buf *out);
/* A DataRow that answers them. */
SP_MUST sp_err db_catalogue_take_row(db_catalogue *catalogue, sp_span body);
void db_catalogue_tick(void);
/* As of the last look, by others than that process of the server. */
bool db_catalogue_is_locked(const db_catalogue *catalogue, uint32_t oid, uint32_t but_pid);

/* ---- ruling.c ---- */

/* An action on a relation, or with oid 0 on the resource itself. */
typedef struct {
    uint32_t oid;
    uint8_t action;
} db_met;
enum { DB_MET_MAX = 8 };

/* What policy says to all uses of a judgement together. */
typedef struct {
    sp_gate_snapshot *snapshot; /* that said it; a note holds a reference; NULL = the session's */
    uint64_t roles[SP_ROLE_WORDS]; /* of the person then, as that snapshot numbers them */
    sp_decision decision;          /* the gravest; tags, musts and mask_tags of all together */
    sp_action action;              /* what was gravest, or what was refused: the event's */
    uint32_t actions;              /* bits of all of them: budgets and keeps go by these */
    uint32_t asked;                /* bits of those that others have to agree to */
    sp_sql_use use;                /* what `action` is about */
    bool has_use;
    uint8_t marks;  /* DB_MARK_ */
    bool asks_code; /* it calls code that may not run unasked: nor may the server plan it */
    bool by_key;    /* it would be graver if a key were gone: the catalogue has to be of now */
    uint8_t met_count;
    uint32_t met_wide; /* bits of actions on anything else, or more than are kept */
    bool fills;        /* temporary relations */
    bool has_drawn;    /* what was put into those before is among it */
    bool reads_temps;  /* temporary relations, or fills them: their numbers nobody knows */
    bool runs_code;    /* of users: it may end temporary relations */
    bool is_broad;     /* it changes rows that no value names */
    db_met met[DB_MET_MAX];
} db_ruling;

/* Adds a judgement to a ruling that began as db_ruling_none(). */
db_ruling db_ruling_none(void);
void db_ruling_add(db_ruling *ruling, const db_session *session, const db_catalogue *catalogue,
                   const sp_sql_judgement *judgement);
/* One row may be made of very many (array_agg): a limit of rows is one of bytes, too, where policy
 * names none. */
void db_bound_bytes(sp_decision *decision);
/* What helps against it; may be empty. */
const char *db_ruling_hint(sp_reason reason);
/* An error for people about a ruling that is not ALLOW. */
void db_ruling_refuse(const db_ruling *ruling, const db_session *session, db_refusal *refusal);

/* ---- stands.c ---- */

/* Remembers what was asked, so that it can be asked again without the text. */
void db_ruling_meet(db_ruling *ruling, const db_catalogue *catalogue, const sp_sql_use *use);
/* Each use of a judgement by this catalogue, by action and object; the order does not matter, a
 * catalogue that was read again may have another. A name may stand for another table by now, or a
 * table have got another partition. whole: as people see it: with the flags of uses, what views
 * say, and the columns of what is named. */
sp_hash db_met_hash(const db_catalogue *catalogue, const sp_sql_judgement *judgement, bool whole);
/* What it changes somebody else had locked at the last look: it would wait. */
bool db_ruling_waits(const db_ruling *ruling, const db_session *session);

/* ---- drawn.c: what was put into temporary relations, which is read again with any of those ----
 */

/* What a statement reads that runs now stands in temporary relations, if it fills any. */
void db_drawn_keep(db_drawn *drawn, const db_ruling *ruling);

/* ---- what hangs on flights ---- */

/* What was spent of budgets before it ran, besides the statement. */
typedef struct {
    uint64_t reference;
    uint64_t rows;     /* that it was expected to change; 0 = nothing is to be settled */
    uint64_t bound;    /* more there are not; 0 = not known */
    bool is_told;      /* the server will say how many they were */
    bool guesses;      /* and nobody knows before */
    bool goes_on;      /* what it changes was counted before */
    bool is_spent;     /* or may be: core was asked, and has not said no */
    bool has_portion;  /* of the day, or core was asked for one: it is told when it is over */
    uint64_t may_rows; /* of the answer, by what was granted so far */
    uint64_t may_bytes;
} db_spent;

struct db_note {
    uint64_t number;     /* names that are closed came before this */
    uint64_t made_last;  /* the message made names from number to this; less = none */
    bool is_behind;      /* a Query in the transaction of messages that were not synced */
    bool ends_within;    /* it may end the transaction that it began in */
    sp_sql_known *names; /* the text, when it makes or ends names; NULL = it does not */
    uint64_t reference;
    db_ruling ruling;
    const char *tag;
    uint32_t flags;     /* SP_SQL_IS_ of the text */
    bool discards;      /* DISCARD ALL */
    bool ends_temps;    /* it may end temporary relations */
    bool runs_unseen;   /* by a name it runs code, which may end any of those */
    uint8_t close_kind; /* of a Close: 'S', 'P' */
    uint8_t name_len;
    uint8_t name[SP_NAME_MAX_BYTES]; /* closed */
    bool runs;                       /* an execution, that is written down at its end */
    bool is_recorded;                /* before it ran: its end is a CLOSE */
    bool is_watched;                 /* rows.c looks at its answer */
    bool has_values;                 /* a Bind with parameters */
    sp_sql_masking_mode masking;
    uint64_t serial;        /* of the snapshot that decided: what the bits of mask_tags mean */
    sp_agreed agreed;       /* what others agreed to before it ran */
    sp_copy_mask *copy;     /* COPY TO with masked columns */
    db_text *text;          /* whose answer this is, in the extended protocol */
    uint64_t moves;         /* what the session had run, bound and closed before */
    bool needs_fresh;       /* FETCH, EXECUTE: a description counts only when nothing ran since */
    db_fields *fields;      /* of a Query's answer */
    const db_fields *aimed; /* the masks of these were found for this answer */
    db_count *count;        /* of the portals that it runs; NULL = it is by itself */
    uint64_t rows;          /* that passed */
    uint64_t bytes;
    uint64_t told_rows; /* of these, to core; modulo 2^64, below 0 for those of earlier parts */
    uint64_t told_bytes;
    bool is_refused;   /* its answer was ended by us */
    bool in_one;       /* a change whose rows a budget counts: refused, and undone, when it stops at
                          the first of several parts, because the last one alone tells how many */
    bool is_export;    /* by its size, and stands in the ledger as that */
    uint8_t exporting; /* DB_EXPORT_ */
    db_spent spent;
    uint16_t shown_len;
    uint8_t shown[]; /* the statement as it may be written down */
};

/* ---- stands.c ---- */
/* Policy allows to the session's person of now what runs, with no more masks and no tighter limits;
 * false with what it says instead. */
bool db_note_stands(const db_session *session, const db_note *note, sp_decision *ret_decision);
/* What policy says of an action on what was met, and on all there is. */
sp_decision db_met_about(const db_session *session, const db_met *met, sp_action action);
sp_decision db_met_whole(const db_session *session, sp_action action);

/* ---- the session ---- */

/* What has to happen before a statement runs, for the bytes of `hash`. */
typedef enum {
    DB_PENDING_NONE,
    DB_PENDING_CALL,   /* core's reply */
    DB_PENDING_CLOCKS, /* that the server's are stopped */
    DB_PENDING_PUSH,   /* other people's word */
    DB_PENDING_HOLD,   /* locks on what it meets, and on what will be kept */
    DB_PENDING_LOOK,   /* what the database holds at this moment */
    DB_PENDING_DISK,   /* the record */
    DB_PENDING_REFUSED
} db_pending_state;

enum {
    DB_DONE_AGREED = 1 << 4,   /* others have */
    DB_DONE_APPROVED = 1 << 0, /* and their word was used */
    DB_DONE_KEPT = 1 << 1,
    DB_DONE_LOOKED = 1 << 2, /* it meets what others were asked about */
    DB_DONE_RECORDED = 1 << 3,
    DB_DONE_HELD = 1 << 5,  /* or it is known that it cannot be */
    DB_DONE_CLOCKS = 1 << 6 /* of the server's: none runs */
};

typedef struct {
    db_pending_state state;
    bool begun;        /* something had to happen; false = all of this is zero */
    bool asks;         /* others have to agree to it */
    bool keeps;        /* what is kept is held, too */
    uint8_t done;      /* DB_DONE_ */
    bool is_cancelled; /* while it was not to be stopped at once */
    uint8_t needed;
    uint8_t rules;   /* that ask */
    sp_agreed asked; /* of others; agreed to with DB_DONE_AGREED */
    uint32_t call;   /* 0 = none */
    uint32_t holder; /* the server's process that holds what is kept; 0 = nothing is held */
    uint64_t ask;    /* asked of others and not used up; 0 = none */
    uint64_t reference;
    uint64_t recorded; /* the reference under which it is on disk already; 0 = it is not */
    const char *tag;   /* of what is recorded, and its action */
    sp_action action;
    sp_hash hash;
    sp_hash
        shown;   /* what others agree to: that of `hash`, with settings that are not the default */
    sp_hash met; /* what it met when others were asked: actions and objects by number */
    uint64_t look_us;
    db_session *session;
    sp_recorder_wait wait;
    char *hint;          /* what the asker is told of the waiting; NULL = nothing */
    db_refusal *refusal; /* DB_PENDING_REFUSED; NULL = there is no memory left for it */
} db_pending;

/* A statement that wants to run. */
typedef struct {
    const db_ruling *ruling;
    const sp_sql_judgement *judgement;
    const char *tag;
    sp_span text;
    sp_span shown;
    uint32_t statements;     /* that run now; 0 = it is only looked whether they would */
    const db_values *values; /* that were bound to it; NULL = none */
    sp_pg_parse types;       /* of the values */
    bool is_portal;          /* an Execute, not a Query */
    bool goes_on;            /* with a portal that has stopped: what it changes is changed */
    bool is_typed;           /* its values are of types that PREPARE named */
} db_run_ask;

/* ---- whole.c: a refused answer leaves nothing behind ---- */
/* The answer has a limit, it may be refused when the statement has changed things already, and no
 * transaction of the client's takes that back: it runs in one of ours. DB_PASS: no need; DB_WAIT:
 * that is known when what is under way was answered; DB_CUT: it needs one; DB_REFUSE: it cannot. */
db_verdict db_whole_needs(db_session *session, const db_run_ask *run, db_refusal *refusal);

/* ---- hold.c ---- */
/* A transaction of ours and nothing else; nothing of this client is under way. db_pending_held()
 * follows. */
SP_MUST sp_err db_hold_wrap(db_session *session);
/* May all of its statements run in a transaction that they do not begin or end? */
bool db_hold_can_wrap(const sp_sql_judgement *judgement);
/* Asks for the settings of the session (estimate.c), and by that stops the server's clocks until
 * the statement runs, or ReadyForQuery; nothing of this client is under way. db_pending_held()
 * follows. */
SP_MUST sp_err db_hold_clocks(db_session *session);
/* Asks that query in front of what waits; nothing of this client is under way. db_temps_tell(), and
 * db_temps_told(), follow. */
SP_MUST sp_err db_hold_ask(db_session *session, sp_span text);
/* Runs these locks (db_locks_write()), around a Query by itself in a transaction of ours. Nothing
 * of this client is under way. db_pending_held() follows. */
SP_MUST sp_err db_hold_begin(db_session *session, const db_run_ask *run, sp_span locks);
/* ---- locks.c ---- */
/* May a query stand before it in its pipeline, as db_hold_clocks() puts one there? */
bool db_hold_may_follow(const db_run_ask *run);
/* Why what it meets, or what it destroys and is kept, cannot be held before it runs, or not all of
 * it; NULL: it can, or there is nothing that could. */
const char *db_hold_cannot(const db_session *session, const db_run_ask *run);
/* May it be held at all, and is there anything? */
bool db_locks_has(const db_session *session, const db_run_ask *run);
/* The statement that locks what it meets, and what is kept (*ret_keeps: all of that). False: there
 * is nothing to lock, or it is not held. */
bool db_locks_write(const db_session *session, const db_run_ask *run, sp_buf *out, bool *ret_keeps);
/* In pending.c. */
void db_pending_held(db_session *session, bool good);
bool db_must_keep(const db_session *session, const db_run_ask *run);

/* ---- bound.c ---- */
/* Of what would run: the text and, when there are any, the values. */
sp_hash db_run_hash(const db_run_ask *run);
/* The same for people. */
void db_run_write(const db_run_ask *run, sp_buf *out);
/* Whether values are read as they are shown: of a "char" the first byte of '199' is all there is.
 */
bool db_values_are_plain(const db_run_ask *run);
/* No parameter that a Parse declares is of a type for which users made casts: which of them run
 * would stand nowhere in the text. Nor of one that may be a temporary table's, where a table is
 * made of it. False with a refusal. */
bool db_types_fit(const db_session *session, const sp_sql_judgement *judgement,
                  const sp_pg_parse *parse, db_refusal *refusal);
/* A value as SQL would have it. */
void db_literal_write(sp_buf *out, sp_span value);

/* ---- settings.c: by which a text has another meaning ---- */
enum {
    DB_SETTINGS = 21,
    DB_SETTING_BYTES = 255, /* no longer TimeZone is taken by the server */
    DB_REPORTED = 3
};
typedef struct {
    bool are_known;
    struct {
        uint8_t len;
        uint8_t value[DB_SETTING_BYTES];
    } items[DB_SETTINGS];
} db_settings;
/* Of these, what the server reports of a session whenever it changes. */
typedef struct {
    char *items[DB_REPORTED]; /* NULL = not known */
} db_reported;
extern const char *const db_settings_reported[DB_REPORTED];
/* It reports one; others are passed over. SP_ENOMEM: that one is not known any more. */
SP_MUST sp_err db_settings_report(db_reported *all, sp_span name, sp_span value);
void db_reported_done(db_reported *all);
/* As they were reported last. */
void db_settings_are_now(db_settings *all, const db_reported *now);
/* A row of the answer to SHOW ALL, which knows of what the server has not reported yet. now: of the
 * session that was asked; NULL = of none. */
void db_settings_take(db_settings *all, db_reported *now, sp_span body);
/* Those that are not as they are there, for people, to stand behind a text; whether there are any.
 * Where the others are not known it is all of them. */
bool db_settings_differ(const db_settings *all, const db_settings *from, sp_buf *out);
/* Messages by which another session takes them. */
void db_settings_set(const db_settings *all, sp_buf *out);

/* ---- pending.c ---- */
/* The next step: DB_PASS when there is none left, DB_WAIT, or DB_REFUSE. */
db_verdict db_pending_step(db_session *session, const db_run_ask *run, db_refusal *refusal);
/* It does not run any more, or the next message comes: what was done for it is given up. */
void db_pending_over(db_session *session);
/* The last step, when its budget is spent: what must be on disk before it runs. */
db_verdict db_pending_record(db_session *session, const db_run_ask *run, db_refusal *refusal);
/* It runs: forgets what was done. The reference under which it is on disk, 0 = it is not;
 * *ret_agreed: what others agreed to. */
uint64_t db_pending_take(db_session *session, sp_agreed *ret_agreed);
/* Bits of actions that change nothing. */
enum { DB_LOOKS = 1U << SP_ACTION_CONNECT | 1U << SP_ACTION_READ | 1U << SP_ACTION_EXPORT };
void db_pending_cancelled(db_session *session);
void db_pending_reset(db_pending *pending);
/* The catalogue was looked at, or cannot be. */
void db_pending_looked(db_session *session);

/* Of its states, for asks.c: a question to core, of which the statement waits (DB_WAIT, DB_REFUSE);
 * it is judged again, or fails with that; what was asked of others is withdrawn. */
db_verdict db_pending_call(db_session *session, uint16_t kind, sp_buf *body, sp_link_reply on_reply,
                           db_refusal *refusal);
void db_pending_go_on(db_session *session);
void db_pending_fail(db_session *session, const char *sqlstate, sp_reason reason,
                     const char *message, const char *hint);
void db_pending_drop_ask(db_pending *pending);

/* ---- asks.c: other people agree ---- */
/* Whether a use is, or counts as, one of these actions (bits), and the relation (or schema) that it
 * meets. */
bool db_use_place(const db_session *session, const db_ruling *ruling, uint32_t actions,
                  const sp_sql_use *use, sp_span *ret_schema, sp_span *ret_name);
/* The relations of these actions (those that others are asked for, those that are destroyed), as
 * JSON; false: not all of them can be named, it is about the whole database. */
bool db_asks_relations(const db_session *session, const db_run_ask *run, uint32_t actions,
                       bool with_kind, sp_buf *out);
/* DB_REFUSE, and why nobody is asked. */
db_verdict db_asks_not(const char *message, const char *hint, db_refusal *refusal);
/* They are asked, when all that they have to see is there: DB_WAIT, DB_REFUSE, DB_CUT. */
db_verdict db_asks_begin(db_session *session, const db_run_ask *run, db_refusal *refusal);
/* They have agreed: their word is used. DB_WAIT, DB_REFUSE. */
db_verdict db_asks_use(db_session *session, db_refusal *refusal);
/* ASK_DONE of core. */
void db_pending_push(const sp_msg *msg);

/* ---- estimate.c: what a statement would do ---- */
typedef struct db_estimate db_estimate;
typedef struct {
    uint64_t rows;         /* that it would change or take away */
    uint64_t touched_rows; /* all rows of the relations that it acts on */
    uint64_t bound;        /* more rows than that do not fit into them */
    uint64_t falling_rows; /* all rows of the relations that foreign keys lead it to, besides */
    uint64_t hidden_rows;  /* that WITH may change besides, and no tag tells */
    bool has_bound;        /* it acts on relations, and on these only */
    unsigned left_out;     /* of the list of what it acts on */
    bool is_told;          /* the server says at the end how many they were */
    unsigned planned;      /* statements that have plans, and those whose plan came */
    unsigned counted;
    char why_not[200]; /* why there is no plan, or not of all; empty = there is */
} db_estimated;
void db_estimate_why(db_estimated *found, const char *why);
/* What the asker's own session has set is about to be told, and a row of that. Estimates read by it
 * from then on. */
void db_estimate_settings_begin(db_session *session);
void db_estimate_setting(db_session *session, sp_span body);
/* What of that is not the account's default, as db_settings_differ(). */
bool db_estimate_settings_write(const db_session *session, sp_buf *out);
/* NULL: the server is being asked, the message is judged again when it has answered. One that was
 * made for the same hash stands until it is forgotten. */
const db_estimated *db_estimate_ask(db_session *session, const db_run_ask *run,
                                    const sp_hash *hash);
/* The plan for people, JSON: {"lines","touches","left_out","why_not"}. */
void db_estimate_write(const db_session *session, sp_buf *out);
bool db_estimate_waits(const db_session *session);
/* What it holds of memory. */
size_t db_estimate_bytes(const db_session *session);
/* It ran, or does not: the next statement is estimated anew. */
void db_estimate_forget(db_session *session);
/* Puts away the connection that has been idle for long; false when there is none (any more). */
bool db_estimate_tick(db_session *session);
/* The tick looks at this session, as long as it waits for the catalogue or has an estimate's
 * connection to put away. */
void db_judge_attend(db_session *session);
void db_estimate_gone(db_session *session);

/* ---- touches.c: what a statement acts on ---- */
/* The rest of a recursive "held(type) AS (SELECT ...": the types that hold one of these, so that
 * a relation whose row type is among them loses values with it. */
extern const char db_touches_held_sql[];
/* Whether what stands on what it names goes with it, by CASCADE. */
bool db_touches_takes(const sp_sql_judgement *judgement);
enum { DB_TOUCH_VALUES = 8, DB_TOUCHES_MAX_BYTES = 4500 };
/* Adds what it acts on to an array that has been opened; false: it may meet more than that. A
 * failure stays in the buffer. */
bool db_touches_add(const db_session *session, const db_run_ask *run,
                    const sp_sql_judgement *judgement, sp_buf *objects);
/* The query about a JSON array of these; its answer has DB_TOUCH_VALUES columns. Where there is no
 * memory the server is sent what it refuses. */
void db_touches_ask(sp_span objects, sp_buf *out);
/* A row of the answer: numbers for `found`, or an object for the list of people. */
void db_touches_take(const sp_span values[DB_TOUCH_VALUES], db_estimated *found, sp_buf *list);

/* An answer that has become an export, and must be on disk as that before it goes on. */
enum { DB_WRITING_NONE, DB_WRITING_WAITS, DB_WRITING_FAILED };
typedef struct {
    uint8_t state; /* DB_WRITING_ */
    db_session *session;
    sp_recorder_wait wait;
} db_writing;

enum { DB_TEMPS_MAX = 256 };

/* Where a message stands with its budget. */
enum {
    DB_SPEND_NONE,
    DB_SPEND_ASKED,
    DB_SPEND_GRANTED,
    DB_SPEND_DENIED,
    DB_SPEND_BUSY, /* other statements of the person hold what is left */
    DB_SPEND_AWAY
};

typedef struct {
    uint64_t number; /* the newest name when it was set */
    uint8_t len;
    uint8_t name[SP_NAME_MAX_BYTES];
} db_savepoint;

typedef struct {
    db_savepoint *items; /* oldest first; there may be others, that are not known */
    uint32_t count;
    uint32_t cap;
} db_savepoints;

typedef struct {
    char schema[DB_NAME_BYTES];
    char name[DB_NAME_BYTES];
} db_made_name;

struct db_judge {
    const db_session *session;
    db_catalogue *catalogue;
    db_names names;
    uint64_t idle_names; /* the newest name when the last transaction ended */
    db_savepoints savepoints;
    bool has_failed;              /* a message since the last Sync or Query */
    char (*temps)[DB_NAME_BYTES]; /* names that were temporary at some time: names has those that
                                     are */
    uint32_t temp_count;          /* DB_TEMPS_MAX: there may be more */
    bool temps_renamed;           /* any name may be one of them */
    db_asked asked;               /* which of them are, for the message that waits */
    db_drawn drawn;
    char (*codes)[DB_NAME_BYTES];  /* functions that the session made */
    uint32_t code_count;           /* DB_TEMPS_MAX: more than are kept, and so any name */
    char (*others)[DB_NAME_BYTES]; /* names that it gave to other rows than the catalogue says */
    uint32_t other_count;          /* DB_TEMPS_MAX: more than are kept, and so any name */
    uint32_t defining;             /* messages under way that define something */
    bool is_moving;                /* names mean something else after it */
    bool is_defining;              /* its transaction has defined things */
    uint64_t defined_us;           /* when one that did ended; 0 = the catalogue is newer */
    db_made_name *mades;           /* relations with rows of their own that it made */
    uint32_t made_count;           /* up to DB_TEMPS_MAX; others are not known as its own */
    bool has_alias;  /* the session made views or renamed what the catalogue may not know */
    bool has_family; /* it gave rows to parents, which only it may see yet */
    db_reported reported;
    uint64_t look_us;  /* since when it is waited for what the catalogue is now; 0 = not */
    uint64_t lock_us;  /* likewise for somebody else's lock */
    bool look_is_over; /* the client gave up meanwhile */
    uint64_t moves;    /* messages that ran, bound or closed something */
    uint64_t walks;    /* through what names stand for */
    uint64_t roles[SP_ROLE_WORDS]; /* of the person, when it was looked at them last */
    uint64_t refused;              /* the reference of the last refusal that was written down */
    bool server_is_newer;          /* than the grammar that judges */
    bool server_is_utf8;           /* the encoding of the database */
    bool is_late;                  /* rows.c looks at words of all answers: db_rows_late() */
    uint32_t watched;              /* notes whose answers rows.c looks at */
    uint32_t spend_call;           /* 0 = none is under way */
    uint8_t spend;                 /* DB_SPEND_ */
    db_spent spent;
    uint32_t portion_call; /* for the answer under way, which stands still meanwhile */
    uint8_t portion;       /* DB_SPEND_ */
    sp_db_granted granted;
    db_writing writing;
    db_pending pending;
    db_estimate *estimate; /* NULL = none was needed yet */
};

/* ---- ends.c ---- */
/* A statement with these flags makes or ends prepared statements or cursors. */
bool db_ends_names(uint32_t flags);
/* What happened to a text has to be followed: it makes or ends names, or temporary relations. */
bool db_ends_any(const db_judge *judge, const sp_sql_judgement *judgement);
/* This statement ends names of that kind: `name`, or any. */
bool db_ends_one(const sp_sql_statement *statement, db_named_kind kind, sp_span name);
/* A text that runs now may end the transaction that it runs in, without saying so. */
bool db_ends_within(const db_session *session, const sp_sql_judgement *judgement);
/* A message goes to the server. note: NULL = it has none. */
void db_ends_sent(db_judge *judge, uint8_t type, const db_note *note);
/* The answer of a message is complete. note: NULL = it had none, or the message was ours. */
void db_ends_follow(db_session *session, const db_flight *flight, const db_note *note,
                    const db_end *end);
void db_ends_done(db_judge *judge);

/* ---- made.c ---- */
/* What a text is judged against: the session's catalogue, names and policy. */
sp_sql_context db_context_of(const db_session *session);
/* A relation with rows of its own that the session made in that schema (empty: in one of the search
 * path), or the text makes, and whose name neither gave to other rows; the schema, or empty. */
sp_span db_made_own(const db_judge *judge, const sp_sql_judgement *judgement, sp_span schema,
                    sp_span name);
/* Any name may be one of a temporary relation: some were renamed, or there are too many to keep. */
bool db_made_hides(const db_judge *judge);
/* It defined things of which the catalogue may be older. */
bool db_made_is_early(const db_judge *judge);
/* Of ended transactions there are so many that the catalogue is waited for, which has them. */
bool db_made_is_filling(const db_judge *judge);
/* Another number whenever other names are temporary relations, or may be, and with
 * db_made_is_early(). */
uint64_t db_made_state(const db_judge *judge);
/* As sp_sql_cache_judge(), by the catalogue and the policy of now. */
const sp_sql_judgement *db_judge_text(db_session *session, sp_span text, bool by_itself,
                                      sp_sql_known **ret_known);
/* The same, kept as the session's own when it is not known; false: it is faulty now, or there is no
 * memory. */
bool db_judge_and_keep(db_session *session, sp_span text, sp_sql_known **ret_known);
/* Others may have to see the values that are bound to such a text. */
bool db_keeps_values(const db_session *session, const db_ruling *ruling);
/* DISCARD ALL by itself has run: the session has no temporary relations any more, if that is
 * certain. */
void db_made_discarded(db_session *session, const db_flight *flight);
/* Nothing is under way, or only what was asked for later: its transaction may be over, and what it
 * defined is looked at by all. */
void db_made_end(db_session *session);
/* It runs: remembers what it makes that others do not see: temporary relations, functions. */
void db_made_things(db_judge *judge, const sp_sql_judgement *judgement);
/* The same for the names of PREPARE and DECLARE, for the message of that note, behind
 * db_made_things(): each stands for its query alone, with the values that were bound to the portal
 * (NULL: a Query has none). SP_ELIMIT, SP_EDENIED, SP_ENOMEM, SP_EINVALID: then it made none. */
SP_MUST sp_err db_made_names(db_session *session, sp_sql_known *known, const db_named *portal,
                             db_note *note);

/* ---- masks.c ---- */
/* How an answer is masked. */
typedef struct {
    sp_sql_masking_mode mode;
    sp_copy_plan *plan; /* of COPY TO */
} db_masks;
void db_masks_done(db_masks *masks);
#define auto_masks __attribute__((cleanup(db_masks_done))) db_masks
/* Adds what is so of the answer of a text; false with a refusal: it would tell masked values.
 * known: the same text, NULL for one that is not kept. */
bool db_masks_find(db_session *session, const db_ruling *ruling, const sp_sql_judgement *judgement,
                   sp_span text, sp_sql_known *known, db_masks *masks, db_refusal *refusal);
/* Of all texts that the name may stand for. */
bool db_masks_find_named(db_session *session, const db_ruling *ruling, db_named_kind kind,
                         sp_span name, db_masks *masks, db_refusal *refusal);
/* What rows.c goes by; false: out of memory. */
bool db_masks_set(db_note *note, const db_masks *masks);

/* ---- means.c: what runs by a name ---- */
/* What a text of that name meets now, when the server makes a portal of it. DB_PASS; DB_WAIT until
 * it is certain; DB_REFUSE: it cannot be judged any more. */
db_verdict db_means_meet(db_session *session, db_text *text, sp_span name, sp_hash *ret_met,
                         db_refusal *refusal);
/* Adds all that an Execute or Describe of the name may run, and what that speaks of. DB_PASS;
 * DB_WAIT until it is certain; DB_REFUSE: it stays uncertain, is nothing that we know, or what
 * cannot be judged (any more), runs names of names, or a bound FETCH or EXECUTE, whose rows are of
 * what its name meant when it ran. */
db_verdict db_means_message(db_ruling *ruling, db_session *session, db_named_kind kind,
                            sp_span name, db_refusal *refusal);
/* The same for the names that a text runs. */
db_verdict db_means_text(db_ruling *ruling, db_session *session, const sp_sql_judgement *judgement,
                         db_refusal *refusal);
/* What the first `before` statements of a text do to a name: nothing, or the last one that does
 * anything makes it (its uses are among the text's own), or ends it. */
typedef enum { DB_OWN_NOT, DB_OWN_MADE, DB_OWN_ENDED } db_own;
db_own db_text_made(const sp_sql_judgement *judgement, uint32_t before, db_named_kind kind,
                    sp_span name);
/* What a bound FETCH or EXECUTE brings is of what its name meant when it began to run, described as
 * of what it meant at the Bind: so it runs right after the Bind, once. portal: NULL = is none. */
bool db_means_may_run(const db_judge *judge, const db_named *portal, db_refusal *refusal);
/* A name of the protocol, or all that a text makes, runs or ends: the server takes it for the same
 * as we do, and it is none of the gate's own. */
bool db_means_fits(const db_judge *judge, sp_span name, db_refusal *refusal);
bool db_means_fits_text(const db_judge *judge, const sp_sql_judgement *judgement,
                        db_refusal *refusal);
/* The error for a name that stands for nothing. */
void db_means_nothing(bool is_prepared, const char *what, sp_span name, db_refusal *refusal);

/* ---- sure.c ---- */
/* A text that makes or uses names of its own; and of temporary relations. */
enum {
    DB_NAMING = SP_SQL_IS_EXECUTE | SP_SQL_IS_FETCH | SP_SQL_IS_PREPARE | SP_SQL_IS_DECLARE,
    DB_OF_SESSION = SP_SQL_READS_TEMP | SP_SQL_FILLS_TEMP /* it may be somebody's view by now */
};
/* A text whose names may be newer than the catalogue (a function that is called like a column), or
 * that a key makes harmless, waits until the catalogue is of now. DB_PASS, DB_WAIT, or DB_REFUSE.
 * flags: of SP_SQL_IS_, as far as they are not looked at yet. */
db_verdict db_sure_to_run(db_session *session, const sp_sql_judgement *judgement, uint32_t flags,
                          const db_ruling *ruling, db_refusal *refusal);
/* The same of one that is not run yet. */
db_verdict db_sure_of_names(db_session *session, const sp_sql_judgement *judgement,
                            db_refusal *refusal);

/* ---- texts.c: messages that carry or run SQL ---- */
/* DB_REPLACE: what was written to *out is to be judged instead; NULL: nothing is. */
db_verdict db_texts_query(db_session *session, const sp_pg_msg *msg, db_flight *flight, sp_buf *out,
                          db_refusal *refusal);
db_verdict db_texts_parse(db_session *session, const sp_pg_msg *msg, db_flight *flight, sp_buf *out,
                          db_refusal *refusal);
db_verdict db_texts_bind(db_session *session, const sp_pg_msg *msg, db_flight *flight,
                         db_refusal *refusal);
db_verdict db_texts_describe(db_session *session, const sp_pg_msg *msg, db_flight *flight,
                             db_refusal *refusal);
db_verdict db_texts_execute(db_session *session, const sp_pg_msg *msg, db_flight *flight,
                            db_refusal *refusal);
db_verdict db_texts_close(db_session *session, const sp_pg_msg *msg, db_flight *flight,
                          db_refusal *refusal);

/* ---- spend.c ---- */
/* Is there a budget, or a limit a day, that it counts against? */
bool db_spend_is_needed(const db_session *session, const db_ruling *ruling);
/* A budget counts the rows of such a change. */
bool db_spend_counts_rows(const db_session *session, const db_ruling *ruling);
/* Before it runs: DB_PASS, DB_WAIT (then it is judged again), DB_REFUSE. */
db_verdict db_spend(db_session *session, const db_run_ask *run, db_refusal *refusal);
/* Core has been asked, and has not answered. */
bool db_spend_waits(const db_session *session);
/* It runs: what was spent for it. */
db_spent db_spend_take(db_session *session);
/* The next row of an answer, with all that passed before it: DB_PASS, DB_WAIT (then it is asked
 * again) or DB_REFUSE: there is no more of the day. */
db_verdict db_spend_row(db_session *session, db_note *note, uint64_t rows, uint64_t bytes,
                        db_refusal *refusal);
/* The same of an answer that becomes an export with it: that is one statement more. */
db_verdict db_spend_export(db_session *session, db_note *note, uint64_t rows, uint64_t bytes,
                           db_refusal *refusal);
/* After it ran: what it counted. */
void db_spend_after(db_session *session, db_note *note, const db_end *end);
/* Nothing that it changed stays: it did not run, or failed without having ended a transaction. */
bool db_is_undone(const db_note *note, const db_end *end);
/* An attempt that was refused counts as a statement. */
void db_spend_refused(db_session *session, const db_ruling *ruling);
/* The message is judged: what was spent and granted for it and was not taken is given back. */
void db_spend_gone(db_session *session);
/* What budgets could not be told. */
void db_spend_tell_again(void);
/* Once a second: the same, where the line has room. */
void db_spend_tick(void);

/* ---- attempts.c ---- */
/* One more of these actions, the gravest of which is action; told within 100 ms if the line has
 * room. */
void db_attempts_add(const db_session *session, sp_action action, uint32_t actions);
/* The worker ends: all that is summed, now. */
void db_attempts_tell(void);

/* ---- entries.c: what is written down ---- */
/* What that policy decided, into an event. */
void db_entry_decision(const sp_policy *policy, const sp_decision *decision, sp_action action,
                       sp_event *event);
/* What ran, at its end. */
void db_entry_ran(db_session *session, const db_note *note, const db_end *end);
/* What was refused, written down at once. */
void db_judge_refused(db_session *session, const db_ruling *ruling, const char *tag, sp_span shown,
                      const db_refusal *refusal);

/* Writes down a statement that runs next; its number, 0 when there is no room. */
uint64_t db_judge_before(db_session *session, const db_run_ask *run, uint64_t reference);

/* Writes down that what was written down before did not run after all. */
void db_entry_not_run(const db_session *session, const db_pending *pending);
/* Writes down that the answer of a note is an export as well, by that rule; its number, 0 when
 * there is no room. */
uint64_t db_judge_exported(db_session *session, const db_note *note, const sp_decision *decision);

/* ---- export.c: a large answer is an export ---- */
enum { DB_EXPORT_NO, DB_EXPORT_ASKED, DB_EXPORT_YES };
/* The next row of an answer: DB_PASS: it is not large, or may be; DB_WAIT: for core's word about
 * the budget of exports; DB_REFUSE, which has been written down. */
db_verdict db_export_row(db_session *session, db_note *note, db_flight *flight, uint64_t size,
                         db_refusal *refusal);
/* An answer is over: words of core and the disk that were waited for or came are for no other. */
void db_export_over(db_session *session);
/* The same for an error or notice in it; DB_REFUSE: it is not to be had, and the answer goes on. */
db_verdict db_export_words(db_session *session, db_note *note, db_flight *flight, uint64_t size,
                           db_refusal *refusal);
/* What is large for this session now. */
void db_export_bind(db_session *session);

/* ---- rows.c ---- */
/* An error for a change whose rows a budget counts and that is fetched in parts. */
void db_rows_refuse_part(db_refusal *refusal);
/* What has passed of its answer, when nobody has counted it for a limit. */
void db_rows_passed(const db_session *session, db_note *note);
/* Its limits came later: looks at the answer from here on. */
void db_rows_watch_more(db_session *session, db_note *note);
/* Looks at the answer of this note, if anything is masked or limited. Nothing is sent behind a
 * limited one; flight is NULL for what runs nothing. */
void db_rows_watch(db_session *session, db_note *note, db_flight *flight);
void db_rows_unwatch(db_session *session, db_note *note);
/* A statement about masked columns has run, and its transaction goes on: constraints and triggers
 * that are deferred speak in other statements' answers. */
void db_rows_late(db_session *session, bool is_late);
/* For hashes of masked values: one for all workers, new with each start of the role. */
extern uint8_t db_mask_key[SP_MASK_KEY_BYTES];

/* One a worker. */
extern sp_sql_judge *db_sql;
extern sp_sql_cache *db_known;

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Prepared statements, portals and temporary relations, as the server has them or may have them
 * (names.c), and the texts that they stand for.
 * OWNS the names of a session and what they hold. PROCESS db gate workers. TRUST names are hostile;
 * counts and bytes have a maximum. SPEC gates/db/judging.h.
 */
#ifndef SP_GATES_DB_NAMES_H
#define SP_GATES_DB_NAMES_H

#include "gates/db/judge.h"
#include "lib/sql/known.h"

enum { DB_NAMED_MAX = 4096, DB_NAMED_BYTES_MAX = 32 << 20, DB_NAMED_BUCKETS = 16 };

/* A field of an answer, as its RowDescription says. The format does not matter: what keeps a text
 * when it is masked is the same bytes in both, all else becomes NULL. */
typedef struct {
    uint32_t type_oid;
    uint32_t table_oid; /* where it comes from */
    int16_t attnum;
    uint64_t name; /* a hash of schema, table and column when it was described; 0 = not known */
    uint8_t mask;  /* sp_mask + 1; 0 = clear; found again before the first row of each answer */
} db_field;

typedef struct {
    uint16_t count;
    bool any;         /* is masked */
    uint64_t moves;   /* of the note that asked for it */
    uint64_t version; /* of the catalogue by which the masks were found; 0 = not yet */
    uint64_t tags;    /* that were masked then */
    uint8_t masking;  /* and how: sp_sql_masking_mode */
    db_field items[];
} db_fields;

/* The values of a Bind, shared by the portals that may have them. */
typedef struct {
    unsigned refs;
    size_t len;      /* of bytes */
    sp_pg_bind bind; /* without names and result formats; points into bytes */
    uint8_t bytes[];
} db_values;
db_values *db_values_ref(db_values *values);
void db_values_unref(db_values *values);

/* A text, shared by the names that stand for it. Of PREPARE and DECLARE it is the query alone: what
 * else stood in their message is not what runs by the name. */
typedef struct {
    unsigned refs;
    sp_sql_known *known; /* judged anew when the catalogue has moved */
    bool keeps_values;   /* somebody may have to see what is bound to it */
    sp_pg_parse types;   /* only the types, when it keeps values */
    uint8_t *type_bytes;
    sp_span words; /* of a PREPARE that names types: what stood before the query; else empty */
    uint8_t *word_bytes;
    db_fields *fields; /* of its answer, when it was described with masks on; NULL = not known */
    uint64_t made;     /* db_made_state() when it was judged */
    bool tells;        /* masked columns came where none was in reach */
    uint64_t walk;     /* through names that came by last: once is enough */
    sp_hash met;       /* what it meets by the judgement of now */
    bool has_met;      /* that is known */
    uint32_t names;    /* that stand for it */
    size_t bytes;      /* with its judgement, types and fields: counted once for all of these */
} db_text;

/* What came out of a portal in answers that are over, shared by the messages that run it. */
typedef struct db_count db_count;
struct db_count {
    unsigned refs;
    db_count *into;  /* counts with that one; NULL = by itself */
    uint32_t height; /* of the tree of those that count with it: grows with the logarithm of them */
    uint64_t rows;
    uint64_t bytes;
    uint64_t day_rows; /* of these, that the day has counted */
    uint64_t day_bytes;
    bool has_stopped; /* a portal of it, when as many rows had come as were asked for */
    uint64_t exports; /* the reference under which it stands in the ledger as an export; 0 = none */
};
/* The one that holds the numbers. */
db_count *db_count_root(db_count *count);
void db_count_unref(db_count *count);

typedef enum {
    DB_NAMED_PREPARED,
    DB_NAMED_PORTAL,
    DB_NAMED_TEMP, /* a temporary relation: has no text */
    DB_NAMED_KIND_COUNT
} db_named_kind;

typedef struct db_named db_named;
struct db_named {
    db_named *next;  /* the next older one of its kind */
    db_named **link; /* what points to this one there */
    db_named *same;  /* the next older one in its bucket */
    db_named_kind kind;
    bool is_sql;     /* made by PREPARE or DECLARE, which take only queries */
    bool holds;      /* DECLARE ... WITH HOLD; a temporary relation that outlives its transaction */
    bool has_values; /* a portal with parameters */
    db_values *values; /* of it, when its text keeps them; NULL = they were not kept */
    db_count *count;   /* of a portal; NULL = nothing was ever fetched of it in parts */
    uint64_t moves;    /* of a portal that was bound: what had run, been bound and closed by then */
    db_text *text;
    sp_hash met;     /* of a portal: what its text met when it was made */
    uint64_t number; /* grows: who came later */
    bool is_settled; /* the server said that it made it */
    uint8_t name_len;
    uint8_t name[SP_NAME_MAX_BYTES];
};

typedef struct {
    db_named *first[DB_NAMED_KIND_COUNT];   /* the newest */
    db_named *(*buckets)[DB_NAMED_BUCKETS]; /* by kind; NULL = there never was a name */
    db_session *session;
    uint32_t count;
    size_t bytes; /* of these, of their texts, each once, and of values */
    uint64_t numbers;
    /* What is newer and runs was made by a message whose failure skips all that comes now, and
     * nothing that came since ends names. */
    uint64_t since[DB_NAMED_KIND_COUNT];
    bool are_ending;       /* a message that ends prepared statements is, or was, under way */
    bool are_temps_ending; /* the same of temporary relations */
    bool are_temps_parted; /* what is under way may run though what stands before it has failed */
} db_names;

/* SP_ELIMIT is what a connection may hold, SP_EDENIED what its person may (share.h). */

SP_MUST sp_err db_text_new(sp_sql_known *known, db_text **ret_text);
/* Remembers the types that its Parse named. */
SP_MUST sp_err db_text_types(db_text *text, const sp_pg_parse *parse);
/* Remembers the words that stood before its query. */
SP_MUST sp_err db_text_words(db_text *text, sp_span words);
/* It was judged anew: takes the reference. */
void db_text_judged(db_names *names, db_text *text, sp_sql_known *known);
/* Its answer was described: takes the fields, also when it fails. SP_ELIMIT, SP_EDENIED. */
SP_MUST sp_err db_text_described(db_names *names, db_text *text, db_fields *fields);
db_text *db_text_ref(db_text *text);
void db_text_unref(db_text *text);
/* text NULL: it has none. SP_ELIMIT, SP_EDENIED, SP_ENOMEM. */
SP_MUST sp_err db_names_add(db_names *names, db_named_kind kind, sp_span name, db_text *text,
                            db_named **ret_named);
/* The values of a portal, with a reference. SP_ELIMIT, SP_EDENIED. */
SP_MUST sp_err db_named_bind(db_names *names, db_named *named, db_values *values);
/* A portal that was bound to a FETCH or EXECUTE. */
bool db_named_runs_names(const db_named *named);
/* EXECUTE and FETCH of it do nothing but what its uses say: SQL's PREPARE and DECLARE take only
 * queries, Parse also what makes and ends names, tables, transactions. */
bool db_named_is_query(const db_named *named);
/* The next one of that kind and name after `after` (NULL: the first). */
db_named *db_names_find(const db_names *names, db_named_kind kind, sp_span name,
                        const db_named *after);
void db_names_remove(db_names *names, db_named *named);
/* All of that name (all = of any name) that came before number; answers come in order, so what made
 * them was answered. */
void db_names_forget(db_names *names, db_named_kind kind, sp_span name, bool all, uint64_t before);
/* A text hangs on a message under way, or does no more. SP_ELIMIT, SP_EDENIED. */
SP_MUST sp_err db_names_carry(db_names *names, sp_sql_known *known);
void db_names_drop(db_names *names, sp_sql_known *known);
/* Those numbered first to last, when the message that made them was answered: they stay, and older
 * ones of their names do not; or they are forgotten. */
void db_names_settle(db_names *names, uint64_t first, uint64_t last, bool stays);
/* Messages that come now may run though what was sent so far fails, or find names of that kind
 * ended. */
void db_names_part(db_names *names, db_named_kind kind);
/* The newest of that name is what the server has when the message that comes now runs, or it has
 * none of that name that we know. DB_WAIT: that shows when what is under way was answered;
 * DB_REFUSE: it stays open. */
db_verdict db_names_clear(db_session *session, db_named_kind kind, sp_span name,
                          db_refusal *refusal);
/* Portals of which one message fetches count together from then on. *count: what they have counted
 * so far, NULL = the first; a reference to it. Of this name, and of what its texts fetch. */
SP_MUST sp_err db_names_count(db_judge *judge, db_named_kind kind, sp_span name, db_count **count);
/* The same of all that a text fetches or executes by name; the names that its own message made are
 * numbered from `own` on, and stand for nothing older behind their DECLARE. */
SP_MUST sp_err db_names_count_text(db_judge *judge, const sp_sql_judgement *judgement, uint64_t own,
                                   db_count **count);
/* Portals and temporary relations that were made before that number end with their transaction; of
 * those that are held, the ones from held_since on. */
void db_names_end_transaction(db_names *names, uint64_t held_since, uint64_t before);
/* All portals and temporary relations behind the number `after`, and before `before`. */
void db_names_undo(db_names *names, uint64_t after, uint64_t before);
void db_names_done(db_names *names);
/* An error for one of these failures; what: of which there are too many. */
void db_names_refuse(sp_err err, const char *what, db_refusal *refusal);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * What the files of undo share: undo.c the whole, undo_structure.c objects that are missing,
 * undo_data.c their rows, undo_public.c schema public, undo_large.c contents of large objects,
 * undo_choose.c which tables get rows, undo_rows.c rows, undo_code.c whose code would run. OWNS see
 * the struct. PROCESS keeper, threads of the pool. TRUST see undo.c. SPEC keeper/README.md.
 */
#ifndef SP_KEEPER_UNDO_PARTS_H
#define SP_KEEPER_UNDO_PARTS_H

#include "keeper/keeper.h"
#include "keeper/toc.h"

enum {
    UNDO_SQL_MAX_BYTES = 8 << 20,  /* 1,600 columns, each named some ten times */
    UNDO_TOLD_MAX_BYTES = 8 << 20, /* of psql */
    UNDO_LARGE_OBJECTS = 2613      /* pg_largeobject, as pg_dump writes them */
};

/* psql's own commands, at the end of what they are about: undo_script() lets no others through. */
enum { UNDO_COMMAND = 0xff };
#define UNDO_GEXEC "\377gexec\n"
#define UNDO_GSET "\377gset\n"

/* Where foreign keys stand in the way of the rest, all is begun anew. */
enum {
    UNDO_WEAK_ROWS = 1, /* those of tables that get rows are off until all rows are there */
    UNDO_WEAK_KEYS = 2  /* those that fell are asked of no row, so nobody's code runs for it */
};

typedef struct {
    uint32_t catalog;
    uint32_t oid;
} undo_object;

typedef struct {
    keep_job *job;
    bool try_only;
    json_t *manifest;
    json_t *present;   /* of its relations, by oid: {"12345":{...}} */
    json_t *operators; /* by which two values of a key are the same, by number */
    PGconn *conn;
    sp_buf toc;
    size_t entry_count;   /* of the archive */
    undo_object *missing; /* by catalog and oid */
    size_t missing_count;
    uint32_t
        *missing_ids; /* of their entries, and of what has no oid and falls with them; sorted */
    size_t missing_ids_count;
    uint32_t *left; /* ids of entries that are left out, though they are missing; sorted */
    size_t left_count;
    uint32_t *first; /* ids of missing ones that columns need; sorted */
    size_t first_count;
    json_t *renamed;      /* what is called otherwise now, in words, by catalog and oid */
    json_t *grounds_gone; /* what columns stood on, by catalog and oid */
    json_t *again;        /* numbers of now, by ids of entries: what an earlier undo put back */
    json_t *fallen;       /* [place in hangs, what it stood on is gone, so is a column of its] */
    json_t *above;        /* what the keeper's role cannot make, by catalog and oid */
    json_t *lessened;     /* tables without columns that they had, by oid */
    bool another;         /* the database was gone: nothing of the archive is in this one */
    bool astray;          /* other transactions have the numbers of those that there were */
    bool public_missing;  /* what was kept of schema public is put back */
    bool public_gone;     /* and it has to be made first */
    bool public_owned;    /* its owner may be put back */
    json_t *restored;     /* texts */
    json_t *told;         /* sentences for people */
    size_t notes;         /* how many of them say nothing of what came back */
    bool is_whole;        /* all came back, as the report has it */
    bool leaves_out;      /* something that nobody named, or rows, and that is told */
    keep_child psql;
    char *ties;    /* a value: the tables that foreign keys are about to tie; NULL = none yet */
    char lock[33]; /* only with this word does psql take a command of its own */
    bool met;      /* it may be run anew: others changed the same at the same moment, or weakly */
    unsigned weak; /* UNDO_WEAK_: how foreign keys are treated, this time and next */
    unsigned at;   /* UNDO_WEAK_: what would let it go on, where the server refuses now */
    char mark[35]; /* psql's answers to us begin with it */
    uint64_t heard_bytes;
    const char *beside; /* the schema that rows go into as plain tables; NULL: it is an undo */
} undo;

/* Tables that are there and whose rows or columns are put back: undo_tables.h. */
typedef struct undo_tables undo_tables;

/* ---- undo.c ---- */
undo undo_make(keep_job *job, bool try);
void undo_done(undo *u);
/* What the archive has, into u->toc. */
SP_MUST sp_err undo_read_toc(undo *u);
/* Runs psql, to whom write() gives the script; whether the server took all of it. */
SP_MUST sp_err undo_run(undo *u, sp_err (*write)(void *self), void *self);
typedef sp_err (*undo_take)(void *self, sp_span bytes);
/* Runs pg_restore with these arguments over the keep and hands on what it writes. */
SP_MUST sp_err undo_restore(undo *u, const char *const argv[], undo_take take, void *self);
/* The text, quoted as a value. */
void undo_literal(const undo *u, const char *text, sp_buf *sql);
/* Sends the text to psql and empties it. Of psql's own commands it takes UNDO_GEXEC and UNDO_GSET.
 */
SP_MUST sp_err undo_script(undo *u, sp_buf *sql);
/* What pg_restore writes has a lock of its own: psql takes commands from here on, or not. */
SP_MUST sp_err undo_lock(undo *u, bool on);
/* Any of the words is a verb of the statement. */
bool undo_verb_is(const undo *u, const char *words);
/* Takes the sentence. */
void undo_tell(undo *u, json_t *sentence);
/* SP_ECONFLICT with a sentence: "what: why name (detail)". */
SP_MUST sp_err undo_refuse(undo *u, const char *what, const char *why, const char *name,
                           const char *detail);
/* Writes those entries of the archive that are picked, for --use-list. */
typedef bool (*undo_pick)(const undo *u, const keep_toc_entry *entry);
SP_MUST sp_err undo_list(undo *u, undo_pick pick, const char *name, char path[KEEP_PATH_BYTES + 16],
                         size_t *ret_count);
const char *undo_text(const json_t *object, const char *key);
uint32_t undo_oid(const json_t *relation);
/* It was dropped since, and another one of its name is taken for it: which transaction wrote a row
 * cannot be told any more. */
bool undo_is_made_again(const json_t *relation);
/* In the archive, but not what the statement reached: nothing is put into it while it is there. */
bool undo_is_outside(const json_t *relation);
/* What the relation is now; NULL = it is gone. */
const json_t *undo_present(const undo *u, const json_t *relation);

/* ---- undo_database.c ---- */
/* Connects to it; where all of it was kept and it is gone, it is made again. SP_ENOTFOUND with a
 * sentence told: a dry run makes none. SP_ECONFLICT: it is of another cluster. */
SP_MUST sp_err undo_connect(undo *u);

/* ---- undo_report.c ---- */
/* Reads what psql was told, and writes the job's report. SP_ECONFLICT: nothing came back, which is
 * no undo. */
SP_MUST sp_err undo_write_report(undo *u);

/* ---- undo_equals.c ---- */
/* Looks what the operators are called now by which keys are compared. */
SP_MUST sp_err undo_find_equals(undo *u);
/* "t.k = s.k" of the i-th column of the relation's key, of the sides that are given. */
void undo_put_equal(const undo *u, const json_t *relation, size_t i, const char *left,
                    const char *right, sp_buf *sql);

/* ---- undo_again.c ---- */
/* Reads the archive's list and the manifest with the numbers that earlier undos of it left. */
SP_MUST sp_err undo_take_again(undo *u);
/* Once it is committed: writes down the numbers of what came back, for the next try. */
SP_MUST sp_err undo_note_again(undo *u);

/* ---- undo_history.c ---- */
/* SP_ECONFLICT: this is another cluster. */
SP_MUST sp_err undo_check_system(undo *u);
/* Once it is known what there is: in another history of the same cluster the numbers of
 * transactions count for nothing, which is told. SP_ECONFLICT: a number means another table. */
SP_MUST sp_err undo_check_history(undo *u);
/* SP_ECONFLICT: the statement was rolled back, or has not ended. */
SP_MUST sp_err undo_check_transaction(undo *u);

/* ---- undo_missing.c ---- */
/* Looks which objects of the archive and which foreign keys are missing. */
SP_MUST sp_err undo_find_missing(undo *u);
/* oid 0: any of the catalog. */
bool undo_is_missing(const undo *u, uint32_t catalog, uint32_t oid);
/* The entry is of a missing object, or of what has no number and falls with one. */
bool undo_is_missing_id(const undo *u, uint32_t id);
/* For qsort and bsearch over ids of entries. */
int undo_compare_ids(const void *a, const void *b);
/* It is put back from the archive as it stands there. */
bool undo_is_wanted(const undo *u, const keep_toc_entry *entry);
/* Missing while all that it stands on is there. */
bool undo_is_others(const undo *u, const keep_toc_entry *entry);
/* A check that takes a row or a value of what it stands on, which pg_dump adds last: the server
 * asks it about each row that is there, before anybody could look at what it calls. */
bool undo_is_unseen(const undo *u, const keep_toc_entry *entry);
/* A partition becomes one. */
bool undo_is_join(const keep_toc_entry *entry);
/* An index of one joins that of the whole. */
bool undo_is_index_join(const keep_toc_entry *entry);
/* Of either: what it joins is there, or has no entry: no two of its kind are missing. */
bool undo_joins_what_stays(const undo *u, const keep_toc_entry *entry);
/* A user mapping. */
bool undo_is_mapping(const keep_toc_entry *entry);
/* A foreign key, or words about a constraint. */
bool undo_is_key(const keep_toc_entry *entry);
/* It is not missing any more, as far as this undo goes. */
void undo_forget(undo *u, const keep_toc_entry *entry);

/* ---- undo_try.c ---- */
/* Before the first one. */
SP_MUST sp_err undo_try_begin(undo *u);
/* SQL: this transaction wrote the row, or a block of it did, which has a number of its own. An age
 * is told from the number that is asked for first: others may take the next one meanwhile. */
#define UNDO_IS_MADE(row)                                                                          \
    "CASE WHEN pg_current_xact_id() IS NULL THEN false WHEN age(" row                              \
    ".xmin) BETWEEN -1000000 AND 0 THEN pg_xact_status("                                           \
    "(pg_current_xact_id()::text::bigint - age(" row ".xmin))::text::xid8) = 'in progress'"        \
    " ELSE false END"
#define UNDO_IS_MADE_C UNDO_IS_MADE("c")
#define UNDO_IS_MADE_S UNDO_IS_MADE("s")
/* Runs statements within a block: what fails takes all of them back. *ret_refusal: NULL, or what
 * the server said ("code", "said", "constraint"), which is the caller's. runs_others: code of
 * others runs as its owner, so whatever error there is, is theirs. Fails, and ends the undo, for
 * what is not the statements' own failure. */
SP_MUST sp_err undo_try(undo *u, sp_span text, bool runs_others, json_t **ret_refusal);
/* What it said, without values. */
void undo_try_words(const json_t *refusal, sp_buf *out);

/* ---- undo_structure.c ---- */
/* first: schemas and types; else what is left. */
SP_MUST sp_err undo_structure(undo *u, bool first, sp_buf *sql);
/* Foreign keys, once all values are there that they ask for. */
SP_MUST sp_err undo_structure_keys(undo *u, sp_buf *sql);

/* ---- undo_left.c ---- */
/* Statistics and publications of tables that were kept by name. */
SP_MUST sp_err undo_tell_beside(undo *u);
/* Looks which tables are there without columns that they had. */
void undo_find_lessened(undo *u);
/* Looks which publications, what was in them, and functions the keeper's role cannot make. */
SP_MUST sp_err undo_find_above(undo *u);
/* Of a whole database, where the statement's words are known: leaves out, and tells, what it
 * neither named nor took with what it named. */
SP_MUST sp_err undo_leave_others(undo *u);
/* Leaves out, and tells, what the keeper's role may not make: one of them, what superusers alone
 * make, and, of a whole database, what belongs to roles that it is no member of. */
SP_MUST sp_err undo_leave_above(undo *u);
/* The entry of one of them. */
bool undo_is_lessened(const undo *u, const keep_toc_entry *entry);
/* A policy, a trigger and the like: while all that it stands on is there, another may have dropped
 * it. Never where nobody knows what the statement did. */
bool undo_stands_on_others(const undo *u, const keep_toc_entry *entry);

/* ---- undo_public.c ---- */
/* Looks whether schema public is missing, of a whole database; tells what cannot come back. */
SP_MUST sp_err undo_public_find(undo *u);
/* The entry of schema public; there is none where its owner is the database's. */
bool undo_is_public(const undo *u, const keep_toc_entry *entry);
/* Grants, a comment, a label of schema public. */
bool undo_is_about_public(const undo *u, const keep_toc_entry *entry);
/* Makes it, if it is gone, and gives it to its owner. */
SP_MUST sp_err undo_public_make(undo *u, sp_buf *sql);

/* ---- undo_large.c ---- */
/* Contents of large objects, of all of them. */
bool undo_is_large_contents(const keep_toc_entry *entry);
/* Those of the missing ones, which have been made. */
SP_MUST sp_err undo_large_contents(undo *u);

/* ---- undo_names.c ---- */
/* Looks whether all that something missing is written about has the name that it had; leaves out,
 * and tells, what cannot be written. SP_ECONFLICT: that was asked for by name. */
SP_MUST sp_err undo_names_find(undo *u);
/* It is there, and something missing is written about it. */
bool undo_is_touched(const json_t *relation);

/* ---- undo_kinds.c ---- */
/* Leaves out, and tells, what is of a kind that undo does not know, or belongs to a relation that
 * the manifest does not know: nobody looked at what it calls. */
SP_MUST sp_err undo_leave_unknown(undo *u);
/* Of a whole database: leaves out, and tells, what others made another of since. */
SP_MUST sp_err undo_leave_taken(undo *u);
/* What the manifest says of a function, domain, index or the like; NULL = it runs nothing. */
const json_t *undo_definition(const undo *u, uint32_t catalog, uint32_t oid);
/* Leaves out, and tells, definitions that would run the code of a role that is no superuser. */
SP_MUST sp_err undo_leave_definitions(undo *u);

/* ---- undo_leave.c ---- */
/* The entry is left out. */
bool undo_is_left(const undo *u, uint32_t id);
/* So is something that it depends on. */
bool undo_stands_on_left(const undo *u, const keep_toc_entry *entry);
/* Leaves it out from now on; what has a row of its own is told. */
SP_MUST sp_err undo_leave_entry(undo *u, const keep_toc_entry *entry, const char *why);
/* A foreign key that fell, of a table that was not kept: it has no entry. */
void undo_leave_gone(undo *u, json_t *key, const char *why);
/* The server refused it. What was asked for by name is said first. */
SP_MUST sp_err undo_leave_refused(undo *u, const keep_toc_entry *entry, const json_t *refusal);
/* The same of all rows of a table. */
SP_MUST sp_err undo_tell_refused_rows(undo *u, const json_t *relation, const json_t *refusal);
/* When all is left out that there is a reason for: what stands on it. */
SP_MUST sp_err undo_leave_done(undo *u);

/* ---- undo_data.c ---- */
/* Rows of a table that is missing and that the manifest knows: undo_data() puts them back. */
bool undo_is_staged(const undo *u, const keep_toc_entry *entry);
/* Rows of a table that the manifest does not know: whose code is theirs was not looked at. */
bool undo_is_unknown_data(const undo *u, const keep_toc_entry *entry);
/* Into the tables that have been made again, before anything hangs on them. */
SP_MUST sp_err undo_data(undo *u, sp_buf *sql);

/* ---- undo_keys.c ---- */
/* Looks which foreign keys fell with what they referred to; those of missing tables are in the
 * archive. */
SP_MUST sp_err undo_keys_find_gone(undo *u);
/* Adds them again; without asking rows that have no parent. */
SP_MUST sp_err undo_keys_add(undo *u);
/* Takes those off that rows of the tables have to pass; before these come, and behind them: they
 * are back, and asked of no row. */
SP_MUST sp_err undo_keys_take_off(undo *u, const undo_tables *all, json_t **ret_keys, sp_buf *sql);
SP_MUST sp_err undo_keys_put_on(undo *u, const json_t *keys);
/* Adds a foreign key, which is said as that: as the text has it, else NOT VALID, which is told. */
SP_MUST sp_err undo_keys_try(undo *u, sp_span text, sp_span said, json_t **ret_refusal);

/* ---- undo_code.c ---- */
/* Refuses where an event trigger would run the code of a role that is no superuser: our own first
 * statement makes a table. Only superusers make them. */
SP_MUST sp_err undo_code_events(undo *u);
/* Notes with each relation what was kept of it, as the questions below say it. */
SP_MUST sp_err undo_code_begin(undo *u, const undo_tables *chosen);
/* Whether nothing of what only went along would run the code of a role that is no superuser, as far
 * as can be seen before anything is made or held. */
SP_MUST sp_err undo_code_are_seen(undo *u, bool *ret_all);
/* The same of one relation or definition; NULL = nothing of its would. */
SP_MUST sp_err undo_code_why_not(undo *u, const json_t *one, char **ret_why);
/* What was left out since then is asked about no more. */
void undo_code_forget(undo *u);
/* Locks what is there now, and the names of its schemas; the script fails when something has taken
 * a kept table's name, or when putting rows into it would run the code of a role that is no
 * superuser. made: those that were gone have to be there again. */
SP_MUST sp_err undo_code_check(undo *u, bool made, sp_buf *sql);
/* The same of indexes of what is partitioned, before they are attached to each other. */
SP_MUST sp_err undo_code_check_indexes(undo *u, sp_buf *sql);
/* The same before foreign keys that are missing are added: the server reads both tables then, with
 * their indexes. */
SP_MUST sp_err undo_code_check_keys(undo *u, sp_buf *sql);
/* The same question about one of the tables, before each statement that writes into it. */
void undo_code_check_again(const json_t *relation, sp_buf *sql);
/* Of one that has been made again. */
void undo_code_check_made(const json_t *relation, sp_buf *sql);

/* ---- undo_choose.c ---- */
/* By name: neither of a whole database nor because it went along. */
bool undo_was_asked_for(const undo *u, const json_t *relation);
SP_MUST sp_err undo_tables_choose(undo *u, undo_tables **ret_tables);
void undo_tables_free(undo_tables *tables);
/* Looks which types and collations of columns are not there any more. */
SP_MUST sp_err undo_find_grounds(undo *u);
/* Nothing is put into it, if it is one of them. */
void undo_tables_leave(undo *u, undo_tables *tables, const json_t *relation, const char *why);
/* What refers to rows that do not come back. SP_ECONFLICT: it was asked for by name. */
SP_MUST sp_err undo_tables_leave_hanging(undo *u, undo_tables *tables);
/* Leaves out, and tells, what only went along and would run such code (undo_leave.c). */
SP_MUST sp_err undo_leave_unseen(undo *u, undo_tables *tables);

/* ---- undo_columns.c ---- */
/* Locks them, and makes columns that are gone again. */
SP_MUST sp_err undo_columns(undo *u, undo_tables *tables, sp_buf *sql);

/* ---- undo_hangs.c ---- */
/* SQL: the type, function, operator, relation or the like that s.class and s.oid mean is there. */
#define UNDO_IS_THERE_S                                                                            \
    "CASE s.class WHEN 'pg_catalog.pg_type'::pg_catalog.regclass THEN EXISTS"                      \
    " (SELECT FROM pg_catalog.pg_type x WHERE x.oid = s.oid)"                                      \
    " WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass THEN EXISTS"                                  \
    " (SELECT FROM pg_catalog.pg_proc x WHERE x.oid = s.oid)"                                      \
    " WHEN 'pg_catalog.pg_operator'::pg_catalog.regclass THEN EXISTS"                              \
    " (SELECT FROM pg_catalog.pg_operator x WHERE x.oid = s.oid)"                                  \
    " WHEN 'pg_catalog.pg_class'::pg_catalog.regclass THEN EXISTS"                                 \
    " (SELECT FROM pg_catalog.pg_class x WHERE x.oid = s.oid)"                                     \
    " WHEN 'pg_catalog.pg_collation'::pg_catalog.regclass THEN EXISTS"                             \
    " (SELECT FROM pg_catalog.pg_collation x WHERE x.oid = s.oid)"                                 \
    " WHEN 'pg_catalog.pg_ts_config'::pg_catalog.regclass THEN EXISTS"                             \
    " (SELECT FROM pg_catalog.pg_ts_config x WHERE x.oid = s.oid) ELSE true END"
/* Looks which checks, defaults and the like of what is there fell. */
SP_MUST sp_err undo_hangs_find(undo *u);
/* Last of all: makes them again, where that means what it meant, and tells the rest. */
SP_MUST sp_err undo_hangs_put(undo *u, sp_buf *sql);

/* ---- undo_rows.c ---- */
SP_MUST sp_err undo_rows(undo *u, const undo_tables *tables, sp_buf *sql);

#endif

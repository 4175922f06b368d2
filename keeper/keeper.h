/* SPDX-License-Identifier: Apache-2.0
 * What the parts of the keeper share.
 *
 * Story: core sends a job (lib/proto/keeper_msg.h). A thread of the pool carries it out with
 * Debian's own pg_dump, pg_restore and psql, as the database role that the policy names; the
 * password comes from the vault and reaches them by a file that only this uid can read, in a
 * directory that is removed at the end. What is kept is one file: a manifest (what was there, its
 * keys, what refers to it) and pg_dump's archive, compressed and encrypted as it streams.
 *
 * OWNS see each. PROCESS keeper. TRUST core's words are bounded; the database's names and data are
 * hostile: they are quoted, and never become a word of a command. SPEC keeper/README.md.
 */
#ifndef SP_KEEPER_KEEPER_H
#define SP_KEEPER_KEEPER_H

#include "infra/crypto/aead.h"
#include "infra/proc/config.h"
#include "keeper/work.h"
#include "lib/proto/keeper_msg.h"

#include <jansson.h>
#include <libpq-fe.h>

enum {
    KEEP_MANIFEST_MAX_BYTES = 8 << 20,
    KEEP_LISTING_MAX_BYTES = 32 << 20, /* what pg_restore lists: 600,000 objects or so */
    KEEP_RELATIONS_MAX = 500,          /* more than that: the whole database is kept */
    KEEP_PATH_BYTES = 512
};

/* One job while it is carried out. */
typedef struct {
    const sp_config *config;
    const char *programs;  /* directory of pg_dump, pg_restore, psql */
    const char *store_dir; /* of the keeps */
    sp_keeper_job job;     /* spans into body */
    sp_buf body;
    char dir[KEEP_PATH_BYTES]; /* of this job alone, removed at the end */
    char passfile[KEEP_PATH_BYTES + 16];
    uint64_t rate; /* bytes a second that keeping took lately */
    keep_work work;
    /* results */
    sp_err err;
    uint64_t bytes;
    uint64_t plain_bytes; /* of the tables that were kept, as the server has them */
    uint64_t duration_ms;
    bool end_unknown; /* UNDO: it was to commit, and nobody knows whether it did */
    sp_buf report;
    sp_buf why;
} keep_job;

/* ---- target.c: the database ---- */
/* The job's directory with the passfile; SP_ENOTFOUND: the vault has no such credential. */
SP_MUST sp_err keep_prepare(keep_job *job);
void keep_clean(keep_job *job);
/* libpq's words for the database (of that name; NULL = the job's), without the password. */
SP_MUST sp_err keep_conninfo(const keep_job *job, const char *database, char **ret_text);
SP_MUST sp_err keep_connect(keep_job *job, const char *database, PGconn **ret_conn);
void keep_disconnect(PGconn **conn);
#define auto_conn __attribute__((cleanup(keep_disconnect)))
/* Runs one statement with text parameters; *why gets the server's words. SP_ETIMEOUT: it has not
 * ended in an hour. */
SP_MUST sp_err keep_exec(keep_job *job, PGconn *conn, const char *sql, int count,
                         const char *const *values, PGresult **ret_result);
void keep_clear(PGresult **result);
#define auto_result __attribute__((cleanup(keep_clear)))
/* Never NULL: empty where there is no such row or column, whatever a server answers. */
const char *keep_value(const PGresult *result, int row, int column);
/* The first column of the first row as JSON. */
SP_MUST sp_err keep_exec_json(keep_job *job, PGconn *conn, const char *sql, int count,
                              const char *const *values, json_t **ret_json);
static inline void keep_decref(json_t **json)
{
    json_decref(*json);
}
#define auto_json __attribute__((cleanup(keep_decref)))

/* ---- child.c: Debian's programs ---- */
typedef struct {
    pid_t pid;
    int in;     /* its standard input, -1 = none */
    int out;    /* its standard output, -1 = none */
    int errors; /* file with its standard error */
    int told;   /* file with its standard output, when out is -1 */
    int status; /* once it has ended: what it exited with, -1 = it was killed */
} keep_child;
/* argv[0] is the program's name; out: a pipe, else a file. */
SP_MUST sp_err keep_child_start(keep_job *job, const char *const argv[], bool in, bool out,
                                keep_child *ret_child);
/* Closes its pipes, waits; SP_EIO with its last words in job->why when it failed. */
SP_MUST sp_err keep_child_end(keep_job *job, keep_child *child);
/* What it wrote to its standard error. */
SP_MUST sp_err keep_child_said(const keep_child *child, sp_buf *out);
/* What it wrote to its file. */
SP_MUST sp_err keep_child_told(const keep_child *child, sp_buf *out);
/* What it has written there so far behind *at_bytes, which goes on; nothing when there is no more.
 */
SP_MUST sp_err keep_child_hear(const keep_child *child, uint64_t *at_bytes, sp_buf *out);
/* It runs no more; it is still to be waited for. */
bool keep_child_has_ended(const keep_child *child);
void keep_child_done(keep_child *child);

/* ---- listing.c: what is in an archive ---- */
#define KEEP_LISTING_WORDS "pg_restore", "--list", "--verbose", NULL
/* Lists an archive while it is written: its contents come before its data. */
SP_MUST sp_err keep_listing_start(keep_job *job, keep_child *ret_lister);
/* The next bytes of it. */
void keep_listing_feed(keep_child *lister, sp_span bytes);
/* After all bytes; manifest NULL: there are no more. SP_ECONFLICT: rows that the manifest knows are
 * not in it; SP_ELIMIT: undo could not read it; both with a sentence in job->why. */
SP_MUST sp_err keep_listing_end(keep_job *job, keep_child *lister, const json_t *manifest);
/* The sentence of SP_ELIMIT. */
extern const char keep_listing_too_long[];

/* ---- file.c: the encrypted file ---- */
typedef struct keep_writer keep_writer;
/* wrapped: the key as the vault wrapped it. */
SP_MUST sp_err keep_writer_new(const char *dir, uint64_t keep, const sp_key *key, sp_span wrapped,
                               uint64_t max_bytes, keep_writer **ret_writer);
SP_MUST sp_err keep_writer_put(keep_writer *writer, sp_span bytes);
/* Durable under its name from now on. */
SP_MUST sp_err keep_writer_finish(keep_writer *writer, uint64_t *ret_bytes);
/* What was not finished is removed. */
void keep_writer_free(keep_writer *writer);
typedef struct keep_reader keep_reader;
/* SP_ENOTFOUND, SP_ECORRUPT. wrapped is the reader's. */
SP_MUST sp_err keep_reader_new(const char *dir, uint64_t keep, keep_reader **ret_reader,
                               sp_span *ret_wrapped);
SP_MUST sp_err keep_reader_key(keep_reader *reader, const sp_key *key);
/* Up to len bytes; 0 at the verified end. SP_ECORRUPT. */
SP_MUST sp_err keep_reader_read(keep_reader *reader, void *to, size_t len, size_t *ret_len);
void keep_reader_free(keep_reader *reader);
SP_MUST sp_err keep_file_remove(const char *dir, uint64_t keep);
void keep_files_expire(const char *dir, uint64_t before_unix_s);
/* Bytes and number of all keeps. */
SP_MUST sp_err keep_files_size(const char *dir, uint64_t *ret_bytes, size_t *ret_count);

/* ---- vault.c ---- */
SP_MUST sp_err keep_vault_password(const keep_job *job, sp_buf *ret_password);
SP_MUST sp_err keep_vault_wrap(const keep_job *job, sp_span key, sp_buf *ret_wrapped);
SP_MUST sp_err keep_vault_unwrap(const keep_job *job, sp_span wrapped, sp_key *ret_key);

/* ---- manifest.c: what is there ---- */
/* SQL: the name, with its schema, of the relation, type, function or operator (both without their
 * arguments) or schema that s.class and s.oid mean now; NULL = there is none. */
#define KEEP_NAME_OF_S                                                                             \
    "CASE s.class WHEN 'pg_catalog.pg_class'::pg_catalog.regclass THEN (SELECT"                    \
    " format('%I.%I', xn.nspname, x.relname) FROM pg_catalog.pg_class x"                           \
    " JOIN pg_catalog.pg_namespace xn ON xn.oid = x.relnamespace WHERE x.oid = s.oid)"             \
    " WHEN 'pg_catalog.pg_type'::pg_catalog.regclass THEN (SELECT"                                 \
    " format('%I.%I', xn.nspname, x.typname) FROM pg_catalog.pg_type x"                            \
    " JOIN pg_catalog.pg_namespace xn ON xn.oid = x.typnamespace WHERE x.oid = s.oid)"             \
    " WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass THEN (SELECT"                                 \
    " format('%I.%I', xn.nspname, x.proname) FROM pg_catalog.pg_proc x"                            \
    " JOIN pg_catalog.pg_namespace xn ON xn.oid = x.pronamespace WHERE x.oid = s.oid)"             \
    " WHEN 'pg_catalog.pg_operator'::pg_catalog.regclass THEN (SELECT"                             \
    " format('%I.%s', xn.nspname, x.oprname) FROM pg_catalog.pg_operator x"                        \
    " JOIN pg_catalog.pg_namespace xn ON xn.oid = x.oprnamespace WHERE x.oid = s.oid)"             \
    " WHEN 'pg_catalog.pg_namespace'::pg_catalog.regclass THEN (SELECT quote_ident(x.nspname)"     \
    " FROM pg_catalog.pg_namespace x WHERE x.oid = s.oid) END"
SP_MUST sp_err keep_manifest(keep_job *job, PGconn *conn, json_t **ret_manifest);
uint64_t keep_manifest_bytes(const json_t *manifest);
/* Any of the words stands in the text; both are parted by blanks. */
bool keep_has_word(const char *text, const char *words);

/* ---- limits.c: what is said of it ---- */
/* For the approval screen: see keeper/README.md. keep_ms: what keeping may take; 0 = not said. */
void keep_summary(const json_t *manifest, uint64_t keep_ms, sp_buf *out);
/* Rows that the statement may reach and that are on another server: a foreign partition. */
bool keep_is_elsewhere(const json_t *manifest, const json_t *relation);

/* ---- cluster.c: whose history ---- */
/* Which cluster the connection is of, as its own number; empty where the role may not ask. */
enum { KEEP_SYSTEM_BYTES = 32 };
SP_MUST sp_err keep_system(keep_job *job, PGconn *conn, char ret_system[KEEP_SYSTEM_BYTES]);
/* Its timeline ("00000001") and how much it has written ("0/16B3748"); both empty where the role
 * may not ask. */
typedef struct {
    char timeline[16];
    char lsn[24];
} keep_place;
SP_MUST sp_err keep_position(keep_job *job, PGconn *conn, keep_place *ret_place);

/* ---- keep.c, undo.c, beside.c: the jobs ---- */
SP_MUST sp_err keep_run_keep(keep_job *job);
SP_MUST sp_err keep_run_estimate(keep_job *job);
SP_MUST sp_err keep_run_undo(keep_job *job, bool try);
SP_MUST sp_err keep_run_beside(keep_job *job, bool try);
/* Opens a keep and reads its manifest; the reader stands at the archive. */
SP_MUST sp_err keep_open(keep_job *job, keep_reader **ret_reader, json_t **ret_manifest);

#endif

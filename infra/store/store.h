/* SPDX-License-Identifier: Apache-2.0
 * The store: SQL tables behind one small interface. Behind it is SQLite (WAL, synchronous=FULL);
 * PostgreSQL comes next, so statements are written in what both understand: $1, $2 .. numbered in
 * the order in which they first appear, BIGINT, TEXT, BYTEA columns, ON CONFLICT, RETURNING.
 *
 * A statement is prepared once and kept: pass the same literal each time. Errors are sticky in the
 * query, as in sp_reader, and come out at the end:
 *
 *     auto_query sp_query q = sp_query_of(store, "SELECT name, state FROM person WHERE id = $1");
 *     sp_bind_u64(&q, id);
 *     if (sp_query_row(&q)) {
 *         TRY(sp_fit(out->name, sizeof(out->name), sp_col_text(&q)));
 *         out->state = (uint8_t)sp_col_u64(&q);
 *     }
 *     return sp_query_finish(&q);
 *
 * Columns are read left to right. A write happens inside sp_txn_begin/commit, or is one of
 * sp_query_alone; what commit acknowledged survives kill -9 and a power cut. One thread: the
 * loop's.
 *
 * OWNS the database handle and statements. PROCESS core. TRUST bound values may be hostile (they
 * never become SQL); the file is core's own, checked at open. SPEC https://www.sqlite.org/wal.html
 */
#ifndef SP_STORE_STORE_H
#define SP_STORE_STORE_H

#include "lib/base/buf.h"

typedef struct sp_store sp_store;
typedef struct sp_statement sp_statement;

/* Opens or makes it, and checks the whole file. SP_ECORRUPT with a sentence in *why (<= why's
 * maximum) when the check fails: nothing is changed then. SP_EIO. */
SP_MUST sp_err sp_store_open(const char *path, sp_buf *why, sp_store **ret_store);
void sp_store_close(sp_store *store);

/* Brings one room's tables to the newest shape, all steps or none. steps[i] takes the shape from
 * i to i + 1; a step that has been released never changes. A store that is newer than the program
 * is refused (SP_EUNSUPPORTED). */
SP_MUST sp_err sp_store_migrate(sp_store *store, const char *room, const char *const *steps,
                                size_t count);

SP_MUST sp_err sp_store_begin(sp_store *store);
SP_MUST sp_err sp_store_commit(sp_store *store);
/* Does nothing outside a transaction, so that it can stand at every exit. */
void sp_store_rollback(sp_store *store);
/* begin .. commit around a scope: leaving it without sp_txn_commit() rolls back.
 *     auto_txn sp_txn txn = sp_txn_begin(store);   ...   return sp_txn_commit(&txn); */
typedef struct {
    sp_store *store;
    sp_err err;
} sp_txn;
sp_txn sp_txn_begin(sp_store *store);
SP_MUST sp_err sp_txn_commit(sp_txn *txn);
void sp_txn_done_(sp_txn *txn);
#define auto_txn __attribute__((cleanup(sp_txn_done_)))

/* A consistent copy of the whole while work goes on, written to a new file. SP_EEXISTS, SP_EIO. */
SP_MUST sp_err sp_store_copy(sp_store *store, const char *path);
/* The last error in words, for logs only. */
const char *sp_store_error_text(const sp_store *store);

typedef struct {
    sp_statement *statement;
    sp_store *store;
    int bound;
    int column;
    int columns; /* of the current row, 0 = no row */
    bool alone;  /* in a transaction that it began */
    sp_err err;
} sp_query;

sp_query sp_query_of(sp_store *store, const char *sql);
/* One write that is a transaction of its own: it begins here, finish commits it. */
sp_query sp_query_alone(sp_store *store, const char *sql);
/* Leaving the scope early gives the statement back, and takes back a write that stood alone; after
 * finish it does nothing. */
void sp_query_done_(sp_query *query);
#define auto_query __attribute__((cleanup(sp_query_done_)))
void sp_bind_u64(sp_query *query, uint64_t value); /* at most INT64_MAX: SP_ELIMIT */
/* Any 64 bits, kept as the two's complement: for random ids. Read back by sp_col_bits. */
void sp_bind_bits(sp_query *query, uint64_t value);
void sp_bind_text(sp_query *query, sp_span text); /* UTF-8, no NUL; copied */
void sp_bind_blob(sp_query *query, sp_span bytes);
void sp_bind_null(sp_query *query);

/* Steps to the next row; false at the end or after an error. */
bool sp_query_row(sp_query *query);
uint64_t sp_col_u64(sp_query *query);
uint64_t sp_col_bits(sp_query *query);
/* Valid until the next row or finish. NULL gives the empty span. */
sp_span sp_col_text(sp_query *query);
sp_span sp_col_blob(sp_query *query);
/* Whether the next column is NULL (does not move on). */
bool sp_col_is_null(const sp_query *query);

/* Ends the query (a write runs now if no row was asked for). SP_EEXISTS: a UNIQUE or PRIMARY KEY
 * is taken. SP_ECONFLICT: another constraint. SP_EIO, SP_EINTERNAL (wrong SQL). */
SP_MUST sp_err sp_query_finish(sp_query *query);
/* The same, and SP_ENOTFOUND when no row was changed. */
SP_MUST sp_err sp_query_finish_changed(sp_query *query);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * What of psql's words goes to whoever asked for an undo. He may see rows masked, and the server
 * puts values into what it says: DETAIL has whole rows, and some errors are about a value. Pure.
 *
 *     ERROR:  23514: check constraint "c" of relation "orders" is violated by some row
 *     DETAIL:  Failing row contains (7, 1380000).
 *     LOCATION:  ATRewriteTable, tablecmds.c:6052
 *
 * OWNS nothing. PROCESS keeper. TRUST names and values are the database's: they may look like a
 * line of their own. SPEC PostgreSQL 15 manual, psql "VERBOSITY"; Appendix A "Error Codes".
 */
#ifndef SP_KEEPER_SAID_H
#define SP_KEEPER_SAID_H

#include "lib/base/buf.h"

/* Of an error that is the keeper's own (undo_code.c). */
#define KEEP_SAID_OURS "SP001"
/* Of rows and a foreign key. */
#define KEEP_SAID_NO_PARENT "23503"
#define KEEP_SAID_NO_RIGHT "42501"

/* text: with VERBOSITY verbose. Appends the first error, its hint where nothing stands before that;
 * of an error that may hold values only the code. Nothing: there is no error in it. */
void keep_said(sp_span text, sp_buf *out);
/* The first error is of others that were in the way for the moment: a lock that was not to be had,
 * a deadlock. */
bool keep_said_is_busy(sp_span text);
/* Two changed the same thing of the catalogs at a time, or waited for each other: the transaction
 * may be run anew. */
bool keep_said_met(sp_span text);
/* The first error has this SQLSTATE. */
bool keep_said_is(sp_span text, const char *state);
/* The same as keep_said() of one message with its SQLSTATE. */
void keep_said_one(sp_span code, sp_span message, sp_buf *out);

#endif

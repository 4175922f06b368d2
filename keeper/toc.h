/* SPDX-License-Identifier: Apache-2.0
 * The table of contents of an archive as `pg_restore -l -v` prints it, and the COPY blocks of a
 * script as `pg_restore --data-only` writes it. Pure.
 *
 *     215; 1259 16391 TABLE public orders postgres
 *     3367; 0 16391 TABLE DATA public orders postgres
 *     ;	depends on: 215
 *
 * OWNS nothing: spans point into the text. PROCESS keeper. TRUST names are the database's: they may
 * hold anything but a line's end, which pg_restore makes a blank. SPEC pg_restore(1) "-l", "-L".
 */
#ifndef SP_KEEPER_TOC_H
#define SP_KEEPER_TOC_H

#include "lib/base/buf.h"

typedef struct {
    sp_span line;     /* without its end */
    uint32_t id;      /* within the archive */
    uint32_t catalog; /* oid of the system catalog its object is a row of; 0 = none */
    uint32_t oid;
    sp_span rest; /* "TABLE DATA public orders postgres" */
    sp_span
        depends; /* " 215 216": ids that it needs, what a grant or a comment is about among them */
} keep_toc_entry;

/* Takes the next entry off *text; false at the end. Comments and what is no entry are skipped. */
bool keep_toc_next(sp_span *text, keep_toc_entry *ret_entry);
bool keep_toc_is_data(const keep_toc_entry *entry);
/* Takes the next id off entry->depends; false at the end, or where it is no number. */
bool keep_toc_next_id(sp_span *depends, uint32_t *ret_id);

/* "public.json_scalar" is public."json_scalar": the server's list of words that need quotes may not
 * be pg_dump's. */
bool keep_toc_same_name(sp_span one, sp_span other);

/* Rewrites the heads of COPY blocks, and drops everything else. A head is read as PostgreSQL reads
 * it: names within quotes may hold line ends, so it may take several lines. */
typedef struct {
    /* What to load into instead of `table` ("public.orders", as the script quotes it), with the
     * columns: "pg_temp.a (id, note)"; empty: the block is dropped. Of the script's own head
     * nothing goes on. */
    sp_span (*target)(void *self, sp_span table);
    void *self;
    bool inside;   /* a COPY block */
    bool dropping; /* this one */
    sp_buf head;   /* lines of a head that is not whole yet */
    sp_buf line;   /* a line that has not ended yet */
    bool flowing;  /* the rest of a long line of data goes through as it is */
} keep_copy;

keep_copy keep_copy_make(sp_span (*target)(void *self, sp_span table), void *self);
void keep_copy_done(keep_copy *copy);
/* Appends to out what goes on. SP_ELIMIT: what is no data is too long. SP_EINVALID: a head that
 * does not read. */
SP_MUST sp_err keep_copy_feed(keep_copy *copy, sp_span bytes, sp_buf *out);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * What pg_restore writes, so that psql puts none of its variables into it. It looks for :name and
 * :"name" outside of quotes, which is also how a slice of an array ends that a column stands for
 * (x[1:"ERROR"]); many of its variables cannot be taken from it. A blank behind the colon means the
 * same to the server, and no variable to psql. Pure.
 * OWNS nothing. PROCESS keeper. TRUST definitions are the database's. SPEC psql(1) "Variables";
 * PostgreSQL 15 manual, 4.1 "Lexical Structure".
 */
#ifndef SP_KEEPER_PLAIN_H
#define SP_KEEPER_PLAIN_H

#include "lib/base/buf.h"

enum { KEEP_TAG_BYTES = 64 };

typedef struct {
    int inside;                  /* of what: plain.c */
    uint8_t before;              /* the byte before; 0 = none */
    bool word;                   /* that byte belongs to a name or a number */
    bool escapes;                /* E'': a backslash takes the next byte with it */
    bool escaped;                /* which is this one */
    size_t depth;                /* of comments */
    uint8_t tag[KEEP_TAG_BYTES]; /* "$body$" */
    size_t tag_len;
    size_t match; /* bytes of the tag that have come again */
} keep_plain;

/* Appends SQL to out with a blank behind each lone colon. The state begins as zeros, and goes on
 * from piece to piece. */
void keep_plain_feed(keep_plain *plain, sp_span sql, sp_buf *out);
/* No value, name, body or comment is open. */
bool keep_plain_is_outside(const keep_plain *plain);

#endif

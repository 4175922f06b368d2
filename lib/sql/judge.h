/* SPDX-License-Identifier: Apache-2.0
 * Judging SQL: PostgreSQL's own grammar (libpg_query) and a bounded walk over its raw tree that
 * knows every construct it lets through.
 *
 * Story: one sp_sql_judge a worker. sp_sql_judge_text() says what a message does; the gate asks
 * policy about each use and the gravest verdict holds for the whole message. When a verdict says
 * that tags are masked, sp_sql_masking_text() (masking.h) says whether the statement keeps
 * masked values where masking can find them.
 *
 * What is not known is not let through: a node tag outside the table, a text that does not parse,
 * one that reads differently under standard_conforming_strings off. What is known but bounded by
 * nothing (DO, functions of users) carries SP_SQL_USE_OPAQUE.
 *
 * OWNS its scratch memory; a judgement is valid until the next call on the same judge, a copy
 * until it is freed. PROCESS database gate; one thread. TRUST the text is hostile.
 * SPEC docs/ARCHITECTURE.md "Database gate"; PostgreSQL 15 gram.y.
 */
#ifndef SP_SQL_JUDGE_H
#define SP_SQL_JUDGE_H

#include "lib/sql/catalogue.h"
#include "lib/sql/statement.h"

typedef struct sp_sql_judge sp_sql_judge;

/* What a text is judged against. Callbacks may be NULL (= no). */
typedef struct {
    const sp_sql_catalogue *catalogue; /* NULL: every relation is unknown */
    /* The server has a temporary relation of that name in this session when the text runs. */
    bool (*is_temporary)(const void *session, sp_span name);
    /* It may have one: the session made it at some time. */
    bool (*was_temporary)(const void *session, sp_span name);
    /* Some have got other names, or there are more than was_temporary() knows. */
    bool is_temp_renamed;
    /* A function that this session made, which the catalogue may not have yet. */
    bool (*is_made)(const void *session, sp_span name);
    /* A name that this session gave to other rows, which the catalogue may not know yet. */
    bool (*is_other)(const void *session, sp_span name);
    /* A relation with rows of its own that this session made in that schema (empty: in any), which
     * the catalogue may not have. */
    bool (*is_own)(const void *session, sp_span schema, sp_span name);
    /* The session defined things of which the catalogue may be older: no key counts. */
    bool is_early;
    const void *session;
    /* What policy says of a function that is not the server's own. */
    bool (*function_action)(const void *policy, sp_span schema, sp_span name,
                            sp_action *ret_action);
    const void *policy;
    bool is_utf8; /* the encoding of the database is UTF8: it refuses literals that are not */
} sp_sql_context;

/* SP_ENOMEM; SP_EINTERNAL when the parser that was linked is not the one it was built with. */
SP_MUST sp_err sp_sql_judge_new(sp_sql_judge **ret_judge);
void sp_sql_judge_free(sp_sql_judge *judge);
void sp_sql_judge_auto_free(sp_sql_judge **judge);
#define auto_sql_judge __attribute__((cleanup(sp_sql_judge_auto_free)))

/* A statement, and what it must be judged to be, against no catalogue. */
typedef struct {
    const char *text;
    const char *tag;
    uint8_t action;   /* of its gravest use */
    const char *name; /* of that; NULL = it uses nothing */
} sp_sql_expected;
/* The first that is not judged so; NULL: all are. */
const sp_sql_expected *sp_sql_judge_expect(sp_sql_judge *judge, const sp_sql_expected *cases,
                                           size_t count);
/* Statements whose trees must have the shape that this was built with; sp_sql_judge_new() does it.
 * SP_EINTERNAL: one has not. */
SP_MUST sp_err sp_sql_judge_self_test(sp_sql_judge *judge);

/* text has no NUL. Never fails: what cannot be judged is a fault in the judgement. */
const sp_sql_judgement *sp_sql_judge_text(sp_sql_judge *judge, const sp_sql_context *context,
                                          sp_span text);
/* How large a copy of it is. */
size_t sp_sql_judgement_bytes(const sp_sql_judgement *judgement);
/* A compact copy on the heap, for prepared statements, cursors and caches; sp_free() frees it. */
SP_MUST sp_err sp_sql_judgement_copy(const sp_sql_judgement *judgement,
                                     sp_sql_judgement **ret_copy);

#endif

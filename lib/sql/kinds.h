/* SPDX-License-Identifier: Apache-2.0
 * The kinds of objects that a database has, and what it asks for to make, change and drop one: one
 * table, so that no way of taking a thing away is milder than another. To rename or move something
 * takes its name from it as a drop does, and gives it one as a definition does, and asks for both.
 *
 * OWNS nothing. PROCESS database gate. TRUST none. SPEC PostgreSQL 15 nodes/parsenodes.h
 * ObjectType.
 */
#ifndef SP_SQL_KINDS_H
#define SP_SQL_KINDS_H

#include "lib/sql/walk.h"

/* What its name is, and what is asked about. */
typedef enum {
    KIND_OF_DATABASE, /* of no schema: the database */
    KIND_IN_SCHEMA,   /* the name, in its schema */
    KIND_RELATION,    /* the relation: given.c says what its names mean */
    KIND_OF_RELATION, /* the relation whose name stands before its own */
    KIND_SCHEMA
} kind_place;

/* What statements of others may do by its name alone. */
typedef enum { KIND_IS_NAMED, KIND_IS_CALLED, KIND_IS_TYPE } kind_use;

typedef enum { KIND_CREATE, KIND_CHANGE, KIND_DROP, KIND_WAY_COUNT } kind_way;

typedef struct {
    ObjectType type;
    uint8_t place;                /* kind_place */
    uint8_t use;                  /* kind_use */
    uint8_t asks[KIND_WAY_COUNT]; /* sp_action; of KIND_OF_DATABASE all are `administer` */
    bool means;                   /* what others wrote means something else with or without it:
                                     `administer` of the database beside that, whichever way */
    bool holds;                   /* tables and types of its own go with it, CASCADE or not */
} object_kind;

/* NULL: no statement is known to have it, and one that does is refused. */
const object_kind *kind_of(ObjectType type);
/* What a way asks of the object. */
sp_action kind_asks(ObjectType type, kind_way way);

/* A statement of one kind alone, which neither makes relations nor changes any. */
enum {
    KIND_MEANS = 1U << 0,    /* as of an object_kind: of some, what it makes is more than others */
    KIND_IS_SECRET = 1U << 1 /* it may carry a password or the like */
};
typedef struct {
    NodeTag node;
    ObjectType type;
    kind_way way;
    uint8_t more; /* KIND_ */
} kind_statement;
/* False: it is none. */
bool kind_of_statement(const Node *node, kind_statement *ret_statement);

#endif

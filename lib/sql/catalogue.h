/* SPDX-License-Identifier: Apache-2.0
 * What a database holds, as far as judging needs it: relations with their columns, what views read,
 * partitions, foreign keys that cascade, functions. Built from rows that the gate reads off the
 * server's own catalogue, then looked up by name through the search path and by oid.
 *
 * Story: _new, then _relation and _column (columns right after their relation), _depends, _function
 * in any order after the relations, then _finish once. After that nothing changes but the binding:
 * the numbers that policy gives to relations and columns.
 *
 * OWNS its copies of all names. PROCESS database gate. TRUST rows come from the database behind;
 * names are bounded, counts have maxima. SPEC docs/ARCHITECTURE.md "Database gate".
 */
#ifndef SP_SQL_CATALOGUE_H
#define SP_SQL_CATALOGUE_H

#include "lib/base/arena.h"
#include "lib/policy/types.h"

enum {
    SP_SQL_RELATIONS_MAX = 200000,
    SP_SQL_COLUMNS_MAX = 4000000,
    SP_SQL_FUNCTIONS_MAX = 200000,
    SP_SQL_TYPES_MAX = 200000,
    SP_SQL_CALLS_MAX = 1000000,
    SP_SQL_CASTS_MAX = 1000000,
    SP_SQL_PATH_MAX = 16
};

enum {
    SP_SQL_REL_SYSTEM = 1U << 0,   /* pg_catalog, information_schema, pg_toast */
    SP_SQL_REL_TELLING = 1U << 1,  /* a system relation that tells values or secrets */
    SP_SQL_REL_RULES = 1U << 2,    /* has rules that are not a view's own */
    SP_SQL_REL_TRIGGERS = 1U << 3, /* has triggers of users for each row */
    SP_SQL_REL_OPAQUE = 1U << 4,   /* a view whose query nobody has taken apart */
    SP_SQL_REL_TAGGED = 1U << 5,   /* bound: it, a column of it, or what it reads carries tags */
    SP_SQL_REL_NEAR = 1U << 6,     /* bound: what is done to it reaches something tagged */
    SP_SQL_REL_TELLS = 1U << 7,    /* finished: values of tables may be seen in it: TELLING, or a
                                      view that reads such a one or calls what tells */
    SP_SQL_REL_GUARDED = 1U << 8,  /* has row security, or triggers of users for each statement */
    SP_SQL_REL_HELD = 1U << 9      /* other relations or types have columns of its row type */
};

/* What policy says of a relation or column; all zero and SP_NONE until it is bound. */
typedef struct {
    uint32_t part; /* index in the snapshot, SP_NONE = the resource as a whole */
    uint8_t class_level;
    uint8_t mask; /* sp_mask */
    uint64_t tags;
} sp_sql_bound;

typedef struct {
    sp_span name;
    int16_t attnum;
    bool not_null;
    bool is_key; /* no two rows of its relation have the same value there */
    uint32_t type_oid;
    sp_sql_bound bound;
} sp_sql_column;

typedef struct {
    sp_span schema;
    sp_span name;
    uint32_t oid;
    char kind; /* pg_class.relkind */
    uint32_t flags;
    uint32_t first_column; /* in the catalogue's columns, by attnum */
    uint32_t column_count;
    uint32_t first_edge; /* in its edges */
    uint32_t edge_count;
    uint32_t first_call; /* number of a call, from 1; 0 = its query calls nothing */
    sp_span definition;  /* of a view, as pg_get_viewdef() gives it; may be empty */
    sp_sql_bound bound;
    bool is_waiting; /* while it is bound */
} sp_sql_relation;

typedef enum {
    SP_SQL_EDGE_READS,    /* a view reads that relation */
    SP_SQL_EDGE_CHILD,    /* that relation is a partition or inherits from this one */
    SP_SQL_EDGE_CASCADES, /* deleting here deletes or changes rows there */
    SP_SQL_EDGE_UPDATES,  /* changing column attnum here changes rows there */
    SP_SQL_EDGE_INDEX,    /* that relation is an index of this one, and is what policy says of it */
    SP_SQL_EDGE_COUNT
} sp_sql_edge_kind;

typedef struct {
    uint32_t from;
    uint32_t to;
    uint8_t kind;   /* sp_sql_edge_kind */
    int16_t attnum; /* of UPDATES; otherwise 0 */
} sp_sql_edge;

typedef struct {
    sp_span schema;
    sp_span name;
    bool harmless; /* reads only what it is given: of an extension known for that */
} sp_sql_function;

/* A type of users that is no table's row; or of an extension. */
typedef struct {
    sp_span schema;
    sp_span name;
} sp_sql_type;

/* A function that the query of a view calls, also by an operator or as an aggregate; or one by
 * which users cast values of that relation. */
typedef struct {
    sp_span schema;
    sp_span name;
    uint32_t next; /* of the same relation; 0 = none */
    bool is_cast;
} sp_sql_call;

/* Where the function of a cast that users made may run: it takes or gives a value of a type of
 * theirs, so it runs only in a text that has one. */
typedef enum {
    SP_SQL_CAST_TYPE,   /* where that type is named: theirs, or one that holds it */
    SP_SQL_CAST_CALLED, /* where that function or operator is called: it takes or gives such values
                         */
    SP_SQL_CAST_ALWAYS, /* anywhere: both of its types are the server's own */
    SP_SQL_CAST_ANY     /* beside what is not known: each of all these functions */
} sp_sql_cast_kind;

typedef struct {
    sp_sql_cast_kind kind;
    uint32_t type_oid; /* of TYPE */
    sp_span word;      /* of TYPE and CALLED */
    sp_span schema;    /* of its function */
    sp_span name;
    uint32_t next; /* of the same kind and word; 0 = none */
} sp_sql_cast;

typedef struct sp_sql_catalogue sp_sql_catalogue;

SP_MUST sp_err sp_sql_catalogue_new(size_t max_bytes, sp_sql_catalogue **ret_catalogue);
void sp_sql_catalogue_free(sp_sql_catalogue *catalogue);
void sp_sql_catalogue_auto_free(sp_sql_catalogue **catalogue);
#define auto_catalogue __attribute__((cleanup(sp_sql_catalogue_auto_free)))

/* ---- building; SP_ELIMIT, SP_ENOMEM, SP_EINVALID ---- */
SP_MUST sp_err sp_sql_catalogue_path(sp_sql_catalogue *catalogue, sp_span schema);
SP_MUST sp_err sp_sql_catalogue_relation(sp_sql_catalogue *catalogue, sp_span schema, sp_span name,
                                         uint32_t oid, char kind, uint32_t flags,
                                         uint32_t *ret_index);
/* Of the relation that was added last. */
SP_MUST sp_err sp_sql_catalogue_column(sp_sql_catalogue *catalogue, sp_span name, int16_t attnum,
                                       uint32_t type_oid, bool not_null);
/* Of the view that was added last. */
SP_MUST sp_err sp_sql_catalogue_definition(sp_sql_catalogue *catalogue, sp_span text);
SP_MUST sp_err sp_sql_catalogue_edge(sp_sql_catalogue *catalogue, sp_sql_edge_kind kind,
                                     uint32_t from, uint32_t to);
/* A foreign key of `to` on that column of `from`, which follows what the column becomes. */
SP_MUST sp_err sp_sql_catalogue_key(sp_sql_catalogue *catalogue, uint32_t from, uint32_t to,
                                    int16_t attnum);
/* No two rows of the relation, its partitions and children included, have the same value in that
 * column. Unknown columns are none. */
SP_MUST sp_err sp_sql_catalogue_unique(sp_sql_catalogue *catalogue, uint32_t relation,
                                       int16_t attnum);
/* The relation is, or has, that besides: TRIGGERS, GUARDED, HELD. */
SP_MUST sp_err sp_sql_catalogue_mark(sp_sql_catalogue *catalogue, uint32_t relation,
                                     uint32_t flags);
SP_MUST sp_err sp_sql_catalogue_type(sp_sql_catalogue *catalogue, sp_span schema, sp_span name);
SP_MUST sp_err sp_sql_catalogue_function(sp_sql_catalogue *catalogue, sp_span schema, sp_span name,
                                         bool harmless);
SP_MUST sp_err sp_sql_catalogue_call(sp_sql_catalogue *catalogue, uint32_t view, sp_span schema,
                                     sp_span name);
/* The function of a cast that users made, and where it may run; of TYPE and CALLED by a word,
 * type_oid: of TYPE. */
SP_MUST sp_err sp_sql_catalogue_cast(sp_sql_catalogue *catalogue, sp_sql_cast_kind kind,
                                     uint32_t type_oid, sp_span word, sp_span schema, sp_span name);
/* The same: wherever rows of that relation are used, which have such values. */
SP_MUST sp_err sp_sql_catalogue_cast_rows(sp_sql_catalogue *catalogue, uint32_t relation,
                                          sp_span schema, sp_span name);
/* A generated column of the relation, and one that it is computed of. Unknown columns are none. */
SP_MUST sp_err sp_sql_catalogue_generated(sp_sql_catalogue *catalogue, uint32_t relation,
                                          int16_t attnum, int16_t source);
/* Sorts and indexes. Nothing is added after it. */
SP_MUST sp_err sp_sql_catalogue_finish(sp_sql_catalogue *catalogue);

/* ---- reading ---- */
uint32_t sp_sql_catalogue_count(const sp_sql_catalogue *catalogue);
/* The index must be below the count. */
const sp_sql_relation *sp_sql_catalogue_at(const sp_sql_catalogue *catalogue, uint32_t relation);
const sp_sql_column *sp_sql_catalogue_columns(const sp_sql_catalogue *catalogue, uint32_t relation);
const sp_sql_edge *sp_sql_catalogue_edges(const sp_sql_catalogue *catalogue, uint32_t relation);
/* By a relation's first_call, or a call's next. */
const sp_sql_call *sp_sql_catalogue_call_at(const sp_sql_catalogue *catalogue, uint32_t call);
/* An empty schema goes through the search path, pg_catalog first. SP_NONE. */
uint32_t sp_sql_catalogue_find(const sp_sql_catalogue *catalogue, sp_span schema, sp_span name);
/* Also before _finish, if relations were added by ascending oid. */
uint32_t sp_sql_catalogue_find_oid(const sp_sql_catalogue *catalogue, uint32_t oid);
/* Index in all columns (sp_sql_use.column), by name or by attnum; SP_NONE. */
uint32_t sp_sql_catalogue_find_column(const sp_sql_catalogue *catalogue, uint32_t relation,
                                      sp_span name);
uint32_t sp_sql_catalogue_find_attnum(const sp_sql_catalogue *catalogue, uint32_t relation,
                                      int16_t attnum);
const sp_sql_column *sp_sql_catalogue_column_at(const sp_sql_catalogue *catalogue, uint32_t column);
/* A function of that name which is not the server's own; an empty schema means any schema of the
 * path. NULL when there is none. Of several the one that is not harmless. */
const sp_sql_function *sp_sql_catalogue_find_function(const sp_sql_catalogue *catalogue,
                                                      sp_span schema, sp_span name);
/* Any schema's: code that calls the name may find another one than before. */
/* A type of that schema and name is there. */
bool sp_sql_catalogue_has_type(const sp_sql_catalogue *catalogue, sp_span schema, sp_span name);
bool sp_sql_catalogue_has_function(const sp_sql_catalogue *catalogue, sp_span name);
/* The first of that kind and word, and the next; NULL when there is none. */
const sp_sql_cast *sp_sql_catalogue_cast_find(const sp_sql_catalogue *catalogue,
                                              sp_sql_cast_kind kind, sp_span word);
const sp_sql_cast *sp_sql_catalogue_cast_next(const sp_sql_catalogue *catalogue,
                                              const sp_sql_cast *cast);
/* Values of that type may be cast by what users made. */
bool sp_sql_catalogue_is_cast(const sp_sql_catalogue *catalogue, uint32_t type_oid);
/* The search path, one by one; empty past its end. */
sp_span sp_sql_catalogue_path_at(const sp_sql_catalogue *catalogue, uint32_t at);
/* The schema in which an unqualified new name is made: the first of the path. May be empty. */
sp_span sp_sql_catalogue_home(const sp_sql_catalogue *catalogue);

/* ---- binding to policy; may be done again for every snapshot ---- */
void sp_sql_catalogue_bind_clear(sp_sql_catalogue *catalogue);
void sp_sql_catalogue_bind_relation(sp_sql_catalogue *catalogue, uint32_t relation,
                                    const sp_sql_bound *bound);
void sp_sql_catalogue_bind_column(sp_sql_catalogue *catalogue, uint32_t column,
                                  const sp_sql_bound *bound);
/* Partitions are at least what their parent is, column by column, and a parent shows what is tagged
 * in its partitions; views take the tags of all that they read, and a generated column, masked in
 * full, those of what it is computed of. */
void sp_sql_catalogue_bind_finish(sp_sql_catalogue *catalogue);

#endif

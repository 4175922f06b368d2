/* SPDX-License-Identifier: Apache-2.0
 * The walk over a raw tree that collects uses. Private to lib/sql.
 * OWNS nothing: it fills the scratch memory of a judge. PROCESS database gate. TRUST the tree was
 * made from hostile text; depth, nodes, uses and names are bounded. SPEC lib/sql/judge.h.
 */
#ifndef SP_SQL_WALK_H
#define SP_SQL_WALK_H

#include "lib/sql/judge.h"
#include "lib/sql/tree.h"

enum { WALK_TEMPS_MAX = 64, WALK_ASKED_MAX = 16 };

/* Names of WITH queries that are seen from here. */
typedef struct cte_scope {
    const List *ctes;
    int visible;
    const struct cte_scope *up;
} cte_scope;

/* FROM items that qualified names may mean, the innermost first. */
typedef struct row_scope {
    const List *items;
    const RangeVar *target;   /* of INSERT, UPDATE, DELETE, MERGE */
    const cte_scope *queries; /* that the items may be */
    const struct row_scope *up;
    bool is_forming; /* FROM itself is walked: not all of the items are seen from there */
} row_scope;

/* A name that is given to rows. */
typedef struct {
    sp_span schema;
    sp_span name;
} given_name;

/* Temporary relations after what was walked of a text (temporary.c). */
typedef struct {
    sp_span made[WALK_TEMPS_MAX];
    bool lasts[WALK_TEMPS_MAX]; /* behind a COMMIT */
    uint32_t made_count;
    sp_span ended[WALK_TEMPS_MAX];
    uint32_t ended_count;
    bool is_over; /* of those that the session had nothing is certain any more */
} walk_temporary;

/* What a column of the items of one FROM was found to be: expressions ask for the same ones over
 * and over. Holds within one statement. */
typedef struct {
    const List *items;
    sp_span qualifier;
    sp_span name;
    uint8_t how; /* by a schema, inside FROM, as names were */
    uint8_t sure;
} asked_column;

/* What one judge keeps for all its calls. */
typedef struct {
    sp_sql_use uses[SP_SQL_USES_MAX];
    sp_sql_statement statements[SP_SQL_STATEMENTS_MAX];
    uint8_t names[SP_SQL_NAMES_MAX_BYTES];
    sp_span temps[WALK_TEMPS_MAX];    /* made in this message */
    sp_span codes[WALK_TEMPS_MAX];    /* functions, likewise */
    sp_span others[WALK_TEMPS_MAX];   /* names that mean other rows from here on */
    given_name mades[WALK_TEMPS_MAX]; /* relations with rows of their own, made in this message */
    uint32_t made_count;
    uint32_t other_count; /* more than WALK_TEMPS_MAX: any name */
    uint32_t code_count;
    uint32_t use_count;
    uint32_t statement_count;
    uint32_t names_len;
    uint32_t temp_count;
    walk_temporary temporary;
    asked_column asked[WALK_ASKED_MAX];
    uint32_t asked_count; /* of all that were asked: the last ones stand there */
    uint32_t work;        /* names compared; more than SP_SQL_WORK_MAX: too complex */
    uint32_t folds;       /* parts of conditions looked at */
    uint32_t ranges;      /* numbers that ranges of keys name */
    bool is_temp_renamed; /* any name may be a temporary relation's */
    bool has_met_other;   /* the statement uses a name that means other rows */
    sp_sql_judgement judgement;
} walk_room;

typedef struct {
    const sp_sql_context *context;
    walk_room *room;
    const cte_scope *scope;
    const row_scope *rows;
    const SelectStmt *select; /* the innermost query; NULL outside */
    uint32_t depth;
    uint32_t nodes;
    bool is_locking;             /* under FOR UPDATE or FOR SHARE */
    bool is_setting;             /* under set_config() */
    bool is_plan_only;           /* under EXPLAIN: relations are read, not written */
    bool is_aliased;             /* what a view or a rule does, under a name of its own */
    const given_name *gives;     /* the view whose query is walked */
    bool replaces;               /* which is there, with other rows */
    sp_span made_in;             /* CREATE SCHEMA: where its elements are made */
    sp_action read_as;           /* EXPORT under COPY (query) TO */
    const char *text;            /* that the tree was read from */
    bool is_standard;            /* how its literals were read */
    bool is_as_was;              /* names mean what the catalogue says, also those given away */
    sp_sql_statement *statement; /* the one that is walked */
} walker;

/* ---- judge.c ---- */
/* A copy of the text that ends with NUL, until the next one; NULL without memory. */
const char *judge_keep_text(sp_sql_judge *judge, sp_span text);

/* Names that were compared, for what each part of a text is held against all of another part. */
static inline void walk_works(const walker *w, uint32_t steps)
{
    w->room->work += w->room->work > SP_SQL_WORK_MAX ? 0 : steps;
}
static inline bool walk_is_spent(const walker *w)
{
    return w->room->work > SP_SQL_WORK_MAX;
}

/* The same of a look through a list of names that the session has: two hundred and more, of which
 * most differ in their length. */
static inline uint32_t context_cost(const sp_sql_context *context)
{
    bool has_lists = context->is_temporary != NULL || context->was_temporary != NULL ||
                     context->is_made != NULL || context->is_other != NULL ||
                     context->is_own != NULL;
    return has_lists ? 16 : 0;
}

/* ---- walk.c ---- */
void walk(walker *w, const Node *node);
void walk_list(walker *w, const List *list);
/* All children of a node, whatever its own handler would do. */
void walk_children(walker *w, const Node *node);
/* The children but those at two offsets. */
void walk_other_children(walker *w, const Node *node, size_t but, size_t and_but);
/* Walks the WITH queries and leaves their names visible in w->scope. */
void walk_enter_with(walker *w, const WithClause *with, cte_scope *scope);
/* A top statement. */
void walk_statement(walker *w, const RawStmt *raw);

/* ---- changes.c ---- */
void walk_insert(walker *w, const Node *node);
void walk_update(walker *w, const Node *node);
void walk_delete(walker *w, const Node *node);
void walk_merge(walker *w, const Node *node);

/* ---- record.c ---- */
void walk_fault(walker *w, sp_sql_fault fault, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static inline bool walk_failed(const walker *w)
{
    return w->room->judgement.fault != SP_SQL_FINE;
}
typedef enum { FOUND_QUERY, FOUND_TEMPORARY, FOUND_KNOWN, FOUND_UNKNOWN } found_kind;
typedef struct {
    found_kind kind;
    uint32_t relation;
} found_relation;
/* What a name in FROM, or a target, stands for. Targets are never WITH queries. */
found_relation walk_resolve(const walker *w, const RangeVar *name, bool is_target);
/* It may be a temporary relation of the session or of this message; a name that means other rows
 * than the catalogue says. */
bool walk_is_temporary(const walker *w, sp_span name);
bool walk_is_other(const walker *w, sp_span name);
/* NULL: none; or the work is spent, and the judgement is a fault. */
const CommonTableExpr *walk_find_query(const walker *w, const RangeVar *name);
void record_relation(walker *w, const RangeVar *name, sp_action action, uint16_t flags);
/* Notes that rows of a temporary relation are read or changed, if the name, which stands for that
 * kind of thing, may be one's: also where it hides another relation. */
void record_temporary(walker *w, const RangeVar *name, found_kind kind, bool reads);
/* Not for a relation of the tree but for one of the catalogue. */
void record_known(walker *w, uint32_t relation, sp_action action, uint16_t flags);
void record_object(walker *w, sp_action action, sp_sql_kind kind, uint16_t flags, sp_span schema,
                   sp_span name);
void record_database(walker *w, sp_action action);
/* The relation (index or SP_NONE) will be called that; more: flags besides BECOMES. */
void record_becoming(walker *w, uint32_t index, sp_span schema, sp_span name, uint16_t more);
void record_opaque(walker *w, sp_sql_kind kind, sp_span schema, sp_span name);
/* A function that was made in this message or session: its name may be called as a column. */
void record_made(walker *w, sp_span name);
bool walk_is_made(const walker *w, sp_span name);
/* From here on the name (empty = any) stands for other rows than the catalogue says: what is done
 * to it is done to something unknown, until the catalogue has been read again. */
void record_other(walker *w, sp_span name);
/* A name in the schema of temporary relations, also by its number, or that says TEMP. */
bool is_temporary_name(const RangeVar *name);
/* The statement makes it. */
void record_made_temporary(walker *w, const RangeVar *name);
/* Whether a name may be a temporary relation's, now or once what hides it is gone. */
bool may_be_temporary(const walker *w, const RangeVar *name);
/* A relation of that name is made; is_own: new, with rows of its own, which stand nowhere else. */
void record_made_relation(walker *w, const RangeVar *name, bool is_own);
/* In the catalogue, if the name still means there what it meant; SP_NONE. */
uint32_t context_find(const sp_sql_context *context, sp_span schema, sp_span name);
/* Valid as long as the judgement; empty and a fault when there is no room. */
sp_span record_name(walker *w, sp_span name);
bool record_is_same(const sp_sql_use *a, const sp_sql_use *b);
/* The name that the flags of the statement speak of: set those first. A statement has one. */
void record_statement_name(walker *w, sp_span name);

/* ---- calls.c ---- */
void record_function(walker *w, sp_span schema, sp_span name);
/* Of an expression: with the casts of what it takes and gives. */
/* nextval() or setval() of what its argument names: a write of that. False: it is neither, or the
 * name is not certain. Its schema must be the server's own, or none. */
bool record_sequence(walker *w, const FuncCall *call);
/* lo_put() or lowrite() that may overwrite any number of large objects: a broad write. False: it is
 * neither, or names one. */
bool record_large_object(walker *w, const FuncCall *call);
void record_call(walker *w, sp_span schema, sp_span name);
/* The name of a type, of values that may be cast. */
void record_type(walker *w, sp_span name);
/* Whether values of a type of that name may be cast by what users made. */
bool has_casts(const walker *w, sp_span type);
/* The functions of users' casts that may run where that stands (word: of TYPE and CALLED). */
void record_casts(walker *w, sp_sql_cast_kind kind, sp_span word);
/* A function or operator of users that is called like one of the server's: it may fit the arguments
 * better. */
void record_likeness(walker *w, sp_span name);
void record_operator(walker *w, const List *name);
/* Operators that nobody writes: of CASE x WHEN, IN (SELECT), USING, NATURAL; of BETWEEN. */
void record_equality(walker *w);
void record_between(walker *w, bool is_not);

/* ---- lasting.c ---- */
/* A type of pg_catalog: no temporary relation may be called so, so that the name alone means it. */
bool is_server_type(sp_span name);
/* Whether a name of a type may be that of a temporary relation's rows, or of arrays of them. */
bool walk_may_be_temporary_type(const walker *w, const TypeName *type);
/* A fault, if a definition, or SELECT ... INTO, makes something that stays when the session ends
 * stand on what may be temporary; if this schema is the temporary one. */
void forbid_standing_on_temporary(walker *w, const Node *node);
void forbid_temporary_place(walker *w, sp_span schema);
/* Of a temporary table: the parent has to be one too, or its rows would be read by a name that
 * nobody takes for a temporary one's. */
void forbid_temporary_child(walker *w, const RangeVar *parent);
/* Also by a name that one has got since. */
bool may_be_any_temporary(const walker *w, const RangeVar *name);

/* ---- temporary.c ---- */
/* The server has a temporary relation of that name when the statement runs: its bare name means
 * that one. */
bool walk_has_temporary(const walker *w, sp_span name);
/* The statement runs code of users, which may make and end any temporary relation. */
void temporary_code(walker *w);
/* The same of one that uses a relation that nobody knows: it may be a view that calls code. */
void temporary_unknown(walker *w, const RangeVar *name);
/* Behind the walk of a statement: what it makes and ends. */
void temporary_follow(walker *w, const Node *node);

/* ---- given.c ---- */
given_name given_of(const walker *w, sp_span schema, sp_span name);
/* What a relation that is made will be called. */
given_name given_made(const walker *w, const RangeVar *name);
/* Made by this message, or the session, with rows of its own; and the name was not given to other
 * ones. A bare name is that only of the first schema in the search path: into that of another one
 * somebody may come in front, and nobody sees before the commit what he hides. */
bool walk_is_own(const walker *w, const RangeVar *name);
/* The rows of that relation, and what is seen through it, are found by that name from now on:
 * whoever was judged by what the name meant would run on them. */
void record_given(walker *w, uint32_t index, const given_name *to, uint16_t more);
/* Its columns are called otherwise: it is as grave as to destroy it. Not of temporary ones, and of
 * those that the session made and nobody else sees yet. */
void record_changed_names(walker *w, const RangeVar *name);
/* The same of a name that the catalogue does not have. */
void record_given_unknown(walker *w, const RangeVar *from, const given_name *to);
/* A relation of that name is made in front of one that the search path finds now. */
void record_cover(walker *w, const given_name *made);
/* The name goes away: those that it hid are found by it. with_children: its partitions go too. */
void record_uncover(walker *w, const RangeVar *name, bool with_children);
/* What stands behind that relation in the search path, all of it. */
void record_behind(walker *w, uint32_t index, sp_action action);
/* All that stands in a schema is found in another one. */
void record_given_all(walker *w, sp_span from, sp_span to);

/* ---- columns.c ---- */
typedef enum {
    COLUMN_IS,
    COLUMN_MAYBE,
    COLUMN_OWN, /* of a temporary relation: nobody but the session knows */
    COLUMN_NOT
} column_sure;
/* Whether "qualifier.name" is a column, has_schema: "schema.qualifier.name"; COLUMN_NOT: the server
 * would call a function of that name with the row, if there is one. */
column_sure walk_column_of(const walker *w, bool has_schema, sp_span qualifier, sp_span name);

/* ---- condition.c ---- */
typedef enum {
    REACHES_NAMED, /* rows with values that are written out: "id = 7", "state IN ('a', $1)" */
    REACHES_BROAD, /* as many as there may be: "id > 7", "note LIKE 'a%'" */
    REACHES_ALL    /* no condition, one that is always true, one that does not look at the target */
} condition_reach;
/* Which rows a DELETE or UPDATE with this condition changes, as far as the text tells. others is
 * the USING or FROM list. */
condition_reach condition_reaches(const walker *w, const RangeVar *target, const List *others,
                                  const Node *condition);

/* ---- inserted.c ---- */
/* Which rows INSERT ... ON CONFLICT DO UPDATE may overwrite, when it inserts that query's rows. */
condition_reach insert_reaches(const walker *w, const RangeVar *target, const Node *query);

/* ---- retype.c ---- */
/* What type a cast of a value of type `from` has (0 = not known), when values that differ still
 * differ after it; else 0: one value of it may stand for any number. */
uint32_t retype_apart(const walker *w, const TypeName *type, uint32_t from);
/* Of ALTER COLUMN ... TYPE: whether each value stays what it is, or an error ends it. */
bool retype_keeps(const walker *w, const AlterTableStmt *alter, const AlterTableCmd *command);

/* ---- prepared.c ---- */
/* Notes where the query of the statement begins, which stands behind that word; a fault when that
 * is not certain. */
void walk_note_query(walker *w, const Node *query, sp_span word);

/* ---- verbs.c ---- */
void note_verb(walker *w, const Node *node);

/* ---- utility.c, define.c ---- */
/* "public, audit": the search path as it is. */
bool walk_is_pinned_path(const walker *w, sp_span text);
/* False: not a utility statement. */
bool walk_utility(walker *w, const Node *node);
bool walk_definition(walker *w, const Node *node);
/* The word for events: "SELECT", "DROP TABLE"; static storage. */
const char *statement_tag(const Node *node);

#define AS(type, node) ((const type *)(const void *)(node))

#endif

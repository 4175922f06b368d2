/* SPDX-License-Identifier: Apache-2.0
 * What conditions are folded with: where rows come from, what a name means, whether two expressions
 * are the same. Private to lib/sql (condition.c, nulls.c, literal.c, source.c, narrow.c). OWNS
 * nothing. PROCESS database gate. TRUST the tree was made from hostile text; depth and work are
 * bounded. SPEC lib/sql/walk.h, condition_reaches().
 */
#ifndef SP_SQL_FOLDING_H
#define SP_SQL_FOLDING_H

#include "lib/sql/walk.h"

enum { FOLD_DEPTH_MAX = 200, FOLD_WORK_MAX = 200000 };

typedef enum {
    FOLD_SOME,  /* depends on the row, or is not understood */
    FOLD_MOST,  /* taken for true of every row, but that it is not says nothing */
    FOLD_TRUE,  /* of every row, for certain */
    FOLD_FALSE, /* of every row false, for certain */
    FOLD_NULL   /* NULL, of every row */
} folded;

/* The FROM items that names may belong to, innermost first. */
typedef struct from_frame {
    const RangeVar *target; /* NULL in a subquery */
    const List *items;
    const struct from_frame *up;
} from_frame;

typedef struct {
    const walker *w;
    const from_frame *frame;
    unsigned depth;
    unsigned work;  /* nodes looked at; beyond FOLD_WORK_MAX the condition counts for nothing */
    unsigned begun; /* what it was at the beginning */
} folding;

/* Where the rows of a query come from. */
typedef struct {
    sp_span name; /* of the relation; empty = not one relation */
    sp_span schema;
    bool is_whole;   /* every row of it */
    bool is_renamed; /* its columns have other names here */
} row_source;

/* With what the message has left of it; fold_end() takes it from there. */
folding fold_begin(const walker *w, const from_frame *frame);
/* Whether there was enough. */
bool fold_end(const folding *f);

folded fold(folding *f, const Node *node);

/* ---- nulls.c ---- */
/* NULL, cast to whatever. */
bool fold_is_null(const Node *node);
/* "x IS NULL", or IS NOT NULL. */
folded fold_null(folding *f, const Node *arg, bool asks_null);
/* "x IS [NOT] DISTINCT FROM NULL", with the NULL on either side; SOME: neither is. */
folded fold_distinct(folding *f, const A_Expr *expr, bool asks_same);
/* The same column of the target on both sides, that has a value in every row. */
bool fold_is_itself(folding *f, const Node *a, const Node *b);

/* ---- literal.c ---- */
/* Without casts and COLLATE. */
const Node *fold_bare(const Node *node);
/* A number that is written out, with its sign. is_exact: the server reckons with this very one. */
bool fold_number(const Node *node, double *ret_value, bool *ret_exact);
folded fold_literal(const A_Const *constant);
/* Of two numbers that the server sees so. */
folded fold_compared(sp_span op, double a, double b);
/* "id > 0", "id >= 1", "n >= -1", "id < 2147483647": true of every key that a table holds in
 * practice. */
bool fold_spares_nothing(sp_span op, double bound);
/* "x IN (true, false)": all that there are. */
bool fold_is_both(folding *f, const A_Expr *expr);
/* The same of the arms of OR: "x = true OR x = false". */
bool fold_has_both(folding *f, const List *args);

/* ---- source.c ---- */
row_source fold_source(folding *f, const SelectStmt *select);
bool fold_is_target(const folding *f, const row_source *source);
const RangeVar *fold_target_name(const folding *f);
/* NULL: not known. */
const sp_sql_relation *fold_target(const folding *f);
bool fold_is_target_alias(const folding *f, sp_span alias);
/* The name by which columns of an item of FROM are qualified; empty when there is none. */
sp_span fold_alias_of(const Node *item);
/* A system column that is the same in all or most rows: what compares it spares nothing. */
bool fold_is_alike(sp_span name);
/* Whether the target has that column; also when that is not known. */
bool fold_has_column(const folding *f, sp_span name);
bool fold_looks_at_target(folding *f, const Node *node);
bool fold_has_names(folding *f, const Node *node);
/* Only rows that have one of the values that are written out. Of a condition that is FOLD_SOME. */
bool fold_names_rows(folding *f, const Node *condition);
/* The same expression twice. */
bool fold_is_twice(folding *f, const Node *a, const Node *b);

#endif

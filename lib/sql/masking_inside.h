/* SPDX-License-Identifier: Apache-2.0
 * What the files of the analysis of masked names share.
 * OWNS nothing. PROCESS database gate. TRUST see masking.h. SPEC lib/sql/masking.h.
 */
#ifndef SP_LIB_SQL_MASKING_INSIDE_H
#define SP_LIB_SQL_MASKING_INSIDE_H

#include "lib/sql/masking.h"
#include "lib/sql/tree.h"

enum {
    MASKING_NAMES_MAX = 256,
    MASKING_WORK_MAX = 4000000, /* names compared and parts looked at, some 30 ms */
    MASKING_REACHED_MAX = 64,   /* of which it is known that they were reached */
    MASKING_PLACES_MAX = 1664   /* columns of a query: the server has no room for more */
};

typedef struct {
    sp_span items[MASKING_NAMES_MAX];
    uint32_t count;
} masking_names;

typedef struct {
    const sp_sql_catalogue *catalogue;
    uint64_t mask_tags;
    masking_names names;   /* of masked columns, and what they are called further out */
    masking_names rows;    /* of FROM items that may hold masked columns */
    masking_names clean;   /* of FROM items that are relations without any */
    masking_names columns; /* of all relations in reach, for "t.f" */
    masking_names own;     /* of those with masked columns, for "t.f" where t may be one */
    masking_names items;   /* of all FROM items */
    masking_names unclear; /* of masked relations, and those that more than one item has */
    masking_names queries; /* of WITH */
    struct {
        uint32_t relation;
        bool is_masked;
    } reached[MASKING_REACHED_MAX]; /* relations whose columns are in the lists */
    uint32_t reached_count;
    masking_names unknown; /* of FROM items that may be of WITH, or newer than the catalogue */
    masking_names made;    /* tables that the text makes, unless names change in it too */
    const sp_sql_context *context;
    bool in_reach;
    bool is_any; /* a FROM item may stand for anything: any column may be masked */
    bool changed;
    bool has_odd;                /* a name that is not ASCII */
    bool has_window;             /* bind_view: WINDOW w AS (...) holds a masked column */
    const SelectStmt *clean_arm; /* of a set operation without masked columns: nothing in it is */
    uint32_t *work;              /* more than MASKING_WORK_MAX: refused */
    sp_sql_masking *result;
} masking;

#define MASKING_PLANNER                                                                            \
    "a setting of the planner, by which rows come in the order of masked columns:"

/* ---- masking_reach.c ---- */
bool masking_has(const masking_names *list, sp_span name);
/* The first refusal stands. name: quoted behind it, or empty. */
void masking_refuse(masking *m, const char *what, sp_span name);
bool masking_is_refused(const masking *m);
/* Refuses when too much has been looked at. */
bool masking_is_spent(masking *m);
/* A table that the text makes. */
void masking_add_made(masking *m, const RangeVar *relation);
/* Collects the FROM items below node. */
void masking_reach(masking *m, const Node *node);
/* One round: what is called after a masked column is one. Sets changed. */
void masking_spread(masking *m, const Node *node);
bool masking_is_star(const Node *node);
bool masking_is_column(const masking *m, const ColumnRef *column);
bool masking_is_item(const masking *m, const Node *value);
bool masking_is_select(const masking *m, const Node *node);

/* ---- masking_places.c ---- */
/* Refuses, or says how the result is to be masked. */
void masking_check(masking *m, const List *statements);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The parser's tree as the walkers of this room see it: its node types, which nodes are known and
 * where their children are. Private to lib/sql; the only place that brings in the server's headers.
 * OWNS nothing: nodes live in the parser's memory until tree_done(). PROCESS database gate.
 * TRUST the tree was made from hostile text. SPEC PostgreSQL 15, nodes/parsenodes.h.
 */
#ifndef SP_SQL_TREE_H
#define SP_SQL_TREE_H

#include <postgres.h>

#include <catalog/pg_class.h>
#include <nodes/parsenodes.h>

/* the server's headers put their own in place of these */
#undef printf
#undef fprintf
#undef snprintf
#undef vsnprintf
#undef strerror

#include "lib/base/buf.h"
#include "lib/sql/catalogue.h"
#include "lib/sql/statement.h"

/* ---- parsing ---- */

typedef struct {
    const List *statements; /* of RawStmt */
    void *memory;
    bool failed;
    char message[SP_SQL_REASON_MAX_BYTES];
    uint32_t at; /* character position, from 1 */
} sql_tree;

/* text ends with NUL. is_standard: plain literals know no backslash. */
void tree_parse(const char *text, bool is_standard, sql_tree *ret_tree);
void tree_done(sql_tree *tree);
/* The text holds what no server takes under standard_conforming_strings off: U&'...', or a literal
 * such as '\xff00' of which an escape is no character ('\x00' is one in no encoding, others are
 * none when that of the database is_utf8). It does not run at all there, so how it would read does
 * not matter. */
bool tree_is_refused_by_server(const sql_tree *tree, bool is_utf8);

/* ---- shapes ---- */

enum { SHAPE_CHILDREN_MAX = 18 };

typedef struct {
    const char *name; /* NULL: not known, never let through */
    uint8_t count;
    uint16_t children[SHAPE_CHILDREN_MAX]; /* offsets of pointers to nodes or lists */
} node_shape;

/* Never NULL. */
const node_shape *shape_of(NodeTag tag);

static inline const Node *shape_child(const Node *node, const node_shape *shape, unsigned i)
{
    return *(const Node *const *)(const void *)((const char *)node + shape->children[i]);
}

static inline bool is_list(const Node *node)
{
    return nodeTag(node) == T_List;
}

static inline sp_span text_of(const char *text)
{
    return sp_span_cstr(text);
}

/* The last name of a qualified one, and the one before it (empty when there is none). */
sp_span names_last(const List *names);
sp_span names_before(const List *names);
/* The text of a String node; empty for anything else. */
sp_span string_of(const Node *node);
/* The text of a literal; SP_SPAN_EMPTY, without a pointer, for anything else. */
sp_span literal_of(const Node *node);

/* INTO of a SELECT, or NULL. Of a set operation it stands at the first of all its parts, and is of
 * the whole. */
const IntoClause *into_of(const SelectStmt *select);

#define EACH(type, item, list)                                                                     \
    for (int item##_at = 0; item##_at < list_length(list) &&                                       \
                            ((item) = (const type *)list_nth(list, item##_at), true);              \
         item##_at++)

#endif

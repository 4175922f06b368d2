/* SPDX-License-Identifier: Apache-2.0
 * What the two files of definitions share: define.c makes, alter.c changes and drops.
 * OWNS nothing. PROCESS database gate. TRUST see lib/sql/walk.h. SPEC PostgreSQL 15 gram.y.
 */
#ifndef SP_SQL_DEFINE_H
#define SP_SQL_DEFINE_H

#include "lib/sql/walk.h"

/* ---- define.c ---- */
/* The parts of an object's name, however the grammar holds it. */
const List *names_of(const Node *object);
/* Code gets this name: it runs wherever that is called. */
void name_code(walker *w, sp_span schema, sp_span name);
/* The same of something that is no code, and may be called like it. */
void name_trusted(walker *w, sp_span schema, sp_span name);
/* Code loses its name. */
void lose_code(walker *w, const List *names);

/* Something that is there and no relation is changed; without a schema, in whichever of the search
 * path it may be. */
void record_named(walker *w, sp_action action, sp_span schema, sp_span name);

/* ---- alter.c ---- */
/* What becomes of rows, from now on, with those of another table, however few are named there. */
typedef enum { KEY_HOLDS, KEY_CHANGES, KEY_LOSES } key_reach;
/* By a constraint, a column's definition, or anything else; by all of them. */
key_reach reach_of(const Node *node);
key_reach reach_of_all(const List *definitions);
/* What partitions get from their parent changes: until the catalogue has been read, what that is is
 * not known. */
void record_binding(walker *w, const RangeVar *parent);
void walk_alter_table(walker *w, const AlterTableStmt *alter);
/* The relation that is named so; but: so many names at the end are of something that belongs to it.
 */
RangeVar relation_of_names(const List *names, int but);
/* An object of this type is changed; relation is its own or the one it is part of, or NULL. */
void change_object(walker *w, ObjectType type, const RangeVar *relation, const Node *object,
                   sp_action action);
void walk_rename(walker *w, const RenameStmt *rename);
void walk_move(walker *w, const AlterObjectSchemaStmt *move);
void walk_drop(walker *w, const DropStmt *drop);

#endif

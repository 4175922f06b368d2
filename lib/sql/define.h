/* SPDX-License-Identifier: Apache-2.0
 * What the files of definitions share: define.c makes relations, code.c functions, types.c what
 * values are, rights.c gives rights, alter.c changes tables, objects.c renames, moves and drops.
 * OWNS nothing. PROCESS database gate. TRUST see lib/sql/walk.h. SPEC PostgreSQL 15 gram.y.
 */
#ifndef SP_SQL_DEFINE_H
#define SP_SQL_DEFINE_H

#include "lib/sql/kinds.h"

/* ---- code.c ---- */
/* Code gets this name: it runs wherever that is called. */
void name_code(walker *w, sp_span schema, sp_span name);
/* The same of something that is no code, and may be called like it. */
void name_trusted(walker *w, sp_span schema, sp_span name);
/* Code loses its name. */
void lose_code(walker *w, const List *names);
void walk_function(walker *w, const CreateFunctionStmt *create);
void change_function(walker *w, const AlterFunctionStmt *alter);

/* ---- objects.c ---- */
/* The parts of an object's name, however the grammar holds it. */
const List *names_of(const Node *object);
/* The relation that is named so; but: so many names at the end are of something that belongs to it.
 */
RangeVar relation_of_names(const List *names, int but);
/* The kind; NULL: it is not in the table, and the judgement is a fault. */
const object_kind *known_kind(walker *w, ObjectType type);
/* What any change of that kind asks of the database, beside what is asked of the object. */
void ask_database(walker *w, const object_kind *kind);
/* Something that is there and no relation is changed; without a schema, in whichever of the search
 * path it may be. */
void record_named(walker *w, sp_action action, sp_span schema, sp_span name);
/* What stands on it goes too, wherever that is: views, columns of its types, policies of other
 * tables that look at it, keys; and other names come to light. */
void fall_with(walker *w);
/* Columns of any table may be of what goes, or computed by it; views go with it, and other names
 * come to light. */
void lose_columns(walker *w, DropBehavior behavior);
/* False, of these: the statement is of another file. */
bool walk_object(walker *w, const Node *node);

/* ---- types.c, rights.c ---- */
bool walk_kind(walker *w, const Node *node);
/* A type of that name is there, or comes: those behind it in the search path are asked about. */
void cover_type(walker *w, sp_span schema, sp_span name);
bool walk_rights(walker *w, const Node *node);

/* ---- alter.c ---- */
/* What becomes of rows, from now on, with those of another table, however few are named there. */
typedef enum { KEY_HOLDS, KEY_CHANGES, KEY_LOSES } key_reach;
/* By a constraint, a column's definition, or anything else; by all of them. */
key_reach reach_of(const Node *node);
key_reach reach_of_all(const List *definitions);
/* What partitions get from their parent changes: until the catalogue has been read, what that is is
 * not known. */
void record_binding(walker *w, const RangeVar *parent);
/* Policy knows a relation by its name: tagged ones are not called otherwise by a plain change. */
sp_action action_of_renaming(const walker *w, const RangeVar *relation);
void walk_alter_table(walker *w, const AlterTableStmt *alter);

#endif

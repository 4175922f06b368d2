/* SPDX-License-Identifier: Apache-2.0
 * Statements that define objects and give rights; alter.c has those that change and drop them.
 * OWNS nothing. PROCESS database gate. TRUST see lib/sql/walk.h. SPEC PostgreSQL 15 gram.y.
 */
#include "lib/sql/define.h"

#include "lib/base/mem.h"
#include "lib/sql/functions.h"

/* ---- what is made ---- */

/* With rows of its own. A temporary one is nobody else's business. */
static void make_relation(walker *w, const RangeVar *name, bool is_own)
{
    if (is_temporary_name(name)) {
        record_made_temporary(w, name);
    } else {
        record_made_relation(w, name, is_own);
    }
}

/* What others put into the parent stands in the new partition. */
static void record_partition(walker *w, const CreateStmt *create, const RangeVar *parent)
{
    key_reach columns = reach_of_all(create->tableElts);
    key_reach table = reach_of_all(create->constraints);
    key_reach reach = columns > table ? columns : table;
    bool is_unlogged = create->relation->relpersistence == RELPERSISTENCE_UNLOGGED;
    if (reach == KEY_LOSES || is_unlogged) { /* the next crash empties it */
        record_relation(w, parent, SP_ACTION_DESTROY, 0);
    } else if (reach == KEY_CHANGES) {
        record_relation(w, parent, SP_ACTION_WRITE, SP_SQL_USE_BROAD);
    }
}

static void walk_create(walker *w, const CreateStmt *create)
{
    const given_name made = given_made(w, create->relation);
    bool is_own = !create->if_not_exists;
    for (int i = 0; i < list_length(create->inhRelations); i++) {
        is_own = is_own && walk_is_own(w, AS(RangeVar, list_nth(create->inhRelations, i)));
    }
    make_relation(w, create->relation, is_own);
    if (create->ofTypename != NULL && !is_temporary_name(create->relation)) {
        record_object(w, SP_ACTION_ADMINISTER, SP_SQL_SCHEMA, 0, made.schema,
                      made.name); /* it falls with the type */
    }
    for (int i = 0; i < list_length(create->inhRelations); i++) {
        const RangeVar *parent = AS(RangeVar, list_nth(create->inhRelations, i));
        found_relation found = walk_resolve(w, parent, true);
        record_relation(w, parent, SP_ACTION_ALTER, 0);
        if (is_temporary_name(create->relation) && create->partbound == NULL) {
            forbid_temporary_child(w, parent);
        }
        if (found.kind == FOUND_KNOWN && !is_temporary_name(create->relation)) {
            /* what is put into it stands in the parent */
            record_becoming(w, found.relation, made.schema, made.name, 0);
        }
        if (create->partbound != NULL) {
            record_partition(w, create, parent);
        }
    }
    walk_other_children(w, (const Node *)create, offsetof(CreateStmt, relation),
                        offsetof(CreateStmt, inhRelations));
}

static void walk_create_as(walker *w, const CreateTableAsStmt *create)
{
    walk(w, create->query);
    if ((w->statement->flags & SP_SQL_IS_EXECUTE) != 0) { /* what it puts there nobody can follow */
        walk_fault(w, SP_SQL_UNKNOWN, "CREATE TABLE ... AS EXECUTE");
        return;
    }
    make_relation(w, create->into->rel, !create->if_not_exists);
}

/* A temporary view is a name of this session for other people's tables: what is done to it would be
 * done to them, unseen. */
static void walk_view(walker *w, const ViewStmt *view)
{
    if (is_temporary_name(view->view)) {
        walk_fault(w, SP_SQL_FORBIDDEN, "CREATE TEMPORARY VIEW");
        return;
    }
    uint32_t before = w->statement->flags;
    w->statement->flags &= ~(uint32_t)SP_SQL_READS_TEMP;
    w->statement->flags |= SP_SQL_IS_ALIAS;
    const given_name name = given_made(w, view->view);
    record_made_relation(w, view->view, false);
    const found_relation was = walk_resolve(w, view->view, true);
    if (view->replace && was.kind == FOUND_KNOWN) {
        record_relation(w, view->view, SP_ACTION_ALTER, 0);
        w->replaces = true;
    }
    w->is_aliased = true;
    w->gives = &name;
    walk(w, view->query);
    w->gives = NULL;
    w->replaces = false;
    w->is_aliased = false;
    if ((w->statement->flags & SP_SQL_READS_TEMP) != 0) {
        walk_fault(w, SP_SQL_FORBIDDEN,
                   "a view of a temporary table, which the server makes a temporary view");
    }
    w->statement->flags |= before;
    record_other(w, text_of(view->view->relname));
}

/* A rule's actions are judged as if they ran now, and what they take from OLD and NEW is read. With
 * INSTEAD nothing that others do to the table is done any more. What is done to temporary tables is
 * not judged again, and a rule ON SELECT makes a view of what was a table. */
static void walk_rule(walker *w, const RuleStmt *rule)
{
    const uint32_t temporary = SP_SQL_FILLS_TEMP | SP_SQL_READS_TEMP;
    if (rule->event == CMD_SELECT) {
        walk_fault(w, SP_SQL_FORBIDDEN, "CREATE RULE ... ON SELECT, which makes a view of a table");
    }
    record_relation(w, rule->relation, kind_asks(OBJECT_RULE, KIND_CREATE), 0);
    record_relation(w, rule->relation, SP_ACTION_READ, 0);
    if (rule->instead) {
        record_relation(w, rule->relation, SP_ACTION_DESTROY, 0);
    }
    w->is_aliased = true;
    walk(w, rule->whereClause);
    walk_list(w, rule->actions);
    w->is_aliased = false;
    if ((w->statement->flags & temporary) != 0) {
        walk_fault(w, SP_SQL_FORBIDDEN,
                   "CREATE RULE on a temporary table, or with one in what it does");
    }
    record_other(w, text_of(rule->relation->relname));
}

/* ---- the tables ---- */

static void walk_schema(walker *w, const CreateSchemaStmt *create)
{
    const RoleSpec *of = create->authrole;
    bool is_by_role = create->schemaname == NULL && of != NULL && of->roletype == ROLESPEC_CSTRING;
    w->made_in = text_of(is_by_role ? of->rolename : create->schemaname);
    if (w->made_in.len == 0) {
        walk_fault(w, SP_SQL_UNKNOWN, "CREATE SCHEMA without a name");
    }
    record_object(w, kind_asks(OBJECT_SCHEMA, KIND_CREATE), SP_SQL_SCHEMA, 0, w->made_in,
                  SP_SPAN_EMPTY);
    walk_list(w, create->schemaElts);
    w->made_in = SP_SPAN_EMPTY;
}

/* The server's own for full-text search writes a column of every row that changes from now on. */
static bool is_writing_trigger(const CreateTrigStmt *trigger)
{
    return sp_span_starts(names_last(trigger->funcname), SP_SPAN_LIT("tsvector_update_trigger"));
}

static void walk_trigger(walker *w, const CreateTrigStmt *trigger)
{
    /* in place of another one, which is gone then */
    record_relation(w, trigger->relation,
                    kind_asks(OBJECT_TRIGGER, trigger->replace ? KIND_DROP : KIND_CREATE), 0);
    if (trigger->constrrel != NULL) { /* the server asks the same of it */
        record_relation(w, trigger->constrrel, SP_ACTION_ALTER, 0);
    }
    if (is_writing_trigger(trigger)) {
        record_relation(w, trigger->relation, SP_ACTION_WRITE, SP_SQL_USE_BROAD);
    }
    if (trigger->row) {
        record_binding(w, trigger->relation);
    }
    record_function(w, names_before(trigger->funcname), names_last(trigger->funcname));
    walk(w, trigger->whenClause);
}

/* OWNED BY t.x: it goes with the table from now on, and is what policy says of that. */
static void record_owner(walker *w, const AlterSeqStmt *alter)
{
    for (int i = 0; i < list_length(alter->options); i++) {
        const DefElem *option = AS(DefElem, list_nth(alter->options, i));
        const List *names = names_of(option->arg);
        if (!sp_span_eq(text_of(option->defname), SP_SPAN_LIT("owned_by")) ||
            list_length(names) < 2) {
            continue; /* NONE */
        }
        const RangeVar table = relation_of_names(names, 1);
        const given_name to = given_of(w, text_of(table.schemaname), text_of(table.relname));
        const found_relation found = walk_resolve(w, alter->sequence, true);
        if (found.kind == FOUND_KNOWN) {
            record_becoming(w, found.relation, to.schema, to.name, 0);
        } else if (found.kind == FOUND_UNKNOWN) {
            record_given_unknown(w, alter->sequence, &to);
        }
    }
}

static bool walk_of_relation(walker *w, const Node *node)
{
    switch ((int)nodeTag(node)) {
    case T_IndexStmt:
        record_relation(w, AS(IndexStmt, node)->relation, kind_asks(OBJECT_INDEX, KIND_CREATE), 0);
        walk_other_children(w, node, offsetof(IndexStmt, relation), SIZE_MAX);
        return true;
    case T_CreateSeqStmt:
        make_relation(w, AS(CreateSeqStmt, node)->sequence,
                      !AS(CreateSeqStmt, node)->if_not_exists);
        return true;
    case T_AlterSeqStmt:
        record_relation(w, AS(AlterSeqStmt, node)->sequence,
                        kind_asks(OBJECT_SEQUENCE, KIND_CHANGE), 0);
        record_owner(w, AS(AlterSeqStmt, node));
        return true;
    case T_CreateTrigStmt:
        walk_trigger(w, AS(CreateTrigStmt, node));
        return true;
    case T_RuleStmt:
        walk_rule(w, AS(RuleStmt, node));
        return true;
    case T_AlterTableStmt:
        walk_alter_table(w, AS(AlterTableStmt, node));
        return true;
    case T_CreatePolicyStmt:
        record_relation(w, AS(CreatePolicyStmt, node)->table, kind_asks(OBJECT_POLICY, KIND_CREATE),
                        0);
        walk(w, AS(CreatePolicyStmt, node)->qual);
        walk(w, AS(CreatePolicyStmt, node)->with_check);
        return true;
    case T_AlterPolicyStmt:
        record_relation(w, AS(AlterPolicyStmt, node)->table, kind_asks(OBJECT_POLICY, KIND_CHANGE),
                        0);
        walk(w, AS(AlterPolicyStmt, node)->qual);
        walk(w, AS(AlterPolicyStmt, node)->with_check);
        return true;
    default:
        return false;
    }
}

bool walk_definition(walker *w, const Node *node)
{
    bool known = true;
    forbid_standing_on_temporary(w, node);
    switch ((int)nodeTag(node)) {
    case T_CreateStmt:
        walk_create(w, AS(CreateStmt, node));
        break;
    case T_CreateTableAsStmt:
        walk_create_as(w, AS(CreateTableAsStmt, node));
        break;
    case T_ViewStmt:
        walk_view(w, AS(ViewStmt, node));
        break;
    case T_CreateFunctionStmt:
        walk_function(w, AS(CreateFunctionStmt, node));
        break;
    case T_AlterFunctionStmt:
        change_function(w, AS(AlterFunctionStmt, node));
        break;
    case T_CreateSchemaStmt:
        walk_schema(w, AS(CreateSchemaStmt, node));
        break;
    default:
        known = walk_of_relation(w, node) || walk_kind(w, node) || walk_object(w, node) ||
                walk_rights(w, node);
        break;
    }
    if (known) {
        w->statement->flags |= SP_SQL_IS_DDL;
    }
    return known;
}

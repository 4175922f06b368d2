/* SPDX-License-Identifier: Apache-2.0
 * Masked names: whether each stands where it may, as an item of what is shown and nowhere else.
 * OWNS nothing. PROCESS database gate. TRUST the tree was made from hostile text and has passed the
 * judge, so its depth and size are bounded. SPEC lib/sql/masking.h.
 */
#include "lib/sql/masking_inside.h"

#include "lib/base/mem.h"
#include "lib/sql/functions.h"
#include "lib/sql/walk.h"

#include <stdio.h>
#undef snprintf

/* Where an expression stands. */
typedef enum { AS_ITEM, AS_PART } standing;

static void check(masking *m, const Node *node, standing how);
static void check_children(masking *m, const Node *node);

static void check_list(masking *m, const List *list, standing how)
{
    for (int i = 0; i < list_length(list) && !masking_is_refused(m); i++) {
        check(m, (const Node *)list_nth(list, i), how);
    }
}

static bool is_before_or_after(const ColumnRef *column)
{
    sp_span qualifier = names_before(column->fields);
    return sp_span_eq(qualifier, SP_SPAN_LIT("old")) || sp_span_eq(qualifier, SP_SPAN_LIT("new"));
}

static void check_column(masking *m, const ColumnRef *column, standing how)
{
    int count = list_length(column->fields);
    const Node *last = (const Node *)list_nth(column->fields, count - 1);
    sp_span name = string_of(last);
    bool masked = masking_is_column(m, column);
    if (masked && how != AS_ITEM) {
        masking_refuse(m, "a masked column stands where it would tell its value:",
                       name.len > 0 ? name : SP_SPAN_LIT("*"));
        return;
    }
    if (masked && count > 1 && is_before_or_after(column)) {
        m->result->mode = SP_SQL_MASKING_STRICT; /* RETURNING old.c, of servers newer than 15 */
    }
    if (masked && masking_has(&m->rows, name)) {
        /* may be a whole row as one value, also where a masked column elsewhere is called alike */
        m->result->mode = SP_SQL_MASKING_STRICT;
    }
    /* "t.f" calls a function with the row when t has no such column; what else is called f may be
     * an alias that was made for it, or a column of another t */
    sp_span row = count > 1 ? names_before(column->fields) : SP_SPAN_EMPTY;
    const masking_names *columns = masking_has(&m->unclear, row) ? &m->own : &m->columns;
    if (row.len > 0 && name.len > 0 && !masking_has(columns, name) && masking_has(&m->rows, row) &&
        (function_find(name) != FUNCTION_UNKNOWN ||
         (m->catalogue != NULL &&
          sp_sql_catalogue_find_function(m->catalogue, SP_SPAN_EMPTY, name) != NULL))) {
        masking_refuse(m, "a function is called with a row that holds masked columns:", name);
    }
}

static void check_sublink(masking *m, const SubLink *link, standing how)
{
    check(m, link->testexpr, AS_PART);
    if (link->subLinkType != EXISTS_SUBLINK && masking_is_select(m, link->subselect)) {
        if (how != AS_ITEM || link->subLinkType != EXPR_SUBLINK) {
            masking_refuse(m, "a masked column of a subquery stands where it would tell its value",
                           SP_SPAN_EMPTY);
            return;
        }
        m->result->mode = SP_SQL_MASKING_STRICT;
    }
    check(m, link->subselect, AS_PART);
}

/* An integer names an item by its place: which one, behind a "*" nobody knows here. */
static void check_place(masking *m, int place, const SelectStmt *select)
{
    if (select->op != SETOP_NONE) {
        if (masking_is_select(m, (const Node *)select)) {
            masking_refuse(m, "a set operation with masked columns is ordered by place",
                           SP_SPAN_EMPTY);
        }
        return;
    }
    bool after_star = false;
    m->result->by_number = true;
    *m->work += (uint32_t)list_length(select->targetList);
    for (int i = 0; i < list_length(select->targetList) && !masking_is_spent(m); i++) {
        const Node *value = AS(ResTarget, list_nth(select->targetList, i))->val;
        after_star |= value != NULL && nodeTag(value) == T_ColumnRef &&
                      masking_is_star((const Node *)llast(AS(ColumnRef, value)->fields));
        if ((after_star || i + 1 == place) && masking_is_item(m, value)) {
            masking_refuse(m, "a masked column is ordered or grouped by its place", SP_SPAN_EMPTY);
            return;
        }
    }
}

static void check_positions(masking *m, const List *list, const SelectStmt *select);

/* ORDER BY 2, GROUP BY 2, GROUP BY ROLLUP (1, (2, 3)), DISTINCT ON (2). */
static void check_position(masking *m, const Node *node, const SelectStmt *select)
{
    if (node != NULL && nodeTag(node) == T_A_Const &&
        nodeTag(&AS(A_Const, node)->val.node) == T_Integer) {
        check_place(m, AS(A_Const, node)->val.ival.ival, select);
    } else if (node != NULL && nodeTag(node) == T_GroupingSet) {
        check_positions(m, AS(GroupingSet, node)->content, select);
    } else if (node != NULL && nodeTag(node) == T_RowExpr) {
        check_positions(m, AS(RowExpr, node)->args, select);
    } else {
        check(m, node, AS_PART);
    }
}

static void check_positions(masking *m, const List *list, const SelectStmt *select)
{
    for (int i = 0; i < list_length(list) && !masking_is_refused(m); i++) {
        check_position(m, (const Node *)list_nth(list, i), select);
    }
}

static void check_targets(masking *m, const List *targets)
{
    for (int i = 0; i < list_length(targets) && !masking_is_refused(m); i++) {
        const ResTarget *target = AS(ResTarget, list_nth(targets, i));
        check_list(m, target->indirection, AS_PART);
        check(m, target->val, AS_ITEM);
    }
}

/* Of a chain of set operations each part would be asked at each level. */
static void check_arms(masking *m, const SelectStmt *select, bool masked)
{
    m->clean_arm = masked ? NULL : select->larg;
    check(m, (const Node *)select->larg, AS_PART);
    m->clean_arm = masked ? NULL : select->rarg;
    check(m, (const Node *)select->rarg, AS_PART);
}

static void check_select(masking *m, const SelectStmt *select)
{
    bool masked = m->clean_arm != select && masking_is_select(m, (const Node *)select);
    check(m, (const Node *)select->withClause, AS_PART);
    if (select->op != SETOP_NONE && masked) {
        if (select->op != SETOP_UNION || !select->all) {
            masking_refuse(m, "a set operation compares masked columns", SP_SPAN_EMPTY);
        } else {
            m->result->mode = SP_SQL_MASKING_STRICT;
        }
    }
    if (select->distinctClause != NIL) {
        if (linitial(select->distinctClause) == NULL && masked) {
            masking_refuse(m, "DISTINCT over masked columns", SP_SPAN_EMPTY);
        }
        check_positions(m, select->distinctClause, select);
    }
    if (masked && into_of(select) != NULL) {
        masking_refuse(m, "masked columns would go into another table", SP_SPAN_EMPTY);
    }
    check_targets(m, select->targetList);
    check_list(m, select->fromClause, AS_PART);
    check(m, select->whereClause, AS_PART);
    check_positions(m, select->groupClause, select);
    check(m, select->havingClause, AS_PART);
    check_list(m, select->windowClause, AS_PART);
    check_list(m, select->valuesLists, AS_PART);
    for (int i = 0; i < list_length(select->sortClause) && !masking_is_refused(m); i++) {
        check_position(m, AS(SortBy, list_nth(select->sortClause, i))->node, select);
    }
    check(m, select->limitOffset, AS_PART);
    check(m, select->limitCount, AS_PART);
    check_arms(m, select, masked);
}

static void check_join(masking *m, const JoinExpr *join)
{
    if (join->isNatural) {
        masking_refuse(m, "NATURAL JOIN beside masked columns", SP_SPAN_EMPTY);
    }
    for (int i = 0; i < list_length(join->usingClause); i++) {
        sp_span name = string_of((const Node *)list_nth(join->usingClause, i));
        if (masking_has(&m->names, name)) {
            masking_refuse(m, "tables are joined by a masked column:", name);
        }
    }
    check(m, join->larg, AS_PART);
    check(m, join->rarg, AS_PART);
    check(m, join->quals, AS_PART);
}

/* Other places that a query's values go to. */
static void check_source(masking *m, const Node *query)
{
    if (query != NULL && masking_is_select(m, query)) {
        masking_refuse(m, "masked columns would go into another table", SP_SPAN_EMPTY);
    }
    check(m, query, AS_PART);
}

/* A relation that is known to have no masked column. */
static bool is_clean(const masking *m, const RangeVar *relation)
{
    sp_span name = text_of(relation->relname);
    return masking_has(&m->clean, name) && !masking_has(&m->rows, name) &&
           !masking_has(&m->unknown, name);
}

static void check_copy(masking *m, const CopyStmt *copy)
{
    if (copy->is_from) {
        check(m, copy->whereClause, AS_PART);
        return;
    }
    bool masked = copy->query != NULL ? masking_is_select(m, copy->query)
                                      : copy->attlist == NIL && !is_clean(m, copy->relation);
    /* newer than the catalogue: of who knows what */
    masked |= copy->relation != NULL && masking_has(&m->unknown, text_of(copy->relation->relname));
    for (int i = 0; i < list_length(copy->attlist); i++) {
        sp_span name = string_of((const Node *)list_nth(copy->attlist, i));
        masked |= masking_has(&m->names, name) || !masking_has(&m->columns, name);
    }
    m->result->copies |= masked;
    check(m, copy->query, AS_PART);
}

/* Whether rows pass tells their values: unique, not null, another type, a key of another table. */
static void check_names(masking *m, const List *names)
{
    for (int i = 0; i < list_length(names); i++) {
        sp_span name = string_of((const Node *)list_nth(names, i));
        if (masking_has(&m->names, name)) {
            masking_refuse(m, "a masked column would be tested:", name);
        }
    }
}

static void check_name_that(masking *m, const char *name, const char *why)
{
    if (name != NULL && masking_has(&m->names, text_of(name))) {
        masking_refuse(m, why, text_of(name));
    }
}

static void check_name(masking *m, const char *name)
{
    check_name_that(m, name, "a masked column would be tested:");
}

/* A foreign key that names no columns is on the primary key, whatever that is. ALTER CONSTRAINT
 * names no table: when it is checked changes, not what. */
static void check_constraint(masking *m, const Constraint *constraint)
{
    check_names(m, constraint->keys);
    check_names(m, constraint->fk_attrs);
    check_names(m, constraint->pk_attrs);
    if (constraint->contype == CONSTR_FOREIGN && constraint->pktable != NULL &&
        constraint->pk_attrs == NIL && !is_clean(m, constraint->pktable)) {
        masking_refuse(m, "a foreign key on what has masked columns: name the column it refers to",
                       SP_SPAN_EMPTY);
    }
    check_children(m, (const Node *)constraint);
}

/* By another name it would be taken for a column that nobody masks. Attributes are columns of typed
 * tables, wherever. */
static void check_renaming(masking *m, const RenameStmt *rename)
{
    bool is_masked =
        rename->renameType == OBJECT_COLUMN && masking_has(&m->names, text_of(rename->subname));
    if (is_masked || rename->renameType == OBJECT_ATTRIBUTE) {
        masking_refuse(m, "a masked column would get another name:", text_of(rename->subname));
    }
    check_children(m, (const Node *)rename);
}

/* Whether all rows lie in a bound is told by the error, or none; the next CLUSTER of somebody puts
 * them into the order of what they are clustered on. */
static void check_alter(masking *m, const AlterTableStmt *alter)
{
    sp_span parent = text_of(alter->relation->relname);
    bool is_masked = masking_has(&m->rows, parent) && !masking_has(&m->unknown, parent);
    const AlterTableCmd *command = NULL;
    EACH(AlterTableCmd, command, alter->cmds)
    {
        if (command->subtype == AT_ClusterOn && !is_clean(m, alter->relation)) {
            masking_refuse(m, "rows with masked columns would be put into an order", SP_SPAN_EMPTY);
        }
        if (command->subtype == AT_AttachPartition && !is_masked &&
            !is_clean(m, AS(PartitionCmd, command->def)->name)) {
            masking_refuse(m, "a table with masked columns becomes a part of one without",
                           SP_SPAN_EMPTY);
        }
    }
    check_children(m, (const Node *)alter);
}

/* Rows that are read by an index come in the order of what it is on. */
static void check_index(masking *m, const IndexStmt *index)
{
    for (int i = 0; i < list_length(index->indexParams); i++) {
        const IndexElem *item = AS(IndexElem, list_nth(index->indexParams, i));
        check_name(m, item->name);
        check(m, item->expr, AS_PART);
    }
    check(m, index->whereClause, AS_PART);
}

/* What a trigger is told are words to the grammar; to the server's own ones (full-text search) they
 * are columns, which they copy into another. */
static void check_trigger(masking *m, const CreateTrigStmt *trigger)
{
    /* whether it lets a change pass says whether the new value is the old one */
    if (sp_span_eq(names_last(trigger->funcname),
                   SP_SPAN_LIT("suppress_redundant_updates_trigger")) &&
        !is_clean(m, trigger->relation)) {
        masking_refuse(m, "a trigger that compares masked columns", SP_SPAN_EMPTY);
    }
    check_names(m, trigger->args);
    if (trigger->args != NIL && masking_has(&m->unknown, text_of(trigger->relation->relname))) {
        masking_refuse(m, "a trigger with arguments, on what may have masked columns",
                       SP_SPAN_EMPTY);
    }
    check(m, trigger->whenClause, AS_PART);
}

static bool is_called_excluded(const RangeVar *target)
{
    sp_span excluded = SP_SPAN_LIT("excluded");
    return sp_span_eq(text_of(target->relname), excluded) ||
           (target->alias != NULL && sp_span_eq(text_of(target->alias->aliasname), excluded));
}

/* "SET phone = excluded.phone": what the statement itself would insert goes where it would have
 * gone, whatever is stored. Where it comes from a query, that one hands nothing masked on. */
static bool is_own_value(const InsertStmt *insert, const ResTarget *target)
{
    if (target->val == NULL || nodeTag(target->val) != T_ColumnRef ||
        is_called_excluded(insert->relation)) {
        return false;
    }
    const List *fields = AS(ColumnRef, target->val)->fields;
    return list_length(fields) == 2 && target->indirection == NIL &&
           sp_span_eq(names_before(fields), SP_SPAN_LIT("excluded")) &&
           sp_span_eq(names_last(fields), text_of(target->name));
}

static void check_conflict(masking *m, const InsertStmt *insert)
{
    const OnConflictClause *conflict = insert->onConflictClause;
    check(m, (const Node *)conflict->infer, AS_PART);
    for (int i = 0; i < list_length(conflict->targetList); i++) {
        const ResTarget *target = AS(ResTarget, list_nth(conflict->targetList, i));
        check_list(m, target->indirection, AS_PART);
        if (!is_own_value(insert, target)) {
            check(m, target->val, AS_PART);
        }
    }
    check(m, conflict->whereClause, AS_PART);
}

static void check_children(masking *m, const Node *node)
{
    const node_shape *shape = shape_of(nodeTag(node));
    for (unsigned i = 0; i < shape->count && !masking_is_refused(m); i++) {
        check(m, shape_child(node, shape, i), AS_PART);
    }
}

/* The children of INSERT, UPDATE and DELETE; RETURNING is a list of items. */
static void check_change(masking *m, const Node *node, const List *returning, size_t returning_at)
{
    const node_shape *shape = shape_of(nodeTag(node));
    for (unsigned i = 0; i < shape->count && !masking_is_refused(m); i++) {
        const Node *child = shape_child(node, shape, i);
        if (child != NULL && nodeTag(child) == T_OnConflictClause) {
            check_conflict(m, AS(InsertStmt, node));
        } else if (shape->children[i] != returning_at) {
            check(m, child, AS_PART);
        }
    }
    check_targets(m, returning);
}

static void check(masking *m, const Node *node, standing how)
{
    if (node == NULL || masking_is_spent(m)) {
        return;
    }
    *m->work += 1;
    switch ((int)nodeTag(node)) {
    case T_List:
        check_list(m, (const List *)(const void *)node, AS_PART);
        break;
    case T_ColumnRef:
        check_column(m, AS(ColumnRef, node), how);
        break;
    case T_SubLink:
        check_sublink(m, AS(SubLink, node), how);
        break;
    case T_SelectStmt:
        check_select(m, AS(SelectStmt, node));
        break;
    case T_JoinExpr:
        check_join(m, AS(JoinExpr, node));
        break;
    case T_InsertStmt:
        if (masking_is_select(m, AS(InsertStmt, node)->selectStmt)) {
            check_source(m, AS(InsertStmt, node)->selectStmt);
        }
        check_change(m, node, AS(InsertStmt, node)->returningList,
                     offsetof(InsertStmt, returningList));
        break;
    case T_UpdateStmt:
        check_change(m, node, AS(UpdateStmt, node)->returningList,
                     offsetof(UpdateStmt, returningList));
        break;
    case T_DeleteStmt:
        check_change(m, node, AS(DeleteStmt, node)->returningList,
                     offsetof(DeleteStmt, returningList));
        break;
    case T_CreateTableAsStmt:
        check_source(m, AS(CreateTableAsStmt, node)->query);
        break;
    case T_ViewStmt:
        check_source(m, AS(ViewStmt, node)->query);
        break;
    case T_IndexStmt:
        check_index(m, AS(IndexStmt, node));
        break;
    case T_IndexElem: /* of ON CONFLICT, EXCLUDE */
        check_name(m, AS(IndexElem, node)->name);
        check(m, AS(IndexElem, node)->expr, AS_PART);
        break;
    case T_RenameStmt:
        check_renaming(m, AS(RenameStmt, node));
        break;
    case T_AlterTableStmt:
        check_alter(m, AS(AlterTableStmt, node));
        break;
    case T_ClusterStmt:
        if (AS(ClusterStmt, node)->relation != NULL &&
            !is_clean(m, AS(ClusterStmt, node)->relation)) {
            masking_refuse(m, "rows with masked columns would be put into an order", SP_SPAN_EMPTY);
        }
        break;
    case T_AlterTableCmd:
        if (AS(AlterTableCmd, node)->subtype == AT_SetNotNull ||
            AS(AlterTableCmd, node)->subtype == AT_AlterColumnType) {
            check_name(m, AS(AlterTableCmd, node)->name);
        }
        if (AS(AlterTableCmd, node)->subtype == AT_DropExpression) {
            check_name_that(m, AS(AlterTableCmd, node)->name,
                            "what is computed of a masked column would stay there as it is:");
        }
        check_children(m, node);
        break;
    case T_Constraint:
        check_constraint(m, AS(Constraint, node));
        break;
    case T_CreateTrigStmt:
        check_trigger(m, AS(CreateTrigStmt, node));
        break;
    case T_RuleStmt:
        check(m, AS(RuleStmt, node)->whereClause, AS_PART);
        for (int i = 0; i < list_length(AS(RuleStmt, node)->actions); i++) {
            check_source(m, (const Node *)list_nth(AS(RuleStmt, node)->actions, i));
        }
        break;
    case T_CopyStmt:
        check_copy(m, AS(CopyStmt, node));
        break;
    case T_CTESearchClause:
    case T_CTECycleClause:
        masking_refuse(m, "SEARCH or CYCLE beside masked columns", SP_SPAN_EMPTY);
        break;
    case T_LockingClause:
        break;
    default:
        check_children(m, node);
        break;
    }
}

void masking_check(masking *m, const List *statements)
{
    check_list(m, statements, AS_PART);
}

/* SPDX-License-Identifier: Apache-2.0
 * The analysis of masked names: which relations are in reach, which names carry their columns (to a
 * fixpoint), and whether each stands where it may.
 * OWNS nothing. PROCESS database gate. TRUST the tree was made from hostile text and has passed the
 * judge, so its depth and size are bounded. SPEC lib/sql/masking.h.
 */
#include "lib/sql/masking.h"

#include "lib/base/mem.h"
#include "lib/sql/functions.h"
#include "lib/sql/tree.h"
#include "lib/sql/walk.h"

#include <stdio.h>
#undef snprintf

enum { NAMES_MAX = 256, ROUNDS_MAX = 16 };

typedef struct {
    sp_span items[NAMES_MAX];
    uint32_t count;
} name_list;

typedef struct {
    const sp_sql_catalogue *catalogue;
    uint64_t mask_tags;
    name_list names;   /* of masked columns, and what they are called further out */
    name_list rows;    /* of FROM items that may hold masked columns */
    name_list clean;   /* of FROM items that are relations without any */
    name_list columns; /* of all relations in reach, for "t.f" */
    name_list queries; /* of WITH */
    name_list unknown; /* of FROM items that may be of WITH, or newer than the catalogue */
    const sp_sql_context *context;
    bool in_reach;
    bool changed;
    sp_sql_masking *result;
} masking;

/* Where an expression stands. */
typedef enum { AS_ITEM, AS_PART } standing;

static void check(masking *m, const Node *node, standing how);

static bool has(const name_list *list, sp_span name)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (sp_span_eq(list->items[i], name)) {
            return true;
        }
    }
    return false;
}

static void refuse(masking *m, const char *what, sp_span name)
{
    if (m->result->mode == SP_SQL_MASKING_REFUSED) {
        return;
    }
    m->result->mode = SP_SQL_MASKING_REFUSED;
    snprintf(m->result->reason, sizeof(m->result->reason), "%s%s%.*s%s", what,
             name.len > 0 ? " \"" : "", (int)(name.len < 63 ? name.len : 63),
             name.len > 0 ? (const char *)name.ptr : "", name.len > 0 ? "\"" : "");
}

static bool is_refused(const masking *m)
{
    return m->result->mode == SP_SQL_MASKING_REFUSED;
}

static void add(masking *m, name_list *list, sp_span name)
{
    if (name.len == 0 || has(list, name)) {
        return;
    }
    if (list->count == NAMES_MAX) {
        refuse(m, "a statement with too many names around masked columns", SP_SPAN_EMPTY);
        return;
    }
    list->items[list->count++] = name;
    m->changed = true;
}

static void add_names(masking *m, name_list *list, const List *names)
{
    for (int i = 0; i < list_length(names); i++) {
        add(m, list, string_of((const Node *)list_nth(names, i)));
    }
}

static sp_span alias_name(const Alias *alias)
{
    return alias != NULL ? text_of(alias->aliasname) : SP_SPAN_EMPTY;
}

/* ---- what is in reach ---- */

/* Tells secrets of the server (to whom the server shows them), but no values of tables. */
static bool holds_no_values(sp_span name)
{
    static const char *const names[] = {
        "pg_authid",           "pg_shadow",           "pg_user_mapping",        "pg_user_mappings",
        "pg_subscription",     "pg_hba_file_rules",   "pg_ident_file_mappings", "pg_file_settings",
        "pg_stat_replication", "user_mapping_options"};
    for (size_t i = 0; i < SP_COUNT(names); i++) {
        if (sp_span_eq(name, text_of(names[i]))) {
            return true;
        }
    }
    return false;
}

static void reach_relation(masking *m, const RangeVar *range)
{
    sp_span name = text_of(range->relname);
    uint32_t index = context_find(m->context, text_of(range->schemaname), name);
    sp_span alias = alias_name(range->alias);
    if (index == SP_NONE) {
        add(m, &m->rows, alias.len > 0 ? alias : name); /* a WITH query, or nothing we know */
        add(m, &m->unknown, name);
        return;
    }
    const sp_sql_relation *relation = sp_sql_catalogue_at(m->catalogue, index);
    const sp_sql_column *columns = sp_sql_catalogue_columns(m->catalogue, index);
    bool masked = false;
    if ((relation->flags & SP_SQL_REL_TELLING) != 0 && !holds_no_values(name)) {
        refuse(m, "a system relation that may tell masked values:", name);
        return;
    }
    bool is_system =
        (relation->flags & SP_SQL_REL_SYSTEM) != 0; /* in rows of these nothing is masked */
    for (uint32_t i = 0; !is_system && i < relation->column_count; i++) {
        add(m, &m->columns, columns[i].name);
        if ((columns[i].bound.tags & m->mask_tags) != 0) {
            add(m, &m->names, columns[i].name);
            masked = true;
        }
    }
    /* also when nothing masked is shown: an error may quote the whole row behind it */
    m->in_reach |= masked || (relation->flags & (SP_SQL_REL_TAGGED | SP_SQL_REL_NEAR)) != 0;
    add(m, masked ? &m->rows : &m->clean, alias.len > 0 ? alias : name);
    if (masked && range->alias != NULL && range->alias->colnames != NIL) {
        add_names(m, &m->names, range->alias->colnames);
    }
}

static void reach(masking *m, const Node *node)
{
    if (node == NULL || is_refused(m)) {
        return;
    }
    NodeTag tag = nodeTag(node);
    if (tag == T_List) {
        const List *list = (const List *)(const void *)node;
        for (int i = 0; i < list_length(list); i++) {
            reach(m, (const Node *)list_nth(list, i));
        }
        return;
    }
    if (tag == T_RangeVar) {
        reach_relation(m, AS(RangeVar, node));
    } else if (tag == T_RangeSubselect) {
        add(m, &m->rows, alias_name(AS(RangeSubselect, node)->alias));
    } else if (tag == T_CommonTableExpr) {
        add(m, &m->rows, text_of(AS(CommonTableExpr, node)->ctename));
        add(m, &m->queries, text_of(AS(CommonTableExpr, node)->ctename));
    } else if (tag == T_LockingClause) {
        return;
    }
    const node_shape *shape = shape_of(tag);
    for (unsigned i = 0; i < shape->count; i++) {
        reach(m, shape_child(node, shape, i));
    }
}

/* ---- what carries masked values ---- */

static bool is_star(const Node *node)
{
    return node != NULL && nodeTag(node) == T_A_Star;
}

/* A masked column, a whole row that may hold one, or a star. */
static bool is_masked_column(const masking *m, const ColumnRef *column)
{
    int count = list_length(column->fields);
    const Node *last = (const Node *)list_nth(column->fields, count - 1);
    sp_span qualifier =
        count > 1 ? string_of((const Node *)list_nth(column->fields, count - 2)) : SP_SPAN_EMPTY;
    if (qualifier.len > 0 && has(&m->clean, qualifier) && !has(&m->rows, qualifier)) {
        return false;
    }
    if (is_star(last)) {
        return true;
    }
    sp_span name = string_of(last);
    return has(&m->names, name) || has(&m->rows, name); /* "x.c": c may be a row in x */
}

static bool is_masked_select(const masking *m, const Node *node);

static bool is_masked_item(const masking *m, const Node *value)
{
    if (value == NULL) {
        return false;
    }
    if (nodeTag(value) == T_ColumnRef) {
        return is_masked_column(m, AS(ColumnRef, value));
    }
    return nodeTag(value) == T_SubLink && AS(SubLink, value)->subLinkType != EXISTS_SUBLINK &&
           is_masked_select(m, AS(SubLink, value)->subselect);
}

static bool has_masked_item(const masking *m, const List *targets)
{
    for (int i = 0; i < list_length(targets); i++) {
        if (is_masked_item(m, AS(ResTarget, list_nth(targets, i))->val)) {
            return true;
        }
    }
    return false;
}

/* Whether a query (or a change with RETURNING) hands masked values on. */
static bool is_masked_select(const masking *m, const Node *node)
{
    if (node == NULL) {
        return false;
    }
    switch ((int)nodeTag(node)) {
    case T_SelectStmt: {
        const SelectStmt *select = AS(SelectStmt, node);
        if (select->op != SETOP_NONE) {
            return is_masked_select(m, (const Node *)select->larg) ||
                   is_masked_select(m, (const Node *)select->rarg);
        }
        return has_masked_item(m, select->targetList);
    }
    case T_InsertStmt:
        return has_masked_item(m, AS(InsertStmt, node)->returningList);
    case T_UpdateStmt:
        return has_masked_item(m, AS(UpdateStmt, node)->returningList);
    case T_DeleteStmt:
        return has_masked_item(m, AS(DeleteStmt, node)->returningList);
    default:
        return true; /* EXECUTE and the like */
    }
}

/* The names of a set operation's columns are those of its first arm. */
static void spread_set(masking *m, const SelectStmt *select)
{
    if (!is_masked_select(m, (const Node *)select)) {
        return;
    }
    while (select->op != SETOP_NONE) {
        select = select->larg;
    }
    for (int i = 0; i < list_length(select->targetList); i++) {
        const ResTarget *target = AS(ResTarget, list_nth(select->targetList, i));
        if (target->name != NULL) {
            add(m, &m->names, text_of(target->name));
        } else if (nodeTag(target->val) == T_ColumnRef) {
            const ColumnRef *column = AS(ColumnRef, target->val);
            const Node *last =
                (const Node *)list_nth(column->fields, list_length(column->fields) - 1);
            if (is_star(last)) {
                refuse(m, "a set operation over * with masked columns", SP_SPAN_EMPTY);
            }
            add(m, &m->names, string_of(last));
        } else if (nodeTag(target->val) == T_FuncCall) {
            add(m, &m->names, names_last(AS(FuncCall, target->val)->funcname));
        } else {
            add(m, &m->names, SP_SPAN_LIT("?column?"));
        }
    }
}

static void spread(masking *m, const Node *node)
{
    if (node == NULL || is_refused(m)) {
        return;
    }
    NodeTag tag = nodeTag(node);
    if (tag == T_List) {
        const List *list = (const List *)(const void *)node;
        for (int i = 0; i < list_length(list); i++) {
            spread(m, (const Node *)list_nth(list, i));
        }
        return;
    }
    if (tag == T_ResTarget) {
        const ResTarget *target = AS(ResTarget, node);
        if (target->name != NULL && is_masked_item(m, target->val)) {
            add(m, &m->names, text_of(target->name));
        }
    } else if (tag == T_SelectStmt && AS(SelectStmt, node)->op != SETOP_NONE) {
        spread_set(m, AS(SelectStmt, node));
    } else if (tag == T_CommonTableExpr) {
        const CommonTableExpr *query = AS(CommonTableExpr, node);
        if (is_masked_select(m, query->ctequery)) {
            add_names(m, &m->names, query->aliascolnames);
        }
    } else if (tag == T_RangeSubselect || tag == T_RangeVar || tag == T_JoinExpr) {
        const Alias *alias = tag == T_RangeSubselect ? AS(RangeSubselect, node)->alias
                             : tag == T_RangeVar     ? AS(RangeVar, node)->alias
                                                     : AS(JoinExpr, node)->alias;
        bool known_clean = tag == T_RangeVar && has(&m->clean, alias_name(alias));
        if (alias != NULL && !known_clean) {
            add_names(m, &m->names, alias->colnames);
        }
    }
    const node_shape *shape = shape_of(tag);
    for (unsigned i = 0; i < shape->count; i++) {
        spread(m, shape_child(node, shape, i));
    }
}

/* ---- where masked names stand ---- */

static void check_list(masking *m, const List *list, standing how)
{
    for (int i = 0; i < list_length(list) && !is_refused(m); i++) {
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
    bool masked = is_masked_column(m, column);
    if (masked && how != AS_ITEM) {
        refuse(m, "a masked column stands where it would tell its value:",
               name.len > 0 ? name : SP_SPAN_LIT("*"));
        return;
    }
    if (masked && count > 1 && is_before_or_after(column)) {
        m->result->mode = SP_SQL_MASKING_STRICT; /* RETURNING old.c, of servers newer than 15 */
    }
    if (masked && has(&m->rows, name) && !has(&m->names, name)) {
        m->result->mode = SP_SQL_MASKING_STRICT; /* a whole row as one value */
    }
    /* "t.f" calls a function with the row when t has no such column */
    if (count > 1 && name.len > 0 && !has(&m->columns, name) && !has(&m->names, name) &&
        has(&m->rows, string_of((const Node *)list_nth(column->fields, count - 2))) &&
        (function_find(name) != FUNCTION_UNKNOWN ||
         (m->catalogue != NULL &&
          sp_sql_catalogue_find_function(m->catalogue, SP_SPAN_EMPTY, name) != NULL))) {
        refuse(m, "a function is called with a row that holds masked columns:", name);
    }
}

static void check_sublink(masking *m, const SubLink *link, standing how)
{
    check(m, link->testexpr, AS_PART);
    if (link->subLinkType != EXISTS_SUBLINK && is_masked_select(m, link->subselect)) {
        if (how != AS_ITEM || link->subLinkType != EXPR_SUBLINK) {
            refuse(m, "a masked column of a subquery stands where it would tell its value",
                   SP_SPAN_EMPTY);
            return;
        }
        m->result->mode = SP_SQL_MASKING_STRICT;
    }
    check(m, link->subselect, AS_PART);
}

/* ORDER BY 2, GROUP BY 2. */
static void check_position(masking *m, const Node *node, const SelectStmt *select)
{
    if (node == NULL || nodeTag(node) != T_A_Const ||
        nodeTag(&AS(A_Const, node)->val.node) != T_Integer) {
        check(m, node, AS_PART);
        return;
    }
    if (select->op != SETOP_NONE) {
        if (is_masked_select(m, (const Node *)select)) {
            refuse(m, "a set operation with masked columns is ordered by place", SP_SPAN_EMPTY);
        }
        return;
    }
    int place = AS(A_Const, node)->val.ival.ival;
    for (int i = 0; i < list_length(select->targetList); i++) {
        const Node *value = AS(ResTarget, list_nth(select->targetList, i))->val;
        bool star = value != NULL && nodeTag(value) == T_ColumnRef &&
                    is_star((const Node *)llast(AS(ColumnRef, value)->fields));
        if (is_masked_item(m, value) && (star || i + 1 == place)) {
            refuse(m, "a masked column is ordered or grouped by its place", SP_SPAN_EMPTY);
        }
        if (star) {
            return;
        }
    }
}

static void check_targets(masking *m, const List *targets)
{
    for (int i = 0; i < list_length(targets) && !is_refused(m); i++) {
        const ResTarget *target = AS(ResTarget, list_nth(targets, i));
        check_list(m, target->indirection, AS_PART);
        check(m, target->val, AS_ITEM);
    }
}

static void check_select(masking *m, const SelectStmt *select)
{
    bool masked = is_masked_select(m, (const Node *)select);
    check(m, (const Node *)select->withClause, AS_PART);
    if (select->op != SETOP_NONE && masked) {
        if (select->op != SETOP_UNION || !select->all) {
            refuse(m, "a set operation compares masked columns", SP_SPAN_EMPTY);
        } else {
            m->result->mode = SP_SQL_MASKING_STRICT;
        }
    }
    if (select->distinctClause != NIL) {
        if (linitial(select->distinctClause) == NULL && masked) {
            refuse(m, "DISTINCT over masked columns", SP_SPAN_EMPTY);
        }
        check_list(m, select->distinctClause, AS_PART);
    }
    if (select->intoClause != NULL && masked) {
        refuse(m, "masked columns would go into another table", SP_SPAN_EMPTY);
    }
    check_targets(m, select->targetList);
    check_list(m, select->fromClause, AS_PART);
    check(m, select->whereClause, AS_PART);
    for (int i = 0; i < list_length(select->groupClause) && !is_refused(m); i++) {
        check_position(m, (const Node *)list_nth(select->groupClause, i), select);
    }
    check(m, select->havingClause, AS_PART);
    check_list(m, select->windowClause, AS_PART);
    check_list(m, select->valuesLists, AS_PART);
    for (int i = 0; i < list_length(select->sortClause) && !is_refused(m); i++) {
        check_position(m, AS(SortBy, list_nth(select->sortClause, i))->node, select);
    }
    check(m, select->limitOffset, AS_PART);
    check(m, select->limitCount, AS_PART);
    check(m, (const Node *)select->larg, AS_PART);
    check(m, (const Node *)select->rarg, AS_PART);
}

static void check_join(masking *m, const JoinExpr *join)
{
    if (join->isNatural) {
        refuse(m, "NATURAL JOIN beside masked columns", SP_SPAN_EMPTY);
    }
    for (int i = 0; i < list_length(join->usingClause); i++) {
        sp_span name = string_of((const Node *)list_nth(join->usingClause, i));
        if (has(&m->names, name)) {
            refuse(m, "tables are joined by a masked column:", name);
        }
    }
    check(m, join->larg, AS_PART);
    check(m, join->rarg, AS_PART);
    check(m, join->quals, AS_PART);
}

/* Other places that a query's values go to. */
static void check_source(masking *m, const Node *query)
{
    if (query != NULL && is_masked_select(m, query)) {
        refuse(m, "masked columns would go into another table", SP_SPAN_EMPTY);
    }
    check(m, query, AS_PART);
}

static void check_copy(masking *m, const CopyStmt *copy)
{
    if (copy->is_from) {
        check(m, copy->whereClause, AS_PART);
        return;
    }
    bool masked = copy->query != NULL
                      ? is_masked_select(m, copy->query)
                      : copy->attlist == NIL && !has(&m->clean, text_of(copy->relation->relname));
    /* newer than the catalogue: of who knows what */
    masked |= copy->relation != NULL && has(&m->unknown, text_of(copy->relation->relname));
    for (int i = 0; i < list_length(copy->attlist); i++) {
        masked |= has(&m->names, string_of((const Node *)list_nth(copy->attlist, i)));
    }
    m->result->copies |= masked;
    check(m, copy->query, AS_PART);
}

/* Whether rows pass tells their values: unique, not null, another type, a key of another table. */
static void check_names(masking *m, const List *names)
{
    for (int i = 0; i < list_length(names); i++) {
        sp_span name = string_of((const Node *)list_nth(names, i));
        if (has(&m->names, name)) {
            refuse(m, "a masked column would be tested:", name);
        }
    }
}

static void check_name(masking *m, const char *name)
{
    if (name != NULL && has(&m->names, text_of(name))) {
        refuse(m, "a masked column would be tested:", text_of(name));
    }
}

static void check_index(masking *m, const IndexStmt *index)
{
    bool tests = index->unique || index->excludeOpNames != NIL;
    for (int i = 0; i < list_length(index->indexParams); i++) {
        const IndexElem *item = AS(IndexElem, list_nth(index->indexParams, i));
        check_name(m, tests ? item->name : NULL);
        check(m, item->expr, AS_PART);
    }
    check(m, index->whereClause, AS_PART);
}

static void check_children(masking *m, const Node *node)
{
    const node_shape *shape = shape_of(nodeTag(node));
    for (unsigned i = 0; i < shape->count && !is_refused(m); i++) {
        check(m, shape_child(node, shape, i), AS_PART);
    }
}

/* The children of INSERT, UPDATE and DELETE; RETURNING is a list of items. */
static void check_change(masking *m, const Node *node, const List *returning, size_t returning_at)
{
    const node_shape *shape = shape_of(nodeTag(node));
    for (unsigned i = 0; i < shape->count && !is_refused(m); i++) {
        if (shape->children[i] != returning_at) {
            check(m, shape_child(node, shape, i), AS_PART);
        }
    }
    check_targets(m, returning);
}

static void check(masking *m, const Node *node, standing how)
{
    if (node == NULL || is_refused(m)) {
        return;
    }
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
        if (is_masked_select(m, AS(InsertStmt, node)->selectStmt)) {
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
    case T_AlterTableCmd:
        if (AS(AlterTableCmd, node)->subtype == AT_SetNotNull ||
            AS(AlterTableCmd, node)->subtype == AT_AlterColumnType) {
            check_name(m, AS(AlterTableCmd, node)->name);
        }
        check_children(m, node);
        break;
    case T_Constraint:
        check_names(m, AS(Constraint, node)->keys);
        check_names(m, AS(Constraint, node)->fk_attrs);
        check_names(m, AS(Constraint, node)->pk_attrs);
        check_children(m, node);
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
        refuse(m, "SEARCH or CYCLE beside masked columns", SP_SPAN_EMPTY);
        break;
    case T_LockingClause:
        break;
    default:
        check_children(m, node);
        break;
    }
}

/* ---- one reading ---- */

/* A relation that is neither in the catalogue nor the session's own: made a moment ago, of who
 * knows what. */
static bool reaches_unknown(const masking *m)
{
    const sp_sql_context *context = m->context;
    for (uint32_t i = 0; m->catalogue != NULL && i < m->unknown.count; i++) {
        sp_span name = m->unknown.items[i];
        if (!has(&m->queries, name) &&
            (context->is_temporary == NULL || !context->is_temporary(context->session, name) ||
             (context->is_other != NULL && context->is_other(context->session, name)))) {
            return true;
        }
    }
    return false;
}

static void analyse(masking *m, const List *statements)
{
    const Node *all = (const Node *)(const void *)statements;
    for (int i = 0; i < list_length(statements); i++) {
        const Node *statement = AS(RawStmt, list_nth(statements, i))->stmt;
        if (statement != NULL && nodeTag(statement) == T_ListenStmt) {
            refuse(m, "LISTEN, by which others may tell masked values", SP_SPAN_EMPTY);
        }
    }
    reach(m, all);
    bool is_new = reaches_unknown(m);
    m->in_reach |= is_new;
    if (!m->in_reach || is_refused(m)) {
        return;
    }
    m->result->mode = is_new ? SP_SQL_MASKING_STRICT : SP_SQL_MASKING_BY_ORIGIN;
    m->changed = true;
    for (unsigned round = 0; m->changed && !is_refused(m); round++) {
        m->changed = false;
        spread(m, all);
        if (round == ROUNDS_MAX) {
            refuse(m, "a statement that renames masked columns too often", SP_SPAN_EMPTY);
        }
    }
    check_list(m, statements, AS_PART);
    if (m->result->copies && m->result->mode == SP_SQL_MASKING_STRICT) {
        refuse(m, "COPY of what may be masked columns", SP_SPAN_EMPTY);
    }
}

sp_sql_masking sp_sql_masking_text(sp_sql_judge *judge, const sp_sql_context *context, sp_span text,
                                   uint64_t mask_tags)
{
    sp_sql_masking result = {.mode = SP_SQL_MASKING_CLEAN};
    bool twice = sp_span_index(text, '\\') != text.len;
    const char *kept = judge_keep_text(judge, text);
    for (int reading = 0; reading < (twice ? 2 : 1); reading++) {
        sp_sql_masking one = {.mode = SP_SQL_MASKING_CLEAN};
        masking m = {.catalogue = context->catalogue,
                     .context = context,
                     .mask_tags = mask_tags,
                     .result = &one};
        sql_tree tree = {.failed = true};
        if (kept != NULL) {
            tree_parse(kept, reading == 0, &tree);
        }
        if (reading == 1 && kept != NULL && tree_is_refused_by_server(&tree)) {
            tree_done(&tree);
            break;
        }
        if (tree.failed) {
            refuse(&m, "a text that cannot be read again", SP_SPAN_EMPTY);
        } else {
            analyse(&m, tree.statements);
        }
        tree_done(&tree);
        bool copies = result.copies || one.copies;
        if (one.mode > result.mode) {
            result = one;
        }
        result.copies = copies;
    }
    return result;
}

/* ---- views ---- */

/* Whether anything masked stands anywhere in an expression. */
static bool holds_masked(const masking *m, const Node *node)
{
    if (node == NULL) {
        return false;
    }
    NodeTag tag = nodeTag(node);
    if (tag == T_List) {
        const List *list = (const List *)(const void *)node;
        for (int i = 0; i < list_length(list); i++) {
            if (holds_masked(m, (const Node *)list_nth(list, i))) {
                return true;
            }
        }
        return false;
    }
    if (tag == T_ColumnRef) {
        return is_masked_column(m, AS(ColumnRef, node));
    }
    if (tag == T_SubLink) {
        return true; /* beside masked columns: not worth telling apart */
    }
    const node_shape *shape = shape_of(tag);
    for (unsigned i = 0; i < shape->count; i++) {
        if (holds_masked(m, shape_child(node, shape, i))) {
            return true;
        }
    }
    return false;
}

/* The binding of the column that a name means, when all masked columns of that name agree. */
static sp_sql_bound bound_of_name(const sp_sql_catalogue *catalogue, const sp_sql_relation *view,
                                  sp_span name, uint64_t tags)
{
    const sp_sql_edge *edges =
        sp_sql_catalogue_edges(catalogue, sp_sql_catalogue_find_oid(catalogue, view->oid));
    sp_sql_bound bound = {.part = SP_NONE, .mask = SP_MASK_FULL, .tags = tags};
    bool found = false;
    for (uint32_t i = 0; i < view->edge_count; i++) {
        uint32_t at = edges[i].kind == SP_SQL_EDGE_READS
                          ? sp_sql_catalogue_find_column(catalogue, edges[i].to, name)
                          : SP_NONE;
        if (at == SP_NONE) {
            continue;
        }
        const sp_sql_bound *base = &sp_sql_catalogue_column_at(catalogue, at)->bound;
        if (base->tags == 0) {
            continue;
        }
        if (found && (base->tags != bound.tags || base->mask != bound.mask)) {
            return (sp_sql_bound){.part = SP_NONE, .mask = SP_MASK_FULL, .tags = tags};
        }
        bound = *base;
        found = true;
    }
    return bound;
}

static uint64_t tags_in_reach(const sp_sql_catalogue *catalogue, uint32_t view)
{
    const sp_sql_relation *from = sp_sql_catalogue_at(catalogue, view);
    const sp_sql_edge *edges = sp_sql_catalogue_edges(catalogue, view);
    uint64_t tags = 0;
    for (uint32_t i = 0; i < from->edge_count; i++) {
        const sp_sql_relation *to = sp_sql_catalogue_at(catalogue, edges[i].to);
        const sp_sql_column *columns = sp_sql_catalogue_columns(catalogue, edges[i].to);
        for (uint32_t c = 0; edges[i].kind == SP_SQL_EDGE_READS && c < to->column_count; c++) {
            tags |= columns[c].bound.tags;
        }
    }
    return tags;
}

/* False: its definition does not tell, all columns keep all tags in reach. */
static bool bind_view(sp_sql_judge *judge, sp_sql_catalogue *catalogue, uint32_t view,
                      uint64_t tags)
{
    const sp_sql_relation *relation = sp_sql_catalogue_at(catalogue, view);
    const char *kept = judge_keep_text(judge, relation->definition);
    sp_sql_masking result = {.mode = SP_SQL_MASKING_CLEAN};
    const sp_sql_context context = {.catalogue = catalogue};
    masking m = {
        .catalogue = catalogue, .context = &context, .mask_tags = UINT64_MAX, .result = &result};
    sql_tree tree = {.failed = true};
    if (kept != NULL) {
        tree_parse(kept, true, &tree);
    }
    bool fine = !tree.failed && list_length(tree.statements) == 1;
    const Node *query = fine ? AS(RawStmt, linitial(tree.statements))->stmt : NULL;
    fine = fine && query != NULL && nodeTag(query) == T_SelectStmt &&
           AS(SelectStmt, query)->op == SETOP_NONE &&
           list_length(AS(SelectStmt, query)->targetList) == (int)relation->column_count;
    if (fine) {
        reach(&m, query);
        m.changed = true;
        for (unsigned round = 0; m.changed && round < ROUNDS_MAX; round++) {
            m.changed = false;
            spread(&m, query);
        }
        fine = !is_refused(&m) && !m.changed;
    }
    for (uint32_t i = 0; fine && i < relation->column_count; i++) {
        const Node *value = AS(ResTarget, list_nth(AS(SelectStmt, query)->targetList, (int)i))->val;
        sp_sql_bound bound = {.part = SP_NONE};
        if (nodeTag(value) == T_ColumnRef && is_masked_column(&m, AS(ColumnRef, value))) {
            bound =
                bound_of_name(catalogue, relation, names_last(AS(ColumnRef, value)->fields), tags);
        } else if (holds_masked(&m, value)) {
            bound.tags = tags;
            bound.mask = SP_MASK_FULL;
        }
        sp_sql_catalogue_bind_column(catalogue, relation->first_column + i, &bound);
    }
    tree_done(&tree);
    return fine;
}

void sp_sql_masking_bind_views(sp_sql_judge *judge, sp_sql_catalogue *catalogue)
{
    /* oids grow: a view is nearly always younger than what it reads, and a column that was taken
     * for masked too early is only masked too much */
    for (uint32_t i = 0; i < sp_sql_catalogue_count(catalogue); i++) {
        const sp_sql_relation *relation = sp_sql_catalogue_at(catalogue, i);
        if (relation->definition.len == 0 || (relation->flags & SP_SQL_REL_TAGGED) == 0) {
            continue;
        }
        uint64_t tags = tags_in_reach(catalogue, i);
        if (tags != 0) {
            (void)bind_view(judge, catalogue, i, tags);
        }
    }
}

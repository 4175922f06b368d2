/* SPDX-License-Identifier: Apache-2.0
 * Masked names: which relations are in reach of a statement, and which names carry their columns.
 * OWNS nothing. PROCESS database gate. TRUST the tree was made from hostile text and has passed the
 * judge, so its depth and size are bounded. SPEC lib/sql/masking.h.
 */
#include "lib/sql/masking_inside.h"

#include "lib/base/mem.h"
#include "lib/sql/functions.h"
#include "lib/sql/walk.h"

#include <stdio.h>
#undef snprintf

bool masking_has(const masking_names *list, sp_span name)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (sp_span_eq(list->items[i], name)) {
            return true;
        }
    }
    return false;
}

void masking_refuse(masking *m, const char *what, sp_span name)
{
    if (m->result->mode == SP_SQL_MASKING_REFUSED) {
        return;
    }
    m->result->mode = SP_SQL_MASKING_REFUSED;
    snprintf(m->result->reason, sizeof(m->result->reason), "%s%s%.*s%s", what,
             name.len > 0 ? " \"" : "", (int)(name.len < 63 ? name.len : 63),
             name.len > 0 ? (const char *)name.ptr : "", name.len > 0 ? "\"" : "");
}

bool masking_is_spent(masking *m)
{
    if (*m->work > MASKING_WORK_MAX) {
        masking_refuse(m, "a statement that is too long to look for masked columns in",
                       SP_SPAN_EMPTY);
    }
    return masking_is_refused(m);
}

bool masking_is_refused(const masking *m)
{
    return m->result->mode == SP_SQL_MASKING_REFUSED;
}

static void add(masking *m, masking_names *list, sp_span name)
{
    *m->work += list->count / 2; /* most differ in their first bytes */
    if (name.len == 0 || masking_has(list, name)) {
        return;
    }
    bool is_columns = list == &m->columns || list == &m->own;
    if (list->count == MASKING_NAMES_MAX && is_columns) {
        return; /* a column that is not known to be one may be a function */
    }
    if (list->count == MASKING_NAMES_MAX) {
        masking_refuse(m, "a statement with too many names around masked columns", SP_SPAN_EMPTY);
        return;
    }
    list->items[list->count++] = name;
    m->changed = true;
}

static void add_names(masking *m, masking_names *list, const List *names)
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

static const List *returning_of(const Node *node)
{
    switch ((int)nodeTag(node)) {
    case T_InsertStmt:
        return AS(InsertStmt, node)->returningList;
    case T_UpdateStmt:
        return AS(UpdateStmt, node)->returningList;
    case T_DeleteStmt:
        return AS(DeleteStmt, node)->returningList;
    default:
        return NIL;
    }
}

/* list: rows or clean. */
static void add_item(masking *m, masking_names *list, sp_span name)
{
    if (masking_has(&m->items, name)) {
        add(m, &m->unclear, name);
    }
    add(m, &m->items, name);
    add(m, list, name);
}

/* The columns of a relation, once; whether any is masked. */
static bool reach_columns(masking *m, uint32_t index)
{
    const sp_sql_relation *relation = sp_sql_catalogue_at(m->catalogue, index);
    const sp_sql_column *columns = sp_sql_catalogue_columns(m->catalogue, index);
    for (uint32_t i = 0; i < m->reached_count; i++) {
        if (m->reached[i].relation == index) {
            return m->reached[i].is_masked;
        }
    }
    bool masked = false;
    for (uint32_t i = 0; i < relation->column_count; i++) {
        add(m, &m->columns, columns[i].name);
        if ((columns[i].bound.tags & m->mask_tags) != 0) {
            add(m, &m->names, columns[i].name);
            masked = true;
        }
    }
    for (uint32_t i = 0; masked && i < relation->column_count; i++) {
        add(m, &m->own, columns[i].name);
    }
    if (m->reached_count < MASKING_REACHED_MAX) {
        m->reached[m->reached_count].relation = index;
        m->reached[m->reached_count++].is_masked = masked;
    }
    return masked;
}

static void reach_known(masking *m, const RangeVar *range, uint32_t index)
{
    sp_span name = text_of(range->relname);
    sp_span alias = alias_name(range->alias);
    /* wherever the WITH query of that name is seen: it may be in reach here */
    bool may_be_query = range->schemaname == NULL && masking_has(&m->queries, name);
    const sp_sql_relation *relation = sp_sql_catalogue_at(m->catalogue, index);
    if ((relation->flags & SP_SQL_REL_TELLS) != 0) {
        masking_refuse(
            m, "a relation of the system, or a view of one, that may tell masked values:", name);
        return;
    }
    /* in rows of the system's nothing is masked */
    bool masked = (relation->flags & SP_SQL_REL_SYSTEM) == 0 && reach_columns(m, index);
    /* also when nothing masked is shown: an error may quote the whole row behind it */
    m->in_reach |= masked || (relation->flags & (SP_SQL_REL_TAGGED | SP_SQL_REL_NEAR)) != 0;
    add_item(m, masked || may_be_query ? &m->rows : &m->clean, alias.len > 0 ? alias : name);
    if (masked && !may_be_query) {
        add(m, &m->unclear, alias.len > 0 ? alias : name);
    }
    if (masked && range->alias != NULL && range->alias->colnames != NIL) {
        add_names(m, &m->names, range->alias->colnames);
    }
}

static void reach_at(masking *m, const RangeVar *range, sp_span schema)
{
    uint32_t index = sp_sql_catalogue_find(m->catalogue, schema, text_of(range->relname));
    if (index != SP_NONE) {
        reach_known(m, range, index);
    }
}

/* A name that the session gave to other rows: it may still be what it was, of any schema that is
 * searched. */
static void reach_other(masking *m, const RangeVar *range)
{
    if (m->catalogue == NULL) {
        return;
    }
    reach_at(m, range, text_of(range->schemaname));
    sp_span at = SP_SPAN_EMPTY;
    for (uint32_t i = 0;
         range->schemaname == NULL && (at = sp_sql_catalogue_path_at(m->catalogue, i)).len > 0;
         i++) {
        reach_at(m, range, at);
    }
}

/* One of the session's, whatever its bare name means. */
static bool is_temporary(const sp_sql_context *context, const RangeVar *range)
{
    sp_span name = text_of(range->relname);
    return sp_span_eq(text_of(range->schemaname), SP_SPAN_LIT("pg_temp")) &&
           context->was_temporary != NULL && context->was_temporary(context->session, name) &&
           (context->is_other == NULL || !context->is_other(context->session, name));
}

static void reach_relation(masking *m, const RangeVar *range)
{
    sp_span name = text_of(range->relname);
    sp_span alias = alias_name(range->alias);
    *m->work += 8 + m->queries.count / 2 + m->reached_count + 3 * context_cost(m->context);
    uint32_t index = context_find(m->context, text_of(range->schemaname), name);
    if (index != SP_NONE) {
        reach_known(m, range, index);
        return;
    }
    add_item(m, &m->rows, alias.len > 0 ? alias : name); /* a WITH query, or not known */
    if (is_temporary(m->context, range)) {
        return;
    }
    add(m, &m->unknown, name);
    reach_other(m, range);
}

/* What a statement makes is not what it reads: where it stands, or no place. */
static size_t made_at(NodeTag tag)
{
    switch ((int)tag) {
    case T_IntoClause:
        return offsetof(IntoClause, rel);
    case T_CreateStmt:
        return offsetof(CreateStmt, relation);
    case T_ViewStmt:
        return offsetof(ViewStmt, view);
    default:
        return SIZE_MAX;
    }
}

static void each_node(masking *m, const Node *node, void (*reach)(masking *m, const Node *node))
{
    if (node == NULL || masking_is_spent(m)) {
        return;
    }
    NodeTag tag = nodeTag(node);
    if (tag == T_List) {
        const List *list = (const List *)(const void *)node;
        for (int i = 0; i < list_length(list); i++) {
            each_node(m, (const Node *)list_nth(list, i), reach);
        }
        return;
    }
    if (tag == T_LockingClause) {
        return;
    }
    reach(m, node);
    const node_shape *shape = shape_of(tag);
    for (unsigned i = 0; i < shape->count; i++) {
        if (shape->children[i] != made_at(tag)) {
            each_node(m, shape_child(node, shape, i), reach);
        }
    }
}

static void reach_query(masking *m, const Node *node)
{
    if (nodeTag(node) == T_CommonTableExpr) {
        add(m, &m->rows, text_of(AS(CommonTableExpr, node)->ctename));
        add(m, &m->queries, text_of(AS(CommonTableExpr, node)->ctename));
    }
}

/* The row that a change finds and the one it leaves: of rules, of triggers, of RETURNING on servers
 * newer than 15. */
static void reach_before_and_after(masking *m)
{
    add(m, &m->rows, SP_SPAN_LIT("old"));
    add(m, &m->rows, SP_SPAN_LIT("new"));
}

/* The server's own functions that tell what others ask, or what a table or a large object holds. */
static void reach_function(masking *m, const FuncCall *call)
{
    sp_span schema = names_before(call->funcname);
    sp_span name = names_last(call->funcname);
    if (function_tells_values(name) &&
        (schema.len == 0 || sp_span_eq(schema, SP_SPAN_LIT("pg_catalog")))) {
        masking_refuse(m, "a function that may tell masked values:", name);
    }
    if (function_find(name) == FUNCTION_SETTING && call->args != NIL) {
        const Node *setting = (const Node *)linitial(call->args);
        if (nodeTag(setting) != T_A_Const || setting_is_planners(literal_of(setting))) {
            masking_refuse(m, MASKING_PLANNER, literal_of(setting));
        }
    }
}

/* The new body would run for others, where masked values are in reach. */
static void reach_code(masking *m, const List *name)
{
    if (sp_sql_catalogue_has_function(m->catalogue, names_last(name))) {
        masking_refuse(m, "code that others run, beside masked columns:", names_last(name));
    }
}

/* It is held against every value of that type that any table has: whether it fails tells of them.
 */
static void reach_domain(masking *m, const AlterDomainStmt *alter)
{
    enum { ADD_CONSTRAINT = 'C', VALIDATE = 'V', SET_NOT_NULL = 'O' };
    if (alter->subtype == ADD_CONSTRAINT || alter->subtype == VALIDATE ||
        alter->subtype == SET_NOT_NULL) {
        masking_refuse(m, "a check of all values of a type, beside masked columns:",
                       names_last(alter->typeName));
    }
}

void masking_add_made(masking *m, const RangeVar *relation)
{
    add(m, &m->made, text_of(relation->relname));
}

/* In a database that is not UTF8 the server folds other letters than the parser does. */
static bool is_odd(sp_span name)
{
    size_t i = 0;
    while (i < name.len && name.ptr[i] < 0x80) {
        i++;
    }
    return i < name.len;
}

static void reach_item(masking *m, const Node *node)
{
    switch ((int)nodeTag(node)) {
    case T_String:
        m->has_odd |= is_odd(string_of(node));
        break;
    case T_FuncCall:
        reach_function(m, AS(FuncCall, node));
        break;
    case T_CreateFunctionStmt:
        reach_code(m, AS(CreateFunctionStmt, node)->funcname);
        break;
    case T_AlterDomainStmt:
        reach_domain(m, AS(AlterDomainStmt, node));
        break;
    case T_RangeVar:
        reach_relation(m, AS(RangeVar, node));
        break;
    case T_RangeSubselect:
        add_item(m, &m->rows, alias_name(AS(RangeSubselect, node)->alias));
        break;
    case T_JoinExpr:
        add_item(m, &m->rows, alias_name(AS(JoinExpr, node)->alias));
        add_item(m, &m->rows, alias_name(AS(JoinExpr, node)->join_using_alias));
        break;
    case T_RuleStmt:
    case T_CreateTrigStmt:
        reach_before_and_after(m);
        break;
    case T_InsertStmt:
    case T_UpdateStmt:
    case T_DeleteStmt:
        if (returning_of(node) != NIL) {
            reach_before_and_after(m);
        }
        break;
    default:
        break;
    }
}

void masking_reach(masking *m, const Node *node)
{
    each_node(m, node, reach_query); /* before any name that may mean one */
    each_node(m, node, reach_item);
}

/* ---- what carries masked values ---- */

bool masking_is_star(const Node *node)
{
    return node != NULL && nodeTag(node) == T_A_Star;
}

/* A masked column, a whole row that may hold one, or a star. */
bool masking_is_column(const masking *m, const ColumnRef *column)
{
    *m->work += 8 + m->names.count + m->rows.count + m->clean.count;
    int count = list_length(column->fields);
    const Node *last = (const Node *)list_nth(column->fields, count - 1);
    sp_span qualifier =
        count > 1 ? string_of((const Node *)list_nth(column->fields, count - 2)) : SP_SPAN_EMPTY;
    if (qualifier.len > 0 && masking_has(&m->clean, qualifier) &&
        !masking_has(&m->rows, qualifier)) {
        return false;
    }
    if (m->is_any || masking_is_star(last)) {
        return true;
    }
    sp_span name = string_of(last);
    return masking_has(&m->names, name) ||
           masking_has(&m->rows, name); /* "x.c": c may be a row in x */
}

bool masking_is_item(const masking *m, const Node *value)
{
    if (value == NULL) {
        return false;
    }
    if (nodeTag(value) == T_ColumnRef) {
        return masking_is_column(m, AS(ColumnRef, value));
    }
    return nodeTag(value) == T_SubLink && AS(SubLink, value)->subLinkType != EXISTS_SUBLINK &&
           masking_is_select(m, AS(SubLink, value)->subselect);
}

static bool has_masked_item(const masking *m, const List *targets)
{
    for (int i = 0; i < list_length(targets); i++) {
        if (*m->work > MASKING_WORK_MAX ||
            masking_is_item(m, AS(ResTarget, list_nth(targets, i))->val)) {
            return true;
        }
        *m->work += 1;
    }
    return false;
}

/* Whether a query (or a change with RETURNING) hands masked values on. */
bool masking_is_select(const masking *m, const Node *node)
{
    if (node == NULL) {
        return false;
    }
    switch ((int)nodeTag(node)) {
    case T_SelectStmt: {
        const SelectStmt *select = AS(SelectStmt, node);
        if (select->op != SETOP_NONE) {
            return masking_is_select(m, (const Node *)select->larg) ||
                   masking_is_select(m, (const Node *)select->rarg);
        }
        return has_masked_item(m, select->targetList);
    }
    case T_InsertStmt:
    case T_UpdateStmt:
    case T_DeleteStmt:
        return has_masked_item(m, returning_of(node));
    default:
        return true; /* EXECUTE and the like */
    }
}

/* What the server may call an item that has no name. False: not known. More than one is fine. */
static bool spread_unnamed(masking *m, const Node *value)
{
    switch ((int)nodeTag(value)) {
    case T_ColumnRef:
        if (masking_is_star((const Node *)llast(AS(ColumnRef, value)->fields))) {
            masking_refuse(m, "a set operation over * with masked columns", SP_SPAN_EMPTY);
        }
        add(m, &m->names, names_last(AS(ColumnRef, value)->fields));
        return true;
    case T_FuncCall:
        add(m, &m->names, names_last(AS(FuncCall, value)->funcname));
        return true;
    case T_TypeCast:
        add(m, &m->names, names_last(AS(TypeCast, value)->typeName->names));
        return spread_unnamed(m, AS(TypeCast, value)->arg);
    case T_CollateClause:
        return spread_unnamed(m, AS(CollateClause, value)->arg);
    case T_CoalesceExpr:
        add(m, &m->names, SP_SPAN_LIT("coalesce"));
        return true;
    case T_A_Expr:
        add(m, &m->names,
            AS(A_Expr, value)->kind == AEXPR_NULLIF ? SP_SPAN_LIT("nullif")
                                                    : SP_SPAN_LIT("?column?"));
        return true;
    case T_A_Const:
    case T_ParamRef:
    case T_BoolExpr:
    case T_NullTest:
    case T_BooleanTest:
        add(m, &m->names, SP_SPAN_LIT("?column?"));
        return true;
    default:
        return false;
    }
}

static bool is_star_item(const Node *value)
{
    return value != NULL && nodeTag(value) == T_ColumnRef &&
           masking_is_star((const Node *)llast(AS(ColumnRef, value)->fields));
}

/* Which places have a masked value in any part; a star takes up nobody knows how many. */
static void mark_places(const masking *m, const SelectStmt *select, bool masked[MASKING_PLACES_MAX])
{
    if (select->op != SETOP_NONE) {
        mark_places(m, select->larg, masked);
        mark_places(m, select->rarg, masked);
        return;
    }
    if (*m->work > MASKING_WORK_MAX) {
        return; /* refused */
    }
    bool after_star = false;
    bool any = false;
    int count = list_length(select->targetList);
    for (int i = 0; i < MASKING_PLACES_MAX && (i < count || after_star); i++) {
        const Node *value = i < count ? AS(ResTarget, list_nth(select->targetList, i))->val : NULL;
        if (!after_star && is_star_item(value)) {
            after_star = true;
            any = has_masked_item(m, select->targetList);
        }
        masked[i] |= after_star ? any : masking_is_item(m, value);
    }
    *m->work += (uint32_t)count;
}

/* The names of a set operation's columns are those of its first part. */
static void spread_set(masking *m, const SelectStmt *select)
{
    const SelectStmt *all = select;
    if (!masking_is_select(m, (const Node *)select)) {
        return;
    }
    while (select->op != SETOP_NONE) {
        select = select->larg;
    }
    bool is_named =
        select->valuesLists == NIL && list_length(select->targetList) <= MASKING_PLACES_MAX;
    bool is_clear = true; /* no star before it: places are known */
    bool masked[MASKING_PLACES_MAX] = {false};
    mark_places(m, all, masked);
    for (int i = 0; is_named && i < list_length(select->targetList); i++) {
        const ResTarget *target = AS(ResTarget, list_nth(select->targetList, i));
        is_clear = is_clear && !is_star_item(target->val);
        if (is_clear && !masked[i]) {
            continue;
        }
        add(m, &m->names, text_of(target->name));
        is_named = target->name != NULL || spread_unnamed(m, target->val);
    }
    if (!is_named) {
        masking_refuse(m,
                       "a set operation with masked columns whose columns have no names: give the "
                       "first SELECT names (AS x)",
                       SP_SPAN_EMPTY);
    }
}

/* is_first: the first part of a set operation, whose names are looked at from its top. */
static void spread(masking *m, const Node *node, bool is_first)
{
    if (node == NULL || masking_is_spent(m)) {
        return;
    }
    NodeTag tag = nodeTag(node);
    *m->work += 1;
    if (tag == T_List) {
        const List *list = (const List *)(const void *)node;
        for (int i = 0; i < list_length(list); i++) {
            spread(m, (const Node *)list_nth(list, i), false);
        }
        return;
    }
    if (tag == T_ResTarget) {
        const ResTarget *target = AS(ResTarget, node);
        if (target->name != NULL && masking_is_item(m, target->val)) {
            add(m, &m->names, text_of(target->name));
        }
    } else if (tag == T_SelectStmt && AS(SelectStmt, node)->op != SETOP_NONE && !is_first) {
        spread_set(m, AS(SelectStmt, node));
    } else if (tag == T_CommonTableExpr) {
        const CommonTableExpr *query = AS(CommonTableExpr, node);
        if (masking_is_select(m, query->ctequery)) {
            add_names(m, &m->names, query->aliascolnames);
        }
    } else if (tag == T_RangeSubselect || tag == T_RangeVar || tag == T_JoinExpr) {
        const Alias *alias = tag == T_RangeSubselect ? AS(RangeSubselect, node)->alias
                             : tag == T_RangeVar     ? AS(RangeVar, node)->alias
                                                     : AS(JoinExpr, node)->alias;
        bool known_clean = tag == T_RangeVar && masking_has(&m->clean, alias_name(alias)) &&
                           !masking_has(&m->rows, alias_name(alias));
        if (alias != NULL && !known_clean) {
            add_names(m, &m->names, alias->colnames);
        }
    }
    const node_shape *shape = shape_of(tag);
    for (unsigned i = 0; i < shape->count; i++) {
        bool is_part = tag == T_SelectStmt && shape->children[i] == offsetof(SelectStmt, larg);
        spread(m, shape_child(node, shape, i), is_part);
    }
}

void masking_spread(masking *m, const Node *node)
{
    spread(m, node, false);
}

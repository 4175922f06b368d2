/* SPDX-License-Identifier: Apache-2.0
 * The analysis of masked names: what is in reach and carries them (to a fixpoint), then where they
 * stand; and what the columns of views show.
 * OWNS nothing. PROCESS database gate. TRUST the tree was made from hostile text and has passed the
 * judge, so its depth and size are bounded. SPEC lib/sql/masking.h.
 */
#include "lib/sql/masking_inside.h"

#include "lib/base/mem.h"
#include "lib/sql/functions.h"
#include "lib/sql/walk.h"

enum { ROUNDS_MAX = 16 };

/* ---- one reading ---- */

static bool is_other(const masking *m, sp_span name)
{
    return m->context->is_other != NULL && m->context->is_other(m->context->session, name);
}

/* A table that the session or the text made, under the name that it was made by: who sees masked
 * values put nothing masked into it. */
static bool is_own(const masking *m, sp_span name)
{
    const sp_sql_context *context = m->context;
    *m->work += 2 * context_cost(context);
    return !is_other(m, name) &&
           (masking_has(&m->made, name) ||
            (context->is_own != NULL && context->is_own(context->session, SP_SPAN_EMPTY, name)));
}

/* A relation that is neither in the catalogue nor the session's own: made a moment ago, of who
 * knows what. */
static bool reaches_unknown(masking *m)
{
    const sp_sql_context *context = m->context;
    bool reaches = false;
    for (uint32_t i = 0; m->catalogue != NULL && i < m->unknown.count; i++) {
        sp_span name = m->unknown.items[i];
        bool is_temporary =
            context->is_temporary != NULL && context->is_temporary(context->session, name);
        if (!masking_has(&m->queries, name) && (!is_temporary || is_other(m, name))) {
            reaches = true;
            m->is_any |= !is_own(m, name);
        }
    }
    return reaches;
}

/* Whether a statement leaves all names what they mean. */
static bool keeps_names(const Node *statement)
{
    switch ((int)nodeTag(statement)) {
    case T_CreateStmt:
    case T_CreateTableAsStmt:
    case T_SelectStmt:
    case T_InsertStmt:
    case T_UpdateStmt:
    case T_DeleteStmt:
    case T_IndexStmt:
        return true;
    case T_TransactionStmt:
        return AS(TransactionStmt, statement)->kind == TRANS_STMT_BEGIN ||
               AS(TransactionStmt, statement)->kind == TRANS_STMT_COMMIT;
    default:
        return false;
    }
}

/* The tables that a text makes, if it does nothing to names besides. */
static void find_made(masking *m, const List *statements)
{
    for (int i = 0; i < list_length(statements); i++) {
        const Node *statement = AS(RawStmt, list_nth(statements, i))->stmt;
        if (statement == NULL) {
            continue;
        }
        if (!keeps_names(statement)) {
            m->made.count = 0;
            return;
        }
        if (nodeTag(statement) == T_CreateStmt && !AS(CreateStmt, statement)->if_not_exists) {
            masking_add_made(m, AS(CreateStmt, statement)->relation);
        } else if (nodeTag(statement) == T_CreateTableAsStmt &&
                   !AS(CreateTableAsStmt, statement)->if_not_exists) {
            masking_add_made(m, AS(CreateTableAsStmt, statement)->into->rel);
        }
    }
}

/* What the planner is told decides in which order rows come. */
static void check_setting(masking *m, const Node *statement)
{
    const VariableSetStmt *set = statement != NULL && nodeTag(statement) == T_VariableSetStmt
                                     ? AS(VariableSetStmt, statement)
                                     : NULL;
    if (set != NULL && (set->kind == VAR_SET_VALUE || set->kind == VAR_SET_CURRENT) &&
        setting_is_planners(text_of(set->name))) {
        masking_refuse(m, MASKING_PLANNER, text_of(set->name));
    }
}

static void analyse(masking *m, const List *statements)
{
    const Node *all = (const Node *)(const void *)statements;
    for (int i = 0; i < list_length(statements); i++) {
        const Node *statement = AS(RawStmt, list_nth(statements, i))->stmt;
        if (statement != NULL && nodeTag(statement) == T_ListenStmt) {
            masking_refuse(m, "LISTEN, by which others may tell masked values", SP_SPAN_EMPTY);
        }
        check_setting(m, statement);
    }
    masking_reach(m, all);
    find_made(m, statements);
    bool is_new = reaches_unknown(m);
    m->in_reach |= is_new;
    if (!m->in_reach || masking_is_refused(m)) {
        return;
    }
    if (m->has_odd && !m->context->is_utf8) {
        masking_refuse(m, "names that are not ASCII, in a database that is not UTF8",
                       SP_SPAN_EMPTY);
        return;
    }
    m->result->mode = is_new ? SP_SQL_MASKING_STRICT : SP_SQL_MASKING_BY_ORIGIN;
    m->changed = true;
    for (unsigned round = 0; m->changed && !masking_is_refused(m); round++) {
        m->changed = false;
        masking_spread(m, all);
        if (round == ROUNDS_MAX) {
            masking_refuse(m, "a statement that renames masked columns too often", SP_SPAN_EMPTY);
        }
    }
    masking_check(m, statements);
    if (m->result->copies && m->result->mode == SP_SQL_MASKING_STRICT) {
        masking_refuse(m, "COPY of what may be masked columns", SP_SPAN_EMPTY);
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
        uint32_t work = 0;
        masking m = {.catalogue = context->catalogue,
                     .context = context,
                     .mask_tags = mask_tags,
                     .work = &work,
                     .result = &one};
        sql_tree tree = {.failed = true};
        if (kept != NULL) {
            tree_parse(kept, reading == 0, &tree);
        }
        if (reading == 1 && kept != NULL && tree_is_refused_by_server(&tree, context->is_utf8)) {
            tree_done(&tree);
            break;
        }
        if (tree.failed) {
            masking_refuse(&m, "a text that cannot be read again", SP_SPAN_EMPTY);
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
        return masking_is_column(m, AS(ColumnRef, node));
    }
    if (tag == T_WindowDef && m->has_window &&
        (AS(WindowDef, node)->name != NULL || AS(WindowDef, node)->refname != NULL)) {
        return true; /* OVER w */
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

/* Whether all of FROM is relations and joins of them: then a column is called as its relation calls
 * it, or as an alias says. A subquery or a function may give a masked value any name. */
static bool reads_relations_alone(const Node *from)
{
    if (from == NULL) {
        return true;
    }
    switch ((int)nodeTag(from)) {
    case T_List: {
        const List *items = (const List *)(const void *)from;
        for (int i = 0; i < list_length(items); i++) {
            if (!reads_relations_alone((const Node *)list_nth(items, i))) {
                return false;
            }
        }
        return true;
    }
    case T_RangeVar:
        return true;
    case T_JoinExpr:
        return reads_relations_alone(AS(JoinExpr, from)->larg) &&
               reads_relations_alone(AS(JoinExpr, from)->rarg);
    default:
        return false;
    }
}

/* False: its definition does not tell, all columns keep all tags in reach. */
static bool bind_view(sp_sql_judge *judge, sp_sql_catalogue *catalogue, uint32_t view,
                      uint64_t tags)
{
    const sp_sql_relation *relation = sp_sql_catalogue_at(catalogue, view);
    const char *kept = judge_keep_text(judge, relation->definition);
    sp_sql_masking result = {.mode = SP_SQL_MASKING_CLEAN};
    const sp_sql_context context = {.catalogue = catalogue};
    uint32_t work = 0;
    masking m = {.catalogue = catalogue,
                 .context = &context,
                 .mask_tags = UINT64_MAX,
                 .work = &work,
                 .result = &result};
    sql_tree tree = {.failed = true};
    if (kept != NULL) {
        tree_parse(kept, true, &tree);
    }
    bool fine = !tree.failed && list_length(tree.statements) == 1;
    const Node *query = fine ? AS(RawStmt, linitial(tree.statements))->stmt : NULL;
    fine = fine && query != NULL && nodeTag(query) == T_SelectStmt &&
           AS(SelectStmt, query)->op == SETOP_NONE && AS(SelectStmt, query)->withClause == NULL &&
           reads_relations_alone((const Node *)AS(SelectStmt, query)->fromClause) &&
           list_length(AS(SelectStmt, query)->targetList) == (int)relation->column_count;
    if (fine) {
        masking_reach(&m, query);
        m.changed = true;
        for (unsigned round = 0; m.changed && round < ROUNDS_MAX; round++) {
            m.changed = false;
            masking_spread(&m, query);
        }
        fine = !masking_is_spent(&m) && !m.changed;
        m.has_window =
            holds_masked(&m, (const Node *)(const void *)AS(SelectStmt, query)->windowClause);
    }
    for (uint32_t i = 0; fine && i < relation->column_count; i++) {
        const Node *value = AS(ResTarget, list_nth(AS(SelectStmt, query)->targetList, (int)i))->val;
        sp_sql_bound bound = {.part = SP_NONE};
        if (nodeTag(value) == T_ColumnRef && masking_is_column(&m, AS(ColumnRef, value))) {
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

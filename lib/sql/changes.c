/* SPDX-License-Identifier: Apache-2.0
 * INSERT, UPDATE, DELETE and MERGE: how many rows of the target they may meet, and what follows
 * those by foreign keys. OWNS nothing. PROCESS database gate. TRUST see lib/sql/walk.h. SPEC
 * PostgreSQL 15 gram.y.
 */
#include "lib/base/mem.h"
#include "lib/sql/walk.h"

/* ---- foreign keys that reach other tables ---- */

enum { REACH_MAX = 64 };

static sp_action action_of_reach(condition_reach reach)
{
    return reach == REACHES_ALL ? SP_ACTION_DESTROY : SP_ACTION_WRITE;
}

static uint16_t flags_of_reach(condition_reach reach)
{
    return reach == REACHES_ALL     ? SP_SQL_USE_ALL | SP_SQL_USE_ROWS
           : reach == REACHES_BROAD ? SP_SQL_USE_BROAD
                                    : 0;
}

typedef struct {
    walker *w;
    sp_sql_edge_kind kind; /* CASCADES or UPDATES */
    condition_reach reach;
    const List *columns; /* that are set, of the relation at the start; NIL = any */
    bool is_below;       /* behind a key: rows there may lose a value, and be changed by that */
    struct {
        uint32_t relation;
        bool is_below;
    } seen[REACH_MAX];
    uint32_t seen_count;
} cascade;

static bool sets_column(const cascade *c, uint32_t relation, int16_t attnum)
{
    const sp_sql_catalogue *catalogue = c->w->context->catalogue;
    uint32_t at = sp_sql_catalogue_find_attnum(catalogue, relation, attnum);
    for (int i = 0; at != SP_NONE && i < list_length(c->columns); i++) {
        if (sp_span_eq(text_of(AS(ResTarget, list_nth(c->columns, i))->name),
                       sp_sql_catalogue_column_at(catalogue, at)->name)) {
            return true;
        }
    }
    return c->columns == NIL || at == SP_NONE;
}

/* Rows change here: of which other tables do they change with them? Views and partitions have
 * their keys where the rows are. */
static void follow_cascade(cascade *c, uint32_t relation)
{
    const sp_sql_catalogue *catalogue = c->w->context->catalogue;
    const sp_sql_relation *from = sp_sql_catalogue_at(catalogue, relation);
    const sp_sql_edge *edges = sp_sql_catalogue_edges(catalogue, relation);
    for (uint32_t i = 0; i < c->seen_count; i++) {
        if (c->seen[i].relation == relation && c->seen[i].is_below == c->is_below) {
            return;
        }
    }
    if (c->seen_count == REACH_MAX) {
        record_database(c->w, action_of_reach(c->reach));
        return;
    }
    c->seen[c->seen_count].relation = relation;
    c->seen[c->seen_count++].is_below = c->is_below;
    const List *columns = c->columns;
    bool is_below = c->is_below;
    for (uint32_t i = 0; i < from->edge_count && !walk_failed(c->w); i++) {
        bool is_key = edges[i].kind == (uint8_t)c->kind ||
                      (c->is_below && edges[i].kind == SP_SQL_EDGE_UPDATES);
        if (is_key && c->kind == SP_SQL_EDGE_UPDATES &&
            !sets_column(c, relation, edges[i].attnum)) {
            continue;
        }
        if (is_key) {
            record_known(c->w, edges[i].to, action_of_reach(c->reach),
                         SP_SQL_USE_IMPLIED | SP_SQL_USE_FALLS | flags_of_reach(c->reach));
        }
        if (is_key || edges[i].kind == SP_SQL_EDGE_READS || edges[i].kind == SP_SQL_EDGE_CHILD) {
            c->columns = edges[i].kind == SP_SQL_EDGE_CHILD ? columns : NIL;
            c->is_below |= is_key;
            follow_cascade(c, edges[i].to);
            c->is_below = is_below;
            c->columns = columns;
        }
    }
}

static void record_cascades(walker *w, const RangeVar *target, sp_sql_edge_kind kind,
                            condition_reach reach, const List *columns)
{
    found_relation found = walk_resolve(w, target, true);
    if (found.kind == FOUND_KNOWN && !w->is_plan_only) {
        cascade c = {.w = w, .kind = kind, .reach = reach, .columns = columns};
        follow_cascade(&c, found.relation);
    }
}

/* ---- changes of rows ---- */

/* RETURNING reads the target, whatever else has its name. */
static void read_target(walker *w, const RangeVar *target, const List *returning)
{
    if (returning == NIL) {
        return;
    }
    found_relation found = walk_resolve(w, target, true);
    record_temporary(w, target, found.kind, true);
    if (found.kind == FOUND_TEMPORARY) {
        return;
    }
    if (found.kind == FOUND_KNOWN) {
        record_known(w, found.relation, w->read_as, 0);
    } else {
        record_object(w, w->read_as, SP_SQL_RELATION, 0, text_of(target->schemaname),
                      text_of(target->relname));
    }
}

/* Rows of the target, and what RETURNING reads of them. */
static void change_rows(walker *w, const RangeVar *target, condition_reach reach,
                        const List *returning)
{
    record_relation(w, target, action_of_reach(reach), flags_of_reach(reach));
    read_target(w, target, returning);
}

/* WITH is entered; the rest of the statement sees the target and the items. */
static void walk_rest(walker *w, const Node *node, const row_scope *of, size_t target, size_t with)
{
    row_scope rows = *of;
    rows.queries = w->scope;
    rows.up = w->rows;
    w->rows = &rows;
    walk_other_children(w, node, target, with);
    w->rows = rows.up;
}

void walk_insert(walker *w, const Node *node)
{
    const InsertStmt *insert = AS(InsertStmt, node);
    const cte_scope *outer = w->scope;
    cte_scope scope;
    walk_enter_with(w, insert->withClause, &scope);
    bool updates = insert->onConflictClause != NULL && insert->onConflictClause->targetList != NIL;
    condition_reach reach =
        updates ? insert_reaches(w, insert->relation, insert->selectStmt) : REACHES_NAMED;
    change_rows(w, insert->relation, reach, insert->returningList);
    if (updates) {
        record_cascades(w, insert->relation, SP_SQL_EDGE_UPDATES, reach,
                        insert->onConflictClause->targetList);
    }
    const row_scope rows = {.target = insert->relation};
    walk_rest(w, node, &rows, offsetof(InsertStmt, relation), offsetof(InsertStmt, withClause));
    w->scope = outer;
}

void walk_update(walker *w, const Node *node)
{
    const UpdateStmt *update = AS(UpdateStmt, node);
    const cte_scope *outer = w->scope;
    cte_scope scope;
    walk_enter_with(w, update->withClause, &scope);
    condition_reach reach =
        condition_reaches(w, update->relation, update->fromClause, update->whereClause);
    change_rows(w, update->relation, reach, update->returningList);
    record_cascades(w, update->relation, SP_SQL_EDGE_UPDATES, reach, update->targetList);
    const row_scope rows = {.items = update->fromClause, .target = update->relation};
    walk_rest(w, node, &rows, offsetof(UpdateStmt, relation), offsetof(UpdateStmt, withClause));
    w->scope = outer;
}

void walk_delete(walker *w, const Node *node)
{
    const DeleteStmt *delete = AS(DeleteStmt, node);
    const cte_scope *outer = w->scope;
    cte_scope scope;
    walk_enter_with(w, delete->withClause, &scope);
    condition_reach reach =
        condition_reaches(w, delete->relation, delete->usingClause, delete->whereClause);
    change_rows(w, delete->relation, reach, delete->returningList);
    record_cascades(w, delete->relation, SP_SQL_EDGE_CASCADES, reach, NIL);
    const row_scope rows = {.items = delete->usingClause, .target = delete->relation};
    walk_rest(w, node, &rows, offsetof(DeleteStmt, relation), offsetof(DeleteStmt, withClause));
    w->scope = outer;
}

void walk_merge(walker *w, const Node *node)
{
    const MergeStmt *merge = AS(MergeStmt, node);
    const cte_scope *outer = w->scope;
    cte_scope scope;
    walk_enter_with(w, merge->withClause, &scope);
    const List *source = NIL;
    ListCell cell = {.ptr_value = merge->sourceRelation};
    List one = {.type = T_List, .length = 1, .max_length = 1, .elements = &cell};
    source = &one;
    condition_reach joins = condition_reaches(w, merge->relation, source, merge->joinCondition);
    for (int i = 0; i < list_length(merge->mergeWhenClauses); i++) {
        const MergeWhenClause *when = AS(MergeWhenClause, list_nth(merge->mergeWhenClauses, i));
        bool changes = when->commandType == CMD_DELETE || when->commandType == CMD_UPDATE;
        condition_reach reach = changes
                                    ? condition_reaches(w, merge->relation, source, when->condition)
                                    : REACHES_NAMED;
        reach = reach < joins ? reach : joins; /* both have to hold */
        change_rows(w, merge->relation, reach, NIL);
        if (when->commandType == CMD_DELETE) {
            record_cascades(w, merge->relation, SP_SQL_EDGE_CASCADES, reach, NIL);
        } else if (when->commandType == CMD_UPDATE) {
            record_cascades(w, merge->relation, SP_SQL_EDGE_UPDATES, reach, when->targetList);
        }
    }
    const row_scope rows = {.items = source, .target = merge->relation};
    walk_rest(w, node, &rows, offsetof(MergeStmt, relation), offsetof(MergeStmt, withClause));
    w->scope = outer;
}

/* SPDX-License-Identifier: Apache-2.0
 * What COPY ... TO STDOUT of masked columns sends: how it is written, and which of its columns is
 * which of a table's. Only where that is certain: a table, or a query whose items are columns of
 * plain tables and expressions without masked ones.
 * OWNS nothing. PROCESS database gate. TRUST the tree was made from hostile text and has passed the
 * judge and the analysis of masks. SPEC lib/sql/masking.h; PostgreSQL 15 copy.c.
 */
#include "lib/sql/masking.h"

#include "lib/base/mem.h"
#include "lib/sql/tree.h"
#include "lib/sql/walk.h"

enum { COPYING_WORK_MAX = 2000000 }; /* names compared, some 20 ms */

typedef struct {
    const sp_sql_context *context;
    const sp_sql_catalogue *catalogue;
    uint64_t mask_tags;
    const CopyStmt *copy;
    const List *from; /* of the query */
    sp_copy_plan *plan;
    uint32_t work;
    unsigned stars;  /* tables all of whose columns are sent */
    const char *why; /* it is not certain; NULL = it is */
} copying;

static void give_up(copying *c, const char *why)
{
    c->why = c->why != NULL ? c->why : why;
}

/* ---- how it is written ---- */

static void one_character(copying *c, const Node *value, uint8_t *ret_character)
{
    sp_span text = string_of(value);
    if (text.len != 1) {
        give_up(c, "COPY of masked columns with an option that is no single character");
    } else {
        *ret_character = text.ptr[0];
    }
}

static void read_header(copying *c, const Node *value)
{
    static const char *const truths[] = {"true", "on"};
    static const char *const falsehoods[] = {"false", "off"};
    if (value == NULL) {
        c->plan->has_header = true;
    } else if (nodeTag(value) == T_Integer && (unsigned)AS(Integer, value)->ival <= 1) {
        c->plan->has_header = AS(Integer, value)->ival == 1;
    } else if (nodeTag(value) == T_Boolean) {
        c->plan->has_header = AS(Boolean, value)->boolval;
    } else {
        sp_span word = string_of(value);
        bool is_true = false;
        bool is_false = false;
        for (size_t i = 0; i < SP_COUNT(truths); i++) {
            is_true |= sp_span_eq_nocase(word, text_of(truths[i]));
            is_false |= sp_span_eq_nocase(word, text_of(falsehoods[i]));
        }
        if (!is_true && !is_false) {
            give_up(c, "COPY of masked columns with a HEADER that is neither true nor false");
        }
        c->plan->has_header = is_true;
    }
}

static void read_format(copying *c, sp_span word)
{
    static const char *const words[SP_COPY_FORMAT_COUNT] = {"text", "csv", "binary"};
    for (size_t i = 0; i < SP_COUNT(words); i++) {
        if (sp_span_eq(word, text_of(words[i]))) {
            c->plan->format = (uint8_t)i;
            return;
        }
    }
    give_up(c, "COPY of masked columns in a format that is not known here");
}

static void read_null(copying *c, sp_span text)
{
    if (text.len > SP_COPY_NULL_MAX_BYTES) {
        give_up(c, "COPY of masked columns with a NULL that is very long");
        return;
    }
    c->plan->null_len = (uint8_t)text.len;
    sp_copy(c->plan->null, text.ptr, text.len);
}

static void read_option(copying *c, const DefElem *option)
{
    sp_span name = text_of(option->defname);
    if (sp_span_eq(name, SP_SPAN_LIT("delimiter"))) {
        one_character(c, option->arg, &c->plan->delimiter);
    } else if (sp_span_eq(name, SP_SPAN_LIT("quote"))) {
        one_character(c, option->arg, &c->plan->quote);
    } else if (sp_span_eq(name, SP_SPAN_LIT("escape"))) {
        one_character(c, option->arg, &c->plan->escape);
    } else if (sp_span_eq(name, SP_SPAN_LIT("null"))) {
        read_null(c, string_of(option->arg));
    } else if (sp_span_eq(name, SP_SPAN_LIT("header"))) {
        read_header(c, option->arg);
    } else if (sp_span_eq(name, SP_SPAN_LIT("force_quote"))) {
        c->plan->quotes_text = true;
    } else if (sp_span_eq(name, SP_SPAN_LIT("encoding"))) {
        if (!sp_span_eq_nocase(string_of(option->arg), SP_SPAN_LIT("utf8")) &&
            !sp_span_eq_nocase(string_of(option->arg), SP_SPAN_LIT("utf-8"))) {
            give_up(c, "COPY of masked columns in another encoding than UTF8");
        }
    } else if (!sp_span_eq(name, SP_SPAN_LIT("format"))) {
        give_up(c, "COPY of masked columns with an option that is not known here");
    }
}

static void read_options(copying *c)
{
    const List *options = c->copy->options;
    for (int i = 0; i < list_length(options); i++) {
        const DefElem *option = AS(DefElem, list_nth(options, i));
        if (sp_span_eq(text_of(option->defname), SP_SPAN_LIT("format"))) {
            read_format(c, string_of(option->arg));
        }
    }
    bool is_csv = c->plan->format == SP_COPY_CSV;
    c->plan->delimiter = is_csv ? ',' : '\t';
    c->plan->quote = '"';
    read_null(c, is_csv ? SP_SPAN_EMPTY : SP_SPAN_LIT("\\N"));
    for (int i = 0; i < list_length(options); i++) {
        read_option(c, AS(DefElem, list_nth(options, i)));
    }
    c->plan->escape = c->plan->escape == 0 ? c->plan->quote : c->plan->escape;
    bool is_text = c->plan->format == SP_COPY_TEXT;
    if (is_text && !sp_span_eq((sp_span){c->plan->null, c->plan->null_len}, SP_SPAN_LIT("\\N"))) {
        give_up(c, "COPY of masked columns with NULL '...', which a value could look like "
                   "(the csv format tells them apart)");
    }
}

/* ---- which columns ---- */

static void add_clear(copying *c)
{
    if (c->plan->column_count == SP_COPY_COLUMNS_MAX) {
        give_up(c, "COPY of too many columns");
        return;
    }
    c->plan->columns[c->plan->column_count++] = (sp_copy_column){.mask = 0};
}

static void add_column(copying *c, uint32_t column)
{
    const sp_sql_column *from = sp_sql_catalogue_column_at(c->catalogue, column);
    add_clear(c);
    if (c->why == NULL && (from->bound.tags & c->mask_tags) != 0) {
        c->plan->columns[c->plan->column_count - 1] =
            (sp_copy_column){from->type_oid, (uint8_t)(from->bound.mask + 1)};
    }
}

/* A temporary table, with columns that nobody here knows, may stand in front of it. */
static bool may_be_hidden(const sp_sql_context *context, const RangeVar *name)
{
    sp_span bare = text_of(name->relname);
    return name->schemaname == NULL &&
           (context->is_temp_renamed ||
            (context->is_temporary != NULL && context->is_temporary(context->session, bare)) ||
            (context->was_temporary != NULL && context->was_temporary(context->session, bare)));
}

static uint32_t relation_of(copying *c, const RangeVar *name)
{
    if (may_be_hidden(c->context, name)) {
        give_up(c, "COPY of masked columns from what a temporary table may hide (name its schema)");
        return SP_NONE;
    }
    c->work += 3 * context_cost(c->context);
    return context_find(c->context, text_of(name->schemaname), text_of(name->relname));
}

static void add_relation(copying *c, uint32_t index)
{
    const sp_sql_relation *relation = sp_sql_catalogue_at(c->catalogue, index);
    for (uint32_t i = 0; i < relation->column_count; i++) {
        add_column(c, relation->first_column + i);
    }
}

/* COPY table (columns) */
static void of_table(copying *c)
{
    uint32_t index = relation_of(c, c->copy->relation);
    if (index == SP_NONE) {
        give_up(c, "COPY of a table that is not known yet");
        return;
    }
    if (c->copy->attlist == NIL) {
        add_relation(c, index);
    }
    for (int i = 0; i < list_length(c->copy->attlist); i++) {
        uint32_t column = sp_sql_catalogue_find_column(
            c->catalogue, index, string_of((const Node *)list_nth(c->copy->attlist, i)));
        if (column == SP_NONE) {
            give_up(c, "COPY of a column that is not known yet");
            return;
        }
        add_column(c, column);
    }
}

/* A plain table of FROM whose columns have their own names; joins are taken apart. */
typedef void on_table(copying *c, const RangeVar *table, void *self);

static void each_table(copying *c, const Node *item, on_table *call, void *self)
{
    if (nodeTag(item) == T_JoinExpr) {
        const JoinExpr *join = AS(JoinExpr, item);
        if (join->isNatural || join->usingClause != NIL || join->alias != NULL) {
            give_up(c, "COPY of masked columns with a join that merges columns");
            return;
        }
        each_table(c, join->larg, call, self);
        each_table(c, join->rarg, call, self);
    } else if (nodeTag(item) == T_RangeVar && relation_of(c, AS(RangeVar, item)) != SP_NONE &&
               (AS(RangeVar, item)->alias == NULL || AS(RangeVar, item)->alias->colnames == NIL)) {
        call(c, AS(RangeVar, item), self);
    } else {
        give_up(c, "COPY of masked columns from a query that reads more than plain tables");
    }
}

static void each_from(copying *c, on_table *call, void *self)
{
    for (int i = 0; i < list_length(c->from) && c->why == NULL; i++) {
        each_table(c, (const Node *)list_nth(c->from, i), call, self);
    }
}

typedef struct {
    sp_span qualifier; /* empty = any table */
    sp_span name;      /* empty = all columns */
    uint32_t column;
    unsigned found;
} search;

static void look_at(copying *c, const RangeVar *table, void *self)
{
    enum { LOOK_COST = 16 };
    search *s = self;
    sp_span alias =
        table->alias != NULL ? text_of(table->alias->aliasname) : text_of(table->relname);
    uint32_t index = relation_of(c, table);
    c->work += LOOK_COST + sp_sql_catalogue_at(c->catalogue, index)->column_count;
    if (c->work > COPYING_WORK_MAX) {
        give_up(c, "COPY of masked columns from too many tables");
        return;
    }
    if (s->qualifier.len > 0 && !sp_span_eq(s->qualifier, alias)) {
        return;
    }
    if (s->name.len == 0) {
        s->found++;
        add_relation(c, index);
        return;
    }
    uint32_t column = sp_sql_catalogue_find_column(c->catalogue, index, s->name);
    if (column != SP_NONE) {
        s->column = column;
        s->found++;
    }
}

static void of_reference(copying *c, const ColumnRef *column)
{
    const List *fields = column->fields;
    const Node *last = (const Node *)llast(fields);
    bool is_star = nodeTag(last) == T_A_Star;
    search s = {.qualifier = list_length(fields) > 1 ? names_before(fields) : SP_SPAN_EMPTY,
                .name = is_star ? SP_SPAN_EMPTY : string_of(last),
                .column = SP_NONE};
    each_from(c, look_at, &s);
    c->stars += is_star ? s.found : 0;
    if (c->stars >
        1) { /* names may mean others behind a lock: with one, the answer's width tells */
        give_up(c, "COPY of masked columns with all columns of more than one table (name them)");
    } else if (s.found != 1) {
        give_up(c, "COPY of masked columns from a query whose columns are not certain");
    } else if (!is_star) {
        add_column(c, s.column);
    }
}

/* COPY (SELECT ...) */
static void of_query(copying *c)
{
    const SelectStmt *select = AS(SelectStmt, c->copy->query);
    if (nodeTag(c->copy->query) != T_SelectStmt || select->op != SETOP_NONE ||
        select->withClause != NULL || select->valuesLists != NIL || select->intoClause != NULL) {
        give_up(c, "COPY of masked columns from more than one plain SELECT");
        return;
    }
    c->from = select->fromClause;
    for (int i = 0; i < list_length(select->targetList) && c->why == NULL; i++) {
        const ResTarget *target = AS(ResTarget, list_nth(select->targetList, i));
        if (target->val != NULL && nodeTag(target->val) == T_ColumnRef &&
            target->indirection == NIL) {
            of_reference(c, AS(ColumnRef, target->val));
        } else {
            add_clear(c); /* the analysis found nothing masked in it */
        }
    }
}

/* ---- the text ---- */

static void read_copy(copying *c, const List *statements)
{
    const Node *one = list_length(statements) == 1 ? AS(RawStmt, linitial(statements))->stmt : NULL;
    if (one == NULL || nodeTag(one) != T_CopyStmt) {
        give_up(c, "COPY of masked columns beside other statements");
        return;
    }
    c->copy = AS(CopyStmt, one);
    read_options(c);
    if (c->copy->relation != NULL) {
        of_table(c);
    } else {
        of_query(c);
    }
    if (c->context->is_early) { /* columns that stand in other places, too */
        give_up(c, "COPY of masked columns where the session itself defined things just now "
                   "(try again, outside of that transaction)");
    }
}

static bool is_same_plan(const sp_copy_plan *a, const sp_copy_plan *b)
{
    bool same = a->format == b->format && a->delimiter == b->delimiter && a->quote == b->quote &&
                a->escape == b->escape && a->has_header == b->has_header &&
                a->quotes_text == b->quotes_text && a->column_count == b->column_count &&
                sp_span_eq((sp_span){a->null, a->null_len}, (sp_span){b->null, b->null_len});
    for (uint16_t i = 0; same && i < a->column_count; i++) {
        same = a->columns[i].mask == b->columns[i].mask &&
               a->columns[i].type_oid == b->columns[i].type_oid;
    }
    return same;
}

sp_err sp_sql_masking_copy(sp_sql_judge *judge, const sp_sql_context *context, sp_span text,
                           uint64_t mask_tags, sp_copy_plan **ret_plan, const char **ret_why)
{
    bool twice = sp_span_index(text, '\\') != text.len;
    const char *kept = judge_keep_text(judge, text);
    auto_free sp_copy_plan *plans = NULL;
    TRY(sp_alloc(2, sizeof(*plans), &plans));
    const char *why = context->catalogue == NULL || kept == NULL ? "COPY of masked columns" : NULL;
    for (int reading = 0; why == NULL && reading < (twice ? 2 : 1); reading++) {
        copying c = {.context = context,
                     .catalogue = context->catalogue,
                     .mask_tags = mask_tags,
                     .plan = &plans[reading]};
        sql_tree tree;
        tree_parse(kept, reading == 0, &tree);
        if (reading == 1 && tree_is_refused_by_server(&tree, context->is_utf8)) {
            twice = false;
        } else if (tree.failed) {
            give_up(&c, "a text that cannot be read again");
        } else {
            read_copy(&c, tree.statements);
        }
        tree_done(&tree);
        why = c.why;
    }
    if (why == NULL && twice && !is_same_plan(&plans[0], &plans[1])) {
        why = "COPY of masked columns with a backslash in a plain literal (write E'...')";
    }
    *ret_why = why;
    if (why != NULL) {
        return sp_fail(SP_EUNSUPPORTED);
    }
    *ret_plan = SP_STEAL(plans);
    return sp_ok();
}

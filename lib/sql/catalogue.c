/* SPDX-License-Identifier: Apache-2.0
 * What a database holds: arrays with a hash index over names and one over oids.
 * OWNS its arrays and an arena of names. PROCESS database gate. TRUST rows come from the database
 * behind; every count has a maximum. SPEC lib/sql/catalogue.h.
 */
#include "lib/sql/catalogue.h"

#include "lib/base/mem.h"
#include "lib/sql/functions.h"

enum { CATALOGUE_EDGES_MAX = 4000000, CATALOGUE_SPREAD_ROUNDS = 32 };

typedef struct {
    uint32_t *slots; /* index + 1 */
    uint32_t mask;
} hash_index;

typedef struct {
    uint32_t relation;
    uint32_t column, source; /* of all columns */
} generated;

struct sp_sql_catalogue {
    sp_arena arena;
    sp_sql_relation *relations;
    sp_sql_column *columns;
    sp_sql_edge *edges;
    sp_sql_function *functions;
    sp_sql_call *calls;
    generated *generated;
    uint32_t relation_count, relation_cap;
    uint32_t column_count, column_cap;
    uint32_t edge_count, edge_cap;
    uint32_t function_count, function_cap;
    uint32_t call_count, call_cap;
    uint32_t generated_count, generated_cap;
    sp_span path[SP_SQL_PATH_MAX];
    uint32_t path_count;
    hash_index by_name;
    hash_index by_oid;
    hash_index by_function;
};

static const sp_span system_schema = {(const uint8_t *)"pg_catalog", 10};

sp_err sp_sql_catalogue_new(size_t max_bytes, sp_sql_catalogue **ret_catalogue)
{
    sp_sql_catalogue *catalogue = NULL;
    TRY(sp_alloc(1, sizeof(*catalogue), &catalogue));
    catalogue->arena = sp_arena_make(max_bytes);
    *ret_catalogue = catalogue;
    return sp_ok();
}

void sp_sql_catalogue_free(sp_sql_catalogue *catalogue)
{
    if (catalogue == NULL) {
        return;
    }
    sp_arena_done(&catalogue->arena);
    sp_free(catalogue->relations);
    sp_free(catalogue->columns);
    sp_free(catalogue->edges);
    sp_free(catalogue->functions);
    sp_free(catalogue->calls);
    sp_free(catalogue->generated);
    sp_free(catalogue->by_name.slots);
    sp_free(catalogue->by_oid.slots);
    sp_free(catalogue->by_function.slots);
    sp_free(catalogue);
}

void sp_sql_catalogue_auto_free(sp_sql_catalogue **catalogue)
{
    sp_sql_catalogue_free(*catalogue);
}

/* ---- building ---- */

static sp_err make_room(void *array, uint32_t count, uint32_t *cap, uint32_t max, size_t size)
{
    if (count >= max) {
        return sp_fail(SP_ELIMIT);
    }
    if (count < *cap) {
        return sp_ok();
    }
    uint32_t wanted = *cap == 0 ? 64 : *cap * 2;
    wanted = wanted > max ? max : wanted;
    TRY(sp_resize(array, wanted, size));
    *cap = wanted;
    return sp_ok();
}

static bool is_name(sp_span name)
{
    return name.len > 0 && name.len <= SP_NAME_MAX_BYTES && sp_span_is_utf8(name);
}

sp_err sp_sql_catalogue_path(sp_sql_catalogue *catalogue, sp_span schema)
{
    if (!is_name(schema)) {
        return sp_fail(SP_EINVALID);
    }
    if (catalogue->path_count == SP_SQL_PATH_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    TRY(sp_arena_copy(&catalogue->arena, schema, &catalogue->path[catalogue->path_count]));
    catalogue->path_count++;
    return sp_ok();
}

sp_err sp_sql_catalogue_relation(sp_sql_catalogue *catalogue, sp_span schema, sp_span name,
                                 uint32_t oid, char kind, uint32_t flags, uint32_t *ret_index)
{
    if (!is_name(schema) || !is_name(name) || oid == 0) {
        return sp_fail(SP_EINVALID);
    }
    TRY(make_room(&catalogue->relations, catalogue->relation_count, &catalogue->relation_cap,
                  SP_SQL_RELATIONS_MAX, sizeof(sp_sql_relation)));
    sp_sql_relation relation = {
        .oid = oid,
        .kind = kind,
        .flags = flags,
        .first_column = catalogue->column_count,
        .bound = {.part = SP_NONE},
    };
    TRY(sp_arena_copy(&catalogue->arena, schema, &relation.schema));
    TRY(sp_arena_copy(&catalogue->arena, name, &relation.name));
    *ret_index = catalogue->relation_count;
    catalogue->relations[catalogue->relation_count++] = relation;
    return sp_ok();
}

sp_err sp_sql_catalogue_column(sp_sql_catalogue *catalogue, sp_span name, int16_t attnum,
                               uint32_t type_oid, bool not_null)
{
    if (catalogue->relation_count == 0 || !is_name(name) || attnum <= 0) {
        return sp_fail(SP_EINVALID);
    }
    TRY(make_room(&catalogue->columns, catalogue->column_count, &catalogue->column_cap,
                  SP_SQL_COLUMNS_MAX, sizeof(sp_sql_column)));
    sp_sql_column column = {
        .attnum = attnum, .type_oid = type_oid, .not_null = not_null, .bound = {.part = SP_NONE}};
    TRY(sp_arena_copy(&catalogue->arena, name, &column.name));
    catalogue->columns[catalogue->column_count++] = column;
    catalogue->relations[catalogue->relation_count - 1].column_count++;
    return sp_ok();
}

sp_err sp_sql_catalogue_definition(sp_sql_catalogue *catalogue, sp_span text)
{
    if (catalogue->relation_count == 0) {
        return sp_fail(SP_EINVALID);
    }
    sp_sql_relation *view = &catalogue->relations[catalogue->relation_count - 1];
    return sp_arena_copy(&catalogue->arena, text, &view->definition);
}

static sp_err add_edge(sp_sql_catalogue *catalogue, sp_sql_edge_kind kind, uint32_t from,
                       uint32_t to, int16_t attnum)
{
    if (from >= catalogue->relation_count || to >= catalogue->relation_count ||
        kind >= SP_SQL_EDGE_COUNT) {
        return sp_fail(SP_EINVALID);
    }
    TRY(make_room(&catalogue->edges, catalogue->edge_count, &catalogue->edge_cap,
                  CATALOGUE_EDGES_MAX, sizeof(sp_sql_edge)));
    catalogue->edges[catalogue->edge_count++] =
        (sp_sql_edge){.from = from, .to = to, .kind = (uint8_t)kind, .attnum = attnum};
    return sp_ok();
}

sp_err sp_sql_catalogue_edge(sp_sql_catalogue *catalogue, sp_sql_edge_kind kind, uint32_t from,
                             uint32_t to)
{
    return add_edge(catalogue, kind, from, to, 0);
}

sp_err sp_sql_catalogue_key(sp_sql_catalogue *catalogue, uint32_t from, uint32_t to, int16_t attnum)
{
    return add_edge(catalogue, SP_SQL_EDGE_UPDATES, from, to, attnum);
}

sp_err sp_sql_catalogue_unique(sp_sql_catalogue *catalogue, uint32_t relation, int16_t attnum)
{
    if (relation >= catalogue->relation_count) {
        return sp_fail(SP_EINVALID);
    }
    uint32_t at = sp_sql_catalogue_find_attnum(catalogue, relation, attnum);
    if (at != SP_NONE) {
        catalogue->columns[at].is_key = true;
    }
    return sp_ok();
}

sp_err sp_sql_catalogue_function(sp_sql_catalogue *catalogue, sp_span schema, sp_span name,
                                 bool harmless)
{
    if (!is_name(schema) || !is_name(name)) {
        return sp_fail(SP_EINVALID);
    }
    TRY(make_room(&catalogue->functions, catalogue->function_count, &catalogue->function_cap,
                  SP_SQL_FUNCTIONS_MAX, sizeof(sp_sql_function)));
    sp_sql_function function = {.harmless = harmless};
    TRY(sp_arena_copy(&catalogue->arena, schema, &function.schema));
    TRY(sp_arena_copy(&catalogue->arena, name, &function.name));
    catalogue->functions[catalogue->function_count++] = function;
    return sp_ok();
}

sp_err sp_sql_catalogue_call(sp_sql_catalogue *catalogue, uint32_t view, sp_span schema,
                             sp_span name)
{
    if (!is_name(schema) || !is_name(name) || view >= catalogue->relation_count) {
        return sp_fail(SP_EINVALID);
    }
    TRY(make_room(&catalogue->calls, catalogue->call_count, &catalogue->call_cap, SP_SQL_CALLS_MAX,
                  sizeof(sp_sql_call)));
    sp_sql_call call = {.next = catalogue->relations[view].first_call};
    TRY(sp_arena_copy(&catalogue->arena, schema, &call.schema));
    TRY(sp_arena_copy(&catalogue->arena, name, &call.name));
    catalogue->calls[catalogue->call_count++] = call;
    catalogue->relations[view].first_call = catalogue->call_count;
    return sp_ok();
}

sp_err sp_sql_catalogue_generated(sp_sql_catalogue *catalogue, uint32_t relation, int16_t attnum,
                                  int16_t source)
{
    if (relation >= catalogue->relation_count) {
        return sp_fail(SP_EINVALID);
    }
    const generated one = {.relation = relation,
                           .column = sp_sql_catalogue_find_attnum(catalogue, relation, attnum),
                           .source = sp_sql_catalogue_find_attnum(catalogue, relation, source)};
    if (one.column == SP_NONE || one.source == SP_NONE) {
        return sp_ok();
    }
    TRY(make_room(&catalogue->generated, catalogue->generated_count, &catalogue->generated_cap,
                  SP_SQL_COLUMNS_MAX, sizeof(generated)));
    catalogue->generated[catalogue->generated_count++] = one;
    return sp_ok();
}

/* Counting sort of the edges by where they start. */
static sp_err sort_edges(sp_sql_catalogue *catalogue)
{
    for (uint32_t i = 0; i < catalogue->edge_count; i++) {
        catalogue->relations[catalogue->edges[i].from].edge_count++;
    }
    uint32_t at = 0;
    for (uint32_t i = 0; i < catalogue->relation_count; i++) {
        sp_sql_relation *relation = &catalogue->relations[i];
        relation->first_edge = at;
        at += relation->edge_count;
        relation->edge_count = 0;
    }
    if (at == 0) {
        return sp_ok();
    }
    sp_sql_edge *sorted = NULL;
    TRY(sp_alloc(at, sizeof(*sorted), &sorted));
    for (uint32_t i = 0; i < at; i++) {
        sp_sql_edge edge = catalogue->edges[i];
        sp_sql_relation *relation = &catalogue->relations[edge.from];
        sorted[relation->first_edge + relation->edge_count++] = edge;
    }
    sp_free(catalogue->edges);
    catalogue->edges = sorted;
    catalogue->edge_cap = at;
    return sp_ok();
}

static sp_err index_make(hash_index *index, uint32_t count)
{
    uint32_t size = 64;
    while (size < count * 2U) {
        size *= 2;
    }
    TRY(sp_alloc(size, sizeof(uint32_t), &index->slots));
    index->mask = size - 1;
    return sp_ok();
}

static void index_put(hash_index *index, uint64_t hash, uint32_t value)
{
    uint32_t at = (uint32_t)hash & index->mask;
    while (index->slots[at] != 0) {
        at = (at + 1) & index->mask;
    }
    index->slots[at] = value + 1;
}

static uint64_t hash_oid(uint32_t oid)
{
    return (uint64_t)oid * UINT64_C(0x9E3779B97F4A7C15) >> 32;
}

/* Tells secrets of the server (to whom the server shows them), but no values of tables. */
static bool holds_no_values(sp_span name)
{
    static const char *const names[] = {
        "pg_authid",           "pg_shadow",           "pg_user_mapping",        "pg_user_mappings",
        "pg_subscription",     "pg_hba_file_rules",   "pg_ident_file_mappings", "pg_file_settings",
        "pg_stat_replication", "user_mapping_options"};
    for (size_t i = 0; i < SP_COUNT(names); i++) {
        if (sp_span_eq(name, sp_span_cstr(names[i]))) {
            return true;
        }
    }
    return false;
}

static bool calls_telling(const sp_sql_catalogue *catalogue, const sp_sql_relation *view)
{
    for (uint32_t at = view->first_call; at != 0; at = catalogue->calls[at - 1].next) {
        const sp_sql_call *call = &catalogue->calls[at - 1];
        if (sp_span_eq(call->schema, SP_SPAN_LIT("pg_catalog")) &&
            function_tells_values(call->name)) {
            return true;
        }
    }
    return false;
}

/* Relations whose readers have not been told yet, and who reads what. */
typedef struct {
    uint32_t *waiting;
    uint32_t count;
    uint32_t *first; /* of a relation: an edge that reads it, + 1 */
    uint32_t *next;  /* of such an edge: the next one, + 1 */
} telling;

static void tell(sp_sql_catalogue *catalogue, uint32_t relation, telling *all)
{
    if ((catalogue->relations[relation].flags & SP_SQL_REL_TELLS) == 0) {
        catalogue->relations[relation].flags |= SP_SQL_REL_TELLS;
        all->waiting[all->count++] = relation;
    }
}

static void spread(sp_sql_catalogue *catalogue, telling *all)
{
    for (uint32_t i = 0; i < catalogue->edge_count; i++) {
        const sp_sql_edge *edge = &catalogue->edges[i];
        if (edge->kind == SP_SQL_EDGE_READS) {
            all->next[i] = all->first[edge->to];
            all->first[edge->to] = i + 1;
        }
    }
    for (uint32_t i = 0; i < catalogue->relation_count; i++) {
        const sp_sql_relation *one = &catalogue->relations[i];
        bool is_telling = (one->flags & SP_SQL_REL_TELLING) != 0 && !holds_no_values(one->name);
        if (is_telling || calls_telling(catalogue, one)) {
            tell(catalogue, i, all);
        }
    }
    while (all->count > 0) {
        uint32_t at = all->first[all->waiting[--all->count]];
        for (; at != 0; at = all->next[at - 1]) {
            tell(catalogue, catalogue->edges[at - 1].from, all);
        }
    }
}

/* What tells values tells them through every view, however many are between. */
static sp_err spread_telling(sp_sql_catalogue *catalogue)
{
    telling all = {.count = 0};
    sp_err err = sp_alloc(catalogue->relation_count + 1, sizeof(uint32_t), &all.waiting);
    err = sp_failed(err) ? err
                         : sp_alloc(catalogue->relation_count + 1, sizeof(uint32_t), &all.first);
    err = sp_failed(err) ? err : sp_alloc(catalogue->edge_count + 1, sizeof(uint32_t), &all.next);
    if (!sp_failed(err)) {
        spread(catalogue, &all);
    }
    sp_free(all.waiting);
    sp_free(all.first);
    sp_free(all.next);
    return err;
}

sp_err sp_sql_catalogue_finish(sp_sql_catalogue *catalogue)
{
    TRY(sort_edges(catalogue));
    TRY(index_make(&catalogue->by_name, catalogue->relation_count));
    TRY(index_make(&catalogue->by_oid, catalogue->relation_count));
    TRY(index_make(&catalogue->by_function, catalogue->function_count));
    for (uint32_t i = 0; i < catalogue->relation_count; i++) {
        const sp_sql_relation *relation = &catalogue->relations[i];
        index_put(&catalogue->by_name, sp_span_hash(relation->name, 0), i);
        index_put(&catalogue->by_oid, hash_oid(relation->oid), i);
    }
    for (uint32_t i = 0; i < catalogue->function_count; i++) {
        index_put(&catalogue->by_function, sp_span_hash(catalogue->functions[i].name, 0), i);
    }
    return spread_telling(catalogue);
}

/* ---- reading ---- */

const sp_sql_call *sp_sql_catalogue_call_at(const sp_sql_catalogue *catalogue, uint32_t call)
{
    return &catalogue->calls[call - 1];
}

uint32_t sp_sql_catalogue_count(const sp_sql_catalogue *catalogue)
{
    return catalogue->relation_count;
}

const sp_sql_relation *sp_sql_catalogue_at(const sp_sql_catalogue *catalogue, uint32_t relation)
{
    return &catalogue->relations[relation];
}

const sp_sql_column *sp_sql_catalogue_columns(const sp_sql_catalogue *catalogue, uint32_t relation)
{
    uint32_t first = catalogue->relations[relation].first_column;
    return catalogue->columns == NULL ? NULL : &catalogue->columns[first];
}

const sp_sql_edge *sp_sql_catalogue_edges(const sp_sql_catalogue *catalogue, uint32_t relation)
{
    uint32_t first = catalogue->relations[relation].first_edge;
    return catalogue->edges == NULL ? NULL : &catalogue->edges[first];
}

/* Where a schema stands in the search path; lower wins. */
static uint32_t path_rank(const sp_sql_catalogue *catalogue, sp_span schema)
{
    for (uint32_t i = 0; i < catalogue->path_count; i++) {
        if (sp_span_eq(schema, catalogue->path[i])) {
            return i + 1;
        }
    }
    return sp_span_eq(schema, system_schema) ? 0 : SP_NONE; /* in front unless it is listed */
}

uint32_t sp_sql_catalogue_find(const sp_sql_catalogue *catalogue, sp_span schema, sp_span name)
{
    const hash_index *index = &catalogue->by_name;
    if (index->slots == NULL) {
        return SP_NONE;
    }
    uint32_t best = SP_NONE;
    uint32_t best_rank = SP_NONE;
    for (uint32_t at = (uint32_t)sp_span_hash(name, 0) & index->mask; index->slots[at] != 0;
         at = (at + 1) & index->mask) {
        uint32_t i = index->slots[at] - 1;
        const sp_sql_relation *relation = &catalogue->relations[i];
        if (!sp_span_eq(relation->name, name)) {
            continue;
        }
        if (schema.len > 0) {
            if (sp_span_eq(relation->schema, schema)) {
                return i;
            }
            continue;
        }
        uint32_t rank = path_rank(catalogue, relation->schema);
        if (rank < best_rank) {
            best = i;
            best_rank = rank;
        }
    }
    return best;
}

/* While it is built, relations stand by ascending oid. */
static uint32_t find_unfinished(const sp_sql_catalogue *catalogue, uint32_t oid)
{
    uint32_t low = 0;
    uint32_t high = catalogue->relation_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (catalogue->relations[middle].oid < oid) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < catalogue->relation_count && catalogue->relations[low].oid == oid ? low : SP_NONE;
}

uint32_t sp_sql_catalogue_find_oid(const sp_sql_catalogue *catalogue, uint32_t oid)
{
    const hash_index *index = &catalogue->by_oid;
    if (index->slots == NULL) {
        return find_unfinished(catalogue, oid);
    }
    for (uint32_t at = (uint32_t)hash_oid(oid) & index->mask; index->slots[at] != 0;
         at = (at + 1) & index->mask) {
        if (catalogue->relations[index->slots[at] - 1].oid == oid) {
            return index->slots[at] - 1;
        }
    }
    return SP_NONE;
}

uint32_t sp_sql_catalogue_find_column(const sp_sql_catalogue *catalogue, uint32_t relation,
                                      sp_span name)
{
    const sp_sql_relation *at = &catalogue->relations[relation];
    for (uint32_t i = at->first_column; i < at->first_column + at->column_count; i++) {
        if (sp_span_eq(catalogue->columns[i].name, name)) {
            return i;
        }
    }
    return SP_NONE;
}

uint32_t sp_sql_catalogue_find_attnum(const sp_sql_catalogue *catalogue, uint32_t relation,
                                      int16_t attnum)
{
    const sp_sql_relation *at = &catalogue->relations[relation];
    /* nearly always at its own place: only dropped columns leave gaps */
    if (attnum >= 1 && (uint32_t)attnum <= at->column_count) {
        uint32_t guess = at->first_column + ((uint32_t)attnum - 1U);
        if (catalogue->columns[guess].attnum == attnum) {
            return guess;
        }
    }
    for (uint32_t i = at->first_column; i < at->first_column + at->column_count; i++) {
        if (catalogue->columns[i].attnum == attnum) {
            return i;
        }
    }
    return SP_NONE;
}

const sp_sql_column *sp_sql_catalogue_column_at(const sp_sql_catalogue *catalogue, uint32_t column)
{
    return &catalogue->columns[column];
}

const sp_sql_function *sp_sql_catalogue_find_function(const sp_sql_catalogue *catalogue,
                                                      sp_span schema, sp_span name)
{
    const hash_index *index = &catalogue->by_function;
    const sp_sql_function *found = NULL;
    if (index->slots == NULL || catalogue->function_count == 0) {
        return NULL;
    }
    for (uint32_t at = (uint32_t)sp_span_hash(name, 0) & index->mask; index->slots[at] != 0;
         at = (at + 1) & index->mask) {
        const sp_sql_function *function = &catalogue->functions[index->slots[at] - 1];
        if (!sp_span_eq(function->name, name)) {
            continue;
        }
        bool here = schema.len > 0 ? sp_span_eq(function->schema, schema)
                                   : path_rank(catalogue, function->schema) != SP_NONE;
        if (here && (found == NULL || found->harmless)) {
            found = function;
        }
    }
    return found;
}

bool sp_sql_catalogue_has_function(const sp_sql_catalogue *catalogue, sp_span name)
{
    const hash_index *index = &catalogue->by_function;
    if (index->slots == NULL || catalogue->function_count == 0) {
        return false;
    }
    for (uint32_t at = (uint32_t)sp_span_hash(name, 0) & index->mask; index->slots[at] != 0;
         at = (at + 1) & index->mask) {
        if (sp_span_eq(catalogue->functions[index->slots[at] - 1].name, name)) {
            return true;
        }
    }
    return false;
}

sp_span sp_sql_catalogue_path_at(const sp_sql_catalogue *catalogue, uint32_t at)
{
    return at < catalogue->path_count ? catalogue->path[at] : SP_SPAN_EMPTY;
}

sp_span sp_sql_catalogue_home(const sp_sql_catalogue *catalogue)
{
    return catalogue->path_count > 0 ? catalogue->path[0] : SP_SPAN_EMPTY;
}

/* ---- binding ---- */

void sp_sql_catalogue_bind_clear(sp_sql_catalogue *catalogue)
{
    const sp_sql_bound nothing = {.part = SP_NONE};
    for (uint32_t i = 0; i < catalogue->relation_count; i++) {
        catalogue->relations[i].bound = nothing;
        catalogue->relations[i].flags &= ~(uint32_t)(SP_SQL_REL_TAGGED | SP_SQL_REL_NEAR);
    }
    for (uint32_t i = 0; i < catalogue->column_count; i++) {
        catalogue->columns[i].bound = nothing;
    }
}

void sp_sql_catalogue_bind_relation(sp_sql_catalogue *catalogue, uint32_t relation,
                                    const sp_sql_bound *bound)
{
    catalogue->relations[relation].bound = *bound;
    if (bound->tags != 0) {
        catalogue->relations[relation].flags |= SP_SQL_REL_TAGGED;
    }
}

/* The relation that a column belongs to: the last one that begins at or before it. */
static sp_sql_relation *owner_of(sp_sql_catalogue *catalogue, uint32_t column)
{
    uint32_t low = 0;
    uint32_t high = catalogue->relation_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (catalogue->relations[middle].first_column <= column) {
            low = middle;
        } else {
            high = middle;
        }
    }
    while (low > 0 && catalogue->relations[low].column_count == 0) {
        low--;
    }
    return &catalogue->relations[low];
}

void sp_sql_catalogue_bind_column(sp_sql_catalogue *catalogue, uint32_t column,
                                  const sp_sql_bound *bound)
{
    catalogue->columns[column].bound = *bound;
    if (bound->tags != 0) {
        owner_of(catalogue, column)->flags |= SP_SQL_REL_TAGGED;
    }
}

static bool add_tags(sp_sql_relation *relation, sp_sql_bound *bound, const sp_sql_bound *from)
{
    if ((bound->tags | from->tags) == bound->tags) {
        return false;
    }
    bound->mask = bound->tags == 0 ? from->mask : bound->mask;
    bound->tags |= from->tags;
    relation->flags |= SP_SQL_REL_TAGGED;
    return true;
}

/* A child is at least what its parent is. */
static bool inherit(sp_sql_catalogue *catalogue, const sp_sql_relation *parent, uint32_t child)
{
    sp_sql_relation *to = &catalogue->relations[child];
    bool changed = false;
    if (to->bound.class_level < parent->bound.class_level ||
        (to->bound.part == SP_NONE && parent->bound.part != SP_NONE)) {
        to->bound.class_level = parent->bound.class_level;
        to->bound.part = parent->bound.part;
        changed = true;
    }
    changed |= add_tags(to, &to->bound, &parent->bound);
    for (uint32_t i = 0; i < parent->column_count; i++) {
        const sp_sql_column *from = &catalogue->columns[parent->first_column + i];
        uint32_t at = from->bound.tags == 0
                          ? SP_NONE
                          : sp_sql_catalogue_find_column(catalogue, child, from->name);
        if (at != SP_NONE) {
            changed |= add_tags(to, &catalogue->columns[at].bound, &from->bound);
        }
    }
    return changed;
}

/* What is read through the parent are rows of the child too. */
static bool show(sp_sql_catalogue *catalogue, uint32_t parent, const sp_sql_relation *child)
{
    sp_sql_relation *to = &catalogue->relations[parent];
    bool changed = false;
    for (uint32_t i = 0; (child->flags & SP_SQL_REL_TAGGED) != 0 && i < child->column_count; i++) {
        const sp_sql_column *from = &catalogue->columns[child->first_column + i];
        uint32_t at = from->bound.tags == 0
                          ? SP_NONE
                          : sp_sql_catalogue_find_column(catalogue, parent, from->name);
        if (at != SP_NONE) {
            changed |= add_tags(to, &catalogue->columns[at].bound, &from->bound);
        }
    }
    return changed;
}

static uint64_t all_tags(const sp_sql_catalogue *catalogue, const sp_sql_relation *relation)
{
    uint64_t tags = relation->bound.tags;
    for (uint32_t i = 0; i < relation->column_count; i++) {
        tags |= catalogue->columns[relation->first_column + i].bound.tags;
    }
    return tags;
}

static bool spread_to_view(sp_sql_catalogue *catalogue, sp_sql_relation *view, uint32_t base)
{
    const sp_sql_bound from = {.tags = all_tags(catalogue, &catalogue->relations[base]),
                               .mask = SP_MASK_FULL};
    bool changed = false;
    for (uint32_t i = 0; from.tags != 0 && i < view->column_count; i++) {
        changed |= add_tags(view, &catalogue->columns[view->first_column + i].bound, &from);
    }
    return changed;
}

static bool spread_to_generated(sp_sql_catalogue *catalogue)
{
    bool changed = false;
    for (uint32_t i = 0; i < catalogue->generated_count; i++) {
        const generated *one = &catalogue->generated[i];
        const sp_sql_bound from = {.tags = catalogue->columns[one->source].bound.tags,
                                   .mask = SP_MASK_FULL};
        changed |= add_tags(&catalogue->relations[one->relation],
                            &catalogue->columns[one->column].bound, &from);
    }
    return changed;
}

void sp_sql_catalogue_bind_finish(sp_sql_catalogue *catalogue)
{
    bool changed = true;
    for (unsigned round = 0; changed && round < CATALOGUE_SPREAD_ROUNDS; round++) {
        changed = spread_to_generated(catalogue);
        for (uint32_t i = 0; i < catalogue->edge_count; i++) {
            const sp_sql_edge *edge = &catalogue->edges[i];
            sp_sql_relation *from = &catalogue->relations[edge->from];
            if (edge->kind == SP_SQL_EDGE_CHILD) {
                changed |= inherit(catalogue, from, edge->to);
                changed |= show(catalogue, edge->from, &catalogue->relations[edge->to]);
            } else if (edge->kind == SP_SQL_EDGE_INDEX) {
                catalogue->relations[edge->to].bound = from->bound;
                catalogue->relations[edge->to].flags |= from->flags & SP_SQL_REL_TAGGED;
                continue; /* nothing is done to a table through its index */
            } else if (edge->kind == SP_SQL_EDGE_READS) {
                changed |= spread_to_view(catalogue, from, edge->to);
            }
            uint32_t reaches = SP_SQL_REL_TAGGED | SP_SQL_REL_NEAR;
            if ((catalogue->relations[edge->to].flags & reaches) != 0 &&
                (from->flags & SP_SQL_REL_NEAR) == 0) {
                from->flags |= SP_SQL_REL_NEAR;
                changed = true;
            }
        }
    }
}

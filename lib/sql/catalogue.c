/* SPDX-License-Identifier: Apache-2.0
 * Building what a database holds, row by row.
 * OWNS the catalogue. PROCESS database gate. TRUST rows come from the database behind; every count
 * has a maximum. SPEC lib/sql/catalogue.h.
 */
#include "lib/sql/catalogue_store.h"

#include "lib/base/mem.h"
#include "lib/sql/functions.h"

enum { CATALOGUE_EDGES_MAX = 4000000 };

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
    sp_free(catalogue->types);
    sp_free(catalogue->calls);
    sp_free(catalogue->casts);
    sp_free(catalogue->generated);
    sp_free(catalogue->edges_to);
    sp_free(catalogue->edges_next);
    sp_free(catalogue->waiting.ring);
    sp_free(catalogue->by_name.slots);
    sp_free(catalogue->by_oid.slots);
    sp_free(catalogue->by_function.slots);
    sp_free(catalogue->by_type.slots);
    sp_free(catalogue->by_cast.slots);
    sp_free(catalogue->by_cast_type.slots);
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

sp_err sp_sql_catalogue_mark(sp_sql_catalogue *catalogue, uint32_t relation, uint32_t flags)
{
    const uint32_t marks = SP_SQL_REL_TRIGGERS | SP_SQL_REL_GUARDED | SP_SQL_REL_HELD;
    if (relation >= catalogue->relation_count || (flags & ~marks) != 0) {
        return sp_fail(SP_EINVALID);
    }
    catalogue->relations[relation].flags |= flags;
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

sp_err sp_sql_catalogue_type(sp_sql_catalogue *catalogue, sp_span schema, sp_span name)
{
    if (!is_name(schema) || !is_name(name)) {
        return sp_fail(SP_EINVALID);
    }
    TRY(make_room(&catalogue->types, catalogue->type_count, &catalogue->type_cap, SP_SQL_TYPES_MAX,
                  sizeof(sp_sql_type)));
    sp_sql_type type = {.schema = SP_SPAN_EMPTY};
    TRY(sp_arena_copy(&catalogue->arena, schema, &type.schema));
    TRY(sp_arena_copy(&catalogue->arena, name, &type.name));
    catalogue->types[catalogue->type_count++] = type;
    return sp_ok();
}

static sp_err add_call(sp_sql_catalogue *catalogue, uint32_t relation, sp_span schema, sp_span name,
                       bool is_cast)
{
    if (!is_name(schema) || !is_name(name) || relation >= catalogue->relation_count) {
        return sp_fail(SP_EINVALID);
    }
    TRY(make_room(&catalogue->calls, catalogue->call_count, &catalogue->call_cap, SP_SQL_CALLS_MAX,
                  sizeof(sp_sql_call)));
    sp_sql_call call = {.next = catalogue->relations[relation].first_call, .is_cast = is_cast};
    TRY(sp_arena_copy(&catalogue->arena, schema, &call.schema));
    TRY(sp_arena_copy(&catalogue->arena, name, &call.name));
    catalogue->calls[catalogue->call_count++] = call;
    catalogue->relations[relation].first_call = catalogue->call_count;
    return sp_ok();
}

sp_err sp_sql_catalogue_call(sp_sql_catalogue *catalogue, uint32_t view, sp_span schema,
                             sp_span name)
{
    return add_call(catalogue, view, schema, name, false);
}

sp_err sp_sql_catalogue_cast_rows(sp_sql_catalogue *catalogue, uint32_t relation, sp_span schema,
                                  sp_span name)
{
    return add_call(catalogue, relation, schema, name, true);
}

sp_err sp_sql_catalogue_cast(sp_sql_catalogue *catalogue, sp_sql_cast_kind kind, uint32_t type_oid,
                             sp_span word, sp_span schema, sp_span name)
{
    bool has_word = kind == SP_SQL_CAST_TYPE || kind == SP_SQL_CAST_CALLED;
    if (!is_name(schema) || !is_name(name) || has_word != is_name(word)) {
        return sp_fail(SP_EINVALID);
    }
    TRY(make_room(&catalogue->casts, catalogue->cast_count, &catalogue->cast_cap, SP_SQL_CASTS_MAX,
                  sizeof(sp_sql_cast)));
    sp_sql_cast cast = {.kind = kind, .type_oid = type_oid};
    TRY(sp_arena_copy(&catalogue->arena, word, &cast.word));
    TRY(sp_arena_copy(&catalogue->arena, schema, &cast.schema));
    TRY(sp_arena_copy(&catalogue->arena, name, &cast.name));
    catalogue->casts[catalogue->cast_count++] = cast;
    return sp_ok();
}

sp_err sp_sql_catalogue_generated(sp_sql_catalogue *catalogue, uint32_t relation, int16_t attnum,
                                  int16_t source)
{
    if (relation >= catalogue->relation_count) {
        return sp_fail(SP_EINVALID);
    }
    const catalogue_generated one = {
        .relation = relation,
        .column = sp_sql_catalogue_find_attnum(catalogue, relation, attnum),
        .source = sp_sql_catalogue_find_attnum(catalogue, relation, source)};
    if (one.column == SP_NONE || one.source == SP_NONE) {
        return sp_ok();
    }
    TRY(make_room(&catalogue->generated, catalogue->generated_count, &catalogue->generated_cap,
                  SP_SQL_COLUMNS_MAX, sizeof(catalogue_generated)));
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

static sp_err index_make(catalogue_index *index, uint32_t count)
{
    uint32_t size = 64;
    while (size < count * 2U) {
        size *= 2;
    }
    TRY(sp_alloc(size, sizeof(uint32_t), &index->slots));
    index->mask = size - 1;
    return sp_ok();
}

static void index_put(catalogue_index *index, uint64_t hash, uint32_t value)
{
    uint32_t at = (uint32_t)hash & index->mask;
    while (index->slots[at] != 0) {
        at = (at + 1) & index->mask;
    }
    index->slots[at] = value + 1;
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

/* Who leads to what, for all that spreads against the way of the edges. */
static sp_err turn_edges(sp_sql_catalogue *catalogue)
{
    TRY(sp_alloc(catalogue->relation_count + 1, sizeof(uint32_t), &catalogue->edges_to));
    TRY(sp_alloc(catalogue->edge_count + 1, sizeof(uint32_t), &catalogue->edges_next));
    TRY(sp_alloc(catalogue->relation_count + 1, sizeof(uint32_t), &catalogue->waiting.ring));
    for (uint32_t i = catalogue->edge_count; i > 0; i--) {
        uint32_t to = catalogue->edges[i - 1].to;
        catalogue->edges_next[i - 1] = catalogue->edges_to[to];
        catalogue->edges_to[to] = i;
    }
    return sp_ok();
}

static void tell(sp_sql_catalogue *catalogue, uint32_t relation)
{
    if ((catalogue->relations[relation].flags & SP_SQL_REL_TELLS) == 0) {
        catalogue->relations[relation].flags |= SP_SQL_REL_TELLS;
        catalogue->waiting.ring[catalogue->waiting.count++] = relation;
    }
}

/* What tells values tells them through every view, however many are between. */
static void spread_telling(sp_sql_catalogue *catalogue)
{
    for (uint32_t i = 0; i < catalogue->relation_count; i++) {
        const sp_sql_relation *one = &catalogue->relations[i];
        bool is_telling = (one->flags & SP_SQL_REL_TELLING) != 0 && !holds_no_values(one->name);
        if (is_telling || calls_telling(catalogue, one)) {
            tell(catalogue, i);
        }
    }
    while (catalogue->waiting.count > 0) {
        uint32_t relation = catalogue->waiting.ring[--catalogue->waiting.count];
        uint32_t at = catalogue->edges_to[relation];
        for (; at != 0; at = catalogue->edges_next[at - 1]) {
            if (catalogue->edges[at - 1].kind == SP_SQL_EDGE_READS) {
                tell(catalogue, catalogue->edges[at - 1].from);
            }
        }
    }
}

/* The first of each word is found by it, the others by the first. */
static sp_err index_casts(sp_sql_catalogue *catalogue)
{
    TRY(index_make(&catalogue->by_cast, catalogue->cast_count));
    TRY(index_make(&catalogue->by_cast_type, catalogue->cast_count));
    for (uint32_t i = 0; i < catalogue->cast_count; i++) {
        sp_sql_cast *cast = &catalogue->casts[i];
        uint32_t first = catalogue_find_cast(catalogue, cast->kind, cast->word);
        if (cast->type_oid != 0) {
            index_put(&catalogue->by_cast_type, catalogue_hash_oid(cast->type_oid), i);
        }
        if (first == SP_NONE) {
            index_put(&catalogue->by_cast, sp_span_hash(cast->word, cast->kind), i);
        } else {
            cast->next = catalogue->casts[first].next;
            catalogue->casts[first].next = i + 1;
        }
    }
    return sp_ok();
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
        index_put(&catalogue->by_oid, catalogue_hash_oid(relation->oid), i);
    }
    for (uint32_t i = 0; i < catalogue->function_count; i++) {
        index_put(&catalogue->by_function, sp_span_hash(catalogue->functions[i].name, 0), i);
    }
    TRY(index_make(&catalogue->by_type, catalogue->type_count));
    for (uint32_t i = 0; i < catalogue->type_count; i++) {
        index_put(&catalogue->by_type, sp_span_hash(catalogue->types[i].name, 0), i);
    }
    TRY(index_casts(catalogue));
    TRY(turn_edges(catalogue));
    spread_telling(catalogue);
    return sp_ok();
}

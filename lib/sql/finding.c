/* SPDX-License-Identifier: Apache-2.0
 * Looking things up in a catalogue: by name through the search path, by oid.
 * OWNS nothing. PROCESS database gate. TRUST names may be of hostile texts. SPEC
 * lib/sql/catalogue.h.
 */
#include "lib/sql/catalogue_store.h"

static const sp_span system_schema = {(const uint8_t *)"pg_catalog", 10};

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
    const catalogue_index *index = &catalogue->by_name;
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
    const catalogue_index *index = &catalogue->by_oid;
    if (index->slots == NULL) {
        return find_unfinished(catalogue, oid);
    }
    for (uint32_t at = (uint32_t)catalogue_hash_oid(oid) & index->mask; index->slots[at] != 0;
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
    const catalogue_index *index = &catalogue->by_function;
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

bool sp_sql_catalogue_has_type(const sp_sql_catalogue *catalogue, sp_span schema, sp_span name)
{
    const catalogue_index *index = &catalogue->by_type;
    if (index->slots == NULL || catalogue->type_count == 0) {
        return false;
    }
    for (uint32_t at = (uint32_t)sp_span_hash(name, 0) & index->mask; index->slots[at] != 0;
         at = (at + 1) & index->mask) {
        const sp_sql_type *type = &catalogue->types[index->slots[at] - 1];
        if (sp_span_eq(type->name, name) && sp_span_eq(type->schema, schema)) {
            return true;
        }
    }
    return false;
}

bool sp_sql_catalogue_has_function(const sp_sql_catalogue *catalogue, sp_span name)
{
    const catalogue_index *index = &catalogue->by_function;
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

uint32_t catalogue_find_cast(const sp_sql_catalogue *catalogue, sp_sql_cast_kind kind, sp_span word)
{
    const catalogue_index *index = &catalogue->by_cast;
    for (uint32_t at = (uint32_t)sp_span_hash(word, kind) & index->mask; index->slots[at] != 0;
         at = (at + 1) & index->mask) {
        const sp_sql_cast *cast = &catalogue->casts[index->slots[at] - 1];
        if (cast->kind == kind && sp_span_eq(cast->word, word)) {
            return index->slots[at] - 1;
        }
    }
    return SP_NONE;
}

const sp_sql_cast *sp_sql_catalogue_cast_find(const sp_sql_catalogue *catalogue,
                                              sp_sql_cast_kind kind, sp_span word)
{
    uint32_t at = catalogue->cast_count == 0 || catalogue->by_cast.slots == NULL
                      ? SP_NONE
                      : catalogue_find_cast(catalogue, kind, word);
    return at == SP_NONE ? NULL : &catalogue->casts[at];
}

const sp_sql_cast *sp_sql_catalogue_cast_next(const sp_sql_catalogue *catalogue,
                                              const sp_sql_cast *cast)
{
    return cast->next == 0 ? NULL : &catalogue->casts[cast->next - 1];
}

bool sp_sql_catalogue_is_cast(const sp_sql_catalogue *catalogue, uint32_t type_oid)
{
    const catalogue_index *index = &catalogue->by_cast_type;
    if (index->slots == NULL || type_oid == 0) {
        return false;
    }
    for (uint32_t at = (uint32_t)catalogue_hash_oid(type_oid) & index->mask; index->slots[at] != 0;
         at = (at + 1) & index->mask) {
        if (catalogue->casts[index->slots[at] - 1].type_oid == type_oid) {
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

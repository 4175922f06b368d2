/* SPDX-License-Identifier: Apache-2.0
 * What a catalogue is made of: arrays with a hash index over names and one over oids. Private to
 * catalogue.c (building), finding.c and binding.c.
 * OWNS its arrays and an arena of names. PROCESS database gate. TRUST rows come from the database
 * behind; every count has a maximum. SPEC lib/sql/catalogue.h.
 */
#ifndef SP_SQL_CATALOGUE_STORE_H
#define SP_SQL_CATALOGUE_STORE_H

#include "lib/sql/catalogue.h"

typedef struct {
    uint32_t *slots; /* index + 1 */
    uint32_t mask;
} catalogue_index;

typedef struct {
    uint32_t relation;
    uint32_t column, source; /* of all columns */
} catalogue_generated;

/* Relations of which others have to be told: each stands there once. */
typedef struct {
    uint32_t *ring;
    uint32_t first, count;
} catalogue_waiting;

struct sp_sql_catalogue {
    sp_arena arena;
    sp_sql_relation *relations;
    sp_sql_column *columns;
    sp_sql_edge *edges;
    sp_sql_function *functions;
    sp_sql_type *types;
    sp_sql_call *calls;
    sp_sql_cast *casts;
    catalogue_generated *generated;
    uint32_t relation_count, relation_cap;
    uint32_t column_count, column_cap;
    uint32_t edge_count, edge_cap;
    uint32_t function_count, function_cap;
    uint32_t type_count, type_cap;
    uint32_t call_count, call_cap;
    uint32_t cast_count, cast_cap;
    uint32_t generated_count, generated_cap;
    sp_span path[SP_SQL_PATH_MAX];
    uint32_t path_count;
    uint32_t *edges_to;   /* of a relation: an edge that leads to it, + 1 */
    uint32_t *edges_next; /* of such an edge: the next one, + 1 */
    catalogue_waiting waiting;
    catalogue_index by_name;
    catalogue_index by_oid;
    catalogue_index by_function;
    catalogue_index by_type;
    catalogue_index by_cast;      /* the first of each word */
    catalogue_index by_cast_type; /* of TYPE */
};

static inline uint64_t catalogue_hash_oid(uint32_t oid)
{
    return (uint64_t)oid * UINT64_C(0x9E3779B97F4A7C15) >> 32;
}

/* Index of the first cast of that kind and word; SP_NONE. */
uint32_t catalogue_find_cast(const sp_sql_catalogue *catalogue, sp_sql_cast_kind kind,
                             sp_span word);

#endif

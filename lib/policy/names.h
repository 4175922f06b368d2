/* SPDX-License-Identifier: Apache-2.0
 * A table from names to numbers, and a vector of records: what the compiler keeps things in.
 * OWNS its slots and items; names are borrowed. PROCESS core, cli. TRUST names are hostile: the
 * hash is seeded with an address, so that collisions cannot be prepared. SPEC docs/STYLE.md.
 */
#ifndef SP_POLICY_NAMES_H
#define SP_POLICY_NAMES_H

#include "lib/base/mem.h"

typedef struct {
    sp_span name;
    uint32_t value;
    bool used;
} name_slot;

typedef struct {
    name_slot *slots;
    size_t size; /* power of two */
    size_t count;
} name_table;

void name_table_done(name_table *table);
/* SP_EEXISTS when it is there: *ret_value is then the value it has. */
SP_MUST sp_err name_put(name_table *table, sp_span name, uint32_t value, uint32_t *ret_value);
bool name_get(const name_table *table, sp_span name, uint32_t *ret_value);
/* The name that was most likely meant; empty when none is near. */
sp_span name_nearest(const name_table *table, sp_span name);

typedef struct {
    void *items;
    size_t count;
    size_t cap;
    size_t item_bytes;
} vec;

static inline vec vec_of(size_t item_bytes)
{
    return (vec){.item_bytes = item_bytes};
}
void vec_done(vec *v);
/* Appends count zeroed items; *ret_first is valid until the next call. SP_ELIMIT past UINT32_MAX.
 */
SP_MUST sp_err vec_add(vec *v, size_t count, void *ret_first);

#endif

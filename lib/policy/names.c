/* SPDX-License-Identifier: Apache-2.0
 * Names and vectors.
 * OWNS slots and items. PROCESS core, cli. TRUST names are hostile. SPEC lib/policy/names.h.
 */
#include "lib/policy/names.h"

#include "lib/policy/schema.h"

enum { FIRST_SIZE = 64, NEAREST_MAX = 20000 };

void name_table_done(name_table *table)
{
    sp_free(table->slots);
    *table = (name_table){0};
}

static name_slot *slot_of(const name_table *table, sp_span name)
{
    size_t at = (size_t)sp_span_hash(name, (uint64_t)(uintptr_t)table) & (table->size - 1);
    while (table->slots[at].used && !sp_span_eq(table->slots[at].name, name)) {
        at = (at + 1) & (table->size - 1);
    }
    return &table->slots[at];
}

static sp_err grow(name_table *table)
{
    name_table bigger = {.size = table->size == 0 ? FIRST_SIZE : table->size * 2};
    TRY(sp_alloc(bigger.size, sizeof(*bigger.slots), &bigger.slots));
    name_slot *old = table->slots;
    size_t old_size = table->size;
    table->slots = bigger.slots;
    table->size = bigger.size;
    for (size_t i = 0; i < old_size; i++) {
        if (old[i].used) {
            *slot_of(table, old[i].name) = old[i];
        }
    }
    sp_free(old);
    return sp_ok();
}

sp_err name_put(name_table *table, sp_span name, uint32_t value, uint32_t *ret_value)
{
    if ((table->count + 1) * 2 > table->size) {
        TRY(grow(table));
    }
    name_slot *slot = slot_of(table, name);
    if (slot->used) {
        *ret_value = slot->value;
        return sp_fail(SP_EEXISTS);
    }
    *slot = (name_slot){name, value, true};
    table->count++;
    *ret_value = value;
    return sp_ok();
}

bool name_get(const name_table *table, sp_span name, uint32_t *ret_value)
{
    if (table->size == 0) {
        return false;
    }
    const name_slot *slot = slot_of(table, name);
    if (slot->used) {
        *ret_value = slot->value;
    }
    return slot->used;
}

sp_span name_nearest(const name_table *table, sp_span name)
{
    sp_span best = SP_SPAN_EMPTY;
    size_t best_distance = DOC_NEAR_ENOUGH;
    for (size_t i = 0; i < table->size && i < NEAREST_MAX; i++) {
        if (!table->slots[i].used) {
            continue;
        }
        size_t distance = doc_distance(name, table->slots[i].name);
        if (distance < best_distance) {
            best_distance = distance;
            best = table->slots[i].name;
        }
    }
    return best;
}

void vec_done(vec *v)
{
    sp_free(v->items);
    v->items = NULL;
    v->count = 0;
    v->cap = 0;
}

sp_err vec_add(vec *v, size_t count, void *ret_first)
{
    if (count > UINT32_MAX - v->count) {
        return sp_fail(SP_ELIMIT);
    }
    size_t need = v->count + count;
    if (need > v->cap || v->items == NULL) {
        size_t cap = v->cap == 0 ? 16 : v->cap * 2;
        cap = cap < need ? need : cap;
        TRY(sp_resize(&v->items, cap, v->item_bytes));
        v->cap = cap;
    }
    uint8_t *first = (uint8_t *)v->items + v->count * v->item_bytes;
    sp_set(first, 0, count * v->item_bytes);
    v->count = need;
    *(void **)ret_first = first;
    return sp_ok();
}

/* SPDX-License-Identifier: Apache-2.0
 * The bounded table.
 * OWNS its memory. PROCESS watch, cli. TRUST keys are seeded hashes. SPEC lib/detect/table.h.
 */
#include "lib/detect/table.h"

enum { CAP_FIRST = 16 };

table table_of(uint32_t slot_words, uint32_t max, uint64_t keep_us)
{
    return (table){.slot_words = slot_words,
                   .max = max,
                   .newest = TABLE_NONE,
                   .oldest = TABLE_NONE,
                   .keep_us = keep_us};
}

void table_done(table *t)
{
    sp_free(t->words);
    sp_free(t->links);
    sp_free(t->heads);
    *t = table_of(t->slot_words, t->max, t->keep_us);
}

static uint64_t bytes_of(const table *t, uint32_t cap)
{
    return (uint64_t)cap *
           (t->slot_words * sizeof(uint64_t) + sizeof(table_link) + 2 * sizeof(uint32_t));
}

uint64_t table_bytes(const table *t)
{
    return bytes_of(t, t->cap);
}

static uint32_t *head_of(const table *t, table_key key)
{
    return &t->heads[key.a & (t->heads_count - 1)];
}

static table_key key_at(const table *t, uint32_t at)
{
    const uint64_t *slot = table_slot(t, at);
    return (table_key){slot[SLOT_KEY0], slot[SLOT_KEY1]};
}

static void chain_all(table *t)
{
    sp_set(t->heads, 0xFF, (size_t)t->heads_count * sizeof(*t->heads));
    for (uint32_t i = 0; i < t->count; i++) {
        uint32_t *head = head_of(t, key_at(t, i));
        t->links[i].chain = *head;
        *head = i;
    }
}

static bool grow(table *t, uint64_t *room)
{
    uint32_t cap = t->cap == 0 ? CAP_FIRST : t->cap * 2;
    cap = cap > t->max ? t->max : cap;
    uint64_t more = bytes_of(t, cap) - bytes_of(t, t->cap);
    if (cap == t->cap || more > *room) {
        return false;
    }
    uint32_t heads_count = CAP_FIRST;
    while (heads_count < cap) {
        heads_count *= 2;
    }
    if (sp_failed(sp_resize(&t->words, (size_t)cap * t->slot_words, sizeof(*t->words))) ||
        sp_failed(sp_resize(&t->links, cap, sizeof(*t->links))) ||
        sp_failed(sp_resize(&t->heads, heads_count, sizeof(*t->heads)))) {
        return false; /* what grew already may stay larger than cap says */
    }
    *room -= more;
    t->cap = cap;
    t->heads_count = heads_count;
    chain_all(t);
    return true;
}

static void unlink_use(table *t, uint32_t at)
{
    table_link *link = &t->links[at];
    *(link->newer == TABLE_NONE ? &t->newest : &t->links[link->newer].older) = link->older;
    *(link->older == TABLE_NONE ? &t->oldest : &t->links[link->older].newer) = link->newer;
}

static void make_newest(table *t, uint32_t at)
{
    t->links[at].newer = TABLE_NONE;
    t->links[at].older = t->newest;
    *(t->newest == TABLE_NONE ? &t->oldest : &t->links[t->newest].newer) = at;
    t->newest = at;
}

static void unchain(table *t, uint32_t at)
{
    uint32_t *link = head_of(t, key_at(t, at));
    while (*link != at) {
        link = &t->links[*link].chain;
    }
    *link = t->links[at].chain;
}

static uint32_t find(const table *t, table_key key)
{
    uint32_t at = t->heads_count == 0 ? TABLE_NONE : *head_of(t, key);
    while (at != TABLE_NONE) {
        const uint64_t *slot = table_slot(t, at);
        if (slot[SLOT_KEY0] == key.a && slot[SLOT_KEY1] == key.b) {
            return at;
        }
        at = t->links[at].chain;
    }
    return TABLE_NONE;
}

/* Its window runs, or it is quiet: forgetting it changes what is said. */
static bool is_of_use(const table *t, uint32_t at, uint64_t now_us)
{
    const uint64_t *slot = table_slot(t, at);
    uint64_t end_us = 0;
    return __builtin_add_overflow(slot[SLOT_LATEST], t->keep_us, &end_us) || end_us >= now_us ||
           slot[SLOT_QUIET] > now_us;
}

uint64_t *table_take(table *t, table_key key, uint64_t now_us, uint64_t *room, bool *ret_new)
{
    uint32_t at = find(t, key);
    *ret_new = at == TABLE_NONE;
    if (at != TABLE_NONE) {
        unlink_use(t, at);
        make_newest(t, at);
        return table_slot(t, at);
    }
    if (t->count < t->cap || grow(t, room)) {
        at = t->count++;
    } else if (t->count > 0) {
        at = t->oldest;
        unlink_use(t, at);
        unchain(t, at);
        t->evicted += is_of_use(t, at, now_us) ? 1 : 0;
    } else {
        return NULL;
    }
    uint64_t *slot = table_slot(t, at);
    sp_set(slot, 0, t->slot_words * sizeof(*slot));
    slot[SLOT_KEY0] = key.a;
    slot[SLOT_KEY1] = key.b;
    uint32_t *head = head_of(t, key);
    t->links[at].chain = *head;
    *head = at;
    make_newest(t, at);
    return slot;
}

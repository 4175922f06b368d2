/* SPDX-License-Identifier: Apache-2.0
 * A bounded table from keys to slots of words, least recently used first out. Private to
 * lib/detect.
 * OWNS its memory. PROCESS watch, cli. TRUST keys are seeded hashes. SPEC lib/detect/engine.h.
 */
#ifndef SP_DETECT_TABLE_H
#define SP_DETECT_TABLE_H

#include "lib/base/mem.h"

/* The first words of every slot. */
enum {
    SLOT_KEY0,
    SLOT_KEY1,
    SLOT_LATEST, /* unix_us of the last event */
    SLOT_FIRST,  /* of the first that the window holds */
    SLOT_QUIET,  /* no alarm before */
    SLOT_SEEN,   /* pieces of evidence since the slot was made */
    SLOT_HEAD
};

#define TABLE_NONE UINT32_MAX

typedef struct {
    uint32_t chain; /* of its hash */
    uint32_t newer;
    uint32_t older;
} table_link;

typedef struct {
    uint64_t *words; /* cap slots of slot_words */
    table_link *links;
    uint32_t *heads; /* a power of two */
    uint32_t heads_count;
    uint32_t slot_words;
    uint32_t cap;
    uint32_t count;
    uint32_t max;
    uint32_t newest;
    uint32_t oldest;
    uint64_t keep_us; /* after its last event a slot is of use for so long */
    uint64_t evicted; /* slots that were still of use */
} table;

typedef struct {
    uint64_t a;
    uint64_t b;
} table_key;

table table_of(uint32_t slot_words, uint32_t max, uint64_t keep_us);
void table_done(table *t);
uint64_t table_bytes(const table *t);
/* The slot of the key, made of zeros when it is new (*ret_new), and now the newest. *room is what
 * may still be allocated: when that is not enough the oldest key gives way. NULL: not even one. */
uint64_t *table_take(table *t, table_key key, uint64_t now_us, uint64_t *room, bool *ret_new);
static inline uint64_t *table_slot(const table *t, uint32_t at)
{
    return t->words + (size_t)at * t->slot_words;
}

#endif

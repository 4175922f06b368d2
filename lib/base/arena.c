/* SPDX-License-Identifier: Apache-2.0
 * The arena: a list of blocks, each at least twice the size of small requests.
 * OWNS its blocks. PROCESS all. TRUST sizes may be hostile. SPEC lib/base/arena.h.
 */
#include "lib/base/arena.h"

struct sp_arena_block {
    sp_arena_block *next;
    size_t size;
    size_t used;
    _Alignas(16) uint8_t bytes[];
};

enum { BLOCK_MIN_BYTES = 16 * 1024, ALIGN = 16 };

sp_arena sp_arena_make(size_t max_bytes)
{
    return (sp_arena){.max_bytes = max_bytes};
}

void sp_arena_done(sp_arena *arena)
{
    if (arena == NULL) {
        return;
    }
    sp_arena_block *block = arena->blocks;
    while (block != NULL) {
        sp_arena_block *next = block->next;
        sp_free(block);
        block = next;
    }
    *arena = sp_arena_make(arena->max_bytes);
}

static sp_err add_block(sp_arena *arena, size_t need)
{
    size_t size = need > BLOCK_MIN_BYTES ? need : BLOCK_MIN_BYTES;
    sp_arena_block *block = NULL;
    size_t whole = 0;
    if (__builtin_add_overflow(size, sizeof(*block), &whole)) {
        return sp_fail(SP_ELIMIT);
    }
    TRY(sp_alloc(whole, 1, &block));
    block->size = size;
    block->next = arena->blocks;
    arena->blocks = block;
    return sp_ok();
}

sp_err sp_arena_alloc(sp_arena *arena, size_t count, size_t size, void *ret_ptr_to_ptr)
{
    size_t need = 0;
    size_t total = 0;
    if (__builtin_mul_overflow(count, size, &need) ||
        __builtin_add_overflow(need, (size_t)(ALIGN - 1), &need)) {
        return sp_fail(SP_ELIMIT);
    }
    need &= ~(size_t)(ALIGN - 1);
    if (__builtin_add_overflow(arena->used_bytes, need, &total) || total > arena->max_bytes) {
        return sp_fail(SP_ELIMIT);
    }
    if (arena->blocks == NULL || arena->blocks->size - arena->blocks->used < need) {
        TRY(add_block(arena, need));
    }
    sp_arena_block *block = arena->blocks;
    void *ptr = block->bytes + block->used;
    block->used += need;
    arena->used_bytes = total;
    sp_copy(ret_ptr_to_ptr, &ptr, sizeof(ptr));
    return sp_ok();
}

sp_err sp_arena_copy(sp_arena *arena, sp_span bytes, sp_span *ret_copy)
{
    uint8_t *copy = NULL;
    TRY(sp_arena_alloc(arena, bytes.len + 1, 1, &copy));
    sp_copy(copy, bytes.ptr, bytes.len);
    *ret_copy = (sp_span){copy, bytes.len};
    return sp_ok();
}

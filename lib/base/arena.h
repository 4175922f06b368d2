/* SPDX-License-Identifier: Apache-2.0
 * sp_arena: one lifetime for the many small pieces of a session, request or compilation.
 * OWNS its blocks. PROCESS all. TRUST sizes may be hostile; max_bytes bounds the whole.
 * SPEC docs/STYLE.md "Bytes".
 */
#ifndef SP_BASE_ARENA_H
#define SP_BASE_ARENA_H

#include "lib/base/mem.h"

typedef struct sp_arena_block sp_arena_block;
typedef struct {
    sp_arena_block *blocks;
    size_t used_bytes;
    size_t max_bytes;
} sp_arena;

sp_arena sp_arena_make(size_t max_bytes);
void sp_arena_done(sp_arena *arena);
#define auto_arena __attribute__((cleanup(sp_arena_done)))

/* Zeroed, 16-byte aligned, valid until sp_arena_done. SP_ENOMEM or SP_ELIMIT. */
SP_MUST sp_err sp_arena_alloc(sp_arena *arena, size_t count, size_t size, void *ret_ptr_to_ptr);
/* A copy with a NUL behind it (not counted in len). */
SP_MUST sp_err sp_arena_copy(sp_arena *arena, sp_span bytes, sp_span *ret_copy);

#endif

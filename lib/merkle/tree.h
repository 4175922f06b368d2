/* SPDX-License-Identifier: Apache-2.0
 * The Merkle tree of RFC 6962: hashes, the incremental tree, proofs and their checks.
 *
 * Story: a log keeps the leaf hashes and, for each complete run of 256, the hash of that run (and
 * of each run of 256 runs, and so on): the levels of C2SP tlog-tiles. Every other hash is folded
 * out of at most 256 of those. sp_merkle_add() says which run hashes a new leaf completes; proofs
 * read hashes through sp_merkle_source.
 *
 * OWNS nothing. PROCESS ledger, vault, command line. TRUST proofs and sizes may be hostile: a
 * check says false, it never reads out of bounds. SPEC RFC 6962 2.1; c2sp.org/tlog-tiles.
 */
#ifndef SP_MERKLE_TREE_H
#define SP_MERKLE_TREE_H

#include "lib/base/sha256.h"

enum {
    SP_MERKLE_LEVELS_MAX = 64,
    SP_MERKLE_PATH_MAX = 64,
    SP_MERKLE_TILE_BITS = 8,
    SP_MERKLE_TILE_WIDTH = 1 << SP_MERKLE_TILE_BITS,
    SP_MERKLE_TILE_LEVELS = 8 /* 256^8 leaves are more than sizes can say */
};

sp_hash sp_merkle_leaf(sp_span data);
sp_hash sp_merkle_node(const sp_hash *left, const sp_hash *right);
/* The root of no leaves. */
sp_hash sp_merkle_empty(void);
/* The root over count = 2^n <= 256 neighbouring hashes of one level. */
sp_hash sp_merkle_fold(const sp_hash *hashes, size_t count);

/* The roots of the complete subtrees that a tree of `size` leaves is made of: one per set bit. */
typedef struct {
    uint64_t size;
    sp_hash peaks[SP_MERKLE_LEVELS_MAX];
} sp_merkle;

/* Adds a leaf. *ret_runs: for k = 1 .. the result, ret_full[k - 1] is the hash of the run of 256^k
 * leaves that this leaf completed. */
unsigned sp_merkle_add(sp_merkle *tree, const sp_hash *leaf,
                       sp_hash ret_full[SP_MERKLE_TILE_LEVELS]);
sp_hash sp_merkle_root(const sp_merkle *tree);

/* Where stored hashes come from: hash number index of a tile level (0 = leaves, 1 = runs of 256).
 */
typedef struct {
    sp_err (*read)(void *self, unsigned tile_level, uint64_t index, size_t count,
                   sp_hash *ret_hashes);
    void *self;
} sp_merkle_source;

/* The tree of the first `size` leaves, out of stored hashes. */
SP_MUST sp_err sp_merkle_load(const sp_merkle_source *source, uint64_t size, sp_merkle *ret_tree);

typedef struct {
    size_t count;
    sp_hash hashes[SP_MERKLE_PATH_MAX];
} sp_merkle_path;

/* RFC 6962 2.1.1: from leaf `index` to the root of `size` leaves. SP_EINVALID: index >= size. */
SP_MUST sp_err sp_merkle_inclusion(const sp_merkle_source *source, uint64_t index, uint64_t size,
                                   sp_merkle_path *ret_path);
/* RFC 6962 2.1.2: from old_size to new_size. SP_EINVALID: old > new. Empty for 0 and equal. */
SP_MUST sp_err sp_merkle_consistency(const sp_merkle_source *source, uint64_t old_size,
                                     uint64_t new_size, sp_merkle_path *ret_path);

/* RFC 9162 2.1.3.2 and 2.1.4.2. */
bool sp_merkle_includes(const sp_hash *leaf, uint64_t index, uint64_t size, const sp_hash *path,
                        size_t count, const sp_hash *root);
bool sp_merkle_extends(uint64_t old_size, const sp_hash *old_root, uint64_t new_size,
                       const sp_hash *new_root, const sp_hash *path, size_t count);

#endif

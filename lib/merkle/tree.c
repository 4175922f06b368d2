/* SPDX-License-Identifier: Apache-2.0
 * The Merkle tree.
 * OWNS nothing. PROCESS ledger, vault, command line. TRUST proofs may be hostile.
 * SPEC lib/merkle/tree.h.
 */
#include "lib/merkle/tree.h"

#include "lib/base/mem.h"

sp_hash sp_merkle_leaf(sp_span data)
{
    static const uint8_t prefix = 0;
    const sp_span parts[] = {{&prefix, 1}, data};
    return sp_sha256_parts(parts, SP_COUNT(parts));
}

sp_hash sp_merkle_node(const sp_hash *left, const sp_hash *right)
{
    uint8_t bytes[1 + 2 * SP_SHA256_BYTES];
    bytes[0] = 1;
    sp_copy(bytes + 1, left->bytes, SP_SHA256_BYTES);
    sp_copy(bytes + 1 + SP_SHA256_BYTES, right->bytes, SP_SHA256_BYTES);
    return sp_sha256((sp_span){bytes, sizeof(bytes)});
}

sp_hash sp_merkle_empty(void)
{
    return sp_sha256(SP_SPAN_EMPTY);
}

sp_hash sp_merkle_fold(const sp_hash *hashes, size_t count)
{
    sp_hash row[SP_MERKLE_TILE_WIDTH / 2];
    if (count == 1) {
        return hashes[0];
    }
    for (size_t i = 0; i < count / 2 && i < SP_COUNT(row); i++) {
        row[i] = sp_merkle_node(&hashes[2 * i], &hashes[2 * i + 1]);
    }
    for (count /= 2; count > 1; count /= 2) {
        for (size_t i = 0; i < count / 2; i++) {
            row[i] = sp_merkle_node(&row[2 * i], &row[2 * i + 1]);
        }
    }
    return row[0];
}

unsigned sp_merkle_add(sp_merkle *tree, const sp_hash *leaf,
                       sp_hash ret_full[SP_MERKLE_TILE_LEVELS])
{
    sp_hash hash = *leaf;
    unsigned level = 0;
    unsigned runs = 0;
    while (((tree->size >> level) & 1) != 0) {
        hash = sp_merkle_node(&tree->peaks[level], &hash);
        level++;
        if (level % SP_MERKLE_TILE_BITS == 0) {
            ret_full[runs++] = hash;
        }
    }
    tree->peaks[level] = hash;
    tree->size++;
    return runs;
}

sp_hash sp_merkle_root(const sp_merkle *tree)
{
    if (tree->size == 0) {
        return sp_merkle_empty();
    }
    unsigned level = (unsigned)__builtin_ctzll(tree->size);
    sp_hash root = tree->peaks[level];
    for (level++; level < SP_MERKLE_LEVELS_MAX; level++) {
        if (((tree->size >> level) & 1) != 0) {
            root = sp_merkle_node(&tree->peaks[level], &root);
        }
    }
    return root;
}

/* The hash of the complete subtree number index of 2^level leaves. */
static sp_err subtree(const sp_merkle_source *source, unsigned level, uint64_t index,
                      sp_hash *ret_hash)
{
    sp_hash row[SP_MERKLE_TILE_WIDTH / 2];
    unsigned below = level % SP_MERKLE_TILE_BITS;
    size_t count = (size_t)1 << below;
    TRY(source->read(source->self, level / SP_MERKLE_TILE_BITS, index << below, count, row));
    *ret_hash = sp_merkle_fold(row, count);
    return sp_ok();
}

sp_err sp_merkle_load(const sp_merkle_source *source, uint64_t size, sp_merkle *ret_tree)
{
    sp_merkle tree = {.size = size};
    for (unsigned level = 0; level < SP_MERKLE_LEVELS_MAX; level++) {
        if (((size >> level) & 1) != 0) {
            uint64_t start = level == 63 ? 0 : (size >> (level + 1)) << (level + 1);
            TRY(subtree(source, level, start >> level, &tree.peaks[level]));
        }
    }
    *ret_tree = tree;
    return sp_ok();
}

/* The root of leaves [from, to), where `from` is a multiple of the largest power of two below the
 * width: such a range is a row of complete subtrees, largest first. */
static sp_err range_root(const sp_merkle_source *source, uint64_t from, uint64_t to,
                         sp_hash *ret_hash)
{
    sp_hash peaks[SP_MERKLE_LEVELS_MAX];
    size_t count = 0;
    while (from < to) {
        unsigned level = 63U - (unsigned)__builtin_clzll(to - from);
        TRY(subtree(source, level, from >> level, &peaks[count]));
        from += (uint64_t)1 << level;
        count++;
    }
    if (count == 0) {
        return sp_fail(SP_EINVALID);
    }
    sp_hash root = peaks[count - 1];
    for (size_t i = count - 1; i-- > 0;) {
        root = sp_merkle_node(&peaks[i], &root);
    }
    *ret_hash = root;
    return sp_ok();
}

/* The largest power of two below n, n >= 2. */
static uint64_t split_of(uint64_t n)
{
    return (uint64_t)1 << (63U - (unsigned)__builtin_clzll(n - 1));
}

static void reverse(sp_merkle_path *path)
{
    for (size_t i = 0; i < path->count / 2; i++) {
        sp_hash swap = path->hashes[i];
        path->hashes[i] = path->hashes[path->count - 1 - i];
        path->hashes[path->count - 1 - i] = swap;
    }
}

sp_err sp_merkle_inclusion(const sp_merkle_source *source, uint64_t index, uint64_t size,
                           sp_merkle_path *ret_path)
{
    if (index >= size) {
        return sp_fail(SP_EINVALID);
    }
    ret_path->count = 0;
    uint64_t from = 0;
    uint64_t to = size;
    while (to - from > 1) {
        uint64_t middle = from + split_of(to - from);
        bool left = index < middle;
        TRY(range_root(source, left ? middle : from, left ? to : middle,
                       &ret_path->hashes[ret_path->count++]));
        from = left ? from : middle;
        to = left ? middle : to;
    }
    reverse(ret_path);
    return sp_ok();
}

sp_err sp_merkle_consistency(const sp_merkle_source *source, uint64_t old_size, uint64_t new_size,
                             sp_merkle_path *ret_path)
{
    ret_path->count = 0;
    if (old_size > new_size) {
        return sp_fail(SP_EINVALID);
    }
    if (old_size == 0 || old_size == new_size) {
        return sp_ok();
    }
    uint64_t from = 0;
    uint64_t to = new_size;
    bool whole = true; /* the old tree is a complete part of the new one: its root is known */
    while (old_size != to) {
        uint64_t middle = from + split_of(to - from);
        bool left = old_size <= middle;
        TRY(range_root(source, left ? middle : from, left ? to : middle,
                       &ret_path->hashes[ret_path->count++]));
        whole = whole && left;
        from = left ? from : middle;
        to = left ? middle : to;
    }
    if (!whole) {
        TRY(range_root(source, from, to, &ret_path->hashes[ret_path->count++]));
    }
    reverse(ret_path);
    return sp_ok();
}

/* Up from a last node to the level where it has a sibling on its left (RFC 9162, 2.1.3.2). */
static void climb(uint64_t *node, uint64_t *last)
{
    while ((*node & 1) == 0 && *node != 0) {
        *node >>= 1;
        *last >>= 1;
    }
}

bool sp_merkle_includes(const sp_hash *leaf, uint64_t index, uint64_t size, const sp_hash *path,
                        size_t count, const sp_hash *root)
{
    if (index >= size) {
        return false;
    }
    uint64_t node = index;
    uint64_t last = size - 1;
    sp_hash hash = *leaf;
    for (size_t i = 0; i < count; i++) {
        if (last == 0) {
            return false;
        }
        if ((node & 1) != 0 || node == last) {
            hash = sp_merkle_node(&path[i], &hash);
            climb(&node, &last);
        } else {
            hash = sp_merkle_node(&hash, &path[i]);
        }
        node >>= 1;
        last >>= 1;
    }
    return last == 0 && sp_hash_eq(&hash, root);
}

/* 0 < old_size < new_size. */
static bool path_extends(uint64_t old_size, const sp_hash *old_root, uint64_t new_size,
                         const sp_hash *new_root, const sp_hash *path, size_t count)
{
    bool complete = (old_size & (old_size - 1)) == 0;
    if (!complete && count == 0) {
        return false;
    }
    uint64_t node = old_size - 1;
    uint64_t last = new_size - 1;
    while ((node & 1) != 0) {
        node >>= 1;
        last >>= 1;
    }
    sp_hash old_hash = complete ? *old_root : path[0];
    sp_hash new_hash = old_hash;
    for (size_t i = complete ? 0 : 1; i < count; i++) {
        if (last == 0) {
            return false;
        }
        if ((node & 1) != 0 || node == last) {
            old_hash = sp_merkle_node(&path[i], &old_hash);
            new_hash = sp_merkle_node(&path[i], &new_hash);
            climb(&node, &last);
        } else {
            new_hash = sp_merkle_node(&new_hash, &path[i]);
        }
        node >>= 1;
        last >>= 1;
    }
    return last == 0 && sp_hash_eq(&old_hash, old_root) && sp_hash_eq(&new_hash, new_root);
}

bool sp_merkle_extends(uint64_t old_size, const sp_hash *old_root, uint64_t new_size,
                       const sp_hash *new_root, const sp_hash *path, size_t count)
{
    if (old_size > new_size) {
        return false;
    }
    if (old_size == 0 || old_size == new_size) {
        return count == 0 && (old_size == 0 || sp_hash_eq(old_root, new_root));
    }
    return path_extends(old_size, old_root, new_size, new_root, path, count);
}

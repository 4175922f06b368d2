/* SPDX-License-Identifier: Apache-2.0
 * Verifying entries and the tree.
 * OWNS nothing. PROCESS ledger, command line. TRUST nothing on the disk. SPEC ledger/verify.h.
 */
#include "ledger/verify.h"

sp_err sp_verify_entry(sp_journal *store, uint64_t entry, sp_buf *why)
{
    auto_buf sp_buf record = sp_buf_make(SP_RECORD_MAX_BYTES);
    sp_record_head head;
    sp_hash leaf;
    TRY(sp_journal_leaf(store, entry, &leaf));
    sp_err err = sp_journal_read(store, entry, &record);
    if (!sp_failed(err)) {
        err = sp_record_head_read(sp_buf_borrow(&record), &head);
    }
    if (sp_failed(err)) {
        sp_buf_fmt(why, "entry %llu cannot be read: %s", (unsigned long long)entry,
                   sp_code_word(err.code));
        return sp_fail(SP_ECORRUPT);
    }
    if (head.form == SP_RECORD_ERASED) {
        return sp_ok();
    }
    sp_hash hash = sp_merkle_leaf(sp_buf_borrow(&record));
    if (!sp_hash_eq(&hash, &leaf)) {
        sp_buf_fmt(why, "entry %llu is not what was written: its hash is another",
                   (unsigned long long)entry);
        return sp_fail(SP_ECORRUPT);
    }
    return sp_ok();
}

/* A run of 256 hashes of the level below gives the hash stored above it. */
static sp_err verify_run(const sp_merkle_source *source, unsigned level, uint64_t index,
                         sp_buf *why)
{
    sp_hash below[SP_MERKLE_TILE_WIDTH];
    sp_hash above;
    TRY(source->read(source->self, level - 1, index << SP_MERKLE_TILE_BITS, SP_MERKLE_TILE_WIDTH,
                     below));
    TRY(source->read(source->self, level, index, 1, &above));
    sp_hash folded = sp_merkle_fold(below, SP_MERKLE_TILE_WIDTH);
    if (!sp_hash_eq(&folded, &above)) {
        sp_buf_fmt(why, "hash %llu of level %u does not follow from the level below",
                   (unsigned long long)index, level);
        return sp_fail(SP_ECORRUPT);
    }
    return sp_ok();
}

sp_err sp_verify_tree(sp_journal *store, uint64_t size, sp_buf *why)
{
    sp_merkle_source source = sp_journal_hashes(store);
    for (unsigned level = 1; size >> (SP_MERKLE_TILE_BITS * level) > 0; level++) {
        uint64_t runs = size >> (SP_MERKLE_TILE_BITS * level);
        for (uint64_t i = 0; i < runs; i++) {
            TRY(verify_run(&source, level, i, why));
        }
    }
    sp_merkle tree;
    TRY(sp_merkle_load(&source, size, &tree));
    sp_hash root = sp_merkle_root(&tree);
    sp_hash mine = sp_merkle_root(sp_journal_tree(store));
    if (size == sp_journal_size(store) && !sp_hash_eq(&root, &mine)) {
        sp_buf_text(why, "the stored hashes are not those of the tree");
        return sp_fail(SP_ECORRUPT);
    }
    return sp_ok();
}

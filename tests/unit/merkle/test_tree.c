/* SPDX-License-Identifier: Apache-2.0
 * The tree against the RFC 6962 reference vectors and against the definition, written out.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC RFC 6962 2.1.
 */
#include "lib/base/buf.h"
#include "lib/merkle/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

enum { LEAVES = 600 };

static sp_hash leaves[LEAVES];
static sp_hash runs[LEAVES / SP_MERKLE_TILE_WIDTH];

/* RFC 6962 2.1, as it stands there. */
static sp_hash definition(const sp_hash *from, size_t count)
{
    if (count == 1) {
        return from[0];
    }
    size_t k = 1;
    while (k * 2 < count) {
        k *= 2;
    }
    sp_hash left = definition(from, k);
    sp_hash right = definition(from + k, count - k);
    return sp_merkle_node(&left, &right);
}

static sp_err read_stored(void *self, unsigned tile_level, uint64_t index, size_t count,
                          sp_hash *ret_hashes)
{
    (void)self;
    const sp_hash *row = tile_level == 0 ? leaves : runs;
    size_t have = tile_level == 0 ? LEAVES : SP_COUNT(runs);
    if (tile_level > 1 || index + count > have) {
        return sp_fail(SP_EINVALID);
    }
    sp_copy(ret_hashes, row + index, count * sizeof(*row));
    return sp_ok();
}

static const sp_merkle_source source = {read_stored, NULL};

static int fill(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEAVES; i++) {
        uint8_t data[2] = {(uint8_t)(i >> 8), (uint8_t)i};
        leaves[i] = sp_merkle_leaf((sp_span){data, sizeof(data)});
    }
    for (size_t i = 0; i < SP_COUNT(runs); i++) {
        runs[i] = definition(leaves + i * SP_MERKLE_TILE_WIDTH, SP_MERKLE_TILE_WIDTH);
    }
    return 0;
}

static void hex_is(const sp_hash *hash, const char *hex)
{
    auto_buf sp_buf text = sp_buf_make(128);
    sp_buf_hex(&text, sp_hash_borrow(hash));
    assert_true(sp_span_eq(sp_buf_borrow(&text), sp_span_cstr(hex)));
}

static void test_reference_vectors(void **state)
{
    (void)state;
    static const char *const inputs[] = {"",
                                         "00",
                                         "10",
                                         "2021",
                                         "3031",
                                         "40414243",
                                         "5051525354555657",
                                         "606162636465666768696a6b6c6d6e6f"};
    static const char *const roots[] = {
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
    sp_merkle tree = {0};
    sp_hash root = sp_merkle_root(&tree);
    hex_is(&root, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (size_t i = 0; i < SP_COUNT(inputs); i++) {
        auto_buf sp_buf data = sp_buf_make(64);
        assert_false(sp_failed(sp_buf_unhex(&data, sp_span_cstr(inputs[i]))));
        sp_hash leaf = sp_merkle_leaf(sp_buf_borrow(&data));
        sp_hash full[SP_MERKLE_TILE_LEVELS];
        assert_int_equal(sp_merkle_add(&tree, &leaf, full), 0);
        root = sp_merkle_root(&tree);
        hex_is(&root, roots[i]);
    }
}

static void test_incremental_is_the_definition(void **state)
{
    (void)state;
    sp_merkle tree = {0};
    size_t seen = 0;
    for (size_t n = 1; n <= LEAVES; n++) {
        sp_hash full[SP_MERKLE_TILE_LEVELS];
        unsigned count = sp_merkle_add(&tree, &leaves[n - 1], full);
        assert_int_equal(count, n % SP_MERKLE_TILE_WIDTH == 0 ? 1 : 0);
        if (count > 0) {
            assert_true(sp_hash_eq(&full[0], &runs[seen]));
            sp_hash folded =
                sp_merkle_fold(leaves + seen * SP_MERKLE_TILE_WIDTH, SP_MERKLE_TILE_WIDTH);
            assert_true(sp_hash_eq(&full[0], &folded));
            seen++;
        }
        sp_hash want = definition(leaves, n);
        sp_hash root = sp_merkle_root(&tree);
        assert_true(sp_hash_eq(&root, &want));
        sp_merkle loaded;
        assert_false(sp_failed(sp_merkle_load(&source, n, &loaded)));
        root = sp_merkle_root(&loaded);
        assert_true(sp_hash_eq(&root, &want));
    }
    assert_int_equal(seen, LEAVES / SP_MERKLE_TILE_WIDTH);
}

static void test_every_inclusion(void **state)
{
    (void)state;
    static const size_t sizes[] = {1,   2,   3,   5,   7,   8,   64,  100,
                                   255, 256, 257, 300, 511, 512, 513, 600};
    for (size_t s = 0; s < SP_COUNT(sizes); s++) {
        sp_hash root = definition(leaves, sizes[s]);
        for (uint64_t i = 0; i < sizes[s]; i++) {
            sp_merkle_path path;
            assert_false(sp_failed(sp_merkle_inclusion(&source, i, sizes[s], &path)));
            assert_true(
                sp_merkle_includes(&leaves[i], i, sizes[s], path.hashes, path.count, &root));
            /* another leaf, place, size or a changed path proves nothing */
            size_t other = (i + 1) % LEAVES;
            assert_false(
                sp_merkle_includes(&leaves[other], i, sizes[s], path.hashes, path.count, &root));
            assert_false(sp_merkle_includes(&leaves[i], i + sizes[s], sizes[s], path.hashes,
                                            path.count, &root));
            if (path.count > 0) {
                assert_false(sp_merkle_includes(&leaves[i], i, sizes[s], path.hashes,
                                                path.count - 1, &root));
                path.hashes[path.count - 1].bytes[0] ^= 1;
                assert_false(
                    sp_merkle_includes(&leaves[i], i, sizes[s], path.hashes, path.count, &root));
            }
        }
        sp_merkle_path path;
        assert_int_equal(sp_merkle_inclusion(&source, sizes[s], sizes[s], &path).code, SP_EINVALID);
    }
}

static void test_every_consistency(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 2, 3, 4, 6, 7, 8, 63, 64, 65, 200, 256, 257, 511, 512, 600};
    for (size_t b = 0; b < SP_COUNT(sizes); b++) {
        sp_hash new_root = definition(leaves, sizes[b]);
        for (uint64_t a = 1; a <= sizes[b]; a++) {
            sp_hash old_root = definition(leaves, a);
            sp_merkle_path path;
            assert_false(sp_failed(sp_merkle_consistency(&source, a, sizes[b], &path)));
            assert_true(
                sp_merkle_extends(a, &old_root, sizes[b], &new_root, path.hashes, path.count));
            sp_hash forked = old_root;
            forked.bytes[31] ^= 1;
            assert_false(
                sp_merkle_extends(a, &forked, sizes[b], &new_root, path.hashes, path.count));
            assert_false(sp_merkle_extends(sizes[b] + 1, &old_root, sizes[b], &new_root,
                                           path.hashes, path.count));
            if (path.count > 0) {
                path.hashes[0].bytes[0] ^= 1;
                assert_false(
                    sp_merkle_extends(a, &old_root, sizes[b], &new_root, path.hashes, path.count));
                assert_false(sp_merkle_extends(a, &old_root, sizes[b], &new_root, path.hashes, 0));
            }
        }
    }
    sp_merkle_path path;
    assert_int_equal(sp_merkle_consistency(&source, 3, 2, &path).code, SP_EINVALID);
    assert_false(sp_failed(sp_merkle_consistency(&source, 0, 5, &path)));
    assert_int_equal(path.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_vectors),
        cmocka_unit_test(test_incremental_is_the_definition),
        cmocka_unit_test(test_every_inclusion),
        cmocka_unit_test(test_every_consistency),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Tests of checkpoint signing with real trees: growth is signed; forks, rewrites, roll-backs and a
 * lost state file are not, across restarts of the vault.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC vault/checkpoint.h.
 */
#include "infra/crypto/random.h"
#include "infra/proc/file.h"
#include "lib/merkle/note.h"
#include "lib/merkle/tree.h"
#include "tests/unit/cm.h"
#include "vault/checkpoint.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LEAVES = 300, NOW = 1790000000 };

typedef struct {
    char dir[64];
    sp_key master;
    sp_keyring *ring;
    uv_loop_t loop;
    sp_checkpoints *checkpoints;
    sp_hash leaves[LEAVES];
    /* the last answer */
    sp_err err;
    sp_buf note;
    bool answered;
} place;

/* ---- a tree ---- */

static sp_err read_hashes(void *self, unsigned tile_level, uint64_t index, size_t count,
                          sp_hash *ret_hashes)
{
    const place *it = self;
    for (size_t i = 0; i < count; i++) {
        size_t at = (size_t)index + i;
        if (tile_level == 0) {
            ret_hashes[i] = it->leaves[at];
        } else if (tile_level == 1 && (at + 1) * 256 <= LEAVES) {
            ret_hashes[i] = sp_merkle_fold(&it->leaves[at * 256], 256);
        } else {
            return sp_fail(SP_ENOTFOUND);
        }
    }
    return sp_ok();
}

static void grow_leaves(place *it, size_t from, uint8_t salt)
{
    for (size_t i = from; i < LEAVES; i++) {
        uint8_t data[3] = {(uint8_t)i, (uint8_t)(i >> 8), salt};
        it->leaves[i] = sp_merkle_leaf(sp_span_of(data, sizeof(data)));
    }
}

static sp_vault_checkpoint question(place *it, uint64_t old_size, uint64_t new_size)
{
    sp_merkle_source source = {read_hashes, it};
    sp_merkle tree = {0};
    sp_merkle_path path = {0};
    sp_vault_checkpoint ask = {.old_size = old_size, .new_size = new_size};
    assert_ok(sp_merkle_load(&source, new_size, &tree));
    ask.new_root = sp_merkle_root(&tree);
    assert_ok(sp_merkle_consistency(&source, old_size, new_size, &path));
    ask.proof_count = path.count;
    for (size_t i = 0; i < path.count; i++) {
        ask.proof[i] = path.hashes[i];
    }
    return ask;
}

/* ---- the vault's part ---- */

static void on_signed(void *self, sp_err err, sp_span note)
{
    place *it = self;
    it->err = err;
    it->answered = true;
    sp_buf_reset(&it->note);
    sp_buf_span(&it->note, note);
}

static sp_code ask_for(place *it, const sp_vault_checkpoint *ask)
{
    it->answered = false;
    sp_checkpoints_sign(it->checkpoints, ask, on_signed, it);
    uv_run(&it->loop, UV_RUN_DEFAULT);
    assert_true(it->answered);
    return it->err.code;
}

static sp_code sign(place *it, uint64_t old_size, uint64_t new_size)
{
    sp_vault_checkpoint ask = question(it, old_size, new_size);
    return ask_for(it, &ask);
}

static void start(place *it)
{
    bool made = false;
    assert_ok(sp_keyring_open(it->dir, &it->master, &it->ring));
    assert_ok(sp_checkpoints_new(&it->loop, it->ring, SP_SPAN_LIT("office.example"), NOW, &made,
                                 &it->checkpoints));
    assert_ok(sp_keyring_save(it->ring));
    assert_ok(sp_checkpoints_start(it->checkpoints));
}

static void stop(place *it)
{
    sp_checkpoints_free(it->checkpoints);
    sp_keyring_free(it->ring);
}

static int set_up(void **state)
{
    static place it;
    it = (place){.dir = "/tmp/sp-tree-XXXXXX", .note = sp_buf_make(SP_VAULT_NOTE_MAX_BYTES)};
    assert_ok(sp_crypto_start());
    assert_non_null(mkdtemp(it.dir));
    it.master = sp_key_new();
    assert_int_equal(uv_loop_init(&it.loop), 0);
    grow_leaves(&it, 0, 0);
    start(&it);
    *state = &it;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static int tear_down(void **state)
{
    place *it = *state;
    stop(it);
    sp_buf_done(&it->note);
    assert_int_equal(uv_loop_close(&it->loop), 0);
    nftw(it->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return 0;
}

/* ---- tests ---- */

static void check_note(place *it, uint64_t size)
{
    sp_note note;
    sp_checkpoint checkpoint;
    sp_note_key key;
    sp_vault_checkpoint_last last;
    assert_ok(sp_checkpoints_last(it->checkpoints, &last));
    assert_ok(sp_note_key_parse(last.verifier_key, &key));
    assert_ok(sp_note_parse(sp_buf_borrow(&it->note), &note));
    assert_ok(sp_checkpoint_parse(note.text, &checkpoint));
    assert_true(checkpoint.size == size && last.size == size);
    assert_true(sp_hash_eq(&checkpoint.root, &last.root));
    const sp_note_sig *sig = sp_note_find(&note, &key);
    assert_non_null(sig);
    sp_verify_key verify;
    sp_signature signature;
    sp_copy(verify.bytes, key.key, sizeof(verify.bytes));
    assert_int_equal(sig->len, sizeof(signature.bytes));
    sp_copy(signature.bytes, sig->bytes, sig->len);
    assert_true(sp_verify(&verify, note.text, &signature));
}

static void signs_what_grows(void **state)
{
    place *it = *state;
    static const uint64_t sizes[] = {0, 1, 2, 3, 7, 8, 64, 100, 256, 257, 300};
    for (size_t i = 1; i < SP_COUNT(sizes); i++) {
        assert_int_equal(sign(it, sizes[i - 1], sizes[i]), SP_OK);
        check_note(it, sizes[i]);
    }
    assert_int_equal(sign(it, 300, 300), SP_OK); /* the same one again */
    check_note(it, 300);
}

static void refuses_fork_and_rollback(void **state)
{
    place *it = *state;
    assert_int_equal(sign(it, 0, 100), SP_OK);
    assert_int_equal(sign(it, 100, 200), SP_OK);
    assert_int_equal(sign(it, 100, 250), SP_ECONFLICT); /* forgets what was signed */
    assert_int_equal(sign(it, 0, 50), SP_ECONFLICT);    /* begins again */
    assert_int_equal(sign(it, 0, 200), SP_ECONFLICT);
    grow_leaves(it, 150, 1); /* entries that are signed for are rewritten */
    assert_int_equal(sign(it, 200, 300), SP_ECONFLICT);
    assert_int_equal(sign(it, 200, 200), SP_ECONFLICT);
    grow_leaves(it, 150, 0);
    sp_vault_checkpoint ask = question(it, 200, 300);
    ask.proof[0].bytes[0] ^= 1;
    assert_int_equal(ask_for(it, &ask), SP_ECONFLICT);
    ask = question(it, 200, 300);
    ask.proof_count--;
    assert_int_equal(ask_for(it, &ask), SP_ECONFLICT);
    ask = question(it, 200, 300);
    ask.new_root.bytes[5] ^= 1;
    assert_int_equal(ask_for(it, &ask), SP_ECONFLICT);
    assert_int_equal(sign(it, 200, 300), SP_OK); /* and the true one still goes */
}

static void remembers_over_a_restart(void **state)
{
    place *it = *state;
    assert_int_equal(sign(it, 0, 200), SP_OK);
    stop(it);
    start(it);
    assert_int_equal(sign(it, 0, 100), SP_ECONFLICT);
    assert_int_equal(sign(it, 200, 201), SP_OK);
    check_note(it, 201);
}

static void signs_nothing_without_its_memory(void **state)
{
    place *it = *state;
    char path[128];
    auto_buf sp_buf kept = sp_buf_make(8192);
    assert_int_equal(sign(it, 0, 200), SP_OK);
    snprintf(path, sizeof(path), "%s/checkpoint", it->dir);
    assert_ok(sp_file_read(path, &kept));
    assert_int_equal(unlink(path), 0);
    stop(it);
    start(it); /* the key is there, the memory is not */
    assert_false(sp_checkpoints_usable(it->checkpoints));
    assert_int_equal(sign(it, 0, 100), SP_ECORRUPT);
    kept.ptr[kept.len / 2] ^= 1;
    assert_ok(sp_file_replace(path, 0600, sp_buf_borrow(&kept)));
    stop(it);
    start(it);
    assert_int_equal(sign(it, 0, 100), SP_ECORRUPT);
    kept.ptr[kept.len / 2] ^= 1;
    assert_ok(sp_file_replace(path, 0600, sp_buf_borrow(&kept)));
    stop(it);
    start(it);
    assert_int_equal(sign(it, 200, 300), SP_OK);
}

static void writes_one_at_a_time(void **state)
{
    place *it = *state;
    sp_vault_checkpoint first = question(it, 0, 10);
    sp_vault_checkpoint second = question(it, 0, 20);
    sp_checkpoints_sign(it->checkpoints, &first, on_signed, it);
    it->answered = false;
    sp_checkpoints_sign(it->checkpoints, &second, on_signed, it);
    assert_true(it->answered && it->err.code == SP_EAGAIN);
    uv_run(&it->loop, UV_RUN_DEFAULT);
    assert_true(it->err.code == SP_OK);
    check_note(it, 10);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(signs_what_grows),         TEST(refuses_fork_and_rollback),
        TEST(remembers_over_a_restart), TEST(signs_nothing_without_its_memory),
        TEST(writes_one_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

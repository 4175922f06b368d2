/* SPDX-License-Identifier: Apache-2.0
 * Tests of the vault's part of a backup: sealed for one seed, put under another master key, and
 * which of two memories of the ledger wins.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC vault/export.h, infra/proc/entry.h.
 */
#include "infra/crypto/random.h"
#include "infra/proc/entry.h"
#include "infra/proc/file.h"
#include "lib/merkle/tree.h"
#include "tests/unit/cm.h"
#include "vault/export.h"
#include "vault/master.h"
#include "vault/wrap.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOW = 1790000000 };
static char office[] = "office.example";
static char bank[] = "bank.example";

typedef struct {
    char base[64];
    char dir[96]; /* <base>/vault, as the role has it */
    sp_config config;
    sp_key seed;
    sp_buf exported;
    sp_restore ask;
    sp_buf wrapped;
} place;

static sp_keyring *ring_here(const place *it)
{
    sp_key master;
    const char *word = NULL;
    sp_keyring *ring = NULL;
    auto_buf sp_buf why = sp_buf_make(1024);
    assert_ok(sp_master_load(it->dir, !sp_keyring_exists(it->dir), &master, &word, &why));
    assert_ok(sp_keyring_open(it->dir, &master, &ring));
    return ring;
}

static sp_keyring *fresh_ring(const place *it)
{
    bool made = false;
    sp_keyring *ring = ring_here(it);
    assert_ok(sp_wrap_prepare(ring, NOW, &made));
    assert_ok(sp_checkpoint_next_log(ring, NOW));
    assert_ok(sp_keyring_save(ring));
    return ring;
}

static sp_checkpoint_head head_of(uint64_t size)
{
    return (sp_checkpoint_head){.size = size, .root = sp_merkle_leaf(SP_SPAN_LIT("x"))};
}

/* An office whose vault was exported and lost: the directory is empty again. */
static int set_up(void **state)
{
    static place it;
    it = (place){.base = "/tmp/sp-export-XXXXXX", .exported = sp_buf_make(SP_MSG_MAX_BYTES)};
    it.wrapped = sp_buf_make(1024);
    assert_ok(sp_crypto_start());
    assert_non_null(mkdtemp(it.base));
    snprintf(it.dir, sizeof(it.dir), "%s/vault", it.base);
    assert_int_equal(mkdir(it.dir, 0700), 0);
    it.config = (sp_config){.domain = office, .state_dir = it.base};
    it.seed = sp_key_new();
    sp_keyring *ring = fresh_ring(&it);
    sp_checkpoint_head head = head_of(40);
    sp_box_public to = sp_box_public_of(&it.seed);
    assert_ok(sp_export_make(ring, &head, SP_SPAN_LIT("office.example"), &to, NOW, &it.exported));
    sp_vault_wrap secret = {SP_SPAN_LIT("person 7"), SP_SPAN_LIT("one-time secret")};
    assert_ok(sp_wrap(ring, "core", &secret, &it.wrapped));
    sp_keyring_free(ring);
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

static void empty(const place *it)
{
    nftw(it->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    assert_int_equal(mkdir(it->dir, 0700), 0);
}

static int tear_down(void **state)
{
    place *it = *state;
    sp_buf_done(&it->exported);
    sp_buf_done(&it->wrapped);
    nftw(it->base, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return 0;
}

static sp_err restore(place *it, sp_restore_step step, bool new_ledger)
{
    sp_vault_exported exported;
    assert_ok(sp_vault_exported_decode(sp_buf_borrow(&it->exported), &exported));
    it->ask = (sp_restore){
        .config = &it->config, .step = step, .new_ledger = new_ledger, .exported = exported.sealed};
    sp_copy(it->ask.seed, it->seed.bytes, sizeof(it->ask.seed));
    return sp_vault_restore(&it->ask);
}

static void opens_what_was_wrapped(const place *it)
{
    auto_buf sp_buf plain = sp_buf_make(1024);
    sp_keyring *ring = ring_here(it);
    sp_vault_wrap back = {SP_SPAN_LIT("person 7"), sp_buf_borrow(&it->wrapped)};
    assert_ok(sp_unwrap(ring, "core", &back, &plain));
    assert_span_text(sp_buf_borrow(&plain), "one-time secret");
    sp_keyring_free(ring);
}

static sp_checkpoint_head head_here(const place *it)
{
    sp_checkpoint_head head;
    sp_keyring *ring = ring_here(it);
    assert_ok(sp_checkpoint_load(ring, &head));
    sp_keyring_free(ring);
    return head;
}

static void moves_to_an_empty_machine(void **state)
{
    place *it = *state;
    empty(it);
    assert_ok(restore(it, SP_RESTORE_LOOK, false));
    assert_ok(restore(it, SP_RESTORE_CHECK, false));
    assert_false(sp_keyring_exists(it->dir)); /* looking changes nothing */
    assert_int_equal(rmdir(it->dir), 0);      /* not even a master key */
    assert_int_equal(mkdir(it->dir, 0700), 0);
    assert_ok(restore(it, SP_RESTORE_DO, false));
    assert_int_equal(it->ask.entries, 40);
    opens_what_was_wrapped(it);
    assert_int_equal(head_here(it).size, 40);
}

static void takes_the_place_of_another_vault(void **state)
{
    place *it = *state;
    char beside[128];
    empty(it);
    sp_keyring_free(fresh_ring(it));
    assert_ok(restore(it, SP_RESTORE_DO, true));
    opens_what_was_wrapped(it);
    snprintf(beside, sizeof(beside), "%s/keyring.before-restore", it->dir);
    assert_int_equal(access(beside, F_OK), 0);
    assert_int_equal(head_here(it).size, 0);
    sp_keyring *ring = ring_here(it);
    assert_int_equal(sp_checkpoint_log(ring), 2);
    sp_keyring_free(ring);
    assert_ok(restore(it, SP_RESTORE_DO,
                      false)); /* the second log, at 0, is newer than 40 of the first */
    assert_int_equal(head_here(it).size, 0);
}

static void the_same_vault_keeps_its_newer_memory(void **state)
{
    place *it = *state;
    sp_checkpoint_head newer = head_of(50);
    sp_checkpoint_head older = head_of(30);
    sp_keyring *ring = ring_here(it);
    assert_ok(sp_checkpoint_store(ring, &newer));
    assert_ok(restore(it, SP_RESTORE_DO, false));
    assert_int_equal(head_here(it).size, 50);
    assert_ok(sp_checkpoint_store(ring, &older)); /* rolled back */
    assert_ok(restore(it, SP_RESTORE_DO, false));
    assert_int_equal(head_here(it).size, 40);
    sp_keyring_free(ring);
}

static void refuses_other_keys_and_other_offices(void **state)
{
    place *it = *state;
    for (size_t i = 0; i < it->exported.len; i += 97) {
        it->exported.ptr[it->exported.len - 1 - i] ^= 1;
        if (it->exported.len - 1 - i > 100) {
            assert_fails(restore(it, SP_RESTORE_LOOK, false), SP_ECORRUPT);
        }
        it->exported.ptr[it->exported.len - 1 - i] ^= 1;
    }
    sp_key seed = it->seed;
    it->seed = sp_key_new();
    assert_fails(restore(it, SP_RESTORE_LOOK, false), SP_ECORRUPT);
    it->seed = seed;
    it->config.domain = bank;
    assert_fails(restore(it, SP_RESTORE_CHECK, false), SP_EINVALID);
    assert_non_null(strstr(it->ask.said, "bank.example"));
}

static void reads_only_whole_exports(void **state)
{
    place *it = *state;
    sp_vault_exported exported;
    sp_export export;
    auto_buf sp_buf plain = sp_buf_make(SP_EXPORT_PLAIN_MAX_BYTES);
    sp_keyring *ring = NULL;
    sp_key master = sp_key_new();
    assert_ok(sp_vault_exported_decode(sp_buf_borrow(&it->exported), &exported));
    assert_ok(sp_export_open(&it->seed, exported.sealed, &plain, &export));
    assert_true(export.created_unix_s == NOW && export.head.size == 40);
    for (size_t len = 0; len < plain.len; len++) {
        sp_err err = sp_export_read(sp_span_of(plain.ptr, len), &export);
        assert_true(sp_failed(err) ||
                    sp_failed(sp_keyring_of(it->dir, &master, export.keys, &ring)));
    }
    plain.ptr[4] = 9;
    assert_fails(sp_export_read(sp_buf_borrow(&plain), &export), SP_EUNSUPPORTED);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(moves_to_an_empty_machine, set_up, tear_down),
        cmocka_unit_test_setup_teardown(takes_the_place_of_another_vault, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_same_vault_keeps_its_newer_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_other_keys_and_other_offices, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reads_only_whole_exports, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

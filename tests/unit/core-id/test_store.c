/* SPDX-License-Identifier: Apache-2.0
 * Tests of the store: migrations, transactions, sticky queries, corruption, copies.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC infra/store/store.h.
 */
#include "infra/store/store.h"
#include "tests/unit/cm.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const steps[] = {
    "CREATE TABLE thing (id BIGINT PRIMARY KEY, name TEXT NOT NULL UNIQUE, data BYTEA)",
    "ALTER TABLE thing ADD COLUMN bits BIGINT NOT NULL DEFAULT 0",
};

typedef struct {
    char dir[64];
    char path[96];
    sp_store *store;
} place;

static int set_up(void **state)
{
    static place at;
    at = (place){0};
    snprintf(at.dir, sizeof(at.dir), "/tmp/sp-store-XXXXXX");
    assert_non_null(mkdtemp(at.dir));
    snprintf(at.path, sizeof(at.path), "%s/a.db", at.dir);
    auto_buf sp_buf why = sp_buf_make(1000);
    assert_ok(sp_store_open(at.path, &why, &at.store));
    assert_ok(sp_store_migrate(at.store, "test", steps, 2));
    *state = &at;
    return 0;
}

static int tear_down(void **state)
{
    place *at = *state;
    const char *const ends[] = {"", "-wal", "-shm", ".copy"};
    sp_store_close(at->store);
    for (size_t i = 0; i < SP_COUNT(ends); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s%s", at->path, ends[i]);
        unlink(path);
    }
    return rmdir(at->dir);
}

static sp_err add(sp_store *store, uint64_t id, const char *name, uint64_t bits)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    auto_query sp_query q =
        sp_query_of(store, "INSERT INTO thing (id, name, data, bits) VALUES ($1, $2, $3, $4)");
    sp_bind_u64(&q, id);
    sp_bind_text(&q, sp_span_cstr(name));
    sp_bind_blob(&q, SP_SPAN_LIT("\0\1\2"));
    sp_bind_bits(&q, bits);
    TRY(sp_query_finish(&q));
    return sp_txn_commit(&txn);
}

static uint64_t count(sp_store *store)
{
    auto_query sp_query q = sp_query_of(store, "SELECT COUNT(*) FROM thing");
    uint64_t rows = sp_query_row(&q) ? sp_col_u64(&q) : UINT64_MAX;
    assert_ok(sp_query_finish(&q));
    return rows;
}

static void keeps_what_it_is_given(void **state)
{
    place *at = *state;
    assert_ok(add(at->store, 7, "seven", UINT64_MAX - 1));
    auto_query sp_query q =
        sp_query_of(at->store, "SELECT name, data, bits FROM thing WHERE id = $1");
    sp_bind_u64(&q, 7);
    assert_true(sp_query_row(&q));
    assert_span_text(sp_col_text(&q), "seven");
    assert_int_equal(sp_col_blob(&q).len, 3);
    assert_true(sp_col_bits(&q) == UINT64_MAX - 1);
    assert_false(sp_query_row(&q));
    assert_ok(sp_query_finish(&q));
}

static void says_what_is_taken(void **state)
{
    place *at = *state;
    assert_ok(add(at->store, 1, "one", 0));
    assert_fails(add(at->store, 1, "two", 0), SP_EEXISTS);
    assert_fails(add(at->store, 2, "one", 0), SP_EEXISTS);
    assert_int_equal(count(at->store), 1);
}

static void rolls_back_what_is_left(void **state)
{
    place *at = *state;
    {
        auto_txn sp_txn txn = sp_txn_begin(at->store);
        assert_ok(txn.err);
        auto_query sp_query q =
            sp_query_of(at->store, "INSERT INTO thing (id, name) VALUES (1, 'x')");
        assert_ok(sp_query_finish(&q));
    }
    assert_int_equal(count(at->store), 0);
}

static sp_err rename_alone(sp_store *store, uint64_t id, const char *name, bool leaves)
{
    auto_query sp_query q = sp_query_alone(store, "UPDATE thing SET name = $1 WHERE id = $2");
    sp_bind_text(&q, sp_span_cstr(name));
    sp_bind_u64(&q, id);
    return leaves ? sp_fail(SP_EAGAIN) : sp_query_finish_changed(&q);
}

static bool is_called(sp_store *store, const char *name)
{
    auto_query sp_query q = sp_query_of(store, "SELECT id FROM thing WHERE name = $1");
    sp_bind_text(&q, sp_span_cstr(name));
    return sp_query_row(&q);
}

/* It is there for another handle when it has ended; what failed or was left leaves nothing open. */
static void a_write_may_stand_alone(void **state)
{
    place *at = *state;
    auto_buf sp_buf why = sp_buf_make(1000);
    sp_store *other = NULL;
    assert_ok(add(at->store, 1, "one", 0));
    assert_ok(add(at->store, 2, "two", 0));
    assert_ok(rename_alone(at->store, 1, "first", false));
    assert_ok(sp_store_open(at->path, &why, &other));
    assert_true(is_called(other, "first"));
    assert_fails(rename_alone(at->store, 1, "two", false), SP_EEXISTS);
    assert_fails(rename_alone(at->store, 7, "none", false), SP_ENOTFOUND);
    assert_fails(rename_alone(at->store, 1, "left", true), SP_EAGAIN);
    assert_false(is_called(at->store, "left"));
    sp_txn txn = sp_txn_begin(at->store);
    assert_ok(txn.err);
    assert_fails(rename_alone(at->store, 1, "within", false), SP_EINTERNAL);
    assert_ok(sp_txn_commit(&txn)); /* of whoever began it */
    assert_false(is_called(other, "within"));
    sp_store_close(other);
}

static void refuses_a_write_outside_a_transaction(void **state)
{
    place *at = *state;
    auto_query sp_query q = sp_query_of(at->store, "INSERT INTO thing (id, name) VALUES (1, 'x')");
    assert_fails(sp_query_finish(&q), SP_EINTERNAL);
    assert_int_equal(count(at->store), 0);
}

static void refuses_what_does_not_fit(void **state)
{
    place *at = *state;
    auto_query sp_query nul = sp_query_of(at->store, "SELECT 1 FROM thing WHERE name = $1");
    sp_bind_text(&nul, SP_SPAN_LIT("a\0b"));
    assert_false(sp_query_row(&nul));
    assert_fails(sp_query_finish(&nul), SP_EINVALID);
    auto_query sp_query large = sp_query_of(at->store, "SELECT 1 FROM thing WHERE id = $1");
    sp_bind_u64(&large, UINT64_MAX);
    assert_fails(sp_query_finish(&large), SP_ELIMIT);
    auto_query sp_query unbound = sp_query_of(at->store, "SELECT 1 FROM thing WHERE id = $1");
    assert_false(sp_query_row(&unbound));
    assert_fails(sp_query_finish(&unbound), SP_EINTERNAL);
    auto_query sp_query order =
        sp_query_of(at->store, "SELECT 1 FROM thing WHERE id = $2 AND name = $1");
    assert_fails(sp_query_finish(&order), SP_EINTERNAL);
    auto_query sp_query wrong = sp_query_of(at->store, "SELECT nothing FROM nowhere");
    assert_fails(sp_query_finish(&wrong), SP_EINTERNAL);
}

static void one_statement_runs_inside_itself(void **state)
{
    static const char *const sql = "SELECT id FROM thing ORDER BY id";
    place *at = *state;
    assert_ok(add(at->store, 1, "a", 0));
    assert_ok(add(at->store, 2, "b", 0));
    auto_query sp_query outer = sp_query_of(at->store, sql);
    unsigned seen = 0;
    while (sp_query_row(&outer)) {
        auto_query sp_query inner = sp_query_of(at->store, sql);
        while (sp_query_row(&inner)) {
            seen++;
        }
        assert_ok(sp_query_finish(&inner));
    }
    assert_ok(sp_query_finish(&outer));
    assert_int_equal(seen, 4);
}

static void migrates_forward_only(void **state)
{
    place *at = *state;
    assert_ok(sp_store_migrate(at->store, "test", steps, 2)); /* nothing to do */
    assert_fails(sp_store_migrate(at->store, "test", steps, 1), SP_EUNSUPPORTED);
    const char *const bad[] = {"CREATE TABLE first (id BIGINT)", "CREATE TABLE nonsense ("};
    assert_true(sp_failed(sp_store_migrate(at->store, "bad", bad, 2)));
    auto_query sp_query q = sp_query_of(at->store, "SELECT id FROM first");
    assert_fails(sp_query_finish(&q), SP_EINTERNAL); /* all steps or none */
}

static void copies_while_open(void **state)
{
    place *at = *state;
    char copy[128];
    snprintf(copy, sizeof(copy), "%s.copy", at->path);
    assert_ok(add(at->store, 5, "five", 0));
    assert_ok(sp_store_copy(at->store, copy));
    assert_fails(sp_store_copy(at->store, copy), SP_EEXISTS);
    auto_buf sp_buf why = sp_buf_make(1000);
    sp_store *second = NULL;
    assert_ok(sp_store_open(copy, &why, &second));
    assert_int_equal(count(second), 1);
    sp_store_close(second);
    char beside[160];
    snprintf(beside, sizeof(beside), "%s-wal", copy);
    unlink(beside);
    snprintf(beside, sizeof(beside), "%s-shm", copy);
    unlink(beside);
}

static void refuses_a_damaged_file(void **state)
{
    place *at = *state;
    for (uint64_t i = 0; i < 2000; i++) {
        char name[32];
        snprintf(name, sizeof(name), "thing number %llu", (unsigned long long)i);
        assert_ok(add(at->store, i, name, i));
    }
    sp_store_close(at->store);
    at->store = NULL;
    int fd = open(at->path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    uint8_t noise[6000];
    sp_set(noise, 0xa5, sizeof(noise));
    assert_int_equal(pwrite(fd, noise, sizeof(noise), 3 * 4096), sizeof(noise));
    close(fd);
    auto_buf sp_buf why = sp_buf_make(1000);
    assert_fails(sp_store_open(at->path, &why, &at->store), SP_ECORRUPT);
    assert_true(sp_buf_borrow(&why).len > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keeps_what_it_is_given, set_up, tear_down),
        cmocka_unit_test_setup_teardown(says_what_is_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rolls_back_what_is_left, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_write_may_stand_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_a_write_outside_a_transaction, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_what_does_not_fit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_statement_runs_inside_itself, set_up, tear_down),
        cmocka_unit_test_setup_teardown(migrates_forward_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(copies_while_open, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_a_damaged_file, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

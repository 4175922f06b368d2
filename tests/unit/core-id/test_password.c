/* SPDX-License-Identifier: Apache-2.0
 * Tests of passwords: what a hash costs, and that the right one opens, a wrong one does not, and
 * nobody's never does. OWNS nothing. PROCESS tests. TRUST none. SPEC core/identity/password.h.
 */
#include "core/backup/archive.h"
#include "core/identity/password.h"
#include "infra/crypto/random.h"
#include "tests/unit/cm.h"

#include <string.h>

#ifdef SP_QUICK_HASHING
static const char COST[] = "$argon2id$v=19$m=64,t=1,p=1$";
enum { ARCHIVE_BYTES = 64 * 1024, ARCHIVE_OPERATIONS = 1 };
#else /* what is shipped */
static const char COST[] = "$argon2id$v=19$m=65536,t=3,p=1$";
enum { ARCHIVE_BYTES = 256 * 1024 * 1024, ARCHIVE_OPERATIONS = 4 };
#endif
static const sp_span RIGHT = {(const uint8_t *)"correct horse battery", 21};

static char hash_of[SP_PASSWORD_HASH_BYTES];
static int right;
static int wrong;

static void hashed(void *self, sp_err err, const char *hash)
{
    (void)self;
    assert_ok(err);
    assert_ok(sp_fit(hash_of, sizeof(hash_of), sp_span_cstr(hash)));
}

static void checked(void *self, sp_err err, bool is_right)
{
    (void)self;
    assert_ok(err);
    right += is_right ? 1 : 0;
    wrong += is_right ? 0 : 1;
}

static void test_a_hash_costs_what_it_says(void **state)
{
    (void)state;
    uv_loop_t loop;
    sp_passwords *passwords = NULL;
    assert_ok(sp_crypto_start());
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_ok(sp_passwords_new(&loop, &passwords));
    assert_ok(sp_password_hash(passwords, RIGHT, hashed, NULL));
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_memory_equal(hash_of, COST, strlen(COST));
    assert_ok(sp_password_check(passwords, RIGHT, hash_of, checked, NULL));
    assert_ok(
        sp_password_check(passwords, SP_SPAN_LIT("correct horse batterz"), hash_of, checked, NULL));
    assert_ok(sp_password_check(passwords, RIGHT, NULL, checked, NULL));
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(right, 1);
    assert_int_equal(wrong, 2);
    sp_passwords_free(passwords);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_a_backup_costs_what_it_says(void **state)
{
    (void)state;
    sp_archive_head head = sp_archive_head_new();
    assert_int_equal(head.memory_bytes, ARCHIVE_BYTES);
    assert_int_equal(head.operations, ARCHIVE_OPERATIONS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_hash_costs_what_it_says),
                                       cmocka_unit_test(test_a_backup_costs_what_it_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Tests of the reader, the arena, SHA-256 and diagnostics.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/base/{reader,arena,sha256,diag}.h.
 */
#include "lib/base/arena.h"
#include "lib/base/diag.h"
#include "lib/base/reader.h"
#include "lib/base/sha256.h"
#include "tests/unit/cm.h"

static void reads_what_was_written(void **state)
{
    (void)state;
    auto_buf sp_buf buf = sp_buf_make(100);
    sp_buf_u8(&buf, 9);
    sp_buf_u16(&buf, 515);
    sp_buf_u32(&buf, 70000);
    sp_buf_u64(&buf, UINT64_C(1) << 40);
    sp_buf_bytes(&buf, SP_SPAN_LIT("name"));
    sp_reader in = sp_reader_of(sp_buf_borrow(&buf));
    assert_int_equal(sp_read_u8(&in), 9);
    assert_int_equal(sp_read_u16(&in), 515);
    assert_int_equal(sp_read_u32(&in), 70000);
    assert_true(sp_read_u64(&in) == UINT64_C(1) << 40);
    assert_span_text(sp_read_bytes(&in, 4), "name");
    assert_ok(sp_reader_finish(&in));
}

static void errors_stick(void **state)
{
    (void)state;
    sp_reader in = sp_reader_of(SP_SPAN_LIT("\x01\x02"));
    assert_int_equal(sp_read_u32(&in), 0);
    assert_int_equal(sp_read_u8(&in), 0); /* nothing more after the first error */
    assert_fails(sp_reader_finish(&in), SP_ESHORT);
    in = sp_reader_of(SP_SPAN_LIT("\x01\x02"));
    assert_int_equal(sp_read_u8(&in), 1);
    assert_fails(sp_reader_finish(&in), SP_EINVALID); /* bytes left over */
    in = sp_reader_of(SP_SPAN_LIT("\x00\x00\x00\x05hello"));
    assert_int_equal(sp_read_bytes(&in, 4).len, 0);
    assert_fails(sp_reader_finish(&in), SP_ELIMIT);
    in = sp_reader_of(SP_SPAN_LIT("\xff\xff\xff\xffhello"));
    assert_int_equal(sp_read_bytes(&in, SIZE_MAX).len, 0);
    assert_fails(sp_reader_finish(&in), SP_ESHORT);
    in = sp_reader_of(SP_SPAN_LIT("\x03"));
    assert_int_equal(sp_read_enum(&in, 3), 0);
    assert_fails(sp_reader_finish(&in), SP_EINVALID);
}

static void arena_is_bounded(void **state)
{
    (void)state;
    auto_arena sp_arena arena = sp_arena_make(100 * 1024);
    uint8_t *a = NULL;
    uint64_t *b = NULL;
    assert_ok(sp_arena_alloc(&arena, 3, 1, &a));
    assert_ok(sp_arena_alloc(&arena, 4, sizeof(*b), &b));
    assert_int_equal((uintptr_t)b % 16, 0);
    assert_int_equal(b[3], 0);
    sp_span copy = SP_SPAN_EMPTY;
    assert_ok(sp_arena_copy(&arena, SP_SPAN_LIT("keep"), &copy));
    assert_span_text(copy, "keep");
    assert_int_equal(copy.ptr[4], 0);
    assert_ok(sp_arena_alloc(&arena, 64 * 1024, 1, &a));
    assert_fails(sp_arena_alloc(&arena, 64 * 1024, 1, &a), SP_ELIMIT);
    assert_fails(sp_arena_alloc(&arena, SIZE_MAX / 2, 4, &a), SP_ELIMIT);
}

static void sha256_vectors(void **state)
{
    (void)state;
    sp_hash hash = sp_sha256(SP_SPAN_LIT("abc"));
    auto_buf sp_buf hex = sp_buf_make(100);
    sp_buf_hex(&hex, sp_hash_borrow(&hash));
    assert_span_text(sp_buf_borrow(&hex),
                     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    const sp_span parts[] = {SP_SPAN_LIT("a"), SP_SPAN_EMPTY, SP_SPAN_LIT("bc")};
    sp_hash same = sp_sha256_parts(parts, SP_COUNT(parts));
    assert_true(sp_hash_eq(&hash, &same));
    same.bytes[31] ^= 1;
    assert_false(sp_hash_eq(&hash, &same));
}

static void diagnostics_name_the_place(void **state)
{
    (void)state;
    auto_diags sp_diags diags = {0};
    sp_diags_add(&diags, SP_DIAG_ERROR, "a.yaml", 3, 7, "unknown key \"%s\"", "ro\nle");
    sp_diags_add(&diags, SP_DIAG_WARNING, NULL, 0, 0, "rule never matches");
    for (int i = 0; i < SP_DIAGS_MAX; i++) {
        sp_diags_add(&diags, SP_DIAG_ERROR, "b.yaml", 1, 1, "again");
    }
    assert_int_equal(diags.count, SP_DIAGS_MAX);
    assert_int_equal(diags.dropped, 2);
    assert_int_equal(diags.errors, SP_DIAGS_MAX + 1);
    auto_buf sp_buf out = sp_buf_make(1 << 20);
    sp_diags_print(&diags, &out);
    assert_true(
        sp_span_starts(sp_buf_borrow(&out), SP_SPAN_LIT("a.yaml:3:7: error: unknown key \"ro?le\"\n"
                                                        "warning: rule never matches\n")));
    assert_true(sp_span_ends(sp_buf_borrow(&out), SP_SPAN_LIT("... and 2 more\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_was_written),     cmocka_unit_test(errors_stick),
        cmocka_unit_test(arena_is_bounded),           cmocka_unit_test(sha256_vectors),
        cmocka_unit_test(diagnostics_name_the_place),
    };
    return cmocka_run_group_tests_name("base reader", tests, NULL, NULL);
}

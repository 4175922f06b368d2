/* SPDX-License-Identifier: Apache-2.0
 * What masked values look like, and that what does not fit its kind shows nothing.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/mask/mask.h.
 */
#include "tests/unit/cm.h"

#include "lib/base/mem.h"
#include "lib/mask/mask.h"

enum { TEXT = 25, VARCHAR = 1043, INT4 = 23, DATE = 1082, JSONB = 3802 };

static const uint8_t key[SP_MASK_KEY_BYTES] = {1, 2, 3};

static void looks(sp_mask kind, const char *value, const char *want)
{
    auto_buf sp_buf out = sp_buf_make(200);
    bool is_null = true;
    sp_mask_value(kind, TEXT, key, sp_span_cstr(value), &out, &is_null);
    assert_false(is_null);
    assert_span_text(sp_buf_borrow(&out), want);
}

static void test_kinds(void **state)
{
    (void)state;
    looks(SP_MASK_FULL, "anything", "***");
    looks(SP_MASK_MOBILE, "13800138000", "138****8000");
    looks(SP_MASK_MOBILE, "+86 138-0013-8000", "138****8000");
    looks(SP_MASK_MOBILE, "1380013800", "***");
    looks(SP_MASK_MOBILE, "13800138000 call me", "***");
    looks(SP_MASK_MAINLAND_ID, "11010519491231002X", "110*************2X");
    looks(SP_MASK_MAINLAND_ID, "11010519491231002", "***");
    looks(SP_MASK_MAINLAND_ID, "1101051949123100XX", "***");
    looks(SP_MASK_BANK_CARD, "6222 0212 3456 7890 123", "************0123");
    looks(SP_MASK_BANK_CARD, "123456789", "***");
    looks(SP_MASK_EMAIL, "li.wei@example.com", "l***@example.com");
    looks(SP_MASK_EMAIL, "no address", "***");
    looks(SP_MASK_EMAIL, "@example.com", "***");
    looks(SP_MASK_NAME, "王小明", "王**");
    looks(SP_MASK_NAME, "Ann", "A**");
    looks(SP_MASK_NAME, "\xff\xfe", "***");
    looks(SP_MASK_NAME, "", "***");
}

static void test_hash(void **state)
{
    (void)state;
    auto_buf sp_buf a = sp_buf_make(100);
    auto_buf sp_buf b = sp_buf_make(100);
    auto_buf sp_buf c = sp_buf_make(100);
    static const uint8_t other[SP_MASK_KEY_BYTES] = {9};
    bool is_null = true;
    sp_mask_value(SP_MASK_HASH, TEXT, key, SP_SPAN_LIT("13800138000"), &a, &is_null);
    sp_mask_value(SP_MASK_HASH, VARCHAR, key, SP_SPAN_LIT("13800138000"), &b, &is_null);
    sp_mask_value(SP_MASK_HASH, TEXT, other, SP_SPAN_LIT("13800138000"), &c, &is_null);
    assert_int_equal(a.len, 16);
    assert_true(sp_span_eq(sp_buf_borrow(&a), sp_buf_borrow(&b)));
    assert_false(sp_span_eq(sp_buf_borrow(&a), sp_buf_borrow(&c)));
}

static void test_types(void **state)
{
    (void)state;
    static const uint32_t types[] = {INT4, DATE, JSONB, 0};
    for (size_t i = 0; i < SP_COUNT(types); i++) {
        auto_buf sp_buf out = sp_buf_make(100);
        bool is_null = false;
        sp_mask_value(SP_MASK_HASH, types[i], key, SP_SPAN_LIT("1"), &out, &is_null);
        assert_true(is_null);
        assert_int_equal(out.len, 0);
    }
    auto_buf sp_buf out = sp_buf_make(100);
    bool is_null = false;
    sp_mask_value(SP_MASK_NULL, TEXT, key, SP_SPAN_LIT("x"), &out, &is_null);
    assert_true(is_null);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kinds), cmocka_unit_test(test_hash),
                                       cmocka_unit_test(test_types)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

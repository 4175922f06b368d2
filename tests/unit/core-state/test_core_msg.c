/* SPDX-License-Identifier: Apache-2.0
 * Messages between gates and core: round trips, every truncation, every limit.
 * OWNS nothing. PROCESS test. TRUST none. SPEC lib/proto/core_msg.h.
 */
#include "lib/proto/core_msg.h"

#include "tests/unit/cm.h"

static sp_span cut(const sp_buf *buf, size_t len)
{
    return sp_span_slice(sp_buf_borrow(buf), 0, len);
}

static void test_hello(void **state)
{
    (void)state;
    auto_buf sp_buf out = sp_buf_make(64);
    sp_core_hello in = {SP_GATE_WEB, SP_CORE_WORKER};
    sp_core_hello back = {0};
    sp_core_hello_write(&in, &out);
    assert_false(sp_failed(sp_core_hello_read(sp_buf_borrow(&out), &back)));
    assert_int_equal(back.gate, SP_GATE_WEB);
    assert_int_equal(back.part, SP_CORE_WORKER);
    const uint8_t none[] = {SP_GATE_NONE, SP_CORE_WORKER};
    assert_int_equal(sp_core_hello_read(sp_span_of(none, 2), &back).code, SP_EINVALID);
    const uint8_t beyond[] = {SP_GATE_COUNT, SP_CORE_WORKER};
    assert_true(sp_failed(sp_core_hello_read(sp_span_of(beyond, 2), &back)));
    const uint8_t long_one[] = {SP_GATE_WEB, SP_CORE_WORKER, 0};
    assert_int_equal(sp_core_hello_read(sp_span_of(long_one, 3), &back).code, SP_EINVALID);
}

static void test_office(void **state)
{
    (void)state;
    auto_buf sp_buf out = sp_buf_make(1024);
    sp_core_office in = {7,
                         3,
                         99,
                         8443,
                         SP_SPAN_LIT("Lantern Trading"),
                         SP_SPAN_LIT("office.localhost"),
                         SP_SPAN_LIT("portal")};
    sp_core_office back = {0};
    sp_core_office_write(&in, &out);
    assert_false(sp_failed(sp_core_office_read(sp_buf_borrow(&out), &back)));
    assert_int_equal(back.gate_id, 7);
    assert_int_equal(back.epoch, 99);
    assert_int_equal(back.public_port, 8443);
    assert_true(sp_span_eq(back.domain, in.domain));
    assert_true(sp_span_eq(back.portal, in.portal));
    for (size_t len = 0; len < out.len; len++) {
        sp_core_office untouched = {.gate_id = 5};
        assert_true(sp_failed(sp_core_office_read(cut(&out, len), &untouched)));
        assert_int_equal(untouched.gate_id, 5);
    }
}

static void test_token(void **state)
{
    (void)state;
    auto_buf sp_buf out = sp_buf_make(8192);
    sp_core_token_ask ask = {12, 0x1122334455667788, SP_SPAN_LIT("wiki")};
    sp_core_token_ask ask_back = {0};
    sp_core_token_ask_write(&ask, &out);
    assert_false(sp_failed(sp_core_token_ask_read(sp_buf_borrow(&out), &ask_back)));
    assert_int_equal(ask_back.session_slot, 12);
    assert_true(ask_back.session_id == ask.session_id);
    for (size_t len = 0; len < out.len; len++) {
        assert_true(sp_failed(sp_core_token_ask_read(cut(&out, len), &ask_back)));
    }
    sp_buf_reset(&out);
    uint8_t name[SP_NAME_MAX_BYTES + 1] = {0};
    ask.resource = sp_span_of(name, sizeof(name));
    sp_core_token_ask_write(&ask, &out);
    assert_int_equal(sp_core_token_ask_read(sp_buf_borrow(&out), &ask_back).code, SP_ELIMIT);

    sp_buf_reset(&out);
    sp_core_token token = {SP_SPAN_LIT("a.b.c"), 1800000000};
    sp_core_token token_back = {0};
    sp_core_token_write(&token, &out);
    assert_false(sp_failed(sp_core_token_read(sp_buf_borrow(&out), &token_back)));
    assert_true(sp_span_eq(token_back.jwt, token.jwt));
    assert_int_equal(token_back.expires_unix_s, 1800000000);
}

static void test_seen(void **state)
{
    (void)state;
    auto_buf sp_buf out = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_core_seen_one items[] = {{1, 10}, {2, 20}, {UINT32_MAX, UINT64_MAX}};
    sp_core_seen back = {0};
    sp_core_seen_write(items, SP_COUNT(items), &out);
    assert_false(sp_failed(sp_core_seen_read(sp_buf_borrow(&out), &back)));
    assert_int_equal(back.count, 3);
    for (uint32_t i = 0; i < back.count; i++) {
        assert_int_equal(sp_core_seen_at(&back, i).session_slot, items[i].session_slot);
        assert_true(sp_core_seen_at(&back, i).session_id == items[i].session_id);
    }
    for (size_t len = 0; len < out.len; len++) {
        assert_true(sp_failed(sp_core_seen_read(cut(&out, len), &back)));
    }
    /* a count that its bytes do not bear out, and one past the limit */
    const uint8_t lies[] = {0, 0, 0, 2, 1, 2, 3};
    assert_true(sp_failed(sp_core_seen_read(sp_span_of(lies, sizeof(lies)), &back)));
    const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff};
    assert_int_equal(sp_core_seen_read(sp_span_of(huge, sizeof(huge)), &back).code, SP_ELIMIT);
    sp_buf_reset(&out);
    sp_core_seen_write(items, SP_CORE_SEEN_MAX + 1, &out);
    assert_int_equal(sp_buf_error(&out).code, SP_ELIMIT);
}

static void test_pushes(void **state)
{
    (void)state;
    auto_buf sp_buf out = sp_buf_make(64);
    sp_core_snapshot snapshot = {41};
    sp_core_snapshot snapshot_back = {0};
    sp_core_snapshot_write(&snapshot, &out);
    assert_false(sp_failed(sp_core_snapshot_read(sp_buf_borrow(&out), &snapshot_back)));
    assert_int_equal(snapshot_back.policy_version, 41);
    sp_core_again again_back = {0};
    assert_false(sp_failed(sp_core_again_read(sp_buf_borrow(&out), &again_back)));
    assert_int_equal(again_back.epoch, 41);
    assert_true(sp_failed(sp_core_again_read(cut(&out, 7), &again_back)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello), cmocka_unit_test(test_office), cmocka_unit_test(test_token),
        cmocka_unit_test(test_seen),  cmocka_unit_test(test_pushes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

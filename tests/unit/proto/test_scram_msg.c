/* SPDX-License-Identifier: Apache-2.0
 * Tests of the client's SCRAM messages: what is read, and what is refused.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC RFC 5802.
 */
#include "lib/proto/scram_msg.h"
#include "tests/unit/cm.h"

static sp_err first_of(const char *text, sp_scram_first *ret)
{
    return sp_scram_first_read(sp_span_cstr(text), ret);
}

static void first_messages(void **state)
{
    (void)state;
    sp_scram_first first;
    assert_ok(first_of("n,,n=user,r=rOprNGfwEbeRWgbNEkqO", &first));
    assert_int_equal(first.bind, SP_SCRAM_BIND_NONE);
    assert_span_text(first.gs2, "n,,");
    assert_span_text(first.bare, "n=user,r=rOprNGfwEbeRWgbNEkqO");
    assert_span_text(first.nonce, "rOprNGfwEbeRWgbNEkqO");
    assert_ok(first_of("y,,n=,r=a,x=later", &first));
    assert_int_equal(first.bind, SP_SCRAM_BIND_NOT_SEEN);
    assert_ok(first_of("p=tls-server-end-point,,n=*,r=a", &first));
    assert_int_equal(first.bind, SP_SCRAM_BIND_END_POINT);
    static const char *const UNKNOWN[] = {"n,a=root,n=u,r=a",
                                          "p=tls-unique,,n=u,r=a",
                                          "p=tls-server-end-point,a=x,n=u,r=a",
                                          "n,,m=x,n=u,r=a",
                                          "",
                                          "n",
                                          "x,,n=u,r=a"};
    for (size_t i = 0; i < SP_COUNT(UNKNOWN); i++) {
        assert_fails(first_of(UNKNOWN[i], &first), SP_EUNSUPPORTED);
    }
    static const char *const WRONG[] = {
        "n,,r=a,n=u", "n,,n=u", "n,,n=u,r=", "n,,n=u,r=a b", "n,,n=u,r=\xc3\xa4", "n,,n=\xff,r=a"};
    for (size_t i = 0; i < SP_COUNT(WRONG); i++) {
        assert_fails(first_of(WRONG[i], &first), SP_EINVALID);
    }
    assert_fails(sp_scram_first_read(sp_span_of("n,,n=u,r=a\0b", 12), &first), SP_EINVALID);
}

static void final_messages(void **state)
{
    (void)state;
    sp_scram_final final;
    static const char GOOD[] = "c=biws,r=ab,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    assert_ok(sp_scram_final_read(sp_span_cstr(GOOD), &final));
    assert_span_text(final.binding, "biws");
    assert_span_text(final.nonce, "ab");
    assert_span_text(final.bare, "c=biws,r=ab");
    assert_int_equal(final.proof[0], 0x74);
    static const char *const WRONG[] = {
        "",
        "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "c=biws,r=ab",
        "c=biws,r=ab,p=",
        "c=biws,r=ab,p=dHzb",
        "r=ab,c=biws,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "c=biws,r=ab,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=,x=1",
        "c=biws,r=ab,p=dHzbZapWIk4jUhN-Ute9ytag9zjfMHgsqmmiz7AndVQ="};
    for (size_t i = 0; i < SP_COUNT(WRONG); i++) {
        assert_true(sp_failed(sp_scram_final_read(sp_span_cstr(WRONG[i]), &final)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_messages),
        cmocka_unit_test(final_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

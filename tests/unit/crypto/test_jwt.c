/* SPDX-License-Identifier: Apache-2.0
 * Tests of signed tokens, read back by our reader and by an independent library (cjose).
 * OWNS nothing. PROCESS tests. TRUST none. SPEC infra/crypto/jwt.h.
 */
#include "infra/crypto/jwt.h"

#include "infra/crypto/random.h"
#include "tests/unit/cm.h"

#include <cjose/cjose.h>

static const char CLAIMS[] = "{\"iss\":\"https://portal.office.example\",\"sub\":\"li\",\"exp\":9}";

typedef struct {
    sp_pkey *key;
    sp_buf token;
} signer;

static int set_up(void **state)
{
    static signer it;
    it = (signer){.token = sp_buf_make(SP_JWT_MAX_BYTES)};
    assert_ok(sp_crypto_start());
    assert_ok(sp_pkey_new_p256(&it.key));
    assert_ok(sp_jwt_sign(it.key, sp_span_cstr(CLAIMS), &it.token));
    *state = &it;
    return 0;
}

static int tear_down(void **state)
{
    signer *it = *state;
    sp_pkey_free(it->key);
    sp_buf_done(&it->token);
    return 0;
}

static void opens_its_own(void **state)
{
    signer *it = *state;
    auto_buf sp_buf claims = sp_buf_make(1024);
    assert_ok(sp_jwt_open(it->key, sp_buf_borrow(&it->token), &claims));
    assert_span_text(sp_buf_borrow(&claims), CLAIMS);
}

static void another_library_verifies_it(void **state)
{
    signer *it = *state;
    auto_buf sp_buf jwk = sp_buf_make(1024);
    cjose_err err;
    assert_ok(sp_jwk_public(it->key, &jwk));
    cjose_jwk_t *key = cjose_jwk_import((const char *)jwk.ptr, jwk.len, &err);
    assert_non_null(key);
    cjose_jws_t *jws = cjose_jws_import((const char *)it->token.ptr, it->token.len, &err);
    assert_non_null(jws);
    assert_true(cjose_jws_verify(jws, key, &err));
    uint8_t *plain = NULL;
    size_t len = 0;
    assert_true(cjose_jws_get_plaintext(jws, &plain, &len, &err));
    assert_span_text(sp_span_of(plain, len), CLAIMS);
    char kid[SP_JWK_KID_BYTES];
    assert_ok(sp_jwk_kid(it->key, kid));
    assert_string_equal(cjose_jwk_get_kid(key, &err), kid);
    cjose_jws_release(jws);
    cjose_jwk_release(key);
}

static void refuses_changes(void **state)
{
    signer *it = *state;
    sp_span token = sp_buf_borrow(&it->token);
    for (size_t i = 0; i < token.len; i++) {
        auto_buf sp_buf claims = sp_buf_make(1024);
        auto_buf sp_buf changed = sp_buf_make(SP_JWT_MAX_BYTES);
        sp_buf_span(&changed, token);
        changed.ptr[i] = changed.ptr[i] == 'A' ? 'B' : 'A';
        assert_true(sp_failed(sp_jwt_open(it->key, sp_buf_borrow(&changed), &claims)));
        assert_int_equal(claims.len, 0);
    }
}

static void refuses_another_algorithm(void **state)
{
    signer *it = *state;
    /* {"alg":"none","typ":"JWT"} with no signature, and HS256 with the public key as the secret */
    static const char *const tokens[] = {
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJsaSJ9.",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJsaSJ9.AAAA",
        "..",
        "",
        "a.b",
    };
    for (size_t i = 0; i < SP_COUNT(tokens); i++) {
        auto_buf sp_buf claims = sp_buf_make(1024);
        assert_true(sp_failed(sp_jwt_open(it->key, sp_span_cstr(tokens[i]), &claims)));
    }
}

static void refuses_another_key(void **state)
{
    signer *it = *state;
    auto_pkey sp_pkey *other = NULL;
    auto_buf sp_buf claims = sp_buf_make(1024);
    assert_ok(sp_pkey_new_p256(&other));
    assert_fails(sp_jwt_open(other, sp_buf_borrow(&it->token), &claims), SP_ECORRUPT);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_its_own),       cmocka_unit_test(another_library_verifies_it),
        cmocka_unit_test(refuses_changes),     cmocka_unit_test(refuses_another_algorithm),
        cmocka_unit_test(refuses_another_key),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

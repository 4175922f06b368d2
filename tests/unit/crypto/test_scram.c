/* SPDX-License-Identifier: Apache-2.0
 * Tests of SCRAM against the published example, and of PostgreSQL's md5 answer.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC RFC 7677 section 3.
 */
#include "infra/crypto/random.h"
#include "infra/crypto/scram.h"
#include "tests/unit/cm.h"

#define AUTH                                                                                       \
    "n=user,r=rOprNGfwEbeRWgbNEkqO,"                                                               \
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"      \
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"

static void assert_base64(const sp_scram_key *key, const char *want)
{
    auto_buf sp_buf text = sp_buf_make(100);
    sp_buf_base64(&text, sp_span_of(key->bytes, sizeof(key->bytes)));
    assert_span_text(sp_buf_borrow(&text), want);
}

static void the_published_example(void **state)
{
    (void)state;
    auto_buf sp_buf salt = sp_buf_make(64);
    sp_scram_key salted;
    sp_scram_key proof;
    sp_scram_key signature;
    sp_scram_verifier verifier;
    bool right = false;
    assert_ok(sp_buf_unbase64(&salt, SP_SPAN_LIT("W22ZaJ0SNY7soEsUEjb6gQ==")));
    assert_ok(sp_scram_salted(SP_SPAN_LIT("pencil"), sp_buf_borrow(&salt), 4096, &salted));
    assert_ok(sp_scram_prove(&salted, SP_SPAN_LIT(AUTH), &proof, &signature));
    assert_base64(&proof, "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    assert_base64(&signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");

    assert_ok(sp_scram_verifier_of(&salted, &verifier));
    sp_span shown = sp_span_of(proof.bytes, sizeof(proof.bytes));
    assert_ok(sp_scram_check(&verifier, SP_SPAN_LIT(AUTH), shown, &right, &signature));
    assert_true(right);
    assert_base64(&signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    assert_ok(sp_scram_check(&verifier, SP_SPAN_LIT(AUTH "x"), shown, &right, &signature));
    assert_false(right);
    assert_ok(sp_scram_check(&verifier, SP_SPAN_LIT(AUTH), sp_span_slice(shown, 0, 31), &right,
                             &signature));
    assert_false(right);
    proof.bytes[31] ^= 1;
    assert_ok(sp_scram_check(&verifier, SP_SPAN_LIT(AUTH), shown, &right, &signature));
    assert_false(right);
    assert_fails(sp_scram_salted(SP_SPAN_LIT("pencil"), sp_buf_borrow(&salt), 0, &salted),
                 SP_EINVALID);
}

/* By Python's hashlib and hmac, which know nothing of ours. */
static void the_secret_as_postgresql_keeps_it(void **state)
{
    (void)state;
    auto_buf sp_buf salt = sp_buf_make(64);
    auto_buf sp_buf text = sp_buf_make(300);
    sp_scram_key salted;
    sp_scram_verifier verifier;
    assert_ok(sp_buf_unbase64(&salt, SP_SPAN_LIT("W22ZaJ0SNY7soEsUEjb6gQ==")));
    assert_ok(sp_scram_salted(SP_SPAN_LIT("pencil"), sp_buf_borrow(&salt), 4096, &salted));
    assert_ok(sp_scram_verifier_of(&salted, &verifier));
    sp_scram_secret(&verifier, sp_buf_borrow(&salt), 4096, &text);
    assert_span_text(sp_buf_borrow(&text), "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
                                           "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
                                           "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
}

static void md5_as_postgresql_wants_it(void **state)
{
    (void)state;
    char text[SP_MD5_TEXT_BYTES];
    static const uint8_t SALT[4] = {0x01, 0x02, 0x03, 0x04};
    /* md5(md5("secret" "op_dba") + salt) */
    assert_ok(
        sp_md5_answer(SP_SPAN_LIT("secret"), SP_SPAN_LIT("op_dba"), sp_span_of(SALT, 4), text));
    assert_string_equal(text, "md561889b413cc0a47b47e2e85cf29fa59e");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_example),
        cmocka_unit_test(the_secret_as_postgresql_keeps_it),
        cmocka_unit_test(md5_as_postgresql_wants_it),
    };
    return sp_failed(sp_crypto_start()) ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Tests of passkeys against a small software authenticator made with OpenSSL.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC core/identity/webauthn.h.
 */
#include "core/identity/webauthn.h"
#include "tests/unit/cm.h"

#include <openssl/ec.h>
#include <openssl/evp.h>

enum { UP = 1, UV = 4, AT = 0x40 };

static const uint8_t challenge[32] = {1, 2, 3};
static const sp_webauthn_expect expect = {.challenge = {challenge, sizeof(challenge)},
                                          .origin = {(const uint8_t *)"https://portal.test", 19},
                                          .rp_id = {(const uint8_t *)"portal.test", 11}};

typedef struct {
    EVP_PKEY *key;
    uint8_t x[32];
    uint8_t y[32];
} token;

static void token_new(token *at)
{
    uint8_t point[65];
    size_t len = 0;
    at->key = EVP_EC_gen("P-256");
    assert_non_null(at->key);
    assert_int_equal(EVP_PKEY_get_octet_string_param(at->key, "pub", point, sizeof(point), &len),
                     1);
    sp_copy(at->x, point + 1, 32);
    sp_copy(at->y, point + 33, 32);
}

static void put_client_data(sp_buf *out, const char *type, const char *origin, const char *more)
{
    sp_buf_fmt(out, "{\"type\":\"%s\",\"challenge\":\"", type);
    sp_buf_base64url(out, expect.challenge);
    sp_buf_fmt(out, "\",\"origin\":\"%s\"%s}", origin, more);
}

static void put_auth_data(sp_buf *out, const char *rp, uint8_t flags, uint32_t counter)
{
    sp_hash hash = sp_sha256(sp_span_cstr(rp));
    sp_buf_span(out, sp_hash_borrow(&hash));
    sp_buf_u8(out, flags);
    sp_buf_u32(out, counter);
}

static void put_credential(sp_buf *out, const token *at)
{
    const uint8_t aaguid[16] = {0};
    sp_buf_span(out, sp_span_of(aaguid, 16));
    sp_buf_u16(out, 4);
    sp_buf_text(out, "cred");
    sp_buf_span(out, SP_SPAN_LIT("\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20"));
    sp_buf_span(out, sp_span_of(at->x, 32));
    sp_buf_span(out, SP_SPAN_LIT("\x22\x58\x20"));
    sp_buf_span(out, sp_span_of(at->y, 32));
}

static void put_attestation(sp_buf *out, sp_span auth_data)
{
    sp_buf_span(out, SP_SPAN_LIT("\xa3\x63"
                                 "fmt\x64none\x67"
                                 "attStmt\xa0\x68"
                                 "authData\x58"));
    sp_buf_u8(out, (uint8_t)auth_data.len);
    sp_buf_span(out, auth_data);
}

static sp_err make(const token *at, const char *type, const char *origin, const char *rp,
                   uint8_t flags, sp_buf *key)
{
    auto_buf sp_buf client = sp_buf_make(1000);
    auto_buf sp_buf auth = sp_buf_make(1000);
    auto_buf sp_buf attestation = sp_buf_make(1000);
    sp_webauthn_credential credential;
    put_client_data(&client, type, origin, "");
    put_auth_data(&auth, rp, flags, 0);
    put_credential(&auth, at);
    put_attestation(&attestation, sp_buf_borrow(&auth));
    TRY(sp_webauthn_register(&expect, sp_buf_borrow(&client), sp_buf_borrow(&attestation), key,
                             &credential));
    assert_span_text(credential.credential_id, "cred");
    assert_int_equal(credential.algorithm, SP_COSE_ES256);
    return sp_ok();
}

static void registers_only_what_is_ours(void **state)
{
    (void)state;
    token at;
    token_new(&at);
    auto_buf sp_buf key = sp_buf_make(1000);
    assert_ok(
        make(&at, "webauthn.create", "https://portal.test", "portal.test", UP | UV | AT, &key));
    assert_int_equal(key.len, 64);
    assert_fails(
        make(&at, "webauthn.get", "https://portal.test", "portal.test", UP | UV | AT, &key),
        SP_EDENIED);
    assert_fails(
        make(&at, "webauthn.create", "https://evil.test", "portal.test", UP | UV | AT, &key),
        SP_EDENIED);
    assert_fails(
        make(&at, "webauthn.create", "https://portal.test", "evil.test", UP | UV | AT, &key),
        SP_EDENIED);
    assert_fails(make(&at, "webauthn.create", "https://portal.test", "portal.test", UP | AT, &key),
                 SP_EDENIED); /* nobody verified the user */
    at.y[31] ^= 1;            /* not on the curve */
    sp_buf_reset(&key);
    assert_fails(
        make(&at, "webauthn.create", "https://portal.test", "portal.test", UP | UV | AT, &key),
        SP_EINVALID);
    EVP_PKEY_free(at.key);
}

static void sign(const token *at, sp_span auth, sp_span client, sp_buf *signature)
{
    sp_hash hash = sp_sha256(client);
    auto_buf sp_buf signed_bytes = sp_buf_make(1000);
    sp_buf_span(&signed_bytes, auth);
    sp_buf_span(&signed_bytes, sp_hash_borrow(&hash));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t len = 128;
    uint8_t der[128];
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, at->key), 1);
    assert_int_equal(EVP_DigestSign(ctx, der, &len, signed_bytes.ptr, signed_bytes.len), 1);
    EVP_MD_CTX_free(ctx);
    sp_buf_span(signature, sp_span_of(der, len));
}

static sp_err use(const token *at, const char *more, const char *rp, uint8_t flags, bool spoil)
{
    auto_buf sp_buf client = sp_buf_make(1000);
    auto_buf sp_buf auth = sp_buf_make(1000);
    auto_buf sp_buf signature = sp_buf_make(1000);
    auto_buf sp_buf key = sp_buf_make(64);
    uint32_t counter = 0;
    bool backed_up = true;
    put_client_data(&client, "webauthn.get", "https://portal.test", more);
    put_auth_data(&auth, rp, flags, 9);
    sign(at, sp_buf_borrow(&auth), sp_buf_borrow(&client), &signature);
    sp_buf_span(&key, sp_span_of(at->x, 32));
    sp_buf_span(&key, sp_span_of(at->y, 32));
    if (spoil) {
        auth.ptr[36] ^= 1;
    }
    TRY(sp_webauthn_assert(&expect, sp_buf_borrow(&client), sp_buf_borrow(&auth),
                           sp_buf_borrow(&signature), SP_COSE_ES256, sp_buf_borrow(&key), &counter,
                           &backed_up));
    assert_int_equal(counter, 9);
    assert_false(backed_up);
    return sp_ok();
}

static void believes_only_the_key(void **state)
{
    (void)state;
    token at;
    token_new(&at);
    assert_ok(use(&at, "", "portal.test", UP | UV, false));
    assert_ok(use(&at, ",\"crossOrigin\":false,\"other\":{}", "portal.test", UP | UV, false));
    assert_fails(use(&at, ",\"crossOrigin\":true", "portal.test", UP | UV, false), SP_EDENIED);
    assert_fails(use(&at, ",\"origin\":\"https://portal.test\"", "portal.test", UP | UV, false),
                 SP_EINVALID); /* a key twice */
    assert_fails(use(&at, "", "portal.test", UP | UV, true), SP_EDENIED);
    assert_fails(use(&at, "", "evil.test", UP | UV, false), SP_EDENIED);
    assert_fails(use(&at, "", "portal.test", UP, false), SP_EDENIED);
    assert_fails(use(&at, "", "portal.test", UV, false), SP_EDENIED);
    EVP_PKEY_free(at.key);
}

static void sees_a_copied_key(void **state)
{
    (void)state;
    assert_true(sp_webauthn_counter_is_good(0, 0)); /* synced passkeys do not count */
    assert_true(sp_webauthn_counter_is_good(0, 1));
    assert_true(sp_webauthn_counter_is_good(7, 8));
    assert_false(sp_webauthn_counter_is_good(8, 8));
    assert_false(sp_webauthn_counter_is_good(8, 7));
    assert_false(sp_webauthn_counter_is_good(8, 0));
}

static void reads_the_whole_of_it(void **state)
{
    (void)state;
    token at;
    token_new(&at);
    auto_buf sp_buf auth = sp_buf_make(1000);
    sp_webauthn_auth_data data;
    put_auth_data(&auth, "portal.test", UP | UV | AT, 1);
    put_credential(&auth, &at);
    sp_span whole = sp_buf_borrow(&auth);
    assert_ok(sp_webauthn_auth_data_read(whole, &data));
    for (size_t len = 0; len < whole.len; len++) { /* cut anywhere it is refused */
        assert_true(sp_failed(sp_webauthn_auth_data_read(sp_span_slice(whole, 0, len), &data)));
    }
    sp_buf_byte(&auth, 0);
    assert_fails(sp_webauthn_auth_data_read(sp_buf_borrow(&auth), &data), SP_EINVALID);
    EVP_PKEY_free(at.key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_only_what_is_ours),
        cmocka_unit_test(believes_only_the_key),
        cmocka_unit_test(sees_a_copied_key),
        cmocka_unit_test(reads_the_whole_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

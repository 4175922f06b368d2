/* SPDX-License-Identifier: Apache-2.0
 * Tests of what core reads off strangers: cookies, JSON fields, targets, codes, passwords, CBOR.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC core/README.md.
 */
#include "core/http/cookie.h"
#include "core/http/fields.h"
#include "core/identity/cbor.h"
#include "core/identity/password.h"
#include "core/identity/totp.h"
#include "core/sessions/target.h"
#include "tests/unit/cm.h"

#define TOKEN_A "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define TOKEN_B "BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static void finds_our_cookie(void **state)
{
    (void)state;
    sp_hash hash;
    sp_hash want = sp_sha256(SP_SPAN_LIT(TOKEN_A));
    assert_ok(sp_cookie_token(SP_SPAN_LIT("a=b; __Host-sallyport=" TOKEN_A "; c=d"), &hash));
    assert_true(sp_hash_eq(&hash, &want));
    assert_fails(sp_cookie_token(SP_SPAN_EMPTY, &hash), SP_ENOTFOUND);
    assert_fails(sp_cookie_token(SP_SPAN_LIT("x__Host-sallyport=" TOKEN_A), &hash), SP_ENOTFOUND);
    assert_fails(sp_cookie_token(SP_SPAN_LIT("__host-sallyport=" TOKEN_A), &hash), SP_ENOTFOUND);
    assert_fails(sp_cookie_token(SP_SPAN_LIT("__Host-sallyport="), &hash), SP_EINVALID);
    assert_fails(sp_cookie_token(SP_SPAN_LIT("__Host-sallyport"), &hash), SP_EINVALID);
    assert_fails(sp_cookie_token(SP_SPAN_LIT("__Host-sallyport=" TOKEN_A "x"), &hash), SP_EINVALID);
    assert_fails(sp_cookie_token(SP_SPAN_LIT("__Host-sallyport=\"" TOKEN_A "\""), &hash),
                 SP_EINVALID);
    assert_fails(sp_cookie_token(
                     SP_SPAN_LIT("__Host-sallyport=" TOKEN_A ";__Host-sallyport=" TOKEN_B), &hash),
                 SP_EINVALID); /* a planted second one */
}

static void writes_a_host_cookie(void **state)
{
    (void)state;
    auto_buf sp_buf out = sp_buf_make(500);
    sp_cookie_write(SP_COOKIE_NAME, SP_SPAN_LIT("T"), 60, &out);
    assert_span_text(sp_buf_borrow(&out), "__Host-sallyport=T; Path=/; Secure; HttpOnly; "
                                          "SameSite=Lax; Max-Age=60");
    sp_buf_reset(&out);
    sp_cookie_write(SP_COOKIE_NAME, SP_SPAN_EMPTY, 60, &out);
    assert_true(sp_span_ends(sp_buf_borrow(&out), SP_SPAN_LIT("Max-Age=0")));
}

static sp_code read_name(const char *text, sp_span *ret_name)
{
    uint64_t limit = 0;
    const char *bad = NULL;
    const char *expected = NULL;
    static json_t *json; /* the span points into it until the next call */
    json_decref(json);
    json = sp_json_parse(sp_span_cstr(text));
    const sp_field fields[] = {SP_FIELD_TEXT("name", ret_name, 1, 5),
                               SP_FIELD_U64_OPT("limit", &limit, 10)};
    return sp_fields_read(json, fields, SP_COUNT(fields), &bad, &expected).code;
}

static void reads_only_what_is_named(void **state)
{
    (void)state;
    sp_span name = SP_SPAN_EMPTY;
    assert_int_equal(read_name("{\"name\":\"ann\"}", &name), SP_OK);
    assert_span_text(name, "ann");
    const char *const wrong[] = {
        "{}",
        "[]",
        "null",
        "{\"name\":\"\"}",
        "{\"name\":\"sixsix\"}",
        "{\"name\":7}",
        "{\"name\":null}",
        "{\"name\":\"a\\u0000b\"}",
        "{\"name\":\"ann\",\"limit\":-1}",
        "{\"name\":\"ann\",\"limit\":11}",
        "{\"name\":\"ann\",\"limit\":1.5}",
        "{\"name\":\"ann\",\"limit\":\"1\"}",
        "{\"name\":\"ann\",\"name\":\"bob\"}",
        "{\"name\":\"ann\",\"admin\":true}",
        "{\"name\":\"ann\"} x",
        "{\"name\":\"\xff\"}",
    };
    for (size_t i = 0; i < SP_COUNT(wrong); i++) {
        assert_int_equal(read_name(wrong[i], &name), SP_EINVALID);
    }
    read_name("{}", &name);
}

static bool target_is_good(const char *text, unsigned port, sp_target *ret)
{
    return !sp_failed(sp_target_read(sp_span_cstr(text), SP_SPAN_LIT("office.test"),
                                     SP_SPAN_LIT("portal.office.test"), port, ret));
}

static void goes_only_to_our_applications(void **state)
{
    (void)state;
    sp_target target;
    assert_true(target_is_good("https://wiki.office.test:8443/a/b?c=d%20e", 8443, &target));
    assert_span_text(target.host, "wiki.office.test");
    assert_span_text(target.path, "/a/b?c=d%20e");
    assert_true(target_is_good("https://wiki.office.test", 443, &target));
    assert_span_text(target.path, "/");
    const char *const evil[] = {
        "http://wiki.office.test/",
        "https://evil.test/",
        "https://wiki.office.test.evil.test/",
        "https://wikioffice.test/",
        "https://office.test/",
        "https://.office.test/",
        "https://a.b.office.test/",
        "https://portal.office.test/enter",
        "https://wiki.office.test@evil.test/",
        "https://evil.test\\@wiki.office.test/",
        "https://user:pw@wiki.office.test/",
        "https://wiki.office.test:8443/",
        "https://wiki.office.test:/",
        "https://wiki.office.test:443x/",
        "https://wiki.office.test//evil.test/",
        "https://wiki.office.test/\\evil.test",
        "https://wiki.office.test/a b",
        "https://wiki.office.test/a\r\nSet-Cookie: x",
        "https://wiki.office.test/#x",
        "https://wiki.office.test?x",
        "https://WIKI.office.test/",
        "https://-wiki.office.test/",
        "https:///wiki.office.test/",
        "https:wiki.office.test/",
        "//wiki.office.test/",
        "/a",
        "javascript:alert(1)",
        "data:text/html,x",
        "",
        " https://wiki.office.test/",
        "https://wiki.office.t\xc3\xa9st/",
    };
    for (size_t i = 0; i < SP_COUNT(evil); i++) {
        assert_false(target_is_good(evil[i], 443, &target));
    }
    assert_true(sp_target_is_path(SP_SPAN_LIT("/a")));
    assert_false(sp_target_is_path(SP_SPAN_LIT("//evil.test")));
    assert_false(sp_target_is_path(SP_SPAN_LIT("/\\evil.test")));
    assert_false(sp_target_is_path(SP_SPAN_LIT("")));
}

/* RFC 6238, appendix B (SHA-1), cut to six digits. */
static void takes_codes_once(void **state)
{
    (void)state;
    sp_span secret = SP_SPAN_LIT("12345678901234567890");
    uint64_t step = 0;
    assert_true(sp_totp_check(secret, SP_SPAN_LIT("287082"), 59, 0, &step));
    assert_int_equal(step, 1);
    assert_true(sp_totp_check(secret, SP_SPAN_LIT("081 804"), 1111111109, 0, &step));
    assert_true(sp_totp_check(secret, SP_SPAN_LIT("081-804"), 1111111109 + 30, 0, &step));
    assert_false(sp_totp_check(secret, SP_SPAN_LIT("081804"), 1111111109 + 90, 0, &step));
    assert_int_equal(step, 1111111109 / 30);
    assert_false(sp_totp_check(secret, SP_SPAN_LIT("081804"), 1111111109, step, &step)); /* used */
    assert_false(sp_totp_check(secret, SP_SPAN_LIT("81804"), 1111111109, 0, &step));
    assert_false(sp_totp_check(secret, SP_SPAN_LIT("0818041"), 1111111109, 0, &step));
    assert_false(sp_totp_check(secret, SP_SPAN_LIT("08180x"), 1111111109, 0, &step));
    assert_false(sp_totp_check(secret, SP_SPAN_EMPTY, 1111111109, 0, &step));
}

static void writes_what_apps_scan(void **state)
{
    (void)state;
    auto_buf sp_buf out = sp_buf_make(64 * 1024);
    sp_totp_uri(SP_SPAN_LIT("12345678901234567890"), SP_SPAN_LIT("A & B"), SP_SPAN_LIT("ann"),
                &out);
    assert_span_text(sp_buf_borrow(&out),
                     "otpauth://totp/A%20%26%20B:ann?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&"
                     "issuer=A%20%26%20B&algorithm=SHA1&digits=6&period=30");
    sp_buf_reset(&out);
    assert_ok(sp_qr_svg("otpauth://totp/x", &out));
    assert_true(sp_span_starts(sp_buf_borrow(&out), SP_SPAN_LIT("<svg ")));
    assert_true(sp_span_ends(sp_buf_borrow(&out), SP_SPAN_LIT("</svg>")));
}

static void knows_weak_passwords(void **state)
{
    (void)state;
    const char *const weak[] = {"short",           "passwordpassword", "PasswordPassword1!",
                                "aaaaaaaaaaaaaa",  "abababababababab", "123456789012",
                                "qwertyuiopas",    "abcdefghijklmnop", "annanderson1!!!!",
                                "changemechangeme"};
    const char *const good[] = {"violet tractor hums", "gK4!hh2mQz9pLw", "annanderson likes tea"};
    for (size_t i = 0; i < SP_COUNT(weak); i++) {
        assert_true(sp_password_is_weak(sp_span_cstr(weak[i]), SP_SPAN_LIT("annanderson")));
    }
    for (size_t i = 0; i < SP_COUNT(good); i++) {
        assert_false(sp_password_is_weak(sp_span_cstr(good[i]), SP_SPAN_LIT("annanderson")));
    }
}

static sp_code skip_item(const char *bytes, size_t len)
{
    sp_reader in = sp_reader_of(sp_span_of(bytes, len));
    sp_cbor_skip(&in);
    return sp_reader_finish(&in).code;
}
#define SKIP(lit) skip_item(lit, sizeof(lit) - 1)

static void reads_plain_cbor_only(void **state)
{
    (void)state;
    assert_int_equal(SKIP("\x00"), SP_OK);
    assert_int_equal(SKIP("\x83\x01\x20\x41x"), SP_OK);
    assert_int_equal(SKIP("\xa1\x61k\xa0"), SP_OK);
    assert_int_equal(SKIP("\xf5"), SP_OK);
    assert_int_equal(SKIP(""), SP_ESHORT);
    assert_int_equal(SKIP("\x18\x17"), SP_EINVALID);             /* not the shortest form */
    assert_int_equal(SKIP("\x9f\xff"), SP_EINVALID);             /* indefinite */
    assert_int_equal(SKIP("\xc0\x00"), SP_EINVALID);             /* a tag */
    assert_int_equal(SKIP("\xfb\0\0\0\0\0\0\0\0"), SP_EINVALID); /* a float */
    assert_int_equal(SKIP("\x5a\xff\xff\xff\xff"), SP_ESHORT);   /* more than there is */
    assert_int_equal(SKIP("\x9a\x0f\xff\xff\xff"), SP_ELIMIT);   /* a large array */
    assert_int_equal(SKIP("\x81\x81\x81\x81\x81\x81\x81\x81\x81\x00"), SP_ELIMIT); /* deep */
    assert_int_equal(SKIP("\x00\x00"), SP_EINVALID); /* bytes left over */
    sp_reader in = sp_reader_of(SP_SPAN_LIT("\x38\xff\x1b\xff\xff\xff\xff\xff\xff\xff\xff"));
    assert_true(sp_cbor_is_int(&in));
    assert_int_equal(sp_cbor_int(&in), -256);
    assert_int_equal(sp_cbor_int(&in), 0);
    assert_fails(sp_reader_finish(&in), SP_EINVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_our_cookie),         cmocka_unit_test(writes_a_host_cookie),
        cmocka_unit_test(reads_only_what_is_named), cmocka_unit_test(goes_only_to_our_applications),
        cmocka_unit_test(takes_codes_once),         cmocka_unit_test(writes_what_apps_scan),
        cmocka_unit_test(knows_weak_passwords),     cmocka_unit_test(reads_plain_cbor_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Secrets never stand in what is written down.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/sql/redact.h.
 */
#include "tests/unit/cm.h"

#include "lib/base/mem.h"
#include "lib/sql/redact.h"

#include <stdio.h>
#include <string.h>

static const char *redacted(const char *text, bool is_secret, size_t max)
{
    static char line[2048];
    auto_buf sp_buf out = sp_buf_make(sizeof(line) - 1);
    sp_sql_redact(sp_span_cstr(text), is_secret, max, &out);
    sp_span all = sp_buf_borrow(&out);
    sp_copy(line, all.ptr, all.len);
    line[all.len] = '\0';
    return line;
}

static void test_plain(void **state)
{
    (void)state;
    assert_string_equal(redacted("SELECT 'x'", false, 100), "SELECT 'x'");
    assert_string_equal(redacted("SELECT\n\t1", false, 100), "SELECT  1");
    assert_string_equal(redacted("SELECT 123456", false, 8), "SELECT 1...");
    assert_string_equal(redacted("SELECT '\xe4\xb8\xad'", false, 9), "SELECT '...");
    assert_string_equal(redacted("SELECT '\xff'", false, 100), "SELECT '?'");
}

static void test_secrets(void **state)
{
    static const char *const texts[] = {
        "ALTER USER x PASSWORD 'geheim'",
        "alter role x password'geheim'",
        "ALTER USER x PASSWORD $$geheim$$",
        "ALTER USER x PASSWORD $a$geheim$a$ -- geheim",
        "ALTER USER x PASSWORD E'ge\\'geheim'",
        "ALTER USER x PASSWORD U&'geheim'",
        "ALTER USER x PASSWORD 'x''geheim'",
        "ALTER USER x PASSWORD 'x\\' geheim '",
        "ALTER USER x PASSWORD 'geheim",
        "CREATE USER /* geheim */ x PASSWORD 'a'",
        "CREATE SUBSCRIPTION s CONNECTION 'host=a geheim' PUBLICATION p",
        "CREATE USER MAPPING FOR x SERVER s OPTIONS (user 'geheim')",
        "SELECT * FROM dblink('geheim', 'SELECT 1') AS t(a int)",
        "SELECT pgp_sym_encrypt('geheim', 'geheim')",
        "DO $x$ BEGIN EXECUTE 'ALTER USER x PASSWORD ''geheim'''; END $x$",
        "SELEKT 'geheim' PASSWORD",
    };
    (void)state;
    for (size_t i = 0; i < SP_COUNT(texts); i++) {
        const char *got = redacted(texts[i], false, 1000);
        if (strstr(got, "geheim") != NULL) {
            fail_msg("%s -> %s", texts[i], got);
        }
    }
    static const char *const words[] = {"Passw",       "postgreS", "PGP_",         "private key",
                                        "PassPhrase",  "secret",   "Credential",   "connInfo",
                                        "CRYPT",       "dBlink",   "User mapping", "hMac",
                                        "TOken",       "api_key",  "aPikey",       "Connection",
                                        "private_KEY", "passCode", "PrivateKey",   "pwD"};
    for (size_t i = 0; i < SP_COUNT(words); i++) {
        char text[64];
        snprintf(text, sizeof(text), "SELECT 'geheim', x_%s", words[i]);
        assert_null(strstr(redacted(text, false, 100), "geheim"));
    }
    assert_string_equal(redacted("ALTER USER x PASSWORD 'y' VALID UNTIL 'z'", false, 100),
                        "ALTER USER x PASSWORD '***' VALID UNTIL '***'");
    assert_string_equal(redacted("SELECT 'a', $1, b$c$d FROM \"'x\"", true, 100),
                        "SELECT '***', $1, b$c$d FROM \"'x\"");
    assert_string_equal(redacted("SELECT x1, $2 FROM t3 WHERE pin_secret = 4711::text AND password "
                                 "IN (12345678, -0x1F, 1.5e-3, .5, 1_000)",
                                 false, 300),
                        "SELECT x1, $2 FROM t3 WHERE pin_secret = ***::text AND password IN (***, "
                        "-***, ***-***, .***, ***)");
}

/* What a comment says hides nothing but itself. */
static void comments_hide_nothing(void **state)
{
    (void)state;
    assert_string_equal(
        redacted("/* token */ UPDATE a SET b = 'm' WHERE id IN (7, 'a8')--pwd", false, 100),
        "  UPDATE a SET b = 'm' WHERE id IN (7, 'a8') ");
    assert_string_equal(redacted("/* token */ SELECT 'a\\', 'b'", false, 100),
                        "  SELECT '***' ...");
    assert_string_equal(redacted("SELECT '/* ', password, ' */', 'x'", false, 100),
                        "SELECT '***', password, '***', '***'");
    assert_string_equal(redacted("SELECT '/* secret */', 'x'", false, 100), "SELECT '***', '***'");
    auto_buf sp_buf out = sp_buf_make(200);
    assert_true(sp_sql_show(SP_SPAN_LIT("DELETE FROM a WHERE k = 'b' -- token\n OR id = 1"), false,
                            false, 100, &out));
    assert_span_text(sp_buf_borrow(&out), "DELETE FROM a WHERE k = 'b'  \n OR id = 1");
}

/* What nobody could read: no literal is left, and nothing behind a word about something secret. */
static void unread_texts_keep_no_literal(void **state)
{
    static const char *const texts[] = {
        "SELEKT 'geheim'",
        "ALTER USER x PASSWORD geheim",
        "ALTER USER x PASSWORD \"geheim\"",
        "ALTER USER x PASSWORD \xe2\x80\x98geheim\xe2\x80\x99",
        "ALTER USER x PASSWORD: geheim; SELECT 1",
        "SET app.key TO TO 'geheim'",
        "SELECT set_config('app.' || 'x', 'geheim', false)",
        "SET app.api_keys = geheim",
        "CREATE SUBSCRIPTION s CONNECTION host=a password=geheim",
        "-- geheim\nSELEKT $$geheim$$, E'\\'geheim', U&'geheim', 'geheim",
    };
    (void)state;
    for (size_t i = 0; i < SP_COUNT(texts); i++) {
        auto_buf sp_buf out = sp_buf_make(1000);
        sp_sql_redact_unread(sp_span_cstr(texts[i]), 900, &out);
        sp_span got = sp_buf_borrow(&out);
        if (sp_span_find(got, SP_SPAN_LIT("geheim")) < got.len) {
            fail_msg("%s -> %.*s", texts[i], SP_SPAN_ARG(got));
        }
    }
    auto_buf sp_buf out = sp_buf_make(1000);
    sp_sql_redact_unread(SP_SPAN_LIT("SELEKT 'a', b FROM \"c\""), 900, &out);
    assert_span_text(sp_buf_borrow(&out), "SELEKT '***', b FROM \"c\"");
    sp_buf_reset(&out);
    sp_sql_redact_unread(SP_SPAN_LIT("ALTER USER x PASSWORDS geheim"), 900, &out);
    assert_span_text(sp_buf_borrow(&out), "ALTER USER x PASSWORDS ...");
}

static void shown_whole_or_not_at_all(void **state)
{
    (void)state;
    auto_buf sp_buf out = sp_buf_make(200);
    assert_true(
        sp_sql_show(SP_SPAN_LIT("DROP -- a\n\tTABLE \xe4\xb8\xad"), false, false, 100, &out));
    assert_span_text(sp_buf_borrow(&out), "DROP -- a\n\tTABLE \xe4\xb8\xad");
    sp_buf_reset(&out);
    assert_true(
        sp_sql_show(SP_SPAN_LIT("a\x1b[K \xe2\x80\xae\xe2\x80\x8b\x0d"), false, false, 100, &out));
    assert_span_text(sp_buf_borrow(&out), "a<U+001B>[K <U+202E><U+200B><U+000D>");
    sp_buf_reset(&out);
    /* what runs behind a comment stands on a line of its own */
    assert_true(sp_sql_show(SP_SPAN_LIT("DELETE FROM a WHERE k = 1 -- b\r OR true -- c\r\n"), false,
                            false, 100, &out));
    assert_span_text(sp_buf_borrow(&out),
                     "DELETE FROM a WHERE k = 1 -- b<U+000D>\n OR true -- c<U+000D>\n");
    sp_buf_reset(&out);
    /* an alias is no WHERE; what stands in a literal is no operator */
    assert_true(sp_sql_show(SP_SPAN_LIT("DELETE FROM a x\xc2\xa0WHERE\xc2\xa0k\xef\xbc\x9d"
                                        "7"),
                            false, false, 100, &out));
    assert_span_text(sp_buf_borrow(&out), "DELETE FROM a x<U+00A0>WHERE<U+00A0>k<U+FF1D>7");
    sp_buf_reset(&out);
    assert_true(sp_sql_show(SP_SPAN_LIT("SELECT '\xef\xbc\x9d' \xef\xbc\x9d -- \xef\xbc\x9d"),
                            false, false, 100, &out));
    assert_span_text(sp_buf_borrow(&out), "SELECT '\xef\xbc\x9d' <U+FF1D> -- \xef\xbc\x9d");
    sp_buf_reset(&out);
    /* nothing within it looks like what is put behind it */
    assert_true(
        sp_sql_show(SP_SPAN_LIT("SELECT 1 /*\n\nVALUES\n  $1 = 'a'*/,\n 'b\n', \"c\n\", $$\n$$"
                                "\n\nVALUES\n  $1 = 'd'"),
                    false, true, 200, &out));
    assert_span_text(
        sp_buf_borrow(&out),
        "SELECT 1 /*<U+000A>\n<U+000A>\nVALUES<U+000A>\n  $1 = 'a'*/,\n 'b<U+000A>\n', "
        "\"c<U+000A>\n\", $$<U+000A>\n$$\n\nVALUES\n  $1 = 'd'");
    sp_buf_reset(&out);
    /* a comment ends at either end of a line */
    assert_true(sp_sql_show(SP_SPAN_LIT("DELETE FROM a WHERE k = 'secret' -- b\r OR true"), false,
                            false, 100, &out));
    assert_true(sp_span_find(sp_buf_borrow(&out), SP_SPAN_LIT(" OR true")) < out.len);
    sp_buf_reset(&out);
    assert_true(sp_sql_show(SP_SPAN_LIT("ALTER USER a PASSWORD 'x'"), true, false, 100, &out));
    assert_span_text(sp_buf_borrow(&out), "ALTER USER a PASSWORD '***'");
    sp_buf_reset(&out);
    assert_false(sp_sql_show(SP_SPAN_LIT("12345678901"), false, false, 10, &out));
    assert_true(sp_sql_show(SP_SPAN_LIT("1234567890"), false, false, 10, &out));
    assert_false(
        sp_sql_show(SP_SPAN_LIT("\x1b\x1b"), false, false, 10, &out)); /* longer when shown */
    assert_false(sp_sql_show(SP_SPAN_LIT("\xff"), false, false, 10, &out));
    assert_false(sp_sql_show(SP_SPAN_LIT("PASSWORD 'a\\' 'b"), true, false, 100, &out));
    assert_span_text(sp_buf_borrow(&out), "1234567890");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shown_whole_or_not_at_all), cmocka_unit_test(test_plain),
        cmocka_unit_test(unread_texts_keep_no_literal), cmocka_unit_test(test_secrets),
        cmocka_unit_test(comments_hide_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

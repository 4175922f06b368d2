/* SPDX-License-Identifier: Apache-2.0
 * Paths: what is canonical, what is brought to one spelling, what is refused.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/web/path.h.
 */
#include "lib/web/path.h"
#include "tests/unit/cm.h"

static uint8_t room[4 * SP_WEB_PATH_MAX_BYTES];

static void check(const char *raw, const char *plain, const char *wire)
{
    sp_web_path path;
    assert_int_equal(sp_web_path_read(sp_span_cstr(raw), room, &path), SP_PATH_OK);
    assert_span_text(path.plain, plain);
    assert_span_text(path.wire, wire);
}

static void refuse(const char *raw, sp_path_fault want)
{
    sp_web_path path;
    assert_int_equal(sp_web_path_read(sp_span_cstr(raw), room, &path), want);
}

static void canonical_paths_stay(void **state)
{
    (void)state;
    const char *const good[] = {
        "/", "/a", "/a/b.txt", "/a/", "/.well-known/x", "/a...b/...", "/u/@me:x,y=(1)!$&'*+~_-"};
    for (size_t i = 0; i < SP_COUNT(good); i++) {
        check(good[i], good[i], good[i]);
    }
}

static void one_spelling(void **state)
{
    (void)state;
    check("//a///b", "/a/b", "/a/b");
    check("/%61dmin", "/admin", "/admin");
    check("/a%2bb+c", "/a+b+c", "/a%2Bb+c");
    check("/a b%20c", "/a b c", "/a%20b%20c");
    check("/100%25", "/100%", "/100%25");
    check("/wiki/%e4%b8%ad", "/wiki/\xe4\xb8\xad", "/wiki/%E4%B8%AD");
    check("/wiki/\xe4\xb8\xad", "/wiki/\xe4\xb8\xad", "/wiki/%E4%B8%AD");
    check("/q%3Fx", "/q?x", "/q%3Fx");
    check("/a%3bb", "/a;b", "/a%3Bb");
    check("/a;v=1", "/a;v=1", "/a;v=1");
    check("//", "/", "/");
}

static void ambiguous_is_refused(void **state)
{
    (void)state;
    refuse("", SP_PATH_START);
    refuse("a", SP_PATH_START);
    refuse("*", SP_PATH_START);
    refuse("/a%2fb", SP_PATH_SLASH);
    refuse("/a%2Fb", SP_PATH_SLASH);
    refuse("/a%5cb", SP_PATH_BACK);
    refuse("/a\\b", SP_PATH_BACK);
    refuse("/a/../b", SP_PATH_DOTS);
    refuse("/a/.", SP_PATH_DOTS);
    refuse("/a/%2e%2E/b", SP_PATH_DOTS);
    refuse("/a/.%2e/b", SP_PATH_DOTS);
    refuse("/a/..;/b", SP_PATH_DOTS);
    refuse("/a/..;x=1/b", SP_PATH_DOTS);
    refuse("/a/..%3b/b", SP_PATH_DOTS);
    refuse("/a/.;/b", SP_PATH_DOTS);
    refuse("/%252e%252e/b", SP_PATH_DOUBLE);
    refuse("/a%252fb", SP_PATH_DOUBLE);
    refuse("/a%00", SP_PATH_CONTROL);
    refuse("/a%0d%0ab", SP_PATH_CONTROL);
    refuse("/a%7f", SP_PATH_CONTROL);
    refuse("/a%c0%af", SP_PATH_UTF8);
    refuse("/a\xff", SP_PATH_UTF8);
    refuse("/a%ed%a0%80", SP_PATH_UTF8);
    refuse("/a%", SP_PATH_ESCAPE);
    refuse("/a%4", SP_PATH_ESCAPE);
    refuse("/a%zz", SP_PATH_ESCAPE);
    refuse("/a%u002e", SP_PATH_ESCAPE);
    refuse("/a#b", SP_PATH_HASH);
}

static void too_long_is_refused(void **state)
{
    (void)state;
    static uint8_t raw[SP_WEB_PATH_MAX_BYTES + 1];
    sp_set(raw, 'a', sizeof(raw));
    raw[0] = '/';
    sp_web_path path;
    assert_int_equal(sp_web_path_read((sp_span){raw, sizeof(raw)}, room, &path), SP_PATH_LONG);
    sp_set(raw + 1, '%', 1);
    assert_int_equal(sp_web_path_room(sizeof(raw)), 0);
    assert_int_equal(sp_web_path_read((sp_span){raw, sizeof(raw) - 1}, room, &path), SP_PATH_UTF8);
}

static void params_are_seen_and_cut(void **state)
{
    (void)state;
    sp_web_path path;
    assert_int_equal(sp_web_path_read(SP_SPAN_LIT("/admin;x/b"), room, &path), SP_PATH_OK);
    assert_true(path.has_params);
    uint8_t cut[64];
    assert_span_text(sp_web_path_without_params(path.plain, cut), "/admin/b");
    assert_span_text(sp_web_path_without_params(SP_SPAN_LIT("/a/;x/b;y/"), cut), "/a/b/");
    assert_span_text(sp_web_path_without_params(SP_SPAN_LIT("/;x"), cut), "/");
    assert_int_equal(sp_web_path_read(SP_SPAN_LIT("/a%3Bx"), room, &path), SP_PATH_OK);
    assert_true(path.has_params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_paths_stay),    cmocka_unit_test(one_spelling),
        cmocka_unit_test(ambiguous_is_refused),    cmocka_unit_test(too_long_is_refused),
        cmocka_unit_test(params_are_seen_and_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Cookies: found, counted, taken out.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/web/cookie.h.
 */
#include "lib/web/cookie.h"
#include "tests/unit/cm.h"

#define TOKEN "0123456789abcdefghijABCDEFGHIJ0123456789-_X"

static sp_web_cookie find(const char *header)
{
    sp_web_cookie found = {0};
    sp_web_cookie_find(sp_span_cstr(header), &found);
    return found;
}

static void found_among_others(void **state)
{
    (void)state;
    sp_web_cookie cookie = find("a=1; __Host-sallyport=" TOKEN "; b=2");
    assert_int_equal(cookie.count, 1);
    assert_span_text(cookie.value, TOKEN);
    assert_true(sp_web_cookie_is_good(&cookie));
    assert_int_equal(find("a=1;b=2").count, 0);
    assert_int_equal(find("").count, 0);
    assert_int_equal(find(";;;=;").count, 0);
    assert_int_equal(find("x__Host-sallyport=1; __Host-sallyportx=2").count, 0);
}

static void two_are_one_too_many(void **state)
{
    (void)state;
    sp_web_cookie cookie = find("__Host-sallyport=" TOKEN "; __HOST-Sallyport=" TOKEN);
    assert_int_equal(cookie.count, 2);
    assert_false(sp_web_cookie_is_good(&cookie));
}

static void odd_values_are_no_cookie(void **state)
{
    (void)state;
    sp_web_cookie cookie = find("__Host-sallyport");
    assert_int_equal(cookie.count, 1);
    assert_false(sp_web_cookie_is_good(&cookie));
    cookie = find("__Host-sallyport=short");
    assert_false(sp_web_cookie_is_good(&cookie));
    cookie = find("__Host-sallyport=\"0123456789abcdefghijABCDEFGHIJ0123456789-_\"");
    assert_false(sp_web_cookie_is_good(&cookie));
}

static void strip(const char *header, const char *want)
{
    uint8_t room[256];
    assert_span_text(sp_web_cookie_strip(sp_span_cstr(header), room), want);
}

static void ours_is_taken_out(void **state)
{
    (void)state;
    strip("__Host-sallyport=x", "");
    strip("a=1; __Host-sallyport=x; b=2", "a=1; b=2");
    strip("a=1;b=2;c=3;d=4", "a=1; b=2; c=3; d=4");
    strip("__HOST-SALLYPORT = x;a=1", "a=1");
    strip("a=1; __Host-sallyport-way=x; b=2", "a=1; b=2");
    strip(" ; ;", "");
}

static void upstreams_may_not_set_it(void **state)
{
    (void)state;
    assert_true(sp_web_cookie_is_set(SP_SPAN_LIT("__Host-sallyport=x; Path=/")));
    assert_true(sp_web_cookie_is_set(SP_SPAN_LIT("  __host-SALLYPORT =x")));
    assert_true(sp_web_cookie_is_set(SP_SPAN_LIT("__Host-Sallyport-way=x; Path=/")));
    assert_false(sp_web_cookie_is_set(SP_SPAN_LIT("a=__Host-sallyport=x")));
    assert_false(sp_web_cookie_is_set(SP_SPAN_LIT("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_among_others),       cmocka_unit_test(two_are_one_too_many),
        cmocka_unit_test(odd_values_are_no_cookie), cmocka_unit_test(ours_is_taken_out),
        cmocka_unit_test(upstreams_may_not_set_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Certificates in headers: as nginx, Traefik and Caddy write them, and what is none.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/web/certificate.h.
 */
#include "lib/web/certificate.h"
#include "tests/unit/cm.h"

#define BEGIN "-----BEGIN%20CERTIFICATE-----%0A"
#define END "%0A-----END%20CERTIFICATE-----%0A"

static void expect(const char *header, const char *der)
{
    auto_buf sp_buf out = sp_buf_make(SP_WEB_CERTIFICATE_MAX_BYTES);
    sp_err err = sp_web_certificate_read(sp_span_cstr(header), &out);
    if (der == NULL) {
        assert_true(sp_failed(err));
    } else {
        assert_ok(err);
        assert_span_text(sp_buf_borrow(&out), der);
    }
}

static void read_as_proxies_write_it(void **state)
{
    (void)state;
    expect(BEGIN "aGVs%0AbG8%2B" END, "hello>");
    expect("aGVsbG8+", "hello>");
    expect("aGVsbG8+,d29ybGQh", "hello>");
    expect("  aGVsbG8+  ", "hello>");
}

static void refused(void **state)
{
    (void)state;
    expect("", NULL);
    expect("%", NULL);
    expect("%4", NULL);
    expect("%zz", NULL);
    expect("hello", NULL);
    expect(BEGIN "aGVsbG8%2B", NULL);
    expect(BEGIN END, NULL);
    expect(",", NULL);
}

static void bounded(void **state)
{
    (void)state;
    auto_buf sp_buf text = sp_buf_make(64 * 1024);
    auto_buf sp_buf out = sp_buf_make(SP_WEB_CERTIFICATE_MAX_BYTES);
    for (int i = 0; i < 32 * 1024; i++) {
        sp_buf_byte(&text, 'A');
    }
    assert_true(sp_failed(sp_web_certificate_read(sp_buf_borrow(&text), &out)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(read_as_proxies_write_it),
                                       cmocka_unit_test(refused), cmocka_unit_test(bounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

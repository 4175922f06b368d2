/* SPDX-License-Identifier: Apache-2.0
 * Tests of OpenSSH certificates made by the real ssh-keygen: what stands in them, and each fault.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC lib/proto/ssh_cert.h.
 */
#include "lib/proto/ssh_cert.h"

#include "tests/unit/ssh/keygen.h"

enum { LINE_BYTES = 16384 };
#define NOW UINT64_C(1790000000) /* 2026-09-21T13:33:20Z */

typedef struct {
    sp_buf blob;
    sp_buf ca;
    sp_span cas[1];
    sp_ssh_cert cert;
} held;

static void read_blob(const char *name, sp_buf *out)
{
    char text[LINE_BYTES];
    sp_span line = keygen_line(name, text, sizeof(text));
    sp_span piece;
    assert_true(sp_span_split(&line, ' ', &piece) && sp_span_split(&line, ' ', &piece));
    *out = sp_buf_make(SP_SSH_CERT_MAX_BYTES);
    assert_ok(sp_buf_unbase64(out, piece));
}

static void take(held *h)
{
    read_blob("key-cert.pub", &h->blob);
    read_blob("ca.pub", &h->ca);
    h->cas[0] = sp_buf_borrow(&h->ca);
    assert_true(sp_ssh_cert_is(sp_buf_borrow(&h->blob)));
    assert_false(sp_ssh_cert_is(h->cas[0]));
    assert_ok(sp_ssh_cert_parse(sp_buf_borrow(&h->blob), &h->cert));
}

static void drop(held *h)
{
    sp_buf_done(&h->blob);
    sp_buf_done(&h->ca);
}

static int make_keys(void **state)
{
    if (keygen_setup(state) != 0) {
        return -1;
    }
    keygen("-t", "ed25519", "-N", "", "-C", "", "-f", "ca");
    keygen("-t", "ecdsa", "-N", "", "-C", "", "-f", "key");
    return 0;
}

#define certify(...)                                                                               \
    keygen("-s", "ca", "-I", "ann/7", "-V", "20260921120000Z:20260921140000Z", __VA_ARGS__,        \
           "key.pub")

static sp_ssh_cert_fault fault_of(const held *h, sp_ssh_cert_kind kind, const char *principal,
                                  uint64_t now, const char *peer)
{
    uint8_t address[16];
    bool v4 = false;
    if (peer != NULL) {
        assert_ok(sp_address_parse(sp_span_cstr(peer), address, &v4));
    }
    sp_ssh_cert_expected expected = {.kind = kind,
                                     .principal = sp_span_cstr(principal),
                                     .cas = h->cas,
                                     .cas_count = 1,
                                     .now_unix_s = now,
                                     .peer = peer == NULL ? NULL : address};
    return sp_ssh_cert_check(&h->cert, &expected);
}

static void all_of_it_is_read(void **state)
{
    (void)state;
    held h = {0};
    certify("-n", "ops,dev", "-z", "18446744073709551615", "-O", "clear", "-O", "permit-pty", "-O",
            "force-command=/bin/true x", "-O", "source-address=10.0.0.0/8,::1", "-O",
            "extension:session@sallyport=abc");
    take(&h);
    assert_int_equal(h.cert.key.type, SP_SSH_KEY_ECDSA_256);
    assert_int_equal(h.cert.ca.type, SP_SSH_KEY_ED25519);
    assert_true(h.cert.serial == UINT64_MAX && h.cert.kind == SP_SSH_CERT_USER);
    assert_span_text(h.cert.key_id, "ann/7");
    assert_int_equal(h.cert.principals_count, 2);
    assert_span_text(sp_ssh_cert_principal(&h.cert, 1), "dev");
    assert_span_text(sp_ssh_cert_principal(&h.cert, 2), "");
    assert_true(h.cert.has_force_command && h.cert.has_source_address);
    assert_span_text(h.cert.force_command, "/bin/true x");
    assert_span_text(h.cert.source_address, "10.0.0.0/8,::1");
    assert_int_equal(h.cert.permits, SP_SSH_PERMIT_PTY);
    sp_span value;
    assert_true(sp_ssh_cert_extension(&h.cert, SP_SPAN_LIT("session@sallyport"), &value));
    assert_span_text(value, "abc");
    assert_false(sp_ssh_cert_extension(&h.cert, SP_SPAN_LIT("device@sallyport"), &value));
    assert_true(h.cert.valid_before_unix_s - h.cert.valid_after_unix_s == 7200);

    auto_buf sp_buf plain = sp_buf_make(SP_SSH_KEY_BLOB_MAX_BYTES);
    auto_buf sp_buf want = sp_buf_make(0);
    read_blob("key.pub", &want);
    sp_ssh_cert_key_blob(&h.cert, &plain);
    assert_true(sp_span_eq(sp_buf_borrow(&plain), sp_buf_borrow(&want)));

    sp_ssh_cert cert;
    for (size_t len = 0; len < h.blob.len; len++) { /* cut anywhere */
        assert_true(sp_failed(sp_ssh_cert_parse(sp_span_of(h.blob.ptr, len), &cert)));
    }
    sp_buf_byte(&h.blob, 0);
    assert_fails(sp_ssh_cert_parse(sp_buf_borrow(&h.blob), &cert), SP_EINVALID);
    assert_fails(sp_ssh_cert_parse(sp_buf_borrow(&want), &cert), SP_EUNSUPPORTED);
    drop(&h);
}

static void each_fault_is_told(void **state)
{
    (void)state;
    held h = {0};
    certify("-n", "ops,dev");
    take(&h);
    uint64_t from = h.cert.valid_after_unix_s;
    uint64_t to = h.cert.valid_before_unix_s;
    assert_int_equal(fault_of(&h, SP_SSH_CERT_USER, "dev", from, "10.1.2.3"), SP_SSH_CERT_GOOD);
    assert_int_equal(fault_of(&h, SP_SSH_CERT_USER, "dev", to - 1, NULL), SP_SSH_CERT_GOOD);
    assert_int_equal(fault_of(&h, SP_SSH_CERT_USER, "dev", to, NULL), SP_SSH_CERT_EXPIRED);
    assert_int_equal(fault_of(&h, SP_SSH_CERT_USER, "dev", from - 1, NULL), SP_SSH_CERT_NOT_YET);
    assert_int_equal(fault_of(&h, SP_SSH_CERT_HOST, "dev", from, NULL), SP_SSH_CERT_WRONG_KIND);
    assert_int_equal(fault_of(&h, SP_SSH_CERT_USER, "root", from, NULL),
                     SP_SSH_CERT_WRONG_PRINCIPAL);
    assert_int_equal(fault_of(&h, SP_SSH_CERT_USER, "", from, NULL), SP_SSH_CERT_WRONG_PRINCIPAL);
    assert_int_equal(fault_of(&h, SP_SSH_CERT_USER, "de?", from, NULL),
                     SP_SSH_CERT_WRONG_PRINCIPAL);
    sp_span ours = h.cas[0];
    h.cas[0] = SP_SPAN_EMPTY;
    assert_int_equal(fault_of(&h, SP_SSH_CERT_USER, "dev", from, NULL), SP_SSH_CERT_WRONG_CA);
    h.cas[0] = sp_buf_borrow(&h.blob);
    assert_int_equal(fault_of(&h, SP_SSH_CERT_USER, "dev", from, NULL), SP_SSH_CERT_WRONG_CA);
    (void)ours;
    drop(&h);

    certify("-O", "clear"); /* no principals: OpenSSH's "anybody" */
    take(&h);
    assert_int_equal(fault_of(&h, SP_SSH_CERT_USER, "", from, NULL), SP_SSH_CERT_NO_PRINCIPALS);
    drop(&h);

    certify("-n", "dev", "-O", "critical:wall@example.com=1");
    take(&h);
    assert_int_equal(fault_of(&h, SP_SSH_CERT_USER, "dev", from, NULL), SP_SSH_CERT_CRITICAL);
    drop(&h);

    certify("-n", "dev", "-O", "source-address=10.0.0.0/8,fd00::/8", "-O", "verify-required");
    take(&h);
    assert_true(h.cert.verify_required);
    assert_int_equal(fault_of(&h, SP_SSH_CERT_USER, "dev", from, "10.9.9.9"), SP_SSH_CERT_GOOD);
    assert_int_equal(fault_of(&h, SP_SSH_CERT_USER, "dev", from, "fd00::1"), SP_SSH_CERT_GOOD);
    assert_int_equal(fault_of(&h, SP_SSH_CERT_USER, "dev", from, "11.9.9.9"), SP_SSH_CERT_SOURCE);
    assert_int_equal(fault_of(&h, SP_SSH_CERT_USER, "dev", from, NULL), SP_SSH_CERT_SOURCE);
    drop(&h);

    certify("-h", "-n", "*.internal,db?");
    take(&h);
    assert_int_equal(fault_of(&h, SP_SSH_CERT_HOST, "a.b.internal", from, NULL), SP_SSH_CERT_GOOD);
    assert_int_equal(fault_of(&h, SP_SSH_CERT_HOST, "DB1", from, NULL), SP_SSH_CERT_GOOD);
    assert_int_equal(fault_of(&h, SP_SSH_CERT_HOST, "db12", from, NULL),
                     SP_SSH_CERT_WRONG_PRINCIPAL);
    assert_int_equal(fault_of(&h, SP_SSH_CERT_USER, "db1", from, NULL), SP_SSH_CERT_WRONG_KIND);
    drop(&h);
}

/* ssh-keygen makes no such certificates: built by hand. */
static void put_options(sp_buf *out, const char *first, const char *second, const char *data)
{
    auto_buf sp_buf list = sp_buf_make(1000);
    auto_buf sp_buf value = sp_buf_make(1000);
    sp_buf_bytes(&value, sp_span_cstr(data));
    sp_buf_bytes(&list, sp_span_cstr(first));
    sp_buf_bytes(&list, sp_buf_borrow(&value));
    if (second != NULL) {
        sp_buf_bytes(&list, sp_span_cstr(second));
        sp_buf_bytes(&list, sp_buf_borrow(&value));
    }
    sp_buf_bytes(out, sp_buf_borrow(&list));
}

static sp_code parse_built(const char *first, const char *second, bool chained)
{
    auto_buf sp_buf blob = sp_buf_make(10000);
    auto_buf sp_buf ca = sp_buf_make(1000);
    uint8_t zeros[64] = {0};
    sp_buf_bytes(&blob, SP_SPAN_LIT("ssh-ed25519-cert-v01@openssh.com"));
    sp_buf_bytes(&blob, sp_span_of(zeros, 32));
    sp_buf_bytes(&blob, sp_span_of(zeros, 32));
    sp_buf_u64(&blob, 1);
    sp_buf_u32(&blob, SP_SSH_CERT_USER);
    sp_buf_bytes(&blob, SP_SPAN_LIT("id"));
    sp_buf_bytes(&blob, SP_SPAN_LIT("\0\0\0\1a"));
    sp_buf_u64(&blob, 0);
    sp_buf_u64(&blob, UINT64_MAX);
    put_options(&blob, first, second, "x");
    sp_buf_bytes(&blob, SP_SPAN_EMPTY);
    sp_buf_bytes(&blob, SP_SPAN_EMPTY);
    sp_buf_bytes(&ca, chained ? SP_SPAN_LIT("ssh-ed25519-cert-v01@openssh.com")
                              : SP_SPAN_LIT("ssh-ed25519"));
    sp_buf_bytes(&ca, sp_span_of(zeros, 32));
    sp_buf_bytes(&blob, sp_buf_borrow(&ca));
    sp_buf_bytes(&blob, SP_SPAN_LIT("signature"));
    sp_ssh_cert cert;
    return sp_ssh_cert_parse(sp_buf_borrow(&blob), &cert).code;
}

static void what_ssh_keygen_would_not_make_is_refused(void **state)
{
    (void)state;
    assert_int_equal(parse_built("force-command", NULL, false), SP_OK);
    assert_int_equal(parse_built("force-command", "source-address", false), SP_OK);
    assert_int_equal(parse_built("source-address", "force-command", false), SP_EINVALID);
    assert_int_equal(parse_built("force-command", "force-command", false), SP_EINVALID);
    assert_int_equal(parse_built("verify-required", NULL, false), SP_EINVALID); /* has a value */
    assert_int_equal(parse_built("", NULL, false), SP_EINVALID);
    assert_int_equal(parse_built("force-command", NULL, true), SP_EINVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_it_is_read),
        cmocka_unit_test(each_fault_is_told),
        cmocka_unit_test(what_ssh_keygen_would_not_make_is_refused),
    };
    return cmocka_run_group_tests(tests, make_keys, keygen_teardown);
}

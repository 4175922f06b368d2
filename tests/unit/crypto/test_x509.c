/* SPDX-License-Identifier: Apache-2.0
 * Tests of keys, requests and certificates, against OpenSSL's own verification.
 * OWNS nothing. PROCESS tests. TRUST none. SPEC infra/crypto/x509.h.
 */
#include "infra/crypto/x509.h"

#include "infra/crypto/random.h"
#include "tests/unit/cm.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509v3.h>

enum { NOW = 1774000000, DAY = 86400 };

typedef struct {
    sp_pkey *ca_key;
    sp_pkey *key;
    sp_buf ca;
    sp_buf cert;
} office;

static const sp_cert_spec CLIENT = {.use = SP_CERT_CLIENT,
                                    .common_name = {(const uint8_t *)"laptop \xe5\xae\x89", 10},
                                    .organisation = {(const uint8_t *)"Lantern", 7},
                                    .number = {(const uint8_t *)"42", 2},
                                    .not_before_unix_s = NOW,
                                    .not_after_unix_s = NOW + DAY};

static int set_up(void **state)
{
    static office it;
    it = (office){.ca = sp_buf_make(SP_CERT_MAX_BYTES), .cert = sp_buf_make(SP_CERT_MAX_BYTES)};
    sp_cert_spec ca = {.use = SP_CERT_DEVICE_CA,
                       .common_name = SP_SPAN_LIT("Lantern device CA"),
                       .not_before_unix_s = NOW,
                       .not_after_unix_s = NOW + 3650ULL * DAY};
    assert_ok(sp_crypto_start());
    assert_ok(sp_pkey_new_p256(&it.ca_key));
    assert_ok(sp_pkey_new_p256(&it.key));
    assert_ok(sp_cert_issue(&ca, it.ca_key, SP_SPAN_EMPTY, it.ca_key, &it.ca));
    assert_ok(sp_cert_issue(&CLIENT, it.key, sp_buf_borrow(&it.ca), it.ca_key, &it.cert));
    *state = &it;
    return 0;
}

static int tear_down(void **state)
{
    office *it = *state;
    sp_pkey_free(it->ca_key);
    sp_pkey_free(it->key);
    sp_buf_done(&it->ca);
    sp_buf_done(&it->cert);
    return 0;
}

static void issues_what_was_asked(void **state)
{
    office *it = *state;
    sp_cert_info info;
    assert_ok(sp_cert_read(sp_buf_borrow(&it->cert), &info));
    assert_string_equal(info.common_name, "laptop \xe5\xae\x89");
    assert_string_equal(info.issuer_name, "Lantern device CA");
    assert_string_equal(info.number, "42");
    assert_true(info.not_before_unix_s == NOW && info.not_after_unix_s == NOW + DAY);
    assert_false(info.is_ca);
    assert_true(info.serial[0] >= 0x40 && info.serial[0] < 0x80);
    assert_ok(sp_cert_read(sp_buf_borrow(&it->ca), &info));
    assert_true(info.is_ca);
    auto_pkey sp_pkey *public_half = NULL;
    assert_ok(sp_cert_public(sp_buf_borrow(&it->cert), &public_half));
    assert_true(sp_pkey_same_public(public_half, it->key));
}

static void checks_issuer_and_time(void **state)
{
    office *it = *state;
    sp_span cert = sp_buf_borrow(&it->cert);
    sp_span ca = sp_buf_borrow(&it->ca);
    assert_ok(sp_cert_check(cert, ca, NOW + 1));
    assert_fails(sp_cert_check(cert, ca, NOW - 1), SP_ECORRUPT);
    assert_fails(sp_cert_check(cert, ca, NOW + DAY), SP_ECORRUPT);
    assert_fails(sp_cert_check(cert, cert, NOW + 1), SP_ECORRUPT);
    auto_buf sp_buf other = sp_buf_make(SP_CERT_MAX_BYTES);
    sp_cert_spec twin = {.use = SP_CERT_DEVICE_CA,
                         .common_name = SP_SPAN_LIT("Lantern device CA"),
                         .not_before_unix_s = NOW,
                         .not_after_unix_s = NOW + DAY};
    assert_ok(sp_cert_issue(&twin, it->key, SP_SPAN_EMPTY, it->key, &other));
    assert_fails(sp_cert_check(cert, sp_buf_borrow(&other), NOW + 1), SP_ECORRUPT);
}

/* The whole chain by OpenSSL with its purposes, as nginx does it. */
static int verify_error(sp_span leaf, sp_span ca, int purpose, const char *host)
{
    const uint8_t *at = leaf.ptr;
    X509 *cert = d2i_X509(NULL, &at, (long)leaf.len);
    at = ca.ptr;
    X509 *root = d2i_X509(NULL, &at, (long)ca.len);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    X509_STORE_add_cert(store, root);
    X509_STORE_CTX_init(ctx, store, cert, NULL);
    X509_STORE_CTX_set_purpose(ctx, purpose);
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_time(param, NOW + 60);
    if (host != NULL) {
        X509_VERIFY_PARAM_set1_host(param, host, 0);
    }
    int error = X509_verify_cert(ctx) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    X509_free(root);
    X509_free(cert);
    return error;
}

static void device_certificates_serve_clients_only(void **state)
{
    office *it = *state;
    sp_span cert = sp_buf_borrow(&it->cert);
    sp_span ca = sp_buf_borrow(&it->ca);
    assert_int_equal(verify_error(cert, ca, X509_PURPOSE_SSL_CLIENT, NULL), X509_V_OK);
    assert_int_not_equal(verify_error(cert, ca, X509_PURPOSE_SSL_SERVER, NULL), X509_V_OK);
}

static void issue_server(office *it, sp_span ca, const char *name, sp_buf *out)
{
    sp_cert_spec server = {.use = SP_CERT_SERVER,
                           .common_name = SP_SPAN_LIT("server"),
                           .dns_names = {sp_span_cstr(name)},
                           .dns_count = 1,
                           .not_before_unix_s = NOW,
                           .not_after_unix_s = NOW + DAY};
    assert_ok(sp_cert_issue(&server, it->key, ca, it->ca_key, out));
}

static void office_ca_ends_at_its_domain(void **state)
{
    office *it = *state;
    auto_buf sp_buf ca = sp_buf_make(SP_CERT_MAX_BYTES);
    auto_buf sp_buf inside = sp_buf_make(SP_CERT_MAX_BYTES);
    auto_buf sp_buf outside = sp_buf_make(SP_CERT_MAX_BYTES);
    sp_cert_spec office_ca = {.use = SP_CERT_OFFICE_CA,
                              .common_name = SP_SPAN_LIT("Lantern CA"),
                              .dns_names = {SP_SPAN_LIT("office.example")},
                              .dns_count = 1,
                              .not_before_unix_s = NOW,
                              .not_after_unix_s = NOW + DAY};
    assert_ok(sp_cert_issue(&office_ca, it->ca_key, SP_SPAN_EMPTY, it->ca_key, &ca));
    issue_server(it, sp_buf_borrow(&ca), "*.office.example", &inside);
    issue_server(it, sp_buf_borrow(&ca), "bank.example", &outside);
    assert_int_equal(verify_error(sp_buf_borrow(&inside), sp_buf_borrow(&ca),
                                  X509_PURPOSE_SSL_SERVER, "wiki.office.example"),
                     X509_V_OK);
    assert_int_equal(verify_error(sp_buf_borrow(&outside), sp_buf_borrow(&ca),
                                  X509_PURPOSE_SSL_SERVER, "bank.example"),
                     X509_V_ERR_PERMITTED_VIOLATION);
}

static void refuses_names_it_cannot_write(void **state)
{
    office *it = *state;
    auto_buf sp_buf out = sp_buf_make(SP_CERT_MAX_BYTES);
    static const sp_span bad[] = {{NULL, 0},
                                  {(const uint8_t *)"a\0b", 3},
                                  {(const uint8_t *)"\xff\xfe", 2},
                                  {(const uint8_t *)"0123456789012345678901234567890123456789"
                                                    "0123456789012345678901234",
                                   65}};
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        sp_cert_spec spec = CLIENT;
        spec.common_name = bad[i];
        assert_fails(sp_cert_issue(&spec, it->key, sp_buf_borrow(&it->ca), it->ca_key, &out),
                     SP_EINVALID);
    }
    sp_cert_spec spec = CLIENT;
    spec.use = SP_CERT_SERVER;
    spec.dns_count = 1;
    spec.dns_names[0] = SP_SPAN_LIT("a.example,DNS:bank.example");
    assert_fails(sp_cert_issue(&spec, it->key, sp_buf_borrow(&it->ca), it->ca_key, &out),
                 SP_EINVALID);
    assert_int_equal(out.len, 0);
}

static void accepts_a_request_of_ours(void **state)
{
    office *it = *state;
    auto_buf sp_buf csr = sp_buf_make(SP_CSR_MAX_BYTES);
    auto_pkey sp_pkey *public_half = NULL;
    assert_ok(sp_csr_make(it->key, SP_SPAN_LIT("laptop"), &csr));
    assert_ok(sp_csr_accept(sp_buf_borrow(&csr), &public_half));
    assert_true(sp_pkey_same_public(public_half, it->key));
}

static void refuses_changed_requests(void **state)
{
    office *it = *state;
    auto_buf sp_buf csr = sp_buf_make(SP_CSR_MAX_BYTES);
    assert_ok(sp_csr_make(it->key, SP_SPAN_LIT("laptop"), &csr));
    for (size_t i = 0; i < csr.len; i++) { /* any one flipped bit */
        sp_pkey *public_half = NULL;
        csr.ptr[i] ^= 0x01;
        assert_true(sp_failed(sp_csr_accept(sp_buf_borrow(&csr), &public_half)));
        csr.ptr[i] ^= 0x01;
    }
    for (size_t len = 0; len < csr.len; len++) { /* any cut */
        sp_pkey *public_half = NULL;
        assert_true(sp_failed(sp_csr_accept(sp_span_of(csr.ptr, len), &public_half)));
    }
    sp_pkey *public_half = NULL;
    sp_buf_byte(&csr, 0);
    assert_fails(sp_csr_accept(sp_buf_borrow(&csr), &public_half), SP_EINVALID);
}

static void refuses_other_kinds_of_key(void **state)
{
    (void)state;
    EVP_PKEY *odd[] = {EVP_EC_gen("P-384"), EVP_RSA_gen(1024), EVP_RSA_gen(2048),
                       EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")};
    for (size_t i = 0; i < SP_COUNT(odd); i++) {
        X509_REQ *request = X509_REQ_new();
        X509_REQ_set_pubkey(request, odd[i]);
        assert_true(X509_REQ_sign(request, odd[i], i == 3 ? NULL : EVP_sha256()) > 0);
        uint8_t *der = NULL;
        int len = i2d_X509_REQ(request, &der);
        sp_pkey *public_half = NULL;
        assert_fails(sp_csr_accept(sp_span_of(der, (size_t)len), &public_half), SP_EUNSUPPORTED);
        OPENSSL_free(der);
        X509_REQ_free(request);
        EVP_PKEY_free(odd[i]);
    }
}

static void signs_what_tls_asks(void **state)
{
    office *it = *state;
    EVP_PKEY *rsa = EVP_RSA_gen(2048);
    auto_pkey sp_pkey *rsa_public = NULL;
    auto_buf sp_buf spki = sp_buf_make(SP_PKEY_DER_MAX_BYTES);
    assert_ok(sp_pkey_public_der(rsa, &spki));
    assert_ok(sp_pkey_of_public_der(sp_buf_borrow(&spki), &rsa_public));
    static const uint8_t digest[64] = {1, 2, 3};
    static const size_t lens[] = {32, 48, 64};
    for (size_t i = 0; i < SP_COUNT(lens); i++) {
        for (sp_sign_how how = SP_SIGN_ECDSA; how < SP_SIGN_HOW_COUNT; how++) {
            auto_buf sp_buf signature = sp_buf_make(1024);
            bool ec = how == SP_SIGN_ECDSA;
            sp_span text = {digest, lens[i]};
            assert_ok(sp_pkey_sign(ec ? it->key : rsa, how, text, &signature));
            assert_ok(
                sp_pkey_verify(ec ? it->key : rsa_public, how, text, sp_buf_borrow(&signature)));
            signature.ptr[signature.len - 1] ^= 1;
            assert_fails(
                sp_pkey_verify(ec ? it->key : rsa_public, how, text, sp_buf_borrow(&signature)),
                SP_ECORRUPT);
            assert_fails(sp_pkey_sign(ec ? rsa : it->key, how, text, &signature), SP_EUNSUPPORTED);
        }
    }
    auto_buf sp_buf signature = sp_buf_make(1024);
    assert_fails(sp_pkey_sign(it->key, SP_SIGN_ECDSA, sp_span_of(digest, 20), &signature),
                 SP_EUNSUPPORTED);
    EVP_PKEY_free(rsa);
}

static void keeps_keys_as_der_and_pem(void **state)
{
    office *it = *state;
    auto_buf sp_buf der = sp_buf_make(SP_PKEY_DER_MAX_BYTES);
    auto_pkey sp_pkey *again = NULL;
    assert_ok(sp_pkey_der(it->key, &der));
    assert_ok(sp_pkey_of_der(sp_buf_borrow(&der), &again));
    assert_true(sp_pkey_same_public(it->key, again));
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey(bio, it->key, NULL, NULL, 0, NULL, NULL), 1);
    char *text = NULL;
    long len = BIO_get_mem_data(bio, &text);
    auto_pkey sp_pkey *from_pem = NULL;
    assert_ok(sp_pkey_of_pem(sp_span_of(text, (size_t)len), &from_pem));
    assert_true(sp_pkey_same_public(it->key, from_pem));
    BIO_free(bio);
    sp_pkey *none = NULL;
    assert_fails(sp_pkey_of_der(sp_span_slice(sp_buf_borrow(&der), 0, 40), &none), SP_EINVALID);
}

static void writes_and_reads_pem(void **state)
{
    office *it = *state;
    auto_buf sp_buf pem = sp_buf_make(64 * 1024);
    sp_cert_pem(sp_buf_borrow(&it->cert), &pem);
    sp_cert_pem(sp_buf_borrow(&it->ca), &pem);
    sp_span rest = sp_buf_borrow(&pem);
    auto_buf sp_buf first = sp_buf_make(SP_CERT_MAX_BYTES);
    auto_buf sp_buf second = sp_buf_make(SP_CERT_MAX_BYTES);
    auto_buf sp_buf third = sp_buf_make(SP_CERT_MAX_BYTES);
    assert_ok(sp_cert_of_pem(&rest, &first));
    assert_ok(sp_cert_of_pem(&rest, &second));
    assert_fails(sp_cert_of_pem(&rest, &third), SP_ENOTFOUND);
    assert_true(sp_span_eq(sp_buf_borrow(&first), sp_buf_borrow(&it->cert)));
    assert_true(sp_span_eq(sp_buf_borrow(&second), sp_buf_borrow(&it->ca)));
}

static void makes_a_pkcs12(void **state)
{
    office *it = *state;
    auto_buf sp_buf store = sp_buf_make(16 * 1024);
    assert_ok(sp_pkcs12_make(it->key, sp_buf_borrow(&it->cert), sp_buf_borrow(&it->ca), "Sallyport",
                             "word", &store));
    const uint8_t *at = store.ptr;
    PKCS12 *read = d2i_PKCS12(NULL, &at, (long)store.len);
    EVP_PKEY *key = NULL;
    X509 *cert = NULL;
    assert_int_equal(PKCS12_parse(read, "wrong", &key, &cert, NULL), 0);
    assert_int_equal(PKCS12_parse(read, "word", &key, &cert, NULL), 1);
    assert_true(sp_pkey_same_public(key, it->key));
    EVP_PKEY_free(key);
    X509_free(cert);
    PKCS12_free(read);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(issues_what_was_asked),
        cmocka_unit_test(checks_issuer_and_time),
        cmocka_unit_test(device_certificates_serve_clients_only),
        cmocka_unit_test(office_ca_ends_at_its_domain),
        cmocka_unit_test(refuses_names_it_cannot_write),
        cmocka_unit_test(accepts_a_request_of_ours),
        cmocka_unit_test(refuses_changed_requests),
        cmocka_unit_test(refuses_other_kinds_of_key),
        cmocka_unit_test(signs_what_tls_asks),
        cmocka_unit_test(keeps_keys_as_der_and_pem),
        cmocka_unit_test(writes_and_reads_pem),
        cmocka_unit_test(makes_a_pkcs12),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

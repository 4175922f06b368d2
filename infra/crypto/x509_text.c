/* SPDX-License-Identifier: Apache-2.0
 * Certificates as files know them: PEM and PKCS#12.
 * OWNS nothing but what it appends. PROCESS vault, agent, core, cli. TRUST PEM texts are hostile.
 * SPEC RFC 7468, RFC 7292.
 */
#include "infra/crypto/x509.h"

#include <openssl/err.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>

enum { LINE_BYTES = 64, PKCS12_ITERATIONS = 100000 };

static const char CERT_BEGIN[] = "-----BEGIN CERTIFICATE-----";
static const char CERT_END[] = "-----END CERTIFICATE-----";
static const char CSR_BEGIN[] = "-----BEGIN CERTIFICATE REQUEST-----";
static const char CSR_END[] = "-----END CERTIFICATE REQUEST-----";

static void pem(const char *begin, sp_span der, const char *end, sp_buf *out)
{
    auto_buf sp_buf base64 = sp_buf_make(SP_CERT_MAX_BYTES * 2);
    sp_buf_base64(&base64, der);
    sp_span rest = sp_buf_borrow(&base64);
    sp_buf_fmt(out, "%s\n", begin);
    while (rest.len > 0) {
        sp_buf_span(out, sp_span_slice(rest, 0, LINE_BYTES));
        sp_buf_text(out, "\n");
        rest = sp_span_slice(rest, LINE_BYTES, rest.len);
    }
    sp_buf_fmt(out, "%s\n", end);
}

void sp_cert_pem(sp_span der, sp_buf *out)
{
    pem(CERT_BEGIN, der, CERT_END, out);
}

void sp_csr_pem(sp_span der, sp_buf *out)
{
    pem(CSR_BEGIN, der, CSR_END, out);
}

/* Decodes the base64 between two marks, and moves *text behind the second. */
static sp_err between(sp_span *text, const char *begin, const char *end, size_t max_bytes,
                      sp_buf *out)
{
    size_t from = sp_span_find(*text, sp_span_cstr(begin));
    if (from == text->len) {
        return sp_fail(SP_ENOTFOUND);
    }
    sp_span inside = sp_span_slice(*text, from + sp_span_cstr(begin).len, text->len);
    size_t to = sp_span_find(inside, sp_span_cstr(end));
    if (to == inside.len) {
        return sp_fail(SP_EINVALID);
    }
    *text = sp_span_slice(inside, to + sp_span_cstr(end).len, inside.len);
    inside = sp_span_slice(inside, 0, to);
    auto_buf sp_buf plain = sp_buf_make(max_bytes * 2);
    for (size_t i = 0; i < inside.len; i++) {
        uint8_t c = inside.ptr[i];
        if (c != '\n' && c != '\r' && c != ' ' && c != '\t') {
            sp_buf_byte(&plain, c);
        }
    }
    TRY(sp_buf_error(&plain));
    return sp_buf_unbase64(out, sp_buf_borrow(&plain));
}

sp_err sp_cert_of_pem(sp_span *pem, sp_buf *out)
{
    return between(pem, CERT_BEGIN, CERT_END, SP_CERT_MAX_BYTES, out);
}

sp_err sp_csr_of_any(sp_span text, sp_buf *out)
{
    sp_err err = between(&text, CSR_BEGIN, CSR_END, SP_CSR_MAX_BYTES, out);
    if (err.code != SP_ENOTFOUND) {
        return err;
    }
    sp_buf_span(out, text);
    return sp_buf_error(out);
}

static X509 *cert_of(sp_span der)
{
    const uint8_t *at = der.ptr;
    return der.len == 0 || der.len > SP_CERT_MAX_BYTES ? NULL : d2i_X509(NULL, &at, (long)der.len);
}

static STACK_OF(X509) * issuer_stack(sp_span issuer)
{
    STACK_OF(X509) *others = sk_X509_new_null();
    X509 *cert = issuer.len == 0 ? NULL : cert_of(issuer);
    if (others != NULL && cert != NULL && sk_X509_push(others, cert) > 0) {
        cert = NULL;
    }
    X509_free(cert);
    return others;
}

sp_err sp_pkcs12_make(sp_pkey *key, sp_span certificate, sp_span issuer, const char *name,
                      const char *passphrase, sp_buf *out)
{
    X509 *cert = cert_of(certificate);
    STACK_OF(X509) *others = issuer_stack(issuer);
    PKCS12 *store = cert == NULL || others == NULL
                        ? NULL
                        : PKCS12_create(passphrase, name, key, cert, others, NID_aes_256_cbc,
                                        NID_aes_256_cbc, PKCS12_ITERATIONS, PKCS12_ITERATIONS, 0);
    uint8_t *der = NULL;
    int len = store == NULL ? -1 : i2d_PKCS12(store, &der);
    if (len > 0) {
        sp_buf_span(out, (sp_span){der, (size_t)len});
    }
    OPENSSL_free(der);
    PKCS12_free(store);
    sk_X509_pop_free(others, X509_free);
    X509_free(cert);
    ERR_clear_error();
    return len > 0 ? sp_buf_error(out) : sp_fail(SP_EINVALID);
}

/* SPDX-License-Identifier: Apache-2.0
 * Certificates and requests by OpenSSL.
 * OWNS nothing but what it appends. PROCESS vault, agent, core, cli. TRUST requests and
 * certificates are hostile. SPEC infra/crypto/x509.h.
 */
#include "infra/crypto/x509.h"

#include "infra/crypto/random.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

enum { COMMON_NAME_MAX_BYTES = 64, DNS_NAME_MAX_BYTES = 253 };

static sp_err refused(sp_code code)
{
    ERR_clear_error();
    return sp_fail(code);
}

static X509 *cert_of(sp_span der)
{
    const uint8_t *at = der.ptr;
    if (der.len == 0 || der.len > SP_CERT_MAX_BYTES) {
        return NULL;
    }
    X509 *cert = d2i_X509(NULL, &at, (long)der.len);
    if (cert != NULL && at != der.ptr + der.len) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

static void cert_free(X509 **cert)
{
    X509_free(*cert);
}
#define auto_cert __attribute__((cleanup(cert_free)))

static void request_free(X509_REQ **request)
{
    X509_REQ_free(*request);
}
#define auto_request __attribute__((cleanup(request_free)))

/* ---- names ---- */

static bool name_add(X509_NAME *name, int nid, sp_span text)
{
    return X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8, text.ptr, (int)text.len, -1, 0) ==
           1;
}

static bool name_fits(sp_span text)
{
    return text.len > 0 && text.len <= COMMON_NAME_MAX_BYTES && sp_span_is_utf8(text) &&
           sp_span_index(text, 0) == text.len;
}

static sp_err set_subject(X509 *cert, const sp_cert_spec *spec)
{
    X509_NAME *name = X509_get_subject_name(cert);
    if (!name_fits(spec->common_name) ||
        (spec->organisation.len > 0 && !name_fits(spec->organisation)) ||
        (spec->number.len > 0 && !name_fits(spec->number))) {
        return sp_fail(SP_EINVALID);
    }
    bool good =
        spec->organisation.len == 0 || name_add(name, NID_organizationName, spec->organisation);
    good = good && name_add(name, NID_commonName, spec->common_name);
    good = good && (spec->number.len == 0 || name_add(name, NID_serialNumber, spec->number));
    return good ? sp_ok() : refused(SP_EINVALID);
}

static bool dns_name_is_plain(sp_span name)
{
    if (name.len == 0 || name.len > DNS_NAME_MAX_BYTES) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        bool plain = sp_is_lower_alnum(c) || c == '-' || c == '.' || (c == '*' && i == 0);
        if (!plain) {
            return false;
        }
    }
    return true;
}

/* ---- extensions ---- */

/* value is a constant of ours, in OpenSSL's configuration syntax. */
static bool ext_add(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool good = ext != NULL && X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return good;
}

static GENERAL_NAME *dns_general_name(sp_span name)
{
    GENERAL_NAME *general = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    if (general == NULL || text == NULL || ASN1_STRING_set(text, name.ptr, (int)name.len) != 1) {
        GENERAL_NAME_free(general);
        ASN1_IA5STRING_free(text);
        return NULL;
    }
    GENERAL_NAME_set0_value(general, GEN_DNS, text);
    return general;
}

static sp_err add_dns_names(X509 *cert, const sp_cert_spec *spec)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    sp_err err = names == NULL ? sp_fail(SP_ENOMEM) : sp_ok();
    for (size_t i = 0; i < spec->dns_count && !sp_failed(err); i++) {
        GENERAL_NAME *general =
            dns_name_is_plain(spec->dns_names[i]) ? dns_general_name(spec->dns_names[i]) : NULL;
        if (general == NULL || sk_GENERAL_NAME_push(names, general) <= 0) {
            GENERAL_NAME_free(general);
            err = sp_fail(SP_EINVALID);
        }
    }
    if (!sp_failed(err) && X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0) != 1) {
        err = refused(SP_EINTERNAL);
    }
    GENERAL_NAMES_free(names);
    return err;
}

/* An office CA that got into wrong hands is worth nothing outside the office's own domain. */
static sp_err add_domain_constraint(X509 *cert, sp_span domain)
{
    if (!dns_name_is_plain(domain)) {
        return sp_fail(SP_EINVALID);
    }
    NAME_CONSTRAINTS *limits = NAME_CONSTRAINTS_new();
    GENERAL_SUBTREE *tree = GENERAL_SUBTREE_new();
    GENERAL_NAME *general = dns_general_name(domain);
    bool good = limits != NULL && tree != NULL && general != NULL;
    if (good) {
        GENERAL_NAME_free(tree->base);
        tree->base = general;
        general = NULL;
        limits->permittedSubtrees = sk_GENERAL_SUBTREE_new_null();
        good = limits->permittedSubtrees != NULL &&
               sk_GENERAL_SUBTREE_push(limits->permittedSubtrees, tree) > 0;
        if (good) {
            tree = NULL;
            good = X509_add1_ext_i2d(cert, NID_name_constraints, limits, 1, 0) == 1;
        }
    }
    GENERAL_NAME_free(general);
    GENERAL_SUBTREE_free(tree);
    NAME_CONSTRAINTS_free(limits);
    return good ? sp_ok() : refused(SP_EINTERNAL);
}

static sp_err set_extensions(X509 *cert, X509 *issuer, const sp_cert_spec *spec)
{
    bool is_ca = spec->use == SP_CERT_DEVICE_CA || spec->use == SP_CERT_OFFICE_CA;
    bool good = ext_add(cert, issuer, NID_basic_constraints,
                        is_ca ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE");
    good = good && ext_add(cert, issuer, NID_key_usage,
                           is_ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature");
    good = good && ext_add(cert, issuer, NID_subject_key_identifier, "hash");
    good = good && ext_add(cert, issuer, NID_authority_key_identifier, "keyid:always");
    if (spec->use == SP_CERT_CLIENT || spec->use == SP_CERT_DEVICE_CA) {
        good = good && ext_add(cert, issuer, NID_ext_key_usage, "clientAuth");
    } else {
        good = good && ext_add(cert, issuer, NID_ext_key_usage, "serverAuth");
    }
    if (!good) {
        return refused(SP_EINTERNAL);
    }
    if (spec->use == SP_CERT_SERVER) {
        return spec->dns_count == 0 ? sp_fail(SP_EINVALID) : add_dns_names(cert, spec);
    }
    return spec->use == SP_CERT_OFFICE_CA ? add_domain_constraint(cert, spec->dns_names[0])
                                          : sp_ok();
}

/* ---- issuing ---- */

static sp_err set_serial(X509 *cert)
{
    uint8_t bytes[SP_CERT_SERIAL_BYTES];
    sp_random(bytes, sizeof(bytes));
    bytes[0] = (uint8_t)((bytes[0] & 0x7f) | 0x40); /* positive and of one length */
    BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    bool good = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
    BN_free(number);
    return good ? sp_ok() : refused(SP_ENOMEM);
}

static sp_err set_times(X509 *cert, const sp_cert_spec *spec)
{
    if (spec->not_after_unix_s <= spec->not_before_unix_s || spec->not_after_unix_s > INT64_MAX) {
        return sp_fail(SP_EINVALID);
    }
    bool good = ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)spec->not_before_unix_s) != NULL &&
                ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)spec->not_after_unix_s) != NULL;
    return good ? sp_ok() : refused(SP_EINVALID);
}

static sp_err append_cert(X509 *cert, sp_buf *out)
{
    uint8_t *der = NULL;
    int len = i2d_X509(cert, &der);
    if (len < 0) {
        return refused(SP_EINTERNAL);
    }
    sp_buf_span(out, (sp_span){der, (size_t)len});
    OPENSSL_free(der);
    return sp_buf_error(out);
}

sp_err sp_cert_issue(const sp_cert_spec *spec, const sp_pkey *subject_key, sp_span issuer,
                     sp_pkey *issuer_key, sp_buf *out)
{
    auto_cert X509 *cert = X509_new();
    auto_cert X509 *issuing = issuer.len == 0 ? NULL : cert_of(issuer);
    if (cert == NULL || (issuer.len > 0 && issuing == NULL)) {
        return refused(SP_EINVALID);
    }
    X509 *signer = issuing == NULL ? cert : issuing;
    TRY(set_serial(cert));
    TRY(set_times(cert, spec));
    TRY(set_subject(cert, spec));
    /* OpenSSL takes the key by a mutable pointer only to count its references. */
    EVP_PKEY *key = EVP_PKEY_dup((EVP_PKEY *)(uintptr_t)subject_key);
    bool good = X509_set_version(cert, X509_VERSION_3) == 1 && key != NULL &&
                X509_set_pubkey(cert, key) == 1 &&
                X509_set_issuer_name(cert, X509_get_subject_name(signer)) == 1;
    EVP_PKEY_free(key);
    if (!good) {
        return refused(SP_EINTERNAL);
    }
    TRY(set_extensions(cert, signer, spec));
    if (X509_sign(cert, issuer_key, EVP_sha256()) <= 0) {
        return refused(SP_EINTERNAL);
    }
    return append_cert(cert, out);
}

/* ---- requests ---- */

sp_err sp_csr_make(sp_pkey *key, sp_span common_name, sp_buf *out)
{
    auto_request X509_REQ *request = X509_REQ_new();
    if (request == NULL || !name_fits(common_name)) {
        return refused(SP_EINVALID);
    }
    uint8_t *der = NULL;
    bool good = X509_REQ_set_version(request, X509_REQ_VERSION_1) == 1 &&
                name_add(X509_REQ_get_subject_name(request), NID_commonName, common_name) &&
                X509_REQ_set_pubkey(request, key) == 1 &&
                X509_REQ_sign(request, key, EVP_sha256()) > 0;
    int len = good ? i2d_X509_REQ(request, &der) : -1;
    if (len < 0) {
        return refused(SP_EINTERNAL);
    }
    sp_buf_span(out, (sp_span){der, (size_t)len});
    OPENSSL_free(der);
    return sp_buf_error(out);
}

sp_err sp_csr_accept(sp_span der, sp_pkey **ret_public)
{
    const uint8_t *at = der.ptr;
    if (der.len == 0 || der.len > SP_CSR_MAX_BYTES) {
        return sp_fail(SP_EINVALID);
    }
    auto_request X509_REQ *request = d2i_X509_REQ(NULL, &at, (long)der.len);
    if (request == NULL || at != der.ptr + der.len) {
        return refused(SP_EINVALID);
    }
    EVP_PKEY *key = X509_REQ_get0_pubkey(request);
    auto_pkey sp_pkey *copy = NULL;
    auto_buf sp_buf spki = sp_buf_make(SP_PKEY_DER_MAX_BYTES);
    if (key == NULL) {
        return refused(SP_EINVALID);
    }
    TRY(sp_pkey_public_der(key, &spki));
    TRY(sp_pkey_of_public_der(sp_buf_borrow(&spki), &copy)); /* of a kind that we take */
    if (sp_pkey_kind_of(copy) != SP_PKEY_P256 ||
        X509_REQ_get_signature_nid(request) != NID_ecdsa_with_SHA256) {
        return sp_fail(SP_EUNSUPPORTED);
    }
    if (X509_REQ_verify(request, copy) != 1) {
        return refused(SP_ECORRUPT);
    }
    *ret_public = SP_STEAL(copy);
    return sp_ok();
}

/* ---- reading ---- */

static void name_text(const X509_NAME *name, int nid, char to[SP_CERT_TEXT_BYTES])
{
    int at = X509_NAME_get_index_by_NID(name, nid, -1);
    const X509_NAME_ENTRY *entry = at < 0 ? NULL : X509_NAME_get_entry(name, at);
    uint8_t *utf8 = NULL;
    int len = entry == NULL ? -1 : ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(entry));
    to[0] = '\0';
    if (len > 0) {
        sp_span text = {utf8, (size_t)len};
        if (sp_failed(sp_fit(to, SP_CERT_TEXT_BYTES, text)) || sp_span_index(text, 0) != text.len) {
            to[0] = '\0'; /* over-long or with a NUL: no name is better than half of one */
        }
    }
    OPENSSL_free(utf8);
}

static sp_err time_unix_s(const ASN1_TIME *time, uint64_t *ret_unix_s)
{
    struct tm parts;
    if (ASN1_TIME_to_tm(time, &parts) != 1) {
        return refused(SP_EINVALID);
    }
    time_t at = timegm(&parts);
    if (at < 0) {
        return sp_fail(SP_EINVALID);
    }
    *ret_unix_s = (uint64_t)at;
    return sp_ok();
}

static void read_serial(const X509 *cert, sp_cert_info *info)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
    if (number == NULL ||
        BN_bn2binpad(number, info->serial, SP_CERT_SERIAL_BYTES) != SP_CERT_SERIAL_BYTES) {
        sp_set(info->serial, 0, SP_CERT_SERIAL_BYTES); /* longer than any that we issue */
        ERR_clear_error();
    }
    BN_free(number);
}

sp_err sp_cert_read(sp_span der, sp_cert_info *ret_info)
{
    auto_cert X509 *cert = cert_of(der);
    sp_cert_info info = {0};
    if (cert == NULL) {
        return refused(SP_EINVALID);
    }
    TRY(time_unix_s(X509_get0_notBefore(cert), &info.not_before_unix_s));
    TRY(time_unix_s(X509_get0_notAfter(cert), &info.not_after_unix_s));
    read_serial(cert, &info);
    name_text(X509_get_subject_name(cert), NID_commonName, info.common_name);
    name_text(X509_get_issuer_name(cert), NID_commonName, info.issuer_name);
    name_text(X509_get_subject_name(cert), NID_serialNumber, info.number);
    info.is_ca = X509_check_ca(cert) == 1;
    *ret_info = info;
    return sp_ok();
}

sp_err sp_cert_public(sp_span der, sp_pkey **ret_public)
{
    auto_cert X509 *cert = cert_of(der);
    auto_buf sp_buf spki = sp_buf_make(SP_PKEY_DER_MAX_BYTES);
    EVP_PKEY *key = cert == NULL ? NULL : X509_get0_pubkey(cert);
    if (key == NULL) {
        return refused(SP_EINVALID);
    }
    TRY(sp_pkey_public_der(key, &spki));
    return sp_pkey_of_public_der(sp_buf_borrow(&spki), ret_public);
}

sp_err sp_cert_check(sp_span der, sp_span issuer, uint64_t now_unix_s)
{
    auto_cert X509 *cert = cert_of(der);
    auto_cert X509 *issuing = cert_of(issuer);
    if (cert == NULL || issuing == NULL) {
        return refused(SP_EINVALID);
    }
    sp_cert_info info;
    TRY(sp_cert_read(der, &info));
    bool good = X509_check_issued(issuing, cert) == X509_V_OK &&
                X509_verify(cert, X509_get0_pubkey(issuing)) == 1 &&
                now_unix_s >= info.not_before_unix_s && now_unix_s < info.not_after_unix_s;
    return good ? sp_ok() : refused(SP_ECORRUPT);
}

sp_hash sp_cert_fingerprint(sp_span der)
{
    return sp_sha256(der);
}

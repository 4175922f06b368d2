/* SPDX-License-Identifier: Apache-2.0
 * Certificates: requests made and judged, certificates issued and read, PEM and PKCS#12.
 * OWNS nothing but what it appends. PROCESS vault issues; agent requests; core, cli read.
 * TRUST requests, certificates and PEM texts are hostile. SPEC RFC 5280, RFC 2986, RFC 7292.
 */
#ifndef SP_CRYPTO_X509_H
#define SP_CRYPTO_X509_H

#include "infra/crypto/pkey.h"
#include "lib/base/sha256.h"

enum { SP_CSR_MAX_BYTES = 4096, SP_CERT_MAX_BYTES = 8192, SP_CERT_NAMES_MAX = 8 };
enum { SP_CERT_TEXT_BYTES = 128, SP_CERT_SERIAL_BYTES = 16 };

typedef enum {
    SP_CERT_DEVICE_CA, /* signs clients, path length 0 */
    SP_CERT_OFFICE_CA, /* signs servers below one domain (name constraint), path length 0 */
    SP_CERT_CLIENT,
    SP_CERT_SERVER,
    SP_CERT_USE_COUNT
} sp_cert_use;

typedef struct {
    sp_cert_use use;
    sp_span common_name;  /* UTF-8, 1..64 bytes */
    sp_span organisation; /* may be empty */
    sp_span number;       /* subject serialNumber: the device's number; may be empty */
    sp_span dns_names[SP_CERT_NAMES_MAX]; /* server: its names; office CA: [0] is its domain */
    size_t dns_count;
    uint64_t not_before_unix_s;
    uint64_t not_after_unix_s;
} sp_cert_spec;

typedef struct {
    uint64_t not_before_unix_s;
    uint64_t not_after_unix_s;
    uint8_t serial[SP_CERT_SERIAL_BYTES]; /* right-aligned */
    char common_name[SP_CERT_TEXT_BYTES];
    char issuer_name[SP_CERT_TEXT_BYTES]; /* the issuer's common name */
    char number[SP_CERT_TEXT_BYTES];      /* subject serialNumber, "" when none */
    bool is_ca;
} sp_cert_info;

/* Appends a PKCS#10 request in DER, signed by the key. */
SP_MUST sp_err sp_csr_make(sp_pkey *key, sp_span common_name, sp_buf *out);
/* The public key of a request that is well-formed, P-256 with SHA-256, and signed by that very key.
 * Everything else in it (subject, attributes) is ignored. SP_EINVALID, SP_EUNSUPPORTED,
 * SP_ECORRUPT. */
SP_MUST sp_err sp_csr_accept(sp_span der, sp_pkey **ret_public);

/* Issues a certificate for subject_key and appends its DER. issuer: DER of the issuing certificate,
 * empty = self-signed (then issuer_key is subject_key's private half). */
SP_MUST sp_err sp_cert_issue(const sp_cert_spec *spec, const sp_pkey *subject_key, sp_span issuer,
                             sp_pkey *issuer_key, sp_buf *out);
SP_MUST sp_err sp_cert_read(sp_span der, sp_cert_info *ret_info);
SP_MUST sp_err sp_cert_public(sp_span der, sp_pkey **ret_public);
/* Signed by the issuer's key, names chained, and valid at that time. SP_ECORRUPT. */
SP_MUST sp_err sp_cert_check(sp_span der, sp_span issuer, uint64_t now_unix_s);
sp_hash sp_cert_fingerprint(sp_span der);

/* Appends "-----BEGIN CERTIFICATE-----..." */
void sp_cert_pem(sp_span der, sp_buf *out);
/* Appends the DER of the first certificate in *pem and moves *pem behind it. SP_ENOTFOUND = none.
 */
SP_MUST sp_err sp_cert_of_pem(sp_span *pem, sp_buf *out);
/* Appends "-----BEGIN CERTIFICATE REQUEST-----..." */
void sp_csr_pem(sp_span der, sp_buf *out);
/* A request likewise: PEM or DER in, DER appended. */
SP_MUST sp_err sp_csr_of_any(sp_span text, sp_buf *out);

/* A PKCS#12 with key and certificate, sealed by the passphrase (AES-256, PBKDF2). */
SP_MUST sp_err sp_pkcs12_make(sp_pkey *key, sp_span certificate, sp_span issuer, const char *name,
                              const char *passphrase, sp_buf *out);

#endif

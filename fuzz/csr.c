/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: what a device hands in (PEM or DER) up to the acceptance of its key, and certificates as
 * the agent reads them. OWNS nothing. PROCESS fuzzing. TRUST the input is hostile. SPEC
 * infra/crypto/x509.h.
 */
#include "infra/crypto/x509.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sp_span input = sp_span_of(data, size);
    auto_buf sp_buf der = sp_buf_make(SP_CERT_MAX_BYTES * 2);
    auto_pkey sp_pkey *key = NULL;
    sp_cert_info info;
    if (!sp_failed(sp_csr_of_any(input, &der)) &&
        !sp_failed(sp_csr_accept(sp_buf_borrow(&der), &key)) &&
        sp_pkey_kind_of(key) != SP_PKEY_P256) {
        abort();
    }
    sp_buf_reset(&der);
    sp_span pem = input;
    if (!sp_failed(sp_cert_of_pem(&pem, &der))) {
        input = sp_buf_borrow(&der);
    }
    auto_pkey sp_pkey *certified = NULL;
    if (!sp_failed(sp_cert_read(input, &info))) {
        SP_IGNORE(sp_cert_public(input, &certified)); /* any answer will do */
        SP_IGNORE(sp_cert_check(input, input, info.not_before_unix_s));
    }
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0
 * Certificates in headers, of any bytes.
 * OWNS nothing. PROCESS fuzzing. TRUST none. SPEC lib/web/certificate.h.
 */
#include "lib/web/certificate.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sp_buf der = sp_buf_make(SP_WEB_CERTIFICATE_MAX_BYTES);
    sp_err err = sp_web_certificate_read((sp_span){data, size}, &der);
    if (!sp_failed(err) && sp_buf_borrow(&der).len == 0) {
        abort();
    }
    sp_buf_done(&der);
    return 0;
}

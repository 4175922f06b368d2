/* SPDX-License-Identifier: Apache-2.0
 * Fuzzing certificates: what is read must give a plain key that reads too, and be checked whole.
 * OWNS nothing. PROCESS fuzz. TRUST the input is hostile. SPEC lib/proto/ssh_cert.h.
 */
#include "lib/proto/ssh_cert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t PEER[16] = {[10] = 0xff, [11] = 0xff, [12] = 10};
    sp_ssh_cert cert;
    sp_span blob = sp_span_of(data, size);
    if (sp_failed(sp_ssh_cert_parse(blob, &cert))) {
        return 0;
    }
    auto_buf sp_buf plain = sp_buf_make(SP_SSH_CERT_MAX_BYTES);
    sp_ssh_key key;
    sp_ssh_cert_key_blob(&cert, &plain);
    if (!sp_ssh_cert_is(blob) || sp_failed(sp_ssh_key_parse(sp_buf_borrow(&plain), &key)) ||
        key.type != cert.key.type) {
        __builtin_trap();
    }
    for (uint32_t i = 0; i < cert.principals_count; i++) {
        if (!sp_ssh_cert_has_principal(&cert, sp_ssh_cert_principal(&cert, i))) {
            __builtin_trap();
        }
    }
    sp_span value;
    (void)sp_ssh_cert_extension(&cert, SP_SPAN_LIT("session@sallyport"), &value);
    sp_ssh_cert_expected expected = {.kind = (sp_ssh_cert_kind)cert.kind,
                                     .principal = sp_ssh_cert_principal(&cert, 0),
                                     .cas = &cert.ca_blob,
                                     .cas_count = 1,
                                     .now_unix_s = cert.valid_after_unix_s,
                                     .peer = PEER};
    (void)sp_ssh_cert_fault_word(sp_ssh_cert_check(&cert, &expected));
    return 0;
}

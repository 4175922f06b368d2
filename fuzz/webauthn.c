/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: attestationObject, authenticatorData and the CBOR inside; what is read must lie inside the
 * input.
 * OWNS nothing. PROCESS fuzz. TRUST hostile. SPEC core/identity/webauthn.h.
 */
#include "core/identity/webauthn.h"
#include "core/identity/cbor.h"

static bool lies_in(sp_span inner, sp_span outer)
{
    return inner.len == 0 || (inner.ptr >= outer.ptr && inner.len <= outer.len &&
                              inner.ptr + inner.len <= outer.ptr + outer.len);
}

static void need(bool good)
{
    if (!good) {
        __builtin_trap();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t challenge[32];
    sp_span input = sp_span_of(data, size);
    sp_span auth_data = SP_SPAN_EMPTY;
    sp_webauthn_auth_data read;
    sp_webauthn_credential credential;
    sp_webauthn_expect expect = {sp_span_of(challenge, sizeof(challenge)),
                                 SP_SPAN_LIT("https://portal.test"), SP_SPAN_LIT("portal.test")};
    sp_span client_data =
        SP_SPAN_LIT("{\"type\":\"webauthn.create\",\"challenge\":\"AAAAAAAAAAAAAAAAAA"
                    "AAAAAAAAAAAAAAAAAAAAAAAAA\",\"origin\":\"https://portal.test\"}");
    auto_buf sp_buf key = sp_buf_make(SP_WEBAUTHN_KEY_MAX_BYTES);
    sp_reader in = sp_reader_of(input);
    sp_cbor_skip(&in);
    if (!sp_failed(sp_webauthn_attestation_read(input, &auth_data))) {
        need(lies_in(auth_data, input));
    }
    if (!sp_failed(sp_webauthn_auth_data_read(input, &read))) {
        need(lies_in(read.credential_id, input) && lies_in(read.key_a, input) &&
             lies_in(read.key_b, input));
    }
    if (!sp_failed(sp_webauthn_register(&expect, client_data, input, &key, &credential))) {
        need(lies_in(credential.credential_id, input) && key.len <= SP_WEBAUTHN_KEY_MAX_BYTES);
    }
    return 0;
}

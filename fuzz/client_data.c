/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: clientDataJSON. What is accepted must name the challenge and the origin.
 * OWNS nothing. PROCESS fuzz. TRUST hostile. SPEC core/identity/webauthn.h.
 */
#include "core/identity/webauthn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t challenge[32];
    sp_span input = sp_span_of(data, size);
    sp_webauthn_expect expect = {sp_span_of(challenge, sizeof(challenge)),
                                 SP_SPAN_LIT("https://portal.test"), SP_SPAN_LIT("portal.test")};
    (void)sp_failed(sp_webauthn_client_data(input, "webauthn.get", &expect));
    return 0;
}

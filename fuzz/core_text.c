/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: the texts that core reads off strangers: Cookie, the `to` of /enter, codes, passwords.
 * A target that is accepted must be one of this office and cannot leave its host.
 * OWNS nothing. PROCESS fuzz. TRUST hostile. SPEC core/sessions/target.h, core/http/cookie.h.
 */
#include "core/http/cookie.h"
#include "core/identity/password.h"
#include "core/identity/totp.h"
#include "core/sessions/target.h"

static void need(bool good)
{
    if (!good) {
        __builtin_trap();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sp_span input = sp_span_of(data, size);
    sp_hash hash;
    sp_target target;
    uint64_t step = 0;
    (void)sp_failed(sp_cookie_token(input, &hash));
    if (!sp_failed(sp_target_read(input, SP_SPAN_LIT("office.test"),
                                  SP_SPAN_LIT("portal.office.test"), 443, &target))) {
        need(sp_span_ends(target.host, SP_SPAN_LIT(".office.test")) &&
             !sp_span_eq(target.host, SP_SPAN_LIT("portal.office.test")));
        need(target.path.len > 0 && target.path.ptr[0] == '/' &&
             (target.path.len == 1 || target.path.ptr[1] != '/'));
        need(sp_span_index(input, '\r') == input.len && sp_span_index(input, '\n') == input.len);
    }
    (void)sp_totp_check(SP_SPAN_LIT("12345678901234567890"), input, 1111111109, 0, &step);
    (void)sp_password_is_weak(input, SP_SPAN_LIT("ann"));
    return 0;
}

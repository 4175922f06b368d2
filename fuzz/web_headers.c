/* SPDX-License-Identifier: Apache-2.0
 * Cookies and small headers of any bytes: what was stripped is not found again.
 * OWNS nothing. PROCESS fuzzing. TRUST none. SPEC lib/web/cookie.h, lib/web/headers.h.
 */
#include "lib/web/cookie.h"
#include "lib/web/headers.h"

#include <stdlib.h>

enum { MAX_BYTES = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t room[2 * MAX_BYTES];
    if (size > MAX_BYTES) {
        return 0;
    }
    sp_span text = {data, size};
    sp_web_cookie cookie = {0};
    sp_web_cookie_find(sp_web_cookie_strip(text, room), &cookie);
    if (cookie.count != 0) {
        abort();
    }
    sp_web_cookie_find(text, &cookie);
    (void)sp_web_cookie_is_good(&cookie);
    (void)sp_web_cookie_is_set(text);
    (void)sp_web_header_is_ours(text);
    (void)sp_web_is_navigation(SP_SPAN_LIT("GET"), text, SP_SPAN_EMPTY, SP_SPAN_EMPTY);
    (void)sp_web_wants_chinese(text);
    (void)sp_web_content_range_total(text);
    (void)sp_web_range_is_multiple(text);
    return 0;
}

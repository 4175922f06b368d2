/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: the status page's message. What is read is written as the same bytes, and always makes a
 * page.
 * OWNS nothing. PROCESS fuzzing. TRUST the input is hostile. SPEC lib/web/status_page.h.
 */
#include "lib/web/status_page.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_buf sp_buf again = sp_buf_make(1 << 20);
    auto_buf sp_buf html = sp_buf_make(1 << 20);
    auto_buf sp_buf json = sp_buf_make(1 << 20);
    sp_status_page page;
    if (sp_failed(sp_status_page_read(sp_span_of(data, size), &page))) {
        return 0;
    }
    sp_status_page_write(&page, &again);
    const sp_web_status status = {.page = &page, .chinese = size % 2 == 1};
    sp_web_status_html(&status, &html);
    sp_web_status_json(&status, &json);
    if (!sp_span_eq(sp_buf_borrow(&again), sp_span_of(data, size)) ||
        sp_failed(sp_buf_error(&html)) || sp_failed(sp_buf_error(&json))) {
        abort();
    }
    return 0;
}

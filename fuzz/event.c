/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: event decoding. What decodes must encode to the same bytes again.
 * OWNS nothing. PROCESS fuzzing. TRUST the input is hostile. SPEC lib/proto/event.h.
 */
#include "lib/proto/event.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sp_event event;
    if (sp_failed(sp_event_decode(sp_span_of(data, size), &event))) {
        return 0;
    }
    auto_buf sp_buf again = sp_buf_make(SP_EVENT_MAX_BYTES);
    sp_event back;
    if (sp_failed(sp_event_encode(&event, &again)) ||
        sp_failed(sp_event_decode(sp_buf_borrow(&again), &back)) ||
        !sp_span_eq(back.object, event.object) || back.session != event.session) {
        abort();
    }
    return 0;
}

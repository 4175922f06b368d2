/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: an entry of the ledger back into events. Whatever is read can be encoded, unless a text of
 * it is longer than events have.
 * OWNS nothing. PROCESS fuzzing. TRUST the input is hostile. SPEC lib/proto/ocsf_read.h.
 */
#include "lib/proto/ocsf_read.h"

#include <stdlib.h>

static void visit(void *self, const sp_event *event, uint16_t at)
{
    (void)at;
    sp_buf *bytes = self;
    sp_event again;
    sp_buf_reset(bytes);
    if (!sp_failed(sp_event_encode(event, bytes)) &&
        sp_failed(sp_event_decode(sp_buf_borrow(bytes), &again))) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_buf sp_buf room = sp_buf_make((size_t)1 << 20);
    auto_buf sp_buf bytes = sp_buf_make(SP_EVENT_MAX_BYTES);
    SP_IGNORE(sp_ocsf_read(sp_span_of(data, size), &room, visit, &bytes)); /* mostly nonsense */
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: bodies about sinks; the first byte chooses. What is read is written as the same bytes.
 * OWNS nothing. PROCESS fuzzing. TRUST the input is hostile. SPEC lib/proto/sink_msg.h.
 */
#include "lib/proto/sink_msg.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_buf sp_buf again = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_sink_tasks tasks;
    sp_sink_told told;
    sp_sink_kept kept;
    if (size == 0) {
        return 0;
    }
    sp_span body = sp_span_of(data + 1, size - 1);
    if (data[0] % 3 == 0 && !sp_failed(sp_sink_tasks_read(body, &tasks))) {
        sp_sink_tasks_write(&tasks, &again);
    } else if (data[0] % 3 == 1 && !sp_failed(sp_sink_told_read(body, &told))) {
        sp_sink_told_write(&told, &again);
    } else if (data[0] % 3 == 2 && !sp_failed(sp_sink_kept_read(body, &kept))) {
        sp_sink_kept_write(&kept, &again);
    } else {
        return 0;
    }
    if (!sp_span_eq(sp_buf_borrow(&again), body)) {
        abort();
    }
    return 0;
}

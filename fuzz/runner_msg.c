/* SPDX-License-Identifier: Apache-2.0
 * Bodies of runner.sock: whatever is read is written again as the same bytes.
 * OWNS nothing. PROCESS fuzz. TRUST the input is hostile. SPEC lib/proto/runner_msg.h.
 */
#include "lib/proto/runner_msg.h"

#include <stdlib.h>

static void same(const sp_buf *again, sp_span body)
{
    if (!sp_span_eq(sp_buf_borrow(again), body)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sp_span body = sp_span_of(data, size);
    auto_buf sp_buf again = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_runner_job job;
    sp_runner_done done;
    if (!sp_failed(sp_runner_job_read(body, &job))) {
        sp_runner_job_write(&job, &again);
        same(&again, body);
    }
    sp_buf_reset(&again);
    if (!sp_failed(sp_runner_done_read(body, &done))) {
        sp_runner_done_write(&done, &again);
        same(&again, body);
    }
    return 0;
}

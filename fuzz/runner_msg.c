/* SPDX-License-Identifier: Apache-2.0
 * Bodies of runner.sock: whatever is read is written again as the same bytes.
 * OWNS nothing. PROCESS fuzz. TRUST the input is hostile. SPEC lib/proto/runner_msg.h.
 */
#include "lib/proto/runner_msg.h"
#include "fuzz/again.h"

FUZZ_AGAIN(runner_job)
FUZZ_AGAIN(runner_done)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sp_span body = sp_span_of(data, size);
    runner_job_again(body);
    runner_done_again(body);
    return 0;
}

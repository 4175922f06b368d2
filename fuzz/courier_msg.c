/* SPDX-License-Identifier: Apache-2.0
 * Bodies of courier.sock: whatever is read is written again as the same bytes.
 * OWNS nothing. PROCESS fuzz. TRUST the input is hostile. SPEC lib/proto/courier_msg.h.
 */
#include "lib/proto/courier_msg.h"
#include "fuzz/again.h"

FUZZ_AGAIN(courier_job)
FUZZ_AGAIN(courier_done)
FUZZ_AGAIN(courier_jobs)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sp_span body = sp_span_of(data, size);
    courier_job_again(body);
    courier_done_again(body);
    courier_jobs_again(body);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: bodies about sinks; the first byte chooses. What is read is written as the same bytes.
 * OWNS nothing. PROCESS fuzzing. TRUST the input is hostile. SPEC lib/proto/sink_msg.h.
 */
#include "lib/proto/sink_msg.h"
#include "fuzz/again.h"

FUZZ_AGAIN(sink_tasks)
FUZZ_AGAIN(sink_told)
FUZZ_AGAIN(sink_kept)

FUZZ_ONE_OF(sink_tasks_again, sink_told_again, sink_kept_again)

/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: bodies of the messages between gates and core; the first byte chooses the kind. What is
 * read must be written as the same bytes.
 * OWNS nothing. PROCESS fuzzing. TRUST the input is hostile. SPEC lib/proto/core_msg.h.
 */
#include "lib/proto/core_msg.h"
#include "fuzz/again.h"

FUZZ_AGAIN(core_hello)
FUZZ_AGAIN(core_office)
FUZZ_AGAIN(core_token_ask)
FUZZ_AGAIN(core_token)
FUZZ_AGAIN(core_snapshot)
FUZZ_AGAIN(core_again)

static void core_seen_again(sp_span body)
{
    static sp_core_seen_one items[SP_CORE_SEEN_MAX];
    auto_buf sp_buf again = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_core_seen seen;
    if (sp_failed(sp_core_seen_read(body, &seen))) {
        return;
    }
    for (uint32_t i = 0; i < seen.count; i++) {
        items[i] = sp_core_seen_at(&seen, i);
    }
    sp_core_seen_write(items, seen.count, &again);
    fuzz_same(&again, body);
}

FUZZ_ONE_OF(core_office_again, core_hello_again, core_token_ask_again, core_seen_again,
            core_snapshot_again, core_again_again, core_token_again)

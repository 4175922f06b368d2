/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: bodies of the messages between the SSH gate and core; the first byte chooses the body.
 * What is read must be written as the same bytes.
 * OWNS nothing. PROCESS fuzzing. TRUST the input is hostile. SPEC lib/proto/ssh_msg.h.
 */
#include "lib/proto/ssh_msg.h"

#include <stdlib.h>

static void same(const sp_buf *again, sp_span body)
{
    if (sp_failed(sp_buf_error(again)) || !sp_span_eq(sp_buf_borrow(again), body)) {
        abort();
    }
}

#define BODY(name)                                                                                 \
    static void name##_again(sp_span body, sp_buf *again)                                          \
    {                                                                                              \
        sp_ssh_##name read;                                                                        \
        if (!sp_failed(sp_ssh_##name##_read(body, &read))) {                                       \
            sp_ssh_##name##_write(&read, again);                                                   \
            same(again, body);                                                                     \
        }                                                                                          \
    }

BODY(offer)
BODY(key_shown)
BODY(signed_in)
BODY(prompt)
BODY(prompted)
BODY(session)
BODY(targets)
BODY(open)
BODY(opened)
BODY(conn)
BODY(channel)
BODY(watch_want)
BODY(watched)
BODY(kill)
BODY(freeze)
BODY(alarm)

static void (*const BODIES[])(sp_span body, sp_buf *again) = {
    offer_again,   key_shown_again, signed_in_again, prompt_again, prompted_again, session_again,
    targets_again, open_again,      opened_again,    conn_again,   channel_again,  watch_want_again,
    watched_again, kill_again,      freeze_again,    alarm_again,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    auto_buf sp_buf again = sp_buf_make(SP_MSG_MAX_BYTES);
    BODIES[data[0] % SP_COUNT(BODIES)](sp_span_of(data + 1, size - 1), &again);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: bodies of the messages between the database gate and core; the first byte chooses the
 * body. What is read must be written as the same bytes.
 * OWNS nothing. PROCESS fuzzing. TRUST the input is hostile. SPEC lib/proto/db_msg.h.
 */
#include "lib/proto/db_msg.h"

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
        sp_db_##name read;                                                                         \
        if (!sp_failed(sp_db_##name##_read(body, &read))) {                                        \
            sp_db_##name##_write(&read, again);                                                    \
            same(again, body);                                                                     \
        }                                                                                          \
    }

BODY(sasl)
BODY(sasl_step)
BODY(cert)
BODY(session)
BODY(conn)
BODY(ask)
BODY(ask_id)
BODY(ask_use)
BODY(ask_done)
BODY(spend)
BODY(keep)
BODY(kept)
BODY(kill)
BODY(cancel)

static void (*const BODIES[])(sp_span body, sp_buf *again) = {
    sasl_again, sasl_step_again, cert_again,    session_again,  conn_again,
    ask_again,  ask_id_again,    ask_use_again, ask_done_again, spend_again,
    keep_again, kept_again,      kill_again,    cancel_again,
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

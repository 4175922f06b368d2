/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: bodies of the messages between gates and core; the first byte chooses the kind. What is
 * read must be written as the same bytes.
 * OWNS nothing. PROCESS fuzzing. TRUST the input is hostile. SPEC lib/proto/core_msg.h.
 */
#include "lib/proto/core_msg.h"

#include <stdlib.h>

static void same(const sp_buf *again, sp_span body)
{
    if (sp_failed(sp_buf_error(again)) || !sp_span_eq(sp_buf_borrow(again), body)) {
        abort();
    }
}

static void seen_again(sp_span body, sp_buf *again)
{
    static sp_core_seen_one items[SP_CORE_SEEN_MAX];
    sp_core_seen seen;
    if (sp_failed(sp_core_seen_read(body, &seen))) {
        return;
    }
    for (uint32_t i = 0; i < seen.count; i++) {
        items[i] = sp_core_seen_at(&seen, i);
    }
    sp_core_seen_write(items, seen.count, again);
    same(again, body);
}

static void pushes_again(uint8_t kind, sp_span body, sp_buf *again)
{
    sp_core_snapshot snapshot;
    sp_core_again look;
    if (kind == SP_CORE_SNAPSHOT && !sp_failed(sp_core_snapshot_read(body, &snapshot))) {
        sp_core_snapshot_write(&snapshot, again);
        same(again, body);
    }
    if (kind == SP_CORE_AGAIN && !sp_failed(sp_core_again_read(body, &look))) {
        sp_core_again_write(&look, again);
        same(again, body);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    sp_span body = sp_span_of(data + 1, size - 1);
    auto_buf sp_buf again = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_core_hello hello;
    sp_core_office office;
    sp_core_token_ask ask;
    sp_core_token token;
    uint8_t kind = data[0] % 8;
    if (kind == SP_CORE_HELLO && !sp_failed(sp_core_hello_read(body, &hello))) {
        sp_core_hello_write(&hello, &again);
        same(&again, body);
    } else if (kind == 0 && !sp_failed(sp_core_office_read(body, &office))) {
        sp_core_office_write(&office, &again);
        same(&again, body);
    } else if (kind == SP_CORE_TOKEN && !sp_failed(sp_core_token_ask_read(body, &ask))) {
        sp_core_token_ask_write(&ask, &again);
        same(&again, body);
    } else if (kind == 7 && !sp_failed(sp_core_token_read(body, &token))) {
        sp_core_token_write(&token, &again);
        same(&again, body);
    } else if (kind == SP_CORE_SEEN) {
        seen_again(body, &again);
    } else {
        pushes_again(kind, body, &again);
    }
    return 0;
}

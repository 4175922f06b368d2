/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: bodies of the messages between the watch and core; the first byte chooses the body. What is
 * read must be written as the same bytes, and an alarm always becomes an event that can be encoded.
 * OWNS nothing. PROCESS fuzzing. TRUST the input is hostile. SPEC lib/proto/watch_msg.h.
 */
#include "lib/proto/watch_msg.h"

#include <stdlib.h>

static void same(const sp_buf *again, sp_span body)
{
    if (sp_failed(sp_buf_error(again)) || !sp_span_eq(sp_buf_borrow(again), body)) {
        abort();
    }
}

static void alarm_again(sp_span body, sp_buf *again)
{
    sp_alarm alarm;
    if (sp_failed(sp_alarm_read(body, &alarm))) {
        return;
    }
    sp_alarm_write(&alarm, again);
    same(again, body);
    auto_buf sp_buf detail = sp_buf_make(SP_EVENT_DETAIL_MAX_BYTES);
    auto_buf sp_buf event_bytes = sp_buf_make(SP_EVENT_MAX_BYTES);
    sp_event event;
    sp_alarm_event(&alarm, &detail, &event);
    if (sp_failed(sp_buf_error(&detail)) || sp_failed(sp_event_encode(&event, &event_bytes))) {
        abort();
    }
}

static void detections_again(sp_span body, sp_buf *again)
{
    sp_detections detections;
    if (!sp_failed(sp_detections_read(body, &detections))) {
        sp_detections_write(&detections, again);
        same(again, body);
    }
}

static void status_again(sp_span body, sp_buf *again)
{
    sp_watch_status status;
    if (!sp_failed(sp_watch_status_read(body, &status))) {
        sp_watch_status_write(&status, again);
        same(again, body);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const bodies[])(sp_span body, sp_buf * again) = {alarm_again, detections_again,
                                                                   status_again};
    if (size == 0) {
        return 0;
    }
    auto_buf sp_buf again = sp_buf_make(SP_MSG_MAX_BYTES);
    bodies[data[0] % SP_COUNT(bodies)](sp_span_of(data + 1, size - 1), &again);
    return 0;
}

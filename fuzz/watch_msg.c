/* SPDX-License-Identifier: Apache-2.0
 * Fuzz: bodies of the messages between the watch and core; the first byte chooses the body. What is
 * read must be written as the same bytes, and an alarm always becomes an event that can be encoded.
 * OWNS nothing. PROCESS fuzzing. TRUST the input is hostile. SPEC lib/proto/watch_msg.h.
 */
#include "lib/proto/watch_msg.h"
#include "fuzz/again.h"

FUZZ_AGAIN(alarm)
FUZZ_AGAIN(detections)
FUZZ_AGAIN(watch_status)

static void alarm_is_event(sp_span body)
{
    sp_alarm alarm;
    if (sp_failed(sp_alarm_read(body, &alarm))) {
        return;
    }
    alarm_again(body);
    auto_buf sp_buf detail = sp_buf_make(SP_EVENT_DETAIL_MAX_BYTES);
    auto_buf sp_buf event_bytes = sp_buf_make(SP_EVENT_MAX_BYTES);
    sp_event event;
    sp_alarm_event(&alarm, &detail, &event);
    if (sp_failed(sp_buf_error(&detail)) || sp_failed(sp_event_encode(&event, &event_bytes))) {
        abort();
    }
}

FUZZ_ONE_OF(alarm_is_event, detections_again, watch_status_again)

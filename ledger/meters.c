/* SPDX-License-Identifier: Apache-2.0
 * Numbers that only grow, of events that became durable: for monitoring.
 * OWNS nothing. PROCESS ledger. TRUST events are hostile: every index is checked.
 * SPEC lib/proto/ledger_msg.h "METERS".
 */
#include "ledger/meters.h"

static void meter_one(sp_ledger_meters *meters, const sp_event *event, uint64_t now_unix_us)
{
    uint64_t count = event->count > 0 ? event->count : 1;
    if (event->kind < SP_EVENT_KIND_COUNT) {
        meters->kinds[event->kind]++;
    }
    if (event->gate < SP_GATE_COUNT) {
        meters->bytes_in[event->gate] += event->bytes_in;
        meters->bytes_out[event->gate] += event->bytes_out;
        if (event->kind == SP_EVENT_DECISION && event->verdict < SP_VERDICT_COUNT) {
            meters->decided[event->gate][event->verdict] += count;
        }
    }
    if (event->kind == SP_EVENT_ALARM && event->severity < SP_SEVERITY_COUNT) {
        meters->alarms[event->severity]++;
    }
    meters->delay_us += now_unix_us > event->when_unix_us ? now_unix_us - event->when_unix_us : 0;
    meters->delayed++;
}

void sp_meters_batch(sp_ledger_meters *meters, const sp_batch *batch, uint64_t now_unix_us)
{
    for (size_t i = 0; i < batch->count; i++) {
        meter_one(meters, &batch->items[i].event, now_unix_us);
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * Start, stop, and asking the ledger once a second.
 * OWNS sp_meters. PROCESS core. TRUST replies are bounded. SPEC core/meters/meters.h.
 */
#include "core/meters/inside.h"

#include "core/ledger_client.h"
#include "infra/proc/clock.h"

enum { SECOND_MS = 1000 };

static void on_stats(void *self, sp_err err, sp_span body)
{
    sp_meters *m = self;
    sp_ledger_stats stats;
    m->asked = false;
    if (m->stopping || sp_failed(err) || sp_failed(sp_ledger_stats_read(body, &stats))) {
        m->ledger.known = false;
        return;
    }
    m->ledger = (meter_ledger){.known = true,
                               .recording = stats.recording,
                               .entries = stats.entries,
                               .bytes = stats.bytes,
                               .lost = stats.lost,
                               .checkpoint_unix_us = stats.checkpoint_unix_us,
                               .sources = stats.sources};
    m->ledger_us = sp_now_steady_us();
    meter_take(m);
}

static void on_meters(void *self, sp_err err, sp_span body)
{
    sp_meters *m = self;
    sp_ledger_meters now;
    if (m->stopping || sp_failed(err) || sp_failed(sp_ledger_meters_read(body, &now))) {
        m->asked = false;
        m->ledger.known = false;
        return;
    }
    m->before = m->now;
    m->before_us = m->asked_us;
    m->now = now;
    m->asked_us = sp_now_steady_us();
    sp_ledger_client_call(m->core->ledger, SP_LEDGER_STATS, SP_SPAN_EMPTY, on_stats, m);
}

static void on_second(uv_timer_t *timer)
{
    sp_meters *m = timer->data;
    meter_look_for_away(m);
    if (!m->asked) {
        m->asked = true;
        sp_ledger_client_call(m->core->ledger, SP_LEDGER_METERS, SP_SPAN_EMPTY, on_meters, m);
    }
}

sp_err sp_meters_start(sp_core *core, sp_meters **ret_meters)
{
    sp_meters *m = NULL;
    TRY(sp_alloc(1, sizeof(*m), &m));
    *ret_meters = m;
    m->core = core;
    m->timer.data = m;
    if (uv_timer_init(core->loop, &m->timer) != 0 ||
        uv_timer_start(&m->timer, on_second, SECOND_MS, SECOND_MS) != 0) {
        return sp_fail(SP_EIO);
    }
    TRY(meter_rates_routes(core));
    return meter_token_start(core);
}

static void on_closed(uv_handle_t *handle)
{
    sp_free(handle->data);
}

/* The line to the ledger was hung up before: no reply comes any more. */
void sp_meters_stop(sp_meters *meters)
{
    if (meters != NULL) {
        meters->stopping = true;
        uv_timer_stop(&meters->timer);
        uv_close((uv_handle_t *)&meters->timer, on_closed);
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * The room of notices: start, stop, its beat.
 * OWNS sp_notices. PROCESS core. TRUST see notices.h. SPEC core/notices/notices.h.
 */
#include "core/clock.h"
#include "core/notices/inside.h"

enum { TICK_MS = 50, TICKS_A_SECOND = 20 };

static void on_tick(uv_timer_t *timer)
{
    sp_notices *notices = timer->data;
    sp_clock_look(notices->core);
    if (notices->expanding) {
        notices->expanding = notice_expand(notices->core);
    }
    notice_queue_tick(notices->queue);
    if (++notices->ticks % TICKS_A_SECOND == 0) {
        notice_finish(notices->core);
        notice_escalate(notices->core);
    }
}

static sp_err add_routes(sp_core *core)
{
    TRY(notice_ack_routes(core));
    TRY(notice_api_routes(core));
    TRY(notice_channel_routes(core));
    return notice_reach_routes(core);
}

sp_err sp_notices_start(sp_core *core, sp_notices **ret_notices)
{
    sp_notices *notices = NULL;
    TRY(sp_alloc(1, sizeof(*notices), &notices));
    *ret_notices = notices;
    notices->core = core;
    notices->expanding = true; /* what was not done when core ended */
    TRY(notice_rows_start(core->store));
    TRY(notice_queue_new(core, &notices->queue));
    notices->timer.data = notices;
    if (uv_timer_init(core->loop, &notices->timer) != 0 ||
        uv_timer_start(&notices->timer, on_tick, TICK_MS, TICK_MS) != 0) {
        return sp_fail(SP_EIO);
    }
    return add_routes(core);
}

static void on_closed(uv_handle_t *handle)
{
    sp_free(handle->data);
}

void sp_notices_stop(sp_notices *notices)
{
    if (notices == NULL) {
        return;
    }
    notice_queue_free(notices->queue);
    if (notices->timer.data == NULL) {
        sp_free(notices); /* its timer never began */
        return;
    }
    uv_timer_stop(&notices->timer);
    uv_close((uv_handle_t *)&notices->timer, on_closed);
}

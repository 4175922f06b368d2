/* SPDX-License-Identifier: Apache-2.0
 * Starts documents, devices, the snapshot, core.sock and the administration API, in this order.
 * OWNS them. PROCESS core. TRUST none hostile here. SPEC core/core.h.
 */
#include "core/state/state.h"

#include "core/admin/admin.h"
#include "core/devices/devices.h"
#include "core/documents/documents.h"
#include "core/documents/start.h"
#include "core/state/gates.h"
#include "core/state/publish.h"

void sp_state_url(const sp_core *core, sp_span host, sp_buf *out)
{
    sp_buf_text(out, "https://");
    sp_buf_span(out, host);
    sp_buf_byte(out, '.');
    sp_buf_text(out, core->config->domain);
    if (core->config->public_port != 443) {
        sp_buf_byte(out, ':');
        sp_buf_u64_text(out, core->config->public_port);
    }
}

void sp_state_again(sp_core *core)
{
    uint64_t epoch = sp_live_bump(&core->live);
    if (core->state != NULL && core->state->gates != NULL) {
        sp_gates_push_again(core->state->gates, epoch);
    }
}

static sp_err start_all(sp_core *core, sp_state *state)
{
    TRY(sp_publish_new(&state->publish));
    TRY(sp_retention_new(core, &state->retention));
    TRY(sp_documents_start(core, &state->documents));
    TRY(sp_devices_start(core, &state->devices));
    TRY(sp_admin_start(core));
    TRY(sp_gates_start(core, &state->gates));
    TRY(sp_documents_first(core));
    sp_retention_tell(state->retention, sp_documents_set(state->documents),
                      sp_documents_version(state->documents));
    return sp_ok();
}

sp_err sp_state_start(sp_core *core, sp_state **ret_state)
{
    sp_state *state = NULL;
    TRY(sp_alloc(1, sizeof(*state), &state));
    state->core = core;
    core->state = state; /* its parts look each other up there while they start */
    sp_err err = start_all(core, state);
    if (sp_failed(err)) {
        core->state = NULL;
        sp_state_stop(state);
        return err;
    }
    *ret_state = state;
    return sp_ok();
}

void sp_state_stop(sp_state *state)
{
    if (state == NULL) {
        return;
    }
    sp_gates_stop(state->gates);
    sp_devices_stop(state->devices);
    sp_retention_stop(state->retention);
    sp_documents_stop(state->documents);
    sp_publish_free(state->publish);
    state->core->state = NULL;
    sp_free(state);
}

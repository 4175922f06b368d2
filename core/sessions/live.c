/* SPDX-License-Identifier: Apache-2.0
 * Sessions as gates name them: whether one lives, and on which device.
 * OWNS nothing. PROCESS core. TRUST slots, ids and fingerprints come through a gate.
 * SPEC core/sessions/sessions.h.
 */
#include "core/sessions/sessions.h"

#include "infra/proc/clock.h"

#include <arpa/inet.h>

sp_err sp_sessions_live(sp_core *core, uint32_t slot, uint64_t id, sp_live_session *ret_session)
{
    sp_session_view view;
    sp_err err = sp_live_session_get(&core->live, slot, id, ret_session);
    if (sp_failed(err) && sp_sessions_find(core, id, &view)) {
        err = sp_live_session_get(&core->live, view.slot, view.id, ret_session);
    }
    bool lives = !sp_failed(err) && ret_session->state == SP_SESSION_LIVE &&
                 ret_session->expires_unix_s > sp_now_unix_us() / 1000000;
    return lives ? sp_ok() : sp_fail(SP_EDENIED);
}

sp_err sp_sessions_fits(sp_core *core, uint32_t slot, uint64_t id, const sp_hash *fingerprint,
                        sp_live_session *ret_session)
{
    sp_live_session found;
    sp_live_device device = {0};
    uint32_t device_slot = SP_NONE;
    TRY(sp_sessions_live(core, slot, id, &found));
    if (fingerprint != NULL &&
        (sp_failed(sp_live_find_cert(&core->live, fingerprint, &device, &device_slot)) ||
         device.state != SP_DEVICE_ACTIVE || device.person != found.person)) {
        return sp_fail(SP_EDENIED);
    }
    if (found.device != SP_NONE && found.device != device_slot) {
        return sp_fail(SP_EDENIED);
    }
    *ret_session = found;
    return sp_ok();
}

sp_span sp_sessions_peer_text(const uint8_t peer[16], char room[SP_SESSION_PEER_BYTES])
{
    static const uint8_t FOUR[12] = {[10] = 0xff, [11] = 0xff};
    bool four = sp_span_eq(sp_span_of(peer, sizeof(FOUR)), sp_span_of(FOUR, sizeof(FOUR)));
    const char *text = inet_ntop(four ? AF_INET : AF_INET6, four ? peer + sizeof(FOUR) : peer, room,
                                 SP_SESSION_PEER_BYTES);
    return sp_span_cstr(text == NULL ? "" : text);
}

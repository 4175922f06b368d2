/* SPDX-License-Identifier: Apache-2.0
 * Who asks.
 * OWNS nothing. PROCESS nginx workers. TRUST cookie and certificate are hostile.
 * SPEC gates/web/subject.h.
 */
#include "gates/web/subject.h"

#include "gates/web/peer.h"
#include "infra/gate/shared.h"
#include "lib/web/cookie.h"

void gate_subject_collect(gate_ctx *ctx)
{
    ngx_http_request_t *r = ctx->request;
    sp_web_cookie cookie = {.count = 0};
    ngx_table_elt_t **headers = r->headers_in.cookies.elts;
    for (ngx_uint_t i = 0; i < r->headers_in.cookies.nelts; i++) {
        sp_web_cookie_find(gate_span(headers[i]->value), &cookie);
    }
    gate_peer *peer = gate_peer_of_connection(r);
    ctx->has_token = sp_web_cookie_is_good(&cookie);
    if (ctx->has_token) {
        ctx->token = gate_peer_token(peer, cookie.value);
    }
    ctx->has_certificate = peer != NULL && peer->has_certificate;
    if (ctx->has_certificate) {
        ctx->fingerprint = peer->fingerprint;
    }
    gate_peer_of(r, ctx->subject.who.peer);
}

/* A certificate that is shown must be that of an active device, whatever the policy would let an
 * unknown one do. */
static sp_reason find_device(gate_ctx *ctx, sp_live_device *ret_device, uint32_t *ret_slot)
{
    gate_subject *subject = &ctx->subject;
    *ret_slot = SP_NONE;
    if (!ctx->has_certificate) {
        return SP_REASON_NONE;
    }
    if (sp_failed(
            sp_live_find_cert(&gate_this_worker.live, &ctx->fingerprint, ret_device, ret_slot))) {
        *ret_slot = SP_NONE;
        return SP_REASON_DEVICE_UNKNOWN;
    }
    subject->device_id = ret_device->id;
    sp_copy(subject->device_name, ret_device->name, sizeof(subject->device_name));
    sp_reason trouble = sp_gate_device_trouble(ret_device->state);
    if (trouble == SP_REASON_NONE) {
        subject->who.owner = ret_device->owner;
        subject->who.posture = ret_device->posture;
    }
    return trouble;
}

static sp_reason find_session(gate_ctx *ctx, uint64_t now_unix_s, sp_live_session *ret_session)
{
    gate_subject *subject = &ctx->subject;
    uint32_t slot = 0;
    if (!ctx->has_token || sp_failed(sp_live_find_token(&gate_this_worker.live, &ctx->token,
                                                        ctx->conf->audience, ret_session, &slot))) {
        return SP_REASON_NO_SESSION;
    }
    subject->session_id = ret_session->id;
    subject->session_slot = slot;
    subject->who.person = ret_session->person;
    subject->who.strength = ret_session->strength;
    sp_copy(subject->who.roles, ret_session->roles, sizeof(subject->who.roles));
    sp_copy(subject->person_name, ret_session->person_name, sizeof(subject->person_name));
    uint64_t age_s =
        now_unix_s > ret_session->auth_unix_s ? now_unix_s - ret_session->auth_unix_s : 0;
    subject->who.auth_age_s = age_s > UINT32_MAX ? UINT32_MAX : (uint32_t)age_s;
    bool ended = ret_session->state != SP_SESSION_LIVE || ret_session->expires_unix_s <= now_unix_s;
    return ended ? SP_REASON_SESSION_ENDED : SP_REASON_NONE;
}

void gate_subject_find(gate_ctx *ctx, uint64_t now_unix_s)
{
    gate_subject fresh = {.session_id = 0};
    sp_copy(fresh.who.peer, ctx->subject.who.peer, sizeof(fresh.who.peer));
    ctx->subject = fresh;
    gate_subject *subject = &ctx->subject;
    if (!gate_this_worker.has_live) {
        subject->trouble = SP_REASON_UNAVAILABLE;
        return;
    }
    sp_live_device device = {.person = 0};
    uint32_t device_slot = SP_NONE;
    sp_reason device_says = find_device(ctx, &device, &device_slot);
    sp_live_session session;
    sp_reason session_says = find_session(ctx, now_unix_s, &session);
    if (session_says != SP_REASON_NONE) {
        /* an unknown device of nobody is told to sign in first, but a bad one is told so */
        bool first_the_device =
            session_says == SP_REASON_NO_SESSION && device_says != SP_REASON_NONE;
        subject->trouble = (uint8_t)(first_the_device ? device_says : session_says);
        return;
    }
    if (session.device != SP_NONE && session.device != device_slot) {
        subject->trouble = SP_REASON_SESSION_DEVICE;
        return;
    }
    if (device_says != SP_REASON_NONE) {
        subject->trouble = (uint8_t)device_says;
        return;
    }
    bool of_another =
        device_slot != SP_NONE && device.person != 0 && device.person != session.person;
    subject->trouble = of_another ? SP_REASON_SESSION_DEVICE : SP_REASON_NONE;
}

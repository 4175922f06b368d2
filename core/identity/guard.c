/* SPDX-License-Identifier: Apache-2.0
 * Limits and refusals: the same for every name, whether it exists or not.
 * OWNS nothing. PROCESS core. TRUST names are hostile. SPEC core/identity/limits.h.
 */
#include "core/identity/inside.h"
#include "infra/proc/clock.h"

uint64_t sp_identity_wait_s(const sp_core *core, sp_span account, const uint8_t peer[16])
{
    const sp_limits *limits = core->identity->limits;
    uint64_t now_us = sp_now_steady_us();
    uint64_t wait_s = sp_limits_wait_s(limits, sp_limits_address_key(limits, peer), now_us);
    if (account.len > 0) {
        uint64_t key = sp_limits_account_key(limits, account);
        uint64_t account_wait_s = sp_limits_wait_s(limits, key, now_us);
        wait_s = account_wait_s > wait_s ? account_wait_s : wait_s;
    }
    return wait_s;
}

static uint64_t token_key(const sp_limits *limits, const uint8_t peer[16])
{
    uint64_t address = sp_limits_address_key(limits, peer);
    return sp_limits_account_key(limits, sp_span_of((const uint8_t *)&address, sizeof(address)));
}

uint64_t sp_identity_token_wait_s(const sp_core *core, const uint8_t peer[16])
{
    const sp_limits *limits = core->identity->limits;
    return sp_limits_wait_s(limits, token_key(limits, peer), sp_now_steady_us());
}

void sp_identity_token_failed(const sp_core *core, const uint8_t peer[16])
{
    sp_limits *limits = core->identity->limits;
    sp_limits_failed(limits, token_key(limits, peer), SP_LIMIT_ADDRESS_TRIES, sp_now_steady_us());
}

bool sp_guard_open(sp_request *req, sp_span account)
{
    uint64_t wait_s = sp_identity_wait_s(sp_request_core(req), account, sp_request_peer(req));
    if (wait_s > 0) {
        sp_answer_too_many(req, wait_s);
    }
    return wait_s == 0;
}

sp_err sp_flow_begin(const sp_request *req, sp_flow_kind kind, sp_flow **ret_flow)
{
    const sp_identity *identity = sp_identity_of(req);
    uint64_t address = sp_limits_address_key(identity->limits, sp_request_peer(req));
    TRY(sp_flow_open(identity->flows, kind, address, ret_flow));
    (*ret_flow)->since = sp_sessions_mark(identity->core);
    return sp_ok();
}

void sp_identity_failed(const sp_core *core, sp_span account, const uint8_t peer[16])
{
    sp_limits *limits = core->identity->limits;
    uint64_t now_us = sp_now_steady_us();
    uint64_t address = sp_limits_address_key(limits, peer);
    sp_limits_failed(limits, address, SP_LIMIT_ADDRESS_TRIES, now_us);
    if (account.len > 0) {
        uint64_t key = sp_limits_account_key(limits, account);
        sp_limits_failed(limits, key, SP_LIMIT_ACCOUNT_TRIES, now_us);
    }
}

void sp_guard_failed(sp_request *req, sp_span account)
{
    sp_identity_failed(sp_request_core(req), account, sp_request_peer(req));
}

void sp_identity_try(const sp_core *core, sp_span account)
{
    sp_limits *limits = core->identity->limits;
    sp_limits_failed(limits, sp_limits_account_key(limits, account), SP_LIMIT_ACCOUNT_TRIES,
                     sp_now_steady_us());
}

void sp_identity_untried(const sp_core *core, sp_span account)
{
    sp_limits *limits = core->identity->limits;
    sp_limits_take_back(limits, sp_limits_account_key(limits, account), SP_LIMIT_ACCOUNT_TRIES);
}

void sp_guard_try(sp_request *req, sp_span account)
{
    sp_identity_try(sp_request_core(req), account);
}

void sp_identity_worked(const sp_core *core, sp_span account)
{
    sp_limits *limits = core->identity->limits;
    sp_limits_worked(limits, sp_limits_account_key(limits, account));
}

void sp_guard_worked(sp_request *req, sp_span account)
{
    sp_identity_worked(sp_request_core(req), account);
}

void sp_identity_decoy(const sp_core *core, const char *label, sp_span name,
                       uint8_t ret_bytes[SP_IDENTITY_DECOY_BYTES])
{
    const sp_identity *identity = core->identity;
    sp_span parts[] = {sp_span_of(identity->secret, sizeof(identity->secret)), sp_span_cstr(label),
                       name};
    sp_hash hash = sp_sha256_parts(parts, SP_COUNT(parts));
    sp_copy(ret_bytes, hash.bytes, SP_IDENTITY_DECOY_BYTES);
}

static void answer_refused(sp_request *req, void *data)
{
    (void)data;
    sp_answer_problem(req, 401, "sign_in_failed",
                      "This did not work. Check the name, the password and the code, or use a "
                      "passkey.");
}

void sp_refuse_sign_in(sp_request *req, uint32_t person, sp_span account, const char *method,
                       const char *why)
{
    sp_guard_failed(req, SP_SPAN_EMPTY); /* the account's failure was counted when the try began */
    auto_buf sp_buf detail = sp_buf_make(256);
    sp_buf_text(&detail, "{\"why\":");
    sp_buf_json(&detail, sp_span_cstr(why));
    sp_buf_text(&detail, "}");
    sp_event event = sp_request_event(req, SP_EVENT_SIGN_IN);
    event.person = person;
    event.verdict = SP_VERDICT_DENY;
    event.severity = SP_SEVERITY_LOW;
    event.status = 401;
    event.person_name = person != 0 ? account : SP_SPAN_EMPTY;
    event.object = sp_name_is_valid(account) ? account : SP_SPAN_EMPTY;
    event.method = sp_span_cstr(method);
    event.detail = sp_buf_borrow(&detail);
    sp_request_record(req, &event, answer_refused, NULL);
}

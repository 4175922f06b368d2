/* SPDX-License-Identifier: Apache-2.0
 * The signed identity token: facts of the session as claims, signed by the vault.
 * OWNS what waits for the vault. PROCESS core. TRUST the body is hostile. SPEC core/state/token.h.
 */
#include "core/state/token.h"

#include "core/documents/documents.h"
#include "core/http/json.h"
#include "core/identity/people.h"
#include "core/state/state.h"
#include "core/vault_client.h"
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "lib/proto/core_msg.h"
#include "lib/proto/vault_msg.h"

#include <jansson.h>

enum { TOKEN_LIFE_S = 120 };

typedef struct {
    sp_peer *peer;
    sp_msg to; /* kind and id only */
    uint64_t expires_unix_s;
} waiting;

static void on_signed(void *self, sp_err err, sp_span body)
{
    waiting *wait = self;
    auto_buf sp_buf reply = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_core_token token = {body, wait->expires_unix_s};
    sp_core_token_write(&token, &reply);
    sp_code code = sp_failed(err) ? SP_EAGAIN : sp_buf_error(&reply).code;
    sp_peer_reply(wait->peer, &wait->to, code, sp_buf_borrow(&reply), NULL, 0);
    sp_peer_unref(wait->peer);
    sp_free(wait);
}

static void set_text(json_t *object, const char *key, sp_span text)
{
    json_object_set_new(object, key, sp_json_span(text));
}

static void set_number(json_t *object, const char *key, uint64_t value)
{
    json_object_set_new(object, key, json_integer((json_int_t)value));
}

typedef struct {
    const uint64_t *held;
    json_t *names;
} role_walk;

static void add_role(void *self, sp_span name, uint32_t number)
{
    role_walk *walk = self;
    if (sp_roles_hold(walk->held, number)) {
        json_array_append_new(walk->names, sp_json_span(name));
    }
}

static void set_device(json_t *claims, const sp_core *core, uint32_t slot)
{
    sp_live_device device;
    if (slot == SP_NONE || sp_failed(sp_live_device_get(&core->live, slot, &device))) {
        return;
    }
    json_t *about = json_object();
    set_text(about, "name", sp_span_cstr(device.name));
    set_text(about, "owner", sp_span_cstr(sp_owner_word(device.owner)));
    set_text(about, "posture", sp_span_cstr(sp_posture_word(device.posture)));
    json_object_set_new(claims, "device", about);
}

static sp_err set_person(json_t *claims, const sp_core *core, const sp_live_session *session)
{
    sp_person person;
    TRY(sp_people_get(core->store, session->person, &person));
    char number[24];
    auto_buf sp_buf text = sp_buf_make(sizeof(number));
    sp_buf_u64_text(&text, person.id);
    set_text(claims, "sub", sp_buf_borrow(&text));
    set_text(claims, "preferred_username", sp_span_cstr(person.name));
    set_text(claims, "name", sp_span_cstr(person.display));
    role_walk walk = {session->roles, json_array()};
    sp_err err = sp_roles_each(core->store, add_role, &walk);
    json_object_set_new(claims, "roles", walk.names);
    return err;
}

/* RFC 8176 words for how the person proved himself. */
static json_t *methods_of(uint8_t strength)
{
    switch ((sp_strength)strength) {
    case SP_STRENGTH_PASSKEY:
        return json_pack("[s,s]", "hwk", "user");
    case SP_STRENGTH_TOTP:
        return json_pack("[s,s,s]", "pwd", "otp", "mfa");
    case SP_STRENGTH_PASSWORD:
        return json_pack("[s]", "pwd");
    case SP_STRENGTH_NONE:
    case SP_STRENGTH_COUNT:
        break;
    }
    return json_array();
}

static sp_err claims_of(const sp_core *core, const sp_live_session *session, sp_span host,
                        uint64_t now_unix_s, sp_buf *out)
{
    json_t *claims = json_object();
    auto_buf sp_buf text = sp_buf_make(1024);
    sp_state_url(core, host, &text);
    set_text(claims, "aud", sp_buf_borrow(&text));
    set_text(claims, "iss", sp_span_cstr(core->portal_origin));
    sp_err err = set_person(claims, core, session);
    set_device(claims, core, session->device);
    sp_buf_reset(&text);
    sp_buf_fmt(&text, "%016llx", (unsigned long long)sp_random_u64());
    set_text(claims, "jti", sp_buf_borrow(&text));
    set_number(claims, "iat", now_unix_s);
    set_number(claims, "nbf", now_unix_s - 5); /* clocks of applications may be a little behind */
    set_number(claims, "exp", now_unix_s + TOKEN_LIFE_S);
    set_number(claims, "auth_time", session->auth_unix_s);
    json_object_set_new(claims, "amr", methods_of(session->strength));
    char *dump = json_dumps(claims, JSON_COMPACT);
    json_decref(claims);
    sp_buf_text(out, dump);
    sp_free(dump);
    TRY(err);
    return dump == NULL ? sp_fail(SP_ENOMEM) : sp_buf_error(out);
}

/* The session must be living now and the resource one that is told who comes. */
static sp_err check(const sp_core *core, const sp_core_token_ask *ask, uint64_t now_unix_s,
                    sp_live_session *ret_session, sp_web_resource *ret_web)
{
    TRY(sp_live_session_get(&core->live, ask->session_slot, ask->session_id, ret_session));
    if (ret_session->state != SP_SESSION_LIVE || ret_session->expires_unix_s <= now_unix_s) {
        return sp_fail(SP_ENOTFOUND);
    }
    const sp_policy_set *set = sp_documents_set(core->state->documents);
    if (set == NULL) {
        return sp_fail(SP_EAGAIN);
    }
    const sp_policy *policy = sp_policy_set_view(set);
    uint32_t resource = sp_policy_resource_find(policy, ask->resource);
    if (resource == SP_NONE || !sp_policy_web_resource(policy, resource, ret_web)) {
        return sp_fail(SP_ENOTFOUND);
    }
    return ret_web->identity_jwt ? sp_ok() : sp_fail(SP_EDENIED);
}

static sp_err ask_vault(sp_core *core, sp_peer *peer, const sp_msg *msg, sp_span claims,
                        uint64_t expires_unix_s)
{
    waiting *wait = NULL;
    TRY(sp_alloc(1, sizeof(*wait), &wait));
    wait->peer = sp_peer_ref(peer);
    wait->to = (sp_msg){.kind = msg->kind, .id = msg->id};
    wait->expires_unix_s = expires_unix_s;
    sp_vault_client_call(core->vault, SP_VAULT_TOKEN_SIGN, claims, on_signed, wait);
    return sp_ok();
}

sp_err sp_token_answer(sp_core *core, sp_peer *peer, const sp_msg *msg)
{
    sp_core_token_ask ask;
    TRY(sp_core_token_ask_read(msg->body, &ask));
    uint64_t now_unix_s = sp_now_unix_us() / 1000000;
    sp_live_session session;
    sp_web_resource web;
    auto_buf sp_buf claims = sp_buf_make(SP_VAULT_CLAIMS_MAX_BYTES);
    sp_err err = check(core, &ask, now_unix_s, &session, &web);
    if (!sp_failed(err)) {
        err = claims_of(core, &session, web.host, now_unix_s, &claims);
    }
    if (!sp_failed(err)) {
        err = ask_vault(core, peer, msg, sp_buf_borrow(&claims), now_unix_s + TOKEN_LIFE_S);
    }
    if (sp_failed(err)) {
        sp_peer_reply(peer, msg, err.code, SP_SPAN_EMPTY, NULL, 0);
    }
    return sp_ok();
}

/* SPDX-License-Identifier: Apache-2.0
 * WebAuthn as the API speaks it: options out, the browser's answers in.
 * OWNS nothing. PROCESS core. TRUST the browser's answers are hostile.
 * SPEC W3C WebAuthn Level 3 JSON forms; docs/api/openapi.yaml.
 */
#include "core/identity/inside.h"

enum { TIMEOUT_MS = 300000, CREDENTIAL_TEXT_MAX_BYTES = 24 * 1024 };

/* ---- bytes as base64url ---- */

static json_t *json_bytes(sp_span bytes)
{
    auto_buf sp_buf text = sp_buf_make(8192);
    sp_buf_base64url(&text, bytes);
    sp_span done = sp_buf_borrow(&text);
    return json_stringn((const char *)done.ptr, done.len);
}

static bool read_bytes(const json_t *object, const char *name, size_t max, sp_buf *out)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_string(value)) {
        return false;
    }
    sp_span text = sp_span_of(json_string_value(value), json_string_length(value));
    return text.len <= CREDENTIAL_TEXT_MAX_BYTES && !sp_failed(sp_buf_unbase64url(out, text)) &&
           out->len <= max;
}

/* ---- options ---- */

void sp_handle_of(const sp_identity *identity, uint32_t person, uint8_t ret_handle[SP_HANDLE_BYTES])
{
    auto_buf sp_buf number = sp_buf_make(16);
    sp_buf_u32(&number, person);
    sp_span parts[] = {sp_span_of(identity->secret, sizeof(identity->secret)),
                       SP_SPAN_LIT("user handle"), sp_buf_borrow(&number)};
    sp_hash hash = sp_sha256_parts(parts, SP_COUNT(parts));
    sp_copy(ret_handle, hash.bytes, SP_HANDLE_BYTES);
}

static json_t *descriptor_of(sp_span id)
{
    return json_pack("{s:s, s:o}", "type", "public-key", "id", json_bytes(id));
}

static void add_descriptor(void *self, const sp_passkey *passkey)
{
    json_array_append_new(self, descriptor_of(sp_span_of(passkey->id, passkey->id_len)));
}

static json_t *descriptors_of(sp_core *core, uint32_t person)
{
    json_t *list = json_array();
    SP_IGNORE(sp_passkeys_each(core->store, person, add_descriptor, list)); /* a shorter list */
    return list;
}

void sp_answer_creation(sp_request *req, sp_flow *flow, uint32_t person, const char *name,
                        const char *display)
{
    sp_core *core = sp_request_core(req);
    uint8_t handle[SP_HANDLE_BYTES];
    sp_handle_of(core->identity, person, handle);
    sp_flow_new_challenge(flow);
    json_t *options =
        json_pack("{s:o, s:{s:s, s:s}, s:{s:o, s:s, s:s}, s:[{s:s,s:i},{s:s,s:i},{s:s,s:i}], s:o, "
                  "s:{s:s, s:b, s:s}, s:s, s:i}",
                  "challenge", json_bytes(sp_span_of(flow->challenge, sizeof(flow->challenge))),
                  "rp", "id", core->portal_host, "name", core->config->office, "user", "id",
                  json_bytes(sp_span_of(handle, sizeof(handle))), "name", name, "displayName",
                  display, "pubKeyCredParams", "type", "public-key", "alg", SP_COSE_ES256, "type",
                  "public-key", "alg", SP_COSE_EDDSA, "type", "public-key", "alg", SP_COSE_RS256,
                  "excludeCredentials", descriptors_of(core, person), "authenticatorSelection",
                  "residentKey", "preferred", "requireResidentKey", 0, "userVerification",
                  "required", "attestation", "none", "timeout", TIMEOUT_MS);
    sp_answer_json(req, 200, json_pack("{s:s, s:o}", "flow", flow->id, "public_key", options));
}

/* The same for the same name for ever, as a real account's would be. */
static json_t *decoy_for(const sp_core *core, sp_span name)
{
    uint8_t decoy[SP_IDENTITY_DECOY_BYTES];
    sp_identity_decoy(core, "decoy credential", name, decoy);
    return json_pack("[o]", descriptor_of(sp_span_of(decoy, sizeof(decoy))));
}

void sp_answer_request(sp_request *req, sp_flow *flow, uint32_t person, sp_span name)
{
    sp_core *core = sp_request_core(req);
    json_t *allowed = json_array();
    if (name.len > 0) {
        json_decref(allowed);
        allowed = person == 0 ? json_array() : descriptors_of(core, person);
        if (json_array_size(allowed) == 0) {
            json_decref(allowed);
            allowed = decoy_for(core, name);
        }
    }
    sp_flow_new_challenge(flow);
    json_t *options = json_pack("{s:o, s:s, s:o, s:s, s:i}", "challenge",
                                json_bytes(sp_span_of(flow->challenge, sizeof(flow->challenge))),
                                "rpId", core->portal_host, "allowCredentials", allowed,
                                "userVerification", "required", "timeout", TIMEOUT_MS);
    sp_answer_json(req, 200, json_pack("{s:s, s:o}", "flow", flow->id, "public_key", options));
}

/* ---- answers ---- */

static sp_webauthn_expect expect_of(const sp_core *core, const sp_flow *flow)
{
    return (sp_webauthn_expect){.challenge = sp_span_of(flow->challenge, sizeof(flow->challenge)),
                                .origin = sp_span_cstr(core->portal_origin),
                                .rp_id = sp_span_cstr(core->portal_host)};
}

static sp_err read_registration(const sp_core *core, const sp_flow *flow, const json_t *credential,
                                sp_passkey *passkey)
{
    const json_t *response = json_object_get(credential, "response");
    auto_buf sp_buf client_data = sp_buf_make(SP_WEBAUTHN_CLIENT_DATA_MAX_BYTES);
    auto_buf sp_buf attestation = sp_buf_make(SP_WEBAUTHN_ATTESTATION_MAX_BYTES);
    auto_buf sp_buf key = sp_buf_make(SP_WEBAUTHN_KEY_MAX_BYTES);
    if (!read_bytes(response, "clientDataJSON", client_data.max_bytes, &client_data) ||
        !read_bytes(response, "attestationObject", attestation.max_bytes, &attestation)) {
        return sp_fail(SP_EINVALID);
    }
    sp_webauthn_expect expect = expect_of(core, flow);
    sp_webauthn_credential fresh;
    TRY(sp_webauthn_register(&expect, sp_buf_borrow(&client_data), sp_buf_borrow(&attestation),
                             &key, &fresh));
    sp_copy(passkey->id, fresh.credential_id.ptr, fresh.credential_id.len);
    passkey->id_len = fresh.credential_id.len;
    sp_copy(passkey->key, key.ptr, key.len);
    passkey->key_len = key.len;
    passkey->algorithm = fresh.algorithm;
    passkey->counter = fresh.counter;
    passkey->backed_up = fresh.backed_up;
    return sp_ok();
}

bool sp_read_new_passkey(sp_request *req, sp_flow *flow, const json_t *credential, sp_span name,
                         sp_passkey *ret_passkey)
{
    sp_core *core = sp_request_core(req);
    sp_passkey passkey = {0};
    sp_err err = flow->has_challenge ? sp_ok() : sp_fail(SP_EDENIED);
    if (!sp_failed(err)) {
        err = read_registration(core, flow, credential, &passkey);
        flow->has_challenge = false; /* a challenge is good for one answer */
    }
    if (!sp_failed(err)) {
        err = sp_fit(passkey.name, sizeof(passkey.name), name);
    }
    if (sp_failed(err)) {
        sp_answer_problem(req, 422, "passkey_refused",
                          "The passkey was not accepted: it must verify its user, be made for this "
                          "portal, and answer the last challenge.");
        return false;
    }
    *ret_passkey = passkey;
    return true;
}

typedef struct {
    sp_buf id;
    sp_buf client_data;
    sp_buf auth_data;
    sp_buf signature;
} assertion;

static void assertion_done(assertion *parts)
{
    sp_buf_done(&parts->id);
    sp_buf_done(&parts->client_data);
    sp_buf_done(&parts->auth_data);
    sp_buf_done(&parts->signature);
}

static bool read_assertion(const json_t *credential, assertion *parts)
{
    const json_t *response = json_object_get(credential, "response");
    return read_bytes(credential, "rawId", SP_WEBAUTHN_ID_MAX_BYTES, &parts->id) &&
           read_bytes(response, "clientDataJSON", parts->client_data.max_bytes,
                      &parts->client_data) &&
           read_bytes(response, "authenticatorData", parts->auth_data.max_bytes,
                      &parts->auth_data) &&
           read_bytes(response, "signature", SP_WEBAUTHN_SIGNATURE_MAX_BYTES, &parts->signature);
}

static bool handle_fits(const sp_identity *identity, const json_t *credential, uint32_t person)
{
    const json_t *response = json_object_get(credential, "response");
    const json_t *given = json_object_get(response, "userHandle");
    auto_buf sp_buf handle = sp_buf_make(256);
    uint8_t want[SP_HANDLE_BYTES];
    if (given == NULL || json_is_null(given)) {
        return true;
    }
    sp_handle_of(identity, person, want);
    return read_bytes(response, "userHandle", 255, &handle) &&
           sp_span_eq(sp_buf_borrow(&handle), sp_span_of(want, sizeof(want)));
}

static sp_err check_parts(sp_core *core, const sp_flow *flow, const json_t *credential,
                          const assertion *parts, uint32_t *ret_person)
{
    sp_passkey passkey;
    uint32_t counter = 0;
    bool backed_up = false;
    if (sp_failed(sp_passkey_find(core->store, sp_buf_borrow(&parts->id), &passkey)) ||
        (flow->person != 0 && flow->person != passkey.person)) {
        return sp_fail(SP_EDENIED);
    }
    *ret_person = passkey.person;
    if (!handle_fits(core->identity, credential, passkey.person)) {
        return sp_fail(SP_EDENIED);
    }
    sp_webauthn_expect expect = expect_of(core, flow);
    if (sp_failed(sp_webauthn_assert(
            &expect, sp_buf_borrow(&parts->client_data), sp_buf_borrow(&parts->auth_data),
            sp_buf_borrow(&parts->signature), passkey.algorithm,
            sp_span_of(passkey.key, passkey.key_len), &counter, &backed_up))) {
        return sp_fail(SP_EDENIED);
    }
    if (!sp_webauthn_counter_is_good(passkey.counter, counter)) {
        return sp_fail(SP_ECONFLICT);
    }
    sp_err err = sp_passkey_use(core->store, &passkey, counter);
    return err.code == SP_ENOTFOUND ? sp_fail(SP_ECONFLICT) : err;
}

sp_err sp_check_assertion(sp_request *req, sp_flow *flow, const json_t *credential,
                          uint32_t *ret_person)
{
    *ret_person = 0;
    if (!flow->has_challenge) {
        return sp_fail(SP_EDENIED);
    }
    flow->has_challenge = false;
    assertion parts = {.id = sp_buf_make(SP_WEBAUTHN_ID_MAX_BYTES),
                       .client_data = sp_buf_make(SP_WEBAUTHN_CLIENT_DATA_MAX_BYTES),
                       .auth_data = sp_buf_make(SP_WEBAUTHN_AUTH_DATA_MAX_BYTES),
                       .signature = sp_buf_make(SP_WEBAUTHN_SIGNATURE_MAX_BYTES)};
    sp_err err = read_assertion(credential, &parts)
                     ? check_parts(sp_request_core(req), flow, credential, &parts, ret_person)
                     : sp_fail(SP_EDENIED);
    assertion_done(&parts);
    return err;
}

/* SPDX-License-Identifier: Apache-2.0
 * SSH certificates of people: fetched with a session, for the key of this computer.
 *
 * Story: who is signed in has a public key certified for as long as his session lasts. A session
 * that is bound to a device gets one for that device's own key only: the certificate then stands
 * for the device, and a copied file on another computer does not.
 *
 * OWNS what waits for the vault. PROCESS core. TRUST keys that are sent are hostile.
 * SPEC docs/api/openapi.yaml "/ssh/certificate"; OpenSSH PROTOCOL.certkeys.
 */
#include "core/http/json.h"
#include "core/ssh/inside.h"
#include "core/vault_client.h"
#include "infra/crypto/ssh.h"
#include "infra/proc/clock.h"
#include "lib/proto/vault_msg.h"
#include "lib/ssh/key.h"

enum { CALL_MAX_BYTES = 4096, LINE_MAX_BYTES = 16 * 1024 };

#define SESSION_EXTENSION "session@sallyport"
#define DEVICE_EXTENSION "device@sallyport"

/* ---- judging ---- */

static const char *judge_device(sp_core *core, const sp_ssh_cert *cert, sp_ssh_proven *proven)
{
    sp_span told = SP_SPAN_EMPTY;
    sp_live_device device;
    sp_hash hash;
    uint64_t id = 0;
    uint32_t slot = SP_NONE;
    if (!sp_ssh_cert_extension(cert, SP_SPAN_LIT(DEVICE_EXTENSION), &told)) {
        return NULL;
    }
    auto_buf sp_buf blob = sp_buf_make(SP_SSH_KEY_BLOB_MAX_BYTES);
    sp_ssh_cert_key_blob(cert, &blob);
    bool is_device = !sp_failed(sp_span_to_u64(told, INT64_MAX, &id)) &&
                     sp_ssh_device_hash(sp_buf_borrow(&blob), &hash) &&
                     !sp_failed(sp_live_find_cert(&core->live, &hash, &device, &slot)) &&
                     device.id == id && device.state == SP_DEVICE_ACTIVE;
    if (!is_device) {
        return "the certificate's device";
    }
    sp_copy(proven->fingerprint.bytes, hash.bytes, sizeof(hash.bytes));
    return NULL;
}

/* The session that it was issued in lives, and fits. */
static const char *judge_session(sp_core *core, const sp_ssh_cert *cert, sp_ssh_proven *proven)
{
    sp_span told = SP_SPAN_EMPTY;
    sp_session_view view;
    uint64_t id = 0;
    bool there = sp_ssh_cert_extension(cert, SP_SPAN_LIT(SESSION_EXTENSION), &told) &&
                 !sp_failed(sp_session_id_of(told, &id)) && sp_sessions_find(core, id, &view) &&
                 view.person == proven->person;
    if (!there) {
        return "the certificate's session has ended";
    }
    proven->session = (sp_ssh_session){view.slot, view.id};
    return NULL;
}

bool sp_ssh_certificate_is_ours(const sp_ssh *ssh, sp_span blob)
{
    sp_ssh_cert cert;
    const sp_span ca = sp_buf_borrow(&ssh->user_ca);
    return ca.len > 0 && !sp_failed(sp_ssh_cert_parse(blob, &cert)) &&
           sp_span_eq(cert.ca_blob, ca) && !sp_failed(sp_ssh_cert_verify(&cert));
}

const char *sp_ssh_certificate_judge(sp_ssh *ssh, const sp_ssh_key_shown *shown, bool is_shown,
                                     const sp_person *person, sp_ssh_proven *proven)
{
    sp_ssh_cert cert;
    const sp_span ca = sp_buf_borrow(&ssh->user_ca);
    if (ca.len == 0 || sp_failed(sp_ssh_cert_parse(shown->blob, &cert))) {
        return "not a certificate that is taken";
    }
    const sp_ssh_cert_expected expected = {.kind = SP_SSH_CERT_USER,
                                           .principal = shown->who.user,
                                           .cas = &ca,
                                           .cas_count = 1,
                                           .now_unix_s = sp_now_unix_us() / 1000000,
                                           .peer = shown->who.peer};
    sp_ssh_cert_fault fault = sp_ssh_cert_check(&cert, &expected);
    if (fault != SP_SSH_CERT_GOOD) {
        return sp_ssh_cert_fault_word(fault);
    }
    if (sp_failed(sp_ssh_cert_verify(&cert))) {
        return "the certificate's signature";
    }
    if (is_shown && cert.verify_required && (shown->sk_flags & SP_SSH_SK_VERIFIED) == 0) {
        return "the certificate asks for PIN or finger";
    }
    proven->person = person->id;
    proven->key = 0;
    proven->method = "SSH certificate";
    proven->expires_unix_s = cert.valid_before_unix_s;
    if (sp_failed(
            sp_fit(proven->force_command, sizeof(proven->force_command), cert.force_command)) ||
        (cert.has_force_command && cert.force_command.len == 0)) {
        return "the certificate's command";
    }
    const char *why = judge_device(ssh->core, &cert, proven);
    return why != NULL ? why : judge_session(ssh->core, &cert, proven);
}

/* ---- issuing ---- */

typedef struct {
    sp_request *req;
    uint64_t expires_unix_s;
} issuing;

static void on_certificate(void *self, sp_err err, sp_span certificate)
{
    const issuing *i = self;
    auto_buf sp_buf line = sp_buf_make(LINE_MAX_BYTES);
    if (err.code == SP_ENOTFOUND) {
        sp_answer_problem(i->req, 404, "not_found", "This office has no SSH gate.");
        return;
    }
    if (sp_failed(err)) {
        sp_answer_failed(i->req, err);
        return;
    }
    sp_ssh_key_text(certificate, &line);
    sp_answer_json(i->req, 201,
                   json_pack("{s:s%, s:o}", "certificate", (const char *)line.ptr, line.len,
                             "expires_at", sp_json_time(i->expires_unix_s)));
}

/* The device whose own key it is, if the session is bound to that or to none: whoever uses the
 * certificate has to have that key. False: the session is bound to a device and the key is another
 * one; it has been answered. */
static bool device_of(sp_request *req, sp_span blob, uint64_t *ret_device)
{
    const sp_live_session *session = sp_request_session(req);
    sp_live_device device;
    sp_hash hash;
    uint32_t slot = SP_NONE;
    bool is_device =
        sp_ssh_device_hash(blob, &hash) &&
        !sp_failed(sp_live_find_cert(&sp_request_core(req)->live, &hash, &device, &slot)) &&
        device.state == SP_DEVICE_ACTIVE && device.person == session->person;
    bool may_be = session->device == SP_NONE || slot == session->device;
    *ret_device = is_device && may_be ? device.id : 0;
    if (session->device != SP_NONE && *ret_device == 0) {
        sp_answer_invalid(req, "key",
                          "the key of this device (the agent's): your session is bound to it");
        return false;
    }
    return true;
}

static void ask_vault(issuing *i, sp_span blob, uint64_t device)
{
    sp_request *req = i->req;
    const sp_live_session *session = sp_request_session(req);
    uint64_t now_unix_s = sp_now_unix_us() / 1000000;
    uint64_t latest = now_unix_s + SP_VAULT_SSH_USER_LIFE_MAX_S;
    sp_span name = sp_span_cstr(session->person_name);
    char session_text[SP_SESSION_ID_TEXT_BYTES];
    auto_buf sp_buf device_text = sp_buf_make(32);
    auto_buf sp_buf key_id = sp_buf_make(SP_VAULT_SSH_KEY_ID_MAX_BYTES);
    auto_buf sp_buf body = sp_buf_make(CALL_MAX_BYTES);
    sp_session_id_text(session->id, session_text);
    sp_buf_u64_text(&device_text, device);
    sp_buf_fmt(&key_id, "%s/%s", session->person_name, session_text);
    i->expires_unix_s = session->expires_unix_s < latest ? session->expires_unix_s : latest;
    sp_vault_ssh_certify ask = {.ca = SP_VAULT_SSH_USER_CA,
                                .blob = blob,
                                .key_id = sp_buf_borrow(&key_id),
                                .valid_after_unix_s = now_unix_s,
                                .valid_before_unix_s = i->expires_unix_s,
                                .principal_count = 1,
                                .principals = {name}};
    if (device != 0) {
        ask.extensions[ask.extension_count++] =
            (sp_vault_ssh_option){SP_SPAN_LIT(DEVICE_EXTENSION), sp_buf_borrow(&device_text)};
    }
    ask.extensions[ask.extension_count++].name = SP_SPAN_LIT("permit-pty");
    ask.extensions[ask.extension_count++] =
        (sp_vault_ssh_option){SP_SPAN_LIT(SESSION_EXTENSION), sp_span_cstr(session_text)};
    sp_vault_ssh_certify_encode(&ask, &body);
    sp_vault_client_call(sp_request_core(req)->vault, SP_VAULT_SSH_CERTIFY, sp_buf_borrow(&body),
                         on_certificate, i);
}

static void post_certificate(sp_request *req)
{
    sp_span line = SP_SPAN_EMPTY;
    issuing *i = NULL;
    uint64_t device = 0;
    sp_ssh_key_line read;
    auto_buf sp_buf room = sp_buf_make(SP_SSH_KEY_BLOB_MAX_BYTES);
    const sp_field fields[] = {SP_FIELD_TEXT("key", &line, 1, SP_SSH_KEY_LINE_MAX_BYTES)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    while (line.len > 0 && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r')) {
        line.len--;
    }
    if (sp_failed(sp_ssh_key_line_parse(line, SP_SSH_LINE_PUBLIC, &room, &read)) ||
        (read.key.type != SP_SSH_KEY_ED25519 && read.key.type != SP_SSH_KEY_ECDSA_256)) {
        sp_answer_invalid(req, "key",
                          "one line of a .pub file: ssh-ed25519 or ecdsa-sha2-nistp256");
        return;
    }
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*i), &i);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else if (device_of(req, read.blob, &device)) {
        i->req = req;
        ask_vault(i, read.blob, device);
    }
}

sp_err sp_ssh_certificate_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"POST", "/api/v1/ssh/certificate", SP_WHO_PERSON, post_certificate, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

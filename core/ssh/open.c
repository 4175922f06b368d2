/* SPDX-License-Identifier: Apache-2.0
 * Targets: which a session may reach, and what opens one. Core decides `connect` itself here, so
 * that nothing which the gate says can open a target that policy does not.
 * OWNS what waits for ledger and vault. PROCESS core. TRUST names come from clients through a gate
 * that may be taken over. SPEC core/ssh/ssh.h; lib/proto/ssh_msg.h "OPEN".
 */
#include "core/documents/documents.h"
#include "core/ledger_client.h"
#include "core/ssh/inside.h"
#include "core/vault_client.h"
#include "infra/proc/clock.h"
#include "lib/policy/ssh.h"
#include "lib/proto/vault_msg.h"

enum {
    SIGNED_MAX_BYTES = 2048, /* a log-in's request with an RSA key: some 1200 */
    LIFE_S = 300,            /* a certificate is shown at once */
    BACKDATE_S = 60,         /* for clocks of targets that are late */
    CALL_MAX_BYTES = 4096
};

static const sp_policy *policy_of(const sp_core *core)
{
    return sp_policy_set_view(sp_documents_set(core->state->documents));
}

/* ---- TARGETS ---- */

/* Keeps the first ones in order of names. */
static void put_target(sp_ssh_targets *targets, sp_ssh_target one)
{
    size_t at = targets->count;
    while (at > 0 && sp_span_compare(one.name, targets->items[at - 1].name) < 0) {
        at--;
    }
    if (targets->count == SP_SSH_TARGETS_MAX) {
        targets->more = 1;
    } else {
        targets->count++;
    }
    for (size_t i = targets->count; i > at + 1; i--) {
        targets->items[i - 1] = targets->items[i - 2];
    }
    if (at < targets->count) {
        targets->items[at] = one;
    }
}

static void collect(const sp_policy *policy, const sp_subject *who, sp_ssh_targets *targets)
{
    for (uint32_t i = 0; i < sp_policy_resource_count(policy); i++) {
        sp_ssh_resource ssh;
        if (sp_policy_ssh_resource(policy, i, &ssh) &&
            sp_policy_ssh_account(policy, i, who, SP_SPAN_EMPTY).len > 0) {
            bool fits = ssh.title_en.len <= SP_SSH_TITLE_MAX_BYTES;
            put_target(targets, (sp_ssh_target){sp_policy_resource_name(policy, i),
                                                fits ? ssh.title_en : SP_SPAN_EMPTY});
        }
    }
}

sp_err sp_ssh_on_targets(sp_ssh *ssh, sp_peer *peer, const sp_msg *msg)
{
    sp_ssh_rider rider;
    sp_subject who;
    sp_live_session live;
    sp_ssh_targets targets = {0};
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    TRY(sp_ssh_rider_read(msg->body, &rider));
    sp_err err =
        sp_ssh_subject(ssh->core, &rider.session, &rider.fingerprint, rider.peer, &who, &live);
    if (!sp_failed(err)) {
        collect(policy_of(ssh->core), &who, &targets);
        sp_ssh_targets_write(&targets, &body);
        err = sp_buf_error(&body);
    }
    sp_peer_reply(peer, msg, err.code, sp_buf_borrow(&body), NULL, 0);
    return sp_ok();
}

/* ---- OPEN ---- */

typedef struct {
    sp_core *core;
    sp_peer *peer;
    sp_msg to; /* kind and id only */
    uint64_t connection;
    bool signs;      /* SIGN, with the vault's key; else OPEN */
    uint8_t sign_in; /* sp_ssh_sign_in */
    bool forwards;
    uint8_t reason; /* sp_reason, of the grant */
    size_t blob_len;
    uint8_t blob[SIGNED_MAX_BYTES];
    char person[SP_NAME_MAX_BYTES + 1];
    char resource[SP_NAME_MAX_BYTES + 1];
    char account[SP_SSH_ACCOUNT_MAX_BYTES + 1];
} opening;

static void opening_free(opening *o)
{
    sp_peer_unref(o->peer);
    sp_free(o);
}

static void answer(opening *o, const sp_ssh_opened *opened)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_buf_room(&body, CALL_MAX_BYTES); /* grown once: no copy of a password is left behind */
    sp_ssh_opened_write(opened, &body);
    sp_err err = sp_buf_error(&body);
    sp_peer_reply(o->peer, &o->to, err.code, sp_buf_borrow(&body), NULL, 0);
    sp_buf_wipe(&body);
    opening_free(o);
}

static void refuse(opening *o, sp_reason reason, const char *why)
{
    const sp_ssh_opened opened = {.reason = (uint8_t)reason, .why = sp_span_cstr(why)};
    answer(o, &opened);
}

static uint8_t kind_of(const opening *o)
{
    static const uint8_t KINDS[SP_SSH_SIGN_IN_COUNT] = {
        [SP_SSH_SIGN_IN_CERTIFICATE] = SP_SSH_CREDENTIAL_CERTIFICATE,
        [SP_SSH_SIGN_IN_PASSWORD] = SP_SSH_CREDENTIAL_PASSWORD,
        [SP_SSH_SIGN_IN_KEY] = SP_SSH_CREDENTIAL_KEY,
    };
    return o->signs ? SP_SSH_CREDENTIAL_SIGNATURE : KINDS[o->sign_in];
}

static void on_credential(void *self, sp_err err, sp_span credential)
{
    opening *o = self;
    if (err.code == SP_ENOTFOUND && o->sign_in != SP_SSH_SIGN_IN_CERTIFICATE) {
        refuse(o, SP_REASON_UNAVAILABLE,
               o->sign_in == SP_SSH_SIGN_IN_KEY
                   ? "the vault has no key for this account: ask a security administrator"
                   : "the vault has no password for this account: ask a security administrator");
    } else if (sp_failed(err) || credential.len == 0) {
        sp_peer_reply(o->peer, &o->to, SP_EAGAIN, SP_SPAN_EMPTY, NULL, 0);
        opening_free(o);
    } else {
        const sp_ssh_opened opened = {.credential_kind = kind_of(o),
                                      .reason = o->reason,
                                      .account = sp_span_cstr(o->account),
                                      .credential = credential};
        answer(o, &opened);
    }
}

/* The password of an account, or the public half of its key. */
static void ask_named(opening *o)
{
    auto_buf sp_buf name = sp_buf_make(SP_VAULT_CREDENTIAL_MAX_BYTES);
    sp_buf_fmt(&name, "%s/%s", o->resource, o->account);
    sp_vault_client_call(o->core->vault,
                         o->sign_in == SP_SSH_SIGN_IN_KEY ? SP_VAULT_SSH_KEY_PUBLIC
                                                          : SP_VAULT_SSH_PASSWORD,
                         sp_buf_borrow(&name), on_credential, o);
}

static void ask_signature(opening *o)
{
    auto_buf sp_buf name = sp_buf_make(SP_VAULT_CREDENTIAL_MAX_BYTES);
    auto_buf sp_buf body = sp_buf_make(CALL_MAX_BYTES);
    sp_buf_fmt(&name, "%s/%s", o->resource, o->account);
    const sp_vault_ssh_named ask = {sp_buf_borrow(&name), sp_span_of(o->blob, o->blob_len)};
    sp_vault_ssh_named_encode(&ask, &body);
    sp_vault_client_call(o->core->vault, SP_VAULT_SSH_KEY_SIGN, sp_buf_borrow(&body), on_credential,
                         o);
}

static void ask_certificate(opening *o)
{
    uint64_t now_unix_s = sp_now_unix_us() / 1000000;
    char reference[SP_REFERENCE_TEXT_BYTES];
    auto_buf sp_buf key_id = sp_buf_make(SP_VAULT_SSH_KEY_ID_MAX_BYTES);
    auto_buf sp_buf body = sp_buf_make(CALL_MAX_BYTES);
    sp_reference_text(o->connection, reference);
    sp_buf_fmt(&key_id, "%s/%s", o->person, reference);
    sp_vault_ssh_certify ask = {.ca = SP_VAULT_SSH_TARGET_CA,
                                .blob = sp_span_of(o->blob, o->blob_len),
                                .key_id = sp_buf_borrow(&key_id),
                                .valid_after_unix_s = now_unix_s - BACKDATE_S,
                                .valid_before_unix_s = now_unix_s + LIFE_S,
                                .principal_count = 1,
                                .principals = {sp_span_cstr(o->account)}};
    if (o->forwards) {
        ask.extensions[ask.extension_count++].name = SP_SPAN_LIT("permit-port-forwarding");
    }
    ask.extensions[ask.extension_count++].name = SP_SPAN_LIT("permit-pty");
    sp_vault_ssh_certify_encode(&ask, &body);
    sp_vault_client_call(o->core->vault, SP_VAULT_SSH_CERTIFY, sp_buf_borrow(&body), on_credential,
                         o);
}

static void on_recorded(void *self, sp_err err)
{
    opening *o = self;
    if (sp_failed(err)) {
        sp_peer_reply(o->peer, &o->to, SP_EAGAIN, SP_SPAN_EMPTY, NULL, 0);
        opening_free(o);
    } else if (o->signs) {
        ask_signature(o);
    } else if (o->sign_in == SP_SSH_SIGN_IN_CERTIFICATE) {
        ask_certificate(o);
    } else {
        ask_named(o);
    }
}

/* What is decided about the connection. */
typedef struct {
    sp_decision decision;
    sp_ssh_resource ssh;
    sp_span account;
    uint8_t reason;  /* sp_reason */
    const char *why; /* NULL = it is let */
} judged;

static const char NO_MACHINE[] = "there is no such machine, or no account on it for you";

static judged judge(const sp_core *core, const sp_policy *policy, const sp_ssh_open *ask,
                    const sp_subject *who, uint32_t *ret_resource)
{
    judged j = {.decision = {.reason = SP_REASON_DEFAULT, .rule = SP_NONE},
                .reason = SP_REASON_DEFAULT,
                .why = NO_MACHINE};
    uint32_t at = sp_policy_resource_find(policy, ask->resource);
    *ret_resource = at;
    if (at == SP_NONE || !sp_policy_ssh_resource(policy, at, &j.ssh)) {
        return j;
    }
    const sp_question question = {.who = who,
                                  .resource = at,
                                  .part = SP_NONE,
                                  .action = SP_ACTION_CONNECT,
                                  .now_unix_s = sp_now_unix_us() / 1000000,
                                  .cuts = sp_live_cuts(&core->live),
                                  .face = SP_FACE_SSH};
    j.decision = sp_policy_decide(policy, &question);
    j.account = sp_policy_ssh_account(policy, at, who, ask->account);
    if (j.account.len == 0) {
        sp_reason missing = sp_policy_ssh_account_missing(policy, at, who, ask->account);
        bool allowed = j.decision.verdict == SP_VERDICT_ALLOW;
        j.reason = allowed ? (uint8_t)missing : j.decision.reason;
        j.why = missing == SP_REASON_DEFAULT
                    ? NO_MACHINE
                    : "the policy gives you no such account on this device";
    } else if (j.account.len <= SP_SSH_ACCOUNT_MAX_BYTES) {
        j.reason = j.decision.reason;
        j.why =
            j.decision.verdict == SP_VERDICT_ALLOW ? NULL : "the policy does not let you connect";
    }
    return j;
}

static bool may_forward(const sp_core *core, const sp_policy *policy, const sp_subject *who,
                        uint32_t resource, const sp_ssh_resource *ssh)
{
    const sp_question question = {.who = who,
                                  .resource = resource,
                                  .part = SP_NONE,
                                  .action = SP_ACTION_FORWARD,
                                  .now_unix_s = sp_now_unix_us() / 1000000,
                                  .cuts = sp_live_cuts(&core->live),
                                  .face = SP_FACE_SSH};
    return ssh->forwards > 0 && sp_policy_decide(policy, &question).verdict != SP_VERDICT_DENY;
}

static sp_span method_of(const opening *o, uint8_t sign_in)
{
    if (sign_in == SP_SSH_SIGN_IN_CERTIFICATE) {
        return SP_SPAN_LIT("certificate for a target");
    }
    if (sign_in == SP_SSH_SIGN_IN_PASSWORD) {
        return SP_SPAN_LIT("password for a target");
    }
    return o->signs ? SP_SPAN_LIT("signature for a target") : SP_SPAN_LIT("key for a target");
}

static sp_event event_of(const opening *o, const sp_policy *policy, const sp_ssh_open *ask,
                         const sp_subject *who, const sp_live_session *live, const judged *j)
{
    sp_event event = {.kind = SP_EVENT_DECISION,
                      .when_unix_us = sp_now_unix_us(),
                      .reference = ask->connection,
                      .session = live->id,
                      .person = live->person,
                      .strength = live->strength,
                      .owner = who->owner,
                      .posture = who->posture,
                      .severity = j->why == NULL ? SP_SEVERITY_INFO : SP_SEVERITY_LOW,
                      .gate = SP_GATE_SSH,
                      .action = SP_ACTION_CONNECT,
                      .verdict = j->why == NULL ? SP_VERDICT_ALLOW : SP_VERDICT_DENY,
                      .reason = j->reason,
                      .class_level = j->decision.class_level,
                      .policy_version = sp_policy_version(policy),
                      .person_name = sp_span_cstr(live->person_name),
                      .resource = ask->resource,
                      .class_name = sp_policy_class_name(policy, j->decision.class_level),
                      .rule = sp_policy_rule_name(policy, j->decision.rule),
                      .method = method_of(o, j->ssh.sign_in),
                      .object = j->account};
    sp_copy(event.peer, ask->peer, sizeof(event.peer));
    sp_copy(event.roles, live->roles, sizeof(event.roles));
    return event;
}

static sp_err make(sp_core *core, sp_peer *peer, const sp_msg *msg, const sp_ssh_open *ask,
                   opening **ret_opening)
{
    opening *o = NULL;
    bool signs = msg->kind == SP_CORE_SSH_SIGN;
    if (ask->blob.len > (signs ? SIGNED_MAX_BYTES : SP_VAULT_SSH_BLOB_MAX_BYTES)) {
        return sp_fail(SP_ELIMIT);
    }
    TRY(sp_alloc(1, sizeof(*o), &o));
    o->core = core;
    o->signs = signs;
    o->to = (sp_msg){.kind = msg->kind, .id = msg->id};
    o->connection = ask->connection;
    o->blob_len = ask->blob.len;
    sp_copy(o->blob, ask->blob.ptr, ask->blob.len);
    sp_err err = sp_fit(o->resource, sizeof(o->resource), ask->resource);
    if (sp_failed(err)) {
        sp_free(o);
        return err;
    }
    o->peer = sp_peer_ref(peer);
    *ret_opening = o;
    return sp_ok();
}

static sp_err open_target(sp_core *core, sp_peer *peer, const sp_msg *msg, const sp_ssh_open *ask)
{
    sp_subject who;
    sp_live_session live;
    opening *o = NULL;
    uint32_t resource = SP_NONE;
    const sp_policy *policy = policy_of(core);
    TRY(sp_ssh_subject(core, &ask->session, &ask->fingerprint, ask->peer, &who, &live));
    TRY(make(core, peer, msg, ask, &o));
    judged j = judge(core, policy, ask, &who, &resource);
    if (j.why == NULL && o->signs && j.ssh.sign_in != SP_SSH_SIGN_IN_KEY) {
        j.reason = SP_REASON_DEFAULT;
        j.why = "the policy has changed: connect again";
    }
    sp_event event = event_of(o, policy, ask, &who, &live, &j);
    if (j.why != NULL) {
        sp_ledger_client_tell(core->ledger, &event);
        refuse(o, (sp_reason)j.reason, j.why);
        return sp_ok();
    }
    o->sign_in = j.ssh.sign_in;
    o->forwards = may_forward(core, policy, &who, resource, &j.ssh);
    o->reason = j.decision.reason;
    SP_IGNORE(sp_fit(o->account, sizeof(o->account), j.account)); /* bounded by judge */
    SP_IGNORE(sp_fit(o->person, sizeof(o->person), sp_span_cstr(live.person_name)));
    sp_ledger_client_append(core->ledger, &event, on_recorded, o);
    return sp_ok();
}

sp_err sp_ssh_on_open(sp_ssh *ssh, sp_peer *peer, const sp_msg *msg)
{
    sp_ssh_open ask;
    TRY(sp_ssh_open_read(msg->body, &ask));
    sp_err err = open_target(ssh->core, peer, msg, &ask);
    if (sp_failed(err)) {
        sp_peer_reply(peer, msg, err.code, SP_SPAN_EMPTY, NULL, 0);
    }
    return sp_ok();
}

/* SPDX-License-Identifier: Apache-2.0
 * What the vault is asked: the table of kinds, and their handlers.
 * OWNS nothing. PROCESS vault. TRUST every peer may have been taken over: its role is the kernel's
 * word on its uid, its bytes are hostile. SPEC lib/proto/vault_msg.h.
 *
 * The table is the whole of the policy: a kind that is not in it, a caller that is not in its row
 * and a body that is too long are refused before any handler sees the request, and the refusal is
 * written down.
 */
#include "infra/crypto/x509.h"
#include "infra/proc/clock.h"
#include "infra/proc/log.h"
#include "lib/ssh/key.h"
#include "vault/account_key.h"
#include "vault/db_certificate.h"
#include "vault/device_ca.h"
#include "vault/export.h"
#include "vault/ssh.h"
#include "vault/token.h"
#include "vault/vault.h"
#include "vault/wrap.h"

enum { REFUSALS_A_SECOND = 5, OBJECT_MAX_BYTES = 512 };

enum {
    CORE = 1U << SP_ROLE_CORE,
    LEDGER = 1U << SP_ROLE_LEDGER,
    WEB = 1U << SP_ROLE_WEB,
    DB = 1U << SP_ROLE_DB,
    KEEPER = 1U << SP_ROLE_KEEPER,
    SSH = 1U << SP_ROLE_SSH,
    COURIER = 1U << SP_ROLE_COURIER,
    WATCH = 1U << SP_ROLE_WATCH,
    HOST = 1U << SP_ROLE_COUNT, /* root or the vault's own user: who can read its files anyway */
    ANYBODY = 1U << (SP_ROLE_COUNT + 1)
};

typedef struct {
    sp_vault *vault;
    sp_peer *peer;
    const sp_msg *msg;
    unsigned roles; /* of the peer */
    uint64_t now_unix_s;
    uint64_t device; /* for the record */
    sp_buf object;   /* for the record: what it was about */
} request;

typedef sp_err (*handler)(request *r, sp_buf *out);

/* ---- handlers ---- */

static sp_err ping(request *r, sp_buf *out)
{
    (void)r;
    (void)out;
    return sp_ok();
}

static sp_err keys(request *r, sp_buf *out)
{
    auto_free sp_vault_keys *list = NULL;
    TRY(sp_alloc(1, sizeof(*list), &list));
    for (size_t i = 0; i < sp_keyring_count(r->vault->ring); i++) {
        const sp_vkey *key = sp_keyring_at(r->vault->ring, i);
        list->items[list->count++] =
            (sp_vault_key_info){.name = sp_span_cstr(key->name),
                                .kind = sp_span_cstr(sp_vkey_kind_word(key->kind)),
                                .purpose = sp_span_cstr(key->purpose),
                                .created_unix_s = key->created_unix_s};
    }
    sp_vault_keys_encode(list, out);
    return sp_ok();
}

static sp_err ca(request *r, sp_buf *out)
{
    sp_vault_ca which = SP_VAULT_CA_DEVICE;
    TRY(sp_vault_ca_decode(r->msg->body, &which));
    sp_span der = which == SP_VAULT_CA_DEVICE ? sp_device_ca_certificate(r->vault->ring)
                                              : sp_tls_office_ca(r->vault->tls);
    if (der.len == 0) {
        return sp_fail(SP_ENOTFOUND);
    }
    sp_buf_span(out, der);
    return sp_ok();
}

static sp_err device_issue(request *r, sp_buf *out)
{
    sp_vault_device_issue ask;
    sp_vault_issued issued;
    auto_buf sp_buf der = sp_buf_make(SP_CERT_MAX_BYTES);
    TRY(sp_vault_device_issue_decode(r->msg->body, &ask));
    TRY(sp_device_ca_issue(r->vault->ring, r->vault->config->office, &ask, r->now_unix_s, &der,
                           &issued));
    sp_hash fingerprint = sp_cert_fingerprint(issued.certificate);
    r->device = ask.device;
    sp_buf_text(&r->object, "certificate ");
    sp_buf_hex(&r->object, sp_hash_borrow(&fingerprint));
    sp_buf_fmt(&r->object, " for device %llu until ", (unsigned long long)ask.device);
    sp_buf_time(&r->object, issued.not_after_unix_s * 1000000);
    sp_vault_issued_encode(&issued, out);
    return sp_ok();
}

static sp_err tls_identity(request *r, sp_buf *out)
{
    sp_vault_tls_identity identity;
    TRY(sp_tls_identity(r->vault->tls, &identity));
    sp_vault_tls_identity_encode(&identity, out);
    return sp_ok();
}

/* The SSH gate has the use of its host key and of no other, the database gate alone that of
 * accounts' keys; nobody else has the use of those. */
static sp_err may_use(const request *r, sp_span key_name)
{
    unsigned who = sp_span_eq(key_name, SP_SPAN_LIT(SP_SSH_HOST_KEY)) ? SSH : WEB | DB;
    if (sp_span_starts(key_name, SP_SPAN_LIT(SP_VAULT_DB_KEY_PREFIX))) {
        who = DB;
    }
    return (r->roles & who) != 0 ? sp_ok() : sp_fail(SP_EDENIED);
}

static sp_err tls_key(request *r, sp_buf *out)
{
    TRY(may_use(r, r->msg->body));
    return sp_tls_public(r->vault->tls, r->msg->body, out);
}

static sp_err tls_sign(request *r, sp_buf *out)
{
    sp_vault_tls_sign ask;
    TRY(sp_vault_tls_sign_decode(r->msg->body, &ask));
    TRY(may_use(r, ask.key_name));
    return sp_tls_sign(r->vault->tls, &ask, out);
}

static sp_err token_sign(request *r, sp_buf *out)
{
    sp_token_bounds bounds = {.issuer = sp_buf_borrow(&r->vault->issuer),
                              .domain = sp_span_cstr(r->vault->config->domain)};
    return sp_token_sign(r->vault->ring, &bounds, r->msg->body, r->now_unix_s, out);
}

static sp_err token_jwks(request *r, sp_buf *out)
{
    return sp_token_jwks(r->vault->ring, out);
}

static sp_err token_rotate(request *r, sp_buf *out)
{
    size_t first_key = sp_keyring_count(r->vault->ring);
    TRY(sp_token_rotate(r->vault->ring, r->now_unix_s));
    TRY(sp_vault_keep(r->vault, true, first_key));
    sp_buf_text(&r->object, "identity token key rotated");
    return sp_token_jwks(r->vault->ring, out);
}

static sp_err checkpoint_last(request *r, sp_buf *out)
{
    sp_vault_checkpoint_last last;
    TRY(sp_checkpoints_last(r->vault->checkpoints, &last));
    sp_vault_checkpoint_last_encode(&last, out);
    return sp_ok();
}

/* In development roles may share a uid; then the first one's key serves for all of them. */
static const char *first_owner(const request *r)
{
    if ((r->roles & CORE) != 0) {
        return "core";
    }
    if ((r->roles & LEDGER) != 0) {
        return "ledger";
    }
    return (r->roles & KEEPER) != 0 ? "keeper" : "watch";
}

static sp_err wrap(request *r, sp_buf *out)
{
    sp_vault_wrap ask;
    TRY(sp_vault_wrap_decode(r->msg->body, &ask));
    return sp_wrap(r->vault->ring, first_owner(r), &ask, out);
}

static sp_err unwrap(request *r, sp_buf *out)
{
    sp_vault_wrap ask;
    TRY(sp_vault_wrap_decode(r->msg->body, &ask));
    return sp_unwrap(r->vault->ring, first_owner(r), &ask, out);
}

static sp_err export_keys(request *r, sp_buf *out)
{
    const sp_vault *vault = r->vault;
    sp_box_public to;
    sp_vault_checkpoint_last last;
    sp_checkpoint_head head = {0};
    if (r->msg->body.len != SP_BOX_PUBLIC_BYTES) {
        return sp_fail(SP_EINVALID);
    }
    sp_copy(to.bytes, r->msg->body.ptr, SP_BOX_PUBLIC_BYTES);
    TRY(sp_checkpoints_last(vault->checkpoints, &last));
    head.size = last.size;
    head.root = last.root;
    head.note_len = last.note.len;
    sp_copy(head.note, last.note.ptr, last.note.len);
    TRY(sp_export_make(vault->ring, &head, sp_span_cstr(vault->config->domain), &to, r->now_unix_s,
                       out));
    sp_buf_fmt(&r->object, "all %zu keys were exported for a backup, sealed to ",
               sp_keyring_count(vault->ring));
    sp_buf_hex(&r->object, r->msg->body);
    return sp_ok();
}

/* ---- databases ---- */

static sp_err db_put(request *r, sp_buf *out)
{
    sp_vault_db_credential ask;
    TRY(sp_vault_db_credential_decode(r->msg->body, &ask));
    TRY(sp_db_vault_put(r->vault->databases, &ask, r->now_unix_s, out));
    TRY(sp_keyring_save(r->vault->ring));
    sp_buf_fmt(&r->object, "password of %.*s: %s", SP_SPAN_ARG(ask.name),
               ask.password.len > 0 ? "given" : "made by the vault");
    return sp_ok();
}

static sp_err db_list(request *r, sp_buf *out)
{
    auto_free sp_vault_keys *list = NULL;
    TRY(sp_alloc(1, sizeof(*list), &list));
    sp_db_vault_list(r->vault->databases, list);
    sp_db_certificate_list(r->vault->ring, list);
    sp_vault_keys_encode(list, out);
    return sp_ok();
}

static sp_err db_remove(request *r, sp_buf *out)
{
    (void)out;
    sp_err password = sp_db_vault_remove(r->vault->databases, r->msg->body);
    sp_err key = sp_db_certificate_remove(r->vault->ring, r->msg->body);
    if (sp_failed(password) && sp_failed(key)) {
        return password;
    }
    TRY(sp_keyring_save(r->vault->ring));
    sp_buf_fmt(&r->object, "%s%s%s of %.*s removed", sp_failed(password) ? "" : "password",
               !sp_failed(password) && !sp_failed(key) ? " and " : "", sp_failed(key) ? "" : "key",
               SP_SPAN_ARG(r->msg->body));
    return sp_ok();
}

static sp_err db_key_put(request *r, sp_buf *out)
{
    TRY(sp_db_certificate_put(r->vault->ring, r->vault->config->office, r->msg->body, r->now_unix_s,
                              out));
    TRY(sp_keyring_save(r->vault->ring));
    sp_buf_fmt(&r->object, "key of %.*s made", SP_SPAN_ARG(r->msg->body));
    return sp_ok();
}

static sp_err db_certificate(request *r, sp_buf *out)
{
    return sp_db_certificate_issue(r->vault->ring, r->msg->body, r->now_unix_s, out);
}

static sp_err db_proof(request *r, sp_buf *out)
{
    sp_vault_db_proof ask;
    sp_vault_db_proved proved;
    sp_db_proof_room room;
    TRY(sp_vault_db_proof_decode(r->msg->body, &ask));
    TRY(sp_db_vault_prove(r->vault->databases, &ask, &room, &proved));
    sp_vault_db_proved_encode(&proved, out);
    sp_wipe(&room, sizeof(room));
    return sp_ok();
}

static sp_err db_password(request *r, sp_buf *out)
{
    sp_span password = SP_SPAN_EMPTY;
    TRY(sp_db_vault_password(r->vault->databases, r->msg->body, &password));
    sp_buf_span(out, password);
    sp_buf_fmt(&r->object, "password of %.*s was read to keep data", SP_SPAN_ARG(r->msg->body));
    return sp_ok();
}

/* ---- SSH ---- */

static sp_err ssh_public(request *r, sp_buf *out)
{
    sp_vault_ssh_key which = SP_VAULT_SSH_HOST;
    TRY(sp_vault_ssh_public_decode(r->msg->body, &which));
    return sp_ssh_vault_public(r->vault->ring, which, out);
}

/* People compared the one before, and will compare the one after. */
static sp_err put_host_print(request *r)
{
    auto_buf sp_buf blob = sp_buf_make(SP_VAULT_SSH_BLOB_MAX_BYTES);
    TRY(sp_ssh_vault_public(r->vault->ring, SP_VAULT_SSH_HOST, &blob));
    sp_ssh_key_fingerprint(sp_buf_borrow(&blob), &r->object);
    return sp_ok();
}

static sp_err ssh_host_renew(request *r, sp_buf *out)
{
    bool made = false;
    sp_buf_text(&r->object, "host key of the SSH gate replaced: ");
    TRY(put_host_print(r));
    TRY(sp_ssh_vault_forget_host(r->vault->ring));
    size_t first_key = sp_keyring_count(r->vault->ring);
    TRY(sp_ssh_vault_prepare(r->vault->ring, r->now_unix_s, &made));
    TRY(sp_vault_keep(r->vault, made, first_key));
    sp_buf_text(&r->object, " by ");
    TRY(put_host_print(r));
    return sp_ssh_vault_public(r->vault->ring, SP_VAULT_SSH_HOST, out);
}

static sp_err ssh_certify(request *r, sp_buf *out)
{
    sp_vault_ssh_certify ask;
    uint64_t serial = 0;
    TRY(sp_vault_ssh_certify_decode(r->msg->body, &ask));
    TRY(sp_ssh_vault_certify(r->vault->ring, &ask, r->now_unix_s, &serial, out));
    sp_buf_fmt(&r->object, "SSH certificate %016llx of %s for %.*s as ", (unsigned long long)serial,
               ask.ca == SP_VAULT_SSH_TARGET_CA ? "ssh-ca" : "ssh-user-ca",
               SP_SPAN_ARG(ask.key_id));
    sp_buf_span(&r->object, ask.principals[0]);
    sp_buf_text(&r->object, " until ");
    sp_buf_time(&r->object, ask.valid_before_unix_s * 1000000);
    return sp_ok();
}

static sp_err ssh_put(request *r, sp_buf *out)
{
    sp_vault_db_credential ask;
    auto_buf sp_buf secret = sp_buf_make(OBJECT_MAX_BYTES);
    (void)out;
    TRY(sp_vault_db_credential_decode(r->msg->body, &ask));
    if (ask.password.len == 0) {
        return sp_fail(SP_EINVALID); /* one that the vault made could not be given to the target */
    }
    TRY(sp_db_vault_put(r->vault->hosts, &ask, r->now_unix_s, &secret));
    TRY(sp_keyring_save(r->vault->ring));
    sp_buf_fmt(&r->object, "password of SSH account %.*s given", SP_SPAN_ARG(ask.name));
    return sp_ok();
}

static sp_err ssh_list(request *r, sp_buf *out)
{
    auto_free sp_vault_keys *list = NULL;
    TRY(sp_alloc(1, sizeof(*list), &list));
    sp_db_vault_list(r->vault->hosts, list);
    sp_account_key_list(r->vault->ring, list);
    sp_vault_keys_encode(list, out);
    return sp_ok();
}

static sp_err ssh_remove(request *r, sp_buf *out)
{
    (void)out;
    sp_err password = sp_db_vault_remove(r->vault->hosts, r->msg->body);
    sp_err key = sp_account_key_remove(r->vault->ring, r->msg->body);
    if (sp_failed(password) && sp_failed(key)) {
        return key;
    }
    TRY(sp_keyring_save(r->vault->ring));
    sp_buf_fmt(&r->object, "%s of SSH account %.*s removed",
               sp_failed(key)        ? "password"
               : sp_failed(password) ? "key"
                                     : "password and key",
               SP_SPAN_ARG(r->msg->body));
    return sp_ok();
}

static sp_err ssh_password(request *r, sp_buf *out)
{
    sp_span password = SP_SPAN_EMPTY;
    TRY(sp_db_vault_password(r->vault->hosts, r->msg->body, &password));
    sp_buf_span(out, password);
    sp_buf_fmt(&r->object, "password of SSH account %.*s was read for a connection",
               SP_SPAN_ARG(r->msg->body));
    return sp_ok();
}

static sp_err ssh_key_put(request *r, sp_buf *out)
{
    sp_vault_ssh_named ask;
    TRY(sp_vault_ssh_named_decode(r->msg->body, &ask));
    TRY(sp_account_key_put(r->vault->ring, &ask, r->now_unix_s, out));
    TRY(sp_keyring_save(r->vault->ring));
    sp_buf_fmt(&r->object, "key of SSH account %.*s: %s, ", SP_SPAN_ARG(ask.name),
               ask.bytes.len > 0 ? "given" : "made by the vault");
    sp_ssh_key_fingerprint(sp_buf_borrow(out), &r->object);
    return sp_ok();
}

static sp_err ssh_key_public(request *r, sp_buf *out)
{
    return sp_account_key_public(r->vault->ring, r->msg->body, out);
}

static sp_err ssh_key_sign(request *r, sp_buf *out)
{
    sp_vault_ssh_named ask;
    TRY(sp_vault_ssh_named_decode(r->msg->body, &ask));
    TRY(sp_account_key_sign(r->vault->ring, &ask, out));
    sp_buf_fmt(&r->object, "key of SSH account %.*s signed for a connection",
               SP_SPAN_ARG(ask.name));
    return sp_ok();
}

/* ---- channels of notices ---- */

static sp_err channel_put(request *r, sp_buf *out)
{
    sp_vault_db_credential ask;
    auto_buf sp_buf ignored = sp_buf_make(OBJECT_MAX_BYTES);
    (void)out;
    TRY(sp_vault_db_credential_decode(r->msg->body, &ask));
    if (ask.password.len == 0) {
        return sp_fail(SP_EINVALID); /* the other side gives it, the vault cannot make it */
    }
    TRY(sp_db_vault_put(r->vault->channels, &ask, r->now_unix_s, &ignored));
    TRY(sp_keyring_save(r->vault->ring));
    sp_buf_fmt(&r->object, "secret of channel %.*s given", SP_SPAN_ARG(ask.name));
    return sp_ok();
}

static sp_err channel_list(request *r, sp_buf *out)
{
    auto_free sp_vault_keys *list = NULL;
    TRY(sp_alloc(1, sizeof(*list), &list));
    sp_db_vault_list(r->vault->channels, list);
    sp_vault_keys_encode(list, out);
    return sp_ok();
}

static sp_err channel_remove(request *r, sp_buf *out)
{
    (void)out;
    TRY(sp_db_vault_remove(r->vault->channels, r->msg->body));
    TRY(sp_keyring_save(r->vault->ring));
    sp_buf_fmt(&r->object, "secret of channel %.*s removed", SP_SPAN_ARG(r->msg->body));
    return sp_ok();
}

static sp_err channel_secret(request *r, sp_buf *out)
{
    sp_span secret = SP_SPAN_EMPTY;
    TRY(sp_db_vault_password(r->vault->channels, r->msg->body, &secret));
    sp_buf_span(out, secret);
    sp_buf_fmt(&r->object, "secret of channel %.*s was read to send notices",
               SP_SPAN_ARG(r->msg->body));
    return sp_ok();
}

/* ---- the one that answers later ---- */

typedef struct {
    sp_vault *vault;
    sp_peer *peer;
    sp_msg msg; /* without its body */
} waiting;

static void count_refusal(sp_vault *vault, const sp_peer *peer, const sp_msg *msg, sp_err err);

static void on_signed(void *self, sp_err err, sp_span note)
{
    waiting *w = self;
    if (err.code == SP_ECONFLICT || err.code == SP_ECORRUPT) {
        sp_log(SP_LOG_ERROR, "a checkpoint was not signed: %s",
               err.code == SP_ECONFLICT
                   ? "it does not grow out of the last one signed (ledger rolled back or forked?)"
                   : "the file 'checkpoint' of the vault is missing or changed: restore it");
        count_refusal(w->vault, w->peer, &w->msg, err);
    }
    sp_peer_reply(w->peer, &w->msg, err.code, note, NULL, 0);
    sp_peer_unref(w->peer);
    sp_free(w);
}

static sp_err checkpoint_sign(request *r)
{
    auto_free sp_vault_checkpoint *ask = NULL;
    waiting *w = NULL;
    TRY(sp_alloc(1, sizeof(*ask), &ask));
    TRY(sp_vault_checkpoint_decode(r->msg->body, ask));
    TRY(sp_alloc(1, sizeof(*w), &w));
    *w = (waiting){r->vault, sp_peer_ref(r->peer), *r->msg};
    w->msg.body = SP_SPAN_EMPTY;
    sp_checkpoints_sign(r->vault->checkpoints, ask, on_signed, w);
    return sp_ok();
}

/* ---- the table ---- */

#define ROW(kind) [(kind)-SP_VAULT_PING]
static const struct {
    unsigned from;    /* role bits */
    size_t max_bytes; /* of the body */
    handler now;
    sp_err (*later)(request *r); /* replies by itself once it has begun */
    bool record;                 /* refused while there is no room for its entry */
    bool secret; /* the reply is wiped; with record, it waits for the ledger's disk */
} TABLE[] = {
    ROW(SP_VAULT_PING) = {.from = ANYBODY, .now = ping},
    ROW(SP_VAULT_KEYS) = {.from = CORE, .now = keys},
    ROW(SP_VAULT_CA) = {.from = CORE | WEB | DB, .max_bytes = 1, .now = ca},
    ROW(SP_VAULT_DEVICE_ISSUE) = {.from = CORE,
                                  .max_bytes = 5000,
                                  .now = device_issue,
                                  .record = true},
    ROW(SP_VAULT_TLS_IDENTITY) = {.from = CORE | WEB | DB, .now = tls_identity},
    ROW(SP_VAULT_TLS_KEY) = {.from = WEB | DB | SSH,
                             .max_bytes = SP_VAULT_KEY_NAME_MAX_BYTES,
                             .now = tls_key},
    ROW(SP_VAULT_TLS_SIGN) = {.from = WEB | DB | SSH, .max_bytes = 256, .now = tls_sign},
    ROW(SP_VAULT_TOKEN_SIGN) = {.from = CORE,
                                .max_bytes = SP_VAULT_CLAIMS_MAX_BYTES,
                                .now = token_sign},
    ROW(SP_VAULT_TOKEN_JWKS) = {.from = CORE | WEB, .now = token_jwks},
    ROW(SP_VAULT_TOKEN_ROTATE) = {.from = CORE, .now = token_rotate, .record = true},
    ROW(SP_VAULT_CHECKPOINT_SIGN) = {.from = LEDGER, .max_bytes = 4096, .later = checkpoint_sign},
    ROW(SP_VAULT_CHECKPOINT_LAST) = {.from = CORE | LEDGER, .now = checkpoint_last},
    ROW(SP_VAULT_WRAP) = {.from = CORE | LEDGER | KEEPER | WATCH,
                          .max_bytes = SP_VAULT_PLAIN_MAX_BYTES + 512,
                          .now = wrap},
    ROW(SP_VAULT_UNWRAP) = {.from = CORE | LEDGER | KEEPER | WATCH,
                            .max_bytes = SP_VAULT_PLAIN_MAX_BYTES + 512,
                            .now = unwrap,
                            .secret = true},
    ROW(SP_VAULT_EXPORT) = {.from = HOST,
                            .max_bytes = SP_VAULT_EXPORT_KEY_BYTES,
                            .now = export_keys,
                            .record = true},
    ROW(SP_VAULT_DB_CREDENTIAL_PUT) = {.from = CORE,
                                       .max_bytes = 512,
                                       .now = db_put,
                                       .record = true},
    ROW(SP_VAULT_DB_CREDENTIAL_LIST) = {.from = CORE, .now = db_list},
    ROW(SP_VAULT_DB_CREDENTIAL_REMOVE) = {.from = CORE,
                                          .max_bytes = SP_VAULT_CREDENTIAL_MAX_BYTES,
                                          .now = db_remove,
                                          .record = true},
    ROW(SP_VAULT_DB_KEY_PUT) = {.from = CORE,
                                .max_bytes = SP_VAULT_CREDENTIAL_MAX_BYTES,
                                .now = db_key_put,
                                .record = true},
    ROW(SP_VAULT_DB_CERTIFICATE) = {.from = DB,
                                    .max_bytes = SP_VAULT_CREDENTIAL_MAX_BYTES,
                                    .now = db_certificate},
    ROW(SP_VAULT_DB_PROOF) = {.from = DB, .max_bytes = 5000, .now = db_proof},
    ROW(SP_VAULT_DB_PASSWORD) = {.from = KEEPER,
                                 .max_bytes = SP_VAULT_CREDENTIAL_MAX_BYTES,
                                 .now = db_password,
                                 .record = true,
                                 .secret = true},
    ROW(SP_VAULT_SSH_PUBLIC) = {.from = CORE | SSH, .max_bytes = 1, .now = ssh_public},
    ROW(SP_VAULT_SSH_HOST_RENEW) = {.from = CORE, .now = ssh_host_renew, .record = true},
    ROW(SP_VAULT_SSH_CERTIFY) = {.from = CORE,
                                 .max_bytes = 24 * 1024,
                                 .now = ssh_certify,
                                 .record = true},
    ROW(SP_VAULT_SSH_CREDENTIAL_PUT) = {.from = CORE,
                                        .max_bytes = 512,
                                        .now = ssh_put,
                                        .record = true},
    ROW(SP_VAULT_SSH_CREDENTIAL_LIST) = {.from = CORE, .now = ssh_list},
    ROW(SP_VAULT_SSH_CREDENTIAL_REMOVE) = {.from = CORE,
                                           .max_bytes = SP_VAULT_CREDENTIAL_MAX_BYTES,
                                           .now = ssh_remove,
                                           .record = true},
    ROW(SP_VAULT_SSH_PASSWORD) = {.from = CORE,
                                  .max_bytes = SP_VAULT_CREDENTIAL_MAX_BYTES,
                                  .now = ssh_password,
                                  .record = true,
                                  .secret = true},
    ROW(SP_VAULT_SSH_KEY_PUT) = {.from = CORE,
                                 .max_bytes = SP_VAULT_SSH_PRIVATE_MAX_BYTES + 256,
                                 .now = ssh_key_put,
                                 .record = true},
    ROW(SP_VAULT_SSH_KEY_PUBLIC) = {.from = CORE,
                                    .max_bytes = SP_VAULT_CREDENTIAL_MAX_BYTES,
                                    .now = ssh_key_public},
    ROW(SP_VAULT_SSH_KEY_SIGN) = {.from = CORE,
                                  .max_bytes = 4096,
                                  .now = ssh_key_sign,
                                  .record = true},
    ROW(SP_VAULT_CHANNEL_PUT) = {.from = CORE,
                                 .max_bytes = 512,
                                 .now = channel_put,
                                 .record = true},
    ROW(SP_VAULT_CHANNEL_LIST) = {.from = CORE, .now = channel_list},
    ROW(SP_VAULT_CHANNEL_REMOVE) = {.from = CORE,
                                    .max_bytes = SP_VAULT_CREDENTIAL_MAX_BYTES,
                                    .now = channel_remove,
                                    .record = true},
    ROW(SP_VAULT_CHANNEL_SECRET) = {.from = COURIER,
                                    .max_bytes = SP_VAULT_CREDENTIAL_MAX_BYTES,
                                    .now = channel_secret,
                                    .record = true,
                                    .secret = true},
};
_Static_assert(SP_COUNT(TABLE) == SP_VAULT_KIND_END - SP_VAULT_PING, "a row for each kind");

/* ---- records ---- */

static sp_event event_of(const request *r)
{
    bool issue = r->msg->kind == SP_VAULT_DEVICE_ISSUE;
    return (sp_event){.kind = issue ? SP_EVENT_DEVICE : SP_EVENT_ADMIN,
                      .severity = SP_SEVERITY_INFO,
                      .verdict = SP_VERDICT_ALLOW,
                      .device = r->device,
                      .method = sp_span_cstr(sp_vault_kind_word(r->msg->kind)),
                      .object = sp_buf_borrow(&r->object)};
}

/* A secret that leaves when its entry is on the ledger's disk. */
typedef struct {
    waiting to;
    sp_buf body;
} secret_answer;

static void secret_answer_free(secret_answer *s)
{
    sp_buf_wipe(&s->body);
    sp_buf_done(&s->body);
    sp_peer_unref(s->to.peer);
    sp_free(s);
}

static void on_recorded(void *self, sp_err err)
{
    secret_answer *s = self;
    sp_span body = sp_failed(err) ? SP_SPAN_EMPTY : sp_buf_borrow(&s->body);
    sp_peer_reply(s->to.peer, &s->to.msg, err.code, body, NULL, 0);
    secret_answer_free(s);
}

/* Takes the reply. */
static sp_err answer_when_recorded(const request *r, sp_buf *out)
{
    secret_answer *s = NULL;
    const sp_event event = event_of(r);
    TRY(sp_alloc(1, sizeof(*s), &s));
    s->to = (waiting){r->vault, sp_peer_ref(r->peer), *r->msg};
    s->to.msg.body = SP_SPAN_EMPTY;
    s->body = *out;
    *out = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_err err = sp_recorder_tell_then(r->vault->recorder, &event, on_recorded, s);
    if (sp_failed(err)) {
        secret_answer_free(s);
    }
    return err;
}

static unsigned roles_of(const sp_config *config, uid_t uid)
{
    unsigned roles = ANYBODY;
    for (unsigned role = 0; role < SP_ROLE_COUNT; role++) {
        if (sp_config_uid_is(config, uid, (sp_role_kind)role)) {
            roles |= 1U << role;
        }
    }
    if (uid == 0 || (roles & (1U << SP_ROLE_VAULT)) != 0) {
        roles |= HOST;
    }
    return roles;
}

static void count_refusal(sp_vault *vault, const sp_peer *peer, const sp_msg *msg, sp_err err)
{
    uint64_t second = sp_now_steady_us() / 1000000;
    if (second != vault->refusals_second) {
        vault->refusals_second = second;
        vault->refusals_written = 0;
    }
    if (vault->refusals_written >= REFUSALS_A_SECOND) {
        vault->refusals_counted++;
        return;
    }
    vault->refusals_written++;
    auto_buf sp_buf object = sp_buf_make(OBJECT_MAX_BYTES);
    sp_buf_fmt(&object, "refused to uid %u: %s", (unsigned)sp_peer_uid(peer),
               sp_code_word(err.code));
    sp_event event = {.kind = SP_EVENT_DECISION,
                      .severity = SP_SEVERITY_HIGH,
                      .verdict = SP_VERDICT_DENY,
                      .reason = err.code == SP_EDENIED ? SP_REASON_DEFAULT : SP_REASON_UNPARSED,
                      .action = SP_ACTION_EXECUTE,
                      .count = vault->refusals_counted,
                      .method = sp_span_cstr(sp_vault_kind_word(msg->kind)),
                      .object = sp_buf_borrow(&object)};
    vault->refusals_counted = 0;
    sp_log(SP_LOG_WARN, "%s %.*s", sp_vault_kind_word(msg->kind),
           SP_SPAN_ARG(sp_buf_borrow(&object)));
    sp_recorder_tell(vault->recorder, &event);
}

/* Errors that an honest peer does not meet. */
static bool is_refusal(sp_err err)
{
    return err.code == SP_EDENIED || err.code == SP_EINVALID || err.code == SP_ESHORT ||
           err.code == SP_ELIMIT || err.code == SP_ECORRUPT || err.code == SP_EUNSUPPORTED;
}

/* ---- dispatch ---- */

/* *ret_later: the handler replies by itself. */
static sp_err run(request *r, size_t row, sp_buf *out, bool *ret_later)
{
    if ((TABLE[row].from & r->roles) == 0) {
        return sp_fail(SP_EDENIED);
    }
    if (r->msg->body.len > TABLE[row].max_bytes) {
        return sp_fail(SP_ELIMIT);
    }
    if (TABLE[row].record && !sp_recorder_has_room(r->vault->recorder)) {
        return sp_fail(SP_EAGAIN); /* nothing is done that cannot be written down */
    }
    if (TABLE[row].later != NULL) {
        TRY(TABLE[row].later(r));
        *ret_later = true;
        return sp_ok();
    }
    TRY(TABLE[row].now(r, out));
    TRY(sp_buf_error(out));
    if (TABLE[row].record && TABLE[row].secret) {
        TRY(answer_when_recorded(r, out));
        *ret_later = true;
    }
    return sp_ok();
}

static void answer(request *r, size_t row)
{
    auto_buf sp_buf out = sp_buf_make(SP_MSG_MAX_BYTES);
    bool later = false;
    sp_err err = run(r, row, &out, &later);
    if (is_refusal(err)) {
        count_refusal(r->vault, r->peer, r->msg, err);
    } else if (!sp_failed(err) && TABLE[row].record && !later) {
        const sp_event event = event_of(r);
        sp_recorder_tell(r->vault->recorder, &event);
    }
    if (!later) {
        sp_span body = sp_failed(err) ? SP_SPAN_EMPTY : sp_buf_borrow(&out);
        sp_peer_reply(r->peer, r->msg, err.code, body, NULL, 0);
    }
    if (TABLE[row].secret) {
        sp_buf_wipe(&out);
    }
}

void sp_vault_on_message(void *self, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    sp_vault *vault = self;
    (void)fds; /* the vault takes none */
    if (msg->kind < SP_VAULT_PING || msg->kind >= SP_VAULT_KIND_END) {
        count_refusal(vault, peer, msg, sp_fail(SP_EINVALID));
        sp_peer_reply(peer, msg, SP_EINVALID, SP_SPAN_EMPTY, NULL, 0);
        return;
    }
    request r = {.vault = vault,
                 .peer = peer,
                 .msg = msg,
                 .roles = roles_of(vault->config, sp_peer_uid(peer)),
                 .now_unix_s = sp_now_unix_us() / 1000000,
                 .object = sp_buf_make(OBJECT_MAX_BYTES)};
    answer(&r, (size_t)(msg->kind - SP_VAULT_PING));
    sp_buf_done(&r.object);
}

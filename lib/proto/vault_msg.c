/* SPDX-License-Identifier: Apache-2.0
 * Encoding of what the vault is asked and answers.
 * OWNS nothing. PROCESS core, ledger, web, vault. TRUST decoded bytes are hostile.
 * SPEC lib/proto/vault_msg.h.
 */
#include "lib/proto/vault_msg.h"

enum { WRAPPED_EXTRA_BYTES = 64, VERIFIER_KEY_MAX_BYTES = 192 };
enum { KIND_MAX_BYTES = 16, PURPOSE_MAX_BYTES = 160, ORIGIN_MAX_BYTES = 255 };

const char *sp_vault_kind_word(uint16_t kind)
{
    static const char *const words[] = {
        "PING",
        "KEYS",
        "CA",
        "DEVICE_ISSUE",
        "TLS_IDENTITY",
        "TLS_KEY",
        "TLS_SIGN",
        "TOKEN_SIGN",
        "TOKEN_JWKS",
        "TOKEN_ROTATE",
        "CHECKPOINT_SIGN",
        "CHECKPOINT_LAST",
        "WRAP",
        "UNWRAP",
        "EXPORT",
        "DB_CREDENTIAL_PUT",
        "DB_CREDENTIAL_LIST",
        "DB_CREDENTIAL_REMOVE",
        "DB_PROOF",
        "DB_PASSWORD",
        "SSH_PUBLIC",
        "SSH_CERTIFY",
        "SSH_CREDENTIAL_PUT",
        "SSH_CREDENTIAL_LIST",
        "SSH_CREDENTIAL_REMOVE",
        "SSH_PASSWORD",
        "SSH_KEY_PUT",
        "SSH_KEY_PUBLIC",
        "SSH_KEY_SIGN",
        "CHANNEL_PUT",
        "CHANNEL_LIST",
        "CHANNEL_REMOVE",
        "CHANNEL_SECRET",
        "DB_KEY_PUT",
        "DB_CERTIFICATE",
        "SSH_HOST_RENEW",
    };
    _Static_assert(SP_COUNT(words) == SP_VAULT_KIND_END - SP_VAULT_PING, "a word for each kind");
    return kind >= SP_VAULT_PING && kind < SP_VAULT_KIND_END ? words[kind - SP_VAULT_PING]
                                                             : "unknown";
}

static sp_hash read_hash(sp_reader *in)
{
    sp_hash hash = {0};
    sp_span bytes = sp_read_span(in, SP_SHA256_BYTES);
    if (bytes.len == SP_SHA256_BYTES) {
        sp_copy(hash.bytes, bytes.ptr, bytes.len);
    }
    return hash;
}

void sp_vault_ca_encode(sp_vault_ca ca, sp_buf *out)
{
    sp_buf_u8(out, (uint8_t)ca);
}

sp_err sp_vault_ca_decode(sp_span body, sp_vault_ca *ret_ca)
{
    sp_reader in = sp_reader_of(body);
    uint8_t ca = sp_read_enum(&in, SP_VAULT_CA_COUNT);
    TRY(sp_reader_finish(&in));
    *ret_ca = (sp_vault_ca)ca;
    return sp_ok();
}

void sp_vault_device_issue_encode(const sp_vault_device_issue *ask, sp_buf *out)
{
    sp_buf_u64(out, ask->device);
    sp_buf_bytes(out, ask->device_name);
    sp_buf_u32(out, ask->life_s);
    sp_buf_bytes(out, ask->csr);
}

sp_err sp_vault_device_issue_decode(sp_span body, sp_vault_device_issue *ret_ask)
{
    sp_reader in = sp_reader_of(body);
    sp_vault_device_issue ask;
    ask.device = sp_read_u64(&in);
    ask.device_name = sp_read_bytes(&in, SP_VAULT_NAME_MAX_BYTES);
    ask.life_s = sp_read_u32(&in);
    ask.csr = sp_read_bytes(&in, SP_VAULT_CSR_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_ask = ask;
    return sp_ok();
}

void sp_vault_tls_sign_encode(const sp_vault_tls_sign *ask, sp_buf *out)
{
    sp_buf_bytes(out, ask->key_name);
    sp_buf_u16(out, ask->scheme);
    sp_buf_bytes(out, ask->digest);
}

sp_err sp_vault_tls_sign_decode(sp_span body, sp_vault_tls_sign *ret_ask)
{
    sp_reader in = sp_reader_of(body);
    sp_vault_tls_sign ask;
    ask.key_name = sp_read_bytes(&in, SP_VAULT_KEY_NAME_MAX_BYTES);
    ask.scheme = sp_read_u16(&in);
    ask.digest = sp_read_bytes(&in, SP_VAULT_DIGEST_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_ask = ask;
    return sp_ok();
}

void sp_vault_checkpoint_encode(const sp_vault_checkpoint *ask, sp_buf *out)
{
    sp_buf_u64(out, ask->old_size);
    sp_buf_u64(out, ask->new_size);
    sp_buf_span(out, sp_hash_borrow(&ask->new_root));
    sp_buf_u8(out, (uint8_t)ask->proof_count);
    for (size_t i = 0; i < ask->proof_count; i++) {
        sp_buf_span(out, sp_hash_borrow(&ask->proof[i]));
    }
}

sp_err sp_vault_checkpoint_decode(sp_span body, sp_vault_checkpoint *ret_ask)
{
    sp_reader in = sp_reader_of(body);
    ret_ask->old_size = sp_read_u64(&in);
    ret_ask->new_size = sp_read_u64(&in);
    ret_ask->new_root = read_hash(&in);
    ret_ask->proof_count = sp_read_enum(&in, SP_VAULT_PROOF_MAX + 1);
    for (size_t i = 0; i < ret_ask->proof_count; i++) {
        ret_ask->proof[i] = read_hash(&in);
    }
    return sp_reader_finish(&in);
}

void sp_vault_wrap_encode(const sp_vault_wrap *ask, sp_buf *out)
{
    sp_buf_bytes(out, ask->bound);
    sp_buf_bytes(out, ask->bytes);
}

sp_err sp_vault_wrap_decode(sp_span body, sp_vault_wrap *ret_ask)
{
    sp_reader in = sp_reader_of(body);
    sp_vault_wrap ask;
    ask.bound = sp_read_bytes(&in, SP_VAULT_BOUND_MAX_BYTES);
    ask.bytes = sp_read_bytes(&in, SP_VAULT_PLAIN_MAX_BYTES + WRAPPED_EXTRA_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_ask = ask;
    return sp_ok();
}

void sp_vault_keys_encode(const sp_vault_keys *keys, sp_buf *out)
{
    sp_buf_u16(out, (uint16_t)keys->count);
    for (size_t i = 0; i < keys->count; i++) {
        const sp_vault_key_info *key = &keys->items[i];
        sp_buf_bytes(out, key->name);
        sp_buf_bytes(out, key->kind);
        sp_buf_bytes(out, key->purpose);
        sp_buf_u64(out, key->created_unix_s);
    }
}

sp_err sp_vault_keys_decode(sp_span body, sp_vault_keys *ret_keys)
{
    sp_reader in = sp_reader_of(body);
    size_t count = sp_read_u16(&in);
    if (count > SP_VAULT_KEYS_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    for (size_t i = 0; i < count; i++) {
        sp_vault_key_info *key = &ret_keys->items[i];
        key->name = sp_read_bytes(&in, SP_VAULT_KEY_NAME_MAX_BYTES);
        key->kind = sp_read_bytes(&in, KIND_MAX_BYTES);
        key->purpose = sp_read_bytes(&in, PURPOSE_MAX_BYTES);
        key->created_unix_s = sp_read_u64(&in);
    }
    ret_keys->count = count;
    return sp_reader_finish(&in);
}

void sp_vault_issued_encode(const sp_vault_issued *issued, sp_buf *out)
{
    sp_buf_u64(out, issued->not_before_unix_s);
    sp_buf_u64(out, issued->not_after_unix_s);
    sp_buf_bytes(out, issued->certificate);
}

sp_err sp_vault_issued_decode(sp_span body, sp_vault_issued *ret_issued)
{
    sp_reader in = sp_reader_of(body);
    sp_vault_issued issued;
    issued.not_before_unix_s = sp_read_u64(&in);
    issued.not_after_unix_s = sp_read_u64(&in);
    issued.certificate = sp_read_bytes(&in, SP_VAULT_CERT_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_issued = issued;
    return sp_ok();
}

void sp_vault_tls_identity_encode(const sp_vault_tls_identity *identity, sp_buf *out)
{
    sp_buf_bytes(out, identity->key_name);
    sp_buf_u64(out, identity->not_after_unix_s);
    sp_buf_bytes(out, identity->chain);
}

sp_err sp_vault_tls_identity_decode(sp_span body, sp_vault_tls_identity *ret_identity)
{
    sp_reader in = sp_reader_of(body);
    sp_vault_tls_identity identity;
    identity.key_name = sp_read_bytes(&in, SP_VAULT_NAME_MAX_BYTES);
    identity.not_after_unix_s = sp_read_u64(&in);
    identity.chain = sp_read_bytes(&in, SP_VAULT_CHAIN_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_identity = identity;
    return sp_ok();
}

void sp_vault_checkpoint_last_encode(const sp_vault_checkpoint_last *last, sp_buf *out)
{
    sp_buf_u64(out, last->size);
    sp_buf_span(out, sp_hash_borrow(&last->root));
    sp_buf_bytes(out, last->origin);
    sp_buf_bytes(out, last->verifier_key);
    sp_buf_bytes(out, last->note);
}

sp_err sp_vault_checkpoint_last_decode(sp_span body, sp_vault_checkpoint_last *ret_last)
{
    sp_reader in = sp_reader_of(body);
    sp_vault_checkpoint_last last;
    last.size = sp_read_u64(&in);
    last.root = read_hash(&in);
    last.origin = sp_read_bytes(&in, ORIGIN_MAX_BYTES);
    last.verifier_key = sp_read_bytes(&in, ORIGIN_MAX_BYTES + VERIFIER_KEY_MAX_BYTES);
    last.note = sp_read_bytes(&in, SP_VAULT_NOTE_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_last = last;
    return sp_ok();
}

void sp_vault_exported_encode(const sp_vault_exported *exported, sp_buf *out)
{
    sp_buf_bytes(out, exported->domain);
    sp_buf_u64(out, exported->entries);
    sp_buf_span(out, sp_hash_borrow(&exported->root));
    sp_buf_bytes(out, exported->sealed);
}

sp_err sp_vault_exported_decode(sp_span body, sp_vault_exported *ret_exported)
{
    sp_reader in = sp_reader_of(body);
    sp_vault_exported exported;
    exported.domain = sp_read_bytes(&in, ORIGIN_MAX_BYTES);
    exported.entries = sp_read_u64(&in);
    exported.root = read_hash(&in);
    exported.sealed = sp_read_bytes(&in, SP_VAULT_EXPORTED_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_exported = exported;
    return sp_ok();
}

void sp_vault_db_credential_encode(const sp_vault_db_credential *ask, sp_buf *out)
{
    sp_buf_bytes(out, ask->name);
    sp_buf_bytes(out, ask->password);
}

sp_err sp_vault_db_credential_decode(sp_span body, sp_vault_db_credential *ret_ask)
{
    sp_reader in = sp_reader_of(body);
    sp_vault_db_credential ask;
    ask.name = sp_read_bytes(&in, SP_VAULT_CREDENTIAL_MAX_BYTES);
    ask.password = sp_read_bytes(&in, SP_VAULT_PASSWORD_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_ask = ask;
    return sp_ok();
}

void sp_vault_ssh_named_encode(const sp_vault_ssh_named *ask, sp_buf *out)
{
    sp_buf_bytes(out, ask->name);
    sp_buf_bytes(out, ask->bytes);
}

sp_err sp_vault_ssh_named_decode(sp_span body, sp_vault_ssh_named *ret_ask)
{
    sp_reader in = sp_reader_of(body);
    sp_vault_ssh_named ask;
    ask.name = sp_read_bytes(&in, SP_VAULT_CREDENTIAL_MAX_BYTES);
    ask.bytes = sp_read_bytes(&in, SP_VAULT_SSH_PRIVATE_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_ask = ask;
    return sp_ok();
}

void sp_vault_db_proof_encode(const sp_vault_db_proof *ask, sp_buf *out)
{
    sp_buf_u8(out, ask->method);
    sp_buf_bytes(out, ask->name);
    sp_buf_bytes(out, ask->salt);
    sp_buf_u32(out, ask->iterations);
    sp_buf_bytes(out, ask->auth_message);
}

sp_err sp_vault_db_proof_decode(sp_span body, sp_vault_db_proof *ret_ask)
{
    sp_reader in = sp_reader_of(body);
    sp_vault_db_proof ask;
    ask.method = sp_read_enum(&in, SP_VAULT_DB_METHOD_COUNT);
    ask.name = sp_read_bytes(&in, SP_VAULT_CREDENTIAL_MAX_BYTES);
    ask.salt = sp_read_bytes(&in, SP_VAULT_SALT_MAX_BYTES);
    ask.iterations = sp_read_u32(&in);
    ask.auth_message = sp_read_bytes(&in, SP_VAULT_AUTH_MESSAGE_MAX_BYTES);
    bool scram = ask.method == SP_VAULT_DB_SCRAM;
    if (scram && (ask.iterations == 0 || ask.iterations > SP_VAULT_ITERATIONS_MAX)) {
        sp_reader_fail(&in, SP_ELIMIT);
    }
    if (scram ? ask.salt.len == 0 || ask.auth_message.len == 0
              : ask.salt.len != SP_VAULT_MD5_SALT_BYTES || ask.iterations != 0 ||
                    ask.auth_message.len != 0) {
        sp_reader_fail(&in, SP_EINVALID);
    }
    TRY(sp_reader_finish(&in));
    *ret_ask = ask;
    return sp_ok();
}

void sp_vault_db_proved_encode(const sp_vault_db_proved *proved, sp_buf *out)
{
    sp_buf_bytes(out, proved->proof);
    sp_buf_bytes(out, proved->server);
}

sp_err sp_vault_db_proved_decode(sp_span body, sp_vault_db_proved *ret_proved)
{
    sp_reader in = sp_reader_of(body);
    sp_vault_db_proved proved;
    proved.proof = sp_read_bytes(&in, SP_VAULT_SALT_MAX_BYTES);
    proved.server = sp_read_bytes(&in, SP_VAULT_SALT_MAX_BYTES);
    TRY(sp_reader_finish(&in));
    *ret_proved = proved;
    return sp_ok();
}

void sp_vault_ssh_public_encode(sp_vault_ssh_key which, sp_buf *out)
{
    sp_buf_u8(out, (uint8_t)which);
}

sp_err sp_vault_ssh_public_decode(sp_span body, sp_vault_ssh_key *ret_which)
{
    sp_reader in = sp_reader_of(body);
    uint8_t which = sp_read_enum(&in, SP_VAULT_SSH_KEY_COUNT);
    TRY(sp_reader_finish(&in));
    *ret_which = (sp_vault_ssh_key)which;
    return sp_ok();
}

static void put_options(const sp_vault_ssh_option *options, size_t count, sp_buf *out)
{
    sp_buf_u8(out, (uint8_t)count);
    for (size_t i = 0; i < count; i++) {
        sp_buf_bytes(out, options[i].name);
        sp_buf_bytes(out, options[i].data);
    }
}

static uint8_t get_options(sp_reader *in, sp_vault_ssh_option *options)
{
    uint8_t count = sp_read_enum(in, SP_VAULT_SSH_OPTIONS_MAX + 1);
    for (size_t i = 0; i < count; i++) {
        options[i].name = sp_read_text(in, SP_VAULT_NAME_MAX_BYTES);
        options[i].data = sp_read_text(in, SP_VAULT_SSH_OPTION_MAX_BYTES);
    }
    return count;
}

void sp_vault_ssh_certify_encode(const sp_vault_ssh_certify *ask, sp_buf *out)
{
    sp_buf_u8(out, ask->ca);
    sp_buf_bytes(out, ask->blob);
    sp_buf_bytes(out, ask->key_id);
    sp_buf_u64(out, ask->valid_after_unix_s);
    sp_buf_u64(out, ask->valid_before_unix_s);
    sp_buf_u8(out, ask->principal_count);
    for (size_t i = 0; i < ask->principal_count; i++) {
        sp_buf_bytes(out, ask->principals[i]);
    }
    put_options(ask->critical, ask->critical_count, out);
    put_options(ask->extensions, ask->extension_count, out);
}

sp_err sp_vault_ssh_certify_decode(sp_span body, sp_vault_ssh_certify *ret_ask)
{
    sp_reader in = sp_reader_of(body);
    sp_vault_ssh_certify ask = {0};
    ask.ca = sp_read_enum(&in, SP_VAULT_SSH_KEY_COUNT);
    ask.blob = sp_read_bytes(&in, SP_VAULT_SSH_BLOB_MAX_BYTES);
    ask.key_id = sp_read_text(&in, SP_VAULT_SSH_KEY_ID_MAX_BYTES);
    ask.valid_after_unix_s = sp_read_u64(&in);
    ask.valid_before_unix_s = sp_read_u64(&in);
    ask.principal_count = sp_read_enum(&in, SP_VAULT_SSH_PRINCIPALS_MAX + 1);
    for (size_t i = 0; i < ask.principal_count; i++) {
        ask.principals[i] = sp_read_text(&in, SP_VAULT_NAME_MAX_BYTES);
    }
    ask.critical_count = get_options(&in, ask.critical);
    ask.extension_count = get_options(&in, ask.extensions);
    TRY(sp_reader_finish(&in));
    *ret_ask = ask;
    return sp_ok();
}

/* SPDX-License-Identifier: Apache-2.0
 * SSH keys and user certificates.
 * OWNS nothing. PROCESS vault. TRUST see ssh.h. SPEC OpenSSH PROTOCOL.certkeys.
 */
#include "vault/ssh.h"

#include "infra/crypto/random.h"

enum {
    NONCE_BYTES = 32,
    CERTIFICATE_MAX_BYTES = 16 * 1024,
    BACKDATE_MAX_S = 300, /* for targets whose clocks are late */
    TYPE_USER = 1,
    POINT_BYTES = 1 + SP_P256_RAW_BYTES,
    POINT_UNCOMPRESSED = 0x04
};

static const char ED25519[] = "ssh-ed25519";
static const char P256[] = "ecdsa-sha2-nistp256";
static const char CURVE[] = "nistp256";

static const struct {
    const char *name;
    sp_vkey_kind kind;
    const char *purpose;
} KEYS[SP_VAULT_SSH_KEY_COUNT] = {
    {SP_SSH_HOST_KEY, SP_VKEY_P256, "is the host key of the SSH gate"},
    {"ssh-ca", SP_VKEY_ED25519, "signs certificates for SSH targets"},
    {"ssh-user-ca", SP_VKEY_ED25519, "signs SSH certificates of people"},
};

sp_err sp_ssh_vault_prepare(sp_keyring *ring, uint64_t now_unix_s, bool *made)
{
    for (size_t i = 0; i < SP_COUNT(KEYS); i++) {
        sp_vkey *key = NULL;
        if (sp_keyring_find(ring, sp_span_cstr(KEYS[i].name)) == NULL) {
            TRY(sp_keyring_make(ring, sp_span_cstr(KEYS[i].name), KEYS[i].kind, KEYS[i].purpose,
                                now_unix_s, &key));
            *made = true;
        }
    }
    return sp_ok();
}

static sp_err find(sp_keyring *ring, unsigned which, sp_vkey **ret_key)
{
    *ret_key = sp_keyring_find(ring, sp_span_cstr(KEYS[which].name));
    return *ret_key == NULL ? sp_fail(SP_ENOTFOUND) : sp_ok();
}

sp_err sp_ssh_vault_forget_host(sp_keyring *ring)
{
    sp_vkey *key = NULL;
    TRY(find(ring, SP_VAULT_SSH_HOST, &key));
    sp_keyring_remove(ring, SP_SPAN_LIT(SP_SSH_HOST_KEY));
    return sp_ok();
}

/* ---- public keys ---- */

static sp_err put_public(const sp_vkey *key, sp_buf *out)
{
    if (key->kind == SP_VKEY_ED25519) {
        sp_verify_key public = sp_sign_key_public(&key->ed25519);
        sp_buf_bytes(out, sp_span_cstr(ED25519));
        sp_buf_bytes(out, sp_span_of(public.bytes, sizeof(public.bytes)));
        return sp_buf_error(out);
    }
    uint8_t point[POINT_BYTES] = {POINT_UNCOMPRESSED};
    TRY(sp_pkey_p256_point(key->pair, point + 1));
    sp_buf_bytes(out, sp_span_cstr(P256));
    sp_buf_bytes(out, sp_span_cstr(CURVE));
    sp_buf_bytes(out, sp_span_of(point, sizeof(point)));
    return sp_buf_error(out);
}

sp_err sp_ssh_vault_public(sp_keyring *ring, sp_vault_ssh_key which, sp_buf *out)
{
    sp_vkey *key = NULL;
    TRY(find(ring, which, &key));
    return put_public(key, out);
}

/* ---- certificates ---- */

/* The type of a key that is certified, and what stands behind it in its blob. */
static sp_err open_blob(sp_span blob, sp_span *ret_type, sp_span *ret_rest)
{
    sp_reader in = sp_reader_of(blob);
    sp_span type = sp_read_bytes(&in, SP_VAULT_NAME_MAX_BYTES);
    sp_span rest = in.rest;
    if (sp_span_eq(type, sp_span_cstr(ED25519))) {
        if (sp_read_bytes(&in, SP_SIGN_PUBLIC_BYTES).len != SP_SIGN_PUBLIC_BYTES) {
            sp_reader_fail(&in, SP_EINVALID);
        }
    } else {
        sp_span curve = sp_read_bytes(&in, SP_VAULT_NAME_MAX_BYTES);
        sp_span point = sp_read_bytes(&in, POINT_BYTES);
        if (!sp_span_eq(type, sp_span_cstr(P256)) || !sp_span_eq(curve, sp_span_cstr(CURVE)) ||
            point.len != POINT_BYTES || point.ptr[0] != POINT_UNCOMPRESSED) {
            sp_reader_fail(&in, SP_EINVALID);
        }
    }
    if (sp_failed(sp_reader_finish(&in))) {
        return sp_fail(SP_EINVALID);
    }
    *ret_type = type;
    *ret_rest = rest;
    return sp_ok();
}

static bool in_order(const sp_vault_ssh_option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (options[i].name.len == 0 ||
            (i > 0 && sp_span_compare(options[i - 1].name, options[i].name) >= 0)) {
            return false;
        }
    }
    return true;
}

static bool is_sound(const sp_vault_ssh_certify *ask, uint64_t now_unix_s)
{
    uint64_t life_max_s = ask->ca == SP_VAULT_SSH_TARGET_CA ? SP_VAULT_SSH_TARGET_LIFE_MAX_S
                                                            : SP_VAULT_SSH_USER_LIFE_MAX_S;
    for (size_t i = 0; i < ask->principal_count; i++) {
        if (ask->principals[i].len == 0) {
            return false;
        }
    }
    /* from a moment ago or now on, until later than now and no later than the maximum from now */
    return ask->ca != SP_VAULT_SSH_HOST && ask->key_id.len > 0 && ask->principal_count > 0 &&
           ask->valid_after_unix_s + BACKDATE_MAX_S >= now_unix_s &&
           ask->valid_after_unix_s <= now_unix_s && ask->valid_before_unix_s > now_unix_s &&
           ask->valid_before_unix_s <= now_unix_s + life_max_s &&
           in_order(ask->critical, ask->critical_count) &&
           in_order(ask->extensions, ask->extension_count);
}

/* A list in the list's own string; data is a string in a string, a flag has none. */
static void put_options(const sp_vault_ssh_option *options, size_t count, sp_buf *out)
{
    auto_buf sp_buf list = sp_buf_make(CERTIFICATE_MAX_BYTES);
    for (size_t i = 0; i < count; i++) {
        auto_buf sp_buf data = sp_buf_make(SP_VAULT_SSH_OPTION_MAX_BYTES + sizeof(uint32_t));
        if (options[i].data.len > 0) {
            sp_buf_bytes(&data, options[i].data);
        }
        sp_buf_bytes(&list, options[i].name);
        sp_buf_bytes(&list, sp_buf_borrow(&data));
    }
    sp_buf_bytes(out, sp_buf_borrow(&list));
}

static void put_body(const sp_vault_ssh_certify *ask, sp_span type, sp_span key, uint64_t serial,
                     sp_buf *out)
{
    uint8_t nonce[NONCE_BYTES];
    auto_buf sp_buf word = sp_buf_make(SP_VAULT_NAME_MAX_BYTES);
    auto_buf sp_buf principals = sp_buf_make(CERTIFICATE_MAX_BYTES);
    sp_random(nonce, sizeof(nonce));
    sp_buf_span(&word, type);
    sp_buf_text(&word, "-cert-v01@openssh.com");
    for (size_t i = 0; i < ask->principal_count; i++) {
        sp_buf_bytes(&principals, ask->principals[i]);
    }
    sp_buf_bytes(out, sp_buf_borrow(&word));
    sp_buf_bytes(out, sp_span_of(nonce, sizeof(nonce)));
    sp_buf_span(out, key);
    sp_buf_u64(out, serial);
    sp_buf_u32(out, TYPE_USER);
    sp_buf_bytes(out, ask->key_id);
    sp_buf_bytes(out, sp_buf_borrow(&principals));
    sp_buf_u64(out, ask->valid_after_unix_s);
    sp_buf_u64(out, ask->valid_before_unix_s);
    put_options(ask->critical, ask->critical_count, out);
    put_options(ask->extensions, ask->extension_count, out);
    sp_buf_bytes(out, SP_SPAN_EMPTY); /* reserved */
}

sp_err sp_ssh_vault_certify(sp_keyring *ring, const sp_vault_ssh_certify *ask, uint64_t now_unix_s,
                            uint64_t *ret_serial, sp_buf *out)
{
    sp_vkey *ca = NULL;
    sp_span type = SP_SPAN_EMPTY;
    sp_span key = SP_SPAN_EMPTY;
    if (!is_sound(ask, now_unix_s)) {
        return sp_fail(SP_EINVALID);
    }
    TRY(open_blob(ask->blob, &type, &key));
    TRY(find(ring, ask->ca, &ca));
    auto_buf sp_buf body = sp_buf_make(CERTIFICATE_MAX_BYTES);
    auto_buf sp_buf ca_public = sp_buf_make(SP_VAULT_SSH_BLOB_MAX_BYTES);
    auto_buf sp_buf signature = sp_buf_make(SP_VAULT_SSH_BLOB_MAX_BYTES);
    uint64_t serial = sp_random_u64();
    put_body(ask, type, key, serial, &body);
    TRY(put_public(ca, &ca_public));
    sp_buf_bytes(&body, sp_buf_borrow(&ca_public));
    TRY(sp_buf_error(&body));
    sp_signature made = sp_sign(&ca->ed25519, sp_buf_borrow(&body));
    sp_buf_bytes(&signature, sp_span_cstr(ED25519));
    sp_buf_bytes(&signature, sp_span_of(made.bytes, sizeof(made.bytes)));
    sp_buf_span(out, sp_buf_borrow(&body));
    sp_buf_bytes(out, sp_buf_borrow(&signature));
    *ret_serial = serial;
    return sp_buf_error(out);
}

/* SPDX-License-Identifier: Apache-2.0
 * Keys and certificates of database accounts.
 * OWNS nothing. PROCESS vault. TRUST see db_certificate.h. SPEC vault/db_certificate.h.
 */
#include "vault/db_certificate.h"

#include "infra/crypto/x509.h"
#include "vault/database.h"
#include "vault/device_ca.h"

enum {
    CA_LIFE_S = 3650 * 86400,
    LIFE_S = 3600,
    KEYS_MAX = 64,
    COMMON_NAME_MAX_BYTES = 64 /* of X.509 */
};

static const sp_span CA_NAME = {(const uint8_t *)"database-ca", 11};

static bool is_one(const sp_vkey *key)
{
    return sp_span_starts(sp_span_cstr(key->name), SP_SPAN_LIT(SP_VAULT_DB_KEY_PREFIX));
}

static sp_vkey *find(sp_keyring *ring, sp_span name)
{
    auto_buf sp_buf full = sp_buf_make(SP_VAULT_KEY_NAME_MAX_BYTES);
    sp_buf_text(&full, SP_VAULT_DB_KEY_PREFIX);
    sp_buf_span(&full, name);
    return sp_failed(sp_buf_error(&full)) ? NULL : sp_keyring_find(ring, sp_buf_borrow(&full));
}

static size_t count(sp_keyring *ring)
{
    size_t sum = 0;
    for (size_t i = 0; i < sp_keyring_count(ring); i++) {
        sum += is_one(sp_keyring_at(ring, i)) ? 1 : 0;
    }
    return sum;
}

static sp_err make_ca(sp_keyring *ring, const char *office, uint64_t now_unix_s)
{
    sp_vkey *key = NULL;
    auto_buf sp_buf name = sp_buf_make(COMMON_NAME_MAX_BYTES + 1);
    auto_buf sp_buf der = sp_buf_make(SP_CERT_MAX_BYTES);
    TRY(sp_keyring_make(ring, CA_NAME, SP_VKEY_P256, "signs certificates of database accounts",
                        now_unix_s, &key));
    sp_ca_name(office, "database CA", &name);
    sp_cert_spec spec = {.use = SP_CERT_DEVICE_CA, /* one that signs clients */
                         .common_name = sp_buf_borrow(&name),
                         .not_before_unix_s = now_unix_s - SP_CERT_BACKDATE_S,
                         .not_after_unix_s = now_unix_s + CA_LIFE_S};
    sp_err err = sp_cert_issue(&spec, key->pair, SP_SPAN_EMPTY, key->pair, &der);
    if (!sp_failed(err)) {
        err = sp_keyring_set_certificate(key, sp_buf_borrow(&der));
    }
    if (sp_failed(err)) {
        sp_keyring_remove(ring, CA_NAME);
    }
    return err;
}

sp_err sp_db_certificate_put(sp_keyring *ring, const char *office, sp_span name,
                             uint64_t now_unix_s, sp_buf *out)
{
    auto_buf sp_buf full = sp_buf_make(SP_VAULT_KEY_NAME_MAX_BYTES);
    const sp_vkey *old = find(ring, name);
    sp_vkey *fresh = NULL;
    sp_buf_text(&full, SP_VAULT_DB_KEY_PREFIX);
    sp_buf_span(&full, name);
    if (!sp_db_vault_name_ok(name) || sp_failed(sp_buf_error(&full)) ||
        name.len - sp_span_index(name, '/') - 1 > COMMON_NAME_MAX_BYTES ||
        sp_span_index(name, '/') > COMMON_NAME_MAX_BYTES) {
        return sp_fail(SP_EINVALID);
    }
    if (old == NULL && count(ring) >= KEYS_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    if (sp_keyring_find(ring, CA_NAME) == NULL) {
        TRY(make_ca(ring, office, now_unix_s));
    }
    if (old != NULL) {
        sp_keyring_remove(ring, sp_buf_borrow(&full));
    }
    TRY(sp_keyring_make(ring, sp_buf_borrow(&full), SP_VKEY_P256, "log-in of a database account",
                        now_unix_s, &fresh));
    sp_buf_span(out, sp_vkey_certificate(sp_keyring_find(ring, CA_NAME)));
    return sp_buf_error(out);
}

sp_err sp_db_certificate_remove(sp_keyring *ring, sp_span name)
{
    const sp_vkey *key = find(ring, name);
    if (key == NULL) {
        return sp_fail(SP_ENOTFOUND);
    }
    sp_keyring_remove(ring, sp_span_cstr(key->name));
    return sp_ok();
}

void sp_db_certificate_list(sp_keyring *ring, sp_vault_keys *keys)
{
    for (size_t i = 0; i < sp_keyring_count(ring) && keys->count < SP_VAULT_KEYS_MAX; i++) {
        const sp_vkey *key = sp_keyring_at(ring, i);
        if (is_one(key)) {
            sp_span name = sp_span_cstr(key->name);
            keys->items[keys->count++] = (sp_vault_key_info){
                .name = sp_span_slice(name, sizeof(SP_VAULT_DB_KEY_PREFIX) - 1, name.len),
                .kind = sp_span_cstr(sp_vkey_kind_word(key->kind)),
                .purpose = sp_span_cstr(key->purpose),
                .created_unix_s = key->created_unix_s};
        }
    }
}

sp_err sp_db_certificate_issue(sp_keyring *ring, sp_span name, uint64_t now_unix_s, sp_buf *out)
{
    const sp_vkey *key = find(ring, name);
    const sp_vkey *ca = sp_keyring_find(ring, CA_NAME);
    if (key == NULL || ca == NULL) {
        return sp_fail(SP_ENOTFOUND);
    }
    size_t slash = sp_span_index(name, '/');
    sp_cert_spec spec = {.use = SP_CERT_CLIENT,
                         .common_name = sp_span_slice(name, slash + 1, name.len),
                         .organisation = sp_span_slice(name, 0, slash),
                         .not_before_unix_s = now_unix_s - SP_CERT_BACKDATE_S,
                         .not_after_unix_s = now_unix_s + LIFE_S};
    return sp_cert_issue(&spec, key->pair, sp_vkey_certificate(ca), ca->pair, out);
}

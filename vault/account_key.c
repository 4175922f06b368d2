/* SPDX-License-Identifier: Apache-2.0
 * Keys of SSH accounts, in the keyring as "sshkey:<resource>/<account>".
 * OWNS nothing. PROCESS vault. TRUST see account_key.h. SPEC vault/account_key.h.
 */
#include "vault/account_key.h"

#include "infra/crypto/rsa.h"
#include "lib/ssh/private.h"
#include "vault/database.h"

enum { ACCOUNT_KEYS_MAX = 24, PUBLIC_MAX_BYTES = 1024 };
#define PREFIX SP_SPAN_LIT("sshkey:")

/* ---- names ---- */

static sp_err name_in_ring(sp_span name, sp_buf *out)
{
    if (!sp_db_vault_name_ok(name)) {
        return sp_fail(SP_EINVALID);
    }
    sp_buf_span(out, PREFIX);
    sp_buf_span(out, name);
    return sp_buf_error(out);
}

static sp_err find(sp_keyring *ring, sp_span name, sp_vkey **ret_key)
{
    auto_buf sp_buf full = sp_buf_make(SP_VAULT_KEY_NAME_MAX_BYTES);
    TRY(name_in_ring(name, &full));
    *ret_key = sp_keyring_find(ring, sp_buf_borrow(&full));
    return *ret_key == NULL ? sp_fail(SP_ENOTFOUND) : sp_ok();
}

static bool is_account(const sp_vkey *key)
{
    return sp_span_starts(sp_span_cstr(key->name), PREFIX);
}

static size_t count(sp_keyring *ring)
{
    size_t sum = 0;
    for (size_t i = 0; i < sp_keyring_count(ring); i++) {
        sum += is_account(sp_keyring_at(ring, i)) ? 1 : 0;
    }
    return sum;
}

/* ---- keeping ---- */

/* What a key file holds: one of the two. */
typedef struct {
    sp_pkey *rsa;
    sp_sign_key ed25519;
} material;

static sp_err take_ed25519(sp_span pair, material *ret)
{
    sp_copy(ret->ed25519.bytes, pair.ptr, sizeof(ret->ed25519.bytes));
    return sp_sign_key_is_whole(&ret->ed25519) ? sp_ok() : sp_fail(SP_EINVALID);
}

static sp_err take_private(const sp_ssh_private *key, material *ret)
{
    if (key->type == SP_SSH_KEY_ED25519) {
        return take_ed25519(key->ed25519, ret);
    }
    const sp_rsa_numbers numbers = {.modulus = key->modulus,
                                    .exponent = key->exponent,
                                    .secret = key->secret,
                                    .primes = {key->primes[0], key->primes[1]},
                                    .inverse = key->inverse};
    return sp_pkey_of_rsa(&numbers, &ret->rsa);
}

static sp_err take_pem(sp_span text, material *ret)
{
    auto_pkey sp_pkey *key = NULL;
    TRY(sp_pkey_of_pem(text, &key));
    if (sp_pkey_kind_of(key) != SP_PKEY_RSA) {
        return sp_fail(SP_EUNSUPPORTED);
    }
    TRY(sp_pkey_check_rsa(key));
    ret->rsa = SP_STEAL(key);
    return sp_ok();
}

static sp_err take(sp_span text, material *ret)
{
    sp_ssh_private key;
    auto_buf sp_buf room = sp_buf_make(SP_SSH_PRIVATE_MAX_BYTES);
    sp_err err = sp_ssh_private_parse(text, &room, &key);
    if (!sp_failed(err)) {
        err = take_private(&key, ret);
    } else if (err.code == SP_ENOTFOUND) {
        err = take_pem(text, ret);
    }
    sp_buf_wipe(&room);
    return err.code == SP_ESHORT || err.code == SP_ELIMIT ? sp_fail(SP_EINVALID) : err;
}

static sp_err make_room(sp_keyring *ring, sp_span name, uint64_t now_unix_s, sp_vkey **ret_key)
{
    auto_buf sp_buf full = sp_buf_make(SP_VAULT_KEY_NAME_MAX_BYTES);
    TRY(name_in_ring(name, &full));
    bool is_new = sp_keyring_find(ring, sp_buf_borrow(&full)) == NULL;
    if (is_new && count(ring) >= ACCOUNT_KEYS_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    sp_keyring_remove(ring, sp_buf_borrow(&full));
    return sp_keyring_make(ring, sp_buf_borrow(&full), SP_VKEY_ED25519, "key of an SSH account",
                           now_unix_s, ret_key);
}

static sp_err put_public(const sp_vkey *key, sp_buf *out)
{
    if (key->kind == SP_VKEY_RSA) {
        return sp_pkey_ssh_rsa(key->pair, out);
    }
    sp_verify_key public = sp_sign_key_public(&key->ed25519);
    sp_buf_bytes(out, sp_span_cstr(sp_ssh_key_name(SP_SSH_KEY_ED25519)));
    sp_buf_bytes(out, sp_span_of(public.bytes, sizeof(public.bytes)));
    return sp_buf_error(out);
}

static sp_err put(sp_keyring *ring, const sp_vault_ssh_named *ask, material *given,
                  uint64_t now_unix_s, sp_buf *out)
{
    sp_vkey *key = NULL;
    TRY(make_room(ring, ask->name, now_unix_s, &key)); /* with a new Ed25519 key in it */
    if (given->rsa != NULL) {
        sp_sign_key_wipe(&key->ed25519);
        key->kind = SP_VKEY_RSA;
        key->pair = SP_STEAL(given->rsa);
    } else if (ask->bytes.len > 0) {
        key->ed25519 = given->ed25519;
    }
    return put_public(key, out);
}

sp_err sp_account_key_put(sp_keyring *ring, const sp_vault_ssh_named *ask, uint64_t now_unix_s,
                          sp_buf *out)
{
    material given = {0};
    sp_err err = ask->bytes.len > 0 ? take(ask->bytes, &given) : sp_ok();
    if (!sp_failed(err)) {
        err = put(ring, ask, &given, now_unix_s, out);
    }
    sp_pkey_free(given.rsa);
    sp_sign_key_wipe(&given.ed25519);
    return err;
}

sp_err sp_account_key_remove(sp_keyring *ring, sp_span name)
{
    sp_vkey *key = NULL;
    TRY(find(ring, name, &key));
    sp_keyring_remove(ring, sp_span_cstr(key->name));
    return sp_ok();
}

void sp_account_key_list(sp_keyring *ring, sp_vault_keys *keys)
{
    for (size_t i = 0; i < sp_keyring_count(ring) && keys->count < SP_VAULT_KEYS_MAX; i++) {
        const sp_vkey *key = sp_keyring_at(ring, i);
        sp_span name = sp_span_cstr(key->name);
        if (is_account(key)) {
            keys->items[keys->count++] =
                (sp_vault_key_info){.name = sp_span_slice(name, PREFIX.len, name.len),
                                    .kind = sp_span_cstr(sp_vkey_kind_word(key->kind)),
                                    .purpose = sp_span_cstr(key->purpose),
                                    .created_unix_s = key->created_unix_s};
        }
    }
}

sp_err sp_account_key_public(sp_keyring *ring, sp_span name, sp_buf *out)
{
    sp_vkey *key = NULL;
    TRY(find(ring, name, &key));
    return put_public(key, out);
}

/* ---- signing ---- */

static sp_err sign(const sp_vkey *key, sp_span algorithm, sp_span bytes, sp_buf *raw)
{
    if (key->kind == SP_VKEY_RSA) {
        return sp_pkey_ssh_rsa_sign(key->pair, algorithm, bytes, raw);
    }
    if (!sp_span_eq(algorithm, sp_span_cstr(sp_ssh_key_name(SP_SSH_KEY_ED25519)))) {
        return sp_fail(SP_EINVALID);
    }
    sp_signature made = sp_sign(&key->ed25519, bytes);
    sp_buf_span(raw, sp_span_of(made.bytes, sizeof(made.bytes)));
    return sp_buf_error(raw);
}

sp_err sp_account_key_sign(sp_keyring *ring, const sp_vault_ssh_named *ask, sp_buf *out)
{
    sp_vkey *key = NULL;
    sp_ssh_login login;
    auto_buf sp_buf public = sp_buf_make(PUBLIC_MAX_BYTES);
    auto_buf sp_buf raw = sp_buf_make(PUBLIC_MAX_BYTES);
    TRY(find(ring, ask->name, &key));
    TRY(sp_ssh_login_parse(ask->bytes, &login));
    TRY(put_public(key, &public));
    sp_span account = sp_span_slice(ask->name, sp_span_index(ask->name, '/') + 1, ask->name.len);
    if (!sp_span_eq(login.user, account) || !sp_span_eq(login.blob, sp_buf_borrow(&public))) {
        return sp_fail(SP_EINVALID);
    }
    TRY(sign(key, login.algorithm, ask->bytes, &raw));
    sp_buf_bytes(out, login.algorithm);
    sp_buf_bytes(out, sp_buf_borrow(&raw));
    return sp_buf_error(out);
}

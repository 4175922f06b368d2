/* SPDX-License-Identifier: Apache-2.0
 * Wrapping. The wrapped form is version u8, nonce, ciphertext, tag; bound into it are the version,
 * the owner and what the caller names.
 * OWNS nothing. PROCESS vault. TRUST wrapped bytes may be hostile. SPEC vault/wrap.h.
 */
#include "vault/wrap.h"

enum { VERSION = 1, BOUND_MAX_BYTES = SP_VAULT_BOUND_MAX_BYTES + 64 };

static const struct {
    const char *owner;
    const char *name;
    const char *purpose;
} OWNERS[] = {
    {"core", "wrap.core", "seals secrets that core keeps in the store"},
    {"ledger", "wrap.ledger", "seals the keys of the ledger's subjects"},
    {"watch", "wrap.watch", "seals what the watch remembers"},
    {"keeper", "wrap.keeper", "seals the keys of what is kept for undo"},
};

static const char *name_of(const char *owner)
{
    for (size_t i = 0; i < SP_COUNT(OWNERS); i++) {
        if (sp_span_eq(sp_span_cstr(OWNERS[i].owner), sp_span_cstr(owner))) {
            return OWNERS[i].name;
        }
    }
    return NULL;
}

sp_err sp_wrap_prepare(sp_keyring *ring, uint64_t now_unix_s, bool *made)
{
    for (size_t i = 0; i < SP_COUNT(OWNERS); i++) {
        sp_span name = sp_span_cstr(OWNERS[i].name);
        sp_vkey *key = NULL;
        if (sp_keyring_find(ring, name) == NULL) {
            TRY(sp_keyring_make(ring, name, SP_VKEY_AEAD, OWNERS[i].purpose, now_unix_s, &key));
            *made = true;
        }
    }
    return sp_ok();
}

static sp_err key_and_bound(sp_keyring *ring, const char *owner, sp_span asked, sp_vkey **ret_key,
                            sp_buf *bound)
{
    *ret_key = sp_keyring_find(ring, sp_span_cstr(name_of(owner)));
    if (*ret_key == NULL || asked.len > SP_VAULT_BOUND_MAX_BYTES) {
        return sp_fail(*ret_key == NULL ? SP_ENOTFOUND : SP_EINVALID);
    }
    sp_buf_u8(bound, VERSION);
    sp_buf_bytes(bound, sp_span_cstr(owner));
    sp_buf_bytes(bound, asked);
    return sp_buf_error(bound);
}

sp_err sp_wrap(sp_keyring *ring, const char *owner, const sp_vault_wrap *ask, sp_buf *out)
{
    sp_vkey *key = NULL;
    auto_buf sp_buf bound = sp_buf_make(BOUND_MAX_BYTES);
    if (ask->bytes.len == 0 || ask->bytes.len > SP_VAULT_PLAIN_MAX_BYTES) {
        return sp_fail(SP_EINVALID);
    }
    TRY(key_and_bound(ring, owner, ask->bound, &key, &bound));
    sp_buf_u8(out, VERSION);
    return sp_seal(&key->aead, ask->bytes, sp_buf_borrow(&bound), out);
}

sp_err sp_unwrap(sp_keyring *ring, const char *owner, const sp_vault_wrap *ask, sp_buf *out)
{
    sp_vkey *key = NULL;
    auto_buf sp_buf bound = sp_buf_make(BOUND_MAX_BYTES);
    if (ask->bytes.len == 0 || ask->bytes.ptr[0] != VERSION) {
        return sp_fail(SP_ECORRUPT);
    }
    TRY(key_and_bound(ring, owner, ask->bound, &key, &bound));
    return sp_unseal(&key->aead, sp_span_slice(ask->bytes, 1, ask->bytes.len),
                     sp_buf_borrow(&bound), out);
}

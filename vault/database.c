/* SPDX-License-Identifier: Apache-2.0
 * Database passwords in the keyring, and proofs made from them.
 * OWNS a cache of salted passwords. PROCESS vault. TRUST see database.h. SPEC vault/database.h.
 *
 * Salting a password costs about a millisecond and a server's salt does not change, so the last
 * ones are remembered.
 */
#include "vault/database.h"

#include "infra/crypto/random.h"

enum {
    CREDENTIALS_MAX = 128,
    CACHE_SLOTS = 64,
    SALT_BYTES = 16,
    FIRST_PRINTABLE = 0x21,
    LAST_PRINTABLE = 0x7e
};
typedef struct {
    char name[SP_VAULT_CREDENTIAL_MAX_BYTES + 1]; /* empty = free */
    uint8_t salt[SP_VAULT_SALT_MAX_BYTES];
    size_t salt_len;
    uint32_t iterations;
    sp_scram_key salted;
} slot;

struct sp_db_vault {
    sp_keyring *ring;
    sp_span prefix;
    const char *what;
    slot slots[CACHE_SLOTS];
    size_t next; /* the slot that is given up next */
};

sp_err sp_db_vault_new(sp_keyring *ring, const char *prefix, const char *what,
                       sp_db_vault **ret_vault)
{
    TRY(sp_alloc(1, sizeof(**ret_vault), ret_vault));
    (*ret_vault)->ring = ring;
    (*ret_vault)->prefix = sp_span_cstr(prefix);
    (*ret_vault)->what = what;
    return sp_ok();
}

void sp_db_vault_free(sp_db_vault *vault)
{
    if (vault != NULL) {
        sp_wipe(vault, sizeof(*vault));
        sp_free(vault);
    }
}

/* ---- names ---- */

bool sp_db_vault_name_ok(sp_span name)
{
    size_t slash = sp_span_index(name, '/');
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] < FIRST_PRINTABLE || name.ptr[i] == 0x7f ||
            (name.ptr[i] == '/' && i != slash)) {
            return false;
        }
    }
    return slash > 0 && slash + 1 < name.len && name.len <= SP_VAULT_CREDENTIAL_MAX_BYTES;
}

static bool password_ok(sp_span password)
{
    for (size_t i = 0; i < password.len; i++) {
        if ((password.ptr[i] < FIRST_PRINTABLE && password.ptr[i] != ' ') ||
            password.ptr[i] > LAST_PRINTABLE) {
            return false;
        }
    }
    return password.len <= SP_VAULT_PASSWORD_MAX_BYTES;
}

static sp_span account_of(sp_span name)
{
    return sp_span_slice(name, sp_span_index(name, '/') + 1, name.len);
}

static bool is_credential(const sp_db_vault *vault, const sp_vkey *key)
{
    return key->kind == SP_VKEY_PASSWORD && sp_span_starts(sp_span_cstr(key->name), vault->prefix);
}

static sp_span name_of(const sp_db_vault *vault, const sp_vkey *key)
{
    sp_span name = sp_span_cstr(key->name);
    return sp_span_slice(name, vault->prefix.len, name.len);
}

static sp_vkey *find(const sp_db_vault *vault, sp_span name)
{
    for (size_t i = 0; i < sp_keyring_count(vault->ring); i++) {
        sp_vkey *key = sp_keyring_at(vault->ring, i);
        if (is_credential(vault, key) && sp_span_eq(name_of(vault, key), name)) {
            return key;
        }
    }
    return NULL;
}

/* ---- keeping ---- */

static void forget(sp_db_vault *vault, sp_span name)
{
    for (size_t i = 0; i < CACHE_SLOTS; i++) {
        if (sp_span_eq(sp_span_cstr(vault->slots[i].name), name)) {
            sp_wipe(&vault->slots[i], sizeof(vault->slots[i]));
        }
    }
}

static size_t count(const sp_db_vault *vault)
{
    size_t sum = 0;
    for (size_t i = 0; i < sp_keyring_count(vault->ring); i++) {
        sum += is_credential(vault, sp_keyring_at(vault->ring, i)) ? 1 : 0;
    }
    return sum;
}

static sp_err put_secret(const sp_vkey *key, sp_buf *out)
{
    uint8_t salt[SALT_BYTES];
    auto_scram_key sp_scram_key salted = {0};
    sp_scram_verifier verifier;
    sp_random(salt, sizeof(salt));
    TRY(sp_scram_salted(sp_secret_borrow(&key->password), sp_span_of(salt, sizeof(salt)),
                        SP_SCRAM_ITERATIONS, &salted));
    TRY(sp_scram_verifier_of(&salted, &verifier));
    sp_scram_secret(&verifier, sp_span_of(salt, sizeof(salt)), SP_SCRAM_ITERATIONS, out);
    return sp_buf_error(out);
}

sp_err sp_db_vault_put(sp_db_vault *vault, const sp_vault_db_credential *ask, uint64_t now_unix_s,
                       sp_buf *out)
{
    if (!sp_db_vault_name_ok(ask->name) || !password_ok(ask->password)) {
        return sp_fail(SP_EINVALID);
    }
    sp_vkey *key = find(vault, ask->name);
    if (key == NULL && count(vault) >= CREDENTIALS_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    if (key == NULL) {
        auto_buf sp_buf name = sp_buf_make(SP_VAULT_KEY_NAME_MAX_BYTES);
        sp_buf_span(&name, vault->prefix);
        sp_buf_span(&name, ask->name);
        TRY(sp_buf_error(&name));
        TRY(sp_keyring_make(vault->ring, sp_buf_borrow(&name), SP_VKEY_PASSWORD, vault->what,
                            now_unix_s, &key));
    }
    key->created_unix_s = now_unix_s;
    forget(vault, ask->name);
    if (ask->password.len > 0) {
        TRY(sp_secret_set(&key->password, ask->password));
    } else {
        TRY(sp_vkey_new_password(key));
    }
    return put_secret(key, out);
}

sp_err sp_db_vault_remove(sp_db_vault *vault, sp_span name)
{
    const sp_vkey *key = find(vault, name);
    if (key == NULL) {
        return sp_fail(SP_ENOTFOUND);
    }
    forget(vault, name);
    sp_keyring_remove(vault->ring, sp_span_cstr(key->name));
    return sp_ok();
}

void sp_db_vault_list(const sp_db_vault *vault, sp_vault_keys *ret_keys)
{
    ret_keys->count = 0;
    for (size_t i = 0; i < sp_keyring_count(vault->ring); i++) {
        const sp_vkey *key = sp_keyring_at(vault->ring, i);
        if (is_credential(vault, key)) {
            ret_keys->items[ret_keys->count++] =
                (sp_vault_key_info){.name = name_of(vault, key),
                                    .kind = sp_span_cstr(sp_vkey_kind_word(key->kind)),
                                    .purpose = sp_span_cstr(key->purpose),
                                    .created_unix_s = key->created_unix_s};
        }
    }
}

sp_err sp_db_vault_password(const sp_db_vault *vault, sp_span name, sp_span *ret_password)
{
    const sp_vkey *key = find(vault, name);
    if (key == NULL) {
        return sp_fail(SP_ENOTFOUND);
    }
    *ret_password = sp_secret_borrow(&key->password);
    return sp_ok();
}

/* ---- proofs ---- */

static bool slot_is(const slot *s, const sp_vault_db_proof *ask)
{
    return s->iterations == ask->iterations && sp_span_eq(sp_span_cstr(s->name), ask->name) &&
           sp_span_eq(sp_span_of(s->salt, s->salt_len), ask->salt);
}

static sp_err salted_of(sp_db_vault *vault, const sp_vault_db_proof *ask, sp_span password,
                        sp_scram_key *ret_salted)
{
    for (size_t i = 0; i < CACHE_SLOTS; i++) {
        if (slot_is(&vault->slots[i], ask)) {
            *ret_salted = vault->slots[i].salted;
            return sp_ok();
        }
    }
    slot *s = &vault->slots[vault->next];
    TRY(sp_scram_salted(password, ask->salt, ask->iterations, ret_salted));
    vault->next = (vault->next + 1) % CACHE_SLOTS;
    *s = (slot){.salt_len = ask->salt.len, .iterations = ask->iterations, .salted = *ret_salted};
    sp_copy(s->salt, ask->salt.ptr, ask->salt.len);
    return sp_fit(s->name, sizeof(s->name), ask->name);
}

sp_err sp_db_vault_prove(sp_db_vault *vault, const sp_vault_db_proof *ask, sp_db_proof_room *room,
                         sp_vault_db_proved *ret_proved)
{
    sp_span password = SP_SPAN_EMPTY;
    TRY(sp_db_vault_password(vault, ask->name, &password));
    if (ask->method == SP_VAULT_DB_MD5) {
        TRY(sp_md5_answer(password, account_of(ask->name), ask->salt, room->md5));
        *ret_proved = (sp_vault_db_proved){sp_span_cstr(room->md5), SP_SPAN_EMPTY};
        return sp_ok();
    }
    auto_scram_key sp_scram_key salted = {0};
    TRY(salted_of(vault, ask, password, &salted));
    TRY(sp_scram_prove(&salted, ask->auth_message, &room->proof, &room->server));
    *ret_proved = (sp_vault_db_proved){sp_span_of(room->proof.bytes, SP_SCRAM_BYTES),
                                       sp_span_of(room->server.bytes, SP_SCRAM_BYTES)};
    return sp_ok();
}

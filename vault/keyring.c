/* SPDX-License-Identifier: Apache-2.0
 * The keyring file.
 * OWNS its keys. PROCESS vault. TRUST the seal is verified before a byte is read.
 * SPEC vault/keyring.h.
 *
 * "SPKR" | version u8 | sealed( count u16 | key ... ), the first five bytes bound into the seal.
 */
#include "vault/keyring.h"

#include "infra/crypto/random.h"
#include "infra/proc/file.h"

#include <stdio.h>
#include <unistd.h>

enum {
    KEYS_MAX = SP_VAULT_KEYS_MAX,
    FILE_MAX_BYTES = 4 * 1024 * 1024,
    SECRET_MAX_BYTES = 3072, /* RSA of 4096 bits */
    PURPOSE_MAX_BYTES = 160,
    KEY_FIXED_MAX_BYTES = SP_VAULT_KEY_NAME_MAX_BYTES + PURPOSE_MAX_BYTES + SECRET_MAX_BYTES + 64,
    HEAD_BYTES = 5,
    PATH_MAX_BYTES = 4096
};
static const uint8_t HEAD[HEAD_BYTES] = {'S', 'P', 'K', 'R', 1};

struct sp_keyring {
    char dir[PATH_MAX_BYTES];
    char path[PATH_MAX_BYTES];
    sp_key seal;
    sp_key master;
    sp_vkey *keys[KEYS_MAX];
    size_t count;
    sp_buf
        saved; /* sealed, as it is on the disk: what a change that cannot be saved goes back to */
};

const char *sp_vkey_kind_word(sp_vkey_kind kind)
{
    static const char *const words[SP_VKEY_KIND_COUNT] = {"aead", "ed25519", "p256", "password",
                                                          "rsa"};
    return kind < SP_VKEY_KIND_COUNT ? words[kind] : "unknown";
}

static void key_free(sp_vkey *key)
{
    if (key != NULL) {
        sp_pkey_free(key->pair);
        sp_free(key->purpose);
        sp_free(key->certificate);
        sp_wipe(key, sizeof(*key));
        sp_free(key);
    }
}

static void key_auto_free(sp_vkey **key)
{
    key_free(*key);
}
#define auto_vkey __attribute__((cleanup(key_auto_free)))

static void forget_all(sp_keyring *ring)
{
    while (ring->count > 0) {
        ring->count--;
        key_free(SP_STEAL(ring->keys[ring->count]));
    }
}

void sp_keyring_free(sp_keyring *ring)
{
    if (ring == NULL) {
        return;
    }
    forget_all(ring);
    sp_buf_done(&ring->saved);
    sp_wipe(ring, sizeof(*ring));
    sp_free(ring);
}

/* ---- one key's bytes ---- */

static sp_err secret_encode(const sp_vkey *key, sp_buf *out)
{
    switch (key->kind) {
    case SP_VKEY_AEAD:
        sp_buf_bytes(out, sp_span_of(key->aead.bytes, sizeof(key->aead.bytes)));
        return sp_ok();
    case SP_VKEY_ED25519:
        sp_buf_bytes(out, sp_span_of(key->ed25519.bytes, sizeof(key->ed25519.bytes)));
        return sp_ok();
    case SP_VKEY_P256:
    case SP_VKEY_RSA: {
        auto_buf sp_buf der = sp_buf_make(SECRET_MAX_BYTES);
        sp_err err = sp_pkey_der(key->pair, &der);
        sp_buf_bytes(out, sp_buf_borrow(&der));
        sp_buf_wipe(&der);
        return err;
    }
    case SP_VKEY_PASSWORD:
        sp_buf_bytes(out, sp_secret_borrow(&key->password));
        return sp_ok();
    case SP_VKEY_KIND_COUNT:
        break;
    }
    return sp_fail(SP_EINTERNAL);
}

static sp_err secret_decode(sp_vkey *key, sp_span secret)
{
    switch (key->kind) {
    case SP_VKEY_AEAD:
        if (secret.len != sizeof(key->aead.bytes)) {
            return sp_fail(SP_ECORRUPT);
        }
        sp_copy(key->aead.bytes, secret.ptr, secret.len);
        return sp_ok();
    case SP_VKEY_ED25519:
        if (secret.len != sizeof(key->ed25519.bytes)) {
            return sp_fail(SP_ECORRUPT);
        }
        sp_copy(key->ed25519.bytes, secret.ptr, secret.len);
        return sp_ok();
    case SP_VKEY_P256:
    case SP_VKEY_RSA:
        return sp_pkey_of_der(secret, &key->pair);
    case SP_VKEY_PASSWORD:
        return sp_secret_set(&key->password, secret);
    case SP_VKEY_KIND_COUNT:
        break;
    }
    return sp_fail(SP_ECORRUPT);
}

static sp_err key_encode(const sp_vkey *key, sp_buf *out)
{
    sp_buf_bytes(out, sp_span_cstr(key->name));
    sp_buf_u8(out, (uint8_t)key->kind);
    sp_buf_bytes(out, sp_span_cstr(key->purpose));
    sp_buf_u64(out, key->created_unix_s);
    sp_buf_u64(out, key->ends_unix_s);
    sp_buf_bytes(out, sp_vkey_certificate(key));
    return secret_encode(key, out);
}

static sp_err key_decode(sp_reader *in, sp_vkey **ret_key)
{
    auto_vkey sp_vkey *key = NULL;
    TRY(sp_alloc(1, sizeof(*key), &key));
    sp_span name = sp_read_bytes(in, SP_VAULT_KEY_NAME_MAX_BYTES);
    key->kind = (sp_vkey_kind)sp_read_enum(in, SP_VKEY_KIND_COUNT);
    sp_span purpose = sp_read_bytes(in, PURPOSE_MAX_BYTES);
    key->created_unix_s = sp_read_u64(in);
    key->ends_unix_s = sp_read_u64(in);
    sp_span certificate = sp_read_bytes(in, SP_VAULT_CHAIN_MAX_BYTES);
    sp_span secret = sp_read_bytes(in, SECRET_MAX_BYTES);
    TRY(in->err);
    TRY(sp_fit(key->name, sizeof(key->name), name));
    TRY(sp_strdup(purpose, &key->purpose));
    TRY(sp_keyring_set_certificate(key, certificate));
    TRY(secret_decode(key, secret));
    *ret_key = SP_STEAL(key);
    return sp_ok();
}

/* ---- the file ---- */

static sp_err decode(sp_keyring *ring, sp_span plain)
{
    sp_reader in = sp_reader_of(plain);
    size_t count = sp_read_u16(&in);
    if (count > KEYS_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    for (size_t i = 0; i < count; i++) {
        TRY(key_decode(&in, &ring->keys[i]));
        ring->count = i + 1;
    }
    return sp_reader_finish(&in);
}

/* The keys of the sealed bytes, in place of those that there are; none of no bytes. */
static sp_err take_saved(sp_keyring *ring)
{
    auto_buf sp_buf plain = sp_buf_make(FILE_MAX_BYTES);
    sp_span file = sp_buf_borrow(&ring->saved);
    sp_span head = sp_span_slice(file, 0, HEAD_BYTES);
    forget_all(ring);
    if (file.len == 0) {
        return sp_ok();
    }
    if (!sp_span_eq(head, sp_span_of(HEAD, HEAD_BYTES))) {
        return sp_fail(SP_ECORRUPT);
    }
    TRY(sp_unseal(&ring->seal, sp_span_slice(file, HEAD_BYTES, file.len), head, &plain));
    sp_err err = decode(ring, sp_buf_borrow(&plain));
    sp_buf_wipe(&plain);
    return err;
}

static sp_err load(sp_keyring *ring)
{
    sp_err err = sp_file_read(ring->path, &ring->saved);
    if (err.code == SP_ENOTFOUND) {
        return sp_ok();
    }
    TRY(err);
    return ring->saved.len == 0 ? sp_fail(SP_ECORRUPT) : take_saved(ring);
}

static size_t plain_max_bytes(const sp_keyring *ring)
{
    size_t sum = sizeof(uint16_t);
    for (size_t i = 0; i < ring->count; i++) {
        sum += KEY_FIXED_MAX_BYTES + ring->keys[i]->certificate_len;
    }
    return sum;
}

sp_err sp_keyring_encode(const sp_keyring *ring, sp_buf *plain)
{
    sp_buf_room(plain, plain_max_bytes(ring)); /* grown once: no copies of secrets are left */
    sp_buf_u16(plain, (uint16_t)ring->count);
    for (size_t i = 0; i < ring->count; i++) {
        TRY(key_encode(ring->keys[i], plain));
    }
    return sp_buf_error(plain);
}

static sp_err write_file(const sp_keyring *ring, sp_buf *file)
{
    auto_buf sp_buf plain = sp_buf_make(FILE_MAX_BYTES);
    sp_span head = {HEAD, HEAD_BYTES};
    sp_buf_span(file, head);
    sp_err err = sp_keyring_encode(ring, &plain);
    if (!sp_failed(err)) {
        err = sp_seal(&ring->seal, sp_buf_borrow(&plain), head, file);
    }
    sp_buf_wipe(&plain);
    TRY(err);
    return sp_file_replace(ring->path, 0600, sp_buf_borrow(file));
}

sp_err sp_keyring_save(sp_keyring *ring)
{
    auto_buf sp_buf file = sp_buf_make(FILE_MAX_BYTES);
    sp_err err = write_file(ring, &file);
    if (sp_failed(err)) {
        SP_IGNORE(take_saved(ring)); /* out of memory: fewer keys, never other ones */
        return err;
    }
    sp_buf saved = ring->saved;
    ring->saved = file;
    file = saved;
    return sp_ok();
}

static sp_err set_paths(sp_keyring *ring, const char *dir)
{
    TRY(sp_fit(ring->dir, sizeof(ring->dir), sp_span_cstr(dir)));
    int len = snprintf(ring->path, sizeof(ring->path), "%s/keyring", dir);
    return len < 0 || (size_t)len >= sizeof(ring->path) ? sp_fail(SP_ELIMIT) : sp_ok();
}

static sp_err new_ring(const char *dir, const sp_key *master, sp_keyring **ret_ring)
{
    auto_free sp_keyring *ring = NULL;
    TRY(sp_alloc(1, sizeof(*ring), &ring));
    TRY(set_paths(ring, dir));
    ring->saved = sp_buf_make(FILE_MAX_BYTES);
    ring->master = *master;
    ring->seal = sp_key_derive(master, SP_SPAN_EMPTY, "sallyport vault keyring v1");
    *ret_ring = SP_STEAL(ring);
    return sp_ok();
}

static sp_err hand_out(sp_keyring *ring, sp_err err, sp_keyring **ret_ring)
{
    if (sp_failed(err)) {
        sp_keyring_free(ring);
        return err;
    }
    *ret_ring = ring;
    return sp_ok();
}

sp_err sp_keyring_open(const char *dir, const sp_key *master, sp_keyring **ret_ring)
{
    sp_keyring *ring = NULL;
    TRY(new_ring(dir, master, &ring));
    return hand_out(ring, load(ring), ret_ring);
}

sp_err sp_keyring_of(const char *dir, const sp_key *master, sp_span plain, sp_keyring **ret_ring)
{
    sp_keyring *ring = NULL;
    TRY(new_ring(dir, master, &ring));
    return hand_out(ring, decode(ring, plain), ret_ring);
}

bool sp_keyring_exists(const char *dir)
{
    char path[PATH_MAX_BYTES];
    int len = snprintf(path, sizeof(path), "%s/keyring", dir);
    return len > 0 && (size_t)len < sizeof(path) && access(path, F_OK) == 0;
}

/* ---- keys ---- */

sp_vkey *sp_keyring_find(sp_keyring *ring, sp_span name)
{
    for (size_t i = 0; i < ring->count; i++) {
        if (sp_span_eq(sp_span_cstr(ring->keys[i]->name), name)) {
            return ring->keys[i];
        }
    }
    return NULL;
}

size_t sp_keyring_count(const sp_keyring *ring)
{
    return ring->count;
}

sp_vkey *sp_keyring_at(sp_keyring *ring, size_t at)
{
    return ring->keys[at];
}

sp_err sp_vkey_new_password(sp_vkey *key)
{
    enum { RANDOM_BYTES = 32 };
    uint8_t bytes[RANDOM_BYTES];
    auto_buf sp_buf text = sp_buf_make(2 * RANDOM_BYTES);
    sp_buf_room(&text, 2 * RANDOM_BYTES); /* grown once: no copy is left behind */
    sp_random(bytes, sizeof(bytes));
    sp_buf_base64url(&text, sp_span_of(bytes, sizeof(bytes)));
    sp_err err = sp_buf_error(&text);
    if (!sp_failed(err)) {
        err = sp_secret_set(&key->password, sp_buf_borrow(&text));
    }
    sp_buf_wipe(&text);
    sp_wipe(bytes, sizeof(bytes));
    return err;
}

static sp_err make_secret(sp_vkey *key)
{
    sp_verify_key public_half;
    switch (key->kind) {
    case SP_VKEY_AEAD:
        key->aead = sp_key_new();
        return sp_ok();
    case SP_VKEY_ED25519:
        sp_sign_key_new(&key->ed25519, &public_half);
        return sp_ok();
    case SP_VKEY_P256:
        return sp_pkey_new_p256(&key->pair);
    case SP_VKEY_PASSWORD:
        return sp_vkey_new_password(key);
    case SP_VKEY_RSA:
    case SP_VKEY_KIND_COUNT:
        break;
    }
    return sp_fail(SP_EINVALID);
}

sp_err sp_keyring_make(sp_keyring *ring, sp_span name, sp_vkey_kind kind, const char *purpose,
                       uint64_t now_unix_s, sp_vkey **ret_key)
{
    if (sp_keyring_find(ring, name) != NULL) {
        return sp_fail(SP_EEXISTS);
    }
    if (ring->count >= KEYS_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    auto_vkey sp_vkey *key = NULL;
    TRY(sp_alloc(1, sizeof(*key), &key));
    TRY(sp_fit(key->name, sizeof(key->name), name));
    TRY(sp_strdup(sp_span_cstr(purpose), &key->purpose));
    key->kind = kind;
    key->created_unix_s = now_unix_s;
    TRY(make_secret(key));
    *ret_key = key;
    ring->keys[ring->count++] = SP_STEAL(key);
    return sp_ok();
}

sp_err sp_keyring_set_certificate(sp_vkey *key, sp_span certificate)
{
    uint8_t *copy = NULL;
    if (certificate.len > 0) {
        TRY(sp_alloc(certificate.len, 1, &copy));
        sp_copy(copy, certificate.ptr, certificate.len);
    }
    sp_free(key->certificate);
    key->certificate = copy;
    key->certificate_len = certificate.len;
    return sp_ok();
}

void sp_keyring_remove(sp_keyring *ring, sp_span name)
{
    size_t kept = 0;
    for (size_t i = 0; i < ring->count; i++) {
        if (sp_span_eq(sp_span_cstr(ring->keys[i]->name), name)) {
            key_free(ring->keys[i]);
        } else {
            ring->keys[kept++] = ring->keys[i];
        }
    }
    ring->count = kept;
}

bool sp_keyring_expire(sp_keyring *ring, uint64_t now_unix_s)
{
    size_t kept = 0;
    for (size_t i = 0; i < ring->count; i++) {
        sp_vkey *key = ring->keys[i];
        if (key->ends_unix_s != 0 && key->ends_unix_s <= now_unix_s) {
            key_free(key);
        } else {
            ring->keys[kept++] = key;
        }
    }
    bool any = kept != ring->count;
    ring->count = kept;
    return any;
}

sp_key sp_keyring_file_key(const sp_keyring *ring, const char *label)
{
    return sp_key_derive(&ring->master, SP_SPAN_EMPTY, label);
}

const char *sp_keyring_dir(const sp_keyring *ring)
{
    return ring->dir;
}

/* SPDX-License-Identifier: Apache-2.0
 * The keyring: every key of the office with its index entry (name, kind, purpose, created), in one
 * file that is sealed by the master key and replaced whole. So no key can be swapped for another,
 * nor one be left behind when another is rotated.
 *
 * OWNS its keys, wiped when freed. PROCESS vault. TRUST the file is verified by its seal; what the
 * seal covers is ours. SPEC docs/ARCHITECTURE.md "Vault".
 */
#ifndef SP_VAULT_KEYRING_H
#define SP_VAULT_KEYRING_H

#include "infra/crypto/aead.h"
#include "infra/crypto/pkey.h"
#include "infra/crypto/sign.h"
#include "lib/proto/vault_msg.h"

typedef enum {
    SP_VKEY_AEAD,
    SP_VKEY_ED25519,
    SP_VKEY_P256,
    SP_VKEY_PASSWORD,
    SP_VKEY_RSA, /* never made here: given */
    SP_VKEY_KIND_COUNT
} sp_vkey_kind;
const char *sp_vkey_kind_word(sp_vkey_kind kind);

typedef struct {
    char name[SP_VAULT_KEY_NAME_MAX_BYTES + 1];
    sp_vkey_kind kind;
    char *purpose;
    uint64_t created_unix_s;
    uint64_t ends_unix_s; /* forgotten after this; 0 = never */
    uint8_t *certificate; /* PEM or DER, as the key's owner keeps it; NULL = none */
    size_t certificate_len;
    sp_key aead;         /* SP_VKEY_AEAD */
    sp_sign_key ed25519; /* SP_VKEY_ED25519 */
    sp_pkey *pair;       /* SP_VKEY_P256, SP_VKEY_RSA */
    sp_secret password;  /* SP_VKEY_PASSWORD */
} sp_vkey;

typedef struct sp_keyring sp_keyring;

/* Opens <dir>/keyring, or starts an empty one when there is none. SP_ECORRUPT: the master key is
 * not the one that sealed it, or the file was changed. */
SP_MUST sp_err sp_keyring_open(const char *dir, const sp_key *master, sp_keyring **ret_ring);
void sp_keyring_free(sp_keyring *ring);
bool sp_keyring_exists(const char *dir);

/* Borrowed until the next change of the ring; NULL = no such key. */
sp_vkey *sp_keyring_find(sp_keyring *ring, sp_span name);
size_t sp_keyring_count(const sp_keyring *ring);
sp_vkey *sp_keyring_at(sp_keyring *ring, size_t at);

/* Makes a key in memory; sp_keyring_save() keeps it. SP_EEXISTS, SP_ELIMIT. */
SP_MUST sp_err sp_keyring_make(sp_keyring *ring, sp_span name, sp_vkey_kind kind,
                               const char *purpose, uint64_t now_unix_s, sp_vkey **ret_key);
SP_MUST sp_err sp_keyring_set_certificate(sp_vkey *key, sp_span certificate);
static inline sp_span sp_vkey_certificate(const sp_vkey *key)
{
    return (sp_span){key->certificate, key->certificate_len};
}
/* A new random one: 43 characters that no shell or configuration file needs to quote. */
SP_MUST sp_err sp_vkey_new_password(sp_vkey *key);
/* Forgets a key in memory; sp_keyring_save() forgets it for good. */
void sp_keyring_remove(sp_keyring *ring, sp_span name);
/* Drops what has ended; true when anything was. */
bool sp_keyring_expire(sp_keyring *ring, uint64_t now_unix_s);
/* All or nothing, on disk when it returns. When that fails the ring is again what it was when it
 * was saved last: keys that were borrowed of it are gone. */
SP_MUST sp_err sp_keyring_save(sp_keyring *ring);

/* The keys in clear, for vault/export.h alone: appended to *plain, which the caller wipes. */
SP_MUST sp_err sp_keyring_encode(const sp_keyring *ring, sp_buf *plain);
/* A ring of such bytes in memory, to be saved in dir under that master key. */
SP_MUST sp_err sp_keyring_of(const char *dir, const sp_key *master, sp_span plain,
                             sp_keyring **ret_ring);

/* A key for one file of the vault's own ("checkpoint state"), from the master key. */
sp_key sp_keyring_file_key(const sp_keyring *ring, const char *label);
const char *sp_keyring_dir(const sp_keyring *ring);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Credentials in the store: password hashes, sealed TOTP secrets, passkeys, recovery codes, links.
 * OWNS nothing: rows. PROCESS core. TRUST rows are core's own. SPEC core/identity/README.md.
 * Writers want a transaction of the caller unless they say otherwise.
 */
#ifndef SP_CORE_IDENTITY_CREDENTIALS_H
#define SP_CORE_IDENTITY_CREDENTIALS_H

#include "core/identity/password.h"
#include "core/identity/webauthn.h"
#include "infra/store/store.h"
#include "lib/base/mem.h"
#include "lib/policy/types.h"

enum {
    SP_PASSKEYS_MAX = 16, /* of one person */
    SP_PASSKEY_NAME_MAX_BYTES = 63,
    SP_TOTP_SEALED_MAX_BYTES = 256,
    SP_RECOVERY_CODES = 10,
    SP_RECOVERY_TEXT_BYTES = 16 + 3 + 1 /* XXXX-XXXX-XXXX-XXXX: 80 bits */
};

SP_MUST sp_err sp_credentials_start(sp_store *store); /* the tables, people's included */

/* What a person has, for lists. */
typedef struct {
    bool password;
    bool totp;
    uint32_t passkeys;
    uint32_t recovery_codes;
    uint64_t password_changed_unix_s;
    uint64_t totp_changed_unix_s;
    uint64_t recovery_changed_unix_s;
} sp_credentials;
SP_MUST sp_err sp_credentials_get(sp_store *store, uint32_t person, sp_credentials *ret_has);
SP_MUST sp_err sp_credentials_remove_all(sp_store *store, uint32_t person);

/* SP_ENOTFOUND */
SP_MUST sp_err sp_password_get(sp_store *store, uint32_t person,
                               char ret_hash[SP_PASSWORD_HASH_BYTES]);
SP_MUST sp_err sp_password_put(sp_store *store, uint32_t person, const char *hash);

typedef struct {
    uint8_t sealed[SP_TOTP_SEALED_MAX_BYTES];
    size_t sealed_len;
    uint64_t last_step;
} sp_totp_row;
SP_MUST sp_err sp_totp_get(sp_store *store, uint32_t person, sp_totp_row *ret_row);
SP_MUST sp_err sp_totp_put(sp_store *store, uint32_t person, const sp_totp_row *row);
/* A transaction of its own. SP_ENOTFOUND: that step (or a later one) was used meanwhile. */
SP_MUST sp_err sp_totp_use(sp_store *store, uint32_t person, uint64_t step);

typedef struct {
    uint8_t id[SP_WEBAUTHN_ID_MAX_BYTES];
    size_t id_len;
    uint8_t key[SP_WEBAUTHN_KEY_MAX_BYTES];
    size_t key_len;
    int64_t algorithm;
    uint32_t counter;
    uint32_t person;
    bool backed_up;
    uint64_t created_unix_s;
    uint64_t used_unix_s;
    uint64_t number; /* the API's id of it */
    char name[SP_PASSKEY_NAME_MAX_BYTES + 1];
} sp_passkey;
SP_MUST sp_err sp_passkey_find(sp_store *store, sp_span id, sp_passkey *ret_passkey);
/* SP_EEXISTS; SP_ELIMIT after SP_PASSKEYS_MAX. Gives number and created. */
SP_MUST sp_err sp_passkey_add(sp_store *store, sp_passkey *passkey);
SP_MUST sp_err sp_passkeys_each(sp_store *store, uint32_t person,
                                void (*visit)(void *self, const sp_passkey *passkey), void *self);
SP_MUST sp_err sp_passkey_rename(sp_store *store, uint32_t person, uint64_t number, sp_span name);
SP_MUST sp_err sp_passkey_remove(sp_store *store, uint32_t person, uint64_t number);
/* A transaction of its own. SP_ENOTFOUND: the counter moved on meanwhile. */
SP_MUST sp_err sp_passkey_use(sp_store *store, const sp_passkey *passkey, uint32_t counter);

/* Makes new ones and forgets the old. */
SP_MUST sp_err sp_recovery_renew(sp_store *store, uint32_t person,
                                 char ret_codes[SP_RECOVERY_CODES][SP_RECOVERY_TEXT_BYTES]);
/* Hash of a code as typed: case, blanks and dashes forgiven, I L O read as 1 1 0. SP_EINVALID. */
SP_MUST sp_err sp_recovery_hash(sp_span code, sp_hash *ret_hash);
/* A transaction of its own: takes the code out. SP_ENOTFOUND. */
SP_MUST sp_err sp_recovery_use(sp_store *store, uint32_t person, const sp_hash *hash);

/* ---- links: set-up, invitation, reset ---- */
typedef enum {
    SP_LINK_FIRST_ADMIN,
    SP_LINK_INVITE,
    SP_LINK_RESET,
    SP_LINK_KIND_COUNT
} sp_link_kind;
typedef struct {
    sp_hash hash;    /* of the token's text */
    uint32_t person; /* 0 for the first administrator */
    uint8_t kind;
    uint64_t expires_unix_s;
} sp_link;
/* Earlier links of the same person die. */
SP_MUST sp_err sp_link_put(sp_store *store, const sp_link *link);
/* SP_ENOTFOUND also when it has expired. */
SP_MUST sp_err sp_link_find(sp_store *store, const sp_hash *hash, sp_link *ret_link);
/* The one of a person. */
SP_MUST sp_err sp_link_of(sp_store *store, uint32_t person, sp_link *ret_link);
/* SP_ENOTFOUND: used already. */
SP_MUST sp_err sp_link_take(sp_store *store, const sp_hash *hash);
SP_MUST sp_err sp_links_remove(sp_store *store, uint32_t person);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Passwords of accounts of databases (kept in the keyring, used here, handed to nobody but the
 * keeper) and of SSH targets (handed to core, who hands one out with each connection).
 * OWNS salted passwords in memory, wiped when freed. PROCESS vault. TRUST names, salts and messages
 * come from core and the database gate and are hostile. SPEC lib/proto/vault_msg.h "DB_PROOF",
 * RFC 7677.
 */
#ifndef SP_VAULT_DATABASE_H
#define SP_VAULT_DATABASE_H

#include "infra/crypto/scram.h"
#include "vault/keyring.h"

typedef struct sp_db_vault sp_db_vault;
/* prefix: of their names in the keyring ("db:"); what: "password of a database account". */
SP_MUST sp_err sp_db_vault_new(sp_keyring *ring, const char *prefix, const char *what,
                               sp_db_vault **ret_vault);
void sp_db_vault_free(sp_db_vault *vault);

/* Keeps or replaces one, in memory; sp_keyring_save() keeps it for good. Appends what PostgreSQL
 * stores for it. SP_EINVALID: a name that is not "<resource>/<account>", or a password that is not
 * 1 to 200 printable ASCII characters; SP_ELIMIT: too many. */
SP_MUST sp_err sp_db_vault_put(sp_db_vault *vault, const sp_vault_db_credential *ask,
                               uint64_t now_unix_s, sp_buf *out);
/* "<resource>/<account>": exactly one '/', nothing empty, no blanks. */
bool sp_db_vault_name_ok(sp_span name);
SP_MUST sp_err sp_db_vault_remove(sp_db_vault *vault, sp_span name);
void sp_db_vault_list(const sp_db_vault *vault, sp_vault_keys *ret_keys);
/* SP_ENOTFOUND. The spans point into *room. */
typedef struct {
    sp_scram_key proof;
    sp_scram_key server;
    char md5[SP_MD5_TEXT_BYTES];
} sp_db_proof_room;
SP_MUST sp_err sp_db_vault_prove(sp_db_vault *vault, const sp_vault_db_proof *ask,
                                 sp_db_proof_room *room, sp_vault_db_proved *ret_proved);
/* Borrowed until the next change; the caller wipes what it copies. SP_ENOTFOUND. */
SP_MUST sp_err sp_db_vault_password(const sp_db_vault *vault, sp_span name, sp_span *ret_password);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Keys of database accounts that log in by certificate instead of password (pg_hba's `cert`), and
 * the authority that servers trust for them.
 * OWNS nothing: the keys are in the keyring. PROCESS vault. TRUST names come from core and the
 * database gate and are hostile; the gate has handshakes signed (tls.h) and never sees a key.
 * SPEC docs/DATABASE.md "By certificate", RFC 5280.
 *
 * Story: an administrator has a key made for an account, and gives the server the authority's
 * certificate. Before a log-in the gate asks for a certificate of that key, which lives an hour;
 * removing the key ends it at once, because nothing more is signed.
 */
#ifndef SP_VAULT_DB_CERTIFICATE_H
#define SP_VAULT_DB_CERTIFICATE_H

#include "vault/keyring.h"

/* Makes the account's key, or another one in its place, and the authority with the first; in
 * memory, sp_keyring_save() keeps them. Appends the authority's certificate, DER. SP_EINVALID: a
 * name that is not "<resource>/<account>"; SP_ELIMIT: too many. */
SP_MUST sp_err sp_db_certificate_put(sp_keyring *ring, const char *office, sp_span name,
                                     uint64_t now_unix_s, sp_buf *out);
/* SP_ENOTFOUND. */
SP_MUST sp_err sp_db_certificate_remove(sp_keyring *ring, sp_span name);
/* Adds those there are behind what *keys has. */
void sp_db_certificate_list(sp_keyring *ring, sp_vault_keys *keys);
/* Appends a fresh certificate, DER: the account is its common name, the resource its organisation.
 * SP_ENOTFOUND. */
SP_MUST sp_err sp_db_certificate_issue(sp_keyring *ring, sp_span name, uint64_t now_unix_s,
                                       sp_buf *out);

#endif

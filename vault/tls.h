/* SPDX-License-Identifier: Apache-2.0
 * The server's TLS identity, and the office CA behind it.
 *
 * Story: with `tls: own` the vault keeps an office CA (limited by name constraint to the office's
 * domain) and issues the server a certificate for <domain> and *.<domain>, 14 days long, with a new
 * key each time, renewed by itself at half its life. With files given it reads certificate and key
 * from them, and again when they change or on SIGHUP, so any ACME client can renew them. Either way
 * the key stays here and each handshake's signature is asked for by the key's name; keys that have
 * been replaced go on signing until their certificates end.
 *
 * OWNS keys read from files. PROCESS vault. TRUST the files are the operator's: errors say what is
 * wrong. SPEC docs/OPERATIONS.md "Certificates".
 */
#ifndef SP_VAULT_TLS_H
#define SP_VAULT_TLS_H

#include "vault/keyring.h"

#include "infra/proc/config.h"

typedef struct sp_tls sp_tls;

/* Makes CA and certificate when there are none (*made). why: one sentence on failure. */
SP_MUST sp_err sp_tls_new(const sp_config *config, sp_keyring *ring, uint64_t now_unix_s,
                          bool *made, sp_buf *why, sp_tls **ret_tls);
void sp_tls_free(sp_tls *tls);

/* Once a minute: renews an own certificate that is due (*made: save the ring), reads changed files.
 * On failure what was served before is served on. */
SP_MUST sp_err sp_tls_refresh(sp_tls *tls, uint64_t now_unix_s, bool *made, sp_buf *why);

/* What nginx should serve now; spans are borrowed until the next refresh. */
SP_MUST sp_err sp_tls_identity(sp_tls *tls, sp_vault_tls_identity *ret_identity);
/* DER of the office CA; empty when certificates come from files. */
sp_span sp_tls_office_ca(sp_tls *tls);
/* SP_ENOTFOUND. */
SP_MUST sp_err sp_tls_public(sp_tls *tls, sp_span key_name, sp_buf *out);
SP_MUST sp_err sp_tls_sign(sp_tls *tls, const sp_vault_tls_sign *ask, sp_buf *out);

#endif

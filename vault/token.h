/* SPDX-License-Identifier: Apache-2.0
 * Identity tokens: the keys that sign them, their rotation, and what a token may say.
 *
 * Story: there are always two keys, the current one and the next one, both published, so that an
 * application that cached the key set knows the next key before the first token comes with it. A
 * rotation makes the next one current, makes a new next one, and keeps the old one published for an
 * hour, longer than any token lives.
 *
 * OWNS nothing: keys are in the keyring. PROCESS vault. TRUST claims come from core, which may have
 * been taken over: issuer, audience and life are held to the office's own.
 * SPEC RFC 7519, docs/IDENTITY-TOKEN.md.
 */
#ifndef SP_VAULT_TOKEN_H
#define SP_VAULT_TOKEN_H

#include "vault/keyring.h"

enum { SP_TOKEN_ROTATE_S = 30 * 86400, SP_TOKEN_KEEP_S = 3600, SP_TOKEN_RETIRED_MAX = 8 };

typedef struct {
    sp_span issuer; /* "https://portal.office.example:8443" */
    sp_span domain; /* audiences are hosts below it */
} sp_token_bounds;

SP_MUST sp_err sp_token_prepare(sp_keyring *ring, uint64_t now_unix_s, bool *made);
/* Appends the JWT. SP_EINVALID: not a JSON object. SP_EDENIED: claims out of bounds. */
SP_MUST sp_err sp_token_sign(sp_keyring *ring, const sp_token_bounds *bounds, sp_span claims,
                             uint64_t now_unix_s, sp_buf *out);
/* Appends {"keys":[...]}. */
SP_MUST sp_err sp_token_jwks(sp_keyring *ring, sp_buf *out);
bool sp_token_due(sp_keyring *ring, uint64_t now_unix_s);
/* In memory; sp_keyring_save() keeps it. SP_ELIMIT: too many replaced keys are still published;
 * core, taken over, could else fill the keyring so that nothing else is renewed. */
SP_MUST sp_err sp_token_rotate(sp_keyring *ring, uint64_t now_unix_s);

#endif

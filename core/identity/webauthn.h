/* SPDX-License-Identifier: Apache-2.0
 * Passkeys: what an authenticator says when a credential is made (registration) and used
 * (assertion), read strictly; signatures by libfido2.
 * OWNS nothing: spans point into the input. PROCESS core. TRUST everything from the browser is
 * hostile. SPEC W3C Web Authentication Level 2, 7.1 and 7.2.
 *
 * No attestation is asked for and none is believed: a statement is skipped. User verification is
 * required, so that a passkey is two factors.
 */
#ifndef SP_CORE_IDENTITY_WEBAUTHN_H
#define SP_CORE_IDENTITY_WEBAUTHN_H

#include "lib/base/buf.h"
#include "lib/base/sha256.h"

enum {
    SP_WEBAUTHN_CHALLENGE_BYTES = 32,
    SP_WEBAUTHN_ID_MAX_BYTES = 1023,
    SP_WEBAUTHN_KEY_MAX_BYTES = 512,
    SP_WEBAUTHN_CLIENT_DATA_MAX_BYTES = 4096,
    SP_WEBAUTHN_ATTESTATION_MAX_BYTES = 16 * 1024,
    SP_WEBAUTHN_AUTH_DATA_MAX_BYTES = 4096,
    SP_WEBAUTHN_SIGNATURE_MAX_BYTES = 1024
};

/* COSE algorithms that are offered, best first. */
enum { SP_COSE_ES256 = -7, SP_COSE_EDDSA = -8, SP_COSE_RS256 = -257 };

typedef struct {
    sp_span challenge; /* the bytes that were sent */
    sp_span origin;    /* "https://portal.office.localhost:8443" */
    sp_span rp_id;     /* "portal.office.localhost" */
} sp_webauthn_expect;

typedef struct {
    sp_hash rp_id_hash;
    uint32_t counter;
    bool user_present;
    bool user_verified;
    bool backed_up; /* synced by its maker */
    bool has_credential;
    sp_span credential_id; /* registration only, as the rest */
    int64_t algorithm;
    sp_span key_a; /* ES256: x; EdDSA: x; RS256: n */
    sp_span key_b; /* ES256: y; RS256: e */
} sp_webauthn_auth_data;

/* clientDataJSON: type ("webauthn.create" or "webauthn.get"), challenge, origin, not cross-origin.
 * SP_EINVALID (malformed), SP_EDENIED (not what was expected). */
SP_MUST sp_err sp_webauthn_client_data(sp_span json, const char *type,
                                       const sp_webauthn_expect *expect);
/* authenticatorData. SP_EINVALID, SP_ESHORT, SP_ELIMIT. */
SP_MUST sp_err sp_webauthn_auth_data_read(sp_span bytes, sp_webauthn_auth_data *ret_data);
/* attestationObject: the authenticatorData inside it. */
SP_MUST sp_err sp_webauthn_attestation_read(sp_span bytes, sp_span *ret_auth_data);

typedef struct {
    sp_span credential_id;
    int64_t algorithm;
    uint32_t counter;
    bool backed_up;
} sp_webauthn_credential;

/* The whole of 7.1. The public key, in the form that sp_webauthn_assert takes, is appended to key.
 */
SP_MUST sp_err sp_webauthn_register(const sp_webauthn_expect *expect, sp_span client_data,
                                    sp_span attestation_object, sp_buf *key,
                                    sp_webauthn_credential *ret_credential);
/* The whole of 7.2 but the counter, which is the caller's to compare. SP_EDENIED: not signed by
 * that key, or not for us. */
SP_MUST sp_err sp_webauthn_assert(const sp_webauthn_expect *expect, sp_span client_data,
                                  sp_span auth_data, sp_span signature, int64_t algorithm,
                                  sp_span key, uint32_t *ret_counter, bool *ret_backed_up);
/* A counter that does not grow means that two copies of the key exist. */
bool sp_webauthn_counter_is_good(uint32_t stored, uint32_t now);

#endif

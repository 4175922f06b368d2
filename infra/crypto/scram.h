/* SPDX-License-Identifier: Apache-2.0
 * SCRAM-SHA-256 keys, proofs and signatures, both sides; and PostgreSQL's md5 answer.
 * OWNS nothing; keys are wiped by whoever made them. PROCESS vault (as a client of databases), core
 * (as the server of our own log-in). TRUST messages and proofs are hostile; comparisons of secrets
 * are constant in time. SPEC RFC 5802, RFC 7677; PostgreSQL 15 "SASL Authentication".
 *
 * Passwords are taken as they are: callers take only printable ASCII, for which SASLprep changes
 * nothing.
 */
#ifndef SP_CRYPTO_SCRAM_H
#define SP_CRYPTO_SCRAM_H

#include "lib/base/buf.h"
#include "lib/base/sha256.h"

enum { SP_SCRAM_BYTES = SP_SHA256_BYTES, SP_SCRAM_ITERATIONS = 4096, SP_MD5_TEXT_BYTES = 36 };

typedef struct {
    uint8_t bytes[SP_SCRAM_BYTES];
} sp_scram_key;
void sp_scram_key_wipe(sp_scram_key *key);
#define auto_scram_key __attribute__((cleanup(sp_scram_key_wipe)))

/* What a server needs to check a password: a verifier. It does not give the password away, and
 * nobody can log in with it. */
typedef struct {
    sp_scram_key stored;
    sp_scram_key server;
} sp_scram_verifier;

/* Hi(password, salt, iterations): about a millisecond for 4096. */
SP_MUST sp_err sp_scram_salted(sp_span password, sp_span salt, uint32_t iterations,
                               sp_scram_key *ret_salted);
SP_MUST sp_err sp_scram_verifier_of(const sp_scram_key *salted, sp_scram_verifier *ret_verifier);
/* The client's answer, and the server's that it must get. */
SP_MUST sp_err sp_scram_prove(const sp_scram_key *salted, sp_span auth_message,
                              sp_scram_key *ret_proof, sp_scram_key *ret_server_signature);
/* Whether the proof is by somebody who knows the password; *ret_server_signature for the answer. */
SP_MUST sp_err sp_scram_check(const sp_scram_verifier *verifier, sp_span auth_message,
                              sp_span proof, bool *ret_right, sp_scram_key *ret_server_signature);
/* As PostgreSQL keeps it: "SCRAM-SHA-256$4096:<salt>$<stored key>:<server key>". */
void sp_scram_secret(const sp_scram_verifier *verifier, sp_span salt, uint32_t iterations,
                     sp_buf *out);
/* HMAC-SHA-256, for what is made from secrets and must look random. */
SP_MUST sp_err sp_hmac_sha256(sp_span key, sp_span message, sp_scram_key *ret_mac);

/* "md5" and 32 hex digits: md5(md5(password user) salt). NUL-terminated. */
SP_MUST sp_err sp_md5_answer(sp_span password, sp_span user, sp_span salt,
                             char ret_text[SP_MD5_TEXT_BYTES]);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The room of identity: people, credentials, sign-in, set-up and invitations, step-up.
 * OWNS sign-in attempts under way and rate limits. PROCESS core. TRUST every request is hostile.
 * SPEC docs/api/openapi.yaml; NIST SP 800-63B; W3C WebAuthn Level 2; RFC 6238.
 */
#ifndef SP_CORE_IDENTITY_IDENTITY_H
#define SP_CORE_IDENTITY_IDENTITY_H

#include "core/core.h"

/* Migrates, loads, adds the routes; on an empty store makes the one-time set-up link. */
SP_MUST sp_err sp_identity_start(sp_core *core, sp_identity **ret_identity);
void sp_identity_stop(sp_identity *identity);

/* ---- for rooms with a log-in of their own: the limits of signing in hold there too ---- */
/* Seconds until somebody may try again as that account (empty: any) from that address; 0 = now. */
uint64_t sp_identity_wait_s(const sp_core *core, sp_span account, const uint8_t peer[16]);
void sp_identity_failed(const sp_core *core, sp_span account, const uint8_t peer[16]);
/* The same for tokens of other systems, on counters of their own: whoever guesses them, or goes on
 * with one that was taken back, closes no sign-in of his address. */
uint64_t sp_identity_token_wait_s(const sp_core *core, const uint8_t peer[16]);
void sp_identity_token_failed(const sp_core *core, const uint8_t peer[16]);
/* A guess that is answered later counts as a failure of the account when it begins, so that many at
 * once are no more than one after the other; sp_identity_worked forgets it, and so does this when
 * no answer could be had. sp_identity_failed counts the address then, with an empty account. */
void sp_identity_try(const sp_core *core, sp_span account);
void sp_identity_untried(const sp_core *core, sp_span account);
void sp_identity_worked(const sp_core *core, sp_span account);
/* Looks random, is always the same for a name, and cannot be told from the real thing. */
enum { SP_IDENTITY_DECOY_BYTES = 32 };
void sp_identity_decoy(const sp_core *core, const char *label, sp_span name,
                       uint8_t ret_bytes[SP_IDENTITY_DECOY_BYTES]);
/* Password and one-time code of an active person, with the same work and time for every name. The
 * door is the caller's to look at and the address his to count; the account's try is counted here,
 * and is his to forget (sp_identity_worked). Later, exactly once (or at once, when it cannot
 * begin: SP_EAGAIN too many at once or the vault is away). why: NULL = both are right; else one
 * word for the ledger, never for who asked. person: whose name it is, 0 = nobody's. */
typedef void (*sp_on_proved)(void *self, sp_err err, uint32_t person, const char *why);
void sp_identity_prove(sp_core *core, sp_span name, sp_span password, sp_span code,
                       sp_on_proved then, void *self);
/* Locks a person, as an administrator would: all sessions end, gates look again. */
SP_MUST sp_err sp_identity_lock(sp_core *core, uint32_t person);
/* Lets in again who is locked. SP_ECONFLICT: nobody has locked him. */
SP_MUST sp_err sp_identity_unlock(sp_core *core, uint32_t person);

#endif

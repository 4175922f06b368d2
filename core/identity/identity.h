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

#endif

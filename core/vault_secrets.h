/* SPDX-License-Identifier: Apache-2.0
 * Secrets that administrators give to the vault, or have made there, and that never come back by
 * the API: passwords and keys of accounts, tokens and secrets of channels and sinks. Each change is
 * on the ledger before it is made. OWNS what waits for the vault, in the request's arena. PROCESS
 * core. TRUST requests are hostile; a secret is in the request's body only, and is wiped with it.
 * SPEC lib/proto/vault_msg.h.
 */
#ifndef SP_CORE_VAULT_SECRETS_H
#define SP_CORE_VAULT_SECRETS_H

#include "core/http/router.h"
#include "lib/proto/event.h"

#include <jansson.h>

/* What secrets of different kinds differ in. */
typedef struct {
    sp_gate gate;     /* of the event */
    uint16_t put;     /* the vault's messages */
    uint16_t put_key; /* with "certificate": true in the body the vault makes a key; 0 = no such */
    uint16_t remove;
    const char *parts_of; /* whose second name is 'token' or 'secret' alone; NULL: any */
    const char *field;    /* of the request's body */
    size_t min_bytes;     /* 0: without one the vault makes it */
    size_t max_bytes;     /* 0: as of a password */
    const char *expected; /* in words; NULL: as of a password */
    json_t *(*told)(sp_span name, sp_span made); /* of what the vault made; NULL: see below */
    const char *kept;                            /* the event's methods */
    const char *key_made;
    const char *removed;
} sp_vault_secret_kind;

/* The secret "<first>/<second>" of the path's two parameters. Whoever calls has looked whether
 * anything would use it. Answers 204, or what the vault made of it: 200 with "name" and "scram",
 * for a key with "name" and "authority": the certificate, in PEM, that servers have to trust. */
void sp_vault_secret_put(sp_request *req, const sp_vault_secret_kind *kind);
/* Also of what no document names any more. */
void sp_vault_secret_remove(sp_request *req, const sp_vault_secret_kind *kind);

#endif

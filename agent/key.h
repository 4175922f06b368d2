/* SPDX-License-Identifier: Apache-2.0
 * Where the device's private key lives, behind an interface, so that a TPM can be put in the
 * place of the file without the rest noticing.
 * OWNS the opened key. PROCESS agent. TRUST the file is the user's own; owner and mode are checked.
 * SPEC docs/man/sallyport-agent.1 "KEYS".
 */
#ifndef SP_AGENT_KEY_H
#define SP_AGENT_KEY_H

#include "agent/agent.h"
#include "infra/crypto/pkey.h"

typedef struct {
    const char *storage;  /* word of the API: "file" ("tpm" one day) */
    const char *strength; /* what people are told: "software" */
    bool exportable;      /* whether PKCS#12 is possible */
    /* A fresh key, kept. Replaces one that is there. */
    sp_err (*make)(const sp_agent *agent, sp_pkey **ret_key);
    /* SP_ENOTFOUND = none yet. The key signs; whether its bytes are in memory is its own affair. */
    sp_err (*open)(const sp_agent *agent, sp_pkey **ret_key);
    void (*remove)(const sp_agent *agent);
} sp_key_provider;

/* The best that this computer has. */
const sp_key_provider *sp_key_provider_here(void);

/* SHA-256 of the SubjectPublicKeyInfo: the first 16 hex digits as "XXXX-XXXX-XXXX-XXXX". */
SP_MUST sp_err sp_key_fingerprint(const sp_pkey *key, char ret_text[SP_AGENT_FINGERPRINT_BYTES]);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The vault's parts, for its own files.
 * OWNS everything below it. PROCESS vault. TRUST see vault/README.md.
 * SPEC docs/ARCHITECTURE.md "Vault".
 */
#ifndef SP_VAULT_VAULT_H
#define SP_VAULT_VAULT_H

#include "infra/ipc/server.h"
#include "infra/proc/config.h"
#include "vault/checkpoint.h"
#include "vault/database.h"
#include "vault/keyring.h"
#include "vault/recorder.h"
#include "vault/tls.h"

typedef struct {
    const sp_config *config;
    uv_loop_t *loop;
    sp_keyring *ring;
    sp_checkpoints *checkpoints;
    sp_tls *tls;
    sp_db_vault *databases;
    sp_db_vault *channels; /* of notices */
    sp_db_vault *hosts;    /* accounts of SSH targets */
    sp_recorder *recorder;
    sp_buf issuer; /* "https://portal.office.example:8443" */
    /* refusals: a few a second are written one by one, the rest are counted */
    uint64_t refusals_second;
    uint64_t refusals_written;
    uint64_t refusals_counted;
} sp_vault;

/* Handler of every packet (sp_server_calls.on_message); self is the sp_vault. */
void sp_vault_on_message(void *self, sp_peer *peer, const sp_msg *msg, sp_fds *fds);

/* Saves the ring when made, and tells the ledger which keys are new since first_key. */
SP_MUST sp_err sp_vault_keep(sp_vault *vault, bool made, size_t first_key);

#endif

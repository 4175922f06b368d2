/* SPDX-License-Identifier: Apache-2.0
 * What a backup holds of the vault: all keys and the last checkpoint, sealed to a public key whose
 * secret half follows from the backup's passphrase. The vault seals what it cannot open again; who
 * carries the bytes (the backup command, core's user) can do neither.
 *
 *     plain:  "SPKX" | version u8 | domain | created u64 | checkpoint head | keys (keyring.h)
 *
 * OWNS nothing. PROCESS vault; the backup command in the vault's user. TRUST an export may be
 * hostile until it is opened; what opens was sealed by somebody who had the public key.
 * SPEC docs/OPERATIONS.md "Backup and restore".
 */
#ifndef SP_VAULT_EXPORT_H
#define SP_VAULT_EXPORT_H

#include "infra/crypto/box.h"
#include "vault/checkpoint.h"

enum { SP_EXPORT_PLAIN_MAX_BYTES = SP_VAULT_EXPORTED_MAX_BYTES };

/* Spans point into the plain bytes. */
typedef struct {
    sp_span domain;
    uint64_t created_unix_s;
    sp_checkpoint_head head;
    sp_span keys;
} sp_export;

/* Appends the body of the reply to SP_VAULT_EXPORT. SP_ELIMIT: too many keys for one message. */
SP_MUST sp_err sp_export_make(const sp_keyring *ring, const sp_checkpoint_head *head,
                              sp_span domain, const sp_box_public *to, uint64_t now_unix_s,
                              sp_buf *out);
/* *plain is wiped by the caller. SP_ECORRUPT: another passphrase, or changed. */
SP_MUST sp_err sp_export_open(const sp_key *seed, sp_span sealed, sp_buf *plain,
                              sp_export *ret_export);
SP_MUST sp_err sp_export_read(sp_span plain, sp_export *ret_export);

#endif

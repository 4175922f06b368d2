/* SPDX-License-Identifier: Apache-2.0
 * Core's line to the vault: wrap and unwrap secrets at rest, sign device certificates and tokens.
 * OWNS its connection and waiting calls. PROCESS core. TRUST replies come from the vault, bounded.
 * SPEC lib/proto/vault_msg.h.
 */
#ifndef SP_CORE_VAULT_CLIENT_H
#define SP_CORE_VAULT_CLIENT_H

#include "core/core.h"

SP_MUST sp_err sp_vault_client_new(sp_core *core, sp_vault_client **ret_client);
/* Before HTTP stops: requests that wait for the vault are answered while they can be. */
void sp_vault_client_hang_up(sp_vault_client *client);
void sp_vault_client_free(sp_vault_client *client);
bool sp_vault_client_is_up(const sp_vault_client *client);
/* Any request of lib/proto/vault_msg.h. on_reply is called exactly once, possibly before this
 * returns; body is valid during the call only and wiped after it. */
typedef void (*sp_on_vault_reply)(void *self, sp_err err, sp_span body);
void sp_vault_client_call(sp_vault_client *client, uint16_t kind, sp_span body,
                          sp_on_vault_reply on_reply, void *self);

#endif

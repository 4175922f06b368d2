/* SPDX-License-Identifier: Apache-2.0
 * The line to the vault.
 * OWNS the line. PROCESS core, vault, ledger. TRUST replies are bounded. SPEC core/vault_client.h.
 */
#include "core/vault_client.h"

#include "infra/ipc/line.h"

struct sp_vault_client {
    sp_line *line;
};

sp_err sp_vault_client_new(sp_core *core, sp_vault_client **ret_client)
{
    auto_free sp_vault_client *client = NULL;
    auto_free char *path = NULL;
    TRY(sp_alloc(1, sizeof(*client), &client));
    TRY(sp_config_socket(core->config, "vault", &path));
    sp_line_calls calls = {0};
    TRY(sp_line_new(core->loop, path, &calls, &client->line));
    *ret_client = SP_STEAL(client);
    return sp_ok();
}

void sp_vault_client_hang_up(sp_vault_client *client)
{
    if (client != NULL) {
        sp_line_hang_up(client->line);
    }
}

void sp_vault_client_free(sp_vault_client *client)
{
    if (client != NULL) {
        sp_line_free(client->line);
        sp_free(client);
    }
}

bool sp_vault_client_is_up(const sp_vault_client *client)
{
    return client != NULL && sp_line_is_up(client->line);
}

void sp_vault_client_call(sp_vault_client *client, uint16_t kind, sp_span body,
                          sp_on_vault_reply on_reply, void *self)
{
    sp_line_call(client->line, kind, body, on_reply, self);
}

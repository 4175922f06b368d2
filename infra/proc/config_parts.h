/* SPDX-License-Identifier: Apache-2.0
 * What the files that read the bootstrap file share: a loader on its way through it.
 * OWNS nothing. PROCESS porter, every role, cli. TRUST see config.h. SPEC infra/proc/config.h.
 */
#ifndef SP_PROC_CONFIG_PARTS_H
#define SP_PROC_CONFIG_PARTS_H

#include "infra/proc/config.h"

#include <libfyaml.h>

enum { CONFIG_LABEL_MAX_BYTES = 63, CONFIG_TEXT_MAX_BYTES = 1024 };

typedef struct {
    const char *file;
    sp_diags *diags;
    sp_config *config;
    struct fy_node *at; /* the key being read: where an error without a better place is told */
} config_loader;

/* ---- config_values.c ---- */
/* "KEY: 'QUOTED' TEXT", at the node's line and column, or the key's. */
void config_complain(config_loader *l, struct fy_node *node, const char *text, sp_span quoted);
/* The text of a scalar; false after having said why not. */
bool config_text(config_loader *l, struct fy_node *node, sp_span *ret_text);
void config_keep(config_loader *l, struct fy_node *node, sp_span text, char **to);
bool config_number(config_loader *l, struct fy_node *value, uint64_t least, uint64_t most,
                   uint64_t *ret_number);
void config_path(config_loader *l, struct fy_node *value, char **to);
/* One address and port, or a list: at most SP_LISTEN_MAX into items. */
void config_addresses(config_loader *l, struct fy_node *value, char **items, size_t *count);
bool config_is_loopback(const char *address);
unsigned config_port_of(const char *address);

/* ---- config_users.c ---- */
void config_read_tls(config_loader *l, struct fy_node *value);
void config_read_commands(config_loader *l, struct fy_node *value);
void config_read_users(config_loader *l, struct fy_node *value);
/* Users that the file does not name: sallyport-<role> of this machine, else (not root) ourselves.
 */
void config_default_users(config_loader *l);

#endif

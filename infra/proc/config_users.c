/* SPDX-License-Identifier: Apache-2.0
 * The bootstrap file: certificate files, the operator's commands, the users of roles.
 * OWNS nothing. PROCESS porter, every role, cli. TRUST see config.h. SPEC
 * infra/proc/config_parts.h.
 */
#include "infra/proc/config_parts.h"

#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

/* ---- tls ---- */

void config_read_tls(config_loader *l, struct fy_node *value)
{
    sp_config *config = l->config;
    if (fy_node_is_scalar(value)) {
        sp_span text;
        if (config_text(l, value, &text) && !sp_span_eq(text, SP_SPAN_LIT("own"))) {
            config_complain(l, value, "expected: own, or { certificate: FILE, key: FILE }", text);
        }
        return;
    }
    void *at = NULL;
    struct fy_node_pair *pair = NULL;
    while (fy_node_is_mapping(value) && (pair = fy_node_mapping_iterate(value, &at)) != NULL) {
        sp_span key;
        if (!config_text(l, fy_node_pair_key(pair), &key)) {
            continue;
        }
        if (sp_span_eq(key, SP_SPAN_LIT("certificate"))) {
            config_path(l, fy_node_pair_value(pair), &config->tls_certificate);
        } else if (sp_span_eq(key, SP_SPAN_LIT("key"))) {
            config_path(l, fy_node_pair_value(pair), &config->tls_key);
        } else {
            config_complain(l, fy_node_pair_key(pair),
                            "is unknown here: certificate and key are known", key);
        }
    }
    if ((config->tls_certificate == NULL || config->tls_key == NULL) && l->diags->errors == 0) {
        config_complain(l, NULL, "expected both certificate: FILE and key: FILE, or the word own",
                        SP_SPAN_EMPTY);
    }
}

/* ---- commands ---- */

static bool is_command_name(sp_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_') {
            return false;
        }
    }
    return text.len > 0 && text.len <= CONFIG_LABEL_MAX_BYTES && text.ptr[0] != '-';
}

static void read_command(config_loader *l, struct fy_node_pair *pair)
{
    sp_config *config = l->config;
    sp_span name;
    if (!config_text(l, fy_node_pair_key(pair), &name)) {
        return;
    }
    if (!is_command_name(name)) {
        config_complain(l, fy_node_pair_key(pair),
                        "is no name of a command: lower-case letters, digits, '-' and '_'", name);
        return;
    }
    if (config->commands_count == SP_COMMANDS_MAX) {
        config_complain(l, fy_node_pair_key(pair), "is one command too many: 64 at most", name);
        return;
    }
    sp_config_command *command = &config->commands[config->commands_count++];
    config_keep(l, fy_node_pair_key(pair), name, &command->name);
    config_path(l, fy_node_pair_value(pair), &command->path);
}

void config_read_commands(config_loader *l, struct fy_node *value)
{
    void *at = NULL;
    struct fy_node_pair *pair = NULL;
    if (!fy_node_is_mapping(value)) {
        config_complain(l, value, "expected { NAME: /path/of/a/program }", SP_SPAN_EMPTY);
        return;
    }
    while ((pair = fy_node_mapping_iterate(value, &at)) != NULL) {
        read_command(l, pair);
    }
}

const char *sp_config_command_path(const sp_config *config, sp_span name)
{
    for (size_t i = 0; i < config->commands_count; i++) {
        if (sp_span_eq(sp_span_cstr(config->commands[i].name), name)) {
            return config->commands[i].path;
        }
    }
    return NULL;
}

/* ---- users ---- */

static void read_user(config_loader *l, struct fy_node *value, sp_role_kind role)
{
    sp_span text;
    if (!config_text(l, value, &text)) {
        return;
    }
    uint64_t number = 0;
    sp_err as_number = sp_span_to_u64(text, INT32_MAX, &number);
    if (!sp_failed(as_number)) {
        /* without an entry in passwd a number stands for the group as well */
        const struct passwd *entry = getpwuid((uid_t)number);
        l->config->uids[role] = (uid_t)number;
        l->config->gids[role] = entry != NULL ? entry->pw_gid : (gid_t)number;
    } else {
        char name[CONFIG_LABEL_MAX_BYTES + 1];
        const struct passwd *entry =
            sp_failed(sp_fit(name, sizeof(name), text)) ? NULL : getpwnam(name);
        if (entry == NULL) {
            config_complain(l, value, "is no user of this machine and no number", text);
            return;
        }
        l->config->uids[role] = entry->pw_uid;
        l->config->gids[role] = entry->pw_gid;
    }
    if (l->config->uids[role] == 0) {
        config_complain(l, value, "is root: a role must have a user of its own", text);
    }
}

void config_read_users(config_loader *l, struct fy_node *value)
{
    if (!fy_node_is_mapping(value)) {
        config_complain(l, value, "expected { core: USER, vault: USER, ledger: USER, web: USER }",
                        SP_SPAN_EMPTY);
        return;
    }
    void *at = NULL;
    struct fy_node_pair *pair = NULL;
    while ((pair = fy_node_mapping_iterate(value, &at)) != NULL) {
        sp_span key;
        if (!config_text(l, fy_node_pair_key(pair), &key)) {
            continue;
        }
        sp_role_kind role = SP_ROLE_CORE;
        while (role < SP_ROLE_COUNT && !sp_span_eq(key, sp_span_cstr(sp_role_word(role)))) {
            role++;
        }
        if (role == SP_ROLE_COUNT) {
            config_complain(
                l, fy_node_pair_key(pair),
                "is no role: core, vault, ledger, web, db, keeper, ssh, courier, watch and "
                "runner are known",
                key);
            continue;
        }
        read_user(l, fy_node_pair_value(pair), role);
    }
}

void config_default_users(config_loader *l)
{
    for (sp_role_kind role = SP_ROLE_CORE; role < SP_ROLE_COUNT; role++) {
        if (l->config->uids[role] != 0 || !sp_config_has_role(l->config, role)) {
            continue;
        }
        char name[32];
        snprintf(name, sizeof(name), "sallyport-%s", sp_role_word(role));
        const struct passwd *entry = getpwnam(name);
        if (entry != NULL) {
            l->config->uids[role] = entry->pw_uid;
            l->config->gids[role] = entry->pw_gid;
        } else if (geteuid() != 0) {
            l->config->uids[role] = geteuid();
            l->config->gids[role] = getegid();
        } else {
            sp_diags_add(l->diags, SP_DIAG_ERROR, l->file, 0, 0,
                         "there is no user %s on this machine: make it (systemd-sysusers), or name "
                         "another one under users:",
                         name);
        }
    }
}

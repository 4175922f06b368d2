/* SPDX-License-Identifier: Apache-2.0
 * The bootstrap file: one YAML mapping against a table of known keys.
 * OWNS the sp_config it returns. PROCESS porter, every role, cli. TRUST the operator wrote it:
 * every mistake is told with its line and column, and nothing of a bad file is used.
 * SPEC infra/proc/config.h, docs/OPERATIONS.md "Bootstrap file".
 */
#include "infra/proc/config.h"

#include "infra/proc/file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libfyaml.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    FILE_MAX_BYTES = 64 * 1024,
    TEXT_MAX_BYTES = 1024,
    LABEL_MAX_BYTES = 63,
    DOMAIN_MAX_BYTES = 190, /* leaves room for <host>. in front */
    SESSIONS_DEFAULT = 100000,
    SESSIONS_LEAST = 100,
    SESSIONS_MOST = 4000000,
    DEVICES_DEFAULT = 20000,
    DEVICES_LEAST = 16,
    DEVICES_MOST = 1000000,
    KEEP_GIB_DEFAULT = 20,
    KEEP_GIB_MOST = 100000,
    KEEP_DAYS_DEFAULT = 30,
    KEEP_DAYS_MOST = 3660,
    PORT_MOST = 65535,
    WORKERS_MOST = 64
};

typedef struct {
    const char *file;
    sp_diags *diags;
    sp_config *config;
    struct fy_node *at; /* the key being read: where an error without a better place is told */
} loader;

const char *sp_role_word(sp_role_kind role)
{
    static const char *const words[SP_ROLE_COUNT] = {
        "core", "vault", "ledger", "web", "db", "keeper", "ssh", "courier", "watch", "runner"};
    return words[role];
}

bool sp_config_has_role(const sp_config *config, sp_role_kind role)
{
    if (role == SP_ROLE_SSH) {
        return config->ssh_count > 0;
    }
    if (role == SP_ROLE_RUNNER) {
        return config->commands_count > 0;
    }
    return role <= SP_ROLE_WEB || role == SP_ROLE_COURIER || role == SP_ROLE_WATCH ||
           ((role == SP_ROLE_DB || role == SP_ROLE_KEEPER) && config->postgres_count > 0);
}

/* ---- saying what is wrong ---- */

static void complain(loader *l, struct fy_node *node, const char *text, sp_span quoted)
{
    struct fy_token *token = node != NULL ? fy_node_get_scalar_token(node) : NULL;
    if (token == NULL && l->at != NULL) {
        token = fy_node_get_scalar_token(l->at);
    }
    const struct fy_mark *mark = token != NULL ? fy_token_start_mark(token) : NULL;
    unsigned line = mark != NULL ? (unsigned)mark->line + 1 : 0;
    unsigned column = mark != NULL ? (unsigned)mark->column + 1 : 0;
    sp_span key = SP_SPAN_EMPTY;
    if (l->at != NULL) {
        key.ptr = (const uint8_t *)fy_node_get_scalar(l->at, &key.len);
    }
    const char *mid = key.len > 0 ? ": " : "";
    if (quoted.len > 0) {
        sp_diags_add(l->diags, SP_DIAG_ERROR, l->file, line, column, "%.*s%s'%.*s' %s",
                     SP_SPAN_ARG(key), mid, SP_SPAN_ARG(quoted), text);
    } else {
        sp_diags_add(l->diags, SP_DIAG_ERROR, l->file, line, column, "%.*s%s%s", SP_SPAN_ARG(key),
                     mid, text);
    }
}

/* ---- values ---- */

/* The text of a scalar; false after having said why not. */
static bool text_of(loader *l, struct fy_node *node, sp_span *ret_text)
{
    size_t len = 0;
    const char *text =
        fy_node_is_scalar(node) && !fy_node_is_alias(node) ? fy_node_get_scalar(node, &len) : NULL;
    if (text == NULL || len == 0 || len > TEXT_MAX_BYTES) {
        complain(l, node, "expected a text of 1 to 1024 bytes", SP_SPAN_EMPTY);
        return false;
    }
    sp_span span = sp_span_of(text, len);
    for (size_t i = 0; i < len; i++) {
        if (span.ptr[i] < 0x20 || span.ptr[i] == 0x7f) {
            complain(l, node, "holds a control character", SP_SPAN_EMPTY);
            return false;
        }
    }
    if (!sp_span_is_utf8(span)) {
        complain(l, node, "is not UTF-8", SP_SPAN_EMPTY);
        return false;
    }
    *ret_text = span;
    return true;
}

static void keep(loader *l, struct fy_node *node, sp_span text, char **to)
{
    sp_free(*to);
    *to = NULL;
    if (sp_failed(sp_strdup(text, to))) {
        complain(l, node, "no memory left", SP_SPAN_EMPTY);
    }
}

static void read_office(loader *l, struct fy_node *value)
{
    sp_span text;
    if (text_of(l, value, &text)) {
        keep(l, value, text, &l->config->office);
    }
}

static void read_domain(loader *l, struct fy_node *value)
{
    sp_span text;
    if (!text_of(l, value, &text)) {
        return;
    }
    sp_span rest = text;
    sp_span label;
    bool good = text.len <= DOMAIN_MAX_BYTES && !sp_span_ends(text, SP_SPAN_LIT("."));
    while (good && sp_span_split(&rest, '.', &label)) {
        good = sp_span_is_label(label);
    }
    if (!good) {
        complain(l, value,
                 "is not a domain: lower-case letters, digits and hyphens between dots, "
                 "such as office.example.com",
                 text);
        return;
    }
    keep(l, value, text, &l->config->domain);
}

static void read_portal(loader *l, struct fy_node *value)
{
    sp_span text;
    if (!text_of(l, value, &text)) {
        return;
    }
    if (!sp_span_is_label(text)) {
        complain(l, value, "is not one label of a host name, such as portal", text);
        return;
    }
    keep(l, value, text, &l->config->portal);
}

static void read_path(loader *l, struct fy_node *value, char **to)
{
    sp_span text;
    if (!text_of(l, value, &text)) {
        return;
    }
    if (text.ptr[0] != '/' || sp_span_find(text, SP_SPAN_LIT("/../")) < text.len) {
        complain(l, value, "is not an absolute path without '..'", text);
        return;
    }
    while (text.len > 1 && text.ptr[text.len - 1] == '/') {
        text.len--;
    }
    keep(l, value, text, to);
}

static void read_state(loader *l, struct fy_node *value)
{
    read_path(l, value, &l->config->state_dir);
}

static void read_run(loader *l, struct fy_node *value)
{
    read_path(l, value, &l->config->run_dir);
}

static void read_documents(loader *l, struct fy_node *value)
{
    read_path(l, value, &l->config->documents_dir);
}

static void read_places(loader *l, struct fy_node *value)
{
    read_path(l, value, &l->config->places);
}

static bool number_of(loader *l, struct fy_node *value, uint64_t least, uint64_t most,
                      uint64_t *ret_number)
{
    sp_span text;
    if (!text_of(l, value, &text)) {
        return false;
    }
    if (sp_failed(sp_span_to_u64(text, most, ret_number)) || *ret_number < least) {
        char wanted[80];
        snprintf(wanted, sizeof(wanted), "is not a number from %llu to %llu",
                 (unsigned long long)least, (unsigned long long)most);
        complain(l, value, wanted, text);
        return false;
    }
    return true;
}

static void read_public_port(loader *l, struct fy_node *value)
{
    uint64_t number = 0;
    if (number_of(l, value, 1, PORT_MOST, &number)) {
        l->config->public_port = (unsigned)number;
    }
}

static void read_sessions_max(loader *l, struct fy_node *value)
{
    uint64_t number = 0;
    if (number_of(l, value, SESSIONS_LEAST, SESSIONS_MOST, &number)) {
        l->config->sessions_max = (unsigned)number;
    }
}

static void read_devices_max(loader *l, struct fy_node *value)
{
    uint64_t number = 0;
    if (number_of(l, value, DEVICES_LEAST, DEVICES_MOST, &number)) {
        l->config->devices_max = (unsigned)number;
    }
}

/* ---- listen ---- */

sp_err sp_config_address(const char *listen, struct sockaddr_storage *ret_address,
                         socklen_t *ret_size)
{
    sp_span text = sp_span_cstr(listen);
    bool bracketed = text.len > 0 && text.ptr[0] == '[';
    size_t colon = bracketed ? sp_span_find(text, SP_SPAN_LIT("]:")) + 1 : sp_span_index(text, ':');
    if (colon >= text.len) {
        return sp_fail(SP_EINVALID);
    }
    uint64_t port = 0;
    TRY(sp_span_to_u64(sp_span_slice(text, colon + 1, text.len), PORT_MOST, &port));
    sp_span host = bracketed ? sp_span_slice(text, 1, colon - 1) : sp_span_slice(text, 0, colon);
    char host_text[INET6_ADDRSTRLEN];
    TRY(sp_fit(host_text, sizeof(host_text), host));
    sp_set(ret_address, 0, sizeof(*ret_address));
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    if (port == 0) {
        return sp_fail(SP_EINVALID);
    }
    if (!bracketed && inet_pton(AF_INET, host_text, &v4.sin_addr) == 1) {
        sp_copy(ret_address, &v4, sizeof(v4));
        *ret_size = sizeof(v4);
        return sp_ok();
    }
    if (bracketed && inet_pton(AF_INET6, host_text, &v6.sin6_addr) == 1) {
        sp_copy(ret_address, &v6, sizeof(v6));
        *ret_size = sizeof(v6);
        return sp_ok();
    }
    return sp_fail(SP_EINVALID);
}

static unsigned port_of(const char *listen)
{
    uint64_t port = 0;
    const char *colon = strrchr(listen, ':');
    sp_span digits = sp_span_cstr(colon != NULL ? colon + 1 : "");
    return sp_failed(sp_span_to_u64(digits, PORT_MOST, &port)) ? 0 : (unsigned)port;
}

typedef struct {
    char **items; /* SP_LISTEN_MAX */
    size_t *count;
} addresses;

static void read_address(loader *l, struct fy_node *item, addresses to)
{
    sp_span text;
    if (!text_of(l, item, &text)) {
        return;
    }
    if (*to.count == SP_LISTEN_MAX) {
        complain(l, item, "is one address too many: 16 at most", text);
        return;
    }
    char *copy = NULL;
    keep(l, item, text, &copy);
    struct sockaddr_storage address;
    socklen_t size = 0;
    if (copy == NULL || sp_failed(sp_config_address(copy, &address, &size))) {
        complain(l, item, "is not an address and port, such as 0.0.0.0:443 or [::]:443", text);
        sp_free(copy);
        return;
    }
    for (size_t i = 0; i < *to.count; i++) {
        if (sp_span_eq(sp_span_cstr(to.items[i]), text)) {
            complain(l, item, "stands there twice", text);
        }
    }
    to.items[(*to.count)++] = copy;
}

static void read_addresses(loader *l, struct fy_node *value, addresses to)
{
    if (!fy_node_is_sequence(value)) {
        read_address(l, value, to);
        return;
    }
    void *at = NULL;
    for (struct fy_node *item = fy_node_sequence_iterate(value, &at); item != NULL;
         item = fy_node_sequence_iterate(value, &at)) {
        read_address(l, item, to);
    }
}

static void read_listen(loader *l, struct fy_node *value)
{
    read_addresses(l, value, (addresses){l->config->listen, &l->config->listen_count});
}

static void read_http(loader *l, struct fy_node *value)
{
    read_addresses(l, value, (addresses){l->config->http, &l->config->http_count});
}

static bool is_loopback(const char *text)
{
    struct sockaddr_storage at;
    socklen_t size = 0;
    if (sp_failed(sp_config_address(text, &at, &size))) {
        return false;
    }
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)&at;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)&at;
    return at.ss_family == AF_INET ? ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET
                                   : IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) != 0;
}

static void read_forward_auth(loader *l, struct fy_node *value)
{
    sp_config *config = l->config;
    read_addresses(l, value, (addresses){config->asked, &config->asked_count});
    for (size_t i = 0; i < config->asked_count; i++) {
        if (!is_loopback(config->asked[i])) {
            complain(l, value,
                     "must be loopback, such as 127.0.0.1:9180: who asks there is believed about "
                     "the visitor's address and certificate",
                     sp_span_cstr(config->asked[i]));
        }
    }
}

static void read_postgres(loader *l, struct fy_node *value)
{
    read_addresses(l, value, (addresses){l->config->postgres, &l->config->postgres_count});
}

static void read_postgres_tls(loader *l, struct fy_node *value)
{
    sp_span text;
    if (!text_of(l, value, &text)) {
        return;
    }
    l->config->postgres_plain = sp_span_eq(text, SP_SPAN_LIT("optional"));
    if (!l->config->postgres_plain && !sp_span_eq(text, SP_SPAN_LIT("required"))) {
        complain(l, value, "expected: required or optional", text);
    }
}

static void read_keep_gib(loader *l, struct fy_node *value)
{
    uint64_t number = 0;
    if (number_of(l, value, 1, KEEP_GIB_MOST, &number)) {
        l->config->keep_gib = (unsigned)number;
    }
}

static void read_keep_days(loader *l, struct fy_node *value)
{
    uint64_t number = 0;
    if (number_of(l, value, 1, KEEP_DAYS_MOST, &number)) {
        l->config->keep_days = (unsigned)number;
    }
}

static void read_db_workers(loader *l, struct fy_node *value)
{
    uint64_t number = 0;
    if (number_of(l, value, 1, WORKERS_MOST, &number)) {
        l->config->db_workers = (unsigned)number;
    }
}

static void read_ssh(loader *l, struct fy_node *value)
{
    read_addresses(l, value, (addresses){l->config->ssh, &l->config->ssh_count});
}

static void read_ssh_workers(loader *l, struct fy_node *value)
{
    uint64_t number = 0;
    if (number_of(l, value, 1, WORKERS_MOST, &number)) {
        l->config->ssh_workers = (unsigned)number;
    }
}

/* ---- tls ---- */

static void read_tls(loader *l, struct fy_node *value)
{
    sp_config *config = l->config;
    if (fy_node_is_scalar(value)) {
        sp_span text;
        if (text_of(l, value, &text) && !sp_span_eq(text, SP_SPAN_LIT("own"))) {
            complain(l, value, "expected: own, or { certificate: FILE, key: FILE }", text);
        }
        return;
    }
    void *at = NULL;
    struct fy_node_pair *pair = NULL;
    while (fy_node_is_mapping(value) && (pair = fy_node_mapping_iterate(value, &at)) != NULL) {
        sp_span key;
        if (!text_of(l, fy_node_pair_key(pair), &key)) {
            continue;
        }
        if (sp_span_eq(key, SP_SPAN_LIT("certificate"))) {
            read_path(l, fy_node_pair_value(pair), &config->tls_certificate);
        } else if (sp_span_eq(key, SP_SPAN_LIT("key"))) {
            read_path(l, fy_node_pair_value(pair), &config->tls_key);
        } else {
            complain(l, fy_node_pair_key(pair), "is unknown here: certificate and key are known",
                     key);
        }
    }
    if ((config->tls_certificate == NULL || config->tls_key == NULL) && l->diags->errors == 0) {
        complain(l, NULL, "expected both certificate: FILE and key: FILE, or the word own",
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
    return text.len > 0 && text.len <= LABEL_MAX_BYTES && text.ptr[0] != '-';
}

static void read_command(loader *l, struct fy_node_pair *pair)
{
    sp_config *config = l->config;
    sp_span name;
    if (!text_of(l, fy_node_pair_key(pair), &name)) {
        return;
    }
    if (!is_command_name(name)) {
        complain(l, fy_node_pair_key(pair),
                 "is no name of a command: lower-case letters, digits, '-' and '_'", name);
        return;
    }
    if (config->commands_count == SP_COMMANDS_MAX) {
        complain(l, fy_node_pair_key(pair), "is one command too many: 64 at most", name);
        return;
    }
    sp_config_command *command = &config->commands[config->commands_count++];
    keep(l, fy_node_pair_key(pair), name, &command->name);
    read_path(l, fy_node_pair_value(pair), &command->path);
}

static void read_commands(loader *l, struct fy_node *value)
{
    void *at = NULL;
    struct fy_node_pair *pair = NULL;
    if (!fy_node_is_mapping(value)) {
        complain(l, value, "expected { NAME: /path/of/a/program }", SP_SPAN_EMPTY);
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

static void read_user(loader *l, struct fy_node *value, sp_role_kind role)
{
    sp_span text;
    if (!text_of(l, value, &text)) {
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
        char name[LABEL_MAX_BYTES + 1];
        const struct passwd *entry =
            sp_failed(sp_fit(name, sizeof(name), text)) ? NULL : getpwnam(name);
        if (entry == NULL) {
            complain(l, value, "is no user of this machine and no number", text);
            return;
        }
        l->config->uids[role] = entry->pw_uid;
        l->config->gids[role] = entry->pw_gid;
    }
    if (l->config->uids[role] == 0) {
        complain(l, value, "is root: a role must have a user of its own", text);
    }
}

static void read_users(loader *l, struct fy_node *value)
{
    if (!fy_node_is_mapping(value)) {
        complain(l, value, "expected { core: USER, vault: USER, ledger: USER, web: USER }",
                 SP_SPAN_EMPTY);
        return;
    }
    void *at = NULL;
    struct fy_node_pair *pair = NULL;
    while ((pair = fy_node_mapping_iterate(value, &at)) != NULL) {
        sp_span key;
        if (!text_of(l, fy_node_pair_key(pair), &key)) {
            continue;
        }
        sp_role_kind role = SP_ROLE_CORE;
        while (role < SP_ROLE_COUNT && !sp_span_eq(key, sp_span_cstr(sp_role_word(role)))) {
            role++;
        }
        if (role == SP_ROLE_COUNT) {
            complain(l, fy_node_pair_key(pair),
                     "is no role: core, vault, ledger, web, db, keeper, ssh, courier, watch and "
                     "runner are known",
                     key);
            continue;
        }
        read_user(l, fy_node_pair_value(pair), role);
    }
}

/* Users that the file does not name: sallyport-<role> of this machine, else (not root) ourselves.
 */
static void default_users(loader *l)
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

/* ---- the file ---- */

typedef struct {
    const char *key;
    void (*read)(loader *l, struct fy_node *value);
} field;

static const field fields[] = {
    {"office", read_office},
    {"domain", read_domain},
    {"portal", read_portal},
    {"listen", read_listen},
    {"http", read_http},
    {"forward_auth", read_forward_auth},
    {"postgres", read_postgres},
    {"postgres_tls", read_postgres_tls},
    {"db_workers", read_db_workers},
    {"ssh", read_ssh},
    {"ssh_workers", read_ssh_workers},
    {"keep_gib", read_keep_gib},
    {"keep_days", read_keep_days},
    {"public_port", read_public_port},
    {"state", read_state},
    {"run", read_run},
    {"documents", read_documents},
    {"places", read_places},
    {"commands", read_commands},
    {"tls", read_tls},
    {"users", read_users},
    {"sessions_max", read_sessions_max},
    {"devices_max", read_devices_max},
};

static void read_pair(loader *l, struct fy_node_pair *pair)
{
    l->at = NULL;
    sp_span key;
    if (!text_of(l, fy_node_pair_key(pair), &key)) {
        return;
    }
    for (size_t i = 0; i < SP_COUNT(fields); i++) {
        if (sp_span_eq(key, sp_span_cstr(fields[i].key))) {
            l->at = fy_node_pair_key(pair);
            fields[i].read(l, fy_node_pair_value(pair));
            return;
        }
    }
    complain(
        l, fy_node_pair_key(pair),
        "is an unknown key: office, domain, portal, listen, http, forward_auth, postgres, "
        "postgres_tls, db_workers, ssh, ssh_workers, keep_gib, keep_days, public_port, "
        "state, run, documents, places, commands, tls, users, sessions_max and devices_max are "
        "known",
        key);
}

/* What libfyaml found wrong with the text itself. */
static void complain_syntax(loader *l, struct fy_diag *diag)
{
    void *at = NULL;
    const struct fy_diag_error *error = NULL;
    while ((error = fy_diag_errors_iterate(diag, &at)) != NULL) {
        unsigned line = error->line > 0 ? (unsigned)error->line : 0;
        unsigned column = error->column > 0 ? (unsigned)error->column : 0;
        sp_diags_add(l->diags, SP_DIAG_ERROR, l->file, line, column, "%s", error->msg);
    }
    if (l->diags->errors == 0) {
        sp_diags_add(l->diags, SP_DIAG_ERROR, l->file, 0, 0, "is not YAML");
    }
}

static void read_mapping(loader *l, struct fy_node *root)
{
    void *at = NULL;
    struct fy_node_pair *pair = NULL;
    while ((pair = fy_node_mapping_iterate(root, &at)) != NULL) {
        read_pair(l, pair);
    }
    l->at = NULL;
}

/* False when there is nothing in it to be looked at. */
static bool read_text(loader *l, sp_span text)
{
    struct fy_diag_cfg diag_cfg;
    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.fp = NULL;
    struct fy_diag *diag = fy_diag_create(&diag_cfg);
    if (diag == NULL) {
        sp_diags_add(l->diags, SP_DIAG_ERROR, l->file, 0, 0, "no memory left");
        return false;
    }
    fy_diag_set_collect_errors(diag, true);
    const struct fy_parse_cfg cfg = {.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG, .diag = diag};
    struct fy_document *document =
        text.len == 0 ? fy_document_create(&cfg)
                      : fy_document_build_from_string(&cfg, (const char *)text.ptr, text.len);
    bool there = document != NULL && fy_document_root(document) != NULL &&
                 fy_node_is_mapping(fy_document_root(document));
    if (document == NULL) {
        complain_syntax(l, diag);
    } else if (there) {
        read_mapping(l, fy_document_root(document));
    } else {
        sp_diags_add(l->diags, SP_DIAG_ERROR, l->file, 1, 1,
                     "expected keys and values: domain: office.example.com and so on");
    }
    fy_document_destroy(document);
    fy_diag_destroy(diag);
    return there;
}

static void require(loader *l, bool there, const char *what)
{
    if (!there) {
        sp_diags_add(l->diags, SP_DIAG_ERROR, l->file, 0, 0, "%s", what);
    }
}

static sp_err fill_defaults(loader *l)
{
    sp_config *config = l->config;
    require(l, config->domain != NULL, "domain: is missing, such as domain: office.example.com");
    require(l, config->listen_count > 0, "listen: is missing, such as listen: [\"0.0.0.0:443\"]");
    default_users(l);
    for (size_t i = 0; config->postgres_plain && i < config->postgres_count; i++) {
        require(l, is_loopback(config->postgres[i]),
                "postgres_tls: optional is for loopback addresses only: passwords and data would "
                "cross the network in clear");
    }
    if (l->diags->errors > 0) {
        return sp_fail(SP_EINVALID);
    }
    if (config->office == NULL) {
        TRY(sp_strdup(sp_span_cstr(config->domain), &config->office));
    }
    if (config->portal == NULL) {
        TRY(sp_strdup(SP_SPAN_LIT("portal"), &config->portal));
    }
    if (config->state_dir == NULL) {
        TRY(sp_strdup(SP_SPAN_LIT("/var/lib/sallyport"), &config->state_dir));
    }
    if (config->run_dir == NULL) {
        TRY(sp_strdup(SP_SPAN_LIT("/run/sallyport"), &config->run_dir));
    }
    if (config->public_port == 0) {
        config->public_port = port_of(config->listen[0]);
    }
    return sp_ok();
}

static sp_err load(loader *l)
{
    auto_buf sp_buf text = sp_buf_make(FILE_MAX_BYTES);
    sp_err err = sp_file_read(l->file, &text);
    if (sp_failed(err)) {
        sp_diags_add(l->diags, SP_DIAG_ERROR, l->file, 0, 0, "cannot be read: %s",
                     err.code == SP_ELIMIT ? "longer than 64 KiB" : strerror(errno));
        return err;
    }
    return read_text(l, sp_buf_borrow(&text)) ? fill_defaults(l) : sp_fail(SP_EINVALID);
}

sp_err sp_config_load(const char *path, sp_diags *diags, sp_config **ret_config)
{
    sp_config *config = NULL;
    TRY(sp_alloc(1, sizeof(*config), &config));
    config->sessions_max = SESSIONS_DEFAULT;
    config->keep_gib = KEEP_GIB_DEFAULT;
    config->keep_days = KEEP_DAYS_DEFAULT;
    config->devices_max = DEVICES_DEFAULT;
    auto_free char *real = realpath(path, NULL);
    sp_err err = sp_strdup(sp_span_cstr(real != NULL ? real : path), &config->file);
    if (!sp_failed(err)) {
        loader l = {.file = path, .diags = diags, .config = config};
        err = load(&l);
    }
    if (sp_failed(err)) {
        sp_config_free(config);
        return err;
    }
    *ret_config = config;
    return sp_ok();
}

void sp_config_free(sp_config *config)
{
    if (config == NULL) {
        return;
    }
    for (size_t i = 0; i < config->listen_count; i++) {
        sp_free(config->listen[i]);
    }
    for (size_t i = 0; i < config->http_count; i++) {
        sp_free(config->http[i]);
    }
    for (size_t i = 0; i < config->asked_count; i++) {
        sp_free(config->asked[i]);
    }
    for (size_t i = 0; i < config->postgres_count; i++) {
        sp_free(config->postgres[i]);
    }
    for (size_t i = 0; i < config->ssh_count; i++) {
        sp_free(config->ssh[i]);
    }
    for (size_t i = 0; i < config->commands_count; i++) {
        sp_free(config->commands[i].name);
        sp_free(config->commands[i].path);
    }
    char *texts[] = {
        config->file,         config->office,  config->domain,          config->portal,
        config->state_dir,    config->run_dir, config->tls_certificate, config->tls_key,
        config->documents_dir};
    for (size_t i = 0; i < SP_COUNT(texts); i++) {
        sp_free(texts[i]);
    }
    sp_free(config);
}

bool sp_config_uid_is(const sp_config *config, uid_t uid, sp_role_kind role)
{
    return sp_config_has_role(config, role) && config->uids[role] == uid;
}

sp_err sp_config_socket(const sp_config *config, const char *name, char **ret_path)
{
    auto_buf sp_buf path = sp_buf_make(TEXT_MAX_BYTES + LABEL_MAX_BYTES);
    sp_buf_fmt(&path, "%s/%s.sock", config->run_dir, name);
    return sp_buf_take_cstr(&path, ret_path);
}

sp_err sp_config_state(const sp_config *config, sp_role_kind role, const char *name,
                       char **ret_path)
{
    auto_buf sp_buf path = sp_buf_make(TEXT_MAX_BYTES * 2);
    sp_buf_fmt(&path, "%s/%s/%s", config->state_dir, sp_role_word(role), name);
    return sp_buf_take_cstr(&path, ret_path);
}

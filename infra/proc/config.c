/* SPDX-License-Identifier: Apache-2.0
 * The bootstrap file: one YAML mapping against a table of known keys.
 * OWNS the sp_config it returns. PROCESS porter, every role, cli. TRUST the operator wrote it:
 * every mistake is told with its line and column, and nothing of a bad file is used.
 * SPEC infra/proc/config.h, docs/OPERATIONS.md "Bootstrap file".
 */
#include "infra/proc/config_parts.h"

#include "infra/proc/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FILE_MAX_BYTES = 64 * 1024,
    KNOWN_MAX_BYTES = 1024,
    DOMAIN_MAX_BYTES = 190, /* leaves room for <host>. in front */
    SESSIONS_DEFAULT = 100000,
    SESSIONS_LEAST = 100,
    SESSIONS_MOST = 4000000,
    DEVICES_DEFAULT = 20000,
    DEVICES_LEAST = 16,
    DEVICES_MOST = 1000000,
    CONNECTIONS_DEFAULT = 100,
    LOG_INS_DEFAULT = 600,
    KNOCKS_DEFAULT = 1800,
    CONNECTIONS_MOST = 32768,
    KEEP_GIB_DEFAULT = 20,
    KEEP_GIB_MOST = 100000,
    KEEP_DAYS_DEFAULT = 30,
    KEEP_DAYS_MOST = 3660,
    PORT_MOST = 65535,
    WORKERS_MOST = 64
};

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

/* ---- keys with a form of their own ---- */

static void read_domain(config_loader *l, struct fy_node *value)
{
    sp_span text;
    if (!config_text(l, value, &text)) {
        return;
    }
    sp_span rest = text;
    sp_span label;
    bool good = text.len <= DOMAIN_MAX_BYTES && !sp_span_ends(text, SP_SPAN_LIT("."));
    while (good && sp_span_split(&rest, '.', &label)) {
        good = sp_span_is_label(label);
    }
    if (!good) {
        config_complain(l, value,
                        "is not a domain: lower-case letters, digits and hyphens between dots, "
                        "such as office.example.com",
                        text);
        return;
    }
    config_keep(l, value, text, &l->config->domain);
}

static void read_portal(config_loader *l, struct fy_node *value)
{
    sp_span text;
    if (!config_text(l, value, &text)) {
        return;
    }
    if (!sp_span_is_label(text)) {
        config_complain(l, value, "is not one label of a host name, such as portal", text);
        return;
    }
    config_keep(l, value, text, &l->config->portal);
}

static void read_forward_auth(config_loader *l, struct fy_node *value)
{
    sp_config *config = l->config;
    config_addresses(l, value, config->asked, &config->asked_count);
    for (size_t i = 0; i < config->asked_count; i++) {
        if (!config_is_loopback(config->asked[i])) {
            config_complain(
                l, value,
                "must be loopback, such as 127.0.0.1:9180: who asks there is believed about "
                "the visitor's address and certificate",
                sp_span_cstr(config->asked[i]));
        }
    }
}

static void read_postgres_tls(config_loader *l, struct fy_node *value)
{
    sp_span text;
    if (!config_text(l, value, &text)) {
        return;
    }
    l->config->postgres_plain = sp_span_eq(text, SP_SPAN_LIT("optional"));
    if (!l->config->postgres_plain && !sp_span_eq(text, SP_SPAN_LIT("required"))) {
        config_complain(l, value, "expected: required or optional", text);
    }
}

/* ---- the table ---- */

/* A text, a path, a number or addresses, kept at a place of sp_config; or what read() does. */
typedef enum { OWN, TEXT, PATH, NUMBER, ADDRESSES } field_kind;
typedef struct {
    const char *key;
    field_kind kind;
    void (*read)(config_loader *l, struct fy_node *value);
    size_t at;
    size_t count_at; /* of addresses */
    uint64_t least;
    uint64_t most;
} field;

#define AT(member) .at = offsetof(sp_config, member)
#define LIST(member) AT(member), .count_at = offsetof(sp_config, member##_count)

static const field fields[] = {
    {"office", TEXT, AT(office)},
    {"domain", OWN, .read = read_domain},
    {"portal", OWN, .read = read_portal},
    {"listen", ADDRESSES, LIST(listen)},
    {"http", ADDRESSES, LIST(http)},
    {"forward_auth", OWN, .read = read_forward_auth},
    {"postgres", ADDRESSES, LIST(postgres)},
    {"postgres_tls", OWN, .read = read_postgres_tls},
    {"db_workers", NUMBER, AT(db_workers), .least = 1, .most = WORKERS_MOST},
    {"db_connections_each", NUMBER, AT(db_connections_each), .least = 1, .most = CONNECTIONS_MOST},
    {"ssh", ADDRESSES, LIST(ssh)},
    {"ssh_workers", NUMBER, AT(ssh_workers), .least = 1, .most = WORKERS_MOST},
    {"ssh_connections_each", NUMBER, AT(ssh_connections_each), .least = 1,
     .most = CONNECTIONS_MOST},
    {"ssh_log_ins_each", NUMBER, AT(ssh_log_ins_each), .least = 1, .most = CONNECTIONS_MOST},
    {"ssh_log_ins_address", NUMBER, AT(ssh_log_ins_address), .least = 1, .most = CONNECTIONS_MOST},
    {"keep_gib", NUMBER, AT(keep_gib), .least = 1, .most = KEEP_GIB_MOST},
    {"keep_days", NUMBER, AT(keep_days), .least = 1, .most = KEEP_DAYS_MOST},
    {"public_port", NUMBER, AT(public_port), .least = 1, .most = PORT_MOST},
    {"state", PATH, AT(state_dir)},
    {"run", PATH, AT(run_dir)},
    {"documents", PATH, AT(documents_dir)},
    {"places", PATH, AT(places)},
    {"commands", OWN, .read = config_read_commands},
    {"tls", OWN, .read = config_read_tls},
    {"users", OWN, .read = config_read_users},
    {"sessions_max", NUMBER, AT(sessions_max), .least = SESSIONS_LEAST, .most = SESSIONS_MOST},
    {"devices_max", NUMBER, AT(devices_max), .least = DEVICES_LEAST, .most = DEVICES_MOST},
};

static void read_value(config_loader *l, const field *f, struct fy_node *value)
{
    void *place = (uint8_t *)l->config + f->at;
    sp_span text;
    uint64_t number = 0;
    switch (f->kind) {
    case OWN:
        f->read(l, value);
        break;
    case TEXT:
        if (config_text(l, value, &text)) {
            config_keep(l, value, text, place);
        }
        break;
    case PATH:
        config_path(l, value, place);
        break;
    case NUMBER:
        if (config_number(l, value, f->least, f->most, &number)) {
            *(unsigned *)place = (unsigned)number;
        }
        break;
    case ADDRESSES:
        config_addresses(l, value, place, (void *)((uint8_t *)l->config + f->count_at));
        break;
    }
}

static void complain_unknown(config_loader *l, struct fy_node *node, sp_span key)
{
    auto_buf sp_buf known = sp_buf_make(KNOWN_MAX_BYTES);
    auto_free char *text = NULL;
    sp_buf_text(&known, "is an unknown key: ");
    for (size_t i = 0; i < SP_COUNT(fields); i++) {
        const char *mid = i == 0 ? "" : i + 1 == SP_COUNT(fields) ? " and " : ", ";
        sp_buf_fmt(&known, "%s%s", mid, fields[i].key);
    }
    sp_buf_text(&known, " are known");
    sp_err err = sp_buf_take_cstr(&known, &text);
    config_complain(l, node, sp_failed(err) ? "is an unknown key" : text, key);
}

/* ---- the file ---- */

static void read_pair(config_loader *l, struct fy_node_pair *pair)
{
    l->at = NULL;
    sp_span key;
    if (!config_text(l, fy_node_pair_key(pair), &key)) {
        return;
    }
    for (size_t i = 0; i < SP_COUNT(fields); i++) {
        if (sp_span_eq(key, sp_span_cstr(fields[i].key))) {
            l->at = fy_node_pair_key(pair);
            read_value(l, &fields[i], fy_node_pair_value(pair));
            return;
        }
    }
    complain_unknown(l, fy_node_pair_key(pair), key);
}

/* What libfyaml found wrong with the text itself. */
static void complain_syntax(config_loader *l, struct fy_diag *diag)
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

static void read_mapping(config_loader *l, struct fy_node *root)
{
    void *at = NULL;
    struct fy_node_pair *pair = NULL;
    while ((pair = fy_node_mapping_iterate(root, &at)) != NULL) {
        read_pair(l, pair);
    }
    l->at = NULL;
}

/* False when there is nothing in it to be looked at. */
static bool read_text(config_loader *l, sp_span text)
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

static void require(config_loader *l, bool there, const char *what)
{
    if (!there) {
        sp_diags_add(l->diags, SP_DIAG_ERROR, l->file, 0, 0, "%s", what);
    }
}

static sp_err fill_defaults(config_loader *l)
{
    sp_config *config = l->config;
    require(l, config->domain != NULL, "domain: is missing, such as domain: office.example.com");
    require(l, config->listen_count > 0, "listen: is missing, such as listen: [\"0.0.0.0:443\"]");
    config_default_users(l);
    for (size_t i = 0; config->postgres_plain && i < config->postgres_count; i++) {
        require(l, config_is_loopback(config->postgres[i]),
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
        config->public_port = config_port_of(config->listen[0]);
    }
    return sp_ok();
}

static sp_err load(config_loader *l)
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
    config->db_connections_each = CONNECTIONS_DEFAULT;
    config->ssh_connections_each = CONNECTIONS_DEFAULT;
    config->ssh_log_ins_each = LOG_INS_DEFAULT;
    config->ssh_log_ins_address = KNOCKS_DEFAULT;
    config->keep_gib = KEEP_GIB_DEFAULT;
    config->keep_days = KEEP_DAYS_DEFAULT;
    config->devices_max = DEVICES_DEFAULT;
    auto_free char *real = realpath(path, NULL);
    sp_err err = sp_strdup(sp_span_cstr(real != NULL ? real : path), &config->file);
    if (!sp_failed(err)) {
        config_loader l = {.file = path, .diags = diags, .config = config};
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
        config->file,          config->office,  config->domain,          config->portal,
        config->state_dir,     config->run_dir, config->tls_certificate, config->tls_key,
        config->documents_dir, config->places};
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
    auto_buf sp_buf path = sp_buf_make(CONFIG_TEXT_MAX_BYTES + CONFIG_LABEL_MAX_BYTES);
    sp_buf_fmt(&path, "%s/%s.sock", config->run_dir, name);
    return sp_buf_take_cstr(&path, ret_path);
}

sp_err sp_config_state(const sp_config *config, sp_role_kind role, const char *name,
                       char **ret_path)
{
    auto_buf sp_buf path = sp_buf_make(CONFIG_TEXT_MAX_BYTES * 2);
    sp_buf_fmt(&path, "%s/%s/%s", config->state_dir, sp_role_word(role), name);
    return sp_buf_take_cstr(&path, ret_path);
}

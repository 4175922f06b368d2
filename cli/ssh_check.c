/* SPDX-License-Identifier: Apache-2.0
 * Whether the machines of a folder's documents can be reached from here, show host keys that are
 * pinned or certified and turn away, as each of their accounts, whoever has a key that nobody
 * knows; and what has to stand in their sshd_config. Nothing is proved to them and nobody logs in,
 * so whether one trusts the authority shows only when somebody connects. OWNS nothing. PROCESS cli,
 * on the gate's machine. TRUST documents are the caller's; what a machine answers is hostile and
 * only compared. SPEC docs/man/sallyport-ssh.1, RFC 4253.
 */
#include "cli/policy.h"
#include "cli/ssh_ask.h"
#include "infra/crypto/random.h"
#include "infra/gate/hostcert.h"
#include "infra/proc/clock.h"
#include "infra/proc/entry.h"
#include "infra/proc/exit.h"
#include "lib/policy/ssh.h"
#include "lib/proto/ssh_cert.h"
#include "lib/ssh/key.h"

#include <getopt.h>
#include <jansson.h>
#include <libssh/libssh.h>
#include <stdarg.h>
#include <stdio.h>

enum { HOST_BYTES = 256, ACCOUNT_BYTES = 64, KINDS_BYTES = 512, WAIT_S = 5, WHY_BYTES = 320 };

typedef struct {
    const sp_policy *policy;
    uint32_t resource;
    sp_ssh_resource ssh;
    char why[WHY_BYTES]; /* empty: all is well */
    bool is_root;        /* one of its accounts is */
    bool by_password;    /* it takes passwords, and should not */
    const char *doubt;   /* why its host certificate does not do */
    sp_buf certified;    /* the host key that it names; empty: none */
} machine;

static sp_err put_kind(sp_span blob, sp_buf *out)
{
    sp_ssh_key key;
    TRY(sp_ssh_key_parse(blob, &key));
    sp_buf_text(out, out->len > 0 ? "," : "");
    sp_buf_text(out, key.type == SP_SSH_KEY_RSA ? "rsa-sha2-512,rsa-sha2-256"
                                                : sp_ssh_key_name((sp_ssh_key_type)key.type));
    return sp_ok();
}

/* Those algorithms that the keys have that it may show, and no other. */
static sp_err put_kinds(const machine *m, sp_buf *out)
{
    sp_span certified = sp_buf_borrow(&m->certified);
    if (certified.len > 0) {
        TRY(put_kind(certified, out));
    }
    for (uint32_t i = 0; i < m->ssh.host_keys; i++) {
        TRY(put_kind(sp_policy_ssh_host_key(m->policy, m->resource, i), out));
    }
    sp_buf_u8(out, 0);
    return sp_buf_error(out);
}

static bool set_up(ssh_session ssh, const machine *m, const char *account)
{
    char host[HOST_BYTES];
    const long wait_s = WAIT_S;
    const unsigned port = m->ssh.port;
    const bool no = false;
    auto_buf sp_buf kinds = sp_buf_make(KINDS_BYTES);
    return !sp_failed(sp_fit(host, sizeof(host), m->ssh.host)) &&
           !sp_failed(put_kinds(m, &kinds)) &&
           ssh_options_set(ssh, SSH_OPTIONS_PROCESS_CONFIG, &no) == 0 &&
           ssh_options_set(ssh, SSH_OPTIONS_HOST, host) == 0 &&
           ssh_options_set(ssh, SSH_OPTIONS_PORT, &port) == 0 &&
           ssh_options_set(ssh, SSH_OPTIONS_USER, account) == 0 &&
           ssh_options_set(ssh, SSH_OPTIONS_TIMEOUT, &wait_s) == 0 &&
           ssh_options_set(ssh, SSH_OPTIONS_KNOWNHOSTS, "/dev/null") == 0 &&
           ssh_options_set(ssh, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null") == 0 &&
           ssh_options_set(ssh, SSH_OPTIONS_HOSTKEYS, (const char *)kinds.ptr) == 0;
}

/* Its public key is one that is pinned, or that its certificate names. */
static bool is_pinned(ssh_session ssh, const machine *m)
{
    ssh_key key = NULL;
    char *base64 = NULL;
    auto_buf sp_buf blob = sp_buf_make(SP_SSH_KEY_BLOB_MAX_BYTES);
    bool well = ssh_get_server_publickey(ssh, &key) == SSH_OK &&
                ssh_pki_export_pubkey_base64(key, &base64) == SSH_OK &&
                !sp_failed(sp_buf_unbase64(&blob, sp_span_cstr(base64))) &&
                !sp_policy_ssh_host_revoked(m->policy, m->resource, sp_buf_borrow(&blob)) &&
                (sp_policy_ssh_host_trusts(m->policy, m->resource, sp_buf_borrow(&blob)) ||
                 sp_span_eq(sp_buf_borrow(&m->certified), sp_buf_borrow(&blob)));
    ssh_string_free_char(base64);
    ssh_key_free(key);
    return well;
}

/* What it answered may stand in it. */
static void make_printable(char *text)
{
    for (; *text != '\0'; text++) {
        *text = *text >= ' ' && *text <= '~' ? *text : '?';
    }
}

__attribute__((format(printf, 2, 3))) static void say(machine *m, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(m->why, sizeof(m->why), format, arguments);
    va_end(arguments);
}

/* What it answered to somebody who may not come in. Anything but a plain no is not well: what was
 * not tried to its end is not known. */
static void judge(machine *m, ssh_session ssh, const char *account, int answer)
{
    if (answer == SSH_AUTH_SUCCESS) {
        say(m, "it lets anybody in as '%s', with a key that nobody knows", account);
    } else if (answer == SSH_AUTH_PARTIAL) {
        say(m, "as '%s' it takes a key that nobody knows for one of several proofs", account);
    } else if (answer != SSH_AUTH_DENIED) {
        say(m, "whether it lets strangers in as '%s' could not be tried: %s", account,
            ssh_get_error(ssh));
    }
}

/* A key that was made just now. */
static void try_a_key(ssh_session ssh, machine *m, const char *account)
{
    ssh_key key = NULL;
    if (ssh_pki_generate(SSH_KEYTYPE_ED25519, 0, &key) == SSH_OK) {
        judge(m, ssh, account, ssh_userauth_publickey(ssh, NULL, key));
    } else {
        say(m, "whether it lets strangers in could not be tried: no key could be made");
    }
    ssh_key_free(key);
}

/* No key at all and a strange one open nothing. */
static void try_the_door(ssh_session ssh, machine *m, const char *account)
{
    bool by_key = m->ssh.sign_in != SP_SSH_SIGN_IN_PASSWORD;
    judge(m, ssh, account, ssh_userauth_none(ssh, NULL));
    if (m->why[0] != '\0') {
        return;
    }
    unsigned ways = (unsigned)ssh_userauth_list(ssh, NULL);
    m->by_password =
        m->by_password ||
        (by_key && (ways & (SSH_AUTH_METHOD_PASSWORD | SSH_AUTH_METHOD_INTERACTIVE)) != 0);
    if ((ways & SSH_AUTH_METHOD_PUBLICKEY) != 0) {
        try_a_key(ssh, m, account);
    } else if (by_key) {
        say(m, "it takes no keys as '%s', and the gate signs in with one", account);
    }
}

static void look_as(machine *m, const char *account)
{
    ssh_session ssh = ssh_new();
    if (ssh == NULL || !set_up(ssh, m, account)) {
        snprintf(m->why, sizeof(m->why), "no connection can be made of what the document says");
    } else if (ssh_connect(ssh) != SSH_OK) {
        snprintf(m->why, sizeof(m->why), "%s", ssh_get_error(ssh));
    } else if (!is_pinned(ssh, m)) {
        snprintf(m->why, sizeof(m->why), "it shows a host key that the document does not name%s%s",
                 m->doubt == NULL ? "" : "; ", m->doubt == NULL ? "" : m->doubt);
    } else {
        try_the_door(ssh, m, account);
    }
    if (ssh != NULL) {
        ssh_disconnect(ssh);
        ssh_free(ssh);
    }
    make_printable(m->why);
}

/* The key that its certificate names, if an authority of the document stands for it. */
static void look_at_certificate(machine *m)
{
    char host[HOST_BYTES];
    auto_buf sp_buf blob = sp_buf_make(SP_SSH_CERT_MAX_BYTES);
    m->doubt = sp_failed(sp_fit(host, sizeof(host), m->ssh.host))
                   ? "its address is too long"
                   : ssh_ask_certificate(host, m->ssh.port, &blob);
    m->doubt = m->doubt != NULL ? m->doubt : sp_hostcert_verify(sp_buf_borrow(&blob));
    m->doubt = m->doubt != NULL ? m->doubt
                                : sp_hostcert_judge(m->policy, m->resource, sp_buf_borrow(&blob),
                                                    sp_now_unix_us() / 1000000, &m->certified);
    if (m->doubt != NULL) {
        sp_buf_reset(&m->certified);
    }
}

/* SSH has one account a connection. */
static void look(machine *m)
{
    char account[ACCOUNT_BYTES];
    if (m->ssh.host_cas > 0) {
        look_at_certificate(m);
    }
    if (m->doubt != NULL && m->ssh.host_keys == 0) {
        snprintf(m->why, sizeof(m->why), "%s", m->doubt);
    }
    for (uint32_t i = 0; i < m->ssh.accounts && m->why[0] == '\0'; i++) {
        sp_span name = sp_policy_ssh_any_account(m->policy, m->resource, i);
        if (sp_failed(sp_fit(account, sizeof(account), name))) {
            snprintf(m->why, sizeof(m->why), "an account's name is too long");
            return;
        }
        m->is_root = m->is_root || sp_span_eq(name, SP_SPAN_LIT("root"));
        look_as(m, account);
    }
}

/* What the machine needs, in its sshd_config, for the gate to sign in there. */
static const char *needs(const machine *m)
{
    switch ((sp_ssh_sign_in)m->ssh.sign_in) {
    case SP_SSH_SIGN_IN_CERTIFICATE:
        return "TrustedUserCAKeys /etc/ssh/sallyport_ca.pub, AuthorizedKeysFile none, "
               "AuthorizedPrincipalsFile none, AuthenticationMethods publickey";
    case SP_SSH_SIGN_IN_KEY:
        return "AuthenticationMethods publickey; in the account's authorized_keys only the line "
               "that 'sallyport ssh-account key' printed";
    case SP_SSH_SIGN_IN_PASSWORD:
        return "PasswordAuthentication yes, AuthorizedKeysFile none";
    case SP_SSH_SIGN_IN_COUNT:
        break;
    }
    return "";
}

static json_t *warnings_json(const machine *m)
{
    json_t *warnings = json_array();
    if (m->is_root) {
        json_array_append_new(warnings, json_string("people work as root there: an account for "
                                                    "each kind of work can do less"));
    }
    if (m->by_password) {
        json_array_append_new(
            warnings, json_string("it takes passwords as well: AuthenticationMethods publickey"));
    }
    return warnings;
}

static json_t *machine_json(const machine *m)
{
    sp_span name = sp_policy_resource_name(m->policy, m->resource);
    json_t *row = json_pack("{s:s%, s:s%, s:i, s:s, s:b, s:s, s:o}", "resource", name.ptr, name.len,
                            "host", m->ssh.host.ptr, m->ssh.host.len, "port", (int)m->ssh.port,
                            "sign_in", sp_ssh_sign_in_word((sp_ssh_sign_in)m->ssh.sign_in), "well",
                            m->why[0] == '\0', "needs", needs(m), "warnings", warnings_json(m));
    if (m->why[0] != '\0') {
        json_object_set_new(row, "why", json_string(m->why));
    }
    return row;
}

static void print_row(const json_t *row)
{
    size_t at = 0;
    json_t *warning = NULL;
    bool well = json_is_true(json_object_get(row, "well"));
    printf("%s  %s at %s:%d: %s\n      its sshd needs: %s\n", well ? "good" : "BAD ",
           json_string_value(json_object_get(row, "resource")),
           json_string_value(json_object_get(row, "host")),
           (int)json_integer_value(json_object_get(row, "port")),
           well ? "answers with a host key that is pinned or certified, and lets no stranger in"
                : json_string_value(json_object_get(row, "why")),
           json_string_value(json_object_get(row, "needs")));
    json_array_foreach(json_object_get(row, "warnings"), at, warning)
    {
        printf("      warning: %s\n", json_string_value(warning));
    }
}

/* What was asked for. */
typedef struct {
    const char *folder;
    char *const *names; /* of machines; NULL behind the last */
    bool all;
    bool json;
} wish;

static bool is_wanted(const wish *w, sp_span name)
{
    for (size_t i = 0; w->names[i] != NULL; i++) {
        if (sp_span_eq(name, sp_span_cstr(w->names[i]))) {
            return true;
        }
    }
    return w->all;
}

static json_t *look_at_all(const wish *w, const sp_policy *policy, bool *ret_well)
{
    json_t *rows = json_array();
    for (uint32_t i = 0; i < sp_policy_resource_count(policy); i++) {
        machine m = {
            .policy = policy, .resource = i, .certified = sp_buf_make(SP_SSH_KEY_BLOB_MAX_BYTES)};
        if (is_wanted(w, sp_policy_resource_name(policy, i)) &&
            sp_policy_ssh_resource(policy, i, &m.ssh)) {
            look(&m);
            *ret_well = *ret_well && m.why[0] == '\0';
            json_array_append_new(rows, machine_json(&m));
        }
        sp_buf_done(&m.certified);
    }
    return rows;
}

static int check(const wish *w)
{
    auto_office policy_office office = {0};
    bool well = true;
    size_t at = 0;
    json_t *row = NULL;
    if (sp_failed(policy_office_load(w->folder, NULL, &office))) {
        policy_print_diags(&office.diags);
        fprintf(stderr, "%s: no documents that are valid\n", w->folder);
        return SP_EXIT_INVALID;
    }
    json_t *rows = look_at_all(w, sp_policy_set_view(office.set), &well);
    if (json_array_size(rows) == 0) {
        fprintf(stderr,
                "no document there names such a machine: a resource with 'ssh' is expected\n");
        well = false;
    } else if (w->json) {
        json_dumpf(rows, stdout, JSON_INDENT(2));
        printf("\n");
    } else {
        json_array_foreach(rows, at, row)
        {
            print_row(row);
        }
    }
    json_decref(rows);
    return well ? SP_EXIT_OK : SP_EXIT_FAILED;
}

static int usage(FILE *to, int status)
{
    fprintf(
        to,
        "usage: sallyport ssh-check [--json] FOLDER [MACHINE...]\n\n"
        "Connects from here to the machines that a folder's documents name, and says whether\n"
        "each answers with a host key that is pinned, or that an authority of the document\n"
        "certified, and turns away a key that nobody knows, and\n"
        "what its sshd needs. Nobody logs in there.\n\nExit status: 0 all is well, 1 it is not, 4 "
        "the documents are wrong.\n");
    return status;
}

int sp_ssh_check_command(int argc, char **argv)
{
    static const struct option LONG[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
    wish w = {0};
    int one = 0;
    while ((one = getopt_long(argc, argv, "", LONG, NULL)) != -1) {
        if (one == 'h') {
            return usage(stdout, SP_EXIT_OK);
        }
        if (one != 'j') {
            return usage(stderr, SP_EXIT_USAGE);
        }
        w.json = true;
    }
    if (optind >= argc || sp_failed(sp_crypto_start())) {
        return usage(stderr, SP_EXIT_USAGE);
    }
    w.folder = argv[optind];
    w.names = argv + optind + 1;
    w.all = optind + 1 == argc;
    return check(&w);
}

/* SPDX-License-Identifier: Apache-2.0
 * A person's own machines and how to reach them; the gate's host key.
 * OWNS what waits for the vault. PROCESS core. TRUST requests are hostile.
 * SPEC docs/api/openapi.yaml "/me/ssh", "/ssh/host-key", "/ssh/target-ca".
 */
#include "core/documents/documents.h"
#include "core/http/json.h"
#include "core/ssh/inside.h"
#include "core/vault_client.h"
#include "infra/proc/clock.h"
#include "lib/policy/ssh.h"
#include "lib/proto/vault_msg.h"
#include "lib/ssh/key.h"

enum { SSH_PORT = 22, LINE_MAX_BYTES = 1024, FINGERPRINT_MAX_BYTES = 64 };

/* The port that people connect to: that of the first listener; 0 = there is no gate. */
static unsigned port_of(const sp_config *config)
{
    sp_span address = config->ssh_count == 0 ? SP_SPAN_EMPTY : sp_span_cstr(config->ssh[0]);
    size_t colon = address.len;
    uint64_t port = 0;
    while (colon > 0 && address.ptr[colon - 1] != ':') {
        colon--;
    }
    SP_IGNORE(sp_span_to_u64(sp_span_slice(address, colon, address.len), UINT16_MAX,
                             &port)); /* checked when the file was read */
    return (unsigned)port;
}

/* For known_hosts. */
static void put_line(const sp_core *core, sp_span blob, sp_buf *line)
{
    unsigned port = port_of(core->config);
    if (port == SSH_PORT) {
        sp_buf_fmt(line, "%s ", core->portal_host);
    } else {
        sp_buf_fmt(line, "[%s]:%u ", core->portal_host, port);
    }
    sp_ssh_key_text(blob, line);
}

/* then: with the public key's blob. */
static void ask_public(sp_request *req, sp_vault_ssh_key which, sp_on_vault_reply then)
{
    auto_buf sp_buf body = sp_buf_make(8);
    sp_vault_ssh_public_encode(which, &body);
    sp_vault_client_call(sp_request_core(req)->vault, SP_VAULT_SSH_PUBLIC, sp_buf_borrow(&body),
                         then, req);
}

/* ---- the host key ---- */

static json_t *host_key_json(const sp_core *core, sp_span blob)
{
    auto_buf sp_buf line = sp_buf_make(LINE_MAX_BYTES);
    auto_buf sp_buf print = sp_buf_make(FINGERPRINT_MAX_BYTES);
    sp_ssh_key key;
    put_line(core, blob, &line);
    sp_ssh_key_fingerprint(blob, &print);
    sp_err known = sp_ssh_key_parse(blob, &key);
    return json_pack("{s:s, s:o, s:o}", "algorithm",
                     sp_failed(known) ? "?" : sp_ssh_key_name((sp_ssh_key_type)key.type),
                     "fingerprint", sp_json_span(sp_buf_borrow(&print)), "line",
                     sp_json_span(sp_buf_borrow(&line)));
}

static void on_host_key(void *self, sp_err err, sp_span blob)
{
    sp_request *req = self;
    auto_buf sp_buf line = sp_buf_make(LINE_MAX_BYTES);
    if (err.code == SP_ENOTFOUND) {
        sp_answer_problem(req, 404, "not_found", "This office has no SSH gate.");
        return;
    }
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    put_line(sp_request_core(req), blob, &line);
    sp_buf_byte(&line, '\n');
    sp_answer_bytes(req, 200, "text/plain; charset=utf-8", sp_buf_borrow(&line));
}

static void get_host_key(sp_request *req)
{
    ask_public(req, SP_VAULT_SSH_HOST, on_host_key);
}

static void on_renewed(void *self, sp_err err, sp_span blob)
{
    sp_request *req = self;
    if (err.code == SP_ENOTFOUND) {
        sp_answer_problem(req, 404, "not_found", "This office has no SSH gate.");
    } else if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        sp_answer_json(req, 200, host_key_json(sp_request_core(req), blob));
    }
}

static void go_renew(sp_request *req, void *data)
{
    (void)data;
    sp_vault_client_call(sp_request_core(req)->vault, SP_VAULT_SSH_HOST_RENEW, SP_SPAN_EMPTY,
                         on_renewed, req);
}

/* The gate shows the new one once its role is started anew (docs/SSH.md 8). */
static void post_host_key(sp_request *req)
{
    sp_event event = sp_request_event(req, SP_EVENT_ADMIN);
    event.method = SP_SPAN_LIT("SSH host key replaced");
    event.gate = SP_GATE_SSH;
    sp_request_record(req, &event, go_renew, NULL);
}

/* ---- the authority that machines trust ---- */

static void on_target_ca(void *self, sp_err err, sp_span blob)
{
    sp_request *req = self;
    auto_buf sp_buf line = sp_buf_make(LINE_MAX_BYTES);
    if (err.code == SP_ENOTFOUND) {
        sp_answer_problem(req, 404, "not_found", "This office has no SSH gate.");
        return;
    }
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    sp_ssh_key_text(blob, &line);
    sp_buf_fmt(&line, " sallyport@%s\n", sp_request_core(req)->config->domain);
    sp_answer_bytes(req, 200, "text/plain; charset=utf-8", sp_buf_borrow(&line));
}

static void get_target_ca(sp_request *req)
{
    ask_public(req, SP_VAULT_SSH_TARGET_CA, on_target_ca);
}

/* ---- one's machines ---- */

static json_t *accounts_json(const sp_policy *policy, uint32_t at, const sp_subject *who)
{
    json_t *accounts = json_array();
    sp_span account = SP_SPAN_EMPTY;
    for (uint32_t i = 0; (account = sp_policy_ssh_account_at(policy, at, who, i)).len > 0; i++) {
        json_array_append_new(accounts, sp_json_span(account));
    }
    return accounts;
}

static json_t *commands_json(const sp_policy *policy, uint32_t at, uint32_t count)
{
    json_t *commands = json_array();
    for (uint32_t i = 0; i < count; i++) {
        sp_ssh_listed listed;
        if (!sp_policy_ssh_listed(policy, at, i, &listed)) {
            continue;
        }
        auto_buf sp_buf argv = sp_buf_make(8192);
        for (uint32_t w = 0; w < listed.words; w++) {
            sp_buf_text(&argv, w > 0 ? " " : "");
            sp_buf_span(&argv, sp_policy_ssh_listed_word(policy, at, i, w));
        }
        json_array_append_new(commands, json_pack("{s:o, s:o}", "name", sp_json_span(listed.name),
                                                  "argv", sp_json_span(sp_buf_borrow(&argv))));
    }
    return commands;
}

typedef struct {
    sp_span resource;
    uint32_t person;
    json_int_t count;
} counting;

static void count_one(void *self, sp_ssh_connection *c)
{
    counting *n = self;
    n->count += c->person == n->person && sp_span_eq(sp_span_cstr(c->resource), n->resource);
}

static json_t *machines_json(sp_request *req)
{
    const sp_core *core = sp_request_core(req);
    const sp_policy *policy = sp_policy_set_view(sp_documents_set(core->state->documents));
    sp_subject who = sp_request_subject(req, sp_now_unix_us() / 1000000);
    json_t *items = json_array();
    for (uint32_t i = 0; i < sp_policy_resource_count(policy); i++) {
        sp_ssh_resource ssh;
        if (!sp_policy_ssh_resource(policy, i, &ssh) ||
            sp_policy_ssh_account(policy, i, &who, SP_SPAN_EMPTY).len == 0) {
            continue;
        }
        sp_span name = sp_policy_resource_name(policy, i);
        counting n = {.resource = name, .person = who.person};
        sp_ssh_connections_each(core->ssh, count_one, &n);
        json_array_append_new(
            items,
            json_pack("{s:o, s:{s:o, s:o}, s:o, s:b, s:o, s:I}", "name", sp_json_span(name),
                      "title", "en", sp_json_span(ssh.title_en.len > 0 ? ssh.title_en : name), "zh",
                      sp_json_span(ssh.title_zh), "accounts", accounts_json(policy, i, &who),
                      "shell", ssh.shell, "commands", commands_json(policy, i, ssh.commands),
                      "connections", n.count));
    }
    return items;
}

static void on_my_host_key(void *self, sp_err err, sp_span blob)
{
    sp_request *req = self;
    const sp_core *core = sp_request_core(req);
    json_t *keys = json_array();
    if (!sp_failed(err)) { /* without the vault the machines can be looked at all the same */
        json_array_append_new(keys, host_key_json(core, blob));
    }
    sp_answer_json(req, 200,
                   json_pack("{s:s, s:i, s:o, s:s, s:o}", "host", core->portal_host, "port",
                             (int)port_of(core->config), "host_keys", keys, "user",
                             sp_request_session(req)->person_name, "items", machines_json(req)));
}

static void get_mine(sp_request *req)
{
    ask_public(req, SP_VAULT_SSH_HOST, on_my_host_key);
}

sp_err sp_ssh_mine_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/me/ssh", SP_WHO_PERSON, get_mine, 0},
        {"GET", "/api/v1/ssh/host-key", SP_WHO_PUBLIC | SP_WHO_LOCAL, get_host_key, 0},
        {"POST", "/api/v1/admin/ssh/host-key", SP_WHO_SECURITY | SP_WHO_LOCAL | SP_WHO_FRESH,
         post_host_key, 0},
        {"GET", "/api/v1/ssh/target-ca", SP_WHO_PUBLIC | SP_WHO_LOCAL, get_target_ca, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

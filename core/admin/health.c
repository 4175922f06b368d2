/* SPDX-License-Identifier: Apache-2.0
 * Health of the roles: what core sees of them, and what the porter says (since when, how often they
 * were started again).
 * OWNS nothing. PROCESS core. TRUST the porter's file is our own, and bounded. SPEC
 * docs/api/openapi.yaml "/admin/health"; porter/status.c.
 */
#include "core/admin/events.h"
#include "core/http/json.h"
#include "core/ledger_client.h"
#include "core/state/gates.h"
#include "core/vault_client.h"
#include "infra/proc/clock.h"
#include "infra/proc/file.h"

#include <string.h>

enum { STATUS_MAX_BYTES = 64 * 1024 };

/* What the porter wrote; NULL without one (under systemd each role is a service of its own). */
static json_t *read_status(const sp_core *core)
{
    auto_buf sp_buf path = sp_buf_make(4096);
    auto_buf sp_buf text = sp_buf_make(STATUS_MAX_BYTES);
    auto_free char *name = NULL;
    sp_buf_fmt(&path, "%s/status.json", core->config->run_dir);
    if (sp_failed(sp_buf_take_cstr(&path, &name)) || sp_failed(sp_file_read(name, &text))) {
        return NULL;
    }
    return sp_json_parse(sp_buf_borrow(&text));
}

static const json_t *status_of(const json_t *status, const char *name)
{
    const json_t *roles = json_object_get(status, "roles");
    for (size_t i = 0; i < json_array_size(roles); i++) {
        const json_t *role = json_array_get(roles, i);
        const char *word = json_string_value(json_object_get(role, "role"));
        if (word != NULL && strcmp(word, name) == 0) {
            return role;
        }
    }
    return NULL;
}

static void add_role(json_t *roles, const json_t *status, const char *name, const char *state,
                     sp_span message)
{
    const json_t *said = status_of(status, name);
    json_t *role = json_pack("{s:s,s:s}", "name", name, "state", state);
    if (message.len > 0) {
        json_object_set_new(role, "message", sp_json_span(message));
    }
    if (said != NULL) {
        json_int_t since = json_integer_value(json_object_get(said, "since"));
        json_t *restarts = json_object_get(said, "restarts");
        json_t *pid = json_object_get(said, "pid");
        const char *last_end = json_string_value(json_object_get(said, "last_end"));
        json_object_set_new(role, "since", sp_json_time(since > 0 ? (uint64_t)since : 0));
        json_object_set(role, "restarts", restarts);
        json_object_set(role, "pid", pid);
        if (last_end != NULL && last_end[0] != '\0') {
            json_object_set_new(role, "last_end", json_string(last_end));
        }
    }
    json_array_append_new(roles, role);
}

static const char *up_or_down(bool up)
{
    return up ? "up" : "down";
}

/* Those whom core does not ask itself, as the porter has them. */
static void add_others(json_t *roles, const json_t *status)
{
    static const char *const asked[] = {"core", "vault", "ledger", "web"};
    const json_t *list = json_object_get(status, "roles");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *said = json_array_get(list, i);
        sp_span name = sp_span_cstr(json_string_value(json_object_get(said, "role")));
        sp_span state = sp_span_cstr(json_string_value(json_object_get(said, "state")));
        bool starts = sp_span_eq(state, SP_SPAN_LIT("starting"));
        if (sp_span_which(name, asked, SP_COUNT(asked)) == SP_COUNT(asked)) {
            add_role(roles, status, json_string_value(json_object_get(said, "role")),
                     starts ? "starting" : up_or_down(sp_span_eq(state, SP_SPAN_LIT("ready"))),
                     SP_SPAN_EMPTY);
        }
    }
}

static void on_health(void *self, sp_err err, sp_span body)
{
    sp_request *req = self;
    sp_core *core = sp_request_core(req);
    sp_ledger_stats stats = {0};
    bool has_stats = !sp_failed(err) && !sp_failed(sp_ledger_stats_read(body, &stats));
    bool vault_up = sp_vault_client_is_up(core->vault);
    size_t workers = sp_gates_workers(core->state->gates);
    sp_span silent = SP_SPAN_LIT("does not answer on its socket");
    auto_buf sp_buf web = sp_buf_make(64);
    sp_buf_fmt(&web, "%zu workers connected", workers);
    json_t *status = read_status(core);
    json_t *roles = json_array();
    add_role(roles, status, "core", "up", SP_SPAN_EMPTY);
    add_role(roles, status, "vault", up_or_down(vault_up), vault_up ? SP_SPAN_EMPTY : silent);
    add_role(roles, status, "ledger", up_or_down(has_stats), has_stats ? stats.trouble : silent);
    add_role(roles, status, "web", up_or_down(workers > 0), sp_buf_borrow(&web));
    add_others(roles, status);
    json_decref(status);
    json_t *answer = json_object();
    json_object_set_new(answer, "at", sp_json_time(sp_now_unix_us() / 1000000));
    json_object_set_new(answer, "version", json_string(SP_VERSION));
    json_object_set_new(answer, "roles", roles);
    json_object_set_new(
        answer, "checks",
        json_pack("[{s:s,s:b}]", "name", "recording", "ok", has_stats && stats.recording ? 1 : 0));
    sp_answer_json(req, 200, answer);
}

static void get_health(sp_request *req)
{
    sp_ledger_client_call(sp_request_core(req)->ledger, SP_LEDGER_STATS, SP_SPAN_EMPTY, on_health,
                          req);
}

sp_err sp_admin_health_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/admin/health", SP_WHO_ANY_ADMIN | SP_WHO_LOCAL, get_health, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

/* SPDX-License-Identifier: Apache-2.0
 * core.sock: HELLO, SEEN, TOKEN, and pushes.
 * OWNS the server, a record for each gate connection. PROCESS core. TRUST bodies are hostile.
 * SPEC core/state/gates.h.
 */
#include "core/state/gates.h"

#include "core/approvals/approvals.h"
#include "core/database/database.h"
#include "core/sessions/sessions.h"
#include "core/ssh/ssh.h"
#include "core/state/publish.h"
#include "core/state/token.h"
#include "core/status/status.h"
#include "core/watch/watch.h"
#include "infra/ipc/server.h"
#include "infra/proc/clock.h"
#include "infra/proc/entry.h"
#include "infra/proc/log.h"
#include "lib/proto/core_msg.h"
#include "lib/proto/db_msg.h"

enum { PEERS_MAX = 256 };

struct sp_gates {
    sp_core *core;
    sp_server *server;
    uint64_t next_id;
    size_t workers;
};

/* What is known of one connection, from HELLO on. */
typedef struct {
    uint64_t id;
    uint8_t gate; /* sp_gate */
    uint8_t part; /* sp_core_part */
} gate;

/* ---- HELLO ---- */

/* The role that may say it is this gate; SP_ROLE_COUNT: none. */
static sp_role_kind role_of_gate(uint8_t kind)
{
    if (kind == SP_GATE_WEB) {
        return SP_ROLE_WEB;
    }
    if (kind == SP_GATE_SSH) {
        return SP_ROLE_SSH;
    }
    return kind == SP_GATE_DB ? SP_ROLE_DB : SP_ROLE_COUNT;
}

/* Workers of gates whose statements and commands others may have to agree to. */
static bool may_ask(const gate *known)
{
    return (known->gate == SP_GATE_DB || known->gate == SP_GATE_SSH) &&
           known->part == SP_CORE_WORKER;
}

static void answer_hello(sp_gates *gates, sp_peer *peer, const sp_msg *msg, const gate *known)
{
    const sp_core *core = gates->core;
    sp_publish *publish = core->state->publish;
    if (sp_publish_fd(publish) < 0) {
        sp_peer_reply(peer, msg, SP_EAGAIN, SP_SPAN_EMPTY, NULL, 0);
        return;
    }
    sp_core_office office = {
        .gate_id = known->id,
        .policy_version = sp_publish_version(publish),
        .epoch = sp_live_epoch(&core->live),
        .public_port = (uint16_t)core->config->public_port,
        .office = sp_span_cstr(core->config->office),
        .domain = sp_span_cstr(core->config->domain),
        .portal = sp_span_cstr(core->config->portal),
    };
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_core_office_write(&office, &body);
    const int fds[] = {
        [SP_CORE_FD_SNAPSHOT] = sp_publish_fd(publish), [SP_CORE_FD_LIVE] = core->live_fd};
    sp_peer_reply(peer, msg, SP_OK, sp_buf_borrow(&body), fds, SP_COUNT(fds));
}

static sp_err on_hello(sp_gates *gates, sp_peer *peer, const sp_msg *msg)
{
    sp_core_hello hello;
    TRY(sp_core_hello_read(msg->body, &hello));
    if (!sp_config_uid_is(gates->core->config, sp_peer_uid(peer), role_of_gate(hello.gate))) {
        return sp_fail(SP_EDENIED);
    }
    gate *known = sp_peer_data(peer);
    if (known == NULL) {
        TRY(sp_alloc(1, sizeof(*known), &known));
        known->id = ++gates->next_id;
        known->gate = hello.gate;
        known->part = hello.part;
        gates->workers += hello.part == SP_CORE_WORKER ? 1 : 0;
        sp_peer_set_data(peer, known);
    }
    answer_hello(gates, peer, msg, known);
    if (known->gate == SP_GATE_WEB && known->part == SP_CORE_LAUNCHER) {
        auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
        sp_status_write(gates->core, &body);
        sp_peer_push(peer, SP_CORE_STATUS, sp_buf_borrow(&body), NULL, 0);
    }
    if (may_ask(known)) {
        sp_approvals_tell_gate(gates->core, known->gate, peer);
    }
    return sp_ok();
}

/* ---- SEEN, TOKEN ---- */

static sp_err on_seen(sp_gates *gates, const sp_msg *msg)
{
    sp_core_seen seen;
    TRY(sp_core_seen_read(msg->body, &seen));
    uint64_t now_unix_s = sp_now_unix_us() / 1000000;
    for (uint32_t i = 0; i < seen.count; i++) {
        sp_core_seen_one one = sp_core_seen_at(&seen, i);
        sp_sessions_seen(gates->core, one.session_slot, one.session_id, now_unix_s);
    }
    return sp_ok();
}

static bool is_about_asking(const gate *known, uint16_t kind)
{
    return may_ask(known) &&
           (kind == SP_CORE_DB_ASK || kind == SP_CORE_DB_ASK_USE || kind == SP_CORE_DB_ASK_DROP ||
            (kind == SP_CORE_DB_KEEP && known->gate == SP_GATE_DB));
}

static sp_err on_packet(sp_gates *gates, sp_peer *peer, const sp_msg *msg)
{
    if (msg->kind == SP_CORE_HELLO) {
        return on_hello(gates, peer, msg);
    }
    if (sp_peer_data(peer) == NULL) {
        return sp_fail(SP_EDENIED); /* HELLO comes first */
    }
    if (msg->kind == SP_CORE_SEEN) {
        return on_seen(gates, msg);
    }
    const gate *known = sp_peer_data(peer);
    if (msg->kind == SP_CORE_TOKEN && known->gate == SP_GATE_WEB && known->part == SP_CORE_WORKER) {
        return sp_token_answer(gates->core, peer, msg); /* the others have no application */
    }
    if (is_about_asking(known, msg->kind)) {
        return sp_approvals_on_message(gates->core, known->gate, peer, msg);
    }
    if (known->gate == SP_GATE_DB && known->part == SP_CORE_WORKER) {
        return sp_databases_on_message(gates->core, peer, msg);
    }
    if (known->gate == SP_GATE_SSH && known->part == SP_CORE_WORKER) {
        return msg->kind == SP_CORE_DB_SPEND
                   ? sp_databases_on_spend(gates->core, known->gate, peer, msg)
                   : sp_ssh_on_message(gates->core, peer, msg);
    }
    return sp_fail(SP_EUNSUPPORTED);
}

static void on_watch(sp_gates *gates, sp_peer *peer, const sp_msg *msg)
{
    sp_err err = sp_watcher_on_message(gates->core, peer, msg);
    if (sp_failed(err)) {
        sp_log(SP_LOG_WARN, "core.sock: the watch was dropped: kind %u, %s", msg->kind,
               sp_code_word(err.code));
        sp_peer_drop(peer);
    }
}

static void on_message(void *self, sp_peer *peer, const sp_msg *msg, sp_fds *fds)
{
    sp_gates *gates = self;
    (void)fds;
    const sp_config *config = gates->core->config;
    bool gate_uid = sp_config_uid_is(config, sp_peer_uid(peer), SP_ROLE_WEB) ||
                    sp_config_uid_is(config, sp_peer_uid(peer), SP_ROLE_DB) ||
                    sp_config_uid_is(config, sp_peer_uid(peer), SP_ROLE_SSH);
    bool watch_uid = sp_config_uid_is(config, sp_peer_uid(peer), SP_ROLE_WATCH);
    if (watch_uid && msg->kind >= SP_CORE_WATCH_HELLO && msg->kind < SP_CORE_WATCH_KIND_END) {
        on_watch(gates, peer, msg);
        return;
    }
    sp_err err = gate_uid ? on_packet(gates, peer, msg) : sp_fail(SP_EDENIED);
    if (sp_failed(err)) {
        sp_log(SP_LOG_WARN, "core.sock: dropped uid %u pid %d: kind %u, %s",
               (unsigned)sp_peer_uid(peer), (int)sp_peer_pid(peer), msg->kind,
               sp_code_word(err.code));
        sp_peer_drop(peer);
    }
}

static void on_gone(void *self, sp_peer *peer)
{
    sp_gates *gates = self;
    gate *known = sp_peer_data(peer);
    sp_watcher_gone(gates->core, peer);
    if (known != NULL && known->part == SP_CORE_WORKER) {
        gates->workers--;
    }
    if (known != NULL && known->gate == SP_GATE_DB) {
        sp_databases_gone(gates->core, peer);
    }
    if (known != NULL && known->gate == SP_GATE_SSH) {
        sp_ssh_gone(gates->core, peer);
    }
    sp_free(known);
    sp_peer_set_data(peer, NULL);
}

/* ---- pushes ---- */

static void push_snapshot(void *self, sp_peer *peer)
{
    const sp_gates *gates = self;
    if (sp_peer_data(peer) == NULL) {
        return;
    }
    const sp_publish *publish = gates->core->state->publish;
    sp_core_snapshot snapshot = {sp_publish_version(publish)};
    auto_buf sp_buf body = sp_buf_make(64);
    sp_core_snapshot_write(&snapshot, &body);
    int fd = sp_publish_fd(publish);
    sp_peer_push(peer, SP_CORE_SNAPSHOT, sp_buf_borrow(&body), &fd, 1);
}

static void push_again(void *self, sp_peer *peer)
{
    if (sp_peer_data(peer) != NULL) {
        sp_peer_push(peer, SP_CORE_AGAIN, *(const sp_span *)self, NULL, 0);
    }
}

void sp_gates_push_snapshot(sp_gates *gates)
{
    sp_server_each(gates->server, push_snapshot, gates);
}

void sp_gates_push_again(sp_gates *gates, uint64_t epoch)
{
    auto_buf sp_buf body = sp_buf_make(64);
    sp_core_again again = {epoch};
    sp_core_again_write(&again, &body);
    sp_span bytes = sp_buf_borrow(&body);
    sp_server_each(gates->server, push_again, &bytes);
}

typedef struct {
    sp_gate gate;
    sp_core_part part;
    uint16_t kind;
    sp_span body;
} pushing;

static void push_one(void *self, sp_peer *peer)
{
    const pushing *push = self;
    const gate *known = sp_peer_data(peer);
    if (known != NULL && known->gate == push->gate && known->part == push->part) {
        sp_peer_push(peer, push->kind, push->body, NULL, 0);
    }
}

void sp_gates_push(sp_gates *gates, sp_gate to, uint16_t kind, sp_span body)
{
    pushing push = {to, SP_CORE_WORKER, kind, body};
    sp_server_each(gates->server, push_one, &push);
}

void sp_gates_push_launchers(sp_gates *gates, sp_gate to, uint16_t kind, sp_span body)
{
    pushing push = {to, SP_CORE_LAUNCHER, kind, body};
    sp_server_each(gates->server, push_one, &push);
}

size_t sp_gates_workers(const sp_gates *gates)
{
    return gates->workers;
}

sp_err sp_gates_start(sp_core *core, sp_gates **ret_gates)
{
    auto_close int fd = sp_entry_listen_fd("core");
    if (fd < 0) {
        return sp_fail(SP_ENOTFOUND);
    }
    auto_free sp_gates *gates = NULL;
    TRY(sp_alloc(1, sizeof(*gates), &gates));
    gates->core = core;
    sp_server_calls calls = {on_message, on_gone, gates};
    TRY(sp_server_new(core->loop, fd, PEERS_MAX, &calls, &gates->server));
    (void)SP_STEAL_FD(fd); /* the server owns it now */
    *ret_gates = SP_STEAL(gates);
    return sp_ok();
}

void sp_gates_stop(sp_gates *gates)
{
    if (gates != NULL) {
        sp_server_free(gates->server);
        sp_free(gates);
    }
}

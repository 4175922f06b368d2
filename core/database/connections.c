/* SPDX-License-Identifier: Apache-2.0
 * Live connections to databases: what gates tell of them, who sees them, who ends them.
 * OWNS the list. PROCESS core. TRUST a gate may be taken over: it can tell of connections that are
 * not there, on sessions that live; texts are bounded and well-formed.
 * SPEC core/database/database.h, docs/api/openapi.yaml "databases/connections".
 */
#include "core/database/inside.h"
#include "core/http/json.h"
#include "core/http/sse.h"
#include "core/ledger_client.h"
#include "core/sessions/sessions.h"
#include "infra/proc/clock.h"
#include "lib/proto/event.h"

enum { LISTED_MAX = 1000, BUCKETS = 4096 };
#define REFERENCE_MASK ((UINT64_C(1) << 60) - 1) /* what a reference says of an id */

typedef struct connection {
    struct connection *next; /* in its bucket */
    sp_peer *peer;           /* compared and pushed to while it lives */
    uint64_t id;
    uint64_t session;
    uint64_t device;
    uint64_t began_unix_s;
    uint32_t person;
    uint8_t address[16];
    char person_name[SP_NAME_MAX_BYTES + 1];
    char device_name[SP_LIVE_NAME_BYTES];
    char resource[SP_NAME_MAX_BYTES + 1];
    char database[SP_DB_NAME_MAX_BYTES + 1];
    char account[SP_DB_NAME_MAX_BYTES + 1];
    char application[SP_DB_NAME_MAX_BYTES + 1];
} connection;

struct sp_db_connections {
    connection *buckets[BUCKETS];
    size_t count;
};

sp_err sp_db_connections_new(sp_db_connections **ret_connections)
{
    return sp_alloc(1, sizeof(**ret_connections), ret_connections);
}

void sp_db_connections_free(sp_db_connections *connections)
{
    for (size_t i = 0; connections != NULL && i < BUCKETS; i++) {
        while (connections->buckets[i] != NULL) {
            connection *c = connections->buckets[i];
            connections->buckets[i] = c->next;
            sp_free(c);
        }
    }
    sp_free(connections);
}

static connection **place_of(sp_db_connections *all, uint64_t id)
{
    connection **at = &all->buckets[id % BUCKETS];
    while (*at != NULL && (*at)->id != id) {
        at = &(*at)->next;
    }
    return at;
}

static void publish(sp_core *core, uint32_t person)
{
    sp_sse_publish(core, SP_TOPIC_DATABASES, 0, "databases",
                   json_pack("{s:s}", "what", "connections"));
    sp_sse_publish(core, SP_TOPIC_ME, person, "me", json_pack("{s:s}", "what", "databases"));
}

static void take_out(sp_databases *databases, connection **at)
{
    connection *c = *at;
    uint32_t person = c->person;
    *at = c->next;
    databases->connections->count--;
    sp_free(c);
    publish(databases->core, person);
}

void sp_db_connections_gone(sp_databases *databases, const sp_peer *peer)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        connection **at = &databases->connections->buckets[i];
        while (*at != NULL) {
            if ((*at)->peer == peer) {
                take_out(databases, at);
            } else {
                at = &(*at)->next;
            }
        }
    }
}

size_t sp_db_connections_count(const sp_db_connections *connections, sp_span resource)
{
    size_t count = 0;
    if (resource.len == 0) {
        return connections->count;
    }
    for (size_t i = 0; i < BUCKETS; i++) {
        for (const connection *c = connections->buckets[i]; c != NULL; c = c->next) {
            count += sp_span_eq(sp_span_cstr(c->resource), resource) ? 1 : 0;
        }
    }
    return count;
}

void sp_databases_each(sp_core *core,
                       void (*visit)(void *self, uint64_t session, uint64_t device,
                                     sp_span resource),
                       void *self)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        for (const connection *c = core->databases->connections->buckets[i]; c != NULL;
             c = c->next) {
            visit(self, c->session, c->device, sp_span_cstr(c->resource));
        }
    }
}

/* ---- CONN ---- */

static sp_err fill(const sp_core *core, const sp_db_conn *told, const sp_live_session *session,
                   connection *c)
{
    sp_live_device device;
    uint32_t slot = SP_NONE;
    sp_hash hash;
    c->id = told->connection;
    c->session = session->id;
    c->person = session->person;
    c->began_unix_s = sp_now_unix_us() / 1000000;
    sp_copy(c->address, told->peer, sizeof(c->address));
    sp_copy(hash.bytes, told->fingerprint.bytes, sizeof(hash.bytes));
    if (sp_db_has_fingerprint(&told->fingerprint) &&
        !sp_failed(sp_live_find_cert(&core->live, &hash, &device, &slot))) {
        c->device = device.id;
        TRY(sp_fit(c->device_name, sizeof(c->device_name), sp_span_cstr(device.name)));
    }
    TRY(sp_fit(c->person_name, sizeof(c->person_name), sp_span_cstr(session->person_name)));
    TRY(sp_fit(c->resource, sizeof(c->resource), told->resource));
    TRY(sp_fit(c->database, sizeof(c->database), told->database));
    TRY(sp_fit(c->account, sizeof(c->account), told->account));
    return sp_fit(c->application, sizeof(c->application), told->application);
}

static size_t count_of(const sp_db_connections *all, uint32_t person)
{
    size_t count = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (const connection *c = all->buckets[i]; c != NULL; c = c->next) {
            count += c->person == person ? 1 : 0;
        }
    }
    return count;
}

/* asks: it is not open yet. One that is (core was away) is not refused any more. */
static sp_err opened(sp_databases *databases, sp_peer *peer, const sp_db_conn *told, bool asks)
{
    sp_core *core = databases->core;
    sp_db_connections *all = databases->connections;
    sp_live_session session;
    connection *c = NULL;
    connection **at = place_of(all, told->connection);
    if (*at != NULL) {
        return sp_ok(); /* told twice */
    }
    TRY(sp_db_session_live(core, &told->session, &session)); /* the gate will hear of that */
    if (all->count >= SP_DB_CONNECTIONS_MAX ||
        (asks && count_of(all, session.person) >= core->config->db_connections_each)) {
        return sp_fail(SP_ELIMIT);
    }
    TRY(sp_alloc(1, sizeof(*c), &c));
    sp_err err = fill(core, told, &session, c);
    if (sp_failed(err)) {
        sp_free(c);
        return err;
    }
    c->peer = peer;
    *at = c;
    all->count++;
    sp_sessions_seen(core, told->session.slot, told->session.id, c->began_unix_s);
    publish(core, c->person);
    return sp_ok();
}

sp_err sp_db_on_conn(sp_databases *databases, sp_peer *peer, const sp_msg *msg)
{
    sp_db_conn told;
    TRY(sp_db_conn_read(msg->body, &told));
    if (told.state == SP_DB_CONN_OPEN) {
        sp_err err = opened(databases, peer, &told, msg->id != 0);
        if (msg->id != 0) {
            sp_peer_reply(peer, msg, err.code, SP_SPAN_EMPTY, NULL, 0);
        }
        return sp_ok();
    }
    connection **at = place_of(databases->connections, told.connection);
    if (*at != NULL && (*at)->peer == peer) {
        take_out(databases, at);
    }
    return sp_ok();
}

/* ---- the API ---- */

static json_t *connection_json(const connection *c)
{
    char id[SP_REFERENCE_TEXT_BYTES];
    char session[SP_SESSION_ID_TEXT_BYTES];
    char address[SP_SESSION_PEER_BYTES];
    sp_sessions_peer_text(c->address, address);
    sp_reference_text(c->id, id);
    sp_session_id_text(c->session, session);
    return json_pack("{s:s, s:{s:o, s:s}, s:o, s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "id", id,
                     "person", "id", sp_json_id(c->person), "name", c->person_name, "device",
                     c->device == 0 ? json_null()
                                    : json_pack("{s:o, s:s}", "id", sp_json_id(c->device), "name",
                                                c->device_name),
                     "resource", c->resource, "database", c->database, "account", c->account,
                     "application", c->application, "session", session, "address", address,
                     "opened_at", sp_json_time(c->began_unix_s));
}

/* person 0 = everybody's. */
static void answer_list(sp_request *req, uint32_t person)
{
    const sp_db_connections *all = sp_databases_of(req)->connections;
    sp_span resource = sp_request_query(req, "resource");
    json_t *items = json_array();
    for (size_t i = 0; i < BUCKETS; i++) {
        for (const connection *c = all->buckets[i]; c != NULL; c = c->next) {
            bool wanted = (person == 0 || c->person == person) &&
                          (resource.len == 0 || sp_span_eq(sp_span_cstr(c->resource), resource));
            if (wanted && json_array_size(items) < LISTED_MAX) {
                json_array_append_new(items, connection_json(c));
            }
        }
    }
    sp_answer_items(req, items);
}

static void get_all(sp_request *req)
{
    answer_list(req, 0);
}

static void get_mine(sp_request *req)
{
    answer_list(req, sp_request_person(req));
}

/* The connection that the path names; only the person's own unless he may see all. */
static const connection *named(sp_request *req, bool own_only)
{
    uint64_t id = 0;
    const connection *c = NULL;
    if (!sp_failed(sp_reference_of(sp_request_param(req, 0), &id))) {
        const sp_db_connections *all = sp_databases_of(req)->connections;
        /* a reference is the low 60 bits of an id */
        for (size_t i = 0; i < BUCKETS && c == NULL; i++) {
            c = all->buckets[i];
            while (c != NULL && (c->id & REFERENCE_MASK) != (id & REFERENCE_MASK)) {
                c = c->next;
            }
        }
    }
    if (c == NULL || (own_only && c->person != sp_request_person(req))) {
        sp_answer_problem(req, 404, "not_found", "This connection has ended already.");
        return NULL;
    }
    return c;
}

static void tell(sp_request *req, const connection *c, const char *method, sp_span why)
{
    sp_event event = sp_request_event(req, SP_EVENT_ADMIN);
    auto_buf sp_buf detail = sp_buf_make(4000);
    char id[SP_REFERENCE_TEXT_BYTES];
    sp_reference_text(c->id, id);
    sp_buf_fmt(&detail, "{\"connection\":\"%s\",\"why\":", id);
    sp_buf_json(&detail, why);
    sp_buf_byte(&detail, '}');
    event.gate = SP_GATE_DB;
    event.method = sp_span_cstr(method);
    event.resource = sp_span_cstr(c->resource);
    event.object = sp_span_cstr(c->person_name);
    event.detail = sp_buf_borrow(&detail);
    sp_ledger_client_tell(sp_request_core(req)->ledger, &event);
}

/* Taking away is never refused: it happens first and is told after. */
static void end_one(sp_request *req, bool own_only)
{
    sp_span why = SP_SPAN_EMPTY;
    const sp_field fields[] = {SP_FIELD_TEXT_OPT("why", &why, 0, SP_DB_REASON_MAX_BYTES)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    const connection *c = named(req, own_only);
    if (c != NULL) {
        auto_buf sp_buf body = sp_buf_make(512);
        sp_span said = why.len > 0 ? why
                       : own_only  ? SP_SPAN_LIT("you ended this connection in the portal")
                                   : SP_SPAN_LIT("an administrator ended this connection");
        sp_db_kill end = {c->id, said};
        sp_db_kill_write(&end, &body);
        sp_peer_push(c->peer, SP_CORE_DB_KILL, sp_buf_borrow(&body), NULL, 0);
        tell(req, c, "database connection ended", why);
        sp_answer_empty(req, 204);
    }
}

static void cancel_one(sp_request *req, bool own_only)
{
    if (!sp_request_fields(req, NULL, 0)) {
        return;
    }
    const connection *c = named(req, own_only);
    if (c != NULL) {
        auto_buf sp_buf body = sp_buf_make(64);
        sp_db_cancel cancel = {c->id};
        sp_db_cancel_write(&cancel, &body);
        sp_peer_push(c->peer, SP_CORE_DB_CANCEL, sp_buf_borrow(&body), NULL, 0);
        tell(req, c, "database statement cancelled", SP_SPAN_EMPTY);
        sp_answer_empty(req, 204);
    }
}

static void post_end(sp_request *req)
{
    end_one(req, false);
}

static void post_end_mine(sp_request *req)
{
    end_one(req, true);
}

static void post_cancel(sp_request *req)
{
    cancel_one(req, false);
}

static void post_cancel_mine(sp_request *req)
{
    cancel_one(req, true);
}

sp_err sp_db_connections_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/me/databases/connections", SP_WHO_PERSON, get_mine, 0},
        {"POST", "/api/v1/me/databases/connections/{id}/end", SP_WHO_PERSON, post_end_mine, 0},
        {"POST", "/api/v1/me/databases/connections/{id}/cancel", SP_WHO_PERSON, post_cancel_mine,
         0},
        {"GET", "/api/v1/admin/databases/connections", SP_WHO_SYSTEM | SP_WHO_SECURITY, get_all, 0},
        {"POST", "/api/v1/admin/databases/connections/{id}/end", SP_WHO_SECURITY, post_end, 0},
        {"POST", "/api/v1/admin/databases/connections/{id}/cancel", SP_WHO_SECURITY, post_cancel,
         0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

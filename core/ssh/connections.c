/* SPDX-License-Identifier: Apache-2.0
 * Live SSH connections: what gates tell of them, who sees them, who ends them.
 * OWNS the list. PROCESS core. TRUST a gate may be taken over: it can tell of connections that are
 * not there, on sessions that live; texts are bounded and well-formed.
 * SPEC core/ssh/ssh.h, docs/api/openapi.yaml "/ssh/connections".
 */
#include "core/http/json.h"
#include "core/http/sse.h"
#include "core/ledger_client.h"
#include "core/ssh/inside.h"
#include "infra/proc/clock.h"

enum { LISTED_MAX = 1000, BUCKETS = 4096 };

struct sp_ssh_connections {
    sp_ssh_connection *buckets[BUCKETS];
    size_t count;
};

sp_err sp_ssh_connections_new(sp_ssh_connections **ret_connections)
{
    return sp_alloc(1, sizeof(**ret_connections), ret_connections);
}

static void connection_free(sp_ssh_connection *c)
{
    sp_free(c->channels);
    sp_free(c);
}

void sp_ssh_connections_free(sp_ssh_connections *connections)
{
    for (size_t i = 0; connections != NULL && i < BUCKETS; i++) {
        while (connections->buckets[i] != NULL) {
            sp_ssh_connection *c = connections->buckets[i];
            connections->buckets[i] = c->next;
            connection_free(c);
        }
    }
    sp_free(connections);
}

static sp_ssh_connection **place_of(sp_ssh_connections *all, uint64_t id)
{
    sp_ssh_connection **at = &all->buckets[id % BUCKETS];
    while (*at != NULL && (*at)->id != id) {
        at = &(*at)->next;
    }
    return at;
}

void sp_ssh_connections_each(sp_ssh *ssh, void (*visit)(void *self, sp_ssh_connection *connection),
                             void *self)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        for (sp_ssh_connection *c = ssh->connections->buckets[i]; c != NULL; c = c->next) {
            visit(self, c);
        }
    }
}

void sp_ssh_each(sp_core *core,
                 void (*visit)(void *self, uint64_t session, uint64_t device, sp_span resource),
                 void *self)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        for (const sp_ssh_connection *c = core->ssh->connections->buckets[i]; c != NULL;
             c = c->next) {
            visit(self, c->session, c->device, sp_span_cstr(c->resource));
        }
    }
}

sp_ssh_connection *sp_ssh_connection_of(sp_ssh *ssh, uint64_t id, const sp_peer *line)
{
    sp_ssh_connection *c = *place_of(ssh->connections, id);
    return c != NULL && c->peer == line ? c : NULL;
}

sp_ssh_connection *sp_ssh_connection_named(sp_ssh *ssh, sp_span reference)
{
    uint64_t id = 0;
    sp_ssh_connection *c = NULL;
    if (sp_failed(sp_reference_of(reference, &id))) {
        return NULL;
    }
    for (size_t i = 0; i < BUCKETS && c == NULL; i++) {
        c = ssh->connections->buckets[i];
        while (c != NULL && (c->id & SP_SSH_REFERENCE_MASK) != (id & SP_SSH_REFERENCE_MASK)) {
            c = c->next;
        }
    }
    return c;
}

void sp_ssh_connection_changed(sp_core *core, const sp_ssh_connection *c)
{
    sp_sse_publish(core, SP_TOPIC_SSH, 0, "ssh", json_pack("{s:s}", "what", "connections"));
    sp_sse_publish(core, SP_TOPIC_ME, c->person, "me", json_pack("{s:s}", "what", "ssh"));
}

static void take_out(sp_ssh *ssh, sp_ssh_connection **at)
{
    sp_ssh_connection *c = *at;
    uint64_t session = c->session;
    *at = c->next;
    ssh->connections->count--;
    sp_ssh_connection_changed(ssh->core, c);
    connection_free(c);
    sp_ssh_ride_closed(ssh, session);
}

/* ---- a line that breaks ---- */

/* The end and the statement that its worker cannot write any more: nothing is known of it but that
 * what is recorded is complete to the last chunk. */
static void tell_lost(sp_ssh *ssh, const sp_ssh_connection *c)
{
    auto_buf sp_buf detail = sp_buf_make(256);
    sp_buf_fmt(&detail,
               "{\"channels\":%zu,\"lost\":\"the gate's worker ended before it could say what it "
               "covered\"}",
               c->channel_count);
    sp_event event = {.kind = SP_EVENT_CLOSE,
                      .when_unix_us = sp_now_unix_us(),
                      .reference = c->id,
                      .session = c->session,
                      .device = c->device,
                      .person = c->person,
                      .severity = SP_SEVERITY_MEDIUM,
                      .gate = SP_GATE_SSH,
                      .action = SP_ACTION_CONNECT,
                      .verdict = SP_VERDICT_ALLOW,
                      .person_name = sp_span_cstr(c->person_name),
                      .resource = sp_span_cstr(c->resource),
                      .method = SP_SPAN_LIT("connect"),
                      .detail = sp_buf_borrow(&detail),
                      .object = sp_span_cstr(c->account)};
    sp_copy(event.peer, c->address, sizeof(event.peer));
    sp_ledger_client_tell(ssh->core->ledger, &event);
}

void sp_ssh_connections_gone(sp_ssh *ssh, const sp_peer *peer)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        sp_ssh_connection **at = &ssh->connections->buckets[i];
        while (*at != NULL) {
            if ((*at)->peer == peer) {
                tell_lost(ssh, *at);
                take_out(ssh, at);
            } else {
                at = &(*at)->next;
            }
        }
    }
}

/* ---- CONN ---- */

static sp_err fill(const sp_core *core, const sp_ssh_conn *told, const sp_live_session *session,
                   sp_ssh_connection *c)
{
    sp_live_device device;
    uint32_t slot = SP_NONE;
    sp_hash hash;
    c->id = told->connection;
    c->session = session->id;
    c->person = session->person;
    c->began_unix_s = sp_now_unix_us() / 1000000;
    c->frozen = told->frozen != 0;
    TRY(sp_fit(c->frozen_by, sizeof(c->frozen_by), told->frozen_by));
    sp_copy(c->address, told->peer, sizeof(c->address));
    sp_copy(hash.bytes, told->fingerprint.bytes, sizeof(hash.bytes));
    if (sp_db_has_fingerprint(&told->fingerprint) &&
        !sp_failed(sp_live_find_cert(&core->live, &hash, &device, &slot))) {
        c->device = device.id;
        TRY(sp_fit(c->device_name, sizeof(c->device_name), sp_span_cstr(device.name)));
    }
    TRY(sp_fit(c->person_name, sizeof(c->person_name), sp_span_cstr(session->person_name)));
    TRY(sp_fit(c->resource, sizeof(c->resource), told->resource));
    TRY(sp_fit(c->account, sizeof(c->account), told->account));
    return sp_fit(c->client, sizeof(c->client), told->client);
}

static void push_end(sp_peer *peer, uint64_t id, sp_span why)
{
    auto_buf sp_buf body = sp_buf_make(512);
    const sp_ssh_kill end = {id, why};
    sp_ssh_kill_write(&end, &body);
    sp_peer_push(peer, SP_CORE_SSH_KILL, sp_buf_borrow(&body), NULL, 0);
}

static sp_err opened(sp_ssh *ssh, sp_peer *peer, const sp_ssh_conn *told)
{
    sp_core *core = ssh->core;
    sp_ssh_connections *all = ssh->connections;
    sp_live_session session;
    sp_ssh_connection *c = NULL;
    sp_ssh_connection **at = place_of(all, told->connection);
    if (*at != NULL ||
        sp_failed(sp_sessions_live(core, told->session.slot, told->session.id, &session))) {
        return sp_ok(); /* told twice, or its session has just ended: the gate will hear of that */
    }
    if (all->count >= SP_SSH_CONNECTIONS_MAX) { /* it could neither be seen nor ended */
        push_end(peer, told->connection,
                 SP_SPAN_LIT("the office has as many SSH connections as it can look after"));
        return sp_ok();
    }
    TRY(sp_alloc(1, sizeof(*c), &c));
    sp_err err = fill(core, told, &session, c);
    if (sp_failed(err)) {
        connection_free(c);
        return err;
    }
    c->peer = peer;
    *at = c;
    all->count++;
    sp_sessions_seen(core, told->session.slot, told->session.id, c->began_unix_s);
    sp_ssh_ride_opened(ssh, c->session, peer);
    sp_ssh_place_hold(ssh, c);
    sp_ssh_frozen_opened(ssh, c);
    sp_ssh_connection_changed(core, c);
    return sp_ok();
}

sp_err sp_ssh_on_conn(sp_ssh *ssh, sp_peer *peer, const sp_msg *msg)
{
    sp_ssh_conn told;
    TRY(sp_ssh_conn_read(msg->body, &told));
    if (told.state == SP_SSH_OPEN) {
        return opened(ssh, peer, &told);
    }
    sp_ssh_conversations_closed(ssh, told.connection, peer);
    sp_ssh_place_leave(ssh, told.connection, peer);
    sp_ssh_connection **at = place_of(ssh->connections, told.connection);
    if (*at != NULL && (*at)->peer == peer) {
        take_out(ssh, at);
    }
    return sp_ok();
}

/* ---- CHANNEL ---- */

static sp_ssh_channel_open *channel_of(sp_ssh_connection *c, uint32_t number)
{
    for (size_t i = 0; i < c->channel_count; i++) {
        if (c->channels[i].number == number) {
            return &c->channels[i];
        }
    }
    return NULL;
}

/* As much of it as there is room for, not cut within a letter. */
static void fit_object(sp_ssh_channel_open *channel, sp_span object)
{
    size_t len = object.len < sizeof(channel->object) ? object.len : sizeof(channel->object) - 1;
    while (len > 0 && !sp_span_is_utf8(sp_span_slice(object, 0, len))) {
        len--;
    }
    sp_copy(channel->object, object.ptr, len);
    channel->object[len] = '\0';
}

static sp_err channel_told(sp_ssh_connection *c, const sp_ssh_channel *told)
{
    sp_ssh_channel_open *channel = channel_of(c, told->channel);
    if (told->state == SP_SSH_CLOSED) {
        if (channel != NULL) {
            *channel = c->channels[--c->channel_count];
        }
        return sp_ok();
    }
    if (c->channels == NULL) {
        TRY(sp_alloc(SP_SSH_CHANNELS_MAX, sizeof(*c->channels), &c->channels));
    }
    if (channel == NULL && c->channel_count < SP_SSH_CHANNELS_MAX) {
        channel = &c->channels[c->channel_count++];
    }
    if (channel != NULL) {
        channel->number = told->channel;
        channel->kind = told->kind;
        fit_object(channel, told->object);
    }
    return sp_ok();
}

sp_err sp_ssh_on_channel(sp_ssh *ssh, sp_peer *peer, const sp_msg *msg)
{
    sp_ssh_channel told;
    TRY(sp_ssh_channel_read(msg->body, &told));
    sp_ssh_connection *c = sp_ssh_connection_of(ssh, told.connection, peer);
    if (c != NULL) {
        TRY(channel_told(c, &told));
        sp_ssh_connection_changed(ssh->core, c);
    }
    return sp_ok();
}

/* ---- who may ---- */

static bool may_see(sp_request *req, const sp_ssh_connection *c)
{
    return c->person == sp_request_person(req) || sp_request_admin(req) != 0 ||
           sp_ssh_may_watch(req, c->person, c->ask);
}

static bool may_end(sp_request *req, const sp_ssh_connection *c)
{
    return c->person == sp_request_person(req) ||
           (sp_request_admin(req) & (SP_WHO_SECURITY | SP_WHO_SYSTEM)) != 0 ||
           sp_ssh_is_watching(c, sp_request_person(req));
}

/* ---- the API ---- */

static json_t *channels_json(const sp_ssh_connection *c)
{
    json_t *channels = json_array();
    for (size_t i = 0; i < c->channel_count; i++) {
        const sp_ssh_channel_open *one = &c->channels[i];
        json_array_append_new(channels,
                              json_pack("{s:I, s:s, s:s}", "number", (json_int_t)one->number,
                                        "kind", sp_ssh_channel_word((sp_ssh_channel_kind)one->kind),
                                        "object", one->object));
    }
    return channels;
}

static json_t *watchers_json(const sp_ssh_connection *c)
{
    json_t *watchers = json_array();
    for (size_t i = 0; i < c->watcher_count; i++) {
        json_array_append_new(watchers, json_string(c->watchers[i].name));
    }
    return watchers;
}

static json_t *alarm_json(const sp_ssh_stood_out *alarm)
{
    return alarm->count == 0 ? json_null()
                             : json_pack("{s:s, s:i, s:I, s:o}", "text", alarm->text, "confidence",
                                         (int)alarm->confidence, "count", (json_int_t)alarm->count,
                                         "at", sp_json_time(alarm->at_unix_s));
}

json_t *sp_ssh_connection_json(sp_request *req, const sp_ssh_connection *c)
{
    char id[SP_REFERENCE_TEXT_BYTES];
    char session[SP_SESSION_ID_TEXT_BYTES];
    char address[SP_SESSION_PEER_BYTES];
    sp_reference_text(c->id, id);
    sp_session_id_text(c->session, session);
    sp_sessions_peer_text(c->address, address);
    json_t *out =
        json_pack("{s:s, s:{s:o, s:s}, s:o, s:s, s:s, s:s, s:s, s:s, s:o}", "id", id, "person",
                  "id", sp_json_id(c->person), "name", c->person_name, "device",
                  c->device == 0 ? json_null()
                                 : json_pack("{s:o, s:s}", "id", sp_json_id(c->device), "name",
                                             c->device_name),
                  "resource", c->resource, "account", c->account, "client", c->client, "session",
                  session, "address", address, "opened_at", sp_json_time(c->began_unix_s));
    json_object_set_new(out, "frozen", json_boolean(c->frozen));
    json_object_set_new(out, "frozen_by",
                        c->frozen_by[0] == '\0' ? json_null() : json_string(c->frozen_by));
    json_object_set_new(out, "alarm", alarm_json(&c->alarm));
    json_object_set_new(out, "watch_needed", json_boolean(c->watch_wanted));
    json_object_set_new(out, "watchers", watchers_json(c));
    json_object_set_new(out, "channels", channels_json(c));
    json_object_set_new(out, "can",
                        json_pack("{s:b, s:b, s:b}", "end", may_end(req, c), "freeze",
                                  sp_ssh_may_freeze(req, c), "watch",
                                  sp_ssh_may_watch(req, c->person, c->ask)));
    return out;
}

static bool matches(sp_span wanted, const char *is)
{
    return wanted.len == 0 || sp_span_eq(wanted, sp_span_cstr(is));
}

typedef struct {
    const sp_ssh_connection *items[LISTED_MAX];
    size_t count;
    sp_request *req;
    bool mine;
    sp_span person;
    sp_span resource;
} listing;

static void list_one(void *self, sp_ssh_connection *c)
{
    listing *list = self;
    bool wanted =
        (list->mine ? c->person == sp_request_person(list->req) : may_see(list->req, c)) &&
        matches(list->person, c->person_name) && matches(list->resource, c->resource);
    size_t at = list->count;
    if (!wanted || at == LISTED_MAX) {
        return;
    }
    while (at > 0 && list->items[at - 1]->began_unix_s < c->began_unix_s) {
        list->items[at] = list->items[at - 1];
        at--;
    }
    list->items[at] = c;
    list->count++;
}

static void get_all(sp_request *req)
{
    listing *list = NULL;
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*list), &list);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    list->req = req;
    list->mine = sp_span_eq(sp_request_query(req, "mine"), SP_SPAN_LIT("1"));
    list->person = sp_request_query(req, "person");
    list->resource = sp_request_query(req, "resource");
    sp_ssh_connections_each(sp_ssh_of(req), list_one, list);
    json_t *items = json_array();
    for (size_t i = 0; i < list->count; i++) {
        json_array_append_new(items, sp_ssh_connection_json(req, list->items[i]));
    }
    sp_answer_items(req, items);
}

sp_ssh_connection *sp_ssh_connection_asked(sp_request *req)
{
    sp_ssh_connection *c = sp_ssh_connection_named(sp_ssh_of(req), sp_request_param(req, 0));
    if (c == NULL || !may_see(req, c)) {
        sp_answer_problem(req, 404, "not_found", "This connection has ended already.");
        return NULL;
    }
    return c;
}

static void get_one(sp_request *req)
{
    const sp_ssh_connection *c = sp_ssh_connection_asked(req);
    if (c != NULL) {
        sp_answer_json(req, 200, sp_ssh_connection_json(req, c));
    }
}

sp_event sp_ssh_connection_event(sp_request *req, const sp_ssh_connection *c, const char *method,
                                 sp_span why, sp_buf *room)
{
    sp_event event = sp_request_event(req, SP_EVENT_ADMIN);
    char id[SP_REFERENCE_TEXT_BYTES];
    sp_reference_text(c->id, id);
    sp_buf_fmt(room, "{\"connection\":\"%s\",\"why\":", id);
    sp_buf_json(room, why);
    sp_buf_byte(room, '}');
    event.gate = SP_GATE_SSH;
    event.reference = c->id;
    event.method = sp_span_cstr(method);
    event.resource = sp_span_cstr(c->resource);
    event.object = sp_span_cstr(c->person_name);
    event.detail = sp_buf_borrow(room);
    return event;
}

static void tell(sp_request *req, const sp_ssh_connection *c, const char *method, sp_span why)
{
    auto_buf sp_buf room = sp_buf_make(4000);
    sp_event event = sp_ssh_connection_event(req, c, method, why, &room);
    sp_ledger_client_tell(sp_request_core(req)->ledger, &event);
}

static void answer_may_not(sp_request *req)
{
    sp_answer_problem(req, 403, "forbidden",
                      "Only its owner, who watches it, and administrators may do this.");
}

/* Taking away is never refused: it happens first and is told after. */
static void post_end(sp_request *req)
{
    sp_span why = SP_SPAN_EMPTY;
    const sp_field fields[] = {SP_FIELD_TEXT_OPT("why", &why, 0, SP_SSH_WHY_MAX_BYTES)};
    sp_ssh_connection *c = NULL;
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) ||
        (c = sp_ssh_connection_asked(req)) == NULL) {
        return;
    }
    if (!may_end(req, c)) {
        answer_may_not(req);
        return;
    }
    bool own = c->person == sp_request_person(req);
    push_end(c->peer, c->id,
             why.len > 0 ? why
             : own       ? SP_SPAN_LIT("you ended this connection in the portal")
                         : SP_SPAN_LIT("this connection was ended by who may"));
    tell(req, c, "SSH connection ended", why);
    sp_answer_empty(req, 204);
}

sp_err sp_ssh_connections_routes(sp_core *core)
{
#define ONE "/api/v1/ssh/connections/{id}"
    static const sp_route routes[] = {
        {"GET", "/api/v1/ssh/connections", SP_WHO_PERSON, get_all, 0},
        {"GET", ONE, SP_WHO_PERSON, get_one, 0},
        {"POST", ONE "/end", SP_WHO_PERSON, post_end, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

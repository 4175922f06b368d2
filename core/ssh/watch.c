/* SPDX-License-Identifier: Apache-2.0
 * Watching terminals: who looks now, and telling the gate, which lets a shell that needs a second
 * person run only while somebody looks.
 *
 * Story: a page or command line that shows the terminal says so every three seconds; after eight
 * without, nobody looks. For a shell that was approved only those who approved it count, so that
 * the terminal runs for who answered for it; security and audit administrators may look besides.
 *
 * OWNS watchers. PROCESS core. TRUST requests are hostile; nobody watches himself.
 * SPEC docs/api/openapi.yaml "/ssh/connections/{id}/watch".
 */
#include "core/approvals/approvals.h"
#include "core/ledger_client.h"
#include "core/ssh/inside.h"
#include "infra/proc/clock.h"

enum { BEAT_LASTS_US = 8 * 1000000, ASK_MAX_BYTES = 512 * 1024 };

bool sp_ssh_is_watching(const sp_ssh_connection *c, uint32_t person)
{
    for (size_t i = 0; i < c->watcher_count; i++) {
        if (c->watchers[i].person == person) {
            return true;
        }
    }
    return false;
}

static bool has_approved(sp_request *req, uint64_t ask)
{
    return ask != 0 && sp_ask_approved_by(sp_request_core(req)->store, ask, sp_request_person(req));
}

bool sp_ssh_may_watch(sp_request *req, uint32_t whose, uint64_t ask)
{
    return whose != sp_request_person(req) &&
           ((sp_request_admin(req) & (SP_WHO_SECURITY | SP_WHO_AUDIT)) != 0 ||
            has_approved(req, ask));
}

bool sp_ssh_watched_by(sp_store *store, uint64_t connection, uint64_t *ret_ask,
                       uint32_t *ret_person)
{
    auto_query sp_query q =
        sp_query_of(store, "SELECT ask, person FROM ssh_watched WHERE connection = $1");
    sp_bind_bits(&q, connection & SP_SSH_REFERENCE_MASK);
    if (!sp_query_row(&q)) {
        return false;
    }
    *ret_ask = sp_col_bits(&q);
    *ret_person = (uint32_t)sp_col_u64(&q);
    return true;
}

static sp_err keep_watched(sp_store *store, const sp_ssh_connection *c)
{
    auto_query sp_query q = sp_query_alone(
        store, "INSERT INTO ssh_watched (connection, ask, person) VALUES ($1, $2, $3)"
               " ON CONFLICT (connection) DO UPDATE SET ask = $2");
    sp_bind_bits(&q, c->id & SP_SSH_REFERENCE_MASK);
    sp_bind_bits(&q, c->ask);
    sp_bind_u64(&q, c->person);
    return sp_query_finish(&q);
}

/* ---- the gate ---- */

static void tell_gate(sp_ssh *ssh, sp_ssh_connection *c, bool always)
{
    auto_buf sp_buf by = sp_buf_make(SP_SSH_BY_MAX_BYTES);
    auto_buf sp_buf body = sp_buf_make(2 * SP_SSH_BY_MAX_BYTES);
    uint32_t watching = 0;
    for (size_t i = 0; i < c->watcher_count; i++) {
        if (c->watchers[i].counts) {
            sp_buf_text(&by, watching++ > 0 ? ", " : "");
            sp_buf_text(&by, c->watchers[i].name);
        }
    }
    if (c->watch_wanted && (always || watching != c->watching)) {
        const sp_ssh_watched watched = {c->id, watching, sp_buf_borrow(&by)};
        sp_ssh_watched_write(&watched, &body);
        sp_peer_push(c->peer, SP_CORE_SSH_WATCHED, sp_buf_borrow(&body), NULL, 0);
    }
    c->watching = watching;
    sp_ssh_connection_changed(ssh->core, c);
}

/* A gate could name anybody's ask, and let who approved that look at this. */
static bool is_asked_here(sp_store *store, const sp_ssh_connection *c, uint64_t id)
{
    auto_arena sp_arena arena = sp_arena_make(ASK_MAX_BYTES);
    sp_ask ask;
    return !sp_failed(sp_ask_load(store, &arena, id, &ask)) && ask.kind == SP_ASK_COMMAND &&
           ask.asker == c->person && ask.session == c->session &&
           sp_span_eq(ask.resource, sp_span_cstr(c->resource));
}

sp_err sp_ssh_on_watch_want(sp_ssh *ssh, sp_peer *peer, const sp_msg *msg)
{
    sp_ssh_watch_want want;
    TRY(sp_ssh_watch_want_read(msg->body, &want));
    sp_ssh_connection *c = sp_ssh_connection_of(ssh, want.connection, peer);
    if (c == NULL || (want.ask != 0 && !is_asked_here(ssh->core->store, c, want.ask))) {
        return sp_ok();
    }
    c->watch_wanted = true;
    c->ask = want.ask;
    if (c->ask != 0) { /* else administrators alone look at its recording */
        SP_IGNORE(keep_watched(ssh->core->store, c));
    }
    for (size_t i = 0; i < c->watcher_count; i++) {
        sp_ssh_watcher *w = &c->watchers[i];
        w->counts = c->ask == 0 || sp_ask_approved_by(ssh->core->store, c->ask, w->person);
    }
    tell_gate(ssh, c, true);
    return sp_ok();
}

static void remove_watcher(sp_ssh *ssh, sp_ssh_connection *c, size_t at)
{
    sp_ssh_watcher gone = c->watchers[at];
    sp_event event = {.kind = SP_EVENT_ADMIN,
                      .when_unix_us = sp_now_unix_us(),
                      .reference = c->id,
                      .person = gone.person,
                      .gate = SP_GATE_SSH,
                      .verdict = SP_VERDICT_ALLOW,
                      .person_name = sp_span_cstr(gone.name),
                      .resource = sp_span_cstr(c->resource),
                      .method = SP_SPAN_LIT("SSH connection not watched any more"),
                      .object = sp_span_cstr(c->person_name)};
    sp_ledger_client_tell(ssh->core->ledger, &event);
    c->watchers[at] = c->watchers[--c->watcher_count];
    tell_gate(ssh, c, false);
}

typedef struct {
    sp_ssh *ssh;
    uint64_t now_us;
} expiring;

static void expire_one(void *self, sp_ssh_connection *c)
{
    const expiring *e = self;
    for (size_t i = c->watcher_count; i > 0; i--) {
        if (c->watchers[i - 1].until_us <= e->now_us) {
            remove_watcher(e->ssh, c, i - 1);
        }
    }
}

void sp_ssh_watch_expire(sp_ssh *ssh, uint64_t now_us)
{
    expiring e = {ssh, now_us};
    sp_ssh_connections_each(ssh, expire_one, &e);
}

/* ---- people ---- */

static sp_ssh_connection *watchable(sp_request *req)
{
    sp_ssh_connection *c = sp_ssh_connection_named(sp_ssh_of(req), sp_request_param(req, 0));
    if (c == NULL || !sp_ssh_may_watch(req, c->person, c->ask)) {
        sp_answer_problem(req, 404, "not_found",
                          "This connection has ended already, or others are to watch it.");
        return NULL;
    }
    return c;
}

static void apply_watch(sp_request *req, void *data)
{
    (void)data;
    sp_ssh_connection *c = watchable(req); /* it may have ended while the ledger wrote */
    if (c == NULL) {
        return;
    }
    if (!sp_ssh_is_watching(c, sp_request_person(req))) {
        if (c->watcher_count == SP_SSH_WATCHERS_MAX) {
            sp_answer_problem(req, 409, "conflict", "Enough people watch this connection.");
            return;
        }
        sp_ssh_watcher *w = &c->watchers[c->watcher_count++];
        *w = (sp_ssh_watcher){.person = sp_request_person(req),
                              .until_us = sp_now_steady_us() + BEAT_LASTS_US,
                              .counts = c->ask == 0 || has_approved(req, c->ask)};
        SP_IGNORE(sp_fit(w->name, sizeof(w->name),
                         sp_span_cstr(sp_request_session(req)->person_name))); /* a name fits */
        tell_gate(sp_ssh_of(req), c, false);
    }
    sp_answer_json(req, 200, sp_ssh_connection_json(req, c));
}

static void post_watch(sp_request *req)
{
    sp_ssh_connection *c = NULL;
    if (!sp_request_fields(req, NULL, 0) || (c = watchable(req)) == NULL) {
        return;
    }
    for (size_t i = 0; i < c->watcher_count; i++) {
        if (c->watchers[i].person == sp_request_person(req)) {
            c->watchers[i].until_us = sp_now_steady_us() + BEAT_LASTS_US;
            sp_answer_json(req, 200, sp_ssh_connection_json(req, c));
            return;
        }
    }
    auto_buf sp_buf room = sp_buf_make(4000);
    sp_event event =
        sp_ssh_connection_event(req, c, "SSH connection watched", SP_SPAN_EMPTY, &room);
    sp_request_record(req, &event, apply_watch, NULL);
}

static void delete_watch(sp_request *req)
{
    sp_ssh *ssh = sp_ssh_of(req);
    sp_ssh_connection *c = sp_ssh_connection_named(ssh, sp_request_param(req, 0));
    for (size_t i = c == NULL ? 0 : c->watcher_count; i > 0; i--) {
        if (c->watchers[i - 1].person == sp_request_person(req)) {
            remove_watcher(ssh, c, i - 1);
        }
    }
    sp_answer_empty(req, 204);
}

sp_err sp_ssh_watch_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"POST", "/api/v1/ssh/connections/{id}/watch", SP_WHO_PERSON, post_watch, 0},
        {"DELETE", "/api/v1/ssh/connections/{id}/watch", SP_WHO_PERSON, delete_watch, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

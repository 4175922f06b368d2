/* SPDX-License-Identifier: Apache-2.0
 * Freezing: a person's SSH connections hold still together, all that are open and all that he opens
 * from then on, until somebody lets him go. Else he would go on in the next one.
 * OWNS who is frozen. PROCESS core. TRUST gates say what an alarm froze; people are asked for their
 * rights. SPEC docs/api/openapi.yaml "/ssh/connections/{id}/freeze", docs/SSH.md 6.
 */
#include "core/http/json.h"
#include "core/ledger_client.h"
#include "core/ssh/inside.h"

#include <string.h>

enum { FROZEN_MAX = 4096 }; /* more hold only what is open */

typedef struct {
    uint32_t person;
    char by[SP_NAME_MAX_BYTES + 1];
} frozen_one;

struct sp_ssh_frozen {
    frozen_one *people;
    size_t count;
};

sp_err sp_ssh_frozen_new(sp_ssh_frozen **ret_frozen)
{
    return sp_alloc(1, sizeof(**ret_frozen), ret_frozen);
}

void sp_ssh_frozen_free(sp_ssh_frozen *frozen)
{
    if (frozen != NULL) {
        sp_free(frozen->people);
        sp_free(frozen);
    }
}

static frozen_one *find(const sp_ssh_frozen *frozen, uint32_t person)
{
    for (size_t i = 0; i < frozen->count; i++) {
        if (frozen->people[i].person == person) {
            return &frozen->people[i];
        }
    }
    return NULL;
}

static void keep(sp_ssh_frozen *frozen, uint32_t person, const char *by, bool graver)
{
    frozen_one *one = find(frozen, person);
    if (one != NULL && !graver) {
        return;
    }
    if (one == NULL && frozen->count < FROZEN_MAX &&
        !sp_failed(sp_resize(&frozen->people, frozen->count + 1, sizeof(*one)))) {
        one = &frozen->people[frozen->count++];
    }
    if (one != NULL) {
        one->person = person;
        SP_IGNORE(sp_fit(one->by, sizeof(one->by), sp_span_cstr(by))); /* a name fits */
    }
}

static void forget(sp_ssh_frozen *frozen, uint32_t person)
{
    frozen_one *one = find(frozen, person);
    if (one != NULL) {
        *one = frozen->people[--frozen->count];
    }
}

/* ---- gates ---- */

static void hold(sp_ssh *ssh, sp_ssh_connection *c, bool on, const char *by)
{
    auto_buf sp_buf body = sp_buf_make(2048);
    const sp_ssh_freeze freeze = {c->id, on ? 1 : 0, sp_span_cstr(by)};
    sp_ssh_freeze_write(&freeze, &body);
    sp_peer_push(c->peer, SP_CORE_SSH_FREEZE, sp_buf_borrow(&body), NULL, 0);
    c->frozen = on;
    c->frozen_by[0] = '\0';
    if (on) {
        SP_IGNORE(sp_fit(c->frozen_by, sizeof(c->frozen_by), sp_span_cstr(by))); /* a name fits */
    } else { /* who lets it go has looked; there may be no alarm */
        SP_IGNORE(sp_ssh_alarm_seen(ssh->core->store, c->id, by));
    }
    sp_ssh_connection_changed(ssh->core, c);
}

typedef struct {
    sp_ssh *ssh;
    uint32_t person;
    bool on;
    const char *by;
    bool graver; /* by an alarm or a security administrator: no watcher's any more */
} holding;

static void hold_one(void *self, sp_ssh_connection *c)
{
    const holding *h = self;
    bool takes_over = h->on && h->graver && strcmp(c->frozen_by, h->by) != 0;
    if (c->person == h->person && (c->frozen != h->on || takes_over)) {
        hold(h->ssh, c, h->on, h->by);
    }
}

static void hold_all(sp_ssh *ssh, uint32_t person, bool on, const char *by, bool graver)
{
    holding h = {ssh, person, on, by, graver};
    if (on) {
        keep(ssh->frozen, person, by, graver);
    } else {
        forget(ssh->frozen, person);
    }
    sp_ssh_connections_each(ssh, hold_one, &h);
}

void sp_ssh_frozen_by_gate(sp_ssh *ssh, sp_ssh_connection *c, const char *by)
{
    char name[SP_NAME_MAX_BYTES + 1] = "";
    SP_IGNORE(sp_fit(name, sizeof(name), sp_span_cstr(by))); /* may be c's own */
    c->frozen = true;
    SP_IGNORE(sp_fit(c->frozen_by, sizeof(c->frozen_by), sp_span_cstr(name))); /* a name fits */
    hold_all(ssh, c->person, true, name, name[0] == '\0');
}

void sp_ssh_frozen_opened(sp_ssh *ssh, sp_ssh_connection *c)
{
    const frozen_one *one = find(ssh->frozen, c->person);
    if (c->frozen) {
        sp_ssh_frozen_by_gate(ssh, c, c->frozen_by); /* core was away */
    } else if (one != NULL) {
        hold(ssh, c, true, one->by);
    }
}

static void count_one(void *self, sp_ssh_connection *c)
{
    holding *h = self;
    h->on = h->on || c->person == h->person;
}

void sp_ssh_frozen_looked_at(sp_ssh *ssh, sp_span name)
{
    sp_person person;
    if (sp_failed(sp_people_find(ssh->core->store, name, &person))) {
        return;
    }
    holding h = {ssh, person.id, false, "", false};
    sp_ssh_connections_each(ssh, count_one, &h);
    const frozen_one *one = find(ssh->frozen, person.id);
    if (!h.on && one != NULL && one->by[0] == '\0') { /* not what somebody ordered */
        forget(ssh->frozen, person.id);
    }
}

/* ---- people ---- */

bool sp_ssh_may_freeze(sp_request *req, const sp_ssh_connection *c)
{
    uint32_t person = sp_request_person(req);
    bool own =
        sp_span_eq(sp_span_cstr(c->frozen_by), sp_span_cstr(sp_request_session(req)->person_name));
    bool is_security = (sp_request_admin(req) & SP_WHO_SECURITY) != 0;
    bool watches = sp_ssh_is_watching(c, person) && (!c->frozen || own);
    return c->person != person && (is_security || watches);
}

static void answer_forbidden(sp_request *req)
{
    sp_answer_problem(req, 403, "forbidden",
                      "Who watches it may freeze it and let go what he froze himself; "
                      "security administrators may let go everything.");
}

/* Letting go is told first: it gives something back. It may have ended, or been frozen by somebody
 * else, while the ledger wrote. */
static void apply(sp_request *req, void *data)
{
    const bool *on = data;
    const sp_ssh_connection *c = sp_ssh_connection_asked(req);
    if (c == NULL) {
        return;
    }
    if (!sp_ssh_may_freeze(req, c)) {
        answer_forbidden(req);
        return;
    }
    hold_all(sp_ssh_of(req), c->person, *on, sp_request_session(req)->person_name,
             (sp_request_admin(req) & SP_WHO_SECURITY) != 0);
    sp_answer_empty(req, 204);
}

static void post_freeze(sp_request *req)
{
    bool *on = NULL;
    sp_span why = SP_SPAN_EMPTY;
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*on), &on);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    const sp_field fields[] = {SP_FIELD_BOOL("frozen", on), SP_FIELD_TEXT_OPT("why", &why, 0, 500)};
    const sp_ssh_connection *c = NULL;
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) ||
        (c = sp_ssh_connection_asked(req)) == NULL) {
        return;
    }
    auto_buf sp_buf room = sp_buf_make(4000);
    sp_event event = sp_ssh_connection_event(
        req, c, *on ? "SSH terminal frozen" : "SSH terminal let go", why, &room);
    if (!sp_ssh_may_freeze(req, c)) {
        answer_forbidden(req);
    } else if (*on) {
        sp_ledger_client_tell(sp_request_core(req)->ledger, &event);
        apply(req, on);
    } else {
        sp_request_record(req, &event, apply, on);
    }
}

sp_err sp_ssh_freeze_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"POST", "/api/v1/ssh/connections/{id}/freeze", SP_WHO_PERSON, post_freeze, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

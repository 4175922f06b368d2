/* SPDX-License-Identifier: Apache-2.0
 * What every log-in at a database shares, and log-in by a device's certificate alone.
 * OWNS what waits for the ledger. PROCESS core. TRUST names and fingerprints come through a gate.
 * SPEC core/database/database.h.
 */
#include "core/database/inside.h"
#include "core/http/sse.h"
#include "core/identity/identity.h"
#include "core/identity/people.h"
#include "core/ledger_client.h"
#include "core/sessions/sessions.h"
#include "infra/proc/clock.h"

sp_err sp_db_session_live(sp_core *core, const sp_db_session *session, sp_live_session *ret_session)
{
    return sp_sessions_live(core, session->slot, session->id, ret_session);
}

sp_err sp_db_session_fits(sp_core *core, const sp_db_session *session,
                          const sp_db_fingerprint *fingerprint, sp_live_session *ret_session)
{
    sp_hash hash;
    sp_copy(hash.bytes, fingerprint->bytes, sizeof(hash.bytes));
    return sp_sessions_fits(core, session->slot, session->id,
                            sp_db_has_fingerprint(fingerprint) ? &hash : NULL, ret_session);
}

/* ---- how it ended ---- */

static sp_event event_of(const sp_db_login *login)
{
    sp_event event = {.kind = SP_EVENT_SIGN_IN,
                      .when_unix_us = sp_now_unix_us(),
                      .gate = SP_GATE_DB,
                      .action = SP_ACTION_CONNECT,
                      .verdict = login->why == NULL ? SP_VERDICT_ALLOW : SP_VERDICT_DENY,
                      .severity = login->why == NULL ? SP_SEVERITY_INFO : SP_SEVERITY_LOW,
                      .resource = login->resource,
                      .method = sp_span_cstr(login->method)};
    sp_copy(event.peer, login->peer_address, sizeof(event.peer));
    return event;
}

void sp_db_login_worked(sp_databases *databases, const sp_db_login *login,
                        void (*then)(void *self, sp_err err), void *self)
{
    sp_event event = event_of(login);
    event.session = login->session->id;
    event.person = login->session->person;
    event.strength = login->session->strength;
    event.person_name = sp_span_cstr(login->session->person_name);
    sp_copy(event.roles, login->session->roles, sizeof(event.roles));
    if (login->guessable) {
        sp_identity_worked(databases->core, login->user);
    }
    sp_ledger_client_append(databases->core->ledger, &event, then, self);
}

void sp_db_login_failed(sp_databases *databases, const sp_db_login *login)
{
    sp_person person = {0};
    auto_buf sp_buf detail = sp_buf_make(256);
    sp_event event = event_of(login);
    bool named = sp_name_is_valid(login->user);
    sp_buf_text(&detail, "{\"why\":");
    sp_buf_json(&detail, sp_span_cstr(login->why));
    sp_buf_text(&detail, "}");
    if (named && !sp_failed(sp_people_find(databases->core->store, login->user, &person))) {
        event.person = person.id;
        event.person_name = login->user;
    }
    event.object = named ? login->user : SP_SPAN_EMPTY;
    event.detail = sp_buf_borrow(&detail);
    sp_identity_failed(databases->core, login->guessable ? login->user : SP_SPAN_EMPTY,
                       login->peer_address);
    sp_ledger_client_tell(databases->core->ledger, &event);
}

/* ---- by certificate ---- */

typedef struct {
    uint32_t device_slot;
    sp_db_session best;
    uint64_t auth_unix_s;
} search;

/* The session on that device in which the person proved himself last. */
static void look(void *self, const sp_session_view *view)
{
    search *s = self;
    if (view->device_slot == s->device_slot && view->auth_unix_s >= s->auth_unix_s) {
        s->best = (sp_db_session){view->slot, view->id};
        s->auth_unix_s = view->auth_unix_s;
    }
}

static const char *judge(sp_core *core, const sp_db_cert *ask, sp_db_session *ret_session,
                         sp_live_session *ret_live)
{
    sp_hash hash;
    sp_live_device device;
    uint32_t slot = SP_NONE;
    sp_person person = {0};
    sp_copy(hash.bytes, ask->fingerprint.bytes, sizeof(hash.bytes));
    if (sp_failed(sp_live_find_cert(&core->live, &hash, &device, &slot)) ||
        device.state != SP_DEVICE_ACTIVE) {
        return "device";
    }
    if (sp_failed(sp_people_find(core->store, ask->user, &person)) ||
        person.state != SP_PERSON_ACTIVE || person.id != device.person) {
        return "another person's device";
    }
    search s = {.device_slot = slot};
    sp_sessions_each(core, person.id, look, &s);
    if (s.best.id == 0) {
        return "no session on this device";
    }
    *ret_session = s.best;
    return sp_failed(sp_db_session_fits(core, &s.best, &ask->fingerprint, ret_live)) ? "session"
                                                                                     : NULL;
}

typedef struct {
    sp_peer *peer;
    sp_msg to; /* kind and id only */
    sp_db_session session;
} waiting;

static void on_recorded(void *self, sp_err err)
{
    waiting *wait = self;
    auto_buf sp_buf body = sp_buf_make(64);
    sp_db_session_write(&wait->session, &body);
    sp_peer_reply(wait->peer, &wait->to, sp_failed(err) ? SP_EAGAIN : SP_OK,
                  sp_failed(err) ? SP_SPAN_EMPTY : sp_buf_borrow(&body), NULL, 0);
    sp_peer_unref(wait->peer);
    sp_free(wait);
}

static sp_err answer_cert(sp_databases *databases, sp_peer *peer, const sp_msg *msg,
                          const sp_db_cert *ask)
{
    waiting *wait = NULL;
    sp_live_session session;
    if (sp_identity_wait_s(databases->core, SP_SPAN_EMPTY, ask->peer) > 0) {
        return sp_fail(SP_ELIMIT);
    }
    TRY(sp_alloc(1, sizeof(*wait), &wait));
    sp_db_login login = {.user = ask->user,
                         .resource = ask->resource,
                         .method = "device certificate",
                         .peer_address = ask->peer};
    login.why = judge(databases->core, ask, &wait->session, &session);
    if (login.why != NULL) {
        sp_free(wait);
        sp_db_login_failed(databases, &login);
        return sp_fail(SP_EDENIED);
    }
    login.session = &session;
    wait->peer = sp_peer_ref(peer);
    wait->to = (sp_msg){.kind = msg->kind, .id = msg->id};
    sp_db_login_worked(databases, &login, on_recorded, wait);
    return sp_ok();
}

sp_err sp_db_on_cert(sp_databases *databases, sp_peer *peer, const sp_msg *msg)
{
    sp_db_cert ask;
    TRY(sp_db_cert_read(msg->body, &ask));
    sp_err err = answer_cert(databases, peer, msg, &ask);
    if (sp_failed(err)) {
        sp_peer_reply(peer, msg, err.code, SP_SPAN_EMPTY, NULL, 0);
    }
    return sp_ok();
}

/* SPDX-License-Identifier: Apache-2.0
 * Signing in by key: whose it is, how much it proves, and the session that follows.
 *
 * How strong: a key in a file proves one thing, as a password does (SP_STRENGTH_PASSWORD). A
 * security key that was touched is two things at once for whoever does not hold it, and counts as
 * password and code; one that also asked for PIN or finger counts as a passkey. A device's own key
 * proves the device; the person is who signed in on it, as strongly as that.
 *
 * OWNS what waits for the ledger. PROCESS core. TRUST the gate says that a key was shown, which it
 * can lie about; names and blobs are the client's. SPEC core/ssh/ssh.h; OpenSSH PROTOCOL.u2f.
 */
#include "core/identity/identity.h"
#include "core/ledger_client.h"
#include "core/ssh/inside.h"
#include "infra/proc/clock.h"
#include "lib/ssh/key.h"

static const char WHY_NOBODY[] = "no such account or key";

/* ---- devices ---- */

bool sp_ssh_device_hash(sp_span blob, sp_hash *ret_hash)
{
    /* SubjectPublicKeyInfo of an uncompressed P-256 point (RFC 5480), up to the point */
    static const uint8_t HEAD[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                   0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                   0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00};
    sp_ssh_key key;
    if (sp_failed(sp_ssh_key_parse(blob, &key)) || key.type != SP_SSH_KEY_ECDSA_256) {
        return false;
    }
    const sp_span parts[] = {sp_span_of(HEAD, sizeof(HEAD)), key.point};
    *ret_hash = sp_sha256_parts(parts, SP_COUNT(parts));
    return true;
}

typedef struct {
    uint32_t device_slot;
    sp_ssh_session best;
    uint64_t auth_unix_s;
} search;

/* The session on that device in which the person proved himself last. */
static void look(void *self, const sp_session_view *view)
{
    search *s = self;
    if (view->device_slot == s->device_slot && view->auth_unix_s >= s->auth_unix_s) {
        s->best = (sp_ssh_session){view->slot, view->id};
        s->auth_unix_s = view->auth_unix_s;
    }
}

static const char *judge_device(sp_core *core, sp_span blob, const sp_person *person,
                                sp_ssh_proven *proven)
{
    sp_hash hash;
    sp_live_device device;
    uint32_t slot = SP_NONE;
    if (!sp_ssh_device_hash(blob, &hash) ||
        sp_failed(sp_live_find_cert(&core->live, &hash, &device, &slot))) {
        return WHY_NOBODY;
    }
    if (device.state != SP_DEVICE_ACTIVE || device.person != person->id) {
        return "device";
    }
    search s = {.device_slot = slot};
    sp_sessions_each(core, person->id, look, &s);
    if (s.best.id == 0) {
        return "no session on this device";
    }
    proven->method = "SSH device key";
    proven->session = s.best;
    sp_copy(proven->fingerprint.bytes, hash.bytes, sizeof(hash.bytes));
    return NULL;
}

/* ---- registered keys ---- */

static const char *judge_registered(const sp_core *core, const sp_ssh_key_shown *shown,
                                    const sp_person *person, bool is_shown, sp_ssh_proven *proven)
{
    sp_ssh_key_row row;
    if (sp_failed(sp_ssh_key_find(core->store, shown->blob, &row)) || row.person != person->id) {
        return WHY_NOBODY;
    }
    proven->key = row.id;
    proven->method = "SSH key";
    proven->strength = SP_STRENGTH_PASSWORD;
    if (!sp_span_starts(sp_span_cstr(row.algorithm), SP_SPAN_LIT("sk-"))) {
        return NULL;
    }
    proven->method = "SSH security key";
    if ((shown->sk_flags & SP_SSH_SK_UNSEEN) != 0) {
        return NULL; /* perhaps nobody touched it: as good as any other key */
    }
    proven->counter = shown->sk_counter;
    proven->strength =
        (shown->sk_flags & SP_SSH_SK_VERIFIED) != 0 ? SP_STRENGTH_PASSKEY : SP_STRENGTH_TOTP;
    if (is_shown && (shown->sk_flags & SP_SSH_SK_PRESENT) == 0) {
        return "nobody touched the security key";
    }
    /* some count nothing and say 0 for ever; one that counted once must go on */
    if (is_shown && row.counter > 0 && shown->sk_counter <= row.counter) {
        return "the security key's counter went back: a copy of it may exist";
    }
    return NULL;
}

/* ---- judging ---- */

/* Whatever is wrong, the same is looked up. is_shown: the client has signed with it. */
static const char *judge(sp_ssh *ssh, const sp_ssh_key_shown *shown, bool is_shown,
                         sp_ssh_proven *proven)
{
    sp_core *core = ssh->core;
    sp_person person = {0};
    bool known = !sp_failed(sp_people_find(core->store, shown->who.user, &person)) &&
                 person.state == SP_PERSON_ACTIVE;
    if (!known) {
        person.id = 0;
    }
    sp_ssh_proven found = {.since = sp_sessions_mark(core), .person = person.id};
    SP_IGNORE(sp_fit(found.person_name, sizeof(found.person_name), sp_span_cstr(person.name)));
    SP_IGNORE(sp_fit(found.resource, sizeof(found.resource), shown->who.resource)); /* bounded */
    sp_copy(found.peer, shown->who.peer, sizeof(found.peer));
    found.connection = shown->who.connection;
    const char *why = judge_device(core, shown->blob, &person, &found);
    const char *why_registered = judge_registered(core, shown, &person, is_shown, &found);
    if (why == WHY_NOBODY) {
        why = why_registered;
    } else { /* a device's key is nothing else, though somebody has registered it as well */
        found.key = 0;
        found.method = "SSH device key";
    }
    sp_ssh_key_type plain;
    if (!sp_ssh_key_type_of(shown->algorithm, &plain)) {
        why = sp_ssh_certificate_judge(ssh, shown, is_shown, &person, &found);
    }
    if (!known) {
        return "no such account";
    }
    *proven = found;
    return why;
}

static sp_span algorithm_of(sp_span blob)
{
    sp_reader in = sp_reader_of(blob);
    return sp_read_bytes(&in, SP_SSH_ALGORITHM_MAX_BYTES);
}

/* ---- OFFER ---- */

sp_err sp_ssh_on_offer(sp_ssh *ssh, sp_peer *peer, const sp_msg *msg)
{
    sp_ssh_offer offer;
    sp_ssh_proven proven;
    sp_code code = SP_OK;
    TRY(sp_ssh_offer_read(msg->body, &offer));
    sp_ssh_key_shown shown = {.who = offer.who, .blob = offer.blob};
    shown.algorithm = algorithm_of(offer.blob);
    const char *why = NULL;
    if (sp_identity_wait_s(ssh->core, SP_SPAN_EMPTY, offer.who.peer) > 0) {
        code = SP_ELIMIT;
    } else if ((why = judge(ssh, &shown, false, &proven)) != NULL) {
        /* clients offer what they have: that is no failure, unless it is a certificate of ours,
         * whose holder wonders why it does not do any more */
        bool ours = sp_ssh_certificate_is_ours(ssh, offer.blob);
        code = ours ? SP_ECONFLICT : SP_EDENIED;
        if (ours) {
            sp_ssh_refused(ssh, &offer.who, "SSH certificate", why);
        }
    }
    sp_peer_reply(peer, msg, code, SP_SPAN_EMPTY, NULL, 0);
    return sp_ok();
}

/* ---- what the ledger is told ---- */

static sp_event event_of(const char *method, sp_span resource, const uint8_t peer[16])
{
    sp_event event = {.kind = SP_EVENT_SIGN_IN,
                      .when_unix_us = sp_now_unix_us(),
                      .gate = SP_GATE_SSH,
                      .action = SP_ACTION_CONNECT,
                      .resource = resource,
                      .method = sp_span_cstr(method)};
    sp_copy(event.peer, peer, sizeof(event.peer));
    return event;
}

void sp_ssh_turned_away(sp_ssh *ssh, const sp_ssh_who *who, const char *method, const char *why)
{
    sp_person person = {0};
    auto_buf sp_buf detail = sp_buf_make(256);
    sp_event event = event_of(method, who->resource, who->peer);
    bool named = sp_name_is_valid(who->user);
    sp_buf_text(&detail, "{\"why\":");
    sp_buf_json(&detail, sp_span_cstr(why));
    sp_buf_text(&detail, "}");
    if (named && !sp_failed(sp_people_find(ssh->core->store, who->user, &person))) {
        event.person = person.id;
        event.person_name = who->user;
    }
    event.reference = who->connection;
    event.verdict = SP_VERDICT_DENY;
    event.severity = SP_SEVERITY_LOW;
    event.object = named ? who->user : SP_SPAN_EMPTY;
    event.detail = sp_buf_borrow(&detail);
    sp_ledger_client_tell(ssh->core->ledger, &event);
}

void sp_ssh_refused(sp_ssh *ssh, const sp_ssh_who *who, const char *method, const char *why)
{
    sp_identity_failed(ssh->core, SP_SPAN_EMPTY, who->peer);
    sp_ssh_turned_away(ssh, who, method, why);
}

/* ---- a session ---- */

static sp_err fits(sp_core *core, const sp_ssh_session *session,
                   const sp_ssh_fingerprint *fingerprint, sp_live_session *ret_session)
{
    sp_hash hash;
    sp_copy(hash.bytes, fingerprint->bytes, sizeof(hash.bytes));
    return sp_sessions_fits(core, session->slot, session->id,
                            sp_db_has_fingerprint(fingerprint) ? &hash : NULL, ret_session);
}

sp_err sp_ssh_subject(sp_core *core, const sp_ssh_session *session,
                      const sp_ssh_fingerprint *fingerprint, const uint8_t peer[16],
                      sp_subject *ret_who, sp_live_session *ret_session)
{
    sp_live_session live;
    sp_live_device device = {0};
    uint32_t slot = SP_NONE;
    uint64_t now_unix_s = sp_now_unix_us() / 1000000;
    sp_hash hash;
    TRY(fits(core, session, fingerprint, &live));
    sp_copy(hash.bytes, fingerprint->bytes, sizeof(hash.bytes));
    sp_subject who = {.person = live.person, .strength = live.strength};
    if (sp_db_has_fingerprint(fingerprint) &&
        !sp_failed(sp_live_find_cert(&core->live, &hash, &device, &slot))) {
        who.owner = device.owner;
        who.posture = device.posture;
    }
    sp_copy(who.roles, live.roles, sizeof(who.roles));
    sp_copy(who.peer, peer, sizeof(who.peer));
    who.auth_age_s = now_unix_s > live.auth_unix_s ? (uint32_t)(now_unix_s - live.auth_unix_s) : 0;
    *ret_who = who;
    *ret_session = live;
    return sp_ok();
}

typedef struct {
    sp_ssh *ssh;
    sp_peer *line;
    sp_ssh_then then;
    void *self;
    sp_ssh_proven proven;
} signing_in;

static sp_err open_session(signing_in *s)
{
    sp_core *core = s->ssh->core;
    sp_ssh_proven *proven = &s->proven;
    sp_session_view view;
    char token[SP_TOKEN_TEXT_BYTES + 1];
    char peer[SP_SESSION_PEER_BYTES];
    sp_session_new fresh = {.since = proven->since,
                            .person = proven->person,
                            .person_name = proven->person_name,
                            .strength = proven->strength,
                            .kind = SP_SESSION_SSH,
                            .device_slot = SP_NONE,
                            .peer = sp_sessions_peer_text(proven->peer, peer),
                            .user_agent = sp_span_cstr(proven->method)};
    TRY(sp_sessions_open(core, &fresh, token, &view));
    sp_wipe(token, sizeof(token)); /* nobody gets it: the session is the connection's */
    sp_err err = sp_ssh_ride_add(s->ssh, view.id, proven->person, proven->key, s->line);
    if (sp_failed(err)) {
        SP_IGNORE(sp_sessions_end(core, view.id, SP_END_SIGN_OUT, 0)); /* it was just made */
        return err;
    }
    proven->session = (sp_ssh_session){view.slot, view.id};
    return sp_ok();
}

static sp_err complete(signing_in *s, sp_ssh_signed_in *ret_signed_in)
{
    sp_core *core = s->ssh->core;
    const sp_ssh_proven *proven = &s->proven;
    sp_live_session live;
    /* it may have been taken away while the ledger wrote */
    if (!sp_sessions_stands(core, proven->person, proven->since)) {
        return sp_fail(SP_EDENIED);
    }
    if (proven->key != 0) {
        sp_err err =
            sp_ssh_key_use(core->store, proven->key, proven->counter, sp_now_unix_us() / 1000000);
        TRY(err.code == SP_ENOTFOUND ? sp_fail(SP_EDENIED) : err);
    }
    if (proven->session.id == 0) {
        TRY(open_session(s));
    }
    TRY(fits(core, &proven->session, &proven->fingerprint, &live));
    bool sooner = proven->expires_unix_s != 0 && proven->expires_unix_s < live.expires_unix_s;
    *ret_signed_in =
        (sp_ssh_signed_in){.session = proven->session,
                           .fingerprint = proven->fingerprint,
                           .expires_unix_s = sooner ? proven->expires_unix_s : live.expires_unix_s,
                           .strength = live.strength,
                           .person = sp_span_cstr(proven->person_name),
                           .force_command = sp_span_cstr(proven->force_command)};
    return sp_ok();
}

static void on_recorded(void *self, sp_err err)
{
    signing_in *s = self;
    sp_ssh_signed_in signed_in = {0};
    if (sp_failed(err)) {
        err = sp_fail(SP_EIO);
    } else if (s->ssh->core->ssh == NULL) {
        err = sp_fail(SP_ECLOSED);
    } else {
        err = complete(s, &signed_in);
    }
    if (sp_failed(err) && s->ssh->core->ssh != NULL) {
        sp_ssh_place_leave(s->ssh, s->proven.connection, s->line);
    }
    s->then(s->self, err, &signed_in);
    sp_peer_unref(s->line);
    sp_free(s);
}

static sp_err take_place(sp_ssh *ssh, const sp_ssh_proven *proven, const sp_peer *line,
                         const sp_event *signs_in)
{
    sp_err err = sp_ssh_place_take(ssh, proven->connection, proven->person, line);
    if (err.code == SP_EEXISTS || err.code == SP_EAGAIN) {
        sp_event event = *signs_in;
        event.verdict = SP_VERDICT_DENY;
        event.reason = SP_REASON_LIMIT;
        event.severity = SP_SEVERITY_LOW;
        event.detail =
            err.code == SP_EEXISTS
                ? SP_SPAN_LIT("{\"why\":\"as many SSH connections are open as a person may have\"}")
                : SP_SPAN_LIT("{\"why\":\"SSH log-ins come faster than a person's may\"}");
        sp_ledger_client_tell(ssh->core->ledger, &event);
    }
    return err;
}

void sp_ssh_finish(sp_ssh *ssh, const sp_ssh_proven *proven, sp_peer *line, sp_ssh_then then,
                   void *self)
{
    sp_live_session live;
    signing_in *s = NULL;
    const sp_ssh_signed_in nobody = {0};
    sp_err err = sp_alloc(1, sizeof(*s), &s);
    sp_event event = event_of(proven->method, sp_span_cstr(proven->resource), proven->peer);
    event.reference = proven->connection;
    event.verdict = SP_VERDICT_ALLOW;
    event.person = proven->person;
    event.person_name = sp_span_cstr(proven->person_name);
    event.strength = proven->strength;
    if (!sp_failed(err) && proven->session.id != 0) {
        err = fits(ssh->core, &proven->session, &proven->fingerprint, &live);
        event.session = live.id;
        event.strength = live.strength;
        sp_copy(event.roles, live.roles, sizeof(event.roles));
    }
    if (!sp_failed(err)) {
        err = take_place(ssh, proven, line, &event);
    }
    if (sp_failed(err)) {
        sp_free(s);
        then(self, err, &nobody);
        return;
    }
    *s = (signing_in){ssh, sp_peer_ref(line), then, self, *proven};
    sp_ledger_client_append(ssh->core->ledger, &event, on_recorded, s);
}

/* ---- KEY ---- */

typedef struct {
    sp_peer *peer;
    sp_msg to; /* kind and id only */
} waiting;

static void on_signed_in(void *self, sp_err err, const sp_ssh_signed_in *signed_in)
{
    waiting *wait = self;
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    if (!sp_failed(err)) {
        sp_ssh_signed_in_write(signed_in, &body);
    }
    sp_peer_reply(wait->peer, &wait->to, err.code, sp_buf_borrow(&body), NULL, 0);
    sp_peer_unref(wait->peer);
    sp_free(wait);
}

static sp_err answer_key(sp_ssh *ssh, sp_peer *peer, const sp_msg *msg,
                         const sp_ssh_key_shown *shown)
{
    waiting *wait = NULL;
    sp_ssh_proven proven;
    if (sp_identity_wait_s(ssh->core, SP_SPAN_EMPTY, shown->who.peer) > 0) {
        return sp_fail(SP_ELIMIT);
    }
    const char *why = sp_span_eq(shown->algorithm, algorithm_of(shown->blob))
                          ? judge(ssh, shown, true, &proven)
                          : "the key is of another algorithm";
    if (why != NULL) {
        sp_ssh_refused(ssh, &shown->who, "SSH key", why);
        return sp_fail(SP_EDENIED);
    }
    TRY(sp_alloc(1, sizeof(*wait), &wait));
    *wait = (waiting){sp_peer_ref(peer), {.kind = msg->kind, .id = msg->id}};
    sp_ssh_finish(ssh, &proven, peer, on_signed_in, wait);
    return sp_ok();
}

sp_err sp_ssh_on_key(sp_ssh *ssh, sp_peer *peer, const sp_msg *msg)
{
    sp_ssh_key_shown shown;
    TRY(sp_ssh_key_shown_read(msg->body, &shown));
    sp_err err = answer_key(ssh, peer, msg, &shown);
    if (sp_failed(err)) {
        sp_peer_reply(peer, msg, err.code, SP_SPAN_EMPTY, NULL, 0);
    }
    return sp_ok();
}

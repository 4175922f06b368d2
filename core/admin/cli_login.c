/* SPDX-License-Identifier: Apache-2.0
 * Signing a command line in: it shows a code, a person confirms it in a browser where he is signed
 * in, the command line gets a session of his own.
 * OWNS the codes that wait. PROCESS core. TRUST the asking side is unknown: a code is short-lived,
 * counted, and worth nothing before a person with a second factor has looked at who asks.
 * SPEC RFC 8628 (the shape), docs/api/openapi.yaml "/cli/login".
 */
#include "core/admin/cli_login.h"

#include "core/admin/admin.h"
#include "core/http/json.h"
#include "core/sessions/sessions.h"
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"

enum {
    WAITING_MAX = 64,
    OF_PEER_MAX = 5,
    LIFE_S = 600,
    INTERVAL_S = 2,
    CODE_BYTES = 10, /* "QWER-7TY9" and its NUL */
    POLL_BYTES = 32,
    CLIENT_MAX_BYTES = 63,
    ADDRESS_MAX_BYTES = 64
};

typedef enum { FREE, WAITING, ALLOWED, DENIED } state;

typedef struct {
    state state;
    char code[CODE_BYTES];
    sp_hash poll; /* of the token that only the command line has */
    char client[CLIENT_MAX_BYTES + 1];
    uint8_t peer[16];
    uint64_t asked_unix_s;
    uint32_t person; /* who allowed it */
    char person_name[SP_LIVE_NAME_BYTES];
    uint8_t strength;
} entry;

struct sp_cli_logins {
    entry entries[WAITING_MAX];
};

sp_err sp_cli_logins_new(sp_cli_logins **ret_logins)
{
    return sp_alloc(1, sizeof(**ret_logins), ret_logins);
}

void sp_cli_logins_free(sp_cli_logins *logins)
{
    sp_free(logins);
}

static uint64_t now_s(void)
{
    return sp_now_unix_us() / 1000000;
}

static sp_cli_logins *logins_of(const sp_request *req)
{
    return sp_request_core(req)->state->cli_logins;
}

static void expire(sp_cli_logins *logins)
{
    for (size_t i = 0; i < WAITING_MAX; i++) {
        if (logins->entries[i].state != FREE &&
            logins->entries[i].asked_unix_s + LIFE_S <= now_s()) {
            logins->entries[i] = (entry){.state = FREE};
        }
    }
}

/* ---- the command line asks ---- */

static entry *free_entry(sp_cli_logins *logins, const uint8_t peer[16])
{
    entry *found = NULL;
    size_t of_peer = 0;
    for (size_t i = 0; i < WAITING_MAX; i++) {
        entry *one = &logins->entries[i];
        if (one->state == FREE) {
            found = one;
        } else {
            of_peer += sp_span_eq(sp_span_of(one->peer, 16), sp_span_of(peer, 16)) ? 1 : 0;
        }
    }
    return of_peer >= OF_PEER_MAX ? NULL : found;
}

/* Eight letters that are hard to mistake, with a dash in the middle: 39 bits. */
static void make_code(char ret_code[CODE_BYTES])
{
    static const char letters[] = "BCDFGHJKLMNPQRSTVWXZ23456789";
    for (size_t i = 0; i < CODE_BYTES - 1; i++) {
        ret_code[i] = i == 4 ? '-' : letters[sp_random_below(sizeof(letters) - 1)];
    }
    ret_code[CODE_BYTES - 1] = '\0';
}

static void answer_start(sp_request *req, const entry *one, sp_span poll_token)
{
    const sp_core *core = sp_request_core(req);
    json_t *body = json_object();
    json_object_set_new(body, "user_code", json_string(one->code));
    json_object_set_new(body, "poll_token", sp_admin_text(poll_token));
    json_object_set_new(body, "verify_url",
                        json_sprintf("%s/cli#%s", core->portal_origin, one->code));
    json_object_set_new(body, "interval_s", json_integer(INTERVAL_S));
    json_object_set_new(body, "expires_at", sp_json_time(one->asked_unix_s + LIFE_S));
    sp_answer_json(req, 200, body);
}

static void post_start(sp_request *req)
{
    sp_span client = SP_SPAN_EMPTY;
    const sp_field fields[] = {SP_FIELD_TEXT("client", &client, 1, CLIENT_MAX_BYTES)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    sp_cli_logins *logins = logins_of(req);
    expire(logins);
    entry *one = free_entry(logins, sp_request_peer(req));
    if (one == NULL) {
        sp_answer_too_many(req, LIFE_S / 10);
        return;
    }
    uint8_t bytes[POLL_BYTES];
    sp_random(bytes, sizeof(bytes));
    auto_buf sp_buf poll_token = sp_buf_make(64);
    sp_buf_base64url(&poll_token, sp_span_of(bytes, sizeof(bytes)));
    sp_wipe(bytes, sizeof(bytes));
    *one = (entry){.state = WAITING, .asked_unix_s = now_s()};
    one->poll = sp_sha256(sp_buf_borrow(&poll_token));
    sp_copy(one->peer, sp_request_peer(req), sizeof(one->peer));
    sp_copy(one->client, client.ptr, client.len);
    make_code(one->code);
    answer_start(req, one, sp_buf_borrow(&poll_token));
    sp_buf_wipe(&poll_token);
}

/* ---- and asks again until somebody has answered ---- */

static void go_open(sp_request *req, void *data)
{
    const entry *one = data;
    sp_core *core = sp_request_core(req);
    auto_buf sp_buf peer = sp_buf_make(ADDRESS_MAX_BYTES);
    sp_admin_address(sp_request_peer(req), &peer);
    sp_session_new fresh = {
        .person = one->person,
        .person_name = one->person_name,
        .strength = one->strength,
        .kind = SP_SESSION_CLI,
        .device_slot = SP_NONE,
        .peer = sp_buf_borrow(&peer),
        .user_agent = sp_span_cstr(one->client),
    };
    char token[SP_TOKEN_TEXT_BYTES + 1];
    sp_session_view view;
    sp_err err = sp_sessions_open(core, &fresh, token, &view);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    json_t *body = json_object();
    json_object_set_new(body, "token", json_string(token));
    json_object_set_new(body, "session", sp_session_json(core, &view, view.id));
    sp_wipe(token, sizeof(token));
    sp_answer_json(req, 200, body);
}

static void take(sp_request *req, entry *one)
{
    entry *kept = NULL;
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*kept), &kept);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    *kept = *one;
    *one = (entry){.state = FREE}; /* once */
    sp_event event = sp_request_event(req, SP_EVENT_SIGN_IN);
    event.person = kept->person;
    event.person_name = sp_span_cstr(kept->person_name);
    event.strength = kept->strength;
    event.method = SP_SPAN_LIT("cli");
    event.object = sp_span_cstr(kept->client);
    sp_request_record(req, &event, go_open, kept);
}

static void post_poll(sp_request *req)
{
    sp_span poll_token = SP_SPAN_EMPTY;
    const sp_field fields[] = {SP_FIELD_TEXT("poll_token", &poll_token, 1, 64)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    sp_cli_logins *logins = logins_of(req);
    sp_hash hash = sp_sha256(poll_token);
    expire(logins);
    for (size_t i = 0; i < WAITING_MAX; i++) {
        entry *one = &logins->entries[i];
        if (one->state == FREE || !sp_hash_eq(&one->poll, &hash)) {
            continue;
        }
        if (one->state == WAITING) {
            sp_answer_empty(req, 202);
        } else if (one->state == ALLOWED) {
            take(req, one);
        } else {
            *one = (entry){.state = FREE};
            sp_answer_problem(req, 403, "denied", "The sign-in was refused in the browser.");
        }
        return;
    }
    sp_answer_problem(req, 404, "code_invalid", "This code has ended. Start again.");
}

/* ---- the person looks at who asks, and answers ---- */

static entry *find(sp_request *req)
{
    sp_cli_logins *logins = logins_of(req);
    expire(logins);
    for (size_t i = 0; i < WAITING_MAX; i++) {
        entry *one = &logins->entries[i];
        if (one->state == WAITING &&
            sp_span_eq_nocase(sp_span_cstr(one->code), sp_request_param(req, 0))) {
            return one;
        }
    }
    sp_answer_problem(req, 404, "code_invalid",
                      "No command line waits with this code. Compare it, or start again.");
    return NULL;
}

static void get_waiting(sp_request *req)
{
    const entry *one = find(req);
    if (one == NULL) {
        return;
    }
    auto_buf sp_buf peer = sp_buf_make(ADDRESS_MAX_BYTES);
    sp_admin_address(one->peer, &peer);
    json_t *body = json_object();
    json_object_set_new(body, "client", json_string(one->client));
    json_object_set_new(body, "peer", sp_admin_text(sp_buf_borrow(&peer)));
    json_object_set_new(body, "asked_at", sp_json_time(one->asked_unix_s));
    json_object_set_new(body, "expires_at", sp_json_time(one->asked_unix_s + LIFE_S));
    sp_answer_json(req, 200, body);
}

static void post_answer(sp_request *req)
{
    bool allow = false;
    const sp_field fields[] = {SP_FIELD_BOOL("allow", &allow)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    entry *one = find(req);
    if (one == NULL) {
        return;
    }
    const sp_live_session *session = sp_request_session(req);
    one->state = allow ? ALLOWED : DENIED;
    one->person = session->person;
    one->strength = session->strength;
    sp_copy(one->person_name, session->person_name, sizeof(one->person_name));
    sp_answer_empty(req, 204);
}

sp_err sp_admin_cli_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"POST", "/api/v1/cli/login", SP_WHO_PUBLIC, post_start, 0},
        {"POST", "/api/v1/cli/login/poll", SP_WHO_PUBLIC, post_poll, 0},
        {"GET", "/api/v1/cli/login/{user_code}", SP_WHO_PERSON, get_waiting, 0},
        {"POST", "/api/v1/cli/login/{user_code}", SP_WHO_PERSON | SP_WHO_FRESH, post_answer, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

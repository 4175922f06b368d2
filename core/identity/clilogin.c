/* SPDX-License-Identifier: Apache-2.0
 * Signing a command line in: it shows a code, its person confirms the code in the browser, and it
 * fetches a session of that person.
 * OWNS what waits, in memory. PROCESS core. TRUST hostile. SPEC docs/api/openapi.yaml "cli"; the
 * device flow of RFC 8628, whose advice against guessing and phishing is taken: few tries, a short
 * life, and the page says who asks from where.
 */
#include "core/identity/inside.h"
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"

enum { WAITING_MAX = 1024, ADDRESS_MAX = 16, LIFE_S = 600, INTERVAL_S = 2 };

typedef enum { ASKING, ALLOWED, DENIED } login_state;

typedef struct {
    uint64_t until_unix_s; /* 0 = free */
    uint64_t asked_unix_s;
    uint64_t address; /* of who asked, sp_limits_address_key */
    sp_hash poll;     /* of the poll token's text */
    login_state state;
    sp_session_mark since; /* from ALLOWED on: when, in which session, whose, how strong */
    uint64_t session;
    uint32_t person;
    uint8_t strength;
    char code[SP_RANDOM_CODE_BYTES]; /* "QWER-7TY9" */
    char client[SP_NAME_MAX_BYTES + 1];
    char peer[SP_SESSION_PEER_BYTES];
} login;

static login waiting[WAITING_MAX]; /* one core a process */

static uint64_t now_s(void)
{
    return sp_now_unix_us() / 1000000;
}

static login *older(login *a, login *b)
{
    return a == NULL || b->until_unix_s < a->until_unix_s ? b : a;
}

/* The address's oldest when it has its share, so that nobody takes all there are; else a free one,
 * else the oldest that nobody has allowed yet. */
static login *place_for(uint64_t address)
{
    login *own = NULL;
    login *vacant = NULL;
    login *asking = NULL;
    unsigned held = 0;
    for (size_t i = 0; i < WAITING_MAX; i++) {
        login *at = &waiting[i];
        if (at->until_unix_s <= now_s()) {
            vacant = vacant == NULL ? at : vacant;
            continue;
        }
        asking = at->state == ASKING ? older(asking, at) : asking;
        if (at->address == address) {
            own = older(own, at);
            held++;
        }
    }
    if (held >= ADDRESS_MAX) {
        return own;
    }
    return vacant != NULL ? vacant : asking;
}

static login *find_code(sp_span code)
{
    for (size_t i = 0; i < WAITING_MAX; i++) {
        if (waiting[i].until_unix_s > now_s() &&
            sp_span_eq_nocase(sp_span_cstr(waiting[i].code), code)) {
            return &waiting[i];
        }
    }
    return NULL;
}

static login *find_poll(sp_span token)
{
    sp_hash hash;
    if (sp_failed(sp_token_hash(token, &hash))) {
        return NULL;
    }
    for (size_t i = 0; i < WAITING_MAX; i++) {
        if (waiting[i].until_unix_s > now_s() && sp_hash_eq(&waiting[i].poll, &hash)) {
            return &waiting[i];
        }
    }
    return NULL;
}

/* ---- the command line asks ---- */

static sp_err fill(sp_request *req, login *fresh, sp_span client, sp_buf *token)
{
    uint8_t secret[SP_TOKEN_BYTES];
    sp_random(secret, sizeof(secret));
    sp_buf_base64url(token, sp_span_of(secret, sizeof(secret)));
    TRY(sp_buf_error(token));
    TRY(sp_fit(fresh->client, sizeof(fresh->client), client));
    char peer[SP_SESSION_PEER_BYTES];
    TRY(sp_fit(fresh->peer, sizeof(fresh->peer), sp_peer_text(req, peer, sizeof(peer))));
    sp_random_code(fresh->code);
    fresh->poll = sp_sha256(sp_buf_borrow(token));
    fresh->asked_unix_s = now_s();
    fresh->until_unix_s = now_s() + LIFE_S;
    return sp_ok();
}

static void post_login(sp_request *req)
{
    sp_span client = SP_SPAN_EMPTY;
    const sp_field fields[] = {SP_FIELD_TEXT("client", &client, 1, SP_NAME_MAX_BYTES)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) || !sp_guard_open(req, SP_SPAN_EMPTY)) {
        return;
    }
    uint64_t address = sp_limits_address_key(sp_identity_of(req)->limits, sp_request_peer(req));
    login *fresh = place_for(address);
    auto_buf sp_buf token = sp_buf_make(64);
    if (fresh == NULL) {
        sp_answer_too_many(req, INTERVAL_S);
        return;
    }
    *fresh = (login){.address = address};
    sp_err err = fill(req, fresh, client, &token);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    auto_buf sp_buf url = sp_buf_make(1024);
    sp_buf_text(&url, sp_request_core(req)->portal_origin);
    sp_buf_text(&url, "/cli#");
    sp_buf_text(&url, fresh->code);
    sp_answer_json(req, 200,
                   json_pack("{s:s, s:s%, s:s%, s:i, s:o}", "user_code", fresh->code, "poll_token",
                             (const char *)token.ptr, token.len, "verify_url",
                             (const char *)url.ptr, url.len, "interval_s", INTERVAL_S, "expires_at",
                             sp_json_time(fresh->until_unix_s)));
}

/* ---- it polls ---- */

typedef struct {
    sp_person person;
    sp_session_mark since;
    uint64_t session;
    uint8_t strength;
} signing_in;

/* What was allowed in a session ends with it. */
static bool still_allowed(sp_core *core, const signing_in *in)
{
    sp_session_view view;
    return sp_sessions_find(core, in->session, &view) &&
           sp_sessions_stands(core, in->person.id, in->since);
}

static void open_cli_session(sp_request *req, void *data)
{
    const signing_in *in = data;
    const sp_person *person = &in->person;
    sp_core *core = sp_request_core(req);
    sp_session_view view;
    char token[SP_TOKEN_TEXT_BYTES + 1];
    char peer[SP_SESSION_PEER_BYTES];
    sp_live_device device;
    uint32_t slot = SP_NONE;
    bool own = sp_request_device(req, &device, &slot) && device.state == SP_DEVICE_ACTIVE &&
               device.person == person->id;
    sp_session_new fresh = {.since = in->since,
                            .person = person->id,
                            .person_name = person->name,
                            .strength = in->strength,
                            .kind = SP_SESSION_CLI,
                            .device_slot = own ? slot : SP_NONE,
                            .peer = sp_peer_text(req, peer, sizeof(peer)),
                            .user_agent = sp_request_header(req, "User-Agent")};
    fresh.has_certificate = sp_request_certificate(req, &fresh.certificate);
    sp_err err = still_allowed(core, in) ? sp_sessions_open(core, &fresh, token, &view)
                                         : sp_fail(SP_EDENIED);
    if (sp_failed(err)) {
        sp_answer_not_opened(req, err);
        return;
    }
    sp_answer_json(
        req, 200,
        json_pack("{s:s, s:o}", "token", token, "session", sp_session_json(core, &view, view.id)));
    sp_wipe(token, sizeof(token));
}

static void answer_allowed(sp_request *req, login *done)
{
    signing_in *in = NULL;
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*in), &in);
    if (!sp_failed(err)) {
        in->since = done->since;
        in->session = done->session;
        in->strength = done->strength;
        err = sp_people_get(sp_request_core(req)->store, done->person, &in->person);
    }
    *done = (login){0}; /* fetched once */
    if (!sp_failed(err) && !still_allowed(sp_request_core(req), in)) {
        err = sp_fail(SP_EDENIED);
    }
    if (sp_failed(err)) {
        sp_answer_not_opened(req, err);
        return;
    }
    sp_event event = sp_request_event(req, SP_EVENT_SIGN_IN);
    event.person = in->person.id;
    event.person_name = sp_span_cstr(in->person.name);
    event.strength = in->strength;
    event.status = 200;
    event.method = SP_SPAN_LIT("command line");
    sp_request_record(req, &event, open_cli_session, in);
}

static void post_poll(sp_request *req)
{
    sp_span token = SP_SPAN_EMPTY;
    const sp_field fields[] = {SP_FIELD_TEXT("poll_token", &token, 1, 64)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) || !sp_guard_open(req, SP_SPAN_EMPTY)) {
        return;
    }
    login *found = find_poll(token);
    if (found == NULL) {
        sp_guard_failed(req, SP_SPAN_EMPTY);
        sp_answer_problem(req, 404, "not_found", "This took too long. Ask for a new code.");
    } else if (found->state == ASKING) {
        sp_answer_empty(req, 202);
    } else if (found->state == DENIED) {
        *found = (login){0};
        sp_answer_problem(req, 403, "forbidden", "It was refused in the browser.");
    } else {
        answer_allowed(req, found);
    }
}

/* ---- the person answers in the browser ---- */

/* A wrong code counts as a failure: codes are not guessed. */
static login *asked_for(sp_request *req)
{
    if (!sp_guard_open(req, SP_SPAN_EMPTY)) {
        return NULL;
    }
    login *found = find_code(sp_request_param(req, 0));
    if (found == NULL || found->state != ASKING) {
        sp_guard_failed(req, SP_SPAN_EMPTY);
        sp_answer_problem(req, 404, "not_found", "There is no such code, or it is too old.");
        return NULL;
    }
    return found;
}

static void get_login(sp_request *req)
{
    const login *found = asked_for(req);
    if (found != NULL) {
        sp_answer_json(req, 200,
                       json_pack("{s:s, s:s, s:o, s:o}", "client", found->client, "peer",
                                 found->peer, "asked_at", sp_json_time(found->asked_unix_s),
                                 "expires_at", sp_json_time(found->until_unix_s)));
    }
}

static void post_answer(sp_request *req)
{
    bool allow = false;
    const sp_field fields[] = {SP_FIELD_BOOL("allow", &allow)};
    login *found = NULL;
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) || (found = asked_for(req)) == NULL) {
        return;
    }
    const sp_live_session *session = sp_request_session(req);
    found->since = sp_sessions_mark(sp_request_core(req));
    found->session = session->id;
    found->person = session->person;
    found->strength = session->strength;
    found->state = allow ? ALLOWED : DENIED;
    sp_answer_empty(req, 204);
}

static const sp_route routes[] = {
    {"POST", "/api/v1/cli/login", SP_WHO_PUBLIC, post_login, 4096},
    {"POST", "/api/v1/cli/login/poll", SP_WHO_PUBLIC, post_poll, 4096},
    {"GET", "/api/v1/cli/login/{code}", SP_WHO_PERSON, get_login, 0},
    {"POST", "/api/v1/cli/login/{code}", SP_WHO_PERSON | SP_WHO_FRESH, post_answer, 4096},
};

sp_err sp_cli_routes(sp_core *core)
{
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

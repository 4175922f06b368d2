/* SPDX-License-Identifier: Apache-2.0
 * Tokens: passwords that live for minutes. And a person's own databases.
 * OWNS verifiers, wiped when they end. PROCESS core. TRUST requests are hostile.
 * SPEC core/database/database.h, docs/api/openapi.yaml "me/databases".
 */
#include "core/clock.h"
#include "core/database/inside.h"
#include "core/documents/documents.h"
#include "core/http/json.h"
#include "core/identity/identity.h"
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"

enum { RANDOM_BYTES = 24, PASSWORD_TEXT_BYTES = 32, DATABASE_MAX_BYTES = 63 };

typedef struct {
    sp_scram_verifier verifier;
    sp_db_session session;
    uint64_t expires_unix_s; /* 0 = free */
    uint32_t person;
    char resource[SP_NAME_MAX_BYTES + 1];
} token;

struct sp_db_tokens {
    token items[SP_DB_TOKENS_MAX];
};

sp_err sp_db_tokens_new(sp_db_tokens **ret_tokens)
{
    return sp_alloc(1, sizeof(**ret_tokens), ret_tokens);
}

void sp_db_tokens_free(sp_db_tokens *tokens)
{
    if (tokens != NULL) {
        sp_wipe(tokens, sizeof(*tokens));
        sp_free(tokens);
    }
}

void sp_db_tokens_expire(sp_databases *databases, uint64_t now_unix_s)
{
    for (size_t i = 0; i < SP_DB_TOKENS_MAX; i++) {
        token *t = &databases->tokens->items[i];
        if (t->expires_unix_s != 0 && t->expires_unix_s <= now_unix_s) {
            sp_wipe(t, sizeof(*t));
        }
    }
}

void sp_db_tokens_clock_set(sp_databases *databases, int64_t by_s)
{
    for (size_t i = 0; by_s < 0 && i < SP_DB_TOKENS_MAX; i++) {
        token *t = &databases->tokens->items[i];
        t->expires_unix_s = sp_clock_moved(t->expires_unix_s, by_s);
    }
}

void sp_db_salt(const sp_core *core, sp_span user, sp_span resource,
                uint8_t ret_salt[SP_DB_SALT_BYTES])
{
    uint8_t decoy[SP_IDENTITY_DECOY_BYTES];
    auto_buf sp_buf name = sp_buf_make(3 * SP_NAME_MAX_BYTES);
    sp_buf_bytes(&name, user);
    sp_buf_bytes(&name, resource);
    sp_identity_decoy(core, "database salt", sp_buf_borrow(&name), decoy);
    sp_copy(ret_salt, decoy, SP_DB_SALT_BYTES);
}

/* ---- keeping ---- */

/* A free place; the person's oldest gives way when he has many, nobody else's ever does. */
static token *place_for(sp_db_tokens *tokens, uint32_t person)
{
    token *oldest = NULL;
    token *spare = NULL;
    size_t count = 0;
    for (size_t i = 0; i < SP_DB_TOKENS_MAX; i++) {
        token *t = &tokens->items[i];
        if (t->expires_unix_s == 0) {
            spare = spare == NULL ? t : spare;
        } else if (t->person == person) {
            count++;
            oldest = oldest == NULL || t->expires_unix_s < oldest->expires_unix_s ? t : oldest;
        }
    }
    return count >= SP_DB_TOKENS_OF_PERSON_MAX ? oldest : spare;
}

static sp_err make_password(char ret_text[PASSWORD_TEXT_BYTES + 1])
{
    uint8_t bytes[RANDOM_BYTES];
    auto_buf sp_buf text = sp_buf_make(PASSWORD_TEXT_BYTES);
    sp_random(bytes, sizeof(bytes));
    sp_buf_base64url(&text, sp_span_of(bytes, sizeof(bytes)));
    sp_err err = sp_fit(ret_text, PASSWORD_TEXT_BYTES + 1, sp_buf_borrow(&text));
    sp_buf_wipe(&text);
    sp_wipe(bytes, sizeof(bytes));
    return err;
}

static sp_err make_token(const sp_core *core, const sp_live_session *session, uint32_t slot,
                         sp_span resource, const char *password)
{
    uint8_t salt[SP_DB_SALT_BYTES];
    auto_scram_key sp_scram_key salted = {0};
    token *t = place_for(core->databases->tokens, session->person);
    if (t == NULL) {
        return sp_fail(SP_ELIMIT);
    }
    token fresh = {.session = {slot, session->id},
                   .person = session->person,
                   .expires_unix_s = sp_now_unix_us() / 1000000 + SP_DB_TOKEN_LIFE_S};
    TRY(sp_fit(fresh.resource, sizeof(fresh.resource), resource));
    sp_db_salt(core, sp_span_cstr(session->person_name), resource, salt);
    TRY(sp_scram_salted(sp_span_cstr(password), sp_span_of(salt, sizeof(salt)), SP_SCRAM_ITERATIONS,
                        &salted));
    TRY(sp_scram_verifier_of(&salted, &fresh.verifier));
    *t = fresh;
    return sp_ok();
}

sp_err sp_db_tokens_check(const sp_databases *databases, uint32_t person, sp_span resource,
                          sp_span auth_message, const uint8_t proof[SP_SCRAM_BYTES],
                          sp_db_session *ret_session, sp_scram_key *ret_signature)
{
    uint64_t now_unix_s = sp_now_unix_us() / 1000000;
    static const sp_scram_verifier NOBODY = {0};
    bool found = false;
    bool right = false;
    sp_scram_key signature;
    TRY(sp_scram_check(&NOBODY, auth_message, sp_span_of(proof, SP_SCRAM_BYTES), &right,
                       &signature));
    for (size_t i = 0; i < SP_DB_TOKENS_MAX; i++) {
        const token *t = &databases->tokens->items[i];
        if (person == 0 || t->person != person || t->expires_unix_s <= now_unix_s ||
            !sp_span_eq(sp_span_cstr(t->resource), resource)) {
            continue;
        }
        TRY(sp_scram_check(&t->verifier, auth_message, sp_span_of(proof, SP_SCRAM_BYTES), &right,
                           &signature));
        if (right) {
            *ret_session = t->session;
            *ret_signature = signature;
            found = true;
        }
    }
    return found ? sp_ok() : sp_fail(SP_EDENIED);
}

/* ---- the API ---- */

sp_subject sp_db_subject(const sp_live_session *session, uint64_t now_unix_s)
{
    sp_subject who = {.person = session->person, .strength = session->strength};
    sp_copy(who.roles, session->roles, sizeof(who.roles));
    who.auth_age_s =
        now_unix_s > session->auth_unix_s ? (uint32_t)(now_unix_s - session->auth_unix_s) : 0;
    return who;
}

/* The port that people connect to: that of the first listener. */
static json_int_t port_of(const sp_config *config)
{
    sp_span address =
        config->postgres_count == 0 ? SP_SPAN_EMPTY : sp_span_cstr(config->postgres[0]);
    size_t colon = address.len;
    while (colon > 0 && address.ptr[colon - 1] != ':') {
        colon--;
    }
    uint64_t port = 0;
    SP_IGNORE(sp_span_to_u64(sp_span_slice(address, colon, address.len), UINT16_MAX,
                             &port)); /* checked when the file was read; 0 = there is no gate */
    return (json_int_t)port;
}

static json_t *database_json(const sp_core *core, const sp_policy *policy, uint32_t at,
                             sp_span account)
{
    sp_database_resource d;
    if (!sp_policy_database_resource(policy, at, &d)) {
        return NULL;
    }
    json_t *names = json_array();
    for (uint32_t i = 0; i < d.databases; i++) {
        json_array_append_new(names, sp_json_span(sp_policy_database_name(policy, at, i)));
    }
    sp_span name = sp_policy_resource_name(policy, at);
    return json_pack("{s:o, s:{s:o, s:o}, s:o, s:o, s:s, s:I, s:I}", "name", sp_json_span(name),
                     "title", "en", sp_json_span(d.title_en), "zh", sp_json_span(d.title_zh),
                     "databases", names, "account", sp_json_span(account), "host",
                     core->portal_host, "port", port_of(core->config), "connections",
                     (json_int_t)sp_db_connections_count(core->databases->connections, name));
}

static void get_mine(sp_request *req)
{
    const sp_core *core = sp_request_core(req);
    const sp_policy *policy = sp_policy_set_view(sp_documents_set(core->state->documents));
    sp_subject who = sp_request_subject(req, sp_now_unix_us() / 1000000);
    json_t *items = json_array();
    for (uint32_t i = 0; i < sp_policy_resource_count(policy); i++) {
        sp_span account = sp_policy_database_account(policy, i, &who);
        if (account.len > 0) {
            json_array_append_new(items, database_json(core, policy, i, account));
        }
    }
    sp_answer_items(req, items);
}

typedef struct {
    sp_span resource;
    sp_span database;
} wish;

static json_t *token_json(const sp_core *core, const wish *w, const char *person,
                          const char *password)
{
    auto_buf sp_buf database = sp_buf_make(2 * SP_NAME_MAX_BYTES + 2);
    sp_buf_span(&database, w->resource);
    sp_buf_text(&database, w->database.len > 0 ? "/" : "");
    sp_buf_span(&database, w->database);
    return json_pack("{s:s, s:s, s:o, s:s, s:I, s:o}", "user", person, "password", password,
                     "database", sp_json_span(sp_buf_borrow(&database)), "host", core->portal_host,
                     "port", port_of(core->config), "expires_at",
                     sp_json_time(sp_now_unix_us() / 1000000 + SP_DB_TOKEN_LIFE_S));
}

static void give_token(sp_request *req, void *data)
{
    const wish *w = data;
    const sp_core *core = sp_request_core(req);
    const sp_live_session *session = sp_request_session(req);
    char password[PASSWORD_TEXT_BYTES + 1];
    sp_err err = make_password(password);
    if (!sp_failed(err)) {
        err = make_token(core, session, sp_request_session_slot(req), w->resource, password);
    }
    if (err.code == SP_ELIMIT) {
        sp_answer_too_many(req, SP_DB_TOKEN_LIFE_S);
    } else if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        sp_answer_header(req, "Cache-Control", SP_SPAN_LIT("no-store"));
        sp_answer_json(req, 201, token_json(core, w, session->person_name, password));
    }
    sp_wipe(password, sizeof(password));
}

static void answer_device(sp_request *req, void *data)
{
    (void)data;
    sp_answer_problem(req, 403, "account_device",
                      "You have an account in this database on other devices only: use one that is "
                      "enrolled, healthy and of the owner that the policy asks for.");
}

static void refuse_account(sp_request *req, sp_span resource, sp_reason missing)
{
    if (missing == SP_REASON_DEFAULT) {
        sp_answer_problem(req, 404, "not_found",
                          "There is no such database, or you have no account in it. "
                          "'sallyport db list' names yours.");
        return;
    }
    sp_event event = sp_request_event(req, SP_EVENT_SIGN_IN);
    event.method = SP_SPAN_LIT("database token made");
    event.gate = SP_GATE_DB;
    event.severity = SP_SEVERITY_LOW;
    event.verdict = SP_VERDICT_DENY;
    event.reason = (uint8_t)missing;
    event.status = 403;
    event.resource = resource;
    sp_request_record(req, &event, answer_device, NULL);
}

/* False when it was refused and answered. */
static bool read_wish(sp_request *req, wish *w)
{
    const sp_field fields[] = {SP_FIELD_TEXT_OPT("database", &w->database, 0, DATABASE_MAX_BYTES)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return false;
    }
    const sp_core *core = sp_request_core(req);
    const sp_policy *policy = sp_policy_set_view(sp_documents_set(core->state->documents));
    uint32_t at = sp_policy_resource_find(policy, sp_request_param(req, 0));
    sp_subject who = sp_request_subject(req, sp_now_unix_us() / 1000000);
    sp_reason missing = sp_policy_database_account_missing(policy, at, &who);
    if (missing != SP_REASON_NONE) {
        refuse_account(req, sp_policy_resource_name(policy, at), missing);
        return false;
    }
    if (sp_policy_database_reached(policy, at, w->database).len == 0) {
        sp_answer_invalid(req, "database", "a database that the resource names");
        return false;
    }
    w->resource = sp_policy_resource_name(policy, at);
    return true;
}

static void post_token(sp_request *req)
{
    wish w = {0};
    wish *kept = NULL;
    if (!read_wish(req, &w)) {
        return;
    }
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*kept), &kept);
    if (!sp_failed(err)) {
        err = sp_arena_copy(sp_request_arena(req), w.resource, &w.resource);
    }
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    *kept = w;
    sp_event event = sp_request_event(req, SP_EVENT_SIGN_IN);
    event.method = SP_SPAN_LIT("database token made");
    event.gate = SP_GATE_DB;
    event.resource = w.resource;
    event.object = w.database;
    sp_request_record(req, &event, give_token, kept);
}

sp_err sp_db_tokens_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/me/databases", SP_WHO_PERSON, get_mine, 0},
        {"POST", "/api/v1/me/databases/{resource}/tokens", SP_WHO_PERSON, post_token, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

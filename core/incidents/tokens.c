/* SPDX-License-Identifier: Apache-2.0
 * Tokens with which another system opens incidents, and does nothing else. A security administrator
 * makes one; it is shown once, and only its hash is kept.
 * OWNS rows of the store. PROCESS core. TRUST whoever asks is hostile until his token is known, and
 * what he writes stays so; tokens are found by their hash. SPEC docs/INCIDENTS.md "Other systems",
 * docs/api/openapi.yaml "/admin/api-tokens", RFC 6750 2.1.
 */
#include "core/http/json.h"
#include "core/identity/identity.h"
#include "core/identity/people.h"
#include "core/incidents/inside.h"
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "lib/base/sha256.h"

enum {
    TOKEN_BYTES = 32,
    TOKENS_MAX = 100,
    AN_HOUR_MOST = 60,
    HOUR_S = 3600,
    TOPIC_MAX_BYTES = 120
};
#define SCOPE "incidents:open"
#define BY "api:"

static const char *const migrations[] = {
    "CREATE TABLE api_token (id BIGINT PRIMARY KEY, name TEXT NOT NULL, hash BYTEA NOT NULL UNIQUE,"
    " created BIGINT NOT NULL, by_name TEXT NOT NULL, used BIGINT NOT NULL, ended BIGINT NOT NULL);"
    "CREATE TABLE api_token_use (token BIGINT NOT NULL, at BIGINT NOT NULL);"
    "CREATE INDEX api_token_use_at ON api_token_use (token, at)",
};

typedef struct {
    uint64_t id;
    sp_span name; /* in the request's arena */
    sp_hash hash;
    bool ended;
} token;

static uint64_t now_s(void)
{
    return sp_now_unix_us() / 1000000;
}

/* ---- rows ---- */

static sp_err find(sp_request *req, const char *sql, uint64_t id, const sp_hash *hash,
                   token *ret_token)
{
    auto_query sp_query q = sp_query_of(sp_request_core(req)->store, sql);
    if (hash != NULL) {
        sp_bind_blob(&q, sp_hash_borrow(hash));
    } else {
        sp_bind_u64(&q, id);
    }
    if (!sp_query_row(&q)) {
        TRY(sp_query_finish(&q));
        return sp_fail(SP_ENOTFOUND);
    }
    ret_token->id = sp_col_u64(&q);
    ret_token->ended = sp_col_u64(&q) != 0;
    return sp_arena_copy(sp_request_arena(req), sp_col_text(&q), &ret_token->name);
}

static uint64_t counted(sp_store *store, const char *sql, sp_span name)
{
    auto_query sp_query q = sp_query_of(store, sql);
    if (name.len > 0) {
        sp_bind_text(&q, name);
    }
    return sp_query_row(&q) ? sp_col_u64(&q) : 0;
}

static sp_err add(sp_store *store, token *t, sp_span by)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    t->id = counted(store, "SELECT COALESCE(MAX(id), 0) + 1 FROM api_token", SP_SPAN_EMPTY);
    auto_query sp_query q =
        sp_query_of(store, "INSERT INTO api_token (id, name, hash, created, by_name, used, ended)"
                           " VALUES ($1, $2, $3, $4, $5, 0, 0)");
    sp_bind_u64(&q, t->id);
    sp_bind_text(&q, t->name);
    sp_bind_blob(&q, sp_hash_borrow(&t->hash));
    sp_bind_u64(&q, now_s());
    sp_bind_text(&q, by);
    TRY(sp_query_finish(&q));
    return sp_txn_commit(&txn);
}

static sp_err end(sp_store *store, uint64_t id)
{
    auto_query sp_query q =
        sp_query_alone(store, "UPDATE api_token SET ended = $1 WHERE id = $2 AND ended = 0");
    sp_bind_u64(&q, now_s());
    sp_bind_u64(&q, id);
    return sp_query_finish_changed(&q);
}

static sp_err used(sp_store *store, uint64_t id)
{
    auto_txn sp_txn txn = sp_txn_begin(store);
    TRY(txn.err);
    auto_query sp_query old =
        sp_query_of(store, "DELETE FROM api_token_use WHERE at <= $1 OR at > $2");
    sp_bind_u64(&old, now_s() - HOUR_S);
    sp_bind_u64(&old, now_s()); /* the clock was set back */
    TRY(sp_query_finish(&old));
    auto_query sp_query use =
        sp_query_of(store, "INSERT INTO api_token_use (token, at) VALUES ($1, $2)");
    sp_bind_u64(&use, id);
    sp_bind_u64(&use, now_s());
    TRY(sp_query_finish(&use));
    auto_query sp_query last =
        sp_query_of(store, "UPDATE api_token SET used = $1 WHERE id = $2 AND ended = 0");
    sp_bind_u64(&last, now_s());
    sp_bind_u64(&last, id);
    TRY(sp_query_finish_changed(&last)); /* else it was taken back meanwhile */
    return sp_txn_commit(&txn);
}

/* Seconds until it may open one again; 0 = now. */
static uint64_t wait_s(sp_store *store, uint64_t id)
{
    auto_query sp_query q = sp_query_of(store, "SELECT at FROM api_token_use WHERE token = $1 ORDER"
                                               " BY at DESC LIMIT 1 OFFSET $2");
    sp_bind_u64(&q, id);
    sp_bind_u64(&q, AN_HOUR_MOST - 1);
    uint64_t first = sp_query_row(&q) ? sp_col_u64(&q) : 0;
    uint64_t now = now_s();
    return first == 0 || first > now || first + HOUR_S <= now ? 0 : first + HOUR_S - now;
}

/* ---- making and taking back ---- */

static void get_tokens(sp_request *req)
{
    json_t *items = json_array();
    auto_query sp_query q =
        sp_query_of(sp_request_core(req)->store,
                    "SELECT id, name, created, by_name, used FROM api_token WHERE ended = 0"
                    " ORDER BY id");
    while (sp_query_row(&q)) {
        json_t *one = json_object();
        json_object_set_new(one, "id", sp_json_id(sp_col_u64(&q)));
        json_object_set_new(one, "name", sp_json_span_or_null(sp_col_text(&q)));
        json_object_set_new(one, "scope", json_string(SCOPE));
        json_object_set_new(one, "created_at", sp_json_time(sp_col_u64(&q)));
        json_object_set_new(one, "created_by", sp_json_span_or_null(sp_col_text(&q)));
        json_object_set_new(one, "used_at", sp_json_time(sp_col_u64(&q)));
        json_array_append_new(items, one);
    }
    sp_answer_read(req, sp_query_finish(&q), items);
}

static void go_make(sp_request *req, void *data)
{
    token *t = data;
    uint8_t bytes[TOKEN_BYTES];
    auto_buf sp_buf text = sp_buf_make(2 * TOKEN_BYTES + 1);
    sp_random(bytes, sizeof(bytes));
    (void)sp_buf_room(&text, 2 * TOKEN_BYTES + 1); /* it does not move: it is wiped */
    sp_buf_hex(&text, sp_span_of(bytes, sizeof(bytes)));
    t->hash = sp_sha256(sp_buf_borrow(&text));
    sp_buf_byte(&text, 0);
    sp_err err = sp_buf_error(&text);
    if (!sp_failed(err)) {
        err = add(sp_request_core(req)->store, t, sp_request_by(req));
    }
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        sp_answer_json(req, 201,
                       json_pack("{s:o,s:o,s:s,s:s}", "id", sp_json_id(t->id), "name",
                                 sp_json_span_or_null(t->name), "scope", SCOPE, "token",
                                 (const char *)text.ptr));
    }
    sp_buf_wipe(&text);
    sp_wipe(bytes, sizeof(bytes));
}

static void record(sp_request *req, const char *method, token *t, sp_request_go go)
{
    sp_event event = sp_request_event(req, SP_EVENT_ADMIN);
    event.method = sp_span_cstr(method);
    event.object = t->name;
    event.severity = SP_SEVERITY_MEDIUM;
    event.detail = SP_SPAN_LIT("{\"scope\":\"" SCOPE "\"}");
    sp_request_record(req, &event, go, t);
}

/* NULL: answered. */
static token *token_of(sp_request *req)
{
    token *t = NULL;
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*t), &t);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    }
    return sp_failed(err) ? NULL : t;
}

static void post_token(sp_request *req)
{
    sp_store *store = sp_request_core(req)->store;
    token *t = token_of(req);
    if (t == NULL) {
        return;
    }
    const sp_field fields[] = {
        SP_FIELD_TEXT("name", &t->name, 1, SP_NAME_MAX_BYTES - sizeof(BY) + 1)};
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    if (!sp_name_is_valid(t->name)) {
        sp_answer_invalid(req, "name", "what the system is called: small letters, digits, - . _");
        return;
    }
    if (counted(store, "SELECT COUNT(*) FROM api_token WHERE ended = 0 AND name = $1", t->name) >
        0) {
        sp_answer_problem(req, 409, "conflict",
                          "There is one of that name. Take it back first, or name this otherwise.");
        return;
    }
    if (counted(store, "SELECT COUNT(*) FROM api_token WHERE ended = 0", SP_SPAN_EMPTY) >=
        TOKENS_MAX) {
        sp_answer_problem(req, 409, "conflict", "There are %d already.", TOKENS_MAX);
        return;
    }
    record(req, "api token made", t, go_make);
}

static void go_revoke(sp_request *req, void *data)
{
    const token *t = data;
    sp_err err = end(sp_request_core(req)->store, t->id);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        sp_answer_empty(req, 204);
    }
}

static void delete_token(sp_request *req)
{
    token *t = token_of(req);
    uint64_t id = 0;
    if (t == NULL) {
        return;
    }
    if (!sp_request_param_u64(req, 0, &id) || id > INT64_MAX ||
        sp_failed(find(req, "SELECT id, ended, name FROM api_token WHERE ended = 0 AND id = $1", id,
                       NULL, t))) {
        sp_answer_problem(req, 404, "not_found", "There is no such token.");
        return;
    }
    record(req, "api token revoked", t, go_revoke);
}

/* ---- opening an incident with it ---- */

typedef struct {
    token by;
    sp_incident_open open;
    sp_span text;
} hooked;

static void go_open(sp_request *req, void *data)
{
    const hooked *h = data;
    sp_core *core = sp_request_core(req);
    uint64_t id = 0;
    bool news = false;
    sp_incident incident;
    const sp_incident_note note = {.kind = "told",
                                   .by_name = h->open.by_name,
                                   .text = h->text.len > 0 ? h->text : h->open.title};
    uint64_t wait = wait_s(core->store, h->by.id);
    if (wait > 0) { /* others of it were under way */
        sp_answer_too_many(req, wait);
        return;
    }
    sp_err err = used(core->store, h->by.id);
    if (!sp_failed(err)) {
        err = sp_incident_open_one(core, &h->open, &id, &news);
    }
    if (!sp_failed(err)) {
        err = sp_incident_row_get(core->store, sp_request_arena(req), id, &incident);
    }
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    sp_incident_add(core, id, &note);
    if (news) {
        sp_incident_page_opened(core, &incident);
    }
    sp_answer_json(req, 201, json_pack("{s:o,s:b}", "incident", sp_json_id(id), "news", (int)news));
}

static void answer_unknown(sp_request *req, void *data)
{
    (void)data;
    sp_answer_header(req, "WWW-Authenticate", SP_SPAN_LIT("Bearer realm=\"incidents\""));
    sp_answer_problem(req, 401, "token_required",
                      "Show a token of 'sallyport api-token make' that was not taken back: "
                      "Authorization: Bearer TOKEN.");
}

/* Somebody has one that was taken back. */
static void refuse_ended(sp_request *req, const token *t)
{
    auto_buf sp_buf by = sp_buf_make(SP_NAME_MAX_BYTES + 8);
    sp_buf_text(&by, BY);
    sp_buf_span(&by, t->name);
    sp_event event = sp_request_event(req, SP_EVENT_INCIDENT);
    event.verdict = SP_VERDICT_DENY;
    event.reason = SP_REASON_DEFAULT;
    event.severity = SP_SEVERITY_LOW;
    event.status = 401;
    event.method = SP_SPAN_LIT("api token refused");
    event.person_name = sp_buf_borrow(&by);
    event.detail = SP_SPAN_LIT("{\"did\":\"api token refused\",\"why\":\"it was taken back\"}");
    sp_request_record(req, &event, answer_unknown, NULL);
}

/* The token that was shown; else it has been answered. One that is good waits for nobody's
 * guesses. */
static bool knows_token(sp_request *req, token *ret_token)
{
    const sp_span scheme = SP_SPAN_LIT("Bearer ");
    sp_core *core = sp_request_core(req);
    sp_span given = sp_request_header(req, "Authorization");
    sp_err err = sp_fail(SP_ENOTFOUND);
    if (sp_span_starts(given, scheme) && given.len == scheme.len + (size_t)2 * TOKEN_BYTES) {
        sp_hash hash = sp_sha256(sp_span_slice(given, scheme.len, given.len));
        err =
            find(req, "SELECT id, ended, name FROM api_token WHERE hash = $1", 0, &hash, ret_token);
    }
    bool found = !sp_failed(err);
    if (!found && err.code != SP_ENOTFOUND) {
        sp_answer_failed(req, err); /* a store that is ill is nobody's guess */
        return false;
    }
    if (found && !ret_token->ended) {
        return true;
    }
    uint64_t wait = sp_identity_token_wait_s(core, sp_request_peer(req));
    if (wait > 0) {
        sp_answer_too_many(req, wait);
        return false;
    }
    sp_identity_token_failed(core, sp_request_peer(req));
    if (found) {
        refuse_ended(req, ret_token);
    } else {
        answer_unknown(req, NULL);
    }
    return false;
}

static sp_err name_it(sp_request *req, hooked *h, sp_span topic)
{
    auto_buf sp_buf by = sp_buf_make(SP_NAME_MAX_BYTES + 8);
    auto_buf sp_buf about = sp_buf_make(TOPIC_MAX_BYTES + 32);
    sp_buf_text(&by, BY);
    sp_buf_span(&by, h->by.name);
    sp_buf_fmt(&about, "api %llu ", (unsigned long long)h->by.id);
    sp_buf_span(&about, topic);
    TRY(sp_buf_error(&by));
    TRY(sp_buf_error(&about));
    TRY(sp_arena_copy(sp_request_arena(req), sp_buf_borrow(&by), &h->open.by_name));
    return topic.len == 0
               ? sp_ok()
               : sp_arena_copy(sp_request_arena(req), sp_buf_borrow(&about), &h->open.topic);
}

static bool read_hooked(sp_request *req, hooked *h)
{
    sp_span severity = SP_SPAN_LIT("medium");
    sp_span topic = SP_SPAN_EMPTY;
    const sp_field fields[] = {
        SP_FIELD_TEXT("title", &h->open.title, 3, SP_INCIDENT_TITLE_MAX_BYTES),
        SP_FIELD_TEXT_OPT("severity", &severity, 1, 16),
        SP_FIELD_TEXT_OPT("topic", &topic, 1, TOPIC_MAX_BYTES),
        SP_FIELD_TEXT_OPT("text", &h->text, 1, SP_INCIDENT_TEXT_MAX_BYTES),
        SP_FIELD_BOOL_OPT("drill", &h->open.drill),
    };
    if (!sp_request_fields(req, fields, SP_COUNT(fields)) ||
        !sp_incident_severity_of(req, severity, &h->open.severity)) {
        return false;
    }
    sp_err err = name_it(req, h, topic);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    }
    return !sp_failed(err);
}

static void post_hook(sp_request *req)
{
    hooked *h = NULL;
    sp_err err = sp_arena_alloc(sp_request_arena(req), 1, sizeof(*h), &h);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    if (!knows_token(req, &h->by) || !read_hooked(req, h)) {
        return;
    }
    uint64_t wait = wait_s(sp_request_core(req)->store, h->by.id);
    if (wait > 0) {
        sp_answer_too_many(req, wait);
        return;
    }
    sp_event event = sp_request_event(req, SP_EVENT_INCIDENT);
    event.method = SP_SPAN_LIT("open");
    event.person_name = h->open.by_name;
    event.severity = h->open.severity;
    event.object = h->open.title;
    auto_buf sp_buf detail = sp_buf_make(64);
    uint64_t joined = 0;
    sp_buf_text(&detail, "{\"did\":\"open\"");
    if (sp_incident_joins(sp_request_core(req), &h->open, &joined)) {
        sp_buf_fmt(&detail, ",\"incident\":\"%llu\"", (unsigned long long)joined);
    }
    sp_buf_byte(&detail, '}');
    event.detail = sp_buf_borrow(&detail);
    sp_request_record(req, &event, go_open, h);
}

sp_err sp_incident_tokens_start(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/admin/api-tokens", SP_WHO_SECURITY | SP_WHO_AUDIT | SP_WHO_LOCAL,
         get_tokens, 0},
        {"POST", "/api/v1/admin/api-tokens", SP_WHO_SECURITY | SP_WHO_LOCAL | SP_WHO_FRESH,
         post_token, 0},
        {"DELETE", "/api/v1/admin/api-tokens/{id}", SP_WHO_SECURITY | SP_WHO_LOCAL | SP_WHO_FRESH,
         delete_token, 0},
        {"POST", "/api/v1/hooks/incidents", SP_WHO_PUBLIC, post_hook, 0},
    };
    TRY(sp_store_migrate(core->store, "api-tokens", migrations, SP_COUNT(migrations)));
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

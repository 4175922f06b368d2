/* SPDX-License-Identifier: Apache-2.0
 * GET /metrics, and the token that a scraper has. Only its hash is kept; a new one takes the place
 * of the old.
 * OWNS a row of the store. PROCESS core. TRUST requests are hostile; the token is compared by its
 * hash. SPEC docs/api/openapi.yaml "/admin/metrics/token", RFC 6750 2.1.
 */
#include "core/http/router.h"
#include "core/meters/inside.h"
#include "infra/crypto/random.h"
#include "lib/base/sha256.h"

enum { TOKEN_BYTES = 32, TEXT_MAX_BYTES = 256 * 1024 };

static const char *const migrations[] = {
    "CREATE TABLE metrics_token (id INTEGER PRIMARY KEY CHECK (id = 1), hash BYTEA NOT NULL)",
};

static bool hash_kept(sp_store *store, sp_hash *ret_hash)
{
    auto_query sp_query q = sp_query_of(store, "SELECT hash FROM metrics_token WHERE id = 1");
    if (!sp_query_row(&q)) {
        return false;
    }
    sp_span kept = sp_col_blob(&q);
    if (kept.len != sizeof(ret_hash->bytes)) {
        return false;
    }
    sp_copy(ret_hash->bytes, kept.ptr, sizeof(ret_hash->bytes));
    return true;
}

static sp_err keep_hash(sp_store *store, const sp_hash *hash)
{
    auto_query sp_query q = sp_query_alone(
        store, hash == NULL ? "DELETE FROM metrics_token"
                            : "INSERT INTO metrics_token (id, hash) VALUES (1, $1)"
                              " ON CONFLICT (id) DO UPDATE SET hash = excluded.hash");
    if (hash != NULL) {
        sp_bind_blob(&q, sp_hash_borrow(hash));
    }
    return sp_query_finish(&q);
}

static bool may_scrape(sp_request *req)
{
    const sp_span scheme = SP_SPAN_LIT("Bearer ");
    sp_hash kept;
    sp_span given = sp_request_header(req, "Authorization");
    if (sp_request_is_local(req)) {
        return true;
    }
    if (!sp_span_starts(given, scheme) || !hash_kept(sp_request_core(req)->store, &kept)) {
        return false;
    }
    sp_hash hash = sp_sha256(sp_span_slice(given, scheme.len, given.len));
    return sp_hash_eq(&hash, &kept);
}

static void get_metrics(sp_request *req)
{
    auto_buf sp_buf text = sp_buf_make(TEXT_MAX_BYTES);
    if (!may_scrape(req)) {
        sp_answer_header(req, "WWW-Authenticate", SP_SPAN_LIT("Bearer realm=\"metrics\""));
        sp_answer_problem(req, 401, "token_required",
                          "Scrape with the token of 'sallyport metrics token'.");
        return;
    }
    meter_text(sp_request_core(req)->meters, &text);
    if (sp_failed(sp_buf_error(&text))) {
        sp_answer_failed(req, sp_buf_error(&text));
        return;
    }
    sp_answer_bytes(req, 200, "text/plain; version=0.0.4; charset=utf-8", sp_buf_borrow(&text));
}

/* ---- the token ---- */

static void go_new(sp_request *req, void *data)
{
    uint8_t bytes[TOKEN_BYTES];
    auto_buf sp_buf text = sp_buf_make(2 * TOKEN_BYTES + 1);
    (void)data;
    sp_random(bytes, sizeof(bytes));
    sp_buf_room(&text, 2 * TOKEN_BYTES + 1);
    sp_buf_hex(&text, sp_span_of(bytes, sizeof(bytes)));
    sp_hash hash = sp_sha256(sp_buf_borrow(&text));
    sp_buf_byte(&text, 0);
    sp_err err = sp_buf_error(&text);
    if (!sp_failed(err)) {
        err = keep_hash(sp_request_core(req)->store, &hash);
    }
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        sp_answer_json(req, 201, json_pack("{s:s}", "token", (const char *)text.ptr));
    }
    sp_buf_wipe(&text);
    sp_wipe(bytes, sizeof(bytes));
}

static void go_remove(sp_request *req, void *data)
{
    (void)data;
    sp_err err = keep_hash(sp_request_core(req)->store, NULL);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        sp_answer_empty(req, 204);
    }
}

static void record(sp_request *req, const char *method, sp_request_go go)
{
    sp_event event = sp_request_event(req, SP_EVENT_ADMIN);
    event.method = sp_span_cstr(method);
    event.object = SP_SPAN_LIT("metrics token");
    sp_request_record(req, &event, go, NULL);
}

static void post_token(sp_request *req)
{
    if (sp_request_fields(req, NULL, 0)) {
        record(req, "metrics token made", go_new);
    }
}

static void delete_token(sp_request *req)
{
    record(req, "metrics token removed", go_remove);
}

sp_err meter_token_start(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/metrics", SP_WHO_PUBLIC | SP_WHO_LOCAL, get_metrics, 0},
        {"POST", "/api/v1/admin/metrics/token", SP_WHO_SYSTEM | SP_WHO_LOCAL | SP_WHO_FRESH,
         post_token, 0},
        {"DELETE", "/api/v1/admin/metrics/token", SP_WHO_SYSTEM | SP_WHO_LOCAL | SP_WHO_FRESH,
         delete_token, 0},
    };
    TRY(sp_store_migrate(core->store, "meters", migrations, SP_COUNT(migrations)));
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

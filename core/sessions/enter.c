/* SPDX-License-Identifier: Apache-2.0
 * From the portal's session to an application's cookie, in the browser of the same person:
 *     portal /enter -> application /.sallyport/start -> portal /enter -> application
 *     /.sallyport/enter
 * /start gives the browser a random cookie of that host (the way) and its hash to the portal;
 * /enter makes a single-use ticket that only a browser with that cookie can use. Without the way,
 * somebody could send others a ticket of his own, and have them work in his name. OWNS the tickets.
 * PROCESS core. TRUST `to` and ticket are hostile. SPEC docs/ARCHITECTURE.md "Signing in and
 * cookies".
 */
#include "core/http/router.h"
#include "core/sessions/inside.h"
#include "core/sessions/target.h"
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"

#include <string.h>

enum {
    TICKETS_MAX = 8192,
    TICKET_LIFE_US = 30 * 1000000,
    WAY_LIFE_S = 600,
    HOST_BYTES = 256,
    HTTPS_PORT = 443
};

typedef struct {
    sp_hash hash;      /* of the ticket's text */
    uint64_t until_us; /* 0 = free */
    uint64_t session;
    uint32_t slot;
    bool has_certificate;
    sp_hash certificate;
    uint8_t peer[16];
    sp_hash way;
    char host[HOST_BYTES];
} ticket;

struct sp_tickets {
    sp_core *core;
    ticket items[TICKETS_MAX];
    uint32_t next; /* the oldest is overwritten when all are in use */
};

/* ---- the table ---- */

static ticket *ticket_new(sp_tickets *tickets)
{
    uint64_t now_us = sp_now_steady_us();
    for (uint32_t i = 0; i < TICKETS_MAX; i++) {
        ticket *at = &tickets->items[(tickets->next + i) % TICKETS_MAX];
        if (at->until_us < now_us) {
            tickets->next = (tickets->next + i + 1) % TICKETS_MAX;
            return at;
        }
    }
    ticket *oldest = &tickets->items[tickets->next];
    tickets->next = (tickets->next + 1) % TICKETS_MAX;
    return oldest;
}

/* Takes it out: a second use finds nothing. */
static bool ticket_take(sp_tickets *tickets, const sp_hash *hash, ticket *ret_ticket)
{
    uint64_t now_us = sp_now_steady_us();
    for (uint32_t i = 0; i < TICKETS_MAX; i++) {
        ticket *at = &tickets->items[i];
        if (at->until_us >= now_us && sp_hash_eq(&at->hash, hash)) {
            *ret_ticket = *at;
            *at = (ticket){0};
            return true;
        }
    }
    return false;
}

/* ---- addresses ---- */

static void put_port(sp_buf *out, const sp_config *config)
{
    if (config->public_port != HTTPS_PORT) {
        sp_buf_byte(out, ':');
        sp_buf_u64_text(out, config->public_port);
    }
}

static void put_encoded(sp_buf *out, sp_span text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
    for (size_t i = 0; i < text.len; i++) {
        if (memchr(plain, text.ptr[i], sizeof(plain) - 1) != NULL) {
            sp_buf_byte(out, text.ptr[i]);
        } else {
            sp_buf_fmt(out, "%%%02X", text.ptr[i]);
        }
    }
}

static void redirect(sp_request *req, const sp_buf *to)
{
    sp_err err = sp_buf_error(to);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    sp_answer_redirect(req, 303, sp_buf_borrow(to));
}

/* ---- /enter, on the portal ---- */

static void to_console(sp_request *req, const char *page, sp_span to)
{
    auto_buf sp_buf url = sp_buf_make(4 * SP_TARGET_MAX_BYTES);
    sp_buf_text(&url, page);
    sp_buf_text(&url, "?to=");
    put_encoded(&url, to);
    redirect(req, &url);
}

static sp_err make_ticket(sp_request *req, const sp_target *target, const sp_hash *way, sp_buf *out)
{
    sp_core *core = sp_request_core(req);
    uint8_t secret[SP_TOKEN_BYTES];
    ticket fresh = {.until_us = sp_now_steady_us() + TICKET_LIFE_US,
                    .session = sp_request_session(req)->id,
                    .slot = sp_request_session_slot(req)};
    TRY(sp_fit(fresh.host, sizeof(fresh.host), target->host));
    fresh.way = *way;
    fresh.has_certificate = sp_request_certificate(req, &fresh.certificate);
    sp_copy(fresh.peer, sp_request_peer(req), sizeof(fresh.peer));
    sp_random(secret, sizeof(secret));
    sp_buf_base64url(out, sp_span_of(secret, sizeof(secret)));
    TRY(sp_buf_error(out));
    fresh.hash = sp_sha256(sp_buf_borrow(out));
    *ticket_new(core->sessions->tickets) = fresh;
    return sp_ok();
}

static void put_application(sp_buf *url, const sp_config *config, sp_span host)
{
    sp_buf_text(url, "https://");
    sp_buf_span(url, host);
    put_port(url, config);
}

/* The browser has no way into this application yet. */
static void go_to_start(sp_request *req, const sp_target *target)
{
    auto_buf sp_buf url = sp_buf_make(4 * SP_TARGET_MAX_BYTES);
    put_application(&url, sp_request_core(req)->config, target->host);
    sp_buf_text(&url, "/.sallyport/start?to=");
    put_encoded(&url, target->path);
    redirect(req, &url);
}

static void go_to_application(sp_request *req, const sp_target *target, const sp_hash *way)
{
    auto_buf sp_buf ticket_text = sp_buf_make(SP_TOKEN_TEXT_BYTES + 1);
    sp_err err = make_ticket(req, target, way, &ticket_text);
    if (sp_failed(err)) {
        sp_answer_failed(req, err);
        return;
    }
    auto_buf sp_buf url = sp_buf_make(4 * SP_TARGET_MAX_BYTES);
    put_application(&url, sp_request_core(req)->config, target->host);
    sp_buf_text(&url, "/.sallyport/enter?ticket=");
    sp_buf_span(&url, sp_buf_borrow(&ticket_text));
    sp_buf_text(&url, "&to=");
    put_encoded(&url, target->path);
    redirect(req, &url);
}

static bool read_way(const sp_request *req, sp_hash *ret_way)
{
    auto_buf sp_buf bytes = sp_buf_make(SP_SHA256_BYTES);
    if (sp_failed(sp_buf_unhex(&bytes, sp_request_query(req, "way"))) ||
        bytes.len != SP_SHA256_BYTES) {
        return false;
    }
    sp_copy(ret_way->bytes, bytes.ptr, SP_SHA256_BYTES);
    return true;
}

/* The gate found the sign-in too weak or too old for what was asked; the console's page comes back
 * here without "need". */
static bool wants_stronger(const sp_request *req)
{
    return sp_span_eq(sp_request_query(req, "need"), SP_SPAN_LIT("stronger"));
}

static void get_enter(sp_request *req)
{
    const sp_core *core = sp_request_core(req);
    sp_span to = sp_request_query(req, "to");
    sp_target target;
    sp_hash way;
    sp_err err =
        sp_target_read(to, sp_span_cstr(core->config->domain), sp_span_cstr(core->portal_host),
                       core->config->public_port, &target);
    if (sp_failed(err)) {
        sp_answer_problem(req, 400, "bad_target",
                          "\"to\" must be the address of an application of this office.");
    } else if (sp_request_session(req) == NULL) {
        to_console(req, "/sign-in", to);
    } else if (wants_stronger(req)) {
        to_console(req, "/step-up", to);
    } else if (read_way(req, &way)) {
        go_to_application(req, &target, &way);
    } else {
        go_to_start(req, &target);
    }
}

/* ---- /.sallyport/start, on the application's host ---- */

static void set_cookie(sp_request *req, const char *name, sp_span token, uint64_t life_s)
{
    auto_buf sp_buf cookie = sp_buf_make(256);
    sp_cookie_write(name, token, life_s, &cookie);
    sp_answer_header(req, "Set-Cookie", sp_buf_borrow(&cookie));
    sp_buf_wipe(&cookie);
}

static void new_way(sp_request *req, sp_hash *ret_way)
{
    uint8_t secret[SP_TOKEN_BYTES];
    auto_buf sp_buf text = sp_buf_make(SP_TOKEN_TEXT_BYTES + 1);
    sp_random(secret, sizeof(secret));
    sp_buf_base64url(&text, sp_span_of(secret, sizeof(secret)));
    set_cookie(req, SP_COOKIE_WAY_NAME, sp_buf_borrow(&text), WAY_LIFE_S);
    *ret_way = sp_sha256(sp_buf_borrow(&text));
}

/* A way that is there is kept: two tabs may be entering at once. */
static void get_start(sp_request *req)
{
    const sp_core *core = sp_request_core(req);
    sp_span to = sp_request_query(req, "to");
    sp_hash way;
    auto_buf sp_buf target = sp_buf_make(2 * SP_TARGET_MAX_BYTES);
    auto_buf sp_buf url = sp_buf_make(8 * SP_TARGET_MAX_BYTES);
    if (sp_failed(sp_cookie_read(sp_request_header(req, "Cookie"), SP_COOKIE_WAY_NAME, &way))) {
        new_way(req, &way);
    }
    put_application(&target, core->config, sp_request_host(req));
    sp_buf_span(&target, sp_target_is_path(to) ? to : SP_SPAN_LIT("/"));
    sp_buf_text(&url, core->portal_origin);
    sp_buf_text(&url, "/enter?way=");
    sp_buf_hex(&url, sp_hash_borrow(&way));
    sp_buf_text(&url, "&to=");
    put_encoded(&url, sp_buf_borrow(&target));
    redirect(req, &url);
}

/* ---- /.sallyport/enter, on the application's host ---- */

/* The same address, or the same /64 of IPv6. What runs in the application's page (a service worker)
 * can read a ticket on its way; without a device's certificate the way alone would not keep it from
 * being used elsewhere, for whoever sent the visitor on that way. */
static bool is_same_visitor(const uint8_t a[16], const uint8_t b[16])
{
    static const uint8_t four[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    bool is_four = sp_span_eq(sp_span_of(a, sizeof(four)), sp_span_of(four, sizeof(four)));
    size_t len = is_four ? 16 : 8;
    return sp_span_eq(sp_span_of(a, len), sp_span_of(b, len));
}

static bool ticket_fits(const sp_request *req, const ticket *used)
{
    sp_hash certificate;
    sp_hash way;
    bool has = sp_request_certificate(req, &certificate);
    return sp_span_eq(sp_span_cstr(used->host), sp_request_host(req)) &&
           !sp_failed(sp_cookie_read(sp_request_header(req, "Cookie"), SP_COOKIE_WAY_NAME, &way)) &&
           sp_hash_eq(&way, &used->way) && has == used->has_certificate &&
           (has ? sp_hash_eq(&certificate, &used->certificate)
                : is_same_visitor(used->peer, sp_request_peer(req)));
}

static void refuse_ticket(sp_request *req)
{
    auto_buf sp_buf page = sp_buf_make(4096);
    sp_buf_text(&page, "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Sign in "
                       "again</title><h1>This sign-in link was used already, or is too old</h1><p>"
                       "<a href=\"/\">Go on to the application</a>; you may be asked to sign in "
                       "again.</p></html>");
    sp_answer_bytes(req, 403, "text/html; charset=utf-8", sp_buf_borrow(&page));
}

static void get_ticket(sp_request *req)
{
    sp_core *core = sp_request_core(req);
    sp_span to = sp_request_query(req, "to");
    sp_hash hash;
    ticket used;
    char token[SP_TOKEN_TEXT_BYTES + 1];
    if (sp_failed(sp_token_hash(sp_request_query(req, "ticket"), &hash)) ||
        !ticket_take(core->sessions->tickets, &hash, &used) || !ticket_fits(req, &used)) {
        refuse_ticket(req);
        return;
    }
    sp_err err = sp_sessions_add_token(core, used.slot, used.session, sp_request_host(req), token);
    if (err.code == SP_ENOTFOUND) {
        refuse_ticket(req);
    } else if (sp_failed(err)) {
        sp_answer_failed(req, err);
    } else {
        set_cookie(req, SP_COOKIE_NAME, sp_span_cstr(token), sp_sessions_life_s(core));
        sp_sessions_seen(core, used.slot, used.session, sp_now_unix_us() / 1000000);
        sp_answer_redirect(req, 303, sp_target_is_path(to) ? to : SP_SPAN_LIT("/"));
    }
    sp_wipe(token, sizeof(token));
}

/* Forgets this host's cookie and offers the portal, where the session itself is ended. */
static void get_leave(sp_request *req)
{
    auto_buf sp_buf url = sp_buf_make(1024);
    sp_buf_text(&url, sp_request_core(req)->portal_origin);
    sp_buf_text(&url, "/sign-out");
    redirect(req, &url);
}

static const sp_route routes[] = {
    {"GET", "/enter", SP_WHO_PUBLIC, get_enter, 0},
    {"GET", "/.sallyport/start", SP_WHO_PUBLIC, get_start, 0},
    {"GET", "/.sallyport/enter", SP_WHO_PUBLIC, get_ticket, 0},
    {"GET", "/.sallyport/leave", SP_WHO_PUBLIC, get_leave, 0},
};

sp_err sp_tickets_start(sp_core *core, sp_tickets **ret_tickets)
{
    sp_tickets *tickets = NULL;
    TRY(sp_alloc(1, sizeof(*tickets), &tickets));
    tickets->core = core;
    *ret_tickets = tickets;
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

void sp_tickets_free(sp_tickets *tickets)
{
    sp_free(tickets);
}

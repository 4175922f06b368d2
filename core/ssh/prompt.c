/* SPDX-License-Identifier: Apache-2.0
 * Signing in without a key (keyboard-interactive): password and code, or a page that a browser
 * confirms.
 *
 * Story: the client is asked for both at once. Left empty, it gets an address with a code; the
 * reply to its next message waits until the person of that name, signed in there, says yes with a
 * fresh second factor, or no, or two minutes are over. What the client sees is the same for names
 * that do not exist.
 *
 * OWNS conversations. PROCESS core. TRUST names and answers are the client's; codes are guessed at:
 * they are of a signed-in person's own name only, and last two minutes.
 * SPEC lib/proto/ssh_msg.h "PROMPT"; RFC 4256; docs/api/openapi.yaml "/ssh/sign-in"; RFC 8628 5.
 */
#include "core/http/json.h"
#include "core/identity/identity.h"
#include "core/ssh/inside.h"
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "lib/base/address.h"

enum { CONVERSATIONS_MAX = 1024, OF_ADDRESS_MAX = 128, LIFE_S = 120 };

typedef enum {
    ASKED,   /* for password and code */
    PROVING, /* they are being checked */
    SHOWN,   /* the address was told; the client has not said that it waits */
    WAITING, /* it waits */
    ALLOWED, /* by a browser, while SHOWN */
    SIGNING_IN
} stage;

typedef struct {
    uint64_t serial; /* 0 = free; callbacks find it again by this */
    sp_ssh_conversations *all;
    sp_peer *line;     /* held */
    uint32_t of_place; /* how many there are of its address, this one too */
    uint32_t number;
    stage at;
    sp_msg to; /* PROVING, WAITING, SIGNING_IN: what is to be answered */
    uint64_t asked_unix_s;
    uint64_t until_unix_s;
    sp_session_mark since; /* the beginning; of what a browser allowed: that moment */
    uint64_t session;      /* in which it was allowed; 0 = by password and code */
    uint32_t person;       /* who allowed it */
    uint8_t strength;
    uint8_t peer[16];
    uint64_t connection; /* its reference */
    char code[SP_RANDOM_CODE_BYTES];
    char user[SP_NAME_MAX_BYTES + 1];
    char resource[SP_NAME_MAX_BYTES + 1];
    char account[SP_SSH_ACCOUNT_MAX_BYTES + 1];
    char client[SP_SSH_CLIENT_MAX_BYTES + 1];
} conversation;

struct sp_ssh_conversations {
    uint64_t serial;
    conversation items[CONVERSATIONS_MAX];
};

static uint64_t now_s(void)
{
    return sp_now_unix_us() / 1000000;
}

sp_err sp_ssh_conversations_new(sp_ssh_conversations **ret_conversations)
{
    return sp_alloc(1, sizeof(**ret_conversations), ret_conversations);
}

/* One more or less of this address; how many there are now. */
static uint32_t count_place(sp_ssh_conversations *all, const uint8_t peer[16], int step)
{
    uint32_t count = 0;
    for (size_t i = 0; i < CONVERSATIONS_MAX; i++) {
        conversation *c = &all->items[i];
        if (c->serial != 0 && sp_address_same_place(c->peer, peer)) {
            c->of_place += (uint32_t)step;
            count++;
        }
    }
    return count;
}

static void end(conversation *c)
{
    if (c->serial != 0) {
        (void)count_place(c->all, c->peer, -1);
        sp_peer_unref(c->line);
        *c = (conversation){0};
    }
}

void sp_ssh_conversations_free(sp_ssh_conversations *conversations)
{
    for (size_t i = 0; conversations != NULL && i < CONVERSATIONS_MAX; i++) {
        end(&conversations->items[i]);
    }
    sp_free(conversations);
}

void sp_ssh_conversations_gone(sp_ssh *ssh, const sp_peer *peer)
{
    for (size_t i = 0; i < CONVERSATIONS_MAX; i++) {
        conversation *c = &ssh->conversations->items[i];
        if (c->serial != 0 && c->line == peer) {
            end(c);
        }
    }
}

void sp_ssh_conversations_closed(sp_ssh *ssh, uint64_t connection, const sp_peer *peer)
{
    for (size_t i = 0; i < CONVERSATIONS_MAX; i++) {
        conversation *c = &ssh->conversations->items[i];
        if (c->serial != 0 && c->line == peer && c->connection == connection) {
            end(c);
        }
    }
}

static conversation *by_serial(const sp_core *core, uint64_t serial)
{
    for (size_t i = 0; core->ssh != NULL && i < CONVERSATIONS_MAX; i++) {
        if (core->ssh->conversations->items[i].serial == serial) {
            return &core->ssh->conversations->items[i];
        }
    }
    return NULL;
}

static conversation *find(sp_ssh *ssh, const sp_peer *line, uint32_t number)
{
    for (size_t i = 0; i < CONVERSATIONS_MAX; i++) {
        conversation *c = &ssh->conversations->items[i];
        if (c->serial != 0 && c->line == line && c->number == number) {
            return c;
        }
    }
    return NULL;
}

/* ---- ends ---- */

static sp_ssh_who who_of(const conversation *c)
{
    sp_ssh_who who = {.user = sp_span_cstr(c->user),
                      .resource = sp_span_cstr(c->resource),
                      .account = sp_span_cstr(c->account)};
    sp_copy(who.peer, c->peer, sizeof(who.peer));
    who.connection = c->connection;
    return who;
}

static void refuse(conversation *c, sp_code code)
{
    sp_peer_reply(c->line, &c->to, code, SP_SPAN_EMPTY, NULL, 0);
    end(c);
}

typedef struct {
    sp_core *core;
    uint64_t serial;
    conversation was; /* when it began to be proved: it may be gone by the answer */
} at_conversation;

static void on_signed_in(void *self, sp_err err, const sp_ssh_signed_in *signed_in)
{
    at_conversation *at = self;
    conversation *c = by_serial(at->core, at->serial);
    if (c != NULL && sp_failed(err)) {
        refuse(c, err.code);
    } else if (c != NULL) {
        auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
        const sp_ssh_prompted done = {.done = 1, .signed_in = *signed_in};
        sp_ssh_prompted_write(&done, &body);
        sp_peer_reply(c->line, &c->to, SP_OK, sp_buf_borrow(&body), NULL, 0);
        end(c);
    }
    sp_free(at);
}

static void sign_in(sp_ssh *ssh, conversation *c, uint32_t person, uint8_t strength,
                    const char *method)
{
    at_conversation *at = NULL;
    sp_person found;
    sp_session_view view;
    sp_ssh_proven proven = {
        .since = c->since, .person = person, .strength = strength, .method = method};
    sp_err err = sp_people_get(ssh->core->store, person, &found);
    /* what was allowed in a session ends with it */
    bool allowed = c->session == 0 || sp_sessions_find(ssh->core, c->session, &view);
    if (!sp_failed(err)) {
        err = allowed && sp_sessions_stands(ssh->core, person, c->since)
                  ? sp_alloc(1, sizeof(*at), &at)
                  : sp_fail(SP_EDENIED);
    }
    if (sp_failed(err)) {
        refuse(c, SP_EDENIED);
        return;
    }
    *at = (at_conversation){.core = ssh->core, .serial = c->serial};
    sp_copy(proven.peer, c->peer, sizeof(proven.peer));
    proven.connection = c->connection;
    sp_copy(proven.person_name, found.name, sizeof(proven.person_name));
    sp_copy(proven.resource, c->resource, sizeof(proven.resource));
    c->at = SIGNING_IN;
    sp_ssh_finish(ssh, &proven, c->line, on_signed_in, at);
}

void sp_ssh_conversations_expire(sp_ssh *ssh, uint64_t now_unix_s)
{
    for (size_t i = 0; i < CONVERSATIONS_MAX; i++) {
        conversation *c = &ssh->conversations->items[i];
        if (c->serial == 0 || c->until_unix_s > now_unix_s || c->at == PROVING ||
            c->at == SIGNING_IN) {
            continue;
        }
        if (c->at == WAITING) {
            const sp_ssh_who who = who_of(c);
            sp_ssh_refused(ssh, &who, "confirmed in a browser", "nobody confirmed it");
            refuse(c, SP_EDENIED);
        } else {
            end(c);
        }
    }
}

/* ---- asking ---- */

static void reply(conversation *c, const sp_msg *msg, const sp_ssh_prompted *prompted)
{
    auto_buf sp_buf body = sp_buf_make(SP_MSG_MAX_BYTES);
    sp_ssh_prompted_write(prompted, &body);
    sp_peer_reply(c->line, msg, SP_OK, sp_buf_borrow(&body), NULL, 0);
}

static void ask(sp_ssh *ssh, conversation *c, const sp_msg *msg)
{
    auto_buf sp_buf text = sp_buf_make(SP_SSH_INSTRUCTION_MAX_BYTES);
    sp_buf_fmt(&text, "%s: signing in as ", ssh->core->config->office);
    sp_buf_span(&text, sp_span_cstr(c->user));
    sp_buf_text(&text, ".\nLeave both empty to confirm in a browser instead.");
    const sp_ssh_prompted prompted = {
        .instruction = sp_buf_borrow(&text),
        .prompt_count = 2,
        .prompts = {{0, SP_SPAN_LIT("Password: ")}, {1, SP_SPAN_LIT("One-time code: ")}}};
    c->at = ASKED;
    reply(c, msg, &prompted);
}

static void show_address(sp_ssh *ssh, conversation *c, const sp_msg *msg)
{
    auto_buf sp_buf text = sp_buf_make(SP_SSH_INSTRUCTION_MAX_BYTES);
    sp_random_code(c->code);
    sp_buf_fmt(&text, "Open %s/ssh/%s and confirm there, within two minutes.",
               ssh->core->portal_origin, c->code);
    const sp_ssh_prompted prompted = {.instruction = sp_buf_borrow(&text)};
    c->at = SHOWN;
    c->until_unix_s = now_s() + LIFE_S;
    reply(c, msg, &prompted);
}

/* ---- answers ---- */

static void on_proved(void *self, sp_err err, uint32_t person, const char *why)
{
    at_conversation *at = self;
    conversation *c = by_serial(at->core, at->serial);
    bool gone = c == NULL && at->core->ssh != NULL;
    why = gone && why == NULL ? "the connection was gone before the answer" : why;
    if (c != NULL && sp_failed(err)) {
        refuse(c, SP_EIO);
    } else if ((c != NULL || gone) && !sp_failed(err) && why != NULL) {
        const sp_ssh_who who = who_of(&at->was); /* a guess counts, whoever waits for its answer */
        sp_ssh_refused(at->core->ssh, &who, "password and code", why);
        if (c != NULL) {
            refuse(c, SP_EDENIED);
        }
    } else if (c != NULL) {
        sp_identity_worked(at->core, sp_span_cstr(c->user));
        sign_in(at->core->ssh, c, person, SP_STRENGTH_TOTP, "password and code");
    }
    sp_free(at);
}

static void prove(sp_ssh *ssh, conversation *c, const sp_ssh_prompt *prompt)
{
    at_conversation *at = NULL;
    if (sp_failed(sp_alloc(1, sizeof(*at), &at))) {
        refuse(c, SP_EIO);
        return;
    }
    *at = (at_conversation){ssh->core, c->serial, *c};
    c->at = PROVING;
    sp_identity_prove(ssh->core, sp_span_cstr(c->user), prompt->answers[0], prompt->answers[1],
                      on_proved, at);
}

static void answered(sp_ssh *ssh, conversation *c, const sp_msg *msg, const sp_ssh_prompt *prompt)
{
    c->to = (sp_msg){.kind = msg->kind, .id = msg->id};
    bool two = prompt->answer_count == 2;
    if (c->at == ASKED && two && prompt->answers[0].len == 0 && prompt->answers[1].len == 0) {
        show_address(ssh, c, msg);
    } else if (c->at == ASKED && two) {
        prove(ssh, c, prompt);
    } else if (c->at == SHOWN && prompt->answer_count == 0) {
        c->at = WAITING;
    } else if (c->at == ALLOWED && prompt->answer_count == 0) {
        sign_in(ssh, c, c->person, c->strength, "confirmed in a browser");
    } else {
        refuse(c, SP_EDENIED);
    }
}

/* To be asked, or to have a browser asked, takes no secret: only those may be made to go. */
static bool gives_way(const conversation *c)
{
    return c->at == ASKED || c->at == SHOWN || c->at == WAITING;
}

static void push_out(sp_ssh *ssh, conversation *c)
{
    if (c->at == WAITING) {
        const sp_ssh_who who = who_of(c);
        sp_ssh_turned_away(ssh, &who, "confirmed in a browser", "it gave way to others'");
        refuse(c, SP_EDENIED);
    } else {
        end(c); /* its answers, if any come, find nothing and are refused */
    }
}

/* One that is free. When none is, the oldest gives way, of the address with most: who takes all
 * places takes them from himself. NULL: all are being checked, or were allowed. */
static conversation *room(sp_ssh *ssh)
{
    conversation *goes = NULL;
    for (size_t i = 0; i < CONVERSATIONS_MAX; i++) {
        conversation *c = &ssh->conversations->items[i];
        if (c->serial == 0) {
            return c;
        }
        if (gives_way(c) && (goes == NULL || c->of_place > goes->of_place ||
                             (c->of_place == goes->of_place && c->serial < goes->serial))) {
            goes = c;
        }
    }
    if (goes != NULL) {
        push_out(ssh, goes);
    }
    return goes;
}

static sp_err begin(sp_ssh *ssh, sp_peer *peer, const sp_msg *msg, const sp_ssh_prompt *prompt)
{
    sp_ssh_conversations *all = ssh->conversations;
    if (count_place(all, prompt->who.peer, 0) >= OF_ADDRESS_MAX ||
        find(ssh, peer, prompt->conversation) != NULL) {
        return sp_fail(SP_ELIMIT);
    }
    conversation *c = room(ssh);
    if (c == NULL) {
        return sp_fail(SP_ELIMIT);
    }
    conversation fresh = {.serial = ++all->serial,
                          .all = all,
                          .number = prompt->conversation,
                          .since = sp_sessions_mark(ssh->core),
                          .asked_unix_s = now_s(),
                          .until_unix_s = now_s() + LIFE_S};
    sp_copy(fresh.peer, prompt->who.peer, sizeof(fresh.peer));
    fresh.connection = prompt->who.connection;
    TRY(sp_fit(fresh.user, sizeof(fresh.user), prompt->who.user));
    TRY(sp_fit(fresh.resource, sizeof(fresh.resource), prompt->who.resource));
    TRY(sp_fit(fresh.account, sizeof(fresh.account), prompt->who.account));
    TRY(sp_fit(fresh.client, sizeof(fresh.client), prompt->client));
    fresh.line = sp_peer_ref(peer);
    *c = fresh;
    c->of_place = count_place(all, c->peer, 1);
    ask(ssh, c, msg);
    return sp_ok();
}

sp_err sp_ssh_on_prompt(sp_ssh *ssh, sp_peer *peer, const sp_msg *msg)
{
    sp_ssh_prompt prompt;
    TRY(sp_ssh_prompt_read(msg->body, &prompt));
    conversation *c = find(ssh, peer, prompt.conversation);
    if (prompt.step == SP_SSH_PROMPT_GIVEN_UP) {
        if (c != NULL) {
            end(c);
        }
        return sp_ok();
    }
    bool guesses = prompt.step == SP_SSH_PROMPT_ANSWERS && prompt.answer_count > 0;
    sp_err err = sp_ok();
    if (sp_identity_wait_s(ssh->core, guesses ? prompt.who.user : SP_SPAN_EMPTY, prompt.who.peer) >
        0) {
        err = sp_fail(SP_ELIMIT);
    } else if (prompt.step == SP_SSH_PROMPT_BEGIN) {
        err = begin(ssh, peer, msg, &prompt);
    } else if (c == NULL) {
        sp_ssh_turned_away(ssh, &prompt.who, "password and code",
                           "the answer came late: its question was over, or gave way to others'");
        err = sp_fail(SP_EDENIED);
    } else if (c->at == PROVING || c->at == WAITING || c->at == SIGNING_IN) {
        err = sp_fail(SP_EDENIED);
    } else {
        answered(ssh, c, msg, &prompt); /* may have ended it */
        return sp_ok();
    }
    if (sp_failed(err)) {
        sp_peer_reply(peer, msg, err.code, SP_SPAN_EMPTY, NULL, 0);
        if (c != NULL && err.code == SP_ELIMIT) {
            end(c);
        }
    }
    return sp_ok();
}

/* ---- the browser ---- */

/* The conversation of the path's code, if it gave the name of who asks; else it was answered. */
static conversation *confirmable(sp_request *req)
{
    sp_span code = sp_request_param(req, 0);
    const sp_live_session *session = sp_request_session(req);
    for (size_t i = 0; i < CONVERSATIONS_MAX; i++) {
        conversation *c = &sp_ssh_of(req)->conversations->items[i];
        bool shown = c->serial != 0 && (c->at == SHOWN || c->at == WAITING);
        if (shown && c->until_unix_s > now_s() && sp_span_eq_nocase(sp_span_cstr(c->code), code) &&
            sp_span_eq(sp_span_cstr(c->user), sp_span_cstr(session->person_name))) {
            return c;
        }
    }
    sp_answer_problem(req, 404, "not_found",
                      "No SSH connection in your name waits for this code. It lasts two minutes.");
    return NULL;
}

static void get_sign_in(sp_request *req)
{
    const conversation *c = confirmable(req);
    if (c != NULL) {
        char peer[SP_SESSION_PEER_BYTES];
        sp_sessions_peer_text(c->peer, peer);
        bool same = sp_address_same_place(c->peer, sp_request_peer(req));
        sp_answer_json(req, 200,
                       json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:o, s:o}", "user", c->user,
                                 "resource", c->resource, "account", c->account, "client",
                                 c->client, "peer", peer, "same_place", same, "asked_at",
                                 sp_json_time(c->asked_unix_s), "expires_at",
                                 sp_json_time(c->until_unix_s)));
    }
}

static void post_sign_in(sp_request *req)
{
    bool allow = false;
    const sp_field fields[] = {SP_FIELD_BOOL("allow", &allow)};
    sp_ssh *ssh = sp_ssh_of(req);
    const sp_live_session *session = sp_request_session(req);
    if (!sp_request_fields(req, fields, SP_COUNT(fields))) {
        return;
    }
    conversation *c = confirmable(req);
    if (c == NULL) {
        return;
    }
    if (!allow) {
        const sp_ssh_who who = who_of(c);
        sp_ssh_refused(ssh, &who, "confirmed in a browser", "its person said no");
        if (c->at == WAITING) {
            refuse(c, SP_EDENIED);
        } else {
            end(c);
        }
        sp_answer_empty(req, 204);
        return;
    }
    c->since = sp_sessions_mark(ssh->core);
    c->session = session->id;
    if (c->at == WAITING) {
        sign_in(ssh, c, session->person, session->strength, "confirmed in a browser");
    } else {
        c->at = ALLOWED;
        c->person = session->person;
        c->strength = session->strength;
    }
    sp_answer_empty(req, 204);
}

sp_err sp_ssh_prompt_routes(sp_core *core)
{
    static const sp_route routes[] = {
        {"GET", "/api/v1/ssh/sign-in/{code}", SP_WHO_PERSON, get_sign_in, 0},
        {"POST", "/api/v1/ssh/sign-in/{code}", SP_WHO_PERSON | SP_WHO_FRESH, post_sign_in, 0},
    };
    return sp_router_add(core->router, routes, SP_COUNT(routes));
}

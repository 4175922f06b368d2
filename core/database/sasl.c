/* SPDX-License-Identifier: Apache-2.0
 * The server's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS.
 * OWNS conversations under way. PROCESS core. TRUST everything in a message is the client's.
 * SPEC RFC 5802, RFC 7677, RFC 5929; lib/proto/db_msg.h.
 *
 * Known or not, with a token or without: the salt is always the same for a name, the work is the
 * same, and the answer to a wrong proof says nothing but no.
 */
#include "core/database/inside.h"
#include "core/identity/identity.h"
#include "core/identity/people.h"
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "lib/proto/scram_msg.h"

enum {
    CONVERSATIONS_MAX = 4096,
    LIFE_US = 60 * 1000 * 1000,
    NONCE_RANDOM_BYTES = 18,
    NONCE_TEXT_BYTES = 24,
    SERVER_FIRST_BYTES = SP_SCRAM_NONCE_MAX_BYTES + 128,
    BINDING_BYTES = 200
};

typedef struct conversation {
    struct conversation *next;
    const sp_peer *peer; /* compared only */
    uint32_t number;
    uint8_t mechanism;
    uint8_t peer_address[16];
    sp_db_fingerprint fingerprint;
    uint64_t began_us;
    char user[SP_NAME_MAX_BYTES + 1];
    char resource[SP_NAME_MAX_BYTES + 1];
    sp_buf binding; /* base64 of what the client must send back */
    sp_buf nonce;   /* of both */
    sp_buf signed_; /* client-first-bare "," server-first "," */
} conversation;

struct sp_db_conversations {
    conversation *first;
    size_t count;
};

sp_err sp_db_conversations_new(sp_db_conversations **ret_conversations)
{
    return sp_alloc(1, sizeof(**ret_conversations), ret_conversations);
}

static void conversation_free(conversation *c)
{
    sp_buf_done(&c->binding);
    sp_buf_done(&c->nonce);
    sp_buf_done(&c->signed_);
    sp_free(c);
}

/* Removes those that the test is true for. */
typedef bool (*over)(const conversation *c, const void *about);
static void remove_those(sp_db_conversations *all, over is_over, const void *about)
{
    conversation **at = &all->first;
    while (*at != NULL) {
        conversation *c = *at;
        if (is_over(c, about)) {
            *at = c->next;
            all->count--;
            conversation_free(c);
        } else {
            at = &c->next;
        }
    }
}

static bool any(const conversation *c, const void *about)
{
    (void)c;
    (void)about;
    return true;
}

static bool of_peer(const conversation *c, const void *peer)
{
    return c->peer == peer;
}

static bool began_before(const conversation *c, const void *at_us)
{
    return c->began_us < *(const uint64_t *)at_us;
}

static bool is_this(const conversation *c, const void *other)
{
    return c == other;
}

void sp_db_conversations_free(sp_db_conversations *conversations)
{
    if (conversations != NULL) {
        remove_those(conversations, any, NULL);
        sp_free(conversations);
    }
}

void sp_db_conversations_gone(sp_databases *databases, const sp_peer *peer)
{
    remove_those(databases->conversations, of_peer, peer);
}

void sp_db_conversations_expire(sp_databases *databases, uint64_t now_us)
{
    uint64_t oldest_us = now_us > LIFE_US ? now_us - LIFE_US : 0;
    remove_those(databases->conversations, began_before, &oldest_us);
}

static conversation *find(const sp_databases *databases, const sp_peer *peer, uint32_t number)
{
    conversation *c = databases->conversations->first;
    while (c != NULL && (c->peer != peer || c->number != number)) {
        c = c->next;
    }
    return c;
}

static size_t count_of(const sp_databases *databases, const sp_peer *peer)
{
    size_t count = 0;
    for (const conversation *c = databases->conversations->first; c != NULL; c = c->next) {
        count += c->peer == peer ? 1 : 0;
    }
    return count;
}

/* ---- the first message ---- */

/* Whether the client's word on channel binding fits the mechanism; "y" over TLS means that somebody
 * between took the better mechanism off our list. */
static bool binding_fits(const sp_db_sasl *ask, const sp_scram_first *first)
{
    if (ask->mechanism == SP_DB_SCRAM_SHA_256_PLUS) {
        return first->bind == SP_SCRAM_BIND_END_POINT && ask->end_point.len > 0;
    }
    return first->bind == SP_SCRAM_BIND_NONE ||
           (first->bind == SP_SCRAM_BIND_NOT_SEEN && ask->over_tls == 0);
}

static void put_server_nonce(sp_buf *out)
{
    uint8_t bytes[NONCE_RANDOM_BYTES];
    sp_random(bytes, sizeof(bytes));
    sp_buf_base64url(out, sp_span_of(bytes, sizeof(bytes)));
}

static sp_err fill(conversation *c, const sp_db_sasl *ask, const sp_scram_first *first)
{
    auto_buf sp_buf binding = sp_buf_make(BINDING_BYTES);
    c->binding = sp_buf_make(2 * BINDING_BYTES);
    c->nonce = sp_buf_make(SP_SCRAM_NONCE_MAX_BYTES + NONCE_TEXT_BYTES);
    c->signed_ = sp_buf_make(SP_DB_SASL_MAX_BYTES + SERVER_FIRST_BYTES + NONCE_TEXT_BYTES + 8);
    c->number = ask->conversation;
    c->mechanism = ask->mechanism;
    c->fingerprint = ask->fingerprint;
    c->began_us = sp_now_steady_us();
    sp_copy(c->peer_address, ask->peer, sizeof(c->peer_address));
    TRY(sp_fit(c->user, sizeof(c->user), ask->user));
    TRY(sp_fit(c->resource, sizeof(c->resource), ask->resource));
    sp_buf_span(&binding, first->gs2);
    sp_buf_span(&binding, first->bind == SP_SCRAM_BIND_END_POINT ? ask->end_point : SP_SPAN_EMPTY);
    sp_buf_base64(&c->binding, sp_buf_borrow(&binding));
    sp_buf_span(&c->nonce, first->nonce);
    put_server_nonce(&c->nonce);
    TRY(sp_buf_error(&binding));
    TRY(sp_buf_error(&c->binding));
    return sp_buf_error(&c->nonce);
}

static sp_err server_first(const sp_core *core, conversation *c, const sp_scram_first *first,
                           sp_buf *out)
{
    uint8_t salt[SP_DB_SALT_BYTES];
    sp_db_salt(core, sp_span_cstr(c->user), sp_span_cstr(c->resource), salt);
    sp_buf_text(out, "r=");
    sp_buf_span(out, sp_buf_borrow(&c->nonce));
    sp_buf_text(out, ",s=");
    sp_buf_base64(out, sp_span_of(salt, sizeof(salt)));
    sp_buf_fmt(out, ",i=%d", SP_SCRAM_ITERATIONS);
    sp_buf_span(&c->signed_, first->bare);
    sp_buf_byte(&c->signed_, ',');
    sp_buf_span(&c->signed_, sp_buf_borrow(out));
    sp_buf_byte(&c->signed_, ',');
    TRY(sp_buf_error(out));
    return sp_buf_error(&c->signed_);
}

static sp_err begin(sp_databases *databases, const sp_peer *peer, const sp_db_sasl *ask,
                    sp_buf *out)
{
    sp_scram_first first;
    conversation *c = NULL;
    sp_db_conversations *all = databases->conversations;
    if (sp_failed(sp_scram_first_read(ask->data, &first)) || !binding_fits(ask, &first)) {
        return sp_fail(SP_EDENIED);
    }
    if (all->count >= CONVERSATIONS_MAX || count_of(databases, peer) >= SP_DB_SASL_OPEN_MAX) {
        return sp_fail(SP_ELIMIT);
    }
    TRY(sp_alloc(1, sizeof(*c), &c));
    c->peer = peer;
    sp_err err = fill(c, ask, &first);
    if (!sp_failed(err)) {
        err = server_first(databases->core, c, &first, out);
    }
    if (sp_failed(err)) {
        conversation_free(c);
        return err;
    }
    c->next = all->first;
    all->first = c;
    all->count++;
    return sp_ok();
}

/* ---- the last message ---- */

typedef struct {
    sp_peer *peer;
    sp_msg to; /* kind and id only */
    sp_db_session session;
    sp_scram_key signature;
} waiting;

static void on_recorded(void *self, sp_err err)
{
    waiting *wait = self;
    auto_buf sp_buf text = sp_buf_make(100);
    auto_buf sp_buf body = sp_buf_make(SP_DB_SASL_MAX_BYTES);
    sp_buf_text(&text, "v=");
    sp_buf_base64(&text, sp_span_of(wait->signature.bytes, sizeof(wait->signature.bytes)));
    sp_db_sasl_step step = {1, wait->session, sp_buf_borrow(&text)};
    sp_db_sasl_step_write(&step, &body);
    sp_peer_reply(wait->peer, &wait->to, sp_failed(err) ? SP_EAGAIN : SP_OK,
                  sp_failed(err) ? SP_SPAN_EMPTY : sp_buf_borrow(&body), NULL, 0);
    sp_peer_unref(wait->peer);
    sp_free(wait);
}

static uint32_t person_of(const sp_core *core, sp_span name)
{
    sp_person person = {0};
    bool known = sp_name_is_valid(name) && !sp_failed(sp_people_find(core->store, name, &person)) &&
                 person.state == SP_PERSON_ACTIVE;
    return known ? person.id : 0;
}

/* What is wrong, for the ledger; NULL: nothing is. */
static const char *judge(const sp_databases *databases, const conversation *c, sp_span data,
                         waiting *wait, sp_live_session *ret_session)
{
    sp_scram_final final;
    auto_buf sp_buf message = sp_buf_make(2 * SP_DB_SASL_MAX_BYTES + SERVER_FIRST_BYTES);
    if (sp_failed(sp_scram_final_read(data, &final))) {
        return "malformed";
    }
    if (!sp_span_eq(final.binding, sp_buf_borrow(&c->binding))) {
        return "channel binding";
    }
    if (!sp_span_eq(final.nonce, sp_buf_borrow(&c->nonce))) {
        return "nonce";
    }
    sp_buf_span(&message, sp_buf_borrow(&c->signed_));
    sp_buf_span(&message, final.bare);
    uint32_t person = person_of(databases->core, sp_span_cstr(c->user));
    if (sp_failed(sp_buf_error(&message)) ||
        sp_failed(sp_db_tokens_check(databases, person, sp_span_cstr(c->resource),
                                     sp_buf_borrow(&message), final.proof, &wait->session,
                                     &wait->signature))) {
        return "token";
    }
    return sp_failed(
               sp_db_session_fits(databases->core, &wait->session, &c->fingerprint, ret_session))
               ? "session"
               : NULL;
}

static sp_err finish(sp_databases *databases, sp_peer *peer, const sp_msg *msg, conversation *c,
                     sp_span data)
{
    waiting *wait = NULL;
    sp_live_session session;
    TRY(sp_alloc(1, sizeof(*wait), &wait));
    sp_db_login login = {.user = sp_span_cstr(c->user),
                         .resource = sp_span_cstr(c->resource),
                         .method = "database token",
                         .guessable = true,
                         .peer_address = c->peer_address};
    login.why = judge(databases, c, data, wait, &session);
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

static sp_err step(sp_databases *databases, sp_peer *peer, const sp_msg *msg, const sp_db_sasl *ask,
                   bool *ret_later, sp_buf *out)
{
    conversation *c = find(databases, peer, ask->conversation);
    if (sp_identity_wait_s(databases->core, ask->user, ask->peer) > 0) {
        remove_those(databases->conversations, is_this, c);
        return sp_fail(SP_ELIMIT);
    }
    if (c == NULL) {
        return begin(databases, peer, ask, out);
    }
    sp_err err = finish(databases, peer, msg, c, ask->data);
    *ret_later = !sp_failed(err);
    remove_those(databases->conversations, is_this, c);
    return err;
}

sp_err sp_db_on_sasl(sp_databases *databases, sp_peer *peer, const sp_msg *msg)
{
    sp_db_sasl ask;
    bool later = false;
    TRY(sp_db_sasl_read(msg->body, &ask));
    if (ask.data.len == 0) { /* gave up: that is no wrong password */
        remove_those(databases->conversations, is_this, find(databases, peer, ask.conversation));
        if (msg->id != 0) {
            sp_peer_reply(peer, msg, SP_EDENIED, SP_SPAN_EMPTY, NULL, 0);
        }
        return sp_ok();
    }
    auto_buf sp_buf text = sp_buf_make(SERVER_FIRST_BYTES + NONCE_TEXT_BYTES);
    auto_buf sp_buf body = sp_buf_make(SP_DB_SASL_MAX_BYTES);
    sp_err err = step(databases, peer, msg, &ask, &later, &text);
    if (later) {
        return sp_ok();
    }
    if (!sp_failed(err)) {
        sp_db_sasl_step told = {.data = sp_buf_borrow(&text)};
        sp_db_sasl_step_write(&told, &body);
    }
    sp_peer_reply(peer, msg, err.code, sp_failed(err) ? SP_SPAN_EMPTY : sp_buf_borrow(&body), NULL,
                  0);
    return sp_ok();
}

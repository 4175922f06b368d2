/* SPDX-License-Identifier: Apache-2.0
 * Who the client is: each key and each answer goes to core, and the client waits for its word.
 *
 * One message waits at a time, and nothing of the client is read meanwhile. libssh verifies the
 * signature over the session id; what the key is worth is core's to say. libssh does not show the
 * flags of a security key's signature, so no presence is claimed for it.
 *
 * OWNS the message that waits. PROCESS ssh gate workers. TRUST names, keys and answers are hostile.
 * SPEC RFC 4252, RFC 4256, lib/proto/ssh_msg.h.
 */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* libssh: no other way to answer later \
                                                            */
#include "gates/ssh/gate.h"

#include "infra/proc/log.h"

#include <stdio.h>
#include <string.h>

enum { METHODS = SSH_AUTH_METHOD_PUBLICKEY | SSH_AUTH_METHOD_INTERACTIVE };

static uint32_t conversations;

bool sg_login_waits(const sg_conn *conn)
{
    return conn->login.held != NULL;
}

/* ---- names ---- */

/* person[:resource[:account]]. The first request says who; a client that names somebody else later
 * is cut off (as OpenSSH's server does). */
static bool take_user(sg_conn *conn, const char *text)
{
    sp_span rest = sp_span_cstr(text);
    if (conn->user[0] != '\0') {
        return sp_span_eq(rest, sp_span_cstr(conn->user));
    }
    sp_span parts[3] = {SP_SPAN_EMPTY, SP_SPAN_EMPTY, SP_SPAN_EMPTY};
    bool well = !sp_failed(sp_fit(conn->user, sizeof(conn->user), rest)) && sp_span_is_utf8(rest);
    size_t count = 0;
    while (well && count < SP_COUNT(parts) && sp_span_split(&rest, ':', &parts[count])) {
        count++;
    }
    return well && rest.len == 0 &&
           !sp_failed(sp_fit(conn->person, sizeof(conn->person), parts[0])) &&
           !sp_failed(sp_fit(conn->resource_name, sizeof(conn->resource_name), parts[1])) &&
           !sp_failed(sp_fit(conn->account, sizeof(conn->account), parts[2]));
}

static sp_ssh_who who_of(const sg_conn *conn)
{
    sp_ssh_who who = {.connection = conn->connection,
                      .user = sp_span_cstr(conn->person),
                      .resource = sp_span_cstr(conn->resource_name),
                      .account = sp_span_cstr(conn->account)};
    sp_copy(who.peer, conn->rider.who.peer, sizeof(who.peer));
    return who;
}

/* ---- answers ---- */

static void say(const sg_conn *conn, const char *text)
{
    ssh_string banner = ssh_string_from_char(text);
    if (banner != NULL) {
        (void)ssh_send_issue_banner(conn->front.ssh, banner);
        ssh_string_free(banner);
    }
}

/* The words are the same whoever was named, and whatever was shown: the ledger knows what it was.
 */
static const char *const answers[] = {
    [SG_SAID_NOTHING] = "",
    [SG_SAID_NOT_YOU] = "this does not sign you in; your administrators find out why",
    [SG_SAID_TOO_MANY] = "you have as many SSH connections open as one person may have: end one of "
                         "them first",
    [SG_SAID_TOO_FAST] = "your log-ins come faster than one person's may: wait a minute",
    [SG_SAID_CLOSED] = "too many attempts: wait a while before the next",
    [SG_SAID_BROKEN] = "signing in does not work at the moment"};

/* Which of them core's word is. Keys are offered one after another: that one is not known is
 * nothing to be told. */
static sg_said said_of(sp_err err, bool offering)
{
    if (err.code == SP_EDENIED) {
        return offering ? SG_SAID_NOTHING : SG_SAID_NOT_YOU;
    }
    return err.code == SP_ECONFLICT ? SG_SAID_NOT_YOU
           : err.code == SP_EEXISTS ? SG_SAID_TOO_MANY
           : err.code == SP_EAGAIN  ? SG_SAID_TOO_FAST
           : err.code == SP_ELIMIT  ? SG_SAID_CLOSED
                                    : SG_SAID_BROKEN;
}

static void say_line(const sg_conn *conn, const sg_refusal *refusal)
{
    auto_buf sp_buf line = sp_buf_make(SG_TEXT_BYTES * 5);
    auto_free char *text = NULL;
    sg_refusal_line(refusal, false, &line);
    if (!sp_failed(sp_buf_take_cstr(&line, &text))) {
        say(conn, text);
    }
}

/* What core refused it has written down, under the connection's reference; the rest is ours to. */
static void tell(sg_conn *conn, sg_said what)
{
    sg_refusal refusal;
    if (what == SG_SAID_NOTHING || what == conn->login.said) {
        return;
    }
    conn->login.said = what;
    sg_refusal_make(&refusal, what == SG_SAID_BROKEN ? SP_REASON_UNAVAILABLE : SP_REASON_LIMIT,
                    "%s", answers[what]);
    if (what == SG_SAID_CLOSED || what == SG_SAID_BROKEN) {
        sg_door_refuse(conn, &refusal);
    } else {
        refusal.reference = conn->connection;
    }
    say_line(conn, &refusal);
}

static void no(ssh_message msg)
{
    ssh_message_auth_set_methods(msg, METHODS);
    ssh_message_reply_default(msg);
    ssh_message_free(msg);
}

static void release(sg_conn *conn)
{
    conn->login.held = NULL;
    conn->login.call = 0;
    sg_side_again(&conn->front);
}

static void refuse_held(sg_conn *conn, sg_said what)
{
    ssh_message msg = conn->login.held;
    conn->login.converses = false;
    sg_back_give_up(conn);
    tell(conn, what);
    release(conn);
    no(msg);
}

static void refuse_for(sg_conn *conn, sp_err err)
{
    refuse_held(conn, said_of(err, conn->login.offering));
}

/* He has proved who he is; false, with why, where that does not let him in. */
static bool take_signed_in(sg_conn *conn, const sp_ssh_signed_in *signed_in, sg_refusal *refusal)
{
    sp_reason reason = SP_REASON_NONE;
    conn->rider.slot = signed_in->session.slot;
    conn->rider.id = signed_in->session.id;
    conn->rider.has_fingerprint = sp_db_has_fingerprint(&signed_in->fingerprint);
    sp_copy(conn->rider.fingerprint.bytes, signed_in->fingerprint.bytes, SP_SHA256_BYTES);
    conn->expires_unix_s = signed_in->expires_unix_s;
    if (!sp_rider_find(&sg_here.office, &conn->rider, &reason)) {
        sg_refusal_make(refusal, reason, "you are known, and not let in: %s",
                        sp_reason_word(reason));
        return false;
    }
    if (signed_in->force_command.len > 0) {
        sp_free(conn->force_command);
        conn->force_command = NULL;
        auto_buf sp_buf command = sp_buf_make(SP_SSH_COMMAND_MAX_BYTES + 1);
        sp_buf_span(&command, signed_in->force_command);
        if (sp_failed(sp_buf_take_cstr(&command, &conn->force_command))) {
            sg_refusal_make(refusal, SP_REASON_LIMIT, "the gate has no memory left");
            return false;
        }
    }
    return true;
}

static void signed_in(sg_conn *conn, const sp_ssh_signed_in *who)
{
    sg_refusal refusal;
    ssh_message msg = conn->login.held;
    if (!take_signed_in(conn, who, &refusal)) {
        sg_record_refusal(conn, &refusal);
        conn->rider.id = 0;
        say_line(conn, &refusal);
        refuse_held(conn, SG_SAID_NOTHING);
        return;
    }
    release(conn);
    conn->login.converses = false;
    ssh_message_auth_reply_success(msg, 0);
    ssh_message_free(msg);
    sg_conn_known(conn);
    sp_timer_clear(sg_here.loop, &conn->timer);
    conn->at = SG_AT_KNOWN;
    if (conn->resource_name[0] != '\0') {
        sg_back_begin(conn);
    }
}

/* ---- keys ---- */

static void on_offered(void *self, sp_err err, const sp_msg *reply, sp_fds *fds)
{
    sg_conn *conn = self;
    (void)reply;
    (void)fds;
    if (sp_failed(err)) {
        conn->login.offered = (sp_hash){{0}};
        refuse_for(conn, err);
        return;
    }
    ssh_message msg = conn->login.held;
    release(conn);
    ssh_message_auth_reply_pk_ok_simple(msg);
    ssh_message_free(msg);
}

static void on_key(void *self, sp_err err, const sp_msg *reply, sp_fds *fds)
{
    sg_conn *conn = self;
    sp_ssh_signed_in who;
    (void)fds;
    if (!sp_failed(err)) {
        err = sp_ssh_signed_in_read(reply->body, &who);
    }
    if (sp_failed(err)) {
        refuse_for(conn, err);
    } else {
        signed_in(conn, &who);
    }
}

/* What begins a blob: the algorithm of the key, or of the certificate. */
static sp_span algorithm_of(sp_span blob)
{
    sp_reader in = sp_reader_of(blob);
    return sp_read_bytes(&in, SP_SSH_ALGORITHM_MAX_BYTES);
}

static sp_err ask_key(const sg_conn *conn, ssh_message msg, uint16_t *ret_kind, sp_hash *ret_hash,
                      sp_buf *body)
{
    char *base64 = NULL;
    auto_buf sp_buf blob = sp_buf_make(SP_SSH_BLOB_MAX_BYTES);
    ssh_key key = ssh_message_auth_pubkey(msg);
    if (key == NULL || ssh_pki_export_pubkey_base64(key, &base64) != SSH_OK) {
        return sp_fail(SP_EINVALID);
    }
    sp_err err = sp_buf_unbase64(&blob, sp_span_cstr(base64));
    ssh_string_free_char(base64);
    TRY(err);
    *ret_hash = sp_sha256(sp_buf_borrow(&blob));
    if (ssh_message_auth_publickey_state(msg) == SSH_PUBLICKEY_STATE_NONE) {
        const sp_ssh_offer offer = {.who = who_of(conn), .blob = sp_buf_borrow(&blob)};
        sp_ssh_offer_write(&offer, body);
        *ret_kind = SP_CORE_SSH_OFFER;
    } else if (ssh_message_auth_publickey_state(msg) == SSH_PUBLICKEY_STATE_VALID) {
        const sp_ssh_key_shown shown = {.who = who_of(conn),
                                        .blob = sp_buf_borrow(&blob),
                                        .algorithm = algorithm_of(sp_buf_borrow(&blob)),
                                        .sk_flags = SP_SSH_SK_UNSEEN}; /* libssh keeps them */
        sp_ssh_key_shown_write(&shown, body);
        *ret_kind = SP_CORE_SSH_KEY;
    } else {
        return sp_fail(SP_EDENIED);
    }
    return sp_buf_error(body);
}

static void ask_about_key(sg_conn *conn, ssh_message msg)
{
    uint16_t kind = 0;
    sp_hash hash;
    auto_buf sp_buf body = sp_buf_make(SP_SSH_BLOB_MAX_BYTES + 1024);
    if (sp_failed(ask_key(conn, msg, &kind, &hash, &body))) {
        no(msg);
        return;
    }
    bool known = sp_hash_eq(&hash, &conn->login.offered);
    conn->login.offered = kind == SP_CORE_SSH_OFFER ? hash : (sp_hash){{0}};
    conn->login.offering = kind == SP_CORE_SSH_OFFER;
    conn->login.proves = conn->login.proves || kind == SP_CORE_SSH_KEY;
    conn->login.held = msg;
    conn->login.call = sp_link_call(&sg_here.office.link, kind, sp_buf_borrow(&body), NULL, 0,
                                    kind == SP_CORE_SSH_OFFER ? on_offered : on_key, conn);
    if (conn->login.call == 0) {
        refuse_held(conn, SG_SAID_BROKEN);
    } else if (known && kind == SP_CORE_SSH_KEY) {
        sg_back_reach(conn);
    }
}

/* ---- keyboard-interactive ---- */

static void show_prompts(sg_conn *conn, const sp_ssh_prompted *prompted)
{
    ssh_message msg = conn->login.held;
    char texts[SP_SSH_ANSWERS_MAX][SP_SSH_PROMPT_TEXT_MAX_BYTES + 1];
    const char *prompts[SP_SSH_ANSWERS_MAX + 1] = {NULL};
    char echo[SP_SSH_ANSWERS_MAX] = {0};
    char instruction[SP_SSH_INSTRUCTION_MAX_BYTES + 1] = "";
    bool well = !sp_failed(sp_fit(instruction, sizeof(instruction), prompted->instruction));
    for (size_t i = 0; i < prompted->prompt_count; i++) {
        well = well && !sp_failed(sp_fit(texts[i], sizeof(texts[i]), prompted->prompts[i].text));
        prompts[i] = texts[i];
        echo[i] = (char)prompted->prompts[i].echo;
    }
    if (!well) {
        refuse_held(conn, SG_SAID_BROKEN);
        return;
    }
    release(conn);
    ssh_message_auth_interactive_request(msg, "", instruction, prompted->prompt_count, prompts,
                                         echo);
    ssh_message_free(msg);
}

static void on_prompted(void *self, sp_err err, const sp_msg *reply, sp_fds *fds)
{
    sg_conn *conn = self;
    sp_ssh_prompted prompted;
    (void)fds;
    if (!sp_failed(err)) {
        err = sp_ssh_prompted_read(reply->body, &prompted);
    }
    if (sp_failed(err)) {
        refuse_for(conn, err);
    } else if (prompted.done != 0) {
        signed_in(conn, &prompted.signed_in);
    } else {
        show_prompts(conn, &prompted);
    }
}

static void give_up(sg_conn *conn)
{
    auto_buf sp_buf body = sp_buf_make(512);
    if (!conn->login.converses) {
        return;
    }
    conn->login.converses = false;
    const sp_ssh_prompt prompt = {.conversation = conn->login.conversation,
                                  .step = SP_SSH_PROMPT_GIVEN_UP,
                                  .who = who_of(conn)};
    sp_ssh_prompt_write(&prompt, &body);
    if (!sp_failed(sp_buf_error(&body))) {
        (void)sp_link_tell(&sg_here.office.link, SP_CORE_SSH_PROMPT, sp_buf_borrow(&body));
    }
}

/* False: more answers than were asked for can be. */
static bool take_answers(const sg_conn *conn, sp_ssh_prompt *prompt)
{
    int count = ssh_userauth_kbdint_getnanswers(conn->front.ssh);
    if (count < 0 || count > SP_SSH_ANSWERS_MAX) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        sp_span answer = sp_span_cstr(ssh_userauth_kbdint_getanswer(conn->front.ssh, (unsigned)i));
        if (answer.len > SP_SSH_ANSWER_MAX_BYTES) {
            return false;
        }
        prompt->answers[prompt->answer_count++] = answer;
    }
    return true;
}

static void ask_prompt(sg_conn *conn, ssh_message msg)
{
    auto_buf sp_buf body = sp_buf_make(SP_SSH_ANSWERS_MAX * (SP_SSH_ANSWER_MAX_BYTES + 8) + 1024);
    bool is_answer = ssh_message_auth_kbdint_is_response(msg) != 0;
    if (is_answer != conn->login.converses) {
        give_up(conn);
    }
    if (is_answer && !conn->login.converses) {
        no(msg);
        return;
    }
    if (!is_answer) {
        conn->login.conversation = ++conversations;
        conn->login.converses = true;
    }
    auto_buf sp_buf client = sp_buf_make(SP_SSH_CLIENT_MAX_BYTES * 4);
    sp_ssh_prompt prompt = {.conversation = conn->login.conversation,
                            .step = is_answer ? SP_SSH_PROMPT_ANSWERS : SP_SSH_PROMPT_BEGIN,
                            .who = who_of(conn)};
    if (!is_answer) {
        sg_conn_put_client(conn, &client);
        prompt.client = sp_buf_borrow(&client);
    }
    if (is_answer && !take_answers(conn, &prompt)) {
        give_up(conn);
        no(msg);
        return;
    }
    sp_ssh_prompt_write(&prompt, &body);
    conn->login.offering = false;
    conn->login.proves = true;
    conn->login.held = msg;
    conn->login.call = sp_failed(sp_buf_error(&body))
                           ? 0
                           : sp_link_call(&sg_here.office.link, SP_CORE_SSH_PROMPT,
                                          sp_buf_borrow(&body), NULL, 0, on_prompted, conn);
    sp_buf_wipe(&body);
    if (conn->login.call == 0) {
        refuse_held(conn, SG_SAID_BROKEN);
        return;
    }
    sp_link_allow(&sg_here.office.link, conn->login.call, SP_SSH_PROMPT_MS);
    SP_IGNORE(sp_timer_set(sg_here.loop, &conn->timer,
                           SP_SSH_PROMPT_MS * UINT64_C(1000) + SG_LOGIN_US)); /* it is set */
}

/* ---- messages ---- */

/* The first question for methods is free. */
static bool is_one_too_many(sg_conn *conn, int method)
{
    bool is_free = method == SSH_AUTH_METHOD_NONE && !conn->login.was_none;
    conn->login.was_none = conn->login.was_none || is_free;
    return !is_free && ++conn->login.attempts > SG_ATTEMPTS_MAX;
}

static const char too_many[] = "too many attempts on one connection";

static void cut_off(sg_conn *conn, ssh_message msg, const char *why)
{
    sg_refusal refusal;
    auto_buf sp_buf line = sp_buf_make(SG_TEXT_BYTES * 5);
    auto_free char *text = NULL;
    ssh_message_free(msg);
    sg_refusal_make(&refusal, SP_REASON_LIMIT, "%s", why);
    sg_door_refuse(conn, &refusal);
    sg_refusal_line(&refusal, false, &line);
    line.len -= line.len > 0 ? 1 : 0; /* its end */
    if (!sp_failed(sp_buf_take_cstr(&line, &text))) {
        ssh_session_set_disconnect_message(conn->front.ssh, text);
    }
    sg_conn_drop(conn);
}

static void authenticate(sg_conn *conn, ssh_message msg)
{
    int method = ssh_message_subtype(msg);
    /* answers to prompts name nobody: they are of whom the prompts were for */
    bool is_answer =
        method == SSH_AUTH_METHOD_INTERACTIVE && ssh_message_auth_kbdint_is_response(msg) != 0;
    if (!is_answer && !take_user(conn, ssh_message_auth_user(msg))) {
        cut_off(conn, msg,
                "one name is expected, as PERSON:MACHINE:ACCOUNT, and no other after it");
        return;
    }
    if (is_one_too_many(conn, method)) {
        cut_off(conn, msg, too_many);
        return;
    }
    if (method == SSH_AUTH_METHOD_PUBLICKEY) {
        ask_about_key(conn, msg);
    } else if (method == SSH_AUTH_METHOD_INTERACTIVE) {
        ask_prompt(conn, msg);
    } else {
        no(msg);
    }
}

void sg_login_message(sg_conn *conn, ssh_message msg)
{
    if (ssh_message_type(msg) == SSH_REQUEST_AUTH) {
        authenticate(conn, msg);
    } else if (ssh_message_type(msg) == SSH_REQUEST_SERVICE &&
               strcmp(ssh_message_service_service(msg), "ssh-userauth") == 0) {
        if (++conn->login.attempts > SG_ATTEMPTS_MAX) {
            cut_off(conn, msg, too_many);
            return;
        }
        ssh_message_service_reply_success(msg);
        ssh_message_free(msg);
    } else {
        ssh_message_free(msg); /* nothing else has a place before the log-in */
        sg_conn_drop(conn);
    }
}

void sg_login_done(sg_conn *conn)
{
    give_up(conn);
    if (conn->login.call != 0) {
        sp_link_forget(&sg_here.office.link, conn->login.call);
        conn->login.call = 0;
    }
    if (conn->login.held != NULL) {
        ssh_message_free(conn->login.held);
        conn->login.held = NULL;
    }
}

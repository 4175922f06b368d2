/* SPDX-License-Identifier: Apache-2.0
 * The client's first packets: TLS asked for or begun at once, encryption by Kerberos declined, a
 * cancel request, the start-up parameters.
 * OWNS nothing. PROCESS db gate workers. TRUST nobody is known yet: everything is bounded, and
 * there is a deadline for the whole of it. SPEC PostgreSQL 15 manual, 55.2.1, 55.2.10, 55.7.
 */
#include "gates/db/db.h"
#include "gates/db/tls.h"

#include <stddef.h>

#define SESSION_OF(stream) ((db_session *)(void *)((char *)(stream)-offsetof(db_session, front)))

enum {
    TLS_HANDSHAKE = 0x16,
    MINOR_SERVED = 2,
    MINOR_LONG_KEYS = 2,
    OPTIONS_MAX = 16,
    PARAMETERS_MAX = 32
};

static void fail(db_session *session, const char *sqlstate, const char *what, const char *hint)
{
    db_refusal refusal;
    db_refuse(&refusal, sqlstate, SP_REASON_UNPARSED, "%s", what);
    SP_IGNORE(sp_fit(refusal.hint, sizeof(refusal.hint), sp_span_cstr(hint))); /* literals */
    db_session_fail(session, &refusal);
}

/* ---- start-up parameters ---- */

/* What a client may set for itself: how values look, and its own patience. */
static const char *const allowed[] = {"DateStyle",
                                      "TimeZone",
                                      "IntervalStyle",
                                      "extra_float_digits",
                                      "statement_timeout",
                                      "lock_timeout",
                                      "idle_in_transaction_session_timeout",
                                      "idle_session_timeout"};

static bool is_allowed(sp_span name)
{
    for (size_t i = 0; i < SP_COUNT(allowed); i++) {
        if (sp_span_eq_nocase(name, sp_span_cstr(allowed[i]))) {
            return true;
        }
    }
    return false;
}

static bool is_utf8(sp_span value)
{
    return sp_span_eq_nocase(value, SP_SPAN_LIT("UTF8")) ||
           sp_span_eq_nocase(value, SP_SPAN_LIT("UTF-8")) ||
           sp_span_eq_nocase(value, SP_SPAN_LIT("UNICODE"));
}

static bool is_off(sp_span value)
{
    static const char *const words[] = {"false", "off", "no", "0"};
    for (size_t i = 0; i < SP_COUNT(words); i++) {
        if (sp_span_eq_nocase(value, sp_span_cstr(words[i]))) {
            return true;
        }
    }
    return false;
}

static void refuse_parameter(db_session *session, sp_span name, const char *why)
{
    db_refusal refusal;
    bool printable = sp_span_is_utf8(name);
    sp_span shown = printable ? sp_span_slice(name, 0, 63) : SP_SPAN_LIT("?");
    db_refuse(&refusal, "0A000", SP_REASON_UNPARSED, "the start-up parameter \"%.*s\" %s",
              SP_SPAN_ARG(shown), why);
    db_session_fail(session, &refusal);
}

static bool pass_on(db_session *session, sp_span name, sp_span value)
{
    db_login *login = session->login;
    if (!is_allowed(name) || login->parameter_count == PARAMETERS_MAX) {
        refuse_parameter(session, name, "may not be set through this gate");
        return false;
    }
    sp_pg_cstr(&login->parameters, name);
    sp_pg_cstr(&login->parameters, value);
    login->parameter_count++;
    return !sp_failed(sp_buf_error(&login->parameters));
}

/* "-c name=value --name=value": the words that libpq makes of PGOPTIONS, without quoting. */
static bool take_options(db_session *session, sp_span options)
{
    sp_span word;
    while (sp_span_split(&options, ' ', &word)) {
        if (word.len == 0) {
            continue;
        }
        if (sp_span_eq(word, SP_SPAN_LIT("-c"))) {
            if (!sp_span_split(&options, ' ', &word)) {
                break;
            }
        } else if (sp_span_starts(word, SP_SPAN_LIT("-c")) ||
                   sp_span_starts(word, SP_SPAN_LIT("--"))) {
            word = sp_span_slice(word, 2, word.len);
        } else {
            refuse_parameter(session, SP_SPAN_LIT("options"), "holds what is no -c name=value");
            return false;
        }
        size_t equals = sp_span_index(word, '=');
        if (equals == word.len || sp_span_index(word, '\\') < word.len ||
            !pass_on(session, sp_span_slice(word, 0, equals),
                     sp_span_slice(word, equals + 1, word.len))) {
            if (session->at != DB_AT_ENDING) {
                refuse_parameter(session, SP_SPAN_LIT("options"), "holds what is no -c name=value");
            }
            return false;
        }
    }
    return true;
}

static bool keep_name(db_session *session, char *to, sp_span value)
{
    if (!sp_span_is_utf8(value) || sp_failed(sp_fit(to, DB_NAME_BYTES, value))) {
        fail(session, "08P01",
             "a name in the start-up packet is longer than 63 bytes, or not UTF-8", "");
        return false;
    }
    return true;
}

/* "resource" or "resource/database" */
static bool take_database(db_session *session, sp_span value)
{
    sp_span rest = value;
    sp_span resource = SP_SPAN_EMPTY;
    (void)sp_span_split(&rest, '/', &resource);
    return keep_name(session, session->login->resource, resource) &&
           keep_name(session, session->login->database, rest);
}

static bool take_parameter(db_session *session, sp_span name, sp_span value)
{
    db_login *login = session->login;
    if (sp_span_eq(name, SP_SPAN_LIT("user"))) {
        return keep_name(session, login->user, value);
    }
    if (sp_span_eq(name, SP_SPAN_LIT("database"))) {
        return take_database(session, value);
    }
    if (sp_span_eq(name, SP_SPAN_LIT("application_name"))) {
        return keep_name(session, login->application, sp_span_cut(value, DB_NAME_BYTES - 1));
    }
    if (sp_span_eq(name, SP_SPAN_LIT("options"))) {
        return take_options(session, value);
    }
    if (sp_span_eq(name, SP_SPAN_LIT("client_encoding"))) {
        if (!is_utf8(value)) {
            refuse_parameter(session, name, "must be UTF8: other encodings cannot be judged");
        }
        return is_utf8(value);
    }
    if (sp_span_eq(name, SP_SPAN_LIT("replication"))) {
        if (!is_off(value)) {
            refuse_parameter(session, name, "may not be set: the gate serves no replication");
        }
        return is_off(value);
    }
    return pass_on(session, name, value);
}

/* What we do not serve of a later protocol is said, not refused. */
static void negotiate(db_session *session, const sp_pg_first *first)
{
    sp_span unknown[OPTIONS_MAX];
    size_t count = 0;
    sp_span list = first->parameters;
    sp_span name;
    sp_span value;
    while (count < OPTIONS_MAX && sp_pg_parameter_next(&list, &name, &value)) {
        if (sp_span_starts(name, SP_SPAN_LIT("_pq_."))) {
            unknown[count++] = name;
        }
    }
    if (first->minor >= MINOR_LONG_KEYS) {
        session->key_len = DB_KEY_MAX_BYTES;
    }
    if (first->minor > MINOR_SERVED || count > 0) {
        auto_buf sp_buf out = sp_buf_make(SP_PG_FIRST_MAX_BYTES);
        sp_pg_negotiate_write(&out, first->minor < MINOR_SERVED ? first->minor : MINOR_SERVED,
                              unknown, count);
        SP_IGNORE(db_stream_send(&session->front, sp_buf_borrow(&out))); /* found out by the next */
    }
}

static void take_startup(db_session *session, const sp_pg_first *first)
{
    if (first->major != 3) {
        fail(session, "0A000", "this frontend protocol is not served: 3.0 and 3.2 are", "");
        return;
    }
    if (session->front.ssl == NULL && !db_here.may_be_plain) {
        fail(session, "28000", "this gate is reached over TLS only", "Set sslmode=verify-full.");
        return;
    }
    if (session->login->in.len > first->size_bytes) {
        fail(session, "08P01", "something came behind the start-up packet before an answer", "");
        return;
    }
    negotiate(session, first);
    sp_span list = first->parameters;
    sp_span name;
    sp_span value;
    while (sp_pg_parameter_next(&list, &name, &value)) {
        if (!sp_span_starts(name, SP_SPAN_LIT("_pq_.")) && !take_parameter(session, name, value)) {
            return;
        }
    }
    if (session->login->user[0] == '\0') {
        fail(session, "28000", "the start-up packet names no user", "");
        return;
    }
    if (session->login->resource[0] == '\0') {
        /* as a server does: the database is called like the user */
        sp_copy(session->login->resource, session->login->user, DB_NAME_BYTES);
    }
    sp_buf_reset(&session->login->in);
    db_login_begin(session);
}

/* ---- TLS ---- */

static void through_tls(db_session *session)
{
    const unsigned char *protocol = NULL;
    unsigned len = 0;
    SSL_get0_alpn_selected(session->front.ssl, &protocol, &len);
    if (session->login->direct_tls &&
        !sp_span_eq(sp_span_of(protocol, len), SP_SPAN_LIT("postgresql"))) {
        db_session_drop(session); /* another protocol's client was led here */
        return;
    }
    session->at = DB_AT_START;
}

static void begin_tls(db_session *session, sp_span first)
{
    SSL_CTX *ctx = db_tls_front();
    if (ctx == NULL) {
        db_session_drop(session);
        return;
    }
    session->at = DB_AT_TLS;
    sp_err err = db_stream_accept_tls(&session->front, ctx, first);
    sp_buf_reset(&session->login->in);
    if (!sp_failed(err)) {
        through_tls(session);
    } else if (err.code != SP_EAGAIN) {
        db_session_drop(session);
    }
}

static void answer_ssl(db_session *session, const sp_pg_first *first)
{
    bool again = session->at != DB_AT_FIRST || session->login->asked_ssl;
    if (again || session->login->in.len > first->size_bytes) {
        /* bytes behind the request were put there by somebody who cannot speak TLS */
        db_session_drop(session);
        return;
    }
    session->login->asked_ssl = true;
    bool can = db_tls_front() != NULL;
    if (sp_failed(db_stream_send(&session->front, can ? SP_SPAN_LIT("S") : SP_SPAN_LIT("N")))) {
        db_session_drop(session);
        return;
    }
    sp_buf_reset(&session->login->in);
    if (can) {
        begin_tls(session, SP_SPAN_EMPTY);
    }
}

static void answer_gssenc(db_session *session, const sp_pg_first *first)
{
    bool again = session->at != DB_AT_FIRST || session->login->asked_gss;
    session->login->asked_gss = true;
    if (again || session->login->in.len > first->size_bytes ||
        sp_failed(db_stream_send(&session->front, SP_SPAN_LIT("N")))) {
        db_session_drop(session);
        return;
    }
    sp_buf_reset(&session->login->in);
}

/* ---- packets ---- */

static void take_first(db_session *session)
{
    sp_span in = sp_buf_borrow(&session->login->in);
    if (session->at == DB_AT_FIRST && in.len > 0 && in.ptr[0] == TLS_HANDSHAKE &&
        !session->login->asked_ssl) {
        session->login->direct_tls = true;
        begin_tls(session, in);
        return;
    }
    sp_pg_first first;
    sp_err err = sp_pg_first_read(in, &first);
    if (err.code == SP_EAGAIN) {
        return;
    }
    if (sp_failed(err)) {
        fail(session, "08P01", "this is no start-up packet of PostgreSQL", "");
        return;
    }
    switch (first.kind) {
    case SP_PG_FIRST_SSL:
        answer_ssl(session, &first);
        break;
    case SP_PG_FIRST_GSSENC:
        answer_gssenc(session, &first);
        break;
    case SP_PG_FIRST_CANCEL:
        db_cancel_request(first.cancel_pid, first.cancel_key, session->who.peer);
        db_session_drop(session);
        break;
    case SP_PG_FIRST_STARTUP:
        take_startup(session, &first);
        break;
    case SP_PG_FIRST_COUNT:
        break;
    }
}

/* One SASL message; what comes behind it waits for the answer. */
static void take_sasl(db_session *session)
{
    sp_span in = sp_buf_borrow(&session->login->in);
    sp_pg_head head;
    sp_err err = sp_pg_head_read(in, &head);
    if (err.code == SP_EAGAIN) {
        return;
    }
    if (sp_failed(err) || head.type != 'p' || head.body_len > SP_PG_SASL_MAX_BYTES) {
        fail(session, "08P01", "a message came that does not belong into the log-in", "");
        return;
    }
    size_t size = SP_PG_HEAD_BYTES + head.body_len;
    if (in.len < size) {
        return;
    }
    const sp_pg_msg msg = {.type = 'p',
                           .whole = true,
                           .body_len = head.body_len,
                           .body = sp_span_slice(in, SP_PG_HEAD_BYTES, size)};
    db_login_message(session, &msg);
    if (session->login != NULL) {
        sp_buf_drop(&session->login->in, size);
    }
}

static void shake(db_session *session)
{
    sp_err err = db_stream_handshake(&session->front);
    if (!sp_failed(err)) {
        through_tls(session);
    } else if (err.code != SP_EAGAIN) {
        db_session_drop(session);
    }
}

static void read_more(db_session *session)
{
    sp_span bytes;
    sp_err err = db_stream_receive(&session->front, &bytes);
    if (err.code == SP_EAGAIN) {
        return;
    }
    if (!sp_failed(err)) {
        sp_buf_span(&session->login->in, bytes);
        err = sp_buf_error(&session->login->in);
    }
    if (sp_failed(err)) {
        db_session_drop(session);
        return;
    }
    if (session->at == DB_AT_FIRST || session->at == DB_AT_START) {
        take_first(session);
    } else if (session->at == DB_AT_SASL) {
        take_sasl(session);
    }
}

static void step(db_session *session)
{
    switch (session->at) {
    case DB_AT_TLS:
        shake(session);
        break;
    case DB_AT_FIRST:
    case DB_AT_START:
    case DB_AT_SASL:
    case DB_AT_CORE:
    case DB_AT_JUDGE:
    case DB_AT_BACK:
        read_more(session);
        break;
    case DB_AT_OPEN:
        db_pump(session);
        break;
    case DB_AT_ENDING:
    case DB_AT_COUNT:
        break;
    }
}

void db_front_on_ready(db_stream *stream)
{
    db_session *session = SESSION_OF(stream);
    if (session->at == DB_AT_OPEN) {
        db_pump(session);
        return;
    }
    bool broken = sp_failed(db_stream_flush(stream));
    bool said = session->at == DB_AT_ENDING && !db_stream_is_stuck(stream) &&
                (!session->is_revoked || stream->hung); /* the kernel may hold what was sent */
    if (broken || said) {
        db_session_drop(session);
        return;
    }
    db_at before = DB_AT_COUNT;
    while (before != session->at && session->at < DB_AT_OPEN) {
        before = session->at; /* what came with the end of a state belongs to the next */
        step(session);
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * Batches over the wire: HTTP by libcurl, syslog over a TLS connection that libcurl made.
 *
 * Syslog has no acknowledgement. A batch counts as taken when the other side's kernel has
 * acknowledged every byte of it; a connection that breaks before that makes it go out again.
 *
 * OWNS connections. PROCESS courier. TRUST the other side is hostile: TLS is verified, answers are
 * bounded, what it says goes nowhere but into one sentence.
 * SPEC RFC 5425; Confluent REST Proxy API v2; docs/SINKS.md.
 */
#include "courier/sinks.h"

#include "infra/proc/clock.h"
#include "lib/notice/template.h"
#include "lib/notice/wire.h"
#include "lib/proto/vault_msg.h"

#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

enum {
    CONNECT_S = 10,
    LOOK_MS = 10,
    URL_BYTES = 2048,
    CHUNK_BYTES = 64 * 1024,
    KAFKA_RECORD_BYTES = 256
};
#define SECRETS_HELD_US UINT64_C(60000000)

/* What carries a batch: a request, or a connection that stays. */
struct sink_syslog {
    courier_carry carry;
    sink *of; /* NULL: aborted */
    CURL *curl;
    struct curl_slist *list;
    sp_buf answer;
    bool connected; /* syslog */
    curl_socket_t fd;
    size_t sent;
    uint64_t until_us;
    uv_timer_t timer;
    char words[CURL_ERROR_SIZE];
};
typedef struct sink_syslog wire;

static bool opt_long(CURL *curl, CURLoption option, long value)
{
    return curl_easy_setopt(curl, option, value) == CURLE_OK;
}

static bool opt_span(CURL *curl, CURLoption option, sp_span text)
{
    auto_free char *copy = NULL;
    return !sp_failed(sp_strdup(text, &copy)) &&
           curl_easy_setopt(curl, option, copy) == CURLE_OK; /* libcurl copies it */
}

static void on_closed(uv_handle_t *handle)
{
    wire *w = handle->data;
    sp_buf_done(&w->answer);
    sp_free(w);
}

static void wire_free(courier *of, wire *w)
{
    if (w->curl != NULL) {
        courier_wires_drop(of->wires, w->curl);
    }
    curl_slist_free_all(w->list);
    uv_timer_stop(&w->timer);
    uv_close((uv_handle_t *)&w->timer, on_closed);
}

static void drop(sink *s)
{
    if (s->syslog != NULL) {
        wire_free(s->of, s->syslog);
        s->syslog = NULL;
    }
}

void sink_abort(sink *s)
{
    drop(s);
}

static void fail(sink *s, const char *why)
{
    drop(s);
    sink_over(s, false, why);
}

/* ---- making one ---- */

static size_t on_body(char *bytes, size_t size, size_t count, void *self)
{
    wire *w = self;
    size_t room = w->answer.max_bytes - w->answer.len;
    size_t len = size * count;
    sp_buf_span(&w->answer, sp_span_of(bytes, len < room ? len : room));
    return len; /* what is more is not looked at */
}

static bool set_common(sink *s, wire *w, sp_span url)
{
    CURL *curl = w->curl;
    bool good = opt_span(curl, CURLOPT_URL, url) && opt_long(curl, CURLOPT_NOSIGNAL, 1) &&
                curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
                opt_long(curl, CURLOPT_NETRC, CURL_NETRC_IGNORED) &&
                opt_long(curl, CURLOPT_FOLLOWLOCATION, 0) &&
                opt_long(curl, CURLOPT_CONNECTTIMEOUT,
                         s->task.timeout_s < CONNECT_S ? s->task.timeout_s : CONNECT_S) &&
                opt_long(curl, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2) &&
                curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, w->words) == CURLE_OK;
    if (good && s->task.ca.len > 0) {
        /* that file alone: the folder that comes with the library has every public authority */
        good = opt_span(curl, CURLOPT_CAINFO, s->task.ca) &&
               curl_easy_setopt(curl, CURLOPT_CAPATH, NULL) == CURLE_OK;
    }
    return good;
}

static wire *wire_new(sink *s, void (*over)(void *self, CURL *curl, CURLcode code))
{
    wire *w = NULL;
    if (sp_failed(sp_alloc(1, sizeof(*w), &w))) {
        return NULL;
    }
    w->of = s;
    w->carry = (courier_carry){over, w};
    w->answer = sp_buf_make(COURIER_ANSWER_MAX_BYTES + s->batch_events * KAFKA_RECORD_BYTES);
    w->timer.data = w;
    uv_timer_init(&s->of->loop, &w->timer);
    w->curl = curl_easy_init();
    s->syslog = w;
    return w;
}

static const char *words_of(const wire *w, CURLcode code)
{
    return w->words[0] != '\0' ? w->words : curl_easy_strerror(code);
}

/* ---- HTTP ---- */

static bool add_header(wire *w, sp_buf *line)
{
    auto_free char *text = NULL;
    if (sp_failed(sp_buf_take_cstr(line, &text))) {
        return false;
    }
    struct curl_slist *longer = curl_slist_append(w->list, text);
    w->list = longer == NULL ? w->list : longer;
    return longer != NULL;
}

static bool add_text(wire *w, const char *text)
{
    auto_buf sp_buf line = sp_buf_make(256);
    sp_buf_text(&line, text);
    return add_header(w, &line);
}

static bool add_headers(sink *s, wire *w)
{
    auto_buf sp_buf id = sp_buf_make(512);
    auto_buf sp_buf token = sp_buf_make(1024);
    auto_buf sp_buf mark = sp_buf_make(512);
    bool kafka = s->task.via == SP_SINK_VIA_KAFKA;
    bool good =
        add_text(w, kafka ? "Content-Type: application/vnd.kafka.json.v2+json"
                          : "Content-Type: application/json; charset=utf-8") &&
        add_text(w, kafka ? "Accept: application/vnd.kafka.v2+json" : "Accept: application/json") &&
        add_text(w, "Expect:");
    sp_buf_fmt(&id, "X-Sallyport-Batch: %.*s/%llu-%llu", SP_SPAN_ARG(s->task.name),
               (unsigned long long)s->next, (unsigned long long)s->batch_next);
    good = good && add_header(w, &id);
    if (s->task.token == 1) {
        sp_buf_text(&token, "Authorization: Bearer ");
        sp_buf_span(&token, sp_secret_borrow(&s->token));
        good = good && add_header(w, &token);
    }
    if (s->task.is_signed == 1) {
        const sp_post post = {.secret = sp_secret_borrow(&s->secret),
                              .now_unix_ms = sp_now_unix_us() / 1000};
        sp_buf_text(&mark, "X-Sallyport-Signature: ");
        sp_post_signature(&post, sp_buf_borrow(&s->batch), &mark);
        good = good && add_header(w, &mark);
    }
    return good;
}

/* A REST proxy answers 200 and says of each record whether it was taken: each has to be spoken of.
 */
static bool kafka_took_all(sp_span answer, size_t records)
{
    static const char *const nulls[] = {"\"error_code\":null", "\"error_code\": null"};
    size_t codes = 0;
    size_t fine = 0;
    for (size_t i = 0; i + 12 <= answer.len; i++) {
        sp_span rest = sp_span_slice(answer, i, answer.len);
        codes += sp_span_starts(rest, SP_SPAN_LIT("\"error_code\"")) ? 1 : 0;
        fine += sp_span_starts(rest, sp_span_cstr(nulls[0])) ||
                        sp_span_starts(rest, sp_span_cstr(nulls[1]))
                    ? 1
                    : 0;
    }
    return codes == records && codes == fine;
}

static void http_over(void *self, CURL *curl, CURLcode code)
{
    wire *w = self;
    sink *s = w->of;
    long status = 0;
    char why[SP_SINK_WHY_MAX_BYTES];
    auto_buf sp_buf said = sp_buf_make(1024);
    if (curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK) {
        status = 0;
    }
    bool taken = code == CURLE_OK && status >= 200 && status < 300;
    if (taken && s->task.via == SP_SINK_VIA_KAFKA) {
        taken = kafka_took_all(sp_buf_borrow(&w->answer), s->batch_events);
    }
    sp_form_value(sp_text_cut(sp_span_trim(sp_buf_borrow(&w->answer)), 100), SP_VALUE_TEXT,
                  SP_FORM_LINE, &said);
    if (code != CURLE_OK) {
        snprintf(why, sizeof(why), "%s", words_of(w, code));
    } else {
        snprintf(why, sizeof(why), "it answered %ld %.*s", status,
                 SP_SPAN_ARG(sp_buf_borrow(&said)));
    }
    drop(s);
    sink_over(s, taken, why);
}

static void http_send(sink *s)
{
    auto_buf sp_buf url = sp_buf_make(URL_BYTES);
    wire *w = wire_new(s, http_over);
    sp_buf_span(&url, s->task.address);
    if (s->task.via == SP_SINK_VIA_KAFKA) {
        sp_buf_text(&url, "/topics/");
        sp_buf_percent(&url, s->task.topic);
    }
    CURL *curl = w == NULL ? NULL : w->curl;
    bool good = curl != NULL && add_headers(s, w) && set_common(s, w, sp_buf_borrow(&url)) &&
                curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_USERAGENT, "sallyport/" SP_VERSION) == CURLE_OK &&
                opt_long(curl, CURLOPT_TIMEOUT, s->task.timeout_s) &&
                opt_long(curl, CURLOPT_POSTFIELDSIZE, (long)s->batch.len) &&
                curl_easy_setopt(curl, CURLOPT_POSTFIELDS, s->batch.ptr) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_HTTPHEADER, w->list) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_WRITEDATA, w) == CURLE_OK &&
                !sp_failed(courier_wires_carry(s->of->wires, curl, &w->carry));
    if (!good) {
        fail(s, "its address is not as it should be");
    }
}

/* ---- syslog ---- */

/* Every byte is in the other side's kernel. */
static bool is_acknowledged(const wire *w)
{
    int unacknowledged = 0;
    return ioctl(w->fd, SIOCOUTQ, &unacknowledged) == 0 && unacknowledged == 0;
}

/* A receiver has nothing to say; when it hangs up, that is read. */
static bool is_broken(const wire *w)
{
    char bytes[256];
    size_t got = 0;
    CURLcode code = curl_easy_recv(w->curl, bytes, sizeof(bytes), &got);
    return code != CURLE_AGAIN && (code != CURLE_OK || got == 0);
}

static void syslog_push(sink *s)
{
    wire *w = s->syslog;
    while (w->sent < s->batch.len) {
        size_t left = s->batch.len - w->sent;
        size_t sent = 0;
        CURLcode code = curl_easy_send(w->curl, s->batch.ptr + w->sent,
                                       left < CHUNK_BYTES ? left : CHUNK_BYTES, &sent);
        if (code == CURLE_AGAIN) {
            return;
        }
        if (code != CURLE_OK) {
            fail(s, words_of(w, code));
            return;
        }
        w->sent += sent;
    }
}

static void on_look(uv_timer_t *timer)
{
    wire *w = timer->data;
    sink *s = w->of;
    if (is_broken(w)) {
        fail(s, "it hung up");
        return;
    }
    syslog_push(s);
    if (s->syslog != w) {
        return; /* it failed */
    }
    if (w->sent == s->batch.len && is_acknowledged(w)) {
        uv_timer_stop(&w->timer);
        sink_over(s, true, "");
    } else if (sp_now_steady_us() > w->until_us) {
        fail(s, "it does not take what it is sent");
    }
}

static void syslog_begin(sink *s)
{
    wire *w = s->syslog;
    w->sent = 0;
    w->until_us = sp_now_steady_us() + (uint64_t)s->task.timeout_s * 1000000;
    uv_timer_start(&w->timer, on_look, 0, LOOK_MS);
}

static void syslog_over(void *self, CURL *curl, CURLcode code)
{
    wire *w = self;
    sink *s = w->of;
    if (code != CURLE_OK || curl_easy_getinfo(curl, CURLINFO_ACTIVESOCKET, &w->fd) != CURLE_OK ||
        w->fd == CURL_SOCKET_BAD) {
        fail(s, words_of(w, code));
        return;
    }
    w->connected = true;
    syslog_begin(s);
}

static void syslog_send(sink *s)
{
    auto_buf sp_buf url = sp_buf_make(URL_BYTES);
    if (s->syslog != NULL && s->syslog->connected && !is_broken(s->syslog)) {
        syslog_begin(s);
        return;
    }
    drop(s);
    wire *w = wire_new(s, syslog_over);
    CURL *curl = w == NULL ? NULL : w->curl;
    sp_buf_text(&url, "https://"); /* for its TLS; HTTP is not spoken */
    sp_buf_span(&url, s->task.address);
    bool good = curl != NULL && set_common(s, w, sp_buf_borrow(&url)) &&
                curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
                opt_long(curl, CURLOPT_SSL_ENABLE_ALPN, 0) &&
                opt_long(curl, CURLOPT_CONNECT_ONLY, 1) &&
                opt_long(curl, CURLOPT_TCP_KEEPALIVE, 1) &&
                !sp_failed(courier_wires_carry(s->of->wires, curl, &w->carry));
    if (!good) {
        fail(s, "its address is not as it should be");
    }
}

/* ---- secrets, then off ---- */

static void go(sink *s)
{
    if (s->task.via == SP_SINK_VIA_SYSLOG) {
        syslog_send(s);
    } else {
        http_send(s);
    }
}

static void ask_secret(sink *s, const char *part, sp_line_reply then)
{
    auto_buf sp_buf name = sp_buf_make(SP_VAULT_CREDENTIAL_MAX_BYTES);
    sp_buf_fmt(&name, "%.*s/%s", SP_SPAN_ARG(s->task.name), part);
    s->secrets_asked = true;
    sp_line_call(courier_secrets_line(s->of->secrets), SP_VAULT_CHANNEL_SECRET,
                 sp_buf_borrow(&name), then, s);
}

static void take_secret(sink *s, sp_err err, sp_span body, sp_secret *to)
{
    s->secrets_asked = false;
    if (s->dead) {
        sink_gone(s);
        return;
    }
    if (!sp_failed(err)) {
        err = sp_secret_set(to, body);
    }
    if (sp_failed(err)) {
        sink_over(s, false,
                  err.code == SP_ENOTFOUND
                      ? "the vault has no secret of this sink: sallyport sink secret"
                      : "the vault is away");
    } else {
        sink_send(s);
    }
}

static void on_token(void *self, sp_err err, sp_span body)
{
    sink *s = self;
    take_secret(s, err, body, &s->token);
}

static void on_secret(void *self, sp_err err, sp_span body)
{
    sink *s = self;
    take_secret(s, err, body, &s->secret);
}

void sink_send(sink *s)
{
    uint64_t now = sp_now_steady_us();
    if (s->secrets_until_us < now) {
        sp_secret_wipe(&s->token);
        sp_secret_wipe(&s->secret);
        s->secrets_until_us = now + SECRETS_HELD_US;
    }
    if (s->task.token == 1 && sp_secret_borrow(&s->token).len == 0) {
        ask_secret(s, "token", on_token);
    } else if (s->task.is_signed == 1 && sp_secret_borrow(&s->secret).len == 0) {
        ask_secret(s, "secret", on_secret);
    } else {
        go(s);
    }
}

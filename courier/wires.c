/* SPDX-License-Identifier: Apache-2.0
 * Mails and posts by libcurl's multi interface on the loop.
 * OWNS transfers and connections. PROCESS courier. TRUST servers are hostile: TLS is verified,
 * answers are bounded, redirects and proxies of the environment are not taken.
 * SPEC https://curl.se/libcurl/c/, RFC 5321; lib/notice/wire.h.
 */
#include "courier/courier.h"

#include "infra/proc/clock.h"
#include "infra/proc/log.h"
#include "lib/notice/template.h"
#include "lib/notice/wire.h"

enum { CONNECT_S = 15, HOST_CONNECTIONS = 8, TOTAL_CONNECTIONS = 64, URL_MAX_BYTES = 2048 };

typedef struct {
    uv_poll_t poll;
    courier_wires *wires;
    curl_socket_t fd;
} watched;

struct courier_wires {
    courier *courier;
    CURLM *multi;
    uv_timer_t timer;
};

typedef struct {
    courier_carry carry;
    courier_wires *wires;
    courier_job *job;
    CURL *curl;
    struct curl_slist *list; /* recipients, or headers */
    sp_buf url;
    sp_buf out; /* what is sent */
    size_t sent;
    sp_buf answer; /* HTTP: the body; mail: the first refusal */
    bool too_long;
    char words[CURL_ERROR_SIZE];
} transfer;

static void free_transfer(transfer *t)
{
    curl_easy_cleanup(t->curl);
    curl_slist_free_all(t->list);
    sp_buf_wipe(&t->url);
    sp_buf_done(&t->url);
    sp_buf_wipe(&t->out);
    sp_buf_done(&t->out);
    sp_buf_done(&t->answer);
    sp_free(t);
}

/* ---- bytes ---- */

static size_t on_read(char *to, size_t size, size_t count, void *self)
{
    transfer *t = self;
    size_t room = size * count;
    size_t left = t->out.len - t->sent;
    size_t len = left < room ? left : room;
    sp_copy(to, t->out.ptr + t->sent, len);
    t->sent += len;
    return len;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *self)
{
    transfer *t = self;
    sp_buf_span(&t->answer, sp_span_of(bytes, size * count));
    t->too_long = sp_failed(sp_buf_error(&t->answer));
    return t->too_long ? 0 : size * count; /* 0 ends it */
}

/* The first refusal that the mail server spoke; the farewell behind it says nothing. */
static size_t on_line(char *bytes, size_t size, size_t count, void *self)
{
    transfer *t = self;
    bool is_refusal = size * count > 0 && (bytes[0] == '4' || bytes[0] == '5');
    if (is_refusal && t->answer.len == 0) {
        sp_buf_span(&t->answer, sp_text_cut(sp_span_of(bytes, size * count), 200));
    }
    return size * count;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *self)
{
    (void)bytes;
    (void)self;
    return size * count;
}

/* ---- setting up ---- */

static bool opt_long(CURL *curl, CURLoption option, long value)
{
    return curl_easy_setopt(curl, option, value) == CURLE_OK;
}

static bool opt_text(CURL *curl, CURLoption option, const char *text)
{
    return curl_easy_setopt(curl, option, text) == CURLE_OK;
}

/* A span as an option: libcurl copies it. */
static bool opt_span(CURL *curl, CURLoption option, sp_span text)
{
    auto_free char *copy = NULL;
    bool good = !sp_failed(sp_strdup(text, &copy)) && opt_text(curl, option, copy);
    if (copy != NULL) {
        sp_wipe(copy, text.len);
    }
    return good;
}

static bool set_common(transfer *t)
{
    const sp_courier_job *job = &t->job->job;
    CURL *curl = t->curl;
    long connect_s = job->timeout_s < CONNECT_S ? job->timeout_s : CONNECT_S;
    bool good = opt_span(curl, CURLOPT_URL, sp_buf_borrow(&t->url)) &&
                opt_long(curl, CURLOPT_NOSIGNAL, 1) && opt_text(curl, CURLOPT_PROXY, "") &&
                opt_long(curl, CURLOPT_NETRC, CURL_NETRC_IGNORED) &&
                opt_long(curl, CURLOPT_FOLLOWLOCATION, 0) &&
                opt_long(curl, CURLOPT_CONNECTTIMEOUT, connect_s) &&
                opt_long(curl, CURLOPT_TIMEOUT, job->timeout_s) &&
                opt_long(curl, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2) &&
                curl_easy_setopt(curl, CURLOPT_PRIVATE, &t->carry) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, t->words) == CURLE_OK;
    if (good && job->ca.len > 0) {
        good = opt_span(curl, CURLOPT_CAINFO, job->ca) && opt_text(curl, CURLOPT_CAPATH, NULL);
    }
    return good;
}

static bool is_loopback(sp_span address)
{
    return sp_span_starts(address, SP_SPAN_LIT("127.")) ||
           sp_span_starts(address, SP_SPAN_LIT("[::1]")) ||
           sp_span_starts(address, SP_SPAN_LIT("localhost:"));
}

static sp_err write_mail(transfer *t)
{
    const sp_courier_job *job = &t->job->job;
    const sp_mail mail = {.from = job->from,
                          .to = job->to,
                          .subject = job->title,
                          .text = job->text,
                          .html = job->html,
                          .message_id = job->message_id,
                          .when_unix_s = job->when_unix_s};
    return sp_mail_write(&mail, &t->out);
}

static bool set_mail_people(transfer *t)
{
    auto_buf sp_buf box = sp_buf_make(SP_COURIER_ADDRESS_MAX_BYTES);
    auto_free char *from = NULL;
    auto_free char *to = NULL;
    const sp_courier_job *job = &t->job->job;
    sp_buf_fmt(&box, "<%.*s>", SP_SPAN_ARG(sp_mailbox_of(job->from)));
    bool good = !sp_failed(sp_buf_take_cstr(&box, &from));
    sp_buf_fmt(&box, "<%.*s>", SP_SPAN_ARG(job->to));
    good = good && !sp_failed(sp_buf_take_cstr(&box, &to));
    if (!good) {
        return false;
    }
    t->list = curl_slist_append(NULL, to);
    return t->list != NULL && opt_text(t->curl, CURLOPT_MAIL_FROM, from) &&
           curl_easy_setopt(t->curl, CURLOPT_MAIL_RCPT, t->list) == CURLE_OK;
}

/* smtp://host:port/name-that-we-say-hello-with */
static bool put_mail_url(transfer *t)
{
    const sp_courier_job *job = &t->job->job;
    sp_span from = sp_mailbox_of(job->from);
    for (size_t i = 0; i < job->address.len; i++) {
        uint8_t c = job->address.ptr[i];
        if (!sp_is_alnum(c) && c != '.' && c != '-' && c != ':' && c != '[' && c != ']') {
            return false;
        }
    }
    sp_buf_text(&t->url, job->tls == SP_COURIER_TLS_IMPLICIT ? "smtps://" : "smtp://");
    sp_buf_span(&t->url, job->address);
    sp_buf_byte(&t->url, '/');
    sp_buf_span(&t->url, sp_span_slice(from, sp_span_index(from, '@') + 1, from.len));
    return !sp_failed(sp_buf_error(&t->url)) && job->address.len > 0 &&
           (job->tls != SP_COURIER_TLS_LOOPBACK || is_loopback(job->address));
}

static bool set_mail(transfer *t)
{
    const courier_job *job = t->job;
    CURL *curl = t->curl;
    long tls = job->job.tls == SP_COURIER_TLS_LOOPBACK ? CURLUSESSL_NONE : CURLUSESSL_ALL;
    bool good = !sp_failed(write_mail(t)) && put_mail_url(t) && set_common(t) &&
                set_mail_people(t) && opt_text(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps") &&
                opt_long(curl, CURLOPT_USE_SSL, tls) && opt_long(curl, CURLOPT_UPLOAD, 1) &&
                curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_READDATA, t) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_line) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_HEADERDATA, t) == CURLE_OK;
    /* libcurl would use a connection again that STARTTLS secured for another channel's CA */
    if (good && job->job.tls == SP_COURIER_TLS_VERIFY) {
        good = opt_long(curl, CURLOPT_FRESH_CONNECT, 1) && opt_long(curl, CURLOPT_FORBID_REUSE, 1);
    }
    if (good && job->job.user.len > 0) {
        good = opt_span(curl, CURLOPT_USERNAME, job->job.user) &&
               opt_span(curl, CURLOPT_PASSWORD, sp_secret_borrow(&job->secret));
    }
    return good;
}

static bool add_header(transfer *t, const char *text)
{
    struct curl_slist *longer = curl_slist_append(t->list, text);
    if (longer == NULL) {
        return false;
    }
    t->list = longer;
    return true;
}

static bool sign_hook(transfer *t, const sp_post *post)
{
    auto_buf sp_buf line = sp_buf_make(256);
    auto_free char *text = NULL;
    if (post->secret.len == 0) {
        return true;
    }
    sp_buf_text(&line, "X-Sallyport-Signature: ");
    sp_post_signature(post, sp_buf_borrow(&t->out), &line);
    return !sp_failed(sp_buf_take_cstr(&line, &text)) && add_header(t, text);
}

static bool write_post(transfer *t)
{
    const courier_job *job = t->job;
    const sp_post post = {.address = job->job.address,
                          .token = sp_secret_borrow(&job->token),
                          .secret = sp_secret_borrow(&job->secret),
                          .title = job->job.title,
                          .text = job->job.text,
                          .mentions = job->job.mentions,
                          .id = job->job.message_id,
                          .data = job->job.data,
                          .now_unix_ms = sp_now_unix_us() / 1000};
    sp_channel_kind kind = (sp_channel_kind)job->job.kind;
    sp_post_body(kind, &post, &t->out);
    return sp_channel_address_fault(job->job.address) == NULL &&
           !sp_failed(sp_buf_error(&t->out)) && !sp_failed(sp_post_url(kind, &post, &t->url)) &&
           add_header(t, "Content-Type: application/json; charset=utf-8") &&
           add_header(t, "Expect:") && (kind != SP_CHANNEL_WEBHOOK || sign_hook(t, &post));
}

static bool set_post(transfer *t)
{
    CURL *curl = t->curl;
    return write_post(t) && set_common(t) && opt_text(curl, CURLOPT_PROTOCOLS_STR, "http,https") &&
           opt_text(curl, CURLOPT_USERAGENT, "sallyport/" SP_VERSION) &&
           opt_long(curl, CURLOPT_POSTFIELDSIZE, (long)t->out.len) &&
           curl_easy_setopt(curl, CURLOPT_POSTFIELDS, t->out.ptr) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HTTPHEADER, t->list) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, t) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK;
}

static void job_over(void *self, CURL *curl, CURLcode code);

sp_err courier_wires_send(courier_wires *wires, courier_job *job)
{
    transfer *t = NULL;
    TRY(sp_alloc(1, sizeof(*t), &t));
    *t = (transfer){.carry = {job_over, t},
                    .wires = wires,
                    .job = job,
                    .curl = curl_easy_init(),
                    .url = sp_buf_make(URL_MAX_BYTES),
                    .out = sp_buf_make(4 * SP_COURIER_TEXT_MAX_BYTES),
                    .answer = sp_buf_make(COURIER_ANSWER_MAX_BYTES)};
    bool is_mail = job->job.kind == SP_CHANNEL_EMAIL;
    if (t->curl == NULL || !(is_mail ? set_mail(t) : set_post(t)) ||
        curl_multi_add_handle(wires->multi, t->curl) != CURLM_OK) {
        free_transfer(t);
        return sp_fail(SP_EINVALID);
    }
    return sp_ok();
}

/* ---- what came of it ---- */

/* A sentence without what breaks a line. */
static void put_line(sp_buf *why, sp_span text)
{
    auto_buf sp_buf clean = sp_buf_make(4 * SP_COURIER_WHY_MAX_BYTES);
    sp_form_value(sp_span_trim(text), SP_VALUE_TEXT, SP_FORM_LINE, &clean);
    sp_buf_span(why, sp_text_cut(sp_buf_borrow(&clean), SP_COURIER_WHY_MAX_BYTES / 2));
}

static void put_curl_words(const transfer *t, CURLcode code, sp_buf *why)
{
    put_line(why, sp_span_cstr(t->words[0] != '\0' ? t->words : curl_easy_strerror(code)));
}

/* The log-in or the door, not this mailbox. */
static bool is_about_channel(long status)
{
    return status == 530 || (status >= 534 && status <= 538) || status == 454 || status == 421;
}

static void judge_mail(const transfer *t, CURLcode code, long status)
{
    courier_job *job = t->job;
    sp_span said = sp_buf_borrow(&t->answer);
    if (code == CURLE_OK) {
        job->outcome = SP_COURIER_HANDED;
        return;
    }
    bool is_answer =
        status >= 400 && status < 600 && said.len > 0 && code != CURLE_OPERATION_TIMEDOUT;
    job->outcome = is_answer && status >= 500 && !is_about_channel(status) ? SP_COURIER_REJECTED
                                                                           : SP_COURIER_FAILED;
    if (is_answer) {
        put_line(&job->why, said);
    } else {
        put_curl_words(t, code, &job->why);
    }
}

static void judge_post(const transfer *t, CURLcode code, long status)
{
    static const uint8_t outcomes[] = {[SP_ANSWER_TAKEN] = SP_COURIER_HANDED,
                                       [SP_ANSWER_NEVER] = SP_COURIER_REJECTED,
                                       [SP_ANSWER_LATER] = SP_COURIER_FAILED,
                                       [SP_ANSWER_SLOWER] = SP_COURIER_THROTTLED};
    courier_job *job = t->job;
    curl_off_t retry_s = 0;
    auto_buf sp_buf why = sp_buf_make(1024);
    if (code != CURLE_OK) {
        job->outcome = SP_COURIER_FAILED;
        if (t->too_long) {
            sp_buf_text(&job->why, "it answered more than 16 KiB");
        } else {
            put_curl_words(t, code, &job->why);
        }
        return;
    }
    if (curl_easy_getinfo(t->curl, CURLINFO_RETRY_AFTER, &retry_s) != CURLE_OK || retry_s < 0) {
        retry_s = 0;
    }
    job->outcome = outcomes[sp_answer_of((sp_channel_kind)job->job.kind, (unsigned)status,
                                         retry_s > INT32_MAX ? INT32_MAX : (uint32_t)retry_s,
                                         sp_buf_borrow(&t->answer), &why, &job->retry_after_s)];
    put_line(&job->why, sp_buf_borrow(&why));
}

static void job_over(void *self, CURL *curl, CURLcode code)
{
    transfer *t = self;
    courier_wires *wires = t->wires;
    long status = 0;
    SP_IGNORE(curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK
                  ? sp_ok()
                  : sp_fail(SP_EIO)); /* 0 then: none came */
    courier_job *job = t->job;
    job->status = status > 0 && status < 1000 ? (uint16_t)status : 0;
    if (job->job.kind == SP_CHANNEL_EMAIL) {
        judge_mail(t, code, status);
    } else {
        judge_post(t, code, status);
    }
    curl_multi_remove_handle(wires->multi, curl);
    free_transfer(t);
    courier_job_over(job);
}

static void finish(CURL *curl, CURLcode code)
{
    courier_carry *carry = NULL;
    if (curl_easy_getinfo(curl, CURLINFO_PRIVATE, &carry) == CURLE_OK && carry != NULL) {
        carry->over(carry->self, curl, code);
    }
}

sp_err courier_wires_carry(courier_wires *wires, CURL *curl, courier_carry *carry)
{
    bool good = curl_easy_setopt(curl, CURLOPT_PRIVATE, carry) == CURLE_OK &&
                curl_multi_add_handle(wires->multi, curl) == CURLM_OK;
    return good ? sp_ok() : sp_fail(SP_EINVALID);
}

void courier_wires_drop(courier_wires *wires, CURL *curl)
{
    curl_multi_remove_handle(wires->multi, curl);
    curl_easy_cleanup(curl);
}

static void look(courier_wires *wires)
{
    CURLMsg *msg = NULL;
    int left = 0;
    while ((msg = curl_multi_info_read(wires->multi, &left)) != NULL) {
        if (msg->msg == CURLMSG_DONE) {
            finish(msg->easy_handle, msg->data.result);
        }
    }
}

/* ---- the loop ---- */

static void on_poll(uv_poll_t *poll, int status, int events)
{
    watched *w = poll->data;
    courier_wires *wires = w->wires;
    int running = 0;
    int what = status < 0 ? CURL_CSELECT_ERR : 0;
    what |= (events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0;
    what |= (events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
    curl_multi_socket_action(wires->multi, w->fd, what, &running);
    look(wires);
}

static void on_timer(uv_timer_t *timer)
{
    courier_wires *wires = timer->data;
    int running = 0;
    curl_multi_socket_action(wires->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    look(wires);
}

static int set_timer(CURLM *multi, long timeout_ms, void *self)
{
    courier_wires *wires = self;
    (void)multi;
    if (timeout_ms < 0) {
        uv_timer_stop(&wires->timer);
    } else {
        uv_timer_start(&wires->timer, on_timer, (uint64_t)timeout_ms, 0);
    }
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    sp_free(handle->data);
}

static int watch_socket(CURL *curl, curl_socket_t fd, int what, void *self, void *socket_data)
{
    courier_wires *wires = self;
    watched *w = socket_data;
    (void)curl;
    if (what == CURL_POLL_REMOVE) {
        if (w != NULL) {
            curl_multi_assign(wires->multi, fd, NULL);
            uv_poll_stop(&w->poll);
            uv_close((uv_handle_t *)&w->poll, on_closed);
        }
        return 0;
    }
    if (w == NULL) {
        if (sp_failed(sp_alloc(1, sizeof(*w), &w))) {
            return -1;
        }
        w->wires = wires;
        w->fd = fd;
        if (uv_poll_init_socket(&wires->courier->loop, &w->poll, fd) != 0) {
            sp_free(w);
            return -1;
        }
        w->poll.data = w;
        curl_multi_assign(wires->multi, fd, w);
    }
    int events = ((what & CURL_POLL_IN) != 0 ? UV_READABLE : 0) |
                 ((what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0);
    return uv_poll_start(&w->poll, events, on_poll) == 0 ? 0 : -1;
}

sp_err courier_wires_new(courier *of, courier_wires **ret_wires)
{
    courier_wires *wires = NULL;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return sp_fail(SP_EIO);
    }
    TRY(sp_alloc(1, sizeof(*wires), &wires));
    wires->courier = of;
    wires->multi = curl_multi_init();
    *ret_wires = wires;
    wires->timer.data = wires;
    bool good =
        wires->multi != NULL && uv_timer_init(&of->loop, &wires->timer) == 0 &&
        curl_multi_setopt(wires->multi, CURLMOPT_SOCKETFUNCTION, watch_socket) == CURLM_OK &&
        curl_multi_setopt(wires->multi, CURLMOPT_SOCKETDATA, wires) == CURLM_OK &&
        curl_multi_setopt(wires->multi, CURLMOPT_TIMERFUNCTION, set_timer) == CURLM_OK &&
        curl_multi_setopt(wires->multi, CURLMOPT_TIMERDATA, wires) == CURLM_OK &&
        curl_multi_setopt(wires->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)HOST_CONNECTIONS) ==
            CURLM_OK &&
        curl_multi_setopt(wires->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)TOTAL_CONNECTIONS) ==
            CURLM_OK;
    return good ? sp_ok() : sp_fail(SP_EIO);
}

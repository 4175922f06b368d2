/* SPDX-License-Identifier: Apache-2.0
 * The line to an office, by libcurl.
 * OWNS its handle, session and answers. PROCESS cli. TRUST the server is verified; answers are
 * bounded. SPEC cli/client.h.
 */
#include "cli/client.h"

#include "cli/args.h"
#include "cli/here.h"
#include "cli/session_file.h"
#include "cli/table.h"
#include "infra/proc/config.h"

#include <curl/curl.h>
#include <unistd.h>

enum {
    TIMEOUT_S = 120,
    SILENT_S = 60,
    CONNECT_TIMEOUT_S = 10,
    PAGES_MAX = 1000,
    EVENT_MAX_BYTES = 1 << 20
};

struct sp_client {
    CURL *curl;
    char *url;   /* "https://portal.example.com:8443"; "http://localhost" on the local socket */
    char *token; /* NULL = none */
    char *ca_pem;
    char *socket;   /* local socket, NULL = HTTPS */
    bool is_device; /* of this office: shown by these files */
    char cert[SP_PATH_BYTES];
    char key[SP_PATH_BYTES];
    sp_buf answer;
    unsigned status;
};

void sp_client_close(sp_client *client)
{
    if (client == NULL) {
        return;
    }
    curl_easy_cleanup(client->curl);
    if (client->token != NULL) {
        sp_wipe(client->token, sp_span_cstr(client->token).len);
    }
    sp_free(client->url);
    sp_free(client->token);
    sp_free(client->ca_pem);
    sp_free(client->socket);
    sp_buf_wipe(&client->answer);
    sp_buf_done(&client->answer);
    sp_free(client);
}

void sp_client_auto_(sp_client **client)
{
    sp_client_close(*client);
}

unsigned sp_client_status(const sp_client *client)
{
    return client->status;
}

const char *sp_client_url(const sp_client *client)
{
    return client->url;
}

static int failed(sp_err err)
{
    sp_complain("%s", sp_code_word(err.code));
    return SP_EXIT_FAILED;
}

/* ---- opening ---- */

static size_t on_body(char *bytes, size_t size, size_t count, void *self)
{
    sp_client *client = self;
    sp_buf_span(&client->answer, sp_span_of(bytes, size * count));
    return sp_failed(sp_buf_error(&client->answer)) ? 0 : size * count;
}

static sp_err make(sp_client **ret_client)
{
    sp_client *client = NULL;
    TRY(sp_alloc(1, sizeof(*client), &client));
    client->answer = sp_buf_make(SP_CLIENT_ANSWER_MAX_BYTES);
    client->curl = curl_global_init(CURL_GLOBAL_DEFAULT) == 0 ? curl_easy_init() : NULL;
    if (client->curl == NULL) {
        sp_client_close(client);
        return sp_fail(SP_ENOMEM);
    }
    curl_easy_setopt(client->curl, CURLOPT_COOKIEFILE, ""); /* keep cookies, for the sign-in */
    *ret_client = client;
    return sp_ok();
}

static bool is_https(const char *url)
{
    return sp_span_starts(sp_span_cstr(url), SP_SPAN_LIT("https://"));
}

int sp_client_open_url(const char *url, const char *ca_pem, sp_client **ret_client)
{
    if (!is_https(url)) {
        sp_complain("the address must begin with https://");
        return SP_EXIT_USAGE;
    }
    sp_span trimmed = sp_span_cstr(url);
    while (sp_span_ends(trimmed, SP_SPAN_LIT("/"))) {
        trimmed.len--;
    }
    auto_client sp_client *client = NULL;
    sp_err err = make(&client);
    if (!sp_failed(err)) {
        err = sp_strdup(trimmed, &client->url);
    }
    if (!sp_failed(err) && ca_pem != NULL) {
        err = sp_strdup(sp_span_cstr(ca_pem), &client->ca_pem);
    }
    client->is_device = !sp_failed(err) && sp_agent_device(client->url, client->cert, client->key);
    if (sp_failed(err)) {
        return failed(err);
    }
    *ret_client = SP_STEAL(client);
    return SP_EXIT_OK;
}

int sp_client_open(sp_client **ret_client)
{
    sp_session_file file = {0};
    sp_err err = sp_session_file_read(&file);
    if (sp_failed(err)) {
        sp_complain(err.code == SP_EDENIED
                        ? "the session file can be read by others: remove it and sign in again"
                        : "not signed in: sallyport login --url https://portal.example.com");
        return SP_EXIT_REFUSED;
    }
    int status = sp_client_open_url(file.url, file.ca_pem, ret_client);
    if (status == SP_EXIT_OK) {
        (*ret_client)->token = SP_STEAL(file.token);
    }
    sp_session_file_done(&file);
    return status;
}

int sp_client_open_local(const char *config_path, sp_client **ret_client)
{
    auto_diags sp_diags diags = {0};
    sp_config *config = NULL;
    const char *path = config_path != NULL ? config_path : "/etc/sallyport/sallyport.yaml";
    if (sp_failed(sp_config_load(path, &diags, &config))) {
        auto_buf sp_buf text = sp_buf_make(1 << 20);
        sp_diags_print(&diags, &text);
        fprintf(stderr, "%.*s", SP_SPAN_ARG(sp_buf_borrow(&text)));
        return SP_EXIT_INVALID;
    }
    auto_client sp_client *client = NULL;
    sp_err err = make(&client);
    if (!sp_failed(err)) {
        err = sp_strdup(SP_SPAN_LIT("http://localhost"), &client->url);
    }
    if (!sp_failed(err)) {
        err = sp_config_socket(config, "local", &client->socket);
    }
    sp_config_free(config);
    if (sp_failed(err)) {
        return failed(err);
    }
    if (access(client->socket, R_OK | W_OK) != 0) {
        sp_complain("%s cannot be opened: is the office running, and are you root?",
                    client->socket);
        return SP_EXIT_AWAY;
    }
    *ret_client = SP_STEAL(client);
    return SP_EXIT_OK;
}

/* ---- one call ---- */

static struct curl_slist *headers_of(const sp_client *client, bool has_body)
{
    struct curl_slist *list = curl_slist_append(NULL, "Accept: application/json");
    list = curl_slist_append(list, "X-Sallyport-Request: 1");
    if (has_body) {
        list = curl_slist_append(list, "Content-Type: application/json");
    }
    auto_buf sp_buf cookie = sp_buf_make(4096);
    auto_free char *line = NULL;
    if (client->token != NULL) {
        sp_buf_text(&cookie, "Cookie: __Host-sallyport=");
        sp_buf_text(&cookie, client->token);
        if (!sp_failed(sp_buf_take_cstr(&cookie, &line))) {
            list = curl_slist_append(list, line);
            sp_wipe(line, sp_span_cstr(line).len);
        }
    }
    return list;
}

static void set_trust(const sp_client *client)
{
    CURL *curl = client->curl;
    if (client->socket != NULL) {
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, client->socket);
        curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
        return;
    }
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (client->is_device) {
        curl_easy_setopt(curl, CURLOPT_SSLCERT, client->cert);
        curl_easy_setopt(curl, CURLOPT_SSLKEY, client->key);
        curl_easy_setopt(curl, CURLOPT_SSLKEYTYPE, "DER");
    }
    if (client->ca_pem != NULL) {
        struct curl_blob blob = {client->ca_pem, sp_span_cstr(client->ca_pem).len, CURL_BLOB_COPY};
        curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &blob);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL); /* none besides */
    }
}

/* timeout_s 0: as long as something comes once a minute. */
static int transfer(sp_client *client, const char *method, const char *url, const char *body,
                    curl_write_callback on_bytes, void *self, long timeout_s)
{
    CURL *curl = client->curl;
    /* not curl_easy_reset(): it forgets, without freeing, that cookies are kept */
    curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    sp_buf_reset(&client->answer);
    client->status = 0;
    set_trust(client);
    struct curl_slist *headers = headers_of(client, body != NULL);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "sallyport/" SP_VERSION);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, timeout_s);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, timeout_s == 0 ? 1L : 0L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, timeout_s == 0 ? (long)SILENT_S : 0L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, self);
    if (body != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    }
    CURLcode result = curl_easy_perform(curl);
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    client->status = status > 0 ? (unsigned)status : 0;
    if (result == CURLE_WRITE_ERROR && on_bytes != on_body) {
        return SP_EXIT_OK; /* the reader has had enough */
    }
    if (result != CURLE_OK) {
        sp_complain("%s: %s", client->url, curl_easy_strerror(result));
        if (result == CURLE_PEER_FAILED_VERIFICATION) {
            sp_complain("an office with its own authority is trusted by: sallyport login --url %s "
                        "--ca-sha256 HEX (the portal shows it under My devices)",
                        client->url);
        }
        return SP_EXIT_AWAY;
    }
    return SP_EXIT_OK;
}

static int perform(sp_client *client, const char *method, const char *url, const char *body)
{
    return transfer(client, method, url, body, on_body, client, TIMEOUT_S);
}

static int exit_of(unsigned status)
{
    if (status >= 200 && status < 300) {
        return SP_EXIT_OK;
    }
    if (status == 401 || status == 403) {
        return SP_EXIT_REFUSED;
    }
    if (status == 502 || status == 503 || status == 504) {
        return SP_EXIT_AWAY;
    }
    return status == 400 || status == 422 ? SP_EXIT_INVALID : SP_EXIT_FAILED;
}

int sp_client_try(sp_client *client, const char *method, const char *path, json_t *body,
                  json_t **ret_answer)
{
    bool is_get = sp_span_eq(sp_span_cstr(method), SP_SPAN_LIT("GET"));
    auto_buf sp_buf url = sp_buf_make(16 * 1024);
    auto_free char *url_text = NULL;
    sp_buf_text(&url, client->url);
    sp_buf_text(&url, path);
    *ret_answer = NULL;
    auto_wiped char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    json_decref(body);
    sp_err err = sp_buf_take_cstr(&url, &url_text);
    if (sp_failed(err)) {
        return failed(err);
    }
    int status = perform(client, method, url_text, text == NULL && !is_get ? "{}" : text);
    if (status != SP_EXIT_OK) {
        return status;
    }
    sp_span bytes = sp_buf_borrow(&client->answer);
    *ret_answer = json_loadb((const char *)bytes.ptr, bytes.len, 0, NULL);
    return exit_of(client->status);
}

static void print_problem(const sp_client *client, const json_t *problem)
{
    const char *code = sp_json_text(problem, "code");
    fputs("sallyport: ", stderr);
    if (problem == NULL) {
        fprintf(stderr, "the office answered %u\n", client->status);
        return;
    }
    sp_print_safe(stderr, sp_json_text(problem, "detail"));
    fprintf(stderr, " (");
    sp_print_safe(stderr, code);
    fprintf(stderr, ")\n");
    if (sp_span_eq(sp_span_cstr(code), SP_SPAN_LIT("step_up_required")) ||
        sp_span_eq(sp_span_cstr(code), SP_SPAN_LIT("signed_out"))) {
        fprintf(stderr, "sallyport: sign in again: sallyport login\n");
    }
    const json_t *errors = json_object_get(problem, "errors");
    for (size_t i = 0; i < json_array_size(errors); i++) {
        const json_t *error = json_array_get(errors, i);
        fputs("  ", stderr);
        sp_print_safe(stderr, sp_json_text(error, "field"));
        fputs(": ", stderr);
        sp_print_safe(stderr, sp_json_text(error, "message"));
        fputc('\n', stderr);
    }
}

int sp_client_call(sp_client *client, const char *method, const char *path, json_t *body,
                   json_t **ret_answer)
{
    int status = sp_client_try(client, method, path, body, ret_answer);
    if (status != SP_EXIT_OK && client->status != 0) {
        print_problem(client, *ret_answer);
        json_decref(*ret_answer);
        *ret_answer = NULL;
    }
    return status;
}

int sp_client_text(sp_client *client, const char *path, sp_span *ret_text)
{
    auto_buf sp_buf url = sp_buf_make(16 * 1024);
    auto_free char *url_text = NULL;
    sp_buf_text(&url, client->url);
    sp_buf_text(&url, path);
    sp_err err = sp_buf_take_cstr(&url, &url_text);
    if (sp_failed(err)) {
        return failed(err);
    }
    int status = perform(client, "GET", url_text, NULL);
    if (status != SP_EXIT_OK) {
        return status;
    }
    *ret_text = sp_buf_borrow(&client->answer);
    status = exit_of(client->status);
    if (status != SP_EXIT_OK) {
        json_t *problem = json_loadb((const char *)ret_text->ptr, ret_text->len, 0, NULL);
        print_problem(client, problem);
        json_decref(problem);
    }
    return status;
}

uint64_t sp_client_header(const sp_client *client, const char *name)
{
    struct curl_header *header = NULL;
    uint64_t number = 0;
    if (curl_easy_header(client->curl, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK ||
        sp_failed(sp_span_to_u64(sp_span_cstr(header->value), INT64_MAX, &number))) {
        return 0;
    }
    return number;
}

/* ---- following ---- */

typedef struct {
    sp_client *client;
    sp_on_event on_event;
    void *self;
    sp_buf text; /* what is not a whole event yet */
} following;

/* "event: NAME\ndata: {...}"; comments have neither. */
static bool tell_event(const following *f, sp_span event)
{
    sp_span line = SP_SPAN_EMPTY;
    sp_span data = SP_SPAN_EMPTY;
    char name[64] = "";
    while (sp_span_split(&event, '\n', &line)) {
        if (sp_span_starts(line, SP_SPAN_LIT("event: "))) {
            SP_IGNORE(sp_fit(name, sizeof(name), sp_span_slice(line, 7, line.len))); /* or "" */
        } else if (sp_span_starts(line, SP_SPAN_LIT("data: "))) {
            data = sp_span_slice(line, 6, line.len);
        }
    }
    if (name[0] == '\0' || data.len == 0) {
        return true;
    }
    json_t *body = json_loadb((const char *)data.ptr, data.len, 0, NULL);
    bool more = body == NULL || f->on_event(f->self, name, body);
    json_decref(body);
    return more;
}

static size_t on_stream(char *bytes, size_t size, size_t count, void *self)
{
    following *f = self;
    long status = 0;
    curl_easy_getinfo(f->client->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        return on_body(bytes, size, count, f->client);
    }
    sp_buf_span(&f->text, sp_span_of(bytes, size * count));
    bool more = !sp_failed(sp_buf_error(&f->text));
    for (;;) {
        sp_span text = sp_buf_borrow(&f->text);
        size_t end = sp_span_find(text, SP_SPAN_LIT("\n\n"));
        if (!more || end == text.len) {
            return more ? size * count : 0;
        }
        more = tell_event(f, sp_span_slice(text, 0, end));
        sp_buf_drop(&f->text, end + 2);
    }
}

int sp_client_follow(sp_client *client, const char *path, sp_on_event on_event, void *self)
{
    auto_buf sp_buf url = sp_buf_make(16 * 1024);
    auto_free char *url_text = NULL;
    following f = {client, on_event, self, sp_buf_make(EVENT_MAX_BYTES)};
    sp_buf_text(&url, client->url);
    sp_buf_text(&url, path);
    sp_err err = sp_buf_take_cstr(&url, &url_text);
    if (sp_failed(err)) {
        return failed(err);
    }
    int status = transfer(client, "GET", url_text, NULL, on_stream, &f, 0);
    sp_buf_done(&f.text);
    if (status == SP_EXIT_OK && client->status != 200) {
        sp_span bytes = sp_buf_borrow(&client->answer);
        json_t *problem = json_loadb((const char *)bytes.ptr, bytes.len, 0, NULL);
        print_problem(client, problem);
        json_decref(problem);
        status = exit_of(client->status);
    }
    return status;
}

/* ---- the session ---- */

char *sp_client_cookie(sp_client *client)
{
    struct curl_slist *cookies = NULL;
    char *value = NULL;
    curl_easy_getinfo(client->curl, CURLINFO_COOKIELIST, &cookies);
    for (const struct curl_slist *at = cookies; at != NULL; at = at->next) {
        sp_span rest = sp_span_cstr(at->data); /* host, flags ... name, value; by tabs */
        sp_span name = SP_SPAN_EMPTY;
        sp_span field = SP_SPAN_EMPTY;
        while (sp_span_split(&rest, '\t', &field)) {
            if (sp_span_eq(name, SP_SPAN_LIT("__Host-sallyport")) && value == NULL) {
                SP_IGNORE(sp_strdup(field, &value)); /* NULL stays NULL: told as no cookie */
            }
            name = field;
        }
    }
    curl_slist_free_all(cookies);
    return value;
}

int sp_client_keep(sp_client *client, const char *token)
{
    sp_session_file file = {.url = client->url, .ca_pem = client->ca_pem};
    sp_err err = sp_strdup(sp_span_cstr(token), &client->token);
    file.token = client->token;
    if (!sp_failed(err)) {
        err = sp_session_file_write(&file);
    }
    if (sp_failed(err)) {
        sp_complain("the session could not be kept: %s", sp_code_word(err.code));
        return SP_EXIT_FAILED;
    }
    return SP_EXIT_OK;
}

int sp_client_forget(void)
{
    sp_err err = sp_session_file_remove();
    return sp_failed(err) && err.code != SP_ENOTFOUND ? failed(err) : SP_EXIT_OK;
}

/* ---- for commands ---- */

static int take_page(sp_client *client, const char *path, const char *cursor, json_t *items,
                     char **ret_next)
{
    auto_buf sp_buf full = sp_buf_make(8192);
    auto_free char *text = NULL;
    bool has_query = sp_span_find(sp_span_cstr(path), SP_SPAN_LIT("?")) < sp_span_cstr(path).len;
    sp_buf_fmt(&full, "%s%climit=200", path, has_query ? '&' : '?');
    if (cursor != NULL) {
        sp_buf_text(&full, "&cursor=");
        sp_buf_percent(&full, sp_span_cstr(cursor));
    }
    if (sp_failed(sp_buf_take_cstr(&full, &text))) {
        return failed(sp_fail(SP_ENOMEM));
    }
    json_t *answer = NULL;
    int status = sp_client_call(client, "GET", text, NULL, &answer);
    if (status == SP_EXIT_OK) {
        json_array_extend(items, json_object_get(answer, "items"));
        const char *next = json_string_value(json_object_get(answer, "next"));
        if (next != NULL && sp_failed(sp_strdup(sp_span_cstr(next), ret_next))) {
            status = failed(sp_fail(SP_ENOMEM));
        }
    }
    json_decref(answer);
    return status;
}

int sp_client_list(sp_client *client, const char *path, json_t **ret_items)
{
    json_t *items = json_array();
    auto_free char *cursor = NULL;
    int status = SP_EXIT_OK;
    for (unsigned page = 0; page < PAGES_MAX && status == SP_EXIT_OK; page++) {
        char *next = NULL;
        status = take_page(client, path, cursor, items, &next);
        sp_free(cursor);
        cursor = next;
        if (next == NULL) {
            break;
        }
    }
    if (status != SP_EXIT_OK) {
        json_decref(items);
        return status;
    }
    *ret_items = items;
    return SP_EXIT_OK;
}

void sp_client_print(const json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    fputc('\n', stdout);
}

/* SPDX-License-Identifier: Apache-2.0
 * Notices: sending with values, previewing, secrets of channels, one's own channels.
 * OWNS nothing. PROCESS cli. TRUST answers hold names that other people chose; a secret comes from
 * standard input, never from the command line, and is wiped. SPEC docs/man/sallyport-notice.1.
 */
#include "cli/args.h"
#include "cli/ask.h"
#include "cli/handlers.h"
#include "cli/table.h"
#include "lib/base/mem.h"

#include <stdio.h>

enum { PATH_BYTES = 512 };

/* "name=value" words from the second on. NULL: a word was none, and it has been said. */
static json_t *values_of(const sp_given *given)
{
    json_t *values = json_object();
    for (size_t i = 1; i < given->words_count; i++) {
        sp_span word = sp_span_cstr(given->words[i]);
        size_t at = sp_span_index(word, '=');
        char name[64];
        if (at == 0 || at == word.len ||
            sp_failed(sp_fit(name, sizeof(name), sp_span_slice(word, 0, at)))) {
            sp_complain("'%s': NAME=VALUE is expected, as in service=Wiki", given->words[i]);
            json_decref(values);
            return NULL;
        }
        json_object_set_new(values, name, json_string(given->words[i] + at + 1));
    }
    return values;
}

/* NULL: it has been said what is wrong. */
static json_t *body_of(const sp_given *given)
{
    json_t *values = values_of(given);
    const char *audience = sp_given_value(given, "--audience");
    if (values == NULL) {
        return NULL;
    }
    json_t *body = json_pack("{s:s, s:o, s:b}", "notice", given->words[0], "values", values,
                             "drill", sp_given_value(given, "--drill") != NULL);
    if (audience != NULL) {
        json_object_set_new(body, "audience", json_string(audience));
    }
    return body;
}

static int post(const sp_given *given, const char *path, json_t *body, json_t **ret_answer)
{
    auto_client sp_client *client = NULL;
    if (body == NULL) {
        return SP_EXIT_USAGE;
    }
    int status = sp_ask_open(given, &client);
    if (status != SP_EXIT_OK) {
        json_decref(body);
        return status;
    }
    return sp_client_call(client, "POST", path, body, ret_answer);
}

int sp_notice_send(const sp_given *given)
{
    json_t *answer = NULL;
    int status = post(given, "/api/v1/admin/notices", body_of(given), &answer);
    if (status == SP_EXIT_OK && given->json) {
        sp_client_print(answer);
    } else if (status == SP_EXIT_OK) {
        sp_ask_say("notice {id} is under way to {audience}; 'sallyport notice show {id}' says how "
                   "far it is\n",
                   given, answer);
    }
    json_decref(answer);
    return status;
}

static void print_text(const json_t *answer, const char *language)
{
    const json_t *text = json_object_get(answer, language);
    printf("---- %s ----\n", language);
    sp_print_safe(stdout, sp_json_text(text, "title"));
    printf("\n\n");
    const char *rest = sp_json_text(text, "text");
    sp_span lines = sp_span_cstr(rest);
    sp_span line;
    while (sp_span_split(&lines, '\n', &line)) { /* line ends of its own stay */
        auto_free char *copy = NULL;
        if (!sp_failed(sp_strdup(line, &copy))) {
            sp_print_safe(stdout, copy);
        }
        printf("\n");
    }
    printf("\n");
}

int sp_notice_preview(const sp_given *given)
{
    json_t *answer = NULL;
    auto_buf sp_buf path = sp_buf_make(PATH_BYTES);
    const char *via = sp_given_value(given, "--via");
    sp_buf_text(&path, "/api/v1/admin/notices/preview?via=");
    sp_buf_percent(&path, sp_span_cstr(via == NULL ? "email" : via));
    sp_buf_byte(&path, 0);
    int status = post(given, (const char *)path.ptr, body_of(given), &answer);
    if (status == SP_EXIT_OK && given->json) {
        sp_client_print(answer);
    } else if (status == SP_EXIT_OK) {
        print_text(answer, "en");
        print_text(answer, "zh");
    }
    json_decref(answer);
    return status;
}

int sp_notice_unreached(const sp_given *given)
{
    auto_client sp_client *client = NULL;
    auto_buf sp_buf path = sp_buf_make(PATH_BYTES);
    json_t *items = NULL;
    sp_buf_text(&path, "/api/v1/admin/notices/");
    sp_buf_percent(&path, sp_span_cstr(given->words[0]));
    sp_buf_text(&path, "/people?state=");
    sp_buf_text(&path, sp_same(given->command->word, "unreached") ? "not_reached" : "");
    sp_buf_byte(&path, 0);
    int status = sp_ask_open(given, &client);
    if (status == SP_EXIT_OK) {
        status = sp_client_list(client, (const char *)path.ptr, &items);
    }
    if (status == SP_EXIT_OK && given->json) {
        sp_client_print(items);
    } else if (status == SP_EXIT_OK) {
        sp_ask_rows(given->command->ask.columns, items);
    }
    json_decref(items);
    return status;
}

const char *sp_notice_who(const json_t *row)
{
    static char text[128];
    const char *person = json_string_value(json_object_get(row, "person"));
    const char *channel = json_string_value(json_object_get(row, "post"));
    snprintf(text, sizeof(text), "%s%s", person != NULL ? person : "post to ",
             person != NULL || channel == NULL ? "" : channel);
    return text;
}

/* ---- secrets ---- */

/* "channel/token" or "channel/secret" */
static bool is_secret(sp_span name)
{
    size_t slash = sp_span_index(name, '/');
    sp_span part = sp_span_slice(name, slash + 1, name.len);
    return slash > 0 &&
           (sp_span_eq(part, SP_SPAN_LIT("token")) || sp_span_eq(part, SP_SPAN_LIT("secret")));
}

int sp_notice_secret(const sp_given *given)
{
    auto_client sp_client *client = NULL;
    auto_secret sp_secret value = {0};
    auto_buf sp_buf path = sp_buf_make(PATH_BYTES);
    json_t *answer = NULL;
    bool set = sp_same(given->words[0], "set");
    sp_span name = sp_span_cstr(given->words_count == 2 ? given->words[1] : "");
    if ((!set && !sp_same(given->words[0], "remove")) || !is_secret(name)) {
        sp_complain("%s secret: 'set' or 'remove' and NAME/token or NAME/secret is expected",
                    given->command->of);
        return SP_EXIT_USAGE;
    }
    int status = set ? sp_read_secret(&value) : SP_EXIT_OK;
    if (status == SP_EXIT_OK) {
        status = sp_ask_open(given, &client);
    }
    if (status != SP_EXIT_OK) {
        return status;
    }
    size_t slash = sp_span_index(name, '/');
    bool sink = sp_same(given->command->of, "sink");
    sp_buf_fmt(&path, "/api/v1/admin/%s/", sink ? "sinks" : "channels");
    sp_buf_percent(&path, sp_span_slice(name, 0, slash));
    sp_buf_fmt(&path, "/secrets/%s", given->words[1] + slash + 1);
    sp_buf_byte(&path, 0);
    json_t *body = set ? json_pack("{s:s%}", "value", (const char *)value.bytes, value.len) : NULL;
    status = sp_client_call(client, set ? "PUT" : "DELETE", (const char *)path.ptr, body, &answer);
    if (status == SP_EXIT_OK) {
        printf("%s\n", set ? "the vault keeps it" : "the vault has forgotten it");
    }
    json_decref(answer);
    return status;
}

/* ---- one's own channels ---- */

static json_t *wishes_of(const sp_given *given)
{
    json_t *channels = json_array();
    for (size_t i = 0; i < given->words_count; i++) {
        sp_span word = sp_span_cstr(given->words[i]);
        size_t at = sp_span_index(word, '=');
        json_array_append_new(channels,
                              json_pack("{s:s%, s:s}", "channel", (const char *)word.ptr, at, "id",
                                        at < word.len ? given->words[i] + at + 1 : ""));
    }
    return json_pack("{s:o}", "channels", channels);
}

int sp_notice_reach(const sp_given *given)
{
    auto_client sp_client *client = NULL;
    json_t *answer = NULL;
    bool change = given->words_count > 0;
    int status = sp_client_open(&client);
    if (status == SP_EXIT_OK) {
        status = sp_client_call(client, change ? "PUT" : "GET", "/api/v1/me/reach",
                                change ? wishes_of(given) : NULL, &answer);
    }
    if (status == SP_EXIT_OK && given->json) {
        sp_client_print(answer);
    } else if (status == SP_EXIT_OK) {
        sp_ask_say("mail: {mail}\n", given, answer);
        sp_ask_rows(given->command->ask.columns, json_object_get(answer, "channels"));
    }
    json_decref(answer);
    return status;
}

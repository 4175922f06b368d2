/* SPDX-License-Identifier: Apache-2.0
 * Passwords of database accounts on their way into the vault.
 * OWNS nothing. PROCESS cli. TRUST a password comes from standard input or the terminal, never from
 * the command line; it is wiped. SPEC docs/man/sallyport-db.1.
 */
#include "cli/args.h"
#include "cli/ask.h"
#include "cli/handlers.h"
#include "cli/table.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <unistd.h>

enum { PASSWORD_MAX_BYTES = 200 };
#define CREDENTIALS "/api/v1/admin/databases/credentials"

/* Standard input to its end, without a last line break. */
int sp_read_secret(sp_secret *ret_password)
{
    uint8_t bytes[PASSWORD_MAX_BYTES + 2];
    size_t len = 0;
    ssize_t got = 0;
    while (len < sizeof(bytes) &&
           (got = read(STDIN_FILENO, bytes + len, sizeof(bytes) - len)) > 0) {
        len += (size_t)got;
    }
    while (len > 0 && (bytes[len - 1] == '\n' || bytes[len - 1] == '\r')) {
        len--;
    }
    sp_err err = len == 0 || len > PASSWORD_MAX_BYTES
                     ? sp_fail(SP_EINVALID)
                     : sp_secret_set(ret_password, sp_span_of(bytes, len));
    sp_wipe(bytes, sizeof(bytes));
    if (sp_failed(err)) {
        sp_complain("standard input: a password of 1 to %d characters is expected",
                    PASSWORD_MAX_BYTES);
        return SP_EXIT_USAGE;
    }
    return SP_EXIT_OK;
}

/* ---- asking ---- */

typedef struct {
    const char *word;
    const char *method;
    bool named; /* about one account */
    const char *done;
} verb;

static const verb VERBS[] = {
    {"list", "GET", false, NULL},
    {"set", "PUT", true,
     "The vault keeps the password of {name}. For the database, by its owner:\n\n"
     "    ALTER ROLE ... PASSWORD '{scram}';\n"},
    {"key", "PUT", true,
     "The vault keeps the key of {name}. For the server, into the file that ssl_ca_file names, "
     "with\n"
     "a line in pg_hba.conf: hostssl DATABASE ACCOUNT GATE/32 cert\n\n{authority}"},
    {"remove", "DELETE", true, "the password is forgotten"},
};

static int list(const sp_given *given, sp_client *client)
{
    json_t *items = NULL;
    int status = sp_client_list(client, CREDENTIALS, &items);
    if (status == SP_EXIT_OK && given->json) {
        sp_client_print(items);
    } else if (status == SP_EXIT_OK) {
        sp_ask_rows(given->command->ask.columns, items);
    }
    json_decref(items);
    return status;
}

/* The reference on body is taken. */
static int change(const sp_given *given, sp_client *client, const verb *v, json_t *body)
{
    auto_buf sp_buf path = sp_buf_make(512);
    json_t *answer = NULL;
    sp_buf_fmt(&path, CREDENTIALS "/%s", given->words[1]);
    sp_buf_byte(&path, 0);
    if (sp_failed(sp_buf_error(&path))) {
        json_decref(body);
        return SP_EXIT_USAGE;
    }
    int status = sp_client_call(client, v->method, (const char *)path.ptr, body, &answer);
    if (status == SP_EXIT_OK && given->json && answer != NULL) {
        sp_client_print(answer);
    } else if (status == SP_EXIT_OK && !given->json) {
        sp_ask_say(v->done, given, answer);
    }
    json_decref(answer);
    return status;
}

/* "resource/account", in letters that a path takes as they are. */
bool sp_is_credential(const char *word)
{
    sp_span name = sp_span_cstr(word);
    size_t slash = sp_span_index(name, '/');
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '_' || c == '-' || c == '.' || (c == '/' && i == slash);
        if (!plain) {
            return false;
        }
    }
    return slash > 0 && slash + 1 < name.len;
}

/* The body of "set": {} lets the vault make a password; that of "key". */
static int body_of(const sp_given *given, const verb *v, json_t **ret_body)
{
    auto_secret sp_secret password = {0};
    int status = SP_EXIT_OK;
    if (sp_same(v->word, "key")) {
        *ret_body = json_pack("{s:b}", "certificate", 1);
        return SP_EXIT_OK;
    }
    bool given_here = sp_same(v->word, "set") && sp_given_value(given, "--generate") == NULL;
    if (given_here && isatty(STDIN_FILENO) == 1) {
        sp_complain("give the password on standard input, or --generate: the vault makes one that "
                    "nobody sees");
        return SP_EXIT_USAGE;
    }
    if (given_here) {
        status = sp_read_secret(&password);
    }
    *ret_body = password.len == 0
                    ? json_object()
                    : json_pack("{s:s%}", "password", (const char *)password.bytes, password.len);
    return status;
}

static const verb *verb_of(const sp_given *given)
{
    for (size_t i = 0; i < SP_COUNT(VERBS); i++) {
        if (given->words_count > 0 && sp_same(given->words[0], VERBS[i].word)) {
            return &VERBS[i];
        }
    }
    return NULL;
}

int sp_db_credential(const sp_given *given)
{
    auto_client sp_client *client = NULL;
    json_t *body = NULL;
    const verb *v = verb_of(given);
    if (v == NULL || given->words_count != (v->named ? 2 : 1)) {
        sp_complain(
            "db credential: 'list', or 'set', 'key' or 'remove' and RESOURCE/ACCOUNT is expected");
        return SP_EXIT_USAGE;
    }
    if (v->named && !sp_is_credential(given->words[1])) {
        sp_complain("'%s': RESOURCE/ACCOUNT is expected, as in orders-db/op_dba", given->words[1]);
        return SP_EXIT_USAGE;
    }
    int status = v->named ? body_of(given, v, &body) : SP_EXIT_OK;
    if (status == SP_EXIT_OK) {
        status = sp_client_open(&client);
    }
    if (status != SP_EXIT_OK) {
        json_decref(body);
        return status;
    }
    return v->named ? change(given, client, v, body) : list(given, client);
}

/* SPDX-License-Identifier: Apache-2.0
 * Keys and passwords of accounts on machines behind the SSH gate, on their way into the vault.
 * OWNS nothing. PROCESS cli. TRUST they come from standard input, never from the command line, and
 * are wiped. SPEC docs/man/sallyport-ssh.1.
 */
#include "cli/args.h"
#include "cli/ask.h"
#include "cli/handlers.h"
#include "lib/base/mem.h"

#include <unistd.h>

enum { KEY_MAX_BYTES = 8 * 1024 };

/* The reference on body is taken. */
static int change(const sp_given *given, const char *method, const char *what, json_t *body,
                  const char *done)
{
    auto_client sp_client *client = NULL;
    auto_buf sp_buf path = sp_buf_make(512);
    json_t *answer = NULL;
    sp_buf_fmt(&path, "/api/v1/admin/ssh/%s/%s", what, given->words[0]);
    sp_buf_byte(&path, 0);
    int status = sp_failed(sp_buf_error(&path)) ? SP_EXIT_USAGE : sp_client_open(&client);
    if (status != SP_EXIT_OK) {
        json_decref(body);
        return status;
    }
    status = sp_client_call(client, method, (const char *)path.ptr, body, &answer);
    if (status == SP_EXIT_OK && given->json && answer != NULL) {
        sp_client_print(answer);
    } else if (status == SP_EXIT_OK && !given->json) {
        sp_ask_say(done, given, answer);
    }
    json_decref(answer);
    return status;
}

static bool is_named(const sp_given *given)
{
    bool well = sp_is_credential(given->words[0]);
    if (!well) {
        sp_complain("'%s': RESOURCE/ACCOUNT is expected, as in old-host/ops", given->words[0]);
    }
    return well;
}

int sp_ssh_account_password(const sp_given *given)
{
    auto_secret sp_secret password = {0};
    if (!is_named(given)) {
        return SP_EXIT_USAGE;
    }
    if (isatty(STDIN_FILENO) == 1) {
        sp_complain("give the password on standard input");
        return SP_EXIT_USAGE;
    }
    int status = sp_read_secret(&password);
    return status != SP_EXIT_OK
               ? status
               : change(given, "PUT", "credentials",
                        json_pack("{s:s%}", "password", (const char *)password.bytes, password.len),
                        "the vault keeps the password of {1}");
}

/* The private key on standard input. */
static json_t *read_key(void)
{
    uint8_t bytes[KEY_MAX_BYTES + 1];
    size_t len = 0;
    ssize_t got = 0;
    while (len < sizeof(bytes) &&
           (got = read(STDIN_FILENO, bytes + len, sizeof(bytes) - len)) > 0) {
        len += (size_t)got;
    }
    sp_span text = sp_span_of(bytes, len);
    bool is_key = len <= KEY_MAX_BYTES && sp_span_find(text, SP_SPAN_LIT("PRIVATE KEY-----")) < len;
    json_t *body = is_key ? json_pack("{s:s%}", "key", (const char *)bytes, len) : NULL;
    sp_wipe(bytes, sizeof(bytes));
    return body;
}

int sp_ssh_account_key(const sp_given *given)
{
    bool made = sp_given_value(given, "--generate") != NULL;
    if (!is_named(given)) {
        return SP_EXIT_USAGE;
    }
    if (!made && isatty(STDIN_FILENO) == 1) {
        sp_complain("give the private key on standard input, or --generate: the vault makes one "
                    "that nobody sees");
        return SP_EXIT_USAGE;
    }
    json_t *body = made ? json_object() : read_key();
    if (body == NULL) {
        sp_complain("standard input: a private key without passphrase is expected, as ssh-keygen "
                    "writes it, of at most %d bytes",
                    KEY_MAX_BYTES);
        return SP_EXIT_USAGE;
    }
    return change(given, "PUT", "keys", body,
                  "The vault keeps the key of {name}, {fingerprint}. For the account's "
                  "authorized_keys on the machine:\n\n    {public} sallyport\n");
}

int sp_ssh_account_remove(const sp_given *given)
{
    return is_named(given) ? change(given, "DELETE", "credentials", NULL, "{1} is forgotten")
                           : SP_EXIT_USAGE;
}

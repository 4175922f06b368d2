/* SPDX-License-Identifier: Apache-2.0
 * login, logout, status.
 * OWNS nothing. PROCESS cli. TRUST the server is verified; passwords are read without echo and
 * wiped. SPEC docs/man/sallyport-login.1.
 */
#include "cli/args.h"
#include "cli/ask.h"
#include "cli/handlers.h"
#include "cli/session_file.h"
#include "cli/table.h"
#include "infra/proc/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <termios.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 1024, CA_MAX_BYTES = 64 * 1024, INTERVAL_MAX_S = 60 };

/* ---- asking on the terminal ---- */

static sp_err read_line(int tty, sp_secret *ret_line)
{
    uint8_t bytes[SP_SECRET_MAX];
    size_t len = 0;
    uint8_t c = 0;
    while (len < sizeof(bytes) && read(tty, &c, 1) == 1 && c != '\n' && c != '\r') {
        bytes[len++] = c;
    }
    sp_err err = sp_secret_set(ret_line, sp_span_of(bytes, len));
    sp_wipe(bytes, sizeof(bytes));
    return err;
}

static sp_err ask(const char *prompt, bool echo, sp_secret *ret_line)
{
    auto_close int tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
    struct termios before;
    if (tty < 0 || tcgetattr(tty, &before) != 0) {
        return sp_fail(SP_EIO);
    }
    struct termios quiet = before;
    if (!echo) {
        quiet.c_lflag &= ~(tcflag_t)ECHO;
    }
    tcsetattr(tty, TCSAFLUSH, &quiet); /* before the prompt: what is typed at once is not shown */
    sp_err err = sp_write_all(tty, sp_span_cstr(prompt));
    if (!sp_failed(err)) {
        err = read_line(tty, ret_line);
    }
    tcsetattr(tty, TCSAFLUSH, &before);
    if (!echo) {
        SP_IGNORE(sp_write_all(tty, SP_SPAN_LIT("\n"))); /* looks only */
    }
    return err;
}

static json_t *text_of(const sp_secret *secret)
{
    return json_stringn((const char *)secret->bytes, secret->len);
}

/* ---- login by code ---- */

static int poll_code(sp_client *client, const char *poll_token, unsigned interval_s,
                     json_t **ret_answer)
{
    for (;;) {
        sleep(interval_s);
        int status = sp_client_call(client, "POST", "/api/v1/cli/login/poll",
                                    json_pack("{s:s}", "poll_token", poll_token), ret_answer);
        if (status != SP_EXIT_OK || sp_client_status(client) == 200) {
            return status;
        }
        json_decref(*ret_answer);
    }
}

static int login_by_code(sp_client *client)
{
    struct utsname host;
    auto_buf sp_buf name = sp_buf_make(256);
    sp_buf_fmt(&name, "sallyport " SP_VERSION " on %.40s",
               uname(&host) == 0 ? host.nodename : "a computer");
    json_t *start = NULL;
    int status = sp_client_call(client, "POST", "/api/v1/cli/login",
                                json_pack("{s:s%}", "client", name.ptr, name.len), &start);
    if (status != SP_EXIT_OK) {
        return status;
    }
    json_int_t wanted_s = json_integer_value(json_object_get(start, "interval_s"));
    unsigned interval_s = wanted_s < 1 || wanted_s > INTERVAL_MAX_S ? 2 : (unsigned)wanted_s;
    printf("Open this page in a browser where you are signed in, compare the code, and confirm:\n\n"
           "    ");
    sp_print_safe(stdout, sp_json_text(start, "verify_url"));
    printf("\n    code ");
    sp_print_safe(stdout, sp_json_text(start, "user_code"));
    printf("\n\nWaiting ...\n");
    fflush(stdout);
    json_t *answer = NULL;
    status = poll_code(client, sp_json_text(start, "poll_token"), interval_s, &answer);
    json_decref(start);
    if (status == SP_EXIT_OK) {
        status = sp_client_keep(client, sp_json_text(answer, "token"));
    }
    if (status == SP_EXIT_OK) {
        printf("Signed in as ");
        sp_print_safe(stdout, sp_json_text(answer, "session.person.name"));
        printf(".\n");
    }
    json_decref(answer);
    return status;
}

/* ---- login by password and one-time code ---- */

static int password_steps(sp_client *client, const char *flow, const sp_secret *password,
                          const sp_secret *code)
{
    json_t *answer = NULL;
    json_t *body = json_pack("{s:s,s:o}", "flow", flow, "password", text_of(password));
    int status = sp_client_call(client, "POST", "/api/v1/sign-in/password", body, &answer);
    auto_free char *next = NULL;
    if (status != SP_EXIT_OK ||
        sp_failed(sp_strdup(sp_span_cstr(sp_json_text(answer, "flow")), &next))) {
        json_decref(answer);
        return status != SP_EXIT_OK ? status : SP_EXIT_FAILED;
    }
    json_decref(answer);
    body = json_pack("{s:s,s:o}", "flow", next, "code", text_of(code));
    status = sp_client_call(client, "POST", "/api/v1/sign-in/totp", body, &answer);
    json_decref(answer);
    return status;
}

static int sign_in_password(sp_client *client, const char *person, const sp_secret *password,
                            const sp_secret *code)
{
    json_t *start = NULL;
    int status = sp_client_call(client, "POST", "/api/v1/sign-in/start",
                                json_pack("{s:s}", "name", person), &start);
    if (status == SP_EXIT_OK) {
        status = password_steps(client, sp_json_text(start, "flow"), password, code);
    }
    json_decref(start);
    if (status != SP_EXIT_OK) {
        return status;
    }
    auto_free char *token = sp_client_cookie(client);
    if (token == NULL) {
        sp_complain("the office sent no session");
        return SP_EXIT_FAILED;
    }
    status = sp_client_keep(client, token);
    sp_wipe(token, sp_span_cstr(token).len);
    if (status == SP_EXIT_OK) {
        printf("Signed in as %s.\n", person);
    }
    return status;
}

static int login_by_password(sp_client *client, const char *person)
{
    auto_secret sp_secret password = {0};
    auto_secret sp_secret code = {0};
    if (sp_failed(ask("Password: ", false, &password)) ||
        sp_failed(ask("One-time code: ", true, &code))) {
        sp_complain("there is no terminal to ask for the password on");
        return SP_EXIT_FAILED;
    }
    return sign_in_password(client, person, &password, &code);
}

/* ---- login ---- */

static int read_ca(const char *path, char **ret_pem)
{
    auto_buf sp_buf pem = sp_buf_make(CA_MAX_BYTES);
    sp_err err = sp_file_read(path, &pem);
    if (!sp_failed(err)) {
        err = sp_buf_take_cstr(&pem, ret_pem);
    }
    if (sp_failed(err)) {
        sp_complain("%s: %s", path, sp_code_word(err.code));
        return SP_EXIT_USAGE;
    }
    return SP_EXIT_OK;
}

static int read_trust(const char *url, const char *file, const char *sha256, char **ca_pem)
{
    char *given = NULL;
    int status = SP_EXIT_OK;
    if (file != NULL) {
        status = read_ca(file, &given);
    } else if (sha256 != NULL) {
        status = sp_client_pin(url, sha256, &given);
    }
    if (given != NULL) {
        sp_free(*ca_pem);
        *ca_pem = given;
    }
    return status;
}

int sp_login(const sp_given *given)
{
    const char *url = sp_given_value(given, "--url");
    const char *ca_file = sp_given_value(given, "--ca");
    const char *ca_sha256 = sp_given_value(given, "--ca-sha256");
    const char *person = sp_given_value(given, "--person");
    sp_session_file last = {0};
    auto_free char *ca_pem = NULL;
    int status = SP_EXIT_OK;
    if (url == NULL && sp_failed(sp_session_file_read(&last))) {
        sp_complain("say where: sallyport login --url https://portal.example.com");
        status = SP_EXIT_USAGE;
    } else if (url == NULL) { /* what was signed in to before is the default */
        url = last.url;
        ca_pem = SP_STEAL(last.ca_pem);
    }
    if (status == SP_EXIT_OK) {
        status = read_trust(url, ca_file, ca_sha256, &ca_pem);
    }
    auto_client sp_client *client = NULL;
    if (status == SP_EXIT_OK) {
        status = sp_client_open_url(url, ca_pem, &client);
    }
    if (status == SP_EXIT_OK) {
        status = person != NULL ? login_by_password(client, person) : login_by_code(client);
    }
    if (status == SP_EXIT_OK) {
        sp_ssh_after_login(client);
    }
    sp_session_file_done(&last);
    return status;
}

int sp_logout(const sp_given *given)
{
    (void)given;
    auto_client sp_client *client = NULL;
    json_t *answer = NULL;
    int status = sp_client_open(&client);
    if (status != SP_EXIT_OK) {
        return status;
    }
    status = sp_client_try(client, "POST", "/api/v1/sign-out", NULL, &answer);
    json_decref(answer);
    status = sp_client_status(client) == 401 ? SP_EXIT_OK : status; /* it had ended */
    int forgotten = sp_client_forget();
    sp_ssh_after_logout();
    return status == SP_EXIT_OK ? forgotten : status;
}

/* ---- status ---- */

static void print_roles(const json_t *health)
{
    static const sp_column columns[] = {{"ROLE", "name", NULL},
                                        {"STATE", "state", NULL},
                                        {"", "message", NULL},
                                        {NULL, NULL, NULL}};
    sp_ask_rows(columns, json_object_get(health, "roles"));
}

static int status_local(const char *config, bool json)
{
    auto_client sp_client *client = NULL;
    json_t *health = NULL;
    int status = sp_client_open_local(config, &client);
    if (status == SP_EXIT_OK) {
        status = sp_client_call(client, "GET", "/api/v1/admin/health", NULL, &health);
    }
    if (status == SP_EXIT_OK && json) {
        sp_client_print(health);
    } else if (status == SP_EXIT_OK) {
        print_roles(health);
    }
    json_decref(health);
    return status;
}

static void print_me(const sp_client *client, const json_t *me)
{
    printf("office   ");
    sp_print_safe(stdout, sp_json_text(me, "office.name"));
    printf("  %s\nperson   ", sp_client_url(client));
    sp_print_safe(stdout, sp_json_text(me, "person.name"));
    printf("  (");
    sp_print_safe(stdout, sp_json_text(me, "session.strength"));
    printf(")\nsession  until %s UTC\n", sp_short_time(sp_json_text(me, "session.expires_at")));
}

static int status_signed_in(bool json)
{
    auto_client sp_client *client = NULL;
    json_t *me = NULL;
    json_t *health = NULL;
    int status = sp_client_open(&client);
    if (status == SP_EXIT_OK) {
        status = sp_client_call(client, "GET", "/api/v1/me", NULL, &me);
    }
    bool admin = json_is_true(json_object_get(json_object_get(me, "admin"), "system")) ||
                 json_is_true(json_object_get(json_object_get(me, "admin"), "security")) ||
                 json_is_true(json_object_get(json_object_get(me, "admin"), "audit"));
    if (status == SP_EXIT_OK && admin) {
        status = sp_client_call(client, "GET", "/api/v1/admin/health", NULL, &health);
    }
    if (status == SP_EXIT_OK && json) {
        json_t *both = json_pack("{s:O,s:O?}", "me", me, "health", health);
        sp_client_print(both);
        json_decref(both);
    } else if (status == SP_EXIT_OK) {
        print_me(client, me);
        if (health != NULL) {
            printf("\n");
            print_roles(health);
        }
    }
    json_decref(me);
    json_decref(health);
    return status;
}

int sp_status(const sp_given *given)
{
    const char *config = sp_given_value(given, "-c");
    bool local = sp_given_value(given, "--local") != NULL || config != NULL;
    return local ? status_local(config, given->json) : status_signed_in(given->json);
}

/* SPDX-License-Identifier: Apache-2.0
 * The files that OpenSSH is given.
 * OWNS nothing. PROCESS cli. TRUST cli/ssh_files.h. SPEC ssh_config(5), RFC 5656 3.1, RFC 7468.
 */
#include "cli/ssh_files.h"

#include "cli/args.h"
#include "cli/table.h"
#include "infra/crypto/pkey.h"
#include "infra/crypto/random.h"
#include "infra/proc/clock.h"
#include "infra/proc/file.h"
#include "lib/ssh/key.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    STATE_MAX_BYTES = 64 * 1024,
    CONFIG_MAX_BYTES = 1 << 20,
    KEY_MAX_BYTES = 8 * 1024,
    PEM_COLUMNS = 64,
    SPARE_S = 600,  /* a certificate that ends sooner is replaced */
    TIME_CHARS = 19 /* "2026-03-01T08:00:00" */
};
#define ME "/api/v1/me/ssh"
#define PKCS8 "PRIVATE KEY" /* RFC 7468, 10 */

static bool path_in(char to[SP_PATH_BYTES], const char *dir, const char *name)
{
    int len = snprintf(to, SP_PATH_BYTES, "%s/%s", dir, name);
    return len > 0 && len < SP_PATH_BYTES;
}

/* What quotes cannot hold in ssh_config. */
static bool is_plain_path(const char *path)
{
    return strpbrk(path, "\"'\\%\n\r\t$") == NULL;
}

bool sp_ssh_files_find(sp_ssh_files *f)
{
    char dir[SP_PATH_BYTES];
    bool found =
        sp_agent_dir(dir) && path_in(f->dir, dir, "ssh") && path_in(f->identity, f->dir, "id") &&
        path_in(f->config, f->dir, "config") && path_in(f->public_key, f->dir, "id.pub") &&
        path_in(f->certificate, f->dir, "id-cert.pub") &&
        path_in(f->known_hosts, f->dir, "known_hosts") && path_in(f->state, f->dir, "state.json");
    if (!found) {
        sp_complain("there is no home folder to keep SSH's files in");
    } else if (!is_plain_path(f->dir)) {
        sp_complain("%s: ssh cannot be told a path with such letters", f->dir);
        found = false;
    }
    return found;
}

static json_t *read_state(const sp_ssh_files *f)
{
    auto_buf sp_buf text = sp_buf_make(STATE_MAX_BYTES);
    if (sp_failed(sp_file_read(f->state, &text))) {
        return NULL;
    }
    sp_span bytes = sp_buf_borrow(&text);
    return json_loadb((const char *)bytes.ptr, bytes.len, 0, NULL);
}

/* Times of one form are in order as texts. */
static bool lasts(const char *until)
{
    auto_buf sp_buf soon = sp_buf_make(64);
    sp_buf_time(&soon, sp_now_unix_us() + (uint64_t)SPARE_S * 1000000);
    sp_span at = sp_span_slice(sp_buf_borrow(&soon), 0, TIME_CHARS);
    return sp_span_compare(sp_span_slice(sp_span_cstr(until), 0, TIME_CHARS), at) > 0;
}

/* Whether this computer is a device of that office, with its key in a file. */
static bool is_device(const char *url)
{
    char cert[SP_PATH_BYTES];
    char key[SP_PATH_BYTES];
    return sp_agent_device(url, cert, key) && access(key, R_OK) == 0;
}

/* A certificate from before this computer became a device does not show the device. */
bool sp_ssh_files_fresh(const sp_ssh_files *f, const char *url)
{
    json_t *state = read_state(f);
    bool fresh = state != NULL && sp_same(sp_json_text(state, "url"), url) &&
                 json_is_true(json_object_get(state, "device")) == is_device(url) &&
                 lasts(sp_json_text(state, "expires_at")) && access(f->config, R_OK) == 0;
    json_decref(state);
    return fresh;
}

void sp_ssh_files_user(const sp_ssh_files *f, char ret_user[SP_PATH_BYTES])
{
    json_t *state = read_state(f);
    snprintf(ret_user, SP_PATH_BYTES, "%s", sp_json_text(state, "user"));
    json_decref(state);
}

void sp_ssh_files_forget(const sp_ssh_files *f)
{
    unlink(f->certificate);
    unlink(f->state);
}

bool sp_ssh_files_know(const sp_ssh_files *f, const char *name)
{
    json_t *state = read_state(f);
    const json_t *names = json_object_get(state, "machines");
    bool known = false;
    for (size_t i = 0; i < json_array_size(names) && !known; i++) {
        const char *one = json_string_value(json_array_get(names, i));
        known = one != NULL && sp_same(one, name);
    }
    json_decref(state);
    return known;
}

/* ---- the key ---- */

static sp_err make_dirs(const sp_ssh_files *f)
{
    char path[SP_PATH_BYTES];
    TRY(sp_fit(path, sizeof(path), sp_span_cstr(f->dir)));
    for (char *at = path + 1; *at != '\0'; at++) {
        if (*at == '/') {
            *at = '\0';
            sp_err err = sp_dir_make(path, 0700);
            *at = '/';
            TRY(err);
        }
    }
    return sp_dir_make(path, 0700);
}

static sp_err write_pem(const char *path, sp_span der)
{
    auto_buf sp_buf base64 = sp_buf_make(KEY_MAX_BYTES);
    auto_buf sp_buf pem = sp_buf_make(KEY_MAX_BYTES);
    sp_buf_room(&base64, KEY_MAX_BYTES); /* grown once: no copy is left behind */
    sp_buf_room(&pem, KEY_MAX_BYTES);
    sp_buf_base64(&base64, der);
    sp_span text = sp_buf_borrow(&base64);
    sp_buf_text(&pem, "-----BEGIN " PKCS8 "-----\n");
    for (size_t at = 0; at < text.len; at += PEM_COLUMNS) {
        sp_buf_span(&pem, sp_span_slice(text, at, at + PEM_COLUMNS));
        sp_buf_byte(&pem, '\n');
    }
    sp_buf_text(&pem, "-----END " PKCS8 "-----\n");
    sp_err err = sp_buf_error(&pem);
    if (!sp_failed(err)) {
        err = sp_file_replace(path, 0600, sp_buf_borrow(&pem));
    }
    sp_buf_wipe(&base64);
    sp_buf_wipe(&pem);
    return err;
}

/* The device's key, when this computer is a device whose key is a file. */
static sp_err read_device(const char *url, sp_buf *der)
{
    char key[SP_PATH_BYTES];
    char cert[SP_PATH_BYTES];
    return sp_agent_device(url, cert, key) ? sp_file_read(key, der) : sp_fail(SP_ENOTFOUND);
}

static sp_err own_key(const sp_ssh_files *f, sp_pkey **ret_key)
{
    auto_buf sp_buf text = sp_buf_make(KEY_MAX_BYTES);
    sp_err err = sp_file_read(f->identity, &text);
    if (!sp_failed(err)) {
        err = sp_pkey_of_pem(sp_buf_borrow(&text), ret_key);
    }
    sp_buf_wipe(&text);
    return sp_failed(err) ? sp_pkey_new_p256(ret_key) : err;
}

static sp_err take_key(const sp_ssh_files *f, const char *url, sp_pkey **ret_key)
{
    auto_buf sp_buf der = sp_buf_make(SP_PKEY_DER_MAX_BYTES);
    auto_pkey sp_pkey *key = NULL;
    sp_err err = read_device(url, &der);
    if (!sp_failed(err)) {
        err = sp_pkey_of_der(sp_buf_borrow(&der), &key);
    } else if (err.code == SP_ENOTFOUND) {
        err = own_key(f, &key);
    }
    if (!sp_failed(err)) {
        sp_buf_wipe(&der);
        err = sp_pkey_der(key, &der);
    }
    if (!sp_failed(err)) {
        err = write_pem(f->identity, sp_buf_borrow(&der));
    }
    sp_buf_wipe(&der);
    TRY(err);
    *ret_key = SP_STEAL(key);
    return sp_ok();
}

static sp_err public_line(const sp_pkey *key, sp_buf *out)
{
    uint8_t point[1 + SP_P256_RAW_BYTES] = {0x04};
    auto_buf sp_buf blob = sp_buf_make(SP_SSH_KEY_BLOB_MAX_BYTES);
    static const char *const words[] = {"ecdsa-sha2-nistp256", "nistp256"};
    TRY(sp_pkey_p256_point(key, point + 1));
    for (size_t i = 0; i < SP_COUNT(words); i++) {
        sp_span word = sp_span_cstr(words[i]);
        sp_buf_u32(&blob, (uint32_t)word.len);
        sp_buf_span(&blob, word);
    }
    sp_buf_u32(&blob, sizeof(point));
    sp_buf_span(&blob, sp_span_of(point, sizeof(point)));
    sp_ssh_key_text(sp_buf_borrow(&blob), out);
    sp_buf_byte(out, 0);
    return sp_buf_error(out);
}

/* ---- certificate, host keys, configuration ---- */

/* Words that go into a configuration file. */
static bool is_word(const char *text)
{
    static const char good[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:@-";
    return text[0] != '\0' && text[0] != '-' && text[strspn(text, good)] == '\0';
}

static sp_err write_known_hosts(const sp_ssh_files *f, const json_t *me, const char *alias)
{
    auto_buf sp_buf text = sp_buf_make(STATE_MAX_BYTES);
    const json_t *keys = json_object_get(me, "host_keys");
    for (size_t i = 0; i < json_array_size(keys); i++) {
        uint8_t room[SP_SSH_KEY_LINE_MAX_BYTES];
        sp_span line = sp_span_cstr(sp_json_text(json_array_get(keys, i), "line"));
        sp_span word;
        sp_buf blob = sp_buf_make(SP_SSH_KEY_LINE_MAX_BYTES);
        sp_err err = sp_span_split(&line, ' ', &word) && sp_span_split(&line, ' ', &word) &&
                             line.len <= sizeof(room)
                         ? sp_buf_unbase64(&blob, sp_span_trim(line))
                         : sp_fail(SP_EINVALID);
        sp_ssh_key key;
        if (!sp_failed(err)) {
            err = sp_ssh_key_parse(sp_buf_borrow(&blob), &key);
        }
        if (!sp_failed(err)) {
            sp_buf_fmt(&text, "%s ", alias);
            sp_ssh_key_text(sp_buf_borrow(&blob), &text);
            sp_buf_byte(&text, '\n');
        }
        sp_buf_done(&blob);
        TRY(err);
    }
    TRY(sp_buf_error(&text));
    return sp_file_replace(f->known_hosts, 0600, sp_buf_borrow(&text));
}

static void write_machines(const json_t *me, sp_buf *out, sp_buf *all)
{
    const char *user = json_string_value(json_object_get(me, "user"));
    size_t at = 0;
    const json_t *machine = NULL;
    json_array_foreach(json_object_get(me, "items"), at, machine)
    {
        const char *name = json_string_value(json_object_get(machine, "name"));
        if (name != NULL && is_word(name)) {
            sp_buf_fmt(out, "Host %s" SP_SSH_SUFFIX "\n    User %s:%s\n", name, user, name);
            sp_buf_fmt(all, " %s" SP_SSH_SUFFIX, name);
        }
    }
}

/* Before a connection: a certificate that is about to end is replaced. */
static void write_refresh(sp_buf *out)
{
    char program[SP_PATH_BYTES];
    ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 1);
    if (len > 0) {
        program[len] = '\0';
        if (is_plain_path(program)) {
            sp_buf_fmt(out, "Match host *" SP_SSH_SUFFIX " exec \"'%s' ssh-config --refresh\"\n",
                       program);
        }
    }
}

static sp_err write_config(const sp_ssh_files *f, const json_t *me, const char *alias)
{
    auto_buf sp_buf text = sp_buf_make(CONFIG_MAX_BYTES);
    auto_buf sp_buf all = sp_buf_make(CONFIG_MAX_BYTES);
    const char *host = json_string_value(json_object_get(me, "host"));
    sp_buf_text(&text, "# Written by sallyport from what the office says; changes are lost.\n");
    write_machines(me, &text, &all);
    TRY(sp_buf_error(&all));
    sp_span names = sp_buf_borrow(&all);
    if (names.len > 0) {
        sp_buf_fmt(&text, "Host%.*s\n", SP_SPAN_ARG(names));
        sp_buf_fmt(&text, "    HostName %s\n    Port %lld\n    HostKeyAlias %s\n",
                   sp_is_local(host) ? "127.0.0.1" : host,
                   (long long)json_integer_value(json_object_get(me, "port")), alias);
        sp_buf_fmt(&text, "    UserKnownHostsFile \"%s\"\n    GlobalKnownHostsFile /dev/null\n",
                   f->known_hosts);
        sp_buf_fmt(&text, "    IdentityFile \"%s\"\n    CertificateFile \"%s\"\n", f->identity,
                   f->certificate);
        sp_buf_text(&text, "    IdentitiesOnly yes\n    StrictHostKeyChecking yes\n"
                           "    UpdateHostKeys no\n    ForwardAgent no\n    ForwardX11 no\n");
        write_refresh(&text);
    }
    TRY(sp_buf_error(&text));
    return sp_file_replace(f->config, 0600, sp_buf_borrow(&text));
}

static sp_err write_state(const sp_ssh_files *f, const char *url, const json_t *me,
                          const char *expires_at)
{
    json_t *names = json_array();
    size_t at = 0;
    const json_t *machine = NULL;
    json_array_foreach(json_object_get(me, "items"), at, machine)
    {
        json_array_append(names, json_object_get(machine, "name"));
    }
    json_t *state =
        json_pack("{s:s,s:O,s:s,s:o,s:b}", "url", url, "user", json_object_get(me, "user"),
                  "expires_at", expires_at, "machines", names, "device", is_device(url));
    char *text = json_dumps(state, JSON_INDENT(1));
    sp_err err =
        text == NULL ? sp_fail(SP_ENOMEM) : sp_file_replace(f->state, 0600, sp_span_cstr(text));
    sp_free(text);
    json_decref(state);
    return err;
}

static sp_err keep(const sp_ssh_files *f, const char *url, const json_t *me,
                   const json_t *signed_key)
{
    char alias[SP_PATH_BYTES];
    const char *certificate = json_string_value(json_object_get(signed_key, "certificate"));
    snprintf(alias, sizeof(alias), "[%s]:%lld", json_string_value(json_object_get(me, "host")),
             (long long)json_integer_value(json_object_get(me, "port")));
    TRY(write_known_hosts(f, me, alias));
    if (certificate != NULL) {
        auto_buf sp_buf line = sp_buf_make(KEY_MAX_BYTES * 2);
        sp_buf_text(&line, certificate);
        sp_buf_byte(&line, '\n');
        TRY(sp_buf_error(&line));
        TRY(sp_file_replace(f->certificate, 0600, sp_buf_borrow(&line)));
    } else {
        unlink(f->certificate);
    }
    TRY(write_config(f, me, alias));
    return write_state(f, url, me, sp_json_text(signed_key, "expires_at"));
}

/* ---- asking ---- */

static int ask_certificate(sp_client *client, const sp_ssh_files *f, bool quiet,
                           json_t **ret_signed)
{
    auto_pkey sp_pkey *key = NULL;
    auto_buf sp_buf line = sp_buf_make(KEY_MAX_BYTES);
    sp_err err = sp_crypto_start();
    if (!sp_failed(err)) {
        err = make_dirs(f);
    }
    if (!sp_failed(err)) {
        err = take_key(f, sp_client_url(client), &key);
    }
    if (!sp_failed(err)) {
        err = public_line(key, &line);
    }
    if (!sp_failed(err)) { /* ssh offers the key itself as well when it has its public half */
        err = sp_file_replace(f->public_key, 0600, sp_span_cstr((const char *)line.ptr));
    }
    if (sp_failed(err)) {
        sp_complain("%s: no key for SSH: %s", f->dir, sp_code_word(err.code));
        return SP_EXIT_FAILED;
    }
    json_t *body = json_pack("{s:s}", "key", (const char *)line.ptr);
    return (quiet ? sp_client_try : sp_client_call)(client, "POST", "/api/v1/ssh/certificate", body,
                                                    ret_signed);
}

/* What is fit to be written down. */
static bool is_fit(const json_t *me)
{
    json_int_t port = json_integer_value(json_object_get(me, "port"));
    const char *user = json_string_value(json_object_get(me, "user"));
    const char *host = json_string_value(json_object_get(me, "host"));
    return user != NULL && host != NULL && is_word(user) && is_word(host) && port > 0 &&
           port < 65536;
}

int sp_ssh_files_make(const sp_ssh_files *f, sp_client *client, bool quiet)
{
    json_t *me = NULL;
    json_t *signed_key = NULL;
    int status = (quiet ? sp_client_try : sp_client_call)(client, "GET", ME, NULL, &me);
    bool gate = status == SP_EXIT_OK && json_integer_value(json_object_get(me, "port")) > 0;
    if (quiet && !gate) {
        json_decref(me);
        return SP_EXIT_OK;
    }
    if (status == SP_EXIT_OK && !gate) {
        sp_complain("this office has no SSH gate");
        status = SP_EXIT_FAILED;
    } else if (status == SP_EXIT_OK && !is_fit(me)) {
        sp_complain("what the office says about its SSH gate is not fit for ssh_config");
        status = SP_EXIT_FAILED;
    }
    if (status == SP_EXIT_OK) {
        status = ask_certificate(client, f, quiet, &signed_key);
    }
    if (status == SP_EXIT_OK) {
        sp_err err = keep(f, sp_client_url(client), me, signed_key);
        if (sp_failed(err)) {
            sp_complain("%s: %s", f->dir, sp_code_word(err.code));
            status = SP_EXIT_FAILED;
        }
    }
    json_decref(signed_key);
    json_decref(me);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 * The demo's accounts: three administrators, two employees and two database operators, made at the
 * first start through the portal; passwords and secrets are made then and kept in accounts.json,
 * mode 0600. OWNS nothing. PROCESS sallyport-demo. TRUST the first handshake pins the CA: it is on
 * loopback. SPEC demo/README.md.
 */
#include "demo/demo.h"
#include "infra/crypto/random.h"
#include "infra/proc/file.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOG_MAX_BYTES = 1 << 20, LINK_TRIES = 50, LINK_BYTES = 256, ROLES_MAX = 2 };

typedef struct {
    const char *name;
    const char *display_name;
    const char *roles[ROLES_MAX];
} account;

/* The first is set up from the office's own link; the first three are administrators. */
static const account people[] = {
    {"olga", "Olga Petrova", {"system-admin"}},   {"sam", "Sam Weber", {"security-admin"}},
    {"audrey", "Audrey Chen", {"audit-admin"}},   {"mia", "Mia Lindqvist", {"staff", "hr"}},
    {"leo", "Leo Okafor", {"staff", "engineer"}}, {"dan", "Dan Novak", {"staff", "dba"}},
    {"wei", "Wei Zhang", {"staff", "dba"}},
};
static const account newcomer = {"nina", "Nina Rossi", {"staff"}};
enum { OLGA, SAM, ADMINISTRATORS = 3, PEOPLE = SP_COUNT(people) };

/* ---- the CA ---- */

static int connect_portal(const demo *d)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)d->port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&at, sizeof(at)) != 0) {
        return -1;
    }
    return SP_STEAL_FD(fd);
}

static sp_err write_last(const demo *d, const SSL *tls)
{
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(tls);
    BIO *memory = BIO_new(BIO_s_mem());
    char *text = NULL;
    sp_err err = sp_fail(SP_EIO);
    if (memory != NULL && chain != NULL && sk_X509_num(chain) > 0 &&
        PEM_write_bio_X509(memory, sk_X509_value(chain, sk_X509_num(chain) - 1)) == 1) {
        char path[DEMO_PATH_BYTES];
        demo_path(d, "ca.pem", path);
        long len = BIO_get_mem_data(memory, &text);
        err = sp_file_replace(path, 0644, sp_span_of(text, (size_t)len));
    }
    BIO_free(memory);
    return err;
}

sp_err demo_save_ca(const demo *d)
{
    auto_close int fd = connect_portal(d);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *tls = context != NULL ? SSL_new(context) : NULL;
    sp_err err = sp_fail(SP_EIO);
    if (fd >= 0 && tls != NULL && SSL_set_tlsext_host_name(tls, "portal." DEMO_DOMAIN) == 1 &&
        SSL_set_fd(tls, fd) == 1 && SSL_connect(tls) == 1) {
        err = write_last(d, tls);
    }
    SSL_free(tls);
    SSL_CTX_free(context);
    return err;
}

/* ---- making accounts ---- */

static void make_password(char *to, size_t size)
{
    static const char *const words[] = {
        "amber",   "anchor", "birch",   "candle", "copper", "ember",   "harbor", "island",
        "juniper", "kettle", "lantern", "maple",  "meadow", "orchard", "pebble", "quartz",
        "river",   "saddle", "timber",  "velvet", "walnut", "willow",  "window", "winter"};
    const uint32_t count = SP_COUNT(words);
    snprintf(to, size, "%s-%s-%s-%s-%u", words[sp_random_below(count)],
             words[sp_random_below(count)], words[sp_random_below(count)],
             words[sp_random_below(count)], 10 + sp_random_below(90));
}

/* The link that core printed since this start. */
static sp_err first_link(const demo *d, char link[LINK_BYTES])
{
    char path[DEMO_PATH_BYTES];
    demo_path(d, "log/sallyport.log", path);
    for (int i = 0; i < LINK_TRIES; i++) {
        auto_buf sp_buf text = sp_buf_make((size_t)LOG_MAX_BYTES * 64);
        TRY(sp_file_read(path, &text));
        sp_span rest = sp_span_slice(sp_buf_borrow(&text), (size_t)d->log_from, text.len);
        size_t at = sp_span_find(rest, SP_SPAN_LIT("/setup#"));
        if (at < rest.len) {
            sp_span token = sp_span_slice(rest, at, rest.len);
            return sp_fit(link, LINK_BYTES, sp_span_slice(token, 0, sp_span_index(token, '\n')));
        }
        usleep(100 * 1000);
    }
    return sp_fail(SP_ENOTFOUND);
}

static json_t *roles_of(const account *who)
{
    json_t *roles = json_array();
    for (size_t i = 0; i < ROLES_MAX && who->roles[i] != NULL; i++) {
        json_array_append_new(roles, json_string(who->roles[i]));
    }
    return roles;
}

/* An account with its roles; the link for its owner. */
static sp_err invite(demo_person *admin, demo_person *granter, const account *who,
                     char link[LINK_BYTES])
{
    char path[128];
    json_t *made =
        demo_call(admin, "POST", "/admin/people",
                  json_pack("{s:s,s:s}", "name", who->name, "display_name", who->display_name));
    const char *id = json_string_value(json_object_get(made, "id"));
    snprintf(path, sizeof(path), "/admin/people/%s/roles", id != NULL ? id : "");
    json_t *granted =
        made == NULL ? NULL
                     : demo_call(granter, "PUT", path, json_pack("{s:o}", "roles", roles_of(who)));
    snprintf(path, sizeof(path), "/admin/people/%s/invite", id != NULL ? id : "");
    json_t *given = granted == NULL ? NULL : demo_call(admin, "POST", path, json_object());
    const char *text = json_string_value(json_object_get(given, "link"));
    sp_err err = text == NULL ? sp_fail(SP_EDENIED) : sp_fit(link, LINK_BYTES, sp_span_cstr(text));
    json_decref(made);
    json_decref(granted);
    json_decref(given);
    return err;
}

static json_t *account_json(const demo_person *person, const account *who)
{
    return json_pack("{s:s,s:s,s:o,s:s,s:s,s:I}", "name", who->name, "display_name",
                     who->display_name, "roles", roles_of(who), "password", person->password,
                     "totp", person->totp, "totp_last", (json_int_t)person->last_step);
}

static sp_err set_up_one(const demo *d, demo_person *all, size_t at)
{
    char link[LINK_BYTES];
    TRY(demo_person_init(d, &all[at]));
    make_password(all[at].password, sizeof(all[at].password));
    if (at == OLGA) {
        TRY(first_link(d, link));
        TRY(demo_set_up(&all[at], link, people[at].name, people[at].display_name));
        return demo_step_up(&all[at]);
    }
    /* olga names the first of each administrator role; then sam gives people theirs */
    demo_person *granter = at < ADMINISTRATORS ? &all[OLGA] : &all[SAM];
    if (at == ADMINISTRATORS) {
        TRY(demo_step_up(&all[SAM]));
    }
    TRY(invite(&all[OLGA], granter, &people[at], link));
    return demo_set_up(&all[at], link, NULL, NULL);
}

/* Administrators are told in their chat. */
static sp_err reach_in_chat(demo_person *person)
{
    json_t *kept = demo_call(
        person, "PUT", "/me/reach",
        json_pack("{s:[{s:s,s:s}]}", "channels", "channel", "team-room", "id", person->name));
    sp_err err = kept == NULL ? sp_fail(SP_EDENIED) : sp_ok();
    json_decref(kept);
    return err;
}

/* Passwords of the orders database's roles go into the office's vault: people never see them. */
static sp_err put_credentials(const demo *d, demo_person *admin)
{
    char path[DEMO_PATH_BYTES];
    demo_path(d, "apps/orders/passwords", path);
    auto_buf sp_buf text = sp_buf_make(1 << 12);
    TRY(sp_file_read(path, &text));
    sp_span rest = sp_buf_borrow(&text);
    sp_span line;
    sp_err err = sp_ok();
    while (!sp_failed(err) && sp_span_split(&rest, '\n', &line)) {
        sp_span role;
        if (sp_span_split(&line, ' ', &role) && sp_span_starts(role, SP_SPAN_LIT("op_"))) {
            snprintf(path, sizeof(path), "/admin/databases/credentials/orders-db/%.*s",
                     SP_SPAN_ARG(role));
            json_t *done =
                demo_call(admin, "PUT", path, json_pack("{s:s%}", "password", line.ptr, line.len));
            err = done != NULL || admin->status == 204 ? sp_ok() : sp_fail(SP_EDENIED);
            json_decref(done);
        }
    }
    sp_wipe(text.ptr, text.len);
    return err;
}

static json_t *make_accounts(const demo *d)
{
    demo_person all[PEOPLE] = {0};
    char link[LINK_BYTES] = "";
    size_t done = 0;
    while (done < PEOPLE && !sp_failed(set_up_one(d, all, done))) {
        done++;
    }
    json_t *accounts = NULL;
    for (size_t i = 0; i < ADMINISTRATORS && done == PEOPLE; i++) {
        done = sp_failed(reach_in_chat(&all[i])) ? i : done;
    }
    if (done == PEOPLE && !sp_failed(put_credentials(d, &all[SAM])) &&
        !sp_failed(invite(&all[OLGA], &all[SAM], &newcomer, link))) {
        json_t *list = json_array();
        for (size_t i = 0; i < PEOPLE; i++) {
            json_array_append_new(list, account_json(&all[i], &people[i]));
        }
        accounts = json_pack("{s:o,s:s}", "people", list, "newcomer", link);
    } else {
        for (size_t i = 0; i <= done && i < PEOPLE; i++) {
            if (all[i].words[0] != '\0') {
                demo_say("%s: %s", people[i].name, all[i].words);
            }
        }
    }
    for (size_t i = 0; i < PEOPLE; i++) {
        demo_person_done(&all[i]);
    }
    return accounts;
}

json_t *demo_accounts(const demo *d)
{
    json_t *kept = demo_read_json(d, "accounts.json");
    if (kept != NULL) {
        return kept;
    }
    char store[DEMO_PATH_BYTES];
    demo_path(d, "started", store);
    if (access(store, F_OK) == 0) {
        demo_say("the first start was cut off half-way: remove %s/state and %s, then run it again",
                 d->base, store);
        return NULL;
    }
    demo_say("first start: making accounts ...");
    if (sp_failed(sp_file_replace(store, 0644, SP_SPAN_EMPTY))) {
        return NULL;
    }
    kept = make_accounts(d);
    if (kept == NULL || sp_failed(demo_write_json(d, "accounts.json", kept, 0600))) {
        demo_say("the accounts could not be made: %s/log/sallyport.log may say why", d->base);
        json_decref(kept);
        return NULL;
    }
    return kept;
}

void demo_account_used(const demo_person *person)
{
    json_t *accounts = demo_read_json(person->demo, "accounts.json");
    const json_t *list = json_object_get(accounts, "people");
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *one = json_array_get(list, i);
        const char *known = json_string_value(json_object_get(one, "name"));
        if (known != NULL && sp_span_eq(sp_span_cstr(known), sp_span_cstr(person->name))) {
            json_object_set_new(one, "totp_last", json_integer((json_int_t)person->last_step));
            SP_IGNORE(demo_write_json(person->demo, "accounts.json", accounts,
                                      0600)); /* then the next one finds its code used */
        }
    }
    json_decref(accounts);
}

sp_err demo_account_sign_in(const demo *d, const char *name, demo_person *person)
{
    json_t *accounts = demo_read_json(d, "accounts.json");
    const json_t *list = json_object_get(accounts, "people");
    sp_err err = sp_fail(SP_ENOTFOUND);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        const char *known = json_string_value(json_object_get(one, "name"));
        if (known != NULL && sp_span_eq(sp_span_cstr(known), sp_span_cstr(name))) {
            snprintf(person->name, sizeof(person->name), "%s", known);
            snprintf(person->password, sizeof(person->password), "%s",
                     json_string_value(json_object_get(one, "password")));
            snprintf(person->totp, sizeof(person->totp), "%s",
                     json_string_value(json_object_get(one, "totp")));
            person->last_step = (uint64_t)json_integer_value(json_object_get(one, "totp_last"));
            err = person->curl != NULL ? demo_sign_in(person) : sp_ok();
        }
    }
    json_decref(accounts);
    return err;
}

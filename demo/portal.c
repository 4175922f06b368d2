/* SPDX-License-Identifier: Apache-2.0
 * A person's browser as far as accounts need one: the portal's API with a cookie jar and TOTP.
 * OWNS its connection. PROCESS sallyport-demo. TRUST answers are bounded. SPEC
 * docs/api/openapi.yaml, RFC 6238.
 */
#include "demo/demo.h"

#include <curl/curl.h>
#include <liboath/oath.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { STEP_S = 30, DIGITS = 6, TIMEOUT_S = 30, URL_BYTES = 512 };

static size_t on_body(char *bytes, size_t size, size_t count, void *self)
{
    sp_buf *answer = self;
    sp_buf_span(answer, sp_span_of(bytes, size * count));
    return sp_failed(sp_buf_error(answer)) ? 0 : size * count; /* 0 ends the transfer */
}

sp_err demo_person_init(const demo *d, demo_person *person)
{
    *person = (demo_person){.demo = d, .curl = curl_easy_init()};
    return person->curl == NULL ? sp_fail(SP_ENOMEM) : sp_ok();
}

void demo_person_done(demo_person *person)
{
    curl_easy_cleanup(person->curl);
    person->curl = NULL;
    sp_wipe(person->password, sizeof(person->password));
    sp_wipe(person->totp, sizeof(person->totp));
}

static void keep_problem(demo_person *person, const json_t *problem, const char *path)
{
    const char *code = json_string_value(json_object_get(problem, "code"));
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    snprintf(person->code, sizeof(person->code), "%s", code != NULL ? code : "");
    snprintf(person->words, sizeof(person->words), "%s: %ld %s %s", path, person->status,
             person->code, detail != NULL ? detail : "");
}

static CURLcode perform(demo_person *person, const char *method, const char *path, const char *body,
                        sp_buf *answer)
{
    char url[URL_BYTES];
    char place[URL_BYTES];
    char ca[DEMO_PATH_BYTES];
    snprintf(url, sizeof(url), "https://portal." DEMO_DOMAIN ":%u/api/v1%s", person->demo->port,
             path);
    snprintf(place, sizeof(place), "portal." DEMO_DOMAIN ":%u:127.0.0.1", person->demo->port);
    demo_path(person->demo, "ca.pem", ca);
    struct curl_slist *resolve = curl_slist_append(NULL, place);
    struct curl_slist *headers = curl_slist_append(NULL, "X-Sallyport-Request: 1");
    headers = curl_slist_append(headers, "Accept: application/json");
    headers = curl_slist_append(headers, "Content-Type: application/json");
    CURL *curl = person->curl;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_RESOLVE, resolve);
    curl_easy_setopt(curl, CURLOPT_CAINFO, ca);
    curl_easy_setopt(curl, CURLOPT_COOKIEFILE, ""); /* cookies are kept in memory */
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_INTERFACE, person->from[0] != '\0' ? person->from : NULL);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    if (body != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    } else {
        curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    CURLcode result = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &person->status);
    curl_slist_free_all(resolve);
    curl_slist_free_all(headers);
    return result;
}

json_t *demo_call(demo_person *person, const char *method, const char *path, json_t *body)
{
    auto_wiped char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    auto_buf sp_buf answer = sp_buf_make(DEMO_ANSWER_MAX_BYTES);
    person->status = 0;
    CURLcode result = perform(person, method, path, text, &answer);
    if (result != CURLE_OK) {
        snprintf(person->words, sizeof(person->words), "%s: %s", path, curl_easy_strerror(result));
        return NULL;
    }
    sp_span bytes = sp_buf_borrow(&answer);
    json_t *parsed = bytes.len > 0 ? json_loadb((const char *)bytes.ptr, bytes.len, 0, NULL) : NULL;
    if (person->status >= 400) {
        keep_problem(person, parsed, path);
        json_decref(parsed);
        return NULL;
    }
    return parsed != NULL ? parsed : json_object();
}

long demo_visit(demo_person *person, const char *host, const char *path)
{
    char url[URL_BYTES];
    char places[2][URL_BYTES];
    unsigned port = person->demo->port;
    auto_buf sp_buf answer = sp_buf_make(DEMO_ANSWER_MAX_BYTES);
    CURL *curl = person->curl;
    snprintf(url, sizeof(url), "https://%s." DEMO_DOMAIN ":%u%s", host, port, path);
    snprintf(places[0], URL_BYTES, "%s." DEMO_DOMAIN ":%u:127.0.0.1", host, port);
    curl_easy_setopt(curl, CURLOPT_COOKIEFILE, "");
    snprintf(places[1], URL_BYTES, "portal." DEMO_DOMAIN ":%u:127.0.0.1", port);
    struct curl_slist *resolve = curl_slist_append(curl_slist_append(NULL, places[0]), places[1]);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_RESOLVE, resolve);
    struct curl_slist *headers = curl_slist_append(NULL, "Accept: text/html,*/*;q=0.8");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, NULL);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 8L);
    curl_easy_setopt(curl, CURLOPT_INTERFACE, person->from[0] != '\0' ? person->from : NULL);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
    person->status = 0;
    CURLcode result = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &person->status);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(resolve);
    curl_slist_free_all(headers);
    return result == CURLE_OK ? person->status : 0;
}

sp_err demo_text(const demo *d, const char *path, sp_buf *out)
{
    demo_person nobody;
    TRY(demo_person_init(d, &nobody));
    CURLcode result = perform(&nobody, "GET", path, NULL, out);
    long status = nobody.status;
    demo_person_done(&nobody);
    return result == CURLE_OK && status == 200 ? sp_buf_error(out) : sp_fail(SP_EDENIED);
}

/* ---- TOTP ---- */

sp_err demo_totp(demo_person *person, char code[8])
{
    /* the portal also takes the step before: three codes are there at once; not near its end */
    uint64_t step = ((uint64_t)time(NULL) - 25) / STEP_S;
    if (step <= person->last_step) {
        step = person->last_step + 1;
    }
    while (step > (uint64_t)time(NULL) / STEP_S + 1) { /* the portal looks one step ahead */
        usleep(200 * 1000);
    }
    char *secret = NULL;
    size_t len = 0;
    if (oath_base32_decode(person->totp, strlen(person->totp), &secret, &len) != OATH_OK) {
        return sp_fail(SP_EINVALID);
    }
    int done = oath_totp_generate(secret, len, (time_t)(step * STEP_S), STEP_S, 0, DIGITS, code);
    sp_wipe(secret, len);
    sp_free(secret);
    person->last_step = step;
    demo_account_used(person);
    return done == OATH_OK ? sp_ok() : sp_fail(SP_EINTERNAL);
}

/* ---- signing in ---- */

/* POST that must work; the answer is not needed. */
static sp_err post(demo_person *person, const char *path, json_t *body)
{
    json_t *answer = demo_call(person, "POST", path, body);
    json_decref(answer);
    return answer == NULL ? sp_fail(SP_EDENIED) : sp_ok();
}

static sp_err keep_text(const json_t *answer, const char *key, char *to, size_t size)
{
    const char *text = json_string_value(json_object_get(answer, key));
    return text == NULL ? sp_fail(SP_EINVALID) : sp_fit(to, size, sp_span_cstr(text));
}

static sp_err set_up_totp(demo_person *person, const char *flow)
{
    char code[8];
    json_t *secret =
        demo_call(person, "POST", "/setup/totp/start", json_pack("{s:s}", "flow", flow));
    sp_err err = keep_text(secret, "secret", person->totp, sizeof(person->totp));
    json_decref(secret);
    TRY(err);
    TRY(demo_totp(person, code));
    return post(person, "/setup/totp/confirm", json_pack("{s:s,s:s}", "flow", flow, "code", code));
}

static sp_err open_link(demo_person *person, const char *link, char *flow, size_t size)
{
    const char *token = strrchr(link, '#');
    json_t *state = demo_call(person, "POST", "/setup/start",
                              json_pack("{s:s}", "token", token != NULL ? token + 1 : link));
    sp_err err = keep_text(state, "flow", flow, size);
    const json_t *known = json_object_get(state, "person");
    if (!sp_failed(err) && json_is_object(known)) {
        err = keep_text(known, "name", person->name, sizeof(person->name));
    }
    json_decref(state);
    return err;
}

sp_err demo_set_up(demo_person *person, const char *link, const char *name,
                   const char *display_name)
{
    char flow[DEMO_TEXT_BYTES];
    TRY(open_link(person, link, flow, sizeof(flow)));
    if (name != NULL) {
        TRY(sp_fit(person->name, sizeof(person->name), sp_span_cstr(name)));
        TRY(post(person, "/setup/person",
                 json_pack("{s:s,s:s,s:s,s:[s]}", "flow", flow, "name", name, "display_name",
                           display_name, "roles", "system-admin")));
    }
    TRY(post(person, "/setup/password",
             json_pack("{s:s,s:s}", "flow", flow, "password", person->password)));
    TRY(set_up_totp(person, flow));
    return post(person, "/setup/finish", json_pack("{s:s}", "flow", flow));
}

static sp_err try_sign_in(demo_person *person)
{
    char flow[DEMO_TEXT_BYTES];
    char code[8];
    json_t *step =
        demo_call(person, "POST", "/sign-in/start", json_pack("{s:s}", "name", person->name));
    sp_err err = keep_text(step, "flow", flow, sizeof(flow));
    json_decref(step);
    TRY(err);
    TRY(post(person, "/sign-in/password",
             json_pack("{s:s,s:s}", "flow", flow, "password", person->password)));
    TRY(demo_totp(person, code));
    return post(person, "/sign-in/totp", json_pack("{s:s,s:s}", "flow", flow, "code", code));
}

sp_err demo_sign_in(demo_person *person)
{
    sp_err err = try_sign_in(person);
    for (int more = 2; more > 0 && sp_failed(err) &&
                       sp_span_eq(sp_span_cstr(person->code), SP_SPAN_LIT("sign_in_failed"));
         more--) {
        demo_say("the code of %s was used already: the next one ...", person->name);
        err = try_sign_in(person);
    }
    return err;
}

sp_err demo_step_up(demo_person *person)
{
    char code[8];
    TRY(demo_totp(person, code));
    return post(person, "/step-up/password",
                json_pack("{s:s,s:s}", "password", person->password, "code", code));
}

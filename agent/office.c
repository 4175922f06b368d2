/* SPDX-License-Identifier: Apache-2.0
 * HTTPS to the office by libcurl.
 * OWNS nothing between calls. PROCESS agent. TRUST answers are hostile. SPEC agent/office.h.
 */
#include "agent/office.h"

#include "agent/key.h"
#include "infra/crypto/x509.h"
#include "infra/proc/exit.h"

#include <curl/curl.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <time.h>

enum { CONNECT_S = 15, WHOLE_S = 60, SKEW_TOLD_S = 120, URL_BYTES = 1024 };

typedef struct {
    CURL *curl;
    struct curl_slist *headers;
    sp_buf answer;
    sp_buf key;
    sp_buf cert;
    sp_buf ca;
    long skew_s;
    char curl_words[CURL_ERROR_SIZE];
} call;

static void call_done(call *c)
{
    curl_easy_cleanup(c->curl);
    curl_slist_free_all(c->headers);
    sp_buf_wipe(&c->key);
    sp_buf_done(&c->key);
    sp_buf_done(&c->cert);
    sp_buf_done(&c->ca);
    sp_buf_done(&c->answer);
}
#define auto_call __attribute__((cleanup(call_done)))

void sp_office_answer_done(sp_office_answer *answer)
{
    json_decref(answer->body);
    answer->body = NULL;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *self)
{
    sp_buf *answer = self;
    sp_buf_span(answer, sp_span_of(bytes, size * count));
    return sp_failed(sp_buf_error(answer)) ? 0 : size * count; /* 0 ends the transfer */
}

/* The office's clock, from the Date of its answer. */
static size_t on_header(char *bytes, size_t size, size_t count, void *self)
{
    call *c = self;
    sp_span line = sp_span_trim(sp_span_of(bytes, size * count));
    sp_span name = SP_SPAN_LIT("date:");
    if (line.len > name.len && sp_span_eq_nocase(sp_span_slice(line, 0, name.len), name)) {
        char text[64];
        sp_span value = sp_span_trim(sp_span_slice(line, name.len, line.len));
        if (!sp_failed(sp_fit(text, sizeof(text), value))) {
            time_t at = curl_getdate(text, NULL);
            c->skew_s = at == (time_t)-1 ? 0 : (long)(at - time(NULL));
        }
    }
    return size * count;
}

static struct curl_blob blob_of(const sp_buf *bytes)
{
    return (struct curl_blob){.data = bytes->ptr, .len = bytes->len, .flags = CURL_BLOB_COPY};
}

static bool set_identity(call *c, const sp_agent *agent)
{
    auto_pkey sp_pkey *key = NULL;
    if (sp_failed(sp_key_provider_here()->open(agent, &key)) ||
        sp_failed(sp_pkey_der(key, &c->key)) ||
        sp_failed(sp_agent_read(agent, "device.pem", &c->cert))) {
        return false;
    }
    struct curl_blob key_blob = blob_of(&c->key);
    struct curl_blob cert_blob = blob_of(&c->cert);
    return curl_easy_setopt(c->curl, CURLOPT_SSLKEYTYPE, "DER") == CURLE_OK &&
           curl_easy_setopt(c->curl, CURLOPT_SSLKEY_BLOB, &key_blob) == CURLE_OK &&
           curl_easy_setopt(c->curl, CURLOPT_SSLCERT_BLOB, &cert_blob) == CURLE_OK;
}

static bool set_trust(call *c, const sp_agent *agent)
{
    if (agent->ca_sha256[0] == '\0') {
        return true; /* the system's own list */
    }
    if (sp_failed(sp_agent_read(agent, "office-ca.pem", &c->ca))) {
        return false;
    }
    struct curl_blob ca = blob_of(&c->ca);
    return curl_easy_setopt(c->curl, CURLOPT_CAINFO_BLOB, &ca) == CURLE_OK &&
           curl_easy_setopt(c->curl, CURLOPT_CAPATH, NULL) == CURLE_OK;
}

static bool set_common(CURL *curl, const char *url)
{
    return curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)WHOLE_S) == CURLE_OK;
}

static bool set_call(call *c, const sp_agent *agent, const char *path, const char *body)
{
    char url[URL_BYTES];
    int len = snprintf(url, sizeof(url), "%s/api/v1%s", agent->portal, path);
    c->headers = curl_slist_append(c->headers, "Content-Type: application/json");
    c->headers = curl_slist_append(c->headers, "Accept: application/json");
    c->headers = curl_slist_append(c->headers, "X-Sallyport-Request: 1");
    bool good =
        len > 0 && len < URL_BYTES && set_common(c->curl, url) &&
        curl_easy_setopt(c->curl, CURLOPT_USERAGENT, "sallyport-agent/" SP_VERSION) == CURLE_OK &&
        curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, c->headers) == CURLE_OK &&
        curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
        curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, &c->answer) == CURLE_OK &&
        curl_easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
        curl_easy_setopt(c->curl, CURLOPT_HEADERDATA, c) == CURLE_OK &&
        curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, c->curl_words) == CURLE_OK;
    return good &&
           (body == NULL || curl_easy_setopt(c->curl, CURLOPT_COPYPOSTFIELDS, body) == CURLE_OK);
}

/* ---- failures in words ---- */

static const char *verify_words(long verify)
{
    switch (verify) {
    case X509_V_ERR_CERT_NOT_YET_VALID:
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "the office's certificate is not valid at the time that this computer's clock "
               "shows. Check the clock (timedatectl); if it is right, tell the administrator";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        return "the server's certificate does not come from the CA that was pinned at enrolment. "
               "Either somebody is between this computer and the office, or the office has a new "
               "CA: ask the administrator, then unenroll and enroll again with --ca-sha256";
    default:
        return "the server could not prove that it is the office";
    }
}

static sp_err no_answer(const call *c, CURLcode code, sp_office_answer *answer)
{
    long verify = 0;
    sp_span words =
        sp_span_cstr(c->curl_words[0] != '\0' ? c->curl_words : curl_easy_strerror(code));
    if (code == CURLE_PEER_FAILED_VERIFICATION) {
        curl_easy_getinfo(c->curl, CURLINFO_SSL_VERIFYRESULT, &verify);
        snprintf(answer->words, sizeof(answer->words), "%s (%.*s)", verify_words(verify),
                 SP_SPAN_ARG(words));
        return sp_fail(SP_EDENIED);
    }
    snprintf(answer->words, sizeof(answer->words),
             "the office cannot be reached: %.*s. Check the network and the address",
             SP_SPAN_ARG(words));
    return sp_fail(SP_ECLOSED);
}

static void keep_problem(sp_office_answer *answer)
{
    const char *detail = json_string_value(json_object_get(answer->body, "detail"));
    const char *title = json_string_value(json_object_get(answer->body, "title"));
    const char *code = json_string_value(json_object_get(answer->body, "code"));
    if (answer->status >= 200 && answer->status < 300) {
        return;
    }
    snprintf(answer->code, sizeof(answer->code), "%s", code == NULL ? "" : code);
    int len = snprintf(answer->words, sizeof(answer->words), "%s (HTTP %ld%s%s)",
                       detail != NULL ? detail : (title != NULL ? title : "the office refused"),
                       answer->status, code == NULL ? "" : ", ", code == NULL ? "" : code);
    bool skewed = answer->skew_s > SKEW_TOLD_S || answer->skew_s < -SKEW_TOLD_S;
    if (skewed && len > 0 && (size_t)len < sizeof(answer->words)) {
        snprintf(answer->words + len, sizeof(answer->words) - (size_t)len,
                 "; this computer's clock differs from the office's by %ld s: check timedatectl",
                 answer->skew_s);
    }
}

sp_err sp_office_call(const sp_agent *agent, const char *path, json_t *body, bool with_device,
                      sp_office_answer *ret_answer)
{
    auto_call call c = {.curl = curl_easy_init(),
                        .answer = sp_buf_make(SP_AGENT_TEXT_MAX_BYTES),
                        .key = sp_buf_make(SP_PKEY_DER_MAX_BYTES),
                        .cert = sp_buf_make(SP_AGENT_TEXT_MAX_BYTES),
                        .ca = sp_buf_make(SP_AGENT_TEXT_MAX_BYTES)};
    *ret_answer = (sp_office_answer){0};
    auto_wiped char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    bool good = c.curl != NULL && (body == NULL || text != NULL) &&
                set_call(&c, agent, path, text) && set_trust(&c, agent) &&
                (!with_device || set_identity(&c, agent));
    if (!good) {
        snprintf(ret_answer->words, sizeof(ret_answer->words),
                 "the agent's own files are not complete (%.900s)", agent->dir);
        return sp_fail(SP_EINTERNAL);
    }
    CURLcode code = curl_easy_perform(c.curl);
    if (code != CURLE_OK) {
        return no_answer(&c, code, ret_answer);
    }
    curl_easy_getinfo(c.curl, CURLINFO_RESPONSE_CODE, &ret_answer->status);
    ret_answer->skew_s = c.skew_s;
    ret_answer->body = json_loadb((const char *)c.answer.ptr, c.answer.len, 0, NULL);
    keep_problem(ret_answer);
    return sp_ok();
}

int sp_office_complain(const char *doing, sp_err err, const sp_office_answer *answer)
{
    sp_agent_say("agent: %s: %s", doing,
                 answer->words[0] != '\0' ? answer->words : "the office's answer makes no sense");
    if (sp_failed(err)) {
        return err.code == SP_EINTERNAL ? SP_EXIT_FAILED : SP_EXIT_AWAY;
    }
    return answer->status >= 500 ? SP_EXIT_FAILED : SP_EXIT_REFUSED;
}

/* ---- first contact ---- */

static bool is_hex_of(sp_span der, sp_span sha256_hex)
{
    sp_hash hash = sp_sha256(der);
    auto_buf sp_buf hex = sp_buf_make(2 * SP_SHA256_BYTES);
    sp_buf_hex(&hex, sp_hash_borrow(&hash));
    return sp_span_eq_nocase(sp_buf_borrow(&hex), sha256_hex);
}

static bool find_pinned(const struct curl_certinfo *chain, sp_span sha256_hex, sp_buf *ca_pem)
{
    sp_span label = SP_SPAN_LIT("Cert:");
    for (int i = 0; i < chain->num_of_certs; i++) {
        for (const struct curl_slist *at = chain->certinfo[i]; at != NULL; at = at->next) {
            sp_span line = sp_span_cstr(at->data);
            sp_span pem = sp_span_slice(line, label.len, line.len);
            auto_buf sp_buf der = sp_buf_make(SP_CERT_MAX_BYTES);
            if (sp_span_starts(line, label) && !sp_failed(sp_cert_of_pem(&pem, &der)) &&
                is_hex_of(sp_buf_borrow(&der), sha256_hex)) {
                sp_cert_pem(sp_buf_borrow(&der), ca_pem);
                return !sp_failed(sp_buf_error(ca_pem));
            }
        }
    }
    return false;
}

sp_err sp_office_pin(const char *portal, sp_span sha256_hex, sp_buf *ca_pem, sp_buf *words)
{
    auto_call call c = {.curl = curl_easy_init()};
    /* Only a handshake: the peer is nobody yet, so that nothing may be sent or believed. */
    bool good = c.curl != NULL && set_common(c.curl, portal) &&
                curl_easy_setopt(c.curl, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK &&
                curl_easy_setopt(c.curl, CURLOPT_CERTINFO, 1L) == CURLE_OK &&
                curl_easy_setopt(c.curl, CURLOPT_SSL_VERIFYPEER, 0L) == CURLE_OK &&
                curl_easy_setopt(c.curl, CURLOPT_SSL_VERIFYHOST, 0L) == CURLE_OK &&
                curl_easy_setopt(c.curl, CURLOPT_ERRORBUFFER, c.curl_words) == CURLE_OK;
    CURLcode code = good ? curl_easy_perform(c.curl) : CURLE_FAILED_INIT;
    if (code != CURLE_OK) {
        sp_buf_fmt(words, "the office cannot be reached: %s",
                   c.curl_words[0] != '\0' ? c.curl_words : curl_easy_strerror(code));
        return sp_fail(SP_ECLOSED);
    }
    struct curl_certinfo *chain = NULL;
    if (curl_easy_getinfo(c.curl, CURLINFO_CERTINFO, &chain) != CURLE_OK || chain == NULL ||
        !find_pinned(chain, sha256_hex, ca_pem)) {
        sp_buf_text(words, "the server does not show the CA with this fingerprint. Copy the whole "
                           "command from the portal again; if it is right, somebody is between "
                           "this computer and the office");
        return sp_fail(SP_EDENIED);
    }
    return sp_ok();
}

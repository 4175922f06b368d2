/* SPDX-License-Identifier: Apache-2.0
 * First contact with an office that has its own certificate authority: its certificate is taken
 * from the handshake when it is the one whose hash the person was given.
 * OWNS nothing. PROCESS cli. TRUST the server is not verified yet: nothing is sent but a GET of a
 * public page, and nothing is believed but the hash. SPEC cli/client.h.
 */
#include "cli/args.h"
#include "cli/client.h"
#include "infra/crypto/x509.h"

#include <curl/curl.h>

enum { HASH_HEX_BYTES = 64, PEM_MAX_BYTES = 64 * 1024, TIMEOUT_S = 10 };

static size_t drop_body(char *bytes, size_t size, size_t count, void *self)
{
    (void)bytes;
    (void)self;
    return size * count;
}

/* "Cert:-----BEGIN CERTIFICATE-----..." of the chain, in one text. */
static void gather(CURL *curl, sp_buf *out)
{
    struct curl_certinfo *info = NULL;
    if (curl_easy_getinfo(curl, CURLINFO_CERTINFO, &info) != CURLE_OK || info == NULL) {
        return;
    }
    for (int i = 0; i < info->num_of_certs; i++) {
        for (const struct curl_slist *at = info->certinfo[i]; at != NULL; at = at->next) {
            sp_span line = sp_span_cstr(at->data);
            if (sp_span_starts(line, SP_SPAN_LIT("Cert:"))) {
                sp_buf_span(out, sp_span_slice(line, 5, line.len));
                sp_buf_byte(out, '\n');
            }
        }
    }
}

static CURLcode handshake(const char *url, sp_buf *chain)
{
    CURL *curl = curl_global_init(CURL_GLOBAL_DEFAULT) == 0 ? curl_easy_init() : NULL;
    if (curl == NULL) {
        return CURLE_OUT_OF_MEMORY;
    }
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    curl_easy_setopt(curl, CURLOPT_CERTINFO, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, drop_body);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
    CURLcode result = curl_easy_perform(curl);
    gather(curl, chain);
    curl_easy_cleanup(curl);
    return result;
}

static sp_err find(sp_span chain, sp_span wanted, char **ret_pem)
{
    sp_span rest = chain;
    for (;;) {
        auto_buf sp_buf der = sp_buf_make(PEM_MAX_BYTES);
        TRY(sp_cert_of_pem(&rest, &der));
        sp_hash hash = sp_cert_fingerprint(sp_buf_borrow(&der));
        if (sp_span_eq(sp_hash_borrow(&hash), wanted)) {
            auto_buf sp_buf pem = sp_buf_make(PEM_MAX_BYTES);
            sp_cert_pem(sp_buf_borrow(&der), &pem);
            return sp_buf_take_cstr(&pem, ret_pem);
        }
    }
}

int sp_client_pin(const char *url, const char *ca_sha256, char **ret_ca_pem)
{
    auto_buf sp_buf wanted = sp_buf_make(SP_SHA256_BYTES);
    if (sp_span_cstr(ca_sha256).len != HASH_HEX_BYTES ||
        sp_failed(sp_buf_unhex(&wanted, sp_span_cstr(ca_sha256)))) {
        sp_complain("--ca-sha256 takes 64 hexadecimal digits");
        return SP_EXIT_USAGE;
    }
    auto_buf sp_buf chain = sp_buf_make((size_t)PEM_MAX_BYTES * 8);
    CURLcode result = handshake(url, &chain);
    if (chain.len == 0) {
        sp_complain("%s: %s", url, curl_easy_strerror(result));
        return SP_EXIT_AWAY;
    }
    if (sp_failed(find(sp_buf_borrow(&chain), sp_buf_borrow(&wanted), ret_ca_pem))) {
        sp_complain("%s shows another authority than the one you were told: somebody may be in "
                    "between. Nothing was sent.",
                    url);
        return SP_EXIT_REFUSED;
    }
    return SP_EXIT_OK;
}

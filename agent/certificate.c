/* SPDX-License-Identifier: Apache-2.0
 * The device's certificate.
 * OWNS nothing. PROCESS agent. TRUST answers are hostile. SPEC agent/certificate.h.
 */
#include "agent/certificate.h"

#include "infra/proc/clock.h"

static sp_span text_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return sp_span_of(json_string_value(value), json_string_length(value));
}

static sp_err der_of(sp_span pem, sp_buf *der)
{
    return sp_cert_of_pem(&pem, der);
}

static sp_err check(sp_span cert, sp_span ca, const sp_pkey *key, sp_buf *words)
{
    auto_pkey sp_pkey *certified = NULL;
    sp_cert_info info;
    uint64_t now_unix_s = sp_now_unix_us() / 1000000;
    TRY(sp_cert_read(cert, &info));
    TRY(sp_cert_public(cert, &certified));
    if (!sp_pkey_same_public(certified, key)) {
        sp_buf_text(words, "the office certified another key than this device's");
        return sp_fail(SP_ECORRUPT);
    }
    if (now_unix_s < info.not_before_unix_s || now_unix_s >= info.not_after_unix_s) {
        sp_buf_text(words, "the fresh certificate is not valid at the time that this computer's "
                           "clock shows: check the clock (timedatectl)");
        return sp_fail(SP_ECORRUPT);
    }
    sp_err err = sp_cert_check(cert, ca, now_unix_s);
    if (sp_failed(err)) {
        sp_buf_text(words, "the certificate is not signed by the device CA that came with it");
    }
    return err;
}

sp_err sp_certificate_keep(sp_agent *agent, const sp_pkey *key, const json_t *body, sp_buf *words)
{
    sp_span pem = text_of(body, "certificate");
    sp_span chain = text_of(body, "chain");
    auto_buf sp_buf cert = sp_buf_make(SP_CERT_MAX_BYTES);
    auto_buf sp_buf ca = sp_buf_make(SP_CERT_MAX_BYTES);
    sp_err err = der_of(pem, &cert);
    if (!sp_failed(err)) {
        err = der_of(chain, &ca);
    }
    if (!sp_failed(err)) {
        err = check(sp_buf_borrow(&cert), sp_buf_borrow(&ca), key, words);
    }
    if (sp_failed(err)) {
        if (words->len == 0) {
            sp_buf_text(words, "the office's answer holds no certificate");
        }
        return err;
    }
    auto_buf sp_buf clean = sp_buf_make(SP_CERT_MAX_BYTES * 2);
    auto_buf sp_buf clean_ca = sp_buf_make(SP_CERT_MAX_BYTES * 2);
    sp_cert_pem(sp_buf_borrow(&cert), &clean);
    sp_cert_pem(sp_buf_borrow(&ca), &clean_ca);
    /* the ticket first: with the new one the certificate can be asked for again, with the old one
     * that would be a second copy's doing */
    if (text_of(body, "ticket").len > 0) {
        TRY(sp_agent_set(&agent->ticket, text_of(body, "ticket")));
        TRY(sp_agent_save(agent));
    }
    TRY(sp_agent_write(agent, "device-ca.pem", sp_buf_borrow(&clean_ca)));
    TRY(sp_agent_write(agent, "device.pem", sp_buf_borrow(&clean)));
    const json_t *device = json_object_get(body, "device");
    TRY(sp_agent_set(&agent->device, text_of(device, "id")));
    if (text_of(device, "name").len > 0) {
        TRY(sp_agent_set(&agent->name, text_of(device, "name")));
    }
    agent->state = SP_AGENT_ENROLLED;
    agent->renewed_unix_s = sp_now_unix_us() / 1000000;
    TRY(sp_agent_set(&agent->trouble, SP_SPAN_EMPTY));
    return sp_agent_save(agent);
}

void sp_certificate_use_once(const sp_agent *agent)
{
    auto_answer sp_office_answer answer = {0};
    /* if it fails, the next request tells it */
    SP_IGNORE(sp_office_call(agent, "/device/self", NULL, true, &answer));
}

sp_err sp_certificate_der(const sp_agent *agent, const char *file, sp_buf *der)
{
    auto_buf sp_buf pem = sp_buf_make(SP_CERT_MAX_BYTES * 2);
    TRY(sp_agent_read(agent, file, &pem));
    return der_of(sp_buf_borrow(&pem), der);
}

sp_err sp_certificate_info(const sp_agent *agent, sp_cert_info *ret_info)
{
    auto_buf sp_buf der = sp_buf_make(SP_CERT_MAX_BYTES);
    TRY(sp_certificate_der(agent, "device.pem", &der));
    return sp_cert_read(sp_buf_borrow(&der), ret_info);
}

bool sp_certificate_due(const sp_cert_info *info, uint64_t now_unix_s)
{
    uint64_t life_s = info->not_after_unix_s - info->not_before_unix_s;
    return now_unix_s >= info->not_before_unix_s + life_s / 2;
}

sp_err sp_certificate_request(sp_pkey *key, sp_span name, sp_buf *pem)
{
    auto_buf sp_buf der = sp_buf_make(SP_CSR_MAX_BYTES);
    TRY(sp_csr_make(key, name, &der));
    sp_csr_pem(sp_buf_borrow(&der), pem);
    return sp_buf_error(pem);
}

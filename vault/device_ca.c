/* SPDX-License-Identifier: Apache-2.0
 * The device CA.
 * OWNS nothing. PROCESS vault. TRUST requests come from devices. SPEC vault/device_ca.h.
 */
#include "vault/device_ca.h"

#include "infra/crypto/x509.h"

enum { CA_LIFE_S = 3650 * 86400, NAME_MAX_BYTES = 64, NUMBER_MAX_BYTES = 24 };

static const sp_span NAME = {(const uint8_t *)"device-ca", 9};

void sp_ca_name(const char *office, const char *word, sp_buf *out)
{
    sp_span text = sp_span_cstr(office);
    size_t room = NAME_MAX_BYTES - sp_span_cstr(word).len - 1;
    size_t len = text.len < room ? text.len : room;
    while (len > 0 && len < text.len && (text.ptr[len] & 0xc0) == 0x80) {
        len--; /* not inside a character */
    }
    sp_buf_span(out, sp_span_slice(text, 0, len));
    sp_buf_text(out, " ");
    sp_buf_text(out, word);
}

sp_err sp_device_ca_prepare(sp_keyring *ring, const char *office, uint64_t now_unix_s, bool *made)
{
    sp_vkey *key = NULL;
    if (sp_keyring_find(ring, NAME) != NULL) {
        return sp_ok();
    }
    TRY(sp_keyring_make(ring, NAME, SP_VKEY_P256, "signs certificates of devices", now_unix_s,
                        &key));
    auto_buf sp_buf name = sp_buf_make(NAME_MAX_BYTES + 1);
    auto_buf sp_buf der = sp_buf_make(SP_CERT_MAX_BYTES);
    sp_ca_name(office, "device CA", &name);
    sp_cert_spec spec = {.use = SP_CERT_DEVICE_CA,
                         .common_name = sp_buf_borrow(&name),
                         .not_before_unix_s = now_unix_s - SP_CERT_BACKDATE_S,
                         .not_after_unix_s = now_unix_s + CA_LIFE_S};
    TRY(sp_cert_issue(&spec, key->pair, SP_SPAN_EMPTY, key->pair, &der));
    TRY(sp_keyring_set_certificate(key, sp_buf_borrow(&der)));
    *made = true;
    return sp_ok();
}

sp_span sp_device_ca_certificate(sp_keyring *ring)
{
    const sp_vkey *key = sp_keyring_find(ring, NAME);
    return key == NULL ? SP_SPAN_EMPTY : sp_vkey_certificate(key);
}

sp_err sp_device_ca_issue(sp_keyring *ring, const char *office, const sp_vault_device_issue *ask,
                          uint64_t now_unix_s, sp_buf *der, sp_vault_issued *ret_issued)
{
    auto_pkey sp_pkey *device_key = NULL;
    sp_vkey *ca = sp_keyring_find(ring, NAME);
    if (ca == NULL || ask->life_s == 0 || ask->life_s > SP_DEVICE_CERT_MAX_S) {
        return sp_fail(SP_EINVALID);
    }
    TRY(sp_csr_accept(ask->csr, &device_key));
    auto_buf sp_buf organisation = sp_buf_make(NAME_MAX_BYTES + 1);
    auto_buf sp_buf number = sp_buf_make(NUMBER_MAX_BYTES);
    sp_ca_name(office, "devices", &organisation);
    sp_buf_u64_text(&number, ask->device);
    sp_cert_spec spec = {.use = SP_CERT_CLIENT,
                         .common_name = ask->device_name,
                         .organisation = sp_buf_borrow(&organisation),
                         .number = sp_buf_borrow(&number),
                         .not_before_unix_s = now_unix_s - SP_CERT_BACKDATE_S,
                         .not_after_unix_s = now_unix_s + ask->life_s};
    TRY(sp_cert_issue(&spec, device_key, sp_vkey_certificate(ca), ca->pair, der));
    *ret_issued = (sp_vault_issued){.not_before_unix_s = spec.not_before_unix_s,
                                    .not_after_unix_s = spec.not_after_unix_s,
                                    .certificate = sp_buf_borrow(der)};
    return sp_ok();
}

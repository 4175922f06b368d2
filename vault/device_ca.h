/* SPDX-License-Identifier: Apache-2.0
 * The device CA: short certificates for the keys of devices.
 * OWNS nothing: its key is in the keyring. PROCESS vault. TRUST the request came from a device
 * through core: only its public key is used, after it proved that it has the private half.
 * SPEC docs/ARCHITECTURE.md "Devices".
 */
#ifndef SP_VAULT_DEVICE_CA_H
#define SP_VAULT_DEVICE_CA_H

#include "vault/keyring.h"

enum { SP_DEVICE_CERT_MAX_S = 7 * 86400, SP_CERT_BACKDATE_S = 300 };

/* Makes the CA when the ring has none yet. *made tells. */
SP_MUST sp_err sp_device_ca_prepare(sp_keyring *ring, const char *office, uint64_t now_unix_s,
                                    bool *made);
/* The CA's certificate, DER; borrowed from the ring. */
sp_span sp_device_ca_certificate(sp_keyring *ring);
/* Appends the certificate to *der, which *ret_issued borrows. */
SP_MUST sp_err sp_device_ca_issue(sp_keyring *ring, const char *office,
                                  const sp_vault_device_issue *ask, uint64_t now_unix_s,
                                  sp_buf *der, sp_vault_issued *ret_issued);

/* An office's name with a word behind it, cut to what a certificate's name can hold. */
void sp_ca_name(const char *office, const char *word, sp_buf *out);

#endif

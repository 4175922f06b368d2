/* SPDX-License-Identifier: Apache-2.0
 * The device's certificate: taken from an answer of the office, checked, kept; and when it is due.
 * OWNS nothing. PROCESS agent. TRUST the answer is hostile: a certificate that is not for our key
 * or not of the CA beside it is not kept. SPEC docs/api/openapi.yaml "Certificate".
 */
#ifndef SP_AGENT_CERTIFICATE_H
#define SP_AGENT_CERTIFICATE_H

#include "agent/office.h"
#include "infra/crypto/pkey.h"
#include "infra/crypto/x509.h"

/* Takes certificate, chain, device and the next ticket from the answer, keeps them on disk and in
 * the state. words: on failure. */
SP_MUST sp_err sp_certificate_keep(sp_agent *agent, const sp_pkey *key, const json_t *body,
                                   sp_buf *words);
/* The first use tells the office that the certificate has arrived: nobody gets it again. */
void sp_certificate_use_once(const sp_agent *agent);
SP_MUST sp_err sp_certificate_info(const sp_agent *agent, sp_cert_info *ret_info);
/* The DER of "device.pem" or "device-ca.pem". */
SP_MUST sp_err sp_certificate_der(const sp_agent *agent, const char *file, sp_buf *der);
/* Half of its life is over (or all of it). */
bool sp_certificate_due(const sp_cert_info *info, uint64_t now_unix_s);
/* A request in PEM, signed by the key. */
SP_MUST sp_err sp_certificate_request(sp_pkey *key, sp_span name, sp_buf *pem);

#endif

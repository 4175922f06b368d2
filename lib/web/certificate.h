/* SPDX-License-Identifier: Apache-2.0
 * A client certificate as another proxy passes it on, in a request header.
 * OWNS nothing. PROCESS web gate. TRUST the text is hostile. SPEC RFC 7468 (PEM); nginx
 * $ssl_client_escaped_cert; Traefik X-Forwarded-Tls-Client-Cert; Caddy certificate_der_base64.
 */
#ifndef SP_WEB_CERTIFICATE_H
#define SP_WEB_CERTIFICATE_H

#include "lib/base/buf.h"

enum { SP_WEB_CERTIFICATE_MAX_BYTES = 16 * 1024 };

/* The DER of the first certificate: PEM whose odd bytes are %-escaped, or its base64 alone (up to a
 * comma). SP_EINVALID: anything else; SP_ELIMIT. What the DER says is not looked at. */
SP_MUST sp_err sp_web_certificate_read(sp_span header, sp_buf *der);

#endif

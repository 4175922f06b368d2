/* SPDX-License-Identifier: Apache-2.0
 * The small pieces of enrolment that need no core: codes, tickets, certificate requests in PEM,
 * posture out of checks.
 * OWNS nothing. PROCESS core. TRUST all input is hostile. SPEC RFC 7468, docs/api/openapi.yaml.
 */
#ifndef SP_CORE_DEVICES_ENROL_H
#define SP_CORE_DEVICES_ENROL_H

#include "lib/base/buf.h"
#include "lib/base/sha256.h"
#include "lib/policy/types.h"

#include <jansson.h>

enum { SP_ENROL_CODE_BYTES = 20, SP_ENROL_CHECKS_MAX = 32 };

/* "7F3K-9Q2M-XA4T-0WZ5" of 80 bits; NUL-terminated. */
void sp_enrol_code_text(const uint8_t bits[10], char ret_text[SP_ENROL_CODE_BYTES]);
/* What is stored of it: SHA-256 of its 16 letters; dashes, blanks and case are forgiven, I L O read
 * as 1 1 0. SP_EINVALID. */
SP_MUST sp_err sp_enrol_code_hash(sp_span text, sp_hash *ret_hash);
/* The DER of a PEM "CERTIFICATE REQUEST" (or "NEW CERTIFICATE REQUEST"). SP_EINVALID. */
SP_MUST sp_err sp_enrol_csr_der(sp_span pem, sp_buf *out);
/* Checks as the agent reports them: {name, result pass|fail|unknown} or {name, ok}. Any fail is
 * unhealthy; no fail and one pass at least is healthy. SP_EINVALID names the trouble. */
SP_MUST sp_err sp_enrol_posture(const json_t *checks, sp_posture *ret_posture,
                                const char **ret_expected);
/* UTF-8 without control bytes, 1 to 63 bytes: it stands in certificates, tables and logs. */
bool sp_enrol_name_ok(sp_span name);
/* {os, version, arch, hostname, agent}, texts of at most 63 bytes. */
bool sp_enrol_platform_ok(const json_t *platform);

#endif

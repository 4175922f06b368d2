/* SPDX-License-Identifier: Apache-2.0
 * What a person or a program is told when a gate refuses: what, why, what to do, and the reference
 * number under which the security team finds it in the ledger.
 * OWNS nothing. PROCESS web gate. TRUST names and paths may be hostile: they are escaped.
 * SPEC docs/ARCHITECTURE.md "Refusals"; RFC 9457 for the JSON form.
 */
#ifndef SP_WEB_REFUSAL_H
#define SP_WEB_REFUSAL_H

#include "lib/base/buf.h"
#include "lib/policy/types.h"

typedef struct {
    sp_span office;     /* name shown to people */
    sp_span resource;   /* title in the reader's language; empty = none */
    sp_span portal_url; /* "https://portal.office.example:8443" */
    sp_span person;     /* who is signed in; empty = nobody */
    sp_span device;     /* name of the device; empty = unknown */
    uint64_t reference; /* 0 = none */
    uint64_t when_unix_us;
    uint16_t status;
    sp_action action;
    sp_reason reason; /* SP_REASON_NONE: the status says it all (502, 504, 413 ...) */
    bool chinese;
} sp_web_refusal;

enum { SP_WEB_REFUSAL_MAX_BYTES = 16 * 1024 };

/* HTTP status for a refusal of this reason. */
uint16_t sp_web_refusal_status(sp_reason reason);
/* text/html; charset=utf-8, self-contained. */
void sp_web_refusal_html(const sp_web_refusal *refusal, sp_buf *out);
/* application/problem+json */
void sp_web_refusal_json(const sp_web_refusal *refusal, sp_buf *out);
/* The Content-Security-Policy of the page: its one style by its hash, and nothing else. */
void sp_web_refusal_csp(sp_buf *out);

#endif

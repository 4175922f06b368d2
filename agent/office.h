/* SPDX-License-Identifier: Apache-2.0
 * HTTPS to the office: one JSON call at a time, over the pinned CA, with the device's certificate
 * where it is wanted; failures in words that help.
 * OWNS nothing between calls. PROCESS agent. TRUST answers are hostile: bounded, and believed only
 * over TLS that the pinned CA vouches for. SPEC docs/api/openapi.yaml "device".
 */
#ifndef SP_AGENT_OFFICE_H
#define SP_AGENT_OFFICE_H

#include "agent/agent.h"

#include <jansson.h>

typedef struct {
    long status;      /* HTTP; 0 = no answer */
    json_t *body;     /* NULL = none or not JSON */
    long skew_s;      /* the office's clock minus ours; 0 when it is not known */
    char code[64];    /* of a problem document: "code_invalid" */
    char words[1024]; /* what went wrong and what to do; "" when nothing did */
} sp_office_answer;

void sp_office_answer_done(sp_office_answer *answer);
#define auto_answer __attribute__((cleanup(sp_office_answer_done)))

/* POST when body is not NULL (borrowed), else GET. with_device: mTLS. An answer of any status is
 * SP_OK; SP_ECLOSED = no answer, SP_EDENIED = the TLS peer is not the office. */
SP_MUST sp_err sp_office_call(const sp_agent *agent, const char *path, json_t *body,
                              bool with_device, sp_office_answer *ret_answer);
/* The exit status that goes with a failed call or an unexpected status. Says the words. */
int sp_office_complain(const char *doing, sp_err err, const sp_office_answer *answer);

/* First contact: a TLS handshake without a request; the certificate in the office's chain whose
 * SHA-256 is the one given becomes *ca_pem. Nothing is sent to whoever answers. words: on failure.
 */
SP_MUST sp_err sp_office_pin(const char *portal, sp_span sha256_hex, sp_buf *ca_pem, sp_buf *words);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The hub of server-sent events: the console sees changes without asking again.
 * OWNS its streams. PROCESS core. TRUST what is published is ours; a slow reader is dropped.
 * SPEC WHATWG HTML "Server-sent events".
 */
#ifndef SP_CORE_HTTP_SSE_H
#define SP_CORE_HTTP_SSE_H

#include "core/core.h"

#include <jansson.h>

/* Topics are bits; a stream takes a set. */
enum {
    SP_TOPIC_SESSIONS = 1U << 0,
    SP_TOPIC_DEVICES = 1U << 1,
    SP_TOPIC_PEOPLE = 1U << 2,
    SP_TOPIC_POLICY = 1U << 3,
    SP_TOPIC_HEALTH = 1U << 4,
    SP_TOPIC_APPROVALS = 1U << 7, /* that something changed, never what */
    SP_TOPIC_DATABASES = 1U << 8,
    SP_TOPIC_SSH = 1U << 9,
    SP_TOPIC_ME = 1U << 6 /* only to the person named in the publication */
};

enum {
    SP_SSE_STREAMS_MAX = 512,
    SP_SSE_SESSION_MAX = 16, /* of one session; one more ends the oldest */
    SP_SSE_QUEUE_MAX_BYTES = 256 * 1024
};

SP_MUST sp_err sp_sse_new(sp_core *core, sp_sse **ret_sse);
/* Every stream ends; before sp_http_stop. */
void sp_sse_end_all(sp_sse *sse);
/* After sp_http_stop. */
void sp_sse_free(sp_sse *sse);
/* Sends {event: name, data: body} to every stream of the topic. person: for SP_TOPIC_ME only whose
 * streams, else 0. Takes the reference on body. */
void sp_sse_publish(sp_core *core, unsigned topic, uint32_t person, const char *name, json_t *body);
/* Streams of an ended session are told "signed_out" and closed. */
void sp_sse_end_session(sp_core *core, uint64_t session_id, const char *reason);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The coverage statement of a session: what of it was recorded, what was seen but stayed opaque,
 * what was refused, and what is known to be missing. Made of the ledger's events and of nothing
 * else; what it cannot know it does not claim.
 *
 * Story: sp_coverage_event() for each event of the session, newest first; sp_coverage_missing() for
 * losses and gaps of the time of the session; sp_coverage_json() writes it down. Events are shaped
 * as "LedgerEvent" of the API.
 *
 * OWNS its JSON. PROCESS core. TRUST statements and names in events are people's: they are counted,
 * compared and copied. SPEC docs/api/openapi.yaml "Coverage".
 */
#ifndef SP_CORE_ADMIN_COVERAGE_H
#define SP_CORE_ADMIN_COVERAGE_H

#include "lib/base/buf.h"
#include "lib/proto/event.h"

#include <jansson.h>

enum { SP_COVERAGE_CONNECTIONS_MAX = 500, SP_COVERAGE_MISSING_MAX = 100 };

typedef enum {
    SP_OPAQUE_CODE,       /* DO: a block in a procedural language, recorded as text, not judged */
    SP_OPAQUE_FUNCTION,   /* functions of users: called by name, what they did was not seen */
    SP_OPAQUE_COPY,       /* bytes of COPY */
    SP_OPAQUE_RESULTS,    /* rows that were returned: counted */
    SP_OPAQUE_PARAMETERS, /* values that were sent apart from the statement */
    SP_OPAQUE_CUT,        /* texts longer than what an event holds */
    SP_OPAQUE_WEBSOCKET,  /* bytes of WebSockets */
    SP_OPAQUE_CONTENT,    /* bodies of requests and answers */
    SP_OPAQUE_COUNT
} sp_opaque;

typedef struct {
    uint64_t count;
    uint64_t bytes;
    uint64_t rows;
} sp_coverage_sum;

typedef struct {
    uint64_t events;
    uint64_t requests;
    uint64_t statements;
    uint64_t failed; /* statements that ran and ended in an error of the server */
    uint64_t other;
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t rows;
    uint64_t denied;
    uint64_t asked;
    uint64_t lost;
    uint64_t gaps;
    unsigned gates; /* bits: 1 << sp_gate, that the session went through */
    sp_coverage_sum opaque[SP_OPAQUE_COUNT];
    uint64_t connections_count;
    json_t *connections; /* object by id */
    json_t *reasons;     /* object: reason -> how often refused */
    json_t *missing;     /* array */
    json_t *first;       /* the oldest event */
    json_t *last;        /* the newest */
    json_t *end;         /* that ended the session */
} sp_coverage;

sp_coverage sp_coverage_make(void);
void sp_coverage_done(sp_coverage *coverage);
void sp_coverage_event(sp_coverage *coverage, json_t *event);
/* Of a gate that the session did not go through: not counted. */
void sp_coverage_missing(sp_coverage *coverage, json_t *event);
/* complete: no event was left out of the counting. New references; NULL = out of memory. */
json_t *sp_coverage_json(const sp_coverage *coverage, bool complete);
/* Oldest first. */
json_t *sp_coverage_connections(const sp_coverage *coverage);

#endif

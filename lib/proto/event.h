/* SPDX-License-Identifier: Apache-2.0
 * An event: one thing that happened, as a gate or a role hands it to the ledger. The compact form
 * goes into the ring or into a ledger message; the ledger turns it into OCSF JSON and seals it.
 * OWNS nothing: spans point into the encoded bytes. PROCESS gates and roles encode, ledger decodes.
 * TRUST decoded bytes are hostile: every field is bounded. SPEC docs/ARCHITECTURE.md "Events".
 */
#ifndef SP_PROTO_EVENT_H
#define SP_PROTO_EVENT_H

#include "lib/base/buf.h"
#include "lib/base/reader.h"
#include "lib/policy/types.h"

typedef enum {
    SP_EVENT_DECISION, /* a gate decided an action (and, for a short one, how it ended) */
    SP_EVENT_CLOSE,    /* a long action ended: bytes and duration */
    SP_EVENT_SIGN_IN,  /* detail: method; verdict: worked or not */
    SP_EVENT_SIGN_OUT,
    SP_EVENT_SESSION_END, /* ended by something else than its owner's sign-out */
    SP_EVENT_IDENTITY,    /* a person, credential or role grant changed */
    SP_EVENT_DEVICE,      /* enrolled, approved, renewed, quarantined, revoked, cloned */
    SP_EVENT_POLICY,      /* documents applied or rolled back */
    SP_EVENT_ADMIN,       /* any other change by an administrator */
    SP_EVENT_ROLE,        /* a role of ours started, ended, was restarted */
    SP_EVENT_LOSS,        /* events known to be lost: count */
    SP_EVENT_GAP,         /* a source fell silent or its numbers jumped */
    SP_EVENT_HEARTBEAT,   /* source alive, last sequence number */
    SP_EVENT_REDACTION,   /* an entry was erased or expired: which, why, by whom */
    SP_EVENT_READ,        /* somebody read the ledger */
    SP_EVENT_APPROVAL,    /* asked for, approved, refused, used, ended; method says which */
    SP_EVENT_RECORDING,   /* a chunk of a terminal's recording: reference = the connection, object =
                             the channel, detail = lib/record/chunk.h */
    SP_EVENT_ALARM,       /* a detection spoke: rule = its name, object = what it counts by */
    SP_EVENT_INCIDENT,    /* opened, changed, closed; method says which, object = the incident */
    SP_EVENT_PLAN,        /* a plan or a step of it; method says what became of it */
    SP_EVENT_NOTICE,      /* a notice queued, handed over, not delivered, acknowledged */
    SP_EVENT_KIND_COUNT
} sp_event_kind;

typedef enum {
    SP_SEVERITY_INFO,
    SP_SEVERITY_LOW,
    SP_SEVERITY_MEDIUM,
    SP_SEVERITY_HIGH,
    SP_SEVERITY_CRITICAL,
    SP_SEVERITY_COUNT
} sp_severity;

typedef enum {
    SP_GATE_NONE,
    SP_GATE_WEB,
    SP_GATE_SSH,
    SP_GATE_DB,
    SP_GATE_NET,
    SP_GATE_MAIL,
    SP_GATE_COUNT
} sp_gate;

enum {
    SP_EVENT_OBJECT_MAX_BYTES = 2048,
    SP_EVENT_DETAIL_MAX_BYTES = 12 * 1024,
    SP_EVENT_MAX_BYTES = SP_EVENT_OBJECT_MAX_BYTES + SP_EVENT_DETAIL_MAX_BYTES + 1024
};

typedef struct {
    uint64_t when_unix_us;
    uint64_t reference; /* random; the number on a refusal page; 0 = none */
    uint64_t session;   /* 0 = none */
    uint64_t device;    /* core's number, 0 = none */
    uint64_t policy_version;
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t count;                /* LOSS, GAP, HEARTBEAT */
    uint64_t roles[SP_ROLE_WORDS]; /* that the person held, so that decisions can be replayed */
    uint32_t person;               /* core's number, 0 = nobody known: whose key seals it */
    uint32_t duration_us;
    uint16_t status;  /* the protocol's own: HTTP status */
    uint8_t kind;     /* sp_event_kind */
    uint8_t severity; /* sp_severity */
    uint8_t gate;     /* sp_gate */
    uint8_t action;   /* sp_action */
    uint8_t class_level;
    uint8_t verdict;     /* sp_verdict */
    uint8_t reason;      /* sp_reason */
    uint8_t owner;       /* sp_owner */
    uint8_t posture;     /* sp_posture */
    uint8_t strength;    /* sp_strength */
    uint8_t peer[16];    /* IPv4 as ::ffff:a.b.c.d; zero = none */
    sp_span person_name; /* <= SP_NAME_MAX_BYTES, as all names */
    sp_span device_name;
    sp_span resource;
    sp_span class_name;
    sp_span rule;
    sp_span method; /* "GET", "SELECT", "exec" */
    sp_span object; /* path, statement, command; cut to its maximum */
    sp_span detail; /* a JSON object, for what has no field of its own; may be empty */
} sp_event;

/* Whether it says what was decided: a decision, a sign-in, the end of what was let through. */
static inline bool sp_event_has_verdict(const sp_event *event)
{
    return event->kind == SP_EVENT_DECISION || event->kind == SP_EVENT_CLOSE ||
           event->kind == SP_EVENT_SIGN_IN;
}

/* Appends the compact form. Over-long object is cut, over-long names or detail are SP_ELIMIT. */
SP_MUST sp_err sp_event_encode(const sp_event *event, sp_buf *out);
/* Exactly as many bytes as sp_event_encode would need, at most SP_EVENT_MAX_BYTES. */
size_t sp_event_size(const sp_event *event);
/* No fewer than that, nor more than SP_EVENT_MAX_BYTES, without looking at each number. */
size_t sp_event_most(const sp_event *event);
/* The same as sp_event_encode into room of either size, for the ring: no allocation. The bytes that
 * were written: sp_event_size() of them. */
size_t sp_event_write(const sp_event *event, uint8_t *room);
/* SP_EINVALID, SP_ESHORT, SP_ELIMIT. */
SP_MUST sp_err sp_event_decode(sp_span bytes, sp_event *ret_event);

const char *sp_event_kind_word(sp_event_kind kind);
const char *sp_severity_word(sp_severity severity);
const char *sp_gate_word(sp_gate gate);

enum { SP_REFERENCE_TEXT_BYTES = 15 };
/* A reference as people say it: the low 60 bits in Crockford base32, "7F3K-9Q2M-XA4T";
 * NUL-terminated. */
void sp_reference_text(uint64_t reference, char ret_text[SP_REFERENCE_TEXT_BYTES]);
/* Reads it back, dashes and case forgiven, I L O read as 1 1 0. SP_EINVALID. */
SP_MUST sp_err sp_reference_of(sp_span text, uint64_t *ret_reference);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Events as OCSF 1.6 JSON (type_uid = class_uid * 100 + activity_id).
 *
 * An entry of the ledger is a batch of one subject's events of a short while:
 *     {COMMON,"events":[{EVENT},{EVENT}]}
 * COMMON is what the events share (metadata, class, actor, session, device, source address) and the
 * first one's outcome (activity, severity, status, resource, method, rule, verdict); EVENT is what
 * each has of its own, with its outcome where that is another. COMMON with EVENT laid over it,
 * member by member, is one complete OCSF event.
 *
 * Classes: DECISION and CLOSE of the web gate are Web Resources Activity (6001: read, import,
 * export ... as our actions are), other gates Network Activity (4001), SSH Activity (4007),
 * Datastore Activity (6005), Email Activity (4009); sign-ins Authentication (3002); IDENTITY
 * Account Change (3001); DEVICE, POLICY, ADMIN, APPROVAL, NOTICE Entity Management (3004); ALARM
 * Detection Finding (2004); INCIDENT Incident Finding (2005); PLAN Remediation Activity (7001);
 * ROLE Application Lifecycle (6002); the ledger's own (LOSS GAP HEARTBEAT REDACTION READ) Event Log
 * Activity (1008). What OCSF has no field for stands in "unmapped".
 *
 * OWNS nothing. PROCESS ledger. TRUST events are hostile: output is always well-formed JSON of
 * bounded size, whatever the event holds. SPEC schema.ocsf.io 1.6.0.
 */
#ifndef SP_PROTO_OCSF_H
#define SP_PROTO_OCSF_H

#include "lib/proto/event.h"

enum {
    SP_OCSF_COMMON_MAX_BYTES = 6 * 1024 + 512,
    SP_OCSF_EVENT_MAX_BYTES = 30 * 1024 /* detail that is not JSON is cut to fit */
};

typedef struct {
    uint32_t class_uid;
    uint8_t category_uid;
    uint8_t activity_id;
} sp_ocsf_type;

sp_ocsf_type sp_ocsf_type_of(const sp_event *event);
/* Whether two events can share one COMMON: same class, session, person, device, address, and none
 * of them lacks a member that the other's outcome has. */
bool sp_ocsf_same_common(const sp_event *a, const sp_event *b);
/* Members without braces: "metadata":{...},... ; source_name is who handed it in. */
void sp_ocsf_common(const sp_event *first, sp_span source_name, sp_buf *out);
/* Members without braces; first is the event that COMMON was written of, which may be this one; seq
 * is the event's number at its source. */
void sp_ocsf_event(const sp_event *event, const sp_event *first, uint64_t seq, sp_buf *out);

#endif

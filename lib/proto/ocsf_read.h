/* SPDX-License-Identifier: Apache-2.0
 * An entry of the ledger back into events: the other way round of lib/proto/ocsf.h.
 *
 * What comes back differs from what went in only where OCSF or the form says less: times are whole
 * milliseconds; numbers at most INT64_MAX; references their low 60 bits; text that was not UTF-8
 * has U+FFFD; a detail that was no JSON object is a JSON string, cut; verdict, reason and action
 * stand only with decisions, their ends and sign-ins (else ALLOW, NONE, CONNECT); names of a person
 * or device without a number or session are left out; an object that is not there but has a
 * resource is the resource, for changes of people and things.
 *
 * OWNS nothing. PROCESS watch, command line. TRUST the JSON is the ledger's own, and checked all
 * the same: anything else is SP_ECORRUPT. SPEC lib/proto/ocsf.h.
 */
#ifndef SP_PROTO_OCSF_READ_H
#define SP_PROTO_OCSF_READ_H

#include "lib/proto/event.h"

/* at: index in the entry. The event is valid during the call. */
typedef void (*sp_ocsf_visit)(void *self, const sp_event *event, uint16_t at);

/* Every event of one entry {COMMON,"events":[...]}, or one complete event {...}, in order. room is
 * emptied and holds the texts; keep it for the next call. SP_ECORRUPT, SP_ENOMEM, SP_ELIMIT: those
 * before the fault were visited. */
SP_MUST sp_err sp_ocsf_read(sp_span json, sp_buf *room, sp_ocsf_visit visit, void *self);

/* For who has the event itself and not its JSON. Whether it is one of those that sp_ocsf_as_read()
 * makes what would be read: not with text that is not UTF-8, a detail that is no object, or a
 * number too large. */
bool sp_ocsf_is_exact(const sp_event *event);
void sp_ocsf_as_read(sp_event *event);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * From the ledger's OCSF events to the shapes LedgerEvent and Refusal of the API.
 * OWNS nothing. PROCESS core. TRUST the ledger's JSON is bounded; members may be missing.
 * SPEC docs/api/openapi.yaml, lib/proto/ocsf.h.
 */
#ifndef SP_CORE_ADMIN_EVENTS_H
#define SP_CORE_ADMIN_EVENTS_H

#include "core/admin/admin.h"
#include "lib/proto/ledger_msg.h"

/* New references; NULL when the JSON cannot be read. */
json_t *sp_event_shape(const sp_ledger_item *item);
/* Of a shaped event that was denied or asked. */
json_t *sp_refusal_shape(const sp_core *core, const json_t *event);

/* Asks the ledger and answers the request with the page of events, each through shape (NULL = as
 * it is) and keep (NULL = all). Both see shaped events. */
typedef json_t *(*sp_event_fn)(const sp_core *core, const json_t *event);
void sp_events_answer(sp_request *req, const sp_ledger_search *search, sp_event_fn shape);
/* The same, but the first one alone, or 404. */
void sp_events_answer_one(sp_request *req, const sp_ledger_search *search, sp_event_fn shape);

/* Who reads, and what for: READ events say so. */
sp_ledger_reader sp_events_reader(const sp_request *req, const char *purpose);
/* kind, verdict, person, device, resource, session, reference, action, q; false: answered. */
bool sp_events_filter(sp_request *req, sp_ledger_search *search);
/* limit, cursor, from, to; false: answered. */
bool sp_events_page(sp_request *req, sp_ledger_search *search);
/* For failures of the ledger. */
void sp_events_answer_failed(sp_request *req, sp_err err);

#endif
